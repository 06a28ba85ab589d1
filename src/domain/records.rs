//! The three stages of bank data: `Raw` bytes, [`Parsed`] fields in the bank's own words, [`Normalized`] facts.
//!
//! An adapter turns raw bytes into parsed rows without interpreting them: amounts stay text, dates stay text, both
//! parties stay. `normalize` interprets. Every field knows the path it came from.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use rust_decimal::Decimal;

use crate::money::{Currency, Money};

/// A value and the JSON path inside the row that it was read from (`transactionAmount.amount`).
#[derive(Clone, PartialEq, Eq)]
pub struct Field<T> {
    /// The value as the bank gave it, trimmed; never blank.
    pub value: T,
    /// Dotted path from the row's root.
    pub path: Place,
}

impl<T> Field<T> {
    /// A value at a path.
    pub fn new(value: T, path: impl Into<Place>) -> Self {
        Self { value, path: path.into() }
    }
}

/// Bank data never reaches a log through `Debug`.
impl<T> std::fmt::Debug for Field<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Field(.. from {})", self.path)
    }
}

/// A dotted path inside a row. A row has dozens of them, nearly all the same for every row of a bank: so it is two words
/// long, and a copy of it allocates nothing. Two are equal when their texts are.
#[derive(Clone)]
pub enum Place {
    /// A path that is known before any row is read.
    At(&'static &'static str),
    /// An element of the list at such a path.
    Element(&'static &'static str, u32),
    /// Any other path.
    Other(Arc<String>),
}

impl Place {
    /// The path as it is written: `remittanceInformationUnstructuredArray.0`.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::At(path) => Cow::Borrowed(path),
            Self::Element(list, index) => Cow::Owned(format!("{list}.{index}")),
            Self::Other(path) => Cow::Borrowed(path),
        }
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Place {}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text(), f)
    }
}

impl From<&str> for Place {
    fn from(path: &str) -> Self {
        Self::from(path.to_owned())
    }
}

impl From<String> for Place {
    fn from(path: String) -> Self {
        Self::Other(Arc::new(path))
    }
}

/// A text field.
pub type Text = Field<String>;

/// The list of the bank's answer that a row stood in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum List {
    /// Booked entries.
    Booked,
    /// Entries that may still change or vanish.
    Pending,
    /// Standing orders and other announcements; not money that moved.
    Information,
    /// The answer has one list and says nothing.
    #[default]
    Unstated,
}

/// A party of a transaction, as the bank names it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Party {
    /// `creditorName`, `debtor.name` …
    pub name: Option<Text>,
    /// `ultimateCreditor`, `ultimateDebtor`.
    pub ultimate_name: Option<Text>,
    /// IBAN, BBAN or other account number.
    pub account: Option<Text>,
    /// BIC of the party's bank.
    pub agent: Option<Text>,
}

/// One row of a bank's transaction list: every field that a standard can carry, uninterpreted.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The list it stood in; [`List::Unstated`] by default.
    pub list: List,
    /// A status word inside the row (`BOOK`, `PDNG`, `POSTED`, `completed` …).
    pub status: Option<Text>,
    /// The amount token exactly as in the JSON, quotes removed. Absent when the row has none.
    pub amount: Option<Text>,
    /// True when the amount was a JSON number and not a string.
    pub amount_is_number: bool,
    /// The currency token.
    pub currency: Option<Text>,
    /// The credit/debit indicator token (`CRDT`, `DBIT`, `Credit`, `debit` …).
    pub indicator: Option<Text>,
    /// Booking date or instant, as text.
    pub booking_date: Option<Text>,
    /// Value date or instant, as text.
    pub value_date: Option<Text>,
    /// Date or instant of the purchase or instruction, as text.
    pub transaction_date: Option<Text>,
    /// Further date fields that some banks use (`bookingDateTime`, `valueDateTime` beside the date).
    pub other_dates: Vec<Text>,
    /// Who is paid.
    pub creditor: Party,
    /// Who pays.
    pub debtor: Party,
    /// The other side, where the bank names it without saying whether it pays or is paid.
    pub counterparty: Party,
    /// Unstructured remittance lines in order. A single string is one line.
    pub remittance: Vec<Text>,
    /// Structured remittance references.
    pub remittance_structured: Vec<Text>,
    /// `additionalInformation`, `note`, `description` and the like.
    pub additional: Vec<Text>,
    /// Identifiers of the row.
    pub references: References,
    /// ISO 20022 bank transaction code, `PMNT-RDDT-ESDD`.
    pub bank_transaction_code: Option<Text>,
    /// The bank's own code, `NDDT+105`.
    pub proprietary_code: Option<Text>,
    /// ISO external purpose code, `SALA`.
    pub purpose_code: Option<Text>,
    /// Merchant category code, ISO 18245, four digits.
    pub mcc: Option<Text>,
    /// A merchant name that the bank or upstream provides as a field of its own.
    pub merchant_name: Option<Text>,
    /// Running balance after the row: amount token.
    pub balance_after: Option<Text>,
    /// The credit/debit indicator of that balance, where it has one.
    pub balance_after_indicator: Option<Text>,
    /// The currency of that balance, where it names one.
    pub balance_after_currency: Option<Text>,
    /// Foreign amounts and rates.
    pub exchange: Vec<ParsedExchange>,
    /// What the adapter could not read. The row still flows.
    pub issues: Vec<Issue>,
}

