//! Account statements in place of JSON: camt.052 and camt.053 (ISO 20022) and MT940 (SWIFT), as banks of the Berlin Group
//! may give them (Implementation Guidelines §6.5.3) and some give nothing else.
//!
//! A statement is cut into its entries without interpreting them. Each is kept as a JSON object of its own that holds all
//! that the entry said ([`camt`]: its elements by their names; [`mt940`]: its fields as they were written), so that it is
//! sealed, kept and read again as every other row is.

mod camt;
mod mt940;
mod xml;

use bytes::Bytes;
use domain::limits::{BANK_BODY_BYTES_MAX, ROWS_PER_BANK_PAGE_MAX};
use domain::records::{Issue, List, Parsed};
use rust_decimal::Decimal;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::answer::{RawRow, Row};
use crate::error::Breach;

/// Bytes of all entries of an answer as they are kept: what a payment of a batch repeats of its entry has an end.
const KEPT_BYTES_MAX: usize = 4 * BANK_BODY_BYTES_MAX;

/// What a statement says.
#[derive(Default)]
pub(crate) struct Statement {
    /// Its entries in their order.
    pub(crate) rows: Vec<Row<Parsed>>,
    /// Whether it says that another page follows, which it cannot name.
    pub(crate) more: bool,
    /// Doubts about it as a whole.
    pub(crate) issues: Vec<Issue>,
    kept_bytes: usize,
}

/// Reads a body that is a statement; `None` for one that is not. A statement that ends early, or holds what no statement
/// may, is refused as a whole.
pub(crate) fn read(body: &str) -> Option<Result<Statement, Breach>> {
    let text = body.trim_start();
    match text.as_bytes().first()? {
        b'<' if camt::is_one(text) => Some(camt::read(body)),
        b':' | b'{' if mt940::is_one(text) => Some(mt940::read(body)),
        _ => None,
    }
}

/// Reads a kept entry of a statement again; `None` for a row of another form.
pub(crate) fn transaction(row: &RawValue, list: List) -> Option<Parsed> {
    match row.get() {
        json if !is_entry(json) => None,
        json if json.starts_with(mt940::MARK) => Some(mt940::transaction(row, list)),
        _ => Some(camt::transaction(row, list)),
    }
}

/// Whether a row is an entry of a statement as it is kept.
pub(crate) fn is_entry(row: &str) -> bool {
    [camt::MARK, camt::MARK_OF_A_PART, mt940::MARK].iter().any(|mark| row.starts_with(mark))
}

impl Statement {
    /// Adds an entry as it is kept, and as it is read.
    fn push(&mut self, kept: &Value, list: List) -> Result<(), Breach> {
        let raw = to_raw_value(kept).map_err(|_| Breach::Field("transactions"))?;
        self.kept_bytes += raw.get().len();
        if self.rows.len() >= ROWS_PER_BANK_PAGE_MAX || self.kept_bytes > KEPT_BYTES_MAX {
            return Err(Breach::TooLong("transactions"));
        }
        let parsed = transaction(&raw, list).ok_or(Breach::Field("transactions"))?;
        self.rows.push(Row { parsed: Box::new(parsed), raw: RawRow(Bytes::from(Box::<str>::from(raw).into_string())) });
        Ok(())
    }

    /// Says so where opening balance and entries do not come to the closing balance. Unknown figures are no doubt.
    fn must_add_up(&mut self, opening: Option<Decimal>, entries: Option<Decimal>, closing: Option<Decimal>) {
        if let (Some(opening), Some(entries), Some(closing)) = (opening, entries, closing)
            && opening.checked_add(entries) != Some(closing)
        {
            let why = "opening balance and entries of a statement do not come to its closing balance";
            self.issues.push(Issue::new("statement.does_not_add_up", why));
        }
    }
}

/// The one account that all statements of an answer are about: an answer about several was not asked for.
#[derive(Default)]
struct OneAccount(Option<String>);

impl OneAccount {
    fn is(&mut self, account: &str, field: &'static str) -> Result<(), Breach> {
        match &self.0 {
            Some(known) if known != account => Err(Breach::Field(field)),
            Some(_) => Ok(()),
            None => {
                self.0 = Some(account.to_owned());
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
