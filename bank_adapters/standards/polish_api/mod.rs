//! Polish API 3.0 and 2.1: account information, as banks in Poland offer it.
//!
//! Every read is a POST whose body names the account, the days and the page; its `requestHeader` says who asks and whether
//! the PSU is there. What is shared is written into the authorisation request (`scope_details`) under an id of our own, by
//! which it is ended again. Each status has a list of its own; what is held on an account (`getHolds`) follows what is
//! pending.
//!
//! The standard's own messages of the authorisation server (`authorize` and `token` with bodies of JSON) are not spoken:
//! the request goes the way of the profile's `[security]`.

pub mod rows;

use std::sync::Arc;

use bytes::Bytes;
use domain::records::List;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use super::rest::{Missing, Paging, Rest, visible};
use crate::answer::{Accounts, Balances, Continuation, Ended, Transactions};
use crate::ask::{
    Authorization, BankConsentId, BookingStatus, CallContext, NextLink, PageAsk, ResourceId, Sharing, Window,
};
use crate::endpoints::HttpsUrl;
use crate::error::BankError;
use crate::profile::Profile;
use crate::seal::{self, SealError, Sender};
use crate::{Bank, Call, Consents};

/// A page is named by an id, or by a link where the bank gives one.
const NEXT: Paging = Paging::LinkOrKey("_links.next", &[("pageInfo.nextPage", "pageId")]);

const DONE: &str = "getTransactionsDone";
const PENDING: &str = "getTransactionsPending";
const HOLDS: &str = "getHolds";

/// A bank that speaks Polish API.
pub struct PolishApi {
    rest: Rest,
    /// `v3_0.1`: the version of the standard and the bank's own, as the paths have it twice.
    version: String,
}

/// The same id stands in the body. `Accept-*` are mandatory.
fn headers(context: &CallContext, headers: &mut HeaderMap) {
    let id = context.request_id.hyphenated().to_string();
    headers.insert(HeaderName::from_static("x-request-id"), visible(&id));
    headers.insert(header::ACCEPT_CHARSET, HeaderValue::from_static("utf-8"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static("pl"));
}

impl PolishApi {
    /// The bank of a profile, its API at `api`; `/v3_0.1/accounts/v3_0.1/…` follows it.
    pub fn new(profile: Arc<Profile>, api: &HttpsUrl) -> Self {
        let version = &profile.bank.version;
        let (standard, own) = version.rsplit_once('.').unwrap_or((version, "1"));
        let version = format!("v{}.{own}", standard.replace('.', "_"));
        Self { rest: Rest::new(profile, api, headers), version }
    }

    /// An operation and what its body says, written as an address: pages follow by the address of the one before.
    fn ask(&self, operation: &str, members: &[(&str, &str)]) -> Uri {
        self.rest.base.resource(&[&self.version, "accounts", &self.version, operation], members)
    }

    /// The call as it is sent: what the address says for our own use goes into the body.
    fn posted<T: 'static>(&self, call: Call<T, BankError>, context: &CallContext) -> Call<T, BankError> {
        let (mut request, read) = call.split();
        let query = request.uri().query().unwrap_or_default();
        let said = url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into_owned(), value.into()));
        let mut body: Map<String, Value> = said.collect();
        body.insert("requestHeader".to_owned(), header_of(context));
        let bare = self.rest.base.bare(request.uri());
        *request.uri_mut() = bare;
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Value::Object(body).to_string().into();
        Call::new(request, read)
    }

    /// A page of one of the lists of an account.
    fn page(&self, uri: Uri, context: &CallContext) -> Call<Transactions, BankError> {
        let holds = uri.path().ends_with(PENDING).then(|| self.holds_behind(&uri));
        let booked = uri.path().ends_with(DONE);
        let request = self.rest.get(uri, context);
        let call = if booked {
            self.rest.transactions(request, ("transactions", NEXT), |raw, _| rows::transaction(raw, List::Booked))
        } else if holds.is_some() {
            self.rest.transactions(request, ("transactions", NEXT), |raw, _| rows::transaction(raw, List::Pending))
        } else {
            self.rest.transactions(request, ("holds", NEXT), |raw, _| rows::transaction(raw, List::Pending))
        };
        let call = call.map(move |mut page| {
            if let (Continuation::End, Some(holds)) = (&page.next, holds) {
                page.next = Continuation::Next(NextLink(holds));
            }
            page
        });
        self.posted(call, context)
    }

    /// The first page of what is held on the account that `uri` asks about.
    fn holds_behind(&self, uri: &Uri) -> Uri {
        let query = uri.query().unwrap_or_default();
        let account = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "accountNumber");
        self.ask(HOLDS, &[("accountNumber", account.as_ref().map_or("", |(_, number)| number))])
    }

    fn first(&self, account: &ResourceId, window: Window) -> Uri {
        let operation = if window.status == BookingStatus::Pending { PENDING } else { DONE };
        let (from, to) = (window.from.to_string(), window.to.map(|to| to.to_string()));
        let mut members = vec![("accountNumber", account.as_str())];
        if window.status != BookingStatus::Pending {
            members.push(("bookingDateFrom", &from));
            members.extend(to.as_deref().map(|to| ("bookingDateTo", to)));
        }
        self.ask(operation, &members)
    }
}

