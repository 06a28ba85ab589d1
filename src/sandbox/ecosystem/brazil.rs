//! Open Finance Brasil.

use serde_json::json;

use super::{BERLIN_GROUP, Ecosystem, Header, NamedBy, Resources};

/// Open Finance Brasil: consents named by a scope, encrypted ID tokens, PS256 alone.
pub const OPEN_FINANCE_BRASIL: Ecosystem = Ecosystem {
    named_by: NamedBy::Scope("consent:"),
    scopes: &["openid", "accounts", "customers"],
    own_scopes: &["consents"],
    acr: Some("urn:brasil:openbanking:loa2"),
    acr_is_named: false,
    algorithms: &["PS256"],
    hybrid: true,
    encrypted_id_tokens: true,
    resources: Some(Resources {
        consents: Some("/open-banking/consents/v3/consents"),
        consent_prefix: "urn:musterbanco:",
        permissions: "/data/permissions",
        expires: "/data/expirationDateTime",
        consent: |shown| {
            let status = shown.status(["AWAITING_AUTHORISATION", "AUTHORISED", "REJECTED", "REJECTED"]);
            json!({
                "data": {
                    "consentId": shown.id,
                    "status": status,
                    "permissions": shown.asked.pointer("/data/permissions"),
                    "creationDateTime": shown.created,
                    "statusUpdateDateTime": shown.created,
                },
                "links": {},
                "meta": { "requestDateTime": shown.created },
            })
        },
        accounts: "/open-banking/accounts/v2/accounts",
        account: |account, id| {
            json!({
                "accountId": id,
                "brandName": account.product,
                "type": if account.cash_account_type == "SVGS" { "CONTA_POUPANCA" } else { "CONTA_DEPOSITO_A_VISTA" },
                "number": account.iban,
            })
        },
        list: |accounts| {
            let total = accounts.len();
            json!({ "data": accounts, "links": {}, "meta": { "totalRecords": total, "totalPages": 1 } })
        },
        balances: "/open-banking/accounts/v2/accounts/{id}/balances",
        balance: |_, found, _| {
            let currency = found.booked.currency().code().to_owned();
            json!({
                "data": {
                    "availableAmount": { "amount": found.available.to_plain_string(), "currency": currency },
                    "blockedAmount": { "amount": "0.0000", "currency": currency },
                },
                "links": {},
                "meta": {},
            })
        },
        transactions: "/open-banking/accounts/v2/accounts/{id}/transactions",
        span: ["fromBookingDate", "toBookingDate"],
        last_day_is_out: false,
        row: |listed| {
            json!({
                "transactionId": listed.row.transaction_id,
                "completedAuthorisedPaymentType": listed.status(["TRANSACAO_EFETIVADA", "TRANSACAO_PROCESSANDO"]),
                "creditDebitType": listed.side(["CREDITO", "DEBITO"]),
                "transactionName": listed.row.remittance,
                "type": "OUTROS",
                "transactionAmount": { "amount": format!("{}00", listed.amount()), "currency": listed.currency() },
                // Half past ten in the evening is the day after in UTC.
                "transactionDateTime": listed.at(22).to_string(),
            })
        },
        page: |rows, next| {
            let mut links = json!({ "self": "https://bank.example" });
            if let Some(next) = next {
                links["next"] = json!(next);
            }
            json!({ "data": rows, "links": links, "meta": {} })
        },
        empty_is_nothing: false,
        error: |code, text| json!({ "errors": [{ "code": code, "title": code, "detail": text }] }),
        headers: &[Header::Uuid("x-fapi-interaction-id")],
    }),
    ..BERLIN_GROUP
};
