//! Both sides against each other over real sockets on loopback.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::world::Clock;
use jiff::Timestamp;
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::client::tls_config;
use crate::pki::{Pki, PkiRequest, generate};
use crate::serve::{ClientCertificates, PeerCertificate, ServeConfig, ServeError, Serving, Transport, serve};
use crate::{Client, ClientConfig, Egress, Limits, Loss, Psd2Role, TransportError, Unsent};

/// 64 KiB of zeros, compressed.
const ZEROS_GZIP: &str = "H4sIAAAAAAACA+3BAQEAAACAkP6v7ggKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAauuOl9cAAAEA";

const NOW: &str = "2026-11-21T12:00:00Z";

struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn at(text: &str) -> Arc<dyn Clock> {
    Arc::new(At(text.parse().unwrap()))
}

fn pki_for(names: &[&str]) -> Pki {
    generate(&PkiRequest {
        server_names: names.iter().map(|name| (*name).to_owned()).collect(),
        organization: "Example AISP, Ltd".to_owned(),
        organization_identifier: "PSDDE-BAFIN-999999".to_owned(),
        country: "DE".to_owned(),
        domain: "tpp.example".to_owned(),
        nca_name: "Federal Financial Supervisory Authority".to_owned(),
        nca_id: "DE-BAFIN".to_owned(),
        roles: vec![Psd2Role::PspAi],
        now: NOW.parse().unwrap(),
    })
    .unwrap()
}

fn pki() -> Pki {
    pki_for(&["localhost", "127.0.0.1", "::1"])
}

async fn serve_tls(pki: &Pki, router: Router) -> (Serving, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shutdown = CancellationToken::new();
    let transport = Transport::Tls {
        identity: pki.server.identity().unwrap(),
        clients: ClientCertificates::Required(pki.roots().unwrap()),
        clock: at(NOW),
    };
    (serve(listener, ServeConfig::new(transport), router, shutdown.clone()).unwrap(), shutdown)
}

fn settings(pki: &Pki) -> ClientConfig {
    ClientConfig {
        identity: Some(pki.qwac.identity().unwrap()),
        roots: pki.roots().unwrap(),
        egress: Egress::loopback_allowed(),
        limits: Limits::AUTH,
        post_quantum: true,
        resumption: true,
        clock: at(NOW),
    }
}

fn to(address: SocketAddr, path: &str) -> http::Request<Bytes> {
    http::Request::get(format!("https://{address}{path}")).body(Bytes::new()).unwrap()
}

async fn whoami(Extension(peer): Extension<PeerCertificate>) -> String {
    format!("{}|{}", peer.thumbprint, peer.subject)
}

