//! Keys in files of their own: the provider of a first run, and of operators without a key service.
//!
//! The folder must lie outside PostgreSQL's and outside every backup, on a file system that writes in place: overwriting
//! a file destroys nothing on a copy-on-write or flash device that keeps old blocks. Where that matters the device has to
//! be encrypted, or the keys belong into a token or a key service.
//!
//! ```text
//! <folder>/ten_<uuid>/lock                 taken shared to use a key, exclusive to make or destroy one
//!                     epoch_<n>.key        version 1 || key (32 bytes) || check (32 bytes)
//!                     epoch_<n>.destroying destruction was decided: the key is refused from here on
//!                     epoch_<n>.destroyed  when it was complete, RFC 3339
//!                     sign_<g>.key         seed of a signing key, same form as an epoch key
//! ```
//!
//! Behind a [`KeyService`] the same folder holds no key that opens anything: each file is `version 2 || length of the name
//! (2 bytes) || name || what the service sealed`, under a key of the service of its own, and a marker names that key and the
//! moment until which the service could still bring it back. Files from before the service are read until they are gone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::constant_time;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use domain::ids::TenantId;
use domain::world::Entropy;
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::data_key::{KEY_LEN, hmac_sha256};
use crate::key_service::{Asked, Held, KeyService, KeyServiceError, SEALED_VERSION};
use crate::provider::{Destroyed, EpochState, KeyError, KeyProvider};
use crate::{DataKey, SigningKey};

const FILE_VERSION: u8 = 1;
const FILE_LEN: usize = 1 + KEY_LEN + 32;
/// What AES key wrap adds (RFC 3394 §2.2.1: one block of 64 bits).
const WRAP_OVERHEAD: usize = 8;

/// Keeps each epoch key in one file that only we can read, and that a service has sealed if there is one.
#[derive(Debug)]
pub struct FileProvider {
    folder: PathBuf,
    service: Option<Arc<dyn KeyService>>,
    #[cfg(test)]
    fuse: Arc<tests::Fuse>,
}

impl FileProvider {
    /// Opens the folder, or makes it with mode 0700. A folder that others can enter is [`KeyError::Misconfigured`].
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, KeyError> {
        Self::of(folder.into(), None)
    }

    /// The same with a service that seals what the folder holds.
    pub fn behind(service: Arc<dyn KeyService>, folder: impl Into<PathBuf>) -> Result<Self, KeyError> {
        Self::of(folder.into(), Some(service))
    }

    fn of(folder: PathBuf, service: Option<Arc<dyn KeyService>>) -> Result<Self, KeyError> {
        let provider = Self {
            folder,
            service,
            #[cfg(test)]
            fuse: Arc::default(),
        };
        let folder = &provider.folder;
        make_folder(folder).map_err(unavailable("make the key folder"))?;
        let metadata = fs::metadata(folder).map_err(unavailable("look at the key folder"))?;
        let refuse = |problem| Err(KeyError::Misconfigured { folder: folder.clone(), problem });
        if !metadata.is_dir() {
            return refuse("is not a folder");
        }
        if metadata.permissions().mode() & 0o077 != 0 {
            return refuse("can be entered by other users; set its mode to 0700");
        }
        Ok(provider)
    }

    /// The tenant's folder with a shared lock, or `None` if it never had a key.
    fn enter(&self, tenant: TenantId) -> Result<Option<Shelf>, KeyError> {
        let path = self.folder.join(tenant.to_string());
        let lock = match File::open(path.join("lock")) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.and_then(|file| file.lock_shared().map(|()| file)).map_err(unavailable("lock the keys"))?,
        };
        Ok(Some(self.shelf(tenant, path, lock)))
    }

    /// The tenant's folder, made if need be, with an exclusive lock.
    fn enter_alone(&self, tenant: TenantId) -> Result<Shelf, KeyError> {
        let path = self.folder.join(tenant.to_string());
        let locked = || {
            make_folder(&path)?;
            let file =
                OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path.join("lock"))?;
            file.lock()?;
            Ok(file)
        };
        let lock = locked().map_err(unavailable("lock the keys"))?;
        Ok(self.shelf(tenant, path, lock))
    }

    fn shelf(&self, tenant: TenantId, path: PathBuf, lock: File) -> Shelf {
        Shelf {
            tenant,
            path,
            _lock: lock,
            service: self.service.clone(),
            #[cfg(test)]
            fuse: self.fuse.clone(),
        }
    }

    /// The wrapping key of an epoch that may be used.
    fn epoch_key(&self, tenant: TenantId, epoch: i64) -> Result<AesKek, KeyError> {
        let shelf = self.enter(tenant)?.ok_or(KeyError::Missing { epoch })?;
        match shelf.state(epoch)? {
            None => Err(KeyError::Missing { epoch }),
            Some(EpochState::Destroying { .. } | EpochState::Destroyed(_)) => Err(KeyError::Destroyed { epoch }),
            Some(EpochState::Present { .. }) => {
                let key = shelf.read_key(&epoch_file(epoch, "key"), Some(epoch))?;
                AesKek::new(&AES_256, key.as_slice()).map_err(|_| KeyError::Altered { what: "key file" })
            }
        }
    }
}

