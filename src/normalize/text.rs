//! Remittance text by grammars: named rules, kept as data (`data/grammars.toml`), chosen by the text's own shape.
//!
//! Each line is matched against the patterns that its letters leave ([`sieve`]); the rule that stands first in the file wins
//! over all lines, so the order in which a bank sends its lines does not matter. Patterns are automata without backtracking:
//! time is linear in the text. What a pattern captures is read when somebody asks for it: most rows have their name and
//! their day in fields.

mod sieve;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use domain::records::{Parsed, Place, Text};
use jiff::civil::Date;
use regex::{Captures, Regex};
use serde::Deserialize;

use self::sieve::{Set, Sieve};
use crate::dates::with_year_near;
use crate::names::{self, Cut};

/// Lines of one row that are read; what a bank sends beyond is an accident.
const LINES_MAX: usize = 64;
/// Bytes of one line that are read.
const LINE_BYTES_MAX: usize = 2_000;
static GRAMMARS: LazyLock<Grammars> = LazyLock::new(|| {
    Grammars::load(include_str!("data/grammars.toml")).expect("the built-in grammars are checked by a test")
});

/// Characters of a line in the formats from before XML (DTAUS, MT940), whose full lines end inside words.
const FIELD_CHARS: [usize; 2] = [27, 35];

/// Whether a line fills its field and ends with a small letter, so that a word may go on in the next one.
pub(crate) fn is_full(line: &str) -> bool {
    line.ends_with(char::is_lowercase) && FIELD_CHARS.contains(&line.chars().count())
}

/// What a match means, see the head of `data/grammars.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Says {
    Name,
    OtherLine,
    Nobody,
    Statement,
    Noise,
    Rest,
    Date,
}

/// Where a line stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    Lines,
    Structured,
    Additional,
    Name,
}

/// Places where a line can stand.
const SOURCES: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    rule: Vec<RuleEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    name: String,
    grammar: Option<String>,
    kind: Option<String>,
    says: Says,
    #[serde(default = "lines_only")]
    on: Vec<Source>,
    #[serde(default)]
    weak: bool,
    #[serde(default)]
    over_names: bool,
    pattern: String,
    /// Proofs of the rule; only its test reads them.
    #[serde(default)]
    #[cfg_attr(not(test), allow(dead_code, reason = "examples are read by the test of the rules"))]
    examples: Vec<Example>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(test), allow(dead_code, reason = "examples are read by the test of the rules"))]
struct Example {
    text: String,
    name: Option<String>,
    date: Option<String>,
    rest: Option<String>,
}

fn lines_only() -> Vec<Source> {
    vec![Source::Lines]
}

struct Rule {
    entry: RuleEntry,
    pattern: Regex,
    /// Whether it reads a day.
    dated: bool,
}

struct Grammars {
    rules: Vec<Rule>,
    sieve: Sieve,
    /// Rules without a grammar, which hold everywhere, and those of each grammar.
    everywhere: Held,
    by_grammar: BTreeMap<String, Held>,
}

/// The rules that hold for a row, by where a line stands.
#[derive(Clone, Copy, Default)]
struct Held([Set; SOURCES]);

impl Held {
    fn insert(&mut self, number: usize, rule: &RuleEntry) {
        rule.on.iter().for_each(|source| self.0[*source as usize].insert(number));
    }

    fn or(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, other)| *mine = mine.or(other));
        self
    }
}

impl Grammars {
    fn load(toml: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let mut file: RuleFile = toml::from_str(toml)?;
        let (mut everywhere, mut by_grammar) = (Held::default(), BTreeMap::<String, Held>::new());
        for (number, entry) in file.rule.iter_mut().enumerate() {
            // A boundary of Unicode words cannot be told by an automaton without memory of characters.
            entry.pattern = entry.pattern.replace(r"\b", r"(?-u:\b)").replace(r"\d", "[0-9]");
            let held = match &entry.grammar {
                Some(grammar) => by_grammar.entry(grammar.clone()).or_default(),
                None => &mut everywhere,
            };
            held.insert(number, entry);
        }
        let patterns = file.rule.iter().map(|entry| entry.pattern.as_str());
        let sieve = Sieve::new(patterns).ok_or("a pattern cannot be read, or there are too many")?;
        let rules = file
            .rule
            .into_iter()
            .map(|entry| {
                let pattern = regex::RegexBuilder::new(&entry.pattern).case_insensitive(true).build()?;
                let dated = pattern.capture_names().flatten().any(|name| matches!(name, "d" | "iso"));
                Ok(Rule { entry, pattern, dated })
            })
            .collect::<Result<_, regex::Error>>()?;
        Ok(Self { rules, sieve, everywhere, by_grammar })
    }

