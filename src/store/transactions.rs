//! Transactions as they are read: pages by keyset, and changes in the order in which they were made. What writes them is
//! [`aligned`](crate::aligned).

use std::cmp::Ordering;
use std::sync::Arc;

use domain::ids::{ConsentId, LineId, TenantId, TransactionId};
use domain::records::{Normalized, Status};
use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::{query, query_as};
use uuid::Uuid;
use vault::DataKey;

use crate::origins::Origins;
use crate::sealed::{Place, status};
use crate::time::{day, read, read_day};
use crate::{StoreError, TenantTx};

const TABLE: &str = "transaction";

/// A transaction as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its id.
    pub id: TransactionId,
    /// Its line.
    pub line: LineId,
    /// Its number in the line, in the order of first sight.
    pub seq: i64,
    /// The day that it is listed under: booking, else value, else transaction day, else the day it was first seen (UTC).
    pub booking_date: Date,
    /// Booked or pending.
    pub status: Status,
    /// When a fetch first brought it.
    pub first_seen_at: Timestamp,
    /// When a fetch last brought it.
    pub last_seen_at: Timestamp,
    /// When a fetch found a pending row booked, and by which evidence; `None` of a row that was never pending here.
    pub settled: Option<(Timestamp, String)>,
    /// The row that it may be, where a fetch could not decide. That one may have been withdrawn since.
    pub doubtful_of: Option<TransactionId>,
    /// The rules that read it; none for rows older than the note.
    pub rule_set: Option<String>,
    sealed: Vec<u8>,
}

impl Transaction {
    /// Opens the record with the key of its line.
    pub fn open(&self, tenant: TenantId, key: &DataKey) -> Result<Normalized, StoreError> {
        Place::transaction(tenant, self.line, self.id).open_transaction(key, &self.sealed)
    }

    /// The same, with the origins of the fields beside the record and not in it: rows of one shape share them.
    pub fn open_shared(&self, tenant: TenantId, key: &DataKey) -> Result<(Normalized, Arc<Origins>), StoreError> {
        Place::transaction(tenant, self.line, self.id).open_shared(key, &self.sealed)
    }
}

/// The last row of a page: the next page begins behind it, whatever was added meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Its day.
    pub booking_date: Date,
    /// Its line.
    pub line: LineId,
    /// Its number.
    pub seq: i64,
}

/// Which transactions are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// On the ground of which consent.
    pub consent: ConsentId,
    /// Of one line, or of all lines of the consent.
    pub line: Option<LineId>,
    /// First day, inclusive.
    pub from: Option<Date>,
    /// Last day, inclusive.
    pub until: Option<Date>,
    /// Behind this row.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: u32,
}

/// Newest first: by day, then line, then number, all descending.
#[derive(Clone, PartialEq, Eq)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Transaction>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Cursor>,
}

impl Page {
    /// The rows of a page, of which one more than wanted was looked for.
    fn of(mut rows: Vec<Transaction>, limit: u32) -> Self {
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more);
        let next = next.map(|row| Cursor { booking_date: row.booking_date, line: row.line, seq: row.seq });
        Self { rows, next }
    }
}

/// One page. Whether the consent may be read and the rows are read in one statement, so that a revocation that has
/// committed is always seen: then it is [`StoreError::NotAllowed`].
pub async fn page(tx: &mut TenantTx, wanted: Query) -> Result<Page, StoreError> {
    if let Some(line) = wanted.line {
        let rows = of_line(tx, wanted, line).await?;
        if !rows.is_empty() {
            return Ok(Page::of(rows, wanted.limit));
        }
    }
    let start = start(&wanted);
    // Each line is one range of the index transaction_page: whether a row of the cursor's day is still to come depends
    // on how its line sorts against the cursor's.
    let found = query_as!(
        Found,
        r#"select c.state, c.state_reason, c.data_state, p.line_id as "line_id?", p.transaction_id as "transaction_id?",
            p.seq as "seq?", p.booking_date as "booking_date?", p.status as "status?",
            p.first_seen_at as "first_seen_at?", p.last_seen_at as "last_seen_at?", p.settled_at as "settled_at?",
            p.settled_by as "settled_by?", p.doubtful_of as "doubtful_of?", p.rule_set as "rule_set?", p.sealed as "sealed?",
            p.seq as "number?", false as "removed?"
         from consent c
         left join lateral (
            select r.* from consent_line cl
            cross join lateral (
                select t.line_id, t.transaction_id, t.seq, t.booking_date, t.status, t.first_seen_at, t.last_seen_at,
                    t.settled_at, t.settled_by, t.doubtful_of, t.rule_set, t.sealed
                from transaction t
                where t.tenant_id = $1 and t.line_id = cl.line_id and t.removed_at is null and t.booking_date >= $4
                  and (t.booking_date, t.seq) < ($5, case when cl.line_id < $6 then 9223372036854775807
                    when cl.line_id = $6 then $7::bigint else 0 end)
                order by t.booking_date desc, t.seq desc limit $8
            ) r
            where cl.tenant_id = $1 and cl.consent_id = $2 and cl.state = 'granted'
              and ($3::uuid is null or cl.line_id = $3)
              and (c.data_state <> 'readable' or exists (select from ground g where g.tenant_id = cl.tenant_id
                and g.consent_id = cl.consent_id and g.line_id = cl.line_id))
            order by r.booking_date desc, r.line_id desc, r.seq desc limit $8
         ) p on true
         where c.tenant_id = $1 and c.consent_id = $2
         order by p.booking_date desc, p.line_id desc, p.seq desc"#,
        tx.id(),
        wanted.consent.uuid(),
        wanted.line.map(LineId::uuid),
        day(wanted.from.unwrap_or(EARLIEST)),
        day(start.booking_date),
        start.line.uuid(),
        start.seq,
        i64::from(wanted.limit) + 1
    )
    .fetch_all(tx.db())
    .await?;
    let ground = found.first().ok_or(StoreError::NotFound("consent"))?;
    crate::consents::check_readable(&ground.state, ground.state_reason.as_deref(), &ground.data_state)?;
    let rows = found.into_iter().filter_map(Found::row).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::of(rows, wanted.limit))
}

