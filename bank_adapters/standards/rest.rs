//! What the standards of JSON over HTTP have in common: a request with the standard's headers, a list under a path of
//! members, and what leads to the next page.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use domain::limits::{ACCOUNTS_PER_CONSENT_MAX, ROWS_PER_BANK_PAGE_MAX};
use domain::records::{List, Parsed, ParsedAccount, ParsedBalance};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Call;
use crate::answer::{AccountRow, Accounts, Balances, Continuation, Ended, Row, Transactions};
use crate::ask::{CallContext, ResourceId};
use crate::endpoints::HttpsUrl;
use crate::error::{BankError, Breach, Shape};
use crate::links::Base;
use crate::profile::Profile;
use crate::wire::{Answer, Reply, bounded, problem};

const X_FAPI_INTERACTION_ID: HeaderName = HeaderName::from_static("x-fapi-interaction-id");
const X_FAPI_AUTH_DATE: HeaderName = HeaderName::from_static("x-fapi-auth-date");
const X_FAPI_CUSTOMER_IP_ADDRESS: HeaderName = HeaderName::from_static("x-fapi-customer-ip-address");

/// The account interface of one bank in a standard.
#[derive(Clone)]
pub(super) struct Rest {
    pub(super) profile: Arc<Profile>,
    pub(super) base: Base,
    /// What the standard wants in the headers of every call, beside the token.
    headers: fn(&CallContext, &mut HeaderMap),
}

/// What leads to the next page.
#[derive(Clone, Copy)]
pub(super) enum Paging {
    /// A link at this path: a text, or an object with `href`.
    Link(&'static str),
    /// A key at one of these paths, sent as the parameter of its name.
    Key(&'static [(&'static str, &'static str)]),
    /// A link at the first path; where there is none, a key at one of the others, sent as the parameter of its name.
    LinkOrKey(&'static str, &'static [(&'static str, &'static str)]),
}

impl Rest {
    pub(super) fn new(profile: Arc<Profile>, api: &HttpsUrl, headers: fn(&CallContext, &mut HeaderMap)) -> Self {
        Self { profile, base: Base::new(api), headers }
    }

    /// A request with the headers of every call.
    pub(super) fn request(&self, method: Method, uri: Uri, context: &CallContext) -> Request<Bytes> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(token) = &context.token {
            headers.insert(header::AUTHORIZATION, secret(&format!("Bearer {}", token.expose())));
        }
        (self.headers)(context, headers);
        request
    }

    pub(super) fn get(&self, uri: Uri, context: &CallContext) -> Request<Bytes> {
        self.request(Method::GET, uri, context)
    }

    /// A request with a JSON body.
    pub(super) fn post(&self, uri: Uri, context: &CallContext, body: &serde_json::Value) -> Request<Bytes> {
        let mut request = self.request(Method::POST, uri, context);
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Bytes::from(body.to_string());
        request
    }

    /// A request whose answer is a success or nothing.
    pub(super) fn call<T: 'static>(
        &self,
        request: Request<Bytes>,
        read: impl FnOnce(&Reply) -> Result<T, BankError> + Send + 'static,
    ) -> Call<T, BankError> {
        let profile = Arc::clone(&self.profile);
        Call::new(request, move |response, now| read(&Reply::open(profile, response, now)?))
    }

