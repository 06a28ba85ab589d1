//! `tributary replay`: what the rules of this binary, and of other profiles, make of the rows that are kept raw.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use domain::ids::InstitutionId;
use domain::limits;
use server::services::replay::{BankReport, Report, Shown, Wanted};

use crate::clock::SystemClock;

/// Reads the sealed raw answers again with the rules of this binary and says, for each bank and field, how many rows would
/// say something else. Without --dry-run it puts that in place: page by page, so that it may be killed and started again.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    file: crate::ConfigFile,
    /// Change nothing, only say what would change
    #[arg(long)]
    dry_run: bool,
    /// Only accounts at this bank (`banks list`)
    #[arg(long, value_name = "ID")]
    bank: Option<String>,
    /// Profiles that add to or override the others, beside those of the settings
    #[arg(long, value_name = "DIR")]
    profiles: Option<PathBuf>,
    /// Name so many rows of each bank that would say something else, with the fields
    #[arg(long, value_name = "N", default_value_t = 0)]
    show: usize,
    /// With --show: also what they say and would say. These are bank data, and the look is written into the evidence
    #[arg(long, requires = "show")]
    values: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Runs on the database of the settings; a node may be serving from it meanwhile.
pub(crate) async fn run(args: ReplayArgs) -> anyhow::Result<()> {
    let bank = args.bank.as_deref().map(|id| InstitutionId::new(id).with_context(|| format!("`{id}` is no bank's id")));
    let bank = bank.transpose()?;
    let (database, app) = server::open(crate::load(&args.file)?, Arc::new(SystemClock)).await?;
    let mut directory = app.directory.clone();
    if let Some(folder) = &args.profiles {
        directory = directory.overlay(folder)?;
    }
    let wanted = Wanted { bank: bank.as_ref(), apply: !args.dry_run, examples: args.show, values: args.values };
    let report = server::services::replay::run(&app, &directory, wanted, progress).await;
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    drop(app);
    database.close().await?;
    let report = report?;
    let text = if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { told(&report) };
    crate::print(&text)
}

fn progress(accounts: u64) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // Whoever looks at a terminal that is gone does not miss it.
        let _ = write!(stderr, "\r{accounts} accounts");
    }
}

/// The report in words.
fn told(report: &Report) -> String {
    let mut text = String::new();
    if report.banks.is_empty() {
        text.push_str("There is no account whose rows may be read again.\n");
    }
    for (bank, found) in &report.banks {
        // Writing into a string has no way to fail.
        let _ = told_bank(&mut text, bank, found, report.applied);
    }
    text
}

fn told_bank(text: &mut String, bank: &str, found: &BankReport, applied: bool) -> std::fmt::Result {
    let Some(rule_set) = &found.rule_set else {
        return writeln!(text, "{bank}: no profile is known; its {} accounts stay as they are", found.accounts);
    };
    let (says, notices) = if applied { ("say", "noticed") } else { ("would say", "would notice") };
    writeln!(text, "{bank}: {} accounts, {} rows read again by the rules {rule_set}", found.accounts, found.rows)?;
    for (before, rows) in found.read_before_by.iter().filter(|(before, _)| *before != rule_set) {
        writeln!(text, "  {rows:>9} had been read by the rules {before}")?;
    }
    writeln!(text, "  {:>9} say what they said", found.unchanged)?;
    writeln!(text, "  {:>9} {says} something else; a product {notices} {} of them", found.changed, found.noticed)?;
    if found.refused > 0 {
        writeln!(text, "  {:>9} are refused by these rules and stay as they are", found.refused)?;
    }
    if found.not_replayable > 0 {
        let days = limits::RAW_RETENTION_DAYS;
        let rows = found.not_replayable;
        writeln!(text, "  {rows:>9} more have no raw answer (kept {days} days) and stay as they are")?;
    }
    for (field, rows) in &found.fields {
        writeln!(text, "            {field}: {rows}")?;
    }
    for example in &found.examples {
        writeln!(text, "  {} of {}: {}", example.transaction, example.account, example.fields.join(", "))?;
        for (field, [before, after]) in example.values.iter().flat_map(|Shown(values)| values) {
            writeln!(text, "            {field}: {before} -> {after}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_what_is_not_replayed_and_why() {
        let mut report = Report::default();
        assert_eq!(told(&report), "There is no account whose rows may be read again.\n");
        let found = BankReport {
            rule_set: Some("00aa".to_owned()),
            accounts: 2,
            rows: 30,
            read_before_by: [("00aa".to_owned(), 10), ("00bb".to_owned(), 20)].into(),
            unchanged: 27,
            changed: 3,
            noticed: 2,
            refused: 1,
            not_replayable: 4,
            fields: [("counterparty".to_owned(), 3)].into(),
            ..BankReport::default()
        };
        report.banks.insert("xx_bank".to_owned(), found);
        report.banks.insert("xx_other".to_owned(), BankReport { accounts: 1, ..BankReport::default() });
        assert_eq!(
            told(&report),
            "xx_bank: 2 accounts, 30 rows read again by the rules 00aa\n\
             \x20        20 had been read by the rules 00bb\n\
             \x20        27 say what they said\n\
             \x20         3 would say something else; a product would notice 2 of them\n\
             \x20         1 are refused by these rules and stay as they are\n\
             \x20         4 more have no raw answer (kept 90 days) and stay as they are\n\
             \x20           counterparty: 3\n\
             xx_other: no profile is known; its 1 accounts stay as they are\n"
        );
    }
}
