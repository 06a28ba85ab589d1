//! Whether an account adds up: opening balance and rows against the closing balance, and if not, what explains it.
//!
//! Every hypothesis says by how much it moves the sum. One that alone meets the residual is the finding; two that meet
//! it together are two findings. Where several answers fit equally, or none, the verdict is *unknown*: an account is
//! never accused on a guess. Balances that are late or that contain pending rows or a credit line are explained and are
//! no fault of the rows.

pub mod account;

use domain::records::{BalanceKind, Status};
use jiff::civil::Date;
use rust_decimal::Decimal;

/// Rows of one statement that are searched for; the hypotheses about single rows are skipped beyond it.
const ROWS_MAX: usize = 5_000;
/// Days at the end of a statement that a late balance may lack.
const STALE_DAYS_MAX: usize = 40;
/// Hypotheses of two faults that are weighed.
const PAIRS_MAX: usize = 200_000;
/// A credit line that nobody told us is a positive multiple of this.
const CREDIT_LINE_STEP: i64 = 50;

/// A row as far as the sum needs it.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Signed amount in the account's currency.
    pub amount: Decimal,
    /// Booked or pending.
    pub status: Status,
    /// Day of booking.
    pub day: Date,
    /// Equal for rows that nothing tells apart ([`crate::identity::Sketch`] without its identifiers).
    pub likeness: u64,
    /// The account's balance after the row.
    pub balance_after: Option<Decimal>,
}

/// A balance that the bank gave.
#[derive(Clone, PartialEq, Eq)]
pub struct Figure {
    /// The figure; owed money is negative.
    pub amount: Decimal,
    /// What the bank calls it.
    pub kind: BalanceKind,
    /// Whether the bank says that a credit line is in it.
    pub credit_limit_included: Option<bool>,
}

/// What happened between two balances of one account.
#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    /// The balance before the rows.
    pub opening: Figure,
    /// Sum of the rows that were pending then.
    pub pending_then: Decimal,
    /// Rows that came since, in the order of their booking, and the rows that are pending now.
    pub rows: Vec<Row>,
    /// The balance after the rows.
    pub closing: Figure,
    /// The credit line of the account, where known.
    pub credit_line: Option<Decimal>,
}

macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        /// Bank data never reaches a log through `Debug`.
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}
opaque_debug!(Row, Figure, Statement, Verdict);

/// What explains a residual.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Nothing to explain.
    Consistent,
    /// All rows have the wrong sign, or that row.
    SignInverted(Option<usize>),
    /// A row of that amount is missing.
    MissingRow(Decimal),
    /// That row stands twice.
    DoubledRow(usize),
    /// The bank calls the balance a booked one and it contains pending rows or a credit line.
    WrongBalanceType,
    /// The balance lacks the rows after that day, or all rows.
    Stale(Option<Date>),
    /// The balance contains the pending rows, as its type allows.
    PendingIncluded,
    /// The balance contains a credit line of that amount.
    CreditLineIncluded(Decimal),
    /// Nothing explains the residual, or several things do.
    Unknown,
}

/// Which finding it is, without the bank's data.
impl std::fmt::Debug for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Finding {
    /// The word on the wire.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Consistent => "consistent",
            Self::SignInverted(_) => "sign_inverted",
            Self::MissingRow(_) => "missing_row",
            Self::DoubledRow(_) => "doubled_row",
            Self::WrongBalanceType => "wrong_balance_type",
            Self::Stale(_) => "stale",
            Self::PendingIncluded => "pending_included",
            Self::CreditLineIncluded(_) => "credit_line_included",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it contradicts the data, so that products must be warned.
    pub const fn is_fault(&self) -> bool {
        matches!(self, Self::SignInverted(_) | Self::MissingRow(_) | Self::DoubledRow(_) | Self::WrongBalanceType)
    }

    /// Whether it is about the closing balance and not about the rows.
    const fn is_about_figure(&self) -> bool {
        matches!(self, Self::WrongBalanceType | Self::Stale(_) | Self::PendingIncluded | Self::CreditLineIncluded(_))
    }
}

