//! Visits that take a turn, in a real browser: each ends on a page that says what happened and what to do. What goes wrong
//! at a callback alone is in `pages`.

use domain::policy::Regime;
use fantoccini::Locator;
use jiff::SignedDuration;
use sandbox::{Policy, RequestWay};
use serde_json::{Value, json};
use server::{evidence_log, setup};
use tests::browser::Browser;
use tests::site::Caller;
use tests::world::{BANK, CUSTOMER, Options};

use super::pages::{APP, BACK, Town, accept, begins_again, count, look, sign_in, text, to_the_bank};

/// The address that the one next step of a page leads to.
async fn next(browser: &Browser) -> String {
    browser.see("a.primary").await.attr("href").await.unwrap().unwrap()
}

/// The way of somebody who approves everything, from a product's link to the last page.
async fn connects(browser: &Browser, link: &str) {
    to_the_bank(browser, link).await;
    sign_in(browser, CUSTOMER).await;
    browser.press("button[value=approve]").await;
}

/// A link with which a person goes on with a consent.
async fn link_to_renew(town: &Town, consent: &str) -> String {
    let answer = town.product.post(&format!("/v1/consents/{consent}/reauthorise"), &json!({})).await;
    assert!(answer.status.is_success(), "{}", answer.text());
    text(&answer.json()["url"])
}

