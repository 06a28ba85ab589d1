//! The account interface: Berlin Group NextGenPSD2 1.3.x, account information.

mod accounts;
mod consents;
mod problem;
mod statements;
mod transactions;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use net::serve::PeerCertificate;
use uuid::Uuid;

use self::problem::Problem;
use crate::bank::{Inner, Shared};
use crate::books::{AccessToken, Books, Consent, ConsentStatus, Resource};
use crate::config::{Binding, ListForm, Sca};
use crate::data::Account;
use crate::dpop::{self, Proven};
use crate::fault::Fault;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CONSENT_ID: HeaderName = HeaderName::from_static("consent-id");
const PSU_IP_ADDRESS: HeaderName = HeaderName::from_static("psu-ip-address");

/// The routes below `/v1`.
pub(crate) fn router(bank: Shared) -> Router {
    Router::new()
        .route("/v1/consents", post(consents::create))
        .route("/v1/consents/{id}", get(consents::read).delete(consents::end))
        .route("/v1/consents/{id}/status", get(consents::status))
        .route("/v1/accounts", get(accounts::list))
        .route("/v1/accounts/{id}", get(accounts::one))
        .route("/v1/accounts/{id}/balances", get(accounts::balances))
        .route("/v1/accounts/{id}/transactions", get(transactions::list))
        .method_not_allowed_fallback(|| async { problem::REQUEST_METHOD_INVALID })
        .fallback(|| async { problem::REQUEST_PATH_UNKNOWN })
        .layer(from_fn_with_state(bank.clone(), around))
        .with_state(bank)
}

/// What holds for every call: a UUID in `X-Request-ID`, echoed; an answer in the type that is served; refusals in the log.
async fn around(State(bank): State<Shared>, mut request: Request, next: Next) -> Response {
    let id = request.headers().get(&X_REQUEST_ID).cloned();
    let endpoint = endpoint_of(request.uri().path());
    let form = if endpoint == "transactions" { bank.policy.list_form } else { ListForm::Json };
    let is_accepted = accepts(request.headers(), form.media_type());
    let known = id.as_ref().and_then(|id| id.to_str().ok()).is_some_and(|id| Uuid::try_parse(id).is_ok());
    let mut response = if !known {
        let problem =
            if id.is_some() { problem::REQUEST_X_REQUEST_ID_INVALID } else { problem::REQUEST_X_REQUEST_ID_MISSING };
        problem.into_response()
    } else if !is_accepted {
        problem::REQUEST_ACCEPT_INVALID.into_response()
    } else {
        let proven = if bank.policy.binding == Binding::Certificate { Ok(()) } else { prove(&bank, &mut request) };
        match proven {
            Ok(()) => next.run(request).await,
            Err(fault) => challenge(&bank, &fault),
        }
    };
    if let Some(problem) = response.extensions().get::<Problem>() {
        bank.refuse(endpoint, problem.reason, problem.text);
    }
    if let Some(id) = id {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn accepts(headers: &HeaderMap, served: &str) -> bool {
    let Some(accept) = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()) else {
        return true;
    };
    accept.split(',').filter_map(|range| range.split(';').next()).map(str::trim).any(|range| {
        range == "*/*" || range == served || range.strip_suffix('*').is_some_and(|of| served.starts_with(of))
    })
}

fn endpoint_of(path: &str) -> &'static str {
    match path.rsplit('/').next() {
        Some("balances") => "balances",
        Some("transactions") => "transactions",
        _ if path.starts_with("/v1/consents") => "consents",
        _ => "accounts",
    }
}

/// Whether the PSU is there: `PSU-IP-Address` says so, and must then be an address.
fn psu_is_present(headers: &HeaderMap) -> Result<bool, Problem> {
    match headers.get(&PSU_IP_ADDRESS) {
        None => Ok(false),
        Some(value) => match value.to_str().map(str::parse::<std::net::IpAddr>) {
            Ok(Ok(_)) => Ok(true),
            _ => Err(problem::REQUEST_PSU_IP_ADDRESS_INVALID),
        },
    }
}

/// The scheme of a token (RFC 6750 §2.1, RFC 9449 §7.1).
const fn scheme_of(bank: &Inner) -> &'static str {
    match bank.policy.binding {
        Binding::Certificate => "Bearer",
        Binding::Key { .. } => "DPoP",
    }
}

/// Lets the key that a request proves stand where the certificate's thumbprint stands: it holds the token.
fn prove(bank: &Inner, request: &mut Request) -> Result<(), Fault> {
    let path = format!("{}{}", bank.interface, request.uri().path());
    let headers = request.headers();
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.split_once(' ')).map(|(_, token)| token);
    let proven = Proven { method: request.method().as_str(), url: &path, token };
    let thumbprint = dpop::holder(bank, headers, &proven)?;
    if let Some(peer) = request.extensions_mut().get_mut::<PeerCertificate>() {
        peer.thumbprint = thumbprint;
    }
    Ok(())
}

