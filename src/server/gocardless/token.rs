//! Tokens: a pair for a product's key, and a new access token for a refresh token.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use domain::ids::ProductId;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use store::api_keys::{self, ApiKey};
use uuid::Uuid;

use super::body::Fields;
use super::refusal::Refusal;
use crate::access::{self, Use};
use crate::api::auth;
use crate::app::App;
use crate::tokens;

/// Life of an access token, in seconds; clients of this surface expect a day.
const ACCESS_SECONDS: i64 = 86_400;
/// Life of a refresh token, in seconds.
const REFRESH_SECONDS: i64 = 2_592_000;

/// `POST token/new/`: `secret_id` is the product's id, `secret_key` one of its keys.
pub(super) async fn obtain(State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>, Refusal> {
    let (parts, fields) = fields(request).await?;
    let fields = fields.only(&["secret_id", "secret_key"])?;
    fields.require(&["secret_id", "secret_key"])?;
    let (id, secret) = (fields.text("secret_id")?.unwrap_or_default(), fields.text("secret_key")?.unwrap_or_default());
    let product = id.parse::<ProductId>().ok().or_else(|| Uuid::try_parse(id).ok().map(ProductId::from_uuid));
    let hash = tokens::read(tokens::Kind::ApiKey, secret);
    let (Some(product), Some(hash)) = (product, hash) else { return Err(unknown()) };
    let mut tx = app.store.system_tx().await?;
    let key = api_keys::find(&mut tx, &hash).await?;
    tx.commit().await?;
    let is_right = |key: &ApiKey| key.product == product && key.is_live(app.clock.now());
    let key = key.filter(is_right).ok_or_else(unknown)?;
    auth::admit(&app, &parts, &key)?;
    let access = access::issue(&app, &key, Use::Access, None, ACCESS_SECONDS).await?;
    let refresh = access::issue(&app, &key, Use::Refresh, None, REFRESH_SECONDS).await?;
    Ok(Json(json!({
        "access": access.expose_secret(),
        "access_expires": ACCESS_SECONDS,
        "refresh": refresh.expose_secret(),
        "refresh_expires": REFRESH_SECONDS,
    })))
}

/// `POST token/refresh/`.
pub(super) async fn refresh(State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>, Refusal> {
    let (parts, fields) = fields(request).await?;
    let fields = fields.only(&["refresh"])?;
    fields.require(&["refresh"])?;
    let over = || Refusal::new(StatusCode::UNAUTHORIZED, "Invalid token", "Token is invalid or expired");
    let shown =
        access::read(&app, fields.text("refresh")?.unwrap_or_default(), Use::Refresh).await?.ok_or_else(over)?;
    let key = auth::by_id(&app, shown.key).await?.filter(|key| key.is_live(app.clock.now())).ok_or_else(over)?;
    auth::admit(&app, &parts, &key)?;
    let access = access::issue(&app, &key, Use::Access, shown.scope, ACCESS_SECONDS).await?;
    Ok(Json(json!({ "access": access.expose_secret(), "access_expires": ACCESS_SECONDS })))
}

/// Fields, with the parts of the request that say where it comes from.
async fn fields(request: Request) -> Result<(axum::http::request::Parts, Fields), Refusal> {
    use axum::extract::FromRequest as _;
    let (parts, body) = request.into_parts();
    let fields = Fields::from_request(Request::from_parts(parts.clone(), body), &()).await?;
    Ok((parts, fields))
}

fn unknown() -> Refusal {
    Refusal::new(
        StatusCode::UNAUTHORIZED,
        "Authentication failed",
        "No active account found with the given credentials",
    )
}
