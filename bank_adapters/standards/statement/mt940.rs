//! MT940 of SWIFT (Customer Statement Message), as German banks fill it (DK, Annex 3 of the DFÜ agreement, chapter 8) or with
//! free text.
//!
//! An entry is kept as it was written: `{"60F": …, "61": …, "86": …}`, lines joined as they came. The paths of what is read
//! are SWIFT's own: `61.5` is subfield 5 of field 61, `86.?32` a subfield of the structured field 86.

use std::borrow::Cow;

use domain::records::{Issue, List, Parsed, Party, Place, Text};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{OneAccount, Statement};
use crate::error::Breach;
use crate::standards::row::{is_filler, is_no_identifier};

/// What a kept entry begins with.
pub(super) const MARK: &str = r#"{"60"#;

/// Bytes of one field that are read: field 86 has 390 characters by the standard, and some thousand where a bank is generous.
const FIELD_BYTES_MAX: usize = 16 * 1024;
/// Characters of a line of remittance in field 86. A line that is shorter ends a word.
const LINE_CHARS: usize = 27;
/// Words with which a SEPA reference begins within the lines of field 86 (DK, chapter 8.2.4).
const SEPA: [&str; 12] =
    ["EREF", "KREF", "MREF", "CRED", "DEBT", "COAM", "OAMT", "SVWZ", "ABWA", "ABWE", "IBAN", "BIC"];

/// Whether a text begins as a message does: with its reference, or with the blocks of the network around it.
pub(super) fn is_one(text: &str) -> bool {
    text.starts_with(":20:") || (text.starts_with("{1:") && text.contains("{4:"))
}

/// One field of a message: its tag, and its lines.
struct Field<'a> {
    tag: &'a str,
    lines: Vec<&'a str>,
}

/// The fields of all messages, one after the other.
fn fields(text: &str) -> impl Iterator<Item = Result<Field<'_>, Breach>> {
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).enumerate().peekable();
    std::iter::from_fn(move || {
        loop {
            let (number, line) = lines.next()?;
            let Some((tag, first)) = tagged(line) else {
                if is_between(line) {
                    continue;
                }
                return Some(Err(Breach::Damaged { line: number + 1, column: 1 }));
            };
            let (mut field, mut bytes) = (Field { tag, lines: vec![first] }, first.len());
            // What people wrote may look like what stands between messages, as long as more of the field follows.
            while let Some((_, line)) = lines.next_if(|(_, line)| tagged(line).is_none()) {
                bytes += line.len();
                field.lines.push(line);
            }
            while field.lines.len() > 1 && field.lines.last().is_some_and(|line| is_between(line)) {
                field.lines.pop();
            }
            let too_long = bytes > FIELD_BYTES_MAX;
            return Some(if too_long { Err(Breach::TooLong("86")) } else { Ok(field) });
        }
    })
}

/// The tag of a line and what follows it: `:61:…`, `:60F:…`.
fn tagged(line: &str) -> Option<(&str, &str)> {
    let (tag, rest) = line.strip_prefix(':')?.split_once(':')?;
    let (digits, letter) = tag.split_at_checked(2)?;
    let is_tag = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (letter.is_empty() || (letter.len() == 1 && letter.as_bytes()[0].is_ascii_uppercase()));
    is_tag.then_some((tag, rest))
}

/// What stands between messages: nothing, a dash, or the blocks of the network.
fn is_between(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line == "-" || line.starts_with("-}") || line.starts_with('{')
}

/// A message under reading.
#[derive(Default)]
struct Message<'a> {
    /// The tag of its opening balance and the text of it.
    opening: Option<(&'a str, &'a str)>,
    sum: Option<Decimal>,
    entry: Option<(Map<String, Value>, List)>,
}

