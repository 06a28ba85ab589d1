//! A whole small world on loopback: a simulated bank behind mutual TLS, our registration there, a database, the application.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use bank_adapters::ask::{LoginName, PsuPresent};
use bank_adapters::profile::{Completion, SignatureForm};
use domain::consent;
use domain::ids::{ConsentId, InstitutionId, LinkId, ProductId, PsuId, RegistrationId};
use domain::policy::Regime;
use domain::retention::Retention;
use domain::world::{Clock, World as Moment};
use fapi::keys::{Decrypter, PemDecrypter, PemSigner, Signer};
use fapi::profile::{Alg, KeyEncryption};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use net::Psd2Role;
use net::pki::{Issued, Pki, PkiRequest};
use net::{ClientConfig, Egress, Limits};
use sandbox::{
    Bank, BankData, ClientAuthentication, Config as BankConfig, Decision, Ecosystem, ListForm, Policy,
    RegisteredClient, RegisteredSeal, Running, Sca, SealForm,
};
use secrecy::{ExposeSecret, SecretString};
use server::App;
use server::config::Config;
use server::evidence_log::About;
use server::services::logins::{self, Acceptance, Arrival};
use server::{setup, tokens};
use store::consent_texts::ConsentText;
use store::consents::{Cause, Consent};
use store::page_sessions::PageSession;
use store::private::{Private, PrivateConfig};
use store::{Store, StoreConfig, consents, links, page_sessions, psus};
use vault::SystemEntropy;

use crate::papers::{write_profile, write_registration, write_settings};

/// The fictional bank of every world.
pub const BANK: &str = "de_musterbank";
/// Its first customer, with three accounts.
pub const CUSTOMER: (&str, &str) = ("mara", "sandbox-mara");
/// Its second customer, with two accounts.
pub const NEIGHBOUR: (&str, &str) = ("jonas", "sandbox-jonas");
/// Our registration there.
pub const REGISTRATION: &str = "musterbank";
/// The bank's brand, as which it calls us where a register names brands.
pub const DATA_HOLDER: &str = "7b0c3ad5-1d5b-4b0f-8a53-0f3c3f3d3a11";

/// What may differ from world to world.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Port at which browsers reach the application, see [`free_port`]. Without one, returns are handed over by a test
    /// and a server listens anywhere.
    pub port: Option<u16>,
    /// What the bank's profile says of its security, in TOML, in place of what it usually says; empty: the usual.
    pub security: &'static str,
    /// What the bank's profile says that a renewal does to the old authorisation; empty: the usual.
    pub renewal: &'static str,
    /// How an authorisation completes there, in the word of the profile and as the bank has it; none: with tokens.
    pub completion: Option<(Completion, Sca)>,
    /// Whether the bank's tokens name nobody.
    pub nameless: bool,
    /// A change of the bank's habits.
    pub habits: Option<fn(&mut Policy)>,
    /// The law of our licence; none: that of the EU.
    pub regime: Option<Regime>,
    /// Days after which the bank wants its customers to authenticate again, where its profile says so.
    pub sca_days: Option<u16>,
    /// When the world begins; none: at the next noon, see [`begins`].
    pub begins: Option<Timestamp>,
    /// Another country; none: Germany.
    pub place: Option<Place>,
    /// The form of its lists of transactions, where it is not JSON.
    pub form: Option<ListForm>,
    /// How the bank wants every request signed by our seal, in the words of its profile and in its own; none: it does not.
    pub seal: Option<(SignatureForm, SealForm)>,
}

/// Where else the bank may be at home.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its profile.
    pub bank: &'static str,
    /// What the bank speaks.
    pub ecosystem: Ecosystem,
    /// Version of the standard, where it is not the profile's.
    pub version: Option<&'static str>,
    /// What its interface's address begins with, before the standard's own paths.
    pub base: &'static str,
    /// Currency of its accounts.
    pub currency: &'static str,
    /// IANA zone of its calendar.
    pub zone: &'static str,
}

