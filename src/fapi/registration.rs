//! Becoming a client (RFC 7591) and managing it (RFC 7592): what we are is told to the server, and what it makes of it is
//! compared before anybody relies on it.
//!
//! [`Registrar`] → [`Answered`] → [`Registered`], whose client id a [`crate::client::Client`] takes. A directory that
//! vouches for us gives a software statement; some ecosystems want the whole registration signed
//! ([`crate::profile::Security::registration`]). Shared secrets are neither asked for nor kept.
//!
//! ```
//! # use std::sync::Arc;
//! # use std::sync::atomic::{AtomicU8, Ordering};
//! # use bytes::Bytes;
//! # use domain::world::{Entropy, World};
//! # use fapi::keys::{PemSigner, Signer, public_jwks};
//! # use fapi::metadata::{Environment, Metadata};
//! # use fapi::profile::{Alg, FAPI2_SECURITY};
//! use fapi::registration::{Description, PublishedKeys, Registrar};
//! # struct Counting(AtomicU8);
//! # impl Entropy for Counting {
//! #     fn fill(&self, bytes: &mut [u8]) {
//! #         bytes.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
//! #     }
//! # }
//! # let entropy = Counting(AtomicU8::new(0));
//! # let pem = josekit::jws::ES256.generate_key_pair()?.to_pem_private_key();
//! # let now: jiff::Timestamp = "2026-11-21T10:00:00Z".parse()?;
//! # let world = World { now, entropy: &entropy };
//! # let signer: Arc<dyn Signer> = Arc::new(PemSigner::from_pem(Alg::Es256, "key-2026", &pem)?);
//! # let metadata = br#"{ "issuer": "https://as.example", "authorization_endpoint": "https://as.example/authorize",
//! #     "token_endpoint": "https://as.example/token", "pushed_authorization_request_endpoint": "https://as.example/par",
//! #     "registration_endpoint": "https://as.example/register" }"#;
//! # let metadata = Metadata::parse(metadata, "https://as.example", Environment::Production, &FAPI2_SECURITY)?;
//! let registrar = Registrar::new(FAPI2_SECURITY, signer.clone());
//! let description = Description {
//!     redirect_uris: vec!["https://tpp.example/callback".to_owned()],
//!     keys: Some(PublishedKeys::Inline(public_jwks([signer.as_ref()]))),
//!     ..Description::default()
//! };
//! let (request, read) = registrar.register(&metadata, &description, None, &world)?.split();
//!
//! // A server that registers a shared secret in place of our key: the client exists and must not be used.
//! let answer = r#"{ "client_id": "tpp-1", "token_endpoint_auth_method": "client_secret_basic" }"#;
//! let answer = http::Response::builder().status(201).body(Bytes::from(answer))?;
//! let ungranted = read(answer, now)?.granted().unwrap_err();
//! assert_eq!(ungranted.refusal.code, "registration.token_endpoint_auth_method.mismatch");
//! assert_eq!(ungranted.registered.client_id, "tpp-1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::world::World;
use http::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;
use zeroize::Zeroizing;

use crate::call::Call;
use crate::jws;
use crate::keys::Signer;
use crate::metadata::{self, Metadata, endpoint_is_named};
use crate::profile::{
    Alg, ClientAuth, KeyEncryption, RegistrationForm, ResponseForm, Security, TokenBinding, TokenDelivery,
};
use crate::random;
use crate::refusal::{self, Refusal};
use crate::sealed::{self, Unreadable};
use crate::wire::{self, Endpoint};

/// Longest client id, in bytes. Some servers give URLs or JWTs.
const CLIENT_ID_BYTES_MAX: usize = 2048;
/// How the content of what is encrypted to us is encrypted (RFC 7518 §5.3).
const CONTENT_ENCRYPTION: &str = "A256GCM";
/// Members about signatures (OIDC Registration §2, OIDC CIBA Core §4, JARM §3): what comes back is what was asked for.
const SIGNING: [&str; 5] = [
    "token_endpoint_auth_signing_alg",
    "request_object_signing_alg",
    "id_token_signed_response_alg",
    "authorization_signed_response_alg",
    "backchannel_authentication_request_signing_alg",
];
/// Members about encryption (OIDC Registration §2, JARM §3).
const ENCRYPTION: [&str; 4] = [
    "id_token_encrypted_response_alg",
    "id_token_encrypted_response_enc",
    "authorization_encrypted_response_alg",
    "authorization_encrypted_response_enc",
];
/// Members that bind tokens (RFC 8705 §3.4, RFC 9449 §5.2): silence means that they are not bound.
const BINDING: [&str; 2] = ["tls_client_certificate_bound_access_tokens", "dpop_bound_access_tokens"];

