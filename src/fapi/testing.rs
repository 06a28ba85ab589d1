//! A login played against an authorization server that answers from a script: right in everything, except for what a
//! test changes.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::world::{Entropy, World};
use jiff::{SignedDuration, Timestamp};
use josekit::jwe::alg::rsaes::RsaesJweAlgorithm;
use josekit::jwe::{JweHeader, RSA_OAEP, RSA_OAEP_256};
use josekit::jwk::KeyPair;
use josekit::jwk::alg::ed::EdCurve;
use josekit::jws::{ES256, EdDSA, PS256, RS256};
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

use crate::call::Call;
use crate::client::Client;
use crate::id_token::half_hash;
use crate::keys::{Decrypter, KeySet, PemDecrypter, PemSigner, Signer};
use crate::login::{Callback, PendingLogin, RedeemableCode};
use crate::metadata::{self, Document, Environment, Metadata};
use crate::profile::{Alg, KeyEncryption, ResponseForm, Security, TokenBinding};
use crate::refusal::Refusal;
use crate::request::{AuthorizationRequest, Begun, Departure};
use crate::token::{Redeemed, Tokens};

pub(crate) const ISSUER: &str = "https://as.example/tenant/";
pub(crate) const CLIENT_ID: &str = "tpp-1";
pub(crate) const REDIRECT_URI: &str = "https://tpp.example/callback/first";
pub(crate) const ACCESS_TOKEN: &str = "opaque.access-token_1";
pub(crate) const SUBJECT: &str = "pairwise-7";
pub(crate) const CODE: &str = "code-1";
pub(crate) const INTENT: &str = "consent-42";
pub(crate) const ARRANGEMENT: &str = "arrangement-1";

/// The moment at which every play begins.
pub(crate) fn start() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

/// Chance that never repeats within a test and is the same in every run.
#[derive(Default)]
pub(crate) struct Seeded(AtomicU64);

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let count = self.0.fetch_add(1, Ordering::Relaxed);
            chunk.copy_from_slice(&digest(&SHA256, &count.to_be_bytes()).as_ref()[..chunk.len()]);
        }
    }
}

static PEMS: LazyLock<[(Alg, Vec<u8>); 3]> = LazyLock::new(|| {
    [
        (Alg::Ps256, RS256.generate_key_pair(2048).unwrap().to_pem_private_key()),
        (Alg::Es256, ES256.generate_key_pair().unwrap().to_pem_private_key()),
        (Alg::EdDsa, EdDSA.generate_key_pair(EdCurve::Ed25519).unwrap().to_pem_private_key()),
    ]
});

/// The PEM private key for an algorithm, made once per run.
pub(crate) fn pem(alg: Alg) -> &'static [u8] {
    &PEMS.iter().find(|(of, _)| *of == alg).unwrap().1
}

/// A signer with such a key.
pub(crate) fn signer(alg: Alg, kid: &str) -> PemSigner {
    PemSigner::from_pem(alg, kid, pem(alg)).unwrap()
}

/// What signs a scripted JWT.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Hand {
    /// The server's published key of this algorithm.
    Server(Alg),
    /// The server's published RSA key, used for RS256.
    Rs256,
    /// Nobody: an empty signature.
    Nobody,
}

/// A JWT of the server before it is signed.
pub(crate) struct Jwt {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    pub(crate) hand: Hand,
    pub(crate) envelope: Option<Envelope>,
}

/// How a JWT of the server is encrypted to us.
#[derive(Clone)]
pub(crate) struct Envelope {
    pub(crate) alg: RsaesJweAlgorithm,
    pub(crate) header: JweHeader,
    pub(crate) key: Map<String, Value>,
}

impl Envelope {
    /// As a good server encrypts.
    fn to_us(alg: KeyEncryption) -> Self {
        let mut header = JweHeader::new();
        header.set_content_encryption("A256GCM");
        header.set_content_type("JWT");
        header.set_key_id("ours-enc");
        Self {
            alg: match alg {
                KeyEncryption::RsaOaep => RSA_OAEP,
                KeyEncryption::RsaOaep256 => RSA_OAEP_256,
            },
            header,
            key: decrypter(alg).public_jwk(),
        }
    }

    fn close(&self, text: &str) -> String {
        let mut key = self.key.clone();
        key.remove("alg");
        let encrypter = self.alg.encrypter_from_jwk(&josekit::jwk::Jwk::from_map(key).unwrap()).unwrap();
        josekit::jwe::serialize_compact(text.as_bytes(), &self.header, &encrypter).unwrap()
    }
}

