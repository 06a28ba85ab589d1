//! End-user agreements: what a product intends to ask. A person accepts on our page alone, with all that the law wants said.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use bank_adapters::profile::Profile;
use domain::consent::RevokedBy;
use domain::ids::InstitutionId;
use serde_json::{Value, json};
use store::requisitions::{self, Agreement};
use uuid::Uuid;

use super::body::{Fields, Window};
use super::refusal::Refusal;
use super::{Client, instant, institutions};
use crate::api::auth::{Caller, Scope};
use crate::app::App;
use crate::services::{ServiceError, consents};

/// What can be asked for.
const SCOPES: [&str; 3] = ["balances", "details", "transactions"];
/// Days where a client does not say.
const DAYS: u16 = 90;
/// The most days that this surface knows.
const DAYS_MAX: u16 = 730;

/// `POST agreements/enduser/`.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Client(caller): Client,
    fields: Fields,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    caller.may(Scope::Consents)?;
    let fields = fields.only(&[
        "institution_id",
        "max_historical_days",
        "access_valid_for_days",
        "access_scope",
        "reconfirmation",
    ])?;
    fields.require(&["institution_id"])?;
    let bank = institution(&app, fields.text("institution_id")?.unwrap_or_default())?;
    let agreement = wished(&app, &caller, &bank, &fields)?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    requisitions::add_agreement(&mut tx, &agreement).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(show(&app, &agreement))))
}

/// A bank that can be connected, or the complaint about the field.
pub(super) fn institution(app: &App, id: &str) -> Result<Arc<Profile>, Refusal> {
    institutions::find(app, id).ok_or_else(|| {
        let detail = "Get Institution IDs from /institutions/?country={$COUNTRY_CODE}";
        Refusal::field("institution_id", format!("Unknown Institution ID {id}"), detail)
    })
}

/// The agreement that fields ask for, within what the bank allows.
fn wished(app: &App, caller: &Caller, bank: &Profile, fields: &Fields) -> Result<Agreement, Refusal> {
    let name = institutions::public_id(bank);
    if fields.flag("reconfirmation")? {
        let detail = format!("Reconfirmation not supported for {name}");
        return Err(Refusal::field("reconfirmation", "Reconfirmation not supported", detail));
    }
    let (history, valid) = (institutions::history_days(bank).min(DAYS_MAX), bank.consent.max_days.min(DAYS_MAX));
    let max_historical_days = days(fields, "max_historical_days", history, || {
        format!("max_historical_days must be > 0 and <= {name} transaction_total_days ({history})")
    })?;
    let access_valid_for_days =
        days(fields, "access_valid_for_days", valid, || format!("access_valid_for_days must be > 0 and <= {valid}"))?;
    let world = app.world();
    Ok(Agreement {
        id: world.uuid(),
        product: caller.product,
        institution: bank.bank.id.clone(),
        max_historical_days,
        access_valid_for_days,
        access_scope: scope(fields)?,
        created_at: world.now,
        accepted_at: None,
        consent: None,
    })
}

/// An agreement for whoever asks without one: all that is usual.
pub(super) fn usual(app: &App, caller: &Caller, bank: &Profile) -> Result<Agreement, Refusal> {
    wished(app, caller, bank, &Fields::none())
}

fn days(fields: &Fields, name: &'static str, most: u16, says: impl Fn() -> String) -> Result<i32, Refusal> {
    match fields.number(name)? {
        None => Ok(i32::from(DAYS.min(most))),
        Some(days) if (1..=i64::from(most)).contains(&days) => i32::try_from(days).map_err(|_| Refusal::not_found()),
        Some(_) => Err(Refusal::field_list(name, format!("Incorrect {name}"), says())),
    }
}

fn scope(fields: &Fields) -> Result<Vec<String>, Refusal> {
    let list = "['balances', 'details', 'transactions']";
    let Some(wanted) = fields.list("access_scope")? else { return Ok(SCOPES.map(str::to_owned).to_vec()) };
    if wanted.is_empty() {
        let summary = "Field 'access_scope' may not be an empty list.";
        return Err(Refusal::field_list("access_scope", summary, format!("Please choose one or several of {list}.")));
    }
    if let Some(unknown) = wanted.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
        let summary = format!("Unknown value '{unknown}' in access_scope");
        return Err(Refusal::field_list("access_scope", summary, format!("Choose one or several from {list}")));
    }
    Ok(wanted)
}

