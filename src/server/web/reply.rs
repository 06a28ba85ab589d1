//! Answers: pages with a status, redirects, and what a person is told when something did not work.

use axum::http::header::{CONTENT_SECURITY_POLICY, LOCATION, REFRESH};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use bank_adapters::error::BankError;
use store::StoreError;
use store::products::Product;

use super::scene::{self, Scene};
use super::{HERE, headers, language, theme};
use crate::app::App;
use crate::bank_calls::CallError;
use crate::pages;
use crate::pages::view::{Brand, Href, Next, Outcome, RelayView, ReturnView};
use crate::services::ServiceError;

/// What a product is called on a page that does not know which one it is.
const SOME_PRODUCT: &str = "the app you came from";

/// A path of ours as the target of a link or form.
pub(super) fn own(path: &str) -> Href {
    Href::new(path).expect("paths of ours begin with one slash and hold ids and tokens that were read before")
}

/// 303 to a path of ours.
pub(crate) fn see_other(path: &str) -> Response {
    to(path)
}

/// 303 to an address; ours, or a bank's page.
pub(crate) fn to(address: &str) -> Response {
    match HeaderValue::try_from(address) {
        Ok(location) => (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response(),
        Err(_) => (StatusCode::SEE_OTHER, [(LOCATION, HERE)]).into_response(),
    }
}

/// A page whose form ends at a bank.
pub(super) fn page_to_bank(app: &App, status: StatusCode, html: String) -> Response {
    let policy = headers::policy_to_bank(app.config.banks.allow_loopback);
    (status, [(CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
}

/// Who stands behind a page, and for whom.
pub(super) fn brand(app: &App, product: Option<&Product>) -> Brand {
    let tpp = &app.config.tenant;
    Brand {
        language: language::current(),
        tpp: app.tenant.name.clone(),
        authorisation: tpp.authorisation.clone(),
        product: product.map_or_else(|| SOME_PRODUCT.to_owned(), |product| product.name.clone()),
        support: Href::new(&tpp.support_url),
        privacy: Href::new(&tpp.privacy_url),
        look: theme::look(product),
    }
}

/// The page that hands on an answer behind the `#` of its address.
pub(super) fn relay(app: &App) -> Response {
    let page = pages::relay(&RelayView { brand: brand(app, None) });
    ([(CONTENT_SECURITY_POLICY, pages::RELAY_POLICY.as_str())], Html(page)).into_response()
}

/// The page of a visit that did not end in a connection.
pub(super) fn ending(app: &App, scene: Option<&Scene>, outcome: Outcome) -> Response {
    let view = ReturnView {
        brand: brand(app, scene.map(|scene| &scene.product)),
        outcome,
        bank: scene.and_then(|scene| scene::bank_name(app, &scene.consent)),
        reference: scene.map(|scene| scene.consent.id.to_string()),
        next: scene.and_then(|scene| next(scene, outcome)),
    };
    let back = scene.and_then(|scene| scene.back.as_ref()?.ended(outcome));
    sent_back((status(outcome), Html(pages::returned(&view))).into_response(), back.as_ref())
}

/// A page that leads on to the product by itself. A redirect would be held against the policy of the page, ours or the
/// bank's, whose form began the visit; a page that was shown may lead anywhere.
pub(super) fn sent_back(mut page: Response, back: Option<&Href>) -> Response {
    if let Some(value) = back.and_then(|href| HeaderValue::try_from(format!("0; url={}", href.as_str())).ok()) {
        page.headers_mut().insert(REFRESH, value);
    }
    page
}

/// The one next step. A restart is safe wherever a journey stands: it leads to the page that fits.
fn next(scene: &Scene, outcome: Outcome) -> Option<Next> {
    if let Some(back) = scene.back.as_ref().and_then(|back| back.ended(outcome)) {
        return Some(Next::Product(back));
    }
    match outcome {
        Outcome::Declined | Outcome::AwaitsSigners | Outcome::Withdrawn | Outcome::LinkOver => {
            Href::new(&scene.consent.return_url).map(Next::Product)
        }
        Outcome::CameTwice => Some(Next::Overview(own(HERE))),
        Outcome::SignedOut => None,
        Outcome::Denied
        | Outcome::AwaitsPsu
        | Outcome::TimedOut
        | Outcome::BankError
        | Outcome::BankUnavailable
        | Outcome::OtherBrowser
        | Outcome::NotTrusted
        | Outcome::Unknown
        | Outcome::OurFault => Some(Next::Restart(scene.form("/link/restart"))),
    }
}

/// The status of an outcome's page.
const fn status(outcome: Outcome) -> StatusCode {
    match outcome {
        Outcome::Denied
        | Outcome::Declined
        | Outcome::TimedOut
        | Outcome::CameTwice
        | Outcome::AwaitsSigners
        | Outcome::AwaitsPsu
        | Outcome::Withdrawn => StatusCode::OK,
        Outcome::OtherBrowser | Outcome::NotTrusted | Outcome::Unknown => StatusCode::BAD_REQUEST,
        Outcome::SignedOut => StatusCode::FORBIDDEN,
        Outcome::LinkOver => StatusCode::NOT_FOUND,
        Outcome::BankError => StatusCode::BAD_GATEWAY,
        Outcome::BankUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        Outcome::OurFault => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The answer of a page that only reads.
pub(super) fn shown(app: &App, scene: Option<&Scene>, result: Result<Response, ServiceError>) -> Response {
    result.unwrap_or_else(|error| failed(app, scene, &error))
}

/// The answer to a form. Where something else moved the consent meanwhile, the page of its present state tells.
pub(super) fn changed(app: &App, scene: &Scene, result: Result<Response, ServiceError>) -> Response {
    match result {
        Ok(response) => response,
        Err(error) if told(&error).is_none() => {
            tracing::info!(consent.id = %scene.consent.id, code = error.code(), "a form came too late");
            see_other(HERE)
        }
        Err(error) => failed(app, Some(scene), &error),
    }
}

/// The page of a failure, and its line in the log.
pub(super) fn failed(app: &App, scene: Option<&Scene>, error: &ServiceError) -> Response {
    let outcome = told(error).unwrap_or(Outcome::OurFault);
    let consent = scene.map(|scene| tracing::field::display(scene.consent.id));
    if outcome == Outcome::OurFault {
        tracing::error!(consent.id = consent, error = format!("{error:#}"), "a page failed on our side");
    } else {
        tracing::warn!(consent.id = consent, code = error.code(), "a bank kept a page from working");
    }
    ending(app, scene, outcome)
}

/// What a person is told about a failure; `None` where only the moment was wrong.
fn told(error: &ServiceError) -> Option<Outcome> {
    match error {
        ServiceError::Refused(_)
        | ServiceError::GrantRefused(_)
        | ServiceError::HoldRefused(_)
        | ServiceError::Store(StoreError::NotAllowed | StoreError::Raced | StoreError::Exists { .. })
        | ServiceError::Call(CallError::Stopped) => None,
        ServiceError::Call(
            CallError::Transport(_) | CallError::Resting { .. } | CallError::Bank(BankError::Wait { .. }),
        ) => Some(Outcome::BankUnavailable),
        ServiceError::Call(CallError::Bank(BankError::Operator(_)) | CallError::Ours(_)) => Some(Outcome::OurFault),
        ServiceError::Call(CallError::Bank(_) | CallError::Refused(_)) => Some(Outcome::BankError),
        ServiceError::Store(_) | ServiceError::Key(_) | ServiceError::Ours(_) => Some(Outcome::OurFault),
    }
}

#[cfg(test)]
mod tests {
    use bank_adapters::error::Breach;
    use domain::consent::{Event, Refused, State};

    use super::*;

    #[test]
    fn a_person_is_told_who_is_at_fault() {
        let late = ServiceError::Refused(Refused { from: State::Active, event: Event::Declined });
        let breach = CallError::Bank(BankError::Contract(Breach::Field("consentStatus")));
        for (error, outcome) in [
            (late, None),
            (StoreError::NotAllowed.into(), None),
            (StoreError::Raced.into(), None),
            (StoreError::NotFound("consent").into(), Some(Outcome::OurFault)),
            (ServiceError::Ours(anyhow::anyhow!("a disk is full")), Some(Outcome::OurFault)),
            (CallError::Ours(anyhow::anyhow!("a token with a line break")).into(), Some(Outcome::OurFault)),
            (breach.into(), Some(Outcome::BankError)),
        ] {
            assert_eq!(told(&error), outcome, "{error}");
        }
    }

    #[test]
    fn a_redirect_is_a_303_and_never_carries_a_line_break() {
        let away = to("https://bank.example/authorize?client_id=a&request_uri=urn:b");
        assert_eq!(away.status(), StatusCode::SEE_OTHER);
        assert_eq!(away.headers()[LOCATION], "https://bank.example/authorize?client_id=a&request_uri=urn:b");
        assert_eq!(to("https://bank.example/\r\nSet-Cookie: a=b").headers()[LOCATION], HERE);
    }

    #[test]
    fn only_a_page_without_trouble_says_ok() {
        assert_eq!(status(Outcome::Denied), StatusCode::OK);
        assert!(status(Outcome::NotTrusted).is_client_error());
        assert!(status(Outcome::OtherBrowser).is_client_error());
        assert!(status(Outcome::BankUnavailable).is_server_error());
    }
}
