//! Compact JWS (RFC 7515 §7.1), also inside a JWE (RFC 7516 §7.1): making ours, and reading theirs in one way for every
//! object that is signed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::keys::{Decrypter, KeySet, Signer};
use crate::profile::Alg;
use crate::refusal::{self, Reason, Refusal};

/// Parts of a compact JWE.
const JWE_PARTS: usize = 5;
/// Content encryptions that are taken (RFC 7518 §5.1): those that the ecosystems name.
const CONTENT_ENCRYPTIONS: [&str; 3] = ["A256GCM", "A128GCM", "A128CBC-HS256"];

/// Which refusals a signed object gives: the checks are the same for each, the codes are its own.
pub(crate) struct Signed {
    pub(crate) format: Reason,
    pub(crate) alg: Reason,
    pub(crate) kid: Reason,
    pub(crate) signature: Reason,
    pub(crate) encryption_alg: Reason,
    pub(crate) encryption: Reason,
}

/// The claims of an object whose signature was checked, with the algorithm it was checked by.
#[derive(Debug)]
pub(crate) struct Verified {
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
pub(crate) fn verify(compact: &str, keys: &KeySet, algs: &[Alg], signed: &Signed) -> Result<Verified, Refusal> {
    let format = || signed.format.refuse();
    let nested = decrypted(compact, keys.decrypter(), signed)?;
    let encrypted = nested.is_some();
    let compact = nested.as_deref().map_or(compact, String::as_str);
    let (message, signature) = compact.rsplit_once('.').ok_or_else(format)?;
    let (header, payload) = message.split_once('.').ok_or_else(format)?;
    let header = object(header).ok_or_else(format)?;
    nothing_else_must_be_understood(&header, signed)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| format())?;
    let alg = allowed_alg(&header, algs, &signed.alg)?;
    signature_fits(message, &signature, &keys.fitting(key_id(&header, signed)?, alg), signed)?;
    let typ = header.get("typ").and_then(Value::as_str).map(str::to_owned);
    Ok(Verified { alg, claims: object(payload).ok_or_else(format)?, typ, encrypted })
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
) -> Result<Map<String, Value>, Refusal> {
    let nested = decrypted(compact, decrypter, signed)?;
    let compact = nested.as_deref().map_or(compact, String::as_str);
    let mut parts = compact.split('.');
    let (header, payload, signature) = (parts.next().and_then(object), parts.next().and_then(object), parts.next());
    let (Some(header), Some(claims), Some(_), None) = (header, payload, signature, parts.next()) else {
        return Err(signed.format.refuse());
    };
    allowed_alg(&header, algs, &signed.alg)?;
    Ok(claims)
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
