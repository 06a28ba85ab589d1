//! A tenant leaves: everything ends at the banks and here, what proves it lies in one folder, and the neighbour in the same
//! database notices nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use domain::hold::Event;
use domain::ids::{ConsentId, TenantId};
use domain::policy::Regime;
use evidence::VerifierKey;
use jiff::SignedDuration;
use serde_json::{Value, json};
use server::services::holds::{self, Whom};
use server::services::offboarding::{self, Outcome};
use server::services::{fetch, staff};
use server::{App, setup};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use store::staff::Staff;
use tests::site::{Caller, Site};
use tests::world::{BANK, CUSTOMER, NEIGHBOUR, World};

async fn asked(product: &Caller, person: &str) -> ConsentId {
    let ask = json!({ "psu_ref": person, "institution_id": BANK, "purposes": ["budgeting"] });
    product.post("/v1/consents", &ask).await.json()["id"].as_str().unwrap().parse().unwrap()
}

async fn connected(world: &World, product: &Caller, person: &str, customer: (&str, &str)) -> ConsentId {
    let consent = asked(product, person).await;
    world.authorise(consent, customer).await;
    fetch::run(&world.app, world.about(consent)).await.unwrap();
    consent
}

/// Another tenant in the same database, with a person's data.
async fn neighbour(world: &mut World) -> TenantId {
    let config = server::config::Config::load(Some(&world.config_file())).unwrap();
    let tenant = setup::ensure_tenant(&world.app.store, &world.moment(), "Another TPP", Regime::Eu).await.unwrap();
    let app = Arc::new(App::new(config, world.app.store.clone(), world.clock.clone(), tenant.clone()).unwrap());
    let (product, _) = setup::add_product(&app, "Another TPP's product", &["budgeting"], &[]).await.unwrap();
    let own = (std::mem::replace(&mut world.app, app), std::mem::replace(&mut world.product, product));
    let consent = world.connect(CUSTOMER).await;
    fetch::run(&world.app, world.about(consent)).await.unwrap();
    (world.app, world.product) = own;
    tenant.id
}

/// Every row of a tenant, as one digest a table; and how many there are.
async fn rows(owner: &mut PgConnection, tenant: TenantId) -> BTreeMap<String, (i64, Option<String>)> {
    let tables =
        "select distinct table_name from data_map where column_name = 'tenant_id' and table_name <> 'registration'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut *owner).await.unwrap();
    let mut all = BTreeMap::new();
    for table in tables {
        let sql = format!(
            "select count(*), md5(string_agg(t::text, E'\\n' order by t::text)) from \"{table}\" t where tenant_id = $1"
        );
        let found = sqlx::query_as(AssertSqlSafe(sql)).bind(tenant.uuid()).fetch_one(&mut *owner).await.unwrap();
        all.insert(table, found);
    }
    all
}

async fn two(app: &App) -> [Staff; 2] {
    let mut known = Vec::new();
    for name in ["Ada", "Grace"] {
        let (_, key) = staff::add(app, name).await.unwrap();
        known.push(staff::known(app, &key).await.unwrap());
    }
    known.try_into().unwrap()
}