/// Reads messages.
pub(super) fn read(text: &str) -> Result<Statement, Breach> {
    let (mut statement, mut account, mut message) = (Statement::default(), OneAccount::default(), None);
    for field in fields(text) {
        let Field { tag, lines } = field?;
        let first = lines.first().copied().unwrap_or_default();
        match (tag, &mut message) {
            ("20", None) => message = Some(Message { sum: Some(Decimal::ZERO), ..Message::default() }),
            // What will be available stands behind the closing balance.
            ("64" | "65", None) => {}
            ("20", Some(_)) | (_, None) if tag != "86" => return Err(Breach::Field("62F")),
            ("25", Some(_)) => account.is(first.trim(), "25")?,
            ("60F" | "60M", Some(open)) => {
                balance(first).ok_or(Breach::Field("60F"))?;
                open.opening = Some((tag, first));
            }
            ("61", Some(open)) => {
                open.keep(&mut statement)?;
                open.begin(&lines)?;
            }
            // Field 86 behind the last balance is about the statement.
            ("86", Some(open)) => open.tell(&lines),
            ("62F" | "62M", Some(open)) => {
                open.keep(&mut statement)?;
                let opening = open.opening.and_then(|(_, text)| balance(text));
                let closing = balance(first).ok_or(Breach::Field("62F"))?;
                statement.must_add_up(opening, open.sum, Some(closing));
                message = None;
            }
            _ => {}
        }
    }
    match message {
        Some(_) => Err(Breach::Field("62F")),
        None => Ok(statement),
    }
}

impl Message<'_> {
    fn begin(&mut self, lines: &[&str]) -> Result<(), Breach> {
        let (tag, opening) = self.opening.ok_or(Breach::Field("60F"))?;
        let text = lines.join("\n");
        let line = Line::of(&text);
        let amount = line.as_ref().and_then(Line::signed);
        let list = if line.is_some_and(|line| line.mark.starts_with('E')) { List::Pending } else { List::Booked };
        self.sum = self.sum.zip(amount).and_then(|(sum, amount)| sum.checked_add(amount));
        let kept = [(tag, opening.to_owned()), ("61", text)];
        self.entry = Some((kept.into_iter().map(|(tag, text)| (tag.to_owned(), Value::from(text))).collect(), list));
        Ok(())
    }

    fn tell(&mut self, lines: &[&str]) {
        if let Some((entry, _)) = &mut self.entry
            && !entry.contains_key("86")
        {
            entry.insert("86".to_owned(), lines.join("\n").into());
        }
    }

    fn keep(&mut self, statement: &mut Statement) -> Result<(), Breach> {
        match self.entry.take() {
            Some((entry, list)) => statement.push(&Value::Object(entry), list),
            None => Ok(()),
        }
    }
}

/// Field 61 (`6!n[4!n]2a[1!a]15d1!a3!c16x[//16x][34x]`), cut.
struct Line<'a> {
    value_date: &'a str,
    entry_date: Option<&'a str>,
    mark: &'a str,
    amount: &'a str,
    kind: &'a str,
    bank_reference: Option<&'a str>,
    supplement: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let (line, supplement) = match text.split_once('\n') {
            Some((line, more)) => (line, Some(more)),
            None => (text, None),
        };
        let (value_date, rest) = digits(line, 6)?;
        let (entry_date, rest) = digits(rest, 4).map_or((None, rest), |(day, rest)| (Some(day), rest));
        let marks = ["RC", "RD", "EC", "ED", "C", "D"];
        let mark = marks.iter().find(|mark| rest.starts_with(**mark))?;
        let rest = &rest[mark.len()..];
        // The third letter of the currency may stand here.
        let rest = rest.strip_prefix(|c: char| c.is_ascii_uppercase()).unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ',')?;
        let (amount, rest) = rest.split_at(end);
        let (kind, rest) = rest.split_at_checked(4)?;
        let bank_reference = rest.split_once("//").map(|(_, reference)| reference);
        Some(Self { value_date, entry_date, mark, amount, kind, bank_reference, supplement })
    }

    /// The amount as every standard writes it; `None` where it is not the number that SWIFT wants.
    fn plain(&self) -> Option<String> {
        plain(self.amount)
    }

    /// What it adds to the balance: what is only expected adds nothing yet.
    fn signed(&self) -> Option<Decimal> {
        let amount = Decimal::from_str_exact(&self.plain()?).ok()?;
        match self.mark {
            "C" | "RD" => Some(amount),
            "D" | "RC" => Some(-amount),
            _ => Some(Decimal::ZERO),
        }
    }

    /// The day of the entry: it has no year of its own, and is at most half a year from the day of value.
    fn booking_date(&self) -> Option<String> {
        let entry = self.entry_date?;
        let two = |text: &str, at: usize| text.get(at..at + 2)?.parse::<i32>().ok();
        let year = century(two(self.value_date, 0)?);
        let (value_month, month, day) = (two(self.value_date, 2)?, two(entry, 0)?, two(entry, 2)?);
        let year = match month - value_month {
            7.. => year - 1,
            ..=-7 => year + 1,
            _ => year,
        };
        Some(format!("{year}-{month:02}-{day:02}"))
    }
}