/// `GET agreements/enduser/`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Client(caller): Client,
    uri: Uri,
) -> Result<Json<Value>, Refusal> {
    caller.may(Scope::Consents)?;
    let window = Window::of(&uri)?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let (count, found) = requisitions::agreements(&mut tx, caller.product, window.limit, window.offset).await?;
    tx.commit().await?;
    let results = found.iter().map(|agreement| show(&app, agreement)).collect();
    Ok(Json(window.page(&app, "agreements/enduser", count, results)))
}

/// `GET agreements/enduser/{id}/`.
pub(super) async fn read(
    State(app): State<Arc<App>>,
    Client(caller): Client,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(show(&app, &own(&app, &caller, &id).await?)))
}

/// `DELETE agreements/enduser/{id}/`: a consent that was asked for with it is withdrawn.
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Client(caller): Client,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let agreement = own(&app, &caller, &id).await?;
    if let Some(consent) = agreement.consent {
        match consents::revoke(&app, caller.tenant, consent, RevokedBy::Product, "product").await {
            // Over by itself: there is nothing to withdraw.
            Ok(_) | Err(ServiceError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    requisitions::delete_agreement(&mut tx, agreement.id, app.world().now).await?;
    tx.commit().await?;
    let detail = format!("End User Agreement {} deleted", agreement.id);
    Ok(Json(json!({ "summary": "End User Agreement deleted", "detail": detail })))
}

/// `PUT agreements/enduser/{id}/accept/`: nobody but the person accepts.
pub(super) async fn accept(
    State(app): State<Arc<App>>,
    Client(caller): Client,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Json<Value>, Refusal> {
    let agreement = own(&app, &caller, &id).await?;
    let fields = fields.only(&["user_agent", "ip_address"])?;
    fields.require(&["user_agent", "ip_address"])?;
    Err(match agreement.accepted_at {
        Some(_) => Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "EUA cannot be accepted more than once",
            "End User Agreements cannot be accepted more than once",
        ),
        None => Refusal::new(
            StatusCode::FORBIDDEN,
            "Insufficient permissions",
            "Your company doesn't have permission to accept EUA. You'll have to use our default form for this action.",
        ),
    })
}

/// `GET` and `POST agreements/enduser/{id}/reconfirm/`: no agreement is made with it.
pub(super) async fn reconfirm(
    State(app): State<Arc<App>>,
    Client(caller): Client,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let agreement = own(&app, &caller, &id).await?;
    let detail = format!("Reconfirmation is not enabled for agreement '{}'.", agreement.id);
    Err(Refusal::new(StatusCode::BAD_REQUEST, "Reconfirmation is not enabled.", detail))
}

async fn own(app: &App, caller: &Caller, id: &str) -> Result<Agreement, Refusal> {
    caller.may(Scope::Consents)?;
    let id = Uuid::try_parse(id).map_err(|_| Refusal::id(id))?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let found = requisitions::agreement(&mut tx, caller.product, id).await?;
    tx.commit().await?;
    Ok(found)
}

/// A bank's id on the wire; one that the directory has lost keeps ours.
pub(super) fn bank_id(app: &App, institution: &InstitutionId) -> String {
    app.directory.get(institution).map_or_else(|| institution.to_string(), |profile| institutions::public_id(profile))
}

fn show(app: &App, agreement: &Agreement) -> Value {
    json!({
        "id": agreement.id,
        "created": instant(agreement.created_at),
        "institution_id": bank_id(app, &agreement.institution),
        "max_historical_days": agreement.max_historical_days,
        "access_valid_for_days": agreement.access_valid_for_days,
        "access_scope": agreement.access_scope,
        "accepted": agreement.accepted_at.map(instant),
        "reconfirmation": false,
    })
}
