//! Data keys under the epoch keys of their tenant.

use std::fmt;
use std::sync::Arc;

use domain::ids::TenantId;
use domain::limits;
use domain::world::World;
use jiff::Timestamp;

use crate::provider::{Destroyed, EpochState, KeyError, KeyProvider};
use crate::{DataKey, SigningKey};

/// A data key as it is stored: wrapped, and by which epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// The epoch whose key wraps it.
    pub epoch: i64,
    /// The wrapped key (RFC 3394: 40 bytes).
    pub bytes: Vec<u8>,
}

/// How long epochs are and how many of them can still be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochPolicy {
    /// Length of an epoch in seconds; at least 1.
    pub seconds: i64,
    /// Epochs kept openable beside the current one.
    pub kept: i64,
    /// Seconds from the end of an epoch key until nobody can bring it back: 0 where the provider destroys it at once.
    pub pending_seconds: i64,
}

impl Default for EpochPolicy {
    fn default() -> Self {
        Self { seconds: limits::EPOCH_SECONDS, kept: limits::EPOCHS_KEPT, pending_seconds: 0 }
    }
}

impl EpochPolicy {
    /// The epoch that a moment falls in: whole lengths since 1970, rounded down.
    pub fn epoch_at(self, now: Timestamp) -> i64 {
        now.as_second().div_euclid(self.seconds.max(1))
    }

    /// The oldest epoch that has to stay openable at this moment.
    pub fn oldest_kept_at(self, now: Timestamp) -> i64 {
        self.epoch_at(now).saturating_sub(self.kept)
    }

    /// The moment from which whatever was wrapped last under the key of `epoch` is unreadable in every copy: the key falls
    /// due for destruction, and has had the time in which its provider could bring it back. `None` beyond the year 9999.
    pub fn unreadable_after(self, epoch: i64) -> Option<Timestamp> {
        let first_without = epoch.checked_add(self.kept)?.checked_add(1)?;
        let due = first_without.checked_mul(self.seconds.max(1))?;
        Timestamp::from_second(due.checked_add(self.pending_seconds)?).ok()
    }
}

/// Makes, opens and rewraps data keys, and retires epochs.
#[derive(Clone)]
pub struct Vault {
    provider: Arc<dyn KeyProvider>,
    policy: EpochPolicy,
}

impl Vault {
    /// A vault on a provider with epochs of the default length.
    pub fn new(provider: Arc<dyn KeyProvider>) -> Self {
        Self::with_policy(provider, EpochPolicy::default())
    }

    /// A vault with epochs of another length, for virtual time and for operators with other backup horizons.
    pub fn with_policy(provider: Arc<dyn KeyProvider>, policy: EpochPolicy) -> Self {
        Self { provider, policy }
    }

    /// The lengths in force.
    pub const fn policy(&self) -> EpochPolicy {
        self.policy
    }