impl Options {
    /// The bank's profile.
    pub(crate) fn bank(self) -> &'static str {
        self.place.map_or(BANK, |place| place.bank)
    }

    /// The bank's habits.
    fn policy(self) -> Policy {
        let mut policy = Policy::default();
        if let Some(change) = self.habits {
            change(&mut policy);
        }
        if let Some(form) = self.form {
            policy.list_form = form;
        }
        if let Some((_, sca)) = self.completion {
            policy.sca = sca;
        }
        policy
    }

    /// Whether the bank's profile is not the usual one.
    fn changes_profile(self) -> bool {
        !self.security.is_empty()
            || !self.renewal.is_empty()
            || self.sca_days.is_some()
            || self.place.and_then(|place| place.version).is_some()
            || self.seal.is_some()
            || self.completion.is_some()
            || self.form.is_some()
            || self.nameless
    }

    /// Whether an intermediary stands before the bank.
    pub(crate) fn intermediary(self) -> bool {
        self.place.is_some_and(|place| place.ecosystem.intermediary)
    }

    /// How the bank wants our seal used.
    pub(crate) fn sealed(self) -> Option<SealForm> {
        let token = self.intermediary().then_some(SealForm::ApplicationToken);
        self.seal.map(|(_, form)| form).or(token)
    }

    /// Whether the bank encrypts to us.
    pub(crate) fn encrypts(self) -> bool {
        (self.place.is_some() && !self.intermediary()) || self.policy().encrypted_responses
    }

    /// What signs our requests: elsewhere RSA is the custom.
    pub(crate) fn signing(self) -> (&'static str, Alg) {
        if self.place.is_some() { ("qsealc.key", Alg::Ps256) } else { ("signing.key", Alg::Es256) }
    }

    /// Scheme, host and port as browsers see them.
    pub(crate) fn public_url(self) -> String {
        format!("http://localhost:{}", self.port.unwrap_or(8080))
    }
}

/// A port of this machine that nobody listens on.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// When a world begins unless its test says otherwise: at the next noon. At noon every zone that a test's bank keeps its books
/// in has the same date, so that no test depends on the hour at which it is run; and never is a world behind its database.
pub fn begins() -> Timestamp {
    static BEGINS: OnceLock<Timestamp> = OnceLock::new();
    *BEGINS.get_or_init(|| {
        let now = TestClock::default().now();
        let next = now.saturating_add(SignedDuration::from_hours(12)).expect("a moment of this century");
        let noon = next.to_zoned(TimeZone::UTC).date().at(12, 0, 0, 0);
        noon.to_zoned(TimeZone::UTC).expect("a moment of this century").timestamp()
    })
}

/// A day so many days after the one on which a world begins, or before it.
pub fn day(days: i32) -> Date {
    begins().to_zoned(TimeZone::UTC).date().saturating_add(Span::new().days(days))
}

/// The machine's time and an offset that a test moves.
#[derive(Debug, Default)]
pub struct TestClock {
    ahead: AtomicI64,
    /// Where every process of a world finds the offset, once it is shared.
    shared: OnceLock<PathBuf>,
}

impl TestClock {
    /// A clock that is so many seconds ahead of the machine's.
    pub fn ahead(seconds: i64) -> Self {
        Self { ahead: AtomicI64::new(seconds), ..Self::default() }
    }

    /// A clock that goes as the world's, which is shared in that file.
    pub fn shared_in(file: PathBuf) -> Self {
        Self { shared: OnceLock::from(file), ..Self::default() }
    }

