//! Payments that come again: series with a period, the day on which the next one is expected, and how sure that is; and
//! which of them are income.
//!
//! A pure function over one account's booked transactions. A series is one party, one direction and one currency whose
//! days fit the slots of one period. Days are compared with a fixed beginning and not with the last payment, so that a
//! payment each four weeks is told from one each month, and a late one does not move those behind it.

mod calendar;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use domain::money::{Currency, Money};
use domain::records::Normalized;
use jiff::civil::Date;
use rust_decimal::Decimal;

pub use self::calendar::Period;
use self::calendar::Slots;
use crate::names;

/// Least certainty with which a series is named, in percent.
const CERTAIN_ENOUGH: u32 = 40;
/// Least part of the slots between first and last that must hold a payment, in percent.
const FILLED_LEAST: u32 = 70;
/// Most payments beside the slots, in percent of those inside.
const EXTRA_MOST: u32 = 20;
/// Amounts of one series that is found by its amount alone are no farther apart, in percent.
const SAME_AMOUNT: u32 = 3;
/// Payments beyond the usual least that such a series needs: among many purchases some amounts come back by chance.
const MORE_OF_ONE_AMOUNT: u32 = 3;

/// One transaction as far as series are concerned.
#[derive(Clone, Copy)]
pub struct Payment<'a> {
    /// Day of booking.
    pub date: Date,
    /// Signed amount.
    pub money: Money,
    /// The merchant's id, else its name, else the counterparty's name. A payment without any belongs to no series.
    pub party: &'a str,
    /// `primary.detailed`, where it is known.
    pub category: Option<&'a str>,
}

impl<'a> Payment<'a> {
    /// A booked transaction with a day and a party; nothing for others.
    pub fn of(row: &'a Normalized) -> Option<Self> {
        let party = row.merchant_id.as_deref().or(row.merchant.as_deref()).or(row.counterparty.name.as_deref())?;
        let is_booked = row.status == domain::records::Status::Booked;
        let date = row.booking_date.or(row.value_date).filter(|_| is_booked)?;
        Some(Self { date, money: row.money, party, category: row.category.as_deref() })
    }
}

/// What a series is to the holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Wages.
    Salary,
    /// A pension.
    Pension,
    /// Benefits of a state body.
    Benefit,
    /// Other money that comes in.
    Income,
    /// Money that moves between the holder's own accounts.
    OwnMoney,
    /// Money that goes out.
    Payment,
}

impl Stream {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Salary => "salary",
            Self::Pension => "pension",
            Self::Benefit => "benefit",
            Self::Income => "income",
            Self::OwnMoney => "own_money",
            Self::Payment => "payment",
        }
    }
}

/// Payments of one party that come again.
#[derive(Clone, PartialEq, Eq)]
pub struct Series {
    /// What it is to the holder.
    pub stream: Stream,
    /// How often.
    pub period: Period,
    /// Indices of the payments that were given, by day.
    pub members: Vec<usize>,
    /// First and last day.
    pub first: Date,
    /// Last day.
    pub last: Date,
    /// The amount in the middle, signed.
    pub typical: Money,
    /// The amount nearest to nothing, signed.
    pub least: Money,
    /// The amount farthest from nothing, signed.
    pub most: Money,
    /// Days between the slots and the payments, in the mean, in tenths of a day.
    pub mean_deviation_tenths: u32,
    /// The day of the next payment; nothing when the series has ended.
    pub next_expected: Option<Date>,
    /// How sure the series is, in percent.
    pub confidence: u8,
}

/// Amounts never reach a log through `Debug`.
impl std::fmt::Debug for Series {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Series({:?} {:?} {} payments, {} %)", self.stream, self.period, self.members.len(), self.confidence)
    }
}

