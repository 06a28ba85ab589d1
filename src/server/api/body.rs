//! Shapes on the wire. Separate from the domain's types, so that a rename inside cannot break a client.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::money::Money;
use domain::records::{Normalized, NormalizedBalance, Provenance};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use store::origins::Origins;
use store::transactions::Transaction;
use utoipa::ToSchema;

use super::reconciliation::ReconciliationBody;

/// Signed decimal amount: money out is negative.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MoneyBody {
    /// Plain notation, `-12.34`.
    #[schema(example = "-12.34")]
    pub amount: String,
    /// ISO 4217.
    #[schema(example = "EUR")]
    pub currency: String,
}

impl From<&Money> for MoneyBody {
    fn from(money: &Money) -> Self {
        Self { amount: money.to_plain_string(), currency: money.currency().to_string() }
    }
}

/// A request for consent.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateConsent {
    /// The product's own stable reference of the person, 1 to 128 characters; not a name or an e-mail address.
    #[schema(example = "user-4711")]
    pub psu_ref: String,
    /// The bank; left out, the person chooses on the link page.
    #[schema(example = "de_musterbank")]
    pub institution_id: Option<String>,
    /// Why data are needed; each must be a purpose of the product.
    #[schema(example = json!(["budgeting"]))]
    pub purposes: Vec<String>,
    /// Which kinds of data: `accounts`, `balances`, `transactions`. Default: all three.
    pub data_clusters: Option<Vec<String>>,
    /// Last day of the consent, inclusive, in the bank's zone. Default: 365 days from now.
    #[schema(value_type = Option<String>, format = Date)]
    pub valid_until: Option<Date>,
    /// Where the person goes afterwards; must begin with one of the product's return addresses.
    pub return_url: Option<String>,
}

/// The word of a person who is there, passed on by the product.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reconfirm {
    /// The person, as the product attests.
    pub psu: Presence,
}

/// That a person is there, as the product attests.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// When the person confirmed; within the last hour.
    #[schema(value_type = String, format = DateTime)]
    pub session_at: Timestamp,
}

/// A consent as products see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConsentBody {
    /// `cns_…`
    pub id: String,
    /// `initiated`, `authorized`, `active`, `reauth_pending`, `expired`, `revoked`, `failed`.
    pub state: String,
    /// Why, where the state has a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `present`, `readable` (the consent ended by itself and the data may still be read), `restricted`, `held`, `held_restricted`,
    /// `blocked`, `erasing`, `erased`.
    pub data_state: String,
    /// The bank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub institution_id: Option<String>,
    /// Purposes the person agreed to or is asked to agree to.
    pub purposes: Vec<String>,
    /// Kinds of data.
    pub data_clusters: Vec<String>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When the bank authorised it.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorized_at: Option<Timestamp>,
    /// When the person must authenticate at the bank again.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sca_due_at: Option<Timestamp>,
    /// When the person must confirm to the provider again (UK).
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconfirm_due_at: Option<Timestamp>,
    /// When it is over.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub term_ends_at: Option<Timestamp>,
    /// While it waits: who can set it going again, `user` or `bank`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who_can_fix: Option<String>,
    /// Accounts under it.
    pub accounts: Vec<String>,
    /// The one-time link for the person; only in the answer that created it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkBody>,
}

/// A one-time link.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LinkBody {
    /// Open it in the person's browser.
    pub url: String,
    /// Works until then, once.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// The answer to a revocation: what is stopped, what is still under way.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RevocationBody {
    /// From this instant nothing is written, read or fetched.
    #[schema(value_type = String, format = DateTime)]
    pub local_stop_at: Timestamp,
    /// Whether the bank proved that access ended there: `pending`, `confirmed`, `unconfirmed`, or `not_needed` where there
    /// was none or another consent still stands on it.
    pub bank: String,
    /// `del_…`: follow it at `/v1/evidence/deletions/{id}/receipt`.
    pub erasure: String,
}

/// An account.
#[derive(Clone, Serialize, ToSchema)]
pub struct AccountBody {
    /// `acc_…`: stable over renewals of consent.
    pub id: String,
    /// The bank.
    pub institution_id: String,
    /// IBAN, where the account has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iban: Option<String>,
    /// ISO 4217.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Name given by the bank or the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Product name at the bank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// ISO `ExternalCashAccountType1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cash_account_type: Option<String>,
    /// Owner, where the bank tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_name: Option<String>,
    /// How fresh.
    pub freshness: FreshnessBody,
    /// Whether it adds up, as of the last complete fetch; absent before the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciliation: Option<ReconciliationBody>,
}

/// How fresh an account's data are and, if they could be fresher, why they are not.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FreshnessBody {
    /// When the bank last answered completely.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub as_of: Option<Timestamp>,
    /// First day of which every booked transaction is there.
    #[schema(value_type = Option<String>, format = Date)]
    pub complete_from: Option<Date>,
    /// Last such day.
    #[schema(value_type = Option<String>, format = Date)]
    pub complete_until: Option<Date>,
    /// State of the consent that feeds the account.
    pub consent_state: String,
    /// Why it is not fresher: `first_fetch_running`, `reauth_pending`, `reads_of_the_day_used_up`, the code of the last
    /// error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_because: Option<String>,
}

