//! An account interface that is asked by POST: what is wanted, and who wants it, stands in the body.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use jiff::civil::Date;
use net::serve::PeerCertificate;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bank::{Inner, Shared};
use crate::data::{Account, Balances, Row};
use crate::ecosystem::Listed;
use crate::resources::{self, ABSENT, Opened, QUERY, Refused, TOKEN, UNKNOWN};

/// What such an interface says, as data.
#[derive(Clone, Copy)]
pub struct Posted {
    /// Path of the `{operation}`.
    pub operations: &'static str,
    /// One account in the list.
    pub listed: fn(&Account) -> Value,
    /// One account with its balances.
    pub account: fn(&Account, &Balances) -> Value,
    /// One transaction.
    pub row: fn(&Listed<'_>) -> Value,
    /// One amount that is held.
    pub hold: fn(&Listed<'_>) -> Value,
}

/// Holds functions: `Debug` shows the path.
impl std::fmt::Debug for Posted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Posted").field("operations", &self.operations).finish_non_exhaustive()
    }
}

/// The one route of all operations.
pub(crate) fn router(bank: Shared, posted: &Posted) -> Router {
    Router::new().route(posted.operations, post(operation)).with_state(bank)
}

const HEADER: Refused = Refused(
    StatusCode::BAD_REQUEST,
    "request.header.invalid",
    "X-REQUEST-ID is no UUID or not that of requestHeader, tppId or sendDate is missing, or isDirectPsu and ipAddress differ",
);
const BODY: Refused = Refused(StatusCode::BAD_REQUEST, "request.body.invalid", "the body is not what is asked for");

/// A call, as far as it was found good.
struct Asked {
    body: Value,
    /// Whether a person is there.
    attended: bool,
}

impl Asked {
    /// The id of the header stands in the body, too, and an address of the PSU only where the PSU is.
    fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refused> {
        let body: Value = serde_json::from_slice(body).map_err(|_| BODY)?;
        let id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).ok_or(HEADER)?;
        let header = &body["requestHeader"];
        let attended = header["isDirectPsu"].as_bool().ok_or(HEADER)?;
        let named = header["tppId"].is_string() && header["sendDate"].is_string();
        let same = Uuid::try_parse(id).is_ok() && header["requestId"] == id && named;
        if same && header["ipAddress"].is_string() == attended { Ok(Self { body, attended }) } else { Err(HEADER) }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.body[name].as_str()
    }

    fn day(&self, name: &str) -> Result<Option<Date>, Refused> {
        self.text(name).map(|day| day.parse().map_err(|_| QUERY)).transpose()
    }
}

async fn operation(
    State(bank): State<Shared>,
    Extension(peer): Extension<PeerCertificate>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let outcome = Asked::read(&headers, &body).and_then(|asked| answer(&bank, &peer, &name, &headers, &asked));
    let id = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let header = json!({ "requestId": id, "sendDate": bank.now().to_string(), "isCallback": false });
    match outcome {
        Ok(Value::Null) => StatusCode::NO_CONTENT.into_response(),
        Ok(mut answer) => {
            answer["responseHeader"] = header;
            axum::Json(answer).into_response()
        }
        Err(Refused(status, code, text)) => {
            bank.refuse("resource", code, text);
            (status, axum::Json(json!({ "responseHeader": header, "code": code, "message": text }))).into_response()
        }
    }
}

fn answer(
    bank: &Inner,
    peer: &PeerCertificate,
    name: &str,
    headers: &HeaderMap,
    asked: &Asked,
) -> Result<Value, Refused> {
    let posted = bank.ecosystem.posted.ok_or(UNKNOWN)?;
    if name == "deleteConsent" {
        return end(bank, peer, asked);
    }
    let number = asked.text("accountNumber").unwrap_or_default();
    let page = asked.text("pageId").map_or(Ok(0), str::parse).map_err(|_| QUERY)?;
    let opened = resources::open(bank, peer, headers, asked.attended, &format!("{name}/{number}/{page}"))?;
    if name == "getAccounts" {
        let accounts = opened.all().map(|(_, account)| (posted.listed)(account));
        return Ok(json!({ "accounts": accounts.collect::<Vec<_>>(), "pageInfo": {} }));
    }
    let account = numbered(&opened, number)?;
    let (listed, today) = (bank.listed(account), bank.today());
    let is_held = |row: &&Row| row.bank_transaction_code.contains("CCRD");
    let rows: Vec<&Row> = match name {
        "getAccount" => return Ok(json!({ "account": (posted.account)(account, &account.balances(today)) })),
        "getTransactionsDone" => {
            let (from, to) = (asked.day("bookingDateFrom")?, asked.day("bookingDateTo")?);
            listed.booked(today, from.unwrap_or(Date::MIN), to.unwrap_or(today))
        }
        "getTransactionsPending" => listed.pending(today).into_iter().filter(|row| !is_held(row)).collect(),
        "getHolds" => listed.pending(today).into_iter().filter(is_held).collect(),
        _ => return Err(BODY),
    };
    let booked = name == "getTransactionsDone";
    let (list, show) = if name == "getHolds" { ("holds", posted.hold) } else { ("transactions", posted.row) };
    let most = bank.policy.page_rows;
    let shown = rows.iter().skip(page * most).take(most);
    let shown = shown.map(|row| show(&Listed { row, account: number, booked, zone: bank.zone() }));
    let next = (rows.len() > (page + 1) * most).then(|| (page + 1).to_string());
    Ok(json!({ list: shown.collect::<Vec<_>>(), "pageInfo": { "nextPage": next } }))
}

fn numbered<'b>(opened: &Opened<'b>, number: &str) -> Result<&'b Account, Refused> {
    opened.all().map(|(_, account)| account).find(|account| account.iban == number).ok_or(ABSENT)
}

/// Ends what stands under an id of the TPP's own; who the TPP is, the certificate says.
fn end(bank: &Inner, peer: &PeerCertificate, asked: &Asked) -> Result<Value, Refused> {
    let id = asked.text("consentId").ok_or(BODY)?;
    let owner = bank.books().owner_by_certificate(id, &peer.thumbprint).ok_or(TOKEN)?;
    if resources::terminate(bank, id, &owner) { Ok(Value::Null) } else { Err(UNKNOWN) }
}
