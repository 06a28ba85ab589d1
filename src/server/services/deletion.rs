//! Deletion: an account's rows and its key in one commit that a scan allows, then a receipt; killed at any point it goes on
//! and ends in the same place. Until the receipt, which is signed, none of it needs the key provider.

use std::collections::BTreeMap;

use domain::consent::{Event, ExpiryReason, RevokedBy, State as ConsentState};
use domain::event::EventType;
use domain::grant::State as GrantState;
use domain::ids::{ConsentId, DeletionId, LineId, TenantId};
use domain::retention::AtEnd;
use domain::world::World;
use evidence::{ErasedAccount, Kept, Receipt, Scope, Subject as EvidenceSubject, Trigger, Visible};
use jiff::Timestamp;
use serde_json::json;
use store::consents::Consent;
use store::data_map::{self, Subject};
use store::deletions::{Bank, Deletion, DeletionLine, NewDeletion, State};
use store::{StoreError, TenantTx, consents, deletions, grants, lines};

use crate::app::App;
use crate::evidence_log;
use crate::fault;
use crate::services::consents::{Work, advance, enqueue};
use crate::services::events::emit;
use crate::services::fetch::Verdict;
use crate::services::{ServiceError, acknowledgement};

/// Writes the deletion of a consent in the transaction that stopped it, or lets the one run that a legal hold had blocked.
///
/// # Errors
/// The database's.
pub async fn begin(app: &App, tx: &mut TenantTx, world: &World<'_>, consent: &Consent) -> Result<(), ServiceError> {
    let all = deletions::of_consent(tx, consent.id).await?;
    let mut blocked = all.iter().filter(|deletion| deletion.state == State::Blocked);
    // Accounts that were taken out and kept go with the rest, each with a receipt of its own.
    for account in blocked.clone().filter(|deletion| deletion.line.is_some()) {
        let_run(app, tx, world, account).await?;
    }
    if let Some(whole) = blocked.find(|deletion| deletion.line.is_none()) {
        return let_run(app, tx, world, whole).await;
    }
    let going = lines::without_ground(tx, consent.id).await?;
    let kept = lines::with_ground(tx, consent.id).await?;
    let new = of_whole(tx, world, consent, (&going, &kept)).await?;
    write(app, tx, world, &new).await
}

/// Lets a deletion run that was blocked: it takes what no ground holds any more, of its account or of the whole consent.
async fn let_run(app: &App, tx: &mut TenantTx, world: &World<'_>, deletion: &Deletion) -> Result<(), ServiceError> {
    let is_meant = |line: &LineId| deletion.line.is_none_or(|meant| meant == *line);
    let mut going = lines::without_ground(tx, deletion.consent).await?;
    going.retain(is_meant);
    let kept = match deletion.line {
        None => lines::with_ground(tx, deletion.consent).await?,
        Some(line) if lines::has_ground(tx, line).await? => vec![line],
        Some(_) => Vec::new(),
    };
    deletions::unblock(tx, deletion.id, (&going, &kept), world.now).await?;
    let body = json!({ "deletion": deletion.id.to_string(), "accounts": going.len() });
    evidence_log::record(app, tx, world, deletion.consent, "deletion.unblocked", &body).await?;
    enqueue(tx, world, Work::Erase, deletion.id.uuid(), "erasure").await
}

/// Lets the erasures of accounts run that were taken out while a law wanted them kept, once their time is over.
///
/// # Errors
/// The database's. One that cannot be begun keeps no other.
pub(crate) async fn let_go(app: &App, tenant: TenantId, limit: u32) -> Result<(), ServiceError> {
    let mut tx = app.store.tenant_tx(tenant).await?;
    let over = deletions::kept_long_enough(&mut tx, app.clock.now(), limit).await?;
    tx.commit().await?;
    for id in over {
        if let Err(error) = let_one_go(app, tenant, id).await {
            tracing::error!(deletion = %id, error = format!("{error:#}"), "an account that was kept could not be let go");
        }
    }
    Ok(())
}

