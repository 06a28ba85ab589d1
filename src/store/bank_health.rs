//! How banks behave: counts of calls by window and outcome, breakers, incidents. All nodes share them.

use domain::breaker::{Breaker, Permit};
use domain::ids::RegistrationId;
use jiff::Timestamp;
use sqlx::query;

use crate::time::{at, maybe_at, read};
use crate::{StoreError, TenantTx};

/// One thing that a bank does for us.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    /// Who we are there.
    pub registration: RegistrationId,
    /// `accounts`, `balances`, `transactions`, `consents` or `authorisation`; `rows`: whether what it lists can be read.
    pub capability: &'static str,
}

/// Calls of one window that ended alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The capability.
    pub capability: String,
    /// Start of the window.
    pub window: Timestamp,
    /// `ok`, or the class of the error.
    pub outcome: String,
    /// How many.
    pub calls: i64,
    /// How long they took together, in milliseconds.
    pub millis: i64,
}

/// A time in which a bank did not do one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// The capability.
    pub capability: String,
    /// From when.
    pub opened_at: Timestamp,
    /// Until when; absent while it lasts.
    pub closed_at: Option<Timestamp>,
    /// The class of the error that opened it.
    pub cause: String,
}

/// Whether a call may be made. A probe is claimed here, so that one node alone makes it.
pub async fn permit(tx: &mut TenantTx, service: &Service, now: Timestamp) -> Result<Permit, StoreError> {
    let Some(breaker) = breaker(tx, service).await? else { return Ok(Permit::Pass) };
    let permit = breaker.permit(now);
    if permit != Permit::Probe {
        return Ok(permit);
    }
    let probed = breaker.probed(now);
    let claimed = query!(
        "update bank_breaker set open_until = $3 where registration_id = $1 and capability = $2 and open_until = $4",
        service.registration.as_str(),
        service.capability,
        maybe_at(probed.open_until) as _,
        maybe_at(breaker.open_until) as _
    )
    .execute(tx.db())
    .await?;
    // Somebody else was quicker: as long as their call may take, ours rests.
    let rest = Permit::Rest(probed.open_until.unwrap_or(now));
    Ok(if claimed.rows_affected() == 1 { Permit::Probe } else { rest })
}

/// A breaker that has anything to say.
pub async fn breaker(tx: &mut TenantTx, service: &Service) -> Result<Option<Breaker>, StoreError> {
    let row = query!(
        r#"select failures, opened, open_until as "open_until: jiff_sqlx::Timestamp"
           from bank_breaker where registration_id = $1 and capability = $2"#,
        service.registration.as_str(),
        service.capability
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map(|row| Breaker {
        failures: row.failures.unsigned_abs(),
        opened: row.opened.unsigned_abs(),
        open_until: read(row.open_until),
    }))
}

/// After a success: the breaker is closed, and so is the incident.
pub async fn succeeded(tx: &mut TenantTx, service: &Service, now: Timestamp) -> Result<(), StoreError> {
    let registration = service.registration.as_str();
    query!("delete from bank_breaker where registration_id = $1 and capability = $2", registration, service.capability)
        .execute(tx.db())
        .await?;
    incident_ends(tx, service, now).await
}

