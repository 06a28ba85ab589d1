//! A refusal of the account interface, as `tppMessages` (NextGenPSD2 1.3.x §4.13). All of them are listed here.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Status and message code for the TPP; a reason for the bank's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Problem {
    status: u16,
    code: &'static str,
    /// The stable code in the log.
    pub(super) reason: &'static str,
    /// One sentence, in the answer and in the log.
    pub(super) text: &'static str,
}

impl Problem {
    const fn new(status: u16, code: &'static str, reason: &'static str, text: &'static str) -> Self {
        Self { status, code, reason, text }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "tppMessages": [{ "category": "ERROR", "code": self.code, "text": self.text }] });
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(body)).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

pub(super) const ACCOUNT_ACCESS_MISMATCH: Problem = Problem::new(
    401,
    "CONSENT_INVALID",
    "account.access.mismatch",
    "the consent does not cover this kind of data for this account",
);
pub(super) const ACCOUNT_UNKNOWN: Problem =
    Problem::new(404, "RESOURCE_UNKNOWN", "account.unknown", "there is no such account under this consent");
pub(super) const CERTIFICATE_UNKNOWN: Problem =
    Problem::new(401, "CERTIFICATE_INVALID", "certificate.unknown", "no TPP is registered with this certificate");
pub(super) const CONSENT_ACCESS_INVALID: Problem =
    Problem::new(400, "FORMAT_ERROR", "consent.access.invalid", "access is missing or asks for something unknown");
pub(super) const CONSENT_BODY_INVALID: Problem =
    Problem::new(400, "FORMAT_ERROR", "consent.body.invalid", "the body is not a consent request");
pub(super) const CONSENT_CLIENT_MISMATCH: Problem =
    Problem::new(400, "CONSENT_UNKNOWN", "consent.client.mismatch", "the consent belongs to another TPP");
pub(super) const CONSENT_COMBINED_SERVICE_UNSUPPORTED: Problem = Problem::new(
    400,
    "SESSIONS_NOT_SUPPORTED",
    "consent.combined_service.unsupported",
    "sessions that combine services are not supported",
);
pub(super) const CONSENT_EXPIRED: Problem =
    Problem::new(401, "CONSENT_EXPIRED", "consent.expired", "the consent is over");
pub(super) const CONSENT_FREQUENCY_EXCEEDED: Problem = Problem::new(
    429,
    "ACCESS_EXCEEDED",
    "consent.frequency.exceeded",
    "the reads of this day without the PSU are used up",
);
pub(super) const CONSENT_FREQUENCY_INVALID: Problem = Problem::new(
    400,
    "FORMAT_ERROR",
    "consent.frequency.invalid",
    "frequencyPerDay must be at least 1, and 1 for a one-off consent",
);
pub(super) const CONSENT_STATUS_INVALID: Problem =
    Problem::new(401, "CONSENT_INVALID", "consent.status.invalid", "the consent is not valid");
pub(super) const CONSENT_UNKNOWN: Problem =
    Problem::new(403, "CONSENT_UNKNOWN", "consent.unknown", "there is no such consent");
pub(super) const CONSENT_VALID_UNTIL_INVALID: Problem =
    Problem::new(400, "FORMAT_ERROR", "consent.valid_until.invalid", "validUntil is not a date from today on");
pub(super) const REQUEST_ACCEPT_INVALID: Problem = Problem::new(
    406,
    "REQUESTED_FORMATS_INVALID",
    "request.accept.invalid",
    "this resource is not to be had in a type that is accepted",
);
pub(super) const REQUEST_BOOKING_STATUS_MISSING: Problem =
    Problem::new(400, "FORMAT_ERROR", "request.booking_status.missing", "bookingStatus is missing");
pub(super) const REQUEST_BOOKING_STATUS_UNSUPPORTED: Problem = Problem::new(
    400,
    "PARAMETER_NOT_SUPPORTED",
    "request.booking_status.unsupported",
    "bookingStatus must be booked, pending or both",
);
pub(super) const REQUEST_CONSENT_ID_MISSING: Problem =
    Problem::new(400, "FORMAT_ERROR", "request.consent_id.missing", "the header Consent-ID is missing");
