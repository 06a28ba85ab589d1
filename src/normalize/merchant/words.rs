//! A descriptor cut into folded words that remember where they stood.

use std::ops::Range;

use unicode_normalization::char::{decompose_canonical, is_combining_mark};

/// Longest text that is looked at, in bytes; what banks write is far shorter.
const TEXT_BYTES_MAX: usize = 512;

/// Letters from which on blanks inside a key do not matter.
pub(super) const SHORT_KEY: usize = 5;

/// One word: lower case, without accents and apostrophes. Its letters are in [`Words`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    /// Where the word stands in the original, in bytes.
    pub(super) from: usize,
    pub(super) to: usize,
    /// The character right before the word, a blank where there is none.
    pub(super) before: char,
    /// A number, a terminal, a masked digit: nothing that names anybody.
    pub(super) is_code: bool,
    /// Where its letters begin and end among those of all words.
    begin: usize,
    end: usize,
}

/// The words of a text. Runs of them are looked up again and again, so their letters lie behind each other, once joined and
/// once with a blank between two words, and every run is a slice.
#[derive(Debug, Default)]
pub(super) struct Words {
    all: Vec<Word>,
    joined: String,
    spaced: String,
}

impl std::ops::Deref for Words {
    type Target = [Word];

    fn deref(&self) -> &[Word] {
        &self.all
    }
}

impl Words {
    /// The letters of one word.
    pub(super) fn text(&self, at: usize) -> &str {
        &self.joined[self.all[at].begin..self.all[at].end]
    }

    /// The letters of some words behind each other.
    pub(super) fn joined(&self, run: Range<usize>) -> &str {
        if run.is_empty() { "" } else { &self.joined[self.all[run.start].begin..self.all[run.end - 1].end] }
    }

    /// Some words with one blank between them.
    pub(super) fn spaced(&self, run: Range<usize>) -> &str {
        let Range { start, end } = run;
        if start == end {
            return "";
        }
        // As many blanks are in front of a word as there are words.
        &self.spaced[self.all[start].begin + start..self.all[end - 1].end + end - 1]
    }

    /// The key under which a run of words is found: joined, so that blanks inside names do not matter; short ones as parted.
    pub(super) fn key(&self, run: Range<usize>) -> &str {
        let joined = self.joined(run.clone());
        if is_short(joined) { self.spaced(run) } else { joined }
    }

    /// All letters from a word on.
    pub(super) fn rest(&self, at: usize) -> &str {
        &self.joined[self.all[at].begin..]
    }

    /// Ends the word that began last, in the original at this place; what only looks like one goes.
    fn close(&mut self, to: usize) {
        let Some(word) = self.all.last_mut() else { return };
        word.to = to;
        let text = &self.joined[word.begin..];
        // The end of a date runs into a name: `03/04SHOP`.
        let name = text.trim_start_matches(|c: char| c.is_ascii_digit());
        if word.before == '/' && name.len() > 3 && text.len() == name.len() + 2 {
            self.joined.drain(word.begin..word.begin + 2);
            word.from += 2;
        }
        let text = &self.joined[word.begin..];
        let kept = if text.starts_with("nr") && text.len() > 5 && text[2..].bytes().all(|b| b.is_ascii_digit()) {
            // A number runs on from its mark: `NR00012`.
            2
        } else if text.ends_with("xxx") && text.bytes().any(|b| b != b'x') {
            // Masked digits run on from names: `SHOPXXXX`.
            text.trim_end_matches('x').len()
        } else {
            text.len()
        };
        self.joined.truncate(word.begin + kept);
        let text = &self.joined[word.begin..];
        if text.is_empty() || text == "and" {
            self.joined.truncate(word.begin);
            self.all.pop();
            return;
        }
        word.end = self.joined.len();
        word.is_code = is_code(text);
        if !self.spaced.is_empty() {
            self.spaced.push(' ');
        }
        self.spaced.push_str(text);
    }
}

/// Whether the letters of a key are too few to be known without their blanks.
pub(super) fn is_short(key: &str) -> bool {
    key.len() < SHORT_KEY || (!key.is_ascii() && key.chars().count() < SHORT_KEY)
}

fn is_code(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    digits == text.len()
        || (digits * 2 >= text.len() && digits > 1)
        || text.bytes().all(|b| b == b'x')
        || (text.len() > 1 && text.bytes().all(|b| matches!(b, b'i' | b'v')))
        || is_day(text)
}

/// A day with an English month, with or without the bank's mark in front: `12may`, `posc12may31`.
fn is_day(word: &str) -> bool {
    let digits = |text: &str| text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    let days = ["posc", "pos", "c"].iter().find_map(|mark| word.strip_prefix(mark)).unwrap_or(word);
    let Some(at) = days.find(|c: char| c.is_ascii_alphabetic()) else { return false };
    let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    (1..=2).contains(&at)
        && digits(&days[..at])
        && days.get(at..at + 3).is_some_and(|month| months.contains(&month))
        && digits(&days[at + 3..])
}

/// The letters that a letter stands for; nothing for characters that part words.
fn fold(c: char) -> Option<&'static str> {
    Some(match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ì' | 'í' | 'î' | 'ï' | 'ĩ' | 'ī' | 'į' | 'ı' => "i",
        'ķ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ő' => "o",
        'ŕ' | 'ř' => "r",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ţ' | 'ť' | 'ț' => "t",
        'ù' | 'ú' | 'û' | 'ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'þ' => "th",
        'ά' => "α",
        'έ' => "ε",
        'ή' => "η",
        'ί' | 'ϊ' | 'ΐ' => "ι",
        'ό' => "ο",
        'ύ' | 'ϋ' | 'ΰ' => "υ",
        'ώ' => "ω",
        'ς' => "σ",
        _ => return None,
    })
}

/// Cuts a text into words.
pub(super) fn words(text: &str) -> Words {
    let mut words = Words {
        all: Vec::with_capacity(12),
        joined: String::with_capacity(text.len()),
        spaced: String::with_capacity(text.len()),
    };
    let mut open = false;
    let mut before = ' ';
    let mut end = 0;
    for (at, c) in text.char_indices().take_while(|(at, _)| *at < TEXT_BYTES_MAX) {
        if !c.is_alphanumeric() {
            let belongs_to_word = matches!(c, '\'' | '’' | '`' | '\u{300}'..='\u{36f}');
            if !belongs_to_word {
                if open {
                    words.close(end);
                }
                (open, before) = (false, c);
            }
            continue;
        }
        if !open {
            let begin = words.joined.len();
            words.all.push(Word { from: at, to: at, before, is_code: false, begin, end: begin });
            open = true;
        }
        push_folded(c, &mut words.joined);
        end = at + c.len_utf8();
    }
    if open {
        words.close(end);
    }
    words
}

/// Adds a letter as it is compared: small, without its accent.
pub(crate) fn push_folded(c: char, letters: &mut String) {
    if c.is_ascii() {
        letters.push(c.to_ascii_lowercase());
        return;
    }
    for lower in c.to_lowercase().filter(|c| c.is_alphanumeric()) {
        match fold(lower) {
            Some(folded) => letters.push_str(folded),
            // Letters with several marks, as in Vietnamese, and those of all other languages.
            None => decompose_canonical(lower, |part| {
                if !is_combining_mark(part) {
                    letters.push_str(fold(part).unwrap_or(part.encode_utf8(&mut [0; 4])));
                }
            }),
        }
    }
}
