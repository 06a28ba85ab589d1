//! Alerts: bursts of failed logins, guesses, unusual reads.

use std::sync::Arc;

use axum::extract::State;
use domain::alert::Kind;
use jiff::{SignedDuration, Timestamp};
use store::TenantTx;
use store::alerts::{self, Alert};

use super::ALERTS;
use super::access::Member;
use super::banks::moment;
use super::page::{Answer, fail, page};
use super::view::{Block, Cell, Section, Tone};
use crate::app::App;
use crate::services::ServiceError;

/// Alerts that one table shows.
const SHOWN: i64 = 200;
/// How far back it goes, in days.
const DAYS: i64 = 30;

/// What was noticed: of our own keys and staff apart from addresses, so that a stranger with many addresses pushes nothing off
/// the page.
pub(super) async fn list(State(app): State<Arc<App>>, member: Member) -> Answer {
    let (of_ours, of_addresses) = read(&app).await.map_err(fail(&member))?;
    let sections = vec![
        Section::new("Keys and staff", vec![table("Alerts about keys and staff", &of_ours)]),
        Section::new("Addresses", vec![table("Alerts about addresses", &of_addresses)]),
    ];
    let lead = format!("What looked like an attack or a leak in the last {DAYS} days; of each the newest {SHOWN}.");
    Ok(page(&member, ALERTS, "Alerts", &lead, sections))
}

fn table(caption: &str, found: &[Alert]) -> Block {
    let row = |one: &Alert| {
        vec![
            Cell::badge(Tone::Bad, words(&one.kind)),
            Cell::code(&one.subject),
            Cell::text(one.number),
            Cell::text(moment(one.raised_at)),
        ]
    };
    Block::Table {
        caption: caption.to_owned(),
        head: vec!["What", "Who", "Times or rows", "When"],
        rows: found.iter().map(row).collect(),
        none: "Nothing was noticed.",
    }
}

async fn read(app: &App) -> Result<(Vec<Alert>, Vec<Alert>), ServiceError> {
    let begin = ago(app, DAYS * 24);
    let words = |kinds: Vec<Kind>| kinds.into_iter().map(|kind| kind.word().to_owned()).collect::<Vec<_>>();
    let (of_addresses, of_ours) = Kind::ALL.into_iter().partition(|kind| kind.is_of_addresses());
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let of_ours = alerts::since(&mut tx, &words(of_ours), begin, SHOWN).await?;
    let of_addresses = alerts::since(&mut tx, &words(of_addresses), begin, SHOWN).await?;
    tx.commit().await?;
    Ok((of_ours, of_addresses))
}

fn ago(app: &App, hours: i64) -> Timestamp {
    app.clock.now().saturating_sub(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MIN)
}

/// How many alerts the last hours brought.
pub(super) async fn number(app: &App, tx: &mut TenantTx, hours: i64) -> Result<i64, ServiceError> {
    Ok(alerts::number(tx, ago(app, hours)).await?)
}

/// The word of a kind as people say it.
fn words(kind: &str) -> String {
    kind.replace('_', " ")
}
