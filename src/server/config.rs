//! Settings: a commented default, a file, the environment; later ones win. Unknown keys are refused.

mod keys;
mod retention;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use domain::policy::Regime;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

pub use keys::{KeyHolder, Keys, Kms, Pkcs11};
pub use retention::{Erasure, PurposeRetention, RetentionOf};

/// What our signing keys sign has lapsed after so many seconds: request objects live for an hour at most.
const SIGNED_SECONDS_MAX: i64 = 60 * 60;

/// The commented default; `tributary config show` prints what is in force.
pub const DEFAULT: &str = include_str!("default.toml");

/// All settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where we listen.
    pub listen: Listen,
    /// Where rows live.
    pub database: Database,
    /// Where keys live.
    pub keys: Keys,
    /// Banks and who we are there.
    pub banks: Banks,
    /// How our keys and certificates at banks change.
    pub rotation: Rotation,
    /// Where events are sent.
    pub webhooks: Webhooks,
    /// Who runs it.
    pub tenant: Tenant,
    /// What becomes of data when a consent ends.
    pub retention: RetentionOf,
    /// How rows are erased.
    pub erasure: Erasure,
    /// The evidence log.
    pub evidence: EvidenceLog,
    /// The staff's console.
    pub console: Console,
    /// Our own log.
    pub log: Log,
}

/// `[listen]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Socket address.
    pub address: SocketAddr,
    /// Scheme, host and port as browsers see them.
    pub public_url: Url,
    /// Networks of the proxies in front, CIDR: their word is taken for who asked them.
    pub trusted_proxies: Vec<String>,
    /// Own TLS; none = plain TCP behind a proxy or on loopback.
    pub tls: Option<ListenTls>,
}

/// `[listen.tls]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenTls {
    /// PEM chain.
    pub certificate: PathBuf,
    /// PEM key.
    pub key: PathBuf,
}

/// `[database]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Connection string; may hold a password, so it never prints. Empty = `DATABASE_URL`, else private.
    pub url: SecretString,
    /// Folder of the private PostgreSQL.
    pub data_dir: PathBuf,
    /// Pool size.
    pub connections_max: u32,
}

/// `[banks]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Banks {
    /// Folder of registration files.
    pub registrations_dir: PathBuf,
    /// Folder of further profiles; empty = none.
    pub profiles_dir: PathBuf,
    /// Development switch for banks on this machine.
    pub allow_loopback: bool,
}

/// `[rotation]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// How long the next signing key is published before it signs, in seconds.
    pub announce_seconds: i64,
    /// How long the last signing key stays published, in seconds.
    pub overlap_seconds: i64,
    /// How long the last certificate can be brought back, in seconds.
    pub certificate_overlap_seconds: i64,
}

/// `[webhooks]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// PEM of the authorities whose servers are trusted; empty = those that this machine trusts.
    pub ca_file: PathBuf,
    /// Development switch for receivers on this machine.
    pub receivers_on_loopback: bool,
}

/// `[tenant]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Registered name of the TPP, as people see it on every page.
    pub name: String,
    /// Authorisation number and supervisor, as people see it.
    pub authorisation: String,
    /// Where people ask for help: `https` or `mailto`; empty = none.
    pub support_url: String,
    /// The privacy notice: `https`; empty = none.
    pub privacy_url: String,
    /// The law it works under: `eu`, `uk`, `cdr`, `us`, `br`.
    pub regime: String,
    /// Days after which people authenticate at their bank again, where the bank does not say; 0 = the product's default.
    /// Never more than the regime allows.
    pub reauthentication_days: u16,
}

impl Tenant {
    /// The preferred re-authentication period, in days.
    pub fn sca_days(&self) -> Option<i64> {
        (self.reauthentication_days > 0).then_some(i64::from(self.reauthentication_days))
    }
}

