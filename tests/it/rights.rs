//! What a person can count on: nobody reads for another purpose, everything can be taken along, a stop stops that too, and
//! a product is asked whether its own copies are gone.

use std::sync::Arc;

use axum::body::Body;
use domain::ids::{ApiKeyId, ConsentId, DeletionId};
use domain::policy::Regime;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::SignedDuration;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use server::App;
use server::api::auth::Scope;
use server::config::Config;
use server::services::{consents as service, deletion, events};
use server::{evidence_log, reconcile, tokens};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use store::api_keys::{self, ApiKey};
use store::tenants::Tenant;
use tests::site::{Caller, Site, connected};
use tests::world::{BANK, CUSTOMER, World};
use tower::ServiceExt as _;

/// A key of the world's product that reads for these purposes.
async fn key_for(world: &World, purposes: &[&str]) -> SecretString {
    let moment = world.moment();
    let (text, hash) = tokens::issue(tokens::Kind::ApiKey, &moment);
    let key = ApiKey {
        id: ApiKeyId::new(&moment),
        tenant: world.app.tenant.id,
        product: world.product,
        prefix: "trb_key".to_owned(),
        scopes: Scope::ALL.map(|scope| scope.word().to_owned()).to_vec(),
        purposes: purposes.iter().map(|purpose| (*purpose).to_owned()).collect(),
        networks: Vec::new(),
        jwk: None,
        created_at: moment.now,
        expires_at: None,
        revoked_at: None,
    };
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    api_keys::create(&mut tx, &key, Some(&hash)).await.unwrap();
    tx.commit().await.unwrap();
    text
}

/// How often the evidence of a consent speaks of a kind.
async fn on_record(product: &Caller, consent: ConsentId, kind: &str) -> usize {
    let bundle = product.get(&format!("/v1/evidence/consents/{consent}")).await;
    assert_eq!(bundle.status, StatusCode::OK, "{}", bundle.text());
    bundle.text().matches(&format!("\\\"kind\\\":\\\"{kind}\\\"")).count()
}

/// Types of everything that the product was told, in order.
async fn told(world: &World, product: &Caller) -> Vec<String> {
    events::number(&world.app, world.app.tenant.id).await.unwrap();
    let page = product.get("/v1/events?limit=500").await.json();
    page["data"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_to_be_forgotten_is_gone_from_every_consent() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let first = connected(&world, &product).await;
    // A second consent that waits for its person, and somebody else's.
    let ask = json!({ "psu_ref": "user-1", "institution_id": BANK, "purposes": ["budgeting"] });
    let waiting = product.post("/v1/consents", &ask).await.json()["id"].as_str().unwrap().to_owned();
    let other = json!({ "psu_ref": "user-2", "institution_id": BANK, "purposes": ["budgeting"] });
    let others = product.post("/v1/consents", &other).await.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(product.delete("/v1/psus/user-9").await.status, StatusCode::NOT_FOUND);

    let erased = product.delete("/v1/psus/user-1").await;
    assert_eq!(erased.status, StatusCode::ACCEPTED, "{}", erased.text());
    let erasures = erased.json()["erasures"].as_array().unwrap().clone();
    let of = |erasure: &Value| erasure["consent_id"].as_str().unwrap().to_owned();
    assert_eq!(erasures.iter().map(of).collect::<Vec<_>>(), [waiting.clone(), first.to_string()]);
    assert_eq!(product.get("/v1/accounts").await.json()["data"], json!([]), "nothing is served from that moment");
    for erasure in &erasures {
        let id: DeletionId = erasure["deletion_id"].as_str().unwrap().parse().unwrap();
        deletion::run(&world.app, world.app.tenant.id, id).await.unwrap();
    }
    let again = product.delete("/v1/psus/user-1").await.json();
    let states: Vec<_> = again["erasures"].as_array().unwrap().iter().map(|erasure| erasure["state"].clone()).collect();
    assert_eq!(states, [json!("receipted"), json!("receipted")], "repeating it begins nothing anew");
    assert_eq!(on_record(&product, first, "person.erasure_requested").await, 1);
    let page = product.get(&format!("/v1/evidence/consents/{first}/page")).await;
    assert!(page.text().contains("The person asked to be erased."), "{}", page.text());
    let state = product.get(&format!("/v1/consents/{others}")).await.json()["state"].clone();
    assert_eq!(state, json!("initiated"), "somebody else's stays");
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_another_purpose_reads_nothing_and_that_it_tried_is_on_record() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product).await;
    let accounts = product.get("/v1/accounts").await.json();
    let account = accounts["data"][0]["id"].as_str().unwrap();
    assert_eq!(accounts["data"].as_array().unwrap().len(), 3);
    assert_eq!(on_record(&product, consent, "data.refused").await, 0);

    let lender = site.caller(&world, Some(&key_for(&world, &["lending", "marketing"]).await));
    for rest in ["", "/balances", "/transactions"] {
        let answer = lender.get(&format!("/v1/accounts/{account}{rest}")).await;
        assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (403, Some("purpose_not_consented")));
    }
    assert_eq!(on_record(&product, consent, "data.refused").await, 3);
    assert_eq!(lender.get("/v1/accounts").await.json()["data"], json!([]));
    assert_eq!(on_record(&product, consent, "data.refused").await, 6);
    let export = lender.get("/v1/psus/user-1/export").await;
    assert!(!export.text().contains("\"record\":\"transaction\""), "an export is a read too");

    let budgeter = site.caller(&world, Some(&key_for(&world, &["budgeting", "lending"]).await));
    let answer = budgeter.get(&format!("/v1/accounts/{account}/transactions")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let bundle = product.get(&format!("/v1/evidence/consents/{consent}")).await.text();
    assert!(!bundle.contains("lending"), "a disclosure names the purposes that were agreed to, and no others");
    site.end().await;
    world.end().await;
}

