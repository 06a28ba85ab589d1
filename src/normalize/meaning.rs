//! What a row is: the kind of operation, who was paid in truth, and for what.
//!
//! Evidence in one order: own money, codes of banks and payers, the merchant, its category code, words, nothing. Each answer
//! names what it was told by.

use std::borrow::Cow;
use std::str::FromStr as _;
use std::sync::LazyLock;

use domain::records::{Holder, Issue, Normalized, Operation, Parsed, Party, Place, Provenance, Text};
use domain::rules::Rules;
use rustc_hash::FxHashMap;

use crate::amount::{Direction, same_account};
use crate::category;
use crate::holder::Own;
use crate::merchant::{Descriptor, Enriched, Evidence, enrich, names_wallet};
use crate::names;

/// What stands where nothing tells a category.
const OPEN: &str = "other.uncategorised";

/// Brands that stand between payer and payee; whom they paid stands in the text.
const INTERMEDIARIES: [&str; 12] = [
    "PayPal",
    "Klarna",
    "Adyen",
    "Stripe",
    "Mollie",
    "SumUp",
    "Square",
    "Zettle",
    "Clearpay",
    "Afterpay",
    "Riverty",
    "Amazon Pay",
];

/// German business transaction codes (Geschäftsvorfallcodes of DK's DFÜ agreement, annex 3): operation and category.
static GERMAN_CODES: LazyLock<FxHashMap<&'static str, (Operation, &'static str)>> = LazyLock::new(|| {
    let rows = include_str!("data/gvc.csv").lines().skip(1).filter_map(|line| {
        let (code, rest) = line.split_once(',')?;
        let (operation, category) = rest.split_once(',')?;
        Some((code, (Operation::from_str(operation).ok()?, category)))
    });
    rows.collect()
});

/// The rule of a category that another account of the holder's has told.
const OWN_ACCOUNT: &str = "category.own_account";

/// The issue of a row that has another account of the holder's on the holder's own side. Its text begins with the path of
/// the number.
const OWN_SIDE: &str = "counterparty.own_side";

/// The holder as it was known when a row was first read: the numbers that were marked as further accounts of the holder's
/// then ([`Holder::other_accounts`]) still are, and no other number is. So a row keeps what was known, also when that account
/// may no longer be read.
pub fn with_accounts_of<'a>(parsed: &Parsed, holder: &'a Holder, before: &Normalized) -> Cow<'a, Holder> {
    let is_marked = |account: &&Text| {
        let path = account.path.text();
        let begins = |text: &str| text.strip_prefix(&*path).is_some_and(|rest| rest.starts_with(' '));
        before.provenance.iter().any(|from| from.rule == OWN_ACCOUNT && from.path == account.path)
            || before.issues.iter().any(|issue| issue.code == OWN_SIDE && begins(&issue.text))
    };
    let is_other = |number: &String| !holder.account.as_ref().is_some_and(|own| same_account(own, number));
    let sides = [&parsed.creditor, &parsed.debtor, &parsed.counterparty];
    let marked = sides.into_iter().filter_map(|side| side.account.as_ref()).filter(is_marked);
    let numbers: Vec<String> = marked.map(|account| account.value.clone()).filter(is_other).collect();
    if numbers.is_empty() {
        return Cow::Borrowed(holder);
    }
    Cow::Owned(Holder { other_accounts: numbers, ..holder.clone() })
}

/// The doubt about a row that has another account of the holder's on the holder's own side.
pub(crate) fn own_side(holder: &Holder, ours: &Party) -> Option<Issue> {
    let account = ours.account.as_ref().filter(|_| has_own_account(holder, ours))?;
    let text = format!("{} is another account of the holder's, on the holder's own side", account.path);
    Some(Issue::new(OWN_SIDE, text))
}

/// Whether a side of a payment has another account of the holder's.
fn has_own_account(holder: &Holder, side: &Party) -> bool {
    let number = side.account.as_ref().map(|account| account.value.as_str());
    number.is_some_and(|number| holder.other_accounts.iter().any(|own| same_account(own, number)))
}