/// How a server tells our certificate from others (RFC 8705 §2.1.2). Exactly one of these is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateName {
    /// The subject's distinguished name, written as RFC 4514 says. Servers differ in order and in the names of types.
    SubjectDn(String),
    /// A DNS name among the alternative names.
    SanDns(String),
    /// A URI among the alternative names.
    SanUri(String),
}

/// Where the server finds our keys (RFC 7591 §2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishedKeys {
    /// Fetched from us, so that they can change.
    Uri(Url),
    /// Sent along: a JWK set of public keys ([`crate::keys::public_jwks`]).
    Inline(Value),
}

/// What we are. The profile adds how we authenticate, sign and bind tokens.
#[derive(Clone, Default)]
pub struct Description {
    /// Where browsers may be sent to. Exactly these come back.
    pub redirect_uris: Vec<String>,
    /// Scopes that we may ask for, separated by single spaces. Absent: the server or the software statement decides.
    pub scope: Option<String>,
    /// Our keys. Absent where the software statement says where they are.
    pub keys: Option<PublishedKeys>,
    /// Which certificate is ours, where it proves who we are.
    pub certificate: Option<CertificateName>,
    /// Whether we fetch tokens of our own (RFC 6749 §4.4).
    pub own_tokens: bool,
    /// Whether users sign in elsewhere (OIDC CIBA).
    pub decoupled: bool,
    /// Where the server pings us, if the profile says that it does (OIDC CIBA Core §4).
    pub notification_endpoint: Option<Url>,
    /// What a directory says of us: a signed JWT.
    pub software_statement: Option<String>,
    /// Members that an ecosystem or a server wants beside or in place of the rest. One that is null is not sent.
    pub more: Map<String, Value>,
}

/// A software statement names people: `Debug` shows the redirect URIs alone.
impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Description").field("redirect_uris", &self.redirect_uris).finish_non_exhaustive()
    }
}

/// A client as the server keeps it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Registered {
    /// Who we are at this server.
    pub client_id: String,
    /// When we became it, by the server's word.
    pub issued_at: Option<Timestamp>,
    /// Where the registration is managed (RFC 7592 §3). Absent: below the registration endpoint, by client id.
    pub registration_client_uri: Option<Url>,
    /// What it is managed with. A server may change it with every answer.
    #[serde(serialize_with = "sealed::optional")]
    pub registration_access_token: Option<SecretString>,
}

impl Registered {
    /// The bytes to seal and store.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        sealed::write(self)
    }

    /// The registration of such bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        sealed::read(bytes)
    }
}

/// The token never reaches a log.
impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// A client that exists, compared with what was asked for.
#[derive(Debug)]
pub struct Answered {
    registered: Registered,
    verdict: Result<(), Refusal>,
}

impl Answered {
    /// The client, if the server made it what was asked for.
    ///
    /// # Errors
    /// With the client, which exists all the same: update or delete it.
    pub fn granted(self) -> Result<Registered, Box<Ungranted>> {
        match self.verdict {
            Ok(()) => Ok(self.registered),
            Err(refusal) => Err(Box::new(Ungranted { registered: self.registered, refusal })),
        }
    }
}

/// A client that the server made into something else than what was asked for. It must not be used.
#[derive(Debug, thiserror::Error)]
#[error("{refusal}")]
pub struct Ungranted {
    /// The client, to be updated or deleted.
    pub registered: Registered,
    /// Which check it did not pass.
    pub refusal: Refusal,
}

/// Registers us, by the rules of a profile.
#[derive(Clone)]
pub struct Registrar {
    security: Security,
    signer: Arc<dyn Signer>,
    encryption: Option<KeyEncryption>,
}

impl Registrar {
    /// A registrar with the profile that the client will follow and the key that it will sign with.
    pub fn new(security: Security, signer: Arc<dyn Signer>) -> Self {
        Self { security, signer, encryption: None }
    }

    /// The same for a client that ID tokens are encrypted to, and signed responses where they come so
    /// ([`crate::keys::Decrypter::alg`]). [`Description::more`] takes a member back that a server does not want.
    pub fn encrypted(self, alg: KeyEncryption) -> Self {
        Self { encryption: Some(alg), ..self }
    }

