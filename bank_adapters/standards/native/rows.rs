//! One flat row of a bank's own interface to parsed fields.
//!
//! Banks without a standard agree on little more than words: an amount beside its currency, a side, dates that end in
//! `_at`, one name for whoever is on the other end. This is the reader of last resort for rows of a format that has no
//! module of its own.

use domain::records::{List, Parsed};
use serde_json::value::RawValue;

use crate::standards::berlin_group::rows as berlin_group;
use crate::standards::row::{self, Layout, PartyLayout, paths};

const LAYOUT: Layout = Layout {
    status: paths!["status", "state"],
    amount: paths!["amount", "amount.amount", "amount.value"],
    currency: paths!["currency", "amount.currency", "currency_code", "currencyCode"],
    indicator: paths!["side", "direction", "creditDebitIndicator", "credit_debit_indicator"],
    booking_date: paths!["settled_at", "booked_at", "booking_date", "bookingDate", "postingDateTime", "date"],
    value_date: paths!["value_date", "valueDate", "valueDateTime"],
    transaction_date: paths!["emitted_at", "executed_at", "transaction_date", "transactionDate", "executionDateTime"],
    other_dates: paths!["created_at", "updated_at"],
    creditor: PartyLayout { name: paths!["creditor_name", "creditorName"], ..PartyLayout::NONE },
    debtor: PartyLayout { name: paths!["debtor_name", "debtorName"], ..PartyLayout::NONE },
    counterparty: PartyLayout {
        name: paths!["counterparty_name", "counterpartyName", "clean_counterparty_name", "label"],
        ..PartyLayout::NONE
    },
    remittance_lines: &[],
    remittance_string: paths!["reference", "description"],
    remittance_structured: &[],
    additional: paths!["note"],
    transaction_id: paths!["transaction_id", "transactionId", "id"],
    internal_id: &[],
    entry_reference: &[],
    end_to_end_id: paths!["end_to_end_id"],
    mandate_id: &[],
    creditor_id: &[],
    check_id: &[],
    bank_transaction_code: &[],
    code_parts: &[],
    proprietary_code: paths!["operation_type", "type"],
    purpose_code: &[],
    mcc: paths!["merchant_category_code", "merchantCategoryCode"],
    merchant_name: paths!["merchant_name", "merchantName"],
    balance_after: paths!["settled_balance", "balance_after"],
    balance_after_indicator: &[],
    balance_after_currency: &[],
    exchange: &[],
    exchange_fields: berlin_group::LAYOUT.exchange_fields,
};

/// One transaction. Never fails: what could not be read stands in `issues`.
pub fn transaction(row: &RawValue, list: List) -> Parsed {
    row::transaction(row, list, &LAYOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_may_be_flat_or_an_object() {
        for json in [
            r#"{"amount":40.10,"currency":"EUR","side":"debit","label":"Stationer"}"#,
            r#"{"amount":{"value":"40.10","currency":"EUR"},"direction":"debit","counterparty_name":"Stationer"}"#,
        ] {
            let row: Box<RawValue> = serde_json::from_str(json).unwrap();
            let parsed = transaction(&row, List::Unstated);
            let value = |text: Option<domain::records::Text>| text.map(|text| text.value);
            assert_eq!(value(parsed.amount).as_deref(), Some("40.10"), "{json}");
            assert_eq!(value(parsed.currency).as_deref(), Some("EUR"), "{json}");
            assert_eq!(value(parsed.indicator).as_deref(), Some("debit"), "{json}");
            assert_eq!(value(parsed.counterparty.name).as_deref(), Some("Stationer"), "{json}");
            assert!(parsed.issues.is_empty(), "{json}");
        }
    }
}
