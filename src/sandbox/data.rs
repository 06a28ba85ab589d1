//! What the bank has in its books: people, accounts, and every row of a long stretch of days.
//!
//! A row knows when the bank first hears of it and when it books it. What is booked, pending or not yet there follows
//! from the day one asks about, so that a clock that moves forward finds new rows, and yesterday's pending ones booked.

use domain::money::{Currency, Money};
use jiff::civil::Date;

/// The whole bank.
#[derive(Clone)]
pub struct BankData {
    /// The name over the door.
    pub name: String,
    /// Id of the bank in directories.
    pub institution: String,
    /// BIC of its accounts.
    pub bic: String,
    /// IANA zone of its calendar days.
    pub zone: String,
    /// Its customers.
    pub psus: Vec<Psu>,
}

/// A customer with the credentials that the login page shows, as a sandbox does.
#[derive(Clone)]
pub struct Psu {
    /// Sign-in name.
    pub username: String,
    /// Sign-in password.
    pub password: String,
    /// Full name.
    pub name: String,
    /// Accounts, in the order the bank lists them.
    pub accounts: Vec<Account>,
}

/// One account.
#[derive(Clone)]
pub struct Account {
    /// International bank account number, without blanks.
    pub iban: String,
    /// What the bank calls the kind of account.
    pub product: String,
    /// What the customer calls it.
    pub name: String,
    /// ISO `ExternalCashAccountType1` code: `CACC`, `SVGS`.
    pub cash_account_type: &'static str,
    /// Legal owner.
    pub owner_name: String,
    /// Balance before the first row; also names the currency.
    pub opening: Money,
    /// Rows in the order in which the bank hears of them.
    pub rows: Vec<Row>,
}

/// One transaction. Optional texts are absent in the bank's answer when they are `None`.
#[derive(Clone)]
pub struct Row {
    /// The bank's id of the booked row.
    pub transaction_id: String,
    /// The day on which the bank first hears of it; it is pending from then on.
    pub entered: Date,
    /// The day on which it is booked.
    pub booked: Date,
    /// Signed: money out is negative.
    pub money: Money,
    /// Name of the other side.
    pub counterparty: Option<String>,
    /// IBAN of the other side.
    pub counterparty_iban: Option<String>,
    /// Remittance text.
    pub remittance: String,
    /// SEPA end-to-end reference.
    pub end_to_end_id: Option<String>,
    /// SEPA mandate.
    pub mandate_id: Option<String>,
    /// SEPA creditor identifier.
    pub creditor_id: Option<String>,
    /// ISO external purpose code.
    pub purpose_code: Option<&'static str>,
    /// ISO 20022 bank transaction code, `PMNT-RDDT-ESDD`.
    pub bank_transaction_code: &'static str,
    /// The bank's own code, `NDDT+105`.
    pub proprietary_code: &'static str,
    /// Amount in the currency of the purchase, and the rate.
    pub exchange: Option<Exchange>,
}

/// A purchase in another currency.
#[derive(Clone)]
pub struct Exchange {
    /// Unsigned amount of the purchase.
    pub instructed: Money,
    /// Units of the account's currency for one of the other.
    pub rate: String,
}

/// Balances on one day.
#[derive(Clone, Copy)]
pub struct Balances {
    /// Everything booked.
    pub booked: Money,
    /// Booked and pending.
    pub available: Money,
    /// Day of the latest booking.
    pub latest: Option<Date>,
}

impl Account {
    /// Rows booked by `today` with a booking day between `from` and `to`, newest first, as banks list them.
    pub fn booked(&self, today: Date, from: Date, to: Date) -> Vec<&Row> {
        let mut rows: Vec<&Row> =
            self.rows.iter().filter(|row| row.booked <= today && (from..=to).contains(&row.booked)).collect();
        rows.sort_by(|a, b| b.booked.cmp(&a.booked).then_with(|| b.transaction_id.cmp(&a.transaction_id)));
        rows
    }

    /// Rows that the bank has heard of and not booked by `today`, newest first.
    pub fn pending(&self, today: Date) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().filter(|row| row.entered <= today && today < row.booked).collect();
        rows.sort_by(|a, b| b.entered.cmp(&a.entered).then_with(|| b.transaction_id.cmp(&a.transaction_id)));
        rows
    }

    /// Balances at the end of `today`. Rows of another currency than the account's are left out.
    pub fn balances(&self, today: Date) -> Balances {
        let sum = |start: Money, rows: &mut dyn Iterator<Item = &Row>| {
            rows.fold(start, |total, row| total.plus(&row.money).unwrap_or(total))
        };
        let booked = sum(self.opening, &mut self.rows.iter().filter(|row| row.booked <= today));
        let available = sum(booked, &mut self.pending(today).into_iter());
        let latest = self.rows.iter().map(|row| row.booked).filter(|day| *day <= today).max();
        Balances { booked, available, latest }
    }
}

impl BankData {
    /// The same books in another country: every amount in its currency, every day in its calendar.
    pub fn moved(mut self, currency: Currency, zone: &str) -> Self {
        zone.clone_into(&mut self.zone);
        for account in self.psus.iter_mut().flat_map(|psu| &mut psu.accounts) {
            account.opening = Money::new(account.opening.amount(), currency);
            for row in &mut account.rows {
                row.money = Money::new(row.money.amount(), currency);
            }
        }
        self
    }
}

macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        /// Bank data never reaches a log through `Debug`, not even a simulated bank's.
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
opaque_debug!(BankData, Psu, Account, Row, Exchange, Balances);