async fn let_one_go(app: &App, tenant: TenantId, id: DeletionId) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(tenant).await?;
    let found = deletions::get(&mut tx, id).await?;
    let consent = consents::lock(&mut tx, found.consent).await?;
    // A hold that was placed since keeps it.
    let found = deletions::get(&mut tx, id).await?;
    if found.state != State::Blocked || consent.machine.data.is_held() {
        return Ok(());
    }
    let_run(app, &mut tx, &world, &found).await?;
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(())
}

/// Writes the deletion of a consent that a legal hold keeps from running, in the transaction that stopped everything else.
///
/// # Errors
/// The database's.
pub async fn block(app: &App, tx: &mut TenantTx, world: &World<'_>, consent: &Consent) -> Result<(), ServiceError> {
    let new = NewDeletion { blocked: true, ..of_whole(tx, world, consent, (&[], &[])).await? };
    write(app, tx, world, &new).await?;
    note_blocked(app, tx, world, consent, (new.id, "legal_hold")).await
}

async fn note_blocked(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    (deletion, because): (DeletionId, &str),
) -> Result<(), ServiceError> {
    let body = json!({ "deletion_id": deletion.to_string(), "because": because });
    evidence_log::record(app, tx, world, consent.id, "deletion.blocked", &body).await?;
    emit(tx, world, consent.product, EventType::DeletionBlocked, Some(consent.id), body).await
}

/// The deletion of all that is under a consent.
async fn of_whole<'a>(
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    (lines, kept): (&'a [LineId], &'a [LineId]),
) -> Result<NewDeletion<'a>, ServiceError> {
    let bank = match consent.grant {
        Some(grant) => match grants::get(tx, grant).await?.state {
            GrantState::Ending => Bank::Pending,
            GrantState::Unconfirmed => Bank::Unconfirmed,
            GrantState::Requested
            | GrantState::Pending
            | GrantState::Partial
            | GrantState::Granted
            | GrantState::Suspended
            | GrantState::Ended(_) => Bank::NotNeeded,
        },
        None => Bank::NotNeeded,
    };
    Ok(NewDeletion {
        id: DeletionId::new(world),
        consent: consent.id,
        line: None,
        trigger: trigger_word(consent.machine.state),
        bank,
        blocked: false,
        stopped_at: world.now,
        lines,
        kept,
    })
}

/// Every deletion is put down here, and its work asked for, unless a hold keeps it from running.
async fn write(app: &App, tx: &mut TenantTx, world: &World<'_>, new: &NewDeletion<'_>) -> Result<(), ServiceError> {
    deletions::begin(tx, new).await?;
    let body = json!({
        "deletion": new.id.to_string(),
        "scope": if new.line.is_some() { "account" } else { "consent" },
        "trigger": new.trigger,
        "accounts": new.lines.len(),
    });
    evidence_log::record(app, tx, world, new.consent, "deletion.begun", &body).await?;
    let product = consents::get(tx, new.consent).await?.product;
    emit(tx, world, product, EventType::DeletionRequested, Some(new.consent), body).await?;
    if new.blocked { Ok(()) } else { enqueue(tx, world, Work::Erase, new.id.uuid(), "erasure").await }
}

/// Takes one account out of a consent whose data may be read and begins its erasure, unless another consent stands on it. What
/// a law wants kept is read by nobody any more and erased when that time is over.
///
/// # Errors
/// The account is not under the consent, the consent's data may not be read, or the database's.
pub async fn remove_account(
    app: &App,
    tenant: TenantId,
    consent: ConsentId,
    line: LineId,
    actor: &str,
) -> Result<Deletion, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(tenant).await?;
    let readable = consents::lock(&mut tx, consent).await?.machine.may_read();
    // First, and undone if it may not be: an account that the consent does not hold does not exist, whatever its state.
    let deletion = take_out(app, &mut tx, &world, consent, line, actor).await?;
    if !readable {
        return Err(StoreError::NotAllowed.into());
    }
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(deletion)
}