/// The series in one account's payments, seen on `today`; in the order of their first payment. The order of the payments
/// does not matter, and none belongs to two series.
pub fn series(payments: &[Payment<'_>], today: Date) -> Vec<Series> {
    let mut groups: BTreeMap<(String, bool, Currency), Vec<usize>> = BTreeMap::new();
    for (index, payment) in payments.iter().enumerate() {
        let party = names::key(payment.party);
        if !party.is_empty() && !payment.money.amount().is_zero() {
            let incoming = payment.money.amount().is_sign_positive();
            groups.entry((party, incoming, payment.money.currency())).or_default().push(index);
        }
    }
    let mut found = Vec::new();
    for mut group in groups.into_values() {
        group.sort_by_key(|&index| (payments[index].date, payments[index].money.amount(), index));
        of_party(payments, group, today, &mut found);
    }
    found.sort_by_key(|series| (series.first, series.members.first().copied()));
    found
}

/// One series of all payments of a party; failing that, one of each amount that comes back.
fn of_party(payments: &[Payment<'_>], group: Vec<usize>, today: Date, found: &mut Vec<Series>) {
    if let Some(series) = of_group(payments, &group, today, 0) {
        found.push(series);
        return;
    }
    let mut by_amount = group;
    by_amount.sort_by_key(|&index| (payments[index].money.amount().abs(), payments[index].date, index));
    let mut cluster: Vec<usize> = Vec::new();
    let mut flush = |cluster: &mut Vec<usize>| {
        cluster.sort_by_key(|&index| (payments[index].date, index));
        found.extend(of_group(payments, cluster, today, MORE_OF_ONE_AMOUNT));
        cluster.clear();
    };
    for index in by_amount {
        let apart = cluster.first().is_some_and(|&first| {
            spread(payments[first].money.amount().abs(), payments[index].money.amount().abs()) > SAME_AMOUNT
        });
        if apart {
            flush(&mut cluster);
        }
        cluster.push(index);
    }
    flush(&mut cluster);
}

/// The period that fits payments in order of their days best, if one fits well enough. `more` payments than usual are
/// needed.
fn of_group(payments: &[Payment<'_>], group: &[usize], today: Date, more: u32) -> Option<Series> {
    let days: Vec<Date> = group.iter().map(|&index| payments[index].date).collect();
    let fits = Period::ALL.into_iter().filter_map(|period| {
        let slots = Slots::best(period, &days)?;
        let confidence = certainty(payments, group, &slots, more)?;
        Some((confidence, slots))
    });
    // Of equals the longer period: what comes each month also fits the weeks of a sparse calendar.
    let (confidence, slots) = fits.max_by_key(|(confidence, slots)| (*confidence, slots.period))?;
    if confidence < CERTAIN_ENOUGH {
        return None;
    }
    let members: Vec<usize> = slots.hits.iter().map(|hit| group[hit.index]).collect();
    let amount = |index: usize| payments[index].money.amount();
    let mut amounts: Vec<Decimal> = members.iter().map(|&index| amount(index)).collect();
    amounts.sort_unstable_by_key(Decimal::abs);
    let currency = payments[*members.first()?].money.currency();
    let money = |amount: Option<&Decimal>| amount.map(|amount| Money::new(*amount, currency));
    Some(Series {
        stream: stream(payments, &members),
        period: slots.period,
        first: payments[*members.first()?].date,
        last: payments[*members.last()?].date,
        typical: money(amounts.get(amounts.len() / 2))?,
        least: money(amounts.first())?,
        most: money(amounts.last())?,
        mean_deviation_tenths: slots.mean_deviation_tenths(),
        next_expected: slots.next(today),
        confidence: u8::try_from(confidence).unwrap_or(100),
        members,
    })
}

/// How sure it is that payments follow slots, in percent: nothing when too few, too many beside, or too many missing.
fn certainty(payments: &[Payment<'_>], group: &[usize], slots: &Slots, more: u32) -> Option<u32> {
    let hits = u32::try_from(slots.hits.len()).ok()?;
    let extra = u32::try_from(group.len() - slots.hits.len()).ok()?;
    let filled = hits * 100 / slots.spanned().max(1);
    let amounts = slots.hits.iter().map(|hit| payments[group[hit.index]].money.amount().abs());
    let spread = spread(amounts.clone().min()?, amounts.max()?);
    // The less the amounts agree, the more days must: few payments fit some calendar by chance.
    let (weight, needed) = match spread {
        ..=5 => (100, 0),
        6..=25 => (92, 1),
        26..=60 => (80, 2),
        61..=150 => (62, 3),
        _ => (45, 4),
    };
    if hits < slots.period.least_payments() + needed + more || extra * 100 > hits * EXTRA_MOST || filled < FILLED_LEAST
    {
        return None;
    }
    let count = match hits {
        ..=2 => 60,
        3 => 78,
        4 => 86,
        5 => 91,
        _ => 97,
    };
    let timing = 100_u32.saturating_sub(slots.mean_deviation_tenths() * 5 / slots.period.tolerance_days());
    Some(count * timing / 100 * weight / 100 * filled / 100)
}

/// How far the larger of two amounts is above the smaller, in percent.
fn spread(least: Decimal, most: Decimal) -> u32 {
    let above = most.checked_sub(least).and_then(|above| above.checked_mul(Decimal::ONE_HUNDRED));
    let percent = above.and_then(|above| above.checked_div(least)).map(|percent| percent.ceil());
    percent.and_then(|percent| u32::try_from(percent).ok()).unwrap_or(u32::MAX)
}

/// By the category that most payments have.
fn stream(payments: &[Payment<'_>], members: &[usize]) -> Stream {
    let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
    for &index in members {
        *votes.entry(payments[index].category.unwrap_or_default()).or_default() += 1;
    }
    let most =
        votes.into_iter().max_by_key(|(category, votes)| (*votes, *category)).map_or("", |(category, _)| category);
    let incoming = members.first().is_some_and(|&index| payments[index].money.amount().is_sign_positive());
    match most {
        "transfer.internal" | "transfer.savings" => Stream::OwnMoney,
        "income.salary" if incoming => Stream::Salary,
        "income.pension" if incoming => Stream::Pension,
        "income.benefits" if incoming => Stream::Benefit,
        _ if incoming => Stream::Income,
        _ => Stream::Payment,
    }
}
