//! Requests with an `Idempotency-Key`: the first is carried out, its repetitions get its answer.

use domain::ids::ProductId;
use jiff::Timestamp;
use sqlx::query;
use uuid::Uuid;

use crate::sealed::Place;
use crate::time::at;
use crate::{StoreError, TenantTx};

/// A request under a key of the product's choosing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Whose key.
    pub product: ProductId,
    /// SHA-256 of the key.
    pub key_hash: [u8; 32],
    /// SHA-256 of method, path and body: a key that comes with another request is a mistake of the product.
    pub request_hash: [u8; 32],
}

impl Request {
    /// Where the answer is sealed for.
    pub fn place(&self, tx: &TenantTx) -> Place {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = self.key_hash;
        Place::answer(tx.tenant(), Uuid::from_bytes([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]))
    }
}

/// What is known of a key.
#[derive(Clone, PartialEq, Eq)]
pub enum Seen {
    /// Nothing: carry the request out, then [`answer`] in the same transaction.
    New,
    /// Carried out, with this sealed answer.
    Answered(Vec<u8>),
    /// The key was used for another request.
    Misused,
}

/// Begins a request. A repetition at the same time waits here until the first has committed or given up.
pub async fn begin(
    tx: &mut TenantTx,
    request: &Request,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<Seen, StoreError> {
    let begun = query!(
        "insert into idempotency (tenant_id, product_id, key_hash, request_hash, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (tenant_id, product_id, key_hash) do update set request_hash = excluded.request_hash,
            sealed_answer = null, created_at = excluded.created_at, expires_at = excluded.expires_at
            where idempotency.expires_at <= excluded.created_at",
        tx.id(),
        request.product.uuid(),
        request.key_hash.as_slice(),
        request.request_hash.as_slice(),
        at(now),
        at(expires_at)
    )
    .execute(tx.db())
    .await?;
    if begun.rows_affected() == 1 {
        return Ok(Seen::New);
    }
    let row = query!(
        "select request_hash, sealed_answer from idempotency
         where tenant_id = $1 and product_id = $2 and key_hash = $3",
        tx.id(),
        request.product.uuid(),
        request.key_hash.as_slice()
    )
    .fetch_one(tx.db())
    .await?;
    Ok(match row.sealed_answer {
        _ if row.request_hash != request.request_hash => Seen::Misused,
        Some(answer) => Seen::Answered(answer),
        None => Seen::New,
    })
}

/// Keeps the sealed answer ([`Request::place`]) of a request that was begun.
pub async fn answer(tx: &mut TenantTx, request: &Request, sealed: &[u8]) -> Result<(), StoreError> {
    query!(
        "update idempotency set sealed_answer = $4 where tenant_id = $1 and product_id = $2 and key_hash = $3",
        tx.id(),
        request.product.uuid(),
        request.key_hash.as_slice(),
        sealed
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Removes what is over; gives how many.
pub async fn expire(tx: &mut TenantTx, now: Timestamp) -> Result<u64, StoreError> {
    let done = query!("delete from idempotency where tenant_id = $1 and expires_at <= $2", tx.id(), at(now))
        .execute(tx.db())
        .await?;
    Ok(done.rows_affected())
}
