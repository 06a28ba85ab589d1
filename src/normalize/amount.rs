//! Amount tokens to decimals, and which way the money went. Never a guess: what can be read in two ways is malformed.

use domain::records::{Holder, Issue, Parsed, Party};
use domain::rules::{DecimalMark, SignRule};
use rust_decimal::Decimal;

/// Characters that banks put between thousands beside the other mark.
const GROUP_MARKS: [char; 6] = ['\'', '’', ' ', '\u{a0}', '\u{202f}', '_'];

/// A number that was read, and how.
pub(crate) struct Number {
    pub(crate) value: Decimal,
    /// Whether the token had to be read by a convention other than the standards' `-?digits.digits`.
    pub(crate) unusual: bool,
    /// Whether the mark may also part thousands (`1.234`), and then whether the digits behind it would say so.
    pub(crate) group: Group,
}

/// What three digits behind a lone mark may be, where the currency has fewer decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// No thousands: another number of digits, or a certain mark.
    No,
    /// Thousands, or decimals with a zero behind them, as some banks write.
    Perhaps,
    /// Thousands, or decimals that the currency does not have.
    Likely,
}

impl Group {
    fn of(whole: &str, fraction: &str, from_json_number: bool) -> Self {
        let may_be = (1..=3).contains(&whole.len()) && !whole.starts_with('0') && fraction.len() == 3;
        match (may_be && !from_json_number, fraction.ends_with('0')) {
            (false, _) => Self::No,
            (true, true) => Self::Perhaps,
            (true, false) => Self::Likely,
        }
    }
}

/// Reads an amount token: optional sign before or behind, groups of thousands, one decimal mark.
///
/// `None` when it is no number, has more digits than a decimal holds, or can be read in two ways (`1,234` where the bank's
/// decimal mark is the dot).
pub(crate) fn number(token: &str, mark: DecimalMark, from_json_number: bool) -> Option<Number> {
    let token = token.trim();
    if from_json_number && token.bytes().any(|byte| matches!(byte, b'e' | b'E')) {
        let value = Decimal::from_scientific(token).ok()?.normalize();
        return Some(Number { value, unusual: true, group: Group::No });
    }
    if is_plain(token, mark) {
        let (whole, fraction) = token.trim_start_matches('-').split_once('.').unwrap_or_default();
        let value = without_negative_zero(Decimal::from_str_exact(token).ok()?);
        return Some(Number { value, unusual: false, group: Group::of(whole, fraction, from_json_number) });
    }
    let (negative, unsigned, plain_sign) = sign_of(token)?;
    let (whole, fraction, plain_digits) = split(unsigned, mark)?;
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut text = String::with_capacity(token.len() + 2);
    if negative {
        text.push('-');
    }
    text.push_str(if whole.is_empty() { "0" } else { &whole });
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    let value = without_negative_zero(Decimal::from_str_exact(&text).ok()?);
    let unusual = !(plain_sign && plain_digits) || whole.is_empty();
    // With groups and a decimal mark in one token each mark is certain.
    let group = if unsigned.len() == whole.len() + fraction.len() + 1 {
        Group::of(&whole, fraction, from_json_number)
    } else {
        Group::No
    };
    Some(Number { value, unusual, group })
}

fn without_negative_zero(mut value: Decimal) -> Decimal {
    if value.is_zero() {
        value.set_sign_positive(true);
    }
    value
}

/// Whether a token is `-?digits.digits` as the standards write it, and nobody would read it in another way.
fn is_plain(token: &str, mark: DecimalMark) -> bool {
    let (whole, fraction) = token.strip_prefix('-').unwrap_or(token).split_once('.').unwrap_or_default();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_group = mark == DecimalMark::Comma && fraction.len() == 3;
    digits(whole) && digits(fraction) && !is_group
}

/// The sign, what remains, and whether it was the standards' way to write it.
fn sign_of(token: &str) -> Option<(bool, &str, bool)> {
    let minus = ['-', '\u{2212}'];
    let (negative, rest, plain) = if let Some(rest) = token.strip_prefix(minus) {
        (true, rest, token.starts_with('-'))
    } else if let Some(rest) = token.strip_prefix('+') {
        (false, rest, false)
    } else if let Some(rest) = token.strip_suffix(minus) {
        (true, rest, false)
    } else {
        (false, token, true)
    };
    let rest = rest.trim();
    (!rest.is_empty() && rest.starts_with(|c: char| c.is_ascii_digit() || c == '.' || c == ','))
        .then_some((negative, rest, plain))
}

