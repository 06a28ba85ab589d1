//! Decoupled logins (OpenID Connect Client-Initiated Backchannel Authentication Core 1.0, as FAPI-CIBA narrows it): no
//! browser travels; the server asks the user on a device of theirs, and we ask the server until it knows.
//!
//! [`Client::authenticate_elsewhere`] → [`PendingAuthentication`] → [`Client::poll`], again and again → [`Polled`]. The
//! pending login is what a login by browser is: bytes to seal and keep. A [`Ping`] of the server makes the next poll
//! possible at once; whoever waits for one polls all the same, more rarely, since pings get lost. Tokens are never taken
//! from a notification (push).
//!
//! ```
//! # use std::sync::Arc;
//! # use std::sync::atomic::{AtomicU8, Ordering};
//! # use bytes::Bytes;
//! # use domain::world::{Entropy, World};
//! # use fapi::client::Client;
//! # use fapi::keys::PemSigner;
//! # use fapi::metadata::{Environment, Metadata};
//! # use fapi::profile::{Alg, FAPI1_ADVANCED};
//! # use fapi::request::AuthorizationRequest;
//! use fapi::ciba::{BackchannelRequest, Hint, PendingAuthentication, Polled};
//! # struct Counting(AtomicU8);
//! # impl Entropy for Counting {
//! #     fn fill(&self, bytes: &mut [u8]) {
//! #         bytes.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
//! #     }
//! # }
//! # let entropy = Counting(AtomicU8::new(0));
//! # let pem = josekit::jws::ES256.generate_key_pair()?.to_pem_private_key();
//! # let now: jiff::Timestamp = "2026-11-21T10:00:00Z".parse()?;
//! # let signer = PemSigner::from_pem(Alg::Es256, "key-2026", &pem)?;
//! # let client = Client::new(FAPI1_ADVANCED, "tpp-1", "https://tpp.example/callback", Arc::new(signer));
//! # let metadata = br#"{ "issuer": "https://as.example", "authorization_endpoint": "https://as.example/authorize",
//! #     "token_endpoint": "https://as.example/token", "backchannel_authentication_endpoint": "https://as.example/ciba" }"#;
//! # let metadata = Metadata::parse(metadata, "https://as.example", Environment::Production, client.security())?;
//! # let bank = |status: u16, body: &'static str| http::Response::builder().status(status).body(Bytes::from(body));
//!
//! // Ask; store the login, sealed.
//! let what = AuthorizationRequest::scope("openid accounts");
//! let asked = BackchannelRequest::new(what, Hint::Login("ada@bank.example".into()));
//! let world = World { now, entropy: &entropy };
//! let (request, read) = client.authenticate_elsewhere(&metadata, &asked, &world)?.split();
//! let pending = read(bank(200, r#"{ "auth_req_id": "1c26", "expires_in": 120, "interval": 5 }"#)?, now)?;
//! let stored = pending.to_bytes();
//!
//! // Later: ask whether the user is done. Sooner than this would be refused here.
//! let world = World { now: pending.next_poll_at(), entropy: &entropy };
//! let pending = PendingAuthentication::from_bytes(&stored)?;
//! let (request, read) = client.poll(&metadata, pending, &world)?.split();
//! match read(bank(400, r#"{ "error": "authorization_pending" }"#)?, world.now)? {
//!     Polled::Pending(pending) => assert_eq!(pending.next_poll_at().to_string(), "2026-11-21T10:00:10Z"),
//!     Polled::Redeemed(_) => unreachable!("the user is not done"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::constant_time::verify_slices_are_equal;
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
use crate::login::{self, Asked};
use crate::metadata::{Metadata, endpoint_is_named};
use crate::profile::TokenDelivery;
use crate::random;
use crate::refusal::{self, Reason, Refusal};
use crate::request::{self, AuthorizationRequest};
use crate::sealed::{self, Unreadable};
use crate::token::{self, Expected, Origin, Redeemed, Terms};
use crate::wire::{self, Endpoint};

