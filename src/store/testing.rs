//! A database per test, on one private server per test process. Compiled only for tests and under the feature `testing`.
//!
//! The server is started by the first test that wants one, with durability off, and is stopped and removed when the
//! process ends, however it ends: a shell holds the other end of a pipe that closes then.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::sync::OnceCell;

use crate::private::{Private, PrivateConfig};
use crate::{Store, StoreConfig};

static SERVER: OnceCell<Server> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The process's server, with a migrated database to copy.
struct Server {
    private: Private,
    _until_we_end: ChildStdin,
}

/// A fresh, migrated database.
#[derive(Debug)]
pub struct TestDatabase {
    /// Connected to it.
    pub store: Store,
    /// How to connect to it, as its owner.
    pub options: PgConnectOptions,
}

/// A database of its own for a test.
///
/// # Panics
///
/// Without PostgreSQL's server programs on the machine, or when they do not work.
pub async fn database() -> TestDatabase {
    let server = SERVER.get_or_init(start).await;
    let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    run(&server.private.connect_options(), format!("create database {name} template tributary")).await;
    let options = server.private.connect_options().database(&name);
    let config = StoreConfig { connections: 8, acquire: Duration::from_secs(60), ..StoreConfig::default() };
    let store = Store::open(options.clone(), config).await.expect("a connection to the test database");
    TestDatabase { store, options }
}

/// Starts the server and makes the database that the others are copied from.
async fn start() -> Server {
    let dir = std::env::temp_dir().join(format!("tributary-test-{}", std::process::id()));
    let settings = ["fsync", "synchronous_commit", "full_page_writes"].map(|name| (name.to_owned(), "off".to_owned()));
    let config = PrivateConfig { settings: settings.to_vec(), ..PrivateConfig::new(&dir) };
    let until_we_end = remove_when_we_end(&dir);
    let private = Private::start(config).await.expect("PostgreSQL for tests");
    let store = Store::open(private.connect_options(), StoreConfig::default()).await.expect("a connection");
    store.migrate().await.expect("migrations");
    store.close().await;
    Server { private, _until_we_end: until_we_end }
}

/// One statement as the owner, on a connection of its own to the database `postgres`: the one to copy must have none.
async fn run(options: &PgConnectOptions, statement: String) {
    let options = options.clone().database("postgres");
    let mut connection = PgConnection::connect_with(&options).await.expect("a connection");
    connection.execute(AssertSqlSafe(statement)).await.expect("the statement");
    connection.close().await.expect("the end of the connection");
}

fn remove_when_we_end(dir: &PathBuf) -> ChildStdin {
    let script = r#"cat >/dev/null; kill -QUIT "$(head -n 1 "$0/cluster/postmaster.pid")"; rm -rf "$0""#;
    Command::new("sh")
        .args(["-c", script])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .ok()
        .and_then(|mut shell| shell.stdin.take())
        .expect("a shell")
}
