//! Signatures: those of clients are checked against their registered keys, the bank's own are made.

use std::sync::{Mutex, PoisonError, RwLock};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use josekit::JoseError;
use josekit::jwe::{self, JweHeader, RSA_OAEP};
use josekit::jwk::Jwk;
use josekit::jwk::alg::ec::{EcCurve, EcKeyPair};
use josekit::jwk::alg::rsa::RsaKeyPair;
use josekit::jws::{ES256, EdDSA, JwsHeader, JwsVerifier, PS256, deserialize_compact, serialize_compact};
use serde_json::{Map, Value, json};

use crate::fault::Fault;

/// Longest time that a token's clock may run ahead of ours, in seconds (FAPI 2.0 Security Profile §5.3.2.1).
pub(crate) const AHEAD_SECONDS: i64 = 10;

/// Size of an RSA key.
const RSA_BITS: u32 = 2048;

/// base64url without padding.
pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// base64url of the SHA-256.
pub(crate) fn sha256_base64url(text: &str) -> String {
    base64url(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// The public keys of one client, which it may replace.
#[derive(Debug)]
pub(crate) struct Keys {
    known: RwLock<Vec<Jwk>>,
    /// The id of the key that last verified something.
    last: Mutex<Option<String>>,
    /// What they may sign with.
    algorithms: &'static [&'static str],
}

impl Keys {
    /// Reads a JWK set. `None` when it is not one or holds a private or symmetric key.
    pub(crate) fn from_json(jwks: &Value, algorithms: &'static [&'static str]) -> Option<Self> {
        Some(Self { known: RwLock::new(public_keys(jwks)?), last: Mutex::default(), algorithms })
    }

    /// Puts other keys in the place of these; `false` when they are none.
    pub(crate) fn replace(&self, jwks: &Value) -> bool {
        let keys = public_keys(jwks);
        keys.map(|keys| *self.known.write().unwrap_or_else(PoisonError::into_inner) = keys).is_some()
    }

    /// The id of the key that last verified something.
    pub(crate) fn last(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A JWT inside an encrypted one (RFC 7519 §5.2) for the key that the client registered for it.
    pub(crate) fn encrypt(&self, jwt: &str) -> Option<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut key = known.iter().find(|key| key.key_use() == Some("enc") && key.key_type() == "RSA")?.clone();
        drop(known);
        let mut header = JweHeader::new();
        header.set_key_id(key.key_id()?);
        header.set_content_type("JWT");
        header.set_content_encryption("A256GCM");
        key.set_algorithm("RSA-OAEP");
        jwe::serialize_compact(jwt.as_bytes(), &header, &RSA_OAEP.encrypter_from_jwk(&key).ok()?).ok()
    }

    /// Verifies a compact JWS and returns its header and claims. Keys are found by `kid` alone, never taken from the
    /// header (RFC 8725 §3.10).
    pub(crate) fn verify(&self, kind: Kind, token: &str) -> Result<(JwsHeader, Claims), Fault> {
        let header = peek_header(token).ok_or_else(|| kind.fault("", "invalid", "is not a compact JWS"))?;
        let kid = header.key_id().ok_or_else(|| kind.fault("kid", "missing", "has no kid in its header"))?;
        let alg = header.claim("alg").and_then(Value::as_str).unwrap_or_default();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let key = known.iter().find(|key| key.key_id() == Some(kid) && key_type_fits(key, alg));
        if !self.algorithms.contains(&alg) {
            return Err(kind.fault("alg", "mismatch", &format!("must be signed with {}", self.algorithms.join(", "))));
        }
        let verifier: Box<dyn JwsVerifier> = match (alg, key) {
            ("PS256" | "ES256" | "EdDSA", None) => {
                return Err(kind.fault("kid", "mismatch", "is signed with a key that is not registered"));
            }
            ("PS256", Some(key)) => Box::new(PS256.verifier_from_jwk(key).map_err(|_| kind.key_unfit())?),
            ("ES256", Some(key)) => Box::new(ES256.verifier_from_jwk(key).map_err(|_| kind.key_unfit())?),
            ("EdDSA", Some(key)) => Box::new(EdDSA.verifier_from_jwk(key).map_err(|_| kind.key_unfit())?),
            _ => return Err(kind.fault("alg", "mismatch", "must be signed with PS256, ES256 or EdDSA")),
        };
        let (payload, header) = deserialize_compact(token, verifier.as_ref())
            .map_err(|_| kind.fault("signature", "invalid", "has a signature that does not verify"))?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(kid.to_owned());
        let claims = serde_json::from_slice(&payload).map_err(|_| kind.fault("", "invalid", "is not a JSON object"))?;
        Ok((header, Claims { kind, map: claims }))
    }
}

/// The keys of a JWK set; none where one of them is private or symmetric.
fn public_keys(jwks: &Value) -> Option<Vec<Jwk>> {
    let keys = jwks.get("keys")?.as_array()?.iter().map(|key| {
        let map = key.as_object()?;
        let secret = map.contains_key("d") || map.contains_key("k");
        if secret { None } else { Jwk::from_map(map.clone()).ok() }
    });
    keys.collect()
}

fn key_type_fits(key: &Jwk, alg: &str) -> bool {
    matches!((key.key_type(), alg), ("RSA", "PS256") | ("EC", "ES256") | ("OKP", "EdDSA"))
}

fn peek_header(token: &str) -> Option<JwsHeader> {
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?;
    JwsHeader::from_bytes(&bytes).ok()
}

/// A claim read before the signature was checked: good only for finding the keys to check with.
pub(crate) fn unverified_claim(token: &str, name: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&bytes).ok()?;
    claims.get(name)?.as_str().map(str::to_owned)
}

