//! Accounts as their holder recognises them: a name and the last characters of the number.

use domain::ids::ConsentId;
use domain::ids::ProductId;
use jiff::Timestamp;
use store::TenantTx;
use store::lines::{self, Details, Filter};

use crate::app::App;
use crate::pages::view::AccountLine;
use crate::services::ServiceError;

/// Characters of an account's number that are shown.
const ENDING_CHARS: usize = 4;
/// A number shorter than this is not shown at all: its last characters would be most of it.
const NUMBER_CHARS_MIN: usize = 8;

/// What is held under a consent now.
pub(super) struct Holdings {
    /// The accounts.
    pub(super) accounts: Vec<AccountLine>,
    /// When anything of them was last read from the bank.
    pub(super) last_read: Option<Timestamp>,
}

/// Opens the accounts under a consent. A consent that is over holds none.
pub(super) async fn held(
    app: &App,
    tx: &mut TenantTx,
    product: ProductId,
    consent: ConsentId,
) -> Result<Holdings, ServiceError> {
    let filter = Filter { consent: Some(consent), ..Filter::default() };
    let mut holdings = Holdings { accounts: Vec::new(), last_read: None };
    for held in lines::held(tx, product, filter).await? {
        let key = app.vault.open_key(tx.tenant(), &held.line.key)?;
        holdings.accounts.push(line(held.line.id.to_string(), &held.line.details(tx.tenant(), &key)?));
        let fresh = held.line.freshness;
        holdings.last_read = holdings.last_read.max(fresh.transactions_as_of).max(fresh.balances_as_of);
    }
    Ok(holdings)
}

fn line(id: String, details: &Details) -> AccountLine {
    let number =
        [&details.iban, &details.bban, &details.masked_pan, &details.other].into_iter().find_map(Option::as_ref);
    AccountLine {
        id,
        name: details.name.clone().or_else(|| details.product.clone()),
        ending: number.and_then(|number| ending(number)),
        // XXX stands for several currencies (ISO 4217): nothing that tells one account from another.
        currency: details.currency.clone().filter(|code| code != "XXX"),
    }
}

fn ending(number: &str) -> Option<String> {
    let plain: Vec<char> = number.chars().filter(|c| c.is_alphanumeric()).collect();
    (plain.len() >= NUMBER_CHARS_MIN).then(|| plain[plain.len() - ENDING_CHARS..].iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_shows_four_characters_of_its_number_at_most() {
        for (number, shown) in [
            ("DE02 1203 0000 0000 2020 51", Some("2051")),
            ("525412******3241", Some("3241")),
            ("12345678", Some("5678")),
            ("1234567", None),
            ("", None),
        ] {
            assert_eq!(ending(number).as_deref(), shown, "{number}");
        }
    }

    #[test]
    fn the_name_a_person_gave_counts_before_the_banks_own() {
        let text = |text: &str| Some(text.to_owned());
        let named = Details { name: text("Holiday"), product: text("Giro Plus"), ..Details::default() };
        assert_eq!(line(String::new(), &named).name.as_deref(), Some("Holiday"));
        let unnamed = Details { product: text("Giro Plus"), currency: text("XXX"), ..Details::default() };
        assert_eq!(line(String::new(), &unnamed).name.as_deref(), Some("Giro Plus"));
        assert_eq!(line(String::new(), &unnamed).currency, None);
        assert_eq!(line(String::new(), &Details::default()).name, None);
    }
}
