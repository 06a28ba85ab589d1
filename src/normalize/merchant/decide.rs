//! Which brand a row names, if any, and what it was for: the evidence weighed in one fixed order.

use super::catalogue::{Brand, CATALOGUE, Class, Facts, Name, PLACE_RUN_MAX, RUN_MAX, Sense};
use super::words::{Words, is_short, words};
use super::{Descriptor, Enriched, Evidence};
use crate::category;

mod bearer;

const OPEN: &str = "other.uncategorised";

/// Currencies that banks write beside foreign amounts.
const CURRENCIES: [&str; 20] = [
    "aud", "bgn", "brl", "cad", "chf", "czk", "dkk", "eur", "gbp", "huf", "isk", "jpy", "mxn", "nok", "nzd", "pln",
    "ron", "sek", "usd", "zar",
];

/// Countries as card schemes write them behind a merchant, ISO 3166-1 alpha-3.
const COUNTRIES: [&str; 32] = [
    "are", "aus", "aut", "bel", "bgr", "bra", "can", "che", "cyp", "cze", "deu", "dnk", "esp", "est", "fin", "fra",
    "gbr", "grc", "hrv", "hun", "irl", "isl", "ita", "ltu", "lux", "lva", "nld", "nor", "pol", "prt", "swe", "usa",
];

/// Words of banks that belong to a name when it begins with them.
const ARTICLES: [&str; 11] = ["the", "la", "le", "les", "el", "los", "il", "der", "die", "das", "het"];

/// Intermediaries through which persons pay each other.
const WALLETS: [&str; 12] = [
    "bizum",
    "blik",
    "lydia",
    "lyf",
    "mobilepay",
    "mbway",
    "paypal",
    "payconiq",
    "paytm",
    "satispay",
    "twint",
    "vipps",
];

/// Banks, as the last word of a name: a shop of the name before it is another house.
const BANKS: [&str; 7] = ["banca", "banco", "bank", "banka", "bankas", "banque", "pank"];

/// The part of a name that must be left where it was cut, in percent.
const CUT_PERCENT: usize = 60;

/// A phrase that stands in the row.
struct Found {
    at: usize,
    len: usize,
    sense: Sense,
}

/// A brand that stands in the row.
struct Hit {
    at: usize,
    len: usize,
    brand: &'static Brand,
    sure: f32,
}

/// Whether a text names a wallet through which persons pay each other.
pub(crate) fn names_wallet(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_alphanumeric());
    words.any(|word| WALLETS.iter().any(|wallet| word.eq_ignore_ascii_case(wallet)))
}

/// One descriptor with its words and what each of them is.
pub(super) struct Row<'a> {
    given: &'a Descriptor<'a>,
    words: Words,
    facts: Vec<Facts>,
    /// The category that the merchant category code tells.
    mcc_category: Option<&'static str>,
    found: Vec<Found>,
    /// Words that name nobody: banks' words, numbers, legal forms, places.
    dull: Vec<bool>,
}

impl<'a> Row<'a> {
    pub(super) fn new(given: &'a Descriptor<'a>) -> Self {
        let words = words(given.text);
        let facts = (0..words.len()).map(|at| CATALOGUE.facts(words.text(at))).collect();
        let dull = words.iter().map(|word| word.is_code).collect();
        let mcc_category = given.mcc.and_then(category::of_merchant_code);
        let mut row = Self { given, words, facts, mcc_category, found: Vec::with_capacity(8), dull };
        row.find_phrases();
        row.find_currencies();
        let own = row.own_place();
        row.find_places();
        // Behind words that say more the place stands where towns stand.
        if let Some(place) = own.filter(|place| row.dull[place.end..].iter().all(|dull| *dull)) {
            row.dull[place].fill(false);
        }
        row
    }

    fn find_phrases(&mut self) {
        let mut at = 0;
        while at < self.words.len() {
            let most = usize::from(self.facts[at].phrase).min(self.words.len() - at);
            let longest = (1..=most).rev().find(|len| self.add_senses(at, *len));
            if longest.is_none()
                && let Some(sense) = CATALOGUE.open_sense(self.words.text(at), self.given.incoming)
            {
                self.found.push(Found { at, len: 1, sense });
            }
            at += longest.unwrap_or(1);
        }
    }

