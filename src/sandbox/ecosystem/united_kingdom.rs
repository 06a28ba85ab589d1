//! UK Open Banking 3.1 and 4.0.

use serde_json::{Value, json};

use super::{BERLIN_GROUP, Ecosystem, Listed, NamedBy, Resources, Shown};
use crate::data::{Account, Balances};
use domain::money::Money;

/// UK Open Banking 3.1: account-access consents, named by a claim.
pub const OPEN_BANKING_UK: Ecosystem = Ecosystem {
    named_by: NamedBy::Claim("openbanking_intent_id"),
    scopes: &["openid", "accounts"],
    own_scopes: &["accounts"],
    acr: Some("urn:openbanking:psd2:sca"),
    acr_is_named: true,
    algorithms: &["PS256", "ES256"],
    hybrid: true,
    resources: Some(Resources {
        consents: Some("/open-banking/v3.1/aisp/account-access-consents"),
        consent_prefix: "aac-",
        permissions: "/Data/Permissions",
        expires: "/Data/ExpirationDateTime",
        consent: |shown| consent(shown, ["AwaitingAuthorisation", "Authorised", "Rejected", "Revoked"]),
        accounts: "/open-banking/v3.1/aisp/accounts",
        account,
        list: |accounts| json!({ "Data": { "Account": accounts }, "Links": {}, "Meta": { "TotalPages": 1 } }),
        balances: "/open-banking/v3.1/aisp/accounts/{id}/balances",
        balance: |account, found, id| balances(account, found, id, ["InterimBooked", "InterimAvailable"]),
        transactions: "/open-banking/v3.1/aisp/accounts/{id}/transactions",
        span: ["fromBookingDateTime", "toBookingDateTime"],
        last_day_is_out: false,
        row: |listed| row(listed, ["Booked", "Pending"]),
        page: |rows, next| json!({ "Data": { "Transaction": rows }, "Links": { "Next": next }, "Meta": { "TotalPages": 1 } }),
        empty_is_nothing: false,
        error: |code, text| json!({ "Code": code, "Errors": [{ "ErrorCode": code, "Message": text }] }),
        headers: &[],
    }),
    ..BERLIN_GROUP
};

/// UK Open Banking 4.0: other paths, and ISO codes for statuses and balances.
pub const OPEN_BANKING_UK_4: Ecosystem = Ecosystem {
    resources: match OPEN_BANKING_UK.resources {
        None => None,
        Some(of_3) => Some(Resources {
            consents: Some("/open-banking/v4.0/aisp/account-access-consents"),
            consent: |shown| consent(shown, ["AWAU", "AUTH", "RJCT", "CANC"]),
            accounts: "/open-banking/v4.0/aisp/accounts",
            balances: "/open-banking/v4.0/aisp/accounts/{id}/balances",
            balance: |account, found, id| balances(account, found, id, ["ITBD", "ITAV"]),
            transactions: "/open-banking/v4.0/aisp/accounts/{id}/transactions",
            row: |listed| row(listed, ["BOOK", "PDNG"]),
            ..of_3
        }),
    },
    ..OPEN_BANKING_UK
};

fn consent(shown: &Shown<'_>, words: [&'static str; 4]) -> Value {
    let mut answer = shown.asked.clone();
    answer["Data"]["ConsentId"] = shown.id.into();
    answer["Data"]["Status"] = shown.status(words).into();
    answer["Data"]["CreationDateTime"] = shown.created.as_str().into();
    answer["Data"]["StatusUpdateDateTime"] = shown.created.as_str().into();
    answer
}

fn account(account: &Account, id: &str) -> Value {
    json!({
        "AccountId": id,
        "Currency": account.opening.currency().code(),
        "AccountType": "Personal",
        "AccountSubType": if account.cash_account_type == "SVGS" { "Savings" } else { "CurrentAccount" },
        "Nickname": account.name,
        "Account": [{
            "SchemeName": "UK.OBIE.IBAN", "Identification": account.iban, "Name": account.owner_name,
        }],
    })
}

/// An amount has no sign; a word beside it says which way.
fn side(money: &Money) -> &'static str {
    if money.amount().is_sign_negative() { "Debit" } else { "Credit" }
}

fn amount(money: &Money) -> Value {
    let figure = money.to_plain_string().trim_start_matches('-').to_owned();
    json!({ "Amount": figure, "Currency": money.currency().code() })
}

fn balances(_: &Account, found: &Balances, id: &str, [booked, available]: [&'static str; 2]) -> Value {
    let one = |money: &Money, kind: &str| {
        json!({
            "AccountId": id,
            "CreditDebitIndicator": side(money),
            "Type": kind,
            "DateTime": found.latest.map(|day| format!("{day}T00:00:00+00:00")),
            "Amount": amount(money),
        })
    };
    json!({ "Data": { "Balance": [one(&found.booked, booked), one(&found.available, available)] } })
}

fn row(listed: &Listed<'_>, words: [&'static str; 2]) -> Value {
    let row = listed.row;
    let mut shown = json!({
        "AccountId": listed.account,
        "CreditDebitIndicator": side(&row.money),
        "Status": listed.status(words),
        "BookingDateTime": format!("{}T00:00:00+00:00", row.booked),
        "Amount": amount(&row.money),
        "TransactionInformation": row.remittance,
    });
    if listed.booked {
        shown["TransactionId"] = json!(row.transaction_id);
    }
    let other = listed.side(["DebtorAccount", "CreditorAccount"]);
    if let Some(name) = &row.counterparty {
        shown[other] = json!({
            "SchemeName": "UK.OBIE.IBAN", "Identification": row.counterparty_iban, "Name": name,
        });
    }
    shown
}
