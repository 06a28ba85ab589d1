//! Data that are kept and not used, by their person's word; and records that have had their time.

use domain::consent::{DataState, ReauthReason, State};
use domain::ids::DeletionId;
use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use server::services::{deletion, events, fetch};
use server::{evidence_log, reconcile};
use tests::site::{Caller, Site, connected};
use tests::world::{World, stands};

const YEAR: SignedDuration = SignedDuration::from_hours(24 * 366);

async fn told(world: &World, product: &Caller, kind: &str) -> Vec<Value> {
    events::number(&world.app, world.app.tenant.id).await.unwrap();
    let page = product.get("/v1/events?limit=500").await.json();
    page["data"].as_array().unwrap().iter().filter(|event| event["type"] == kind).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn restricted_data_are_kept_and_neither_read_nor_fetched() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product).await;
    let account = product.get("/v1/accounts").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    let rows = format!("/v1/accounts/{account}/transactions");
    let before = product.get(&rows).await.json()["data"].clone();
    assert!(before.as_array().unwrap().len() > 50);

    let put = async |path: &str| product.send(Method::PUT, path, &[], "".into()).await;
    assert_eq!(put("/v1/psus/nobody/restriction").await.status.as_u16(), 404);
    for _ in 0..2 {
        let answer = put("/v1/psus/user-1/restriction").await;
        assert_eq!(answer.json(), json!({ "restricted": [consent.to_string()] }), "{}", answer.text());
    }
    assert_eq!(stands(&world.app, consent).await, (State::Active, DataState::Restricted));
    assert_eq!(told(&world, &product, "consent.suspended").await[0]["data"]["data_state"], "restricted");
    for path in ["", "/balances", "/transactions", "/transactions/changes"] {
        let status = product.get(&format!("/v1/accounts/{account}{path}")).await.status.as_u16();
        assert_eq!(status, 404, "{path}");
    }
    assert_eq!(product.get("/v1/accounts").await.json()["data"], json!([]));
    let export = product.get("/v1/psus/user-1/export").await.text();
    let last: Value = serde_json::from_str(export.lines().last().unwrap()).unwrap();
    assert_eq!((&last["complete"], last["because"].as_str()), (&json!(false), Some("restricted")));
    assert!(!export.contains("\"record\":\"transaction\""));

    // Neither time nor work moves anything, at the bank or here.
    let calls = world.bank.requests().len();
    world.clock.advance(SignedDuration::from_hours(24 * 60));
    reconcile::look(&world.app).await.unwrap();
    assert_eq!(fetch::run(&world.app, world.about(consent)).await.unwrap(), fetch::Verdict::Done);
    assert_eq!(world.bank.requests().len(), calls);
    assert_eq!(told(&world, &product, "consent.expiring").await.len(), 1, "clocks run on, and are told");

    let released = product.delete("/v1/psus/user-1/restriction").await.json();
    assert_eq!(released, json!({ "restricted": [] }));
    assert_eq!(stands(&world.app, consent).await, (State::Active, DataState::Present));
    assert_eq!(told(&world, &product, "consent.resumed").await.len(), 1);
    assert_eq!(product.get(&rows).await.json()["data"], before, "all is as it was");
    let page = product.get(&format!("/v1/evidence/consents/{consent}/page")).await.text();
    assert!(page.contains("be kept and not used.") && page.contains("be used again."), "{page}");

    // Whoever leaves is heard, restricted or not.
    put("/v1/psus/user-1/restriction").await;
    assert_eq!(product.delete(&format!("/v1/consents/{consent}")).await.status.as_u16(), 202);
    assert_eq!(stands(&world.app, consent).await.1, DataState::Erasing);
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_loses_its_words_after_the_years_of_the_law_and_keeps_its_place() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product).await;
    let erasure =
        product.delete(&format!("/v1/consents/{consent}")).await.json()["erasure"].as_str().unwrap().to_owned();
    let erasure: DeletionId = erasure.parse().unwrap();
    deletion::run(&world.app, world.app.tenant.id, erasure).await.unwrap();
    let bundle = async || product.get(&format!("/v1/evidence/consents/{consent}")).await.text();
    let keys = evidence::VerifierKey::read_all(&server::verifier_key(&world.app).unwrap()).unwrap();
    let spoken = |text: &str| {
        let report = evidence::verify(text, &keys, None).expect("it verifies");
        let said = report.lines.iter().filter(|line| line.statement().is_some()).count();
        (said, report.lines.len())
    };
    let (said, all) = spoken(&bundle().await);
    assert!(said > 10 && said == all);

    for (years, kept) in [(4, true), (2, false)] {
        world.clock.advance(YEAR * years);
        while evidence_log::sequence(&world.app, world.app.tenant.id).await.unwrap() > 0 {}
        reconcile::look(&world.app).await.unwrap();
        let (said, now) = spoken(&bundle().await);
        assert!(now >= all);
        assert_eq!(said > 0, kept, "after {years} years more");
    }
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_restricted_stays_when_another_consent_to_the_same_accounts_ends() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let first = connected(&world, &product).await;
    let account = product.get("/v1/accounts").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    let rows = format!("/v1/accounts/{account}/transactions");
    let before = product.get(&rows).await.json()["data"].clone();
    product.send(Method::PUT, "/v1/psus/user-1/restriction", &[], "".into()).await;

    let second = connected(&world, &product).await;
    let erasure =
        product.delete(&format!("/v1/consents/{second}")).await.json()["erasure"].as_str().unwrap().to_owned();
    deletion::run(&world.app, world.app.tenant.id, erasure.parse().unwrap()).await.unwrap();
    assert_eq!(stands(&world.app, second).await.1, DataState::Erased);
    // The bank has let the new authorisation replace the old one, which nobody moved while it was restricted.
    let waits = State::ReauthPending(ReauthReason::Displaced);
    assert_eq!(stands(&world.app, first).await, (waits, DataState::Restricted));

    product.delete("/v1/psus/user-1/restriction").await;
    assert_eq!(product.get(&rows).await.json()["data"], before, "all is as it was");
    site.end().await;
    world.end().await;
}
