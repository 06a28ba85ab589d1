//! Polish API, as banks in Poland offer it.

use serde_json::{Value, json};

use super::{BERLIN_GROUP, Ecosystem, Listed, NamedBy};
use crate::data::{Account, Balances};
use crate::posted::Posted;

/// Polish API 3.0: reads by POST, privileges inside the authorisation request.
pub const POLISH_API: Ecosystem = Ecosystem {
    named_by: NamedBy::ScopeDetails,
    scopes: &["ais"],
    own_scopes: &[],
    posted: Some(Posted { operations: "/v3_0.1/accounts/v3_0.1/{operation}", listed, account, row, hold }),
    ..BERLIN_GROUP
};

fn listed(account: &Account) -> Value {
    json!({
        "accountNumber": account.iban,
        "accountTypeName": account.product,
        "accountType": { "code": account.cash_account_type, "description": account.product },
        "psuRelations": [{ "typeOfRelation": "Owner" }],
    })
}

fn account(account: &Account, found: &Balances) -> Value {
    json!({
        "accountNumber": account.iban,
        "nameAddress": { "value": [account.owner_name] },
        "accountTypeName": account.product,
        "accountHolderType": "individual",
        "accountNameClient": account.name,
        "currency": account.opening.currency().code(),
        "availableBalance": found.available.to_plain_string(),
        "bookingBalance": found.booked.to_plain_string(),
    })
}

/// Both sides are told; the holder is one of them.
fn row(listed: &Listed<'_>) -> Value {
    let row = listed.row;
    let mut shown = hold(listed);
    shown["bookingDate"] = json!(listed.at(0).to_string());
    let [theirs, ours] = match listed.side(["in", "out"]) {
        "in" => ["sender", "recipient"],
        _ => ["recipient", "sender"],
    };
    shown[ours] = json!({ "accountNumber": listed.account });
    if let Some(name) = &row.counterparty {
        shown[theirs] =
            json!({ "accountNumber": row.counterparty_iban, "nameAddress": { "value": [name, "ul. Prosta 1"] } });
    }
    shown
}

fn hold(listed: &Listed<'_>) -> Value {
    json!({
        "itemId": listed.row.transaction_id,
        "amount": listed.amount(),
        "currency": listed.currency(),
        "transactionCategory": listed.side(["CREDIT", "DEBIT"]),
        "description": listed.row.remittance,
        "transactionType": listed.row.proprietary_code,
        "tradeDate": listed.at(0).to_string(),
    })
}
