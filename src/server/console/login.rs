//! Signing in at the identity provider, and out.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use domain::ids::StaffId;
use domain::limits;
use domain::world::World;
use evidence::Subject;
use jiff::SignedDuration;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use store::TenantTx;
use store::staff::{self, Staff};
use store::staff_sessions::{self, StaffSession};

use super::access::Order;
use super::page;
use super::provider::{Identity, Provider, Refusal};
use super::{HOME, LOGIN};
use crate::app::App;
use crate::evidence_log;
use crate::services::ServiceError;
use crate::tokens::{self, Kind};
use crate::web::form::FromUs;
use crate::web::reply::{see_other, to};
use crate::web::session::Cookie;

/// The page with the one button.
pub(super) async fn landing(State(app): State<Arc<App>>) -> Response {
    let policy = [(CONTENT_SECURITY_POLICY, crate::pages::SECURITY_POLICY_TO_BANK)];
    (policy, page::landing(&app, None, StatusCode::OK)).into_response()
}

/// To the identity provider.
pub(super) async fn begin(State(app): State<Arc<App>>, from_us: Result<FromUs, Response>) -> Response {
    if from_us.is_err() {
        return page::forged();
    }
    let Some(provider) = &app.staff_provider else { return see_other(LOGIN) };
    let (secret, _) = tokens::issue(Kind::StaffLogin, &app.world());
    match provider.begin(&secret).await {
        Ok(address) => {
            let mut response = to(address.as_str());
            Cookie::StaffLogin.set(&mut response, &secret, limits::STAFF_LOGIN_SECONDS);
            response
        }
        Err(refusal) => refused(&app, &refusal).await,
    }
}

/// Back from it.
pub(super) async fn callback(State(app): State<Arc<App>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let browser = Cookie::StaffLogin
        .read(&headers)
        .filter(|secret| tokens::read(Kind::StaffLogin, secret.expose_secret()).is_some());
    let (Some(provider), Some(browser)) = (&app.staff_provider, browser) else {
        return see_other(LOGIN);
    };
    let mut response = match arrive(&app, provider, &query.unwrap_or_default(), &browser).await {
        Ok(Ok(session)) => {
            let mut response = see_other(HOME);
            Cookie::Staff.set(&mut response, &session, i64::from(app.config.console.session_seconds));
            response
        }
        Ok(Err(refusal)) => refused(&app, &refusal).await,
        Err(error) => page::failed(None, &error),
    };
    // What was begun is over, whatever came of it: the same answer counts once.
    Cookie::StaffLogin.clear(&mut response);
    response
}

async fn arrive(
    app: &App,
    provider: &Provider,
    query: &str,
    browser: &SecretString,
) -> Result<Result<SecretString, Refusal>, ServiceError> {
    let world = app.world();
    let identity = match provider.finish(query, browser, world.now).await {
        Ok(identity) => identity,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let fresh =
        Staff { id: StaffId::new(&world), name: identity.name.clone(), created_at: world.now, withdrawn_at: None };
    let (member, is_new) = staff::signed_in(&mut tx, (&identity.issuer, &identity.subject), &fresh).await?;
    if member.withdrawn_at.is_some() {
        return Ok(Err(Refusal::NoRole));
    }
    if is_new {
        let body = json!({ "staff": member.id.to_string(), "name": member.name });
        note(app, &mut tx, &world, "staff.added", &body).await?;
    }
    let secret = open(app, &mut tx, &world, &member, &identity).await?;
    tx.commit().await?;
    counted("signed_in");
    Ok(Ok(secret))
}

async fn open(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    member: &Staff,
    identity: &Identity,
) -> Result<SecretString, ServiceError> {
    let (secret, hash) = tokens::issue(Kind::StaffSession, world);
    let lifetime = SignedDuration::from_secs(i64::from(app.config.console.session_seconds));
    let session = StaffSession {
        id: world.uuid(),
        staff: member.id,
        roles: identity.roles.clone(),
        created_at: world.now,
        expires_at: world.now.saturating_add(lifetime).unwrap_or(world.now),
    };
    staff_sessions::insert(tx, &session, &hash).await?;
    let roles: Vec<_> = identity.roles.iter().map(|role| role.word()).collect();
    let body = json!({ "staff": member.id.to_string(), "roles": roles });
    note(app, tx, world, "staff.signed_in", &body).await?;
    Ok(secret)
}

async fn note(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    kind: &str,
    body: &serde_json::Value,
) -> Result<(), ServiceError> {
    evidence_log::record_of(app, tx, world, Subject::Tenant(app.tenant.id), kind, body).await?;
    Ok(())
}

/// Out. The session is gone, whatever the browser keeps.
pub(super) async fn leave(State(app): State<Arc<App>>, order: Order) -> Response {
    let ended = async {
        let world = app.world();
        let mut tx = app.store.tenant_tx(app.tenant.id).await?;
        staff_sessions::end(&mut tx, order.member.session.id).await?;
        let body = json!({ "staff": order.member.staff.id.to_string() });
        note(&app, &mut tx, &world, "staff.signed_out", &body).await?;
        tx.commit().await?;
        Ok::<_, ServiceError>(())
    };
    if let Err(error) = ended.await {
        return page::failed(Some(&order.member), &error);
    }
    let mut response = see_other(LOGIN);
    Cookie::Staff.clear(&mut response);
    response
}

/// Says that nobody was let in, without saying what was wrong; the log knows.
async fn refused(app: &App, refusal: &Refusal) -> Response {
    tracing::warn!(reason = %refusal, "somebody was not let in at the console");
    let (outcome, sentence, status) = match refusal {
        Refusal::Provider(_) => {
            ("provider", "The sign-in service does not answer. Try again in a while.", StatusCode::BAD_GATEWAY)
        }
        Refusal::Busy => {
            ("busy", "Many sign in at this moment. Try again in a while.", StatusCode::SERVICE_UNAVAILABLE)
        }
        Refusal::Answer(_) => ("answer", "That did not work. Begin again from here.", StatusCode::BAD_REQUEST),
        Refusal::Declined => ("declined", "The sign-in service said no.", StatusCode::FORBIDDEN),
        Refusal::NoRole => (
            "no_role",
            "You have no role here. Whoever runs the sign-in service can give you one.",
            StatusCode::FORBIDDEN,
        ),
    };
    counted(outcome);
    let policy = [(CONTENT_SECURITY_POLICY, crate::pages::SECURITY_POLICY_TO_BANK)];
    (policy, page::landing(app, Some(sentence), status)).into_response()
}

/// Counts how a login at the console ended.
fn counted(outcome: &'static str) {
    metrics::counter!("tributary_console_logins_total", "outcome" => outcome).increment(1);
}
