//! `POST /oauth/token`: a short token for whoever signs for it (RFC 6749 §4.4, `private_key_jwt` of RFC 7523 §2.2).
//!
//! The assertion's `kid` is the id of a key of `/v1/keys` with a public key, `iss` and `sub` are the product's id, `aud` is
//! this endpoint or this server, and each `jti` counts once.

use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::limits::CLOCK_SKEW_SECONDS;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::api_keys::ApiKey;
use store::idempotency::{self, Seen};
use url::form_urlencoded;
use utoipa::ToSchema;

use super::auth;
use crate::access::{self, Use};
use crate::app::App;
use crate::problem::{ApiError, Problem};
use crate::tokens;

/// Life of a token, in seconds.
const TOKEN_SECONDS: i64 = 600;
/// Longest life of an assertion, in seconds.
const ASSERTION_SECONDS_MAX: i64 = 600;
/// Longest body, in bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A request for a token, as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape is for the document; the form is read field by field")]
pub struct TokenForm {
    /// `client_credentials`.
    grant_type: String,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
    client_assertion_type: String,
    /// A JWT, signed with ES256 or EdDSA.
    client_assertion: String,
    /// Scopes, separated by spaces, to have fewer than the key.
    scope: Option<String>,
}

/// A token (RFC 6749 §5.1).
#[derive(Serialize, ToSchema)]
pub struct TokenBody {
    /// Show it in place of a key.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// Seconds that it lives.
    pub expires_in: i64,
    /// What it may do.
    pub scope: String,
}

/// An error (RFC 6749 §5.2).
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenError {
    /// `invalid_client`, `invalid_request`, `invalid_scope` or `unsupported_grant_type`.
    pub error: String,
}

/// Why there is no token.
pub enum NoToken {
    /// In the words of OAuth.
    Refused(&'static str),
    /// Anything else.
    Other(ApiError),
}

impl<E: Into<ApiError>> From<E> for NoToken {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

impl IntoResponse for NoToken {
    fn into_response(self) -> Response {
        match self {
            Self::Other(error) => error.into_response(),
            Self::Refused(error) => {
                let status = if error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
                (status, Json(TokenError { error: error.to_owned() })).into_response()
            }
        }
    }
}

/// Get a short token for a signed assertion.
#[utoipa::path(
    post, path = "/oauth/token", tag = "keys", security(()),
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, body = TokenBody), (status = 400, body = TokenError), (status = 401, body = TokenError),
        (status = 403, body = Problem), (status = 429, body = Problem)
    )
)]
pub async fn token(State(app): State<Arc<App>>, request: Request) -> Result<Json<TokenBody>, NoToken> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| ApiError::TooLarge)?;
    let form = Form(body);
    if form.get("grant_type")? != Some("client_credentials".to_owned()) {
        return Err(NoToken::Refused("unsupported_grant_type"));
    }
    let assertion =
        form.get("client_assertion")?.filter(|_| is_jwt(&form)).ok_or(NoToken::Refused("invalid_client"))?;
    let refused = || NoToken::Refused("invalid_client");
    let claimed = Assertion::read(&assertion).ok_or_else(refused)?;
    let id = claimed.header.kid.parse().map_err(|_| refused())?;
    let key = auth::by_id(&app, id).await?.filter(|key| key.is_live(app.clock.now())).ok_or_else(refused)?;
    if !claimed.is_by(&key) || !claimed.claims.holds(&app, &key) {
        return Err(refused());
    }
    auth::admit(&app, &parts, &key)?;
    once(&app, &key, &claimed.claims).await?;
    let asked = form.get("scope")?.unwrap_or_else(|| key.scopes.join(" "));
    if asked.split(' ').any(|scope| !key.scopes.iter().any(|has| has == scope)) {
        return Err(NoToken::Refused("invalid_scope"));
    }
    let token = access::issue(&app, &key, Use::Access, Some(asked.clone()), TOKEN_SECONDS).await?;
    Ok(Json(TokenBody {
        access_token: token.expose_secret().to_owned(),
        token_type: "Bearer".to_owned(),
        expires_in: TOKEN_SECONDS,
        scope: asked,
    }))
}

fn is_jwt(form: &Form) -> bool {
    matches!(form.get("client_assertion_type"), Ok(Some(kind)) if kind == ASSERTION_TYPE)
}

struct Form(Bytes);

