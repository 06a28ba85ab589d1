//! One row of Enable Banking to parsed fields.

use domain::records::{List, Parsed, ParsedAccount, ParsedBalance};
use serde_json::value::RawValue;

use crate::standards::row::{self, AccountLayout, BalanceLayout, ExchangeLayout, Layout, PartyLayout, paths};

const LAYOUT: Layout = Layout {
    status: paths!["status"],
    amount: paths!["transaction_amount.amount"],
    currency: paths!["transaction_amount.currency"],
    indicator: paths!["credit_debit_indicator"],
    booking_date: paths!["booking_date"],
    value_date: paths!["value_date"],
    transaction_date: paths!["transaction_date"],
    other_dates: &[],
    creditor: PartyLayout {
        // Some banks leave the name blank and put the shop into the first line of the address.
        name: paths!["creditor.name", "creditor_name", "creditor.postal_address.address_line"],
        ultimate_name: paths!["ultimate_creditor.name"],
        account: paths!["creditor_account.iban", "creditor_account.other.identification"],
        agent: paths!["creditor_agent.bic_fi"],
    },
    debtor: PartyLayout {
        name: paths!["debtor.name", "debtor_name", "debtor.postal_address.address_line"],
        ultimate_name: paths!["ultimate_debtor.name"],
        account: paths!["debtor_account.iban", "debtor_account.other.identification"],
        agent: paths!["debtor_agent.bic_fi"],
    },
    counterparty: PartyLayout::NONE,
    remittance_lines: paths!["remittance_information"],
    remittance_string: &[],
    remittance_structured: paths!["reference_number"],
    additional: paths!["note"],
    transaction_id: paths!["transaction_id"],
    internal_id: &[],
    entry_reference: paths!["entry_reference"],
    end_to_end_id: paths!["end_to_end_id"],
    mandate_id: paths!["mandate_id"],
    creditor_id: paths!["creditor_id"],
    check_id: &[],
    bank_transaction_code: &[],
    code_parts: paths![
        "bank_transaction_code.description",
        "bank_transaction_code.code",
        "bank_transaction_code.sub_code"
    ],
    proprietary_code: paths!["bank_transaction_code.code", "bank_transaction_code.description"],
    purpose_code: paths!["purpose_code"],
    mcc: paths!["merchant_category_code"],
    merchant_name: paths!["merchant_name"],
    balance_after: paths!["balance_after_transaction.amount"],
    balance_after_indicator: &[],
    balance_after_currency: paths!["balance_after_transaction.currency"],
    exchange: paths!["exchange_rate"],
    exchange_fields: ExchangeLayout {
        source_currency: paths!["source_currency"],
        target_currency: paths!["target_currency"],
        unit_currency: paths!["unit_currency"],
        rate: paths!["exchange_rate"],
        instructed_amount: paths!["instructed_amount.amount"],
        instructed_currency: paths!["instructed_amount.currency"],
    },
};

const BALANCE: BalanceLayout = BalanceLayout {
    kind: paths!["balance_type"],
    amount: paths!["balance_amount.amount"],
    currency: paths!["balance_amount.currency"],
    indicator: paths!["credit_debit_indicator"],
    credit_limit_included: paths!["credit_limit_included"],
    reference_date: paths!["reference_date"],
    last_change: paths!["last_change_date_time"],
};

const ACCOUNT: AccountLayout = AccountLayout {
    resource_id: paths!["uid", "resource_id"],
    iban: paths!["account_id.iban", "iban"],
    bban: &[],
    masked_pan: &[],
    other: paths!["account_id.other.identification", "all_account_ids.identification", "identification_hash"],
    currency: paths!["currency"],
    name: paths!["details", "name"],
    product: paths!["product"],
    cash_account_type: paths!["cash_account_type"],
    // In this format `name` is the name of the holder.
    owner_name: paths!["name"],
    bic: paths!["account_servicer.bic_fi"],
    status: paths!["psu_status"],
    balances: paths!["balances"],
};

/// One element of `transactions`. Never fails: what could not be read stands in `issues`.
pub fn transaction(row: &RawValue, list: List) -> Parsed {
    row::transaction(row, list, &LAYOUT)
}

/// One account of a session.
pub fn account(row: &RawValue) -> ParsedAccount {
    row::account(row, &ACCOUNT, &BALANCE)
}

/// One element of `balances`.
pub fn balance(row: &RawValue) -> ParsedBalance {
    row::balance(row, &BALANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Parsed {
        let row: Box<RawValue> = serde_json::from_str(json).unwrap();
        transaction(&row, List::Unstated)
    }

    #[test]
    fn a_blank_name_gives_way_to_the_flat_one_and_to_the_address() {
        let name = |json: &str| read(json).creditor.name.map(|name| name.value);
        assert_eq!(name(r#"{"creditor":{"name":""},"creditor_name":"Flat Name"}"#).as_deref(), Some("Flat Name"));
        assert_eq!(
            name(r#"{"creditor":{"name":null,"postal_address":{"address_line":["", "Shop On Address"]}}}"#).as_deref(),
            Some("Shop On Address")
        );
        assert_eq!(name(r#"{"creditor":null}"#), None);
    }

    #[test]
    fn a_code_in_parts_is_iso_or_the_banks_own() {
        let codes = |json: &str| {
            let parsed = read(json);
            (parsed.bank_transaction_code.map(|c| c.value), parsed.proprietary_code.map(|c| c.value))
        };
        assert_eq!(
            codes(r#"{"bank_transaction_code":{"description":"PMNT","code":"CCRD","sub_code":"POSD"}}"#).0.as_deref(),
            Some("PMNT-CCRD-POSD")
        );
        assert_eq!(
            codes(r#"{"bank_transaction_code":{"code":"PMNT","sub_code":"ICDT-STDO","description":null}}"#)
                .0
                .as_deref(),
            Some("PMNT-ICDT-STDO")
        );
        assert_eq!(
            codes(r#"{"bank_transaction_code":{"code":"TOPUP","sub_code":null,"description":null}}"#),
            (None, Some("TOPUP".to_owned()))
        );
    }

    #[test]
    fn an_epoch_date_stays_the_token_that_it_was() {
        assert_eq!(read(r#"{"booking_date":1893456000}"#).booking_date.map(|d| d.value).as_deref(), Some("1893456000"));
    }
}
