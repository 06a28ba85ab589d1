//! Every page in every state, with names that try to break out of the HTML.

use domain::retention::{AtEnd, Retention};
use jiff::civil::date;

use super::view::*;
use super::*;

const HOSTILE: &str = "<script>alert(1)</script>\"'&";

fn brand(name: &str) -> Brand {
    Brand {
        language: Language::En,
        tpp: format!("Clearwater Payments{name}"),
        authorisation: format!("Authorisation PSDDE-BAFIN-123456{name}"),
        product: format!("Pennywise{name}"),
        support: Href::new("https://clearwater.example/help"),
        privacy: Href::new("https://clearwater.example/privacy"),
        look: (!name.is_empty()).then(|| Look {
            style: href("/theme/0198a000-0000-7000-8000-000000000001.css"),
            logo: Some(href("/theme/0198a000-0000-7000-8000-000000000001.png")),
            name: Some(format!("Clearwater{name}")),
        }),
    }
}

fn href(target: &str) -> Href {
    Href::new(target).unwrap()
}

fn form(action: &str) -> Form {
    Form { action: href(action), csrf: Some("token-of-the-session".into()) }
}

fn moment() -> jiff::Zoned {
    date(2026, 11, 21).at(14, 3, 0, 0).in_tz("UTC").unwrap()
}

fn accounts(name: &str) -> Vec<AccountLine> {
    let of = |kind: &str, ending: Option<&str>| AccountLine {
        id: format!("acc_{kind}"),
        name: Some(format!("{kind}{name}")),
        ending: ending.map(str::to_owned),
        currency: Some("EUR".into()),
    };
    let unnamed = AccountLine { id: "acc_1188".into(), name: None, ending: Some("1188".into()), currency: None };
    vec![of("Girokonto", Some("3000")), of("Tagesgeld", Some("7421")), of("Kreditkarte", None), unnamed]
}

fn clusters() -> Vec<Cluster> {
    vec![Cluster::Accounts, Cluster::Holder, Cluster::Balances, Cluster::Transactions { history_days: Some(89) }]
}

fn consent(name: &str, missing: bool) -> ConsentTextView {
    ConsentTextView {
        brand: brand(name),
        bank: format!("Musterbank{name}"),
        purposes: vec![format!("Show your accounts and what you spend in one place{name}")],
        clusters: clusters(),
        term: Term::Recurring {
            until: date(2027, 2, 19),
            confirm_every_days: Some(90),
            unattended_reads_per_day: Some(4),
        },
        retention: Retention::USUAL,
        instead_of: None,
        elsewhere: None,
        accept: form("/link/accept"),
        decline: form("/link/decline"),
        acknowledgement_missing: missing,
        login_name: None,
        intermediary: None,
    }
}

fn picker(name: &str, query: &str, left_off: usize) -> BankPickerView {
    let banks =
        [("de_musterbank", "Musterbank", "DE"), ("at_donau", "Donaubank Linz", "AT"), ("xx_far", "Far Bank", "XX")];
    let listed = if query.is_empty() { &banks[..] } else { &[] };
    BankPickerView {
        brand: brand(name),
        query: format!("{query}{name}"),
        search: href("/link/banks"),
        banks: listed
            .iter()
            .map(|(id, bank, country)| BankChoice {
                id: (*id).into(),
                name: format!("{bank}{name}"),
                country: (*country).into(),
                sandbox: *id == "de_musterbank",
            })
            .collect(),
        left_off,
        choose: form("/link/bank"),
    }
}

fn connection(name: &str, id: &str, standing: Standing) -> Connection {
    Connection {
        id: id.into(),
        bank: format!("Musterbank{name}"),
        product: format!("Pennywise{name}"),
        purposes: vec![format!("Show your accounts and what you spend in one place{name}")],
        clusters: clusters(),
        accounts: accounts(name),
        since: date(2026, 8, 23),
        last_read: (id != "c2").then(moment),
        remove: (!matches!(standing, Standing::Ended { .. })).then(|| form("/my/c1/remove")),
        standing,
    }
}