/// Lines of an export by kind.
fn lines(text: &str, kind: &str) -> Vec<Value> {
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|line| line["record"] == kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_can_have_everything_and_a_stop_cuts_it_off() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product).await;
    let whole = product.get("/v1/psus/user-1/export").await;
    assert_eq!(whole.headers["content-type"], "application/x-ndjson");
    let text = whole.text();
    let end = lines(&text, "end");
    assert_eq!((end.len(), &end[0]["complete"], &end[0]["because"]), (1, &json!(true), &Value::Null));
    assert_eq!((lines(&text, "person").len(), lines(&text, "consent").len(), lines(&text, "account").len()), (1, 1, 3));
    let mut rows = 0;
    for account in lines(&text, "account") {
        let id = account["id"].as_str().unwrap();
        let served = product.get(&format!("/v1/accounts/{id}/transactions?limit=500")).await.json();
        let served = served["data"].as_array().unwrap();
        let exported = lines(&text, "transaction").into_iter().filter(|row| row["account_id"] == *id);
        let exported: Vec<Value> = exported.take(served.len()).collect();
        for (exported, served) in exported.iter().zip(served) {
            assert_eq!((&exported["id"], &exported["amount"]), (&served["id"], &served["amount"]));
        }
        assert_eq!(exported.len(), served.len());
        rows += lines(&text, "transaction").iter().filter(|row| row["account_id"] == *id).count();
    }
    assert!(rows > 500, "more than one part: {rows}");
    assert_eq!((end[0]["transactions"].as_u64(), lines(&text, "balance").is_empty()), (Some(rows as u64), false));
    let disclosed = on_record(&product, consent, "data.disclosed").await;
    assert!(disclosed > 3, "each part is on record: {disclosed}");
    assert_eq!(product.get("/v1/psus/nobody/export").await.status.as_u16(), 404);

    // The reader takes one part, the person stops, and nothing further comes.
    let request = Request::get("/v1/psus/user-1/export")
        .header("authorization", format!("Bearer {}", world.api_key.expose_secret()))
        .body(Body::empty())
        .unwrap();
    let mut stream = server::router(world.app.clone()).oneshot(request).await.unwrap().into_body();
    let mut part = async || {
        let frame = stream.frame().await?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    };
    assert_eq!(lines(&part().await.unwrap(), "person").len(), 1);
    assert_eq!(lines(&part().await.unwrap(), "account").len(), 1);
    let revoked = domain::consent::RevokedBy::Psu;
    service::revoke(&world.app, world.app.tenant.id, consent, revoked, "psu").await.unwrap();
    let rest = part().await.unwrap();
    assert_eq!(rest.lines().count(), 1, "{}", rest.len());
    let end = &lines(&rest, "end")[0];
    assert_eq!((&end["complete"], end["because"].as_str()), (&json!(false), Some("consent_state")));
    assert_eq!(part().await, None);
    site.end().await;
    world.end().await;
}

