//! A proxy before the server that can get one thing wrong at a time, and remembers what it saw.
//!
//! It signs everything anew with a key of its own, which it publishes in place of the server's: so it can change a claim and
//! keep the signature good, or the other way round. Certificates of clients it hands on in a header.

use std::collections::BTreeSet;
use std::future::{pending, ready};
use std::io::{self, Write as _};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fapi::keys::{PemSigner, Signer};
use fapi::profile::Alg;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use josekit::jwe::alg::rsaes::RsaesJweAlgorithm;
use josekit::jwe::{JweHeader, serialize_compact};
use net::serve::{ClientCertificates, PeerCertificate, ServeConfig, Transport, serve};
use net::{ClientConfig, Egress, Limits, Roots, TransportIdentity};
use serde_json::{Value, json};
use tests::world::TestClock;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use url::{Url, form_urlencoded};

use crate::certificates::{ENCRYPTION_KID, Pair, encryption_jwk, text};
use crate::combination::REDIRECT_URI;

/// Key id of the proxy's key, and of the RSA key that is published beside it.
pub(crate) const KID: &str = "proxy";
/// See [`KID`].
pub(crate) const RSA_KID: &str = "rsa-any";
/// Where the conformance suite sends a browser whose request it does not like.
pub(crate) const ERROR_PAGE: &str = "/log-detail.html";
/// What a refresh token may begin with, and a form must escape (RFC 6749 §A.17).
const ODD_SIGNS: &str = r#"& +%=#"'~"#;
/// Largest request that is handed on.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What signs a JWT.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Hand {
    /// The published key.
    Proxy,
    /// A key that is published nowhere.
    Stranger,
    /// The published RSA key, by RS256.
    Rs256,
    /// A secret that everybody knows: the published key, taken for one of HMAC (RFC 8725 §2.1).
    Hs256,
    /// Nobody: an empty signature.
    Nobody,
}

/// A JWT before it is signed anew.
pub(crate) struct Jwt {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    pub(crate) hand: Hand,
}

impl Jwt {
    /// Takes a claim out.
    pub(crate) fn without(&mut self, claim: &str) {
        self.claims.as_object_mut().expect("claims").remove(claim);
    }

    /// Gives it a time that has not come: a day after it ends.
    pub(crate) fn tomorrow(&mut self) {
        let exp = self.claims["exp"].as_i64().expect("an instant");
        self.claims["nbf"] = (exp + 24 * 60 * 60).into();
    }

    /// Adds seconds to an instant.
    pub(crate) fn shift(&mut self, claim: &str, seconds: i64) {
        let at = self.claims[claim].as_i64().expect("an instant");
        self.claims[claim] = (at + seconds).into();
    }
}

/// How an answer goes out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Way {
    /// From beginning to end.
    Whole,
    /// The body again and again, without an end.
    Endless,
    /// The first half of the body, and then the connection breaks.
    BrokenOff,
    /// The first half of the body, and then nothing.
    Stalled,
    /// Nothing at all, while the connection stays open.
    Silent,
    /// Nothing at all: the connection is closed.
    Dropped,
}

/// An answer before it is sent on.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) way: Way,
}

impl Reply {
    /// Sends elsewhere.
    pub(crate) fn redirect(&mut self, status: u16, to: &str) {
        self.status = status;
        self.headers.insert("location", to.parse().expect("a header"));
    }

    /// An error of the server in place of its answer.
    pub(crate) fn refuse(&mut self, status: u16, error: &str) {
        self.status = status;
        self.body = json!({ "error": error }).to_string().into_bytes();
    }

    /// A body that is small on the wire and vast behind it.
    pub(crate) fn bomb(&mut self) {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&vec![b' '; 16 * 1024 * 1024]).expect("room");
        self.body = gzip.finish().expect("room");
        self.headers.insert("content-encoding", HeaderValue::from_static("gzip"));
    }

    async fn send(mut self) -> Response {
        let body = Bytes::from(self.body);
        let half = body.slice(..body.len() / 2);
        let body = match self.way {
            Way::Whole => Body::from(body),
            Way::Endless => Body::from_stream(stream::repeat_with(move || Ok::<_, io::Error>(body.clone()))),
            // The length that was promised does not come.
            Way::BrokenOff => {
                self.headers.insert("content-length", body.len().into());
                Body::from(half)
            }
            Way::Stalled => {
                let begun = stream::once(ready(Ok::<_, io::Error>(half)));
                Body::from_stream(begun.chain(stream::pending()))
            }
            Way::Silent => pending().await,
            // The task of the connection ends here, and so does the connection. Nobody needs to hear of it.
            Way::Dropped => resume_unwind(Box::new(())),
        };
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(self.status).expect("a status");
        *response.headers_mut() = self.headers;
        response
    }

    /// Changes a JSON body.
    pub(crate) fn json(&mut self, change: impl FnOnce(&mut Value)) {
        let Ok(mut body) = serde_json::from_slice(&self.body) else { return };
        change(&mut body);
        self.body = body.to_string().into_bytes();
    }
}

