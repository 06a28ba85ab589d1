//! The bank's own log: what it did and, above all, why it said no.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::extract::Request;
use jiff::Timestamp;
use jiff::civil::Date;

/// Lines kept; the oldest go first.
const LINES_MAX: usize = 10_000;

/// One thing that happened at the bank. Neither tokens nor codes nor bank data appear in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The bank's time.
    pub at: Timestamp,
    /// Where: `par`, `token`, `authorize`, `accounts` …
    pub endpoint: &'static str,
    /// Whether the bank refused.
    pub refused: bool,
    /// What: `request_object.aud.mismatch`, `token.binding.mismatch`, `consent.created` …
    pub code: String,
    /// One sentence for whoever must mend it.
    pub detail: String,
}

/// A request as it came to the interface, before anything looked at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The bank's time.
    pub at: Timestamp,
    /// Method and path.
    pub request: String,
    /// The consent that the request names: in `Consent-ID`, or in its path, or by its token.
    pub consent: Option<String>,
    /// Whether it says that the PSU is there, in the way of any standard.
    pub attended: bool,
    /// The first day that it asks transactions of (`dateFrom`).
    pub from: Option<Date>,
}

impl Call {
    /// What a request says about itself.
    pub(crate) fn of(request: &Request, behind: Option<String>, attended: bool, at: Timestamp) -> Self {
        let path = request.uri().path();
        let named = request.headers().get("consent-id").and_then(|value| value.to_str().ok());
        let in_path = || path.strip_prefix("/v1/consents/").and_then(|rest| rest.split('/').next());
        let query = request.uri().query().unwrap_or_default();
        let from = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "dateFrom");
        Self {
            at,
            request: format!("{} {path}", request.method()),
            consent: named.or_else(in_path).map(str::to_owned).or(behind),
            attended,
            from: from.and_then(|(_, day)| day.parse().ok()),
        }
    }
}

/// The latest of something, oldest first.
#[derive(Debug)]
pub(crate) struct Latest<T>(Mutex<VecDeque<T>>);

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Latest<T> {
    pub(crate) fn push(&self, line: T) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    pub(crate) fn lines(&self) -> Vec<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Latest<LogLine> {
    pub(crate) fn write(&self, line: LogLine) {
        let LogLine { endpoint, refused, code, detail, .. } = &line;
        if *refused {
            tracing::warn!(endpoint, code, detail, "the bank refused");
        } else {
            tracing::info!(endpoint, code, detail, "at the bank");
        }
        self.push(line);
    }
}
