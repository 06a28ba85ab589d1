//! A thief of disks: reads every file of the database as it lies there, write-ahead log included, and looks for words that
//! a person would not like to be read.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// What was searched.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Searched {
    /// Files that were read.
    pub(super) files: usize,
    /// Their bytes.
    pub(super) bytes: u64,
    /// The first file with one of the words in it.
    pub(super) found_in: Option<PathBuf>,
}

/// Looks for any of the words in every file below the places.
///
/// # Errors
/// A file that is there and cannot be read.
pub(super) async fn search(places: Vec<PathBuf>, words: Vec<String>) -> anyhow::Result<Searched> {
    let work = tokio::task::spawn_blocking(move || {
        let mut searched = Searched::default();
        places.iter().try_for_each(|place| walk(place, &words, &mut searched))?;
        Ok(searched)
    });
    work.await.context("the search broke off")?
}

fn walk(place: &Path, words: &[String], searched: &mut Searched) -> anyhow::Result<()> {
    let shown = || place.display().to_string();
    // The database is running: what goes away meanwhile is no longer there to be read.
    let Ok(kind) = fs::symlink_metadata(place) else { return Ok(()) };
    if kind.is_dir() {
        for entry in fs::read_dir(place).with_context(shown)? {
            walk(&entry.with_context(shown)?.path(), words, searched)?;
        }
    } else if kind.is_file() {
        let content = match fs::read(place) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            read => read.with_context(shown)?,
        };
        searched.files += 1;
        searched.bytes += content.len() as u64;
        let text = String::from_utf8_lossy(&content);
        if searched.found_in.is_none() && words.iter().any(|word| text.contains(word.as_str())) {
            searched.found_in = Some(place.to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_word_is_found_wherever_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("base").join("5");
        fs::create_dir_all(&deep).unwrap();
        fs::write(folder.path().join("log"), [0xff, 0x00, 0xc3]).unwrap();
        let look = |word: &str| search(vec![folder.path().to_owned()], vec!["other".to_owned(), word.to_owned()]);
        assert_eq!(look("Lindenhof").await.unwrap(), Searched { files: 1, bytes: 3, found_in: None });
        let page = deep.join("16384");
        fs::write(&page, b"\x00\xfe\x80Hausverwaltung Lindenhof\xff\x00").unwrap();
        assert_eq!(look("Lindenhof").await.unwrap().found_in, Some(page));
        assert_eq!(look("lindenhof").await.unwrap().found_in, None);
    }
}
