//! Banks that misbehave: every class of it is switched on for a while, and an account ends complete or with a reason that is
//! true; a bank that fails again and again is left alone, and everybody is told.

use domain::consent::State;
use domain::ids::{ConsentId, RegistrationId};
use jiff::{SignedDuration, Timestamp};
use sandbox::{Counting, Misbehaviour, Per};
use serde_json::{Value, json};
use server::services::fetch::{self, Verdict};
use server::tokens;
use store::bank_health::Service;
use store::{bank_shapes, consents, lines, transactions};
use tests::places;
use tests::site::{Caller, Site};
use tests::world::{BANK, CUSTOMER, NEIGHBOUR, Options, REGISTRATION, World};

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

const CASES: [(Misbehaviour, Comes); 16] = [
    (Misbehaviour::WebPage, Comes::Marked),
    (Misbehaviour::Empty, Comes::Marked),
    (Misbehaviour::WrongType, Comes::Whole),
    (Misbehaviour::ErrorInside, Comes::Later(60)),
    (Misbehaviour::Damaged, Comes::Marked),
    (Misbehaviour::OtherNames, Comes::Marked),
    (Misbehaviour::OldEncoding, Comes::Whole),
    (Misbehaviour::Unavailable(120), Comes::Later(120)),
    (Misbehaviour::Broken, Comes::Later(60)),
    (Misbehaviour::SlowDown(300), Comes::Later(300)),
    (Misbehaviour::Unauthorised, Comes::Later(60)),
    (Misbehaviour::PeriodRefused, Comes::Marked),
    (Misbehaviour::NotOffered, Comes::Marked),
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
    assert!((20..=51).contains(&rest), "{rest}");

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

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_says_slow_down_is_left_alone_by_everybody_but_who_is_there() {
    let world = World::start().await;
    let (one, other) = (world.connect(CUSTOMER).await, world.connect(NEIGHBOUR).await);
    world.clock.advance(SignedDuration::from_mins(20));
    world.bank.count(Some(Counting { per: Per::Client, calls: 3, seconds: 3600, tells: true }));
    let Verdict::Again(until) = run(&world, one).await else { panic!("the bank has not counted") };
    assert!(until > now(&world));
    let before = reads(&world);
    let Verdict::Again(_) = run(&world, other).await else { panic!("the bank is not left alone") };
    assert_eq!((reads(&world), world.bank.refusals().len()), (before, 1), "the bank was asked again");
    assert!(matches!(present(&world, other).await, Verdict::Next(_)), "a person waits for no schedule");
    // Then everybody is read again.
    world.clock.advance(until.duration_since(now(&world)) + SignedDuration::from_secs(1));
    world.bank.count(None);
    assert!(matches!(run(&world, one).await, Verdict::Next(_)));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bank_counts_otherwise_than_its_profile_says_one_customer_finds_out_for_all() {
    let options = Options { habits: Some(|policy| policy.reads_per_day = 2), ..Options::default() };
    let world = World::made(options, |_| {}).await;
    let (one, other) = (world.connect(CUSTOMER).await, world.connect(NEIGHBOUR).await);
    world.clock.advance(SignedDuration::from_mins(20));
    for consent in [one, other] {
        for _ in 0..2 {
            assert!(matches!(run(&world, consent).await, Verdict::Next(_)));
        }
        let Verdict::Again(until) = run(&world, consent).await else { panic!("a third read of the day") };
        let berlin = until.to_zoned(jiff::tz::TimeZone::get("Europe/Berlin").unwrap());
        assert_eq!((berlin.hour(), berlin.minute()), (0, 0), "not before the bank's next day");
    }
    let exceeded = world.bank.log().iter().filter(|line| line.code == "consent.frequency.exceeded").count();
    assert_eq!(exceeded, 1, "the second customer need not run into it");
    world.clock.advance(SignedDuration::from_hours(24));
    assert!(matches!(run(&world, other).await, Verdict::Next(_)), "a new day, new reads");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_shorter_than_the_profile_says_is_found_step_by_step_and_then_known() {
    let options = Options { habits: Some(|policy| policy.history_days = 60), ..Options::default() };
    let world = World::made(options, |_| {}).await;
    let consent = world.connect(CUSTOMER).await;
    // The long history right after the sign-in is over, and the profile says 90 days.
    world.clock.advance(SignedDuration::from_mins(61));
    assert!(matches!(run(&world, consent).await, Verdict::Next(_)));
    let today = now(&world).to_zoned(jiff::tz::TimeZone::get("Europe/Berlin").unwrap()).date();
    let asked = world.bank.calls().into_iter().filter_map(|call| call.from);
    let days: Vec<_> = asked.map(|from| today.since(from).unwrap().get_days() + 1).collect();
    assert_eq!(days, [90, 89, 60, 60, 60], "the first account finds out for the others");
    assert!(rows(&world, consent).await.iter().all(|rows| *rows > 0));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_scope_lacks_costs_no_other() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = world.connect(CUSTOMER).await;
    world.bank.misbehave(Misbehaviour::WebPage, "/balances", 50);
    assert!(matches!(run(&world, consent).await, Verdict::Next(_)));
    assert_eq!(state(&world, consent).await, State::Active);
    assert!(rows(&world, consent).await.iter().all(|rows| *rows > 0));
    let told = async || product.get(&format!("/v1/accounts?consent_id={consent}")).await.json();
    let listed = told().await;
    for account in listed["data"].as_array().unwrap() {
        assert_eq!(account["freshness"]["stale_because"], "bank.contract_broken", "{listed}");
        assert!(account["freshness"]["as_of"].is_string(), "{listed}");
    }
    world.bank.behave();
    assert!(matches!(present(&world, consent).await, Verdict::Next(_)));
    let listed = told().await;
    assert!(
        listed["data"].as_array().unwrap().iter().all(|one| one["freshness"]["stale_because"].is_null()),
        "{listed}"
    );
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_pending_rows_that_is_not_offered_costs_no_booked_row() {
    let options = Options { place: Some(places::POLAND), ..Options::default() };
    let world = World::made(options, |_| {}).await;
    let consent = world.connect(CUSTOMER).await;
    world.bank.misbehave(Misbehaviour::NotOffered, "/getTransactionsPending", 50);
    assert!(matches!(run(&world, consent).await, Verdict::Next(_)));
    assert_eq!(state(&world, consent).await, State::Active);
    assert!(rows(&world, consent).await.iter().all(|rows| *rows > 0));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_another_form_are_kept_apart_and_everybody_is_told() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = world.connect(CUSTOMER).await;
    assert!(matches!(run(&world, consent).await, Verdict::Next(_)));
    let whole = rows(&world, consent).await;
    assert_eq!(health(&product).await["incidents"], json!([]));

    world.bank.misbehave(Misbehaviour::OtherNames, "/transactions", 50);
    assert!(matches!(present(&world, consent).await, Verdict::Next(_)));
    assert_eq!(rows(&world, consent).await, whole, "a row that cannot be read takes none away");
    let told = health(&product).await;
    let incident = &told["incidents"][0];
    assert_eq!(
        (&incident["capability"], &incident["cause"]),
        (&json!("rows"), &json!("bank.rows_unreadable")),
        "{told}"
    );
    assert!(incident["closed_at"].is_null(), "{told}");
    let listed = product.get(&format!("/v1/accounts?consent_id={consent}")).await.json();
    assert_eq!(listed["data"][0]["freshness"]["stale_because"], "bank.rows_unreadable", "{listed}");
    // The new name is known now, and was not before.
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let service = Service { registration: RegistrationId::new(REGISTRATION).unwrap(), capability: "rows" };
    let asked = ["transactionAmount.amount=text", "transactionAmountV2.amountV2=text", "never.seen=text"]
        .map(|member| tokens::hash(member.as_bytes()).to_vec());
    let news = bank_shapes::seen(&mut tx, &service, &asked, now(&world)).await.unwrap();
    assert_eq!(news.members, 1, "the last one alone");
    drop(tx);

    // Longer than what is asked for again each time: nothing of it is lost.
    world.clock.advance(SignedDuration::from_hours(24 * 20));
    let until = |listed: &Value| listed["data"][0]["freshness"]["complete_until"].as_str().unwrap().to_owned();
    assert!(matches!(present(&world, consent).await, Verdict::Next(_)));
    let later = product.get(&format!("/v1/accounts?consent_id={consent}")).await.json();
    assert_eq!(until(&later), until(&listed), "what cannot be read is not complete");
    world.bank.behave();
    assert!(matches!(present(&world, consent).await, Verdict::Next(_)));
    let listed = product.get(&format!("/v1/accounts?consent_id={consent}")).await.json();
    assert!(until(&listed) > until(&later), "{listed}");
    assert!(listed["data"][0]["freshness"].get("stale_because").is_none(), "{listed}");
    let told = health(&product).await;
    assert!(told["incidents"][0]["closed_at"].is_string(), "{told}");
    site.end().await;
    world.end().await;
}

/// Requests for the list of accounts so far.
fn reads(world: &World) -> usize {
    world.bank.requests().iter().filter(|request| request.ends_with("/v1/accounts")).count()
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
