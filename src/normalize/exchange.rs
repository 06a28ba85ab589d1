//! What was agreed in another currency, and the rate, with its direction checked against the amounts.
//!
//! Standards leave open which way a rate counts, and banks differ. So a rate is believed only where amounts or the unit's
//! currency prove its direction; it comes out one way: units of the account's currency for one of the other.

use domain::money::{Currency, Money};
use domain::records::{Issue, Parsed, ParsedExchange, Provenance, Text};
use domain::rules::Rules;
use rust_decimal::Decimal;

use crate::amount;

/// How far a rate may be from the one that the amounts imply, in parts of it: banks add a margin and round.
const TOLERANCE: Decimal = Decimal::from_parts(5, 0, 0, false, 2);
/// Digits that a turned rate keeps.
const RATE_DIGITS: u32 = 8;

/// The foreign part of a row.
#[derive(Default)]
pub(crate) struct Exchange {
    pub(crate) instructed: Option<Money>,
    pub(crate) rate: Option<Decimal>,
}

/// Reads the first exchange of a row that names another currency than the account's.
pub(crate) fn read(
    parsed: &Parsed,
    money: &Money,
    rules: &Rules,
    provenance: &mut Vec<Provenance>,
    issues: &mut Vec<Issue>,
) -> Exchange {
    let reader = Reader { money, rules };
    for exchange in &parsed.exchange {
        let Some(foreign) = reader.foreign(exchange) else {
            if reader.is_mislabelled(exchange) {
                let why = "an instructed amount has the account's currency and another figure; it was left out";
                issues.push(Issue::new("exchange.same_currency", why));
            }
            continue;
        };
        let instructed = reader.instructed(exchange, foreign, provenance);
        let rate = reader.rate(exchange, foreign, instructed.as_ref(), provenance, issues);
        if instructed.is_some() || rate.is_some() {
            return Exchange { instructed, rate };
        }
    }
    Exchange::default()
}

struct Reader<'a> {
    money: &'a Money,
    rules: &'a Rules,
}

impl Reader<'_> {
    fn number(&self, token: Option<&Text>) -> Option<Decimal> {
        let value = amount::number(&token?.value, self.rules.decimal_mark, false)?.value.abs();
        (!value.is_zero()).then_some(value)
    }

    /// The currency that is not the account's.
    fn foreign(&self, exchange: &ParsedExchange) -> Option<Currency> {
        let named = [
            &exchange.instructed_currency,
            &exchange.source_currency,
            &exchange.target_currency,
            &exchange.unit_currency,
        ];
        let currencies = named.into_iter().flatten().filter_map(|text| text.value.to_ascii_uppercase().parse().ok());
        currencies
            .into_iter()
            .find(|currency: &Currency| *currency != self.money.currency() && currency.code() != "XXX")
    }

    /// Whether a figure of another currency carries the account's.
    fn is_mislabelled(&self, exchange: &ParsedExchange) -> bool {
        let figure = self.number(exchange.instructed_amount.as_ref());
        figure.is_some_and(|figure| figure != self.money.amount().abs()) && exchange.instructed_currency.is_some()
    }

    fn instructed(
        &self,
        exchange: &ParsedExchange,
        foreign: Currency,
        provenance: &mut Vec<Provenance>,
    ) -> Option<Money> {
        let named = exchange.instructed_currency.as_ref();
        if named.is_some_and(|text| !text.value.eq_ignore_ascii_case(foreign.code())) {
            return None;
        }
        let figure = self.number(exchange.instructed_amount.as_ref())?;
        let path = exchange.instructed_amount.as_ref()?.path.clone();
        provenance.push(Provenance { field: "instructed_amount", path, rule: "exchange.instructed" });
        Some(Money::new(if self.money.amount().is_sign_negative() { -figure } else { figure }, foreign))
    }

    /// The rate, turned to units of the account's currency for one of the other.
    fn rate(
        &self,
        exchange: &ParsedExchange,
        foreign: Currency,
        instructed: Option<&Money>,
        provenance: &mut Vec<Provenance>,
        issues: &mut Vec<Issue>,
    ) -> Option<Decimal> {
        let token = exchange.rate.as_ref()?;
        let told = self.number(Some(token))?;
        let turned = Decimal::ONE.checked_div(told)?.round_dp(RATE_DIGITS).normalize();
        let hundredth = told.checked_div(Decimal::ONE_HUNDRED)?;
        let found = if let Some(instructed) = instructed {
            let implied = self.money.amount().abs().checked_div(instructed.amount().abs())?;
            let near = |rate: Decimal| is_near(rate, implied);
            [(told, "exchange.as_told"), (turned, "exchange.turned"), (hundredth, "exchange.per_hundred")]
                .into_iter()
                .filter(|(rate, _)| near(*rate))
                // Near parity a rate and its turn are both close: the closer one is meant.
                .min_by_key(|(rate, _)| rate.checked_sub(implied).map(|apart| apart.abs()))
        } else {
            let unit = exchange.unit_currency.as_ref().map(|text| text.value.to_ascii_uppercase());
            match unit.as_deref() {
                Some(unit) if unit == foreign.code() => Some((told, "exchange.unit_currency")),
                Some(unit) if unit == self.money.currency().code() => Some((turned, "exchange.unit_currency")),
                _ => None,
            }
        };
        match found {
            Some((rate, rule)) => {
                provenance.push(Provenance { field: "exchange_rate", path: token.path.clone(), rule });
                Some(rate)
            }
            None => {
                let why =
                    "neither the amounts nor the unit's currency prove the direction of the rate; it was left out";
                issues.push(Issue::new("exchange.rate_unproven", why));
                None
            }
        }
    }
}

