//! An intermediary in front of the bank, as Enable Banking is one: it sends the PSU to the bank's pages, keeps a session of its own
//! that a code names, and gives accounts ids that live no longer than the session. Who asks is known by a signed token
//! ([`crate::SealForm::ApplicationToken`]).

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::money::Money;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bank::{Inner, Shared};
use crate::books::{AnswerWay, Consent, ConsentStatus, Pushed};
use crate::data::{Account, Psu, Row};
use crate::resources::{terminate, waiting};

/// Life of an authorisation that nobody has finished, in seconds.
const AUTHORISATION_SECONDS: i64 = 600;

/// The routes.
pub(crate) fn router(bank: Shared) -> Router {
    Router::new()
        .route("/auth", post(authorise))
        .route("/sessions", post(begin))
        .route("/sessions/{id}", get(session).delete(end))
        .route("/accounts/{uid}/details", get(details))
        .route("/accounts/{uid}/balances", get(balances))
        .route("/accounts/{uid}/transactions", get(transactions))
        .layer(from_fn_with_state(bank.clone(), around))
        .with_state(bank)
}

/// A refusal: status, the intermediary's word for it.
#[derive(Debug, Clone, Copy)]
struct Refused(StatusCode, &'static str);

const INVALID: Refused = Refused(StatusCode::UNPROCESSABLE_ENTITY, "WRONG_REQUEST_PARAMETERS");
const REDIRECT: Refused = Refused(StatusCode::UNPROCESSABLE_ENTITY, "REDIRECT_URI_NOT_ALLOWED");
const CODE: Refused = Refused(StatusCode::UNPROCESSABLE_ENTITY, "WRONG_AUTHORIZATION_CODE");
const NO_SESSION: Refused = Refused(StatusCode::NOT_FOUND, "SESSION_DOES_NOT_EXIST");
const NO_ACCOUNT: Refused = Refused(StatusCode::NOT_FOUND, "ACCOUNT_DOES_NOT_EXIST");
const EXPIRED: Refused = Refused(StatusCode::UNAUTHORIZED, "EXPIRED_SESSION");
const CLOSED: Refused = Refused(StatusCode::UNAUTHORIZED, "CLOSED_SESSION");
const REVOKED: Refused = Refused(StatusCode::UNAUTHORIZED, "REVOKED_SESSION");
const LIMIT: Refused = Refused(StatusCode::TOO_MANY_REQUESTS, "ASPSP_RATE_LIMIT_EXCEEDED");
const KEY: Refused = Refused(StatusCode::UNPROCESSABLE_ENTITY, "WRONG_CONTINUATION_KEY");

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({ "code": self.0.as_u16(), "message": "The request cannot be fulfilled", "error": self.1 });
        let mut response = (self.0, Json(body)).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Refusals go into the log.
async fn around(State(bank): State<Shared>, request: axum::extract::Request, next: Next) -> Response {
    let response = next.run(request).await;
    if let Some(Refused(_, word)) = response.extensions().get::<Refused>() {
        bank.refuse("intermediary", word, "the intermediary refused");
    }
    response
}

/// `POST /auth`: where the PSU goes.
async fn authorise(State(bank): State<Shared>, body: Bytes) -> Result<Json<Value>, Refused> {
    let asked: Value = serde_json::from_slice(&body).map_err(|_| INVALID)?;
    let text = |pointer: &str| asked.pointer(pointer).and_then(Value::as_str);
    let client = bank.clients.first().ok_or(INVALID)?;
    let back = text("/redirect_url").filter(|back| client.registered.redirect_uris.iter().any(|known| known == back));
    let redirect_uri = back.ok_or(REDIRECT)?.to_owned();
    let (Some(state), Some(_), Some("personal")) = (text("/state"), text("/aspsp/name"), text("/psu_type")) else {
        return Err(INVALID);
    };
    let until = text("/access/valid_until").and_then(|at| at.parse::<Timestamp>().ok()).ok_or(INVALID)?;
    let client_id = client.registered.client_id.clone();
    let state = Some(state.to_owned());
    let mut consent = waiting(&bank, client_id.clone(), asked.clone());
    consent.valid_until = consent.valid_until.min(until.to_zoned(TimeZone::UTC).date());
    let (consent_id, authorization) = (Uuid::from_bytes(bank.world().bytes::<16>()).to_string(), bank.secret());
    let request = Pushed {
        client_id,
        redirect_uri,
        scope: String::new(),
        openid: false,
        consent_id: consent_id.clone(),
        state,
        nonce: None,
        code_challenge: String::new(),
        answer: AnswerWay::Query,
        changes: None,
        key: None,
        expires: bank.after(AUTHORISATION_SECONDS),
    };
    let url = format!("{}/sca?id={authorization}", bank.front);
    let mut books = bank.books();
    books.consents.insert(consent_id, consent);
    books.pushed.insert(authorization.clone(), request);
    drop(books);
    bank.note("intermediary", "authorization.created", "an authorisation waits for its PSU");
    Ok(Json(json!({ "url": url, "authorization_id": authorization, "psu_id_hash": "" })))
}

/// `POST /sessions`: what a code stands for. It works once.
async fn begin(State(bank): State<Shared>, body: Bytes) -> Result<Json<Value>, Refused> {
    let asked: Value = serde_json::from_slice(&body).map_err(|_| INVALID)?;
    let code = asked["code"].as_str().ok_or(INVALID)?;
    let now = bank.now();
    let mut books = bank.books();
    let entry = books.codes.get_mut(code).filter(|code| code.family.is_none() && code.expires > now).ok_or(CODE)?;
    entry.family = Some(Uuid::from_bytes(bank.world().bytes::<16>()));
    let id = entry.request.consent_id.clone();
    let consent = books.consents.get(&id).ok_or(NO_SESSION)?;
    let psu = consent.psu.and_then(|psu| bank.data.psus.get(psu)).ok_or(NO_SESSION)?;
    let accounts: Vec<Value> = held(consent, psu).map(|(uid, account)| shown(psu, account, &uid)).collect();
    let access = json!({ "valid_until": until(consent) });
    let answer = json!({ "session_id": id, "accounts": accounts, "psu_type": "personal", "access": access });
    drop(books);
    bank.note("intermediary", "session.created", "a code was redeemed for a session");
    Ok(Json(answer))
}

/// `GET /sessions/{id}`: ids of accounts and how it stands.
async fn session(State(bank): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, Refused> {
    let (now, today) = (bank.now(), bank.today());
    let mut books = bank.books();
    let consent = books.consent(&id, now, today).filter(|consent| consent.psu.is_some()).ok_or(NO_SESSION)?;
    let psu = consent.psu.and_then(|psu| bank.data.psus.get(psu)).ok_or(NO_SESSION)?;
    let status = match consent.status {
        ConsentStatus::Received | ConsentStatus::PartiallyAuthorised => "PENDING_AUTHORIZATION",
        ConsentStatus::Valid => "AUTHORIZED",
        ConsentStatus::Rejected => "REJECTED",
        ConsentStatus::RevokedByPsu => "REVOKED",
        ConsentStatus::Expired => "EXPIRED",
        ConsentStatus::TerminatedByTpp => "CLOSED",
    };
    let data: Vec<Value> = held(consent, psu)
        .map(|(uid, account)| json!({ "uid": uid, "identification_hash": hash_of(account) }))
        .collect();
    let accounts: Vec<&Value> = data.iter().map(|one| &one["uid"]).collect();
    Ok(Json(json!({
        "status": status,
        "accounts": accounts,
        "accounts_data": data,
        "psu_type": "personal",
        "access": { "valid_until": until(consent), "balances": true, "transactions": true },
        "created": consent.created.to_string(),
    })))
}

/// `DELETE /sessions/{id}`.
async fn end(State(bank): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, Refused> {
    let client = bank.clients.first().map(|client| client.registered.client_id.clone()).unwrap_or_default();
    if terminate(&bank, &id, &client) { Ok(Json(json!({ "message": "OK" }))) } else { Err(NO_SESSION) }
}

/// The end of a session, as the intermediary writes it.
fn until(consent: &Consent) -> Option<String> {
    let last = consent.valid_until.at(23, 59, 59, 0).to_zoned(TimeZone::UTC).ok()?;
    Some(last.timestamp().to_string())
}

/// Every account of a session with its id.
fn held<'a>(consent: &'a Consent, psu: &'a Psu) -> impl Iterator<Item = (String, &'a Account)> {
    consent.resources.iter().filter_map(|one| Some((one.id.to_string(), psu.accounts.get(one.account)?)))
}

/// What an account is known by through all sessions.
fn hash_of(account: &Account) -> String {
    STANDARD.encode(digest(&SHA256, account.iban.as_bytes()))
}

fn shown(psu: &Psu, account: &Account, uid: &str) -> Value {
    json!({
        "account_id": { "iban": account.iban },
        "name": psu.name,
        "details": account.name,
        "product": account.product,
        "cash_account_type": account.cash_account_type,
        "currency": account.opening.currency().code(),
        "uid": uid,
        "identification_hash": hash_of(account),
    })
}

/// The account behind an id, after session and allowance; `uri` is what unattended reads are counted by.
fn open<'b>(bank: &'b Inner, headers: &HeaderMap, uid: &str, uri: &str) -> Result<(&'b Psu, &'b Account), Refused> {
    let (now, today) = (bank.now(), bank.today());
    let mut books = bank.books();
    books.consents.values_mut().for_each(|consent| consent.settle(now, today));
    let has = |consent: &Consent| consent.resources.iter().find(|one| one.id.to_string() == uid).map(|one| one.account);
    let found = books.consents.iter().find_map(|(id, consent)| Some((id.clone(), consent, has(consent)?)));
    let (id, consent, at) = found.ok_or(NO_ACCOUNT)?;
    match consent.status {
        ConsentStatus::Valid => {}
        ConsentStatus::TerminatedByTpp => return Err(CLOSED),
        ConsentStatus::RevokedByPsu => return Err(REVOKED),
        _ => return Err(EXPIRED),
    }
    let psu = consent.psu.and_then(|psu| bank.data.psus.get(psu)).ok_or(NO_ACCOUNT)?;
    let allowed = consent.frequency_per_day;
    if !headers.contains_key("psu-ip-address") && !books.count_read(&id, today, uri, allowed) {
        return Err(LIMIT);
    }
    Ok((psu, psu.accounts.get(at).ok_or(NO_ACCOUNT)?))
}

async fn details(
    State(bank): State<Shared>,
    Path(uid): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let (psu, account) = open(&bank, &headers, &uid, &format!("{uid}/details"))?;
    Ok(Json(shown(psu, account, &uid)))
}

async fn balances(
    State(bank): State<Shared>,
    Path(uid): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let (_, account) = open(&bank, &headers, &uid, &format!("{uid}/balances"))?;
    let found = account.balances(bank.today());
    let one = |money: &Money, kind: &str| {
        let amount = json!({ "currency": money.currency().code(), "amount": money.to_plain_string() });
        json!({ "balance_type": kind, "balance_amount": amount, "reference_date": found.latest.map(|day| day.to_string()) })
    };
    Ok(Json(json!({ "balances": [one(&found.booked, "CLBD"), one(&found.available, "ITAV")] })))
}

/// What a list is asked by.
#[derive(serde::Deserialize)]
struct Span {
    date_from: Option<String>,
    date_to: Option<String>,
    continuation_key: Option<String>,
}

/// Rows, pending ones first, page by page.
async fn transactions(
    State(bank): State<Shared>,
    Path(uid): Path<String>,
    Query(asked): Query<Span>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let page = match &asked.continuation_key {
        None => 0,
        Some(key) => STANDARD.decode(key).ok().and_then(|key| String::from_utf8(key).ok()?.parse().ok()).ok_or(KEY)?,
    };
    let (_, account) = open(&bank, &headers, &uid, &format!("{uid}/transactions/{page}"))?;
    let day = |text: Option<&String>| text.map(|text| text.parse::<Date>().map_err(|_| INVALID)).transpose();
    let today = bank.today();
    let (from, to) =
        (day(asked.date_from.as_ref())?.unwrap_or(Date::MIN), day(asked.date_to.as_ref())?.unwrap_or(today));
    let listed = bank.listed(account);
    let pending = listed.pending(today).into_iter().map(|row| (row, false));
    let rows: Vec<_> = pending.chain(listed.booked(today, from, to).into_iter().map(|row| (row, true))).collect();
    let most = bank.policy.page_rows;
    let shown: Vec<Value> =
        rows.iter().skip(page * most).take(most).map(|(row, booked)| row_of(row, *booked)).collect();
    let next = (rows.len() > (page + 1) * most).then(|| STANDARD.encode((page + 1).to_string()));
    Ok(Json(json!({ "transactions": shown, "continuation_key": next })))
}

/// Amounts without a sign, beside a word that says which way.
fn row_of(row: &Row, booked: bool) -> Value {
    let debit = row.money.amount().is_sign_negative();
    let amount = row.money.to_plain_string();
    let mut shown = json!({
        "transaction_amount": {
            "currency": row.money.currency().code(),
            "amount": amount.trim_start_matches('-'),
        },
        "credit_debit_indicator": if debit { "DBIT" } else { "CRDT" },
        "status": if booked { "BOOK" } else { "PDNG" },
        "remittance_information": [row.remittance],
    });
    if booked {
        shown["entry_reference"] = json!(row.transaction_id);
        shown["booking_date"] = json!(row.booked.to_string());
    }
    if let Some(name) = &row.counterparty {
        let side = if debit { "creditor" } else { "debtor" };
        shown[side] = json!({ "name": name });
        shown[format!("{side}_account")] = json!({ "iban": row.counterparty_iban });
    }
    shown
}
