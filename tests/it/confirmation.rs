//! Banks that give no tokens: the person confirms on a page that a link of the consent leads to, or in the bank's app, and the
//! bank's word about the consent says what came of it.

use bank_adapters::profile::Completion;
use domain::consent::{FailureReason, RevokedBy, State};
use domain::grant;
use domain::ids::ConsentId;
use jiff::SignedDuration;
use sandbox::{Decision, Policy, Sca};
use server::reconcile;
use server::services::logins::Arrival;
use server::services::{consents as moves, fetch, revocation, status};
use store::{capsules, consents, grants};
use tests::browser::Browser;
use tests::world::{BANK, CUSTOMER, Options, World};

use super::pages::{BACK, Town, look};

fn in_the_app() -> Options {
    Options { completion: Some((Completion::Decoupled, Sca::Decoupled)), ..Options::default() }
}

fn on_a_page() -> Options {
    Options { completion: Some((Completion::StatusPoll, Sca::Redirect)), ..Options::default() }
}

async fn states(world: &World, id: ConsentId) -> (State, grant::State) {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let consent = consents::get(&mut tx, id).await.unwrap();
    (consent.machine.state, grants::get(&mut tx, consent.grant.unwrap()).await.unwrap().state)
}

async fn ask_bank(world: &World, id: ConsentId) -> fetch::Verdict {
    status::run(&world.app, world.app.tenant.id, id).await.unwrap()
}

/// How often the bank was asked for a status.
fn asked(world: &World) -> usize {
    world.bank.requests().iter().filter(|request| request.ends_with("/status")).count()
}

/// Reads, and nothing but reads of data with neither token nor person is seen by the bank.
async fn reads(world: &World, id: ConsentId) {
    assert!(matches!(fetch::run(&world.app, world.about(id)).await.unwrap(), fetch::Verdict::Next(_)));
    assert_eq!(states(world, id).await, (State::Active, grant::State::Granted));
    let refused: Vec<_> = world.bank.log().into_iter().filter(|line| line.refused).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let asked_server =
        world.bank.requests().into_iter().find(|one| one.contains("/token") || one.contains("well-known"));
    assert_eq!(asked_server, None, "there is no authorisation server");
}

/// The product withdraws, and the consent is ended at the bank.
async fn ends(world: &World, id: ConsentId) {
    let tenant = world.app.tenant.id;
    moves::revoke(&world.app, tenant, id, RevokedBy::Product, "product").await.unwrap();
    told(world, 1).await;
    assert_eq!(states(world, id).await.1, grant::State::Ended(grant::Ended::ByUs));
    assert!(world.bank.log().iter().any(|line| line.code == "consent.terminated"));
}