    fn add_senses(&mut self, at: usize, len: usize) -> bool {
        let before = self.found.len();
        let text = self.words.spaced(at..at + len);
        let country = self.given.country.unwrap_or_default();
        for sense in CATALOGUE.senses(text, self.given.incoming) {
            // A legal form in Italy, a bath elsewhere.
            if text == "spa" && (sense.class == Class::Hint) == country.eq_ignore_ascii_case("it") {
                continue;
            }
            if matches!(sense.class, Class::Noise | Class::Legal) {
                self.dull[at..at + len].fill(true);
            }
            self.found.push(Found { at, len, sense });
        }
        self.found.len() > before
    }

    /// A currency beside a number is part of an amount.
    fn find_currencies(&mut self) {
        for at in 0..self.words.len() {
            let is_number =
                |at: usize| at < self.words.len() && self.words.text(at).bytes().all(|b| b.is_ascii_digit());
            if CURRENCIES.contains(&self.words.text(at)) && (is_number(at + 1) || (at > 0 && is_number(at - 1))) {
                self.dull[at] = true;
            }
        }
    }

    /// Places count as such behind the first word, where towns and streets stand.
    fn find_places(&mut self) {
        let first = self.dull.iter().position(|dull| !dull).unwrap_or_default();
        for at in first + 1..self.words.len() {
            let word = self.words.text(at);
            if at + 2 >= self.words.len() && (word.len() == 2 || COUNTRIES.contains(&word)) {
                self.dull[at] = true;
            }
            for len in 1..=PLACE_RUN_MAX.min(usize::from(self.facts[at].place)).min(self.words.len() - at) {
                if CATALOGUE.is_place(self.words.spaced(at..at + len)) {
                    self.dull[at..at + len].fill(true);
                }
            }
        }
    }

    /// Whether a word is part of an intermediary's name.
    fn is_via(&self, at: usize) -> bool {
        self.of(Class::Via).any(|via| via.at <= at && at < via.at + via.len)
    }

