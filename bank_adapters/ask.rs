//! What is asked of a bank: values that are valid by construction, so that every call of [`crate::Bank`] is total.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use jiff::civil::Date;
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use uuid::Uuid;

/// Text that cannot stand where it is wanted. It does not show the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is empty, too long or holds characters that cannot be sent")]
pub struct Unsendable(pub &'static str);

/// Letters, digits and marks of visible ASCII, without the two that end a quoted string.
fn plain_ascii(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

/// The bank's id of a consent. Who knows it can end the consent, so it is kept like a secret and never printed.
#[derive(Clone)]
pub struct BankConsentId(SecretString);

impl BankConsentId {
    /// Visible ASCII without `"` and `\`, at most 1024 characters: it travels in a header, in paths and in a scope.
    pub fn new(text: &str) -> Result<Self, Unsendable> {
        if plain_ascii(text, 1024) && !is_dots(text) {
            Ok(Self(SecretString::from(text)))
        } else {
            Err(Unsendable("the bank's consent id"))
        }
    }

    /// The id, for the request and for sealed storage.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for BankConsentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BankConsentId(..)")
    }
}

/// An access token that can stand in an `Authorization` header (RFC 6750 §2.1).
#[derive(Clone)]
pub struct AccessToken(SecretString);

impl AccessToken {
    /// Visible ASCII of any length; tokens are opaque.
    pub fn new(token: SecretString) -> Result<Self, Unsendable> {
        if plain_ascii(token.expose_secret(), usize::MAX) {
            Ok(Self(token))
        } else {
            Err(Unsendable("the access token"))
        }
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(..)")
    }
}

/// The bank's id of an account, constant only within one consent. Never a key of ours.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ResourceId(String);

impl ResourceId {
    /// Any text of 1 to 256 bytes without control characters that is a path segment of its own (not `.` or `..`).
    pub fn new(text: &str) -> Result<Self, Unsendable> {
        if (1..=256).contains(&text.len()) && !text.chars().any(char::is_control) && !is_dots(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Unsendable("the bank's account id"))
        }
    }

    /// The id as the bank wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Some banks build the id from the account number.
impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResourceId(..)")
    }
}

/// `.` and `..` would change the path that they stand in.
fn is_dots(text: &str) -> bool {
    text == "." || text == ".."
}

/// The person at the other end of this very request. Only a live session of the PSU makes one: to send it on unattended
/// work is a false statement, to leave it out of attended work burns the bank's daily count.
#[derive(Clone)]
pub struct PsuPresent {
    /// Address from which the PSU reaches us or the product.
    pub ip: IpAddr,
    /// The PSU's `User-Agent`, as received.
    pub user_agent: Option<String>,
}

impl fmt::Debug for PsuPresent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PsuPresent(..)")
    }
}

/// The name by which a PSU signs in at the bank (NextGenPSD2 `PSU-ID`). It goes out once, with the request that needs it, and is
/// never printed.
#[derive(Clone)]
pub struct LoginName(SecretString);

impl LoginName {
    /// Visible ASCII without `"` and `\\`, at most 128 characters: it travels in a header.
    pub fn new(text: &str) -> Result<Self, Unsendable> {
        if plain_ascii(text, 128) { Ok(Self(SecretString::from(text))) } else { Err(Unsendable("the login name")) }
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginName(..)")
    }
}

/// What accompanies one call.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// The token of the grant or of the client; absent where the bank wants none.
    pub token: Option<AccessToken>,
    /// The person, if present.
    pub psu: Option<PsuPresent>,
    /// When the person last signed in, as far as we know; some standards want to be told at every read.
    pub authenticated_at: Option<Timestamp>,
    /// A fresh one per call; banks refuse or replay a repeated one.
    pub request_id: Uuid,
}

/// A number that names an account, as the standards allow it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AccountReference {
    /// IBAN.
    pub iban: Option<String>,
    /// National account number.
    pub bban: Option<String>,
    /// Card number with its middle hidden.
    pub masked_pan: Option<String>,
    /// Telephone number.
    pub msisdn: Option<String>,
    /// Any other identification.
    pub other: Option<String>,
    /// ISO 4217 code, which tells accounts under one IBAN apart.
    pub currency: Option<String>,
}

impl fmt::Debug for AccountReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountReference(..)")
    }
}

/// Which accounts a consent is for.
#[derive(Debug, Clone)]
pub enum Access {
    /// All that the PSU has or chooses at the bank; how that is said follows the profile.
    AllAccounts,
    /// These.
    Accounts(Vec<AccountReference>),
}