/// What is to be said of one statement.
#[derive(Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Closing balance less opening balance less booked rows.
    pub residual: Decimal,
    /// One finding, or two that explain the residual together.
    pub findings: Vec<Finding>,
}

/// A hypothesis: what it says and the residual it would leave.
type Hypothesis = (Finding, Decimal);

/// Judges consecutive statements of one account, oldest first. The statement after tells an error of the rows, which
/// stays, from one of the balance, which comes back with the other sign.
pub fn reconcile(statements: &[Statement]) -> Vec<Verdict> {
    let residuals: Vec<Option<Decimal>> = statements.iter().map(residual).collect();
    statements
        .iter()
        .enumerate()
        .map(|(place, statement)| {
            let Some(residual) = residuals[place] else {
                return Verdict { residual: Decimal::ZERO, findings: vec![Finding::Unknown] };
            };
            let previous = place.checked_sub(1);
            let near = Near {
                last_running: previous.and_then(|previous| last_running(&statements[previous])),
                before: previous.and_then(|previous| residuals[previous]),
                after: residuals.get(place + 1).copied().flatten(),
            };
            Verdict { residual, findings: judge(statement, residual, &near) }
        })
        .collect()
}

/// What the statements before and after say.
struct Near {
    /// The running balance after the last row before.
    last_running: Option<Decimal>,
    before: Option<Decimal>,
    after: Option<Decimal>,
}

fn last_running(statement: &Statement) -> Option<Decimal> {
    statement.rows.iter().rfind(|row| row.status == Status::Booked)?.balance_after
}

/// Closing less opening less booked rows; none where the sums do not fit a decimal.
fn residual(statement: &Statement) -> Option<Decimal> {
    let moved = sum(statement, Status::Booked)?;
    statement.closing.amount.checked_sub(statement.opening.amount)?.checked_sub(moved)
}

fn sum(statement: &Statement, status: Status) -> Option<Decimal> {
    let mut rows = statement.rows.iter().filter(|row| row.status == status);
    rows.try_fold(Decimal::ZERO, |sum, row| sum.checked_add(row.amount))
}

fn judge(statement: &Statement, residual: Decimal, near: &Near) -> Vec<Finding> {
    if let Some(chain) = chain(statement, near.last_running) {
        return with_chain(statement, residual, &chain, near);
    }
    // What the balance before left open comes back here with the other sign.
    let comes_back = near.before.is_some_and(|before| before == -residual);
    if residual.is_zero() || comes_back {
        return vec![Finding::Consistent];
    }
    let settled =
        near.after.map(|after| if after.is_zero() { Settled::InRows } else { Settled::of(after == -residual) });
    let single = hypotheses(statement);
    let one = single.iter().filter(|(_, effect)| *effect == residual).map(|(finding, _)| vec![*finding]);
    let one: Vec<Vec<Finding>> = one.collect();
    if !one.is_empty() {
        return decide(one.into_iter(), settled).unwrap_or_else(|| vec![Finding::Unknown]);
    }
    let two = pairs(statement, &single, residual);
    if !two.is_empty() {
        return decide(two.into_iter(), None).unwrap_or_else(|| vec![Finding::Unknown]);
    }
    // Nothing else explains it, and the next balance neither takes it back nor adds to it: a row is missing.
    let sound = near.before.is_none_or(|before| before.is_zero());
    if sound && settled == Some(Settled::InRows) { vec![Finding::MissingRow(residual)] } else { vec![Finding::Unknown] }
}

/// The faults of a running balance are certain; what they leave is about the closing balance, or a row is missing at the
/// end and the next balance knows of it.
fn with_chain(statement: &Statement, residual: Decimal, chain: &Chain, near: &Near) -> Vec<Finding> {
    let mut named: Vec<Finding> = chain.found.iter().map(|(finding, _)| *finding).collect();
    let from_start = residual.checked_sub(chain.opening_is_off);
    let rest = chain.found.iter().try_fold(from_start, |rest, (_, effect)| Some(rest?.checked_sub(*effect)));
    let Some(rest) = rest.flatten() else { return vec![Finding::Unknown] };
    if !rest.is_zero() {
        let figures = figures(statement).into_iter().filter(|(_, effect)| *effect == rest);
        let unexplained = match near.after {
            Some(after) if after.is_zero() => Finding::MissingRow(rest),
            _ => Finding::Unknown,
        };
        let mut figures = figures.peekable();
        let known = figures.peek().is_some();
        let figure = decide(figures.map(|(finding, _)| vec![finding]), None);
        named.extend(figure.unwrap_or_else(|| vec![if known { Finding::Unknown } else { unexplained }]));
    }
    if named.is_empty() { vec![Finding::Consistent] } else { named }
}

