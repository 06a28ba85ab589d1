//! What only the server's keys can vouch for: signed responses and ID tokens.

use fapi::keys::KeySet;
use fapi::login::{Callback, PendingLogin, RedeemableCode};
use fapi::metadata::Metadata;
use fapi::token::{Redeemed, Tokens};

use crate::app::App;
use crate::bank_calls::{CallError, Occasion};
use crate::services::ServiceError;
use crate::services::issuer::key_set;

/// The code of a response that the server signs; an unknown key is looked for once more, before the verdict.
pub(super) async fn vouched(
    app: &App,
    occasion: &Occasion<'_>,
    metadata: &Metadata,
    pending: PendingLogin,
    query: &str,
) -> Result<RedeemableCode, ServiceError> {
    let again = pending.to_bytes();
    let keys = key_set(app, occasion, metadata).await?;
    let callback = || Callback::parse(query).map_err(CallError::from);
    match pending.finish(callback()?, &keys, app.clock.now()) {
        Err(refusal) if refusal.is_unknown_key() => {
            let pending = PendingLogin::from_bytes(&again).map_err(|error| ServiceError::Ours(error.into()))?;
            let keys = key_set(app, occasion, metadata).await?;
            Ok(pending.finish(callback()?, &keys, app.clock.now()).map_err(CallError::from)?)
        }
        other => Ok(other.map_err(CallError::from)?),
    }
}

/// The ID token, where one was asked for, against the server's keys; an unknown key is looked for once more, before the
/// verdict.
pub(super) async fn check(
    app: &App,
    occasion: &Occasion<'_>,
    metadata: &Metadata,
    redeemed: &Redeemed,
) -> Result<Tokens, ServiceError> {
    let keys = if redeemed.needs_keys() { key_set(app, occasion, metadata).await? } else { KeySet::empty() };
    match redeemed.check(&keys, app.clock.now()) {
        Err(refusal) if refusal.is_unknown_key() => {
            let keys = key_set(app, occasion, metadata).await?;
            Ok(redeemed.check(&keys, app.clock.now()).map_err(CallError::from)?)
        }
        other => Ok(other.map_err(CallError::from)?),
    }
}