/// The same in a transaction of the caller's, whatever the state of the consent.
///
/// # Errors
/// The account is not under the consent, or the database's.
pub(crate) async fn take_out(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: ConsentId,
    line: LineId,
    actor: &str,
) -> Result<Deletion, ServiceError> {
    let before = consents::lock(tx, consent).await?;
    lines::remove(tx, consent, line, world.now).await?;
    let body = json!({ "account": line.to_string(), "actor": actor });
    evidence_log::record(app, tx, world, consent, "account.removed", &body).await?;
    let told = json!({ "removed_accounts": [line.to_string()], "by": actor });
    emit(tx, world, before.product, EventType::ScopesChanged, Some(consent), told).await?;
    let mut going = lines::without_ground(tx, consent).await?;
    going.retain(|gone| *gone == line);
    let kept: Vec<LineId> = if lines::has_ground(tx, line).await? { vec![line] } else { Vec::new() };
    let blocked = before.retention.at_end == AtEnd::RestrictedHold && !going.is_empty();
    let new = NewDeletion {
        id: DeletionId::new(world),
        consent,
        line: Some(line),
        trigger: if actor == "psu" { "psu" } else { "product" },
        bank: Bank::NotNeeded,
        blocked,
        stopped_at: world.now,
        lines: if blocked { &[] } else { &going },
        kept: &kept,
    };
    write(app, tx, world, &new).await?;
    if blocked {
        note_blocked(app, tx, world, &before, (new.id, AtEnd::RestrictedHold.word())).await?;
    }
    Ok(deletions::get(tx, new.id).await?)
}

/// Brings a deletion to its receipt.
///
/// # Errors
/// The database's or the key provider's; the next run goes on where this one stood.
pub async fn run(app: &App, tenant: TenantId, id: DeletionId) -> Result<Verdict, ServiceError> {
    loop {
        let mut tx = app.store.tenant_tx(tenant).await?;
        let deletion = deletions::get(&mut tx, id).await?;
        let lines = deletions::lines(&mut tx, id).await?;
        tx.commit().await?;
        match deletion.state {
            State::Stopped => erase(app, tenant, &deletion, &lines).await?,
            State::Erased => shred(app, tenant, &deletion, &lines).await?,
            State::Shredded => receipt(app, tenant, &deletion, &lines).await?,
            // A blocked one is asked for again when its hold is lifted.
            State::Blocked | State::Receipted => return Ok(Verdict::Done),
        }
    }
}

/// What the deletion still has to take: the rows of lines whose key is there, and what hangs on the consent itself if all of it
/// goes.
fn subjects(deletion: &Deletion, lines: &[DeletionLine]) -> Vec<Subject> {
    let whole = deletion.line.is_none().then_some(Subject::Consent(deletion.consent));
    let there = lines.iter().filter(|line| line.key_deleted_at.is_none());
    there.map(|line| Subject::Line(line.line)).chain(whole).collect()
}

async fn erase(app: &App, tenant: TenantId, deletion: &Deletion, lines: &[DeletionLine]) -> Result<(), ServiceError> {
    for subject in subjects(deletion, lines) {
        let line = lines.iter().find(|line| subject == Subject::Line(line.line));
        let limit = line.and_then(|line| app.config.erasure.batch(line.written));
        while !erase_part(app, tenant, deletion, subject, limit).await? {}
    }
    let mut tx = app.store.tenant_tx(tenant).await?;
    deletions::erased(&mut tx, deletion.id, app.clock.now()).await?;
    tx.commit().await?;
    fault::point("deletion.erased");
    Ok(())
}

