//! What a person shares through one product: everything at a glance, a stop for each, and what became of it.

use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, REFRESH};
use axum::response::{Html, IntoResponse as _, Response};
use domain::consent::{DataState, ReauthReason, RevokedBy, State as ConsentState};
use domain::ids::ConsentId;
use domain::limits::CONSENTS_PER_OVERVIEW_MAX;
use domain::warning;
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use store::consents::{self, Consent};
use store::deletions::{self, Bank, Deletion, State as Progress};
use store::{StoreError, TenantTx};

use super::form::Signed;
use super::headers::Segment;
use super::scene::{self, Scene};
use super::{LOOK_AGAIN, OVERVIEW, accounts, reply};
use crate::app::App;
use crate::evidence_log::{self, About};
use crate::pages;
use crate::pages::view::{
    BankAnswer, Cluster, Connection, Erasure, Keep, Outcome, OverviewView, Standing, StoppedView,
};
use crate::services::{ServiceError, consents as moves, deletion};

/// The overview.
pub(super) async fn overview(State(app): State<Arc<App>>, scene: Scene) -> Response {
    reply::shown(&app, Some(&scene), all(&app, &scene).await)
}

async fn all(app: &App, scene: &Scene) -> Result<Response, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let psu = Some(scene.consent.psu);
    let (mut connections, mut before) = (Vec::new(), None);
    // What was never given is no sharing, and hides none.
    while connections.len() < CONSENTS_PER_OVERVIEW_MAX as usize {
        let page = consents::of_product(&mut tx, scene.product.id, psu, before, CONSENTS_PER_OVERVIEW_MAX).await?;
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        for consent in page.iter().filter(|consent| consent.authorized_at.is_some()) {
            connections.push(connection(app, &mut tx, scene, consent).await?);
        }
    }
    connections.truncate(CONSENTS_PER_OVERVIEW_MAX as usize);
    tx.commit().await?;
    connections.sort_by_key(|connection| matches!(connection.standing, Standing::Ended { .. }));
    let view = OverviewView { brand: reply::brand(app, Some(&scene.product)), connections };
    Ok(Html(pages::overview(&view)).into_response())
}

async fn connection(
    app: &App,
    tx: &mut TenantTx,
    scene: &Scene,
    consent: &Consent,
) -> Result<Connection, ServiceError> {
    let zone = moves::zone(app, consent);
    let held = accounts::held(app, tx, scene.product.id, consent.id).await?;
    let stop = || scene.form(&format!("/my/stop/{}", consent.id));
    let standing = match consent.machine.state {
        ConsentState::Initiated | ConsentState::Authorized | ConsentState::Active => {
            let (until, keep) = (moves::last_day(app, consent), keep(app, scene, consent));
            Standing::Active { until, keep, stop: stop() }
        }
        ConsentState::ReauthPending(_) => {
            let until = moves::last_day(app, consent);
            Standing::NeedsYou { until, keep: keep(app, scene, consent), stop: stop() }
        }
        ConsentState::Expired(_) | ConsentState::Revoked(_) | ConsentState::Failed(_) => {
            let deletion = last_deletion(tx, consent.id).await?;
            let at = consent.ended_at.unwrap_or(consent.created_at).to_zoned(zone.clone());
            let readable = consent.machine.data == DataState::Readable;
            Standing::Ended { at, erasure: erasure(consent, deletion.as_ref(), &zone), stop: readable.then(stop) }
        }
    };
    // The last one goes with the whole.
    let several = held.accounts.len() > 1 && !matches!(standing, Standing::Ended { .. });
    let since = consent.authorized_at.unwrap_or(consent.created_at).to_zoned(zone.clone()).date();
    Ok(Connection {
        id: consent.id.to_string(),
        bank: scene::bank_name(app, consent).unwrap_or_default(),
        product: scene.product.name.clone(),
        purposes: consent.purposes.clone(),
        clusters: clusters(&consent.clusters),
        accounts: held.accounts,
        since,
        last_read: held.last_read.map(|at| at.to_zoned(zone)),
        standing,
        remove: several.then(|| scene.form(&format!("/my/remove/{}", consent.id))),
    })
}