/// The bank is told of so many ends.
async fn told(world: &World, ends: usize) {
    let tenant = world.app.tenant.id;
    let mut tx = world.app.store.tenant_tx(tenant).await.unwrap();
    let open = capsules::open(&mut tx, 10).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(open.len(), ends);
    for (capsule, _) in open {
        assert_eq!(revocation::run(&world.app, tenant, capsule).await.unwrap(), fetch::Verdict::Done);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_confirmed_in_the_app_is_seen_and_read_and_ended_without_any_token() {
    let world = World::made(in_the_app(), |_| {}).await;
    let id = world.ask("mara").await;
    let departure = world.depart(id).await;
    assert_eq!(departure.redirect.as_str(), "http://localhost:8080/link/done", "to our own page, which waits");
    assert_eq!(states(&world, id).await, (State::Initiated, grant::State::Pending));
    let fetch::Verdict::Again(soon) = ask_bank(&world, id).await else { panic!("nobody has confirmed") };
    let pause = soon.duration_since(world.moment().now).as_secs();
    assert!((0..=15).contains(&pause), "{pause} seconds");
    assert_eq!(fetch::run(&world.app, world.about(id)).await.unwrap(), fetch::Verdict::Done, "nothing is read");

    assert_eq!(world.bank.confirm_in_app(CUSTOMER.0, &Decision::ApproveAll), 1);
    assert_eq!(ask_bank(&world, id).await, fetch::Verdict::Done);
    assert_eq!(states(&world, id).await, (State::Authorized, grant::State::Granted));
    reads(&world, id).await;

    // The renewal is confirmed in the same way, and the old authorisation carries the consent until then.
    world.clock.advance(SignedDuration::from_hours(24 * 80));
    world.depart(id).await;
    assert!(matches!(ask_bank(&world, id).await, fetch::Verdict::Again(_)));
    assert_eq!(states(&world, id).await, (State::Active, grant::State::Granted));
    assert_eq!(world.bank.confirm_in_app(CUSTOMER.0, &Decision::ApproveAll), 1);
    assert_eq!(ask_bank(&world, id).await, fetch::Verdict::Done);
    reads(&world, id).await;
    ends(&world, id).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_in_the_app_and_a_person_who_never_looks_at_it_end_it() {
    let world = World::made(in_the_app(), |_| {}).await;
    let id = world.ask("mara").await;
    world.depart(id).await;
    assert_eq!(world.bank.confirm_in_app(CUSTOMER.0, &Decision::Deny), 1);
    assert_eq!(ask_bank(&world, id).await, fetch::Verdict::Done);
    let rejected = (State::Failed(FailureReason::RejectedByBank), grant::State::Ended(grant::Ended::Rejected));
    assert_eq!(states(&world, id).await, rejected);

    let id = world.ask("mara").await;
    world.depart(id).await;
    let before = asked(&world);
    loop {
        let fetch::Verdict::Again(at) = ask_bank(&world, id).await else { break };
        world.clock.advance(at.duration_since(world.moment().now));
        reconcile::look(&world.app).await.unwrap();
    }
    assert_eq!(states(&world, id).await.0, State::Failed(FailureReason::TimedOut));
    let looks = asked(&world) - before;
    assert!((40..=100).contains(&looks), "asked {looks} times");
    told(&world, 1).await;
    // Whoever confirms now is too late: the bank has been told.
    assert_eq!(world.bank.confirm_in_app(CUSTOMER.0, &Decision::ApproveAll), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_confirms_in_the_app_may_need_others_who_do_so_too() {
    let habits: fn(&mut Policy) = |policy| policy.several_signers = true;
    let world = World::made(Options { habits: Some(habits), ..in_the_app() }, |_| {}).await;
    let id = world.ask("mara").await;
    world.depart(id).await;
    world.bank.confirm_in_app(CUSTOMER.0, &Decision::ApproveAll);
    ask_bank(&world, id).await;
    assert_eq!(states(&world, id).await, (State::Initiated, grant::State::Partial));
    world.clock.advance(SignedDuration::from_hours(30));
    reconcile::look(&world.app).await.unwrap();
    assert_eq!(world.bank.sign_the_rest(), 1);
    assert_eq!(ask_bank(&world, id).await, fetch::Verdict::Done);
    reads(&world, id).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_from_the_banks_page_proves_nothing_and_the_status_does() {
    let world = World::made(on_a_page(), |_| {}).await;
    let id = world.ask("mara").await;
    let departure = world.depart(id).await;
    // A return that the bank had no part in: its state is right, and the bank says that nobody has confirmed.
    let state = world.bank.visit(departure.redirect.as_str(), CUSTOMER.0, CUSTOMER.1, &Decision::Deny).await.unwrap();
    let arrival = world.arrive(&state, &departure.browser).await;
    assert!(matches!(arrival, Arrival::Denied(_)), "{arrival:?}");
    assert_eq!(states(&world, id).await.0, State::Failed(FailureReason::RejectedByBank));

    let id = world.ask("mara").await;
    world.authorise(id, CUSTOMER).await;
    reads(&world, id).await;
    ends(&world, id).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_confirms_and_never_comes_back_is_connected_all_the_same() {
    let world = World::made(on_a_page(), |_| {}).await;
    let id = world.ask("mara").await;
    let departure = world.depart(id).await;
    assert!(matches!(ask_bank(&world, id).await, fetch::Verdict::Again(_)));
    let visit = world.bank.visit(departure.redirect.as_str(), CUSTOMER.0, CUSTOMER.1, &Decision::ApproveAll);
    let callback = visit.await.unwrap();
    assert_eq!(ask_bank(&world, id).await, fetch::Verdict::Done);
    reads(&world, id).await;
    // The return comes late and changes nothing; from another browser it ends nothing either.
    let arrival = world.arrive(&callback, &departure.browser).await;
    assert!(matches!(arrival, Arrival::Connected(_)), "{arrival:?}");
    assert_eq!(states(&world, id).await, (State::Active, grant::State::Granted));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_waits_without_a_script_and_goes_on_by_itself() {
    let town = Town::with(in_the_app()).await;
    let browser = Browser::start().await;
    let (_, link) = town.ask_for("in the app", Some(BANK), BACK).await;
    browser.open(&link).await;
    browser.press("button.primary").await;
    browser.see_heading("What you share from Musterbank").await;
    look(&browser, "60-login-name").await;
    browser.press("input[name=acknowledged]").await;
    browser.fill("input[name=login_name]", CUSTOMER.0).await;
    browser.press(".decide button").await;
    browser.see_heading("Confirm at Musterbank").await;
    look(&browser, "61-confirm-in-the-app").await;
    assert_eq!(town.world.bank.confirm_in_app(CUSTOMER.0, &Decision::ApproveAll), 1);
    browser.see_heading("Musterbank is connected").await;
    town.end().await;
}
