//! From provisional to booked: the bank gives the payment another row, often with another id, day, text or amount.

use std::collections::HashMap;
use std::ops::Range;

use jiff::Span;
use rust_decimal::Decimal;

use super::align::{Evidence, Outcome, Twin, Work, days_apart, links_differ};
use super::sketch::Sketch;
use super::trust::Lingering;

/// Longest time from a purchase to its booking that is followed, in days.
const BOOKING_DAYS_MAX: i32 = 14;
/// Days that a booking may lie before the day of its pending row: some banks date pending rows ahead.
const AHEAD_DAYS_MAX: i32 = 3;
/// Days within which another purchase of the same amount at the same place makes it a habit.
const HABIT_DAYS: i32 = 20;
/// Purchases of one amount at one place alone after which the next one is expected there.
const HABIT_ROWS: usize = 3;
/// Pairs that are weighed in one step; a list with more is no account's, and its rows are told apart by less.
const PAIRS_MAX: usize = 4_000_000;
/// Pairs that fit in one step and are kept.
const EDGES_MAX: usize = 4_000;
/// Longest time from a purchase to its booking where the provisional row was withdrawn before, in days.
const RETURN_DAYS_MAX: i32 = 6;
/// Days by which a booking of another amount may come later than is usual, to be asked about.
const SLACK_DAYS: i32 = 2;
/// Longest time in which a booked row that was replaced is followed, in days.
const REPLACED_DAYS_MAX: i32 = 10;

/// Which rows may be the bookings of which, in the order of both.
struct Edges {
    by_source: Vec<Vec<usize>>,
    by_target: HashMap<usize, Vec<usize>>,
}

impl Edges {
    fn targets(&self, place: usize) -> &[usize] {
        &self.by_source[place]
    }

    fn sources(&self, l: usize) -> &[usize] {
        self.by_target.get(&l).map_or(&[], Vec::as_slice)
    }

    fn all(&self) -> impl Iterator<Item = (usize, usize)> {
        self.by_source.iter().enumerate().flat_map(|(place, targets)| targets.iter().map(move |l| (place, *l)))
    }
}

/// Where the provisional form of a payment is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pool {
    /// Stored, provisional, no longer listed.
    Vanished,
    /// Still listed beside its booking.
    Listed,
    /// Withdrawn some fetches ago.
    Removed,
    /// Stored, booked, no longer listed: the bank replaced the row.
    Replaced,
}

/// A row that may have become another one.
#[derive(Clone, Copy)]
struct Source<'a> {
    sketch: &'a Sketch,
    stored: Option<usize>,
    listed: Option<usize>,
}

impl<'a, I: Copy + Eq> Work<'a, I> {
    /// Bookings with good evidence.
    pub(super) fn bookings(&mut self, lingering: Lingering) {
        for pool in [Pool::Vanished, Pool::Listed, Pool::Removed, Pool::Replaced] {
            self.follow(pool, Evidence::Link, lingering);
        }
        for pool in [Pool::Vanished, Pool::Replaced, Pool::Listed, Pool::Removed] {
            self.follow(pool, Evidence::Text, lingering);
        }
        self.follow(Pool::Vanished, Evidence::Amount, lingering);
    }

    /// Bookings for which little speaks but that nothing else explains.
    pub(super) fn last_bookings(&mut self, lingering: Lingering) {
        for (pool, why) in [
            (Pool::Replaced, Evidence::Amount),
            (Pool::Replaced, Evidence::AmountAndDay),
            (Pool::Removed, Evidence::Amount),
            (Pool::Vanished, Evidence::TextOnly),
            (Pool::Replaced, Evidence::TextOnly),
            (Pool::Listed, Evidence::TextOnly),
            (Pool::Removed, Evidence::TextOnly),
            (Pool::Vanished, Evidence::NearAmount),
        ] {
            self.follow(pool, why, lingering);
        }
    }

