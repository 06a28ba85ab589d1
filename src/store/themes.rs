//! How the pages of a product look.

use domain::ids::ProductId;
use jiff::Timestamp;
use sqlx::query;
use uuid::Uuid;

use crate::time::at;
use crate::{StoreError, TenantTx};

/// How pages look: four colours, 0xrrggbb each, and what stands in the masthead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    /// Its id, another one with every change.
    pub id: Uuid,
    /// Whose pages it is for; absent: of every product that has none of its own.
    pub product: Option<ProductId>,
    /// What stands in the masthead in place of the tenant's name.
    pub name: Option<String>,
    /// Behind the masthead, by day.
    pub masthead: u32,
    /// Of links and of what is pressed, by day.
    pub accent: u32,
    /// Behind the masthead, by night.
    pub masthead_dark: u32,
    /// Of links and of what is pressed, by night.
    pub accent_dark: u32,
    /// A PNG for the masthead.
    pub logo: Option<Vec<u8>>,
    /// When it was set.
    pub changed_at: Timestamp,
}

/// What a page needs to know of its theme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worn {
    /// The theme's id.
    pub id: Uuid,
    /// What stands in the masthead in place of the tenant's name.
    pub name: Option<String>,
    /// Whether there is a picture.
    pub has_logo: bool,
}

/// Puts a theme in the place of the one that there was.
pub async fn put(tx: &mut TenantTx, theme: &Theme) -> Result<(), StoreError> {
    remove(tx, theme.product).await?;
    query!(
        "insert into theme (tenant_id, theme_id, product_id, name, masthead, accent, masthead_dark, accent_dark, logo, changed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        tx.id(),
        theme.id,
        theme.product.map(ProductId::uuid),
        theme.name,
        number(theme.masthead),
        number(theme.accent),
        number(theme.masthead_dark),
        number(theme.accent_dark),
        theme.logo,
        at(theme.changed_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Takes a theme away. Gives whether there was one.
pub async fn remove(tx: &mut TenantTx, product: Option<ProductId>) -> Result<bool, StoreError> {
    let gone = query!(
        "delete from theme where tenant_id = $1 and product_id is not distinct from $2",
        tx.id(),
        product.map(ProductId::uuid)
    )
    .execute(tx.db())
    .await?;
    Ok(gone.rows_affected() > 0)
}

/// A theme by its id.
pub async fn find(tx: &mut TenantTx, id: Uuid) -> Result<Option<Theme>, StoreError> {
    let row = query!(
        "select theme_id, product_id, name, masthead, accent, masthead_dark, accent_dark, logo,
                changed_at as \"changed_at: jiff_sqlx::Timestamp\"
         from theme where tenant_id = $1 and theme_id = $2",
        tx.id(),
        id
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map(|row| Theme {
        id: row.theme_id,
        product: row.product_id.map(ProductId::from_uuid),
        name: row.name,
        masthead: row.masthead.cast_unsigned(),
        accent: row.accent.cast_unsigned(),
        masthead_dark: row.masthead_dark.cast_unsigned(),
        accent_dark: row.accent_dark.cast_unsigned(),
        logo: row.logo,
        changed_at: row.changed_at.to_jiff(),
    }))
}

/// The theme of the tenant itself.
pub async fn of_tenant(tx: &mut TenantTx) -> Result<Option<Worn>, StoreError> {
    let row = query!(
        "select theme_id, name, logo is not null as \"has_logo!\" from theme where tenant_id = $1 and product_id is null",
        tx.id()
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map(|row| Worn { id: row.theme_id, name: row.name, has_logo: row.has_logo }))
}

/// A colour has 24 bits; the table refuses more.
const fn number(colour: u32) -> i32 {
    colour.cast_signed()
}