/// Identifiers inside a row. None is trusted before a profile says so.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct References {
    /// `transactionId`.
    pub transaction_id: Option<Text>,
    /// `internalTransactionId` and other ids that an intermediary made.
    pub internal_id: Option<Text>,
    /// `entryReference`.
    pub entry_reference: Option<Text>,
    /// `endToEndId`.
    pub end_to_end_id: Option<Text>,
    /// `mandateId`.
    pub mandate_id: Option<Text>,
    /// `creditorId`.
    pub creditor_id: Option<Text>,
    /// `checkId`.
    pub check_id: Option<Text>,
}

/// A foreign amount or rate of a row.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ParsedExchange {
    /// Currency exchanged from.
    pub source_currency: Option<Text>,
    /// Currency exchanged to.
    pub target_currency: Option<Text>,
    /// Currency that the rate counts one of.
    pub unit_currency: Option<Text>,
    /// The rate token.
    pub rate: Option<Text>,
    /// Instructed amount token.
    pub instructed_amount: Option<Text>,
    /// Currency of the instructed amount.
    pub instructed_currency: Option<Text>,
}

/// An account as a bank lists it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ParsedAccount {
    /// The bank's id, constant only within one consent.
    pub resource_id: Option<Text>,
    /// IBAN.
    pub iban: Option<Text>,
    /// BBAN.
    pub bban: Option<Text>,
    /// Masked card number.
    pub masked_pan: Option<Text>,
    /// Any other identification.
    pub other: Option<Text>,
    /// Currency token; `XXX` for multi-currency accounts.
    pub currency: Option<Text>,
    /// Name given by the bank or the user.
    pub name: Option<Text>,
    /// Product name.
    pub product: Option<Text>,
    /// ISO `ExternalCashAccountType1` code: `CACC`, `SVGS` …
    pub cash_account_type: Option<Text>,
    /// Owner, where the bank tells it.
    pub owner_name: Option<Text>,
    /// BIC of the account's bank.
    pub bic: Option<Text>,
    /// `enabled`, `deleted`, `blocked`.
    pub status: Option<Text>,
    /// Balances inside the account object.
    pub balances: Vec<ParsedBalance>,
}

/// A balance as a bank gives it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ParsedBalance {
    /// Type word, `closingBooked`, `CLBD`, `expected` …
    pub kind: Option<Text>,
    /// Amount token.
    pub amount: Option<Text>,
    /// Currency token.
    pub currency: Option<Text>,
    /// Credit/debit indicator token.
    pub indicator: Option<Text>,
    /// Whether a credit line is inside the figure.
    pub credit_limit_included: Option<bool>,
    /// Day that the balance is about.
    pub reference_date: Option<Text>,
    /// When it last changed.
    pub last_change: Option<Text>,
}

macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        /// Bank data never reaches a log through `Debug`.
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
opaque_debug!(
    Parsed,
    ParsedAccount,
    ParsedBalance,
    ParsedExchange,
    Party,
    References,
    Normalized,
    NormalizedBalance,
    Counterparty
);

/// Whether money has moved for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// In the bank's books.
    Booked,
    /// Announced or reserved; may change or vanish.
    Pending,
}

impl Status {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Booked => "booked",
            Self::Pending => "pending",
        }
    }
}

/// The other side of a transaction.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Counterparty {
    /// Name, cleaned of padding; never the holder.
    pub name: Option<String>,
    /// Account number as given.
    pub account: Option<String>,
}

/// How money moved, whatever it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A card payment, or its refund.
    Card,
    /// A credit transfer, out or in.
    Transfer,
    /// A transfer that the holder ordered for regular days.
    StandingOrder,
    /// A debit that the creditor drew under a mandate.
    DirectDebit,
    /// Cash out or in, at a machine or a counter.
    Cash,
    /// A cheque.
    Cheque,
    /// A charge of the account provider.
    Fee,
    /// Interest, paid or received.
    Interest,
    /// A loan's payment.
    Loan,
    /// Securities and their income.
    Securities,
    /// A booking taken back.
    Reversal,
    /// A kind that the bank names and that is none of these.
    Other,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 12] = [
        Self::Card,
        Self::Transfer,
        Self::StandingOrder,
        Self::DirectDebit,
        Self::Cash,
        Self::Cheque,
        Self::Fee,
        Self::Interest,
        Self::Loan,
        Self::Securities,
        Self::Reversal,
        Self::Other,
    ];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Transfer => "transfer",
            Self::StandingOrder => "standing_order",
            Self::DirectDebit => "direct_debit",
            Self::Cash => "cash",
            Self::Cheque => "cheque",
            Self::Fee => "fee",
            Self::Interest => "interest",
            Self::Loan => "loan",
            Self::Securities => "securities",
            Self::Reversal => "reversal",
            Self::Other => "other",
        }
    }
}

