//! The evidence log: entries written in business transactions, placed in the tree afterwards by one sequencer per tenant.
//!
//! This file stores what the crate `evidence` computes. Hashes are 32 bytes; nodes are complete subtrees (RFC 9162 §2.1).

use domain::ids::{ConsentId, EntryId, TenantId};
use domain::world::Entropy;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::query;
use uuid::Uuid;
use vault::{DataKey, Wrapped};

use crate::sealed::{Place, encode};
use crate::time::at;
use crate::{StoreError, SystemTx, TenantTx, keys};

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// What an entry says, and what makes its commitment unguessable.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The statement in canonical form.
    pub statement: String,
    /// The salt of its commitment.
    pub salt: Hash,
    /// The statement's signature lines, for kinds that are signed; else empty.
    pub signature: String,
}

/// An entry that is about to be written.
#[derive(Clone)]
pub struct NewEntry<'a> {
    /// Its id.
    pub id: EntryId,
    /// What it is about: a consent, or the tenant itself. Its evidence key seals the payload.
    pub subject: Uuid,
    /// The statement's kind.
    pub kind: &'a str,
    /// When it happened.
    pub recorded_at: Timestamp,
    /// The salted commitment to the statement.
    pub commitment: Hash,
    /// The statement.
    pub payload: &'a Payload,
}

/// Writes an entry. It has no place in the tree yet, so that no transaction waits for another.
pub async fn append(
    tx: &mut TenantTx,
    entry: NewEntry<'_>,
    key: &DataKey,
    entropy: &dyn Entropy,
) -> Result<(), StoreError> {
    let sealed = Place::evidence(tx.tenant(), entry.subject, entry.id).seal(key, &encode(entry.payload), entropy);
    insert(tx, entry, Some(&sealed), None).await
}

/// Writes an entry whose subject's key cannot be had. What it says waits, unsealed, for [`seal`].
pub async fn append_pending(tx: &mut TenantTx, entry: NewEntry<'_>) -> Result<(), StoreError> {
    let payload = encode(entry.payload);
    let corrupt = StoreError::Corrupt { table: "evidence_entry", column: "pending" };
    let pending = std::str::from_utf8(&payload).map_err(|_| corrupt)?;
    insert(tx, entry, None, Some(pending)).await
}

