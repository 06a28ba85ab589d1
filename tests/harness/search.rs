//! A thief who looks for words wherever they may have been left, in every form in which a program may have written them.
//!
//! The forms: text in any case, UTF-16 in both orders, hexadecimal, base64 at every offset; account numbers in groups of
//! four; amounts as integers of minor units, as floats, and as PostgreSQL's `numeric`.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Words to look for.
#[derive(Debug)]
pub struct Search {
    forms: AhoCorasick,
    /// Word and form, by pattern.
    names: Vec<String>,
}

/// What was looked through, and what was found where.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Searched {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: usize,
    /// File and word.
    pub found: Vec<(PathBuf, String)>,
}

impl Search {
    /// Words of at least eight characters: shorter ones are found by chance.
    ///
    /// # Panics
    /// For a shorter word.
    pub fn new<W: AsRef<str>>(words: &[W]) -> Self {
        let (mut patterns, mut names) = (Vec::new(), Vec::new());
        for word in words.iter().map(AsRef::as_ref) {
            assert!(word.len() >= 8, "`{word}` would be found by chance");
            for (form, bytes) in forms(word) {
                names.push(format!("{word} ({form})"));
                patterns.push(bytes);
            }
        }
        let forms = AhoCorasick::builder().ascii_case_insensitive(true).build(patterns).expect("a few short patterns");
        Self { forms, names }
    }

    /// The first word in some bytes, with its form.
    pub fn first_in(&self, bytes: &[u8]) -> Option<&str> {
        self.forms.find(bytes).map(|found| self.names[found.pattern().as_usize()].as_str())
    }

    /// Looks through every file below a folder. What goes away meanwhile is no longer there to be read.
    ///
    /// # Panics
    /// When a file is there and cannot be read.
    pub fn below(&self, folder: &Path) -> Searched {
        let mut searched = Searched::default();
        let mut waiting = vec![folder.to_owned()];
        while let Some(path) = waiting.pop() {
            let Ok(kind) = std::fs::symlink_metadata(&path) else { continue };
            if kind.is_dir() {
                waiting.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
            } else if kind.is_file() {
                let content = match std::fs::read(&path) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    read => read.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
                };
                searched.files += 1;
                searched.bytes += content.len();
                searched.found.extend(self.first_in(&content).map(|word| (path, word.to_owned())));
            }
        }
        searched
    }
}

/// Memory that a process has written to is read in parts of this size, each with the end of the one before.
const PART_BYTES: usize = 1 << 20;

/// Looks through the memory of a process: all that it has written to and not given back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Bytes that were read.
    pub bytes: usize,
    /// Words, each once.
    pub found: std::collections::BTreeSet<String>,
}

impl Search {
    /// Looks through the memory of a process of ours (Linux, `/proc`).
    ///
    /// # Panics
    /// When it is not ours, or has ended.
    pub fn memory(&self, process: u32) -> Remembered {
        let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).expect("a process that runs");
        let memory = std::fs::File::open(format!("/proc/{process}/mem")).expect("a process of ours");
        let mut remembered = Remembered::default();
        for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|may| may.starts_with("rw"))) {
            let range = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
            let [from, until] = [range.0, range.1].map(|at| u64::from_str_radix(at, 16).expect("an address"));
            self.region(&memory, from..until, &mut remembered);
        }
        remembered
    }

    fn region(&self, memory: &std::fs::File, range: std::ops::Range<u64>, remembered: &mut Remembered) {
        let (mut at, mut part, mut kept) = (range.start, vec![0; PART_BYTES], 0);
        let overlap = self.forms.max_pattern_len();
        while at < range.end {
            let room = (PART_BYTES - kept).min(usize::try_from(range.end - at).unwrap_or(PART_BYTES));
            // What was unmapped meanwhile cannot be read, and is not there any more.
            let Ok(read @ 1..) = memory.read_at(&mut part[kept..kept + room], at) else { return };
            let filled = &part[..kept + read];
            let names = self.forms.find_iter(filled).map(|found| self.names[found.pattern().as_usize()].clone());
            remembered.found.extend(names);
            (at, remembered.bytes) = (at + read as u64, remembered.bytes + read);
            let end = filled.len();
            kept = overlap.min(end);
            part.copy_within(end - kept..end, 0);
        }
    }
}