async fn state(town: &Town, consent: &str) -> Value {
    town.product.get(&format!("/v1/consents/{consent}")).await.json()["state"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_back_or_loses_the_way_finds_the_page_that_fits() {
    let town = Town::with(Options::default()).await;
    let browser = Browser::start().await;

    // Back from the bank before signing in there: the text again, and it can be accepted again.
    let (_, link) = town.ask_for("back", Some(BANK), APP).await;
    to_the_bank(&browser, &link).await;
    browser.see_heading("Sign in").await;
    browser.back().await;
    accept(&browser).await;
    sign_in(&browser, CUSTOMER).await;
    browser.press("button[value=approve]").await;
    browser.see_heading("Musterbank is connected").await;
    // The product is an app: the last page leads there.
    assert_eq!(browser.see(&format!("a[href='{APP}']")).await.attr("href").await.unwrap().as_deref(), Some(APP));
    look(&browser, "50-connected-app").await;
    // Back from the last page: the bank's pages are over, and ours say how it stands.
    browser.back().await;
    browser.see_heading("This cannot go on").await;
    browser.back().await;
    browser.see_heading("This cannot go on").await;
    browser.back().await;
    browser.see_heading("Musterbank is connected").await;

    tampered(&town, &browser).await;
    cookies_lost(&town, &browser).await;
    bank_loses_its_answer(&town, &browser).await;
    guesses_passwords(&town, &browser).await;
    withdrawn_on_the_way(&town, &browser).await;
    town.end().await;
}

/// A link with a wrong letter, and one that was cut short.
async fn tampered(town: &Town, browser: &Browser) {
    let (_, link) = town.ask_for("tampered", Some(BANK), BACK).await;
    let last = if link.ends_with('a') { 'b' } else { 'a' };
    let stem = &link[..link.len() - 1];
    for wrong in [format!("{stem}{last}"), stem.to_owned()] {
        browser.open(&wrong).await;
        browser.see_heading("This link is no longer valid").await;
    }
    browser.open(&link).await;
    browser.see_heading("Connect your account at Musterbank").await;
}

/// The browser has forgotten one of our cookies while its person was at the bank.
async fn cookies_lost(town: &Town, browser: &Browser) {
    let (_, link) = town.ask_for("session lost", Some(BANK), BACK).await;
    to_the_bank(browser, &link).await;
    sign_in(browser, CUSTOMER).await;
    browser.forget(&town.base, "__Host-tributary").await;
    browser.press("button[value=approve]").await;
    browser.see_heading("Musterbank is connected").await;

    let (_, link) = town.ask_for("binding lost", Some(BANK), BACK).await;
    to_the_bank(browser, &link).await;
    sign_in(browser, CUSTOMER).await;
    browser.forget(&town.base, "__Host-tributary-login").await;
    browser.press("button[value=approve]").await;
    browser.see_heading("Please go on where you began").await;
    look(browser, "51-binding-lost").await;
    begins_again(browser).await;
}

/// The bank gives its tokens, and they never arrive.
async fn bank_loses_its_answer(town: &Town, browser: &Browser) {
    let (_, link) = town.ask_for("lost answer", Some(BANK), BACK).await;
    to_the_bank(browser, &link).await;
    sign_in(browser, CUSTOMER).await;
    town.world.bank.lose_answer_to("/token", "grant_type=authorization_code");
    browser.press("button[value=approve]").await;
    browser.see_heading("The bank reported an error").await;
    look(browser, "52-answer-lost").await;
    begins_again(browser).await;
}

/// The bank has had enough of wrong passwords.
async fn guesses_passwords(town: &Town, browser: &Browser) {
    let (_, link) = town.ask_for("guesses", Some(BANK), BACK).await;
    to_the_bank(browser, &link).await;
    for tried in 1..=5 {
        browser.see_heading("Sign in").await;
        browser.fill("#username", CUSTOMER.0).await;
        browser.fill("#password", &format!("guess {tried}")).await;
        // The next page looks the same: this one is marked, to be told from it.
        browser.page().execute("document.body.dataset.old = 1", Vec::new()).await.unwrap();
        browser.press("button[value=sign_in]").await;
        browser.see("body:not([data-old])").await;
    }
    browser.see_heading("You did not agree at the bank").await;
    begins_again(browser).await;
}

/// The product withdraws while its person is at the bank: before anything was authorised, and during a renewal.
async fn withdrawn_on_the_way(town: &Town, browser: &Browser) {
    let (consent, link) = town.ask_for("withdrawn", Some(BANK), BACK).await;
    to_the_bank(browser, &link).await;
    sign_in(browser, CUSTOMER).await;
    assert_eq!(town.product.delete(&format!("/v1/consents/{consent}")).await.status, 202);
    browser.press("button[value=approve]").await;
    browser.see_heading("This request was withdrawn").await;
    look(browser, "53-withdrawn").await;
    assert_eq!(next(browser).await, BACK);

    let (consent, link) = town.ask_for("stopped", Some(BANK), BACK).await;
    connects(browser, &link).await;
    browser.see_heading("Musterbank is connected").await;
    to_the_bank(browser, &link_to_renew(town, &consent).await).await;
    sign_in(browser, CUSTOMER).await;
    assert_eq!(town.product.delete(&format!("/v1/consents/{consent}")).await.status, 202);
    browser.press("button[value=approve]").await;
    browser.see_heading("You no longer share data from Musterbank").await;
    // The bank is not told: what this customer gave under other names stands on the same authorisation.
    browser.see(".course li.done:nth-child(2)").await;
    look(browser, "54-stopped-on-the-way").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_renews_confirms_and_changes_the_language() {
    let town = Town::with(Options { regime: Some(Regime::Uk), ..Options::default() }).await;
    let browser = Browser::start().await;
    let (consent, link) = town.ask_for("ada", Some(BANK), BACK).await;
    connects(&browser, &link).await;
    browser.see_heading("Musterbank is connected").await;
    browser.see(".lead:not([role=status])").await;

    browser.press("a[href='/my']").await;
    browser.see_heading("What you share").await;
    for (code, heading) in [("de", "Was Sie teilen"), ("fr", "Ce que vous partagez"), ("es", "Lo que comparte")] {
        browser.press(&format!(".languages a[lang={code}]")).await;
        browser.see_heading(heading).await;
        browser.shoot(&format!("60-overview-{code}")).await;
        assert_eq!(browser.shoot_narrow(&format!("60-overview-{code}-phone"), true).await, 0, "{code}");
        browser.open(&format!("{}/my", town.base)).await;
        browser.see_heading(heading).await;
    }
    browser.press(".languages a[lang=en]").await;

    // Ninety days without a word: reading stops, and one answer to us sets it going again.
    town.world.clock.advance(SignedDuration::from_hours(24 * 91));
    browser.open(&link_to_renew(&town, &consent).await).await;
    server::reconcile::look(&town.world.app).await.unwrap();
    assert_eq!(state(&town, &consent).await, "reauth_pending");
    browser.press("button.primary").await;
    browser.see_heading("What you share").await;
    browser.see(".badge.wait").await;
    look(&browser, "61-confirm").await;
    let asked = town.world.bank.requests().iter().filter(|request| *request == "POST /par").count();
    browser.press(".note button.primary").await;
    browser.see(".badge.good").await;
    look(&browser, "62-confirmed").await;
    assert_eq!(state(&town, &consent).await, "active");
    let now = town.world.bank.requests().iter().filter(|request| *request == "POST /par").count();
    assert_eq!(asked, now, "nobody went to the bank");

    // A renewal at the bank keeps everything, and says how long it lasts before anybody goes there.
    browser.open(&link_to_renew(&town, &consent).await).await;
    browser.press("button.primary").await;
    browser.see_heading("What you share from Musterbank").await;
    look(&browser, "63-renewal-text").await;
    accept(&browser).await;
    sign_in(&browser, CUSTOMER).await;
    browser.press("button[value=approve]").await;
    browser.see_heading("Musterbank is connected").await;
    browser.see(".lead:not([role=status])").await;
    assert_eq!(count(&browser, ".accounts li").await, 3);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_another_service_at_the_bank_reads_what_becomes_of_it_before_going_there() {
    for (nameless, words) in
        [(false, "both go on under the new one"), (true, "the bank ends it as soon as you confirm")]
    {
        let town = Town::with(Options { nameless, ..Options::default() }).await;
        let browser = Browser::start().await;
        let (_, key) = setup::add_product(&town.world.app, "Otherwise", &["budgeting"], &[BACK]).await.unwrap();
        let (first, link) = town.ask_for("first", Some(BANK), BACK).await;
        connects(&browser, &link).await;
        browser.see_heading("Musterbank is connected").await;

        let other = Caller::new(&town.world, &town.base, Some(&key));
        let body = json!({ "psu_ref": "another name", "institution_id": BANK, "return_url": BACK,
            "purposes": ["budgeting"] });
        let created = other.post("/v1/consents", &body).await.json();
        browser.open(&text(&created["link"]["url"])).await;
        browser.press("button.primary").await;
        browser.see_heading("What you share from Musterbank").await;
        let note = browser.see("#elsewhere").await.text().await.unwrap();
        assert!(note.contains(words), "{note}");
        if !nameless {
            look(&browser, "58-elsewhere").await;
        }
        accept(&browser).await;
        let noted = "consent.collision_shown";
        let record = async |product: &Caller, id: &str| {
            while evidence_log::sequence(&town.world.app, town.world.app.tenant.id).await.unwrap() > 0 {}
            let bundle = product.get(&format!("/v1/evidence/consents/{id}")).await;
            assert!(bundle.status.is_success(), "{}", bundle.status);
            bundle.text()
        };
        assert!(!record(&town.product, &first).await.contains(noted), "who is at the bank nobody knows yet");
        sign_in(&browser, CUSTOMER).await;
        browser.press("button[value=approve]").await;
        browser.see_heading("Musterbank is connected").await;
        // What the person read about the other service is on that one's record once the bank has named them, and never on
        // this one's.
        assert_eq!(record(&town.product, &first).await.contains(noted), !nameless);
        let own = record(&other, &text(&created["id"])).await;
        assert!(!own.contains(words) && !own.contains(noted));
        town.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_takes_one_account_out_and_keeps_the_others() {
    // A bank that ends no authorisation for the next one.
    let town = Town::with(Options { renewal: "overlap", ..Options::default() }).await;
    let browser = Browser::start().await;
    let (consent, link) = town.ask_for("picky", Some(BANK), BACK).await;
    connects(&browser, &link).await;
    browser.see_heading("Musterbank is connected").await;
    browser.see(".lead:not([role=status])").await;
    browser.press("a[href='/my']").await;
    browser.see_heading("What you share").await;
    let all = browser.page().get_all_cookies().await.unwrap();
    let known = all.iter().any(|cookie| cookie.name() == "__Host-tributary-browser");
    assert!(!known, "nobody needs to know the browser again");
    assert_eq!(count(&browser, ".accounts li").await, 3);
    for left in [2, 1] {
        browser.press(".remove summary").await;
        look(&browser, "64-remove").await;
        browser.press(".choice input").await;
        browser.press(".remove button.danger").await;
        browser.see(&format!(".accounts li:nth-child({left}):last-child")).await;
    }
    assert_eq!(count(&browser, ".remove").await, 0, "the last one goes with the whole");
    assert_eq!(state(&town, &consent).await, "active");
    let listed = town.product.get("/v1/accounts").await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_of_several_signers_is_told_and_finds_it_done_later() {
    let habits: fn(&mut Policy) = |policy| policy.several_signers = true;
    let town = Town::with(Options { habits: Some(habits), ..Options::default() }).await;
    let browser = Browser::start().await;
    let (_, link) = town.ask_for("company", Some(BANK), BACK).await;
    connects(&browser, &link).await;
    browser.see_heading("Others have to sign as well").await;
    look(&browser, "70-signers").await;
    assert_eq!(next(&browser).await, BACK);
    // Nothing begins anew, wherever the person turns.
    browser.open(&format!("{}/link/consent", town.base)).await;
    browser.see_heading("Others have to sign as well").await;
    assert_eq!(town.world.bank.sign_the_rest(), 1);
    town.world.clock.advance(SignedDuration::from_mins(2));
    town.world.app.work.notify_waiters();
    for _ in 0..200 {
        browser.open(&format!("{}/link/done", town.base)).await;
        let heading = browser.page().find(Locator::Css("h1")).await.unwrap().text().await.unwrap();
        if heading == "Musterbank is connected" {
            break;
        }
    }
    browser.see_heading("Musterbank is connected").await;
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_behind_the_hash_arrives_and_without_scripts_the_page_says_what_to_do() {
    let habits: fn(&mut Policy) = |policy| policy.request = RequestWay::Browser;
    let security = "profile = \"fapi1-advanced\"\nresponse = \"hybrid\"";
    let town = Town::with(Options { security, habits: Some(habits), ..Options::default() }).await;
    let browser = Browser::start().await;
    let (_, link) = town.ask_for("hash", Some(BANK), BACK).await;
    connects(&browser, &link).await;
    browser.see_heading("Musterbank is connected").await;
    let history = browser.history().await;
    assert!(history.iter().all(|address| !address.contains("code=")), "{history:?}");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    // Somebody opens the address by hand.
    browser.open(&format!("{}/callback/musterbank", town.base)).await;
    browser.see_heading("We do not know this visit").await;

    let (_, link) = town.ask_for("no script", Some(BANK), BACK).await;
    to_the_bank(&browser, &link).await;
    sign_in(&browser, CUSTOMER).await;
    browser.scripts(false).await;
    browser.press("button[value=approve]").await;
    browser.see_heading("One moment").await;
    browser.see("noscript section").await;
    browser.shoot("71-no-script").await;
    // Whoever allows them and loads the page again goes on.
    browser.scripts(true).await;
    browser.page().refresh().await.unwrap();
    browser.see_heading("Musterbank is connected").await;
    town.end().await;
}
