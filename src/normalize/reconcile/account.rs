//! The verdict on an account over its life, made of what every complete fetch left behind: a [`Mark`] with the balance and
//! the rows that were known then.
//!
//! Rows between two marks make a statement. A contradiction stays until the rows or the balances explain it: its marks are
//! kept while others are let go.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use domain::ids::TransactionId;
use domain::money::{Currency, Money};
use domain::reconciliation::{Anchor, Found, Hypothesis, Mark, Reconciliation, Undecided, Verdict};
use domain::records::{BalanceKind, Normalized, NormalizedBalance, Status};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use super::{Figure, Finding, Row, Statement, chain, may_contain_more, reconcile};

/// Marks that are kept while nothing is wrong: two days of four reads.
const MARKS: usize = 9;
/// Marks that are kept at all.
const MARKS_MAX: usize = 32;
/// Rows of one day that are put in order by their balances; of more the order of the bank is taken.
const LINKED_MAX: usize = 200;
/// Rows that are weighed at all.
pub const ENTRIES_MAX: usize = 20_000;

/// A stored row.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// Its id.
    pub id: TransactionId,
    /// Its number in the line.
    pub seq: i64,
    /// The day that it is listed under.
    pub day: Date,
    /// What it says.
    pub record: &'a Normalized,
}

/// What a complete fetch leaves behind.
#[derive(Clone, Copy)]
pub struct Latest {
    /// The balance that was chosen.
    pub anchor: Anchor,
    /// Number of the last row that is known.
    pub last_seq: i64,
    /// From this day on every row is known.
    pub complete_from: Option<Date>,
    /// The first day that this fetch asked for.
    pub asked_from: Date,
}

/// The balance that is closest to the books: a booked one of the latest day, else what is expected, else what is
/// available. One with a credit line inside comes last of its kind. Without a currency of the account all balances must be
/// in one.
pub fn choose(balances: &[NormalizedBalance], currency: Option<Currency>) -> Option<&NormalizedBalance> {
    let currency = currency.or_else(|| balances.first().map(|balance| balance.money.currency()))?;
    let rank = |kind| match kind {
        BalanceKind::ClosingBooked | BalanceKind::InterimBooked => Some(0),
        BalanceKind::Expected => Some(1),
        BalanceKind::InterimAvailable => Some(2),
        BalanceKind::ForwardAvailable => Some(3),
        BalanceKind::NonInvoiced => Some(4),
        BalanceKind::Unknown => Some(5),
        // The balance that a day began with says nothing about its rows.
        BalanceKind::OpeningBooked => None,
    };
    let key = |balance: &NormalizedBalance| {
        // A balance without a day is of now.
        let day = balance.reference_date.unwrap_or(Date::MAX);
        let interim = balance.kind == BalanceKind::InterimBooked;
        rank(balance.kind)
            .map(|rank| (rank, balance.credit_limit_included == Some(true), std::cmp::Reverse(day), interim))
    };
    let candidates = balances.iter().filter(|balance| balance.money.currency() == currency);
    candidates.filter_map(|balance| Some((key(balance)?, balance))).min_by_key(|(key, _)| *key).map(|(_, one)| one)
}