/// OIDC CIBA Core §10.1.
pub(crate) const GRANT_TYPE: &str = "urn:openid:params:grant-type:ciba";
/// OIDC CIBA Core §7.3: the time between two polls where the server does not say, in seconds.
const INTERVAL_SECONDS_DEFAULT: i64 = 5;
/// OIDC CIBA Core §11: by how much `slow_down` lengthens it, in seconds.
const SLOW_DOWN_SECONDS: i64 = 5;
/// Longest time between two polls that is taken from a server, in seconds.
const INTERVAL_SECONDS_MAX: i64 = 600;
/// Longest life of a request that is believed, in seconds: a day.
const EXPIRES_IN_SECONDS_MAX: i64 = 24 * 60 * 60;
/// Longest name of a request, in bytes.
const AUTH_REQ_ID_BYTES_MAX: usize = 1024;
/// Longest message for both screens, in characters: what a small screen shows.
const BINDING_MESSAGE_CHARS_MAX: usize = 64;

/// Who is to sign in (OIDC CIBA Core §7.1). Exactly one of these is sent.
#[derive(Clone)]
pub enum Hint {
    /// A name that the server knows the user by (`login_hint`).
    Login(SecretString),
    /// A signed statement about the user (`login_hint_token`), in a form that the server defines.
    LoginToken(SecretString),
    /// An ID token that the server issued before (`id_token_hint`).
    IdToken(SecretString),
}

impl Hint {
    fn parameter(&self) -> (&'static str, Value) {
        let (name, value) = match self {
            Self::Login(value) => ("login_hint", value),
            Self::LoginToken(value) => ("login_hint_token", value),
            Self::IdToken(value) => ("id_token_hint", value),
        };
        (name, value.expose_secret().into())
    }
}

/// What is asked of a user elsewhere.
#[derive(Clone)]
pub struct BackchannelRequest {
    /// The scope, `openid` among it, and what else is to be authorised.
    pub what: AuthorizationRequest,
    /// Who is to sign in.
    pub hint: Hint,
    /// Shown on both screens, so that the user sees that they belong together: 1 to 64 visible characters of ASCII.
    pub binding_message: Option<String>,
    /// A code that only the user knows, where the server wants one against unwanted requests.
    pub user_code: Option<SecretString>,
    /// Seconds that the user shall have. The server decides.
    pub requested_expiry: Option<NonZeroU32>,
}

impl BackchannelRequest {
    /// A request with nothing but what is needed.
    pub fn new(what: AuthorizationRequest, hint: Hint) -> Self {
        Self { what, hint, binding_message: None, user_code: None, requested_expiry: None }
    }

    /// OIDC CIBA Core §7.1, in the names of the standard.
    fn parameters(&self, asked: &Asked, notification_token: Option<&SecretString>) -> Vec<(&'static str, Value)> {
        let mut parameters = vec![("scope", asked.scope.as_str().into()), self.hint.parameter()];
        let mut add = |name, value: Option<Value>| parameters.extend(value.map(|value| (name, value)));
        add("client_notification_token", notification_token.map(|token| token.expose_secret().into()));
        add("binding_message", self.binding_message.as_deref().map(Value::from));
        add("user_code", self.user_code.as_ref().map(|code| code.expose_secret().into()));
        add("requested_expiry", self.requested_expiry.map(|seconds| seconds.get().into()));
        add("acr_values", (!asked.acr_values.is_empty()).then(|| asked.acr_values.join(" ").into()));
        add("authorization_details", asked.authorization_details.clone());
        // The standard has no place for what is authorised; servers that name it in a claim read it where they do else.
        let named = asked.intent.is_some() || asked.arrangement.is_some();
        // Nor has it one for an `acr` of the server's choice.
        let named = named || (asked.acr_required && asked.acr_values.is_empty());
        add("claims", named.then(|| asked.claims()).flatten());
        parameters
    }
}

/// Hints and codes are about a person.
impl fmt::Debug for BackchannelRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackchannelRequest(..)")
    }
}

