//! `/v1/events/stream`: a product's events as they come, as server-sent events (WHATWG HTML, §9.2).
//!
//! Each look for what is new is a transaction of its own that looks at the key as well: the stream of a key that was
//! withdrawn or has run out ends, as does that of a short token at its end. Events carry no bank data. The number of an
//! event is its id, so that whoever comes back with `Last-Event-ID` misses nothing and gets nothing twice.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use domain::ids::ApiKeyId;
use domain::limits;
use serde::Deserialize;
use store::events;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

use super::auth::{self, Caller, Scope};
use super::query::Query;
use crate::app::App;
use crate::problem::{ApiError, Problem};
use crate::services::events as service;

/// Between two looks when nobody rang: another node may have written.
const PAUSE: Duration = Duration::from_secs(1);
/// After so much silence a comment is sent, so that whoever stands in between keeps the connection.
const SILENCE: Duration = Duration::from_secs(15);
/// Events that one look takes.
const BATCH: u32 = 100;

/// Where the stream begins.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct StreamQuery {
    /// The number of the last event that you have; 0 or nothing: from the beginning. `Last-Event-ID` counts before it.
    #[param(minimum = 0)]
    pub after: Option<i64>,
}

/// Read the product's events as they come. Each has its number as `id`, its type as `event` and the whole of it as `data`.
/// It ends when the key does.
#[utoipa::path(
    operation_id = "stream", get, path = "/v1/events/stream", tag = "events",
    params(StreamQuery, ("Last-Event-ID" = Option<i64>, Header, description = "The number of the last event that you have")),
    responses(
        (status = 200, description = "Server-sent events", content_type = "text/event-stream"),
        (status = 401, body = Problem), (status = 422, body = Problem)
    )
)]
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<StreamQuery>,
    closing: Option<Extension<Closing>>,
) -> Result<Response, ApiError> {
    caller.may(Scope::Events)?;
    let last = match headers.get("last-event-id") {
        None => query.after.unwrap_or(0),
        Some(id) => {
            let id = id.to_str().ok().and_then(|id| id.parse().ok());
            id.ok_or_else(|| ApiError::Invalid { field: "Last-Event-ID", why: "must be a number".to_owned() })?
        }
    };
    if last < 0 {
        return Err(ApiError::Invalid { field: "after", why: "must not be negative".to_owned() });
    }
    let place = app.streams.take(caller.key).ok_or(ApiError::TooMany { seconds: PAUSE.as_secs() })?;
    let closing = closing.map(|Extension(Closing(closing))| closing).unwrap_or_default();
    let stream = Stream { app, caller, last, ready: VecDeque::new(), closing, _place: place };
    let events = futures_util::stream::unfold(stream, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(SILENCE)).into_response())
}

/// Done when the node ends, which waits for answers under way: a stream has no end of its own.
#[derive(Debug, Clone)]
pub struct Closing(pub CancellationToken);

/// A stream under way.
struct Stream {
    app: Arc<App>,
    caller: Caller,
    last: i64,
    ready: VecDeque<Event>,
    closing: CancellationToken,
    _place: Place,
}

impl Stream {
    /// The next event; `None` at the end of the key, of the node, or when something failed: the reader comes back.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let app = self.app.clone();
            // Asked for before the look: what is written meanwhile rings for the next one.
            let rung = app.work.notified();
            match super::part_in_time(self.look()).await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    tracing::info!(code = error.problem().code, "a stream of events broke off");
                    return None;
                }
            }
            if self.ready.is_empty() {
                tokio::select! {
                    () = self.closing.cancelled() => return None,
                    () = rung => {}
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }

    /// Takes what is new; `false` when the key may read no longer.
    async fn look(&mut self) -> Result<bool, ApiError> {
        let (app, caller) = (&self.app, &self.caller);
        let now = app.clock.now();
        let live = auth::by_id(app, caller.key).await?.is_some_and(|key| key.is_live(now));
        if !live || caller.ends_at.is_some_and(|end| end <= now) {
            return Ok(false);
        }
        let mut tx = app.store.tenant_tx(caller.tenant).await?;
        let found = events::after(&mut tx, caller.product, self.last, BATCH).await?;
        tx.commit().await?;
        for (seq, event) in &found {
            let body = service::envelope(app, caller.tenant, *seq, event).to_string();
            self.ready.push_back(Event::default().id(seq.to_string()).event(event.kind.clone()).data(body));
            self.last = *seq;
        }
        Ok(true)
    }
}

/// The streams of this node.
#[derive(Default)]
pub struct Streams {
    open: Arc<Mutex<HashMap<ApiKeyId, usize>>>,
}

impl Streams {
    /// A place for one more stream of a key; none, if it has as many as it may, or the node has.
    fn take(&self, key: ApiKeyId) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= limits::STREAMS_PER_NODE_MAX {
            return None;
        }
        let many = open.entry(key).or_default();
        if *many >= limits::STREAMS_PER_KEY_MAX {
            return None;
        }
        *many += 1;
        Some(Place { open: self.open.clone(), key })
    }
}

/// A stream's place; given back when it ends, however it ends.
struct Place {
    open: Arc<Mutex<HashMap<ApiKeyId, usize>>>,
    key: ApiKeyId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(many) = open.get_mut(&self.key) {
            *many -= 1;
            if *many == 0 {
                open.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_node_has_so_many_streams_whoever_reads_them() {
        let streams = Streams::default();
        let key = |n: usize| ApiKeyId::from_uuid(Uuid::from_u128((n / limits::STREAMS_PER_KEY_MAX) as u128));
        let mut taken: Vec<_> = (0..limits::STREAMS_PER_NODE_MAX).map(|n| streams.take(key(n)).unwrap()).collect();
        let another = key(limits::STREAMS_PER_NODE_MAX + limits::STREAMS_PER_KEY_MAX);
        assert!(streams.take(another).is_none());
        taken.pop();
        assert!(streams.take(another).is_some());
    }

    #[test]
    fn a_key_has_so_many_streams_and_gets_places_back() {
        let (streams, key) = (Streams::default(), ApiKeyId::from_uuid(Uuid::from_u128(7)));
        let taken: Vec<_> = (0..limits::STREAMS_PER_KEY_MAX).map(|_| streams.take(key).unwrap()).collect();
        assert!(streams.take(key).is_none());
        assert!(streams.take(ApiKeyId::from_uuid(Uuid::from_u128(8))).is_some(), "another key has its own");
        drop(taken);
        assert!(streams.take(key).is_some());
        assert!(streams.open.lock().unwrap().is_empty(), "nothing stays of what ended");
    }
}
