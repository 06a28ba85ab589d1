//! Signatures of single requests by our seal, beside mutual TLS: the last thing that is done to a request, over the very
//! bytes that go out.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use fapi::keys::SignError;
use fapi::seal::SealKey;
use http::{HeaderName, HeaderValue, Request, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use secrecy::SecretString;
use serde_json::json;
use url::Url;

use crate::profile::SignatureForm;

const DIGEST: HeaderName = HeaderName::from_static("digest");
const SIGNATURE: HeaderName = HeaderName::from_static("signature");
const CERTIFICATE: HeaderName = HeaderName::from_static("tpp-signature-certificate");
const JWS: HeaderName = HeaderName::from_static("x-jws-signature");

/// What NextGenPSD2 1.3.x §12.2 wants signed where it is there. `Date` is not among it since 1.3.4, and one platform refuses
/// requests that sign it.
const OF_HTTP: [&str; 5] = ["digest", "x-request-id", "psu-id", "psu-corporate-id", "tpp-redirect-uri"];
/// What the form with the target signs.
const OF_TARGET: [&str; 3] = ["date", "digest", "x-request-id"];
/// What STET signs, before all that says something of the PSU.
const OF_STET: [&str; 4] = ["content-type", "date", "digest", "x-request-id"];

/// Our seal.
pub struct Seal {
    /// Its key.
    pub key: Arc<dyn SealKey>,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// How NextGenPSD2 names it: `SN=…,CA=…`, the serial number in hexadecimal and the issuer's distinguished name.
    pub name: String,
    /// Where banks find it, as STET wants it.
    pub address: Option<Url>,
}

/// Holds a key.
impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Who sends a request, and when.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    /// Our client id at the bank.
    pub client_id: &'a str,
    /// The token that the request shows, for banks that want it in the body, too.
    pub token: Option<&'a SecretString>,
    /// The present moment.
    pub now: Timestamp,
    /// Our seal, where there is one.
    pub seal: Option<&'a Seal>,
}

/// Why a request could not be signed. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The bank wants signatures and the registration has no seal.
    #[error("the bank wants requests signed, and the registration has no [seal]")]
    Missing,
    /// The bank wants to be told where the certificate is.
    #[error("the bank wants to know where the seal's certificate is, and [seal] names no `url`")]
    Address,
    /// A body that is not what its standard makes of it, or a value that no header can hold.
    #[error("the request cannot be signed as it is")]
    Request,
    /// The key did not sign.
    #[error(transparent)]
    Key(#[from] SignError),
}

/// For how long a token of our application is good, in seconds: for one request, and clocks that differ.
const TOKEN_SECONDS: i64 = 300;

/// The request with a token that says who sends it: a JWT (RFC 7519) signed by our seal with RS256, named by the client id.
pub(crate) fn application_token(
    mut request: Request<Bytes>,
    sender: &Sender<'_>,
    (issuer, audience): (&str, &str),
) -> Result<Request<Bytes>, SealError> {
    let seal = sender.seal.ok_or(SealError::Missing)?;
    let now = sender.now.as_second();
    let header = json!({ "typ": "JWT", "alg": "RS256", "kid": sender.client_id });
    let claims = json!({ "iss": issuer, "aud": audience, "iat": now, "exp": now + TOKEN_SECONDS });
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(seal.key.sign(signed.as_bytes())?);
    insert(&mut request, header::AUTHORIZATION, &format!("Bearer {signed}.{signature}"))?;
    if let Some(value) = request.headers_mut().get_mut(header::AUTHORIZATION) {
        value.set_sensitive(true);
    }
    Ok(request)
}