fn is_near(rate: Decimal, implied: Decimal) -> bool {
    let most = implied.checked_mul(TOLERANCE);
    most.is_some_and(|most| rate.checked_sub(implied).is_some_and(|apart| apart.abs() <= most))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Option<Text> {
        (!value.is_empty()).then(|| Text::new(value.to_owned(), "p"))
    }

    /// Amount and currency of the row, then instructed amount and currency, rate, unit currency.
    fn read_of(
        row: (&str, &str),
        instructed: (&str, &str),
        rate: &str,
        unit: &str,
    ) -> (String, String, Vec<&'static str>) {
        let exchange = ParsedExchange {
            instructed_amount: text(instructed.0),
            instructed_currency: text(instructed.1),
            rate: text(rate),
            unit_currency: text(unit),
            ..ParsedExchange::default()
        };
        let parsed = Parsed { exchange: vec![exchange], ..Parsed::default() };
        let money = Money::new(row.0.parse().unwrap(), row.1.parse().unwrap());
        let mut issues = Vec::new();
        let read = read(&parsed, &money, &Rules::default(), &mut Vec::new(), &mut issues);
        let shown = read.instructed.map(|money| money.to_string()).unwrap_or_default();
        let rate = read.rate.map(|rate| rate.to_string()).unwrap_or_default();
        (shown, rate, issues.iter().map(|issue| issue.code).collect())
    }

    #[test]
    fn a_rate_comes_out_one_way() {
        for (row, instructed, rate, unit, shown, out, codes) in [
            (("-9.20", "EUR"), ("10.00", "USD"), "0.92", "", "-10.00 USD", "0.92", &[][..]),
            (("-9.20", "EUR"), ("10.00", "USD"), "1.0870", "", "-10.00 USD", "0.91996320", &[]),
            (("-9.80", "EUR"), ("10.00", "USD"), "1.02", "", "-10.00 USD", "0.98039216", &[]),
            (("-77.47", "DKK"), ("8,99", "GBP"), "861,73", "", "-8.99 GBP", "8.6173", &[]),
            (("-9.20", "EUR"), ("10.00", "USD"), "7", "", "-10.00 USD", "", &["exchange.rate_unproven"]),
            (("46.00", "EUR"), ("50", "USD"), "", "", "50.00 USD", "", &[]),
            (("-9.20", "EUR"), ("", "USD"), "0.92", "USD", "", "0.92", &[]),
            (("-9.20", "EUR"), ("", "USD"), "1.25", "EUR", "", "0.8", &[]),
            (("-9.20", "EUR"), ("9.20", "EUR"), "1.00", "EUR", "", "", &[]),
            (("-9.20", "EUR"), ("10.00", "EUR"), "", "", "", "", &["exchange.same_currency"]),
            (("0", "XXX"), ("5", "USD"), "0", "", "5.00 USD", "", &[]),
        ] {
            let found = read_of(row, instructed, rate, unit);
            assert_eq!(
                (found.0.as_str(), found.1.trim_end_matches('0'), &found.2[..]),
                (shown, out.trim_end_matches('0'), codes),
                "{row:?} {instructed:?} {rate}"
            );
        }
    }
}
