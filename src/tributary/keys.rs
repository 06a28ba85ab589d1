//! `tributary keys`: what signs and what shakes hands at each bank, and the operator's hand on its rotation.

use std::sync::Arc;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use domain::ids::RegistrationId;
use domain::policy::Regime;
use domain::rotation::Use;
use domain::world::{Clock as _, World};
use server::config::Config;
use server::database::Database;
use server::services::rotation;
use server::{App, setup};
use store::credentials;
use vault::SystemEntropy;

use crate::clock::SystemClock;

/// Keys and certificates at banks. Running nodes follow within a second
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Signing keys and certificates of every registration, and where each stands
    List(crate::ConfigFile),
    /// Make the next signing key of a registration and publish it; it signs once banks have had time to see it
    Rotate {
        /// The registration
        registration: String,
        #[command(flatten)]
        file: crate::ConfigFile,
    },
    /// Bring the signing key or the certificate before the current one back
    Restore {
        /// The registration
        registration: String,
        /// What comes back
        #[arg(value_enum)]
        what: What,
        #[command(flatten)]
        file: crate::ConfigFile,
    },
}

/// What a credential is for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum What {
    /// The key that signs requests and assertions
    Signing,
    /// The certificate of mutual TLS
    Certificate,
}

/// Runs the command.
pub(crate) async fn run(command: KeysCommand) -> anyhow::Result<()> {
    let (KeysCommand::List(file) | KeysCommand::Rotate { file, .. } | KeysCommand::Restore { file, .. }) = &command;
    let config = crate::load(file)?;
    let database = Database::open(&config).await?;
    let done = perform(&command, config, &database).await;
    database.close().await?;
    done
}

async fn perform(command: &KeysCommand, config: Config, database: &Database) -> anyhow::Result<()> {
    let world = World { now: SystemClock.now(), entropy: &SystemEntropy };
    let regime = Regime::parse(&config.tenant.regime).context("tenant.regime")?;
    let tenant = setup::ensure_tenant(&database.store, &world, &config.tenant.name, regime).await?;
    let app = App::new(config, database.store.clone(), Arc::new(SystemClock), tenant)?;
    setup::publish_registrations(&app).await?;
    let named = |text: &str| RegistrationId::new(text).context("this is no name of a registration");
    match command {
        KeysCommand::List(_) => {}
        KeysCommand::Rotate { registration, .. } => rotation::rotate(&app, &named(registration)?).await?,
        KeysCommand::Restore { registration, what, .. } => {
            let usage = match what {
                What::Signing => Use::Signing,
                What::Certificate => Use::Transport,
            };
            rotation::restore(&app, &named(registration)?, usage).await?;
        }
    }
    list(&app).await
}

async fn list(app: &App) -> anyhow::Result<()> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let all = credentials::all(&mut tx).await?;
    tx.commit().await?;
    let lines: String = all
        .iter()
        .map(|kept| {
            let (id, usage, one) = (kept.registration.as_str(), kept.usage.word(), &kept.credential);
            format!("{id:<24} {usage:<10} {:<9} since {:.0}  {}\n", one.state.word(), one.since, one.name)
        })
        .collect();
    crate::print(&lines)
}
