//! A period in figures: how many, how long, what is open and why. For a reader who knows the law and not this program.

use std::fmt;

use askama::Template;
use domain::consent::State;
use domain::hold::State as HoldState;
use jiff::Timestamp;
use serde_json::{Value, json};
use store::compliance::{self as rows, Deletions, Durations, Moves, Open};
use store::holds::{self, Hold};
use store::overview::{self, Count, Evidence};

use crate::app::App;
use crate::services::ServiceError;

/// Open matters that a report lists; more are counted in the metrics.
const OPEN_MAX: i64 = 1000;

/// What was done between two moments, and what is open now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// From this moment on.
    pub from: Timestamp,
    /// Before this moment.
    pub until: Timestamp,
    /// When it was made.
    pub made_at: Timestamp,
    /// The tenant's name.
    pub tenant: String,
    /// The law that its consents are under.
    pub regime: &'static str,
    /// Moves of consents in the time.
    pub moves: Vec<Moves>,
    /// Consents by state, now.
    pub standing: Vec<Count>,
    /// Deletions that began in the time.
    pub deletions: Deletions,
    /// On what something is still owed, now.
    pub open: Vec<Open>,
    /// Legal holds that stand, or are asked for.
    pub holds: Vec<Hold>,
    /// The log, now.
    pub log: Evidence,
}

/// Reads the figures.
///
/// # Errors
/// The database's.
pub async fn of_period(app: &App, from: Timestamp, until: Timestamp) -> Result<Report, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let mut holds = holds::all(&mut tx).await?;
    holds.retain(|hold| hold.machine.state.holds() || hold.machine.state == HoldState::Asked);
    let report = Report {
        from,
        until,
        made_at: app.clock.now(),
        tenant: app.tenant.name.clone(),
        regime: app.tenant.regime.as_str(),
        moves: rows::moves(&mut tx, from, until).await?,
        standing: overview::consents(&mut tx).await?,
        deletions: rows::deletions(&mut tx, from, until).await?,
        open: rows::open(&mut tx, OPEN_MAX).await?,
        holds,
        log: overview::evidence(&mut tx).await?,
    };
    tx.commit().await?;
    Ok(report)
}

/// Why something is still owed on a deletion, in the order in which it is settled.
fn reasons(open: &Open) -> Vec<&'static str> {
    let erasure = match open.state.as_str() {
        "blocked" => Some("a legal hold wants the data kept"),
        "receipted" => None,
        _ => Some("the erasure is on its way"),
    };
    let bank = match open.bank.as_str() {
        "pending" => Some("the bank has not yet said that the consent is over"),
        "unconfirmed" => Some("the bank has not confirmed that the consent is over"),
        _ => None,
    };
    let owes_word = open.receipted_at.is_some() && open.acknowledged_at.is_none();
    let product = owes_word.then_some("the product has not said that its own copies are gone");
    [erasure, bank, product].into_iter().flatten().collect()
}

/// What became of a consent, in words.
fn in_words(moves: &Moves) -> String {
    let said = match State::parse(&moves.state, moves.reason.as_deref()) {
        Some(State::Initiated) => "asked for",
        Some(State::Authorized) => "given at the bank",
        Some(State::Active) => "active",
        Some(State::ReauthPending(_)) => "waiting for their person or their bank",
        Some(State::Expired(_)) => "over by time, by the bank or by a newer one",
        Some(State::Revoked(_)) => "withdrawn",
        Some(State::Failed(_)) => "never came to life",
        None => "in a state that is not known",
    };
    let why = moves.reason.as_deref().map_or_else(String::new, |reason| format!(" ({})", reason.replace('_', " ")));
    format!("{said}{why}")
}

/// A time in words: `2 days 3 hours`, `4 minutes`, `12 seconds`.
fn spoken(seconds: i64) -> String {
    let part = |number: i64, word: &str| match number {
        0 => None,
        1 => Some(format!("1 {word}")),
        more => Some(format!("{more} {word}s")),
    };
    let parts = [
        part(seconds / 86_400, "day"),
        part(seconds % 86_400 / 3600, "hour"),
        part(seconds % 3600 / 60, "minute"),
        part(seconds % 60, "second"),
    ];
    let two: Vec<String> = parts.into_iter().flatten().take(2).collect();
    if two.is_empty() { "less than a second".to_owned() } else { two.join(" ") }
}