/// A balance.
#[derive(Clone, Serialize, ToSchema)]
pub struct BalanceBody {
    /// Berlin Group type, `closingBooked`, `interimAvailable` …
    #[serde(rename = "type")]
    pub kind: String,
    /// Signed.
    pub balance: MoneyBody,
    /// Whether a credit line is inside the figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credit_limit_included: Option<bool>,
    /// Day that it is about.
    #[schema(value_type = Option<String>, format = Date)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference_date: Option<Date>,
    /// When the bank gave it.
    #[schema(value_type = String, format = DateTime)]
    pub observed_at: Timestamp,
}

impl BalanceBody {
    /// A stored balance on the wire.
    pub fn new(balance: &NormalizedBalance, observed_at: Timestamp) -> Self {
        Self {
            kind: balance.kind.as_str().to_owned(),
            balance: (&balance.money).into(),
            credit_limit_included: balance.credit_limit_included,
            reference_date: balance.reference_date,
            observed_at,
        }
    }
}

/// A transaction.
#[derive(Clone, Serialize, ToSchema)]
pub struct TransactionBody {
    /// `txn_…`: the same for the payment's whole life.
    pub id: String,
    /// `acc_…`
    pub account_id: String,
    /// Signed: money out is negative.
    pub amount: MoneyBody,
    /// `booked` or `pending`.
    pub status: String,
    /// The bank's day of booking.
    #[schema(value_type = Option<String>, format = Date)]
    pub booking_date: Option<Date>,
    /// The bank's day of value.
    #[schema(value_type = Option<String>, format = Date)]
    pub value_date: Option<Date>,
    /// Day of the purchase or instruction.
    #[schema(value_type = Option<String>, format = Date)]
    pub transaction_date: Option<Date>,
    /// The other side.
    pub counterparty: Option<String>,
    /// The other side's account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counterparty_account: Option<String>,
    /// How the money moved: `card`, `transfer`, `standing_order`, `direct_debit`, `cash`, `cheque`, `fee`, `interest`, `loan`,
    /// `securities`, `reversal`, `other`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Canonical merchant.
    pub merchant: Option<String>,
    /// Wikidata id of the merchant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merchant_id: Option<String>,
    /// Who stands between the holder and the merchant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intermediary: Option<String>,
    /// `primary.detailed`.
    pub category: Option<String>,
    /// What was agreed in another currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructed_amount: Option<MoneyBody>,
    /// Units of the account's currency for one of the other, as a decimal string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange_rate: Option<String>,
    /// Remittance text.
    pub description: Option<String>,
    /// The bank's own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank_reference: Option<String>,
    /// SEPA end-to-end id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_to_end_id: Option<String>,
    /// ISO 20022 bank transaction code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank_transaction_code: Option<String>,
    /// The account's balance after the row, where the bank tells it; money owed is negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance_after: Option<MoneyBody>,
    /// Version of the rules that read the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_set: Option<String>,
    /// Field → where it came from: path in the bank's row and the rule that read it.
    #[schema(value_type = std::collections::BTreeMap<String, ProvenanceBody>)]
    pub provenance: ProvenanceMap,
    /// Doubts, `code: text`.
    pub issues: Vec<String>,
    /// When a fetch first brought it.
    #[schema(value_type = String, format = DateTime)]
    pub first_seen_at: Timestamp,
    /// Of a payment that was pending here: how it was found booked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<SettledBody>,
    /// The transaction that this may be a second form of, where the bank's answers do not decide. Both are kept; the other
    /// may have been removed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub possible_duplicate_of: Option<String>,
}

/// From pending to booked.
#[derive(Clone, Serialize, ToSchema)]
pub struct SettledBody {
    /// When a fetch found it booked.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Why the booked row was taken for the pending one: `everything`, `content`, `reference`, `amount_and_text`, `text`,
    /// `amount`, `near_amount`, `amount_and_day`, `redated`, `earlier_form`, `page_overlap`, or an identifier of the bank
    /// that has proven to name payments (`transaction_id`, `internal_id`, `entry_reference`, `proprietary_code`).
    pub evidence: String,
}

/// What happened to a transaction since the cursor was given.
#[derive(Clone, Serialize, ToSchema)]
pub struct ChangeBody {
    /// `added`, `modified` or `removed`. Whoever stores rows may treat the first two alike.
    pub kind: &'static str,
    /// `txn_…`
    pub id: String,
    /// `acc_…`
    pub account_id: String,
    /// As it is now; absent of a removed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<TransactionBody>,
}

