//! A descriptor cut into folded words that remember where they stood.

/// Longest text that is looked at, in bytes; what banks write is far shorter.
const TEXT_BYTES_MAX: usize = 512;

/// One word: lower case, without accents and apostrophes.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) text: String,
    /// Where the word stands in the original, in bytes.
    pub(super) from: usize,
    pub(super) to: usize,
    /// The character right before the word, a blank where there is none.
    pub(super) before: char,
}

impl Word {
    /// A number, a terminal, a masked digit: nothing that names anybody.
    pub(super) fn is_code(&self) -> bool {
        let digits = self.text.bytes().filter(u8::is_ascii_digit).count();
        digits == self.text.len()
            || (digits * 2 >= self.text.len() && digits > 1)
            || self.text.bytes().all(|b| b == b'x')
            || (self.text.len() > 1 && self.text.bytes().all(|b| matches!(b, b'i' | b'v')))
            || is_day(&self.text)
    }
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
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::with_capacity(12);
    let mut open = false;
    let mut before = ' ';
    for (at, c) in text.char_indices().take_while(|(at, _)| *at < TEXT_BYTES_MAX) {
        let apostrophe = matches!(c, '\'' | '’' | '`');
        if !c.is_alphanumeric() && !apostrophe && !('\u{300}'..='\u{36f}').contains(&c) {
            (open, before) = (false, c);
            continue;
        }
        if !c.is_alphanumeric() {
            continue;
        }
        if !open {
            words.push(Word { text: String::new(), from: at, to: at, before });
            open = true;
        }
        let Some(word) = words.last_mut() else { continue };
        for lower in c.to_lowercase().filter(|c| c.is_alphanumeric()) {
            match fold(lower) {
                Some(letters) => word.text.push_str(letters),
                None => word.text.push(lower),
            }
        }
        word.to = at + c.len_utf8();
    }
    for word in &mut words {
        // The end of a date runs into a name: `03/04SHOP`.
        let name = word.text.trim_start_matches(|c: char| c.is_ascii_digit());
        if word.before == '/' && name.len() > 3 && word.text.len() == name.len() + 2 {
            word.text = name.to_owned();
            word.from += 2;
        }
        // A number runs on from its mark: `NR00012`.
        if word.text.starts_with("nr") && word.text.len() > 5 && word.text[2..].bytes().all(|b| b.is_ascii_digit()) {
            word.text.truncate(2);
        }
        // Masked digits run on from names: `SHOPXXXX`.
        if word.text.ends_with("xxx") && word.text.bytes().any(|b| b != b'x') {
            word.text.truncate(word.text.trim_end_matches('x').len());
        }
    }
    words.retain(|word| !word.text.is_empty() && word.text != "and");
    words
}

/// The key under which a run of words is found: joined, so that blanks inside names do not matter; short ones as parted.
pub(super) fn key(words: &[Word], key: &mut String) {
    key.clear();
    words.iter().for_each(|word| key.push_str(&word.text));
    if key.chars().count() < 5 {
        spaced(words, key);
    }
}

/// The words with one blank between them.
pub(super) fn spaced(words: &[Word], text: &mut String) {
    text.clear();
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&word.text);
    }
}
