//! ID tokens: every rule of OIDC Core §3.1.3.7 for the code flow and of §3.3.2 for the hybrid one, as FAPI narrows them.
//!
//! openidconnect's `IdTokenClaims` reads the claims. Its verifier is not used: it picks keys by `kid` alone and gives up
//! where two share one, does not know the header value `Ed25519`, and tells a missing claim from a wrong one by text.

use aws_lc_rs::digest::{self, SHA256, SHA512};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::limits::CLOCK_SKEW_SECONDS;
use jiff::Timestamp;
use openidconnect::core::CoreGenderClaim;
use openidconnect::{EmptyAdditionalClaims, IdTokenClaims};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::jws::{self, Signed};
use crate::keys::{Decrypter, KeySet};
use crate::login::Asked;
use crate::profile::Alg;
use crate::refusal::{self, Reason, Refusal};

type Claims = IdTokenClaims<EmptyAdditionalClaims, CoreGenderClaim>;

/// Longest name of a user (OIDC Core §2, `sub`), in characters.
const SUBJECT_CHARS_MAX: usize = 255;

pub(crate) const SIGNED: Signed = Signed {
    typ: None,
    format: refusal::ID_TOKEN_FORMAT_INVALID,
    alg: refusal::ID_TOKEN_ALG_MISMATCH,
    kid: refusal::ID_TOKEN_KID_UNTRUSTED,
    signature: refusal::ID_TOKEN_SIGNATURE_INVALID,
    nbf: refusal::ID_TOKEN_NBF_INVALID,
    encryption_alg: refusal::ID_TOKEN_ENC_MISMATCH,
    encryption: refusal::ID_TOKEN_ENCRYPTION_INVALID,
};

/// Claims that must be there (OIDC Core §2).
const REQUIRED: [(&str, Reason); 5] = [
    ("iss", refusal::ID_TOKEN_ISS_MISSING),
    ("sub", refusal::ID_TOKEN_SUB_MISSING),
    ("aud", refusal::ID_TOKEN_AUD_MISSING),
    ("exp", refusal::ID_TOKEN_EXP_MISSING),
    ("iat", refusal::ID_TOKEN_IAT_MISSING),
];

/// Claims that are read beside the required ones. Names, addresses and whatever else a bank adds stay unread.
const OPTIONAL: [&str; 5] = ["nonce", "azp", "at_hash", "acr", "auth_time"];

/// OIDC CIBA Core §10.3.1: the request that the token answers.
const AUTH_REQ_ID: &str = "urn:openid:params:jwt:claim:auth_req_id";
/// OIDC CIBA Core §10.3.1: the half hash of the refresh token.
const RT_HASH: &str = "urn:openid:params:jwt:claim:rt_hash";

/// What a checked ID token says about the login.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The server's name for the user (`sub`): pairwise at most banks, so it names nobody elsewhere.
    pub subject: String,
    /// How strongly the user signed in (`acr`), in the server's words.
    pub acr: Option<String>,
    /// When the user signed in (`auth_time`).
    pub authenticated_at: Option<Timestamp>,
    /// When the token was issued (`iat`).
    pub issued_at: Timestamp,
    /// The name that we gave the login (`nonce`): used up, and compared with where an ID token of a refresh repeats it.
    #[serde(default)]
    pub nonce: Option<String>,
}

/// The subject is personal data.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("acr", &self.acr).field("issued_at", &self.issued_at).finish_non_exhaustive()
    }
}

/// The login that an ID token must match.
pub(crate) struct Context<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) asked: &'a Asked,
}

/// What an ID token came with.
pub(crate) enum About<'a> {
    /// From the authorization endpoint: a code and a state, for which it must vouch.
    Code { code: &'a str, state: &'a str },
    /// From the token endpoint: an access token, and the subject of the ID token before, if there was one.
    Token { access_token: &'a str, subject: Option<&'a str> },
    /// From the token endpoint after a decoupled login: the tokens, and the request that they answer.
    Backchannel { access_token: &'a str, refresh_token: Option<&'a str>, auth_req_id: &'a str },
}

