//! An installation of its own for a bench: a private PostgreSQL with the settings that it would have in production, the
//! application on it, and accounts without a bank behind them.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;
use domain::consent::{Consent as Machine, State};
use domain::grant;
use domain::ids::{
    ConsentId, GrantId, InstitutionId, LineId, ProductId, PsuId, RawPageId, RegistrationId, TransactionId,
};
use domain::records::Normalized;
use domain::retention::Retention;
use domain::world::World;
use server::App;
use server::config::Config;
use server::database::Database;
use store::aligned::{Aligned, Listed, Source, Standing};
use store::consents::{Cause, Consent};
use store::grants::Grant;
use store::lines::{Details, NewLine, Writer};
use store::psus::Psu;
use store::{consents, grants, psus};
use vault::DataKey;

use crate::clock::SystemClock;

/// Connections to the database: a few more than a bench keeps busy.
const CONNECTIONS: u32 = 24;

/// The application, and what it stands on.
pub(super) struct Site {
    /// The application, without its background work.
    pub(super) app: Arc<App>,
    database: Database,
    folder: Folder,
}

impl Site {
    pub(super) async fn open() -> anyhow::Result<Self> {
        let folder = Folder::new()?;
        fs::create_dir(folder.path().join("registrations"))?;
        let file = written(folder.path(), "bench.toml", (Ipv4Addr::LOCALHOST, 0).into())?;
        let config = Config::load(Some(&file)).context("the settings cannot be used")?;
        let (database, app) = server::open(config, Arc::new(SystemClock)).await?;
        Ok(Self { app, database, folder })
    }

    /// A file of settings for another node on the same database.
    pub(super) fn settings(&self, address: SocketAddr) -> anyhow::Result<PathBuf> {
        written(self.folder.path(), "node.toml", address)
    }

    /// Opens one for a piece of work, and closes it whatever came of that.
    pub(super) async fn during<T>(work: impl AsyncFnOnce(&Self) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let site = Self::open().await?;
        let outcome = work(&site).await;
        site.close().await?;
        outcome
    }

    pub(super) async fn close(self) -> anyhow::Result<()> {
        drop(self.app);
        self.database.close().await
    }
}

/// An account that a product may read.
pub(super) struct Account {
    pub(super) consent: ConsentId,
    pub(super) line: LineId,
    grant: GrantId,
    key: DataKey,
}

impl Account {
    /// Stores transactions as a fetch would.
    pub(super) async fn put(&self, app: &App, records: &[Normalized]) -> anyhow::Result<()> {
        let world = app.world();
        let rows: Vec<_> = records.iter().map(|record| (TransactionId::new(&world), record)).collect();
        let identities: Vec<String> = rows.iter().map(|(id, _)| id.to_string()).collect();
        let listed: Vec<Listed<'_>> = rows
            .iter()
            .zip(&identities)
            .zip(0..)
            .map(|(((id, record), identity), row)| Listed {
                id: *id,
                standing: Standing::New,
                record,
                identity: Some(identity.as_bytes()),
                source: Source { page: RawPageId::new(&world), row, rule_set: "bench" },
            })
            .collect();
        let aligned = Aligned { listed: &listed, identities: &[], missed: &[], withdrawn: &[], trust: b"" };
        let mut tx = app.store.tenant_tx(app.tenant.id).await?;
        let mut writer = Writer::open(&mut tx, self.consent, self.grant).await?;
        writer.line(self.line).await?.put_aligned(&self.key, &aligned, &world).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Somebody with an account and no rows yet.
pub(super) async fn connected(app: &App, product: ProductId) -> anyhow::Result<Account> {
    let (world, tenant) = (app.world(), app.tenant.id);
    let institution = InstitutionId::new("xx_bench").context("an id")?;
    let registration = RegistrationId::new("bench").context("an id")?;
    let (grant, consent, line) = (GrantId::new(&world), ConsentId::new(&world), LineId::new(&world));
    let mut tx = app.store.tenant_tx(tenant).await?;
    let psu =
        Psu { id: PsuId::new(&world), product, ref_tag: world.bytes(), sealed_ref: Vec::new(), created_at: world.now };
    let psu = psus::find_or_create(&mut tx, &psu).await?;
    let granted = Grant {
        id: grant,
        registration: registration.clone(),
        institution: institution.clone(),
        psu,
        state: grant::State::Granted,
        seq: 0,
        intent: None,
        key: None,
        bank_tag: None,
        subject_tag: None,
        sealed_bank_consent: None,
        sealed_tokens: None,
        token_expires_at: None,
        sca_at: None,
        valid_until: None,
        created_at: world.now,
        ended_at: None,
    };
    grants::insert(&mut tx, &granted).await?;
    let asked = asked(&world, consent, product, psu, (institution, registration));
    let cause = Cause { event: "bench", actor: "bench", at: world.now };
    consents::insert(&mut tx, &asked, cause).await?;
    let machine = Machine { state: State::Active, ..asked.machine };
    let active = Consent { grant: Some(grant), machine, ..asked.clone() };
    consents::save(&mut tx, &asked, &active, cause).await?;
    let (key, wrapped) = app.vault.new_key(tenant, &world)?;
    let mut writer = Writer::open(&mut tx, consent, grant).await?;
    let details = Details::default();
    let new = NewLine { id: line, account_tag: world.bytes(), key: &key, wrapped: &wrapped, details: &details };
    writer.create(&new, &world).await?;
    writer.grant(line, &key, b"bench", &world).await?;
    tx.commit().await?;
    Ok(Account { consent, line, grant, key })
}

fn asked(
    world: &World<'_>,
    id: ConsentId,
    product: ProductId,
    psu: PsuId,
    bank: (InstitutionId, RegistrationId),
) -> Consent {
    let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect();
    Consent {
        id,
        product,
        psu,
        bank: Some(bank),
        purposes: words(&["budgeting"]),
        clusters: words(&["accounts", "transactions"]),
        language: "en".to_owned(),
        return_url: String::new(),
        retention: Retention::USUAL,
        text_hash: None,
        machine: Machine::new(world.now),
        seq: 0,
        grant: None,
        asked_until: world.now.to_zoned(jiff::tz::TimeZone::UTC).date(),
        created_at: world.now,
        accepted_at: None,
        authorized_at: None,
        sca_at: None,
        confirmed_at: None,
        ended_at: None,
    }
}

/// Writes the settings of a node that listens there.
fn written(folder: &Path, name: &str, address: SocketAddr) -> anyhow::Result<PathBuf> {
    let path = |name: &str| folder.join(name).display().to_string();
    let text = format!(
        "[listen]\naddress = \"{address}\"\n[database]\ndata_dir = {:?}\nconnections_max = {CONNECTIONS}\n\
         [keys]\ndir = {:?}\n[evidence]\ncopy_dir = {:?}\n[banks]\nregistrations_dir = {:?}\n[tenant]\nname = \"Bench\"\n",
        path("postgres"),
        path("keys"),
        path("evidence"),
        path("registrations"),
    );
    let file = folder.join(name);
    fs::write(&file, text)?;
    Ok(file)
}

/// A folder that goes when it was used.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tributary-bench-{}-{number}", std::process::id()));
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        // As root PostgreSQL runs as another user, who passes through.
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
