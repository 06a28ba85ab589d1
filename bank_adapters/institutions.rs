//! Institutions by the thousand: what central banks publish about who holds accounts (`institutions/NOTICE.md`), and through
//! which profile they can be spoken to. A name in this list promises nothing: it is there to be found.

use std::sync::LazyLock;

use domain::ids::InstitutionId;

use crate::directory::{Directory, EVERY};
use crate::profile::Profile;

static LISTED: LazyLock<Vec<Institution>> =
    LazyLock::new(|| include_str!("institutions/institutions.tsv").lines().filter_map(Institution::read).collect());

/// Longest beginning of an IBAN that is asked about, in characters: the bank's part ends before it in every country.
pub const IBAN_CHARS_MAX: usize = 14;

/// An institution that holds accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Institution {
    /// Id in the directory, in the form of a profile's.
    pub id: InstitutionId,
    /// ISO 3166-1 alpha-2 code.
    pub country: &'static str,
    /// Name as its registry writes it.
    pub name: &'static str,
    /// BICs of 8 or 11 characters, separated by commas.
    bics: &'static str,
    /// National bank codes and runs of them (`0040-0045`), separated by commas.
    codes: &'static str,
}

impl Institution {
    fn read(line: &'static str) -> Option<Self> {
        let mut fields = line.split('\t');
        let id = InstitutionId::new(fields.next()?)?;
        let (country, name) = (fields.next()?, fields.next()?);
        Some(Self { id, country, name, bics: fields.next()?, codes: fields.next()? })
    }

    /// Its BICs.
    pub fn bics(&self) -> impl Iterator<Item = &'static str> {
        self.bics.split(',').filter(|bic| !bic.is_empty())
    }

    /// Its bank codes, runs of them written `0040-0045`.
    pub fn codes(&self) -> impl Iterator<Item = &'static str> {
        self.codes.split(',').filter(|code| !code.is_empty())
    }

    /// Whether a bank code is one of its own.
    pub fn has_code(&self, code: &str) -> bool {
        self.codes().any(|own| in_run(own, code))
    }

    /// Whether an account number that begins so is one of its own: the bank's code follows the check digits, in Italy and
    /// San Marino after one more of them (ISO 13616).
    pub fn has_iban(&self, beginning: &str) -> bool {
        let start = if matches!(self.country, "IT" | "SM") { 5 } else { 4 };
        let Some(account) = beginning.get(start..).filter(|_| beginning.starts_with(self.country)) else {
            return false;
        };
        self.codes().any(|own| {
            let length = own.split('-').next().map_or(0, str::len);
            account.get(..length).is_some_and(|code| length > 0 && in_run(own, code))
        })
    }

    /// The profile that speaks to it: its own, by BIC, or that of the platform that it is on.
    pub fn profile<'d>(&self, directory: &'d Directory) -> Option<&'d Profile> {
        let on = |profile: &&Profile| profile.bank.members.iter().any(|members| members.include(self));
        self.own_profile(directory).or_else(|| directory.list(&EVERY).map(AsRef::as_ref).find(on))
    }

    /// Its own profile: one of a BIC of its own.
    pub fn own_profile<'d>(&self, directory: &'d Directory) -> Option<&'d Profile> {
        let its = |profile: &&Profile| {
            let bics = &profile.bank.bics;
            profile.bank.country == self.country && bics.iter().any(|bic| self.bics().any(|own| same_bic(own, bic)))
        };
        directory.list(&EVERY).map(AsRef::as_ref).find(its)
    }
}

/// Whether two BICs name one office: the head office is meant where the branch is left out or `XXX`.
pub fn same_bic(left: &str, right: &str) -> bool {
    fn bare(bic: &str) -> &str {
        bic.strip_suffix("XXX").filter(|rest| rest.len() == 8).unwrap_or(bic)
    }
    bare(left) == bare(right)
}

fn in_run(run: &str, code: &str) -> bool {
    match run.split_once('-') {
        Some((first, last)) => code.len() == first.len() && (first..=last).contains(&code),
        None => run.eq_ignore_ascii_case(code),
    }
}

/// What is looked for. An absent part lets everything through.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// ISO 3166-1 alpha-2 code, in any case.
    pub country: Option<String>,
    /// Words that must all be in the name or begin a BIC; in any case.
    pub search: Option<String>,
    /// BIC of 8 or 11 characters.
    pub bic: Option<String>,
    /// National bank code.
    pub bank_code: Option<String>,
    /// The beginning of an IBAN, without blanks, at most [`IBAN_CHARS_MAX`] characters.
    pub iban: Option<String>,
}

