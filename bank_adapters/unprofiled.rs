//! Rules for rows of banks that have no profile: by country, and by what is known of a bank without having connected it.

use std::collections::HashMap;
use std::sync::LazyLock;

use domain::rules::{Rules, SignRule};
use serde::Deserialize;

static KNOWN: LazyLock<Known> =
    LazyLock::new(|| toml::from_str(include_str!("unprofiled.toml")).expect("the built-in table is checked by a test"));

/// What a row tells about where it came from. Every part may be absent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// BIC, 8 or 11 characters.
    pub bic: Option<&'a str>,
    /// ISO 3166-1 alpha-2 code.
    pub country: Option<&'a str>,
    /// An intermediary's id of the bank; such ids often end in the BIC (`NAME_BICCODE1`).
    pub institution_id: Option<&'a str>,
    /// The bank's name. A bank is never its customer's counterparty.
    pub name: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    countries: HashMap<String, Country>,
    banks: Vec<Bank>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Country {
    zone: String,
    #[serde(default)]
    grammars: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bank {
    name: String,
    bics: Vec<String>,
    sign: Option<Sign>,
    #[serde(default)]
    grammars: Vec<String>,
    #[serde(default)]
    own_names: Vec<String>,
    #[serde(rename = "why")]
    _why: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sign {
    Inverted,
    PendingUnsigned,
}

/// The rules for a bank: the standard's, with what is known of its country and of itself.
pub fn rules(origin: &Origin<'_>) -> Rules {
    let mut rules = Rules::default();
    let bic = origin.bic.or_else(|| origin.institution_id.and_then(bic_in));
    let country = origin.country.or_else(|| bic.and_then(|bic| bic.get(4..6)));
    rules.country = country.filter(|code| code.len() == 2).map(str::to_ascii_uppercase);
    if let Some(country) = country.and_then(|code| KNOWN.countries.get(code.to_ascii_uppercase().as_str())) {
        rules.zone.clone_from(&country.zone);
        rules.grammars.extend_from_slice(&country.grammars);
    }
    rules.own_names.extend(origin.name.filter(|name| !name.starts_with('(')).map(str::to_owned));
    let by_bic = bic.and_then(|bic| KNOWN.banks.iter().find(|bank| bank.has(bic)));
    if let Some(bank) = by_bic.or_else(|| KNOWN.banks.iter().find(|bank| origin.name.is_some_and(|name| bank.is(name))))
    {
        rules.sign = match bank.sign {
            // A name is too weak to turn a sign by: its sister in another country may be right.
            _ if by_bic.is_none() => rules.sign,
            Some(Sign::Inverted) => SignRule::Inverted,
            Some(Sign::PendingUnsigned) => SignRule::PendingUnsigned,
            None => rules.sign,
        };
        rules.grammars.extend_from_slice(&bank.grammars);
        rules.own_names.push(bank.name.clone());
        rules.own_names.extend_from_slice(&bank.own_names);
    }
    rules
}

/// Every grammar that the table switches on, for the test that they exist.
pub fn grammars() -> impl Iterator<Item = &'static str> {
    let countries = KNOWN.countries.values().flat_map(|country| &country.grammars);
    countries.chain(KNOWN.banks.iter().flat_map(|bank| &bank.grammars)).map(String::as_str)
}

impl Bank {
    fn has(&self, bic: &str) -> bool {
        self.bics.iter().any(|known| bic.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known)))
    }

    fn is(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case(&self.name)
    }
}

/// The BIC at the end of an intermediary's id.
fn bic_in(institution_id: &str) -> Option<&str> {
    let last = institution_id.rsplit('_').next()?;
    let is_bic = matches!(last.len(), 8 | 11) && last.get(..6)?.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_bic.then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bank_is_known_by_its_bic_wherever_that_stands() {
        for origin in [
            Origin { bic: Some("CETMPTP1"), ..Origin::default() },
            Origin { bic: Some("cetmptp1xxx"), ..Origin::default() },
            Origin { institution_id: Some("CETELEM_CETMPTP1XXX"), ..Origin::default() },
        ] {
            let rules = rules(&origin);
            assert_eq!((rules.sign, rules.zone.as_str()), (SignRule::Inverted, "Europe/Lisbon"), "{origin:?}");
        }
    }

    #[test]
    fn an_unknown_bank_has_the_rules_of_its_country() {
        let known = rules(&Origin { country: Some("fr"), name: Some("Banque du Port"), ..Origin::default() });
        assert_eq!((known.zone.as_str(), known.sign), ("Europe/Paris", SignRule::Either));
        assert_eq!(known.own_names, ["Banque du Port"]);
        let placeholder =
            Origin { name: Some("(several banks)"), bic: Some("ä"), institution_id: Some("X_Y"), ..Origin::default() };
        assert_eq!(rules(&placeholder), Rules::default());
    }

    #[test]
    fn a_name_alone_switches_grammars_on_and_turns_no_sign() {
        let by_name = rules(&Origin { name: Some("REVOLUT"), ..Origin::default() });
        assert!(by_name.grammars.iter().any(|grammar| grammar == "from_to"));
        let turned = rules(&Origin { name: Some("Cetelem Portugal"), ..Origin::default() });
        assert_eq!(turned.sign, SignRule::Either);
    }

    #[test]
    fn every_zone_exists() {
        for (code, country) in &KNOWN.countries {
            assert!(jiff::tz::TimeZone::get(&country.zone).is_ok(), "{code}");
        }
        assert!(KNOWN.countries.len() > 40 && grammars().count() > 5);
    }
}
