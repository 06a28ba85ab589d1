//! Delivery of events to endpoints: in order, at least once, one at a time, until the receiver takes it or is given up.
//!
//! A job stands for an endpoint's stream, not for one event: its lease makes sure that nobody else sends from the same
//! stream. What is at the head is sent, its outcome is committed, and then the next. A node that dies in between sends
//! the head again, under the same `webhook-id`.

use bytes::Bytes;
use domain::event::EventType;
use domain::ids::{AttemptId, EndpointId, TenantId};
use domain::limits;
use domain::webhook::{Change, Outcome};
use domain::world::World;
use http::{Request, StatusCode, header};
use jiff::SignedDuration;
use jiff::fmt::rfc2822;
use serde_json::json;
use store::deliveries::{Attempt, Delivery};
use store::webhooks::Endpoint;
use store::{StoreError, TenantTx, deliveries, webhooks};
use url::Url;

use crate::app::App;
use crate::fault;
use crate::services::ServiceError;
use crate::services::events::{emit, envelope};
use crate::services::fetch::Verdict;
use crate::services::signatures::{self, SigningSecret};

/// Who receives: one client for the world over https, and where it is allowed one for this machine without.
pub struct Receivers {
    anywhere: net::Client,
    here: Option<net::Client>,
}

impl Receivers {
    /// Makes the clients. With `allow_loopback` receivers may also be on this machine, over plain http as well.
    ///
    /// # Errors
    /// The TLS settings cannot be used together.
    pub fn new(
        roots: net::Roots,
        allow_loopback: bool,
        limits: net::Limits,
        clock: std::sync::Arc<dyn domain::world::Clock>,
    ) -> Result<Self, net::ClientError> {
        let client = |egress| {
            net::Client::new(net::ClientConfig {
                identity: None,
                roots: roots.clone(),
                egress,
                limits,
                post_quantum: true,
                resumption: true,
                clock: clock.clone(),
            })
        };
        let anywhere = if allow_loopback { net::Egress::loopback_allowed() } else { net::Egress::public() };
        let here = allow_loopback.then(|| client(net::Egress::plain_loopback())).transpose()?;
        Ok(Self { anywhere: client(anywhere)?, here })
    }

    /// The client that may reach an address, as far as it can be told before its host is resolved.
    pub(crate) fn to(&self, url: &Url) -> Option<&net::Client> {
        match url.scheme() {
            "https" => Some(&self.anywhere),
            _ => self.here.as_ref(),
        }
    }

    /// Whether an address may be an endpoint.
    pub fn admit(&self, url: &Url) -> bool {
        url.fragment().is_none() && self.to(url).is_some_and(|client| client.egress().admits(url))
    }
}

/// What a look at the head of a stream led to.
enum Step {
    /// It was delivered: the next.
    Delivered,
    /// Nothing is to be sent now; what is added, or a resumption, asks again.
    Nothing,
    /// Not before that moment.
    Later(jiff::Timestamp),
}

/// Sends what waits in an endpoint's stream, in order, until something is not taken.
///
/// # Errors
/// Our own trouble; what the receiver does is part of the verdict.
pub async fn run(app: &App, tenant: TenantId, endpoint: EndpointId) -> Result<Verdict, ServiceError> {
    for _ in 0..limits::WEBHOOK_BATCH {
        match head(app, tenant, endpoint).await? {
            Step::Delivered => {}
            Step::Nothing => return Ok(Verdict::Done),
            Step::Later(at) => return Ok(Verdict::Again(at)),
        }
    }
    Ok(Verdict::Again(app.clock.now()))
}

async fn head(app: &App, tenant: TenantId, id: EndpointId) -> Result<Step, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(tenant).await?;
    let endpoint = match webhooks::get(&mut tx, id).await {
        Ok(endpoint) => endpoint,
        Err(StoreError::NotFound(_)) => return Ok(Step::Nothing),
        Err(error) => return Err(error.into()),
    };
    if !endpoint.health.state.sends() {
        return Ok(Step::Nothing);
    }
    // A new event asks for the job at once; a receiver that is to be left alone is left alone nevertheless.
    if let Some(at) = endpoint.health.retry_at.filter(|at| *at > world.now) {
        return Ok(Step::Later(at));
    }
    let Some(delivery) = deliveries::head(&mut tx, id).await? else { return Ok(Step::Nothing) };
    let secrets = SigningSecret::all(app, &mut tx, &world, id).await?;
    tx.commit().await?;
    let sent = send(app, tenant, &endpoint, &delivery, &secrets).await?;
    fault::point("delivery.sent");
    let step = settle(app, tenant, id, &delivery, sent).await?;
    fault::point("delivery.settled");
    Ok(step)
}

/// What came back.
struct Sent {
    outcome: Outcome,
    word: String,
    status: Option<StatusCode>,
    latency_ms: u32,
}

async fn send(
    app: &App,
    tenant: TenantId,
    endpoint: &Endpoint,
    delivery: &Delivery,
    secrets: &[SigningSecret],
) -> Result<Sent, ServiceError> {
    let request = request(app, tenant, endpoint, delivery, secrets)?;
    let url = Url::parse(&endpoint.url).ok();
    let Some(client) = url.as_ref().and_then(|url| app.receivers.to(url)) else {
        // It was allowed once; the setting has changed.
        let outcome = Outcome::Failed { retry_after: None };
        return Ok(Sent { outcome, word: "egress.refused".to_owned(), status: None, latency_ms: 0 });
    };
    let (took, answer) = client.notify(request).await;
    let latency_ms = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
    Ok(match answer {
        Ok(head) => {
            let (outcome, word) = judge(&head, &app.world());
            Sent { outcome, word: word.to_owned(), status: Some(head.status), latency_ms }
        }
        Err(error) => {
            let outcome = Outcome::Failed { retry_after: None };
            Sent { outcome, word: error.code().to_owned(), status: None, latency_ms }
        }
    })
}

