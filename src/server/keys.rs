//! Keys of the tenant and of evidence subjects: found wrapped in the database, opened by the vault, made when missing. And
//! who holds the keys that wrap them.

use std::sync::Arc;

use anyhow::Context as _;
use domain::world::{Clock, World};
use store::{TenantTx, keys};
use uuid::Uuid;
use vault::{DataKey, FileProvider, KeyError, TokenKeys, Wrapped};

use crate::app::App;
use crate::config::{KeyHolder, Keys as Settings};
use crate::kms::Kms;
use crate::services::ServiceError;

/// The key under which identifiers become tags that can be looked up: product references, account numbers, cursors.
pub struct TenantKeys {
    key: DataKey,
}

impl TenantKeys {
    /// The tenant's look-up key.
    ///
    /// # Errors
    /// The database's or the key provider's.
    pub async fn lookup(app: &App, tx: &mut TenantTx, world: &World<'_>) -> Result<Self, ServiceError> {
        let key = of_purpose(app, tx, world, "lookup").await?;
        Ok(Self { key })
    }

    /// The same, where a statement has brought it already.
    ///
    /// # Errors
    /// As [`TenantKeys::lookup`].
    pub async fn found(
        app: &App,
        tx: &mut TenantTx,
        world: &World<'_>,
        found: Option<&Wrapped>,
    ) -> Result<Self, ServiceError> {
        match found {
            Some(wrapped) => Ok(Self { key: app.vault.open_key(tx.tenant(), wrapped)? }),
            None => Self::lookup(app, tx, world).await,
        }
    }

    /// The tag of an identifier for one purpose.
    pub fn mac(&self, purpose: &'static str, identifier: &[u8]) -> [u8; 32] {
        self.key.mac(purpose, identifier)
    }

    /// The key itself, for sealing what belongs to the tenant as a whole.
    pub const fn key(&self) -> &DataKey {
        &self.key
    }
}

/// The tenant's key of a purpose.
///
/// # Errors
/// The database's or the key provider's.
pub async fn of_purpose(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    purpose: &str,
) -> Result<DataKey, ServiceError> {
    if let Some(wrapped) = keys::of_purpose(tx, purpose).await? {
        return Ok(app.vault.open_key(tx.tenant(), &wrapped)?);
    }
    let (_, wrapped) = app.vault.new_key(tx.tenant(), world)?;
    let kept = keys::keep_purpose(tx, purpose, &wrapped, world.now).await?;
    Ok(app.vault.open_key(tx.tenant(), &kept)?)
}

/// The evidence key of a subject; `found` where a statement has brought it already.
///
/// # Errors
/// The database's or the key provider's.
pub async fn of_evidence(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    subject: Uuid,
    found: Option<&Wrapped>,
) -> Result<DataKey, ServiceError> {
    if let Some(wrapped) = found {
        return Ok(app.vault.open_key(tx.tenant(), wrapped)?);
    }
    if let Some(wrapped) = keys::of_evidence(tx, subject).await? {
        return Ok(app.vault.open_key(tx.tenant(), &wrapped)?);
    }
    let (_, wrapped) = app.vault.new_key(tx.tenant(), world)?;
    let kept = keys::keep_evidence(tx, subject, &wrapped, world.now).await?;
    Ok(app.vault.open_key(tx.tenant(), &kept)?)
}

/// The holder of keys that the settings name.
///
/// # Errors
/// Says which setting cannot be used.
pub fn provider(settings: &Settings, clock: &Arc<dyn Clock>) -> anyhow::Result<FileProvider> {
    let provider = match settings.provider {
        KeyHolder::File => FileProvider::open(&settings.dir),
        KeyHolder::Pkcs11 => {
            let token = TokenKeys::open(&settings.pkcs11.uri).context("keys.pkcs11.uri")?;
            FileProvider::behind(Arc::new(token), &settings.dir)
        }
        KeyHolder::Kms => FileProvider::behind(Arc::new(Kms::open(&settings.kms, clock.clone())?), &settings.dir),
    };
    provider.with_context(|| format!("keys.dir: {} cannot be used", settings.dir.display()))
}

/// Whether a key is gone for good, so that what it sealed stays unreadable.
pub const fn is_final(error: &KeyError) -> bool {
    matches!(error, KeyError::Destroyed { .. } | KeyError::Missing { .. })
}
