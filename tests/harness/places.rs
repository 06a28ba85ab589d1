//! Where a simulated bank may be at home: one place for every standard beside the Berlin Group's.

use sandbox::{
    BERLIN_GROUP, CONSUMER_DATA_RIGHT, ENABLE_BANKING, Ecosystem, FINANCIAL_DATA_EXCHANGE, OPEN_BANKING_UK,
    OPEN_BANKING_UK_4, OPEN_FINANCE_BRASIL, POLISH_API, STET,
};

use crate::world::Place;

const fn place(
    bank: &'static str,
    ecosystem: Ecosystem,
    base: &'static str,
    currency: &'static str,
    zone: &'static str,
) -> Place {
    Place { bank, ecosystem, version: None, base, currency, zone }
}

/// The Berlin Group's, with the customs of other places: RSA, and ID tokens that are encrypted.
pub const GERMANY: Place = place("de_musterbank", BERLIN_GROUP, "", "EUR", "Europe/Berlin");
/// UK Open Banking 3.1.
pub const UNITED_KINGDOM: Place = place("gb_musterbank", OPEN_BANKING_UK, "", "GBP", "Europe/London");
/// UK Open Banking 4.0.
pub const UNITED_KINGDOM_4: Place = Place { ecosystem: OPEN_BANKING_UK_4, version: Some("4.0.1"), ..UNITED_KINGDOM };
/// Consumer Data Right.
pub const AUSTRALIA: Place = place("au_musterbank", CONSUMER_DATA_RIGHT, "", "AUD", "Australia/Sydney");
/// Open Finance Brasil.
pub const BRAZIL: Place = place("br_musterbanco", OPEN_FINANCE_BRASIL, "", "BRL", "America/Sao_Paulo");
/// STET.
pub const FRANCE: Place = place("fr_banqueexemple", STET, "", "EUR", "Europe/Paris");
/// FDX.
pub const NORTH_AMERICA: Place = place("us_musterbank", FINANCIAL_DATA_EXCHANGE, "/fdx/v6", "USD", "America/New_York");
/// Polish API: a bank that keeps no consents and ends them by an id of ours.
pub const POLAND: Place = place("pl_musterbank", POLISH_API, "", "PLN", "Europe/Warsaw");

/// A bank behind an intermediary, which gives no tokens. No member of the fleet: it has no authorisation server.
pub const FINLAND: Place = place("fi_musterpankki", ENABLE_BANKING, "", "EUR", "Europe/Helsinki");

/// All of them; none is the Berlin Group's.
pub const ALL: [Option<Place>; 8] = [
    None,
    Some(UNITED_KINGDOM),
    Some(UNITED_KINGDOM_4),
    Some(AUSTRALIA),
    Some(BRAZIL),
    Some(FRANCE),
    Some(NORTH_AMERICA),
    Some(POLAND),
];
