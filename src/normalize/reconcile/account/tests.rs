use std::collections::HashSet;

use domain::records::Counterparty;
use jiff::Timestamp;
use jiff::civil::date;
use uuid::Uuid;

use super::*;

fn euros(cents: i64) -> Money {
    Money::new(Decimal::new(cents, 2), Currency::EUR)
}

fn at(day: Date) -> Timestamp {
    day.at(12, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp()
}

fn day(of_march: i8) -> Date {
    date(2026, 3, of_march)
}

/// A stored row of a simulated account.
#[derive(Clone)]
struct Stored {
    id: TransactionId,
    seq: i64,
    day: Date,
    record: Normalized,
}

/// An account whose bank is asked again and again.
#[derive(Default)]
struct Account {
    stored: Vec<Stored>,
    marks: Vec<Mark>,
    last: Option<Reconciliation>,
}

fn record(cents: i64, day: Date, status: Status, text: &str) -> Normalized {
    Normalized {
        money: euros(cents),
        status,
        booking_date: Some(day),
        value_date: None,
        transaction_date: None,
        counterparty: Counterparty::default(),
        description: Some(text.to_owned()),
        ..empty()
    }
}

fn empty() -> Normalized {
    let parsed = domain::records::Parsed {
        amount: Some(domain::records::Field::new("0".to_owned(), "a")),
        currency: Some(domain::records::Field::new("EUR".to_owned(), "c")),
        ..Default::default()
    };
    let row = crate::transaction(&parsed, &Default::default(), &Default::default()).unwrap();
    Normalized { provenance: Vec::new(), issues: Vec::new(), ..row }
}

impl Account {
    fn put(&mut self, cents: i64, on: Date, text: &str) -> TransactionId {
        self.put_record(record(cents, on, Status::Booked, text), on)
    }

    fn put_record(&mut self, record: Normalized, day: Date) -> TransactionId {
        let seq = i64::try_from(self.stored.len()).unwrap() + 1;
        let id = TransactionId::from_uuid(Uuid::from_u64_pair(1, seq.unsigned_abs()));
        self.stored.push(Stored { id, seq, day, record });
        id
    }

    /// The bank's balance after a complete fetch on a day.
    fn fetch_of(&mut self, cents: i64, on: Date, kind: BalanceKind, about: Option<Date>) -> Reconciliation {
        let anchor = Anchor { money: euros(cents), kind, credit_limit_included: None, day: about, at: at(on) };
        let latest = Latest {
            anchor,
            last_seq: i64::try_from(self.stored.len()).unwrap(),
            complete_from: Some(date(2026, 1, 1)),
            asked_from: on.saturating_sub(jiff::Span::new().days(14)),
        };
        let entries: Vec<Entry<'_>> = self
            .stored
            .iter()
            .map(|row| Entry { id: row.id, seq: row.seq, day: row.day, record: &row.record })
            .collect();
        let judged = judge(std::mem::take(&mut self.marks), &latest, &entries);
        self.marks.clone_from(&judged.marks);
        self.last = Some(judged.clone());
        judged
    }

    fn fetch(&mut self, cents: i64, on: Date) -> Reconciliation {
        self.fetch_of(cents, on, BalanceKind::ClosingBooked, None)
    }
}

#[test]
fn the_first_balance_decides_nothing_and_the_second_does() {
    let mut account = Account::default();
    account.put(-500, day(1), "old");
    let first = account.fetch(10_000, day(2));
    assert_eq!((first.verdict, first.undecided), (Verdict::Unknown, Some(Undecided::FirstBalance)));
    account.put(-250, day(2), "coffee");
    account.put(-1_000, day(3), "lunch");
    let second = account.fetch(8_750, day(3));
    assert_eq!((second.verdict, second.rows), (Verdict::Reconciled, 2));
    assert!(second.residual == Some(euros(0)) && second.moved == Some(euros(-1_250)) && second.found.is_empty());
}

#[test]
fn running_balances_judge_the_first_fetch_whatever_the_order_of_a_day() {
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]] {
        let rows = [(-500, 1), (-250, 1), (900, 1), (-30, 1), (-20, 2)];
        let mut balance = 10_000;
        let rows: Vec<_> = rows
            .iter()
            .map(|(cents, on)| {
                balance += cents;
                let plain = record(*cents, day(*on), Status::Booked, "row");
                (Normalized { balance_after: Some(euros(balance)), ..plain }, day(*on))
            })
            .collect();
        let mut account = Account::default();
        for place in order {
            account.put_record(rows[place].0.clone(), rows[place].1);
        }
        let judged = account.fetch(10_100, day(2));
        assert_eq!((judged.verdict, judged.hypotheses()), (Verdict::Reconciled, vec![]), "{order:?}");

        // The bank counts the other way round.
        let mut turned = Account::default();
        for place in order {
            let (row, on) = rows[place].clone();
            turned.put_record(Normalized { money: Money::new(-row.money.amount(), Currency::EUR), ..row }, on);
        }
        let judged = turned.fetch(10_100, day(2));
        assert_eq!(judged.verdict, Verdict::Contradicted, "{order:?}");
        assert_eq!(judged.hypotheses(), [Hypothesis::SignsInverted], "{order:?}");

        // A row is gone.
        let mut without = Account::default();
        for place in order.into_iter().filter(|place| *place != 1) {
            without.put_record(rows[place].0.clone(), rows[place].1);
        }
        let judged = without.fetch(10_100, day(2));
        assert_eq!(judged.hypotheses(), [Hypothesis::MissingRow], "{order:?}");
        assert!(judged.found[0].amount == Some(euros(-250)), "{order:?}");
    }
}

