//! Accounts: what they are, their balances, their transactions. Always from what is stored; `last_updated` says since when.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use domain::consent::{ReauthReason, State as ConsentState};
use domain::ids::{ConsentId, LineId};
use domain::records::Status;
use domain::world::World;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde_json::{Map, Value, json};
use store::consents::Consent;
use store::lines::{self, Filter, Held};
use store::transactions::{self, Query};
use store::{TenantTx, consents, grants, requisitions};
use uuid::Uuid;

use super::body::{parameter, parameters};
use super::refusal::Refusal;
use super::{Client, agreements, instant, rows};
use crate::api::accounts as api;
use crate::api::auth::{Caller, Scope};
use crate::app::App;
use crate::services::fetch::{self, Allowance};

/// Days around a window in which rows are looked for: value and booking day may lie so far apart.
const DAYS_APART: i64 = 31;
/// Rows that one statement brings.
const BATCH: u32 = 500;

/// What is read of an account.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Details,
    Balances,
    Transactions,
}

impl Kind {
    /// The word in this surface's messages and scopes.
    const fn word(self) -> &'static str {
        match self {
            Self::Details => "details",
            Self::Balances => "balances",
            Self::Transactions => "transactions",
        }
    }

    /// The kind of data that a person agreed to.
    const fn cluster(self) -> &'static str {
        match self {
            Self::Details => "accounts",
            Self::Balances | Self::Transactions => self.word(),
        }
    }
}

/// An account that may be read now.
struct Open {
    tx: TenantTx,
    held: Held,
    consent: Consent,
}

/// `GET accounts/{id}/`: what is known of it without looking into it.
pub(super) async fn read(
    State(app): State<Arc<App>>,
    Client(caller): Client,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, Refusal> {
    caller.may(Scope::Data)?;
    parameters(&uri, &[])?;
    let line = account_id(&id)?;
    let world = app.world();
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let Some(held) = held(&mut tx, &caller, line).await? else {
        return ended(&app, &mut tx, &caller, line, &id).await.map(Json);
    };
    if !api::is_for(&caller, &held) {
        return Err(forbidden(&app, tx, &world, &caller, &held, "account").await?);
    }
    let key = app.vault.open_key(caller.tenant, &held.line.key)?;
    let details = held.line.details(caller.tenant, &key)?;
    let fresh = held.line.freshness;
    let shown = json!({
        "id": line.uuid(),
        "created": instant(held.line.created_at),
        "last_accessed": fresh.transactions_as_of.max(fresh.balances_as_of).map(instant),
        "iban": details.iban.unwrap_or_default(),
        "bban": details.bban,
        "status": word(held.state),
        "institution_id": agreements::bank_id(&app, &held.line.institution),
        "owner_name": details.owner_name.unwrap_or_default(),
        "name": details.name.or(details.product),
    });
    api::disclose(&app, &mut tx, &world, &caller, &held, "account", 1).await?;
    tx.commit().await?;
    Ok(Json(shown))
}

fn account_id(text: &str) -> Result<LineId, Refusal> {
    Uuid::try_parse(text).map(LineId::from_uuid).map_err(|_| {
        let detail = format!("{text} is not a valid Account UUID. ");
        Refusal::new(StatusCode::BAD_REQUEST, "Invalid Account ID", detail)
    })
}

async fn held(tx: &mut TenantTx, caller: &Caller, line: LineId) -> Result<Option<Held>, Refusal> {
    let filter = Filter { line: Some(line), ..Filter::default() };
    Ok(lines::held(tx, caller.product, filter).await?.pop())
}

/// The state of an account whose consent is in force.
const fn word(state: ConsentState) -> &'static str {
    match state {
        ConsentState::Initiated => "DISCOVERED",
        ConsentState::Authorized => "PROCESSING",
        ConsentState::Active => "READY",
        ConsentState::ReauthPending(ReauthReason::SuspendedByBank) => "SUSPENDED",
        ConsentState::ReauthPending(_) | ConsentState::Expired(_) | ConsentState::Revoked(_) => "EXPIRED",
        ConsentState::Failed(_) => "ERROR",
    }
}

fn unknown(id: &str) -> Refusal {
    let detail = "Please check whether you specified a valid Account ID";
    Refusal::new(StatusCode::NOT_FOUND, format!("Account ID {id} not found"), detail)
}