fn done() -> Erasure {
    Erasure::Done { at: moment(), unreadable_after: Some(moment()), receipt: Some(href("/my/receipt")) }
}

fn active(keep: Option<Keep>) -> Standing {
    Standing::Active { until: Some(date(2027, 2, 19)), keep, stop: form("/my/c1/stop") }
}

fn waiting(keep: Keep) -> Standing {
    Standing::NeedsYou { until: Some(date(2027, 2, 19)), keep: Some(keep), stop: form("/my/c2/stop") }
}

fn readable() -> Standing {
    Standing::Ended { at: moment(), erasure: Erasure::Kept { readable: true }, stop: Some(form("/my/stop/c7")) }
}

fn overview_view(name: &str) -> OverviewView {
    let connections = vec![
        connection(name, "c1", active(None)),
        connection(name, "c2", waiting(Keep::AtBank { renew: href("/my/renew/c2") })),
        connection(name, "c4", active(Some(Keep::AtBank { renew: href("/my/renew/c4") }))),
        connection(name, "c5", active(Some(Keep::WithUs { confirm: form("/my/reconfirm/c5") }))),
        connection(name, "c6", waiting(Keep::WithUs { confirm: form("/my/reconfirm/c6") })),
        connection(name, "c3", Standing::Ended { at: moment(), erasure: done(), stop: None }),
        connection(name, "c7", readable()),
    ];
    OverviewView { brand: brand(name), connections }
}

fn stopped_view(name: &str, bank_answer: BankAnswer, erasure: Erasure) -> StoppedView {
    StoppedView {
        brand: brand(name),
        bank: format!("Musterbank{name}"),
        stopped_at: moment(),
        bank_before_confirming: false,
        bank_answer,
        erasure,
        overview: href("/my"),
    }
}

const OUTCOMES: [Outcome; 15] = [
    Outcome::Denied,
    Outcome::Declined,
    Outcome::TimedOut,
    Outcome::BankError,
    Outcome::BankUnavailable,
    Outcome::CameTwice,
    Outcome::OtherBrowser,
    Outcome::NotTrusted,
    Outcome::Unknown,
    Outcome::AwaitsSigners,
    Outcome::AwaitsPsu,
    Outcome::Withdrawn,
    Outcome::LinkOver,
    Outcome::SignedOut,
    Outcome::OurFault,
];

fn return_view(name: &str, outcome: Outcome) -> ReturnView {
    let next = match outcome {
        Outcome::CameTwice => Some(Next::Overview(href("/my"))),
        Outcome::Declined | Outcome::AwaitsSigners | Outcome::Withdrawn => {
            Some(Next::Product(href("com.example.pennywise:/back")))
        }
        Outcome::LinkOver | Outcome::Unknown | Outcome::SignedOut => None,
        _ => Some(Next::Restart(form("/link/restart"))),
    };
    let bank = (outcome != Outcome::Unknown).then(|| format!("Musterbank{name}"));
    ReturnView { brand: brand(name), outcome, bank, reference: Some(format!("log_0198{name}")), next }
}