/// Whole digits without group marks, and the digits behind the decimal mark.
fn split(unsigned: &str, mark: DecimalMark) -> Option<(String, &str, bool)> {
    let decimal_at = decimal_position(unsigned, mark)?;
    let (whole, fraction) = match decimal_at {
        Some(at) => (&unsigned[..at], &unsigned[at + 1..]),
        None => (unsigned, ""),
    };
    if decimal_at.is_some() && fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let plain = whole.bytes().all(|byte| byte.is_ascii_digit());
    if plain {
        let by_dot = decimal_at.is_none_or(|at| unsigned.as_bytes()[at] == b'.');
        return Some((whole.to_owned(), fraction, by_dot));
    }
    Some((ungroup(whole)?, fraction, false))
}

/// Where the decimal mark stands: `Some(None)` for none, `None` when that cannot be known.
fn decimal_position(unsigned: &str, mark: DecimalMark) -> Option<Option<usize>> {
    let (dots, commas) = (unsigned.matches('.').count(), unsigned.matches(',').count());
    let behind = |at: usize| unsigned.len() - at - 1;
    match (dots, commas, unsigned.rfind('.'), unsigned.rfind(',')) {
        (0, 0, ..) => Some(None),
        // Both marks: the last one is the decimal mark and stands alone.
        (1, _, Some(dot), Some(comma)) if dot > comma => Some(Some(dot)),
        (_, 1, Some(dot), Some(comma)) if comma > dot => Some(Some(comma)),
        (1, 0, Some(dot), None) if mark == DecimalMark::Comma && behind(dot) == 3 => Some(None),
        (1, 0, Some(dot), None) => Some(Some(dot)),
        (0, 1, None, Some(comma)) if mark == DecimalMark::Comma || matches!(behind(comma), 1 | 2) => Some(Some(comma)),
        // `1.234.567`: nothing but groups.
        (2.., 0, ..) | (0, 2.., ..) => Some(None),
        _ => None,
    }
}

/// Digits of `1.234.567`, `1 234` or `1'234`: one to three digits, then groups of three.
fn ungroup(whole: &str) -> Option<String> {
    let is_mark = |c: char| c == '.' || c == ',' || GROUP_MARKS.contains(&c);
    let mut groups = whole.split(is_mark);
    let first = groups.next()?;
    let fits = (1..=3).contains(&first.len())
        && groups.all(|group| group.len() == 3)
        && whole.chars().all(|c| c.is_ascii_digit() || is_mark(c));
    fits.then(|| whole.chars().filter(char::is_ascii_digit).collect())
}

/// Which way the money went, from the account's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Money in.
    In,
    /// Money out.
    Out,
}

/// What the indicator says: `CRDT`, `Credit`, `DBIT`, `debit`, the words of Brazil, and those of SWIFT, where the reversal of
/// a debit (`RD`) comes in and the reversal of a credit (`RC`) goes out.
fn indicated(word: &str) -> Option<Direction> {
    match word.to_ascii_uppercase().as_str() {
        "CRDT" | "CREDIT" | "C" | "CR" | "RD" | "EC" | "CREDITO" | "IN" | "INCOMING" => Some(Direction::In),
        "DBIT" | "DEBIT" | "D" | "DR" | "RC" | "ED" | "DEBITO" | "OUT" | "OUTGOING" => Some(Direction::Out),
        _ => None,
    }
}

/// Whether a text is nothing but the word of a side.
fn is_side(text: &str) -> bool {
    text.len() > 3 && indicated(text).is_some()
}

/// A running balance with the sign that its indicator tells, where it has one: a figure marked as debit is owed.
pub(crate) fn signed_balance(value: Decimal, indicator: Option<&str>) -> Decimal {
    match indicator.and_then(indicated) {
        Some(Direction::Out) if !value.is_zero() => -value.abs(),
        _ => value,
    }
}

/// Facts beside the amount that may tell its sign.
pub(crate) struct Hints<'a> {
    pub(crate) holder: &'a Holder,
    /// A pending purchase, by its text.
    pub(crate) pending_purchase: bool,
}

