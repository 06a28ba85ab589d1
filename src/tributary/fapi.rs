//! `tributary fapi`: our FAPI client against any server, and every reason for which it refuses.

mod files;
mod probe;
mod walk;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Subcommand;
use fapi::ciba::{BackchannelRequest, Hint};
use fapi::request::AuthorizationRequest;
use net::{Limits, Loss, TransportError, Unsent};
use secrecy::SecretString;
use serde::Serialize;
use url::Url;

use probe::{Probe, Report};

/// The FAPI client
#[derive(Debug, Subcommand)]
pub(crate) enum FapiCommand {
    /// A whole login at a bank or at any FAPI server, without a screen: discovery, request, authorisation, callback, token,
    /// ID token, one resource call, refresh. After a refusal nothing more is sent
    Probe(Box<ProbeArgs>),
    /// Every reason for which our client refuses, with its paragraph
    Reasons,
}

/// What to probe, and how to behave there.
#[derive(Debug, clap::Args)]
pub(crate) struct ProbeArgs {
    /// How the bank authorises: a profile with the table `security`, the rest of it is not needed (TOML)
    #[arg(long, value_name = "FILE")]
    profile: PathBuf,
    /// Who we are there: client id, redirect URI, certificate, keys, and the issuer (TOML)
    #[arg(long, value_name = "FILE")]
    registration: PathBuf,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Write a line of JSON for every request and its answer, without secrets
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// An answer to a form of the bank: `username=ada`. Repeat it for each; buttons and boxes are named by their values
    #[arg(long = "form", value_name = "NAME=VALUE", value_parser = answer)]
    form: Vec<(String, SecretString)>,
    /// Show the access token here, once
    #[arg(long, value_name = "URL", value_parser = https)]
    resource: Option<Url>,
    /// A header of that call: `x-v=1`. Repeat it for each
    #[arg(long, value_name = "NAME=VALUE", value_parser = header, requires = "resource")]
    header: Vec<(String, String)>,
    /// End with that call: nothing is refreshed or ended afterwards, as conformance suites want it
    #[arg(long, requires = "resource")]
    stop_at_resource: bool,
    /// For how many seconds data are to be shared, where the profile has a claim that says so
    #[arg(long, value_name = "SECONDS")]
    sharing: Option<u32>,
    /// The bank's id of what is to be authorised, where its profile names it in a scope, in details or in a claim
    #[arg(long, value_name = "ID")]
    intent: Option<String>,
    /// Become a client first (RFC 7591), whatever client id the registration names; afterwards read, replace and end what
    /// was registered (RFC 7592)
    #[arg(long)]
    register: bool,
    #[command(flatten)]
    user: User,
    /// Longest time for one request and its answer
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::AUTH.total.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
}

/// A user who is asked on a device of theirs, without a browser (CIBA).
#[derive(Debug, Default, clap::Args)]
pub(crate) struct User {
    /// Ask this user elsewhere, without a browser: `login_hint=ada`, `login_hint_token=…` or `id_token_hint=…`
    #[arg(long, value_name = "KIND=VALUE", value_parser = hint)]
    hint: Option<(Kind, SecretString)>,
    /// What both of the user's screens show
    #[arg(long, value_name = "TEXT", requires = "hint")]
    binding_message: Option<String>,
    /// Where the server's notifications come in, where the profile has `token_delivery = "ping"`: plain HTTP on this
    /// machine, TLS ends before it
    #[arg(long, value_name = "ADDRESS", requires = "hint")]
    ping: Option<SocketAddr>,
    /// The address of that place as the server sees it, told with `--register`
    #[arg(long, value_name = "URL", requires = "ping", value_parser = https)]
    notification_endpoint: Option<Url>,
}

/// Makes a hint of its value.
type Kind = fn(SecretString) -> Hint;

impl User {
    fn asked_for(&self, what: &AuthorizationRequest) -> Option<BackchannelRequest> {
        let (kind, value) = self.hint.as_ref()?;
        let request = BackchannelRequest::new(what.clone(), kind(value.clone()));
        Some(BackchannelRequest { binding_message: self.binding_message.clone(), ..request })
    }
}

/// Runs the command.
pub(crate) fn run(command: FapiCommand) -> anyhow::Result<()> {
    match command {
        FapiCommand::Probe(args) => crate::block_on(probe(*args)),
        FapiCommand::Reasons => crate::print(&reasons()),
    }
}