    /// The rules that hold where these grammars are switched on.
    fn held(&self, switched_on: &[String]) -> Held {
        let named = switched_on.iter().filter_map(|grammar| self.by_grammar.get(grammar));
        named.fold(self.everywhere, Held::or)
    }

    /// The rules that a text may match, in the order of the file.
    fn candidates(&self, text: &str, source: Source, held: &Held) -> impl Iterator<Item = (usize, &Rule)> {
        self.sieve.candidates(text, &held.0[source as usize]).map(|number| (number, &self.rules[number]))
    }
}

/// Whether a grammar of this name can be switched on by a profile.
pub fn is_grammar(name: &str) -> bool {
    GRAMMARS.by_grammar.contains_key(name)
}

/// Every kind of operation that a grammar tells, for the test that each is known.
#[cfg(test)]
pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
    GRAMMARS.rules.iter().filter_map(|rule| rule.entry.kind.as_deref())
}

/// A name that was found in the text.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) path: Place,
    pub(crate) rule: &'static str,
    /// The intermediary whose mark stood in front of it.
    pub(crate) through: Option<&'static str>,
    /// Whether it counts more than the name fields, since those of this bank cannot be trusted.
    pub(crate) over_names: bool,
}

/// A day of purchase that was found in the text.
pub(crate) struct Day {
    written: Written,
    pub(crate) path: Place,
    pub(crate) rule: &'static str,
}

#[derive(Clone, Copy)]
enum Written {
    Whole(Date),
    WithoutYear { month: i8, day: i8 },
}

impl Day {
    /// The day, with the year that puts it near the booking where the text has none.
    pub(crate) fn date(&self, booking: Option<Date>) -> Option<Date> {
        match self.written {
            Written::Whole(date) => Some(date),
            Written::WithoutYear { month, day } => with_year_near(booking?, month, day),
        }
    }
}

/// What the text of a row says of the other side.
#[derive(Default)]
pub(crate) struct Said {
    /// Its name, by a rule whose shape names it.
    pub(crate) name: Option<Found>,
    /// The only line there is, if it looks like a name.
    pub(crate) label: Option<Found>,
    /// Whether a rule says that the row names nobody.
    pub(crate) is_nobody: bool,
    kind: Option<&'static str>,
}

/// The text of a row with the rules that its lines match.
pub(crate) struct Reading<'a> {
    held: Held,
    lines: Vec<Line<'a>>,
    /// Rules that speak of parties and their lines, in the order of the file.
    speaking: Vec<(usize, usize)>,
    /// Rules that read a day, the text and where it stood, in the order of the file.
    dated: Vec<(usize, &'a str, &'a Place)>,
    /// What a rule found in a text, of the last one that was asked for: most rules that read a day name somebody, too.
    found: RefCell<Option<(usize, &'a str, Captures<'a>)>>,
}

struct Line<'a> {
    text: &'a str,
    path: &'a Place,
    source: Source,
    /// Index of the best rule that speaks of parties, and whether the line is noise.
    rule: Option<usize>,
    noise: bool,
    /// Whether it tells a balance.
    statement: bool,
    /// Whether a wrapper said that this is what somebody wrote about the payment.
    unwrapped: bool,
}

