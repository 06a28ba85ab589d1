//! What a bank's answers mean, as values.

use std::fmt;

use bytes::Bytes;
use domain::records::{Issue, Parsed, ParsedAccount, ParsedBalance};
use jiff::civil::Date;
use url::Url;

use crate::ask::{AccountReference, BankConsentId, NextLink, ResourceId};
use crate::error::{BankCode, BankProblem, Breach};

/// A consent that now exists at the bank, not yet authorised.
#[derive(Debug)]
pub struct Opened {
    /// The bank's id.
    pub consent: BankConsentId,
    /// Its state; `received` as a rule.
    pub state: ConsentState,
    /// The last day, if the bank already tells it. What counts is [`Granted::valid_until`], read after authorisation.
    pub valid_until: Option<Date>,
    /// The approach that the bank says is fixed.
    pub approach: Option<ScaApproach>,
    /// Where to go on.
    pub links: Links,
}

/// Ways of strong customer authentication that NextGenPSD2 names (`ASPSP-SCA-Approach`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaApproach {
    /// The browser goes to the bank; OAuth is a kind of it.
    Redirect,
    /// The PSU confirms on another device while we poll.
    Decoupled,
    /// Credentials through us. We do not offer it.
    Embedded,
}

/// Links of a consent that lead to its authorisation.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// Page of the bank for the PSU's browser (`scaRedirect`).
    pub sca_redirect: Option<Url>,
    /// Metadata of the authorisation server (`scaOAuth`). A hint: the issuer is configured, never taken from an answer.
    pub sca_oauth: Option<Url>,
}

/// Links carry the bank's ids.
impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Links(..)")
    }
}

/// The state of a consent in the bank's eyes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsentState {
    /// Created, not authorised.
    Received,
    /// One of several needed authorisations is done.
    PartiallyAuthorised,
    /// In force.
    Valid,
    /// Not honoured at the moment, and perhaps again once the PSU has authenticated or the bank has thought better of it.
    Suspended,
    /// The PSU or the bank said no.
    Rejected,
    /// The PSU ended it at the bank.
    RevokedByPsu,
    /// Over by time, by use, or replaced by a newer consent.
    Expired,
    /// We ended it.
    TerminatedByTpp,
    /// The bank ended it.
    TerminatedByAspsp,
    /// The bank does not know it (404, or `CONSENT_UNKNOWN` to a question about this consent).
    NotFound,
    /// A word that no standard lists. Neither usable nor proof of an end.
    Unrecognised(BankCode),
}

impl ConsentState {
    /// Nothing but a new authorisation helps.
    pub const fn is_terminal(&self) -> bool {
        matches!(
            self,
            Self::Rejected
                | Self::RevokedByPsu
                | Self::Expired
                | Self::TerminatedByTpp
                | Self::TerminatedByAspsp
                | Self::NotFound
        )
    }

    /// Data may be read under it.
    pub const fn is_usable(&self) -> bool {
        matches!(self, Self::Valid)
    }
}

/// What the bank granted, which may differ from what was asked.
#[derive(Debug)]
pub struct Granted {
    /// State.
    pub state: ConsentState,
    /// Accounts and data.
    pub access: GrantedAccess,
    /// Last day, inclusive, in the bank's calendar.
    pub valid_until: Option<Date>,
    /// Reads per day without the PSU.
    pub frequency_per_day: Option<u32>,
    /// Whether it may be used again and again.
    pub recurring: Option<bool>,
    /// Day of the last use that the bank counted.
    pub last_action: Option<Date>,
}

impl Granted {
    /// What a bank granted that keeps no consents: what its tokens open, for as long as they do.
    pub const fn by_authorisation() -> Self {
        Self {
            state: ConsentState::Valid,
            access: GrantedAccess::All,
            valid_until: None,
            frequency_per_day: None,
            recurring: None,
            last_action: None,
        }
    }
}

/// The accounts of a granted consent.
#[derive(Debug, PartialEq, Eq)]
pub enum GrantedAccess {
    /// All payment accounts with all data.
    All,
    /// A list of accounts without their data (`availableAccounts…`).
    ListOnly,
    /// These, per kind of data. An account under balances or transactions may be listed too.
    Listed {
        /// Accounts that may be listed.
        accounts: Vec<AccountReference>,
        /// Accounts whose balances may be read.
        balances: Vec<AccountReference>,
        /// Accounts whose transactions may be read.
        transactions: Vec<AccountReference>,
    },
}

/// What the answer to the end of a consent means.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is gone: 204, an answer with a terminal status, or the bank does not know it any more (404, 410).
    Gone,
    /// The bank took the request (202, or a 200 whose body still says otherwise): only the status tells.
    Accepted,
    /// 401 or 403, or a 404 or 410 that the API itself did not write: proves nothing. Ask the status with a fresh token.
    Unproven(BankProblem),
}

/// The bytes of one row exactly as the bank sent them, for sealed keeping and replay. Of a statement: an object of all that
/// the entry said.
#[derive(Clone, PartialEq, Eq)]
pub struct RawRow(pub(crate) Bytes);

impl RawRow {
    /// JSON text of the row.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Bank data never reaches a log through `Debug`.
impl fmt::Debug for RawRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawRow({} bytes)", self.0.len())
    }
}

/// A row, read and raw.
#[derive(Debug, Clone)]
pub struct Row<P> {
    /// The fields, apart: a row has many, and a list that grows moves what it holds.
    pub parsed: Box<P>,
    /// The bytes.
    pub raw: RawRow,
}

/// An account of the bank's list.
#[derive(Debug, Clone)]
pub struct AccountRow {
    /// The id for the calls about it; without one nothing more can be read of it.
    pub resource: Option<ResourceId>,
    /// What its links say may be read; absent where the bank sends no links.
    pub offers: Option<Offers>,
    /// The account.
    pub row: Row<ParsedAccount>,
}

/// Data that an account's links lead to. Banks link only what was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offers {
    /// There is a link to balances.
    pub balances: bool,
    /// There is a link to transactions.
    pub transactions: bool,
}

/// The accounts under a consent, or a page of them.
#[derive(Debug)]
pub struct Accounts {
    /// In the bank's order.
    pub rows: Vec<AccountRow>,
    /// Whether there is more.
    pub next: Continuation,
    /// Doubts about the answer as a whole.
    pub issues: Vec<Issue>,
}

/// The balances of an account.
#[derive(Debug)]
pub struct Balances {
    /// In the bank's order.
    pub rows: Vec<Row<ParsedBalance>>,
    /// Doubts about the answer as a whole.
    pub issues: Vec<Issue>,
}

/// A page of transactions.
#[derive(Debug)]
pub struct Transactions {
    /// In the bank's order, booked first.
    pub rows: Vec<Row<Parsed>>,
    /// Whether there is more.
    pub next: Continuation,
    /// Doubts about the answer as a whole.
    pub issues: Vec<Issue>,
}

/// What comes after a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Continuation {
    /// Nothing: the list is complete.
    End,
    /// Another page.
    Next(NextLink),
    /// There is more, but the link must not be followed: keep what came and call the list incomplete.
    Broken(Breach),
}
