//! First things: the tenant, its registrations, a product with a key.

use domain::ids::{ProductId, TenantId};
use domain::policy::Regime;
use domain::world::World;
use secrecy::SecretString;
use store::registrations::{Level, Registration};
use store::tenants::Tenant;
use store::{Store, StoreError, registrations, tenants};

use crate::app::App;
use crate::services::ServiceError;
use crate::services::products::{self, NewProduct};

/// The tenant of this name; made if there is none.
///
/// # Errors
/// The database's.
pub async fn ensure_tenant(store: &Store, world: &World<'_>, name: &str, regime: Regime) -> Result<Tenant, StoreError> {
    let mut tx = store.system_tx().await?;
    if let Some(known) = tenants::all(&mut tx).await?.into_iter().find(|tenant| tenant.name == name) {
        return Ok(known);
    }
    let tenant = Tenant { id: TenantId::new(world), name: name.to_owned(), regime, created_at: world.now };
    tenants::create(&mut tx, &tenant).await?;
    tx.commit().await?;
    Ok(tenant)
}

/// Puts the registrations that this node has read into the database, where other nodes and budgets find them.
///
/// # Errors
/// The database's.
pub async fn publish_registrations(app: &App) -> Result<(), StoreError> {
    let mut tx = app.store.system_tx().await?;
    for connection in app.connections.all() {
        let level = connection.bank.profile().bank.level.as_str();
        let registration = Registration {
            id: connection.id.clone(),
            tenant: app.tenant.id,
            institution: connection.institution.clone(),
            environment: connection.environment_word.to_owned(),
            level: Level::parse(level).ok_or(StoreError::Corrupt { table: "registration", column: "level" })?,
            enabled: true,
            updated_at: app.clock.now(),
        };
        registrations::put(&mut tx, &registration).await?;
    }
    tx.commit().await
}

/// Sets a product up that lasts as long as a test or a demonstration.
///
/// # Errors
/// As [`products::add`].
pub async fn add_product(
    app: &App,
    name: &str,
    purposes: &[&str],
    return_urls: &[&str],
) -> Result<(ProductId, SecretString), ServiceError> {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    products::add(app, NewProduct { name: name.to_owned(), purposes: owned(purposes), return_urls: owned(return_urls) })
        .await
}
