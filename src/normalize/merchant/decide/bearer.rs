//! Whose name a name is: a brand's, a person's, a town's or another house's.

use std::ops::Range;

use super::super::catalogue::{Brand, CATALOGUE, Class, PLACE_RUN_MAX};
use super::{ARTICLES, COUNTRIES, Row, longer, primary};

/// Words that make a district of the word before them: what looks like a brand there is none. Lakes, valleys and falls are
/// not among them, since they begin the names of towns behind a brand (`STARBUCKS LAKE FOREST`).
const GEOGRAPHY: [&str; 3] = ["borough", "county", "township"];

impl Row<'_> {
    /// The place that belongs to the name before it, since what stays without it is no name of its own: the surname behind a
    /// lone given name (`Maria Toledo`), the name of a house behind its trade (`Hotel Roma`).
    ///
    /// Some brands are given names (`Ana Santos`, `Paul Martin`). There the town is one only where a card or a mandate paid,
    /// where a branch is told or where a country follows as card schemes write it: a shop that is not named costs less than
    /// a person who is taken for one. A chain of supermarkets at home in the country of the row (`Norma Berlin`) is paid so
    /// much more often than anybody of that name that it needs no such word.
    pub(super) fn own_place(&self) -> Option<Range<usize>> {
        let head = (0..self.words.len()).find(|at| !self.dull[*at] && !self.is_via(*at))?;
        let trade = self.of(Class::Hint).filter(|hint| hint.at == head).reduce(longer).map(|hint| hint.len);
        let next = head + trade.unwrap_or(1);
        let longest = usize::from(self.facts.get(next)?.place).min(PLACE_RUN_MAX).min(self.words.len() - next);
        let run = (1..=longest).rev().find(|len| CATALOGUE.is_place(self.words.spaced(next..next + len)))?;
        let place = next..next + run;
        if self.dull[place.clone()].contains(&true) || !self.is_right_behind(next) {
            return None;
        }
        let country = self.words.get(place.end).is_some_and(|_| {
            let word = self.words.text(place.end);
            word.len() == 2 || COUNTRIES.contains(&word)
        });
        let given = self.facts[head].is_given_name && run == 1 && !country;
        let person = || given && !self.is_chain_here(head, next) && !self.is_business();
        (trade.is_some() || person()).then_some(place)
    }

    /// Whether a word is a chain of supermarkets of the row's own country, and the word behind it no second given name.
    fn is_chain_here(&self, at: usize, next: usize) -> bool {
        let country = self.given.country.unwrap_or_default();
        let chain =
            |brand: &Brand| brand.category == "groceries.supermarket" && brand.countries != "*" && brand.is_in(country);
        !self.facts[next].is_given_name
            && CATALOGUE.names(self.words.key(at..at + 1)).iter().any(|name| chain(CATALOGUE.brand(*name)))
    }

    /// Whether one blank and nothing else stands before a word, as inside a name; columns have more.
    fn is_right_behind(&self, at: usize) -> bool {
        at > 0 && self.words[at].before == ' ' && self.words[at - 1].to + 1 == self.words[at].from
    }

    /// Whether something says that no person is paid: a merchant category code, a card, a mandate, a legal form.
    pub(super) fn is_business(&self) -> bool {
        self.given.card
            || self.given.mandate
            || self.given.mcc.is_some()
            || self.of(Class::Legal).next().is_some()
            || (0..self.words.len()).any(|at| CATALOGUE.is_bought(self.words.text(at)))
    }

    /// Whether a run is half of a double name, or a surname behind an initial or before a first name.
    pub(super) fn is_part_of_longer(&self, at: usize, len: usize) -> bool {
        let behind = self.words.get(at + len);
        let hyphen = behind.is_some_and(|word| {
            word.before == '-'
                && self.words[at + len - 1].to + 1 == word.from
                && !self.dull[at + len]
                && len == 1
                && self.words.text(at + len).len() > 3
        });
        let initial = at > 0
            && self.words.text(at - 1).len() == 1
            && len == 1
            && self.words.text(at - 1).bytes().all(|b| b.is_ascii_alphabetic())
            && self.words[at].before == ' '
            && (0..at - 1).all(|at| self.dull[at]);
        let first_name = len == 1
            && behind.is_some_and(|word| {
                word.before == ' '
                    && self.facts[at + len].is_given_name
                    && !CATALOGUE.is_place(self.words.text(at + len))
                    && !self.dull[at + len]
                    && (at + 2..self.words.len()).all(|at| self.dull[at])
                    && self.given.mcc.is_none()
            });
        hyphen
            || initial
            || first_name
            || self.is_first_name(at, len)
            || self.is_surname(at, len)
            || self.is_place_or_house(at, len)
    }

    /// Whether a single word is the surname behind a given name that is all the rest: `Peter Rossmann`. A brand that has both
    /// words in its name (`John Lewis`) is found before.
    fn is_surname(&self, at: usize, len: usize) -> bool {
        let Some(first) = at.checked_sub(1).filter(|_| len == 1) else { return false };
        self.facts[first].is_given_name
            && !self.dull[first]
            && !self.says_something(first)
            && self.is_right_behind(at)
            && (0..first).chain(at + 1..self.words.len()).all(|at| self.dull[at])
            && !self.is_business()
    }

    /// Whether a word that does not say the brand's trade, and then a legal form or a word for an association or a church,
    /// follow an ordinary word: `Total Sanierung GmbH`. Shops of different goods are different houses.
    pub(super) fn is_other_house(&self, brand: &Brand, at: usize, len: usize) -> bool {
        let next = at + len;
        let goes_on = len == 1
            && self.words.get(next).is_some_and(|word| !word.is_code && word.before == ' ')
            && !self.dull[next];
        goes_on
            && self.of(Class::House).any(|house| {
                // A state behind a church makes it a town (`Falls Church VA`).
                let state = house.at + house.len;
                let town = !self.dull[house.at] && state < self.words.len() && self.words.text(state).len() == 2;
                house.at > next && !town
            })
            && !self.of(Class::Hint).any(|hint| {
                let category = hint.sense.category;
                let shop = primary(brand.category) == "shopping";
                let same = category == brand.category || !shop && primary(category) == primary(brand.category);
                hint.at <= next && next < hint.at + hint.len && same
            })
    }

    /// Whether a single word is part of a place (`Orange County`), or of a name that an article begins (`The Shell House`).
    fn is_place_or_house(&self, at: usize, len: usize) -> bool {
        let next = at + len;
        if len > 1 || next >= self.words.len() || self.words[next].is_code || self.words[next].before != ' ' {
            return false;
        }
        let article = at > 0 && ARTICLES.contains(&self.words.text(at - 1)) && self.words[at].before == ' ';
        let unknown = !self.dull[next] && !self.says_something(next) && !CATALOGUE.is_place(self.words.text(next));
        GEOGRAPHY.contains(&self.words.text(next)) || article && unknown
    }

    /// Whether a run is the first name of somebody whose surname is all that follows: `Paul Klein`, and `Paul Berlin` where
    /// nothing says that Paul is a shop in Berlin.
    fn is_first_name(&self, at: usize, len: usize) -> bool {
        let next = at + len;
        let Some(behind) = self.words.get(next) else { return false };
        let text = self.words.text(next);
        let alone = (0..at).chain(next + 1..self.words.len()).all(|at| self.dull[at]);
        let plain = behind.before == ' ' && text.chars().count() > 2 && text.chars().all(char::is_alphabetic);
        let surname = plain && !self.dull[next] && !self.says_something(next);
        len == 1 && self.facts[at].is_given_name && alone && surname && self.given.mcc.is_none()
    }
}
