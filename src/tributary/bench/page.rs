//! The page that parsing and normalising are measured with, and the bare reader they are measured against.

use bytes::Bytes;
use serde::Deserialize;

/// Rows as banks of many countries write them; `{n}` is a number of the row.
const ROWS: &str = include_str!("rows.jsonl");

/// A NextGenPSD2 transaction report with so many booked rows, no two alike.
pub(super) fn page(rows: usize) -> Bytes {
    let shapes: Vec<&str> = ROWS.lines().collect();
    let row = |number: usize| shapes[number % shapes.len()].replace("{n}", &(100 + number % 900).to_string());
    let booked: Vec<String> = (0..rows).map(row).collect();
    Bytes::from(format!(r#"{{"account":{{}},"transactions":{{"booked":[{}],"_links":{{}}}}}}"#, booked.join(",")))
}

/// The least that a program can do with a page: every field that the adapter reads, as an owned string.
#[derive(Deserialize)]
#[allow(dead_code, reason = "the fields are read from JSON and that is all")]
pub(super) struct BarePage {
    transactions: BareLists,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "the fields are read from JSON and that is all")]
struct BareLists {
    booked: Vec<BareRow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "the fields are read from JSON and that is all")]
struct BareRow {
    transaction_id: Option<String>,
    entry_reference: Option<String>,
    end_to_end_id: Option<String>,
    mandate_id: Option<String>,
    creditor_id: Option<String>,
    check_id: Option<String>,
    booking_date: Option<String>,
    value_date: Option<String>,
    transaction_date: Option<String>,
    transaction_amount: BareAmount,
    currency_exchange: Option<Vec<BareExchange>>,
    creditor_name: Option<String>,
    creditor_account: Option<BareAccount>,
    creditor_agent: Option<String>,
    ultimate_creditor: Option<String>,
    debtor_name: Option<String>,
    debtor_account: Option<BareAccount>,
    debtor_agent: Option<String>,
    ultimate_debtor: Option<String>,
    remittance_information_unstructured: Option<String>,
    remittance_information_unstructured_array: Option<Vec<String>>,
    remittance_information_structured: Option<String>,
    remittance_information_structured_array: Option<Vec<String>>,
    additional_information: Option<String>,
    purpose_code: Option<String>,
    bank_transaction_code: Option<String>,
    proprietary_bank_transaction_code: Option<String>,
    merchant_category_code: Option<String>,
    balance_after_transaction: Option<BareBalance>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "the fields are read from JSON and that is all")]
struct BareAmount {
    amount: String,
    currency: String,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "the fields are read from JSON and that is all")]
struct BareAccount {
    iban: Option<String>,
    bban: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "the fields are read from JSON and that is all")]
struct BareExchange {
    source_currency: Option<String>,
    target_currency: Option<String>,
    unit_currency: Option<String>,
    exchange_rate: Option<String>,
    instructed_amount: Option<BareAmount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "the fields are read from JSON and that is all")]
struct BareBalance {
    balance_amount: BareAmount,
}

/// Reads a page with nothing but `serde_json`.
pub(super) fn bare(page: &[u8]) -> Result<BarePage, serde_json::Error> {
    serde_json::from_slice(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bare_reader_reads_every_row() {
        assert_eq!(bare(&page(500)).unwrap().transactions.booked.len(), 500);
    }
}