/// Begins an incident; where one is open already, that one goes on. What a bank gives and nobody can read is one, too, and
/// no breaker has a say in it.
pub async fn incident_begins(
    tx: &mut TenantTx,
    service: &Service,
    now: Timestamp,
    cause: &str,
) -> Result<(), StoreError> {
    query!(
        "insert into bank_incident (registration_id, capability, opened_at, cause) values ($1, $2, $3, $4)
         on conflict do nothing",
        service.registration.as_str(),
        service.capability,
        at(now) as _,
        cause
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Ends the incident, if there is one.
pub async fn incident_ends(tx: &mut TenantTx, service: &Service, now: Timestamp) -> Result<(), StoreError> {
    query!(
        "update bank_incident set closed_at = greatest($3, opened_at)
         where registration_id = $1 and capability = $2 and closed_at is null",
        service.registration.as_str(),
        service.capability,
        at(now) as _
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// After a failure. Gives the breaker as it is then; where it opens, an incident begins.
pub async fn failed(
    tx: &mut TenantTx,
    service: &Service,
    now: Timestamp,
    jitter: u8,
    asked: Option<Timestamp>,
    cause: &str,
) -> Result<Breaker, StoreError> {
    let registration = service.registration.as_str();
    query!(
        "insert into bank_breaker (registration_id, capability, failures, opened) values ($1, $2, 0, 0)
         on conflict do nothing",
        registration,
        service.capability
    )
    .execute(tx.db())
    .await?;
    query!(
        "select 1 as one from bank_breaker where registration_id = $1 and capability = $2 for update",
        registration,
        service.capability
    )
    .fetch_optional(tx.db())
    .await?;
    let after = breaker(tx, service).await?.unwrap_or_default().failed(now, jitter, asked);
    query!(
        "update bank_breaker set failures = $3, opened = $4, open_until = $5
         where registration_id = $1 and capability = $2",
        registration,
        service.capability,
        i32::try_from(after.failures).unwrap_or(i32::MAX),
        i32::try_from(after.opened).unwrap_or(i32::MAX),
        maybe_at(after.open_until) as _
    )
    .execute(tx.db())
    .await?;
    if after.open_until.is_some() {
        incident_begins(tx, service, now, cause).await?;
    }
    Ok(after)
}

/// Adds to the counts of a window.
pub async fn count(
    tx: &mut TenantTx,
    service: &Service,
    window: Timestamp,
    outcome: &str,
    calls: i64,
    millis: i64,
) -> Result<(), StoreError> {
    query!(
        "insert into bank_health (registration_id, capability, window_start, outcome, calls, millis)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (registration_id, capability, window_start, outcome)
         do update set calls = bank_health.calls + excluded.calls, millis = bank_health.millis + excluded.millis",
        service.registration.as_str(),
        service.capability,
        at(window) as _,
        outcome,
        calls,
        millis
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// The counts of a bank since a moment, by capability, window and outcome.
pub async fn counts(
    tx: &mut TenantTx,
    registration: &RegistrationId,
    since: Timestamp,
) -> Result<Vec<Count>, StoreError> {
    let rows = query!(
        r#"select capability, window_start as "window_start: jiff_sqlx::Timestamp", outcome, calls, millis
           from bank_health where registration_id = $1 and window_start >= $2
           order by capability, window_start, outcome"#,
        registration.as_str(),
        at(since) as _
    )
    .fetch_all(tx.db())
    .await?;
    let count = rows.into_iter().map(|row| Count {
        capability: row.capability,
        window: row.window_start.to_jiff(),
        outcome: row.outcome,
        calls: row.calls,
        millis: row.millis,
    });
    Ok(count.collect())
}

/// The incidents of a bank that touch the time since a moment, the latest first.
pub async fn incidents(
    tx: &mut TenantTx,
    registration: &RegistrationId,
    since: Timestamp,
) -> Result<Vec<Incident>, StoreError> {
    let rows = query!(
        r#"select capability, opened_at as "opened_at: jiff_sqlx::Timestamp",
                  closed_at as "closed_at: jiff_sqlx::Timestamp", cause
           from bank_incident where registration_id = $1 and (closed_at is null or closed_at >= $2)
           order by opened_at desc, capability limit 100"#,
        registration.as_str(),
        at(since) as _
    )
    .fetch_all(tx.db())
    .await?;
    let incident = rows.into_iter().map(|row| Incident {
        capability: row.capability,
        opened_at: row.opened_at.to_jiff(),
        closed_at: read(row.closed_at),
        cause: row.cause,
    });
    Ok(incident.collect())
}

/// Forgets what was before a moment.
pub async fn expire(tx: &mut TenantTx, before: Timestamp) -> Result<(), StoreError> {
    query!("delete from bank_health where window_start < $1", at(before) as _).execute(tx.db()).await?;
    query!("delete from bank_incident where closed_at < $1", at(before) as _).execute(tx.db()).await?;
    Ok(())
}
