//! Who calls: an API key in `Authorization: Bearer`, and what it may do.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use domain::ids::{ApiKeyId, ProductId, TenantId};
use store::api_keys;

use crate::app::App;
use crate::problem::ApiError;
use crate::tokens;

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
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Consents, Self::Data, Self::Events, Self::Evidence];

    /// The word in a key.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Consents => "consents",
            Self::Data => "data",
            Self::Events => "events",
            Self::Evidence => "evidence",
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
    scopes: Vec<String>,
    purposes: Vec<String>,
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
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Arc<App>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let app = Arc::<App>::from_ref(state);
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let presented = header
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .and_then(|(_, token)| tokens::read(tokens::Kind::ApiKey, token.trim()))
            .ok_or(ApiError::Unauthorised)?;
        let mut tx = app.store.system_tx().await?;
        let key = api_keys::find(&mut tx, &presented).await?;
        tx.commit().await?;
        let key = key.filter(|key| key.is_live(app.clock.now())).ok_or(ApiError::Unauthorised)?;
        app.rate.check_key(&key.id).map_err(|_| ApiError::TooMany)?;
        let (tenant, product, purposes) = (key.tenant, key.product, key.purposes);
        Ok(Self { tenant, product, key: key.id, scopes: key.scopes, purposes })
    }
}