    /// The profile; discovery needs it.
    pub fn security(&self) -> &Security {
        &self.security
    }

    /// Registers a client (RFC 7591 §3.1). `initial_access_token` is what some servers want to see first; where a
    /// directory vouches for us the certificate of the connection and the software statement do.
    pub fn register(
        &self,
        metadata: &Metadata,
        description: &Description,
        initial_access_token: Option<&SecretString>,
        world: &World<'_>,
    ) -> Result<Call<Answered, Refusal>, Refusal> {
        let url = metadata.registration_endpoint();
        let url = endpoint_is_named(url, &refusal::METADATA_REGISTRATION_ENDPOINT_MISSING)?;
        let asked = self.members(metadata, description);
        let mut request = self.request(Method::POST, url, metadata, description, &asked, world)?;
        if let Some(token) = initial_access_token {
            show(&mut request, token)?;
        }
        Ok(Call::new(request, move |response, _| answered(response, StatusCode::CREATED, &asked, None)))
    }

    /// Reads what the server keeps of us (RFC 7592 §2.1), compared with the description. `token` is an access token of our
    /// own ([`crate::client::Client::client_credentials`]), for servers that give no token with the registration.
    pub fn read(
        &self,
        metadata: &Metadata,
        description: &Description,
        registered: &Registered,
        token: Option<&SecretString>,
    ) -> Result<Call<Answered, Refusal>, Refusal> {
        let (asked, known) = (self.members(metadata, description), registered.clone());
        let request = managing(wire::bare(Method::GET, &address(metadata, registered)?), registered, token)?;
        Ok(Call::new(request, move |response, _| answered(response, StatusCode::OK, &asked, Some(known))))
    }

    /// Replaces what the server keeps of us (RFC 7592 §2.2): what is not described is given up.
    pub fn update(
        &self,
        metadata: &Metadata,
        description: &Description,
        registered: &Registered,
        token: Option<&SecretString>,
        world: &World<'_>,
    ) -> Result<Call<Answered, Refusal>, Refusal> {
        let (mut asked, known) = (self.members(metadata, description), registered.clone());
        asked.insert("client_id".to_owned(), registered.client_id.as_str().into());
        let url = address(metadata, registered)?;
        let request = self.request(Method::PUT, &url, metadata, description, &asked, world)?;
        let request = managing(request, registered, token)?;
        Ok(Call::new(request, move |response, _| answered(response, StatusCode::OK, &asked, Some(known))))
    }

    /// Ends the registration (RFC 7592 §2.3), and with it every grant.
    pub fn delete(
        &self,
        metadata: &Metadata,
        registered: &Registered,
        token: Option<&SecretString>,
    ) -> Result<Call<(), Refusal>, Refusal> {
        let request = managing(wire::bare(Method::DELETE, &address(metadata, registered)?), registered, token)?;
        Ok(Call::new(request, |response, _| wire::expect(response, StatusCode::NO_CONTENT, &ENDPOINT).map(drop)))
    }

