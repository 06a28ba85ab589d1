//! The application on a socket, and a program that calls its API.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use domain::ids::ConsentId;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, StatusCode};
use net::pki::Pki;
use net::serve::{ServeConfig, Serving, Transport, serve};
use net::{ClientConfig, Egress, Limits, Roots};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use server::App;
use server::services::fetch;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::world::{BANK, CUSTOMER, TestClock, World};

/// Every route, and no background work: nothing happens but what a request does.
pub struct Site {
    base: String,
    stop: CancellationToken,
    serving: Serving,
}

impl Site {
    /// Serves an application on a free port.
    pub async fn start(app: Arc<App>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let stop = CancellationToken::new();
        let router = server::router(app);
        let serving = serve(listener, ServeConfig::new(Transport::Plain), router, stop.clone()).expect("a listener");
        Self { base: format!("http://{}", serving.address), stop, serving }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// A program that calls it, with a key or without.
    pub fn caller(&self, world: &World, key: Option<&SecretString>) -> Caller {
        Caller::new(world, &self.base, key)
    }

    /// The same with a time and an authority of its own.
    pub fn caller_at(&self, clock: &Arc<TestClock>, pki: &Pki, key: Option<&SecretString>) -> Caller {
        Caller::made(clock, pki, &self.base, key)
    }

    /// Stops it.
    pub async fn end(self) {
        self.stop.cancel();
        self.serving.finished().await;
    }
}

/// A program that calls the API.
pub struct Caller {
    http: net::Client,
    base: String,
    key: Option<SecretString>,
}

impl Caller {
    /// A program that calls an application of this world under `base`, with a key or without.
    pub fn new(world: &World, base: &str, key: Option<&SecretString>) -> Self {
        Self::made(&world.clock, &world.pki, base, key)
    }

    fn made(clock: &Arc<TestClock>, pki: &Pki, base: &str, key: Option<&SecretString>) -> Self {
        let config = ClientConfig {
            identity: None,
            roots: Roots::from_pem(pki.ca_pem.as_bytes()).expect("roots"),
            egress: Egress::plain_loopback(),
            limits: Limits::BANK,
            post_quantum: false,
            resumption: false,
            clock: clock.clone(),
        };
        let http = net::Client::new(config).expect("a client");
        Self { http, base: base.to_owned(), key: key.cloned() }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    /// `POST` of a JSON value.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[], body.to_string().into()).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], Bytes::new()).await
    }

    /// Any request. A body is JSON unless the headers say otherwise.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, format!("Bearer {}", key.expose_secret()));
        }
        if !body.is_empty() && headers.iter().all(|(name, _)| *name != CONTENT_TYPE.as_str()) {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(body).expect("a request");
        let (parts, body) = self.http.send(request).await.expect("an answer").into_parts();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

/// What it was answered.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connected customer, `user-1` to the product that asked, whose data are there.
///
/// # Panics
/// When the way is not a happy one.
pub async fn connected(world: &World, product: &Caller) -> ConsentId {
    let ask = json!({ "psu_ref": "user-1", "institution_id": BANK, "purposes": ["budgeting"] });
    let created = product.post("/v1/consents", &ask).await.json();
    let consent = created["id"].as_str().and_then(|id| id.parse().ok()).expect("a consent");
    world.authorise(consent, CUSTOMER).await;
    fetch::run(&world.app, world.about(consent)).await.expect("a fetch");
    consent
}