/// RFC 9449 §7.1, §9.
fn challenge(bank: &Inner, fault: &Fault) -> Response {
    bank.refuse("accounts", &fault.code, &fault.detail);
    let mut response = problem::TOKEN_PROOF_INVALID.into_response();
    // It is written down here, by its own code.
    response.extensions_mut().remove::<Problem>();
    let headers = response.headers_mut();
    let value = HeaderValue::try_from(format!("DPoP error=\"{}\", algs=\"ES256\"", fault.error));
    headers.extend(value.ok().map(|value| (header::WWW_AUTHENTICATE, value)));
    if fault.error == dpop::USE_NONCE {
        headers.extend(HeaderValue::try_from(bank.nonce()).ok().map(|nonce| (dpop::DPOP_NONCE, nonce)));
    }
    response
}

/// The token of a call, if it is one of ours, still good, and shown with the certificate it was issued to.
pub(crate) fn token<'k>(
    bank: &Inner,
    books: &'k Books,
    peer: &PeerCertificate,
    headers: &HeaderMap,
) -> Result<&'k AccessToken, Problem> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let text = value
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(scheme_of(bank)))
        .map(|(_, token)| token)
        .ok_or(problem::TOKEN_MISSING)?;
    let token = books.access.get(text).ok_or(problem::TOKEN_UNKNOWN)?;
    if token.thumbprint != peer.thumbprint {
        return Err(problem::TOKEN_BINDING_MISMATCH);
    }
    if token.expires <= bank.now() {
        return Err(problem::TOKEN_EXPIRED);
    }
    Ok(token)
}

/// Who calls, and the consent that their token opens; `None` for a client's own token, and where there are no tokens.
struct Caller {
    client_id: String,
    consent_id: Option<String>,
}

/// The caller by its token, or by the organizationIdentifier of its certificate at a bank that gives none.
fn caller(bank: &Inner, books: &Books, peer: &PeerCertificate, headers: &HeaderMap) -> Result<Caller, Problem> {
    if bank.policy.sca == Sca::Oauth {
        let token = token(bank, books, peer, headers)?;
        return Ok(Caller { client_id: token.client_id.clone(), consent_id: token.consent_id.clone() });
    }
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let subject = peer.subject.to_ascii_lowercase();
    let known = bank.clients.iter().map(|client| &client.registered.client_id).find(|id| subject.contains(&hex(id)));
    known.map(|id| Caller { client_id: id.clone(), consent_id: None }).ok_or(problem::CERTIFICATE_UNKNOWN)
}

/// What a call to the account resources may see, after the checks in the order banks make them.
struct Opened {
    /// The customer, by position.
    psu: usize,
    owner_name: bool,
    resources: Vec<Resource>,
    /// Whether the whole history is open: the PSU is there or has just signed in.
    fresh: bool,
}

impl Opened {
    /// The account behind a resource id.
    fn find<'b>(&self, bank: &'b Inner, id: &str) -> Result<(&Resource, &'b Account), Problem> {
        let unknown = problem::ACCOUNT_UNKNOWN;
        let resource = self.resources.iter().find(|resource| resource.id.to_string() == id).ok_or(unknown)?;
        Ok((resource, self.account(bank, resource).ok_or(unknown)?))
    }

    fn account<'b>(&self, bank: &'b Inner, resource: &Resource) -> Option<&'b Account> {
        bank.data.psus.get(self.psu)?.accounts.get(resource.account)
    }
}

/// Token, consent, validity, status, allowance; `uri` is what the bank counts unattended reads by.
fn open(bank: &Inner, peer: &PeerCertificate, headers: &HeaderMap, uri: &str) -> Result<Opened, Problem> {
    let attended = psu_is_present(headers)?;
    let (now, today) = (bank.now(), bank.today());
    let mut books = bank.books();
    let caller = caller(bank, &books, peer, headers)?;
    let consent_id =
        headers.get(&CONSENT_ID).and_then(|value| value.to_str().ok()).ok_or(problem::REQUEST_CONSENT_ID_MISSING)?;
    let consent = books.consent(consent_id, now, today).ok_or(problem::CONSENT_UNKNOWN)?;
    if consent.client_id != caller.client_id {
        return Err(problem::CONSENT_CLIENT_MISMATCH);
    }
    if bank.policy.sca == Sca::Oauth && caller.consent_id.as_deref() != Some(consent_id) {
        return Err(problem::TOKEN_SCOPE_MISMATCH);
    }
    let psu = usable(consent)?;
    let (recurring, frequency) = (consent.recurring, consent.frequency_per_day);
    let since = consent.authorised_at.map_or(i64::MAX, |at| now.as_second() - at.as_second());
    let opened = Opened {
        psu,
        owner_name: consent.owner_name,
        resources: consent.resources.clone(),
        fresh: attended || since <= bank.policy.fresh_seconds,
    };
    consent.first_used.get_or_insert(today);
    consent.last_action = today;
    // A one-off consent is counted even when the PSU is there.
    if (!attended || !recurring) && !books.count_read(consent_id, today, uri, frequency) {
        return Err(problem::CONSENT_FREQUENCY_EXCEEDED);
    }
    Ok(opened)
}

/// A settled consent that may be used, by its customer.
fn usable(consent: &Consent) -> Result<usize, Problem> {
    match (consent.status, consent.psu) {
        (ConsentStatus::Valid, Some(psu)) => Ok(psu),
        (ConsentStatus::Received | ConsentStatus::PartiallyAuthorised | ConsentStatus::RevokedByPsu, _) => {
            Err(problem::CONSENT_STATUS_INVALID)
        }
        _ => Err(problem::CONSENT_EXPIRED),
    }
}
