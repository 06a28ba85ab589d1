//! `/v1/deletions`: what a product has to say about an erasure.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use domain::ids::DeletionId;
use jiff::Timestamp;
use serde::Serialize;
use store::deletions::State as DeletionState;
use store::{consents, deletions};
use utoipa::ToSchema;

use super::auth::{Caller, Scope};
use crate::app::App;
use crate::problem::{ApiError, Problem};
use crate::services::acknowledgement;

/// That a product has erased its copies.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AcknowledgementBody {
    /// `del_…`
    pub deletion_id: String,
    /// When it said so first; on record as a signed addendum to the receipt.
    #[schema(value_type = String, format = DateTime)]
    pub acknowledged_at: Timestamp,
}

/// Confirm that your own copies are erased. Repeating it changes nothing.
#[utoipa::path(
    post, path = "/v1/deletions/{id}/acknowledge", tag = "evidence", params(("id" = String, Path)),
    responses((status = 200, body = AcknowledgementBody), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub async fn acknowledge(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<AcknowledgementBody>, ApiError> {
    caller.may(Scope::Consents)?;
    let id: DeletionId = id.parse().map_err(|_| ApiError::NotFound("deletion"))?;
    let world = app.world();
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let deletion = deletions::get(&mut tx, id).await?;
    let consent = consents::get(&mut tx, deletion.consent).await?;
    if consent.product != caller.product {
        return Err(ApiError::NotFound("deletion"));
    }
    if deletion.state != DeletionState::Receipted {
        return Err(ApiError::NotReady);
    }
    let acknowledged_at = acknowledgement::acknowledge(&app, &mut tx, &world, &consent, id).await?;
    tx.commit().await?;
    Ok(Json(AcknowledgementBody { deletion_id: id.to_string(), acknowledged_at }))
}
