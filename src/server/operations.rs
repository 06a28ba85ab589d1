//! For whoever runs it: health, metrics, our public keys.

use std::sync::{Arc, OnceLock};

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use domain::ids::RegistrationId;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use store::jobs;

use crate::app::App;
use crate::problem::ApiError;

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
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // Somebody else's recorder stays; ours then only shows what is set below.
        let _ = metrics::set_global_recorder(recorder);
        handle
    })
}

/// Prometheus text.
async fn metrics(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let handle = recorder();
    let mut tx = app.store.system_tx().await?;
    let backlog = jobs::backlog(&mut tx, app.clock.now()).await?;
    tx.commit().await?;
    for kind in backlog {
        let gauge = |state: &'static str, jobs: i64| {
            let jobs = f64::from(i32::try_from(jobs).unwrap_or(i32::MAX));
            metrics::gauge!("tributary_jobs", "kind" => kind.kind.clone(), "state" => state).set(jobs);
        };
        gauge("due", kind.due);
        gauge("leased", kind.leased);
        gauge("parked", kind.parked);
    }
    let text = handle.render();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

/// Our public keys at one bank (RFC 7517 §5).
async fn jwks(State(app): State<Arc<App>>, Path(registration): Path<String>) -> Result<Response, ApiError> {
    let connection = RegistrationId::new(&registration).and_then(|id| app.connections.get(&id));
    let connection = connection.ok_or(ApiError::NotFound("registration"))?;
    Ok(Json(connection.public_jwks()).into_response())
}
