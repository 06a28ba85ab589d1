//! `/v1/webhook-endpoints`: where a product wants its events sent, and what became of them.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use domain::event::{EventType, is_subscribable};
use domain::ids::{AttemptId, EndpointId};
use domain::limits;
use domain::webhook::{Health, State as EndpointState};
use domain::world::World;
use jiff::SignedDuration;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};
use store::deliveries::{self, Range};
use store::webhooks::Endpoint;
use store::{TenantTx, webhooks};
use url::Url;
use utoipa::IntoParams;

use super::auth::{Caller, Scope};
use super::body::Page;
use super::idempotency::Idempotent;
use super::query::Query;
use super::webhook_body::{
    AttemptBody, CreateEndpoint, EndpointBody, Replay, ReplayBody, Resume, Rotate, SecretBody, TestBody, UpdateEndpoint,
};
use crate::app::App;
use crate::problem::{ApiError, Problem};
use crate::services::events as telling;
use crate::services::signatures::SigningSecret;

/// Longest description, in characters.
const DESCRIPTION_CHARS_MAX: usize = 256;

/// An answer that is kept for repetitions of the request.
type Answer = Result<(StatusCode, Json<Value>), ApiError>;

/// Add an endpoint. The answer shows its secret, once.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints", tag = "webhooks", request_body = CreateEndpoint,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition give the first answer")),
    responses((status = 201, body = EndpointBody), (status = 401, body = Problem), (status = 422, body = Problem))
)]
pub async fn create(State(app): State<Arc<App>>, caller: Caller, headers: HeaderMap, body: Bytes) -> Answer {
    caller.may(Scope::Events)?;
    let ask: CreateEndpoint = super::json(&body)?;
    let world = app.world();
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let operation = "POST /v1/webhook-endpoints";
    let (repeatable, first) = Idempotent::begin(&app, &mut tx, &world, &caller, &headers, operation, &body).await?;
    if let Some(answer) = first {
        return Ok((StatusCode::CREATED, Json(answer)));
    }
    if webhooks::of_product(&mut tx, caller.product).await?.len() >= limits::WEBHOOK_ENDPOINTS_MAX {
        let why = format!("a product has at most {} endpoints", limits::WEBHOOK_ENDPOINTS_MAX);
        return Err(ApiError::Invalid { field: "url", why });
    }
    let endpoint = Endpoint {
        id: EndpointId::new(&world),
        product: caller.product,
        url: url(&app, &ask.url)?,
        description: description(ask.description.unwrap_or_default())?,
        types: types(ask.types.unwrap_or_default())?,
        health: Health::FRESH,
        next_seq: 1,
        created_at: world.now,
    };
    webhooks::insert(&mut tx, &endpoint).await?;
    let (secret, sealed) = SigningSecret::create(&app, &mut tx, &world, endpoint.id).await?;
    webhooks::rotate(&mut tx, &sealed, world.now).await?;
    let mut shown = show(&endpoint, vec![secret.public()], 0);
    shown.secret = Some(secret.shared().expose_secret().to_owned());
    let answer = serde_json::to_value(&shown).map_err(anyhow::Error::new)?;
    repeatable.keep(&app, &mut tx, &world, &answer).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// An address that may be sent to, as far as it can be told now; what its name leads to is looked at when it is dialled.
fn url(app: &App, text: &str) -> Result<String, ApiError> {
    let fits = text.len() <= limits::WEBHOOK_URL_BYTES_MAX;
    let url = Url::parse(text).ok().filter(|url| fits && app.receivers.admit(url));
    let why = || "must be https, at a public address, without credentials or fragment".to_owned();
    Ok(url.ok_or_else(|| ApiError::Invalid { field: "url", why: why() })?.to_string())
}

fn description(text: String) -> Result<String, ApiError> {
    let fits = text.chars().count() <= DESCRIPTION_CHARS_MAX && !text.chars().any(char::is_control);
    let why = || format!("must be at most {DESCRIPTION_CHARS_MAX} characters of text");
    fits.then_some(text).ok_or_else(|| ApiError::Invalid { field: "description", why: why() })
}

fn types(mut types: Vec<String>) -> Result<Vec<String>, ApiError> {
    if !types.iter().all(|pattern| is_subscribable(pattern)) {
        let why = "must be types of /v1/event-types, or a group of them such as `consent.*`".to_owned();
        return Err(ApiError::Invalid { field: "types", why });
    }
    types.sort_unstable();
    types.dedup();
    Ok(types)
}

fn show(endpoint: &Endpoint, public_keys: Vec<String>, waiting: i64) -> EndpointBody {
    let health = endpoint.health;
    EndpointBody {
        id: endpoint.id.to_string(),
        url: endpoint.url.clone(),
        description: endpoint.description.clone(),
        types: endpoint.types.clone(),
        state: health.state.word().to_owned(),
        failures: health.failures,
        failing_since: health.failing_since,
        retry_at: health.retry_at,
        last_seq: endpoint.next_seq - 1,
        waiting,
        public_keys,
        secret: None,
        created_at: endpoint.created_at,
    }
}

async fn shown(app: &App, tx: &mut TenantTx, world: &World<'_>, endpoint: &Endpoint) -> Result<EndpointBody, ApiError> {
    let secrets = SigningSecret::all(app, tx, world, endpoint.id).await?;
    let waiting = deliveries::waiting(tx, endpoint.id).await?;
    Ok(show(endpoint, secrets.iter().map(SigningSecret::public).collect(), waiting))
}

/// An endpoint of this product, held; anybody else's does not exist.
async fn own(tx: &mut TenantTx, caller: &Caller, id: &str) -> Result<Endpoint, ApiError> {
    let missing = || ApiError::NotFound("webhook endpoint");
    let endpoint = webhooks::lock(tx, id.parse().map_err(|_| missing())?).await?;
    if endpoint.product == caller.product { Ok(endpoint) } else { Err(missing()) }
}

/// List the endpoints.
#[utoipa::path(
    get, path = "/v1/webhook-endpoints", tag = "webhooks",
    responses((status = 200, body = Page<EndpointBody>), (status = 401, body = Problem))
)]
pub async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Page<EndpointBody>>, ApiError> {
    caller.may(Scope::Events)?;
    let world = app.world();
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let mut data = Vec::new();
    for endpoint in webhooks::of_product(&mut tx, caller.product).await? {
        data.push(shown(&app, &mut tx, &world, &endpoint).await?);
    }
    tx.commit().await?;
    Ok(Json(Page { data, next_cursor: None }))
}

