//! What a server knows of a token: in its own words (RFC 7662), or signed (RFC 9701).

use std::fmt;

use bytes::Bytes;
use domain::limits::{AUTH_BODY_BYTES_MAX, CLOCK_SKEW_SECONDS};
use domain::world::World;
use http::{HeaderValue, Request, StatusCode};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use crate::call::Call;
use crate::client::Client;
use crate::client_auth::authenticate;
use crate::jws::{self, Signed};
use crate::keys::KeySet;
use crate::metadata::{Metadata, endpoint_is_named};
use crate::refusal::{self, Refusal};
use crate::token::{TokenHint, Tokens};
use crate::wire::{self, Endpoint};

/// RFC 9701 §4 and §5: the media type that asks for a signed answer.
const SIGNED_MEDIA_TYPE: &str = "application/token-introspection+jwt";
/// RFC 9701 §5: the type in the header of the answer, which no other JWT has (RFC 8725 §3.11).
const SIGNED_TYPE: &str = "token-introspection+jwt";

const SIGNED: Signed = Signed {
    typ: Some(SIGNED_TYPE),
    format: refusal::INTROSPECTION_FORMAT_INVALID,
    alg: refusal::INTROSPECTION_ALG_MISMATCH,
    kid: refusal::INTROSPECTION_KID_UNTRUSTED,
    signature: refusal::INTROSPECTION_SIGNATURE_INVALID,
    nbf: refusal::INTROSPECTION_NBF_INVALID,
    encryption_alg: refusal::INTROSPECTION_FORMAT_INVALID,
    encryption: refusal::INTROSPECTION_FORMAT_INVALID,
};

/// What a server says about a token (RFC 7662 §2.2).
#[derive(Clone, PartialEq, Eq)]
pub struct Introspection {
    /// Whether the token is good at this moment. Nothing else counts where it is not.
    pub active: bool,
    /// The scope that it stands for.
    pub scope: Option<String>,
    /// When it ends. In Australia the end of the sharing, where the token is a refresh token.
    pub expires_at: Option<Timestamp>,
    /// The arrangement that it belongs to, where the profile knows arrangements.
    pub arrangement: Option<String>,
}

/// A scope may name a consent: `Debug` leaves it out.
impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Introspection");
        shown.field("active", &self.active).field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

const ENDPOINT: Endpoint =
    Endpoint { status: refusal::INTROSPECTION_STATUS_INVALID, refused: refusal::INTROSPECTION_TOKEN_REFUSED };

/// RFC 7662 §2.1.
pub(crate) fn introspect(
    client: &Client,
    metadata: &Metadata,
    tokens: &Tokens,
    hint: TokenHint,
    world: &World<'_>,
) -> Result<Call<Introspection, Refusal>, Refusal> {
    let arrangement = client.security.arrangement_claim.clone();
    Ok(Call::new(request(client, metadata, tokens, hint, world)?, move |response, _| {
        let body = wire::expect(response, StatusCode::OK, &ENDPOINT)?;
        let body = wire::json_object(&body).ok_or_else(|| refusal::INTROSPECTION_RESPONSE_INVALID.refuse())?;
        introspected(&body, arrangement.as_deref())
    }))
}

/// RFC 9701 §4.
pub(crate) fn introspect_signed(
    client: &Client,
    metadata: &Metadata,
    tokens: &Tokens,
    hint: TokenHint,
    keys: KeySet,
    world: &World<'_>,
) -> Result<Call<Introspection, Refusal>, Refusal> {
    let mut request = request(client, metadata, tokens, hint, world)?;
    request.headers_mut().insert(http::header::ACCEPT, HeaderValue::from_static(SIGNED_MEDIA_TYPE));
    let (issuer, algs) = (metadata.issuer().to_owned(), metadata.introspection_algs().to_vec());
    let (client_id, arrangement) = (client.client_id.clone(), client.security.arrangement_claim.clone());
    Ok(Call::new(request, move |response, now| {
        let body = wire::expect(response, StatusCode::OK, &ENDPOINT)?;
        refusal::INTROSPECTION_FORMAT_INVALID.require(body.len() <= AUTH_BODY_BYTES_MAX)?;
        let jwt = std::str::from_utf8(&body).map_err(|_| refusal::INTROSPECTION_FORMAT_INVALID.refuse())?;
        let verified = jws::verify(jwt.trim_ascii(), &keys, &algs, &SIGNED, now)?;
        answer_has_its_type(verified.typ.as_deref())?;
        issuer_matches(&verified.claims, &issuer)?;
        audience_is_ours(&verified.claims, &client_id)?;
        answer_is_fresh(&verified.claims, now)?;
        let told = verified.claims.get("token_introspection").and_then(Value::as_object);
        introspected(told.ok_or_else(|| refusal::INTROSPECTION_RESPONSE_INVALID.refuse())?, arrangement.as_deref())
    }))
}

