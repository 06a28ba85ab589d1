//! Two simulated years through PostgreSQL, day by day: what the timers wrote is what the machine says, which its own tests
//! hold against an oracle.
//!
//! `CONSENTS=1000 DAYS=731 cargo test --release -p server two_years -- --nocapture` is the long run.

use std::collections::{BTreeMap, BTreeSet};

use domain::consent::{Consent as Machine, Effect, Event, Notice, ReauthReason, RevokedBy, State, step};
use domain::event::EventType;
use domain::notice::Kind;
use domain::policy::{self, ClockFacts, Regime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use store::{consents, events};

use super::due;
use crate::services::consents as moves;
use crate::web::tests::Site;

const CONSENTS: u64 = 40;
const DAYS: u64 = 120;
const DAY: i64 = 24 * 60 * 60;
/// Where the simulated banks keep their calendar: summer time on either side of the world, and none.
const ZONES: [&str; 3] = ["CET-1CEST,M3.5.0,M10.5.0/3", "AEST-10AEDT,M10.1.0,M4.1.0/3", "<-03>3"];

fn asked(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().expect("a number"))
}

/// A number that looks like chance and comes back with its seed.
fn mixed(seed: u64, day: u64) -> u64 {
    let mut x = (seed << 20) ^ day ^ 0x9E37_79B9_7F4A_7C15;
    for _ in 0..3 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    x
}

/// One consent, as the machine alone would have it, and what its product should have heard.
struct Shadow {
    seed: u64,
    id: domain::ids::ConsentId,
    regime: Regime,
    zone: TimeZone,
    machine: Machine,
    /// Last authentication, last word: what a supervisor would count from.
    sca: Timestamp,
    word: Timestamp,
    heard: BTreeMap<&'static str, u64>,
}

impl Shadow {
    fn clocks(&self, now: Timestamp) -> policy::Clocks {
        let today = now.to_zoned(self.zone.clone()).date();
        let facts = ClockFacts {
            last_sca: now,
            last_confirmation: now,
            given: now,
            asked_until: today.saturating_add(i64::try_from(30 + self.seed % 400).unwrap_or(30).days()),
            granted_until: (self.seed.is_multiple_of(3)).then(|| today.saturating_add(179.days())),
            bank_sca_days: (self.seed.is_multiple_of(4)).then_some(180),
            tenant_sca_days: None,
        };
        policy::clocks(self.regime.policy(), &facts, &self.zone)
    }

    fn moves(&mut self, event: Event, now: Timestamp) -> bool {
        let Ok((next, effects)) = step(&self.machine, event, now) else { return false };
        self.machine = next;
        for effect in effects {
            // Whoever had agreed is written to when it ends.
            if matches!(effect, Effect::Tell(Notice::Expired | Notice::Revoked)) && next.clocks.is_some() {
                *self.heard.entry(EventType::NoticeRequested.as_str()).or_default() += 1;
            }
            let word = match effect {
                // Asks for a letter and is no event of its own; the licence of this installation owes none of that kind.
                Effect::Tell(Notice::SharingGoesOn) => {
                    assert!(!Kind::Ongoing.is_owed(Regime::Eu));
                    continue;
                }
                Effect::Tell(notice) => notice.event_type().as_str(),
                Effect::Warn(_) => "consent.expiring",
                Effect::Fetch | Effect::EndAtBank | Effect::SweepAtBank | Effect::Erase | Effect::Block => continue,
            };
            *self.heard.entry(word).or_default() += 1;
        }
        true
    }

    /// What this person, or their bank, does on a day.
    fn does(&self, day: u64, now: Timestamp) -> Option<Event> {
        let renews = mixed(self.seed, day).is_multiple_of(5 + self.seed % 60);
        match (self.machine.state, mixed(self.seed, day) % 211) {
            (State::Initiated, _) => Some(Event::Authorised(self.clocks(now))),
            (State::Authorized, _) => Some(Event::FirstFetchDone),
            (State::Active | State::ReauthPending(_), 0) => Some(Event::Revoke(RevokedBy::Psu)),
            (State::Active, 1) => Some(Event::TokenLost),
            (State::Active, 2) => Some(Event::Suspended),
            (State::ReauthPending(ReauthReason::SuspendedByBank), 3..60) => Some(Event::Reinstated),
            (State::ReauthPending(ReauthReason::ReconfirmMissed), _) if renews => {
                let clocks = self.machine.clocks?;
                Some(Event::Reconfirmed(policy::reconfirmed(self.regime.policy(), clocks, now, &self.zone)))
            }
            (State::ReauthPending(_), _) if renews => Some(Event::Reauthenticated(self.clocks(now))),
            _ => None,
        }
    }

    fn keeps_the_law(&self, now: Timestamp) {
        let since = |at: Timestamp| now.duration_since(at).as_secs();
        let lawful = !self.machine.may_fetch(now)
            || match self.regime {
                Regime::Eu => since(self.sca) < 180 * DAY,
                Regime::Uk => since(self.word) < 90 * DAY,
                Regime::Cdr | Regime::Us => since(self.sca) < 365 * DAY,
                Regime::Br => true,
            };
        assert!(lawful, "{:?} of {} at {now}: sca {}, word {}", self.regime, self.id, self.sca, self.word);
    }
}