    /// The phrases of a class.
    fn of(&self, class: Class) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(move |found| found.sense.class == class)
    }

    /// The longest phrase of a class, the first of equals.
    fn longest(&self, class: Class) -> Option<&Found> {
        self.of(class).reduce(longer)
    }

    pub(super) fn decide(self) -> Enriched {
        let code = self.given.btc.and_then(category::of_bank_code);
        let via = self.via();
        let start = via.as_ref().map_or(0, |(next, _)| *next);
        let via = via.map(|(_, name)| name);
        let hit = self.best(start).or_else(|| self.cut_short(start));
        if let Some(none) = self.nobody(hit.as_ref(), start) {
            let (category, evidence) = match (none, code) {
                ("", Some(code)) => (code, Evidence::Code),
                ("", None) => ("transfer.person", Evidence::Person),
                (none, _) => (none, Evidence::Words),
            };
            return Enriched {
                merchant: None,
                wikidata: None,
                catalog: false,
                category,
                evidence,
                confidence: 0.9,
                via,
            };
        }
        if let Some(hit) = hit {
            return Enriched {
                merchant: Some(hit.brand.name.into()),
                wikidata: hit.brand.wikidata_in(self.given.country.unwrap_or_default()),
                catalog: true,
                category: self.line_of(&hit),
                evidence: Evidence::Brand,
                confidence: hit.sure,
                via,
            };
        }
        self.local(code, start, via)
    }

    /// The intermediary and where the words behind it begin. It stands in front, and a star or another word follows.
    fn via(&self) -> Option<(usize, String)> {
        let first = self.dull.iter().position(|dull| !dull)?;
        let via = self
            .of(Class::Via)
            .find(|found| found.at == first || (found.at <= first && found.at + found.len > first))?;
        let next = via.at + via.len;
        let behind = self.words.get(next)?;
        let long = self.words.text(via.at).len() > 3;
        let rest = self.dull[next..].iter().any(|dull| !dull);
        let marked =
            matches!(behind.before, '*' | '_') || self.given.text[self.words[next - 1].to..behind.from].contains('*');
        let name = self.given.text.get(self.words[via.at].from..self.words[next - 1].to)?;
        (rest && (marked || long || matches!(self.words.text(via.at), "sq" | "ls" | "iz" | "pp" | "tst")))
            .then(|| (next, name.to_owned()))
    }

    /// The category of a row that pays nobody for goods: empty where a person is meant; nothing where somebody is paid.
    fn nobody(&self, hit: Option<&Hit>, start: usize) -> Option<&'static str> {
        let covered = |found: &Found| hit.is_some_and(|hit| found.at >= hit.at && found.at < hit.at + hit.len);
        let lead = hit.is_some_and(|hit| (start..hit.at).all(|at| self.dull[at]));
        let certain = self.of(Class::None).filter(|found| !covered(found)).reduce(longer);
        if let Some(none) = certain {
            let hard = none.sense.category.starts_with("transfer.cash") || none.sense.category == "transfer.person";
            let paid = lead && self.given.incoming != Some(true) && (!hard || hit.is_some_and(|hit| hit.at < none.at));
            if !paid {
                return Some(none.sense.category);
            }
        }
        // Whoever takes cards is a shop, whatever given name it has.
        let bought = self.given.card || self.given.mcc.is_some();
        if self.of(Class::Person).any(|found| !covered(found)) && !lead && !bought {
            return Some("");
        }
        if hit.is_some() {
            return None;
        }
        if let Some(weak) = self.longest(Class::Weak) {
            return Some(weak.sense.category);
        }
        let named = || (start..self.words.len()).filter(|at| !self.dull[*at]);
        // Wallets also move money between friends.
        let wallet = |via: &Found| WALLETS.contains(&self.words.text(via.at));
        let plain = self.of(Class::Hint).next().is_none()
            && self.of(Class::Line).next().is_none()
            && self.given.mcc.is_none()
            && if start == 0 { !self.is_business() } else { self.of(Class::Via).any(wallet) };
        let person = (2..=3).contains(&named().count()) && named().any(|at| self.facts[at].is_given_name);
        (plain && person).then_some("")
    }

    /// The first brand that stands, refined by a later line of business of the same brand.
    fn best(&self, start: usize) -> Option<Hit> {
        let mut best: Option<Hit> = None;
        let mut at = start;
        while at < self.words.len() {
            let may_be_long = CATALOGUE.begins_name(self.words.rest(at));
            let hit = (1..=RUN_MAX.min(self.words.len() - at)).rev().find_map(|len| {
                let possible = may_be_long || is_short(self.words.joined(at..at + len));
                let names = if possible { CATALOGUE.names(self.words.key(at..at + len)) } else { &[] };
                self.stands(names, at, len)
            });
            at += hit.as_ref().map_or(1, |hit| hit.len);
            best = match (best, hit) {
                (None, hit) => hit,
                (Some(first), Some(hit)) if hit.brand.name == first.brand.name || hit.sure > first.sure + 0.2 => {
                    Some(hit)
                }
                (best, _) => best,
            };
        }
        best
    }

    /// A brand whose name the bank cut where its field ends: the first words, with nothing but numbers and places behind
    /// them, begin the name of one brand of this country, and most of that name is there.
    fn cut_short(&self, start: usize) -> Option<Hit> {
        let at = (start..self.words.len()).find(|at| !self.dull[*at])?;
        let end = (at..self.words.len()).find(|at| self.dull[*at]).unwrap_or(self.words.len());
        let text = self.words.key(at..end);
        let country = self.given.country.unwrap_or_default();
        let mut begun = None;
        for (whole, names) in CATALOGUE.begun_by(text) {
            let here = names.iter().filter(|name| CATALOGUE.brand(**name).is_in(country));
            for name in here.filter(|_| text.len() * 100 >= whole.len() * CUT_PERCENT) {
                let brand = CATALOGUE.brand(*name);
                if !is_cut(brand.name, whole, text.len()) {
                    return None;
                }
                if begun.is_some_and(|known: &Brand| known.name != brand.name) {
                    return None;
                }
                begun = Some(brand);
            }
        }
        let generic = (at..end).any(|at| self.says_something(at));
        let brand = begun.filter(|brand| !generic && !self.contradicts(brand, at, end - at))?;
        Some(Hit { at, len: end - at, brand, sure: 0.75 })
    }

    /// The brand that a run of words names, when the rest of the row lets it.
    fn stands(&self, names: &[Name], at: usize, len: usize) -> Option<Hit> {
        if names.is_empty() || self.is_part_of_longer(at, len) {
            return None;
        }
        let country = self.given.country.unwrap_or_default();
        let here = |name: &&Name| country.is_empty() || CATALOGUE.brand(**name).is_in(country);
        let local = |name: &&Name| here(name) && CATALOGUE.brand(**name).countries != "*";
        let name = names
            .iter()
            .filter(|name| name.own)
            .find(local)
            .or_else(|| names.iter().filter(|name| name.own).find(here));
        let name = name.or_else(|| names.iter().find(local)).or_else(|| names.iter().find(here));
        let letters = self.words.joined(at..at + len).len();
        let (name, abroad) = match name {
            Some(name) => (*name, false),
            None if letters >= 7 && !names[0].ordinary && !(at..at + len).any(|at| self.says_something(at)) => {
                (names[0], true)
            }
            None => return None,
        };
        let brand = CATALOGUE.brand(name);
        // Of several houses everywhere that have an ordinary word for a name, nothing tells which is meant.
        let everywhere = |name: &&Name| !name.own && CATALOGUE.brand(**name).countries == "*";
        let alike = |other: &Name| CATALOGUE.brand(*other).wikidata == brand.wikidata;
        if name.ordinary && everywhere(&&name) && !names.iter().filter(everywhere).all(alike) {
            return None;
        }
        let lead = (0..at).all(|at| self.dull[at] || self.is_via(at));
        let contradicted = self.contradicts(brand, at, len);
        let confirmed = self.agrees(brand, at, len);
        let unknown = (at + len..self.words.len())
            .take_while(|at| !self.words[*at].is_code)
            .filter(|at| !self.dull[*at] && !self.says_something(*at))
            .count();
        let dull = (at..at + len).all(|at| self.dull[at]);
        // A word for the whole trade (`Kita`) is a name of its own only where nothing else is one.
        let generic = name.ordinary && unknown > 0 && len == 1 && self.says_something(at);
        let other = name.ordinary && self.is_other_house(brand, at, len);
        let stands = if abroad && (!lead || unknown > 1 || contradicted) || generic || other {
            false
        } else if name.ordinary {
            !contradicted
                && !dull
                && !self.goes_on(brand, at, len)
                && ((lead && (unknown <= 1 || confirmed)) || (confirmed && letters >= 4))
        } else if len == 1 {
            !contradicted && (lead || letters >= 6 || confirmed)
        } else {
            letters >= 4 || (lead && unknown <= 1 && self.is_joined(at, len))
        };
        let sure =
            if name.ordinary { 0.85 } else { 0.97 } - if abroad { 0.2 } else { 0.0 } - if lead { 0.0 } else { 0.1 };
        stands.then_some(Hit { at, len, brand, sure })
    }

    /// Whether other words, or the merchant category code, tell a kind of business that the brand is not: right behind the
    /// name, or in front of it, where a name of its own begins.
    fn contradicts(&self, brand: &Brand, at: usize, len: usize) -> bool {
        let outside = |hint: &&Found| hint.at >= at + len || hint.at + hint.len <= at;
        let fits = |hint: &Found| {
            let category = hint.sense.category;
            related(category, brand.category)
                && !is_kitchen_of_shop(hint, brand)
                && !is_foreign(category, brand.category)
        };
        let mut hints = self.of(Class::Hint).filter(outside).peekable();
        let some = hints.peek().is_some();
        let near = |hint: &Found| hint.at + hint.len <= at || (at + len..=at + len + 1).contains(&hint.at);
        let words = some && !hints.any(fits) && self.of(Class::Hint).any(near);
        words
            || self.is_bank_of(brand, at + len)
            || self.mcc_category.is_some_and(|category| !related(category, brand.category))
    }

    /// Whether nothing but "bank" follows the name of a shop.
    fn is_bank_of(&self, brand: &Brand, next: usize) -> bool {
        let shop = matches!(primary(brand.category), "groceries" | "shopping" | "housing" | "transport");
        shop && next < self.words.len()
            && BANKS.contains(&self.words.text(next))
            && (next + 1..self.words.len()).all(|at| self.dull[at])
    }

    /// Whether a word of no meaning and then another kind of business follow: a name of its own (`Penny Lane Café`).
    fn goes_on(&self, brand: &Brand, at: usize, len: usize) -> bool {
        let next = at + len;
        let unknown =
            self.words.get(next).is_some_and(|word| !word.is_code) && !self.dull[next] && !self.says_something(next);
        unknown
            && self
                .of(Class::Hint)
                .any(|hint| hint.at == next + 1 && primary(hint.sense.category) != primary(brand.category))
    }

    /// Whether a word belongs to a phrase about a kind of business.
    fn says_something(&self, at: usize) -> bool {
        let about = |found: &Found| matches!(found.sense.class, Class::Hint | Class::Line);
        self.found.iter().any(|found| about(found) && found.at <= at && at < found.at + found.len)
    }

    /// Whether a short name of single letters is written as one: `B & Q`, not `B Q`.
    fn is_joined(&self, at: usize, len: usize) -> bool {
        let name = self.given.text.get(self.words[at].from..self.words[at + len - 1].to);
        name.is_some_and(|name| name.contains(['&', '+', '.', '-', '/']))
    }

    /// Whether other words or the merchant category code tell the brand's kind of business.
    fn agrees(&self, brand: &Brand, at: usize, len: usize) -> bool {
        let outside = |found: &Found| found.at >= at + len || found.at + found.len <= at;
        let line = |found: &Found| match primary(found.sense.category) {
            "debt" => matches!(primary(brand.category), "debt" | "transfer"),
            other => other == primary(brand.category),
        };
        self.of(Class::Hint)
            .filter(|hint| outside(hint))
            .any(|hint| primary(hint.sense.category) == primary(brand.category))
            || self.of(Class::Line).filter(|found| outside(found)).any(line)
            || self.mcc_category.is_some_and(|category| primary(category) == primary(brand.category))
    }

    /// The line of business that is meant: a bank's mortgage, an insurer's car policy, a supermarket's petrol.
    fn line_of(&self, hit: &Hit) -> &'static str {
        let outside = |found: &&Found| found.at >= hit.at + hit.len || found.at + found.len <= hit.at;
        let group = primary(hit.brand.category);
        if hit.brand.category == "transport.ev_charging"
            && let Some(energy) = self.of(Class::Hint).find(|hint| primary(hint.sense.category) == "utilities")
        {
            return energy.sense.category;
        }
        let lent = matches!(
            hit.brand.category,
            "debt.student_loan" | "debt.personal_loan" | "debt.mortgage" | "debt.car_finance"
        );
        if lent && self.given.incoming == Some(true) {
            return "debt.disbursement";
        }
        if group == "government" && self.given.incoming == Some(true) {
            let tax = hit.brand.category == "government.tax";
            let income =
                self.of(Class::None).map(|none| none.sense.category).find(|category| primary(category) == "income");
            return income.unwrap_or(if tax { "income.tax_refund" } else { "income.benefits" });
        }
        let lines = matches!(group, "transfer" | "debt" | "government");
        if lines && let Some(line) = self.of(Class::Line).filter(outside).reduce(longer) {
            return line.sense.category;
        }
        for hint in self.of(Class::Hint).filter(outside) {
            let category = hint.sense.category;
            let finer = hit.brand.category == "insurance.other"
                && category.starts_with("insurance.")
                && category != "insurance.other";
            let forecourt = category == "transport.fuel" && group == "groceries";
            if finer || forecourt {
                return category;
            }
        }
        hit.brand.category
    }

    /// A merchant without identity: the cleaned name, and what codes and words say.
    fn local(&self, code: Option<&'static str>, start: usize, via: Option<String>) -> Enriched {
        let hint = self.of(Class::Line).chain(self.of(Class::Hint)).reduce(longer).map(|found| found.sense.category);
        let (category, evidence, confidence) = match (code, self.mcc_category, hint) {
            (Some(category), ..) => (category, Evidence::Code, 0.8),
            (_, Some(category), Some(finer)) if primary(category) == primary(finer) => (finer, Evidence::Words, 0.9),
            (_, Some(category), _) => (category, Evidence::MerchantCode, 0.85),
            (_, _, Some(category)) => (category, Evidence::Words, 0.75),
            _ => (OPEN, Evidence::Nothing, 0.2),
        };
        Enriched {
            merchant: self.name(start).map(Into::into),
            wikidata: None,
            catalog: false,
            category,
            evidence,
            confidence,
            via,
        }
    }

    /// The words between the bank's words in front and the numbers and places behind, in their own spelling.
    fn name(&self, start: usize) -> Option<String> {
        let is_name = |at: &usize| !self.dull[*at];
        let first = (start..self.words.len()).find(is_name)?;
        let article = first.checked_sub(1).filter(|at| *at >= start && ARTICLES.contains(&self.words.text(*at)));
        let last = (first..self.words.len()).take_while(|at| !self.words[*at].is_code).filter(is_name).last()?;
        let text = self.given.text.get(self.words[article.unwrap_or(first)].from..self.words[last].to)?;
        let mut name = String::with_capacity(text.len());
        for word in text.split_whitespace() {
            if !name.is_empty() {
                name.push(' ');
            }
            capitalise(word, &mut name);
        }
        Some(name)
    }
}