async fn insert(
    tx: &mut TenantTx,
    entry: NewEntry<'_>,
    sealed: Option<&[u8]>,
    pending: Option<&str>,
) -> Result<(), StoreError> {
    query!(
        "insert into evidence_entry (tenant_id, entry_id, subject, kind, recorded_at, commitment, sealed, pending)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        tx.id(),
        entry.id.uuid(),
        entry.subject,
        entry.kind,
        at(entry.recorded_at),
        entry.commitment.as_slice(),
        sealed,
        pending
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Seals what an entry says that could not be sealed when it was written.
pub async fn seal(tx: &mut TenantTx, entry: &Waiting, key: &DataKey, entropy: &dyn Entropy) -> Result<(), StoreError> {
    let Some(pending) = &entry.pending else { return Ok(()) };
    let sealed = Place::evidence(tx.tenant(), entry.subject, entry.id).seal(key, pending.as_bytes(), entropy);
    query!(
        "update evidence_entry set sealed = $3, pending = null
         where tenant_id = $1 and entry_id = $2 and pending is not null",
        tx.id(),
        entry.id.uuid(),
        sealed
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Tenants with entries that have no place yet.
pub async fn waiting(tx: &mut SystemTx) -> Result<Vec<TenantId>, StoreError> {
    let rows =
        query!("select distinct tenant_id from evidence_entry where leaf_index is null").fetch_all(tx.db()).await?;
    Ok(rows.into_iter().map(|row| TenantId::from_uuid(row.tenant_id)).collect())
}

/// An entry that waits for its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its id.
    pub id: EntryId,
    /// Its subject.
    pub subject: Uuid,
    /// Its commitment.
    pub commitment: Hash,
    /// What it says, where it could not be sealed: [`seal`] it before it gets its place.
    pub pending: Option<String>,
}

/// Consents whose record has had its time: gone, data and all, since before that moment, which a receipt says, and still with a
/// key.
pub async fn outlived(tx: &mut TenantTx, before: Timestamp, limit: u32) -> Result<Vec<ConsentId>, StoreError> {
    let rows = query!(
        "select c.consent_id from evidence_key k join consent c on c.tenant_id = k.tenant_id and c.consent_id = k.subject
         where k.tenant_id = $1 and k.created_at <= $2 and c.ended_at <= $2 and c.data_state = 'erased'
           and not exists (select from deletion d where d.tenant_id = c.tenant_id and d.consent_id = c.consent_id
             and (d.receipted_at is null or d.receipted_at > $2))
         order by k.created_at limit $3",
        tx.id(),
        at(before),
        i64::from(limit)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| ConsentId::from_uuid(row.consent_id)).collect())
}

/// Makes this transaction the tenant's only sequencer until it ends, and gives the number of leaves so far.
pub async fn lock(tx: &mut TenantTx) -> Result<i64, StoreError> {
    query!("select pg_advisory_xact_lock(hashtextextended('evidence ' || $1::text, 0))", tx.tenant().to_string())
        .execute(tx.db())
        .await?;
    // A statement of its own: its snapshot is younger than the lock.
    let row = query!(
        r#"select coalesce(max(leaf_index) + 1, 0) as "size!" from evidence_entry where tenant_id = $1"#,
        tx.id()
    )
    .fetch_one(tx.db())
    .await?;
    Ok(row.size)
}

/// Entries without a place, in the order of their arrival.
pub async fn unplaced(tx: &mut TenantTx, limit: i64) -> Result<Vec<Waiting>, StoreError> {
    let rows = query!(
        "select entry_id, subject, commitment, pending from evidence_entry
         where tenant_id = $1 and leaf_index is null order by arrival limit $2",
        tx.id(),
        limit
    )
    .fetch_all(tx.db())
    .await?;
    rows.into_iter()
        .map(|row| {
            let commitment = hash(row.commitment, "evidence_entry", "commitment")?;
            let id = EntryId::from_uuid(row.entry_id);
            Ok(Waiting { id, subject: row.subject, commitment, pending: row.pending })
        })
        .collect()
}

/// The last leaf of each of these subjects that has one.
pub async fn heads(tx: &mut TenantTx, subjects: &[Uuid]) -> Result<Vec<(Uuid, Hash)>, StoreError> {
    let rows = query!(
        r#"select s.subject as "subject!", e.leaf as "leaf!" from unnest($2::uuid[]) as s(subject)
         cross join lateral (
            select leaf from evidence_entry
            where tenant_id = $1 and subject = s.subject and leaf_index is not null
            order by leaf_index desc limit 1) e"#,
        tx.id(),
        subjects
    )
    .fetch_all(tx.db())
    .await?;
    rows.into_iter().map(|row| Ok((row.subject, hash(row.leaf, "evidence_entry", "leaf")?))).collect()
}

/// The place of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The entry.
    pub id: EntryId,
    /// Its leaf index.
    pub index: i64,
    /// The subject's leaf before it.
    pub previous: Hash,
    /// Its leaf.
    pub leaf: Hash,
}

/// A complete subtree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Height; 0 is a leaf.
    pub level: i16,
    /// Position among the subtrees of its height.
    pub index: i64,
    /// Its hash.
    pub hash: Hash,
}

/// Writes places and the nodes that became complete by them. [`StoreError::Exists`] if a place is taken.
pub async fn place(tx: &mut TenantTx, placed: &[Placed], nodes: &[Node]) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = placed.iter().map(|entry| entry.id.uuid()).collect();
    let indexes: Vec<i64> = placed.iter().map(|entry| entry.index).collect();
    let previous: Vec<&[u8]> = placed.iter().map(|entry| entry.previous.as_slice()).collect();
    let leaves: Vec<&[u8]> = placed.iter().map(|entry| entry.leaf.as_slice()).collect();
    let done = query!(
        "update evidence_entry e set leaf_index = p.leaf_index, previous = p.previous, leaf = p.leaf
         from unnest($2::uuid[], $3::bigint[], $4::bytea[], $5::bytea[]) as p(id, leaf_index, previous, leaf)
         where e.tenant_id = $1 and e.entry_id = p.id and e.leaf_index is null",
        tx.id(),
        &ids,
        &indexes,
        previous as _,
        leaves as _
    )
    .execute(tx.db())
    .await?;
    if done.rows_affected() != placed.len() as u64 {
        return Err(StoreError::Raced);
    }
    put_nodes(tx, nodes).await
}

