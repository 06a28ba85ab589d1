//! Fetches: one run per grant, with the progress of each line, so that a run that was killed goes on where it stood.

use domain::ids::{ConsentId, GrantId, LineId};
use domain::world::World;
use jiff::Timestamp;
use sqlx::query;
use uuid::Uuid;
use vault::DataKey;

use crate::lines::LineWriter;
use crate::sealed::{Opened, Place};
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
#[derive(Clone, PartialEq, Eq)]
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
    sealed_cursor: Option<Vec<u8>>,
}

impl Progress {
    /// Opens where the next page is.
    pub fn cursor(&self, tx: &TenantTx, fetch: Uuid, key: &DataKey) -> Result<Option<Opened>, StoreError> {
        let place = Place::cursor(tx.tenant(), self.line, fetch);
        self.sealed_cursor.as_deref().map(|sealed| place.open(key, sealed)).transpose()
    }
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
        "select line_id, state, error_code, sealed_cursor, pages, rows_seen, rows_new from fetch_line
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
            sealed_cursor: row.sealed_cursor,
        })
        .collect())
}

/// What one page brought to a line.
#[derive(Debug, Clone, Copy)]
pub struct PageRead<'a> {
    /// The run.
    pub fetch: Uuid,
    /// Its consent.
    pub consent: ConsentId,
    /// Where the next page is; `None` at the end.
    pub next: Option<&'a [u8]>,
    /// Rows of this page.
    pub rows_seen: usize,
    /// Rows of it that were new.
    pub rows_new: usize,
}

impl LineWriter<'_> {
    /// Notes a page in the transaction that stores its rows, so that both last or neither.
    pub async fn page_read(&mut self, page: PageRead<'_>, key: &DataKey, world: &World<'_>) -> Result<(), StoreError> {
        let place = Place::cursor(self.tx.tenant(), self.line, page.fetch);
        let rows = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        query!(
            "insert into fetch_line (tenant_id, fetch_id, line_id, consent_id, state, sealed_cursor, pages, rows_seen,
                rows_new)
             values ($1, $2, $3, $4, $5, $6, 1, $7, $8)
             on conflict (tenant_id, fetch_id, line_id) do update set state = excluded.state, error_code = null,
                sealed_cursor = excluded.sealed_cursor, pages = fetch_line.pages + 1,
                rows_seen = fetch_line.rows_seen + excluded.rows_seen,
                rows_new = fetch_line.rows_new + excluded.rows_new",
            self.tx.id(),
            page.fetch,
            self.line.uuid(),
            page.consent.uuid(),
            if page.next.is_some() { "running" } else { "done" },
            page.next.map(|cursor| place.seal(key, cursor, world.entropy)),
            rows(page.rows_seen),
            rows(page.rows_new)
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }

    /// Notes that a line was read to its end.
    pub async fn done(&mut self, fetch: Uuid, consent: ConsentId) -> Result<(), StoreError> {
        query!(
            "insert into fetch_line (tenant_id, fetch_id, line_id, consent_id, state) values ($1, $2, $3, $4, 'done')
             on conflict (tenant_id, fetch_id, line_id)
                do update set state = 'done', error_code = null, sealed_cursor = null",
            self.tx.id(),
            fetch,
            self.line.uuid(),
            consent.uuid()
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }

    /// Notes that a line could not be read on.
    pub async fn failed(&mut self, fetch: Uuid, consent: ConsentId, error_code: &str) -> Result<(), StoreError> {
        query!(
            "insert into fetch_line (tenant_id, fetch_id, line_id, consent_id, state, error_code)
             values ($1, $2, $3, $4, 'failed', $5)
             on conflict (tenant_id, fetch_id, line_id) do update set state = 'failed', error_code = excluded.error_code",
            self.tx.id(),
            fetch,
            self.line.uuid(),
            consent.uuid(),
            error_code
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }
}
