//! The erasure of an account with very many rows takes batches. A node is killed after each of them, and before the commit of
//! each: the rows go on becoming fewer, and the receipt counts every one of them once.

use std::collections::BTreeMap;
use std::io::Write as _;

use domain::consent::{DataState, RevokedBy, State};
use domain::ids::ConsentId;
use evidence::{Receipt, VerifierKey, Visible};
use server::evidence_log;
use tests::node::{Fault, Node};
use tests::world::{CUSTOMER, stands};

use super::crash::{NODE, Stage, died, recent};

/// Lines whose key is still there: an erasure has batches left.
const TO_DO: &str = "select count(*) from deletion_line l join deletion d using (tenant_id, deletion_id)
    where d.consent_id = $1 and l.key_deleted_at is null";
const ROWS: &str = "select count(*) from transaction where line_id in (select l.line_id from deletion_line l
        join deletion d using (tenant_id, deletion_id) where d.consent_id = $1)";

/// What a receipt says of rows: by table, and what stays visible of each account.
type Said = (BTreeMap<String, u64>, Vec<Visible>);

async fn said(stage: &Stage, consent: ConsentId) -> Said {
    let app = &stage.world.app;
    let bundle = evidence_log::bundle(app, stage.world.about(consent), None).await.unwrap().unwrap();
    let keys = VerifierKey::read_all(&server::verifier_key(app).unwrap()).unwrap();
    let report = evidence::verify(&bundle, &keys, None).unwrap();
    let [receipt] = <[Receipt; 1]>::try_from(report.receipts()).unwrap();
    let mut visible: Vec<Visible> = receipt.accounts.iter().map(|account| account.visible_in_backups.clone()).collect();
    visible.sort_by_key(|one| (one.rows, one.first_booking));
    (receipt.erased_rows.clone(), visible)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_batch_an_erasure_goes_on_and_counts_every_row_once() {
    let mut stage = Stage::new(recent).await;
    let calm = stage.connect("calm", CUSTOMER).await;
    stage.work(calm).await;
    stage.withdraw(calm).await;
    let (counts, whole) = (stage.counts(calm).await, said(&stage, calm).await);
    assert!(counts["transaction"] > 100 && whole.1.iter().any(|one| one.first_booking < one.last_booking), "{whole:?}");
    let mut settings = std::fs::OpenOptions::new().append(true).open(stage.world.config_file()).unwrap();
    settings.write_all(b"\n[erasure]\nwhole_rows = 3\nbatch_rows = 60\n").unwrap();

    // Each node commits one batch and dies: after it, or before the commit of the next.
    for death in [("deletion.batch_committed", 1), ("deletion.batch_before_commit", 2)] {
        let consent = stage.connect(death.0, CUSTOMER).await;
        stage.work(consent).await;
        let lines = stage.lines(consent).await;
        stage.die_deleting(consent, death).await;
        let mut left = vec![counts["transaction"], stage.count(ROWS, consent).await];
        while stage.count(TO_DO, consent).await > 1 || left.last().is_some_and(|rows| *rows > 60) {
            died(Node::start(NODE, &stage.world, Fault::Dies(death.0, death.1)).ended().await, death);
            stage.let_leases_run_out().await;
            left.push(stage.count(ROWS, consent).await);
            assert!(left.is_sorted_by(|one, next| one >= next) && left.len() < 50, "{death:?}: {left:?}");
        }
        assert!(left.len() > 4, "in batches: {left:?}");
        stage.work(consent).await;
        assert_eq!(stage.counts(consent).await, counts, "{death:?}");
        assert_eq!(said(&stage, consent).await, whole, "{death:?}");
        assert_eq!(stage.left(consent, &lines).await, BTreeMap::new(), "{death:?}");
        let over = (State::Revoked(RevokedBy::Product), DataState::Erased);
        assert_eq!(stands(&stage.world.app, consent).await, over, "{death:?}");
    }
    stage.end().await;
}
