//! One row of GoCardless Bank Account Data to parsed fields: the Berlin Group's names plus the intermediary's own.

use domain::records::{List, Parsed, ParsedAccount, ParsedBalance};
use serde_json::value::RawValue;

use crate::standards::berlin_group::rows as berlin_group;
use crate::standards::row::{self, Layout, paths};

const LAYOUT: Layout = Layout { internal_id: paths!["internalTransactionId"], ..berlin_group::LAYOUT };

/// One element of `booked` or `pending`. Never fails: what could not be read stands in `issues`.
pub fn transaction(row: &RawValue, list: List) -> Parsed {
    row::transaction(row, list, &LAYOUT)
}

/// The `account` object of the details answer.
pub fn account(row: &RawValue) -> ParsedAccount {
    berlin_group::account(row)
}

/// One element of `balances`.
pub fn balance(row: &RawValue) -> ParsedBalance {
    berlin_group::balance(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_the_intermediary_is_kept_apart() {
        let row: Box<RawValue> = serde_json::from_str(
            r#"{"transactionId":"b1","internalTransactionId":"i1",
                "currencyExchange":{"instructedAmount":{"amount":"5","currency":"USD"},"exchangeRate":1.25}}"#,
        )
        .unwrap();
        let parsed = transaction(&row, List::Pending);
        assert_eq!(parsed.references.internal_id.map(|id| id.value).as_deref(), Some("i1"));
        let [exchange] = &parsed.exchange[..] else { panic!("one exchange") };
        assert_eq!(
            exchange.rate.as_ref().map(|rate| (rate.value.as_str(), rate.path.to_string())),
            Some(("1.25", "currencyExchange.exchangeRate".to_owned()))
        );
        assert_eq!(exchange.instructed_currency.as_ref().map(|currency| currency.value.as_str()), Some("USD"));
    }
}
