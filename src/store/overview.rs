//! How much stands where, for whoever runs the installation: numbers alone, no id of a person and no bank data.
//!
//! Read when somebody looks, not kept: a number that is kept can be wrong.

use jiff::Timestamp;
use sqlx::{query, query_as};

use crate::time::{at, read};
use crate::{StoreError, TenantTx};

/// So many of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The word of the state.
    pub state: String,
    /// So many are in it.
    pub number: i64,
}

/// Deletions that have no receipt yet, and what banks still owe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletions {
    /// Without a receipt, and on their way.
    pub open: i64,
    /// Kept from running by a legal hold.
    pub blocked: i64,
    /// Since when the oldest of them waits.
    pub oldest: Option<Timestamp>,
    /// With a receipt or without, whose bank has not confirmed the end.
    pub unconfirmed: i64,
}

/// The evidence log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// Entries that have their place.
    pub entries: i64,
    /// Entries that wait for one.
    pub waiting: i64,
    /// When the newest checkpoint was signed.
    pub signed_at: Option<Timestamp>,
}

/// A breaker that keeps calls from a bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The registration.
    pub registration: String,
    /// What is left alone: `accounts`, `balances`, `transactions`, `consents`, `authorisation`.
    pub capability: String,
}

/// Consents by state.
pub async fn consents(tx: &mut TenantTx) -> Result<Vec<Count>, StoreError> {
    let counts = query_as!(
        Count,
        r#"select state, count(*) as "number!" from consent where tenant_id = $1 group by state order by state"#,
        tx.id()
    );
    Ok(counts.fetch_all(tx.db()).await?)
}

/// Webhook endpoints by state.
pub async fn endpoints(tx: &mut TenantTx) -> Result<Vec<Count>, StoreError> {
    let counts = query_as!(
        Count,
        r#"select state, count(*) as "number!" from webhook_endpoint where tenant_id = $1 group by state order by state"#,
        tx.id()
    );
    Ok(counts.fetch_all(tx.db()).await?)
}

/// Deliveries that wait for their endpoint.
pub async fn deliveries(tx: &mut TenantTx) -> Result<i64, StoreError> {
    let count = query!(
        r#"select count(*) as "number!" from webhook_delivery where tenant_id = $1 and state = 'pending'"#,
        tx.id()
    );
    Ok(count.fetch_one(tx.db()).await?.number)
}

/// Deletions.
pub async fn deletions(tx: &mut TenantTx) -> Result<Deletions, StoreError> {
    let row = query!(
        r#"select count(*) filter (where state not in ('blocked', 'receipted')) as "open!",
            count(*) filter (where state = 'blocked') as "blocked!",
            min(coalesce(unblocked_at, stopped_at)) filter (where state not in ('blocked', 'receipted')) as "oldest: jiff_sqlx::Timestamp",
            count(*) filter (where bank in ('pending', 'unconfirmed')) as "unconfirmed!"
         from deletion where tenant_id = $1"#,
        tx.id()
    );
    let row = row.fetch_one(tx.db()).await?;
    Ok(Deletions { open: row.open, blocked: row.blocked, oldest: read(row.oldest), unconfirmed: row.unconfirmed })
}

/// The evidence log.
pub async fn evidence(tx: &mut TenantTx) -> Result<Evidence, StoreError> {
    let row = query!(
        r#"select (select coalesce(max(leaf_index) + 1, 0) from evidence_entry where tenant_id = $1) as "entries!",
            (select count(*) from evidence_entry where tenant_id = $1 and leaf_index is null) as "waiting!",
            (select max(signed_at) from checkpoint where tenant_id = $1) as "signed_at: jiff_sqlx::Timestamp""#,
        tx.id()
    );
    let row = row.fetch_one(tx.db()).await?;
    Ok(Evidence { entries: row.entries, waiting: row.waiting, signed_at: read(row.signed_at) })
}

/// Breakers that are open.
pub async fn breakers(tx: &mut TenantTx, now: Timestamp) -> Result<Vec<Open>, StoreError> {
    let open = query_as!(
        Open,
        "select registration_id as registration, capability from bank_breaker where open_until > $1
         order by registration_id, capability",
        at(now)
    );
    Ok(open.fetch_all(tx.db()).await?)
}
