//! A disk is lost and a week-old backup comes back: nobody who left since lives again, nothing erased is served, the rest is
//! readable.

use std::path::Path;

use domain::consent::{DataState, RevokedBy, State};
use domain::ids::{ConsentId, LineId, ProductId, TenantId};
use jiff::SignedDuration;
use sandbox::BankData;
use server::config::Config;
use server::services::restore::{self, CaughtUp};
use server::services::{ServiceError, backup, consents as moves, deletion, fetch, revocation};
use server::{App, evidence_log, reconcile};
use store::backup::Target;
use store::data_map::{self, Subject};
use store::lines::Filter;
use store::transactions::{self, Query};
use store::{capsules, deletions, lines};
use tests::world::{CUSTOMER, NEIGHBOUR, World, stands};

const WEEK_DAYS: usize = 7;

/// The latest rows of every account, no more than the drill needs.
fn few(data: &mut BankData) {
    for account in data.psus.iter_mut().flat_map(|psu| &mut psu.accounts) {
        account.rows.drain(..account.rows.len().saturating_sub(40));
    }
}

/// The accounts of a consent and what each opened row says.
async fn served(app: &App, product: ProductId, consent: ConsentId) -> Vec<(LineId, Vec<String>)> {
    let tenant = app.tenant.id;
    let mut tx = app.store.tenant_tx(tenant).await.unwrap();
    let mut accounts = Vec::new();
    for held in lines::held(&mut tx, product, Filter { consent: Some(consent), ..Filter::default() }).await.unwrap() {
        let key = app.vault.open_key(tenant, &held.line.key).unwrap();
        let query = Query { consent, line: Some(held.line.id), from: None, until: None, after: None, limit: 10_000 };
        let rows = transactions::page(&mut tx, query).await.unwrap().rows;
        let rows = rows.iter().map(|row| format!("{:?}", row.open(tenant, &key).unwrap()));
        accounts.push((held.line.id, rows.collect()));
    }
    accounts
}

async fn erase_all(app: &App) {
    let tenant = app.tenant.id;
    let mut tx = app.store.tenant_tx(tenant).await.unwrap();
    let unfinished = deletions::unfinished(&mut tx).await.unwrap();
    drop(tx);
    for id in unfinished {
        deletion::run(app, tenant, id).await.unwrap();
    }
}

async fn tell_banks(app: &App) {
    let tenant = app.tenant.id;
    let mut tx = app.store.tenant_tx(tenant).await.unwrap();
    let waiting = capsules::open(&mut tx, 100).await.unwrap();
    drop(tx);
    for (capsule, _) in waiting {
        assert_eq!(revocation::run(app, tenant, capsule).await.unwrap(), fetch::Verdict::Done);
    }
}

async fn place(app: &App) -> usize {
    let mut placed = 0;
    loop {
        match evidence_log::sequence(app, app.tenant.id).await.unwrap() {
            0 => return placed,
            some => placed += some,
        }
    }
}

async fn left(app: &App, tenant: TenantId, lines: impl Iterator<Item = LineId>) -> i64 {
    let mut tx = app.store.tenant_tx(tenant).await.unwrap();
    let mut rows = 0;
    for line in lines {
        rows += data_map::scan(&mut tx, Subject::Line(line)).await.unwrap().values().sum::<i64>();
    }
    rows
}

async fn newest_checkpoint(app: &App) -> store::evidence_log::Checkpoint {
    let mut tx = app.store.tenant_tx(app.tenant.id).await.unwrap();
    store::evidence_log::checkpoint(&mut tx, None).await.unwrap().unwrap()
}

fn refusal<T>(outcome: Result<T, impl Into<anyhow::Error>>) -> String {
    outcome.map(drop).map_err(|error| format!("{:#}", error.into())).unwrap_err()
}

