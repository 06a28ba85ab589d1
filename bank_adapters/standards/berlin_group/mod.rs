//! NextGenPSD2 of the Berlin Group, 1.3.x: consents and account information.
//!
//! Requests follow the Implementation Guidelines 1.3.8; answers are read in every shape that 1.3.8, 1.3.9 and 1.3.11 give
//! them, and as leniently as is safe: unknown fields, words and codes are let be, an error inside a success is an error.

mod consents;
mod lists;
pub mod rows;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use crate::answer::{Accounts, Balances, ConsentState, Ended, Granted, Opened, Transactions};
use crate::ask::{BankConsentId, BookingStatus, CallContext, ConsentAsk, NextLink, PageAsk, ResourceId};
use crate::endpoints::HttpsUrl;
use crate::error::{BankError, Breach};
use crate::links::Base;
use crate::profile::{Completion, Profile};
use crate::standards::rest::{secret, visible};
use crate::wire::Reply;
use crate::{Bank, Call, Consents};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CONSENT_ID: HeaderName = HeaderName::from_static("consent-id");
const PSU_IP_ADDRESS: HeaderName = HeaderName::from_static("psu-ip-address");
const PSU_USER_AGENT: HeaderName = HeaderName::from_static("psu-user-agent");
const TPP_REDIRECT_PREFERRED: HeaderName = HeaderName::from_static("tpp-redirect-preferred");
const TPP_DECOUPLED_PREFERRED: HeaderName = HeaderName::from_static("tpp-decoupled-preferred");
const PSU_ID: HeaderName = HeaderName::from_static("psu-id");
const TPP_REDIRECT_URI: HeaderName = HeaderName::from_static("tpp-redirect-uri");
const TPP_NOK_REDIRECT_URI: HeaderName = HeaderName::from_static("tpp-nok-redirect-uri");
const TPP_NOTIFICATION_URI: HeaderName = HeaderName::from_static("tpp-notification-uri");
const TPP_NOTIFICATION_CONTENT_PREFERRED: HeaderName = HeaderName::from_static("tpp-notification-content-preferred");

/// A bank that speaks NextGenPSD2 1.3.x.
pub struct BerlinGroup {
    profile: Arc<Profile>,
    base: Base,
}

impl BerlinGroup {
    /// The bank of a profile, its API at `api`.
    pub fn new(profile: Arc<Profile>, api: &HttpsUrl) -> Self {
        Self { profile, base: Base::new(api) }
    }

    /// A request with the headers that all calls share (Implementation Guidelines §4.1).
    fn request(&self, method: Method, uri: Uri, context: &CallContext) -> Request<Bytes> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(X_REQUEST_ID, visible(&context.request_id.hyphenated().to_string()));
        if let Some(token) = &context.token {
            headers.insert(header::AUTHORIZATION, secret(&format!("Bearer {}", token.expose())));
        }
        if let Some(psu) = &context.psu {
            headers.insert(PSU_IP_ADDRESS, secret(&psu.ip.to_canonical().to_string()));
            let agent = psu.user_agent.as_deref().and_then(|agent| HeaderValue::from_str(agent).ok());
            headers.extend(agent.map(|agent| (PSU_USER_AGENT, agent)));
        }
        request
    }

    /// A read of account data under a consent.
    fn account_request(&self, uri: Uri, consent: &BankConsentId, context: &CallContext) -> Request<Bytes> {
        let mut request = self.request(Method::GET, uri, context);
        request.headers_mut().insert(CONSENT_ID, secret(consent.expose()));
        request
    }

    /// A request whose answer is a success or nothing.
    fn call<T: 'static>(
        &self,
        request: Request<Bytes>,
        read: impl FnOnce(&Reply) -> Result<T, BankError> + Send + 'static,
    ) -> Call<T, BankError> {
        let profile = Arc::clone(&self.profile);
        Call::new(request, move |response, now| read(&Reply::open(profile, response, now)?))
    }
}

