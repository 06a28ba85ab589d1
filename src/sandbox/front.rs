//! The pages: a person signs in, sees what is asked, and decides. Plain forms, no script.

use askama::Template;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};
use uuid::Uuid;

use crate::bank::{Inner, Said, Shared};
use crate::books::{AnswerWay, Asked, Books, Code, ConsentStatus, Pushed, Resource, Session};
use crate::data::Psu;
use crate::oauth::{request, token};

/// Life of a browser's session, in seconds.
const SESSION_SECONDS: i64 = 600;
/// Wrong passwords before the bank gives up.
const ATTEMPTS_MAX: u32 = 5;
/// Life of a signed authorisation response, in seconds.
const JARM_SECONDS: i64 = 300;

/// The browser's routes.
pub(crate) fn router(bank: Shared) -> Router {
    Router::new()
        .route("/authorize", get(authorize))
        .route("/sca", get(confirm))
        .route("/login", get(show_login).post(sign_in))
        .route("/consent", get(show_consent).post(decide))
        .route("/bank.css", get(stylesheet))
        .with_state(bank)
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    bank: &'a str,
    tpp: &'a str,
    csrf: &'a str,
    message: &'a str,
    psus: &'a [Psu],
}

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    bank: &'a str,
    tpp: &'a str,
    csrf: &'a str,
    message: &'a str,
    person: &'a str,
    wants: Vec<&'static str>,
    until: String,
    recurring: bool,
    frequency: u32,
    accounts: Vec<Choice<'a>>,
}

/// One account with a check box.
struct Choice<'a> {
    id: String,
    name: &'a str,
    product: &'a str,
    iban: String,
    currency: String,
}

#[derive(Template)]
#[template(path = "stop.html")]
struct StopPage<'a> {
    bank: &'a str,
    message: &'a str,
}

#[derive(Template)]
#[template(path = "form_post.html")]
struct FormPostPage<'a> {
    bank: &'a str,
    tpp: &'a str,
    action: &'a str,
    fields: Vec<(&'static str, &'a str)>,
}

/// A request object that the browser brings, or RFC 9126 §4: nothing but `client_id` and `request_uri`, and each reference once.
async fn authorize(State(bank): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    if pairs.iter().any(|(name, _)| name == "request") {
        return match request::brought(&bank, &pairs) {
            Ok(request) => begin(&bank, &mut bank.books(), request),
            Err(fault) => stop(&bank, &fault.code, "The request of the application cannot be accepted."),
        };
    }
    let [client_id, request_uri] = ["client_id", "request_uri"].map(|name| {
        let mut values = pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none())
    });
    let (Some(client_id), Some(request_uri), 2) = (client_id, request_uri, pairs.len()) else {
        return stop(&bank, "request.parameter.invalid", "The request must consist of client_id and request_uri.");
    };
    let now = bank.now();
    let mut books = bank.books();
    let refusal = match books.pushed.get(request_uri) {
        None => Some(("request_uri.unknown", "This sign-in link is unknown or was used before.")),
        Some(pushed) if pushed.client_id != client_id => {
            Some(("request_uri.client.mismatch", "This sign-in link belongs to another application."))
        }
        Some(pushed) if pushed.expires <= now => Some(("request_uri.expired", "This sign-in link has expired.")),
        Some(_) => None,
    };
    if let Some((code, message)) = refusal {
        drop(books);
        return stop(&bank, code, message);
    }
    match books.pushed.remove(request_uri) {
        Some(request) => begin(&bank, &mut books, request),
        None => lost(&bank),
    }
}

/// The link of a consent, which works once.
async fn confirm(State(bank): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let id = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "id").map(|(_, id)| id);
    let (now, mut books) = (bank.now(), bank.books());
    let found = id.and_then(|id| books.pushed.remove(id.as_ref()));
    let linked = |request: &Pushed| request.answer == AnswerWay::Nothing || bank.ecosystem.intermediary;
    match found.filter(|request| linked(request) && request.expires > now) {
        Some(request) => begin(&bank, &mut books, request),
        None => {
            drop(books);
            stop(&bank, "sca.link.unknown", "This link is unknown, too old, or was used before.")
        }
    }
}

/// A browser begins its way with a request that was found good.
fn begin(bank: &Inner, books: &mut Books, request: Pushed) -> Response {
    let (session_id, csrf, expires) = (bank.secret(), bank.secret(), bank.after(SESSION_SECONDS));
    books.sessions.insert(session_id.clone(), Session { request, csrf, psu: None, attempts: 0, expires });
    with_cookie(bank, &session_id, go("/login"))
}