/// The same event for the shadow and for the consent in the database.
async fn happens(site: &Site, shadow: &mut Shadow, event: Event, now: Timestamp) {
    let given = matches!(event, Event::Authorised(_) | Event::Reauthenticated(_));
    if !shadow.moves(event, now) {
        return;
    }
    if given {
        (shadow.sca, shadow.word) = (now, now);
    }
    if matches!(event, Event::Reconfirmed(_)) {
        shadow.word = now;
    }
    let app = &site.app;
    let mut tx = app.store.tenant_tx(app.tenant.id).await.unwrap();
    let before = consents::lock(&mut tx, shadow.id).await.unwrap();
    let change = |consent: &mut consents::Consent| {
        if given {
            consent.authorized_at.get_or_insert(now);
        }
    };
    moves::advance(app, &mut tx, &app.world(), &before, event, "test", change).await.unwrap();
    tx.commit().await.unwrap();
}

/// What products were told of each consent, counted, and every warning as its particulars.
async fn told(site: &Site) -> (BTreeMap<(String, String), u64>, u64, BTreeSet<String>) {
    let mut tx = site.app.store.tenant_tx(site.app.tenant.id).await.unwrap();
    events::number(&mut tx).await.unwrap();
    let (mut counted, mut warnings, mut particulars, mut after) = (BTreeMap::new(), 0, BTreeSet::new(), 0);
    loop {
        let page = events::after(&mut tx, site.product, after, 500).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        after = *last;
        for (_, event) in page {
            let consent = event.consent.unwrap().to_string();
            if event.kind == "consent.expiring" {
                warnings += 1;
                assert_eq!(event.payload["code"], "PENDING_EXPIRATION");
                particulars.insert(event.payload.to_string());
            }
            *counted.entry((consent, event.kind)).or_default() += 1;
        }
    }
    tx.commit().await.unwrap();
    (counted, warnings, particulars)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_years_through_the_database_are_what_the_machine_says() {
    let (many, days) = (asked("CONSENTS", CONSENTS), asked("DAYS", DAYS));
    let site = Site::start().await;
    let mut shadows = Vec::new();
    for seed in 1..=many {
        let (id, _) = site.ask(&format!("person {seed}"), true).await;
        let now = site.app.world().now;
        let mut tx = site.app.store.tenant_tx(site.app.tenant.id).await.unwrap();
        let machine = consents::get(&mut tx, id).await.unwrap().machine;
        let regime = Regime::ALL[usize::try_from(seed % 5).unwrap()];
        let zone = TimeZone::posix(ZONES[usize::try_from(seed % 3).unwrap()]).unwrap();
        shadows.push(Shadow { seed, id, regime, zone, machine, sca: now, word: now, heard: BTreeMap::new() });
    }
    for day in 0..days {
        site.later(DAY / 3 + i64::try_from(mixed(day, 7) % 57_600).unwrap());
        let now = site.app.world().now;
        // As often as it has found a full batch.
        for _ in 0..=many / u64::from(super::BATCH) {
            due(&site.app, site.app.tenant.id).await.unwrap();
        }
        for shadow in &mut shadows {
            shadow.moves(Event::Tick, now);
            shadow.keeps_the_law(now);
            if let Some(event) = shadow.does(day, now) {
                happens(&site, shadow, event, now).await;
            }
        }
    }
    let mut ends: BTreeMap<String, u64> = BTreeMap::new();
    let mut tx = site.app.store.tenant_tx(site.app.tenant.id).await.unwrap();
    for shadow in &shadows {
        let stored = consents::get(&mut tx, shadow.id).await.unwrap();
        assert_eq!(stored.machine.state, shadow.machine.state, "{}", shadow.id);
        assert_eq!(stored.machine.clocks, shadow.machine.clocks, "{}", shadow.id);
        *ends.entry(stored.machine.state.word().to_owned()).or_default() += 1;
    }
    tx.commit().await.unwrap();
    let (counted, warnings, particulars) = told(&site).await;
    assert_eq!(particulars.len() as u64, warnings, "a warning was given twice");
    assert!(warnings > 0);
    // What is no move of the machine: the beginning, and the erasure that a withdrawal begins.
    let beside = [EventType::ConsentCreated, EventType::DeletionRequested].map(EventType::as_str);
    let moves = counted.iter().filter(|((_, kind), _)| !beside.contains(&kind.as_str()));
    let heard: u64 = shadows.iter().flat_map(|shadow| shadow.heard.values()).sum();
    assert_eq!(moves.map(|(_, times)| *times).sum::<u64>(), heard, "somebody was told what did not happen");
    for shadow in &shadows {
        for (word, times) in &shadow.heard {
            let found = counted.get(&(shadow.id.to_string(), (*word).to_owned())).copied().unwrap_or_default();
            assert_eq!(found, *times, "{} was told {word}", shadow.id);
        }
    }
    println!(
        "{many} consents, {days} days: {} events, {warnings} warnings, each as the machine says",
        counted.values().sum::<u64>()
    );
    for (state, many) in ends {
        println!("  ended {state}: {many}");
    }
}
