//! The cases that the rules were made for, one by one.

use domain::money::{Currency, Money};
use domain::records::Status;
use jiff::civil::{Date, date};
use rust_decimal::Decimal;

use super::align::align_weighing;
use super::sketch::{digest, reference, words};
use super::{Alignment, Count, Coverage, Evidence, IdField, Listed, Outcome, Sketch, Stored, Trust, Twin, align};

fn on(day: i8) -> Date {
    date(2026, 3, day)
}

fn booked(day: i8, cents: i64, text: &str) -> Sketch {
    Sketch {
        status: Status::Booked,
        provisional: false,
        money: Money::new(Decimal::new(cents, 2), Currency::EUR),
        booking_date: Some(on(day)),
        value_date: None,
        purchase_date: None,
        party: None,
        text: digest(text),
        words: words(text),
        ids: [None; 4],
        links: Vec::new(),
        balance_after: None,
    }
}

fn pending(day: i8, cents: i64, text: &str) -> Sketch {
    Sketch { status: Status::Pending, provisional: true, ..booked(day, cents, text) }
}

fn with_id(sketch: Sketch, id: &str) -> Sketch {
    Sketch { ids: [reference(id), None, None, None], ..sketch }
}

fn stored(rows: &[Sketch]) -> Vec<Stored<usize>> {
    rows.iter().cloned().enumerate().map(|(id, sketch)| Stored::new(id, sketch)).collect()
}

fn fetched(rows: &[Sketch]) -> Vec<Listed> {
    rows.iter().map(|sketch| Listed { sketch: sketch.clone(), page: 0 }).collect()
}

fn against(before: &[Stored<usize>], now: &[Listed], trust: &Trust) -> Alignment<usize> {
    align(before, now, &Coverage { from: on(1), pending: true }, trust)
}

fn outcomes(before: &[Sketch], now: &[Sketch]) -> Vec<Outcome<usize>> {
    against(&stored(before), &fetched(now), &Trust::default()).listed
}

fn same(id: usize, why: Evidence) -> Outcome<usize> {
    Outcome::Same { id, why }
}

/// Twelve rows that nothing disturbs, so that a bank can be known.
fn others() -> Vec<Sketch> {
    (0..12).map(|n| with_id(booked(20, -1000 - n, &format!("Shop {n}")), &format!("other-{n}"))).collect()
}

#[test]
fn equal_purchases_stay_as_many_as_the_bank_lists() {
    let coffee = booked(10, -320, "Coffee House");
    let known = outcomes(&[coffee.clone(), coffee.clone()], &[coffee.clone(), coffee.clone(), coffee]);
    let everything = Evidence::Everything;
    assert_eq!(known, [same(0, everything), same(1, everything), Outcome::New]);
}

#[test]
fn the_running_balance_tells_equal_purchases_apart() {
    let row =
        |cents: i64, after: i64| Sketch { balance_after: Some(Decimal::new(after, 2)), ..booked(10, cents, "Cafe") };
    let (first, second) = (row(-300, 9700), row(-300, 9400));
    let rest = [row(-100, 9300), row(-150, 9150), row(-250, 8900), row(-50, 8850), row(-60, 8790)];
    // The first of both is withdrawn: the second keeps its id, although nothing else tells them apart.
    let with_new_ids = |sketch: &Sketch, id: &str| with_id(sketch.clone(), id);
    let mut before = vec![with_new_ids(&first, "a"), with_new_ids(&second, "b")];
    let mut now = vec![with_new_ids(&second, "x")];
    before.extend(rest.clone());
    now.extend(rest);
    assert_eq!(outcomes(&before, &now)[0], same(1, Evidence::Content));
}

#[test]
fn new_identifiers_after_a_new_consent_change_nothing() {
    let before = [with_id(booked(10, -320, "Coffee"), "a-1"), with_id(booked(11, -990, "Books"), "a-2")];
    let now = [with_id(booked(11, -990, "Books"), "b-1"), with_id(booked(10, -320, "Coffee"), "b-2")];
    assert_eq!(outcomes(&before, &now), [same(1, Evidence::Content), same(0, Evidence::Content)]);
}

