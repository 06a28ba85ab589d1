//! `/v1/events`: what happened, in order, for whoever missed a delivery or wants none.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::event::EventType;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::events;
use utoipa::{IntoParams, ToSchema};

use super::auth::{Caller, Scope};
use super::query::Query;
use crate::app::App;
use crate::problem::{ApiError, Problem};
use crate::services::events as service;

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// The number of the last event that you have; 0 or nothing: from the beginning.
    #[param(minimum = 0)]
    pub after: Option<i64>,
    /// At most so many, 1 to 500; 100 by default.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
}

/// An event: a CloudEvents 1.0 object. The body of a webhook has the same shape.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EventBody {
    /// Version of CloudEvents.
    #[schema(example = "1.0")]
    pub specversion: String,
    /// `evt_…`: the same in every delivery.
    pub id: String,
    /// This installation.
    pub source: String,
    /// A type of the catalogue.
    #[serde(rename = "type")]
    #[schema(example = "connection.healthy")]
    pub kind: String,
    /// When it happened, RFC 3339.
    pub time: String,
    /// Its number in the stream that it is read from, without gaps: the product's here, the endpoint's in a webhook.
    pub seq: i64,
    /// `cns_…`, where it is about a consent.
    pub subject: Option<String>,
    /// The particulars; never bank data.
    pub data: Value,
}

/// Events in order.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EventPage {
    /// Oldest first.
    #[schema(value_type = Vec<EventBody>)]
    pub data: Vec<Value>,
    /// Give it as `after` for what comes next.
    pub last_seq: i64,
}

/// Read the product's events behind a number. Nothing is ever left out, whatever its endpoints asked for.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", params(EventQuery),
    responses((status = 200, body = EventPage), (status = 401, body = Problem), (status = 422, body = Problem))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<EventQuery>,
) -> Result<Json<EventPage>, ApiError> {
    caller.may(Scope::Events)?;
    let limit = super::limit(query.limit)?;
    let after = query.after.unwrap_or(0);
    if after < 0 {
        return Err(ApiError::Invalid { field: "after", why: "must not be negative".to_owned() });
    }
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let found = events::after(&mut tx, caller.product, after, limit).await?;
    tx.commit().await?;
    let last_seq = found.last().map_or(after, |(seq, _)| *seq);
    let data = found.iter().map(|(seq, event)| service::envelope(&app, caller.tenant, *seq, event)).collect();
    Ok(Json(EventPage { data, last_seq }))
}

/// A type of event.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EventTypeBody {
    /// Its name.
    #[serde(rename = "type")]
    #[schema(example = "connection.healthy")]
    pub kind: String,
    /// When it is sent.
    pub meaning: String,
}

/// Every type of event.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EventTypes {
    /// In the order of a consent's life.
    pub data: Vec<EventTypeBody>,
}

/// Read the catalogue of events.
#[utoipa::path(
    get, path = "/v1/event-types", tag = "events",
    responses((status = 200, body = EventTypes), (status = 401, body = Problem))
)]
pub async fn types(caller: Caller) -> Result<Json<EventTypes>, ApiError> {
    caller.may(Scope::Events)?;
    let body = |kind: &EventType| EventTypeBody { kind: kind.to_string(), meaning: kind.meaning().to_owned() };
    Ok(Json(EventTypes { data: EventType::ALL.iter().map(body).collect() }))
}
