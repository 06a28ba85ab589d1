//! What a bank counts against us: unattended reads per day. All nodes share one count.

use domain::ids::RegistrationId;
use jiff::civil::Date;
use sqlx::query;
use uuid::Uuid;

use crate::time::day;
use crate::{StoreError, TenantTx};

/// What is counted together.
#[derive(Debug, Clone, Copy)]
pub struct Budget<'a> {
    /// The bank counts per TPP.
    pub registration: &'a RegistrationId,
    /// Per consent, grant or account, as its profile says.
    pub subject: Uuid,
    /// Per kind of read: `transactions`.
    pub operation: &'a str,
    /// The bank's calendar day.
    pub day: Date,
}

/// Takes one from a budget of `limit` a day and gives how many were used, this one included; `None` if it is used up.
pub async fn take(tx: &mut TenantTx, budget: Budget<'_>, limit: i32) -> Result<Option<i32>, StoreError> {
    if limit <= 0 {
        return Ok(None);
    }
    let row = query!(
        "insert into bank_budget (registration_id, subject, operation, day, used) values ($1, $2, $3, $4, 1)
         on conflict (registration_id, subject, operation, day) do update set used = bank_budget.used + 1
            where bank_budget.used < $5
         returning used",
        budget.registration.as_str(),
        budget.subject,
        budget.operation,
        day(budget.day),
        limit
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map(|row| row.used))
}

/// Gives one back that was taken and that the bank has not counted.
pub async fn give_back(tx: &mut TenantTx, budget: Budget<'_>) -> Result<(), StoreError> {
    query!(
        "update bank_budget set used = used - 1
         where registration_id = $1 and subject = $2 and operation = $3 and day = $4 and used > 0",
        budget.registration.as_str(),
        budget.subject,
        budget.operation,
        day(budget.day)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// How many were used of a budget.
pub async fn used(tx: &mut TenantTx, budget: Budget<'_>) -> Result<i32, StoreError> {
    let row = query!(
        "select used from bank_budget where registration_id = $1 and subject = $2 and operation = $3 and day = $4",
        budget.registration.as_str(),
        budget.subject,
        budget.operation,
        day(budget.day)
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map_or(0, |row| row.used))
}

/// Forgets days before `day`; gives how many rows.
pub async fn expire(tx: &mut TenantTx, before: Date) -> Result<u64, StoreError> {
    let done = query!("delete from bank_budget where day < $1", day(before)).execute(tx.db()).await?;
    Ok(done.rows_affected())
}
