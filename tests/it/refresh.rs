//! Refresh tokens that may work once: renewed by one at a time, never lost where the bank lets us ask again, and told lost
//! where it does not.

use domain::consent::{ReauthReason, State};
use domain::ids::ConsentId;
use jiff::SignedDuration;
use sandbox::{Policy, Said};
use server::evidence_log;
use server::services::ServiceError;
use server::services::fetch::{self, Verdict};
use store::{StoreError, consents, grants};
use tests::node::{Fault, Node};
use tests::world::{CUSTOMER, Options, World};

/// A bank that gives a new refresh token with every use, and takes the old one for ten minutes more.
const GRACE: fn(&mut Policy) = |policy| policy.refresh_rotation = Some(600);
/// The same without any grace: the old token, shown again, ends everything.
const NO_GRACE: fn(&mut Policy) = |policy| policy.refresh_rotation = Some(0);

async fn connected(habits: fn(&mut Policy)) -> (World, ConsentId) {
    let world = World::made(Options { habits: Some(habits), ..Options::default() }, |_| {}).await;
    let consent = world.connect(CUSTOMER).await;
    token_ends(&world);
    (world, consent)
}

/// Access tokens live for five minutes.
fn token_ends(world: &World) {
    world.clock.advance(SignedDuration::from_mins(6));
}

async fn fetched(world: &World, consent: ConsentId) -> Verdict {
    fetch::run(&world.app, world.about(consent)).await.unwrap()
}

/// How often the bank wrote a code down.
fn noted(world: &World, code: &str) -> usize {
    world.bank.log().iter().filter(|line| line.code == code).count()
}

