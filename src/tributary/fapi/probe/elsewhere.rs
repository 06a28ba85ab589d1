//! A login without a browser: the server asks the user on a device of theirs, and the probe asks the server until it knows.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use domain::world::Clock as _;
use fapi::Refusal;
use fapi::ciba::{BackchannelRequest, PendingAuthentication, Ping, Polled};
use fapi::metadata::Metadata;
use fapi::token::Redeemed;
use jiff::Timestamp;
use net::serve::{ServeConfig, Transport, serve};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Passed, Probe, Stop, world};
use crate::clock::SystemClock;

/// Notifications that may wait to be looked at.
const WAITING_MAX: usize = 16;

/// Where the server's notifications come in, as long as this lives.
struct Pings {
    arrived: mpsc::Receiver<Arrived>,
    _open: DropGuard,
}

/// A notification that waits for its answer.
struct Arrived {
    authorization: Option<String>,
    body: Bytes,
    answer: oneshot::Sender<StatusCode>,
}

impl Pings {
    async fn open(at: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(at).await.with_context(|| format!("cannot listen at {at}"))?;
        let (send, arrived) = mpsc::channel(WAITING_MAX);
        let take = move |headers: HeaderMap, body: Bytes| take(send.clone(), headers, body);
        let shutdown = CancellationToken::new();
        serve(listener, ServeConfig::new(Transport::Plain), Router::new().fallback(post(take)), shutdown.clone())?;
        Ok(Self { arrived, _open: shutdown.drop_guard() })
    }
}

async fn take(send: mpsc::Sender<Arrived>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (answer, answered) = oneshot::channel();
    // Nobody listens any more when the login is over.
    if send.send(Arrived { authorization, body, answer }).await.is_err() {
        return StatusCode::GONE;
    }
    answered.await.unwrap_or(StatusCode::GONE)
}

/// The next notification; without a place where they come in there is none.
async fn next(pings: Option<&mut Pings>) -> Option<Arrived> {
    match pings {
        Some(pings) => pings.arrived.recv().await,
        None => pending().await,
    }
}

impl Arrived {
    /// The login after the notification, and whether it counted. One that does not is told why (OIDC CIBA Core §10.2).
    fn matched(self, login: PendingAuthentication, now: Timestamp) -> Result<(PendingAuthentication, bool), Stop> {
        let kept = PendingAuthentication::from_bytes(&login.to_bytes()).map_err(|error| Stop::Ours(error.into()))?;
        let ping = Ping::parse(self.authorization.as_deref(), &self.body);
        let (login, status) = match ping.and_then(|ping| login.pinged(&ping, now)) {
            Ok(login) => (login, StatusCode::NO_CONTENT),
            Err(refusal) => (kept, refused(&refusal)),
        };
        // A server that does not wait for its answer gets none.
        let _ = self.answer.send(status);
        Ok((login, status == StatusCode::NO_CONTENT))
    }
}

/// A caller who is not the server hears 401, one who confuses logins 400.
fn refused(refusal: &Refusal) -> StatusCode {
    let stranger = refusal.code.starts_with("ping.notification_token.");
    if stranger { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST }
}

/// How often each side spoke.
#[derive(Default)]
struct Count {
    polls: usize,
    pings: usize,
    strange: usize,
}

impl Probe {
    /// Has the user asked elsewhere, and waits for the tokens.
    pub(super) async fn ask_elsewhere(
        &mut self,
        metadata: &Metadata,
        request: &BackchannelRequest,
        pings: Option<SocketAddr>,
    ) -> Result<Redeemed, Stop> {
        // Open before anything is asked, since a notification may be faster than the answer.
        let opened = match pings {
            Some(at) => Pings::open(at).await.map(Some).map_err(Stop::Ours),
            None => Ok(None),
        };
        let passed = match opened {
            Ok(pings) => self.begin(metadata, request).await.map(|(login, detail)| ((login, pings), detail)),
            Err(stop) => Err(stop),
        };
        let (login, pings) = self.note("request", passed)?;
        let passed = self.wait(metadata, login, pings).await;
        self.note("token", passed)
    }

    async fn begin(&mut self, metadata: &Metadata, request: &BackchannelRequest) -> Passed<PendingAuthentication> {
        let login = self.send(self.setup.client.authenticate_elsewhere(metadata, request, &world())).await?;
        let detail = format!("the user is asked elsewhere and has until {}", login.expires_at());
        Ok((login, detail))
    }

    async fn wait(
        &mut self,
        metadata: &Metadata,
        mut login: PendingAuthentication,
        mut pings: Option<Pings>,
    ) -> Passed<Redeemed> {
        let mut count = Count::default();
        loop {
            login = until_due(login, pings.as_mut(), &mut count).await?;
            count.polls += 1;
            match self.send(self.setup.client.poll(metadata, login, &world())).await? {
                Polled::Pending(again) => login = *again,
                Polled::Redeemed(redeemed) => {
                    let Count { polls, pings, strange } = count;
                    let detail = format!("polls: {polls}, notifications: {pings}, of others: {strange}");
                    return Ok((*redeemed, detail));
                }
            }
        }
    }
}

/// Waits until the server may be asked: its interval is over, or it has said that it is done.
async fn until_due(
    mut login: PendingAuthentication,
    mut pings: Option<&mut Pings>,
    count: &mut Count,
) -> Result<PendingAuthentication, Stop> {
    loop {
        let now = SystemClock.now();
        if login.next_poll_at() <= now {
            return Ok(login);
        }
        let left = Duration::try_from(login.next_poll_at().duration_since(now)).unwrap_or_default();
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            Some(arrived) = next(pings.as_deref_mut()) => {
                let counted;
                (login, counted) = arrived.matched(login, SystemClock.now())?;
                *(if counted { &mut count.pings } else { &mut count.strange }) += 1;
            }
        }
    }
}