fn settings(file: &Path) -> Config {
    Config::load(Some(file)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_week_old_backup_brings_nobody_back_who_left() {
    let world = World::with(few).await;
    let leaver = world.connect(CUSTOMER).await;
    let stayer = world.connect(NEIGHBOUR).await;
    for consent in [leaver, stayer] {
        let verdict = fetch::run(&world.app, world.about(consent)).await.unwrap();
        assert!(matches!(verdict, fetch::Verdict::Next(_)), "{verdict:?}");
    }
    let leavers = served(&world.app, world.product, leaver).await;
    let stayers = served(&world.app, world.product, stayer).await;
    assert_eq!([&leavers, &stayers].map(Vec::len), [3, 2]);
    let folder = world.dir.path().join("backup");
    let manifest = backup::make(&world.app, &Target::private(&world.private), &folder).await.unwrap();
    let again = refusal(backup::make(&world.app, &Target::private(&world.private), &folder).await);
    assert!(again.contains("holds a backup already"), "{again}");

    // A week in which one leaves, one takes an account out, one comes, and epochs pass.
    moves::revoke(&world.app, world.app.tenant.id, leaver, RevokedBy::Psu, "psu").await.unwrap();
    deletion::remove_account(&world.app, world.app.tenant.id, stayer, stayers[0].0, "psu").await.unwrap();
    erase_all(&world.app).await;
    tell_banks(&world.app).await;
    for _ in 0..WEEK_DAYS {
        world.clock.advance(SignedDuration::from_hours(24));
        reconcile::look(&world.app).await.unwrap();
    }
    let late = world.ask("somebody who came late").await;
    world.authorise(late, CUSTOMER).await;
    assert!(place(&world.app).await > 0);
    let outside = newest_checkpoint(&world.app).await;

    // The disk is lost; keys and the copy of the log were elsewhere.
    let file = world.config_file();
    let World { dir, clock, bank, app, private, product, .. } = world;
    app.store.close().await;
    private.stop().await.unwrap();
    std::fs::remove_dir_all(dir.path().join("postgres")).unwrap();
    let put_back = backup::put_back(&settings(&file), &folder, false).await.unwrap();
    assert_eq!(put_back, manifest);
    let in_use = refusal(backup::put_back(&settings(&file), &folder, false).await);
    assert!(in_use.contains("--replace"), "{in_use}");

    // Behind the checkpoint that was seen outside it neither serves nor writes a second history.
    let (database, app) = server::open(settings(&file), clock.clone()).await.unwrap();
    assert_eq!(stands(&app, leaver).await, (State::Active, DataState::Present), "so the backup says");
    assert!(refusal(server::start(app.clone()).await).contains("restored from a backup"));
    assert!(refusal(evidence_log::sequence(&app, app.tenant.id).await).contains("restored from a backup"));

    let done = restore::catch_up(&app, app.tenant.id).await.unwrap();
    assert!(done.entries > 20, "{done:?}");
    assert_eq!((done.consents, done.accounts, done.erasures), (1, 1, 2), "{done:?}");
    assert_eq!(restore::catch_up(&app, app.tenant.id).await.unwrap(), CaughtUp::default(), "once is enough");

    assert_eq!(stands(&app, leaver).await, (State::Revoked(RevokedBy::Psu), DataState::Erased));
    assert_eq!(served(&app, product, leaver).await, []);
    let gone = leavers.iter().map(|(line, _)| *line).chain([stayers[0].0]);
    assert_eq!(left(&app, app.tenant.id, gone).await, 0);
    assert_eq!(served(&app, product, stayer).await, stayers[1..], "the neighbour's other account is as it was");
    assert_eq!(stands(&app, stayer).await, (State::Active, DataState::Present));

    // The bank is told once more, and what the log says is one history with what was seen outside.
    tell_banks(&app).await;
    place(&app).await;
    let about = evidence_log::About { tenant: app.tenant.id, consent: leaver };
    let since = u64::try_from(outside.size).unwrap();
    let bundle = evidence_log::bundle(&app, about, Some(since)).await.unwrap().unwrap();
    let keys = evidence::VerifierKey::read_all(&server::verifier_key(&app).unwrap()).unwrap();
    let report = evidence::verify(&bundle, &keys, Some(&outside.note)).unwrap();
    assert_eq!(report.receipts().len(), 2, "one of the week, one of the restore: {report}");
    assert_eq!(report.to_string().matches("confirmed the end of the consent").count(), 2, "{report}");

    let running = server::start(app.clone()).await.unwrap();
    running.shutdown().await;
    a_log_of_another_installation_is_refused(&app, dir.path(), &outside.note).await;
    drop(app);
    database.close().await.unwrap();
    bank.shutdown().await;
}

/// A copy that ends with the checkpoint of a longer log than it holds, or with another root, is no copy of this log.
async fn a_log_of_another_installation_is_refused(app: &App, dir: &Path, note: &str) {
    let copy = dir.join("evidence").join(format!("{}.jsonl", app.tenant.id));
    let whole = std::fs::read_to_string(&copy).unwrap();
    let mut lines: Vec<&str> = whole.lines().collect();
    let last = lines.pop().unwrap();
    let size = note.lines().nth(1).unwrap();
    let forged = last.replacen(&format!("\\n{}\\n", newest_size(last)), &format!("\\n{size}\\n"), 1);
    assert_ne!(forged, last);
    std::fs::write(&copy, format!("{}\n{forged}\n", lines.join("\n"))).unwrap();
    let refused: Result<_, ServiceError> = evidence_log::check_continuity(app, app.tenant.id).await;
    assert!(refusal(refused).contains("is not the one"));
    // Cut off in the middle of a line, as by a crash: what stands before is good, and the rest is written again.
    std::fs::write(&copy, &whole[..whole.len() - 40]).unwrap();
    place(app).await;
    let mended = std::fs::read_to_string(&copy).unwrap();
    let size = newest_checkpoint(app).await.size;
    assert_eq!(newest_size(mended.lines().last().unwrap()), size.to_string());
    let indexes =
        mended.lines().filter_map(|line| line.strip_prefix("{\"index\":")?.split(',').next()?.parse::<i64>().ok());
    assert!(indexes.eq(0..size), "every entry once, in order");
}

/// The size in a checkpoint line of the copy.
fn newest_size(line: &str) -> &str {
    line.split("\\n").nth(1).unwrap()
}
