//! Products and their first keys, as the operator of an installation sets them up. What a product may change itself, its own
//! keys, it changes over the API.

use anyhow::Context as _;
use domain::ids::{ApiKeyId, ProductId};
use domain::world::World;
use evidence::Subject;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use store::api_keys::{self, ApiKey};
use store::products::{self, Product};
use store::{StoreError, TenantTx};
use url::Url;

use super::ServiceError;
use crate::api::auth::Scope;
use crate::app::App;
use crate::{evidence_log, peer, tokens};

/// Characters of a key that are kept in clear, so that a person can tell keys apart.
pub(crate) const PREFIX_CHARS: usize = 14;
/// Longest name: it stands in the middle of a sentence that people read.
const NAME_CHARS_MAX: usize = 80;

/// A product that is to be set up.
#[derive(Debug, Clone)]
pub struct NewProduct {
    /// Its name, as users read it in the consent text.
    pub name: String,
    /// What it may ask consents for, in words that users read.
    pub purposes: Vec<String>,
    /// Where users may be sent back to, compared as whole strings.
    pub return_urls: Vec<String>,
}

/// What a key is to be good for.
#[derive(Debug, Clone, Default)]
pub struct NewKey {
    /// Words of scopes; none: every scope.
    pub scopes: Vec<String>,
    /// Networks that it works from, CIDR; none: any.
    pub networks: Vec<String>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// A product with its keys.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The product.
    pub product: Product,
    /// Its keys that are not withdrawn, oldest first.
    pub keys: Vec<ApiKey>,
}

/// Sets a product up, with a key of every scope. The key is shown here and never again.
///
/// # Errors
/// Says which word cannot be used, and the database's.
pub async fn add(app: &App, new: NewProduct) -> Result<(ProductId, SecretString), ServiceError> {
    let new = checked(new)?;
    let world = app.world();
    let product = Product {
        id: ProductId::new(&world),
        name: new.name,
        purposes: new.purposes,
        return_urls: new.return_urls,
        theme: None,
        created_at: world.now,
    };
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    products::create(&mut tx, &product).await?;
    note(app, &mut tx, &world, "product.added", &json!({ "product": product.id.to_string(), "name": product.name }))
        .await?;
    let key = make_key(app, &mut tx, &world, product.id, NewKey::default()).await?;
    tx.commit().await?;
    Ok((product.id, key))
}

/// Makes a key of a product, for one that lost its keys or never had one of this kind. It is shown here and never again.
///
/// # Errors
/// Says which word cannot be used, that there is no such product, and the database's.
pub async fn add_key(app: &App, product: ProductId, new: NewKey) -> Result<SecretString, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    products::get(&mut tx, product).await?;
    let key = make_key(app, &mut tx, &world, product, new).await?;
    tx.commit().await?;
    Ok(key)
}

/// Withdraws a key: it and every short token that was given for it end at once. Repeating it changes nothing.
///
/// # Errors
/// That there is no such key, and the database's.
pub async fn withdraw_key(app: &App, key: ApiKeyId) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    end_key(app, &mut tx, &world, key).await?;
    tx.commit().await?;
    Ok(())
}

/// The same in a transaction of the caller's. It is on record, so that no restore brings the key back.
///
/// # Errors
/// That there is no such key, and the database's.
pub(crate) async fn end_key(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    key: ApiKeyId,
) -> Result<(), ServiceError> {
    api_keys::revoke(tx, key, world.now).await?;
    note(app, tx, world, "key.withdrawn", &json!({ "key": key.to_string() })).await
}

/// Every product, oldest first.
///
/// # Errors
/// The database's.
pub async fn list(app: &App) -> Result<Vec<Listed>, StoreError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let mut listed = Vec::new();
    for product in products::all(&mut tx).await? {
        let keys = api_keys::of_product(&mut tx, product.id).await?;
        listed.push(Listed { product, keys });
    }
    tx.commit().await?;
    Ok(listed)
}

async fn make_key(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    product: ProductId,
    new: NewKey,
) -> Result<SecretString, ServiceError> {
    let known = Scope::ALL.map(Scope::word);
    if let Some(scope) = new.scopes.iter().find(|scope| !known.contains(&scope.as_str())) {
        return Err(anyhow::anyhow!("{scope:?} is no scope; there are {}", known.join(", ")).into());
    }
    peer::networks(&new.networks).context("networks are written like 192.0.2.0/24")?;
    if new.expires_at.is_some_and(|end| end <= world.now) {
        return Err(anyhow::anyhow!("the key would have ended before it was made").into());
    }
    let (text, hash) = tokens::issue(tokens::Kind::ApiKey, world);
    let key = ApiKey {
        id: ApiKeyId::new(world),
        tenant: app.tenant.id,
        product,
        prefix: text.expose_secret().chars().take(PREFIX_CHARS).collect(),
        scopes: if new.scopes.is_empty() { known.map(str::to_owned).to_vec() } else { new.scopes },
        purposes: Vec::new(),
        networks: new.networks,
        jwk: None,
        created_at: world.now,
        expires_at: new.expires_at,
        revoked_at: None,
    };
    api_keys::create(tx, &key, Some(&hash)).await?;
    let body = json!({ "key": key.id.to_string(), "product": product.to_string(), "scopes": key.scopes });
    note(app, tx, world, "key.made", &body).await?;
    Ok(text)
}

async fn note(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    kind: &str,
    body: &serde_json::Value,
) -> Result<(), ServiceError> {
    evidence_log::record_of(app, tx, world, Subject::Tenant(app.tenant.id), kind, body).await
}

/// The product, if people can read it and be sent back to it.
fn checked(new: NewProduct) -> anyhow::Result<NewProduct> {
    anyhow::ensure!(readable(&new.name), "the name must be 1 to {NAME_CHARS_MAX} characters that people can read");
    anyhow::ensure!(!new.purposes.is_empty(), "a product needs a purpose: users are told what they agree to");
    let purposes = new.purposes.iter().all(|purpose| readable(purpose));
    anyhow::ensure!(purposes, "a purpose must be 1 to {NAME_CHARS_MAX} characters that people can read");
    for text in &new.return_urls {
        anyhow::ensure!(is_way_back(text), "{text:?} cannot be returned to: https, or the scheme of an app");
    }
    Ok(new)
}

/// Whether people can read it as a name.
pub(crate) fn readable(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.chars().count() <= NAME_CHARS_MAX && !text.chars().any(char::is_control)
}

/// Whether a browser may be sent there: a web page over TLS (on this machine without), or an app's own scheme with a dot in
/// its name (RFC 8252 §7.1). Never a scheme that runs something in the page.
fn is_way_back(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let here = url.host_str().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    plain
        && match url.scheme() {
            "https" => true,
            "http" => here,
            scheme => scheme.contains('.'),
        }
}

#[cfg(test)]
mod tests {
    use super::is_way_back;

    #[test]
    fn people_are_sent_to_pages_and_apps_alone() {
        for good in ["https://product.example/back?x=1", "http://localhost:3000/back", "com.example.app:/back"] {
            assert!(is_way_back(good), "{good}");
        }
        for bad in [
            "http://product.example/back",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://user@product.example/",
            "https://product.example/#part",
            "file:///etc/passwd",
            "back",
            "",
        ] {
            assert!(!is_way_back(bad), "{bad}");
        }
    }
}