/// Our key that servers encrypt to.
pub(crate) fn decrypter(alg: KeyEncryption) -> PemDecrypter {
    PemDecrypter::from_pem(alg, "ours-enc", pem(Alg::Ps256)).unwrap()
}

impl Jwt {
    pub(crate) fn compact(&self) -> String {
        let signed = self.signed();
        self.envelope.as_ref().map_or(signed.clone(), |envelope| envelope.close(&signed))
    }

    fn signed(&self) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&self.header), part(&self.claims));
        let signature = match self.hand {
            Hand::Server(alg) => signer(alg, "any").sign(message.as_bytes()).unwrap(),
            Hand::Rs256 => RS256.signer_from_pem(pem(Alg::Ps256)).unwrap().sign(message.as_bytes()).unwrap(),
            Hand::Nobody => Vec::new(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Takes a claim out.
    pub(crate) fn without(&mut self, claim: &str) {
        self.claims.as_object_mut().unwrap().remove(claim);
    }
}

/// An answer of the server before it is sent.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// Sent instead of the body.
    pub(crate) raw: Option<Vec<u8>>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: Value) -> Self {
        Self { status, body, raw: None, headers: Vec::new() }
    }

    pub(crate) fn into_response(self) -> http::Response<Bytes> {
        let body = self.raw.unwrap_or_else(|| self.body.to_string().into_bytes());
        let mut response = http::Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(Bytes::from(body)).unwrap()
    }

    /// Takes a member out of the body.
    pub(crate) fn without(&mut self, member: &str) {
        self.body.as_object_mut().unwrap().remove(member);
    }

    /// Turns it into an OAuth error.
    pub(crate) fn error(&mut self, status: u16, error: &str) {
        (self.status, self.body) = (status, json!({ "error": error, "error_description": "words of the bank" }));
    }
}

/// The query of the redirect before it is encoded.
pub(crate) type Query = Vec<(String, String)>;

/// Sets a parameter.
pub(crate) fn set(query: &mut Query, name: &str, value: &str) {
    query.retain(|(known, _)| known != name);
    query.push((name.to_owned(), value.to_owned()));
}

/// Takes a parameter out.
pub(crate) fn drop_parameter(query: &mut Query, name: &str) {
    query.retain(|(known, _)| known != name);
}

type Change<T> = Box<dyn Fn(&mut T)>;

/// A login and what is wrong with it.
pub(crate) struct Play {
    pub(crate) security: Security,
    pub(crate) scope: String,
    pub(crate) details: Option<Value>,
    pub(crate) intent: Option<String>,
    pub(crate) arrangement: Option<String>,
    pub(crate) sharing_seconds: Option<u32>,
    /// How the server encrypts to us, if it does.
    pub(crate) encryption: Option<KeyEncryption>,
    pub(crate) signer: Arc<dyn Signer>,
    /// The algorithm the server announces and signs with.
    pub(crate) alg: Alg,
    pub(crate) environment: Environment,
    pub(crate) callback_after: SignedDuration,
    pub(crate) check_after: SignedDuration,
    pub(crate) metadata: Change<Reply>,
    pub(crate) jwks: Change<Reply>,
    pub(crate) par: Change<Reply>,
    pub(crate) callback: Change<Query>,
    pub(crate) jarm: Change<Jwt>,
    /// The ID token that comes with the code.
    pub(crate) front: Change<Jwt>,
    pub(crate) id_token: Change<Jwt>,
    pub(crate) token: Change<Reply>,
    redirect: RefCell<Option<Url>>,
    entropy: Seeded,
    sent: RefCell<Vec<http::Request<Bytes>>>,
}

/// A play in which nothing is wrong.
pub(crate) fn play(security: Security) -> Play {
    Play {
        security,
        scope: "openid accounts".to_owned(),
        details: None,
        intent: None,
        arrangement: None,
        sharing_seconds: None,
        encryption: None,
        signer: Arc::new(signer(Alg::Es256, "ours")),
        alg: Alg::Es256,
        environment: Environment::Production,
        callback_after: SignedDuration::from_secs(120),
        check_after: SignedDuration::from_secs(121),
        metadata: Box::new(|_| {}),
        jwks: Box::new(|_| {}),
        par: Box::new(|_| {}),
        callback: Box::new(|_| {}),
        jarm: Box::new(|_| {}),
        front: Box::new(|_| {}),
        id_token: Box::new(|_| {}),
        token: Box::new(|_| {}),
        redirect: RefCell::default(),
        entropy: Seeded::default(),
        sent: RefCell::default(),
    }
}

