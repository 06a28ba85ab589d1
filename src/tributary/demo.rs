//! `tributary demo`: the whole journey from nothing, on this machine, with invented people.
//!
//! Nothing here is special to the demo but the bank, the clock and the folder: the server is the one that `serve` runs, the
//! people and the product come in through its pages and its API.

mod clock;
mod closing;
mod disk;
mod journey;
mod product;
mod proof;
mod screen;
mod thieves;
mod world;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Mutex;

use anyhow::{Context as _, ensure};
use server::config::Config;
use server::database::Database;
use tempfile::TempDir;
use tracing_subscriber::EnvFilter;

use crate::serve::interrupted;
use screen::Screen;
use world::World;

/// Shows the whole journey: a private PostgreSQL, throw-away certificates, a simulated bank behind mutual TLS, a product
/// that asks for a consent, people who decide, data, a revocation, an erasure and its proof. Nothing leaves this machine.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// End after the journey; the exit code is 0 only if everything was true
    #[arg(long)]
    once: bool,
    /// Port of the pages and the API; without it 8080, or a free one where that is taken
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Folder for everything, new or empty; without it a temporary one, which `--once` removes again
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Where everything is kept.
enum Folder {
    Temporary(TempDir),
    Given(PathBuf),
}

impl Folder {
    fn choose(given: Option<PathBuf>) -> anyhow::Result<Self> {
        let Some(path) = given else {
            // Open to be passed through: as root PostgreSQL runs as another user. What is secret in it is closed by itself.
            let mode = Permissions::from_mode(0o755);
            return Ok(Self::Temporary(
                tempfile::Builder::new().prefix("tributary-demo-").permissions(mode).tempdir()?,
            ));
        };
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let path = fs::canonicalize(&path)?;
        ensure!(fs::read_dir(&path)?.next().is_none(), "{} is not empty: the demo begins from nothing", path.display());
        Ok(Self::Given(path))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Given(path) => path,
        }
    }

    /// Leaves everything where it is.
    fn keep(self) {
        if let Self::Temporary(folder) = self {
            let _ = folder.keep();
        }
    }
}

/// Runs the demo.
///
/// # Errors
/// The first thing that was not as it should be. Everything is stopped by then, and the folder stays for a look.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let screen = Screen::new();
    let folder = Folder::choose(args.data.clone())?;
    let mut ended = pin!(interrupted()?);
    let outcome = on_a_database(screen, &args, folder.path(), &mut ended).await;
    let path = folder.path().display().to_string();
    match &outcome {
        Ok(()) if args.once => {}
        Ok(()) => {
            screen.say(&format!("  Everything is stopped; the files stay in {path}."));
            folder.keep();
        }
        Err(error) if error.is::<Interrupted>() => {}
        Err(_) => {
            screen.say(&format!("\n  The files stay for a look, the log among them: {path}/server.log"));
            folder.keep();
        }
    }
    outcome
}

/// Somebody ended the demo before its end.
#[derive(Debug)]
struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted; everything is stopped")
    }
}

impl std::error::Error for Interrupted {}

async fn on_a_database(
    screen: Screen,
    args: &DemoArgs,
    folder: &Path,
    ended: &mut (impl Future<Output = ()> + Unpin),
) -> anyhow::Result<()> {
    let settings = world::settings(folder, args.port).await?;
    log_to(&folder.join("server.log"), &settings)?;
    screen.chapter("A stage from nothing");
    let title = "A private PostgreSQL starts and gets its schema";
    let database = screen.step(title, open(&settings)).await?;
    let shown = show(screen, args, folder, settings, &database, ended).await;
    database.close().await.and(shown)
}

async fn open(settings: &Config) -> anyhow::Result<(Database, String)> {
    let database = Database::open(settings).await?;
    Ok((database, "On a socket in the demo's folder: no port, no password, nobody else's".to_owned()))
}

async fn show(
    screen: Screen,
    args: &DemoArgs,
    folder: &Path,
    settings: Config,
    database: &Database,
    ended: &mut (impl Future<Output = ()> + Unpin),
) -> anyhow::Result<()> {
    let world = unless(ended, World::build(screen, folder, settings, database)).await?;
    let played = unless(ended, perform(screen, args, &world)).await;
    if played.is_ok() && !args.once {
        ended.await;
        screen.say("\n  The curtain falls: requests end, the bank closes, PostgreSQL stops.");
    }
    world.close().await;
    played
}

async fn perform(screen: Screen, args: &DemoArgs, world: &World) -> anyhow::Result<()> {
    let story = journey::play(screen, world).await?;
    screen.say(&format!("\n{}", closing::board(screen, world, &story)));
    let kept = !args.once || args.data.is_some();
    screen.say(&closing::verification(screen, &story.proofs[1], kept)?);
    if !args.once {
        screen.say(&closing::invitation(screen, world).await?);
    }
    Ok(())
}

/// Does some work, unless somebody ends the program meanwhile.
async fn unless<T>(
    ended: &mut (impl Future<Output = ()> + Unpin),
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        outcome = work => outcome,
        () = ended => Err(Interrupted.into()),
    }
}

/// Sends the log of server, bank and network into a file; the terminal belongs to the story.
fn log_to(path: &Path, settings: &Config) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&settings.log.filter)?)
        .with_ansi(false)
        .with_writer(Mutex::new(file));
    log.try_init().map_err(|error| anyhow::anyhow!("the log cannot start: {error}"))
}