/// Whether so many letters of a name end inside one of its words. Where they end with a word nothing was cut, and something
/// else is meant; a further name of a brand (`Pharmacie Costco`) is not known by its beginning.
fn is_cut(name: &str, whole: &str, letters: usize) -> bool {
    let words = words(name);
    let mut ends = (1..=words.len()).map(|end| words.joined(0..end).len());
    words.key(0..words.len()) == whole && ends.all(|end| end != letters)
}

/// The longer of two phrases, the first of equals.
fn longer<'f>(best: &'f Found, found: &'f Found) -> &'f Found {
    if found.len > best.len { found } else { best }
}

/// Shouted words as names are written; others as they are.
fn capitalise(word: &str, name: &mut String) {
    if word.chars().any(char::is_lowercase) || word.chars().count() < 3 {
        name.push_str(word);
        return;
    }
    let mut letters = word.chars();
    name.extend(letters.next());
    name.extend(letters.flat_map(char::to_lowercase));
}

/// A restaurant or bar beside a name of a shop is a place of its own; a café or a snack bar may be a part of the shop.
fn is_kitchen_of_shop(hint: &Found, brand: &Brand) -> bool {
    let category = hint.sense.category;
    matches!(primary(brand.category), "groceries" | "shopping")
        && matches!(category, "eating_out.restaurant" | "eating_out.bar")
}

