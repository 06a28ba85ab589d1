//! The sending side: one request, one answer.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::limits;
use domain::world::Clock;
use rustls::client::Resumption;
use tokio::time::Instant;
use url::Url;

use crate::egress::{Egress, GuardedResolver};
use crate::error::{ClientError, Loss, TransportError, Unsent, classify};
use crate::tls::{Identity, Roots, TlsTime, VERSIONS, provider};

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Bounds of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time to resolve, connect and shake hands.
    pub connect: Duration,
    /// Time for the whole call, to the last byte of the answer.
    pub total: Duration,
    /// Largest answer in bytes, after decompression.
    pub body_bytes_max: usize,
}

impl Limits {
    /// For calls to a bank's account interface.
    pub const BANK: Self = Self {
        connect: Duration::from_secs(limits::CONNECT_SECONDS_MAX),
        total: Duration::from_secs(limits::BANK_CALL_SECONDS_MAX),
        body_bytes_max: limits::BANK_BODY_BYTES_MAX,
    };
    /// For telling somebody something: only the head of the answer is read.
    pub const NOTIFY: Self = Self {
        connect: Duration::from_secs(limits::NOTIFY_SECONDS_MAX),
        total: Duration::from_secs(limits::NOTIFY_SECONDS_MAX),
        body_bytes_max: 0,
    };
    /// For calls to an authorisation server.
    pub const AUTH: Self = Self { body_bytes_max: limits::AUTH_BODY_BYTES_MAX, ..Self::BANK };
}

/// Everything that a client is made of.
#[derive(Clone)]
pub struct ClientConfig {
    /// The certificate shown to servers that ask for one.
    pub identity: Option<Identity>,
    /// The authorities whose server certificates are accepted; no others are.
    pub roots: Roots,
    /// Where requests may go.
    pub egress: Egress,
    /// Time and size of one call.
    pub limits: Limits,
    /// Whether the hybrid key exchange X25519MLKEM768 is offered.
    pub post_quantum: bool,
    /// Whether TLS sessions may be resumed. Some ecosystems forbid it.
    pub resumption: bool,
    /// The time at which certificates are judged.
    pub clock: Arc<dyn Clock>,
}

/// Holds a private key and a clock: `Debug` shows the rest.
impl std::fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientConfig")
            .field("identity", &self.identity.is_some())
            .field("roots", &self.roots)
            .field("egress", &self.egress)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A client with roots, tickets and connections of its own. Clones share them; drop all to drain the connections, as
