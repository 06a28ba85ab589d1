//! Transactions: sealed rows of a line, written in bulk and read by keyset.

use std::collections::{HashMap, HashSet};

use domain::ids::{ConsentId, LineId, TenantId, TransactionId};
use domain::records::{Normalized, Status};
use domain::world::World;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sqlx::{query, query_as};
use uuid::Uuid;
use vault::DataKey;

use crate::lines::LineWriter;
use crate::sealed::{Opened, Place, SCHEMA_VERSION, TransactionWire, encode, status};
use crate::time::{at, day, read_day};
use crate::{StoreError, TenantTx};

/// A transaction that a fetch brought.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// What makes it the same transaction in another fetch: canonical bytes, from rules that know the bank.
    pub identity: &'a [u8],
    /// What it says.
    pub record: &'a Normalized,
}

/// What became of the transactions of a fetch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// Not known before.
    pub new: usize,
    /// Known, and saying something else now.
    pub changed: usize,
    /// Known, and unchanged.
    pub unchanged: usize,
    /// The identity of another row of the same call; the first was taken.
    pub repeated: usize,
}

impl LineWriter<'_> {
    /// Leaves a tombstone on pending rows that the bank no longer lists: those last seen before the fetch that has just
    /// read the line to its end began. Gives how many.
    pub async fn withdraw_pending(&mut self, began: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let done = query!(
            "update transaction set removed_at = $4
             where tenant_id = $1 and line_id = $2 and status = 'pending' and removed_at is null and last_seen_at < $3",
            self.tx.id(),
            self.line.uuid(),
            at(began),
            at(now)
        )
        .execute(self.tx.db())
        .await?;
        Ok(done.rows_affected())
    }

    /// Stores what a fetch brought: new rows get an id and the next number of the line, known ones keep both and take
    /// over what has changed. Repeating it changes nothing but `last_seen_at`.
    pub async fn put_transactions(
        &mut self,
        key: &DataKey,
        seen: &[Seen<'_>],
        world: &World<'_>,
    ) -> Result<Stored, StoreError> {
        let mut tagged: Vec<([u8; 32], &Normalized)> = Vec::with_capacity(seen.len());
        let mut tags = HashSet::with_capacity(seen.len());
        for row in seen {
            let tag = key.mac("transaction.dedup", row.identity);
            if tags.insert(tag) {
                tagged.push((tag, row.record));
            }
        }
        let known = self.known(&tagged).await?;
        let (mut new, mut changed, mut unchanged) = (Vec::new(), Vec::new(), Vec::new());
        for (tag, record) in &tagged {
            let stored = known.get(tag);
            let id = stored.map_or_else(|| TransactionId::new(world), |stored| stored.id);
            let row = Row::of(id, *tag, record, key, world);
            match stored {
                None => new.push(row),
                Some(stored) if stored.content_tag == row.content_tag => unchanged.push(id.uuid()),
                Some(_) => changed.push(row),
            }
        }
        self.insert(&new, key, world).await?;
        self.update(&changed, key, world).await?;
        self.touch(&unchanged, world.now).await?;
        Ok(Stored {
            new: new.len(),
            changed: changed.len(),
            unchanged: unchanged.len(),
            repeated: seen.len() - tagged.len(),
        })
    }

    /// What is stored already under the tags of a fetch.
    async fn known(&mut self, tagged: &[([u8; 32], &Normalized)]) -> Result<HashMap<[u8; 32], Known>, StoreError> {
        let tags: Vec<&[u8]> = tagged.iter().map(|(tag, _)| tag.as_slice()).collect();
        let rows = query!(
            "select dedup_tag, transaction_id, content_tag from transaction
             where tenant_id = $1 and line_id = $2 and dedup_tag = any($3)",
            self.tx.id(),
            self.line.uuid(),
            tags as _
        )
        .fetch_all(self.tx.db())
        .await?;
        let tag = |bytes: Vec<u8>, column| bytes.try_into().map_err(|_| StoreError::Corrupt { table: TABLE, column });
        rows.into_iter()
            .map(|row| {
                let id = TransactionId::from_uuid(row.transaction_id);
                Ok((tag(row.dedup_tag, "dedup_tag")?, Known { id, content_tag: tag(row.content_tag, "content_tag")? }))
            })
            .collect()
    }

    async fn insert(&mut self, rows: &[Row], key: &DataKey, world: &World<'_>) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let columns = Columns::of(rows, self.tx.tenant(), self.line, key, world);
        let tags: Vec<&[u8]> = rows.iter().map(|row| row.dedup_tag.as_slice()).collect();
        query!(
            "with numbers as (
                update line set next_seq = next_seq + cardinality($3::uuid[]) where tenant_id = $1 and line_id = $2
                returning next_seq - cardinality($3::uuid[]) - 1 as last)
             insert into transaction (tenant_id, line_id, transaction_id, seq, booking_date, status, schema_version,
                dedup_tag, content_tag, first_seen_at, last_seen_at, sealed)
             select $1, $2, t.id, numbers.last + t.nth, t.booking_date, t.status, $9, t.dedup_tag, t.content_tag, $10,
                $10, t.sealed
             from numbers, unnest($3::uuid[], $4::date[], $5::text[], $6::bytea[], $7::bytea[], $8::bytea[])
                with ordinality as t(id, booking_date, status, dedup_tag, content_tag, sealed, nth)",
            self.tx.id(),
            self.line.uuid(),
            &columns.ids,
            columns.days as _,
            columns.statuses as _,
            tags as _,
            columns.contents as _,
            &columns.sealed,
            SCHEMA_VERSION,
            at(world.now)
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }

    async fn update(&mut self, rows: &[Row], key: &DataKey, world: &World<'_>) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let columns = Columns::of(rows, self.tx.tenant(), self.line, key, world);
        query!(
            "update transaction set booking_date = t.booking_date, status = t.status, schema_version = $8,
                content_tag = t.content_tag, sealed = t.sealed, last_seen_at = $9, removed_at = null
             from unnest($3::uuid[], $4::date[], $5::text[], $6::bytea[], $7::bytea[])
                as t(id, booking_date, status, content_tag, sealed)
             where tenant_id = $1 and line_id = $2 and transaction_id = t.id",
            self.tx.id(),
            self.line.uuid(),
            &columns.ids,
            columns.days as _,
            columns.statuses as _,
            columns.contents as _,
            &columns.sealed,
            SCHEMA_VERSION,
            at(world.now)
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }

    async fn touch(&mut self, ids: &[Uuid], now: Timestamp) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        query!(
            "update transaction set last_seen_at = $4, removed_at = null
             where tenant_id = $1 and line_id = $2 and transaction_id = any($3)",
            self.tx.id(),
            self.line.uuid(),
            ids,
            at(now)
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }
}

const TABLE: &str = "transaction";

/// What is stored under a dedup tag.
struct Known {
    id: TransactionId,
    content_tag: [u8; 32],
}

/// A row that may be written.
struct Row {
    id: TransactionId,
    dedup_tag: [u8; 32],
    content_tag: [u8; 32],
    booking_date: Date,
    status: Status,
    plain: Opened,
}

impl Row {
    fn of(id: TransactionId, dedup_tag: [u8; 32], record: &Normalized, key: &DataKey, world: &World<'_>) -> Self {
        let plain = encode(&TransactionWire::from(record));
        // The id is part of it, or equal contents of two rows would show as equal tags.
        let mut content = Opened::new(id.uuid().as_bytes().to_vec());
        content.extend_from_slice(&plain);
        let known_day = record.booking_date.or(record.value_date).or(record.transaction_date);
        Self {
            id,
            dedup_tag,
            content_tag: key.mac("transaction.content", &content),
            booking_date: known_day.unwrap_or_else(|| TimeZone::UTC.to_datetime(world.now).date()),
            status: record.status,
            plain,
        }
    }
}

/// Rows as the arrays that a bulk statement takes: COPY is refused on tables with row-level security.
struct Columns<'a> {
    ids: Vec<Uuid>,
    days: Vec<jiff_sqlx::Date>,
    statuses: Vec<&'static str>,
    contents: Vec<&'a [u8]>,
    sealed: Vec<Vec<u8>>,
}

