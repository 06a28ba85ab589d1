//! What the bank remembers while it runs: consents, pushed requests, sessions, codes, tokens, counters.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use crate::data::Account;

/// Hours after which a consent that nobody confirmed is void.
const UNCONFIRMED_HOURS: i64 = 24;

/// Everything that changes.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) consents: HashMap<String, Consent>,
    pub(crate) pushed: HashMap<String, Pushed>,
    pub(crate) sessions: HashMap<String, Session>,
    pub(crate) codes: HashMap<String, Code>,
    pub(crate) access: HashMap<String, AccessToken>,
    pub(crate) refresh: HashMap<String, RefreshToken>,
    /// Nonces for proofs of possession, until when they are taken.
    pub(crate) nonces: HashMap<String, Timestamp>,
    /// Signed objects seen: client and `jti`, until when a repetition is possible.
    seen: HashMap<(String, String), Timestamp>,
    /// Accounts whose rows were changed while the bank was open, by IBAN.
    pub(crate) amended: HashMap<String, Arc<Account>>,
    /// Unattended reads: consent, day, URI.
    reads: HashMap<(String, Date, String), u32>,
}

/// NextGenPSD2 consent status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConsentStatus {
    Received,
    PartiallyAuthorised,
    Rejected,
    Valid,
    RevokedByPsu,
    Expired,
    TerminatedByTpp,
}

impl ConsentStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::PartiallyAuthorised => "partiallyAuthorised",
            Self::Rejected => "rejected",
            Self::Valid => "valid",
            Self::RevokedByPsu => "revokedByPsu",
            Self::Expired => "expired",
            Self::TerminatedByTpp => "terminatedByTpp",
        }
    }
}

/// What a TPP asked to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// `allPsd2`: every payment account, balances and transactions.
    Everything,
    /// `availableAccounts`, `availableAccountsWithBalance`: the list of accounts.
    Listing { balances: bool },
    /// Empty lists: the PSU chooses at the bank.
    BankOffered { balances: bool, transactions: bool },
    /// Accounts by IBAN.
    Named { accounts: Vec<String>, balances: Vec<String>, transactions: Vec<String> },
}

impl Asked {
    /// Whether an account comes into question, and then whether its balances and transactions do.
    pub(crate) fn covers(&self, iban: &str) -> Option<(bool, bool)> {
        let named = |list: &[String]| list.iter().any(|one| one == iban);
        match self {
            Self::Everything => Some((true, true)),
            Self::Listing { balances } => Some((*balances, false)),
            Self::BankOffered { balances, transactions } => Some((*balances, *transactions)),
            Self::Named { accounts, balances, transactions } => {
                let found = (named(balances), named(transactions));
                (named(accounts) || found.0 || found.1).then_some(found)
            }
        }
    }
}

/// One account inside one consent. The resource id lives no longer than the consent.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) id: Uuid,
    /// Position among the PSU's accounts.
    pub(crate) account: usize,
    pub(crate) balances: bool,
    pub(crate) transactions: bool,
}

/// A consent at the bank.
pub(crate) struct Consent {
    pub(crate) client_id: String,
    pub(crate) status: ConsentStatus,
    pub(crate) asked: Asked,
    /// `access` as the TPP wrote it, shown back until the PSU has decided.
    pub(crate) asked_json: Value,
    pub(crate) owner_name: bool,
    pub(crate) recurring: bool,
    pub(crate) valid_until: Date,
    pub(crate) frequency_per_day: u32,
    pub(crate) created: Timestamp,
    pub(crate) last_action: Date,
    /// Where the TPP wants to hear that the status has changed (`TPP-Notification-URI`).
    pub(crate) notify: Option<String>,
    /// The customer, by position, once signed in.
    pub(crate) psu: Option<usize>,
    pub(crate) authorised_at: Option<Timestamp>,
    /// Offered to the PSU, then narrowed to what was chosen.
    pub(crate) resources: Vec<Resource>,
    /// First day of use; a one-off consent does not outlive it.
    pub(crate) first_used: Option<Date>,
}

impl Consent {
    /// Whether tokens are given for it: its PSU has authorised, whatever other signers still have to do.
    pub(crate) const fn has_tokens(&self) -> bool {
        matches!(self.status, ConsentStatus::Valid | ConsentStatus::PartiallyAuthorised)
    }

    /// Whether it is not over.
    pub(crate) const fn lives(&self) -> bool {
        matches!(self.status, ConsentStatus::Received | ConsentStatus::PartiallyAuthorised | ConsentStatus::Valid)
    }

    /// Applies what time alone does to a consent.
    pub(crate) fn settle(&mut self, now: Timestamp, today: Date) {
        let unconfirmed = self.status == ConsentStatus::Received
            && now.duration_since(self.created) >= SignedDuration::from_hours(UNCONFIRMED_HOURS);
        let used_up = !self.recurring && self.first_used.is_some_and(|day| day < today);
        let over = self.status == ConsentStatus::Valid && (self.valid_until < today || used_up);
        if unconfirmed || over {
            self.status = ConsentStatus::Expired;
        }
    }

    /// Whether a PSU can authorise it now.
    pub(crate) fn may_be_authorised(&self, again: bool) -> bool {
        self.status == ConsentStatus::Received || (again && self.status == ConsentStatus::Valid)
    }

    pub(crate) fn end(&mut self, status: ConsentStatus, today: Date) {
        self.status = status;
        self.last_action = today;
    }
}

