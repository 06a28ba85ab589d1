//! The token endpoint: codes, refresh tokens and our own credentials in, tokens out; and giving tokens back.

use std::fmt;

use bytes::Bytes;
use domain::world::World;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::call::Call;
use crate::client::Client;
use crate::client_auth::authenticate;
use crate::id_token::{self, Expected, Identity};
use crate::keys::KeySet;
use crate::login::RedeemableCode;
use crate::metadata::Metadata;
use crate::profile::{Alg, TokenBinding};
use crate::refusal::{self, Refusal};
use crate::sealed::{self, Unreadable};
use crate::wire::{self, Endpoint, Form};

/// Longest believable life of an access token, in seconds: ten years.
const EXPIRES_IN_SECONDS_MAX: i64 = 10 * 365 * 24 * 60 * 60;

/// Tokens that passed every check.
#[derive(Clone, Serialize, Deserialize)]
pub struct Tokens {
    /// The access token: for the `Authorization` header alone, and with a bound token over the same certificate.
    #[serde(serialize_with = "sealed::secret")]
    pub access_token: SecretString,
    /// The refresh token to use next, byte for byte.
    #[serde(serialize_with = "sealed::optional")]
    pub refresh_token: Option<SecretString>,
    /// When the access token ends by the server's word. Absent where the server did not say: expect it to be short.
    pub expires_at: Option<Timestamp>,
    /// The granted scope; what was asked for where the server did not say (RFC 6749 §5.1).
    pub scope: String,
    /// The granted rich authorization (RFC 9396 §7), which may be less than what was asked for.
    pub authorization_details: Option<Value>,
    /// What the ID token says, where one was asked for.
    pub identity: Option<Identity>,
}

impl Tokens {
    /// The bytes to seal and store.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        sealed::write(self)
    }

    /// The tokens of such bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        sealed::read(bytes)
    }
}

/// Scope and details may name a consent: `Debug` shows the expiry alone.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// The token response to a code, not to be used before its ID token was checked.
pub struct Redeemed {
    tokens: Tokens,
    id_token: Option<IdTokenToCheck>,
}

struct IdTokenToCheck {
    jwt: SecretString,
    issuer: String,
    client_id: String,
    nonce: SecretString,
    algs: Vec<Alg>,
    age_seconds_max: i64,
}

impl Redeemed {
    /// Checks the ID token against the login and yields the tokens. Without `openid` there is nothing to check and the
    /// keys may be empty. After `id_token.kid.untrusted` fetch the keys once more and ask again; any other refusal is
    /// final.
    pub fn check(&self, keys: &KeySet, now: Timestamp) -> Result<Tokens, Refusal> {
        let mut tokens = self.tokens.clone();
        if let Some(check) = &self.id_token {
            let expected = Expected {
                issuer: &check.issuer,
                client_id: &check.client_id,
                nonce: check.nonce.expose_secret(),
                access_token: tokens.access_token.expose_secret(),
                algs: &check.algs,
                age_seconds_max: check.age_seconds_max,
            };
            tokens.identity = Some(id_token::verify(check.jwt.expose_secret(), &expected, keys, now)?);
        }
        Ok(tokens)
    }
}

/// Unchecked tokens are secrets too.
impl fmt::Debug for Redeemed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redeemed(..)")
    }
}

/// RFC 6749 §4.1.3 with RFC 7636 §4.5.
pub(crate) fn redeem(
    client: &Client,
    metadata: &Metadata,
    code: RedeemableCode,
    world: &World<'_>,
) -> Result<Call<Redeemed, Refusal>, Refusal> {
    // RFC 9700 §4.4: the code goes to the server that issued it and to no other.
    refusal::METADATA_ISSUER_MISMATCH.require(metadata.issuer() == code.issuer)?;
    let form = vec![
        ("grant_type", "authorization_code".to_owned()),
        ("code", code.code.expose_secret().to_owned()),
        ("redirect_uri", code.redirect_uri),
        ("code_verifier", code.verifier.expose_secret().to_owned()),
    ];
    let binding = client.security.binding;
    let age_seconds_max = client.security.id_token_age_seconds_max;
    let algs = metadata.id_token_algs().to_vec();
    let (issuer, client_id, scope, nonce) = (code.issuer, code.client_id, code.scope, code.nonce);
    Ok(Call::new(request(client, metadata, form, world)?, move |response, now| {
        let Granted { tokens, id_token } = granted(response, now, binding, scope)?;
        let id_token = match nonce {
            Some(nonce) => {
                let jwt = came(id_token)?;
                Some(IdTokenToCheck { jwt, issuer, client_id, nonce, algs, age_seconds_max })
            }
            // An ID token that was not asked for says nothing to us.
            None => None,
        };
        Ok(Redeemed { tokens, id_token })
    }))
}

/// RFC 6749 §6. A new ID token in the answer is not read: it can say nothing that the first did not (OIDC Core §12.2).
pub(crate) fn refresh(
    client: &Client,
    metadata: &Metadata,
    tokens: &Tokens,
    world: &World<'_>,
) -> Result<Call<Tokens, Refusal>, Refusal> {
    let kept = tokens.clone();
    let refresh_token = kept.refresh_token.as_ref().ok_or_else(|| refusal::TOKEN_REFRESH_TOKEN_MISSING.refuse())?;
    let form =
        vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", refresh_token.expose_secret().to_owned())];
    let binding = client.security.binding;
    Ok(Call::new(request(client, metadata, form, world)?, move |response, now| {
        let fresh = granted(response, now, binding, kept.scope)?.tokens;
        Ok(Tokens {
            refresh_token: fresh.refresh_token.or(kept.refresh_token),
            authorization_details: fresh.authorization_details.or(kept.authorization_details),
            identity: kept.identity,
            ..fresh
        })
    }))
}