/// Judges an account after a complete fetch. `entries` are the rows that the first mark did not know (all rows where there
/// is no mark), and every pending one; as many as [`ENTRIES_MAX`] are too many.
pub fn judge(mut marks: Vec<Mark>, latest: &Latest, entries: &[Entry<'_>]) -> Reconciliation {
    let currency = latest.anchor.money.currency();
    let entries: Vec<&Entry<'_>> = entries.iter().filter(|entry| is_in(entry.record, currency)).collect();
    let mark = mark(latest, &entries);
    if entries.len() >= ENTRIES_MAX {
        return Reconciliation::undecided(Undecided::TooMany, vec![mark]);
    }
    if marks.iter().any(|before| before.anchor.money.currency() != currency) {
        marks.clear();
    }
    let gap = marks.last().is_some_and(|before| latest.asked_from > day_of(&before.anchor));
    if gap {
        marks.clear();
    }
    if marks.is_empty() && !gap {
        marks.extend(beginning(&entries, &mark));
    }
    marks.push(mark);
    if marks.len() < 2 {
        let why = if gap { Undecided::Gap } else { Undecided::FirstBalance };
        return Reconciliation::undecided(why, marks);
    }
    let books = [true, false].map(|by_day| Books::of(&marks, &entries, by_day));
    let [by_day, plain] = books;
    // What a bank says of the day of a balance is believed unless the rows fit better without it.
    let books = if by_day.uneven() <= plain.uneven() { by_day } else { plain };
    books.conclude(marks, currency)
}

/// Whether a row counts in this currency; one that names none counts in every.
fn is_in(record: &Normalized, currency: Currency) -> bool {
    let own = record.money.currency();
    own == currency || own.code() == crate::NO_CURRENCY
}

fn day_of(anchor: &Anchor) -> Date {
    TimeZone::UTC.to_datetime(anchor.at).date()
}

fn mark(latest: &Latest, entries: &[&Entry<'_>]) -> Mark {
    let pending: Vec<_> = entries.iter().filter(|entry| entry.record.status == Status::Pending).collect();
    let sum = |sum: Decimal, amount: Decimal| sum.checked_add(amount).unwrap_or(sum);
    Mark {
        anchor: latest.anchor,
        last_seq: latest.last_seq,
        pending: pending.iter().map(|entry| entry.id).collect(),
        pending_sum: pending.iter().map(|entry| entry.record.money.amount()).fold(Decimal::ZERO, sum),
        complete_from: latest.complete_from,
    }
}

/// The balance before the first row, where every row tells the balance after it: it takes the place of a first balance.
fn beginning(entries: &[&Entry<'_>], mark: &Mark) -> Option<Mark> {
    let (ordered, straight) = in_order(booked(entries.iter().copied()));
    let rows: Vec<Row> = ordered.into_iter().map(|(row, _)| row).collect();
    let first = rows.first()?;
    let opening = before(first, straight)?;
    let anchor = Anchor {
        money: Money::new(opening, mark.anchor.money.currency()),
        kind: BalanceKind::OpeningBooked,
        credit_limit_included: Some(false),
        day: Some(first.day),
        at: mark.anchor.at,
    };
    let statement = Statement {
        opening: figure(&anchor),
        pending_then: Decimal::ZERO,
        rows,
        closing: figure(&mark.anchor),
        credit_line: None,
    };
    // Numbers that follow from nothing are no balances after rows.
    chain(&statement, None)?;
    Some(Mark { anchor, last_seq: 0, pending: Vec::new(), pending_sum: Decimal::ZERO, complete_from: None })
}

fn figure(anchor: &Anchor) -> Figure {
    Figure { amount: anchor.money.amount(), kind: anchor.kind, credit_limit_included: anchor.credit_limit_included }
}

/// Rows with their ids, pending ones left out.
fn booked<'a>(entries: impl Iterator<Item = &'a Entry<'a>>) -> Vec<(Row, TransactionId)> {
    let mut entries: Vec<&Entry<'_>> = entries.filter(|entry| entry.record.status == Status::Booked).collect();
    entries.sort_by_key(|entry| (entry.day, entry.seq));
    let row = |entry: &&Entry<'_>| Row {
        amount: entry.record.money.amount(),
        status: Status::Booked,
        day: entry.day,
        likeness: likeness(entry.record),
        balance_after: entry.record.balance_after.map(|money| money.amount()),
    };
    entries.iter().map(|entry| (row(entry), entry.id)).collect()
}

/// Equal for rows that nothing but an identifier tells apart.
fn likeness(record: &Normalized) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.money.amount().normalize().hash(&mut hasher);
    (record.booking_date, record.value_date, record.transaction_date).hash(&mut hasher);
    let counterparty = &record.counterparty;
    (&counterparty.name, &counterparty.account, &record.description, &record.bank_transaction_code).hash(&mut hasher);
    hasher.finish()
}

