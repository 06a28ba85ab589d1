//! A bank behind an intermediary: a session that a code names, ids of accounts that change with every session, a signed token in
//! every request; and an end that says what it does not prove.

use std::collections::BTreeSet;

use domain::consent::{FailureReason, RevokedBy, State};
use domain::grant;
use domain::ids::ConsentId;
use jiff::SignedDuration;
use sandbox::Decision;
use serde_json::Value;
use server::services::logins::Arrival;
use server::services::{consents as moves, deletion, fetch, revocation};
use store::{capsules, consents, deletions, grants};
use tests::places;
use tests::site::{Caller, Site};
use tests::world::{CUSTOMER, Options, World};

async fn world() -> World {
    World::made(Options { place: Some(places::FINLAND), ..Options::default() }, |_| {}).await
}

async fn states(world: &World, id: ConsentId) -> (State, grant::State) {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let consent = consents::get(&mut tx, id).await.unwrap();
    (consent.machine.state, grants::get(&mut tx, consent.grant.unwrap()).await.unwrap().state)
}

async fn read(world: &World, id: ConsentId) {
    let fetched = fetch::run(&world.app, world.about(id)).await.unwrap();
    assert!(matches!(fetched, fetch::Verdict::Next(_)), "{fetched:?} {:#?}", world.bank.log());
}

/// Our ids of the accounts, with their names.
async fn accounts(product: &Caller, id: ConsentId) -> BTreeSet<(String, String)> {
    let listed = product.get(&format!("/v1/accounts?consent_id={id}")).await.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    listed["data"].as_array().unwrap().iter().map(|one| (text(&one["id"]), text(&one["name"]))).collect()
}

/// Ids of accounts by which the intermediary was asked.
fn uids(world: &World) -> BTreeSet<String> {
    let requests = world.bank.requests();
    let named = requests.iter().filter_map(|one| one.strip_prefix("GET /accounts/")?.strip_suffix("/details"));
    named.map(str::to_owned).collect()
}

async fn rows(product: &Caller, account: &str) -> usize {
    let page = product.get(&format!("/v1/accounts/{account}/transactions?limit=500")).await.json();
    page["data"].as_array().unwrap().len()
}

/// Tells the intermediary of every end that is open.
async fn told(world: &World) {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let open = capsules::open(&mut tx, 10).await.unwrap();
    tx.commit().await.unwrap();
    for (capsule, _) in open {
        assert_eq!(revocation::run(&world.app, world.app.tenant.id, capsule).await.unwrap(), fetch::Verdict::Done);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_stay_themselves_when_a_renewal_gives_them_new_ids() {
    let world = world().await;
    let id = world.connect(CUSTOMER).await;
    assert_eq!(states(&world, id).await, (State::Authorized, grant::State::Granted));
    read(&world, id).await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let (first, known) = (accounts(&product, id).await, uids(&world));
    assert_eq!((first.len(), known.len()), (3, 3));
    let (account, _) = first.first().unwrap();
    let before = rows(&product, account).await;
    assert!(before > 100, "pages were followed: {before} rows");

    world.clock.advance(SignedDuration::from_hours(24));
    world.authorise(id, CUSTOMER).await;
    told(&world).await;
    read(&world, id).await;
    assert_eq!(uids(&world).len(), 6, "every session has ids of its own");
    assert_eq!(accounts(&product, id).await, first, "and ours are what they were");
    assert!(rows(&product, account).await >= before.min(500));
    let refused: Vec<_> = world.bank.log().into_iter().filter(|line| line.refused).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_over_is_known_by_its_status_and_the_person_is_asked() {
    let world = world().await;
    let id = world.connect(CUSTOMER).await;
    read(&world, id).await;
    let requests = world.bank.requests();
    let session = requests.iter().find_map(|one| one.strip_prefix("GET /sessions/")).unwrap().to_owned();
    assert!(world.bank.revoke_at_bank(&session));
    fetch::run(&world.app, world.about(id)).await.unwrap();
    assert_eq!(states(&world, id).await.0, State::Revoked(RevokedBy::PsuAtBank));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_at_the_bank_leaves_nothing_to_end() {
    let world = world().await;
    let id = world.ask("mara").await;
    let departure = world.depart(id).await;
    let visit = world.bank.visit(departure.redirect.as_str(), CUSTOMER.0, CUSTOMER.1, &Decision::Deny).await.unwrap();
    let arrival = world.arrive(&visit, &departure.browser).await;
    assert!(matches!(arrival, Arrival::Denied(_)), "{arrival:?}");
    assert_eq!(states(&world, id).await.0, State::Failed(FailureReason::Declined));
    told(&world).await;
    assert!(!world.bank.requests().iter().any(|request| request.starts_with("POST /sessions")));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_the_session_that_is_lost_is_not_called_ended() {
    let world = world().await;
    let id = world.ask("mara").await;
    let departure = world.depart(id).await;
    let visit = world.bank.visit(departure.redirect.as_str(), CUSTOMER.0, CUSTOMER.1, &Decision::ApproveAll);
    let callback = visit.await.unwrap();
    world.bank.lose_answer_to("/sessions", "code");
    let arrival = world.arrive(&callback, &departure.browser).await;
    assert!(matches!(arrival, Arrival::BankError(_)), "{arrival:?}");
    assert_eq!(states(&world, id).await, (State::Failed(FailureReason::Error), grant::State::Unconfirmed));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receipt_says_that_what_the_intermediary_keeps_is_not_proven() {
    let world = world().await;
    let id = world.connect(CUSTOMER).await;
    read(&world, id).await;
    let tenant = world.app.tenant.id;
    moves::revoke(&world.app, tenant, id, RevokedBy::Product, "product").await.unwrap();
    told(&world).await;
    assert_eq!(states(&world, id).await.1, grant::State::Ended(grant::Ended::ByUs), "its own status says so");
    let mut tx = world.app.store.tenant_tx(tenant).await.unwrap();
    let open = deletions::of_consent(&mut tx, id).await.unwrap();
    tx.commit().await.unwrap();
    deletion::run(&world.app, tenant, open[0].id).await.unwrap();
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let evidence = product.get(&format!("/v1/evidence/consents/{id}")).await.text().replace('\\', "");
    assert_eq!(
        evidence.matches("\"intermediary\":\"Enable Banking\"").count(),
        2,
        "acceptance and receipt: {evidence}"
    );
    let receipt = product.get(&format!("/v1/evidence/deletions/{}/receipt", open[0].id)).await.text();
    assert!(receipt.contains("Enable Banking"), "{receipt}");
    site.end().await;
    world.end().await;
}
