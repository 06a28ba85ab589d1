//! Sessions of the pages: what a link was swapped for. Only the SHA-256 of the cookie is stored.

use domain::ids::{ConsentId, LoginId};
use jiff::Timestamp;
use sqlx::query;
use uuid::Uuid;

use crate::time::at;
use crate::{StoreError, TenantTx};

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageSession {
    /// Its id, which is not its secret.
    pub id: Uuid,
    /// What it is about.
    pub consent: ConsentId,
    /// The login that it began last.
    pub login: Option<LoginId>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Adds a session. `token_hash` is SHA-256 of a cookie with at least 256 random bits.
pub async fn insert(tx: &mut TenantTx, session: &PageSession, token_hash: &[u8; 32]) -> Result<(), StoreError> {
    query!(
        "insert into page_session (tenant_id, session_id, consent_id, login_id, token_hash, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        tx.id(),
        session.id,
        session.consent.uuid(),
        session.login.map(LoginId::uuid),
        token_hash.as_slice(),
        at(session.created_at),
        at(session.expires_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// The session of a cookie, unless its time is over.
pub async fn find(tx: &mut TenantTx, token_hash: &[u8; 32], now: Timestamp) -> Result<Option<PageSession>, StoreError> {
    let row = query!(
        "select session_id, consent_id, login_id, created_at, expires_at from page_session
         where tenant_id = $1 and token_hash = $2 and expires_at > $3",
        tx.id(),
        token_hash.as_slice(),
        at(now)
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map(|row| PageSession {
        id: row.session_id,
        consent: ConsentId::from_uuid(row.consent_id),
        login: row.login_id.map(LoginId::from_uuid),
        created_at: row.created_at.to_jiff(),
        expires_at: row.expires_at.to_jiff(),
    }))
}

/// Notes the login that a session began.
pub async fn begin_login(tx: &mut TenantTx, id: Uuid, login: LoginId) -> Result<(), StoreError> {
    let done = query!(
        "update page_session set login_id = $3 where tenant_id = $1 and session_id = $2",
        tx.id(),
        id,
        login.uuid()
    )
    .execute(tx.db())
    .await?;
    if done.rows_affected() == 0 { Err(StoreError::NotFound("page session")) } else { Ok(()) }
}

/// Ends a session.
pub async fn end(tx: &mut TenantTx, id: Uuid) -> Result<(), StoreError> {
    query!("delete from page_session where tenant_id = $1 and session_id = $2", tx.id(), id).execute(tx.db()).await?;
    Ok(())
}

/// Removes sessions and links whose time is over; gives how many.
pub async fn sweep(tx: &mut TenantTx, now: Timestamp) -> Result<u64, StoreError> {
    let sessions = query!("delete from page_session where tenant_id = $1 and expires_at <= $2", tx.id(), at(now))
        .execute(tx.db())
        .await?;
    let links =
        query!("delete from link where tenant_id = $1 and expires_at <= $2", tx.id(), at(now)).execute(tx.db()).await?;
    Ok(sessions.rows_affected() + links.rows_affected())
}