/// Where a page begins: behind the cursor, or with the last day.
fn start(wanted: &Query) -> Cursor {
    wanted.after.unwrap_or(Cursor {
        booking_date: wanted.until.unwrap_or(Date::MAX),
        line: LineId::from_uuid(Uuid::max()),
        seq: i64::MAX,
    })
}

/// One line's rows of a page and one more, as the index lists them: nothing is joined or sorted. Nothing, where there is no
/// row or the consent does not live; which of them, and what else may be read, is for the other statement.
async fn of_line(tx: &mut TenantTx, wanted: Query, line: LineId) -> Result<Vec<Transaction>, StoreError> {
    let start = start(&wanted);
    // Of the cursor's day, rows of a line before the cursor's are all to come, and of one behind it none.
    let seq = match line.cmp(&start.line) {
        Ordering::Less => i64::MAX,
        Ordering::Equal => start.seq,
        Ordering::Greater => 0,
    };
    let found = query_as!(
        Found,
        r#"select '' as "state!", null as state_reason, '' as "data_state!", t.line_id as "line_id?",
            t.transaction_id as "transaction_id?", t.seq as "seq?", t.booking_date as "booking_date?",
            t.status as "status?", t.first_seen_at as "first_seen_at?", t.last_seen_at as "last_seen_at?",
            t.settled_at, t.settled_by, t.doubtful_of, t.rule_set, t.sealed as "sealed?", t.seq as "number?",
            false as "removed?"
         from transaction t
         where t.tenant_id = $1 and t.line_id = $2 and t.removed_at is null and t.booking_date >= $4
           and (t.booking_date, t.seq) < ($5, $6)
           and exists (select from consent_line cl
                join consent c on c.tenant_id = cl.tenant_id and c.consent_id = cl.consent_id
                where cl.tenant_id = $1 and cl.consent_id = $3 and cl.line_id = $2 and cl.state = 'granted'
                  and c.data_state = 'present' and c.state in ('authorized', 'active', 'reauth_pending'))
         order by t.booking_date desc, t.seq desc limit $7"#,
        tx.id(),
        line.uuid(),
        wanted.consent.uuid(),
        day(wanted.from.unwrap_or(EARLIEST)),
        day(start.booking_date),
        seq,
        i64::from(wanted.limit) + 1
    )
    .fetch_all(tx.db())
    .await?;
    found.into_iter().filter_map(Found::row).collect()
}

/// A row of a page beside the state of the consent; a consent without rows gives the state alone.
struct Found {
    state: String,
    state_reason: Option<String>,
    data_state: String,
    line_id: Option<Uuid>,
    transaction_id: Option<Uuid>,
    seq: Option<i64>,
    booking_date: Option<jiff_sqlx::Date>,
    status: Option<String>,
    first_seen_at: Option<jiff_sqlx::Timestamp>,
    last_seen_at: Option<jiff_sqlx::Timestamp>,
    settled_at: Option<jiff_sqlx::Timestamp>,
    settled_by: Option<String>,
    doubtful_of: Option<Uuid>,
    rule_set: Option<String>,
    sealed: Option<Vec<u8>>,
    number: Option<i64>,
    removed: Option<bool>,
}

impl Found {
    /// What it is to somebody who knows everything up to the number `after`: nothing, if it came and went since.
    fn change(self, after: i64) -> Option<Result<Change, StoreError>> {
        let (id, known) = (TransactionId::from_uuid(self.transaction_id?), self.seq? <= after);
        if self.removed? {
            return known.then_some(Ok(Change::Removed(id)));
        }
        let change = |row| if known { Change::Modified(row) } else { Change::Added(row) };
        self.row().map(|row| row.map(change))
    }

