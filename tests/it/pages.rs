//! The pages in a real browser: from a product's link through the bank and back, to the stop and what became of it; and
//! every return that does not go well. The pictures are in `target/screenshots/`.

use fantoccini::Locator;
use fantoccini::key::Key;
use http::header::COOKIE;
use jiff::SignedDuration;
use secrecy::SecretString;
use serde_json::{Value, json};
use server::{Running, setup};
use tests::browser::Browser;
use tests::site::Caller;
use tests::world::{BANK, CUSTOMER, NEIGHBOUR, Options, World, free_port};
use url::Url;

/// Where the product wants its people back.
pub(super) const BACK: &str = "https://pennywise.example/back";
/// The same, where the product is an app on a phone.
pub(super) const APP: &str = "example.pennywise.app:/back";

/// What every page must carry. Gives a sentence for each thing that is missing.
const AUDIT: &str = r##"
const wrong = [], all = css => [...document.querySelectorAll(css)];
const named = e => (e.textContent || '').trim() || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby');
if (document.documentElement.lang !== 'en') wrong.push('no language');
if (!document.title.trim()) wrong.push('no title');
if (all('h1').length !== 1) wrong.push(`${all('h1').length} main headings`);
if (all('main').length !== 1) wrong.push('no main part');
if (all('script').length) wrong.push('a script');
for (const e of all('[style]')) wrong.push(`an inline style on ${e.tagName}`);
for (const e of all('input:not([type=hidden]), select, textarea')) if (!e.labels.length) wrong.push(`${e.name} has no label`);
for (const e of all('button, a, summary')) if (!named(e)) wrong.push(`${e.outerHTML} has no name`);
for (const e of all('[aria-labelledby], [aria-describedby]'))
  for (const id of `${e.getAttribute('aria-labelledby') || ''} ${e.getAttribute('aria-describedby') || ''}`.trim().split(/ +/))
    if (!document.getElementById(id)) wrong.push(`${id} describes nothing`);
const ids = all('[id]').map(e => e.id);
if (new Set(ids).size !== ids.length) wrong.push('an id occurs twice');
for (const e of all('form')) if (!['post', 'get'].includes(e.method)) wrong.push('a form of another method');
if (document.documentElement.scrollWidth > document.documentElement.clientWidth) wrong.push('wider than the window');
const levels = all('h1, h2, h3, h4').map(e => +e.tagName[1]);
levels.forEach((level, at) => { if (at && level > levels[at - 1] + 1) wrong.push('a level of headings is left out'); });
for (const e of all('button, a, input:not([type=hidden]), summary')) {
  const box = e.getBoundingClientRect();
  if (box.height && box.height < 20 && !e.closest('p, li, dd, .skip')) wrong.push(`${named(e) || e.name} is ${box.height} high`);
}
return wrong;
"##;

/// A world with an application that browsers and products reach.
pub(super) struct Town {
    pub(super) world: World,
    pub(super) base: String,
    pub(super) product: Caller,
    running: Option<Running>,
}

impl Town {
    async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(super) async fn with(options: Options) -> Self {
        let port = free_port();
        let world = World::made(Options { port: Some(port), ..options }, |_| {}).await;
        let purposes = ["A budget that fills itself in", "A warning before the account runs dry"];
        let (_, key) = setup::add_product(&world.app, "Pennywise", &purposes, &[BACK, APP]).await.unwrap();
        let product = Caller::new(&world, &format!("http://127.0.0.1:{port}"), Some(&key));
        let mut town = Self { world, base: format!("http://localhost:{port}"), product, running: None };
        town.open().await;
        town
    }

    /// The application begins to listen.
    async fn open(&mut self) {
        self.running = Some(server::start(self.world.app.clone()).await.unwrap());
    }

    /// It stops, as for an update.
    async fn close(&mut self) {
        self.running.take().unwrap().shutdown().await;
    }

