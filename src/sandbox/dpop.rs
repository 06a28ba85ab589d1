//! Proofs of possession (RFC 9449): who holds the key that a token is bound to, and the nonces that a proof must carry.

use axum::http::{HeaderMap, HeaderName};
use jiff::{SignedDuration, Timestamp};
use josekit::jwk::Jwk;
use josekit::jws::{ES256, JwsHeader, deserialize_compact};
use serde_json::{Map, Value, json};

use crate::bank::Inner;
use crate::config::Binding;
use crate::fault::Fault;
use crate::jose::{AHEAD_SECONDS, sha256_base64url};

const DPOP: HeaderName = HeaderName::from_static("dpop");
/// RFC 9449 §8.1.
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// The error of RFC 9449 §8: no verdict, a challenge.
pub(crate) const USE_NONCE: &str = "use_dpop_nonce";
/// Oldest proof that is taken, in seconds.
const AGE_SECONDS_MAX: i64 = 300;

/// A request that a proof belongs to.
pub(crate) struct Proven<'a> {
    pub(crate) method: &'a str,
    /// Scheme, host, port and path.
    pub(crate) url: &'a str,
    /// The access token that the request shows.
    pub(crate) token: Option<&'a str>,
}

/// The thumbprint (RFC 7638) of the key that signed the proof of a request, after every check of RFC 9449 §4.3.
pub(crate) fn holder(bank: &Inner, headers: &HeaderMap, request: &Proven<'_>) -> Result<String, Fault> {
    let mut proofs = headers.get_all(DPOP).iter().filter_map(|value| value.to_str().ok());
    let (Some(proof), None) = (proofs.next(), proofs.next()) else {
        return Err(fault("missing", "a request needs exactly one DPoP header"));
    };
    let (key, header, claims) = opened(proof).ok_or_else(|| fault("invalid", "the proof is not one"))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let require = |holds: bool, code: &str, detail: &str| if holds { Ok(()) } else { Err(fault(code, detail)) };
    require(header.token_type() == Some("dpop+jwt"), "typ.mismatch", "the proof has another typ")?;
    require(text("htm") == Some(request.method), "htm.mismatch", "the proof is for another method")?;
    require(text("htu") == Some(request.url), "htu.mismatch", "the proof is for another address")?;
    let hash = request.token.map(sha256_base64url);
    require(text("ath") == hash.as_deref(), "ath.mismatch", "the proof is for another token, or for one too many")?;
    let now = bank.now().as_second();
    let iat = claims.get("iat").and_then(Value::as_i64).ok_or_else(|| fault("iat.missing", "the proof has no time"))?;
    require((now - AGE_SECONDS_MAX..=now + AHEAD_SECONDS).contains(&iat), "iat.invalid", "the proof is not of now")?;
    let thumbprint = thumbprint(&key).ok_or_else(|| fault("jwk.invalid", "the proof has no P-256 key"))?;
    if bank.policy.binding == (Binding::Key { nonces: true }) && !text("nonce").is_some_and(|nonce| bank.knows(nonce)) {
        return Err(Fault::new(USE_NONCE, "dpop.nonce.missing", "a proof carries the bank's nonce"));
    }
    let jti = text("jti").ok_or_else(|| fault("jti.missing", "the proof has no id"))?;
    let until = bank.after(AGE_SECONDS_MAX);
    require(
        bank.books().first_sight(&thumbprint, jti, until, bank.now()),
        "jti.replayed",
        "the proof was used before",
    )?;
    Ok(thumbprint)
}

fn fault(what: &str, detail: &str) -> Fault {
    Fault::new("invalid_dpop_proof", format!("dpop.{what}"), detail)
}

/// Key, header and claims of a proof that its own key verifies; no private key, no other algorithm.
fn opened(proof: &str) -> Option<(Jwk, JwsHeader, Map<String, Value>)> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(proof.split('.').next()?).ok()?;
    let peeked: Value = serde_json::from_slice(&bytes).ok()?;
    let key = peeked.get("jwk")?.as_object()?.clone();
    let public = !key.contains_key("d") && peeked.get("alg")? == "ES256";
    let key = Jwk::from_map(key).ok().filter(|_| public)?;
    let (payload, header) = deserialize_compact(proof, &ES256.verifier_from_jwk(&key).ok()?).ok()?;
    Some((key, header, serde_json::from_slice(&payload).ok()?))
}

/// RFC 7638 §3.2 for a P-256 key.
fn thumbprint(key: &Jwk) -> Option<String> {
    let member = |name: &str| key.parameter(name).and_then(Value::as_str);
    let canonical = json!({ "crv": member("crv")?, "kty": key.key_type(), "x": member("x")?, "y": member("y")? });
    Some(sha256_base64url(&canonical.to_string()))
}

/// How long a nonce is taken.
pub(crate) fn nonce_until(now: Timestamp) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(AGE_SECONDS_MAX)).unwrap_or(Timestamp::MAX)
}