    /// The members of RFC 7591 §2 that follow from profile and description.
    fn members(&self, metadata: &Metadata, description: &Description) -> Map<String, Value> {
        let mut members = Map::new();
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                members.insert(name.to_owned(), value);
            }
        };
        let security = &self.security;
        let ours = || Some(Value::from(self.signer.alg().as_str()));
        add("redirect_uris", Some(json!(description.redirect_uris)));
        add("response_types", Some(json!([security.response.response_type()])));
        add("grant_types", Some(json!(self.grant_types(description))));
        add("scope", description.scope.as_deref().map(Value::from));
        add("software_statement", description.software_statement.as_deref().map(Value::from));
        add("token_endpoint_auth_method", Some(security.client_auth.as_str().into()));
        match security.client_auth {
            ClientAuth::PrivateKeyJwt => add("token_endpoint_auth_signing_alg", ours()),
            ClientAuth::TlsClientAuth | ClientAuth::SelfSignedTlsClientAuth => {}
        }
        add("request_object_signing_alg", ours().filter(|_| security.request.is_signed()));
        add("require_signed_request_object", security.request.is_signed().then_some(true.into()));
        add("require_pushed_authorization_requests", security.request.is_pushed().then_some(true.into()));
        add("id_token_signed_response_alg", self.theirs(metadata.id_token_algs()));
        let jarm = (security.response == ResponseForm::Jarm).then(|| self.theirs(metadata.jarm_algs())).flatten();
        add("authorization_signed_response_alg", jarm);
        let responses = (security.response == ResponseForm::Jarm).then_some("authorization_encrypted_response");
        for what in ["id_token_encrypted_response"].into_iter().chain(responses) {
            add(&format!("{what}_alg"), self.encryption.map(|alg| alg.as_str().into()));
            add(&format!("{what}_enc"), self.encryption.map(|_| CONTENT_ENCRYPTION.into()));
        }
        let bound = |binding| (security.binding == binding).then_some(Value::from(true));
        add("tls_client_certificate_bound_access_tokens", bound(TokenBinding::Mtls));
        add("dpop_bound_access_tokens", bound(TokenBinding::Dpop));
        match &description.keys {
            Some(PublishedKeys::Uri(uri)) => add("jwks_uri", Some(uri.as_str().into())),
            Some(PublishedKeys::Inline(jwks)) => add("jwks", Some(jwks.clone())),
            None => {}
        }
        match &description.certificate {
            Some(CertificateName::SubjectDn(name)) => add("tls_client_auth_subject_dn", Some(name.as_str().into())),
            Some(CertificateName::SanDns(name)) => add("tls_client_auth_san_dns", Some(name.as_str().into())),
            Some(CertificateName::SanUri(name)) => add("tls_client_auth_san_uri", Some(name.as_str().into())),
            None => {}
        }
        if description.decoupled {
            add("backchannel_token_delivery_mode", Some(security.token_delivery.as_str().into()));
            add("backchannel_authentication_request_signing_alg", ours());
            let pinged = security.token_delivery == TokenDelivery::Ping;
            let endpoint = description.notification_endpoint.as_ref().filter(|_| pinged);
            add("backchannel_client_notification_endpoint", endpoint.map(|url| url.as_str().into()));
        }
        members.extend(description.more.clone());
        members.retain(|_, value| !value.is_null());
        members
    }

    /// RFC 7591 §2, OIDC Registration §2 (a hybrid response type goes with `implicit`), OIDC CIBA Core §4.
    fn grant_types(&self, description: &Description) -> Vec<&'static str> {
        let optional = [
            (self.security.response.is_hybrid(), "implicit"),
            (description.own_tokens, "client_credentials"),
            (description.decoupled, crate::ciba::GRANT_TYPE),
        ];
        let chosen = optional.into_iter().filter(|(wanted, _)| *wanted).map(|(_, name)| name);
        ["authorization_code", "refresh_token"].into_iter().chain(chosen).collect()
    }

    /// An algorithm for the server's signatures: ours where it can, else its first.
    fn theirs(&self, algs: &[Alg]) -> Option<Value> {
        let same = algs.iter().find(|alg| **alg == self.signer.alg());
        same.or(algs.first()).map(|alg| alg.as_str().into())
    }

    /// The request that carries the members, in the profile's form.
    fn request(
        &self,
        method: Method,
        url: &Url,
        metadata: &Metadata,
        description: &Description,
        members: &Map<String, Value>,
        world: &World<'_>,
    ) -> Result<Request<Bytes>, Refusal> {
        let form = self.security.registration;
        let body = match form {
            RegistrationForm::Json => Value::Object(members.clone()).to_string(),
            RegistrationForm::Jose | RegistrationForm::Jwt => {
                let mut claims = members.clone();
                let now = world.now.as_second();
                for (name, value) in [
                    ("iss", Value::from(software_id(description)?)),
                    ("aud", metadata.issuer().into()),
                    ("jti", random::text::<16>(world).into()),
                    ("iat", now.into()),
                    ("exp", (now + self.security.request_object_seconds).into()),
                ] {
                    claims.insert(name.to_owned(), value);
                }
                jws::sign(self.signer.as_ref(), None, &Value::Object(claims))?
            }
        };
        Ok(wire::with_body(method, url, form.media_type(), body))
    }
}

/// The key never reaches a log.
impl fmt::Debug for Registrar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registrar").field("kid", &self.signer.kid()).finish_non_exhaustive()
    }
}

const ENDPOINT: Endpoint =
    Endpoint { status: refusal::REGISTRATION_STATUS_INVALID, refused: refusal::REGISTRATION_REQUEST_REFUSED };

