//! The shape of a bank's rows: names of members and kinds of values, and never a value. A new one means that the bank has
//! changed its schema. Outside this process they are digests: what a bank calls a name may be a person's.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::tokens;

/// Deepest member that is looked at.
const DEPTH_MAX: usize = 6;
/// Members of one page that are told apart. A bank has some sixty; more is no schema.
const PATHS_MAX: usize = 200;
/// Members of a whole reading that are told apart.
const MEMBERS_MAX: usize = 1000;
/// What stands for a name that is none: a map with account numbers for keys must leave no trace.
const ANY: &str = "*";

/// The members of all pages of a reading.
#[derive(Debug, Default)]
pub(crate) struct Shape(BTreeSet<String>);

impl Shape {
    /// Adds the members of further rows, as far as there may be more.
    pub(crate) fn add<'a>(&mut self, rows: impl Iterator<Item = &'a [u8]>) {
        if self.0.len() < MEMBERS_MAX {
            self.0.extend(of(rows));
        }
    }

    /// Their digests.
    pub(crate) fn digests(&self) -> Vec<Vec<u8>> {
        self.0.iter().map(|member| tokens::hash(member.as_bytes()).to_vec()).collect()
    }
}

/// The members of rows that are JSON texts, as `transactionAmount.amount=text`. What is no JSON has none.
fn of<'a>(rows: impl Iterator<Item = &'a [u8]>) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for row in rows {
        if let Ok(row) = serde_json::from_slice::<Value>(row) {
            walk(&row, "", 0, &mut paths);
        }
    }
    paths
}

fn walk(value: &Value, path: &str, depth: usize, paths: &mut BTreeSet<String>) {
    if depth > DEPTH_MAX || paths.len() >= PATHS_MAX {
        return;
    }
    let kind = match value {
        // Absent and null are the same to us.
        Value::Null => return,
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(parts) => {
            parts.iter().for_each(|part| walk(part, &format!("{path}[]"), depth + 1, paths));
            return;
        }
        Value::Object(members) => {
            for (name, value) in members {
                let name = if is_name(name) { name } else { ANY };
                let dot = if path.is_empty() { "" } else { "." };
                walk(value, &format!("{path}{dot}{name}"), depth + 1, paths);
            }
            return;
        }
    };
    paths.insert(format!("{path}={kind}"));
}

/// Letters with a few digits, as programmers name things.
fn is_name(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'@'));
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    (1..=48).contains(&text.len()) && plain && digits <= 3 && text.bytes().any(|b| b.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_has_names_and_kinds_and_no_value() {
        let rows = [
            r#"{"transactionAmount":{"amount":"-1.00","currency":"EUR"},"remittance":["Erika","x"],"booked":true,"n":null}"#,
            r#"{"transactionAmount":{"amount":-1.5},"balances":{"DE02120300000000202051":{"amount":"1"}}}"#,
            "no JSON",
        ];
        let shape = of(rows.into_iter().map(str::as_bytes));
        assert_eq!(
            shape.iter().map(String::as_str).collect::<Vec<_>>(),
            [
                "balances.*.amount=text",
                "booked=boolean",
                "remittance[]=text",
                "transactionAmount.amount=number",
                "transactionAmount.amount=text",
                "transactionAmount.currency=text",
            ]
        );
    }

    #[test]
    fn what_a_stranger_sends_is_bounded() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(50), "}".repeat(50));
        assert!(of(std::iter::once(deep.as_bytes())).is_empty());
        let wide: Vec<String> =
            (0..999).map(|n| format!(r#""{}":1"#, "x".repeat(n % 40 + 1) + &"y".repeat(n / 40 + 1))).collect();
        let wide = format!("{{{}}}", wide.join(","));
        assert!(of(std::iter::once(wide.as_bytes())).len() <= PATHS_MAX);
    }
}