/// What is known of a row before its meaning is sought.
pub(crate) struct Row<'a> {
    pub(crate) parsed: &'a Parsed,
    pub(crate) holder: &'a Holder,
    pub(crate) own: &'a Own<'a>,
    pub(crate) rules: &'a Rules,
    pub(crate) direction: Direction,
    /// The intermediary whose mark stood in front of the name.
    pub(crate) through: Option<&'static str>,
    /// Kind of operation by the text's grammar.
    pub(crate) kind: Option<&'static str>,
    /// The other side's name and where it was found.
    pub(crate) name: Option<(&'a str, Place)>,
    /// What the holder or the bank wrote, joined, and where it begins.
    pub(crate) text: Option<(&'a str, Place)>,
}

/// What a row is.
#[derive(Default)]
pub(crate) struct Meaning {
    pub(crate) operation: Option<Operation>,
    pub(crate) merchant: Option<String>,
    pub(crate) merchant_id: Option<String>,
    pub(crate) intermediary: Option<String>,
    pub(crate) category: Option<&'static str>,
}

impl Row<'_> {
    /// The meaning, with the origin of each part added.
    pub(crate) fn meaning(self, provenance: &mut Vec<Provenance>) -> Meaning {
        let mut meaning = Meaning::default();
        if let Some((operation, origin)) = self.operation() {
            meaning.operation = Some(operation);
            provenance.push(origin);
        }
        let read = self.read(meaning.operation);
        let (category, origin) = self.category(&read);
        meaning.category = Some(category);
        provenance.push(origin);
        self.merchant(read, &mut meaning, provenance);
        meaning
    }

    /// By the standard's code, the bank's own, the shape of the text, and what only some operations have.
    fn operation(&self) -> Option<(Operation, Provenance)> {
        let told = |operation, path: &Place, rule| {
            Some((operation, Provenance { field: "operation", path: path.clone(), rule }))
        };
        let parsed = self.parsed;
        if let Some(code) = &parsed.bank_transaction_code
            && let Some(operation) = by_code(&code.value)
        {
            return told(operation, &code.path, "operation.bank_transaction_code");
        }
        if let Some((code, (operation, _))) = self.german() {
            return told(operation, &code.path, "operation.german_code");
        }
        if let Some(operation) = self.kind.and_then(by_kind) {
            return told(operation, &Place::At(&"remittance"), "operation.text");
        }
        if let Some(mandate) = parsed.references.mandate_id.as_ref().or(parsed.references.creditor_id.as_ref()) {
            return told(Operation::DirectDebit, &mandate.path, "operation.mandate");
        }
        let code = parsed.mcc.as_ref()?;
        told(Operation::Card, &code.path, "operation.merchant_code")
    }

    fn german(&self) -> Option<(&Text, (Operation, &'static str))> {
        let code = self.parsed.proprietary_code.as_ref()?;
        let number = code.value.split('+').find(|part| part.len() == 3 && part.bytes().all(|b| b.is_ascii_digit()))?;
        code.value.contains('+').then(|| GERMAN_CODES.get(number))?.map(|known| (code, *known))
    }

    fn category(&self, read: &Read) -> (&'static str, Provenance) {
        let told = |category, path: Place, rule| (category, Provenance { field: "category", path, rule });
        if let Some((path, rule)) = self.is_own_money() {
            return told("transfer.internal", path, rule);
        }
        // A purpose stands for both sides of a payment: whoever pays salaries has none.
        let fits = |category: &str| self.direction == Direction::In || !category.starts_with("income.");
        if let Some(by) = category::by_codes(self.parsed).filter(|by| fits(by.0)) {
            return by;
        }
        if let Some((code, (_, category))) = self.german().filter(|(_, (_, category))| !category.is_empty()) {
            return told(category, code.path.clone(), "category.german_code");
        }
        // A person's name says least: what was written about the payment comes before it.
        let is_person = |found: &Enriched| found.evidence == Evidence::Person;
        // Shops pay wages too: what an incoming payment says that it is comes before who sent it.
        let rank = |found: &Enriched| (!self.is_pay(found), is_person(found));
        let mut in_order = [read.merchant.as_ref(), read.text.as_ref()];
        if let [Some((first, _)), Some((second, _))] = in_order
            && rank(second) < rank(first)
        {
            in_order.swap(0, 1);
        }
        for (found, path) in in_order.into_iter().flatten() {
            let rule = match found.evidence {
                Evidence::Brand => "category.merchant",
                Evidence::Code => "category.bank_transaction_code",
                Evidence::MerchantCode => "category.merchant_code",
                Evidence::Words => "category.words",
                Evidence::Person => "category.person",
                Evidence::Nothing => continue,
            };
            return told(found.category, path.clone(), rule);
        }
        if let Some(code) = &self.parsed.mcc
            && let Some(category) = category::of_merchant_code(&code.value)
        {
            return told(category, code.path.clone(), "category.merchant_code");
        }
        let by_kind = match self.kind {
            Some("cash") => "transfer.cash_withdrawal",
            Some("cheque") => "transfer.cheque",
            Some("pocket") => "transfer.internal",
            Some("fee") => "fees.account",
            Some("loan") => "debt.other",
            Some("interest") if self.direction == Direction::In => "income.interest",
            Some("interest") => "fees.interest",
            _ => return told(OPEN, Place::At(&""), "category.nothing_tells"),
        };
        told(by_kind, Place::At(&"remittance"), "category.kind")
    }

    /// Money that only changes its place: the other account is the holder's too, or the other side of a transfer has the
    /// holder's name.
    fn is_own_money(&self) -> Option<(Place, &'static str)> {
        let (other, _) = self.own.other_side(self.parsed, self.direction);
        let sides = [other, &self.parsed.counterparty];
        let own = sides.into_iter().find(|side| has_own_account(self.holder, side));
        if let Some(account) = own.and_then(|side| side.account.as_ref()) {
            return Some((account.path.clone(), OWN_ACCOUNT));
        }
        let is_card = matches!(self.kind, Some("card" | "purchase")) || self.parsed.mcc.is_some();
        let code = self.parsed.bank_transaction_code.as_ref().map_or("", |code| &code.value);
        // Beside the account's own number the holder's name says nothing about the other side.
        let is_other = !is_card && !code.contains("CRD") && !self.own.is_at(other);
        let name = other.name.as_ref().filter(|_| is_other)?;
        self.own.is_name(&name.value).then(|| (name.path.clone(), "category.own_name"))
    }

    /// Whether a wallet stands between, by which friends pay each other too, also with a card.
    fn is_through_wallet(&self) -> bool {
        self.through.is_some_and(names_wallet) || self.text.as_ref().is_some_and(|(text, _)| names_wallet(text))
    }

    fn enriched(&self, text: &str, operation: Option<Operation>) -> Enriched {
        enrich(&Descriptor {
            text,
            country: self.rules.country.as_deref(),
            mcc: self.parsed.mcc.as_ref().map(|code| code.value.as_str()),
            card: operation == Some(Operation::Card) && !self.is_through_wallet(),
            mandate: operation == Some(Operation::DirectDebit),
            incoming: Some(self.direction == Direction::In),
            btc: None,
        })
    }

    /// Reads the name, and the text where the name does not say enough.
    fn read(&self, operation: Option<Operation>) -> Read {
        let enriched = |(text, path): &(&str, Place)| (self.enriched(text, operation), path.clone());
        let of = |text: &Option<(&str, Place)>| text.as_ref().map(enriched);
        let mut read = Read { merchant: of(&self.name), text: None, through: None };
        if let Some(between) = read.merchant.as_ref().and_then(|(found, _)| stands_between(found)) {
            read.through = Some(between.into());
            // Whom it paid stands behind its name; where nothing does, it is the merchant itself.
            let behind = of(&self.text).filter(|(found, _)| found.catalog && stands_between(found).is_none());
            read.merchant = behind.or(read.merchant);
            return read;
        }
        let decided = read.merchant.as_ref().is_some_and(|(found, _)| {
            found.catalog || matches!(found.evidence, Evidence::MerchantCode | Evidence::Words)
        });
        if !decided {
            let mut text = of(&self.text);
            let is_shopping = matches!(operation, Some(Operation::Card | Operation::DirectDebit) | None);
            if self.kind == Some("pocket") || self.name.is_some() && !is_shopping {
                // A friend is not the restaurant that the text is about, nor an own account the brand of its name.
                text.take_if(|(found, _)| found.catalog);
            }
            read.text = text;
        } else if self.direction == Direction::In {
            read.text = of(&self.text).filter(|(found, _)| self.is_pay(found));
        }
        read
    }

    /// Whether words say that an incoming payment is somebody's living.
    fn is_pay(&self, found: &Enriched) -> bool {
        let pay = matches!(found.category, "income.salary" | "income.pension" | "income.benefits");
        self.direction == Direction::In && found.evidence == Evidence::Words && pay
    }

    /// The merchant: a brand wherever it was found, else the shop's own name where something was bought.
    fn merchant(self, read: Read, meaning: &mut Meaning, provenance: &mut Vec<Provenance>) {
        meaning.intermediary = read.through.map(Cow::into_owned).or(self.through.map(str::to_owned));
        let bought = self.direction == Direction::Out
            && matches!(meaning.operation, Some(Operation::Card | Operation::DirectDebit))
            || self.parsed.mcc.is_some();
        let mut found = [read.merchant, read.text].into_iter().flatten();
        let Some((found, path)) = found.find(|(found, _)| found.catalog || (bought && found.merchant.is_some())) else {
            if let Some(name) = self.parsed.merchant_name.as_ref().filter(|_| meaning.merchant.is_none()) {
                meaning.merchant = Some(name.value.clone());
                provenance.push(Provenance { field: "merchant", path: name.path.clone(), rule: "copied" });
            }
            if let Some((_, path)) = self.name.filter(|_| meaning.intermediary.is_some()) {
                provenance.push(Provenance { field: "intermediary", path, rule: "merchant.intermediary" });
            }
            return;
        };
        let named = |via: String| names::intermediary(&via).map_or(via, str::to_owned);
        meaning.intermediary = meaning.intermediary.take().or(found.via.map(named));
        let rule = if found.catalog { "merchant.catalogue" } else { "merchant.cleaned" };
        if meaning.intermediary.is_some() {
            provenance.push(Provenance { field: "intermediary", path: path.clone(), rule: "merchant.intermediary" });
        }
        if found.wikidata.is_some() {
            provenance.push(Provenance { field: "merchant_id", path: path.clone(), rule });
        }
        provenance.push(Provenance { field: "merchant", path, rule });
        meaning.merchant = found.merchant.map(Cow::into_owned);
        meaning.merchant_id = found.wikidata.map(str::to_owned);
    }
}

/// What name and text say, each with its path, and the intermediary that was taken off.
struct Read {
    merchant: Option<(Enriched, Place)>,
    text: Option<(Enriched, Place)>,
    through: Option<Cow<'static, str>>,
}

/// The intermediary that a name is, also with the legal form and the country behind it.
fn stands_between(found: &Enriched) -> Option<&'static str> {
    let name = found.merchant.as_deref()?;
    INTERMEDIARIES.into_iter().find(|between| match name.get(..between.len()) {
        Some(start) if start.eq_ignore_ascii_case(between) => {
            name.len() == between.len() || (!found.catalog && name[between.len()..].starts_with(' '))
        }
        _ => false,
    })
}