/// What the person can do to keep a consent going, where something is due within the first warning's distance.
fn keep(app: &App, scene: &Scene, consent: &Consent) -> Option<Keep> {
    let form = |what: &str| scene.form(&format!("/my/{what}/{}", consent.id));
    let renew = || Keep::AtBank { renew: reply::own(&format!("/my/renew/{}", consent.id)) };
    let soon = app.clock.now().saturating_add(SignedDuration::from_hours(24 * warning::DAYS_BEFORE[0])).ok()?;
    let word = consent.machine.clocks.and_then(|clocks| clocks.reconfirm_due).is_some_and(|at| at <= soon);
    match consent.machine.state {
        ConsentState::ReauthPending(ReauthReason::ReconfirmMissed | ReauthReason::SuspendedByBank)
            if word && consent.machine.may_reconfirm() =>
        {
            return Some(Keep::WithUs { confirm: form("reconfirm") });
        }
        // Where the bank holds it back, a new authentication is all else that the person can try.
        ConsentState::ReauthPending(
            ReauthReason::ScaExpired
            | ReauthReason::ReconfirmMissed
            | ReauthReason::TokenLost
            | ReauthReason::SuspendedByBank
            | ReauthReason::Displaced,
        ) => return Some(renew()),
        ConsentState::Authorized | ConsentState::Active => {}
        ConsentState::Initiated | ConsentState::Expired(_) | ConsentState::Revoked(_) | ConsentState::Failed(_) => {
            return None;
        }
    }
    let clocks = consent.machine.clocks?;
    if word && consent.machine.may_reconfirm() {
        Some(Keep::WithUs { confirm: form("reconfirm") })
    } else if clocks.sca_due.is_some_and(|at| at <= soon) || clocks.term_ends <= soon {
        Some(renew())
    } else {
        None
    }
}

/// Kinds of data by name alone, in the order of the consent text.
fn clusters(given: &[String]) -> Vec<Cluster> {
    let has = |cluster: &str| given.iter().any(|given| given == cluster);
    let mut shared = vec![Cluster::Accounts, Cluster::Holder];
    shared.extend(has("balances").then_some(Cluster::Balances));
    shared.extend(has("transactions").then_some(Cluster::Transactions { history_days: None }));
    shared
}

/// The erasure of a whole consent, the newest.
async fn last_deletion(tx: &mut TenantTx, consent: ConsentId) -> Result<Option<Deletion>, StoreError> {
    Ok(deletions::of_consent(tx, consent).await?.into_iter().rfind(|deletion| deletion.line.is_none()))
}

fn erasure(consent: &Consent, deletion: Option<&Deletion>, zone: &TimeZone) -> Erasure {
    let Some(deletion) = deletion else {
        let readable = consent.machine.data == DataState::Readable;
        return if consent.machine.data.is_kept() { Erasure::Kept { readable } } else { Erasure::Running };
    };
    match (deletion.state, deletion.erased_at) {
        (Progress::Receipted, Some(at)) => Erasure::Done {
            at: at.to_zoned(zone.clone()),
            unreadable_after: deletion.unreadable_after.map(|at| at.to_zoned(zone.clone())),
            receipt: Some(reply::own(&format!("/my/receipt/{}", consent.id))),
        },
        (Progress::Blocked, _) => Erasure::Held,
        _ => Erasure::Running,
    }
}

/// A consent of the same person and product as the session's; anybody else's does not exist.
pub(super) async fn own(tx: &mut TenantTx, scene: &Scene, id: &str) -> Result<Option<Consent>, ServiceError> {
    let Ok(id) = id.parse::<ConsentId>() else { return Ok(None) };
    match consents::get(tx, id).await {
        Ok(consent) => Ok(Some(consent).filter(|found| is_of(found, &scene.consent))),
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_of(found: &Consent, session: &Consent) -> bool {
    found.psu == session.psu && found.product == session.product
}

/// Stops sharing: reads and fetches end with this commit, the bank is told, the data are erased.
pub(super) async fn stop(State(app): State<Arc<App>>, Segment(id): Segment, Signed { scene, .. }: Signed) -> Response {
    reply::changed(&app, &scene, end(&app, &scene, &id).await)
}

async fn end(app: &App, scene: &Scene, id: &str) -> Result<Response, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let Some(consent) = own(&mut tx, scene, id).await? else {
        return Ok(reply::ending(app, Some(scene), Outcome::Unknown));
    };
    tx.commit().await?;
    match moves::revoke(app, app.tenant.id, consent.id, RevokedBy::Psu, "psu").await {
        // It was over already: the overview says since when.
        Err(ServiceError::Refused(_)) => Ok(reply::see_other(OVERVIEW)),
        Err(error) => Err(error),
        Ok(_) => Ok(reply::see_other(&format!("/my/stopped/{}", consent.id))),
    }
}

/// Takes one account out: nothing of it is read or served from this commit on, and its data are erased.
pub(super) async fn remove(State(app): State<Arc<App>>, Segment(id): Segment, signed: Signed) -> Response {
    let Signed { scene, fields } = signed;
    reply::changed(&app, &scene, take_out(&app, &scene, &id, fields.get("account")).await)
}

async fn take_out(app: &App, scene: &Scene, id: &str, account: &str) -> Result<Response, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let Some(consent) = own(&mut tx, scene, id).await? else {
        return Ok(reply::ending(app, Some(scene), Outcome::Unknown));
    };
    tx.commit().await?;
    let Ok(line) = account.parse() else { return Ok(reply::see_other(OVERVIEW)) };
    match deletion::remove_account(app, app.tenant.id, consent.id, line, "psu").await {
        // It is out already, or the whole consent is over: the overview says so.
        Ok(_) | Err(ServiceError::Store(StoreError::NotFound(_) | StoreError::NotAllowed)) => {
            Ok(reply::see_other(OVERVIEW))
        }
        Err(error) => Err(error),
    }
}

