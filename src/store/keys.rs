//! Wrapped data keys, wherever they stand: the tenant's own, and all of them for the change of epochs.

use jiff::Timestamp;
use sqlx::query;
use uuid::Uuid;
use vault::Wrapped;

use crate::time::{at, read};
use crate::{StoreError, TenantTx};

/// The tenant's key of a purpose (`lookup`, `idempotency`).
pub async fn of_purpose(tx: &mut TenantTx, purpose: &str) -> Result<Option<Wrapped>, StoreError> {
    let row =
        query!("select key_epoch, wrapped_key from secret_key where tenant_id = $1 and purpose = $2", tx.id(), purpose)
            .fetch_optional(tx.db())
            .await?;
    Ok(row.map(|row| Wrapped { epoch: row.key_epoch, bytes: row.wrapped_key }))
}

/// Keeps a fresh key of a purpose unless there is one, and gives the one that there is now.
pub async fn keep_purpose(
    tx: &mut TenantTx,
    purpose: &str,
    fresh: &Wrapped,
    now: Timestamp,
) -> Result<Wrapped, StoreError> {
    query!(
        "insert into secret_key (tenant_id, purpose, key_epoch, wrapped_key, created_at) values ($1, $2, $3, $4, $5)
         on conflict do nothing",
        tx.id(),
        purpose,
        fresh.epoch,
        fresh.bytes,
        at(now)
    )
    .execute(tx.db())
    .await?;
    of_purpose(tx, purpose).await?.ok_or(StoreError::NotFound("key"))
}

/// The evidence key of a subject.
pub async fn of_evidence(tx: &mut TenantTx, subject: Uuid) -> Result<Option<Wrapped>, StoreError> {
    let row = query!(
        "select key_epoch, wrapped_key from evidence_key where tenant_id = $1 and subject = $2",
        tx.id(),
        subject
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map(|row| Wrapped { epoch: row.key_epoch, bytes: row.wrapped_key }))
}

/// Keeps a fresh evidence key of a subject unless there is one, and gives the one that there is now.
pub async fn keep_evidence(
    tx: &mut TenantTx,
    subject: Uuid,
    fresh: &Wrapped,
    now: Timestamp,
) -> Result<Wrapped, StoreError> {
    query!(
        "insert into evidence_key (tenant_id, subject, key_epoch, wrapped_key, created_at) values ($1, $2, $3, $4, $5)
         on conflict do nothing",
        tx.id(),
        subject,
        fresh.epoch,
        fresh.bytes,
        at(now)
    )
    .execute(tx.db())
    .await?;
    of_evidence(tx, subject).await?.ok_or(StoreError::NotFound("key"))
}

/// Tables that hold wrapped data keys. A test compares this with the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holder {
    /// `line`.
    Line,
    /// `bank_grant`.
    Grant,
    /// `revocation_capsule`.
    Capsule,
    /// `evidence_key`.
    Evidence,
    /// `secret_key`.
    Secret,
}

impl Holder {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Line, Self::Grant, Self::Capsule, Self::Evidence, Self::Secret];

    /// The name of the table.
    pub const fn table(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Grant => "bank_grant",
            Self::Capsule => "revocation_capsule",
            Self::Evidence => "evidence_key",
            Self::Secret => "secret_key",
        }
    }
}

/// A wrapped key and where it stands.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// In which table.
    pub holder: Holder,
    /// The key.
    pub wrapped: Wrapped,
    row: String,
}

