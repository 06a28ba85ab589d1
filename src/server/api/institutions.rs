//! `/v1/institutions`: the banks that can be spoken to, and everybody else who holds accounts, to be found.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use bank_adapters::directory::Filter;
use bank_adapters::institutions::{self, IBAN_CHARS_MAX, Institution, Wanted};
use bank_adapters::profile::Profile;
use domain::ids::InstitutionId;
use jiff::SignedDuration;
use serde::Deserialize;
use store::bank_health;
use utoipa::IntoParams;

use super::auth::Caller;
use super::body::{InstitutionBody, Page};
use super::health::HealthBody;
use super::query::Query;
use crate::app::App;
use crate::problem::{ApiError, Problem};

/// Institutions on a page, by default and at most.
const PAGE: usize = 100;
const PAGE_MAX: usize = 500;
/// Hours that a status looks back.
const HEALTH_HOURS: i64 = 24;

/// Which banks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct InstitutionQuery {
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Words of the name, or the beginning of a BIC.
    pub search: Option<String>,
    /// BIC of 8 or 11 characters.
    pub bic: Option<String>,
    /// National bank code.
    pub bank_code: Option<String>,
    /// The beginning of an IBAN up to the end of the bank's code, at most 14 characters. A whole IBAN names a person's account
    /// and has no place in an address.
    pub iban: Option<String>,
    /// Those that can be spoken to (`true`), or those that cannot.
    pub supported: Option<bool>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// At most so many, 1 to 500; 100 by default.
    pub limit: Option<usize>,
}

/// List institutions by id: the banks that can be spoken to, and all others that are known.
#[utoipa::path(
    get, path = "/v1/institutions", tag = "institutions", params(InstitutionQuery),
    responses(
        (status = 200, body = Page<InstitutionBody>), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 422, body = Problem)
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    _caller: Caller,
    Query(query): Query<InstitutionQuery>,
) -> Result<Json<Page<InstitutionBody>>, ApiError> {
    let bare = |text: &String| text.split_whitespace().collect::<String>();
    let iban = query.iban.as_ref().map(bare);
    if iban.as_ref().is_some_and(|iban| iban.chars().count() > IBAN_CHARS_MAX) {
        return Err(invalid("iban", "at most 14 characters: send the bank's part and not the account's"));
    }
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(invalid("limit", "must be 1 to 500"));
    }
    let wanted = Wanted {
        country: query.country.clone(),
        search: query.search.clone(),
        bic: query.bic.as_ref().map(bare),
        bank_code: query.bank_code.as_ref().map(bare),
        iban,
    };
    let mut found = found(&app, &wanted);
    if let Some(supported) = query.supported {
        found.retain(|_, one| one.profile(&app).is_some() == supported);
    }
    let after = query.cursor.as_deref().unwrap_or_default();
    let mut page: Vec<_> =
        found.range::<str, _>((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded)).collect();
    let more = page.len() > limit;
    page.truncate(limit);
    let next_cursor = page.last().filter(|_| more).map(|(id, _)| (*id).to_owned());
    Ok(Json(Page { data: page.into_iter().map(|(_, one)| one.show(&app)).collect(), next_cursor }))
}