/// Erases what one transaction takes of a subject; gives whether that was the last of it. Then its key goes in the same
/// transaction, which commits only if nothing is left.
async fn erase_part(
    app: &App,
    tenant: TenantId,
    deletion: &Deletion,
    subject: Subject,
    limit: Option<i64>,
) -> Result<bool, ServiceError> {
    let mut tx = app.store.tenant_tx(tenant).await?;
    let gone = deletions::erase_rows(&mut tx, deletion.id, subject, limit).await?;
    let last = limit.is_none_or(|limit| gone < limit);
    if last {
        close(&mut tx, deletion, subject, app.clock.now()).await?;
    }
    fault::point("deletion.batch_before_commit");
    tx.commit().await?;
    fault::point("deletion.batch_committed");
    Ok(last)
}

/// Takes a line's key, and looks whether anything is left of the subject. From then on the database refuses rows of the line.
async fn close(tx: &mut TenantTx, deletion: &Deletion, subject: Subject, now: Timestamp) -> Result<(), ServiceError> {
    if let Subject::Line(line) = subject {
        deletions::shred_line(tx, deletion.id, line, now).await?;
    }
    match data_map::not_gone(tx, subject).await? {
        Some(table) => Err(ServiceError::Ours(anyhow::anyhow!("an erasure left rows in {table}"))),
        None => Ok(()),
    }
}

/// Notes that every key is gone: those of lines went with their rows.
async fn shred(app: &App, tenant: TenantId, deletion: &Deletion, lines: &[DeletionLine]) -> Result<(), ServiceError> {
    let now = app.clock.now();
    let mut tx = app.store.tenant_tx(tenant).await?;
    for line in lines.iter().filter(|line| line.key_deleted_at.is_none()) {
        close(&mut tx, deletion, Subject::Line(line.line), now).await?;
    }
    let shredded = deletions::lines(&mut tx, deletion.id).await?;
    let policy = app.vault.policy();
    let newest = shredded.iter().filter_map(|line| line.key_epoch).chain([policy.epoch_at(now)]).max();
    let unreadable = newest.and_then(|epoch| policy.unreadable_after(epoch)).unwrap_or(Timestamp::MAX);
    deletions::shredded(&mut tx, deletion.id, now, unreadable).await?;
    fault::point("deletion.shred_before_commit");
    tx.commit().await?;
    fault::point("deletion.shredded");
    Ok(())
}

async fn receipt(app: &App, tenant: TenantId, deletion: &Deletion, lines: &[DeletionLine]) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(tenant).await?;
    let consent = consents::lock(&mut tx, deletion.consent).await?;
    let body = Receipt { intermediary: intermediary(app, &consent), ..body(&consent, deletion, lines)? };
    let note = evidence_log::state(app, &mut tx, &world, EvidenceSubject::Consent(deletion.consent), &body).await?;
    deletions::receipted(&mut tx, deletion.id, note.as_bytes(), world.now).await?;
    if deletion.line.is_none() {
        advance(app, &mut tx, &world, &consent, Event::Erased, "system", |_| {}).await?;
    }
    acknowledgement::ask(&mut tx, &world, &consent, deletion).await?;
    fault::point("deletion.receipt_before_commit");
    tx.commit().await?;
    fault::point("deletion.receipted");
    app.work.notify_waiters();
    Ok(())
}

/// The policy by which data were kept between the end of their consent, or of their account's place in it, and the erasure.
fn kept_by(consent: &Consent, deletion: &Deletion) -> Option<Kept> {
    let by_law = consent.retention.at_end == AtEnd::RestrictedHold;
    if deletion.line.is_some() {
        return (by_law && deletion.unblocked_at.is_some()).then_some(Kept::RestrictedHold);
    }
    let ended = consent.ended_at?;
    let began = deletion.unblocked_at.filter(|_| by_law).unwrap_or(deletion.stopped_at);
    // A consent that was withdrawn ends with what stops everything; nothing was kept of one that never came to life.
    let kept = ended < began && consent.authorized_at.is_some();
    let (over, by_term) = match consent.machine.state {
        ConsentState::Expired(reason) => (reason != ExpiryReason::Superseded, reason == ExpiryReason::Term),
        ConsentState::Revoked(_) => (true, false),
        ConsentState::Initiated
        | ConsentState::Authorized
        | ConsentState::Active
        | ConsentState::ReauthPending(_)
        | ConsentState::Failed(_) => (false, false),
    };
    // What a newer consent has replaced was that one's and in use.
    (kept && over).then_some(match consent.retention.at_end {
        AtEnd::ReadableUntilRetention if by_term => Kept::ReadableUntilRetention,
        AtEnd::ReadableUntilRetention | AtEnd::Blocked => Kept::Blocked,
        AtEnd::RestrictedHold => Kept::RestrictedHold,
    })
}