impl KeyProvider for FileProvider {
    fn kind(&self) -> &'static str {
        self.service.as_ref().map_or("file", |service| service.kind())
    }

    fn create_epoch(&self, tenant: TenantId, epoch: i64, entropy: &dyn Entropy) -> Result<(), KeyError> {
        let shelf = self.enter_alone(tenant)?;
        match shelf.state(epoch)? {
            Some(EpochState::Present { .. }) => Ok(()),
            Some(EpochState::Destroying { .. } | EpochState::Destroyed(_)) => Err(KeyError::Destroyed { epoch }),
            None => shelf.make_key(&epoch_file(epoch, "key"), Some(epoch), entropy),
        }
    }

    fn wrap(&self, tenant: TenantId, epoch: i64, key: &DataKey) -> Result<Vec<u8>, KeyError> {
        let mut wrapped = vec![0; KEY_LEN + WRAP_OVERHEAD];
        self.epoch_key(tenant, epoch)?
            .wrap(key.secret(), &mut wrapped)
            .map_err(|_| KeyError::Altered { what: "key file" })?;
        Ok(wrapped)
    }

    fn unwrap(&self, tenant: TenantId, epoch: i64, wrapped: &[u8]) -> Result<DataKey, KeyError> {
        let epoch_key = self.epoch_key(tenant, epoch)?;
        let altered = KeyError::Altered { what: "wrapped key" };
        if wrapped.len() != KEY_LEN + WRAP_OVERHEAD {
            return Err(altered);
        }
        let mut secret = Zeroizing::new([0; KEY_LEN]);
        match epoch_key.unwrap(wrapped, secret.as_mut_slice()) {
            Ok(opened) if opened.len() == KEY_LEN => Ok(DataKey::from_secret(secret)),
            _ => Err(altered),
        }
    }

    /// The order makes it safe to be killed anywhere: a marker that refuses the key; the service, if one holds it; overwrite
    /// and unlink it; the tombstone that says when; then the marker goes.
    fn destroy_epoch(&self, tenant: TenantId, epoch: i64, now: Timestamp) -> Result<EpochState, KeyError> {
        let missing = KeyError::Missing { epoch };
        if self.enter(tenant)?.is_none() {
            return Err(missing);
        }
        let shelf = self.enter_alone(tenant)?;
        let key = epoch_file(epoch, "key");
        let state = shelf.state(epoch)?.ok_or(missing)?;
        // A key beside its tombstone was put back from a copy: it is destroyed again.
        if matches!(state, EpochState::Destroyed(_)) && !shelf.has(&key) {
            return Ok(state);
        }
        let asked = shelf.asked(epoch)?;
        let marker = asked.as_ref().map(Asked::to_text).unwrap_or_default();
        shelf.write(&epoch_file(epoch, "destroying"), marker.as_bytes())?;
        let until = match asked {
            Some(asked) => shelf.give_up(asked, epoch, matches!(state, EpochState::Destroyed(_)), now)?,
            None => None,
        };
        shelf.erase(&key)?;
        if until.is_some() {
            return Ok(EpochState::Destroying { epoch });
        }
        shelf.write(&epoch_file(epoch, "destroyed"), now.to_string().as_bytes())?;
        shelf.remove(&epoch_file(epoch, "destroying"))?;
        Ok(EpochState::Destroyed(Destroyed { epoch, at: now }))
    }

    fn epochs(&self, tenant: TenantId) -> Result<Vec<EpochState>, KeyError> {
        let Some(shelf) = self.enter(tenant)? else { return Ok(Vec::new()) };
        let entries = fs::read_dir(&shelf.path).map_err(unavailable("list the keys"))?;
        let mut epochs = std::collections::BTreeSet::new();
        for entry in entries {
            let name = entry.map_err(unavailable("list the keys"))?.file_name();
            epochs.extend(name.to_str().and_then(epoch_of));
        }
        epochs.into_iter().filter_map(|epoch| shelf.state(epoch).transpose()).collect()
    }

    fn signing_key(&self, tenant: TenantId, generation: u32, entropy: &dyn Entropy) -> Result<SigningKey, KeyError> {
        let name = format!("sign_{generation}.key");
        let shelf = self.enter_alone(tenant)?;
        if !shelf.has(&name) {
            shelf.make_key(&name, None, entropy)?;
        }
        SigningKey::from_seed(&shelf.read_key(&name, None)?).ok_or(KeyError::Altered { what: "key file" })
    }
}

