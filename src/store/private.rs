//! A private PostgreSQL: found on the machine, made in a folder of ours, started, adopted, kept up and stopped.
//!
//! Whoever starts Tributary without a `DATABASE_URL` gets the same engine and the same SQL as production. The server
//! listens on a Unix socket alone, in a folder that only its owner may enter, and lets in one operating-system user (peer
//! authentication): there is no password to leak and no port to reach.
//!
//! **Whose process is it?** The server is in a process group of its own and outlives whoever started it: after `kill -9`
//! the next start adopts it. Every user holds a shared lock on the folder for its lifetime; [`Private::stop`] stops the
//! server only if nobody else holds one, so the last one out turns off the light and a crash leaves nothing to repair.
//! Dropping a [`Private`] leaves the server running.

mod account;
mod binaries;
mod cluster;
mod postmaster;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor};

use binaries::MAJOR_MIN;
use cluster::Cluster;

/// The database, and the role that owns it.
const NAME: &str = "tributary";
/// Not a port: the number in the name of the socket's file.
const PORT: u16 = 5432;

/// How to run the server.
#[derive(Debug, Clone)]
pub struct PrivateConfig {
    /// The folder that holds everything: cluster, socket, log and locks. Made if missing.
    pub dir: PathBuf,
    /// Folder of the programs `initdb` and `postgres`. `None`: the usual places and `PATH` are searched.
    pub bindir: Option<PathBuf>,
    /// Settings beside ours, `("fsync", "off")`; they win.
    pub settings: Vec<(String, String)>,
    /// How long a start or a stop may take before it is an error; crash recovery is part of a start.
    pub patience: Duration,
}

impl PrivateConfig {
    /// The defaults for a folder: `TRIBUTARY_PG_BINDIR` names the programs, two minutes of patience.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            bindir: std::env::var_os("TRIBUTARY_PG_BINDIR").map(PathBuf::from),
            settings: Vec::new(),
            patience: Duration::from_secs(120),
        }
    }
}

/// Why there is no server. All of them are for the operator to mend.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// No server programs on this machine.
    #[error(
        "no PostgreSQL {MAJOR_MIN} or later found (searched: {searched}). Install the server: Debian and Ubuntu: apt-get \
         install postgresql; Fedora: dnf install postgresql-server; macOS: brew install postgresql@17. Or name the folder \
         of its programs in TRIBUTARY_PG_BINDIR, or use a server of your own with DATABASE_URL"
    )]
    NoBinaries {
        /// Where was looked.
        searched: String,
    },
    /// The folder was made by a major version that is not installed.
    #[error(
        "the data in {} belong to PostgreSQL {wanted}, and the installed versions are: {found}. Install PostgreSQL \
         {wanted} beside them, or move the data with pg_upgrade", .dir.display()
    )]
    OtherMajor {
        /// The data folder.
        dir: PathBuf,
        /// Its major version.
        wanted: u32,
        /// What is installed.
        found: String,
    },
    /// We are root, the server must not be, and its user cannot enter the folder.
    #[error(
        "PostgreSQL refuses to run as root and would run as the user {user}, who cannot enter {}. Choose a data folder \
         outside of it, or let others pass through: chmod o+x {}", .closed.display(), .closed.display()
    )]
    Unreachable {
        /// The user of the server.
        user: String,
        /// The first folder on the way that is closed.
        closed: PathBuf,
    },
    /// The operating system has no name for a user, and peer authentication works with names.
    #[error("user id {uid} has no name on this machine; add it to the user database (/etc/passwd)")]
    NoName {
        /// The nameless user.
        uid: u32,
    },
    /// We are root and there is no other user to run the server as.
    #[error("PostgreSQL refuses to run as root, and neither of the users postgres and nobody exists")]
    NoOtherUser,
    /// The folder for the socket is somebody else's.
    #[error("{} belongs to another user; remove it or choose another data folder", .0.display())]
    Foreign(PathBuf),
    /// `initdb` failed.
    #[error("initdb failed: {0}")]
    Init(String),
    /// The server ended while it started. The text is the end of its log.
    #[error("PostgreSQL did not start; the end of its log says: {0}")]
    Start(String),
    /// The server did not get ready, or did not stop, within the configured patience.
    #[error("PostgreSQL in {} is still {doing} after {seconds} s", .dir.display())]
    Slow {
        /// The data folder.
        dir: PathBuf,
        /// What it is doing.
        doing: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// It runs and cannot be used.
    #[error("PostgreSQL runs and refuses the connection: {0}")]
    Connect(String),
    /// The file system said no.
    #[error("cannot {what} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> PrivateError {
    let path = path.to_owned();
    move |source| PrivateError::Io { what, path, source }
}