/// after a change of certificate.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    egress: Egress,
    limits: Limits,
    identified: bool,
    /// Hosts (with port) that have answered: tells a refused certificate from a connection that broke.
    answered: Arc<Mutex<HashSet<String>>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("egress", &self.egress).field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client.
    ///
    /// # Errors
    /// When the TLS settings cannot be used together.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let identified = config.identity.is_some();
        let (egress, limits) = (config.egress, config.limits);
        // The one place that may build an HTTP client.
        #[allow(clippy::disallowed_methods)]
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls_config(config)?)
            .https_only(!egress.permits_plain())
            .redirect(reqwest::redirect::Policy::none())
            // The default sends again after a protocol-level refusal; an attempt must be one line of the audit.
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .gzip(true)
            .user_agent(concat!("tributary/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(limits.connect)
            .timeout(limits.total)
            .pool_idle_timeout(IDLE)
            .dns_resolver(GuardedResolver(egress))
            .build()?;
        Ok(Self { http, egress, limits, identified, answered: Arc::default() })
    }

    /// Where it may send.
    pub const fn egress(&self) -> Egress {
        self.egress
    }

    /// Sends one request and reads its whole answer, whatever its status. Redirects come back as they are.
    ///
    /// # Errors
    /// See [`TransportError`]: each variant says whether the request may be repeated.
    pub async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError> {
        let method = request.method().clone();
        let url = target(&request)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let started = Instant::now();
        let outcome = match self.exchange(request, url).await {
            Ok(answer) => self.read(answer).await,
            Err(error) => Err(error),
        };
        let ms = millis(started);
        match &outcome {
            Ok(answer) => {
                let (status, bytes) = (answer.status().as_u16(), answer.body().len());
                tracing::info!(%method, host, status, bytes, ms, "request");
            }
            Err(error) => tracing::warn!(%method, host, code = error.code(), ms, "request failed"),
        }
        outcome
    }

    /// Sends one request and reads no more of its answer than the head. The body is dropped unread, however long it would
    /// be. Gives how long it took beside what came.
    ///
    /// For servers that we tell something and want to hear nothing from.
    pub async fn notify(&self, request: http::Request<Bytes>) -> (Duration, Result<Head, TransportError>) {
        let method = request.method().clone();
        let started = Instant::now();
        let url = match target(&request) {
            Ok(url) => url,
            Err(error) => return (Duration::ZERO, Err(error)),
        };
        let host = url.host_str().unwrap_or_default().to_owned();
        let outcome = self.exchange(request, url).await;
        let ms = millis(started);
        match &outcome {
            Ok(answer) => tracing::info!(%method, host, status = answer.status().as_u16(), ms, "notified"),
            Err(error) => tracing::warn!(%method, host, code = error.code(), ms, "request failed"),
        }
        let head =
            outcome.map(|mut answer| Head { status: answer.status(), headers: std::mem::take(answer.headers_mut()) });
        (started.elapsed(), head)
    }

    /// Sends a request if the egress policy lets it, and gives the answer with its body unread.
    async fn exchange(&self, request: http::Request<Bytes>, url: Url) -> Result<reqwest::Response, TransportError> {
        self.egress.check(&url).map_err(TransportError::NotSent)?;
        let authority = url.authority().to_owned();
        let (parts, body) = request.into_parts();
        let mut outgoing = reqwest::Request::new(parts.method, url);
        *outgoing.headers_mut() = parts.headers;
        if !body.is_empty() {
            *outgoing.body_mut() = Some(body.into());
        }
        let seen = self.answered.lock().unwrap_or_else(PoisonError::into_inner).contains(&authority);
        let answer = self.http.execute(outgoing).await.map_err(|error| classify(&error, self.identified, seen))?;
        if !seen {
            self.answered.lock().unwrap_or_else(PoisonError::into_inner).insert(authority);
        }
        Ok(answer)
    }

    /// Reads the body chunk by chunk, so that a small compressed answer cannot grow past the limit unseen.
    async fn read(&self, mut answer: reqwest::Response) -> Result<http::Response<Bytes>, TransportError> {
        let limit = self.limits.body_bytes_max;
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| body_error(&error))? {
            if body.len() + chunk.len() > limit {
                return Err(TransportError::TooLarge { limit });
            }
            body.extend_from_slice(&chunk);
        }
        let mut read = http::Response::new(body.freeze());
        *read.status_mut() = answer.status();
        *read.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(read)
    }
}

/// The head of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status.
    pub status: http::StatusCode,
    /// The header fields.
    pub headers: http::HeaderMap,
}

fn target(request: &http::Request<Bytes>) -> Result<Url, TransportError> {
    Url::parse(&request.uri().to_string()).map_err(|_| TransportError::NotSent(Unsent::Request))
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Once the head of an answer is here, only time and a broken body remain.
fn body_error(error: &reqwest::Error) -> TransportError {
    if error.is_timeout() { TransportError::TimedOut { sent: true } } else { TransportError::Lost(Loss::Body) }
}

/// The TLS half of a client.
pub(crate) fn tls_config(config: ClientConfig) -> Result<rustls::ClientConfig, rustls::Error> {
    let time = Arc::new(TlsTime(config.clock));
    let builder = rustls::ClientConfig::builder_with_details(provider(config.post_quantum), time)
        .with_protocol_versions(VERSIONS)?
        .with_root_certificates(config.roots.0);
    let mut tls = match config.identity {
        Some(identity) => builder.with_client_cert_resolver(identity.resolver()),
        None => builder.with_no_client_auth(),
    };
    if !config.resumption {
        tls.resumption = Resumption::disabled();
    }
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}
