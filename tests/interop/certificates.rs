//! Certificates and keys of one run, made by the program under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use fapi::keys::{Decrypter, PemDecrypter, PemSigner, Signer};
use fapi::profile::{Alg, KeyEncryption};
use serde_json::Value;
use tempfile::TempDir;

use crate::probe::program;

static MADE: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    make(folder.path());
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

/// The file of our signing key for an algorithm.
pub(crate) const fn signing_key(alg: Alg) -> &'static str {
    match alg {
        Alg::Ps256 => "qsealc.key",
        Alg::Es256 | Alg::EdDsa => "signing.key",
    }
}

/// The file of the key that servers encrypt to.
pub(crate) const ENCRYPTION_KEY: &str = "obseal.key";

/// Our signer.
pub(crate) fn signer(alg: Alg) -> PemSigner {
    PemSigner::from_pem(alg, "ours", text(signing_key(alg)).as_bytes()).expect("a key")
}

/// Our public keys, as a server has them.
pub(crate) fn public_keys(alg: Alg, encryption: Option<KeyEncryption>) -> Vec<Value> {
    let mut keys = vec![Value::Object(signer(alg).public_jwk())];
    if let Some(wrap) = encryption {
        let decrypter = PemDecrypter::from_pem(wrap, "ours-enc", text(ENCRYPTION_KEY).as_bytes()).expect("a key");
        keys.push(Value::Object(decrypter.public_jwk()));
    }
    keys
}