/// Parameters of the response that goes through the browser.
pub(crate) type Query = Vec<(String, String)>;

/// What the proxy gets wrong.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    Nothing,
    Metadata(fn(&mut Value)),
    Jwks(fn(&mut Value)),
    /// The key set lacks the key when it is asked for the first time.
    StaleKeys,
    Par(fn(&mut Value)),
    Callback(fn(&mut Query)),
    /// The signed response.
    Jarm(fn(&mut Jwt)),
    /// The ID token beside the code.
    Front(fn(&mut Jwt)),
    /// The ID token from the token endpoint.
    IdToken(fn(&mut Jwt)),
    Token(fn(&mut Value)),
    /// Every refresh token begins with signs that a form must escape.
    OddRefreshToken,
    /// How the key of the encrypted ID token beside the code is wrapped.
    Wrap(RsaesJweAlgorithm),
    /// The first answer of a path, and no other.
    Once(&'static str, fn(&mut Reply)),
    /// The answer of a path as a whole, or of all below one that ends with a slash.
    Answer(&'static str, fn(&mut Reply)),
}

struct State {
    fault: Fault,
    /// Whether the fault was planted.
    planted: bool,
    /// What came after that, in order.
    afterwards: Vec<String>,
}

struct Inner {
    state: Mutex<State>,
    signer: PemSigner,
    stranger: PemSigner,
    rsa: PemSigner,
    rsa_pair: RsaKeyPair,
    http: net::Client,
    port: Mutex<u64>,
    front: String,
}

/// A running proxy.
pub(crate) struct Proxy {
    /// Where browsers come in: the issuer.
    pub(crate) front: String,
    /// Where certificates are wanted.
    pub(crate) aliased: String,
    inner: Arc<Inner>,
    shutdown: CancellationToken,
    _runtime: Runtime,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Proxy {
    /// A proxy under a name of this machine, with this certificate.
    pub(crate) fn start(host: &str, pair: &Pair) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let shutdown = CancellationToken::new();
        let bind = || runtime.block_on(TcpListener::bind((host, 0))).expect("a port");
        let (plain, mutual) = (bind(), bind());
        let at =
            |listener: &TcpListener| format!("https://{host}:{}", listener.local_addr().expect("an address").port());
        let (front, aliased) = (at(&plain), at(&mutual));
        let inner = Arc::new(Inner::new(front.clone()));
        let roots = Roots::from_pem(text("ca.pem").as_bytes()).expect("roots");
        let listeners = [(plain, ClientCertificates::None), (mutual, ClientCertificates::Required(roots))];
        runtime.block_on(async {
            for (listener, clients) in listeners {
                let identity = TransportIdentity::from_pem(pair.certificate.as_bytes(), pair.key.as_bytes());
                let identity = identity.expect("an identity");
                let transport = Transport::Tls { identity, clients, clock: Arc::<TestClock>::default() };
                let inner = inner.clone();
                let router = Router::new().fallback(move |request: Request| handle(inner.clone(), request));
                serve(listener, ServeConfig::new(transport), router, shutdown.clone()).expect("a listener");
            }
        });
        Self { front, aliased, inner, shutdown, _runtime: runtime }
    }

    /// Where the server listens.
    pub(crate) fn stand_before(&self, port: u64) {
        *self.inner.port.lock().expect("nobody panicked") = port;
    }

    /// From now on this is wrong.
    pub(crate) fn plant(&self, fault: Fault) {
        *self.inner.state() = State { fault, planted: false, afterwards: Vec::new() };
    }

    /// Whether the fault was met, and everything that was asked for afterwards.
    pub(crate) fn afterwards(&self) -> (bool, Vec<String>) {
        let state = self.inner.state();
        (state.planted, state.afterwards.clone())
    }
}

async fn handle(inner: Arc<Inner>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    inner.note(&format!("{} {path}", parts.method), &path);
    let body = inner.as_given(&path, axum::body::to_bytes(body, BODY_BYTES_MAX).await.expect("a body"));
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let port = *inner.port.lock().expect("nobody panicked");
    let mut onward = http::Request::builder().method(parts.method).uri(format!("http://127.0.0.1:{port}{path}{query}"));
    let kept: BTreeSet<_> = ["content-type", "cookie", "accept", "authorization", "dpop", "origin"].into();
    for (name, value) in parts.headers.iter().filter(|(name, _)| kept.contains(name.as_str())) {
        onward = onward.header(name, value);
    }
    let host = inner.front.trim_start_matches("https://");
    onward = onward.header("x-forwarded-proto", "https").header("x-forwarded-host", host);
    if let Some(peer) = parts.extensions.get::<PeerCertificate>() {
        onward = onward.header("x-client-certificate", STANDARD.encode(&peer.der));
    }
    let answer = inner.http.send(onward.body(body).expect("a request")).await.expect("the server answers");
    let (mut head, body) = answer.into_parts();
    for name in ["content-length", "transfer-encoding", "connection", "keep-alive"] {
        head.headers.remove(name);
    }
    let mut reply = Reply { status: head.status.as_u16(), headers: head.headers, body: body.to_vec(), way: Way::Whole };
    inner.change(&path, &mut reply);
    reply.send().await
}

impl Inner {
    fn new(front: String) -> Self {
        let read = |alg, kid, name| PemSigner::from_pem(alg, kid, text(name).as_bytes()).expect("a key");
        let der = text("qsealc.key").lines().filter(|line| !line.starts_with("-----")).collect::<String>();
        let der = STANDARD.decode(der).expect("a key");
        let config = ClientConfig {
            identity: None,
            roots: Roots::from_pem(text("ca.pem").as_bytes()).expect("roots"),
            egress: Egress::plain_loopback(),
            limits: Limits::BANK,
            post_quantum: false,
            resumption: false,
            clock: Arc::<TestClock>::default(),
        };
        Self {
            state: Mutex::new(State { fault: Fault::Nothing, planted: false, afterwards: Vec::new() }),
            signer: read(Alg::Es256, KID, "server.key"),
            stranger: read(Alg::Es256, KID, "obwac.key"),
            rsa: read(Alg::Ps256, RSA_KID, "qsealc.key"),
            rsa_pair: RsaKeyPair::from_pkcs8(&der).expect("a key"),
            http: net::Client::new(config).expect("a client"),
            port: Mutex::new(0),
            front,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked")
    }

    /// Remembers what is asked for after the fault, but for the page that a browser is sent to.
    fn note(&self, line: &str, path: &str) {
        let mut state = self.state();
        if state.planted && path != ERROR_PAGE {
            state.afterwards.push(line.to_owned());
        }
    }

    fn planted(&self) {
        self.state().planted = true;
    }

    fn change(&self, path: &str, reply: &mut Reply) {
        let fault = self.state().fault;
        match path {
            "/.well-known/openid-configuration" => reply.json(|body| {
                if let Fault::Metadata(change) = fault {
                    change(body);
                    self.planted();
                }
            }),
            "/jwks" => reply.json(|body| self.publish(body, fault)),
            "/request" => reply.json(|body| {
                if let Fault::Par(change) = fault {
                    change(body);
                    self.planted();
                }
            }),
            "/token" => reply.json(|body| self.tokens(body, fault)),
            _ => self.way_home(reply, fault),
        }
        let whole = match fault {
            Fault::Answer(at, change) => Some((at, change)),
            Fault::Once(at, change) if !self.state().planted => Some((at, change)),
            _ => None,
        };
        if let Some((at, change)) = whole
            && (at == path || (at.ends_with('/') && path.starts_with(at)))
        {
            change(reply);
            self.planted();
        }
    }

    fn publish(&self, body: &mut Value, fault: Fault) {
        let mut loose = self.rsa.public_jwk();
        loose.remove("alg");
        *body = json!({ "keys": [loose, self.signer.public_jwk()] });
        if let Fault::Jwks(change) = fault {
            change(body);
            self.planted();
        }
        if matches!(fault, Fault::StaleKeys) && !self.state().planted {
            body["keys"].as_array_mut().expect("keys").pop();
            self.planted();
        }
    }

    /// What the client sends, with the refresh token as the server gave it.
    fn as_given(&self, path: &str, body: Bytes) -> Bytes {
        if path != "/token" || !matches!(self.state().fault, Fault::OddRefreshToken) {
            return body;
        }
        let fields = form_urlencoded::parse(&body).map(|(name, value)| {
            let given = value.strip_prefix(ODD_SIGNS).filter(|_| name == "refresh_token").map(str::to_owned);
            (name, given.unwrap_or_else(|| value.into_owned()))
        });
        form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into()
    }

    fn tokens(&self, body: &mut Value, fault: Fault) {
        if body["access_token"].is_null() {
            return;
        }
        if let Some(id_token) = body["id_token"].as_str() {
            let signed = self.anew(id_token, |jwt| {
                if let Fault::IdToken(change) = fault {
                    change(jwt);
                    self.planted();
                }
            });
            body["id_token"] = signed.into();
        }
        if let Fault::Token(change) = fault {
            change(body);
            self.planted();
        }
        if let (Fault::OddRefreshToken, Some(token)) = (fault, body["refresh_token"].as_str()) {
            body["refresh_token"] = format!("{ODD_SIGNS}{token}").into();
            self.planted();
        }
    }

    /// The redirect to the client, in its query or its fragment.
    fn way_home(&self, reply: &mut Reply, fault: Fault) {
        let location = reply.headers.get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let Some(mut home) = Url::parse(location).ok().filter(|_| location.starts_with(REDIRECT_URI)) else { return };
        let in_fragment = home.fragment().is_some();
        let text = if in_fragment { home.fragment() } else { home.query() }.unwrap_or_default();
        let mut parameters: Query = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        for (name, value) in &mut parameters {
            let change = match (name.as_str(), fault) {
                ("response", Fault::Jarm(change)) | ("id_token", Fault::Front(change)) => Some(change),
                ("response" | "id_token", _) => None,
                _ => continue,
            };
            *value = self.anew(value, |jwt| {
                if let Some(change) = change {
                    change(jwt);
                    self.planted();
                }
            });
            if let Fault::Wrap(wrap) = fault {
                *value = wrapped(value, wrap);
                self.planted();
            }
        }
        if let Fault::Callback(change) = fault {
            change(&mut parameters);
            self.planted();
        }
        let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        if in_fragment {
            home.set_fragment(Some(&text))
        } else {
            home.set_query(Some(&text))
        }
        reply
            .headers
            .insert(HeaderName::from_static("location"), HeaderValue::from_str(home.as_str()).expect("a header"));
    }

    /// Signs a JWT of the server with our key, after a change.
    fn anew(&self, jwt: &str, change: impl FnOnce(&mut Jwt)) -> String {
        let claims = jwt.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).expect("claims");
        let claims = serde_json::from_slice(&claims).expect("claims");
        let mut jwt = Jwt { header: json!({ "alg": "ES256", "kid": KID }), claims, hand: Hand::Proxy };
        change(&mut jwt);
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&jwt.header), part(&jwt.claims));
        let signature = match jwt.hand {
            Hand::Proxy => self.signer.sign(message.as_bytes()).expect("a signature"),
            Hand::Stranger => self.stranger.sign(message.as_bytes()).expect("a signature"),
            Hand::Rs256 => self.rs256(message.as_bytes()),
            Hand::Hs256 => {
                let secret = Value::Object(self.signer.public_jwk()).to_string();
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), message.as_bytes()).as_ref().to_vec()
            }
            Hand::Nobody => Vec::new(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn rs256(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.rsa_pair.public_modulus_len()];
        self.rsa_pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("a signature");
        signature
    }
}

/// A JWT inside an encrypted one for our key (RFC 7519 §5.2).
fn wrapped(jwt: &str, wrap: RsaesJweAlgorithm) -> String {
    let mut header = JweHeader::new();
    header.set_key_id(ENCRYPTION_KID);
    header.set_content_type("JWT");
    header.set_content_encryption("A256GCM");
    let encrypter = wrap.encrypter_from_jwk(&encryption_jwk()).expect("an encrypter");
    serialize_compact(jwt.as_bytes(), &header, &encrypter).expect("a JWE")
}
