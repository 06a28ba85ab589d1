//! Raw rows as they are kept for replay: a JSON array of `{"list", "row"}`, in the order in which the bank listed them.

use bank_adapters::answer::Row;
use domain::records::{List, Parsed};
use serde::Deserialize;
use serde_json::value::RawValue;

/// One row with the list that it stood in.
#[derive(Deserialize)]
struct Kept<'a> {
    list: &'a str,
    #[serde(borrow)]
    row: &'a RawValue,
}

const LISTS: [List; 4] = [List::Booked, List::Pending, List::Information, List::Unstated];

const fn word(list: List) -> &'static str {
    match list {
        List::Booked => "booked",
        List::Pending => "pending",
        List::Information => "information",
        List::Unstated => "unstated",
    }
}

/// Transactions of one page. What is kept holds this account's rows, byte for byte, and nothing else.
pub fn pack(rows: &[Row<Parsed>]) -> Vec<u8> {
    let rows = rows.iter().map(|row| {
        let start = format!(r#"{{"list":"{}","row":"#, word(row.parsed.list));
        [start.as_bytes(), row.raw.as_bytes(), b"}"].concat()
    });
    array(rows)
}

/// Parts joined to one JSON array.
pub fn array(parts: impl Iterator<Item = impl AsRef<[u8]>>) -> Vec<u8> {
    let mut array = vec![b'['];
    for (nth, part) in parts.enumerate() {
        if nth > 0 {
            array.push(b',');
        }
        array.extend_from_slice(part.as_ref());
    }
    array.push(b']');
    array
}

/// The rows of a page that was packed; `None` for anything else.
pub fn unpack(page: &[u8]) -> Option<Vec<(List, &RawValue)>> {
    let rows: Vec<Kept<'_>> = serde_json::from_slice(page).ok()?;
    rows.into_iter().map(|kept| Some((LISTS.into_iter().find(|list| word(*list) == kept.list)?, kept.row))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_byte_for_byte_with_their_lists() {
        let parts = LISTS.iter().map(|list| format!(r#"{{"list":"{}","row":{{"a" : [1.0,"é"]}}}}"#, word(*list)));
        let page = array(parts);
        let rows = unpack(&page).unwrap();
        assert_eq!(rows.iter().map(|(list, _)| *list).collect::<Vec<_>>(), LISTS);
        assert!(rows.iter().all(|(_, row)| row.get() == r#"{"a" : [1.0,"é"]}"#));
        assert!(unpack(&array(std::iter::empty::<&[u8]>())).unwrap().is_empty());
        for odd in ["", "{}", "[{}]", r#"[{"list":"other","row":{}}]"#, r#"[{"list":"booked"}]"#] {
            assert!(unpack(odd.as_bytes()).is_none(), "{odd}");
        }
    }
}
