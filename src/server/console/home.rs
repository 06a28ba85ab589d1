//! What needs somebody now.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use domain::staff::Action;
use jiff::Timestamp;
use store::desk;
use store::overview::{self, Count};

use super::HOME;
use super::access::Member;
use super::alerts;
use super::keys::SOON_DAYS;
use super::page::{Answer, fail, page};
use super::view::{Block, Section, Tile, Tone};
use crate::app::App;
use crate::services::ServiceError;

/// A checkpoint older than so many seconds says that the log stands still.
const CHECKPOINT_SECONDS: i64 = 15 * 60;

pub(super) async fn show(State(app): State<Arc<App>>, member: Member) -> Answer {
    let tiles = look(&app, &member).await.map_err(fail(&member))?;
    let (wants, fine): (Vec<_>, Vec<_>) =
        tiles.into_iter().partition(|tile| matches!(tile.tone, Tone::Wait | Tone::Bad));
    let now = match wants.is_empty() {
        true => Block::Note(Tone::Good, "Nothing needs you.".to_owned()),
        false => Block::Tiles(wants),
    };
    let sections =
        vec![Section::new("Needs somebody", vec![now]), Section::new("As it should be", vec![Block::Tiles(fine)])];
    Ok(shown(&app, &member, sections))
}

fn shown(app: &App, member: &Member, sections: Vec<Section>) -> Response {
    let lead = format!("{}, as of {:.0}.", app.tenant.name, app.clock.now());
    page(member, HOME, "Now", &lead, sections)
}

/// What the database says, as figures.
async fn look(app: &App, member: &Member) -> Result<Vec<Tile>, ServiceError> {
    let now = app.clock.now();
    let mut tiles = Vec::new();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let alerts = alerts::number(app, &mut tx, 24).await?;
    let consents = overview::consents(&mut tx).await?;
    let endpoints = overview::endpoints(&mut tx).await?;
    let deletions = overview::deletions(&mut tx).await?;
    let evidence = overview::evidence(&mut tx).await?;
    let breakers = overview::breakers(&mut tx, now).await?;
    let deliveries = overview::deliveries(&mut tx).await?;
    let parked = desk::parked(&mut tx).await?;
    tx.commit().await?;
    let mut add = |action, tone, figure: i64, label: &str| {
        if member.may(action) {
            tiles.push(Tile {
                figure: figure.to_string(),
                label: label.to_owned(),
                href: super::place_of(action),
                tone,
            });
        }
    };
    let bad = |number: i64| if number == 0 { Tone::Good } else { Tone::Bad };
    let wait = |number: i64| if number == 0 { Tone::Good } else { Tone::Wait };
    add(Action::SeeAlerts, bad(alerts), alerts, "alerts in the last 24 hours");
    let open = i64::try_from(breakers.len()).unwrap_or(i64::MAX);
    add(Action::SeeBanks, bad(open), open, "services of banks that are left alone");
    let asked = of(&consents, "reauth_pending");
    add(Action::SeeConsents, Tone::Quiet, of(&consents, "active"), "active consents");
    add(Action::SeeConsents, wait(asked), asked, "consents wait for their person");
    add(Action::SeeDeletions, wait(deletions.open), deletions.open, "erasures under way");
    add(Action::SeeDeletions, wait(deletions.unconfirmed), deletions.unconfirmed, "ends that a bank has not confirmed");
    add(Action::SeeDeletions, Tone::Quiet, deletions.blocked, "erasures that a legal hold keeps");
    add(Action::SeeDeliveries, Tone::Quiet, deliveries, "deliveries under way");
    let silent = endpoints.iter().filter(|count| count.state != "active").map(|count| count.number).sum();
    add(Action::SeeDeliveries, bad(silent), silent, "endpoints that take nothing");
    add(Action::SeeJobs, bad(parked), parked, "jobs put aside");
    let (ending, late) = (ending(app, now), behind(evidence.signed_at, evidence.waiting, now));
    add(Action::SeeKeys, wait(ending), ending, "certificates that end within a month");
    add(
        Action::SearchLog,
        bad(late),
        evidence.entries,
        if late == 0 { "entries of the evidence log" } else { "entries of an evidence log that stands still" },
    );
    Ok(tiles)
}

fn of(counts: &[Count], state: &str) -> i64 {
    counts.iter().find(|count| count.state == state).map_or(0, |count| count.number)
}

/// Certificates that end soon.
fn ending(app: &App, now: Timestamp) -> i64 {
    let days = |until: Timestamp| until.duration_since(now).as_hours() / 24;
    let all = app.connections.all();
    let soon =
        all.iter().filter(|connection| connection.certificate_until.is_some_and(|until| days(until) < SOON_DAYS));
    i64::try_from(soon.count()).unwrap_or(i64::MAX)
}

/// 1 where entries wait and no checkpoint was signed for long.
fn behind(signed_at: Option<Timestamp>, waiting: i64, now: Timestamp) -> i64 {
    let old = signed_at.is_some_and(|at| now.duration_since(at).as_secs() > CHECKPOINT_SECONDS);
    i64::from(waiting > 0 && old)
}
