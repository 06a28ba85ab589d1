//! Fresher data, as a product asks for them: for a person who is there, or without one and counted; and a word with an owner
//! and a moment where it cannot be.

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use server::reconcile;
use server::services::fetch::{self, Verdict};
use server::setup;
use tests::site::{Answer, Caller, Site, connected};
use tests::world::World;

const IP: &str = "203.0.113.7";

/// A world with a connected customer, a day after they were there, and one of their accounts.
async fn day_after() -> (World, Site, Caller, domain::ids::ConsentId, String) {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product).await;
    let account = product.get("/v1/accounts").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    world.clock.advance(SignedDuration::from_hours(24));
    (world, site, product, consent, format!("/v1/accounts/{account}/refresh"))
}

fn somebody(world: &World) -> Value {
    json!({ "psu": { "ip": IP, "user_agent": "Mozilla/5.0", "session_at": world.moment().now } })
}

/// Status, code, who can fix it, and when to try again.
fn problem(answer: &Answer) -> (u16, String, String, Option<u64>) {
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{}", answer.text());
    let told = answer.json();
    let word = |name: &str| told[name].as_str().unwrap().to_owned();
    (answer.status.as_u16(), word("code"), word("who_can_fix"), told["retry_after"].as_u64())
}

/// Of the reads of accounts since, whether the bank was told of a person.
fn told_of_somebody(world: &World, since: usize) -> Vec<bool> {
    let reads = world.bank.calls().into_iter().skip(since);
    reads.filter(|call| call.request.contains("/accounts")).map(|call| call.attended).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_person_it_is_counted_and_with_one_it_is_not() {
    let (world, site, product, consent, refresh) = day_after().await;
    let run = async || fetch::run(&world.app, world.about(consent)).await.unwrap();

    let since = world.bank.requests().len();
    let first = product.send(Method::POST, &refresh, &[], "".into()).await;
    assert_eq!(first.status, 202, "{}", first.text());
    let promise = first.json();
    assert_eq!((promise["state"].as_str(), promise["basis"].as_str()), (Some("queued"), Some("unattended")));
    assert_eq!(promise["unattended"]["remaining"], promise["unattended"]["limit"], "nothing is taken by asking");
    assert!(matches!(run().await, Verdict::Next(_)));
    assert!(!told_of_somebody(&world, since).contains(&true), "nobody is made up");
    let left = product.post(&refresh, &json!({})).await.json()["unattended"]["remaining"].clone();
    assert_eq!(left.as_u64().unwrap() + 1, promise["unattended"]["limit"].as_u64().unwrap());

    let mut more = 0;
    while matches!(run().await, Verdict::Next(_)) {
        more += 1;
        assert!(more < 50, "nothing counts");
    }
    let (status, code, who, again) = problem(&product.post(&refresh, &json!({})).await);
    assert_eq!((status, code.as_str(), who.as_str()), (429, "budget_exhausted", "user"));
    let again = i64::try_from(again.unwrap()).unwrap();
    assert!((1..=24 * 60 * 60).contains(&again), "{again}");

    let since = world.bank.requests().len();
    let attended = product.post(&refresh, &somebody(&world)).await;
    assert_eq!((attended.status.as_u16(), attended.json()["basis"].as_str()), (202, Some("psu_present")));
    assert!(matches!(run().await, Verdict::Next(_)), "the person is there: the day's count is no matter");
    let told = told_of_somebody(&world, since);
    assert!(!told.is_empty() && !told.contains(&false), "{told:?}");
    assert_eq!(world.app.present(consent).map(|psu| psu.ip.to_string()).as_deref(), Some(IP));

    world.clock.advance(SignedDuration::from_secs(again));
    let tomorrow = product.post(&refresh, &json!({})).await.json();
    assert_eq!(tomorrow["basis"], "unattended", "as the problem has said");
    assert_eq!(tomorrow["unattended"]["remaining"], tomorrow["unattended"]["limit"]);
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_cannot_be_there_is_not_passed_on() {
    let (world, site, product, consent, refresh) = day_after().await;
    let now = world.moment().now;
    let hours = |hours: i64| now + SignedDuration::from_hours(hours);
    for (field, psu) in [
        ("psu.session_at", json!({ "ip": IP, "session_at": hours(-1) })),
        ("psu.session_at", json!({ "ip": IP, "session_at": hours(1) })),
        ("psu.ip", json!({ "ip": "127.0.0.1", "session_at": now })),
        ("psu.ip", json!({ "ip": "::", "session_at": now })),
        ("psu.ip", json!({ "ip": "somewhere", "session_at": now })),
        ("psu.user_agent", json!({ "ip": IP, "session_at": now, "user_agent": "a\r\nX-Evil: b" })),
        ("psu.user_agent", json!({ "ip": IP, "session_at": now, "user_agent": "" })),
    ] {
        let answer = product.post(&refresh, &json!({ "psu": psu })).await;
        assert_eq!((answer.status.as_u16(), problem(&answer).1.as_str()), (422, "invalid_request"), "{psu}");
        assert!(answer.json()["detail"].as_str().unwrap().starts_with(field), "{}", answer.text());
    }
    assert_eq!(product.post(&refresh, &json!({ "psu": { "ip": IP } })).await.status, 400);
    assert!(world.app.present(consent).is_none());

    // A repetition is one wish, and gets the first answer; another wish under its key is refused.
    let headers = [("idempotency-key", "pull-1")];
    let body = somebody(&world).to_string();
    let send = async |body: String| product.send(Method::POST, &refresh, &headers, body.into()).await;
    let first = send(body.clone()).await;
    world.clock.advance(SignedDuration::from_secs(5));
    let again = send(body).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16(), first.text()), (202, 202, again.text()));
    assert_eq!(problem(&send("{}".to_owned()).await).1, "idempotency_mismatch");
    let page = product.get(&format!("/v1/evidence/consents/{consent}/page")).await.text();
    assert_eq!(page.matches("asked for fresher data (psu present)").count(), 1, "{page}");
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_to_be_read_is_not_fetched_either() {
    let (world, site, product, consent, refresh) = day_after().await;
    let ask = async |caller: &Caller| caller.post(&refresh, &json!({})).await;
    let (_, key) = setup::add_product(&world.app, "Another product", &["budgeting"], &[]).await.unwrap();
    assert_eq!(ask(&site.caller(&world, Some(&key))).await.status, 404, "another product's account is nobody's");
    assert_eq!(ask(&site.caller(&world, None)).await.status, 401);

    product.send(Method::PUT, "/v1/psus/user-1/restriction", &[], "".into()).await;
    assert_eq!(ask(&product).await.status, 404, "restricted data are neither read nor fetched");
    product.delete("/v1/psus/user-1/restriction").await;
    assert_eq!(ask(&product).await.status, 202);

    world.clock.advance(SignedDuration::from_hours(24 * 100));
    let calls = world.bank.requests().len();
    assert_eq!(problem(&ask(&product).await).1, "person_needed", "before anybody has looked at the clock");
    reconcile::look(&world.app).await.unwrap();
    for wish in [json!({}), somebody(&world)] {
        let (status, code, who, _) = problem(&product.post(&refresh, &wish).await);
        assert_eq!((status, code.as_str(), who.as_str()), (409, "person_needed", "user"));
    }
    product.delete(&format!("/v1/consents/{consent}")).await;
    assert_eq!(ask(&product).await.status, 404);
    assert_eq!(world.bank.requests().len(), calls, "the bank has heard of none of it");
    site.end().await;
    world.end().await;
}
