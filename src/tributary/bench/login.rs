//! A login's back channel: a pushed, signed request, the code redeemed, the ID token checked, over mutual TLS; against the
//! signatures, the verification and the handshake that it cannot do without.
//!
//! The other side answers from memory, so that what is measured is ours: three signatures (request object and two client
//! assertions), one verification, one handshake, and everything around them. Chance repeats itself from login to login,
//! so that one ID token answers them all.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, EcdsaVerificationAlgorithm};
use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use axum::Router;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::world::{Clock as _, Entropy, World};
use fapi::client::Client;
use fapi::keys::{KeySet, PemSigner, Signer, public_jwks};
use fapi::login::Callback;
use fapi::metadata::{Environment, Metadata};
use fapi::profile::{Alg, FAPI2_MESSAGE_SIGNING, ResponseForm, Security};
use fapi::request::AuthorizationRequest;
use http::{Request, StatusCode};
use jiff::Timestamp;
use net::pki::Pki;
use net::serve::{ClientCertificates, ServeConfig, Serving, Transport, serve};
use net::{ClientConfig, Egress, Limits};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use url::form_urlencoded;

use super::{Figure, Goal, against_waited};
use crate::clock::SystemClock;

/// Signatures that a login makes: request object, assertion at the pushed-request endpoint, assertion at the token endpoint.
const SIGNATURES: usize = 3;
/// A login is done so many times in one round, since one alone is short.
const LOGINS: usize = 10;

/// Both algorithms that banks ask for most.
pub(super) fn measure(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let pki = crate::certs::generate(&[])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut figures = Vec::new();
    for (name, what, alg) in [
        ("login", "PAR, signed request, token, ID token (PS256), against bare cryptography", Alg::Ps256),
        ("login-es256", "the same with ES256, whose signatures cost next to nothing", Alg::Es256),
    ] {
        let stage = Stage::new(&runtime, &pki, alg)?;
        stage.log_in(&runtime)?;
        stage.bare(&runtime)?;
        let repeat = |work: &dyn Fn() -> anyhow::Result<()>| (0..LOGINS).all(|_| work().is_ok());
        let pair = against_waited(rounds, || repeat(&|| stage.log_in(&runtime)), || repeat(&|| stage.bare(&runtime)));
        let goal = Goal::AtMost(1.25);
        figures.push(Figure { name, what, value: pair.ratio(), unit: "×", goal, beside: pair.beside() });
        stage.end(&runtime);
    }
    Ok(figures)
}

/// Chance that is the same for every login.
struct Repeating(AtomicU64);

impl Entropy for Repeating {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let next = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            chunk.copy_from_slice(&next.to_be_bytes()[..chunk.len()]);
        }
    }
}

/// Both sides of the login, ready to begin.
struct Stage {
    client: Client,
    signer: Arc<PemSigner>,
    metadata: Metadata,
    keys: KeySet,
    transport: ClientConfig,
    issuer: String,
    now: Timestamp,
    callback: String,
    /// What the login signs, and what it verifies.
    message: Vec<u8>,
    signed: Signed,
    stop: CancellationToken,
    serving: Serving,
}

/// An ID token in its parts, with the key that made it.
struct Signed {
    message: Vec<u8>,
    signature: Vec<u8>,
    key: Value,
    alg: Alg,
}

