//! The clocks of an incident: what has to be told to authorities, and by when.
//!
//! DORA, Regulation (EU) 2022/2554 Article 19, with the times of Delegated Regulation (EU) 2025/301 Article 5; GDPR Article
//! 33(1). A clock that the law starts later is computed from the latest moment at which it may start.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

/// Hours from the classification as major to the initial notification.
const INITIAL_HOURS: i64 = 4;
/// Hours from awareness within which the initial notification is due at the latest.
const AWARE_HOURS: i64 = 24;
/// Hours from the initial notification to the intermediate report, and from awareness of a breach to its notification.
const REPORT_HOURS: i64 = 72;
/// Months from the intermediate report to the final one.
const FINAL_MONTHS: i64 = 1;

/// What happened when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// When we knew of it.
    pub aware_at: Timestamp,
    /// When it was classified as major; `None` while it is not.
    pub classified_at: Option<Timestamp>,
    /// When the initial notification was sent, once it was.
    pub initial_sent_at: Option<Timestamp>,
    /// When the intermediate report was sent, once it was.
    pub intermediate_sent_at: Option<Timestamp>,
    /// Whether personal data may have been breached.
    pub personal_data: bool,
}

/// By when what is due; `None` where it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// Initial notification (DORA).
    pub initial: Option<Timestamp>,
    /// Intermediate report (DORA), counted from the moment in which the initial notification was sent; until then from its last one.
    pub intermediate: Option<Timestamp>,
    /// Final report (DORA), counted from the intermediate one likewise.
    pub last: Option<Timestamp>,
    /// Notification of a breach of personal data (GDPR).
    pub breach: Option<Timestamp>,
}

fn hours_after(at: Timestamp, hours: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MAX)
}

/// The clocks of an incident.
pub fn clocks(facts: &Facts) -> Clocks {
    let initial = facts
        .classified_at
        .map(|classified| hours_after(classified, INITIAL_HOURS).min(hours_after(facts.aware_at, AWARE_HOURS)));
    let intermediate = initial.map(|due| hours_after(facts.initial_sent_at.unwrap_or(due), REPORT_HOURS));
    let month = |at: Timestamp| at.to_zoned(TimeZone::UTC).saturating_add(FINAL_MONTHS.months()).timestamp();
    Clocks {
        initial,
        intermediate,
        last: intermediate.map(|due| month(facts.intermediate_sent_at.unwrap_or(due))),
        breach: facts.personal_data.then(|| hours_after(facts.aware_at, REPORT_HOURS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_clock_is_the_laws() {
        // Aware, classified, personal data: initial, intermediate, final, breach.
        let table = [
            ("2026-01-10T08:00:00Z", None, false, [None, None, None, None]),
            ("2026-01-10T08:00:00Z", None, true, [None, None, None, Some("2026-01-13T08:00:00Z")]),
            (
                "2026-01-10T08:00:00Z",
                Some("2026-01-10T10:00:00Z"),
                false,
                [Some("2026-01-10T14:00:00Z"), Some("2026-01-13T14:00:00Z"), Some("2026-02-13T14:00:00Z"), None],
            ),
            // Classified late: a day after awareness is the last moment.
            (
                "2026-01-10T08:00:00Z",
                Some("2026-01-11T06:00:00Z"),
                true,
                [
                    Some("2026-01-11T08:00:00Z"),
                    Some("2026-01-14T08:00:00Z"),
                    Some("2026-02-14T08:00:00Z"),
                    Some("2026-01-13T08:00:00Z"),
                ],
            ),
            // A month is a calendar month, and a short one ends early.
            (
                "2026-01-28T00:00:00Z",
                Some("2026-01-28T00:00:00Z"),
                false,
                [Some("2026-01-28T04:00:00Z"), Some("2026-01-31T04:00:00Z"), Some("2026-02-28T04:00:00Z"), None],
            ),
        ];
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (aware, classified, personal_data, [initial, intermediate, last, breach]) in table {
            let facts = Facts {
                aware_at: at(aware),
                classified_at: classified.map(at),
                initial_sent_at: None,
                intermediate_sent_at: None,
                personal_data,
            };
            let expected = Clocks {
                initial: initial.map(at),
                intermediate: intermediate.map(at),
                last: last.map(at),
                breach: breach.map(at),
            };
            assert_eq!(clocks(&facts), expected, "{facts:?}");
        }
    }

    #[test]
    fn what_was_sent_starts_the_next_clock() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let facts = |initial: Option<&str>, intermediate: Option<&str>| Facts {
            aware_at: at("2026-01-10T08:00:00Z"),
            classified_at: Some(at("2026-01-10T10:00:00Z")),
            initial_sent_at: initial.map(at),
            intermediate_sent_at: intermediate.map(at),
            personal_data: false,
        };
        // Sent at: initial, intermediate. Due: initial, intermediate, final.
        let table = [
            (None, None, ["2026-01-10T14:00:00Z", "2026-01-13T14:00:00Z", "2026-02-13T14:00:00Z"]),
            (
                Some("2026-01-10T11:00:00Z"),
                None,
                ["2026-01-10T14:00:00Z", "2026-01-13T11:00:00Z", "2026-02-13T11:00:00Z"],
            ),
            (
                Some("2026-01-10T11:00:00Z"),
                Some("2026-01-12T09:00:00Z"),
                ["2026-01-10T14:00:00Z", "2026-01-13T11:00:00Z", "2026-02-12T09:00:00Z"],
            ),
            // Late is late: the next clock starts when it was sent.
            (
                Some("2026-01-11T00:00:00Z"),
                None,
                ["2026-01-10T14:00:00Z", "2026-01-14T00:00:00Z", "2026-02-14T00:00:00Z"],
            ),
        ];
        for (initial, intermediate, due) in table {
            let seen = clocks(&facts(initial, intermediate));
            assert_eq!([seen.initial, seen.intermediate, seen.last], due.map(|due| Some(at(due))));
        }
    }
}
