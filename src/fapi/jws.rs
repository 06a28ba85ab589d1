//! Compact JWS (RFC 7515 §7.1): making ours, and reading theirs in one way for every object that is signed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::keys::{KeySet, Signer};
use crate::profile::Alg;
use crate::refusal::{self, Reason, Refusal};

/// Which refusals a signed object gives: the checks are the same for each, the codes are its own.
pub(crate) struct Signed {
    pub(crate) format: Reason,
    pub(crate) alg: Reason,
    pub(crate) kid: Reason,
    pub(crate) signature: Reason,
}

/// The claims of an object whose signature was checked, with the algorithm it was checked by.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) alg: Alg,
    pub(crate) claims: Map<String, Value>,
}

/// Signs claims. `typ` guards against one kind of JWT being taken for another (RFC 8725 §3.11).
pub(crate) fn sign(signer: &dyn Signer, typ: Option<&str>, claims: &Value) -> Result<String, Refusal> {
    let mut header = json!({ "alg": signer.alg().as_str(), "kid": signer.kid() });
    if let Some(typ) = typ {
        header["typ"] = typ.into();
    }
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(claims));
    let signature = signer.sign(message.as_bytes()).map_err(|_| refusal::CLIENT_SIGNING_KEY_INVALID.refuse())?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Reads a compact JWS: algorithm, key and signature are checked before any claim is looked at.
pub(crate) fn verify(compact: &str, keys: &KeySet, algs: &[Alg], signed: &Signed) -> Result<Verified, Refusal> {
    let format = || signed.format.refuse();
    let (message, signature) = compact.rsplit_once('.').ok_or_else(format)?;
    let (header, payload) = message.split_once('.').ok_or_else(format)?;
    let header = object(header).ok_or_else(format)?;
    // RFC 7515 §4.1.11: an extension that must be understood and is not. We understand none.
    signed.format.require(!header.contains_key("crit"))?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| format())?;
    let alg = allowed_alg(&header, algs, &signed.alg)?;
    signature_fits(message, &signature, &keys.fitting(key_id(&header, signed)?, alg), signed)?;
    Ok(Verified { alg, claims: object(payload).ok_or_else(format)? })
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
