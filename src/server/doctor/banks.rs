//! Registrations: files, certificates, keys, addresses, and one question to each bank's authorisation server.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bank_adapters::directory::Directory;
use domain::world::Clock;
use http::header;
use jiff::fmt::rfc2822;
use net::{TransportError, Unsent};

use super::{Finding, clocks, expiry};
use crate::config::Config;
use crate::connections::{Connection, Connections, identities};

const RENEW: &str = "order the next one, name it as [transport.next], and let the bank know it";

/// Looks at every registration, and asks its bank for its metadata.
pub(super) async fn examine(config: &Config, directory: &Directory, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    let (about, folder) = ("banks.registrations_dir", &config.banks.registrations_dir);
    let surveyed = match Connections::survey(folder, directory, config.banks.allow_loopback, clock) {
        Ok(surveyed) => surveyed,
        Err(error) => return vec![Finding::bad(about, format!("{error:#}"), "let the user of the server read it")],
    };
    if surveyed.is_empty() {
        let cure = "put a registration there: a TOML file that says who we are at a bank";
        return vec![Finding::warning(about, "there is no registration: no bank can be reached", cure)];
    }
    let mut findings = Vec::new();
    for (file, made) in surveyed {
        findings.extend(exposed(&file));
        match made {
            Ok(connection) => findings.extend(registration(config, &connection, clock).await),
            Err(error) => findings.push(Finding::bad(
                format!("registration {}", name(&file)),
                format!("{error:#}"),
                "mend the file, or put what it names in its place; `tributary banks list` names the profiles",
            )),
        }
    }
    findings
}

fn name(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Private keys that others on this machine can read.
fn exposed(file: &Path) -> Vec<Finding> {
    let Ok(text) = std::fs::read_to_string(file) else { return Vec::new() };
    let Ok(table) = text.parse::<toml::Table>() else { return Vec::new() };
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut paths = Vec::new();
    keys(&toml::Value::Table(table), &mut paths);
    let open = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
    let found = paths.into_iter().map(|path| folder.join(path)).filter(open);
    let about = format!("registration {}: private key", name(file));
    found
        .map(|path| {
            let (seen, cure) =
                (format!("{} is open to other users", path.display()), format!("chmod 600 {}", path.display()));
            Finding::bad(&about, seen, cure)
        })
        .collect()
}

/// What stands behind `key`, wherever it stands, as far as it is a file.
fn keys(value: &toml::Value, found: &mut Vec<PathBuf>) {
    let toml::Value::Table(table) = value else { return };
    for (word, inner) in table {
        match inner {
            toml::Value::String(path) if word == "key" => found.push(PathBuf::from(path)),
            inner => keys(inner, found),
        }
    }
}

async fn registration(config: &Config, connection: &Connection, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    let about = |what: &str| format!("registration {}: {what}", connection.id);
    let mut findings = vec![returns(config, connection, about("redirect_uri"))];
    let transport = connection.registration.transport.as_ref();
    for (at, identity) in transport.map(identities).and_then(Result::ok).into_iter().flatten().enumerate() {
        let which = about(if at == 0 { "certificate" } else { "next certificate" });
        findings.push(expiry(which, &identity, clock.now(), RENEW));
    }
    findings.extend(reached(connection, &about, clock).await);
    findings
}

/// A bank that sends people to another address than ours loses them.
fn returns(config: &Config, connection: &Connection, about: String) -> Finding {
    let told = connection.oauth.redirect_uri();
    let path = format!("callback/{}", connection.id);
    match config.listen.public_url.join(&path) {
        Ok(ours) if ours.as_str() == told => Finding::good(about, told),
        Ok(ours) => Finding::bad(
            about,
            format!("banks send people to {told}, and we listen at {ours}"),
            "register our address at the bank and write it here, or set listen.public_url right",
        ),
        Err(error) => Finding::bad(about, error.to_string(), "set listen.public_url right"),
    }
}

/// The bank's metadata, asked for with the certificate of the registration.
async fn reached(connection: &Connection, about: &impl Fn(&str) -> String, clock: &Arc<dyn Clock>) -> Vec<Finding> {
    let which = about("bank");
    let Some(call) = connection.discovery() else { return Vec::new() };
    let call = match call {
        Ok(call) => call,
        Err(refusal) => return vec![Finding::bad(which, refusal.to_string(), "mend `issuer`")],
    };
    let answer = match connection.auth.send(call.request.clone()).await {
        Ok(answer) => answer,
        Err(error) => return vec![Finding::bad(which, error.to_string(), cure(&error))],
    };
    let now = clock.now();
    let date = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
    let clock = date.map(|date| clocks(about("clock"), date, now));
    let found = match call.read(answer, now) {
        Ok(metadata) => Finding::good(which, format!("{} answers and is who it should be", metadata.issuer())),
        Err(refusal) => Finding::bad(
            which,
            refusal.to_string(),
            "see that `issuer` and the environment are the bank's; `tributary fapi probe` shows the whole login",
        ),
    };
    [Some(found), clock].into_iter().flatten().collect()
}

fn cure(error: &TransportError) -> &'static str {
    match error {
        TransportError::NotSent(Unsent::Egress) => {
            "the address is private: banks are reached at public ones (banks.allow_loopback is for development)"
        }
        TransportError::NotSent(Unsent::Dns) => {
            "see that the bank's name is right and that this machine can resolve names"
        }
        TransportError::NotSent(Unsent::CertificateUntrusted) => {
            "put the authority of the bank's server into transport.ca: no other is trusted"
        }
        TransportError::NotSent(
            Unsent::CertificateExpired | Unsent::CertificateMismatch | Unsent::CertificateInvalid,
        ) => "the bank's certificate is wrong: tell the bank, and see that this machine's clock is right",
        TransportError::NotSent(Unsent::ClientCertificate | Unsent::Handshake) => {
            "the bank refuses our certificate: see that it is registered there, valid, and sent with its chain"
        }
        _ => "see that a firewall lets us out, and that the bank is up",
    }
}