/// Whether a kind of business is at home in no shop of the brand's special kind, though in other shops: no electronics shop
/// is a pharmacy, no fashion shop a pizzeria, no carmaker a bakery.
fn is_foreign(hint: &str, brand: &str) -> bool {
    let special = matches!(
        brand.strip_prefix("shopping."),
        Some("clothing" | "electronics" | "books" | "sports" | "toys_hobbies" | "office" | "pets" | "marketplace")
    );
    let drives = |category: &str| matches!(category, "transport.vehicle" | "transport.taxi");
    let sells = |category: &str| matches!(primary(category), "groceries" | "shopping" | "eating_out");
    special && (matches!(hint, "health.pharmacy" | "health.optician" | "eating_out.fast_food") || drives(hint))
        || brand == "shopping.marketplace" && primary(hint) == "eating_out"
        || drives(brand) && sells(hint)
}

fn primary(category: &str) -> &str {
    category.split_once('.').map_or(category, |(primary, _)| primary)
}

/// Whether a business of one kind is at home in the other: shops among themselves, food and drink among themselves.
fn related(one: &str, other: &str) -> bool {
    let family = |category| match primary(category) {
        "groceries" | "shopping" => 1,
        "eating_out" => 2,
        "transport" | "travel" => 3,
        "utilities" => 4,
        "entertainment" => 5,
        "insurance" => 6,
        "health" => 7,
        "debt" | "transfer" => 8,
        "housing" => 9,
        "services" => 10,
        _ => 11,
    };
    let (a, b) = (family(one), family(other));
    a == b
        || matches!((a.min(b), a.max(b)), (1, 2) | (1, 3) | (3, 5) | (6, 7) | (6, 8) | (6, 10) | (3, 6))
        || (a.min(b) == 1
            && (one.starts_with("housing.f")
                || one.starts_with("housing.d")
                || other.starts_with("housing.f")
                || other.starts_with("housing.d")))
        || (a.min(b) == 1
            && a.max(b) == 7
            && (one == "health.pharmacy" || other == "health.pharmacy" || one == "health.optician"))
}