#[test]
fn an_identifier_is_believed_when_it_has_proven_itself_and_not_before() {
    let (mut before, mut now) = (others(), others());
    before.push(with_id(booked(10, -320, "CARD 4711"), "mine"));
    now.push(with_id(booked(12, -320, "Coffee House Vienna"), "mine"));
    let proven = against(&stored(&before), &fetched(&now), &Trust::default());
    assert_eq!(proven.listed[12], same(12, Evidence::Id(IdField::Transaction)));

    // The same value on another amount: from now on it names nothing.
    before.push(with_id(booked(13, -500, "Bakery"), "other"));
    now.push(with_id(booked(14, -700, "Cinema"), "other"));
    let clashed = against(&stored(&before), &fetched(&now), &Trust::default());
    assert!(!matches!(clashed.listed[12], Outcome::Same { why: Evidence::Id(_), .. }));
    assert_eq!(clashed.listed[13], Outcome::New);
    assert_eq!(clashed.trust.counts[0][0].clashed, 1);
}

#[test]
fn an_entry_that_is_listed_twice_is_flagged_where_its_identifier_has_proven_itself() {
    let mine = with_id(booked(10, -320, "Coffee"), "mine");
    let again = with_id(booked(12, -320, "Coffee House"), "mine");
    let mut before = others();
    before.push(mine.clone());
    let known = against(&stored(&before), &fetched(&before), &Trust::default()).trust;
    let mut now = before.clone();
    now.insert(0, again);
    let twice = against(&stored(&before), &fetched(&now), &known).listed;
    assert_eq!((twice[0], twice[13]), (Outcome::Doubtful { like: Twin::Listed(13) }, same(12, Evidence::Everything)));
    let unproven = against(&stored(&before), &fetched(&now), &Trust::default()).listed;
    assert_eq!(unproven[0], Outcome::New);
}

#[test]
fn places_in_a_list_are_no_identifiers() {
    let row = |text: &str, place: &str| with_id(booked(10, -320, text), place);
    let before = [row("Tea", "2026-03-10.0"), row("Coffee", "2026-03-10.1")];
    let now = [row("Late", "2026-03-10.0"), row("Tea", "2026-03-10.1"), row("Coffee", "2026-03-10.2")];
    let expected = [Outcome::New, same(0, Evidence::Content), same(1, Evidence::Content)];
    assert_eq!(outcomes(&before, &now), expected);
}

#[test]
fn a_pending_row_becomes_booked_under_its_id() {
    let evidence = |before: Sketch, now: Sketch| match outcomes(&[before], &[now])[0] {
        Outcome::Booked { id: 0, why } => Some(why),
        _ => None,
    };
    let hold = || pending(10, -320, "COFFEE HOUSE");
    assert_eq!(evidence(hold(), booked(12, -320, "Coffee House Vienna")), Some(Evidence::Text));
    assert_eq!(evidence(hold(), booked(12, -341, "Coffee House Vienna")), Some(Evidence::TextOnly));
    assert_eq!(evidence(pending(10, -320, "4711"), booked(12, -320, "Coffee House")), Some(Evidence::Amount));
    let link = |sketch: Sketch| Sketch { links: vec![77], ..sketch };
    assert_eq!(evidence(link(hold()), link(booked(12, -320, "CH 0815"))), Some(Evidence::Link));
    assert_eq!(evidence(hold(), booked(30, -320, "Coffee House")), None, "too late");
    assert_eq!(evidence(hold(), booked(12, 320, "Coffee House")), None, "money that comes back");
    assert_eq!(evidence(hold(), booked(12, -990, "Books")), None, "another purchase");
}

#[test]
fn a_pending_row_beside_its_booking_is_shown_once() {
    let hold = pending(10, -320, "COFFEE HOUSE");
    let done = booked(12, -320, "Coffee House Vienna");
    let before = stored(std::slice::from_ref(&hold));
    let first = against(&before, &fetched(&[done.clone(), hold.clone()]), &Trust::default()).listed;
    let why = Evidence::Text;
    assert_eq!(first, [Outcome::Booked { id: 0, why }, Outcome::Echo { of: Twin::Listed(0), why }]);

    let after = [before[0].clone().listed_as(done.clone())];
    let again = against(&after, &fetched(&[done, hold]), &Trust::default()).listed;
    let why = Evidence::EarlierForm;
    assert_eq!(again, [same(0, Evidence::Everything), Outcome::Echo { of: Twin::Stored(0), why }]);
}

