//! `tributary consents`: the operator's hand on consents. Whatever it does is on their record with its reason.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Subcommand;
use domain::ids::{ConsentId, InstitutionId};
use server::App;
use server::services::withdrawal::{self, Authority};

use crate::clock::SystemClock;

/// Consents: their end by an operator or by a public register
#[derive(Debug, Subcommand)]
pub(crate) enum ConsentsCommand {
    /// Withdraw consents at once: reading stops, the bank is told, data are erased
    Revoke {
        /// `cns_…`
        #[arg(required = true)]
        consent: Vec<ConsentId>,
        /// Why, and on what that rests: a complaint's number, a court's order. Kept in the evidence
        #[arg(long, value_name = "TEXT", value_parser = said)]
        reason: String,
        #[command(flatten)]
        file: crate::ConfigFile,
    },
    /// Withdraw every consent that rests on an authorisation which a public register has taken away
    ///
    /// Take the registration at the bank out of the settings only afterwards, when the bank was told of every end: nobody
    /// can be told without it. Repeat this for what was begun meanwhile.
    Deregister {
        #[command(flatten)]
        whose: Whose,
        /// The register's entry: its name, reference and day. Kept in the evidence
        #[arg(long, value_name = "TEXT", value_parser = said)]
        entry: String,
        #[command(flatten)]
        file: crate::ConfigFile,
    },
}

/// Whose authorisation has ended.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Whose {
    /// A bank's
    #[arg(long, value_name = "ID", value_parser = institution)]
    bank: Option<InstitutionId>,
    /// Our own
    #[arg(long)]
    own: bool,
}

fn institution(text: &str) -> Result<InstitutionId, &'static str> {
    InstitutionId::new(text).ok_or("not the id of a bank, see `tributary banks list`")
}

fn said(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() { Err("it must say something") } else { Ok(text.to_owned()) }
}

/// Runs the command.
pub(crate) async fn run(command: ConsentsCommand) -> anyhow::Result<()> {
    let (ConsentsCommand::Revoke { file, .. } | ConsentsCommand::Deregister { file, .. }) = &command;
    let (database, app) = server::open(crate::load(file)?, Arc::new(SystemClock)).await?;
    let told = perform(&app, command).await;
    drop(app);
    database.close().await?;
    crate::print(&told?)
}

async fn perform(app: &App, command: ConsentsCommand) -> anyhow::Result<String> {
    match command {
        ConsentsCommand::Revoke { consent, reason, .. } => {
            let mut text = String::new();
            for id in consent {
                let ended = withdrawal::of_consent(app, id, Authority::Operator, &reason).await;
                let ended = ended.with_context(|| format!("{text}{id} was not withdrawn"))?;
                text += &format!("{id} {}.\n", if ended { "is withdrawn" } else { "was over already" });
            }
            Ok(text)
        }
        ConsentsCommand::Deregister { whose, entry, .. } => {
            let ended = withdrawal::of_register(app, whose.bank.as_ref(), &entry).await;
            let ended = ended.context("not every consent was withdrawn, the others were; say it again")?;
            Ok(format!("{ended} consents are withdrawn.\n"))
        }
    }
}
