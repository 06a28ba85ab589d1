//! Everything that the story needs, made from nothing: a database, certificates, a bank, a server, a product with a key.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use domain::policy::Regime;
use domain::world::{Clock, World as Moment};
use fapi::keys::PemSigner;
use fapi::profile::Alg;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use net::pki::Pki;
use net::{ClientConfig, Egress, Limits, TransportIdentity};
use sandbox::{Bank, BankData, ClientAuthentication, RegisteredClient};
use secrecy::ExposeSecret as _;
use server::config::Config;
use server::database::Database;
use server::{App, setup};
use store::Store;
use tokio::net::TcpListener;
use url::Url;
use vault::SystemEntropy;

use super::clock::DemoClock;
use super::product::Product;
use super::screen::{Screen, many, number};
use crate::certs;

/// The product of the story.
pub(super) const PRODUCT: &str = "Pocketbook";
/// What it wants data for, in the words that the person reads.
pub(super) const PURPOSE: &str = "Show your income and your spending in one household budget";
/// The TPP of the story, as in its certificates.
const TPP: &str = "Tributary Demo TPP";
const CLIENT_ID: &str = "PSDDE-BAFIN-000001";
const REGISTRATION: &str = "musterbank";
const KEY_ID: &str = "demo-1";
/// The port where nobody says otherwise.
const PORT: u16 = 8080;
/// The bank's calendar.
const ZONE: &str = "Europe/Berlin";
/// Which books the bank has: the same in every demo of a day.
const SEED: u64 = 7;

/// The stage with everybody on it.
pub(super) struct World {
    /// The folder that holds all of it.
    pub(super) folder: PathBuf,
    /// Everybody's clock.
    pub(super) clock: Arc<DemoClock>,
    /// The bank, running.
    pub(super) bank: sandbox::Running,
    /// What the bank has in its books.
    pub(super) books: BankData,
    /// Where pages and API are.
    pub(super) base: Url,
    /// The product.
    pub(super) product: Product,
    /// The application, for what an operator sees.
    pub(super) app: Arc<App>,
    pki: Pki,
    server: server::Running,
}

/// The bank with what it knows.
struct OpenBank {
    running: sandbox::Running,
    books: BankData,
}

impl World {
    /// Builds the stage in a folder, on an open database.
    ///
    /// # Errors
    /// What is missing on this machine, or in our code.
    pub(super) async fn build(
        screen: Screen,
        folder: &Path,
        settings: Config,
        database: &Database,
    ) -> anyhow::Result<Self> {
        let clock = Arc::new(DemoClock::clear_of_midnight(ZONE)?);
        let pki = screen.step("Certificates are made, good for this folder only", certificates(folder)).await?;
        let base = settings.listen.public_url.clone();
        let title = "A simulated bank opens behind mutual TLS";
        let OpenBank { running: bank, books } = screen.step(title, open_bank(&pki, &clock, &base)).await?;
        write_registration(folder, &bank, &books.institution, &base)?;
        let title = "The server starts: products' API, people's pages, background work";
        let (app, server) = screen.step(title, serve(settings, &database.store, &clock)).await?;
        let purposes = [PURPOSE];
        let (_, key) = setup::add_product(&app, PRODUCT, &purposes, &[return_url(&base).as_str()]).await?;
        let product = Product::new(client(&pki, &clock, None, Egress::plain_loopback())?, base.clone(), key);
        ensure!(product.get("/healthz").await?.status == http::StatusCode::OK, "the server says that it is not well");
        let folder = folder.to_owned();
        Ok(Self { folder, clock, bank, books, base, product, app, pki, server })
    }

    /// A client for pages on this machine.
    pub(super) fn visitor(&self) -> anyhow::Result<net::Client> {
        client(&self.pki, &self.clock, None, Egress::plain_loopback())
    }

    /// A client that shows the certificate of our registration at the bank.
    pub(super) fn with_our_certificate(&self) -> anyhow::Result<net::Client> {
        client(&self.pki, &self.clock, Some(self.pki.qwac.identity()?), Egress::loopback_allowed())
    }

    /// A client with a good certificate that is not the one tokens were issued to.
    pub(super) fn with_another_certificate(&self) -> anyhow::Result<net::Client> {
        client(&self.pki, &self.clock, Some(self.pki.obwac.identity()?), Egress::loopback_allowed())
    }

    /// Where the product wants its people back.
    pub(super) fn return_url(&self) -> String {
        return_url(&self.base)
    }

    /// The day at the bank.
    pub(super) fn today(&self) -> anyhow::Result<Date> {
        day(&self.clock)
    }

    /// Ends it all in order; what runs comes to its end first.
    pub(super) async fn close(self) {
        self.server.shutdown().await;
        self.bank.shutdown().await;
    }
}

/// The settings of the demo: the defaults, with everything in the folder and on this machine.
///
/// # Errors
/// A port that is taken.
pub(super) async fn settings(folder: &Path, port: Option<u16>) -> anyhow::Result<Config> {
    let mut settings: Config = toml::from_str(server::config::DEFAULT).context("the default settings")?;
    let port = free_port(port).await?;
    settings.listen.address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    settings.listen.public_url = Url::parse(&format!("http://localhost:{port}/"))?;
    settings.database.data_dir = folder.join("postgres");
    settings.keys.dir = folder.join("keys");
    settings.banks.registrations_dir = folder.join("registrations");
    settings.banks.allow_loopback = true;
    settings.tenant.name = TPP.to_owned();
    settings.tenant.authorisation = format!("Authorisation {CLIENT_ID}, invented for this demo");
    settings.evidence.origin = "demo.tributary.example/evidence".to_owned();
    settings.evidence.checkpoint_file = folder.join("evidence").join("checkpoints");
    settings.evidence.copy_dir = folder.join("evidence").join("log");
    fs::create_dir_all(folder.join("evidence"))?;
    Ok(settings)
}