/// Where the next statement puts the error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settled {
    InRows,
    InFigure,
    Nowhere,
}

impl Settled {
    const fn of(comes_back: bool) -> Self {
        if comes_back { Self::InFigure } else { Self::Nowhere }
    }
}

/// The only explanation, or the only kind of one; of several rows that would explain it the first is named.
fn decide(explanations: impl Iterator<Item = Vec<Finding>>, settled: Option<Settled>) -> Option<Vec<Finding>> {
    let mut all: Vec<Vec<Finding>> = explanations.collect();
    let kinds = |all: &[Vec<Finding>]| {
        let mut kinds: Vec<Vec<&str>> = all.iter().map(|one| one.iter().map(Finding::as_str).collect()).collect();
        kinds.iter_mut().for_each(|kind| kind.sort_unstable());
        kinds.sort();
        kinds.dedup();
        kinds.len()
    };
    if kinds(&all) > 1 {
        match settled {
            Some(Settled::InRows) => all.retain(|one| !one.iter().any(Finding::is_about_figure)),
            Some(Settled::InFigure) => all.retain(|one| one.iter().all(Finding::is_about_figure)),
            Some(Settled::Nowhere) | None => {}
        }
    }
    // If every explanation is harmless, it does not matter which is right.
    let harmless = all.iter().all(|one| !one.iter().any(Finding::is_fault));
    if kinds(&all) == 1 || harmless { all.into_iter().next() } else { None }
}

/// Every single hypothesis with the residual that it would leave.
fn hypotheses(statement: &Statement) -> Vec<Hypothesis> {
    let mut all = figures(statement);
    all.extend(rows(statement));
    all.retain(|(_, effect)| !effect.is_zero());
    all
}

/// What the closing balance may contain or lack.
fn figures(statement: &Statement) -> Vec<Hypothesis> {
    let mut all = Vec::new();
    let (opening, closing) = (&statement.opening, &statement.closing);
    let pending = sum(statement, Status::Pending).unwrap_or_default();
    let wider = may_contain_more(closing.kind);
    let name = |harmless| if wider { harmless } else { Finding::WrongBalanceType };
    all.push((name(Finding::PendingIncluded), pending));
    if may_contain_more(opening.kind) {
        // Both balances contain what was pending at their time, or the first alone does.
        all.push((Finding::PendingIncluded, pending.checked_sub(statement.pending_then).unwrap_or_default()));
        all.push((Finding::PendingIncluded, -statement.pending_then));
    }
    let line = statement.credit_line.filter(|line| line.is_sign_positive() && !line.is_zero());
    let told = closing.credit_limit_included == Some(true);
    if let Some(line) = line {
        let finding = if wider || told { Finding::CreditLineIncluded(line) } else { Finding::WrongBalanceType };
        all.push((finding, line));
        all.push((finding, line.checked_add(pending).unwrap_or_default()));
    } else if wider || told {
        for with in [Decimal::ZERO, pending] {
            let line = residual(statement).and_then(|residual| residual.checked_sub(with)).unwrap_or_default();
            let round = line.checked_rem(Decimal::from(CREDIT_LINE_STEP)).is_some_and(|rest| rest.is_zero());
            if line.is_sign_positive() && !line.is_zero() && round {
                all.push((Finding::CreditLineIncluded(line), line.checked_add(with).unwrap_or_default()));
            }
        }
    }
    all.extend(stale(statement));
    all
}

