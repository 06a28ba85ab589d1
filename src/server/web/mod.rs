//! The routes of the pages: what a person's browser asks for, from the link to the overview, and the way back from a
//! bank.
//!
//! A handler reads the request, calls a service and chooses a page. This module must never decide what a consent may
//! do, never answer with anything but a page, and never put a token, a code or a query into a log line or an address
//! of its own.

mod accounts;
mod bank;
mod callback;
mod consent;
mod done;
pub(crate) mod form;
pub(crate) mod headers;
mod language;
mod link;
mod my;
mod renew;
pub(crate) mod reply;
mod scene;
pub(crate) mod session;
#[cfg(test)]
pub(crate) mod tests;
mod theme;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::limits;

use crate::app::App;
use crate::pages::view::Outcome;

/// Where a journey stands now; leads on to the page that fits.
const HERE: &str = "/link/done";
/// Below it, how a visit ended at a callback, for the browser that began it.
const RETURNED: &str = "/link/returned";
/// The same for any other.
const STRAYED: &str = "/returned";
/// What a person shares.
const OVERVIEW: &str = "/my";
/// `Refresh` of a page that waits for work of ours: seconds after which it looks again.
const LOOK_AGAIN: HeaderValue = HeaderValue::from_static("2");
/// The same of a page that waits for its person to act elsewhere.
const LOOK_SOON: HeaderValue = HeaderValue::from_static("5");

/// Every route that a person's browser asks for.
pub(crate) fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let here = || async { reply::see_other(HERE) };
    let overview = || async { reply::see_other(OVERVIEW) };
    Router::new()
        .route("/", get(|| async { reply::see_other("/docs") }))
        .route("/link/{token}", get(link::landing).post(link::begin))
        .route("/link/bank", get(bank::picker).post(bank::choose))
        .route("/link/consent", get(consent::text).post(consent::accept))
        // Whoever reloads a page that answered a form lands on the page that says how things stand.
        .route("/link/decline", post(consent::decline).get(here))
        .route("/link/restart", post(link::restart).get(here))
        .route(HERE, get(done::done))
        .route("/callback/{registration}", get(callback::query).post(callback::form))
        .route(&format!("{RETURNED}/{{end}}"), get(callback::returned))
        .route(&format!("{STRAYED}/{{end}}"), get(callback::strayed))
        .route(OVERVIEW, get(my::overview))
        .route("/my/renew/{consent}", get(renew::text).post(renew::accept))
        .route("/my/reconfirm/{consent}", post(renew::reconfirm).get(overview))
        .route("/my/back", post(overview).get(overview))
        .route("/my/stop/{consent}", post(my::stop).get(overview))
        .route("/my/remove/{consent}", post(my::remove).get(overview))
        .route("/my/stopped/{consent}", get(my::stopped))
        .route("/my/receipt/{consent}", get(my::receipt))
        .route("/assets/{file}", get(headers::asset))
        .route("/theme/{file}", get(theme::file))
        .route("/favicon.ico", get(headers::icon))
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(limits::FORM_BYTES_MAX))
        .layer(from_fn_with_state(app.clone(), theme::wear))
        .layer(from_fn(language::choose))
        .layer(map_response(headers::guard))
}

/// The page for an address that nothing is behind.
pub(crate) async fn lost(app: Arc<App>) -> Response {
    let page = theme::worn_by(&app, || reply::ending(&app, None, Outcome::Unknown)).await;
    headers::guard((StatusCode::NOT_FOUND, page).into_response()).await
}

/// The page for an answer that failed on the way.
pub(crate) async fn broken(app: &App, status: StatusCode) -> Response {
    let page = theme::worn_by(app, || reply::ending(app, None, Outcome::OurFault)).await;
    headers::guard((status, page).into_response()).await
}

async fn not_allowed(State(app): State<Arc<App>>) -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, reply::ending(&app, None, Outcome::Unknown)).into_response()
}
