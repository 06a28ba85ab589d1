//! One JSON object of a bank to parsed fields, driven by a [`Layout`]: where each field stands in that format.
//!
//! Tolerant where a bank can be wrong without being dangerous: a value of the wrong type is an issue and absent, a blank
//! or filler is absent, an array may be a single value and the other way round. Never interprets, never rounds: numbers
//! stay the token that the bank wrote.

use std::borrow::Cow;
use std::fmt;

use domain::records::{
    Issue, List, Parsed, ParsedAccount, ParsedBalance, ParsedExchange, Party, Place, References, Text,
};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

pub(crate) use super::layout::{AccountLayout, BalanceLayout, ExchangeLayout, Layout, PartyLayout, paths};
use super::layout::{Path, Paths, mark};

/// Levels of nesting that are read. The standards use four; anything deeper is somebody's attack or accident.
const DEPTH_MAX: usize = 8;

/// Members that an object has, as a rule: a row's own, and those of what stands inside. An allocator is quicker with less
/// than a kilobyte.
const MEMBERS: [usize; 2] = [20, 2];

/// A JSON value whose numbers are still text. A page has thousands of them, so they are small.
#[cfg_attr(test, derive(Debug, PartialEq))]
enum Node<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(&'a str),
    /// A text with escapes.
    Unescaped(Box<str>),
    List(Vec<Self>),
    Object(Box<Members<'a>>),
    /// A string with half a surrogate pair, or a value nested too deep.
    Unreadable,
}

/// The members of an object in order, with a mark of their names: most paths of a layout lead nowhere in most rows.
#[cfg_attr(test, derive(Debug, PartialEq))]
struct Members<'a> {
    entries: Vec<(Cow<'a, str>, Node<'a>)>,
    marks: u64,
    /// Whether a name stands twice, here or further inside.
    repeats: bool,
}

impl<'a> Members<'a> {
    fn with_capacity(capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity), marks: 0, repeats: false }
    }

    fn push(&mut self, key: Cow<'a, str>, value: Node<'a>) {
        let mark = mark(key.as_bytes(), 0, key.len());
        let again = self.marks & mark != 0 && self.entries.iter().any(|(known, _)| *known == key);
        self.repeats |= again || value.repeats();
        self.marks |= mark;
        self.entries.push((key, value));
    }

    /// The value of the last member with a name, as in every common JSON reader.
    fn get(&self, name: &str, mark: u64) -> Option<&Node<'a>> {
        if self.marks & mark == 0 {
            return None;
        }
        self.entries.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The value that a path leads to.
    fn at(&self, path: &Path<'_>) -> Option<&Node<'a>> {
        let value = self.get(&path.text[..path.head], path.mark)?;
        let Some(second) = path.second else { return value.behind(&path.text[path.head..]) };
        let Node::Object(inner) = value else { return None };
        inner.get(&path.text[path.head + 1..second.end], second.mark)?.behind(&path.text[second.end..])
    }
}

impl<'a> Node<'a> {
    /// Reads a row. In one pass where it has no number, whose token would be lost, and nothing that `serde_json` refuses;
    /// else value by value.
    fn of(raw: &'a RawValue) -> Self {
        let mut json = serde_json::Deserializer::from_str(raw.get());
        OnePass { depth: 0 }.deserialize(&mut json).unwrap_or_else(|_| Self::read(raw, 0))
    }

    /// Reads a value. What `serde_json` has accepted as one value is well formed, so the fallbacks are for depth alone.
    fn read(raw: &'a RawValue, depth: usize) -> Self {
        let token = raw.get();
        match token.as_bytes().first() {
            Some(b'{') if depth < DEPTH_MAX => {
                let Ok(Entries(entries)) = serde_json::from_str(token) else { return Self::Unreadable };
                let mut members = Members::with_capacity(entries.len());
                entries.into_iter().for_each(|(key, raw)| members.push(key.0, Self::read(raw, depth + 1)));
                Self::Object(Box::new(members))
            }
            Some(b'[') if depth < DEPTH_MAX => {
                let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(token) else { return Self::Unreadable };
                Self::List(items.into_iter().map(|raw| Self::read(raw, depth + 1)).collect())
            }
            Some(b'"') => serde_json::from_str::<Borrowed<'_>>(token).map_or(Self::Unreadable, |text| text.0.into()),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'-' | b'0'..=b'9') => Self::Number(token),
            Some(b'n') => Self::Null,
            _ => Self::Unreadable,
        }
    }

