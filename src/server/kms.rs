//! Epoch keys behind AWS Key Management Service, or what speaks its protocol: the key that seals a file of `keys.dir` stays in
//! the service.
//!
//! The vault knows no network and asks in place, so requests are moved by a thread of their own with one client of `net`.
//! Whoever asks waits as a blocking call does and lets the other tasks of its worker go on elsewhere. Credentials are read
//! from their file for every request, so that they can be changed while we run; nothing of them is kept or shown.

mod signature;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use domain::limits;
use domain::world::Clock;
use http::{Request, Response, header};
use jiff::Timestamp;
use net::{Client, ClientConfig, Egress, Limits, Roots};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::Instant;
use url::Url;
use vault::{KeyService, KeyServiceError};
use zeroize::{Zeroize as _, Zeroizing};

use crate::config::Kms as Settings;
use signature::{Credentials, Scope};

/// What we ask is small, and so are answers.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The JSON protocol of the service.
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// The service of the settings.
pub(crate) struct Kms {
    url: Url,
    region: String,
    credentials: PathBuf,
    pending_days: i64,
    clock: Arc<dyn Clock>,
    requests: UnboundedSender<Job>,
    /// What was opened in the last seconds, so that not every row asks the service: by name of the key and sealed bytes.
    leases: Mutex<HashMap<(String, Vec<u8>), Lease>>,
}

type Lease = (Zeroizing<[u8; 32]>, Instant);
type Answer = Result<Response<Bytes>, net::TransportError>;

struct Job {
    request: Request<Bytes>,
    answer: SyncSender<Answer>,
}

impl Kms {
    /// Reads the settings and starts the thread that asks. The service itself is not asked yet.
    ///
    /// # Errors
    /// Says which setting cannot be used.
    pub(crate) fn open(settings: &Settings, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let url = settings.url().context("keys.kms.endpoint")?;
        let roots = if settings.ca_file.as_os_str().is_empty() {
            Roots::system()
        } else {
            let pem = std::fs::read(&settings.ca_file);
            let pem = pem.with_context(|| format!("keys.kms.ca_file: {}", settings.ca_file.display()))?;
            Roots::from_pem(&pem).context("keys.kms.ca_file")?
        };
        read_credentials(&settings.credentials_file)
            .map_err(|_| anyhow::anyhow!("no access key can be read from {}", settings.credentials_file.display()))
            .context("keys.kms.credentials_file")?;
        let client = ClientConfig {
            identity: None,
            roots,
            // The settings name it: often an address of the operator's own network.
            egress: Egress::inside(),
            limits: Limits { body_bytes_max: ANSWER_BYTES_MAX, ..Limits::NOTIFY },
            post_quantum: false,
            resumption: true,
            clock: clock.clone(),
        };
        Ok(Self {
            url,
            region: settings.region.clone(),
            credentials: settings.credentials_file.clone(),
            pending_days: settings.pending_days,
            clock,
            requests: mover(Client::new(client)?)?,
            leases: Mutex::default(),
        })
    }

    /// Asks for one operation and gives the body of its answer.
    fn ask(&self, operation: &str, body: Zeroizing<Vec<u8>>) -> Result<Bytes, KeyServiceError> {
        let request = self.signed(operation, body)?;
        let (answer, answered) = sync_channel(1);
        let gone = |_| KeyServiceError::Unavailable(io::Error::other("the thread that asks is gone"));
        self.requests.send(Job { request, answer }).map_err(|_| gone(()))?;
        // The client gives up within the limits of its own.
        let answer = aside(|| answered.recv()).map_err(|_| gone(()))?;
        let answer = answer.map_err(|error| KeyServiceError::Unavailable(io::Error::other(error)))?;
        if answer.status().is_success() { Ok(answer.into_body()) } else { Err(refusal(&answer)) }
    }

    fn signed(&self, operation: &str, body: Zeroizing<Vec<u8>>) -> Result<Request<Bytes>, KeyServiceError> {
        let credentials = read_credentials(&self.credentials)?;
        let scope = Scope { region: &self.region, service: "kms", now: self.clock.now() };
        let host = match (self.url.host_str().unwrap_or_default(), self.url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let (date, target) = (signature::date_time(scope.now), format!("TrentService.{operation}"));
        let mut headers = vec![("content-type", CONTENT_TYPE), ("host", host.as_str()), ("x-amz-date", &date)];
        if let Some(token) = &credentials.session_token {
            headers.push(("x-amz-security-token", secrecy::ExposeSecret::expose_secret(token)));
        }
        headers.push(("x-amz-target", &target));
        let authorization = signature::authorization(&credentials, &scope, &headers, &body);
        let mut request = Request::post(self.url.as_str()).header(header::AUTHORIZATION, authorization);
        for (name, value) in headers.into_iter().filter(|(name, _)| *name != "host") {
            request = request.header(name, value);
        }
        request
            .body(Bytes::from_owner(body))
            .map_err(|_| KeyServiceError::Refused("the credentials are no text of a header"))
    }

    fn context(&self, key: &str, place: &str) -> Value {
        json!({ "KeyId": key, "EncryptionContext": { "tributary": place } })
    }
}

impl KeyService for Kms {
    fn kind(&self) -> &'static str {
        "kms"
    }

