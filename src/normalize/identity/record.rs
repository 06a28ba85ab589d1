//! What is kept of a row for the next fetch, as bytes. Whoever keeps them seals them: they hold amounts and days.
//!
//! The encoding (JSON, version 1) is written and read here and nowhere else. Bytes of another version read as `None`.

use domain::money::Money;
use domain::records::Status;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::align::Stored;
use super::sketch::Sketch;
use super::trust::{IdField, Trust};

const VERSION: u8 = 1;

/// A row's form now and, where it had another, before.
#[derive(Serialize, Deserialize)]
struct FormsWire {
    v: u8,
    now: SketchWire,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    earlier: Option<SketchWire>,
}

#[derive(Serialize, Deserialize)]
struct SketchWire {
    pending: bool,
    provisional: bool,
    amount: Decimal,
    currency: String,
    booking: Option<Date>,
    value: Option<Date>,
    purchase: Option<Date>,
    party: Option<u64>,
    text: u64,
    words: Vec<u64>,
    ids: [Option<u64>; IdField::ALL.len()],
    links: Vec<u64>,
    balance: Option<Decimal>,
}

impl From<&Sketch> for SketchWire {
    fn from(sketch: &Sketch) -> Self {
        Self {
            pending: sketch.status == Status::Pending,
            provisional: sketch.provisional,
            amount: sketch.money.amount(),
            currency: sketch.money.currency().code().to_owned(),
            booking: sketch.booking_date,
            value: sketch.value_date,
            purchase: sketch.purchase_date,
            party: sketch.party,
            text: sketch.text,
            words: sketch.words.clone(),
            ids: sketch.ids,
            links: sketch.links.clone(),
            balance: sketch.balance_after,
        }
    }
}

impl SketchWire {
    fn read(self) -> Option<Sketch> {
        Some(Sketch {
            status: if self.pending { Status::Pending } else { Status::Booked },
            provisional: self.provisional,
            money: Money::new(self.amount, self.currency.parse().ok()?),
            booking_date: self.booking,
            value_date: self.value,
            purchase_date: self.purchase,
            party: self.party,
            text: self.text,
            words: self.words,
            ids: self.ids,
            links: self.links,
            balance_after: self.balance,
        })
    }
}

impl<I: Copy> Stored<I> {
    /// The row's forms as bytes; whether it was missed or removed is not part of them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let wire = FormsWire { v: VERSION, now: (&self.sketch).into(), earlier: self.earlier.as_ref().map(Into::into) };
        // Serialising numbers and dates into memory has no way to fail.
        serde_json::to_vec(&wire).unwrap_or_default()
    }

    /// A row of that id from its bytes; `None` if they are of another version.
    pub fn from_bytes(id: I, bytes: &[u8]) -> Option<Self> {
        let wire: FormsWire = serde_json::from_slice(bytes).ok()?;
        let earlier = match wire.earlier {
            Some(earlier) => Some(earlier.read()?),
            None => None,
        };
        let row = Self::new(id, wire.now.read()?);
        (wire.v == VERSION).then_some(Self { earlier, ..row })
    }
}

impl Trust {
    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&(VERSION, self)).unwrap_or_default()
    }

    /// From bytes; `None` if they are of another version.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, trust): (u8, Self) = serde_json::from_slice(bytes).ok()?;
        (version == VERSION).then_some(trust)
    }
}

#[cfg(test)]
mod tests {
    use domain::records::{Field, Holder, Parsed};
    use domain::rules::Rules;
    use proptest::prelude::*;

    use super::super::trust::Count;
    use super::*;

    fn sketch(id: &str, amount: &str, text: &str, status: &str) -> Sketch {
        let field = |value: &str| (!value.is_empty()).then(|| Field::new(value.to_owned(), "test"));
        let mut parsed = Parsed {
            amount: field(amount),
            currency: field("EUR"),
            booking_date: field("2026-03-02"),
            status: field(status),
            remittance: field(text).into_iter().collect(),
            balance_after: field(amount),
            ..Parsed::default()
        };
        parsed.references.transaction_id = field(id);
        let record = crate::transaction(&parsed, &Holder::default(), &Rules::default()).unwrap();
        Sketch::of(&parsed, &record)
    }

    proptest! {
        #[test]
        fn a_row_comes_back_as_it_was(id in "[A-Z0-9]{0,9}", cents in 1_i64..9_999_999, text in "[a-zü ]{0,30}", before in any::<bool>()) {
            let amount = Decimal::new(-cents, 2).to_string();
            let first = Stored::new(7_usize, sketch(&id, &amount, &text, if before { "PDNG" } else { "BOOK" }));
            let row = if before { first.listed_as(sketch(&id, &amount, "another", "BOOK")) } else { first };
            let read = Stored::from_bytes(7_usize, &row.to_bytes()).unwrap();
            prop_assert!(read.sketch == row.sketch && read.earlier == row.earlier && read.earlier.is_some() == before);
        }
    }

    #[test]
    fn what_is_known_of_identifiers_comes_back_and_another_version_does_not() {
        let mut trust = Trust::default();
        trust.counts[2][1] = Count { same: 17, changed: 1, shared: 2, clashed: 3 };
        trust.pending_days.moved = 5;
        trust.lingering.beside = 6;
        assert_eq!(Trust::from_bytes(&trust.to_bytes()), Some(trust));
        assert_eq!(Trust::from_bytes(b"[2,{}]"), None);
        let bytes = Stored::new(1, sketch("A", "-1", "x", "BOOK")).to_bytes();
        let other = String::from_utf8(bytes).unwrap().replacen("\"v\":1", "\"v\":2", 1);
        assert!(Stored::from_bytes(1, other.as_bytes()).is_none());
    }
}
