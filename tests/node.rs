//! A node of the application for tests that kill one: `node CONFIG` serves, `node CONFIG replay PROFILES` replays with other
//! profiles and ends, `node CONFIG offboard FOLDER` ends the tenant; `TRIBUTARY_FAULT` names where it dies or is held
//! ([`server::fault`]).

use std::path::Path;
use std::sync::Arc;

use server::config::Config;
use server::services::offboarding;
use server::services::replay::{self, Wanted};
use tests::world::TestClock;

/// As in the product.
#[global_allocator]
static FORGETFUL: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let ahead = std::env::var("NODE_SECONDS_AHEAD").map_or(Ok(0), |text| text.parse())?;
    let clock = Arc::new(match std::env::var_os("NODE_CLOCK") {
        Some(file) => TestClock::shared_in(file.into()),
        None => TestClock::ahead(ahead),
    });
    let mut arguments = std::env::args_os().skip(1);
    let file =
        arguments.next().ok_or_else(|| anyhow::anyhow!("usage: node CONFIG [replay PROFILES | offboard FOLDER]"))?;
    let config = Config::load(Some(Path::new(&file)))?;
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(&config.log.filter))
        .with_writer(std::io::stderr)
        .init();
    if let (Some(command), Some(folder)) = (arguments.next(), arguments.next()) {
        let (database, app) = server::open(config, clock).await?;
        if command == "offboard" {
            offboarding::run(&app, Path::new(&folder)).await?;
        } else {
            let directory = app.directory.clone().overlay(Path::new(&folder))?;
            replay::run(&app, &directory, Wanted { apply: true, ..Wanted::default() }, |_| {}).await?;
        }
        drop(app);
        return database.close().await;
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let stop = async move {
        terminate.recv().await;
    };
    server::serve(config, clock, stop).await
}