/// The rows in the order in which their running balances follow from one another, and whether they do so with their signs
/// as they are. Banks list the rows of one day from either end, or in no order; without running balances the order of the
/// days is enough.
fn in_order(rows: Vec<(Row, TransactionId)>) -> (Vec<(Row, TransactionId)>, bool) {
    let running = !rows.is_empty() && rows.iter().all(|(row, _)| row.balance_after.is_some());
    if !running {
        return (rows, true);
    }
    let mut reversed = rows.clone();
    reversed.reverse();
    reversed.sort_by_key(|(row, _)| row.day);
    let candidates = [true, false].into_iter().flat_map(|straight| {
        let enter = |row: &Row| before(row, straight);
        let leave = |row: &Row| row.balance_after;
        let mut from_end = rows.clone();
        from_end.reverse();
        let mut backwards = linked(&from_end, leave, enter);
        backwards.reverse();
        [rows.clone(), reversed.clone(), linked(&rows, enter, leave), backwards].map(|order| (order, straight))
    });
    let best = candidates.min_by_key(|(order, straight)| breaks(order, *straight));
    best.unwrap_or((rows, true))
}

/// The balance before a row; under inverted signs it lies on the other side.
fn before(row: &Row, straight: bool) -> Option<Decimal> {
    let after = row.balance_after?;
    if straight { after.checked_sub(row.amount) } else { after.checked_add(row.amount) }
}

fn breaks(rows: &[(Row, TransactionId)], straight: bool) -> usize {
    rows.windows(2).filter(|pair| before(&pair[1].0, straight) != pair[0].0.balance_after).count()
}

/// Each day's rows linked by their balances, a repeated row behind its twin. `enter` is the balance at which a row takes
/// over, `leave` the one at which it hands on.
fn linked(
    rows: &[(Row, TransactionId)],
    enter: impl Fn(&Row) -> Option<Decimal>,
    leave: impl Fn(&Row) -> Option<Decimal>,
) -> Vec<(Row, TransactionId)> {
    let mut ordered: Vec<(Row, TransactionId)> = Vec::with_capacity(rows.len());
    for day in rows.chunk_by(|one, other| one.0.day == other.0.day) {
        if day.len() > LINKED_MAX {
            ordered.extend_from_slice(day);
            continue;
        }
        let mut waiting: Vec<_> = day.to_vec();
        while !waiting.is_empty() {
            let last = ordered.last().map(|(row, _)| row);
            let twin = |row: &Row| last.is_some_and(|last| last == row);
            let follows = |row: &Row| last.is_some_and(|last| enter(row) == leave(last));
            let leads = |row: &Row| !waiting.iter().any(|(other, _)| other != row && leave(other) == enter(row));
            let place = waiting.iter().position(|(row, _)| twin(row));
            let place = place.or_else(|| waiting.iter().position(|(row, _)| follows(row)));
            let place = place.or_else(|| waiting.iter().position(|(row, _)| leads(row)));
            ordered.push(waiting.remove(place.unwrap_or(0)));
        }
    }
    ordered
}

/// Statements between marks, with the ids of their rows and what the engine says of them.
struct Books {
    ids: Vec<Vec<TransactionId>>,
    moved: Option<Decimal>,
    verdicts: Vec<super::Verdict>,
}