impl Form {
    /// A parameter; one that comes twice is refused (RFC 6749 §3.2).
    fn get(&self, name: &str) -> Result<Option<String>, NoToken> {
        let mut given = form_urlencoded::parse(&self.0).filter(|(known, _)| known == name);
        match (given.next(), given.next()) {
            (_, Some(_)) => Err(NoToken::Refused("invalid_request")),
            (first, None) => Ok(first.map(|(_, text)| text.into_owned())),
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Value,
    exp: i64,
    nbf: Option<i64>,
    jti: String,
}

/// An assertion in its parts; untrusted until it is held against a key.
struct Assertion<'a> {
    header: Header,
    claims: Claims,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Assertion<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        Some(Self {
            header: serde_json::from_slice(&decode(header)?).ok()?,
            claims: serde_json::from_slice(&decode(claims)?).ok()?,
            signed,
            signature: decode(signature)?,
        })
    }

    /// Whether the key made the signature, with the algorithm that is the key's own.
    fn is_by(&self, key: &ApiKey) -> bool {
        let jwk = key.jwk.as_deref().and_then(|jwk| serde_json::from_str::<Value>(jwk).ok());
        let Some(Ok(public)) = jwk.as_ref().map(public) else { return false };
        let (alg, verified) = match public {
            Public::P256(point) => {
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                ("ES256", key.verify(self.signed.as_bytes(), &self.signature))
            }
            Public::Ed25519(point) => {
                ("EdDSA", UnparsedPublicKey::new(&ED25519, point).verify(self.signed.as_bytes(), &self.signature))
            }
        };
        self.header.alg == alg && self.header.crit.is_none() && verified.is_ok()
    }
}

impl Claims {
    /// Whether it was made by the product, for us, for now.
    fn holds(&self, app: &App, key: &ApiKey) -> bool {
        let (product, now) = (key.product.to_string(), app.clock.now().as_second());
        let base = app.config.listen.public_url.as_str();
        let ours = [format!("{base}oauth/token"), base.to_owned(), base.trim_end_matches('/').to_owned()];
        let is_ours = |aud: &Value| aud.as_str().is_some_and(|aud| ours.iter().any(|our| our == aud));
        let for_us = match &self.aud {
            Value::Array(all) => all.len() == 1 && all.iter().all(is_ours),
            one => is_ours(one),
        };
        let begun = self.nbf.is_none_or(|begin| begin <= now + CLOCK_SKEW_SECONDS);
        let live = now < self.exp && self.exp <= now + ASSERTION_SECONDS_MAX + CLOCK_SKEW_SECONDS;
        self.iss == product && self.sub == product && for_us && begun && live && !self.jti.is_empty()
    }
}

/// Lets an assertion count once (RFC 7523 §3).
async fn once(app: &App, key: &ApiKey, claims: &Claims) -> Result<(), NoToken> {
    let now = app.world().now;
    let name = format!("client_assertion {} {}", key.id, claims.jti);
    let request = idempotency::Request {
        product: key.product,
        key_hash: tokens::hash(name.as_bytes()),
        // Never the same twice, so that a second one is known for what it is.
        request_hash: app.world().bytes(),
    };
    let mut tx = app.store.tenant_tx(key.tenant).await?;
    let until = Timestamp::from_second(claims.exp).map_err(|_| NoToken::Refused("invalid_client"))?;
    let seen = idempotency::begin(&mut tx, &request, now, until).await?;
    tx.commit().await?;
    match seen {
        Seen::New => Ok(()),
        Seen::Misused | Seen::Answered(_) => Err(NoToken::Refused("invalid_client")),
    }
}

/// A public key that signatures are held against.
pub(super) enum Public {
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// Reads a JWK (RFC 7517, RFC 8037); one that holds a private part is refused.
pub(super) fn public(jwk: &Value) -> Result<Public, ()> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let point = |name: &str| {
        let bytes = text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        bytes.filter(|bytes| bytes.len() == 32).ok_or(())
    };
    if jwk.get("d").is_some() {
        return Err(());
    }
    match (text("kty"), text("crv")) {
        // SEC 1 §2.3.4: an uncompressed point begins with 4.
        (Some("EC"), Some("P-256")) => Ok(Public::P256([vec![4], point("x")?, point("y")?].concat())),
        (Some("OKP"), Some("Ed25519")) => Ok(Public::Ed25519(point("x")?)),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_public_whole_and_of_a_known_kind() {
        let x = URL_SAFE_NO_PAD.encode([7; 32]);
        let good = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        assert!(public(&good).is_ok());
        assert!(public(&json!({ "kty": "EC", "crv": "P-256", "x": x, "y": x })).is_ok());
        for bad in [
            json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "d": x }),
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" }),
            json!({ "kty": "EC", "crv": "P-256", "x": x }),
            json!({ "kty": "EC", "crv": "secp256k1", "x": x, "y": x }),
            json!({ "kty": "RSA" }),
            json!("key"),
        ] {
            assert!(public(&bad).is_err(), "{bad}");
        }
    }
}
