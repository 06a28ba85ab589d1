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
use crate::dpop::{self, DpopKey, Role};
use crate::id_token::{self, About, Context, Identity, Renewed};
use crate::keys::KeySet;
use crate::login::{Asked, RedeemableCode};
use crate::metadata::{Metadata, endpoint_is_named};
use crate::profile::{Alg, GrantedScope, IdTokenEncryption, TokenBinding};
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
    /// The scope of the grant, where a later token has a narrower one: a refresh may name all of it again (RFC 6749 §6).
    #[serde(default)]
    pub(crate) grant_scope: Option<String>,
    /// Scopes that were asked for and not granted (RFC 6749 §3.3): what the caller must do without.
    #[serde(default)]
    pub not_granted: Vec<String>,
    /// The arrangement that the authorisation belongs to, where the profile knows arrangements.
    #[serde(default)]
    pub arrangement: Option<String>,
    /// The granted rich authorization (RFC 9396 §7), which may be less than what was asked for.
    pub authorization_details: Option<Value>,
    /// What the ID token says, where one was asked for.
    pub identity: Option<Identity>,
    /// The server that issued them. Absent where they were stored before it was kept.
    #[serde(default)]
    pub(crate) issuer: Option<String>,
    /// The client that they were issued to. Absent where they were stored before it was kept.
    #[serde(default)]
    pub(crate) client_id: Option<String>,
    /// The key that the tokens are bound to, where they are bound to one (RFC 9449).
    #[serde(default)]
    pub(crate) dpop: Option<DpopKey>,
    /// The certificate that the tokens are bound to (RFC 8705 §3), by whatever name the caller knows it: for the caller to
    /// write and to compare, since only it knows its connections.
    #[serde(default)]
    pub certificate: Option<String>,
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

    /// RFC 9700 §4.4, RFC 6749 §6: tokens are shown to the server that issued them, by the client that they were issued to.
    pub(crate) fn are_of(&self, client: &Client, metadata: &Metadata) -> Result<(), Refusal> {
        self.are_ours(client)?;
        self.issuer.as_deref().map_or(Ok(()), |issuer| metadata.is_of(issuer))
    }

    fn are_ours(&self, client: &Client) -> Result<(), Refusal> {
        self.client_id.as_deref().map_or(Ok(()), |client_id| client.is(client_id))
    }

    fn grant_scope(&self) -> &str {
        self.grant_scope.as_deref().unwrap_or(&self.scope)
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

/// The ID token of a token response, with what it must match.
struct IdTokenToCheck {
    jwt: SecretString,
    issuer: String,
    client_id: String,
    asked: Box<Asked>,
    origin: Origin,
}

/// How the login went that the tokens end.
pub(crate) enum Origin {
    /// By a code, which an ID token of this subject may have vouched for.
    Code(Option<SecretString>),
    /// Elsewhere (OIDC CIBA), by this request.
    Backchannel(SecretString),
}

impl Redeemed {
    /// Whether there is an ID token to check, for which the server's keys are needed.
    pub const fn needs_keys(&self) -> bool {
        self.id_token.is_some()
    }

    /// Checks the ID token against the login and yields the tokens. Without `openid` there is nothing to check and the
    /// keys may be empty. After `id_token.kid.untrusted` fetch the keys once more and ask again; any other refusal is
    /// final.
    pub fn check(&self, keys: &KeySet, now: Timestamp) -> Result<Tokens, Refusal> {
        let mut tokens = self.tokens.clone();
        if let Some(check) = &self.id_token {
            let context = Context { issuer: &check.issuer, client_id: &check.client_id, asked: &check.asked };
            let access_token = tokens.access_token.expose_secret();
            let about = match &check.origin {
                Origin::Code(voucher) => {
                    About::Token { access_token, subject: voucher.as_ref().map(ExposeSecret::expose_secret) }
                }
                Origin::Backchannel(auth_req_id) => About::Backchannel {
                    access_token,
                    refresh_token: tokens.refresh_token.as_ref().map(ExposeSecret::expose_secret),
                    auth_req_id: auth_req_id.expose_secret(),
                },
            };
            tokens.identity = Some(id_token::verify(check.jwt.expose_secret(), &context, &about, keys, now)?);
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
    metadata.is_of(&code.issuer)?;
    client.is(&code.client_id)?;
    let form = vec![
        ("grant_type", "authorization_code".to_owned()),
        ("code", code.code.expose_secret().to_owned()),
        ("redirect_uri", code.redirect_uri),
        ("code_verifier", code.verifier.expose_secret().to_owned()),
    ];
    let terms = Terms::of_login(client, &code.issuer, &code.asked);
    let expected = Expected {
        issuer: code.issuer,
        client_id: code.client_id,
        // An ID token that was not asked for says nothing to us.
        id_token: code.asked.nonce.is_some(),
        asked: code.asked,
        origin: Origin::Code(code.voucher),
    };
    let dpop = expected.asked.dpop.clone();
    call(client, metadata, form, dpop, world, move |response, now| redeemed(response, now, &terms, expected))
}

/// What a token response must keep to, whatever it answers.
pub(crate) struct Terms {
    issuer: String,
    client_id: String,
    binding: TokenBinding,
    scope: String,
    wider: GrantedScope,
    /// The member that names the arrangement, and the one that it must name, if it is known.
    arrangement: Option<(String, Option<String>)>,
}

impl Terms {
    fn of(client: &Client, issuer: &str, scope: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            client_id: client.client_id.clone(),
            binding: client.security.binding,
            scope: scope.to_owned(),
            wider: client.security.granted_scope,
            arrangement: None,
        }
    }

    pub(crate) fn of_login(client: &Client, issuer: &str, asked: &Asked) -> Self {
        Self { arrangement: asked.arrangement.clone(), ..Self::of(client, issuer, &asked.scope) }
    }

    fn of_refresh(client: &Client, issuer: &str, kept: &Tokens) -> Self {
        let claim = client.security.arrangement_claim.clone().filter(|_| kept.arrangement.is_some());
        let arrangement = claim.map(|claim| (claim, kept.arrangement.clone()));
        Self { arrangement, ..Self::of(client, issuer, kept.grant_scope()) }
    }
}

/// What the answer to a login must match.
pub(crate) struct Expected {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) asked: Box<Asked>,
    pub(crate) origin: Origin,
    /// Whether an ID token must come.
    pub(crate) id_token: bool,
}

/// Reads the token response that ends a login.
pub(crate) fn redeemed(
    response: http::Response<Bytes>,
    now: Timestamp,
    terms: &Terms,
    expected: Expected,
) -> Result<Redeemed, Refusal> {
    let Expected { issuer, client_id, asked, origin, id_token: wanted } = expected;
    let Granted { mut tokens, id_token } = granted(&answered(response)?, now, terms)?;
    details_were_asked_for(asked.authorization_details.as_ref(), tokens.authorization_details.as_ref(), terms.wider)?;
    tokens.dpop = asked.dpop.clone();
    let id_token = match wanted {
        true => Some(IdTokenToCheck { jwt: came(id_token)?, issuer, client_id, asked, origin }),
        false => None,
    };
    Ok(Redeemed { tokens, id_token })
}

/// RFC 9396 §7: the server says what it granted, which may be less than what was asked for and is of no other type. The
/// fields inside a detail are the standard's of the account interface to compare: servers fill them in. Where none were
/// asked for, none are granted, unless the profile lets a server grant more than was asked for.
fn details_were_asked_for(asked: Option<&Value>, granted: Option<&Value>, wider: GrantedScope) -> Result<(), Refusal> {
    let granted = match (asked, granted) {
        (None, None) => return Ok(()),
        (Some(_), None) => return Err(refusal::TOKEN_AUTHORIZATION_DETAILS_MISSING.refuse()),
        (_, Some(granted)) => types(granted).ok_or_else(|| refusal::TOKEN_AUTHORIZATION_DETAILS_INVALID.refuse())?,
    };
    let free = asked.is_none() && wider != GrantedScope::Asked;
    let asked = asked.and_then(types).unwrap_or_default();
    refusal::TOKEN_AUTHORIZATION_DETAILS_MISMATCH.require(free || granted.iter().all(|kind| asked.contains(kind)))
}

/// RFC 9396 §2: details are a list of objects that each have a type.
fn types(details: &Value) -> Option<Vec<&str>> {
    details.as_array()?.iter().map(|detail| detail.get("type")?.as_str()).collect()
}

/// The answer to a refresh, compared with what the grant is.
pub struct Refreshed {
    kept: Tokens,
    verdict: Result<Tokens, Refusal>,
}

/// New tokens that a check refused, and what is left of the grant.
#[derive(Debug)]
pub struct Unusable {
    /// The check.
    pub refusal: Refusal,
    /// The old tokens with the refresh token to use next. Store them in place of the old ones: a server that gave a new
    /// refresh token takes the old one for used (RFC 6749 §6), whatever we think of the rest of its answer.
    pub kept: Tokens,
}

impl Refreshed {
    /// The new tokens, if they passed every check.
    pub fn granted(self) -> Result<Tokens, Box<Unusable>> {
        self.verdict.map_err(|refusal| Box::new(Unusable { refusal, kept: self.kept }))
    }
}

/// Tokens are secrets.
impl fmt::Debug for Refreshed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refreshed(..)")
    }
}

