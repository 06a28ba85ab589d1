//! How far each identifier of a bank is worth believing, counted and not assumed.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::align::{Listed, Stored};
use super::sketch::Sketch;

/// Agreements that must have been seen before an equal identifier alone says "the same payment".
const AGREEMENTS_MIN: u32 = 10;
/// Agreements that make up for one counter-example.
const AGREEMENTS_PER_COUNTER_EXAMPLE: u32 = 100;
/// Rows with another value in one fetch that make it a renumbering.
const RENUMBERED_MIN: u32 = 5;
/// From so many agreements on, old counts weigh half: banks change.
const AGREEMENTS_MAX: u32 = 20_000;

/// An identifier that a row can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdField {
    /// `transactionId`.
    Transaction,
    /// `internalTransactionId` and other ids of an intermediary.
    Internal,
    /// `entryReference`.
    Entry,
    /// The proprietary code, which is the only steady identifier at some banks and a mere code at most.
    Proprietary,
}

impl IdField {
    /// Every field, in the order of [`Sketch::ids`].
    pub const ALL: [Self; 4] = [Self::Transaction, Self::Internal, Self::Entry, Self::Proprietary];
}

/// What was seen of one identifier between fetches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Rows that were surely the same and carried the same value again.
    pub same: u32,
    /// Rows that were surely the same and carried another value.
    pub changed: u32,
    /// Rows of one fetch that carried the value of another row.
    pub shared: u32,
    /// Values that came back on another payment.
    pub clashed: u32,
}

impl Count {
    fn plus(self, other: Self) -> Self {
        let sum = |a: u32, b: u32| a.saturating_add(b);
        let total = Self {
            same: sum(self.same, other.same),
            changed: sum(self.changed, other.changed),
            shared: sum(self.shared, other.shared),
            clashed: sum(self.clashed, other.clashed),
        };
        if total.same < AGREEMENTS_MAX {
            return total;
        }
        Self { same: total.same / 2, changed: total.changed / 2, shared: total.shared / 2, clashed: total.clashed / 2 }
    }

    /// Whether two rows with an equal value are one payment.
    fn names(self) -> bool {
        let against = self.shared.saturating_add(self.clashed);
        self.same >= AGREEMENTS_MIN && against.saturating_mul(AGREEMENTS_PER_COUNTER_EXAMPLE) <= self.same
    }

    /// Whether equal values were seen on different payments, and more often than by an accident.
    fn is_refuted(self) -> bool {
        let against = self.shared.saturating_add(self.clashed);
        against > 0 && against.saturating_mul(AGREEMENTS_PER_COUNTER_EXAMPLE) > self.same
    }

    /// Whether a payment keeps its value.
    fn keeps(self) -> bool {
        self.same >= AGREEMENTS_MIN && self.changed.saturating_mul(AGREEMENTS_PER_COUNTER_EXAMPLE) <= self.same
    }
}

/// Whether the days of pending rows stay or follow the calendar, as at banks that date them anew with every answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingDays {
    /// Pending rows that came again with their days.
    pub kept: u32,
    /// Pending rows that came again with other days.
    pub moved: u32,
}

/// Whether provisional rows stay listed beside their bookings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lingering {
    /// Provisional rows that were listed beside the booking of their payment.
    pub beside: u32,
    /// Provisional rows that became booked ones.
    pub bookings: u32,
}

impl Lingering {
    /// Whether the bank is known to take a provisional row off its list when it books the payment.
    pub(super) fn is_unknown_here(self) -> bool {
        self.bookings >= AGREEMENTS_MIN && self.beside.saturating_mul(AGREEMENTS_PER_COUNTER_EXAMPLE) <= self.bookings
    }

    /// Whether the bank is known to leave it.
    pub(super) fn is_known_here(self) -> bool {
        self.bookings >= AGREEMENTS_MIN && !self.is_unknown_here()
    }
}

/// How many days after its purchase a bank books a payment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delays {
    /// Bookings that came so many days after their provisional rows; the last place is for longer ones.
    pub after: [u32; DELAYS],
}

/// Delays that are counted apart, in days from none.
const DELAYS: usize = 16;
/// Bookings that must have been seen before a delay is known to be unusual.
const DELAYS_MIN: u32 = 30;
/// Where less is known: two working days over a weekend.
const DELAY_DAYS: i32 = 4;

impl Delays {
    /// Notes a booking.
    pub(super) fn note(&mut self, days: i32) {
        let place = usize::try_from(days).unwrap_or_default().min(DELAYS - 1);
        self.after[place] = self.after[place].saturating_add(1);
    }

    /// The longest delay that one booking in a hundred reaches, in days.
    pub(super) fn usual(self) -> i32 {
        let all = self.after.iter().fold(0, |sum: u32, count| sum.saturating_add(*count));
        if all < DELAYS_MIN {
            return DELAY_DAYS;
        }
        let mut reached = 0_u32;
        for (days, count) in self.after.iter().enumerate().rev() {
            reached = reached.saturating_add(*count);
            if reached.saturating_mul(100) >= all {
                return i32::try_from(days).unwrap_or(i32::MAX);
            }
        }
        DELAY_DAYS
    }

    fn plus(self, other: Self) -> Self {
        let mut sum = self;
        for (mine, theirs) in sum.after.iter_mut().zip(other.after) {
            *mine = mine.saturating_add(theirs);
        }
        if sum.after.iter().any(|count| *count >= AGREEMENTS_MAX) {
            sum.after.iter_mut().for_each(|count| *count /= 2);
        }
        sum
    }
}

