//! Proof of possession (RFC 9449): a key for each grant, and a signed proof with every request that uses it.
//!
//! The key travels with the grant: from the pending login to the tokens, as 32 bytes that are sealed with them. Servers
//! may ask for a nonce of theirs; it is kept per server and role, and asked for again by [`crate::call::Call::challenged`].

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::world::World;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::jws;
use crate::keys::{SignError, Signer};
use crate::profile::Alg;
use crate::random;
use crate::refusal::{self, Refusal};
use crate::sealed;
use crate::wire;

/// The algorithm of every proof: the one that servers have in common.
pub(crate) const PROOF_ALG: Alg = Alg::Es256;

/// RFC 9449 §4.1.
const DPOP: HeaderName = HeaderName::from_static("dpop");
/// RFC 9449 §8.1.
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// RFC 9449 §4.2.
const PROOF_TYPE: &str = "dpop+jwt";
/// Bytes of a P-256 scalar and of a coordinate.
const SCALAR_BYTES: usize = 32;
/// First byte of an uncompressed point (SEC 1 §2.3.3), which the coordinates follow.
const POINT_TAG_BYTES: usize = 1;
/// Longest nonce that is kept, in bytes.
const NONCE_BYTES_MAX: usize = 512;

/// The key of one grant, as it is stored: a P-256 scalar in base64url.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct DpopKey(#[serde(serialize_with = "sealed::secret")] SecretString);

impl DpopKey {
    /// A fresh key. One scalar in four thousand million is out of range; it is refused when it should sign.
    pub(crate) fn generate(world: &World<'_>) -> Self {
        Self(random::text::<SCALAR_BYTES>(world).into())
    }

    /// The thumbprint by which a server knows the key (RFC 7638, RFC 9449 §10: `dpop_jkt`).
    pub(crate) fn thumbprint(&self) -> Result<String, Refusal> {
        let jwk = self.open()?.jwk;
        // RFC 7638 §3.2: the required members in lexical order, which is the order in which `try_open` writes them.
        Ok(URL_SAFE_NO_PAD.encode(digest(&SHA256, Value::Object(jwk).to_string().as_bytes())))
    }

    fn open(&self) -> Result<Opened, Refusal> {
        self.try_open().ok_or_else(|| refusal::CLIENT_SIGNING_KEY_INVALID.refuse())
    }

    fn try_open(&self) -> Option<Opened> {
        let scalar = Zeroizing::new(URL_SAFE_NO_PAD.decode(self.0.expose_secret()).ok()?);
        let point = PrivateKey::from_private_key(&ECDH_P256, &scalar).ok()?.compute_public_key().ok()?;
        let pair =
            EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &scalar, point.as_ref());
        let (x, y) = point.as_ref().get(POINT_TAG_BYTES..)?.split_at_checked(SCALAR_BYTES)?;
        let [x, y] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
        let jwk = json!({ "crv": "P-256", "kty": "EC", "x": x, "y": y });
        Some(Opened { pair: pair.ok()?, jwk: jwk.as_object()?.clone() })
    }
}

/// A key that is ready to sign.
struct Opened {
    pair: EcdsaKeyPair,
    jwk: Map<String, Value>,
}

impl Signer for Opened {
    fn alg(&self) -> Alg {
        PROOF_ALG
    }

    fn kid(&self) -> &str {
        ""
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| SignError)?;
        Ok(signature.as_ref().to_vec())
    }

    fn public_jwk(&self) -> Map<String, Value> {
        self.jwk.clone()
    }
}

/// What a server does for us. One host may play both roles, with a nonce for each (RFC 9449 §8, §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Authorization,
    Resource,
}

/// The last nonce of each server. Values that a server hands out for anybody to see: no secret.
#[derive(Debug, Default)]
pub(crate) struct Nonces(Mutex<BTreeMap<(Role, String), String>>);

