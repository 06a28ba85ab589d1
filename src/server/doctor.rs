//! Looks at an installation before it serves, or when it does not: settings, database, keys, clocks, certificates, banks.
//! Every finding says what was seen and, where something is wrong, what to do about it. Nothing is changed by looking.

mod banks;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use bank_adapters::directory::Directory;
use domain::ids::TenantId;
use domain::world::Clock;
use jiff::{SignedDuration, Timestamp};
use net::TransportIdentity;
use secrecy::ExposeSecret as _;
use store::private::{Private, PrivateConfig};
use store::{Condition, Store, StoreConfig, StoreError, tenants};
use vault::{KeyError, KeyProvider as _, Wrapped};

use crate::config::Config;
use crate::keys;

/// Clocks that are further apart than this make signatures and tokens invalid at strict banks: FAPI allows 10 s towards
/// the future (FAPI 2.0 Security Profile §5.3.2.1).
const CLOCK_SECONDS_MAX: i64 = 5;
/// So many wrapped keys are looked at for the epochs that they need.
const KEYS_TRIED_MAX: i64 = 1_000;
/// Ends that are looked at for banks that have not confirmed them.
const OPEN_MAX: i64 = 10_000;
/// Certificates are ordered, proven and registered by people; the first word comes this many days ahead.
const CERTIFICATE_DAYS_WARN: i64 = 90;
/// From here on it is urgent.
const CERTIFICATE_DAYS_ALARM: i64 = 7;

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// As it should be.
    Good,
    /// It works, and will not for long, or not as well as it could.
    Warning,
    /// It does not work.
    Bad,
}

impl Health {
    /// The word for machines: `good`, `warning`, `bad`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, `registration musterbank: certificate`.
    pub about: String,
    /// How it stands.
    pub health: Health,
    /// What was seen.
    pub seen: String,
    /// What to do; none where nothing has to be done.
    pub cure: Option<String>,
}

impl Finding {
    fn good(about: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { about: about.into(), health: Health::Good, seen: seen.into(), cure: None }
    }

    fn warning(about: impl Into<String>, seen: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { about: about.into(), health: Health::Warning, seen: seen.into(), cure: Some(cure.into()) }
    }

    fn bad(about: impl Into<String>, seen: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { about: about.into(), health: Health::Bad, seen: seen.into(), cure: Some(cure.into()) }
    }
}

/// Looks at everything that the settings name. What cannot be looked at is a finding like others.
pub async fn examine(config: &Config, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    let mut findings = vec![listener(config)];
    findings.extend(config.listen.tls.as_ref().map(|tls| own_certificate(&tls.certificate, &tls.key, clock.now())));
    findings.extend(database(config, clock).await);
    findings.extend(outside_checkpoint(config));
    findings.extend(time_authority(config));
    findings.extend(receivers_roots(config));
    match directory(config) {
        Ok(directory) => findings.extend(banks::examine(config, &directory, clock).await),
        Err(error) => findings.push(Finding::bad(
            "banks.profiles_dir",
            format!("{error:#}"),
            "mend the profile; `tributary banks check FILE` explains every key",
        )),
    }
    findings
}

fn directory(config: &Config) -> anyhow::Result<Directory> {
    let embedded = Directory::embedded()?;
    let own = &config.banks.profiles_dir;
    Ok(if own.as_os_str().is_empty() { embedded } else { embedded.overlay(own)? })
}