/// Text that is the word of no operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the word of an operation")]
pub struct OperationError;

impl std::str::FromStr for Operation {
    type Err = OperationError;

    fn from_str(word: &str) -> Result<Self, OperationError> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == word).ok_or(OperationError)
    }
}

/// One finished transaction: what products see.
#[derive(Clone, PartialEq, Eq)]
pub struct Normalized {
    /// Signed: money out is negative.
    pub money: Money,
    /// Booked or pending.
    pub status: Status,
    /// The bank's calendar day of booking.
    pub booking_date: Option<Date>,
    /// The bank's calendar day of value.
    pub value_date: Option<Date>,
    /// Day of the purchase or instruction.
    pub transaction_date: Option<Date>,
    /// The other side.
    pub counterparty: Counterparty,
    /// How the money moved.
    pub operation: Option<Operation>,
    /// Canonical merchant name.
    pub merchant: Option<String>,
    /// Wikidata id of the merchant, `Q41187`.
    pub merchant_id: Option<String>,
    /// Who stands between the holder and the merchant: a payment service, a card acquirer.
    pub intermediary: Option<String>,
    /// `primary.detailed` of the taxonomy.
    pub category: Option<String>,
    /// What was agreed in another currency, signed as the row is.
    pub instructed: Option<Money>,
    /// Units of the account's currency for one of the instructed amount's.
    pub exchange_rate: Option<Decimal>,
    /// What the holder or the bank wrote, joined, blanks collapsed.
    pub description: Option<String>,
    /// The bank's own id of the row, where it has a usable one.
    pub bank_reference: Option<String>,
    /// SEPA end-to-end reference, where it says something.
    pub end_to_end_id: Option<String>,
    /// ISO 20022 bank transaction code.
    pub bank_transaction_code: Option<String>,
    /// The account's balance after the row, in its own currency; owed money is negative.
    pub balance_after: Option<Money>,
    /// Where each field came from.
    pub provenance: Vec<Provenance>,
    /// Doubts that do not stop the row.
    pub issues: Vec<Issue>,
}

/// Where one normalised field came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Name of the normalised field, as on the wire.
    pub field: &'static str,
    /// Path inside the bank's row.
    pub path: Place,
    /// Name of the rule that read it.
    pub rule: &'static str,
}

/// A typed balance: what products see.
#[derive(Clone, PartialEq, Eq)]
pub struct NormalizedBalance {
    /// Signed: owed money is negative.
    pub money: Money,
    /// Berlin Group balance type in lower camel case; `unknown` when the bank uses a word of its own.
    pub kind: BalanceKind,
    /// Whether a credit line is inside the figure, if the bank says.
    pub credit_limit_included: Option<bool>,
    /// Day that the balance is about.
    pub reference_date: Option<Date>,
    /// When the bank says it last changed.
    pub last_change: Option<Timestamp>,
}

/// Balance types of NextGenPSD2 1.3.x §14, with their ISO 20022 codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BalanceKind {
    /// `closingBooked`, CLBD.
    ClosingBooked,
    /// `expected`, XPCD.
    Expected,
    /// `openingBooked`, OPBD.
    OpeningBooked,
    /// `interimAvailable`, ITAV.
    InterimAvailable,
    /// `interimBooked`, ITBD.
    InterimBooked,
    /// `forwardAvailable`, FWAV.
    ForwardAvailable,
    /// `nonInvoiced` (cards).
    NonInvoiced,
    /// A word the standard does not list.
    Unknown,
}

impl BalanceKind {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClosingBooked => "closingBooked",
            Self::Expected => "expected",
            Self::OpeningBooked => "openingBooked",
            Self::InterimAvailable => "interimAvailable",
            Self::InterimBooked => "interimBooked",
            Self::ForwardAvailable => "forwardAvailable",
            Self::NonInvoiced => "nonInvoiced",
            Self::Unknown => "unknown",
        }
    }
}

/// Something about a row that a reader should know. The text names fields and rules, never values of the bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Stable code, `amount.malformed`.
    pub code: &'static str,
    /// One plain sentence without bank data.
    pub text: String,
}

impl Issue {
    /// An issue with its code and sentence.
    pub fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// Whose row it is: what a rule needs to know to tell the other side from the holder.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// Name of the account holder, where known.
    pub name: Option<String>,
    /// The account's IBAN or other number, where known.
    pub account: Option<String>,
    /// Currency of the account, where known.
    pub currency: Option<Currency>,
    /// IBANs or other numbers of the holder's further accounts, where known: money between them is no income.
    pub other_accounts: Vec<String>,
}

/// Bank data never reaches a log through `Debug`.
impl std::fmt::Debug for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Holder(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_equal_when_their_texts_are() {
        let places = [Place::Element(&"lines", 1), Place::At(&"lines.1"), Place::from("lines.1")];
        for place in &places {
            assert_eq!(place.to_string(), "lines.1");
            assert!(places.iter().all(|other| other == place));
            assert_ne!(*place, Place::Element(&"lines", 11));
        }
        // Every row has dozens.
        assert_eq!(size_of::<Place>(), 16);
    }
}
