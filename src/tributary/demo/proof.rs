//! The receipt of a deletion: fetched with the bundle that proves it, kept in files, and checked by the command that
//! anybody else would use.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Output;

use anyhow::{Context as _, ensure};
use evidence::{BankAnswer, Line, Origin, Receipt, Report, Statement, VerifierKey};
use http::StatusCode;
use tokio::process::Command;

use super::product::Revocation;
use super::world::World;

/// A receipt with everything that proves it.
pub(super) struct Proof {
    /// The bundle as it came.
    pub(super) file: PathBuf,
    /// The keys to check it with.
    pub(super) keys: PathBuf,
    /// What the bundle says.
    pub(super) report: Report,
    /// The receipt in it.
    pub(super) receipt: Receipt,
    /// A key that has nothing to do with it.
    stranger: String,
}

/// Fetches the receipt of a deletion and keeps it; `None` while there is none.
///
/// # Errors
/// No answer, or a bundle that does not hold.
pub(super) async fn fetch(world: &World, revocation: &Revocation, name: &str) -> anyhow::Result<Option<Proof>> {
    let path = format!("/v1/evidence/deletions/{}/receipt", revocation.erasure);
    let answer = world.product.get(&path).await?;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::ACCEPTED => return Ok(None),
        status => anyhow::bail!("the receipt was answered with {status}"),
    }
    let text = String::from_utf8(answer.body.into()).context("a bundle that is not text")?;
    let line = server::verifier_key(&world.app)?;
    let report = evidence::verify(&text, &VerifierKey::read_all(&line)?, None).context("the bundle")?;
    let receipt = report.receipts().into_iter().next_back().context("a bundle without receipt")?;
    let folder = world.folder.join("evidence");
    let (file, keys) = (folder.join(format!("{name}.json")), folder.join("keys.txt"));
    fs::write(&file, &text)?;
    fs::write(&keys, format!("{line}\n"))?;
    let origin = Origin::new(&world.app.config.evidence.origin, world.app.tenant.id)?;
    Ok(Some(Proof { file, keys, report, receipt, stranger: VerifierKey::new(&origin, [7; 32]).to_string() }))
}

impl Proof {
    /// Rows that were erased, and of how many tables.
    pub(super) fn erased(&self) -> (u64, usize) {
        let counts = self.receipt.erased_rows.values().copied().filter(|rows| *rows > 0);
        (counts.clone().sum(), counts.count())
    }

    /// What the bank said to the end of the consent, once it is on record.
    pub(super) fn bank_answer(&self) -> Option<BankAnswer> {
        let bodies = self.report.lines.iter().filter_map(|line| line.statement()?.body::<BankAnswer>()?.ok());
        bodies.into_iter().find(|answer| answer.deletion == self.receipt.deletion)
    }

    /// What the log says happened after access had stopped and does not belong to its end: nothing, if all is well.
    pub(super) fn after_the_end(&self) -> Vec<String> {
        let end = |statement: &Statement| statement.kind == "deletion.begun";
        let statements = self.report.lines.iter().filter_map(Line::statement);
        let after = statements.skip_while(|statement| !end(statement));
        let belongs = |statement: &Statement| match statement.kind.as_str() {
            "bank.call" => basis(statement) == "revocation",
            // A person whose consent ended is told so in writing.
            kind => kind.starts_with("deletion.") || kind.starts_with("notice.") || kind == "consent.moved",
        };
        after.filter(|statement| !belongs(statement)).map(|statement| statement.kind).collect()
    }

    /// Calls to the bank on record, by the ground on which they were made.
    pub(super) fn calls(&self) -> BTreeMap<String, usize> {
        calls(&self.report)
    }
}

/// Calls to the bank on record for a consent.
///
/// # Errors
/// No answer, or a bundle that does not hold.
pub(super) async fn calls_of(world: &World, consent: &str) -> anyhow::Result<BTreeMap<String, usize>> {
    let answer = world.product.get(&format!("/v1/evidence/consents/{consent}")).await?;
    ensure!(answer.status == StatusCode::OK, "the log of a consent was answered with {}", answer.status);
    let text = String::from_utf8(answer.body.into()).context("a bundle that is not text")?;
    let keys = VerifierKey::read_all(&server::verifier_key(&world.app)?)?;
    Ok(calls(&evidence::verify(&text, &keys, None).context("the bundle of a consent")?))
}

fn calls(report: &Report) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    let made = report.lines.iter().filter(|line| line.kind() == Some("bank.call"));
    for statement in made.filter_map(Line::statement) {
        *calls.entry(basis(&statement).to_owned()).or_default() += 1;
    }
    calls
}

/// The ground on which a call was made.
fn basis(statement: &Statement) -> &str {
    statement.body.get("basis").and_then(|basis| basis.as_str()).unwrap_or("unknown")
}

/// Has the command check the file, a copy with one digit changed, and the file with somebody else's key: it must accept the
/// first and refuse the others.
///
/// # Errors
/// It did otherwise.
pub(super) async fn check(proof: &Proof) -> anyhow::Result<((), String)> {
    let genuine = verify(&proof.file, &proof.keys).await?;
    let said = String::from_utf8_lossy(&genuine.stdout).into_owned();
    ensure!(
        genuine.status.success() && said.starts_with("Verified"),
        "the command refused a genuine receipt: {}",
        why(&genuine)
    );
    fs::write(proof.file.with_extension("txt"), &said)?;
    let forged = proof.file.with_extension("forged.json");
    fs::write(&forged, forge(proof)?)?;
    let refused = verify(&forged, &proof.keys).await?;
    ensure!(!refused.status.success(), "the command accepted a forged receipt");
    let stranger = proof.file.with_extension("stranger.txt");
    fs::write(&stranger, format!("{}\n", proof.stranger))?;
    let unknown = verify(&proof.file, &stranger).await?;
    ensure!(!unknown.status.success(), "the command accepted a stranger's signature");
    let facts = format!("Accepted. One digit changed: {}. Another key: {}", why(&refused), why(&unknown));
    Ok(((), facts))
}

/// The bundle, with one row more erased than were.
fn forge(proof: &Proof) -> anyhow::Result<String> {
    let text = fs::read_to_string(&proof.file)?;
    let rows = proof.receipt.erased_rows.get("transaction").context("no transactions were erased")?;
    // The statement is text inside the bundle's text.
    let forged = text.replacen(&format!("\\\"transaction\\\":{rows}"), &format!("\\\"transaction\\\":{}", rows + 1), 1);
    ensure!(forged != text, "the receipt does not tell how many transactions were erased");
    Ok(forged)
}

/// Runs `tributary evidence verify FILE --key FILE` as a program of its own.
async fn verify(file: &PathBuf, keys: &PathBuf) -> anyhow::Result<Output> {
    let program = std::env::current_exe().context("this program's own file")?;
    let mut command = Command::new(program);
    command.args(["evidence", "verify"]).arg(file).arg("--key").arg(keys).env_clear();
    command.output().await.context("the command does not start")
}

/// What a refusal says, without the program's name.
fn why(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.trim().trim_start_matches("tributary: ").to_owned()
}
