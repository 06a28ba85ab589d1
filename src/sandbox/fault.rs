//! A refusal of the authorisation server: what the client is told, and what the bank writes down.

use axum::http::StatusCode;

/// Why the authorisation server said no. The client sees `error` (RFC 6749 §5.2 and successors) and a short description;
/// the log gets `code` and `detail`.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) error: &'static str,
    pub(crate) code: String,
    pub(crate) detail: String,
}

impl Fault {
    pub(crate) fn new(error: &'static str, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { error, code: code.into(), detail: detail.into() }
    }

    pub(crate) fn request(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new("invalid_request", code, detail)
    }

    pub(crate) fn client(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new("invalid_client", code, detail)
    }

    pub(crate) fn grant(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new("invalid_grant", code, detail)
    }

    /// RFC 6749 §5.2: failed client authentication is 401, all else 400.
    pub(crate) fn status(&self) -> StatusCode {
        if self.error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST }
    }
}
