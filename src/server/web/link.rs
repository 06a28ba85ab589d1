//! The link that a product hands out: reading it changes nothing, a form swaps it for a session; and beginning again.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{Html, IntoResponse as _, Response};
use domain::consent::State as ConsentState;
use domain::limits;
use store::consents::Consent;
use store::links::Link;
use store::products::Product;
use store::{StoreError, consents, links, products};

use super::form::{FromUs, Signed};
use super::headers::Segment;
use super::scene::{self, Scene, place};
use super::session::Cookie;
use super::{HERE, renew, reply};
use crate::app::App;
use crate::pages;
use crate::pages::view::{Form, LinkLandingView, Outcome};
use crate::services::status::Awaited;
use crate::services::{ServiceError, restart as service};
use crate::tokens::{self, Kind};

/// A link, with what it leads to.
struct Found {
    link: Link,
    consent: Consent,
    product: Product,
}

impl Found {
    /// Whether it can still be taken: unused, in time, and its consent still waits for its person or can be renewed.
    fn is_live(&self, app: &App) -> bool {
        let unused = self.link.used_at.is_none() && app.clock.now() < self.link.expires_at;
        // The link of the first time leads nowhere once the consent was given.
        let first = self.consent.authorized_at.is_none_or(|at| self.link.created_at < at);
        let waits = self.consent.machine.state == ConsentState::Initiated;
        unused && if first { waits } else { self.consent.machine.may_renew() }
    }
}

async fn find(app: &App, token: &str) -> Result<Option<Found>, ServiceError> {
    let Some(hash) = tokens::read(Kind::Link, token) else { return Ok(None) };
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let Some(link) = links::find(&mut tx, &hash).await? else { return Ok(None) };
    let consent = consents::get(&mut tx, link.consent).await?;
    let product = products::get(&mut tx, consent.product).await?;
    tx.commit().await?;
    Ok(Some(Found { link, consent, product }))
}

/// The page behind a link. Whoever only looks at it, a mail scanner or a preview, changes nothing.
pub(super) async fn landing(State(app): State<Arc<App>>, Segment(token): Segment, headers: HeaderMap) -> Response {
    reply::shown(&app, None, show(&app, &token, &headers).await)
}

async fn show(app: &App, token: &str, headers: &HeaderMap) -> Result<Response, ServiceError> {
    let Some(found) = find(app, token).await? else { return Ok(reply::ending(app, None, Outcome::LinkOver)) };
    if !found.is_live(app) {
        return over(app, &found, headers).await;
    }
    let view = LinkLandingView {
        brand: reply::brand(app, Some(&found.product)),
        bank: scene::bank_name(app, &found.consent),
        begin: Form { action: reply::own(&format!("/link/{token}")), csrf: None },
    };
    Ok(Html(pages::link_landing(&view)).into_response())
}

/// A link that is used up still leads the browser that used it on to where it stands.
async fn over(app: &App, found: &Found, headers: &HeaderMap) -> Result<Response, ServiceError> {
    let scene = Scene::find(app, headers).await?.filter(|scene| scene.consent.psu == found.consent.psu);
    Ok(scene.map_or_else(|| reply::ending(app, None, Outcome::LinkOver), |scene| reply::see_other(scene.place())))
}

/// Takes the link, once, for a session: from here on no address holds a secret.
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    _: FromUs,
    Segment(token): Segment,
    headers: HeaderMap,
) -> Response {
    reply::shown(&app, None, take(&app, &token, &headers).await)
}

async fn take(app: &App, token: &str, headers: &HeaderMap) -> Result<Response, ServiceError> {
    let Some(found) = find(app, token).await? else { return Ok(reply::ending(app, None, Outcome::LinkOver)) };
    if !found.is_live(app) {
        return over(app, &found, headers).await;
    }
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    match links::take(&mut tx, found.link.id, app.clock.now()).await {
        Err(StoreError::NotAllowed) => return over(app, &found, headers).await,
        taken => taken?,
    }
    let secret = scene::begin(app, &mut tx, found.consent.id).await?;
    tx.commit().await?;
    let renewed = found.consent.machine.may_renew();
    let mut response = match renewed {
        true => reply::see_other(&renew::place(&found.consent)),
        false => reply::see_other(place(&found.consent)),
    };
    Cookie::Session.set(&mut response, &secret, limits::SESSION_SECONDS);
    Ok(response)
}

/// Begins the same connection again. A consent that still waits goes on; one that failed is asked anew.
pub(super) async fn restart(State(app): State<Arc<App>>, Signed { scene, .. }: Signed) -> Response {
    let result = match scene.consent.machine.state {
        ConsentState::Failed(_) => service::restart(&app, &scene.session, &scene.token_hash())
            .await
            .map(|consent| reply::see_other(place(&consent))),
        // Whoever waits for their own confirmation may begin it anew.
        ConsentState::Initiated if scene.awaits == Some(Awaited::Psu) => Ok(reply::see_other(place(&scene.consent))),
        ConsentState::Initiated => Ok(reply::see_other(scene.place())),
        _ if scene.consent.machine.may_renew() => Ok(reply::see_other(&renew::place(&scene.consent))),
        _ => Ok(reply::see_other(HERE)),
    };
    reply::changed(&app, &scene, result)
}
