//! Legal holds: four eyes, nobody reads, nothing goes, and what was owed meanwhile happens when the last one is lifted.

use domain::consent::{DataState, RevokedBy, State};
use domain::hold::{Event, Refused, State as HoldState};
use domain::ids::{DeletionId, LineId};
use http::Method;
use jiff::SignedDuration;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use server::config::Config;
use server::services::fetch::Verdict;
use server::services::holds::{self, Whom};
use server::services::{ServiceError, backup, consents as moves, deletion, events, fetch, restore, staff};
use server::{App, evidence_log, reconcile};
use store::backup::Target;
use store::deletions::State as Progress;
use store::staff::Staff;
use store::{api_keys, deletions, lines};
use tests::site::{Caller, Site, connected};
use tests::world::{CUSTOMER, World, stands};

async fn progress(app: &App, id: DeletionId) -> Progress {
    let mut tx = app.store.tenant_tx(app.tenant.id).await.unwrap();
    deletions::get(&mut tx, id).await.unwrap().state
}

/// Two people, known by the keys that were printed for them.
async fn two(app: &App) -> (Staff, Staff) {
    let mut known = Vec::new();
    for name in ["Ada", "Grace"] {
        let (id, key) = staff::add(app, name).await.unwrap();
        let member = staff::known(app, &key).await.unwrap();
        assert_eq!((member.id, member.name.as_str()), (id, name));
        known.push(member);
    }
    let second = known.pop().unwrap();
    (known.pop().unwrap(), second)
}

async fn told(world: &World, product: &Caller, kind: &str) -> Vec<Value> {
    events::number(&world.app, world.app.tenant.id).await.unwrap();
    let page = product.get("/v1/events?limit=500").await.json();
    page["data"].as_array().unwrap().iter().filter(|event| event["type"] == kind).cloned().collect()
}

