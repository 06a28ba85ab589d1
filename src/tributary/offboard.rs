//! `tributary offboard`: the end of a tenant.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use server::App;
use server::services::offboarding::{self, Outcome};

use crate::clock::SystemClock;

#[derive(Debug, Args)]
pub(crate) struct OffboardArgs {
    /// The tenant's name, as in the settings: so that nobody ends the wrong one
    #[arg(long)]
    tenant: String,
    /// Folder for what proves it: a bundle of every consent, the report, the verifier's key
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    file: crate::ConfigFile,
}

/// Runs the command. An error means that something is still owed; the next run goes on.
pub(crate) async fn run(args: OffboardArgs) -> anyhow::Result<()> {
    let config = crate::load(&args.file)?;
    anyhow::ensure!(args.tenant == config.tenant.name, "the settings are those of {:?}", config.tenant.name);
    let (database, app) = server::open(config, Arc::new(SystemClock)).await?;
    let done = perform(&app, &args).await;
    drop(app);
    database.close().await?;
    let done = done?;
    crate::print(&told(&done))?;
    anyhow::ensure!(done.is_complete(), "something is still owed, see above: run it again");
    Ok(())
}

async fn perform(app: &App, args: &OffboardArgs) -> anyhow::Result<Outcome> {
    Ok(offboarding::run(app, &args.out).await?)
}

fn told(done: &Outcome) -> String {
    let rows: i64 = done.rows_left.values().sum();
    format!(
        "{} consents, {} ended now; {} keys of products withdrawn now.\n\
         {} erasures with a receipt, {} on their way, {} blocked by a legal hold; {rows} rows of bank data are left.\n\
         {} banks are being told; {} ends have no confirmation of their bank.\n\
         {} epoch keys could still open an old copy of what was erased; a run after the end of the current epoch destroys the last.\n",
        done.consents,
        done.ended,
        done.keys,
        done.receipts,
        done.running,
        done.blocked,
        done.telling,
        done.unconfirmed,
        done.epochs_left.len()
    )
}