fn listener(config: &Config) -> Finding {
    let (about, address) = ("listen.address", config.listen.address);
    match TcpListener::bind(address) {
        Ok(_) => Finding::good(about, format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Finding::warning(
            about,
            format!("somebody listens on {address}"),
            "good if it is a running Tributary; else end it, or choose another listen.address",
        ),
        Err(error) => Finding::bad(
            about,
            format!("{address}: {error}"),
            "choose an address of this machine, and a port that this user may open",
        ),
    }
}

fn own_certificate(certificate: &Path, key: &Path, now: Timestamp) -> Finding {
    let about = "listen.tls";
    let read = |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let (certificate, key) = match (read(certificate), read(key)) {
        (Ok(certificate), Ok(key)) => (certificate, key),
        (Err(seen), _) | (_, Err(seen)) => {
            return Finding::bad(about, seen, "name files that the user of the server can read");
        }
    };
    match TransportIdentity::from_pem(&certificate, &key) {
        Ok(identity) => expiry(about, &identity, now, "have it renewed and replace the files"),
        Err(error) => {
            Finding::bad(about, error.to_string(), "name a PEM chain, leaf first, and the private key of its leaf")
        }
    }
}

/// How long a certificate is still valid.
fn expiry(about: impl Into<String>, identity: &TransportIdentity, now: Timestamp, cure: &str) -> Finding {
    let (from, until) = match identity.validity() {
        Ok(validity) => validity,
        Err(error) => return Finding::bad(about, error.to_string(), cure),
    };
    let days = until.duration_since(now).as_hours().div_euclid(24);
    if now < from {
        return Finding::bad(about, format!("valid from {from}"), "wait, or set this machine's clock right");
    }
    let seen = if days < 0 { format!("expired at {until}") } else { format!("expires in {days} days, at {until}") };
    if days <= CERTIFICATE_DAYS_ALARM {
        Finding::bad(about, seen, cure)
    } else if days <= CERTIFICATE_DAYS_WARN {
        Finding::warning(about, seen, cure)
    } else {
        Finding::good(about, seen)
    }
}

/// The database, and what can be told only with it.
async fn database(config: &Config, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    let sizes = StoreConfig { connections: 2, ..StoreConfig::default() };
    let url = config.database.url.expose_secret();
    if !url.is_empty() {
        return match Store::connect(url, sizes).await {
            Ok(store) => with_database(config, &store, clock).await,
            Err(error) => vec![
                Finding::bad(
                    "database.url",
                    error.to_string(),
                    "see that the server runs, that its address, user and password are right, and that pg_hba.conf lets us in",
                ),
                key_folder(config, &[], clock),
            ],
        };
    }
    if !config.database.data_dir.join("data").exists() && !config.database.data_dir.exists() {
        let seen = "a private PostgreSQL will be made at the first start";
        return vec![Finding::good("database.data_dir", seen), key_folder(config, &[], clock)];
    }
    match Private::start(PrivateConfig::new(&config.database.data_dir)).await {
        Ok(private) => {
            let findings = match Store::open(private.connect_options(), sizes).await {
                Ok(store) => with_database(config, &store, clock).await,
                Err(error) => vec![Finding::bad("database.data_dir", error.to_string(), "read the log in that folder")],
            };
            if let Err(error) = private.stop().await {
                tracing::warn!(%error, "the private PostgreSQL did not stop");
            }
            findings
        }
        Err(error) => vec![
            Finding::bad("database.data_dir", error.to_string(), "do as the sentence says; no data are lost by it"),
            key_folder(config, &[], clock),
        ],
    }
}

async fn with_database(config: &Config, store: &Store, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    let condition = match store.condition().await {
        Ok(condition) => condition,
        Err(error) => {
            return vec![
                Finding::bad("database", error.to_string(), "read PostgreSQL's log"),
                key_folder(config, &[], clock),
            ];
        }
    };
    let now = clock.now();
    let mut findings = vec![schema(&condition), clocks("clock: database", condition.now, now)];
    // Before the schema is there, nobody is.
    let tenants = if condition.missing == 0 { tenants_of(store).await } else { Ok(Vec::new()) };
    if let Ok(tenants) = &tenants {
        for (tenant, _) in tenants {
            findings.extend(silent_banks(store, *tenant, now).await);
        }
    }
    findings.push(match tenants {
        Ok(tenants) => key_folder(config, &tenants, clock),
        Err(error) => Finding::bad("keys.dir", error.to_string(), "mend the database first"),
    });
    store.close().await;
    findings
}

fn schema(condition: &Condition) -> Finding {
    let (about, version) = ("database", &condition.version);
    if !condition.may_act {
        return Finding::bad(
            about,
            format!("PostgreSQL {version}; our role may not act as tributary_app and tributary_system"),
            "as its owner: grant tributary_app, tributary_system to the role of database.url",
        );
    }
    match (condition.missing, condition.unknown) {
        (_, 1..) => Finding::bad(
            about,
            format!("PostgreSQL {version}; a newer build has changed the schema"),
            "start the newer build; this one would misread what it wrote",
        ),
        (0, 0) => Finding::good(about, format!("PostgreSQL {version}, schema up to date")),
        (missing, 0) => Finding::warning(
            about,
            format!("PostgreSQL {version}; {missing} migrations are not applied"),
            "`tributary migrate` applies them, and so does the next start",
        ),
    }
}

/// Two clocks that must agree.
fn clocks(about: impl Into<String>, theirs: Timestamp, ours: Timestamp) -> Finding {
    let apart = theirs.duration_since(ours);
    if apart.abs() <= SignedDuration::from_secs(CLOCK_SECONDS_MAX) {
        return Finding::good(about, "within a few seconds of ours");
    }
    let direction = if apart.is_positive() { "ahead of" } else { "behind" };
    Finding::bad(
        about,
        format!("{} s {direction} ours", apart.abs().as_secs()),
        "let both machines follow a time service (chrony, systemd-timesyncd): banks refuse what is signed too early or too late",
    )
}

/// A tenant, with a key that was wrapped in each epoch that its data stand under.
type Wrapping = (TenantId, BTreeMap<i64, Wrapped>);

async fn tenants_of(store: &Store) -> Result<Vec<Wrapping>, StoreError> {
    let mut system = store.system_tx().await?;
    let tenants = tenants::all(&mut system).await?;
    drop(system);
    let mut all = Vec::new();
    for tenant in tenants {
        let mut tx = store.tenant_tx(tenant.id).await?;
        let kept = store::keys::older_than(&mut tx, i64::MAX, KEYS_TRIED_MAX).await?;
        all.push((tenant.id, kept.into_iter().map(|kept| (kept.wrapped.epoch, kept.wrapped)).collect()));
    }
    Ok(all)
}

/// Banks that owe their word for longer than a day that a consent is over: nobody else will ask them.
async fn silent_banks(store: &Store, tenant: TenantId, now: Timestamp) -> Option<Finding> {
    let about = "banks: ends not confirmed";
    let owed = async {
        let mut tx = store.tenant_tx(tenant).await?;
        store::compliance::open(&mut tx, OPEN_MAX).await
    };
    let owed = match owed.await {
        Ok(owed) => owed,
        Err(error) => return Some(Finding::bad(about, error.to_string(), "mend the database first")),
    };
    let mut silent: BTreeMap<String, usize> = BTreeMap::new();
    let late = |at: Timestamp| now.duration_since(at) > SignedDuration::from_hours(24);
    for open in owed.into_iter().filter(|open| matches!(open.bank.as_str(), "pending" | "unconfirmed")) {
        if late(open.stopped_at) {
            *silent.entry(open.institution.unwrap_or_default()).or_default() += 1;
        }
    }
    let seen: Vec<String> = silent.iter().map(|(bank, number)| format!("{bank}: {number}")).collect();
    (!seen.is_empty()).then(|| {
        let cure = "ask the bank for the state of the consents; `tributary compliance report` names them";
        Finding::warning(about, format!("for longer than a day: {}", seen.join(", ")), cure)
    })
}

fn key_folder(config: &Config, tenants: &[Wrapping], clock: &Arc<dyn Clock>) -> Finding {
    let (about, dir) = ("keys.dir", &config.keys.dir);
    let lost = "bring the folder back from where its owner keeps a copy: without it the data cannot be read by anybody";
    if !dir.exists() {
        return if tenants.iter().any(|(_, wrapped)| !wrapped.is_empty()) {
            Finding::bad(about, "it does not exist, and the database has data under keys", lost)
        } else {
            Finding::good(about, "will be made at the first start")
        };
    }
    let provider = match keys::provider(&config.keys, clock) {
        Ok(provider) => provider,
        Err(error) => {
            let cure = match error.downcast_ref::<KeyError>() {
                Some(_) => format!("let the user of the server alone enter: chmod 700 {}", dir.display()),
                None => "mend the setting".to_owned(),
            };
            return Finding::bad(about, format!("{error:#}"), cure);
        }
    };
    for (tenant, wrapped) in tenants {
        for (epoch, key) in wrapped {
            if let Err(error) = provider.unwrap(*tenant, *epoch, &key.bytes) {
                let cure = match error {
                    KeyError::Unavailable { .. } => {
                        "see that the folder, and the key service if there is one, can be reached"
                    }
                    KeyError::Refused { .. } => "let the key service allow us what the guide to operations names",
                    _ => lost,
                };
                return Finding::bad(about, error.to_string(), cure);
            }
        }
    }
    Finding::good(about, "opens what the database has under keys")
}

/// A checkpoint outside is what makes a rewritten log show.
fn outside_checkpoint(config: &Config) -> Option<Finding> {
    let (about, file) = ("evidence.checkpoint_file", &config.evidence.checkpoint_file);
    if file.as_os_str().is_empty() {
        let cure = "name a file on another system (a mounted share, a bucket): without it a rewritten log cannot be told from the true one";
        return Some(Finding::warning(about, "no copy is kept outside", cure));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() && metadata.permissions().mode() & 0o222 != 0 => None,
        Ok(_) => Some(Finding::bad(about, format!("{} cannot be written", folder.display()), "let us write there")),
        Err(error) => Some(Finding::bad(about, format!("{}: {error}", folder.display()), "make the folder")),
    }
}

fn time_authority(config: &Config) -> Option<Finding> {
    let about = "evidence.timestamp_ca_file";
    if config.evidence.timestamp_url.is_empty() {
        return None;
    }
    let cure = "name a PEM file with the certificate of the time-stamp authority, or of those that issued it";
    Some(match crate::services::timestamp::trusted(&config.evidence) {
        Ok(_) => Finding::good(about, "can be used"),
        Err(error) => Finding::bad(about, format!("{error:#}"), cure),
    })
}

fn receivers_roots(config: &Config) -> Option<Finding> {
    let (about, file) = ("webhooks.ca_file", &config.webhooks.ca_file);
    if file.as_os_str().is_empty() {
        return None;
    }
    let cure =
        "name a PEM file with the authorities of products' endpoints, or leave it empty for those of this machine";
    let read = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()));
    match read.and_then(|pem| net::Roots::from_pem(&pem).map_err(|error| error.to_string())) {
        Ok(_) => Some(Finding::good(about, "can be used")),
        Err(seen) => Some(Finding::bad(about, seen, cure)),
    }
}