    fn create(&self, place: &str) -> Result<String, KeyServiceError> {
        let description = format!("Tributary: {place}");
        let body = json!({ "Description": description, "KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT" });
        let made: Described = read(&self.ask("CreateKey", bytes(&body))?)?;
        Ok(made.key_metadata.arn)
    }

    fn seal(&self, key: &str, place: &str, secret: &[u8; 32]) -> Result<Vec<u8>, KeyServiceError> {
        let mut body = self.context(key, place);
        body["Plaintext"] = BASE64.encode(secret).into();
        let text = bytes(&body);
        if let Value::String(plain) = &mut body["Plaintext"] {
            plain.zeroize();
        }
        let sealed: Sealed = read(&self.ask("Encrypt", text)?)?;
        BASE64.decode(sealed.ciphertext_blob).map_err(|_| strange())
    }

    fn open(&self, key: &str, place: &str, sealed: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyServiceError> {
        let name = (format!("{key}\n{place}"), sealed.to_owned());
        let lasts = Duration::from_secs(limits::KEY_LEASE_SECONDS);
        {
            let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
            leases.retain(|_, (_, since)| since.elapsed() < lasts);
            if let Some((secret, _)) = leases.get(&name) {
                return Ok(secret.clone());
            }
        }
        let mut body = self.context(key, place);
        body["CiphertextBlob"] = BASE64.encode(sealed).into();
        // A lease counts from the question: what the service refuses from then on is refused here in time.
        let since = Instant::now();
        let answer = self.ask("Decrypt", bytes(&body))?;
        let secret = opened(&answer);
        if let Ok(mut answer) = answer.try_into_mut() {
            answer.zeroize();
        }
        let secret = secret?;
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).insert(name, (secret.clone(), since));
        Ok(secret)
    }

    fn destroy(&self, key: &str) -> Result<Option<Timestamp>, KeyServiceError> {
        let ours = format!("{key}\n");
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).retain(|(name, _), _| !name.starts_with(&ours));
        let body = bytes(&json!({ "KeyId": key }));
        let known: Described = read(&self.ask("DescribeKey", body)?)?;
        let mut until = known.key_metadata.deletion_date;
        if until.is_none() {
            // The id alone, which stand-ins for the service want as well: that it is the key of this name was just told.
            let id = known.key_metadata.key_id;
            let body = bytes(&json!({ "KeyId": id, "PendingWindowInDays": self.pending_days }));
            let scheduled: Scheduled = read(&self.ask("ScheduleKeyDeletion", body)?)?;
            until = Some(scheduled.deletion_date);
        }
        // A moment in seconds with decimals; the next whole second is late enough.
        let until = until.and_then(|seconds| seconds.as_f64()).map(f64::ceil).ok_or_else(strange)?;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "beyond the range it saturates, and no timestamp is made of it"
        )]
        let until = Timestamp::from_second(until as i64).map_err(|_| strange())?;
        Ok(Some(until))
    }
}

/// Names nothing of what it holds.
impl fmt::Debug for Kms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kms").field("region", &self.region).finish_non_exhaustive()
    }
}

/// Starts the thread that moves requests; it ends when nobody can ask any more.
fn mover(client: Client) -> anyhow::Result<UnboundedSender<Job>> {
    let (requests, mut asked) = unbounded_channel::<Job>();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = move || {
        runtime.block_on(async move {
            while let Some(Job { request, answer }) = asked.recv().await {
                let client = client.clone();
                tokio::spawn(async move {
                    // Whoever asked may be gone.
                    let _ = answer.send(client.send(request).await);
                });
            }
        });
    };
    std::thread::Builder::new().name("key-service".into()).spawn(work)?;
    Ok(requests)
}

