//! Certificates and keys of one run, made by the program under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use domain::world::Clock as _;
use fapi::keys::{Decrypter, PemDecrypter, PemSigner, Signer};
use fapi::profile::{Alg, KeyEncryption};
use jiff::SignedDuration;
use josekit::jwk::Jwk;
use net::pki::{self, PkiRequest};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tempfile::TempDir;
use tests::world::TestClock;

use crate::probe::program;

static MADE: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    make(folder.path());
    let key = fapi::keys::generate(Alg::EdDsa).expect("a key");
    fs::write(folder.path().join("certs").join(signing_key(Alg::EdDsa)), key.expose_secret()).expect("a file");
    folder
});

/// A set of files below `folder`, trusted by nothing else.
pub(crate) fn make(folder: &Path) {
    let made = Command::new(program()).args(["certs", "new"]).arg(folder.join("certs")).output().expect("it runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A file of the set.
pub(crate) fn file(name: &str) -> PathBuf {
    MADE.path().join("certs").join(name)
}

/// Its text.
pub(crate) fn text(name: &str) -> String {
    fs::read_to_string(file(name)).expect("a certificate or key")
}

/// A certificate with its key, PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pair {
    /// The server's of a folder.
    pub(crate) fn read(folder: &Path) -> Self {
        let read = |name: &str| fs::read_to_string(folder.join(name)).expect("a file");
        Self { certificate: read("server.pem"), key: read("server.key") }
    }
}

/// The server's of this run.
pub(crate) fn ours() -> Pair {
    Pair { certificate: text("server.pem"), key: text("server.key") }
}

/// A server's certificate whose time is over, from an authority that is still good.
pub(crate) struct Expired {
    pub(crate) pair: Pair,
    pub(crate) ca: String,
}

/// Made two years ago for one.
pub(crate) fn expired() -> Expired {
    let request = PkiRequest {
        server_names: vec!["localhost".to_owned()],
        organization: "Example AISP".to_owned(),
        organization_identifier: "PSDDE-BAFIN-999999".to_owned(),
        country: "DE".to_owned(),
        domain: "tpp.example".to_owned(),
        nca_name: "BaFin".to_owned(),
        nca_id: "DE-BAFIN".to_owned(),
        roles: Vec::new(),
        now: TestClock::default().now() - SignedDuration::from_hours(2 * 365 * 24),
    };
    let made = pki::generate(&request).expect("certificates");
    let key = made.server.key_pem.expose_secret().to_owned();
    Expired { pair: Pair { certificate: made.server.certificate_pem, key }, ca: made.ca_pem }
}

/// The file of our signing key for an algorithm.
pub(crate) const fn signing_key(alg: Alg) -> &'static str {
    match alg {
        Alg::Ps256 => "qsealc.key",
        Alg::Es256 => "signing.key",
        Alg::EdDsa => "ed25519.key",
    }
}

/// The file of the key that servers encrypt to.
pub(crate) const ENCRYPTION_KEY: &str = "obseal.key";

/// Its id.
pub(crate) const ENCRYPTION_KID: &str = "ours-enc";

/// The key that servers encrypt to, in whatever way.
pub(crate) fn encryption_jwk() -> Jwk {
    let mut key = decrypter(KeyEncryption::RsaOaep).public_jwk();
    key.remove("alg");
    Jwk::from_map(key).expect("a key")
}

fn decrypter(wrap: KeyEncryption) -> PemDecrypter {
    PemDecrypter::from_pem(wrap, ENCRYPTION_KID, text(ENCRYPTION_KEY).as_bytes()).expect("a key")
}

/// Our signer.
pub(crate) fn signer(alg: Alg) -> PemSigner {
    PemSigner::from_pem(alg, "ours", text(signing_key(alg)).as_bytes()).expect("a key")
}

/// Our public keys, as a server has them.
pub(crate) fn public_keys(alg: Alg, encryption: Option<KeyEncryption>) -> Vec<Value> {
    let mut keys = vec![Value::Object(signer(alg).public_jwk())];
    if let Some(wrap) = encryption {
        keys.push(Value::Object(decrypter(wrap).public_jwk()));
    }
    keys
}