/// What is left to say of an account that no consent of the product holds any more: nothing about its content.
async fn ended(app: &App, tx: &mut TenantTx, caller: &Caller, line: LineId, id: &str) -> Result<Value, Refusal> {
    let consent = last(tx, caller, line, id).await?;
    Ok(json!({
        "id": line.uuid(),
        "created": instant(consent.created_at),
        "last_accessed": null,
        "iban": "",
        "status": "EXPIRED",
        "institution_id": consent.bank.as_ref().map(|(institution, _)| agreements::bank_id(app, institution)),
        "owner_name": "",
    }))
}

async fn last(tx: &mut TenantTx, caller: &Caller, line: LineId, id: &str) -> Result<Consent, Refusal> {
    match lines::last_consent(tx, caller.product, line).await? {
        Some(consent) => Ok(consents::get(tx, consent).await?),
        None => Err(unknown(id)),
    }
}

/// The account, if its data may be read now and the person agreed to this kind of them.
async fn open(app: &App, world: &World<'_>, caller: &Caller, id: &str, kind: Kind) -> Result<Open, Refusal> {
    caller.may(Scope::Data)?;
    let line = account_id(id)?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let Some(held) = held(&mut tx, caller, line).await? else {
        let consent = last(&mut tx, caller, line, id).await?;
        return Err(over(&mut tx, &consent, kind).await?);
    };
    if !api::is_for(caller, &held) {
        return Err(forbidden(app, tx, world, caller, &held, kind.word()).await?);
    }
    let consent = consents::readable(&mut tx, held.consent).await?;
    if let ConsentState::ReauthPending(reason) = held.state {
        return Err(match reason {
            ReauthReason::SuspendedByBank => Refusal::new(
                StatusCode::CONFLICT,
                "Account suspended",
                "This account or its requisition was suspended due to numerous errors that occurred while accessing it.",
            ),
            ReauthReason::ScaExpired
            | ReauthReason::ReconfirmMissed
            | ReauthReason::TokenLost
            | ReauthReason::Displaced => expired(&mut tx, &consent).await?,
        });
    }
    if !consent.clusters.iter().any(|given| given == kind.cluster()) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "End User Agreement (EUA) access scope error",
            format!(
                "EUA doesn't allow access to account {}. Check EUA access scope. Or create new EUA with correct access scope",
                kind.word()
            ),
        ));
    }
    let fresh = held.line.freshness;
    let is_there = match kind {
        Kind::Details => true,
        Kind::Balances => fresh.balances_as_of.is_some(),
        Kind::Transactions => fresh.transactions_as_of.is_some(),
    };
    if is_there {
        return Ok(Open { tx, held, consent });
    }
    Err(Refusal::new(
        StatusCode::CONFLICT,
        "Account is Processing",
        "Your account data is currently being processed. Please try again shortly, once the first data are there.",
    )
    .kind("AccountProcessing"))
}

/// Why an account cannot be read whose last consent is over.
async fn over(tx: &mut TenantTx, consent: &Consent, kind: Kind) -> Result<Refusal, Refusal> {
    match consent.machine.state {
        ConsentState::Expired(_) => expired(tx, consent).await,
        ConsentState::Revoked(_) => Ok(Refusal::new(
            StatusCode::UNAUTHORIZED,
            format!("Couldn't update account {}", kind.word()),
            "Access has expired or it has been revoked. To restore access reconnect the account.",
        )
        .kind("AccessExpiredError")),
        ConsentState::Initiated
        | ConsentState::Authorized
        | ConsentState::Active
        | ConsentState::ReauthPending(_)
        | ConsentState::Failed(_) => Ok(Refusal::new(
            StatusCode::FORBIDDEN,
            "No valid End User Agreement",
            "Account exists but there is no valid End User Agreement permitting you to access it",
        )),
    }
}

/// The words by which clients know that a person must connect again.
async fn expired(tx: &mut TenantTx, consent: &Consent) -> Result<Refusal, Refusal> {
    let requisition = requisitions::of_consent(tx, consent.id).await?;
    let agreement = requisition.map_or_else(|| consent.id.uuid(), |requisition| requisition.agreement);
    let clocks = consent.machine.clocks;
    let ended = consent.ended_at.or(clocks.and_then(|clocks| clocks.sca_due)).or(clocks.map(|clocks| clocks.term_ends));
    let ended = day(ended.unwrap_or(consent.created_at));
    let begun = day(consent.authorized_at.unwrap_or(consent.created_at));
    let days = begun.until(ended).map_or(0, |span| span.get_days());
    Ok(Refusal::new(
        StatusCode::UNAUTHORIZED,
        format!("End User Agreement (EUA) {agreement} has expired"),
        format!(
            "EUA was valid for {days} days and it expired at {ended}. The end user must connect the account once more with \
             new EUA and Requisition"
        ),
    ))
}

fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

async fn forbidden(
    app: &App,
    mut tx: TenantTx,
    world: &World<'_>,
    caller: &Caller,
    held: &Held,
    what: &'static str,
) -> Result<Refusal, Refusal> {
    api::refuse(app, &mut tx, world, caller, held, what).await?;
    tx.commit().await?;
    let detail = "Access to account is forbidden. The key is for other purposes than those the person agreed to.";
    Ok(Refusal::new(StatusCode::FORBIDDEN, format!("Couldn't update account {what}"), detail)
        .kind("AccountAccessForbidden"))
}

/// What the bank lets us read today without the person, under the names that clients read. The reading that this goes
/// with has cost nothing of it.
async fn budget(app: &App, tx: &mut TenantTx, consent: &Consent, now: Timestamp) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::new();
    let connection = consent.bank.as_ref().and_then(|(_, registration)| app.connections.get(registration));
    let Some((grant, connection)) = consent.grant.zip(connection) else { return Ok(headers) };
    let grant = grants::get(tx, grant).await?;
    let Allowance { limit, used, resets_at, .. } = fetch::allowance(app, tx, &grant, &connection).await?;
    let reset = resets_at.as_second() - now.as_second();
    for (name, number) in [
        ("http_x_ratelimit_account_success_limit", i64::from(limit)),
        ("http_x_ratelimit_account_success_remaining", i64::from((limit - used).max(0))),
        ("http_x_ratelimit_account_success_reset", reset.max(0)),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(number));
    }
    Ok(headers)
}

/// Logs the reading and answers it.
async fn answer(
    app: &App,
    world: &World<'_>,
    caller: &Caller,
    open: Open,
    (kind, rows): (Kind, usize),
    body: Value,
) -> Result<(HeaderMap, Json<Value>), Refusal> {
    let Open { mut tx, held, consent } = open;
    let what = if kind == Kind::Details { "account" } else { kind.word() };
    api::disclose(app, &mut tx, world, caller, &held, what, rows).await?;
    let headers = budget(app, &mut tx, &consent, world.now).await?;
    tx.commit().await?;
    Ok((headers, Json(body)))
}

/// `GET accounts/{id}/details/`.
pub(super) async fn details(
    State(app): State<Arc<App>>,
    Client(caller): Client,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<(HeaderMap, Json<Value>), Refusal> {
    parameters(&uri, &["country"])?;
    let world = app.world();
    let mut open = open(&app, &world, &caller, &id, Kind::Details).await?;
    let key = app.vault.open_key(caller.tenant, &open.held.line.key)?;
    let details = open.held.line.details(caller.tenant, &key)?;
    let resource = resource_id(&mut open.tx, open.consent.id, open.held.line.id, &key).await?;
    let body = json!({ "account": rows::details(&details, resource) });
    answer(&app, &world, &caller, open, (Kind::Details, 1), body).await
}

async fn resource_id(
    tx: &mut TenantTx,
    consent: ConsentId,
    line: LineId,
    key: &vault::DataKey,
) -> Result<Option<String>, Refusal> {
    let resources = lines::resources(tx, consent).await?;
    let Some(resource) = resources.iter().find(|resource| resource.line.id == line) else { return Ok(None) };
    Ok(Some(String::from_utf8_lossy(&resource.resource_id(tx.tenant(), key)?).into_owned()))
}

/// `GET accounts/{id}/balances/`.
pub(super) async fn balances(
    State(app): State<Arc<App>>,
    Client(caller): Client,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<(HeaderMap, Json<Value>), Refusal> {
    parameters(&uri, &["country"])?;
    let world = app.world();
    let mut open = open(&app, &world, &caller, &id, Kind::Balances).await?;
    let key = app.vault.open_key(caller.tenant, &open.held.line.key)?;
    let mut found = Vec::new();
    for row in store::balances::latest(&mut open.tx, open.consent.id, open.held.line.id).await? {
        found.push(rows::balance(&row.open(caller.tenant, &key)?));
    }
    let count = found.len();
    answer(&app, &world, &caller, open, (Kind::Balances, count), json!({ "balances": found })).await
}

/// The days that a client asks for, inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Days {
    from: Option<Date>,
    until: Option<Date>,
}

impl Days {
    fn of(uri: &Uri, today: Date) -> Result<Self, Refusal> {
        let given = parameters(uri, &["date_from", "date_to", "country"])?;
        let (from, until) = (date(&given, "date_from", today)?, date(&given, "date_to", today)?);
        if let Some((from, until)) = from.zip(until).filter(|(from, until)| from > until) {
            let detail = format!(
                "Starting date '{from}' is greater than end date '{until}'. When specifying date range, starting date must \
                 precede the end date"
            );
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "Incorrect date range", detail));
        }
        Ok(Self { from, until })
    }

    fn has(self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) && self.until.is_none_or(|until| day <= until)
    }
}

