//! What the rows of every bank come to, by the bank's own rules: each profile's recorded rows are read, normalised and
//! compared with what somebody wrote down by hand; and whatever of the sign, the zone or the list is turned round in a
//! profile, something of it is red.

#![expect(clippy::expect_used, reason = "a test that cannot go on stops")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bank_adapters::Bank;
use bank_adapters::answer::Continuation;
use bank_adapters::ask::{
    AccessToken, BankConsentId, BookingStatus, CallContext, NextLink, PageAsk, ResourceId, Window,
};
use bank_adapters::directory::{Directory, Filter};
use bank_adapters::endpoints::{Endpoints, Environment};
use bank_adapters::institutions::{self, Institution};
use bank_adapters::profile::{Level, Profile, Standard};
use bytes::Bytes;
use domain::records::{Holder, List, Normalized, Parsed};
use domain::rules::{Rules, SignRule};
use http::Response;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

fn folder(profile: &Profile) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(profile.bank.id.as_str()).join("rows")
}

/// What somebody wrote down about a bank's rows.
struct Written {
    steps: Vec<Value>,
    rows: Vec<String>,
    /// Days with the instants at which they begin where the bank is.
    days: Vec<(Date, Timestamp)>,
}

impl Written {
    fn of(profile: &Profile) -> Self {
        let path = folder(profile).join("expected.json");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let json: Value = serde_json::from_str(&text).expect("JSON");
        let means = &json["means"];
        let rows = means["rows"].as_array().expect("rows").iter().map(|row| row.as_str().expect("a row").to_owned());
        let days = means["days_begin"].as_object().expect("days").iter();
        let days = days.map(|(day, at)| {
            (day.parse().expect("a day"), at.as_str().expect("an instant").parse().expect("an instant"))
        });
        Self { steps: json["steps"].as_array().expect("steps").clone(), rows: rows.collect(), days: days.collect() }
    }
}

/// The answer of a recorded exchange.
fn answer(path: &Path) -> Response<Bytes> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (_, answer) = text.split_once("\nHTTP/1.1 ").expect("an answer");
    let (head, body) = answer.split_once("\n\n").expect("a body");
    let status = head.split(' ').next().expect("a status");
    Response::builder().status(status).body(Bytes::from(body.to_owned())).expect("an answer")
}

fn open(profile: &Arc<Profile>) -> Arc<dyn Bank> {
    let anywhere = || Endpoints { api: "https://api.bank.example".to_owned().try_into().ok(), ..Endpoints::default() };
    let endpoints = profile.endpoints.get(&Environment::Sandbox).cloned().unwrap_or_else(anywhere);
    bank_adapters::open(profile.clone(), &endpoints).expect("a bank")
}

/// The recorded rows, read by the bank's adapter.
fn parsed(profile: &Arc<Profile>, written: &Written) -> Vec<Parsed> {
    let bank = open(profile);
    let (mut rows, mut next): (Vec<Parsed>, Option<NextLink>) = (Vec::new(), None);
    for step in &written.steps {
        let text = |name: &str| step["with"][name].as_str().unwrap_or_default();
        let status = if text("status") == "booked" { BookingStatus::Booked } else { BookingStatus::Both };
        let context = CallContext {
            token: AccessToken::new("access-token".to_owned().into()).ok(),
            psu: None,
            authenticated_at: text("authenticated_at").parse().ok(),
            request_id: uuid::Uuid::nil(),
        };
        let window = Window { from: text("from").parse().unwrap_or(Date::MIN), to: None, status };
        let page = next.as_ref().map_or(PageAsk::First(window), PageAsk::Next);
        let consent = BankConsentId::new(text("consent")).expect("a consent");
        let account = ResourceId::new(text("account")).expect("an account");
        let call = bank.transactions(&consent, &account, page, &context);
        let exchange = folder(profile).join(step["exchange"].as_str().expect("an exchange"));
        let page = call.read(answer(&exchange), Timestamp::UNIX_EPOCH).expect("a page");
        rows.extend(page.rows.into_iter().map(|row| *row.parsed));
        next = match page.next {
            Continuation::Next(link) => Some(link),
            Continuation::End | Continuation::Broken(_) => None,
        };
    }
    rows
}

/// A row in the words of `expected.json`: status, booking day, signed amount, and what is doubtful about the amount.
fn told(row: &Normalized) -> String {
    let day = row.booking_date.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let doubts = row.issues.iter().filter(|issue| issue.code.starts_with("amount."));
    let doubts: String = doubts.map(|issue| format!(" {}", issue.code)).collect();
    format!("{} {day} {} {}{doubts}", row.status.as_str(), row.money.to_plain_string(), row.money.currency().code())
}

