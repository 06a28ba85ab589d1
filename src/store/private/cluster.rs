//! The data folder: made whole or not at all.

use std::fs::{self, DirBuilder, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::account::Account;
use super::binaries::Binaries;
use super::{NAME, PrivateConfig, PrivateError, io, open_lock};

/// Longest path of a Unix socket that every supported system accepts, in bytes (macOS: 104 with the final NUL).
const SOCKET_PATH_MAX: usize = 103;
const SOCKET_FILE: &str = "/.s.PGSQL.5432";

/// Only the socket, only the user that the map names.
const HBA: &str = "# Written by Tributary.\nlocal all all peer map=tributary\n";

/// Ours, before the caller's. `log_*`: an error must not print the row or the statement it is about.
const SETTINGS: [(&str, &str); 9] = [
    ("listen_addresses", ""),
    ("unix_socket_permissions", "0700"),
    ("log_error_verbosity", "terse"),
    ("log_min_error_statement", "panic"),
    ("log_parameter_max_length", "0"),
    ("log_timezone", "UTC"),
    ("timezone", "UTC"),
    ("jit", "off"),
    ("max_connections", "200"),
];

/// A folder with a cluster in it, and all it takes to start a server on it.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) dir: PathBuf,
    pub(super) data: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) patience: Duration,
    binaries: Binaries,
    account: Account,
    settings: Vec<(String, String)>,
}

impl Cluster {
    /// The cluster of a folder, made if there is none, and the lock that keeps other starts out.
    pub(super) fn prepare(config: &PrivateConfig) -> Result<(Self, File), PrivateError> {
        let dir = make_folder(&config.dir)?;
        let data = dir.join("cluster");
        let account = Account::decide(&data)?;
        account.check_reach(&dir)?;
        account.own(&dir)?;
        let alone = lock(&dir)?;
        let binaries = Binaries::find(config.bindir.as_deref(), major_of(&data)?, &data)?;
        let socket = socket_folder(&dir, &account)?;
        let settings = config.settings.clone();
        let cluster = Self { dir, data, socket, patience: config.patience, binaries, account, settings };
        cluster.remove_leftovers();
        if !cluster.data.exists() {
            cluster.init()?;
        }
        Ok((cluster, alone))
    }

    /// Keeps every other start and stop out while it is held.
    pub(super) fn lock(&self) -> Result<File, PrivateError> {
        lock(&self.dir)
    }

