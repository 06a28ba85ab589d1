//! Starts `oidc-provider` and listens to what it says.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;

use fapi::profile::TokenBinding;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::certificates::text;
use crate::combination::Combination;

/// Where the server is when a proxy stands before it.
pub(crate) struct Front<'a> {
    pub(crate) issuer: &'a str,
    /// Where the proxy wants certificates.
    pub(crate) aliased: &'a str,
}

/// A running server. Dropping it ends it.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    pub(crate) port: u64,
    aliased: String,
    child: Child,
    said: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
    _folder: TempDir,
}

impl Provider {
    /// A resource that takes access tokens: the user's own data, where certificates are wanted if tokens are bound to one.
    /// Tokens of a rich request are for another server, which nobody plays, and those without an identity open nothing here.
    pub(crate) fn resource(&self, combination: &Combination) -> Option<String> {
        let bound = combination.security.binding == TokenBinding::Mtls;
        (!combination.details && combination.openid())
            .then(|| format!("{}/me", if bound { &self.aliased } else { &self.issuer }))
    }

    /// Everything it said.
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("nobody panicked").clone()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

/// The folder with the installed packages.
static MODULES: LazyLock<PathBuf> = LazyLock::new(|| {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop");
    let there = crate::probe::target_folder().join("interop");
    let node = Command::new("node").arg("--version").output();
    let version = node.map(|answer| String::from_utf8_lossy(&answer.stdout).into_owned());
    let major = |version: &str| version.trim().trim_start_matches('v').split('.').next()?.parse::<u32>().ok();
    let new_enough = version.as_deref().ok().and_then(major).is_some_and(|major| major >= 20);
    assert!(new_enough, "this test needs Node 20 or later with npm on the path; found {version:?}");
    let lock = fs::read(here.join("package-lock.json")).expect("the lock file");
    let installed = there.join("node_modules/oidc-provider").exists();
    if !installed || fs::read(there.join("package-lock.json")).ok().as_ref() != Some(&lock) {
        fs::create_dir_all(&there).expect("a folder");
        for name in ["package.json", "package-lock.json"] {
            fs::copy(here.join(name), there.join(name)).expect("a copy");
        }
        let npm = Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&there).output();
        let npm = npm.expect("npm is on the path");
        let complaint = String::from_utf8_lossy(&npm.stderr);
        assert!(npm.status.success(), "npm could not install the packages; is a registry in reach?\n{complaint}");
    }
    there
});

/// Where the packages are; installs them if they are not there.
pub(crate) fn modules() -> &'static Path {
    &MODULES
}

/// Starts a server for one combination, by itself over TLS or behind a proxy.
pub(crate) fn start(combination: &Combination, behind: Option<&Front<'_>>) -> Provider {
    let folder = tempfile::tempdir().expect("a folder");
    let mut setup = json!({
        "modules": *MODULES,
        "ca": text("ca.pem"),
        "certificate": text("server.pem"),
        "key": text("server.key"),
        "ours": text("qwac.pem"),
        "client": combination.client(),
    });
    for (name, value) in combination.server.as_object().expect("an object") {
        setup[name] = value.clone();
    }
    if let Some(front) = behind {
        setup["behind"] = front.issuer.into();
        setup["aliased"] = front.aliased.into();
    }
    let file = folder.path().join("setup.json");
    fs::write(&file, setup.to_string()).expect("a file");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/server.mjs");
    let mut node = Command::new("node");
    let started = node.arg(script).arg(&file).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
    let mut child = started.expect("node starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output"));
    let port = port(&mut lines);
    let said = Arc::new(Mutex::new(String::new()));
    let issuer = behind.map_or_else(|| format!("https://localhost:{port}"), |front| front.issuer.to_owned());
    let aliased = behind.map_or_else(|| format!("https://127.0.0.1:{port}"), |front| front.aliased.to_owned());
    let listener = Some(listen(lines, said.clone()));
    Provider { issuer, port, aliased, child, said, listener, _folder: folder }
}

/// The first line says where it listens.
fn port(lines: &mut BufReader<ChildStdout>) -> u64 {
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    let ready: Value = serde_json::from_str(&line).expect("the server is ready; what it says otherwise stands above");
    ready["port"].as_u64().expect("a port")
}

fn listen(lines: BufReader<ChildStdout>, said: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            let mut said = said.lock().expect("nobody panicked");
            said.push_str(&line);
            said.push('\n');
        }
    })
}
