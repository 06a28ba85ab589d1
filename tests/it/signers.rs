//! Consents that need more than one signature at the bank: the first signer is told, the others are waited for, nobody is
//! taken for somebody who said no.

use domain::consent::{DataState, FailureReason, ReauthReason, RevokedBy, State};
use domain::grant;
use domain::ids::{ConsentId, GrantId};
use jiff::SignedDuration;
use sandbox::{Decision, Policy};
use server::reconcile;
use server::services::logins::Arrival;
use server::services::{consents as moves, fetch, revocation, status};
use store::{capsules, consents, events, grants};
use tests::world::{CUSTOMER, Options, World};

/// A world whose bank wants several signatures, and a consent that has the first.
async fn signed_once() -> (World, ConsentId) {
    let habits: fn(&mut Policy) = |policy| policy.several_signers = true;
    let world = World::made(Options { habits: Some(habits), ..Options::default() }, |_| {}).await;
    let id = world.ask("a company").await;
    let departure = world.depart(id).await;
    let visit = world.bank.visit(departure.redirect.as_str(), CUSTOMER.0, CUSTOMER.1, &Decision::ApproveAll);
    let arrival = world.arrive(&visit.await.unwrap(), &departure.browser).await;
    assert!(matches!(arrival, Arrival::AwaitsSigners(_)), "{arrival:?}");
    (world, id)
}

async fn states(world: &World, id: ConsentId) -> (State, grant::State) {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let consent = consents::get(&mut tx, id).await.unwrap();
    (consent.machine.state, grants::get(&mut tx, consent.grant.unwrap()).await.unwrap().state)
}

async fn told(world: &World) -> Vec<String> {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    events::number(&mut tx).await.unwrap();
    let all = events::after(&mut tx, world.product, 0, 100).await.unwrap();
    tx.commit().await.unwrap();
    all.into_iter().map(|(_, event)| event.kind).collect()
}

async fn look(world: &World, id: ConsentId) -> fetch::Verdict {
    status::run(&world.app, world.app.tenant.id, id).await.unwrap()
}

