//! A plausible German bank: two customers, a year and a half of rows, all invented, always the same for one day and seed.

use domain::money::{Currency, Money};
use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use rust_decimal::Decimal;

use crate::data::{Account, BankData, Exchange, Psu, Row};

/// Days of history before the first day.
const PAST_DAYS: i32 = 548;
/// Days that are written ahead, for clocks that are moved forward.
const AHEAD_DAYS: i32 = 400;
/// A bank code that no bank has.
const BANK_CODE: &str = "99900099";

impl BankData {
    /// The books of Musterbank around `today`.
    pub fn generate(today: Date, seed: u64) -> Self {
        let first = today.saturating_sub(PAST_DAYS.days());
        let last = today.saturating_add(AHEAD_DAYS.days());
        Self {
            name: "Musterbank".to_owned(),
            institution: "de_musterbank".to_owned(),
            bic: "MUSTDEFFXXX".to_owned(),
            zone: "Europe/Berlin".to_owned(),
            psus: vec![employee(first, last, seed), freelancer(first, last, seed.wrapping_add(1))],
        }
    }

    /// So many customers, by turns like the one and the other of [`BankData::generate`]: `mara-0`, `jonas-1`, …, with the
    /// passwords `sandbox-mara` and `sandbox-jonas`, accounts of their own, and rows of the last `days` days.
    pub fn crowd(today: Date, seed: u64, customers: usize, days: i32) -> Self {
        let mut books = Self::generate(today, seed);
        let (first, last) = (today.saturating_sub(days.days()), today.saturating_add(7.days()));
        for account in books.psus.iter_mut().flat_map(|psu| &mut psu.accounts) {
            account.rows.retain(|row| (first..=last).contains(&row.entered));
        }
        let types = std::mem::take(&mut books.psus);
        let numbers = 2_000_000_u64..;
        let mut numbers = numbers.skip(usize::try_from(seed % 10_000).unwrap_or_default() * 1_000);
        for (nth, like) in types.iter().cycle().take(customers).enumerate() {
            let mut psu = like.clone();
            psu.username = format!("{}-{nth}", psu.username);
            for (account, number) in psu.accounts.iter_mut().zip(&mut numbers) {
                account.iban = iban(number);
            }
            books.psus.push(psu);
        }
        books
    }
}

/// Mara Winter: salary, rent, cards; a savings account and one in dollars.
fn employee(first: Date, last: Date, seed: u64) -> Psu {
    let owner = "Mara Winter";
    let mut current = Ledger::new(first, seed, euros(214_350));
    let mut savings = Ledger::new(first, seed ^ 0x5a5a, euros(480_000));
    let mut dollars = Ledger::new(first, seed ^ 0xd0d0, cents(61_200, "USD"));
    let (current_iban, savings_iban) = (iban(1_000_200), iban(1_000_201));
    for day in days(first, last) {
        current.salary(day, 28, 284_517, "Nordwerk Maschinenbau GmbH");
        for bill in EMPLOYEE_BILLS {
            current.bill(day, bill);
        }
        if day.day() == 2 {
            current.transfer(day, -25_000, owner, &savings_iban, "Sparen", STANDING_ORDER);
            savings.transfer(day, 25_000, owner, &current_iban, "Sparen", CREDIT);
        }
        current.spend(day, 62);
        if is_quarter_end(day) {
            current.plain(day, -2_085, "Rechnungsabschluss: Kontoführung und Karten", FEE);
            savings.plain(day, 2_400, "Habenzinsen", INTEREST);
        }
        if day.day() == 19 && day.month() % 2 == 0 {
            dollars.transfer(day, 45_000, "Harbor & Pine LLC", "US64SVBKUS6S3300958879", "Illustrations", CREDIT);
        }
    }
    Psu {
        username: "mara".to_owned(),
        password: "sandbox-mara".to_owned(),
        name: owner.to_owned(),
        accounts: vec![
            current.into_account(current_iban, "Girokonto Plus", "Haushalt", "CACC", owner),
            savings.into_account(savings_iban, "Tagesgeld", "Rücklagen", "SVGS", owner),
            dollars.into_account(iban(1_000_202), "Währungskonto USD", "Dollar", "CACC", owner),
        ],
    }
}