/// Every form of a word, with its name.
fn forms(word: &str) -> Vec<(&'static str, Vec<u8>)> {
    let units = || word.encode_utf16();
    let mut forms = vec![
        ("text", word.as_bytes().to_vec()),
        ("UTF-16", units().flat_map(u16::to_le_bytes).collect()),
        ("UTF-16, big-endian", units().flat_map(u16::to_be_bytes).collect()),
        ("hexadecimal", word.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()),
    ];
    forms.extend((0..3).map(|offset| ("base64", base64_inside(word, offset))));
    let characters: Vec<char> = word.chars().collect();
    if word.len() > 14 && characters.iter().all(char::is_ascii_alphanumeric) {
        let groups: Vec<String> = characters.chunks(4).map(|group| group.iter().collect()).collect();
        forms.push(("groups", groups.join(" ").into_bytes()));
    }
    if let Some((whole, fraction)) = word.split_once('.') {
        forms.extend(numbers(word, whole, fraction));
    }
    forms
}

/// The characters of base64 that the word alone decides when it stands at an offset in something longer.
fn base64_inside(word: &str, offset: usize) -> Vec<u8> {
    let before = vec![0; offset];
    let encoded = STANDARD.encode([before.as_slice(), word.as_bytes()].concat());
    let first = [0, 2, 3][offset];
    let shared = usize::from(!(offset + word.len()).is_multiple_of(3));
    let kept = encoded.trim_end_matches('=');
    kept.as_bytes()[first..kept.len() - shared].to_vec()
}

/// A decimal amount as numbers.
fn numbers(word: &str, whole: &str, fraction: &str) -> Vec<(&'static str, Vec<u8>)> {
    let minor: Option<i64> = format!("{whole}{fraction}").parse().ok();
    let mut forms = Vec::new();
    for sign in [1, -1] {
        let minor = minor.map(|minor| sign * minor);
        forms.extend(minor.map(|minor| ("integer", minor.to_le_bytes().to_vec())));
        forms.extend(minor.map(|minor| ("integer, big-endian", minor.to_be_bytes().to_vec())));
    }
    for float in [word.parse::<f64>(), format!("-{word}").parse()].into_iter().flatten() {
        forms.push(("float", float.to_le_bytes().to_vec()));
        forms.push(("float, big-endian", float.to_be_bytes().to_vec()));
    }
    // Digits of base 10 000, the decimal point between two of them.
    let whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let digits = format!("{whole}{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
    let digits = digits.as_bytes().chunks(4).filter_map(|four| std::str::from_utf8(four).ok()?.parse::<u16>().ok());
    forms.push(("numeric", digits.flat_map(u16::to_le_bytes).collect()));
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(word: &str, bytes: &[u8]) -> bool {
        let around = [&b"\x00\xffbefore"[..], bytes, b"after\x00"].concat();
        Search::new(&[word]).first_in(&around).is_some()
    }

    #[test]
    fn a_word_is_found_in_every_form() {
        let word = "Lindenhof 12";
        assert!(finds(word, word.as_bytes()));
        assert!(finds(word, b"LINDENHOF 12"));
        assert!(finds(word, &word.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()));
        assert!(finds(word, &word.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>()));
        assert!(finds(word, b"4c696e64656e686f66203132"));
        for text in ["Lindenhof 12", "aLindenhof 12b", "abLindenhof 12bc", "abcLindenhof 12d"] {
            assert!(finds(word, STANDARD.encode(text).as_bytes()), "{text}");
        }
        assert!(!finds(word, b"Lindenhof 13"));
        assert!(finds("DE12345678901234567890", b"DE12 3456 7890 1234 5678 90"));
    }

    #[test]
    fn an_amount_is_found_as_a_number() {
        let amount = "73915206.48";
        assert!(finds(amount, b"-73915206.48"));
        assert!(finds(amount, &7_391_520_648_i64.to_le_bytes()));
        assert!(finds(amount, &(-7_391_520_648_i64).to_be_bytes()));
        assert!(finds(amount, &(-73_915_206.48_f64).to_le_bytes()));
        let numeric: Vec<u8> = [7391_u16, 5206, 4800].into_iter().flat_map(u16::to_le_bytes).collect();
        assert!(finds(amount, &numeric));
        assert!(!finds(amount, b"73915206.49"));
    }

    #[test]
    fn memory_is_looked_through_and_what_is_in_it_is_found() {
        // Made at run time, so that the searcher's own copy is another.
        let held: String = "92 fohnedniL".chars().rev().collect();
        let remembered = Search::new(&[held.as_str()]).memory(std::process::id());
        assert!(remembered.bytes > 100_000 && remembered.found.contains("Lindenhof 29 (text)"), "{remembered:?}");
    }

    #[test]
    fn every_file_of_a_folder_is_looked_through() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("base").join("5");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(folder.path().join("log"), b"nothing").unwrap();
        let page = deep.join("16384");
        std::fs::write(&page, b"\x00\xfeLindenhof 12\x00").unwrap();
        let searched = Search::new(&["Lindenhof 12"]).below(folder.path());
        assert_eq!((searched.files, searched.bytes), (2, 22));
        assert_eq!(searched.found, [(page, "Lindenhof 12 (text)".to_owned())]);
    }
}
