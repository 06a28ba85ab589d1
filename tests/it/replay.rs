//! Replay: kept raw answers read again, through a bank, the database and the interface for products.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use domain::consent::RevokedBy;
use domain::ids::ConsentId;
use jiff::SignedDuration;
use serde_json::Value;
use server::evidence_log;
use server::services::replay::{self, BankReport, Wanted};
use server::services::{consents as moves, fetch};
use store::raw_pages;
use tests::site::{Caller, Site};
use tests::world::{BANK, CUSTOMER, World};

const NODE: &str = env!("CARGO_BIN_EXE_node");
const DRY: Wanted<'static> = Wanted { bank: None, apply: false, examples: 0, values: false };
const APPLY: Wanted<'static> = Wanted { apply: true, ..DRY };

/// The bank's profile with other rules: money out counts as money in.
fn inverted(world: &World) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../bank_adapters/profiles/de/{BANK}.toml"));
    let plain = std::fs::read_to_string(source).unwrap();
    let changed = plain.replace("sign = \"signed\"", "sign = \"inverted\"");
    assert_ne!(plain, changed, "the profile tells the sign");
    let folder = world.dir.path().join("other-profiles");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{BANK}.toml")), changed).unwrap();
    folder
}

async fn replay(world: &World, profiles: Option<&Path>, wanted: Wanted<'_>) -> BankReport {
    let mut directory = world.app.directory.clone();
    if let Some(folder) = profiles {
        directory = directory.overlay(folder).unwrap();
    }
    let mut report = replay::run(&world.app, &directory, wanted, |_| {}).await.unwrap();
    report.banks.remove(BANK).unwrap_or_default()
}

