//! Background work: each reconciler looks at the database, does what is due, and may be killed at any point.

use std::sync::Arc;
use std::time::Duration;

use domain::consent::{Event, State};
use domain::ids::{ConsentId, DeletionId, EndpointId, TenantId};
use domain::limits;
use evidence::{EpochDestroyed, Subject};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan as _};
use store::grants::IntentKind;
use store::jobs::{Job, Offer};
use store::{
    StoreError, alerts, bank_health, bank_limits, consents, deletions, events, grants, idempotency, jobs, keys,
    page_sessions, raw_pages, staff_sessions, tenants, webhooks,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::evidence_log;
use crate::fault;
use crate::services::consents::Work;
use crate::services::fetch::{self, Verdict};
use crate::services::{
    ServiceError, acknowledgement, consents as moves, deletion, delivery, events as telling, holds, renewals,
    revocation, rotation, status, timestamp, witness as witnessing,
};

/// Between two looks at the queue when nobody rang.
const QUEUE_PAUSE: Duration = Duration::from_millis(500);
/// Between two looks at clocks, retentions and epochs.
const CLOCK_PAUSE: Duration = Duration::from_secs(1);
/// Jobs with banks and of erasures that this node works on at a time.
const JOBS_AT_A_TIME: i64 = 8;
/// Endpoints that this node sends to at a time: apart from the others, so that slow receivers hold up no erasure.
const DELIVERIES_AT_A_TIME: i64 = 32;
/// Jobs of one bank, over all nodes.
const JOBS_PER_LANE: i64 = 4;
/// An intent that is older than this was left behind by a node that died, in seconds.
const INTENT_SECONDS: i64 = 5 * 60;
/// Rows that one look takes.
const BATCH: u32 = 500;

/// Runs every reconciler until `stop`; then waits for the work under way.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    let kinds = |deliver: bool| -> Vec<String> {
        let wanted = Work::ALL.into_iter().filter(|work| (*work == Work::Deliver) == deliver);
        wanted.map(|work| work.word().to_owned()).collect()
    };
    tokio::join!(
        queue(&app, &stop, kinds(false), JOBS_AT_A_TIME),
        queue(&app, &stop, kinds(true), DELIVERIES_AT_A_TIME),
        log(&app, &stop),
        clocks(&app, &stop),
        rotations(&app, &stop),
        witness(&app, &stop),
        timestamps(&app, &stop)
    );
}

/// Waits for a ring, a pause or the end; gives whether to go on.
async fn next(app: &App, stop: &CancellationToken, pause: Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = app.work.notified() => true,
        () = tokio::time::sleep(pause) => true,
    }
}

async fn queue(app: &Arc<App>, stop: &CancellationToken, kinds: Vec<String>, at_a_time: i64) {
    let mut running = JoinSet::new();
    loop {
        while running.try_join_next().is_some() {}
        let room = at_a_time - i64::try_from(running.len()).unwrap_or(at_a_time);
        let claimed = if room > 0 { claim(app, &kinds, room).await } else { Ok(Vec::new()) };
        match claimed {
            Ok(jobs) => {
                for job in jobs {
                    let app = app.clone();
                    running.spawn(async move { work(&app, &job).await });
                }
            }
            Err(error) => tracing::warn!(%error, "work could not be claimed"),
        }
        if !next(app, stop, QUEUE_PAUSE).await {
            break;
        }
    }
    while running.join_next().await.is_some() {}
}

async fn claim(app: &App, kinds: &[String], room: i64) -> Result<Vec<Job>, StoreError> {
    let world = app.world();
    let offer = Offer {
        kinds,
        limit: room,
        lane_cap: JOBS_PER_LANE,
        lease_seconds: limits::JOB_LEASE_SECONDS,
        now: world.now,
        claim: world.uuid(),
    };
    let mut tx = app.store.system_tx().await?;
    let claimed = jobs::claim(&mut tx, offer).await?;
    tx.commit().await?;
    Ok(claimed)
}

/// Does one job, keeps its lease while it runs, and says in the queue how it ended.
async fn work(app: &App, job: &Job) {
    let outcome = tokio::select! {
        outcome = perform(app, job) => outcome,
        () = keep_lease(app, job) => return,
    };
    if let Err(error) = conclude(app, job, outcome).await {
        tracing::warn!(job.kind, %error, "how a job ended could not be written; its lease will run out");
    }
    app.work.notify_waiters();
}

