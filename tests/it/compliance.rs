//! What a compliance officer asks for, on a world in which something happened: search, calls, a report, an incident.

use domain::ids::{ConsentId, DeletionId};
use domain::incident::Facts;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use server::services::compliance::incident::{self, About};
use server::services::compliance::{self, Search, calls, report};
use server::services::{deletion, fetch};
use tests::site::{Caller, Site};
use tests::world::{BANK, CUSTOMER, NEIGHBOUR, World};

/// Longer than anything here takes, in hours.
const LONG: i64 = 24 * 300;

async fn connected(world: &World, product: &Caller, person: &str, customer: (&str, &str)) -> ConsentId {
    let ask = json!({ "psu_ref": person, "institution_id": BANK, "purposes": ["budgeting"] });
    let consent = product.post("/v1/consents", &ask).await.json()["id"].as_str().unwrap().parse().unwrap();
    world.authorise(consent, customer).await;
    fetch::run(&world.app, world.about(consent)).await.unwrap();
    consent
}

fn whole(world: &World) -> (Timestamp, Timestamp) {
    let now = world.app.clock.now();
    let far = SignedDuration::from_hours(LONG);
    (now.checked_sub(far).unwrap(), now.checked_add(far).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_found_by_consent_person_bank_kind_and_time_and_shows_no_bank_data() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let one = connected(&world, &product, "user-1", CUSTOMER).await;
    let two = connected(&world, &product, "user-2", NEIGHBOUR).await;
    let accounts = product.get("/v1/accounts").await.json();
    let found = async |search: Search| compliance::search(&world.app, &search).await.unwrap();

    let all = found(Search::default()).await;
    let of_one = found(Search { consent: Some(one), ..Search::default() }).await;
    let of_two = found(Search { person: Some((world.product, "user-2".to_owned())), ..Search::default() }).await;
    assert!(of_one.len() > 10 && of_two.len() > 10 && all.len() >= of_one.len() + of_two.len());
    assert!(of_one.iter().all(|entry| entry.subject == one.to_string()));
    assert!(of_two.iter().all(|entry| entry.subject == two.to_string()));
    let at_bank = found(Search { institution: domain::ids::InstitutionId::new(BANK), ..Search::default() }).await;
    assert_eq!(at_bank.len(), of_one.len() + of_two.len());
    let elsewhere =
        found(Search { institution: domain::ids::InstitutionId::new("de_elsewhere"), ..Search::default() }).await;
    assert!(elsewhere.is_empty());
    let moved = found(Search { kind: Some("consent".to_owned()), consent: Some(one), ..Search::default() }).await;
    assert!(moved.iter().any(|entry| entry.kind == "consent.moved") && moved.len() < of_one.len());
    assert!(moved.iter().all(|entry| entry.kind.starts_with("consent.")));
    let from = world.app.clock.now().checked_add(SignedDuration::from_hours(1)).unwrap();
    assert!(found(Search { from: Some(from), ..Search::default() }).await.is_empty());
    let nobody = Search { person: Some((world.product, "nobody".to_owned())), ..Search::default() };
    assert!(compliance::search(&world.app, &nobody).await.is_err());
    for many in [1, 7, 100_000] {
        let newest = compliance::newest(&world.app, &Search::default(), many).await.unwrap();
        let expected: Vec<_> = all.iter().rev().take(usize::try_from(many).unwrap()).cloned().collect();
        assert_eq!(newest, expected, "the newest {many}, the newest first");
    }

    let told = serde_json::to_string(&all).unwrap();
    let mut looked_for = 0;
    for account in accounts["data"].as_array().unwrap() {
        for field in ["iban", "owner_name", "name"] {
            if let Some(value) = account[field].as_str().filter(|value| value.len() > 5) {
                assert!(!told.contains(value), "{field}");
                looked_for += 1;
            }
        }
    }
    assert!(looked_for > 0, "{accounts}");
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_without_the_person_are_counted_by_account_and_day() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product, "user-1", CUSTOMER).await;
    // To the morning of one of the bank's days, and as often as the bank lets; one reading more is put off.
    world.clock.advance(SignedDuration::from_hours(24));
    let (from, until) = whole(&world);
    let before = calls::audit(&world.app, from, until).await.unwrap();
    let mut read = 0;
    loop {
        match fetch::run(&world.app, world.about(consent)).await.unwrap() {
            fetch::Verdict::Next(_) => read += 1,
            put_off => {
                assert!(matches!(put_off, fetch::Verdict::Again(_)), "{put_off:?}");
                break;
            }
        }
        assert!(read < 50, "nothing counts");
    }
    let after = calls::audit(&world.app, from, until).await.unwrap();
    assert_eq!(after.within_limits, Some(true), "{after:?}");
    assert!(after.most_in_a_day >= 4, "{after:?}");
    assert!(after.most_in_24_hours >= after.most_in_a_day.min(read));
    assert!(after.requests["unattended"] > before.requests.get("unattended").copied().unwrap_or(0));
    let day = &after.days[0];
    assert_eq!((day.institution.as_str(), day.reads), (BANK, after.most_in_a_day));
    assert!(day.reads <= day.limit as usize && day.grant.starts_with("grt_"), "{day:?}");
    let kinds = compliance::search(&world.app, &Search { consent: Some(consent), ..Search::default() }).await.unwrap();
    for entry in &day.entries {
        let named = kinds.iter().find(|found| found.id == *entry).unwrap();
        assert_eq!((named.kind.as_str(), &named.body.as_ref().unwrap()["basis"]), ("bank.call", &json!("unattended")));
    }
    let begun: Vec<&Value> =
        kinds.iter().filter(|found| found.kind == "fetch.begun").filter_map(|found| found.body.as_ref()).collect();
    let last = begun.last().unwrap();
    assert_eq!(
        last["budget"]["after"], last["budget"]["limit"],
        "the last reading took the last of the budget: {last}"
    );
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_says_how_many_how_long_and_what_is_open_and_an_incident_its_clocks() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let gone = connected(&world, &product, "user-1", CUSTOMER).await;
    connected(&world, &product, "user-2", NEIGHBOUR).await;
    let answer = product.delete(&format!("/v1/consents/{gone}")).await.json();
    let erasure: DeletionId = answer["erasure"].as_str().unwrap().parse().unwrap();
    let (from, until) = whole(&world);
    let open = report::of_period(&world.app, from, until).await.unwrap();
    assert_eq!((open.deletions.begun, open.deletions.to_receipt.number, open.open.len()), (1, 0, 1));
    world.clock.advance(SignedDuration::from_secs(90));
    deletion::run(&world.app, world.app.tenant.id, erasure).await.unwrap();

    let done = report::of_period(&world.app, from, until).await.unwrap();
    let took = done.deletions.to_receipt;
    assert_eq!(took.number, 1);
    assert!(took.median >= Some(90) && took.median == took.longest && took.p95 == took.longest, "{took:?}");
    let told = done.to_json();
    let given =
        told["consents"]["moves"].as_array().unwrap().iter().find(|moves| moves["state"] == "authorized").unwrap();
    assert_eq!(given["number"], 2);
    assert_eq!(told["consents"]["standing"], json!({ "active": 1, "revoked": 1 }));
    let because = told["open"][0]["because"].as_array().unwrap();
    assert!(because.iter().any(|why| why.as_str().unwrap().contains("the bank")), "{because:?}");
    assert!(because.iter().any(|why| why.as_str().unwrap().contains("the product")), "{because:?}");
    let page = done.to_html().unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("withdrawn (product)") && !page.contains("<script"));
    product.post(&format!("/v1/deletions/{erasure}/acknowledge"), &json!({})).await;
    let acknowledged = report::of_period(&world.app, from, until).await.unwrap();
    assert_eq!(acknowledged.deletions.to_product.number, 1);

    let aware = world.app.clock.now();
    let facts = Facts {
        aware_at: aware,
        classified_at: Some(aware),
        initial_sent_at: None,
        intermediate_sent_at: None,
        personal_data: true,
    };
    let about = About { from, until, institution: None, facts };
    let told = incident::export(&world.app, &about).await.unwrap();
    assert_eq!((&told["affected"]["persons"], &told["affected"]["consents"]), (&json!(2), &json!(2)));
    assert_eq!(told["clocks"]["dora_initial_notification_due"], json!(aware + SignedDuration::from_hours(4)));
    assert_eq!(told["clocks"]["gdpr_breach_notification_due"], json!(aware + SignedDuration::from_hours(72)));
    assert_eq!(told["banks"][0]["institution"], BANK);
    let line = told["time_line"].as_array().unwrap();
    assert!(
        line.iter().any(|entry| entry["kind"] == "deletion.receipt") && told["counts"]["bank.call"].as_u64() > Some(5)
    );
    site.end().await;
    world.end().await;
}