/// `[evidence]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceLog {
    /// Origin line of checkpoints.
    pub origin: String,
    /// Outside copy of checkpoints; empty = none.
    pub checkpoint_file: PathBuf,
    /// Folder of the outside copy of the whole log; empty = none.
    pub copy_dir: PathBuf,
    /// Submission prefix of a witness (C2SP tlog-witness); empty = none.
    pub witness_url: String,
    /// The witness's verifier key.
    pub witness_key: String,
    /// Seconds between two checkpoints that it is shown.
    pub witness_seconds: u32,
    /// Where a time-stamp authority is asked (RFC 3161 over HTTP); empty = none.
    pub timestamp_url: String,
    /// PEM of the authority's certificate, or of those that issued it.
    pub timestamp_ca_file: PathBuf,
    /// Seconds between two checkpoints that it stamps.
    pub timestamp_seconds: u32,
}

/// `[console]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// Issuer of the OpenID provider at which staff sign in; empty = nobody can.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// File with the client's secret; empty = a public client, which PKCE alone protects.
    pub client_secret_file: PathBuf,
    /// PEM of the authorities that the provider's server is checked against; empty = those that this machine trusts.
    pub ca_file: PathBuf,
    /// Scopes beside `openid`.
    pub scopes: Vec<String>,
    /// The claim of the ID token that says what somebody may be.
    pub roles_claim: String,
    /// Values of that claim that make an operator.
    pub operator: Vec<String>,
    /// Values of that claim that make a compliance officer.
    pub compliance: Vec<String>,
    /// Values of that claim that make a member of support.
    pub support: Vec<String>,
    /// Values of that claim that make an auditor.
    pub auditor: Vec<String>,
    /// Lifetime of a session, in seconds.
    pub session_seconds: u32,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Text for people or JSON for machines.
    pub format: LogFormat,
    /// `EnvFilter` directives.
    pub filter: String,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One sentence a line.
    Text,
    /// One JSON object a line.
    Json,
}