/// Checks an ID token.
pub(crate) fn verify(
    jwt: &str,
    context: &Context<'_>,
    about: &About<'_>,
    keys: &KeySet,
    now: Timestamp,
) -> Result<Identity, Refusal> {
    let asked = context.asked;
    let verified = jws::verify(jwt, keys, &asked.id_token_algs, &SIGNED, now)?;
    token_is_encrypted(verified.encrypted, asked.encrypted)?;
    let (all, alg) = (&verified.claims, verified.alg);
    let claims = claims(all)?;
    issuer_matches(&claims, context.issuer)?;
    audience_is_ours(&claims, context.client_id)?;
    audience_is_nobody_else(&claims, context.client_id)?;
    authorized_party_is_ours(&claims, context.client_id)?;
    token_is_in_time(&claims, now)?;
    token_is_recent(&claims, asked.id_token_age_seconds_max, now)?;
    token_is_not_from_the_future(&claims, now)?;
    subject_is_a_name(&claims)?;
    nonce_matches(&claims, asked.nonce.as_ref())?;
    match about {
        About::Code { code, state } => {
            code_matches(all, code, alg)?;
            state_matches(all, state, alg)?;
        }
        About::Token { access_token, subject } => {
            access_token_matches(&claims, access_token, alg)?;
            subject_is_the_same(&claims, *subject)?;
        }
        About::Backchannel { access_token, refresh_token, auth_req_id } => {
            access_token_matches(&claims, access_token, alg)?;
            refresh_token_matches(all, *refresh_token, alg)?;
            request_matches(all, auth_req_id)?;
        }
    }
    user_signed_in_strongly(&claims, asked)?;
    intent_matches(all, asked.intent.as_ref())?;
    identity(&claims)
}

/// OIDC Core §2: every required claim is there, and each claim is of its type.
fn claims(all: &Map<String, Value>) -> Result<Claims, Refusal> {
    for (name, reason) in &REQUIRED {
        reason.require(all.get(*name).is_some_and(|value| !value.is_null()))?;
    }
    let read = |name: &str| OPTIONAL.contains(&name) || REQUIRED.iter().any(|(required, _)| *required == name);
    let known = all.iter().filter(|(name, _)| read(name)).map(|(name, value)| (name.clone(), value.clone()));
    serde_json::from_value(Value::Object(known.collect())).map_err(|_| refusal::ID_TOKEN_CLAIMS_INVALID.refuse())
}

/// What an ID token that comes with a refresh must match.
pub(crate) struct Renewed<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) algs: &'a [Alg],
    pub(crate) decrypter: Option<&'a dyn Decrypter>,
    /// Whether it must be encrypted.
    pub(crate) encrypted: bool,
}

/// OIDC Core §12.2: an ID token that comes with a refresh is of the same issuer, user, client and login as the first one,
/// signed by a method that we take and not expired. It came from the token endpoint itself, whose TLS certificate vouches
/// for it in place of the signature (OIDC Core §3.1.3.7 (6)).
pub(crate) fn is_of_the_same_login(
    jwt: &str,
    before: &Identity,
    renewed: &Renewed<'_>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let read = jws::vouched_for(jwt, renewed.decrypter, renewed.algs, &SIGNED, now)?;
    token_is_encrypted(read.encrypted, renewed.encrypted)?;
    let claims = claims(&read.claims)?;
    issuer_matches(&claims, renewed.issuer)?;
    audience_is_ours(&claims, renewed.client_id)?;
    audience_is_nobody_else(&claims, renewed.client_id)?;
    authorized_party_is_ours(&claims, renewed.client_id)?;
    token_is_in_time(&claims, now)?;
    subject_is_the_same(&claims, Some(&before.subject))?;
    login_is_the_same(&claims, before)
}

/// OIDC Core §3.1.3.7 (2).
fn issuer_matches(claims: &Claims, issuer: &str) -> Result<(), Refusal> {
    refusal::ID_TOKEN_ISS_MISMATCH.require(claims.issuer().as_str() == issuer)
}

/// OIDC Core §3.1.3.7 (3): we are among those it is meant for.
fn audience_is_ours(claims: &Claims, client_id: &str) -> Result<(), Refusal> {
    refusal::ID_TOKEN_AUD_MISMATCH.require(claims.audiences().iter().any(|aud| aud.as_str() == client_id))
}

