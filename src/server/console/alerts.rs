//! Alerts: bursts of failed logins, guesses, unusual reads.

use std::sync::Arc;

use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use store::alerts::{self, Alert};

use super::ALERTS;
use super::access::Member;
use super::banks::moment;
use super::page::{Answer, fail, page};
use super::view::{Block, Cell, Section, Tone};
use crate::app::App;
use crate::services::ServiceError;

/// Alerts that one page shows.
const SHOWN: i64 = 200;
/// How far back it goes, in days.
const DAYS: i64 = 30;

/// What was noticed.
pub(super) async fn list(State(app): State<Arc<App>>, member: Member) -> Answer {
    let found = since(&app, DAYS * 24).await.map_err(fail(&member))?;
    let row = |one: &Alert| {
        vec![
            Cell::badge(Tone::Bad, words(&one.kind)),
            Cell::code(&one.subject),
            Cell::text(one.number),
            Cell::text(moment(one.raised_at)),
        ]
    };
    let table = Block::Table {
        caption: "Alerts".to_owned(),
        head: vec!["What", "Who", "Times or rows", "When"],
        rows: found.iter().map(row).collect(),
        none: "Nothing was noticed.",
    };
    let lead = format!("What looked like an attack or a leak in the last {DAYS} days.");
    Ok(page(&member, ALERTS, "Alerts", &lead, vec![Section::new("", vec![table])]))
}

/// Alerts of the last hours.
pub(super) async fn since(app: &App, hours: i64) -> Result<Vec<Alert>, ServiceError> {
    let now = app.clock.now();
    let begin = now.saturating_sub(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MIN);
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let found = alerts::since(&mut tx, begin, SHOWN).await?;
    tx.commit().await?;
    Ok(found)
}

/// The word of a kind as people say it.
fn words(kind: &str) -> String {
    kind.replace('_', " ")
}
