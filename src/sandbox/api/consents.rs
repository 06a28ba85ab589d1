//! `/v1/consents`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::ToSpan;
use jiff::civil::Date;
use net::serve::PeerCertificate;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::problem::{self, Problem};
use super::{caller, psu_is_present};
use crate::bank::{Inner, Shared};
use crate::books::{AnswerWay, Asked, Consent, ConsentStatus, Pushed};
use crate::config::Sca;
use crate::front::offered;

const TPP_NOTIFICATION_URI: HeaderName = HeaderName::from_static("tpp-notification-uri");
const TPP_REDIRECT_URI: HeaderName = HeaderName::from_static("tpp-redirect-uri");
const PSU_ID: HeaderName = HeaderName::from_static("psu-id");
/// Life of a consent's link, in seconds.
const LINK_SECONDS: i64 = 600;
const ASPSP_SCA_APPROACH: HeaderName = HeaderName::from_static("aspsp-sca-approach");

/// The body of `POST /v1/consents`. Further members are ignored, as the standard allows banks.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ask {
    access: Value,
    recurring_indicator: bool,
    valid_until: String,
    frequency_per_day: u32,
    combined_service_indicator: bool,
}

pub(super) async fn create(
    State(bank): State<Shared>,
    Extension(peer): Extension<PeerCertificate>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let client_id = caller(&bank, &bank.books(), &peer, &headers)?.client_id;
    if !psu_is_present(&headers)? {
        return Err(problem::REQUEST_PSU_IP_ADDRESS_MISSING);
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        return Err(problem::REQUEST_CONTENT_TYPE_INVALID);
    }
    let notify = headers.get(TPP_NOTIFICATION_URI).and_then(|uri| uri.to_str().ok()).map(str::to_owned);
    let mut consent = Consent { notify, ..read_ask(&bank, client_id, &body)? };
    let id = Uuid::from_bytes(bank.world().bytes::<16>()).to_string();
    let location = format!("/v1/consents/{id}");
    let (name, href, approach) = match bank.policy.sca {
        Sca::Oauth => ("scaOAuth", format!("{}/.well-known/oauth-authorization-server", bank.issuer), "REDIRECT"),
        Sca::Redirect => {
            let request = visit(&bank, &consent, &id, &headers)?;
            let secret = bank.secret();
            let href = format!("{}/sca?id={secret}", bank.front);
            bank.books().pushed.insert(secret, request);
            ("scaRedirect", href, "REDIRECT")
        }
        Sca::Decoupled => {
            let named = headers.get(PSU_ID).and_then(|name| name.to_str().ok());
            let psu = bank.data.psus.iter().position(|psu| named == Some(&psu.username));
            let psu = psu.ok_or(problem::REQUEST_PSU_ID_UNKNOWN)?;
            consent.resources = offered(&bank, &consent.asked, psu);
            consent.psu = Some(psu);
            ("scaStatus", format!("{location}/status"), "DECOUPLED")
        }
    };
    bank.books().consents.insert(id.clone(), consent);
    bank.note("consents", "consent.created", "a consent waits for its PSU");

    let answer = json!({
        "consentStatus": ConsentStatus::Received.as_str(),
        "consentId": id,
        "_links": {
            (name): { "href": href },
            "self": { "href": location },
            "status": { "href": format!("{location}/status") },
        },
    });
    let mut response = (StatusCode::CREATED, Json(answer)).into_response();
    response.headers_mut().insert(ASPSP_SCA_APPROACH, HeaderValue::from_static(approach));
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// What a browser finds that comes for a consent by its link. It goes back to the address that the TPP has named, with what the
/// TPP has put into its query.
fn visit(bank: &Inner, consent: &Consent, id: &str, headers: &HeaderMap) -> Result<Pushed, Problem> {
    let back = headers.get(TPP_REDIRECT_URI).and_then(|uri| uri.to_str().ok());
    let registered = bank.client(&consent.client_id).map_or(&[][..], |client| &client.registered.redirect_uris);
    let known = |back: &&str| registered.iter().any(|known| back.split('?').next() == Some(known));
    Ok(Pushed {
        client_id: consent.client_id.clone(),
        redirect_uri: back.filter(known).ok_or(problem::REQUEST_REDIRECT_URI_INVALID)?.to_owned(),
        scope: String::new(),
        openid: false,
        consent_id: id.to_owned(),
        state: None,
        nonce: None,
        code_challenge: String::new(),
        answer: AnswerWay::Nothing,
        changes: None,
        key: None,
        expires: bank.after(LINK_SECONDS),
    })
}

fn read_ask(bank: &Inner, client_id: String, body: &[u8]) -> Result<Consent, Problem> {
    let ask: Ask = serde_json::from_slice(body).map_err(|_| problem::CONSENT_BODY_INVALID)?;
    if ask.combined_service_indicator {
        return Err(problem::CONSENT_COMBINED_SERVICE_UNSUPPORTED);
    }
    if ask.frequency_per_day == 0 || (!ask.recurring_indicator && ask.frequency_per_day != 1) {
        return Err(problem::CONSENT_FREQUENCY_INVALID);
    }
    let today = bank.today();
    let asked_until: Date =
        ask.valid_until.parse().ok().filter(|until| *until >= today).ok_or(problem::CONSENT_VALID_UNTIL_INVALID)?;
    let (asked, owner_name) = read_access(&ask.access).ok_or(problem::CONSENT_ACCESS_INVALID)?;
    Ok(Consent {
        client_id,
        status: ConsentStatus::Received,
        asked,
        asked_json: ask.access,
        owner_name,
        recurring: ask.recurring_indicator,
        // Silently cut to what the bank grants at most; the TPP reads it back.
        valid_until: asked_until.min(today.saturating_add((bank.policy.consent_days - 1).days())),
        frequency_per_day: ask.frequency_per_day.min(bank.policy.reads_per_day),
        created: bank.now(),
        last_action: today,
        notify: None,
        psu: None,
        authorised_at: None,
        resources: Vec::new(),
        first_used: None,
    })
}

/// The kinds of access of NextGenPSD2 §6.3.1, and whether the owner's name was asked for.
fn read_access(access: &Value) -> Option<(Asked, bool)> {
    let access = access.as_object()?;
    let wide = |name: &str| match access.get(name) {
        None => Some(None),
        Some(Value::String(word)) if word == "allAccounts" => Some(Some(false)),
        Some(Value::String(word)) if word == "allAccountsWithOwnerName" => Some(Some(true)),
        Some(_) => None,
    };
    let list = |name: &str| match access.get(name) {
        None => Some(None),
        Some(Value::Array(items)) => items.iter().map(iban_of).collect::<Option<Vec<_>>>().map(Some),
        Some(_) => None,
    };
    let (all, available, with_balance) =
        (wide("allPsd2")?, wide("availableAccounts")?, wide("availableAccountsWithBalance")?);
    let (accounts, balances, transactions) = (list("accounts")?, list("balances")?, list("transactions")?);
    let owner = access.get("additionalInformation").is_some_and(|more| more.get("ownerName").is_some());
    let lists = [&accounts, &balances, &transactions];
    let any_list = lists.iter().any(|list| list.is_some());
    match (all, available, with_balance, any_list) {
        (Some(name), None, None, false) => Some((Asked::Everything, name || owner)),
        (None, Some(name), None, false) => Some((Asked::Listing { balances: false }, name || owner)),
        (None, None, Some(name), false) => Some((Asked::Listing { balances: true }, name || owner)),
        (None, None, None, true) if lists.iter().all(|list| list.as_ref().is_none_or(Vec::is_empty)) => {
            Some((Asked::BankOffered { balances: balances.is_some(), transactions: transactions.is_some() }, owner))
        }
        (None, None, None, true) => {
            let named = Asked::Named {
                accounts: accounts.unwrap_or_default(),
                balances: balances.unwrap_or_default(),
                transactions: transactions.unwrap_or_default(),
            };
            Some((named, owner))
        }
        _ => None,
    }
}

fn iban_of(reference: &Value) -> Option<String> {
    reference.get("iban")?.as_str().map(str::to_owned)
}

/// Runs `answer` on a consent of the caller: with the client's own token, or with one that opens this consent.
fn on_consent<T>(
    bank: &Inner,
    peer: &PeerCertificate,
    headers: &HeaderMap,
    id: &str,
    answer: impl FnOnce(&mut Consent) -> T,
) -> Result<T, Problem> {
    let mut books = bank.books();
    let caller = caller(bank, &books, peer, headers)?;
    let (now, today) = (bank.now(), bank.today());
    let consent = books.consent(id, now, today).ok_or(problem::CONSENT_UNKNOWN)?;
    if consent.client_id != caller.client_id {
        return Err(problem::CONSENT_CLIENT_MISMATCH);
    }
    if caller.consent_id.is_some_and(|bound| bound != id) {
        return Err(problem::TOKEN_SCOPE_MISMATCH);
    }
    Ok(answer(consent))
}

pub(super) async fn status(
    State(bank): State<Shared>,
    Extension(peer): Extension<PeerCertificate>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    on_consent(&bank, &peer, &headers, &id, |consent| Json(json!({ "consentStatus": consent.status.as_str() })))
}

pub(super) async fn read(
    State(bank): State<Shared>,
    Extension(peer): Extension<PeerCertificate>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    on_consent(&bank, &peer, &headers, &id, |consent| {
        Json(json!({
            "access": access(&bank, consent),
            "recurringIndicator": consent.recurring,
            "validUntil": consent.valid_until.to_string(),
            "frequencyPerDay": consent.frequency_per_day,
            "lastActionDate": consent.last_action.to_string(),
            "consentStatus": consent.status.as_str(),
            "_links": { "account": { "href": "/v1/accounts" } },
        }))
    })
}

/// What was granted, account by account; before the PSU decided, what was asked.
fn access(bank: &Inner, consent: &Consent) -> Value {
    let Some(psu) = consent.psu.and_then(|psu| bank.data.psus.get(psu)) else {
        return consent.asked_json.clone();
    };
    let listed = |pick: fn(bool, bool) -> bool| -> Vec<Value> {
        let granted = consent.resources.iter().filter(|resource| pick(resource.balances, resource.transactions));
        granted
            .filter_map(|resource| psu.accounts.get(resource.account))
            .map(|account| json!({ "iban": account.iban, "currency": account.opening.currency().code() }))
            .collect()
    };
    let mut access = json!({
        "accounts": listed(|_, _| true),
        "balances": listed(|balances, _| balances),
        "transactions": listed(|_, transactions| transactions),
    });
    if consent.owner_name {
        access["additionalInformation"] = json!({ "ownerName": access["accounts"] });
    }
    access
}

/// 204, however often: a consent that is over stays what it was. Tokens that opened it die at once.
pub(super) async fn end(
    State(bank): State<Shared>,
    Extension(peer): Extension<PeerCertificate>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let today = bank.today();
    on_consent(&bank, &peer, &headers, &id, |consent| {
        if consent.lives() {
            consent.end(ConsentStatus::TerminatedByTpp, today);
        }
    })?;
    bank.books().revoke_tokens_of(&id);
    bank.note("consents", "consent.terminated", "the TPP ended a consent; its tokens are dead");
    Ok(StatusCode::NO_CONTENT)
}