/// What has happened since a stop: at our side, at the bank, to the data.
pub(super) async fn stopped(State(app): State<Arc<App>>, Segment(id): Segment, scene: Scene) -> Response {
    reply::shown(&app, Some(&scene), course(&app, &scene, &id).await)
}

async fn course(app: &App, scene: &Scene, id: &str) -> Result<Response, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let Some(consent) = own(&mut tx, scene, id).await? else {
        return Ok(reply::ending(app, Some(scene), Outcome::Unknown));
    };
    let Some(deletion) = last_deletion(&mut tx, consent.id).await? else { return Ok(reply::see_other(OVERVIEW)) };
    tx.commit().await?;
    let zone = moves::zone(app, &consent);
    let view = StoppedView {
        brand: reply::brand(app, Some(&scene.product)),
        bank: scene::bank_name(app, &consent).unwrap_or_default(),
        stopped_at: deletion.stopped_at.to_zoned(zone.clone()),
        bank_before_confirming: app.tenant.regime.policy().bank_before_confirming,
        bank_answer: answer(&deletion, &zone),
        erasure: erasure(&consent, Some(&deletion), &zone),
        overview: reply::own(OVERVIEW),
    };
    let mut page = Html(pages::stopped(&view)).into_response();
    if matches!(view.erasure, Erasure::Running) {
        page.headers_mut().insert(REFRESH, LOOK_AGAIN);
    }
    Ok(page)
}

fn answer(deletion: &Deletion, zone: &TimeZone) -> BankAnswer {
    match deletion.bank {
        Bank::NotNeeded => BankAnswer::NotNeeded,
        Bank::Pending => BankAnswer::Pending,
        Bank::Confirmed => {
            let at = deletion.bank_at.unwrap_or(deletion.stopped_at).to_zoned(zone.clone());
            BankAnswer::Confirmed { at }
        }
        Bank::Unconfirmed => BankAnswer::Unconfirmed,
    }
}

/// The signed receipt with its proof, as a file that anybody can verify offline.
pub(super) async fn receipt(State(app): State<Arc<App>>, Segment(id): Segment, scene: Scene) -> Response {
    reply::shown(&app, Some(&scene), file(&app, &scene, &id).await)
}

async fn file(app: &App, scene: &Scene, id: &str) -> Result<Response, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let Some(consent) = own(&mut tx, scene, id).await? else {
        return Ok(reply::ending(app, Some(scene), Outcome::Unknown));
    };
    let written = last_deletion(&mut tx, consent.id).await?.is_some_and(|found| found.state == Progress::Receipted);
    tx.commit().await?;
    if !written {
        return Ok(reply::see_other(&format!("/my/stopped/{}", consent.id)));
    }
    // The receipt may be waiting for its place in the log; without one it proves nothing.
    evidence_log::sequence(app, app.tenant.id).await?;
    let about = About { tenant: app.tenant.id, consent: consent.id };
    let bundle = evidence_log::bundle(app, about, None).await?.context("a log with a receipt has a checkpoint")?;
    let name = format!("attachment; filename=\"receipt-{}.json\"", consent.id);
    Ok(([(CONTENT_TYPE, "application/json".to_owned()), (CONTENT_DISPOSITION, name)], bundle).into_response())
}