macro_rules! changes {
    ($($name:ident: $of:ty),*) => {
        /// Each returns the same play with one answer of the server changed.
        impl Play {$(
            pub(crate) fn $name(mut self, change: impl Fn(&mut $of) + 'static) -> Self {
                self.$name = Box::new(change);
                self
            }
        )*}
    };
}
changes!(metadata: Reply, jwks: Reply, par: Reply, callback: Query, jarm: Jwt, front: Jwt, id_token: Jwt, token: Reply);

impl Play {
    pub(crate) fn client(&self) -> Client {
        let client = Client::new(self.security.clone(), CLIENT_ID, REDIRECT_URI, self.signer.clone());
        match self.encryption {
            Some(alg) => client.with_decrypter(Arc::new(decrypter(alg))),
            None => client,
        }
    }

    pub(crate) fn world(&self) -> World<'_> {
        self.world_at(start())
    }

    /// The same chance at another moment.
    pub(crate) fn world_at(&self, now: Timestamp) -> World<'_> {
        World { now, entropy: &self.entropy }
    }

    /// Every request that was sent so far.
    pub(crate) fn sent(&self) -> Vec<http::Request<Bytes>> {
        self.sent.borrow().clone()
    }

    /// Moves a call: notes the request, answers with the reply.
    pub(crate) fn answer<T>(&self, call: Call<T, Refusal>, reply: Reply) -> Result<T, Refusal> {
        self.answer_at(call, reply, start())
    }

    /// The same at another moment.
    pub(crate) fn answer_at<T>(&self, call: Call<T, Refusal>, reply: Reply, now: Timestamp) -> Result<T, Refusal> {
        let (request, read) = call.split();
        self.sent.borrow_mut().push(request);
        read(reply.into_response(), now)
    }

    /// Refreshes tokens.
    pub(crate) fn refresh(&self, metadata: &Metadata, tokens: &Tokens, reply: Reply) -> Result<Tokens, Refusal> {
        let refreshed = self.answer(self.client().refresh(metadata, tokens, &self.world())?, reply)?;
        refreshed.granted().map_err(|unusable| unusable.refusal)
    }

    pub(crate) fn discover(&self) -> Result<Metadata, Refusal> {
        let mut reply = Reply::new(200, metadata_document(self.alg));
        (self.metadata)(&mut reply);
        self.answer(metadata::discover(ISSUER, Document::OpenId, self.environment, &self.security)?, reply)
    }

    /// The server's keys: one of each kind under one `kid`, and an RSA key for anything (the suite's decoys).
    pub(crate) fn keys(&self, metadata: &Metadata) -> Result<KeySet, Refusal> {
        let published = |alg: Alg| Value::Object(signer(alg, "server").public_jwk());
        let mut loose = signer(Alg::Ps256, "rsa-any").public_jwk();
        loose.remove("alg");
        let keys = [Value::Object(loose), published(Alg::Ps256), published(Alg::Es256), published(Alg::EdDsa)];
        let mut reply = Reply::new(200, json!({ "keys": keys }));
        (self.jwks)(&mut reply);
        self.answer(self.client().keys(metadata)?, reply)
    }

    pub(crate) fn push(&self, metadata: &Metadata) -> Result<Departure, Refusal> {
        let request = AuthorizationRequest {
            scope: self.scope.clone(),
            authorization_details: self.details.clone(),
            intent: self.intent.clone(),
            arrangement: self.arrangement.clone(),
            sharing_seconds: self.sharing_seconds,
            scope_details: None,
        };
        let mut reply =
            Reply::new(201, json!({ "request_uri": "urn:ietf:params:oauth:request_uri:abc+/=", "expires_in": 60 }));
        (self.par)(&mut reply);
        let departure = match self.client().begin(metadata, &request, &self.world())? {
            Begun::Push(call) => self.answer(call, reply)?,
            Begun::Ready(departure) => departure,
        };
        *self.redirect.borrow_mut() = Some(departure.redirect.clone());
        Ok(departure)
    }

    /// The browser comes back: the server echoes what was pushed to it.
    pub(crate) fn come_back(&self, login: PendingLogin, keys: &KeySet) -> Result<RedeemableCode, Refusal> {
        let mut query = self.right_answer();
        (self.callback)(&mut query);
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        login.finish(Callback::parse(&query)?, keys, start() + self.callback_after)
    }

    /// What the server sends back with the browser, as far as it is signed with the changes of the test.
    pub(crate) fn right_answer(&self) -> Query {
        let pushed = self.pushed_parameters();
        let state = pushed["state"].as_str().unwrap();
        let plain = [("code", CODE), ("state", state), ("iss", ISSUER)];
        let mut query: Query = plain.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        match self.security.response {
            ResponseForm::Query | ResponseForm::FormPost => {}
            ResponseForm::Hybrid | ResponseForm::HybridFormPost => {
                let mut claims = self.id_token_claims(&pushed);
                claims["c_hash"] = half_hash(CODE, self.alg).into();
                claims["s_hash"] = half_hash(state, self.alg).into();
                let mut jwt = self.jwt(claims);
                (self.front)(&mut jwt);
                query.push(("id_token".to_owned(), jwt.compact()));
            }
            ResponseForm::Jarm => {
                let claims = json!({
                    "iss": ISSUER, "aud": CLIENT_ID, "exp": start().as_second() + 600, "code": CODE, "state": state,
                });
                let mut jwt = self.jwt(claims);
                (self.jarm)(&mut jwt);
                query = vec![("response".to_owned(), jwt.compact())];
            }
        }
        query
    }

    pub(crate) fn redeem(&self, metadata: &Metadata, code: RedeemableCode) -> Result<Redeemed, Refusal> {
        let pushed = self.pushed_parameters();
        let mut claims = self.id_token_claims(&pushed);
        claims["at_hash"] = half_hash(ACCESS_TOKEN, self.alg).into();
        let mut jwt = self.jwt(claims);
        (self.id_token)(&mut jwt);
        let mut reply = token_reply();
        if self.security.binding == TokenBinding::Dpop {
            reply.body["token_type"] = "DPoP".into();
        }
        if let Some(details) = &self.details {
            reply.body["authorization_details"] = details.clone();
        }
        if let Some(member) = &self.security.arrangement_claim {
            reply.body[member] = self.arrangement.as_deref().unwrap_or(ARRANGEMENT).into();
        }
        reply.body["scope"] = self.scope.as_str().into();
        reply.body["id_token"] = jwt.compact().into();
        (self.token)(&mut reply);
        self.answer(self.client().redeem(metadata, code, &self.world())?, reply)
    }

    /// The whole login.
    pub(crate) fn run(&self) -> Result<Tokens, Refusal> {
        self.run_with_metadata().map(|(_, tokens)| tokens)
    }

    /// The whole login, with the metadata for what comes after.
    pub(crate) fn run_with_metadata(&self) -> Result<(Metadata, Tokens), Refusal> {
        let metadata = self.discover()?;
        let keys = self.keys(&metadata)?;
        let pushed = self.push(&metadata)?;
        // Every pending login goes through its stored form.
        let login = PendingLogin::from_bytes(&pushed.login.to_bytes()).unwrap();
        let code = self.come_back(login, &keys)?;
        let tokens = self.redeem(&metadata, code)?.check(&keys, start() + self.check_after)?;
        Ok((metadata, Tokens::from_bytes(&tokens.to_bytes()).unwrap()))
    }

    pub(crate) fn id_token_claims(&self, pushed: &Map<String, Value>) -> Value {
        let mut claims = json!({
            "iss": ISSUER,
            "sub": SUBJECT,
            "aud": CLIENT_ID,
            "nonce": pushed.get("nonce"),
            "iat": start().as_second() + 118,
            "exp": start().as_second() + 418,
            "acr": "urn:openbanking:psd2:sca",
            "auth_time": start().as_second() + 100,
            // Nobody reads these, whatever they hold.
            "birthdate": 7,
            "address": "none of our business",
        });
        if let Some(claim) = &self.security.intent_claim {
            claims[claim] = self.intent.clone().into();
        }
        claims
    }

    pub(crate) fn jwt(&self, claims: Value) -> Jwt {
        let header = json!({ "alg": self.alg.as_str(), "kid": "server" });
        let envelope = self.encryption.map(Envelope::to_us);
        Jwt { header, claims, hand: Hand::Server(self.alg), envelope }
    }

    /// Where the browser was sent last.
    pub(crate) fn redirect(&self) -> Url {
        self.redirect.borrow().clone().unwrap()
    }

    /// The parameters of the last request, from the form or the address, or from the request object in it.
    pub(crate) fn pushed_parameters(&self) -> Map<String, Value> {
        let sent = self.sent();
        let form = match sent.iter().rfind(|request| request.uri().path() == "/par") {
            Some(par) => form(par),
            None => fields(self.redirect().query().unwrap_or_default().as_bytes()),
        };
        match form.get("request") {
            Some(object) => opened(object, self.signer.alg()).1,
            None => form.into_iter().map(|(name, value)| (name, value.into())).collect(),
        }
    }
}

