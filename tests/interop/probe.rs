//! Runs `tributary fapi probe` as an operator does, and reads its report.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::certificates::{self, ENCRYPTION_KEY, ENCRYPTION_KID, file};
use crate::combination::{CLIENT_ID, Combination, NOTIFICATION_ENDPOINT, REDIRECT_URI};

/// The report of a probe.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) ok: bool,
    pub(crate) stage: String,
    pub(crate) reason: Option<String>,
    pub(crate) steps: Vec<Step>,
}

/// One step of it.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) ok: bool,
    pub(crate) detail: String,
}

impl Outcome {
    pub(crate) fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name && step.ok)
    }

    pub(crate) fn summary(&self) -> String {
        match &self.reason {
            None => "completed".to_owned(),
            Some(reason) => format!("stopped at {}: {reason}", self.stage),
        }
    }
}

/// The folder that everything is built into.
pub(crate) fn target_folder() -> PathBuf {
    // target/<profile>/deps/<this test>
    let this = std::env::current_exe().expect("the path of this test");
    this.ancestors().nth(3).expect("a target folder").to_owned()
}

/// The program under test, built if it was not.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the tree");
        let built = Command::new(cargo).args(["build", "--quiet", "--package", "tributary"]).current_dir(root).output();
        let built = built.expect("cargo runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        target_folder().join("debug").join("tributary")
    });
    &PROGRAM
}

/// Logs in at an issuer in the way of a combination.
pub(crate) fn run(combination: &Combination, issuer: &str, resource: Option<&str>) -> Outcome {
    run_with(combination, issuer, resource, &[])
}

/// The same, trusting another authority.
pub(crate) fn run_trusting(combination: &Combination, issuer: &str, ca: Option<&str>) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let other = folder.path().join("ca.pem");
    let registration = match ca {
        Some(ca) => {
            fs::write(&other, ca).expect("a file");
            registration(combination, issuer, &other)
        }
        None => registration(combination, issuer, &file("ca.pem")),
    };
    run_files(&combination.profile(), &registration, &[])
}

/// The same, with further arguments.
pub(crate) fn run_with(combination: &Combination, issuer: &str, resource: Option<&str>, more: &[&str]) -> Outcome {
    let registration = registration(combination, issuer, &file("ca.pem"));
    let mut arguments = vec!["--form", "login=ada", "--form", "password=any"];
    arguments.extend(resource.iter().flat_map(|url| ["--resource", url]));
    let port = combination.elsewhere.flatten().map(|port| format!("127.0.0.1:{port}"));
    if combination.elsewhere.is_some() {
        arguments.extend(["--hint", "login_hint=ada", "--binding-message", "W4SCT"]);
    }
    if let Some(port) = &port {
        arguments.extend(["--ping", port, "--notification-endpoint", NOTIFICATION_ENDPOINT]);
    }
    if combination.registers {
        arguments.push("--register");
    }
    arguments.extend(more);
    if combination.security.intent_claim.is_some() {
        arguments.extend(["--intent", "consent-42"]);
    }
    run_files(&combination.profile(), &registration, &arguments)
}

/// Logs in by these files and arguments.
pub(crate) fn run_files(profile: &str, registration: &str, arguments: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    };
    let mut program = Command::new(program());
    program.args(["fapi", "probe", "--json", "--profile"]).arg(path("profile.toml", profile));
    program.arg("--registration").arg(path("registration.toml", registration));
    let answer = program.args(arguments).output().expect("the program runs");
    let report: Value = serde_json::from_slice(&answer.stdout).unwrap_or_else(|_| {
        panic!("no report; it said: {}", String::from_utf8_lossy(&answer.stderr));
    });
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let outcome = Outcome {
        ok: report["ok"] == true,
        stage: text(&report["stage"]),
        reason: report["reason"].as_str().map(str::to_owned),
        steps: report["steps"]
            .as_array()
            .expect("a list of steps")
            .iter()
            .map(|step| Step { name: text(&step["name"]), ok: step["ok"] == true, detail: text(&step["detail"]) })
            .collect(),
    };
    assert_eq!(answer.status.success(), outcome.ok, "the exit code says whether it worked");
    outcome
}

fn registration(combination: &Combination, issuer: &str, ca: &Path) -> String {
    let path = |name: &str| file(name).display().to_string();
    let encryption = combination.encryption.map(|wrap| {
        let (key, alg) = (path(ENCRYPTION_KEY), wrap.as_str());
        format!("[encryption]\nkey = \"{key}\"\nkid = \"{ENCRYPTION_KID}\"\nalg = \"{alg}\"\n")
    });
    format!(
        "client_id = \"{CLIENT_ID}\"\nredirect_uri = \"{REDIRECT_URI}\"\nissuer = \"{issuer}\"\nenvironment = \"sandbox\"\n\
         scopes = [\"{}\"]\n[transport]\ncertificate = \"{}\"\nkey = \"{}\"\nca = \"{}\"\n\
         [signing]\nkey = \"{}\"\nkid = \"ours\"\nalg = \"{}\"\n{}",
        combination.scope.replace(' ', "\", \""),
        path("qwac.pem"),
        path("qwac.key"),
        ca.display(),
        path(certificates::signing_key(combination.alg)),
        combination.alg.as_str(),
        encryption.unwrap_or_default(),
    )
}
