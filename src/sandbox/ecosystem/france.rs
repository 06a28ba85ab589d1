//! STET, as French banks offer it.

use serde_json::{Value, json};

use super::{BERLIN_GROUP, Ecosystem, Header, Listed, NamedBy, Resources};
use domain::money::Money;

/// STET PSD2 1.6: a token of the scope `aisp` opens what the PSU shares.
pub const STET: Ecosystem = Ecosystem {
    named_by: NamedBy::Request,
    scopes: &["aisp"],
    own_scopes: &[],
    resources: Some(Resources {
        consents: None,
        consent_prefix: "",
        permissions: "",
        expires: "",
        consent: |_| Value::Null,
        accounts: "/accounts",
        account: |account, id| {
            json!({
                "resourceId": id,
                "accountId": { "iban": account.iban, "currency": account.opening.currency().code() },
                "name": account.name,
                "usage": "PRIV",
                "cashAccountType": account.cash_account_type,
                "currency": account.opening.currency().code(),
                "product": account.product,
            })
        },
        list: |accounts| json!({ "accounts": accounts, "_links": { "self": { "href": "/accounts" } } }),
        balances: "/accounts/{id}/balances",
        balance: |_, found, _| {
            let one = |money: &Money, kind: &str| json!({ "balanceType": kind, "balanceAmount": amount(money) });
            let mut booked = one(&found.booked, "CLBD");
            booked["referenceDate"] = json!(found.latest.map(|day| day.to_string()));
            json!({ "balances": [booked, one(&found.available, "XPCD")], "_links": {} })
        },
        transactions: "/accounts/{id}/transactions",
        span: ["dateFrom", "dateTo"],
        last_day_is_out: true,
        row,
        page: |rows, next| {
            let mut links = json!({});
            if let Some(next) = next {
                links["next"] = json!({ "href": next });
            }
            json!({ "transactions": rows, "_links": links })
        },
        empty_is_nothing: true,
        error: |code, text| json!({ "status": 403, "error": code, "message": text }),
        headers: &[Header::Uuid("x-request-id")],
    }),
    ..BERLIN_GROUP
};

fn amount(money: &Money) -> Value {
    json!({ "currency": money.currency().code(), "amount": money.to_plain_string() })
}

/// Debits have a minus and an indicator both, as a published example has it.
fn row(listed: &Listed<'_>) -> Value {
    let row = listed.row;
    let mut shown = json!({
        "creditDebitIndicator": listed.side(["CRDT", "DBIT"]),
        "status": listed.status(["BOOK", "PDNG"]),
        "transactionAmount": amount(&row.money),
        "remittanceInformation": { "unstructured": [row.remittance] },
    });
    if listed.booked {
        shown["resourceId"] = json!(row.transaction_id);
        shown["entryReference"] = json!(row.transaction_id);
        shown["bookingDate"] = json!(row.booked.to_string());
    } else {
        shown["expectedBookingDate"] = json!(row.booked.to_string());
    }
    if let Some(name) = &row.counterparty {
        shown["relatedParties"] = match listed.side(["debtor", "creditor"]) {
            "debtor" => json!({ "debtor": { "name": name }, "debtorAccount": { "iban": row.counterparty_iban } }),
            _ => json!({ "creditor": { "name": name }, "creditorAccount": { "iban": row.counterparty_iban } }),
        };
    }
    shown
}
