//! The one place where an error becomes HTTP: RFC 9457 problem details with an owner and an action.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::error::WhoCanFix;
use serde::Serialize;
use store::StoreError;
use utoipa::ToSchema;
use vault::KeyError;

use crate::keys;
use crate::services::ServiceError;
use crate::trace;

/// `application/problem+json` (RFC 9457). Carries no bank data and no inner error text.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// URI of the problem's kind: `/problems/{code}` of this server.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short sentence, the same for every occurrence.
    pub title: String,
    /// HTTP status.
    #[schema(value_type = u16)]
    #[serde(serialize_with = "status_number")]
    pub status: StatusCode,
    /// What happened this time and what to do.
    pub detail: String,
    /// Stable code for programs.
    pub code: String,
    /// `user`, `product`, `operator`, `bank` or `nobody`.
    pub who_can_fix: String,
    /// Where the one who can fix it should go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_url: Option<String>,
    /// Seconds after which a repetition makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Names this occurrence in our log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

fn status_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

/// What an endpoint answers when it cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No key, or one that is unknown, expired or revoked. All look the same.
    #[error("the request carries no valid API key")]
    Unauthorised,
    /// The key is valid but lacks the scope.
    #[error("the key lacks the scope {0}")]
    Scope(&'static str),
    /// Does not exist, or belongs to somebody else: the same answer.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The key reads for other purposes than those that the person agreed to.
    #[error("the key is for other purposes than the consent")]
    Purpose,
    /// A field of the request cannot be used.
    #[error("{field}: {why}")]
    Invalid {
        /// Name of the field as on the wire.
        field: &'static str,
        /// What is wrong, without the value.
        why: String,
    },
    /// The consent's state does not allow it.
    #[error("the consent's state does not allow this now")]
    ConsentState,
    /// Its person has to come back first: to the bank, or to confirm to us.
    #[error("the person has to renew or confirm the consent first: a link for them is to be asked for")]
    PersonNeeded,
    /// The bank lets us read no more of it today without the person.
    #[error("the bank lets nobody read more of this consent today without the person; with the person there it does")]
    BudgetExhausted {
        /// After which it does again.
        seconds: u64,
    },
    /// The bank has told us to slow down.
    #[error("the bank has asked to be left alone for a while")]
    BankResting {
        /// How long.
        seconds: u64,
    },
    /// A kind of data that the person was not asked about.
    #[error("the consent does not cover {0}")]
    Cluster(&'static str),
    /// What was asked for is being made.
    #[error("it is not ready yet")]
    NotReady,
    /// A body, a path or a query that cannot be read.
    #[error("the request cannot be read: {0}")]
    Malformed(String),
    /// The resource is there, and does not do this.
    #[error("this method is not for this resource")]
    Method,
    /// The body is larger than we read.
    #[error("the body is longer than {} bytes", domain::limits::REQUEST_BODY_BYTES_MAX)]
    TooLarge,
    /// The time for an answer is over.
    #[error("the answer took too long")]
    TimedOut,
    /// The key is not for the network that the request came from.
    #[error("the key is not for the network that the request came from")]
    Network,
    /// More requests than one key, or all of a tenant, may make.
    #[error("more requests came than may come")]
    TooMany {
        /// After which one more may come.
        seconds: u64,
    },
    /// The database or the keys are away for the moment.
    #[error("we cannot answer at the moment")]
    Unavailable,
    /// Something else moved the same consent at the same time.
    #[error("something else changed it at the same time")]
    Raced,
    /// The `Idempotency-Key` was used with another request.
    #[error("the Idempotency-Key was used with another request")]
    IdempotencyMismatch,
    /// The bank is not offered: no registration, or unknown.
    #[error("the institution is not available")]
    InstitutionUnavailable,
    /// Our own trouble. The chain goes to the log.
    #[error("internal error")]
    Internal(#[source] anyhow::Error),
}

impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        Self::Internal(error)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(what) => Self::NotFound(what),
            StoreError::Raced => Self::Raced,
            StoreError::NotAllowed => Self::ConsentState,
            StoreError::Unavailable { .. } => Self::Unavailable,
            StoreError::Exists { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Url
            | StoreError::Migration(_)
            | StoreError::Refused { .. } => Self::Internal(error.into()),
        }
    }
}

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> Self {
        if keys::is_final(&error) { Self::Internal(error.into()) } else { Self::Unavailable }
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Refused(_) | ServiceError::GrantRefused(_) | ServiceError::HoldRefused(_) => {
                Self::ConsentState
            }
            ServiceError::Store(error) => error.into(),
            ServiceError::Key(error) => error.into(),
            ServiceError::Call(error) => Self::Internal(error.into()),
            ServiceError::Ours(error) => Self::Internal(error),
        }
    }
}

