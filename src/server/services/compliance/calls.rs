//! What banks were asked while nobody was there: whether it was more than the law lets.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{LineId, RegistrationId};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::{Found, Search, search};
use crate::app::App;
use crate::services::ServiceError;

/// Kinds of call that read an account.
const READS: [&str; 3] = ["accounts", "balances", "transactions"];
/// Groups that a report shows.
const SHOWN_MAX: usize = 200;

/// Calls to banks in a time, and the proof that unattended ones kept to their number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// From this moment on.
    pub from: Timestamp,
    /// Before this moment.
    pub until: Timestamp,
    /// Requests that went out, by ground.
    pub requests: BTreeMap<String, usize>,
    /// Entries whose retention has ended: that a call was made is proven, which one is not known any more.
    pub expired: usize,
    /// How many account resources were read how often on one of the bank's days without their person.
    pub days_by_reads: BTreeMap<usize, usize>,
    /// The most readings of one resource on one of the bank's days.
    pub most_in_a_day: usize,
    /// The most readings of one resource that began within any 24 hours.
    pub most_in_24_hours: usize,
    /// Whether no resource was read more often on a day than the law and its bank let; `null` if nobody can say, because
    /// entries have expired or there are none.
    pub within_limits: Option<bool>,
    /// The days with the most readings, with the entries that prove each.
    pub days: Vec<Day>,
}

/// Readings of one resource on one day of the bank without the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Day {
    /// The bank.
    pub institution: String,
    /// Who we are there.
    pub registration: String,
    /// The authorisation that was used.
    pub grant: String,
    /// What was read: an account, or the list of all under the grant.
    pub resource: String,
    /// `accounts`, `balances`, `transactions`.
    pub operation: String,
    /// In the bank's calendar.
    pub day: String,
    /// Readings: pages and repeated requests of one run are one.
    pub reads: usize,
    /// Requests.
    pub requests: usize,
    /// The most readings that the law and the bank let.
    pub limit: u32,
    /// The entries of the log.
    pub entries: Vec<String>,
}

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Resource {
    institution: String,
    registration: String,
    grant: String,
    resource: String,
    operation: String,
}

/// One request.
struct Request {
    at: Timestamp,
    run: String,
    entry: String,
}

/// Reads the log of calls between two moments.
///
/// # Errors
/// The database's or the key provider's.
pub async fn audit(app: &App, from: Timestamp, until: Timestamp) -> Result<Audit, ServiceError> {
    let wanted =
        Search { kind: Some("bank.call".to_owned()), from: Some(from), until: Some(until), ..Search::default() };
    let found = search(app, &wanted).await?;
    let mut requests: BTreeMap<String, usize> = BTreeMap::new();
    let mut unattended: BTreeMap<Resource, Vec<Request>> = BTreeMap::new();
    let mut expired = 0;
    for entry in &found {
        let Some(body) = &entry.body else {
            expired += 1;
            continue;
        };
        let word = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        *requests.entry(word("basis")).or_default() += 1;
        if word("basis") == "unattended" && READS.contains(&word("operation").as_str()) {
            let (resource, request) = read(entry, &word);
            unattended.entry(resource).or_default().push(request);
        }
    }
    let mut audit = Audit {
        from,
        until,
        requests,
        expired,
        days_by_reads: BTreeMap::new(),
        most_in_a_day: 0,
        most_in_24_hours: 0,
        within_limits: None,
        days: Vec::new(),
    };
    for (resource, requests) in unattended {
        audit.add(app, &resource, &requests);
    }
    let exceeded = audit.days.iter().any(|day| usize::try_from(day.limit).is_ok_and(|limit| day.reads > limit));
    audit.within_limits = within_limits(exceeded, expired, found.len());
    audit.days.sort_by(|one, other| other.reads.cmp(&one.reads).then_with(|| one.day.cmp(&other.day)));
    audit.days.truncate(SHOWN_MAX);
    Ok(audit)
}

/// Whether the number held, as far as the entries tell: one day that exceeded it is enough to deny it, and only all
/// entries are enough to say so.
const fn within_limits(exceeded: bool, expired: usize, entries: usize) -> Option<bool> {
    match (exceeded, expired, entries) {
        (true, ..) => Some(false),
        (false, 1.., _) | (false, _, 0) => None,
        (false, 0, 1..) => Some(true),
    }
}

