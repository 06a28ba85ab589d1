//! `tributary serve` as a process of its own, on a database that is up: how soon it answers, and what it takes while there is
//! nothing to do.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::site::Site;
use super::{Figure, Goal, Spent, median, runtime, waited};

/// Rounds of a figure.
const ROUNDS_MAX: usize = 9;
/// Between two looks whether it answers.
const POLL: Duration = Duration::from_millis(2);
/// Until it must answer, and until it must have stopped.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it is left alone before its memory is read.
const REST: Duration = Duration::from_secs(3);

/// Time to the first answer, and resident memory, the catalogue of brands and the program itself included.
pub(super) fn measure(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let program = std::env::current_exe().context("our own program")?;
    let (start, memory) = runtime()?.block_on(measured(&program, rounds.min(ROUNDS_MAX)))?;
    Ok(vec![
        Figure {
            name: "serve-start",
            what: "start of `tributary serve` to its first answer, the database up",
            value: start.micros() / 1000.0,
            unit: "ms",
            goal: Goal::AtMost(300.0),
            beside: Vec::new(),
        },
        Figure {
            name: "serve-idle",
            what: "resident memory of an idle node, its catalogue included",
            value: memory,
            unit: "MiB",
            goal: Goal::AtMost(60.0),
            beside: Vec::new(),
        },
    ])
}

async fn measured(program: &Path, rounds: usize) -> anyhow::Result<(Spent, f64)> {
    Site::during(async |site| in_turn(site, program, rounds).await).await
}

async fn in_turn(site: &Site, program: &Path, rounds: usize) -> anyhow::Result<(Spent, f64)> {
    let (mut starts, mut memory) = (Vec::new(), 0.0);
    // The first round warms.
    for round in 0..=rounds {
        let address = free().await?;
        let settings = site.settings(address)?;
        let mut command = Command::new(program);
        command.arg("serve").arg("--config").arg(&settings).stdout(Stdio::null()).stderr(Stdio::null());
        let mut node = None;
        let start = waited(async {
            let node = node.insert(command.kill_on_drop(true).spawn().with_context(|| program.display().to_string())?);
            tokio::time::timeout(PATIENCE, answered(node, address)).await.context("the node does not answer")?
        });
        let start = start.await?;
        let node = node.context("no node was started")?;
        if round > 0 {
            starts.push(start);
        }
        if round == rounds {
            tokio::time::sleep(REST).await;
            memory = resident(node.id().context("the node has ended")?)?;
        }
        stopped(node).await?;
    }
    Ok((median(starts), memory))
}

/// An address that nobody listens at.
async fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?)
}

/// Waits for the first good answer.
async fn answered(node: &mut Child, address: SocketAddr) -> anyhow::Result<()> {
    while !is_well(address).await.unwrap_or(false) {
        if let Some(status) = node.try_wait()? {
            bail!("the node ended before it answered: {status}");
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

async fn is_well(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}

async fn stopped(mut node: Child) -> anyhow::Result<()> {
    let pid = Pid::from_raw(node.id().context("the node has ended")?.try_into()?);
    kill(pid, Signal::SIGTERM)?;
    let status = tokio::time::timeout(PATIENCE, node.wait()).await.context("the node does not stop")??;
    ensure!(status.success(), "the node ended with {status}");
    Ok(())
}

/// Resident memory of a process in MiB.
fn resident(process: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no memory is told")?;
    let kibibytes: f64 = line.split_whitespace().next().context("no memory is told")?.parse()?;
    Ok(kibibytes / 1024.0)
}

// Where memory is told by `/proc`.
#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_takes_memory_and_one_that_is_not_there_does_not() {
        assert!(resident(std::process::id()).unwrap() > 1.0);
        assert!(resident(u32::MAX).is_err());
    }

    #[tokio::test]
    async fn a_program_that_ends_at_once_is_no_node() {
        let error = measured(Path::new("/bin/false"), 1).await.unwrap_err();
        assert!(error.to_string().contains("before it answered"), "{error}");
    }
}
