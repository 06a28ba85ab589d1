//! Keys that never leave a service of others: a key management service, or a token. They seal what our folder holds.

use std::fmt;
use std::io;

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::provider::KeyError;

/// First byte of a key file whose key a service sealed.
pub(crate) const SEALED_VERSION: u8 = 2;

/// Why a service did not do what it was asked, by what can be done about it.
#[derive(Debug, thiserror::Error)]
pub enum KeyServiceError {
    /// It could not be reached, did not answer in time, or asks to come back later.
    #[error("the key service is unavailable")]
    Unavailable(#[source] io::Error),
    /// It refuses, and goes on refusing until an operator mends that: no access, a key that was switched off.
    #[error("the key service refuses: {0}")]
    Refused(&'static str),
    /// It knows no such key.
    #[error("the key service does not know the key")]
    Unknown,
    /// What it is to open is not what it sealed there.
    #[error("what the key service sealed is not genuine")]
    Altered,
}

impl KeyServiceError {
    /// The same, of the key of an epoch; `None` is a signing key.
    pub(crate) fn about(self, epoch: Option<i64>, doing: &'static str) -> KeyError {
        match (self, epoch) {
            (Self::Unavailable(source), _) => KeyError::Unavailable { doing, source },
            (Self::Refused(reason), _) => KeyError::Refused { reason },
            (Self::Unknown, Some(epoch)) => KeyError::Missing { epoch },
            (Self::Unknown, None) => KeyError::Refused { reason: "it does not know the key of our signing key" },
            (Self::Altered, _) => KeyError::Altered { what: "key file" },
        }
    }
}

/// A service that makes keys, uses them for us and destroys them. None of its keys is ever seen here.
///
/// Every operation blocks until it is answered or given up, within seconds. Each may be repeated.
pub trait KeyService: fmt::Debug + Send + Sync {
    /// What kind of service this is, as evidence names it: `pkcs11`, `kms`.
    fn kind(&self) -> &'static str;

    /// Makes a key, and gives the name by which the service knows it. `place` is what it is for, in words for the service's
    /// operators.
    fn create(&self, place: &str) -> Result<String, KeyServiceError>;

    /// Seals 32 bytes for a place.
    fn seal(&self, key: &str, place: &str, secret: &[u8; 32]) -> Result<Vec<u8>, KeyServiceError>;

    /// Opens what [`KeyService::seal`] made for the same place.
    fn open(&self, key: &str, place: &str, sealed: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyServiceError>;

    /// Gives a key up: it cannot be used from here on. `Some` is the moment until which an operator of the service could
    /// still bring it back; `None` says that it is gone for good.
    ///
    /// # Errors
    /// [`KeyServiceError::Unknown`] where the service cannot tell a key that is gone from one that it never had.
    fn destroy(&self, key: &str) -> Result<Option<Timestamp>, KeyServiceError>;
}

/// A key as a service holds it: by its name there, with what it sealed.
pub(crate) struct Held {
    pub(crate) key: String,
    pub(crate) sealed: Vec<u8>,
}

impl Held {
    /// Version || length of the name (2 bytes, big-endian) || name || sealed key.
    pub(crate) fn to_bytes(&self) -> Option<Vec<u8>> {
        let length = u16::try_from(self.key.len()).ok()?.to_be_bytes();
        Some([&[SEALED_VERSION], &length[..], self.key.as_bytes(), &self.sealed].concat())
    }

    /// `None` if these are not such bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[SEALED_VERSION, high, low], rest) = bytes.split_first_chunk::<3>()? else { return None };
        let (key, sealed) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        Some(Self { key: std::str::from_utf8(key).ok()?.to_owned(), sealed: sealed.to_owned() })
    }
}

/// What is on record of a destruction that was begun at a service: which key, and since when it is given up for good.
pub(crate) struct Asked {
    pub(crate) key: String,
    pub(crate) until: Option<Timestamp>,
}

impl Asked {
    pub(crate) fn to_text(&self) -> String {
        let until = self.until.map(|until| until.to_string()).unwrap_or_default();
        format!("{}\n{until}", self.key)
    }

    /// Of an empty text, which a folder without a service writes, it is `None`.
    pub(crate) fn from_text(text: &str) -> Result<Option<Self>, KeyError> {
        if text.is_empty() {
            return Ok(None);
        }
        let altered = KeyError::Altered { what: "marker of a destruction" };
        let Some((key, until)) = text.split_once('\n') else { return Err(altered) };
        let until = if until.is_empty() { None } else { Some(until.parse().map_err(|_| altered)?) };
        Ok(Some(Self { key: key.to_owned(), until }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use domain::ids::TenantId;
    use tempfile::TempDir;
    use uuid::Uuid;

    use super::*;
    use crate::testing::SeededEntropy;
    use crate::{DataKey, Destroyed, EpochState, FileProvider, KeyProvider as _};

    /// A service in memory, whose operators can bring a key back for a hundred seconds.
    #[derive(Default)]
    struct Service {
        keys: Mutex<BTreeMap<String, DataKey>>,
        given_up: Mutex<BTreeMap<String, DataKey>>,
        is_out: Mutex<bool>,
    }

    impl fmt::Debug for Service {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Service")
        }
    }

    impl KeyService for Service {
        fn kind(&self) -> &'static str {
            "kms"
        }

        fn create(&self, place: &str) -> Result<String, KeyServiceError> {
            self.answer()?;
            let mut keys = self.keys.lock().unwrap();
            let number = keys.len() as u64;
            let name = format!("key {number} for {place}");
            keys.insert(name.clone(), DataKey::generate(&SeededEntropy::new(number)));
            Ok(name)
        }

        fn seal(&self, key: &str, place: &str, secret: &[u8; 32]) -> Result<Vec<u8>, KeyServiceError> {
            self.answer()?;
            let keys = self.keys.lock().unwrap();
            let key = keys.get(key).ok_or(KeyServiceError::Unknown)?;
            Ok(key.seal(place.as_bytes(), secret, &SeededEntropy::new(9)))
        }

        fn open(&self, key: &str, place: &str, sealed: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyServiceError> {
            self.answer()?;
            if self.given_up.lock().unwrap().contains_key(key) {
                return Err(KeyServiceError::Refused("the key is given up"));
            }
            let keys = self.keys.lock().unwrap();
            let opened = keys.get(key).ok_or(KeyServiceError::Unknown)?.open(place.as_bytes(), sealed);
            let opened = opened.map_err(|_| KeyServiceError::Altered)?;
            Ok(Zeroizing::new(opened.as_slice().try_into().unwrap()))
        }

        fn destroy(&self, key: &str) -> Result<Option<Timestamp>, KeyServiceError> {
            self.answer()?;
            let mut given_up = self.given_up.lock().unwrap();
            if let Some(secret) = self.keys.lock().unwrap().remove(key) {
                given_up.insert(key.to_owned(), secret);
            }
            if given_up.contains_key(key) { Ok(Some(at(200))) } else { Err(KeyServiceError::Unknown) }
        }
    }

    impl Service {
        fn answer(&self) -> Result<(), KeyServiceError> {
            let out = || KeyServiceError::Unavailable(io::Error::from(io::ErrorKind::TimedOut));
            if *self.is_out.lock().unwrap() { Err(out()) } else { Ok(()) }
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn tenant() -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(1))
    }

    fn scene() -> (TempDir, Arc<Service>, FileProvider) {
        let (folder, service) = (tempfile::tempdir().unwrap(), Arc::<Service>::default());
        let provider = FileProvider::behind(service.clone(), folder.path().join("keys")).unwrap();
        (folder, service, provider)
    }

    #[test]
    fn the_folder_opens_nothing_without_the_service() {
        let (folder, service, provider) = scene();
        let entropy = SeededEntropy::new(1);
        provider.create_epoch(tenant(), 7, &entropy).unwrap();
        let key = DataKey::generate(&entropy);
        let wrapped = provider.wrap(tenant(), 7, &key).unwrap();
        assert_eq!(provider.unwrap(tenant(), 7, &wrapped).unwrap().secret(), key.secret());
        let signer = provider.signing_key(tenant(), 0, &entropy).unwrap().public_key();
        assert_eq!(provider.signing_key(tenant(), 0, &entropy).unwrap().public_key(), signer, "made once");
        assert_eq!(provider.kind(), "kms");

        let alone = FileProvider::open(folder.path().join("keys")).unwrap();
        assert!(matches!(alone.unwrap(tenant(), 7, &wrapped), Err(KeyError::Refused { .. })));
        assert!(matches!(alone.signing_key(tenant(), 0, &entropy), Err(KeyError::Refused { .. })));
        *service.is_out.lock().unwrap() = true;
        assert!(matches!(provider.unwrap(tenant(), 7, &wrapped), Err(KeyError::Unavailable { .. })));
        assert!(matches!(provider.create_epoch(tenant(), 8, &entropy), Err(KeyError::Unavailable { .. })));
        assert_eq!(provider.epochs(tenant()).unwrap(), [EpochState::Present { epoch: 7 }], "nothing half made");
        *service.is_out.lock().unwrap() = false;
        // The file of one epoch in the place of another.
        provider.create_epoch(tenant(), 8, &entropy).unwrap();
        let path = |epoch| folder.path().join(format!("keys/{}/epoch_{epoch}.key", tenant()));
        std::fs::copy(path(8), path(7)).unwrap();
        assert!(matches!(provider.unwrap(tenant(), 7, &wrapped), Err(KeyError::Altered { .. })));
    }

    #[test]
    fn a_key_is_refused_at_once_and_destroyed_when_nobody_can_bring_it_back() {
        let (_folder, service, provider) = scene();
        let entropy = SeededEntropy::new(1);
        provider.create_epoch(tenant(), 7, &entropy).unwrap();
        let wrapped = provider.wrap(tenant(), 7, &DataKey::generate(&entropy)).unwrap();
        *service.is_out.lock().unwrap() = true;
        assert!(matches!(provider.destroy_epoch(tenant(), 7, at(100)), Err(KeyError::Unavailable { .. })));
        assert!(
            matches!(provider.unwrap(tenant(), 7, &wrapped), Err(KeyError::Destroyed { epoch: 7 })),
            "refused here"
        );
        *service.is_out.lock().unwrap() = false;
        for now in [100, 199, 200] {
            let pending = provider.destroy_epoch(tenant(), 7, at(now)).unwrap();
            assert_eq!(pending, EpochState::Destroying { epoch: 7 }, "at {now} it could be brought back");
            assert!(matches!(provider.unwrap(tenant(), 7, &wrapped), Err(KeyError::Destroyed { epoch: 7 })));
            assert!(matches!(provider.create_epoch(tenant(), 7, &entropy), Err(KeyError::Destroyed { epoch: 7 })));
        }
        service.given_up.lock().unwrap().clear();
        let gone = EpochState::Destroyed(Destroyed { epoch: 7, at: at(201) });
        assert_eq!(provider.destroy_epoch(tenant(), 7, at(201)).unwrap(), gone);
        assert_eq!(provider.destroy_epoch(tenant(), 7, at(300)).unwrap(), gone);
        assert_eq!(provider.epochs(tenant()).unwrap(), [gone]);
    }

    #[test]
    fn a_service_that_never_had_the_key_proves_no_destruction() {
        let (_folder, service, provider) = scene();
        provider.create_epoch(tenant(), 7, &SeededEntropy::new(1)).unwrap();
        service.keys.lock().unwrap().clear();
        for _ in 0..2 {
            assert!(matches!(provider.destroy_epoch(tenant(), 7, at(100)), Err(KeyError::Missing { epoch: 7 })));
        }
        assert_eq!(provider.epochs(tenant()).unwrap(), [EpochState::Destroying { epoch: 7 }]);
    }

    #[test]
    fn keys_from_before_the_service_are_read_and_destroyed() {
        let folder = tempfile::tempdir().unwrap();
        let entropy = SeededEntropy::new(1);
        let path = folder.path().join("keys");
        let before = FileProvider::open(&path).unwrap();
        before.create_epoch(tenant(), 7, &entropy).unwrap();
        let wrapped = before.wrap(tenant(), 7, &DataKey::generate(&entropy)).unwrap();
        let provider = FileProvider::behind(Arc::<Service>::default(), &path).unwrap();
        assert!(provider.unwrap(tenant(), 7, &wrapped).is_ok());
        let gone = EpochState::Destroyed(Destroyed { epoch: 7, at: at(100) });
        assert_eq!(provider.destroy_epoch(tenant(), 7, at(100)).unwrap(), gone);
    }
}
