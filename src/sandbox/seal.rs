//! Signatures of single requests: a bank that wants them refuses whatever is not signed as it was registered.

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use josekit::jwk::Jwk;
use josekit::jws::{JwsVerifier, RS256};
use serde_json::{Map, Value, json};

use crate::bank::Shared;

/// Longest body that is looked at, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// How requests are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealForm {
    /// NextGenPSD2: the digest of the body and some headers, never the date.
    Http,
    /// The same with method, path and date, under the name of the client.
    HttpTarget,
    /// STET: as that, with all that says something of the PSU, under the address of the certificate.
    Stet,
    /// A detached JWS over the body.
    Jws,
    /// Not the request but a token in it is signed, which says who asks (Enable Banking).
    ApplicationToken,
}

/// The seal that a TPP has registered.
#[derive(Debug, Clone)]
pub struct RegisteredSeal {
    /// How it is used.
    pub form: SealForm,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Its public key, a JWK.
    pub key: Map<String, Value>,
}

/// A refusal: code in the log, sentence.
type Refused = (&'static str, &'static str);

const MISSING: Refused = ("signature.missing", "the request is not signed");
const FORM: Refused = ("signature.form.invalid", "the signature is not written as this bank wants it");
const COVER: Refused = ("signature.headers.missing", "the signature leaves out what must be signed");
const DIGEST: Refused = ("signature.digest.mismatch", "the digest is not that of the body");
const CERTIFICATE: Refused = ("signature.certificate.mismatch", "the certificate is not the registered one");
const STALE: Refused = ("signature.token.expired", "the token is over, too long-lived, or not valid yet");
const INVALID: Refused = ("signature.invalid", "the signature does not verify");

/// Lets through what is signed as it must be.
pub(crate) async fn check(State(bank): State<Shared>, request: Request, next: Next) -> Response {
    let Some(seal) = bank.seal() else { return next.run(request).await };
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    let clients = bank.clients.iter().map(|client| client.registered.client_id.as_str());
    match verify(&seal, &parts, &body, (&clients.collect::<Vec<_>>(), bank.now())) {
        Ok(()) => next.run(Request::from_parts(parts, Body::from(body))).await,
        Err((code, text)) => {
            bank.refuse("signature", code, text);
            let body = json!({ "tppMessages": [{ "category": "ERROR", "code": "SIGNATURE_INVALID" }] });
            (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response()
        }
    }
}

fn verify(
    seal: &RegisteredSeal,
    parts: &Parts,
    body: &Bytes,
    (clients, now): (&[&str], Timestamp),
) -> Result<(), Refused> {
    let verifier =
        RS256.verifier_from_jwk(&Jwk::from_map(seal.key.clone()).map_err(|_| INVALID)?).map_err(|_| INVALID)?;
    match seal.form {
        SealForm::Jws => jws(seal, parts, body, &verifier),
        SealForm::ApplicationToken => token(parts, clients, now, &verifier),
        SealForm::Http | SealForm::HttpTarget | SealForm::Stet => message(seal, parts, body, clients, &verifier),
    }
}

fn header<'p>(parts: &'p Parts, name: &str) -> Option<&'p str> {
    parts.headers.get(name).and_then(|value| value.to_str().ok())
}

