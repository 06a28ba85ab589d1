//! One row of Polish API to parsed fields, 2.1 and 3.0: an unsigned amount beside a category, and both sides of a transfer,
//! whichever of them is the holder.

use domain::records::{List, Parsed, ParsedAccount, ParsedBalance, Place, Text};
use serde_json::value::RawValue;

use crate::standards::row::{self, AccountLayout, BalanceLayout, Layout, PartyLayout, paths};

const LAYOUT: Layout = Layout {
    amount: paths!["amount"],
    currency: paths!["currency"],
    indicator: paths!["transactionCategory"],
    booking_date: paths!["bookingDate"],
    transaction_date: paths!["tradeDate"],
    creditor: PartyLayout {
        name: paths!["recipient.nameAddress.value"],
        account: paths!["recipient.accountNumber"],
        agent: paths!["recipient.bank.bicOrSwift"],
        ..PartyLayout::NONE
    },
    debtor: PartyLayout {
        name: paths!["sender.nameAddress.value"],
        account: paths!["sender.accountNumber"],
        agent: paths!["sender.bank.bicOrSwift"],
        ..PartyLayout::NONE
    },
    remittance_string: paths!["description"],
    transaction_id: paths!["itemId"],
    proprietary_code: paths!["transactionType"],
    mcc: paths!["mcc"],
    balance_after: paths!["postTransactionBalance"],
    ..Layout::NONE
};

const BOOKED: BalanceLayout =
    BalanceLayout { amount: paths!["bookingBalance"], currency: paths!["currency"], ..BalanceLayout::NONE };

const AVAILABLE: BalanceLayout = BalanceLayout { amount: paths!["availableBalance"], ..BOOKED };

const ACCOUNT: AccountLayout = AccountLayout {
    resource_id: paths!["accountNumber"],
    iban: paths!["accountNumber"],
    currency: paths!["currency"],
    name: paths!["accountNameClient", "accountTypeName"],
    product: paths!["accountTypeName"],
    owner_name: paths!["nameAddress.value"],
    bic: paths!["bank.bicOrSwift"],
    ..AccountLayout::NONE
};

/// One element of a list of transactions or of holds. Never fails: what could not be read stands in `issues`.
pub fn transaction(row: &RawValue, list: List) -> Parsed {
    row::transaction(row, list, &LAYOUT)
}

/// One element of `accounts`. The number is an IBAN, or one without its country; of an account that was not chosen yet it
/// is hidden in part.
pub fn account(row: &RawValue) -> ParsedAccount {
    let mut parsed = row::account(row, &ACCOUNT, &BOOKED);
    match parsed.iban.take() {
        Some(number) if number.value.contains(['*', 'X', 'x']) => parsed.masked_pan = Some(number),
        Some(number) if number.value.starts_with(|c: char| c.is_ascii_digit()) => parsed.bban = Some(number),
        number => parsed.iban = number,
    }
    parsed
}

/// The balances of an account: what is booked, and what can be spent.
pub fn balances(row: &RawValue) -> Vec<ParsedBalance> {
    let named = |layout: &BalanceLayout, word: &str, path: &'static &'static str| {
        let mut parsed = row::balance(row, layout);
        parsed.kind = Some(Text::new(word.to_owned(), Place::At(path)));
        parsed
    };
    let told = [
        named(&BOOKED, "interimBooked", &"bookingBalance"),
        named(&AVAILABLE, "interimAvailable", &"availableBalance"),
    ];
    told.into_iter().filter(|balance| balance.amount.is_some()).collect()
}
