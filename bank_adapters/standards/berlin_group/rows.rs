//! One row of a Berlin Group answer to parsed fields (NextGenPSD2 1.3.x, §14; both shapes of the fields that flipped
//! between 1.3.8, 1.3.9 and 1.3.11).

use domain::records::{List, Parsed, ParsedAccount, ParsedBalance};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::answer::Row;
use crate::standards::row::on_the_way::{self, OnTheWay};
use crate::standards::row::{self, AccountLayout, BalanceLayout, ExchangeLayout, Layout, PartyLayout, paths};
use crate::standards::statement;
use crate::wire::Reply;

pub(crate) const LAYOUT: Layout = Layout {
    status: paths!["bookingStatus", "status"],
    amount: paths!["transactionAmount.amount", "transactionAmount.content"],
    currency: paths!["transactionAmount.currency"],
    indicator: paths!["creditDebitIndicator", "transactionAmount.creditDebitIndicator"],
    booking_date: paths!["bookingDate", "bookingDateTime"],
    value_date: paths!["valueDate", "valueDateTime"],
    transaction_date: paths!["transactionDate", "acceptorTransactionDateTime", "executionDateTime"],
    other_dates: paths!["bookingDateTime", "valueDateTime"],
    creditor: PartyLayout {
        name: paths!["creditorName", "creditor.name", "cardAcceptorName"],
        ultimate_name: paths!["ultimateCreditor", "ultimateCreditor.name"],
        account: paths![
            "creditorAccount.iban",
            "creditorAccount.bban",
            "creditorAccount.maskedPan",
            "creditorAccount.other",
        ],
        agent: paths!["creditorAgent", "creditorAccount.bic"],
    },
    debtor: PartyLayout {
        name: paths!["debtorName", "debtor.name"],
        ultimate_name: paths!["ultimateDebtor", "ultimateDebtor.name"],
        account: paths!["debtorAccount.iban", "debtorAccount.bban", "debtorAccount.maskedPan", "debtorAccount.other"],
        agent: paths!["debtorAgent", "debtorAccount.bic"],
    },
    counterparty: PartyLayout::NONE,
    remittance_lines: paths!["remittanceInformationUnstructuredArray"],
    remittance_string: paths!["remittanceInformationUnstructured"],
    remittance_structured: paths!["remittanceInformationStructured", "remittanceInformationStructuredArray"],
    additional: paths!["additionalInformation", "transactionDetails"],
    transaction_id: paths!["transactionId", "cardTransactionId"],
    internal_id: &[],
    entry_reference: paths!["entryReference"],
    end_to_end_id: paths!["endToEndId"],
    mandate_id: paths!["mandateId"],
    creditor_id: paths!["creditorId"],
    check_id: paths!["checkId"],
    bank_transaction_code: paths!["bankTransactionCode"],
    code_parts: &[],
    proprietary_code: paths!["proprietaryBankTransactionCode"],
    purpose_code: paths!["purposeCode"],
    mcc: paths!["merchantCategoryCode"],
    merchant_name: paths!["merchantName"],
    balance_after: paths!["balanceAfterTransaction.balanceAmount.amount", "balanceAfterTransaction.amount"],
    balance_after_indicator: &[],
    balance_after_currency: paths![
        "balanceAfterTransaction.balanceAmount.currency",
        "balanceAfterTransaction.currency"
    ],
    exchange: paths!["currencyExchange", "exchangeRate"],
    exchange_fields: ExchangeLayout {
        source_currency: paths!["sourceCurrency", "currencyFrom"],
        target_currency: paths!["targetCurrency", "currencyTo"],
        unit_currency: paths!["unitCurrency"],
        rate: paths!["exchangeRate", "rate", "rateFrom"],
        instructed_amount: paths!["instructedAmount.amount"],
        instructed_currency: paths!["instructedAmount.currency"],
    },
};

pub(crate) const BALANCE: BalanceLayout = BalanceLayout {
    kind: paths!["balanceType"],
    amount: paths!["balanceAmount.amount"],
    currency: paths!["balanceAmount.currency"],
    indicator: paths!["creditDebitIndicator"],
    credit_limit_included: paths!["creditLimitIncluded"],
    reference_date: paths!["referenceDate"],
    last_change: paths!["lastChangeDateTime"],
};

pub(crate) const ACCOUNT: AccountLayout = AccountLayout {
    resource_id: paths!["resourceId", "id"],
    iban: paths!["iban", "account.iban"],
    bban: paths!["bban"],
    masked_pan: paths!["maskedPan"],
    other: paths!["other.identification", "other", "otherAccountIdentification", "msisdn"],
    currency: paths!["currency"],
    name: paths!["name", "displayName"],
    product: paths!["product"],
    cash_account_type: paths!["cashAccountType"],
    owner_name: paths!["ownerName", "owner_name"],
    bic: paths!["bic"],
    status: paths!["status"],
    balances: paths!["balances"],
};

/// One element of `booked`, `pending` or `information`, or an entry of a statement as it is kept. Never fails: what could
/// not be read stands in `issues`.
pub fn transaction(row: &RawValue, list: List) -> Parsed {
    statement::transaction(row, list).unwrap_or_else(|| row::transaction(row, list, &LAYOUT))
}

/// A list of them that is read while it is found.
pub(super) struct Rows<'a>(OnTheWay<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Rows<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        on_the_way::read(deserializer, &LAYOUT).map(Self)
    }
}

impl<'a> Rows<'a> {
    /// The rows with the bytes that they were read from.
    pub(super) fn of(self, list: List, reply: &'a Reply, answer: &'a str) -> Option<Vec<Row<Parsed>>> {
        self.0.finish(list, answer, |row, text| {
            if statement::is_entry(text) {
                *row.parsed = transaction(serde_json::from_str(text).ok()?, list);
            }
            row.raw = reply.raw(text);
            Some(())
        })
    }
}

