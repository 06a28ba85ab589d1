//! How banks behave: health over time, breakers, budgets, incidents.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use domain::ids::RegistrationId;
use jiff::{SignedDuration, Timestamp};
use store::bank_health::{self, Count, Incident};
use store::desk::{self, Breaker, Spent};

use super::BANKS;
use super::access::Member;
use super::page::{Answer, fail, missing, page};
use super::view::{Block, Cell, Chart, Column, Section, Tone};
use crate::api::health::HealthBody;
use crate::app::App;
use crate::connections::Connection;
use crate::services::ServiceError;
use crate::web::headers::Segment;

/// What a chart shows, in hours.
const HOURS: i64 = 24;
/// Height of a chart, and its width.
const HEIGHT: i64 = 160;
const WIDTH: i64 = 720;

/// Every bank at which we are registered.
pub(super) async fn list(State(app): State<Arc<App>>, member: Member) -> Answer {
    let since = ago(app.clock.now(), HOURS);
    let mut rows = Vec::new();
    for connection in app.connections.all() {
        let seen = seen(&app, &connection.id, since).await.map_err(fail(&member))?;
        let health = HealthBody::of(&connection.institution, &seen.counts, seen.incidents);
        let calls: i64 = seen.counts.iter().map(|count| count.calls).sum();
        rows.push(vec![
            Cell::text(name(&app, &connection)).to(format!("{BANKS}/{}", connection.id)),
            standing(&health.status),
            Cell::text(calls),
            Cell::text(health.incidents.iter().filter(|incident| incident.closed_at.is_none()).count()),
            Cell::text(connection.environment_word),
            Cell::code(&connection.id),
        ]);
    }
    let table = Block::Table {
        caption: "Banks".to_owned(),
        head: vec!["Bank", "Health", "Calls in 24 h", "Open incidents", "Environment", "Registration"],
        rows,
        none: "We are registered at no bank.",
    };
    Ok(page(
        &member,
        BANKS,
        "Banks",
        "What our own calls of the last 24 hours say.",
        vec![Section::new("", vec![table])],
    ))
}

/// One bank.
pub(super) async fn show(State(app): State<Arc<App>>, Segment(id): Segment, member: Member) -> Answer {
    let connection = RegistrationId::new(&id).and_then(|id| app.connections.get(&id));
    let Some(connection) = connection else { return Err(missing(&member)) };
    let now = app.clock.now();
    let since = ago(now, HOURS);
    let seen = seen(&app, &connection.id, since).await.map_err(fail(&member))?;
    let health = HealthBody::of(&connection.institution, &seen.counts, seen.incidents.clone());
    let capabilities = health.capabilities.iter().map(|one| {
        let errors: Vec<_> = one.errors.iter().map(|(class, number)| format!("{class} {number}")).collect();
        vec![
            Cell::text(&one.capability),
            standing(&one.status),
            Cell::text(one.calls),
            Cell::text(per_cent(one.ok_per_mille)),
            Cell::text(format!("{} ms", one.mean_millis)),
            Cell::text(if errors.is_empty() { "–".to_owned() } else { errors.join(", ") }),
        ]
    });
    let capabilities = Block::Table {
        caption: "Capabilities".to_owned(),
        head: vec!["Capability", "Health", "Calls", "Answered", "Mean time", "Errors"],
        rows: capabilities.collect(),
        none: "Nothing was asked of it in the last 24 hours.",
    };
    let sections = vec![
        Section::new("Calls by the hour", vec![Block::Chart(calls(&seen.counts, since))]),
        Section::new("Mean time by the hour", vec![Block::Chart(times(&seen.counts, since))]),
        Section::new("Capabilities", vec![capabilities]),
        Section::new("Breakers", vec![breakers(seen.breakers, now)]),
        Section::new("Reads without a person", vec![budgets(seen.spent)]),
        Section::new("Incidents", vec![incidents(seen.incidents)]),
    ];
    let lead = format!("{} of {}, {}.", connection.environment_word, connection.institution, connection.id);
    Ok(page(&member, BANKS, name(&app, &connection), &lead, sections))
}

