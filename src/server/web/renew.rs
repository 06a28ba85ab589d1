//! Keeping a living consent going: renewing it at the bank, or confirming it to us where the regime asks for that.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use domain::consent::{ReauthReason, State as ConsentState};
use serde_json::json;
use store::consents::Consent;

use super::consent::{self, Step};
use super::form::{Person, Signed};
use super::headers::Segment;
use super::scene::Scene;
use super::{OVERVIEW, my, reply};
use crate::app::App;
use crate::connections::Connection;
use crate::evidence_log;
use crate::pages::view::Outcome;
use crate::services::{ServiceError, renewals};

/// The page on which a person keeps a consent going: our own question is answered in the overview, the bank's after the
/// text was read again.
pub(super) fn place(consent: &Consent) -> String {
    match consent.machine.state {
        ConsentState::ReauthPending(ReauthReason::ReconfirmMissed) => OVERVIEW.to_owned(),
        _ => format!("/my/renew/{}", consent.id),
    }
}

/// The person's own consent of that id with its connection, if it can be renewed.
async fn renewable(
    app: &App,
    scene: &Scene,
    id: &str,
) -> Result<Result<(Consent, Arc<Connection>), Response>, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let found = my::own(&mut tx, scene, id).await?;
    tx.commit().await?;
    let Some(consent) = found else { return Ok(Err(reply::ending(app, Some(scene), Outcome::Unknown))) };
    let connection = consent.bank.as_ref().and_then(|(_, registration)| app.connections.get(registration));
    Ok(match connection {
        Some(connection) if consent.machine.may_renew() => Ok((consent, connection)),
        _ => Err(reply::see_other(OVERVIEW)),
    })
}

/// The text, as it would be from then on.
pub(super) async fn text(State(app): State<Arc<App>>, Segment(id): Segment, scene: Scene) -> Response {
    reply::shown(&app, Some(&scene), show(&app, &scene, &id).await)
}

async fn show(app: &App, scene: &Scene, id: &str) -> Result<Response, ServiceError> {
    match renewable(app, scene, id).await? {
        Ok((consent, connection)) => {
            let shown = consent::build(app, scene, &consent, &connection, Step::Renewal).await?;
            Ok(shown.page(app, StatusCode::OK))
        }
        Err(elsewhere) => Ok(elsewhere),
    }
}

/// Accepts the text and sends the browser to the bank.
pub(super) async fn accept(
    State(app): State<Arc<App>>,
    Segment(id): Segment,
    RawQuery(query): RawQuery,
    Person(psu): Person,
    Signed { scene, fields }: Signed,
) -> Response {
    let answer = consent::Answer { query: query.as_deref().unwrap_or_default(), fields: &fields, psu };
    reply::changed(&app, &scene, accepted(&app, &scene, &id, answer).await)
}

async fn accepted(app: &App, scene: &Scene, id: &str, answer: consent::Answer<'_>) -> Result<Response, ServiceError> {
    match renewable(app, scene, id).await? {
        Ok((consent, connection)) => consent::depart(app, scene, &consent, &connection, Step::Renewal, answer).await,
        Err(elsewhere) => Ok(elsewhere),
    }
}

/// Takes the person's word that sharing goes on. No bank is asked.
pub(super) async fn reconfirm(
    State(app): State<Arc<App>>,
    Segment(id): Segment,
    Signed { scene, .. }: Signed,
) -> Response {
    reply::changed(&app, &scene, confirmed(&app, &scene, &id).await)
}

async fn confirmed(app: &App, scene: &Scene, id: &str) -> Result<Response, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let Some(consent) = my::own(&mut tx, scene, id).await? else {
        return Ok(reply::ending(app, Some(scene), Outcome::Unknown));
    };
    let body = json!({
        "attested_by": "page",
        "session_at": world.now.to_string(),
        "agreed_text_hash": consent.text_hash.map(|hash| evidence_log::hex(&hash)),
    });
    evidence_log::record(app, &mut tx, &world, consent.id, "consent.confirmation", &body).await?;
    renewals::reconfirm(app, &mut tx, &world, consent.id, "psu").await?;
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(reply::see_other(OVERVIEW))
}
