//! How pages look: a product's colours, name and picture on every page of its people, by day and by night, on the one host
//! that every product's people come to; and nothing else that a theme could carry.

use std::io::Cursor;

use domain::ids::ProductId;
use secrecy::SecretString;
use serde_json::{Value, json};
use server::App;
use server::pages::theme::Palette;
use server::services::themes::NewTheme;
use server::services::{products, themes};
use server::setup;
use tests::browser::Browser;
use tests::site::Caller;
use tests::world::{BANK, CUSTOMER, Options};

use super::pages::{BACK, Town, accept, count, look, sign_in, text};

/// A drop on nothing, as a product would send it, with words beside its pixels.
fn drop_of_violet() -> Vec<u8> {
    const SIDE: i32 = 96;
    let shade = |at: i32| {
        let (x, y) = (at % SIDE - SIDE / 2, at / SIDE - SIDE / 2);
        let inside = x * x + y * y < (SIDE / 2 - 4).pow(2);
        if inside { [0x5b, 0x1f, 0xa6, 0xff] } else { [0, 0, 0, 0] }
    };
    let mut file = Cursor::new(Vec::new());
    let side = u32::try_from(SIDE).unwrap();
    let mut encoder = png::Encoder::new(&mut file, side, side);
    encoder.set_color(png::ColorType::Rgba);
    encoder.add_text_chunk("Comment".to_owned(), "<script>alert(1)</script>".to_owned()).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&(0..SIDE * SIDE).flat_map(shade).collect::<Vec<u8>>()).unwrap();
    writer.finish().unwrap();
    file.into_inner()
}

fn palette(accent: &str, masthead: &str) -> Palette {
    Palette::checked(accent.parse().unwrap(), Some(masthead.parse().unwrap()), None, None).unwrap()
}

fn violet() -> NewTheme {
    let palette = palette("#5b1fa6", "#3a0f73");
    NewTheme { palette, name: Some("Pennywise & Friends".to_owned()), logo: Some(drop_of_violet()) }
}

async fn product(app: &App, name: &str) -> ProductId {
    let listed = products::list(app).await.unwrap();
    listed.into_iter().find(|listed| listed.product.name == name).unwrap().product.id
}

