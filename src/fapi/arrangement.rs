//! Arrangements (Australian Consumer Data Right): what successive authorisations of one user at one bank belong to, and
//! how it ends: by our word to the bank ([`Client::revoke_arrangement`]) or by the bank's word to us ([`Withdrawal`]).

use std::fmt;

use domain::world::World;
use http::StatusCode;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::call::Call;
use crate::client::Client;
use crate::client_auth::authenticate;
use crate::jws::{self, Signed};
use crate::keys::KeySet;
use crate::metadata::{Metadata, endpoint_is_named};
use crate::profile::Alg;
use crate::refusal::{self, Refusal};
use crate::token::Tokens;
use crate::wire::{self, Endpoint};

/// CDR Arrangement Revocation End Point: a form with the arrangement, authenticated like any other.
pub(crate) fn revoke(
    client: &Client,
    metadata: &Metadata,
    tokens: &Tokens,
    world: &World<'_>,
) -> Result<Call<(), Refusal>, Refusal> {
    arrangements_are_known(client)?;
    tokens.are_of(client, metadata)?;
    let arrangement = tokens.arrangement.clone().ok_or_else(|| refusal::TOKEN_ARRANGEMENT_MISSING.refuse())?;
    let url = metadata.cdr_arrangement_revocation_endpoint();
    let url = endpoint_is_named(url, &refusal::METADATA_ARRANGEMENT_ENDPOINT_MISSING)?;
    let mut form = vec![("cdr_arrangement_id", arrangement)];
    authenticate(client, metadata, world, &mut form)?;
    Ok(Call::new(wire::post(url, &form), |response, _| {
        if let Some(code) = error(response.body()) {
            return Err(refusal::ARRANGEMENT_REVOCATION_REFUSED.with_error(&code));
        }
        let endpoint =
            Endpoint { status: refusal::ARRANGEMENT_STATUS_INVALID, refused: refusal::ARRANGEMENT_REVOCATION_REFUSED };
        wire::expect(response, StatusCode::NO_CONTENT, &endpoint).map(drop)
    }))
}

/// CDR Security Profile: who knows no arrangements has none to end.
fn arrangements_are_known(client: &Client) -> Result<(), Refusal> {
    refusal::CLIENT_ARRANGEMENT_INVALID.require(client.security.arrangement_claim.is_some())
}

/// The first of the errors in the form of the CDR standards (`urn:au-cds:error:cds-all:Authorisation/InvalidArrangement`).
fn error(body: &[u8]) -> Option<String> {
    let body = Value::Object(wire::json_object(body)?);
    Some(body.pointer("/errors/0/code")?.as_str()?.to_owned())
}

/// Longest body of a withdrawal that is read, in bytes.
const WITHDRAWAL_BYTES_MAX: usize = 16 * 1024;

const SIGNED: Signed = Signed {
    typ: Some("client-authentication+jwt"),
    format: refusal::WITHDRAWAL_FORMAT_INVALID,
    alg: refusal::WITHDRAWAL_ALG_MISMATCH,
    kid: refusal::WITHDRAWAL_KID_UNTRUSTED,
    signature: refusal::WITHDRAWAL_SIGNATURE_INVALID,
    nbf: refusal::WITHDRAWAL_NBF_INVALID,
    encryption_alg: refusal::WITHDRAWAL_FORMAT_INVALID,
    encryption: refusal::WITHDRAWAL_FORMAT_INVALID,
};

/// A bank's word that an arrangement has ended, as it came to our end point: untrusted until it is verified. The
/// connection proves nothing there, so the two JWTs are all that does.
pub struct Withdrawal {
    assertion: SecretString,
    notice: String,
    named: Option<String>,
}

/// An arrangement that has ended by the word of the bank that holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Withdrawn {
    /// The arrangement.
    pub arrangement: String,
    /// The name of the call (`jti`). It counts once: remember it until `expires_at`.
    pub jti: String,
    /// Until when the call could be repeated.
    pub expires_at: Timestamp,
}

impl Withdrawal {
    /// Reads the `Authorization` header and the form of a call.
    pub fn parse(authorization: Option<&str>, body: &[u8]) -> Result<Self, Refusal> {
        let assertion = authorization.and_then(wire::bearer);
        let assertion = assertion.ok_or_else(|| refusal::WITHDRAWAL_AUTHORIZATION_MISSING.refuse())?;
        refusal::WITHDRAWAL_FORMAT_INVALID.require(body.len() <= WITHDRAWAL_BYTES_MAX)?;
        let notice = field(body, "cdr_arrangement_jwt")?;
        let notice = notice.ok_or_else(|| refusal::WITHDRAWAL_FORMAT_INVALID.refuse())?;
        Ok(Self { assertion: assertion.into(), notice, named: field(body, "cdr_arrangement_id")? })
    }

    /// Who claims to call: the brand whose registered keys are to verify it. A claim and no more.
    pub fn claimed_holder(&self) -> Option<String> {
        let claims = jws::unverified(self.assertion.expose_secret(), None, &SIGNED)?;
        Some(claims.get("iss")?.as_str()?.to_owned())
    }

