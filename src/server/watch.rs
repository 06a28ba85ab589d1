//! Watches for bursts of failed logins, for guesses and for unusual reads, and says so: on the record, in a metric, in the
//! log and at the console.
//!
//! Counts are kept in memory, on each node by itself, and hold no address longer than its window: what is stored is the
//! alert. What a request asked for is not looked at, only what was answered.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use domain::alert::{Kind, is_alert};
use domain::ids::ApiKeyId;
use domain::world::World;
use evidence::Subject;
use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::json;
use store::TenantTx;
use store::alerts::{self, Alert};

use crate::app::App;
use crate::services::ServiceError;
use crate::{evidence_log, peer};

/// Subjects that are counted at a time; of more, the oldest windows are forgotten.
const SUBJECTS_MAX: usize = 20_000;
/// Bits of an IPv6 address that tell one customer of a network from another.
const NETWORK_BITS: u8 = 64;

/// What is counted of one subject.
#[derive(Debug, Clone, Copy)]
struct Window {
    began: Timestamp,
    number: u64,
    raised: bool,
    /// Mean of the windows before it.
    usual: u64,
}

/// The counts of this node.
#[derive(Debug, Default)]
pub struct Watch(Mutex<HashMap<(Kind, String), Window>>);

impl Watch {
    /// Counts; gives the number where it becomes an alert.
    fn count(&self, kind: Kind, subject: &str, by: u64, now: Timestamp) -> Option<u64> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= SUBJECTS_MAX {
            let age = |window: &Window| now.duration_since(window.began).as_secs();
            seen.retain(|(kind, _), window| age(window) < kind.window_seconds());
            if seen.len() >= SUBJECTS_MAX {
                // Strangers have as many addresses as they like; of our own names there are few.
                seen.retain(|(kind, _), _| !kind.is_of_addresses());
            }
        }
        let fresh = Window { began: now, number: 0, raised: false, usual: 0 };
        let window = seen.entry((kind, subject.to_owned())).or_insert(fresh);
        let over = now.duration_since(window.began).as_secs() >= kind.window_seconds();
        if over {
            // The mean moves a quarter of the way: a day of more makes more usual, an hour of it does not.
            let usual = if window.usual == 0 { window.number } else { (3 * window.usual + window.number) / 4 };
            *window = Window { usual, ..fresh };
        }
        window.number = window.number.saturating_add(by);
        let alert = !window.raised && is_alert(kind, window.number, window.usual);
        window.raised |= alert;
        alert.then_some(window.number)
    }
}

/// Counts something in a transaction of its own, and raises the alert where it becomes one. A failure to write it is our
/// trouble and nobody else's.
pub(crate) async fn count(app: &App, kind: Kind, subject: &str, by: u64) {
    let Some(number) = app.watch.count(kind, subject, by, app.clock.now()) else { return };
    let written = async {
        let mut tx = app.store.tenant_tx(app.tenant.id).await?;
        raise(app, &mut tx, &app.world(), (kind, subject, number)).await?;
        Ok::<_, ServiceError>(tx.commit().await?)
    };
    if let Err(error) = written.await {
        tracing::error!(error = format!("{error:#}"), "an alert was not written down");
    }
}

/// Counts something in the transaction in which it is done.
///
/// # Errors
/// The database's or the key provider's.
pub(crate) async fn count_in(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    (kind, subject): (Kind, &str),
    by: usize,
) -> Result<(), ServiceError> {
    let by = u64::try_from(by).unwrap_or(u64::MAX);
    match app.watch.count(kind, subject, by, world.now) {
        Some(number) => raise(app, tx, world, (kind, subject, number)).await,
        None => Ok(()),
    }
}

async fn raise(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    (kind, subject, number): (Kind, &str, u64),
) -> Result<(), ServiceError> {
    // An address may be a person's, and anybody can bring another one: it stays in the alert, which expires, and out of our log
    // and the evidence, which do not.
    let named = (!kind.is_of_addresses()).then_some(subject);
    metrics::counter!("tributary_alerts_total", "kind" => kind.word()).increment(1);
    tracing::warn!(kind = kind.word(), subject = named, number, "somebody should look at this");
    let alert = Alert {
        id: world.uuid(),
        kind: kind.word().to_owned(),
        subject: subject.to_owned(),
        number: i64::try_from(number).unwrap_or(i64::MAX),
        raised_at: world.now,
    };
    alerts::insert(tx, &alert).await?;
    let Some(named) = named else { return Ok(()) };
    let body = json!({ "alert": alert.id.to_string(), "kind": kind.word(), "subject": named, "number": number });
    let tenant = Subject::Tenant(tx.tenant());
    evidence_log::record_of(app, tx, world, tenant, "alert.raised", &body).await
}

/// Where whoever recognises a key leaves it, for the count of the answer.
#[derive(Debug, Clone, Default)]
struct Slot(Arc<OnceLock<ApiKeyId>>);

/// Notes the key of a request.
pub(crate) fn note(parts: &Parts, key: ApiKeyId) {
    if let Some(Slot(slot)) = parts.extensions.get::<Slot>() {
        // A request shows one key; what was found first stays.
        let _ = slot.set(key);
    }
}