    /// From now on nodes that are started go with this clock, and move on when it is moved.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn share(&self, file: PathBuf) {
        let ahead = self.seconds_ahead();
        write_whole(self.shared.get_or_init(|| file), &ahead.to_string());
    }

    /// Where it is shared.
    pub fn shared(&self) -> Option<&Path> {
        self.shared.get().map(PathBuf::as_path)
    }

    /// How many seconds it is ahead of the machine's.
    pub fn seconds_ahead(&self) -> i64 {
        let told = self.shared.get().and_then(|file| std::fs::read_to_string(file).ok()?.parse().ok());
        told.unwrap_or_else(|| self.ahead.load(Ordering::SeqCst))
    }

    /// Moves the time forward for everybody in this world.
    ///
    /// # Panics
    /// When it is shared and the file cannot be written.
    pub fn advance(&self, by: SignedDuration) {
        let before = self.ahead.fetch_add(by.as_secs(), Ordering::SeqCst);
        if let Some(file) = self.shared.get() {
            write_whole(file, &(before + by.as_secs()).to_string());
        }
    }
}

impl Clock for TestClock {
    #[expect(clippy::disallowed_methods, reason = "a world needs a time to begin at, and other processes share it")]
    fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.seconds_ahead());
        Timestamp::now().saturating_add(ahead).expect("a test stays inside the calendar")
    }
}

/// Writes a file that others read at the same time: they find the old text or the new one.
fn write_whole(file: &Path, text: &str) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, file)).expect("a file");
}

/// Everything that a test may look at.
pub struct World {
    /// Files: `registrations/`, `keys/`, `config.toml`, and `postgres/` of a private database.
    pub dir: tempfile::TempDir,
    /// The time of all of it.
    pub clock: Arc<TestClock>,
    /// Certificates of everybody.
    pub pki: Pki,
    /// The bank.
    pub bank: Running,
    /// The application, without its background work.
    pub app: Arc<App>,
    /// A product with every purpose and scope.
    pub product: ProductId,
    /// Its key.
    pub api_key: SecretString,
    /// The private database of this world; kept to stop it.
    pub private: Private,
    /// The bank's profile.
    institution: &'static str,
}

impl World {
    /// A world with the bank's usual data.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A world that shares its time with those who look at the machine's: a database, a program of somebody else.
    pub async fn of_this_moment() -> Self {
        Self::made(Options { begins: Some(TestClock::default().now()), ..Options::default() }, |_| {}).await
    }

    /// A world whose bank's data were changed first, to plant what a test looks for.
    pub async fn with(plant: impl FnOnce(&mut BankData)) -> Self {
        Self::made(Options::default(), plant).await
    }

    /// A world of another kind.
    pub async fn made(options: Options, plant: impl FnOnce(&mut BankData)) -> Self {
        let dir = tempfile::Builder::new().prefix("tributary-world-").tempdir().expect("a folder");
        let clock = Arc::new(TestClock::default());
        let begins = options.begins.unwrap_or_else(begins);
        clock.advance(begins.duration_since(clock.now()));
        let pki = pki(begins);
        let today = begins.to_zoned(TimeZone::UTC).date();
        let mut data = BankData::generate(today, 7);
        if let Some(place) = options.place {
            data = data.moved(place.currency.parse().expect("a currency"), place.zone);
        }
        plant(&mut data);
        pki.write_to(&dir.path().join("registrations")).expect("files");
        let redirect = format!("{}/callback/{REGISTRATION}", options.public_url());
        let bank = start_bank(&clock, &pki, data, &redirect, options, options.policy()).await;
        write_registration(dir.path(), &bank, (REGISTRATION, options.bank()), &redirect, options);
        if options.changes_profile() {
            write_profile(&dir.path().join("profiles"), options);
        }
        write_settings(dir.path(), options, options.changes_profile());
        let private = start_database(dir.path()).await;
        let (app, product, api_key) =
            application(dir.path(), &clock, &private, options.regime.unwrap_or(Regime::Eu)).await;
        Self { dir, clock, pki, bank, app, product, api_key, private, institution: options.bank() }
    }

