//! The bank's own log: what it did and, above all, why it said no.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

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