/// RFC 6749 §4.4.
pub(crate) fn client_credentials(
    client: &Client,
    metadata: &Metadata,
    scope: &str,
    world: &World<'_>,
) -> Result<Call<Tokens, Refusal>, Refusal> {
    let form = vec![("grant_type", "client_credentials".to_owned()), ("scope", scope.to_owned())];
    let (binding, scope) = (client.security.binding, scope.to_owned());
    Ok(Call::new(request(client, metadata, form, world)?, move |response, now| {
        Ok(granted(response, now, binding, scope)?.tokens)
    }))
}

/// Which kind of token is given back (RFC 7009 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenHint {
    /// An access token.
    AccessToken,
    /// A refresh token.
    RefreshToken,
}

impl TokenHint {
    const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
        }
    }
}

/// RFC 7009 §2.1. A token that the server no longer knows is revoked (§2.2).
pub(crate) fn revoke(
    client: &Client,
    metadata: &Metadata,
    token: &SecretString,
    hint: TokenHint,
    world: &World<'_>,
) -> Result<Call<(), Refusal>, Refusal> {
    let url = metadata.revocation_endpoint().ok_or_else(|| refusal::METADATA_REVOCATION_ENDPOINT_MISSING.refuse())?;
    let mut form = vec![("token", token.expose_secret().to_owned()), ("token_type_hint", hint.as_str().to_owned())];
    authenticate(client, metadata, world, &mut form)?;
    Ok(Call::new(wire::post(url, &form), |response, _| {
        let endpoint =
            Endpoint { status: refusal::REVOCATION_STATUS_INVALID, refused: refusal::REVOCATION_TOKEN_REFUSED };
        wire::expect(response, StatusCode::OK, &endpoint).map(|_| ())
    }))
}

/// An authenticated request to the token endpoint.
fn request(
    client: &Client,
    metadata: &Metadata,
    mut form: Form,
    world: &World<'_>,
) -> Result<http::Request<Bytes>, Refusal> {
    authenticate(client, metadata, world, &mut form)?;
    Ok(wire::post(metadata.token_endpoint(), &form))
}

/// A token response before its ID token was looked at.
struct Granted {
    tokens: Tokens,
    id_token: Option<SecretString>,
}

/// Reads a token response (RFC 6749 §5.1) for what was asked.
fn granted(
    response: http::Response<Bytes>,
    now: Timestamp,
    binding: TokenBinding,
    asked_scope: String,
) -> Result<Granted, Refusal> {
    let endpoint = Endpoint { status: refusal::TOKEN_STATUS_INVALID, refused: refusal::TOKEN_GRANT_REFUSED };
    let body = wire::expect(response, StatusCode::OK, &endpoint)?;
    let body = wire::json_object(&body).ok_or_else(|| refusal::TOKEN_RESPONSE_INVALID.refuse())?;
    token_type_fits(&body, binding)?;
    let scope = text(&body, "scope")?.map_or(asked_scope, str::to_owned);
    Ok(Granted {
        tokens: Tokens {
            access_token: access_token(&body)?,
            refresh_token: refresh_token(&body)?,
            expires_at: expires_at(&body, now)?,
            scope,
            authorization_details: body.get("authorization_details").cloned(),
            identity: None,
        },
        id_token: text(&body, "id_token")?.map(SecretString::from),
    })
}

/// A member that is text where it is there at all; `null` is not there.
fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(refusal::TOKEN_RESPONSE_INVALID.refuse()),
    }
}

/// RFC 6749 §5.1 and §7.1: the type is there, is ours, and its case does not matter.
fn token_type_fits(body: &Map<String, Value>, binding: TokenBinding) -> Result<(), Refusal> {
    let token_type = text(body, "token_type")?.ok_or_else(|| refusal::TOKEN_TOKEN_TYPE_MISSING.refuse())?;
    refusal::TOKEN_TOKEN_TYPE_MISMATCH.require(token_type.eq_ignore_ascii_case(binding.token_type()))
}

/// RFC 6750 §2.1: visible ASCII, so that it fits a header and nothing else with it.
fn access_token(body: &Map<String, Value>) -> Result<SecretString, Refusal> {
    let token = text(body, "access_token")?.ok_or_else(|| refusal::TOKEN_ACCESS_TOKEN_MISSING.refuse())?;
    let visible = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    refusal::TOKEN_ACCESS_TOKEN_INVALID.require(visible)?;
    Ok(token.into())
}

/// RFC 6749 §A.17: printable ASCII, spaces and signs among it.
fn refresh_token(body: &Map<String, Value>) -> Result<Option<SecretString>, Refusal> {
    let Some(token) = text(body, "refresh_token")? else { return Ok(None) };
    let printable = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    refusal::TOKEN_REFRESH_TOKEN_INVALID.require(printable)?;
    Ok(Some(token.into()))
}

/// RFC 6749 §5.1: seconds from now, where the server says.
fn expires_at(body: &Map<String, Value>, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
    let Some(value) = body.get("expires_in").filter(|value| !value.is_null()) else { return Ok(None) };
    let seconds = value.as_i64().filter(|seconds| (0..=EXPIRES_IN_SECONDS_MAX).contains(seconds));
    let seconds = seconds.ok_or_else(|| refusal::TOKEN_EXPIRES_IN_INVALID.refuse())?;
    Ok(now.saturating_add(SignedDuration::from_secs(seconds)).ok())
}

/// OIDC Core §3.1.3.3: who asked for an ID token must get one.
fn came(id_token: Option<SecretString>) -> Result<SecretString, Refusal> {
    id_token.ok_or_else(|| refusal::TOKEN_ID_TOKEN_MISSING.refuse())
}
