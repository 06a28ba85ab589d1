//! The quick way through the entries of a large bundle: straight over its bytes, each of them looked at once.
//!
//! It only ever accepts. What it reads is the one canonical form, literally, so what it takes is what the careful way in
//! [`verify`](crate::verify()) takes; whatever is not that, or is not expected here, is left to the careful way, which also
//! finds the name of a refusal. So a mistake here that takes too little costs time and nothing else.

use jiff::Timestamp;

use crate::log;
use crate::report::Line;
use crate::statement::{Statement, Subject};
use crate::tree::Inclusions;
use crate::verify::{Place, TIME_BEFORE_MAX, Verifier};
use crate::{Bundle, Hash};

const OPEN: &str = ",\"entries\":[";
const CLOSE: &str = "],\"epochs\":[";
/// Bytes of a hash in base64, and of one in a list: quotes and a comma or bracket.
const TEXT: usize = 44;
const SLOT: usize = TEXT + 3;
/// Arrays and objects inside one another that are followed here.
const DEPTH_MAX: u8 = 8;
/// Digits of an integer that is below 2^53 for certain.
const DIGITS_MAX: usize = 15;

/// A bundle without its entries, and their text. A quote in a string has a backslash before it, so that the members that
/// are looked for are members; and a bundle that can be read without them had them where they belong.
pub(crate) fn apart(file: &str) -> Option<(Bundle, &str)> {
    let (head, rest) = file.split_once(OPEN)?;
    let (entries, tail) = rest.rsplit_once(CLOSE)?;
    let frame = Bundle::read(&[head, OPEN, CLOSE, tail].concat()).ok()?;
    frame.entries.is_empty().then_some((frame, entries))
}

/// The lines of entries that pass every check. `None`: the careful way has to look.
pub(crate) fn lines(verifier: &Verifier<'_>, entries: &str) -> Option<Vec<Line>> {
    let mut reader = Reader { rest: entries.as_bytes() };
    let mut walk = Walk::new(verifier);
    let mut lines: Vec<Line> = Vec::with_capacity(entries.len() >> 10);
    while !reader.rest.is_empty() {
        if !lines.is_empty() {
            reader.literal(b",")?;
        }
        let line = walk.item(&mut reader, lines.len())?;
        if lines.last().is_some_and(|before| before.index >= line.index) {
            return None;
        }
        lines.push(line);
    }
    Some(lines)
}

/// What has to be known of the entries before.
struct Walk<'a> {
    verifier: &'a Verifier<'a>,
    tenant: String,
    subject: String,
    head: Hash,
    latest: Option<Timestamp>,
    tree: Inclusions,
    /// The text of the last proof, and room for the hashes in which the next differs.
    proof: &'a [u8],
    fresh: Vec<Hash>,
    statement: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Walk<'a> {
    fn new(verifier: &'a Verifier<'a>) -> Self {
        Self {
            verifier,
            tenant: verifier.bundle.tenant.to_string(),
            subject: Subject::Consent(verifier.bundle.consent).to_string(),
            head: Hash::ZERO,
            latest: None,
            tree: verifier.tree(),
            proof: b"",
            fresh: Vec::new(),
            statement: Vec::new(),
            signature: Vec::new(),
        }
    }

    /// One entry, every check of it.
    fn item(&mut self, reader: &mut Reader<'a>, nth: usize) -> Option<Line> {
        reader.literal(b"{\"content\":{\"salt\":\"")?;
        let salt = reader.hash()?;
        reader.literal(b"\",\"signature\":\"")?;
        reader.string(&mut self.signature)?;
        reader.literal(b",\"statement\":\"")?;
        reader.string(&mut self.statement)?;
        reader.literal(b"},\"index\":")?;
        let index = reader.number()?;
        reader.literal(b",\"prev\":\"")?;
        let prev = reader.hash()?;
        reader.literal(b"\",\"proof\":[")?;
        let proof = reader.hashes()?;
        reader.literal(b"]}")?;

        let text = str::from_utf8(&self.statement).ok()?;
        let leaf = log::leaf(&prev, &log::commitment(&salt, text));
        let holds = prev == self.head && self.holds(index, leaf, proof)?;
        let text = str::from_utf8(&self.statement).ok()?;
        let at = self.statement(text, nth).filter(|_| holds)?;
        if self.latest.is_some_and(|latest| latest.duration_since(at) > TIME_BEFORE_MAX) {
            return None;
        }
        self.latest = self.latest.max(Some(at));
        self.head = leaf;
        Some(Line::shown(index, text))
    }

    /// Whether the leaf is in the tree. Of a proof that ends as the last one did, only the beginning is read.
    fn holds(&mut self, index: u64, leaf: Hash, proof: &'a [u8]) -> Option<bool> {
        let many = proof.len() / SLOT;
        let differ = (0..=many).find(|differ| self.proof.ends_with(&proof[differ * SLOT..]))?;
        self.fresh.clear();
        for slot in proof.chunks_exact(SLOT).take(differ) {
            self.fresh.push(Hash::read(&slot[1..=TEXT])?);
        }
        self.proof = proof;
        Some(self.tree.goes_on(index, leaf, &self.fresh, many - differ))
    }

    /// When a statement was made that is canonical, of this tenant about this consent, and signed if it has to be.
    fn statement(&self, text: &str, nth: usize) -> Option<Timestamp> {
        if self.signature.is_empty()
            && let Some((at, kind)) = plain(text, &self.tenant, &self.subject)
            && !Statement::is_signed_kind(kind)
        {
            return Some(at);
        }
        let signature = str::from_utf8(&self.signature).ok()?;
        let statement = self.verifier.statement(text, signature, Place::Entry(nth)).ok()?;
        (statement.subject == Subject::Consent(self.verifier.bundle.consent)).then_some(statement.at)
    }
}

