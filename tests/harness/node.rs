//! Another node of the application: a process on a world's database that a test starts, reads, holds and kills.
//!
//! It runs the reconcilers and the API as `serve` does, in the time of its world when it started, and says what it does on its standard error output, which is kept
//! and shown when something that was waited for does not come.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::world::World;

/// How long something may take; generous, since it is only spent when something is wrong.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a node does beside its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Dies when it passes a point for the n-th time, as by `kill -9`.
    Dies(&'static str, u32),
    /// Holds the task that passes a point, until [`Node::release`].
    Holds(&'static str),
}

/// A running node. Dropping it kills it.
#[derive(Debug)]
pub struct Node {
    process: Child,
    log: watch::Receiver<String>,
    release: PathBuf,
}

/// A node that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// Everything that it said.
    pub log: String,
}

impl Node {
    /// Starts the program `node` (its path is known to integration tests alone) on a world.
    ///
    /// # Panics
    /// When the program cannot be run.
    pub fn start(program: &str, world: &World, fault: Fault) -> Self {
        Self::logging(program, world, fault, "info")
    }

    /// Starts one that reaches the world's database by another way.
    ///
    /// # Panics
    /// When the program cannot be run.
    pub fn behind(program: &str, world: &World, database: &str) -> Self {
        Self::made(
            program,
            world,
            Fault::None,
            &[("TRIBUTARY_LOG__FILTER", "info"), ("TRIBUTARY_DATABASE__URL", database)],
        )
    }

    /// The same, with directives of tracing's `EnvFilter` for what it says.
    ///
    /// # Panics
    /// When the program cannot be run.
    pub fn logging(program: &str, world: &World, fault: Fault, filter: &str) -> Self {
        Self::made(program, world, fault, &[("TRIBUTARY_LOG__FILTER", filter)])
    }

    fn made(program: &str, world: &World, fault: Fault, settings: &[(&str, &str)]) -> Self {
        let release = world.dir.path().join("release");
        let _ = std::fs::remove_file(&release);
        // Whatever it may put aside lies among the files of the world.
        let aside = world.dir.path().join("tmp");
        std::fs::create_dir_all(&aside).expect("a folder");
        let mut command = Command::new(program);
        command.env("TMPDIR", &aside).env("NODE_SECONDS_AHEAD", world.clock.seconds_ahead().to_string());
        command.envs(world.clock.shared().map(|file| ("NODE_CLOCK", file)));
        command.arg(world.config_file()).env("NO_COLOR", "1").envs(settings.iter().copied());
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        match fault {
            Fault::None => {}
            Fault::Dies(point, times) => {
                command.env("TRIBUTARY_FAULT", format!("{point}:{times}"));
            }
            Fault::Holds(point) => {
                command.env("TRIBUTARY_FAULT", format!("{point}:hold")).env("TRIBUTARY_FAULT_RELEASE", &release);
            }
        }
        let mut process = command.kill_on_drop(true).spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        let output = process.stderr.take().expect("it was asked for");
        let (said, log) = watch::channel(String::new());
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                said.send_modify(|log| {
                    log.push_str(&line);
                    log.push('\n');
                });
            }
        });
        Self { process, log, release }
    }

    /// Waits until the node says something, and gives the line.
    ///
    /// # Panics
    /// When it does not say it in time, or ends before.
    pub async fn said(&mut self, words: &str) -> String {
        let mut log = self.log.clone();
        let line = |log: &str| log.lines().find(|line| line.contains(words)).map(str::to_owned);
        let found = tokio::time::timeout(PATIENCE, log.wait_for(|log| line(log).is_some())).await;
        let found = found.ok().and_then(Result::ok).and_then(|log| line(&log));
        found.unwrap_or_else(|| panic!("the node never said `{words}`; it said:\n{}", *self.log.borrow()))
    }

    /// Where it listens, once it does.
    ///
    /// # Panics
    /// When it never says so.
    pub async fn address(&mut self) -> SocketAddr {
        let line = self.said("serving address=").await;
        let address = line.split("serving address=").nth(1).and_then(|rest| rest.trim().parse().ok());
        address.unwrap_or_else(|| panic!("no address in `{line}`"))
    }

    /// Sends a request to the node's API as a product, and gives status and body. `None`: it died without an answer.
    ///
    /// # Panics
    /// When the node does not listen.
    pub async fn request(&mut self, method: &str, path: &str, key: &SecretString) -> Option<(u16, String)> {
        let address = self.address().await;
        request(address, method, path, key).await
    }

    /// Lets a held task go on.
    ///
    /// # Panics
    /// When the world's folder cannot be written.
    pub fn release(&self) {
        std::fs::write(&self.release, b"").expect("a file");
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn ended(mut self) -> Ended {
        let status = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        // The pipe ends with the process, and the task that reads it then.
        let _ = tokio::time::timeout(PATIENCE, self.log.wait_for(|_| false)).await;
        let log = self.log.borrow().clone();
        match status {
            Ok(status) => Ended { status: status.expect("a child can be waited for"), log },
            Err(_) => panic!("the node did not end; it said:\n{log}"),
        }
    }

    /// Asks it to end, as an operator does, and waits.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn stop(self) -> Ended {
        let id = self.process.id().and_then(|id| i32::try_from(id).ok());
        // One that has ended needs no signal.
        let _ = id.map(|id| kill(Pid::from_raw(id), Signal::SIGTERM));
        self.ended().await
    }

    /// Its process.
    ///
    /// # Panics
    /// When it has ended.
    pub fn process(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        self.log.borrow().clone()
    }
}

/// Sends a request to a node's API; see [`Node::request`].
///
/// # Panics
/// When the node does not listen.
pub async fn request(address: SocketAddr, method: &str, path: &str, key: &SecretString) -> Option<(u16, String)> {
    let connection = TcpStream::connect(address).await.expect("it listens");
    send(connection, method, path, &format!("Authorization: Bearer {}", key.expose_secret())).await
}

/// Comes to a node with a header of one's own, such as a browser's cookie. `None`: it is dead, or died without an answer.
pub async fn visit(address: SocketAddr, path: &str, header: &str) -> Option<(u16, String)> {
    send(TcpStream::connect(address).await.ok()?, "GET", path, header).await
}

async fn send(mut connection: TcpStream, method: &str, path: &str, header: &str) -> Option<(u16, String)> {
    let host = connection.peer_addr().ok()?;
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{header}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
