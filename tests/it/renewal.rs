//! Renewing a consent, against banks that do different things to the old authorisation: whatever they do, ids, rows and
//! history stay, and nobody hears of an end.

use domain::consent::{ExpiryReason, ReauthReason, RevokedBy, State};
use domain::grant;
use domain::ids::{ConsentId, GrantId, LineId};
use domain::records::Status;
use jiff::SignedDuration;
use sandbox::{Decision, Policy};
use serde_json::json;
use server::evidence_log;
use server::reconcile;
use server::services::logins::Arrival;
use server::services::{consents as consents_service, deletion, fetch, revocation};
use store::consents::Consent;
use store::{capsules, consents, deletions, events, grants, lines, raw_pages, renewals, transactions};
use tests::site::Site;
use tests::world::{BANK, CUSTOMER, Options, World};

use super::canary::Said;

/// Everything that must be the same after a renewal.
#[derive(PartialEq, Eq)]
struct Kept {
    lines: Vec<LineId>,
    /// Ids of every booked transaction, with the day they are listed under.
    rows: Vec<String>,
}

impl Kept {
    /// Whether everything is still there under its id; newer rows may have come.
    fn is_in(&self, later: &Self) -> bool {
        self.lines == later.lines && self.rows.iter().all(|row| later.rows.binary_search(row).is_ok())
    }
}

async fn consent(world: &World, id: ConsentId) -> Consent {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    consents::get(&mut tx, id).await.unwrap()
}