/// Waits for something that another thread does. On a worker of a runtime with several, the tasks behind this one move on.
fn aside<T>(wait: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    key_metadata: KeyMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyMetadata {
    arn: String,
    key_id: String,
    deletion_date: Option<serde_json::Number>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sealed {
    ciphertext_blob: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Opened<'a> {
    plaintext: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Scheduled {
    deletion_date: serde_json::Number,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type")]
    kind: String,
}

fn bytes(body: &Value) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(body.to_string().into_bytes())
}

fn read<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T, KeyServiceError> {
    serde_json::from_slice(answer).map_err(|_| strange())
}

fn opened(answer: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyServiceError> {
    let answer: Opened<'_> = read(answer)?;
    let plain = Zeroizing::new(BASE64.decode(answer.plaintext).map_err(|_| strange())?);
    let secret: &[u8; 32] = plain.as_slice().try_into().map_err(|_| KeyServiceError::Altered)?;
    Ok(Zeroizing::new(*secret))
}

fn strange() -> KeyServiceError {
    KeyServiceError::Unavailable(io::Error::other("the key service answered what it does not document"))
}

/// What a refusal means, by the names that the API reference of the service gives to errors.
fn refusal(answer: &Response<Bytes>) -> KeyServiceError {
    let kind = read::<Refusal>(answer.body()).map(|refusal| refusal.kind).unwrap_or_default();
    // Some services write a namespace before the name.
    match kind.rsplit('#').next().unwrap_or_default() {
        "NotFoundException" | "InvalidArnException" => KeyServiceError::Unknown,
        "InvalidCiphertextException" | "IncorrectKeyException" => KeyServiceError::Altered,
        "DisabledException" => KeyServiceError::Refused("the key was switched off"),
        "KMSInvalidStateException" => KeyServiceError::Refused("the key is in a state in which it cannot be used"),
        "AccessDeniedException" | "AccessDenied" => {
            KeyServiceError::Refused("we have no access to the operation or the key")
        }
        "LimitExceededException" => KeyServiceError::Refused("the account has as many keys as it may"),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "ExpiredTokenException"
        | "IncompleteSignatureException"
        | "MissingAuthenticationTokenException" => KeyServiceError::Refused("the credentials are not valid"),
        _ if matches!(answer.status().as_u16(), 401 | 403) => {
            KeyServiceError::Refused("it does not let us in: the credentials, or what they may do")
        }
        // Throttled, or an error of the service's own.
        _ => KeyServiceError::Unavailable(io::Error::other(format!("the key service answered {}", answer.status()))),
    }
}

/// The profile `default` of an AWS shared credentials file.
fn read_credentials(file: &Path) -> Result<Credentials, KeyServiceError> {
    const NONE: KeyServiceError = KeyServiceError::Refused("no access key can be read from keys.kms.credentials_file");
    let text = Zeroizing::new(std::fs::read_to_string(file).map_err(|_| NONE)?);
    let mut is_default = false;
    let (mut id, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            is_default = section.trim() == "default";
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| is_default && !line.starts_with('#')) else {
            continue;
        };
        let slot = match name.trim() {
            "aws_access_key_id" => &mut id,
            "aws_secret_access_key" => &mut secret,
            "aws_session_token" => &mut token,
            _ => continue,
        };
        *slot = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
    }
    Ok(Credentials {
        access_key_id: id.ok_or(NONE)?,
        secret_access_key: secret.ok_or(NONE)?.into(),
        session_token: token.map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart_by_what_can_be_done() {
        let answer = |status: u16, kind: &str| {
            let body = json!({ "__type": kind, "message": "arn:aws:kms:eu-central-1:1:key/secret" }).to_string();
            refusal(&Response::builder().status(status).body(Bytes::from(body)).unwrap())
        };
        for kind in ["NotFoundException", "com.amazonaws.kms#NotFoundException"] {
            assert!(matches!(answer(400, kind), KeyServiceError::Unknown), "{kind}");
        }
        for kind in ["AccessDeniedException", "DisabledException", "KMSInvalidStateException", "ExpiredTokenException"]
        {
            assert!(matches!(answer(400, kind), KeyServiceError::Refused(_)), "{kind}");
        }
        assert!(matches!(answer(400, "InvalidCiphertextException"), KeyServiceError::Altered));
        for (status, kind) in [
            (400, "ThrottlingException"),
            (500, "KMSInternalException"),
            (503, "DependencyTimeoutException"),
            (502, ""),
        ] {
            let error = answer(status, kind);
            assert!(matches!(error, KeyServiceError::Unavailable(_)), "{kind}");
            assert!(!format!("{error:?}").contains("secret"), "nothing of the answer's text is told");
        }
        assert!(matches!(answer(403, ""), KeyServiceError::Refused(_)), "a gateway in between");
    }

    #[test]
    fn credentials_are_those_of_the_default_profile() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let written = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            read_credentials(file.path()).map(|found| (found.access_key_id, found.session_token.is_some()))
        };
        let pair = "aws_access_key_id = A\naws_secret_access_key=B\n";
        assert_eq!(written(&format!("[default]\n{pair}")).unwrap(), ("A".into(), false));
        let two =
            format!("[other]\naws_access_key_id=X\n[default]\n# aws_access_key_id=Y\n{pair}aws_session_token=C==\n");
        assert_eq!(written(&two).unwrap(), ("A".into(), true));
        for bad in
            ["", pair, "[default]\naws_access_key_id=A\n", "[default]\naws_access_key_id=\naws_secret_access_key=B"]
        {
            assert!(matches!(written(bad), Err(KeyServiceError::Refused(_))), "{bad}");
        }
    }
}
