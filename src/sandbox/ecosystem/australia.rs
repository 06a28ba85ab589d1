//! The Australian Consumer Data Right.

use serde_json::json;

use super::{BERLIN_GROUP, Ecosystem, Header, NamedBy, Resources};

/// The Australian Consumer Data Right: arrangements, signed responses, versions in headers.
pub const CONSUMER_DATA_RIGHT: Ecosystem = Ecosystem {
    named_by: NamedBy::Arrangement,
    scopes: &["openid", "profile", "bank:accounts.basic:read", "bank:transactions:read"],
    own_scopes: &["cdr:registration"],
    acr: Some("urn:cds.au:cdr:2"),
    acr_is_named: true,
    algorithms: &["PS256", "ES256"],
    signed_responses: true,
    resources: Some(Resources {
        consents: None,
        consent_prefix: "",
        permissions: "",
        expires: "",
        consent: |_| serde_json::Value::Null,
        accounts: "/cds-au/v1/banking/accounts",
        account: |account, id| {
            json!({
                "accountId": id,
                "displayName": account.name,
                "maskedNumber": account.iban.get(account.iban.len().saturating_sub(4)..).unwrap_or_default(),
                "productCategory": "TRANS_AND_SAVINGS_ACCOUNTS",
                "productName": account.product,
            })
        },
        list: |accounts| {
            let total = accounts.len();
            json!({ "data": { "accounts": accounts }, "links": {}, "meta": { "totalRecords": total, "totalPages": 1 } })
        },
        balances: "/cds-au/v1/banking/accounts/{id}/balance",
        balance: |_, found, id| {
            json!({
                "data": {
                    "accountId": id,
                    "currentBalance": found.booked.to_plain_string(),
                    "availableBalance": found.available.to_plain_string(),
                },
                "links": {},
                "meta": {},
            })
        },
        transactions: "/cds-au/v1/banking/accounts/{id}/transactions",
        span: ["oldest-time", "newest-time"],
        last_day_is_out: false,
        row: |listed| {
            let mut shown = json!({
                "accountId": listed.account,
                "isDetailAvailable": false,
                "type": "PAYMENT",
                "status": listed.status(["POSTED", "PENDING"]),
                "description": listed.row.remittance,
                "amount": listed.row.money.to_plain_string(),
                "reference": "",
            });
            if listed.booked {
                shown["transactionId"] = json!(listed.row.transaction_id);
                // Half past eight in the morning is the day before in UTC.
                shown["postingDateTime"] = json!(listed.at(8).to_string());
            }
            shown
        },
        page: |rows, next| {
            let mut links = json!({ "self": "https://bank.example" });
            if let Some(next) = next {
                links["next"] = json!(next);
            }
            json!({ "data": { "transactions": rows }, "links": links, "meta": {} })
        },
        empty_is_nothing: false,
        error: |code, text| json!({ "errors": [{ "code": code, "title": code, "detail": text }] }),
        headers: &[Header::Any("x-v"), Header::Uuid("x-fapi-interaction-id"), Header::Date("x-fapi-auth-date")],
    }),
    ..BERLIN_GROUP
};
