//! The application: products' API, people's pages, the services behind both, and the reconcilers that keep promises.
//!
//! Everything meets here: a request or a piece of work loads a state, asks the pure crates what follows, writes it in one
//! transaction with its evidence, and lets effects happen after the commit. This crate must never know SQL (that is
//! `store`), a bank's name (that is a profile) or the simulated banks.

pub mod api;
pub mod app;
pub mod bank_calls;
pub mod config;
pub mod connections;
pub mod database;
pub mod evidence_log;
pub mod fault;
pub mod keys;
mod operations;
pub mod pages;
pub mod problem;
pub mod reconcile;
pub mod services;
pub mod setup;
pub mod tokens;
mod web;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use domain::limits;
use domain::policy::Regime;
use domain::world::{Clock, World};
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
    setup::publish_registrations(&app).await?;
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
    let serving = net::serve::serve(listener, ServeConfig::new(transport), router(app.clone()), stop.clone())?;
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
    let database = Database::open(&config).await?;
    let world = World { now: clock.now(), entropy: &SystemEntropy };
    let regime = Regime::parse(&config.tenant.regime).context("tenant.regime")?;
    let tenant = setup::ensure_tenant(&database.store, &world, &config.tenant.name, regime).await?;
    let app = Arc::new(App::new(config, database.store.clone(), clock, tenant)?);
    let running = start(app).await?;
    tracing::info!(address = %running.address, "serving");
    stop.await;
    tracing::info!("shutting down");
    running.shutdown().await;
    database.close().await
}

/// Every route.
pub fn router(app: Arc<App>) -> Router {
    let secure = |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    Router::new()
        .merge(api::router())
        .merge(web::router())
        .merge(operations::router())
        .fallback(nowhere)
        .layer(DefaultBodyLimit::max(limits::REQUEST_BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            std::time::Duration::from_secs(4 * limits::BANK_CALL_SECONDS_MAX),
        ))
        .layer(CatchPanicLayer::new())
        .layer(secure(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(secure(header::REFERRER_POLICY, "no-referrer"))
        .layer(secure(header::CACHE_CONTROL, "no-store"))
        .with_state(app)
}

/// An address that nothing is behind: a problem for programs, a page for people.
async fn nowhere(State(app): State<Arc<App>>, uri: Uri) -> Response {
    if uri.path().starts_with("/v1/") { api::nowhere(uri).await.into_response() } else { web::lost(app).await }
}

/// The line that an offline verifier needs for this installation's evidence.
///
/// # Errors
/// The key provider's.
pub fn verifier_key(app: &App) -> anyhow::Result<String> {
    Ok(evidence_log::verifier_key(app, app.tenant.id)?)
}
