//! Rows that are read while their list is found, and not a second time: finding them first costs as much as half of reading
//! them. It can be done where no row has a number, whose token would be lost; else the list is found first.

use std::fmt;

use bytes::Bytes;
use domain::limits::ROWS_PER_BANK_PAGE_MAX;
use domain::records::{List, Parsed};
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Layout, Node, OnePass, Reader};
use crate::answer::{RawRow, Row};

/// A list's rows, in no list yet and without their bytes, and the first name of each, by which it is found again.
pub(crate) struct OnTheWay<'a> {
    rows: Vec<Row<Parsed>>,
    first_names: Vec<&'a str>,
}

/// Reads a list. Fails at a row whose place cannot be told, which is no object, or an empty one, or one whose first name has
/// escapes; at a number; and where there are more rows than a page may have: a row that is read is many times as large as
/// the least that a bank can write.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D, layout: &Layout) -> Result<OnTheWay<'de>, D::Error> {
    deserializer.deserialize_seq(Rows { layout })
}

struct Rows<'l> {
    layout: &'l Layout,
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = OnTheWay<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OnTheWay<'de>, A::Error> {
        let mut found = OnTheWay { rows: Vec::new(), first_names: Vec::new() };
        while let Some(node) = items.next_element_seed(OnePass { depth: 0 })? {
            if found.rows.len() == ROWS_PER_BANK_PAGE_MAX {
                return Err(A::Error::custom("more rows than a page may have"));
            }
            found.first_names.push(node.first_name().ok_or_else(|| A::Error::custom("a row without a place"))?);
            let parsed = Box::new(super::read(Reader::at(node), List::Unstated, self.layout));
            found.rows.push(Row { parsed, raw: RawRow(Bytes::new()) });
        }
        Ok(found)
    }
}

impl<'a> OnTheWay<'a> {
    /// The rows, in their list, finished by whoever knows what a row's own text is for. Nothing where `whole` is not the
    /// text that they were read from.
    pub(crate) fn finish(
        mut self,
        list: List,
        whole: &'a str,
        finish: impl Fn(&mut Row<Parsed>, &'a str) -> Option<()>,
    ) -> Option<Vec<Row<Parsed>>> {
        let begin = |name: &&str| {
            // Nothing but blanks and a quote stands between a brace and the first name.
            whole.get(..(name.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?)?.rfind('{')
        };
        let mut names = self.first_names.iter().peekable();
        for row in &mut self.rows {
            let from = begin(names.next()?)?;
            let text = match names.peek() {
                // Nothing but blanks and a comma stands between a row and the next.
                Some(next) => whole.get(from..begin(next)?)?.trim_end().strip_suffix(',')?.trim_end(),
                None => serde_json::Deserializer::from_str(&whole[from..]).into_iter::<&RawValue>().next()?.ok()?.get(),
            };
            row.parsed.list = list;
            finish(row, text)?;
        }
        Some(self.rows)
    }
}

impl<'a> Node<'a> {
    /// The first name of an object, where it is a part of the text that was read.
    fn first_name(&self) -> Option<&'a str> {
        match self {
            Self::Object(members) => match members.entries.first()? {
                (std::borrow::Cow::Borrowed(name), _) => Some(name),
                _ => None,
            },
            _ => None,
        }
    }
}
