//! What becomes of data when a consent ends by itself, by the policy of its purpose; and what the receipt says of it.

use std::sync::Arc;

use domain::consent::{DataState, ExpiryReason, RevokedBy, State};
use domain::ids::{ConsentId, LineId};
use evidence::{Kept, Receipt, Scope, Trigger};
use jiff::SignedDuration;
use serde_json::json;
use server::config::PurposeRetention;
use server::services::fetch::{self, Verdict};
use server::services::{deletion, events};
use server::{App, evidence_log, reconcile, setup};
use store::deletions;
use tests::site::{Caller, Site};
use tests::world::{BANK, CUSTOMER, NEIGHBOUR, World, stands};

/// The same application under other policies, with a product of three purposes.
async fn under_policies(world: &mut World) -> secrecy::SecretString {
    let mut config = world.app.config.clone();
    let policy = |purpose: &str, at_end: &str, days| PurposeRetention {
        purpose: purpose.to_owned(),
        regime: None,
        at_end: at_end.to_owned(),
        days,
    };
    config.retention.purposes = vec![
        policy("accounting", "readable_until_retention", 90),
        policy("lending", "restricted_hold", 365),
        policy("insuring", "restricted_hold", 30),
    ];
    let app = App::new(config, world.app.store.clone(), world.clock.clone(), world.app.tenant.clone()).unwrap();
    let (product, key) =
        setup::add_product(&app, "Books", &["accounting", "lending", "insuring", "budgeting"], &[]).await.unwrap();
    (world.app, world.product) = (Arc::new(app), product);
    key
}

async fn connected(world: &World, product: &Caller, purpose: &str, customer: (&str, &str)) -> ConsentId {
    let ask = json!({ "psu_ref": purpose, "institution_id": BANK, "purposes": [purpose] });
    let consent: ConsentId = product.post("/v1/consents", &ask).await.json()["id"].as_str().unwrap().parse().unwrap();
    world.authorise(consent, customer).await;
    fetch::run(&world.app, world.about(consent)).await.unwrap();
    consent
}

