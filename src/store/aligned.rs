//! What an alignment says of a line's transactions, written in one transaction.
//!
//! Which row is which was decided elsewhere: an identity is opaque here, and sealed like the row it belongs to. Every
//! change that a product would notice takes the next number of the line, so that a reader of changes never misses one.

use std::collections::HashMap;

use domain::ids::{LineId, RawPageId, TenantId, TransactionId};
use domain::records::{Normalized, Status};
use domain::world::World;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sqlx::query;
use uuid::Uuid;
use vault::DataKey;

use crate::StoreError;
use crate::lines::LineWriter;
use crate::sealed::{Opened, Place, SCHEMA_VERSION, TransactionWire, encode};
use crate::time::{at, day};

/// Rows that one statement writes: their sealed bytes are all in memory at once.
const ROWS_PER_STATEMENT: usize = 1000;

/// A stored transaction as an alignment needs it, tombstones included.
#[derive(Clone, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: TransactionId,
    /// What identifies it, as given to [`LineWriter::put_aligned`].
    pub identity: Opened,
    /// Whether the fetch before missed it.
    pub missed: bool,
    /// Whether it was withdrawn.
    pub removed: bool,
}

/// What a listed row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not known before.
    New,
    /// Perhaps the payment of that row, perhaps another; both stay.
    Doubtful(TransactionId),
    /// A stored one, in the same state.
    Same,
    /// A stored one that was pending and is now booked, with the evidence for it.
    Settled(&'static str),
}

/// A transaction that a complete fetch brought.
#[derive(Clone, Copy)]
pub struct Listed<'a> {
    /// Its id: one that is stored, or a fresh one.
    pub id: TransactionId,
    /// What it is.
    pub standing: Standing,
    /// What it says.
    pub record: &'a Normalized,
    /// What identifies it from now on; `None` if that has not changed.
    pub identity: Option<&'a [u8]>,
    /// Where it was read.
    pub source: Source<'a>,
}

/// Where a transaction was read and by which rules: all that a replay needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source<'a> {
    /// The raw answer that is kept.
    pub page: RawPageId,
    /// The row's place in it, from zero.
    pub row: u32,
    /// The rules that read it.
    pub rule_set: &'a str,
}

/// What a complete fetch means for a line.
#[derive(Clone, Copy)]
pub struct Aligned<'a> {
    /// What the bank lists, each transaction once.
    pub listed: &'a [Listed<'a>],
    /// Identities of stored transactions that are known by another form too.
    pub identities: &'a [(TransactionId, &'a [u8])],
    /// Transactions that should have been listed and were not, for the first time.
    pub missed: &'a [TransactionId],
    /// Transactions that are gone: a tombstone stays of each.
    pub withdrawn: &'a [TransactionId],
    /// What is known now of the bank's identifiers.
    pub trust: &'a [u8],
}

/// What became of the transactions of a fetch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// Not known before.
    pub new: usize,
    /// Known, and saying something else now; those that were booked left out.
    pub changed: usize,
    /// Known as pending, and booked now.
    pub settled: usize,
    /// Known, and unchanged.
    pub unchanged: usize,
    /// Withdrawn.
    pub withdrawn: usize,
    /// Of the new ones, those that may be known payments.
    pub doubtful: usize,
}

