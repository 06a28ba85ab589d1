//! What banks tell us unasked: of which consents a notification speaks.
//!
//! A notification is a hint. Nobody has proven who sent it, so nothing that it says of a consent is taken over, and a
//! signature on it is not looked at: the bank is asked instead.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::ask::BankConsentId;
use crate::profile::Standard;

/// Most consents that are taken from one notification.
const CONSENTS_MAX: usize = 16;
/// Longest notification that is read, in bytes.
const BYTES_MAX: usize = 16 * 1024;
/// Where an event of UK Open Banking names what it is about (OBEventSubject1).
const RESOURCE: &str = "http://openbanking.org.uk/rid";
/// And what kind of thing that is.
const KIND: &str = "http://openbanking.org.uk/rty";

/// The consents that a notification names, in the form that its standard gives it: a JSON body with `consentId`
/// (NextGenPSD2 Resource Status Notification Service), or a security event token (RFC 8417; UK Open Banking Event
/// Notification API). None where there is nothing to be read, or where the standard has no such notifications.
pub fn consents_named(standard: Standard, body: &[u8]) -> Vec<BankConsentId> {
    if body.len() > BYTES_MAX {
        return Vec::new();
    }
    let names = match standard {
        Standard::BerlinGroup => {
            let body: Option<Value> = serde_json::from_slice(body).ok();
            body.iter().filter_map(|body| Some(body.get("consentId")?.as_str()?.to_owned())).collect()
        }
        Standard::OpenBankingUk => subjects(body),
        Standard::ConsumerDataRight
        | Standard::OpenFinanceBrasil
        | Standard::Stet
        | Standard::PolishApi
        | Standard::FinancialDataExchange
        | Standard::EnableBanking => Vec::new(),
    };
    let mut found = names.iter().filter_map(|name| BankConsentId::new(name).ok()).collect::<Vec<_>>();
    found.truncate(CONSENTS_MAX);
    found
}

/// The account-access consents that the events of a token are about. The standard's own examples write the kind in the
/// singular and in the plural.
fn subjects(token: &[u8]) -> Vec<String> {
    let claims = token.split(|byte| *byte == b'.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Option<Value> = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
    let events = claims.as_ref().and_then(|claims| claims.get("events")?.as_object());
    let named = events.into_iter().flat_map(|events| events.values()).filter_map(|event| {
        let subject = event.get("subject")?;
        let kind = subject.get(KIND)?.as_str()?;
        let about_consent = kind.starts_with("account-access-consent");
        about_consent.then(|| subject.get(RESOURCE)?.as_str().map(str::to_owned)).flatten()
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(standard: Standard, body: &[u8]) -> Vec<String> {
        consents_named(standard, body).iter().map(|consent| consent.expose().to_owned()).collect()
    }

    fn token(claims: &str) -> Vec<u8> {
        format!("{}.{}.signature", URL_SAFE_NO_PAD.encode(r#"{"alg":"PS256"}"#), URL_SAFE_NO_PAD.encode(claims)).into()
    }

    #[test]
    fn a_status_push_names_its_consent() {
        let push = br#"{"consentId":"consent-1","consentStatus":"revokedByPsu"}"#;
        assert_eq!(named(Standard::BerlinGroup, push), ["consent-1"]);
        for nothing in ["", "null", "[]", "{}", r#"{"consentId":7}"#, r#"{"consentId":"a b"}"#, r#"{"paymentId":"p"}"#]
        {
            assert_eq!(named(Standard::BerlinGroup, nothing.as_bytes()), [""; 0], "{nothing}");
        }
        assert_eq!(named(Standard::Stet, push), [""; 0]);
        let long = format!(r#"{{"consentId":"c","x":"{}"}}"#, "x".repeat(BYTES_MAX));
        assert_eq!(named(Standard::BerlinGroup, long.as_bytes()), [""; 0]);
    }

    #[test]
    fn an_event_names_the_consents_that_it_is_about_and_no_payments() {
        let event = |name: &str, kind: &str, id: &str| {
            format!(r#""urn:uk:org:openbanking:events:{name}":{{"subject":{{"{RESOURCE}":"{id}","{KIND}":"{kind}"}}}}"#)
        };
        let all = [
            event("consent-authorization-revoked", "account-access-consents", "aac-1"),
            event("account-access-consent-linked-account-update", "account-access-consent", "aac-2"),
            event("resource-update", "domestic-payment", "pmt-3"),
            r#""urn:other":{}"#.to_owned(),
        ];
        let body = token(&format!(r#"{{"iss":"https://bank.example","events":{{{}}}}}"#, all.join(",")));
        let mut found = named(Standard::OpenBankingUk, &body);
        found.sort();
        assert_eq!(found, ["aac-1", "aac-2"]);
        for nothing in [token("{}"), token(r#"{"events":[]}"#), b"a.b.c".to_vec(), b"no token".to_vec(), Vec::new()] {
            assert_eq!(named(Standard::OpenBankingUk, &nothing), [""; 0]);
        }
        let many = (0..40).map(|nth| event(&format!("e{nth}"), "account-access-consent", "aac")).collect::<Vec<_>>();
        let body = token(&format!(r#"{{"events":{{{}}}}}"#, many.join(",")));
        assert_eq!(named(Standard::OpenBankingUk, &body).len(), CONSENTS_MAX);
    }
}
