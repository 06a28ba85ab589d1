//! The tables behind recognition, built once from the data files.

use std::sync::LazyLock;

use rustc_hash::{FxHashMap, FxHashSet};

use super::words::{SHORT_KEY, Words, is_short, words};

/// Letters from which on a name of our own list is known well enough, even where it is also somebody's surname.
const LONG_NAME: usize = 8;

/// Bytes by which open ends are found; none is shorter.
const OPEN_LETTERS: usize = 3;

/// Longest run of words that is looked up, and longest run that names a place.
pub(super) const RUN_MAX: usize = 6;
pub(super) const PLACE_RUN_MAX: usize = 3;

/// Letters by which names are found that were cut; none shorter is known by its beginning.
pub(super) const CUT_LETTERS: usize = 8;

pub(super) static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::load);

/// A brand in one line of business.
#[derive(Debug)]
pub(super) struct Brand {
    pub(super) name: &'static str,
    pub(super) wikidata: Option<&'static str>,
    pub(super) category: &'static str,
    /// Codes parted by commas, `*` for everywhere.
    pub(super) countries: &'static str,
    /// Houses of this name and line of business in the open catalogue: countries and Wikidata id of each.
    namesakes: Vec<(&'static str, &'static str)>,
}

/// Written for the id of a brand that shares name, trade and country with another house: it gets none.
const UNDECIDED: &str = "?";

impl Brand {
    pub(super) fn is_in(&self, country: &str) -> bool {
        is_in(self.countries, country)
    }

    /// Its Wikidata id: its own, else that of the house with its name in this country. A row from where the brand is not at
    /// home (a card used abroad) means the house of the brand's own countries. No id is better than another house's.
    pub(super) fn wikidata_in(&self, country: &str) -> Option<&'static str> {
        if let Some(id) = self.wikidata {
            return Some(id).filter(|id| *id != UNDECIDED);
        }
        let at_home = self.is_in(country);
        let here = |countries: &str| {
            if at_home {
                is_in(countries, country)
            } else {
                countries == "*" || self.countries.split(',').any(|code| is_in(countries, code))
            }
        };
        let ids = || self.namesakes.iter().filter(|(countries, _)| here(countries));
        let (_, id) = ids().find(|(countries, _)| *countries != "*").or_else(|| ids().next())?;
        (at_home || ids().all(|(_, other)| other == id)).then_some(*id)
    }
}

fn is_in(countries: &str, country: &str) -> bool {
    countries == "*" || countries.split(',').any(|code| code.eq_ignore_ascii_case(country))
}

/// A brand under one of its names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    brand: u32,
    /// The name is also an ordinary word or a surname.
    pub(super) ordinary: bool,
    pub(super) own: bool,
}

/// What a word or phrase says of a row; see the head of `data/phrases.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    None,
    Weak,
    Hint,
    Line,
    Via,
    Noise,
    Legal,
    Person,
    Bought,
    House,
}

/// A phrase's meaning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sense {
    pub(super) class: Class,
    pub(super) category: &'static str,
    /// Holds only for money that came in, or only for money that went out.
    pub(super) incoming: Option<bool>,
}

/// What a word is, and what it may begin. Most words of a row begin nothing, so one look tells that they need no other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// How many words the longest phrase has that begins with it, and the longest place; zero where none does.
    pub(super) phrase: u8,
    pub(super) place: u8,
    pub(super) is_given_name: bool,
}

pub(super) struct Catalogue {
    brands: Vec<Brand>,
    names: FxHashMap<Box<str>, Vec<Name>>,
    /// The first letters of all names that are no shorter.
    name_heads: FxHashSet<[u8; SHORT_KEY]>,
    /// Names that are long enough to be known when they are cut, by their first letters.
    long_names: FxHashMap<[u8; CUT_LETTERS], Vec<Box<str>>>,
    phrases: FxHashMap<Box<str>, Vec<Sense>>,
    facts: FxHashMap<Box<str>, Facts>,
    /// Open ends: (letters, open at the end, sense).
    open: Vec<(String, bool, Sense)>,
    /// Where in `open` to look for a word: by its first letters for those open at the end, by its last for the others.
    open_heads: FxHashMap<[u8; OPEN_LETTERS], Vec<usize>>,
    open_tails: FxHashMap<[u8; OPEN_LETTERS], Vec<usize>>,
    places: FxHashSet<&'static str>,
}

