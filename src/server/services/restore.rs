//! After a restore: the database comes from a backup and knows nothing of what happened since. The copy of the log outside
//! does. It is put back entry by entry, and whatever ended since ends again, in one transaction; so there is no moment at
//! which a revoked consent lives or erased data are served.
//!
//! What was connected or fetched since the backup is gone: a product connects it anew, a fetch brings it again.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use domain::consent::{DataState, Event, ExpiryReason, RevokedBy, State};
use domain::ids::{ApiKeyId, ConsentId, HoldId, LineId, StaffId, TenantId};
use domain::world::World;
use evidence::log::Sequencer;
use evidence::{Checkpoint, EpochDestroyed, Hash, Statement, Subject};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::consents::Consent;
use store::evidence_log::{self as rows, Copied};
use store::holds::Hold;
use store::{StoreError, TenantTx, api_keys, consents, deletions, keys as key_rows, staff};

use crate::app::App;
use crate::evidence_copy::{self, Ahead};
use crate::services::consents::advance_again;
use crate::services::{ServiceError, deletion, holds};
use crate::{evidence_log, keys};

/// Entries that one statement writes.
const CHUNK: usize = 1000;

/// What catching up did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CaughtUp {
    /// Entries of the log that the backup did not have.
    pub entries: usize,
    /// Consents that had ended since and ended again.
    pub consents: usize,
    /// Accounts that had been taken out of a consent since and were taken out again.
    pub accounts: usize,
    /// Erasures that were brought to their receipt.
    pub erasures: usize,
}

/// What the log says of the time since the backup, as far as it must happen again.
#[derive(Default)]
struct Since {
    /// How consents stood last.
    consents: BTreeMap<ConsentId, (State, DataState)>,
    /// Accounts that were taken out of a consent, and by whom.
    accounts: BTreeMap<(ConsentId, LineId), String>,
    /// Legal holds as they stood last.
    holds: BTreeMap<HoldId, Hold>,
    /// Members of staff whose keys were withdrawn, and when.
    staff: BTreeMap<StaffId, Timestamp>,
    /// Keys of products that were withdrawn, and when.
    keys: BTreeMap<ApiKeyId, Timestamp>,
    epochs: Vec<EpochDestroyed>,
}

impl Since {
    fn note(&mut self, statement: &Statement) {
        let word = |name: &str| statement.body.get(name).and_then(Value::as_str);
        match (statement.subject, statement.kind.as_str()) {
            (Subject::Consent(consent), "consent.moved") => {
                let state = word("to").and_then(|to| State::parse(to, word("reason")));
                let data = word("data").and_then(DataState::parse);
                self.consents.extend(state.zip(data).map(|stood| (consent, stood)));
            }
            (Subject::Consent(consent), "account.removed") => {
                let account = word("account").and_then(|account| account.parse().ok());
                let actor = word("actor").unwrap_or_default().to_owned();
                self.accounts.extend(account.map(|account| ((consent, account), actor)));
            }
            (Subject::Consent(consent), kind) if kind.starts_with("hold.") => {
                self.holds_extend(holds::read(statement), consent);
            }
            (Subject::Tenant(_), "staff.withdrawn") => {
                self.staff.extend(word("staff").and_then(|id| Some((id.parse().ok()?, statement.at))));
            }
            (Subject::Tenant(_), "key.withdrawn") => {
                self.keys.extend(word("key").and_then(|id| Some((id.parse().ok()?, statement.at))));
            }
            _ => self.epochs.extend(statement.body::<EpochDestroyed>().and_then(Result::ok)),
        }
    }

    /// A hold speaks in the record of each of its consents.
    fn holds_extend(&mut self, told: Option<Hold>, consent: ConsentId) {
        let Some(mut told) = told else { return };
        told.consents.extend(self.holds.get(&told.id).map(|known| known.consents.clone()).unwrap_or_default());
        told.consents.push(consent);
        self.holds.insert(told.id, told);
    }
}

/// Brings a restored database up to date with the copy of its log, and every erasure to its receipt. Repeating it changes
/// nothing.
///
/// # Errors
/// There is no copy, it does not continue this log, the backup is older than the oldest epoch key; or the database's.
pub async fn catch_up(app: &App, tenant: TenantId) -> Result<CaughtUp, ServiceError> {
    let mut done = put_back(app, tenant).await?;
    let mut tx = app.store.tenant_tx(tenant).await?;
    let unfinished = deletions::unfinished(&mut tx).await?;
    tx.commit().await?;
    for id in unfinished {
        deletion::run(app, tenant, id).await?;
        done.erasures += 1;
    }
    while evidence_log::sequence(app, tenant).await? > 0 {}
    Ok(done)
}