#[test]
fn a_row_that_stands_twice_is_named_and_stays_named_until_it_goes() {
    let mut account = Account::default();
    account.fetch(10_000, day(1));
    account.put(-700, day(2), "shop");
    let twice = account.put(-700, day(2), "shop");
    account.put(-50, day(2), "bus");
    let judged = account.fetch(9_250, day(2));
    assert_eq!((judged.verdict, judged.hypotheses()), (Verdict::Contradicted, vec![Hypothesis::DoubledRow]));
    assert_eq!(judged.found[0].transaction, Some(twice));
    for later in 3..28 {
        account.put(-100, day(later), "day");
        let judged = account.fetch(9_250 - 100 * (i64::from(later) - 2), day(later));
        assert_eq!(judged.hypotheses(), [Hypothesis::DoubledRow], "day {later}");
        assert!(judged.marks.len() <= MARKS + 1, "day {later}: {}", judged.marks.len());
    }
    account.stored.retain(|row| row.id != twice);
    // Numbers of rows are never given again.
    let next = account.put_record(record(-100, day(28), Status::Booked, "day"), day(28));
    account.stored.iter_mut().find(|row| row.id == next).unwrap().seq = 100;
    account.stored.last_mut().unwrap().id = TransactionId::from_uuid(Uuid::from_u64_pair(2, 1));
    let anchor = Anchor {
        money: euros(6_650),
        kind: BalanceKind::ClosingBooked,
        credit_limit_included: None,
        day: None,
        at: at(day(28)),
    };
    let latest = Latest { anchor, last_seq: 100, complete_from: None, asked_from: day(14) };
    let entries: Vec<Entry<'_>> =
        account.stored.iter().map(|r| Entry { id: r.id, seq: r.seq, day: r.day, record: &r.record }).collect();
    assert_eq!(judge(account.marks.clone(), &latest, &entries).verdict, Verdict::Reconciled);
}

#[test]
fn a_balance_of_yesterday_is_no_fault_day_after_day() {
    let mut account = Account::default();
    let mut balance = 10_000;
    for of_march in 1..20 {
        let amount = -100 - 7 * i64::from(of_march);
        account.put(amount, day(of_march), "row");
        // The bank lists the rows of today and gives the balance of yesterday.
        let yesterday = day(of_march).yesterday().unwrap();
        let judged = account.fetch_of(balance, day(of_march), BalanceKind::ClosingBooked, Some(yesterday));
        balance += amount;
        let expected = if of_march == 1 { Verdict::Unknown } else { Verdict::Reconciled };
        assert_eq!(judged.verdict, expected, "day {of_march}: {:?}", judged.hypotheses());
    }
}

#[test]
fn a_day_that_is_not_true_of_a_balance_does_no_harm() {
    let mut account = Account::default();
    let mut balance = 10_000;
    for of_march in 1..20 {
        let amount = -100 - 7 * i64::from(of_march);
        account.put(amount, day(of_march), "row");
        balance += amount;
        let yesterday = day(of_march).yesterday().unwrap();
        let judged = account.fetch_of(balance, day(of_march), BalanceKind::ClosingBooked, Some(yesterday));
        assert!(judged.verdict != Verdict::Contradicted, "day {of_march}");
        assert!(of_march < 3 || judged.verdict == Verdict::Reconciled, "day {of_march}: {:?}", judged.hypotheses());
    }
}

#[test]
fn a_pending_row_counts_when_it_is_booked() {
    let mut account = Account::default();
    let held = account.put_record(record(-2_000, day(1), Status::Pending, "hotel"), day(1));
    account.fetch(10_000, day(1));
    let row = account.stored.iter_mut().find(|row| row.id == held).unwrap();
    row.record = record(-2_150, day(3), Status::Booked, "hotel");
    row.day = day(3);
    let judged = account.fetch(7_850, day(3));
    assert_eq!((judged.verdict, judged.rows), (Verdict::Reconciled, 1));
}

