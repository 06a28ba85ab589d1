//! First things: the tenant, its registrations, a product with a key.

use domain::ids::{ApiKeyId, ProductId, TenantId};
use domain::policy::Regime;
use domain::world::World;
use secrecy::{ExposeSecret, SecretString};
use store::api_keys::ApiKey;
use store::products::Product;
use store::registrations::{Level, Registration};
use store::tenants::Tenant;
use store::{Store, StoreError, api_keys, products, registrations, tenants};

use crate::api::auth::Scope;
use crate::app::App;
use crate::tokens;

/// Characters of a key that are kept in clear, so that a person can tell keys apart.
pub(crate) const PREFIX_CHARS: usize = 14;

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

/// Adds a product with a key of every scope. The key is shown here and never again.
///
/// # Errors
/// The database's.
pub async fn add_product(
    app: &App,
    name: &str,
    purposes: &[&str],
    return_urls: &[&str],
) -> Result<(ProductId, SecretString), StoreError> {
    let world = app.world();
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let product = Product {
        id: ProductId::new(&world),
        name: name.to_owned(),
        purposes: owned(purposes),
        return_urls: owned(return_urls),
        created_at: world.now,
    };
    let (text, hash) = tokens::issue(tokens::Kind::ApiKey, &world);
    let key = ApiKey {
        id: ApiKeyId::new(&world),
        tenant: app.tenant.id,
        product: product.id,
        prefix: text.expose_secret().chars().take(PREFIX_CHARS).collect(),
        scopes: Scope::ALL.map(|scope| scope.word().to_owned()).to_vec(),
        purposes: Vec::new(),
        networks: Vec::new(),
        jwk: None,
        created_at: world.now,
        expires_at: None,
        revoked_at: None,
    };
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    products::create(&mut tx, &product).await?;
    api_keys::create(&mut tx, &key, Some(&hash)).await?;
    tx.commit().await?;
    Ok((product.id, text))
}