fn request(
    client: &Client,
    metadata: &Metadata,
    tokens: &Tokens,
    hint: TokenHint,
    world: &World<'_>,
) -> Result<Request<Bytes>, Refusal> {
    tokens.are_of(client, metadata)?;
    let url = metadata.introspection_endpoint();
    let url = endpoint_is_named(url, &refusal::METADATA_INTROSPECTION_ENDPOINT_MISSING)?;
    let mut form =
        vec![("token", hint.of(tokens)?.expose_secret().to_owned()), ("token_type_hint", hint.as_str().to_owned())];
    authenticate(client, metadata, world, &mut form)?;
    Ok(wire::post(url, &form))
}

/// RFC 9701 §5, §8.1: another kind of JWT of the same server is not taken for an answer.
fn answer_has_its_type(typ: Option<&str>) -> Result<(), Refusal> {
    refusal::INTROSPECTION_FORMAT_INVALID.require(typ == Some(SIGNED_TYPE))
}

/// RFC 9701 §5: from the server that was asked.
fn issuer_matches(claims: &Map<String, Value>, issuer: &str) -> Result<(), Refusal> {
    refusal::INTROSPECTION_ISS_MISMATCH.require(claims.get("iss").is_some_and(|iss| iss == issuer))
}

/// RFC 9701 §5: for us. An audience may be a list (RFC 7519 §4.1.3).
fn audience_is_ours(claims: &Map<String, Value>, client_id: &str) -> Result<(), Refusal> {
    let ours =
        |aud: &Value| aud == client_id || aud.as_array().is_some_and(|list| list.iter().any(|one| one == client_id));
    refusal::INTROSPECTION_AUD_MISMATCH.require(claims.get("aud").is_some_and(ours))
}

/// RFC 9701 §5: `iat` is the moment of the answer, so that an old one cannot be shown again.
fn answer_is_fresh(claims: &Map<String, Value>, now: Timestamp) -> Result<(), Refusal> {
    let issued_at = claims.get("iat").and_then(Value::as_i64);
    let apart = |iat: i64| now.as_second().abs_diff(iat) <= CLOCK_SKEW_SECONDS.unsigned_abs();
    refusal::INTROSPECTION_IAT_EXPIRED.require(issued_at.is_some_and(apart))
}

/// RFC 7662 §2.2: `active` is there and is a boolean; the rest is of its type where it is there.
fn introspected(body: &Map<String, Value>, arrangement: Option<&str>) -> Result<Introspection, Refusal> {
    let invalid = || refusal::INTROSPECTION_RESPONSE_INVALID.refuse();
    let present = |name: &str| body.get(name).filter(|value| !value.is_null());
    let text =
        |name: &str| present(name).map(|value| value.as_str().map(str::to_owned).ok_or_else(invalid)).transpose();
    let instant = |value: &Value| Timestamp::from_second(wire::whole(value)?).ok();
    Ok(Introspection {
        active: body.get("active").and_then(Value::as_bool).ok_or_else(invalid)?,
        scope: text("scope")?,
        expires_at: present("exp").map(|exp| instant(exp).ok_or_else(invalid)).transpose()?,
        arrangement: arrangement.map(text).transpose()?.flatten(),
    })
}
