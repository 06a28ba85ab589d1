//! Every bank's rows into one truthful shape: sign, day, status, other side, category, each with where it came from.
//!
//! Pure: the same row and the same rules give the same bytes, on any machine and on any day. Rules are values
//! ([`domain::rules::Rules`]) and data (`data/`), never a bank's name in code. This crate must never know JSON or HTTP,
//! and it must never guess: what can be read in two ways is an issue, and a row without a certain amount is refused.

mod amount;
pub mod balances;
mod category;
mod dates;
mod exchange;
mod holder;
pub mod identity;
mod meaning;
pub mod merchant;
mod names;
mod party;
pub mod reconcile;
pub mod recurring;
mod romanised;
mod text;

use std::cell::RefCell;

use domain::money::{Currency, Money};
use domain::records::{
    BalanceKind, Holder, Issue, List, Normalized, NormalizedBalance, Parsed, ParsedBalance, Place, Provenance, Status,
    Text,
};
use domain::rules::{Rules, SignRule};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

pub use crate::amount::same_account;
use crate::amount::{Direction, Group, Hints};
use crate::holder::Own;
pub use crate::meaning::with_accounts_of;
pub use crate::text::is_grammar;

/// Longest time between booking and value day that passes without a remark, in days.
const DAYS_APART_MAX: i32 = 366;

/// Fields whose origin a row tells, as a rule.
const FIELDS: usize = 12;

/// The currency code of "no currency" (ISO 4217), which a row keeps when its bank names none.
const NO_CURRENCY: &str = "XXX";

/// A row under normalisation: what is found, where it was found, and the doubts.
struct Work<'a> {
    parsed: &'a Parsed,
    rules: &'a Rules,
    zone: TimeZone,
    provenance: Vec<Provenance>,
    issues: Vec<Issue>,
}

/// What was found of a row before its meaning is sought.
struct Known<'a> {
    holder: &'a Holder,
    own: &'a Own<'a>,
    direction: Direction,
    kind: Option<&'static str>,
    name: Option<&'a str>,
    through: Option<&'static str>,
    text: Option<&'a str>,
}

/// Turns a parsed row into a finished transaction.
///
/// # Errors
///
/// The issues, when the row must not be booked: no amount, an amount that cannot be read with certainty, a currency that
/// is none, a row that is announced or rejected and not a movement of money.
pub fn transaction(parsed: &Parsed, holder: &Holder, rules: &Rules) -> Result<Normalized, Vec<Issue>> {
    let mut work = Work::new(parsed, rules);
    let reading = text::read(parsed, &rules.grammars);
    if reading.is_statement() && work.is_line_of_statement() {
        work.doubt("row.statement_line", "the row tells a balance and is no movement of money");
        return Err(work.issues);
    }
    let (status, value, currency) = match (work.status(), work.number(), work.currency(holder)) {
        (Some(status), Some(number), Some(currency)) if work.is_certain(&number, currency) => {
            (status, number.value, currency)
        }
        _ => return Err(work.issues),
    };
    let kind = reading.kind();
    let is_purchase = matches!(kind, Some("card" | "purchase"));
    let hints = Hints { holder, pending_purchase: status == Status::Pending && is_purchase };
    let money = work.money(value, currency, &hints);
    let booking_date = work.day(parsed.booking_date.as_ref(), "booking_date");
    let value_date = work.day(parsed.value_date.as_ref(), "value_date");
    let transaction_date = work.purchase_day(&reading, booking_date.or(value_date));
    work.check_days(status, booking_date, value_date);
    let direction = if money.amount().is_sign_negative() { Direction::Out } else { Direction::In };
    let own = Own::of(parsed, holder, direction);
    let row = party::Row { parsed, direction, reading: &reading, own: &own, rules };
    let side = row.counterparty(&mut work.issues);
    work.provenance.extend(side.origin);
    let exchange = exchange::read(parsed, &money, rules, &mut work.provenance, &mut work.issues);
    let description = work.description();
    let meaning = work.meaning(Known {
        holder,
        own: &own,
        direction,
        kind,
        name: side.counterparty.name.as_deref(),
        through: side.through,
        text: description.as_deref(),
    });
    let reference = parsed.references.entry_reference.as_ref().or(parsed.references.transaction_id.as_ref());
    Ok(Normalized {
        money,
        status,
        booking_date,
        value_date,
        transaction_date,
        counterparty: side.counterparty,
        operation: meaning.operation,
        merchant: meaning.merchant,
        merchant_id: meaning.merchant_id,
        intermediary: meaning.intermediary,
        category: meaning.category.map(str::to_owned),
        instructed: exchange.instructed,
        exchange_rate: exchange.rate,
        description,
        bank_reference: work.copy(reference, "bank_reference"),
        end_to_end_id: work.copy(parsed.references.end_to_end_id.as_ref(), "end_to_end_id"),
        bank_transaction_code: work.copy(parsed.bank_transaction_code.as_ref(), "bank_transaction_code"),
        balance_after: work.balance_after(holder.currency.unwrap_or(currency)),
        provenance: work.provenance,
        issues: work.issues,
    })
}