/// When, and of what kind, if a text is a canonical statement of nothing but what is read here.
fn plain<'t>(text: &'t str, tenant: &str, subject: &str) -> Option<(Timestamp, &'t str)> {
    let mut reader = Reader { rest: text.as_bytes() };
    reader.literal(b"{\"at\":\"")?;
    let at = reader.instant()?;
    reader.literal(b"\",\"body\":")?;
    reader.value(DEPTH_MAX)?;
    reader.literal(b",\"format\":\"tributary.statement/1\",\"id\":\"evi_")?;
    reader.uuid()?;
    reader.literal(b"\",\"kind\":\"")?;
    let kind = reader.kind()?;
    for part in ["\",\"subject\":\"", subject, "\",\"tenant\":\"", tenant, "\"}"] {
        reader.literal(part.as_bytes())?;
    }
    reader.rest.is_empty().then_some((at, kind))
}

/// Takes from the front of canonical JSON what is expected there, byte by byte.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn literal(&mut self, expected: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    fn take(&mut self, many: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(many)?;
        self.rest = rest;
        Some(taken)
    }

    fn hash(&mut self) -> Option<Hash> {
        Hash::read(self.take(TEXT)?)
    }

    /// The bytes of a list of hashes, each with its quotes and what follows it, the bracket being the last of them.
    fn hashes(&mut self) -> Option<&'a [u8]> {
        let mut end = 0;
        while let Some(slot) = self.rest.get(end..end + SLOT).filter(|slot| slot[0] == b'"') {
            end += SLOT;
            match (slot[TEXT + 1], slot[TEXT + 2]) {
                (b'"', b',') => {}
                (b'"', b']') => break,
                _ => return None,
            }
        }
        let taken = self.rest.get(..end)?;
        // The bracket is looked at again.
        self.rest = &self.rest[end.saturating_sub(1).min(end)..];
        Some(taken)
    }

    /// The rest of a string behind its opening quote, unescaped, and its closing quote.
    fn string(&mut self, into: &mut Vec<u8>) -> Option<()> {
        into.clear();
        loop {
            let (run, rest) = self.rest.split_at(run(self.rest));
            into.extend_from_slice(run);
            self.rest = match *rest {
                [b'"', ref rest @ ..] => {
                    self.rest = rest;
                    return Some(());
                }
                [b'\\', escaped, ref rest @ ..] => {
                    into.push(match escaped {
                        b'"' | b'\\' => escaped,
                        b'n' => b'\n',
                        b't' => b'\t',
                        b'r' => b'\r',
                        _ => return None,
                    });
                    rest
                }
                _ => return None,
            };
        }
    }

    fn number(&mut self) -> Option<u64> {
        let many = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = self
            .take(many)
            .filter(|digits| digits.len() <= DIGITS_MAX && (digits[..] == *b"0" || digits.first() != Some(&b'0')))?;
        str::from_utf8(digits).ok()?.parse().ok()
    }

    /// An instant in its one form, `YYYY-MM-DDThh:mm:ss[.f]Z`.
    fn instant(&mut self) -> Option<Timestamp> {
        let end = self.rest.iter().take(31).position(|byte| *byte == b'Z')?;
        let text = self.take(end + 1)?;
        let (seconds, fraction) = text.split_at_checked(19)?;
        let form = b"0000-00-00T00:00:00";
        let formed = seconds.iter().zip(form).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            _ => byte == form,
        });
        let fraction = match fraction {
            b"Z" => true,
            [b'.', digits @ .., last, b'Z'] => {
                digits.len() < 9 && digits.iter().all(u8::is_ascii_digit) && matches!(last, b'1'..=b'9')
            }
            _ => false,
        };
        // No year 0, and no leap second, which would be read as the second before it.
        let usual = formed && fraction && seconds[..4] != *b"0000" && seconds[17] < b'6';
        str::from_utf8(text).ok().filter(|_| usual)?.parse().ok()
    }

    fn uuid(&mut self) -> Option<()> {
        let text = self.take(36)?;
        let formed = text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        });
        formed.then_some(())
    }

    fn kind(&mut self) -> Option<&'a str> {
        let many = self.rest.iter().position(|byte| *byte == b'"')?;
        str::from_utf8(self.take(many)?).ok().filter(|kind| Statement::is_kind(kind))
    }

    /// Any value without escapes, and numbers and depths that are beyond dispute.
    fn value(&mut self, depth: u8) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match *self.rest.first()? {
            b'"' => self.plain_string().map(|_| ()),
            b'0'..=b'9' => self.number().map(|_| ()),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            b'[' => self.members(b'[', b']', |reader, _| reader.value(depth)),
            b'{' => {
                let mut before: &[u8] = b"";
                self.members(b'{', b'}', |reader, first| {
                    let name = reader.plain_string().filter(|name| name.is_ascii() && (first || before < *name))?;
                    before = name;
                    reader.literal(b":")?;
                    reader.value(depth)
                })
            }
            _ => None,
        }
    }

    fn members(&mut self, open: u8, close: u8, mut one: impl FnMut(&mut Self, bool) -> Option<()>) -> Option<()> {
        self.literal(&[open])?;
        let mut first = true;
        while self.rest.first() != Some(&close) {
            if !first {
                self.literal(b",")?;
            }
            one(self, first)?;
            first = false;
        }
        self.literal(&[close])
    }

    /// A string without escapes.
    fn plain_string(&mut self) -> Option<&'a [u8]> {
        self.literal(b"\"")?;
        let text = self.take(run(self.rest))?;
        self.literal(b"\"")?;
        Some(text)
    }
}

