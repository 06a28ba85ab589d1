//! Names of parties: cleaned, compared, and told from text that is no name.

use std::sync::LazyLock;

use rustc_hash::FxHashSet;
use serde::Deserialize;

/// Longest text that is taken for a name without a rule that says so, in characters and in words.
const NAME_CHARS_MAX: usize = 70;
const NAME_WORDS_MAX: usize = 8;

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    toml::from_str(include_str!("data/words.toml")).expect("the built-in words are checked by a test")
});

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    about_payments: FxHashSet<String>,
    intermediaries: FxHashSet<String>,
    legal_forms: FxHashSet<String>,
}

/// Blanks collapsed, ends trimmed.
pub(crate) fn collapse(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
    }
    collapsed
}

/// A name cut out of text: blanks collapsed, `;` for blanks undone, the mark of an intermediary and stray punctuation off.
pub(crate) fn from_text(text: &str) -> String {
    let text =
        if text.contains(';') && !text.contains(' ') { collapse(&text.replace(';', " ")) } else { collapse(text) };
    let unmarked = match text.split_once('*') {
        Some((mark, rest)) if WORDS.intermediaries.contains(mark.trim().to_lowercase().as_str()) => rest,
        _ => &text,
    };
    unmarked.trim_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | '|' | '-' | '/')).to_owned()
}

/// Whether a text that stands alone can be a name: short, mostly letters, and not about the payment itself.
pub(crate) fn looks_like_one(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let digits = text.chars().filter(char::is_ascii_digit).count();
    letters >= 2
        && digits <= letters
        && text.chars().count() <= NAME_CHARS_MAX
        && text.split(' ').count() <= NAME_WORDS_MAX
        && !tokens(text).any(|word| WORDS.about_payments.contains(&word))
}

/// Words without punctuation, as they are written.
fn written(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Lower-case words without punctuation.
fn tokens(text: &str) -> impl Iterator<Item = String> {
    written(text).map(str::to_lowercase)
}

/// Whether a text has a word, in any case.
fn has(text: &str, word: &str) -> bool {
    written(text).any(|other| match (other.is_ascii(), word.is_ascii()) {
        (true, true) => other.eq_ignore_ascii_case(word),
        _ => other.to_lowercase() == word.to_lowercase(),
    })
}

/// A name as a key: its words in order without numbers and legal forms, so that `ACME 4711 LTD` and `Acme Ltd` are one.
pub(crate) fn key(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    for word in tokens(name) {
        let says = !WORDS.legal_forms.contains(word.as_str()) && !word.bytes().all(|byte| byte.is_ascii_digit());
        if says {
            if !key.is_empty() {
                key.push(' ');
            }
            key.push_str(&word);
        }
    }
    key
}

fn sorted_tokens(text: &str, keep: impl Fn(&str) -> bool) -> Vec<String> {
    let mut words: Vec<String> = tokens(text).filter(|word| keep(word)).collect();
    words.sort_unstable();
    words
}

/// Whether two texts are one name: the same words in any order, whatever the case and punctuation.
pub(crate) fn same(left: &str, right: &str) -> bool {
    // Most names differ already in how much there is of them. Bytes of one case may differ, ASCII ones do not.
    let letters = |text: &str| text.bytes().filter(u8::is_ascii_alphanumeric).count();
    if left.is_ascii() && right.is_ascii() && letters(left) != letters(right) {
        return false;
    }
    let (left, right) = (sorted_tokens(left, |_| true), sorted_tokens(right, |_| true));
    !left.is_empty() && left == right
}

/// Whether a text has all words of a name of at least two words.
pub(crate) fn contains(text: &str, name: &str) -> bool {
    written(name).count() >= 2 && written(name).all(|word| has(text, word))
}

/// Whether a name is the bank's own: the same words but for legal forms and "bank".
pub(crate) fn is_bank(name: &str, bank: &str) -> bool {
    let says_nothing = |word: &str| WORDS.legal_forms.contains(word);
    // The first word of most names is not the bank's.
    if !written(name).all(|word| has(bank, word) || says_nothing(&word.to_lowercase())) {
        return false;
    }
    let core = |text: &str| sorted_tokens(text, |word| !says_nothing(word));
    let (name, bank) = (core(name), core(bank));
    !bank.is_empty() && name == bank
}

/// Whether two names share a word, so that they may be one person.
pub(crate) fn share_a_word(left: &str, right: &str) -> bool {
    written(left).filter(|word| word.to_lowercase().chars().count() > 1).any(|word| has(right, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_but_not_changed() {
        for (text, name) in [
            ("  BUCH   LADEN ", "BUCH LADEN"),
            ("SUMUP  *TRAFIK", "TRAFIK"),
            ("CRV*Pub", "Pub"),
            ("GOOGLE*STORAGE", "GOOGLE*STORAGE"),
            ("LIBRERIA;LUNA", "LIBRERIA LUNA"),
            ("Kurz, ", "Kurz"),
            ("", ""),
        ] {
            assert_eq!(from_text(text), name, "{text:?}");
        }
    }

    #[test]
    fn payment_words_and_numbers_are_no_names() {
        for name in ["Rema 1000", "Café Wien", "Dr. K. Huber & Söhne"] {
            assert!(looks_like_one(name), "{name}");
        }
        for text in ["Card payment", "Rechnung 12", "12345 AB", "", "x", "one two three four five six seven eight nine"]
        {
            assert!(!looks_like_one(text), "{text}");
        }
    }

    #[test]
    fn a_key_has_neither_numbers_nor_legal_forms() {
        assert_eq!(
            (key("ACME 4711 LTD"), key("Acme Ltd"), key("Q41187")),
            ("acme".into(), "acme".into(), "q41187".into())
        );
        assert_eq!(key("4711"), "");
    }

    #[test]
    fn the_same_person_in_any_order_and_a_bank_with_its_form() {
        assert!(same("DOE JANE", "Jane  Doe") && !same("Jane Doe", "Jane M Doe") && !same("", ""));
        assert!(is_bank("NV xyz bank", "XYZ Bank") && is_bank("XYZ AG", "XYZ Bank"));
        assert!(!is_bank("XYZ Insurance", "XYZ Bank") && !is_bank("Any", "Bank AG"));
        assert!(share_a_word("Mr Jane Doe", "DOE") && !share_a_word("A Baker", "B Baxter"));
    }
}
