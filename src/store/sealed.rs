//! What stands in sealed columns, and where each sealed value belongs.
//!
//! A [`Place`] names tenant, table, column, subject and row; a value opens there and nowhere else. The encoding of
//! records (schema version 1: JSON) lives here once; nobody else writes or reads it.

use std::borrow::Cow;
use std::sync::Arc;

use domain::ids::{
    BalanceId, ConsentId, EndpointId, EntryId, GrantId, LineId, LoginId, PsuId, RawPageId, TenantId, TransactionId,
};
use domain::money::Money;
use domain::records::{BalanceKind, Counterparty, Issue, Normalized, NormalizedBalance, Status};
use domain::world::Entropy;
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vault::{Binding, DataKey};

use crate::StoreError;
use crate::lines::Details;
use crate::origins::{Origins, Stored, word};

/// The plain text of something sealed; wiped when dropped.
pub type Opened = zeroize::Zeroizing<Vec<u8>>;

/// The encoding of records that this build writes.
pub(crate) const SCHEMA_VERSION: i16 = 1;

/// Where one sealed value belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    tenant: TenantId,
    table: &'static str,
    column: &'static str,
    what: &'static str,
    subject: Uuid,
    row: Uuid,
}

/// One constructor per sealed column: `what`, as bound into the value, is `table.column`.
macro_rules! places {
    ($($(#[$doc:meta])* $vis:vis $name:ident($($arg:ident: $type:ty),*) => $table:literal, $column:literal,
        subject $subject:expr, row $row:expr;)*) => {
        impl Place {
            $($(#[$doc])*
            $vis fn $name(tenant: TenantId, $($arg: $type),*) -> Self {
                let what = concat!($table, ".", $column);
                Self { tenant, table: $table, column: $column, what, subject: $subject, row: $row }
            })*
        }
    };
}

places! {
    /// A product's reference of a person, under the tenant's lookup key.
    pub psu_ref(psu: PsuId) => "psu", "sealed_ref", subject psu.uuid(), row psu.uuid();
    /// The bank's id of a consent, under the grant's key.
    pub bank_consent(grant: GrantId) =>
        "bank_grant", "sealed_bank_consent", subject grant.uuid(), row grant.uuid();
    /// A grant's tokens, under the grant's key.
    pub tokens(grant: GrantId) => "bank_grant", "sealed_tokens", subject grant.uuid(), row grant.uuid();
    /// A pending login, under the grant's key.
    pub login(grant: GrantId, login: LoginId) => "login", "sealed_pending", subject grant.uuid(), row login.uuid();
    /// What the revoker needs, under the capsule's key.
    pub capsule(capsule: Uuid) => "revocation_capsule", "sealed", subject capsule, row capsule;
    /// Salt and payload of an evidence entry, under its subject's evidence key.
    pub evidence(of: Uuid, entry: EntryId) => "evidence_entry", "sealed", subject of, row entry.uuid();
    /// The answer to a request with an idempotency key, under the tenant's key of that purpose. `request` is made of the
    /// first 16 bytes of the key's hash.
    pub answer(request: Uuid) => "idempotency", "sealed_answer", subject request, row request;
    /// A secret of an endpoint, under the tenant's key of the purpose `webhook`.
    pub webhook_secret(endpoint: EndpointId, secret: Uuid) =>
        "webhook_secret", "sealed", subject endpoint.uuid(), row secret;
    /// A product's reference of a requisition, under the tenant's lookup key.
    pub requisition(consent: ConsentId) =>
        "requisition", "sealed_reference", subject consent.uuid(), row consent.uuid();
    pub(crate) resource_id(line: LineId, consent: ConsentId) =>
        "consent_line", "sealed_resource_id", subject line.uuid(), row consent.uuid();
    pub(crate) line(line: LineId) => "line", "sealed", subject line.uuid(), row line.uuid();
    pub(crate) transaction(line: LineId, id: TransactionId) =>
        "transaction", "sealed", subject line.uuid(), row id.uuid();
    pub(crate) identity(line: LineId, id: TransactionId) =>
        "transaction", "sealed_identity", subject line.uuid(), row id.uuid();
    pub(crate) trust(line: LineId) => "line", "sealed_trust", subject line.uuid(), row line.uuid();
    pub(crate) balance(line: LineId, id: BalanceId) => "balance", "sealed", subject line.uuid(), row id.uuid();
    pub(crate) reconciliation(line: LineId) => "reconciliation", "sealed", subject line.uuid(), row line.uuid();
    pub(crate) raw_page(line: LineId, id: RawPageId) => "raw_page", "sealed", subject line.uuid(), row id.uuid();
}

impl Place {
    /// Seals bytes for this place.
    pub fn seal(&self, key: &DataKey, plain: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
        key.seal(&self.binding(), plain, entropy)
    }

    /// Opens what was sealed for this place; [`StoreError::Corrupt`] for anything else.
    pub fn open(&self, key: &DataKey, sealed: &[u8]) -> Result<Opened, StoreError> {
        key.open(&self.binding(), sealed).map_err(|_| self.corrupt())
    }

    pub(crate) fn open_record<T: DeserializeOwned>(&self, key: &DataKey, sealed: &[u8]) -> Result<T, StoreError> {
        serde_json::from_slice(&self.open(key, sealed)?).map_err(|_| self.corrupt())
    }

    /// Opens a transaction that was sealed for this place.
    pub(crate) fn open_transaction(&self, key: &DataKey, sealed: &[u8]) -> Result<Normalized, StoreError> {
        let plain = self.open(key, sealed)?;
        let wire: TransactionWire<'_> = serde_json::from_slice(&plain).map_err(|_| self.corrupt())?;
        wire.whole().ok_or(self.corrupt())
    }

    /// The same, with the origins beside the record, as rows share them.
    pub(crate) fn open_shared(&self, key: &DataKey, sealed: &[u8]) -> Result<(Normalized, Arc<Origins>), StoreError> {
        let plain = self.open(key, sealed)?;
        let wire: TransactionWire<'_> = serde_json::from_slice(&plain).map_err(|_| self.corrupt())?;
        wire.read().ok_or(self.corrupt())
    }

    pub(crate) const fn corrupt(&self) -> StoreError {
        StoreError::Corrupt { table: self.table, column: self.column }
    }

    fn binding(&self) -> Vec<u8> {
        Binding {
            tenant: self.tenant,
            what: self.what,
            subject: self.subject.as_bytes(),
            row: self.row.as_bytes(),
            schema_version: SCHEMA_VERSION.unsigned_abs(),
        }
        .to_bytes()
    }
}

/// A record as bytes. Wiped when dropped.
pub(crate) fn encode<T: Serialize>(record: &T) -> Opened {
    // Serialising strings, numbers and dates into memory has no way to fail.
    Opened::new(serde_json::to_vec(record).unwrap_or_default())
}

/// [`Normalized`], schema version 1.
#[derive(Serialize, Deserialize)]
pub(crate) struct TransactionWire<'a> {
    amount: Decimal,
    currency: Cow<'a, str>,
    status: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    booking_date: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    value_date: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    transaction_date: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    counterparty: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    counterparty_account: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    operation: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    merchant: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    merchant_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    intermediary: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    category: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    instructed: Option<(Decimal, Cow<'a, str>)>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    exchange_rate: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    description: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    bank_reference: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    end_to_end_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    bank_transaction_code: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    balance_after: Option<Decimal>,
    #[serde(borrow)]
    provenance: Stored<'a>,
    /// Code, text.
    #[serde(borrow)]
    issues: Vec<(Word<'a>, Word<'a>)>,
}

/// A text that is not copied to be read: a page has thousands of them.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Word<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> From<&'a Normalized> for TransactionWire<'a> {
    fn from(record: &'a Normalized) -> Self {
        let text = |field: &'a Option<String>| field.as_deref().map(Cow::Borrowed);
        Self {
            amount: record.money.amount(),
            currency: record.money.currency().code().to_owned().into(),
            status: record.status.as_str().into(),
            booking_date: record.booking_date,
            value_date: record.value_date,
            transaction_date: record.transaction_date,
            counterparty: text(&record.counterparty.name),
            counterparty_account: text(&record.counterparty.account),
            operation: record.operation.map(|operation| operation.as_str().into()),
            merchant: text(&record.merchant),
            merchant_id: text(&record.merchant_id),
            intermediary: text(&record.intermediary),
            category: text(&record.category),
            instructed: record.instructed.map(|money| (money.amount(), money.currency().code().to_owned().into())),
            exchange_rate: record.exchange_rate,
            description: text(&record.description),
            bank_reference: text(&record.bank_reference),
            end_to_end_id: text(&record.end_to_end_id),
            bank_transaction_code: text(&record.bank_transaction_code),
            balance_after: record.balance_after.map(|money| money.amount()),
            provenance: Stored::List(&record.provenance),
            issues: record
                .issues
                .iter()
                .map(|issue| [issue.code, &issue.text].map(|text| Word(text.into())).into())
                .collect(),
        }
    }
}

impl TransactionWire<'_> {
    /// The record without the bank's own reference and without what was said about fields.
    pub(crate) fn without_reference(self) -> Self {
        Self { bank_reference: None, provenance: Stored::List(&[]), ..self }
    }

    /// The record with its origins; `None` when a word means nothing to this build.
    pub(crate) fn whole(self) -> Option<Normalized> {
        let (record, origins) = self.read()?;
        Some(Normalized { provenance: origins.list().to_vec(), ..record })
    }

    /// The record without origins, and these; `None` when a word means nothing to this build.
    fn read(self) -> Option<(Normalized, Arc<Origins>)> {
        let text = |field: Option<Cow<'_, str>>| field.map(Cow::into_owned);
        let origins = match self.provenance {
            Stored::Text(stored) => Origins::read(stored.get())?,
            Stored::List(_) => return None,
        };
        let issues =
            self.issues.into_iter().map(|(code, text)| Some(Issue { code: word(&code.0)?, text: text.0.into_owned() }));
        let currency = self.currency.parse().ok()?;
        let record = Normalized {
            money: Money::new(self.amount, currency),
            status: status(&self.status)?,
            booking_date: self.booking_date,
            value_date: self.value_date,
            transaction_date: self.transaction_date,
            counterparty: Counterparty { name: text(self.counterparty), account: text(self.counterparty_account) },
            operation: self.operation.map(|word| word.parse()).transpose().ok()?,
            merchant: text(self.merchant),
            merchant_id: text(self.merchant_id),
            intermediary: text(self.intermediary),
            category: text(self.category),
            instructed: match self.instructed {
                Some((amount, currency)) => Some(Money::new(amount, currency.parse().ok()?)),
                None => None,
            },
            exchange_rate: self.exchange_rate,
            description: text(self.description),
            bank_reference: text(self.bank_reference),
            end_to_end_id: text(self.end_to_end_id),
            bank_transaction_code: text(self.bank_transaction_code),
            balance_after: self.balance_after.map(|amount| Money::new(amount, currency)),
            provenance: Vec::new(),
            issues: issues.collect::<Option<_>>()?,
        };
        Some((record, origins))
    }
}

