//! What the law of a regime and the standing of a bank allow, as data, and the clocks computed from it.
//!
//! Three clocks are kept apart: strong customer authentication (SCA), the TPP's own reconfirmation, and the end of the
//! consent. Bank days are calendar days in the bank's zone; they become instants here and nowhere else.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// The law that a tenant's licence puts a consent under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Regime {
    /// PSD2 with RTS (EU) 2018/389 as amended by (EU) 2022/2360.
    Eu,
    /// UK PSRs 2017 with the FCA's SCA-RTS after PS21/19.
    Uk,
    /// Australia's Consumer Data Right.
    Cdr,
    /// US Dodd-Frank §1033 rule.
    Us,
    /// Open Finance Brasil.
    Br,
}

impl Regime {
    /// Every regime.
    pub const ALL: [Self; 5] = [Self::Eu, Self::Uk, Self::Cdr, Self::Us, Self::Br];

    /// The word in configuration and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eu => "eu",
            Self::Uk => "uk",
            Self::Cdr => "cdr",
            Self::Us => "us",
            Self::Br => "br",
        }
    }

    /// The regime of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|regime| regime.as_str() == word)
    }

    /// Its rules.
    pub const fn policy(self) -> &'static Policy {
        match self {
            Self::Eu => &EU,
            Self::Uk => &UK,
            Self::Cdr => &CDR,
            Self::Us => &US,
            Self::Br => &BR,
        }
    }
}

/// Days between two written notices that sharing goes on, where the regime asks for them ([`Policy::notices`]).
pub const NOTICE_DAYS: i64 = 90;

impl Policy {
    /// Reads a day without the person, where a bank says how many it answers: never more than the law's number.
    pub fn unattended_reads(&self, bank: u8) -> u8 {
        let law = self.unattended_per_day.and_then(|law| u8::try_from(law).ok());
        law.map_or(bank, |law| bank.min(law))
    }
}

/// The rules of one regime. Periods are whole days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Days after the last SCA at the bank in which data may be fetched unattended: the product's default and the law's
    /// most. `None`: the regime has no such clock.
    pub sca: Option<Period>,
    /// Days after which the user must confirm to us, without a bank visit (UK). Missing it stops collection.
    pub reconfirm: Option<i64>,
    /// Longest life of one consent. `None`: the bank's date and the product's wish decide.
    pub term_most: Option<i64>,
    /// Unattended reads that a bank must answer in 24 hours. `None`: no statutory number.
    pub unattended_per_day: Option<u32>,
    /// Whether the person is told in writing every [`NOTICE_DAYS`] that sharing goes on. It stops nothing.
    pub notices: bool,
    /// Whether an end counts towards the person only once the bank has been told: until then they read that we stopped
    /// and that the bank has not yet confirmed.
    pub bank_before_confirming: bool,
    /// Years for which the record of the consent is kept after its end.
    pub evidence_years: i64,
}

/// A period with what we do by default and what the law allows at most, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Where neither the bank nor the tenant says.
    pub default: i64,
    /// Never more than this, whoever asks.
    pub most: i64,
}

/// What most regimes share: no clock of their own, no special wording, five years of evidence.
const PLAIN: Policy = Policy {
    sca: None,
    reconfirm: None,
    term_most: None,
    unattended_per_day: None,
    notices: false,
    bank_before_confirming: false,
    evidence_years: 5,
};
/// Re-authentication after 90 days unless a bank or tenant says otherwise; 180 is the law's most (RTS Art. 10a). Four
/// reads a day without the person (RTS Art. 36(5)).
const EU: Policy = Policy { sca: Some(Period { default: 90, most: 180 }), unattended_per_day: Some(4), ..PLAIN };
/// No SCA clock since PS21/19; the user reconfirms to the TPP every 90 days (SCA-RTS Art. 36(6)). The consent at the bank
/// is deleted before a revocation is confirmed (OBIE account-access-consents).
const UK: Policy = Policy {
    reconfirm: Some(90),
    unattended_per_day: Some(4),
    bank_before_confirming: true,
    evidence_years: 6,
    ..PLAIN
};
/// A notice every 90 days does not stop collection; sharing ends after 365 days. Nobody has to elect deletion before the
/// last step of a withdrawal, since every withdrawal deletes (CDR rules 4.12, 7.12, 8.11, 9.3).
const CDR: Policy = Policy { term_most: Some(365), notices: true, evidence_years: 6, ..PLAIN };
/// A new authorisation no later than 365 days after the last (12 CFR 1033.421(b)); records for three years (1033.441).
const US: Policy = Policy { term_most: Some(365), evidence_years: 3, ..PLAIN };
/// No longest term since Resolução Conjunta 7/2023.
const BR: Policy = PLAIN;

