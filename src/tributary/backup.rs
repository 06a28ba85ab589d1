//! `tributary backup` and `tributary restore`. Their guide: `backup/GUIDE.md`.

use std::path::PathBuf;
use std::sync::Arc;

use server::services::restore::CaughtUp;
use server::services::{backup, restore};

use crate::clock::SystemClock;

/// Writes a backup of the database into a folder, while nodes serve. It is sealed; keys.dir and evidence.copy_dir are not in
/// it and must not lie beside it.
#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    file: crate::ConfigFile,
    /// A folder for this backup alone
    folder: PathBuf,
}

/// Puts a backup back and brings it up to date: what was revoked or erased after it is revoked and erased again, before
/// anything can be served. Stop every node first.
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    file: crate::ConfigFile,
    /// The folder that `backup` wrote
    #[arg(required_unless_present = "catch_up")]
    folder: Option<PathBuf>,
    /// Put it in the place of what the database holds
    #[arg(long, requires = "folder")]
    replace: bool,
    /// Only bring a database up to date that was restored by other means
    #[arg(long, conflicts_with = "folder")]
    catch_up: bool,
}

pub(crate) async fn make(args: BackupArgs) -> anyhow::Result<()> {
    let (database, app) = server::open(crate::load(&args.file)?, Arc::new(SystemClock)).await?;
    let made = backup::make(&app, &database.target, &args.folder).await;
    drop(app);
    database.close().await?;
    let made = made?;
    crate::print(&format!("{} holds the database as it was at {}.\n", args.folder.display(), made.made_at))
}

pub(crate) async fn restore(args: RestoreArgs) -> anyhow::Result<()> {
    let config = crate::load(&args.file)?;
    if let Some(folder) = &args.folder {
        let manifest = backup::put_back(&config, folder, args.replace).await?;
        crate::print(&format!("The database is as it was at {}.\n", manifest.made_at))?;
    }
    let (database, app) = server::open(config, Arc::new(SystemClock)).await?;
    let done = restore::catch_up(&app, app.tenant.id).await;
    drop(app);
    database.close().await?;
    crate::print(&told(done?))
}

fn told(done: CaughtUp) -> String {
    let CaughtUp { entries, consents, accounts, erasures } = done;
    if done == CaughtUp::default() {
        return "The log is level with its copy outside: nothing had to happen again.\n".to_owned();
    }
    format!(
        "Brought up to date with the copy of the log outside:\n\
         {entries:>9} entries of the log that the backup did not have\n\
         {consents:>9} consents that had ended since ended again\n\
         {accounts:>9} accounts that had been taken out since were taken out again\n\
         {erasures:>9} erasures brought to their receipt\n"
    )
}