/// Settings that cannot be used. The sentence names the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that cannot be read, an unknown key, a value of the wrong type.
    #[error(transparent)]
    Read(#[from] config::ConfigError),
    /// A value that parses but cannot work.
    #[error("{key}: {why}")]
    Value {
        /// Dotted key.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl Config {
    /// Defaults, then `file`, then the environment (`TRIBUTARY_LISTEN__ADDRESS`).
    ///
    /// # Errors
    /// Says which key cannot be used and why.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut sources =
            config::Config::builder().add_source(config::File::from_str(DEFAULT, config::FileFormat::Toml));
        if let Some(path) = file {
            sources = sources.add_source(config::File::from(path).format(config::FileFormat::Toml));
        }
        // `separator` alone would change the prefix's separator too.
        let environment = config::Environment::with_prefix("TRIBUTARY")
            .prefix_separator("_")
            .separator("__")
            .ignore_empty(true)
            .try_parsing(true);
        let mut read: Self = sources.add_source(SettingsOnly(environment)).build()?.try_deserialize()?;
        if read.database.url.expose_secret().is_empty()
            && let Ok(url) = std::env::var("DATABASE_URL")
        {
            read.database.url = SecretString::from(url);
        }
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let value = |key, why: &str| Err(ConfigError::Value { key, why: why.to_owned() });
        let url = &self.listen.public_url;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || url.path() != "/" {
            return value("listen.public_url", "must be http(s)://host[:port] without a path");
        }
        if crate::peer::networks(&self.listen.trusted_proxies).is_none() {
            return value("listen.trusted_proxies", "must be networks, such as 10.0.0.0/8, or addresses");
        }
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() == "http" && !local {
            return value(
                "listen.public_url",
                "must be https anywhere but on this machine: it carries people's consent",
            );
        }
        self.keys.check()?;
        if self.rotation.announce_seconds < 0 || self.rotation.certificate_overlap_seconds < 0 {
            return value("rotation", "times must not be negative");
        }
        if self.rotation.overlap_seconds < SIGNED_SECONDS_MAX {
            return value("rotation.overlap_seconds", "must be at least 3600: what was signed must lapse first");
        }
        if self.keys.dir.starts_with(&self.database.data_dir) {
            return value("keys.dir", "lies inside database.data_dir: a backup of the data would hold its own keys");
        }
        if self.evidence.witness_seconds == 0 {
            return value("evidence.witness_seconds", "must be at least 1");
        }
        if self.evidence.timestamp_seconds == 0 {
            return value("evidence.timestamp_seconds", "must be at least 1");
        }
        if !self.evidence.timestamp_url.is_empty() && self.evidence.timestamp_ca_file.as_os_str().is_empty() {
            return value("evidence.timestamp_ca_file", "must name the certificate that time-stamps are checked with");
        }
        if self.evidence.copy_dir.starts_with(&self.database.data_dir) {
            return value(
                "evidence.copy_dir",
                "lies inside database.data_dir: it would be lost, or set back, with the data",
            );
        }
        if self.database.connections_max < 2 {
            return value("database.connections_max", "must be at least 2");
        }
        if self.tenant.name.trim().is_empty() {
            return value("tenant.name", "must not be empty: people see it before they agree");
        }
        let Some(regime) = Regime::parse(&self.tenant.regime) else {
            return value("tenant.regime", "must be eu, uk, cdr, us or br");
        };
        self.retention.check(regime)?;
        self.erasure.check()?;
        self.console.check()?;
        let origin = &self.evidence.origin;
        if origin.is_empty() || origin.chars().any(|c| c.is_whitespace() || c == '+') {
            return value("evidence.origin", "must be one word without `+`");
        }
        Ok(())
    }

    /// What is in force, as TOML, with secrets masked.
    pub fn show(&self) -> String {
        let path = |path: &Path| toml::Value::from(path.display().to_string());
        let masked = if self.database.url.expose_secret().is_empty() { "" } else { "********" };
        let mut listen = toml::Table::from_iter([
            ("address".to_owned(), toml::Value::from(self.listen.address.to_string())),
            ("public_url".to_owned(), toml::Value::from(self.listen.public_url.to_string())),
            ("trusted_proxies".to_owned(), toml::Value::from(self.listen.trusted_proxies.clone())),
        ]);
        if let Some(tls) = &self.listen.tls {
            let pair = [("certificate".to_owned(), path(&tls.certificate)), ("key".to_owned(), path(&tls.key))];
            listen.insert("tls".to_owned(), toml::Table::from_iter(pair).into());
        }
        let format = if self.log.format == LogFormat::Json { "json" } else { "text" };
        let sections = toml::Table::from_iter([
            ("listen".to_owned(), toml::Value::from(listen)),
            (
                "database".to_owned(),
                table([
                    ("url", masked.into()),
                    ("data_dir", path(&self.database.data_dir)),
                    ("connections_max", i64::from(self.database.connections_max).into()),
                ]),
            ),
            ("keys".to_owned(), self.keys.shown()),
            (
                "banks".to_owned(),
                table([
                    ("registrations_dir", path(&self.banks.registrations_dir)),
                    ("profiles_dir", path(&self.banks.profiles_dir)),
                    ("allow_loopback", self.banks.allow_loopback.into()),
                ]),
            ),
            (
                "rotation".to_owned(),
                table([
                    ("announce_seconds", self.rotation.announce_seconds.into()),
                    ("overlap_seconds", self.rotation.overlap_seconds.into()),
                    ("certificate_overlap_seconds", self.rotation.certificate_overlap_seconds.into()),
                ]),
            ),
            (
                "webhooks".to_owned(),
                table([
                    ("ca_file", path(&self.webhooks.ca_file)),
                    ("receivers_on_loopback", self.webhooks.receivers_on_loopback.into()),
                ]),
            ),
            (
                "tenant".to_owned(),
                table([
                    ("name", self.tenant.name.as_str().into()),
                    ("authorisation", self.tenant.authorisation.as_str().into()),
                    ("support_url", self.tenant.support_url.as_str().into()),
                    ("privacy_url", self.tenant.privacy_url.as_str().into()),
                    ("regime", self.tenant.regime.as_str().into()),
                    ("reauthentication_days", i64::from(self.tenant.reauthentication_days).into()),
                ]),
            ),
            ("retention".to_owned(), self.retention.shown()),
            ("erasure".to_owned(), self.erasure.shown()),
            (
                "evidence".to_owned(),
                table([
                    ("origin", self.evidence.origin.as_str().into()),
                    ("checkpoint_file", path(&self.evidence.checkpoint_file)),
                    ("copy_dir", path(&self.evidence.copy_dir)),
                    ("witness_url", self.evidence.witness_url.as_str().into()),
                    ("witness_key", self.evidence.witness_key.as_str().into()),
                    ("witness_seconds", i64::from(self.evidence.witness_seconds).into()),
                    ("timestamp_url", self.evidence.timestamp_url.as_str().into()),
                    ("timestamp_ca_file", path(&self.evidence.timestamp_ca_file)),
                    ("timestamp_seconds", i64::from(self.evidence.timestamp_seconds).into()),
                ]),
            ),
            ("console".to_owned(), self.console.show()),
            ("log".to_owned(), table([("format", format.into()), ("filter", self.log.filter.as_str().into())])),
        ]);
        sections.to_string()
    }
}