    /// The text that it is.
    fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Unescaped(text) => Some(text),
            _ => None,
        }
    }

    /// Whether some object has a member twice.
    fn repeats(&self) -> bool {
        match self {
            Self::Object(members) => members.repeats,
            Self::List(items) => items.iter().any(Self::repeats),
            _ => false,
        }
    }

    fn at(&self, path: &Path<'_>) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.at(path)
    }

    /// What stands behind a name in a path: a further member, or an element and what may follow it.
    fn behind(&self, rest: &str) -> Option<&Self> {
        if rest.is_empty() {
            return Some(self);
        }
        if let Some(path) = rest.strip_prefix('.') {
            return self.at(&Path::new(path));
        }
        let Self::List(items) = self else { return None };
        let (selector, rest) = rest.strip_prefix('[')?.split_once(']')?;
        let item = match selector.split_once('=') {
            Some((name, wanted)) => {
                let path = Path::new(name);
                items.iter().find(|item| item.at(&path).is_some_and(|member| member.says(wanted)))?
            }
            None => items.get(selector.parse::<usize>().ok()?)?,
        };
        item.behind(rest)
    }

    /// Whether it is this text, or this truth value.
    fn says(&self, wanted: &str) -> bool {
        match self {
            Self::Bool(truth) => wanted == if *truth { "true" } else { "false" },
            _ => self.as_text().is_some_and(|text| text.eq_ignore_ascii_case(wanted)),
        }
    }
}

impl<'a> From<Cow<'a, str>> for Node<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::Text(text),
            Cow::Owned(text) => Self::Unescaped(text.into_boxed_str()),
        }
    }
}

/// Reads a value that has no numbers inside.
struct OnePass {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for OnePass {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Numbers are not among what is expected: they end the pass.
impl<'de> Visitor<'de> for OnePass {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without numbers")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Unescaped(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node<'de>, A::Error> {
        if self.depth == DEPTH_MAX {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Node::Unreadable);
        }
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self { depth: self.depth + 1 })? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        if self.depth == DEPTH_MAX {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Node::Unreadable);
        }
        let [of_a_row, inside] = MEMBERS;
        let mut members = Members::with_capacity(if self.depth == 0 { of_a_row } else { inside });
        while let Some(key) = map.next_key::<Borrowed<'de>>()? {
            let value = map.next_value_seed(Self { depth: self.depth + 1 })?;
            members.push(key.0, value);
        }
        Ok(Node::Object(Box::new(members)))
    }
}

/// A string that borrows from the input where it has no escapes.
struct Borrowed<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Borrowed<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Borrowed<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

/// The members of an object in order, values unread.
struct Entries<'a>(Vec<(Borrowed<'a>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(16);
                while let Some(entry) = map.next_entry::<Borrowed<'de>, &'de RawValue>()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// Domains of the ISO 20022 bank transaction code set.
const ISO_DOMAINS: [&str; 11] =
    ["PMNT", "CAMT", "ACMT", "LDAS", "FORX", "XTND", "SECU", "DERV", "CMDT", "PMET", "TRAD"];

/// Whether a text is one or more four-letter codes joined by dashes.
fn is_iso_code(text: &str) -> bool {
    text.split('-').all(|part| part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_uppercase()))
}