    /// What kind of provider holds the keys, as evidence names it.
    pub fn provider_kind(&self) -> &'static str {
        self.provider.kind()
    }

    /// A new data key and its wrapped form under the current epoch.
    pub fn new_key(&self, tenant: TenantId, world: &World<'_>) -> Result<(DataKey, Wrapped), KeyError> {
        let key = DataKey::generate(world.entropy);
        let wrapped = self.wrap(tenant, &key, world)?;
        Ok((key, wrapped))
    }

    /// Opens a stored data key.
    pub fn open_key(&self, tenant: TenantId, wrapped: &Wrapped) -> Result<DataKey, KeyError> {
        self.provider.unwrap(tenant, wrapped.epoch, &wrapped.bytes)
    }

    /// The same data key under the current epoch; `None` when it already is, or is under a later one.
    pub fn rewrap(&self, tenant: TenantId, wrapped: &Wrapped, world: &World<'_>) -> Result<Option<Wrapped>, KeyError> {
        if wrapped.epoch >= self.policy.epoch_at(world.now) {
            return Ok(None);
        }
        self.wrap(tenant, &self.open_key(tenant, wrapped)?, world).map(Some)
    }

    fn wrap(&self, tenant: TenantId, key: &DataKey, world: &World<'_>) -> Result<Wrapped, KeyError> {
        let epoch = self.policy.epoch_at(world.now);
        let bytes = match self.provider.wrap(tenant, epoch, key) {
            Err(KeyError::Missing { .. }) => {
                self.provider.create_epoch(tenant, epoch, world.entropy)?;
                self.provider.wrap(tenant, epoch, key)?
            }
            other => other?,
        };
        Ok(Wrapped { epoch, bytes })
    }

    /// Destroys every epoch key of a tenant before `epoch`, and names all that are gone for good, those of earlier calls
    /// included: a caller that was killed before it put a destruction on record learns of it again. What its provider could
    /// still bring back is refused, and named by a later call.
    ///
    /// The caller must have rewrapped every data key that is to live on: this crate cannot know of them. An interrupted
    /// destruction is finished by the next call.
    pub fn destroy_epochs_before(
        &self,
        tenant: TenantId,
        epoch: i64,
        now: Timestamp,
    ) -> Result<Vec<Destroyed>, KeyError> {
        self.provider
            .epochs(tenant)?
            .into_iter()
            .filter(|state| state.epoch() < epoch)
            .map(|state| match state {
                EpochState::Destroyed(_) => Ok(state),
                EpochState::Present { epoch } | EpochState::Destroying { epoch } => {
                    self.provider.destroy_epoch(tenant, epoch, now)
                }
            })
            .filter_map(|state| match state {
                Ok(EpochState::Destroyed(fact)) => Some(Ok(fact)),
                Ok(EpochState::Present { .. } | EpochState::Destroying { .. }) => None,
                Err(error) => Some(Err(error)),
            })
            .collect()
    }

    /// All epochs of a tenant, destroyed ones included, in order.
    pub fn epochs(&self, tenant: TenantId) -> Result<Vec<EpochState>, KeyError> {
        self.provider.epochs(tenant)
    }

    /// The tenant's signing key of a generation; see [`KeyProvider::signing_key`].
    pub fn signing_key(&self, tenant: TenantId, generation: u32, world: &World<'_>) -> Result<SigningKey, KeyError> {
        self.provider.signing_key(tenant, generation, world.entropy)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("policy", &self.policy).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use uuid::Uuid;

    use super::*;
    use crate::FileProvider;
    use crate::testing::SeededEntropy;

    const DAY: i64 = 86_400;

    fn vault() -> (TempDir, Vault) {
        let folder = tempfile::tempdir().unwrap();
        let provider = FileProvider::open(folder.path().join("keys")).unwrap();
        (folder, Vault::new(Arc::new(provider)))
    }

    fn tenant(n: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(n))
    }

    fn day(entropy: &SeededEntropy, n: i64) -> World<'_> {
        World { now: Timestamp::from_second(n * DAY + 5).unwrap(), entropy }
    }

    #[test]
    fn epochs_follow_the_clock_and_round_down() {
        let policy = EpochPolicy { seconds: 10, kept: 2, pending_seconds: 0 };
        for (second, epoch) in [(0, 0), (9, 0), (10, 1), (-1, -1), (-10, -1), (-11, -2)] {
            assert_eq!(policy.epoch_at(Timestamp::from_second(second).unwrap()), epoch, "{second}");
        }
        let due = policy.unreadable_after(5).unwrap();
        assert_eq!(due.as_second(), 80);
        let slow = EpochPolicy { pending_seconds: 7, ..policy };
        assert_eq!(slow.unreadable_after(5).unwrap().as_second(), 87, "with the time of the provider");
        assert_eq!(policy.oldest_kept_at(due), 6, "at the due moment epoch 5 is not kept any more");
        assert_eq!(policy.oldest_kept_at(Timestamp::from_second(79).unwrap()), 5, "and a second earlier it is");
        assert_eq!(policy.unreadable_after(i64::MAX), None);
    }

    #[test]
    fn a_survivor_opens_across_epochs_and_an_erased_line_does_not() {
        let (_folder, vault) = vault();
        let entropy = SeededEntropy::new(1);
        let (survivor_key, mut survivor) = vault.new_key(tenant(1), &day(&entropy, 100)).unwrap();
        let (_, erased) = vault.new_key(tenant(1), &day(&entropy, 100)).unwrap();
        let row = survivor_key.seal(b"row", b"plain", &entropy);

        for today in 101..=108 {
            let world = day(&entropy, today);
            survivor = vault.rewrap(tenant(1), &survivor, &world).unwrap().unwrap();
            assert_eq!(vault.rewrap(tenant(1), &survivor, &world).unwrap(), None, "rewrapping is idempotent");
            assert!(vault.open_key(tenant(1), &erased).is_ok(), "within the horizon a backup can still be opened");
            let horizon = vault.policy().oldest_kept_at(world.now);
            let gone = vault.destroy_epochs_before(tenant(1), horizon, world.now).unwrap();
            let expected = if today == 108 { vec![Destroyed { epoch: 100, at: world.now }] } else { vec![] };
            assert_eq!(gone, expected);
        }
        assert!(matches!(vault.open_key(tenant(1), &erased), Err(KeyError::Destroyed { epoch: 100 })));
        let again = vault.destroy_epochs_before(tenant(1), 101, day(&entropy, 110).now).unwrap();
        assert_eq!(again, [Destroyed { epoch: 100, at: day(&entropy, 108).now }], "the first fact stands");
        let opened = vault.open_key(tenant(1), &survivor).unwrap();
        assert_eq!(&**opened.open(b"row", &row).unwrap(), b"plain");
    }

    #[test]
    fn tenants_do_not_open_each_others_keys() {
        let (_folder, vault) = vault();
        let entropy = SeededEntropy::new(1);
        let world = day(&entropy, 100);
        let (_, wrapped) = vault.new_key(tenant(1), &world).unwrap();
        assert!(matches!(vault.open_key(tenant(2), &wrapped), Err(KeyError::Missing { epoch: 100 })));
        vault.new_key(tenant(2), &world).unwrap();
        assert!(matches!(vault.open_key(tenant(2), &wrapped), Err(KeyError::Altered { what: "wrapped key" })));
    }

    #[test]
    fn a_clock_that_runs_backwards_does_not_revive_a_destroyed_epoch() {
        let (_folder, vault) = vault();
        let entropy = SeededEntropy::new(1);
        vault.new_key(tenant(1), &day(&entropy, 100)).unwrap();
        vault.destroy_epochs_before(tenant(1), 101, day(&entropy, 108).now).unwrap();
        let late = vault.new_key(tenant(1), &day(&entropy, 100));
        assert!(matches!(late, Err(KeyError::Destroyed { epoch: 100 })));
    }
}