impl Catalogue {
    fn load() -> Self {
        let mut catalogue = Self {
            brands: Vec::new(),
            names: FxHashMap::with_capacity_and_hasher(64 * 1024, rustc_hash::FxBuildHasher),
            name_heads: FxHashSet::default(),
            long_names: FxHashMap::default(),
            phrases: FxHashMap::with_capacity_and_hasher(8 * 1024, rustc_hash::FxBuildHasher),
            facts: FxHashMap::with_capacity_and_hasher(32 * 1024, rustc_hash::FxBuildHasher),
            open: Vec::new(),
            open_heads: FxHashMap::default(),
            open_tails: FxHashMap::default(),
            places: places().collect(),
        };
        catalogue.load_words();
        catalogue.load_phrases(include_str!("../data/phrases.txt"));
        catalogue.load_own(include_str!("../data/brands_own.txt"));
        catalogue.load_open(include_str!("../data/brands_open.txt"));
        catalogue.adopt_ids();
        catalogue.index_heads();
        catalogue
    }

    fn load_words(&mut self) {
        for name in include_str!("../data/given_names.txt").lines() {
            self.facts.entry(name.into()).or_default().is_given_name = true;
        }
        for place in places() {
            let first = place.split(' ').next().unwrap_or_default();
            let count = place.split(' ').count();
            if let Some(count) = u8::try_from(count).ok().filter(|_| count <= PLACE_RUN_MAX) {
                let facts = self.facts.entry(first.into()).or_default();
                facts.place = facts.place.max(count);
            }
        }
    }

    fn index_heads(&mut self) {
        for key in self.names.keys() {
            self.name_heads.extend(key.as_bytes().first_chunk().filter(|_| !is_short(key)));
            if let Some(head) = key.as_bytes().first_chunk().filter(|_| key.len() > LONG_NAME) {
                self.long_names.entry(*head).or_default().push(key.clone());
            }
        }
        self.long_names.values_mut().for_each(|names| names.sort_unstable());
    }

