//! One row of STET to parsed fields, 1.4 to 2 (remittance as a list or as an object of lists).

use domain::records::{List, Parsed, ParsedAccount, ParsedBalance};
use serde_json::value::RawValue;

use crate::standards::row::{self, AccountLayout, BalanceLayout, Layout, PartyLayout, paths};

const LAYOUT: Layout = Layout {
    status: paths!["status"],
    amount: paths!["transactionAmount.amount"],
    currency: paths!["transactionAmount.currency"],
    indicator: paths!["creditDebitIndicator"],
    booking_date: paths!["bookingDate"],
    value_date: paths!["valueDate", "expectedBookingDate"],
    transaction_date: paths!["transactionDate"],
    creditor: PartyLayout {
        name: paths!["relatedParties.creditor.name"],
        ultimate_name: paths!["relatedParties.ultimateCreditor.name"],
        account: paths!["relatedParties.creditorAccount.iban", "relatedParties.creditorAccount.other.identification"],
        agent: paths!["relatedParties.creditorAgent.bicFi"],
    },
    debtor: PartyLayout {
        name: paths!["relatedParties.debtor.name"],
        ultimate_name: paths!["relatedParties.ultimateDebtor.name"],
        account: paths!["relatedParties.debtorAccount.iban", "relatedParties.debtorAccount.other.identification"],
        agent: paths!["relatedParties.debtorAgent.bicFi"],
    },
    remittance_lines: paths!["remittanceInformation.unstructured", "remittanceInformation"],
    remittance_structured: paths!["remittanceInformation.structured"],
    transaction_id: paths!["resourceId"],
    entry_reference: paths!["entryReference"],
    end_to_end_id: paths!["endToEndId"],
    code_parts: paths!["bankTransactionCode.domain", "bankTransactionCode.family", "bankTransactionCode.subFamily"],
    proprietary_code: paths!["bankTransactionCode.code"],
    ..Layout::NONE
};

const BALANCE: BalanceLayout = BalanceLayout {
    kind: paths!["balanceType"],
    amount: paths!["balanceAmount.amount"],
    currency: paths!["balanceAmount.currency"],
    indicator: paths!["creditDebitIndicator"],
    reference_date: paths!["referenceDate"],
    last_change: paths!["lastChangeDateTime"],
    ..BalanceLayout::NONE
};

const ACCOUNT: AccountLayout = AccountLayout {
    resource_id: paths!["resourceId"],
    iban: paths!["accountId.iban", "iban"],
    masked_pan: paths!["accountId.other[schemeName=CPAN].identification"],
    other: paths!["accountId.other.identification"],
    currency: paths!["currency", "accountId.currency"],
    name: paths!["name"],
    product: paths!["product", "details"],
    cash_account_type: paths!["cashAccountType"],
    bic: paths!["bicFi"],
    balances: paths!["balances"],
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