/// Every page in every state, by name.
fn gallery(name: &str) -> Vec<(String, String)> {
    let landing = |bank: Option<String>| {
        link_landing(&LinkLandingView {
            brand: brand(name),
            bank,
            begin: Form { action: href("/link/begin"), csrf: None },
        })
    };
    let connected_view = |reading, accounts| ConnectedView {
        brand: brand(name),
        bank: format!("Musterbank{name}"),
        reading,
        accounts,
        until: Some(date(2027, 2, 19)),
        product: Some(href("https://pennywise.example/back")),
        overview: href("/my"),
    };
    let nothing = OverviewView { brand: brand(name), connections: Vec::new() };
    let asked = |field| consent_text(&ConsentTextView { login_name: Some(field), ..consent(name, false) });
    let mut pages = vec![
        ("landing".to_owned(), landing(None)),
        ("landing-with-bank".to_owned(), landing(Some(format!("Musterbank{name}")))),
        ("picker".to_owned(), bank_picker(&picker(name, "", 7))),
        ("picker-nothing-found".to_owned(), bank_picker(&picker(name, "Atlantis", 0))),
        ("consent".to_owned(), consent_text(&consent(name, false))),
        ("consent-missing".to_owned(), consent_text(&consent(name, true))),
        (
            "consent-intermediary".to_owned(),
            consent_text(&ConsentTextView { intermediary: Some(format!("Between{name}")), ..consent(name, false) }),
        ),
        ("consent-login-name".to_owned(), asked(LoginNameField::Asked)),
        ("consent-login-name-missing".to_owned(), asked(LoginNameField::Missing)),
        ("connected".to_owned(), connected(&connected_view(false, accounts(name)))),
        ("connected-reading".to_owned(), connected(&connected_view(true, Vec::new()))),
        ("overview".to_owned(), overview(&overview_view(name))),
        ("overview-empty".to_owned(), overview(&nothing)),
        ("stopped".to_owned(), stopped(&stopped_view(name, BankAnswer::Pending, Erasure::Running))),
        ("stopped-held".to_owned(), stopped(&stopped_view(name, BankAnswer::Unconfirmed, Erasure::Held))),
        (
            "stopped-kept".to_owned(),
            stopped(&stopped_view(name, BankAnswer::NotNeeded, Erasure::Kept { readable: false })),
        ),
        (
            "stopped-readable".to_owned(),
            stopped(&stopped_view(name, BankAnswer::NotNeeded, Erasure::Kept { readable: true })),
        ),
        ("stopped-erased".to_owned(), stopped(&stopped_view(name, BankAnswer::Confirmed { at: moment() }, done()))),
    ];
    pages.extend(OUTCOMES.map(|o| (format!("return-{o:?}").to_lowercase(), returned(&return_view(name, o)))));
    pages
}

/// Values of an attribute, in order.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let opening = format!(" {attribute}=\"");
    html.split(&opening).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn names_from_outside_stay_text() {
    for (page, html) in gallery(HOSTILE) {
        assert!(!html.contains("<script"), "{page}");
        assert!(html.contains("&#60;script&#62;alert(1)&#60;/script&#62;&#34;&#39;&#38;"), "{page}");
    }
}

#[test]
fn every_page_has_its_landmarks_once() {
    for (page, html) in gallery("") {
        for once in ["<html lang=\"en\">", "<main id=\"content\"", "<h1>", "<title>", "<footer>", "href=\"#content\""] {
            assert_eq!(html.matches(once).count(), 1, "{page}: {once}");
        }
        let text = html.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next()).unwrap();
        assert!(html.contains(&format!("<title>{text} – Clearwater Payments</title>")), "{page}");
        assert!(!html.contains("{{") && !html.contains("{%"), "{page}");
    }
}

#[test]
fn ids_are_unique_and_references_meet_them() {
    for (page, html) in gallery("") {
        let ids = values(&html, "id");
        let mut once = ids.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(ids.len(), once.len(), "{page}: {ids:?}");
        for reference in ["for", "aria-labelledby", "aria-describedby"] {
            for id in values(&html, reference) {
                assert!(ids.contains(&id), "{page}: {reference} points at {id}");
            }
        }
    }
}

#[test]
fn inputs_have_labels_and_buttons_have_names() {
    for (page, html) in gallery("") {
        for input in html.split("<input ").skip(1).map(|rest| rest.split('>').next().unwrap()) {
            let hidden = input.contains("type=\"hidden\"");
            let labelled = values(&html, "for").iter().any(|id| input.contains(&format!("id=\"{id}\"")));
            let wrapped = html.contains(&format!("<label class=\"acknowledge\"><input {input}>"));
            assert!(hidden || labelled || wrapped, "{page}: {input}");
        }
        for button in html.split("<button").skip(1) {
            let inside = button.split_once('>').and_then(|(_, rest)| rest.split("</button>").next()).unwrap();
            assert!(inside.chars().any(char::is_alphabetic), "{page}: a button without a name");
        }
    }
}