impl<'a> Work<'a> {
    fn new(parsed: &'a Parsed, rules: &'a Rules) -> Self {
        let mut issues = parsed.issues.clone();
        let zone = zone(rules, &mut issues);
        Self { parsed, rules, zone, provenance: Vec::with_capacity(FIELDS), issues }
    }

    fn came_from(&mut self, field: &'static str, from: &Text, rule: &'static str) {
        self.provenance.push(Provenance { field, path: from.path.clone(), rule });
    }

    fn doubt(&mut self, code: &'static str, text: &str) {
        self.issues.push(Issue::new(code, text));
    }

    fn copy(&mut self, from: Option<&Text>, field: &'static str) -> Option<String> {
        let from = from?;
        self.came_from(field, from, "copied");
        Some(from.value.clone())
    }

    /// Whether nothing speaks for a movement of money: nobody on either side, no code of an operation, and a balance behind
    /// it, where there is one, that is the amount itself.
    fn is_line_of_statement(&self) -> bool {
        let parsed = self.parsed;
        let nobody = [&parsed.creditor, &parsed.debtor, &parsed.counterparty]
            .iter()
            .all(|party| party.name.is_none() && party.account.is_none());
        let value = |token: &Text| amount::number(&token.value, self.rules.decimal_mark, false).map(|n| n.value.abs());
        let balance = parsed.balance_after.as_ref().and_then(value);
        nobody
            && parsed.bank_transaction_code.is_none()
            && (balance.is_none() || balance == parsed.amount.as_ref().and_then(value))
    }

    /// Operation, merchant and category, by the name and the text that were found.
    fn meaning(&mut self, known: Known<'_>) -> meaning::Meaning {
        let (_, ours) = known.own.other_side(self.parsed, known.direction);
        self.issues.extend(meaning::own_side(known.holder, ours));
        let origin = |field: &str| {
            let from = self.provenance.iter().find(|from| from.field == field);
            from.map_or(Place::At(&""), |from| from.path.clone())
        };
        let row = meaning::Row {
            parsed: self.parsed,
            holder: known.holder,
            own: known.own,
            rules: self.rules,
            direction: known.direction,
            through: known.through,
            kind: known.kind,
            name: known.name.map(|name| (name, origin("counterparty"))),
            text: known.text.map(|text| (text, origin("description"))),
        };
        row.meaning(&mut self.provenance)
    }

    /// The word inside the row, else the list, else whether it has been booked on some day.
    fn status(&mut self) -> Option<Status> {
        let by_list = match self.parsed.list {
            List::Booked => Some(Status::Booked),
            List::Pending => Some(Status::Pending),
            List::Information => {
                self.doubt("status.announced", "the row is an announcement and not a movement of money");
                return None;
            }
            List::Unstated => None,
        };
        if let Some(word) = &self.parsed.status {
            match status_word(&word.value) {
                Some(Word::Is(status)) => {
                    if by_list.is_some_and(|list| list != status) {
                        self.doubt(
                            "status.conflict",
                            "the row and its list disagree about the status; the row was believed",
                        );
                    }
                    self.came_from("status", word, "status.word");
                    return Some(status);
                }
                Some(Word::NoMovement) => {
                    self.doubt("status.no_movement", "the row is rejected, cancelled or announced: no money has moved");
                    return None;
                }
                None => self.doubt("status.unknown_word", "the status is no word of a standard"),
            }
        }
        if by_list.is_none() && self.parsed.booking_date.is_none() {
            self.doubt(
                "status.assumed",
                "neither the row nor its list tells the status; without booking day it is pending",
            );
        }
        by_list.or(Some(if self.parsed.booking_date.is_some() { Status::Booked } else { Status::Pending }))
    }

