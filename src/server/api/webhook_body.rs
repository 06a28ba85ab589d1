//! Shapes of endpoints and their log on the wire.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::deliveries::Attempt;
use utoipa::ToSchema;

/// A new endpoint.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateEndpoint {
    /// Where events are sent: https, at a public address. Not a place for secrets: operators can read it.
    #[schema(example = "https://product.example/hooks/tributary")]
    pub url: String,
    /// Types of `/v1/event-types`, or groups such as `consent.*`. Default: every type.
    pub types: Option<Vec<String>>,
    /// Your own words for it, at most 256 characters.
    pub description: Option<String>,
}

/// What is to be changed; what is left out stays.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateEndpoint {
    /// Where events are sent from now on.
    pub url: Option<String>,
    /// What is added to the stream from now on.
    pub types: Option<Vec<String>>,
    /// Your own words for it.
    pub description: Option<String>,
    /// `true` pauses it; `/resume` ends the pause.
    pub paused: Option<bool>,
}

/// An endpoint.
#[derive(Clone, Serialize, ToSchema)]
pub struct EndpointBody {
    /// `whe_…`
    pub id: String,
    /// Where events are sent.
    pub url: String,
    /// Your own words for it.
    pub description: String,
    /// Types that it gets; empty: every type.
    pub types: Vec<String>,
    /// `active`; `failing`: three days of failures, probed twice a day; `disabled`: seven days of failures, given up;
    /// `gone`: it answered 410; `paused`: by you. Events wait in every state.
    pub state: String,
    /// Failures since the last success.
    pub failures: u32,
    /// The first of them.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub failing_since: Option<Timestamp>,
    /// Nothing is sent before.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub retry_at: Option<Timestamp>,
    /// The number of the newest event in its stream.
    pub last_seq: i64,
    /// How many events wait to be sent.
    pub waiting: i64,
    /// `whpk_…`: Ed25519 keys that its deliveries verify with, the newest first; several while a rotation runs.
    pub public_keys: Vec<String>,
    /// `whsec_…`: the HMAC secret, shown when the endpoint is made and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// How to change over.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// How long the old secret signs beside the new one, 0 to 168 hours; 24 by default.
    pub overlap_hours: Option<i64>,
}

/// A new secret.
#[derive(Clone, Serialize, ToSchema)]
pub struct SecretBody {
    /// `whsec_…`: shown here and never again.
    pub secret: String,
    /// `whpk_…`
    pub public_key: String,
    /// When the old ones sign no more.
    #[schema(value_type = String, format = DateTime)]
    pub old_expires_at: Timestamp,
}

/// Where to go on.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// Passes over everything before this number: for an event that the receiver can never take.
    pub skip_to_seq: Option<i64>,
}

/// Which part of the stream.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The first number.
    pub from_seq: i64,
    /// The last number.
    pub to_seq: i64,
    /// Only these types, or groups of them.
    pub types: Option<Vec<String>>,
}

/// What is sent again.
#[derive(Clone, Serialize, ToSchema)]
pub struct ReplayBody {
    /// How many events. What still waited is not counted, and what is older than 90 days is not there any more.
    pub queued: u64,
}

/// A test.
#[derive(Clone, Serialize, ToSchema)]
pub struct TestBody {
    /// `evt_…`
    pub event_id: String,
}

/// One attempt to send an event. What the receiver answered beside its status was not read.
#[derive(Clone, Serialize, ToSchema)]
pub struct AttemptBody {
    /// `wha_…`
    pub id: String,
    /// The event's number in the stream of this endpoint.
    pub seq: i64,
    /// `evt_…`: what stood in `webhook-id`.
    pub event_id: String,
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// `delivered`, `refused`, `gone`, or what went wrong on the way, such as `answer.timeout`.
    pub outcome: String,
    /// HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// Until the head of the answer, or the failure, in milliseconds.
    pub latency_ms: u32,
    /// When it is tried again.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub retry_at: Option<Timestamp>,
}

impl From<Attempt> for AttemptBody {
    fn from(attempt: Attempt) -> Self {
        Self {
            id: attempt.id.to_string(),
            seq: attempt.seq,
            event_id: attempt.event.to_string(),
            kind: attempt.kind,
            at: attempt.at,
            outcome: attempt.outcome,
            status: attempt.status,
            latency_ms: attempt.latency_ms,
            retry_at: attempt.retry_at,
        }
    }
}