/// What the server says about itself.
pub(crate) fn metadata_document(alg: Alg) -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://as.example/authorize",
        "token_endpoint": "https://as.example/token",
        "pushed_authorization_request_endpoint": "https://as.example/par",
        "revocation_endpoint": "https://as.example/revoke",
        "introspection_endpoint": "https://as.example/introspect",
        "backchannel_authentication_endpoint": "https://as.example/bc-authorize",
        "registration_endpoint": "https://as.example/register",
        "cdr_arrangement_revocation_endpoint": "https://as.example/arrangements/revoke",
        "introspection_signing_alg_values_supported": [alg.as_str()],
        "jwks_uri": "https://as.example/jwks",
        "mtls_endpoint_aliases": {
            "token_endpoint": "https://mtls.as.example/token",
            "pushed_authorization_request_endpoint": "https://mtls.as.example/par",
            "revocation_endpoint": "https://mtls.as.example/revoke",
            "introspection_endpoint": "https://mtls.as.example/introspect",
            "backchannel_authentication_endpoint": "https://mtls.as.example/bc-authorize",
            "registration_endpoint": "https://mtls.as.example/register",
            "cdr_arrangement_revocation_endpoint": "https://mtls.as.example/arrangements/revoke",
        },
        "authorization_response_iss_parameter_supported": true,
        "id_token_signing_alg_values_supported": [alg.as_str()],
        "authorization_signing_alg_values_supported": [alg.as_str()],
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"],
        "token_endpoint_auth_signing_alg_values_supported": ["PS256", "ES256", "EdDSA"],
        "request_object_signing_alg_values_supported": ["PS256", "ES256", "EdDSA"],
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": ["ES256"],
        "backchannel_authentication_request_signing_alg_values_supported": ["PS256", "ES256", "EdDSA"],
        "backchannel_token_delivery_modes_supported": ["poll", "ping", "push"],
    })
}

