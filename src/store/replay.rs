//! Replay: which lines may be read again, which rows came from which raw answer, and what other rules make of them.

use std::collections::BTreeMap;

use domain::ids::{ConsentId, GrantId, InstitutionId, LineId, RawPageId, TenantId, TransactionId};
use domain::records::Normalized;
use domain::world::World;
use serde_json::Value;
use sqlx::query;
use uuid::Uuid;
use vault::{DataKey, Wrapped};

use crate::aligned::{content_tag, named_day};
use crate::lines::{Details, LineWriter};
use crate::sealed::{DetailsWire, Opened, Place, SCHEMA_VERSION, TransactionWire, encode};
use crate::time::maybe_day;
use crate::{StoreError, TenantTx};

/// A line whose rows may be read and written now, and on what ground.
#[derive(Clone, PartialEq, Eq)]
pub struct Replayable {
    /// The line.
    pub line: LineId,
    /// At which bank.
    pub institution: InstitutionId,
    /// The newest consent that allows it.
    pub consent: ConsentId,
    /// Its grant.
    pub grant: GrantId,
    /// The wrapped data key of the line.
    pub key: Wrapped,
    sealed: Vec<u8>,
}

impl Replayable {
    /// Opens what the bank says about the account.
    pub fn details(&self, tenant: TenantId, key: &DataKey) -> Result<Details, StoreError> {
        Place::line(tenant, self.line).open_record(key, &self.sealed).map(DetailsWire::read)
    }
}

/// Lines of a bank, or of all, behind `after`, in the order of their ids.
pub async fn lines(
    tx: &mut TenantTx,
    institution: Option<&InstitutionId>,
    after: Option<LineId>,
    limit: u32,
) -> Result<Vec<Replayable>, StoreError> {
    let rows = query!(
        r#"select distinct on (l.line_id) l.line_id, l.institution_id, l.key_epoch, l.wrapped_key, l.sealed,
            c.consent_id, c.grant_id as "grant_id!"
         from line l
         join consent_line cl on cl.tenant_id = l.tenant_id and cl.line_id = l.line_id and cl.state = 'granted'
         join consent c on c.tenant_id = cl.tenant_id and c.consent_id = cl.consent_id
         where l.tenant_id = $1 and ($2::text is null or l.institution_id = $2) and ($3::uuid is null or l.line_id > $3)
           and c.data_state = 'present' and c.state in ('authorized', 'active', 'reauth_pending')
           and c.grant_id is not null and 'transactions' = any(c.clusters)
         order by l.line_id, c.consent_id desc limit $4"#,
        tx.id(),
        institution.map(InstitutionId::as_str),
        after.map(LineId::uuid),
        i64::from(limit)
    )
    .fetch_all(tx.db())
    .await?;
    rows.into_iter()
        .map(|row| {
            let institution = InstitutionId::new(&row.institution_id);
            Ok(Replayable {
                line: LineId::from_uuid(row.line_id),
                institution: institution.ok_or(StoreError::Corrupt { table: "line", column: "institution_id" })?,
                consent: ConsentId::from_uuid(row.consent_id),
                grant: GrantId::from_uuid(row.grant_id),
                key: Wrapped { epoch: row.key_epoch, bytes: row.wrapped_key },
                sealed: row.sealed,
            })
        })
        .collect()
}

/// A row as it is stored, with its place in a raw answer.
#[derive(Clone)]
pub struct Sourced {
    /// Its id.
    pub id: TransactionId,
    /// Its place in the answer, from zero.
    pub row: usize,
    /// The rules that read it.
    pub rule_set: Option<String>,
    /// The record, as it was sealed.
    pub plain: Opened,
    /// What identifies it in the next fetch.
    pub identity: Option<Opened>,
    content_tag: Vec<u8>,
}

impl Sourced {
    /// The record as it is stored; `None` when a word of it means nothing to this build.
    pub fn record(&self) -> Option<Normalized> {
        serde_json::from_slice::<TransactionWire<'_>>(&self.plain).ok()?.whole()
    }

    /// Whether a product would notice that the row says this now.
    pub fn notices(&self, key: &DataKey, record: &Normalized) -> bool {
        self.content_tag != content_tag(key, self.id, record)
    }
}

/// A row that other rules have read in another way.
pub struct Reread<'a> {
    /// Its id.
    pub id: TransactionId,
    /// What it says now.
    pub record: &'a Normalized,
    /// What identifies it in the next fetch.
    pub identity: &'a [u8],
    /// Whether it takes a number of the line: a product would notice.
    pub noticed: bool,
}