/// Balances of an earlier day of the statement: each lacks the days after it.
fn stale(statement: &Statement) -> Vec<Hypothesis> {
    let mut all = Vec::new();
    let mut lacking = Decimal::ZERO;
    let booked: Vec<&Row> = statement.rows.iter().filter(|row| row.status == Status::Booked).collect();
    for (place, row) in booked.iter().enumerate().rev() {
        lacking = lacking.checked_add(row.amount).unwrap_or_default();
        let before = place.checked_sub(1).map(|before| booked[before].day);
        if before != Some(row.day) && all.len() < STALE_DAYS_MAX {
            all.push((Finding::Stale(before), -lacking));
        }
    }
    all
}

/// What may be wrong with the rows, as far as the sum can show it.
fn rows(statement: &Statement) -> Vec<Hypothesis> {
    let booked: Vec<(usize, &Row)> =
        statement.rows.iter().enumerate().filter(|(_, row)| row.status == Status::Booked).collect();
    let mut all = Vec::new();
    if booked.len() > ROWS_MAX {
        return all;
    }
    let twice = |amount: Decimal| amount.checked_mul(Decimal::TWO).unwrap_or_default();
    let moved = sum(statement, Status::Booked).unwrap_or_default();
    if booked.len() > 1 {
        all.push((Finding::SignInverted(None), -twice(moved)));
    }
    let mut likenesses: Vec<u64> = Vec::with_capacity(booked.len());
    for (place, row) in &booked {
        all.push((Finding::SignInverted(Some(*place)), -twice(row.amount)));
        if likenesses.contains(&row.likeness) {
            all.push((Finding::DoubledRow(*place), -row.amount));
        }
        likenesses.push(row.likeness);
    }
    all
}

/// Two hypotheses that explain the residual together. All rows turned changes what the others leave.
fn pairs(statement: &Statement, single: &[Hypothesis], residual: Decimal) -> Vec<Vec<Finding>> {
    let mut found = Vec::new();
    if single.len().saturating_mul(single.len()) > PAIRS_MAX {
        return found;
    }
    for (place, (first, effect)) in single.iter().enumerate() {
        for (second, other) in &single[place + 1..] {
            let turned = |finding: &Finding| matches!(finding, Finding::SignInverted(None));
            let signs = |finding: &Finding| matches!(finding, Finding::SignInverted(_));
            let alike = first.as_str() == second.as_str();
            let rows_alone = signs(first) && signs(second) && !turned(first) && !turned(second);
            if rows_alone || alike && first.is_about_figure() || same_row(first, second) {
                continue;
            }
            // Under the wrong sign a doubled row was added, and a late balance lacks, the opposite of what is seen.
            let both = match (turned(first) || turned(second), first, second) {
                (true, Finding::DoubledRow(_) | Finding::Stale(_), _) => other.checked_sub(*effect),
                (true, _, Finding::DoubledRow(_) | Finding::Stale(_)) => effect.checked_sub(*other),
                // Of all rows that are turned, that one is right.
                (true, Finding::SignInverted(Some(_)), _) => other.checked_sub(*effect),
                (true, _, Finding::SignInverted(Some(_))) => effect.checked_sub(*other),
                _ => effect.checked_add(*other),
            };
            let pending_turned = (turned(first) || turned(second)) && statement.rows.iter().any(is_pending);
            let turned_pending = [first, second].into_iter().any(|f| matches!(f, Finding::PendingIncluded));
            if both == Some(residual)
                || pending_turned && turned_pending && effect.checked_sub(*other) == Some(residual)
            {
                found.push(vec![*first, *second]);
            }
        }
    }
    found
}

fn is_pending(row: &Row) -> bool {
    row.status == Status::Pending
}

/// Whether both are about one row: it is either turned or doubled.
fn same_row(first: &Finding, second: &Finding) -> bool {
    let row = |finding: &Finding| match finding {
        Finding::SignInverted(row) => *row,
        Finding::DoubledRow(row) => Some(*row),
        _ => None,
    };
    row(first).is_some() && row(first) == row(second)
}

/// One row with a running balance: its place, by how much the step misses, and whether it repeats the row before.
struct Step<'a> {
    place: usize,
    row: &'a Row,
    gap: Option<Decimal>,
    again: bool,
}

