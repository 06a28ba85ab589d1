//! Fetches: runs with the progress of each line, so that a run that was killed goes on with the lines it had not finished.

use domain::ids::{ConsentId, GrantId, LineId};
use jiff::Timestamp;
use sqlx::query;
use uuid::Uuid;

use crate::aligned::Stored;
use crate::lines::LineWriter;
use crate::time::{at, read};
use crate::{StoreError, TenantTx};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Under way, or its node died.
    Running,
    /// Every line to the end.
    Done,
    /// Some lines to the end.
    Partial,
    /// Nothing.
    Failed,
    /// The consent does not allow it any more.
    Stopped,
}

impl RunState {
    const ALL: [Self; 5] = [Self::Running, Self::Done, Self::Partial, Self::Failed, Self::Stopped];

    /// The word in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// A run as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: Uuid,
    /// For which consent.
    pub consent: ConsentId,
    /// With which grant.
    pub grant: GrantId,
    /// Whether the user was present.
    pub attended: bool,
    /// On what ground that was decided.
    pub basis: String,
    /// Where it stands.
    pub state: RunState,
    /// Stable code of what went wrong.
    pub error_code: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// The progress of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The line.
    pub line: LineId,
    /// Whether it was read to the end.
    pub done: bool,
    /// Stable code of what went wrong.
    pub error_code: Option<String>,
    /// Pages read.
    pub pages: i32,
    /// Rows read.
    pub rows_seen: i64,
    /// Rows that were new.
    pub rows_new: i64,
    /// Known rows that say something else now, those that were booked left out.
    pub rows_changed: i64,
    /// Pending rows that are booked now.
    pub rows_settled: i64,
    /// Rows that the bank withdrew.
    pub rows_withdrawn: i64,
    /// New rows that may be known payments; both stay.
    pub rows_doubtful: i64,
}

