use domain::money::Money;
use jiff::ToSpan as _;
use jiff::civil::{Date, date};
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;

fn pay<'a>(party: &'a str, day: Date, cents: i64, category: &'a str) -> Payment<'a> {
    let category = (!category.is_empty()).then_some(category);
    Payment { date: day, money: Money::new(Decimal::new(cents, 2), Currency::EUR), party, category }
}

/// So many payments, each some months after the first.
fn monthly<'a>(party: &'a str, first: Date, months: i32, times: i32, cents: i64) -> Vec<Payment<'a>> {
    (0..times).map(|n| pay(party, first + (n * months).months(), cents, "")).collect()
}

const TODAY: Date = date(2031, 6, 20);

#[test]
fn periods_are_told_apart() {
    let days = |step: i32, times: i32| -> Vec<Payment<'static>> {
        (0..times).map(|n| pay("Gym", date(2030, 6, 3) + (n * step).days(), -1500, "")).collect()
    };
    for (payments, period) in [
        (days(7, 20), Period::Weekly),
        (days(14, 12), Period::Fortnightly),
        (days(28, 13), Period::FourWeekly),
        (monthly("Gym", date(2030, 6, 30), 1, 12, -1500), Period::Monthly),
        (monthly("Gym", date(2030, 1, 15), 2, 8, -1500), Period::TwoMonthly),
        (monthly("Gym", date(2029, 6, 1), 3, 8, -1500), Period::Quarterly),
        (monthly("Gym", date(2029, 6, 1), 6, 4, -1500), Period::HalfYearly),
        (monthly("Gym", date(2028, 6, 1), 12, 4, -1500), Period::Yearly),
    ] {
        let found = series(&payments, payments[payments.len() - 1].date);
        assert_eq!(found.iter().map(|series| series.period).collect::<Vec<_>>(), [period], "{found:?}");
        assert_eq!(found[0].members.len(), payments.len());
    }
}

#[test]
fn the_next_day_is_told_until_the_series_has_ended() {
    let rent = monthly("Landlord", date(2031, 1, 31), 1, 5, -80_000);
    let next = |today| series(&rent, today)[0].next_expected;
    assert_eq!(next(TODAY), Some(date(2031, 6, 30)));
    assert_eq!(next(date(2031, 7, 8)), Some(date(2031, 6, 30)), "late, but it may still come");
    assert_eq!(next(date(2031, 8, 1)), None);
}

#[test]
fn weekends_a_missed_month_and_a_second_payment_do_not_break_a_series() {
    let mut salary = monthly("Works Ltd", date(2030, 7, 28), 1, 11, 310_000);
    salary[3].date = date(2030, 10, 25);
    salary[6].date = date(2031, 1, 31);
    salary.remove(8);
    salary.push(pay("Works Ltd", date(2030, 12, 12), 150_000, ""));
    let found = series(&salary, date(2031, 6, 1));
    assert_eq!((found.len(), found[0].period, found[0].members.len()), (1, Period::Monthly, 10), "{found:?}");
    assert_eq!(found[0].stream, Stream::Income);
}

#[test]
fn two_policies_of_one_insurer_are_two_series() {
    let mut payments = monthly("Insurer", date(2030, 9, 1), 1, 9, -4_210);
    payments.extend(monthly("Insurer", date(2030, 9, 16), 1, 9, -1_175));
    let found = series(&payments, TODAY);
    let amounts: Vec<String> = found.iter().map(|series| series.typical.to_plain_string()).collect();
    assert_eq!(amounts, ["-42.10", "-11.75"]);
}

#[test]
fn shopping_without_rhythm_is_no_series() {
    let days = [1, 3, 4, 9, 17, 18, 26, 28, 33, 41, 44, 45, 58, 60, 61, 75, 80, 82];
    let shop: Vec<Payment<'_>> =
        days.iter().map(|day| pay("Shop", date(2031, 1, 1) + day.days(), -(900 + day * 137 % 4_000), "")).collect();
    assert_eq!(series(&shop, TODAY), []);
}

#[test]
fn income_is_named_by_its_category() {
    for (category, stream) in [
        ("income.salary", Stream::Salary),
        ("income.pension", Stream::Pension),
        ("income.benefits", Stream::Benefit),
        ("transfer.person", Stream::Income),
        ("transfer.internal", Stream::OwnMoney),
    ] {
        let payments: Vec<Payment<'_>> =
            (0..6).map(|n| pay("Payer", date(2030, 12, 27) + n.months(), 120_000, category)).collect();
        assert_eq!(series(&payments, TODAY)[0].stream, stream, "{category}");
    }
    let bill: Vec<Payment<'_>> = monthly("Payer", date(2030, 12, 27), 1, 6, -500);
    assert_eq!(series(&bill, TODAY)[0].stream, Stream::Payment);
}

