//! Two simulated years of many consents, day by day, held against an oracle.
//!
//! The oracle is written from the rules and not from the code: it keeps what happened (when somebody authenticated,
//! confirmed, agreed) and counts days one at a time on a calendar of its own. It knows no state machine, no `policy` and
//! no library's arithmetic of periods; of the zone it asks for nothing but the offset at an instant.
//!
//! `CONSENTS=100000 cargo test --release -p domain two_years -- --nocapture` is the long run.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::*;
use crate::policy::{self, ClockFacts, Regime};

/// Consents of the usual run.
const CONSENTS: u64 = 600;
/// Days of two years with a leap day among them: from 1 March 2027.
const DAYS: i64 = 731;
const DAY: i64 = 24 * 60 * 60;

/// Zones by their rules: summer time in both hemispheres, none, and one where midnight itself is skipped.
const ZONES: [&str; 6] = [
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "GMT0BST,M3.5.0/1,M10.5.0",
    "AEST-10AEDT,M10.1.0,M4.1.0/3",
    "EST5EDT,M3.2.0,M11.1.0",
    "<-03>3",
    "<-03>3<-02>,M10.3.0/0,M2.3.0/0",
];

/// Chance of a test: xorshift, so that a failure comes back with its seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: i64) -> i64 {
        i64::try_from(self.next() % bound.unsigned_abs()).unwrap()
    }

    fn once_in(&mut self, days: i64) -> bool {
        self.below(days) == 0
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(i64::try_from(all.len()).unwrap())).unwrap()]
    }
}

// The oracle's calendar ------------------------------------------------------------------------------------------------

/// A day as year, month, day.
type Ymd = (i64, i64, i64);

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn tomorrow((year, month, day): Ymd) -> Ymd {
    if day < days_in(year, month) {
        (year, month, day + 1)
    } else if month < 12 {
        (year, month + 1, 1)
    } else {
        (year + 1, 1, 1)
    }
}

/// Days since 1 January 1970, counted month by month.
fn count((year, month, day): Ymd) -> i64 {
    let years: i64 = (1970..year).map(|year| if days_in(year, 2) == 29 { 366 } else { 365 }).sum();
    years + (1..month).map(|month| days_in(year, month)).sum::<i64>() + day - 1
}

fn offset(zone: &TimeZone, at: i64) -> i64 {
    i64::from(zone.to_offset(Timestamp::from_second(at).unwrap()).seconds())
}

/// The day and the second of the day that a clock on the wall shows.
fn wall(zone: &TimeZone, at: i64) -> (Ymd, i64) {
    let local = at + offset(zone, at);
    let (mut day, mut left) = ((1970, 1, 1), local.div_euclid(DAY));
    while left >= 365 {
        let year = if days_in(day.0, 2) == 29 { 366 } else { 365 };
        if left < year {
            break;
        }
        left -= year;
        day.0 += 1;
    }
    while left >= days_in(day.0, day.1) {
        left -= days_in(day.0, day.1);
        day.1 += 1;
    }
    day.2 += left;
    (day, local.rem_euclid(DAY))
}

/// The first instant at which the clock on the wall shows this, or, where it jumps over it, as long after the jump as
/// this lies behind it.
fn instant(zone: &TimeZone, day: Ymd, second: i64) -> i64 {
    let local = count(day) * DAY + second;
    let (early, late) = (offset(zone, local - DAY), offset(zone, local + DAY));
    let mut found: Vec<i64> =
        [local - early, local - late].into_iter().filter(|at| at + offset(zone, *at) == local).collect();
    found.sort_unstable();
    found.first().copied().unwrap_or(local - early)
}

/// So many days later on the wall, or so many times 24 hours, whichever comes first: no rule is stretched by a clock
/// that is put back.
fn days_later(zone: &TimeZone, at: i64, days: i64) -> i64 {
    let (mut day, second) = wall(zone, at);
    for _ in 0..days {
        day = tomorrow(day);
    }
    instant(zone, day, second).min(at + days * DAY)
}

/// The first instant that no longer belongs to a day.
fn over(zone: &TimeZone, day: Ymd) -> i64 {
    instant(zone, tomorrow(day), 0)
}