/// Jonas Keller: irregular income, two accounts.
fn freelancer(first: Date, last: Date, seed: u64) -> Psu {
    let owner = "Jonas Keller";
    let mut business = Ledger::new(first, seed, euros(732_110));
    let mut joint = Ledger::new(first, seed ^ 0x3c3c, euros(98_040));
    let (business_iban, joint_iban) = (iban(1_000_310), iban(1_000_311));
    for day in days(first, last) {
        if matches!(day.day(), 6 | 17) {
            let invoice = i64::from(business.dice.below(260_000)) + 60_000;
            let text = format!("Rechnung {}-{:02}{:02}", day.year(), day.month(), day.day());
            business.transfer(day, invoice, "Studio Halbmond GbR", &iban(7_700_110), &text, CREDIT);
        }
        if day.day() == 10 {
            business.transfer(day, -61_240, "Finanzamt Mitte", &iban(5_500_001), "Umsatzsteuer", TRANSFER);
        }
        if day.day() == 1 {
            business.transfer(day, -230_000, owner, &joint_iban, "Haushaltskasse", STANDING_ORDER);
            joint.transfer(day, 230_000, owner, &business_iban, "Haushaltskasse", CREDIT);
        }
        for bill in JOINT_BILLS {
            joint.bill(day, bill);
        }
        joint.spend(day, 45);
        business.spend(day, 8);
    }
    Psu {
        username: "jonas".to_owned(),
        password: "sandbox-jonas".to_owned(),
        name: owner.to_owned(),
        accounts: vec![
            business.into_account(business_iban, "Geschäftskonto", "Büro", "CACC", owner),
            joint.into_account(joint_iban, "Gemeinschaftskonto", "Familie", "CACC", "Jonas Keller und Aylin Keller"),
        ],
    }
}

