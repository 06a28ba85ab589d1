//! The server programs that are installed on this machine.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::PrivateError;

/// The oldest major version that the schema runs on.
pub(super) const MAJOR_MIN: u32 = 15;

/// Folders where packages put the programs; `*` stands for a version.
const USUAL: [&str; 8] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/opt/local/lib/postgresql*/bin",
];

/// The programs of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) major: u32,
    pub(super) dir: PathBuf,
}

impl Binaries {
    pub(super) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    /// The programs to use: of the cluster's major version where there is a cluster, else the newest.
    pub(super) fn find(named: Option<&Path>, wanted: Option<u32>, data: &Path) -> Result<Self, PrivateError> {
        let folders = match named {
            Some(dir) => vec![dir.to_owned()],
            None => usual_folders(),
        };
        let installed: Vec<Self> = folders.iter().filter_map(|dir| Self::at(dir)).collect();
        let searched = || folders.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ");
        let found = installed.iter().filter(|one| wanted.is_none_or(|major| one.major == major));
        // The first of the newest: a package's own folder before links to it in PATH.
        match (found.min_by_key(|one| Reverse(one.major)), wanted) {
            (Some(best), _) => Ok(best.clone()),
            (None, Some(wanted)) if !installed.is_empty() => {
                let found = installed.iter().map(|one| one.major.to_string()).collect::<Vec<_>>().join(", ");
                Err(PrivateError::OtherMajor { dir: data.to_owned(), wanted, found })
            }
            (None, _) => Err(PrivateError::NoBinaries { searched: searched() }),
        }
    }

    /// What is in a folder, if it is a server that is new enough.
    fn at(dir: &Path) -> Option<Self> {
        if !dir.join("initdb").is_file() {
            return None;
        }
        let answer = Command::new(dir.join("postgres")).arg("-V").output().ok()?;
        let major = major_of(&String::from_utf8(answer.stdout).ok()?)?;
        (major >= MAJOR_MIN).then(|| Self { major, dir: dir.to_owned() })
    }
}

/// The major version in `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
fn major_of(answer: &str) -> Option<u32> {
    let version = answer.split("(PostgreSQL)").nth(1)?.trim_start();
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Where packages put the programs, then `PATH`.
fn usual_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = USUAL.iter().flat_map(|pattern| expand(pattern)).collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path).filter(|dir| dir.join("initdb").is_file()));
    folders
}

/// The folders that a pattern with one `*` names.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![PathBuf::from(pattern)] };
    let (parent, start) = before.rsplit_once('/').unwrap_or(("", before));
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(start)))
        .map(|entry| entry.path().join(after.trim_start_matches('/')))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_server_says() {
        for (answer, major) in [
            ("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n", Some(15)),
            ("postgres (PostgreSQL) 18beta2\n", Some(18)),
            ("postgres (PostgreSQL) 17.0\n", Some(17)),
            ("postgres (EnterpriseDB) x\n", None),
            ("", None),
        ] {
            assert_eq!(major_of(answer), major, "{answer}");
        }
    }

    #[test]
    fn no_programs_says_what_to_install() {
        let empty = tempfile::tempdir().unwrap();
        let error = Binaries::find(Some(empty.path()), None, empty.path()).unwrap_err().to_string();
        for word in ["apt-get install postgresql", "dnf install", "brew install", "TRIBUTARY_PG_BINDIR", "DATABASE_URL"]
        {
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_cluster_of_another_major_version_is_not_touched() {
        let error = Binaries::find(None, Some(9), Path::new("data")).unwrap_err();
        assert!(matches!(error, PrivateError::OtherMajor { wanted: 9, .. }), "{error}");
    }
}