// What the rules say ---------------------------------------------------------------------------------------------------

/// How a person's permission stands in the eyes of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// Asked, not given.
    Asked,
    /// Given: data flow.
    Flows,
    /// Nothing flows until the person does something: a bank visit (SCA, tokens), a word to us, or the bank relents.
    NeedsSca,
    NeedsWord,
    NeedsTokens,
    BankHolds,
    /// Over: by time, by the bank, withdrawn, or never given.
    RanOut,
    BankEnded,
    Withdrawn,
    NeverGiven,
}

/// One permission and all that the rules need to know of it.
struct Oracle {
    regime: Regime,
    zone: TimeZone,
    bank_days: Option<i64>,
    tenant_days: Option<i64>,
    stand: Stand,
    give_up: i64,
    /// Last authentication at the bank, last word to us, when the present text was agreed to.
    sca: i64,
    word: i64,
    agreed: i64,
    /// The last day agreed to, the last day the bank granted.
    asked: Ymd,
    granted: Option<Ymd>,
    /// Since when the present clocks count, and what was warned of under them.
    since: i64,
    told: Vec<(char, i64)>,
    deadlines: Vec<(char, i64)>,
    notice: Option<i64>,
}

impl Oracle {
    /// EU: 180 days by RTS Article 10a, 90 where nobody says otherwise; a day of margin. UK: our own question every 90
    /// days. Australia and the United States: a year. Everywhere: the last day agreed to and the last day granted.
    fn count_anew(&mut self, now: i64) {
        self.since = now;
        self.told.clear();
        let mut ends = over(&self.zone, self.asked);
        if let Some(granted) = self.granted {
            ends = ends.min(over(&self.zone, granted));
        }
        let mut deadlines = Vec::new();
        match self.regime {
            Regime::Eu => {
                let days = self.bank_days.or(self.tenant_days).unwrap_or(90).clamp(1, 180);
                let mut lapse = days_later(&self.zone, self.sca, days);
                if let Some(granted) = self.granted {
                    lapse = lapse.min(over(&self.zone, granted));
                }
                deadlines.push(('s', (lapse - DAY).max(self.sca)));
            }
            Regime::Uk => deadlines.push(('r', days_later(&self.zone, self.word, 90))),
            Regime::Cdr | Regime::Us => ends = ends.min(days_later(&self.zone, self.agreed, 365)),
            Regime::Br => {}
        }
        deadlines.push(('t', ends));
        self.deadlines = deadlines;
        self.notice = (self.regime == Regime::Cdr).then(|| days_later(&self.zone, self.agreed, 90));
    }

    fn living(&self) -> bool {
        use Stand::{BankHolds, Flows, NeedsSca, NeedsTokens, NeedsWord};
        matches!(self.stand, Flows | NeedsSca | NeedsWord | NeedsTokens | BankHolds)
    }

    /// A day's look. Gives the warnings of the day (clock, days) and whether the 90-day notice is due.
    fn look(&mut self, now: i64) -> (Vec<(char, i64)>, bool) {
        if self.stand == Stand::Asked && now >= self.give_up {
            self.stand = Stand::NeverGiven;
        }
        if !self.living() {
            return (Vec::new(), false);
        }
        let passed = |which: char| self.deadlines.iter().any(|(clock, at)| *clock == which && now >= *at);
        if passed('t') {
            self.stand = Stand::RanOut;
            return (Vec::new(), false);
        }
        if self.stand == Stand::Flows && passed('s') {
            self.stand = Stand::NeedsSca;
        } else if self.stand == Stand::Flows && passed('r') {
            self.stand = Stand::NeedsWord;
        }
        let mut warnings = Vec::new();
        for (clock, deadline) in self.deadlines.clone() {
            let crossed = [1, 7, 14, 30].into_iter().filter(|days| {
                let moment = deadline - days * DAY;
                moment > self.since && now >= moment && now < deadline
            });
            // The nearest that was crossed; whatever lies farther away is told with it.
            if let Some(days) = crossed.min().filter(|days| !self.told.contains(&(clock, *days))) {
                self.told.extend([30, 14, 7, 1].into_iter().filter(|far| *far >= days).map(|far| (clock, far)));
                warnings.push((clock, days));
            }
        }
        let notice = self.notice.is_some_and(|at| now >= at);
        if notice {
            self.notice = Some(now + 90 * DAY);
        }
        (warnings, notice)
    }
}

