//! Consents and accounts in the shape that an ecosystem's data say.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::civil::Date;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use net::serve::PeerCertificate;
use serde_json::Value;
use uuid::Uuid;

use crate::api::token;
use crate::bank::{Inner, Shared};
use crate::books::{Asked, Consent, ConsentStatus, Resource};
use crate::data::Account;
use crate::ecosystem::{Header, Listed, Resources, Shown};

/// `x-fapi-interaction-id`: echoed, or made (FAPI 1.0 Baseline §6.2.1).
const INTERACTION_ID: HeaderName = HeaderName::from_static("x-fapi-interaction-id");

/// The routes that the data name.
pub(crate) fn router(bank: Shared, resources: &Resources) -> Router {
    let mut router = Router::new()
        .route(resources.accounts, get(accounts))
        .route(resources.balances, get(balances))
        .route(resources.transactions, get(transactions));
    if let Some(path) = resources.consents {
        router = router.route(path, post(create)).route(&format!("{path}/{{id}}"), get(read).delete(end));
    }
    router.layer(from_fn_with_state(bank.clone(), around)).with_state(bank)
}

/// A refusal: status, code in the log, sentence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused(pub(crate) StatusCode, pub(crate) &'static str, pub(crate) &'static str);

pub(crate) const UNKNOWN: Refused = Refused(StatusCode::NOT_FOUND, "consent.unknown", "there is no such consent");
const INVALID: Refused = Refused(StatusCode::BAD_REQUEST, "consent.body.invalid", "the body is not a consent request");
const SCOPE: Refused = Refused(StatusCode::FORBIDDEN, "token.scope.mismatch", "the token is not for this");
pub(crate) const TOKEN: Refused =
    Refused(StatusCode::UNAUTHORIZED, "token.invalid", "the token is unknown, over or of another");
pub(crate) const ABSENT: Refused =
    Refused(StatusCode::NOT_FOUND, "account.unknown", "there is no such account under this consent");
pub(crate) const QUERY: Refused =
    Refused(StatusCode::BAD_REQUEST, "request.query.invalid", "a day or a page cannot be read");
const EXCEEDED: Refused = Refused(
    StatusCode::TOO_MANY_REQUESTS,
    "consent.frequency.exceeded",
    "the reads of this day without the PSU are used up",
);
const OVER: Refused = Refused(StatusCode::FORBIDDEN, "consent.expired", "the consent behind the token is over");

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What holds for every call: the ecosystem's headers, its form of errors, refusals in the log.
async fn around(State(bank): State<Shared>, request: Request, next: Next) -> Response {
    let Some(resources) = bank.ecosystem.resources else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let id = request.headers().get(&INTERACTION_ID).cloned();
    let made = || HeaderValue::try_from(bank.world().uuid().to_string()).ok();
    let mut response = match check(request.headers(), resources.headers) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    };
    if let Some(Refused(status, code, text)) = response.extensions().get::<Refused>().copied() {
        bank.refuse("resource", code, text);
        response = (status, axum::Json((resources.error)(code, text))).into_response();
    }
    response.headers_mut().extend(id.or_else(made).map(|id| (INTERACTION_ID, id)));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn check(headers: &HeaderMap, wanted: &[Header]) -> Result<(), Refused> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let uuid = |id: &str| Uuid::try_parse(id).is_ok();
    for header in wanted {
        let good = match header {
            Header::Any(name) => text(name).is_some_and(|value| !value.is_empty()),
            Header::Uuid(name) => text(name).is_some_and(uuid),
            Header::Date(name) => {
                text(name).is_some_and(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).is_ok())
            }
        };
        if !good {
            return Err(Refused(
                StatusCode::BAD_REQUEST,
                "request.header.invalid",
                "a header is missing or unreadable",
            ));
        }
    }
    if text("x-fapi-interaction-id").is_some_and(|id| !uuid(id)) {
        return Err(Refused(StatusCode::BAD_REQUEST, "request.header.invalid", "x-fapi-interaction-id is not a UUID"));
    }
    Ok(())
}