/// RFC 6749 §6.
pub(crate) fn refresh(
    client: &Client,
    metadata: &Metadata,
    tokens: &Tokens,
    world: &World<'_>,
) -> Result<Call<Refreshed, Refusal>, Refusal> {
    tokens.are_of(client, metadata)?;
    let refresh_token = TokenHint::RefreshToken.of(tokens)?.expose_secret().to_owned();
    let form = vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", refresh_token)];
    let terms = Terms::of_refresh(client, metadata.issuer(), tokens);
    let (algs, us, kept) = (metadata.id_token_algs().to_vec(), client.clone(), tokens.clone());
    call(client, metadata, form, tokens.dpop.clone(), world, move |response, now| {
        let body = answered(response)?;
        let verdict = renewed(&body, &kept, &us, &algs, &terms, now);
        let rotated = refresh_token_of(&body).ok().flatten();
        Ok(Refreshed { kept: Tokens { refresh_token: rotated.or(kept.refresh_token), ..kept }, verdict })
    })
}

/// The tokens of the answer, with what the grant keeps. A new ID token among them is of the same login (OIDC Core §12.2).
fn renewed(
    body: &Map<String, Value>,
    kept: &Tokens,
    us: &Client,
    algs: &[Alg],
    terms: &Terms,
    now: Timestamp,
) -> Result<Tokens, Refusal> {
    let Granted { tokens: fresh, id_token } = granted(body, now, terms)?;
    if let (Some(jwt), Some(identity)) = (id_token, &kept.identity) {
        let (decrypter, required) = (us.decrypter.as_deref(), us.security.id_token_encryption);
        let encrypted = required == IdTokenEncryption::Required;
        let context = Renewed { issuer: &terms.issuer, client_id: &us.client_id, algs, decrypter, encrypted };
        id_token::is_of_the_same_login(jwt.expose_secret(), identity, &context, now)?;
    }
    let kept = kept.clone();
    let details = fresh.authorization_details.or_else(|| kept.authorization_details.clone());
    details_were_asked_for(kept.authorization_details.as_ref(), details.as_ref(), terms.wider)?;
    Ok(Tokens {
        grant_scope: Some(kept.grant_scope().to_owned()),
        refresh_token: fresh.refresh_token.or(kept.refresh_token),
        authorization_details: details,
        not_granted: [kept.not_granted, fresh.not_granted].concat(),
        arrangement: kept.arrangement,
        identity: kept.identity,
        dpop: kept.dpop,
        ..fresh
    })
}