    fn load_phrases(&mut self, text: &'static str) {
        let mut sense = None;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(heading) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                sense = heading_sense(heading);
                continue;
            }
            let Some(sense) = sense else { continue };
            for phrase in line.split(';').map(str::trim).filter(|phrase| !phrase.is_empty()) {
                self.add_phrase(phrase, sense);
            }
        }
    }

    fn add_phrase(&mut self, phrase: &str, sense: Sense) {
        let cut = words(phrase);
        if cut.is_empty() || cut.len() > RUN_MAX {
            return;
        }
        let text = cut.spaced(0..cut.len());
        let open = phrase.ends_with('*') && !phrase.ends_with(" *");
        if cut.len() == 1 && (open || phrase.starts_with('*')) {
            let ends = if open {
                (&mut self.open_heads, first_letters(text))
            } else {
                (&mut self.open_tails, last_letters(text))
            };
            if let (index, Some(letters)) = ends {
                index.entry(letters).or_default().push(self.open.len());
            }
            self.open.push((text.to_owned(), open, sense));
        } else {
            if let Ok(count) = u8::try_from(cut.len()) {
                let facts = self.facts.entry(cut.text(0).into()).or_default();
                facts.phrase = facts.phrase.max(count);
            }
            self.phrases.entry(text.into()).or_default().push(sense);
        }
    }

    fn load_own(&mut self, text: &'static str) {
        let mut head = ("", "");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(heading) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                head = heading.split_once(' ').unwrap_or((heading, "*"));
                continue;
            }
            for entry in line.split("; ").map(str::trim).filter(|entry| !entry.is_empty()) {
                let (name, further) = entry.split_once(" = ").unwrap_or((entry, ""));
                let (name, wikidata) = name.split_once(" @").map_or((name, None), |(name, id)| (name, Some(id.trim())));
                let brand =
                    Brand { name: name.trim(), wikidata, category: head.0, countries: head.1, namesakes: Vec::new() };
                let names = std::iter::once(name).chain(further.split(", ")).map(|name| (name, false));
                self.add_brand(brand, names, true);
            }
        }
    }

    fn load_open(&mut self, text: &'static str) {
        let mut category = "";
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            if let Some(heading) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'))
                && !line.contains('|')
            {
                category = heading;
                continue;
            }
            let mut fields = line.split('|');
            let (Some(name), Some(id), Some(countries)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let brand = Brand {
                name: name.trim_start_matches('~'),
                wikidata: Some(id),
                category,
                countries,
                namesakes: Vec::new(),
            };
            let names = std::iter::once(name).chain(fields.next().unwrap_or_default().split(';'));
            let names = names.map(|name| (name.trim_start_matches('~'), name.starts_with('~')));
            self.add_brand(brand, names, false);
        }
    }

    fn add_brand(&mut self, brand: Brand, names: impl Iterator<Item = (&'static str, bool)>, own: bool) {
        let Ok(number) = u32::try_from(self.brands.len()) else { return };
        self.brands.push(brand);
        for (name, marked) in names {
            for variant in variants(name) {
                let cut = words(&variant);
                if cut.is_empty() || cut.len() > RUN_MAX {
                    continue;
                }
                let ordinary = marked || self.is_ordinary(&cut);
                let known = self.names.entry(cut.key(0..cut.len()).into()).or_default();
                if known.iter().all(|name| name.brand != number) {
                    known.push(Name { brand: number, ordinary, own });
                }
            }
        }
    }

    /// Short names, first names, places and words that say something else on rows.
    fn is_ordinary(&self, name: &Words) -> bool {
        if name.len() != 1 {
            return false;
        }
        let word = name.text(0);
        word.chars().count() < 4
            || word.bytes().all(|b| b.is_ascii_digit())
            || self.facts(word).is_given_name
            || self.is_place(word)
            || self.phrases.contains_key(word)
    }

    /// Tells a brand of our own list the brands of the open catalogue that have its name and line of business, each with its
    /// countries: which of them it is, the country of a row says.
    fn adopt_ids(&mut self) {
        for number in 0..self.brands.len() {
            if self.brands[number].wikidata.is_some() {
                continue;
            }
            let cut = words(self.brands[number].name);
            let same = self.names.get(cut.key(0..cut.len())).into_iter().flatten().filter(|name| !name.own);
            let alike = same.map(|name| &self.brands[name.brand as usize]);
            let alike = alike.filter(|open| open.category == self.brands[number].category);
            self.brands[number].namesakes = alike.filter_map(|open| Some((open.countries, open.wikidata?))).collect();
        }
        // A name that the open catalogue marks as an ordinary word is one in our own list too.
        for (key, names) in &mut self.names {
            let marked = key.len() < LONG_NAME && names.iter().any(|name| !name.own && name.ordinary);
            names.iter_mut().for_each(|name| name.ordinary |= marked);
        }
    }

    pub(super) fn brand(&self, name: Name) -> &Brand {
        &self.brands[name.brand as usize]
    }

    pub(super) fn names(&self, key: &str) -> &[Name] {
        self.names.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether the name of a brand may begin with these letters, or be all of them.
    pub(super) fn begins_name(&self, letters: &str) -> bool {
        letters.as_bytes().first_chunk().is_none_or(|head| self.name_heads.contains(head))
    }

    /// Names that begin with a key and go on behind it; of short keys there are none.
    pub(super) fn begun_by(&self, key: &str) -> impl Iterator<Item = (&str, &[Name])> {
        let head = key.as_bytes().first_chunk().filter(|_| key.is_ascii());
        let alike = head.and_then(|head| self.long_names.get(head)).map_or(&[][..], Vec::as_slice);
        let begun = alike.iter().filter(move |name| name.len() > key.len() && name.starts_with(key));
        begun.map(|name| (&**name, self.names(name)))
    }

    /// What a word is. An umlaut that is written as two letters may begin a place as well.
    pub(super) fn facts(&self, word: &str) -> Facts {
        let mut facts = self.facts.get(word).copied().unwrap_or_default();
        if let Some(plain) = without_umlauts(word) {
            facts.place = facts.place.max(self.facts.get(plain.as_str()).map_or(0, |plain| plain.place));
        }
        facts
    }

    /// The senses of a phrase that hold for the direction.
    pub(super) fn senses(&self, phrase: &str, incoming: Option<bool>) -> impl Iterator<Item = Sense> {
        let fits = move |sense: &Sense| match (sense.incoming, incoming) {
            (Some(wanted), Some(is)) => wanted == is,
            (Some(wanted), None) => !wanted,
            (None, _) => true,
        };
        self.phrases.get(phrase).map_or(&[][..], Vec::as_slice).iter().copied().filter(fits)
    }

    /// The sense of a word by how it begins or ends.
    pub(super) fn open_sense(&self, word: &str, incoming: Option<bool>) -> Option<Sense> {
        let at = |index: &FxHashMap<[u8; OPEN_LETTERS], Vec<usize>>, letters: Option<[u8; OPEN_LETTERS]>| {
            let candidates = index.get(&letters?)?;
            let fits = |&&at: &&usize| {
                let (letters, at_end, sense) = &self.open[at];
                (sense.incoming.is_none() || sense.incoming == incoming)
                    && if *at_end { word.starts_with(letters) } else { word.ends_with(letters) }
            };
            candidates.iter().find(fits).copied()
        };
        let head = at(&self.open_heads, first_letters(word));
        let tail = at(&self.open_tails, last_letters(word));
        let first = head.into_iter().chain(tail).min()?;
        Some(self.open[first].2)
    }

    /// Whether a word says that a card or a mandate paid, or that a branch was paid.
    pub(super) fn is_bought(&self, word: &str) -> bool {
        self.senses(word, None).any(|sense| sense.class == Class::Bought)
    }

    /// Whether words name a town, also where an umlaut is written as two letters.
    pub(super) fn is_place(&self, words: &str) -> bool {
        self.places.contains(words) || without_umlauts(words).is_some_and(|plain| self.places.contains(plain.as_str()))
    }
}

/// Towns by the names of the open list, which are often English, and by those of the people who live there.
fn places() -> impl Iterator<Item = &'static str> {
    let own = include_str!("../data/places_own.txt").lines().filter(|line| !line.starts_with('#'));
    include_str!("../data/places.txt").lines().chain(own)
}

