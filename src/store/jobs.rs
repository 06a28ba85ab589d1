//! Durable work: requested in a business transaction, claimed by a node, done once or again.
//!
//! A job that is written in the transaction of a state change is that change's outbox: it exists if and only if the
//! change was committed. There is one job per kind and subject. What it has to do is read from the subject when it runs,
//! so a second request while one is under way only makes it run again.
//!
//! Due times are business time. Leases are the database's clock: a node that dies, or whose clock is wrong, loses its
//! claims by lease.

use domain::ids::{JobId, TenantId};
use jiff::Timestamp;
use sqlx::query;
use uuid::Uuid;

use crate::time::at;
use crate::{StoreError, SystemTx, TenantTx};

/// Asks for work. If the same work waits already, it waits no longer than until `due_at`.
pub async fn request(
    tx: &mut TenantTx,
    id: JobId,
    kind: &str,
    subject: Uuid,
    lane: &str,
    due_at: Timestamp,
) -> Result<(), StoreError> {
    query!(
        "insert into job (tenant_id, job_id, kind, subject, lane, due_at, created_at)
         values ($1, $2, $3, $4, $5, $6, $6)
         on conflict (tenant_id, kind, subject) do update set requests = job.requests + 1, parked_at = null,
            due_at = case when job.leased_by is null and job.parked_at is null then least(job.due_at, excluded.due_at)
                else excluded.due_at end",
        tx.id(),
        id.uuid(),
        kind,
        subject,
        lane,
        at(due_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// What a node is ready to do.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// Kinds of work.
    pub kinds: &'a [String],
    /// At most so many jobs.
    pub limit: i64,
    /// At most so many leased jobs of one lane, over all nodes.
    pub lane_cap: i64,
    /// Length of the lease in seconds of the database's clock.
    pub lease_seconds: i32,
    /// Business time: what is due.
    pub now: Timestamp,
    /// A fresh id for this claim: whoever knows it holds the lease.
    pub claim: Uuid,
}

/// A job that is leased to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Whose.
    pub tenant: TenantId,
    /// Its id.
    pub id: JobId,
    /// What to do.
    pub kind: String,
    /// To what.
    pub subject: Uuid,
    /// What the cap is counted by.
    pub lane: String,
    /// Attempts, this one included.
    pub attempts: i32,
    requests: i32,
    claim: Uuid,
}

/// Claims due work, the most overdue first, within the cap of each lane. Commit before working. A lane whose bank has told us
/// within a day to slow down is worked on by one at a time: whoever comes next then knows what the one before was told.
pub async fn claim(tx: &mut SystemTx, offer: Offer<'_>) -> Result<Vec<Job>, StoreError> {
    // Two statements on purpose. Leases that are counted in the statement that takes the lock are counted in a snapshot
    // from before it, and the cap is exceeded. A lane that somebody else is claiming from is left to them.
    let lanes = query!(
        r#"with due as materialized (
            select lane from job
            where kind = any($1) and due_at <= $2 and parked_at is null
              and (lease_until is null or lease_until < clock_timestamp())
            group by lane order by min(due_at) limit $3)
         select lane from due where pg_try_advisory_xact_lock(hashtextextended('lane ' || lane, 0))"#,
        offer.kinds,
        at(offer.now),
        offer.limit
    )
    .fetch_all(tx.db())
    .await?;
    if lanes.is_empty() {
        return Ok(Vec::new());
    }
    let lanes: Vec<String> = lanes.into_iter().map(|row| row.lane).collect();
    let rows = query!(
        "with free as (
            select l.lane, greatest(0, case when p.slowed_at + interval '1 day' > $3 then 1::bigint else $4 end
                - (select count(*) from job j
                   where j.lane = l.lane and j.leased_by is not null and j.lease_until >= clock_timestamp())) as room
            from unnest($1::text[]) as l(lane) left join bank_pause p on p.registration_id = l.lane),
         picked as (
            select p.tenant_id, p.job_id from free cross join lateral (
                select j.tenant_id, j.job_id from job j
                where j.lane = free.lane and j.kind = any($2) and j.due_at <= $3 and j.parked_at is null
                  and (j.lease_until is null or j.lease_until < clock_timestamp())
                order by j.due_at, j.job_id limit free.room for update skip locked
            ) p limit $5)
         update job set leased_by = $6, lease_until = clock_timestamp() + make_interval(secs => $7),
            attempts = attempts + 1
         from picked where job.tenant_id = picked.tenant_id and job.job_id = picked.job_id
         returning job.tenant_id, job.job_id, kind, subject, lane, attempts, requests",
        &lanes,
        offer.kinds,
        at(offer.now),
        offer.lane_cap,
        offer.limit,
        offer.claim,
        f64::from(offer.lease_seconds)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Job {
            tenant: TenantId::from_uuid(row.tenant_id),
            id: JobId::from_uuid(row.job_id),
            kind: row.kind,
            subject: row.subject,
            lane: row.lane,
            attempts: row.attempts,
            requests: row.requests,
            claim: offer.claim,
        })
        .collect())
}