/// What a page shows of its theme: behind the masthead, behind a button, in the masthead.
async fn worn(browser: &Browser) -> Value {
    const SCRIPT: &str = "
        const of = (css, what) => getComputedStyle(document.querySelector(css))[what];
        const logo = document.querySelector('.logo');
        return [of('.masthead', 'backgroundColor'), of('.primary', 'backgroundColor'), of('.primary', 'color'),
                document.querySelector('.provider strong').textContent, logo ? logo.naturalWidth : 0];";
    browser.page().execute(SCRIPT, Vec::new()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_a_products_people_looks_as_its_theme_says_by_day_and_by_night() {
    let town = Town::with(Options::default()).await;
    let app = &town.world.app;
    let id = product(app, "Pennywise").await;
    themes::set(app, Some(id), violet()).await.unwrap();
    let browser = Browser::start().await;
    let (_, link) = town.ask_for("mara", Some(BANK), BACK).await;

    browser.open(&link).await;
    browser.see_heading("Connect your account at Musterbank").await;
    let day = json!(["rgb(58, 15, 115)", "rgb(91, 31, 166)", "rgb(255, 255, 255)", "Pennywise & Friends", 96]);
    assert_eq!(worn(&browser).await, day);
    look(&browser, "70-theme-link").await;
    browser.scheme(Some(true)).await;
    let night = worn(&browser).await;
    assert!(night[0] != day[0] && night[1] != day[1] && night[3] == day[3], "{night}");
    browser.shoot("71-theme-by-night").await;
    browser.scheme(Some(false)).await;

    browser.press("button.primary").await;
    browser.see_heading("What you share from Musterbank").await;
    assert_eq!(worn(&browser).await, day);
    look(&browser, "72-theme-text").await;
    // Whoever is regulated is named in the text and at the foot, whatever stands in the masthead.
    assert!(browser.see("footer").await.text().await.unwrap().contains(&app.tenant.name));
    accept(&browser).await;
    sign_in(&browser, CUSTOMER).await;
    browser.press("button[value=approve]").await;
    browser.see_heading("Musterbank is connected").await;
    browser.see(".lead:not([role=status])").await;
    assert_eq!(worn(&browser).await, day);
    look(&browser, "73-theme-connected").await;
    browser.open(&format!("{}/my", town.base)).await;
    browser.see_heading("What you share").await;
    assert_eq!(count(&browser, ".logo").await, 1);
    look(&browser, "74-theme-overview").await;

    assert_eq!(browser.complaints().await, Vec::<String>::new(), "the policy of the pages lets the theme pass");
    town.end().await;
}

/// The address of a page's theme, if it wears one.
fn style(page: &str) -> Option<String> {
    let begun = page.find("/theme/")?;
    let end = page[begun..].find('"')?;
    Some(page[begun..begun + end].to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_theme_is_its_products_alone_and_the_tenants_is_everybodys_who_has_none() {
    let town = Town::with(Options::default()).await;
    let app = &town.world.app;
    let (_, key) = setup::add_product(app, "Plainbook", &["budgeting"], &[BACK]).await.unwrap();
    let other = Caller::new(&town.world, &town.base, Some(&key));
    let asked = json!({ "psu_ref": "tom", "institution_id": BANK, "return_url": BACK, "purposes": ["budgeting"] });
    let created = other.post("/v1/consents", &asked).await.json();
    let (_, themed) = town.ask_for("mara", Some(BANK), BACK).await;
    let plain = text(&created["link"]["url"]);
    let anybody = Caller::new(&town.world, &town.base, None::<&SecretString>);
    let page = async |link: &str| anybody.get(url::Url::parse(link).unwrap().path()).await;
    let strayed = format!("{}/returned/unknown", town.base);

    let policy = page(&plain).await.headers["content-security-policy"].clone();
    themes::set(app, Some(product(app, "Pennywise").await), violet()).await.unwrap();
    let shown = page(&themed).await;
    let sheet = style(&shown.text()).unwrap();
    assert_eq!(shown.headers["content-security-policy"], policy, "a theme loosens nothing");
    assert!(shown.text().contains("Pennywise &#38; Friends"), "{}", shown.text());
    assert_eq!((style(&page(&plain).await.text()), style(&page(&strayed).await.text())), (None, None));

    // Its two files are what they say, and nothing that lay in the picture beside its pixels is served.
    let served = anybody.get(&sheet).await;
    assert_eq!(
        (served.status.as_u16(), &served.headers["content-type"]),
        (200, &"text/css; charset=utf-8".parse().unwrap())
    );
    assert!(served.text().contains("--primary: #5b1fa6;") && served.headers["x-content-type-options"] == "nosniff");
    let picture = anybody.get(&sheet.replace(".css", ".png")).await;
    assert_eq!((picture.status.as_u16(), &picture.headers["content-type"]), (200, &"image/png".parse().unwrap()));
    assert!(!picture.body.windows(7).any(|window| window == b"<script"));
    for nothing in ["/theme/x.css", "/theme/0198a000-0000-7000-8000-000000000001.css", &sheet.replace(".css", ".js")] {
        assert_eq!(anybody.get(nothing).await.status, 404, "{nothing}");
    }

    // The tenant's own theme: of every product without one, and of pages that know no product.
    let tenants = NewTheme { palette: palette("#8a2a0b", "#8a2a0b"), name: None, logo: None };
    themes::set(app, None, tenants).await.unwrap();
    let everybodys = style(&page(&plain).await.text()).unwrap();
    assert_eq!(style(&page(&strayed).await.text()).as_ref(), Some(&everybodys));
    let lost = anybody.get("/nothing/here").await;
    assert_eq!((lost.status.as_u16(), style(&lost.text()).as_ref()), (404, Some(&everybodys)));
    assert_eq!(style(&page(&themed).await.text()).as_ref(), Some(&sheet));
    assert!(everybodys != sheet && anybody.get(&everybodys.replace(".css", ".png")).await.status == 404);

    // Another one takes its place under another name, and without one the pages look as before.
    let mine = Some(product(app, "Pennywise").await);
    themes::set(app, mine, NewTheme { logo: None, ..violet() }).await.unwrap();
    assert!(style(&page(&themed).await.text()).unwrap() != sheet && anybody.get(&sheet).await.status == 404);
    themes::unset(app, mine).await.unwrap();
    assert!(themes::unset(app, mine).await.is_err());
    themes::unset(app, None).await.unwrap();
    assert_eq!(style(&page(&themed).await.text()), None);
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_shown_is_refused_and_changes_nothing() {
    let world = tests::world::World::start().await;
    let app = &world.app;
    let bad = [
        NewTheme { name: Some("Penny\u{7}wise".to_owned()), ..violet() },
        NewTheme { name: Some(" ".to_owned()), ..violet() },
        NewTheme { logo: Some(b"<svg onload='alert(1)'/>".to_vec()), ..violet() },
        NewTheme { logo: Some(vec![0; 300_000]), ..violet() },
    ];
    for new in bad {
        let told = themes::set(app, None, new).await.unwrap_err().to_string();
        assert!(told.contains("name") || told.contains("picture"), "{told}");
    }
    let nobody = ProductId::new(&app.world());
    assert!(themes::set(app, Some(nobody), violet()).await.is_err());
    assert!(themes::unset(app, None).await.is_err(), "nothing was set");
    world.end().await;
}