/// RFC 6749 §4.4.
pub(crate) fn client_credentials(
    client: &Client,
    metadata: &Metadata,
    scope: &str,
    world: &World<'_>,
) -> Result<Call<Tokens, Refusal>, Refusal> {
    let form = vec![("grant_type", "client_credentials".to_owned()), ("scope", scope.to_owned())];
    let terms = Terms::of(client, metadata.issuer(), scope);
    let dpop = (terms.binding == TokenBinding::Dpop).then(|| DpopKey::generate(world));
    let key = dpop.clone();
    call(client, metadata, form, key, world, move |response, now| {
        Ok(Tokens { dpop, ..granted(&answered(response)?, now, &terms)?.tokens })
    })
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
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
        }
    }

    /// RFC 6749 §1.5: the token of this kind. Not every grant has a refresh token.
    pub(crate) fn of(self, tokens: &Tokens) -> Result<&SecretString, Refusal> {
        match self {
            Self::AccessToken => Ok(&tokens.access_token),
            Self::RefreshToken => {
                tokens.refresh_token.as_ref().ok_or_else(|| refusal::TOKEN_REFRESH_TOKEN_MISSING.refuse())
            }
        }
    }
}

/// RFC 7009 §2.1. A token that the server no longer knows is revoked (§2.2).
pub(crate) fn revoke(
    client: &Client,
    metadata: &Metadata,
    tokens: &Tokens,
    hint: TokenHint,
    world: &World<'_>,
) -> Result<Call<(), Refusal>, Refusal> {
    tokens.are_of(client, metadata)?;
    let url = endpoint_is_named(metadata.revocation_endpoint(), &refusal::METADATA_REVOCATION_ENDPOINT_MISSING)?;
    let mut form =
        vec![("token", hint.of(tokens)?.expose_secret().to_owned()), ("token_type_hint", hint.as_str().to_owned())];
    authenticate(client, metadata, world, &mut form)?;
    Ok(Call::new(wire::post(url, &form), |response, _| {
        let endpoint =
            Endpoint { status: refusal::REVOCATION_STATUS_INVALID, refused: refusal::REVOCATION_TOKEN_REFUSED };
        wire::expect(response, StatusCode::OK, &endpoint).map(|_| ())
    }))
}

