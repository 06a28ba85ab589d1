//! The one binary: commands, the system clock, the log. Everything else is below it.

mod backup;
mod banks;
mod bench;
mod browser;
mod certs;
mod clock;
mod compliance;
mod consents;
#[cfg(feature = "demo")]
mod demo;
mod doctor;
#[expect(clippy::float_arithmetic, reason = "a confidence is an estimate, not money")]
mod enrich;
mod evidence;
mod fapi;
mod holds;
mod keys;
mod logging;
mod normalize;
mod offboard;
mod products;
mod replay;
mod serve;
mod staff;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use server::config::Config;

/// What is freed is overwritten: bank data and keys pass through strings and buffers of libraries that know nothing of
/// secrecy, and a core dump or a swapped page must not hold them longer than they were used.
#[global_allocator]
static FORGETFUL: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);

/// Open banking in one binary: consent, bank data, one schema, deletion with proof.
#[derive(Debug, Parser)]
#[command(name = "tributary", version, about, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole journey from nothing: a database, certificates, a simulated bank, consent, data, deletion, proof
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
    /// API, pages and background work
    Serve(ConfigFile),
    /// Bring the database's schema up to date
    Migrate(ConfigFile),
    /// Check or show the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look for what is wrong with this installation, and say what to do
    Doctor(doctor::DoctorArgs),
    /// Certificates
    #[command(subcommand)]
    Certs(certs::CertsCommand),
    /// Our keys and certificates at banks
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Consents, and their end by an operator or a register
    #[command(subcommand)]
    Consents(consents::ConsentsCommand),
    /// Programs that use this installation, and their keys
    #[command(subcommand)]
    Products(products::ProductsCommand),
    /// People who work here, each with a key of their own
    #[command(subcommand)]
    Staff(staff::StaffCommand),
    /// Legal holds: data that the law wants kept, seen by four eyes
    #[command(subcommand)]
    Holds(holds::HoldsCommand),
    /// What a compliance officer asks for: search, reports, calls to banks, incidents
    #[command(subcommand)]
    Compliance(compliance::ComplianceCommand),
    /// The end of a tenant: every consent ended, everything erased, what proves it in a folder
    Offboard(offboard::OffboardArgs),
    /// The directory of banks and their profiles
    #[command(subcommand)]
    Banks(banks::BanksCommand),
    /// The FAPI client
    #[command(subcommand)]
    Fapi(fapi::FapiCommand),
    /// Bank rows to transactions, one JSON object a line
    Normalize(normalize::NormalizeArgs),
    /// Descriptors to merchant and category, one JSON object a line
    Enrich(enrich::EnrichArgs),
    /// Measured speed beside what the machine allows
    Bench(bench::BenchArgs),
    /// What other rules would make of the rows that are kept raw; without --dry-run, puts it in place
    Replay(replay::ReplayArgs),
    /// Receipts and bundles
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
    /// A backup of the database, sealed and without its keys
    Backup(backup::BackupArgs),
    /// A backup back in its place, brought up to date so that nothing revoked or erased comes to life
    Restore(backup::RestoreArgs),
}

#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// Settings that differ from the defaults (TOML)
    #[arg(long, value_name = "FILE", env = "TRIBUTARY_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Read every setting and say which cannot work
    Check(ConfigFile),
    /// Print what is in force, secrets masked
    Show(ConfigFile),
    /// Print the commented default
    Default,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read has read enough: `tributary banks list | head`.
        Err(error)
            if error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("tributary: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        #[cfg(feature = "demo")]
        Command::Demo(args) => block_on(demo::run(args)),
        Command::Serve(file) => block_on(serve::serve(load(&file)?)),
        Command::Migrate(file) => block_on(serve::migrate(load(&file)?)),
        Command::Config(command) => settings(&command),
        Command::Doctor(args) => block_on(doctor::run(args)),
        Command::Certs(command) => certs::run(&command),
        Command::Keys(command) => block_on(keys::run(command)),
        Command::Consents(command) => block_on(consents::run(command)),
        Command::Products(command) => block_on(products::run(command)),
        Command::Staff(command) => block_on(staff::run(command)),
        Command::Holds(command) => block_on(holds::run(command)),
        Command::Compliance(command) => block_on(compliance::run(command)),
        Command::Offboard(args) => block_on(offboard::run(args)),
        Command::Banks(command) => banks::run(command),
        Command::Fapi(command) => fapi::run(command),
        Command::Normalize(args) => normalize::run(args),
        Command::Enrich(args) => enrich::run(args),
        Command::Bench(args) => bench::run(&args),
        Command::Replay(args) => block_on(replay::run(args)),
        Command::Evidence(command) => evidence::run(command),
        Command::Backup(args) => block_on(backup::make(args)),
        Command::Restore(args) => block_on(backup::restore(args)),
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?.block_on(work)
}

fn load(file: &ConfigFile) -> anyhow::Result<Config> {
    Config::load(file.config.as_deref()).context("the settings cannot be used")
}

fn settings(command: &ConfigCommand) -> anyhow::Result<()> {
    let text = match command {
        ConfigCommand::Check(file) => {
            load(file)?;
            "The settings can be used.\n".to_owned()
        }
        ConfigCommand::Show(file) => load(file)?.show(),
        ConfigCommand::Default => server::config::DEFAULT.to_owned(),
    };
    print(&text)
}

/// Writes to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}