impl Console {
    fn check(&self) -> Result<(), ConfigError> {
        let value = |key, why: &str| Err(ConfigError::Value { key, why: why.to_owned() });
        if !(60..=12 * 60 * 60).contains(&self.session_seconds) {
            return value("console.session_seconds", "must be between 60 and 43200");
        }
        if self.issuer.is_empty() {
            return Ok(());
        }
        if !Url::parse(&self.issuer).is_ok_and(|url| url.scheme() == "https") {
            return value("console.issuer", "must be an address with https");
        }
        if self.client_id.is_empty() {
            return value("console.client_id", "must name us at the identity provider");
        }
        Ok(())
    }

    fn show(&self) -> toml::Value {
        table([
            ("issuer", self.issuer.as_str().into()),
            ("client_id", self.client_id.as_str().into()),
            ("client_secret_file", self.client_secret_file.display().to_string().into()),
            ("ca_file", self.ca_file.display().to_string().into()),
            ("scopes", self.scopes.clone().into()),
            ("roles_claim", self.roles_claim.as_str().into()),
            ("operator", self.operator.clone().into()),
            ("compliance", self.compliance.clone().into()),
            ("support", self.support.clone().into()),
            ("auditor", self.auditor.clone().into()),
            ("session_seconds", i64::from(self.session_seconds).into()),
        ])
    }
}

fn table<'a>(pairs: impl IntoIterator<Item = (&'a str, toml::Value)>) -> toml::Value {
    toml::Table::from_iter(pairs.into_iter().map(|(key, value)| (key.to_owned(), value))).into()
}

/// `TRIBUTARY_PG_BINDIR` and its like share the prefix but are no settings: only keys with a section count.
#[derive(Debug, Clone)]
struct SettingsOnly(config::Environment);

impl config::Source for SettingsOnly {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, config::Value>, config::ConfigError> {
        let mut all = self.0.collect()?;
        all.retain(|key, _| key.contains('.'));
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use domain::retention::{AtEnd, Retention};

    use super::*;

    fn with(text: &str) -> Result<Config, ConfigError> {
        let read: Config = config::Config::builder()
            .add_source(config::File::from_str(DEFAULT, config::FileFormat::Toml))
            .add_source(config::File::from_str(text, config::FileFormat::Toml))
            .build()?
            .try_deserialize()?;
        read.check()?;
        Ok(read)
    }

