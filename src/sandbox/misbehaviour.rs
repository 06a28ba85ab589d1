//! What banks do that no standard allows, switched on by a test: one answer at a time, after the bank has done what it was
//! asked.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use http_body_util::Limited;
use serde_json::{Value, json};

use crate::ecosystem::Ecosystem;
use crate::unrest::is_about_accounts;

/// A class of misbehaviour of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misbehaviour {
    /// A web page of a gateway with 200.
    WebPage,
    /// Nothing at all with 200.
    Empty,
    /// The right answer under the name of another type.
    WrongType,
    /// An error of the standard inside a 200.
    ErrorInside,
    /// The JSON ends early.
    Damaged,
    /// The right answer with amounts under names that nobody has announced.
    OtherNames,
    /// The right answer in Windows-1252.
    OldEncoding,
    /// 503 with `Retry-After`, in seconds.
    Unavailable(u32),
    /// 500 without a word.
    Broken,
    /// 429 with `Retry-After`, in seconds.
    SlowDown(u32),
    /// 401 without a word.
    Unauthorised,
    /// 400 `PERIOD_INVALID`.
    PeriodRefused,
    /// 400: this list or parameter is not offered, whatever the documentation says.
    NotOffered,
    /// A page that leads to itself.
    SamePage,
    /// The same rows on ever new pages.
    EndlessPages,
    /// A link to another host.
    ForeignLink,
}

impl Misbehaviour {
    /// All of them, with usual times.
    pub const ALL: [Self; 16] = [
        Self::WebPage,
        Self::Empty,
        Self::WrongType,
        Self::ErrorInside,
        Self::Damaged,
        Self::OtherNames,
        Self::OldEncoding,
        Self::Unavailable(120),
        Self::Broken,
        Self::SlowDown(300),
        Self::Unauthorised,
        Self::PeriodRefused,
        Self::NotOffered,
        Self::SamePage,
        Self::EndlessPages,
        Self::ForeignLink,
    ];

    /// Whether it is about lists of transactions alone.
    pub(crate) const fn is_of_lists(self) -> bool {
        matches!(self, Self::OtherNames | Self::PeriodRefused | Self::SamePage | Self::EndlessPages | Self::ForeignLink)
    }
}

/// What an interface does not do at all, for as long as a test wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Anything: every connection breaks without an answer.
    Everything,
    /// Let anybody near a consent: 403 without a word.
    Consents,
}

impl Outage {
    /// The answer to a request that it concerns.
    pub(crate) fn answer(self, uri: &Uri) -> Option<Response> {
        match self {
            Self::Everything => Some(Response::new(Body::new(Limited::new(Body::from("nothing"), 0)))),
            Self::Consents if uri.path().contains("/consents/") || uri.path().ends_with("/deleteConsent") => {
                Some((StatusCode::FORBIDDEN, Body::empty()).into_response())
            }
            Self::Consents => None,
        }
    }
}