/// [`NormalizedBalance`], schema version 1.
#[derive(Serialize, Deserialize)]
pub(crate) struct BalanceWire<'a> {
    amount: Decimal,
    currency: Cow<'a, str>,
    kind: Cow<'a, str>,
    credit_limit_included: Option<bool>,
    reference_date: Option<Date>,
    last_change: Option<Timestamp>,
}

impl From<&NormalizedBalance> for BalanceWire<'_> {
    fn from(record: &NormalizedBalance) -> Self {
        Self {
            amount: record.money.amount(),
            currency: record.money.currency().code().to_owned().into(),
            kind: record.kind.as_str().into(),
            credit_limit_included: record.credit_limit_included,
            reference_date: record.reference_date,
            last_change: record.last_change,
        }
    }
}

impl BalanceWire<'_> {
    /// The record; `None` when a word means nothing to this build.
    pub(crate) fn read(self) -> Option<NormalizedBalance> {
        Some(NormalizedBalance {
            money: Money::new(self.amount, self.currency.parse().ok()?),
            kind: balance_kind(&self.kind)?,
            credit_limit_included: self.credit_limit_included,
            reference_date: self.reference_date,
            last_change: self.last_change,
        })
    }
}

/// [`Details`], schema version 1.
#[derive(Serialize, Deserialize)]
pub(crate) struct DetailsWire<'a> {
    iban: Option<Cow<'a, str>>,
    bban: Option<Cow<'a, str>>,
    masked_pan: Option<Cow<'a, str>>,
    other: Option<Cow<'a, str>>,
    currency: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    product: Option<Cow<'a, str>>,
    cash_account_type: Option<Cow<'a, str>>,
    owner_name: Option<Cow<'a, str>>,
    bic: Option<Cow<'a, str>>,
}

