//! The routes as a browser meets them, on a real database. The bank is known and registered, and does not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, COOKIE, LOCATION, REFRESH, SET_COOKIE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::routing::get;
use bank_adapters::directory::{Directory, Filter};
use domain::consent::{self, Event, FailureReason, RevokedBy, State as ConsentState};
use domain::ids::{ConsentId, ProductId, PsuId};
use domain::limits;
use domain::policy::{Clocks, Regime};
use domain::retention::Retention;
use domain::world::{Clock, World};
use jiff::{SignedDuration, Timestamp};
use net::Psd2Role;
use net::pki::{PkiRequest, generate};
use secrecy::{ExposeSecret, SecretString};
use store::consents::Consent;
use store::psus::Psu;
use store::{Store, consent_texts, consents, deletions, links, psus};
use tempfile::TempDir;
use tower::ServiceExt as _;
use vault::SystemEntropy;

use crate::app::App;
use crate::config::Config;
use crate::pages::theme::Palette;
use crate::services::themes::{self, NewTheme};
use crate::services::{consents as moves, deletion, rivals};
use crate::{setup, tokens};

const BEGIN: Timestamp = Timestamp::constant(1_795_252_000, 0);

struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        BEGIN.saturating_add(SignedDuration::from_secs(self.0.load(Ordering::SeqCst))).unwrap()
    }
}

/// An application with one product and one registered bank.
pub(crate) struct Site {
    pub(crate) app: Arc<App>,
    clock: Arc<TestClock>,
    router: Router,
    pub(crate) product: ProductId,
    bank: String,
    _dir: TempDir,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(0)));
        let bank = register(&dir, clock.now());
        let path = |name: &str| dir.path().join(name).display().to_string();
        let text = format!(
            "[keys]\ndir = {:?}\n[banks]\nregistrations_dir = {:?}\nallow_loopback = true\n[evidence]\ncopy_dir = {:?}\n",
            path("keys"),
            path("registrations"),
            path("evidence")
        );
        std::fs::write(dir.path().join("config.toml"), text).unwrap();
        let config = Config::load(Some(&dir.path().join("config.toml"))).unwrap();
        let store: Store = store::testing::database().await.store;
        let world = World { now: clock.now(), entropy: &SystemEntropy };
        let tenant = setup::ensure_tenant(&store, &world, "Test TPP", Regime::Eu).await.unwrap();
        let app = Arc::new(App::new(config, store, clock.clone(), tenant).unwrap());
        setup::publish_registrations(&app).await.unwrap();
        let back = ["https://product.example/back"];
        let (product, _) = setup::add_product(&app, "Pennywise", &["Budgeting"], &back).await.unwrap();
        let router = crate::router(app.clone());
        Self { app, clock, router, product, bank, _dir: dir }
    }

    pub(crate) fn later(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    /// A consent of a person, and the path of its link.
    pub(crate) async fn ask(&self, person: &str, with_bank: bool) -> (ConsentId, String) {
        let world = self.app.world();
        let mut tx = self.app.store.tenant_tx(self.app.tenant.id).await.unwrap();
        let psu = Psu {
            id: PsuId::new(&world),
            product: self.product,
            ref_tag: tokens::hash(person.as_bytes()),
            sealed_ref: Vec::new(),
            created_at: world.now,
        };
        let psu = psus::find_or_create(&mut tx, &psu).await.unwrap();
        let connection = self.app.connections.all().remove(0);
        let link_ends = world.now.saturating_add(SignedDuration::from_secs(limits::LINK_SECONDS)).unwrap();
        let consent = Consent {
            id: ConsentId::new(&world),
            product: self.product,
            psu,
            bank: with_bank.then(|| (connection.institution.clone(), connection.id.clone())),
            purposes: vec!["Budgeting".to_owned()],
            clusters: ["accounts", "balances", "transactions"].map(str::to_owned).to_vec(),
            language: "en".to_owned(),
            return_url: "https://product.example/back".to_owned(),
            retention: Retention::USUAL,
            text_hash: None,
            machine: consent::Consent::new(link_ends),
            seq: 0,
            grant: None,
            asked_until: "2030-01-01".parse().unwrap(),
            created_at: world.now,
            accepted_at: None,
            authorized_at: None,
            sca_at: None,
            confirmed_at: None,
            ended_at: None,
        };
        let created = moves::create(&self.app, &mut tx, &world, consent).await.unwrap();
        tx.commit().await.unwrap();
        (created.consent.id, format!("/link/{}", created.link.expose_secret()))
    }

    async fn consent(&self, id: ConsentId) -> Consent {
        let mut tx = self.app.store.tenant_tx(self.app.tenant.id).await.unwrap();
        consents::get(&mut tx, id).await.unwrap()
    }

    /// Moves a consent as the bank's answers would.
    async fn advance(&self, id: ConsentId, event: Event) {
        let world = self.app.world();
        let mut tx = self.app.store.tenant_tx(self.app.tenant.id).await.unwrap();
        let before = consents::lock(&mut tx, id).await.unwrap();
        let given = matches!(event, Event::Authorised(_));
        let change = |consent: &mut Consent| {
            if given {
                consent.authorized_at = Some(world.now);
            }
        };
        moves::advance(&self.app, &mut tx, &world, &before, event, "bank", change).await.unwrap();
        tx.commit().await.unwrap();
    }

    fn authorised(&self) -> Event {
        let term_ends = "2027-02-19T23:00:00Z".parse().unwrap();
        Event::Authorised(Clocks { sca_due: None, reconfirm_due: None, notice_due: None, term_ends })
    }

    async fn is_unused(&self, link: &str) -> bool {
        let token = link.strip_prefix("/link/").unwrap();
        let hash = tokens::read(tokens::Kind::Link, token).unwrap();
        let mut tx = self.app.store.tenant_tx(self.app.tenant.id).await.unwrap();
        links::find(&mut tx, &hash).await.unwrap().unwrap().used_at.is_none()
    }
}

