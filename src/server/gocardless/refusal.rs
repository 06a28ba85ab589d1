//! What is answered when something cannot be done: the bodies that clients tell apart.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use store::StoreError;
use vault::KeyError;

use crate::problem::ApiError;
use crate::services::ServiceError;

/// An error of this surface.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    body: Map<String, Value>,
    retry_after: Option<u64>,
}

impl Refusal {
    /// `{summary, detail, status_code}`.
    pub(super) fn new(status: StatusCode, summary: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut body = Map::new();
        body.insert("summary".to_owned(), summary.into().into());
        body.insert("detail".to_owned(), detail.into().into());
        Self::of(status, body)
    }

    fn of(status: StatusCode, mut body: Map<String, Value>) -> Self {
        body.insert("status_code".to_owned(), status.as_u16().into());
        Self { status, body, retry_after: None }
    }

    /// The same with the `type` that failures at a bank have.
    pub(super) fn kind(mut self, kind: &str) -> Self {
        self.body.insert("type".to_owned(), kind.into());
        self
    }

    /// A complaint about one field.
    pub(super) fn field(name: &str, summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::field_as(StatusCode::BAD_REQUEST, name, json!({ "summary": summary.into(), "detail": detail.into() }))
    }

    /// A complaint about one field, in a list as clients expect it of some fields.
    pub(super) fn field_list(name: &str, summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::field_as(StatusCode::BAD_REQUEST, name, json!([{ "summary": summary.into(), "detail": detail.into() }]))
    }

    /// A complaint about one field with another status.
    pub(super) fn field_as(status: StatusCode, name: &str, complaint: Value) -> Self {
        Self::of(status, Map::from_iter([(name.to_owned(), complaint)]))
    }

    /// Fields that must be there, with what is wrong with each.
    pub(super) fn fields(wrong: &[(&str, &str)]) -> Self {
        let body = wrong.iter().map(|(name, why)| ((*name).to_owned(), json!([why]))).collect();
        Self::of(StatusCode::BAD_REQUEST, body)
    }

    /// A field or parameter that is not known.
    pub(super) fn unknown(name: &str, place: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Unknown fields", format!("Unknown fields {{{name}}} in {{{place}}}"))
    }

    /// What does not exist, or is somebody else's.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found.", "Not found.")
    }

    /// An id that is none.
    pub(super) fn id(text: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Invalid ID", format!("{text} is not a valid UUID."))
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        if let ApiError::Internal(cause) = &error {
            tracing::error!(error = format!("{cause:#}"), "a request failed on our side");
        }
        let problem = error.problem();
        let mut refusal = match error {
            ApiError::Unauthorised => Self::new(problem.status, "Invalid token", "Token is invalid or expired"),
            ApiError::NotFound(_) => Self::not_found(),
            ApiError::Network => Self::new(
                problem.status,
                "IP address access denied",
                "Your IP isn't whitelisted to perform this action",
            ),
            ApiError::TooMany { seconds } => {
                Self::new(problem.status, "Rate limit exceeded", format!("Please try again in {seconds} seconds"))
            }
            _ => Self::new(problem.status, problem.title, problem.detail),
        };
        refusal.retry_after = problem.retry_after;
        refusal
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        ApiError::from(error).into()
    }
}

impl From<ServiceError> for Refusal {
    fn from(error: ServiceError) -> Self {
        ApiError::from(error).into()
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        ApiError::from(error).into()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