impl<'a> From<&'a Details> for DetailsWire<'a> {
    fn from(details: &'a Details) -> Self {
        let text = |field: &'a Option<String>| field.as_deref().map(Cow::Borrowed);
        Self {
            iban: text(&details.iban),
            bban: text(&details.bban),
            masked_pan: text(&details.masked_pan),
            other: text(&details.other),
            currency: text(&details.currency),
            name: text(&details.name),
            product: text(&details.product),
            cash_account_type: text(&details.cash_account_type),
            owner_name: text(&details.owner_name),
            bic: text(&details.bic),
        }
    }
}

impl DetailsWire<'_> {
    pub(crate) fn read(self) -> Details {
        let text = |field: Option<Cow<'_, str>>| field.map(Cow::into_owned);
        Details {
            iban: text(self.iban),
            bban: text(self.bban),
            masked_pan: text(self.masked_pan),
            other: text(self.other),
            currency: text(self.currency),
            name: text(self.name),
            product: text(self.product),
            cash_account_type: text(self.cash_account_type),
            owner_name: text(self.owner_name),
            bic: text(self.bic),
        }
    }
}

pub(crate) fn status(word: &str) -> Option<Status> {
    [Status::Booked, Status::Pending].into_iter().find(|status| status.as_str() == word)
}

pub(crate) fn balance_kind(word: &str) -> Option<BalanceKind> {
    use BalanceKind::{
        ClosingBooked, Expected, ForwardAvailable, InterimAvailable, InterimBooked, NonInvoiced, OpeningBooked, Unknown,
    };
    [ClosingBooked, Expected, OpeningBooked, InterimAvailable, InterimBooked, ForwardAvailable, NonInvoiced, Unknown]
        .into_iter()
        .find(|kind| kind.as_str() == word)
}