/// The name that a directory gave our software (`software_id`, RFC 7591 §2): who a signed registration is from. The
/// statement is ours, so it is read and not verified; the server verifies it.
fn software_id(description: &Description) -> Result<String, Refusal> {
    let claims = description.software_statement.as_deref().and_then(|statement| {
        let payload = URL_SAFE_NO_PAD.decode(statement.split('.').nth(1)?).ok()?;
        serde_json::from_slice::<Map<String, Value>>(&payload).ok()
    });
    let id = claims.as_ref().and_then(|claims| claims.get("software_id")?.as_str());
    id.map(str::to_owned).ok_or_else(|| refusal::CLIENT_SOFTWARE_STATEMENT_MISSING.refuse())
}

/// RFC 7592 §3: where the server says. UK Open Banking and the CDR put it below the registration endpoint.
fn address(metadata: &Metadata, registered: &Registered) -> Result<Url, Refusal> {
    if let Some(uri) = &registered.registration_client_uri {
        return Ok(uri.clone());
    }
    let url = metadata.registration_endpoint().cloned();
    let mut url = endpoint_is_named(url, &refusal::METADATA_REGISTRATION_ENDPOINT_MISSING)?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push(&registered.client_id);
    }
    Ok(url)
}

/// RFC 7592 §2: shown with the token of the registration, or with one of our own.
fn managing(
    mut request: Request<Bytes>,
    registered: &Registered,
    token: Option<&SecretString>,
) -> Result<Request<Bytes>, Refusal> {
    let token = token.or(registered.registration_access_token.as_ref());
    show(&mut request, token.ok_or_else(|| refusal::CLIENT_REGISTRATION_ACCESS_TOKEN_MISSING.refuse())?)?;
    Ok(request)
}

fn show(request: &mut Request<Bytes>, token: &SecretString) -> Result<(), Refusal> {
    refusal::REGISTRATION_ACCESS_TOKEN_INVALID.require(wire::authorise(request, "Bearer", token))
}

/// Reads the answer of RFC 7591 §3.2.1 and compares it with what was asked for.
fn answered(
    response: Response<Bytes>,
    status: StatusCode,
    asked: &Map<String, Value>,
    known: Option<Registered>,
) -> Result<Answered, Refusal> {
    let body = wire::expect(response, status, &ENDPOINT)?;
    let body = wire::json_object(&body).ok_or_else(|| refusal::REGISTRATION_RESPONSE_INVALID.refuse())?;
    let client_id = client_id(&body)?;
    client_is_the_same(&client_id, known.as_ref())?;
    let known = known.unwrap_or_else(|| Registered {
        client_id,
        issued_at: None,
        registration_client_uri: None,
        registration_access_token: None,
    });
    let registered = Registered {
        issued_at: issued_at(&body)?.or(known.issued_at),
        registration_client_uri: client_uri(&body)?.or(known.registration_client_uri),
        registration_access_token: access_token(&body)?.or(known.registration_access_token),
        client_id: known.client_id,
    };
    Ok(Answered { registered, verdict: granted(&body, asked) })
}

/// RFC 7591 §3.2.1: the server tells everything that it registered, changed or not.
fn granted(body: &Map<String, Value>, asked: &Map<String, Value>) -> Result<(), Refusal> {
    auth_method_was_granted(body, asked)?;
    redirect_uris_were_granted(body, asked)?;
    grant_types_were_granted(body, asked)?;
    signing_algs_were_granted(body, asked)?;
    encryption_algs_were_granted(body, asked)?;
    tokens_will_be_bound(body, asked)
}

/// What was asked for came back, and nothing where nothing was asked for is compared.
fn equal(body: &Map<String, Value>, asked: &Map<String, Value>, name: &str) -> bool {
    asked.get(name).is_none_or(|asked| body.get(name) == Some(asked))
}

/// RFC 7591 §2: silence would mean a shared secret.
fn auth_method_was_granted(body: &Map<String, Value>, asked: &Map<String, Value>) -> Result<(), Refusal> {
    refusal::REGISTRATION_AUTH_METHOD_MISMATCH.require(equal(body, asked, "token_endpoint_auth_method"))
}

/// RFC 9700 §2.1: these and no others, in any order.
fn redirect_uris_were_granted(body: &Map<String, Value>, asked: &Map<String, Value>) -> Result<(), Refusal> {
    let (granted, asked) = (words(body, "redirect_uris"), words(asked, "redirect_uris"));
    let same = granted.len() == asked.len() && asked.iter().all(|uri| granted.contains(uri));
    refusal::REGISTRATION_REDIRECT_URIS_MISMATCH.require(same)
}