impl Report {
    /// For machines.
    pub fn to_json(&self) -> Value {
        let durations = |took: &Durations| {
            json!({ "number": took.number, "median_seconds": took.median, "p95_seconds": took.p95,
                "longest_seconds": took.longest })
        };
        let moves = |moves: &Moves| json!({ "state": moves.state, "reason": moves.reason, "number": moves.number });
        let open = |open: &Open| {
            json!({ "deletion": open.deletion.to_string(), "consent": open.consent.to_string(),
                "institution": open.institution, "since": open.stopped_at, "state": open.state, "bank": open.bank,
                "because": reasons(open) })
        };
        let hold = |hold: &Hold| {
            json!({ "hold": hold.id.to_string(), "matter": hold.matter, "state": hold.machine.state.word(),
                "since": hold.placed_at, "consents": hold.consents.len() })
        };
        let standing = |count: &Count| (count.state.clone(), count.number.into());
        json!({
            "format": "tributary.report/1",
            "tenant": self.tenant, "regime": self.regime, "from": self.from, "until": self.until, "made_at": self.made_at,
            "consents": {
                "moves": self.moves.iter().map(moves).collect::<Vec<_>>(),
                "standing": Value::Object(self.standing.iter().map(standing).collect()),
            },
            "deletions": {
                "begun": self.deletions.begun,
                "blocked_by_holds": self.deletions.blocked,
                "stop_to_receipt": durations(&self.deletions.to_receipt),
                "stop_to_banks_word": durations(&self.deletions.to_bank),
                "receipt_to_products_word": durations(&self.deletions.to_product),
            },
            "open": self.open.iter().map(open).collect::<Vec<_>>(),
            "holds": self.holds.iter().map(hold).collect::<Vec<_>>(),
            "log": { "entries": self.log.entries, "signed_at": self.log.signed_at },
        })
    }

    /// For people: one page without script, complete in itself.
    ///
    /// # Errors
    /// Never, but that formatting may say so.
    pub fn to_html(&self) -> Result<String, fmt::Error> {
        let took = |what: &'static str, took: &Durations| {
            let time = |seconds: Option<i64>| seconds.map_or_else(|| "—".to_owned(), spoken);
            Took {
                what,
                number: took.number,
                median: time(took.median),
                p95: time(took.p95),
                longest: time(took.longest),
            }
        };
        let page = Page {
            report: self,
            moves: self.moves.iter().map(|moves| (in_words(moves), moves.number)).collect(),
            took: vec![
                took("from the withdrawal to the signed receipt of the erasure", &self.deletions.to_receipt),
                took("from the withdrawal to the bank's word that the consent is over", &self.deletions.to_bank),
                took("from the receipt to the product's word that its copies are gone", &self.deletions.to_product),
            ],
            open: self.open.iter().map(|open| (open, reasons(open).join("; "))).collect(),
        };
        page.render().map_err(|_| fmt::Error)
    }
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    moves: Vec<(String, i64)>,
    took: Vec<Took>,
    open: Vec<(&'a Open, String)>,
}

/// One row of times.
struct Took {
    what: &'static str,
    number: i64,
    median: String,
    p95: String,
    longest: String,
}

#[cfg(test)]
mod tests {
    use domain::ids::{ConsentId, DeletionId};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn times_are_said_in_two_words_at_most() {
        let table = [
            (0, "less than a second"),
            (1, "1 second"),
            (61, "1 minute 1 second"),
            (3600, "1 hour"),
            (90_061, "1 day 1 hour"),
            (172_800, "2 days"),
        ];
        for (seconds, words) in table {
            assert_eq!(spoken(seconds), words);
        }
    }

    #[test]
    fn every_reason_why_something_is_open_is_said() {
        let now = Timestamp::UNIX_EPOCH;
        let table = [
            ("blocked", "pending", None, 2, "a legal hold"),
            ("stopped", "not_needed", None, 1, "on its way"),
            ("receipted", "unconfirmed", Some(now), 2, "the bank has not confirmed"),
            ("receipted", "confirmed", Some(now), 1, "the product"),
        ];
        for (state, bank, receipted_at, number, words) in table {
            let open = Open {
                deletion: DeletionId::from_uuid(Uuid::nil()),
                consent: ConsentId::from_uuid(Uuid::nil()),
                institution: None,
                state: state.to_owned(),
                bank: bank.to_owned(),
                stopped_at: now,
                receipted_at,
                acknowledged_at: None,
            };
            let said = reasons(&open);
            assert_eq!(said.len(), number, "{said:?}");
            assert!(said.join("; ").contains(words), "{said:?}");
        }
    }
}
