//! What banks have shown of their limits, where their profiles do not know better. All nodes share it.

use domain::ids::RegistrationId;
use jiff::Timestamp;
use sqlx::query;

use crate::time::{at, read};
use crate::{StoreError, TenantTx};

/// A limit that a refusal may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Reads per day without the person.
    UnattendedPerDay,
    /// Days of history at any time.
    HistoryDays,
    /// Days of history right after strong authentication.
    HistoryDaysAfterSca,
}

impl Limit {
    /// The word in the database: the key of the profile.
    pub const fn word(self) -> &'static str {
        match self {
            Self::UnattendedPerDay => "unattended_per_day",
            Self::HistoryDays => "history_days",
            Self::HistoryDaysAfterSca => "history_days_after_sca",
        }
    }
}

/// Until when a bank wants no call without a person.
pub async fn paused(tx: &mut TenantTx, registration: &RegistrationId) -> Result<Option<Timestamp>, StoreError> {
    let row = query!(
        r#"select until as "until: jiff_sqlx::Timestamp" from bank_pause where registration_id = $1"#,
        registration.as_str()
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.and_then(|row| read(Some(row.until))))
}

/// Asks a bank for nothing before a moment. A longer pause is never made shorter.
pub async fn pause(
    tx: &mut TenantTx,
    registration: &RegistrationId,
    until: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    query!(
        "insert into bank_pause as p (registration_id, until, slowed_at) values ($1, $2, $3)
         on conflict (registration_id) do update set until = greatest(p.until, excluded.until),
            slowed_at = greatest(p.slowed_at, excluded.slowed_at)",
        registration.as_str(),
        at(until) as _,
        at(now) as _
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// A limit that was learned since a moment.
pub async fn learned(
    tx: &mut TenantTx,
    registration: &RegistrationId,
    limit: Limit,
    since: Timestamp,
) -> Result<Option<u16>, StoreError> {
    let row = query!(
        "select value from bank_learned where registration_id = $1 and limit_name = $2 and learned_at >= $3",
        registration.as_str(),
        limit.word(),
        at(since) as _
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.and_then(|row| u16::try_from(row.value).ok()))
}

/// Learns a limit. What was learned before and is narrower stays, and is forgotten in its time.
pub async fn learn(
    tx: &mut TenantTx,
    registration: &RegistrationId,
    limit: Limit,
    value: u16,
    now: Timestamp,
) -> Result<(), StoreError> {
    query!(
        "insert into bank_learned as l (registration_id, limit_name, value, learned_at) values ($1, $2, $3, $4)
         on conflict (registration_id, limit_name) do update set value = least(l.value, excluded.value),
            learned_at = case when excluded.value <= l.value then excluded.learned_at else l.learned_at end",
        registration.as_str(),
        limit.word(),
        i32::from(value.max(1)),
        at(now) as _
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Forgets pauses that are over and what was learned before a moment: banks change their minds.
pub async fn expire(tx: &mut TenantTx, now: Timestamp, before: Timestamp) -> Result<(), StoreError> {
    query!("delete from bank_pause where until < $1 and slowed_at + interval '1 day' < $1", at(now) as _)
        .execute(tx.db())
        .await?;
    query!("delete from bank_learned where learned_at < $1", at(before) as _).execute(tx.db()).await?;
    Ok(())
}
