//! Legal holds, and the consents that each is about.

use domain::hold::{Hold as Machine, State};
use domain::ids::{ConsentId, HoldId, PsuId, StaffId};
use jiff::Timestamp;
use sqlx::query;
use uuid::Uuid;

use crate::time::{at, maybe_at, read};
use crate::{StoreError, TenantTx};

/// A hold as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// The reference of the matter.
    pub matter: String,
    /// Its state, and who asked last.
    pub machine: Machine,
    /// When that was asked.
    pub asked_at: Timestamp,
    /// Since when it holds.
    pub placed_at: Option<Timestamp>,
    /// When it was lifted.
    pub lifted_at: Option<Timestamp>,
    /// When it ends by itself: a hold that a policy of retention has placed. `None`: not before four eyes lift it.
    pub ends_at: Option<Timestamp>,
    /// The person whom it is about, where it is about all that they have given a product; it grows until it is confirmed.
    pub person: Option<PsuId>,
    /// The consents that it is about, the newest first.
    pub consents: Vec<ConsentId>,
}

/// Writes a hold, new or moved, and the consents that it is about. Consents are only added.
pub async fn put(tx: &mut TenantTx, hold: &Hold) -> Result<(), StoreError> {
    query!(
        "insert into hold (tenant_id, hold_id, matter, state, asked_by, asked_at, placed_at, lifted_at, ends_at,
            psu_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (tenant_id, hold_id) do update set state = excluded.state, asked_by = excluded.asked_by,
            asked_at = excluded.asked_at, placed_at = excluded.placed_at, lifted_at = excluded.lifted_at",
        tx.id(),
        hold.id.uuid(),
        hold.matter,
        hold.machine.state.word(),
        hold.machine.asked_by.uuid(),
        at(hold.asked_at),
        maybe_at(hold.placed_at) as _,
        maybe_at(hold.lifted_at) as _,
        maybe_at(hold.ends_at) as _,
        hold.person.map(PsuId::uuid)
    )
    .execute(tx.db())
    .await?;
    let consents: Vec<Uuid> = hold.consents.iter().map(|consent| consent.uuid()).collect();
    query!(
        "insert into hold_consent (tenant_id, hold_id, consent_id) select $1, $2, c.id from unnest($3::uuid[]) as c(id)
         on conflict do nothing",
        tx.id(),
        hold.id.uuid(),
        &consents
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

struct Row {
    hold_id: Uuid,
    matter: String,
    state: String,
    asked_by: Uuid,
    asked_at: jiff_sqlx::Timestamp,
    placed_at: Option<jiff_sqlx::Timestamp>,
    lifted_at: Option<jiff_sqlx::Timestamp>,
    ends_at: Option<jiff_sqlx::Timestamp>,
    psu_id: Option<Uuid>,
    consents: Vec<Uuid>,
}

impl TryFrom<Row> for Hold {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let state = State::parse(&row.state).ok_or(StoreError::Corrupt { table: "hold", column: "state" })?;
        Ok(Self {
            id: HoldId::from_uuid(row.hold_id),
            matter: row.matter,
            machine: Machine { state, asked_by: StaffId::from_uuid(row.asked_by) },
            asked_at: row.asked_at.to_jiff(),
            placed_at: read(row.placed_at),
            lifted_at: read(row.lifted_at),
            ends_at: read(row.ends_at),
            person: row.psu_id.map(PsuId::from_uuid),
            consents: row.consents.into_iter().map(ConsentId::from_uuid).collect(),
        })
    }
}

/// Every hold, the newest first.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<Hold>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select hold_id, matter, state, asked_by, asked_at, placed_at, lifted_at, ends_at, psu_id,
            array(select c.consent_id from hold_consent c where c.tenant_id = h.tenant_id and c.hold_id = h.hold_id
                order by c.consent_id desc) as "consents!"
         from hold h where tenant_id = $1 order by hold_id desc"#,
        tx.id()
    )
    .fetch_all(tx.db())
    .await?;
    rows.into_iter().map(Hold::try_from).collect()
}

/// One hold, locked until the transaction ends.
pub async fn lock(tx: &mut TenantTx, id: HoldId) -> Result<Hold, StoreError> {
    query!("select 1 as one from hold where tenant_id = $1 and hold_id = $2 for update", tx.id(), id.uuid())
        .fetch_optional(tx.db())
        .await?
        .ok_or(StoreError::NotFound("hold"))?;
    let row = sqlx::query_as!(
        Row,
        r#"select hold_id, matter, state, asked_by, asked_at, placed_at, lifted_at, ends_at, psu_id,
            array(select c.consent_id from hold_consent c where c.tenant_id = h.tenant_id and c.hold_id = h.hold_id
                order by c.consent_id desc) as "consents!"
         from hold h where tenant_id = $1 and hold_id = $2"#,
        tx.id(),
        id.uuid()
    )
    .fetch_one(tx.db())
    .await?;
    row.try_into()
}

/// How many holds keep the data of a consent. To be asked for under the lock of the consent.
pub async fn holding(tx: &mut TenantTx, consent: ConsentId) -> Result<i64, StoreError> {
    let row = query!(
        r#"select count(*) as "number!" from hold_consent c
         join hold h on h.tenant_id = c.tenant_id and h.hold_id = c.hold_id
         where c.tenant_id = $1 and c.consent_id = $2 and h.state in ('placed', 'lift_asked')"#,
        tx.id(),
        consent.uuid()
    )
    .fetch_one(tx.db())
    .await?;
    Ok(row.number)
}

/// Holds that stand and whose time is over.
pub async fn past(tx: &mut TenantTx, now: Timestamp, limit: u32) -> Result<Vec<HoldId>, StoreError> {
    let rows = query!(
        "select hold_id from hold where tenant_id = $1 and state in ('placed', 'lift_asked') and ends_at <= $2
         order by ends_at limit $3",
        tx.id(),
        at(now),
        i64::from(limit)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| HoldId::from_uuid(row.hold_id)).collect())
}