/// Whether a text is a filler that banks write where they have nothing.
pub(crate) fn is_filler(text: &str) -> bool {
    const WORDS: [&str; 9] =
        ["null", "none", "n/a", "notprovided", "not provided", "notavail", "unknown", "undefined", "unbekannt"];
    text.bytes().all(|byte| matches!(byte, b'-' | b'.' | b'*' | b'?'))
        || WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether an identifier says that there is none (EPC rulebooks: `NOTPROVIDED`; SWIFT: `NONREF`).
pub(crate) fn is_no_identifier(text: &str) -> bool {
    text.eq_ignore_ascii_case("NOTPROVIDED")
        || text.eq_ignore_ascii_case("NOT PROVIDED")
        || text.eq_ignore_ascii_case("NONREF")
        || text.bytes().all(|byte| byte == b'0')
}

/// An object under reading, with the issues found on the way.
struct Reader<'a> {
    root: Node<'a>,
    issues: Vec<Issue>,
}

impl<'a> Reader<'a> {
    fn new(raw: &'a RawValue) -> Self {
        Self::at(Node::of(raw))
    }

    fn at(root: Node<'a>) -> Self {
        let mut issues = Vec::new();
        if !matches!(root, Node::Object(_)) {
            issues.push(Issue::new("row.malformed", "the row is not a JSON object"));
        }
        if root.repeats() {
            issues.push(Issue::new("row.repeated_member", "a member stands twice in the row; the last one was read"));
        }
        Self { root, issues }
    }

    /// The first path with a text or number that says something.
    fn text(&mut self, paths: Paths) -> Option<Text> {
        self.scalar(paths, is_filler).map(|(text, _)| text)
    }

    /// As [`Reader::text`], but `-` and the like are kept: a malformed amount must be reported, not missed.
    fn token(&mut self, paths: Paths) -> Option<(Text, bool)> {
        self.scalar(paths, str::is_empty)
    }

    /// As [`Reader::text`], and `NOTPROVIDED` or zeros are absent too.
    fn identifier(&mut self, paths: Paths) -> Option<Text> {
        self.scalar(paths, |text| is_filler(text) || is_no_identifier(text)).map(|(text, _)| text)
    }

    fn scalar(&mut self, paths: Paths, absent: impl Fn(&str) -> bool) -> Option<(Text, bool)> {
        for path in paths {
            let (text, is_number) = match self.root.at(path) {
                None | Some(Node::Null) => continue,
                Some(Node::Text(text)) => (text.trim(), false),
                Some(Node::Unescaped(text)) => (text.trim(), false),
                Some(Node::Number(token)) => (*token, true),
                Some(Node::List(items)) => match first_text(items) {
                    Some(text) => (text, false),
                    None => continue,
                },
                // One format's object can be another's value: `amount: {amount, currency}` beside `amount.amount`.
                Some(Node::Object(_)) if paths.len() > 1 => continue,
                Some(Node::Bool(_) | Node::Object(_) | Node::Unreadable) => {
                    self.issues.push(Issue::new("field.type", format!("{} is neither text nor number", path.text)));
                    continue;
                }
            };
            if !absent(text) {
                return Some((Text::new(text.to_owned(), Place::At(&path.text)), is_number));
            }
        }
        None
    }

    /// Every text at every path: strings, arrays of strings, structured references, arrays of them.
    fn texts(&mut self, paths: Paths) -> Vec<Text> {
        let mut texts = Vec::new();
        for path in paths {
            match self.root.at(path) {
                None | Some(Node::Null) => {}
                Some(Node::List(items)) => {
                    for (index, item) in (0..).zip(items) {
                        if let Some(text) = line_of(item) {
                            texts.push(Text::new(text.to_owned(), Place::Element(&path.text, index)));
                        }
                    }
                }
                Some(node) => match line_of(node) {
                    Some(text) => texts.push(Text::new(text.to_owned(), Place::At(&path.text))),
                    None if matches!(node, Node::Bool(_) | Node::Unreadable) => {
                        self.issues.push(Issue::new("field.type", format!("{} is not text", path.text)));
                    }
                    None => {}
                },
            }
        }
        texts
    }

