//! A digest of what decides how a bank's row is read: the sources and tables of `normalize`, the readers of the standards in
//! `bank_adapters`, and the types of `domain` that both write to. Tests in files of their own are no part of it, nor are
//! third-party libraries.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use sha2::{Digest, Sha256};

/// Folders and files below the root of the tree.
const PLACES: [&str; 7] = [
    "src/normalize",
    "src/domain/records.rs",
    "src/domain/money.rs",
    "src/domain/rules.rs",
    "bank_adapters/standards",
    "bank_adapters/quirks",
    "bank_adapters/unprofiled.toml",
];
/// Endings of files that count.
const ENDINGS: [&str; 5] = ["rs", "toml", "csv", "txt", "json"];
/// Files that hold tests alone, and what describes the crate.
const LEFT_OUT: [&str; 5] = ["tests.rs", "cases.rs", "simulation.rs", "descriptors.txt", "Cargo.toml"];

fn files(path: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            files(&entry?.path(), found)?;
        }
        return Ok(());
    }
    let counts = path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
    let left_out = path.file_name().is_some_and(|name| LEFT_OUT.iter().any(|other| name == *other));
    if counts && !left_out {
        found.push(path.to_owned());
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..");
    let mut found = Vec::new();
    for place in PLACES {
        println!("cargo::rerun-if-changed={}", root.join(place).display());
        files(&root.join(place), &mut found)?;
    }
    found.sort();
    let mut digest = Sha256::new();
    for path in found {
        let name = path.strip_prefix(&root)?.to_string_lossy().into_owned();
        let content = fs::read(&path)?;
        for part in [name.as_bytes(), &content] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    let hexadecimal: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    println!("cargo::rustc-env=TRIBUTARY_RULES_DIGEST={hexadecimal}");
    Ok(())
}