impl Bank for BerlinGroup {
    fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }

    fn consents(&self) -> Option<&dyn Consents> {
        Some(self)
    }

    fn accounts(
        &self,
        consent: &BankConsentId,
        next: Option<&NextLink>,
        context: &CallContext,
    ) -> Call<Accounts, BankError> {
        let query: &[_] = if self.profile.accounts.with_balance { &[("withBalance", "true")] } else { &[] };
        let uri = next.map_or_else(|| self.base.resource(&["v1", "accounts"], query), |link| link.0.clone());
        let (base, here) = (self.base.clone(), uri.clone());
        self.call(self.account_request(uri, consent, context), move |reply| lists::accounts(reply, &base, &here))
    }

    fn balances(
        &self,
        consent: &BankConsentId,
        account: &ResourceId,
        context: &CallContext,
    ) -> Call<Balances, BankError> {
        let uri = self.base.resource(&["v1", "accounts", account.as_str(), "balances"], &[]);
        self.call(self.account_request(uri, consent, context), lists::balances)
    }

    fn transactions(
        &self,
        consent: &BankConsentId,
        account: &ResourceId,
        page: PageAsk<'_>,
        context: &CallContext,
    ) -> Call<Transactions, BankError> {
        let uri = match page {
            PageAsk::Next(link) => link.0.clone(),
            PageAsk::First(window) => {
                let (from, to) = (window.from.to_string(), window.to.map(|to| to.to_string()));
                let status = match window.status {
                    BookingStatus::Booked => "booked",
                    BookingStatus::Pending => "pending",
                    BookingStatus::Both => "both",
                };
                let mut query = vec![("bookingStatus", status), ("dateFrom", &from)];
                query.extend(to.as_deref().map(|to| ("dateTo", to)));
                self.base.resource(&["v1", "accounts", account.as_str(), "transactions"], &query)
            }
        };
        let (base, here, profile) = (self.base.clone(), uri.clone(), Arc::clone(&self.profile));
        let mut request = self.account_request(uri, consent, context);
        let wanted = HeaderValue::from_static(self.profile.transactions.form.media_type());
        request.headers_mut().insert(header::ACCEPT, wanted);
        Call::new(request, move |response, now| {
            lists::transactions(&Reply::open_any(profile, response, now)?, &base, &here)
        })
    }
}

impl Consents for BerlinGroup {
    fn open(&self, ask: &ConsentAsk, context: &CallContext) -> Call<Opened, BankError> {
        let mut request = self.request(Method::POST, self.base.resource(&["v1", "consents"], &[]), context);
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let decoupled = self.profile.consent.completion == Completion::Decoupled;
        let redirect = HeaderValue::from_static(if decoupled { "false" } else { "true" });
        headers.insert(TPP_REDIRECT_PREFERRED, redirect);
        if decoupled {
            headers.insert(TPP_DECOUPLED_PREFERRED, HeaderValue::from_static("true"));
        }
        headers.extend(ask.login_name.as_ref().map(|name| (PSU_ID, secret(name.expose()))));
        headers.insert(TPP_REDIRECT_URI, visible(returning(ask).as_str()));
        if let Some(uri) = &ask.nok_redirect_uri {
            headers.insert(TPP_NOK_REDIRECT_URI, visible(uri.as_str()));
        }
        if let Some(uri) = ask.notification_uri.as_ref().filter(|_| self.profile.consent.status_push) {
            headers.insert(TPP_NOTIFICATION_URI, visible(uri.as_str()));
            headers.insert(TPP_NOTIFICATION_CONTENT_PREFERRED, HeaderValue::from_static("status=LAST"));
        }
        *request.body_mut() = consents::body(ask, &self.profile.consent);
        let base = self.base.clone();
        self.call(request, move |reply| consents::opened(reply, &base))
    }

    fn status(&self, consent: &BankConsentId, context: &CallContext) -> Call<ConsentState, BankError> {
        let uri = self.base.resource(&["v1", "consents", consent.expose(), "status"], &[]);
        let profile = Arc::clone(&self.profile);
        Call::new(self.request(Method::GET, uri, context), move |response, now| {
            consents::status(Reply::open(profile, response, now))
        })
    }

    fn read(&self, consent: &BankConsentId, context: &CallContext) -> Call<Granted, BankError> {
        let uri = self.base.resource(&["v1", "consents", consent.expose()], &[]);
        self.call(self.request(Method::GET, uri, context), consents::granted)
    }

    fn end(&self, consent: &BankConsentId, context: &CallContext) -> Call<Ended, BankError> {
        let uri = self.base.resource(&["v1", "consents", consent.expose()], &[]);
        let profile = Arc::clone(&self.profile);
        Call::new(self.request(Method::DELETE, uri, context), move |response, now| {
            consents::ended(profile, response, now)
        })
    }
}

/// Where the browser comes back to, with what it has to bring along.
fn returning(ask: &ConsentAsk) -> Url {
    let mut back = ask.redirect_uri.clone();
    if let Some(state) = &ask.state {
        back.query_pairs_mut().append_pair("state", state);
    }
    back
}

/// The target of a link: `{"href": "…"}`, the bare text, or either inside a list, as some banks have it. A link that is
/// there and cannot be read is not an absent one.
fn href(links: Option<&RawValue>, name: &'static str) -> Option<Result<String, Breach>> {
    let links: Value = serde_json::from_str(links?.get()).ok()?;
    let link = match &links {
        Value::Array(several) => several.iter().find_map(|one| one.get(name))?,
        one => one.get(name)?,
    };
    match link.get("href").unwrap_or(link) {
        Value::Null => None,
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(text) => Some(Ok(text.clone())),
        _ => Some(Err(Breach::Field(name))),
    }
}
