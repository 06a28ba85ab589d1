//! Where banks call us. Nobody has a key here: what comes in is a hint, or proves itself by signatures.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::ids::RegistrationId;
use serde_json::json;

use crate::app::App;
use crate::problem::{ApiError, Problem};
use crate::services::hints::{self, Withdrawn};

const X_FAPI_INTERACTION_ID: HeaderName = HeaderName::from_static("x-fapi-interaction-id");
/// The Consumer Data Right's word for an arrangement that is not known.
const INVALID_ARRANGEMENT: &str = "urn:au-cds:error:cds-all:Authorisation/InvalidArrangement";

/// A bank says that a consent has changed (NextGenPSD2 Resource Status Notification Service; the address is our
/// `TPP-Notification-URI`). Nothing that it says is taken over: the bank is asked for the status. Whether we know the
/// consent is not told.
#[utoipa::path(
    post, path = "/banks/{registration}/notifications", tag = "banks", security(()),
    params(("registration" = String, Path)),
    request_body(content = String, content_type = "application/json"),
    responses((status = 204, description = "Taken"), (status = 404, body = Problem))
)]
pub async fn status_changed(
    State(app): State<Arc<App>>,
    Path(registration): Path<String>,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    changed(&app, &registration, &body).await.map(|()| StatusCode::NO_CONTENT)
}

/// A bank notifies an event, as a security event token (UK Open Banking Real Time Event Notification API; RFC 8417).
/// Nothing that it says is taken over: the bank is asked for the status, and our tokens are tried. Whether we know the
/// consent is not told.
#[utoipa::path(
    post, path = "/banks/{registration}/open-banking/{version}/event-notifications", tag = "banks", security(()),
    params(("registration" = String, Path), ("version" = String, Path, description = "As the bank has it: `v3.1`")),
    request_body(content = String, content_type = "application/jwt"),
    responses((status = 202, description = "Taken"), (status = 404, body = Problem))
)]
pub async fn event_notified(
    State(app): State<Arc<App>>,
    Path((registration, _version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    changed(&app, &registration, &body).await?;
    let mut response = StatusCode::ACCEPTED.into_response();
    response.headers_mut().extend(headers.get(&X_FAPI_INTERACTION_ID).map(|id| (X_FAPI_INTERACTION_ID, id.clone())));
    Ok(response)
}

async fn changed(app: &App, registration: &str, body: &[u8]) -> Result<(), ApiError> {
    let registration = RegistrationId::new(registration).ok_or(ApiError::NotFound("registration"))?;
    if hints::changed(app, &registration, body).await? { Ok(()) } else { Err(ApiError::NotFound("registration")) }
}

/// A data holder of the Consumer Data Right has ended an arrangement (CDR Arrangement Revocation End Point). The call is
/// signed with the keys of the bank's server, for the brand that the registration names as `data_holder`. It is the
/// withdrawal itself: reading stops at once, the data are erased, and the bank is not told in turn.
#[utoipa::path(
    post, path = "/arrangements/revoke", tag = "banks", security(()),
    params(("Authorization" = String, Header, description = "`Bearer` and a JWT that the data holder signed")),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 204, description = "Ended"),
        (status = 400, description = "Cannot be read", content_type = "application/json"),
        (status = 401, description = "Proves nothing", content_type = "application/json"),
        (status = 422, description = "No such arrangement", content_type = "application/json"),
        (status = 503, body = Problem)
    )
)]
pub async fn arrangement_ended(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let outcome = match hints::withdrawn(&app, authorization, &body).await {
        Ok(outcome) => outcome,
        // It comes again: whoever ends an arrangement repeats the call until it was taken.
        Err(error) if hints::is_the_banks(&error) => return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response()),
        Err(error) => return Err(error.into()),
    };
    // As authorisation servers word it (RFC 6749 §5.2): who calls is one.
    let oauth = |status: StatusCode, error: &str| (status, Json(json!({ "error": error }))).into_response();
    Ok(match outcome {
        Withdrawn::Ended => StatusCode::NO_CONTENT.into_response(),
        Withdrawn::Malformed => oauth(StatusCode::BAD_REQUEST, "invalid_request"),
        Withdrawn::Untrusted => oauth(StatusCode::UNAUTHORIZED, "invalid_client"),
        Withdrawn::UnknownArrangement => {
            let title = "Invalid Consent Arrangement";
            let error =
                json!({ "code": INVALID_ARRANGEMENT, "title": title, "detail": "There is no such arrangement." });
            (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "errors": [error] }))).into_response()
        }
    })
}