/// A login that a user is asked for elsewhere. Polling consumes it, and gives it back as long as it is pending.
#[derive(Serialize, Deserialize)]
pub struct PendingAuthentication {
    issuer: String,
    client_id: String,
    asked: Box<Asked>,
    #[serde(serialize_with = "sealed::secret")]
    auth_req_id: SecretString,
    #[serde(serialize_with = "sealed::optional")]
    notification_token: Option<SecretString>,
    interval_seconds: i64,
    next_poll_at: Timestamp,
    expires_at: Timestamp,
}

impl PendingAuthentication {
    /// The issuer that was asked.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// When the server may be asked next.
    pub fn next_poll_at(&self) -> Timestamp {
        self.next_poll_at
    }

    /// When the login is over, answered or not.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// SHA-256 of the request's name: what to file the login under, so that its ping finds it ([`Ping::tag`]).
    pub fn tag(&self) -> [u8; 32] {
        login::tag(self.auth_req_id.expose_secret())
    }

    /// The bytes to seal and store until the user is done.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        sealed::write(self)
    }

    /// The login of such bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        sealed::read(bytes)
    }

    /// The login after a notification: it may be asked for at once. A notification that does not show our token, or is
    /// about another login, changes nothing; answer 401 and 400 (OIDC CIBA Core §10.2), else 204, and never redirect.
    pub fn pinged(self, ping: &Ping, now: Timestamp) -> Result<Self, Refusal> {
        notification_token_matches(ping, self.notification_token.as_ref())?;
        notification_is_about(ping, &self.auth_req_id)?;
        Ok(Self { next_poll_at: now, ..self })
    }

    /// The login after a poll whose answer was lost: the next one waits longer, as after `slow_down` (RFC 8628 §3.5).
    pub fn delayed(self, now: Timestamp) -> Self {
        self.waiting(SLOW_DOWN_SECONDS, now)
    }

    fn waiting(self, longer_by_seconds: i64, now: Timestamp) -> Self {
        let interval_seconds = self.interval_seconds.saturating_add(longer_by_seconds);
        Self { interval_seconds, next_poll_at: after(now, interval_seconds), ..self }
    }
}

/// Names who answers and until when; nothing that a login is made of.
impl fmt::Debug for PendingAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingAuthentication")
            .field("issuer", &self.issuer)
            .field("next_poll_at", &self.next_poll_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What a poll found.
#[derive(Debug)]
pub enum Polled {
    /// The user is not done. Store the login in place of the old one; it says when to ask again.
    Pending(Box<PendingAuthentication>),
    /// The user agreed: tokens, not to be used before their ID token was checked.
    Redeemed(Box<Redeemed>),
}

/// A notification that came to our endpoint (OIDC CIBA Core §10.2): untrusted until a [`PendingAuthentication`] has
/// matched it.
pub struct Ping {
    token: SecretString,
    auth_req_id: SecretString,
}

impl Ping {
    /// Reads the `Authorization` header and the body of a notification. What else is in the body counts for nothing.
    pub fn parse(authorization: Option<&str>, body: &[u8]) -> Result<Self, Refusal> {
        let token =
            authorization.and_then(wire::bearer).ok_or_else(|| refusal::PING_NOTIFICATION_TOKEN_MISSING.refuse())?;
        let body = wire::json_object(body);
        let auth_req_id = body.as_ref().and_then(|body| body.get("auth_req_id")?.as_str());
        let auth_req_id = auth_req_id.ok_or_else(|| refusal::PING_BODY_INVALID.refuse())?;
        Ok(Self { token: token.into(), auth_req_id: auth_req_id.into() })
    }

    /// SHA-256 of the request's name that the notification claims, to look the login up. A claim and no more: only
    /// [`PendingAuthentication::pinged`] matches it.
    pub fn tag(&self) -> [u8; 32] {
        login::tag(self.auth_req_id.expose_secret())
    }
}

/// A notification holds secrets.
impl fmt::Debug for Ping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ping(..)")
    }
}