impl Wanted {
    fn passes(&self, one: &Institution) -> bool {
        let bic = |bic: &String| {
            let bic = bic.to_ascii_uppercase();
            one.bics().any(|own| same_bic(own, &bic) || (own.len() == 8 && bic.starts_with(own)))
        };
        let words = |search: &String| {
            let name = one.name.to_lowercase();
            search
                .split_whitespace()
                .map(str::to_lowercase)
                .all(|word| name.contains(&word) || one.bics().any(|bic| bic.to_lowercase().starts_with(&word)))
        };
        self.country.as_ref().is_none_or(|country| country.eq_ignore_ascii_case(one.country))
            && self.bic.as_ref().is_none_or(bic)
            && self.bank_code.as_ref().is_none_or(|code| one.has_code(code))
            && self.iban.as_ref().is_none_or(|iban| one.has_iban(&iban.to_ascii_uppercase()))
            && self.search.as_ref().is_none_or(words)
    }
}

/// Every institution, by id.
pub fn all() -> &'static [Institution] {
    &LISTED
}

/// The institution with this id.
pub fn get(id: &InstitutionId) -> Option<&'static Institution> {
    let at = LISTED.binary_search_by(|one| one.id.as_str().cmp(id.as_str())).ok()?;
    LISTED.get(at)
}

/// The institutions that pass, by id.
pub fn find(wanted: &Wanted) -> impl Iterator<Item = &'static Institution> {
    LISTED.iter().filter(|one| wanted.passes(one))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn names(wanted: &Wanted) -> Vec<&'static str> {
        find(wanted).map(|one| one.name).collect()
    }

    #[test]
    fn the_list_is_whole_and_in_order() {
        let lines = include_str!("institutions/institutions.tsv").lines().count();
        assert_eq!(all().len(), lines, "a line cannot be read");
        assert!(lines > 8000, "{lines}");
        assert!(all().windows(2).all(|two| two[0].id.as_str() < two[1].id.as_str()), "sorted by id, each once");
        let countries: HashSet<_> = all().iter().map(|one| one.country).collect();
        assert!(countries.len() > 30, "{countries:?}");
        for one in all() {
            assert!(one.id.as_str().starts_with(&one.country.to_lowercase()), "{}", one.id);
            assert!(one.bics().all(|bic| matches!(bic.len(), 8 | 11)), "{}", one.id);
        }
    }

    #[test]
    fn an_institution_is_found_by_whatever_is_known_of_it() {
        let some = |text: &str| Some(text.to_owned());
        for (wanted, name) in [
            (Wanted { bic: some("INGDDEFFXXX"), ..Wanted::default() }, "ING-DiBa"),
            (Wanted { bic: some("ingddeff"), ..Wanted::default() }, "ING-DiBa"),
            (Wanted { bank_code: some("50010517"), country: some("de"), ..Wanted::default() }, "ING-DiBa"),
            (Wanted { iban: some("DE0050010517"), ..Wanted::default() }, "ING-DiBa"),
            (Wanted { search: some("monzo"), ..Wanted::default() }, "MONZO BANK LTD"),
            (Wanted { iban: some("GB00MONZ"), ..Wanted::default() }, "MONZO BANK LTD"),
            (Wanted { iban: some("DK000350"), ..Wanted::default() }, "NORDEA BANK DANMARK A/S"),
            (Wanted { bank_code: some("0350"), country: some("DK"), ..Wanted::default() }, "NORDEA BANK DANMARK A/S"),
        ] {
            assert!(names(&wanted).contains(&name), "{wanted:?}: {:?}", names(&wanted));
        }
        for wanted in [
            Wanted { bic: some("INGDDEF"), ..Wanted::default() },
            Wanted { iban: some("DE00"), ..Wanted::default() },
            Wanted { iban: some("FR0050010517"), ..Wanted::default() },
            Wanted { iban: some("é00"), ..Wanted::default() },
            Wanted { bank_code: some("0199"), country: some("DK"), ..Wanted::default() },
            Wanted { search: some("no bank has this name"), ..Wanted::default() },
        ] {
            assert!(names(&wanted).is_empty(), "{wanted:?}: {:?}", names(&wanted));
        }
        // One profile serves every bank of its platform.
        let directory = Directory::embedded().unwrap();
        let wanted = Wanted { search: some("sparda-bank"), ..Wanted::default() };
        let sparda = find(&wanted);
        let through: Vec<_> =
            sparda.map(|one| one.profile(&directory).map(|profile| profile.bank.members.len())).collect();
        assert!(through.len() >= 10 && through.iter().all(|members| *members == Some(1)), "{through:?}");
        let first = &all()[0];
        assert_eq!(get(&first.id), Some(first));
        assert_eq!(get(&InstitutionId::new("xx_nowhere").unwrap()), None);
    }
}