/// Ends a job whose work is done, best in the transaction that did it. If it was requested again meanwhile it is due
/// again. [`StoreError::Raced`] if the lease was lost: somebody else does the work, roll back.
pub async fn finish(tx: &mut TenantTx, job: &Job) -> Result<(), StoreError> {
    let done = query!(
        "delete from job where tenant_id = $1 and job_id = $2 and leased_by = $3 and requests = $4",
        tx.id(),
        job.id.uuid(),
        job.claim,
        job.requests
    )
    .execute(tx.db())
    .await?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    let again = query!(
        "update job set leased_by = null, lease_until = null, attempts = 0, last_error = null
         where tenant_id = $1 and job_id = $2 and leased_by = $3",
        tx.id(),
        job.id.uuid(),
        job.claim
    )
    .execute(tx.db())
    .await?;
    held(again.rows_affected())
}

/// Gives a job back to be tried again at `due_at`, with the stable code of what went wrong.
pub async fn retry(tx: &mut TenantTx, job: &Job, due_at: Timestamp, error_code: &str) -> Result<(), StoreError> {
    let done = query!(
        "update job set leased_by = null, lease_until = null, last_error = $5,
            due_at = case when requests = $6 then $4 else least(due_at, $4) end
         where tenant_id = $1 and job_id = $2 and leased_by = $3",
        tx.id(),
        job.id.uuid(),
        job.claim,
        at(due_at),
        error_code,
        job.requests
    )
    .execute(tx.db())
    .await?;
    held(done.rows_affected())
}

/// Gives a job back that can only wait, for a bank or for a day: not a failure, so its attempts begin anew.
pub async fn wait(tx: &mut TenantTx, job: &Job, due_at: Timestamp) -> Result<(), StoreError> {
    let done = query!(
        "update job set leased_by = null, lease_until = null, attempts = 0, last_error = null,
            due_at = case when requests = $5 then $4 else least(due_at, $4) end
         where tenant_id = $1 and job_id = $2 and leased_by = $3",
        tx.id(),
        job.id.uuid(),
        job.claim,
        at(due_at),
        job.requests
    )
    .execute(tx.db())
    .await?;
    held(done.rows_affected())
}

/// Puts a job aside that has failed too often; an operator, or the next request, brings it back.
pub async fn park(tx: &mut TenantTx, job: &Job, error_code: &str, now: Timestamp) -> Result<(), StoreError> {
    let done = query!(
        "update job set leased_by = null, lease_until = null, last_error = $4, parked_at = $5
         where tenant_id = $1 and job_id = $2 and leased_by = $3",
        tx.id(),
        job.id.uuid(),
        job.claim,
        error_code,
        at(now)
    )
    .execute(tx.db())
    .await?;
    held(done.rows_affected())
}

/// Prolongs a lease from now on.
pub async fn renew(tx: &mut TenantTx, job: &Job, lease_seconds: i32) -> Result<(), StoreError> {
    let done = query!(
        "update job set lease_until = clock_timestamp() + make_interval(secs => $4)
         where tenant_id = $1 and job_id = $2 and leased_by = $3",
        tx.id(),
        job.id.uuid(),
        job.claim,
        f64::from(lease_seconds)
    )
    .execute(tx.db())
    .await?;
    held(done.rows_affected())
}

const fn held(rows: u64) -> Result<(), StoreError> {
    if rows == 0 { Err(StoreError::Raced) } else { Ok(()) }
}

/// How a piece of work stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether a node works on it at this moment.
    pub is_leased: bool,
    /// When it is due, or was.
    pub due_at: Timestamp,
}

/// How a piece of work stands, if it is asked for. Nobody claims it before this transaction has ended.
pub async fn standing(tx: &mut TenantTx, kind: &str, subject: Uuid) -> Result<Option<Standing>, StoreError> {
    let row = query!(
        r#"select due_at, coalesce(lease_until >= clock_timestamp(), false) as "is_leased!"
           from job where tenant_id = $1 and kind = $2 and subject = $3 for update"#,
        tx.id(),
        kind,
        subject
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map(|row| Standing { is_leased: row.is_leased, due_at: row.due_at.to_jiff() }))
}

/// How much waits, runs and is put aside, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// Kind of work.
    pub kind: String,
    /// Due and not leased.
    pub due: i64,
    /// Leased.
    pub leased: i64,
    /// Put aside.
    pub parked: i64,
}

/// The backlog of every kind, over all tenants.
pub async fn backlog(tx: &mut SystemTx, now: Timestamp) -> Result<Vec<Backlog>, StoreError> {
    let rows = query!(
        r#"select kind, count(*) filter (where parked_at is null and due_at <= $1
                and (lease_until is null or lease_until < clock_timestamp())) as "due!",
            count(*) filter (where lease_until >= clock_timestamp()) as "leased!",
            count(*) filter (where parked_at is not null) as "parked!"
         from job group by kind order by kind"#,
        at(now)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Backlog { kind: row.kind, due: row.due, leased: row.leased, parked: row.parked })
        .collect())
}