impl PendingDays {
    /// Whether the bank leaves the days as they are.
    pub(super) fn stay(self) -> bool {
        self.kept > self.moved.saturating_add(1).saturating_mul(10)
    }

    /// Whether the bank dates pending rows anew. Two fetches of one day show the same days at such a bank too.
    pub(super) fn move_on(self) -> bool {
        self.moved >= 3 && self.moved.saturating_mul(3) > self.kept
    }
}

/// What was seen of a bank's identifiers, apart for booked and for provisional rows. Begins with nothing seen; it may be
/// kept per account or, with [`Trust::plus`], for a whole bank.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// Counts per field of [`IdField::ALL`]: of booked rows, then of provisional ones.
    pub counts: [[Count; 2]; IdField::ALL.len()],
    /// What was seen of the days of pending rows.
    pub pending_days: PendingDays,
    /// What was seen of provisional rows beside their bookings.
    pub lingering: Lingering,
    /// What was seen of the time from a purchase to its booking.
    #[serde(default)]
    pub delays: Delays,
    /// Booked rows that the bank replaced by others of their amount and text.
    #[serde(default)]
    pub replaced: u32,
}

impl Trust {
    /// Both observations together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        for (mine, theirs) in sum.counts.iter_mut().flatten().zip(other.counts.iter().flatten()) {
            *mine = mine.plus(*theirs);
        }
        let days = &mut sum.pending_days;
        days.kept = days.kept.saturating_add(other.pending_days.kept);
        days.moved = days.moved.saturating_add(other.pending_days.moved);
        let lingering = &mut sum.lingering;
        lingering.beside = lingering.beside.saturating_add(other.lingering.beside);
        lingering.bookings = lingering.bookings.saturating_add(other.lingering.bookings);
        sum.delays = sum.delays.plus(other.delays);
        sum.replaced = sum.replaced.saturating_add(other.replaced);
        sum
    }

    /// What is known after a fetch. A field that most rows carry anew was renumbered: what it did before says nothing of
    /// what it will do.
    pub(super) fn after(&self, seen: &Self) -> Self {
        let mut known = self.plus(seen);
        for (mine, now) in known.counts.iter_mut().flatten().zip(seen.counts.iter().flatten()) {
            if now.changed >= RENUMBERED_MIN && now.changed > now.same {
                *mine = Count::default();
            }
        }
        known
    }

    /// Counts what the overlap of one fetch with what is stored says. `content` gives rows that are surely the same:
    /// those whose content stands once on either side.
    pub(super) fn seen<I>(stored: &[Stored<I>], listed: &[Listed], skip: &[bool], content: &[(usize, usize)]) -> Self {
        let mut seen = Self::default();
        for (field, counts) in seen.counts.iter_mut().enumerate() {
            for &(s, l) in content {
                let (before, now) = (&stored[s].sketch, &listed[l].sketch);
                if let (Some(a), Some(b)) = (before.ids[field], now.ids[field]) {
                    let count = &mut counts[usize::from(now.provisional)];
                    *(if a == b { &mut count.same } else { &mut count.changed }) += 1;
                }
            }
            for (class, count) in counts.iter_mut().enumerate() {
                let of_class =
                    |sketch: &Sketch| (usize::from(sketch.provisional) == class).then_some(sketch.ids[field]).flatten();
                let mut holders: HashMap<u64, Vec<usize>> = HashMap::new();
                for (l, row) in listed.iter().enumerate().filter(|(l, _)| !skip[*l]) {
                    if let Some(value) = of_class(&row.sketch) {
                        holders.entry(value).or_default().push(l);
                    }
                }
                let repeated = holders.values().map(|rows| rows.len() - 1).sum::<usize>();
                count.shared = u32::try_from(repeated).unwrap_or(u32::MAX);
                for row in stored.iter().filter(|row| !row.removed) {
                    let holder = of_class(&row.sketch).and_then(|value| holders.get(&value));
                    if let Some([holder]) = holder.map(Vec::as_slice) {
                        count.clashed += u32::from(listed[*holder].sketch.money != row.sketch.money);
                    }
                }
            }
        }
        seen
    }

    /// The fields whose equal values mean one payment, by what was seen before and in this fetch: a field that
    /// contradicts itself in this fetch is not believed in it, whatever it did before.
    pub(super) fn naming(&self, now: &Self, provisional: bool) -> [bool; IdField::ALL.len()] {
        self.judge(now, provisional, |count, now| now.clashed == 0 && count.names())
    }

    /// The fields whose equal values have stood on different payments too often to name one.
    pub(super) fn refuted(&self, provisional: bool) -> [bool; IdField::ALL.len()] {
        let class = usize::from(provisional);
        std::array::from_fn(|field| self.counts[field][class].is_refuted())
    }

    /// The fields whose different values mean two payments.
    pub(super) fn steady(&self, now: &Self, provisional: bool) -> [bool; IdField::ALL.len()] {
        self.judge(now, provisional, |count, now| {
            now.changed == 0 && now.clashed == 0 && count.names() && count.keeps()
        })
    }

    fn judge(&self, now: &Self, provisional: bool, says: impl Fn(Count, Count) -> bool) -> [bool; IdField::ALL.len()] {
        let class = usize::from(provisional);
        std::array::from_fn(|field| {
            let now = now.counts[field][class];
            says(self.counts[field][class].plus(now), now)
        })
    }
}
