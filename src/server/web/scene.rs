//! Who is there: a browser's session, with the consent it is about and the product that asked for it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use domain::consent::State;
use domain::ids::ConsentId;
use domain::limits;
use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use store::consents::Consent;
use store::page_sessions::PageSession;
use store::products::Product;
use store::{StoreError, TenantTx, consents, grants, page_sessions, products};

use super::session::{self, Cookie};
use super::{HERE, reply};
use crate::app::App;
use crate::gocardless::returns::Return;
use crate::pages::view::{Form, Outcome};
use crate::services::status::Awaited;
use crate::services::{ServiceError, renewals, status};
use crate::tokens::{self, Kind};

/// A browser with a live session. As an extractor it answers for a browser without one.
pub(super) struct Scene {
    /// The session.
    pub(super) session: PageSession,
    /// What it is about.
    pub(super) consent: Consent,
    /// Who asked for that.
    pub(super) product: Product,
    /// Who has to act at the bank before it can go on, where nobody brings an answer from there.
    pub(super) awaits: Option<Awaited>,
    /// The way back to a product that expects its people by itself.
    pub(super) back: Option<Return>,
    /// The cookie by which the browser is known that has been at a bank before.
    pub(super) browser: Option<SecretString>,
    secret: SecretString,
}

impl Scene {
    /// The scene of a browser; `None` without a live session.
    pub(super) async fn find(app: &App, headers: &HeaderMap) -> Result<Option<Self>, ServiceError> {
        match Cookie::Session.read(headers) {
            Some(secret) => {
                let known = Cookie::Browser.read(headers);
                let known = known.filter(|value| tokens::read(Kind::Browser, value.expose_secret()).is_some());
                Ok(Self::open(app, secret).await?.map(|scene| Self { browser: known, ..scene }))
            }
            None => Ok(None),
        }
    }

    /// The scene of a session's secret.
    pub(super) async fn open(app: &App, secret: SecretString) -> Result<Option<Self>, ServiceError> {
        let Some(hash) = tokens::read(Kind::Session, secret.expose_secret()) else { return Ok(None) };
        let mut tx = app.store.tenant_tx(app.tenant.id).await?;
        let Some(session) = page_sessions::find(&mut tx, &hash, app.clock.now()).await? else { return Ok(None) };
        let consent = consents::get(&mut tx, session.consent).await?;
        let product = products::get(&mut tx, consent.product).await?;
        let waiting = match consent.grant.filter(|_| consent.machine.state == State::Initiated) {
            Some(grant) => Some(grants::get(&mut tx, grant).await?),
            None if consent.machine.may_renew() => renewals::under_way(&mut tx, &consent).await?,
            None => None,
        };
        let awaits = waiting.and_then(|grant| status::awaits(app, &grant));
        let back = Return::of(app, &mut tx, consent.id).await?;
        tx.commit().await?;
        Ok(Some(Self { session, consent, product, awaits, back, browser: None, secret }))
    }

    /// SHA-256 of the session's secret, under which it is stored.
    pub(super) fn token_hash(&self) -> [u8; 32] {
        // A scene exists only for a secret that was read once already.
        tokens::read(Kind::Session, self.secret.expose_secret()).unwrap_or_default()
    }

    /// The browser, known from an earlier visit or from now on: its cookie, and the hash under which it is stored.
    pub(super) fn known_browser(&self, app: &App) -> (SecretString, [u8; 32]) {
        let known = self.browser_hash().zip(self.browser.clone());
        known.map_or_else(|| tokens::issue(Kind::Browser, &app.world()), |(hash, secret)| (secret, hash))
    }

    /// The hash under which a browser is stored that has been at a bank before.
    pub(super) fn browser_hash(&self) -> Option<[u8; 32]> {
        tokens::read(Kind::Browser, self.browser.as_ref()?.expose_secret())
    }

    /// Whether a form carries this session's anti-forgery token.
    pub(super) fn signed(&self, given: &str) -> bool {
        session::csrf_matches(&self.secret, given)
    }

    /// Whether somebody has withdrawn its consent.
    pub(super) const fn is_withdrawn(&self) -> bool {
        matches!(self.consent.machine.state, State::Revoked(_))
    }

    /// A form of this session.
    pub(super) fn form(&self, action: &str) -> Form {
        Form { action: reply::own(action), csrf: Some(session::csrf(&self.secret)) }
    }

    /// The page on which the journey goes on.
    pub(super) const fn place(&self) -> &'static str {
        if self.awaits.is_some() { HERE } else { place(&self.consent) }
    }
}

/// The page on which the journey of a consent goes on.
pub(super) const fn place(consent: &Consent) -> &'static str {
    match (consent.machine.state, &consent.bank) {
        (State::Initiated, None) => "/link/bank",
        (State::Initiated, Some(_)) => "/link/consent",
        _ => HERE,
    }
}

/// Begins a session about a consent. Gives the secret for the cookie.
pub(super) async fn begin(app: &App, tx: &mut TenantTx, consent: ConsentId) -> Result<SecretString, StoreError> {
    let world = app.world();
    let (secret, hash) = tokens::issue(Kind::Session, &world);
    let lifetime = SignedDuration::from_secs(limits::SESSION_SECONDS);
    let session = PageSession {
        id: world.uuid(),
        consent,
        login: None,
        created_at: world.now,
        expires_at: world.now.saturating_add(lifetime).unwrap_or(world.now),
    };
    page_sessions::insert(tx, &session, &hash).await?;
    Ok(secret)
}

/// The name of a consent's bank, as people know it.
pub(super) fn bank_name(app: &App, consent: &Consent) -> Option<String> {
    let (institution, _) = consent.bank.as_ref()?;
    Some(app.directory.get(institution).map_or_else(|| institution.to_string(), |profile| profile.bank.name.clone()))
}

impl FromRequestParts<Arc<App>> for Scene {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        match Self::find(app, &parts.headers).await {
            Ok(Some(scene)) => Ok(scene),
            Ok(None) => Err(reply::ending(app, None, Outcome::SignedOut)),
            Err(error) => Err(reply::failed(app, None, &error)),
        }
    }
}