/// A good answer of the token endpoint.
pub(crate) fn token_reply() -> Reply {
    Reply::new(
        200,
        json!({
            "access_token": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": 300,
            "refresh_token": "refresh-1",
            "scope": "openid accounts",
        }),
    )
}

/// An answer with an empty object.
pub(crate) fn empty_reply(status: u16) -> Reply {
    Reply::new(status, json!({}))
}

/// The fields of a form that was sent. Nothing is sent twice.
pub(crate) fn form(request: &http::Request<Bytes>) -> std::collections::BTreeMap<String, String> {
    fields(request.body())
}

fn fields(text: &[u8]) -> std::collections::BTreeMap<String, String> {
    let mut fields = std::collections::BTreeMap::new();
    for (name, value) in form_urlencoded::parse(text) {
        assert!(fields.insert(name.to_string(), value.into_owned()).is_none(), "{name} twice");
    }
    fields
}

/// Header and claims of a JWT of ours, checked as a server would, by josekit itself.
pub(crate) fn opened(jwt: &str, alg: Alg) -> (Value, Map<String, Value>) {
    let jwk = josekit::jwk::Jwk::from_map(signer(alg, "ours").public_jwk()).unwrap();
    let verifier: Box<dyn josekit::jws::JwsVerifier> = match alg {
        Alg::Ps256 => Box::new(PS256.verifier_from_jwk(&jwk).unwrap()),
        Alg::Es256 => Box::new(ES256.verifier_from_jwk(&jwk).unwrap()),
        Alg::EdDsa => Box::new(EdDSA.verifier_from_jwk(&jwk).unwrap()),
    };
    let (payload, header) = josekit::jws::deserialize_compact(jwt, verifier.as_ref()).unwrap();
    (Value::Object(header.claims_set().clone()), serde_json::from_slice(&payload).unwrap())
}
