//! Forms out, JSON in: how every endpoint of an authorization server is spoken to.

use bytes::Bytes;
use domain::limits::AUTH_BODY_BYTES_MAX;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
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
    bare(Method::GET, url)
}

/// A POST of a form (`application/x-www-form-urlencoded`, RFC 6749 §4.1.3).
pub(crate) fn post(url: &Url, form: &Form) -> Request<Bytes> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    with_body(Method::POST, url, "application/x-www-form-urlencoded", body)
}

/// A request with a body of a media type.
pub(crate) fn with_body(method: Method, url: &Url, media_type: &'static str, body: String) -> Request<Bytes> {
    let mut request = request(method, url, Bytes::from(body));
    request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(media_type));
    request
}

/// A request without a body.
pub(crate) fn bare(method: Method, url: &Url) -> Request<Bytes> {
    request(method, url, Bytes::new())
}

/// Shows a token in the header, where it is marked as a secret (RFC 6750 §2.1). False where no header can carry it.
pub(crate) fn authorise(request: &mut Request<Bytes>, scheme: &str, token: &SecretString) -> bool {
    let Ok(mut value) = http::HeaderValue::try_from(format!("{scheme} {}", token.expose_secret())) else {
        return false;
    };
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    true
}

fn request(method: Method, url: &Url, body: Bytes) -> Request<Bytes> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    // Every URL that gets here was checked to be one that HTTP can carry (`metadata::is_https`).
    *request.uri_mut() = url.as_str().parse().unwrap_or_default();
    request.headers_mut().insert(ACCEPT, http::HeaderValue::from_static("application/json"));
    request
}

/// The JSON object of an answer. The content type is not looked at: servers label JSON in many ways.
pub(crate) fn json_object(body: &[u8]) -> Option<Map<String, Value>> {
    (body.len() <= AUTH_BODY_BYTES_MAX).then_some(())?;
    serde_json::from_slice(body).ok()
}

/// A whole number, also where it is written with a fraction of nothing: some servers write every number so.
pub(crate) fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_number()?.to_string().strip_suffix(".0")?.parse().ok())
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

/// The token of `Bearer …`, the scheme in any case (RFC 9110 §11.1).
pub(crate) fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token.trim_start()).filter(|token| !token.is_empty())
}
