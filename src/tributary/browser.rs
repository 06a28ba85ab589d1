//! Somebody with a browser, without a screen and without script. Opens pages over the network, keeps cookies, follows
//! redirects, fills forms in and presses buttons.

pub(crate) mod page;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, REFERRER_POLICY, SET_COOKIE, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode};
use url::Url;

use self::page::{Form, Page};

/// Redirects in a row before the person gives up.
const REDIRECTS_MAX: usize = 10;

/// A browser.
pub(crate) struct Browser {
    http: net::Client,
    /// By host: ports share their cookies, as in every browser.
    jar: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether the page in view wants its address kept to itself; then forms on it say `Origin: null`.
    no_referrer: bool,
    /// Where the journey ends: a redirect to this address is noted and not followed.
    home: Option<Url>,
}

/// How an address relates to the page that leads to it (Fetch Metadata §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Site {
    /// The same scheme, host and port.
    Here,
    /// The same host at another port.
    NextDoor,
    /// Anywhere else.
    Elsewhere,
}

impl Site {
    fn between(from: &Url, to: &Url) -> Self {
        match from.origin() == to.origin() {
            true => Self::Here,
            false if from.scheme() == to.scheme() && from.host() == to.host() => Self::NextDoor,
            false => Self::Elsewhere,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Here => "same-origin",
            Self::NextDoor => "same-site",
            Self::Elsewhere => "cross-site",
        }
    }
}

impl Browser {
    /// A browser with an empty jar.
    pub(crate) const fn new(http: net::Client) -> Self {
        Self { http, jar: BTreeMap::new(), no_referrer: false, home: None }
    }

    /// The same browser, in the hands of somebody who only wants to know what it is sent home with: a redirect to this
    /// address, whatever its query and fragment, ends the journey there, on an empty page.
    pub(crate) fn until(self, home: Url) -> Self {
        Self { home: Some(home), ..self }
    }

    /// Whether an address is the end of the journey.
    pub(crate) fn is_home(&self, url: &Url) -> bool {
        self.home.as_ref().is_some_and(|home| home.origin() == url.origin() && home.path() == url.path())
    }

    /// Types an address in, or follows a link from another program.
    ///
    /// # Errors
    /// No answer, a server's error, or redirects without an end.
    pub(crate) async fn open(&mut self, url: &Url) -> anyhow::Result<Page> {
        self.go(Request::get(url.as_str()).header("sec-fetch-site", "none"), Bytes::new(), None, url.clone()).await
    }

    /// Sends a form of the page in view, with these answers in place of what stands in it.
    ///
    /// # Errors
    /// As [`Browser::open`]; also when the form does not ask what was answered.
    pub(crate) async fn submit(&mut self, page: &Page, form: &Form, answers: &[(&str, &str)]) -> anyhow::Result<Page> {
        let to = page.url.join(&form.action).context("the form leads nowhere")?;
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form.filled(answers)?).finish();
        // Fetch §3.2.2: a page that sends no referrer sends no origin either.
        let origin = if self.no_referrer { "null".to_owned() } else { page.url.origin().ascii_serialization() };
        let request = Request::post(to.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("origin", origin)
            .header("sec-fetch-site", Site::between(&page.url, &to).word());
        self.go(request, body.into(), Some(&page.url), to).await
    }

    /// One request and the redirects behind it.
    async fn go(
        &mut self,
        first: http::request::Builder,
        body: Bytes,
        from: Option<&Url>,
        to: Url,
    ) -> anyhow::Result<Page> {
        let (mut request, mut body, mut url) = (first, body, to);
        let (mut through, mut site) = (Vec::new(), Site::Here);
        loop {
            let answer = self.send(request, body, &url).await?;
            let Some(target) = redirect(&answer, &url)? else {
                self.no_referrer = answer.headers().get(REFERRER_POLICY).is_some_and(|policy| policy == "no-referrer");
                return arrived(answer, url, through);
            };
            ensure!(
                through.len() < REDIRECTS_MAX,
                "more than {REDIRECTS_MAX} redirects, the last one to {}",
                at(&target)
            );
            if self.is_home(&target) {
                return Ok(Page { url: target, status: answer.status(), through, html: String::new() });
            }
            // An address is as far away as the farthest one on the way to it.
            site = from.map_or(site, |from| site.max(Site::between(from, &target)));
            let word = from.map_or("none", |_| site.word());
            (request, body) = (Request::get(target.as_str()).header("sec-fetch-site", word), Bytes::new());
            url = target.clone();
            through.push(target);
        }
    }

    async fn send(
        &mut self,
        request: http::request::Builder,
        body: Bytes,
        url: &Url,
    ) -> anyhow::Result<Response<Bytes>> {
        let host = url.host_str().context("an address without a host")?.to_owned();
        let mut request = request
            .header(USER_AGENT, "Mozilla/5.0 (no screen; nobody is watching)")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        let cookies = self.jar.get(&host).filter(|cookies| !cookies.is_empty());
        if let Some(cookies) = cookies {
            let pairs: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(COOKIE, pairs.join("; "));
        }
        let request = request.body(body).context("a request that HTTP cannot carry")?;
        let answer = self.http.send(request).await.with_context(|| format!("no answer from {}", at(url)))?;
        keep(self.jar.entry(host).or_default(), answer.headers());
        Ok(answer)
    }
}

