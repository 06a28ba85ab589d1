//! Names of persons in Latin letters, where they are written in Cyrillic or Greek ones.
//!
//! Tables of states and of passports differ (`data/romanised.txt`), so a name has a spelling by each. They serve to compare
//! names only: a name is told as the bank wrote it.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;
use unicode_normalization::UnicodeNormalization as _;

use crate::merchant::words::push_folded;

/// Most letters that stand for others together.
const RUN_MAX: usize = 3;

/// Latin letters by those that they stand for.
type Table = FxHashMap<&'static str, &'static str>;

static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| {
    let mut tables: Vec<Table> = Vec::new();
    for line in include_str!("data/romanised.txt").lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            tables.push(Table::default());
        } else if let Some(table) = tables.last_mut() {
            table.extend(line.split(' ').filter_map(|entry| entry.split_once('=')));
        }
    }
    tables
});

/// Whether a text has letters that the tables are for.
pub(crate) fn is_foreign(text: &str) -> bool {
    !text.is_ascii() && text.chars().any(|c| is_greek(c) || matches!(c, '\u{400}'..='\u{52f}'))
}

const fn is_greek(c: char) -> bool {
    matches!(c, '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}')
}

/// The spellings of a text in Latin letters, small ones; none where it has no letters of the tables.
pub(crate) fn romanised(text: &str) -> Vec<String> {
    if !is_foreign(text) {
        return Vec::new();
    }
    let mut plain = String::with_capacity(text.len());
    for c in text.nfc() {
        // What is a mark on a Greek letter makes another letter in Cyrillic.
        if is_greek(c) { push_folded(c, &mut plain) } else { plain.extend(c.to_lowercase()) }
    }
    TABLES.iter().map(|table| by(table, &plain)).filter(|spelled| !is_foreign(spelled)).collect()
}

fn by(table: &Table, text: &str) -> String {
    let mut spelled = String::with_capacity(text.len());
    let (mut rest, mut is_first) = (text, true);
    while let Some(c) = rest.chars().next() {
        let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8()).take(RUN_MAX);
        let runs: Vec<&str> = ends.map(|end| &rest[..end]).collect();
        let latin = |run: &&str| {
            let begun = is_first.then(|| table.get(format!("^{run}").as_str())).flatten();
            begun.or_else(|| table.get(*run)).map(|latin| (run.len(), *latin))
        };
        let (len, latin) = runs.iter().rev().find_map(latin).unwrap_or((c.len_utf8(), &rest[..c.len_utf8()]));
        spelled.push_str(latin);
        rest = &rest[len..];
        is_first = !c.is_alphabetic();
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_as_passports_and_banks_spell_them() {
        for (name, spelled) in [
            ("Юлія Щербак", &["iuliia shcherbak", "yuliia shcherbak"][..]),
            ("Георгиев Цветан", &["georgiev tsvetan"]),
            ("Ђорђе Јовић", &["djordje jovic"]),
            ("ΕΥΑΓΓΕΛΟΣ ΤΣΟΥΚΑΛΆΣ", &["evangelos tsoukalas"]),
            ("Μπάμπης Ευθυμίου", &["bampis efthymiou"]),
        ] {
            for latin in spelled {
                assert!(romanised(name).iter().any(|known| known == latin), "{latin}: {:?}", romanised(name));
            }
        }
        assert!(romanised("Müller").is_empty() && romanised("").is_empty());
    }

    #[test]
    fn every_letter_has_one_spelling_in_a_table() {
        let text = include_str!("data/romanised.txt");
        let entries = text.lines().filter(|line| !line.starts_with(['#', '['])).flat_map(|line| line.split(' '));
        assert_eq!(TABLES.iter().map(Table::len).sum::<usize>(), entries.filter(|entry| !entry.is_empty()).count());
        assert!(TABLES.iter().flatten().all(|(letters, latin)| {
            letters.trim_start_matches('^').chars().count() <= RUN_MAX && latin.bytes().all(|b| b.is_ascii_lowercase())
        }));
    }
}
