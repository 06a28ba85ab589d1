//! How the pages of a product look, as the operator of an installation sets it.

use domain::ids::ProductId;
use evidence::Subject;
use serde_json::json;
use store::themes::{self, Theme};
use store::{StoreError, products};

use super::ServiceError;
use super::products::readable;
use crate::app::App;
use crate::evidence_log;
use crate::pages::theme::{Palette, logo};

/// A theme that is to be set.
#[derive(Debug, Clone)]
pub struct NewTheme {
    /// Its colours.
    pub palette: Palette,
    /// What stands in the masthead in place of the tenant's name.
    pub name: Option<String>,
    /// A PNG file for the masthead.
    pub logo: Option<Vec<u8>>,
}

/// Sets how the pages of a product look or, without one, those of every product that has no theme of its own. It takes the
/// place of the one that there was.
///
/// # Errors
/// Says what cannot be read or shown, that there is no such product, and the database's.
pub async fn set(app: &App, product: Option<ProductId>, new: NewTheme) -> Result<(), ServiceError> {
    if let Some(name) = new.name.as_ref().filter(|name| !readable(name)) {
        return Err(anyhow::anyhow!("{name:?} cannot be read as a name").into());
    }
    let logo = new.logo.as_deref().map(logo).transpose().map_err(anyhow::Error::new)?;
    let world = app.world();
    let palette = new.palette;
    let theme = Theme {
        id: world.uuid(),
        product,
        name: new.name,
        masthead: palette.masthead.number(),
        accent: palette.accent.number(),
        masthead_dark: palette.masthead_dark.number(),
        accent_dark: palette.accent_dark.number(),
        logo,
        changed_at: world.now,
    };
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    if let Some(product) = product {
        products::get(&mut tx, product).await?;
    }
    themes::put(&mut tx, &theme).await?;
    let Palette { masthead, accent, masthead_dark, accent_dark } = palette;
    let colours = [masthead, accent, masthead_dark, accent_dark].map(|colour| colour.to_string());
    let body = json!({
        "theme": theme.id, "product": product.map(|id| id.to_string()), "name": theme.name, "colours": colours,
        "logo": theme.logo.is_some(),
    });
    evidence_log::record_of(app, &mut tx, &world, Subject::Tenant(app.tenant.id), "theme.set", &body).await?;
    tx.commit().await?;
    Ok(())
}

/// Takes a theme away: the pages look as they did before there was one.
///
/// # Errors
/// That there is none, and the database's.
pub async fn unset(app: &App, product: Option<ProductId>) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    if !themes::remove(&mut tx, product).await? {
        return Err(StoreError::NotFound("theme").into());
    }
    let body = json!({ "product": product.map(|id| id.to_string()) });
    evidence_log::record_of(app, &mut tx, &world, Subject::Tenant(app.tenant.id), "theme.unset", &body).await?;
    tx.commit().await?;
    Ok(())
}
