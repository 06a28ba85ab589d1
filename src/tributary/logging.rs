//! The log: sentences with fields, as text for people or JSON for machines.

use std::io::IsTerminal as _;

use server::config::{Log, LogFormat};
use tracing_subscriber::EnvFilter;

/// Starts the log on standard error.
///
/// # Errors
/// The filter does not parse, or a log runs already.
pub(crate) fn start(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.filter)?;
    let to = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_target(false);
    let started = match log.format {
        LogFormat::Text => to.try_init(),
        LogFormat::Json => to.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log cannot start: {error}"))
}