/// How many bytes a string goes on as it is: up to a quote, a backslash or a control character.
fn run(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // The highest bit of each byte that is below `n`; above the first such byte it may be wrong, below it never.
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & HIGH;
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        let ends = below(word, 0x20) | below(word ^ (ONES * 0x22), 1) | below(word ^ (ONES * 0x5c), 1);
        if ends != 0 {
            return at + (ends.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let ends = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    at + bytes[at..].iter().position(ends).unwrap_or(bytes.len() - at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TENANT: &str = "ten_00000000-0000-0000-0000-000000000001";
    const SUBJECT: &str = "cns_00000000-0000-0000-0000-000000000002";

    fn statement(at: &str, body: &str, kind: &str) -> String {
        format!(
            "{{\"at\":\"{at}\",\"body\":{body},\"format\":\"tributary.statement/1\",\
             \"id\":\"evi_00000000-0000-0000-0000-0000000000a3\",\"kind\":\"{kind}\",\
             \"subject\":\"{SUBJECT}\",\"tenant\":\"{TENANT}\"}}"
        )
    }

    /// What the careful way says of the same text.
    fn careful(text: &str) -> Option<(Timestamp, String)> {
        let statement = Statement::read(text).ok()?;
        let ours = (statement.tenant.to_string(), statement.subject.to_string()) == (TENANT.into(), SUBJECT.into());
        ours.then_some((statement.at, statement.kind))
    }

    fn quick(text: &str) -> Option<(Timestamp, String)> {
        plain(text, TENANT, SUBJECT).map(|(at, kind)| (at, kind.to_owned()))
    }

    #[test]
    fn ordinary_statements_go_the_quick_way() {
        for (at, body) in [
            ("2026-11-21T12:00:00Z", "{}"),
            ("2026-11-21T12:00:00.25Z", "{\"accounts\":[1,20],\"basis\":\"unattended\",\"last\":true}"),
            ("9999-12-30T22:00:00.999999999Z", "{\"a\":{\"b\":[[],{}]},\"c\":null,\"e\":\"Zürich\"}"),
        ] {
            let text = statement(at, body, "bank.call");
            assert_eq!(quick(&text), careful(&text));
            assert!(quick(&text).is_some(), "{text}");
            assert_eq!(Statement::kind_in(&text), Some("bank.call"));
        }
    }

    #[test]
    fn what_is_not_canonical_does_not() {
        let good = "2026-11-21T12:00:00Z";
        for (at, body, kind) in [
            ("2026-11-21T12:00:60Z", "{}", "a"),
            ("0000-11-21T12:00:00Z", "{}", "a"),
            ("2026-02-30T12:00:00Z", "{}", "a"),
            ("2026-11-21T12:00:00.10Z", "{}", "a"),
            ("2026-11-21T12:00:00.Z", "{}", "a"),
            ("2026-11-21T12:00:00.1234567891Z", "{}", "a"),
            ("2026-11-21t12:00:00Z", "{}", "a"),
            ("2026-11-21T12:00:00+00:00", "{}", "a"),
            (good, "{\"b\":1,\"a\":1}", "a"),
            (good, "{\"a\":1,\"a\":1}", "a"),
            (good, "{\"a\":1,}", "a"),
            (good, "{\"a\":01}", "a"),
            (good, "{\"a\":-0}", "a"),
            (good, "{\"a\":1.0}", "a"),
            (good, "{\"a\": 1}", "a"),
            (good, "[1,]", "a"),
            (good, "[,1]", "a"),
            (good, "", "a"),
            (good, "{}", ""),
            (good, "{}", "A"),
        ] {
            let text = statement(at, body, kind);
            assert_eq!((quick(&text), careful(&text)), (None, None), "{text}");
        }
    }

    proptest! {
        /// Whatever the quick way takes the careful way takes too, and reads the same.
        #[test]
        fn the_quick_way_takes_no_more_than_the_careful_one(
            body in "(\\{|\\[|\"|[a-c]|[0-9]|,|:|\\}|\\]|true|null|\\\\u00e9|\\\\n){0,12}",
            at in any::<prop::sample::Index>(), byte in 0x20_u8..0x7f,
        ) {
            for text in [statement("2026-11-21T12:00:00Z", &body, "bank.call"), {
                let mut changed = statement("2026-11-21T12:00:00.5Z", "{\"a\":[1,\"b\"],\"c\":0}", "bank.call").into_bytes();
                let at = at.index(changed.len());
                changed[at] = byte;
                String::from_utf8(changed).unwrap()
            }] {
                if let Some(read) = quick(&text) {
                    prop_assert_eq!(Some(read), careful(&text), "{}", text);
                }
            }
        }

        #[test]
        fn a_run_ends_where_a_string_does(text in "[ a-zäö\"\\\\\n]{0,40}") {
            let ends = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
            let expected = text.bytes().position(|byte| ends(&byte)).unwrap_or(text.len());
            prop_assert_eq!(run(text.as_bytes()), expected);
        }
    }
}