#[test]
fn a_longer_history_is_no_new_money_and_days_that_were_not_read_are_a_gap() {
    let mut account = Account::default();
    account.fetch(10_000, day(1));
    account.put(-900, date(2025, 11, 1), "found when the user came back");
    account.put(-100, day(2), "row");
    assert_eq!(account.fetch(9_900, day(2)).verdict, Verdict::Reconciled);
    let late = account.fetch(5_000, date(2026, 6, 1));
    assert_eq!((late.verdict, late.undecided), (Verdict::Unknown, Some(Undecided::Gap)));
    account.put(-100, date(2026, 6, 2), "row");
    assert_eq!(account.fetch(4_900, date(2026, 6, 2)).verdict, Verdict::Reconciled);
}

#[test]
fn what_nothing_explains_is_unknown_and_a_late_balance_heals_itself() {
    let mut account = Account::default();
    account.fetch(10_000, day(1));
    account.put(-100, day(2), "row");
    account.put(-333, day(2), "row that the balance lacks");
    let judged = account.fetch(9_900, day(2));
    assert_eq!((judged.verdict, judged.undecided), (Verdict::Unknown, Some(Undecided::Unexplained)));
    assert!(judged.residual == Some(euros(333)));
    account.put(-10, day(3), "row");
    assert_eq!(account.fetch(9_557, day(3)).verdict, Verdict::Reconciled);
}

#[test]
fn a_missing_row_that_is_delivered_later_is_no_longer_missing() {
    let mut account = Account::default();
    account.fetch(10_000, day(1));
    account.put(-100, day(2), "row");
    account.fetch(9_457, day(2));
    account.put(-10, day(3), "row");
    let judged = account.fetch(9_447, day(3));
    assert_eq!((judged.verdict, judged.hypotheses()), (Verdict::Contradicted, vec![Hypothesis::MissingRow]));
    assert!(judged.found[0].amount == Some(euros(-443)));
    account.put(-443, day(2), "late");
    account.put(-20, day(5), "row");
    assert_eq!(account.fetch(9_427, day(5)).verdict, Verdict::Reconciled);
}

#[test]
fn the_booked_balance_of_the_latest_day_is_chosen() {
    use BalanceKind::{ClosingBooked, Expected, InterimAvailable, InterimBooked, OpeningBooked};
    let balance = |kind, included, about: Option<i8>, code: &str| NormalizedBalance {
        money: Money::new(Decimal::ONE, code.parse().unwrap()),
        kind,
        credit_limit_included: included,
        reference_date: about.map(day),
        last_change: None,
    };
    let cases = [
        (vec![balance(InterimAvailable, None, None, "EUR"), balance(ClosingBooked, None, Some(2), "EUR")], Some(1)),
        (vec![balance(ClosingBooked, None, Some(2), "EUR"), balance(InterimBooked, None, Some(3), "EUR")], Some(1)),
        (vec![balance(InterimBooked, None, Some(3), "EUR"), balance(ClosingBooked, None, Some(3), "EUR")], Some(1)),
        (vec![balance(Expected, Some(true), None, "EUR"), balance(Expected, Some(false), None, "EUR")], Some(1)),
        (vec![balance(ClosingBooked, None, None, "USD"), balance(Expected, None, None, "EUR")], Some(1)),
        (vec![balance(OpeningBooked, None, None, "EUR")], None),
        (vec![balance(ClosingBooked, None, None, "USD")], None),
        (vec![], None),
    ];
    for (nth, (balances, place)) in cases.iter().enumerate() {
        let chosen = choose(balances, Some(Currency::EUR));
        assert!(chosen == place.and_then(|place: usize| balances.get(place)), "case {nth}");
    }
}

#[test]
fn rows_of_another_currency_are_not_counted_and_too_many_are_not_weighed() {
    let mut account = Account::default();
    account.fetch(10_000, day(1));
    account.put(-100, day(2), "row");
    let dollars = Normalized { money: Money::new(Decimal::TEN, "USD".parse().unwrap()), ..empty() };
    account.put_record(dollars, day(2));
    assert_eq!(account.fetch(9_900, day(2)).verdict, Verdict::Reconciled);
    for _ in 0..ENTRIES_MAX {
        account.put(-1, day(3), "row");
    }
    let judged = account.fetch(0, day(3));
    assert_eq!((judged.undecided, judged.marks.len()), (Some(Undecided::TooMany), 1));
}

/// Ids stay with their rows through every sorting.
#[test]
fn ordering_loses_no_row() {
    let rows: Vec<(Row, TransactionId)> = (0..60_u64)
        .map(|n| {
            let amount = Decimal::from(n * 37 % 11) - Decimal::from(5);
            let row = Row {
                amount,
                status: Status::Booked,
                day: day(1 + i8::try_from(n / 20).unwrap()),
                likeness: n % 3,
                balance_after: Some(Decimal::from(n * 53 % 17)),
            };
            (row, TransactionId::from_uuid(Uuid::from_u64_pair(0, n)))
        })
        .collect();
    let (ordered, ids): (Vec<_>, Vec<_>) = in_order(rows.clone()).0.into_iter().unzip();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), rows.len());
    for (row, id) in ordered.iter().zip(&ids) {
        assert!(rows.iter().any(|(other, other_id)| other == row && other_id == id));
    }
}