/// Shows the access token to a resource server: in the header and nowhere else (RFC 6750 §2.1), with a proof where it is
/// bound to a key (RFC 9449 §7.1).
pub(crate) fn resource(
    client: &Client,
    request: http::Request<Bytes>,
    tokens: &Tokens,
    world: &World<'_>,
) -> Result<Call<http::Response<Bytes>, Refusal>, Refusal> {
    address_is_absolute_https(request.uri())?;
    tokens.are_ours(client)?;
    let key = bound_to(client, tokens.dpop.clone())?;
    let (scheme, token) = (client.security.binding.token_type(), tokens.access_token.clone());
    let nonces = client.nonces.clone();
    let build = move |world: &World<'_>| {
        let mut request = request.clone();
        refusal::TOKEN_ACCESS_TOKEN_INVALID.require(wire::authorise(&mut request, scheme, &token))?;
        if let Some(key) = &key {
            dpop::prove(&mut request, key, Role::Resource, &nonces, Some(&token), world)?;
        }
        Ok(request)
    };
    challengeable(client, Role::Resource, build, world, |response, _| Ok(response))
}

/// RFC 9449 §4.2 (`htu`), FAPI 2.0 Security Profile §5.2.1: the proof names the whole address, and it is over TLS.
fn address_is_absolute_https(uri: &http::Uri) -> Result<(), Refusal> {
    refusal::RESOURCE_REQUEST_INVALID.require(uri.scheme_str() == Some("https") && uri.authority().is_some())
}

/// An authenticated call of the token endpoint, with a proof where the tokens are to be bound to a key (RFC 9449 §5).
pub(crate) fn call<T: 'static>(
    client: &Client,
    metadata: &Metadata,
    form: Form,
    key: Option<DpopKey>,
    world: &World<'_>,
    read: impl FnOnce(http::Response<Bytes>, Timestamp) -> Result<T, Refusal> + Send + 'static,
) -> Result<Call<T, Refusal>, Refusal> {
    let key = bound_to(client, key)?;
    let (us, metadata, form) = (client.clone(), metadata.clone(), form);
    let build = move |world: &World<'_>| {
        let mut form = form.clone();
        authenticate(&us, &metadata, world, &mut form)?;
        let mut request = wire::post(metadata.token_endpoint(), &form);
        if let Some(key) = &key {
            dpop::prove(&mut request, key, Role::Authorization, &us.nonces, None, world)?;
        }
        Ok(request)
    };
    challengeable(client, Role::Authorization, build, world, read)
}

/// RFC 9449 §5: a profile that binds tokens to a key needs the key.
fn bound_to(client: &Client, key: Option<DpopKey>) -> Result<Option<DpopKey>, Refusal> {
    let needed = client.security.binding == TokenBinding::Dpop;
    refusal::CLIENT_DPOP_KEY_MISSING.require(key.is_some() || !needed)?;
    Ok(key.filter(|_| needed))
}

/// A call that is made afresh, assertion, proof and all, when the server asks for a nonce (RFC 9449 §8, §9).
fn challengeable<T: 'static>(
    client: &Client,
    role: Role,
    build: impl Fn(&World<'_>) -> Result<http::Request<Bytes>, Refusal> + Send + 'static,
    world: &World<'_>,
    read: impl FnOnce(http::Response<Bytes>, Timestamp) -> Result<T, Refusal> + Send + 'static,
) -> Result<Call<T, Refusal>, Refusal> {
    let request = build(world)?;
    let bound = client.security.binding == TokenBinding::Dpop;
    let (uri, nonces) = (request.uri().clone(), client.nonces.clone());
    let (same_uri, same_nonces) = (uri.clone(), nonces.clone());
    let call = Call::new(request, move |response, now| {
        nonces.learn(role, &uri, &response);
        read(response, now)
    });
    Ok(call.or_again(move |response, world| {
        (bound && dpop::asks_for_nonce(role, response)).then(|| {
            same_nonces.learn(role, &same_uri, response);
            build(world)
        })
    }))
}