    fn party(&mut self, layout: &PartyLayout) -> Party {
        Party {
            name: self.text(layout.name),
            ultimate_name: self.text(layout.ultimate_name),
            account: self.text(layout.account),
            agent: self.text(layout.agent),
        }
    }

    /// The lines, and the string where it says more than they do.
    fn remittance(&mut self, layout: &Layout) -> Vec<Text> {
        let mut lines = self.texts(layout.remittance_lines);
        if lines.is_empty() {
            return self.texts(layout.remittance_string);
        }
        let joined: String = lines.iter().flat_map(|line| line.value.split_whitespace()).collect();
        for string in self.texts(layout.remittance_string) {
            let bare: String = string.value.split_whitespace().collect();
            if !joined.contains(&bare) {
                lines.push(string);
            }
        }
        lines
    }

    /// An ISO 20022 code that stands in parts; nothing where the parts are the bank's own words.
    fn code(&mut self, paths: Paths) -> Option<Text> {
        let parts: Vec<Text> = paths.iter().filter_map(|path| self.text(std::slice::from_ref(path))).collect();
        let iso: Vec<&str> = parts.iter().map(|part| part.value.as_str()).filter(|part| is_iso_code(part)).collect();
        let domain = iso.first()?.get(..4)?;
        let path = parts.first()?.path.clone();
        ISO_DOMAINS.contains(&domain).then(|| Text::new(iso.join("-"), path))
    }

    fn exchanges(&self, layout: &Layout) -> Vec<ParsedExchange> {
        let mut found = Vec::new();
        for path in layout.exchange {
            match self.root.at(path) {
                Some(node @ Node::Object(_)) => {
                    found.push(exchange(node, &Place::At(&path.text), &layout.exchange_fields));
                }
                Some(Node::List(items)) => {
                    found.extend((0..).zip(items).map(|(index, item)| {
                        exchange(item, &Place::Element(&path.text, index), &layout.exchange_fields)
                    }))
                }
                _ => {}
            }
        }
        found
    }
}

/// Where a structured reference has its text (NextGenPSD2 §14).
const REFERENCE: Path<'static> = Path::new("reference");

fn first_text<'n>(items: &'n [Node<'_>]) -> Option<&'n str> {
    items.iter().find_map(line_of)
}

/// The text of one remittance element: a string, a number, or the `reference` of a structured one.
fn line_of<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    let text = match node {
        Node::Text(text) => text.trim(),
        Node::Unescaped(text) => text.trim(),
        Node::Number(token) => token,
        Node::Object(members) => members.at(&REFERENCE)?.as_text()?.trim(),
        Node::Null | Node::Bool(_) | Node::List(_) | Node::Unreadable => return None,
    };
    (!is_filler(text)).then_some(text)
}

fn exchange(node: &Node<'_>, at: &Place, layout: &ExchangeLayout) -> ParsedExchange {
    let text = |paths: Paths| {
        paths.iter().find_map(|path| {
            let text = match node.at(path)? {
                Node::Number(token) => token,
                other => other.as_text()?.trim(),
            };
            (!is_filler(text)).then(|| Text::new(text.to_owned(), format!("{at}.{}", path.text)))
        })
    };
    ParsedExchange {
        source_currency: text(layout.source_currency),
        target_currency: text(layout.target_currency),
        unit_currency: text(layout.unit_currency),
        rate: text(layout.rate),
        instructed_amount: text(layout.instructed_amount),
        instructed_currency: text(layout.instructed_currency),
    }
}

/// A transaction. Whatever the row is, an answer comes: what could not be read is absent and stands in `issues`.
pub(crate) fn transaction(raw: &RawValue, list: List, layout: &Layout) -> Parsed {
    read(Reader::new(raw), list, layout)
}

