//! Revocation capsules: what the revoker needs to end a grant at the bank, under a key that nobody else uses.

use domain::ids::{ConsentId, DeletionId, GrantId, RegistrationId};
use jiff::Timestamp;
use sqlx::query;
use uuid::Uuid;
use vault::Wrapped;

use crate::time::at;
use crate::{StoreError, TenantTx};

/// A capsule that is not destroyed.
#[derive(Clone, PartialEq, Eq)]
pub struct Capsule {
    /// Its id.
    pub id: Uuid,
    /// The deletion that it belongs to; none for the sweep of an abandoned login.
    pub deletion: Option<DeletionId>,
    /// The consent that ended.
    pub consent: ConsentId,
    /// The grant to end.
    pub grant: GrantId,
    /// Who we are at the bank.
    pub registration: RegistrationId,
    /// Its wrapped key.
    pub key: Wrapped,
    /// Bank consent id and tokens, sealed ([`Place::capsule`](crate::sealed::Place::capsule)), or as [`Capsule::of_grant`] says.
    pub sealed: Vec<u8>,
    /// Whether the parts moved here as they were sealed for the grant, with the grant's key: then nothing had to be opened.
    pub of_grant: bool,
    /// When it was filled.
    pub created_at: Timestamp,
    /// When it is destroyed even without the bank's answer.
    pub expires_at: Timestamp,
}

/// Adds a capsule.
pub async fn insert(tx: &mut TenantTx, capsule: &Capsule) -> Result<(), StoreError> {
    query!(
        "insert into revocation_capsule (tenant_id, capsule_id, deletion_id, consent_id, grant_id, registration_id,
            key_epoch, wrapped_key, sealed, of_grant, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        tx.id(),
        capsule.id,
        capsule.deletion.map(DeletionId::uuid),
        capsule.consent.uuid(),
        capsule.grant.uuid(),
        capsule.registration.as_str(),
        capsule.key.epoch,
        capsule.key.bytes,
        capsule.sealed,
        capsule.of_grant,
        at(capsule.created_at),
        at(capsule.expires_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// A capsule; `None` once it was destroyed.
pub async fn get(tx: &mut TenantTx, id: Uuid) -> Result<Option<Capsule>, StoreError> {
    let row = query!(
        r#"select deletion_id, consent_id, grant_id, registration_id, key_epoch as "key_epoch!",
            wrapped_key as "wrapped_key!", sealed as "sealed!", of_grant, created_at, expires_at
         from revocation_capsule where tenant_id = $1 and capsule_id = $2 and destroyed_at is null"#,
        tx.id(),
        id
    )
    .fetch_optional(tx.db())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let registration = RegistrationId::new(&row.registration_id)
        .ok_or(StoreError::Corrupt { table: "revocation_capsule", column: "registration_id" })?;
    Ok(Some(Capsule {
        id,
        deletion: row.deletion_id.map(DeletionId::from_uuid),
        consent: ConsentId::from_uuid(row.consent_id),
        grant: GrantId::from_uuid(row.grant_id),
        registration,
        key: Wrapped { epoch: row.key_epoch, bytes: row.wrapped_key },
        sealed: row.sealed,
        of_grant: row.of_grant,
        created_at: row.created_at.to_jiff(),
        expires_at: row.expires_at.to_jiff(),
    }))
}

/// Capsules that are not destroyed, the first to expire first.
pub async fn open(tx: &mut TenantTx, limit: i64) -> Result<Vec<(Uuid, Timestamp)>, StoreError> {
    let rows = query!(
        "select capsule_id, expires_at from revocation_capsule
         where tenant_id = $1 and destroyed_at is null order by expires_at limit $2",
        tx.id(),
        limit
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| (row.capsule_id, row.expires_at.to_jiff())).collect())
}

/// Destroys a capsule's key and content. Gives the epoch that its key was wrapped under; `None` if it was destroyed
/// before.
pub async fn destroy(tx: &mut TenantTx, id: Uuid, now: Timestamp) -> Result<Option<i64>, StoreError> {
    let row = query!(
        r#"update revocation_capsule c set destroyed_at = $3, wrapped_key = null, sealed = null, key_epoch = null
         from (select key_epoch from revocation_capsule
            where tenant_id = $1 and capsule_id = $2 and destroyed_at is null for update) old
         where c.tenant_id = $1 and c.capsule_id = $2
         returning old.key_epoch as "key_epoch!""#,
        tx.id(),
        id,
        at(now)
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map(|row| row.key_epoch))
}
