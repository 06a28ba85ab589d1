//! Short tokens: what a program gets for its key, once, and shows in place of it.
//!
//! A token is a JWT (RFC 7519) that this installation alone checks, so it is signed with HS256 under a key of its own. It
//! names the key that it was given for and nothing else that counts: scopes, networks, expiry and withdrawal are those of
//! the key at the moment of a request, so a token never outlives what it stands for.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::ids::ApiKeyId;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::api_keys::ApiKey;

use crate::app::App;
use crate::keys;
use crate::services::ServiceError;

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// Shown with requests.
    Access,
    /// Exchanged for a new one of the first kind.
    Refresh,
}

/// What a token says. Clients read `token_type` and `exp`.
#[derive(Serialize, Deserialize)]
struct Claims {
    token_type: Use,
    iss: String,
    /// The product.
    client_id: String,
    /// The key that it was given for.
    sub: String,
    /// The scopes that it was narrowed to, separated by spaces; absent: all of its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    iat: i64,
    exp: i64,
    jti: String,
}

/// A token that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The key behind it, still to be looked up.
    pub key: ApiKeyId,
    /// The scopes that it was narrowed to.
    pub scope: Option<String>,
    /// When it ends.
    pub ends_at: Timestamp,
}

/// Makes a token for a key that has proven itself, good for so many seconds.
///
/// # Errors
/// The database's or the key provider's.
pub async fn issue(
    app: &App,
    key: &ApiKey,
    what: Use,
    scope: Option<String>,
    seconds: i64,
) -> Result<SecretString, ServiceError> {
    let world = app.world();
    let ends = world.now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(world.now);
    let claims = Claims {
        token_type: what,
        iss: app.config.listen.public_url.to_string(),
        client_id: key.product.to_string(),
        sub: key.id.to_string(),
        scope,
        iat: world.now.as_second(),
        exp: ends.as_second(),
        jti: world.uuid().simple().to_string(),
    };
    let claims = serde_json::to_vec(&claims).map_err(anyhow::Error::new)?;
    let header = json!({ "alg": "HS256", "typ": "JWT" }).to_string();
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(&signing_key(app).await?, signed.as_bytes());
    Ok(SecretString::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))))
}

/// Reads a token; `None` for anything that is not a live one of ours for this use.
///
/// # Errors
/// The database's or the key provider's.
pub async fn read(app: &App, text: &str, wanted: Use) -> Result<Option<Presented>, ServiceError> {
    let Some((signed, tag)) = text.rsplit_once('.') else { return Ok(None) };
    let Ok(tag) = URL_SAFE_NO_PAD.decode(tag) else { return Ok(None) };
    // What nobody signed is not looked at: neither its header, which may name any algorithm, nor its claims.
    if hmac::verify(&signing_key(app).await?, signed.as_bytes(), &tag).is_err() {
        return Ok(None);
    }
    let claims = signed.split_once('.').and_then(|(_, claims)| URL_SAFE_NO_PAD.decode(claims).ok());
    let claims = claims.and_then(|claims| serde_json::from_slice::<Claims>(&claims).ok());
    Ok(claims.filter(|claims| claims.token_type == wanted && app.clock.now().as_second() < claims.exp).and_then(
        |claims| {
            let ends_at = Timestamp::from_second(claims.exp).ok()?;
            Some(Presented { key: claims.sub.parse().ok()?, scope: claims.scope, ends_at })
        },
    ))
}

/// The key of this installation's tokens.
async fn signing_key(app: &App) -> Result<hmac::Key, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let key = keys::of_purpose(app, &mut tx, &world, "access").await?;
    tx.commit().await?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &key.mac("access.token", b"HS256")))
}