impl Stage {
    fn new(runtime: &Runtime, pki: &Pki, alg: Alg) -> anyhow::Result<Self> {
        let pem = if alg == Alg::Ps256 { &pki.qsealc.key_pem } else { &pki.signing_key_pem };
        let signer = Arc::new(PemSigner::from_pem(alg, "bench", pem.expose_secret().as_bytes())?);
        let security = Security { response: ResponseForm::Query, ..FAPI2_MESSAGE_SIGNING };
        let client = Client::new(security.clone(), "tpp-1", "https://tpp.example/callback", signer.clone());
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let issuer = format!("https://localhost:{}", listener.local_addr()?.port());
        let document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "pushed_authorization_request_endpoint": format!("{issuer}/par"),
            "jwks_uri": format!("{issuer}/jwks"),
            "authorization_response_iss_parameter_supported": true,
            "id_token_signing_alg_values_supported": [alg.as_str()],
        });
        let metadata = Metadata::parse(document.to_string().as_bytes(), &issuer, Environment::Production, &security)?;
        let keys = KeySet::parse(public_jwks([signer.as_ref() as &dyn Signer]).to_string().as_bytes())?;
        let now = SystemClock.now();

        let world = World { now, entropy: &Repeating(AtomicU64::new(1)) };
        let push = client.push(&metadata, &request(), &world)?;
        let asked = asked(push.request.body())?;
        let text = |name: &str| asked[name].as_str().context("the request says it");
        let signed = id_token(signer.as_ref(), &issuer, text("nonce")?, now)?;
        let callback = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("code", "a-code"), ("state", text("state")?), ("iss", &issuer)])
            .finish();
        let token = signed.answer();
        let router = Router::new()
            .route("/par", post(|| async { (StatusCode::CREATED, r#"{"request_uri":"urn:bench:1","expires_in":60}"#) }))
            .route("/token", post(move || async move { token }))
            .route("/bare", post(|| async {}));
        let stop = CancellationToken::new();
        let tls = Transport::Tls {
            identity: pki.server.identity()?,
            clients: ClientCertificates::Required(pki.roots()?),
            clock: Arc::new(SystemClock),
        };
        let _context = runtime.enter();
        let serving = serve(listener, ServeConfig::new(tls), router, stop.clone())?;
        let transport = ClientConfig {
            identity: Some(pki.qwac.identity()?),
            roots: pki.roots()?,
            egress: Egress::loopback_allowed(),
            limits: Limits::AUTH,
            post_quantum: false,
            resumption: false,
            clock: Arc::new(SystemClock),
        };
        let message = push.request.body().to_vec();
        Ok(Self { client, signer, metadata, keys, transport, issuer, now, callback, message, signed, stop, serving })
    }

    /// One login on a connection of its own.
    fn log_in(&self, runtime: &Runtime) -> anyhow::Result<()> {
        let world = World { now: self.now, entropy: &Repeating(AtomicU64::new(1)) };
        let http = net::Client::new(self.transport.clone())?;
        runtime.block_on(async {
            let (push, read) = self.client.push(&self.metadata, &request(), &world)?.split();
            let departure = read(http.send(push).await?, self.now)?;
            let code = departure.login.finish(Callback::parse(&self.callback)?, &self.keys, self.now)?;
            let (redeem, read) = self.client.redeem(&self.metadata, code, &world)?.split();
            let redeemed = read(http.send(redeem).await?, self.now)?;
            redeemed.check(&self.keys, self.now)?;
            Ok(())
        })
    }

    /// The cryptography alone: a handshake with the least request that makes one, the signatures, the verification.
    fn bare(&self, runtime: &Runtime) -> anyhow::Result<()> {
        let http = net::Client::new(self.transport.clone())?;
        let request = Request::post(format!("{}/bare", self.issuer)).body(Bytes::new())?;
        runtime.block_on(http.send(request))?;
        for _ in 0..SIGNATURES {
            self.signer.sign(&self.message)?;
        }
        self.signed.verify()
    }

    fn end(self, runtime: &Runtime) {
        self.stop.cancel();
        runtime.block_on(self.serving.finished());
    }
}

fn request() -> AuthorizationRequest {
    AuthorizationRequest::scope("openid accounts")
}

/// The claims of the request object in a pushed form.
fn asked(form: &[u8]) -> anyhow::Result<Value> {
    let object = form_urlencoded::parse(form).find(|(name, _)| name == "request").context("a request object")?.1;
    let payload = object.split('.').nth(1).context("a payload")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
}

fn id_token(signer: &PemSigner, issuer: &str, nonce: &str, now: Timestamp) -> anyhow::Result<Signed> {
    let header = json!({ "alg": signer.alg().as_str(), "kid": signer.kid() });
    let now = now.as_second();
    let claims =
        json!({ "iss": issuer, "sub": "someone", "aud": "tpp-1", "iat": now, "exp": now + 3600, "nonce": nonce });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(&claims)).into_bytes();
    let signature = signer.sign(&message)?;
    Ok(Signed { message, signature, key: signer.public_jwk().into(), alg: signer.alg() })
}

impl Signed {
    /// The token response that carries it.
    fn answer(&self) -> String {
        let jwt = format!("{}.{}", String::from_utf8_lossy(&self.message), URL_SAFE_NO_PAD.encode(&self.signature));
        json!({ "access_token": "a-token", "token_type": "Bearer", "expires_in": 300, "id_token": jwt }).to_string()
    }

    fn verify(&self) -> anyhow::Result<()> {
        let member = |name: &str| -> anyhow::Result<Vec<u8>> {
            Ok(URL_SAFE_NO_PAD.decode(self.key[name].as_str().context("a member of the key")?)?)
        };
        let fits = match self.alg {
            Alg::Ps256 => RsaPublicKeyComponents { n: member("n")?, e: member("e")? }
                .verify(&RSA_PSS_2048_8192_SHA256, &self.message, &self.signature)
                .is_ok(),
            Alg::Es256 | Alg::EdDsa => {
                let point = [vec![4], member("x")?, member("y")?].concat();
                let alg: &'static EcdsaVerificationAlgorithm = &ECDSA_P256_SHA256_FIXED;
                UnparsedPublicKey::new(alg, point).verify(&self.message, &self.signature).is_ok()
            }
        };
        anyhow::ensure!(fits, "the signature fits");
        Ok(())
    }
}
