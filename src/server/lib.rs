//! The application: products' API, people's pages, the services behind both, and the reconcilers that keep promises.
//!
//! Everything meets here: a request or a piece of work loads a state, asks the pure crates what follows, writes it in one
//! transaction with its evidence, and lets effects happen after the commit. This crate must never know SQL (that is
//! `store`), a bank's name (that is a profile) or the simulated banks.

pub mod access;
pub mod api;
pub mod app;
pub mod bank_calls;
pub mod config;
pub mod connections;
mod console;
pub mod database;
pub mod doctor;
mod evidence_copy;
pub mod evidence_log;
pub mod fault;
mod gocardless;
mod hardware;
pub mod keys;
mod kms;
mod operations;
pub mod pages;
pub mod peer;
pub mod problem;
pub mod rate;
pub mod reconcile;
pub mod rule_set;
pub mod services;
pub mod setup;
pub mod tokens;
mod trace;
pub mod watch;
mod web;

use std::io::{Error as IoError, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anyhow::Context as _;
use axum::body::{Body, HttpBody as _};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_request};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Router};
use domain::limits;
use domain::policy::Regime;
use domain::world::{Clock, World};
use futures_util::{StreamExt as _, stream};
use net::TransportIdentity;
use net::serve::{ClientCertificates, ServeConfig, Serving, Transport};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

pub use app::App;
use database::Database;
use problem::ApiError;
use vault::SystemEntropy;

/// A server at work.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    stop: CancellationToken,
    serving: Serving,
    background: JoinHandle<()>,
}

impl Running {
    /// Stops: no new connections, requests and work under way come to their end.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.serving.finished().await;
        if self.background.await.is_err() {
            tracing::error!("the background work ended by a panic");
        }
    }
}

/// Starts API, pages and reconcilers.
///
/// # Errors
/// The address is taken, or the TLS files cannot be used.
pub async fn start(app: Arc<App>) -> anyhow::Result<Running> {
    evidence_log::check_continuity(&app, app.tenant.id).await?;
    evidence_copy::export(&app, app.tenant.id).await?;
    setup::publish_registrations(&app).await?;
    services::rotation::look(&app).await?;
    let listen = &app.config.listen;
    let listener =
        TcpListener::bind(listen.address).await.with_context(|| format!("cannot listen on {}", listen.address))?;
    let transport = match &listen.tls {
        None => Transport::Plain,
        Some(tls) => {
            let read = |path: &std::path::Path| std::fs::read(path).with_context(|| path.display().to_string());
            Transport::Tls {
                identity: TransportIdentity::from_pem(&read(&tls.certificate)?, &read(&tls.key)?)?,
                clients: ClientCertificates::None,
                clock: app.clock.clone(),
            }
        }
    };
    let stop = CancellationToken::new();
    let router = router(app.clone()).layer(Extension(api::event_stream::Closing(stop.clone())));
    let serving = net::serve::serve(listener, ServeConfig::new(transport), router, stop.clone())?;
    let background = tokio::spawn(reconcile::run(app, stop.clone()));
    Ok(Running { address: serving.address, stop, serving, background })
}

/// Opens what the settings name, serves until `stop` is done, and closes everything in order.
///
/// # Errors
/// Says which setting, file or service cannot be used.
pub async fn serve(
    config: config::Config,
    clock: Arc<dyn Clock>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (database, app) = open(config, clock).await?;
    let running = start(app).await?;
    tracing::info!(address = %running.address, "serving");
    stop.await;
    tracing::info!("shutting down");
    running.shutdown().await;
    database.close().await
}

/// Opens what the settings name, without serving.
///
/// # Errors
/// Says which setting, file or service cannot be used.
pub async fn open(config: config::Config, clock: Arc<dyn Clock>) -> anyhow::Result<(Database, Arc<App>)> {
    let database = Database::open(&config).await?;
    let world = World { now: clock.now(), entropy: &SystemEntropy };
    let regime = Regime::parse(&config.tenant.regime).context("tenant.regime")?;
    let tenant = setup::ensure_tenant(&database.store, &world, &config.tenant.name, regime).await?;
    let app = App::new(config, database.store.clone(), clock, tenant)?;
    Ok((database, Arc::new(app)))
}

/// Every route.
pub fn router(app: Arc<App>) -> Router {
    guarded(
        Router::new()
            .merge(api::router())
            .merge(gocardless::router())
            .merge(web::router(&app))
            .merge(if app.staff_provider.is_some() { console::router() } else { Router::new() })
            .merge(operations::router())
            .fallback(nowhere),
        app,
    )
}

