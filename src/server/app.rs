//! Everything that a request or a piece of work may use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use bank_adapters::ask::PsuPresent;
use bank_adapters::directory::Directory;
use domain::ids::ConsentId;
use domain::world::{Clock, Entropy, World};
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use store::Store;
use store::tenants::Tenant;
use tokio::sync::Notify;
use vault::{EpochPolicy, SystemEntropy, Vault};

use crate::api::auth::Remembered;
use crate::api::event_stream::Streams;
use crate::config::Config;
use crate::connections::Connections;
use crate::console::provider::Provider;
use crate::keys;
use crate::peer;
use crate::rate::Rates;
use crate::services::delivery::Receivers;
use crate::services::timestamp::Authority;
use crate::services::witness::Witness;
use crate::watch::Watch;

/// How long a person counts as present after the request that they made, in seconds.
pub(crate) const PRESENT_SECONDS: i64 = 10 * 60;

/// The application: one per process, shared by every task.
pub struct App {
    /// The TPP that runs this installation: its registrations, its pages.
    pub tenant: Tenant,
    /// The settings in force.
    pub config: Config,
    /// The database.
    pub store: Store,
    /// The keys.
    pub vault: Vault,
    /// Every bank we know of.
    pub directory: Directory,
    /// The banks we can reach.
    pub connections: Connections,
    /// The way to products' endpoints.
    pub receivers: Receivers,
    /// The witness of the evidence log, if there is one.
    pub witness: Option<Witness>,
    /// The time-stamp authority of the evidence log, if there is one.
    pub time_authority: Option<Authority>,
    /// Where staff sign in, if they can.
    pub staff_provider: Option<Provider>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Rung when work was written, so that nobody waits for the next look.
    pub work: Notify,
    /// Keys that were met.
    pub remembered: Remembered,
    /// Requests of keys and tenants.
    pub rates: Rates,
    /// Bursts and unusual reads.
    pub watch: Watch,
    /// Streams of events that are open here.
    pub streams: Streams,
    /// Proxies that pass on who asked them.
    pub trusted_proxies: Vec<IpNet>,
    present: Mutex<HashMap<ConsentId, (PsuPresent, Timestamp)>>,
}

impl App {
    /// Puts the application together on an open database.
    ///
    /// # Errors
    /// Says which setting, profile or registration cannot be used.
    pub fn new(config: Config, store: Store, clock: Arc<dyn Clock>, tenant: Tenant) -> anyhow::Result<Self> {
        let mut directory = Directory::embedded()?;
        if !config.banks.profiles_dir.as_os_str().is_empty() {
            directory = directory.overlay(&config.banks.profiles_dir)?;
        }
        let connections =
            Connections::read(&config.banks.registrations_dir, &directory, config.banks.allow_loopback, &clock)?;
        let provider = keys::provider(&config.keys, &clock)?;
        let receivers = receivers(&config, net::Limits::NOTIFY, &clock)?;
        let witness = Witness::of(&config.evidence, self::receivers(&config, net::Limits::AUTH, &clock)?)?;
        let time_authority = Authority::of(&config.evidence, self::receivers(&config, net::Limits::AUTH, &clock)?)?;
        let staff_provider = Provider::of(&config, clock.clone())?;
        let trusted_proxies = peer::networks(&config.listen.trusted_proxies).context("listen.trusted_proxies")?;
        let policy = EpochPolicy {
            seconds: config.keys.epoch_seconds,
            kept: config.keys.epochs_kept,
            pending_seconds: config.keys.pending_seconds(),
        };
        Ok(Self {
            tenant,
            vault: Vault::with_policy(Arc::new(provider), policy),
            config,
            store,
            directory,
            connections,
            receivers,
            witness,
            time_authority,
            staff_provider,
            clock,
            entropy: Arc::new(SystemEntropy),
            work: Notify::new(),
            remembered: Remembered::default(),
            rates: Rates::default(),
            watch: Watch::default(),
            streams: Streams::default(),
            trusted_proxies,
            present: Mutex::default(),
        })
    }

    /// Notes that a person is at the other end: what is fetched for them in the next minutes is attended. Kept in memory
    /// alone; a restart forgets it and the fetch goes on unattended.
    pub fn note_present(&self, consent: ConsentId, psu: PsuPresent) {
        self.note_present_since(consent, psu, self.clock.now()).keep();
    }

    /// The same, of a person who was there at that moment, before what they asked for is written: forgotten unless it is
    /// [kept](Noted::keep). Whoever was there later stays noted.
    pub(crate) fn note_present_since(&self, consent: ConsentId, psu: PsuPresent, since: Timestamp) -> Noted<'_> {
        let now = self.clock.now();
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.retain(|_, (_, since)| is_recent(*since, now));
        let before = present.get(&consent).cloned();
        if before.as_ref().is_none_or(|(_, noted)| *noted <= since) {
            present.insert(consent, (psu, since));
        }
        Noted { app: self, consent, since, before, is_kept: false }
    }

    /// The person, if present.
    pub fn present(&self, consent: ConsentId) -> Option<PsuPresent> {
        let now = self.clock.now();
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.get(&consent).filter(|(_, since)| is_recent(*since, now)).map(|(psu, _)| psu.clone())
    }

    /// This moment, and chance. The moment is cut to what the database keeps, so that an answer says the same instant
    /// before and after it was stored.
    pub fn world(&self) -> World<'_> {
        let now = self.clock.now();
        let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
        World { now, entropy: self.entropy.as_ref() }
    }
}

/// A person who is noted as present, as long as it is not certain that what they asked for is written.
#[must_use]
pub(crate) struct Noted<'a> {
    app: &'a App,
    consent: ConsentId,
    since: Timestamp,
    before: Option<(PsuPresent, Timestamp)>,
    is_kept: bool,
}

impl Noted<'_> {
    /// It is written.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let mut present = self.app.present.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever was noted meanwhile stays.
        if present.get(&self.consent).is_some_and(|(_, since)| *since == self.since) {
            match self.before.take() {
                Some(before) => present.insert(self.consent, before),
                None => present.remove(&self.consent),
            };
        }
    }
}

fn receivers(config: &Config, limits: net::Limits, clock: &Arc<dyn Clock>) -> anyhow::Result<Receivers> {
    let file = &config.webhooks.ca_file;
    let roots = if file.as_os_str().is_empty() {
        net::Roots::system()
    } else {
        let pem = std::fs::read(file).with_context(|| format!("webhooks.ca_file: {}", file.display()))?;
        net::Roots::from_pem(&pem).context("webhooks.ca_file")?
    };
    let here = config.webhooks.receivers_on_loopback;
    Ok(Receivers::new(roots, here, limits, clock.clone())?)
}

fn is_recent(since: Timestamp, now: Timestamp) -> bool {
    now.duration_since(since) < SignedDuration::from_secs(PRESENT_SECONDS)
}

/// Names nothing of what it holds.
impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App(..)")
    }
}