/// A world with a neighbour, its pages, and a product of the tenant that leaves.
async fn ground() -> (World, TenantId, Site, Caller) {
    let mut world = World::start().await;
    let other = neighbour(&mut world).await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    (world, other, site, product)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_leaves_with_every_receipt_and_its_neighbour_notices_nothing() {
    let (world, other, site, product) = ground().await;
    let app = &world.app;
    let one = connected(&world, &product, "user-1", CUSTOMER).await;
    let held = connected(&world, &product, "user-2", NEIGHBOUR).await;
    asked(&product, "user-3").await;
    let [ada, grace] = two(app).await;
    let hold = holds::ask(app, &ada, &Whom::Consent(held), "2026/17").await.unwrap();
    holds::act(app, &grace, hold.id, Event::Confirm, None).await.unwrap();
    let mut owner = PgConnection::connect_with(&world.private.connect_options()).await.unwrap();
    let theirs = rows(&mut owner, other).await;
    assert!(theirs["transaction"].0 > 0 && theirs["line"].0 == 3, "{theirs:?}");

    let folder = world.dir.path().join("left");
    let first = offboarding::run(app, &folder).await.unwrap();
    assert_eq!((first.consents, first.ended, first.receipts, first.blocked), (3, 3, 2, 1), "{first:?}");
    assert_eq!((first.running, first.telling, first.unconfirmed), (0, 0, 0), "{first:?}");
    assert!(first.keys >= 1 && first.rows_left["line"] == 2 && !first.is_complete(), "what is held stays: {first:?}");
    assert_eq!(product.get("/v1/accounts").await.status.as_u16(), 401, "its products are out");
    assert_eq!(
        offboarding::run(app, &folder).await.unwrap(),
        Outcome { ended: 0, keys: 0, ..first },
        "again: nothing anew"
    );

    holds::act(app, &grace, hold.id, Event::AskLift, None).await.unwrap();
    holds::act(app, &ada, hold.id, Event::Confirm, None).await.unwrap();
    let second = offboarding::run(app, &folder).await.unwrap();
    assert_eq!((second.receipts, second.rows_left.len()), (3, 0), "{second:?}");
    assert!(!second.is_complete() && second.epochs_left.len() == 1, "today's key is in use: {second:?}");
    world.clock.advance(SignedDuration::from_hours(24));
    let last = offboarding::run(app, &folder).await.unwrap();
    assert!(last.is_complete(), "{last:?}");
    let current = app.vault.policy().epoch_at(domain::world::Clock::now(&*world.clock));
    let alive = app.vault.epochs(app.tenant.id).unwrap();
    let alive: Vec<i64> = alive
        .into_iter()
        .filter(|state| matches!(state, vault::EpochState::Present { .. }))
        .map(vault::EpochState::epoch)
        .collect();
    assert_eq!(alive, [current], "the log's own key is all that is left");

    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let keys = VerifierKey::read_all(&read("keys.txt")).unwrap();
    for consent in [one, held] {
        let report = evidence::verify(&read(&format!("{consent}.json")), &keys, None).unwrap();
        let [receipt] = <[_; 1]>::try_from(report.receipts()).unwrap();
        let destroyed: Vec<i64> = report.epochs.iter().map(|(_, fact)| fact.epoch).collect();
        assert!(receipt.accounts.iter().all(|account| destroyed.contains(&account.key_epoch)), "{destroyed:?}");
        assert!(report.to_string().contains("the operator ended the consent"), "{report}");
    }
    let report: Value = serde_json::from_str(&read("report.json")).unwrap();
    assert_eq!(report["consents"]["standing"], json!({ "revoked": 3 }));
    assert_eq!(report["deletions"]["stop_to_receipt"]["number"], 3);
    assert!(read("report.html").starts_with("<!doctype html>"));
    assert_eq!(rows(&mut owner, other).await, theirs, "not a byte of the neighbour's");
    site.end().await;
    world.end().await;
}

/// The end of the tenant in a process of its own that dies at a point, as by `kill -9`, or comes to its end.
async fn ended(world: &World, folder: &Path, fault: &str) -> bool {
    let mut process = tokio::process::Command::new(env!("CARGO_BIN_EXE_node"));
    process.arg(world.config_file()).arg("offboard").arg(folder);
    let ahead = world.clock.seconds_ahead().to_string();
    process.env("TRIBUTARY_FAULT", fault).env("NODE_SECONDS_AHEAD", ahead).stderr(Stdio::null());
    process.status().await.unwrap().success()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_anywhere_on_its_way_the_next_run_goes_on_and_nothing_is_doubled() {
    let (world, other, site, product) = ground().await;
    let app = &world.app;
    let one = connected(&world, &product, "user-1", CUSTOMER).await;
    let two = connected(&world, &product, "user-2", NEIGHBOUR).await;
    let mut owner = PgConnection::connect_with(&world.private.connect_options()).await.unwrap();
    let theirs = rows(&mut owner, other).await;
    let (folder, told) = (world.dir.path().join("left"), world.bank.requests().len());
    // Each run dies a little further on its way.
    for fault in [
        "offboarding.keys_withdrawn",
        "offboarding.consent_ended:1",
        "deletion.batch_before_commit:2",
        "deletion.batch_committed:2",
        "deletion.erased:1",
        "deletion.shred_before_commit:1",
        "deletion.shredded:1",
        "deletion.receipt_before_commit:1",
        "deletion.receipted:1",
        "revocation.bank_told:1",
        "revocation.before_commit:1",
        "revocation.settled:1",
        "offboarding.recorded:1",
        "offboarding.bundle_written:1",
    ] {
        assert!(!ended(&world, &folder, fault).await, "not passed: {fault}");
    }
    assert!(ended(&world, &folder, "").await);
    assert_eq!(product.get("/v1/accounts").await.status.as_u16(), 401, "its products are out");
    world.clock.advance(SignedDuration::from_hours(24));
    for fault in ["epochs.rewrapped:1", "epochs.destroyed:1", "epochs.before_commit:1", "epochs.recorded:1"] {
        assert!(!ended(&world, &folder, fault).await, "not passed: {fault}");
    }
    let last = offboarding::run(app, &folder).await.unwrap();
    assert!(last.is_complete() && (last.consents, last.ended, last.receipts) == (2, 0, 2), "{last:?}");

    let ends = world.bank.requests().split_off(told).into_iter().filter(|request| request.starts_with("DELETE "));
    let mut ends: Vec<String> = ends.collect();
    ends.sort_unstable();
    ends.dedup();
    assert_eq!(ends.len(), 2, "each bank consent was ended: {ends:?}");
    let keys = VerifierKey::read_all(&std::fs::read_to_string(folder.join("keys.txt")).unwrap()).unwrap();
    for consent in [one, two] {
        let bundle = std::fs::read_to_string(folder.join(format!("{consent}.json"))).unwrap();
        let report = evidence::verify(&bundle, &keys, None).unwrap();
        let [receipt] = <[_; 1]>::try_from(report.receipts()).unwrap();
        assert!(report.is_unreadable_everywhere(&receipt) && receipt.erased_rows["transaction"] > 0, "{report}");
        assert!(report.to_string().contains("confirmed the end of the consent"), "{report}");
    }
    assert_eq!(rows(&mut owner, other).await, theirs, "not a byte of the neighbour's");
    site.end().await;
    world.end().await;
}