/// One tenant's folder while its lock is held.
struct Shelf {
    tenant: TenantId,
    path: PathBuf,
    _lock: File,
    service: Option<Arc<dyn KeyService>>,
    #[cfg(test)]
    fuse: Arc<tests::Fuse>,
}

impl Shelf {
    fn has(&self, name: &str) -> bool {
        self.path.join(name).exists()
    }

    /// What the files say. A tombstone outranks everything: a key that reappears beside it stays refused.
    fn state(&self, epoch: i64) -> Result<Option<EpochState>, KeyError> {
        match fs::read_to_string(self.path.join(epoch_file(epoch, "destroyed"))) {
            Ok(text) => {
                let at = text.parse().map_err(|_| KeyError::Altered { what: "tombstone" })?;
                return Ok(Some(EpochState::Destroyed(Destroyed { epoch, at })));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(unavailable("read a tombstone")(error)),
        }
        if self.has(&epoch_file(epoch, "destroying")) {
            return Ok(Some(EpochState::Destroying { epoch }));
        }
        Ok(self.has(&epoch_file(epoch, "key")).then_some(EpochState::Present { epoch }))
    }

    /// Fails a test at a chosen step; nothing in a build for use.
    fn step(&self) -> io::Result<()> {
        #[cfg(test)]
        self.fuse.burn()?;
        Ok(())
    }

    fn make_key(&self, name: &str, epoch: Option<i64>, entropy: &dyn Entropy) -> Result<(), KeyError> {
        let mut content = Zeroizing::new([FILE_VERSION; FILE_LEN]);
        entropy.fill(&mut content[1..=KEY_LEN]);
        if let Some(service) = &self.service {
            let mut secret = Zeroizing::new([0; KEY_LEN]);
            secret.copy_from_slice(&content[1..=KEY_LEN]);
            let place = self.place(name);
            let held = || {
                let key = service.create(&place)?;
                let sealed = service.seal(&key, &place, &secret)?;
                Held { key, sealed }.to_bytes().ok_or(KeyServiceError::Refused("the name of its key is too long"))
            };
            let held = held().map_err(|error| error.about(epoch, "make a key"))?;
            return self.write(name, &held);
        }
        let check = self.check(name, &content[1..=KEY_LEN]);
        content[1 + KEY_LEN..].copy_from_slice(&check);
        self.write(name, content.as_slice())
    }

    fn read_key(&self, name: &str, epoch: Option<i64>) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyError> {
        let content = Zeroizing::new(fs::read(self.path.join(name)).map_err(unavailable("read a key"))?);
        let altered = KeyError::Altered { what: "key file" };
        if content.first() == Some(&SEALED_VERSION) {
            let held = Held::from_bytes(&content).ok_or(altered)?;
            let opened = self.service()?.open(&held.key, &self.place(name), &held.sealed);
            return opened.map_err(|error| error.about(epoch, "open a key"));
        }
        let Some((&[FILE_VERSION], rest)) = content.split_first_chunk::<1>() else { return Err(altered) };
        let Some((key, check)) = rest.split_first_chunk::<KEY_LEN>() else { return Err(altered) };
        match constant_time::verify_slices_are_equal(check, &self.check(name, key)) {
            Ok(()) => Ok(Zeroizing::new(*key)),
            Err(_) => Err(altered),
        }
    }

    fn service(&self) -> Result<&dyn KeyService, KeyError> {
        self.service
            .as_deref()
            .ok_or(KeyError::Refused { reason: "the keys were sealed by a service that is not set up" })
    }

    /// Which key of the service a destruction is about: what the marker says, else the key file. `None` if no service holds
    /// the key.
    fn asked(&self, epoch: i64) -> Result<Option<Asked>, KeyError> {
        let marker = fs::read_to_string(self.path.join(epoch_file(epoch, "destroying"))).unwrap_or_default();
        if let Some(asked) = Asked::from_text(&marker)? {
            return Ok(Some(asked));
        }
        let content = fs::read(self.path.join(epoch_file(epoch, "key"))).unwrap_or_default();
        Ok(Held::from_bytes(&content).map(|held| Asked { key: held.key, until: None }))
    }

    /// Gives a key of the service up. `Some` is the moment until which it could still be brought back.
    fn give_up(&self, asked: Asked, epoch: i64, was_gone: bool, now: Timestamp) -> Result<Option<Timestamp>, KeyError> {
        if asked.until.is_some_and(|until| now < until) {
            return Ok(asked.until);
        }
        let until = match self.service()?.destroy(&asked.key) {
            // It was given up and is not known any more. Had it never been given up, we might ask the wrong service.
            Err(KeyServiceError::Unknown) if was_gone || asked.until.is_some() => None,
            other => other.map_err(|error| error.about(Some(epoch), "destroy a key"))?,
        };
        if until.is_some() {
            let marker = Asked { until, ..asked }.to_text();
            self.write(&epoch_file(epoch, "destroying"), marker.as_bytes())?;
        }
        Ok(until)
    }

    /// Ties a key to its place, so that a damaged file or one moved between tenants or epochs is noticed.
    fn check(&self, name: &str, key: &[u8]) -> [u8; 32] {
        hmac_sha256(key, format!("tributary key file 1\n{}", self.place(name)).as_bytes())
    }

    /// Where a key belongs, as the service and the check are told.
    fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.tenant)
    }

    /// Writes a file as a whole: after a crash it has all of the new content or is as it was.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), KeyError> {
        let unfinished = self.path.join(format!("{name}.new"));
        let steps = || {
            self.step()?;
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            self.step()?;
            file.write_all(content)?;
            self.step()?;
            file.sync_all()?;
            self.step()?;
            fs::rename(&unfinished, self.path.join(name))?;
            self.step()?;
            sync_folder(&self.path)
        };
        steps().map_err(unavailable("write a key file"))
    }

    /// Overwrites and removes a key, and an unfinished copy of it, if they are there.
    fn erase(&self, name: &str) -> Result<(), KeyError> {
        let steps = |path: &Path| {
            self.step()?;
            let mut file = match OpenOptions::new().write(true).open(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                other => other?,
            };
            let length = file.metadata()?.len();
            io::copy(&mut io::repeat(0).take(length), &mut file)?;
            self.step()?;
            file.sync_all()?;
            self.step()?;
            fs::remove_file(path)
        };
        let both = || {
            steps(&self.path.join(name))?;
            steps(&self.path.join(format!("{name}.new")))?;
            self.step()?;
            sync_folder(&self.path)
        };
        both().map_err(unavailable("destroy a key file"))
    }

    fn remove(&self, name: &str) -> Result<(), KeyError> {
        self.step().and_then(|()| fs::remove_file(self.path.join(name))).map_err(unavailable("remove a marker"))
    }
}

