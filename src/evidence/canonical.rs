//! Canonical JSON: RFC 8785, restricted to values whose canonical form is beyond dispute.
//!
//! Restricted means: integers of at most 53 bits (RFC 7493 §2.2) and no other numbers. The part of RFC 8785 that is hard
//! to write twice the same way, the shortest form of floating-point numbers, is thereby absent.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Largest magnitude of an integer: 2^53 − 1.
pub(crate) const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why something is not canonical JSON of the expected shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCanonical {
    /// Not JSON, or JSON of another shape. Says where and never what.
    #[error("no JSON of the expected shape (line {line}, column {column})")]
    Shape {
        /// Line, from 1; 0 if the place is not known.
        line: usize,
        /// Column, from 1; 0 if the place is not known.
        column: usize,
    },
    /// A number that is no integer of at most 53 bits.
    #[error("a number that is not an integer of at most 53 bits")]
    Number,
    /// JSON of the expected shape in other bytes than the canonical ones: blanks, order, doubled or unknown members,
    /// escapes, another spelling of an id or a date.
    #[error("the bytes are not the canonical form")]
    Form,
}

impl From<serde_json::Error> for NotCanonical {
    fn from(error: serde_json::Error) -> Self {
        Self::Shape { line: error.line(), column: error.column() }
    }
}

/// The canonical text of a value.
pub(crate) fn to_text(value: &impl Serialize) -> Result<String, NotCanonical> {
    let mut text = String::new();
    write(&serde_json::to_value(value)?, &mut text)?;
    Ok(text)
}

/// Reads a value and refuses every text but its canonical one, the value's own serialisation being the judge.
pub(crate) fn read<T: Serialize + DeserializeOwned>(text: &str) -> Result<T, NotCanonical> {
    let value = serde_json::from_str(text)?;
    if to_text(&value)? == text { Ok(value) } else { Err(NotCanonical::Form) }
}

/// The same for a type whose members are declared in canonical order, as the types of this crate are: its plain
/// serialisation is canonical then, and is compared while it is written. `is_plain` says so of what the type leaves open:
/// numbers, and parts of any shape. Whatever is not canonical that way is judged by [`read`].
pub(crate) fn read_in_order<T: Serialize + DeserializeOwned>(
    text: &str,
    is_plain: impl FnOnce(&T) -> bool,
) -> Result<T, NotCanonical> {
    let value: T = serde_json::from_str(text)?;
    let mut same = Same(text.as_bytes());
    let is_same = serde_json::to_writer(&mut same, &value).is_ok() && same.0.is_empty();
    if is_same && is_plain(&value) { Ok(value) } else { read(text) }
}

/// Whether the plain serialisation of a value is canonical: its members are in order, its numbers integers of 53 bits.
pub(crate) fn is_plain(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => is_integer(number),
        Value::Array(values) => values.iter().all(is_plain),
        Value::Object(members) => {
            members.keys().is_sorted_by(|left, right| left.encode_utf16().lt(right.encode_utf16()))
                && members.values().all(is_plain)
        }
    }
}

fn is_integer(number: &serde_json::Number) -> bool {
    let magnitude = number.as_i64().map(i64::unsigned_abs).or(number.as_u64());
    magnitude.is_some_and(|magnitude| magnitude <= INTEGER_MAX)
}

/// Takes what is written as long as it is what is expected.
struct Same<'a>(&'a [u8]);

impl std::io::Write for Same<'_> {
    fn write(&mut self, written: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.strip_prefix(written).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(written.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn write(value: &Value, text: &mut String) -> Result<(), NotCanonical> {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(yes) => text.push_str(if *yes { "true" } else { "false" }),
        Value::Number(number) => {
            is_integer(number).then_some(()).ok_or(NotCanonical::Number)?;
            text.push_str(&number.to_string());
        }
        // serde_json escapes as RFC 8785 §3.2.2.2 wants: the short forms, else \u00xx in lower case, else nothing.
        Value::String(string) => text.push_str(&serde_json::to_string(string)?),
        Value::Array(values) => {
            text.push('[');
            for (i, value) in values.iter().enumerate() {
                separate(i, text);
                write(value, text)?;
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
            text.push('{');
            for (i, (name, value)) in members.into_iter().enumerate() {
                separate(i, text);
                text.push_str(&serde_json::to_string(name)?);
                text.push(':');
                write(value, text)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

fn separate(i: usize, text: &mut String) {
    if i > 0 {
        text.push(',');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let integer = -(1_i64 << 53) + 1..1_i64 << 53;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            integer.prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec((any::<String>(), inner), 0..5).prop_map(|m| m.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn another_implementation_of_the_rfc_writes_the_same(value in value()) {
            let text = to_text(&value).unwrap();
            prop_assert_eq!(&text, &serde_json_canonicalizer::to_string(&value).unwrap());
            prop_assert_eq!(read::<Value>(&text).unwrap(), value);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = read::<Value>(&text);
        }
    }

    /// RFC 8785 §3.2.3, the sorting example.
    #[test]
    fn members_are_sorted_by_utf16() {
        let unsorted = json!({
            "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
            "1": "One", "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis",
        });
        let text = to_text(&unsorted).unwrap();
        let at = |what: &str| text.find(what).unwrap();
        let order = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"];
        assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{text}");
    }

    /// RFC 8785 §3.2.2.2.
    #[test]
    fn strings_are_escaped_as_little_as_may_be() {
        let text = to_text(&"\u{20ac}$\u{f}\nA'B\"\\\\\"/\u{7f}").unwrap();
        assert_eq!(text, "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\u{7f}\"");
    }

    #[test]
    fn every_other_form_is_refused() {
        for (text, reason) in [
            ("{\"a\":1 }", NotCanonical::Form),
            ("{\"a\":1}\n", NotCanonical::Form),
            ("{\"b\":1,\"a\":1}", NotCanonical::Form),
            ("{\"a\":1,\"a\":1}", NotCanonical::Form),
            ("\"\\u0041\"", NotCanonical::Form),
            ("\"\\/\"", NotCanonical::Form),
            ("\"\\u000F\"", NotCanonical::Form),
            ("1.0", NotCanonical::Number),
            ("-0", NotCanonical::Number),
            ("1e2", NotCanonical::Number),
            ("9007199254740992", NotCanonical::Number),
            ("-9007199254740992", NotCanonical::Number),
            ("1 2", NotCanonical::Shape { line: 1, column: 3 }),
            ("", NotCanonical::Shape { line: 1, column: 0 }),
        ] {
            assert_eq!(read::<Value>(text), Err(reason), "{text}");
        }
        assert!(read::<Value>("9007199254740991").is_ok());
    }
}