impl Nonces {
    fn of(&self, role: Role, server: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(role, server.to_owned())).cloned()
    }

    /// RFC 9449 §8.2: any answer may bring a new nonce, which is copied as it is.
    pub(crate) fn learn(&self, role: Role, uri: &Uri, response: &Response<Bytes>) {
        let nonce = response.headers().get(DPOP_NONCE).and_then(|value| value.to_str().ok());
        if let Some(nonce) = nonce.filter(|nonce| !nonce.is_empty() && nonce.len() <= NONCE_BYTES_MAX) {
            let mut nonces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            nonces.insert((role, server(uri)), nonce.to_owned());
        }
    }
}

/// Scheme, host and port.
fn server(uri: &Uri) -> String {
    format!("{}://{}", uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |authority| authority.as_str()))
}

/// Adds the proof of RFC 9449 §4.2 to a request: fresh, for this method and address, with the server's last nonce, and
/// tied to the access token where the request uses one (§7).
pub(crate) fn prove(
    request: &mut Request<Bytes>,
    key: &DpopKey,
    role: Role,
    nonces: &Nonces,
    access_token: Option<&SecretString>,
    world: &World<'_>,
) -> Result<(), Refusal> {
    let key = key.open()?;
    let uri = request.uri();
    let mut claims = json!({
        "jti": random::text::<16>(world),
        "htm": request.method().as_str(),
        "htu": format!("{}{}", server(uri), uri.path()),
        "iat": world.now.as_second(),
    });
    if let Some(nonce) = nonces.of(role, &server(uri)) {
        claims["nonce"] = nonce.into();
    }
    if let Some(token) = access_token {
        claims["ath"] = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.expose_secret().as_bytes())).into();
    }
    let header = json!({ "alg": PROOF_ALG.as_str(), "typ": PROOF_TYPE, "jwk": key.jwk });
    let proof = jws::sign_with_header(&key, &header, &claims)?;
    let proof = HeaderValue::try_from(proof).map_err(|_| refusal::CLIENT_SIGNING_KEY_INVALID.refuse())?;
    request.headers_mut().insert(DPOP, proof);
    Ok(())
}

/// Whether an answer asks for a proof with a nonce: RFC 9449 §8 at an authorization server, §9 at a resource server.
pub(crate) fn asks_for_nonce(role: Role, response: &Response<Bytes>) -> bool {
    if !response.headers().contains_key(DPOP_NONCE) {
        return false;
    }
    match role {
        Role::Authorization => {
            let error = wire::json_object(response.body()).and_then(|body| body.get("error").cloned());
            response.status() == StatusCode::BAD_REQUEST && error.is_some_and(|error| error == "use_dpop_nonce")
        }
        Role::Resource => {
            let challenges = response.headers().get_all(http::header::WWW_AUTHENTICATE).into_iter();
            response.status() == StatusCode::UNAUTHORIZED
                && challenges.filter_map(|challenge| challenge.to_str().ok()).any(has_nonce_challenge)
        }
    }
}

/// `DPoP error="use_dpop_nonce"`, alone in its line or among the challenges of other schemes; a scheme in any case (RFC 9110
/// §11.1, §11.6.1).
fn has_nonce_challenge(line: &str) -> bool {
    let mut scheme = "";
    items(line).any(|item| {
        let (first, rest) = item.split_once(' ').unwrap_or((item, ""));
        let mut parameter = item;
        // A word that no `=` follows begins the next challenge.
        if !first.contains('=') && !rest.trim_start().starts_with('=') {
            (scheme, parameter) = (first, rest);
        }
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let error = name.trim().eq_ignore_ascii_case("error") && value.trim().trim_matches('"') == "use_dpop_nonce";
        error && scheme.eq_ignore_ascii_case("DPoP")
    })
}

/// The items of a list between its commas; those in quotes part nothing (RFC 9110 §5.6.1, §5.6.4).
fn items(line: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = line.split(move |sign| {
        let plain = !escaped;
        escaped = quoted && plain && sign == '\\';
        quoted ^= plain && sign == '"';
        sign == ',' && !quoted
    });
    parts.map(str::trim)
}