/// Registers us at the first German bank of the directory, at an address where nobody listens. Gives the bank's id.
fn register(dir: &TempDir, now: Timestamp) -> String {
    let pki = generate(&PkiRequest {
        server_names: vec!["localhost".to_owned()],
        organization: "Test TPP".to_owned(),
        organization_identifier: "PSDDE-BAFIN-000001".to_owned(),
        country: "DE".to_owned(),
        domain: "localhost".to_owned(),
        nca_name: "Test NCA".to_owned(),
        nca_id: "DE-BAFIN".to_owned(),
        roles: vec![Psd2Role::PspAi],
        now,
    })
    .unwrap();
    let folder = dir.path().join("registrations");
    pki.write_to(&folder).unwrap();
    let known = Directory::embedded().unwrap();
    let german = Filter { country: Some("DE".to_owned()), ..Filter::default() };
    let bank = known.list(&german).next().unwrap().bank.id.to_string();
    let text = format!(
        "bank = \"{bank}\"\nenvironment = \"sandbox\"\nclient_id = \"us\"\n\
         redirect_uri = \"http://localhost:8080/callback/first\"\nissuer = \"https://localhost:1\"\n\
         [endpoints]\napi = \"https://localhost:1\"\n\
         [transport]\ncertificate = \"qwac.pem\"\nkey = \"qwac.key\"\nca = \"ca.pem\"\n\
         [signing]\nkey = \"signing.key\"\nkid = \"one\"\nalg = \"ES256\"\n"
    );
    std::fs::write(folder.join("first.toml"), text).unwrap();
    bank
}

/// A browser: one jar, no redirects followed.
#[derive(Default)]
struct Browser {
    cookies: Vec<(String, String)>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.body);
        self.headers[LOCATION].to_str().unwrap()
    }

    /// Value of the anti-forgery field of the page's forms.
    fn csrf(&self) -> &str {
        self.between("name=\"csrf\" value=\"", "\"")
    }

    /// Where the first form of the page whose action begins so is sent.
    fn action(&self, begins: &str) -> String {
        format!("{begins}{}", self.between(&format!("action=\"{begins}"), "\""))
    }

    fn between(&self, before: &str, after: &str) -> &str {
        let rest = self.body.split_once(before).unwrap_or_else(|| panic!("no {before} in {}", self.body)).1;
        rest.split(after).next().unwrap()
    }

    fn says(&self, status: StatusCode, heading: &str) {
        assert_eq!((self.status, self.between("<h1>", "</h1>")), (status, heading));
    }
}

impl Browser {
    async fn get(&mut self, site: &Site, path: &str) -> Answer {
        self.send(site, Method::GET, path, "", "none").await
    }