/// OIDC Core §3.1.3.7 (3): nor is it meant for anybody we do not trust, and here we trust nobody else.
fn audience_is_nobody_else(claims: &Claims, client_id: &str) -> Result<(), Refusal> {
    refusal::ID_TOKEN_AUD_UNTRUSTED.require(claims.audiences().iter().all(|aud| aud.as_str() == client_id))
}

/// OIDC Core §3.1.3.7 (5): where it names the party it was issued to, that is us.
fn authorized_party_is_ours(claims: &Claims, client_id: &str) -> Result<(), Refusal> {
    refusal::ID_TOKEN_AZP_MISMATCH.require(claims.authorized_party().is_none_or(|party| party.as_str() == client_id))
}

/// OIDC Core §3.1.3.7 (9): not expired, without leeway.
fn token_is_in_time(claims: &Claims, now: Timestamp) -> Result<(), Refusal> {
    refusal::ID_TOKEN_EXP_EXPIRED.require(now.as_second() < claims.expiration().timestamp())
}

/// OIDC Core §3.1.3.7 (10): not issued too far away from now.
fn token_is_recent(claims: &Claims, age_seconds_max: i64, now: Timestamp) -> Result<(), Refusal> {
    let oldest = now.as_second().saturating_sub(age_seconds_max);
    refusal::ID_TOKEN_IAT_EXPIRED.require(claims.issue_time().timestamp() >= oldest)
}

/// The same, on the other side: clocks differ a little and no more.
fn token_is_not_from_the_future(claims: &Claims, now: Timestamp) -> Result<(), Refusal> {
    let newest = now.as_second().saturating_add(CLOCK_SKEW_SECONDS);
    refusal::ID_TOKEN_IAT_INVALID.require(claims.issue_time().timestamp() <= newest)
}

/// OIDC Core §2: at most 255 characters of ASCII, and none that cannot be seen.
fn subject_is_a_name(claims: &Claims) -> Result<(), Refusal> {
    let subject = claims.subject().as_str();
    let shown = subject.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    refusal::ID_TOKEN_SUB_INVALID.require(shown && (1..=SUBJECT_CHARS_MAX).contains(&subject.len()))
}

/// OIDC Core §3.1.3.7 (11): the nonce of this login, where one was sent. (openidconnect compares digests.)
fn nonce_matches(claims: &Claims, sent: Option<&SecretString>) -> Result<(), Refusal> {
    let Some(sent) = sent else { return Ok(()) };
    let nonce = claims.nonce().ok_or_else(|| refusal::ID_TOKEN_NONCE_MISSING.refuse())?;
    refusal::ID_TOKEN_NONCE_MISMATCH.require(*nonce == openidconnect::Nonce::new(sent.expose_secret().to_owned()))
}

/// OIDC Core §3.1.3.8: where it names the access token, that is the one that came with it.
fn access_token_matches(claims: &Claims, access_token: &str, alg: Alg) -> Result<(), Refusal> {
    let hash = half_hash(access_token, alg);
    refusal::ID_TOKEN_AT_HASH_MISMATCH.require(claims.access_token_hash().is_none_or(|named| named.as_str() == hash))
}

/// OIDC CIBA Core §10.3.1: where it names the refresh token, that is the one that came with it.
fn refresh_token_matches(all: &Map<String, Value>, refresh_token: Option<&str>, alg: Alg) -> Result<(), Refusal> {
    let hash = refresh_token.map(|token| Value::from(half_hash(token, alg)));
    refusal::ID_TOKEN_RT_HASH_MISMATCH.require(all.get(RT_HASH).is_none_or(|named| Some(named) == hash.as_ref()))
}

/// OIDC CIBA Core §10.3.1: where it names the authentication request, that is the one it answers.
fn request_matches(all: &Map<String, Value>, auth_req_id: &str) -> Result<(), Refusal> {
    refusal::ID_TOKEN_AUTH_REQ_ID_MISMATCH.require(all.get(AUTH_REQ_ID).is_none_or(|named| named == auth_req_id))
}

/// OIDC Core §3.3.2.10: the hash of the code is there, since it is what the token is for, and it is of this code.
fn code_matches(all: &Map<String, Value>, code: &str, alg: Alg) -> Result<(), Refusal> {
    let hash = all.get("c_hash").ok_or_else(|| refusal::ID_TOKEN_C_HASH_MISSING.refuse())?;
    refusal::ID_TOKEN_C_HASH_MISMATCH.require(*hash == half_hash(code, alg))
}