// One life -------------------------------------------------------------------------------------------------------------

/// Counts of a run, by word.
type Report = BTreeMap<String, u64>;

struct Life {
    oracle: Oracle,
    machine: Consent,
    chance: Chance,
    term: i64,
    /// Something happens once in so many days.
    pace: i64,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn date((year, month, day): Ymd) -> Date {
    Date::new(i16::try_from(year).unwrap(), i8::try_from(month).unwrap(), i8::try_from(day).unwrap()).unwrap()
}

fn days_on(mut day: Ymd, days: i64) -> Ymd {
    for _ in 0..days {
        day = tomorrow(day);
    }
    day
}

impl Life {
    fn new(seed: u64, begun: i64) -> Self {
        let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..8 {
            chance.next();
        }
        let zone = TimeZone::posix(chance.one_of(&ZONES)).unwrap();
        let start = begun + chance.below(40 * DAY);
        let oracle = Oracle {
            regime: chance.one_of(&Regime::ALL),
            zone,
            bank_days: chance.once_in(3).then(|| 1 + chance.below(400)),
            tenant_days: chance.once_in(3).then(|| 1 + chance.below(400)),
            stand: Stand::Asked,
            give_up: start + DAY,
            sca: 0,
            word: 0,
            agreed: 0,
            asked: (1970, 1, 1),
            granted: None,
            since: 0,
            told: Vec::new(),
            deadlines: Vec::new(),
            notice: None,
        };
        let term = 1 + chance.below(700);
        let pace = chance.one_of(&[2, 10, 40, 120]);
        Self { oracle, machine: Consent::new(at(start + DAY)), chance, term, pace }
    }

    /// The person agrees to a text and authenticates: the facts, for both sides.
    fn given(&mut self, now: i64) -> Event {
        let (today, _) = wall(&self.oracle.zone, now);
        self.oracle.asked = days_on(today, self.term);
        self.oracle.granted = (!self.chance.once_in(3)).then(|| days_on(today, 1 + self.chance.below(400)));
        (self.oracle.sca, self.oracle.word, self.oracle.agreed) = (now, now - 60, now - 60);
        let facts = ClockFacts {
            last_sca: at(now),
            last_confirmation: at(now - 60),
            given: at(now - 60),
            asked_until: date(self.oracle.asked),
            granted_until: self.oracle.granted.map(date),
            bank_sca_days: self.oracle.bank_days,
            tenant_sca_days: self.oracle.tenant_days,
        };
        let clocks = policy::clocks(self.oracle.regime.policy(), &facts, &self.oracle.zone);
        if self.machine.state == State::Initiated { Event::Authorised(clocks) } else { Event::Reauthenticated(clocks) }
    }