    fn number(&mut self) -> Option<amount::Number> {
        let Some(token) = &self.parsed.amount else {
            self.doubt("amount.missing", "the row has no amount");
            return None;
        };
        match amount::number(&token.value, self.rules.decimal_mark, self.parsed.amount_is_number) {
            Some(number) => {
                if number.unusual {
                    self.doubt("amount.unusual_form", "the amount is not written as the standards write it");
                }
                Some(number)
            }
            None => {
                self.doubt("amount.malformed", "the amount is not a number that can be read in one way only");
                None
            }
        }
    }

    /// Whether the amount can be read in one way only in its currency: three digits behind a lone mark are thousands or
    /// decimals where the currency has fewer than three, unless the last one says nothing.
    fn is_certain(&mut self, number: &amount::Number, currency: Currency) -> bool {
        if number.group == Group::No || currency.exponent() > 2 {
            return true;
        }
        let is_likely = is_likely_thousands(number, currency);
        if is_likely {
            self.doubt("amount.malformed", "three digits behind the mark are thousands or no amount of this currency");
        } else {
            self.doubt("amount.unusual_form", "three digits stand behind the mark; they were read as decimals");
        }
        !is_likely
    }

    /// The row's currency, else the account's; a row of neither keeps "no currency" and says so.
    fn currency(&mut self, holder: &Holder) -> Option<Currency> {
        let named = self.parsed.currency.as_ref().filter(|token| !token.value.eq_ignore_ascii_case(NO_CURRENCY));
        let Some(token) = named else {
            if let Some(currency) = holder.currency {
                self.doubt("currency.of_account", "the row names no currency; the account's was taken");
                return Some(currency);
            }
            self.doubt("currency.missing", "neither the row nor the account names a currency");
            return NO_CURRENCY.parse().ok();
        };
        let found = token.value.parse().or_else(|_| token.value.to_ascii_uppercase().parse());
        match found {
            Ok(currency) => {
                self.came_from("currency", token, "copied");
                Some(currency)
            }
            Err(_) => {
                self.doubt("currency.unknown", "the currency is no ISO 4217 code");
                None
            }
        }
    }

    fn money(&mut self, value: Decimal, currency: Currency, hints: &Hints<'_>) -> Money {
        let (signed, rule) = amount::signed(value, self.parsed, self.rules.sign, hints, &mut self.issues);
        if let Some(token) = &self.parsed.amount {
            self.came_from("amount", token, rule);
        }
        if value.normalize().scale() > currency.exponent() {
            self.doubt("amount.precision", "the amount has more digits than its currency's minor unit");
        }
        Money::new(signed, currency)
    }

    /// The running balance. Money owed is negative everywhere, whether a sign says so or an indicator.
    /// The running balance, in its own currency, else the account's.
    fn balance_after(&mut self, account: Currency) -> Option<Money> {
        let token = self.parsed.balance_after.as_ref()?;
        let named = self.parsed.balance_after_currency.as_ref();
        let currency = named.and_then(|code| code.value.to_ascii_uppercase().parse().ok()).unwrap_or(account);
        let number = amount::number(&token.value, self.rules.decimal_mark, false);
        let Some(number) = number.filter(|number| !is_likely_thousands(number, currency)) else {
            self.doubt("balance_after.malformed", "the balance after the row cannot be read in one way only");
            return None;
        };
        self.came_from("balance_after", token, "copied");
        let indicator = self.parsed.balance_after_indicator.as_ref().map(|word| word.value.as_str());
        Some(Money::new(amount::signed_balance(number.value, indicator), currency))
    }