    /// A product asks for a consent; gives its id and the person's link.
    async fn ask(&self, person: &str, bank: Option<&str>) -> (String, String) {
        self.ask_for(person, bank, BACK).await
    }

    pub(super) async fn ask_for(&self, person: &str, bank: Option<&str>, back: &str) -> (String, String) {
        let body = json!({
            "psu_ref": person, "institution_id": bank, "return_url": back,
            "purposes": ["A budget that fills itself in", "A warning before the account runs dry"],
        });
        let answer = self.product.post("/v1/consents", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let created = answer.json();
        (text(&created["id"]), text(&created["link"]["url"]))
    }

    pub(super) async fn end(mut self) {
        self.close().await;
        self.world.end().await;
    }
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Looks at a page as somebody who cannot see it would, and takes two pictures: by day on a desk, by night on a phone.
pub(super) async fn look(browser: &Browser, name: &str) {
    let wrong = browser.page().execute(AUDIT, Vec::new()).await.unwrap();
    assert_eq!(wrong, json!([]), "{name}");
    browser.shoot(name).await;
    assert_eq!(browser.shoot_narrow(&format!("{name}-phone"), true).await, 0, "{name} is wider than a phone");
}

pub(super) async fn count(browser: &Browser, css: &str) -> usize {
    browser.page().find_all(Locator::Css(css)).await.unwrap().len()
}

async fn address(browser: &Browser) -> String {
    browser.page().current_url().await.unwrap().to_string()
}

/// From a product's link to the bank's page.
pub(super) async fn to_the_bank(browser: &Browser, link: &str) {
    browser.open(link).await;
    browser.press("button.primary").await;
    accept(browser).await;
}

/// Accepts the text that is in view.
pub(super) async fn accept(browser: &Browser) {
    browser.see_heading("What you share from Musterbank").await;
    // Whoever comes back to the page finds the box as it was left.
    if !browser.see("input[name=acknowledged]").await.is_selected().await.unwrap() {
        browser.press("input[name=acknowledged]").await;
    }
    browser.press(".decide button").await;
}

pub(super) async fn sign_in(browser: &Browser, (name, password): (&str, &str)) {
    browser.see_heading("Sign in").await;
    browser.fill("#username", name).await;
    browser.fill("#password", password).await;
    browser.press("button[value=sign_in]").await;
    browser.see_heading("Test TPP asks to see your accounts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_connects_a_bank_sees_what_is_shared_and_stops_it() {
    let town = Town::start().await;
    let browser = Browser::start().await;
    let (consent, link) = town.ask("mara", None).await;

    browser.open(&link).await;
    browser.see_heading("Connect your bank").await;
    look(&browser, "01-link").await;
    browser.press("button.primary").await;
    browser.see_heading("Choose your bank").await;
    look(&browser, "02-banks").await;
    browser.fill("#q", "atlantis").await;
    browser.press(".search button").await;
    browser.see("[role=status]").await;
    look(&browser, "03-no-bank").await;
    browser.fill("#q", "muster").await;
    browser.press(".search button").await;
    browser.press("button[name=institution]").await;
    browser.see_heading("What you share from Musterbank").await;
    look(&browser, "04-text").await;
    browser.press(".decide button").await;
    assert!(address(&browser).await.ends_with("/link/consent"), "the box must be ticked first");
    accept(&browser).await;
    at_the_bank(&browser).await;

    browser.see_heading("Musterbank is connected").await;
    browser.see(".lead:not([role=status])").await;
    assert_eq!(count(&browser, ".accounts li").await, 2, "of three accounts one was not chosen");
    look(&browser, "09-connected").await;
    let cookie = cookies(&browser).await;
    let read = town.product.get(&format!("/v1/accounts?consent_id={consent}")).await.json();
    assert_eq!(read["data"].as_array().unwrap().len(), 2, "the product sees what the person sees");
    stop(&town, &browser, &consent, &cookie).await;

    history_is_clean(&town, &browser, &link).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    town.end().await;
}

/// Signs in with a wrong password first, chooses two accounts of three, and approves.
async fn at_the_bank(browser: &Browser) {
    browser.see_heading("Sign in").await;
    look(browser, "05-bank-login").await;
    browser.fill("#username", CUSTOMER.0).await;
    browser.fill("#password", "guessed").await;
    browser.press("button[value=sign_in]").await;
    browser.see("[role=alert]").await;
    look(browser, "06-bank-wrong-password").await;
    sign_in(browser, CUSTOMER).await;
    look(browser, "07-bank-consent").await;
    let boxes = browser.page().find_all(Locator::Css("input[name=account]")).await.unwrap();
    for input in &boxes {
        input.click().await.unwrap();
    }
    browser.press("button[value=approve]").await;
    browser.see("[role=alert]").await;
    look(browser, "08-bank-nothing-chosen").await;
    browser.press("label.account:nth-of-type(3) input").await;
    browser.press("button[value=approve]").await;
}

/// The session cookie, with the guards that browsers know.
async fn cookies(browser: &Browser) -> String {
    let all = browser.page().get_all_cookies().await.unwrap();
    let mut ours: Vec<_> = all.iter().filter(|cookie| cookie.name().contains("tributary")).collect();
    ours.sort_by_key(|cookie| cookie.name());
    let names: Vec<_> = ours.iter().map(|cookie| cookie.name()).collect();
    assert_eq!(names, ["__Host-tributary", "__Host-tributary-browser"], "the binding of the login is gone");
    for cookie in &ours {
        assert_eq!((cookie.secure(), cookie.http_only(), cookie.path()), (Some(true), Some(true), Some("/")));
        assert!(cookie.same_site().is_some_and(|site| site.is_lax()));
    }
    let session = ours[0];
    format!("{}={}", session.name(), session.value())
}

/// From the end of the journey to the overview, the stop, and its receipt.
async fn stop(town: &Town, browser: &Browser, consent: &str, cookie: &str) {
    browser.press("a[href='/my']").await;
    browser.see_heading("What you share").await;
    look(browser, "10-overview").await;
    browser.press("details.stop summary").await;
    browser.see("details[open] button.danger").await;
    look(browser, "11-overview-stop").await;
    browser.press("button.danger").await;
    browser.see_heading("You no longer share data from Musterbank").await;
    browser.shoot("12-stopping").await;
    browser.see(".course li.done:nth-child(3)").await;
    assert_eq!(count(browser, ".course li.done").await, 3, "stopped here, ended at the bank, erased");
    look(browser, "13-stopped").await;
    let read = town.product.get(&format!("/v1/accounts?consent_id={consent}")).await.json();
    assert_eq!(read["data"], json!([]));
    browser.press("a.primary").await;
    browser.see_heading("What you share").await;
    assert_eq!(count(browser, "details.stop").await, 0, "nothing is left to stop");
    look(browser, "14-overview-ended").await;

    let receipt = browser.see(".connection a").await.attr("href").await.unwrap().unwrap();
    let file = town.product.send(http::Method::GET, &receipt, &[(COOKIE.as_str(), cookie)], bytes::Bytes::new()).await;
    assert_eq!(file.headers["content-disposition"], format!("attachment; filename=\"receipt-{consent}.json\""));
    let keys = evidence::VerifierKey::read_all(&server::verifier_key(&town.world.app).unwrap()).unwrap();
    let report = evidence::verify(&file.text(), &keys, None).unwrap();
    assert_eq!((report.consent.to_string().as_str(), report.receipts().len()), (consent, 1));
}

/// Neither a code nor a session is in an address that somebody may find later; the link is, and it is used up.
async fn history_is_clean(town: &Town, browser: &Browser, link: &str) {
    let history = browser.history().await;
    assert!(history.iter().any(|address| address.ends_with("/link/done")), "{history:?}");
    for address in history.iter().filter(|address| *address != link) {
        let url = Url::parse(address).unwrap();
        let names: Vec<_> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
        assert!(names.iter().all(|name| name == "q" || name == "text"), "{address}");
        assert!(!address.contains("trb_") && !address.contains("/callback/"), "{address}");
    }
    let finder = Browser::start().await;
    finder.open(link).await;
    finder.see_heading("This link is no longer valid").await;
    look(&finder, "20-link-over").await;
    finder.open(&format!("{}/my", town.base)).await;
    finder.see_heading("This page has forgotten you").await;
    look(&finder, "21-signed-out").await;
    finder.open(&format!("{}/callback/musterbank?code=a&state=b&iss=c", town.base)).await;
    finder.see_heading("We do not know this visit").await;
    look(&finder, "22-unknown").await;
}

/// Goes the whole way with everybody's consent, while our side is away: gives the address to which the bank sends the
/// browser back. Then our side is there again.
async fn callback(town: &mut Town, browser: &Browser, person: &str) -> String {
    let (_, link) = town.ask(person, Some(BANK)).await;
    to_the_bank(browser, &link).await;
    sign_in(browser, CUSTOMER).await;
    town.close().await;
    let approve = browser.see("button[value=approve]").await;
    // Chromedriver may call it an error that nobody answers behind the button.
    let _ = approve.click().await;
    browser.see("#main-frame-error").await;
    let address = browser.history().await.pop().unwrap();
    assert!(address.contains("/callback/musterbank?code="), "{address}");
    town.open().await;
    browser.complaints().await;
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_that_does_not_end_well_says_so_and_leads_on() {
    let mut town = Town::start().await;
    let browser = Browser::start().await;
    says_no(&town, &browser).await;

    let answer = callback(&mut town, &browser, "twice").await;
    browser.open(&answer).await;
    browser.see_heading("Musterbank is connected").await;
    browser.open(&answer).await;
    browser.see_heading("You have been here already").await;
    look(&browser, "33-twice").await;
    browser.press("a.primary").await;
    browser.see_heading("Musterbank is connected").await;

    let answer = callback(&mut town, &browser, "elsewhere").await;
    let other = Browser::start().await;
    other.open(&answer).await;
    other.see_heading("Please go on where you began").await;
    look(&other, "34-other-browser").await;
    assert_eq!(count(&other, "form").await, 0, "a stranger is offered nothing");
    drop(other);
    browser.open(&answer).await;
    browser.see_heading("You have been here already").await;
    browser.press("a.primary").await;
    browser.see_heading("What you share from Musterbank").await;

    let answer = callback(&mut town, &browser, "forged").await;
    let mut forged = Url::parse(&answer).unwrap();
    let pairs: Vec<_> = forged.query_pairs().into_owned().filter(|(name, _)| name != "iss").collect();
    forged.query_pairs_mut().clear().extend_pairs(pairs).append_pair("iss", "https://other.example");
    browser.open(forged.as_str()).await;
    browser.see_heading("This answer could not be trusted").await;
    look(&browser, "35-not-trusted").await;
    begins_again(&browser).await;

    let answer = callback(&mut town, &browser, "broken").await;
    browser.open(&answer.replace("code=", "error=server_error&was=")).await;
    browser.see_heading("The bank reported an error").await;
    look(&browser, "36-bank-error").await;
    begins_again(&browser).await;

    let answer = callback(&mut town, &browser, "late").await;
    town.world.clock.advance(SignedDuration::from_mins(16));
    browser.open(&answer).await;
    browser.see_heading("That took too long").await;
    look(&browser, "37-timed-out").await;
    begins_again(&browser).await;

    let (_, link) = town.ask("old", Some(BANK)).await;
    town.world.clock.advance(SignedDuration::from_hours(24));
    browser.open(&link).await;
    browser.see_heading("This link is no longer valid").await;
    without_the_bank(town, &browser).await;
}

/// The one next step leads back to the text, for a new consent.
pub(super) async fn begins_again(browser: &Browser) {
    browser.press("button.primary").await;
    browser.see_heading("What you share from Musterbank").await;
}

/// A no to us; a no before the sign-in; a no after it.
async fn says_no(town: &Town, browser: &Browser) {
    let (_, link) = town.ask("no", Some(BANK)).await;
    browser.open(&link).await;
    browser.see_heading("Connect your account at Musterbank").await;
    look(browser, "30-link-with-bank").await;
    browser.press("button.primary").await;
    browser.press("form[action='/link/decline'] button").await;
    browser.see_heading("Nothing was shared").await;
    look(browser, "31-declined").await;
    assert_eq!(browser.see("a.primary").await.attr("href").await.unwrap().as_deref(), Some(BACK));

    let (_, link) = town.ask("no", Some(BANK)).await;
    to_the_bank(browser, &link).await;
    browser.press("button[value=deny]").await;
    browser.see_heading("You did not agree at the bank").await;
    look(browser, "32-denied").await;
    browser.press("button.primary").await;
    accept(browser).await;
    sign_in(browser, NEIGHBOUR).await;
    browser.press("button[value=deny]").await;
    browser.see_heading("You did not agree at the bank").await;
    browser.open(&format!("{}/link/done", town.base)).await;
    browser.see_heading("You did not agree at the bank").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

/// The bank is away when somebody wants to go there.
async fn without_the_bank(town: Town, browser: &Browser) {
    let (_, link) = town.ask("away", Some(BANK)).await;
    let Town { world, running, .. } = town;
    let World { bank, app, private, .. } = world;
    bank.shutdown().await;
    to_the_bank(browser, &link).await;
    browser.see_heading("The bank cannot be reached").await;
    look(browser, "38-bank-away").await;
    begins_again(browser).await;
    running.unwrap().shutdown().await;
    app.store.close().await;
    private.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_can_be_done_with_the_keyboard_alone() {
    let town = Town::start().await;
    let browser = Browser::start().await;
    let (_, link) = town.ask("keys", Some(BANK)).await;
    browser.open(&link).await;
    browser.see_heading("Connect your account at Musterbank").await;
    browser.tab_to("a.skip").await;
    browser.shoot("40-keyboard").await;
    browser.tab_to("button.primary").await;
    browser.key(Key::Enter).await;
    browser.see_heading("What you share from Musterbank").await;
    browser.tab_to("input[name=acknowledged]").await;
    browser.key(Key::Space).await;
    browser.tab_to(".decide button").await;
    browser.key(Key::Enter).await;

    browser.see_heading("Sign in").await;
    type_in(&browser, CUSTOMER.0).await;
    browser.key(Key::Tab).await;
    type_in(&browser, CUSTOMER.1).await;
    browser.key(Key::Enter).await;
    browser.see_heading("Test TPP asks to see your accounts").await;
    browser.tab_to("button[value=approve]").await;
    browser.key(Key::Enter).await;

    browser.see_heading("Musterbank is connected").await;
    browser.tab_to("a[href='/my']").await;
    browser.key(Key::Enter).await;
    browser.see_heading("What you share").await;
    browser.tab_to("details.stop summary").await;
    browser.key(Key::Enter).await;
    browser.tab_to("button.danger").await;
    browser.key(Key::Enter).await;
    browser.see_heading("You no longer share data from Musterbank").await;
    town.end().await;
}

/// Types into whatever has the focus.
async fn type_in(browser: &Browser, text: &str) {
    browser.page().active_element().await.unwrap().send_keys(text).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_tells_the_browser_to_trust_nothing_else() {
    let town = Town::start().await;
    let (_, link) = town.ask("headers", None).await;
    let anybody = Caller::new(&town.world, &town.base, None::<&SecretString>);
    let link = Url::parse(&link).unwrap();
    for path in [link.path(), "/link/bank", "/link/consent", "/link/done", "/my", "/callback/musterbank?code=a", "/no"]
    {
        let headers = anybody.get(path).await.headers;
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"), "{path}: {policy}");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(header(name), value, "{path}");
        }
    }
    town.end().await;
}
