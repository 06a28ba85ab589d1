//! The authorization request: built once, pushed over the back channel, pointed at from the browser.

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
use crate::metadata::Metadata;
use crate::profile::{RequestForm, ResponseForm};
use crate::random;
use crate::refusal::{self, Refusal};
use crate::wire::{self, Endpoint, Form};

/// Longest `request_uri` that is taken, in bytes. RFC 9101 §5.2 suggests 512.
const REQUEST_URI_BYTES_MAX: usize = 2048;

/// RFC 9101 §10.8: the type of a signed request object.
const REQUEST_OBJECT_TYPE: &str = "oauth-authz-req+jwt";

/// What is asked of the user.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorizationRequest {
    /// Scopes in the order they are sent, separated by single spaces. With `openid` among them an ID token must come.
    pub scope: String,
    /// Rich authorization request (RFC 9396 §2): an array of objects with `type`.
    pub authorization_details: Option<Value>,
}

impl AuthorizationRequest {
    /// A request for scopes alone.
    pub fn scope(scope: &str) -> Self {
        Self { scope: scope.to_owned(), authorization_details: None }
    }
}

/// A scope or its details may name a consent: `Debug` shows neither.
impl std::fmt::Debug for AuthorizationRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthorizationRequest(..)")
    }
}

/// A request that the server has taken.
#[derive(Debug)]
pub struct Pushed {
    /// Where to send the browser, at once: a `request_uri` is used once and lives for seconds. Carries `client_id` and
    /// `request_uri`, nothing else (FAPI 2.0 Security Profile §5.3.3.2).
    pub redirect: Url,
    /// When the redirect stops working.
    pub redirect_until: Timestamp,
    /// What the callback must match. Seal it, and tie it to the browser that began.
    pub login: PendingLogin,
}

/// The PAR call of RFC 9126.
pub(crate) fn push(
    client: &Client,
    metadata: &Metadata,
    request: &AuthorizationRequest,
    world: &World<'_>,
) -> Result<Call<Pushed, Refusal>, Refusal> {
    let login = PendingLogin::begin(client, metadata, &request.scope, world);
    let parameters = parameters(client, request, &login);
    let mut form = match client.security.request {
        RequestForm::Parameters => fields(parameters),
        RequestForm::SignedJar => vec![("request", request_object(client, metadata, parameters, world)?)],
    };
    authenticate(client, metadata, world, &mut form)?;
    let call = wire::post(metadata.pushed_authorization_request_endpoint(), &form);
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
        Ok(Pushed { redirect, redirect_until: now.saturating_add(lifetime).unwrap_or(now), login })
    }))
}

/// The parameters of the request, whichever form carries them (RFC 6749 §4.1.1, RFC 7636 §4.3, OIDC Core §3.1.2.1).
fn parameters(client: &Client, request: &AuthorizationRequest, login: &PendingLogin) -> Vec<(&'static str, Value)> {
    let mut parameters: Vec<(&'static str, Value)> = vec![
        ("client_id", client.client_id.as_str().into()),
        ("response_type", "code".into()),
        ("redirect_uri", client.redirect_uri.as_str().into()),
        ("scope", request.scope.as_str().into()),
        ("state", login.state().into()),
        ("code_challenge", login.challenge().into()),
        ("code_challenge_method", "S256".into()),
    ];
    parameters.extend(login.nonce().map(|nonce| ("nonce", nonce.into())));
    parameters.extend(request.authorization_details.clone().map(|details| ("authorization_details", details)));
    if client.security.response == ResponseForm::Jarm {
        parameters.push(("response_mode", "jwt".into()));
    }
    parameters
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
    let now = world.now.as_second();
    let mut claims: Map<String, Value> = parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    claims.insert("iss".to_owned(), client.client_id.as_str().into());
    claims.insert("aud".to_owned(), metadata.issuer().into());
    claims.insert("jti".to_owned(), random::text::<16>(world).into());
    claims.insert("iat".to_owned(), now.into());
    claims.insert("nbf".to_owned(), (now - client.security.not_before_seconds).into());
    claims.insert("exp".to_owned(), (now + client.security.request_object_seconds).into());
    jws::sign(client.signer.as_ref(), Some(REQUEST_OBJECT_TYPE), &Value::Object(claims))
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
    let seconds = seconds.as_i64().filter(|seconds| (1..=seconds_max).contains(seconds));
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
