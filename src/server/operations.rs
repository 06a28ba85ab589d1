//! For whoever runs it: health, metrics, our public keys.
//!
//! `GUIDE.md` beside this file says what each metric means; the alert rules, the dashboard and the unit of systemd lie there
//! too. A metric carries no id of a person, of a consent or of an account.

mod gauges;

use std::sync::{Arc, OnceLock};

use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use domain::ids::{InstitutionId, RegistrationId};
use jiff::SignedDuration;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::json;

use crate::app::App;
use crate::problem::ApiError;

/// Bounds of the histograms, in seconds: our own answers lie at the lower end, slow banks at the upper.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// `/healthz`, `/metrics`, `/.well-known/jwks/{registration}`.
pub(crate) fn router() -> Router<Arc<App>> {
    // From the first request on: what is counted before somebody looks must not be lost.
    recorder();
    Router::new()
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .route("/.well-known/jwks/{registration}", get(jwks))
}

/// 200 while the database answers, 503 otherwise.
async fn health(State(app): State<Arc<App>>) -> Response {
    match app.store.ping().await {
        Ok(()) => Json(json!({ "status": "ok" })).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "database" }))).into_response(),
    }
}

/// The recorder of this process; the first caller installs it.
fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        let builder = builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS);
        // Bounds that are in order are the only thing that the builder looks at.
        let recorder = builder.unwrap_or_default().build_recorder();
        let handle = recorder.handle();
        // Somebody else's recorder stays; ours then only shows what stands.
        let _ = metrics::set_global_recorder(recorder);
        handle
    })
}

/// Prometheus text: what this process counted since it began, and what stands in the database now.
async fn metrics(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let counted = recorder();
    counted.run_upkeep();
    let standing = gauges::read(&app).await?;
    let text = format!("{}{standing}", counted.render());
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

/// Counts an answer by the route that gave it, never by its address: addresses carry ids.
pub(crate) async fn answered(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().as_str().to_owned();
    let began = app.clock.now();
    let answer = next.run(request).await;
    let took = app.clock.now().duration_since(began);
    let status = answer.status().as_str().to_owned();
    metrics::counter!("tributary_http_requests_total", "method" => method.clone(), "route" => route.clone(),
        "status" => status)
    .increment(1);
    metrics::histogram!("tributary_http_request_seconds", "method" => method, "route" => route)
        .record(took.as_secs_f64());
    answer
}

/// A call to a bank that has ended.
pub(crate) struct BankCall<'a> {
    /// The bank.
    pub(crate) institution: &'a InstitutionId,
    /// What was asked for.
    pub(crate) operation: &'static str,
    /// On what ground.
    pub(crate) basis: &'static str,
    /// `ok`, or the class of the error.
    pub(crate) outcome: &'static str,
    /// How long it took.
    pub(crate) took: SignedDuration,
}

/// Counts a call to a bank.
pub(crate) fn bank_called(call: &BankCall<'_>) {
    let institution = call.institution.to_string();
    metrics::counter!("tributary_bank_calls_total", "institution" => institution.clone(),
        "operation" => call.operation, "basis" => call.basis, "outcome" => call.outcome)
    .increment(1);
    metrics::histogram!("tributary_bank_call_seconds", "institution" => institution, "operation" => call.operation)
        .record(call.took.as_secs_f64());
}

/// Our public keys at one bank (RFC 7517 §5).
async fn jwks(State(app): State<Arc<App>>, Path(registration): Path<String>) -> Result<Response, ApiError> {
    let connection = RegistrationId::new(&registration).and_then(|id| app.connections.get(&id));
    let connection = connection.ok_or(ApiError::NotFound("registration"))?;
    Ok(Json(connection.public_jwks()).into_response())
}
