//! One row of STET to parsed fields, 1.4 to 2 (remittance as a list or as an object of lists).

use domain::records::{List, Parsed, ParsedAccount, ParsedBalance};
use serde_json::value::RawValue;

use crate::standards::row::{self, AccountLayout, BalanceLayout, Layout, PartyLayout};

const LAYOUT: Layout = Layout {
    status: &["status"],
    amount: &["transactionAmount.amount"],
    currency: &["transactionAmount.currency"],
    indicator: &["creditDebitIndicator"],
    booking_date: &["bookingDate"],
    value_date: &["valueDate", "expectedBookingDate"],
    transaction_date: &["transactionDate"],
    creditor: PartyLayout {
        name: &["relatedParties.creditor.name"],
        ultimate_name: &["relatedParties.ultimateCreditor.name"],
        account: &["relatedParties.creditorAccount.iban", "relatedParties.creditorAccount.other.identification"],
        agent: &["relatedParties.creditorAgent.bicFi"],
    },
    debtor: PartyLayout {
        name: &["relatedParties.debtor.name"],
        ultimate_name: &["relatedParties.ultimateDebtor.name"],
        account: &["relatedParties.debtorAccount.iban", "relatedParties.debtorAccount.other.identification"],
        agent: &["relatedParties.debtorAgent.bicFi"],
    },
    remittance_lines: &["remittanceInformation.unstructured", "remittanceInformation"],
    remittance_structured: &["remittanceInformation.structured"],
    transaction_id: &["resourceId"],
    entry_reference: &["entryReference"],
    end_to_end_id: &["endToEndId"],
    code_parts: &["bankTransactionCode.domain", "bankTransactionCode.family", "bankTransactionCode.subFamily"],
    proprietary_code: &["bankTransactionCode.code"],
    ..Layout::NONE
};

const BALANCE: BalanceLayout = BalanceLayout {
    kind: &["balanceType"],
    amount: &["balanceAmount.amount"],
    currency: &["balanceAmount.currency"],
    indicator: &["creditDebitIndicator"],
    reference_date: &["referenceDate"],
    last_change: &["lastChangeDateTime"],
    ..BalanceLayout::NONE
};

const ACCOUNT: AccountLayout = AccountLayout {
    resource_id: &["resourceId"],
    iban: &["accountId.iban", "iban"],
    masked_pan: &["accountId.other[schemeName=CPAN].identification"],
    other: &["accountId.other.identification"],
    currency: &["currency", "accountId.currency"],
    name: &["name"],
    product: &["product", "details"],
    cash_account_type: &["cashAccountType"],
    bic: &["bicFi"],
    balances: &["balances"],
    ..AccountLayout::NONE
};

/// One element of `transactions`. Never fails: what could not be read stands in `issues`.
pub fn transaction(row: &RawValue, list: List) -> Parsed {
    row::transaction(row, list, &LAYOUT)
}

/// One element of `accounts`.
pub fn account(row: &RawValue) -> ParsedAccount {
    row::account(row, &ACCOUNT, &BALANCE)
}

/// One element of `balances`.
pub fn balance(row: &RawValue) -> ParsedBalance {
    row::balance(row, &BALANCE)
}