    fn day(&mut self, from: Option<&Text>, field: &'static str) -> Option<Date> {
        let from = from?;
        match dates::day(&from.value, &self.zone, &self.rules.date_layouts) {
            Ok((date, rule)) => {
                self.came_from(field, from, rule);
                Some(date)
            }
            Err(dates::NoDay::Filler) => {
                self.issues.push(Issue::new("date.filler", format!("{field} is a filler, not a day")));
                None
            }
            Err(dates::NoDay::Malformed) => {
                self.issues.push(Issue::new("date.malformed", format!("{field} is no date")));
                None
            }
        }
    }

    /// The field, else the day in the text.
    fn purchase_day(&mut self, reading: &text::Reading<'_>, anchor: Option<Date>) -> Option<Date> {
        if let Some(date) = self.day(self.parsed.transaction_date.as_ref(), "transaction_date") {
            return Some(date);
        }
        let day = reading.day()?;
        let Some(date) = day.date(anchor) else {
            self.doubt("transaction_date.no_year", "the text has a day without a year and no booking day is near it");
            return None;
        };
        self.provenance.push(Provenance { field: "transaction_date", path: day.path, rule: day.rule });
        Some(date)
    }

    fn check_days(&mut self, status: Status, booking: Option<Date>, value: Option<Date>) {
        if status == Status::Booked && booking.is_none() {
            self.doubt("booking_date.missing", "the row is booked and has no booking day");
        }
        if let (Some(booking), Some(value)) = (booking, value)
            && booking.duration_since(value).abs() > jiff::SignedDuration::from_hours(i64::from(DAYS_APART_MAX) * 24)
        {
            self.doubt("date.far_apart", "booking day and value day are more than a year apart");
        }
    }

    /// What the holder or the bank wrote: the lines, else the structured text; then notes that are not mere identifiers.
    fn description(&mut self) -> Option<String> {
        let lines = if self.parsed.remittance.is_empty() {
            &self.parsed.remittance_structured
        } else {
            &self.parsed.remittance
        };
        let notes = self.parsed.additional.iter().filter(|note| note.value.contains(' '));
        let letters = lines.iter().chain(notes.clone()).map(|text| text.value.len() + 1).sum();
        let mut joined = String::with_capacity(letters);
        let mut is_broken = false;
        for line in lines.iter().chain(notes).map(|text| text.value.as_str()) {
            for word in line.split_whitespace() {
                let goes_on = std::mem::take(&mut is_broken) && word.starts_with(char::is_lowercase);
                if !joined.is_empty() && !goes_on {
                    joined.push(' ');
                }
                joined.push_str(word);
            }
            is_broken = text::is_full(line);
        }
        let from = lines.first().or(self.parsed.additional.first())?;
        if joined.is_empty() {
            return None;
        }
        self.came_from("description", from, "text.joined");
        Some(joined)
    }
}

/// Whether three digits behind a lone mark are more likely thousands than decimals of a currency: with a zero at their end
/// they may be decimals, but not where the currency has none (`-1.200` yen).
fn is_likely_thousands(number: &amount::Number, currency: Currency) -> bool {
    match number.group {
        Group::No => false,
        Group::Likely => currency.exponent() < 3,
        Group::Perhaps => currency.exponent() == 0,
    }
}

thread_local! {
    /// The zone that was asked for last, by its name: to look for it costs as much as reading a day, and rows of a bank have
    /// the same.
    static LAST_ZONE: RefCell<Option<(String, TimeZone)>> = const { RefCell::new(None) };
}

fn zone(rules: &Rules, issues: &mut Vec<Issue>) -> TimeZone {
    let known =
        LAST_ZONE.with_borrow(|last| last.as_ref().filter(|(name, _)| *name == rules.zone).map(|(_, z)| z.clone()));
    known.unwrap_or_else(|| match TimeZone::get(&rules.zone) {
        Ok(zone) => {
            LAST_ZONE.set(Some((rules.zone.clone(), zone.clone())));
            zone
        }
        Err(_) => {
            issues.push(Issue::new("rules.zone_unknown", "the rules name no IANA zone; instants were read in UTC"));
            TimeZone::UTC
        }
    })
}

enum Word {
    Is(Status),
    NoMovement,
}