async fn put_nodes(tx: &mut TenantTx, nodes: &[Node]) -> Result<(), StoreError> {
    let levels: Vec<i16> = nodes.iter().map(|node| node.level).collect();
    let positions: Vec<i64> = nodes.iter().map(|node| node.index).collect();
    let hashes: Vec<&[u8]> = nodes.iter().map(|node| node.hash.as_slice()).collect();
    query!(
        "insert into evidence_node (tenant_id, level, node_index, hash)
         select $1, n.level, n.node_index, n.hash
         from unnest($2::smallint[], $3::bigint[], $4::bytea[]) as n(level, node_index, hash)",
        tx.id(),
        &levels,
        &positions,
        hashes as _
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// The stored nodes among those asked for (level, index), in no order.
pub async fn nodes(tx: &mut TenantTx, wanted: &[(i16, i64)]) -> Result<Vec<Node>, StoreError> {
    let (levels, positions): (Vec<i16>, Vec<i64>) = wanted.iter().copied().unzip();
    let rows = query!(
        "select n.level, n.node_index, n.hash from evidence_node n
         join unnest($2::smallint[], $3::bigint[]) as w(level, node_index)
            on w.level = n.level and w.node_index = n.node_index
         where n.tenant_id = $1",
        tx.id(),
        &levels,
        &positions
    )
    .fetch_all(tx.db())
    .await?;
    rows.into_iter()
        .map(|row| {
            let hash = hash(row.hash, "evidence_node", "hash")?;
            Ok(Node { level: row.level, index: row.node_index, hash })
        })
        .collect()
}

/// An entry as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: EntryId,
    /// What it is about.
    pub subject: Uuid,
    /// The statement's kind.
    pub kind: String,
    /// When it happened.
    pub recorded_at: Timestamp,
    /// The salted commitment.
    pub commitment: Hash,
    /// Its leaf index.
    pub index: i64,
    /// The subject's leaf before it.
    pub previous: Hash,
    /// What it says, sealed; `None` once its retention has ended.
    pub sealed: Option<Vec<u8>>,
}

/// An entry as its copy outside the database has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Copied {
    /// The entry.
    pub entry: Entry,
    /// Its leaf.
    pub leaf: Hash,
    /// Its subject's evidence key as it was wrapped when the copy was made; `None` once the retention has ended.
    pub key: Option<Wrapped>,
}

impl Entry {
    /// Opens what it says; `None` once its retention has ended.
    pub fn payload(&self, tenant: TenantId, key: &DataKey) -> Result<Option<Payload>, StoreError> {
        let place = Place::evidence(tenant, self.subject, self.id);
        self.sealed.as_deref().map(|sealed| place.open_record(key, sealed)).transpose()
    }
}

/// The placed entries of a subject, in order, from a leaf index on.
pub async fn of_subject(tx: &mut TenantTx, subject: Uuid, from: i64, limit: i64) -> Result<Vec<Entry>, StoreError> {
    let rows = query!(
        r#"select entry_id, kind, recorded_at, commitment, leaf_index as "leaf_index!", previous as "previous!", sealed
         from evidence_entry where tenant_id = $1 and subject = $2 and leaf_index >= $3 order by leaf_index limit $4"#,
        tx.id(),
        subject,
        from,
        limit
    )
    .fetch_all(tx.db())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Entry {
                id: EntryId::from_uuid(row.entry_id),
                subject,
                kind: row.kind,
                recorded_at: row.recorded_at.to_jiff(),
                commitment: hash(row.commitment, "evidence_entry", "commitment")?,
                index: row.leaf_index,
                previous: hash(row.previous, "evidence_entry", "previous")?,
                sealed: row.sealed,
            })
        })
        .collect()
}

/// The placed entries of the log from a leaf index on, in order, for the copy outside the database.
pub async fn placed(tx: &mut TenantTx, from: i64, limit: i64) -> Result<Vec<Copied>, StoreError> {
    let rows = query!(
        r#"select e.entry_id, e.subject, e.kind, e.recorded_at, e.commitment, e.leaf_index as "leaf_index!",
            e.previous as "previous!", e.leaf as "leaf!", e.sealed, k.key_epoch as "key_epoch?", k.wrapped_key as "wrapped_key?"
         from evidence_entry e
         left join evidence_key k on k.tenant_id = e.tenant_id and k.subject = e.subject
         where e.tenant_id = $1 and e.leaf_index >= $2 order by e.leaf_index limit $3"#,
        tx.id(),
        from,
        limit
    )
    .fetch_all(tx.db())
    .await?;
    rows.into_iter()
        .map(|row| {
            let entry = Entry {
                id: EntryId::from_uuid(row.entry_id),
                subject: row.subject,
                kind: row.kind,
                recorded_at: row.recorded_at.to_jiff(),
                commitment: hash(row.commitment, "evidence_entry", "commitment")?,
                index: row.leaf_index,
                previous: hash(row.previous, "evidence_entry", "previous")?,
                sealed: row.sealed,
            };
            let key = row.key_epoch.zip(row.wrapped_key).map(|(epoch, bytes)| Wrapped { epoch, bytes });
            Ok(Copied { entry, leaf: hash(row.leaf, "evidence_entry", "leaf")?, key })
        })
        .collect()
}

