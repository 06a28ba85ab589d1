//! `/v1/accounts` and balances.

use axum::Json;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::HeaderMap;
use domain::money::Money;
use net::serve::PeerCertificate;
use serde_json::{Value, json};

use super::problem::{self, Problem};
use super::{Opened, open};
use crate::bank::{Inner, Shared};
use crate::books::Resource;
use crate::data::Account;

pub(super) async fn list(
    State(bank): State<Shared>,
    Extension(peer): Extension<PeerCertificate>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let opened = open(&bank, &peer, &headers, "/accounts")?;
    let with_balance = asks_for_balance(query.as_deref());
    let accounts: Vec<Value> = opened
        .resources
        .iter()
        .filter_map(|resource| Some(details(&bank, &opened, resource, opened.account(&bank, resource)?, with_balance)))
        .collect();
    Ok(Json(json!({ "accounts": accounts })))
}

pub(super) async fn one(
    State(bank): State<Shared>,
    Extension(peer): Extension<PeerCertificate>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let opened = open(&bank, &peer, &headers, &format!("/accounts/{id}"))?;
    let (resource, account) = opened.find(&bank, &id)?;
    let with_balance = asks_for_balance(query.as_deref());
    Ok(Json(json!({ "account": details(&bank, &opened, resource, account, with_balance) })))
}

pub(super) async fn balances(
    State(bank): State<Shared>,
    Extension(peer): Extension<PeerCertificate>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let opened = open(&bank, &peer, &headers, &format!("/accounts/{id}/balances"))?;
    let (resource, account) = opened.find(&bank, &id)?;
    if !resource.balances {
        return Err(problem::ACCOUNT_ACCESS_MISMATCH);
    }
    Ok(Json(json!({ "account": reference(account), "balances": balances_of(&bank, account) })))
}

fn asks_for_balance(query: Option<&str>) -> bool {
    url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .any(|(name, value)| name == "withBalance" && value == "true")
}

/// The account reference of a report.
pub(super) fn reference(account: &Account) -> Value {
    json!({ "iban": account.iban, "currency": account.opening.currency().code() })
}

/// `amount` of NextGenPSD2: a string with a dot, minus for money out.
pub(super) fn amount(money: &Money) -> Value {
    json!({ "currency": money.currency().code(), "amount": money.to_plain_string() })
}

fn details(bank: &Inner, opened: &Opened, resource: &Resource, account: &Account, with_balance: bool) -> Value {
    let base = format!("/v1/accounts/{}", resource.id);
    let mut shown = json!({
        "resourceId": resource.id.to_string(),
        "iban": account.iban,
        "currency": account.opening.currency().code(),
        "name": account.name,
        "product": account.product,
        "cashAccountType": account.cash_account_type,
        "bic": bank.data.bic,
        "status": "enabled",
        "usage": "PRIV",
        "_links": {},
    });
    if opened.owner_name {
        shown["ownerName"] = json!(account.owner_name);
    }
    if resource.balances {
        shown["_links"]["balances"] = json!({ "href": format!("{base}/balances") });
        if with_balance {
            shown["balances"] = json!(balances_of(bank, account));
        }
    }
    if resource.transactions {
        shown["_links"]["transactions"] = json!({ "href": format!("{base}/transactions") });
    }
    shown
}

/// What is booked, and what is left when the pending rows are counted in.
pub(super) fn balances_of(bank: &Inner, account: &Account) -> Vec<Value> {
    let today = bank.today();
    let found = account.balances(today);
    let mut booked = json!({
        "balanceType": "closingBooked",
        "balanceAmount": amount(&found.booked),
        "creditLimitIncluded": false,
    });
    if let Some(day) = found.latest {
        booked["referenceDate"] = json!(day.to_string());
    }
    let available = json!({
        "balanceType": "interimAvailable",
        "balanceAmount": amount(&found.available),
        "creditLimitIncluded": false,
        "lastChangeDateTime": bank.now().to_string(),
    });
    vec![booked, available]
}