#[test]
fn a_doubtful_pair_stays_two_and_is_flagged() {
    // Every day a coffee: the booking may be that of the hold, or of a purchase that was never seen pending.
    let habit = booked(8, -320, "Coffee House");
    let before = [habit.clone(), pending(10, -320, "COFFEE HOUSE")];
    let now = [habit, booked(11, -320, "Coffee House Vienna"), pending(10, -320, "COFFEE HOUSE")];
    let everything = Evidence::Everything;
    let doubt = Outcome::Doubtful { like: Twin::Stored(1) };
    assert_eq!(outcomes(&before, &now), [same(0, everything), doubt, same(1, everything)]);
}

#[test]
fn how_late_a_booking_may_come_is_learned_from_the_bank() {
    let before = stored(&[pending(10, -1000, "4711")]);
    let now = fetched(&[booked(13, -1000, "Coffee House")]);
    let booking = Outcome::Booked { id: 0, why: Evidence::Amount };
    assert_eq!(against(&before, &now, &Trust::default()).listed, [booking]);
    let mut next_day = Trust::default();
    next_day.delays.after[1] = 200;
    assert_eq!(against(&before, &now, &next_day).listed, [Outcome::Doubtful { like: Twin::Stored(0) }]);
    next_day.delays.after[3] = 5;
    assert_eq!(against(&before, &now, &next_day).listed, [booking]);
    assert_eq!(against(&before, &now, &next_day).trust.delays.after[..4], [0, 200, 0, 6]);
}

#[test]
fn a_row_that_went_and_one_of_its_words_that_came_are_two() {
    let hold = booked(10, -1000, "COFFEE HOUSE reserved");
    let became =
        |now: Sketch, trust: &Trust| against(&stored(std::slice::from_ref(&hold)), &fetched(&[now]), trust).listed[0];
    let doubt = Outcome::Doubtful { like: Twin::Stored(0) };
    let another = booked(12, -1100, "Coffee House Vienna");
    assert_eq!(became(another.clone(), &Trust::default()), same(0, Evidence::TextOnly));
    assert_eq!(became(booked(12, -1100, "COFFEE HOUSE reserved"), &Trust::default()), doubt);

    // Where identifiers stay with their rows, another one is another payment, unless the bank replaces rows.
    let (mut before, mut now) = (others(), others());
    before.push(with_id(hold.clone(), "hold"));
    now.push(with_id(another, "booking"));
    let outcome = |trust: &Trust| against(&stored(&before), &fetched(&now), trust).listed[12];
    assert_eq!(outcome(&Trust::default()), Outcome::Doubtful { like: Twin::Stored(12) });
    assert_eq!(outcome(&Trust { replaced: 3, ..Trust::default() }), same(12, Evidence::TextOnly));
}

#[test]
fn a_row_inside_a_page_was_not_lost_between_two() {
    // A coffee every day, and a bank that gives every row an identifier of its own.
    let habit = with_id(booked(8, -320, "Coffee House"), "habit");
    let hold = with_id(booked(10, -320, "COFFEE HOUSE"), "hold");
    let booking = with_id(booked(11, -320, "Coffee House Vienna"), "booking");
    let mut before = others();
    before.extend([habit.clone(), hold]);
    let mut now: Vec<Listed> = fetched(&others());
    now.splice(0..0, fetched(&[booking]));
    now.extend(fetched(&[habit]));
    let outcome = |now: &[Listed]| against(&stored(&before), now, &Trust::default()).listed[0];
    assert_eq!(outcome(&now), same(13, Evidence::Text), "it was replaced");
    now[1..].iter_mut().for_each(|row| row.page = 1);
    now[0].sketch.booking_date = Some(on(11));
    now[1].sketch.booking_date = Some(on(9));
    assert_eq!(outcome(&now), Outcome::Doubtful { like: Twin::Stored(13) }, "or it stood where two pages meet");
}