async fn show_login(State(bank): State<Shared>, headers: HeaderMap) -> Response {
    let books = bank.books();
    match session(&bank, &books, &headers) {
        Some((_, open)) if open.psu.is_some() => go("/consent"),
        Some((_, open)) => login_page(&bank, open, ""),
        None => lost(&bank),
    }
}

async fn sign_in(State(bank): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let form = Fields::read(&body);
    let mut books = bank.books();
    let Some(old_id) = session(&bank, &books, &headers).filter(|(_, open)| form.has_csrf(open)).map(|(id, _)| id)
    else {
        return lost(&bank);
    };
    let Some(mut open) = books.sessions.remove(&old_id) else {
        return lost(&bank);
    };
    if form.first("decision") == Some("deny") {
        return deny(&bank, &mut books, &open.request, "authorize.denied", "the PSU turned back at the sign-in");
    }
    let psu =
        bank.data.psus.iter().position(|psu| {
            form.first("username") == Some(&psu.username) && form.first("password") == Some(&psu.password)
        });
    let Some(psu) = psu else {
        open.attempts += 1;
        if open.attempts >= ATTEMPTS_MAX {
            return deny(&bank, &mut books, &open.request, "login.exhausted", "too many wrong passwords");
        }
        let page = login_page(&bank, &open, "The user name or the password is not right.");
        books.sessions.insert(old_id, open);
        return page;
    };
    // A signed-in session gets a name that nobody could have planted before.
    let new_id = bank.secret();
    open.psu = Some(psu);
    if let Some(consent) = books.consents.get_mut(&open.request.consent_id) {
        consent.resources = offered(&bank, &consent.asked, psu);
    }
    books.sessions.insert(new_id.clone(), open);
    drop(books);
    with_cookie(&bank, &new_id, go("/consent"))
}

/// The PSU's accounts that the consent asks about, each with an id of this consent's own.
pub(crate) fn offered(bank: &Inner, asked: &Asked, psu: usize) -> Vec<Resource> {
    let accounts = bank.data.psus.get(psu).map_or(&[][..], |psu| &psu.accounts);
    accounts
        .iter()
        .enumerate()
        .filter_map(|(account, found)| {
            let (balances, transactions) = asked.covers(&found.iban)?;
            let id = Uuid::from_bytes(bank.world().bytes::<16>());
            Some(Resource { id, account, balances, transactions })
        })
        .collect()
}

async fn show_consent(State(bank): State<Shared>, headers: HeaderMap) -> Response {
    let books = bank.books();
    match session(&bank, &books, &headers) {
        Some((_, open)) if open.psu.is_none() => go("/login"),
        Some((_, open)) => consent_page(&bank, &books, open, ""),
        None => lost(&bank),
    }
}

async fn decide(State(bank): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let form = Fields::read(&body);
    let mut books = bank.books();
    let Some((id, psu)) = session(&bank, &books, &headers)
        .filter(|(_, open)| form.has_csrf(open))
        .and_then(|(id, open)| Some((id, open.psu?)))
    else {
        return lost(&bank);
    };
    let chosen: Vec<&str> = form.all("account");
    if form.first("decision") == Some("approve") && chosen.is_empty() {
        return match books.sessions.get(&id) {
            Some(open) => consent_page(&bank, &books, open, "Choose at least one account, or refuse."),
            None => lost(&bank),
        };
    }
    let Some(open) = books.sessions.remove(&id) else {
        return lost(&bank);
    };
    if form.first("decision") != Some("approve") {
        return deny(&bank, &mut books, &open.request, "authorize.denied", "the PSU refused");
    }
    approve(&bank, &mut books, open.request, psu, &chosen)
}

/// The PSU authorises a consent that may be authorised: it is valid, unless others have to sign as well.
pub(crate) fn authorise(bank: &Inner, books: &mut Books, id: &str, psu: usize) {
    let (now, today) = (bank.now(), bank.today());
    let Some(consent) = books.consents.get_mut(id) else { return };
    let again = consent.status == ConsentStatus::Valid;
    consent.psu = Some(psu);
    consent.authorised_at = Some(now);
    let others = bank.policy.several_signers && !again;
    consent.end(if others { ConsentStatus::PartiallyAuthorised } else { ConsentStatus::Valid }, today);
    let (recurring, client_id) = (consent.recurring, consent.client_id.clone());
    if again {
        books.revoke_tokens_of(id);
    }
    if recurring && bank.policy.one_recurring_consent && !others {
        books.replace_recurring(id, psu, &client_id, today);
    }
}

