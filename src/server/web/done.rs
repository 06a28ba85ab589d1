//! Where a journey stands: data on their way, connected, or how it ended instead.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::REFRESH;
use axum::response::{Html, IntoResponse as _, Response};
use domain::consent::{FailureReason, State as ConsentState};
use store::TenantTx;
use store::consents::{self, Move};

use super::form::Person;
use super::scene::{self, Scene};
use super::{LOOK_AGAIN, LOOK_SOON, OVERVIEW, accounts, reply};
use crate::app::App;
use crate::gocardless::returns::Return;
use crate::pages;
use crate::pages::view::{ConnectedView, Href, Outcome};
use crate::services::status::Awaited;
use crate::services::{ServiceError, consents as moves};

/// The page of the present state.
pub(super) async fn done(State(app): State<Arc<App>>, Person(psu): Person, scene: Scene) -> Response {
    if scene.awaits == Some(Awaited::Psu) {
        // Who looks at the page while they confirm elsewhere is there: the first fetch is theirs.
        app.note_present(scene.consent.id, psu);
    }
    reply::shown(&app, Some(&scene), stand(&app, &scene).await)
}

async fn stand(app: &App, scene: &Scene) -> Result<Response, ServiceError> {
    let consent = &scene.consent;
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let response = match consent.machine.state {
        _ if scene.awaits == Some(Awaited::Signers) => reply::ending(app, Some(scene), Outcome::AwaitsSigners),
        _ if scene.awaits == Some(Awaited::Psu) => {
            let mut page = reply::ending(app, Some(scene), Outcome::AwaitsPsu);
            page.headers_mut().insert(REFRESH, LOOK_SOON);
            page
        }
        ConsentState::Initiated => reply::see_other(scene.place()),
        ConsentState::Authorized => {
            let mut page = connected(app, &mut tx, scene, true).await?;
            page.headers_mut().insert(REFRESH, LOOK_AGAIN);
            let back = scene.back.as_ref().filter(|back| back.immediate).and_then(Return::connected);
            reply::sent_back(page, back.as_ref())
        }
        ConsentState::Active => {
            let page = connected(app, &mut tx, scene, false).await?;
            reply::sent_back(page, scene.back.as_ref().and_then(Return::connected).as_ref())
        }
        // The overview says what is missing, and has the button.
        ConsentState::ReauthPending(_) => reply::see_other(OVERVIEW),
        ConsentState::Failed(reason) => {
            let history = consents::history(&mut tx, consent.id).await?;
            reply::ending(app, Some(scene), failure(reason, history.last()))
        }
        // A consent that was never given leaves nothing to show.
        ConsentState::Revoked(_) | ConsentState::Expired(_) if consent.authorized_at.is_none() => {
            reply::ending(app, Some(scene), Outcome::Withdrawn)
        }
        ConsentState::Revoked(_) => reply::see_other(&format!("/my/stopped/{}", consent.id)),
        ConsentState::Expired(_) => reply::see_other(OVERVIEW),
    };
    tx.commit().await?;
    Ok(response)
}

/// What a failed consent is called on the page. Who said no, the person to us or to the bank, is in its history.
fn failure(reason: FailureReason, last: Option<&Move>) -> Outcome {
    match reason {
        FailureReason::Declined if last.is_some_and(|last| last.actor == "psu") => Outcome::Declined,
        FailureReason::Declined => Outcome::Denied,
        FailureReason::TimedOut => Outcome::TimedOut,
        FailureReason::RejectedByBank | FailureReason::Error => Outcome::BankError,
    }
}

async fn connected(app: &App, tx: &mut TenantTx, scene: &Scene, reading: bool) -> Result<Response, ServiceError> {
    let view = ConnectedView {
        brand: reply::brand(app, Some(&scene.product)),
        bank: scene::bank_name(app, &scene.consent).unwrap_or_default(),
        reading,
        accounts: accounts::held(app, tx, scene.product.id, scene.consent.id).await?.accounts,
        until: moves::last_day(app, &scene.consent),
        product: match &scene.back {
            Some(back) => back.connected(),
            None => Href::new(&scene.consent.return_url),
        },
        overview: reply::own(OVERVIEW),
    };
    Ok(Html(pages::connected(&view)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_no_is_told_to_the_one_who_heard_it() {
        let last = |actor: &str| Move {
            seq: 1,
            event: "declined".to_owned(),
            actor: actor.to_owned(),
            from: Some(ConsentState::Initiated),
            to: ConsentState::Failed(FailureReason::Declined),
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        assert_eq!(failure(FailureReason::Declined, Some(&last("psu"))), Outcome::Declined);
        assert_eq!(failure(FailureReason::Declined, Some(&last("bank"))), Outcome::Denied);
        assert_eq!(failure(FailureReason::TimedOut, Some(&last("timer"))), Outcome::TimedOut);
        assert_eq!(failure(FailureReason::Error, None), Outcome::BankError);
    }
}
