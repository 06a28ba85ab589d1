//! Category by the codes that a row carries: purpose, bank transaction code, merchant category.
//!
//! The tables are data (`data/*.csv`); the first evidence that decides wins. What no code decides stays open.

use std::sync::LazyLock;

use domain::records::{Parsed, Place, Provenance};
use rustc_hash::FxHashMap;

type Table = FxHashMap<&'static str, &'static str>;

static PURPOSES: LazyLock<Table> = LazyLock::new(|| table(include_str!("data/iso20022_purpose_to_category.csv")));
static BANK_CODES: LazyLock<Table> = LazyLock::new(|| table(include_str!("data/iso20022_btc_to_category.csv")));
static MERCHANT_CODES: LazyLock<Table> = LazyLock::new(|| table(include_str!("data/mcc_to_category.csv")));

/// The first and the last column of a table; rows that leave the category open are left out.
fn table(csv: &'static str) -> Table {
    csv.lines()
        .skip(1)
        .filter_map(|line| Some((line.split_once(',')?.0, line.rsplit_once(',')?.1)))
        .filter(|(_, category)| !category.is_empty() && *category != "other.uncategorised")
        .collect()
}

/// A category with where it came from; nothing where no code decides.
pub(crate) fn by_codes(parsed: &Parsed) -> Option<(&'static str, Provenance)> {
    let decided = |category, path: &Place, rule| (category, Provenance { field: "category", path: path.clone(), rule });
    if let Some(purpose) = &parsed.purpose_code
        && let Some(category) = PURPOSES.get(purpose.value.as_str())
    {
        return Some(decided(*category, &purpose.path, "category.purpose_code"));
    }
    if let Some(code) = &parsed.bank_transaction_code
        && let Some(category) = by_prefix(&code.value)
    {
        return Some(decided(category, &code.path, "category.bank_transaction_code"));
    }
    None
}

/// The longest prefix of `domain-family-subfamily` that decides.
fn by_prefix(code: &str) -> Option<&'static str> {
    let mut code = code;
    loop {
        if let Some(category) = BANK_CODES.get(code) {
            return Some(category);
        }
        code = code.rsplit_once('-')?.0;
    }
}

/// The category of a merchant category code (ISO 18245).
pub(crate) fn of_merchant_code(code: &str) -> Option<&'static str> {
    let code = code.trim();
    let found = MERCHANT_CODES.get(code).copied();
    found.or_else(|| MERCHANT_CODES.get(format!("{code:0>4}").as_str()).copied().filter(|_| code.len() < 4))
}

/// The category of an ISO 20022 bank transaction code.
pub(crate) fn of_bank_code(code: &str) -> Option<&'static str> {
    by_prefix(code.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::records::Text;

    #[test]
    fn the_tables_are_whole() {
        for (table, least) in [(&PURPOSES, 40), (&BANK_CODES, 40), (&MERCHANT_CODES, 900)] {
            assert!(table.len() > least, "{}", table.len());
            for (code, category) in table.iter() {
                assert!(category.split('.').count() == 2 && !category.contains(' '), "{code}: {category}");
            }
        }
    }

    #[test]
    fn the_purpose_comes_before_the_banks_code() {
        let text = |value: &str| Some(Text::new(value.to_owned(), "p"));
        let category = |parsed: &Parsed| by_codes(parsed).map(|(category, by)| (category, by.rule));
        let mut parsed = Parsed { bank_transaction_code: text("PMNT-CCRD-CWDL"), ..Parsed::default() };
        assert_eq!(category(&parsed), Some(("transfer.cash_withdrawal", "category.bank_transaction_code")));
        parsed.purpose_code = text("SALA");
        assert_eq!(category(&parsed), Some(("income.salary", "category.purpose_code")));
        assert_eq!(category(&Parsed { bank_transaction_code: text("PMNT-CCRD-POSD"), ..Parsed::default() }), None);
        assert_eq!((of_merchant_code("742"), of_merchant_code("x")), (Some("health.veterinary"), None));
    }
}