/// The PSU said yes: the consent becomes valid and a code goes back.
fn approve(bank: &Inner, books: &mut Books, request: Pushed, psu: usize, chosen: &[&str]) -> Response {
    let (now, today) = (bank.now(), bank.today());
    let Some(consent) = books.consent(&request.consent_id, now, today) else {
        return lost(bank);
    };
    if !consent.may_be_authorised(bank.policy.reauthorises) {
        bank.refuse("authorize", "consent.expired", "the consent was decided or ended meanwhile");
        return give_back(bank, &request, Err("access_denied"));
    }
    consent.resources.retain(|resource| chosen.contains(&resource.id.to_string().as_str()));
    if consent.resources.is_empty() {
        return deny(bank, books, &request, "consent.accounts.mismatch", "none of the chosen accounts was offered");
    }
    authorise(bank, books, &request.consent_id, psu);
    if request.answer == AnswerWay::Nothing {
        bank.note("authorize", "authorize.approved", "the PSU approved and goes back");
        return go(&request.redirect_uri);
    }
    let mut request = request;
    if let Some(old) = request.changes.take() {
        books.replace(&old, &request.consent_id);
        request.consent_id = old;
    }
    let code = bank.secret();
    let expires = bank.after(bank.policy.code_seconds);
    let entry = Code { request: request.clone(), psu, authenticated_at: now, expires, family: None };
    let state = request.state.as_deref().unwrap_or_default();
    let voucher = match request.answer {
        AnswerWay::HybridForm | AnswerWay::HybridFragment => {
            token::id_token(bank, &entry, &[("c_hash", &code), ("s_hash", state)]).ok()
        }
        AnswerWay::Query | AnswerWay::Jarm | AnswerWay::Nothing => None,
    };
    books.codes.insert(code.clone(), entry);
    bank.note("authorize", "authorize.approved", "the PSU approved and goes back with a code");
    give_back(bank, &request, Ok((&code, voucher)))
}

/// The PSU said no: the consent is over and the TPP hears `access_denied`.
fn deny(bank: &Inner, books: &mut Books, request: &Pushed, code: &str, detail: &str) -> Response {
    let waiting = books.consents.get_mut(&request.consent_id).filter(|found| found.status == ConsentStatus::Received);
    if let Some(consent) = waiting {
        consent.end(ConsentStatus::Rejected, bank.today());
    }
    bank.note("authorize", code, detail);
    give_back(bank, request, Err("access_denied"))
}

/// The way back to the TPP: RFC 6749 §4.1.2 with `iss` (RFC 9207), one signed `response` (JARM §2.1), or a form with an
/// ID token beside the code (OAuth 2.0 Form Post Response Mode).
fn give_back(bank: &Inner, request: &Pushed, outcome: Result<(&str, Option<String>), &str>) -> Response {
    let Ok(mut target) = Url::parse(&request.redirect_uri) else {
        return stop(bank, "redirect_uri.invalid", "The application's address cannot be used.");
    };
    if request.answer == AnswerWay::Nothing {
        return go(target.as_str());
    }
    let (name, value, voucher) = match outcome {
        Ok((code, voucher)) => ("code", code, voucher),
        Err(error) => ("error", error, None),
    };
    let fields = [("id_token", voucher.as_deref()), ("state", request.state.as_deref())];
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    if request.answer == AnswerWay::HybridFragment {
        let fields = [(name, value)].into_iter().chain(fields);
        target.set_fragment(Some(&form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()));
        return go(target.as_str());
    }
    if request.answer == AnswerWay::HybridForm {
        let page = FormPostPage {
            bank: &bank.data.name,
            tpp: tpp_name(bank, request),
            action: target.as_str(),
            fields: [(name, value)].into_iter().chain(fields).collect(),
        };
        return html(StatusCode::OK, page.render(), Some(request));
    }
    if request.answer == AnswerWay::Jarm {
        let mut claims = json!({
            "iss": bank.issuer,
            "aud": request.client_id,
            "exp": bank.now().as_second() + JARM_SECONDS,
            (name): value,
        });
        if let Some(state) = &request.state {
            claims["state"] = json!(state);
        }
        let Some(response) = signed_response(bank, &request.client_id, claims) else {
            return stop(bank, "jarm.failed", "The answer could not be signed.");
        };
        target.query_pairs_mut().append_pair("response", &response);
    } else {
        let mut query = target.query_pairs_mut();
        query.append_pair(name, value).append_pair("iss", &bank.issuer);
        if let Some(state) = &request.state {
            query.append_pair("state", state);
        }
    }
    go(target.as_str())
}

/// The response of JARM §2.1, in an envelope where the bank uses them.
fn signed_response(bank: &Inner, client_id: &str, claims: Value) -> Option<String> {
    let signed = bank.key.sign(&bank.says(Said::SignedResponse, claims)).ok()?;
    if bank.policy.encrypted_responses { bank.client(client_id)?.keys.encrypt(&signed) } else { Some(signed) }
}