/// The consent, the grant, and whether an intent is open.
async fn stand(world: &World, consent: ConsentId) -> (State, &'static str, bool) {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let consent = consents::get(&mut tx, consent).await.unwrap();
    let grant = grants::get(&mut tx, consent.grant.unwrap()).await.unwrap();
    (consent.machine.state, grant.state.word(), grant.intent.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_refresh_token_is_taken_over_each_time() {
    let (world, consent) = connected(NO_GRACE).await;
    for times in 1..=3 {
        assert!(matches!(fetched(&world, consent).await, Verdict::Next(_)));
        assert_eq!(noted(&world, "token.refreshed"), times);
        token_ends(&world);
    }
    assert_eq!(noted(&world, "refresh_token.replayed"), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for_again_with_the_same_token() {
    let (world, consent) = connected(GRACE).await;
    world.bank.lose_answer("/token");
    assert!(matches!(fetched(&world, consent).await, Verdict::Next(_)), "the second answer came");
    assert_eq!(noted(&world, "token.refreshed"), 2, "the bank was asked twice");
    assert_eq!(stand(&world, consent).await, (State::Active, "granted", false));

    // Both answers lost: the doubt is kept, and the next try settles it.
    token_ends(&world);
    for _ in 0..2 {
        world.bank.lose_answer("/token");
    }
    let Verdict::Again(at) = fetched(&world, consent).await else { panic!("there was no answer") };
    assert_eq!(stand(&world, consent).await, (State::Active, "granted", true));
    assert!(at > world.moment().now && at < world.moment().now + SignedDuration::from_mins(1), "soon: {at}");
    world.clock.advance(SignedDuration::from_mins(3));
    assert!(matches!(fetched(&world, consent).await, Verdict::Next(_)));
    assert_eq!(stand(&world, consent).await, (State::Active, "granted", false));
    token_ends(&world);
    assert!(matches!(fetched(&world, consent).await, Verdict::Next(_)), "and what was stored is the newest");
    assert_eq!(noted(&world, "refresh_token.replayed"), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_a_bank_takes_away_is_told_lost() {
    let (world, consent) = connected(NO_GRACE).await;
    world.bank.lose_answer("/token");
    assert_eq!(fetched(&world, consent).await, Verdict::Done);
    assert_eq!(noted(&world, "refresh_token.replayed"), 1);
    let (state, grant, intent) = stand(&world, consent).await;
    assert!(matches!(state, State::ReauthPending(ReauthReason::TokenLost)), "{state:?}");
    assert_eq!((grant, intent), ("suspended", false));
    let lost = evidence(&world, consent, "grant.refresh_refused").await;
    assert_eq!(lost.len(), 1);
    assert_eq!((&lost[0]["error"], &lost[0]["after_lost_answer"]), (&"invalid_grant".into(), &true.into()));
    world.end().await;
}

/// The bodies of the evidence of one kind.
async fn evidence(world: &World, consent: ConsentId, kind: &str) -> Vec<serde_json::Value> {
    while evidence_log::sequence(&world.app, world.app.tenant.id).await.unwrap() > 0 {}
    let bundle = evidence_log::bundle(&world.app, world.about(consent), None).await.unwrap().unwrap();
    let keys = evidence::VerifierKey::read_all(&server::verifier_key(&world.app).unwrap()).unwrap();
    let report = evidence::verify(&bundle, &keys, None).unwrap();
    let statements = report.lines.iter().filter_map(evidence::Line::statement);
    statements.filter(|statement| statement.kind == kind).map(|statement| statement.body).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_need_a_token_renew_it_once() {
    let (world, consent) = connected(NO_GRACE).await;
    // Rows that two of them write at once may deadlock in the database, and an account be there already; a worker would try
    // again, and so do they.
    let one = async || loop {
        match fetch::run(&world.app, world.about(consent)).await {
            Err(ServiceError::Store(StoreError::Raced | StoreError::Exists { .. })) => {}
            verdict => break verdict.unwrap(),
        }
    };
    let (first, second, third) = tokio::join!(one(), one(), one());
    let ended = [first, second, third];
    assert!(ended.iter().any(|verdict| matches!(verdict, Verdict::Next(_))), "{ended:?}");
    assert!(ended.iter().all(|verdict| !matches!(verdict, Verdict::Done)), "nobody lost the grant: {ended:?}");
    assert_eq!((noted(&world, "token.refreshed"), noted(&world, "refresh_token.replayed")), (1, 0));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_with_the_answer_in_hand_loses_nothing() {
    let world = World::made(Options { habits: Some(GRACE), ..Options::default() }, |_| {}).await;
    // So long ago that the access token has ended; the node has the machine's time.
    world.clock.advance(-SignedDuration::from_mins(6));
    let consent = world.connect(CUSTOMER).await;
    token_ends(&world);
    let died = Node::start(env!("CARGO_BIN_EXE_node"), &world, Fault::Dies("fetch.refreshed", 1)).ended().await;
    assert!(!died.status.success(), "{}", died.log);
    assert_eq!((noted(&world, "token.refreshed"), stand(&world, consent).await.2), (1, true));

    // Somebody else waits while the dead one might still come back, and then asks the bank again.
    assert!(matches!(fetched(&world, consent).await, Verdict::Again(_)));
    assert_eq!(noted(&world, "token.refreshed"), 1);
    world.clock.advance(SignedDuration::from_mins(3));
    assert!(matches!(fetched(&world, consent).await, Verdict::Next(_)));
    assert_eq!((noted(&world, "token.refreshed"), noted(&world, "refresh_token.replayed")), (2, 0));
    assert_eq!(stand(&world, consent).await, (State::Active, "granted", false));
    world.end().await;
}

/// An answer that we refuse may still have used up the refresh token: the one that came with it is the grant's from then on.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_answer_does_not_lose_the_grant() {
    let (world, consent) = connected(NO_GRACE).await;
    world.bank.misstate(Said::TokenResponse, "token_type", "DPoP".into());
    for times in 1..=2 {
        assert!(matches!(fetched(&world, consent).await, Verdict::Again(_)), "the tokens are not used");
        assert_eq!(noted(&world, "token.refreshed"), times);
        assert_eq!(stand(&world, consent).await, (State::Authorized, "granted", false));
    }
    world.bank.be_honest();
    assert!(matches!(fetched(&world, consent).await, Verdict::Next(_)), "and the next answer is good");
    assert_eq!(noted(&world, "refresh_token.replayed"), 0);
    let refused = evidence(&world, consent, "grant.refresh_refused").await;
    assert_eq!(refused.iter().map(|body| &body["error"]).collect::<Vec<_>>(), ["token.token_type.mismatch"; 2]);
    world.end().await;
}
