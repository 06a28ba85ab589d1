//! What is asked of a bank's authorisation server on every occasion: its metadata, its keys, tokens of our own.

use fapi::keys::KeySet;
use fapi::metadata::Metadata;
use fapi::token::Tokens;

use crate::app::App;
use crate::bank_calls::{self, CallError, Occasion};

/// The server's metadata, fetched for this occasion; none where the bank has no such server.
pub(crate) async fn metadata(app: &App, occasion: &Occasion<'_>) -> Result<Option<Metadata>, CallError> {
    match occasion.connection.discovery() {
        Some(call) => bank_calls::to_issuer(app, occasion, "discover", call).await.map(Some),
        None => Ok(None),
    }
}

/// The same, where nothing can be done without.
pub(crate) async fn discover(app: &App, occasion: &Occasion<'_>) -> Result<Metadata, CallError> {
    let found = metadata(app, occasion).await?;
    found.ok_or_else(|| CallError::Ours(anyhow::anyhow!("the bank has no authorisation server")))
}

/// The keys of the bank's server, fetched for this occasion.
pub(crate) async fn key_set(app: &App, occasion: &Occasion<'_>, metadata: &Metadata) -> Result<KeySet, CallError> {
    bank_calls::to_issuer(app, occasion, "jwks", occasion.connection.oauth.keys(metadata)).await
}

/// Tokens of our own, where the bank's consents are managed with one.
pub(crate) async fn client_tokens(
    app: &App,
    occasion: &Occasion<'_>,
    metadata: Option<&Metadata>,
) -> Result<Option<Tokens>, CallError> {
    let connection = occasion.connection;
    let scope = connection.bank.profile().security.client_scope.as_ref();
    let Some((scope, metadata)) = scope.zip(metadata) else { return Ok(None) };
    let call = connection.oauth.client_credentials(metadata, scope, &app.world());
    Ok(Some(bank_calls::to_issuer(app, occasion, "client_credentials", call).await?))
}