/// What a signed object is, which decides how a refusal of it is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// RFC 7523 client assertion.
    ClientAssertion,
    /// RFC 9101 request object.
    RequestObject,
}

impl Kind {
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::ClientAssertion => ("client_assertion", "invalid_client", "the client assertion"),
            Self::RequestObject => ("request_object", "invalid_request_object", "the request object"),
        }
    }

    /// `<object>.<claim>.<what>` with one sentence.
    pub(crate) fn fault(self, claim: &str, what: &str, sentence: &str) -> Fault {
        let (object, error, subject) = self.names();
        let code = if claim.is_empty() { format!("{object}.{what}") } else { format!("{object}.{claim}.{what}") };
        Fault::new(error, code, format!("{subject} {sentence}"))
    }

    fn key_unfit(self) -> Fault {
        self.fault("alg", "mismatch", "is signed with an algorithm that does not fit the registered key")
    }
}

/// The claims of a verified object, read strictly.
#[derive(Debug)]
pub(crate) struct Claims {
    kind: Kind,
    map: Map<String, Value>,
}

impl Claims {
    /// A claim of any type.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.map.get(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// A string that must be there.
    pub(crate) fn text(&self, name: &str) -> Result<&str, Fault> {
        self.optional_text(name)?.ok_or_else(|| self.fault(name, "missing", &format!("has no {name}")))
    }

    /// A string that may be absent.
    pub(crate) fn optional_text(&self, name: &str) -> Result<Option<&str>, Fault> {
        match self.map.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.fault(name, "invalid", &format!("has a {name} that is not a string"))),
        }
    }

    /// A NumericDate (RFC 7519 §2) in whole seconds that must be there.
    pub(crate) fn seconds(&self, name: &str) -> Result<i64, Fault> {
        match self.map.get(name) {
            None => Err(self.fault(name, "missing", &format!("has no {name}"))),
            Some(value) => {
                value.as_i64().ok_or_else(|| self.fault(name, "invalid", &format!("has a {name} that is not a time")))
            }
        }
    }

    /// A string that must be there and equal.
    pub(crate) fn equals(&self, name: &str, expected: &str) -> Result<(), Fault> {
        if self.text(name)? == expected {
            Ok(())
        } else {
            Err(self.fault(name, "mismatch", &format!("has another {name} than expected")))
        }
    }

    /// `exp`, which must lie ahead.
    pub(crate) fn unexpired(&self, now: Timestamp) -> Result<i64, Fault> {
        let exp = self.seconds("exp")?;
        if exp > now.as_second() { Ok(exp) } else { Err(self.fault("exp", "expired", "has expired")) }
    }

    /// A moment that may not lie ahead of ours by more than [`AHEAD_SECONDS`].
    pub(crate) fn past(&self, name: &str, now: Timestamp) -> Result<i64, Fault> {
        let at = self.seconds(name)?;
        if at <= now.as_second() + AHEAD_SECONDS {
            Ok(at)
        } else {
            Err(self.fault(name, "invalid", &format!("has an {name} in the future")))
        }
    }

    /// `aud` as RFC 7519 §4.1.3 allows it: a string or a list that holds the value.
    pub(crate) fn audience_includes(&self, expected: &str) -> Result<(), Fault> {
        let fits = match self.map.get("aud") {
            None => return Err(self.fault("aud", "missing", "has no aud")),
            Some(Value::String(one)) => one == expected,
            Some(Value::Array(list)) => list.iter().any(|one| one == expected),
            Some(_) => false,
        };
        if fits { Ok(()) } else { Err(self.fault("aud", "mismatch", "is not addressed to this issuer")) }
    }

    pub(crate) fn fault(&self, claim: &str, what: &str, sentence: &str) -> Fault {
        self.kind.fault(claim, what, sentence)
    }
}

/// The bank's own signing key, for ID tokens and JARM responses: RSA where PS256 comes first, else EC.
#[derive(Debug)]
pub(crate) struct SigningKey {
    private: Jwk,
    public: Jwk,
    kid: String,
    rsa: bool,
}

impl SigningKey {
    pub(crate) fn generate(algorithms: &[&str]) -> Result<Self, JoseError> {
        let rsa = algorithms.first() == Some(&"PS256");
        let (private, public) = if rsa {
            let pair = RsaKeyPair::generate(RSA_BITS)?;
            (pair.to_jwk_private_key(), pair.to_jwk_public_key())
        } else {
            let pair = EcKeyPair::generate(EcCurve::P256)?;
            (pair.to_jwk_private_key(), pair.to_jwk_public_key())
        };
        let kid = sha256_base64url(&public.to_string());
        Ok(Self { private, public, kid, rsa })
    }

    pub(crate) const fn alg(&self) -> &'static str {
        if self.rsa { "PS256" } else { "ES256" }
    }

    /// The JWK set behind `jwks_uri`.
    pub(crate) fn jwks(&self) -> Value {
        let mut key: Map<String, Value> = self.public.clone().into();
        key.insert("kid".to_owned(), json!(self.kid));
        key.insert("use".to_owned(), json!("sig"));
        key.insert("alg".to_owned(), json!(self.alg()));
        json!({ "keys": [key] })
    }

    /// A compact JWS over claims.
    pub(crate) fn sign(&self, claims: &Value) -> Result<String, JoseError> {
        let mut header = JwsHeader::new();
        header.set_key_id(&self.kid);
        let text = claims.to_string();
        if self.rsa {
            serialize_compact(text.as_bytes(), &header, &PS256.signer_from_jwk(&self.private)?)
        } else {
            serialize_compact(text.as_bytes(), &header, &ES256.signer_from_jwk(&self.private)?)
        }
    }
}
