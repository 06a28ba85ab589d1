//! What every page carries in its headers, and the static files.

use axum::extract::{FromRequestParts, Path};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::pages::{Asset, SECURITY_POLICY, assets};

/// Headers of every answer. Policy and caching are filled in where the page has not set its own.
const GUARDS: [(HeaderName, &str); 6] = [
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "browsing-topics=(), camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];
const DEFAULTS: [(HeaderName, &str); 2] = [(CONTENT_SECURITY_POLICY, SECURITY_POLICY), (CACHE_CONTROL, "no-store")];

/// Sets what every page carries.
pub(crate) async fn guard(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in GUARDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in DEFAULTS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The policy of a page whose form ends at a bank. Browsers hold the redirect after a form against it. A bank on this
/// machine answers by plain http, so a development installation lets that pass too.
pub(super) fn policy_to_bank(allow_loopback: bool) -> String {
    let local = if allow_loopback { " http://127.0.0.1:* http://localhost:*" } else { "" };
    crate::pages::SECURITY_POLICY_TO_BANK
        .replace("form-action 'self' https:", &format!("form-action 'self' https:{local}"))
}

/// One segment of the path. What cannot be read as text is empty, so that it meets the page of an unknown one.
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let read = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(read.map_or_else(|_| String::new(), |Path(text)| text)))
    }
}

/// A static file, for ever: its name changes with its content.
pub(super) async fn asset(Segment(file): Segment) -> Response {
    let found = assets().iter().find(|asset| asset.path.strip_prefix("/assets/") == Some(file.as_str()));
    found.map_or_else(
        || StatusCode::NOT_FOUND.into_response(),
        |asset| serve(asset, "public, max-age=31536000, immutable"),
    )
}

/// The sign that browsers ask for by its old name.
pub(super) async fn icon() -> Response {
    let found = assets().iter().find(|asset| asset.media_type == "image/svg+xml");
    found.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |asset| serve(asset, "public, max-age=86400"))
}

fn serve(asset: &Asset, caching: &'static str) -> Response {
    ([(CONTENT_TYPE, asset.media_type), (CACHE_CONTROL, caching)], asset.body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_answer_is_guarded_and_a_page_keeps_its_own_policy() {
        let plain = guard(StatusCode::OK.into_response()).await;
        assert_eq!(plain.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(plain.headers()[CONTENT_SECURITY_POLICY], SECURITY_POLICY);
        for (name, value) in GUARDS {
            assert_eq!(plain.headers()[name], value);
        }
        let own = guard([(CONTENT_SECURITY_POLICY, "default-src 'self'")].into_response()).await;
        assert_eq!(own.headers().get_all(CONTENT_SECURITY_POLICY).iter().count(), 1);
        assert_eq!(own.headers()[CONTENT_SECURITY_POLICY], "default-src 'self'");
    }

    #[tokio::test]
    async fn static_files_are_served_under_their_names_alone() {
        for known in assets() {
            let name = known.path.strip_prefix("/assets/").unwrap().to_owned();
            let answer = guard(asset(Segment(name)).await).await;
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(answer.headers()[CONTENT_TYPE], known.media_type);
            assert_eq!(answer.headers()[CACHE_CONTROL], "public, max-age=31536000, immutable");
        }
        assert_eq!(asset(Segment("river.css".to_owned())).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(icon().await.headers()[CONTENT_TYPE], "image/svg+xml");
    }

    #[test]
    fn plain_http_is_a_target_of_forms_in_development_alone() {
        let (live, development) = (policy_to_bank(false), policy_to_bank(true));
        assert_eq!(live, crate::pages::SECURITY_POLICY_TO_BANK);
        assert!(!live.contains("http:"));
        assert!(
            development.contains("form-action 'self' https: http://127.0.0.1:* http://localhost:*;"),
            "{development}"
        );
    }
}
