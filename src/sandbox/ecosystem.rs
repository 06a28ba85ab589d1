//! What an ecosystem adds to the authorisation server and in what shape it keeps consents, accounts and rows, as data.
//! Nothing else in this crate asks for a country.

mod australia;
mod brazil;
mod france;
mod north_america;
mod poland;
mod united_kingdom;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

pub use self::australia::CONSUMER_DATA_RIGHT;
pub use self::brazil::OPEN_FINANCE_BRASIL;
pub use self::france::STET;
pub use self::north_america::FINANCIAL_DATA_EXCHANGE;
pub use self::poland::POLISH_API;
pub use self::united_kingdom::{OPEN_BANKING_UK, OPEN_BANKING_UK_4};
use crate::books::{Consent, ConsentStatus};
use crate::data::{Account, Balances, Row};
use crate::posted::Posted;

/// What in an authorisation request names the consent that is to be authorised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy {
    /// A scope with this beginning.
    Scope(&'static str),
    /// An essential claim of the ID token with this name (OIDC Core §5.5.1); the ID token repeats it.
    Claim(&'static str),
    /// Nothing: the request itself makes an arrangement, or names the one that it changes (`cdr_arrangement_id`), and says
    /// for how many seconds data are shared (`sharing_duration`).
    Arrangement,
    /// Nothing: the request itself makes what is authorised, and it ends with its tokens.
    Request,
    /// `scope_details`: privileges, when they end, and an id of the TPP's own.
    ScopeDetails,
}

/// A header that resource calls must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Any value.
    Any(&'static str),
    /// A UUID (RFC 9562), also checked where it is not needed.
    Uuid(&'static str),
    /// A date of HTTP (RFC 9110 §5.6.7).
    Date(&'static str),
}

/// How the bank keeps consents and lists accounts. Pointers are those of RFC 6901.
#[derive(Clone, Copy)]
pub struct Resources {
    /// Path of the consents; absent where requests make them.
    pub consents: Option<&'static str>,
    /// What an id of a consent begins with.
    pub consent_prefix: &'static str,
    /// Where a request for a consent lists permissions: one or more texts.
    pub permissions: &'static str,
    /// Where it says when the consent shall end, if it does.
    pub expires: &'static str,
    /// The answer about a consent.
    pub consent: fn(&Shown<'_>) -> Value,
    /// Path of the list of accounts.
    pub accounts: &'static str,
    /// One account in that list, by its id.
    pub account: fn(&Account, &str) -> Value,
    /// The list.
    pub list: fn(Vec<Value>) -> Value,
    /// Path of the balances of the account `{id}`.
    pub balances: &'static str,
    /// The answer about them.
    pub balance: fn(&Account, &Balances, &str) -> Value,
    /// Path of the transactions of the account `{id}`.
    pub transactions: &'static str,
    /// The parameters of their first and last day, or instant.
    pub span: [&'static str; 2],
    /// Whether the last day is left out.
    pub last_day_is_out: bool,
    /// One transaction.
    pub row: fn(&Listed<'_>) -> Value,
    /// A page of them, with the address of the next one.
    pub page: fn(Vec<Value>, Option<&str>) -> Value,
    /// Whether an empty page is no page at all (204).
    pub empty_is_nothing: bool,
    /// An error: a code of the bank's and a sentence.
    pub error: fn(&str, &str) -> Value,
    /// Headers of every call.
    pub headers: &'static [Header],
}

/// Holds functions: `Debug` shows the paths.
impl std::fmt::Debug for Resources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Resources");
        shown.field("consents", &self.consents).field("accounts", &self.accounts).finish_non_exhaustive()
    }
}

/// A row as a list shows it.
#[derive(Debug)]
pub struct Listed<'a> {
    pub(crate) row: &'a Row,
    /// The account's id under the consent.
    pub(crate) account: &'a str,
    /// Whether it is in the books yet.
    pub(crate) booked: bool,
    pub(crate) zone: &'a TimeZone,
}

impl Listed<'_> {
    /// The unsigned amount as the standards write it.
    fn amount(&self) -> String {
        self.row.money.to_plain_string().trim_start_matches('-').to_owned()
    }

    fn currency(&self) -> String {
        self.row.money.currency().code().to_owned()
    }

    /// One of two words: for money in and for money out.
    fn side(&self, [credit, debit]: [&'static str; 2]) -> &'static str {
        if self.row.money.amount().is_sign_negative() { debit } else { credit }
    }

    /// One of two words: for what is booked and for what is pending.
    fn status(&self, [booked, pending]: [&'static str; 2]) -> &'static str {
        if self.booked { booked } else { pending }
    }

    /// The instant at which the clocks of the bank's zone show an hour on the day of its booking: in UTC it may lie on
    /// another day, and only the zone tells.
    fn at(&self, hour: i8) -> Timestamp {
        let local = self.row.booked.at(hour, 30, 0, 0).to_zoned(self.zone.clone());
        local.map_or(Timestamp::UNIX_EPOCH, |local| local.timestamp())
    }
}

/// A consent as an answer shows it.
#[derive(Debug)]
pub struct Shown<'a> {
    id: &'a str,
    status: ConsentStatus,
    asked: &'a Value,
    created: String,
}

impl<'a> Shown<'a> {
    pub(crate) fn of(id: &'a str, consent: &'a Consent) -> Self {
        Self { id, status: consent.status, asked: &consent.asked_json, created: consent.created.to_string() }
    }

    /// The word for its status: waiting, given, refused, over.
    fn status(&self, words: [&'static str; 4]) -> &'static str {
        let [waiting, given, refused, over] = words;
        match self.status {
            ConsentStatus::Received | ConsentStatus::PartiallyAuthorised => waiting,
            ConsentStatus::Valid => given,
            ConsentStatus::Rejected => refused,
            ConsentStatus::RevokedByPsu | ConsentStatus::Expired | ConsentStatus::TerminatedByTpp => over,
        }
    }
}

/// An ecosystem.
#[derive(Debug, Clone, Copy)]
pub struct Ecosystem {
    /// What names a consent in a request.
    pub named_by: NamedBy,
    /// Scopes that a request may hold beside that.
    pub scopes: &'static [&'static str],
    /// Scopes of tokens that clients get for themselves (RFC 6749 §4.4).
    pub own_scopes: &'static [&'static str],
    /// How strongly its customers sign in: `acr` must be asked for as essential, and the ID token says it.
    pub acr: Option<&'static str>,
    /// Whether the request must name the value; else it must name none.
    pub acr_is_named: bool,
    /// Signature algorithms of everybody; the bank signs with the first.
    pub algorithms: &'static [&'static str],
    /// Whether an ID token comes beside the code, pushed or not (`code id_token`).
    pub hybrid: bool,
    /// Whether a response with a code alone must be signed (JARM).
    pub signed_responses: bool,
    /// Whether ID tokens are encrypted to the client (RSA-OAEP, A256GCM).
    pub encrypted_id_tokens: bool,
    /// Consents and accounts; absent: those of the Berlin Group.
    pub resources: Option<Resources>,
    /// An account interface that is asked by POST.
    pub posted: Option<Posted>,
    /// Whether an intermediary stands before the bank and gives what it has in a shape of its own.
    pub intermediary: bool,
}

/// NextGenPSD2 with FAPI 2.0 Message Signing's signed requests.
pub const BERLIN_GROUP: Ecosystem = Ecosystem {
    named_by: NamedBy::Scope("AIS:"),
    scopes: &["openid", "offline_access"],
    own_scopes: &["ais"],
    acr: None,
    acr_is_named: false,
    algorithms: &["ES256", "PS256", "EdDSA"],
    hybrid: false,
    signed_responses: false,
    encrypted_id_tokens: false,
    resources: None,
    posted: None,
    intermediary: false,
};

/// A bank behind Enable Banking.
pub const ENABLE_BANKING: Ecosystem = Ecosystem { intermediary: true, ..BERLIN_GROUP };
