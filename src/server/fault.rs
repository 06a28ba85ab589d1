//! Named points at which a test may stop a node: every commit and effect boundary of a fetch, of a deletion up to
//! the end of its keys' epochs, of a tenant's end, and of a delivery.
//!
//! With the feature `faults` the environment variable `TRIBUTARY_FAULT` names a point. `name` or `name:n` aborts the
//! process the first (or n-th) time it is passed, as `kill -9` would: no destructor runs. `name:hold` holds the task that
//! passes it first, and nothing else, until the file named in `TRIBUTARY_FAULT_RELEASE` is there; the log says when it
//! begins. Without the feature all of this is nothing.

/// Passes the point `name`.
#[cfg(feature = "faults")]
pub fn point(name: &'static str) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static PASSED: AtomicU32 = AtomicU32::new(0);
    let Ok(fault) = std::env::var("TRIBUTARY_FAULT") else { return };
    let (wanted, how) = fault.split_once(':').unwrap_or((&fault, "1"));
    if wanted != name {
        return;
    }
    let passed = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    if how == "hold" && passed == 1 {
        hold(name);
    } else if how.parse() == Ok(passed) {
        std::process::abort();
    }
}

#[cfg(feature = "faults")]
fn hold(name: &'static str) {
    let Some(release) = std::env::var_os("TRIBUTARY_FAULT_RELEASE").map(std::path::PathBuf::from) else { return };
    tracing::info!(point = name, "held");
    tokio::task::block_in_place(|| {
        while !release.exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
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
    "fetch.refresh_stored",
    "fetch.accounts_stored",
    "fetch.balances_stored",
    "fetch.page_before_commit",
    "fetch.page_committed",
    "fetch.line_before_commit",
    "fetch.line_done",
    "fetch.finish_before_commit",
    "fetch.finished",
    "replay.page_before_commit",
    "replay.page_committed",
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
    "epochs.rewrapped",
    "epochs.destroyed",
    "epochs.before_commit",
    "epochs.recorded",
    "offboarding.keys_withdrawn",
    "offboarding.consent_ended",
    "offboarding.recorded",
    "offboarding.bundle_written",
    "delivery.sent",
    "delivery.settled",
];
