//! The way back from a bank. Whatever comes is matched against the login that waits for it; nothing here is trusted.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bank_adapters::ask::PsuPresent;
use domain::ids::{ConsentId, RegistrationId};
use domain::limits;
use fapi::profile::ResponseForm;
use secrecy::SecretString;
use url::form_urlencoded;

use super::form::Person;
use super::headers::Segment;
use super::scene::{self, Scene};
use super::session::Cookie;
use super::{HERE, RETURNED, STRAYED, reply};
use crate::app::App;
use crate::pages::view::Outcome;
use crate::services::ServiceError;
use crate::services::logins::{self, Arrival};

/// A return in the address.
pub(super) async fn query(
    State(app): State<Arc<App>>,
    Segment(registration): Segment,
    RawQuery(query): RawQuery,
    Person(psu): Person,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    if query.is_empty() && answers_behind_the_hash(&app, &registration) {
        return reply::relay(&app);
    }
    reply::shown(&app, None, arrive(&app, &registration, &query, &psu, &headers).await)
}

/// The page of a visit that ended so, at an address without the bank's answer.
pub(super) async fn returned(State(app): State<Arc<App>>, Segment(word): Segment, scene: Scene) -> Response {
    reply::ending(&app, Some(&scene), outcome_of(&word))
}

/// The same for a browser that is not the one that began, or of which nothing is known.
pub(super) async fn strayed(State(app): State<Arc<App>>, Segment(word): Segment) -> Response {
    reply::ending(&app, None, outcome_of(&word))
}

/// How a visit can end at a callback, and the word in the address of its page.
const ENDS: [(&str, Outcome); 7] = [
    ("declined-at-the-bank", Outcome::Denied),
    ("bank-error", Outcome::BankError),
    ("not-trusted", Outcome::NotTrusted),
    ("timed-out", Outcome::TimedOut),
    ("twice", Outcome::CameTwice),
    ("other-browser", Outcome::OtherBrowser),
    ("unknown", Outcome::Unknown),
];

fn outcome_of(word: &str) -> Outcome {
    ENDS.into_iter().find(|(known, _)| *known == word).map_or(Outcome::Unknown, |(_, outcome)| outcome)
}

/// Leads from the address with the bank's answer to one that says the same without it.
fn clean(outcome: Outcome, scene: Option<&Scene>) -> Response {
    let word = ENDS.into_iter().find(|(_, known)| *known == outcome).map_or("unknown", |(word, _)| word);
    let place = if scene.is_some() { RETURNED } else { STRAYED };
    reply::see_other(&format!("{place}/{word}"))
}

/// Whether the bank answers in a part of the address that no server sees (OIDC Core §3.3.2.5).
fn answers_behind_the_hash(app: &App, registration: &str) -> bool {
    let connection = RegistrationId::new(registration).and_then(|id| app.connections.get(&id));
    connection.is_some_and(|connection| connection.oauth.security().response == ResponseForm::Hybrid)
}

/// A return as a posted form. It comes from the bank's site, so no cookie of ours accompanies it; the redirect to the
/// same address makes it a navigation that carries them. Like every return it is led on from there.
pub(super) async fn form(Segment(registration): Segment, body: Bytes) -> Response {
    let Some(registration) = RegistrationId::new(&registration) else {
        return clean(Outcome::Unknown, None);
    };
    reply::see_other(&format!("/callback/{registration}?{}", rewritten(&body)))
}

/// A form as a query that can stand in an address, whatever bytes came.
fn rewritten(body: &[u8]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(form_urlencoded::parse(body)).finish()
}

async fn arrive(
    app: &App,
    registration: &str,
    query: &str,
    psu: &PsuPresent,
    headers: &HeaderMap,
) -> Result<Response, ServiceError> {
    let browser = Cookie::Login.read(headers);
    let arrival = match RegistrationId::new(registration) {
        Some(registration) => logins::arrive(app, &registration, query, browser.as_ref(), psu).await?,
        None => Arrival::Unknown,
    };
    let ended = ended(&arrival);
    let (scene, fresh) = scene_of(app, &ended, headers).await?;
    let mut response = match ended.outcome {
        // The withdrawal has closed the login, or its erasure has taken it away: what became of the consent says more.
        Some(Outcome::Unknown | Outcome::CameTwice) if scene.as_ref().is_some_and(Scene::is_withdrawn) => {
            reply::see_other(HERE)
        }
        None => reply::see_other(HERE),
        Some(outcome) => clean(outcome, scene.as_ref()),
    };
    // An answer that no login of this browser waited for, behind a link of somebody's, leaves the one under way as it is.
    if ended.proven {
        Cookie::Login.clear(&mut response);
    }
    if let Some(secret) = fresh {
        Cookie::Session.set(&mut response, &secret, limits::SESSION_SECONDS);
    }
    Ok(response)
}

