//! Signed authorization responses (JWT Secured Authorization Response Mode, Final).

use domain::limits::CLOCK_SKEW_SECONDS;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::jws::{self, Signed};
use crate::keys::{Decrypter, KeySet};
use crate::login::{Answer, PendingLogin};
use crate::refusal::{self, Refusal};

/// JARM §2.1: how long a response may live, in seconds.
const LIFETIME_SECONDS_MAX: i64 = 600;

const SIGNED: Signed = Signed {
    typ: None,
    format: refusal::JARM_FORMAT_INVALID,
    alg: refusal::JARM_ALG_MISMATCH,
    kid: refusal::JARM_KID_UNTRUSTED,
    signature: refusal::JARM_SIGNATURE_INVALID,
    nbf: refusal::JARM_NBF_INVALID,
    encryption_alg: refusal::JARM_ENC_MISMATCH,
    encryption: refusal::JARM_ENCRYPTION_INVALID,
};

/// Reads the response JWT by the rules of JARM §2.4. The issuer is in the JWT; RFC 9207 §2.4 asks for no other.
pub(crate) fn read(jwt: String, login: &PendingLogin, keys: &KeySet, now: Timestamp) -> Result<Answer, Refusal> {
    let claims = jws::verify(&jwt, keys, &login.jarm_algs, &SIGNED, now)?.claims;
    issuer_matches(&claims, &login.issuer)?;
    audience_is_ours(&claims, &login.client_id)?;
    response_is_in_time(&claims, now)?;
    response_is_short_lived(&claims, now)?;
    let (code, state, error) = (text(&claims, "code")?, text(&claims, "state")?, text(&claims, "error")?);
    Ok(Answer { code, state, iss: Some(login.issuer.clone()), error, id_token: None })
}

/// The state that a response claims, before anything in it is believed.
pub(crate) fn claimed_state(jwt: &str, decrypter: Option<&dyn Decrypter>) -> Option<String> {
    jws::unverified(jwt, decrypter, &SIGNED)?.get("state")?.as_str().map(str::to_owned)
}

/// JARM §2.4 (2): from the server that was asked.
fn issuer_matches(claims: &Map<String, Value>, issuer: &str) -> Result<(), Refusal> {
    let iss = claims.get("iss").ok_or_else(|| refusal::JARM_ISS_MISSING.refuse())?;
    refusal::JARM_ISS_MISMATCH.require(iss == issuer)
}

/// JARM §2.4 (3): for us. An audience may be a list (RFC 7519 §4.1.3).
fn audience_is_ours(claims: &Map<String, Value>, client_id: &str) -> Result<(), Refusal> {
    let aud = claims.get("aud").ok_or_else(|| refusal::JARM_AUD_MISSING.refuse())?;
    let listed = aud.as_array().is_some_and(|list| list.iter().any(|one| one == client_id));
    refusal::JARM_AUD_MISMATCH.require(aud == client_id || listed)
}

/// JARM §2.4 (4): not expired, without leeway. The instant may have a fraction (RFC 7519 §2, NumericDate).
fn response_is_in_time(claims: &Map<String, Value>, now: Timestamp) -> Result<(), Refusal> {
    let exp = claims.get("exp").ok_or_else(|| refusal::JARM_EXP_MISSING.refuse())?;
    refusal::JARM_EXP_EXPIRED.require(exp.as_f64().is_some_and(|exp| (now.as_second() as f64) < exp))
}

/// JARM §2.1: it is used at once, so one that lives long was not made for that.
fn response_is_short_lived(claims: &Map<String, Value>, now: Timestamp) -> Result<(), Refusal> {
    let latest = now.as_second().saturating_add(LIFETIME_SECONDS_MAX + CLOCK_SKEW_SECONDS);
    let exp = claims.get("exp").and_then(Value::as_f64);
    refusal::JARM_EXP_INVALID.require(exp.is_some_and(|exp| exp <= latest as f64))
}

/// JARM §2.1, RFC 6749 §4.1.2: each parameter is text, where it is there; `null` is not there.
fn text(claims: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(refusal::JARM_CLAIMS_INVALID.refuse()),
    }
}
