//! Lists for the staff's console: how things stand, row by row. No bank data are read here.

use domain::ids::{ConsentId, EndpointId, JobId, PsuId, RegistrationId};
use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::query;

use crate::time::{at, day, maybe_at, read};
use crate::{StoreError, TenantTx};

/// A consent in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: ConsentId,
    /// Who asked for it, by name.
    pub product: String,
    /// The bank, where one was chosen.
    pub institution: Option<String>,
    /// The word of its state.
    pub state: String,
    /// Why it is in it.
    pub reason: Option<String>,
    /// What became of its data.
    pub data: String,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When something lapses next.
    pub due_at: Option<Timestamp>,
}

/// Which consents; every part that is there narrows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// In this state.
    pub state: Option<&'a str>,
    /// Of this person.
    pub psu: Option<PsuId>,
    /// Something of them lapses before this moment; then what lapses first comes first.
    pub lapse_before: Option<Timestamp>,
}

/// Consents, the newest first, or what lapses first.
pub async fn consents(tx: &mut TenantTx, wanted: Wanted<'_>, limit: i64) -> Result<Vec<Listed>, StoreError> {
    let rows = query!(
        "select c.consent_id, p.name, c.institution_id, c.state, c.state_reason, c.data_state, c.created_at, c.due_at
         from consent c join product p on p.tenant_id = c.tenant_id and p.product_id = c.product_id
         where c.tenant_id = $1 and ($2::text is null or c.state = $2) and ($3::uuid is null or c.psu_id = $3)
           and ($4::timestamptz is null or c.due_at < $4 and c.state <> 'initiated')
         order by case when $4::timestamptz is not null then c.due_at end, c.consent_id desc limit $5",
        tx.id(),
        wanted.state,
        wanted.psu.map(PsuId::uuid),
        maybe_at(wanted.lapse_before) as _,
        limit
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Listed {
            id: ConsentId::from_uuid(row.consent_id),
            product: row.name,
            institution: row.institution_id,
            state: row.state,
            reason: row.state_reason,
            data: row.data_state,
            created_at: row.created_at.to_jiff(),
            due_at: read(row.due_at),
        })
        .collect())
}

/// Work in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Its id.
    pub id: JobId,
    /// What is to be done.
    pub kind: String,
    /// Attempts so far.
    pub attempts: i32,
    /// Code of what went wrong last.
    pub last_error: Option<String>,
    /// When it is due.
    pub due_at: Timestamp,
    /// Since when it is put aside.
    pub parked_at: Option<Timestamp>,
}

/// Work of the tenant, what was put aside first, then what is due first.
pub async fn work(tx: &mut TenantTx, limit: i64) -> Result<Vec<Work>, StoreError> {
    let rows = query!(
        "select job_id, kind, attempts, last_error, due_at, parked_at from job where tenant_id = $1
         order by parked_at nulls last, due_at, job_id limit $2",
        tx.id(),
        limit
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Work {
            id: JobId::from_uuid(row.job_id),
            kind: row.kind,
            attempts: row.attempts,
            last_error: row.last_error,
            due_at: row.due_at.to_jiff(),
            parked_at: read(row.parked_at),
        })
        .collect())
}

/// How much work of the tenant is put aside.
pub async fn parked(tx: &mut TenantTx) -> Result<i64, StoreError> {
    let row =
        query!(r#"select count(*) as "number!" from job where tenant_id = $1 and parked_at is not null"#, tx.id());
    Ok(row.fetch_one(tx.db()).await?.number)
}

/// Brings work back that was put aside; gives its kind, or none where it is not put aside any more.
pub async fn try_again(tx: &mut TenantTx, id: JobId, now: Timestamp) -> Result<Option<String>, StoreError> {
    let row = query!(
        "update job set parked_at = null, attempts = 0, due_at = $3
         where tenant_id = $1 and job_id = $2 and parked_at is not null returning kind",
        tx.id(),
        id.uuid(),
        at(now)
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map(|row| row.kind))
}

/// An endpoint in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Whose, by name.
    pub product: String,
    /// Its address, which may hold a secret of its product.
    pub url: String,
    /// The word of its state.
    pub state: String,
    /// Failures since the last success.
    pub failures: i32,
    /// Deliveries that wait.
    pub waiting: i64,
    /// The number that its next event gets.
    pub next_seq: i64,
    /// When it was tried last.
    pub attempted_at: Option<Timestamp>,
}

/// Endpoints, those that take nothing first.
pub async fn endpoints(tx: &mut TenantTx) -> Result<Vec<Endpoint>, StoreError> {
    let rows = query!(
        r#"select e.endpoint_id, p.name, e.url, e.state, e.failures, e.next_seq,
            (select count(*) from webhook_delivery d where d.tenant_id = e.tenant_id and d.endpoint_id = e.endpoint_id
                and d.state = 'pending') as "waiting!",
            (select max(attempted_at) from webhook_attempt a where a.tenant_id = e.tenant_id
                and a.endpoint_id = e.endpoint_id) as "attempted_at: jiff_sqlx::Timestamp"
         from webhook_endpoint e join product p on p.tenant_id = e.tenant_id and p.product_id = e.product_id
         where e.tenant_id = $1 order by e.state = 'active', e.failures desc, e.endpoint_id"#,
        tx.id()
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Endpoint {
            id: EndpointId::from_uuid(row.endpoint_id),
            product: row.name,
            url: row.url,
            state: row.state,
            failures: row.failures,
            waiting: row.waiting,
            next_seq: row.next_seq,
            attempted_at: read(row.attempted_at),
        })
        .collect())
}

/// What was taken from the budgets that a bank counts, on one day, for one kind of read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// The kind of read.
    pub operation: String,
    /// The bank's calendar day.
    pub day: Date,
    /// Of so many consents or accounts.
    pub subjects: i64,
    /// So many reads together.
    pub used: i64,
    /// The most of one.
    pub most: i32,
}

/// What was taken from a bank's budgets since a day, the latest day first.
pub async fn spent(tx: &mut TenantTx, registration: &RegistrationId, since: Date) -> Result<Vec<Spent>, StoreError> {
    let rows = query!(
        r#"select operation, day as "day: jiff_sqlx::Date", count(*) as "subjects!", sum(used)::bigint as "used!",
            max(used) as "most!"
         from bank_budget where registration_id = $1 and day >= $2 group by operation, day order by day desc, operation"#,
        registration.as_str(),
        day(since)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Spent {
            operation: row.operation,
            day: row.day.to_jiff(),
            subjects: row.subjects,
            used: row.used,
            most: row.most,
        })
        .collect())
}

/// A breaker that remembers failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// What it stands before.
    pub capability: String,
    /// Failures since the last success.
    pub failures: i32,
    /// No call before this moment; empty while it is closed.
    pub open_until: Option<Timestamp>,
}

/// The breakers of a bank.
pub async fn breakers(tx: &mut TenantTx, registration: &RegistrationId) -> Result<Vec<Breaker>, StoreError> {
    let rows = query!(
        "select capability, failures, open_until from bank_breaker where registration_id = $1 order by capability",
        registration.as_str()
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Breaker { capability: row.capability, failures: row.failures, open_until: read(row.open_until) })
        .collect())
}
