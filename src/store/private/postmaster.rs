//! The server process: who it is, whether it lives, how it is started and stopped.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cluster::Cluster;
use super::{PrivateError, io};

/// Pause between two looks at a server that is changing its state.
const POLL: Duration = Duration::from_millis(5);

/// What the server says about itself in the last line of `postmaster.pid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Starting,
    Stopping,
    Ready,
}

/// A file `postmaster.pid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PidFile {
    pid: i32,
    status: Status,
}

impl PidFile {
    /// Line 1 is the process id, line 8 the status. A file that is being written has fewer lines: starting.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok().filter(|pid| *pid > 1)?;
        let status = match lines.nth(6).map(str::trim) {
            Some("ready") => Status::Ready,
            Some("stopping") => Status::Stopping,
            _ => Status::Starting,
        };
        Some(Self { pid, status })
    }
}

/// What runs under a process id.
#[derive(Debug, PartialEq, Eq)]
enum Process {
    /// Nothing, or a zombie: dead, and not yet waited for by its parent.
    Dead,
    /// A process with this command line, arguments separated by NUL or blanks.
    Alive(Vec<u8>),
}

/// Looks a process up in `/proc`.
#[cfg(target_os = "linux")]
fn process(pid: i32) -> Process {
    let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { return Process::Dead };
    // "pid (name) state …"; the name may hold anything, the state follows the last parenthesis.
    let state = stat.iter().rposition(|byte| *byte == b')').and_then(|at| stat.get(at + 2));
    match (state, fs::read(format!("/proc/{pid}/cmdline"))) {
        (Some(b'Z' | b'X') | None, _) | (_, Err(_)) => Process::Dead,
        (Some(_), Ok(command)) => Process::Alive(command),
    }
}

/// Asks `ps` about a process.
#[cfg(not(target_os = "linux"))]
fn process(pid: i32) -> Process {
    let answer =
        std::process::Command::new("ps").args(["-ww", "-o", "stat=,command=", "-p", &pid.to_string()]).output();
    match answer {
        Ok(answer) if answer.status.success() && !answer.stdout.starts_with(b"Z") => Process::Alive(answer.stdout),
        _ => Process::Dead,
    }
}

/// A server that we started, as long as it has not ended.
struct Child {
    ended: Receiver<()>,
}

impl Cluster {
    /// Process id of the server on this cluster, if one lives.
    pub(super) fn running(&self) -> Option<i32> {
        self.pid_file().filter(|file| self.is_ours(file.pid)).map(|file| file.pid)
    }

    /// Adopts the server that runs, or starts one and waits until it is ready. The caller holds the lock.
    ///
    /// A pid file whose process is dead, or is somebody else's under a used-again id, does not stand in the way. Should
    /// backends of a killed server still be at work, PostgreSQL refuses to start until their shared memory is free; that
    /// is waited for.
    pub(super) fn bring_up(&self) -> Result<(), PrivateError> {
        let mut child: Option<Child> = None;
        for _ in 0..self.polls() {
            match self.pid_file().filter(|file| self.is_ours(file.pid)) {
                Some(PidFile { status: Status::Ready, .. }) => return Ok(()),
                Some(_) => {}
                None if child.is_none() => {
                    self.remove_stale_pid_files()?;
                    child = Some(self.spawn()?);
                }
                None => {}
            }
            if child.as_ref().is_some_and(Child::has_ended) {
                let log = self.log_tail();
                if !log.contains("is still in use") && !log.contains("already exists") {
                    return Err(PrivateError::Start(log));
                }
                child = None;
            }
            std::thread::sleep(POLL);
        }
        Err(self.slow("starting"))
    }

    /// Asks the server to end at once, in order (SIGINT: connections are closed, data are written), and waits for it.
    pub(super) fn shut_down(&self) -> Result<(), PrivateError> {
        let Some(pid) = self.running() else { return Ok(()) };
        // It may end by itself between the look and the signal, which is as good.
        let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
        for _ in 0..self.polls() {
            if !self.is_ours(pid) {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        Err(self.slow("stopping"))
    }

    fn spawn(&self) -> Result<Child, PrivateError> {
        let mut process = self.server_command()?.spawn().map_err(io("run", &self.dir))?;
        let (tell, ended) = channel();
        // Waits for it all its life, so that it never stays a zombie of ours.
        std::thread::spawn(move || {
            let _ = process.wait();
            let _ = tell.send(());
        });
        Ok(Child { ended })
    }

    fn pid_file(&self) -> Option<PidFile> {
        PidFile::parse(&fs::read_to_string(self.data.join("postmaster.pid")).ok()?)
    }

    /// Whether a process is a server on this cluster: its command line names the data folder.
    fn is_ours(&self, pid: i32) -> bool {
        match process(pid) {
            Process::Dead => false,
            Process::Alive(command) => names(&command, &self.data),
        }
    }

    /// PostgreSQL sees by itself that a process is gone, and removes the files that name it. It takes a zombie and a
    /// used-again id for a living server, so for these two we remove them.
    fn remove_stale_pid_files(&self) -> Result<(), PrivateError> {
        let Some(file) = self.pid_file() else { return Ok(()) };
        if kill(Pid::from_raw(file.pid), None) == Err(Errno::ESRCH) {
            return Ok(());
        }
        for path in [self.socket.join(".s.PGSQL.5432.lock"), self.data.join("postmaster.pid")] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io("remove", &path)(error)),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn polls(&self) -> u128 {
        self.patience.as_millis() / POLL.as_millis() + 1
    }

    fn slow(&self, doing: &'static str) -> PrivateError {
        PrivateError::Slow { dir: self.dir.clone(), doing, seconds: self.patience.as_secs() }
    }
}

impl Child {
    fn has_ended(&self) -> bool {
        self.ended.try_recv() != Err(TryRecvError::Empty)
    }
}

/// Whether a command line has the folder as an argument of its own.
fn names(command: &[u8], folder: &Path) -> bool {
    let folder = folder.as_os_str().as_encoded_bytes();
    let ends = |at: usize| command.get(at).is_none_or(|byte| matches!(byte, 0 | b' ' | b'\n'));
    command
        .windows(folder.len())
        .enumerate()
        .any(|(at, part)| part == folder && ends(at + folder.len()) && at.checked_sub(1).is_none_or(ends))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_is_read_as_it_grows() {
        let whole = "4711\n/data\n1732000000\n5432\n/socket\n\n  5432001   12\nready   \n";
        assert_eq!(PidFile::parse(whole), Some(PidFile { pid: 4711, status: Status::Ready }));
        assert_eq!(PidFile::parse("4711\n/data\n"), Some(PidFile { pid: 4711, status: Status::Starting }));
        let stopping = whole.replace("ready   ", "stopping");
        assert_eq!(PidFile::parse(&stopping), Some(PidFile { pid: 4711, status: Status::Stopping }));
        for bad in ["", "\n", "x\n", "0\n", "-1\n"] {
            assert_eq!(PidFile::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn another_folder_with_the_same_beginning_is_not_ours() {
        let command = b"/usr/bin/postgres\0-D\0/data/cluster\0-c\0x=/data/cluster2\0";
        assert!(names(command, Path::new("/data/cluster")));
        assert!(!names(command, Path::new("/data/clust")));
        assert!(!names(command, Path::new("/cluster")));
        assert!(!names(b"", Path::new("/data/cluster")));
    }

    #[test]
    fn a_process_that_is_not_there_is_dead() {
        assert_eq!(process(i32::MAX), Process::Dead);
        assert!(matches!(process(i32::try_from(std::process::id()).unwrap()), Process::Alive(_)));
    }
}