#[test]
fn a_seal_is_named_by_its_serial_number_and_its_issuer() {
    let name = pki().qsealc.identity().unwrap().seal_name().unwrap();
    let (serial, issuer) = name.strip_prefix("SN=").unwrap().split_once(",CA=").unwrap();
    assert!(serial.len() >= 2 && serial.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
    assert_eq!(issuer, "CN=Throw-away CA (trusted by nobody)");
}

#[tokio::test]
async fn the_server_sees_the_certificate_that_was_shown() {
    let pki = pki();
    let (serving, _running) = serve_tls(&pki, Router::new().route("/", get(whoami))).await;
    for post_quantum in [true, false] {
        let client = Client::new(ClientConfig { post_quantum, resumption: false, ..settings(&pki) }).unwrap();
        let answer = client.send(to(serving.address, "/")).await.unwrap();
        let expected = pki.qwac.as_peer().unwrap();
        assert_eq!(answer.body(), &format!("{}|{}", expected.thumbprint, expected.subject));
    }
    let subject = pki.qwac.as_peer().unwrap().subject;
    // UTF8String of eighteen bytes, as RFC 4514 §2.4 shows a type without a short name.
    assert_eq!(subject, "CN=tpp.example,2.5.4.97=#0c1250534444452d424146494e2d393939393939,O=Example AISP\\, Ltd,C=DE");
}

#[tokio::test]
async fn a_client_without_an_accepted_certificate_is_told_to_look_at_it() {
    let pki = pki();
    let stranger = self::pki();
    let (serving, _running) = serve_tls(&pki, Router::new().route("/", get(whoami))).await;
    for identity in [None, Some(stranger.qwac.identity().unwrap())] {
        let shown = identity.is_some();
        let client = Client::new(ClientConfig { identity, ..settings(&pki) }).unwrap();
        let error = client.send(to(serving.address, "/")).await.unwrap_err();
        let told = [
            TransportError::NotSent(Unsent::ClientCertificate),
            TransportError::Lost(if shown { Loss::AfterHandshake } else { Loss::Connection }),
        ];
        assert!(told.contains(&error), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_the_one_we_meant_gets_no_request() {
    let pki = pki();
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    let router = Router::new().fallback(move || async move {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let (serving, _running) = serve_tls(&pki, router.clone()).await;
    let named = pki_for(&["other.example"]);
    let (elsewhere, _running_too) = serve_tls(&named, router).await;

    let stranger = self::pki();
    let cases = [
        (
            ClientConfig { roots: stranger.roots().unwrap(), ..settings(&pki) },
            serving.address,
            "tls.certificate.untrusted",
        ),
        (
            ClientConfig { clock: at("2028-06-01T00:00:00Z"), ..settings(&pki) },
            serving.address,
            "tls.certificate.expired",
        ),
        (
            ClientConfig { clock: at("2026-11-01T00:00:00Z"), ..settings(&pki) },
            serving.address,
            "tls.certificate.expired",
        ),
        (settings(&named), elsewhere.address, "tls.certificate.mismatch"),
    ];
    for (config, address, code) in cases {
        let error = Client::new(config).unwrap().send(to(address, "/")).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.is_safe_to_repeat());
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0);
}

/// Two connections of one client, one after the other: how each began, and by which version of TLS.
async fn begun_twice(pki: &Pki, address: SocketAddr, resumption: bool) -> Vec<(HandshakeKind, ProtocolVersion)> {
    let mut tls = tls_config(ClientConfig { resumption, ..settings(pki) }).unwrap();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connector = TlsConnector::from(Arc::new(tls));
    let mut begun = Vec::new();
    for _ in 0..2 {
        let tcp = TcpStream::connect(address).await.unwrap();
        let mut stream = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        // Tickets come behind the handshake, with the answer.
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        let (_, session) = stream.get_ref();
        begun.push((session.handshake_kind().unwrap(), session.protocol_version().unwrap()));
    }
    begun
}

#[tokio::test]
async fn a_session_is_resumed_only_where_it_may_be_and_speaks_the_newest_version() {
    let pki = pki();
    let (serving, _running) = serve_tls(&pki, Router::new().route("/", get(whoami))).await;
    let full = (HandshakeKind::Full, ProtocolVersion::TLSv1_3);
    assert_eq!(begun_twice(&pki, serving.address, false).await, [full, full]);
    let resumed = (HandshakeKind::Resumed, ProtocolVersion::TLSv1_3);
    assert_eq!(begun_twice(&pki, serving.address, true).await, [full, resumed]);
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_after_it_was_resolved() {
    let pki = pki();
    let (serving, _running) = serve_tls(&pki, Router::new().route("/", get(whoami))).await;
    let port = serving.address.port();
    let inside = Client::new(ClientConfig { egress: Egress::public(), ..settings(&pki) }).unwrap();
    for host in ["localhost", "127.0.0.1", "127.1", "[::1]"] {
        let request = http::Request::get(format!("https://{host}:{port}/")).body(Bytes::new()).unwrap();
        assert_eq!(inside.send(request).await.unwrap_err(), TransportError::NotSent(Unsent::Egress), "{host}");
    }
    let request = http::Request::get(format!("http://localhost:{port}/")).body(Bytes::new()).unwrap();
    let loopback = Client::new(settings(&pki)).unwrap();
    assert_eq!(loopback.send(request).await.unwrap_err(), TransportError::NotSent(Unsent::Egress));
}

#[tokio::test]
async fn plain_http_reaches_this_machine_where_it_was_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(|| async { "at home" }));
    let running = CancellationToken::new();
    let _serving = serve(listener, ServeConfig::new(Transport::Plain), router, running.clone()).unwrap();
    let pki = pki();
    let plain = Client::new(ClientConfig { egress: Egress::plain_loopback(), ..settings(&pki) }).unwrap();
    let request = http::Request::get(format!("http://{address}/")).body(Bytes::new()).unwrap();
    assert_eq!(plain.send(request).await.unwrap().body(), "at home");
}

#[tokio::test]
async fn an_answer_may_not_outgrow_its_limit_not_even_by_decompression() {
    let pki = pki();
    let zeros = STANDARD.decode(ZEROS_GZIP).unwrap();
    let router = Router::new()
        .route("/gzip", get(move || async move { ([(http::header::CONTENT_ENCODING, "gzip")], zeros) }))
        .route("/plain", get(|| async { vec![0_u8; 65_536] }));
    let (serving, _running) = serve_tls(&pki, router).await;
    for (limit, fits) in [(65_536, true), (65_535, false)] {
        let limits = Limits { body_bytes_max: limit, ..Limits::AUTH };
        let client = Client::new(ClientConfig { limits, ..settings(&pki) }).unwrap();
        for path in ["/gzip", "/plain"] {
            let outcome = client.send(to(serving.address, path)).await.map(|answer| answer.body().len());
            assert_eq!(outcome, if fits { Ok(65_536) } else { Err(TransportError::TooLarge { limit }) }, "{path}");
        }
    }
}

#[tokio::test]
async fn whoever_is_only_told_something_gets_no_memory_of_ours() {
    let pki = pki();
    let endless = || async { axum::body::Body::new(Endless) };
    let router = Router::new().route("/", axum::routing::post(endless));
    let (serving, _running) = serve_tls(&pki, router).await;
    let limits = Limits { total: Duration::from_secs(5), ..Limits::NOTIFY };
    let client = Client::new(ClientConfig { limits, ..settings(&pki) }).unwrap();
    let request = || http::Request::post(format!("https://{}/", serving.address)).body(Bytes::from("{}")).unwrap();
    let (_, head) = client.notify(request()).await;
    assert_eq!(head.unwrap().status, http::StatusCode::OK);
    assert_eq!(client.send(request()).await.unwrap_err(), TransportError::TooLarge { limit: 0 });
}

/// An answer without an end.
struct Endless;

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(&[0; 65_536])))))
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let pki = pki();
    let router = Router::new().route("/", get(|| async { axum::response::Redirect::temporary("/elsewhere") }));
    let (serving, _running) = serve_tls(&pki, router).await;
    let answer = Client::new(settings(&pki)).unwrap().send(to(serving.address, "/")).await.unwrap();
    assert_eq!(answer.status(), http::StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(answer.headers()[http::header::LOCATION], "/elsewhere");
}

