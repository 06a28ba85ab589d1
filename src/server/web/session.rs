//! Page sessions: a `__Host-` cookie, an anti-forgery token derived from it, and the browser that began a login.

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

use crate::tokens;

/// Name of the session cookie. `__Host-`: Secure, no Domain, path `/`, so no neighbouring host can plant one.
const SESSION: &str = "__Host-tributary";
/// Name of the cookie that binds a login at a bank to the browser that began it.
const LOGIN: &str = "__Host-tributary-login";
/// Name of the cookie by which a browser is known that has been at a bank before.
const BROWSER: &str = "__Host-tributary-browser";
/// Name of the cookie of a session at the console.
const STAFF: &str = "__Host-tributary-console";
/// Name of the cookie that binds a login of the staff to the browser that began it.
const STAFF_LOGIN: &str = "__Host-tributary-console-login";

/// A cookie of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// The page session.
    Session,
    /// The browser binding of a login.
    Login,
    /// The browser, so that its person can be told what a new authorisation does to an earlier one.
    Browser,
    /// The session of a member of staff.
    Staff,
    /// The browser binding of a login of the staff.
    StaffLogin,
}

impl Cookie {
    const fn name(self) -> &'static str {
        match self {
            Self::Session => SESSION,
            Self::Login => LOGIN,
            Self::Browser => BROWSER,
            Self::Staff => STAFF,
            Self::StaffLogin => STAFF_LOGIN,
        }
    }

    /// Its value in a request.
    pub(crate) fn read(self, headers: &HeaderMap) -> Option<SecretString> {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.name())
            .map(|(_, value)| SecretString::from(value))
    }

    /// Sets it. Lax: the return from a bank is a top-level GET from another site and must carry it.
    pub(crate) fn set(self, response: &mut Response, value: &SecretString, seconds: i64) {
        let text = format!(
            "{}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}",
            self.name(),
            value.expose_secret()
        );
        if let Ok(mut header) = axum::http::HeaderValue::try_from(text) {
            header.set_sensitive(true);
            response.headers_mut().append(SET_COOKIE, header);
        }
    }

    /// Removes it.
    pub(crate) fn clear(self, response: &mut Response) {
        self.set(response, &SecretString::from(""), 0);
    }
}

/// The anti-forgery token of a session: derived from its secret, so nothing is stored.
pub(crate) fn csrf(session: &SecretString) -> String {
    let bound = ["csrf", session.expose_secret()].join("\u{0}");
    URL_SAFE_NO_PAD.encode(tokens::hash(bound.as_bytes()))
}

/// Whether a form carries its session's token. Constant time.
pub(crate) fn csrf_matches(session: &SecretString, given: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(csrf(session).as_bytes(), given.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;

    #[test]
    fn a_cookie_comes_back_as_it_was_set() {
        let mut response = ().into_response();
        Cookie::Session.set(&mut response, &SecretString::from("abc_123"), 60);
        let set = response.headers()[SET_COOKIE].to_str().unwrap().to_owned();
        for wanted in ["__Host-tributary=abc_123;", "Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(set.contains(wanted), "{set}");
        }
        assert!(!set.contains("Domain"));
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, "other=1; __Host-tributary=abc_123; __Host-tributary-login=x".parse().unwrap());
        assert_eq!(Cookie::Session.read(&headers).unwrap().expose_secret(), "abc_123");
        assert_eq!(Cookie::Login.read(&headers).unwrap().expose_secret(), "x");
        assert!(Cookie::Session.read(&HeaderMap::new()).is_none());
    }

    #[test]
    fn a_form_of_another_session_is_refused() {
        let (mine, other) = (SecretString::from("mine"), SecretString::from("other"));
        assert!(csrf_matches(&mine, &csrf(&mine)));
        assert!(!csrf_matches(&mine, &csrf(&other)));
        assert!(!csrf_matches(&mine, ""));
    }
}
