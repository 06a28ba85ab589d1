//! The little of a row that tells it from others: what alignment compares and what is kept (sealed) for the next fetch.

use domain::money::Money;
use domain::records::{Normalized, Parsed, Status, Text};
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::trust::IdField;

/// Bank transaction codes of card authorisations, which some banks list as booked and later replace.
const AUTHORISATIONS: &[&str] = &["PMNT-MCRD-UPCT"];
/// Words in the place of a reference that name nothing.
const FILLERS: &[&str] = &["notprovided", "null", "none", "undefined", "n/a"];
/// Shortest word of a text that says something about it, in letters.
const WORD_LETTERS_MIN: usize = 3;
/// Shortest reference inside a note that may link two rows, in characters.
const LINK_CHARS_MIN: usize = 8;

/// A row reduced to what identifies it. Texts and references are 64-bit digests: they are compared, never shown. Two
/// rows are never one because digests agree: rows are matched one to one, so a collision cannot swallow a row.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sketch {
    /// Booked or pending, as published.
    pub status: Status,
    /// Whether the row may still be replaced by another: it is pending, or an authorisation that is listed as booked.
    pub provisional: bool,
    /// Signed amount.
    pub money: Money,
    /// Day of booking.
    pub booking_date: Option<Date>,
    /// Day of value.
    pub value_date: Option<Date>,
    /// Day of the purchase or instruction.
    pub purchase_date: Option<Date>,
    /// Account of the other side.
    pub party: Option<u64>,
    /// The whole text with the name of the other side.
    pub text: u64,
    /// The words of the text, without numbers; sorted, each once.
    pub words: Vec<u64>,
    /// The bank's identifiers, in the order of [`IdField::ALL`]; fillers are none.
    pub ids: [Option<u64>; IdField::ALL.len()],
    /// References that may stand on another row of the same payment too; sorted, each once.
    pub links: Vec<u64>,
    /// The account's balance after the row.
    pub balance_after: Option<Decimal>,
}

/// Bank data never reaches a log through `Debug`.
impl std::fmt::Debug for Sketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sketch(..)")
    }
}

impl Sketch {
    /// Reduces a row.
    pub fn of(parsed: &Parsed, row: &Normalized) -> Self {
        let name = row.counterparty.name.as_deref().unwrap_or_default();
        let lines = parsed.remittance.iter().chain(&parsed.remittance_structured).map(|line| line.value.as_str());
        let notes = parsed.additional.iter().filter(|note| note.value.contains(' ')).map(|note| note.value.as_str());
        let text = std::iter::once(name).chain(lines).chain(notes).collect::<Vec<_>>().join(" ");
        let references = &parsed.references;
        let tokens = parsed.additional.iter().filter(|note| !note.value.contains(' '));
        let mut links: Vec<u64> = tokens
            .filter(|note| note.value.len() >= LINK_CHARS_MIN)
            .chain(references.end_to_end_id.as_ref())
            .filter_map(|text| reference(&text.value))
            .collect();
        links.sort_unstable();
        links.dedup();
        let id = |field: &Option<Text>| field.as_ref().and_then(|text| reference(&text.value));
        let authorisation = row.bank_transaction_code.as_deref().is_some_and(|code| AUTHORISATIONS.contains(&code));
        Self {
            status: row.status,
            provisional: row.status == Status::Pending || authorisation,
            money: row.money,
            booking_date: row.booking_date,
            value_date: row.value_date,
            purchase_date: row.transaction_date,
            party: row.counterparty.account.as_deref().map(digest),
            text: digest(&text),
            words: words(&text),
            ids: [
                id(&references.transaction_id),
                id(&references.internal_id),
                id(&references.entry_reference),
                id(&parsed.proprietary_code),
            ],
            links,
            balance_after: parsed.balance_after.as_ref().and_then(|token| token.value.parse().ok()),
        }
    }

    /// The day that the row is about: purchase, else booking, else value.
    pub fn day(&self) -> Option<Date> {
        self.purchase_date.or(self.booking_date).or(self.value_date)
    }

    /// The day that the bank's books name: booking, else value, else purchase.
    pub fn booked_day(&self) -> Option<Date> {
        self.booking_date.or(self.value_date).or(self.purchase_date)
    }
}

/// The digest of a reference; none where it says nothing (`-`, `0000`, `NOTPROVIDED`).
pub(super) fn reference(text: &str) -> Option<u64> {
    let says_something = text.chars().any(|c| c.is_alphanumeric() && c != '0');
    let filler = FILLERS.iter().any(|filler| text.eq_ignore_ascii_case(filler));
    (says_something && !filler).then(|| digest(text))
}

/// The words of a text that are not numbers, in small letters, as sorted digests.
pub(super) fn words(text: &str) -> Vec<u64> {
    let mut words: Vec<u64> = text
        .split(|c: char| !c.is_alphabetic())
        .filter(|word| word.chars().count() >= WORD_LETTERS_MIN)
        .map(|word| digest(&word.to_lowercase()))
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// FNV-1a, 64 bits: the same on every machine and in every version, as digests are stored. It guards nothing.
pub(super) fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
