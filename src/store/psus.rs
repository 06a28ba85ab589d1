//! PSUs: persons, as one product names them.

use domain::ids::{ProductId, PsuId};
use jiff::Timestamp;
use sqlx::query;

use crate::time::at;
use crate::{StoreError, TenantTx};

/// A person of a product.
#[derive(Clone, PartialEq, Eq)]
pub struct Psu {
    /// Our id.
    pub id: PsuId,
    /// The product that knows the person.
    pub product: ProductId,
    /// MAC of the product's reference under the tenant's lookup key: equality can be looked up, nothing else.
    pub ref_tag: [u8; 32],
    /// The reference itself ([`Place::psu_ref`](crate::sealed::Place::psu_ref)).
    pub sealed_ref: Vec<u8>,
    /// When we first heard of them.
    pub created_at: Timestamp,
}

/// The id of the person with this tag; adds them when they are new.
pub async fn find_or_create(tx: &mut TenantTx, psu: &Psu) -> Result<PsuId, StoreError> {
    // Two requests may name a new person at the same moment: the second insert waits for the first and finds them.
    query!(
        "insert into psu (tenant_id, psu_id, product_id, ref_tag, sealed_ref, created_at)
         values ($1, $2, $3, $4, $5, $6) on conflict (tenant_id, product_id, ref_tag) do nothing",
        tx.id(),
        psu.id.uuid(),
        psu.product.uuid(),
        psu.ref_tag.as_slice(),
        psu.sealed_ref,
        at(psu.created_at)
    )
    .execute(tx.db())
    .await?;
    find(tx, psu.product, &psu.ref_tag).await?.ok_or(StoreError::NotFound("PSU"))
}

/// The person with this tag.
pub async fn find(tx: &mut TenantTx, product: ProductId, ref_tag: &[u8; 32]) -> Result<Option<PsuId>, StoreError> {
    let row = query!(
        "select psu_id from psu where tenant_id = $1 and product_id = $2 and ref_tag = $3",
        tx.id(),
        product.uuid(),
        ref_tag.as_slice()
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map(|row| PsuId::from_uuid(row.psu_id)))
}

/// One person.
pub async fn get(tx: &mut TenantTx, id: PsuId) -> Result<Psu, StoreError> {
    let row = query!(
        "select product_id, ref_tag, sealed_ref, created_at from psu where tenant_id = $1 and psu_id = $2",
        tx.id(),
        id.uuid()
    )
    .fetch_optional(tx.db())
    .await?
    .ok_or(StoreError::NotFound("PSU"))?;
    let ref_tag = row.ref_tag.try_into().map_err(|_| StoreError::Corrupt { table: "psu", column: "ref_tag" })?;
    let product = ProductId::from_uuid(row.product_id);
    Ok(Psu { id, product, ref_tag, sealed_ref: row.sealed_ref, created_at: row.created_at.to_jiff() })
}
