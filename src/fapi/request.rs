//! The authorization request: built once, then pushed over the back channel and pointed at from the browser, or sent
//! through the browser itself.

use domain::world::World;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use openidconnect::{PkceCodeChallenge, PkceCodeVerifier};
use secrecy::SecretString;
use serde_json::{Map, Value};
use url::Url;

use crate::call::Call;
use crate::client::Client;
use crate::client_auth::authenticate;
use crate::jws;
use crate::login::PendingLogin;
use crate::metadata::{Metadata, endpoint_is_named};
use crate::random;
use crate::refusal::{self, Refusal};
use crate::wire::{self, Endpoint, Form};

/// Longest `request_uri` that is taken, in bytes. RFC 9101 §5.2 suggests 512.
const REQUEST_URI_BYTES_MAX: usize = 2048;

/// What OAuth wants to see beside a request object in the URL (RFC 9101 §5, OIDC Core §6.1), equal to what is inside.
const OUTSIDE_REQUEST_OBJECT: [&str; 3] = ["client_id", "response_type", "scope"];

/// RFC 9101 §10.8: the type of a signed request object.
const REQUEST_OBJECT_TYPE: &str = "oauth-authz-req+jwt";

/// What is asked of the user.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AuthorizationRequest {
    /// Scopes in the order they are sent, separated by single spaces. With `openid` among them an ID token must come.
    pub scope: String,
    /// Rich authorization request (RFC 9396 §2): an array of objects with `type`.
    pub authorization_details: Option<Value>,
    /// What is shared, how often, how far back and until when, as Polish API has it: an object.
    pub scope_details: Option<Value>,
    /// The server's id of what is to be authorised, for profiles that name it in a claim
    /// ([`crate::profile::Security::intent_claim`]).
    pub intent: Option<String>,
    /// The arrangement that this authorisation changes, for profiles that know arrangements
    /// ([`crate::profile::Security::arrangement_claim`]). Absent: a new one begins.
    pub arrangement: Option<String>,
    /// For how many seconds data are shared, for profiles that ask for it
    /// ([`crate::profile::Security::duration_claim`]). Absent: once.
    pub sharing_seconds: Option<u32>,
}

impl AuthorizationRequest {
    /// A request for scopes alone.
    pub fn scope(scope: &str) -> Self {
        Self { scope: scope.to_owned(), ..Self::default() }
    }
}

/// A scope or its details may name a consent: `Debug` shows neither.
impl std::fmt::Debug for AuthorizationRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthorizationRequest(..)")
    }
}

/// How a login begins, by the profile.
#[derive(Debug)]
pub enum Begun {
    /// The request goes to the server first.
    Push(Call<Departure, Refusal>),
    /// The browser carries the request.
    Ready(Departure),
}

/// A request that is ready for the browser.
#[derive(Debug)]
pub struct Departure {
    /// Where to send the browser, at once. After a push it carries `client_id` and `request_uri`, nothing else (FAPI 2.0
    /// Security Profile §5.3.3.2): a `request_uri` is used once and lives for seconds.
    pub redirect: Url,
    /// When the redirect stops working.
    pub redirect_until: Timestamp,
    /// What the callback must match. Seal it, and tie it to the browser that began.
    pub login: PendingLogin,
}

/// A login by the way of the profile.
pub(crate) fn begin(
    client: &Client,
    metadata: &Metadata,
    request: &AuthorizationRequest,
    world: &World<'_>,
) -> Result<Begun, Refusal> {
    if client.security.request.is_pushed() {
        return push(client, metadata, request, world).map(Begun::Push);
    }
    let login = PendingLogin::begin(client, metadata, request, world)?;
    let parameters = parameters(client, request, &login)?;
    let outside = if client.security.request.is_signed() {
        let repeated = parameters.iter().filter(|(name, _)| OUTSIDE_REQUEST_OBJECT.contains(name)).cloned().collect();
        let mut outside = fields(repeated);
        outside.push(("request", request_object(client, metadata, parameters, world)?));
        outside
    } else {
        fields(parameters)
    };
    let mut redirect = metadata.authorization_endpoint().clone();
    redirect.query_pairs_mut().extend_pairs(outside);
    Ok(Begun::Ready(Departure { redirect, redirect_until: login.expires_at(), login }))
}

/// The PAR call of RFC 9126.
pub(crate) fn push(
    client: &Client,
    metadata: &Metadata,
    request: &AuthorizationRequest,
    world: &World<'_>,
) -> Result<Call<Departure, Refusal>, Refusal> {
    let endpoint = metadata.pushed_authorization_request_endpoint();
    let endpoint = endpoint_is_named(endpoint, &refusal::METADATA_PAR_ENDPOINT_MISSING)?;
    let login = PendingLogin::begin(client, metadata, request, world)?;
    let parameters = parameters(client, request, &login)?;
    let mut form = if client.security.request.is_signed() {
        vec![("request", request_object(client, metadata, parameters, world)?)]
    } else {
        fields(parameters)
    };
    authenticate(client, metadata, world, &mut form)?;
    let call = wire::post(endpoint, &form);
    let (authorization_endpoint, client_id) = (metadata.authorization_endpoint().clone(), client.client_id.clone());
    let seconds_max = client.security.request_uri_seconds_max;
    Ok(Call::new(call, move |response, now| {
        let endpoint = Endpoint { status: refusal::PAR_STATUS_INVALID, refused: refusal::PAR_REQUEST_REFUSED };
        let body = wire::expect(response, StatusCode::CREATED, &endpoint)?;
        let body = wire::json_object(&body).ok_or_else(|| refusal::PAR_RESPONSE_INVALID.refuse())?;
        let request_uri = request_uri(&body)?;
        let lifetime = lifetime(&body, seconds_max)?;
        let mut redirect = authorization_endpoint;
        redirect.query_pairs_mut().append_pair("client_id", &client_id).append_pair("request_uri", &request_uri);
        Ok(Departure { redirect, redirect_until: now.saturating_add(lifetime).unwrap_or(now), login })
    }))
}