/// The request with the signature that the bank wants; itself where it wants none.
pub(crate) fn signed(
    form: Option<SignatureForm>,
    request: Request<Bytes>,
    sender: &Sender<'_>,
) -> Result<Request<Bytes>, SealError> {
    let Some(form) = form else { return Ok(request) };
    let seal = sender.seal.ok_or(SealError::Missing)?;
    match form {
        SignatureForm::Jws => jws(request, seal),
        SignatureForm::Http => {
            message(request, sender, &Message { names: &OF_HTTP, target: false, key: &seal.name }, seal)
        }
        SignatureForm::HttpTarget => {
            let form = Message { names: &OF_TARGET, target: true, key: sender.client_id };
            message(request, sender, &form, seal)
        }
        SignatureForm::Stet => {
            let address = seal.address.as_ref().ok_or(SealError::Address)?;
            message(request, sender, &Message { names: &OF_STET, target: true, key: address.as_str() }, seal)
        }
    }
}

/// A form of draft-cavage-http-signatures-10.
struct Message<'a> {
    /// Headers that are signed where they are there.
    names: &'a [&'a str],
    /// Whether method and path are signed, and with them the date.
    target: bool,
    key: &'a str,
}

fn message(
    mut request: Request<Bytes>,
    sender: &Sender<'_>,
    form: &Message<'_>,
    seal: &Seal,
) -> Result<Request<Bytes>, SealError> {
    let hash = STANDARD.encode(digest(&SHA256, request.body()));
    insert(&mut request, DIGEST, &format!("SHA-256={hash}"))?;
    insert(&mut request, CERTIFICATE, &STANDARD.encode(&seal.certificate))?;
    if form.target {
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&sender.now).map_err(|_| SealError::Request)?;
        insert(&mut request, header::DATE, &date)?;
    }
    let (names, text) = signing_text(&request, form)?;
    let signature = STANDARD.encode(seal.key.sign(text.as_bytes())?);
    let key = form.key.replace('"', "%22").replace(' ', "%20");
    let value = format!("keyId=\"{key}\",algorithm=\"rsa-sha256\",headers=\"{names}\",signature=\"{signature}\"");
    insert(&mut request, SIGNATURE, &value)?;
    Ok(request)
}

/// The names that are signed, and the text: `name: value`, joined by line feeds (draft-cavage-http-signatures-10 §2.3).
fn signing_text(request: &Request<Bytes>, form: &Message<'_>) -> Result<(String, String), SealError> {
    let mut lines: Vec<(&str, String)> = Vec::new();
    if form.target {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        lines.push(("(request-target)", format!("{} {path}", request.method().as_str().to_ascii_lowercase())));
    }
    let of_psu =
        request.headers().keys().map(HeaderName::as_str).filter(|name| form.target && name.starts_with("psu-"));
    for name in form.names.iter().copied().chain(of_psu) {
        if let Some(value) = request.headers().get(name) {
            lines.push((name, value.to_str().map_err(|_| SealError::Request)?.trim().to_owned()));
        }
    }
    let names: Vec<_> = lines.iter().map(|(name, _)| *name).collect();
    let text: Vec<_> = lines.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    Ok((names.join(" "), text.join("\n")))
}

/// A detached JWS over the body as it is (RFC 7797: `b64` is false, and whoever reads it must understand that).
fn jws(mut request: Request<Bytes>, seal: &Seal) -> Result<Request<Bytes>, SealError> {
    let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, &seal.certificate));
    let header = json!({
        "alg": "RS256",
        "b64": false,
        "crit": ["b64"],
        "x5c": [STANDARD.encode(&seal.certificate)],
        "x5t#S256": thumbprint,
    });
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let mut message = format!("{header}.").into_bytes();
    message.extend_from_slice(request.body());
    let signature = URL_SAFE_NO_PAD.encode(seal.key.sign(&message)?);
    insert(&mut request, JWS, &format!("{header}..{signature}"))?;
    Ok(request)
}

fn insert(request: &mut Request<Bytes>, name: HeaderName, value: &str) -> Result<(), SealError> {
    let value = HeaderValue::from_str(value).map_err(|_| SealError::Request)?;
    request.headers_mut().insert(name, value);
    Ok(())
}