/// FAPI 1.0 Advanced §5.2.3.1: so is the hash of the state, since we always send one.
fn state_matches(all: &Map<String, Value>, state: &str, alg: Alg) -> Result<(), Refusal> {
    let hash = all.get("s_hash").ok_or_else(|| refusal::ID_TOKEN_S_HASH_MISSING.refuse())?;
    refusal::ID_TOKEN_S_HASH_MISMATCH.require(*hash == half_hash(state, alg))
}

/// OIDC Core §3.3.3.6, §12.2: all ID tokens of a login name one user.
fn subject_is_the_same(claims: &Claims, before: Option<&str>) -> Result<(), Refusal> {
    refusal::ID_TOKEN_SUB_MISMATCH.require(before.is_none_or(|before| claims.subject().as_str() == before))
}

/// OIDC Core §12.2: where the ID token of a refresh says when the user signed in, and for which login, it repeats the first.
fn login_is_the_same(claims: &Claims, before: &Identity) -> Result<(), Refusal> {
    fn agree<T: PartialEq>(first: Option<T>, again: Option<T>) -> bool {
        first.zip(again).is_none_or(|(first, again)| first == again)
    }
    let again = identity(claims)?;
    refusal::ID_TOKEN_AUTH_TIME_MISMATCH.require(agree(before.authenticated_at, again.authenticated_at))?;
    refusal::ID_TOKEN_NONCE_MISMATCH.require(agree(before.nonce.as_ref(), again.nonce.as_ref()))
}

/// OIDC Core §5.5.1.1: an essential `acr` is there, and one of the values that were asked for where values were.
fn user_signed_in_strongly(claims: &Claims, asked: &Asked) -> Result<(), Refusal> {
    if asked.acr_values.is_empty() && !asked.acr_required {
        return Ok(());
    }
    let acr = claims.auth_context_ref().ok_or_else(|| refusal::ID_TOKEN_ACR_MISSING.refuse())?;
    let good = asked.acr_values.is_empty() || asked.acr_values.iter().any(|value| value == acr.as_str());
    refusal::ID_TOKEN_ACR_MISMATCH.require(good)
}

/// Open Finance Brasil Security Profile §5.2.2: an ID token comes encrypted, where the profile says so.
fn token_is_encrypted(encrypted: bool, required: bool) -> Result<(), Refusal> {
    refusal::ID_TOKEN_ENCRYPTION_MISSING.require(encrypted || !required)
}

/// UK Open Banking Security Profile: what was authorised is what was asked for.
fn intent_matches(all: &Map<String, Value>, intent: Option<&(String, String)>) -> Result<(), Refusal> {
    let Some((claim, asked)) = intent else { return Ok(()) };
    let authorised = all.get(claim).ok_or_else(|| refusal::ID_TOKEN_INTENT_MISSING.refuse())?;
    refusal::ID_TOKEN_INTENT_MISMATCH.require(authorised == asked)
}

/// OIDC Core §3.1.3.6: the left half of the hash that the signature algorithm uses: SHA-256, and SHA-512 for Ed25519
/// (RFC 8032 §5.1).
pub(crate) fn half_hash(text: &str, alg: Alg) -> String {
    let algorithm = match alg {
        Alg::Ps256 | Alg::Es256 => &SHA256,
        Alg::EdDsa => &SHA512,
    };
    let hash = digest::digest(algorithm, text.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..algorithm.output_len() / 2])
}

fn identity(claims: &Claims) -> Result<Identity, Refusal> {
    let instant = |seconds: i64| Timestamp::from_second(seconds).map_err(|_| refusal::ID_TOKEN_CLAIMS_INVALID.refuse());
    Ok(Identity {
        subject: claims.subject().to_string(),
        acr: claims.auth_context_ref().map(|acr| acr.to_string()),
        authenticated_at: claims.auth_time().map(|time| instant(time.timestamp())).transpose()?,
        issued_at: instant(claims.issue_time().timestamp())?,
        nonce: claims.nonce().map(|nonce| nonce.secret().clone()),
    })
}
