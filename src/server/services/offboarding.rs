//! A tenant leaves: every key of its products ends, every consent ends at its bank and here, everything is erased, old epoch
//! keys are destroyed without waiting for backups that nobody will bring back, and what proves it lies in one folder.
//!
//! Nothing here is a way of its own: consents end by the steps by which they always end, one transaction each, and erasures
//! and banks' answers take their usual course. Whoever kills it begins again and loses nothing. The log stays as it is.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use domain::consent::RevokedBy;
use domain::ids::{ConsentId, DeletionId};
use evidence::Subject;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use store::deletions::{Bank, State};
use store::{StoreError, api_keys, capsules, compliance, consents, data_map, deletions, products};

use super::{ServiceError, deletion, erasure, revocation};
use crate::app::App;
use crate::evidence_log::{self, About};
use crate::fault;
use crate::reconcile;
use crate::services::compliance::report;
use crate::services::consents::advance;
use crate::services::products::end_key;

/// Capsules that one run tells its bank of.
const CAPSULES_MAX: i64 = 10_000;

/// How far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Consents that there are.
    pub consents: usize,
    /// Consents that this run ended, or whose data it began to erase.
    pub ended: usize,
    /// Keys of products that this run withdrew.
    pub keys: usize,
    /// Erasures with a signed receipt.
    pub receipts: usize,
    /// Erasures that a legal hold blocks.
    pub blocked: usize,
    /// Erasures whose receipt is still owed, without those that a hold blocks.
    pub running: usize,
    /// Authorisations of which a bank is still being told.
    pub telling: usize,
    /// Erasures whose bank has not confirmed the end: told in vain, if it is not being told any more.
    pub unconfirmed: usize,
    /// Rows that hold bank data, by table.
    pub rows_left: BTreeMap<String, i64>,
    /// Epochs under which a data key of an erased account was wrapped last, and whose key is not destroyed yet. The current
    /// one is destroyed by a run after its end, or in its time.
    pub epochs_left: Vec<i64>,
}

impl Outcome {
    /// Whether nothing can be done any more: nothing is left, in no copy, and every bank has had its time.
    pub fn is_complete(&self) -> bool {
        self.blocked == 0
            && self.running == 0
            && self.telling == 0
            && self.rows_left.is_empty()
            && self.epochs_left.is_empty()
    }
}

/// Ends everything, or goes on where an earlier run stood, and writes what proves it into a folder: a bundle of every
/// consent, the report as JSON and as a page, the key that verifies them.
///
/// # Errors
/// The database's, the key provider's, or the folder cannot be written.
pub async fn run(app: &App, folder: &Path) -> Result<Outcome, ServiceError> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut done = Outcome { keys: withdraw_keys(app).await?, ..Outcome::default() };
    let all = end_all(app, &mut done).await?;
    erase_all(app).await?;
    tell_banks(app).await?;
    reconcile::retire(app, app.tenant.id, app.vault.policy().epoch_at(app.clock.now())).await?;
    count(app, &all, &mut done).await?;
    record(app, &done).await?;
    hand_over(app, folder, &all).await?;
    Ok(done)
}

/// First of all: so that nothing begins while the rest ends.
async fn withdraw_keys(app: &App) -> Result<usize, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let mut withdrawn = 0;
    for product in products::all(&mut tx).await? {
        for key in api_keys::of_product(&mut tx, product.id).await? {
            end_key(app, &mut tx, &world, key.id).await?;
            withdrawn += 1;
        }
    }
    tx.commit().await?;
    fault::point("offboarding.keys_withdrawn");
    Ok(withdrawn)
}

/// Ends consents until a look finds none that lives: a request that was under way may have begun one.
async fn end_all(app: &App, done: &mut Outcome) -> Result<Vec<ConsentId>, ServiceError> {
    loop {
        let mut tx = app.store.tenant_tx(app.tenant.id).await?;
        let all = compliance::consents(&mut tx, None, None).await?;
        tx.commit().await?;
        let before = done.ended;
        for consent in &all {
            done.ended += usize::from(end(app, *consent).await?);
        }
        if done.ended == before {
            done.consents = all.len();
            return Ok(all);
        }
    }
}