async fn kept(world: &World, id: ConsentId) -> Kept {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let filter = lines::Filter { consent: Some(id), ..lines::Filter::default() };
    let held = lines::held(&mut tx, world.product, filter).await.unwrap();
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let query = transactions::Query { consent: id, line: None, from: None, until: None, after, limit: 500 };
        let page = transactions::page(&mut tx, query).await.unwrap();
        let booked = page.rows.iter().filter(|row| row.status == Status::Booked);
        rows.extend(booked.map(|row| format!("{} {}", row.id, row.booking_date)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    rows.sort();
    Kept { lines: held.into_iter().map(|held| held.line.id).collect(), rows }
}

/// Event types that the product was told, in order.
async fn told(world: &World) -> Vec<String> {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    events::number(&mut tx).await.unwrap();
    let all = events::after(&mut tx, world.product, 0, 1000).await.unwrap();
    tx.commit().await.unwrap();
    all.into_iter().map(|(_, event)| event.kind).collect()
}

async fn grant_state(world: &World, id: GrantId) -> grant::State {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    grants::get(&mut tx, id).await.unwrap().state
}

async fn deletions_of(world: &World, id: ConsentId) -> usize {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    deletions::of_consent(&mut tx, id).await.unwrap().len()
}

async fn renewal_state(world: &World, id: ConsentId) -> Option<renewals::State> {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    renewals::of_consent(&mut tx, id).await.unwrap().map(|renewal| renewal.state)
}

async fn fetched(world: &World, id: ConsentId) -> fetch::Verdict {
    fetch::run(&world.app, world.about(id)).await.unwrap()
}

/// The continuity report of a consent's evidence: accounts kept, new, lost.
async fn continuity(world: &World, id: ConsentId) -> [usize; 3] {
    while evidence_log::sequence(&world.app, world.app.tenant.id).await.unwrap() > 0 {}
    let bundle = evidence_log::bundle(&world.app, world.about(id), None).await.unwrap().unwrap();
    let keys = evidence::VerifierKey::read_all(&server::verifier_key(&world.app).unwrap()).unwrap();
    let report = evidence::verify(&bundle, &keys, None).unwrap();
    let mut statements = report.lines.iter().filter_map(evidence::Line::statement);
    let body = statements.find(|statement| statement.kind == "consent.continuity").expect("a report").body;
    ["accounts_kept", "accounts_new", "accounts_lost"].map(|name| body[name].as_array().unwrap().len())
}

async fn connected(options: Options) -> (World, ConsentId, Kept) {
    let world = World::made(options, |_| {}).await;
    let id = world.connect(CUSTOMER).await;
    assert!(matches!(fetched(&world, id).await, fetch::Verdict::Next(_)));
    let before = kept(&world, id).await;
    assert!(before.lines.len() == 3 && before.rows.len() > 500);
    (world, id, before)
}

fn modes() -> [Options; 3] {
    let overlap: fn(&mut Policy) = |policy| policy.one_recurring_consent = false;
    let same: fn(&mut Policy) = |policy| policy.reauthorises = true;
    [
        Options::default(),
        Options { renewal: "overlap", habits: Some(overlap), ..Options::default() },
        Options { renewal: "same_id", habits: Some(same), ..Options::default() },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_keeps_ids_rows_and_history_at_every_kind_of_bank() {
    for options in modes() {
        let mode = options.renewal;
        let (world, id, before) = connected(options).await;
        let (old, clocks) = {
            let found = consent(&world, id).await;
            (found.grant.unwrap(), found.machine.clocks.unwrap())
        };
        world.clock.advance(SignedDuration::from_hours(24 * 80));
        world.authorise(id, CUSTOMER).await;

        let renewed = consent(&world, id).await;
        assert_eq!(renewed.machine.state, State::Active, "{mode}");
        assert!(renewed.machine.clocks.unwrap().sca_due > clocks.sca_due, "{mode}: the clock begins anew");
        assert!(before.is_in(&kept(&world, id).await), "{mode}: readable without a gap");
        assert!(matches!(fetched(&world, id).await, fetch::Verdict::Next(_)), "{mode}");
        assert!(before.is_in(&kept(&world, id).await), "{mode}: a row has lost its id");
        assert_eq!(continuity(&world, id).await, [3, 0, 0], "{mode}");
        assert_eq!(renewal_state(&world, id).await, None, "{mode}");

        let expected = match mode {
            "" => grant::State::Ended(grant::Ended::Superseded),
            "overlap" => grant::State::Ending,
            _ => grant::State::Granted,
        };
        assert_eq!(grant_state(&world, old).await, expected, "{mode}");
        if mode == "overlap" {
            let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
            let (capsule, _) = capsules::open(&mut tx, 10).await.unwrap().pop().unwrap();
            tx.commit().await.unwrap();
            revocation::run(&world.app, world.app.tenant.id, capsule).await.unwrap();
            assert_eq!(grant_state(&world, old).await, grant::State::Ended(grant::Ended::ByUs));
        }
        let told = told(&world).await;
        assert!(told.contains(&"consent.renewed".to_owned()), "{mode}: {told:?}");
        assert!(
            !told.iter().any(|kind| kind.starts_with("consent.expired") || kind.starts_with("deletion")),
            "{told:?}"
        );
        assert_eq!(deletions_of(&world, id).await, 0, "{mode}");
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_breaks_after_sca_ends_nothing_and_the_next_one_mends_it() {
    for options in modes() {
        let mode = options.renewal;
        let (world, id, before) = connected(options).await;
        world.clock.advance(SignedDuration::from_hours(24 * 80));
        let departure = world.depart(id).await;
        let parked = fetched(&world, id).await;
        let visit = world.bank.visit(departure.redirect.as_str(), CUSTOMER.0, CUSTOMER.1, &Decision::ApproveAll);
        let callback = visit.await.unwrap();
        // The bank has authorised anew, and ended the old authorisation if it does that; the tokens never arrive.
        world.bank.lose_answer_to("/token", "grant_type=authorization_code");
        let arrival = world.arrive(&callback, &departure.browser).await;
        assert!(matches!(arrival, Arrival::BankError(_)), "{mode}: {arrival:?}, parked {parked:?}");
        // The old one is in doubt where the bank ends it for a new one.
        let doubt = mode.is_empty().then_some(renewals::State::Broken);
        assert_eq!(renewal_state(&world, id).await, doubt, "{mode}");
        assert_eq!(consent(&world, id).await.machine.state, State::Active, "{mode}: the old one may still live");

        let mut verdict = fetched(&world, id).await;
        // One refused token proves nothing: it is asked again before the person is.
        for _ in 0..4 {
            if !matches!(verdict, fetch::Verdict::Again(_)) {
                break;
            }
            world.clock.advance(SignedDuration::from_mins(10));
            verdict = fetched(&world, id).await;
        }
        let state = consent(&world, id).await.machine.state;
        let expected = match mode {
            "overlap" => matches!(verdict, fetch::Verdict::Next(_)) && state == State::Active,
            _ => verdict == fetch::Verdict::Done && state == State::ReauthPending(ReauthReason::TokenLost),
        };
        assert!(expected, "{mode}: {verdict:?}, {state:?}");
        assert!(before.is_in(&kept(&world, id).await), "{mode}: data stay readable while the person is waited for");

        world.authorise(id, CUSTOMER).await;
        assert!(matches!(fetched(&world, id).await, fetch::Verdict::Next(_)), "{mode}");
        assert!(before.is_in(&kept(&world, id).await), "{mode}");
        let told = told(&world).await;
        assert!(told.contains(&"consent.renewed".to_owned()), "{mode}: {told:?}");
        assert_eq!(told.contains(&"connection.action_required".to_owned()), mode != "overlap", "{mode}: {told:?}");
        let ended = told.iter().any(|kind| kind.starts_with("consent.expired"));
        assert!(!ended && deletions_of(&world, id).await == 0, "{mode}: {told:?}");
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_backs_out_loses_nothing() {
    let (world, id, before) = connected(Options::default()).await;
    let old = consent(&world, id).await.grant;
    world.clock.advance(SignedDuration::from_hours(24 * 80));
    let departure = world.depart(id).await;
    let callback =
        world.bank.visit(departure.redirect.as_str(), CUSTOMER.0, CUSTOMER.1, &Decision::Deny).await.unwrap();
    assert!(matches!(world.arrive(&callback, &departure.browser).await, Arrival::Denied(_)));
    assert_eq!(renewal_state(&world, id).await, None);
    assert!(matches!(fetched(&world, id).await, fetch::Verdict::Next(_)), "the old authorisation lives");
    let after = consent(&world, id).await;
    assert_eq!((after.machine.state, after.grant), (State::Active, old));
    assert_eq!(kept(&world, id).await.lines, before.lines);

    // Nobody comes back at all: after its time the login is given up, and what it left at the bank is swept.
    world.depart(id).await;
    world.clock.advance(SignedDuration::from_hours(1));
    reconcile::look(&world.app).await.unwrap();
    assert_eq!(renewal_state(&world, id).await, Some(renewals::State::Broken), "the bank may have authorised it");
    assert!(matches!(fetched(&world, id).await, fetch::Verdict::Next(_)));
    assert_eq!(renewal_state(&world, id).await, None, "the old authorisation has proven that it lives");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_during_a_renewal_leaves_nothing_alive() {
    let (world, id, _) = connected(Options::default()).await;
    let departure = world.depart(id).await;
    let callback =
        world.bank.visit(departure.redirect.as_str(), CUSTOMER.0, CUSTOMER.1, &Decision::ApproveAll).await.unwrap();
    let tenant = world.app.tenant.id;
    let by = domain::consent::RevokedBy::Psu;
    server::services::consents::revoke(&world.app, tenant, id, by, "psu").await.unwrap();
    let arrival = world.arrive(&callback, &departure.browser).await;
    assert!(matches!(arrival, Arrival::Overtaken(_) | Arrival::CameTwice(_)), "{arrival:?}");
    assert_eq!(consent(&world, id).await.machine.state, State::Revoked(by));
    let mut tx = world.app.store.tenant_tx(tenant).await.unwrap();
    let open = capsules::open(&mut tx, 10).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(open.len(), 2, "both authorisations are ended at the bank");
    for (capsule, _) in open {
        assert_eq!(revocation::run(&world.app, tenant, capsule).await.unwrap(), fetch::Verdict::Done);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_consent_takes_the_place_of_the_one_that_it_covers() {
    let (world, old, before) = connected(Options::default()).await;
    let new = world.connect(CUSTOMER).await;
    assert_eq!(consent(&world, old).await.machine.state, State::Expired(ExpiryReason::Superseded));
    assert!(matches!(fetched(&world, new).await, fetch::Verdict::Next(_)));
    assert!(kept(&world, new).await == before, "accounts and rows keep their ids under the new consent");
    let told = told(&world).await;
    assert!(!told.contains(&"consent.expired".to_owned()), "{told:?}");
    world.end().await;
}

/// Numbers and references by which the bank's rows of a line can be told from any other.
async fn marks(world: &World, id: ConsentId, line: LineId) -> Vec<String> {
    let tenant = world.app.tenant.id;
    let mut tx = world.app.store.tenant_tx(tenant).await.unwrap();
    let filter = lines::Filter { line: Some(line), ..lines::Filter::default() };
    let held = lines::held(&mut tx, world.product, filter).await.unwrap().pop().unwrap();
    let key = world.app.vault.open_key(tenant, &held.line.key).unwrap();
    let query = transactions::Query { consent: id, line: Some(line), from: None, until: None, after: None, limit: 100 };
    let page = transactions::page(&mut tx, query).await.unwrap();
    page.rows.iter().filter_map(|row| row.open(tenant, &key).unwrap().bank_reference).collect()
}

/// An account that its holder took out, although the bank goes on listing it: no row, no raw page, no log line. On one
/// thread, so that the whole log is heard.
#[tokio::test]
async fn a_removed_account_stays_removed_through_fetches_and_renewals() {
    let said = Said::default();
    let _listening = said.listen();
    let (world, id, before) = connected(Options::default()).await;
    let tenant = world.app.tenant.id;
    let line = before.lines[0];
    let marks = marks(&world, id, line).await;
    assert!(marks.len() > 20);
    let removal = deletion::remove_account(&world.app, tenant, id, line, "psu").await.unwrap();
    deletion::run(&world.app, tenant, removal.id).await.unwrap();
    for renews in [false, true] {
        world.clock.advance(SignedDuration::from_hours(24 * 40));
        if renews {
            world.authorise(id, CUSTOMER).await;
        }
        assert!(matches!(fetched(&world, id).await, fetch::Verdict::Next(_)));
        assert!(kept(&world, id).await.lines == before.lines[1..]);
        let mut tx = world.app.store.tenant_tx(tenant).await.unwrap();
        let held = lines::held(&mut tx, world.product, lines::Filter::default()).await.unwrap();
        assert_eq!(held.len(), 2);
        for held in &held {
            let key = world.app.vault.open_key(tenant, &held.line.key).unwrap();
            for page in raw_pages::of_line(&mut tx, held.line.id, None, 1000).await.unwrap() {
                let plain = page.open(tenant, &key).unwrap();
                let text = String::from_utf8_lossy(&plain);
                assert!(!marks.iter().any(|mark| text.contains(mark)), "a raw page holds a row of the removed account");
            }
        }
        assert_eq!(transactions::extent(&mut tx, line).await.unwrap().rows, 0);
        assert!(raw_pages::of_line(&mut tx, line, None, 1000).await.unwrap().is_empty(), "a raw page of the account");
    }
    assert_eq!(deletions_of(&world, id).await, 1, "the removal, and nothing else");
    let log = String::from_utf8_lossy(&said.bytes()).into_owned();
    assert!(!log.is_empty() && !marks.iter().any(|mark| log.contains(mark)), "the log names the removed account");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_end_at_once_do_not_leave_the_bank_to_each_other() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let tenant = world.app.tenant.id;
    for round in 0..4 {
        let ask = async |clusters: &[&str]| {
            let body = json!({ "psu_ref": format!("person {round}"), "institution_id": BANK, "purposes": ["budgeting"],
                "data_clusters": clusters });
            let id = product.post("/v1/consents", &body).await.json()["id"].as_str().unwrap().parse().unwrap();
            world.authorise(id, CUSTOMER).await;
            id
        };
        // The second asks for less, so that it does not take the place of the first: both stand on the newer grant.
        let (first, second) = (ask(&["accounts", "balances", "transactions"]).await, ask(&["accounts"]).await);
        let grant = consent(&world, second).await.grant.unwrap();
        assert_eq!(consent(&world, first).await.grant, Some(grant));

        let end = |id| consents_service::revoke(&world.app, tenant, id, RevokedBy::Psu, "psu");
        let (one, two) = tokio::join!(end(first), end(second));
        assert!(one.is_ok() && two.is_ok());
        assert_eq!(grant_state(&world, grant).await, grant::State::Ending, "nobody would tell the bank");
    }
    site.end().await;
    world.end().await;
}