/// Everything that is left of a deletion's way, as the queue would do it.
async fn erase(app: &App, id: DeletionId) {
    assert_eq!(deletion::run(app, app.tenant.id, id).await.unwrap(), Verdict::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_takes_four_eyes_keeps_everything_and_its_end_erases_what_was_owed() {
    let world = World::start().await;
    let app = &world.app;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product).await;
    let account = product.get("/v1/accounts").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    let rows = format!("/v1/accounts/{account}/transactions");
    let before = product.get(&rows).await.json()["data"].clone();
    let (ada, grace) = two(app).await;

    // Asked for, it does nothing; whoever asked cannot confirm.
    let whom = Whom::Person(world.product, "user-1".to_owned());
    let hold = holds::ask(app, &ada, &whom, "2026/17").await.unwrap();
    assert_eq!(hold.consents, [consent]);
    assert_eq!(product.get(&rows).await.json()["data"], before);
    let own = holds::act(app, &ada, hold.id, Event::Confirm, None).await;
    assert!(matches!(own, Err(ServiceError::HoldRefused(Refused::SameEyes))), "{own:?}");

    // Confirmed, nobody reads.
    let placed = holds::act(app, &grace, hold.id, Event::Confirm, None).await.unwrap();
    assert_eq!(placed.machine.state, HoldState::Placed);
    assert_eq!(stands(app, consent).await, (State::Active, DataState::Held));
    assert_eq!(product.get(&rows).await.status.as_u16(), 404);
    assert_eq!(product.get("/v1/accounts").await.json()["data"], json!([]));
    assert_eq!(told(&world, &product, "consent.suspended").await[0]["data"]["data_state"], "held");
    let calls = world.bank.requests().len();
    assert_eq!(fetch::run(app, world.about(consent)).await.unwrap(), Verdict::Done);
    assert_eq!(world.bank.requests().len(), calls, "nor does anybody fetch");

    // Neither time, nor the person's own restriction, nor one account taken out changes what is kept.
    product.send(Method::PUT, "/v1/psus/user-1/restriction", &[], "".into()).await;
    assert_eq!(stands(app, consent).await.1, DataState::HeldRestricted);
    product.delete("/v1/psus/user-1/restriction").await;
    assert_eq!(stands(app, consent).await.1, DataState::Held);
    assert_eq!(product.delete(&format!("/v1/consents/{consent}/accounts/{account}")).await.status.as_u16(), 409);
    world.clock.advance(SignedDuration::from_hours(24 * 120));
    reconcile::look(app).await.unwrap();

    // Whoever leaves is heard: the bank is told, the erasure is blocked and says so.
    let erasure = product.delete(&format!("/v1/consents/{consent}")).await.json()["erasure"].clone();
    let erasure: DeletionId = erasure.as_str().unwrap().parse().unwrap();
    assert!(matches!(stands(app, consent).await, (State::Revoked(RevokedBy::Product), DataState::Blocked)));
    assert_eq!(told(&world, &product, "deletion.blocked").await[0]["data"]["because"], "legal_hold");
    erase(app, erasure).await;
    assert_eq!(progress(app, erasure).await, Progress::Blocked, "running it does nothing");
    assert_eq!(product.get(&format!("/v1/evidence/deletions/{erasure}/receipt")).await.status.as_u16(), 404);
    world.clock.advance(SignedDuration::from_hours(24 * 30));
    reconcile::look(app).await.unwrap();
    let mut tx = app.store.tenant_tx(app.tenant.id).await.unwrap();
    assert_eq!(lines::granted(&mut tx, consent).await.unwrap().len(), 3, "the accounts and their keys are there");
    drop(tx);

    // It ends the same way, and in that moment the erasure runs.
    assert!(holds::act(app, &ada, hold.id, Event::Confirm, None).await.is_err(), "nobody has asked for its end");
    holds::act(app, &grace, hold.id, Event::AskLift, None).await.unwrap();
    assert!(holds::act(app, &grace, hold.id, Event::Confirm, None).await.is_err());
    assert_eq!(progress(app, erasure).await, Progress::Blocked, "still");
    holds::act(app, &ada, hold.id, Event::Confirm, None).await.unwrap();
    assert_eq!(progress(app, erasure).await, Progress::Stopped);
    erase(app, erasure).await;
    assert_eq!(stands(app, consent).await.1, DataState::Erased);

    let bundle = product.get(&format!("/v1/evidence/consents/{consent}")).await.text();
    let keys = evidence::VerifierKey::read_all(&server::verifier_key(app).unwrap()).unwrap();
    let report = evidence::verify(&bundle, &keys, None).unwrap();
    let receipt = report.receipts()[0].clone();
    assert!(receipt.blocked_until.is_some_and(|until| receipt.stopped_at < until), "{receipt:?}");
    assert_eq!(receipt.accounts.len(), 3);
    let kinds: Vec<String> = report.lines.iter().filter_map(|line| Some(line.statement()?.kind.clone())).collect();
    for kind in
        ["hold.asked", "hold.placed", "deletion.blocked", "hold.lift_asked", "hold.lifted", "deletion.unblocked"]
    {
        assert!(kinds.iter().any(|known| known == kind), "{kind} in {kinds:?}");
    }
    assert!(!bundle.contains("Grace") && bundle.contains(&grace.id.to_string()), "people are named by their id alone");
    assert!(report.to_html().unwrap().contains("Kept by a legal hold until"));
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_of_several_holds_gives_the_data_back_and_a_late_one_is_refused() {
    let world = World::start().await;
    let app = &world.app;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product).await;
    let account = product.get("/v1/accounts").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    let rows = format!("/v1/accounts/{account}/transactions");
    let before = product.get(&rows).await.json()["data"].clone();
    let (ada, grace) = two(app).await;
    let whom = Whom::Consent(consent);
    let mut placed = Vec::new();
    for matter in ["2026/17", "2026/18"] {
        let hold = holds::ask(app, &ada, &whom, matter).await.unwrap();
        placed.push(holds::act(app, &grace, hold.id, Event::Confirm, None).await.unwrap().id);
    }
    let dropped = holds::ask(app, &ada, &whom, "2026/19").await.unwrap();
    let dropped = holds::act(app, &ada, dropped.id, Event::TakeBack, None).await.unwrap();
    assert_eq!(dropped.machine.state, HoldState::TakenBack, "whoever asked may think again");

    for (hold, after) in placed.into_iter().zip([DataState::Held, DataState::Present]) {
        holds::act(app, &ada, hold, Event::AskLift, None).await.unwrap();
        holds::act(app, &grace, hold, Event::Confirm, None).await.unwrap();
        assert_eq!(stands(app, consent).await, (State::Active, after));
    }
    assert_eq!(product.get(&rows).await.json()["data"], before, "all is as it was");
    assert_eq!(holds::list(app).await.unwrap().len(), 3);

    // An erasure that has begun is not stopped half-way.
    let asked = holds::ask(app, &ada, &whom, "2026/20").await.unwrap();
    product.delete(&format!("/v1/consents/{consent}")).await;
    assert!(holds::act(app, &grace, asked.id, Event::Confirm, None).await.is_err());
    assert!(holds::ask(app, &ada, &whom, "2026/21").await.is_err());
    // Nor does somebody count who does not work here any more.
    let (gone, key) = staff::add(app, "Joan").await.unwrap();
    staff::withdraw(app, gone).await.unwrap();
    let shown = staff::known(app, &key).await;
    assert!(shown.is_err_and(|error| !format!("{error:#}").contains(key.expose_secret())));
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hold_in_the_backup_covered_and_keys_that_it_knows_stay_withdrawn_after_the_restore() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product).await;
    let listed = product.get("/v1/accounts").await.json()["data"].clone();
    let accounts = listed.as_array().unwrap().len();
    let account: LineId = listed[0]["id"].as_str().unwrap().parse().unwrap();
    let (ada, grace) = two(&world.app).await;
    let hold = holds::ask(&world.app, &ada, &Whom::Consent(consent), "2026/17").await.unwrap();
    holds::act(&world.app, &grace, hold.id, Event::Confirm, None).await.unwrap();
    let folder = world.dir.path().join("backup");
    backup::make(&world.app, &Target::private(&world.private), &folder).await.unwrap();

    // The hold ends, and then an account is taken out; somebody leaves, and a product withdraws its key.
    holds::act(&world.app, &ada, hold.id, Event::AskLift, None).await.unwrap();
    holds::act(&world.app, &grace, hold.id, Event::Confirm, None).await.unwrap();
    let removed = product.delete(&format!("/v1/consents/{consent}/accounts/{account}")).await;
    assert!(removed.status.is_success(), "{}", removed.status);
    staff::withdraw(&world.app, grace.id).await.unwrap();
    let key = product.get("/v1/keys").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(product.delete(&format!("/v1/keys/{key}")).await.status.as_u16(), 204);
    while evidence_log::sequence(&world.app, world.app.tenant.id).await.unwrap() > 0 {}
    site.end().await;

    let file = world.config_file();
    let World { dir, clock, bank, app, private, product, .. } = world;
    app.store.close().await;
    private.stop().await.unwrap();
    std::fs::remove_dir_all(dir.path().join("postgres")).unwrap();
    let config = || Config::load(Some(&file)).unwrap();
    backup::put_back(&config(), &folder, false).await.unwrap();
    let (database, app) = server::open(config(), clock.clone()).await.unwrap();
    assert_eq!(stands(&app, consent).await, (State::Active, DataState::Held), "so the backup says");
    let done = restore::catch_up(&app, app.tenant.id).await.unwrap();
    assert_eq!((done.accounts, done.erasures), (1, 1), "{done:?}");

    assert_eq!(stands(&app, consent).await, (State::Active, DataState::Present));
    let mut tx = app.store.tenant_tx(app.tenant.id).await.unwrap();
    let left = lines::granted(&mut tx, consent).await.unwrap();
    assert_eq!(left.len(), accounts - 1);
    let filter = lines::Filter { consent: Some(consent), ..lines::Filter::default() };
    let served = lines::held(&mut tx, product, filter).await.unwrap();
    assert!(served.len() == accounts - 1 && served.iter().all(|held| held.line.id != account));
    assert_eq!(api_keys::of_product(&mut tx, product).await.unwrap(), []);
    drop(tx);
    let working = staff::list(&app).await.unwrap().into_iter().filter(|member| member.withdrawn_at.is_none());
    assert_eq!(working.map(|member| member.id).collect::<Vec<_>>(), [ada.id], "one pair of eyes is left");
    drop(app);
    database.close().await.unwrap();
    bank.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_is_younger_than_the_backup_stands_after_the_restore() {
    let world = World::start().await;
    let consent = world.connect(CUSTOMER).await;
    fetch::run(&world.app, world.about(consent)).await.unwrap();
    let (ada, grace) = two(&world.app).await;
    let folder = world.dir.path().join("backup");
    backup::make(&world.app, &Target::private(&world.private), &folder).await.unwrap();

    let hold = holds::ask(&world.app, &ada, &Whom::Consent(consent), "2026/17").await.unwrap();
    holds::act(&world.app, &grace, hold.id, Event::Confirm, None).await.unwrap();
    moves::revoke(&world.app, world.app.tenant.id, consent, RevokedBy::Psu, "psu").await.unwrap();
    while evidence_log::sequence(&world.app, world.app.tenant.id).await.unwrap() > 0 {}

    let file = world.config_file();
    let World { dir, clock, bank, app, private, .. } = world;
    app.store.close().await;
    private.stop().await.unwrap();
    std::fs::remove_dir_all(dir.path().join("postgres")).unwrap();
    let config = || Config::load(Some(&file)).unwrap();
    backup::put_back(&config(), &folder, false).await.unwrap();
    let (database, app) = server::open(config(), clock.clone()).await.unwrap();
    restore::catch_up(&app, app.tenant.id).await.unwrap();

    assert_eq!(stands(&app, consent).await, (State::Revoked(RevokedBy::Psu), DataState::Blocked));
    let [stood] = <[_; 1]>::try_from(holds::list(&app).await.unwrap()).unwrap();
    assert_eq!((stood.id, stood.machine.state, &stood.consents[..]), (hold.id, HoldState::Placed, &[consent][..]));
    holds::act(&app, &ada, hold.id, Event::AskLift, None).await.unwrap();
    holds::act(&app, &grace, hold.id, Event::Confirm, None).await.unwrap();
    let mut tx = app.store.tenant_tx(app.tenant.id).await.unwrap();
    let owed = deletions::unfinished(&mut tx).await.unwrap();
    drop(tx);
    assert_eq!(owed.len(), 1);
    erase(&app, owed[0]).await;
    assert_eq!(stands(&app, consent).await.1, DataState::Erased);
    drop(app);
    database.close().await.unwrap();
    bank.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_of_a_person_has_what_they_gave_until_somebody_confirmed_it() {
    let world = World::start().await;
    let app = &world.app;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let first = connected(&world, &product).await;
    let (ada, grace) = two(app).await;
    let whom = Whom::Person(world.product, "user-1".to_owned());
    let hold = holds::ask(app, &ada, &whom, "2026/18").await.unwrap();
    assert_eq!(hold.consents, [first]);
    world.clock.advance(SignedDuration::from_mins(1));
    let second = connected(&world, &product).await;
    let placed = holds::act(app, &grace, hold.id, Event::Confirm, None).await.unwrap();
    assert_eq!(placed.consents, [second, first]);
    assert_eq!(holds::list(app).await.unwrap()[0].consents, [second, first]);
    for consent in [first, second] {
        assert_eq!(stands(app, consent).await.1, DataState::Held);
    }
    site.end().await;
    world.end().await;
}