pub(super) const REQUEST_CONTENT_TYPE_INVALID: Problem =
    Problem::new(415, "FORMAT_ERROR", "request.content_type.invalid", "the body must be application/json");
pub(super) const REQUEST_DATE_INVALID: Problem =
    Problem::new(400, "FORMAT_ERROR", "request.date.invalid", "a date is not of the form YYYY-MM-DD");
pub(super) const REQUEST_DATE_MISSING: Problem =
    Problem::new(400, "FORMAT_ERROR", "request.date.missing", "dateFrom is missing");
pub(super) const REQUEST_DELTA_UNSUPPORTED: Problem = Problem::new(
    400,
    "PARAMETER_NOT_SUPPORTED",
    "request.delta.unsupported",
    "delta reports are not offered; send dateFrom",
);
pub(super) const REQUEST_METHOD_INVALID: Problem =
    Problem::new(405, "SERVICE_INVALID", "request.method.invalid", "this method is not offered here");
pub(super) const REQUEST_PAGE_INVALID: Problem =
    Problem::new(400, "FORMAT_ERROR", "request.page.invalid", "pageIndex or itemsPerPage is not a number in range");
pub(super) const REQUEST_PATH_UNKNOWN: Problem =
    Problem::new(404, "RESOURCE_UNKNOWN", "request.path.unknown", "there is no such resource");
pub(super) const REQUEST_PERIOD_INVALID: Problem =
    Problem::new(400, "PERIOD_INVALID", "request.period.invalid", "dateFrom lies after dateTo");
pub(super) const REQUEST_PERIOD_TOO_LONG: Problem =
    Problem::new(400, "PERIOD_INVALID", "request.period.too_long", "without the PSU only the last 90 days are served");
pub(super) const REQUEST_PSU_IP_ADDRESS_INVALID: Problem =
    Problem::new(400, "FORMAT_ERROR", "request.psu_ip_address.invalid", "the header PSU-IP-Address is not an address");
pub(super) const REQUEST_PSU_IP_ADDRESS_MISSING: Problem =
    Problem::new(400, "FORMAT_ERROR", "request.psu_ip_address.missing", "the header PSU-IP-Address is mandatory here");
pub(super) const REQUEST_PSU_ID_UNKNOWN: Problem =
    Problem::new(401, "PSU_CREDENTIALS_INVALID", "request.psu_id.unknown", "the header PSU-ID names no customer");
pub(super) const REQUEST_REDIRECT_URI_INVALID: Problem = Problem::new(
    400,
    "FORMAT_ERROR",
    "request.redirect_uri.invalid",
    "the header TPP-Redirect-URI is none of the registered addresses",
);
pub(super) const REQUEST_X_REQUEST_ID_INVALID: Problem =
    Problem::new(400, "FORMAT_ERROR", "request.x_request_id.invalid", "the header X-Request-ID is not a UUID");
pub(super) const REQUEST_X_REQUEST_ID_MISSING: Problem =
    Problem::new(400, "FORMAT_ERROR", "request.x_request_id.missing", "the header X-Request-ID is missing");
pub(super) const TOKEN_BINDING_MISMATCH: Problem =
    Problem::new(401, "TOKEN_INVALID", "token.binding.mismatch", "the token was issued to another certificate");
pub(super) const TOKEN_EXPIRED: Problem =
    Problem::new(401, "TOKEN_EXPIRED", "token.expired", "the access token has expired");
pub(super) const TOKEN_MISSING: Problem =
    Problem::new(401, "TOKEN_UNKNOWN", "token.missing", "there is no bearer token");
pub(super) const TOKEN_PROOF_INVALID: Problem =
    Problem::new(401, "TOKEN_INVALID", "token.proof.invalid", "the proof of possession is missing or not good");
pub(super) const TOKEN_SCOPE_MISMATCH: Problem =
    Problem::new(401, "CONSENT_INVALID", "token.scope.mismatch", "the token was not issued for this consent");
pub(super) const TOKEN_UNKNOWN: Problem =
    Problem::new(401, "TOKEN_UNKNOWN", "token.unknown", "the access token is unknown");