/// The signed amount and the name of the rule that signed it.
pub(crate) fn signed(
    value: Decimal,
    parsed: &Parsed,
    rule: SignRule,
    hints: &Hints<'_>,
    issues: &mut Vec<Issue>,
) -> (Decimal, &'static str) {
    // Where the sign is told by a word, some banks write the word where others have the kind of operation.
    let kind = parsed.proprietary_code.as_ref().filter(|code| rule == SignRule::Indicator && is_side(&code.value));
    let indicator = parsed.indicator.as_ref().or(kind).and_then(|field| {
        let known = indicated(&field.value);
        if known.is_none() {
            issues.push(Issue::new("amount.indicator_unknown", "the credit/debit indicator is no word of a standard"));
        }
        known
    });
    let out = -value.abs();
    match (rule, indicator) {
        (SignRule::Inverted, told) => {
            let turned = if value.is_zero() { value } else { -value };
            let direction = if turned.is_sign_negative() { Direction::Out } else { Direction::In };
            if told.is_some_and(|told| told != direction && !turned.is_zero()) {
                let text =
                    "the bank's signs are the other way round, and the indicator says otherwise; the sign was turned";
                issues.push(Issue::new("amount.sign_conflict", text));
            }
            (turned, "sign.inverted")
        }
        (_, Some(Direction::In)) if value.is_sign_negative() => {
            issues.push(Issue::new("amount.sign_conflict", "a negative amount is marked as credit; the sign was kept"));
            (value, "sign.kept_against_indicator")
        }
        (SignRule::Signed, Some(Direction::Out)) if value.is_sign_positive() && !value.is_zero() => {
            issues
                .push(Issue::new("amount.sign_conflict", "a positive amount is marked as debit; it was read as debit"));
            (out, "sign.indicator")
        }
        (_, Some(Direction::Out)) => (if value.is_zero() { value } else { out }, "sign.indicator"),
        (_, Some(Direction::In)) => (value, "sign.indicator"),
        (SignRule::PendingUnsigned, None) if hints.pending_purchase && value.is_sign_positive() => {
            issues.push(Issue::new("amount.sign_from_text", "the minus of a pending purchase was supplied"));
            (out, "sign.pending_purchase")
        }
        (_, None) if goes_against(value, parsed, hints.holder) => {
            let text = "the accounts of a payment out and in tell another direction; the sign was kept";
            issues.push(Issue::new("amount.sign_conflict", text));
            (value, "sign.kept_against_accounts")
        }
        (SignRule::Either | SignRule::Indicator, None) if value.is_sign_positive() && pays(parsed, hints.holder) => {
            issues.push(Issue::new(
                "amount.sign_from_accounts",
                "no sign and no indicator; the own account is the payer",
            ));
            (out, "sign.own_account")
        }
        (SignRule::Indicator, None) => {
            issues.push(Issue::new(
                "amount.indicator_missing",
                "the indicator is missing; the sign was kept as it stands",
            ));
            (value, "sign.kept")
        }
        (_, None) => (value, "sign.kept"),
    }
}

/// Whether the accounts tell another direction than the sign, and nothing decides between them. What comes back keeps the
/// roles of the payment that it undoes, so accounts prove nothing about it.
fn goes_against(value: Decimal, parsed: &Parsed, holder: &Holder) -> bool {
    let receives = of_two(&parsed.creditor, &parsed.debtor, holder);
    let comes_back = || pays(parsed, holder) && is_return(parsed);
    if value.is_sign_negative() { receives && !is_return(parsed) } else { !value.is_zero() && comes_back() }
}

/// Whether a row speaks of money that comes back: a code of ISO 20022 for a received payment or a return, or a word.
fn is_return(parsed: &Parsed) -> bool {
    const WORDS: [&str; 12] = [
        "rueck", "rück", "retour", "return", "refund", "erstatt", "revers", "devoluc", "storno", "rimbors", "rembours",
        "zwrot",
    ];
    let code = parsed.bank_transaction_code.as_ref().map_or("", |code| code.value.as_str());
    let coded = code.split('-').any(|part| matches!(part, "RCDT" | "RRCT") || part.ends_with("RTN"));
    let says = |text: &str| {
        let text = text.to_lowercase();
        WORDS.iter().any(|word| text.contains(word))
    };
    coded || parsed.remittance.iter().any(|text| says(&text.value))
}

/// Whether the holder's account stands as debtor and another one as creditor.
fn pays(parsed: &Parsed, holder: &Holder) -> bool {
    of_two(&parsed.debtor, &parsed.creditor, holder)
}

/// Whether the one side has the holder's account and the other side another one.
fn of_two(own: &Party, other: &Party, holder: &Holder) -> bool {
    let Some(known) = holder.account.as_deref() else { return false };
    match (&own.account, &other.account) {
        (Some(own), Some(other)) => same_account(&own.value, known) && !same_account(&other.value, known),
        _ => false,
    }
}

