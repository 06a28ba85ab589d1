//! Forms out, JSON in: how every endpoint of an authorization server is spoken to.

use bytes::Bytes;
use domain::limits::AUTH_BODY_BYTES_MAX;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

use crate::refusal::{Reason, Refusal};

/// Form fields in the order they are sent.
pub(crate) type Form = Vec<(&'static str, String)>;

/// Which refusals the answers of an endpoint give.
pub(crate) struct Endpoint {
    /// An answer that is neither the expected status nor an OAuth error.
    pub(crate) status: Reason,
    /// An OAuth error (RFC 6749 §5.2).
    pub(crate) refused: Reason,
}

/// A GET for JSON.
pub(crate) fn get(url: &Url) -> Request<Bytes> {
    request(Method::GET, url, Bytes::new())
}

/// A POST of a form (`application/x-www-form-urlencoded`, RFC 6749 §4.1.3).
pub(crate) fn post(url: &Url, form: &Form) -> Request<Bytes> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut request = request(Method::POST, url, Bytes::from(body));
    request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/x-www-form-urlencoded"));
    request
}

fn request(method: Method, url: &Url, body: Bytes) -> Request<Bytes> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    // Every URL that gets here was checked to be absolute https; the URL and URI grammars agree on what `Url` prints.
    *request.uri_mut() = url.as_str().parse().unwrap_or_default();
    request.headers_mut().insert(ACCEPT, http::HeaderValue::from_static("application/json"));
    request
}

/// The JSON object of an answer. The content type is not looked at: servers label JSON in many ways.
pub(crate) fn json_object(body: &[u8]) -> Option<Map<String, Value>> {
    (body.len() <= AUTH_BODY_BYTES_MAX).then_some(())?;
    serde_json::from_slice(body).ok()
}

/// Passes an answer of the expected status. Anything else is the server's OAuth error if it has one, else its status.
pub(crate) fn expect(response: Response<Bytes>, status: StatusCode, endpoint: &Endpoint) -> Result<Bytes, Refusal> {
    if response.status() == status {
        return Ok(response.into_body());
    }
    let error = json_object(response.body()).and_then(|body| Some(body.get("error")?.as_str()?.to_owned()));
    match error {
        Some(error) if response.status().is_client_error() || response.status().is_server_error() => {
            Err(endpoint.refused.with_error(&error))
        }
        _ => Err(endpoint.status.with_status(response.status())),
    }
}