/// Words whose umlauts are written as two letters, without the second; nothing where there are none.
fn without_umlauts(words: &str) -> Option<String> {
    let bytes = words.as_bytes();
    let has_pair = bytes.windows(2).any(|pair| matches!(pair, b"ae" | b"oe" | b"ue"));
    has_pair.then(|| words.replace("ae", "a").replace("oe", "o").replace("ue", "u"))
}

fn first_letters(word: &str) -> Option<[u8; OPEN_LETTERS]> {
    word.as_bytes().first_chunk().copied()
}

fn last_letters(word: &str) -> Option<[u8; OPEN_LETTERS]> {
    word.as_bytes().last_chunk().copied()
}

fn heading_sense(heading: &'static str) -> Option<Sense> {
    let mut parts = heading.split(' ');
    let class = match parts.next()? {
        "none" => Class::None,
        "weak" => Class::Weak,
        "hint" => Class::Hint,
        "line" => Class::Line,
        "via" => Class::Via,
        "noise" => Class::Noise,
        "legal" => Class::Legal,
        "person" => Class::Person,
        "bought" => Class::Bought,
        "house" => Class::House,
        _ => return None,
    };
    let category = parts.next().unwrap_or_default();
    let incoming = match parts.next() {
        Some("+") => Some(true),
        Some("-") => Some(false),
        _ => None,
    };
    Some(Sense { class, category, incoming })
}

/// A name as written, and as it is written where its letters do not exist.
fn variants(name: &str) -> Vec<String> {
    let lower = name.to_lowercase();
    let mut all = vec![lower.clone()];
    if lower.contains(['ä', 'ö', 'ü', 'ø', 'å']) {
        all.push(lower.replace('ä', "ae").replace(['ö', 'ø'], "oe").replace('ü', "ue").replace('å', "aa"));
    }
    if lower.contains('+') {
        all.push(lower.replace('+', " plus"));
    }
    all
}
