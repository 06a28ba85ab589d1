//! `/v1/evidence`: what a compliance officer takes away.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use domain::ids::{ConsentId, DeletionId};
use serde::{Deserialize, Serialize};
use store::deletions::State as DeletionState;
use store::{consents, deletions};
use utoipa::{IntoParams, ToSchema};

use super::auth::{Caller, Scope};
use super::consents::own;
use crate::app::App;
use crate::evidence_log::{self, About};
use crate::problem::{ApiError, Problem};

/// Keys for the offline verifier.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerifierKeys {
    /// Signed-note verifier lines, one key each; a file of them is what `tributary evidence verify --key` reads.
    pub keys: Vec<String>,
}

/// The keys that checkpoints and receipts are verified with.
#[utoipa::path(
    get, path = "/v1/evidence/keys", tag = "evidence",
    responses((status = 200, body = VerifierKeys), (status = 401, body = Problem))
)]
pub async fn keys(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<VerifierKeys>, ApiError> {
    caller.may(Scope::Evidence)?;
    Ok(Json(VerifierKeys { keys: vec![evidence_log::verifier_key(&app, caller.tenant)?] }))
}

/// What the bundle is to be linked to.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct BundleQuery {
    /// Size of a checkpoint that you hold: the bundle proves that the log only grew since.
    pub since: Option<u64>,
}

/// Everything about one consent: entries, proofs, checkpoint, in one canonical file.
#[utoipa::path(
    get, path = "/v1/evidence/consents/{id}", tag = "evidence", params(("id" = String, Path), BundleQuery),
    responses(
        (status = 200, description = "A bundle, format `tributary.bundle/1`", content_type = "application/json"),
        (status = 401, body = Problem), (status = 404, body = Problem)
    )
)]
pub async fn consent(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<BundleQuery>,
) -> Result<Response, ApiError> {
    caller.may(Scope::Evidence)?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let consent = own(&mut tx, &caller, &id).await?;
    tx.commit().await?;
    bundle(&app, &caller, consent.id, query.since).await
}

/// The receipt of a deletion, inside the bundle that proves it.
#[utoipa::path(
    get, path = "/v1/evidence/deletions/{id}/receipt", tag = "evidence", params(("id" = String, Path), BundleQuery),
    responses(
        (status = 200, description = "A bundle, format `tributary.bundle/1`", content_type = "application/json"),
        (status = 401, body = Problem), (status = 404, body = Problem)
    )
)]
pub async fn receipt(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<BundleQuery>,
) -> Result<Response, ApiError> {
    caller.may(Scope::Evidence)?;
    let id: DeletionId = id.parse().map_err(|_| ApiError::NotFound("deletion"))?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let deletion = deletions::get(&mut tx, id).await?;
    let consent = consents::get(&mut tx, deletion.consent).await?;
    tx.commit().await?;
    if consent.product != caller.product {
        return Err(ApiError::NotFound("deletion"));
    }
    if deletion.state != DeletionState::Receipted {
        return Err(ApiError::NotReady);
    }
    bundle(&app, &caller, consent.id, query.since).await
}

async fn bundle(app: &App, caller: &Caller, consent: ConsentId, since: Option<u64>) -> Result<Response, ApiError> {
    // What was written a moment ago gets its place first, so that nobody is handed a bundle without its end.
    while evidence_log::sequence(app, caller.tenant).await? > 0 {}
    let about = About { tenant: caller.tenant, consent };
    let text = evidence_log::bundle(app, about, since).await?.ok_or(ApiError::NotReady)?;
    Ok(([(CONTENT_TYPE, "application/json")], text).into_response())
}
