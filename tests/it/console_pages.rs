//! The console in a real browser, as each role: signed in at the identity provider, every page of the navigation looked at
//! by day and by night, at a desk and on a phone. The pictures are in `target/screenshots/`.

use domain::staff::Role;
use fantoccini::Locator;
use serde_json::json;
use tests::browser::Browser;
use tests::site::{Site, connected};
use tests::staff::Provider;
use tests::world::{NEIGHBOUR, Options, World, free_port};

use crate::pages::look;

/// Gives a sentence for each text that stands out too little from what is behind it (WCAG 2.2 §1.4.3).
const CONTRAST: &str = r##"
const light = text => {
  const [r, g, b] = text.match(/[\d.]+/g).slice(0, 3).map(part => {
    const c = part / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const clear = text => text === 'transparent' || /, 0\)$/.test(text);
const behind = e => {
  for (; e; e = e.parentElement) {
    const color = getComputedStyle(e).backgroundColor;
    if (!clear(color)) return color;
  }
  return 'rgb(255, 255, 255)';
};
const wrong = [];
for (const e of document.querySelectorAll('body *')) {
  const own = [...e.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
  if (!own || !e.getClientRects().length || e.closest('title, .skip, .unseen')) continue;
  const style = getComputedStyle(e);
  const ink = e.namespaceURI.endsWith('svg') ? style.fill : style.color;
  const [a, b] = [light(ink), light(behind(e))].sort((a, b) => b - a);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) wrong.push(`${e.tagName}.${e.getAttribute('class')} "${e.textContent.trim().slice(0, 30)}" ${ratio.toFixed(2)}`);
}
return wrong;
"##;

/// Looks at a page by day and by night.
async fn inspect(browser: &Browser, name: &str) {
    look(browser, name).await;
    for dark in [false, true] {
        browser.scheme(Some(dark)).await;
        let wrong = browser.page().execute(CONTRAST, Vec::new()).await.unwrap();
        assert_eq!(wrong, json!([]), "{name}, {}", if dark { "dark" } else { "light" });
    }
    browser.shoot(&format!("{name}-night")).await;
    browser.scheme(None).await;
    assert_eq!(browser.shoot_narrow(&format!("{name}-phone-day"), false).await, 0, "{name} is wider than a phone");
}

async fn sign_in(browser: &Browser, base: &str, name: &str) {
    browser.open(&format!("{base}/console")).await;
    browser.see_heading("Sign in to the console").await;
    browser.press("form.ask button").await;
    browser.see_heading("Who are you?").await;
    browser.press(&format!("#{name}")).await;
    browser.see_heading("Now").await;
}

/// Every page of the navigation.
async fn walk(browser: &Browser, role: Role) -> Vec<String> {
    let mut seen = Vec::new();
    for link in browser.page().find_all(Locator::Css("nav a")).await.unwrap() {
        seen.push(link.attr("href").await.unwrap().unwrap());
    }
    for place in &seen {
        browser.press(&format!("nav a[href=\"{place}\"]")).await;
        browser.see(&format!("nav a[href=\"{place}\"][aria-current=page]")).await;
        let name = place.trim_start_matches("/console").trim_start_matches('/');
        let name = if name.is_empty() { "now" } else { name };
        inspect(browser, &format!("console-{}-{name}", role.word())).await;
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_sees_its_pages_by_day_and_by_night() {
    let port = free_port();
    let mut world = World::made(Options { port: Some(port), ..Options::default() }, |_| {}).await;
    let provider = Provider::join(&mut world).await;
    // Without background work, which would fetch at the same moment as the test does.
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product).await;
    product.post("/v1/webhook-endpoints", &json!({ "url": "http://127.0.0.1:9/hook" })).await;
    let ended = world.connect(NEIGHBOUR).await;
    product.delete(&format!("/v1/consents/{ended}")).await;
    let long = "Donaudampfschifffahrtsgesellschaftskapitänswitwenrentenauszahlungsstelle";
    let ask = json!({ "psu_ref": long, "institution_id": tests::world::BANK, "purposes": ["budgeting"] });
    product.post("/v1/consents", &ask).await;

    site.end().await;
    let running = server::start(world.app.clone()).await.unwrap();
    let base = format!("http://localhost:{port}");
    let browser = Browser::start().await;
    browser.open(&format!("{base}/console/login")).await;
    browser.see_heading("Sign in to the console").await;
    inspect(&browser, "console-login").await;
    for (name, role, places) in [
        ("olga", Role::Operator, 8),
        ("carl", Role::Compliance, 8),
        ("sam", Role::Support, 5),
        ("ada", Role::Auditor, 10),
    ] {
        sign_in(&browser, &base, name).await;
        let seen = walk(&browser, role).await;
        assert_eq!(seen.len(), places, "{role:?} {seen:?}");
        if role == Role::Operator {
            browser.open(&format!("{base}/console/banks/{}", tests::world::REGISTRATION)).await;
            browser.see("svg.chart").await;
            inspect(&browser, "console-operator-bank").await;
        }
        if role == Role::Compliance {
            reads_for_a_reason(&browser, &base, &consent.to_string()).await;
        }
        browser.press(".who button").await;
        browser.see_heading("Sign in to the console").await;
    }
    assert_eq!(complaints(&browser, &base).await, Vec::<String>::new());
    drop(browser);
    running.shutdown().await;
    provider.end().await;
    world.end().await;
}

/// What the browser complained about on our pages; the identity provider's are its own affair.
async fn complaints(browser: &Browser, base: &str) -> Vec<String> {
    let mut noted = browser.complaints().await;
    noted.retain(|line| line.starts_with(base));
    noted
}

/// From the list to the whole life of a consent, and to its rows for a reason.
async fn reads_for_a_reason(browser: &Browser, base: &str, consent: &str) {
    browser.open(&format!("{base}/console/consents")).await;
    browser.press(&format!("a[href=\"/console/consents/{consent}\"]")).await;
    browser.see_heading("Consent").await;
    inspect(browser, "console-consent").await;
    browser.fill("#reason-reason", "The person asked about a missing booking").await;
    browser.press("form[action$=\"/data\"] button").await;
    browser.see_heading("Bank data").await;
    inspect(browser, "console-bank-data").await;
    browser.open(&format!("{base}/console/consents/cns_nonsense")).await;
    browser.see_heading("There is nothing here").await;
    // The browser notes every answer that is not one of success.
    let noted = complaints(browser, base).await;
    assert_eq!(noted.len(), 1, "{noted:?}");
}
