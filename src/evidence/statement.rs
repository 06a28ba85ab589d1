//! Statements: what is logged, in canonical JSON.

use std::fmt;
use std::str::FromStr;

use domain::ids::{ConsentId, EntryId, TenantId};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical::{self, NotCanonical};
use crate::hash::as_text;
use crate::note::Signer;
use crate::receipt::{BankAnswer, EpochDestroyed, ProductAcknowledgement, Receipt};
use crate::time::instant;

const FORMAT: &str = "tributary.statement/1";
/// What stands behind the kind, but for which ids it names.
const BEHIND_KIND: &str = "\",\"subject\":\"cns_00000000-0000-0000-0000-000000000000\",\
    \"tenant\":\"ten_00000000-0000-0000-0000-000000000000\"}";

/// What a statement is about, and whose evidence key seals it. The statements of one subject form a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// One consent: its text, its moves, calls to its bank, disclosures of its data, its deletions.
    Consent(ConsentId),
    /// The tenant as a whole: its epochs, its operators' actions.
    Tenant(TenantId),
}

/// Text that is neither a consent's id nor a tenant's in its printed form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the id of a consent or of a tenant")]
pub struct SubjectError;

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consent(id) => fmt::Display::fmt(id, f),
            Self::Tenant(id) => fmt::Display::fmt(id, f),
        }
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let consent = text.parse().map(Self::Consent);
        consent.or_else(|_| text.parse().map(Self::Tenant)).map_err(|_| SubjectError)
    }
}

/// A body with a shape of its own; all others are free JSON under a kind of the caller's choosing.
pub trait Body: Serialize + DeserializeOwned {
    /// The kind of statements that have this body.
    const KIND: &'static str;
}

/// One thing that happened.
///
/// Bodies hold ids, words, counts and instants: numbers are integers, and nothing in them comes from a bank account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// When, by the operator's clock.
    #[serde(with = "instant")]
    pub at: Timestamp,
    /// The particulars.
    pub body: Value,
    pub(crate) format: String,
    /// Id of the entry.
    #[serde(with = "as_text")]
    pub id: EntryId,
    /// What happened, in lower-case letters, digits, `_` and `.`: `consent.authorized`, `bank.call`, `deletion.receipt` …
    pub kind: String,
    /// What it is about.
    #[serde(with = "as_text")]
    pub subject: Subject,
    /// Whose log it belongs to.
    #[serde(with = "as_text")]
    pub tenant: TenantId,
}

impl Statement {
    /// A statement with free particulars. Refuses a kind with other characters than it may have, and a body that has no
    /// canonical form: fractions, integers beyond 53 bits.
    pub fn new(
        id: EntryId,
        tenant: TenantId,
        subject: Subject,
        kind: &str,
        at: Timestamp,
        body: &impl Serialize,
    ) -> Result<Self, NotCanonical> {
        let body = serde_json::to_value(body)?;
        canonical::to_text(&body)?;
        Self { format: FORMAT.to_owned(), id, tenant, subject, kind: kind.to_owned(), at, body }.checked()
    }

    /// A statement whose body has a shape of its own.
    pub fn with_body<B: Body>(
        id: EntryId,
        tenant: TenantId,
        subject: Subject,
        at: Timestamp,
        body: &B,
    ) -> Result<Self, NotCanonical> {
        Self::new(id, tenant, subject, B::KIND, at, body)
    }

    /// The canonical bytes: what the log commits to, and what is stored.
    pub fn to_canonical(&self) -> Result<String, NotCanonical> {
        canonical::to_text(self)
    }

    /// Reads canonical bytes and refuses any other form, and other versions of the format.
    pub fn read(text: &str) -> Result<Self, NotCanonical> {
        canonical::read_in_order(text, |read: &Self| canonical::is_plain(&read.body))?.checked()
    }

    fn checked(self) -> Result<Self, NotCanonical> {
        if self.format == FORMAT && Self::is_kind(&self.kind) { Ok(self) } else { Err(NotCanonical::Form) }
    }

    /// Whether a text can be a kind.
    pub(crate) fn is_kind(text: &str) -> bool {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'_' | b'.');
        !text.is_empty() && text.bytes().all(plain)
    }

    /// The kind of a canonical statement, found where it must stand: a kind has no quotes, and behind it are two ids, which
    /// are all of one length.
    pub(crate) fn kind_in(canonical: &str) -> Option<&str> {
        let end = canonical.len().checked_sub(BEHIND_KIND.len())?;
        canonical.get(..end)?.rsplit('"').next()
    }

    /// The body in its own shape; `None` when the statement is of another kind.
    pub fn body<B: Body>(&self) -> Option<Result<B, NotCanonical>> {
        (self.kind == B::KIND).then(|| canonical::read(&canonical::to_text(&self.body)?))
    }

    /// Whether statements of this kind carry a signature of their own beside being logged: receipts and addenda, which
    /// leave the system one by one.
    pub fn is_signed(&self) -> bool {
        Self::is_signed_kind(&self.kind)
    }

    pub(crate) fn is_signed_kind(kind: &str) -> bool {
        [Receipt::KIND, BankAnswer::KIND, ProductAcknowledgement::KIND, EpochDestroyed::KIND].contains(&kind)
    }

    /// The signature line over the canonical bytes and a newline: with them and a blank line it makes a signed note.
    pub fn sign(&self, signer: &Signer<'_>) -> Result<String, NotCanonical> {
        Ok(signer.line(&note_text(&self.to_canonical()?)))
    }
}

/// The text that is signed: the canonical bytes and the newline that every note text ends with.
pub(crate) fn note_text(canonical: &str) -> String {
    format!("{canonical}\n")
}

/// The signed note of a statement from its canonical bytes and its signature lines: how a receipt travels alone.
pub fn signed_note(canonical: &str, signature: &str) -> String {
    format!("{canonical}\n\n{signature}")
}
