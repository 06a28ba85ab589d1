//! `/v1`: the interface for products, with its OpenAPI document.

pub mod accounts;
pub mod auth;
pub mod balance_history;
pub mod banks;
pub mod body;
pub mod cash_flow;
pub mod changes;
pub mod consents;
pub mod cursor;
pub mod deletions;
mod document;
pub mod event_stream;
pub mod events;
pub mod evidence;
pub mod export;
pub mod filters;
pub mod health;
mod idempotency;
pub mod institutions;
pub mod keys;
pub mod notices;
pub mod oauth;
mod parquet;
pub mod psus;
pub mod query;
pub mod reconciliation;
pub mod recurring;
pub mod refresh;
pub mod transaction_export;
pub mod webhook_body;
pub mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use domain::limits;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower_http::timeout::TimeoutLayer;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::app::App;
use crate::problem::ApiError;

/// How long a read may take.
const READ_MAX: Duration = Duration::from_secs(limits::READ_SECONDS_MAX);

/// What the document says beside its paths.
#[derive(OpenApi)]
#[openapi(
    info(title = "Tributary", description = "Consent, bank data in one schema, deletion with proof."),
    modifiers(&Bearer),
    security(("key" = []))
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key")).build();
        openapi.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

fn routes() -> OpenApiRouter<Arc<App>> {
    let mut routes = operations();
    document::finish(routes.get_openapi_mut());
    routes
}

fn operations() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(consents::create, consents::list))
        .routes(routes!(consents::read, consents::revoke))
        .routes(routes!(consents::remove_account))
        .routes(routes!(consents::reauthorise))
        .routes(routes!(consents::reconfirm))
        .routes(routes!(refresh::ask))
        .routes(routes!(institutions::list))
        .routes(routes!(institutions::read))
        .routes(routes!(institutions::status))
        .routes(routes!(keys::create, keys::list))
        .routes(routes!(keys::remove))
        .routes(routes!(oauth::token))
        .routes(routes!(notices::list))
        .routes(routes!(notices::settle))
        .routes(routes!(deletions::acknowledge))
        .routes(routes!(psus::erase))
        .routes(routes!(psus::restrict, psus::release))
        .routes(routes!(events::list))
        .routes(routes!(events::types))
        .routes(routes!(event_stream::read))
        .routes(routes!(webhooks::create, webhooks::list))
        .routes(routes!(webhooks::read, webhooks::update, webhooks::remove))
        .routes(routes!(webhooks::rotate_secret))
        .routes(routes!(webhooks::resume))
        .routes(routes!(webhooks::replay))
        .routes(routes!(webhooks::test))
        .routes(routes!(webhooks::attempts))
        .routes(routes!(evidence::keys))
        .routes(routes!(evidence::checkpoints))
        .routes(routes!(evidence::consent))
        .routes(routes!(evidence::page))
        .routes(routes!(evidence::receipt))
        .routes(routes!(banks::status_changed))
        .routes(routes!(banks::event_notified))
        .routes(routes!(banks::arrangement_ended))
        .merge(reads())
}

/// What hands out bank data.
fn reads() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(accounts::list))
        .routes(routes!(accounts::read))
        .routes(routes!(accounts::read_balances))
        .routes(routes!(balance_history::read))
        .routes(routes!(accounts::read_transactions))
        .routes(routes!(changes::read_changes))
        .routes(routes!(changes::read_all_changes))
        .routes(routes!(transaction_export::read))
        .routes(routes!(cash_flow::read))
        .routes(routes!(export::person))
        .routes(routes!(recurring::read))
        .layer(in_time())
}

/// Around every read of bank data: an answer in time, or none. See [`limits::READ_SECONDS_MAX`].
pub(crate) fn in_time() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, READ_MAX)
}

/// The same for each part of a stream.
async fn part_in_time<T>(part: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    tokio::time::timeout(READ_MAX, part).await.unwrap_or(Err(ApiError::TimedOut))
}

/// The OpenAPI 3.1 document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

/// `/v1/…`, `/openapi.json` and `/docs`.
pub fn router() -> Router<Arc<App>> {
    let (router, document) = routes().split_for_parts();
    router.merge(SwaggerUi::new("/docs").url("/openapi.json", document))
}

/// A request body as JSON. The complaint names line and column, never the content.
fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let kind = match error.classify() {
            serde_json::error::Category::Data => "a field is missing, unknown or of the wrong type",
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => "it is not JSON",
        };
        ApiError::Malformed(format!("{kind} (line {}, column {})", error.line(), error.column()))
    })
}

/// Since when a person is there, as a product attests with its own clock; never later than now.
fn attested(session_at: Timestamp, within_seconds: i64, now: Timestamp) -> Result<Timestamp, ApiError> {
    let age = now.duration_since(session_at).as_secs();
    if (-limits::CLOCK_SKEW_SECONDS..within_seconds).contains(&age) {
        return Ok(session_at.min(now));
    }
    let why = format!("must be within the last {} minutes: the person must be there", within_seconds / 60);
    Err(ApiError::Invalid { field: "psu.session_at", why })
}

/// An answer of many rows, written in one piece: a buffer that grows from nothing copies all of it again and again.
fn written(body: &impl Serialize, rows: usize) -> Result<Response, ApiError> {
    /// What a row takes, roughly, and what stands around the rows.
    const BYTES_A_ROW: usize = 2_560;
    let mut text = Vec::with_capacity((rows + 1) * BYTES_A_ROW);
    serde_json::to_writer(&mut text, body).map_err(anyhow::Error::new)?;
    Ok(([(CONTENT_TYPE, "application/json")], text).into_response())
}

/// The number of rows asked for.
fn limit(asked: Option<u32>) -> Result<u32, ApiError> {
    let limit = asked.unwrap_or(limits::ROWS_PER_QUERY_DEFAULT);
    if (1..=limits::ROWS_PER_QUERY_MAX).contains(&limit) {
        Ok(limit)
    } else {
        Err(ApiError::Invalid { field: "limit", why: format!("must be 1 to {}", limits::ROWS_PER_QUERY_MAX) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_valid_json_and_names_every_resource() {
        let document = serde_json::to_value(openapi()).unwrap();
        assert_eq!(document["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
        for path in ["/v1/consents", "/v1/consents/{id}", "/v1/accounts/{id}/transactions"] {
            assert!(document["paths"][path].is_object(), "{path}");
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_every_answer_a_description() {
        let document = serde_json::to_value(openapi()).unwrap();
        let paths = document["paths"].as_object().unwrap().values();
        let operations: Vec<_> = paths.flat_map(|path| path.as_object().unwrap().values()).collect();
        let names: std::collections::BTreeSet<_> =
            operations.iter().map(|operation| operation["operationId"].as_str().unwrap()).collect();
        assert_eq!(names.len(), operations.len(), "{names:?}");
        for operation in operations {
            for (status, answer) in operation["responses"].as_object().unwrap() {
                let said = answer["description"].as_str().unwrap_or_default();
                assert!(!said.is_empty(), "{} {status}", operation["operationId"]);
            }
        }
    }

    #[test]
    fn a_broken_body_is_refused_without_being_repeated() {
        let refused = json::<body::CreateConsent>(br#"{"psu_ref": 4711, "#).err().unwrap().to_string();
        assert!(!refused.contains("4711"), "{refused}");
    }
}