#[test]
fn holds_without_a_name_are_taken_in_order_where_the_amount_is_spent_at_one_place_alone() {
    let coffee = |day, place: &str| booked(day, -320, place);
    let hold = |day| pending(day, -320, "4711");
    let habit = ["Coffee House"; 3].map(|place| coffee(3, place));
    let outcome = |habit: &[Sketch], holds: &[Sketch], place: &str| {
        let before = [habit, holds].concat();
        let now = [habit, &[coffee(12, place)]].concat();
        *outcomes(&before, &now).last().unwrap()
    };
    let booking = |id| Outcome::Booked { id, why: Evidence::Amount };
    let doubt = |id| Outcome::Doubtful { like: Twin::Stored(id) };
    let holds = [hold(9), hold(11)];
    assert_eq!(outcome(&habit, &holds, "Coffee House"), booking(3), "the first of two");
    assert_eq!(outcome(&habit[1..], &holds, "Coffee House"), doubt(2), "twice is no habit");
    assert_eq!(outcome(&habit, &holds, "Museum"), doubt(3), "another place");
    let elsewhere = [&habit[..], &[coffee(4, "Museum")]].concat();
    assert_eq!(outcome(&elsewhere, &holds, "Coffee House"), doubt(4), "the amount is spent elsewhere too");
    // Equal holds of one day are the same to anybody.
    assert_eq!(outcome(&[], &[hold(11), hold(11)], "Museum"), booking(0));
    assert_eq!(outcome(&[], &holds, "Museum"), doubt(0));
}

#[test]
fn of_two_purchases_of_one_amount_and_day_the_words_tell() {
    // The word of the state is not known to say nothing yet, so the texts are not similar.
    let before = [pending(10, -1000, "Bakery reserved"), pending(10, -1000, "Museum reserved")];
    let booked_for = |place: &str| Sketch { purchase_date: Some(on(10)), ..booked(11, -1000, place) };
    let now = [booked_for("Museum of Art Vienna"), booked_for("Bakery Huber Graz")];
    let booking = |id| Outcome::Booked { id, why: Evidence::Amount };
    assert_eq!(outcomes(&before, &now), [booking(1), booking(0)]);
}

#[test]
fn a_word_that_goes_when_texts_change_says_nothing() {
    let hold = pending(10, -1000, "Reserviert");
    let booking = booked(11, -1100, "Coffee House");
    let became = |before: Vec<Stored<usize>>, mut now: Vec<Sketch>| {
        now.push(booking.clone());
        *against(&before, &fetched(&now), &Trust::default()).listed.last().unwrap()
    };
    let doubt = Outcome::Doubtful { like: Twin::Stored(0) };
    assert_eq!(became(stored(std::slice::from_ref(&hold)), Vec::new()), doubt);
    let settled = |n: i64| booked(9, -2000 - n, &format!("Shop {n}"));
    let form = |n: i64| Stored::new(9, pending(8, -2000 - n, "Reserviert")).listed_as(settled(n));
    let mut before: Vec<Stored<usize>> = (0..3).map(form).collect();
    before.push(Stored::new(0, hold));
    before.iter_mut().enumerate().for_each(|(id, row)| row.id = id);
    let booked = Outcome::Booked { id: 3, why: Evidence::NearAmount };
    assert_eq!(became(before, (0..3).map(settled).collect()), booked);
}

#[test]
fn where_each_of_two_may_be_the_booking_both_are_flagged() {
    let now = [booked(11, -1000, "Books"), booked(11, -1000, "Cinema")];
    let doubt = Outcome::Doubtful { like: Twin::Stored(0) };
    assert_eq!(outcomes(&[pending(10, -1000, "")], &now), [doubt, doubt]);
}

