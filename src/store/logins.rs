//! Logins: one attempt of a user to authorise a consent at a bank.

use domain::ids::{ConsentId, GrantId, LoginId, RegistrationId};
use jiff::Timestamp;
use sqlx::query;

use crate::time::{at, read};
use crate::{StoreError, TenantTx};

/// A login as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Its id.
    pub id: LoginId,
    /// The consent it is to authorise.
    pub consent: ConsentId,
    /// The grant it is to complete; its key seals the pending login.
    pub grant: GrantId,
    /// Who we are at the bank.
    pub registration: RegistrationId,
    /// Tag of the `state` parameter.
    pub state_tag: [u8; 32],
    /// SHA-256 of the browser's binding cookie.
    pub browser_hash: [u8; 32],
    /// What the callback must match, sealed ([`Place::login`](crate::sealed::Place::login)).
    pub sealed_pending: Vec<u8>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it gives up.
    pub expires_at: Timestamp,
    /// How it ended, and when; `None` while it is open.
    pub finished: Option<(String, Timestamp)>,
}

/// Adds an open login.
pub async fn insert(tx: &mut TenantTx, login: &Login) -> Result<(), StoreError> {
    query!(
        "insert into login (tenant_id, login_id, consent_id, grant_id, registration_id, state_tag, browser_hash,
            sealed_pending, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        tx.id(),
        login.id.uuid(),
        login.consent.uuid(),
        login.grant.uuid(),
        login.registration.as_str(),
        login.state_tag.as_slice(),
        login.browser_hash.as_slice(),
        login.sealed_pending,
        at(login.created_at),
        at(login.expires_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// The login with this tag of `state`.
pub async fn find(tx: &mut TenantTx, state_tag: &[u8; 32]) -> Result<Option<Login>, StoreError> {
    let row = query!(
        "select login_id, consent_id, grant_id, registration_id, browser_hash, sealed_pending, created_at, expires_at,
            outcome, finished_at
         from login where tenant_id = $1 and state_tag = $2",
        tx.id(),
        state_tag.as_slice()
    )
    .fetch_optional(tx.db())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let corrupt = |column| StoreError::Corrupt { table: "login", column };
    Ok(Some(Login {
        id: LoginId::from_uuid(row.login_id),
        consent: ConsentId::from_uuid(row.consent_id),
        grant: GrantId::from_uuid(row.grant_id),
        registration: RegistrationId::new(&row.registration_id).ok_or(corrupt("registration_id"))?,
        state_tag: *state_tag,
        browser_hash: row.browser_hash.try_into().map_err(|_| corrupt("browser_hash"))?,
        sealed_pending: row.sealed_pending,
        created_at: row.created_at.to_jiff(),
        expires_at: row.expires_at.to_jiff(),
        finished: row.outcome.zip(read(row.finished_at)),
    }))
}

/// Ends an open login with its outcome, once: for the second caller it is [`StoreError::Raced`]. The pending login is
/// taken out of the row, so that nothing can redeem with it again.
pub async fn finish(tx: &mut TenantTx, id: LoginId, outcome: &str, now: Timestamp) -> Result<(), StoreError> {
    let done = query!(
        "update login set outcome = $3, finished_at = $4, sealed_pending = ''
         where tenant_id = $1 and login_id = $2 and outcome is null",
        tx.id(),
        id.uuid(),
        outcome,
        at(now)
    )
    .execute(tx.db())
    .await?;
    if done.rows_affected() == 0 { Err(StoreError::Raced) } else { Ok(()) }
}

/// Open logins whose time is over.
pub async fn overdue(tx: &mut TenantTx, now: Timestamp, limit: u32) -> Result<Vec<(LoginId, ConsentId)>, StoreError> {
    let rows = query!(
        "select login_id, consent_id from login
         where tenant_id = $1 and outcome is null and expires_at <= $2 order by expires_at limit $3",
        tx.id(),
        at(now),
        i64::from(limit)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| (LoginId::from_uuid(row.login_id), ConsentId::from_uuid(row.consent_id))).collect())
}