/// RFC 7591 §2: what we use is there; what else a server registers is not used.
fn grant_types_were_granted(body: &Map<String, Value>, asked: &Map<String, Value>) -> Result<(), Refusal> {
    let there = |name| {
        let granted = words(body, name);
        words(asked, name).iter().all(|word| granted.contains(word))
    };
    refusal::REGISTRATION_GRANT_TYPES_MISMATCH.require(there("grant_types") && there("response_types"))
}

/// OIDC Registration §2, OIDC CIBA Core §4, JARM §3: what is signed is signed in our way.
fn signing_algs_were_granted(body: &Map<String, Value>, asked: &Map<String, Value>) -> Result<(), Refusal> {
    refusal::REGISTRATION_SIGNING_ALGS_MISMATCH.require(SIGNING.iter().all(|name| equal(body, asked, name)))
}

/// OIDC Registration §2, JARM §3: what is encrypted to us is encrypted in the one way that we open.
fn encryption_algs_were_granted(body: &Map<String, Value>, asked: &Map<String, Value>) -> Result<(), Refusal> {
    refusal::REGISTRATION_ENCRYPTION_ALGS_MISMATCH.require(ENCRYPTION.iter().all(|name| equal(body, asked, name)))
}

/// RFC 8705 §3.4, RFC 9449 §5.2: our tokens will be of use to nobody else.
fn tokens_will_be_bound(body: &Map<String, Value>, asked: &Map<String, Value>) -> Result<(), Refusal> {
    refusal::REGISTRATION_BINDING_MISMATCH.require(BINDING.iter().all(|name| equal(body, asked, name)))
}

fn words<'a>(members: &'a Map<String, Value>, name: &str) -> Vec<&'a str> {
    members.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// RFC 6749 §A.1: printable ASCII.
fn client_id(body: &Map<String, Value>) -> Result<String, Refusal> {
    let id = body.get("client_id").ok_or_else(|| refusal::REGISTRATION_CLIENT_ID_MISSING.refuse())?;
    let id = id.as_str().ok_or_else(|| refusal::REGISTRATION_CLIENT_ID_INVALID.refuse())?;
    let printable = id.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    refusal::REGISTRATION_CLIENT_ID_INVALID.require(printable && (1..=CLIENT_ID_BYTES_MAX).contains(&id.len()))?;
    Ok(id.to_owned())
}

/// RFC 7592 §3: who asked about one client is not told of another.
fn client_is_the_same(client_id: &str, known: Option<&Registered>) -> Result<(), Refusal> {
    refusal::REGISTRATION_CLIENT_ID_MISMATCH.require(known.is_none_or(|known| known.client_id == client_id))
}

/// RFC 7591 §3.2.1: seconds, where the server says.
fn issued_at(body: &Map<String, Value>) -> Result<Option<Timestamp>, Refusal> {
    let instant = |value: &Value| wire::whole(value).and_then(|seconds| Timestamp::from_second(seconds).ok());
    let invalid = || refusal::REGISTRATION_RESPONSE_INVALID.refuse();
    present(body, "client_id_issued_at").map(|value| instant(value).ok_or_else(invalid)).transpose()
}

/// RFC 7592 §3: a token goes there, so it is https and nothing else.
fn client_uri(body: &Map<String, Value>) -> Result<Option<Url>, Refusal> {
    let https = |value: &Value| value.as_str().and_then(|text| Url::parse(text).ok()).filter(metadata::is_https);
    let invalid = || refusal::REGISTRATION_CLIENT_URI_INVALID.refuse();
    present(body, "registration_client_uri").map(|value| https(value).ok_or_else(invalid)).transpose()
}

/// RFC 6750 §2.1: visible ASCII, so that it fits a header and nothing else with it.
fn access_token(body: &Map<String, Value>) -> Result<Option<SecretString>, Refusal> {
    let visible = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let invalid = || refusal::REGISTRATION_ACCESS_TOKEN_INVALID.refuse();
    let token = present(body, "registration_access_token");
    token.map(|value| value.as_str().filter(visible).map(SecretString::from).ok_or_else(invalid)).transpose()
}

fn present<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    body.get(name).filter(|value| !value.is_null())
}