impl LineWriter<'_> {
    /// The rows that came from a raw answer, tombstones left out, in its order.
    pub async fn sourced(&mut self, key: &DataKey, page: RawPageId) -> Result<Vec<Sourced>, StoreError> {
        let rows = query!(
            r#"select transaction_id, raw_row as "raw_row!", rule_set, sealed as "sealed!", sealed_identity, content_tag
             from transaction
             where tenant_id = $1 and line_id = $2 and raw_page_id = $3 and removed_at is null order by raw_row"#,
            self.tx.id(),
            self.line.uuid(),
            page.uuid()
        )
        .fetch_all(self.tx.db())
        .await?;
        let (tenant, line) = (self.tx.tenant(), self.line);
        rows.into_iter()
            .map(|row| {
                let id = TransactionId::from_uuid(row.transaction_id);
                let place = Place::transaction(tenant, line, id);
                let nth = usize::try_from(row.raw_row).map_err(|_| place.corrupt())?;
                let identity = Place::identity(tenant, line, id);
                Ok(Sourced {
                    id,
                    row: nth,
                    rule_set: row.rule_set,
                    plain: place.open(key, &row.sealed)?,
                    identity: row.sealed_identity.map(|sealed| identity.open(key, &sealed)).transpose()?,
                    content_tag: row.content_tag,
                })
            })
            .collect()
    }

    /// The raw answers about transactions that are still kept, oldest first.
    pub async fn transaction_pages(&mut self) -> Result<Vec<RawPageId>, StoreError> {
        let rows = query!(
            "select raw_page_id from raw_page where tenant_id = $1 and line_id = $2 and kind = 'transactions'
             order by fetched_at, raw_page_id",
            self.tx.id(),
            self.line.uuid()
        )
        .fetch_all(self.tx.db())
        .await?;
        Ok(rows.into_iter().map(|row| RawPageId::from_uuid(row.raw_page_id)).collect())
    }

    /// One raw answer, opened; `None` when its retention has ended meanwhile.
    pub async fn raw_page(&mut self, key: &DataKey, page: RawPageId) -> Result<Option<Opened>, StoreError> {
        let row = query!(
            "select sealed from raw_page where tenant_id = $1 and line_id = $2 and raw_page_id = $3",
            self.tx.id(),
            self.line.uuid(),
            page.uuid()
        )
        .fetch_optional(self.tx.db())
        .await?;
        row.map(|row| Place::raw_page(self.tx.tenant(), self.line, page).open(key, &row.sealed)).transpose()
    }

    /// How many rows have no raw answer any more, tombstones left out: no rule reads them again.
    pub async fn without_source(&mut self) -> Result<u64, StoreError> {
        let row = query!(
            r#"select count(*) as "rows!" from transaction t
             where t.tenant_id = $1 and t.line_id = $2 and t.removed_at is null and not exists (
                select from raw_page r
                where r.tenant_id = t.tenant_id and r.line_id = t.line_id and r.raw_page_id = t.raw_page_id)"#,
            self.tx.id(),
            self.line.uuid()
        )
        .fetch_one(self.tx.db())
        .await?;
        Ok(row.rows.unsigned_abs())
    }

    /// Notes on rows that these rules have read them, whether or not they read something else.
    pub async fn note_rule_set(&mut self, rows: &[TransactionId], rule_set: &str) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = rows.iter().map(|id| id.uuid()).collect();
        query!(
            "update transaction set rule_set = $4
             where tenant_id = $1 and line_id = $2 and transaction_id = any($3) and rule_set is distinct from $4",
            self.tx.id(),
            self.line.uuid(),
            &ids,
            rule_set
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }

    /// Puts what other rules read in the place of what was there.
    pub async fn replay(&mut self, key: &DataKey, rows: &[Reread<'_>], world: &World<'_>) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let (tenant, line) = (self.tx.tenant(), self.line);
        let noticed = rows.iter().filter(|row| row.noticed).count();
        let mut numbers = if noticed > 0 { self.numbers(noticed).await? + 1.. } else { 0.. };
        let numbers: Vec<Option<i64>> =
            rows.iter().map(|row| if row.noticed { numbers.next() } else { None }).collect();
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id.uuid()).collect();
        let days: Vec<_> = rows.iter().map(|row| maybe_day(named_day(row.record))).collect();
        let statuses: Vec<&str> = rows.iter().map(|row| row.record.status.as_str()).collect();
        let tags: Vec<[u8; 32]> = rows.iter().map(|row| content_tag(key, row.id, row.record)).collect();
        let tags: Vec<&[u8]> = tags.iter().map(<[u8; 32]>::as_slice).collect();
        let seal = |place: Place, plain: &[u8]| place.seal(key, plain, world.entropy);
        let sealed: Vec<Vec<u8>> =
            rows.iter().map(|row| seal(Place::transaction(tenant, line, row.id), &plain(row.record))).collect();
        let identities: Vec<Vec<u8>> =
            rows.iter().map(|row| seal(Place::identity(tenant, line, row.id), row.identity)).collect();
        query!(
            "update transaction x set booking_date = coalesce(t.booking_date, x.booking_date), status = t.status,
                schema_version = $10, content_tag = t.content_tag, sealed = t.sealed, sealed_identity = t.identity,
                change_seq = coalesce(t.number, x.change_seq)
             from unnest($3::uuid[], $4::date[], $5::text[], $6::bytea[], $7::bytea[], $8::bytea[], $9::bigint[])
                as t(id, booking_date, status, content_tag, sealed, identity, number)
             where x.tenant_id = $1 and x.line_id = $2 and x.transaction_id = t.id and x.removed_at is null",
            self.tx.id(),
            self.line.uuid(),
            &ids,
            days as _,
            statuses as _,
            tags as _,
            &sealed,
            &identities,
            numbers as _,
            SCHEMA_VERSION
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }
}

/// A record as the bytes that are sealed: the same for the same record, on any machine and on any day.
pub fn plain(record: &Normalized) -> Opened {
    encode(&TransactionWire::from(record))
}

/// The fields of a record by their names, as they stand in the sealed bytes.
pub fn fields(plain: &[u8]) -> Result<BTreeMap<String, Value>, StoreError> {
    serde_json::from_slice(plain).map_err(|_| StoreError::Corrupt { table: "transaction", column: "sealed" })
}