    /// A page of accounts: the list at `items`.
    pub(super) fn accounts(
        &self,
        request: Request<Bytes>,
        (items, paging): (&'static str, Paging),
        read: fn(&RawValue) -> ParsedAccount,
    ) -> Call<Accounts, BankError> {
        let (base, here) = (self.base.clone(), request.uri().clone());
        self.call(request, move |reply| {
            if reply.is_nothing() {
                return Ok(Accounts { rows: Vec::new(), next: Continuation::End, issues: reply.issues() });
            }
            let body: Whole<'_> = reply.read()?;
            let raws = bounded(body.list(reply, items)?, ACCOUNTS_PER_CONSENT_MAX, items)?;
            let row = |raw: &RawValue| {
                let parsed = read(raw);
                let resource = parsed.resource_id.as_ref().and_then(|id| ResourceId::new(&id.value).ok());
                AccountRow { resource, offers: None, row: Row { parsed: Box::new(parsed), raw: reply.raw(raw.get()) } }
            };
            let rows = raws.into_iter().map(row).collect();
            Ok(Accounts { rows, next: body.next(paging, &base, &here), issues: reply.issues() })
        })
    }

    /// The balances of an account: the list or the one object at `items`, each of which may tell several.
    pub(super) fn balances(
        &self,
        request: Request<Bytes>,
        items: &'static str,
        read: fn(&RawValue) -> Vec<ParsedBalance>,
    ) -> Call<Balances, BankError> {
        self.call(request, move |reply| {
            if reply.is_nothing() {
                return Ok(Balances { rows: Vec::new(), issues: reply.issues() });
            }
            let body: Whole<'_> = reply.read()?;
            let raws = bounded(body.list(reply, items)?, ROWS_PER_BANK_PAGE_MAX, items)?;
            let told = |raw| {
                read(raw).into_iter().map(move |parsed| Row { parsed: Box::new(parsed), raw: reply.raw(raw.get()) })
            };
            Ok(Balances { rows: raws.into_iter().flat_map(told).collect(), issues: reply.issues() })
        })
    }

    /// A page of transactions: the list at `items`.
    pub(super) fn transactions(
        &self,
        request: Request<Bytes>,
        (items, paging): (&'static str, Paging),
        read: fn(&RawValue, List) -> Parsed,
    ) -> Call<Transactions, BankError> {
        let (base, here) = (self.base.clone(), request.uri().clone());
        self.call(request, move |reply| {
            if reply.is_nothing() {
                return Ok(Transactions { rows: Vec::new(), next: Continuation::End, issues: reply.issues() });
            }
            let body: Whole<'_> = reply.read()?;
            let raws = bounded(body.list(reply, items)?, ROWS_PER_BANK_PAGE_MAX, items)?;
            let row = |raw: &RawValue| Row { parsed: Box::new(read(raw, List::Unstated)), raw: reply.raw(raw.get()) };
            let rows = raws.into_iter().map(row).collect();
            Ok(Transactions { rows, next: body.next(paging, &base, &here), issues: reply.issues() })
        })
    }

    /// The end of a consent. A refusal that is about the consent proves nothing: its status tells.
    pub(super) fn ended(&self, request: Request<Bytes>, missing: Missing) -> Call<Ended, BankError> {
        let profile = Arc::clone(&self.profile);
        Call::new(request, move |response: Response<Bytes>, now| {
            let problem = problem(response.status(), response.body());
            match response.status() {
                StatusCode::NO_CONTENT => Ok(Ended::Gone),
                StatusCode::NOT_FOUND | StatusCode::GONE => {
                    let by_the_api = matches!(problem.shape, Shape::Errors | Shape::Problem | Shape::Empty);
                    let gone = by_the_api && missing == Missing::Consent;
                    Ok(if gone { Ended::Gone } else { Ended::Unproven(problem) })
                }
                StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::CONFLICT
                | StatusCode::UNPROCESSABLE_ENTITY => Ok(Ended::Unproven(problem)),
                status if status.is_success() => Ok(Ended::Accepted),
                _ => Reply::open(profile, response, now).map(|_| Ended::Accepted),
            }
        })
    }
}

/// What a 404 or 410 at the end of a consent says is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The consent: the address names it.
    Consent,
    /// The operation, perhaps: the address is the same for every consent.
    Operation,
}

/// A body, unread.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Whole<'a>(#[serde(borrow)] &'a RawValue);

/// These standards tell errors in place of data, not beside them: what is missing then is looked for by [`Reply::broken`].
impl Answer for Whole<'_> {
    fn messages(&self) -> Option<&RawValue> {
        None
    }
}

