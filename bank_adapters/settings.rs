//! Reading TOML files that people write: every complaint names the file, the line and the key.

use std::fmt;

use serde::de::DeserializeOwned;
use toml::Value;
use toml::de::{DeTable, DeValue};

/// One complaint about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, as it was named by whoever asked.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// One sentence. It never repeats a value.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// Why a file is not accepted: at least one complaint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings(pub Vec<Finding>);

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, finding) in self.0.iter().enumerate() {
            if nth > 0 {
                f.write_str("\n")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Findings {}

/// A file under examination.
pub(crate) struct Source<'t> {
    file: &'t str,
    text: &'t str,
    findings: Vec<Finding>,
}

impl<'t> Source<'t> {
    pub(crate) const fn new(file: &'t str, text: &'t str) -> Self {
        Self { file, text, findings: Vec::new() }
    }

    /// The value of the whole file, if its keys and types are right.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Findings> {
        toml::from_str(self.text).map_err(|error| {
            let line = self.line_at(error.span().map_or(0, |span| span.start));
            let message = error.message().trim().replace('\n', ", ");
            Findings(vec![Finding { file: self.file.to_owned(), line, message }])
        })
    }

    /// Notes a complaint about a dotted key, unless `good`.
    pub(crate) fn require(&mut self, good: bool, key: &str, message: &str) {
        if !good {
            let line = self.line_of(key);
            let message = format!("`{key}` {message}");
            self.findings.push(Finding { file: self.file.to_owned(), line, message });
        }
    }

    /// The value, if it could be made and nothing was noted.
    pub(crate) fn accept<T>(self, value: Option<T>) -> Result<T, Findings> {
        value.filter(|_| self.findings.is_empty()).ok_or(Findings(self.findings))
    }

    fn line_at(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
    }

    /// The line of the key, or of the innermost table around it that exists.
    fn line_of(&self, key: &str) -> usize {
        let Ok(root) = DeTable::parse(self.text) else { return 1 };
        let mut table = root.get_ref();
        let mut offset = 0;
        for part in key.split('.') {
            let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == part) else { break };
            offset = name.span().start;
            let DeValue::Table(inner) = value.get_ref() else { break };
            table = inner;
        }
        self.line_at(offset)
    }
}

/// A table of a file with its keys, for people who write one.
pub(crate) struct Table {
    /// Dotted path; `*` stands for any name, the empty path for the keys before the first table.
    pub(crate) path: &'static str,
    /// Each key with what it says and what its absence means.
    pub(crate) keys: &'static [(&'static str, &'static str)],
}

/// Declares tables of a file once: the types that read them and the text that explains their keys.
macro_rules! tables {
    ($(
        $(#[doc = $about:literal])+
        $(#[derive($($derive:ident),+)])?
        $path:literal => $name:ident {
            $( $(#[doc = $text:literal])+ $(#[serde($($serde:tt)+)])* $key:ident: $of:ty, )*
        }
    )+) => {
        $(
            $(#[doc = $about])+
            #[derive(Debug, Clone, serde::Deserialize $($(, $derive)+)?)]
            #[serde(deny_unknown_fields)]
            pub struct $name {
                $( $(#[doc = $text])+ $(#[serde($($serde)+)])* pub $key: $of, )*
            }
        )+

        pub(crate) const TABLES: &[crate::settings::Table] = &[$(
            crate::settings::Table { path: $path, keys: &[$( (stringify!($key), concat!($($text),+)) ),*] }
        ),+];
    };
}
pub(crate) use tables;

/// A key with its meaning and its values in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Dotted path of its table; `*` stands for any name.
    pub table: &'static str,
    /// The key.
    pub key: &'static str,
    /// What it says, and what its absence means.
    pub about: String,
    /// Its values, as TOML, one for each table that sets it.
    pub values: Vec<String>,
}

impl Explained {
    /// The keys of the tables that hold values and not tables.
    pub(crate) fn of(text: &str, tables: impl Iterator<Item = &'static Table> + Clone) -> Vec<Self> {
        let root = text.parse().map_or_else(|_| Value::Table(toml::Table::new()), Value::Table);
        let is_table = |path: &str| tables.clone().any(|table| table.path.split('.').eq(path.split('.')));
        let mut all = Vec::new();
        for table in tables.clone() {
            for (key, about) in table.keys {
                let path = if table.path.is_empty() { (*key).to_owned() } else { format!("{}.{key}", table.path) };
                if !is_table(&path) && !is_table(&format!("{path}.*")) {
                    let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
                    all.push(Self { table: table.path, key, about, values: values(&root, &path) });
                }
            }
        }
        all
    }
}

/// The values at a path; a list of tables has as many as tables.
fn values(value: &Value, path: &str) -> Vec<String> {
    match (value, path.split_once('.').unwrap_or((path, ""))) {
        (value, ("", _)) => vec![value.to_string()],
        (Value::Array(items), _) => items.iter().flat_map(|item| values(item, path)).collect(),
        (Value::Table(table), ("*", rest)) => table.values().flat_map(|item| values(item, rest)).collect(),
        (Value::Table(table), (key, rest)) => table.get(key).map(|item| values(item, rest)).unwrap_or_default(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_name_the_line_of_the_key_or_of_the_nearest_table() {
        let mut source = Source::new("x.toml", "[a]\nb = 1\n\n[c.d]\ne = 2\n");
        source.require(false, "a.b", "is odd");
        source.require(false, "c.d.e", "is odd");
        source.require(false, "c.d.missing", "is missing");
        source.require(false, "nowhere", "is missing");
        source.require(true, "a.b", "is fine");
        let lines: Vec<_> = source.accept(Some(())).unwrap_err().0.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [2, 5, 4, 1]);
    }
}