#[tokio::test]
async fn a_broken_connection_is_reported_once_and_never_retried() {
    let pki = pki();
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    let broken = move || async move {
        // Ends the connection's task: the client sees the stream go away.
        assert_eq!(counted.fetch_add(1, Ordering::SeqCst), usize::MAX, "on purpose");
    };
    let router = Router::new().route("/", get(whoami)).route("/broken", get(broken));
    let (serving, _running) = serve_tls(&pki, router).await;
    let client = Client::new(settings(&pki)).unwrap();
    let first = client.send(to(serving.address, "/broken")).await.unwrap_err();
    assert_eq!(first, TransportError::Lost(Loss::AfterHandshake));
    client.send(to(serving.address, "/")).await.unwrap();
    let later = client.send(to(serving.address, "/broken")).await.unwrap_err();
    assert_eq!(later, TransportError::Lost(Loss::Connection));
    assert!(!later.is_safe_to_repeat());
    assert_eq!(hits.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn time_runs_out_before_or_after_sending() {
    let pki = pki();
    let (serving, _running) = serve_tls(&pki, Router::new().route("/", get(std::future::pending::<()>))).await;
    let limits = Limits { total: Duration::from_millis(300), ..Limits::AUTH };
    let client = Client::new(ClientConfig { limits, ..settings(&pki) }).unwrap();
    assert_eq!(client.send(to(serving.address, "/")).await.unwrap_err(), TransportError::TimedOut { sent: true });

    // A listener that accepts and never shakes hands.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limits = Limits { connect: Duration::from_millis(100), ..Limits::AUTH };
    let client = Client::new(ClientConfig { limits, ..settings(&pki) }).unwrap();
    let error = client.send(to(mute.local_addr().unwrap(), "/")).await.unwrap_err();
    assert_eq!(error, TransportError::TimedOut { sent: false });
}

#[tokio::test]
async fn nobody_listening_is_not_sent() {
    let pki = pki();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let error = Client::new(settings(&pki)).unwrap().send(to(address, "/")).await.unwrap_err();
    assert_eq!(error, TransportError::NotSent(Unsent::Connect));
}

#[tokio::test]
async fn a_running_request_ends_before_the_listener_does() {
    let pki = pki();
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (entering, released) = (Arc::clone(&entered), Arc::clone(&release));
    let slow = move || async move {
        entering.notify_one();
        released.notified().await;
        "done"
    };
    let (serving, shutdown) = serve_tls(&pki, Router::new().route("/", get(slow))).await;
    let client = Client::new(settings(&pki)).unwrap();
    let address = serving.address;
    let running = tokio::spawn(async move { client.send(to(address, "/")).await });
    entered.notified().await;
    shutdown.cancel();
    release.notify_one();
    assert_eq!(running.await.unwrap().unwrap().body(), "done");
    serving.finished().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn headers_that_dribble_in_are_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = ServeConfig { header_timeout: Duration::from_millis(100), ..ServeConfig::new(Transport::Plain) };
    let serving = serve(listener, config, Router::new(), CancellationToken::new()).unwrap();
    for beginning in ["", "GET / HTTP/1.1\r\nHost: "] {
        let mut stream = TcpStream::connect(serving.address).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{beginning:?}");
    }
}

#[tokio::test]
async fn plain_tcp_stays_at_home() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = serve(listener, ServeConfig::new(Transport::Plain), Router::new(), CancellationToken::new());
    assert!(matches!(refused, Err(ServeError::PlainBeyondLoopback)));
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_tells_the_call_and_nothing_that_it_carried() {
    let pki = pki();
    let (serving, _running) = serve_tls(&pki, Router::new().fallback(|| async { "canary-body" })).await;
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let client = Client::new(settings(&pki)).unwrap();
    let inside = Client::new(ClientConfig { egress: Egress::public(), ..settings(&pki) }).unwrap();
    // A test beside this one may reach the same line for the first time at this moment and note that nobody listens: then
    // everybody is asked once more.
    let (mut text, mut error) = (String::new(), None);
    for _ in 0..20 {
        for path in ["/canary-path?token=canary-query", "/canary path"] {
            let Ok(request) = http::Request::post(format!("https://{}{path}", serving.address))
                .header("authorization", "Bearer canary-header")
                .body(Bytes::from_static(b"canary-sent"))
            else {
                continue;
            };
            client.send(request).await.unwrap();
        }
        error = Some(inside.send(to(serving.address, "/canary-path")).await.unwrap_err());
        text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        if text.contains("POST") && text.contains("egress.refused") {
            break;
        }
        tracing::callsite::rebuild_interest_cache();
    }
    let error = error.unwrap();
    assert!(text.contains("POST") && text.contains("127.0.0.1") && text.contains("200"), "{text}");
    assert!(text.contains("egress.refused"), "{text}");
    assert!(!text.contains("canary"), "{text}");
    assert!(!format!("{error} {error:?} {client:?}").contains("canary"));
}
