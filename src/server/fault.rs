//! Named points at which a test may kill the process: every commit and effect boundary of a fetch and of a deletion.
//!
//! With the feature `faults` the environment variable `TRIBUTARY_FAULT=name` or `name:n` aborts the process the first
//! (or n-th) time that point is passed, as `kill -9` would: no destructor runs. Without the feature it is nothing.

/// Passes the point `name`.
#[cfg(feature = "faults")]
pub fn point(name: &'static str) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static PASSED: AtomicU32 = AtomicU32::new(0);
    let Ok(wanted) = std::env::var("TRIBUTARY_FAULT") else { return };
    let (wanted, nth) =
        wanted.split_once(':').map_or((wanted.as_str(), 1), |(name, nth)| (name, nth.parse().unwrap_or(1)));
    if wanted == name && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == nth {
        std::process::abort();
    }
}

/// Passes the point `name`.
#[cfg(not(feature = "faults"))]
pub const fn point(_name: &'static str) {}

/// Every point, in the order in which a journey passes them.
pub const POINTS: &[&str] = &[
    "login.intent_stored",
    "login.bank_consent_created",
    "login.bank_consent_stored",
    "login.code_claimed",
    "login.code_redeemed",
    "login.tokens_stored",
    "fetch.begun",
    "fetch.refresh_intended",
    "fetch.refreshed",
    "fetch.accounts_stored",
    "fetch.balances_stored",
    "fetch.page_before_commit",
    "fetch.page_committed",
    "fetch.line_done",
    "fetch.finish_before_commit",
    "fetch.finished",
    "revoke.before_commit",
    "revoke.committed",
    "revocation.bank_told",
    "revocation.before_commit",
    "revocation.settled",
    "deletion.batch_before_commit",
    "deletion.batch_committed",
    "deletion.erased",
    "deletion.shred_before_commit",
    "deletion.shredded",
    "deletion.receipt_before_commit",
    "deletion.receipted",
];