/// How the answer to an authorisation request travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerWay {
    /// In the address.
    Query,
    /// Not at all: the browser comes back, and the consent's status tells.
    Nothing,
    /// As a signed JWT in the address (`response_mode=jwt`).
    Jarm,
    /// In the fragment, with an ID token that vouches for the code (`code id_token`).
    HybridFragment,
    /// In a form that the browser posts, with an ID token that vouches for the code (`code id_token`).
    HybridForm,
}

/// An authorisation request that was found good.
#[derive(Clone)]
pub(crate) struct Pushed {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) scope: String,
    pub(crate) openid: bool,
    pub(crate) consent_id: String,
    pub(crate) state: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) code_challenge: String,
    /// How the answer travels.
    pub(crate) answer: AnswerWay,
    /// The arrangement that the request changes: the new consent takes its place.
    pub(crate) changes: Option<String>,
    /// The key that the tokens must be bound to (`dpop_jkt`).
    pub(crate) key: Option<String>,
    pub(crate) expires: Timestamp,
}

/// A browser on its way through the pages.
pub(crate) struct Session {
    pub(crate) request: Pushed,
    pub(crate) csrf: String,
    pub(crate) psu: Option<usize>,
    pub(crate) attempts: u32,
    pub(crate) expires: Timestamp,
}

/// An authorisation code. It is kept after use, so that a second use is noticed.
pub(crate) struct Code {
    pub(crate) request: Pushed,
    pub(crate) psu: usize,
    pub(crate) authenticated_at: Timestamp,
    pub(crate) expires: Timestamp,
    /// The tokens it gave, once it was used.
    pub(crate) family: Option<Uuid>,
}

/// An access token, bound to a certificate or to a key.
#[derive(Clone)]
pub(crate) struct AccessToken {
    pub(crate) client_id: String,
    /// `x5t#S256` of the certificate, or the thumbprint of the key, that it was issued to.
    pub(crate) thumbprint: String,
    /// The consent it opens; without, it is the client's own token for the consent resource.
    pub(crate) consent_id: Option<String>,
    pub(crate) family: Uuid,
    pub(crate) expires: Timestamp,
}

/// A refresh token, bound to the client and not to its certificate (RFC 8705 §4).
#[derive(Clone)]
pub(crate) struct RefreshToken {
    pub(crate) client_id: String,
    pub(crate) consent_id: String,
    pub(crate) scope: String,
    pub(crate) family: Uuid,
    /// When it stops working, once another has taken its place.
    pub(crate) replaced_until: Option<Timestamp>,
}

impl Books {
    /// Notes a signed object; `false` when it was seen before.
    pub(crate) fn first_sight(&mut self, client_id: &str, jti: &str, expires: Timestamp, now: Timestamp) -> bool {
        self.seen.retain(|_, until| *until > now);
        self.seen.insert((client_id.to_owned(), jti.to_owned()), expires).is_none()
    }

    /// Counts an unattended read; `false` when the day's allowance is used up.
    pub(crate) fn count_read(&mut self, consent_id: &str, today: Date, uri: &str, allowed: u32) -> bool {
        self.reads.retain(|(_, day, _), _| *day == today);
        let count = self.reads.entry((consent_id.to_owned(), today, uri.to_owned())).or_default();
        *count += 1;
        *count <= allowed
    }

    /// A consent with its status as of now.
    pub(crate) fn consent(&mut self, id: &str, now: Timestamp, today: Date) -> Option<&mut Consent> {
        let consent = self.consents.get_mut(id)?;
        consent.settle(now, today);
        Some(consent)
    }

    /// Ends every token that one authorisation gave.
    pub(crate) fn revoke_family(&mut self, family: Uuid) {
        self.access.retain(|_, token| token.family != family);
        self.refresh.retain(|_, token| token.family != family);
    }

    /// Ends every token that opens a consent.
    pub(crate) fn revoke_tokens_of(&mut self, consent_id: &str) {
        self.access.retain(|_, token| token.consent_id.as_deref() != Some(consent_id));
        self.refresh.retain(|_, token| token.consent_id != consent_id);
    }

    /// The client of a consent, as far as one of its tokens was issued to a certificate.
    pub(crate) fn owner_by_certificate(&self, consent_id: &str, thumbprint: &str) -> Option<String> {
        let access =
            self.access.values().map(|token| (token.consent_id.as_deref(), &token.thumbprint, &token.client_id));
        let mut of_it = access.filter(|(consent, shown, _)| *consent == Some(consent_id) && *shown == thumbprint);
        of_it.next().map(|(.., client)| client.clone())
    }

    /// Puts a consent in the place of another, whose tokens die.
    pub(crate) fn replace(&mut self, old: &str, new: &str) {
        if let Some(consent) = self.consents.remove(new) {
            self.consents.insert(old.to_owned(), consent);
            self.revoke_tokens_of(old);
        }
    }

    /// Forgets what ran out an hour ago. Until then the bank can still say that it knew it.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        let kept = |expires: Timestamp| now.duration_since(expires) < SignedDuration::from_hours(1);
        self.pushed.retain(|_, pushed| kept(pushed.expires));
        self.sessions.retain(|_, session| kept(session.expires));
        self.access.retain(|_, token| kept(token.expires));
        self.codes.retain(|_, code| kept(code.expires));
    }

    /// Ends the earlier recurring consents of a customer for a TPP: the newly authorised one replaces them.
    pub(crate) fn replace_recurring(&mut self, new_id: &str, psu: usize, client_id: &str, today: Date) {
        for (id, consent) in &mut self.consents {
            let same = consent.psu == Some(psu) && consent.client_id == client_id && id != new_id;
            if same && consent.recurring && consent.status == ConsentStatus::Valid {
                consent.end(ConsentStatus::Expired, today);
            }
        }
    }
}
