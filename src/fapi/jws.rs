//! Compact JWS (RFC 7515 §7.1), also inside a JWE (RFC 7516 §7.1): making ours, and reading theirs in one way for every
//! object that is signed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::limits::CLOCK_SKEW_SECONDS;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::keys::{Decrypter, KeySet, Signer};
use crate::profile::Alg;
use crate::refusal::{self, Reason, Refusal};

/// Parts of a compact JWE.
const JWE_PARTS: usize = 5;
/// Content encryptions that are taken (RFC 7518 §5.1): those that the ecosystems name.
const CONTENT_ENCRYPTIONS: [&str; 3] = ["A256GCM", "A128GCM", "A128CBC-HS256"];

/// Types of JWTs that say what they are for (RFC 8725 §3.11): access tokens (RFC 9068), proofs (RFC 9449), ends of sessions
/// (OIDC Back-Channel Logout), events (RFC 8417), requests (RFC 9101), assertions (RFC 7523) and what is known of a token
/// (RFC 9701).
const TYPES: [&str; 7] = [
    "at+jwt",
    "dpop+jwt",
    "logout+jwt",
    "secevent+jwt",
    "oauth-authz-req+jwt",
    "client-authentication+jwt",
    "token-introspection+jwt",
];

/// Which refusals a signed object gives: the checks are the same for each, the codes are its own.
pub(crate) struct Signed {
    /// The one of [`TYPES`] that it may have.
    pub(crate) typ: Option<&'static str>,
    pub(crate) format: Reason,
    pub(crate) alg: Reason,
    pub(crate) kid: Reason,
    pub(crate) signature: Reason,
    pub(crate) nbf: Reason,
    pub(crate) encryption_alg: Reason,
    pub(crate) encryption: Reason,
}

/// The claims of an object that somebody vouches for, by its signature or by the connection that it came over.
#[derive(Debug)]
pub(crate) struct Verified {
    /// The algorithm that the header gives.
    pub(crate) alg: Alg,
    pub(crate) claims: Map<String, Value>,
    /// The type that the header gives.
    pub(crate) typ: Option<String>,
    /// Whether it came encrypted.
    pub(crate) encrypted: bool,
}

/// Signs claims. `typ` guards against one kind of JWT being taken for another (RFC 8725 §3.11).
pub(crate) fn sign(signer: &dyn Signer, typ: Option<&str>, claims: &Value) -> Result<String, Refusal> {
    let mut header = json!({ "alg": signer.alg().as_str(), "kid": signer.kid() });
    if let Some(typ) = typ {
        header["typ"] = typ.into();
    }
    sign_with_header(signer, &header, claims)
}

/// Signs claims under a header of its own.
pub(crate) fn sign_with_header(signer: &dyn Signer, header: &Value, claims: &Value) -> Result<String, Refusal> {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = signer.sign(message.as_bytes()).map_err(|_| refusal::CLIENT_SIGNING_KEY_INVALID.refuse())?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Reads a compact JWS: algorithm, key and signature are checked before any claim is looked at. Where we have a key that
/// others encrypt to, the JWS may come inside a JWE (RFC 7519 §5.2).
pub(crate) fn verify(
    compact: &str,
    keys: &KeySet,
    algs: &[Alg],
    signed: &Signed,
    now: Timestamp,
) -> Result<Verified, Refusal> {
    let format = || signed.format.refuse();
    let nested = decrypted(compact, keys.decrypter(), signed)?;
    let encrypted = nested.is_some();
    let compact = nested.as_deref().map_or(compact, String::as_str);
    let (message, signature) = compact.rsplit_once('.').ok_or_else(format)?;
    let (header, payload) = message.split_once('.').ok_or_else(format)?;
    let header = object(header).ok_or_else(format)?;
    let alg = taken_header(&header, algs, signed)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| format())?;
    signature_fits(message, &signature, &keys.fitting(key_id(&header, signed)?, alg), signed)?;
    let claims = object(payload).ok_or_else(format)?;
    time_has_come(&claims, signed, now)?;
    Ok(Verified { alg, claims, typ: typ(&header), encrypted })
}

/// What a JWS claims, without its signature: for what came over a connection that vouches for it.
pub(crate) fn unverified(
    compact: &str,
    decrypter: Option<&dyn Decrypter>,
    signed: &Signed,
) -> Option<Map<String, Value>> {
    let nested = decrypted(compact, decrypter, signed).ok()?;
    let compact = nested.as_deref().map_or(compact, String::as_str);
    object(compact.split('.').nth(1)?)
}

/// The claims of an object that came over a connection which vouches for it: the header must be one that would be taken,
/// the signature is not looked at.
pub(crate) fn vouched_for(
    compact: &str,
    decrypter: Option<&dyn Decrypter>,
    algs: &[Alg],
    signed: &Signed,
    now: Timestamp,
) -> Result<Verified, Refusal> {
    let nested = decrypted(compact, decrypter, signed)?;
    let encrypted = nested.is_some();
    let compact = nested.as_deref().map_or(compact, String::as_str);
    let mut parts = compact.split('.');
    let (header, payload, signature) = (parts.next().and_then(object), parts.next().and_then(object), parts.next());
    let (Some(header), Some(claims), Some(_), None) = (header, payload, signature, parts.next()) else {
        return Err(signed.format.refuse());
    };
    let alg = taken_header(&header, algs, signed)?;
    time_has_come(&claims, signed, now)?;
    Ok(Verified { alg, claims, typ: typ(&header), encrypted })
}