/// Everything that a product reads of a consent, by id. Two looks at the same bytes are equal.
async fn everything(caller: &Caller, consent: ConsentId) -> BTreeMap<String, Value> {
    let accounts = caller.get(&format!("/v1/accounts?consent_id={consent}")).await.json();
    let mut rows = BTreeMap::new();
    for account in accounts["data"].as_array().unwrap() {
        let id = account["id"].as_str().unwrap();
        let mut cursor = String::new();
        loop {
            let page = caller.get(&format!("/v1/accounts/{id}/transactions?limit=500{cursor}")).await.json();
            for row in page["data"].as_array().unwrap() {
                rows.insert(row["id"].as_str().unwrap().to_owned(), row.clone());
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
    }
    rows
}

/// The last months of the books: more than one page, and no more than a test needs.
fn recent(data: &mut sandbox::BankData) {
    let from = tests::world::day(-100);
    for account in data.psus.iter_mut().flat_map(|psu| &mut psu.accounts) {
        account.rows.retain(|row| row.entered >= from);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_rules_are_shown_before_they_count_and_can_be_taken_back() {
    let world = World::with(recent).await;
    let site = Site::start(world.app.clone()).await;
    let caller = site.caller(&world, Some(&world.api_key));
    let consent = world.connect(CUSTOMER).await;
    fetch::run(&world.app, world.about(consent)).await.unwrap();
    let before = everything(&caller, consent).await;
    let rows = u64::try_from(before.len()).unwrap();
    assert!(rows > 100, "{rows}");
    // The customer saves from one account to another: the number tells, and again when it is replayed.
    let by_number = before
        .values()
        .filter(|row| row["provenance"]["category"]["rule"] == "category.own_account")
        .collect::<Vec<_>>();
    assert!(by_number.len() > 1 && by_number.iter().all(|row| row["category"] == "transfer.internal"));

    // The same pages and the same rules give the same bytes.
    let same = replay(&world, None, DRY).await;
    assert_eq!((same.rows, same.unchanged, same.changed, same.refused), (rows, rows, 0, 0), "{:?}", same.fields);
    assert_eq!((same.not_replayable, same.accounts), (0, 3));
    assert_eq!(same.read_before_by.into_iter().collect::<Vec<_>>(), [(same.rule_set.unwrap(), rows)]);

    // Other rules: shown, field by field, and nothing is changed.
    let folder = inverted(&world);
    let shown = replay(&world, Some(&folder), Wanted { examples: 2, values: true, ..DRY }).await;
    assert_eq!((shown.rows, shown.changed, shown.noticed, shown.fields["amount"]), (rows, rows, rows, rows));
    let [first, _] = &shown.examples[..] else { panic!("two examples") };
    let values = &first.values.as_ref().unwrap().0["amount"];
    assert_eq!(before[&first.transaction]["amount"]["amount"], values[0]);
    assert!(first.fields.contains(&"amount".to_owned()) && values[0] != values[1]);
    assert_eq!(everything(&caller, consent).await, before);
    while evidence_log::sequence(&world.app, world.app.tenant.id).await.unwrap() > 0 {}
    let bundle = evidence_log::bundle(&world.app, world.about(consent), None).await.unwrap().unwrap();
    assert!(bundle.contains("operator"), "who looked at values is on record");

    // In force: the same ids say something else, and again nothing more is to be done.
    let applied = replay(&world, Some(&folder), APPLY).await;
    assert_eq!((applied.changed, applied.noticed), (rows, rows));
    let after = everything(&caller, consent).await;
    assert!(after.keys().eq(before.keys()));
    let flipped = |id: &String| {
        let amount = |rows: &BTreeMap<String, Value>| rows[id]["amount"]["amount"].as_str().unwrap().to_owned();
        amount(&before).trim_start_matches('-') == amount(&after).trim_start_matches('-')
            && amount(&before) != amount(&after)
    };
    assert!(before.keys().all(flipped));
    assert!(after.values().all(|row| row["rule_set"] == applied.rule_set.as_deref().unwrap()));
    assert_eq!(replay(&world, Some(&folder), DRY).await.changed, 0);

    // And back: byte for byte what it was, and a fetch finds every row again under its id.
    replay(&world, None, APPLY).await;
    assert_eq!(everything(&caller, consent).await, before);
    world.clock.advance(SignedDuration::from_hours(1));
    fetch::run(&world.app, world.about(consent)).await.unwrap();
    assert!(everything(&caller, consent).await.keys().eq(before.keys()));
    site.end().await;
    world.end().await;
}

/// A replay in a process of its own that dies when it passes a point, as by `kill -9`.
async fn killed_replay(world: &World, folder: &Path, fault: &str) -> bool {
    let mut process = tokio::process::Command::new(NODE);
    process.arg(world.config_file()).arg("replay").arg(folder).env("TRIBUTARY_FAULT", fault).stderr(Stdio::null());
    process.status().await.unwrap().success()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_killed_goes_on_and_ends_where_an_undisturbed_one_does() {
    let world = World::with(recent).await;
    let site = Site::start(world.app.clone()).await;
    let caller = site.caller(&world, Some(&world.api_key));
    let consent = world.connect(CUSTOMER).await;
    fetch::run(&world.app, world.about(consent)).await.unwrap();
    let folder = inverted(&world);
    let before = everything(&caller, consent).await;
    replay(&world, Some(&folder), APPLY).await;
    let undisturbed = everything(&caller, consent).await;
    replay(&world, None, APPLY).await;
    assert_eq!(everything(&caller, consent).await, before);

    for fault in ["replay.page_before_commit:1", "replay.page_committed:1", "replay.page_before_commit:2"] {
        assert!(!killed_replay(&world, &folder, fault).await, "{fault}");
    }
    let between = everything(&caller, consent).await;
    assert!(between != before && between != undisturbed, "it was killed on its way");
    assert!(killed_replay(&world, &folder, "none").await);
    assert_eq!(everything(&caller, consent).await, undisturbed);
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_kept_or_not_allowed_is_not_read_again() {
    let world = World::with(recent).await;
    let site = Site::start(world.app.clone()).await;
    let caller = site.caller(&world, Some(&world.api_key));
    let consent = world.connect(CUSTOMER).await;
    fetch::run(&world.app, world.about(consent)).await.unwrap();
    let rows = u64::try_from(everything(&caller, consent).await.len()).unwrap();

    let retention = SignedDuration::from_hours(24 * i64::from(domain::limits::RAW_RETENTION_DAYS));
    let end = world.moment().now.saturating_add(retention).unwrap();
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    while raw_pages::expire(&mut tx, end, 1000).await.unwrap() > 0 {}
    tx.commit().await.unwrap();
    let gone = replay(&world, None, DRY).await;
    assert_eq!((gone.rows, gone.not_replayable), (0, rows));

    moves::revoke(&world.app, world.app.tenant.id, consent, RevokedBy::Psu, "psu").await.unwrap();
    assert_eq!(replay(&world, None, APPLY).await.accounts, 0);
    site.end().await;
    world.end().await;
}