#[test]
fn forms_that_change_something_carry_the_token() {
    for (page, html) in gallery("") {
        for form in html.split("<form ").skip(1).map(|rest| rest.split("</form>").next().unwrap()) {
            let search = form.starts_with("method=\"get\"");
            let begins = page.starts_with("landing");
            let guarded = form.contains("name=\"csrf\" value=\"token-of-the-session\"");
            assert!(search || begins || guarded, "{page}: {form}");
        }
    }
}

#[test]
fn nothing_is_inline_or_foreign() {
    for (page, html) in gallery("") {
        for forbidden in [" style=", "<style", "<script", " onclick", " onload", "src=\"http"] {
            assert!(!html.contains(forbidden), "{page}: {forbidden}");
        }
    }
    for asset in assets() {
        assert!(!asset.body.contains("url("), "{}", asset.path);
        assert!(!asset.body.contains("@import"), "{}", asset.path);
    }
}

#[test]
fn every_ending_has_at_most_one_primary_step_and_the_others_say_where_to_go() {
    for outcome in OUTCOMES {
        let html = returned(&return_view("", outcome));
        let primary = html.matches("class=\"primary\"").count();
        let told = html.contains("Close this page and begin again from Pennywise.");
        assert_eq!(primary + usize::from(told), 1, "{outcome:?}");
    }
    let words: std::collections::BTreeSet<_> = OUTCOMES.map(|o| return_view("", o).words()).into();
    assert_eq!(words.len(), OUTCOMES.len(), "each outcome has its own words");
}

#[test]
fn the_page_shows_what_evidence_keeps() {
    let view = consent("", false);
    let statement = Statement::of(&view);
    let shown = consent_text(&view).replace("</strong>", "").replace("<strong>", "");
    for line in statement.plain().lines().skip(1) {
        assert!(shown.contains(line.trim_start_matches("- ")), "{line}");
    }
    // Kept per version: who changes the wording adds a version, since old evidence refers to old words.
    assert_eq!(statement.plain(), include_str!("wording/en-3.txt").trim_end());
}

#[test]
fn a_change_of_the_request_changes_the_statement() {
    let before = Statement::of(&consent("", false)).plain();
    let mut other = consent("", false);
    other.term = Term::Once;
    assert_ne!(Statement::of(&other).plain(), before);
    let mut other = consent("", false);
    other.instead_of = Some(Collision::Replaces);
    assert!(Statement::of(&other).plain().contains("This one takes the place of the one that you have given before"));
    other.instead_of = Some(Collision::RenewsBoth);
    assert!(Statement::of(&other).plain().contains("renews the permissions that you have given before"));
    let mut other = consent("", false);
    other.retention = Retention { at_end: AtEnd::ReadableUntilRetention, days: 90 };
    assert!(Statement::of(&other).plain().contains("Pennywise can read what was stored for 90 more days"));
    other.retention = Retention { at_end: AtEnd::RestrictedHold, days: 365 };
    let held = Statement::of(&other).plain();
    assert!(
        held.contains("A law obliges us to keep it for 365 more days") && !held.contains("what was read is erased")
    );
    for (at_end, days, words) in [
        (AtEnd::RestrictedHold, 1, "keep it for one more day;"),
        (AtEnd::ReadableUntilRetention, 1, "for one more day, unless"),
        (AtEnd::ReadableUntilRetention, 0, "what was stored is erased at once"),
        (AtEnd::Blocked, 1, "it is erased a day later"),
        (AtEnd::Blocked, 0, "what was stored is erased at once"),
    ] {
        other.retention = Retention { at_end, days };
        let said = Statement::of(&other).plain();
        assert!(said.contains(words) && !said.contains("1 more days") && !said.contains("0 more days"), "{said}");
    }
    let mut other = consent("", false);
    other.clusters.pop();
    assert_ne!(Statement::of(&other).plain(), before);
    let mut other = consent("", false);
    other.purposes.push("Advertising".into());
    assert!(Statement::of(&other).plain().contains("- Advertising"));
}