/// Begins a run.
pub async fn begin(tx: &mut TenantTx, run: &Run) -> Result<(), StoreError> {
    query!(
        "insert into fetch_run (tenant_id, fetch_id, consent_id, grant_id, attended, basis, state, started_at)
         values ($1, $2, $3, $4, $5, $6, 'running', $7)",
        tx.id(),
        run.id,
        run.consent.uuid(),
        run.grant.uuid(),
        run.attended,
        run.basis,
        at(run.started_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Ends a run; [`StoreError::Raced`] if it has ended.
pub async fn finish(
    tx: &mut TenantTx,
    id: Uuid,
    state: RunState,
    error_code: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let done = query!(
        "update fetch_run set state = $3, error_code = $4, finished_at = $5
         where tenant_id = $1 and fetch_id = $2 and state = 'running'",
        tx.id(),
        id,
        state.word(),
        error_code,
        at(now)
    )
    .execute(tx.db())
    .await?;
    if done.rows_affected() == 0 { Err(StoreError::Raced) } else { Ok(()) }
}

/// Notes on the latest run of a consent why it is not fresher, whatever has become of it: the next one that ends says itself.
pub async fn note(tx: &mut TenantTx, consent: ConsentId, error_code: &str) -> Result<(), StoreError> {
    query!(
        "update fetch_run set error_code = $3 where tenant_id = $1 and consent_id = $2 and fetch_id = (
            select fetch_id from fetch_run where tenant_id = $1 and consent_id = $2
            order by started_at desc, fetch_id desc limit 1)",
        tx.id(),
        consent.uuid(),
        error_code
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// The latest run of a consent: finished, failed or under way.
pub async fn latest(tx: &mut TenantTx, consent: ConsentId) -> Result<Option<Run>, StoreError> {
    let row = query!(
        "select fetch_id, grant_id, attended, basis, state, error_code, started_at, finished_at from fetch_run
         where tenant_id = $1 and consent_id = $2 order by started_at desc, fetch_id desc limit 1",
        tx.id(),
        consent.uuid()
    )
    .fetch_optional(tx.db())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let state = RunState::ALL.into_iter().find(|state| state.word() == row.state);
    Ok(Some(Run {
        id: row.fetch_id,
        consent,
        grant: GrantId::from_uuid(row.grant_id),
        attended: row.attended,
        basis: row.basis,
        state: state.ok_or(StoreError::Corrupt { table: "fetch_run", column: "state" })?,
        error_code: row.error_code,
        started_at: row.started_at.to_jiff(),
        finished_at: read(row.finished_at),
    }))
}

/// The progress of every line of a run.
pub async fn progress(tx: &mut TenantTx, id: Uuid) -> Result<Vec<Progress>, StoreError> {
    let rows = query!(
        "select line_id, state, error_code, pages, rows_seen, rows_new, rows_changed, rows_settled, rows_withdrawn,
            rows_doubtful
         from fetch_line
         where tenant_id = $1 and fetch_id = $2 order by line_id",
        tx.id(),
        id
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Progress {
            line: LineId::from_uuid(row.line_id),
            done: row.state == "done",
            error_code: row.error_code,
            pages: row.pages,
            rows_seen: row.rows_seen,
            rows_new: row.rows_new,
            rows_changed: row.rows_changed,
            rows_settled: row.rows_settled,
            rows_withdrawn: row.rows_withdrawn,
            rows_doubtful: row.rows_doubtful,
        })
        .collect())
}

impl LineWriter<'_> {
    /// Begins to read the line from its first page. What an earlier reading of the same run has left that did not come to
    /// its end (counts, raw answers) is taken back, since all of it is read again.
    pub async fn begin(&mut self, fetch: Uuid, consent: ConsentId) -> Result<(), StoreError> {
        let again = query!(
            "update fetch_line set state = 'running', error_code = null, pages = 0, rows_seen = 0
             where tenant_id = $1 and fetch_id = $2 and line_id = $3",
            self.tx.id(),
            fetch,
            self.line.uuid()
        )
        .execute(self.tx.db())
        .await?;
        if again.rows_affected() > 0 {
            query!(
                "delete from raw_page where tenant_id = $1 and line_id = $2 and fetch_id = $3",
                self.tx.id(),
                self.line.uuid(),
                fetch
            )
            .execute(self.tx.db())
            .await?;
            return Ok(());
        }
        query!(
            "insert into fetch_line (tenant_id, fetch_id, line_id, consent_id, state) values ($1, $2, $3, $4, 'running')",
            self.tx.id(),
            fetch,
            self.line.uuid(),
            consent.uuid()
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }

    /// Notes a page of so many rows in the transaction that stores it, so that both last or neither.
    /// [`StoreError::NotFound`] if the reading was not begun.
    pub async fn page_read(&mut self, fetch: Uuid, rows: usize) -> Result<(), StoreError> {
        let done = query!(
            "update fetch_line set pages = pages + 1, rows_seen = rows_seen + $4
             where tenant_id = $1 and fetch_id = $2 and line_id = $3",
            self.tx.id(),
            fetch,
            self.line.uuid(),
            count(rows)
        )
        .execute(self.tx.db())
        .await?;
        begun(done.rows_affected())
    }

    /// Notes that a line was read to its end, and what that did to its rows.
    pub async fn done(&mut self, fetch: Uuid, stored: &Stored) -> Result<(), StoreError> {
        let done = query!(
            "update fetch_line set state = 'done', error_code = null, rows_new = $4, rows_changed = $5, rows_settled = $6,
                rows_withdrawn = $7, rows_doubtful = $8
             where tenant_id = $1 and fetch_id = $2 and line_id = $3",
            self.tx.id(),
            fetch,
            self.line.uuid(),
            count(stored.new),
            count(stored.changed),
            count(stored.settled),
            count(stored.withdrawn),
            count(stored.doubtful)
        )
        .execute(self.tx.db())
        .await?;
        begun(done.rows_affected())
    }

    /// Notes that something of a line could not be read, with the stable code of why. What was read of it stays counted.
    pub async fn failed(&mut self, fetch: Uuid, error_code: &str) -> Result<(), StoreError> {
        let done = query!(
            "update fetch_line set state = 'failed', error_code = $4
             where tenant_id = $1 and fetch_id = $2 and line_id = $3",
            self.tx.id(),
            fetch,
            self.line.uuid(),
            error_code
        )
        .execute(self.tx.db())
        .await?;
        begun(done.rows_affected())
    }
}

const fn begun(rows: u64) -> Result<(), StoreError> {
    if rows == 0 { Err(StoreError::NotFound("fetch of this line")) } else { Ok(()) }
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
