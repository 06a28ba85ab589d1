//! Products: API clients of a tenant.

use domain::ids::ProductId;
use jiff::Timestamp;
use sqlx::{query, query_as};
use uuid::Uuid;

use crate::themes::Worn;
use crate::time::at;
use crate::{StoreError, TenantTx};

/// An API client of a tenant, with purposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// Its name, as users read it in the consent text.
    pub name: String,
    /// What it may ask consents for.
    pub purposes: Vec<String>,
    /// Where users may be sent back to, compared as whole strings.
    pub return_urls: Vec<String>,
    /// How its pages look, where it has a theme of its own.
    pub theme: Option<Worn>,
    /// When it was set up.
    pub created_at: Timestamp,
}

struct Row {
    product_id: Uuid,
    name: String,
    purposes: Vec<String>,
    return_urls: Vec<String>,
    created_at: jiff_sqlx::Timestamp,
    theme_id: Option<Uuid>,
    theme_name: Option<String>,
    has_logo: Option<bool>,
}

impl From<Row> for Product {
    fn from(row: Row) -> Self {
        Self {
            id: ProductId::from_uuid(row.product_id),
            name: row.name,
            purposes: row.purposes,
            return_urls: row.return_urls,
            theme: row.theme_id.map(|id| Worn { id, name: row.theme_name, has_logo: row.has_logo == Some(true) }),
            created_at: row.created_at.to_jiff(),
        }
    }
}

/// Adds a product, without a theme; [`StoreError::Exists`] for an id that there is.
pub async fn create(tx: &mut TenantTx, product: &Product) -> Result<(), StoreError> {
    query!(
        "insert into product (tenant_id, product_id, name, purposes, return_urls, created_at)
         values ($1, $2, $3, $4, $5, $6)",
        tx.id(),
        product.id.uuid(),
        product.name,
        &product.purposes,
        &product.return_urls,
        at(product.created_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// One product.
pub async fn get(tx: &mut TenantTx, id: ProductId) -> Result<Product, StoreError> {
    query_as!(
        Row,
        "select p.product_id, p.name, purposes, return_urls, created_at,
                t.theme_id as \"theme_id?\", t.name as \"theme_name?\", t.logo is not null as \"has_logo?\"
         from product p left join theme t on t.tenant_id = p.tenant_id and t.product_id = p.product_id
         where p.tenant_id = $1 and p.product_id = $2",
        tx.id(),
        id.uuid()
    )
    .fetch_optional(tx.db())
    .await?
    .map(Product::from)
    .ok_or(StoreError::NotFound("product"))
}

/// Every product of the tenant, oldest first.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<Product>, StoreError> {
    let rows = query_as!(
        Row,
        "select p.product_id, p.name, purposes, return_urls, created_at,
                t.theme_id as \"theme_id?\", t.name as \"theme_name?\", t.logo is not null as \"has_logo?\"
         from product p left join theme t on t.tenant_id = p.tenant_id and t.product_id = p.product_id
         where p.tenant_id = $1 order by p.product_id",
        tx.id()
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(Product::from).collect())
}