    /// Something happens, as often in a wrong moment as in a right one.
    fn happens(&mut self, now: i64, report: &mut Report) {
        // Most who are asked agree at once.
        let what = if self.oracle.stand == Stand::Asked && !self.chance.once_in(8) {
            0
        } else if self.chance.once_in(self.pace) {
            self.chance.below(40)
        } else {
            return;
        };
        let event = match what {
            0..=3 if self.oracle.stand == Stand::Asked || self.oracle.living() => {
                let event = self.given(now);
                self.oracle.stand = Stand::Flows;
                self.oracle.count_anew(now);
                event
            }
            4..=6 => {
                let Some(clocks) = self.machine.clocks else { return };
                let hears = matches!(self.oracle.stand, Stand::Flows | Stand::NeedsWord | Stand::BankHolds);
                if hears && self.machine.state != State::Authorized {
                    self.oracle.word = now;
                    if self.oracle.stand != Stand::BankHolds {
                        self.oracle.stand = Stand::Flows;
                    }
                    let notice = self.oracle.notice;
                    self.oracle.count_anew(now);
                    self.oracle.notice = notice;
                }
                let policy = self.oracle.regime.policy();
                Event::Reconfirmed(policy::reconfirmed(policy, clocks, at(now), &self.oracle.zone))
            }
            7 => self.so(Stand::Flows, Stand::NeedsTokens, Event::TokenLost),
            26 => self.so(Stand::Flows, Stand::NeedsTokens, Event::Displaced),
            8 => self.so(Stand::Flows, Stand::BankHolds, Event::Suspended),
            9..=11 => self.so(Stand::BankHolds, Stand::Flows, Event::Reinstated),
            12 if self.chance.once_in(4) => {
                self.over_by(Stand::BankEnded);
                Event::EndedByBank
            }
            13 if self.chance.once_in(4) => {
                if self.oracle.stand == Stand::Asked
                    || self.oracle.living()
                    || matches!(self.oracle.stand, Stand::RanOut | Stand::BankEnded)
                {
                    self.oracle.stand = Stand::Withdrawn;
                }
                Event::Revoke(self.chance.one_of(RevokedBy::ALL))
            }
            14 => {
                if self.oracle.stand == Stand::Asked {
                    self.oracle.stand = Stand::NeverGiven;
                }
                Event::Declined
            }
            15..=25 => Event::FirstFetchDone,
            _ => return,
        };
        *report.entry(format!("event {}", event.word())).or_default() += 1;
        if let Ok((next, _)) = step(&self.machine, event, at(now)) {
            self.machine = next;
        }
    }

    fn so(&mut self, from: Stand, to: Stand, event: Event) -> Event {
        if self.oracle.stand == from {
            self.oracle.stand = to;
        }
        event
    }

    fn over_by(&mut self, end: Stand) {
        if self.oracle.stand == Stand::Asked {
            self.oracle.stand = Stand::NeverGiven;
        } else if self.oracle.living() {
            self.oracle.stand = end;
        }
    }

    /// A timer looks, and both sides must say the same.
    fn ticks(&mut self, now: i64, report: &mut Report) {
        let (warnings, notice) = self.oracle.look(now);
        let (next, effects) = step(&self.machine, Event::Tick, at(now)).unwrap();
        self.machine = next;
        let warned: Vec<(char, i64)> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Warn(warning) => Some((warning.clock.word().chars().next().unwrap(), warning.days_left)),
                _ => None,
            })
            .collect();
        assert_eq!(warned, warnings, "{}", self.story(now));
        assert_eq!(effects.contains(&Effect::Tell(Notice::SharingGoesOn)), notice, "{}", self.story(now));
        if !warnings.is_empty() {
            *report.entry("warnings".to_owned()).or_default() += warnings.len() as u64;
        }
        self.agree(now);
        self.keeps_the_law(now);
    }

    fn agree(&self, now: i64) {
        let seen = match self.machine.state {
            State::Initiated => Stand::Asked,
            State::Authorized | State::Active => Stand::Flows,
            State::ReauthPending(ReauthReason::ScaExpired) => Stand::NeedsSca,
            State::ReauthPending(ReauthReason::ReconfirmMissed) => Stand::NeedsWord,
            State::ReauthPending(ReauthReason::TokenLost | ReauthReason::Displaced) => Stand::NeedsTokens,
            State::ReauthPending(ReauthReason::SuspendedByBank) => Stand::BankHolds,
            State::Expired(ExpiryReason::Term) => Stand::RanOut,
            State::Expired(ExpiryReason::Bank | ExpiryReason::Superseded) => Stand::BankEnded,
            State::Revoked(_) => Stand::Withdrawn,
            State::Failed(_) => Stand::NeverGiven,
        };
        assert_eq!(seen, self.oracle.stand, "{}", self.story(now));
        assert_eq!(self.machine.may_fetch(at(now)), self.oracle.stand == Stand::Flows, "{}", self.story(now));
        assert_eq!(self.machine.may_read(), self.oracle.living(), "{}", self.story(now));
    }

    /// The law alone, without our defaults: what a supervisor would look for.
    fn keeps_the_law(&self, now: i64) {
        if !self.machine.may_fetch(at(now)) {
            return;
        }
        let law = match self.oracle.regime {
            Regime::Eu => now < self.oracle.sca + 180 * DAY,
            Regime::Uk => now < self.oracle.word + 90 * DAY,
            Regime::Cdr | Regime::Us => now < self.oracle.agreed + 365 * DAY,
            Regime::Br => true,
        };
        let (today, _) = wall(&self.oracle.zone, now);
        let inside = today <= self.oracle.asked && self.oracle.granted.is_none_or(|last| today <= last);
        assert!(law && inside, "{}", self.story(now));
    }

    fn story(&self, now: i64) -> String {
        let Oracle { regime, sca, word, agreed, asked, granted, .. } = &self.oracle;
        format!(
            "{regime:?} at {}: sca {sca}, word {word}, agreed {agreed}, asked {asked:?}, granted {granted:?}, {:?}",
            at(now),
            self.machine
        )
    }
}