/// Read one institution.
#[utoipa::path(
    get, path = "/v1/institutions/{id}", tag = "institutions", params(("id" = String, Path)),
    responses((status = 200, body = InstitutionBody), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub async fn read(
    State(app): State<Arc<App>>,
    _caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<InstitutionBody>, ApiError> {
    let id = InstitutionId::new(&id).ok_or(ApiError::NotFound("institution"))?;
    if let Some(profile) = app.directory.get(&id) {
        return Ok(Json(One::Profiled(profile).show(&app)));
    }
    let one = institutions::get(&id).ok_or(ApiError::NotFound("institution"))?;
    let mut body = One::Listed(one).show(&app);
    body.bank_codes = one.codes().map(str::to_owned).collect();
    Ok(Json(body))
}

/// Read how a bank behaves: measured from the calls that this installation makes, by capability and over the last day.
#[utoipa::path(
    get, path = "/v1/institutions/{id}/status", tag = "institutions", params(("id" = String, Path)),
    responses((status = 200, body = HealthBody), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub async fn status(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<HealthBody>, ApiError> {
    let id = InstitutionId::new(&id).ok_or(ApiError::NotFound("institution"))?;
    let listed = || institutions::get(&id).and_then(|one| one.profile(&app.directory));
    let profile = app.directory.get(&id).map(AsRef::as_ref).or_else(listed);
    let profile = profile.ok_or(ApiError::NotFound("institution"))?;
    let Some(connection) = app.connections.to(&profile.bank.id) else {
        return Ok(Json(HealthBody::unknown(&id)));
    };
    let now = app.world().now;
    let since = now.saturating_add(SignedDuration::from_hours(-HEALTH_HOURS)).unwrap_or(now);
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let counts = bank_health::counts(&mut tx, &connection.id, since).await?;
    let incidents = bank_health::incidents(&mut tx, &connection.id, since).await?;
    tx.commit().await?;
    Ok(Json(HealthBody::of(&id, &counts, incidents)))
}

fn invalid(field: &'static str, why: &str) -> ApiError {
    ApiError::Invalid { field, why: why.to_owned() }
}

/// An institution: one with a profile of its own, or one of the list.
enum One<'a> {
    Profiled(&'a Profile),
    Listed(&'static Institution),
}

impl<'a> One<'a> {
    /// How it is spoken to.
    fn profile(&self, app: &'a App) -> Option<&'a Profile> {
        match self {
            Self::Profiled(profile) => Some(profile),
            Self::Listed(one) => one.profile(&app.directory),
        }
    }

    fn show(&self, app: &'a App) -> InstitutionBody {
        let profile = self.profile(app);
        let (id, name, country, bics) = match self {
            Self::Profiled(Profile { bank, .. }) => {
                (bank.id.to_string(), bank.name.clone(), bank.country.clone(), bank.bics.clone())
            }
            Self::Listed(one) => {
                let bics = one.bics().map(str::to_owned).collect();
                (one.id.to_string(), one.name.to_owned(), one.country.to_owned(), bics)
            }
        };
        InstitutionBody {
            id,
            name,
            country,
            bics,
            bank_codes: Vec::new(),
            profile: profile.map(|profile| profile.bank.id.to_string()),
            standard: profile.map(|Profile { bank, .. }| format!("{} {}", bank.standard.as_str(), bank.version)),
            level: profile.map(|profile| profile.bank.level.as_str().to_owned()),
            available: profile.is_some_and(|profile| app.connections.to(&profile.bank.id).is_some()),
        }
    }
}

/// What passes, by id. A bank of the list that has a profile of its own is shown as that alone.
fn found<'a>(app: &'a App, wanted: &Wanted) -> BTreeMap<String, One<'a>> {
    let mut all = BTreeMap::new();
    let by_number = wanted.bic.is_some() || wanted.bank_code.is_some() || wanted.iban.is_some();
    for one in institutions::find(wanted) {
        match one.own_profile(&app.directory) {
            Some(profile) => all.insert(profile.bank.id.to_string(), One::Profiled(profile)),
            None => all.insert(one.id.to_string(), One::Listed(one)),
        };
    }
    let filter = Filter { country: wanted.country.clone(), search: wanted.search.clone(), ..Filter::default() };
    for profile in app.directory.list(&filter) {
        let named = wanted.bic.as_ref().is_some_and(|bic| {
            profile.bank.bics.iter().any(|own| institutions::same_bic(own, &bic.to_ascii_uppercase()))
        });
        if named || !by_number {
            all.insert(profile.bank.id.to_string(), One::Profiled(profile));
        }
    }
    all
}
