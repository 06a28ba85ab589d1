//! `tributary banks`: the directory, one profile, and the check of a profile with every key explained.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bank_adapters::directory::{Directory, Filter};
use bank_adapters::profile::{self, Profile, Standard};
use clap::Subcommand;
use domain::ids::InstitutionId;

/// What to do with the directory of banks.
#[derive(Debug, Subcommand)]
pub(crate) enum BanksCommand {
    /// List the banks that are known, one a line
    List {
        /// Only banks of this country (ISO 3166-1 alpha-2)
        #[arg(long, value_name = "CC")]
        country: Option<String>,
        /// Only banks that speak this standard
        #[arg(long, value_name = "STANDARD", value_parser = standard)]
        standard: Option<Standard>,
        /// Only banks whose name, id or BIC has these words
        #[arg(long, value_name = "WORDS")]
        search: Option<String>,
        /// A folder of profiles that add to the built-in ones or replace them
        #[arg(long, value_name = "DIR")]
        profiles: Option<PathBuf>,
    },
    /// Show what is known about one bank, and from where
    Show {
        /// Id of the bank, as in the list
        id: String,
        /// A folder of profiles that add to the built-in ones or replace them
        #[arg(long, value_name = "DIR")]
        profiles: Option<PathBuf>,
    },
    /// Check a profile and explain every key of it
    Check {
        /// The profile (TOML)
        file: PathBuf,
    },
}

/// Runs the command; its answer goes to standard output.
pub(crate) fn run(command: BanksCommand) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match command {
        BanksCommand::List { country, standard, search, profiles } => {
            list(&mut out, &directory(profiles.as_deref())?, &Filter { country, standard, search })
        }
        BanksCommand::Show { id, profiles } => {
            let known = InstitutionId::new(&id);
            let directory = directory(profiles.as_deref())?;
            let Some(profile) = known.and_then(|id| directory.get(&id)) else {
                bail!("no bank has the id {id:?}; `tributary banks list` shows those that exist")
            };
            show(&mut out, profile)
        }
        BanksCommand::Check { file } => check(&mut out, &file),
    }
}

fn standard(word: &str) -> Result<Standard, String> {
    Standard::named(word).ok_or_else(|| {
        let known: Vec<_> = Standard::ALL.iter().map(|standard| standard.as_str()).collect();
        format!("known standards: {}", known.join(", "))
    })
}

fn directory(overlay: Option<&Path>) -> anyhow::Result<Directory> {
    let embedded = Directory::embedded()?;
    Ok(match overlay {
        Some(folder) => embedded.overlay(folder)?,
        None => embedded,
    })
}

fn list(out: &mut impl Write, directory: &Directory, filter: &Filter) -> anyhow::Result<()> {
    let rows: Vec<[&str; 6]> = directory
        .list(filter)
        .map(|profile| {
            let bank = &profile.bank;
            let (standard, level) = (bank.standard.as_str(), bank.level.as_str());
            [bank.id.as_str(), &bank.name, &bank.country, standard, &bank.version, level]
        })
        .collect();
    let head = ["ID", "NAME", "COUNTRY", "STANDARD", "VERSION", "LEVEL"];
    let width = |column: usize| rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    for row in [head].iter().chain(&rows) {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

fn show(out: &mut impl Write, profile: &Profile) -> anyhow::Result<()> {
    let (bank, consent, transactions) = (&profile.bank, &profile.consent, &profile.transactions);
    let security = profile.security();
    writeln!(out, "{} ({}), {}", bank.name, bank.id, bank.country)?;
    let mut line = |name: &str, value: String| writeln!(out, "  {name:<14} {value}");
    line("standard", format!("{} {}", bank.standard.as_str(), bank.version))?;
    line("level", bank.level.as_str().to_owned())?;
    if !bank.bics.is_empty() {
        line("BIC", bank.bics.join(", "))?;
    }
    for (environment, endpoints) in &profile.endpoints {
        let api = endpoints.api.as_ref().map_or("unknown", |api| api.url().as_str());
        let issuer = endpoints.issuer.as_deref().unwrap_or("its endpoints one by one");
        line(environment.as_str(), format!("{api}, authorised by {issuer}"))?;
    }
    line(
        "security",
        format!(
            "request {}, response {}, client {}, token binding {}",
            security.request.as_str(),
            security.response.as_str(),
            security.client_auth.as_str(),
            security.binding.as_str()
        ),
    )?;
    line(
        "consent",
        format!(
            "completes by {}, at most {} days, renewal {}",
            consent.completion.as_str(),
            consent.max_days,
            consent.renewal.as_str()
        ),
    )?;
    let long = transactions.history_days_after_sca.map_or(String::new(), |days| format!(", {days} after a login"));
    line("history", format!("{} days{long}", transactions.history_days))?;
    line("limits", format!("{} unattended reads a day", profile.limits.unattended_per_day))?;
    for source in &profile.evidence.sources {
        line("known from", format!("{} ({}, checked {})", source.source, source.about, source.checked))?;
    }
    Ok(())
}

fn check(out: &mut impl Write, file: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let verdict = Profile::parse(&file.display().to_string(), &text);
    let mut table = None;
    for key in profile::explain(&text) {
        if table != Some(key.table) {
            table = Some(key.table);
            let name = if key.table.is_empty() { "before the first table" } else { key.table };
            writeln!(out, "\n[{name}]")?;
        }
        let value = if key.values.is_empty() { "not set".to_owned() } else { key.values.join(" | ") };
        writeln!(out, "{} = {value}\n    {}", key.key, key.about)?;
    }
    match verdict {
        Ok(profile) => writeln!(out, "\n{}: accepted, {}", file.display(), profile.bank.id).map_err(Into::into),
        Err(findings) => bail!("not accepted\n{findings}"),
    }
}