/// Whether two account numbers are the same but for blanks and case, or one is the other's IBAN: most countries' IBANs end
/// with the number that the country had before.
pub fn same_account(left: &str, right: &str) -> bool {
    const DOMESTIC_DIGITS_MIN: usize = 10;
    fn letters(text: &str) -> impl DoubleEndedIterator<Item = char> {
        text.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_uppercase())
    }
    let is_iban = |text: &str| {
        let mut head = letters(text);
        head.by_ref().take(2).filter(char::is_ascii_uppercase).count() == 2
            && head.take(2).filter(char::is_ascii_digit).count() == 2
    };
    let ends = |iban: &str, number: &str| {
        let length = letters(number).count();
        length >= DOMESTIC_DIGITS_MIN
            && letters(number).all(|c| c.is_ascii_digit())
            && is_iban(iban)
            && letters(iban).count() > length + 3
            && letters(iban).rev().zip(letters(number).rev()).all(|(one, other)| one == other)
    };
    letters(left).eq(letters(right)) || ends(left, right) || ends(right, left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::records::Text;
    use proptest::prelude::*;

    fn read(token: &str, mark: DecimalMark) -> Option<String> {
        number(token, mark, false).map(|number| number.value.to_string())
    }

    #[test]
    fn tokens_of_every_kind() {
        use DecimalMark::{Comma, Dot};
        for (token, mark, value) in [
            ("12.30", Dot, Some("12.30")),
            ("-12.3", Dot, Some("-12.3")),
            ("12", Dot, Some("12")),
            ("+7.00", Dot, Some("7.00")),
            ("-.50", Dot, Some("-0.50")),
            ("45,30-", Dot, Some("-45.30")),
            ("\u{2212}3", Dot, Some("-3")),
            ("1.234", Dot, Some("1.234")),
            ("1.234", Comma, Some("1234")),
            ("1,234", Comma, Some("1.234")),
            ("1,234", Dot, None),
            ("12,5", Dot, Some("12.5")),
            ("1.234,56", Dot, Some("1234.56")),
            ("1,234.56", Comma, Some("1234.56")),
            ("1'234.50", Dot, Some("1234.50")),
            ("1\u{202f}234,50", Dot, Some("1234.50")),
            ("1.234.567", Dot, Some("1234567")),
            ("12.34.567", Dot, None),
            ("1.2,3.4", Dot, None),
            ("1,2345", Dot, None),
            ("5.", Dot, None),
            ("", Dot, None),
            ("-", Dot, None),
            ("--", Dot, None),
            ("--5", Dot, None),
            ("1e3", Dot, None),
            ("0x10", Dot, None),
            ("12 EUR", Dot, None),
            ("NaN", Dot, None),
            ("-0.00", Dot, Some("0.00")),
            ("79228162514264337593543950336", Dot, None),
            ("0.00000000000000000000000000001", Dot, None),
        ] {
            assert_eq!(read(token, mark).as_deref(), value, "{token:?} {mark:?}");
        }
        assert_eq!(number("1.2E3", Dot, true).map(|n| n.value.to_string()).as_deref(), Some("1200"));
    }

    #[test]
    fn three_digits_behind_a_lone_mark_may_be_thousands() {
        use DecimalMark::{Comma, Dot};
        for (token, mark, group) in [
            ("1.234", Dot, Group::Likely),
            ("-12.345", Dot, Group::Likely),
            ("1,234", Comma, Group::Likely),
            ("1.230", Dot, Group::Perhaps),
            ("0.125", Dot, Group::No),
            ("1234.567", Dot, Group::No),
            ("1,234.567", Dot, Group::No),
            ("1.23", Dot, Group::No),
            ("1.2345", Dot, Group::No),
            ("1.234", Comma, Group::No),
        ] {
            assert_eq!(number(token, mark, false).map(|number| number.group), Some(group), "{token} {mark:?}");
        }
        assert_eq!(number("1.234", Dot, true).map(|number| number.group), Some(Group::No));
    }

    #[test]
    fn an_account_is_known_by_its_domestic_number() {
        for (left, right, same) in [
            ("DE89 3704 0044 0532 0130 00", "de89370400440532013000", true),
            ("DE89370400440532013000", "370400440532013000", true),
            ("60-16-13 31926819", "GB29NWBK60161331926819", true),
            ("GB29NWBK60161331926819", "31926819", false),
            ("DE89370400440532013000", "DE02120300000000202051", false),
            ("", "DE89370400440532013000", false),
        ] {
            assert_eq!(same_account(left, right), same, "{left} {right}");
        }
    }

    #[test]
    fn only_the_standards_way_is_usual() {
        for (token, unusual) in
            [("-12.30", false), ("12", false), ("+1.00", true), ("1,5", true), ("1'000", true), (".5", true)]
        {
            assert_eq!(number(token, DecimalMark::Dot, false).unwrap().unusual, unusual, "{token}");
        }
    }

    fn sign(amount: &str, indicator: Option<&str>, rule: SignRule) -> (String, Vec<&'static str>) {
        let parsed = Parsed { indicator: indicator.map(|word| Text::new(word.to_owned(), "i")), ..Parsed::default() };
        let hints = Hints { holder: &Holder::default(), pending_purchase: true };
        let mut issues = Vec::new();
        let (value, _) = signed(amount.parse().unwrap(), &parsed, rule, &hints, &mut issues);
        (value.to_string(), issues.iter().map(|issue| issue.code).collect())
    }

    #[test]
    fn signs_by_rule_and_indicator() {
        use SignRule::{Either, Indicator, Inverted, PendingUnsigned, Signed};
        let conflict = &["amount.sign_conflict"][..];
        for (amount, indicator, rule, value, codes) in [
            ("5", None, Signed, "5", &[][..]),
            ("-5", None, Signed, "-5", &[]),
            ("-5", Some("DBIT"), Signed, "-5", &[]),
            ("5", Some("DBIT"), Signed, "-5", conflict),
            ("-5", Some("CRDT"), Signed, "-5", conflict),
            ("5", Some("Debit"), Indicator, "-5", &[]),
            ("-5", Some("debit"), Indicator, "-5", &[]),
            ("5", Some("CREDITO"), Indicator, "5", &[]),
            ("5", None, Indicator, "5", &["amount.indicator_missing"]),
            ("-5", Some("CRDT"), Indicator, "-5", conflict),
            ("5", Some("sideways"), Either, "5", &["amount.indicator_unknown"]),
            ("5", None, Inverted, "-5", &[]),
            ("-5", None, Inverted, "5", &[]),
            ("0", Some("DBIT"), Either, "0", &[]),
            ("5", None, PendingUnsigned, "-5", &["amount.sign_from_text"]),
        ] {
            assert_eq!(
                sign(amount, indicator, rule),
                (value.to_owned(), codes.to_vec()),
                "{amount} {indicator:?} {rule:?}"
            );
        }
    }

    #[test]
    fn a_side_may_stand_where_the_kind_does() {
        let parsed =
            |kind: &str| Parsed { proprietary_code: Some(Text::new(kind.into(), "type")), ..Parsed::default() };
        let hints = Hints { holder: &Holder::default(), pending_purchase: false };
        let value = |kind: &str, rule| signed(Decimal::ONE, &parsed(kind), rule, &hints, &mut Vec::new()).0;
        assert_eq!(value("debit", SignRule::Indicator), -Decimal::ONE);
        assert_eq!(value("credit", SignRule::Indicator), Decimal::ONE);
        assert_eq!(value("debit", SignRule::Signed), Decimal::ONE);
        assert_eq!(value("card", SignRule::Indicator), Decimal::ONE);
    }

    #[test]
    fn an_unsigned_payment_of_the_own_account_is_money_out() {
        let account = |number: &str| domain::records::Party {
            account: Some(Text::new(number.into(), "a")),
            ..Default::default()
        };
        let parsed = Parsed { debtor: account("SK11 0900 1"), creditor: account("SK99"), ..Parsed::default() };
        let holder = Holder { account: Some("sk1109001".into()), ..Holder::default() };
        let hints = Hints { holder: &holder, pending_purchase: false };
        let value = signed(Decimal::ONE, &parsed, SignRule::Either, &hints, &mut Vec::new()).0;
        assert_eq!(value, -Decimal::ONE);
    }

    proptest! {
        #[test]
        fn plain_decimals_survive(value in -1_000_000_000_000_i64..1_000_000_000_000, scale in 0_u32..4) {
            let decimal = Decimal::new(value, scale);
            prop_assert_eq!(number(&decimal.to_string(), DecimalMark::Dot, false).unwrap().value, decimal);
        }

        #[test]
        fn no_token_panics(token in "\\PC{0,24}") {
            let _ = number(&token, DecimalMark::Dot, false);
            let _ = number(&token, DecimalMark::Comma, true);
        }
    }
}
