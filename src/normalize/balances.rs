//! Which of an account's balances is the one in the books, which one can be spent, and what a credit line adds.
//!
//! Banks give one figure or six, and some call the one the other. Nothing is computed that the bank did not say, but the
//! credit line where two figures differ by it alone.

use domain::money::Money;
use domain::records::{BalanceKind, NormalizedBalance};

/// A choice among balances, by index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Choice {
    /// The balance in the books; nothing where the bank gives only what can be spent.
    pub booked: Option<usize>,
    /// What can be spent.
    pub available: Option<usize>,
}

/// Kinds for the books, the best first. What is expected holds pending rows, and is what some banks have alone.
const BOOKED: [BalanceKind; 3] = [BalanceKind::ClosingBooked, BalanceKind::InterimBooked, BalanceKind::Expected];
/// Kinds to spend from, the best first.
const AVAILABLE: [BalanceKind; 3] =
    [BalanceKind::InterimAvailable, BalanceKind::ForwardAvailable, BalanceKind::Expected];

/// Chooses among the balances of one account. Of equal kinds the latest counts, then the first; a figure with a credit
/// line inside never stands for the books, and stands for what can be spent only where none without it does.
pub fn choose(balances: &[NormalizedBalance]) -> Choice {
    let with_credit = |balance: &NormalizedBalance| balance.credit_limit_included == Some(true);
    let best = |kinds: &[BalanceKind], credit: bool| {
        kinds.iter().find_map(|kind| {
            let fits = |balance: &NormalizedBalance| balance.kind == *kind && with_credit(balance) == credit;
            let found = balances.iter().enumerate().filter(|(_, balance)| fits(balance));
            found
                .max_by_key(|(at, balance)| (balance.reference_date, balance.last_change, usize::MAX - at))
                .map(|(at, _)| at)
        })
    };
    Choice { booked: best(&BOOKED, false), available: best(&AVAILABLE, false).or_else(|| best(&AVAILABLE, true)) }
}

/// The credit line: the difference between two figures of one kind and currency, one with it and one without.
pub fn credit_line(balances: &[NormalizedBalance]) -> Option<Money> {
    let of = |included: bool| balances.iter().filter(move |balance| balance.credit_limit_included == Some(included));
    of(true).find_map(|with| {
        let without = of(false).find(|without| {
            without.kind == with.kind
                && without.money.currency() == with.money.currency()
                && without.reference_date == with.reference_date
        })?;
        let line = with.money.amount().checked_sub(without.money.amount())?;
        (line.is_sign_positive() && !line.is_zero()).then(|| Money::new(line, with.money.currency()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::money::Currency;
    use jiff::civil::{Date, date};

    fn balance(kind: BalanceKind, amount: &str, credit: Option<bool>, day: Option<Date>) -> NormalizedBalance {
        let money = Money::new(amount.parse().unwrap(), Currency::EUR);
        NormalizedBalance { money, kind, credit_limit_included: credit, reference_date: day, last_change: None }
    }

    #[test]
    fn books_and_purse_are_told_apart() {
        use BalanceKind::{ClosingBooked, Expected, InterimAvailable, InterimBooked, Unknown};
        let (old, new) = (Some(date(2031, 6, 1)), Some(date(2031, 6, 5)));
        for (balances, booked, available) in [
            (
                vec![balance(InterimAvailable, "500", None, None), balance(InterimBooked, "200", None, None)],
                Some(1),
                Some(0),
            ),
            (vec![balance(Expected, "10", None, None)], Some(0), Some(0)),
            (vec![balance(InterimAvailable, "500", None, None)], None, Some(0)),
            (vec![balance(ClosingBooked, "1", None, old), balance(ClosingBooked, "2", None, new)], Some(1), None),
            (vec![balance(InterimBooked, "1", None, None), balance(ClosingBooked, "2", None, None)], Some(1), None),
            (
                vec![
                    balance(InterimAvailable, "1500", Some(true), None),
                    balance(InterimAvailable, "500", Some(false), None),
                ],
                None,
                Some(1),
            ),
            (vec![balance(Expected, "1500", Some(true), None)], None, Some(0)),
            (vec![balance(Unknown, "3", None, None)], None, None),
            (vec![], None, None),
        ] {
            assert_eq!(choose(&balances), Choice { booked, available }, "{booked:?} {available:?}");
        }
    }

    #[test]
    fn a_credit_line_is_what_two_figures_differ_by() {
        use BalanceKind::{InterimAvailable, InterimBooked};
        let with = balance(InterimAvailable, "1500", Some(true), None);
        let line = |other| credit_line(&[with.clone(), other]).map(|line| line.to_plain_string());
        assert_eq!(line(balance(InterimAvailable, "500", Some(false), None)).as_deref(), Some("1000.00"));
        assert_eq!(line(balance(InterimBooked, "500", Some(false), None)), None);
        assert_eq!(line(balance(InterimAvailable, "500", None, None)), None);
    }
}