/// The port asked for, or the usual one, or any: whatever is free.
async fn free_port(asked: Option<u16>) -> anyhow::Result<u16> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = match asked {
        Some(port) => bind(port).await.with_context(|| format!("port {port} cannot be used"))?,
        None => match bind(PORT).await {
            Ok(listener) => listener,
            Err(_) => bind(0).await?,
        },
    };
    Ok(listener.local_addr()?.port())
}

async fn certificates(folder: &Path) -> anyhow::Result<(Pki, String)> {
    let pki = certs::generate(&[])?;
    let files = pki.write_to(&folder.join("certs"))?;
    let facts = format!(
        "{}: a CA, a server certificate, QWAC and QSealC with PSD2 statements for {CLIENT_ID}, their UK kin",
        many(files.len(), "file")
    );
    Ok((pki, facts))
}

async fn open_bank(pki: &Pki, clock: &Arc<DemoClock>, base: &Url) -> anyhow::Result<(OpenBank, String)> {
    let books = BankData::generate(day(clock)?, SEED);
    let signing = PemSigner::from_pem(Alg::Es256, KEY_ID, pki.signing_key_pem.expose_secret().as_bytes())?;
    let shared: Arc<dyn Clock> = clock.clone();
    let mut config =
        sandbox::Config::new(shared, Arc::new(SystemEntropy), pki.server.identity()?, pki.roots()?, books.clone());
    config.clients = vec![RegisteredClient {
        client_id: CLIENT_ID.to_owned(),
        name: TPP.to_owned(),
        jwks: fapi::keys::public_jwks([&signing as &dyn fapi::keys::Signer]),
        authentication: ClientAuthentication::PrivateKeyJwt,
        redirect_uris: vec![redirect_uri(base)],
    }];
    let running = Bank::start(config).await?;
    let stranger = client(pki, clock, None, Egress::loopback_allowed())?;
    let knock = http::Request::get(format!("{}/jwks", running.api_base)).body(bytes::Bytes::new())?;
    ensure!(stranger.send(knock).await.is_err(), "the bank let somebody in who showed no certificate");
    let accounts = books.psus.iter().flat_map(|psu| &psu.accounts);
    let rows: usize = accounts.clone().map(|account| account.rows.len()).sum();
    let facts = format!(
        "{} at {}: {} with {}, {} rows written up to next year. A visitor without a certificate was turned away",
        books.name,
        running.api_base,
        many(books.psus.len(), "customer"),
        many(accounts.count(), "account"),
        number(rows as u64),
    );
    Ok((OpenBank { running, books }, facts))
}

async fn serve(
    settings: Config,
    store: &Store,
    clock: &Arc<DemoClock>,
) -> anyhow::Result<((Arc<App>, server::Running), String)> {
    let moment = Moment { now: clock.now(), entropy: &SystemEntropy };
    let regime = Regime::parse(&settings.tenant.regime).context("tenant.regime")?;
    let tenant = setup::ensure_tenant(store, &moment, &settings.tenant.name, regime).await?;
    let shared: Arc<dyn Clock> = clock.clone();
    let app = Arc::new(App::new(settings, store.clone(), shared, tenant)?);
    let running = server::start(app.clone()).await?;
    let facts = format!("{} for {TPP}; its log goes to the file server.log", app.config.listen.public_url);
    Ok(((app, running), facts))
}

/// Who we are at the bank, as an operator would write it down.
fn write_registration(folder: &Path, bank: &sandbox::Running, institution: &str, base: &Url) -> anyhow::Result<()> {
    let registrations = folder.join("registrations");
    fs::create_dir_all(&registrations)?;
    let text = format!(
        "bank = \"{institution}\"\n\
         environment = \"sandbox\"\n\
         client_id = \"{CLIENT_ID}\"\n\
         redirect_uri = \"{}\"\n\
         issuer = \"{}\"\n\n\
         [endpoints]\n\
         api = \"{}\"\n\n\
         [transport]\n\
         certificate = \"../certs/qwac.pem\"\n\
         key = \"../certs/qwac.key\"\n\
         ca = \"../certs/ca.pem\"\n\n\
         [signing]\n\
         key = \"../certs/signing.key\"\n\
         kid = \"{KEY_ID}\"\n\
         alg = \"ES256\"\n",
        redirect_uri(base),
        bank.issuer,
        bank.api_base,
    );
    Ok(fs::write(registrations.join(format!("{REGISTRATION}.toml")), text)?)
}

fn redirect_uri(base: &Url) -> String {
    format!("{base}callback/{REGISTRATION}")
}

fn return_url(base: &Url) -> String {
    format!("{base}docs/")
}

fn client(
    pki: &Pki,
    clock: &Arc<DemoClock>,
    identity: Option<TransportIdentity>,
    egress: Egress,
) -> anyhow::Result<net::Client> {
    Ok(net::Client::new(ClientConfig {
        identity,
        roots: pki.roots()?,
        egress,
        limits: Limits::BANK,
        post_quantum: true,
        resumption: true,
        clock: clock.clone(),
    })?)
}

fn day(clock: &DemoClock) -> anyhow::Result<Date> {
    Ok(clock.now().to_zoned(TimeZone::get(ZONE)?).date())
}
