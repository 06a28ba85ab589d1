//! `/v1/keys`: a product's keys. A new one is made beside the old, the old is withdrawn when nobody uses it any more: no
//! request fails meanwhile. No key makes another that may do more than itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use domain::ids::ApiKeyId;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::api_keys::{self, ApiKey};
use store::products;
use utoipa::ToSchema;

use super::auth::{self, Caller, Scope};
use super::body::Page;
use super::idempotency::Idempotent;
use super::oauth;
use crate::app::App;
use crate::problem::{ApiError, Problem};
use crate::services::products::{PREFIX_CHARS, end_key};
use crate::{peer, tokens};

/// A request for a key. What is left out is as with the key that asks.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// What it may do: `consents`, `data`, `events`, `evidence`, `keys`.
    pub scopes: Option<Vec<String>>,
    /// Purposes that it reads for.
    pub purposes: Option<Vec<String>>,
    /// Networks that it works from, CIDR; an empty list: any.
    pub networks: Option<Vec<String>>,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// A public key (JWK: P-256 or Ed25519). Then there is no secret: its holder signs for short tokens at `/oauth/token`.
    #[schema(value_type = Option<Object>)]
    pub jwk: Option<Value>,
}

/// A key.
#[derive(Clone, Serialize, ToSchema)]
pub struct KeyBody {
    /// `key_…`; also the `kid` of what it signs.
    pub id: String,
    /// The key itself, only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its first characters.
    pub prefix: String,
    /// `secret` or `private_key_jwt`.
    pub kind: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Purposes that it reads for; empty: all of the product.
    pub purposes: Vec<String>,
    /// Networks that it works from; empty: any.
    pub networks: Vec<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl From<ApiKey> for KeyBody {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            key: None,
            prefix: key.prefix,
            kind: if key.jwk.is_some() { "private_key_jwt" } else { "secret" }.to_owned(),
            scopes: key.scopes,
            purposes: key.purposes,
            networks: key.networks,
            created_at: key.created_at,
            expires_at: key.expires_at,
        }
    }
}

/// Make a key. The answer shows it, and nothing ever does again.
#[utoipa::path(
    post, path = "/v1/keys", tag = "keys", request_body = CreateKey,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition give the first answer")),
    responses((status = 201, body = KeyBody), (status = 401, body = Problem), (status = 422, body = Problem))
)]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    caller.may(Scope::Keys)?;
    let ask: CreateKey = super::json(&body)?;
    let parent = auth::by_id(&app, caller.key).await?.ok_or(ApiError::Unauthorised)?;
    let world = app.world();
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let (repeatable, first) =
        Idempotent::begin(&app, &mut tx, &world, &caller, &headers, "POST /v1/keys", &body).await?;
    if let Some(answer) = first {
        return Ok((StatusCode::CREATED, Json(answer)));
    }
    let known = products::get(&mut tx, caller.product).await?.purposes;
    let (secret, hash) = tokens::issue(tokens::Kind::ApiKey, &world);
    let mut key = within(&caller, &parent, &known, ask, world.now)?;
    key.id = ApiKeyId::new(&world);
    let signs = key.jwk.is_some();
    key.prefix = match signs {
        true => key.id.to_string().chars().take(PREFIX_CHARS).collect(),
        false => secret.expose_secret().chars().take(PREFIX_CHARS).collect(),
    };
    api_keys::create(&mut tx, &key, (!signs).then_some(&hash)).await?;
    let mut shown = KeyBody::from(key);
    shown.key = (!signs).then(|| secret.expose_secret().to_owned());
    let answer = serde_json::to_value(&shown).map_err(anyhow::Error::new)?;
    repeatable.keep(&app, &mut tx, &world, &answer).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// The key that is asked for, if it may do no more than the one that asks.
fn within(
    caller: &Caller,
    parent: &ApiKey,
    known: &[String],
    ask: CreateKey,
    now: Timestamp,
) -> Result<ApiKey, ApiError> {
    let invalid = |field, why: &str| ApiError::Invalid { field, why: why.to_owned() };
    let scopes = ask.scopes.unwrap_or_else(|| caller.scopes.clone());
    if scopes.iter().any(|scope| !caller.scopes.contains(scope)) {
        return Err(invalid("scopes", "must be scopes of the key that asks"));
    }
    let purposes = ask.purposes.unwrap_or_else(|| parent.purposes.clone());
    let may = if parent.purposes.is_empty() { known } else { &parent.purposes };
    let widens = purposes.is_empty() && !parent.purposes.is_empty();
    if widens || purposes.iter().any(|purpose| !may.contains(purpose)) {
        return Err(invalid("purposes", "must be purposes of the key that asks"));
    }
    let texts = ask.networks.unwrap_or_else(|| parent.networks.clone());
    let networks =
        peer::networks(&texts).ok_or_else(|| invalid("networks", "must be networks, such as 192.0.2.0/24"))?;
    let bounds = peer::networks(&parent.networks).unwrap_or_default();
    let is_within = networks.iter().all(|network| bounds.iter().any(|bound| bound.contains(network)));
    if !parent.networks.is_empty() && (networks.is_empty() || !is_within) {
        return Err(invalid("networks", "must lie within those of the key that asks"));
    }
    let expires_at = ask.expires_at.or(parent.expires_at);
    let outlives = parent.expires_at.zip(expires_at).is_some_and(|(end, asked)| asked > end);
    if outlives || expires_at.is_some_and(|end| end <= now) {
        return Err(invalid("expires_at", "must be in the future, and not after the end of the key that asks"));
    }
    let jwk = ask.jwk.map(|jwk| oauth::public(&jwk).map(|_| jwk.to_string())).transpose();
    let jwk = jwk.map_err(|()| invalid("jwk", "must be a public key: EC with P-256, or OKP with Ed25519"))?;
    let (id, product, tenant) = (parent.id, caller.product, caller.tenant);
    let prefix = String::new();
    Ok(ApiKey {
        id,
        tenant,
        product,
        prefix,
        scopes,
        purposes,
        networks: texts,
        jwk,
        created_at: now,
        expires_at,
        revoked_at: None,
    })
}

/// List the product's keys that are not withdrawn, oldest first.
#[utoipa::path(
    get, path = "/v1/keys", tag = "keys",
    responses((status = 200, body = Page<KeyBody>), (status = 401, body = Problem))
)]
pub async fn list(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<Page<KeyBody>>, ApiError> {
    caller.may(Scope::Keys)?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let keys = api_keys::of_product(&mut tx, caller.product).await?;
    tx.commit().await?;
    Ok(Json(Page { data: keys.into_iter().map(KeyBody::from).collect(), next_cursor: None }))
}

/// Withdraw a key: it and every short token that was given for it end at once.
#[utoipa::path(
    delete, path = "/v1/keys/{id}", tag = "keys", params(("id" = String, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    caller.may(Scope::Keys)?;
    let id: ApiKeyId = id.parse().map_err(|_| ApiError::NotFound("key"))?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let own = api_keys::of_product(&mut tx, caller.product).await?.into_iter().any(|key| key.id == id);
    if !own {
        return Err(ApiError::NotFound("key"));
    }
    end_key(&app, &mut tx, &app.world(), id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
