//! Money: a decimal and a currency, never a float, never without its currency.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;

/// Codes of two decimals that nearly every row has: to look for them among all takes longer than to read an amount.
const COMMON: [[u8; 3]; 8] = [*b"EUR", *b"GBP", *b"USD", *b"PLN", *b"CHF", *b"SEK", *b"CZK", *b"BRL"];

/// An ISO 4217 alphabetic code. `XXX` (no currency) is accepted: Berlin Group uses it for multi-currency accounts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// Text that is not an ISO 4217 code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 4217 currency code")]
pub struct CurrencyError;

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");

    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// Digits after the decimal point of the minor unit: 0 for JPY, 2 for EUR, 3 for KWD; 2 where ISO names none.
    pub fn exponent(&self) -> u32 {
        if COMMON.contains(&self.0) {
            return 2;
        }
        iso_currency::Currency::from_code(self.code()).and_then(|known| known.exponent()).map_or(2, u32::from)
    }
}

impl FromStr for Currency {
    type Err = CurrencyError;

    /// Upper-case codes that ISO 4217 lists, and `XXX`.
    fn from_str(text: &str) -> Result<Self, CurrencyError> {
        let bytes: [u8; 3] = text.as_bytes().try_into().map_err(|_| CurrencyError)?;
        let known = COMMON.contains(&bytes) || text == "XXX" || iso_currency::Currency::from_code(text).is_some();
        if known { Ok(Self(bytes)) } else { Err(CurrencyError) }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount in one currency. Signed where it moves an account: money out is negative.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    amount: Decimal,
    currency: Currency,
}

/// Why two amounts could not be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The currencies differ.
    #[error("cannot add {0} and {1}")]
    Mixed(Currency, Currency),
    /// The sum does not fit a 96-bit decimal.
    #[error("the sum is too large")]
    Overflow,
}

impl Money {
    /// An amount with its currency; the scale is kept as the bank gave it.
    pub const fn new(amount: Decimal, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// The signed decimal.
    pub const fn amount(&self) -> Decimal {
        self.amount
    }

    /// The currency.
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    /// The amount as products see it: plain notation with the digits of the currency's minor unit, and more only where they
    /// say something. Some standards write four digits of every amount.
    pub fn to_plain_string(&self) -> String {
        let mut amount = self.amount;
        if amount.scale() > self.currency.exponent() {
            amount = amount.normalize();
        }
        if amount.scale() < self.currency.exponent() {
            amount.rescale(self.currency.exponent());
        }
        amount.to_string()
    }

    /// The sum, if both are of one currency and it fits.
    pub fn plus(&self, other: &Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed(self.currency, other.currency));
        }
        let amount = self.amount.checked_add(other.amount).ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..*self })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.to_plain_string(), self.currency)
    }
}

/// Amounts are bank data: `Debug`, which ends in logs, shows the currency alone.
impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Money(.. {})", self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(amount: &str, currency: &str) -> Money {
        Money::new(amount.parse().unwrap(), currency.parse().unwrap())
    }

    #[test]
    fn common_codes_are_those_of_the_standard() {
        for code in COMMON {
            let known = iso_currency::Currency::from_code(std::str::from_utf8(&code).unwrap()).unwrap();
            assert_eq!(known.exponent(), Some(2), "{}", known.code());
        }
    }

    #[test]
    fn the_minor_unit_follows_the_currency() {
        for (amount, currency, shown) in [
            ("-10", "EUR", "-10.00"),
            ("5", "JPY", "5"),
            ("1.5", "KWD", "1.500"),
            ("1.2345", "EUR", "1.2345"),
            ("1200.0000", "BRL", "1200.00"),
            ("-0.1000", "JPY", "-0.1"),
        ] {
            assert_eq!(money(amount, currency).to_plain_string(), shown);
        }
    }

    #[test]
    fn currencies_do_not_mix_and_sums_do_not_wrap() {
        assert_eq!(money("0.10", "EUR").plus(&money("0.20", "EUR")).unwrap().to_plain_string(), "0.30");
        assert!(matches!(money("1", "EUR").plus(&money("1", "USD")), Err(MoneyError::Mixed(..))));
        let most = Money::new(Decimal::MAX, Currency::EUR);
        assert_eq!(most.plus(&most), Err(MoneyError::Overflow));
    }

    #[test]
    fn only_iso_codes_are_currencies() {
        for bad in ["", "eur", "EURO", "ABC", "€"] {
            assert_eq!(bad.parse::<Currency>(), Err(CurrencyError), "{bad}");
        }
        assert!("XXX".parse::<Currency>().is_ok());
    }

    #[test]
    fn debug_does_not_show_the_amount() {
        assert_eq!(format!("{:?}", money("123.45", "EUR")), "Money(.. EUR)");
    }
}