#[test]
fn pages_that_overlap_double_nothing() {
    let page = |sketch: &Sketch, page| Listed { sketch: sketch.clone(), page };
    let (a, b) = (booked(12, -100, "Bakery"), booked(11, -200, "Books"));
    let overlap = [page(&a, 0), page(&b, 0), page(&a, 1), page(&b, 1)];
    let echo = |of| Outcome::Echo { of: Twin::Listed(of), why: Evidence::PageOverlap };
    assert_eq!(against(&[], &overlap, &Trust::default()).listed, [Outcome::New, Outcome::New, echo(0), echo(1)]);
    // One row alone may be a second purchase: both stay.
    let one = [page(&a, 0), page(&b, 0), page(&b, 1)];
    let doubt = Outcome::Doubtful { like: Twin::Listed(1) };
    assert_eq!(against(&[], &one, &Trust::default()).listed, [Outcome::New, Outcome::New, doubt]);
    let known = stored(&[a, b]);
    assert_eq!(against(&known, &one, &Trust::default()).listed[2], echo(1));
}

#[test]
fn two_equal_rows_at_the_edge_of_two_pages_stay_two() {
    let page = |sketch: &Sketch, page| Listed { sketch: sketch.clone(), page };
    let (ticket, other) = (with_id(booked(11, -280, "Tram"), "9998"), booked(11, -500, "Books"));
    // The first is listed again on the second page, and the second stands behind it.
    let known = stored(&[ticket.clone(), other.clone(), ticket.clone()]);
    let now = [page(&ticket, 0), page(&ticket, 1), page(&other, 1), page(&ticket, 1)];
    let everything = Evidence::Everything;
    let echo = Outcome::Echo { of: Twin::Listed(0), why: Evidence::PageOverlap };
    let mut shared = Trust::default();
    shared.counts[0][0] = Count { same: 50, shared: 9, ..Count::default() };
    let expected = [same(0, everything), echo, same(1, everything), same(2, everything)];
    assert_eq!(against(&known, &now, &shared).listed, expected);
    // Two pairs of equal rows, one of each on either page, are four where four were known.
    let pairs = [page(&ticket, 0), page(&other, 0), page(&ticket, 1), page(&other, 1)];
    let four = stored(&[ticket.clone(), other.clone(), ticket.clone(), other.clone()]);
    let expected = [same(0, everything), same(1, everything), same(2, everything), same(3, everything)];
    assert_eq!(against(&four, &pairs, &shared).listed, expected);
    // An identifier that many rows share does not make one row of two.
    let apart = [page(&other, 0), page(&ticket, 0), page(&ticket, 1)];
    let three: Vec<Outcome<usize>> = against(&known, &apart, &shared).listed;
    assert_eq!(three, [same(1, everything), same(0, everything), same(2, everything)]);
}

#[test]
fn what_the_bank_no_longer_lists_becomes_a_tombstone_and_may_come_back() {
    let (kept, gone, held) = (booked(12, -100, "Bakery"), booked(10, -200, "Books"), pending(11, -300, "Hotel"));
    let mut before = stored(&[kept.clone(), gone.clone(), held]);
    let now = fetched(&[kept]);
    let once = against(&before, &now, &Trust::default());
    assert_eq!((once.missed, once.withdrawn), (vec![1], vec![2]));
    before[1].missed = true;
    before[2].removed = true;
    assert_eq!(against(&before, &now, &Trust::default()).withdrawn, [1]);
    before[1].removed = true;
    let back = against(&before, &fetched(&[gone]), &Trust::default());
    assert_eq!(back.listed, [same(1, Evidence::Content)]);
    // What lies before the window, or was not asked for, is not missed.
    let narrow = align(
        &stored(&[booked(3, -1, "Old"), pending(3, -2, "Held")]),
        &[],
        &Coverage { from: on(1), pending: false },
        &Trust::default(),
    );
    assert!(narrow.withdrawn.is_empty() && narrow.missed.is_empty());
}

#[test]
fn blank_identifiers_are_none() {
    for blank in ["", " ", "-", "0000", "NOTPROVIDED", "null"] {
        assert_eq!(reference(blank), None, "{blank}");
    }
    assert!(reference("9998").is_some());
}