    /// Path of the settings that another process of this world is started with.
    pub fn config_file(&self) -> std::path::PathBuf {
        self.dir.path().join("config.toml")
    }

    /// This moment.
    pub fn moment(&self) -> Moment<'_> {
        Moment { now: self.clock.now(), entropy: &SystemEntropy }
    }

    /// The bank as persons come to it.
    pub fn door(&self) -> Door<'_> {
        let (app, product) = (&self.app, self.product);
        Door { app, product, institution: self.institution, registration: REGISTRATION }
    }

    /// A consent that waits for its person, as a product asks for it.
    pub async fn ask(&self, person: &str) -> ConsentId {
        self.door().ask(person).await
    }

    /// The same, up to a last day.
    pub async fn ask_until(&self, person: &str, asked_until: Date) -> ConsentId {
        self.door().ask_until(person, asked_until).await
    }

    /// Accepts the text and goes to the bank: the address of the bank's page, and the browser's binding.
    pub async fn depart(&self, consent: ConsentId) -> logins::Departure {
        self.door().depart_in(consent, None).await
    }

    /// The same in a browser that is known again by that hash.
    pub async fn depart_in(&self, consent: ConsentId, browser: Option<[u8; 32]>) -> logins::Departure {
        self.door().depart_in(consent, browser).await
    }

    /// Comes back from the bank with an address, in the browser that began.
    pub async fn arrive(&self, callback: &url::Url, browser: &SecretString) -> Arrival {
        self.door().arrive(callback, browser).await
    }

    /// The whole way of a customer who approves everything.
    pub async fn connect(&self, customer: (&str, &str)) -> ConsentId {
        let consent = self.ask(customer.0).await;
        self.authorise(consent, customer).await;
        consent
    }

    /// The way of a customer with a consent that a product has asked for.
    pub async fn authorise(&self, consent: ConsentId, (name, password): (&str, &str)) {
        let departure = self.depart(consent).await;
        let callback =
            self.bank.visit(departure.redirect.as_str(), name, password, &Decision::ApproveAll).await.expect("a visit");
        let arrival = self.arrive(&callback, &departure.browser).await;
        assert!(matches!(arrival, Arrival::Connected(_)), "{arrival:?}");
    }

    /// A sender of requests with this certificate, or none; it trusts the servers of this world.
    pub fn sender(&self, certificate: Option<&Issued>) -> net::Client {
        let config = ClientConfig {
            identity: certificate.map(|issued| issued.identity().expect("an identity")),
            roots: self.pki.roots().expect("roots"),
            egress: Egress::loopback_allowed(),
            limits: Limits::BANK,
            post_quantum: false,
            resumption: false,
            clock: self.clock.clone(),
        };
        net::Client::new(config).expect("a client")
    }

    /// Whose evidence.
    pub fn about(&self, consent: ConsentId) -> About {
        About { tenant: self.app.tenant.id, consent }
    }

    /// Ends the bank and the database.
    pub async fn end(self) {
        self.app.store.close().await;
        self.bank.shutdown().await;
        self.private.stop().await.expect("the end of the database");
    }
}

/// A bank as persons come to it through the application.
pub struct Door<'a> {
    /// The application.
    pub app: &'a Arc<App>,
    /// The product that asks.
    pub product: ProductId,
    /// The bank.
    pub institution: &'a str,
    /// Our registration there.
    pub registration: &'a str,
}

