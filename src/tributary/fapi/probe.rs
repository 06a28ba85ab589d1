//! The probe: every step of a login in order, each written down, and silence after the first that is refused.

mod consent;
mod elsewhere;
mod registration;

use std::path::Path;

use bytes::Bytes;
use domain::world::{Clock as _, World};
use fapi::Refusal;
use fapi::call::Call;
use fapi::keys::KeySet;
use fapi::login::{Callback, PendingLogin, RedeemableCode};
use fapi::metadata::{self, Document, Metadata};
use fapi::profile::ResponseForm;
use fapi::request::{AuthorizationRequest, Begun, Departure};
use fapi::token::{Redeemed, Tokens};
use http::{Request, Response};
use jiff::fmt::rfc2822::DateTimePrinter;
use net::TransportError;
use secrecy::SecretString;
use serde::Serialize;
use url::Url;
use vault::SystemEntropy;

use super::files::Setup;
use super::walk::{self, Lost};
use super::{Line, ProbeArgs, Trace};
use crate::clock::SystemClock;

/// How a probe went.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether every step passed.
    pub(super) ok: bool,
    /// The last step.
    pub(super) stage: &'static str,
    /// The code of the check that refused.
    pub(super) reason: Option<String>,
    /// Every step that was begun, in order.
    pub(super) steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    /// Its name.
    pub(super) name: &'static str,
    /// Whether it passed.
    pub(super) ok: bool,
    /// What came of it, in a sentence without secrets.
    pub(super) detail: String,
}

