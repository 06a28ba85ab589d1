//! One row of Open Finance Brasil to parsed fields (accounts 2.4).

use domain::records::{List, Parsed, ParsedAccount, ParsedBalance, Place, Text};
use serde_json::value::RawValue;

use crate::standards::row::{self, AccountLayout, BalanceLayout, Layout, PartyLayout, paths};

const LAYOUT: Layout = Layout {
    status: paths!["completedAuthorisedPaymentType"],
    amount: paths!["transactionAmount.amount"],
    currency: paths!["transactionAmount.currency"],
    indicator: paths!["creditDebitType"],
    booking_date: paths!["transactionDateTime", "transactionDate"],
    counterparty: PartyLayout {
        account: paths!["partieNumber"],
        agent: paths!["partieCompeCode"],
        ..PartyLayout::NONE
    },
    remittance_string: paths!["transactionName"],
    transaction_id: paths!["transactionId"],
    proprietary_code: paths!["type"],
    ..Layout::NONE
};

const BALANCE: BalanceLayout = BalanceLayout {
    amount: paths!["availableAmount.amount", "availableAmount"],
    currency: paths!["availableAmount.currency", "availableAmountCurrency"],
    last_change: paths!["updateDateTime"],
    ..BalanceLayout::NONE
};

const ACCOUNT: AccountLayout = AccountLayout {
    resource_id: paths!["accountId"],
    bban: paths!["number"],
    currency: paths!["currency"],
    name: paths!["brandName"],
    product: paths!["type"],
    ..AccountLayout::NONE
};

/// Parts of an account number, from bank to check digit.
const NUMBER: AccountLayout = AccountLayout {
    iban: paths!["compeCode"],
    bban: paths!["branchCode"],
    other: paths!["checkDigit"],
    ..AccountLayout::NONE
};

/// The same parts of the other side's number, as a row tells them.
const PARTIE_NUMBER: AccountLayout = AccountLayout {
    iban: paths!["partieCompeCode"],
    bban: paths!["partieBranchCode"],
    other: paths!["partieCheckDigit"],
    ..AccountLayout::NONE
};

/// The one currency of the standard's accounts.
fn real() -> Text {
    Text::new("BRL".to_owned(), Place::At(&""))
}

/// One element of `data`. Never fails: what could not be read stands in `issues`.
pub fn transaction(row: &RawValue, list: List) -> Parsed {
    let mut parsed = row::transaction(row, list, &LAYOUT);
    if let Some(number) = &mut parsed.counterparty.account {
        complete(number, row, &PARTIE_NUMBER);
    }
    if parsed.status.as_ref().is_some_and(|word| word.value == "TRANSACAO_PROCESSANDO") {
        // The instant of a payment under way is the day on which it was ordered.
        parsed.transaction_date = parsed.booking_date.take();
    }
    parsed
}

/// Puts the other parts around a number, so that an account is written alike wherever it stands.
fn complete(number: &mut Text, row: &RawValue, layout: &AccountLayout) {
    let parts = row::account(row, layout, &BALANCE);
    let before = [parts.iban, parts.bban].into_iter().flatten().map(|part| format!("{} ", part.value));
    let check = parts.other.map(|digit| format!("-{}", digit.value)).unwrap_or_default();
    number.value = format!("{}{}{check}", before.collect::<String>(), number.value);
}

/// One element of the list of accounts. The number is told in parts: bank, branch, number, check digit.
pub fn account(row: &RawValue) -> ParsedAccount {
    let mut parsed = row::account(row, &ACCOUNT, &BALANCE);
    if let Some(number) = &mut parsed.bban {
        complete(number, row, &NUMBER);
    }
    let kind = parsed.product.as_ref().and_then(|word| match word.value.as_str() {
        "CONTA_DEPOSITO_A_VISTA" => Some("CACC"),
        "CONTA_POUPANCA" => Some("SVGS"),
        "CONTA_PAGAMENTO_PRE_PAGA" => Some("CASH"),
        _ => None,
    });
    parsed.cash_account_type = kind.map(|kind| Text::new(kind.to_owned(), Place::At(&"type")));
    parsed.currency.get_or_insert_with(real);
    parsed
}

/// The balances: what can be spent at once, by definition without overdraft and invested money.
pub fn balance(row: &RawValue) -> ParsedBalance {
    let mut parsed = row::balance(row, &BALANCE);
    parsed.kind = Some(Text::new("available".to_owned(), Place::At(&"availableAmount")));
    parsed.currency.get_or_insert_with(real);
    parsed.credit_limit_included = Some(false);
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_one_number_in_the_list_and_as_the_other_side_of_a_row() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        for (parts, written) in [
            (
                &[("compeCode", "001"), ("branchCode", "6272"), ("number", "24550245"), ("checkDigit", "4")][..],
                "001 6272 24550245-4",
            ),
            (&[("compeCode", "260"), ("number", "94088392"), ("checkDigit", "X")], "260 94088392-X"),
            (&[("number", "94088392")], "94088392"),
        ] {
            let object = |name: fn(&str) -> String| {
                let members: Vec<String> =
                    parts.iter().map(|(part, value)| format!("\"{}\":\"{value}\"", name(part))).collect();
                raw(&format!("{{{}}}", members.join(",")))
            };
            let listed = account(&object(str::to_owned)).bban.unwrap();
            let partie = |part: &str| format!("partie{}{}", part[..1].to_uppercase(), &part[1..]);
            let row = transaction(&object(partie), List::Unstated).counterparty.account.unwrap();
            assert_eq!((listed.value.as_str(), row.value.as_str()), (written, written));
            assert_eq!(row.path.text(), "partieNumber");
        }
        let nobody = raw(r#"{"partieCompeCode":"001","partieBranchCode":"6272"}"#);
        assert!(transaction(&nobody, List::Unstated).counterparty.account.is_none());
    }
}
