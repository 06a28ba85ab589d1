//! Rows that a bank lists twice, or not at all, because they moved while we were turning the page.

use std::cell::LazyCell;
use std::collections::HashMap;
use std::ops::RangeInclusive;

use domain::records::Status;
use jiff::Span;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::align::Listed;
use super::sketch::Sketch;
use super::trust::{IdField, Trust};

/// Longest overlap of two pages that is looked for, in rows.
const OVERLAP_ROWS_MAX: usize = 200;
/// Days beside the edge of two pages in which a row may be lost: what is equal in one date is ordered by another.
const EDGE_SLACK_DAYS: i32 = 1;
/// Rows with a balance that are needed to tell whether it runs.
const BALANCE_PAIRS_MIN: usize = 4;

/// What the end of one page says about the beginning of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// The row is that other row of the list, again.
    Certain(usize),
    /// It is that other row again, or another payment that looks like it.
    Possible(usize),
}

/// Those of a kind, each with the row that it repeats, in the order of the list.
pub(super) fn sorted(repeats: &HashMap<usize, Repeat>, of_kind: fn(&Repeat) -> bool) -> Vec<(usize, usize)> {
    let repeats = repeats.iter().filter(|(_, repeat)| of_kind(repeat));
    let mut rows: Vec<(usize, usize)> =
        repeats.map(|(l, Repeat::Certain(other) | Repeat::Possible(other))| (*l, *other)).collect();
    rows.sort_unstable();
    rows
}

/// Whether each row's balance is that of its neighbour and its amount: then it tells equal rows apart.
pub(super) fn balance_runs(listed: &[Listed]) -> bool {
    let (mut pairs, mut up, mut down) = (0_usize, 0_usize, 0_usize);
    for [a, b] in listed.windows(2).filter_map(|pair| <&[Listed; 2]>::try_from(pair).ok()) {
        let (Some(first), Some(second)) = (a.sketch.balance_after, b.sketch.balance_after) else { continue };
        pairs += 1;
        let differs = |from: Decimal, to: Decimal, by: Decimal| from.checked_add(by) == Some(to);
        up += usize::from(differs(first, second, b.sketch.money.amount()));
        down += usize::from(differs(second, first, a.sketch.money.amount()));
    }
    pairs >= BALANCE_PAIRS_MIN && up.max(down) * 10 >= pairs * 8
}

/// The days in which a row can have been lost between two pages. Where one list ends and another begins, nothing moves.
pub(super) fn edges(listed: &[Listed]) -> Vec<RangeInclusive<Date>> {
    let pages: Vec<&[Listed]> = listed.chunk_by(|a, b| a.page == b.page).collect();
    let is_of = |page: &[Listed], status: Status| page.iter().all(|row| row.sketch.status == status);
    let lists = |(a, b): (&[Listed], &[Listed])| is_of(a, Status::Booked) && is_of(b, Status::Pending);
    let pairs = pages.windows(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?)));
    let meet = |(a, b): (&[Listed], &[Listed])| {
        let (last, first) = (a.last()?.sketch.booked_day()?, b.first()?.sketch.booked_day()?);
        let slack = Span::new().days(EDGE_SLACK_DAYS);
        Some(last.min(first).saturating_sub(slack)..=last.max(first).saturating_add(slack))
    };
    pairs.filter(|pair| !lists(*pair)).filter_map(meet).collect()
}

/// The rows at the beginning of a page that stood at the end of the page before.
pub(super) fn repeats(listed: &[Listed], balance_runs: bool, trust: &Trust) -> HashMap<usize, Repeat> {
    let mut found = HashMap::new();
    let own = LazyCell::new(|| Own::of(listed, trust));
    let mut start = 0;
    for end in 1..listed.len() {
        if listed[end].page == listed[end - 1].page {
            continue;
        }
        let length = listed[end..].iter().take_while(|row| row.page == listed[end].page).count();
        let longest = (end - start).min(length).min(OVERLAP_ROWS_MAX);
        let overlap = (1..=longest).rev().find(|&rows| same(&listed[end - rows..end], &listed[end..end + rows]));
        if let Some(rows) = overlap {
            let run = &listed[end..end + rows];
            let certain = run.windows(2).any(|pair| pair[0].sketch != pair[1].sketch)
                || run.iter().any(|row| {
                    (balance_runs && row.sketch.balance_after.is_some() && !row.sketch.money.amount().is_zero())
                        || own[usize::from(row.sketch.provisional)].names(&row.sketch)
                });
            for row in end..end + rows {
                let other = row - rows;
                found.insert(row, if certain { Repeat::Certain(other) } else { Repeat::Possible(other) });
            }
        }
        start = end;
    }
    found
}

fn same(before: &[Listed], after: &[Listed]) -> bool {
    before.iter().zip(after).all(|(a, b)| a.sketch == b.sketch)
}

/// Identifiers that no two different rows of a list share, in fields in which nearly all rows differ and which have not
/// been seen to name several payments alike.
struct Own<'a> {
    /// Of each field, the rows of each value; `None` where they differ.
    fields: [HashMap<u64, Option<&'a Sketch>>; IdField::ALL.len()],
}

impl<'a> Own<'a> {
    fn of(listed: &'a [Listed], trust: &Trust) -> [Self; 2] {
        [false, true].map(|provisional| {
            let refuted = trust.refuted(provisional);
            let fields =
                std::array::from_fn(|field| if refuted[field] { HashMap::new() } else { Self::field(listed, field) });
            Self { fields }
        })
    }

    fn field(listed: &'a [Listed], field: usize) -> HashMap<u64, Option<&'a Sketch>> {
        let mut rows: HashMap<u64, Option<&Sketch>> = HashMap::new();
        let mut all = 0;
        for (sketch, value) in listed.iter().filter_map(|row| Some((&row.sketch, row.sketch.ids[field]?))) {
            all += 1;
            let holder = rows.entry(value).or_insert(Some(sketch));
            *holder = holder.filter(|other| *other == sketch);
        }
        if rows.len() * 10 >= all * 8 { rows } else { HashMap::new() }
    }

    fn names(&self, sketch: &Sketch) -> bool {
        let own = |(rows, id): (&HashMap<u64, Option<&Sketch>>, &Option<u64>)| {
            id.is_some_and(|id| rows.get(&id).is_some_and(Option::is_some))
        };
        self.fields.iter().zip(&sketch.ids).any(own)
    }
}
