//! Forms: sent from a page of ours, by the browser whose session they carry, or not looked at.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{ORIGIN, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use bank_adapters::ask::PsuPresent;
use url::form_urlencoded;

use super::reply;
use super::scene::Scene;
use crate::app::App;
use crate::pages::view::Outcome;
use crate::peer;

/// Fetch Metadata: where a request comes from, as the browser itself says it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a form comes from a page of ours. A page without a referrer sends `Origin: null`, so the browser's own word
/// counts first; a client that sends neither header is not a browser and carries nobody's cookies but its own.
fn is_from_us(headers: &HeaderMap, ours: &str) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    headers.get(ORIGIN).is_none_or(|origin| origin.as_bytes() == ours.as_bytes())
}

/// A form from a page of ours, before there is a session.
pub(crate) struct FromUs;

impl FromRequestParts<Arc<App>> for FromUs {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let ours = app.config.listen.public_url.origin().ascii_serialization();
        if is_from_us(&parts.headers, &ours) { Ok(Self) } else { Err(reply::ending(app, None, Outcome::Unknown)) }
    }
}

/// The fields of a form.
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads a form, whatever bytes came.
    pub(crate) fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// The first field of that name; empty when there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value)
    }
}

/// A form of a live session, with its anti-forgery token.
pub(super) struct Signed {
    /// Who sent it.
    pub(super) scene: Scene,
    /// What it says.
    pub(super) fields: Fields,
}

impl FromRequest<Arc<App>> for Signed {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        FromUs::from_request_parts(&mut parts, app).await?;
        let scene = Scene::from_request_parts(&mut parts, app).await?;
        let body = Bytes::from_request(Request::from_parts(parts, body), app).await;
        let fields = Fields::parse(&body.unwrap_or_default());
        if scene.signed(fields.get("csrf")) {
            Ok(Self { scene, fields })
        } else {
            Err(reply::ending(app, None, Outcome::SignedOut))
        }
    }
}

/// The person at the other end of this request, as banks want to hear of them.
pub(super) struct Person(pub(super) PsuPresent);

impl FromRequestParts<Arc<App>> for Person {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let Some(ip) = peer::address(parts, &app.trusted_proxies) else {
            tracing::error!("a request came without the address of its client: the listener does not pass it on");
            return Err(reply::ending(app, None, Outcome::OurFault));
        };
        let agent = parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        let user_agent =
            agent.filter(|agent| (1..=peer::USER_AGENT_BYTES_MAX).contains(&agent.len())).map(str::to_owned);
        Ok(Self(PsuPresent { ip, user_agent }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_of_another_site_is_not_from_us() {
        const OURS: &str = "https://tpp.example";
        for (site, origin, from_us) in [
            (Some("same-origin"), Some("null"), true),
            (Some("same-origin"), None, true),
            (Some("none"), None, true),
            (Some("cross-site"), Some(OURS), false),
            (Some("same-site"), Some("https://other.tpp.example"), false),
            (Some("same-site"), None, false),
            (None, Some(OURS), true),
            (None, Some("https://tpp.example.evil.example"), false),
            (None, Some("http://tpp.example"), false),
            (None, Some("null"), false),
            (None, None, true),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(site) = site {
                headers.insert(SEC_FETCH_SITE, site.parse().unwrap());
            }
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(is_from_us(&headers, OURS), from_us, "{site:?} {origin:?}");
        }
    }

    #[test]
    fn a_field_that_comes_twice_counts_once_and_a_missing_one_is_empty() {
        let fields = Fields::parse(b"acknowledged=yes&acknowledged=no&institution=a&x=%C3%A4+b");
        assert_eq!(fields.get("acknowledged"), "yes");
        assert_eq!(fields.get("x"), "ä b");
        assert_eq!(fields.get("csrf"), "");
        assert_eq!(Fields::parse(b"\xff%zz&&=").get("csrf"), "");
    }
}
