//! Who calls: an API key, or a short token that was given for one, in `Authorization: Bearer`; and what it may do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use domain::ids::{ApiKeyId, ProductId, TenantId};
use jiff::Timestamp;
use store::api_keys::{self, ApiKey};

use crate::access::{self, Presented, Use};
use crate::app::App;
use crate::problem::ApiError;
use crate::{peer, rate, tokens, watch};

/// Keys that a node remembers; with more, all are forgotten and looked up again.
const REMEMBERED_MAX: usize = 4_096;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Ask for, list and withdraw consents.
    Consents,
    /// Read accounts, balances and transactions.
    Data,
    /// Read events and say where they are sent.
    Events,
    /// Read receipts and the log.
    Evidence,
    /// Make and withdraw keys of the product.
    Keys,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::Consents, Self::Data, Self::Events, Self::Evidence, Self::Keys];

    /// The word in a key.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Consents => "consents",
            Self::Data => "data",
            Self::Events => "events",
            Self::Evidence => "evidence",
            Self::Keys => "keys",
        }
    }
}

/// A product that proved who it is.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its tenant.
    pub tenant: TenantId,
    /// The product.
    pub product: ProductId,
    /// The key it used.
    pub key: ApiKeyId,
    pub(super) scopes: Vec<String>,
    pub(super) purposes: Vec<String>,
    /// When the short token that was shown ends; none of a key itself.
    pub(super) ends_at: Option<Timestamp>,
}

impl Caller {
    /// The purposes of a consent that the key reads for; none: the person never agreed to what it is for.
    pub fn purposes_of<'a>(&self, agreed: &'a [String]) -> Vec<&'a str> {
        let mine = |purpose: &&'a String| self.purposes.is_empty() || self.purposes.contains(purpose);
        agreed.iter().filter(mine).map(String::as_str).collect()
    }

    /// Passes if the key has the scope.
    ///
    /// # Errors
    /// 403 with the missing scope.
    pub fn may(&self, scope: Scope) -> Result<(), ApiError> {
        if self.scopes.iter().any(|given| given == scope.word()) { Ok(()) } else { Err(ApiError::Scope(scope.word())) }
    }

    /// Who shows a key or a token with these parts of a request.
    ///
    /// # Errors
    /// 401, 403 for a network that the key is not for, 429, 503.
    pub async fn of(parts: &Parts, app: &App) -> Result<Self, ApiError> {
        let (key, token) = found(app, presented(parts)?).await?.ok_or(ApiError::Unauthorised)?;
        Self::admitted(parts, app, key, token)
    }

    fn admitted(parts: &Parts, app: &App, key: ApiKey, token: Option<Presented>) -> Result<Self, ApiError> {
        admit(app, parts, &key)?;
        let ends_at = token.as_ref().map(|token| token.ends_at);
        let narrowed = token.as_ref().and_then(|token| token.scope.as_deref());
        let narrowed: Option<Vec<&str>> = narrowed.map(|scope| scope.split(' ').collect());
        let kept = |scope: &String| narrowed.as_ref().is_none_or(|kept| kept.contains(&scope.as_str()));
        let scopes = key.scopes.into_iter().filter(kept).collect();
        Ok(Self { tenant: key.tenant, product: key.product, key: key.id, scopes, purposes: key.purposes, ends_at })
    }
}

/// A caller by a key that this node has met before and does not look up: all that was said of a key when it was made stays
/// true, but that it was not withdrawn. So whoever reads for one lets the statement that finds what they may read find the
/// key too, and takes the caller from here only then.
pub struct Presumed {
    caller: Caller,
    /// The digest of the key, where it was remembered.
    remembered: Option<[u8; 32]>,
}

impl Presumed {
    /// Whose rows the key is about.
    pub(super) const fn tenant(&self) -> TenantId {
        self.caller.tenant
    }

    /// The product that has the key.
    pub(super) const fn product(&self) -> ProductId {
        self.caller.product
    }

    /// The key, for the statement that looks whether it was withdrawn.
    pub(super) const fn key(&self) -> ApiKeyId {
        self.caller.key
    }

    /// The caller, now that a statement has found their key.
    pub(super) fn confirmed(self) -> Caller {
        self.caller
    }

