//! A customer without a screen: walks the pages, fills the forms, follows the redirects. For demos and tests that need a
//! person but no browser.

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, header};
use tower::ServiceExt;
use url::Url;

use crate::bank::Running;

/// Pages are small.
const PAGE_BYTES_MAX: usize = 256 * 1024;

/// What the customer does on the consent page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Leaves every offered account ticked.
    ApproveAll,
    /// Ticks the offered accounts at these positions.
    Approve(Vec<usize>),
    /// Refuses.
    Deny,
}

/// Why a visit did not end at the TPP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VisitError {
    /// The address is not one of this bank's front.
    #[error("the address is not at this bank")]
    Elsewhere,
    /// The bank showed an error page; its log says why.
    #[error("the bank answered with status {0}")]
    Stopped(StatusCode),
    /// The password was not accepted.
    #[error("the bank did not accept user name and password")]
    SignIn,
    /// A page did not have what the visitor was looking for.
    #[error("a page of the bank was not as expected")]
    Page,
}

impl Running {
    /// Opens an authorisation URL as a browser would, signs in, decides, and returns the address at the TPP to which the
    /// bank sends the browser back, with the fields of a form in its query where the bank has the browser post one.
    ///
    /// # Errors
    /// When the bank stops the visit; its log then says why.
    pub async fn visit(
        &self,
        authorization_url: &str,
        username: &str,
        password: &str,
        decision: &Decision,
    ) -> Result<Url, VisitError> {
        let path = authorization_url.strip_prefix(&self.front_base).ok_or(VisitError::Elsewhere)?;
        let mut browser = Browser { bank: self, cookie: String::new() };
        browser.get(path).await?;
        let login = browser.page("/login").await?;
        let form =
            [("csrf", field(&login, "csrf")?), ("username", username), ("password", password), ("decision", "sign_in")];
        let answer = browser.post("/login", &form).await?;
        if location(&answer) != Some("/consent") {
            return Err(VisitError::SignIn);
        }
        let consent = browser.page("/consent").await?;
        let csrf = field(&consent, "csrf")?;
        let offered: Vec<&str> = fields(&consent, "account").collect();
        let mut form = vec![("csrf", csrf), ("decision", if *decision == Decision::Deny { "deny" } else { "approve" })];
        let ticked = offered.into_iter().enumerate().filter(|(at, _)| match decision {
            Decision::ApproveAll => true,
            Decision::Approve(positions) => positions.contains(at),
            Decision::Deny => false,
        });
        form.extend(ticked.map(|(_, id)| ("account", id)));
        let answer = browser.post("/consent", &form).await?;
        if let Some(to) = location(&answer) {
            return Url::parse(to).map_err(|_| VisitError::Page);
        }
        let bytes = to_bytes(answer.into_body(), PAGE_BYTES_MAX).await.map_err(|_| VisitError::Page)?;
        posted(std::str::from_utf8(&bytes).map_err(|_| VisitError::Page)?)
    }
}

struct Browser<'b> {
    bank: &'b Running,
    cookie: String,
}

impl Browser<'_> {
    async fn get(&mut self, path: &str) -> Result<Response<Body>, VisitError> {
        self.send(Request::get(path), Body::empty()).await
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Result<Response<Body>, VisitError> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let kind = "application/x-www-form-urlencoded";
        self.send(Request::post(path).header(header::CONTENT_TYPE, kind), Body::from(body)).await
    }

    async fn page(&mut self, path: &str) -> Result<String, VisitError> {
        let answer = self.get(path).await?;
        let bytes = to_bytes(answer.into_body(), PAGE_BYTES_MAX).await.map_err(|_| VisitError::Page)?;
        String::from_utf8(bytes.into()).map_err(|_| VisitError::Page)
    }

    async fn send(&mut self, request: axum::http::request::Builder, body: Body) -> Result<Response<Body>, VisitError> {
        let request = request.header(header::COOKIE, &self.cookie).body(body).map_err(|_| VisitError::Elsewhere)?;
        let answer = self.bank.front_router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        if let Some(cookie) = answer.headers().get(header::SET_COOKIE).and_then(|value| value.to_str().ok()) {
            self.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        }
        if answer.status().is_client_error() || answer.status().is_server_error() {
            return Err(VisitError::Stopped(answer.status()));
        }
        Ok(answer)
    }
}

fn location(answer: &Response<Body>) -> Option<&str> {
    answer.headers().get(header::LOCATION)?.to_str().ok()
}

fn field<'p>(page: &'p str, name: &str) -> Result<&'p str, VisitError> {
    fields(page, name).next().ok_or(VisitError::Page)
}

/// The form that a page wants posted to the TPP, as if its fields had come in the address.
fn posted(page: &str) -> Result<Url, VisitError> {
    let action = page.split("action=\"").nth(1).and_then(|rest| rest.split('"').next()).ok_or(VisitError::Page)?;
    let mut to = Url::parse(action).map_err(|_| VisitError::Page)?;
    let names = ["code", "error", "id_token", "state"];
    let fields = names.into_iter().filter_map(|name| Some((name, field(page, name).ok()?)));
    to.query_pairs_mut().clear().extend_pairs(fields);
    Ok(to)
}

/// Values of the inputs of one name, in the order of the page. The pages are ours: attributes come as name, value.
fn fields<'p>(page: &'p str, name: &str) -> impl Iterator<Item = &'p str> {
    let mark = format!("name=\"{name}\" value=\"");
    let starts: Vec<usize> = page.match_indices(&mark).map(|(at, found)| at + found.len()).collect();
    starts.into_iter().filter_map(|start| page.get(start..)?.split('"').next())
}