/// Takes entries back that the log had and this database, restored from a backup, has not: written anew, or put in their
/// places where they had been written and not placed. [`StoreError::Raced`] if a place is another's.
pub async fn adopt(tx: &mut TenantTx, entries: &[Copied], nodes: &[Node]) -> Result<(), StoreError> {
    for Copied { entry, leaf, key } in entries {
        let done = query!(
            "insert into evidence_entry (tenant_id, entry_id, subject, kind, recorded_at, commitment, sealed, leaf_index,
                previous, leaf)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             on conflict (tenant_id, entry_id) do update
                set leaf_index = excluded.leaf_index, previous = excluded.previous, leaf = excluded.leaf
             where evidence_entry.leaf_index is null and evidence_entry.commitment = excluded.commitment",
            tx.id(),
            entry.id.uuid(),
            entry.subject,
            entry.kind,
            at(entry.recorded_at),
            entry.commitment.as_slice(),
            entry.sealed,
            entry.index,
            entry.previous.as_slice(),
            leaf.as_slice()
        )
        .execute(tx.db())
        .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::Raced);
        }
        if let Some(key) = key {
            keys::keep_evidence(tx, entry.subject, key, entry.recorded_at).await?;
        }
    }
    put_nodes(tx, nodes).await
}

/// Ends the retention of a subject's entries: payloads, salts and their key go, commitments and proofs stay. Gives how
/// many entries lost their payload. Entries that are not placed yet keep theirs, and so does their subject.
pub async fn expire(tx: &mut TenantTx, subject: Uuid) -> Result<u64, StoreError> {
    let waiting = query!(
        "select 1 as one from evidence_entry where tenant_id = $1 and subject = $2 and leaf_index is null limit 1",
        tx.id(),
        subject
    )
    .fetch_optional(tx.db())
    .await?;
    if waiting.is_some() {
        return Err(StoreError::NotAllowed);
    }
    let done = query!(
        "update evidence_entry set sealed = null where tenant_id = $1 and subject = $2 and sealed is not null",
        tx.id(),
        subject
    )
    .execute(tx.db())
    .await?;
    query!("delete from evidence_key where tenant_id = $1 and subject = $2", tx.id(), subject).execute(tx.db()).await?;
    Ok(done.rows_affected())
}

/// A signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of leaves.
    pub size: i64,
    /// Root over them.
    pub root: Hash,
    /// The signed note.
    pub note: String,
    /// When it was signed.
    pub signed_at: Timestamp,
}

/// Keeps a checkpoint; one of that size that is kept already stays as it is.
pub async fn put_checkpoint(tx: &mut TenantTx, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    query!(
        "insert into checkpoint (tenant_id, size, root, note, signed_at) values ($1, $2, $3, $4, $5)
         on conflict do nothing",
        tx.id(),
        checkpoint.size,
        checkpoint.root.as_slice(),
        checkpoint.note,
        at(checkpoint.signed_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// The newest checkpoint of at most `size` leaves; of any size without one.
pub async fn checkpoint(tx: &mut TenantTx, size: Option<i64>) -> Result<Option<Checkpoint>, StoreError> {
    let row = query!(
        "select size, root, note, signed_at from checkpoint where tenant_id = $1 and size <= $2
         order by size desc limit 1",
        tx.id(),
        size.unwrap_or(i64::MAX)
    )
    .fetch_optional(tx.db())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let root = hash(row.root, "checkpoint", "root")?;
    Ok(Some(Checkpoint { size: row.size, root, note: row.note, signed_at: row.signed_at.to_jiff() }))
}

pub(crate) fn hash(bytes: Vec<u8>, table: &'static str, column: &'static str) -> Result<Hash, StoreError> {
    bytes.try_into().map_err(|_| StoreError::Corrupt { table, column })
}