fn meanings(rows: &[Parsed], rules: &Rules) -> Vec<String> {
    let holder = Holder { name: None, account: None, currency: None, other_accounts: Vec::new() };
    let meaning = |row: &Parsed| {
        normalize::transaction(row, &holder, rules).map_or_else(|_| "refused".to_owned(), |row| told(&row))
    };
    rows.iter().map(meaning).collect()
}

/// Whether every day begins in the zone when it was written down to begin: it is that day, and it was not just before.
fn days_fit(days: &[(Date, Timestamp)], zone: &str) -> bool {
    let zone = TimeZone::get(zone).expect("a zone");
    let day = |at: Timestamp| at.to_zoned(zone.clone()).date();
    let before = |at: Timestamp| at - jiff::SignedDuration::from_secs(1);
    !days.is_empty() && days.iter().all(|(date, at)| day(*at) == *date && day(before(*at)) < *date)
}

fn profiles() -> Vec<Arc<Profile>> {
    Directory::embedded().expect("profiles").list(&Filter::default()).cloned().collect()
}

#[test]
fn every_bank_means_what_was_written_down() {
    for profile in profiles() {
        let (id, written) = (&profile.bank.id, Written::of(&profile));
        let rows = parsed(&profile, &written);
        assert_eq!(meanings(&rows, &profile.rules), written.rows, "{id}");
        assert!(days_fit(&written.days, &profile.rules.zone), "{id}: {}", profile.rules.zone);
        let goes_out = |row: &String| row.split(' ').nth(2).is_some_and(|amount| amount.starts_with('-'));
        assert!(written.rows.iter().any(goes_out) && written.rows.len() > 1, "{id}: money goes out, and there is more");
    }
}

#[test]
fn whatever_is_turned_round_in_a_profile_turns_something_red() {
    for profile in profiles() {
        let (id, written) = (&profile.bank.id, Written::of(&profile));
        let rows = parsed(&profile, &written);
        for sign in turned(profile.rules.sign) {
            let rules = Rules { sign, ..profile.rules.clone() };
            assert_ne!(meanings(&rows, &rules), written.rows, "{id}: nobody sees that the sign is told by {sign:?}");
        }
        for zone in ["Pacific/Kiritimati", "America/Los_Angeles", "Asia/Tokyo", "UTC", "Europe/Berlin"] {
            let same = days_fit(&written.days, zone);
            assert!(!same || alike(zone, &profile.rules.zone, &written.days), "{id}: nobody sees that it is in {zone}");
        }
        let swapped: Vec<Parsed> = rows.iter().map(swapped).collect();
        let by_the_row = rows.iter().all(|row| row.status.is_some());
        assert!(
            by_the_row || meanings(&swapped, &profile.rules) != written.rows,
            "{id}: nobody sees in which list a row stands"
        );
    }
}

/// The other ways to tell a sign, as far as they are others.
fn turned(sign: SignRule) -> Vec<SignRule> {
    match sign {
        SignRule::Signed => vec![SignRule::Inverted, SignRule::Indicator],
        SignRule::Either => vec![SignRule::Inverted],
        SignRule::Indicator => vec![SignRule::Signed, SignRule::Inverted],
        SignRule::Inverted => vec![SignRule::Signed, SignRule::Either],
        SignRule::PendingUnsigned => vec![SignRule::Signed, SignRule::Inverted],
    }
}

/// Whether two zones have the same clocks at these instants.
fn alike(one: &str, other: &str, days: &[(Date, Timestamp)]) -> bool {
    let offset = |zone: &str, at: Timestamp| TimeZone::get(zone).expect("a zone").to_offset(at);
    days.iter().all(|(_, at)| offset(one, *at) == offset(other, *at))
}

fn swapped(row: &Parsed) -> Parsed {
    let list = match row.list {
        List::Booked => List::Pending,
        List::Pending => List::Booked,
        other => other,
    };
    Parsed { list, ..row.clone() }
}

#[test]
fn sixty_banks_of_every_standard_are_known_from_public_facts() {
    let real: Vec<_> = profiles().into_iter().filter(|profile| profile.bank.level == Level::Docs).collect();
    assert!(real.len() >= 60, "{} banks", real.len());
    // Behind an intermediary every bank speaks one dialect, which a bank of no name stands for.
    let of_banks = |standard: &&Standard| **standard != Standard::EnableBanking;
    for standard in Standard::ALL.iter().filter(of_banks) {
        let known = real.iter().filter(|profile| profile.bank.standard == *standard).count();
        assert!(known >= 3, "{}: {known}", standard.as_str());
    }
}

/// A profile speaks to every bank of its platform.
#[test]
fn one_profile_speaks_to_hundreds_of_institutions() {
    let directory = Directory::embedded().expect("profiles");
    let through = |one: &&Institution| one.profile(&directory).is_some();
    let spoken_to = institutions::all().iter().filter(through).count();
    assert!(spoken_to > 900, "{spoken_to}");
}