/// What [`Private::stop`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The server is down.
    Down,
    /// Another process uses it; it stays up.
    LeftToOthers,
}

/// A private server that is up, and our claim on it.
#[derive(Debug)]
pub struct Private {
    cluster: Cluster,
    /// Held shared: somebody uses this server. The system takes it back when we die.
    claim: File,
}

impl Private {
    /// Makes the cluster if there is none, then starts the server or adopts the one that runs.
    ///
    /// Two first starts at the same time are one: the second waits for the first.
    pub async fn start(config: PrivateConfig) -> Result<Self, PrivateError> {
        let (private, alone) = blocking(move || {
            let (cluster, alone) = Cluster::prepare(&config)?;
            let claim = open_lock(&cluster.users_file())?;
            claim.lock_shared().map_err(io("lock", &cluster.users_file()))?;
            cluster.bring_up()?;
            Ok((Self { cluster, claim }, alone))
        })
        .await?;
        private.ensure_database().await?;
        drop(alone);
        Ok(private)
    }

    /// How to connect: as the owner, to the database `tributary`, over the socket.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.options(NAME)
    }

    /// A client program of the server's own version (`pg_dump`).
    pub fn program(&self, name: &str) -> PathBuf {
        self.cluster.program(name)
    }

    /// The folder of the socket, for `psql -h FOLDER -U tributary tributary`.
    pub fn socket_dir(&self) -> &Path {
        &self.cluster.socket
    }

    /// The server's log.
    pub fn log_file(&self) -> PathBuf {
        self.cluster.log_file()
    }

    /// Process id of the server, while it is up.
    pub fn pid(&self) -> Option<i32> {
        self.cluster.running()
    }

    /// Starts the server again whenever it is gone. Never returns; drop the future to end the watch.
    pub async fn keep_up(&self) {
        let mut pause = Duration::from_millis(100);
        loop {
            tokio::time::sleep(pause).await;
            if self.pid().is_some() {
                continue;
            }
            tracing::warn!("the private PostgreSQL is gone; starting it again");
            let cluster = self.cluster.clone();
            let started = blocking(move || {
                let _alone = cluster.lock()?;
                cluster.bring_up()
            })
            .await;
            pause = match started {
                Ok(()) => Duration::from_millis(100),
                Err(error) => {
                    tracing::error!(%error, "the private PostgreSQL does not start");
                    Duration::from_secs(5)
                }
            };
        }
    }

    /// Stops the server, unless another process uses it. Connections that are open are closed by it.
    pub async fn stop(self) -> Result<Stopped, PrivateError> {
        blocking(move || {
            let Self { cluster, claim } = self;
            let _alone = cluster.lock()?;
            drop(claim);
            let users = open_lock(&cluster.users_file())?;
            match users.try_lock() {
                Ok(()) => cluster.shut_down().map(|()| Stopped::Down),
                Err(TryLockError::WouldBlock) => Ok(Stopped::LeftToOthers),
                Err(TryLockError::Error(source)) => Err(io("lock", &cluster.users_file())(source)),
            }
        })
        .await
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().port(PORT).socket(&self.cluster.socket).username(NAME).database(database)
    }

    async fn ensure_database(&self) -> Result<(), PrivateError> {
        let refused = |error: sqlx::Error| PrivateError::Connect(error.to_string());
        let mut connection = PgConnection::connect_with(&self.options("postgres")).await.map_err(refused)?;
        let found = connection
            .fetch_optional("select 1 from pg_database where datname = 'tributary'")
            .await
            .map_err(refused)?;
        if found.is_none() {
            connection.execute("create database tributary").await.map_err(refused)?;
        }
        connection.close().await.map_err(refused)
    }
}

/// Runs what waits for processes and files where it may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PrivateError> + Send + 'static,
) -> Result<T, PrivateError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// A file that exists to be locked.
fn open_lock(path: &Path) -> Result<File, PrivateError> {
    File::options().create(true).truncate(false).write(true).open(path).map_err(io("open", path))
}
