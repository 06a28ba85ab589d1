//! `/v1/psus/{ref}`: a person as a whole.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::ids::PsuId;
use jiff::Timestamp;
use serde::Serialize;
use store::consents::Consent;
use store::{TenantTx, deletions, psus};
use utoipa::ToSchema;

use super::auth::{Caller, Scope};
use crate::app::App;
use crate::keys::TenantKeys;
use crate::problem::{ApiError, Problem};
use crate::services::{erasure, restriction};

/// What an erasure of a person set going.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErasureBody {
    /// Every erasure of every consent of the person, the newest consent first.
    pub erasures: Vec<ErasureOfConsent>,
}

/// One erasure.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErasureOfConsent {
    /// `cns_…`
    pub consent_id: String,
    /// `del_…`; its receipt is at `/v1/evidence/deletions/{id}/receipt`.
    pub deletion_id: String,
    /// Since when nothing is served.
    #[schema(value_type = String, format = DateTime)]
    pub local_stop_at: Timestamp,
    /// `not_needed`, `pending`, `confirmed` or `unconfirmed`.
    pub bank: String,
    /// `stopped`, `erased`, `shredded` or `receipted`.
    pub state: String,
}

/// Erase a person: every consent ends, every bank is told, all data go. Repeating it says how far it is.
#[utoipa::path(
    delete, path = "/v1/psus/{ref}", tag = "psus",
    params(("ref" = String, Path, description = "The product's own reference of the person")),
    responses((status = 202, body = ErasureBody), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub async fn erase(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<(StatusCode, Json<ErasureBody>), ApiError> {
    caller.may(Scope::Consents)?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let psu = find(&app, &mut tx, &caller, &reference).await?;
    tx.commit().await?;
    let consents = erasure::of_person(&app, caller.tenant, caller.product, psu, "product").await?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let mut erasures = Vec::new();
    for consent in consents {
        let all = deletions::of_consent(&mut tx, consent).await?;
        erasures.extend(all.into_iter().map(|deletion| ErasureOfConsent {
            consent_id: consent.to_string(),
            deletion_id: deletion.id.to_string(),
            local_stop_at: deletion.stopped_at,
            bank: deletion.bank.word().to_owned(),
            state: deletion.state.word().to_owned(),
        }));
    }
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(ErasureBody { erasures })))
}

/// The person that a product calls so.
async fn find(app: &App, tx: &mut TenantTx, caller: &Caller, reference: &str) -> Result<PsuId, ApiError> {
    let tag = TenantKeys::lookup(app, tx, &app.world()).await?.mac("psu.ref", reference.as_bytes());
    psus::find(tx, caller.product, &tag).await?.ok_or(ApiError::NotFound("person"))
}

/// What of a person is kept and not used.
#[derive(Debug, Serialize, ToSchema)]
pub struct RestrictionBody {
    /// Consents whose data are restricted, the newest first.
    pub restricted: Vec<String>,
}

impl RestrictionBody {
    fn of(restricted: &[Consent]) -> Json<Self> {
        Json(Self { restricted: restricted.iter().map(|consent| consent.id.to_string()).collect() })
    }
}

/// Restrict a person's data: they are kept, and neither read nor fetched, until that is lifted or the person leaves.
#[utoipa::path(
    put, path = "/v1/psus/{ref}/restriction", tag = "psus",
    params(("ref" = String, Path, description = "The product's own reference of the person")),
    responses((status = 200, body = RestrictionBody), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub async fn restrict(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<RestrictionBody>, ApiError> {
    restricted(&app, &caller, &reference, true).await
}

/// Lift the restriction of a person's data, by their word.
#[utoipa::path(
    delete, path = "/v1/psus/{ref}/restriction", tag = "psus",
    params(("ref" = String, Path, description = "The product's own reference of the person")),
    responses((status = 200, body = RestrictionBody), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub async fn release(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<RestrictionBody>, ApiError> {
    restricted(&app, &caller, &reference, false).await
}

async fn restricted(
    app: &App,
    caller: &Caller,
    reference: &str,
    restrict: bool,
) -> Result<Json<RestrictionBody>, ApiError> {
    caller.may(Scope::Consents)?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let psu = find(app, &mut tx, caller, reference).await?;
    tx.commit().await?;
    let person = (caller.product, psu);
    Ok(RestrictionBody::of(&restriction::of_person(app, caller.tenant, person, restrict, "product").await?))
}