fn login_page(bank: &Inner, open: &Session, message: &str) -> Response {
    let page = LoginPage {
        bank: &bank.data.name,
        tpp: tpp_name(bank, &open.request),
        csrf: &open.csrf,
        message,
        psus: &bank.data.psus,
    };
    html(StatusCode::OK, page.render(), Some(&open.request))
}

fn consent_page(bank: &Inner, books: &Books, open: &Session, message: &str) -> Response {
    let (Some(consent), Some(psu)) =
        (books.consents.get(&open.request.consent_id), open.psu.and_then(|psu| bank.data.psus.get(psu)))
    else {
        return lost(bank);
    };
    let accounts = consent.resources.iter().filter_map(|resource| {
        let account = psu.accounts.get(resource.account)?;
        Some(Choice {
            id: resource.id.to_string(),
            name: &account.name,
            product: &account.product,
            iban: in_groups(&account.iban),
            currency: account.opening.currency().to_string(),
        })
    });
    let any = |pick: fn(&Resource) -> bool| consent.resources.iter().any(pick);
    let mut wants = vec!["name and number of your accounts"];
    if consent.owner_name {
        wants.push("name of the account holder");
    }
    if any(|resource| resource.balances) {
        wants.push("balances");
    }
    if any(|resource| resource.transactions) {
        wants.push("transactions");
    }
    let page = ConsentPage {
        bank: &bank.data.name,
        tpp: tpp_name(bank, &open.request),
        csrf: &open.csrf,
        message,
        person: &psu.name,
        wants,
        until: consent.valid_until.strftime("%-d %B %Y").to_string(),
        recurring: consent.recurring,
        frequency: consent.frequency_per_day,
        accounts: accounts.collect(),
    };
    html(StatusCode::OK, page.render(), Some(&open.request))
}

fn tpp_name<'b>(bank: &'b Inner, request: &Pushed) -> &'b str {
    bank.client(&request.client_id).map_or("", |client| client.registered.name.as_str())
}

/// An IBAN as people read it, in groups of four.
fn in_groups(iban: &str) -> String {
    let letters: Vec<char> = iban.chars().collect();
    letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

/// A page that ends the matter at the bank: there is no address that it would be safe to send the browser to.
fn stop(bank: &Inner, code: &str, message: &str) -> Response {
    bank.refuse("authorize", code, message);
    html(StatusCode::BAD_REQUEST, StopPage { bank: &bank.data.name, message }.render(), None)
}

fn lost(bank: &Inner) -> Response {
    stop(bank, "session.missing", "This sign-in is over. Go back to the application and begin again.")
}

/// 303, never 307: credentials in a form must not travel on (FAPI 2.0 Security Profile §5.3.2.2).
fn go(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(to) => (StatusCode::SEE_OTHER, [(header::LOCATION, to), no_store()]).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn no_store() -> (header::HeaderName, HeaderValue) {
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

/// A page with its security headers. Browsers apply `form-action` to redirects after a form as well, so the TPP's origin
/// must be in it.
fn html(status: StatusCode, rendered: askama::Result<String>, request: Option<&Pushed>) -> Response {
    let Ok(body) = rendered else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let back = request.and_then(|request| Url::parse(&request.redirect_uri).ok());
    let back = back.map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {back}; frame-ancestors 'none'; base-uri 'none'"
    );
    let Ok(policy) = HeaderValue::from_str(&policy) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        no_store(),
    ];
    (status, headers, body).into_response()
}

async fn stylesheet() -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, include_str!("templates/bank.css")).into_response()
}

/// Browsers share cookies among the ports of a host, so the name carries the port.
fn cookie_name(bank: &Inner) -> String {
    let port = bank.front.rsplit(':').next().unwrap_or_default();
    format!("bank_session_{port}")
}

fn with_cookie(bank: &Inner, id: &str, mut response: Response) -> Response {
    let secure = if bank.front.starts_with("https") { "; Secure" } else { "" };
    let cookie = format!("{}={id}; Path=/; HttpOnly; SameSite=Lax{secure}", cookie_name(bank));
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

/// The browser's session, unless it has run out.
fn session<'b>(bank: &Inner, books: &'b Books, headers: &HeaderMap) -> Option<(String, &'b Session)> {
    let name = cookie_name(bank);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let id = cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, id)| id)?;
    let open = books.sessions.get(id).filter(|open| open.expires > bank.now())?;
    Some((id.to_owned(), open))
}

/// The fields of a posted form.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn read(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    fn has_csrf(&self, open: &Session) -> bool {
        self.first("csrf") == Some(&open.csrf)
    }
}