/// Purpose, ISO 20022 bank transaction code, the bank's own code.
type Kind = (Option<&'static str>, &'static str, &'static str);
const SALARY: Kind = (Some("SALA"), "PMNT-RCDT-SALA", "NTRF+153");
const CREDIT: Kind = (None, "PMNT-RCDT-ESCT", "NTRF+166");
const TRANSFER: Kind = (None, "PMNT-ICDT-ESCT", "NTRF+116");
const STANDING_ORDER: Kind = (None, "PMNT-ICDT-STDO", "NTRF+117");
const DIRECT_DEBIT: Kind = (None, "PMNT-RDDT-ESDD", "NDDT+105");
const CARD: Kind = (None, "PMNT-CCRD-POSD", "NDDT+106");
const CASH: Kind = (None, "PMNT-CCRD-CWDL", "NTRF+083");
const FEE: Kind = (None, "ACMT-MDOP-CHRG", "NCHG+808");
const INTEREST: Kind = (None, "ACMT-MCOP-INTR", "NINT+814");

/// Something that comes every month, or every third.
struct Bill {
    day: i8,
    every_months: i8,
    cents: i64,
    name: &'static str,
    text: &'static str,
    kind: Kind,
}

const fn debit(day: i8, every_months: i8, cents: i64, name: &'static str, text: &'static str) -> Bill {
    Bill { day, every_months, cents, name, text, kind: DIRECT_DEBIT }
}

const EMPLOYEE_BILLS: &[Bill] = &[
    Bill {
        day: 1,
        every_months: 1,
        cents: 89_000,
        name: "Hausverwaltung Lindenhof",
        text: "Miete Wohnung 12",
        kind: STANDING_ORDER,
    },
    debit(4, 1, 5_800, "Deutsche Bahn Connect", "Deutschlandticket"),
    debit(5, 1, 3_999, "Telekom Deutschland GmbH", "Festnetz Vertragskonto 4711000815"),
    debit(8, 1, 1_999, "Telefonica Germany GmbH", "Mobilfunk Kd.Nr. 6003311"),
    debit(12, 1, 1_399, "NETFLIX INTERNATIONAL B.V.", "Netflix Monatsabo"),
    debit(15, 1, 7_400, "Stadtwerke Musterstadt", "Abschlag Strom VK 2200871"),
    debit(15, 3, 5_508, "Rundfunk ARD, ZDF, DRadio", "Rundfunkbeitrag"),
    debit(16, 1, 1_099, "PayPal Europe S.a.r.l. et Cie S.C.A", "1042331 . SPOTIFY, Ihr Einkauf bei SPOTIFY"),
    debit(20, 1, 2_490, "Kletterhalle Südwand", "Mitgliedsbeitrag"),
    debit(22, 3, 8_711, "HUK-COBURG", "Haftpflicht und Hausrat"),
];

const JOINT_BILLS: &[Bill] = &[
    debit(1, 1, 118_000, "Wohnungsgenossenschaft Nordpark", "Nutzungsgebühr"),
    debit(7, 1, 9_600, "Vattenfall Europe Sales GmbH", "Abschlag Strom und Gas"),
    debit(11, 1, 4_495, "Vodafone GmbH", "Kabel Internet"),
    debit(15, 3, 5_508, "Rundfunk ARD, ZDF, DRadio", "Rundfunkbeitrag"),
];

/// Shops: name as the terminal sends it, place, lowest and highest amount in cents.
const SHOPS: &[(&str, &str, u32, u32)] = &[
    ("REWE Markt GmbH", "BERLIN", 480, 7_900),
    ("EDEKA NORD", "BERLIN", 350, 6_400),
    ("LIDL SAGT DANKE", "BERLIN", 290, 5_200),
    ("ALDI NORD", "BERLIN", 310, 4_800),
    ("DM DROGERIEMARKT", "BERLIN", 245, 3_900),
    ("BACKHAUS LIEBIG", "BERLIN", 190, 980),
    ("ARAL STATION 0815", "POTSDAM", 3_100, 8_900),
    ("DB VERTRIEB GMBH", "FRANKFURT", 1_290, 9_900),
    ("AMZN MKTP DE", "LUXEMBURG", 699, 12_900),
    ("ZALANDO SE", "BERLIN", 1_999, 14_900),
    ("IKEA DEUTSCHLAND", "BERLIN", 990, 18_900),
    ("CAFE EINSTEIN", "BERLIN", 420, 2_600),
    ("APOTHEKE AM MARKT", "BERLIN", 380, 4_400),
    ("FLINK SE", "BERLIN", 1_150, 4_900),
];

/// Purchases abroad: name, currency, rate in ten-thousandths of a euro, lowest and highest amount in cents.
const ABROAD: &[(&str, &str, i64, u32, u32)] = &[
    ("COOP-1422 ZUERICH", "CHF", 10_614, 1_200, 9_800),
    ("TFL TRAVEL CH LONDON", "GBP", 11_873, 280, 1_560),
    ("GITHUB, INC.", "USD", 8_641, 400, 2_100),
];

/// One account being written.
struct Ledger {
    opening: Money,
    first: Date,
    rows: Vec<Row>,
    dice: Dice,
}

impl Ledger {
    fn new(first: Date, seed: u64, opening: Money) -> Self {
        Self { opening, first, rows: Vec::new(), dice: Dice(seed) }
    }

    fn own(&self, amount: i64) -> Money {
        Money::new(Decimal::new(amount, 2), self.opening.currency())
    }

    /// A row booked on its own day, or the next working day.
    fn plain(&mut self, day: Date, amount: i64, text: &str, kind: Kind) -> &mut Row {
        let booked = working_day(day);
        let row = Row {
            transaction_id: format!("{}{:05}", booked.strftime("%Y%m%d"), self.rows.len()),
            entered: booked,
            booked,
            money: self.own(amount),
            counterparty: None,
            counterparty_iban: None,
            remittance: text.to_owned(),
            end_to_end_id: None,
            mandate_id: None,
            creditor_id: None,
            purpose_code: kind.0,
            bank_transaction_code: kind.1,
            proprietary_code: kind.2,
            exchange: None,
        };
        let at = self.rows.len();
        self.rows.push(row);
        &mut self.rows[at]
    }

    fn transfer(&mut self, day: Date, amount: i64, name: &str, iban: &str, text: &str, kind: Kind) {
        let row = self.plain(day, amount, text, kind);
        row.counterparty = Some(name.to_owned());
        row.counterparty_iban = Some(iban.to_owned());
        row.end_to_end_id = Some("NOTPROVIDED".to_owned());
    }

    fn salary(&mut self, day: Date, on: i8, amount: i64, employer: &str) {
        if day.day() == on {
            let text = format!("Lohn/Gehalt {:02}/{}", day.month(), day.year());
            self.transfer(day, amount, employer, &iban(8_800_042), &text, SALARY);
        }
    }

    fn bill(&mut self, day: Date, bill: &Bill) {
        if day.day() != bill.day || day.month() % bill.every_months != 0 {
            return;
        }
        let number = i64::from(bill.day) * 1_000 + bill.cents;
        let text = format!("{} {:02}/{}", bill.text, day.month(), day.year());
        self.transfer(day, -bill.cents, bill.name, &iban(number.unsigned_abs()), &text, bill.kind);
        if bill.kind.1 == DIRECT_DEBIT.1
            && let Some(row) = self.rows.last_mut()
        {
            // Announced the working day before it is booked.
            row.entered = previous_working_day(row.booked);
            row.mandate_id = Some(format!("MREF-{number}"));
            row.creditor_id = Some(format!("DE98ZZZ{:011}", number));
            row.end_to_end_id = Some(format!("{number}-{}", day.strftime("%Y%m")));
        }
    }

    /// What a day's errands bring: mostly one card purchase, sometimes cash, a purchase abroad, a refund.
    fn spend(&mut self, day: Date, chance_percent: u32) {
        if self.dice.below(100) < chance_percent {
            let (shop, place, low, high) = SHOPS[self.dice.index(SHOPS.len())];
            let amount = i64::from(low + self.dice.below(high - low));
            self.card(day, -amount, shop, place);
            if shop == "ZALANDO SE" && self.dice.below(3) == 0 {
                self.card(day.saturating_add(9.days()), amount / 2, shop, place);
            }
        }
        match self.dice.below(100) {
            0..=2 => {
                let notes = i64::from(1 + self.dice.below(8)) * 2_500;
                self.plain(
                    day,
                    -notes,
                    &format!("GA NR00012345 BLZ{BANK_CODE} {}", day.strftime("%d.%m/%H:00UHR")),
                    CASH,
                );
            }
            3..=4 if chance_percent > 20 => self.abroad(day),
            _ => {}
        }
    }

    /// A card payment: known at once, booked one to three working days later.
    fn card(&mut self, day: Date, amount: i64, shop: &str, place: &str) {
        let wait = 1 + self.dice.below(3);
        let booked = (0..wait).fold(day, |day, _| working_day(day.saturating_add(1.day())));
        let clock = format!("{:02}:{:02}", 8 + self.dice.below(12), self.dice.below(60));
        let text = format!("{shop}//{place}/DE / {}T{clock} Folgenr. 01 Verfalld. 2029-12", day);
        let row = self.plain(booked, amount, &text, CARD);
        row.entered = day;
        row.counterparty = Some(shop.to_owned());
    }

    fn abroad(&mut self, day: Date) {
        let (shop, currency, rate, low, high) = ABROAD[self.dice.index(ABROAD.len())];
        let foreign = i64::from(low + self.dice.below(high - low));
        self.card(day, -(foreign * rate / 10_000), shop, currency);
        if let Some(row) = self.rows.last_mut() {
            row.exchange =
                Some(Exchange { instructed: cents(foreign, currency), rate: Decimal::new(rate, 4).to_string() });
        }
    }

    fn into_account(self, iban: String, product: &str, name: &str, kind: &'static str, owner: &str) -> Account {
        let first = self.first;
        let mut rows = self.rows;
        rows.retain(|row| row.entered >= first);
        rows.sort_by_key(|row| row.entered);
        Account {
            iban,
            product: product.to_owned(),
            name: name.to_owned(),
            cash_account_type: kind,
            owner_name: owner.to_owned(),
            opening: self.opening,
            rows,
        }
    }
}

fn days(first: Date, last: Date) -> impl Iterator<Item = Date> {
    first.series(1.day()).take_while(move |day| *day <= last)
}

fn is_quarter_end(day: Date) -> bool {
    day.month() % 3 == 0 && day == day.last_of_month()
}

/// The day itself, or the Monday after a weekend.
fn working_day(day: Date) -> Date {
    match day.weekday() {
        Weekday::Saturday => day.saturating_add(2.days()),
        Weekday::Sunday => day.saturating_add(1.day()),
        _ => day,
    }
}

fn previous_working_day(day: Date) -> Date {
    match day.weekday() {
        Weekday::Monday => day.saturating_sub(3.days()),
        Weekday::Sunday => day.saturating_sub(2.days()),
        _ => day.saturating_sub(1.day()),
    }
}

fn euros(amount: i64) -> Money {
    Money::new(Decimal::new(amount, 2), Currency::EUR)
}

fn cents(amount: i64, currency: &str) -> Money {
    // The codes in this file are ISO 4217; the test below reads them all.
    Money::new(Decimal::new(amount, 2), currency.parse().unwrap_or(Currency::EUR))
}

/// A German IBAN with its check digits (ISO 13616: mod 97 of the rearranged number, `DE` as 1314).
fn iban(account: u64) -> String {
    let bban = format!("{BANK_CODE}{account:010}");
    let remainder =
        format!("{bban}131400").bytes().fold(0_u32, |rest, digit| (rest * 10 + u32::from(digit - b'0')) % 97);
    format!("DE{:02}{bban}", 98 - remainder)
}

/// SplitMix64: even enough for shopping, and the same on every machine. Not for secrets.
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly below `bound`, near enough: the bias of a remainder is invisible in a shopping list.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        (self.next() % u64::from(bound.max(1))) as u32
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        (self.next() % length.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const TODAY: Date = jiff::civil::date(2026, 11, 21);

    fn listing(data: &BankData) -> Vec<String> {
        let accounts = data.psus.iter().flat_map(|psu| &psu.accounts);
        accounts
            .flat_map(|account| account.rows.iter().map(move |row| (account, row)))
            .map(|(account, row)| format!("{} {} {} {}", account.iban, row.transaction_id, row.money, row.remittance))
            .collect()
    }

    #[test]
    fn the_same_day_and_seed_give_the_same_books() {
        let first = listing(&BankData::generate(TODAY, 7));
        assert_eq!(first, listing(&BankData::generate(TODAY, 7)));
        assert_ne!(first, listing(&BankData::generate(TODAY, 8)));
    }

    #[test]
    fn the_books_look_like_a_household() {
        for today in [TODAY, jiff::civil::date(2027, 1, 2), jiff::civil::date(2028, 2, 29)] {
            let data = BankData::generate(today, 1);
            let mara = &data.psus[0];
            let current = &mara.accounts[0];
            let booked = current.booked(today, Date::MIN, Date::MAX);
            assert!((500..900).contains(&booked.len()), "{}", booked.len());
            assert!(!current.pending(today).is_empty());
            let salaries = booked.iter().filter(|row| row.purpose_code == Some("SALA")).count();
            assert!((17..=19).contains(&salaries), "{salaries}");
            assert!(booked.iter().any(|row| row.exchange.is_some()));
            assert!(
                booked
                    .iter()
                    .any(|row| row.money.amount().is_sign_positive()
                        && row.counterparty.as_deref() == Some("ZALANDO SE"))
            );
            assert_eq!(mara.accounts[2].opening.currency().code(), "USD");
            for account in data.psus.iter().flat_map(|psu| &psu.accounts) {
                let ids: HashSet<&str> = account.rows.iter().map(|row| row.transaction_id.as_str()).collect();
                assert_eq!(ids.len(), account.rows.len());
                assert!(account.rows.iter().all(|row| row.entered <= row.booked));
                assert!(account.rows.iter().all(|row| row.money.currency() == account.opening.currency()));
                assert!(account.balances(today).booked.amount().is_sign_positive(), "{}", account.name);
            }
        }
    }

    #[test]
    fn a_pending_row_is_booked_when_its_day_comes() {
        let data = BankData::generate(TODAY, 1);
        let account = &data.psus[0].accounts[0];
        let pending: Vec<String> = account.pending(TODAY).iter().map(|row| row.transaction_id.clone()).collect();
        let later = TODAY.saturating_add(7.days());
        let booked: HashSet<&str> =
            account.booked(later, TODAY, later).iter().map(|row| row.transaction_id.as_str()).collect();
        assert!(!pending.is_empty());
        assert!(pending.iter().all(|id| booked.contains(id.as_str())));
        assert!(account.pending(later).iter().all(|row| !pending.contains(&row.transaction_id)));
    }

    #[test]
    fn check_digits_hold() {
        for number in [1_000_200, 0, 9_999_999_999] {
            let iban = iban(number);
            let rearranged = format!("{}1314{}", &iban[4..], &iban[2..4]);
            let rest = rearranged.bytes().fold(0, |rest, digit| (rest * 10 + u32::from(digit - b'0')) % 97);
            assert_eq!((iban.len(), rest), (22, 1), "{iban}");
        }
    }

    #[test]
    fn every_foreign_currency_is_an_iso_code() {
        assert!(ABROAD.iter().all(|(_, code, ..)| code.parse::<Currency>().is_ok()));
    }
}