/// Looks at every answer.
pub(crate) async fn seen(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let slot = Slot::default();
    parts.extensions.insert(slot.clone());
    let client = peer::address(&parts, &app.trusted_proxies).map(network);
    let path = Path::of(parts.uri.path());
    let answer = next.run(Request::from_parts(parts, body)).await;
    let key = slot.0.get().map(ToString::to_string);
    if let Some((kind, subject)) = suspect(path, answer.status(), key, client) {
        count(&app, kind, &subject, 1).await;
    }
    answer
}

/// Kinds of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Programs,
    Console,
    People,
    Other,
}

impl Path {
    fn of(path: &str) -> Self {
        match path {
            path if path.starts_with("/v1/") || path.starts_with("/oauth/") || path.starts_with("/api/v2/") => {
                Self::Programs
            }
            path if path.starts_with("/console/") => Self::Console,
            path if path.starts_with("/link/") || path.starts_with("/my/") || path.starts_with("/callback/") => {
                Self::People
            }
            _ => Self::Other,
        }
    }
}

/// What an answer is a sign of, and whose.
fn suspect(path: Path, status: StatusCode, key: Option<String>, client: Option<String>) -> Option<(Kind, String)> {
    match (path, status, key) {
        (Path::Programs, StatusCode::UNAUTHORIZED, _) => Some((Kind::FailedLogins, client?)),
        (Path::Programs, StatusCode::NOT_FOUND, Some(key)) => Some((Kind::Enumeration, key)),
        (Path::Console, StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST, _) => Some((Kind::FailedStaffLogins, client?)),
        (Path::People, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN, _) => Some((Kind::GuessedLinks, client?)),
        _ => None,
    }
}

/// An address as far as it tells one customer of a network from another.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            IpNet::new(address.into(), NETWORK_BITS).map_or_else(|_| address.to_string(), |net| net.trunc().to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    const BEGIN: Timestamp = Timestamp::constant(1_795_252_000, 0);

    fn later(seconds: i64) -> Timestamp {
        BEGIN.saturating_add(SignedDuration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn a_burst_raises_one_alert_in_each_window_and_a_trickle_none() {
        let watch = Watch::default();
        let raised: Vec<_> = (0..60).filter_map(|at| watch.count(Kind::FailedLogins, "a", 1, later(at))).collect();
        assert_eq!(raised, [20]);
        assert_eq!(watch.count(Kind::FailedLogins, "b", 1, BEGIN), None, "each subject by itself");
        let again: Vec<_> = (0..60).filter_map(|at| watch.count(Kind::FailedLogins, "a", 1, later(301 + at))).collect();
        assert_eq!(again, [20]);
        let trickle = Watch::default();
        assert!((0..500).all(|at| trickle.count(Kind::FailedLogins, "a", 1, later(16 * at)).is_none()));
    }

    #[test]
    fn many_reads_are_unusual_for_who_reads_few() {
        let hour = 3600;
        let (busy, quiet) = (Watch::default(), Watch::default());
        busy.count(Kind::UnusualReads, "k", 15_000, BEGIN);
        quiet.count(Kind::UnusualReads, "k", 500, BEGIN);
        assert_eq!(busy.count(Kind::UnusualReads, "k", 60_000, later(hour)), None);
        assert_eq!(quiet.count(Kind::UnusualReads, "k", 60_000, later(hour)), Some(60_000));
        assert_eq!(
            Watch::default().count(Kind::UnusualReads, "k", 60_000, BEGIN),
            Some(60_000),
            "a new key that dumps"
        );
    }

    #[test]
    fn counting_takes_no_more_room_the_more_addresses_somebody_has() {
        let watch = Watch::default();
        for number in 0..SUBJECTS_MAX + 10 {
            watch.count(Kind::FailedLogins, &number.to_string(), 1, BEGIN);
        }
        assert!(watch.0.lock().unwrap().len() <= SUBJECTS_MAX);
    }

    #[test]
    fn an_answer_is_a_sign_of_one_thing_at_most() {
        let (key, client) = (Some("key_1".to_owned()), Some("192.0.2.1".to_owned()));
        for (path, status, with_key, expected) in [
            ("/v1/consents", 401, false, Some(Kind::FailedLogins)),
            ("/oauth/token", 401, false, Some(Kind::FailedLogins)),
            ("/api/v2/token/new/", 401, false, Some(Kind::FailedLogins)),
            ("/v1/accounts/acc_1", 404, true, Some(Kind::Enumeration)),
            ("/v1/nothing", 404, false, None),
            ("/v1/accounts", 200, true, None),
            ("/v1/accounts", 503, true, None),
            ("/console/callback", 400, false, Some(Kind::FailedStaffLogins)),
            ("/console/login", 200, false, None),
            ("/link/trb_link_x", 404, false, Some(Kind::GuessedLinks)),
            ("/my/stop/x", 403, false, Some(Kind::GuessedLinks)),
            ("/favicon.png", 404, false, None),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let key = key.clone().filter(|_| with_key);
            let found = suspect(Path::of(path), status, key, client.clone());
            assert_eq!(found.map(|(kind, _)| kind), expected, "{path}");
        }
    }

    #[test]
    fn neighbours_in_one_network_count_together() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
    }
}