    async fn post(&mut self, site: &Site, path: &str, form: &str) -> Answer {
        self.send(site, Method::POST, path, form, "same-origin").await
    }

    async fn send(&mut self, site: &Site, method: Method, path: &str, form: &str, from: &str) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("sec-fetch-site", from)
            .header(COOKIE, cookies.join("; "))
            .extension(ConnectInfo(std::net::SocketAddr::from(([127, 0, 0, 1], 50_000))))
            .body(Body::from(form.to_owned()))
            .unwrap();
        let response = site.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        for set in parts.headers.get_all(SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        let body = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
        let headers = parts.headers;
        assert!(headers.contains_key(CONTENT_SECURITY_POLICY) && headers["referrer-policy"] == "no-referrer", "{path}");
        assert!(parts.status == StatusCode::SEE_OTHER || !body.is_empty(), "a blank page at {path}");
        Answer { status: parts.status, headers, body }
    }

    /// Takes a link and opens the page behind it.
    async fn enter(&mut self, site: &Site, link: &str) -> Answer {
        let taken = self.post(site, link, "").await;
        self.get(site, taken.location()).await
    }
}

#[tokio::test]
async fn a_link_is_inert_until_a_form_of_ours_takes_it_once() {
    let site = Site::start().await;
    let (_, link) = site.ask("mara", true).await;
    let (mut scanner, mut person) = (Browser::default(), Browser::default());
    for _ in 0..2 {
        let page = scanner.get(&site, &link).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.body.contains("Pennywise") && !page.headers.contains_key(SET_COOKIE));
    }
    let foreign = scanner.send(&site, Method::POST, &link, "", "cross-site").await;
    foreign.says(StatusCode::BAD_REQUEST, "We do not know this visit");
    assert!(site.is_unused(&link).await, "nothing so far has changed anything");

    assert_eq!(person.post(&site, &link, "").await.location(), "/link/consent");
    assert!(!site.is_unused(&link).await);
    scanner.post(&site, &link, "").await.says(StatusCode::NOT_FOUND, "This link is no longer valid");
    scanner.get(&site, &link).await.says(StatusCode::NOT_FOUND, "This link is no longer valid");
    assert_eq!(person.get(&site, &link).await.location(), "/link/consent", "whoever took it goes on");
}

#[tokio::test]
async fn unknown_late_and_withdrawn_links_meet_the_same_page() {
    let site = Site::start().await;
    let mut browser = Browser::default();
    let (withdrawn, dead) = site.ask("mara", true).await;
    moves::revoke(&site.app, site.app.tenant.id, withdrawn, RevokedBy::Product, "product").await.unwrap();
    let (_, late) = site.ask("mara", true).await;
    site.later(limits::LINK_SECONDS);
    let (unknown, _) = tokens::issue(tokens::Kind::Link, &site.app.world());
    let unknown = format!("/link/{}", unknown.expose_secret());
    for link in [dead.as_str(), &late, &unknown, "/link/%ff", "/link/trb_link_x"] {
        browser.get(&site, link).await.says(StatusCode::NOT_FOUND, "This link is no longer valid");
        browser.post(&site, link, "").await.says(StatusCode::NOT_FOUND, "This link is no longer valid");
    }
    assert!(browser.cookies.is_empty());
}

#[tokio::test]
async fn without_a_session_or_its_token_nothing_moves() {
    let site = Site::start().await;
    let (id, link) = site.ask("mara", true).await;
    let mut browser = Browser::default();
    for path in ["/link/bank", "/link/consent", "/link/done", "/my", "/my/stopped/x", "/my/receipt/x"] {
        browser.get(&site, path).await.says(StatusCode::FORBIDDEN, "This page has forgotten you");
    }
    let page = browser.enter(&site, &link).await;
    let csrf = page.csrf().to_owned();
    for form in ["", "csrf=", "csrf=AAAA"] {
        let refused = browser.post(&site, "/link/decline", form).await;
        refused.says(StatusCode::FORBIDDEN, "This page has forgotten you");
    }
    let form = format!("csrf={csrf}");
    let foreign = browser.send(&site, Method::POST, "/link/decline", &form, "same-site").await;
    assert_eq!(foreign.status, StatusCode::BAD_REQUEST);
    site.later(limits::SESSION_SECONDS);
    browser.post(&site, "/link/decline", &form).await.says(StatusCode::FORBIDDEN, "This page has forgotten you");
    assert_eq!(site.consent(id).await.machine.state, ConsentState::Initiated);
}