/// Puts around routes what holds for all of them: limits, words for every failure, headers.
fn guarded(routes: Router<Arc<App>>, app: Arc<App>) -> Router {
    let secure = |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    routes
        .layer(DefaultBodyLimit::max(limits::REQUEST_BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            Duration::from_secs(4 * limits::BANK_CALL_SECONDS_MAX),
        ))
        .layer(map_request(hurried))
        .layer(CatchPanicLayer::new())
        .layer(from_fn(rate::told))
        .layer(from_fn_with_state(app.clone(), worded))
        .layer(from_fn_with_state(app.clone(), watch::seen))
        .layer(from_fn_with_state(app.clone(), operations::answered))
        .layer(from_fn_with_state(app.clone(), trace::named))
        .layer(secure(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(secure(header::REFERRER_POLICY, "no-referrer"))
        .layer(secure(header::CACHE_CONTROL, "no-store"))
        .with_state(app)
}

/// Bounds the time in which a body comes, however evenly it drips: what is not whole by then cannot be read, and the
/// connection is let go.
async fn hurried(request: Request) -> Request {
    if request.body().is_end_stream() {
        return request;
    }
    request.map(|body| {
        let mut late = Box::pin(tokio::time::sleep(Duration::from_secs(limits::BODY_READ_SECONDS_MAX)));
        let mut parts = body.into_data_stream();
        Body::from_stream(stream::poll_fn(move |context| match parts.poll_next_unpin(context) {
            Poll::Ready(part) => Poll::Ready(part),
            Poll::Pending => late.as_mut().poll(context).map(|()| {
                let error = IoError::from(ErrorKind::TimedOut);
                Some(Err(axum::Error::new(error)))
            }),
        }))
    })
}

/// Puts words to an answer that routing, a limit, a time-out or a panic left bare: a problem for programs, a page for
/// people.
async fn worded(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let readers = Readers::of(request.uri());
    let answer = next.run(request).await;
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_worded = match readers {
        Readers::Programs => kind.ends_with("json"),
        Readers::People => kind.ends_with("+json") || kind.starts_with("text/html"),
        Readers::GoCardlessClients => kind == "application/json",
    };
    if is_worded || !(status.is_client_error() || status.is_server_error()) {
        return answer;
    }
    let mut worded = match (readers, status) {
        (Readers::Programs, _) => ApiError::of(status).into_response(),
        (Readers::GoCardlessClients, _) => gocardless::Refusal::from(ApiError::of(status)).into_response(),
        (Readers::People, StatusCode::INTERNAL_SERVER_ERROR | StatusCode::GATEWAY_TIMEOUT) => {
            return web::broken(&app, status).await;
        }
        (Readers::People, _) => return answer,
    };
    let allowed = answer.headers().get(header::ALLOW).cloned();
    worded.headers_mut().extend(allowed.map(|methods| (header::ALLOW, methods)));
    worded
}

/// Whom an answer is for.
#[derive(Clone, Copy)]
enum Readers {
    /// Programs that know our interface.
    Programs,
    /// Programs that were written for another.
    GoCardlessClients,
    /// Everybody with a browser.
    People,
}

/// What addresses for programs begin with: products and banks.
const PROGRAMS: [&str; 4] = ["/v1/", "/oauth/", "/banks/", "/arrangements/"];

impl Readers {
    fn of(uri: &Uri) -> Self {
        match uri.path() {
            path if PROGRAMS.iter().any(|begin| path.starts_with(begin)) => Self::Programs,
            path if path.strip_prefix(gocardless::BASE).is_some_and(|rest| rest.starts_with('/')) => {
                Self::GoCardlessClients
            }
            _ => Self::People,
        }
    }
}

/// An address that nothing is behind: a problem for programs, a page for people.
async fn nowhere(State(app): State<Arc<App>>, uri: Uri) -> Response {
    match Readers::of(&uri) {
        Readers::Programs | Readers::GoCardlessClients => StatusCode::NOT_FOUND.into_response(),
        Readers::People => web::lost(app).await,
    }
}

/// The line that an offline verifier needs for this installation's evidence.
///
/// # Errors
/// The key provider's.
pub fn verifier_key(app: &App) -> anyhow::Result<String> {
    Ok(evidence_log::verifier_key(app, app.tenant.id)?)
}