    /// A program of the server's own version.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.binaries.dir.join(name)
    }

    pub(super) fn users_file(&self) -> PathBuf {
        self.dir.join("users")
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    /// The server's command, with a fresh log. The log before it is kept once.
    pub(super) fn server_command(&self) -> Result<Command, PrivateError> {
        self.write_map()?;
        let log = self.log_file();
        if log.exists() {
            fs::rename(&log, log.with_extension("log.1")).map_err(io("rename", &log))?;
        }
        let out = File::create(&log).map_err(io("create", &log))?;
        let err = out.try_clone().map_err(io("open", &log))?;
        let mut command = self.command(&self.binaries.postgres());
        command.arg("-D").arg(&self.data).stdout(out).stderr(err);
        let ours = SETTINGS.iter().map(|(name, value)| (*name, *value));
        let theirs = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in ours.chain(theirs) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let mut folder = std::ffi::OsString::from("unix_socket_directories=");
        folder.push(&self.socket);
        command.arg("-c").arg(folder);
        Ok(command)
    }

    /// The end of the server's log, for an error message. It holds no statements and no rows ([`SETTINGS`]).
    pub(super) fn log_tail(&self) -> String {
        const TAIL: u64 = 2000;
        let mut text = Vec::new();
        if let Ok(mut log) = File::open(self.log_file()) {
            let length = log.metadata().map_or(0, |found| found.len());
            let _ = log.seek(SeekFrom::Start(length.saturating_sub(TAIL)));
            let _ = log.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).trim().to_owned()
    }

    /// `initdb` into a folder of another name, then one rename: a cluster that has its name is complete.
    fn init(&self) -> Result<(), PrivateError> {
        let new = self.dir.join(format!("cluster.new-{}", std::process::id()));
        let answer = self
            .command(&self.binaries.initdb())
            .arg("-D")
            .arg(&new)
            .args(["--username", NAME, "--encoding", "UTF8", "--locale", "C"])
            .args(["--auth-local", "peer", "--auth-host", "reject", "--data-checksums"])
            .output()
            .map_err(io("run", &self.binaries.initdb()))?;
        if !answer.status.success() {
            return Err(PrivateError::Init(String::from_utf8_lossy(&answer.stderr).trim().to_owned()));
        }
        let hba = new.join("pg_hba.conf");
        fs::write(&hba, HBA).map_err(io("write", &hba))?;
        fs::rename(&new, &self.data).map_err(io("rename", &new))?;
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(io("sync", &self.dir))
    }

    /// Which operating-system user is the owner of the database. Written at each start: the user's name may have changed.
    fn write_map(&self) -> Result<(), PrivateError> {
        let map = self.data.join("pg_ident.conf");
        let line = format!("# Written by Tributary.\ntributary \"{}\" {NAME}\n", self.account.ours);
        fs::write(&map, line).map_err(io("write", &map))
    }

    /// What an `initdb` left that was killed. One that still runs fails without its folder; what it writes meanwhile is
    /// removed by the next start.
    fn remove_leftovers(&self) {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("cluster.new-")) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }

    /// A program of the server: as its user, in a process group of its own so that no key pressed in our terminal reaches
    /// it, without our environment.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").current_dir("/").stdin(Stdio::null()).process_group(0);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if let Some(user) = &self.account.server {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }
}

impl Account {
    /// Gives a folder to the server's user, and to nobody else.
    fn own(&self, dir: &Path) -> Result<(), PrivateError> {
        if let Some(user) = &self.server {
            chown(dir, Some(user.uid), Some(user.gid)).map_err(io("give away", dir))?;
        }
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(io("close", dir))
    }
}

fn lock(dir: &Path) -> Result<File, PrivateError> {
    let path = dir.join("lock");
    let file = open_lock(&path)?;
    file.lock().map_err(io("lock", &path))?;
    Ok(file)
}

/// The folder, closed to others from the first moment, as an absolute path without links.
fn make_folder(dir: &Path) -> Result<PathBuf, PrivateError> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).map_err(io("make", parent))?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(io("make", dir)(error)),
        Ok(()) | Err(_) => {}
    }
    dir.canonicalize().map_err(io("find", dir))
}

/// The major version that made a cluster.
fn major_of(data: &Path) -> Result<Option<u32>, PrivateError> {
    let file = data.join("PG_VERSION");
    match fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().map(Some).map_err(|_| {
            io("understand", &file)(std::io::Error::new(std::io::ErrorKind::InvalidData, "not a version number"))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("read", &file)(error)),
    }
}

/// Where the socket goes: beside the cluster, or in the system's folder for temporary files when that path would be too
/// long for a socket, under a name that the data folder alone decides.
fn socket_folder(dir: &Path, account: &Account) -> Result<PathBuf, PrivateError> {
    let mut folder = dir.join("socket");
    if folder.as_os_str().len() + SOCKET_FILE.len() > SOCKET_PATH_MAX {
        let data = fs::metadata(dir).map_err(io("find", dir))?;
        folder = std::env::temp_dir().join(format!("tributary-{:x}-{:x}", data.dev(), data.ino()));
    }
    let owner = fs::metadata(dir).map_err(io("find", dir))?.uid();
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => account.own(&folder)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(&folder).map_err(io("find", &folder))?;
            // One that we made and died before giving it away is still ours.
            if !found.is_dir() || (found.uid() != owner && found.uid() != nix::unistd::geteuid().as_raw()) {
                return Err(PrivateError::Foreign(folder));
            }
            account.own(&folder)?;
        }
        Err(error) => return Err(io("make", &folder)(error)),
    }
    Ok(folder)
}