impl ApiError {
    /// The problem behind a bare status, as routing, limits and guards around a handler give it.
    pub fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound("resource"),
            StatusCode::METHOD_NOT_ALLOWED => Self::Method,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::GATEWAY_TIMEOUT => Self::TimedOut,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            status if status.is_client_error() => Self::Malformed("its address, headers or body are broken".to_owned()),
            status => Self::Internal(anyhow::anyhow!("a request ended with {status} and no word")),
        }
    }

    fn public(&self) -> (StatusCode, &'static str, &'static str, WhoCanFix) {
        use WhoCanFix as Who;
        match self {
            Self::Unauthorised => (StatusCode::UNAUTHORIZED, "unauthorised", "A valid API key is needed", Who::Product),
            Self::Scope(_) => (StatusCode::FORBIDDEN, "scope_missing", "The key lacks a scope", Who::Product),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found", "Not found", Who::Product),
            Self::Invalid { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", "The request cannot be used", Who::Product)
            }
            Self::ConsentState => {
                (StatusCode::CONFLICT, "consent_state", "The consent's state does not allow this", Who::Product)
            }
            Self::PersonNeeded => {
                (StatusCode::CONFLICT, "person_needed", "The person has to come back first", Who::User)
            }
            Self::BudgetExhausted { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "budget_exhausted", "The bank's day is used up", Who::User)
            }
            Self::BankResting { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "bank_resting", "The bank wants a pause", Who::Bank)
            }
            Self::Cluster(_) => {
                (StatusCode::FORBIDDEN, "cluster_not_consented", "The consent does not cover these data", Who::Product)
            }
            Self::Purpose => {
                (StatusCode::FORBIDDEN, "purpose_not_consented", "The consent is for other purposes", Who::Product)
            }
            Self::NotReady => (StatusCode::NOT_FOUND, "not_ready", "Not ready yet", Who::Nobody),
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed", "The request cannot be read", Who::Product),
            Self::Method => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "The resource does not do this", Who::Product)
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too long", Who::Product),
            Self::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "timed_out", "The answer took too long", Who::Operator),
            Self::Network => (StatusCode::FORBIDDEN, "network_refused", "The key is for other networks", Who::Product),
            Self::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests", Who::Product),
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "We cannot answer at the moment", Who::Operator)
            }
            Self::Raced => (StatusCode::CONFLICT, "raced", "Changed at the same time", Who::Product),
            Self::IdempotencyMismatch => {
                (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch", "Idempotency key reused", Who::Product)
            }
            Self::InstitutionUnavailable => {
                (StatusCode::UNPROCESSABLE_ENTITY, "institution_unavailable", "Bank not available", Who::Operator)
            }
            Self::Internal(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something failed on our side", Who::Operator)
            }
        }
    }

    /// The problem document.
    pub fn problem(&self) -> Problem {
        let (status, code, title, who) = self.public();
        Problem {
            kind: format!("/problems/{code}"),
            title: title.to_owned(),
            status,
            detail: format!("{self}."),
            code: code.to_owned(),
            who_can_fix: who.as_str().to_owned(),
            action_url: None,
            retry_after: match self {
                Self::TooMany { seconds } | Self::BudgetExhausted { seconds } | Self::BankResting { seconds } => {
                    Some(*seconds)
                }
                Self::Raced | Self::NotReady | Self::Unavailable => Some(1),
                _ => None,
            },
            trace_id: matches!(self, Self::Internal(_)).then(trace::current).flatten(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Internal(error) = &self {
            tracing::error!(error = format!("{error:#}"), "a request failed on our side");
        }
        let problem = self.problem();
        let mut response = (problem.status, axum::Json(&problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if problem.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = problem.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_internal_error_shows_nothing_of_its_cause() {
        let problem = ApiError::Internal(anyhow::anyhow!("password hunter2 refused")).problem();
        let json = serde_json::to_string(&problem).unwrap();
        assert!(!json.contains("hunter2"), "{json}");
        assert_eq!(problem.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(json.contains(r#""status":500"#), "{json}");
    }

    #[test]
    fn a_bare_status_becomes_a_problem_of_the_same_status() {
        for status in [400, 404, 405, 413, 500, 503, 504] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(ApiError::of(status).problem().status, status);
        }
        assert_eq!(ApiError::of(StatusCode::UNSUPPORTED_MEDIA_TYPE).problem().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn every_problem_names_an_owner() {
        for error in [
            ApiError::Unauthorised,
            ApiError::Scope("consents"),
            ApiError::NotFound("consent"),
            ApiError::Invalid { field: "limit", why: "too large".to_owned() },
            ApiError::ConsentState,
            ApiError::Cluster("balances"),
            ApiError::NotReady,
            ApiError::Purpose,
            ApiError::Malformed("not JSON".to_owned()),
            ApiError::Raced,
            ApiError::IdempotencyMismatch,
            ApiError::InstitutionUnavailable,
            ApiError::Method,
            ApiError::TooLarge,
        ] {
            let problem = error.problem();
            assert!(!problem.who_can_fix.is_empty() && problem.status.is_client_error(), "{problem:?}");
        }
    }
}
