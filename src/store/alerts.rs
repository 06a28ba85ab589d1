//! Alerts: what looked like an attack or a leak.

use jiff::Timestamp;
use sqlx::query;
use uuid::Uuid;

use crate::time::at;
use crate::{StoreError, TenantTx};

/// An alert as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Its id.
    pub id: Uuid,
    /// The word of its kind.
    pub kind: String,
    /// Of whom: a key, an address, a member of staff.
    pub subject: String,
    /// So often within its window.
    pub number: i64,
    /// When.
    pub raised_at: Timestamp,
}

/// Adds an alert.
pub async fn insert(tx: &mut TenantTx, alert: &Alert) -> Result<(), StoreError> {
    query!(
        "insert into alert (tenant_id, alert_id, kind, subject, number, raised_at) values ($1, $2, $3, $4, $5, $6)",
        tx.id(),
        alert.id,
        alert.kind,
        alert.subject,
        alert.number,
        at(alert.raised_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Alerts of some kinds since a moment, the newest first.
pub async fn since(
    tx: &mut TenantTx,
    kinds: &[String],
    begin: Timestamp,
    limit: i64,
) -> Result<Vec<Alert>, StoreError> {
    let rows = query!(
        "select alert_id, kind, subject, number, raised_at from alert
         where tenant_id = $1 and kind = any($2) and raised_at >= $3
         order by raised_at desc, alert_id limit $4",
        tx.id(),
        kinds,
        at(begin),
        limit
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Alert {
            id: row.alert_id,
            kind: row.kind,
            subject: row.subject,
            number: row.number,
            raised_at: row.raised_at.to_jiff(),
        })
        .collect())
}

/// How many alerts there are since a moment.
pub async fn number(tx: &mut TenantTx, begin: Timestamp) -> Result<i64, StoreError> {
    let row = query!(
        r#"select count(*) as "number!" from alert where tenant_id = $1 and raised_at >= $2"#,
        tx.id(),
        at(begin)
    );
    Ok(row.fetch_one(tx.db()).await?.number)
}

/// Removes alerts from before a moment; gives how many.
pub async fn expire(tx: &mut TenantTx, before: Timestamp) -> Result<u64, StoreError> {
    let gone = query!("delete from alert where tenant_id = $1 and raised_at < $2", tx.id(), at(before))
        .execute(tx.db())
        .await?;
    Ok(gone.rows_affected())
}
