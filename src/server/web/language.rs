//! The language of a request: the switch on the page, what it chose before, what the browser accepts, English.

use axum::extract::Request;
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE, SET_COOKIE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use url::form_urlencoded;

use crate::pages::Language;

/// The cookie that keeps what the switch chose, for the browser's session. It tells nothing about anybody.
const COOKIE_NAME: &str = "language";

tokio::task_local! {
    /// The language of the request that this task answers.
    static CURRENT: Language;
}

/// The language of the request under way.
pub(super) fn current() -> Language {
    CURRENT.try_with(|language| *language).unwrap_or_default()
}

/// Finds the language of a request and answers in it.
pub(super) async fn choose(request: Request, next: Next) -> Response {
    let switched = switched(request.uri().query().unwrap_or_default());
    let language = switched.or_else(|| wanted(request.headers())).unwrap_or_default();
    let mut response = CURRENT.scope(language, next.run(request)).await;
    response.headers_mut().append(VARY, HeaderValue::from_static("accept-language"));
    if let Some(chosen) = switched {
        let cookie = format!("{COOKIE_NAME}={}; Path=/; SameSite=Lax; HttpOnly", chosen.code());
        if let Ok(value) = HeaderValue::try_from(cookie) {
            response.headers_mut().append(SET_COOKIE, value);
        }
    }
    response
}

/// What the switch says.
fn switched(query: &str) -> Option<Language> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "lang")
        .and_then(|(_, code)| Language::parse(&code))
}

/// What was chosen before, or else what the browser accepts.
fn wanted(headers: &HeaderMap) -> Option<Language> {
    let text = |name| headers.get_all(name).into_iter().filter_map(|value: &HeaderValue| value.to_str().ok());
    let chosen = text(COOKIE).flat_map(|line| line.split(';')).find_map(|pair| {
        let (name, code) = pair.trim().split_once('=')?;
        if name == COOKIE_NAME { Language::parse(code) } else { None }
    });
    chosen.or_else(|| text(ACCEPT_LANGUAGE).find_map(Language::accepted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_counts_before_the_cookie_and_the_cookie_before_the_browser() {
        let mut headers = HeaderMap::new();
        assert_eq!(wanted(&headers), None);
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static("fr,en;q=0.5"));
        assert_eq!(wanted(&headers), Some(Language::Fr));
        headers.insert(COOKIE, HeaderValue::from_static("session=x; language=es"));
        assert_eq!(wanted(&headers), Some(Language::Es));
        assert_eq!(switched("code=a&lang=de"), Some(Language::De));
        assert_eq!(switched("lang=klingon"), None);
    }
}