/// Why a step did not pass.
enum Stop {
    Refused(Refusal),
    Transport(TransportError),
    Lost(Lost),
    /// The resource server did not like the token.
    Resource(u16),
    /// The bank made no consent.
    Consent(&'static str, u16),
    /// The trace could not be written.
    Ours(anyhow::Error),
}

/// Code of a resource call that was not answered with success.
const RESOURCE_REFUSED: &str = "resource.request.refused";
/// Code of what stops on our side.
const OURS: &str = "trace.file.invalid";

/// Reasons of the probe's own.
pub(super) const REASONS: [(&str, &str); 4] = [
    (RESOURCE_REFUSED, "the resource server does not take the access token or the request"),
    (consent::REFUSED, "the bank made no consent"),
    (consent::MISSING, "the bank's answer does not name the consent where the profile says"),
    (OURS, "the trace cannot be written, or our files contradict each other"),
];

impl Stop {
    fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Transport(error) => error.code(),
            Self::Lost(lost) => lost.code,
            Self::Resource(_) => RESOURCE_REFUSED,
            Self::Consent(code, _) => code,
            Self::Ours(_) => OURS,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Refused(refusal) => format!("{} ({})", refusal.detail, refusal.reference),
            Self::Transport(error) => error.to_string(),
            Self::Lost(lost) => lost.detail.clone(),
            Self::Resource(status) => format!("the resource server answered {status}"),
            Self::Consent(_, status) => format!("the consent resource answered {status}"),
            Self::Ours(error) => format!("{error:#}"),
        }
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<TransportError> for Stop {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

/// Somebody who logs in once.
pub(super) struct Probe {
    setup: Setup,
    trace: Trace,
    steps: Vec<Step>,
}

/// What a step gives to the next, and what there is to say about it.
type Passed<T> = Result<(T, String), Stop>;

impl Probe {
    pub(super) fn new(setup: Setup, trace: Option<&Path>) -> anyhow::Result<Self> {
        Ok(Self { setup, trace: Trace::open(trace)?, steps: Vec::new() })
    }

    /// The whole login. The report says how far it came.
    pub(super) async fn run(&mut self, asked: &ProbeArgs) -> Report {
        let outcome = self.whole(asked).await;
        let stage = self.steps.last().map_or("discovery", |step| step.name);
        let reason = outcome.err().map(|stop| stop.code().to_owned());
        Report { ok: reason.is_none(), stage, reason, steps: std::mem::take(&mut self.steps) }
    }

    async fn whole(&mut self, asked: &ProbeArgs) -> Result<(), Stop> {
        let passed = self.discover().await;
        let metadata = self.note("discovery", passed)?;
        if !asked.register {
            return self.login(&metadata, asked).await;
        }
        let passed = self.become_client(&metadata).await;
        let registered = self.note("registration", passed)?;
        self.login(&metadata, asked).await?;
        let passed = self.manage(&metadata, registered).await;
        self.note("management", passed)
    }

    async fn login(&mut self, metadata: &Metadata, asked: &ProbeArgs) -> Result<(), Stop> {
        let request = self.what_is_asked(metadata, asked).await?;
        let (redeemed, mut keys) = match asked.user.asked_for(&request) {
            Some(request) => (self.ask_elsewhere(metadata, &request, asked.user.ping).await?, KeySet::empty()),
            None => self.by_browser(metadata, &request, &asked.form).await?,
        };
        if redeemed.needs_keys() && keys.is_empty() {
            let passed = self.fetch_keys(metadata).await;
            keys = self.note("jwks", passed)?;
        }
        let passed = self.check(metadata, &redeemed, &keys).await;
        let tokens = self.note("id_token", passed)?;
        if let Some(url) = &asked.resource {
            let passed = self.read_resource(url, &asked.header, &tokens).await;
            self.note("resource", passed)?;
        }
        if asked.stop_at_resource {
            return Ok(());
        }
        let passed = self.refresh(metadata, &tokens).await;
        self.note("refresh", passed)?;
        if tokens.arrangement.is_none() {
            return Ok(());
        }
        let passed = self.end_arrangement(metadata, &tokens).await;
        self.note("arrangement", passed)
    }

    /// What is asked of the user, after the bank made what is to be authorised, where that is for us to do.
    async fn what_is_asked(&mut self, metadata: &Metadata, asked: &ProbeArgs) -> Result<AuthorizationRequest, Stop> {
        let mut intent = asked.intent.clone();
        if let (None, Some(resource)) = (&intent, self.setup.consent.take()) {
            let passed = self.open_consent(metadata, &resource).await;
            intent = Some(self.note("consent", passed)?);
        }
        self.setup.asking.request(intent.as_deref()).map_err(Stop::Ours)
    }

    async fn end_arrangement(&mut self, metadata: &Metadata, tokens: &Tokens) -> Passed<()> {
        self.send(self.setup.client.revoke_arrangement(metadata, tokens, &world())).await?;
        Ok(((), "the arrangement of this login is ended".to_owned()))
    }

    /// From the request to the token response, with the keys that were needed on the way.
    async fn by_browser(
        &mut self,
        metadata: &Metadata,
        request: &AuthorizationRequest,
        answers: &[(String, SecretString)],
    ) -> Result<(Redeemed, KeySet), Stop> {
        let passed = self.depart(metadata, request).await;
        let departure = self.note("request", passed)?;
        let passed = self.authorise(&departure, answers).await;
        let callback = self.note("authorization", passed)?;
        let mut keys = KeySet::empty();
        if self.setup.client.security().response.is_signed() {
            let passed = self.fetch_keys(metadata).await;
            keys = self.note("jwks", passed)?;
        }
        let passed = self.come_back(metadata, departure.login, &callback, &keys).await;
        let code = self.note("callback", passed)?;
        let passed = self.redeem(metadata, code).await;
        let redeemed = self.note("token", passed)?;
        Ok((redeemed, keys))
    }

    /// Writes a step down.
    fn note<T>(&mut self, name: &'static str, passed: Passed<T>) -> Result<T, Stop> {
        let (ok, detail) = match &passed {
            Ok((_, detail)) => (true, detail.clone()),
            Err(stop) => (false, stop.detail()),
        };
        self.steps.push(Step { name, ok, detail });
        passed.map(|(value, _)| value)
    }

    async fn discover(&mut self) -> Passed<Metadata> {
        let security = self.setup.client.security();
        let call = metadata::discover(&self.setup.issuer, Document::OpenId, self.setup.environment, security);
        let metadata = self.send(call).await?;
        let detail = format!("{} says of itself where it is", metadata.issuer());
        Ok((metadata, detail))
    }

    async fn depart(&mut self, metadata: &Metadata, request: &AuthorizationRequest) -> Passed<Departure> {
        match self.setup.client.begin(metadata, request, &world())? {
            Begun::Ready(departure) => Ok((departure, "the browser carries the request".to_owned())),
            Begun::Push(call) => {
                let departure = self.send(Ok(call)).await?;
                let detail = format!("pushed; the reference works until {}", departure.redirect_until);
                Ok((departure, detail))
            }
        }
    }

    async fn authorise(&mut self, departure: &Departure, answers: &[(String, SecretString)]) -> Passed<Url> {
        let home = walk::home(&mut self.setup.browser, &departure.redirect, answers).await;
        let outcome = home.as_ref().map(|_| 302).map_err(|lost| lost.code);
        self.write_down("GET", departure.redirect.clone(), outcome)?;
        let home = home.map_err(Stop::Lost)?;
        Ok((home.url, format!("the browser came back after {} redirects", home.hops)))
    }

    async fn fetch_keys(&mut self, metadata: &Metadata) -> Passed<KeySet> {
        let keys = self.send(self.setup.client.keys(metadata)).await?;
        let detail = format!("{} keys can be used", keys.len());
        Ok((keys, detail))
    }

    /// The fragment where the response comes in one, else the query; the other counts for nothing. An unknown key is looked
    /// for once more, before the verdict.
    async fn come_back(
        &mut self,
        metadata: &Metadata,
        login: PendingLogin,
        home: &Url,
        keys: &KeySet,
    ) -> Passed<RedeemableCode> {
        let in_fragment = self.setup.client.security().response == ResponseForm::Hybrid;
        let text = if in_fragment { home.fragment() } else { home.query() }.unwrap_or_default();
        let again = PendingLogin::from_bytes(&login.to_bytes());
        let finished = login.finish(Callback::parse(text)?, keys, SystemClock.now());
        let code = match (finished, again) {
            (Err(refusal), Ok(again)) if refusal.is_unknown_key() => {
                let (keys, _) = self.fetch_keys(metadata).await?;
                again.finish(Callback::parse(text)?, &keys, SystemClock.now())?
            }
            (finished, _) => finished?,
        };
        Ok((code, "a code from the right server for this login".to_owned()))
    }

    async fn redeem(&mut self, metadata: &Metadata, code: RedeemableCode) -> Passed<Redeemed> {
        let redeemed = self.send(self.setup.client.redeem(metadata, code, &world())).await?;
        Ok((redeemed, "the code was redeemed".to_owned()))
    }

    async fn check(&mut self, metadata: &Metadata, redeemed: &Redeemed, keys: &KeySet) -> Passed<Tokens> {
        let tokens = match redeemed.check(keys, SystemClock.now()) {
            Err(refusal) if refusal.is_unknown_key() => {
                let (keys, _) = self.fetch_keys(metadata).await?;
                redeemed.check(&keys, SystemClock.now())?
            }
            checked => checked?,
        };
        let detail = match &tokens.identity {
            Some(identity) => {
                format!("issued at {}, acr {}", identity.issued_at, identity.acr.as_deref().unwrap_or("not told"))
            }
            None => "none was asked for".to_owned(),
        };
        Ok((tokens, detail))
    }

    async fn read_resource(&mut self, url: &Url, headers: &[(String, String)], tokens: &Tokens) -> Passed<()> {
        let moment = DateTimePrinter::new().timestamp_to_rfc9110_string(&SystemClock.now());
        let mut request = Request::get(url.as_str())
            .header("accept", "application/json")
            .header("x-fapi-auth-date", moment.map_err(|error| Stop::Ours(error.into()))?)
            .header("x-fapi-interaction-id", world().uuid().to_string());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Bytes::new()).map_err(|error| Stop::Ours(error.into()))?;
        let answer = self.send(self.setup.client.resource(request, tokens, &world())).await?;
        let status = answer.status();
        if !status.is_success() {
            return Err(Stop::Resource(status.as_u16()));
        }
        Ok(((), format!("answered {} with {} bytes", status.as_u16(), answer.body().len())))
    }

    async fn refresh(&mut self, metadata: &Metadata, tokens: &Tokens) -> Passed<()> {
        if tokens.refresh_token.is_none() {
            return Ok(((), "the server gave no refresh token".to_owned()));
        }
        // Twice, since the second shows whether a rotated token was taken over.
        let second = self.refreshed(metadata, tokens).await?;
        self.refreshed(metadata, &second).await?;
        Ok(((), "refreshed twice".to_owned()))
    }

    async fn refreshed(&mut self, metadata: &Metadata, tokens: &Tokens) -> Result<Tokens, Stop> {
        let refreshed = self.send(self.setup.client.refresh(metadata, tokens, &world())).await?;
        refreshed.granted().map_err(|unusable| unusable.refusal.into())
    }

    /// Moves a call. A server that wants a nonce first is answered once.
    async fn send<T>(&mut self, call: Result<Call<T, Refusal>, Refusal>) -> Result<T, Stop> {
        let mut call = call?;
        let mut answer = self.exchange(call.request.clone()).await?;
        if let Some(again) = call.challenged(&answer, &world()) {
            answer = self.exchange(again?).await?;
        }
        Ok(call.read(answer, SystemClock.now())?)
    }

    async fn exchange(&mut self, request: Request<Bytes>) -> Result<Response<Bytes>, Stop> {
        let (method, uri) = (request.method().clone(), request.uri().to_string());
        let answer = self.setup.http.send(request).await;
        let outcome = answer.as_ref().map(|answer| answer.status().as_u16()).map_err(TransportError::code);
        if let Ok(url) = Url::parse(&uri) {
            self.write_down(method.as_str(), url, outcome)?;
        }
        Ok(answer?)
    }

    fn write_down(&mut self, method: &str, mut url: Url, outcome: Result<u16, &'static str>) -> Result<(), Stop> {
        url.set_query(None);
        url.set_fragment(None);
        let (status, error) = (outcome.ok(), outcome.err());
        let line = Line { at: SystemClock.now(), method, url: url.into(), status, error };
        self.trace.write(&line).map_err(Stop::Ours)
    }
}

fn world() -> World<'static> {
    World { now: SystemClock.now(), entropy: &SystemEntropy }
}