impl<'a> Columns<'a> {
    fn of(rows: &'a [Row], tenant: TenantId, line: LineId, key: &DataKey, world: &World<'_>) -> Self {
        Self {
            ids: rows.iter().map(|row| row.id.uuid()).collect(),
            days: rows.iter().map(|row| day(row.booking_date)).collect(),
            statuses: rows.iter().map(|row| row.status.as_str()).collect(),
            contents: rows.iter().map(|row| row.content_tag.as_slice()).collect(),
            sealed: rows
                .iter()
                .map(|row| Place::transaction(tenant, line, row.id).seal(key, &row.plain, world.entropy))
                .collect(),
        }
    }
}

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
    sealed: Vec<u8>,
}

impl Transaction {
    /// Opens the record with the key of its line.
    pub fn open(&self, tenant: TenantId, key: &DataKey) -> Result<Normalized, StoreError> {
        let place = Place::transaction(tenant, self.line, self.id);
        let wire: TransactionWire<'_> = place.open_record(key, &self.sealed)?;
        wire.read().ok_or(place.corrupt())
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

/// One page. State of the consent and rows are read in one statement, so that a revocation that has committed is always
/// seen: then it is [`StoreError::NotAllowed`].
pub async fn page(tx: &mut TenantTx, wanted: Query) -> Result<Page, StoreError> {
    let start = wanted.after.unwrap_or(Cursor {
        booking_date: wanted.until.unwrap_or(Date::MAX),
        line: LineId::from_uuid(Uuid::max()),
        seq: i64::MAX,
    });
    // Each line is one range of the index transaction_page: whether a row of the cursor's day is still to come depends
    // on how its line sorts against the cursor's.
    let found = query_as!(
        Found,
        r#"select c.state, c.state_reason, c.data_state, p.line_id as "line_id?", p.transaction_id as "transaction_id?",
            p.seq as "seq?", p.booking_date as "booking_date?", p.status as "status?",
            p.first_seen_at as "first_seen_at?", p.last_seen_at as "last_seen_at?", p.sealed as "sealed?"
         from consent c
         left join lateral (
            select r.* from consent_line cl
            cross join lateral (
                select t.line_id, t.transaction_id, t.seq, t.booking_date, t.status, t.first_seen_at, t.last_seen_at,
                    t.sealed
                from transaction t
                where t.tenant_id = $1 and t.line_id = cl.line_id and t.removed_at is null and t.booking_date >= $4
                  and (t.booking_date, t.seq) < ($5, case when cl.line_id < $6 then 9223372036854775807
                    when cl.line_id = $6 then $7::bigint else 0 end)
                order by t.booking_date desc, t.seq desc limit $8
            ) r
            where cl.tenant_id = $1 and cl.consent_id = $2 and cl.state = 'granted'
              and ($3::uuid is null or cl.line_id = $3)
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
    let mut rows = found.into_iter().filter_map(Found::row).collect::<Result<Vec<_>, _>>()?;
    let more = rows.len() > wanted.limit as usize;
    rows.truncate(wanted.limit as usize);
    let next = rows.last().filter(|_| more);
    let next = next.map(|row| Cursor { booking_date: row.booking_date, line: row.line, seq: row.seq });
    Ok(Page { rows, next })
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
    sealed: Option<Vec<u8>>,
}

impl Found {
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
            sealed: self.sealed?,
        }))
    }
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
