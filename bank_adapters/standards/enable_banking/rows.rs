//! One row of Enable Banking to parsed fields.

use domain::records::{List, Parsed, ParsedAccount, ParsedBalance};
use serde_json::value::RawValue;

use crate::standards::row::{self, AccountLayout, BalanceLayout, ExchangeLayout, Layout, PartyLayout};

const LAYOUT: Layout = Layout {
    status: &["status"],
    amount: &["transaction_amount.amount"],
    currency: &["transaction_amount.currency"],
    indicator: &["credit_debit_indicator"],
    booking_date: &["booking_date"],
    value_date: &["value_date"],
    transaction_date: &["transaction_date"],
    other_dates: &[],
    creditor: PartyLayout {
        // Some banks leave the name blank and put the shop into the first line of the address.
        name: &["creditor.name", "creditor_name", "creditor.postal_address.address_line"],
        ultimate_name: &["ultimate_creditor.name"],
        account: &["creditor_account.iban", "creditor_account.other.identification"],
        agent: &["creditor_agent.bic_fi"],
    },
    debtor: PartyLayout {
        name: &["debtor.name", "debtor_name", "debtor.postal_address.address_line"],
        ultimate_name: &["ultimate_debtor.name"],
        account: &["debtor_account.iban", "debtor_account.other.identification"],
        agent: &["debtor_agent.bic_fi"],
    },
    counterparty: PartyLayout::NONE,
    remittance_lines: &["remittance_information"],
    remittance_string: &[],
    remittance_structured: &["reference_number"],
    additional: &["note"],
    transaction_id: &["transaction_id"],
    internal_id: &[],
    entry_reference: &["entry_reference"],
    end_to_end_id: &["end_to_end_id"],
    mandate_id: &["mandate_id"],
    creditor_id: &["creditor_id"],
    check_id: &[],
    bank_transaction_code: &[],
    code_parts: &["bank_transaction_code.description", "bank_transaction_code.code", "bank_transaction_code.sub_code"],
    proprietary_code: &["bank_transaction_code.code", "bank_transaction_code.description"],
    purpose_code: &["purpose_code"],
    mcc: &["merchant_category_code"],
    merchant_name: &["merchant_name"],
    balance_after: &["balance_after_transaction.amount"],
    balance_after_indicator: &[],
    exchange: &["exchange_rate"],
    exchange_fields: ExchangeLayout {
        source_currency: &["source_currency"],
        target_currency: &["target_currency"],
        unit_currency: &["unit_currency"],
        rate: &["exchange_rate"],
        instructed_amount: &["instructed_amount.amount"],
        instructed_currency: &["instructed_amount.currency"],
    },
};

const BALANCE: BalanceLayout = BalanceLayout {
    kind: &["balance_type"],
    amount: &["balance_amount.amount"],
    currency: &["balance_amount.currency"],
    indicator: &["credit_debit_indicator"],
    credit_limit_included: &["credit_limit_included"],
    reference_date: &["reference_date"],
    last_change: &["last_change_date_time"],
};

const ACCOUNT: AccountLayout = AccountLayout {
    resource_id: &["uid", "resource_id"],
    iban: &["account_id.iban", "iban"],
    bban: &[],
    masked_pan: &[],
    other: &["account_id.other.identification", "all_account_ids.identification"],
    currency: &["currency"],
    name: &["details", "name"],
    product: &["product"],
    cash_account_type: &["cash_account_type"],
    // In this format `name` is the name of the holder.
    owner_name: &["name"],
    bic: &["account_servicer.bic_fi"],
    status: &["psu_status"],
    balances: &["balances"],
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