/// Which data are asked beside the list of accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clusters {
    /// Balances.
    pub balances: bool,
    /// Transactions.
    pub transactions: bool,
}

/// A consent to be created at the bank.
#[derive(Debug, Clone)]
pub struct ConsentAsk {
    /// Accounts.
    pub access: Access,
    /// Data.
    pub clusters: Clusters,
    /// Last day, inclusive, in the bank's calendar. The bank may shorten it.
    pub valid_until: Date,
    /// Whether it may be used again and again.
    pub recurring: bool,
    /// Reads per day without the PSU, at least 1. The bank may lower it.
    pub frequency_per_day: u8,
    /// The number of the PSU's identity document, where the standard ties a consent to a person at once (the CPF in
    /// Brazil). It names a person and is never printed.
    pub user_document: Option<SecretString>,
    /// The name by which the PSU signs in, where the bank has to know whom to ask on another device.
    pub login_name: Option<LoginName>,
    /// What the return to `redirect_uri` has to bring along, as `state`, where no authorisation request says so.
    pub state: Option<String>,
    /// Where the bank sends the browser after success.
    pub redirect_uri: Url,
    /// Where it sends the browser after failure; banks may ignore it and use the other.
    pub nok_redirect_uri: Option<Url>,
    /// Where the bank may tell us that the consent has changed, for banks whose profile says that they do.
    pub notification_uri: Option<Url>,
}

/// Which lists of transactions to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BookingStatus {
    /// Booked entries.
    Booked,
    /// Entries that may still change or vanish.
    Pending,
    /// Both in one answer.
    Both,
}

/// A span of booking days in the bank's calendar, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First day.
    pub from: Date,
    /// Last day; absent means until now.
    pub to: Option<Date>,
    /// Which lists.
    pub status: BookingStatus,
}

/// A link to the next page, taken verbatim from an answer and known to stay on the bank's own origin.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NextLink(pub(crate) http::Uri);

/// Links carry account ids and state of the bank.
impl fmt::Debug for NextLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NextLink(..)")
    }
}

/// One page of transactions.
#[derive(Debug, Clone, Copy)]
pub enum PageAsk<'a> {
    /// The first page of a span.
    First(Window),
    /// The page that the last one pointed to.
    Next(&'a NextLink),
}

/// What the authorisation request must say, so that the token belongs to the consent.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The `scope` parameter, tokens separated by blanks.
    pub scope: String,
    /// The `authorization_details` parameter (RFC 9396), a JSON array as text.
    pub authorization_details: Option<String>,
    /// The `scope_details` parameter of Polish API: an object.
    pub scope_details: Option<serde_json::Value>,
}

/// What is shared and for how long, where the authorisation request itself says so.
#[derive(Debug, Clone, Copy)]
pub struct Sharing {
    /// Data.
    pub clusters: Clusters,
    /// When it ends.
    pub until: Timestamp,
}

/// Both hold the bank's consent id.
impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_sent_is_refused_when_it_is_made() {
        for bad in ["", ".", "..", "a b", "a\nb", "ä", "a\"b", "a\\b"] {
            assert!(BankConsentId::new(bad).is_err(), "{bad:?}");
        }
        for bad in ["", ".", "..", "a\nb", &"x".repeat(257)] {
            assert!(ResourceId::new(bad).is_err(), "{bad:?}");
        }
        assert!(ResourceId::new("Konto ä/1").is_ok());
        assert!(LoginName::new("mara\r\nX-Other: 1").is_err());
        assert!(AccessToken::new(SecretString::from("a\r\nX-Other: 1")).is_err());
    }

    #[test]
    fn nothing_here_prints_what_it_holds() {
        let consent = BankConsentId::new("consent-4711").unwrap();
        let token = AccessToken::new(SecretString::from("token-4711")).unwrap();
        let psu = PsuPresent { ip: IpAddr::from([192, 0, 2, 47]), user_agent: Some("agent-4711".to_owned()) };
        let context =
            CallContext { token: Some(token), psu: Some(psu), authenticated_at: None, request_id: Uuid::nil() };
        let reference = AccountReference { iban: Some("DE4711".to_owned()), ..AccountReference::default() };
        let login = LoginName::new("login-4711").unwrap();
        let shown = format!("{consent:?} {context:?} {reference:?} {login:?}");
        assert!(!shown.contains("4711") && !shown.contains("192"), "{shown}");
    }
}
