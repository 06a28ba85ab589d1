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
use crate::time::at;
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
