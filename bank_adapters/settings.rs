//! Reading TOML files that people write: every complaint names the file, the line and the key.

use std::fmt;

use serde::de::DeserializeOwned;
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