/// Read one endpoint: where it stands, and the public keys that its deliveries verify with.
#[utoipa::path(
    get, path = "/v1/webhook-endpoints/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 200, body = EndpointBody), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<EndpointBody>, ApiError> {
    caller.may(Scope::Events)?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let endpoint = own(&mut tx, &caller, &id).await?;
    let body = shown(&app, &mut tx, &app.world(), &endpoint).await?;
    tx.commit().await?;
    Ok(Json(body))
}

/// Change an endpoint, or pause it: events wait for it meanwhile.
#[utoipa::path(
    patch, path = "/v1/webhook-endpoints/{id}", tag = "webhooks", params(("id" = String, Path)),
    request_body = UpdateEndpoint,
    responses((status = 200, body = EndpointBody), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<EndpointBody>, ApiError> {
    caller.may(Scope::Events)?;
    let ask: UpdateEndpoint = super::json(&body)?;
    let world = app.world();
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let mut endpoint = own(&mut tx, &caller, &id).await?;
    if let Some(text) = ask.url {
        endpoint.url = url(&app, &text)?;
    }
    if let Some(text) = ask.description {
        endpoint.description = description(text)?;
    }
    if let Some(wanted) = ask.types {
        endpoint.types = types(wanted)?;
    }
    if ask.paused == Some(true) {
        endpoint.health = Health { state: EndpointState::Paused, retry_at: None, ..endpoint.health };
    }
    webhooks::save(&mut tx, &endpoint).await?;
    let body = shown(&app, &mut tx, &world, &endpoint).await?;
    tx.commit().await?;
    Ok(Json(body))
}

/// Remove an endpoint with its stream and its log. What happens afterwards is at `GET /v1/events`.
#[utoipa::path(
    delete, path = "/v1/webhook-endpoints/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    caller.may(Scope::Events)?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let endpoint = own(&mut tx, &caller, &id).await?;
    webhooks::remove(&mut tx, endpoint.id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a new secret. The old one signs beside it for a while, so that the receiver can change over.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/rotate-secret", tag = "webhooks",
    params(
        ("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition give the first answer")
    ),
    request_body = Rotate,
    responses((status = 200, body = SecretBody), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub async fn rotate_secret(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    caller.may(Scope::Events)?;
    let ask: Rotate = super::json(&body)?;
    let hours = ask.overlap_hours.unwrap_or(limits::WEBHOOK_OVERLAP_HOURS);
    if !(0..=limits::WEBHOOK_OVERLAP_HOURS_MAX).contains(&hours) {
        let why = format!("must be 0 to {}", limits::WEBHOOK_OVERLAP_HOURS_MAX);
        return Err(ApiError::Invalid { field: "overlap_hours", why });
    }
    let world = app.world();
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let operation = format!("POST /v1/webhook-endpoints/{id}/rotate-secret");
    let (repeatable, first) = Idempotent::begin(&app, &mut tx, &world, &caller, &headers, &operation, &body).await?;
    if let Some(answer) = first {
        return Ok((StatusCode::OK, Json(answer)));
    }
    let endpoint = own(&mut tx, &caller, &id).await?;
    let old_expires_at = world.now.saturating_add(SignedDuration::from_hours(hours)).unwrap_or(world.now);
    let (secret, sealed) = SigningSecret::create(&app, &mut tx, &world, endpoint.id).await?;
    webhooks::rotate(&mut tx, &sealed, old_expires_at).await?;
    let answer =
        SecretBody { secret: secret.shared().expose_secret().to_owned(), public_key: secret.public(), old_expires_at };
    let answer = serde_json::to_value(&answer).map_err(anyhow::Error::new)?;
    repeatable.keep(&app, &mut tx, &world, &answer).await?;
    tx.commit().await?;
    Ok((StatusCode::OK, Json(answer)))
}

/// Send to an endpoint again that was paused, failing, given up or gone; what waits for it comes first, in order.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/resume", tag = "webhooks", params(("id" = String, Path)),
    request_body = Resume,
    responses((status = 200, body = EndpointBody), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub async fn resume(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<EndpointBody>, ApiError> {
    caller.may(Scope::Events)?;
    let ask: Resume = super::json(&body)?;
    let world = app.world();
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let mut endpoint = own(&mut tx, &caller, &id).await?;
    if let Some(seq) = ask.skip_to_seq {
        deliveries::skip(&mut tx, endpoint.id, seq, world.now).await?;
    }
    endpoint.health = Health::FRESH;
    webhooks::save(&mut tx, &endpoint).await?;
    telling::request_delivery(&mut tx, &world, endpoint.product, endpoint.id, world.now).await?;
    let body = shown(&app, &mut tx, &world, &endpoint).await?;
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(Json(body))
}

/// Send a part of the stream again, in its old order, under the old ids, before anything newer.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/replay", tag = "webhooks",
    params(
        ("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition give the first answer")
    ),
    request_body = Replay,
    responses((status = 202, body = ReplayBody), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub async fn replay(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    caller.may(Scope::Events)?;
    let ask: Replay = super::json(&body)?;
    let wanted = types(ask.types.unwrap_or_default())?;
    if ask.from_seq < 1 || ask.to_seq < ask.from_seq {
        return Err(ApiError::Invalid { field: "to_seq", why: "must not come before from_seq, from 1 on".to_owned() });
    }
    let world = app.world();
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let operation = format!("POST /v1/webhook-endpoints/{id}/replay");
    let (repeatable, first) = Idempotent::begin(&app, &mut tx, &world, &caller, &headers, &operation, &body).await?;
    if let Some(answer) = first {
        return Ok((StatusCode::ACCEPTED, Json(answer)));
    }
    let endpoint = own(&mut tx, &caller, &id).await?;
    let range = Range { from: ask.from_seq, to: ask.to_seq, types: &wanted };
    let queued = deliveries::replay(&mut tx, endpoint.id, range).await?;
    telling::request_delivery(&mut tx, &world, endpoint.product, endpoint.id, world.now).await?;
    let answer = serde_json::to_value(ReplayBody { queued }).map_err(anyhow::Error::new)?;
    repeatable.keep(&app, &mut tx, &world, &answer).await?;
    tx.commit().await?;
    app.work.notify_waiters();
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Send a `test.ping` to an endpoint. It takes its place in the stream like any event.
#[utoipa::path(
    post, path = "/v1/webhook-endpoints/{id}/test", tag = "webhooks",
    params(
        ("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition give the first answer")
    ),
    responses((status = 202, body = TestBody), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub async fn test(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    caller.may(Scope::Events)?;
    let world = app.world();
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let operation = format!("POST /v1/webhook-endpoints/{id}/test");
    let (repeatable, first) = Idempotent::begin(&app, &mut tx, &world, &caller, &headers, &operation, b"").await?;
    if let Some(answer) = first {
        return Ok((StatusCode::ACCEPTED, Json(answer)));
    }
    let endpoint = own(&mut tx, &caller, &id).await?;
    let data = json!({ "endpoint_id": endpoint.id.to_string() });
    let to = (caller.product, endpoint.id);
    let event = telling::emit_to(&mut tx, &world, to, EventType::TestPing, data).await?;
    let answer = serde_json::to_value(TestBody { event_id: event.to_string() }).map_err(anyhow::Error::new)?;
    repeatable.keep(&app, &mut tx, &world, &answer).await?;
    tx.commit().await?;
    app.work.notify_waiters();
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Which attempts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AttemptQuery {
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// At most so many, 1 to 500; 100 by default.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
}

/// Read the log of an endpoint: every attempt of the last 90 days, newest first.
#[utoipa::path(
    get, path = "/v1/webhook-endpoints/{id}/attempts", tag = "webhooks", params(("id" = String, Path), AttemptQuery),
    responses((status = 200, body = Page<AttemptBody>), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub async fn attempts(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<AttemptQuery>,
) -> Result<Json<Page<AttemptBody>>, ApiError> {
    caller.may(Scope::Events)?;
    let limit = super::limit(query.limit)?;
    let before = query.cursor.as_deref().map(str::parse::<AttemptId>).transpose();
    let before = before.map_err(|_| ApiError::Invalid { field: "cursor", why: "is not one of ours".to_owned() })?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let endpoint = own(&mut tx, &caller, &id).await?;
    // One more than is shown tells whether there is another page.
    let mut found = deliveries::attempts(&mut tx, endpoint.id, before, limit + 1).await?;
    tx.commit().await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next_cursor = found.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(Json(Page { data: found.into_iter().map(AttemptBody::from).collect(), next_cursor }))
}