impl Door<'_> {
    /// A consent that waits for its person, as a product asks for it.
    pub async fn ask(&self, person: &str) -> ConsentId {
        let today = self.app.clock.now().to_zoned(TimeZone::UTC).date();
        self.ask_until(person, today.saturating_add(Span::new().days(180))).await
    }

    /// The same, up to a last day.
    pub async fn ask_until(&self, person: &str, asked_until: Date) -> ConsentId {
        let moment = self.app.world();
        let tenant = self.app.tenant.id;
        let mut tx = self.app.store.tenant_tx(tenant).await.expect("a transaction");
        let id = PsuId::new(&moment);
        let psu = psus::Psu {
            id,
            product: self.product,
            ref_tag: tokens::hash(person.as_bytes()),
            sealed_ref: Vec::new(),
            created_at: moment.now,
        };
        let psu = psus::find_or_create(&mut tx, &psu).await.expect("a person");
        let institution = InstitutionId::new(self.institution).expect("an id");
        let registration = RegistrationId::new(self.registration).expect("an id");
        let authorise_by = moment.now.saturating_add(SignedDuration::from_hours(1)).expect("a moment");
        let consent = Consent {
            id: ConsentId::new(&moment),
            product: self.product,
            psu,
            bank: Some((institution, registration)),
            purposes: vec!["budgeting".to_owned()],
            clusters: ["accounts", "balances", "transactions"].map(str::to_owned).to_vec(),
            language: "en".to_owned(),
            return_url: String::new(),
            retention: Retention::USUAL,
            text_hash: None,
            machine: consent::Consent::new(authorise_by),
            seq: 0,
            grant: None,
            asked_until,
            created_at: moment.now,
            accepted_at: None,
            authorized_at: None,
            sca_at: None,
            confirmed_at: None,
            ended_at: None,
        };
        let cause = Cause { event: "created", actor: "product", at: moment.now };
        consents::insert(&mut tx, &consent, cause).await.expect("a consent");
        let link = links::Link {
            id: LinkId::new(&moment),
            consent: consent.id,
            created_at: moment.now,
            expires_at: authorise_by,
            used_at: None,
        };
        links::insert(&mut tx, &link, &moment.bytes()).await.expect("a link");
        tx.commit().await.expect("a commit");
        consent.id
    }

    /// Accepts the text and goes to the bank: the address of the bank's page, and the browser's binding. `browser`: one that
    /// is known again by that hash.
    pub async fn depart_in(&self, consent: ConsentId, browser: Option<[u8; 32]>) -> logins::Departure {
        let moment = self.app.world();
        let mut tx = self.app.store.tenant_tx(self.app.tenant.id).await.expect("a transaction");
        let session = PageSession {
            id: moment.uuid(),
            consent,
            login: None,
            created_at: moment.now,
            expires_at: moment.now.saturating_add(SignedDuration::from_hours(1)).expect("a moment"),
        };
        page_sessions::insert(&mut tx, &session, &moment.bytes()).await.expect("a session");
        tx.commit().await.expect("a commit");
        let body = "A text for tests.".to_owned();
        let text = ConsentText { hash: tokens::hash(body.as_bytes()), language: "en".to_owned(), body };
        let acceptance = Acceptance {
            session: session.id,
            consent,
            text,
            beside: None,
            login_name: LoginName::new(CUSTOMER.0).ok(),
            browser,
            psu: person(),
        };
        logins::begin(self.app, About { tenant: self.app.tenant.id, consent }, &acceptance).await.expect("a departure")
    }

    /// Comes back from the bank with an address, in the browser that began.
    pub async fn arrive(&self, callback: &url::Url, browser: &SecretString) -> Arrival {
        let registration = RegistrationId::new(self.registration).expect("an id");
        let query = callback.query().unwrap_or_default();
        logins::arrive(self.app, &registration, query, Some(browser), &person()).await.expect("an arrival")
    }
}

/// How a consent stands, and what became of its data.
///
/// # Panics
/// When there is no such consent.
pub async fn stands(app: &App, consent: ConsentId) -> (consent::State, consent::DataState) {
    let mut tx = app.store.tenant_tx(app.tenant.id).await.expect("a transaction");
    let machine = consents::get(&mut tx, consent).await.expect("a consent").machine;
    (machine.state, machine.data)
}

/// A person at the other end of a request.
pub fn person() -> PsuPresent {
    PsuPresent { ip: IpAddr::from([127, 0, 0, 1]), user_agent: Some("tests".to_owned()) }
}

