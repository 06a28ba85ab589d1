//! Addresses at a bank: built from ids, or taken from its answers and checked.

use http::Uri;
use url::Url;

use crate::answer::Continuation;
use crate::ask::NextLink;
use crate::endpoints::HttpsUrl;
use crate::error::Breach;

/// The base of a bank's API, ending in a slash.
#[derive(Debug, Clone)]
pub(crate) struct Base(Url);

impl Base {
    pub(crate) fn new(api: &HttpsUrl) -> Self {
        let mut url = api.url().clone();
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Self(url)
    }

    /// The address of a resource. Each segment is one step of the path, whatever characters it has.
    pub(crate) fn resource(&self, segments: &[&str], query: &[(&str, &str)]) -> Uri {
        let path: Vec<_> = segments.iter().map(|segment| encoded(segment)).collect();
        let pairs: Vec<_> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let mark = if pairs.is_empty() { "" } else { "?" };
        let text = format!("{}{}{mark}{}", self.0, path.join("/"), pairs.join("&"));
        text.parse().expect("a checked base followed by percent-encoded ASCII is an address")
    }

    /// The same address without its query.
    pub(crate) fn bare(&self, uri: &Uri) -> Uri {
        let mut url = self.0.clone();
        url.set_path(uri.path());
        url.as_str().parse().expect("a checked base with a path of an address is an address")
    }

    /// An address from an answer, as the bank means it. A path that lacks the base's own prefix is still under it:
    /// gateways add the prefix and the bank behind them does not know (`/v1/…` at Atruvia).
    pub(crate) fn resolve(&self, href: &str) -> Option<Url> {
        let prefix = self.0.path();
        if href.starts_with('/') && !href.starts_with("//") && !href.starts_with(prefix) {
            return self.0.join(href.trim_start_matches('/')).ok();
        }
        self.0.join(href).ok()
    }

    /// The page that a link of the page at `here` leads to.
    pub(crate) fn next(&self, href: &str, here: &Uri, name: &'static str) -> Continuation {
        let on_our_side = |url: &Url| url.origin() == self.0.origin() && url.username().is_empty();
        let Some(url) = self.resolve(href).filter(on_our_side) else {
            return Continuation::Broken(Breach::ForeignLink(name));
        };
        match Uri::try_from(url.as_str()) {
            Ok(uri) if uri == *here => Continuation::Broken(Breach::LoopingLink(name)),
            Ok(uri) => Continuation::Next(NextLink(uri)),
            Err(_) => Continuation::Broken(Breach::Field(name)),
        }
    }

    /// The page at `here` again with one parameter of its query set, for standards whose pages follow by a key.
    pub(crate) fn again(&self, here: &Uri, parameter: &str, key: &str) -> Continuation {
        let Ok(mut url) = Url::parse(&here.to_string()) else { return Continuation::Broken(Breach::Field("next")) };
        let others: Vec<(String, String)> =
            url.query_pairs().into_owned().filter(|(name, _)| name != parameter).collect();
        url.query_pairs_mut().clear().extend_pairs(others).append_pair(parameter, key);
        self.next(url.as_str(), here, "next")
    }
}

/// Everything but the unreserved characters of RFC 3986 §2.3 as percent-encoded UTF-8.
fn encoded(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A page for the PSU's browser: `https`, or plain `http` on this very machine as simulated banks have it.
pub(crate) fn browsable(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Base {
        Base::new(&HttpsUrl::try_from(text.to_owned()).unwrap())
    }

    #[test]
    fn links_are_followed_on_the_banks_own_origin_alone() {
        let base = at("https://xs2a.bank.example/bg13");
        let here: Uri = "https://xs2a.bank.example/bg13/v1/accounts/1/transactions?page=1".parse().unwrap();
        for (href, there) in [
            (
                "https://xs2a.bank.example/bg13/v1/x?page=2&a=%2F",
                Some("https://xs2a.bank.example/bg13/v1/x?page=2&a=%2F"),
            ),
            ("/bg13/v1/x?page=2", Some("https://xs2a.bank.example/bg13/v1/x?page=2")),
            ("/v1/x?page=2", Some("https://xs2a.bank.example/bg13/v1/x?page=2")),
            ("v1/x?page=2", Some("https://xs2a.bank.example/bg13/v1/x?page=2")),
            ("https://xs2a.bank.example:443/bg13/v1/x", Some("https://xs2a.bank.example/bg13/v1/x")),
            ("https://evil.example/bg13/v1/x", None),
            ("//evil.example/bg13/v1/x", None),
            ("http://xs2a.bank.example/bg13/v1/x", None),
            ("https://xs2a.bank.example:8443/x", None),
            ("https://xs2a.bank.example@evil.example/x", None),
            ("https://user@xs2a.bank.example/x", None),
            ("javascript:alert(1)", None),
        ] {
            let next = base.next(href, &here, "next");
            match there {
                Some(there) => assert_eq!(next, Continuation::Next(NextLink(there.parse().unwrap())), "{href}"),
                None => assert_eq!(next, Continuation::Broken(Breach::ForeignLink("next")), "{href}"),
            }
        }
        let root = at("https://bank.example");
        assert_eq!(root.next("/\\evil.example/x", &here, "next"), Continuation::Broken(Breach::ForeignLink("next")));
        assert_eq!(base.next(&here.to_string(), &here, "next"), Continuation::Broken(Breach::LoopingLink("next")));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_id_is_one_step_of_the_path_whatever_it_holds(id in "[^\\x00-\\x1f]{1,20}", value in ".{0,10}") {
            prop_assume!(id != "." && id != "..");
            let uri = at("https://bank.example/a").resource(&["v1", &id, "x"], &[("q", &value)]);
            let url = Url::parse(&uri.to_string()).unwrap();
            prop_assert_eq!(url.path_segments().unwrap().count(), 4);
            prop_assert_eq!(url.query_pairs().collect::<Vec<_>>(), [("q".into(), value.into())]);
            prop_assert_eq!(url.host_str(), Some("bank.example"));
        }

        #[test]
        fn no_link_panics_or_leaves(href in "\\PC{0,60}") {
            let base = at("https://bank.example/a");
            if let Continuation::Next(link) = base.next(&href, &Uri::from_static("https://bank.example/"), "next") {
                prop_assert_eq!(link.0.host(), Some("bank.example"));
            }
        }
    }
}