/// draft-cavage-http-signatures-10 §2.5.
fn message(
    seal: &RegisteredSeal,
    parts: &Parts,
    body: &Bytes,
    clients: &[&str],
    verifier: &dyn JwsVerifier,
) -> Result<(), Refused> {
    let signature = header(parts, "signature").ok_or(MISSING)?;
    let member = |name: &str| {
        let found = signature.split("\",").find_map(|member| member.strip_prefix(name)?.strip_prefix("=\""));
        found.map(|value| value.trim_end_matches('"')).ok_or(FORM)
    };
    let (key, names) = (member("keyId")?, member("headers")?);
    let named = match seal.form {
        SealForm::Http => key.starts_with("SN=") && key.contains(",CA=") && !key.contains(' '),
        SealForm::HttpTarget => clients.contains(&key),
        SealForm::Stet | SealForm::Jws | SealForm::ApplicationToken => key.starts_with("https://"),
    };
    if !named || member("algorithm")? != "rsa-sha256" {
        return Err(FORM);
    }
    let signed: Vec<&str> = names.split(' ').collect();
    let of_psu = parts.headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with("psu-"));
    let mut wanted = match seal.form {
        SealForm::Http => vec!["digest", "x-request-id"],
        _ => vec!["(request-target)", "date", "digest", "x-request-id"],
    };
    wanted.extend(of_psu.filter(|name| seal.form == SealForm::Stet || matches!(*name, "psu-id" | "psu-corporate-id")));
    let left_out = wanted.iter().any(|name| !signed.contains(name));
    if left_out || seal.form == SealForm::Http && signed.contains(&"date") {
        return Err(COVER);
    }
    if header(parts, "digest") != Some(&format!("SHA-256={}", STANDARD.encode(digest(&SHA256, body)))) {
        return Err(DIGEST);
    }
    if header(parts, "tpp-signature-certificate") != Some(&STANDARD.encode(&seal.certificate)) {
        return Err(CERTIFICATE);
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let line = |name: &&str| match *name {
        "(request-target)" => Some(format!("(request-target): {} {path}", parts.method.as_str().to_lowercase())),
        name => header(parts, name).map(|value| format!("{name}: {value}")),
    };
    let lines = signed.iter().map(line).collect::<Option<Vec<_>>>().ok_or(COVER)?;
    let signature = STANDARD.decode(member("signature")?).map_err(|_| FORM)?;
    verifier.verify(lines.join("\n").as_bytes(), &signature).map_err(|_| INVALID)
}

/// For how long a token of an application may be good, in seconds.
const TOKEN_SECONDS_MAX: i64 = 24 * 60 * 60;
/// How far two clocks may differ, in seconds.
const SKEW_SECONDS: i64 = 60;

/// A JWT that names the application, the intermediary, and a time.
fn token(parts: &Parts, clients: &[&str], now: Timestamp, verifier: &dyn JwsVerifier) -> Result<(), Refused> {
    let jwt = header(parts, "authorization").and_then(|value| value.strip_prefix("Bearer ")).ok_or(MISSING)?;
    let (message, signature) = jwt.rsplit_once('.').ok_or(FORM)?;
    let (head, claims) = message.split_once('.').ok_or(FORM)?;
    let read = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    let (head, claims) = (read(head).ok_or(FORM)?, read(claims).ok_or(FORM)?);
    let named = head["kid"].as_str().is_some_and(|kid| clients.contains(&kid));
    if head["alg"] != "RS256"
        || !named
        || claims["iss"] != "enablebanking.com"
        || claims["aud"] != "api.enablebanking.com"
    {
        return Err(FORM);
    }
    let (Some(iat), Some(exp)) = (claims["iat"].as_i64(), claims["exp"].as_i64()) else { return Err(FORM) };
    if exp <= now.as_second() || exp - iat > TOKEN_SECONDS_MAX || iat > now.as_second() + SKEW_SECONDS {
        return Err(STALE);
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| FORM)?;
    verifier.verify(message.as_bytes(), &signature).map_err(|_| INVALID)
}

/// RFC 7797 §5.2 with the body left out (RFC 7515, appendix F).
fn jws(seal: &RegisteredSeal, parts: &Parts, body: &Bytes, verifier: &dyn JwsVerifier) -> Result<(), Refused> {
    let (head, signature) = header(parts, "x-jws-signature").ok_or(MISSING)?.split_once("..").ok_or(FORM)?;
    let read = URL_SAFE_NO_PAD.decode(head).ok().and_then(|head| serde_json::from_slice::<Value>(&head).ok());
    let said = read.ok_or(FORM)?;
    if said["alg"] != "RS256" || said["b64"] != false || said["crit"] != json!(["b64"]) {
        return Err(FORM);
    }
    if said["x5t#S256"] != URL_SAFE_NO_PAD.encode(digest(&SHA256, &seal.certificate)) {
        return Err(CERTIFICATE);
    }
    let mut message = format!("{head}.").into_bytes();
    message.extend_from_slice(body);
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| FORM)?;
    verifier.verify(&message, &signature).map_err(|_| INVALID)
}