/// The answer as a misbehaving bank gives it, in the form of its standard. `uri` is what was asked for; `nth` counts such
/// answers.
pub(crate) fn misbehave(
    how: Misbehaviour,
    ecosystem: &Ecosystem,
    uri: &Uri,
    nth: usize,
    right: (StatusCode, Bytes),
) -> Response {
    let (status, body) = right;
    let plain = |status: u16, body: Vec<u8>, kind: &'static str| {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response()
    };
    let json = |status: u16, body: &Value| plain(status, body.to_string().into_bytes(), "application/json");
    let error = |status: u16, code: &str| match (&ecosystem.resources, &ecosystem.posted) {
        (Some(resources), _) => json(status, &(resources.error)(code, "misbehaving")),
        (None, Some(_)) => json(status, &json!({ "code": code, "message": "misbehaving" })),
        (None, None) => {
            json(status, &json!({ "tppMessages": [{ "category": "ERROR", "code": code, "text": "misbehaving" }] }))
        }
    };
    let waiting = |status: u16, seconds: u32| {
        let mut response = plain(status, Vec::new(), "text/plain");
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        response
    };
    let linked = |to: String| {
        let Ok(mut report) = serde_json::from_slice::<Value>(&body) else {
            return (status, body.clone()).into_response();
        };
        match (&ecosystem.resources, &ecosystem.posted) {
            (Some(resources), _) => lay_over(&mut report, (resources.page)(Vec::new(), Some(&to))),
            (None, Some(_)) => report["pageInfo"]["nextPage"] = json!(nth.to_string()),
            (None, None) => report["transactions"]["_links"]["next"] = json!({ "href": to }),
        }
        json(status.as_u16(), &report)
    };
    let here = uri.path_and_query().map_or("/", |path| path.as_str());
    match how {
        Misbehaviour::WebPage => plain(200, b"<html><body>We will be back soon</body></html>".to_vec(), "text/html"),
        Misbehaviour::Empty => plain(200, Vec::new(), "application/json"),
        Misbehaviour::WrongType => plain(status.as_u16(), body.to_vec(), "text/html; charset=iso-8859-1"),
        Misbehaviour::ErrorInside => error(200, "SERVICE_UNAVAILABLE"),
        Misbehaviour::Damaged => plain(200, body.slice(..body.len() / 2).to_vec(), "application/json"),
        Misbehaviour::OtherNames => match serde_json::from_slice(&body) {
            Ok(report) => json(status.as_u16(), &rename_amounts(report)),
            Err(_) => (status, body).into_response(),
        },
        Misbehaviour::OldEncoding => {
            let text = String::from_utf8_lossy(&body);
            let old = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
            plain(status.as_u16(), old, "application/json")
        }
        Misbehaviour::Unavailable(seconds) => waiting(503, seconds),
        Misbehaviour::Broken => (StatusCode::INTERNAL_SERVER_ERROR, Body::empty()).into_response(),
        Misbehaviour::SlowDown(seconds) => waiting(429, seconds),
        Misbehaviour::Unauthorised => (StatusCode::UNAUTHORIZED, Body::empty()).into_response(),
        Misbehaviour::PeriodRefused => error(400, "PERIOD_INVALID"),
        Misbehaviour::NotOffered => error(400, "PARAMETER_NOT_SUPPORTED"),
        Misbehaviour::SamePage => linked(here.to_owned()),
        Misbehaviour::EndlessPages => {
            let first = here.split("again=").next().unwrap_or(here).trim_end_matches(['?', '&']);
            let mark = if first.contains('?') { '&' } else { '?' };
            linked(format!("{first}{mark}again={nth}"))
        }
        Misbehaviour::ForeignLink => linked("https://elsewhere.example/v1/accounts".to_owned()),
    }
}

/// Every member that is called after an amount gets a new name.
fn rename_amounts(value: Value) -> Value {
    match value {
        Value::Array(parts) => parts.into_iter().map(rename_amounts).collect(),
        Value::Object(members) => {
            let renamed = members.into_iter().map(|(name, value)| match name.to_lowercase().contains("amount") {
                true => (format!("{name}V2"), rename_amounts(value)),
                false => (name, rename_amounts(value)),
            });
            Value::Object(renamed.collect())
        }
        plain => plain,
    }
}

/// Lays the members of an object over another; lists stay.
fn lay_over(report: &mut Value, over: Value) {
    match (report, over) {
        (Value::Object(members), Value::Object(over)) => {
            for (name, value) in over {
                lay_over(members.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(_), _) => {}
        (plain, over) => *plain = over,
    }
}

/// A fault that waits for its requests.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) how: Misbehaviour,
    /// What the path ends with.
    pub(crate) ending: String,
    /// So many answers more.
    pub(crate) times: usize,
    /// So many already.
    pub(crate) done: usize,
}

impl Planned {
    /// Whether an answer is to be spoilt.
    pub(crate) fn takes(&self, method: &Method, uri: &Uri) -> bool {
        let reads = method == Method::GET || is_about_accounts(uri);
        self.times > self.done && reads && uri.path().ends_with(&self.ending)
    }
}
