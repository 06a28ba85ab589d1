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