fn read(entry: &Found, word: &impl Fn(&str) -> String) -> (Resource, Request) {
    let account: Option<LineId> = word("account").parse().ok();
    let resource = Resource {
        institution: word("institution"),
        registration: word("registration"),
        grant: word("grant"),
        resource: account.map_or_else(|| "list of accounts".to_owned(), |account| account.to_string()),
        operation: word("operation"),
    };
    // A call that was not part of a run is a reading of its own.
    let run = if word("run").is_empty() { entry.id.clone() } else { word("run") };
    (resource, Request { at: entry.at, run, entry: entry.id.clone() })
}

impl Audit {
    fn add(&mut self, app: &App, resource: &Resource, requests: &[Request]) {
        let registration = RegistrationId::new(&resource.registration);
        let connection = registration.and_then(|registration| app.connections.get(&registration));
        let zone = connection.as_ref().map_or(TimeZone::UTC, |connection| connection.zone.clone());
        let banks = connection.map(|connection| u32::from(connection.bank.profile().limits.unattended_per_day));
        let law = app.tenant.regime.policy().unattended_per_day;
        let limit = banks.into_iter().chain(law).min().unwrap_or(u32::MAX);
        let mut days: BTreeMap<Date, Vec<&Request>> = BTreeMap::new();
        for request in requests {
            days.entry(request.at.to_zoned(zone.clone()).date()).or_default().push(request);
        }
        for (day, requests) in days {
            let reads = requests.iter().map(|request| &request.run).collect::<BTreeSet<_>>().len();
            *self.days_by_reads.entry(reads).or_default() += 1;
            self.most_in_a_day = self.most_in_a_day.max(reads);
            self.days.push(Day {
                institution: resource.institution.clone(),
                registration: resource.registration.clone(),
                grant: resource.grant.clone(),
                resource: resource.resource.clone(),
                operation: resource.operation.clone(),
                day: day.to_string(),
                reads,
                requests: requests.len(),
                limit,
                entries: requests.iter().map(|request| request.entry.clone()).collect(),
            });
        }
        self.most_in_24_hours = self.most_in_24_hours.max(most_within_a_day(requests));
    }
}

/// The most readings that began within any 24 hours.
fn most_within_a_day(requests: &[Request]) -> usize {
    let mut begun: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for request in requests {
        let first = begun.entry(&request.run).or_insert(request.at);
        *first = (*first).min(request.at);
    }
    let mut begun: Vec<Timestamp> = begun.into_values().collect();
    begun.sort_unstable();
    let within = |first: &Timestamp| {
        let end = first.saturating_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
        begun.iter().filter(|at| *at >= first && **at < end).count()
    };
    begun.iter().map(within).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_log_with_all_its_entries_says_that_the_number_held() {
        let table = [
            // Exceeded, expired, entries.
            (false, 0, 3, Some(true)),
            (false, 1, 3, None),
            (false, 3, 3, None),
            (false, 0, 0, None),
            (true, 0, 3, Some(false)),
            (true, 1, 3, Some(false)),
        ];
        for (exceeded, expired, entries, said) in table {
            assert_eq!(within_limits(exceeded, expired, entries), said, "{exceeded} {expired} {entries}");
        }
    }

    #[test]
    fn any_24_hours_are_looked_at_and_a_run_counts_once() {
        let request = |hour: i64, run: &str| Request {
            at: Timestamp::from_second(hour * 3600).unwrap(),
            run: run.to_owned(),
            entry: String::new(),
        };
        let table = [
            (vec![], 0),
            (vec![(0, "a"), (1, "a"), (2, "a")], 1),
            (vec![(0, "a"), (6, "b"), (12, "c"), (18, "d")], 4),
            // The 24th hour begins anew.
            (vec![(0, "a"), (24, "b")], 1),
            // Two days of a bank, and one stretch of 24 hours.
            (vec![(20, "a"), (22, "b"), (26, "c"), (28, "d"), (30, "e")], 5),
        ];
        for (calls, most) in table {
            let calls: Vec<Request> = calls.into_iter().map(|(hour, run)| request(hour, run)).collect();
            assert_eq!(most_within_a_day(&calls), most);
        }
    }
}