/// Changes in the order in which they were made; each transaction once, with its latest.
#[derive(Clone, Serialize, ToSchema)]
pub struct ChangePage {
    /// The changes.
    pub data: Vec<ChangeBody>,
    /// Give it as `cursor` to hear what comes after, now or at any later time.
    pub next_cursor: String,
    /// Whether there is more now.
    pub has_more: bool,
    /// How fresh.
    pub freshness: FreshnessBody,
    /// Whether the account adds up, as of the last complete fetch; absent before the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciliation: Option<ReconciliationBody>,
}

/// Changes of several accounts, one account after the other; in each as in a [`ChangePage`].
#[derive(Clone, Serialize, ToSchema)]
pub struct AllChangePage {
    /// The changes.
    pub data: Vec<ChangeBody>,
    /// Give it as `cursor` to hear what comes after, now or at any later time.
    pub next_cursor: String,
    /// Whether there is more now.
    pub has_more: bool,
    /// Of each account that was looked at, by its id: how its data stand.
    pub accounts: BTreeMap<String, StandingBody>,
}

/// How the data of an account stand.
#[derive(Clone, Serialize, ToSchema)]
pub struct StandingBody {
    /// How fresh.
    pub freshness: FreshnessBody,
    /// Whether the account adds up, as of the last complete fetch; absent before the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciliation: Option<ReconciliationBody>,
}

/// Origins by field, sorted; written once for all rows of one shape.
#[derive(Clone)]
pub struct ProvenanceMap(Arc<Origins>);

impl Serialize for ProvenanceMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.shown(show).serialize(serializer)
    }
}

/// A map of texts has no way to fail.
fn show(origins: &[Provenance]) -> Box<RawValue> {
    let body = |from: &Provenance| (from.field, ProvenanceBody { path: from.path.to_string(), rule: from.rule });
    let map: BTreeMap<_, _> = origins.iter().map(body).collect();
    serde_json::value::to_raw_value(&map).unwrap_or_default()
}

/// Origin of one field.
#[derive(Clone, Serialize, ToSchema)]
pub struct ProvenanceBody {
    /// Path inside the bank's row.
    pub path: String,
    /// Rule that read it.
    #[schema(value_type = String)]
    pub rule: &'static str,
}

impl TransactionBody {
    /// A stored transaction on the wire, with what it says and the origins of that.
    pub fn new(stored: &Transaction, (row, origins): (Normalized, Arc<Origins>)) -> Self {
        Self {
            id: stored.id.to_string(),
            account_id: stored.line.to_string(),
            first_seen_at: stored.first_seen_at,
            settled: stored.settled.clone().map(|(at, evidence)| SettledBody { at, evidence }),
            possible_duplicate_of: stored.doubtful_of.map(|id| id.to_string()),
            amount: (&row.money).into(),
            status: row.status.as_str().to_owned(),
            booking_date: row.booking_date,
            value_date: row.value_date,
            transaction_date: row.transaction_date,
            counterparty: row.counterparty.name,
            counterparty_account: row.counterparty.account,
            operation: row.operation.map(|operation| operation.as_str().to_owned()),
            merchant: row.merchant,
            merchant_id: row.merchant_id,
            intermediary: row.intermediary,
            category: row.category,
            instructed_amount: row.instructed.as_ref().map(Into::into),
            exchange_rate: row.exchange_rate.map(|rate| rate.to_string()),
            description: row.description,
            bank_reference: row.bank_reference,
            end_to_end_id: row.end_to_end_id,
            bank_transaction_code: row.bank_transaction_code,
            balance_after: row.balance_after.as_ref().map(MoneyBody::from),
            rule_set: stored.rule_set.clone(),
            provenance: ProvenanceMap(origins),
            issues: row.issues.into_iter().map(|issue| format!("{}: {}", issue.code, issue.text)).collect(),
        }
    }
}

/// An institution that holds accounts.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct InstitutionBody {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// BICs of 8 or 11 characters.
    pub bics: Vec<String>,
    /// National bank codes and runs of them (`0040-0045`), where one institution of the list is read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bank_codes: Vec<String>,
    /// The profile that it is spoken to by: its own, or that of the platform that it is on. Absent: there is none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Standard and version of its interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standard: Option<String>,
    /// How sure we are of its profile: `docs`, `sandbox`, `production`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Whether a person can connect now: there is a live registration.
    pub available: bool,
}

/// A page of a list.
#[derive(Clone, Serialize, ToSchema)]
pub struct Page<T: ToSchema> {
    /// The rows.
    pub data: Vec<T>,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Transactions with the freshness of their account.
#[derive(Clone, Serialize, ToSchema)]
pub struct TransactionPage {
    /// Newest booking first; pending rows without a booking day lead.
    pub data: Vec<TransactionBody>,
    /// Give it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// How fresh.
    pub freshness: FreshnessBody,
    /// Whether the account adds up, as of the last complete fetch; absent before the first one. On every page, so that
    /// nobody reads contradicted rows without knowing it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciliation: Option<ReconciliationBody>,
}

/// Balances with the freshness of their account.
#[derive(Clone, Serialize, ToSchema)]
pub struct BalanceList {
    /// One row per type.
    pub data: Vec<BalanceBody>,
    /// How fresh.
    pub freshness: FreshnessBody,
}