/// What is looked at in every header before a key is.
fn taken_header(header: &Map<String, Value>, algs: &[Alg], signed: &Signed) -> Result<Alg, Refusal> {
    nothing_else_must_be_understood(header, signed)?;
    type_is_not_of_another(header, signed)?;
    allowed_alg(header, algs, &signed.alg)
}

fn typ(header: &Map<String, Value>) -> Option<String> {
    header.get("typ").and_then(Value::as_str).map(str::to_ascii_lowercase)
}

/// The JWS inside a JWE; nothing where the text is no JWE or we have no key to open one.
fn decrypted(
    compact: &str,
    decrypter: Option<&dyn Decrypter>,
    signed: &Signed,
) -> Result<Option<Zeroizing<String>>, Refusal> {
    let Some(decrypter) = decrypter.filter(|_| compact.split('.').count() == JWE_PARTS) else { return Ok(None) };
    let header = compact.split('.').next().and_then(object).ok_or_else(|| signed.format.refuse())?;
    encryption_is_ours(&header, decrypter, signed)?;
    let plain = decrypter.decrypt(compact).map_err(|_| signed.encryption.refuse())?;
    let text = String::from_utf8(plain).map_err(|_| signed.encryption.refuse())?;
    Ok(Some(Zeroizing::new(text)))
}

/// FAPI 1.0 Advanced §8.6.1, RFC 8725 §3.1: the key was wrapped in the one way we registered, so never by RSA1_5, and the
/// content encrypted in a way we know. No compression (RFC 8725 §3.6).
fn encryption_is_ours(header: &Map<String, Value>, decrypter: &dyn Decrypter, signed: &Signed) -> Result<(), Refusal> {
    let word = |name: &str| header.get(name).and_then(Value::as_str);
    let wrapped = word("alg") == Some(decrypter.alg().as_str());
    let content = word("enc").is_some_and(|enc| CONTENT_ENCRYPTIONS.contains(&enc));
    signed.encryption_alg.require(wrapped && content)?;
    signed.format.require(!header.contains_key("zip"))?;
    nothing_else_must_be_understood(header, signed)
}

/// RFC 7515 §4.1.11, RFC 7516 §4.1.13: an extension that must be understood and is not. We understand none.
fn nothing_else_must_be_understood(header: &Map<String, Value>, signed: &Signed) -> Result<(), Refusal> {
    signed.format.require(!header.contains_key("crit"))
}

/// RFC 8725 §3.11, §3.12: what says that it is of another kind is not taken for this one. Many servers say nothing, or `JWT`;
/// the long form of a media type says the same (RFC 7515 §4.1.9).
fn type_is_not_of_another(header: &Map<String, Value>, signed: &Signed) -> Result<(), Refusal> {
    let named = typ(header).unwrap_or_default();
    let named = named.strip_prefix("application/").unwrap_or(&named);
    signed.format.require(signed.typ == Some(named) || !TYPES.contains(&named))
}

/// RFC 7519 §4.1.5: not before its time, where it has one. Clocks differ a little and no more.
fn time_has_come(claims: &Map<String, Value>, signed: &Signed, now: Timestamp) -> Result<(), Refusal> {
    let newest = now.as_second().saturating_add(CLOCK_SKEW_SECONDS);
    let nbf = claims.get("nbf").filter(|nbf| !nbf.is_null());
    signed.nbf.require(nbf.is_none_or(|nbf| nbf.as_f64().is_some_and(|nbf| nbf <= newest as f64)))
}

/// RFC 8725 §3.1: only an algorithm that is both announced and allowed; never `none`, never what the header likes.
fn allowed_alg(header: &Map<String, Value>, algs: &[Alg], reason: &Reason) -> Result<Alg, Refusal> {
    let alg = header.get("alg").and_then(Value::as_str).and_then(Alg::from_header);
    alg.filter(|alg| algs.contains(alg)).ok_or_else(|| reason.refuse())
}

/// RFC 7515 §4.1.4: the key id, which is a string where there is one.
fn key_id<'a>(header: &'a Map<String, Value>, signed: &Signed) -> Result<Option<&'a str>, Refusal> {
    header.get("kid").map(|kid| kid.as_str().ok_or_else(|| signed.format.refuse())).transpose()
}

/// RFC 7515 §5.2: one of the fitting keys made the signature.
fn signature_fits(
    message: &str,
    signature: &[u8],
    keys: &[&dyn crate::keys::Verifier],
    signed: &Signed,
) -> Result<(), Refusal> {
    signed.kid.require(!keys.is_empty())?;
    signed.signature.require(keys.iter().any(|key| key.verifies(message.as_bytes(), signature)))
}

/// A base64url-encoded JSON object.
fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