    fn follow(&mut self, pool: Pool, why: Evidence, lingering: Lingering) {
        let mut sources = self.sources(pool, why);
        let open = |l: &usize| self.is_free(*l) && self.contested[*l].is_none() && !self.listed[*l].sketch.provisional;
        let mut targets: Vec<usize> = (0..self.listed.len()).filter(open).collect();
        sources.sort_by_key(|source| source.sketch.day());
        targets.sort_by_key(|&l| self.listed[l].sketch.booked_day());
        let edges = self.edges(&sources, &targets, pool, why);
        let mut used = vec![false; sources.len()];
        for on_the_day in [true, false] {
            for (place, l) in edges.all() {
                let source = sources[place];
                if used[place]
                    || !self.is_free(l)
                    || on_the_day && !same_purchase_day(source.sketch, &self.listed[l].sketch)
                {
                    continue;
                }
                let alone = match amount_changed(why) {
                    true => edges.targets(place).len() + edges.sources(l).len() == 2,
                    false => self.is_alone(&sources, &edges, place, l),
                };
                let told = on_the_day && self.is_told_by_the_day(source.sketch, l, why, alone);
                if on_the_day && why == Evidence::Amount && !told {
                    continue;
                }
                if told || self.is_sure(&source, l, pool, why, alone) {
                    used[place] = true;
                    self.book(&source, l, why);
                } else if let Some(s) = source.stored.filter(|_| is_doubt(pool, why, lingering))
                    && self.nearest(source.sketch, edges.targets(place)) == Some(l)
                {
                    // A payment has one booking, so its provisional row is a doubt about one row alone. What else it may
                    // have become is not explained by less.
                    used[place] = true;
                    self.doubted[s] = true;
                    edges.targets(place).iter().for_each(|l| self.contested[*l] = Some((s, why)));
                    self.outcome[l] = Some(Outcome::Doubtful { like: Twin::Stored(self.stored[s].id) });
                }
            }
        }
    }

