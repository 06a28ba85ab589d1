//! Balances: sealed rows of a line, one set per fetch.

use domain::ids::{BalanceId, ConsentId, LineId, TenantId};
use domain::records::NormalizedBalance;
use domain::world::World;
use jiff::Timestamp;
use sqlx::query;
use uuid::Uuid;
use vault::DataKey;

use crate::lines::LineWriter;
use crate::sealed::{BalanceWire, Place, SCHEMA_VERSION, encode};
use crate::time::{at, maybe_at};
use crate::{StoreError, TenantTx};

/// A balance as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Balance {
    /// Its id.
    pub id: BalanceId,
    /// Its line.
    pub line: LineId,
    /// When the bank was asked.
    pub fetched_at: Timestamp,
    sealed: Vec<u8>,
}

impl Balance {
    /// Opens the record with the key of its line.
    pub fn open(&self, tenant: TenantId, key: &DataKey) -> Result<NormalizedBalance, StoreError> {
        let place = Place::balance(tenant, self.line, self.id);
        let wire: BalanceWire<'_> = place.open_record(key, &self.sealed)?;
        wire.read().ok_or(place.corrupt())
    }
}

impl LineWriter<'_> {
    /// Stores the balances of one answer as the latest set. A run has one set: repeating it replaces the one it had.
    pub async fn put_balances(
        &mut self,
        fetch: Uuid,
        key: &DataKey,
        records: &[NormalizedBalance],
        world: &World<'_>,
    ) -> Result<(), StoreError> {
        let (tenant, line) = (self.tx.tenant(), self.line);
        query!(
            "delete from balance where tenant_id = $1 and line_id = $2 and fetch_id = $3",
            tenant.uuid(),
            line.uuid(),
            fetch
        )
        .execute(self.tx.db())
        .await?;
        let ids: Vec<BalanceId> = records.iter().map(|_| BalanceId::new(world)).collect();
        let sealed: Vec<Vec<u8>> = ids
            .iter()
            .zip(records)
            .map(|(id, record)| {
                Place::balance(tenant, line, *id).seal(key, &encode(&BalanceWire::from(record)), world.entropy)
            })
            .collect();
        let ids: Vec<Uuid> = ids.into_iter().map(BalanceId::uuid).collect();
        query!(
            "insert into balance (tenant_id, line_id, balance_id, fetch_id, fetched_at, schema_version, sealed)
             select $1, $2, b.id, $7, $5, $6, b.sealed from unnest($3::uuid[], $4::bytea[]) as b(id, sealed)",
            tenant.uuid(),
            line.uuid(),
            &ids,
            &sealed,
            at(world.now),
            SCHEMA_VERSION,
            fetch
        )
        .execute(self.tx.db())
        .await?;
        query!(
            "update line set balances_as_of = $3 where tenant_id = $1 and line_id = $2",
            tenant.uuid(),
            line.uuid(),
            at(world.now)
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }
}

/// The latest set of balances of a line, on the ground of a consent that may be read at this moment; else
/// [`StoreError::NotAllowed`].
pub async fn latest(tx: &mut TenantTx, consent: ConsentId, line: LineId) -> Result<Vec<Balance>, StoreError> {
    let found = query!(
        r#"select c.state, c.state_reason, c.data_state, b.balance_id as "balance_id?", b.fetched_at as "fetched_at?",
            b.sealed as "sealed?"
         from consent c
         join consent_line cl on cl.tenant_id = c.tenant_id and cl.consent_id = c.consent_id and cl.state = 'granted'
         left join balance b on b.tenant_id = cl.tenant_id and b.line_id = cl.line_id
            and b.fetched_at = (select max(l.fetched_at) from balance l where l.tenant_id = $1 and l.line_id = $3)
         where c.tenant_id = $1 and c.consent_id = $2 and cl.line_id = $3
         order by b.balance_id"#,
        tx.id(),
        consent.uuid(),
        line.uuid()
    )
    .fetch_all(tx.db())
    .await?;
    let ground = found.first().ok_or(StoreError::NotAllowed)?;
    crate::consents::check_readable(&ground.state, ground.state_reason.as_deref(), &ground.data_state)?;
    let rows = found.into_iter().filter_map(|row| {
        let (id, fetched_at, sealed) = (row.balance_id?, row.fetched_at?, row.sealed?);
        Some(Balance { id: BalanceId::from_uuid(id), line, fetched_at: fetched_at.to_jiff(), sealed })
    });
    Ok(rows.collect())
}

/// A balance of the history: the next page begins behind it, whatever was added meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// When the bank was asked.
    pub fetched_at: Timestamp,
    /// Its id.
    pub id: BalanceId,
}

/// Which balances of the history.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Read at this moment or later.
    pub from: Option<Timestamp>,
    /// Read before this moment.
    pub until: Option<Timestamp>,
    /// Behind this one.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: u32,
}

/// Balances of a line over time, newest first, and where the next page begins; `None` on the last one. On the ground of a
/// consent as in [`latest`].
pub async fn history(
    tx: &mut TenantTx,
    consent: ConsentId,
    line: LineId,
    wanted: Window,
) -> Result<(Vec<Balance>, Option<Cursor>), StoreError> {
    // No id is less than the first: what begins at a moment leaves out all that was read then.
    let start = wanted.until.map(|fetched_at| Cursor { fetched_at, id: BalanceId::from_uuid(Uuid::nil()) });
    let start = match (start, wanted.after) {
        (Some(start), Some(after)) if start.fetched_at <= after.fetched_at => Some(start),
        (start, after) => after.or(start),
    };
    let found = query!(
        r#"select c.state, c.state_reason, c.data_state, b.balance_id as "balance_id?", b.fetched_at as "fetched_at?",
            b.sealed as "sealed?"
         from consent c
         join consent_line cl on cl.tenant_id = c.tenant_id and cl.consent_id = c.consent_id and cl.state = 'granted'
         left join lateral (
            select balance_id, fetched_at, sealed from balance
            where tenant_id = $1 and line_id = cl.line_id
              and fetched_at >= coalesce($4::timestamptz, '-infinity')
              and (fetched_at, balance_id) < (coalesce($5::timestamptz, 'infinity'), coalesce($6::uuid, $7))
            order by fetched_at desc, balance_id desc limit $8
         ) b on true
         where c.tenant_id = $1 and c.consent_id = $2 and cl.line_id = $3
         order by b.fetched_at desc, b.balance_id desc"#,
        tx.id(),
        consent.uuid(),
        line.uuid(),
        maybe_at(wanted.from) as _,
        maybe_at(start.map(|start| start.fetched_at)) as _,
        start.map(|start| start.id.uuid()),
        Uuid::max(),
        i64::from(wanted.limit) + 1
    )
    .fetch_all(tx.db())
    .await?;
    let ground = found.first().ok_or(StoreError::NotAllowed)?;
    crate::consents::check_readable(&ground.state, ground.state_reason.as_deref(), &ground.data_state)?;
    let mut rows: Vec<Balance> = found
        .into_iter()
        .filter_map(|row| {
            let (id, fetched_at, sealed) = (row.balance_id?, row.fetched_at?, row.sealed?);
            Some(Balance { id: BalanceId::from_uuid(id), line, fetched_at: fetched_at.to_jiff(), sealed })
        })
        .collect();
    let more = rows.len() > wanted.limit as usize;
    rows.truncate(wanted.limit as usize);
    let next = rows.last().filter(|_| more).map(|row| Cursor { fetched_at: row.fetched_at, id: row.id });
    Ok((rows, next))
}