/// The instants at which a consent needs something. `None`: that clock does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The user must authenticate at the bank before this.
    pub sca_due: Option<Timestamp>,
    /// The user must confirm to us before this.
    pub reconfirm_due: Option<Timestamp>,
    /// The person is to be told in writing, from this moment on, that sharing goes on. Stops nothing.
    pub notice_due: Option<Timestamp>,
    /// The consent is over.
    pub term_ends: Timestamp,
}

/// What clocks are computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockFacts {
    /// When the user last authenticated at the bank for this grant.
    pub last_sca: Timestamp,
    /// When the user last confirmed to us: acceptance of the text, or a later reconfirmation.
    pub last_confirmation: Timestamp,
    /// When the consent was given.
    pub given: Timestamp,
    /// Last day of the consent as its text said, inclusive, in the bank's zone.
    pub asked_until: Date,
    /// Last day as the bank granted it, inclusive, in the bank's zone. `None` = the bank names no end.
    pub granted_until: Option<Date>,
    /// The bank's own re-authentication period in days.
    pub bank_sca_days: Option<i64>,
    /// The tenant's preferred period in days.
    pub tenant_sca_days: Option<i64>,
}

/// The first instant after a bank-local day: a date that is "inclusive" ends here, whatever DST did.
pub fn end_of_day(day: Date, zone: &TimeZone) -> Timestamp {
    let next = day.tomorrow().unwrap_or(day);
    next.to_zoned(zone.clone()).map_or(Timestamp::MAX, |midnight| midnight.timestamp())
}

/// The instant a number of days later: the same time of day in the zone, or so many times 24 hours, whichever is earlier.
/// A change to summer time never lengthens what the law counts.
fn days_after(start: Timestamp, days: i64, zone: &TimeZone) -> Timestamp {
    let civil = start.to_zoned(zone.clone()).checked_add(days.days()).map_or(Timestamp::MAX, |at| at.timestamp());
    start.saturating_add(SignedDuration::from_hours(24 * days)).map_or(civil, |elapsed| elapsed.min(civil))
}

/// Days after which SCA lapses: the bank's, else the tenant's, else the product's default; inside the law. `None`: the
/// regime has no such clock.
pub fn sca_days(policy: &Policy, bank: Option<i64>, tenant: Option<i64>) -> Option<i64> {
    policy.sca.map(|period| bank.or(tenant).unwrap_or(period.default).clamp(1, period.most))
}

/// Computes the clocks (architecture §4).
///
/// The SCA clock is the earlier of the bank's last day and the last SCA plus the period, less one day, since some banks
/// count a moment earlier than they announce.
pub fn clocks(policy: &Policy, facts: &ClockFacts, zone: &TimeZone) -> Clocks {
    let granted_end = facts.granted_until.map(|day| end_of_day(day, zone));
    let sca_due = sca_days(policy, facts.bank_sca_days, facts.tenant_sca_days).map(|days| {
        let lapse = days_after(facts.last_sca, days, zone);
        let earliest = granted_end.map_or(lapse, |end| end.min(lapse));
        let margin = earliest.saturating_add(SignedDuration::from_hours(-24)).unwrap_or(Timestamp::MIN);
        margin.max(facts.last_sca)
    });
    let mut term_ends = end_of_day(facts.asked_until, zone);
    if let Some(end) = granted_end {
        term_ends = term_ends.min(end);
    }
    if let Some(days) = policy.term_most {
        term_ends = term_ends.min(days_after(facts.given, days, zone));
    }
    Clocks {
        sca_due,
        reconfirm_due: policy.reconfirm.map(|days| days_after(facts.last_confirmation, days, zone)),
        notice_due: policy.notices.then(|| days_after(facts.given, NOTICE_DAYS, zone)),
        term_ends,
    }
}