fn epoch_file(epoch: i64, kind: &str) -> String {
    format!("epoch_{epoch}.{kind}")
}

fn epoch_of(name: &str) -> Option<i64> {
    let (number, kind) = name.strip_prefix("epoch_")?.split_once('.')?;
    matches!(kind, "key" | "destroying" | "destroyed").then(|| number.parse().ok())?
}

fn make_folder(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_folder)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn unavailable(doing: &'static str) -> impl Fn(io::Error) -> KeyError {
    move |source| KeyError::Unavailable { doing, source }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use tempfile::TempDir;
    use uuid::Uuid;

    use super::*;
    use crate::testing::SeededEntropy;

    /// Stops the provider dead after a number of steps, as `kill -9` would: nothing further is done, locks are let go.
    #[derive(Debug)]
    pub(super) struct Fuse(AtomicI64);

    impl Default for Fuse {
        fn default() -> Self {
            Self(AtomicI64::new(i64::MAX))
        }
    }

    impl Fuse {
        pub(super) fn burn(&self) -> io::Result<()> {
            let left = self.0.fetch_sub(1, Ordering::Relaxed);
            if left > 0 { Ok(()) } else { Err(io::Error::other("killed by the test")) }
        }
    }

    fn open(folder: &TempDir, steps: i64) -> FileProvider {
        let provider = FileProvider::open(folder.path().join("keys")).unwrap();
        provider.fuse.0.store(steps, Ordering::Relaxed);
        provider
    }

    fn whole(folder: &TempDir) -> FileProvider {
        open(folder, i64::MAX)
    }

    fn tenant() -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(1))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn destroyed(second: i64) -> EpochState {
        EpochState::Destroyed(Destroyed { epoch: 7, at: at(second) })
    }

    #[test]
    fn killed_at_any_step_of_making_a_key_the_next_attempt_succeeds() {
        let entropy = SeededEntropy::new(1);
        for steps in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let finished = open(&folder, steps).create_epoch(tenant(), 7, &entropy).is_ok();
            // Either there is no key yet or it is whole and stays the one that is used.
            let key = DataKey::generate(&entropy);
            let early = whole(&folder).wrap(tenant(), 7, &key);
            whole(&folder).create_epoch(tenant(), 7, &entropy).unwrap();
            match early {
                Ok(wrapped) => assert!(whole(&folder).unwrap(tenant(), 7, &wrapped).is_ok()),
                Err(KeyError::Missing { epoch: 7 }) => assert!(!finished),
                Err(other) => panic!("after {steps} steps: {other}"),
            }
            if finished {
                assert!(steps >= 5, "the steps are really counted");
                return;
            }
        }
    }

    #[test]
    fn killed_at_any_step_of_a_destruction_the_key_is_whole_or_refused_and_the_next_attempt_finishes() {
        let entropy = SeededEntropy::new(1);
        let mut begun = false;
        for steps in 0.. {
            let folder = tempfile::tempdir().unwrap();
            whole(&folder).create_epoch(tenant(), 7, &entropy).unwrap();
            let wrapped = whole(&folder).wrap(tenant(), 7, &DataKey::generate(&entropy)).unwrap();

            let finished = open(&folder, steps).destroy_epoch(tenant(), 7, at(100)).is_ok();
            match whole(&folder).unwrap(tenant(), 7, &wrapped) {
                Ok(_) => assert!(!begun, "once refused, never usable again"),
                Err(KeyError::Destroyed { epoch: 7 }) => begun = true,
                Err(other) => panic!("after {steps} steps: {other}"),
            }
            let gone = whole(&folder).destroy_epoch(tenant(), 7, at(200)).unwrap();
            assert_eq!(whole(&folder).epochs(tenant()).unwrap(), [gone]);
            let revived = whole(&folder).create_epoch(tenant(), 7, &entropy);
            assert!(matches!(revived, Err(KeyError::Destroyed { epoch: 7 })));
            let left = fs::read_dir(folder.path().join("keys").join(tenant().to_string())).unwrap();
            assert!(left.into_iter().all(|entry| !entry.unwrap().file_name().to_string_lossy().ends_with(".key")));
            if finished {
                assert_eq!(gone, destroyed(100), "the first completion is the fact");
                assert!(steps >= 15, "the steps are really counted");
                return;
            }
        }
    }

    #[test]
    fn a_key_that_is_put_back_beside_its_tombstone_stays_refused_and_is_destroyed_again() {
        let folder = tempfile::tempdir().unwrap();
        let entropy = SeededEntropy::new(1);
        whole(&folder).create_epoch(tenant(), 7, &entropy).unwrap();
        let wrapped = whole(&folder).wrap(tenant(), 7, &DataKey::generate(&entropy)).unwrap();
        let file = folder.path().join("keys").join(tenant().to_string()).join("epoch_7.key");
        let copy = fs::read(&file).unwrap();
        whole(&folder).destroy_epoch(tenant(), 7, at(100)).unwrap();

        fs::write(&file, copy).unwrap();
        assert!(matches!(whole(&folder).unwrap(tenant(), 7, &wrapped), Err(KeyError::Destroyed { epoch: 7 })));
        assert_eq!(whole(&folder).destroy_epoch(tenant(), 7, at(200)).unwrap(), destroyed(200));
        assert!(!file.exists());
    }

    #[test]
    fn a_key_file_that_was_altered_or_moved_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let entropy = SeededEntropy::new(1);
        let provider = whole(&folder);
        for epoch in [7, 8] {
            provider.create_epoch(tenant(), epoch, &entropy).unwrap();
        }
        let path = |name: &str| folder.path().join("keys").join(tenant().to_string()).join(name);
        let good = fs::read(path("epoch_7.key")).unwrap();
        let is_refused = || {
            let answer = provider.wrap(tenant(), 7, &DataKey::generate(&entropy));
            matches!(answer, Err(KeyError::Altered { what: "key file" }))
        };
        assert!(!is_refused());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(path("epoch_7.key"), bad).unwrap();
            assert!(is_refused(), "byte {at}");
        }
        for bad in [&good[..0], &good[..1], &good[..FILE_LEN - 1]] {
            fs::write(path("epoch_7.key"), bad).unwrap();
            assert!(is_refused(), "{} bytes", bad.len());
        }
        fs::copy(path("epoch_8.key"), path("epoch_7.key")).unwrap();
        assert!(is_refused(), "the key of another epoch");
    }

    #[test]
    fn a_wrapped_key_that_was_altered_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let entropy = SeededEntropy::new(1);
        let provider = whole(&folder);
        provider.create_epoch(tenant(), 7, &entropy).unwrap();
        let good = provider.wrap(tenant(), 7, &DataKey::generate(&entropy)).unwrap();
        let is_refused = |bytes: &[u8]| {
            matches!(provider.unwrap(tenant(), 7, bytes), Err(KeyError::Altered { what: "wrapped key" }))
        };
        assert!(!is_refused(&good));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(is_refused(&bad), "byte {at}");
        }
        for length in [0, 8, 16, 39] {
            assert!(is_refused(&good[..length]), "{length} bytes");
        }
        assert!(is_refused(&[&good[..], &[0; 8]].concat()));
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (mode, accepted) in [(0o700, true), (0o750, false), (0o701, false)] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            let answer = FileProvider::open(folder.path());
            assert_eq!(answer.is_ok(), accepted, "{mode:o}");
            assert!(accepted || matches!(answer, Err(KeyError::Misconfigured { .. })));
        }
    }

    #[test]
    fn files_are_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let provider = whole(&folder);
        provider.create_epoch(tenant(), 7, &SeededEntropy::new(1)).unwrap();
        let shelf = folder.path().join("keys").join(tenant().to_string());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&shelf), mode(&shelf.join("epoch_7.key"))), (0o700, 0o600));
    }

    #[test]
    fn many_at_once_agree_on_one_key() {
        let folder = tempfile::tempdir().unwrap();
        // A provider each: the locks must work between processes, which share no memory.
        let wrapped: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8)
                .map(|seed| {
                    let provider = whole(&folder);
                    scope.spawn(move || {
                        let entropy = SeededEntropy::new(seed);
                        provider.create_epoch(tenant(), 7, &entropy).unwrap();
                        provider.wrap(tenant(), 7, &DataKey::generate(&entropy)).unwrap()
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        let provider = Arc::new(whole(&folder));
        assert!(wrapped.iter().all(|bytes| provider.unwrap(tenant(), 7, bytes).is_ok()));
    }

    #[test]
    fn a_signing_key_is_made_once_per_tenant_and_generation() {
        let folder = tempfile::tempdir().unwrap();
        let entropy = SeededEntropy::new(1);
        let key = |tenant, generation| whole(&folder).signing_key(tenant, generation, &entropy).unwrap().public_key();
        let other = TenantId::from_uuid(Uuid::from_u128(2));
        assert_eq!(key(tenant(), 0), key(tenant(), 0));
        assert_ne!(key(tenant(), 0), key(tenant(), 1));
        assert_ne!(key(tenant(), 0), key(other, 0));
    }

    #[test]
    fn what_never_was_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let provider = whole(&folder);
        assert_eq!(provider.epochs(tenant()).unwrap(), []);
        assert!(matches!(provider.destroy_epoch(tenant(), 7, at(1)), Err(KeyError::Missing { epoch: 7 })));
        assert!(matches!(provider.unwrap(tenant(), 7, &[0; 40]), Err(KeyError::Missing { epoch: 7 })));
        provider.create_epoch(tenant(), -7, &SeededEntropy::new(1)).unwrap();
        assert_eq!(provider.epochs(tenant()).unwrap(), [EpochState::Present { epoch: -7 }]);
        assert!(matches!(provider.destroy_epoch(tenant(), 7, at(1)), Err(KeyError::Missing { epoch: 7 })));
    }
}
