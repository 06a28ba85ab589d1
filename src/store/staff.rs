//! People who work for the operator, with a key of their own or known by an identity provider. Of their keys only the SHA-256 is stored.

use domain::ids::StaffId;
use jiff::Timestamp;
use sqlx::query;
use uuid::Uuid;

use crate::time::{at, read};
use crate::{StoreError, TenantTx};

/// A member of staff as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staff {
    /// Their id, which stands in records.
    pub id: StaffId,
    /// How colleagues call them.
    pub name: String,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when, once their key is withdrawn.
    pub withdrawn_at: Option<Timestamp>,
}

/// Adds a member of staff with the SHA-256 of their key, which has at least 256 random bits.
pub async fn add(tx: &mut TenantTx, staff: &Staff, hash: &[u8; 32]) -> Result<(), StoreError> {
    query!(
        "insert into staff (tenant_id, staff_id, name, hash, created_at) values ($1, $2, $3, $4, $5)",
        tx.id(),
        staff.id.uuid(),
        staff.name,
        hash.as_slice(),
        at(staff.created_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

struct Row {
    staff_id: Uuid,
    name: String,
    created_at: jiff_sqlx::Timestamp,
    withdrawn_at: Option<jiff_sqlx::Timestamp>,
}

impl From<Row> for Staff {
    fn from(row: Row) -> Self {
        Self {
            id: StaffId::from_uuid(row.staff_id),
            name: row.name,
            created_at: row.created_at.to_jiff(),
            withdrawn_at: read(row.withdrawn_at),
        }
    }
}

/// Whose key has this hash, while it is not withdrawn.
pub async fn of_key(tx: &mut TenantTx, hash: &[u8; 32]) -> Result<Option<Staff>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "select staff_id, name, created_at, withdrawn_at from staff
         where tenant_id = $1 and hash = $2 and withdrawn_at is null",
        tx.id(),
        hash.as_slice()
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map(Staff::from))
}

/// Whom an identity provider's `iss` and `sub` name, under the name that it gives them now; added where they come for the
/// first time, which the second value says. Those who were withdrawn stay so.
pub async fn signed_in(
    tx: &mut TenantTx,
    (issuer, subject): (&str, &str),
    member: &Staff,
) -> Result<(Staff, bool), StoreError> {
    let row = query!(
        r#"insert into staff (tenant_id, staff_id, name, issuer, subject, created_at) values ($1, $2, $3, $4, $5, $6)
         on conflict (tenant_id, issuer, subject) do update set name = excluded.name
         returning staff_id, name, created_at, withdrawn_at as "withdrawn_at: jiff_sqlx::Timestamp""#,
        tx.id(),
        member.id.uuid(),
        member.name,
        issuer,
        subject,
        at(member.created_at)
    )
    .fetch_one(tx.db())
    .await?;
    let known = Staff {
        id: StaffId::from_uuid(row.staff_id),
        name: row.name,
        created_at: row.created_at.to_jiff(),
        withdrawn_at: read(row.withdrawn_at),
    };
    let new = known.id == member.id;
    Ok((known, new))
}

/// Everybody, those who left included, in the order in which they came.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<Staff>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "select staff_id, name, created_at, withdrawn_at from staff where tenant_id = $1 order by staff_id",
        tx.id()
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(Staff::from).collect())
}

/// Withdraws somebody: their key and their sessions are over at once. Repeating it changes nothing.
pub async fn withdraw(tx: &mut TenantTx, id: StaffId, now: Timestamp) -> Result<(), StoreError> {
    let done = query!(
        "update staff set withdrawn_at = coalesce(withdrawn_at, $3) where tenant_id = $1 and staff_id = $2",
        tx.id(),
        id.uuid(),
        at(now)
    )
    .execute(tx.db())
    .await?;
    if done.rows_affected() == 0 { Err(StoreError::NotFound("member of staff")) } else { Ok(()) }
}
