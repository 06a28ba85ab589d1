//! `tributary serve` and `tributary migrate`.

use std::sync::Arc;

use server::config::Config;
use server::database::Database;

use crate::clock::SystemClock;

/// Serves until interrupted.
pub(crate) async fn serve(config: Config) -> anyhow::Result<()> {
    crate::logging::start(&config.log)?;
    let interrupted = interrupted()?;
    server::serve(config, Arc::new(SystemClock), interrupted).await
}

/// Brings the schema up to date and stops.
pub(crate) async fn migrate(config: Config) -> anyhow::Result<()> {
    Database::open(&config).await?.close().await?;
    crate::print("The schema is up to date.\n")
}

/// Done at Ctrl-C or at a termination signal.
pub(crate) fn interrupted() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
