//! From consent to data to deletion.

use domain::consent::{DataState, RevokedBy, State};
use domain::ids::ConsentId;
use server::services::{consents as service, deletion, fetch, revocation};
use store::{capsules, consents, deletions, lines, transactions};
use tests::world::{CUSTOMER, World};

async fn state(world: &World, id: ConsentId) -> (State, DataState) {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let consent = consents::get(&mut tx, id).await.unwrap();
    (consent.machine.state, consent.machine.data)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_connects_data_arrive_and_go_again_with_a_receipt() {
    let world = World::start().await;
    let consent = world.connect(CUSTOMER).await;
    assert_eq!(state(&world, consent).await, (State::Authorized, DataState::Present));

    let verdict = fetch::run(&world.app, world.about(consent)).await.unwrap();
    assert!(matches!(verdict, fetch::Verdict::Next(_)), "{verdict:?}");
    assert_eq!(state(&world, consent).await, (State::Active, DataState::Present));
    let tenant = world.app.tenant.id;
    let mut tx = world.app.store.tenant_tx(tenant).await.unwrap();
    let filter = lines::Filter { consent: Some(consent), ..lines::Filter::default() };
    let held = lines::held(&mut tx, world.product, filter).await.unwrap();
    assert_eq!(held.len(), 3);
    let mut rows = 0;
    for line in &held {
        rows += transactions::extent(&mut tx, line.line.id).await.unwrap().rows;
    }
    assert!(rows > 500, "{rows}");
    tx.commit().await.unwrap();

    service::revoke(&world.app, tenant, consent, RevokedBy::Psu, "psu").await.unwrap();
    let mut tx = world.app.store.tenant_tx(tenant).await.unwrap();
    assert!(lines::held(&mut tx, world.product, filter).await.unwrap().is_empty());
    let erasure = deletions::of_consent(&mut tx, consent).await.unwrap().pop().unwrap();
    let capsule = capsules::open(&mut tx, 10).await.unwrap().pop().unwrap().0;
    tx.commit().await.unwrap();
    deletion::run(&world.app, tenant, erasure.id).await.unwrap();
    assert_eq!(revocation::run(&world.app, tenant, capsule).await.unwrap(), fetch::Verdict::Done);
    assert_eq!(state(&world, consent).await, (State::Revoked(RevokedBy::Psu), DataState::Erased));

    while server::evidence_log::sequence(&world.app, tenant).await.unwrap() > 0 {}
    let bundle = server::evidence_log::bundle(&world.app, world.about(consent), None).await.unwrap().unwrap();
    let keys = evidence::VerifierKey::read_all(&server::verifier_key(&world.app).unwrap()).unwrap();
    let report = evidence::verify(&bundle, &keys, None).unwrap();
    assert!(report.to_string().contains("asserted by the operator"), "{report}");
    world.end().await;
}

/// Rows of every line that a consent holds.
async fn rows(world: &World, consent: ConsentId) -> Vec<i64> {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let filter = lines::Filter { consent: Some(consent), ..lines::Filter::default() };
    let mut rows = Vec::new();
    for held in lines::held(&mut tx, world.product, filter).await.unwrap() {
        rows.push(transactions::extent(&mut tx, held.line.id).await.unwrap().rows);
    }
    rows
}

async fn deletion_of(world: &World, consent: ConsentId) -> deletions::Deletion {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    deletions::of_consent(&mut tx, consent).await.unwrap().pop().unwrap()
}

/// The receipt of a deletion as its signed note says it.
fn receipt(deletion: &deletions::Deletion) -> evidence::Receipt {
    let note = String::from_utf8(deletion.receipt.clone().unwrap()).unwrap();
    let statement = evidence::Statement::read(note.lines().next().unwrap()).unwrap();
    statement.body::<evidence::Receipt>().unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_connects_again_while_the_old_data_go_gets_lines_of_their_own() {
    let world = World::start().await;
    let tenant = world.app.tenant.id;
    let old = world.connect(CUSTOMER).await;
    fetch::run(&world.app, world.about(old)).await.unwrap();
    let before = rows(&world, old).await;
    service::revoke(&world.app, tenant, old, RevokedBy::Psu, "psu").await.unwrap();

    let new = world.connect(CUSTOMER).await;
    fetch::run(&world.app, world.about(new)).await.unwrap();
    assert_eq!(rows(&world, new).await, before);
    deletion::run(&world.app, tenant, deletion_of(&world, old).await.id).await.unwrap();
    assert_eq!(rows(&world, new).await, before, "the erasure of the old took rows of the new");
    let receipt = receipt(&deletion_of(&world, old).await);
    assert_eq!((receipt.accounts.len(), receipt.kept_accounts.len()), (3, 0));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_names_the_accounts_that_another_consent_keeps() {
    let world = World::start().await;
    let tenant = world.app.tenant.id;
    let first = world.connect(CUSTOMER).await;
    fetch::run(&world.app, world.about(first)).await.unwrap();
    let second = world.connect(CUSTOMER).await;
    fetch::run(&world.app, world.about(second)).await.unwrap();
    let before = rows(&world, second).await;

    service::revoke(&world.app, tenant, first, RevokedBy::Product, "product").await.unwrap();
    deletion::run(&world.app, tenant, deletion_of(&world, first).await.id).await.unwrap();
    let receipt = receipt(&deletion_of(&world, first).await);
    assert_eq!((receipt.accounts.len(), receipt.kept_accounts.len()), (0, 3));
    assert_eq!(rows(&world, second).await, before);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_can_be_taken_out_of_a_living_consent_alone() {
    let world = World::start().await;
    let tenant = world.app.tenant.id;
    let consent = world.connect(CUSTOMER).await;
    fetch::run(&world.app, world.about(consent)).await.unwrap();
    let mut tx = world.app.store.tenant_tx(tenant).await.unwrap();
    let filter = lines::Filter { consent: Some(consent), ..lines::Filter::default() };
    let line = lines::held(&mut tx, world.product, filter).await.unwrap()[0].line.id;
    tx.commit().await.unwrap();

    let removal = deletion::remove_account(&world.app, tenant, consent, line, "psu").await.unwrap();
    let verdict = fetch::run(&world.app, world.about(consent)).await.unwrap();
    assert!(matches!(verdict, fetch::Verdict::Next(_)), "the other accounts are no longer fetched: {verdict:?}");
    assert_eq!(rows(&world, consent).await.len(), 2);
    deletion::run(&world.app, tenant, removal.id).await.unwrap();

    service::revoke(&world.app, tenant, consent, RevokedBy::Psu, "psu").await.unwrap();
    let refused = deletion::remove_account(&world.app, tenant, consent, line, "psu").await;
    assert!(refused.is_err(), "an account was taken out of a consent that is over");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_private_database_comes_back_after_it_was_killed() {
    let world = World::start().await;
    let config = server::config::Config::load(Some(&world.config_file())).unwrap();
    let database = server::database::Database::open(&config).await.unwrap();
    let pid = world.private.pid().unwrap();
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    let back = async {
        while world.private.pid().is_none_or(|now| now == pid) || database.store.ping().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), back).await.expect("the database stays away");
    database.close().await.unwrap();
    world.end().await;
}