fn request(
    app: &App,
    tenant: TenantId,
    endpoint: &Endpoint,
    delivery: &Delivery,
    secrets: &[SigningSecret],
) -> Result<Request<Bytes>, ServiceError> {
    let body = Bytes::from(envelope(app, tenant, delivery.seq, &delivery.event).to_string());
    let id = delivery.event.id.to_string();
    // Signed anew for every attempt: receivers refuse what is older than five minutes.
    let timestamp = app.clock.now().as_second();
    let signature = signatures::header(secrets, &id, timestamp, &body);
    let request = Request::post(&endpoint.url)
        .header(header::CONTENT_TYPE, "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signature)
        .body(body);
    Ok(request.map_err(anyhow::Error::new)?)
}

/// What an answer means.
fn judge(head: &net::Head, world: &World<'_>) -> (Outcome, &'static str) {
    match head.status {
        status if status.is_success() => (Outcome::Delivered, "delivered"),
        StatusCode::GONE => (Outcome::Gone, "gone"),
        _ => (Outcome::Failed { retry_after: retry_after(head, world) }, "refused"),
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110 §10.2.3).
fn retry_after(head: &net::Head, world: &World<'_>) -> Option<SignedDuration> {
    let text = head.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(SignedDuration::from_secs(seconds.into()));
    }
    // An IMF-fixdate is an RFC 2822 date whose zone is always called GMT.
    let date = rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok()?;
    Some(date.duration_since(world.now))
}

/// Keeps what came of an attempt, in the log and in how the endpoint fares.
async fn settle(
    app: &App,
    tenant: TenantId,
    id: EndpointId,
    delivery: &Delivery,
    sent: Sent,
) -> Result<Step, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(tenant).await?;
    let before = match webhooks::lock(&mut tx, id).await {
        Ok(endpoint) => endpoint,
        // Its product removed it meanwhile.
        Err(StoreError::NotFound(_)) => return Ok(Step::Nothing),
        Err(error) => return Err(error.into()),
    };
    let (health, change) = before.health.after(sent.outcome, world.now, u16::from_be_bytes(world.bytes()));
    let attempt = Attempt {
        id: AttemptId::new(&world),
        endpoint: id,
        seq: delivery.seq,
        event: delivery.event.id,
        kind: delivery.event.kind.clone(),
        at: world.now,
        outcome: sent.word,
        status: sent.status.map(|status| status.as_u16()),
        latency_ms: sent.latency_ms,
        retry_at: health.retry_at,
    };
    deliveries::record(&mut tx, &attempt).await?;
    let after = Endpoint { health, ..before };
    webhooks::save(&mut tx, &after).await?;
    if let Some(change) = change {
        tell(&mut tx, &world, &after, change, delivery.seq).await?;
    }
    tx.commit().await?;
    Ok(match (sent.outcome, health.retry_at) {
        (Outcome::Delivered, _) => Step::Delivered,
        (Outcome::Gone | Outcome::Failed { .. }, Some(at)) => Step::Later(at),
        (Outcome::Gone | Outcome::Failed { .. }, None) => Step::Nothing,
    })
}

/// Tells the product by its other endpoints and by `GET /v1/events`.
async fn tell(
    tx: &mut TenantTx,
    world: &World<'_>,
    endpoint: &Endpoint,
    change: Change,
    seq: i64,
) -> Result<(), ServiceError> {
    let (kind, at) = match change {
        Change::Disabled => (EventType::WebhookDisabled, "first_failed_seq"),
        Change::Recovered => (EventType::WebhookRecovered, "recovered_at_seq"),
    };
    let data = json!({
        "endpoint_id": endpoint.id.to_string(),
        "state": endpoint.health.state.word(),
        "failures": endpoint.health.failures,
        at: seq,
    });
    emit(tx, world, endpoint.product, kind, None, data).await
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    struct Zeros;

    impl domain::world::Entropy for Zeros {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    fn judged(status: u16, retry_after: Option<&str>) -> (Outcome, &'static str) {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let mut headers = HeaderMap::new();
        if let Some(text) = retry_after {
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
        }
        let head = net::Head { status: StatusCode::from_u16(status).unwrap(), headers };
        judge(&head, &World { now, entropy: &Zeros })
    }

    #[test]
    fn an_answer_means_taken_gone_or_later() {
        let failed = |secs: Option<i64>| Outcome::Failed { retry_after: secs.map(SignedDuration::from_secs) };
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judged(status, None), (Outcome::Delivered, "delivered"), "{status}");
        }
        assert_eq!(judged(410, None), (Outcome::Gone, "gone"));
        for status in [301, 302, 307, 400, 401, 404, 500, 502, 504] {
            assert_eq!(judged(status, None), (failed(None), "refused"), "{status}");
        }
        for (text, seconds) in [
            ("120", Some(120)),
            ("Sat, 21 Nov 2026 12:01:30 GMT", Some(90)),
            ("Sat, 21 Nov 2026 11:59:00 GMT", Some(-60)),
            ("-5", None),
            ("soon", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(judged(429, Some(text)).0, failed(seconds), "{text}");
            assert_eq!(judged(503, Some(text)).0, failed(seconds), "{text}");
        }
    }
}
