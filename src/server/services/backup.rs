//! Backups: a dump of the database, and beside it what tells whose it is. Keys are in none of it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::backup::Target;
use store::evidence_log as rows;

use crate::app::App;
use crate::config::Config;
use crate::database::Database;
use crate::evidence_log;

const FORMAT: &str = "tributary.backup/1";

/// What stands beside the dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    /// When it was made, by the clock of who made it.
    pub made_at: Timestamp,
    /// Whose it is.
    pub tenant: String,
    /// The newest signed checkpoint that is in it for certain; `None` if the log was empty.
    pub checkpoint: Option<String>,
}

fn dump_in(folder: &Path) -> PathBuf {
    folder.join("database.dump")
}

fn manifest_in(folder: &Path) -> PathBuf {
    folder.join("backup.json")
}

/// Makes a backup in a folder, while nodes serve. The manifest comes last: a folder without one is no backup.
///
/// # Errors
/// The folder holds a backup already, or a program, the database or the disk fails.
pub async fn make(app: &App, target: &Target, folder: &Path) -> anyhow::Result<Manifest> {
    ensure!(!manifest_in(folder).exists(), "{} holds a backup already", folder.display());
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    evidence_log::check_continuity(app, app.tenant.id).await?;
    while evidence_log::sequence(app, app.tenant.id).await? > 0 {}
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let newest = rows::checkpoint(&mut tx, None).await?;
    tx.commit().await?;
    target.dump(&dump_in(folder)).await?;
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        made_at: app.clock.now(),
        tenant: app.tenant.id.to_string(),
        checkpoint: newest.map(|newest| newest.note),
    };
    let text = serde_json::to_string_pretty(&manifest)? + "\n";
    std::fs::write(manifest_in(folder), text).with_context(|| manifest_in(folder).display().to_string())?;
    Ok(manifest)
}

/// Puts a backup in the place of what the database of the settings holds. The database is then behind the copy of its log,
/// and no node serves from it before [`super::restore::catch_up`] has run.
///
/// # Errors
/// The folder holds no backup, the database is in use and `replace` was not asked for, or a program fails; the database is
/// then as it was.
pub async fn put_back(config: &Config, folder: &Path, replace: bool) -> anyhow::Result<Manifest> {
    let text = std::fs::read_to_string(manifest_in(folder))
        .with_context(|| format!("{} holds no complete backup", folder.display()))?;
    let manifest: Manifest = serde_json::from_str(&text).context("backup.json")?;
    ensure!(manifest.format == FORMAT, "backup.json is of another format: {}", manifest.format);
    let database = Database::open(config).await?;
    let mut tx = database.store.system_tx().await?;
    let tenants = store::tenants::all(&mut tx).await?;
    tx.commit().await?;
    if !tenants.is_empty() && !replace {
        database.close().await?;
        bail!("the database holds something already: --replace puts the backup in its place");
    }
    let restored = database.target.restore(&dump_in(folder)).await;
    database.close().await?;
    restored?;
    Ok(manifest)
}