async fn create(
    State(bank): State<Shared>,
    Extension(peer): Extension<PeerCertificate>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    let resources = bank.ecosystem.resources.ok_or(UNKNOWN)?;
    let client_id = own_token(&bank, &peer, &headers)?;
    let asked: Value = serde_json::from_slice(&body).map_err(|_| INVALID)?;
    let permissions = asked.pointer(resources.permissions).and_then(Value::as_array).ok_or(INVALID)?;
    if permissions.is_empty() || !permissions.iter().all(Value::is_string) {
        return Err(INVALID);
    }
    let ends = match asked.pointer(resources.expires) {
        None => None,
        Some(at) => Some(at.as_str().and_then(|at| at.parse::<Timestamp>().ok()).ok_or(INVALID)?),
    };
    if ends.is_some_and(|at| at <= bank.now()) {
        return Err(INVALID);
    }
    let days = ends.map(|at| at.to_zoned(TimeZone::UTC).date());
    let id = format!("{}{}", resources.consent_prefix, Uuid::from_bytes(bank.world().bytes::<16>()));
    let mut consent = waiting(&bank, client_id, asked);
    consent.valid_until = days.map_or(consent.valid_until, |day| day.min(consent.valid_until));
    let answer = (resources.consent)(&Shown::of(&id, &consent));
    bank.books().consents.insert(id, consent);
    bank.note("consents", "consent.created", "a consent waits for its PSU");
    Ok((StatusCode::CREATED, axum::Json(answer)).into_response())
}

/// A consent that waits, for everything that there is.
pub(crate) fn waiting(bank: &Inner, client_id: String, asked_json: Value) -> Consent {
    let today = bank.today();
    Consent {
        client_id,
        status: ConsentStatus::Received,
        asked: Asked::Everything,
        asked_json,
        owner_name: true,
        recurring: true,
        valid_until: today.saturating_add((bank.policy.consent_days - 1).days()),
        frequency_per_day: bank.policy.reads_per_day,
        created: bank.now(),
        last_action: today,
        notify: None,
        psu: None,
        authorised_at: None,
        resources: Vec::new(),
        first_used: None,
    }
}

/// The client whose own token this is.
fn own_token(bank: &Inner, peer: &PeerCertificate, headers: &HeaderMap) -> Result<String, Refused> {
    let books = bank.books();
    let token = token(bank, &books, peer, headers).map_err(|_| TOKEN)?;
    if token.consent_id.is_some() { Err(SCOPE) } else { Ok(token.client_id.clone()) }
}

async fn read(
    State(bank): State<Shared>,
    Extension(peer): Extension<PeerCertificate>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<axum::Json<Value>, Refused> {
    let resources = bank.ecosystem.resources.ok_or(UNKNOWN)?;
    let client_id = own_token(&bank, &peer, &headers)?;
    let (now, today) = (bank.now(), bank.today());
    let mut books = bank.books();
    let consent = books.consent(&id, now, today).filter(|consent| consent.client_id == client_id).ok_or(UNKNOWN)?;
    Ok(axum::Json((resources.consent)(&Shown::of(&id, consent))))
}

/// 204, and the tokens that opened the consent are dead.
async fn end(
    State(bank): State<Shared>,
    Extension(peer): Extension<PeerCertificate>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refused> {
    let client_id = own_token(&bank, &peer, &headers)?;
    if terminate(&bank, &id, &client_id) { Ok(StatusCode::NO_CONTENT) } else { Err(UNKNOWN) }
}

/// Ends a consent of a client with its tokens; `false` when there is none.
pub(crate) fn terminate(bank: &Inner, id: &str, client_id: &str) -> bool {
    let (now, today) = (bank.now(), bank.today());
    let mut books = bank.books();
    let Some(consent) = books.consent(id, now, today).filter(|consent| consent.client_id == client_id) else {
        return false;
    };
    if consent.lives() {
        consent.end(ConsentStatus::TerminatedByTpp, today);
    }
    books.revoke_tokens_of(id);
    drop(books);
    bank.note("consents", "consent.terminated", "the TPP ended a consent; its tokens are dead");
    true
}

/// A consent that a token opens, as far as the account resources need it.
pub(crate) struct Opened<'b> {
    accounts: &'b [Account],
    resources: Vec<Resource>,
}

impl<'b> Opened<'b> {
    /// Every account with its id.
    pub(crate) fn all(&self) -> impl Iterator<Item = (String, &'b Account)> {
        let accounts = self.accounts;
        self.resources.iter().filter_map(move |one| Some((one.id.to_string(), accounts.get(one.account)?)))
    }

    fn find(&self, id: &str) -> Result<&'b Account, Refused> {
        let resource = self.resources.iter().find(|resource| resource.id.to_string() == id).ok_or(ABSENT)?;
        self.accounts.get(resource.account).ok_or(ABSENT)
    }
}