/// OIDC CIBA Core §7.1: the authentication request, always as one signed request object (FAPI-CIBA §5.2.2).
pub(crate) fn begin(
    client: &Client,
    metadata: &Metadata,
    request: &BackchannelRequest,
    world: &World<'_>,
) -> Result<Call<PendingAuthentication, Refusal>, Refusal> {
    let url = metadata.backchannel_authentication_endpoint();
    let url = endpoint_is_named(url, &refusal::METADATA_BACKCHANNEL_ENDPOINT_MISSING)?;
    let delivery = client.security.token_delivery;
    metadata.accepts_backchannel(client.signer.alg(), delivery)?;
    openid_is_asked_for(&request.what.scope)?;
    binding_message_is_short(request.binding_message.as_deref())?;
    let asked = Box::new(Asked::new(client, metadata, &request.what, None, world)?);
    let notification_token = match delivery {
        TokenDelivery::Poll => None,
        TokenDelivery::Ping => Some(SecretString::from(random::text::<32>(world))),
    };
    let parameters = request.parameters(&asked, notification_token.as_ref());
    let mut form = vec![("request", request::signed(client, metadata, None, parameters, world)?)];
    authenticate(client, metadata, world, &mut form)?;
    let (issuer, client_id) = (metadata.issuer().to_owned(), client.client_id.clone());
    Ok(Call::new(wire::post(url, &form), move |response, now| {
        let endpoint = Endpoint { status: refusal::CIBA_STATUS_INVALID, refused: refusal::CIBA_REQUEST_REFUSED };
        let body = wire::expect(response, StatusCode::OK, &endpoint)?;
        let body = wire::json_object(&body).ok_or_else(|| refusal::CIBA_RESPONSE_INVALID.refuse())?;
        let (auth_req_id, expires_in) = (auth_req_id(&body)?, expires_in(&body)?);
        let interval_seconds = interval(&body)?;
        Ok(PendingAuthentication {
            issuer,
            client_id,
            asked,
            auth_req_id,
            notification_token,
            interval_seconds,
            next_poll_at: after(now, interval_seconds),
            expires_at: after(now, expires_in),
        })
    }))
}

/// OIDC CIBA Core §10.1: one question at the token endpoint.
pub(crate) fn poll(
    client: &Client,
    metadata: &Metadata,
    pending: PendingAuthentication,
    world: &World<'_>,
) -> Result<Call<Polled, Refusal>, Refusal> {
    metadata.is_of(&pending.issuer)?;
    client.is(&pending.client_id)?;
    login_is_in_time(&pending, world.now)?;
    poll_is_due(&pending, world.now)?;
    let form =
        vec![("grant_type", GRANT_TYPE.to_owned()), ("auth_req_id", pending.auth_req_id.expose_secret().to_owned())];
    let terms = Terms::of_login(client, &pending.issuer, &pending.asked);
    let dpop = pending.asked.dpop.clone();
    token::call(client, metadata, form, dpop, world, move |response, now| match error(&response).as_deref() {
        Some("authorization_pending") => Ok(Polled::Pending(Box::new(pending.waiting(0, now)))),
        Some("slow_down") => Ok(Polled::Pending(Box::new(pending.waiting(SLOW_DOWN_SECONDS, now)))),
        Some(error @ "expired_token") => Err(refusal::CIBA_AUTH_REQ_ID_EXPIRED.with_error(error)),
        Some(error @ "access_denied") => Err(refusal::CIBA_AUTHORIZATION_REFUSED.with_error(error)),
        _ => {
            let PendingAuthentication { issuer, client_id, asked, auth_req_id, .. } = pending;
            let origin = Origin::Backchannel(auth_req_id);
            let expected = Expected { issuer, client_id, asked, origin, id_token: true };
            token::redeemed(response, now, &terms, expected).map(|redeemed| Polled::Redeemed(Box::new(redeemed)))
        }
    })
}

/// The OAuth error of an answer that is one (RFC 6749 §5.2).
fn error(response: &http::Response<bytes::Bytes>) -> Option<String> {
    response.status().is_client_error().then_some(())?;
    Some(wire::json_object(response.body())?.get("error")?.as_str()?.to_owned())
}