/// Returns when the lease is lost.
async fn keep_lease(app: &App, job: &Job) {
    let third = Duration::from_secs(u64::try_from(limits::JOB_LEASE_SECONDS / 3).unwrap_or(1));
    loop {
        tokio::time::sleep(third).await;
        let renewed = async {
            let mut tx = app.store.tenant_tx(job.tenant).await?;
            jobs::renew(&mut tx, job, limits::JOB_LEASE_SECONDS).await?;
            tx.commit().await
        };
        if matches!(renewed.await, Err(StoreError::Raced)) {
            return;
        }
    }
}

async fn perform(app: &App, job: &Job) -> Result<Verdict, ServiceError> {
    match Work::ALL.into_iter().find(|work| work.word() == job.kind) {
        Some(Work::Fetch) => fetch::run_job(app, job).await,
        Some(Work::Erase) => deletion::run(app, job.tenant, DeletionId::from_uuid(job.subject)).await,
        Some(Work::EndAtBank) => revocation::run(app, job.tenant, job.subject).await,
        Some(Work::Deliver) => delivery::run(app, job.tenant, EndpointId::from_uuid(job.subject)).await,
        Some(Work::AskStatus) => status::run(app, job.tenant, ConsentId::from_uuid(job.subject)).await,
        None => Ok(Verdict::Done),
    }
}

async fn conclude(app: &App, job: &Job, outcome: Result<Verdict, ServiceError>) -> Result<(), StoreError> {
    let now = app.clock.now();
    let mut tx = app.store.tenant_tx(job.tenant).await?;
    match outcome {
        Ok(Verdict::Done) => jobs::finish(&mut tx, job).await?,
        Ok(Verdict::Again(at)) => jobs::wait(&mut tx, job, at).await?,
        Ok(Verdict::Next(_)) => {}
        // A promise to a person is never put aside: it is tried again, ever more slowly, until it is kept.
        Err(error) if job.attempts < limits::JOB_ATTEMPTS_MAX || job.kind != Work::Fetch.word() => {
            tracing::warn!(job.kind, job.attempts, error = format!("{error:#}"), "a job failed and is tried again");
            let pause = 1_i64 << job.attempts.clamp(0, 10);
            let at = now.saturating_add(SignedDuration::from_secs(pause)).unwrap_or(now);
            jobs::retry(&mut tx, job, at, error.code()).await?;
        }
        Err(error) => {
            tracing::error!(job.kind, error = format!("{error:#}"), "a job is put aside; an operator must look");
            jobs::park(&mut tx, job, error.code(), now).await?;
        }
    }
    tx.commit().await
}

/// Places evidence and numbers events, within a second of their writing.
async fn log(app: &Arc<App>, stop: &CancellationToken) {
    loop {
        if let Err(error) = place(app).await {
            tracing::warn!(error = format!("{error:#}"), "evidence could not be placed");
        }
        if !next(app, stop, QUEUE_PAUSE).await {
            break;
        }
    }
}

async fn place(app: &App) -> Result<(), ServiceError> {
    let mut tx = app.store.system_tx().await?;
    let with_evidence = store::evidence_log::waiting(&mut tx).await?;
    let with_events = events::waiting(&mut tx).await?;
    tx.commit().await?;
    // Events first: they need no key, and a provider that is out must not keep a withdrawal from its product.
    for tenant in with_events {
        telling::number(app, tenant).await?;
    }
    for tenant in with_evidence {
        while evidence_log::sequence(app, tenant).await? > 0 {}
    }
    Ok(())
}

async fn clocks(app: &Arc<App>, stop: &CancellationToken) {
    loop {
        if let Err(error) = look(app).await {
            tracing::warn!(error = format!("{error:#}"), "the clocks could not be looked at");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(CLOCK_PAUSE) => {}
        }
    }
}

/// Keys and certificates at banks. Apart from the other clocks: a trial call may take its time.
async fn rotations(app: &Arc<App>, stop: &CancellationToken) {
    loop {
        note("keys and certificates at banks", rotation::look(app).await);
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(CLOCK_PAUSE) => {}
        }
    }
}

