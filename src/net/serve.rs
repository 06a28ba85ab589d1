//! The listening side: an accept loop that knows client certificates, header timeouts and draining.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use axum::Router;
use axum::extract::ConnectInfo;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::limits;
use domain::world::Clock;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

use crate::tls::{Identity, Roots, TlsTime, VERSIONS, provider};

/// Connections that one listener holds at a time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 4096;
/// Pause after a failed accept (no file descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who may connect.
#[derive(Clone, Debug)]
pub enum ClientCertificates {
    /// Nobody is asked.
    None,
    /// A certificate below one of these roots is required; the handshake fails without.
    Required(Roots),
}

/// What connections look like.
#[derive(Clone)]
pub enum Transport {
    /// TCP without TLS. Only on a loopback address.
    Plain,
    /// TLS 1.2 or 1.3.
    Tls {
        /// The server's certificate and key.
        identity: Identity,
        /// Who may connect.
        clients: ClientCertificates,
        /// The time at which client certificates are judged.
        clock: Arc<dyn Clock>,
    },
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("Plain"),
            Self::Tls { clients, .. } => f.debug_struct("Tls").field("clients", clients).finish_non_exhaustive(),
        }
    }
}

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// Plain or TLS.
    pub transport: Transport,
    /// Time for a handshake, and for a client to send its request headers.
    pub header_timeout: Duration,
    /// Time that running requests get after the shutdown began.
    pub drain: Duration,
}

impl ServeConfig {
    /// The usual times with a transport.
    pub const fn new(transport: Transport) -> Self {
        Self {
            transport,
            header_timeout: Duration::from_secs(limits::HEADER_READ_SECONDS_MAX),
            drain: Duration::from_secs(limits::BANK_CALL_SECONDS_MAX),
        }
    }
}

/// Why serving could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener's address is unknown.
    #[error("the listener has no address")]
    Listener(#[source] std::io::Error),
    /// Plain TCP was asked for on an address that others can reach.
    #[error("plain TCP is only served on a loopback address")]
    PlainBeyondLoopback,
    /// The TLS settings cannot be used.
    #[error("the TLS settings cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The client roots cannot be used.
    #[error("the roots for client certificates cannot be used")]
    Roots,
}

/// The certificate of the client at the other end, as a request extension. The handshake has proven possession of its
/// key and its place under the configured roots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// The subject as RFC 4514 text: last RDN first; types beyond the RFC's own table as dotted OIDs with `#hex` values.
    pub subject: String,
    /// `x5t#S256` of RFC 8705 §3.1: base64url of the SHA-256 of the DER.
    pub thumbprint: String,
}

impl PeerCertificate {
    /// Reads a certificate. `None` when it is not one.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let thumbprint = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, der));
        Some(Self { der: der.to_vec(), subject: rfc4514(certificate.subject()), thumbprint })
    }
}

/// A running listener.
#[derive(Debug)]
pub struct Serving {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Serving {
    /// Waits until the listener has stopped and its connections are drained.
    pub async fn finished(self) {
        // The task is never aborted and a panic of it has been reported by the runtime.
        let _ = self.task.await;
    }
}

/// Serves a router on a bound listener until `shutdown` is cancelled; then stops accepting, lets running requests finish
/// for `drain`, and drops the rest. Requests carry `ConnectInfo<SocketAddr>` and, where the client showed one,
/// [`PeerCertificate`] as extensions.
///
/// # Errors
/// When the settings cannot be used; accepting itself does not fail.
pub fn serve(
    listener: TcpListener,
    config: ServeConfig,
    router: Router,
    shutdown: CancellationToken,
) -> Result<Serving, ServeError> {
    let address = listener.local_addr().map_err(ServeError::Listener)?;
    let acceptor = acceptor(config.transport, address)?;
    let door = Arc::new(Door { acceptor, router, header_timeout: config.header_timeout });
    let task = tokio::spawn(accept(listener, door, config.drain, shutdown));
    Ok(Serving { address, task })
}

fn acceptor(transport: Transport, address: SocketAddr) -> Result<Option<TlsAcceptor>, ServeError> {
    let (identity, clients, clock) = match transport {
        Transport::Plain if address.ip().is_loopback() => return Ok(None),
        Transport::Plain => return Err(ServeError::PlainBeyondLoopback),
        Transport::Tls { identity, clients, clock } => (identity, clients, clock),
    };
    let provider = provider(true);
    let builder = rustls::ServerConfig::builder_with_details(provider.clone(), Arc::new(TlsTime(clock)))
        .with_protocol_versions(VERSIONS)?;
    let builder = match clients {
        ClientCertificates::None => builder.with_no_client_auth(),
        ClientCertificates::Required(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.0, provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|_| ServeError::Roots)?)
        }
    };
    let mut tls = builder.with_cert_resolver(identity.resolver());
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(tls))))
}