#[test]
fn what_becomes_of_another_products_permission_is_beside_the_text_and_not_in_it() {
    let plain = Statement::of(&consent("", false)).plain();
    for (elsewhere, words) in [
        (Elsewhere::Shared, "both go on under the new one"),
        (Elsewhere::Ends, "the bank ends it as soon as you confirm there"),
    ] {
        let mut view = consent("", false);
        view.elsewhere = Some(elsewhere);
        assert_eq!(Statement::of(&view).plain(), plain, "the product keeps the text");
        let page = consent_text(&view);
        assert!(page.find(words) < page.find("name=\"acknowledged\""), "{words}: said before the decision");
        assert!(page.contains("id=\"elsewhere\"") && page.contains(words));
    }
}

#[test]
fn only_harmless_targets_become_links() {
    for good in [
        "/my",
        "/link/banks?q=a",
        "https://pennywise.example/back?x=1",
        "http://127.0.0.1:8080/",
        "http://localhost",
        "mailto:help@clearwater.example",
        "com.example.app:/back",
    ] {
        assert!(Href::new(good).is_some(), "{good}");
    }
    for bad in [
        "",
        "javascript:alert(1)",
        " javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "//evil.example",
        "/\\evil.example",
        "http://evil.example",
        "http://localhost.evil.example",
        "http://127.0.0.1@evil.example",
        "java\nscript:alert(1)",
        "/a\r\nb",
        "my",
    ] {
        assert!(Href::new(bad).is_none(), "{bad:?}");
    }
}

#[test]
fn static_files_are_named_after_their_content() {
    let paths: Vec<_> = assets().iter().map(|asset| asset.path.as_str()).collect();
    let html = overview(&overview_view(""));
    for path in &paths {
        // The console has a style of its own.
        assert!(html.contains(path) || path.starts_with("/assets/console-"), "{path}");
        let digest = path.split('-').nth(1).and_then(|rest| rest.split('.').next()).unwrap();
        assert!(digest.len() == 16 && digest.bytes().all(|b| b.is_ascii_hexdigit()), "{path}");
    }
    assert_ne!(paths[0], paths[1]);
}

pub(super) mod contrast {
    //! WCAG 2.2 §1.4.3 and §1.4.11, computed from the style sheet in both colour schemes.
    #![allow(clippy::float_arithmetic, reason = "relative luminance is defined in real numbers; no money here")]

    use std::collections::BTreeMap;

    const TEXT: f64 = 4.5;
    const SHAPE: f64 = 3.0;

    pub(in crate::pages) const PAIRS: [(&str, &str, f64); 23] = [
        ("ink", "paper", TEXT),
        ("ink", "card", TEXT),
        ("ink", "tint", TEXT),
        ("quiet", "paper", TEXT),
        ("quiet", "card", TEXT),
        ("quiet", "tint", TEXT),
        ("link", "paper", TEXT),
        ("link", "card", TEXT),
        ("link", "tint", TEXT),
        ("on-water", "water", TEXT),
        ("on-water", "stream", TEXT),
        ("on-primary", "primary", TEXT),
        ("on-primary", "primary-over", TEXT),
        ("on-danger", "danger", TEXT),
        ("on-danger", "danger-over", TEXT),
        ("danger", "card", TEXT),
        ("danger", "danger-tint", TEXT),
        ("good", "good-tint", TEXT),
        ("wait", "wait-tint", TEXT),
        ("over", "over-tint", TEXT),
        ("edge", "card", SHAPE),
        ("edge", "paper", SHAPE),
        ("primary", "card", SHAPE),
    ];