/// A planted life: series with jitter and missing payments among shopping; what was planted and what was found.
struct Planted {
    payments: Vec<(String, Date, i64)>,
    series: Vec<(String, Period)>,
}

/// A small generator (SplitMix64), so that the benchmark is the same everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((mixed ^ (mixed >> 31)) % most).unwrap()
    }
}

fn plant(seed: u64) -> Planted {
    let mut chance = Chance(seed);
    let mut planted = Planted { payments: Vec::new(), series: Vec::new() };
    let begin = date(2029, 6, 1);
    let bills = [
        (Period::Monthly, 24, 2),
        (Period::Monthly, 24, 4),
        (Period::FourWeekly, 26, 1),
        (Period::Weekly, 40, 1),
        (Period::Fortnightly, 30, 1),
        (Period::Quarterly, 8, 4),
        (Period::Yearly, 3, 5),
    ];
    for (number, (period, times, jitter)) in bills.into_iter().enumerate() {
        let name = format!("Biller {}", (b'A' + u8::try_from(number).unwrap()) as char);
        let (first, amount) = (begin + chance.below(28).days(), -(500 + chance.below(90_000)));
        for n in 0..times {
            let step = i64::from(n);
            let due = match period {
                Period::Weekly => first + (7 * step).days(),
                Period::Fortnightly => first + (14 * step).days(),
                Period::FourWeekly => first + (28 * step).days(),
                Period::Quarterly => first + (3 * step).months(),
                Period::Yearly => first + (12 * step).months(),
                _ => first + step.months(),
            };
            let missed = n > 0 && n + 1 < times && times > 6 && chance.below(25) == 0;
            if !missed {
                let paid = due + chance.below(jitter).days();
                planted.payments.push((name.clone(), paid, amount + amount * chance.below(8) / 100));
            }
        }
        planted.series.push((name, period));
    }
    for shop in 0..12 {
        for _ in 0..4 + chance.below(40) {
            let day = begin + chance.below(730).days();
            planted.payments.push((format!("Shop {}", (b'A' + shop) as char), day, -(200 + chance.below(9_000))));
        }
    }
    planted
}

/// Over many planted lives: nearly all planted series are found with their period, and hardly any that was not planted.
#[test]
fn planted_series_are_found_and_hardly_any_other() {
    let (mut planted_count, mut right, mut wrong) = (0_usize, 0_usize, 0_usize);
    for seed in 0..200 {
        let life = plant(seed);
        let payments: Vec<Payment<'_>> =
            life.payments.iter().map(|(name, day, cents)| pay(name, *day, *cents, "")).collect();
        let found = series(&payments, date(2031, 6, 1));
        planted_count += life.series.len();
        for series in &found {
            let name = payments[series.members[0]].party;
            let is_planted = life.series.iter().any(|(planted, period)| planted == name && *period == series.period);
            if is_planted { right += 1 } else { wrong += 1 }
        }
    }
    println!("planted {planted_count}, found {right}, not planted {wrong}");
    assert!(right * 100 >= planted_count * 97, "{right} of {planted_count}");
    assert!(wrong * 100 <= planted_count * 3, "{wrong} beside {planted_count}");
}

proptest! {
    #[test]
    fn the_order_does_not_matter_and_no_payment_is_in_two_series(
        rows in proptest::collection::vec((0_usize..3, 0_i64..400, prop_oneof![Just(-1_000_i64), Just(-1_010), 100..9_000_i64]), 0..60),
        turn in 0_usize..60,
    ) {
        let parties = ["Alpha", "Beta", "Gamma"];
        let payments: Vec<Payment<'_>> =
            rows.iter().map(|(party, day, cents)| pay(parties[*party], date(2030, 1, 1) + day.days(), *cents, "")).collect();
        let found = series(&payments, TODAY);
        let mut seen = std::collections::HashSet::new();
        for series in &found {
            prop_assert!(series.members.iter().all(|member| seen.insert(*member)));
            prop_assert!(series.first <= series.last && series.confidence <= 100);
            let parties: std::collections::HashSet<&str> = series.members.iter().map(|at| payments[*at].party).collect();
            prop_assert_eq!(parties.len(), 1);
            prop_assert!(series.least.amount().abs() <= series.typical.amount().abs());
            prop_assert!(series.typical.amount().abs() <= series.most.amount().abs());
            prop_assert!(series.next_expected.is_none_or(|next| next > series.first));
        }
        let mut turned = payments.clone();
        turned.rotate_left(turn % payments.len().max(1));
        let shape = |found: &[Series]| -> Vec<(Date, Date, Period, usize)> {
            found.iter().map(|series| (series.first, series.last, series.period, series.members.len())).collect()
        };
        let (mut one, mut other) = (shape(&found), shape(&series(&turned, TODAY)));
        one.sort_unstable();
        other.sort_unstable();
        prop_assert_eq!(one, other);
    }
}
