//! Dumps and their way back, by PostgreSQL's own programs.
//!
//! What a dump holds is sealed, and its keys are elsewhere. The programs connect as the role of the settings, which must
//! be allowed past row-level security (a superuser, as in the private server, or `bypassrls`).

use std::path::{Path, PathBuf};
use std::process::Command;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::StoreError;
use crate::private::Private;

/// Why a dump was not made or not read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The program is not installed, or cannot be started.
    #[error("{program} cannot be run: {source}. It comes with PostgreSQL; TRIBUTARY_PG_BINDIR may name its folder")]
    NoProgram {
        /// Its name or path.
        program: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The program ended with an error; what it said.
    #[error("{program} failed: {said}")]
    Failed {
        /// Its name or path.
        program: String,
        /// The end of what it wrote.
        said: String,
    },
}

/// A database as client programs reach it.
#[derive(Debug, Clone)]
pub struct Target {
    options: PgConnectOptions,
    password: Option<SecretString>,
    /// `pg_dump` and `pg_restore`.
    programs: [PathBuf; 2],
}

impl Target {
    /// A private server; the programs are those of its own version.
    pub fn private(server: &Private) -> Self {
        let programs = ["pg_dump", "pg_restore"].map(|name| server.program(name));
        Self { options: server.connect_options(), password: None, programs }
    }

    /// The database of a URL (`postgres://…`); the programs are those in `TRIBUTARY_PG_BINDIR`, else in `PATH`.
    pub fn url(url: &str, password: Option<SecretString>) -> Result<Self, StoreError> {
        let folder = std::env::var_os("TRIBUTARY_PG_BINDIR").map(PathBuf::from).unwrap_or_default();
        let programs = ["pg_dump", "pg_restore"].map(|name| folder.join(name));
        Ok(Self { options: url.parse().map_err(|_| StoreError::Url)?, password, programs })
    }

    /// Writes everything into one file, of one moment, while others read and write.
    pub async fn dump(&self, file: &Path) -> Result<(), BackupError> {
        let mut command = self.command(&self.programs[0]);
        command.args(["--format=custom", "--no-password", "--file"]).arg(file);
        run(command).await
    }

    /// Puts the content of a dump in the place of what is there, all or nothing. The roles must exist: migrate first.
    pub async fn restore(&self, file: &Path) -> Result<(), BackupError> {
        let mut command = self.command(&self.programs[1]);
        let database = self.options.get_database().unwrap_or_default();
        command.args(["--clean", "--if-exists", "--no-owner", "--single-transaction", "--no-password", "--dbname"]);
        command.arg(database).arg(file);
        run(command).await
    }

    fn command(&self, program: &Path) -> Command {
        let host = self
            .options
            .get_socket()
            .map_or_else(|| self.options.get_host().into(), |dir| dir.clone().into_os_string());
        let mut command = Command::new(program);
        command.env("PGHOST", host).env("PGPORT", self.options.get_port().to_string());
        command.env("PGUSER", self.options.get_username()).env("PGSSLMODE", ssl_mode(self.options.get_ssl_mode()));
        command.envs(self.options.get_database().map(|name| ("PGDATABASE", name)));
        // Not among the arguments, which everybody on this machine can read.
        command.envs(self.password.as_ref().map(|password| ("PGPASSWORD", password.expose_secret())));
        command
    }
}

/// libpq's word; it finds the authorities to trust in `PGSSLROOTCERT`.
const fn ssl_mode(mode: PgSslMode) -> &'static str {
    match mode {
        PgSslMode::Disable => "disable",
        PgSslMode::Allow => "allow",
        PgSslMode::Prefer => "prefer",
        PgSslMode::Require => "require",
        PgSslMode::VerifyCa => "verify-ca",
        PgSslMode::VerifyFull => "verify-full",
    }
}

async fn run(mut command: Command) -> Result<(), BackupError> {
    const SAID_BYTES: usize = 2000;
    let program = Path::new(command.get_program()).display().to_string();
    let done = tokio::task::spawn_blocking(move || command.output()).await;
    let done = done.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()));
    match done {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => {
            let end = done.stderr.len().saturating_sub(SAID_BYTES);
            let said = String::from_utf8_lossy(&done.stderr[end..]).trim().to_owned();
            Err(BackupError::Failed { program, said })
        }
        Err(source) => Err(BackupError::NoProgram { program, source }),
    }
}
