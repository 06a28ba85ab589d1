//! Who is at the console: a session of somebody whom the identity provider named, and what their roles allow.
//!
//! Each route carries the action that it is ([`gate`]), and a handler gets its [`Member`] only past that gate: a route
//! without an action lets nobody in.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::MethodRouter;
use domain::staff::{Action, Role, may};
use secrecy::{ExposeSecret as _, SecretString};
use store::staff::Staff;
use store::staff_sessions::{self, StaffSession};

use super::page;
use crate::app::App;
use crate::services::ServiceError;
use crate::tokens::{self, Kind};
use crate::web::form::{Fields, FromUs};
use crate::web::session::{self, Cookie};

/// What a route is.
#[derive(Debug, Clone, Copy)]
struct Gate(Action);

/// Puts an action before a route.
pub(super) fn gate(action: Action, route: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    route.layer(Extension(Gate(action)))
}

/// Somebody who has signed in and may do what the route is.
pub(super) struct Member {
    /// Who.
    pub(super) staff: Staff,
    /// Their session.
    pub(super) session: StaffSession,
    secret: SecretString,
}

impl Member {
    /// Whoever the cookie names; `None` without a live session.
    pub(super) async fn find(app: &App, headers: &HeaderMap) -> Result<Option<Self>, ServiceError> {
        let Some(secret) = Cookie::Staff.read(headers) else { return Ok(None) };
        let Some(hash) = tokens::read(Kind::StaffSession, secret.expose_secret()) else { return Ok(None) };
        let mut tx = app.store.tenant_tx(app.tenant.id).await?;
        let found = staff_sessions::find(&mut tx, &hash, app.clock.now()).await?;
        tx.commit().await?;
        Ok(found.map(|(session, staff)| Self { staff, session, secret }))
    }

    /// Their roles.
    pub(super) fn roles(&self) -> &[Role] {
        &self.session.roles
    }

    /// Whether one of their roles allows something.
    pub(super) fn may(&self, action: Action) -> bool {
        self.roles().iter().any(|role| may(*role, action))
    }

    /// The anti-forgery token of their session.
    pub(super) fn csrf(&self) -> String {
        session::csrf(&self.secret)
    }
}

impl FromRequestParts<Arc<App>> for Member {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let member = match Self::find(app, &parts.headers).await {
            Ok(Some(member)) => member,
            Ok(None) => return Err(page::signed_out(&parts.method)),
            Err(error) => return Err(page::failed(None, &error)),
        };
        match parts.extensions.get::<Gate>() {
            Some(Gate(action)) if member.may(*action) => Ok(member),
            _ => Err(page::forbidden(&member)),
        }
    }
}

/// A form of a live session, with its anti-forgery token.
pub(super) struct Order {
    /// Who sent it.
    pub(super) member: Member,
    /// What it says.
    pub(super) fields: Fields,
}

impl FromRequest<Arc<App>> for Order {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        FromUs::from_request_parts(&mut parts, app).await.map_err(|_| page::forged())?;
        let member = Member::from_request_parts(&mut parts, app).await?;
        let body = Bytes::from_request(Request::from_parts(parts, body), app).await;
        let fields = Fields::parse(&body.unwrap_or_default());
        let signed = session::csrf_matches(&member.secret, fields.get("csrf"));
        if signed { Ok(Self { member, fields }) } else { Err(page::forged()) }
    }
}
