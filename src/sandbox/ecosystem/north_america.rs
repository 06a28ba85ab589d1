//! FDX, as banks of North America offer it.

use serde_json::value::Number;
use serde_json::{Value, json};

use super::{BERLIN_GROUP, Ecosystem, Header, NamedBy, Resources};
use domain::money::Money;

/// FDX 6: numbers without a sign, beside a memo that says which way.
pub const FINANCIAL_DATA_EXCHANGE: Ecosystem = Ecosystem {
    named_by: NamedBy::Request,
    scopes: &["fdx:accountbasic:read", "fdx:transactions:read"],
    own_scopes: &[],
    resources: Some(Resources {
        consents: None,
        consent_prefix: "",
        permissions: "",
        expires: "",
        consent: |_| Value::Null,
        accounts: "/fdx/v6/accounts",
        account: |account, id| {
            json!({
                "accountCategory": "DEPOSIT_ACCOUNT",
                "accountId": id,
                "accountNumberDisplay": account.iban.get(account.iban.len().saturating_sub(4)..).unwrap_or_default(),
                "accountType": if account.cash_account_type == "SVGS" { "SAVINGS" } else { "CHECKING" },
                "nickname": account.name,
                "productName": account.product,
                "status": "OPEN",
                "currency": { "currencyCode": account.opening.currency().code() },
            })
        },
        list: |accounts| json!({ "page": { "totalElements": accounts.len() }, "accounts": accounts }),
        balances: "/fdx/v6/accounts/{id}",
        balance: |account, found, id| {
            json!({
                "accountCategory": "DEPOSIT_ACCOUNT",
                "accountId": id,
                "balanceType": "ASSET",
                "currency": { "currencyCode": account.opening.currency().code() },
                "currentBalance": number(&found.booked),
                "availableBalance": number(&found.available),
            })
        },
        transactions: "/fdx/v6/accounts/{id}/transactions",
        span: ["startTime", "endTime"],
        last_day_is_out: false,
        row: |listed| {
            let unsigned = listed.row.money.to_plain_string().trim_start_matches('-').to_owned();
            let mut shown = json!({
                "accountCategory": "DEPOSIT_ACCOUNT",
                "transactionId": listed.row.transaction_id,
                "status": listed.status(["POSTED", "PENDING"]),
                "debitCreditMemo": listed.side(["CREDIT", "DEBIT"]),
                "amount": unsigned.parse::<Number>().ok(),
                "description": listed.row.remittance,
            });
            if listed.booked {
                // Half past ten in the evening is the day after in UTC.
                shown["postedTimestamp"] = json!(listed.at(22).to_string());
            }
            shown
        },
        page: |rows, next| {
            let mut page = json!({ "totalElements": rows.len() });
            if let Some(next) = next {
                page["links"] = json!({ "next": { "href": next } });
            }
            json!({ "page": page, "transactions": rows })
        },
        empty_is_nothing: false,
        error: |code, text| json!({ "code": code, "message": text }),
        headers: &[Header::Uuid("x-fapi-interaction-id"), Header::Any("fdx-api-actor-type")],
    }),
    ..BERLIN_GROUP
};

/// A figure as a JSON number, digit by digit.
fn number(money: &Money) -> Option<Number> {
    money.to_plain_string().parse().ok()
}