/// The parameters of the request, whichever form carries them (RFC 6749 §4.1.1, RFC 7636 §4.3, OIDC Core §3.1.2.1).
fn parameters(
    client: &Client,
    request: &AuthorizationRequest,
    login: &PendingLogin,
) -> Result<Vec<(&'static str, Value)>, Refusal> {
    let response = client.security.response;
    let mut parameters: Vec<(&'static str, Value)> = vec![
        ("client_id", client.client_id.as_str().into()),
        ("response_type", response.response_type().into()),
        ("redirect_uri", client.redirect_uri.as_str().into()),
        ("scope", request.scope.as_str().into()),
        ("state", login.state().into()),
        ("code_challenge", login.challenge().into()),
        ("code_challenge_method", "S256".into()),
    ];
    parameters.extend(login.nonce().map(|nonce| ("nonce", nonce.into())));
    parameters.extend(request.authorization_details.clone().map(|details| ("authorization_details", details)));
    parameters.extend(request.scope_details.clone().map(|details| ("scope_details", details)));
    parameters.extend(response.response_mode().map(|mode| ("response_mode", mode.into())));
    parameters.extend(login.asked().claims().map(|claims| ("claims", claims)));
    parameters.extend(login.asked().dpop_thumbprint()?.map(|thumbprint| ("dpop_jkt", thumbprint.into())));
    Ok(parameters)
}

/// The parameters as form fields; structured ones as JSON text (RFC 9396 §3).
fn fields(parameters: Vec<(&'static str, Value)>) -> Form {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    parameters.into_iter().map(|(name, value)| (name, text(value))).collect()
}

/// The signed request object of RFC 9101 §4 with the claims of FAPI 2.0 Message Signing §5.3: every parameter inside,
/// and no `sub`, so that it can never pass for a client assertion (RFC 9101 §10.8).
fn request_object(
    client: &Client,
    metadata: &Metadata,
    parameters: Vec<(&'static str, Value)>,
    world: &World<'_>,
) -> Result<String, Refusal> {
    metadata.accepts_request_alg(client.signer.alg())?;
    signed(client, metadata, Some(REQUEST_OBJECT_TYPE), parameters, world)
}

/// Parameters as the claims of one JWT of ours to the server.
pub(crate) fn signed(
    client: &Client,
    metadata: &Metadata,
    typ: Option<&str>,
    parameters: Vec<(&'static str, Value)>,
    world: &World<'_>,
) -> Result<String, Refusal> {
    let now = world.now.as_second();
    let mut claims: Map<String, Value> = parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    claims.insert("iss".to_owned(), client.client_id.as_str().into());
    claims.insert("aud".to_owned(), metadata.issuer().into());
    claims.insert("jti".to_owned(), random::text::<16>(world).into());
    claims.insert("iat".to_owned(), now.into());
    claims.insert("nbf".to_owned(), (now - client.security.not_before_seconds).into());
    claims.insert("exp".to_owned(), (now + client.security.request_object_seconds).into());
    jws::sign(client.signer.as_ref(), typ, &Value::Object(claims))
}

/// RFC 9126 §2.2, RFC 9101 §5.2: an absolute URI of bounded length.
fn request_uri(body: &Map<String, Value>) -> Result<String, Refusal> {
    let uri = body.get("request_uri").ok_or_else(|| refusal::PAR_REQUEST_URI_MISSING.refuse())?;
    let uri = uri.as_str().ok_or_else(|| refusal::PAR_RESPONSE_INVALID.refuse())?;
    refusal::PAR_REQUEST_URI_INVALID.require(uri.len() <= REQUEST_URI_BYTES_MAX && Url::parse(uri).is_ok())?;
    Ok(uri.to_owned())
}

/// RFC 9126 §2.2: a positive number of seconds; FAPI 2.0 Security Profile §5.3.2.2 bounds it.
fn lifetime(body: &Map<String, Value>, seconds_max: i64) -> Result<SignedDuration, Refusal> {
    let seconds = body.get("expires_in").ok_or_else(|| refusal::PAR_EXPIRES_IN_MISSING.refuse())?;
    let seconds = wire::whole(seconds).filter(|seconds| (1..=seconds_max).contains(seconds));
    seconds.map(SignedDuration::from_secs).ok_or_else(|| refusal::PAR_EXPIRES_IN_INVALID.refuse())
}

/// The S256 challenge of a verifier (RFC 7636 §4.2).
pub(crate) fn challenge(verifier: &str) -> String {
    PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier.to_owned())).as_str().to_owned()
}

/// A verifier of 64 characters from 384 bits of chance (RFC 7636 §4.1).
pub(crate) fn verifier(world: &World<'_>) -> SecretString {
    random::text::<48>(world).into()
}
