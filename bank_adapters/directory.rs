//! The directory of banks: the profiles that are built in, and those of a folder that add to them or replace them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use domain::ids::InstitutionId;

use crate::profile::{Profile, Standard};
use crate::settings::Findings;

/// Every `profiles/<country>/<bank>.toml` of the source tree: its name there and its text.
const EMBEDDED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/profiles.rs"));

/// Why a directory could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// A profile is not accepted.
    #[error(transparent)]
    Profile(#[from] Findings),
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Which banks to list. An absent part lets everything through.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// ISO 3166-1 alpha-2 code, in any case.
    pub country: Option<String>,
    /// Standard of the API.
    pub standard: Option<Standard>,
    /// Words that must all be in the name or the id, or begin a BIC; in any case.
    pub search: Option<String>,
}

/// Lets every bank through.
pub(crate) static EVERY: Filter = Filter { country: None, standard: None, search: None };

impl Filter {
    fn passes(&self, profile: &Profile) -> bool {
        let bank = &profile.bank;
        self.country.as_ref().is_none_or(|country| country.eq_ignore_ascii_case(&bank.country))
            && self.standard.is_none_or(|standard| standard == bank.standard)
            && self.search.as_ref().is_none_or(|search| {
                let text = format!("{} {}", bank.name, bank.id).to_lowercase();
                search.split_whitespace().map(str::to_lowercase).all(|word| {
                    text.contains(&word) || bank.bics.iter().any(|bic| bic.to_lowercase().starts_with(&word))
                })
            })
    }
}

/// Banks by id.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    banks: BTreeMap<InstitutionId, Arc<Profile>>,
}

impl Directory {
    /// The banks that are built in.
    pub fn embedded() -> Result<Self, DirectoryError> {
        let mut directory = Self::default();
        for (name, text) in EMBEDDED {
            directory.insert(Profile::parse(name, text)?);
        }
        Ok(directory)
    }

    /// Adds the `*.toml` files of a folder and of the folders in it; a bank that is already there is replaced.
    pub fn overlay(mut self, folder: &Path) -> Result<Self, DirectoryError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| DirectoryError::Read { path, source }
        };
        let mut folders = vec![(folder.to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(failed(&folder))? {
                let path = entry.map_err(failed(&folder))?.path();
                if path.is_dir() && depth == 0 {
                    folders.push((path, depth + 1));
                } else if path.extension().is_some_and(|extension| extension == "toml") {
                    let text = fs::read_to_string(&path).map_err(failed(&path))?;
                    self.insert(Profile::parse(&path.display().to_string(), &text)?);
                }
            }
        }
        Ok(self)
    }

    fn insert(&mut self, profile: Profile) {
        self.banks.insert(profile.bank.id.clone(), Arc::new(profile));
    }

    /// The bank with this id.
    pub fn get(&self, id: &InstitutionId) -> Option<&Arc<Profile>> {
        self.banks.get(id)
    }

    /// The banks that pass, by id.
    pub fn list<'a>(&'a self, filter: &Filter) -> impl Iterator<Item = &'a Arc<Profile>> {
        self.banks.values().filter(|profile| filter.passes(profile))
    }
}
