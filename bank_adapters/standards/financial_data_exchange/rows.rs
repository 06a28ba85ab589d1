//! One row of FDX to parsed fields. Since 5 a row says its kind in `accountCategory`; before, it lay in an object named
//! after its kind.

use std::collections::HashMap;

use domain::records::{List, Parsed, ParsedAccount, ParsedBalance, Place, Text};
use serde_json::value::RawValue;

use crate::standards::row::{self, AccountLayout, BalanceLayout, Layout, PartyLayout, paths};

const LAYOUT: Layout = Layout {
    status: paths!["status"],
    amount: paths!["amount"],
    currency: paths!["currency.currencyCode", "currency"],
    indicator: paths!["debitCreditMemo"],
    booking_date: paths!["postedTimestamp"],
    // When the row came to the bank's systems, which says little about the purchase.
    transaction_date: paths!["transactionTimestamp"],
    counterparty: PartyLayout { name: paths!["transactionPayee.name", "payee"], ..PartyLayout::NONE },
    remittance_string: paths!["description"],
    additional: paths!["memo"],
    transaction_id: paths!["transactionId"],
    entry_reference: paths!["reference"],
    check_id: paths!["checkNumber"],
    proprietary_code: paths!["transactionType", "category"],
    ..Layout::NONE
};

const BALANCE: BalanceLayout = BalanceLayout {
    currency: paths!["currency.currencyCode", "currency"],
    reference_date: paths!["balanceAsOf"],
    last_change: paths!["balanceAsOf"],
    ..BalanceLayout::NONE
};

const CURRENT: BalanceLayout = BalanceLayout { amount: paths!["currentBalance", "principalBalance"], ..BALANCE };

const AVAILABLE: BalanceLayout = BalanceLayout { amount: paths!["availableBalance", "availableCredit"], ..BALANCE };

/// Whether the figure is owned or owed, where that is told.
const SIDE: BalanceLayout =
    BalanceLayout { indicator: paths!["balanceType"], kind: paths!["accountCategory"], ..BalanceLayout::NONE };

const ACCOUNT: AccountLayout = AccountLayout {
    resource_id: paths!["accountId"],
    masked_pan: paths!["accountNumberDisplay"],
    other: paths!["accountId"],
    currency: paths!["currency.currencyCode", "currency"],
    name: paths!["nickname", "productName"],
    product: paths!["productName"],
    cash_account_type: paths!["accountType"],
    status: paths!["status"],
    ..AccountLayout::NONE
};

/// Objects that rows and accounts lay in before FDX 5.
const WRAPPERS: [&str; 10] = [
    "depositTransaction",
    "locTransaction",
    "loanTransaction",
    "investmentTransaction",
    "depositAccount",
    "locAccount",
    "loanAccount",
    "investmentAccount",
    "insuranceAccount",
    "annuityAccount",
];

/// The row inside its wrapper, or the row itself.
fn unwrapped(row: &RawValue) -> &RawValue {
    let members: HashMap<&str, &RawValue> = serde_json::from_str(row.get()).unwrap_or_default();
    if members.len() != 1 {
        return row;
    }
    members.into_iter().find_map(|(name, inner)| WRAPPERS.contains(&name).then_some(inner)).unwrap_or(row)
}

/// One element of `transactions`. Never fails: what could not be read stands in `issues`.
pub fn transaction(row: &RawValue, list: List) -> Parsed {
    let mut parsed = row::transaction(unwrapped(row), list, &LAYOUT);
    if parsed.indicator.as_ref().is_some_and(|word| word.value.eq_ignore_ascii_case("MEMO")) {
        // A memo is for information: no money moves by it.
        parsed.status = parsed.indicator.take();
    }
    parsed
}

/// One element of `accounts`.
pub fn account(row: &RawValue) -> ParsedAccount {
    let mut parsed = row::account(unwrapped(row), &ACCOUNT, &BALANCE);
    let kind = parsed.cash_account_type.as_ref().and_then(|word| match word.value.as_str() {
        "CHECKING" | "COMMERCIALDEPOSIT" => Some("CACC"),
        "SAVINGS" | "MONEYMARKET" | "CD" | "TERM" => Some("SVGS"),
        "CREDITCARD" | "CHARGE" => Some("CARD"),
        "LOAN" | "MORTGAGE" | "AUTOLOAN" | "STUDENTLOAN" | "INSTALLMENT" | "HOMELINEOFCREDIT" | "LINEOFCREDIT" => {
            Some("LOAN")
        }
        _ => None,
    });
    parsed.cash_account_type = kind.map(|kind| Text::new(kind.to_owned(), Place::At(&"accountType")));
    parsed
}

/// The balances of an account. What is owed is told without a sign.
pub fn balances(row: &RawValue) -> Vec<ParsedBalance> {
    let row = unwrapped(row);
    let side = row::balance(row, &SIDE);
    let owed = match (&side.indicator, &side.kind) {
        (Some(side), _) => side.value == "LIABILITY",
        (None, Some(category)) => matches!(category.value.as_str(), "LOC_ACCOUNT" | "LOAN_ACCOUNT"),
        (None, None) => false,
    };
    let named = |layout: &BalanceLayout, word: &'static str| {
        let mut parsed = row::balance(row, layout);
        parsed.kind = Some(Text::new(word.to_owned(), word));
        parsed
    };
    let mut current = named(&CURRENT, "currentBalance");
    current.indicator = owed.then(|| Text::new("DEBIT".to_owned(), Place::At(&"balanceType")));
    let mut available = named(&AVAILABLE, "availableBalance");
    available.credit_limit_included = owed.then_some(true);
    [current, available].into_iter().filter(|balance| balance.amount.is_some()).collect()
}