/// Status words of the standards: ISO 20022 entry status, OBIE 3, CDR, FDX, STET, and those of native interfaces.
fn status_word(word: &str) -> Option<Word> {
    Some(match word.to_ascii_uppercase().as_str() {
        "BOOK" | "BOOKED" | "POSTED" | "COMPLETED" | "SETTLED" | "TRANSACAO_EFETIVADA" | "DONE" => {
            Word::Is(Status::Booked)
        }
        "PDNG" | "PENDING" | "AUTHORIZATION" | "HOLD" | "HELD" | "TRANSACAO_PROCESSANDO" => Word::Is(Status::Pending),
        "RJCT" | "REJECTED" | "DECLINED" | "CANCELLED" | "CANCELED" | "REVERTED" | "FAILED" | "INFO"
        | "INFORMATION" | "FUTR" | "FUTURE" | "LANCAMENTO_FUTURO" | "MEMO" | "SCHEDULED" => Word::NoMovement,
        _ => return None,
    })
}

/// Turns a parsed balance into a typed one.
///
/// # Errors
///
/// The issues, when the figure must not be shown: no amount, an amount or a currency that cannot be read.
pub fn balance(parsed: &ParsedBalance, rules: &Rules) -> Result<NormalizedBalance, Vec<Issue>> {
    let mut issues = Vec::new();
    let zone = zone(rules, &mut issues);
    let row = Parsed {
        amount: parsed.amount.clone(),
        currency: parsed.currency.clone(),
        indicator: parsed.indicator.clone(),
        ..Parsed::default()
    };
    let mut work = Work { parsed: &row, rules, zone, provenance: Vec::new(), issues };
    let holder = Holder::default();
    let (Some(number), Some(currency)) = (work.number(), work.currency(&holder)) else { return Err(work.issues) };
    let is_named = parsed.currency.is_some() && currency.code() != NO_CURRENCY;
    if !is_named || !work.is_certain(&number, currency) {
        return Err(work.issues);
    }
    // A balance has no payer and no pending purchase, and its sign is never turned: money owed is negative everywhere.
    let rule = if rules.sign == SignRule::Indicator { SignRule::Indicator } else { SignRule::Either };
    let hints = Hints { holder: &holder, pending_purchase: false };
    let (signed, _) = amount::signed(number.value, &row, rule, &hints, &mut work.issues);
    Ok(NormalizedBalance {
        money: Money::new(signed, currency),
        kind: parsed.kind.as_ref().map_or(BalanceKind::Unknown, |kind| balance_kind(&kind.value)),
        credit_limit_included: parsed.credit_limit_included.or_else(|| includes_credit(parsed.kind.as_ref())),
        reference_date: work.day(parsed.reference_date.as_ref(), "reference_date"),
        last_change: parsed.last_change.as_ref().and_then(|text| instant(&text.value, &work.zone)),
    })
}

/// `authorised` of the first versions of NextGenPSD2 is by its definition the balance with the credit line.
fn includes_credit(kind: Option<&Text>) -> Option<bool> {
    kind.filter(|kind| kind.value.eq_ignore_ascii_case("authorised")).map(|_| true)
}

/// An instant; one without an offset is local to the bank.
fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let local: jiff::civil::DateTime = text.parse().ok()?;
        Some(local.to_zoned(zone.clone()).ok()?.timestamp())
    })
}

/// Berlin Group words in any case, ISO 20022 codes, and the words of OBIE 3, CDR and STET.
fn balance_kind(word: &str) -> BalanceKind {
    match word.to_ascii_lowercase().as_str() {
        "closingbooked" | "clbd" | "closingcleared" | "previouslyclosedbooked" | "prcd" => BalanceKind::ClosingBooked,
        "expected" | "xpcd" => BalanceKind::Expected,
        "openingbooked" | "opbd" | "openingcleared" => BalanceKind::OpeningBooked,
        "interimavailable" | "itav" | "closingavailable" | "clav" | "openingavailable" | "opav" | "available"
        | "availablebalance" | "authorised" => BalanceKind::InterimAvailable,
        "interimbooked" | "itbd" | "interimcleared" | "current" | "currentbalance" => BalanceKind::InterimBooked,
        "forwardavailable" | "fwav" => BalanceKind::ForwardAvailable,
        "noninvoiced" => BalanceKind::NonInvoiced,
        _ => BalanceKind::Unknown,
    }
}

#[cfg(test)]
mod tests;