/// What a running balance shows.
struct Chain {
    /// Faults with the residual that each leaves.
    found: Vec<Hypothesis>,
    /// Where the rows began less the opening balance: what that balance contained or lacked.
    opening_is_off: Decimal,
}

/// Where every booked row tells the balance after it, each step is checked alone. None without such balances.
fn chain(statement: &Statement, last_running: Option<Decimal>) -> Option<Chain> {
    let opening = statement.opening.amount;
    let first = statement.rows.iter().find(|row| row.status == Status::Booked)?;
    let before_first = first.balance_after?.checked_sub(first.amount)?;
    // The rows before know better than the balance before where the two differ and this row continues them.
    let start = match last_running {
        Some(last) if last == before_first => Some(last),
        _ if may_contain_more(statement.opening.kind) => None,
        _ => Some(opening),
    };
    let steps = steps(statement, start)?;
    let twice = |amount: Decimal| amount.checked_mul(Decimal::TWO);
    let is_turned = |step: &&Step<'_>| step.gap.is_some_and(|gap| twice(step.row.amount) == Some(-gap));
    let turned = steps.iter().filter(is_turned).count();
    // A repeated row and a turned one explain their step; only what fits nowhere speaks against a running balance.
    let is_doubled = |step: &Step<'_>| step.again && step.gap == Some(-step.row.amount);
    let is_broken =
        |step: &&Step<'_>| step.gap.is_some_and(|gap| !gap.is_zero()) && !is_doubled(step) && !is_turned(step);
    let broken = steps.iter().filter(is_broken).count();
    let all_turned = turned > 1 && turned * 2 > steps.len();
    // Balances that fit nowhere are no running balances.
    if !all_turned && broken * 2 > steps.len() {
        return None;
    }
    let mut found: Vec<Hypothesis> = Vec::new();
    if all_turned {
        let moved = steps.iter().try_fold(Decimal::ZERO, |sum, step| sum.checked_add(step.row.amount))?;
        found.push((Finding::SignInverted(None), -twice(moved)?));
    }
    for Step { place, row, gap, again } in steps {
        let amount = if all_turned { -row.amount } else { row.amount };
        let gap = match gap {
            Some(gap) if all_turned => gap.checked_sub(twice(amount)?)?,
            Some(gap) => gap,
            None => continue,
        };
        let finding = match gap {
            gap if gap.is_zero() => continue,
            gap if again && gap == -amount => Finding::DoubledRow(place),
            gap if gap == -twice(amount)? => Finding::SignInverted(Some(place)),
            gap => Finding::MissingRow(gap),
        };
        found.push((finding, gap));
    }
    // Without a start the first row tells where the rows began.
    let opening_is_off = start.unwrap_or(before_first).checked_sub(opening)?;
    Some(Chain { found, opening_is_off })
}

fn steps(statement: &Statement, start: Option<Decimal>) -> Option<Vec<Step<'_>>> {
    let booked = statement.rows.iter().enumerate().filter(|(_, row)| row.status == Status::Booked);
    let mut balance = start;
    let mut previous: Option<&Row> = None;
    let mut steps = Vec::new();
    for (place, row) in booked {
        let now = row.balance_after?;
        let gap = match balance {
            Some(balance) => Some(now.checked_sub(balance)?.checked_sub(row.amount)?),
            None => None,
        };
        let again = previous.is_some_and(|other| other.likeness == row.likeness && other.balance_after == Some(now));
        steps.push(Step { place, row, gap, again });
        (balance, previous) = (Some(now), Some(row));
    }
    Some(steps)
}

/// Whether a balance of this type may contain pending rows or a credit line.
const fn may_contain_more(kind: BalanceKind) -> bool {
    match kind {
        BalanceKind::ClosingBooked | BalanceKind::InterimBooked | BalanceKind::OpeningBooked => false,
        BalanceKind::Expected
        | BalanceKind::InterimAvailable
        | BalanceKind::ForwardAvailable
        | BalanceKind::NonInvoiced
        | BalanceKind::Unknown => true,
    }
}

#[cfg(test)]
mod tests;