/// The clocks of a consent whose person has just confirmed to us: that clock begins anew, the others go on.
pub fn reconfirmed(policy: &Policy, clocks: Clocks, now: Timestamp, zone: &TimeZone) -> Clocks {
    Clocks { reconfirm_due: policy.reconfirm.map(|days| days_after(now, days, zone)), ..clocks }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(granted_until: Option<Date>) -> ClockFacts {
        let given: Timestamp = "2026-02-10T09:00:00Z".parse().unwrap();
        ClockFacts {
            last_sca: given,
            last_confirmation: given,
            given,
            asked_until: "2027-02-09".parse().unwrap(),
            granted_until,
            bank_sca_days: None,
            tenant_sca_days: None,
        }
    }

    fn berlin() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(1))
    }

    #[test]
    fn the_sca_clock_is_ninety_days_less_one_by_default() {
        let clocks = clocks(&EU, &facts(None), &berlin());
        assert_eq!(clocks.sca_due, Some("2026-05-10T09:00:00Z".parse().unwrap()));
        assert_eq!(clocks.reconfirm_due, None);
    }

    #[test]
    fn an_earlier_bank_date_wins_and_is_inclusive_in_the_banks_zone() {
        let clocks = clocks(&EU, &facts(Some("2026-03-01".parse().unwrap())), &berlin());
        assert_eq!(clocks.term_ends, "2026-03-01T23:00:00Z".parse().unwrap());
        assert_eq!(clocks.sca_due, Some("2026-02-28T23:00:00Z".parse().unwrap()));
    }

    #[test]
    fn neither_bank_nor_tenant_goes_beyond_the_law() {
        let longer = ClockFacts { bank_sca_days: Some(400), ..facts(None) };
        assert_eq!(clocks(&EU, &longer, &TimeZone::UTC).sca_due, Some("2026-08-08T09:00:00Z".parse().unwrap()));
        let shorter = ClockFacts { tenant_sca_days: Some(30), ..facts(None) };
        assert_eq!(clocks(&EU, &shorter, &TimeZone::UTC).sca_due, Some("2026-03-11T09:00:00Z".parse().unwrap()));
    }

    #[test]
    fn regimes_differ_in_their_clocks() {
        let uk = clocks(Regime::Uk.policy(), &facts(None), &TimeZone::UTC);
        assert_eq!((uk.sca_due, uk.reconfirm_due), (None, Some("2026-05-11T09:00:00Z".parse().unwrap())));
        let mut long = facts(None);
        long.asked_until = "2030-01-01".parse().unwrap();
        let us = clocks(Regime::Us.policy(), &long, &TimeZone::UTC);
        assert_eq!(us.term_ends, "2027-02-10T09:00:00Z".parse().unwrap());
        let cdr = clocks(Regime::Cdr.policy(), &long, &TimeZone::UTC);
        assert_eq!((cdr.sca_due, cdr.notice_due), (None, Some("2026-05-11T09:00:00Z".parse().unwrap())));
        let br = clocks(Regime::Br.policy(), &long, &TimeZone::UTC);
        assert_eq!((br.sca_due, br.reconfirm_due, br.term_ends), (None, None, "2030-01-02T00:00:00Z".parse().unwrap()));
        for regime in Regime::ALL {
            assert_eq!(Regime::parse(regime.as_str()), Some(regime));
        }
    }

    #[test]
    fn no_bank_is_read_more_often_than_the_law_says() {
        let reads = |regime: Regime| [2, 4, 8].map(|bank| regime.policy().unattended_reads(bank));
        assert_eq!((reads(Regime::Eu), reads(Regime::Uk)), ([2, 4, 4], [2, 4, 4]));
        assert_eq!((reads(Regime::Cdr), reads(Regime::Br)), ([2, 4, 8], [2, 4, 8]));
    }

    #[test]
    fn a_change_to_summer_time_never_lengthens_a_period() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        for (start, end) in [
            // Into summer time: ninety times 24 hours would end an hour later on the clock, so the clock's hour counts.
            ("2026-02-10T08:00:00Z", "2026-05-11T07:00:00Z"),
            // Out of it: the same hour on the clock would be an hour longer, so the elapsed time counts.
            ("2026-09-10T08:00:00Z", "2026-12-09T08:00:00Z"),
        ] {
            assert_eq!(days_after(start.parse().unwrap(), 90, &zone), end.parse().unwrap());
        }
    }

    #[test]
    fn a_reconfirmation_moves_its_own_clock_alone() {
        let before = clocks(&UK, &facts(None), &TimeZone::UTC);
        let now = "2026-05-01T10:00:00Z".parse().unwrap();
        let after = reconfirmed(&UK, before, now, &TimeZone::UTC);
        assert_eq!(after, Clocks { reconfirm_due: Some("2026-07-30T10:00:00Z".parse().unwrap()), ..before });
    }
}
