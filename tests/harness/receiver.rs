//! A product's receiver of webhooks: it keeps what it is sent and answers as it is told to.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use net::serve::{ServeConfig, Serving, Transport, serve};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How it answers one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// A status.
    Status(u16),
    /// A status with `Retry-After`.
    Later(u16, String),
    /// 200, and then a gigabyte.
    Gigabyte,
    /// Nothing, for as long as the other side has patience.
    Stall,
    /// The connection breaks.
    Break,
}

/// What it was sent.
#[derive(Debug, Clone)]
pub struct Received {
    /// Header fields.
    pub headers: HeaderMap,
    /// The body, as it came.
    pub body: Bytes,
    /// How it was answered.
    pub manner: Manner,
}

impl Received {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("an event is JSON")
    }

    /// A header field.
    ///
    /// # Panics
    /// When it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_else(|| panic!("no {name}"))
    }

    /// Number in the stream of the endpoint.
    ///
    /// # Panics
    /// When it has none.
    pub fn seq(&self) -> i64 {
        self.json()["seq"].as_i64().expect("a number")
    }

    /// Whether it was answered as taken.
    pub fn taken(&self) -> bool {
        matches!(self.manner, Manner::Status(200..=299) | Manner::Gigabyte)
    }
}

#[derive(Default)]
struct Script {
    manners: Mutex<VecDeque<Manner>>,
    received: watch::Sender<Vec<Received>>,
    poured: Arc<AtomicU64>,
}

/// A receiver on loopback, over plain http.
pub struct Receiver {
    address: SocketAddr,
    script: Arc<Script>,
    stop: CancellationToken,
    serving: Serving,
}

impl Receiver {
    /// Starts one that takes everything.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let script = Arc::new(Script::default());
        let router = Router::new().fallback(receive).with_state(script.clone());
        let stop = CancellationToken::new();
        let serving = serve(listener, ServeConfig::new(Transport::Plain), router, stop.clone()).expect("a listener");
        Self { address: serving.address, script, stop, serving }
    }

    /// Its address, under a path that says who is meant.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// How it answers the next requests, in order; after them it takes everything again.
    pub fn answers(&self, manners: impl IntoIterator<Item = Manner>) {
        self.script.manners.lock().unwrap_or_else(PoisonError::into_inner).extend(manners);
    }

    /// It takes everything from now on, whatever it was told before.
    pub fn forgets(&self) {
        self.script.manners.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Everything that it was sent.
    pub fn received(&self) -> Vec<Received> {
        self.script.received.borrow().clone()
    }

    /// What it took, in order.
    pub fn taken(&self) -> Vec<Received> {
        self.received().into_iter().filter(Received::taken).collect()
    }

    /// Waits until it was sent so much.
    ///
    /// # Panics
    /// When that takes longer than a minute and a half.
    pub async fn until(&self, many: usize) {
        let mut seen = self.script.received.subscribe();
        let enough = seen.wait_for(|received| received.len() >= many);
        let waited = tokio::time::timeout(std::time::Duration::from_secs(90), enough).await;
        assert!(waited.is_ok(), "{many} deliveries did not come");
    }

    /// Bytes of the gigabytes that anybody let it pour.
    pub fn poured(&self) -> u64 {
        self.script.poured.load(Ordering::SeqCst)
    }

    /// Stops it.
    pub async fn end(self) {
        self.stop.cancel();
        self.serving.finished().await;
    }
}

async fn receive(State(script): State<Arc<Script>>, headers: HeaderMap, body: Bytes) -> Response {
    let next = script.manners.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let manner = next.unwrap_or(Manner::Status(200));
    script.received.send_modify(|all| all.push(Received { headers, body, manner: manner.clone() }));
    let answer = |status: u16| Response::builder().status(StatusCode::from_u16(status).expect("a status"));
    let response = match manner {
        Manner::Status(status) => answer(status).body(Body::empty()),
        Manner::Later(status, after) => answer(status).header("retry-after", after).body(Body::empty()),
        Manner::Gigabyte => answer(200).body(Body::new(Gigabyte { left: 1 << 30, poured: script.poured.clone() })),
        Manner::Stall => std::future::pending().await,
        // Ends the connection's task, and with it the connection.
        Manner::Break => std::panic::resume_unwind(Box::new("on purpose")),
    };
    response.expect("an answer")
}

/// A body of a gigabyte that counts what was taken of it.
struct Gigabyte {
    left: u64,
    poured: Arc<AtomicU64>,
}

impl hyper::body::Body for Gigabyte {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        const CHUNK: Bytes = Bytes::from_static(&[0; 65_536]);
        let Some(left) = self.left.checked_sub(CHUNK.len() as u64) else { return Poll::Ready(None) };
        self.left = left;
        self.poured.fetch_add(CHUNK.len() as u64, Ordering::SeqCst);
        Poll::Ready(Some(Ok(hyper::body::Frame::data(CHUNK))))
    }
}
