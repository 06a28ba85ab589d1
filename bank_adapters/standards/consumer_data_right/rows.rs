//! One row of the Consumer Data Right to parsed fields (BankingTransaction, BankingBalance, BankingAccount).

use domain::records::{List, Parsed, ParsedAccount, ParsedBalance, Place, Text};
use serde_json::value::RawValue;

use crate::standards::row::{self, AccountLayout, BalanceLayout, Layout, PartyLayout, paths};

const LAYOUT: Layout = Layout {
    status: paths!["status"],
    amount: paths!["amount"],
    currency: paths!["currency"],
    booking_date: paths!["postingDateTime"],
    value_date: paths!["valueDateTime"],
    transaction_date: paths!["executionDateTime"],
    counterparty: PartyLayout { name: paths!["billerName"], ..PartyLayout::NONE },
    remittance_string: paths!["description"],
    remittance_structured: paths!["reference"],
    transaction_id: paths!["transactionId"],
    creditor_id: paths!["billerCode"],
    proprietary_code: paths!["type"],
    mcc: paths!["merchantCategoryCode"],
    merchant_name: paths!["merchantName"],
    ..Layout::NONE
};

const CURRENT: BalanceLayout =
    BalanceLayout { amount: paths!["currentBalance"], currency: paths!["currency"], ..BalanceLayout::NONE };

const AVAILABLE: BalanceLayout =
    BalanceLayout { amount: paths!["availableBalance"], currency: paths!["currency"], ..BalanceLayout::NONE };

const CREDIT: BalanceLayout = BalanceLayout { amount: paths!["creditLimit"], ..BalanceLayout::NONE };

/// The list of accounts shows a masked number; what names an account for good is the id, which the bank makes for us.
const ACCOUNT: AccountLayout = AccountLayout {
    resource_id: paths!["accountId"],
    masked_pan: paths!["maskedNumber"],
    other: paths!["accountId"],
    name: paths!["nickname", "displayName"],
    product: paths!["productName"],
    status: paths!["openStatus"],
    ..AccountLayout::NONE
};

const CATEGORY: AccountLayout = AccountLayout { product: paths!["productCategory"], ..AccountLayout::NONE };

/// What the standard means where no currency is named.
fn australian_dollar() -> Text {
    Text::new("AUD".to_owned(), Place::At(&""))
}

/// One element of `data.transactions`. Never fails: what could not be read stands in `issues`.
pub fn transaction(row: &RawValue, list: List) -> Parsed {
    let mut parsed = row::transaction(row, list, &LAYOUT);
    parsed.currency.get_or_insert_with(australian_dollar);
    parsed
}

/// One element of `data.accounts`.
pub fn account(row: &RawValue) -> ParsedAccount {
    let mut parsed = row::account(row, &ACCOUNT, &CURRENT);
    let category = row::account(row, &CATEGORY, &CURRENT).product;
    let kind = category.as_ref().and_then(|word| match word.value.as_str() {
        "TRANS_AND_SAVINGS_ACCOUNTS" => Some("CACC"),
        "TERM_DEPOSITS" => Some("SVGS"),
        "CRED_AND_CHRG_CARDS" => Some("CARD"),
        "RESIDENTIAL_MORTGAGES" | "PERS_LOANS" | "BUSINESS_LOANS" | "LEASES" | "MARGIN_LOANS" => Some("LOAN"),
        _ => None,
    });
    parsed.cash_account_type = kind.map(|kind| Text::new(kind.to_owned(), Place::At(&"productCategory")));
    parsed.currency.get_or_insert_with(australian_dollar);
    parsed
}

/// The balance object: what is in the books and what can be spent, credit included where there is any.
pub fn balances(row: &RawValue) -> Vec<ParsedBalance> {
    let named = |layout: &BalanceLayout, word: &'static str| {
        let mut parsed = row::balance(row, layout);
        parsed.kind = Some(Text::new(word.to_owned(), word));
        parsed.currency.get_or_insert_with(australian_dollar);
        parsed
    };
    let credit = row::balance(row, &CREDIT).amount;
    let lends = credit.is_some_and(|limit| limit.value.bytes().any(|byte| matches!(byte, b'1'..=b'9')));
    let mut available = named(&AVAILABLE, "availableBalance");
    available.credit_limit_included = Some(lends);
    [named(&CURRENT, "currentBalance"), available].into_iter().filter(|balance| balance.amount.is_some()).collect()
}
