//! `/v1/institutions`: the banks.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use bank_adapters::directory::Filter;
use bank_adapters::profile::Profile;
use domain::ids::InstitutionId;
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::Caller;
use super::body::{InstitutionBody, Page};
use super::query::Query;
use crate::app::App;
use crate::problem::{ApiError, Problem};

/// Which banks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct InstitutionQuery {
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Words of the name, or the beginning of a BIC.
    pub search: Option<String>,
}

/// List the banks we know of.
#[utoipa::path(
    get, path = "/v1/institutions", tag = "institutions", params(InstitutionQuery),
    responses((status = 200, body = Page<InstitutionBody>), (status = 401, body = Problem))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    _caller: Caller,
    Query(query): Query<InstitutionQuery>,
) -> Result<Json<Page<InstitutionBody>>, ApiError> {
    let filter = Filter { country: query.country, search: query.search, ..Filter::default() };
    let data = app.directory.list(&filter).map(|profile| show(&app, profile)).collect();
    Ok(Json(Page { data, next_cursor: None }))
}

/// Read one bank.
#[utoipa::path(
    get, path = "/v1/institutions/{id}", tag = "institutions", params(("id" = String, Path)),
    responses((status = 200, body = InstitutionBody), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub async fn read(
    State(app): State<Arc<App>>,
    _caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<InstitutionBody>, ApiError> {
    let profile = InstitutionId::new(&id).and_then(|id| app.directory.get(&id));
    let profile = profile.ok_or(ApiError::NotFound("institution"))?;
    Ok(Json(show(&app, profile)))
}

fn show(app: &App, profile: &Profile) -> InstitutionBody {
    let bank = &profile.bank;
    InstitutionBody {
        id: bank.id.to_string(),
        name: bank.name.clone(),
        country: bank.country.clone(),
        standard: format!("{} {}", bank.standard.as_str(), bank.version),
        level: bank.level.as_str().to_owned(),
        available: app.connections.to(&bank.id).is_some(),
    }
}