/// Reads the text of a row.
pub(crate) fn read<'a>(parsed: &'a Parsed, switched_on: &[String]) -> Reading<'a> {
    let held = GRAMMARS.held(switched_on);
    let mut reading = Reading {
        held,
        lines: Vec::with_capacity(4),
        speaking: Vec::new(),
        dated: Vec::new(),
        found: RefCell::default(),
    };
    let sources = [
        (Source::Lines, &parsed.remittance),
        (Source::Structured, &parsed.remittance_structured),
        (Source::Additional, &parsed.additional),
    ];
    for (source, texts) in sources {
        for field in texts {
            for text in physical_lines(&field.value) {
                if reading.lines.len() == LINES_MAX {
                    break;
                }
                reading.add(text, field, source);
            }
        }
    }
    let speaking = reading.lines.iter().enumerate().filter_map(|(at, line)| line.rule.map(|rule| (rule, at)));
    reading.speaking.extend(speaking);
    reading.speaking.sort_unstable();
    reading.dated.sort_by_key(|(rule, ..)| *rule);
    reading
}

/// Lines inside a text: some banks join theirs with a newline or with a literal `%nl%`.
fn physical_lines<'t>(text: &'t str) -> impl Iterator<Item = &'t str> {
    let end = (0..=LINE_BYTES_MAX.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let text = &text[..end];
    // To look for a mark is quicker than to split by it, and most texts have none.
    let marked = text.contains('%');
    let parted = move |line: &'t str| {
        let parts = marked.then(|| line.split("%nl%")).into_iter().flatten();
        (!marked).then_some(line).into_iter().chain(parts)
    };
    text.split('\n').flat_map(parted).map(str::trim).filter(|line| !line.is_empty())
}

impl<'a> Reading<'a> {
    fn add(&mut self, text: &'a str, field: &'a Text, source: Source) {
        let path = &field.path;
        let mut line = Line { text, path, source, rule: None, noise: false, statement: false, unwrapped: false };
        // A wrapper is taken off once; wrappers do not nest.
        for _ in 0..2 {
            let Some(rest) = self.match_rules(&mut line) else { break };
            line = Line { text: rest, rule: None, noise: rest.is_empty(), unwrapped: true, ..line };
        }
        self.lines.push(line);
    }

    /// Tells a line what it is; what a wrapper holds, where it is one.
    fn match_rules(&mut self, line: &mut Line<'a>) -> Option<&'a str> {
        for (number, rule) in GRAMMARS.candidates(line.text, line.source, &self.held) {
            if !rule.pattern.is_match(line.text) {
                continue;
            }
            match rule.entry.says {
                Says::Rest => {
                    let found = rule.pattern.captures(line.text);
                    return found.and_then(|found| found.name("rest")).map(|rest| rest.as_str().trim());
                }
                Says::Noise | Says::Date => line.noise = true,
                Says::Statement => (line.noise, line.statement) = (true, true),
                Says::Name | Says::OtherLine | Says::Nobody => line.rule = line.rule.or(Some(number)),
            }
            if rule.dated {
                self.dated.push((number, line.text, line.path));
            }
        }
        None
    }

    /// Whether a line tells a balance, as statements have them.
    pub(crate) fn is_statement(&self) -> bool {
        self.lines.iter().any(|line| line.statement)
    }

    /// Kind of operation: `card`, `transfer`, `direct_debit`, `cash`, `fee`, `interest`, `loan`, `pocket` …
    pub(crate) fn kind(&self) -> Option<&'static str> {
        match self.speaking[..] {
            [] => None,
            // Whether it holds what it promises makes no difference where no other rule could speak.
            [(rule, _)] => GRAMMARS.rules[rule].entry.kind.as_deref(),
            _ => self.choose().kind,
        }
    }

    /// The day of purchase: of the first rule of the file that reads one.
    pub(crate) fn day(&self) -> Option<Day> {
        self.dated.iter().find_map(|(rule, text, path)| {
            let written = self.found(*rule, text, written_day)?;
            Some(Day { written, path: (*path).clone(), rule: &GRAMMARS.rules[*rule].entry.name })
        })
    }

    /// Whether the text may name the other side better than the name fields do, since those of this bank cannot be trusted.
    pub(crate) fn may_be_over_names(&self) -> bool {
        self.speaking.iter().any(|(rule, _)| GRAMMARS.rules[*rule].entry.over_names)
    }