    pub(in crate::pages) fn schemes() -> [BTreeMap<&'static str, &'static str>; 2] {
        let css = include_str!("river.css");
        let (light, dark) = css.split_once("prefers-color-scheme: dark").unwrap();
        [values(light), values(dark)]
    }

    /// The colours that a style sheet gives names to.
    pub(in crate::pages) fn values(css: &str) -> BTreeMap<&str, &str> {
        css.split("--")
            .skip(1)
            .filter_map(|rest| rest.split_once(": #"))
            .filter_map(|(name, rest)| Some((name, rest.get(..6)?)))
            .filter(|(name, _)| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
            .collect()
    }

    fn luminance(hex: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
    }

    pub(in crate::pages) fn ratio(one: &str, other: &str) -> f64 {
        let (a, b) = (luminance(one), luminance(other));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_pair_can_be_read_in_light_and_dark() {
        assert!((ratio("000000", "ffffff") - 21.0).abs() < 0.01);
        for (scheme, colours) in ["light", "dark"].into_iter().zip(schemes()) {
            for (front, back, least) in PAIRS {
                let found = ratio(colours[front], colours[back]);
                assert!(found >= least, "{scheme}: {front} on {back} is {found:.2}, needs {least}");
            }
        }
    }
}

/// Writes every page to a folder, to be looked at: `GALLERY=DIR cargo test -p server gallery -- --ignored`.
#[test]
#[ignore = "writes files to look at; needs GALLERY"]
fn gallery_on_disk() {
    let folder = std::path::PathBuf::from(std::env::var_os("GALLERY").expect("GALLERY names a folder"));
    std::fs::create_dir_all(&folder).unwrap();
    for asset in assets() {
        std::fs::write(folder.join(asset.path.trim_start_matches("/assets/")), asset.body).unwrap();
    }
    for (page, html) in gallery("") {
        std::fs::write(folder.join(page + ".html"), html.replace("/assets/", "")).unwrap();
    }
}

#[test]
fn one_page_has_one_script_and_its_policy_names_it() {
    let html = relay(&RelayView { brand: brand(HOSTILE) });
    let scripts: Vec<_> = html.split("<script>").skip(1).filter_map(|rest| rest.split("</script>").next()).collect();
    assert_eq!(scripts, [RELAY]);
    assert!(!html.replace("<script>", "").contains("<script"), "{html}");
    let hash = STANDARD.encode(digest(&SHA256, scripts[0].as_bytes()));
    assert!(RELAY_POLICY.contains(&format!("script-src 'sha256-{hash}';")), "{}", *RELAY_POLICY);
    assert!(RELAY_POLICY.starts_with("default-src 'none';") && !RELAY_POLICY.contains("unsafe"));
    assert!(html.contains("<noscript>") && html.contains("scripts are switched off"));
}

#[test]
fn every_page_speaks_every_language() {
    for (language, _) in Language::ALL {
        let mut text = consent("", false);
        text.brand.language = language;
        let page = consent_text(&text);
        assert!(page.contains(&format!("<html lang=\"{}\">", language.code())));
        let plain = Statement::of(&text).plain();
        assert!(plain.starts_with(&format!("[{}]", language.consent_version())));
        assert!(page.contains("?lang=") && plain.contains("Musterbank") && plain.contains("Pennywise"), "{plain}");
        let mut overview_page = overview_view("");
        overview_page.brand.language = language;
        assert!(overview(&overview_page).contains(&language.overview_title()));
    }
}

#[test]
fn where_the_bank_has_the_word_nobody_says_that_it_is_over() {
    for (answer, waits) in
        [(BankAnswer::Pending, true), (BankAnswer::Unconfirmed, true), (BankAnswer::NotNeeded, false)]
    {
        let mut view = stopped_view("", answer, Erasure::Running);
        view.bank_before_confirming = true;
        let page = stopped(&view);
        assert_eq!(page.contains("your bank has not yet confirmed."), waits);
        assert_eq!(page.contains("has lost access."), !waits);
    }
}
