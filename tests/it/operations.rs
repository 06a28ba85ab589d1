//! What an operator sees: metrics after a day's work, and that every rule and every picture asks for one that exists.

use std::collections::BTreeSet;
use std::path::Path;

use domain::world::Clock as _;
use jiff::SignedDuration;
use sandbox::Misbehaviour;
use server::services::fetch;
use tests::site::Site;
use tests::world::{BANK, CUSTOMER, World};

/// Every name of a metric that a text has, without what Prometheus appends to the parts of a histogram.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_lowercase() && letter != '_');
    let ours = words.filter(|word| word.starts_with("tributary_"));
    let whole = |word: &str| {
        ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
    };
    ours.map(whole).collect()
}

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new("../src/server/operations").join(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_a_rule_asks_for_is_there_and_none_names_a_person() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let caller = site.caller(&world, Some(&world.api_key));
    let consent = world.connect(CUSTOMER).await;
    fetch::run(&world.app, world.about(consent)).await.unwrap();
    assert!(caller.get(&format!("/v1/accounts?consent_id={consent}")).await.status.is_success());

    // A bank that fails until it is left alone, and a consent that is stopped and whose data are still being erased.
    world.bank.misbehave(Misbehaviour::Broken, "/v1/accounts", 5);
    for _ in 0..5 {
        world.clock.advance(SignedDuration::from_mins(20));
        fetch::run(&world.app, world.about(consent)).await.unwrap();
    }
    assert!(caller.delete(&format!("/v1/consents/{consent}")).await.status.is_success());
    let endpoint = serde_json::json!({ "url": "https://receiver.example/", "types": [] });
    assert!(caller.post("/v1/webhook-endpoints", &endpoint).await.status.is_success());
    server::evidence_log::sequence(&world.app, world.app.tenant.id).await.unwrap();

    let text = caller.get("/metrics").await.text();
    let shown = names(&text);
    for (file, text) in ["alerts.yaml", "dashboard.json", "GUIDE.md"].map(|name| (name, file(name))) {
        let asked = names(&text);
        assert!(asked.len() >= 8, "{file} asks for {asked:?}");
        let missing: Vec<_> = asked.difference(&shown).collect();
        assert!(missing.is_empty(), "{file} asks for {missing:?}, which are not among {shown:?}");
    }
    let undocumented: Vec<_> = shown.difference(&names(&file("GUIDE.md"))).cloned().collect();
    assert!(undocumented.is_empty(), "{undocumented:?}");

    let line =
        |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start} in {text}"));
    assert!(line("tributary_consents{state=\"revoked\"}").ends_with(" 1"));
    assert!(line("tributary_deletions_open").ends_with(" 1"));
    assert!(line("tributary_bank_breaker_open{").contains("capability=\"accounts\""));
    line(&format!(
        "tributary_bank_calls_total{{institution=\"{BANK}\",operation=\"accounts\",basis=\"unattended\",outcome=\"bank.unavailable\"}}"
    ));
    line("tributary_http_requests_total{method=\"GET\",route=\"/v1/accounts\",status=\"200\"}");
    let ends =
        line("tributary_certificate_expiry_timestamp_seconds{").rsplit(' ').next().unwrap().parse::<i64>().unwrap();
    assert!(ends > world.clock.now().as_second());
    for secret in [&*consent.to_string(), &*consent.uuid().to_string(), CUSTOMER.0] {
        assert!(!text.contains(secret), "{secret} is in a metric");
    }
    site.end().await;
    world.end().await;
}