/// The operation of an ISO 20022 bank transaction code.
fn by_code(code: &str) -> Option<Operation> {
    let mut parts = code.split('-');
    let (domain, family, sub) = (parts.next()?, parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    Some(match (domain, family, sub) {
        (_, _, "CHRG" | "COMM" | "FEES") => Operation::Fee,
        (_, "MCOP" | "MDOP", "INTR") | ("ACMT", _, "INTR") => Operation::Interest,
        ("PMNT", _, "CWDL" | "CDPT" | "XBCW" | "BCDP" | "BCWD" | "FCDP" | "FCWD") => Operation::Cash,
        ("PMNT", "CCRD" | "MCRD", _) => Operation::Card,
        ("PMNT", "RDDT" | "IDDT", _) => Operation::DirectDebit,
        ("PMNT", "ICDT" | "RCDT", "STDO") => Operation::StandingOrder,
        ("PMNT", "ICDT" | "RCDT" | "IRCT" | "RRCT", _) => Operation::Transfer,
        ("PMNT", "CNTR", _) => Operation::Cash,
        ("PMNT", "DRFT" | "ICHQ" | "RCHQ" | "LBOX", _) => Operation::Cheque,
        ("LDAS", ..) => Operation::Loan,
        ("SECU" | "DERV" | "PMET" | "CMDT", ..) => Operation::Securities,
        _ => return None,
    })
}

/// The operation of a grammar's kind.
fn by_kind(kind: &str) -> Option<Operation> {
    Some(match kind {
        "card" | "purchase" => Operation::Card,
        "transfer" | "pocket" => Operation::Transfer,
        "direct_debit" => Operation::DirectDebit,
        "cash" => Operation::Cash,
        "cheque" => Operation::Cheque,
        "fee" => Operation::Fee,
        "interest" => Operation::Interest,
        "loan" => Operation::Loan,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_german_codes_is_whole() {
        assert_eq!(GERMAN_CODES.len(), include_str!("data/gvc.csv").lines().count() - 1);
        let taxonomy = include_str!("data/taxonomy.json");
        for (code, (_, category)) in GERMAN_CODES.iter() {
            assert!(category.is_empty() || taxonomy.contains(&format!("\"{category}\"")), "{code}: {category}");
        }
    }

    #[test]
    fn every_kind_of_a_grammar_is_an_operation() {
        for kind in crate::text::kinds() {
            assert!(by_kind(kind).is_some(), "{kind}");
        }
    }

    #[test]
    fn codes_tell_the_operation() {
        for (code, operation) in [
            ("PMNT-CCRD-POSD", Some(Operation::Card)),
            ("PMNT-CCRD-CWDL", Some(Operation::Cash)),
            ("PMNT-RDDT-ESDD", Some(Operation::DirectDebit)),
            ("PMNT-ICDT-STDO", Some(Operation::StandingOrder)),
            ("PMNT-RRCT-ESCT", Some(Operation::Transfer)),
            ("PMNT-MDOP-CHRG", Some(Operation::Fee)),
            ("ACMT-MCOP-INTR", Some(Operation::Interest)),
            ("LDAS", Some(Operation::Loan)),
            ("XTND-NTAV-NTAV", None),
            ("", None),
        ] {
            assert_eq!(by_code(code), operation, "{code}");
        }
    }
}