    /// What is said of the other side.
    pub(crate) fn said(&self) -> Said {
        let mut said = self.choose();
        if said.name.is_none() && !said.is_nobody {
            said.label = self.only_label();
        }
        said
    }

    /// The first rule of the file that matched any line, and that holds what it promises.
    fn choose(&self) -> Said {
        let mut said = Said::default();
        for (index, at) in &self.speaking {
            let (rule, line) = (&GRAMMARS.rules[*index], &self.lines[*at]);
            let name = match rule.entry.says {
                Says::Nobody => return Said { is_nobody: true, kind: rule.entry.kind.as_deref(), ..said },
                Says::OtherLine => self.other_line(*at).or_else(|| self.captured(*index, line)),
                _ => self.captured(*index, line),
            };
            said.kind = said.kind.or(rule.entry.kind.as_deref());
            if let Some((Cut { name, through }, path)) = name {
                let found = Found { name, path, rule: &rule.entry.name, through, over_names: rule.entry.over_names };
                return Said { name: Some(found), ..said };
            }
            if rule.entry.says == Says::OtherLine {
                return Said { is_nobody: true, ..said };
            }
        }
        said
    }

    /// Reads what a rule finds in a text.
    fn found<T>(&self, rule: usize, text: &'a str, read: impl FnOnce(&Captures<'a>) -> Option<T>) -> Option<T> {
        let mut found = self.found.borrow_mut();
        let is_known = |(known, of, _): &(usize, &str, _)| *known == rule && std::ptr::eq(*of, text);
        if !found.as_ref().is_some_and(is_known) {
            *found = GRAMMARS.rules[rule].pattern.captures(text).map(|captures| (rule, text, captures));
        }
        found.as_ref().and_then(|(_, _, captures)| read(captures))
    }

    /// The name that a rule finds in a line, where it holds what it promises.
    fn captured(&self, rule: usize, line: &Line<'a>) -> Option<(Cut, Place)> {
        let cut = self.found(rule, line.text, |found| Some(names::from_text(found.name("name")?.as_str())))?;
        let holds = !cut.name.is_empty() && (!GRAMMARS.rules[rule].entry.weak || names::looks_like_one(&cut.name));
        holds.then(|| (cut, line.path.clone()))
    }

    /// The first other unstructured line that says something.
    fn other_line(&self, at: usize) -> Option<(Cut, Place)> {
        let others = self.lines.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, line)| line);
        let speaking = others.filter(|line| line.source == Source::Lines && !line.noise);
        speaking.map(|line| (names::from_text(line.text), line.path.clone())).find(|(cut, _)| !cut.name.is_empty())
    }

    /// The only line that says anything, if it looks like a name: unstructured text, else additional information.
    fn only_label(&self) -> Option<Found> {
        let has_lines = self.lines.iter().any(|line| line.source == Source::Lines);
        let source = if has_lines { Source::Lines } else { Source::Additional };
        let mut speaking = self.lines.iter().filter(|line| line.source == source && !line.noise);
        let line = speaking.next()?;
        let Cut { name, through } = names::from_text(line.text);
        (speaking.next().is_none() && !line.unwrapped && names::looks_like_one(&name)).then(|| Found {
            name,
            through,
            path: line.path.clone(),
            rule: "label.only_line",
            over_names: false,
        })
    }

    /// A name field without what the bank wrote around the name (`POS05JUN SHOP`), and the rule that took it off.
    pub(crate) fn bare_name(&self, name: &str) -> (Option<Cut>, Option<&'static str>) {
        for (_, rule) in GRAMMARS.candidates(name, Source::Name, &self.held) {
            if let Some(bare) = rule.pattern.captures(name).and_then(|found| found.name("name").map(|m| m.as_str())) {
                return (Some(names::from_text(bare)), Some(&rule.entry.name));
            }
        }
        (None, None)
    }
}