impl Books {
    fn of(marks: &[Mark], entries: &[&Entry<'_>], by_day: bool) -> Self {
        let known: Vec<Known<'_>> = marks.iter().map(|mark| Known::of(mark, by_day)).collect();
        let (mut statements, mut ids) = (Vec::new(), Vec::new());
        for (pair, known) in marks.windows(2).zip(known.windows(2)) {
            let between = entries
                .iter()
                .copied()
                .filter(|entry| !known[0].holds(entry) && known[1].holds(entry) && !known[0].is_history(entry));
            let (ordered, _) = in_order(booked(between));
            let (mut rows, row_ids): (Vec<Row>, Vec<TransactionId>) = ordered.into_iter().unzip();
            let held = pair[1].pending_sum;
            rows.extend((!held.is_zero()).then(|| Row {
                amount: held,
                status: Status::Pending,
                day: day_of(&pair[1].anchor),
                likeness: 0,
                balance_after: None,
            }));
            statements.push(Statement {
                opening: figure(&pair[0].anchor),
                pending_then: pair[0].pending_sum,
                rows,
                closing: figure(&pair[1].anchor),
                credit_line: None,
            });
            ids.push(row_ids);
        }
        let mut rows = statements.iter().flat_map(|statement| &statement.rows);
        let moved = rows.try_fold(Decimal::ZERO, |sum, row| match row.status {
            Status::Booked => sum.checked_add(row.amount),
            Status::Pending => Some(sum),
        });
        Self { ids, moved, verdicts: reconcile(&statements) }
    }

    /// Statements that leave a difference.
    fn uneven(&self) -> usize {
        self.verdicts.iter().filter(|verdict| !verdict.residual.is_zero()).count()
    }

    fn conclude(self, marks: Vec<Mark>, currency: Currency) -> Reconciliation {
        let money = |amount| Money::new(amount, currency);
        let (mut found, mut residual) = (Vec::new(), Some(Decimal::ZERO));
        let latest = self.verdicts.len().saturating_sub(1);
        let healed = self.healed();
        for (nth, verdict) in self.verdicts.iter().enumerate() {
            let mut told = false;
            if healed[nth] {
                continue;
            }
            for finding in &verdict.findings {
                let one = self.found(finding, nth, marks[nth].anchor, currency);
                // A harmless difference of yesterday is nobody's concern.
                let matters = one.hypothesis.is_fault() || one.hypothesis == Hypothesis::Unexplained || nth == latest;
                if one.hypothesis != Hypothesis::Consistent && matters {
                    told = true;
                    found.push(one);
                }
            }
            if told {
                residual = residual.and_then(|sum| sum.checked_add(verdict.residual));
            }
        }
        found.sort_by_key(|one| (!one.hypothesis.is_fault(), one.after));
        let unexplained = found.iter().any(|one| one.hypothesis == Hypothesis::Unexplained);
        let verdict = match found.first() {
            Some(one) if one.hypothesis.is_fault() => Verdict::Contradicted,
            _ if unexplained => Verdict::Unknown,
            _ => Verdict::Reconciled,
        };
        let undecided = (verdict == Verdict::Unknown).then_some(Undecided::Unexplained);
        Reconciliation {
            verdict,
            undecided,
            found,
            residual: residual.map(money),
            opening: marks.first().map(|mark| mark.anchor),
            closing: marks.last().map(|mark| mark.anchor),
            rows: u32::try_from(self.ids.iter().map(Vec::len).sum::<usize>()).unwrap_or(u32::MAX),
            moved: self.moved.map(money),
            marks: self.thinned(marks),
        }
    }

    /// Statements whose differences later ones took back to the cent: a late balance, a row that was delivered or mended
    /// after the balance that held it. Over such a stretch balances and rows agree.
    fn healed(&self) -> Vec<bool> {
        let mut healed = vec![false; self.verdicts.len()];
        for start in 0..healed.len() {
            if healed[start] || self.verdicts[start].residual.is_zero() {
                continue;
            }
            let mut sum = Some(Decimal::ZERO);
            for end in start..healed.len() {
                sum = sum.and_then(|sum| sum.checked_add(self.verdicts[end].residual));
                if sum.is_some_and(|sum| sum.is_zero()) {
                    healed[start..=end].fill(true);
                    break;
                }
            }
        }
        healed
    }

    fn found(&self, finding: &Finding, nth: usize, opening: Anchor, currency: Currency) -> Found {
        let row = |place: usize| self.ids[nth].get(place).copied();
        let money = |amount: Decimal| Some(Money::new(amount, currency));
        let (hypothesis, transaction, amount, day) = match *finding {
            Finding::Consistent => (Hypothesis::Consistent, None, None, None),
            Finding::SignInverted(None) => (Hypothesis::SignsInverted, None, None, None),
            Finding::SignInverted(Some(place)) => (Hypothesis::SignInverted, row(place), None, None),
            Finding::MissingRow(amount) => (Hypothesis::MissingRow, None, money(amount), None),
            Finding::DoubledRow(place) => (Hypothesis::DoubledRow, row(place), None, None),
            Finding::WrongBalanceType => (Hypothesis::WrongBalanceType, None, None, None),
            Finding::Stale(day) => (Hypothesis::Stale, None, None, day),
            Finding::PendingIncluded => (Hypothesis::PendingIncluded, None, None, None),
            Finding::CreditLineIncluded(line) => (Hypothesis::CreditLineIncluded, None, money(line), None),
            Finding::Unknown => (Hypothesis::Unexplained, None, None, None),
        };
        Found { hypothesis, transaction, amount, day, after: opening.at }
    }

    /// The marks that the next verdict needs: the latest, and those around a fault.
    fn thinned(&self, mut marks: Vec<Mark>) -> Vec<Mark> {
        let is_fault = |verdict: &super::Verdict| verdict.findings.iter().any(Finding::is_fault);
        let healed = self.healed();
        let open = self.verdicts.iter().zip(&healed).map(|(verdict, healed)| is_fault(verdict) && !healed);
        let mut faults: Vec<bool> = open.collect();
        let is_even = |verdict: &super::Verdict| verdict.findings == [Finding::Consistent];
        let mut even: Vec<bool> = self.verdicts.iter().map(is_even).collect();
        while marks.len() > MARKS {
            // The mark between two statements that come out even joins them by going; the first one simply goes.
            let joint = (1..=marks.len() - MARKS).find(|at| even[at - 1] && even[*at]);
            let place = if faults[0] { joint.unwrap_or(0) } else { 0 };
            if faults[0] && joint.is_none() && marks.len() <= MARKS_MAX {
                break;
            }
            marks.remove(place);
            faults.remove(place);
            even.remove(place);
        }
        marks
    }
}

/// What a mark knew.
struct Known<'a> {
    mark: &'a Mark,
    pending: HashSet<TransactionId>,
    /// The day that its balance ends with, if that is not the day on which it was read.
    until: Option<Date>,
}

impl<'a> Known<'a> {
    fn of(mark: &'a Mark, by_day: bool) -> Self {
        let anchor = &mark.anchor;
        let until = anchor.day.filter(|day| by_day && !may_contain_more(anchor.kind) && *day < day_of(anchor));
        Self { mark, pending: mark.pending.iter().copied().collect(), until }
    }

    fn holds(&self, entry: &Entry<'_>) -> bool {
        let numbered = entry.seq <= self.mark.last_seq && !self.pending.contains(&entry.id);
        numbered && self.until.is_none_or(|until| entry.day <= until)
    }

    /// A row of days that had not been read then: it is in the balance although nobody knew it.
    fn is_history(&self, entry: &Entry<'_>) -> bool {
        !self.pending.contains(&entry.id) && self.mark.complete_from.is_some_and(|from| entry.day < from)
    }
}

/// The day after which the first mark's balance may lack rows: rows of later days are needed again.
pub fn lacks_after(mark: &Mark) -> Option<Date> {
    Known::of(mark, true).until
}

#[cfg(test)]
mod tests;
