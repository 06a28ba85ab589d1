//! A node of the application for tests that kill one: `node CONFIG`; `TRIBUTARY_FAULT` names where it dies or is held
//! ([`server::fault`]).

use std::path::Path;
use std::sync::Arc;

use server::config::Config;
use tests::world::TestClock;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file = std::env::args_os().nth(1).ok_or_else(|| anyhow::anyhow!("usage: node CONFIG"))?;
    let config = Config::load(Some(Path::new(&file)))?;
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(&config.log.filter))
        .with_writer(std::io::stderr)
        .init();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let stop = async move {
        terminate.recv().await;
    };
    server::serve(config, Arc::new(TestClock::default()), stop).await
}