/// The part of it that is one transaction.
async fn put_back(app: &App, tenant: TenantId) -> Result<CaughtUp, ServiceError> {
    let world = app.world();
    let mut done = CaughtUp::default();
    let mut tx = app.store.tenant_tx(tenant).await?;
    let size = rows::lock(&mut tx).await?;
    let Some(ahead) = evidence_copy::since(app, tenant, size)? else { return Ok(done) };
    continue_log(app, &mut tx, &world, size, &ahead).await?;
    let since = read(app, &mut tx, &world, &ahead.entries).await?;
    done.entries = ahead.entries.len();
    for gone in &since.epochs {
        key_rows::record_epoch(&mut tx, gone.epoch, gone.destroyed_at, Some(gone.destroyed_at)).await?;
    }
    withdraw_again(&mut tx, &since).await?;
    for hold in since.holds.values() {
        hold_again(&mut tx, hold).await?;
    }
    for ((consent, account), actor) in &since.accounts {
        done.accounts += usize::from(take_out_again(app, &mut tx, &world, *consent, *account, actor).await?);
    }
    for (consent, stood) in &since.consents {
        done.consents += usize::from(end_again(app, &mut tx, &world, *consent, *stood).await?);
    }
    let body = json!({
        "entries_of_backup": size, "entries_restored": done.entries, "consents_ended": done.consents,
        "accounts_removed": done.accounts,
    });
    evidence_log::record_of(app, &mut tx, &world, Subject::Tenant(tenant), "log.restored", &body).await?;
    tx.commit().await?;
    Ok(done)
}

/// Puts the entries back, if they lead from this log to the checkpoint of the copy and that is signed by our key.
async fn continue_log(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    size: i64,
    ahead: &Ahead,
) -> Result<(), ServiceError> {
    let foreign = || anyhow!("the copy of the log outside does not continue the log of this backup");
    let (origin, key) = evidence_log::signing(app, tx.tenant(), world)?;
    let signer = evidence_log::signer(&origin, &key);
    let known = [signer.verifier_key().clone()];
    evidence::note::open(&ahead.note, &known, evidence::note::Strangers::Ignore)
        .context("the checkpoint of the copy is not signed by the key in keys.dir")?;
    let mut ids: Vec<_> = ahead.entries.iter().map(|copied| copied.entry.subject).collect();
    ids.sort_unstable();
    ids.dedup();
    let heads = rows::heads(tx, &ids).await?;
    let heads = heads.into_iter().map(|(id, leaf)| (evidence_log::subject(tx.tenant(), id), Hash(leaf))).collect();
    let mut sequencer = Sequencer::new(evidence_log::frontier(tx, size.unsigned_abs()).await?, heads);
    for chunk in ahead.entries.chunks(CHUNK) {
        let mut nodes = Vec::new();
        for Copied { entry, leaf, .. } in chunk {
            let step = sequencer.append(evidence_log::subject(tx.tenant(), entry.subject), &Hash(entry.commitment));
            let same =
                step.index == entry.index.unsigned_abs() && step.prev.0 == entry.previous && step.leaf.0 == *leaf;
            same.then_some(()).ok_or_else(foreign)?;
            nodes.extend(evidence_log::stored_nodes(&step));
        }
        rows::adopt(tx, chunk, &nodes).await?;
    }
    let checkpoint = Checkpoint::of(origin.clone(), sequencer.frontier());
    if evidence_copy::checkpoint_of(&ahead.note)? != checkpoint {
        return Err(foreign().into());
    }
    let kept = rows::Checkpoint {
        size: i64::try_from(checkpoint.size).unwrap_or(i64::MAX),
        root: checkpoint.root.0,
        note: ahead.note.clone(),
        signed_at: world.now,
    };
    Ok(rows::put_checkpoint(tx, &kept).await?)
}