/// Puts cookies into the jar; one that is emptied or ends at once is taken out.
fn keep(jar: &mut BTreeMap<String, String>, headers: &HeaderMap) {
    for text in headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
        let mut parts = text.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
        if value.is_empty() || parts.any(|attribute| attribute.eq_ignore_ascii_case("max-age=0")) {
            jar.remove(name);
        } else {
            jar.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// Where a redirect leads. Only 303 and 302 are followed: others would send the form on, password included.
fn redirect(answer: &Response<Bytes>, url: &Url) -> anyhow::Result<Option<Url>> {
    match answer.status() {
        StatusCode::SEE_OTHER | StatusCode::FOUND => {}
        status if status.is_redirection() => bail!("{} redirects with {status}, which repeats the form", at(url)),
        _ => return Ok(None),
    }
    let target =
        answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()).context("a redirect to nowhere")?;
    Ok(Some(url.join(target).context("a redirect to something that is no address")?))
}

fn arrived(answer: Response<Bytes>, url: Url, through: Vec<Url>) -> anyhow::Result<Page> {
    let (status, body) = (answer.status(), answer.into_body());
    let html = String::from_utf8(body.into()).context("a page that is not text")?;
    let page = Page { url, status, through, html };
    ensure!(!status.is_server_error(), "{} answered {status}: “{}”", at(&page.url), page.heading());
    Ok(page)
}

/// An address without what may be secret in it.
fn at(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_come_and_go() {
        let mut jar = BTreeMap::new();
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, "__Host-a=1; Path=/; Secure; Max-Age=60".parse().unwrap());
        headers.append(SET_COOKIE, "b=2=2; HttpOnly".parse().unwrap());
        keep(&mut jar, &headers);
        assert_eq!(jar.iter().map(|(n, v)| format!("{n}:{v}")).collect::<Vec<_>>(), ["__Host-a:1", "b:2=2"]);
        headers.clear();
        headers.append(SET_COOKIE, "__Host-a=; Path=/; Max-Age=0".parse().unwrap());
        keep(&mut jar, &headers);
        assert_eq!(jar.keys().collect::<Vec<_>>(), ["b"]);
        headers.clear();
        headers.append(SET_COOKIE, "b=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT".parse().unwrap());
        keep(&mut jar, &headers);
        assert!(jar.is_empty());
    }

    #[test]
    fn home_is_an_address_whatever_comes_with_it() {
        let clock = std::sync::Arc::new(crate::clock::SystemClock);
        let pki = crate::certs::generate(&[]).unwrap();
        let http = net::Client::new(net::ClientConfig {
            identity: None,
            roots: pki.roots().unwrap(),
            egress: net::Egress::public(),
            limits: net::Limits::AUTH,
            post_quantum: false,
            resumption: false,
            clock,
        });
        let browser = Browser::new(http.unwrap());
        let url = |text: &str| Url::parse(text).unwrap();
        assert!(!browser.is_home(&url("https://tpp.example/callback")));
        let browser = browser.until(url("https://tpp.example/callback"));
        for (there, home) in [
            ("https://tpp.example/callback?code=1", true),
            ("https://tpp.example/callback#code=1", true),
            ("https://tpp.example/callback/2", false),
            ("http://tpp.example/callback", false),
            ("https://tpp.example:8443/callback", false),
        ] {
            assert_eq!(browser.is_home(&url(there)), home, "{there}");
        }
    }

    #[test]
    fn a_redirect_that_repeats_the_form_is_not_followed() {
        let url = Url::parse("http://localhost:1/login").unwrap();
        let answer =
            |status: u16, to: &str| Response::builder().status(status).header(LOCATION, to).body(Bytes::new()).unwrap();
        let followed =
            |status, to| redirect(&answer(status, to), &url).map(|target| target.map(|target| target.to_string()));
        assert_eq!(followed(303, "/consent").unwrap().as_deref(), Some("http://localhost:1/consent"));
        assert_eq!(followed(302, "https://b.example/x").unwrap().as_deref(), Some("https://b.example/x"));
        assert_eq!(followed(200, "/consent").unwrap(), None);
        assert!(followed(307, "/consent").is_err() && followed(308, "/consent").is_err());
    }

    #[test]
    fn sites_are_told_apart_as_browsers_do() {
        let url = |text: &str| Url::parse(text).unwrap();
        let here = url("http://localhost:8080/a");
        for (there, site) in [
            ("http://localhost:8080/b", Site::Here),
            ("http://localhost:9090/b", Site::NextDoor),
            ("https://localhost:8080/b", Site::Elsewhere),
            ("http://other.example/", Site::Elsewhere),
        ] {
            assert_eq!(Site::between(&here, &url(there)), site, "{there}");
        }
    }
}