async fn probe(args: ProbeArgs) -> anyhow::Result<()> {
    let setup = files::read(&args)?;
    let mut probe = Probe::new(setup, args.trace.as_deref())?;
    let report = probe.run(&args).await;
    crate::print(&if args.json { serde_json::to_string_pretty(&report)? + "\n" } else { sentences(&report) })?;
    ensure!(report.ok, "stopped at {}: {}", report.stage, report.reason.as_deref().unwrap_or_default());
    Ok(())
}

fn sentences(report: &Report) -> String {
    let line = |step: &probe::Step| {
        format!("{} {:<14} {}\n", if step.ok { "passed " } else { "refused" }, step.name, step.detail)
    };
    report.steps.iter().map(line).collect()
}

/// The reasons of the client, of the transport and of the walk through the bank's pages.
fn reasons() -> String {
    let client = fapi::reasons().iter().map(|reason| (reason.code, reason.reference.to_owned()));
    let transport = TRANSPORT.iter().map(|error| (error.code(), error.to_string()));
    let walk = walk::REASONS.iter().chain(&probe::REASONS).map(|(code, says)| (*code, (*says).to_owned()));
    client.chain(transport).chain(walk).map(|(code, reference)| format!("{code:<60} {reference}\n")).collect()
}

/// Every way in which a request gets no answer.
const TRANSPORT: [TransportError; 16] = [
    TransportError::NotSent(Unsent::Egress),
    TransportError::NotSent(Unsent::Request),
    TransportError::NotSent(Unsent::Dns),
    TransportError::NotSent(Unsent::Connect),
    TransportError::NotSent(Unsent::CertificateUntrusted),
    TransportError::NotSent(Unsent::CertificateExpired),
    TransportError::NotSent(Unsent::CertificateMismatch),
    TransportError::NotSent(Unsent::CertificateInvalid),
    TransportError::NotSent(Unsent::ClientCertificate),
    TransportError::NotSent(Unsent::Handshake),
    TransportError::Lost(Loss::Connection),
    TransportError::Lost(Loss::AfterHandshake),
    TransportError::Lost(Loss::Body),
    TransportError::TooLarge { limit: Limits::AUTH.body_bytes_max },
    TransportError::TimedOut { sent: true },
    TransportError::TimedOut { sent: false },
];

fn answer(text: &str) -> Result<(String, SecretString), String> {
    let (name, value) = text.split_once('=').ok_or("must be written name=value")?;
    Ok((name.to_owned(), value.to_owned().into()))
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be written name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn hint(text: &str) -> Result<(Kind, SecretString), String> {
    let (kind, value) = answer(text)?;
    match kind.as_str() {
        "login_hint" => Ok((Hint::Login, value)),
        "login_hint_token" => Ok((Hint::LoginToken, value)),
        "id_token_hint" => Ok((Hint::IdToken, value)),
        _ => Err("a hint is a login_hint, a login_hint_token or an id_token_hint".to_owned()),
    }
}

fn https(text: &str) -> Result<Url, String> {
    Url::parse(text).ok().filter(|url| url.scheme() == "https").ok_or_else(|| "must be an https URL".to_owned())
}

/// A line of the trace.
#[derive(Serialize)]
struct Line<'a> {
    at: jiff::Timestamp,
    method: &'a str,
    /// Without query and fragment, where secrets travel.
    url: String,
    status: Option<u16>,
    error: Option<&'static str>,
}

/// Where each request is written down.
struct Trace(Option<std::fs::File>);

impl Trace {
    fn open(file: Option<&std::path::Path>) -> anyhow::Result<Self> {
        let create = |path: &std::path::Path| {
            std::fs::File::create(path).with_context(|| format!("cannot write to {}", path.display()))
        };
        Ok(Self(file.map(create).transpose()?))
    }

    fn write(&mut self, line: &Line<'_>) -> anyhow::Result<()> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        serde_json::to_writer(&mut *file, line)?;
        Ok(std::io::Write::write_all(file, b"\n")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_listed_once() {
        let text = reasons();
        let mut codes: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
        for code in ["tls.certificate.untrusted", "jarm.exp.missing", "id_token.s_hash.mismatch", "page.form.missing"] {
            assert!(codes.contains(&code), "{code}");
        }
    }

    #[test]
    fn an_answer_keeps_what_follows_the_first_sign() {
        use secrecy::ExposeSecret as _;
        let (name, value) = answer("password=a=b").unwrap();
        assert_eq!((name.as_str(), value.expose_secret()), ("password", "a=b"));
        assert!(answer("password").is_err() && https("http://rs.example/").is_err());
    }
}
