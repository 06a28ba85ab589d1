//! `/v1/evidence`: what a compliance officer takes away.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use domain::ids::{ConsentId, DeletionId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::deletions::State as DeletionState;
use store::{consents, cosignatures, deletions};
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

/// Which checkpoints.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct CheckpointQuery {
    /// Only those with fewer entries.
    pub before: Option<u64>,
    /// Only those that a witness signed.
    pub witnessed: Option<bool>,
    /// How many.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
}

/// A checkpoint of the log. Keep its note: with it a verifier sees whether the log was made anew.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckpointBody {
    /// Number of entries.
    pub size: u64,
    /// The signed note, with the lines of witnesses.
    pub note: String,
    /// When we signed it, by our clock.
    #[schema(value_type = String, format = DateTime)]
    pub signed_at: Timestamp,
    /// Witnesses that saw it.
    pub seen: Vec<SeenBody>,
}

/// That a witness saw a checkpoint.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeenBody {
    /// The name of its key.
    pub witness: String,
    /// When, by its clock.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// The newest checkpoints.
#[derive(Debug, Serialize, ToSchema)]
pub struct Checkpoints {
    /// The newest first.
    pub checkpoints: Vec<CheckpointBody>,
}

/// Signed checkpoints of the log, with what witnesses signed under them.
#[utoipa::path(
    get, path = "/v1/evidence/checkpoints", tag = "evidence", params(CheckpointQuery),
    responses((status = 200, body = Checkpoints), (status = 401, body = Problem))
)]
pub async fn checkpoints(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<CheckpointQuery>,
) -> Result<Json<Checkpoints>, ApiError> {
    caller.may(Scope::Evidence)?;
    let limit = super::limit(query.limit)?;
    let before = query.before.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let kept = cosignatures::checkpoints(&mut tx, before, query.witnessed.unwrap_or(false), limit).await?;
    tx.commit().await?;
    let checkpoints = kept.into_iter().map(|kept| CheckpointBody {
        size: kept.size.unsigned_abs(),
        note: kept.note,
        signed_at: kept.signed_at,
        seen: kept.seen.into_iter().map(|(witness, at)| SeenBody { witness, at }).collect(),
    });
    Ok(Json(Checkpoints { checkpoints: checkpoints.collect() }))
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

/// The same for people: what the bundle shows, as one page without script, checked before it was written.
#[utoipa::path(
    get, path = "/v1/evidence/consents/{id}/page", tag = "evidence", params(("id" = String, Path)),
    responses(
        (status = 200, description = "A page in HTML", content_type = "text/html"),
        (status = 401, body = Problem), (status = 404, body = Problem)
    )
)]
pub async fn page(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<String>) -> Result<Response, ApiError> {
    caller.may(Scope::Evidence)?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let consent = own(&mut tx, &caller, &id).await?;
    tx.commit().await?;
    let text = file(&app, &caller, consent.id, None).await?;
    let keys = evidence::VerifierKey::read_all(&evidence_log::verifier_key(&app, caller.tenant)?);
    let report = evidence::verify(&text, &keys.map_err(anyhow::Error::new)?, None).map_err(anyhow::Error::new)?;
    let page = report.to_html().map_err(anyhow::Error::new)?;
    Ok(([(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response())
}

async fn bundle(app: &App, caller: &Caller, consent: ConsentId, since: Option<u64>) -> Result<Response, ApiError> {
    Ok(([(CONTENT_TYPE, "application/json")], file(app, caller, consent, since).await?).into_response())
}

async fn file(app: &App, caller: &Caller, consent: ConsentId, since: Option<u64>) -> Result<String, ApiError> {
    // What was written a moment ago gets its place first, so that nobody is handed a bundle without its end.
    while evidence_log::sequence(app, caller.tenant).await? > 0 {}
    let about = About { tenant: caller.tenant, consent };
    evidence_log::bundle(app, about, since).await?.ok_or(ApiError::NotReady)
}