impl LineWriter<'_> {
    /// Transactions of days from `from` on and all pending ones, by day; tombstones too.
    pub async fn known(&mut self, key: &DataKey, from: Date) -> Result<Vec<Known>, StoreError> {
        let rows = query!(
            r#"select transaction_id, missed_at is not null as "missed!", removed_at is not null as "removed!",
                sealed_identity as "sealed!"
             from transaction
             where tenant_id = $1 and line_id = $2 and sealed_identity is not null
               and (booking_date >= $3 or (status = 'pending' and removed_at is null))
             order by booking_date, seq"#,
            self.tx.id(),
            self.line.uuid(),
            day(from) as _
        )
        .fetch_all(self.tx.db())
        .await?;
        let (tenant, line) = (self.tx.tenant(), self.line);
        rows.into_iter()
            .map(|row| {
                let id = TransactionId::from_uuid(row.transaction_id);
                let identity = Place::identity(tenant, line, id).open(key, &row.sealed)?;
                Ok(Known { id, identity, missed: row.missed, removed: row.removed })
            })
            .collect()
    }

    /// What is known of the bank's identifiers, as given to [`LineWriter::put_aligned`]; `None` before the first.
    pub async fn trust(&mut self, key: &DataKey) -> Result<Option<Opened>, StoreError> {
        let row = query!(
            "select sealed_trust from line where tenant_id = $1 and line_id = $2",
            self.tx.id(),
            self.line.uuid()
        )
        .fetch_one(self.tx.db())
        .await?;
        let place = Place::trust(self.tx.tenant(), self.line);
        row.sealed_trust.map(|sealed| place.open(key, &sealed)).transpose()
    }

    /// Writes what a complete fetch means. New rows get the next numbers of the line, known ones keep id and number.
    /// Repeating it changes nothing but `last_seen_at`.
    pub async fn put_aligned(
        &mut self,
        key: &DataKey,
        aligned: &Aligned<'_>,
        world: &World<'_>,
    ) -> Result<Stored, StoreError> {
        let mut stored = Stored { withdrawn: aligned.withdrawn.len(), ..Stored::default() };
        for listed in aligned.listed.chunks(ROWS_PER_STATEMENT) {
            let tags = self.content_tags(listed).await?;
            let (mut new, mut changed, mut unchanged) = (Vec::new(), Vec::new(), Vec::new());
            for row in listed.iter().map(|listed| Row::of(listed, key, world)) {
                match tags.get(&row.listed.id.uuid()) {
                    None => new.push(row),
                    Some(tag) if tag[..] == row.content_tag => unchanged.push(row),
                    Some(_) => changed.push(row),
                }
            }
            self.insert(&new, key, world).await?;
            self.update(&changed, true, key, world).await?;
            // What only the next fetch cares for is rewritten without a number: no product would notice.
            let (renamed, same): (Vec<Row<'_>>, Vec<Row<'_>>) =
                unchanged.into_iter().partition(|row| row.listed.identity.is_some());
            self.update(&renamed, false, key, world).await?;
            self.touch(&same, world.now).await?;
            let count = |rows: &[Row<'_>], fits: fn(Standing) -> bool| {
                rows.iter().filter(|row| fits(row.listed.standing)).count()
            };
            let settled = count(&changed, |standing| matches!(standing, Standing::Settled(_)));
            stored.new += new.len();
            stored.doubtful += count(&new, |standing| matches!(standing, Standing::Doubtful(_)));
            stored.settled += settled;
            stored.changed += changed.len() - settled;
            stored.unchanged += renamed.len() + same.len();
        }
        self.identify(aligned.identities, key, world).await?;
        self.miss(aligned.missed, world.now).await?;
        self.withdraw(aligned.withdrawn, world.now).await?;
        self.set_trust(aligned.trust, key, world).await?;
        Ok(stored)
    }

    /// Leaves tombstones on rows of builds that stored no identity, from `from` on and of all pending ones: what is listed
    /// of them now is stored anew. Gives how many.
    pub async fn retire_unidentified(&mut self, from: Date, now: Timestamp) -> Result<usize, StoreError> {
        let rows = query!(
            "select transaction_id from transaction
             where tenant_id = $1 and line_id = $2 and sealed_identity is null and removed_at is null
               and (booking_date >= $3 or status = 'pending')",
            self.tx.id(),
            self.line.uuid(),
            day(from) as _
        )
        .fetch_all(self.tx.db())
        .await?;
        let ids: Vec<TransactionId> =
            rows.into_iter().map(|row| TransactionId::from_uuid(row.transaction_id)).collect();
        self.withdraw(&ids, now).await?;
        Ok(ids.len())
    }

    /// The content of those that are stored; of a tombstone it is gone, so it differs from any.
    async fn content_tags(&mut self, listed: &[Listed<'_>]) -> Result<HashMap<Uuid, Vec<u8>>, StoreError> {
        let known = listed.iter().filter(|row| matches!(row.standing, Standing::Same | Standing::Settled(_)));
        let ids: Vec<Uuid> = known.map(|row| row.id.uuid()).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = query!(
            r#"select transaction_id, case when removed_at is null then content_tag else '' end as "content_tag!"
             from transaction where tenant_id = $1 and line_id = $2 and transaction_id = any($3)"#,
            self.tx.id(),
            self.line.uuid(),
            &ids
        )
        .fetch_all(self.tx.db())
        .await?;
        Ok(rows.into_iter().map(|row| (row.transaction_id, row.content_tag)).collect())
    }

    async fn insert(&mut self, rows: &[Row<'_>], key: &DataKey, world: &World<'_>) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let last = self.numbers(rows.len()).await?;
        let columns = Columns::of(rows, self.tx.tenant(), self.line, key, world);
        query!(
            "insert into transaction (tenant_id, line_id, transaction_id, seq, booking_date, status, schema_version,
                content_tag, first_seen_at, last_seen_at, sealed, sealed_identity, doubtful_of,
                raw_page_id, raw_row, rule_set)
             select $1, $2, t.id, $3 + t.nth, t.booking_date, t.status, $11, t.content_tag, $12, $12, t.sealed,
                t.identity, t.doubtful_of, t.page, t.raw_row, t.rule_set
             from unnest($4::uuid[], $5::date[], $6::text[], $7::bytea[], $8::bytea[], $9::bytea[], $10::uuid[],
                $13::uuid[], $14::integer[], $15::text[])
                with ordinality as t(id, booking_date, status, content_tag, sealed, identity, doubtful_of, page, raw_row,
                    rule_set, nth)",
            self.tx.id(),
            self.line.uuid(),
            last,
            &columns.ids,
            columns.days as _,
            columns.statuses as _,
            columns.contents as _,
            &columns.sealed,
            columns.identities as _,
            columns.doubtful as _,
            SCHEMA_VERSION,
            at(world.now),
            &columns.sources.pages,
            &columns.sources.rows,
            columns.sources.rule_sets as _
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }

    /// Rewrites rows; `noticed`: as a change that takes a number.
    async fn update(
        &mut self,
        rows: &[Row<'_>],
        noticed: bool,
        key: &DataKey,
        world: &World<'_>,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let last = if noticed { Some(self.numbers(rows.len()).await?) } else { None };
        let columns = Columns::of(rows, self.tx.tenant(), self.line, key, world);
        query!(
            "update transaction x set booking_date = t.booking_date, status = t.status, schema_version = $11,
                content_tag = t.content_tag, sealed = t.sealed, sealed_identity = coalesce(t.identity, x.sealed_identity),
                last_seen_at = $12, missed_at = null, removed_at = null, change_seq = coalesce($3 + t.nth, x.change_seq),
                settled_by = coalesce(t.settled_by, x.settled_by),
                settled_at = case when t.settled_by is null then x.settled_at else $12 end,
                raw_page_id = t.page, raw_row = t.raw_row, rule_set = t.rule_set
             from unnest($4::uuid[], $5::date[], $6::text[], $7::bytea[], $8::bytea[], $9::bytea[], $10::text[],
                $13::uuid[], $14::integer[], $15::text[])
                with ordinality as t(id, booking_date, status, content_tag, sealed, identity, settled_by, page, raw_row,
                    rule_set, nth)
             where x.tenant_id = $1 and x.line_id = $2 and x.transaction_id = t.id",
            self.tx.id(),
            self.line.uuid(),
            last,
            &columns.ids,
            columns.days as _,
            columns.statuses as _,
            columns.contents as _,
            &columns.sealed,
            columns.identities as _,
            columns.settled as _,
            SCHEMA_VERSION,
            at(world.now),
            &columns.sources.pages,
            &columns.sources.rows,
            columns.sources.rule_sets as _
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }

    /// Rows that say what they said. Where they were read stays too: what is sealed came from there.
    async fn touch(&mut self, rows: &[Row<'_>], now: Timestamp) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = rows.iter().map(|row| row.listed.id.uuid()).collect();
        query!(
            "update transaction set last_seen_at = $4, missed_at = null
             where tenant_id = $1 and line_id = $2 and transaction_id = any($3)",
            self.tx.id(),
            self.line.uuid(),
            &ids,
            at(now)
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }

    async fn identify(
        &mut self,
        identities: &[(TransactionId, &[u8])],
        key: &DataKey,
        world: &World<'_>,
    ) -> Result<(), StoreError> {
        if identities.is_empty() {
            return Ok(());
        }
        let (tenant, line) = (self.tx.tenant(), self.line);
        let ids: Vec<Uuid> = identities.iter().map(|(id, _)| id.uuid()).collect();
        let sealed: Vec<Vec<u8>> = identities
            .iter()
            .map(|(id, identity)| Place::identity(tenant, line, *id).seal(key, identity, world.entropy))
            .collect();
        query!(
            "update transaction x set sealed_identity = t.identity
             from unnest($3::uuid[], $4::bytea[]) as t(id, identity)
             where x.tenant_id = $1 and x.line_id = $2 and x.transaction_id = t.id",
            self.tx.id(),
            line.uuid(),
            &ids,
            &sealed
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }

    async fn miss(&mut self, missed: &[TransactionId], now: Timestamp) -> Result<(), StoreError> {
        if missed.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = missed.iter().map(|id| id.uuid()).collect();
        query!(
            "update transaction set missed_at = $4
             where tenant_id = $1 and line_id = $2 and transaction_id = any($3) and missed_at is null",
            self.tx.id(),
            self.line.uuid(),
            &ids,
            at(now)
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }

    async fn withdraw(&mut self, withdrawn: &[TransactionId], now: Timestamp) -> Result<(), StoreError> {
        if withdrawn.is_empty() {
            return Ok(());
        }
        let last = self.numbers(withdrawn.len()).await?;
        let ids: Vec<Uuid> = withdrawn.iter().map(|id| id.uuid()).collect();
        query!(
            "update transaction x set removed_at = $5, sealed = null, change_seq = $3 + t.nth
             from unnest($4::uuid[]) with ordinality as t(id, nth)
             where x.tenant_id = $1 and x.line_id = $2 and x.transaction_id = t.id and x.removed_at is null",
            self.tx.id(),
            self.line.uuid(),
            last,
            &ids,
            at(now)
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }

    async fn set_trust(&mut self, trust: &[u8], key: &DataKey, world: &World<'_>) -> Result<(), StoreError> {
        query!(
            "update line set sealed_trust = $3 where tenant_id = $1 and line_id = $2",
            self.tx.id(),
            self.line.uuid(),
            Place::trust(self.tx.tenant(), self.line).seal(key, trust, world.entropy)
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }

    /// Takes so many numbers of the line; gives the one before the first. They are in the order of the commits, because
    /// the line is held until then.
    pub(crate) async fn numbers(&mut self, count: usize) -> Result<i64, StoreError> {
        let row = query!(
            r#"update line set next_seq = next_seq + $3 where tenant_id = $1 and line_id = $2
             returning next_seq - $3 - 1 as "last!""#,
            self.tx.id(),
            self.line.uuid(),
            i64::try_from(count).unwrap_or(i64::MAX)
        )
        .fetch_one(self.tx.db())
        .await?;
        Ok(row.last)
    }
}

/// A row that may be written.
struct Row<'a> {
    listed: &'a Listed<'a>,
    content_tag: [u8; 32],
    booking_date: Date,
    plain: Opened,
}

impl<'a> Row<'a> {
    fn of(listed: &'a Listed<'a>, key: &DataKey, world: &World<'_>) -> Self {
        let record = listed.record;
        Self {
            listed,
            content_tag: content_tag(key, listed.id, record),
            booking_date: named_day(record).unwrap_or_else(|| TimeZone::UTC.to_datetime(world.now).date()),
            plain: encode(&TransactionWire::from(record)),
        }
    }
}

/// The tag of what a product would notice. The id is part of it, or equal contents of two rows would show as equal tags.
/// The bank's own reference is not: at some banks every answer has another one for every row, and no product would call
/// that a change.
pub(crate) fn content_tag(key: &DataKey, id: TransactionId, record: &Normalized) -> [u8; 32] {
    let mut content = Opened::new(id.uuid().as_bytes().to_vec());
    content.extend_from_slice(&encode(&TransactionWire::from(record).without_reference()));
    key.mac("transaction.content", &content)
}

/// The day that a record names to be listed under: booking, else value, else transaction day.
pub(crate) fn named_day(record: &Normalized) -> Option<Date> {
    record.booking_date.or(record.value_date).or(record.transaction_date)
}

/// The columns of [`Source`].
struct Sources<'a> {
    pages: Vec<Uuid>,
    rows: Vec<i32>,
    rule_sets: Vec<&'a str>,
}

impl<'a> Sources<'a> {
    fn of(rows: &[Row<'a>]) -> Self {
        let sources = || rows.iter().map(|row| row.listed.source);
        Self {
            pages: sources().map(|source| source.page.uuid()).collect(),
            rows: sources().map(|source| i32::try_from(source.row).unwrap_or(i32::MAX)).collect(),
            rule_sets: sources().map(|source| source.rule_set).collect(),
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
    identities: Vec<Option<Vec<u8>>>,
    doubtful: Vec<Option<Uuid>>,
    settled: Vec<Option<&'static str>>,
    sources: Sources<'a>,
}

impl<'a> Columns<'a> {
    fn of(rows: &'a [Row<'a>], tenant: TenantId, line: LineId, key: &DataKey, world: &World<'_>) -> Self {
        let seal = |place: Place, plain: &[u8]| place.seal(key, plain, world.entropy);
        let standing = |row: &Row<'_>| match row.listed.standing {
            Standing::New | Standing::Same => (None, None),
            Standing::Doubtful(like) => (Some(like.uuid()), None),
            Standing::Settled(why) => (None, Some(why)),
        };
        Self {
            ids: rows.iter().map(|row| row.listed.id.uuid()).collect(),
            days: rows.iter().map(|row| day(row.booking_date)).collect(),
            statuses: rows.iter().map(|row| Status::as_str(row.listed.record.status)).collect(),
            contents: rows.iter().map(|row| row.content_tag.as_slice()).collect(),
            sealed: rows.iter().map(|row| seal(Place::transaction(tenant, line, row.listed.id), &row.plain)).collect(),
            identities: rows
                .iter()
                .map(|row| row.listed.identity.map(|plain| seal(Place::identity(tenant, line, row.listed.id), plain)))
                .collect(),
            doubtful: rows.iter().map(|row| standing(row).0).collect(),
            settled: rows.iter().map(|row| standing(row).1).collect(),
            sources: Sources::of(rows),
        }
    }
}
