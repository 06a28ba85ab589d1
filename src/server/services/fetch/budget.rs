//! What a bank lets us read on one of its days without the person.

use domain::ids::RegistrationId;
use domain::limits;
use domain::policy::end_of_day;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use store::bank_limits::{self, Limit};
use store::budgets::{self, Budget};
use store::grants::Grant;
use store::{StoreError, TenantTx};

use crate::app::App;
use crate::connections::Connection;

/// Reads a day without the person, by the bank and by the law.
pub(super) fn unattended_reads(app: &App, connection: &Connection) -> u8 {
    app.tenant.regime.policy().unattended_reads(connection.bank.profile().limits.unattended_per_day)
}

/// What a bank counts of a grant on one of its calendar days: fetches, since each asks once for the accounts.
pub(super) fn reads(grant: &Grant, day: Date) -> Budget<'_> {
    Budget { registration: &grant.registration, subject: grant.id.uuid(), operation: "fetch", day }
}

/// A limit that the bank has shown lately, where it is narrower than what its profile says.
pub(super) async fn narrowed(
    tx: &mut TenantTx,
    app: &App,
    registration: &RegistrationId,
    limit: Limit,
    said: u16,
) -> Result<u16, StoreError> {
    let now = app.clock.now();
    let since = now.saturating_add(SignedDuration::from_hours(-24 * limits::BANK_HEALTH_DAYS)).unwrap_or(now);
    let learned = bank_limits::learned(tx, registration, limit, since).await?;
    Ok(learned.map_or(said, |learned| learned.min(said)))
}

/// What the bank lets us read of a grant on its present day without the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// The bank's day.
    pub(super) day: Date,
    /// Reads a day, by the profile and the law or as the bank has shown.
    pub(crate) limit: i32,
    /// Those that are made.
    pub(crate) used: i32,
    /// When the next day begins.
    pub(crate) resets_at: Timestamp,
}

/// Looks what is left of the day's reads.
pub(crate) async fn allowance(
    app: &App,
    tx: &mut TenantTx,
    grant: &Grant,
    connection: &Connection,
) -> Result<Allowance, StoreError> {
    let zone = &connection.zone;
    let day = app.world().now.to_zoned(zone.clone()).date();
    let said = u16::from(unattended_reads(app, connection));
    let limit = i32::from(narrowed(tx, app, &grant.registration, Limit::UnattendedPerDay, said).await?);
    let used = budgets::used(tx, reads(grant, day)).await?;
    Ok(Allowance { day, limit, used, resets_at: end_of_day(day, zone) })
}