/// What an arrival means for the page.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    /// What the person is told; `None`: the page of the consent's present state tells.
    outcome: Option<Outcome>,
    /// The consent, where a login was found.
    consent: Option<ConsentId>,
    /// Whether the browser has proven that it is the one that began.
    proven: bool,
}

fn ended(arrival: &Arrival) -> Ended {
    let (outcome, consent, proven) = match *arrival {
        Arrival::Connected(consent)
        | Arrival::AwaitsSigners(consent)
        | Arrival::AwaitsPsu(consent)
        | Arrival::Overtaken(consent) => (None, Some(consent), true),
        Arrival::Denied(consent) => (Some(Outcome::Denied), Some(consent), true),
        Arrival::BankError(consent) => (Some(Outcome::BankError), Some(consent), true),
        Arrival::NotTrusted(consent) => (Some(Outcome::NotTrusted), Some(consent), true),
        Arrival::TimedOut(consent) => (Some(Outcome::TimedOut), Some(consent), true),
        Arrival::CameTwice(consent) => (Some(Outcome::CameTwice), Some(consent), false),
        Arrival::OtherBrowser(consent) => (Some(Outcome::OtherBrowser), Some(consent), false),
        Arrival::Unknown => (Some(Outcome::Unknown), None, false),
    };
    Ended { outcome, consent, proven }
}

/// The browser's session. A long stay at the bank may have outlived it, so a browser that has proven itself gets a new
/// one about what it began; any other keeps what it has, and learns nothing about anybody else's consent.
async fn scene_of(
    app: &App,
    ended: &Ended,
    headers: &HeaderMap,
) -> Result<(Option<Scene>, Option<SecretString>), ServiceError> {
    let scene = Scene::find(app, headers).await?;
    let scene = scene.filter(|scene| ended.consent.is_none_or(|consent| scene.consent.id == consent));
    let Some(consent) = ended.consent.filter(|_| ended.proven && scene.is_none()) else { return Ok((scene, None)) };
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let secret = scene::begin(app, &mut tx, consent).await?;
    tx.commit().await?;
    Ok((Scene::open(app, secret.clone()).await?, Some(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_browser_that_began_has_proven_itself() {
        let consent = ConsentId::from_uuid(uuid::Uuid::from_u128(7));
        for (arrival, outcome, proven) in [
            (Arrival::Connected(consent), None, true),
            (Arrival::Overtaken(consent), None, true),
            (Arrival::Denied(consent), Some(Outcome::Denied), true),
            (Arrival::NotTrusted(consent), Some(Outcome::NotTrusted), true),
            (Arrival::CameTwice(consent), Some(Outcome::CameTwice), false),
            (Arrival::OtherBrowser(consent), Some(Outcome::OtherBrowser), false),
        ] {
            assert_eq!(ended(&arrival), Ended { outcome, consent: Some(consent), proven });
        }
        assert_eq!(ended(&Arrival::Unknown).consent, None);
    }

    #[test]
    fn every_end_has_a_word_of_its_own() {
        for (word, outcome) in ENDS {
            assert!(outcome_of(word) == outcome);
        }
        assert!(outcome_of("anything else") == Outcome::Unknown);
    }

    #[test]
    fn a_posted_return_becomes_an_address_whatever_bytes_came() {
        assert_eq!(rewritten(b"code=a%2Bb&state=c+d"), "code=a%2Bb&state=c+d");
        let hostile = rewritten(b"code=a\r\nSet-Cookie: x=y\xff&<script>");
        assert!(hostile.bytes().all(|byte| byte.is_ascii_graphic()), "{hostile}");
        assert_eq!(rewritten(b""), "");
    }
}