/// What is known of a bank.
struct Seen {
    counts: Vec<Count>,
    incidents: Vec<Incident>,
    breakers: Vec<Breaker>,
    spent: Vec<Spent>,
}

async fn seen(app: &App, registration: &RegistrationId, since: Timestamp) -> Result<Seen, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let yesterday = since.to_zoned(jiff::tz::TimeZone::UTC).date();
    let seen = Seen {
        counts: bank_health::counts(&mut tx, registration, since).await?,
        incidents: bank_health::incidents(&mut tx, registration, ago(since, 29 * 24)).await?,
        breakers: desk::breakers(&mut tx, registration).await?,
        spent: desk::spent(&mut tx, registration, yesterday).await?,
    };
    tx.commit().await?;
    Ok(seen)
}

fn ago(now: Timestamp, hours: i64) -> Timestamp {
    now.saturating_sub(SignedDuration::from_hours(hours)).unwrap_or(now)
}

fn name(app: &App, connection: &Connection) -> String {
    app.directory
        .get(&connection.institution)
        .map_or_else(|| connection.institution.to_string(), |profile| profile.bank.name.clone())
}

fn standing(word: &str) -> Cell {
    let tone = match word {
        "up" => Tone::Good,
        "degraded" => Tone::Wait,
        "down" => Tone::Bad,
        _ => Tone::Quiet,
    };
    Cell::badge(tone, word)
}

fn per_cent(per_mille: i64) -> String {
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}

fn breakers(found: Vec<Breaker>, now: Timestamp) -> Block {
    let rows = found.into_iter().map(|one| {
        let open = one.open_until.filter(|until| *until > now);
        let state = match open {
            Some(_) => Cell::badge(Tone::Bad, "open"),
            None => Cell::badge(Tone::Wait, "closed"),
        };
        vec![Cell::text(one.capability), state, Cell::text(one.failures), Cell::maybe(open.map(moment))]
    });
    Block::Table {
        caption: "Breakers".to_owned(),
        head: vec!["Capability", "Breaker", "Failures in a row", "Left alone until"],
        rows: rows.collect(),
        none: "Every breaker is closed.",
    }
}

fn budgets(spent: Vec<Spent>) -> Block {
    let row = |one: Spent| {
        let cells = [one.subjects, one.used, i64::from(one.most)].map(Cell::text);
        [Cell::text(one.day), Cell::text(one.operation)].into_iter().chain(cells).collect()
    };
    Block::Table {
        caption: "Budgets".to_owned(),
        head: vec!["The bank's day", "Read", "Consents or accounts", "Reads", "Most of one"],
        rows: spent.into_iter().map(row).collect(),
        none: "Nothing was taken from a budget since yesterday.",
    }
}

fn incidents(found: Vec<Incident>) -> Block {
    let rows = found.into_iter().map(|one| {
        let state = match one.closed_at {
            None => Cell::badge(Tone::Bad, "open"),
            Some(_) => Cell::badge(Tone::Quiet, "over"),
        };
        let until = Cell::maybe(one.closed_at.map(moment));
        vec![state, Cell::text(one.capability), Cell::text(one.cause), Cell::text(moment(one.opened_at)), until]
    });
    Block::Table {
        caption: "Incidents".to_owned(),
        head: vec!["", "Capability", "Began with", "From", "Until"],
        rows: rows.collect(),
        none: "None in the last 30 days.",
    }
}

/// An instant to the second.
pub(super) fn moment(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// What is counted of one hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Hour {
    ok: i64,
    failed: i64,
    millis: i64,
}

