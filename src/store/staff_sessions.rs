//! Sessions at the console. Only the SHA-256 of the cookie is stored.

use domain::ids::StaffId;
use domain::staff::Role;
use jiff::Timestamp;
use sqlx::query;
use uuid::Uuid;

use crate::staff::Staff;
use crate::time::at;
use crate::{StoreError, TenantTx};

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaffSession {
    /// Its id, which is not its secret.
    pub id: Uuid,
    /// Whose.
    pub staff: StaffId,
    /// What they may be, as the identity provider said when it began.
    pub roles: Vec<Role>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Adds a session. `token_hash` is SHA-256 of a cookie with at least 256 random bits.
pub async fn insert(tx: &mut TenantTx, session: &StaffSession, token_hash: &[u8; 32]) -> Result<(), StoreError> {
    let roles: Vec<String> = session.roles.iter().map(|role| role.word().to_owned()).collect();
    query!(
        "insert into staff_session (tenant_id, session_id, staff_id, token_hash, roles, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        tx.id(),
        session.id,
        session.staff.uuid(),
        token_hash.as_slice(),
        &roles,
        at(session.created_at),
        at(session.expires_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// The session of a cookie and whose it is, unless its time is over or they were withdrawn.
pub async fn find(
    tx: &mut TenantTx,
    token_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<(StaffSession, Staff)>, StoreError> {
    let row = query!(
        "select s.session_id, s.staff_id, s.roles, s.created_at, s.expires_at, m.name, m.created_at as since
         from staff_session s join staff m on m.tenant_id = s.tenant_id and m.staff_id = s.staff_id
         where s.tenant_id = $1 and s.token_hash = $2 and s.expires_at > $3 and m.withdrawn_at is null",
        tx.id(),
        token_hash.as_slice(),
        at(now)
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map(|row| {
        let staff = StaffId::from_uuid(row.staff_id);
        let session = StaffSession {
            id: row.session_id,
            staff,
            // A word that this version does not know gives nothing.
            roles: row.roles.iter().filter_map(|word| Role::parse(word)).collect(),
            created_at: row.created_at.to_jiff(),
            expires_at: row.expires_at.to_jiff(),
        };
        (session, Staff { id: staff, name: row.name, created_at: row.since.to_jiff(), withdrawn_at: None })
    }))
}

/// Ends a session.
pub async fn end(tx: &mut TenantTx, id: Uuid) -> Result<(), StoreError> {
    query!("delete from staff_session where tenant_id = $1 and session_id = $2", tx.id(), id).execute(tx.db()).await?;
    Ok(())
}

/// Removes sessions whose time is over; gives how many.
pub async fn sweep(tx: &mut TenantTx, now: Timestamp) -> Result<u64, StoreError> {
    let gone = query!("delete from staff_session where tenant_id = $1 and expires_at <= $2", tx.id(), at(now))
        .execute(tx.db())
        .await?;
    Ok(gone.rows_affected())
}