/// OIDC CIBA Core §11: a request that has lapsed is not asked for again.
fn login_is_in_time(pending: &PendingAuthentication, now: Timestamp) -> Result<(), Refusal> {
    refusal::CIBA_AUTH_REQ_ID_EXPIRED.require(now < pending.expires_at)
}

/// OIDC CIBA Core §7.3: never more often than the server allows.
fn poll_is_due(pending: &PendingAuthentication, now: Timestamp) -> Result<(), Refusal> {
    refusal::CIBA_POLL_INVALID.require(pending.next_poll_at <= now)
}

/// OIDC CIBA Core §10.2: the token that we gave the server for this login, compared in constant time.
fn notification_token_matches(ping: &Ping, given: Option<&SecretString>) -> Result<(), Refusal> {
    let shown = ping.token.expose_secret().as_bytes();
    let equal = given.is_some_and(|given| verify_slices_are_equal(shown, given.expose_secret().as_bytes()).is_ok());
    refusal::PING_NOTIFICATION_TOKEN_MISMATCH.require(equal)
}

/// OIDC CIBA Core §10.2: the request that the notification names is this one.
fn notification_is_about(ping: &Ping, auth_req_id: &SecretString) -> Result<(), Refusal> {
    let named = ping.auth_req_id.expose_secret().as_bytes();
    let equal = verify_slices_are_equal(named, auth_req_id.expose_secret().as_bytes()).is_ok();
    refusal::PING_AUTH_REQ_ID_MISMATCH.require(equal)
}

/// OIDC CIBA Core §7.1: `openid` is among the scopes.
fn openid_is_asked_for(scope: &str) -> Result<(), Refusal> {
    refusal::CLIENT_SCOPE_INVALID.require(login::asks_for_id_token(scope))
}

/// OIDC CIBA Core §7.1: short, and of characters that every screen can show.
fn binding_message_is_short(message: Option<&str>) -> Result<(), Refusal> {
    let fits = |message: &str| {
        let shown = message.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        shown && (1..=BINDING_MESSAGE_CHARS_MAX).contains(&message.len())
    };
    refusal::CLIENT_BINDING_MESSAGE_INVALID.require(message.is_none_or(fits))
}

/// OIDC CIBA Core §7.3: letters, digits and `.`, `-`, `_`.
fn auth_req_id(body: &Map<String, Value>) -> Result<SecretString, Refusal> {
    let id = body.get("auth_req_id").ok_or_else(|| refusal::CIBA_AUTH_REQ_ID_MISSING.refuse())?;
    let id = id.as_str().ok_or_else(|| refusal::CIBA_AUTH_REQ_ID_INVALID.refuse())?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let fits = id.bytes().all(allowed) && (1..=AUTH_REQ_ID_BYTES_MAX).contains(&id.len());
    refusal::CIBA_AUTH_REQ_ID_INVALID.require(fits)?;
    Ok(id.into())
}

/// OIDC CIBA Core §7.3: a positive number of seconds.
fn expires_in(body: &Map<String, Value>) -> Result<i64, Refusal> {
    let value = body.get("expires_in").ok_or_else(|| refusal::CIBA_EXPIRES_IN_MISSING.refuse())?;
    seconds(value, EXPIRES_IN_SECONDS_MAX, &refusal::CIBA_EXPIRES_IN_INVALID)
}

/// OIDC CIBA Core §7.3: five seconds where the server does not say.
fn interval(body: &Map<String, Value>) -> Result<i64, Refusal> {
    let said = body.get("interval").filter(|value| !value.is_null());
    let read = |value| seconds(value, INTERVAL_SECONDS_MAX, &refusal::CIBA_INTERVAL_INVALID);
    said.map_or(Ok(INTERVAL_SECONDS_DEFAULT), read)
}

fn seconds(value: &Value, max: i64, reason: &Reason) -> Result<i64, Refusal> {
    wire::whole(value).filter(|seconds| (1..=max).contains(seconds)).ok_or_else(|| reason.refuse())
}

fn after(now: Timestamp, seconds: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now)
}