impl<'a> Whole<'a> {
    /// The elements of the list at a path, or the one object that stands there.
    fn list(&self, reply: &Reply, path: &'static str) -> Result<Vec<&'a RawValue>, BankError> {
        let missing = || reply.broken(Breach::Field(path));
        let raw = member(self.0, path).ok_or_else(missing)?;
        if path.is_empty() {
            let refused = problem(StatusCode::OK, raw.get().as_bytes());
            if refused.code.is_some() {
                return Err(missing());
            }
        }
        match raw.get().as_bytes().first() {
            Some(b'[') => serde_json::from_str(raw.get()).map_err(|_| missing()),
            Some(b'{') => Ok(vec![raw]),
            _ => Err(missing()),
        }
    }

    /// What comes after the page at `here`.
    fn next(&self, paging: Paging, base: &Base, here: &Uri) -> Continuation {
        let (link, keys) = match paging {
            Paging::Link(link) => (Some(link), &[][..]),
            Paging::LinkOrKey(link, keys) => (Some(link), keys),
            Paging::Key(keys) => (None, keys),
        };
        match link.and_then(|link| member(self.0, link)).map(|raw| (raw, text(raw))) {
            Some((_, Some(link))) if !link.trim().is_empty() => return base.next(&link, here, "next"),
            Some((raw, None)) if !matches!(raw.get(), "null" | "{}") => {
                return Continuation::Broken(Breach::Field("next"));
            }
            _ => {}
        }
        let key = keys.iter().find_map(|(path, parameter)| Some((text(member(self.0, path)?)?, parameter)));
        match key {
            Some((key, parameter)) if !key.trim().is_empty() => base.again(here, parameter, &key),
            _ => Continuation::End,
        }
    }

    /// The texts of the list at a path.
    pub(super) fn texts(&self, path: &str) -> Option<Vec<String>> {
        serde_json::from_str(member(self.0, path)?.get()).ok()
    }

    /// The text at a path.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        text(member(self.0, path)?)
    }
}

/// The member at a dotted path; the value itself at the empty one.
pub(super) fn member<'a>(raw: &'a RawValue, path: &str) -> Option<&'a RawValue> {
    path.split('.').filter(|name| !name.is_empty()).try_fold(raw, |raw, name| {
        let members: HashMap<Cow<'a, str>, &'a RawValue> = serde_json::from_str(raw.get()).ok()?;
        members.get(name).copied()
    })
}

/// A text, a number as it stands, or the `href` of an object.
fn text(raw: &RawValue) -> Option<String> {
    match raw.get().as_bytes().first()? {
        b'"' => serde_json::from_str(raw.get()).ok(),
        b'-' | b'0'..=b'9' => Some(raw.get().to_owned()),
        b'{' => text(member(raw, "href")?),
        _ => None,
    }
}

/// The headers of the Financial-grade API (FAPI 1.0 Baseline §6.2.2): who asks again and again, since when, and from where.
pub(super) fn fapi(context: &CallContext, headers: &mut HeaderMap) {
    headers.insert(X_FAPI_INTERACTION_ID, visible(&context.request_id.hyphenated().to_string()));
    let date = context.authenticated_at.and_then(|at| DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok());
    headers.extend(date.map(|date| (X_FAPI_AUTH_DATE, visible(&date))));
    if let Some(psu) = &context.psu {
        headers.insert(X_FAPI_CUSTOMER_IP_ADDRESS, secret(&psu.ip.to_canonical().to_string()));
    }
}

/// The same with the browser's own words, as the UK and Brazil want them.
pub(super) fn fapi_with_agent(context: &CallContext, headers: &mut HeaderMap) {
    fapi(context, headers);
    let agent = context.psu.as_ref().and_then(|psu| HeaderValue::from_str(psu.user_agent.as_deref()?).ok());
    headers.extend(agent.map(|agent| (HeaderName::from_static("x-customer-user-agent"), agent)));
}

/// The calendar day of an instant or date of the bank's, in its zone.
pub(super) fn day_of(profile: &Profile, text: &str) -> Option<jiff::civil::Date> {
    match text.parse::<Timestamp>() {
        Ok(instant) => Some(instant.to_zoned(profile.zone()).date()),
        Err(_) => text.parse().ok(),
    }
}

/// The last second of a day in the bank's zone, for standards whose consents end at an instant. `None` where there is no
/// such instant: a consent without end.
pub(super) fn end_of_day(profile: &Profile, day: jiff::civil::Date) -> Option<Timestamp> {
    let next = day.tomorrow().ok()?.to_zoned(profile.zone()).ok()?.timestamp();
    (day.year() < 9999).then(|| next.checked_sub(jiff::SignedDuration::from_secs(1)).ok())?
}

/// A header of text that its type has already bound to visible ASCII.
pub(super) fn visible(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ids, tokens, addresses and URLs are visible ASCII by their types")
}

/// The same, never shown by `Debug` and never kept in a header compression table.
pub(super) fn secret(text: &str) -> HeaderValue {
    let mut value = visible(text);
    value.set_sensitive(true);
    value
}