fn read(mut row: Reader<'_>, list: List, layout: &Layout) -> Parsed {
    let (amount, amount_is_number) = row.token(layout.amount).map_or((None, false), |(text, n)| (Some(text), n));
    Parsed {
        list,
        status: row.text(layout.status),
        amount,
        amount_is_number,
        currency: row.text(layout.currency),
        indicator: row.text(layout.indicator),
        booking_date: row.text(layout.booking_date),
        value_date: row.text(layout.value_date),
        transaction_date: row.text(layout.transaction_date),
        other_dates: row.texts(layout.other_dates),
        creditor: row.party(&layout.creditor),
        debtor: row.party(&layout.debtor),
        counterparty: row.party(&layout.counterparty),
        remittance: row.remittance(layout),
        remittance_structured: row.texts(layout.remittance_structured),
        additional: row.texts(layout.additional),
        references: References {
            transaction_id: row.identifier(layout.transaction_id),
            internal_id: row.identifier(layout.internal_id),
            entry_reference: row.identifier(layout.entry_reference),
            end_to_end_id: row.identifier(layout.end_to_end_id),
            mandate_id: row.identifier(layout.mandate_id),
            creditor_id: row.identifier(layout.creditor_id),
            check_id: row.identifier(layout.check_id),
        },
        bank_transaction_code: row.text(layout.bank_transaction_code).or_else(|| row.code(layout.code_parts)),
        proprietary_code: row.text(layout.proprietary_code),
        purpose_code: row.text(layout.purpose_code),
        mcc: row.text(layout.mcc),
        merchant_name: row.text(layout.merchant_name),
        balance_after: row.token(layout.balance_after).map(|(text, _)| text),
        balance_after_indicator: row.text(layout.balance_after_indicator),
        balance_after_currency: row.text(layout.balance_after_currency),
        exchange: row.exchanges(layout),
        issues: row.issues,
    }
}

/// An account with the balances inside it.
pub(crate) fn account(raw: &RawValue, layout: &AccountLayout, balances: &BalanceLayout) -> ParsedAccount {
    let mut row = Reader::new(raw);
    ParsedAccount {
        resource_id: row.text(layout.resource_id),
        iban: row.text(layout.iban),
        bban: row.text(layout.bban),
        masked_pan: row.text(layout.masked_pan),
        other: row.text(layout.other),
        currency: row.text(layout.currency),
        name: row.text(layout.name),
        product: row.text(layout.product),
        cash_account_type: row.text(layout.cash_account_type),
        owner_name: row.text(layout.owner_name),
        bic: row.text(layout.bic),
        status: row.text(layout.status),
        balances: inner_balances(row, layout, balances),
    }
}

fn inner_balances(mut row: Reader<'_>, layout: &AccountLayout, balances: &BalanceLayout) -> Vec<ParsedBalance> {
    let found = layout.balances.iter().find_map(|path| match row.root.at(path) {
        Some(Node::List(_)) => Some(path.text),
        _ => None,
    });
    let Some(path) = found else { return Vec::new() };
    let Node::Object(members) = &mut row.root else { return Vec::new() };
    let Some((_, Node::List(items))) = members.entries.iter_mut().rev().find(|(key, _)| key == path) else {
        return Vec::new();
    };
    std::mem::take(items).into_iter().map(|root| balance_of(Reader { root, issues: Vec::new() }, balances)).collect()
}

/// A balance.
pub(crate) fn balance(raw: &RawValue, layout: &BalanceLayout) -> ParsedBalance {
    balance_of(Reader::new(raw), layout)
}

fn balance_of(mut row: Reader<'_>, layout: &BalanceLayout) -> ParsedBalance {
    ParsedBalance {
        kind: row.text(layout.kind),
        amount: row.token(layout.amount).map(|(text, _)| text),
        currency: row.text(layout.currency),
        indicator: row.text(layout.indicator),
        credit_limit_included: layout.credit_limit_included.iter().find_map(|path| match row.root.at(path)? {
            Node::Bool(included) => Some(*included),
            _ => None,
        }),
        reference_date: row.text(layout.reference_date),
        last_change: row.text(layout.last_change),
    }
}

pub(crate) mod on_the_way;
#[cfg(test)]
mod tests;