    fn row(self) -> Option<Result<Transaction, StoreError>> {
        let id = TransactionId::from_uuid(self.transaction_id?);
        let line = LineId::from_uuid(self.line_id?);
        let Some(status) = status(&self.status?) else {
            return Some(Err(StoreError::Corrupt { table: TABLE, column: "status" }));
        };
        Some(Ok(Transaction {
            id,
            line,
            seq: self.seq?,
            booking_date: self.booking_date?.to_jiff(),
            status,
            first_seen_at: self.first_seen_at?.to_jiff(),
            last_seen_at: self.last_seen_at?.to_jiff(),
            settled: read(self.settled_at).zip(self.settled_by),
            doubtful_of: self.doubtful_of.map(TransactionId::from_uuid),
            rule_set: self.rule_set,
            sealed: self.sealed?,
        }))
    }
}

/// What happened to a transaction since a reader last asked.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// It is new to that reader.
    Added(Transaction),
    /// It says something else, or came back.
    Modified(Transaction),
    /// The bank no longer lists it.
    Removed(TransactionId),
}

/// Changes of a line in their order.
#[derive(Clone, PartialEq, Eq)]
pub struct Changes {
    /// The changes; each transaction once, with its latest.
    pub changes: Vec<Change>,
    /// The number up to which the reader knows everything now.
    pub until: i64,
    /// Whether there are more.
    pub more: bool,
}

/// What changed in a line behind the number `after`, 0 at first, at most `limit` changes. Numbers never end: a reader may
/// come back after any time. State of the consent and rows are read in one statement, as in [`page`].
pub async fn changes(
    tx: &mut TenantTx,
    (consent, line): (ConsentId, LineId),
    after: i64,
    limit: u32,
) -> Result<Changes, StoreError> {
    let mut found = query_as!(
        Found,
        r#"select c.state, c.state_reason, c.data_state, p.number as "number?", p.removed as "removed?",
            p.line_id as "line_id?", p.transaction_id as "transaction_id?", p.seq as "seq?",
            p.booking_date as "booking_date?", p.status as "status?", p.first_seen_at as "first_seen_at?",
            p.last_seen_at as "last_seen_at?", p.settled_at as "settled_at?", p.settled_by as "settled_by?",
            p.doubtful_of as "doubtful_of?", p.rule_set as "rule_set?", p.sealed as "sealed?"
         from consent c
         left join lateral (
            select t.*, coalesce(t.change_seq, t.seq) as number, t.removed_at is not null as removed
            from consent_line cl
            join transaction t on t.tenant_id = cl.tenant_id and t.line_id = cl.line_id
            where cl.tenant_id = $1 and cl.consent_id = $2 and cl.line_id = $3 and cl.state = 'granted'
              and (c.data_state <> 'readable' or exists (select from ground g where g.tenant_id = cl.tenant_id
                and g.consent_id = cl.consent_id and g.line_id = cl.line_id))
              and coalesce(t.change_seq, t.seq) > $4
            order by coalesce(t.change_seq, t.seq) limit $5
         ) p on true
         where c.tenant_id = $1 and c.consent_id = $2
         order by p.number"#,
        tx.id(),
        consent.uuid(),
        line.uuid(),
        after,
        i64::from(limit) + 1
    )
    .fetch_all(tx.db())
    .await?;
    let ground = found.first().ok_or(StoreError::NotFound("consent"))?;
    crate::consents::check_readable(&ground.state, ground.state_reason.as_deref(), &ground.data_state)?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let until = found.iter().filter_map(|row| row.number).max().unwrap_or(after);
    let changes = found.into_iter().filter_map(|row| row.change(after)).collect::<Result<_, _>>()?;
    Ok(Changes { changes, until, more })
}

/// The first day that PostgreSQL and the bank's calendars agree on.
const EARLIEST: Date = Date::constant(1, 1, 1);

/// What stays visible of a line's transactions in old backups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// How many rows, withdrawn ones included.
    pub rows: i64,
    /// The first day.
    pub first: Option<Date>,
    /// The last day.
    pub last: Option<Date>,
}

/// How many transactions a line has, and of which days.
pub async fn extent(tx: &mut TenantTx, line: LineId) -> Result<Extent, StoreError> {
    let row = query!(
        r#"select count(*) as "rows!", min(booking_date) as first, max(booking_date) as last
         from transaction where tenant_id = $1 and line_id = $2"#,
        tx.id(),
        line.uuid()
    )
    .fetch_one(tx.db())
    .await?;
    Ok(Extent { rows: row.rows, first: read_day(row.first), last: read_day(row.last) })
}
