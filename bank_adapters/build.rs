//! Lists the profiles, so that adding a bank adds a file and touches none: every `profiles/<country>/<bank>.toml` is
//! embedded in the crate.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The entries of a folder, in the order of their names.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let profiles = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("profiles");
    println!("cargo::rerun-if-changed={}", profiles.display());
    let mut list = String::from("&[\n");
    for country in entries(&profiles)?.iter().filter(|path| path.is_dir()) {
        for file in entries(country)?.iter().filter(|path| path.extension().is_some_and(|e| e == "toml")) {
            let name = file.strip_prefix(&profiles)?.display().to_string();
            writeln!(list, "    ({name:?}, include_str!({:?})),", file.display().to_string())?;
        }
    }
    list.push_str("]\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("profiles.rs"), list)?;
    Ok(())
}