/// A token response before its ID token was looked at.
struct Granted {
    tokens: Tokens,
    id_token: Option<SecretString>,
}

/// The members of a token response (RFC 6749 §5.1), if it is one.
fn answered(response: http::Response<Bytes>) -> Result<Map<String, Value>, Refusal> {
    let endpoint = Endpoint { status: refusal::TOKEN_STATUS_INVALID, refused: refusal::TOKEN_GRANT_REFUSED };
    let body = wire::expect(response, StatusCode::OK, &endpoint)?;
    wire::json_object(&body).ok_or_else(|| refusal::TOKEN_RESPONSE_INVALID.refuse())
}

/// Reads a token response for what was asked.
fn granted(body: &Map<String, Value>, now: Timestamp, terms: &Terms) -> Result<Granted, Refusal> {
    token_type_fits(body, terms.binding)?;
    let scope = text(body, "scope")?.unwrap_or(&terms.scope);
    scope_was_asked_for(scope, terms)?;
    Ok(Granted {
        tokens: Tokens {
            issuer: Some(terms.issuer.clone()),
            client_id: Some(terms.client_id.clone()),
            grant_scope: None,
            access_token: access_token(body)?,
            refresh_token: refresh_token_of(body)?,
            expires_at: expires_at(body, now)?,
            scope: scope.to_owned(),
            not_granted: words(&terms.scope).filter(|word| !contains(scope, word)).map(str::to_owned).collect(),
            arrangement: arrangement(body, terms)?,
            authorization_details: body.get("authorization_details").cloned(),
            identity: None,
            dpop: None,
            certificate: None,
        },
        id_token: text(body, "id_token")?.map(SecretString::from),
    })
}

/// RFC 6749 §3.3, §5.1, §6: a server may grant less than what was asked for, and says so. More is more than the user was
/// told.
fn scope_was_asked_for(granted: &str, terms: &Terms) -> Result<(), Refusal> {
    let asked = words(granted).all(|word| contains(&terms.scope, word));
    refusal::TOKEN_SCOPE_MISMATCH.require(asked || terms.wider == GrantedScope::Any)
}

fn words(scope: &str) -> impl Iterator<Item = &str> {
    scope.split(' ').filter(|word| !word.is_empty())
}

fn contains(scope: &str, word: &str) -> bool {
    words(scope).any(|one| one == word)
}

/// CDR Security Profile, token end point: the arrangement is named, and is the one that was to be changed or is known.
fn arrangement(body: &Map<String, Value>, terms: &Terms) -> Result<Option<String>, Refusal> {
    let Some((member, known)) = &terms.arrangement else { return Ok(None) };
    let named = text(body, member)?.filter(|named| !named.is_empty());
    let named = named.or(known.as_deref()).ok_or_else(|| refusal::TOKEN_ARRANGEMENT_MISSING.refuse())?;
    refusal::TOKEN_ARRANGEMENT_MISMATCH.require(known.as_deref().is_none_or(|known| known == named))?;
    Ok(Some(named.to_owned()))
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
fn refresh_token_of(body: &Map<String, Value>) -> Result<Option<SecretString>, Refusal> {
    let Some(token) = text(body, "refresh_token")? else { return Ok(None) };
    let printable = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    refusal::TOKEN_REFRESH_TOKEN_INVALID.require(printable)?;
    Ok(Some(token.into()))
}

/// RFC 6749 §5.1: seconds from now, where the server says.
fn expires_at(body: &Map<String, Value>, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
    let Some(value) = body.get("expires_in").filter(|value| !value.is_null()) else { return Ok(None) };
    let seconds = wire::whole(value).filter(|seconds| (0..=EXPIRES_IN_SECONDS_MAX).contains(seconds));
    let seconds = seconds.ok_or_else(|| refusal::TOKEN_EXPIRES_IN_INVALID.refuse())?;
    Ok(now.saturating_add(SignedDuration::from_secs(seconds)).ok())
}

/// OIDC Core §3.1.3.3: who asked for an ID token must get one.
fn came(id_token: Option<SecretString>) -> Result<SecretString, Refusal> {
    id_token.ok_or_else(|| refusal::TOKEN_ID_TOKEN_MISSING.refuse())
}
