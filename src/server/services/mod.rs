//! What the application does: each service loads, steps and saves in one transaction, and leaves effects to after the
//! commit.

pub mod acknowledgement;
pub(crate) mod asking;
pub mod backup;
pub mod compliance;
pub(crate) mod confirmation;
pub mod consents;
pub mod deletion;
pub mod delivery;
pub mod erasure;
pub mod events;
pub mod fetch;
pub mod hints;
pub mod holds;
pub(crate) mod issuer;
pub mod logins;
pub mod notices;
pub mod offboarding;
pub(crate) mod on_demand;
pub mod products;
pub mod raw_rows;
pub mod reconciliation;
pub(crate) mod refresh;
pub mod renewals;
pub mod replay;
pub mod restart;
pub mod restore;
pub mod restriction;
pub mod revocation;
pub(crate) mod rivals;
pub mod rotation;
mod shape;
pub mod signatures;
pub mod staff;
pub mod status;
pub mod themes;
pub mod timestamp;
pub mod withdrawal;
pub mod witness;

use std::future::Future;

use store::StoreError;
use vault::KeyError;

use crate::bank_calls::CallError;

/// Why a service did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The state does not allow it.
    #[error(transparent)]
    Refused(#[from] domain::consent::Refused),
    /// Four eyes, or the state of a hold, do not allow it.
    #[error(transparent)]
    HoldRefused(#[from] domain::hold::Refused),
    /// The bank-side state does not allow it.
    #[error(transparent)]
    GrantRefused(#[from] domain::grant::Refused),
    /// The database: raced, not found, not allowed, unavailable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A bank or its authorisation server.
    #[error(transparent)]
    Call(CallError),
    /// Our own trouble.
    #[error(transparent)]
    Ours(#[from] anyhow::Error),
}

impl From<CallError> for ServiceError {
    /// A call that was not made because the consent is over says the same as a row that was not written for it.
    fn from(error: CallError) -> Self {
        match error {
            CallError::Stopped => Self::Store(StoreError::NotAllowed),
            other => Self::Call(other),
        }
    }
}

impl ServiceError {
    /// Stable code for a job's last error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) | Self::GrantRefused(_) | Self::HoldRefused(_) => "state_refused",
            Self::Store(error) if error.is_transient() => "database_unavailable",
            Self::Store(_) => "database",
            Self::Key(_) => "key_unavailable",
            Self::Call(error) => error.code(),
            Self::Ours(_) => "internal",
        }
    }
}

/// How often a transaction may lose to others before that is an error.
const TRIES: u32 = 10;

/// Begins a transaction anew each time the database has broken a tie against it, as it does in a deadlock: nothing of it was
/// written. For what stores the outcome of something that a bank allows once, and for what must come before it.
pub(crate) async fn insist<T, F, Fut>(once: F) -> Result<T, ServiceError>
where
    F: Fn() -> Fut + Send,
    Fut: Future<Output = Result<T, ServiceError>> + Send,
{
    for _ in 1..TRIES {
        match once().await {
            Err(ServiceError::Store(StoreError::Raced)) => {}
            other => return other,
        }
    }
    once().await
}
