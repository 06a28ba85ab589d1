//! `tributary evidence`: checks receipts and bundles, offline and without any configuration.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use evidence::timestamp::Authorities;
use evidence::{Beside, VerifierKey, verify_receipt, verify_with};

/// Largest file that is read, in bytes. A bundle has about two kilobytes for each entry.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// Check a receipt or a bundle offline and say in plain words what it shows
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A bundle (JSON), or a receipt or addendum alone (signed note)
    file: PathBuf,
    /// Keys you trust: signed-note verifier keys, one a line; after a rotation several
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// A checkpoint that you kept from an earlier visit; without it times are the operator's word
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Certificates (PEM) of time-stamp authorities you trust; time-stamps in the bundle are then checked
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// Also write what a bundle shows as a page that any browser opens
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Runs the command. An error, and so another exit code than 0, means: not accepted.
pub(crate) fn run(command: EvidenceCommand) -> anyhow::Result<()> {
    let EvidenceCommand::Verify(args) = command;
    let checkpoint = args.checkpoint.as_deref().map(read).transpose()?;
    let authorities = args.authority.as_deref().map(authorities).transpose()?;
    let beside = Beside { checkpoint: checkpoint.as_deref(), authorities: authorities.as_ref() };
    let (text, page) = check(&read(&args.file)?, &read(&args.key)?, beside)?;
    if let Some(path) = &args.html {
        let page = page.context("a receipt alone has no page; ask for the bundle")?;
        std::fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    crate::print(&text)
}

/// The report on a file and, for a bundle, its page; or why it is refused.
fn check(file: &str, keys: &str, beside: Beside<'_>) -> anyhow::Result<(String, Option<String>)> {
    let keys = VerifierKey::read_all(keys).context("the key file")?;
    ensure!(!keys.is_empty(), "the key file has no key");
    // A signed note has a blank line before its signatures; a bundle is one line.
    if !file.contains("\n\n") {
        let report = verify_with(file, &keys, beside).context("refused")?;
        return Ok((report.to_string(), Some(report.to_html()?)));
    }
    if beside.checkpoint.is_some() {
        bail!("a receipt alone has no proof that could lead to a checkpoint; ask for the bundle");
    }
    Ok((verify_receipt(file, &keys).context("refused")?.to_string(), None))
}

fn authorities(path: &Path) -> anyhow::Result<Authorities> {
    Authorities::from_pem(read(path)?.as_bytes()).with_context(|| path.display().to_string())
}

fn read(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let mut text = String::new();
    let file = File::open(path).with_context(|| format!("cannot open {shown}"))?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).with_context(|| format!("cannot read {shown} as text"))?;
    ensure!(text.len() as u64 <= FILE_BYTES_MAX, "{shown} is larger than {FILE_BYTES_MAX} bytes");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUNDLE: &str = include_str!("../evidence/vectors/bundle.json");
    const RECEIPT: &str = include_str!("../evidence/vectors/receipt.note");
    const CHECKPOINT: &str = include_str!("../evidence/vectors/checkpoint.note");
    const KEYS: &str = include_str!("../evidence/vectors/keys.txt");

    #[test]
    fn tells_a_bundle_from_a_receipt() {
        let (text, page) = check(BUNDLE, KEYS, Beside::default()).unwrap();
        assert!(text.contains("Time asserted by the operator") && page.unwrap().starts_with("<!doctype html>"));
        assert!(
            check(BUNDLE, KEYS, Beside::checkpoint(Some(CHECKPOINT)))
                .unwrap()
                .0
                .contains("outside checkpoint holds the first 6")
        );
        let (text, page) = check(RECEIPT, KEYS, Beside::default()).unwrap();
        assert!(text.contains("ask for the bundle") && page.is_none());
    }

    #[test]
    fn a_refusal_is_an_error_that_names_the_check() {
        let refused = |file: &str, keys: &str, checkpoint| {
            format!("{:#}", check(file, keys, Beside::checkpoint(checkpoint)).unwrap_err())
        };
        assert_eq!(
            refused(&format!("{BUNDLE}\n"), KEYS, None),
            "refused: file.form: the bytes are not the canonical form"
        );
        let forged = RECEIPT.replacen("1200", "1201", 1);
        assert_eq!(refused(&forged, KEYS, None), "refused: file.signature: the signature is not genuine");
        assert!(refused(RECEIPT, KEYS, Some(CHECKPOINT)).contains("ask for the bundle"));
        assert!(refused(BUNDLE, "", None).contains("no key"));
        assert!(refused(BUNDLE, "nonsense", None).starts_with("the key file: "));
    }
}
