//! Answers of the console: pages, and what is said where there is none.

use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use domain::staff::Action;
use store::StoreError;

use super::access::Member;
use super::view::{Block, Field, Form, Page, Place, Section, Tone, Viewer};
use super::{LOGIN, PLACES};
use crate::app::App;
use crate::services::ServiceError;
use crate::web::reply::see_other;

/// What a handler gives.
pub(super) type Answer = Result<Response, Response>;

/// A page for somebody who has signed in.
pub(super) fn page(
    member: &Member,
    here: &str,
    heading: impl ToString,
    lead: &str,
    sections: Vec<Section>,
) -> Response {
    drawn(StatusCode::OK, Some(member), here, heading, lead, sections)
}

fn drawn(
    status: StatusCode,
    member: Option<&Member>,
    here: &str,
    heading: impl ToString,
    lead: &str,
    sections: Vec<Section>,
) -> Response {
    let viewer = member.map(|member| Viewer {
        name: member.staff.name.clone(),
        roles: member.roles().iter().map(|role| role.word()).collect::<Vec<_>>().join(", "),
        csrf: member.csrf(),
        places: places(member, here),
    });
    let page = Page { heading: heading.to_string(), lead: lead.to_owned(), viewer, sections };
    (status, Html(page.draw())).into_response()
}

fn places(member: &Member, here: &str) -> Vec<Place> {
    let open = |(_, _, action): &&(&str, &str, Action)| member.may(*action);
    let place = |(href, label, _): &(&'static str, &'static str, Action)| Place { href, label, here: *href == here };
    PLACES.iter().filter(open).map(place).collect()
}

/// A form of a member's session.
pub(super) fn form(
    member: &Member,
    id: impl ToString,
    action: impl ToString,
    button: &str,
    fields: Vec<Field>,
) -> Form {
    Form {
        id: id.to_string(),
        action: action.to_string(),
        post: true,
        csrf: Some(member.csrf()),
        fields,
        button: button.to_owned(),
        danger: false,
    }
}

/// A question, sent by GET.
pub(super) fn question(id: &str, action: &str, button: &str, fields: Vec<Field>) -> Form {
    Form {
        id: id.to_owned(),
        action: action.to_owned(),
        post: false,
        csrf: None,
        fields,
        button: button.to_owned(),
        danger: false,
    }
}

/// The page with the button that leads to the identity provider.
pub(super) fn landing(app: &App, sentence: Option<&str>, status: StatusCode) -> Response {
    let mut blocks = Vec::new();
    blocks.extend(sentence.map(|sentence| Block::Note(Tone::Bad, sentence.to_owned())));
    blocks.push(match &app.staff_provider {
        None => Block::Note(Tone::Wait, "No identity provider is set up, so nobody can sign in.".to_owned()),
        // No session yet, so no token: the browser's own word says that the form is ours.
        Some(_) => Block::Form(Form { post: true, ..question("sign-in", LOGIN, "Sign in", Vec::new()) }),
    });
    let lead = format!("For the staff of {}.", app.tenant.name);
    drawn(status, None, LOGIN, "Sign in to the console", &lead, vec![Section::new("", blocks)])
}

/// For whoever has no session: a form is lost, a page is asked for again after the login.
pub(super) fn signed_out(method: &Method) -> Response {
    if *method == Method::GET {
        return see_other(LOGIN);
    }
    told(StatusCode::FORBIDDEN, None, "You are signed out", "Sign in again. Nothing was changed.")
}

/// For whoever may not.
pub(super) fn forbidden(member: &Member) -> Response {
    told(
        StatusCode::FORBIDDEN,
        Some(member),
        "Not for your role",
        "Your role does not include this. Nothing was changed.",
    )
}

/// For a form that no page of this session sent.
pub(super) fn forged() -> Response {
    told(
        StatusCode::FORBIDDEN,
        None,
        "This form is not valid any more",
        "Go back to the page and try again. Nothing was changed.",
    )
}

/// For a method that an address does not take.
pub(super) async fn not_allowed() -> Response {
    told(StatusCode::METHOD_NOT_ALLOWED, None, "That is not how this address is used", "Nothing was changed.")
}

/// For what does not exist.
pub(super) fn missing(member: &Member) -> Response {
    told(StatusCode::NOT_FOUND, Some(member), "There is nothing here", "Nothing of that name is known.")
}

/// For what cannot be taken as it was sent.
pub(super) fn unfit(member: &Member, why: &str) -> Response {
    told(StatusCode::UNPROCESSABLE_ENTITY, Some(member), "That did not work", why)
}

/// For what went wrong.
pub(super) fn failed(member: Option<&Member>, error: &ServiceError) -> Response {
    let say = |status, why: &str| told(status, member, "That did not work", why);
    match error {
        ServiceError::Store(StoreError::NotFound(_)) => {
            member.map_or_else(|| say(StatusCode::NOT_FOUND, "Nothing of that name is known."), missing)
        }
        ServiceError::HoldRefused(why) => say(StatusCode::CONFLICT, &format!("{why}.")),
        ServiceError::Refused(_) | ServiceError::Store(StoreError::NotAllowed | StoreError::Raced) => {
            say(StatusCode::CONFLICT, "Something else was quicker. Look at the page again.")
        }
        other => {
            tracing::error!(error = format!("{other:#}"), "a page of the console failed");
            say(StatusCode::INTERNAL_SERVER_ERROR, "It is our fault. The log says more.")
        }
    }
}

fn told(status: StatusCode, member: Option<&Member>, heading: &str, sentence: &str) -> Response {
    drawn(status, member, "", heading, sentence, Vec::new())
}

/// Turns a service's failure into its page.
pub(super) fn fail<E: Into<ServiceError>>(member: &Member) -> impl FnOnce(E) -> Response + '_ {
    move |error| failed(Some(member), &error.into())
}