/// Checkpoints to the witness. Apart from the other clocks: it may take its time.
async fn witness(app: &Arc<App>, stop: &CancellationToken) {
    let pause = Duration::from_secs(app.config.evidence.witness_seconds.into());
    while app.witness.is_some() {
        note("the witness of the log", witnessing::ask(app, app.tenant.id).await.map(|_| ()));
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Checkpoints to the time-stamp authority. Apart from the other clocks: it may take its time.
async fn timestamps(app: &Arc<App>, stop: &CancellationToken) {
    let pause = Duration::from_secs(app.config.evidence.timestamp_seconds.into());
    while app.time_authority.is_some() {
        note("the time-stamps of the log", timestamp::ask(app, app.tenant.id).await.map(|_| ()));
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One look at everything that time alone moves: clocks of consents, lost intents, retentions, epochs. The background work
/// repeats it; a test or an operator may ask for one, on any node, at any time.
///
/// # Errors
/// The database's or the key provider's; what was done until then stays done.
pub async fn look(app: &App) -> Result<(), ServiceError> {
    let mut tx = app.store.system_tx().await?;
    let all = tenants::all(&mut tx).await?;
    tx.commit().await?;
    for tenant in all {
        note("consents that are due", due(app, tenant.id).await);
        note("renewals nobody came back from", late_renewals(app, tenant.id).await);
        note("open intents", intents(app, tenant.id).await);
        note("acknowledgements", acknowledgement::remind(app, tenant.id).await);
        note("retention", retention(app, tenant.id).await);
        note("records", records(app, tenant.id).await);
        note("epochs", epochs(app, tenant.id).await);
    }
    Ok(())
}

/// One tenant's trouble, or one consent's, never stops the clocks of the others.
fn note(what: &'static str, outcome: Result<(), ServiceError>) {
    if let Err(error) = outcome {
        tracing::error!(error = format!("{error:#}"), "a clock could not be looked after: {what}");
    }
}

/// Moves every consent whose clock ran out.
async fn due(app: &App, tenant: TenantId) -> Result<(), ServiceError> {
    let mut tx = app.store.tenant_tx(tenant).await?;
    let due = consents::due(&mut tx, app.clock.now(), BATCH).await?;
    tx.commit().await?;
    for id in due {
        note("a consent that is due", by_timer(app, tenant, id, Event::Tick).await);
    }
    Ok(())
}

/// Gives up renewals whose time is over.
async fn late_renewals(app: &App, tenant: TenantId) -> Result<(), ServiceError> {
    let mut tx = app.store.tenant_tx(tenant).await?;
    let late = store::renewals::overdue(&mut tx, app.clock.now(), BATCH).await?;
    tx.commit().await?;
    for id in late {
        note("a renewal that nobody came back from", renewals::give_up(app, tenant, id).await);
    }
    Ok(())
}

async fn by_timer(app: &App, tenant: TenantId, id: ConsentId, event: Event) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(tenant).await?;
    let before = consents::lock(&mut tx, id).await?;
    moves::advance(app, &mut tx, &world, &before, event, "timer", |_| {}).await?;
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(())
}

/// Finds calls whose node died between the intent and the answer.
async fn intents(app: &App, tenant: TenantId) -> Result<(), ServiceError> {
    let world = app.world();
    let before = world.now.saturating_add(SignedDuration::from_secs(-INTENT_SECONDS)).unwrap_or(world.now);
    let mut tx = app.store.tenant_tx(tenant).await?;
    let open = grants::open_intents(&mut tx, before, BATCH).await?;
    tx.commit().await?;
    for grant in open {
        let mut tx = app.store.tenant_tx(tenant).await?;
        for consent in consents::standing_on(&mut tx, grant.id).await? {
            let consent = consents::lock(&mut tx, consent.id).await?;
            match grant.intent.map(|intent| intent.kind) {
                // The outcome is unknown, the user is gone: the login is over and what it left is swept.
                Some(IntentKind::CreateConsent | IntentKind::Redeem) if consent.machine.state == State::Initiated => {
                    moves::advance(app, &mut tx, &world, &consent, Event::LoginFailed, "timer", |_| {}).await?;
                }
                // A refresh is not among them: its intent stays until the next fetch has found out.
                Some(IntentKind::CreateConsent | IntentKind::Redeem | IntentKind::Refresh | IntentKind::End) | None => {
                }
            }
        }
        let locked = grants::lock(&mut tx, grant.id).await?;
        if locked.intent.is_some() {
            grants::save(&mut tx, &locked, &grants::Grant { intent: None, ..locked.clone() }).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Removes what has lived its time: data of consents that ended by themselves, raw answers, sessions, remembered answers.
async fn retention(app: &App, tenant: TenantId) -> Result<(), ServiceError> {
    let now = app.clock.now();
    note("holds whose time is over", holds::lift_past(app, tenant, BATCH).await);
    note("accounts that were kept", deletion::let_go(app, tenant, BATCH).await);
    let mut tx = app.store.tenant_tx(tenant).await?;
    let over = consents::past_retention(&mut tx, now, BATCH).await?;
    tx.commit().await?;
    for id in over {
        note("data past their retention", by_timer(app, tenant, id, Event::EraseRequested).await);
    }
    let mut tx = app.store.tenant_tx(tenant).await?;
    raw_pages::expire(&mut tx, now, i64::from(BATCH)).await?;
    page_sessions::sweep(&mut tx, now).await?;
    staff_sessions::sweep(&mut tx, now).await?;
    let noticed = now.saturating_add(SignedDuration::from_hours(-24 * limits::ALERT_DAYS)).unwrap_or(now);
    alerts::expire(&mut tx, noticed).await?;
    let log_begins = now.saturating_add(SignedDuration::from_hours(-24 * limits::WEBHOOK_LOG_DAYS)).unwrap_or(now);
    webhooks::expire(&mut tx, now, log_begins, i64::from(BATCH)).await?;
    idempotency::expire(&mut tx, now).await?;
    let measured = now.saturating_add(SignedDuration::from_hours(-24 * limits::BANK_HEALTH_DAYS)).unwrap_or(now);
    bank_health::expire(&mut tx, measured).await?;
    bank_limits::expire(&mut tx, now, measured).await?;
    tx.commit().await?;
    Ok(())
}

/// Takes what the evidence of a consent says once its record has had the years that the law wants; that something was said,
/// and its place in the log, stay.
async fn records(app: &App, tenant: TenantId) -> Result<(), ServiceError> {
    let mut tx = app.store.tenant_tx(tenant).await?;
    let years = tenants::get(&mut tx).await?.regime.policy().evidence_years;
    let before = app.clock.now().to_zoned(TimeZone::UTC).saturating_sub(years.years()).timestamp();
    for consent in store::evidence_log::outlived(&mut tx, before, BATCH).await? {
        match store::evidence_log::expire(&mut tx, consent.uuid()).await {
            // The sequencer comes first.
            Ok(_) | Err(StoreError::NotAllowed) => {}
            Err(error) => return Err(error.into()),
        }
    }
    tx.commit().await?;
    Ok(())
}

/// Wraps living keys anew under the current epoch and destroys epochs that have had their time.
async fn epochs(app: &App, tenant: TenantId) -> Result<(), ServiceError> {
    retire(app, tenant, app.vault.policy().oldest_kept_at(app.clock.now())).await
}

/// Wraps living keys anew under the current epoch and destroys every epoch before `oldest`, which is never a later one.
pub(crate) async fn retire(app: &App, tenant: TenantId, oldest: i64) -> Result<(), ServiceError> {
    let world = app.world();
    let current = app.vault.policy().epoch_at(world.now);
    loop {
        let mut tx = app.store.tenant_tx(tenant).await?;
        let old = keys::older_than(&mut tx, current, i64::from(BATCH)).await?;
        for kept in &old {
            if let Some(fresh) = app.vault.rewrap(tenant, &kept.wrapped, &world)? {
                keys::replace(&mut tx, kept, &fresh).await?;
            }
        }
        tx.commit().await?;
        if old.is_empty() {
            break;
        }
    }
    fault::point("epochs.rewrapped");
    let destroyed = app.vault.destroy_epochs_before(tenant, oldest.min(current), world.now)?;
    if destroyed.is_empty() {
        return Ok(());
    }
    fault::point("epochs.destroyed");
    let mut tx = app.store.tenant_tx(tenant).await?;
    let known = keys::epochs(&mut tx).await?;
    for fact in destroyed {
        if known.iter().any(|(epoch, at)| *epoch == fact.epoch && at.is_some()) {
            continue;
        }
        keys::record_epoch(&mut tx, fact.epoch, fact.at, Some(fact.at)).await?;
        let body =
            EpochDestroyed { epoch: fact.epoch, destroyed_at: fact.at, provider: app.vault.provider_kind().to_owned() };
        let note = evidence_log::state(app, &mut tx, &world, Subject::Tenant(tenant), &body).await?;
        for deletion in deletions::resting_on(&mut tx, fact.epoch).await? {
            revocation::add(&mut tx, deletion, "epoch.destroyed", note.clone(), world.now).await?;
        }
    }
    fault::point("epochs.before_commit");
    tx.commit().await?;
    fault::point("epochs.recorded");
    Ok(())
}

#[cfg(test)]
mod tests;
