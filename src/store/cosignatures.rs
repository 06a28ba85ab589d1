//! What witnesses signed under checkpoints, and checkpoints as they are handed out.

use jiff::Timestamp;
use sqlx::query;

use crate::time::at;
use crate::{StoreError, TenantTx};

/// A witness's signature under a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// Number of leaves of the checkpoint.
    pub size: i64,
    /// The name of the witness's key.
    pub witness: String,
    /// The signature line, newline included.
    pub line: String,
    /// When the witness saw it, by the witness's clock.
    pub seen_at: Timestamp,
}

/// Keeps a signature; one of that witness that is kept already stays as it is.
pub async fn put(tx: &mut TenantTx, cosignature: &Cosignature) -> Result<(), StoreError> {
    query!(
        "insert into cosignature (tenant_id, size, witness, line, seen_at) values ($1, $2, $3, $4, $5)
         on conflict do nothing",
        tx.id(),
        cosignature.size,
        cosignature.witness,
        cosignature.line,
        at(cosignature.seen_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// The size of the last checkpoint that a witness signed; 0 before the first.
pub async fn last(tx: &mut TenantTx, witness: &str) -> Result<i64, StoreError> {
    let row = query!(
        r#"select coalesce(max(size), 0) as "size!" from cosignature where tenant_id = $1 and witness = $2"#,
        tx.id(),
        witness
    )
    .fetch_one(tx.db())
    .await?;
    Ok(row.size)
}

/// A checkpoint with what witnesses signed under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Number of leaves.
    pub size: i64,
    /// The signed note, the witnesses' lines under ours.
    pub note: String,
    /// When we signed it.
    pub signed_at: Timestamp,
    /// Each witness, and when it saw it.
    pub seen: Vec<(String, Timestamp)>,
}

/// Checkpoints with fewer leaves than `before`, the newest first; with `witnessed` only those that a witness signed.
pub async fn checkpoints(
    tx: &mut TenantTx,
    before: Option<i64>,
    witnessed: bool,
    limit: u32,
) -> Result<Vec<Kept>, StoreError> {
    let rows = query!(
        r#"select c.size, c.note, c.signed_at, s.lines as "lines!", s.witnesses as "witnesses!: Vec<String>",
            s.seen as "seen!: Vec<jiff_sqlx::Timestamp>"
         from checkpoint c
         cross join lateral (
            select coalesce(string_agg(line, '' order by witness), '') as lines,
                coalesce(array_agg(witness order by witness), '{}') as witnesses,
                coalesce(array_agg(seen_at order by witness), '{}') as seen
            from cosignature where tenant_id = c.tenant_id and size = c.size) s
         where c.tenant_id = $1 and c.size < $2 and (not $3 or s.lines <> '') order by c.size desc limit $4"#,
        tx.id(),
        before.unwrap_or(i64::MAX),
        witnessed,
        i64::from(limit)
    )
    .fetch_all(tx.db())
    .await?;
    let kept = rows.into_iter().map(|row| Kept {
        size: row.size,
        note: row.note + &row.lines,
        signed_at: row.signed_at.to_jiff(),
        seen: row.witnesses.into_iter().zip(row.seen.into_iter().map(|at| at.to_jiff())).collect(),
    });
    Ok(kept.collect())
}