fn written_day(found: &Captures<'_>) -> Option<Written> {
    if let Some(iso) = found.name("iso") {
        return iso.as_str().parse().ok().map(Written::Whole);
    }
    let number = |name: &str| found.name(name).and_then(|text| text.as_str().parse::<i16>().ok());
    let day = i8::try_from(number("d")?).ok()?;
    let month = match found.name("mon") {
        Some(name) => month_of(name.as_str())?,
        None => i8::try_from(number("m")?).ok()?,
    };
    match number("y") {
        Some(year) => Date::new(if year < 100 { 2000 + year } else { year }, month, day).ok().map(Written::Whole),
        // A leap year tells whether the day can exist at all.
        None => Date::new(2000, month, day).ok().map(|_| Written::WithoutYear { month, day }),
    }
}

fn month_of(name: &str) -> Option<i8> {
    let months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
    (1..).zip(months).find(|(_, month)| month.eq_ignore_ascii_case(name)).map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use proptest::prelude::*;

    fn all_grammars() -> Vec<String> {
        GRAMMARS.rules.iter().filter_map(|rule| rule.entry.grammar.clone()).collect()
    }

    #[test]
    fn every_rule_reads_its_examples() {
        let mut wrong = Vec::new();
        for rule in &GRAMMARS.rules {
            let entry = &rule.entry;
            assert!(!entry.examples.is_empty(), "{} has no example", entry.name);
            for example in &entry.examples {
                let read = rule.pattern.captures(&example.text).map(|found| {
                    let group = |name: &str| found.name(name).map(|text| names::from_text(text.as_str()).name);
                    let day = written_day(&found).map(|written| match written {
                        Written::Whole(date) => date.to_string(),
                        Written::WithoutYear { month, day } => format!("{month:02}-{day:02}"),
                    });
                    (group("name"), group("rest"), day)
                });
                if read != Some((example.name.clone(), example.rest.clone(), example.date.clone())) {
                    wrong.push(format!("{}: {:?} gives {read:?}", entry.name, example.text));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// A rule that stands behind a greedier one would never speak.
    #[test]
    fn no_rule_is_hidden_by_an_earlier_one() {
        let mut hidden = Vec::new();
        for (index, rule) in GRAMMARS.rules.iter().enumerate() {
            if matches!(rule.entry.says, Says::Name | Says::OtherLine | Says::Nobody) {
                let mine: Vec<String> = rule.entry.grammar.iter().cloned().collect();
                for example in &rule.entry.examples {
                    let source = rule.entry.on[0];
                    let held = GRAMMARS.held(&mine);
                    let mut speaking = GRAMMARS.candidates(&example.text, source, &held).filter(|(_, other)| {
                        matches!(other.entry.says, Says::Name | Says::OtherLine | Says::Nobody)
                            && other.pattern.is_match(&example.text)
                    });
                    let first = speaking.next().map(|(number, _)| number);
                    if first != Some(index) {
                        let first = first.map(|first| &GRAMMARS.rules[first].entry.name);
                        hidden.push(format!("{} by {first:?} on {:?}", rule.entry.name, example.text));
                    }
                }
            }
        }
        assert!(hidden.is_empty(), "{hidden:#?}");
    }

    #[test]
    fn rules_have_names_of_their_own() {
        let mut seen: Vec<_> = GRAMMARS.rules.iter().map(|rule| &rule.entry.name).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), GRAMMARS.rules.len());
        assert!(is_grammar("nordic") && !is_grammar("fr.card"));
    }

    fn row(lines: &[&str]) -> Parsed {
        let remittance = lines.iter().map(|line| Text::new((*line).to_owned(), "text")).collect();
        Parsed { remittance, ..Parsed::default() }
    }

    fn name_in(lines: &[&str]) -> Option<String> {
        read(&row(lines), &[]).said().name.map(|found| found.name)
    }

    #[test]
    fn the_order_of_lines_does_not_matter() {
        let lines = ["PRLV SEPA Gaz du Port", "FACTURE 12", "30/04/2031", "Réf : 7781"];
        for turn in 0..lines.len() {
            let mut turned = lines;
            turned.rotate_left(turn);
            assert_eq!(name_in(&turned).as_deref(), Some("Gaz du Port"), "{turned:?}");
        }
    }

    #[test]
    fn a_terminal_line_points_to_the_other_line_or_to_nobody() {
        assert_eq!(
            name_in(&["POS   4,20 AT K1 05.06. 18:02", "SUMUP  *TRAFIK HUBER"]).as_deref(),
            Some("TRAFIK HUBER")
        );
        assert_eq!(name_in(&["POS   4,20 AT K1 05.06. 18:02"]), None);
        assert_eq!(name_in(&["Shopping op 05/06/2031 18:02%nl%SLAGER JAN"]).as_deref(), Some("SLAGER JAN"));
    }

    #[test]
    fn words_about_a_payment_are_nobody_where_a_name_stands() {
        for line in [
            "Gutschrift von Konto CH9300762011623852957 MUELLER ANNA",
            "Plata la POS non-BT cu card VISA",
            "Plata la POS LIBRARIE;TID:0001",
            "DIRECT CREDIT SALARY 123456",
            "POS DEBIT REFUND VISA CHECK CARD 1234",
            "Platba kartou, nákup u obchodníka",
            "PRZELEW DO ZAPŁATY",
            "DISPOSIZIONE DI BONIFICO A VOSTRO FAVORE",
            "Nákup potravin",
            "kupnja stana",
            "Kaart ja lilled",
        ] {
            assert_eq!(name_in(&[line]), None, "{line}");
        }
        let lone = |line: &str| read(&row(&[line]), &[]).said().label.map(|found| found.name);
        assert_eq!(lone("Gutschrift von Konto CH9300762011623852957 MUELLER ANNA"), None);
    }

    #[test]
    fn a_lone_label_is_a_name_only_if_it_looks_like_one() {
        let label = |lines: &[&str]| read(&row(lines), &[]).said().label.map(|found| found.name);
        assert_eq!(label(&["Buchhandlung Kurz"]).as_deref(), Some("Buchhandlung Kurz"));
        for lines in [
            &["Invoice 2031-7"][..],
            &["Card payment"],
            &["Buchhandlung", "Kurz"],
            &["EREF+ABC"],
            &["Abrechnung vom 30.11.2031"],
            &["To EUR"],
            &["0012 3344"],
            &["EREF+A1 SVWZ+Pizza gestern"],
        ] {
            assert_eq!(label(lines), None, "{lines:?}");
        }
        assert_eq!(label(&["EREF+ABC", "Buchhandlung Kurz"]).as_deref(), Some("Buchhandlung Kurz"));
    }

    #[test]
    fn days_are_read_with_and_without_a_year() {
        let day = |line: &str| read(&row(&[line]), &[]).day().and_then(|day| day.date(Some(date(2031, 1, 3))));
        assert_eq!(day("EC 1 30.12/18.02UHR"), Some(date(2030, 12, 30)));
        assert_eq!(day("CARTE 05/06/29 LIBRAIRIE"), Some(date(2029, 6, 5)));
        assert_eq!(day("KAUFUMSATZ 41.90"), None);
        assert_eq!(day("CARTE 31/02/31 LIBRAIRIE"), None);
    }

    #[test]
    fn banks_words_around_a_name_field_come_off() {
        let none = row(&[]);
        let bare_name = |name: &str, grammars: &[String]| {
            read(&none, grammars).bare_name(name).0.map_or_else(|| name.to_owned(), |cut| cut.name)
        };
        assert_eq!(bare_name("POS05JUN BOOKSHOP", &[]), "BOOKSHOP");
        assert_eq!(bare_name("VISA BOOKSHOP", &[]), "VISA BOOKSHOP");
        assert_eq!(bare_name("VISA BOOKSHOP", &all_grammars()), "BOOKSHOP");
        assert_eq!(bare_name("Sumup  *Bookshop", &[]), "Sumup  *Bookshop");
    }

    proptest! {
        #[test]
        fn no_text_panics(lines in proptest::collection::vec("\\PC{0,80}", 0..6)) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let said = read(&row(&lines), &all_grammars()).said();
            prop_assert!(said.name.is_none_or(|found| !found.name.trim().is_empty()));
        }
    }
}