    /// The caller, where no statement has: their key is looked up.
    ///
    /// # Errors
    /// 401, 503.
    pub(super) async fn looked_up(self, app: &App) -> Result<Caller, ApiError> {
        if let Some(hash) = self.remembered {
            app.remembered.forget(&hash);
            by_hash(app, &hash).await?.filter(|key| key.is_live(app.clock.now())).ok_or(ApiError::Unauthorised)?;
        }
        Ok(self.caller)
    }
}

/// Keys that this node has met, by the digest of their secret.
#[derive(Default)]
pub struct Remembered(Mutex<HashMap<[u8; 32], ApiKey>>);

impl Remembered {
    fn get(&self, hash: &[u8; 32]) -> Option<ApiKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    fn keep(&self, hash: [u8; 32], key: ApiKey) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(hash, key);
    }

    fn forget(&self, hash: &[u8; 32]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(hash);
    }
}

impl<S> FromRequestParts<S> for Presumed
where
    S: Send + Sync,
    Arc<App>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let app = &Arc::<App>::from_ref(state);
        let text = presented(parts)?;
        let hash = tokens::read(tokens::Kind::ApiKey, text);
        let known = hash.and_then(|hash| Some((hash, app.remembered.get(&hash)?)));
        if let Some((hash, key)) = known.filter(|(_, key)| key.is_live(app.clock.now())) {
            return Ok(Self { caller: Caller::admitted(parts, app, key, None)?, remembered: Some(hash) });
        }
        let (key, token) = found(app, text).await?.ok_or(ApiError::Unauthorised)?;
        if let Some(hash) = hash {
            app.remembered.keep(hash, key.clone());
        }
        Ok(Self { caller: Caller::admitted(parts, app, key, token)?, remembered: None })
    }
}

/// What a request shows in `Authorization: Bearer`.
fn presented(parts: &Parts) -> Result<&str, ApiError> {
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    header
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or(ApiError::Unauthorised)
}

/// The live key behind what was shown, and the token where it was one.
async fn found(app: &App, presented: &str) -> Result<Option<(ApiKey, Option<Presented>)>, ApiError> {
    let (key, token) = match tokens::read(tokens::Kind::ApiKey, presented) {
        Some(hash) => (by_hash(app, &hash).await?, None),
        None => match access::read(app, presented, Use::Access).await? {
            Some(token) => (by_id(app, token.key).await?, Some(token)),
            None => (None, None),
        },
    };
    Ok(key.filter(|key| key.is_live(app.clock.now())).map(|key| (key, token)))
}

/// The key of a digest, live or not.
async fn by_hash(app: &App, hash: &[u8; 32]) -> Result<Option<ApiKey>, ApiError> {
    let mut tx = app.store.system_tx().await?;
    let key = api_keys::find(&mut tx, hash).await?;
    tx.commit().await?;
    Ok(key)
}

/// The key of an id, live or not.
///
/// # Errors
/// The database's.
pub(crate) async fn by_id(app: &App, id: ApiKeyId) -> Result<Option<ApiKey>, ApiError> {
    let mut tx = app.store.system_tx().await?;
    let key = api_keys::get(&mut tx, id).await?;
    tx.commit().await?;
    Ok(key)
}

/// Lets a live key in: from a network that it is for, and not more often than it may.
///
/// # Errors
/// 403 or 429.
pub(crate) fn admit(app: &App, parts: &Parts, key: &ApiKey) -> Result<(), ApiError> {
    if !key.networks.is_empty() {
        let networks = peer::networks(&key.networks).unwrap_or_default();
        let client = peer::address(parts, &app.trusted_proxies);
        if !client.is_some_and(|client| networks.iter().any(|network| network.contains(&client))) {
            return Err(ApiError::Network);
        }
    }
    watch::note(parts, key.id);
    match app.rates.count(key.id, key.tenant) {
        Ok(standing) => rate::note(parts, standing),
        Err(standing) => {
            rate::note(parts, standing);
            return Err(ApiError::TooMany { seconds: standing.wait });
        }
    }
    Ok(())
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Arc<App>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Self::of(parts, &Arc::<App>::from_ref(state)).await
    }
}
