//! The user's way through the bank's pages: sign in, agree, come home.

use net::TransportError;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::browser::Browser;
use crate::browser::page::{Form, Page};

/// Pages that a login may take.
const PAGES_MAX: usize = 10;

/// Every way not to come home, with what it means.
pub(super) const REASONS: [(&str, &str); 5] = [
    (UNREACHABLE, "a page did not come, or a redirect leads nowhere"),
    (REFUSED, "the server shows an error in place of a page to go on with"),
    (FORM_MISSING, "a page has no form to go on with"),
    (FORM_REFUSED, "the same form came again: an answer was wrong or is missing"),
    (ENDLESS, "more pages than a login has"),
];
const UNREACHABLE: &str = "page.answer.missing";
const REFUSED: &str = "page.answer.refused";
const FORM_MISSING: &str = "page.form.missing";
const FORM_REFUSED: &str = "page.form.refused";
const ENDLESS: &str = "page.walk.invalid";

/// Why the user is not home.
pub(super) struct Lost {
    /// One of [`REASONS`], or a code of the transport.
    pub(super) code: &'static str,
    /// Where it happened; free of secrets.
    pub(super) detail: String,
}

impl Lost {
    fn at(code: &'static str, page: &Page) -> Self {
        let place = format!("{}{}", page.url.origin().ascii_serialization(), page.url.path());
        Self { code, detail: format!("{place} answered {}: “{}”", page.status.as_u16(), page.heading()) }
    }

    fn unreachable(error: &anyhow::Error) -> Self {
        let transport = error.chain().find_map(|cause| cause.downcast_ref::<TransportError>());
        Self { code: transport.map_or(UNREACHABLE, TransportError::code), detail: format!("{error:#}") }
    }
}

/// Home again.
pub(super) struct Home {
    /// Our redirect URI with what came back.
    pub(super) url: Url,
    /// Redirects on the way.
    pub(super) hops: usize,
}

/// Goes from the authorisation endpoint to our redirect URI; gives what came back: the address, or the form that a script
/// would have posted there, as query text.
///
/// # Errors
/// Where the way ended instead.
pub(super) async fn home(browser: &mut Browser, start: &Url, answers: &[(String, SecretString)]) -> Result<Home, Lost> {
    let answers: Vec<_> =
        answers.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect();
    let mut page = browser.open(start).await.map_err(|error| Lost::unreachable(&error))?;
    let mut before: Option<String> = None;
    let mut hops = 0;
    for _ in 0..PAGES_MAX {
        hops += page.through.len();
        if browser.is_home(&page.url) {
            return Ok(Home { url: page.url, hops });
        }
        if !page.status.is_success() {
            return Err(Lost::at(REFUSED, &page));
        }
        if let Some(posted) = posted_home(browser, &page) {
            return Ok(Home { url: posted, hops });
        }
        let form = next_form(&page, &answers).ok_or_else(|| Lost::at(FORM_MISSING, &page))?;
        if before.replace(page.url.path().to_owned()).as_deref() == Some(page.url.path()) {
            return Err(Lost::at(FORM_REFUSED, &page));
        }
        let next = browser.submit(&page, &form, &form.answered(&answers)).await;
        page = next.map_err(|error| Lost::unreachable(&error))?;
    }
    Err(Lost::at(ENDLESS, &page))
}

/// OAuth 2.0 Form Post Response Mode: the page holds the response in a form that leads to us. It is read here in place of
/// being posted, as if it had come in the query.
fn posted_home(browser: &Browser, page: &Page) -> Option<Url> {
    let leads_home = |form: &Form| page.url.join(&form.action).ok().filter(|url| form.posts && browser.is_home(url));
    page.forms().iter().find_map(|form| {
        let mut url = leads_home(form)?;
        let fields = form.controls.iter().map(|control| (&control.name, &control.value));
        url.query_pairs_mut().clear().extend_pairs(fields);
        Some(url)
    })
}

/// The posted form that asks for most of the answers; the first of several.
fn next_form(page: &Page, answers: &[(String, String)]) -> Option<Form> {
    let forms = page.forms().into_iter().rev().filter(|form| form.posts);
    forms.max_by_key(|form| form.answered(answers).len())
}
