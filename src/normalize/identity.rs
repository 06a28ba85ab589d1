//! What makes a row the same transaction in another fetch.
//!
//! [`align`] compares what is stored of an account with what a complete fetch brought and says of every row whether it
//! is known, new, the booking of a pending one, or doubtful. No field of a bank is believed because a standard says so:
//! how far an identifier is worth believing is counted in the overlap of every fetch ([`Trust`]).
//!
//! [`Identities`] names rows one by one, without what is stored: a bank's own id where it says something, else the
//! content with the ordinal of its occurrence.

mod align;
mod booking;
mod pages;
mod sketch;
mod trust;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod simulation;

pub use align::{Alignment, Coverage, Evidence, Listed, Outcome, Stored, Twin, align, opens_from};
pub use sketch::Sketch;
pub use trust::{Count, IdField, Lingering, PendingDays, Trust};

use std::collections::HashMap;

use domain::records::{Normalized, Parsed, Status, Text};

/// Counts equal rows of one fetch of one account. Use a fresh one for each.
#[derive(Debug, Default)]
pub struct Identities {
    seen: HashMap<Vec<u8>, u32>,
}

impl Identities {
    /// The canonical bytes of a row's identity, in the order in which the bank lists the rows.
    pub fn of(&mut self, parsed: &Parsed, row: &Normalized) -> Vec<u8> {
        let basis = bank_id(parsed, row.status).unwrap_or_else(|| content(parsed, row));
        let ordinal = self.seen.entry(basis.clone()).or_insert(0);
        *ordinal += 1;
        let mut identity = basis;
        identity.extend_from_slice(&ordinal.to_be_bytes());
        identity
    }
}

/// The bank's id of a booked row. Ids of pending rows are placeholders at many banks and change when the row is booked.
fn bank_id(parsed: &Parsed, status: Status) -> Option<Vec<u8>> {
    let id = parsed.references.transaction_id.as_ref().filter(|_| status == Status::Booked)?;
    let says_something = id.value.chars().any(|c| c.is_alphanumeric() && c != '0');
    says_something.then(|| fields(&["id", &id.value]))
}

/// Everything that two different payments of one day do not share as a rule.
fn content(parsed: &Parsed, row: &Normalized) -> Vec<u8> {
    let text = |field: &Option<Text>| field.as_ref().map_or_else(String::new, |field| field.value.clone());
    let day = |date: Option<jiff::civil::Date>| date.map_or_else(String::new, |date| date.to_string());
    let remittance: Vec<&str> = parsed.remittance.iter().map(|line| line.value.as_str()).collect();
    fields(&[
        "content",
        row.status.as_str(),
        &row.money.amount().normalize().to_string(),
        row.money.currency().code(),
        &day(row.booking_date),
        &day(row.value_date),
        row.counterparty.name.as_deref().unwrap_or_default(),
        row.counterparty.account.as_deref().unwrap_or_default(),
        &text(&parsed.references.end_to_end_id),
        &remittance.join("\n"),
    ])
}

/// Parts with their lengths before them, so that no two lists of parts share their bytes.
fn fields(parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use domain::records::{Field, Holder};
    use domain::rules::Rules;

    use super::*;

    fn row(id: &str, amount: &str, text: &str, status: &str) -> (Parsed, Normalized) {
        let field = |value: &str| (!value.is_empty()).then(|| Field::new(value.to_owned(), "test"));
        let mut parsed = Parsed {
            amount: field(amount),
            currency: field("EUR"),
            booking_date: field("2026-03-02"),
            status: field(status),
            remittance: field(text).into_iter().collect(),
            ..Parsed::default()
        };
        parsed.references.transaction_id = field(id);
        let record = crate::transaction(&parsed, &Holder::default(), &Rules::default()).unwrap();
        (parsed, record)
    }

    fn identities(rows: &[(Parsed, Normalized)]) -> Vec<Vec<u8>> {
        let mut identities = Identities::default();
        rows.iter().map(|(parsed, record)| identities.of(parsed, record)).collect()
    }

    #[test]
    fn two_equal_purchases_are_two_and_stay_the_same_two() {
        let coffee = || row("", "-3.20", "Coffee", "BOOK");
        let first = identities(&[coffee(), coffee(), row("", "-3.20", "Tea", "BOOK")]);
        assert_eq!(first.iter().collect::<std::collections::HashSet<_>>().len(), 3);
        assert_eq!(first, identities(&[coffee(), coffee(), row("", "-3.20", "Tea", "BOOK")]));
    }

    #[test]
    fn a_changed_text_under_the_same_id_is_the_same_payment() {
        assert_eq!(
            identities(&[row("A-1", "-3.20", "CARD 123", "BOOK")]),
            identities(&[row("A-1", "-3.20", "Coffee House", "BOOK")])
        );
    }

    #[test]
    fn an_id_without_content_and_an_id_of_a_pending_row_are_none() {
        let same = |a, b| identities(&[a]) == identities(&[b]);
        assert!(same(row("0000", "-1.00", "x", "BOOK"), row("", "-1.00", "x", "BOOK")));
        assert!(!same(row("0000", "-1.00", "x", "BOOK"), row("0000", "-2.00", "x", "BOOK")));
        assert!(!same(row("P1", "-1.00", "x", "PDNG"), row("P1", "-1.00", "x", "BOOK")));
    }
}