/// Who stood between us and the bank, as far as its profile says.
fn intermediary(app: &App, consent: &Consent) -> Option<String> {
    let (institution, _) = consent.bank.as_ref()?;
    Some(app.directory.get(institution)?.intermediary.as_ref()?.name.clone())
}

fn body(consent: &Consent, deletion: &Deletion, lines: &[DeletionLine]) -> Result<Receipt, ServiceError> {
    let corrupt = |column| StoreError::Corrupt { table: "deletion", column };
    let count = |rows: i64| u64::try_from(rows).unwrap_or(0);
    let mut erased_rows: BTreeMap<String, u64> = BTreeMap::new();
    for (table, rows) in deletion.counts.iter().chain(lines.iter().flat_map(|line| &line.counts)) {
        *erased_rows.entry(table.clone()).or_default() += count(*rows);
    }
    let accounts = lines.iter().map(|line| {
        Ok(ErasedAccount {
            account: line.line,
            key_epoch: line.key_epoch.ok_or(corrupt("key_epoch"))?,
            visible_in_backups: Visible {
                rows: count(line.visible.rows),
                first_booking: line.visible.first,
                last_booking: line.visible.last,
            },
        })
    });
    Ok(Receipt {
        deletion: deletion.id,
        consent: deletion.consent,
        scope: if deletion.line.is_some() { Scope::Account } else { Scope::Consent },
        trigger: trigger(&deletion.trigger).ok_or(corrupt("trigger"))?,
        stopped_at: deletion.stopped_at,
        blocked_until: deletion.unblocked_at,
        retention: kept_by(consent, deletion),
        intermediary: None,
        erased_at: deletion.erased_at.ok_or(corrupt("erased_at"))?,
        key_deleted_at: deletion.key_deleted_at.ok_or(corrupt("key_deleted_at"))?,
        unreadable_everywhere_after: deletion.unreadable_after.ok_or(corrupt("unreadable_after"))?,
        erased_rows,
        accounts: accounts.collect::<Result<_, StoreError>>()?,
        kept_accounts: deletion.kept.clone(),
        sealing: vault::SEALING.to_owned(),
        wrapping: vault::WRAPPING.to_owned(),
    })
}

/// The word for what caused the deletion of a consent in this state.
const fn trigger_word(state: ConsentState) -> &'static str {
    match state {
        ConsentState::Revoked(RevokedBy::Psu | RevokedBy::PsuAtBank) => "psu",
        ConsentState::Revoked(RevokedBy::Product) => "product",
        ConsentState::Revoked(RevokedBy::Bank) | ConsentState::Expired(ExpiryReason::Bank) => "bank",
        ConsentState::Revoked(RevokedBy::Operator) => "operator",
        ConsentState::Revoked(RevokedBy::Register) => "register",
        ConsentState::Expired(ExpiryReason::Term | ExpiryReason::Superseded) => "expiry",
        ConsentState::Initiated
        | ConsentState::Authorized
        | ConsentState::Active
        | ConsentState::ReauthPending(_)
        | ConsentState::Failed(_) => "erasure_request",
    }
}

fn trigger(word: &str) -> Option<Trigger> {
    Some(match word {
        "psu" => Trigger::Psu,
        "product" => Trigger::Product,
        "bank" => Trigger::Bank,
        "operator" => Trigger::Operator,
        "register" => Trigger::Register,
        "expiry" => Trigger::Expiry,
        "erasure_request" => Trigger::ErasureRequest,
        _ => return None,
    })
}