    #[test]
    fn the_commented_default_is_complete_and_shows_itself() {
        let config = with("").unwrap();
        let shown: toml::Table = config.show().parse().unwrap();
        let default: toml::Table = DEFAULT.parse().unwrap();
        let keys = |table: &toml::Table| -> Vec<String> {
            table
                .iter()
                .flat_map(|(name, value)| {
                    value.as_table().into_iter().flatten().map(move |(key, _)| format!("{name}.{key}"))
                })
                .collect()
        };
        assert_eq!(keys(&shown), keys(&default));
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_key() {
        for (text, key) in [
            ("[listen]\npublic_url = \"http://bank.example\"", "listen.public_url"),
            ("[listen]\npublic_url = \"https://bank.example/path\"", "listen.public_url"),
            ("[listen]\ntrusted_proxies = [\"somewhere\"]", "listen.trusted_proxies"),
            ("[keys]\nepochs_kept = 0", "keys.epochs_kept"),
            ("[keys]\ndir = \"data/postgres/keys\"", "keys.dir"),
            ("[keys]\nprovider = \"paper\"", "paper"),
            ("[keys]\nprovider = \"kms\"\n[keys.kms]\ncredentials_file = \"c\"", "keys.kms.region"),
            ("[keys]\nprovider = \"kms\"\n[keys.kms]\nregion = \"eu-central-1\"", "keys.kms.credentials_file"),
            (
                "[keys]\nprovider = \"kms\"\n[keys.kms]\nregion = \"a\"\nendpoint = \"http://kms\"\ncredentials_file = \"c\"",
                "keys.kms.endpoint",
            ),
            (
                "[keys]\nprovider = \"kms\"\n[keys.kms]\nregion = \"a\"\ncredentials_file = \"c\"\npending_days = 6",
                "keys.kms.pending_days",
            ),
            ("[rotation]\noverlap_seconds = 60", "rotation.overlap_seconds"),
            ("[evidence]\ncopy_dir = \"data/postgres/copy\"", "evidence.copy_dir"),
            ("[tenant]\nregime = \"mars\"", "tenant.regime"),
            ("[console]\nissuer = \"http://id.example\"\nclient_id = \"us\"", "console.issuer"),
            ("[console]\nissuer = \"https://id.example\"", "console.client_id"),
            ("[console]\nsession_seconds = 5", "console.session_seconds"),
            ("[evidence]\norigin = \"two words\"", "evidence.origin"),
            ("[[retention.purposes]]\npurpose = \"x\"\nat_end = \"for ever\"\ndays = 3", "retention.purposes"),
            ("[[retention.purposes]]\npurpose = \"x\"\nat_end = \"blocked\"\ndays = 9999", "retention.purposes"),
            (
                "[[retention.purposes]]\npurpose = \"x\"\nregime = \"cdr\"\nat_end = \"readable_until_retention\"\ndays = 3",
                "retention.purposes",
            ),
            ("[erasure]\nbatch_rows = 0", "erasure.batch_rows"),
            ("[listen]\nadress = \"127.0.0.1:1\"", "adress"),
            ("[database]\nconnections_max = \"many\"", "connections_max"),
        ] {
            let refused = with(text).unwrap_err().to_string();
            assert!(refused.contains(key), "{text}: {refused}");
        }
    }

    #[test]
    fn a_purpose_has_the_policy_of_its_regime_and_any_other_the_regimes_own() {
        let config = with(
            "[[retention.purposes]]\npurpose = \"books\"\nat_end = \"readable_until_retention\"\ndays = 90\n\
             [[retention.purposes]]\npurpose = \"books\"\nregime = \"uk\"\nat_end = \"restricted_hold\"\ndays = 2190",
        )
        .unwrap();
        let of = |regime, purposes: &[&str]| {
            let purposes: Vec<String> = purposes.iter().map(|purpose| (*purpose).to_owned()).collect();
            config.retention.of(regime, &purposes)
        };
        let readable = Retention { at_end: AtEnd::ReadableUntilRetention, days: 90 };
        assert_eq!(of(Regime::Eu, &["books"]), readable);
        assert_eq!(of(Regime::Uk, &["books"]), Retention { at_end: AtEnd::RestrictedHold, days: 2190 });
        assert_eq!(of(Regime::Eu, &["books", "other"]), Retention::USUAL);
        assert_eq!(of(Regime::Us, &["other"]), Retention::NONE);
        assert!(config.show().contains("restricted_hold"));
    }

    #[test]
    fn a_database_password_never_shows() {
        let config = with("[database]\nurl = \"postgres://u:hunter2@db/x\"").unwrap();
        assert!(!config.show().contains("hunter2"));
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