/// One element of `accounts`.
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
        transaction(&row, List::Booked)
    }

    fn value(text: Option<domain::records::Text>) -> Option<String> {
        text.map(|text| text.value)
    }

    #[test]
    fn amounts_keep_the_token_of_the_bank() {
        for (json, token, number) in [
            (r#""-12.50""#, Some("-12.50"), false),
            ("-12.50", Some("-12.50"), true),
            ("1200.0", Some("1200.0"), true),
            ("123456789012345678.123", Some("123456789012345678.123"), true),
            (r#""--""#, Some("--"), false),
            (r#"" ""#, None, false),
            ("null", None, false),
        ] {
            let parsed = read(&format!(r#"{{"transactionAmount":{{"amount":{json},"currency":"EUR"}}}}"#));
            assert_eq!(value(parsed.amount).as_deref(), token, "{json}");
            assert_eq!(parsed.amount_is_number, number, "{json}");
        }
    }

    #[test]
    fn structured_remittance_is_read_in_every_version() {
        for json in [
            r#"{"remittanceInformationStructured":"RF18 5390"}"#,
            r#"{"remittanceInformationStructured":{"reference":"RF18 5390","referenceType":"SCOR"}}"#,
            r#"{"remittanceInformationStructuredArray":["RF18 5390"]}"#,
            r#"{"remittanceInformationStructuredArray":[{"reference":"RF18 5390"},null]}"#,
        ] {
            let lines: Vec<_> = read(json).remittance_structured.into_iter().map(|line| line.value).collect();
            assert_eq!(lines, ["RF18 5390"], "{json}");
        }
    }

    #[test]
    fn the_string_is_added_only_where_it_says_more_than_the_lines() {
        let lines = |json: &str| read(json).remittance.into_iter().map(|l| l.value).collect::<Vec<_>>();
        assert_eq!(
            lines(
                r#"{"remittanceInformationUnstructuredArray":["Rent","May 2031"],
                    "remittanceInformationUnstructured":"Rent\nMay 20"}"#
            ),
            ["Rent", "May 2031"]
        );
        assert_eq!(
            lines(
                r#"{"remittanceInformationUnstructuredArray":["Rent",null,"-"],
                    "remittanceInformationUnstructured":"Other text"}"#
            ),
            ["Rent", "Other text"]
        );
    }

    #[test]
    fn fillers_are_absent_and_paths_are_told() {
        let parsed = read(
            r#"{"creditorName":"  ","debtorName":" A. Payer ","endToEndId":"NOTPROVIDED","transactionId":" ",
                "creditorAccount":null,"debtorAccount":{"iban":"","bban":"123"},"bookingDateTime":"2031-05-02T10:00:00Z"}"#,
        );
        assert!(parsed.creditor.name.is_none() && parsed.references.end_to_end_id.is_none());
        assert!(parsed.references.transaction_id.is_none());
        assert_eq!(
            parsed.debtor.name.map(|name| (name.value, name.path.to_string())),
            Some(("A. Payer".into(), "debtorName".into()))
        );
        assert_eq!(
            parsed.debtor.account.map(|account| account.path.to_string()).as_deref(),
            Some("debtorAccount.bban")
        );
        assert_eq!(parsed.booking_date.map(|date| date.path.to_string()).as_deref(), Some("bookingDateTime"));
    }

    #[test]
    fn wrong_types_are_issues_and_nothing_else_is_lost() {
        let parsed = read(r#"{"bookingDate":true,"valueDate":["2031-05-02"],"mandateId":7,"currencyExchange":"none"}"#);
        assert!(parsed.booking_date.is_none());
        assert_eq!(value(parsed.value_date).as_deref(), Some("2031-05-02"));
        assert_eq!(value(parsed.references.mandate_id).as_deref(), Some("7"));
        assert_eq!(parsed.issues.iter().map(|issue| issue.code).collect::<Vec<_>>(), ["field.type"]);
        let half = read(r#"{"remittanceInformationUnstructured":"x\ud83d","creditorName":"Shop"}"#);
        assert!(half.remittance.is_empty() && half.creditor.name.is_some());
        assert_eq!(half.issues.first().map(|issue| issue.code), Some("field.type"));
        for odd in ["[]", "3", "null", r#""text""#] {
            assert_eq!(read(odd).issues.first().map(|issue| issue.code), Some("row.malformed"), "{odd}");
        }
    }

    #[test]
    fn nesting_without_end_is_cut() {
        let deep = format!("{}1{}", r#"{"transactionAmount":"#.repeat(5000), "}".repeat(5000));
        assert!(read(&deep).amount.is_none());
    }

    #[test]
    fn an_account_brings_its_balances() {
        let row: Box<RawValue> = serde_json::from_str(
            r#"{"resourceId":"r1","iban":"DE02120300000000202051","currency":"EUR","ownerName":"O. Wner","bic":null,
                "balances":[{"balanceType":"interimBooked","balanceAmount":{"amount":12.5,"currency":"EUR"},
                "creditLimitIncluded":false,"referenceDate":"2031-05-02"}]}"#,
        )
        .unwrap();
        let account = account(&row);
        assert_eq!(value(account.owner_name).as_deref(), Some("O. Wner"));
        let [balance] = &account.balances[..] else { panic!("one balance") };
        assert_eq!(balance.amount.as_ref().map(|amount| amount.value.as_str()), Some("12.5"));
        assert_eq!(balance.credit_limit_included, Some(false));
    }
}
