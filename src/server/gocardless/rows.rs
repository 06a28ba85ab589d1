//! Accounts, balances and transactions in the words of NextGenPSD2, as this surface has them.

use domain::ids::TransactionId;
use domain::money::Money;
use domain::records::{Normalized, NormalizedBalance};
use serde_json::{Map, Value, json};
use store::lines::Details;

use super::instant;

/// What an account is, without empty fields.
pub(super) fn details(details: &Details, resource_id: Option<String>) -> Value {
    let mut fields = Map::new();
    for (name, value) in [
        ("resourceId", resource_id.as_ref()),
        ("iban", details.iban.as_ref()),
        ("bban", details.bban.as_ref()),
        ("maskedPan", details.masked_pan.as_ref()),
        ("currency", details.currency.as_ref()),
        ("ownerName", details.owner_name.as_ref()),
        ("name", details.name.as_ref()),
        ("product", details.product.as_ref()),
        ("cashAccountType", details.cash_account_type.as_ref()),
        ("bic", details.bic.as_ref()),
    ] {
        put(&mut fields, name, value.map(|text| json!(text)));
    }
    fields.into()
}

fn put(fields: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        fields.insert(name.to_owned(), value);
    }
}

fn amount(money: &Money) -> Value {
    json!({ "amount": money.to_plain_string(), "currency": money.currency().to_string() })
}

/// A balance.
pub(super) fn balance(balance: &NormalizedBalance) -> Value {
    let mut fields = Map::new();
    put(&mut fields, "balanceAmount", Some(amount(&balance.money)));
    put(&mut fields, "balanceType", Some(json!(balance.kind.as_str())));
    put(&mut fields, "creditLimitIncluded", balance.credit_limit_included.map(Value::from));
    put(&mut fields, "lastChangeDateTime", balance.last_change.map(|at| json!(instant(at))));
    put(&mut fields, "referenceDate", balance.reference_date.map(|day| json!(day.to_string())));
    fields.into()
}

/// A transaction. `internalTransactionId` is the payment's for its whole life, from pending to booked.
pub(super) fn transaction(id: TransactionId, row: &Normalized) -> Value {
    let mut fields = Map::new();
    put(&mut fields, "internalTransactionId", Some(json!(id.uuid().simple().to_string())));
    let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
    let day = |day: Option<jiff::civil::Date>| day.map(|day| json!(day.to_string()));
    put(&mut fields, "transactionId", text(&row.bank_reference));
    put(&mut fields, "endToEndId", text(&row.end_to_end_id));
    put(&mut fields, "bookingDate", day(row.booking_date));
    put(&mut fields, "valueDate", day(row.value_date));
    put(&mut fields, "transactionAmount", Some(amount(&row.money)));
    put(&mut fields, "currencyExchange", exchange(row));
    // Money out is paid to the other side.
    let (name, account) = if row.money.amount().is_sign_negative() {
        ("creditorName", "creditorAccount")
    } else {
        ("debtorName", "debtorAccount")
    };
    put(&mut fields, name, text(&row.counterparty.name));
    put(&mut fields, account, row.counterparty.account.as_ref().map(|number| party_account(number)));
    put(&mut fields, "remittanceInformationUnstructured", text(&row.description));
    put(&mut fields, "bankTransactionCode", text(&row.bank_transaction_code));
    let after = row.balance_after.as_ref();
    put(
        &mut fields,
        "balanceAfterTransaction",
        after.map(|after| json!({ "balanceAmount": amount(after), "balanceType": "interimBooked" })),
    );
    fields.into()
}

/// An account number under the name of its kind: an IBAN begins with a country and two digits (ISO 13616).
fn party_account(number: &str) -> Value {
    let plain: Vec<u8> = number.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let is_iban = plain.len() >= 15
        && plain[..2].iter().all(u8::is_ascii_uppercase)
        && plain[2..4].iter().all(u8::is_ascii_digit)
        && plain.iter().all(u8::is_ascii_alphanumeric);
    if is_iban { json!({ "iban": number }) } else { json!({ "bban": number }) }
}

/// The rate of an amount that was agreed in another currency.
fn exchange(row: &Normalized) -> Option<Value> {
    let source = row.instructed.as_ref()?.currency().to_string();
    let rate = row.exchange_rate?.to_string();
    let target = row.money.currency().to_string();
    Some(json!([{ "sourceCurrency": source, "exchangeRate": rate, "unitCurrency": source, "targetCurrency": target }]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_named_by_its_kind() {
        for (number, kind) in [
            ("DE02120300000000202051", "iban"),
            ("DE02 1203 0000 0000 2020 51", "iban"),
            ("1234567890", "bban"),
            ("DEUTSCHEBANKKONTO", "bban"),
            ("", "bban"),
        ] {
            assert_eq!(party_account(number), json!({ kind: number }));
        }
    }

    #[test]
    fn what_a_bank_does_not_say_is_not_there() {
        let known = Details { iban: Some("DE02120300000000202051".to_owned()), ..Details::default() };
        assert_eq!(details(&known, None), json!({ "iban": "DE02120300000000202051" }));
    }
}