/// What every connection needs.
struct Door {
    acceptor: Option<TlsAcceptor>,
    router: Router,
    header_timeout: Duration,
}

async fn accept(listener: TcpListener, door: Arc<Door>, drain: Duration, shutdown: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // Finished tasks are taken off as they end; the guard keeps an empty set from answering at once.
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            _ = connections.join_next(), if !connections.is_empty() => continue,
            accepted = next_connection(&listener, &places) => accepted,
        };
        let Some((stream, remote, place)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (door, watcher) = (Arc::clone(&door), graceful.watcher());
        connections.spawn(async move {
            door.admit(stream, remote, watcher).await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections were cut after the drain time");
    }
    connections.shutdown().await;
}

/// The next connection and its place; `None` when the system could not give one.
async fn next_connection(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    let (stream, remote) = listener.accept().await.ok()?;
    Some((stream, remote, place))
}

impl Door {
    /// One connection: handshake if there is one to do, then requests until either side has had enough.
    async fn admit(&self, stream: TcpStream, remote: SocketAddr, watcher: Watcher) {
        // A latency setting; where the system refuses it the connection works all the same.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = &self.acceptor else {
            return self.converse(stream, remote, None, false, watcher).await;
        };
        let stream = match tokio::time::timeout(self.header_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::info!(%error, "handshake refused"),
            Err(_) => return tracing::info!("handshake timed out"),
        };
        let connection = stream.get_ref().1;
        let h2 = connection.alpn_protocol() == Some(b"h2");
        let leaf = connection.peer_certificates().and_then(<[_]>::first);
        let peer = match leaf {
            None => None,
            Some(leaf) => match PeerCertificate::from_der(leaf) {
                Some(peer) => Some(peer),
                None => return tracing::info!("a client certificate could not be read"),
            },
        };
        self.converse(stream, remote, peer, h2, watcher).await;
    }

    /// The version is known from ALPN, so no bytes are awaited to guess it.
    async fn converse<S>(
        &self,
        stream: S,
        remote: SocketAddr,
        peer: Option<PeerCertificate>,
        h2: bool,
        watcher: Watcher,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(remote));
            if let Some(peer) = &peer {
                request.extensions_mut().insert(peer.clone());
            }
            let answer = self.router.clone().oneshot(request);
            async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
        });
        let builder = auto::Builder::new(TokioExecutor::new());
        let mut builder = if h2 { builder.http2_only() } else { builder.http1_only() };
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.header_timeout);
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(self.header_timeout));
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "connection ended early");
        }
    }
}

/// A name as RFC 4514 text, §2.1 to §2.4.
fn rfc4514(name: &X509Name<'_>) -> String {
    let mut rdns: Vec<String> =
        name.iter_rdn().map(|rdn| rdn.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    rdns.reverse();
    rdns.join(",")
}

fn attribute(attribute: &x509_parser::x509::AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let short = SHORT_NAMES.iter().find(|(known, _)| *known == oid);
    match (short, attribute.as_str()) {
        (Some((_, short)), Ok(value)) => format!("{short}={}", escaped(value)),
        _ => {
            // §2.4: a type without short name shows the BER encoding of its value; lengths here are the DER ones.
            let value = attribute.attr_value();
            let tag = u8::try_from(value.tag().0).unwrap_or_default();
            let encoded = crate::qc::tlv(tag, value.data);
            let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{oid}=#{hex}")
        }
    }
}

/// The table of RFC 4514 §3.
const SHORT_NAMES: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

/// §2.4: the characters with a meaning, a leading blank or number sign, and a trailing blank.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut out = String::with_capacity(value.len());
    for (at, c) in value.chars().enumerate() {
        let special = matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\');
        let edge = (c == ' ' && (at == 0 || at == last)) || (c == '#' && at == 0);
        if c == '\0' {
            out.push_str("\\00");
            continue;
        }
        if special || edge {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc4514_escapes_what_has_a_meaning() {
        for (value, shown) in [
            ("Example AISP", "Example AISP"),
            ("James \"Jim\" Smith, III", "James \\\"Jim\\\" Smith\\, III"),
            (" #x ", "\\ #x\\ "),
            ("#x", "\\#x"),
            ("a+b<c>\\;", "a\\+b\\<c\\>\\\\\\;"),
        ] {
            assert_eq!(escaped(value), shown);
        }
    }
}
