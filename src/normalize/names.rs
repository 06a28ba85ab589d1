//! Names of parties: cleaned, compared, and told from text that is no name.

use std::sync::LazyLock;

use rustc_hash::{FxHashMap, FxHashSet};
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
    legal_forms: FxHashSet<String>,
    branches: FxHashSet<String>,
    company_forms: FxHashSet<String>,
    intermediaries: FxHashMap<String, String>,
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

/// A name that was cut out of text, and the intermediary that stood beside it.
pub(crate) struct Cut {
    pub(crate) name: String,
    pub(crate) through: Option<&'static str>,
}

/// Cleans a name out of text: blanks collapsed, `;` for blanks undone, the mark of an intermediary in front (`SUMUP  *SHOP`),
/// its name behind (`Shop via Mollie`) and stray punctuation off.
pub(crate) fn from_text(text: &str) -> Cut {
    let text =
        if text.contains(';') && !text.contains(' ') { collapse(&text.replace(';', " ")) } else { collapse(text) };
    let marked = text.split_once('*').and_then(|(mark, rest)| Some((intermediary(mark)?, rest)));
    let named = || without_via(&text).map(|(bare, through)| (through, bare));
    let (through, bare) = marked.or_else(named).map_or((None, text.as_str()), |(through, rest)| (Some(through), rest));
    let is_stray = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | '|' | '-' | '/');
    Cut { name: bare.trim_matches(is_stray).to_owned(), through }
}

/// A name without the intermediary that is told behind it, and that one. A street in Rome is none.
pub(crate) fn without_via(name: &str) -> Option<(&str, &'static str)> {
    name.match_indices(' ').skip_while(|(at, _)| *at == 0).find_map(|(at, _)| {
        let (word, between) = name[at + 1..].split_once(' ')?;
        let through = word.eq_ignore_ascii_case("via").then(|| intermediary(between))??;
        Some((&name[..at], through))
    })
}

/// The intermediary that a mark stands for.
pub(crate) fn intermediary(mark: &str) -> Option<&'static str> {
    WORDS.intermediaries.get(mark.trim().to_lowercase().as_str()).map(String::as_str)
}

/// Whether a folded word is the form of a company.
pub(crate) fn company_form(word: &str) -> bool {
    WORDS.company_forms.contains(word)
}

/// Whether a text names nobody: dashes, a masked or a bare number, an IBAN. Some shops are numbers, but short ones.
pub(crate) fn is_no_name(text: &str) -> bool {
    const SHOP_DIGITS_MAX: usize = 4;
    let bare = || text.bytes().filter(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'-' | b'.' | b'/'));
    let digits = bare().filter(u8::is_ascii_digit).count();
    let says = text.chars().any(|c| c.is_alphabetic() && !matches!(c, 'x' | 'X'));
    if !says {
        return digits == 0 || digits > SHOP_DIGITS_MAX || text.contains(['x', 'X', '*']);
    }
    let letters: Vec<u8> = bare().take(4).collect();
    let is_iban = matches!(letters[..], [a, b, c, d] if a.is_ascii_uppercase() && b.is_ascii_uppercase() && c.is_ascii_digit() && d.is_ascii_digit());
    is_iban && (15..=34).contains(&bare().count()) && digits >= 10 && bare().all(|byte| byte.is_ascii_alphanumeric())
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