/// Opens what was put back.
async fn read(app: &App, tx: &mut TenantTx, world: &World<'_>, entries: &[Copied]) -> Result<Since, ServiceError> {
    let mut since = Since::default();
    for Copied { entry, .. } in entries {
        let kind = entry.kind.as_str();
        let counts = matches!(
            kind,
            "consent.moved" | "account.removed" | "epoch.destroyed" | "staff.withdrawn" | "key.withdrawn"
        ) || kind.starts_with("hold.");
        if !counts || entry.sealed.is_none() {
            continue;
        }
        let key = keys::of_evidence(app, tx, world, entry.subject, None).await?;
        if let Some(payload) = entry.payload(tx.tenant(), &key)? {
            since.note(&Statement::read(&payload.statement).context("an entry of the log")?);
        }
    }
    Ok(since)
}

/// Ends a consent that had ended; gives whether that changed anything. One that the backup does not know stays unknown.
async fn end_again(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    id: ConsentId,
    (state, data): (State, DataState),
) -> Result<bool, ServiceError> {
    let Some(before) = known(tx, id).await? else { return Ok(false) };
    let ended = match state {
        State::Revoked(by) => Some(Event::Revoke(by)),
        State::Expired(ExpiryReason::Bank) => Some(Event::EndedByBank),
        State::Expired(ExpiryReason::Term) => Some(Event::Tick),
        // The consent that took its place is not in the backup: this one is what is left of the two.
        State::Expired(ExpiryReason::Superseded)
        | State::Initiated
        | State::Authorized
        | State::Active
        | State::ReauthPending(_)
        | State::Failed(_) => None,
    };
    let mut after = before.clone();
    let fate = match data {
        DataState::Present | DataState::Readable | DataState::Held => None,
        DataState::Restricted | DataState::HeldRestricted => Some(Event::Restricted),
        DataState::Blocked | DataState::Erasing | DataState::Erased => Some(Event::EraseRequested),
    };
    // A hold first: what came after it stood under it.
    let hold = match (before.machine.data.is_held(), data.is_held()) {
        (false, true) => Some(Event::HoldPlaced),
        (true, false) => Some(Event::HoldLifted),
        (true, true) | (false, false) => None,
    };
    for event in hold.into_iter().chain(ended).chain(fate) {
        after = allowed(app, tx, world, after, event).await?;
    }
    // Whatever led there: what was erased is not served again.
    let gone = matches!(data, DataState::Erasing | DataState::Erased);
    if gone && after.machine.data.is_kept() {
        after = allowed(app, tx, world, after, Event::Revoke(RevokedBy::Operator)).await?;
    }
    Ok(after.machine != before.machine)
}

/// Withdraws the keys that were withdrawn: of staff, who count as one of four eyes, and of products. One that the backup
/// does not know opens nothing.
async fn withdraw_again(tx: &mut TenantTx, since: &Since) -> Result<(), ServiceError> {
    for (id, at) in &since.staff {
        known_or_none(staff::withdraw(tx, *id, *at).await)?;
    }
    for (id, at) in &since.keys {
        known_or_none(api_keys::revoke(tx, *id, *at).await)?;
    }
    Ok(())
}

/// Puts a hold back with those of its consents that the backup knows.
async fn hold_again(tx: &mut TenantTx, hold: &Hold) -> Result<(), ServiceError> {
    let mut consents = Vec::new();
    for consent in &hold.consents {
        consents.extend(known(tx, *consent).await?.map(|consent| consent.id));
    }
    Ok(store::holds::put(tx, &Hold { consents, ..hold.clone() }).await?)
}

/// Moves a consent if its state lets it.
async fn allowed(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    before: Consent,
    event: Event,
) -> Result<Consent, ServiceError> {
    match advance_again(app, tx, world, &before, event, "restore").await {
        Err(ServiceError::Refused(_)) => Ok(before),
        moved => moved,
    }
}

/// Takes an account out again, even if the backup holds or restricts the data; gives whether it was in.
async fn take_out_again(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: ConsentId,
    account: LineId,
    actor: &str,
) -> Result<bool, ServiceError> {
    if known(tx, consent).await?.is_none() {
        return Ok(false);
    }
    match deletion::take_out(app, tx, world, consent, account, actor).await {
        Ok(_) => Ok(true),
        Err(ServiceError::Store(StoreError::NotFound(_))) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A consent, locked; `None` if it came after the backup.
async fn known(tx: &mut TenantTx, id: ConsentId) -> Result<Option<Consent>, ServiceError> {
    known_or_none(consents::lock(tx, id).await)
}

/// What was found; `None` if it came after the backup.
fn known_or_none<T>(found: Result<T, StoreError>) -> Result<Option<T>, ServiceError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