    /// Which of the rows may be the booking of which: only those of the days around it are looked at. Both are in the
    /// order of their days, rows without one first.
    fn edges(&self, sources: &[Source<'_>], targets: &[usize], pool: Pool, why: Evidence) -> Edges {
        let dateless = targets.partition_point(|l| self.listed[*l].sketch.booked_day().is_none());
        let window = |source: &Source<'_>| self.window(source, targets, pool);
        let windows: Vec<Range<usize>> = sources.iter().map(window).collect();
        let pairs = windows.iter().fold(0_usize, |sum, window| sum.saturating_add(dateless + window.len()));
        let mut edges = Edges { by_source: vec![Vec::new(); sources.len()], by_target: HashMap::new() };
        if pairs > PAIRS_MAX {
            return edges;
        }
        self.weigh(pairs);
        let near =
            |window: Range<usize>| targets[..dateless].iter().chain(&targets[dateless.max(window.start)..window.end]);
        let pairs = windows.into_iter().enumerate().flat_map(|(place, window)| near(window).map(move |l| (place, *l)));
        let fits = |&(place, l): &(usize, usize)| self.fits(sources[place].sketch, l, pool, why);
        for (place, l) in pairs.filter(fits).take(EDGES_MAX) {
            edges.by_source[place].push(l);
            edges.by_target.entry(l).or_default().push(place);
        }
        edges
    }

    /// The targets with a day that is not too far from that of the source.
    fn window(&self, source: &Source<'_>, targets: &[usize], pool: Pool) -> Range<usize> {
        let day = |l: &usize| self.listed[*l].sketch.booked_day();
        let own = if pool == Pool::Replaced { source.sketch.booked_day() } else { source.sketch.day() };
        let first = own.map(|own| own.saturating_sub(Span::new().days(REPLACED_DAYS_MAX.max(AHEAD_DAYS_MAX))));
        let from = targets.partition_point(|l| day(l).is_none() || day(l) < first);
        let Some(own) = own else { return from..targets.len() };
        let last = own.saturating_add(Span::new().days(REPLACED_DAYS_MAX.max(BOOKING_DAYS_MAX)));
        from..targets.partition_point(|l| day(l) <= Some(last))
    }

    /// Of the free rows that may be the booking of this one, the first with the nearest amount.
    fn nearest(&self, source: &Sketch, targets: &[usize]) -> Option<usize> {
        let free = targets.iter().copied().filter(|l| self.is_free(*l));
        let gap =
            |l: &usize| self.listed[*l].sketch.money.amount().checked_sub(source.money.amount()).map(|gap| gap.abs());
        free.min_by_key(|l| gap(l).unwrap_or(Decimal::MAX))
    }

    /// Whether no other row competes that looks different.
    fn is_alone(&self, sources: &[Source<'_>], edges: &Edges, place: usize, l: usize) -> bool {
        let (source, target) = (sources[place].sketch, &self.listed[l].sketch);
        let mut rivals = edges.sources(l).iter().map(|p| sources[*p].sketch);
        let mut others = edges.targets(place).iter().map(|t| &self.listed[*t].sketch);
        let (count, bookings) = (rivals.len(), others.len());
        self.weigh(count + bookings);
        let one_day = rivals.clone().all(|rival| rival.day() == source.day());
        // Where the rows to come are of one place, and there is one for each that went, their order decides.
        let told = count <= bookings || !self.says_nothing(source);
        let same_place = |other: &Sketch| other.text == target.text || self.are_similar(other, target);
        rivals.all(|rival| rival.text == source.text)
            && (count >= bookings && one_day || told && others.all(same_place))
    }

    fn sources(&self, pool: Pool, why: Evidence) -> Vec<Source<'a>> {
        let (stored, listed) = (self.stored, self.listed);
        if pool == Pool::Listed {
            let shown = |l: &usize| matches!(self.outcome[*l], None | Some(Outcome::Same { .. }));
            return (0..listed.len())
                .filter(|&l| listed[l].sketch.provisional)
                .filter(shown)
                .map(|l| Source { sketch: &listed[l].sketch, stored: self.partner[l], listed: Some(l) })
                .collect();
        }
        (0..stored.len())
            .filter(|&s| !self.taken[s] && !self.doubted[s] && stored[s].removed == (pool == Pool::Removed))
            .filter(|&s| pool == Pool::Removed || stored[s].sketch.provisional == (pool == Pool::Vanished))
            .filter(|&s| pool == Pool::Removed || self.is_covered(s))
            // What went some fetches ago did not go when the other came.
            .filter(|&s| pool != Pool::Replaced || !amount_changed(why) || !stored[s].missed)
            .map(|s| Source { sketch: &stored[s].sketch, stored: Some(s), listed: None })
            .collect()
    }

    /// Takes the booked row for the payment; the provisional row, if it is still listed, is its echo.
    fn book(&mut self, source: &Source<'_>, l: usize, why: Evidence) {
        match source.stored {
            Some(s) => {
                let replaced = !source.sketch.provisional && !self.stored[s].removed && source.listed.is_none();
                if replaced && matches!(why, Evidence::Link | Evidence::Text) {
                    self.seen.replaced += 1;
                    self.note_delay(source.sketch, &self.listed[l].sketch);
                }
                self.settle(s, l, why);
            }
            None => self.outcome[l] = Some(Outcome::New),
        }
        if let Some(provisional) = source.listed {
            self.partner[provisional] = None;
            self.echo(provisional, Twin::Listed(l), why);
            self.seen.lingering.beside += 1;
        }
    }

    fn fits(&self, before: &Sketch, l: usize, pool: Pool, why: Evidence) -> bool {
        let now = &self.listed[l].sketch;
        let (old, new) = (before.money, now.money);
        if old.currency() != new.currency() || old.amount().is_sign_negative() != new.amount().is_sign_negative() {
            return false;
        }
        let equal = old == new;
        let days = if pool == Pool::Replaced {
            days_apart(before.booked_day(), now.booked_day()).is_none_or(|days| days.abs() <= REPLACED_DAYS_MAX)
        } else {
            let returned = pool != Pool::Removed
                || days_apart(before.day(), now.booked_day()).is_none_or(|d| d <= RETURN_DAYS_MAX);
            let elsewhere = matches!(pool, Pool::Listed | Pool::Removed) && now.purchase_date.is_some();
            returned && days_fit(before, now) && (!elsewhere || same_purchase_day(before, now))
        };
        let on_the_day = now.purchase_date.is_none() || same_purchase_day(before, now);
        let soon = self.is_soon(before, now, SLACK_DAYS);
        let contradicted = why != Evidence::Link && links_differ(before, now);
        days && !contradicted
            && match why {
                Evidence::Link => self.are_linked(before, now) && (equal || self.are_similar(before, now)),
                Evidence::Text => {
                    equal
                        && self.are_similar(before, now)
                        && (pool != Pool::Listed || !self.went_at_another_amount(now, l))
                }
                Evidence::TextOnly => {
                    let (amount, settled) = (old.amount(), new.amount());
                    let much =
                        near(amount, settled, if before.provisional { 2 } else { 4 }) && self.are_similar(before, now);
                    let little =
                        near(amount, settled, 5) && before.party == now.party && self.shared_words(before, now) > 0;
                    let known = pool != Pool::Listed || self.lingers;
                    !equal && on_the_day && soon && known && (much || little && before.provisional)
                }
                Evidence::Amount => {
                    let share = self.shared_words(before, now) > 0;
                    equal && on_the_day && before.party == now.party && (share || pool != Pool::Replaced)
                }
                Evidence::NearAmount => {
                    !equal && on_the_day && soon && near(old.amount(), new.amount(), 5) && before.party == now.party
                }
                Evidence::AmountAndDay => {
                    equal && before.booked_day() == now.booked_day() && !self.ids_differ(before, now)
                }
                Evidence::Everything
                | Evidence::Id(_)
                | Evidence::Content
                | Evidence::Redated
                | Evidence::EarlierForm
                | Evidence::PageOverlap => false,
            }
    }

    /// Whether the day of purchase decides. Of several purchases of one amount on one day it does not: their words must.
    fn is_told_by_the_day(&self, before: &Sketch, l: usize, why: Evidence, alone: bool) -> bool {
        match why {
            Evidence::Amount => alone || self.shared_words(before, &self.listed[l].sketch) > 0,
            _ => !amount_changed(why),
        }
    }

    /// Whether the evidence decides. A row that went when the other came is more than one that is still there; where
    /// the bank names the day of purchase and it is another, the purchase must not be one of a habit.
    fn is_sure(&self, source: &Source<'_>, l: usize, pool: Pool, why: Evidence, alone: bool) -> bool {
        let now = &self.listed[l].sketch;
        let later = days_apart(source.sketch.day(), now.booked_day());
        let soon = self.is_soon(source.sketch, now, 0);
        let habit = || self.is_habit(now, source.stored, source.listed, Some(l));
        match (why, pool) {
            (Evidence::Link, _) => true,
            // Where such rows are known to stay, equal purchases are taken in their order.
            (Evidence::Text, Pool::Listed) => {
                let in_order = self.lingers && now.purchase_date.is_none();
                later.is_none_or(|days| days >= 0) && alone && (in_order || !habit())
            }
            (Evidence::Text, Pool::Removed) if later.is_some_and(|days| !(0..=HABIT_DAYS / 2).contains(&days)) => {
                !habit()
            }
            // A row can be lost between two pages as another purchase of a habit comes.
            (Evidence::Text, Pool::Replaced)
                if !self.replaces && self.ids_differ(source.sketch, now) && self.may_be_lost(source.sketch) =>
            {
                !habit()
            }
            (Evidence::Text, _) => now.purchase_date.is_none() || !habit(),
            (Evidence::Amount, Pool::Removed) => {
                (alone || self.is_of_one_place(now, l)) && soon && !self.is_spent_elsewhere(now, source.stored, l)
            }
            (Evidence::Amount, Pool::Vanished) => {
                let told = self.shared_words(source.sketch, now) > 0;
                let alone = alone || self.is_of_one_place(now, l);
                alone && (soon || told) && !self.name_two_places(source.sketch, now)
            }
            // What is still listed beside a booking of another amount is as likely another purchase at the place.
            (Evidence::TextOnly, Pool::Listed) => false,
            // So is a row of the same words that came when a booked one went, or after.
            (Evidence::TextOnly, Pool::Replaced | Pool::Removed) => {
                let ids = !self.replaces && self.ids_differ(source.sketch, now);
                let other = !source.sketch.provisional && (source.sketch.text == now.text || ids);
                alone && soon && !other && near(source.sketch.money.amount(), now.money.amount(), 4)
            }
            (Evidence::TextOnly, Pool::Vanished) => {
                alone && soon && near(source.sketch.money.amount(), now.money.amount(), 4)
            }
            (Evidence::NearAmount, _) => alone && soon && (self.says_nothing(source.sketch) || self.says_nothing(now)),
            _ => alone,
        }
    }

    /// Whether a purchase of a habit came as a provisional row of nearly its amount went, which explains it better than one
    /// of its amount that is still listed.
    fn went_at_another_amount(&self, now: &Sketch, l: usize) -> bool {
        let went = |&s: &usize| {
            let before = &self.stored[s].sketch;
            !self.taken[s]
                && before.money != now.money
                && near(before.money.amount(), now.money.amount(), 4)
                && self.is_soon(before, now, 0)
                && self.are_similar(before, now)
                && self.is_covered(s)
                && !self.is_listed(before)
        };
        self.weigh(self.provisional.len());
        self.provisional.iter().any(went) && self.is_habit(now, None, None, Some(l))
    }

    fn is_listed(&self, sketch: &Sketch) -> bool {
        let Some(of_amount) = self.of_money.get(&sketch.money) else { return false };
        let [mut listed, _] = of_amount.around(sketch.day(), 0);
        listed.any(|l| self.listed[l].sketch == *sketch)
    }

    /// Whether the booking came no later than is usual, but for some days.
    fn is_soon(&self, before: &Sketch, now: &Sketch, slack: i32) -> bool {
        days_apart(before.day(), now.booked_day()).is_none_or(|days| days.abs() <= self.usual_delay + slack)
    }

    /// Whether the amount is spent again and again near that day, and at this place alone: then provisional rows of it are
    /// of this place, whatever they say, and are taken in their order.
    fn is_of_one_place(&self, now: &Sketch, l: usize) -> bool {
        let Some(of_amount) = self.of_money.get(&now.money) else { return false };
        let [_, stored] = of_amount.around(now.day(), HABIT_DAYS);
        let here = |&s: &usize| {
            let row = &self.stored[s];
            !row.removed && !row.sketch.provisional && self.are_similar(&row.sketch, now)
        };
        stored.filter(here).take(HABIT_ROWS).count() == HABIT_ROWS && !self.is_spent_elsewhere(now, None, l)
    }

    /// Whether some other row near that day is of the same amount and names another place.
    fn is_spent_elsewhere(&self, now: &Sketch, stored: Option<usize>, listed: usize) -> bool {
        let elsewhere = |other: &Sketch| !self.says_nothing(other) && !self.are_similar(other, now);
        self.any_of_amount(now, |l| l != listed, |s| Some(s) != stored, elsewhere)
    }

    /// Whether a reference that only these two rows carry, or an identifier that names payments, stands on both.
    fn are_linked(&self, before: &Sketch, now: &Sketch) -> bool {
        let rare = |token: &u64| self.links.get(token).is_some_and(|(listed, stored)| *listed <= 2 && *stored <= 2);
        now.links.iter().any(|token| rare(token) && before.links.binary_search(token).is_ok())
            || (0..now.ids.len())
                .any(|field| self.believed(before, field).is_some_and(|value| self.believed(now, field) == Some(value)))
    }

    fn are_similar(&self, before: &Sketch, now: &Sketch) -> bool {
        if before.party.is_some() && before.party == now.party {
            return true;
        }
        let telling = |sketch: &Sketch| sketch.words.iter().filter(|word| !self.common.contains(word)).count();
        let least = telling(before).min(telling(now));
        least > 0 && self.shared_words(before, now) * 2 > least
    }

    fn shared_words(&self, before: &Sketch, now: &Sketch) -> usize {
        let telling = before.words.iter().filter(|word| !self.common.contains(word));
        telling.filter(|word| now.words.binary_search(word).is_ok()).count()
    }

    /// Whether both texts name places, and not the same one.
    fn name_two_places(&self, before: &Sketch, now: &Sketch) -> bool {
        let names =
            |sketch: &Sketch| sketch.words.iter().any(|word| self.places.contains(word) && !self.common.contains(word));
        names(before) && names(now) && self.shared_words(before, now) == 0
    }

    pub(super) fn says_nothing(&self, sketch: &Sketch) -> bool {
        sketch.words.iter().all(|word| self.common.contains(word))
    }

    /// Whether an identifier that stays with a payment names two.
    pub(super) fn ids_differ(&self, before: &Sketch, now: &Sketch) -> bool {
        let pairs = before.ids.iter().zip(&now.ids).zip(self.steady);
        pairs.filter(|(_, steady)| *steady).any(|((a, b), _)| a.is_some() && b.is_some() && a != b)
    }

    /// Whether some other row near that day is of the same amount and place.
    pub(super) fn is_habit(&self, now: &Sketch, stored: Option<usize>, one: Option<usize>, two: Option<usize>) -> bool {
        let others = |l| Some(l) != one && Some(l) != two;
        self.any_of_amount(now, others, |s| Some(s) != stored, |other| self.are_similar(other, now))
    }

    /// Whether one of the rows of that amount near that day is such a row.
    fn any_of_amount(
        &self,
        now: &Sketch,
        of_listed: impl Fn(usize) -> bool,
        of_stored: impl Fn(usize) -> bool,
        is_such: impl Fn(&Sketch) -> bool,
    ) -> bool {
        let Some(of_amount) = self.of_money.get(&now.money) else { return false };
        let [mut listed, mut stored] =
            of_amount.around(now.day(), HABIT_DAYS).map(|rows| rows.inspect(|_| self.weigh(1)));
        listed.any(|l| of_listed(l) && is_such(&self.listed[l].sketch))
            || stored.any(|s| of_stored(s) && is_such(&self.stored[s].sketch))
    }
}

/// Whether it is evidence without an equal amount: then one other row that it could be is too many.
pub(super) const fn amount_changed(why: Evidence) -> bool {
    matches!(why, Evidence::TextOnly | Evidence::NearAmount)
}

/// Whether evidence that does not decide is worth a flag. A row that was withdrawn explains little, and so does one that
/// is still listed where the bank takes such rows off its list.
fn is_doubt(pool: Pool, why: Evidence, lingering: Lingering) -> bool {
    match (pool, why) {
        (Pool::Removed, Evidence::Text | Evidence::TextOnly) => false,
        (Pool::Listed, Evidence::Text) => !lingering.is_unknown_here(),
        (Pool::Listed, _) => lingering.is_known_here(),
        _ => true,
    }
}

/// Whether a booking of that day can be that of a provisional row.
fn days_fit(before: &Sketch, now: &Sketch) -> bool {
    let gap = days_apart(before.day(), now.booked_day());
    let purchase = days_apart(before.day(), now.purchase_date);
    let exact = before.purchase_date.is_some();
    gap.is_none_or(|days| (-AHEAD_DAYS_MAX..=BOOKING_DAYS_MAX).contains(&days))
        && purchase.is_none_or(|days| days.abs() <= if exact { 1 } else { AHEAD_DAYS_MAX })
}

/// Whether both rows name the same day of purchase.
fn same_purchase_day(before: &Sketch, now: &Sketch) -> bool {
    now.purchase_date.is_some() && before.day() == now.purchase_date
}

/// Whether an amount can have become the other by a tip, a rate or the settlement of a reservation: they differ by one
/// part in so many at most.
fn near(before: Decimal, now: Decimal, parts: i64) -> bool {
    let (before, now) = (before.abs(), now.abs());
    let part = before.max(now).checked_div(Decimal::from(parts)).unwrap_or_default();
    now.checked_sub(before).is_some_and(|gap| gap.abs() <= part)
}