/// The text of a day as it was written, with its century: German banks count interest from a 30 February, which is for the
/// reader of days to refuse.
fn day(six: &str) -> Option<String> {
    Some(format!("{}-{}-{}", century(six.get(..2)?.parse().ok()?), six.get(2..4)?, six.get(4..6)?))
}

/// The year of two digits. Statements are of the years from 1980.
const fn century(year: i32) -> i32 {
    if year >= 80 { 1900 + year } else { 2000 + year }
}

fn digits(text: &str, count: usize) -> Option<(&str, &str)> {
    let (head, rest) = text.split_at_checked(count)?;
    head.bytes().all(|byte| byte.is_ascii_digit()).then_some((head, rest))
}

/// A number of SWIFT's (`15d`): digits, one comma that must be there, digits that need not.
fn plain(number: &str) -> Option<String> {
    let (whole, fraction) = number.split_once(',')?;
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = !whole.is_empty() && number.len() <= 15 && are_digits(whole) && are_digits(fraction);
    fits.then(|| if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

/// The figure of a balance (`1!a6!n3!a15d`).
fn balance(text: &str) -> Option<Decimal> {
    let amount = Decimal::from_str_exact(&plain(text.get(10..)?.trim_end())?).ok()?;
    match text.as_bytes().first()? {
        b'C' => Some(amount),
        b'D' => Some(-amount),
        _ => None,
    }
}

/// The fields of a kept entry.
#[derive(Deserialize)]
struct Kept<'a> {
    #[serde(borrow, rename = "60F", alias = "60M")]
    opening: Cow<'a, str>,
    #[serde(borrow, rename = "61")]
    line: Cow<'a, str>,
    #[serde(borrow, rename = "86", default)]
    information: Cow<'a, str>,
}

/// One kept entry. Never fails: what could not be read stands in `issues`.
pub(super) fn transaction(kept: &RawValue, list: List) -> Parsed {
    let mut parsed = Parsed { list, ..Parsed::default() };
    let kept: Option<Kept<'_>> = serde_json::from_str(kept.get()).ok();
    let Some((kept, line)) = kept.as_ref().and_then(|kept| Some((kept, Line::of(&kept.line)?))) else {
        parsed.issues.push(Issue::new("row.malformed", "field 61 is not in the form of the standard"));
        return parsed;
    };
    let said = |value: &str, path: &'static &'static str| {
        let value = value.trim();
        (!is_filler(value)).then(|| Text::new(value.to_owned(), Place::At(path)))
    };
    parsed.amount = Some(Text::new(line.plain().unwrap_or_else(|| line.amount.to_owned()), Place::At(&"61.5")));
    parsed.currency = kept.opening.get(7..10).and_then(|currency| said(currency, &"60F"));
    parsed.indicator = said(line.mark, &"61.3");
    parsed.value_date = day(line.value_date).map(|day| Text::new(day, Place::At(&"61.1")));
    parsed.booking_date = line.booking_date().map(|day| Text::new(day, Place::At(&"61.2")));
    parsed.references.entry_reference =
        line.bank_reference.filter(|text| !is_no_identifier(text.trim())).and_then(|text| said(text, &"61.8"));
    parsed.additional.extend(line.supplement.and_then(|text| said(&text.replace('\n', " "), &"61.9")));
    parsed.proprietary_code = said(line.kind, &"61.6");
    match Structured::of(&kept.information) {
        Some(structured) => structured.tell(&line, &mut parsed),
        None => parsed.remittance.extend(kept.information.lines().filter_map(|text| said(text, &"86"))),
    }
    parsed
}

/// The structured field 86: a German business transaction code, and subfields behind a mark.
struct Structured {
    code: String,
    subfields: Vec<(u8, String)>,
}

impl Structured {
    /// Cuts it; `None` for free text. Lines break wherever they are full, also inside a subfield.
    fn of(text: &str) -> Option<Self> {
        let text: String = text.lines().collect();
        let (code, rest) = digits(&text, 3)?;
        let mark = rest.chars().next().filter(|mark| mark.is_ascii_punctuation())?;
        let subfields: Option<Vec<_>> = rest[1..]
            .split(mark)
            .filter(|part| !part.is_empty())
            .map(|part| digits(part, 2).map_or_else(|| Err(part), |(number, text)| Ok((number, text))))
            .try_fold(Vec::new(), |mut read: Vec<(u8, String)>, part| {
                match (part, read.last_mut()) {
                    (Ok((number, text)), _) => read.push((number.parse().ok()?, text.to_owned())),
                    // The mark itself within a text.
                    (Err(text), Some((_, before))) => *before = format!("{before}{mark}{text}"),
                    (Err(_), None) => return None,
                }
                Some(read)
            });
        Some(Self { code: code.to_owned(), subfields: subfields.filter(|read| !read.is_empty())? })
    }

    fn text(&self, numbers: &[u8], path: &'static &'static str) -> Option<Text> {
        let parts = self.subfields.iter().filter(|(number, _)| numbers.contains(number));
        let joined: String = parts.map(|(_, text)| text.as_str()).collect();
        let value = joined.split_whitespace().collect::<Vec<_>>().join(" ");
        (!is_filler(&value)).then(|| Text::new(value, Place::At(path)))
    }

    fn tell(&self, line: &Line<'_>, parsed: &mut Parsed) {
        // As German banks write it in JSON: SWIFT's code, the business transaction code, the number of the journal.
        let journal = self.text(&[10], &"86.?10").map_or_else(String::new, |text| format!("+{}", text.value));
        parsed.proprietary_code = Some(Text::new(format!("{}+{}{journal}", line.kind, self.code), Place::At(&"86")));
        parsed.additional.splice(0..0, self.text(&[0], &"86.?00"));
        parsed.counterparty = Party {
            name: self.text(&[32, 33], &"86.?32"),
            account: self.text(&[31], &"86.?31"),
            agent: self.text(&[30], &"86.?30"),
            ultimate_name: None,
        };
        for (word, text) in self.remittance() {
            let path = word.map_or(Place::At(&"86.?20"), |word| format!("86.?20.{word}").into());
            let text = text.trim();
            if is_filler(text) {
                continue;
            }
            let found = Text::new(text.to_owned(), path);
            let identifier = (!is_no_identifier(text)).then(|| found.clone());
            match word {
                None | Some("SVWZ") => parsed.remittance.push(found),
                Some("EREF") => parsed.references.end_to_end_id = identifier,
                Some("MREF") => parsed.references.mandate_id = identifier,
                Some("CRED") => parsed.references.creditor_id = identifier,
                Some("ABWA") => parsed.debtor.ultimate_name = Some(found),
                Some("ABWE") => parsed.creditor.ultimate_name = Some(found),
                Some("IBAN") => parsed.counterparty.account = Some(found),
                Some("BIC") => parsed.counterparty.agent = Some(found),
                Some(_) => {}
            }
        }
    }

    /// The lines of remittance, cut where a SEPA reference begins. Lines that belong together are joined: without a blank
    /// where the first one is full.
    fn remittance(&self) -> Vec<(Option<&'static str>, String)> {
        let mut found: Vec<(Option<&'static str>, String)> = Vec::new();
        let mut full = false;
        for (_, line) in self.subfields.iter().filter(|(number, _)| matches!(number, 20..=29 | 60..=63)) {
            let word = SEPA.into_iter().find(|word| line.strip_prefix(word).is_some_and(|rest| rest.starts_with('+')));
            match (word, found.last_mut()) {
                (Some(word), _) => found.push((Some(word), line[word.len() + 1..].to_owned())),
                (None, Some((Some(_), before))) => {
                    if !full {
                        before.push(' ');
                    }
                    before.push_str(line);
                }
                (None, _) => found.push((None, line.clone())),
            }
            full = line.chars().count() >= LINE_CHARS;
        }
        found
    }
}