/// Counts of each hour since a moment, by the number of the hour.
fn hours(counts: &[Count], since: Timestamp) -> BTreeMap<i64, Hour> {
    let mut hours: BTreeMap<i64, Hour> = (0..HOURS).map(|hour| (hour, Hour::default())).collect();
    for count in counts {
        let at = count.window.duration_since(since).as_secs() / 3600;
        let hour = hours.entry(at.clamp(0, HOURS - 1)).or_default();
        if count.outcome == "ok" {
            hour.ok += count.calls;
        } else {
            hour.failed += count.calls;
        }
        hour.millis += count.millis;
    }
    hours
}

fn calls(counts: &[Count], since: Timestamp) -> Chart {
    let hours = hours(counts, since);
    let most = hours.values().map(|hour| hour.ok + hour.failed).max().unwrap_or_default();
    let (ok, failed) = hours.values().fold((0, 0), |(ok, failed), hour| (ok + hour.ok, failed + hour.failed));
    let parts = |hour: &Hour| (hour.ok, hour.failed, format!("{} answered, {} failed", hour.ok, hour.failed));
    chart(&hours, since, most, format!("{most} calls"), parts, format!("{ok} calls were answered, {failed} failed."))
}

fn times(counts: &[Count], since: Timestamp) -> Chart {
    let hours = hours(counts, since);
    let mean = |hour: &Hour| hour.millis.checked_div(hour.ok + hour.failed).unwrap_or_default();
    let most = hours.values().map(mean).max().unwrap_or_default();
    let parts = |hour: &Hour| (mean(hour), 0, format!("{} ms", mean(hour)));
    chart(
        &hours,
        since,
        most,
        format!("{most} ms"),
        parts,
        format!("At most {most} milliseconds in the mean of an hour."),
    )
}

fn chart(
    hours: &BTreeMap<i64, Hour>,
    since: Timestamp,
    most: i64,
    top: String,
    parts: impl Fn(&Hour) -> (i64, i64, String),
    label: String,
) -> Chart {
    let step = WIDTH / HOURS;
    let begin = |hour: i64| since.saturating_add(SignedDuration::from_hours(hour)).unwrap_or(since);
    let clock = |hour: i64| begin(hour).to_zoned(jiff::tz::TimeZone::UTC).strftime("%H:%M").to_string();
    let height = |figure: i64| (figure * HEIGHT).checked_div(most).unwrap_or_default();
    let column = |(hour, counted): (&i64, &Hour)| {
        let (lower, upper, words) = parts(counted);
        let title = format!("{} to {}: {words}", clock(*hour), clock(hour + 1));
        Column { x: hour * step + 2, width: step - 4, lower: height(lower), upper: height(upper), title }
    };
    let ticks = (0..HOURS).step_by(6).map(|hour| (hour * step, clock(hour))).collect();
    Chart { label, columns: hours.iter().map(column).collect(), ticks, top }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: Timestamp = Timestamp::constant(1_795_252_000, 0);

    fn count(hour: i64, outcome: &str, calls: i64, millis: i64) -> Count {
        let window = BEGIN.saturating_add(SignedDuration::from_hours(hour)).unwrap();
        Count { capability: "accounts".to_owned(), window, outcome: outcome.to_owned(), calls, millis }
    }

    #[test]
    fn a_chart_stays_in_its_box_and_says_what_it_shows() {
        let counts =
            [count(0, "ok", 30, 900), count(5, "ok", 90, 90), count(5, "server", 10, 10), count(99, "ok", 1, 1)];
        let drawn = calls(&counts, BEGIN);
        assert_eq!(drawn.columns.len(), 24);
        assert_eq!((drawn.columns[0].lower, drawn.columns[5].lower, drawn.columns[5].upper), (48, 144, 16));
        assert!(drawn.columns.iter().all(|one| one.lower + one.upper <= HEIGHT && one.x + one.width <= WIDTH));
        assert_eq!(drawn.label, "121 calls were answered, 10 failed.");
        assert_eq!(times(&counts, BEGIN).top, "30 ms");
        let nothing = calls(&[], BEGIN);
        assert!(nothing.columns.iter().all(|one| one.lower + one.upper == 0));
    }
}