/// Account calls that the bank has seen.
fn reads(world: &World) -> usize {
    world.bank.requests().iter().filter(|request| request.starts_with("GET /v1/accounts")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_others_are_waited_for_and_then_the_data_come() {
    let (world, id) = signed_once().await;
    assert_eq!(states(&world, id).await, (State::Initiated, grant::State::Partial));
    assert_eq!(told(&world).await, ["consent.partially_authorised"]);
    // Neither the end of the login nor a day or two of silence ends it.
    for hours in [1, 30] {
        world.clock.advance(SignedDuration::from_hours(hours));
        reconcile::look(&world.app).await.unwrap();
        assert!(matches!(look(&world, id).await, fetch::Verdict::Again(_)));
        assert_eq!(fetch::run(&world.app, world.about(id)).await.unwrap(), fetch::Verdict::Done);
    }
    assert_eq!((states(&world, id).await.0, reads(&world)), (State::Initiated, 0));

    assert_eq!(world.bank.sign_the_rest(), 1);
    assert_eq!(look(&world, id).await, fetch::Verdict::Done);
    assert_eq!(states(&world, id).await, (State::Authorized, grant::State::Granted));
    assert!(matches!(fetch::run(&world.app, world.about(id)).await.unwrap(), fetch::Verdict::Next(_)));
    assert_eq!(states(&world, id).await.0, State::Active);
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let consent = consents::get(&mut tx, id).await.unwrap();
    drop(tx);
    let since = consent.authorized_at.unwrap().duration_since(consent.sca_at.unwrap());
    assert!(since > SignedDuration::from_hours(30), "the clock runs since the person whom we saw authenticated");
    assert!(told(&world).await.contains(&"consent.granted".to_owned()));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_who_refuses_and_signers_who_never_come_end_it() {
    let (world, id) = signed_once().await;
    assert_eq!(world.bank.refuse_the_rest(), 1);
    assert_eq!(look(&world, id).await, fetch::Verdict::Done);
    let failed = State::Failed(FailureReason::RejectedByBank);
    assert_eq!(states(&world, id).await, (failed, grant::State::Ended(grant::Ended::Rejected)));
    assert_eq!(told(&world).await, ["consent.partially_authorised", "consent.rejected"]);
    world.end().await;

    let (world, id) = signed_once().await;
    world.clock.advance(SignedDuration::from_hours(14 * 24));
    reconcile::look(&world.app).await.unwrap();
    assert_eq!(states(&world, id).await, (State::Failed(FailureReason::TimedOut), grant::State::Ending));
    assert_eq!(look(&world, id).await, fetch::Verdict::Done);
    swept(&world, id).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_while_the_others_are_waited_for_ends_it_at_the_bank_too() {
    let (world, id) = signed_once().await;
    let tenant = world.app.tenant.id;
    let after = moves::revoke(&world.app, tenant, id, RevokedBy::Product, "product").await.unwrap();
    assert_eq!((after.machine.state, after.machine.data), (State::Revoked(RevokedBy::Product), DataState::Erasing));
    world.bank.sign_the_rest();
    assert_eq!(look(&world, id).await, fetch::Verdict::Done);
    assert_eq!((states(&world, id).await.0, reads(&world)), (State::Revoked(RevokedBy::Product), 0));
    swept(&world, id).await;
    world.end().await;
}

/// A consent that everybody has signed, with its data, whose person is about to renew it and has signed the renewal.
async fn renewal_signed_once() -> (World, ConsentId, GrantId) {
    let (world, id) = signed_once().await;
    assert_eq!(world.bank.sign_the_rest(), 1);
    assert_eq!(look(&world, id).await, fetch::Verdict::Done);
    assert!(matches!(fetch::run(&world.app, world.about(id)).await.unwrap(), fetch::Verdict::Next(_)));
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let old = consents::get(&mut tx, id).await.unwrap().grant.unwrap();
    tx.commit().await.unwrap();
    world.clock.advance(SignedDuration::from_hours(24 * 80));
    let departure = world.depart(id).await;
    let visit = world.bank.visit(departure.redirect.as_str(), CUSTOMER.0, CUSTOMER.1, &Decision::ApproveAll);
    let arrival = world.arrive(&visit.await.unwrap(), &departure.browser).await;
    assert!(matches!(arrival, Arrival::AwaitsSigners(_)), "{arrival:?}");
    // A day or two later: the old authorisation carries it, and nobody is asked to hurry.
    world.clock.advance(SignedDuration::from_hours(30));
    reconcile::look(&world.app).await.unwrap();
    assert_eq!(states(&world, id).await, (State::Active, grant::State::Granted));
    assert!(matches!(look(&world, id).await, fetch::Verdict::Again(_)));
    assert!(matches!(fetch::run(&world.app, world.about(id)).await.unwrap(), fetch::Verdict::Next(_)), "no gap");
    (world, id, old)
}

async fn stands_on(world: &World, id: ConsentId) -> GrantId {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    consents::get(&mut tx, id).await.unwrap().grant.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_waits_for_the_others_without_a_gap() {
    let (world, id, old) = renewal_signed_once().await;
    assert_eq!(stands_on(&world, id).await, old);
    // The last one signs, and the bank ends the old authorisation: that is no end of the consent.
    assert_eq!(world.bank.sign_the_rest(), 1);
    world.clock.advance(SignedDuration::from_hours(24));
    assert!(matches!(fetch::run(&world.app, world.about(id)).await.unwrap(), fetch::Verdict::Again(_)));
    assert_eq!(states(&world, id).await.0, State::Active);
    assert_eq!(look(&world, id).await, fetch::Verdict::Done);
    assert_eq!(states(&world, id).await, (State::Active, grant::State::Granted));
    assert_ne!(stands_on(&world, id).await, old);
    assert!(matches!(fetch::run(&world.app, world.about(id)).await.unwrap(), fetch::Verdict::Next(_)));
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    assert_eq!(grants::get(&mut tx, old).await.unwrap().state, grant::State::Ended(grant::Ended::Superseded));
    drop(tx);
    let told = told(&world).await;
    assert_eq!(told.iter().filter(|kind| *kind == "consent.partially_authorised").count(), 2);
    assert!(told.contains(&"consent.renewed".to_owned()));
    assert!(!told.iter().any(|kind| kind == "consent.expired" || kind == "connection.action_required"), "{told:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_another_signer_refuses_leaves_everything_as_it_was() {
    let (world, id, old) = renewal_signed_once().await;
    assert_eq!(world.bank.refuse_the_rest(), 1);
    assert_eq!(look(&world, id).await, fetch::Verdict::Done);
    assert_eq!((stands_on(&world, id).await, states(&world, id).await), (old, (State::Active, grant::State::Granted)));
    world.clock.advance(SignedDuration::from_hours(24));
    assert!(matches!(fetch::run(&world.app, world.about(id)).await.unwrap(), fetch::Verdict::Next(_)));
    world.end().await;
}

/// The last one signs when the old authentication has run out: nothing is read in between, and nobody has to begin again.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_is_signed_after_the_old_period_sets_it_going_again() {
    let (world, id, old) = renewal_signed_once().await;
    world.clock.advance(SignedDuration::from_hours(24 * 10));
    reconcile::look(&world.app).await.unwrap();
    assert_eq!(states(&world, id).await.0, State::ReauthPending(ReauthReason::ScaExpired), "ninety days are over");
    let before = reads(&world);
    assert_eq!(fetch::run(&world.app, world.about(id)).await.unwrap(), fetch::Verdict::Done);
    assert!(matches!(look(&world, id).await, fetch::Verdict::Again(_)), "the others are waited for");
    assert_eq!((reads(&world), stands_on(&world, id).await), (before, old));

    assert_eq!(world.bank.sign_the_rest(), 1);
    assert_eq!(look(&world, id).await, fetch::Verdict::Done);
    assert_ne!(stands_on(&world, id).await, old);
    assert!(matches!(fetch::run(&world.app, world.about(id)).await.unwrap(), fetch::Verdict::Next(_)));
    assert_eq!(states(&world, id).await, (State::Active, grant::State::Granted));
    assert!(reads(&world) > before);
    // What they signed is as old as the first signature: the clock runs since the person whom we saw authenticated.
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let clocks = consents::get(&mut tx, id).await.unwrap().machine.clocks.unwrap();
    drop(tx);
    let left = clocks.sca_due.unwrap().duration_since(world.moment().now).as_hours();
    assert!((24 * 70..24 * 80).contains(&left), "{left} hours");
    world.end().await;
}

/// The bank is told, and agrees.
async fn swept(world: &World, id: ConsentId) {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let open = capsules::open(&mut tx, 10).await.unwrap();
    tx.commit().await.unwrap();
    let [(capsule, _)] = open[..] else { panic!("{} capsules", open.len()) };
    assert_eq!(revocation::run(&world.app, world.app.tenant.id, capsule).await.unwrap(), fetch::Verdict::Done);
    assert_eq!(states(world, id).await.1, grant::State::Ended(grant::Ended::ByUs));
    assert!(world.bank.requests().iter().any(|request| request.starts_with("DELETE /v1/consents/")));
}