proptest::proptest! {
    /// Whatever a bank lists, rows are paired one to one and none is forgotten.
    #[test]
    fn every_row_has_one_outcome_and_every_id_one_row(
        before in proptest::collection::vec((0..6_i8, 0..4_i64, 0..3_usize, 0..4_usize, proptest::bool::ANY), 0..24),
        now in proptest::collection::vec((0..6_i8, 0..4_i64, 0..3_usize, 0..4_usize, proptest::bool::ANY), 0..24),
        removed in 0..24_usize,
    ) {
        let texts = ["Coffee House", "Books", ""];
        let ids = ["a", "b", "0", "c"];
        let sketch = |&(day, cents, text, id, held): &(i8, i64, usize, usize, bool)| {
            let row = if held { pending } else { booked };
            with_id(row(10 + day, cents * 100 - 200, texts[text]), ids[id])
        };
        let mut stored = stored(&before.iter().map(sketch).collect::<Vec<_>>());
        stored.iter_mut().skip(removed).for_each(|row| row.removed = true);
        let listed: Vec<Listed> =
            now.iter().enumerate().map(|(place, row)| Listed { sketch: sketch(row), page: place as u32 / 5 }).collect();
        let alignment = against(&stored, &listed, &Trust::default());
        proptest::prop_assert_eq!(alignment.listed.len(), listed.len());
        let continued = alignment.listed.iter().filter_map(|outcome| match outcome {
            Outcome::Same { id, .. } | Outcome::Booked { id, .. } => Some(*id),
            Outcome::New | Outcome::Doubtful { .. } | Outcome::Echo { .. } => None,
        });
        let mut ids: Vec<usize> = continued.chain(alignment.withdrawn).chain(alignment.missed).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        proptest::prop_assert_eq!(ids.len(), all, "an id stands for two rows, or for one that went");
        for outcome in &alignment.listed {
            if let Outcome::Echo { of: Twin::Listed(other), .. } = outcome {
                let stands = !matches!(alignment.listed[*other], Outcome::Echo { .. });
                proptest::prop_assert!(stands, "an echo of an echo stands for nothing");
            }
        }
    }
}

/// Ten rows a day that are known under other identifiers, on pages of five hundred: every hundredth is new, every tenth a
/// coffee, every fifth was pending, half of these without a name.
fn history(rows: i64) -> (Vec<Stored<usize>>, Vec<Listed>) {
    let row = |n: i64, days: i64| {
        let day = date(2024, 1, 1).saturating_add(jiff::Span::new().days(n / 10 + days));
        let shop =
            if n % 10 == 3 { "Coffee House".to_owned() } else { format!("Shop{} {}", letters(n), letters(n % 7)) };
        let cents = if n % 10 == 3 { 320 } else { 1000 + n % 900 };
        Sketch { booking_date: Some(day), ..booked(1, -cents, &shop) }
    };
    let before = |n: i64| match n % 5 {
        1 if n % 2 == 0 => Sketch { text: 8, words: Vec::new(), ..pending_form(row(n, 0)) },
        1 => pending_form(row(n, 0)),
        _ => row(n, 2),
    };
    let known = (0..rows).filter(|n| n % 100 != 0).map(|n| with_id(before(n), &format!("first-{n}")));
    let listed = (0..rows).map(|n| with_id(row(n, 2), &format!("again-{n}")));
    let listed = listed.zip(0_u32..).map(|(sketch, n)| Listed { sketch, page: n / 500 });
    (stored(&known.collect::<Vec<_>>()), listed.collect())
}

fn pending_form(row: Sketch) -> Sketch {
    Sketch { status: Status::Pending, provisional: true, ..row }
}

/// A number as a word.
fn letters(n: i64) -> String {
    n.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

#[test]
fn work_grows_with_the_rows_and_not_faster() {
    let coverage = Coverage { from: date(2024, 1, 1), pending: true };
    let weighed = |rows: i64| {
        let (known, listed) = history(rows);
        let (alignment, weighed) = align_weighing(&known, &listed, &coverage, &Trust::default());
        let of_kind = |kind: fn(&Outcome<usize>) -> bool| alignment.listed.iter().filter(|o| kind(o)).count() as i64;
        assert_eq!(of_kind(|outcome| *outcome == Outcome::New), rows / 100);
        assert_eq!(of_kind(|outcome| matches!(outcome, Outcome::Booked { .. })), rows / 5);
        weighed
    };
    let (few, many) = (weighed(1_000), weighed(10_000));
    assert!(few > 1_000 && many < few * 12, "{few} pairs of 1,000 rows, {many} of 10,000");
}