/// Who asks. Address and program are the PSU's and are there only when the PSU is.
fn header_of(context: &CallContext) -> Value {
    let mut header = json!({
        "requestId": context.request_id.hyphenated().to_string(),
        "isDirectPsu": context.psu.is_some(),
    });
    if let Some(psu) = &context.psu {
        header["ipAddress"] = psu.ip.to_canonical().to_string().into();
        header["userAgent"] = psu.user_agent.clone().unwrap_or_default().into();
    }
    header
}

impl Bank for PolishApi {
    fn profile(&self) -> &Arc<Profile> {
        &self.rest.profile
    }

    fn consents(&self) -> Option<&dyn Consents> {
        None
    }

    fn accounts(&self, _: &BankConsentId, next: Option<&NextLink>, context: &CallContext) -> Call<Accounts, BankError> {
        let uri = next.map_or_else(|| self.ask("getAccounts", &[]), |link| link.0.clone());
        let call = self.rest.accounts(self.rest.get(uri, context), ("accounts", NEXT), rows::account);
        self.posted(call, context)
    }

    /// The account itself tells its balances.
    fn balances(&self, _: &BankConsentId, account: &ResourceId, context: &CallContext) -> Call<Balances, BankError> {
        let uri = self.ask("getAccount", &[("accountNumber", account.as_str())]);
        let call = self.rest.balances(self.rest.get(uri, context), "account", rows::balances);
        self.posted(call, context)
    }

    fn transactions(
        &self,
        _: &BankConsentId,
        account: &ResourceId,
        page: PageAsk<'_>,
        context: &CallContext,
    ) -> Call<Transactions, BankError> {
        let uri = match page {
            PageAsk::Next(link) => link.0.clone(),
            PageAsk::First(window) => self.first(account, window),
        };
        self.page(uri, context)
    }

    /// `scope_details`: which operations, how often, how far back and until when.
    fn authorization(&self, consent: &BankConsentId, sharing: &Sharing) -> Authorization {
        let profile = &self.rest.profile;
        let again = json!({ "scopeUsageLimit": "multiple" });
        let days = profile.transactions.history_days_after_sca.unwrap_or(profile.transactions.history_days);
        let list = json!({ "scopeUsageLimit": "multiple", "maxAllowedHistoryLong": days });
        let mut privileges = Map::new();
        privileges.insert("ais-accounts:getAccounts".to_owned(), again.clone());
        if sharing.clusters.balances {
            privileges.insert("ais:getAccount".to_owned(), again);
        }
        if sharing.clusters.transactions {
            let operations = [DONE, PENDING, HOLDS].map(|operation| (format!("ais:{operation}"), list.clone()));
            privileges.extend(operations);
        }
        let details = json!({
            "privilegeList": [privileges],
            "scopeGroupType": "ais",
            "consentId": consent.expose(),
            "scopeTimeLimit": sharing.until.to_string(),
            "throttlingPolicy": "psd2Regulatory",
        });
        Authorization { scope_details: Some(details), ..profile.authorization(consent) }
    }

    /// The body says who sends it, when, and with which token.
    fn finish(&self, mut request: Request<Bytes>, sender: &Sender<'_>) -> Result<Request<Bytes>, SealError> {
        let mut body: Value = serde_json::from_slice(request.body()).map_err(|_| SealError::Request)?;
        let header = &mut body["requestHeader"];
        header["tppId"] = sender.client_id.into();
        header["sendDate"] = sender.now.to_string().into();
        if let Some(token) = sender.token {
            header["token"] = token.expose_secret().into();
        }
        *request.body_mut() = body.to_string().into();
        let profile = &self.rest.profile;
        seal::signed(profile.signature.as_ref().map(|signature| signature.form), request, sender)
    }

    fn end(&self, consent: &BankConsentId, context: &CallContext) -> Option<Call<Ended, BankError>> {
        let request = self.rest.get(self.ask("deleteConsent", &[("consentId", consent.expose())]), context);
        // One address ends every consent: what is not found there is the operation. Only a 204 speaks of the consent.
        Some(self.posted(self.rest.ended(request, Missing::Operation), context))
    }
}