#[tokio::test]
async fn only_a_bank_that_we_reach_can_be_chosen() {
    let site = Site::start().await;
    let (id, link) = site.ask("mara", false).await;
    let mut browser = Browser::default();
    let page = browser.enter(&site, &link).await;
    let csrf = page.csrf().to_owned();
    assert_eq!(page.body.matches("name=\"institution\"").count(), 1, "one bank is registered");
    assert_eq!(browser.get(&site, "/link/consent").await.location(), "/link/bank");
    let none = browser.get(&site, "/link/bank?q=Atlantis%3Cb%3E").await;
    assert!(none.body.contains("Atlantis&#60;b&#62;") && !none.body.contains("name=\"institution\""));
    let unknown = browser.post(&site, "/link/bank", &format!("csrf={csrf}&institution=xx_unknown")).await;
    assert_eq!(unknown.location(), "/link/bank");
    let chosen = browser.post(&site, "/link/bank", &format!("csrf={csrf}&institution={}", site.bank)).await;
    assert_eq!(chosen.location(), "/link/consent");
    assert_eq!(site.consent(id).await.bank.unwrap().0.as_str(), site.bank);
}

#[tokio::test]
async fn a_text_is_accepted_with_a_tick_and_only_as_it_was_shown() {
    let site = Site::start().await;
    let (id, link) = site.ask("mara", true).await;
    let mut browser = Browser::default();
    let page = browser.enter(&site, &link).await;
    assert!(page.headers[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("form-action 'self' https:"));
    let (csrf, action) = (page.csrf().to_owned(), page.action("/link/consent"));

    let unticked = browser.post(&site, &action, &format!("csrf={csrf}")).await;
    assert_eq!(unticked.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unticked.body.contains("Please tick the box"));
    let other = format!("/link/consent?text={}", "0".repeat(64));
    let ticked = format!("csrf={csrf}&acknowledged=yes");
    assert_eq!(browser.post(&site, &other, &ticked).await.status, StatusCode::CONFLICT);
    assert_eq!(site.consent(id).await.accepted_at, None, "neither of them was an acceptance");

    let away = browser.post(&site, &action, &ticked).await;
    away.says(StatusCode::SERVICE_UNAVAILABLE, "The bank cannot be reached");
    let after = site.consent(id).await;
    assert_eq!(after.machine.state, ConsentState::Initiated, "the person may try again");
    let hash = after.text_hash.unwrap();
    assert!(action.ends_with(&crate::evidence_log::hex(&hash)));
    let mut tx = site.app.store.tenant_tx(site.app.tenant.id).await.unwrap();
    let kept = consent_texts::get(&mut tx, &hash).await.unwrap();
    let shown = page.body.replace("<strong>", "").replace("</strong>", "");
    for line in kept.body.lines().skip(1) {
        assert!(shown.contains(line.trim_start_matches("- ")), "{line} was not on the page");
    }
    let restart = format!("csrf={}", away.csrf());
    assert_eq!(browser.post(&site, &away.action("/link/restart"), &restart).await.location(), "/link/consent");
}

#[tokio::test]
async fn whoever_declines_goes_back_or_begins_again_with_a_new_consent() {
    let site = Site::start().await;
    let (id, link) = site.ask("mara", true).await;
    let mut browser = Browser::default();
    let csrf = browser.enter(&site, &link).await.csrf().to_owned();
    let form = format!("csrf={csrf}");
    assert_eq!(browser.post(&site, "/link/decline", &form).await.location(), "/link/done");
    let page = browser.get(&site, "/link/done").await;
    page.says(StatusCode::OK, "Nothing was shared");
    assert!(page.body.contains("href=\"https://product.example/back\""));
    assert_eq!(site.consent(id).await.machine.state, ConsentState::Failed(FailureReason::Declined));
    assert_eq!(
        browser.post(&site, "/link/decline", &form).await.location(),
        "/link/done",
        "a second no changes nothing"
    );

    site.later(1);
    assert_eq!(browser.post(&site, "/link/restart", &form).await.location(), "/link/consent");
    assert_eq!(browser.post(&site, "/link/restart", &form).await.location(), "/link/consent", "pressed twice");
    let mut tx = site.app.store.tenant_tx(site.app.tenant.id).await.unwrap();
    let all = consents::of_product(&mut tx, site.product, None, None, 10).await.unwrap();
    assert_eq!(all.len(), 2, "one new consent, however often it was pressed");
    assert_eq!((all[0].machine.state, all[0].text_hash), (ConsentState::Initiated, None));
    assert_eq!(all[1].machine.state, ConsentState::Failed(FailureReason::Declined), "a failed one stays failed");
    assert_eq!(browser.get(&site, &link).await.location(), "/link/consent", "the used link leads on");
}

#[tokio::test]
async fn a_return_that_nobody_waits_for_is_thrown_away() {
    let site = Site::start().await;
    let (id, link) = site.ask("mara", true).await;
    let (mut stranger, mut person) = (Browser::default(), Browser::default());
    person.enter(&site, &link).await;
    for path in
        ["/callback/first?code=a&state=b&iss=c", "/callback/first", "/callback/nobody?code=a", "/callback/%ff?x"]
    {
        // The answer is left behind in an address that nobody sees.
        let returned = stranger.get(&site, path).await;
        assert_eq!(returned.location(), "/returned/unknown", "{path}");
        let page = stranger.get(&site, returned.location()).await;
        page.says(StatusCode::BAD_REQUEST, "We do not know this visit");
        assert!(!page.body.contains("<form") && !page.body.contains("Pennywise"), "{path}");
        let returned = person.get(&site, path).await;
        assert_eq!(returned.location(), "/link/returned/unknown", "{path}");
        assert!(person.get(&site, returned.location()).await.body.contains("action=\"/link/restart\""), "{path}");
    }
    assert!(stranger.cookies.is_empty());
    let posted = stranger.send(&site, Method::POST, "/callback/first", "code=a&state=b", "cross-site").await;
    assert_eq!(posted.location(), "/callback/first?code=a&state=b");
    assert_eq!(site.consent(id).await.machine.state, ConsentState::Initiated);
}

#[tokio::test]
async fn the_end_of_the_journey_shows_data_arriving_and_then_what_is_shared() {
    let site = Site::start().await;
    let (id, link) = site.ask("mara", true).await;
    let mut browser = Browser::default();
    browser.enter(&site, &link).await;
    assert_eq!(browser.get(&site, "/link/done").await.location(), "/link/consent", "not yet");
    site.advance(id, site.authorised()).await;
    let reading = browser.get(&site, "/link/done").await;
    assert_eq!(reading.headers[REFRESH], "2");
    assert!(reading.body.contains("The first data are being read now"));
    site.advance(id, Event::FirstFetchDone).await;
    let done = browser.get(&site, "/link/done").await;
    assert!(!done.headers.contains_key(REFRESH) && done.body.contains("Until 19 February 2027"), "{}", done.body);
    assert!(done.body.contains("href=\"https://product.example/back\"") && done.body.contains("href=\"/my\""));
    assert_eq!(browser.get(&site, "/link/consent").await.location(), "/link/done", "given once");
}

#[tokio::test]
async fn a_person_stops_what_is_theirs_and_sees_what_became_of_it() {
    let site = Site::start().await;
    let (mine, link) = site.ask("mara", true).await;
    let (other, _) = site.ask("jonas", true).await;
    let (never, _) = site.ask("mara", true).await;
    let mut browser = Browser::default();
    browser.enter(&site, &link).await;
    for id in [mine, other] {
        site.advance(id, site.authorised()).await;
    }
    let overview = browser.get(&site, "/my").await;
    assert!(overview.body.contains(&mine.to_string()));
    assert!(!overview.body.contains(&other.to_string()), "somebody else's");
    assert!(!overview.body.contains(&never.to_string()), "never given");
    let form = format!("csrf={}", overview.csrf());
    let foreign = browser.post(&site, &format!("/my/stop/{other}"), &form).await;
    assert_eq!(foreign.status, StatusCode::BAD_REQUEST);
    assert_eq!(site.consent(other).await.machine.state, ConsentState::Authorized);
    for path in [format!("/my/stopped/{other}"), format!("/my/receipt/{other}"), "/my/stopped/cns_x".to_owned()] {
        assert_eq!(browser.get(&site, &path).await.status, StatusCode::BAD_REQUEST, "{path}");
    }

    let stopped = format!("/my/stopped/{mine}");
    assert_eq!(browser.post(&site, &overview.action("/my/stop/"), &form).await.location(), stopped);
    assert_eq!(site.consent(mine).await.machine.state, ConsentState::Revoked(RevokedBy::Psu));
    let course = browser.get(&site, &stopped).await;
    assert_eq!(course.headers[REFRESH], "2");
    assert!(course.body.contains("Your data are being erased"));
    assert_eq!(browser.get(&site, &format!("/my/receipt/{mine}")).await.location(), stopped, "not written yet");
    assert_eq!(browser.get(&site, "/link/done").await.location(), stopped);
    assert!(!browser.get(&site, "/my").await.body.contains("/my/stop/"), "nothing is left to stop");

    let mut tx = site.app.store.tenant_tx(site.app.tenant.id).await.unwrap();
    let erasure = deletions::of_consent(&mut tx, mine).await.unwrap()[0].id;
    tx.commit().await.unwrap();
    deletion::run(&site.app, site.app.tenant.id, erasure).await.unwrap();
    let after = browser.get(&site, &stopped).await;
    assert!(after.body.contains("Your data are erased"), "the session outlives the erasure: {}", after.body);
    let receipt = browser.get(&site, &format!("/my/receipt/{mine}")).await;
    assert!(after.body.contains(&format!("href=\"/my/receipt/{mine}\"")));
    assert!(receipt.headers[CONTENT_DISPOSITION].to_str().unwrap().starts_with("attachment;"));
    let keys = evidence::VerifierKey::read_all(&crate::verifier_key(&site.app).unwrap()).unwrap();
    evidence::verify(&receipt.body, &keys, None).unwrap();
}

#[tokio::test]
async fn every_other_address_is_a_page_too() {
    let site = Site::start().await;
    let mut browser = Browser::default();
    assert_eq!(browser.get(&site, "/").await.location(), "/docs");
    for path in ["/nothing", "/link", "/link/a/b", "/my/a/b/c"] {
        browser.get(&site, path).await.says(StatusCode::NOT_FOUND, "We do not know this visit");
    }
    let page = browser.send(&site, Method::PUT, "/link/consent", "", "same-origin").await;
    assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED);
    for reloaded in ["/link/decline", "/link/restart", "/my/stop/cns_x"] {
        assert!(["/link/done", "/my"].contains(&browser.get(&site, reloaded).await.location()));
    }
    let large = "a".repeat(limits::FORM_BYTES_MAX + 1);
    assert_eq!(browser.post(&site, "/link/decline", &large).await.status, StatusCode::FORBIDDEN);
    browser.post(&site, "/callback/first", &large).await;
    let secret = SecretString::from("trb_ses_guessed");
    browser.cookies.push(("__Host-tributary".to_owned(), secret.expose_secret().to_owned()));
    assert_eq!(browser.get(&site, "/my").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_failure_that_nobody_foresaw_has_words_too() {
    let site = Site::start().await;
    async fn broken() -> StatusCode {
        panic!("a secret")
    }
    let palette = Palette::checked("#8a2a0b".parse().unwrap(), None, None, None).unwrap();
    themes::set(&site.app, None, NewTheme { palette, name: None, logo: None }).await.unwrap();
    let routes = Router::new().route("/broken", get(broken)).route("/v1/broken", get(broken));
    let router = crate::guarded(routes, site.app.clone());
    for (path, kind, says) in [
        ("/broken", "text/html; charset=utf-8", "Something went wrong on our side"),
        ("/v1/broken", "application/problem+json", "\"code\":\"internal\""),
    ] {
        let answer = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.headers()["content-type"], kind);
        let body = String::from_utf8(to_bytes(answer.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap();
        assert!(body.contains(says) && !body.contains("secret"), "{body}");
        assert_eq!(body.contains("/theme/"), path == "/broken", "the page wears the tenant's theme");
    }
}

/// What keeps a person from losing another service's access unasked needs their browser; where there is no other, nothing of
/// it is kept.
#[tokio::test]
async fn a_browser_is_known_again_from_the_second_product_on() {
    let site = Site::start().await;
    let connection = site.app.connections.all().remove(0);
    let needed = async || {
        let mut tx = site.app.store.tenant_tx(site.app.tenant.id).await.unwrap();
        rivals::needs_browser(&mut tx, &connection).await.unwrap()
    };
    assert!(!needed().await, "there is one product");
    setup::add_product(&site.app, "Second", &["Budgeting"], &[]).await.unwrap();
    assert!(needed().await);
}