fn date(given: &[(String, String)], name: &'static str, today: Date) -> Result<Option<Date>, Refusal> {
    let Some(text) = parameter(given, name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let Ok(day) = text.parse::<Date>() else {
        let detail = format!("'{text}' is not a date. Use the form YYYY-MM-DD");
        return Err(Refusal::field(name, "Incorrect date", detail));
    };
    // Somewhere it is tomorrow already.
    if day > today.saturating_add(Span::new().days(1)) {
        let detail = format!("'{day}' can't be greater than {today}. Specify correct date range");
        return Err(Refusal::field(name, "Date can't be in future", detail));
    }
    Ok(Some(day))
}

/// `GET accounts/{id}/transactions/`: every row that is booked or valued in the window.
pub(super) async fn transactions(
    State(app): State<Arc<App>>,
    Client(caller): Client,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<(HeaderMap, Json<Value>), Refusal> {
    let world = app.world();
    let days = Days::of(&uri, day(world.now))?;
    let mut open = open(&app, &world, &caller, &id, Kind::Transactions).await?;
    let first = first_day(&mut open.tx, &open.consent).await?;
    let (booked, pending) = read_rows(&app, &mut open, days, first).await?;
    let count = booked.len() + pending.len();
    let mut body = Map::new();
    body.insert("transactions".to_owned(), json!({ "booked": booked, "pending": pending }));
    let updated = open.held.line.freshness.transactions_as_of.map(instant);
    body.insert("last_updated".to_owned(), updated.into());
    answer(&app, &world, &caller, open, (Kind::Transactions, count), body.into()).await
}

/// The first day of history that was agreed; `None` for a consent that was asked for otherwise.
async fn first_day(tx: &mut TenantTx, consent: &Consent) -> Result<Option<Date>, Refusal> {
    let Some(requisition) = requisitions::of_consent(tx, consent.id).await? else { return Ok(None) };
    let agreement = requisitions::agreement(tx, requisition.product, requisition.agreement).await?;
    let begun = day(consent.authorized_at.unwrap_or(consent.created_at));
    Ok(Some(begun.saturating_sub(Span::new().days(i64::from(agreement.max_historical_days)))))
}

async fn read_rows(
    app: &App,
    open: &mut Open,
    days: Days,
    first: Option<Date>,
) -> Result<(Vec<Value>, Vec<Value>), Refusal> {
    let (tenant, line) = (open.tx.tenant(), open.held.line.id);
    let key = app.vault.open_key(tenant, &open.held.line.key)?;
    let apart = Span::new().days(DAYS_APART);
    let mut query = Query {
        consent: open.consent.id,
        line: Some(line),
        from: days.from.map(|from| from.saturating_sub(apart)).max(first),
        until: days.until.map(|until| until.saturating_add(apart)),
        after: None,
        limit: BATCH,
    };
    let (mut booked, mut pending) = (Vec::new(), Vec::new());
    loop {
        let page = transactions::page(&mut open.tx, query).await?;
        for stored in &page.rows {
            let row = stored.open(tenant, &key)?;
            let known = [row.booking_date, row.value_date];
            if !known.into_iter().flatten().chain([stored.booking_date]).any(|day| days.has(day)) {
                continue;
            }
            let list = if row.status == Status::Booked { &mut booked } else { &mut pending };
            list.push(rows::transaction(stored.id, &row));
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok((booked, pending)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(query: &str) -> Result<Days, Refusal> {
        Days::of(&format!("/x?{query}").parse().unwrap(), "2026-11-21".parse().unwrap())
    }

    #[test]
    fn a_window_is_days_in_order_and_not_ahead() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let window = days("date_from=2026-11-01&date_to=2026-11-22").unwrap();
        assert!(window.has(day("2026-11-01")) && window.has(day("2026-11-22")) && !window.has(day("2026-10-31")));
        assert!(days("").unwrap().has(day("1999-01-01")));
        assert!(days("date_from=&date_to=").is_ok(), "an empty parameter says nothing");
        for wrong in ["date_from=2026-11-23", "date_to=21.11.2026", "date_from=2026-11-10&date_to=2026-11-09", "page=1"]
        {
            assert!(days(wrong).is_err(), "{wrong}");
        }
    }
}
