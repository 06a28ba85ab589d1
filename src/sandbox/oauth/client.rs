//! Client authentication: `private_key_jwt` and `tls_client_auth`, whichever the client registered.

use jiff::Timestamp;
use net::serve::PeerCertificate;

use crate::bank::{Client, Inner};
use crate::config::ClientAuthentication;
use crate::fault::Fault;
use crate::jose::{Kind, unverified_claim};
use crate::oauth::Form;

/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Longest life of an assertion, in seconds.
const ASSERTION_SECONDS_MAX: i64 = 300;

/// The client that sent a form, proven.
pub(super) fn authenticate<'b>(bank: &'b Inner, peer: &PeerCertificate, form: &Form) -> Result<&'b Client, Fault> {
    let assertion = form.get("client_assertion");
    let claimed = form.get("client_id").map(str::to_owned).or_else(|| unverified_claim(assertion?, "iss"));
    let claimed = claimed.ok_or_else(|| Fault::client("client.missing", "the request names no client"))?;
    let client = bank
        .client(&claimed)
        .ok_or_else(|| Fault::client("client.unknown", "no client is registered under this client_id"))?;
    match &client.registered.authentication {
        ClientAuthentication::PrivateKeyJwt => {
            let assertion = assertion.ok_or_else(|| {
                Fault::client("client_assertion.missing", "this client is registered with private_key_jwt")
            })?;
            check_assertion(bank, client, assertion, form)?;
        }
        ClientAuthentication::TlsClientAuth { subject_dn } => check_certificate(peer, subject_dn, form)?,
    }
    Ok(client)
}

fn check_certificate(peer: &PeerCertificate, subject_dn: &str, form: &Form) -> Result<(), Fault> {
    if form.get("client_assertion").is_some() {
        return Err(Fault::client("client_assertion.unexpected", "this client is registered with tls_client_auth"));
    }
    if form.get("client_id").is_none() {
        return Err(Fault::client("client.missing", "tls_client_auth needs client_id in the body"));
    }
    if peer.subject != subject_dn {
        return Err(Fault::client(
            "client.certificate.mismatch",
            "the certificate's subject is not the registered one",
        ));
    }
    Ok(())
}

/// FAPI 2.0 Security Profile §5.3.2.1 and RFC 7523 §3.
fn check_assertion(bank: &Inner, client: &Client, assertion: &str, form: &Form) -> Result<(), Fault> {
    if form.get("client_assertion_type") != Some(ASSERTION_TYPE) {
        return Err(Fault::client("client_assertion_type.mismatch", "client_assertion_type is missing or unknown"));
    }
    let now = bank.now();
    let client_id = &client.registered.client_id;
    let (_, claims) = client.keys.verify(Kind::ClientAssertion, assertion)?;
    claims.equals("iss", client_id)?;
    claims.equals("sub", client_id)?;
    // A single string, and no other value than the issuer: FAPI 2.0 Security Profile §5.3.2.1.
    claims.equals("aud", &bank.issuer)?;
    claims.past("iat", now)?;
    if claims.has("nbf") {
        claims.past("nbf", now)?;
    }
    let exp = claims.unexpired(now)?;
    if exp - now.as_second() > ASSERTION_SECONDS_MAX {
        return Err(claims.fault("exp", "invalid", "lives longer than five minutes"));
    }
    let jti = claims.text("jti")?;
    let until = Timestamp::from_second(exp).unwrap_or(Timestamp::MAX);
    if !bank.books().first_sight(client_id, jti, until, now) {
        return Err(claims.fault("jti", "replayed", "was used before"));
    }
    Ok(())
}
