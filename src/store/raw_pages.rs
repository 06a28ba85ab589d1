//! Raw answers of banks, split per account and sealed, kept for replay until their retention ends.

use domain::ids::{LineId, RawPageId, TenantId};
use domain::world::World;
use jiff::Timestamp;
use sqlx::query;
use uuid::Uuid;
use vault::DataKey;

use crate::lines::LineWriter;
use crate::sealed::{Opened, Place};
use crate::time::at;
use crate::{StoreError, TenantTx};

/// A raw answer as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct RawPage {
    /// Its id.
    pub id: RawPageId,
    /// Its line.
    pub line: LineId,
    /// What was asked: `transactions`, `balances`.
    pub kind: String,
    /// When the bank answered.
    pub fetched_at: Timestamp,
    /// When it goes.
    pub expires_at: Timestamp,
    sealed: Vec<u8>,
}

impl RawPage {
    /// Opens the answer with the key of its line.
    pub fn open(&self, tenant: TenantId, key: &DataKey) -> Result<Opened, StoreError> {
        Place::raw_page(tenant, self.line, self.id).open(key, &self.sealed)
    }
}

/// An answer to keep, already cut down to one account and to what was consented to.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// The run that brought it.
    pub fetch: Uuid,
    /// What was asked: `transactions`, `balances`.
    pub kind: &'a str,
    /// The bank's rows.
    pub body: &'a [u8],
    /// When it goes.
    pub expires_at: Timestamp,
}

impl LineWriter<'_> {
    /// Keeps one answer.
    pub async fn put_raw_page(
        &mut self,
        key: &DataKey,
        answer: Answer<'_>,
        world: &World<'_>,
    ) -> Result<RawPageId, StoreError> {
        let id = RawPageId::new(world);
        let place = Place::raw_page(self.tx.tenant(), self.line, id);
        query!(
            "insert into raw_page (tenant_id, line_id, raw_page_id, fetch_id, kind, fetched_at, expires_at, sealed)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
            self.tx.id(),
            self.line.uuid(),
            id.uuid(),
            answer.fetch,
            answer.kind,
            at(world.now),
            at(answer.expires_at),
            place.seal(key, answer.body, world.entropy)
        )
        .execute(self.tx.db())
        .await?;
        Ok(id)
    }
}

/// The kept answers of a line, oldest first, behind `after`.
pub async fn of_line(
    tx: &mut TenantTx,
    line: LineId,
    after: Option<RawPageId>,
    limit: u32,
) -> Result<Vec<RawPage>, StoreError> {
    let rows = query!(
        "select raw_page_id, kind, fetched_at, expires_at, sealed from raw_page
         where tenant_id = $1 and line_id = $2 and ($3::uuid is null or raw_page_id > $3)
         order by raw_page_id limit $4",
        tx.id(),
        line.uuid(),
        after.map(RawPageId::uuid),
        i64::from(limit)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| RawPage {
            id: RawPageId::from_uuid(row.raw_page_id),
            line,
            kind: row.kind,
            fetched_at: row.fetched_at.to_jiff(),
            expires_at: row.expires_at.to_jiff(),
            sealed: row.sealed,
        })
        .collect())
}

/// Removes answers whose retention is over and which no legal hold keeps, at most `limit`; gives how many.
pub async fn expire(tx: &mut TenantTx, now: Timestamp, limit: i64) -> Result<u64, StoreError> {
    let done = query!(
        "delete from raw_page where ctid = any(array(
            select r.ctid from raw_page r where r.tenant_id = $1 and r.expires_at <= $2 and not exists (
                select from consent_line cl
                join consent c on c.tenant_id = cl.tenant_id and c.consent_id = cl.consent_id
                where cl.tenant_id = r.tenant_id and cl.line_id = r.line_id
                  and c.data_state in ('held', 'held_restricted', 'blocked'))
            limit $3)) and tenant_id = $1",
        tx.id(),
        at(now),
        limit
    )
    .execute(tx.db())
    .await?;
    Ok(done.rows_affected())
}