/// Keys that are wrapped under an epoch before `epoch`, at most `limit`: to be wrapped anew before that epoch's key is
/// destroyed.
pub async fn older_than(tx: &mut TenantTx, epoch: i64, limit: i64) -> Result<Vec<Kept>, StoreError> {
    let rows = query!(
        r#"select holder as "holder!", id as "id!", key_epoch as "key_epoch!", wrapped_key as "wrapped_key!" from (
            select 'line' as holder, line_id::text as id, key_epoch, wrapped_key from line
                where tenant_id = $1 and key_epoch < $2
            union all select 'bank_grant', grant_id::text, key_epoch, wrapped_key from bank_grant
                where tenant_id = $1 and key_epoch < $2
            union all select 'revocation_capsule', capsule_id::text, key_epoch, wrapped_key from revocation_capsule
                where tenant_id = $1 and key_epoch < $2
            union all select 'evidence_key', subject::text, key_epoch, wrapped_key from evidence_key
                where tenant_id = $1 and key_epoch < $2
            union all select 'secret_key', purpose, key_epoch, wrapped_key from secret_key
                where tenant_id = $1 and key_epoch < $2
         ) kept limit $3"#,
        tx.id(),
        epoch,
        limit
    )
    .fetch_all(tx.db())
    .await?;
    rows.into_iter()
        .map(|row| {
            let holder = Holder::ALL.into_iter().find(|holder| holder.table() == row.holder);
            Ok(Kept {
                holder: holder.ok_or(StoreError::Corrupt { table: "key", column: "holder" })?,
                wrapped: Wrapped { epoch: row.key_epoch, bytes: row.wrapped_key },
                row: row.id,
            })
        })
        .collect()
}

/// Puts a key back that was wrapped anew, if it still stands as it was read: one that was erased meanwhile stays gone.
/// Gives whether it did.
pub async fn replace(tx: &mut TenantTx, kept: &Kept, fresh: &Wrapped) -> Result<bool, StoreError> {
    let (tenant, row) = (tx.id(), kept.row.as_str());
    let (epoch, bytes, old) = (fresh.epoch, fresh.bytes.as_slice(), kept.wrapped.bytes.as_slice());
    let statement = match kept.holder {
        Holder::Line => query!(
            "update line set key_epoch = $3, wrapped_key = $4
             where tenant_id = $1 and line_id = $2::text::uuid and wrapped_key = $5",
            tenant,
            row,
            epoch,
            bytes,
            old
        ),
        Holder::Grant => query!(
            "update bank_grant set key_epoch = $3, wrapped_key = $4
             where tenant_id = $1 and grant_id = $2::text::uuid and wrapped_key = $5",
            tenant,
            row,
            epoch,
            bytes,
            old
        ),
        Holder::Capsule => query!(
            "update revocation_capsule set key_epoch = $3, wrapped_key = $4
             where tenant_id = $1 and capsule_id = $2::text::uuid and wrapped_key = $5",
            tenant,
            row,
            epoch,
            bytes,
            old
        ),
        Holder::Evidence => query!(
            "update evidence_key set key_epoch = $3, wrapped_key = $4
             where tenant_id = $1 and subject = $2::text::uuid and wrapped_key = $5",
            tenant,
            row,
            epoch,
            bytes,
            old
        ),
        Holder::Secret => query!(
            "update secret_key set key_epoch = $3, wrapped_key = $4
             where tenant_id = $1 and purpose = $2 and wrapped_key = $5",
            tenant,
            row,
            epoch,
            bytes,
            old
        ),
    };
    Ok(statement.execute(tx.db()).await?.rows_affected() == 1)
}

/// Puts on record that an epoch key exists, or was destroyed. The first moment of each stands.
pub async fn record_epoch(
    tx: &mut TenantTx,
    epoch: i64,
    now: Timestamp,
    destroyed_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    query!(
        "insert into epoch (tenant_id, epoch, created_at, destroyed_at) values ($1, $2, $3, $4)
         on conflict (tenant_id, epoch) do update
            set destroyed_at = coalesce(epoch.destroyed_at, excluded.destroyed_at)",
        tx.id(),
        epoch,
        at(now),
        crate::time::maybe_at(destroyed_at) as _
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Epochs on record with the moment of their destruction, in order.
pub async fn epochs(tx: &mut TenantTx) -> Result<Vec<(i64, Option<Timestamp>)>, StoreError> {
    let rows = query!("select epoch, destroyed_at from epoch where tenant_id = $1 order by epoch", tx.id())
        .fetch_all(tx.db())
        .await?;
    Ok(rows.into_iter().map(|row| (row.epoch, read(row.destroyed_at))).collect())
}
