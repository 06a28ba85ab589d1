//! What banks are known to do wrong, class by class, and how each is switched on here.
//!
//! A class is something that documentation or users of real banks tell of. [`CLASSES`] is complete in both directions: every
//! misbehaviour stands in it, and every class has a switch that a test can turn.

use crate::bank::{Running, Said};
use crate::config::Policy;
use crate::misbehaviour::{Misbehaviour, Outage};
use crate::unrest::{Counting, Per};

/// How a class is switched on.
#[derive(Clone, Copy)]
pub enum Switch {
    /// Answers are spoilt: [`Running::misbehave`], or by chance with [`Running::unsettle`].
    Answer(Misbehaviour),
    /// Something that the running bank does from now on.
    Bank(fn(&Running)),
    /// A habit that it is opened with.
    Habit(fn(&mut Policy)),
    /// The books: rows are changed between two readings with [`Running::amend`], or the books are made so
    /// ([`crate::BankData`]).
    Books,
}

/// Functions have no form to show.
impl std::fmt::Debug for Switch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answer(how) => write!(f, "Answer({how:?})"),
            Self::Bank(_) => f.write_str("Bank"),
            Self::Habit(_) => f.write_str("Habit"),
            Self::Books => f.write_str("Books"),
        }
    }
}

/// Where a class belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// How far back a history goes, and for how long after the sign-in.
    History,
    /// Limits and throttling.
    Limits,
    /// Consents, tokens, redirects.
    Consents,
    /// HTTP and bodies.
    Bodies,
    /// Identity, duplicates, pending rows.
    Identity,
    /// Sign, amount, balance, text, dates.
    Rows,
    /// Whether it is there at all.
    Availability,
    /// Certificates, signatures, headers.
    Headers,
}

impl Area {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::History,
        Self::Limits,
        Self::Consents,
        Self::Bodies,
        Self::Identity,
        Self::Rows,
        Self::Availability,
        Self::Headers,
    ];
}

/// A class with its area and its switch.
pub type Class = (Area, &'static str, Switch);

/// Every class.
pub const CLASSES: &[Class] = &[
    (Area::History, "a window of minutes after the sign-in", Switch::Habit(|policy| policy.fresh_seconds = 180)),
    (Area::History, "one day less than promised", Switch::Habit(|policy| policy.history_days = 88)),
    (Area::History, "a period refused without a hint", Switch::Answer(Misbehaviour::PeriodRefused)),
    (Area::History, "old rows vanish", Switch::Books),
    (Area::Limits, "fewer reads a day than agreed", Switch::Habit(|policy| policy.reads_per_day = 1)),
    (Area::Limits, "429 that says for how long", Switch::Answer(Misbehaviour::SlowDown(300))),
    (Area::Limits, "counted for the TPP as a whole", Switch::Bank(|bank| bank.count(counting(Per::Client, true)))),
    (Area::Limits, "counted by consent", Switch::Bank(|bank| bank.count(counting(Per::Consent, true)))),
    (Area::Limits, "counted by resource", Switch::Bank(|bank| bank.count(counting(Per::Resource, true)))),
    (Area::Limits, "429 without a word", Switch::Bank(|bank| bank.count(counting(Per::Client, false)))),
    (
        Area::Consents,
        "403 without a word to whoever asks after a consent",
        Switch::Bank(|bank| bank.fail(Some(Outage::Consents))),
    ),
    (Area::Consents, "401 that proves nothing", Switch::Answer(Misbehaviour::Unauthorised)),
    (Area::Consents, "an answer of the token endpoint is lost", Switch::Bank(|bank| bank.lose_answer("/token"))),
    (Area::Consents, "refresh tokens that work once", Switch::Habit(|policy| policy.refresh_rotation = Some(0))),
    (Area::Consents, "a shorter consent than asked", Switch::Habit(|policy| policy.consent_days = 7)),
    (Area::Consents, "a new consent ends the old one", Switch::Habit(|policy| policy.one_recurring_consent = true)),
    (Area::Consents, "others have to sign", Switch::Habit(|policy| policy.several_signers = true)),
    (
        Area::Consents,
        "tokens that say the wrong thing",
        Switch::Bank(|bank| bank.misstate(Said::TokenResponse, "expires_in", serde_json::Value::Null)),
    ),
    (Area::Bodies, "a gateway's page with 200", Switch::Answer(Misbehaviour::WebPage)),
    (Area::Bodies, "nothing with 200", Switch::Answer(Misbehaviour::Empty)),
    (Area::Bodies, "an error inside a success", Switch::Answer(Misbehaviour::ErrorInside)),
    (Area::Bodies, "a wrong content type", Switch::Answer(Misbehaviour::WrongType)),
    (Area::Bodies, "JSON that ends early", Switch::Answer(Misbehaviour::Damaged)),
    (Area::Bodies, "members by another name", Switch::Answer(Misbehaviour::OtherNames)),
    (Area::Bodies, "another encoding", Switch::Answer(Misbehaviour::OldEncoding)),
    (Area::Bodies, "a page that leads to itself", Switch::Answer(Misbehaviour::SamePage)),
    (Area::Bodies, "pages without an end", Switch::Answer(Misbehaviour::EndlessPages)),
    (Area::Bodies, "a link to somebody else", Switch::Answer(Misbehaviour::ForeignLink)),
    (Area::Bodies, "a list that is not offered after all", Switch::Answer(Misbehaviour::NotOffered)),
    (Area::Identity, "ids that are given anew, twice or not at all", Switch::Books),
    (Area::Identity, "pending rows that change when they are booked", Switch::Books),
    (Area::Rows, "signs, amounts, texts and days of another kind", Switch::Books),
    (Area::Availability, "503 with a time", Switch::Answer(Misbehaviour::Unavailable(120))),
    (Area::Availability, "500 without a word", Switch::Answer(Misbehaviour::Broken)),
    (Area::Availability, "no answer at all", Switch::Bank(|bank| bank.fail(Some(Outage::Everything)))),
    (Area::Headers, "a seal that is no longer known", Switch::Bank(Running::forget_seal)),
];

const fn counting(per: Per, tells: bool) -> Option<Counting> {
    Some(Counting { per, calls: 3, seconds: 600, tells })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_misbehaviour_is_a_class_and_every_area_has_some() {
        for how in Misbehaviour::ALL {
            let same = |class: &&Class| matches!(class.2, Switch::Answer(known) if known == how);
            assert_eq!(CLASSES.iter().filter(same).count(), 1, "{how:?}");
        }
        for area in Area::ALL {
            assert!(CLASSES.iter().any(|class| class.0 == area), "{area:?}");
        }
        let names: BTreeSet<_> = CLASSES.iter().map(|class| class.1).collect();
        assert_eq!(names.len(), CLASSES.len());
    }

    #[test]
    fn every_habit_can_be_taken_on() {
        // Each takes it on from a bank that has none of them.
        let plain = Policy { one_recurring_consent: false, ..Policy::default() };
        for (_, name, switch) in CLASSES {
            if let Switch::Habit(take_on) = switch {
                let mut policy = plain;
                take_on(&mut policy);
                assert_ne!(policy, plain, "{name}");
            }
        }
    }
}
