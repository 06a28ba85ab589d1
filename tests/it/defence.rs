//! Banks that misbehave: every class of it is switched on for a while, and an account ends complete or with a reason that is
//! true; a bank that fails again and again is left alone, and everybody is told.

use domain::consent::State;
use domain::ids::ConsentId;
use jiff::{SignedDuration, Timestamp};
use sandbox::Misbehaviour;
use serde_json::{Value, json};
use server::services::fetch::{self, Verdict};
use store::{consents, lines, transactions};
use tests::site::{Caller, Site};
use tests::world::{BANK, CUSTOMER, World};

/// What a fetch comes to while the bank misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comes {
    /// To nothing worse than rows: the answer could be read.
    Whole,
    /// To another try, not before so many seconds.
    Later(i64),
    /// To the end of the run, with the accounts that are concerned marked.
    Marked,
}

const CASES: [(Misbehaviour, Comes); 14] = [
    (Misbehaviour::WebPage, Comes::Marked),
    (Misbehaviour::Empty, Comes::Marked),
    (Misbehaviour::WrongType, Comes::Whole),
    (Misbehaviour::ErrorInside, Comes::Later(60)),
    (Misbehaviour::Damaged, Comes::Marked),
    (Misbehaviour::OldEncoding, Comes::Whole),
    (Misbehaviour::Unavailable(120), Comes::Later(120)),
    (Misbehaviour::Broken, Comes::Later(60)),
    (Misbehaviour::SlowDown(300), Comes::Later(300)),
    (Misbehaviour::Unauthorised, Comes::Later(60)),
    (Misbehaviour::PeriodRefused, Comes::Marked),
    (Misbehaviour::SamePage, Comes::Marked),
    (Misbehaviour::EndlessPages, Comes::Marked),
    (Misbehaviour::ForeignLink, Comes::Marked),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_misbehaviour_ends_in_rows_or_in_a_true_reason_and_costs_nothing_afterwards() {
    let world = World::start().await;
    let consent = world.connect(CUSTOMER).await;
    assert!(matches!(run(&world, consent).await, Verdict::Next(_)));
    let whole = rows(&world, consent).await;
    for (how, comes) in CASES {
        world.bank.misbehave(how, "/transactions", 50);
        let before = (world.bank.requests().len(), domain::world::Clock::now(&*world.clock));
        let verdict = run(&world, consent).await;
        let asked = world.bank.requests().len() - before.0;
        assert!(asked < 20, "{how:?}: {asked} requests");
        let good = match (comes, verdict) {
            (Comes::Whole | Comes::Marked, Verdict::Next(_)) => true,
            (Comes::Later(seconds), Verdict::Again(at)) => at.duration_since(before.1).as_secs() >= seconds,
            _ => false,
        };
        assert!(good, "{how:?}: {verdict:?}");
        assert_eq!(rows(&world, consent).await, whole, "{how:?} cost or doubled rows");
        // Nothing that a bank says in this way ends a consent.
        assert_eq!(state(&world, consent).await, State::Active, "{how:?}");
        world.bank.behave();
        world.clock.advance(SignedDuration::from_mins(20));
        let verdict = present(&world, consent).await;
        assert!(matches!(verdict, Verdict::Next(_)), "after {how:?}: {verdict:?}");
        assert_eq!(rows(&world, consent).await, whole, "after {how:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_fails_again_and_again_is_left_alone_and_comes_back() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = world.connect(CUSTOMER).await;
    assert!(matches!(run(&world, consent).await, Verdict::Next(_)));
    assert_eq!(health(&product).await["status"], "up");

    // The list of accounts fails five times: for a person who is there, and for nobody, which the bank counts.
    world.bank.misbehave(Misbehaviour::Broken, "/v1/accounts", 5);
    for minutes in [0, 0, 20, 0, 0] {
        world.clock.advance(SignedDuration::from_mins(minutes));
        assert!(matches!(run(&world, consent).await, Verdict::Again(_)));
    }
    let told = health(&product).await;
    assert_eq!(
        (&told["status"], &told["incidents"][0]["cause"]),
        (&json!("down"), &json!("bank.unavailable")),
        "{told}"
    );

    // Left alone: no request goes out until the rest is over.
    let before = world.bank.requests().len();
    let Verdict::Again(until) = run(&world, consent).await else { panic!("the bank is not left alone") };
    let asked: Vec<_> = world.bank.requests().split_off(before);
    assert!(!asked.iter().any(|request| request.ends_with("/v1/accounts")), "{asked:?}");
    let rest = until.duration_since(now(&world)).as_secs();
    assert!((20..=45).contains(&rest), "{rest}");

    // Then one call is let through; it is well, and so is everything.
    world.clock.advance(SignedDuration::from_secs(rest + 1));
    assert!(matches!(run(&world, consent).await, Verdict::Next(_)));
    let told = health(&product).await;
    assert!(told["incidents"][0]["closed_at"].is_string(), "{told}");
    assert_ne!(told["status"], "down", "{told}");
    let accounts = told["capabilities"].as_array().unwrap().iter().find(|one| one["capability"] == "accounts").unwrap();
    assert_eq!(accounts["errors"]["bank.unavailable"], 5, "{told}");
    site.end().await;
    world.end().await;
}

async fn health(product: &Caller) -> Value {
    product.get(&format!("/v1/institutions/{BANK}/status")).await.json()
}

fn now(world: &World) -> Timestamp {
    domain::world::Clock::now(&*world.clock)
}

async fn run(world: &World, consent: ConsentId) -> Verdict {
    fetch::run(&world.app, world.about(consent)).await.unwrap()
}

/// A run for a person who is there: no count of the bank's stands in its way.
async fn present(world: &World, consent: ConsentId) -> Verdict {
    world.app.note_present(consent, tests::world::person());
    run(world, consent).await
}

async fn state(world: &World, id: ConsentId) -> State {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    consents::get(&mut tx, id).await.unwrap().machine.state
}

/// Rows of every account under a consent.
async fn rows(world: &World, consent: ConsentId) -> Vec<i64> {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let filter = lines::Filter { consent: Some(consent), ..lines::Filter::default() };
    let mut rows = Vec::new();
    for held in lines::held(&mut tx, world.product, filter).await.unwrap() {
        rows.push(transactions::extent(&mut tx, held.line.id).await.unwrap().rows);
    }
    rows
}
