//! Who holds the keys.

use std::path::PathBuf;

use serde::Deserialize;
use url::Url;
use vault::TokenKeys;

use super::{ConfigError, table};

/// Days in which AWS KMS lets its operators bring a key back: what `ScheduleKeyDeletion` takes.
const PENDING_DAYS: std::ops::RangeInclusive<i64> = 7..=30;

/// `[keys]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Who holds epoch keys and signing keys.
    pub provider: KeyHolder,
    /// Folder of the key files, sealed by the service if there is one.
    pub dir: PathBuf,
    /// Length of an epoch, in seconds.
    pub epoch_seconds: i64,
    /// Old epochs that stay openable.
    pub epochs_kept: i64,
    /// The token.
    pub pkcs11: Pkcs11,
    /// The key management service.
    pub kms: Kms,
}

/// Who holds the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyHolder {
    /// Files alone.
    File,
    /// A PKCS#11 token; the files are sealed by it.
    Pkcs11,
    /// AWS Key Management Service, or what speaks its protocol; the files are sealed by it.
    Kms,
}

impl KeyHolder {
    const fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Pkcs11 => "pkcs11",
            Self::Kms => "kms",
        }
    }
}

/// `[keys.pkcs11]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11 {
    /// RFC 7512 URI of the token, its module and the file of its PIN.
    pub uri: String,
}

/// `[keys.kms]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kms {
    /// Region.
    pub region: String,
    /// Address of the service; empty = AWS's own of the region.
    pub endpoint: String,
    /// AWS shared credentials file with a profile `default`.
    pub credentials_file: PathBuf,
    /// PEM of the authorities whose servers are trusted; empty = those that this machine trusts.
    pub ca_file: PathBuf,
    /// Days in which a key that was given up could be brought back.
    pub pending_days: i64,
}

impl Kms {
    /// Where the service answers.
    ///
    /// # Errors
    /// The endpoint or the region make no address.
    pub fn url(&self) -> Result<Url, url::ParseError> {
        match self.endpoint.as_str() {
            "" => Url::parse(&format!("https://kms.{}.amazonaws.com/", self.region)),
            named => Url::parse(named),
        }
    }
}

impl Keys {
    /// Seconds from the end of an epoch key until nobody can bring it back.
    pub fn pending_seconds(&self) -> i64 {
        match self.provider {
            KeyHolder::File | KeyHolder::Pkcs11 => 0,
            KeyHolder::Kms => self.kms.pending_days.saturating_mul(24 * 60 * 60),
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let value = |key, why: &str| Err(ConfigError::Value { key, why: why.to_owned() });
        if self.epoch_seconds < 1 {
            return value("keys.epoch_seconds", "must be at least 1");
        }
        if self.epochs_kept < 1 {
            return value("keys.epochs_kept", "must be at least 1: the running epoch's data must stay openable");
        }
        match self.provider {
            KeyHolder::File => return Ok(()),
            KeyHolder::Pkcs11 => {
                let read = TokenKeys::open(&self.pkcs11.uri);
                return read.map(drop).or_else(|error| value("keys.pkcs11.uri", &error.to_string()));
            }
            KeyHolder::Kms => {}
        }
        if !self.kms.url().is_ok_and(|url| url.scheme() == "https" && url.path() == "/" && url.query().is_none()) {
            return value("keys.kms.endpoint", "must be an address with https and without a path");
        }
        let is_region = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !is_region(&self.kms.region) {
            return value("keys.kms.region", "must name a region, such as eu-central-1");
        }
        if !PENDING_DAYS.contains(&self.kms.pending_days) {
            return value("keys.kms.pending_days", "must be between 7 and 30");
        }
        if self.kms.credentials_file.as_os_str().is_empty() {
            return value("keys.kms.credentials_file", "must name a file");
        }
        Ok(())
    }

    pub(super) fn shown(&self) -> toml::Value {
        let path = |path: &PathBuf| toml::Value::from(path.display().to_string());
        table([
            ("provider", self.provider.word().into()),
            ("dir", path(&self.dir)),
            ("epoch_seconds", self.epoch_seconds.into()),
            ("epochs_kept", self.epochs_kept.into()),
            ("pkcs11", table([("uri", self.pkcs11.uri.as_str().into())])),
            (
                "kms",
                table([
                    ("region", self.kms.region.as_str().into()),
                    ("endpoint", self.kms.endpoint.as_str().into()),
                    ("credentials_file", path(&self.kms.credentials_file)),
                    ("ca_file", path(&self.kms.ca_file)),
                    ("pending_days", self.kms.pending_days.into()),
                ]),
            ),
        ])
    }
}
