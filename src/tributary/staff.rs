//! `tributary staff`: the people whose eyes count where two of them are wanted.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use domain::ids::StaffId;
use secrecy::{ExposeSecret as _, SecretString};
use server::App;
use server::services::staff;
use store::staff::Staff;

use crate::clock::SystemClock;

/// Where the key of a member of staff is looked for if no file is named.
const KEY_VARIABLE: &str = "TRIBUTARY_STAFF_KEY";

/// Staff: a key is printed once and never again. Adding somebody is on record
#[derive(Debug, Subcommand)]
pub(crate) enum StaffCommand {
    /// Everybody, those who left included
    List(crate::ConfigFile),
    /// Add somebody and print their key
    Add {
        /// How colleagues call them; stands in no record of a consent
        name: String,
        #[command(flatten)]
        file: crate::ConfigFile,
    },
    /// Withdraw somebody's key at once
    Withdraw {
        /// `stf_…`
        staff: StaffId,
        #[command(flatten)]
        file: crate::ConfigFile,
    },
}

/// Who gives a command.
#[derive(Debug, Args)]
pub(crate) struct Who {
    /// A file with your staff key; left out: the variable TRIBUTARY_STAFF_KEY
    #[arg(long, value_name = "FILE")]
    staff_key: Option<PathBuf>,
}

impl Who {
    /// The member of staff whose key was shown.
    pub(crate) async fn known(&self, app: &App) -> anyhow::Result<Staff> {
        let key = match &self.staff_key {
            Some(path) => std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?,
            None => {
                std::env::var(KEY_VARIABLE).with_context(|| format!("show your key: --staff-key or {KEY_VARIABLE}"))?
            }
        };
        Ok(staff::known(app, &SecretString::from(key)).await?)
    }
}

/// Runs the command.
pub(crate) async fn run(command: StaffCommand) -> anyhow::Result<()> {
    let (StaffCommand::List(file) | StaffCommand::Add { file, .. } | StaffCommand::Withdraw { file, .. }) = &command;
    let (database, app) = server::open(crate::load(file)?, Arc::new(SystemClock)).await?;
    let told = perform(&app, command).await;
    drop(app);
    database.close().await?;
    crate::print(&told?)
}

async fn perform(app: &App, command: StaffCommand) -> anyhow::Result<String> {
    Ok(match command {
        StaffCommand::List(_) => {
            let line = |member: &Staff| {
                let left = member.withdrawn_at.map_or_else(String::new, |at| format!("  until {at:.0}"));
                format!("{}  {}  since {:.0}{left}\n", member.id, member.name, member.created_at)
            };
            staff::list(app).await?.iter().map(line).collect()
        }
        StaffCommand::Add { name, .. } => {
            let (id, key) = staff::add(app, &name).await?;
            format!("{id}\n{}\n", key.expose_secret())
        }
        StaffCommand::Withdraw { staff: id, .. } => {
            staff::withdraw(app, id).await.with_context(|| format!("{id} was not withdrawn"))?;
            format!("{id} is withdrawn.\n")
        }
    })
}