/// Every notice that the product was asked to hand over, by its kind.
async fn requested(world: &World, product: &Caller) -> Vec<(String, Value)> {
    told(world, product).await;
    let page = product.get("/v1/events?limit=500").await.json();
    let events = page["data"].as_array().unwrap().iter().filter(|event| event["type"] == "notice.requested");
    events.map(|event| (event["data"]["kind"].as_str().unwrap().to_owned(), event["data"].clone())).collect()
}

/// A world under another law.
async fn under(regime: Regime) -> World {
    let mut world = World::start().await;
    let mut owner = PgConnection::connect_with(&world.private.connect_options()).await.unwrap();
    owner.execute(sqlx::query("update tenant set regime = $1").bind(regime.as_str())).await.unwrap();
    owner.close().await.unwrap();
    let config = Config::load(Some(&world.config_file())).unwrap();
    let tenant = Tenant { regime, ..world.app.tenant.clone() };
    world.app = Arc::new(App::new(config, world.app.store.clone(), world.clock.clone(), tenant).unwrap());
    world
}

/// 12 CFR 1033.401 and .421(g): the authorisation disclosure as the person signed it, when they signed it, in writing, once
/// for every authorisation; and what became of the copy.
#[tokio::test(flavor = "multi_thread")]
async fn in_the_united_states_a_person_gets_a_copy_of_what_they_have_signed() {
    let world = under(Regime::Us).await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product).await;
    let stored = async || {
        let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
        store::consents::get(&mut tx, consent).await.unwrap()
    };
    let signed = stored().await;
    let (kind, copy) = requested(&world, &product).await.remove(0);
    let text = copy["text"].as_str().unwrap();
    let at = format!("{:.0}", signed.accepted_at.unwrap());
    assert!(kind == "receipt" && text.contains("A text for tests.") && text.contains(&at), "{text}");
    let said = json!({ "delivered": true, "channel": "email" });
    assert_eq!(product.post(copy["outcome"].as_str().unwrap(), &said).await.json()["state"], "delivered");

    // The copy is tied to what was signed: its entry carries the hash of the acceptance.
    evidence_log::sequence(&world.app, world.app.tenant.id).await.unwrap();
    let bundle = product.get(&format!("/v1/evidence/consents/{consent}")).await.text();
    let hash = evidence_log::hex(&signed.text_hash.unwrap());
    assert!(bundle.contains("agreed_sha256") && bundle.matches(&hash).count() >= 2, "{hash}: {bundle}");
    assert_eq!(on_record(&product, consent, "notice.delivered").await, 1);

    // Nothing every ninety days here; a new authorisation after a year's end is signed, and copied, anew.
    world.clock.advance(SignedDuration::from_hours(24 * 100));
    reconcile::look(&world.app).await.unwrap();
    assert_eq!(requested(&world, &product).await.len(), 1);
    world.authorise(consent, CUSTOMER).await;
    let copies = requested(&world, &product).await;
    let again = format!("{:.0}", stored().await.accepted_at.unwrap());
    assert!(copies.len() == 2 && again != at && copies[1].1["text"].as_str().unwrap().contains(&again), "{copies:?}");
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_law_asks_for_it_a_person_is_written_to_and_the_outcome_is_on_record() {
    let world = under(Regime::Cdr).await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product).await;
    let kinds = async || {
        reconcile::look(&world.app).await.unwrap();
        requested(&world, &product).await.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds().await, ["receipt"]);
    let (_, receipt) = requested(&world, &product).await.remove(0);
    let text = receipt["text"].as_str().unwrap();
    for part in ["A text for tests.", "Test TPP", "Test product", "budgeting", "balances"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for (days, expected) in [(89, 1), (2, 2), (80, 2)] {
        world.clock.advance(SignedDuration::from_hours(24 * days));
        assert_eq!(kinds().await.len(), expected, "after {days} days more");
    }
    assert_eq!(kinds().await, ["receipt", "ongoing"]);

    let path = receipt["outcome"].as_str().unwrap();
    let said = product.post(path, &json!({ "delivered": true, "channel": "email" })).await.json();
    assert_eq!((said["state"].as_str(), said["channel"].as_str()), (Some("delivered"), Some("email")));
    let again = product.post(path, &json!({ "delivered": false, "channel": "sms" })).await.json();
    assert_eq!(again, said, "the first word stands");
    assert_eq!(product.post(path, &json!({ "delivered": true, "channel": "pigeon" })).await.status.as_u16(), 400);
    let (_, key) = server::setup::add_product(&world.app, "Another product", &["budgeting"], &[]).await.unwrap();
    let stranger = site.caller(&world, Some(&key));
    assert_eq!(stranger.post(path, &json!({ "delivered": true, "channel": "email" })).await.status.as_u16(), 404);

    // A text that is agreed to anew is owed anew.
    world.authorise(consent, CUSTOMER).await;
    assert_eq!(kinds().await, ["receipt", "ongoing", "receipt"]);
    product.delete(&format!("/v1/consents/{consent}")).await;
    assert_eq!(kinds().await, ["receipt", "ongoing", "receipt", "revoked"]);
    let listed = product.get(&format!("/v1/consents/{consent}/notices")).await.json();
    let states: Vec<_> = listed["data"].as_array().unwrap().iter().map(|notice| notice["state"].as_str()).collect();
    assert_eq!(states, [Some("requested"), Some("requested"), Some("requested"), Some("delivered")]);
    let records = (
        on_record(&product, consent, "notice.requested").await,
        on_record(&product, consent, "notice.delivered").await,
    );
    assert_eq!(records, (4, 1));
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_asked_until_it_says_that_its_copies_are_gone() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product).await;
    let revocation = product.delete(&format!("/v1/consents/{consent}")).await.json();
    let id: DeletionId = revocation["erasure"].as_str().unwrap().parse().unwrap();
    let path = format!("/v1/deletions/{id}/acknowledge");
    assert_eq!(product.post(&path, &json!({})).await.json()["code"], "not_ready");
    deletion::run(&world.app, world.app.tenant.id, id).await.unwrap();
    let all = told(&world, &product).await;
    let expected = ["consent.created", "consent.granted", "sync.completed", "transaction.added", "connection.healthy"];
    assert!(expected.iter().all(|kind| all.iter().any(|told| told == kind)), "{all:?}");
    assert_eq!(all.iter().filter(|kind| *kind == "transaction.added").count(), 3, "one for each account: {all:?}");
    let mut ends = all.iter().rev().take(5).map(String::as_str).collect::<Vec<_>>();
    ends.sort_unstable();
    let expected = ["consent.revoked", "deletion.completed", "deletion.receipt.issued", "deletion.requested"];
    assert_eq!(ends, [expected.as_slice(), &["notice.requested"]].concat());

    let due = async || {
        reconcile::look(&world.app).await.unwrap();
        told(&world, &product).await.iter().filter(|kind| *kind == "deletion.acknowledgement.due").count()
    };
    assert_eq!(due().await, 0);
    world.clock.advance(SignedDuration::from_hours(25));
    assert_eq!((due().await, due().await), (1, 1));
    world.clock.advance(SignedDuration::from_hours(24 * 7));
    assert_eq!(due().await, 2);

    let (_, key) = server::setup::add_product(&world.app, "Another product", &["budgeting"], &[]).await.unwrap();
    let stranger = site.caller(&world, Some(&key));
    assert_eq!(stranger.post(&path, &json!({})).await.status.as_u16(), 404);
    let first = product.post(&path, &json!({})).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text());
    world.clock.advance(SignedDuration::from_hours(24 * 60));
    assert_eq!(product.post(&path, &json!({})).await.json(), first.json(), "the first word stands");
    assert_eq!(due().await, 2, "nobody who has answered is reminded");
    assert_eq!(on_record(&product, consent, "deletion.acknowledged").await, 1);
    site.end().await;
    world.end().await;
}
