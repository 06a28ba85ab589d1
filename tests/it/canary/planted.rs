//! Canaries: words that nothing else contains, and how they get into the bank's books.

use domain::money::Money;
use rust_decimal::Decimal;
use sandbox::Psu;
use tests::world::day;

/// What is planted in one customer's books.
pub(super) struct Canary {
    pub(super) owner: &'static str,
    pub(super) account: &'static str,
    /// Number of the account, and of the other side's.
    pub(super) numbers: [u64; 2],
    pub(super) transaction: &'static str,
    pub(super) remittance: &'static str,
    pub(super) counterparty: &'static str,
    pub(super) reference: &'static str,
    pub(super) amount: &'static str,
}

pub(super) const MARA: Canary = Canary {
    owner: "Philomena Kanarienvogel",
    account: "Kasse Zwitscherlied",
    numbers: [7_319_264_805, 2_846_013_577],
    transaction: "KANARIE-TX-55017",
    remittance: "Rechnung KANARIE 4F9C1E7A",
    counterparty: "Zeisig Manufaktur 7731",
    reference: "E2E-KANARIE-9127",
    amount: "73915206.48",
};

pub(super) const JONAS: Canary = Canary {
    owner: "Tobias Nachtigallen",
    account: "Konto Abendgesang",
    numbers: [6_620_917_438, 5_190_384_262],
    transaction: "NACHTIGALL-TX-81942",
    remittance: "Honorar NACHTIGALL B07D22E5",
    counterparty: "Sprosser Verlagshaus 4409",
    reference: "E2E-NACHTIGALL-3356",
    amount: "20486139.75",
};

impl Canary {
    /// Plants it in the first account of a customer. Gives all its words, the balance that follows from it included.
    pub(super) fn plant(&self, psu: &mut Psu) -> Vec<String> {
        for account in &mut psu.accounts {
            self.owner.clone_into(&mut account.owner_name);
            account.rows.retain(|row| row.entered >= day(-100));
        }
        let [own, other] = self.numbers.map(iban);
        let account = &mut psu.accounts[0];
        (account.iban, account.name) = (own.clone(), self.account.to_owned());
        let mut row = account.rows[0].clone();
        (row.entered, row.booked) = (day(-2), day(-2));
        row.money = Money::new(-self.amount.parse::<Decimal>().unwrap(), account.opening.currency());
        row.exchange = None;
        row.transaction_id = self.transaction.to_owned();
        row.remittance = self.remittance.to_owned();
        (row.counterparty, row.counterparty_iban) = (Some(self.counterparty.to_owned()), Some(other.clone()));
        row.end_to_end_id = Some(self.reference.to_owned());
        account.rows.push(row);
        let balance = account.balances(day(0)).booked.amount().abs().to_string();
        let texts = [self.owner, self.account, self.transaction, self.remittance, self.counterparty, self.reference];
        texts.into_iter().chain([self.amount]).map(str::to_owned).chain([own, other, balance]).collect()
    }
}

/// A German account number with its check digits (ISO 13616), at a bank that no bank is.
pub(super) fn iban(number: u64) -> String {
    let account = format!("99900099{number:010}");
    let remainder = format!("{account}131400").parse::<u128>().unwrap() % 97;
    format!("DE{:02}{account}", 98 - remainder)
}