/// A new authority with certificates of everybody.
pub fn pki(now: Timestamp) -> Pki {
    net::pki::generate(&PkiRequest {
        server_names: ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec(),
        organization: "Test TPP".to_owned(),
        organization_identifier: "PSDDE-BAFIN-000001".to_owned(),
        country: "DE".to_owned(),
        domain: "localhost".to_owned(),
        nca_name: "Test NCA".to_owned(),
        nca_id: "DE-BAFIN".to_owned(),
        roles: vec![Psd2Role::PspAi],
        now,
    })
    .expect("certificates")
}

pub(crate) async fn start_bank(
    clock: &Arc<TestClock>,
    pki: &Pki,
    data: BankData,
    redirect: &str,
    options: Options,
    policy: Policy,
) -> Running {
    let (key, alg) = options.signing();
    let key = if key == "qsealc.key" { &pki.qsealc.key_pem } else { &pki.signing_key_pem };
    let signer = PemSigner::from_pem(alg, "it", key.expose_secret().as_bytes()).expect("a key");
    let roots = pki.roots().expect("roots");
    let identity = pki.server.identity().expect("an identity");
    let mut config = BankConfig::new(clock.clone(), Arc::new(SystemEntropy), identity, roots, data);
    config.policy = policy;
    let mut jwks = fapi::keys::public_jwks([&signer as &dyn Signer]);
    if let Some(place) = options.place {
        config.ecosystem = place.ecosystem;
    }
    if options.encrypts() {
        let key = pki.obseal.key_pem.expose_secret().as_bytes();
        let decrypter = PemDecrypter::from_pem(KeyEncryption::RsaOaep, "it-enc", key).expect("a key");
        let keys = jwks["keys"].as_array_mut().expect("keys");
        keys.push(decrypter.public_jwk().into());
    }
    config.seal = options.sealed().map(|form| {
        let key = pki.qsealc.key_pem.expose_secret().as_bytes();
        let mut key = PemSigner::from_pem(Alg::Ps256, "seal", key).expect("a key").public_jwk();
        key.remove("alg");
        let certificate = pki.qsealc.identity().expect("an identity").certificate_der().to_vec();
        RegisteredSeal { form, certificate, key }
    });
    config.clients = vec![RegisteredClient {
        client_id: "PSDDE-BAFIN-000001".to_owned(),
        name: "Test TPP".to_owned(),
        jwks,
        authentication: ClientAuthentication::PrivateKeyJwt,
        redirect_uris: vec![redirect.to_owned()],
    }];
    Bank::start(config).await.expect("a bank")
}

pub(crate) async fn start_database(dir: &Path) -> Private {
    let settings =
        [("fsync", "off"), ("synchronous_commit", "off")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = PrivateConfig { settings: settings.to_vec(), ..PrivateConfig::new(dir.join("postgres")) };
    Private::start(config).await.expect("PostgreSQL; run .ci/setup --tests")
}

pub(crate) async fn application(
    dir: &Path,
    clock: &Arc<TestClock>,
    private: &Private,
    regime: Regime,
) -> (Arc<App>, ProductId, SecretString) {
    let file = dir.join("config.toml");
    let config = Config::load(Some(&file)).expect("settings");
    let store = Store::open(private.connect_options(), StoreConfig::default()).await.expect("a connection");
    store.migrate().await.expect("migrations");
    let moment = Moment { now: clock.now(), entropy: &SystemEntropy };
    let tenant = setup::ensure_tenant(&store, &moment, "Test TPP", regime).await.expect("a tenant");
    let app = Arc::new(App::new(config, store, clock.clone(), tenant).expect("an application"));
    setup::publish_registrations(&app).await.expect("registrations");
    let (product, key) = setup::add_product(&app, "Test product", &["budgeting"], &[]).await.expect("a product");
    (app, product, key)
}