    /// Which arrangement is said to have ended, so that nobody's keys are fetched for one that we do not have. A claim and
    /// no more.
    pub fn claimed_arrangement(&self) -> Option<String> {
        let claims = jws::unverified(&self.notice, None, &SIGNED)?;
        Some(claims.get("cdr_arrangement_id")?.as_str()?.to_owned())
    }

    /// Verifies the call against the brand that holds the data, by its registered keys. `audience` is the address of our
    /// end point, `algs` are those that the ecosystem allows.
    pub fn verify(
        &self,
        holder: &str,
        audience: &str,
        keys: &KeySet,
        algs: &[Alg],
        now: Timestamp,
    ) -> Result<Withdrawn, Refusal> {
        let caller = jws::verify(self.assertion.expose_secret(), keys, algs, &SIGNED, now)?.claims;
        caller_is_the_holder(&caller, holder)?;
        call_is_for_us(&caller, audience)?;
        let expires_at = call_is_in_time(&caller, now)?;
        let jti = call_has_a_name(&caller)?;
        let notice = jws::verify(&self.notice, keys, algs, &SIGNED, now)?.claims;
        // The notice may have the claims of an assertion too; those that it has are right.
        notice_is_of_the_holder(&notice, holder)?;
        if notice.contains_key("aud") {
            call_is_for_us(&notice, audience)?;
        }
        if notice.contains_key("exp") {
            call_is_in_time(&notice, now)?;
        }
        let arrangement = arrangement_is_one(&notice, self.named.as_deref())?;
        Ok(Withdrawn { arrangement, jti, expires_at })
    }
}

/// A call holds a credential.
impl fmt::Debug for Withdrawal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Withdrawal(..)")
    }
}

/// An arrangement stands for a person's consent.
impl fmt::Debug for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Withdrawn").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// CDR self-signed JWT client authentication, RFC 7523 §3 (1, 2): issuer and subject are the brand.
fn caller_is_the_holder(claims: &Map<String, Value>, holder: &str) -> Result<(), Refusal> {
    let all = ["iss", "sub"].iter().all(|name| claims.get(*name).is_some_and(|value| value == holder));
    refusal::WITHDRAWAL_ISS_MISMATCH.require(all)
}

/// The same for the notice, as far as it says.
fn notice_is_of_the_holder(claims: &Map<String, Value>, holder: &str) -> Result<(), Refusal> {
    let none_else = ["iss", "sub"].iter().all(|name| claims.get(*name).is_none_or(|value| value == holder));
    refusal::WITHDRAWAL_ISS_MISMATCH.require(none_else)
}

/// A field of the form, which is given once (RFC 6749 §3.1).
fn field(body: &[u8], name: &str) -> Result<Option<String>, Refusal> {
    let mut given = form_urlencoded::parse(body).filter(|(known, _)| known == name);
    let (first, second) = (given.next(), given.next());
    refusal::WITHDRAWAL_FORMAT_INVALID.require(second.is_none())?;
    Ok(first.map(|(_, value)| value.into_owned()))
}

/// RFC 7523 §3 (3): for this end point of ours.
fn call_is_for_us(claims: &Map<String, Value>, audience: &str) -> Result<(), Refusal> {
    let ours =
        |aud: &Value| aud == audience || aud.as_array().is_some_and(|list| list.iter().any(|one| one == audience));
    refusal::WITHDRAWAL_AUD_MISMATCH.require(claims.get("aud").is_some_and(ours))
}

/// RFC 7523 §3 (4): not expired, without leeway.
fn call_is_in_time(claims: &Map<String, Value>, now: Timestamp) -> Result<Timestamp, Refusal> {
    let expires_at = claims.get("exp").and_then(wire::whole).and_then(|exp| Timestamp::from_second(exp).ok());
    expires_at.filter(|exp| now < *exp).ok_or_else(|| refusal::WITHDRAWAL_EXP_EXPIRED.refuse())
}

/// RFC 7523 §3 (7), CDR Client Authentication: by its name the caller tells a call from its repetition.
fn call_has_a_name(claims: &Map<String, Value>) -> Result<String, Refusal> {
    let jti = claims.get("jti").and_then(Value::as_str).filter(|jti| !jti.is_empty());
    jti.map(str::to_owned).ok_or_else(|| refusal::WITHDRAWAL_JTI_MISSING.refuse())
}

/// CDR Arrangement Revocation End Point: the signed name counts; a plain one beside it is the same.
fn arrangement_is_one(notice: &Map<String, Value>, named: Option<&str>) -> Result<String, Refusal> {
    let signed = notice.get("cdr_arrangement_id").and_then(Value::as_str).filter(|id| !id.is_empty());
    let signed = signed.ok_or_else(|| refusal::WITHDRAWAL_ARRANGEMENT_MISSING.refuse())?;
    refusal::WITHDRAWAL_ARRANGEMENT_MISMATCH.require(named.is_none_or(|named| named == signed))?;
    Ok(signed.to_owned())
}