/// Lives one consent for two years; gives how often somebody looked.
fn live(seed: u64, report: &mut Report) -> u64 {
    let begun = count((2027, 3, 1)) * DAY;
    let mut life = Life::new(seed, begun);
    *report.entry(format!("consents {}", life.oracle.regime.as_str())).or_default() += 1;
    let mut looks = 0;
    for day in 0..DAYS {
        let now = begun + day * DAY + life.chance.below(DAY);
        looks += 1;
        life.ticks(now, report);
        life.happens(now, report);
        life.ticks(now, report);
        if matches!(life.machine.state, State::Revoked(_) | State::Failed(_)) && life.chance.once_in(30) {
            break;
        }
    }
    *report.entry(format!("ended {}", name_of(life.machine.state))).or_default() += 1;
    looks
}

/// Lives so many, on every core; gives how often somebody looked.
fn live_all(consents: u64) -> (u64, Report) {
    let cores = std::thread::available_parallelism().map_or(1, |cores| u64::try_from(cores.get()).unwrap());
    let part = |first: u64| {
        let mut report = Report::new();
        let seeds = (first..=consents).step_by(usize::try_from(cores).unwrap());
        (seeds.map(|seed| live(seed, &mut report)).sum::<u64>(), report)
    };
    let parts: Vec<(u64, Report)> = std::thread::scope(|scope| {
        let begun: Vec<_> = (1..=cores).map(|first| scope.spawn(move || part(first))).collect();
        begun.into_iter().map(|part| part.join().expect("a life that is not as the oracle says")).collect()
    });
    let (mut looks, mut report) = (0, Report::new());
    for (looked, words) in parts {
        looks += looked;
        words.into_iter().for_each(|(word, many)| *report.entry(word).or_default() += many);
    }
    (looks, report)
}

#[test]
fn two_years_go_as_the_oracle_says() {
    let consents = std::env::var("CONSENTS").ok().map_or(CONSENTS, |text| text.parse().expect("CONSENTS is a number"));
    let (looks, report) = live_all(consents);
    println!("{consents} consents, {looks} looks, none differs from the oracle");
    for (what, many) in &report {
        println!("  {what}: {many}");
    }
    for regime in Regime::ALL {
        assert!(report.contains_key(&format!("consents {}", regime.as_str())), "every regime was lived");
    }
    for end in ["reauth_pending/sca_expired", "reauth_pending/reconfirm_missed", "expired/term", "revoked/psu"] {
        assert!(report.contains_key(&format!("ended {end}")), "no life ended {end}");
    }
}

#[test]
fn the_oracles_calendar_knows_leap_days_and_jumps() {
    assert_eq!(count((2028, 3, 1)) - count((2028, 2, 28)), 2);
    assert_eq!(count((2027, 3, 1)) - count((2027, 2, 28)), 1);
    let skips_midnight = TimeZone::posix(ZONES[5]).unwrap();
    let day = (2027, 10, 16);
    let (next, second) = wall(&skips_midnight, over(&skips_midnight, day));
    assert_eq!((next, second), ((2027, 10, 17), 60 * 60), "the third Sunday of October has no midnight");
    let berlin = TimeZone::posix(ZONES[0]).unwrap();
    assert_eq!(over(&berlin, (2027, 3, 28)) - over(&berlin, (2027, 3, 27)), 23 * 60 * 60);
    assert_eq!(over(&berlin, (2027, 10, 31)) - over(&berlin, (2027, 10, 30)), 25 * 60 * 60);
}