/// Whether a person is there, by any of the names that the ecosystems have for it.
fn attended(headers: &HeaderMap) -> bool {
    ["x-fapi-customer-ip-address", "psu-ip-address"].iter().any(|name| headers.contains_key(*name))
}

/// Token, consent, allowance; `uri` is what unattended reads are counted by.
pub(crate) fn open<'b>(
    bank: &'b Inner,
    peer: &PeerCertificate,
    headers: &HeaderMap,
    attended: bool,
    uri: &str,
) -> Result<Opened<'b>, Refused> {
    let (now, today) = (bank.now(), bank.today());
    let mut books = bank.books();
    let consent_id = token(bank, &books, peer, headers).map_err(|_| TOKEN)?.consent_id.clone().ok_or(SCOPE)?;
    let consent = books.consent(&consent_id, now, today).filter(|consent| consent.status == ConsentStatus::Valid);
    let consent = consent.ok_or(OVER)?;
    let accounts = consent.psu.and_then(|psu| bank.data.psus.get(psu)).map_or(&[][..], |psu| &psu.accounts);
    let (resources, allowed) = (consent.resources.clone(), consent.frequency_per_day);
    if !attended && !books.count_read(&consent_id, today, uri, allowed) {
        return Err(EXCEEDED);
    }
    Ok(Opened { accounts, resources })
}

async fn accounts(
    State(bank): State<Shared>,
    Extension(peer): Extension<PeerCertificate>,
    headers: HeaderMap,
) -> Result<axum::Json<Value>, Refused> {
    let resources = bank.ecosystem.resources.ok_or(UNKNOWN)?;
    let opened = open(&bank, &peer, &headers, attended(&headers), "accounts")?;
    let shown = opened.all().map(|(id, account)| (resources.account)(account, &id));
    Ok(axum::Json((resources.list)(shown.collect())))
}

async fn balances(
    State(bank): State<Shared>,
    Extension(peer): Extension<PeerCertificate>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<axum::Json<Value>, Refused> {
    let resources = bank.ecosystem.resources.ok_or(UNKNOWN)?;
    let account = open(&bank, &peer, &headers, attended(&headers), &format!("{id}/balances"))?.find(&id)?;
    Ok(axum::Json((resources.balance)(account, &account.balances(bank.today()), &id)))
}

/// Rows of one list, pending ones first, page by page.
async fn transactions(
    State(bank): State<Shared>,
    Extension(peer): Extension<PeerCertificate>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let resources = bank.ecosystem.resources.ok_or(UNKNOWN)?;
    let asked: Vec<(String, String)> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let get = |name: &str| asked.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let page: usize = get("page").map_or(Ok(0), str::parse).map_err(|_| QUERY)?;
    let account = open(&bank, &peer, &headers, attended(&headers), &format!("{id}/transactions/{page}"))?.find(&id)?;
    let [from, to] = resources.span.map(|name| get(name).map(|text| day(&bank, text).ok_or(QUERY)).transpose());
    let (from, mut to) = (from?.unwrap_or(Date::MIN), to?.unwrap_or(bank.today()));
    if resources.last_day_is_out && get(resources.span[1]).is_some() {
        to = to.yesterday().map_err(|_| QUERY)?;
    }
    let (listed, today, zone) = (bank.listed(account), bank.today(), bank.zone());
    let rows = listed.pending(today).into_iter().map(|row| (row, false));
    let rows: Vec<_> = rows.chain(listed.booked(today, from, to).into_iter().map(|row| (row, true))).collect();
    let most = bank.policy.page_rows;
    let shown = rows
        .iter()
        .skip(page * most)
        .take(most)
        .map(|(row, booked)| (resources.row)(&Listed { row, account: &id, booked: *booked, zone }));
    let shown: Vec<Value> = shown.collect();
    if shown.is_empty() && resources.empty_is_nothing {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let next = (rows.len() > (page + 1) * most).then(|| {
        let kept = asked.iter().filter(|(name, _)| name != "page");
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(kept)
            .append_pair("page", &(page + 1).to_string())
            .finish();
        format!("{}{}?{query}", bank.interface, uri.path())
    });
    Ok(axum::Json((resources.page)(shown, next.as_deref())).into_response())
}

/// A day, or the day of an instant where the bank is. A time without a zone is the bank's own.
fn day(bank: &Inner, text: &str) -> Option<Date> {
    match text.parse::<Timestamp>() {
        Ok(instant) => Some(instant.to_zoned(bank.zone().clone()).date()),
        Err(_) => text.get(..10)?.parse().ok(),
    }
}