/// Days pass, the clocks are looked at, and every erasure that is asked for runs.
async fn days(world: &World, days: i64) {
    let app = &world.app;
    world.clock.advance(SignedDuration::from_hours(24 * days));
    reconcile::look(app).await.unwrap();
    let mut tx = app.store.tenant_tx(app.tenant.id).await.unwrap();
    let asked = deletions::unfinished(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    for id in asked {
        deletion::run(app, app.tenant.id, id).await.unwrap();
    }
}

/// The accounts of a consent that the product may read, and the first one's rows.
async fn read(product: &Caller, consent: ConsentId) -> (usize, u16) {
    let accounts = product.get(&format!("/v1/accounts?consent_id={consent}")).await.json()["data"].clone();
    let number = accounts.as_array().unwrap().len();
    let rows = match accounts[0]["id"].as_str() {
        Some(id) => product.get(&format!("/v1/accounts/{id}/transactions")).await.status.as_u16(),
        None => 404,
    };
    (number, rows)
}

async fn receipt(world: &World, consent: ConsentId) -> Receipt {
    let app = &world.app;
    while evidence_log::sequence(app, app.tenant.id).await.unwrap() > 0 {}
    let bundle = evidence_log::bundle(app, world.about(consent), None).await.unwrap().unwrap();
    let keys = evidence::VerifierKey::read_all(&server::verifier_key(app).unwrap()).unwrap();
    let report = evidence::verify(&bundle, &keys, None).unwrap();
    let [receipt] = <[_; 1]>::try_from(report.receipts()).unwrap();
    assert_eq!(report.to_html().unwrap().contains("Until the erasure"), receipt.retention.is_some());
    receipt.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_stay_after_the_end_are_read_or_held_as_their_purpose_says() {
    let mut world = World::start().await;
    let key = under_policies(&mut world).await;
    let app = &world.app;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&key));
    let read_on = connected(&world, &product, "accounting", CUSTOMER).await;
    let held = connected(&world, &product, "lending", NEIGHBOUR).await;
    assert_eq!((read(&product, read_on).await, read(&product, held).await), ((3, 200), (2, 200)));

    days(&world, 200).await;
    assert_eq!(stands(app, read_on).await, (State::Expired(ExpiryReason::Term), DataState::Readable));
    assert_eq!(stands(app, held).await, (State::Expired(ExpiryReason::Term), DataState::Held));
    assert_eq!((read(&product, read_on).await, read(&product, held).await), ((3, 200), (0, 404)));
    let asked = world.bank.requests().len();
    assert_eq!(fetch::run(app, world.about(read_on)).await.unwrap(), Verdict::Done);
    assert_eq!(world.bank.requests().len(), asked, "what is read is what is stored");
    events::number(app, app.tenant.id).await.unwrap();
    let told = product.get("/v1/events?limit=500").await.json();
    let over = |id: ConsentId| {
        let all = told["data"].as_array().unwrap();
        let mut ended = all
            .iter()
            .filter(|event| event["type"] == "consent.expired" && event["data"]["consent_id"] == id.to_string());
        ended.next().unwrap()["data"]["data_state"].clone()
    };
    assert_eq!((over(read_on), over(held)), (json!("readable"), json!("held")));

    // Whoever withdraws what the law wants kept is heard, and waits.
    assert_eq!(product.delete(&format!("/v1/consents/{held}")).await.status.as_u16(), 202);
    assert_eq!(stands(app, held).await, (State::Revoked(RevokedBy::Product), DataState::Blocked));

    days(&world, 89).await;
    assert_eq!(read(&product, read_on).await, (3, 200), "the last day");
    days(&world, 1).await;
    assert_eq!(read(&product, read_on).await, (0, 404));
    assert_eq!(stands(app, read_on).await.1, DataState::Erased);
    let said = receipt(&world, read_on).await;
    assert_eq!(
        (said.retention, said.trigger, said.accounts.len()),
        (Some(Kept::ReadableUntilRetention), Trigger::Expiry, 3)
    );
    assert_eq!(stands(app, held).await.1, DataState::Blocked, "still");

    days(&world, 275).await;
    assert_eq!(stands(app, held).await.1, DataState::Erased, "the duty is over");
    let said = receipt(&world, held).await;
    assert_eq!((said.retention, said.trigger, said.accounts.len()), (Some(Kept::RestrictedHold), Trigger::Product, 2));
    assert!(said.blocked_until.is_some_and(|until| said.stopped_at < until));
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_taken_out_is_kept_as_the_law_wants_and_goes_with_the_rest_at_the_latest() {
    let mut world = World::start().await;
    let key = under_policies(&mut world).await;
    let app = &world.app;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&key));
    let goes_on = connected(&world, &product, "insuring", CUSTOMER).await;
    let ends = connected(&world, &product, "lending", NEIGHBOUR).await;
    let (here, there) = (take_one_out(&product, goes_on).await, take_one_out(&product, ends).await);
    assert_eq!((read(&product, goes_on).await, read(&product, ends).await), ((2, 200), (1, 200)), "the others go on");
    let kept = async |consent, line| {
        let mut tx = app.store.tenant_tx(app.tenant.id).await.unwrap();
        let all = deletions::of_consent(&mut tx, consent).await.unwrap();
        let taken = all.into_iter().find(|deletion| deletion.line == Some(line)).unwrap();
        (taken.state, taken.key_deleted_at.is_none())
    };
    let blocked = (deletions::State::Blocked, true);

    days(&world, 29).await;
    assert_eq!((kept(goes_on, here).await, kept(ends, there).await), (blocked, blocked), "the last day of one");
    days(&world, 1).await;
    assert_eq!((kept(goes_on, here).await, kept(ends, there).await), ((deletions::State::Receipted, false), blocked));
    assert_eq!(read(&product, goes_on).await, (2, 200));
    let said = receipt(&world, goes_on).await;
    assert_eq!((said.scope, said.retention, said.accounts.len()), (Scope::Account, Some(Kept::RestrictedHold), 1));
    assert!(said.blocked_until.is_some_and(|until| said.stopped_at < until));

    // The consent comes under the same duty when it ends, and all of it goes together.
    days(&world, 170).await;
    assert_eq!(stands(app, ends).await, (State::Expired(ExpiryReason::Term), DataState::Held));
    assert_eq!(kept(ends, there).await, blocked);
    days(&world, 366).await;
    assert_eq!(stands(app, ends).await.1, DataState::Erased);
    assert_eq!(kept(ends, there).await, (deletions::State::Receipted, false));
    site.end().await;
    world.end().await;
}

/// Takes an account out of a consent; nobody reads it any more.
async fn take_one_out(product: &Caller, consent: ConsentId) -> LineId {
    let accounts = product.get(&format!("/v1/accounts?consent_id={consent}")).await.json()["data"].clone();
    let account = accounts[0]["id"].as_str().unwrap();
    let taken = product.delete(&format!("/v1/consents/{consent}/accounts/{account}")).await;
    assert_eq!(taken.status.as_u16(), 202, "{}", taken.text());
    assert_eq!(product.get(&format!("/v1/accounts/{account}/transactions")).await.status.as_u16(), 404, "at once");
    account.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_the_newer_consent_stops_what_an_older_one_left_readable() {
    let mut world = World::start().await;
    let key = under_policies(&mut world).await;
    let app = &world.app;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&key));
    let older = connected(&world, &product, "accounting", CUSTOMER).await;
    days(&world, 200).await;
    assert_eq!(stands(app, older).await, (State::Expired(ExpiryReason::Term), DataState::Readable));
    assert_eq!(read(&product, older).await, (3, 200));

    let newer = connected(&world, &product, "accounting", CUSTOMER).await;
    assert_eq!((read(&product, older).await, read(&product, newer).await), ((0, 404), (3, 200)));
    assert_eq!(product.delete(&format!("/v1/consents/{newer}")).await.status.as_u16(), 202);
    days(&world, 1).await;
    assert_eq!(product.get("/v1/accounts").await.json()["data"], json!([]));
    let said = receipt(&world, newer).await;
    assert_eq!((said.accounts.len(), said.kept_accounts.len()), (3, 0), "the older one keeps nothing");
    site.end().await;
    world.end().await;
}
