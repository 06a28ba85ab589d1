//! The version of the rules that read a bank's rows: a digest of our own code and tables that decide what becomes of one.
//!
//! Nobody counts it by hand. It is made of `normalize`, of the readers of the standards and of the types that both write to
//! (records, money, rules), as they were when this binary was built, and of what the bank's profile says about its rows.
//! Third-party libraries are no part of it, or each new version of any would look like other rules; nor is what is known of
//! an account, as its holder's name.

use domain::rules::Rules;

use crate::evidence_log::hex;
use crate::tokens;

/// Bytes of the digest that the version shows.
const SHOWN: usize = 8;

/// The version of the rules of one bank in this binary: 16 hexadecimal digits.
pub fn of(rules: &Rules) -> String {
    // Rules have no other written form; every field of theirs is in this one, future ones too.
    let text = format!("{}\n{rules:?}", env!("TRIBUTARY_RULES_DIGEST"));
    hex(&tokens::hash(text.as_bytes())[..SHOWN])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_rules_are_another_version_and_equal_ones_the_same() {
        let plain = Rules::default();
        let zoned = Rules { zone: "Europe/Berlin".to_owned(), ..Rules::default() };
        assert_eq!(of(&plain), of(&plain.clone()));
        assert_ne!(of(&plain), of(&zoned));
        assert!(of(&plain).len() == 2 * SHOWN && of(&plain).bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