/// Ends one consent, and begins the erasure of what is left under it; gives whether there was something to do.
async fn end(app: &App, id: ConsentId) -> Result<bool, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let consent = consents::lock(&mut tx, id).await?;
    let Some(event) = erasure::ending(&consent, RevokedBy::Operator) else { return Ok(false) };
    let body = json!({ "by": "operator", "why": "the tenant leaves" });
    evidence_log::record(app, &mut tx, &world, id, "consent.withdrawal_ordered", &body).await?;
    advance(app, &mut tx, &world, &consent, event, "operator", |_| {}).await?;
    tx.commit().await?;
    fault::point("offboarding.consent_ended");
    app.work.notify_waiters();
    Ok(true)
}

/// Runs every erasure to its receipt. A node that serves may be at one of them: then it ends there.
async fn erase_all(app: &App) -> Result<(), ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let unfinished: Vec<DeletionId> = deletions::unfinished(&mut tx).await?;
    tx.commit().await?;
    for id in unfinished {
        match deletion::run(app, app.tenant.id, id).await {
            Ok(_) | Err(ServiceError::Store(StoreError::Raced)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Tells every bank once. Who does not confirm is told again by the next run, or by a node that serves, for 72 hours.
async fn tell_banks(app: &App) -> Result<(), ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let waiting = capsules::open(&mut tx, CAPSULES_MAX).await?;
    tx.commit().await?;
    for (capsule, _) in waiting {
        if let Err(error) = revocation::run(app, app.tenant.id, capsule).await {
            tracing::warn!(error = format!("{error:#}"), "a bank could not be told of an end");
        }
    }
    Ok(())
}

async fn count(app: &App, all: &[ConsentId], done: &mut Outcome) -> Result<(), ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let mut epochs = Vec::new();
    for consent in all {
        for deletion in deletions::of_consent(&mut tx, *consent).await? {
            match deletion.state {
                State::Receipted => done.receipts += 1,
                State::Blocked => done.blocked += 1,
                State::Stopped | State::Erased | State::Shredded => done.running += 1,
            }
            done.unconfirmed += usize::from(matches!(deletion.bank, Bank::Pending | Bank::Unconfirmed));
            epochs.extend(deletions::lines(&mut tx, deletion.id).await?.into_iter().filter_map(|line| line.key_epoch));
        }
    }
    let destroyed: Vec<i64> =
        store::keys::epochs(&mut tx).await?.into_iter().filter_map(|(epoch, at)| at.map(|_| epoch)).collect();
    epochs.retain(|epoch| !destroyed.contains(epoch));
    epochs.sort_unstable();
    epochs.dedup();
    done.epochs_left = epochs;
    done.telling = capsules::open(&mut tx, CAPSULES_MAX).await?.len();
    done.rows_left = data_map::bank_data(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Says in the log how far this run came.
async fn record(app: &App, done: &Outcome) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let body = json!({ "consents": done.consents, "ended": done.ended, "keys": done.keys, "receipts": done.receipts,
        "blocked": done.blocked, "running": done.running, "telling": done.telling, "unconfirmed": done.unconfirmed,
        "rows_left": done.rows_left, "epochs_left": done.epochs_left, "complete": done.is_complete() });
    evidence_log::record_of(app, &mut tx, &world, Subject::Tenant(app.tenant.id), "tenant.offboarded", &body).await?;
    tx.commit().await?;
    fault::point("offboarding.recorded");
    Ok(())
}

/// Writes what proves it.
async fn hand_over(app: &App, folder: &Path, all: &[ConsentId]) -> Result<(), ServiceError> {
    while evidence_log::sequence(app, app.tenant.id).await? > 0 {}
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    for consent in all {
        let about = About { tenant: app.tenant.id, consent: *consent };
        if let Some(bundle) = evidence_log::bundle(app, about, None).await? {
            write(&format!("{consent}.json"), &bundle)?;
            fault::point("offboarding.bundle_written");
        }
    }
    // The moments of this run belong to it.
    let until = app.clock.now().saturating_add(SignedDuration::from_secs(1)).unwrap_or(Timestamp::MAX);
    let report = report::of_period(app, app.tenant.created_at.min(until), until).await?;
    write("report.json", &format!("{:#}\n", report.to_json()))?;
    write("report.html", &report.to_html().map_err(anyhow::Error::new)?)?;
    write("keys.txt", &format!("{}\n", evidence_log::verifier_key(app, app.tenant.id)?))?;
    Ok(())
}
