//! What a holder of epoch keys and signing keys must be able to do.

use std::io;

use domain::ids::TenantId;
use domain::world::Entropy;
use jiff::Timestamp;

use crate::{DataKey, SigningKey};

/// How data keys are wrapped, as receipts name it.
pub const WRAPPING: &str = "AES-256-KW";

/// Why a key operation failed, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The provider could not be reached or its disk failed: try again later.
    #[error("the key provider is unavailable: could not {doing}")]
    Unavailable {
        /// What was attempted, without paths or keys.
        doing: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The epoch key was destroyed on purpose: what it wrapped is unreadable for ever.
    #[error("the key of epoch {epoch} was destroyed")]
    Destroyed {
        /// The epoch.
        epoch: i64,
    },
    /// The provider never held this key: an operator has connected the wrong one or lost its contents.
    #[error("the key provider does not hold the key of epoch {epoch}")]
    Missing {
        /// The epoch.
        epoch: i64,
    },
    /// The wrapped key does not open, or a key file is not what was written: altered data or another tenant's. An incident.
    #[error("the {what} is not genuine")]
    Altered {
        /// What was altered: `wrapped key`, `key file`.
        what: &'static str,
    },
    /// A service that holds the keys refuses us: an operator has to mend its settings or ours. Nothing is lost.
    #[error("the key service refuses: {reason}")]
    Refused {
        /// Why, as far as it said.
        reason: &'static str,
    },
    /// The provider is set up in a way that is not safe to use: an operator has to mend it.
    #[error("the key folder {folder:?} {problem}")]
    Misconfigured {
        /// The folder, as it was configured.
        folder: std::path::PathBuf,
        /// What is wrong with it, and what to do.
        problem: &'static str,
    },
}

/// The fact that an epoch key is gone, for the evidence log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destroyed {
    /// The epoch.
    pub epoch: i64,
    /// When the destruction was complete, by the clock of the caller that completed it.
    pub at: Timestamp,
}

/// One epoch of a tenant as its provider knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochState {
    /// The key exists and may be used.
    Present {
        /// The epoch.
        epoch: i64,
    },
    /// The destruction was begun and not finished: the key is refused; [`KeyProvider::destroy_epoch`] has to be repeated.
    /// A key management service lets days pass in which its operators could bring the key back.
    Destroying {
        /// The epoch.
        epoch: i64,
    },
    /// The key is gone.
    Destroyed(Destroyed),
}

impl EpochState {
    /// The epoch's number.
    pub const fn epoch(self) -> i64 {
        match self {
            Self::Present { epoch } | Self::Destroying { epoch } | Self::Destroyed(Destroyed { epoch, .. }) => epoch,
        }
    }
}

/// Holds epoch keys and signing keys outside PostgreSQL and its backups.
///
/// An epoch key is 256 bits and wraps data keys by AES key wrap (RFC 3394). Every operation may be called by several
/// processes at once, may be killed at any point and may be repeated.
pub trait KeyProvider: Send + Sync {
    /// What kind of provider this is, as evidence names it: `file`, `pkcs11`, `kms`.
    fn kind(&self) -> &'static str;

    /// Makes the key of an epoch unless there is one. A destroyed epoch is never made again: [`KeyError::Destroyed`].
    fn create_epoch(&self, tenant: TenantId, epoch: i64, entropy: &dyn Entropy) -> Result<(), KeyError>;

    /// Wraps a data key under an epoch key.
    fn wrap(&self, tenant: TenantId, epoch: i64, key: &DataKey) -> Result<Vec<u8>, KeyError>;

    /// Opens what [`KeyProvider::wrap`] made.
    fn unwrap(&self, tenant: TenantId, epoch: i64, wrapped: &[u8]) -> Result<DataKey, KeyError>;

    /// Destroys an epoch key for good, or begins to: from here on it is refused. Repeating it ends in the same fact; an epoch
    /// that never was is [`KeyError::Missing`].
    fn destroy_epoch(&self, tenant: TenantId, epoch: i64, now: Timestamp) -> Result<EpochState, KeyError>;

    /// All epochs of a tenant, destroyed ones included, in order.
    fn epochs(&self, tenant: TenantId) -> Result<Vec<EpochState>, KeyError>;

    /// The tenant's signing key of a generation (0, 1, …: a new one for each rotation), made when it is first asked for.
    ///
    /// A provider that lost its contents would make a new key here; callers keep the public key on record and compare.
    fn signing_key(&self, tenant: TenantId, generation: u32, entropy: &dyn Entropy) -> Result<SigningKey, KeyError>;
}