/// The letters that the words of a text begin with, a bit for each and a few for two, so that most names can be told apart
/// without a look at their words. A text that is not all ASCII may have any.
pub(crate) fn beginnings(text: &str) -> u64 {
    /// The bit of each ASCII letter and digit; none of what parts words.
    const BITS: [u64; 128] = {
        let mut bits = [0; 128];
        let mut byte = 0;
        while byte < 128 {
            if (byte as u8).is_ascii_alphanumeric() {
                bits[byte] = 1 << ((byte as u8).to_ascii_lowercase() & 63);
            }
            byte += 1;
        }
        bits
    };
    let (mut begin, mut before) = (0, 0);
    for byte in text.bytes() {
        let Some(bit) = BITS.get(usize::from(byte)) else { return !0 };
        if before == 0 {
            begin |= bit;
        }
        before = *bit;
    }
    begin
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

/// Whether a name is that of one of these banks.
pub(crate) fn is_one_of(name: &str, banks: &[String]) -> bool {
    // Most names have no word of a bank's.
    let begin = beginnings(name);
    banks.iter().any(|bank| begin & beginnings(bank) != 0 && is_bank(name, bank))
}

/// Whether a name is the bank's own: the same words but for legal forms and "bank", or those and one of its houses.
fn is_bank(name: &str, bank: &str) -> bool {
    let says = |word: &&str| !WORDS.legal_forms.contains(word.to_lowercase().as_str());
    if !written(bank).any(|word| has(name, word) && says(&word)) {
        return false;
    }
    let core = |text: &str| tokens(text).filter(|word| says(&word.as_str())).collect::<Vec<_>>();
    let (mut name, mut bank) = (core(name), core(bank));
    if name.get(bank.len()).is_some_and(|next| WORDS.branches.contains(next)) && name.starts_with(&bank) {
        return true;
    }
    name.sort_unstable();
    bank.sort_unstable();
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
            ("Blumen  Kurz via mollie", "Blumen Kurz"),
            ("Farmacia Dante via Roma", "Farmacia Dante via Roma"),
            ("", ""),
        ] {
            assert_eq!(from_text(text).name, name, "{text:?}");
        }
    }

    #[test]
    fn who_stands_between_is_kept() {
        for (text, through) in [
            ("SUMUP  *TRAFIK", Some("SumUp")),
            ("PAYPAL *STEAM", Some("PayPal")),
            ("GOOGLE*STORAGE", None),
            ("Kurz", None),
            ("Blumen Kurz via Mollie", Some("Mollie")),
            ("LIDL VIA GOOGLE PAY", Some("Google Pay")),
            ("Farmacia Dante via Roma", None),
            ("via Mollie", None),
        ] {
            assert_eq!(from_text(text).through, through, "{text}");
        }
    }

    #[test]
    fn dashes_and_numbers_name_nobody() {
        for text in [
            "-----",
            "***",
            "",
            "123456789",
            "DE02 1203 0000 0000 2020 51",
            "DE02120300000000202051",
            "XXXX1234",
            "5402XXXXXXXX1234",
            "0049 171 1234567",
        ] {
            assert!(is_no_name(text), "{text}");
        }
        for name in [
            "1&1",
            "3",
            "4711",
            "O2",
            "Rema 1000",
            "SHOP 24 7",
            "NL Alimentatie",
            "Q8",
            "Xerox",
            "Ü",
            "BP85 TANKSTELLE",
            "ΔΕΗ",
        ] {
            assert!(!is_no_name(name), "{name}");
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
    fn words_that_are_alike_begin_alike() {
        let alike = |one: &str, other: &str| beginnings(one) & beginnings(other) != 0;
        assert!(alike("xyz AG", "Bank X") && alike("Öbank", "bank") && alike("4711", "no 4711"));
        assert!(!alike("Any Shop", "X-Bank") && !alike("", "Bank") && !alike("...", "..."));
    }

    #[test]
    fn a_bank_is_known_with_its_form_and_its_houses() {
        assert!(is_bank("NV xyz bank", "XYZ Bank") && is_bank("XYZ AG", "XYZ Bank"));
        assert!(!is_bank("XYZ Insurance", "XYZ Bank") && !is_bank("Any", "Bank AG"));
        assert!(is_bank("XYZ BANK FILIALE ULM", "XYZ Bank AG") && is_bank("Xyz Bank Branch 12", "XYZ Bank"));
        assert!(!is_bank("XYZ Post Filiale 501", "XYZ Bank") && !is_bank("Filiale", "Bank AG"));
        // A shop of the bank's name, or in the town that the bank is named after.
        for shop in ["XYZ Apotheke", "XYZ-Pharmacy GmbH", "Café XYZ", "MARKET 12 XYZ", "Apotheke an der XYZ Bank"] {
            assert!(!is_one_of(shop, &["XYZ Bank".to_owned(), "XYZ".to_owned()]), "{shop}");
        }
        assert!(share_a_word("Mr Jane Doe", "DOE") && !share_a_word("A Baker", "B Baxter"));
    }
}
