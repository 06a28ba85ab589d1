//! What a receipt says, and the addenda that complete it.

use std::collections::BTreeMap;

use domain::ids::{ConsentId, DeletionId, LineId, ProductId};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::hash::as_text;
use crate::statement::Body;
use crate::time::{day, instant, maybe_instant};

/// How far a deletion reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything under the consent.
    Consent,
    /// One account of it.
    Account,
}

/// The policy by which data were kept after the end of their consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Products went on reading them.
    ReadableUntilRetention,
    /// Nobody used them.
    Blocked,
    /// A law wanted them kept; nobody used them.
    RestrictedHold,
}

impl Kept {
    /// The policy in plain words, for the readable page.
    pub(crate) const fn in_words(self) -> &'static str {
        match self {
            Self::ReadableUntilRetention => "kept after the end of the consent, and readable until then",
            Self::Blocked => "kept out of use after the end of the consent",
            Self::RestrictedHold => "kept out of use after the end of the consent, because a law wants that",
        }
    }
}

/// Who or what caused a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The person withdrew the consent.
    Psu,
    /// The product withdrew it.
    Product,
    /// The bank ended it.
    Bank,
    /// The operator ended it.
    Operator,
    /// The product or the TPP lost its entry in a register.
    Register,
    /// Its retention ended.
    Expiry,
    /// A request for erasure (GDPR Article 17).
    ErasureRequest,
}

impl Trigger {
    /// The cause in plain words, for the readable page.
    pub(crate) const fn in_words(self) -> &'static str {
        match self {
            Self::Psu => "the person withdrew the consent",
            Self::Product => "the product withdrew the consent",
            Self::Bank => "the bank ended the consent",
            Self::Operator => "the operator ended the consent",
            Self::Register => "an entry in a register ended",
            Self::Expiry => "the retention period ended",
            Self::ErasureRequest => "the person asked for erasure",
        }
    }
}

/// What somebody who holds an old backup can still see of an erased account without any key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visible {
    /// Number of transaction rows.
    pub rows: u64,
    /// Earliest booking date among them.
    #[serde(with = "day")]
    pub first_booking: Option<Date>,
    /// Latest booking date among them.
    #[serde(with = "day")]
    pub last_booking: Option<Date>,
}

/// One account whose data were erased and whose data key was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedAccount {
    /// The account.
    #[serde(with = "as_text")]
    pub account: LineId,
    /// The last epoch under which the account's data key was wrapped: until that epoch's key is destroyed, an old backup
    /// together with the key provider could open it.
    pub key_epoch: i64,
    /// What stays visible in old backups.
    pub visible_in_backups: Visible,
}

/// The receipt of one deletion. Made once, when everything within our reach is done; what follows are addenda.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The deletion.
    #[serde(with = "as_text")]
    pub deletion: DeletionId,
    /// The consent it was done for.
    #[serde(with = "as_text")]
    pub consent: ConsentId,
    /// How far it reached.
    pub scope: Scope,
    /// What caused it.
    pub trigger: Trigger,
    /// Since when nothing was served, written or fetched.
    #[serde(with = "instant")]
    pub stopped_at: Timestamp,
    /// Until when a legal hold kept the erasure from running; absent where none did.
    #[serde(with = "maybe_instant", default, skip_serializing_if = "Option::is_none")]
    pub blocked_until: Option<Timestamp>,
    /// By which policy the data were kept after the end of the consent: `readable_until_retention`, `blocked`, `restricted_hold`;
    /// absent where nothing was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Kept>,
    /// Who stood between us and the bank: what it keeps of the data that passed through it, this receipt does not prove. Absent
    /// where nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intermediary: Option<String>,
    /// When the last row was erased and a scan of every table found none left.
    #[serde(with = "instant")]
    pub erased_at: Timestamp,
    /// When the wrapped data keys were deleted.
    #[serde(with = "instant")]
    pub key_deleted_at: Timestamp,
    /// When the last epoch key that could open an old copy falls due for destruction; `epoch.destroyed` proves that it was.
    #[serde(with = "instant")]
    pub unreadable_everywhere_after: Timestamp,
    /// Rows erased, by table.
    pub erased_rows: BTreeMap<String, u64>,
    /// The accounts whose data went.
    pub accounts: Vec<ErasedAccount>,
    /// Accounts of the consent that stay because another consent stands on them.
    #[serde(with = "lines")]
    pub kept_accounts: Vec<LineId>,
    /// How the data were sealed: `AES-256-GCM-SIV`.
    pub sealing: String,
    /// How their keys were wrapped: `AES-256-KW`.
    pub wrapping: String,
}

/// Serde of a list of account ids.
mod lines {
    use domain::ids::LineId;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(lines: &[LineId], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(lines.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<LineId>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(de::Error::custom)).collect()
    }
}

impl Receipt {
    /// Whether the receipt is free of contradictions: the order of its instants, and accounts where it should have them.
    pub(crate) fn is_coherent(&self) -> bool {
        self.blocked_until.is_none_or(|until| self.stopped_at <= until && until <= self.erased_at)
            && self.stopped_at <= self.erased_at
            && self.stopped_at <= self.key_deleted_at
            && self.key_deleted_at <= self.unreadable_everywhere_after
            && self.accounts.iter().all(|erased| !self.kept_accounts.contains(&erased.account))
    }
}

impl Body for Receipt {
    const KIND: &'static str = "deletion.receipt";
}

/// Whether the bank's side of a consent is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BankOutcome {
    /// The bank said so.
    Confirmed,
    /// The bank gave no answer that proves it; an incident is open.
    Unconfirmed,
}

/// Addendum: what the bank answered when it was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BankAnswer {
    /// The deletion that it completes.
    #[serde(with = "as_text")]
    pub deletion: DeletionId,
    /// The result.
    pub outcome: BankOutcome,
    /// On what it rests, as a stable code: `http_204`, `status_terminated`.
    pub basis: String,
    /// When the bank answered, or when we stopped waiting.
    #[serde(with = "instant")]
    pub answered_at: Timestamp,
}

impl Body for BankAnswer {
    const KIND: &'static str = "deletion.bank_answer";
}

/// Addendum: a product confirmed that it has deleted its own copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductAcknowledgement {
    /// The deletion that it completes.
    #[serde(with = "as_text")]
    pub deletion: DeletionId,
    /// The product.
    #[serde(with = "as_text")]
    pub product: ProductId,
    /// When it confirmed.
    #[serde(with = "instant")]
    pub acknowledged_at: Timestamp,
}

impl Body for ProductAcknowledgement {
    const KIND: &'static str = "deletion.acknowledged";
}

/// Addendum to every deletion of its tenant: an epoch key is gone, and with it every copy that it could open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochDestroyed {
    /// The epoch.
    pub epoch: i64,
    /// When the destruction was complete.
    #[serde(with = "instant")]
    pub destroyed_at: Timestamp,
    /// Which kind of key provider held it: `file`, `pkcs11`, `kms`.
    pub provider: String,
}

impl Body for EpochDestroyed {
    const KIND: &'static str = "epoch.destroyed";
}
