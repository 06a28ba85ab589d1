//! The authorisation server: FAPI 2.0 Security Profile and Message Signing's signed requests and responses.

mod client;
mod metadata;
pub(crate) mod request;
pub(crate) mod token;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use net::serve::PeerCertificate;
use serde_json::{Value, json};

use crate::bank::{Inner, Said, Shared};
use crate::config::Binding;
use crate::dpop::{self, Proven};
use crate::fault::Fault;

/// The endpoints that both listeners have. Those that act want a client certificate and so work on the interface alone.
pub(crate) fn router(bank: Shared) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(metadata::metadata))
        .route("/.well-known/oauth-authorization-server", get(metadata::metadata))
        .route("/jwks", get(metadata::jwks))
        .route("/par", post(par))
        .route("/token", post(token))
        .route("/revoke", post(revoke))
        .route("/introspect", post(introspect))
        .route("/arrangements/revoke", post(revoke_arrangement))
        .with_state(bank)
}

type Peer = Option<Extension<PeerCertificate>>;

async fn par(State(bank): State<Shared>, peer: Peer, headers: HeaderMap, body: Bytes) -> Response {
    let answer = Form::read(&headers, &body)
        .and_then(|form| request::push(&bank, peer_of(&peer)?, &form))
        .map(|body| (StatusCode::CREATED, body));
    answered(&bank, "par", answer)
}

async fn token(State(bank): State<Shared>, peer: Peer, headers: HeaderMap, body: Bytes) -> Response {
    let answer = Form::read(&headers, &body)
        .and_then(|form| token::grant(&bank, &holder_of(&bank, &peer, &headers)?, &form))
        .map(|body| (StatusCode::OK, bank.says(Said::TokenResponse, body)));
    answered(&bank, "token", answer)
}

async fn revoke(State(bank): State<Shared>, peer: Peer, headers: HeaderMap, body: Bytes) -> Response {
    let answer = Form::read(&headers, &body)
        .and_then(|form| token::revoke(&bank, peer_of(&peer)?, &form))
        .map(|()| (StatusCode::OK, json!({})));
    answered(&bank, "revoke", answer)
}

async fn introspect(State(bank): State<Shared>, peer: Peer, headers: HeaderMap, body: Bytes) -> Response {
    let answer = Form::read(&headers, &body)
        .and_then(|form| token::introspect(&bank, peer_of(&peer)?, &form))
        .map(|body| (StatusCode::OK, body));
    answered(&bank, "introspect", answer)
}

/// 204, or the error of the CDR standards.
async fn revoke_arrangement(State(bank): State<Shared>, peer: Peer, headers: HeaderMap, body: Bytes) -> Response {
    let ended = Form::read(&headers, &body).and_then(|form| token::revoke_arrangement(&bank, peer_of(&peer)?, &form));
    match ended {
        Ok(true) => StatusCode::NO_CONTENT.into_response(),
        Ok(false) => {
            bank.refuse("arrangement", "arrangement.unknown", "there is no such arrangement of this client");
            let code = "urn:au-cds:error:cds-all:Authorisation/InvalidArrangement";
            let error = json!({ "code": code, "title": "Invalid Consent Arrangement", "detail": "unknown" });
            (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(json!({ "errors": [error] }))).into_response()
        }
        Err(fault) => answered(&bank, "arrangement", Err(fault)),
    }
}

fn peer_of(peer: &Peer) -> Result<&PeerCertificate, Fault> {
    match peer {
        Some(Extension(peer)) => Ok(peer),
        None => Err(Fault::client(
            "client.certificate.missing",
            "no client certificate: use the endpoints under mtls_endpoint_aliases",
        )),
    }
}

/// Who is to hold a token: the certificate, or with proofs the key in the place of its thumbprint.
fn holder_of(bank: &Inner, peer: &Peer, headers: &HeaderMap) -> Result<PeerCertificate, Fault> {
    let mut holder = peer_of(peer)?.clone();
    if bank.policy.binding != Binding::Certificate {
        let url = format!("{}/token", bank.issuer);
        holder.thumbprint = dpop::holder(bank, headers, &Proven { method: "POST", url: &url, token: None })?;
    }
    Ok(holder)
}

fn answered(bank: &Inner, endpoint: &'static str, answer: Result<(StatusCode, Value), Fault>) -> Response {
    let challenge = answer.as_ref().is_err_and(|fault| fault.error == dpop::USE_NONCE).then(|| bank.nonce());
    let (status, body) = answer.unwrap_or_else(|fault| {
        bank.refuse(endpoint, &fault.code, &fault.detail);
        (fault.status(), json!({ "error": fault.error, "error_description": fault.detail }))
    });
    let mut response = (status, axum::Json(body)).into_response();
    // RFC 6749 §5.1: answers with tokens are not stored.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let nonce = challenge.and_then(|nonce| HeaderValue::try_from(nonce).ok());
    response.headers_mut().extend(nonce.map(|nonce| (dpop::DPOP_NONCE, nonce)));
    response
}

/// A form body in which every name occurs once (RFC 6749 §3.2).
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Fault> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().map(str::trim) != Some("application/x-www-form-urlencoded") {
            return Err(Fault::request("request.content_type.invalid", "the body must be form-encoded"));
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(body) {
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(Fault::request("request.parameter.duplicate", "a parameter occurs twice"));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(pairs))
    }

    /// A value; an empty one counts as absent (RFC 6749 §3.1).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    fn require(&self, name: &str) -> Result<&str, Fault> {
        self.get(name).ok_or_else(|| {
            Fault::request(format!("request.{name}.missing"), format!("the parameter {name} is missing"))
        })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}
