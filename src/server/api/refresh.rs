//! `POST /v1/accounts/{id}/refresh`: a product wants fresher data now.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use bank_adapters::ask::PsuPresent;
use domain::world::World;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::accounts::readable;
use super::auth::{Caller, Scope};
use super::idempotency::Idempotent;
use crate::app::{App, PRESENT_SECONDS};
use crate::evidence_log;
use crate::peer;
use crate::problem::{ApiError, Problem};
use crate::services::on_demand::{self, NotNow, Promise};

/// A wish for fresher data.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The person who asks for it in the product at this moment. Left out, the bank is told that nobody is there, and it
    /// counts: it lets us read a few times a day so.
    pub psu: Option<PersonThere>,
}

/// A person who is there, as the product attests: the bank is told so.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonThere {
    /// The address from which they reach the product, IPv4 or IPv6.
    #[schema(example = "203.0.113.7")]
    pub ip: String,
    /// Their `User-Agent`.
    pub user_agent: Option<String>,
    /// When they asked for it; within the last ten minutes. They count as there for ten minutes from then on.
    #[schema(value_type = String, format = DateTime)]
    pub session_at: Timestamp,
}

/// What will happen.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RefreshBody {
    /// `acc_…`
    pub account_id: String,
    /// The consent whose accounts are read, all of them.
    pub consent_id: String,
    /// `queued`, or `under_way` where it was begun before.
    pub state: String,
    /// `psu_present` or `unattended`: the ground as things stand. The node that answers alone remembers a person, for ten
    /// minutes from `session_at`. Where another one does the work, or it is done later, the bank is told that nobody is
    /// there and it counts, or it is put off (`sync.deferred`). The consent's evidence says what was done (`fetch.begun`).
    pub basis: String,
    /// When the bank is asked, at the earliest.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
    /// What the bank lets us read of this consent without the person.
    pub unattended: AllowanceBody,
}

/// Reads without the person on the bank's present day.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AllowanceBody {
    /// How many the bank lets us make.
    pub limit: u32,
    /// How many are left; this one is counted when it begins.
    pub remaining: u32,
    /// When the bank's next day begins.
    #[schema(value_type = String, format = DateTime)]
    pub resets_at: Timestamp,
}

/// Ask for fresher data of an account. The accounts of its consent are read together; `sync.completed` tells when that is
/// done. Asking again before it has begun changes nothing. With a person there it is done once a minute at most.
/// `sync.partial`, `sync.failed` and `sync.deferred` tell where it came to another end.
#[utoipa::path(
    post, path = "/v1/accounts/{id}/refresh", tag = "accounts",
    params(
        ("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition give the first answer")
    ),
    request_body = Option<Refresh>,
    responses(
        (status = 202, body = RefreshBody, description = "It will be done; this says when and on what ground, as things stand"),
        (status = 404, body = Problem), (status = 422, body = Problem),
        (status = 409, body = Problem, description = "The person has to come back first, or the consent's state forbids it"),
        (status = 429, body = Problem, description = "The bank lets us read no more today without the person; `retry_after` says when it does"),
        (status = 503, body = Problem, description = "The bank wants to be left alone, with a person there as well; `retry_after` says how long")
    )
)]
pub async fn ask(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Json<serde_json::Value>), ApiError> {
    caller.may(Scope::Data)?;
    let wish: Option<Refresh> = if body.is_empty() { None } else { super::json(&body)? };
    let world = app.world();
    let tx = app.store.tenant_tx(caller.tenant).await?;
    let (mut tx, held) = readable(&app, tx, &world, &caller, &id).await?;
    let operation = format!("POST /v1/accounts/{id}/refresh");
    let (repeatable, first) = Idempotent::begin(&app, &mut tx, &world, &caller, &headers, &operation, &body).await?;
    if let Some(answer) = first {
        return Ok((StatusCode::ACCEPTED, Json(answer)));
    }
    // Only now: whoever repeats a request gets the first answer, however long ago the person was there.
    let attested = wish.and_then(|wish| wish.psu);
    let session_at = attested.as_ref().map(|psu| psu.session_at);
    let person = attested.map(|psu| there(psu, &world)).transpose()?;
    let asked = on_demand::ask(&app, &mut tx, &world, held.consent, person.as_ref().map(|(psu, _)| psu)).await?;
    let promise = match asked {
        Ok(promise) => promise,
        Err(not_now) => {
            // At once: what waits was locked, and a worker that comes by meanwhile passes it over.
            tx.rollback().await?;
            return Err(refusal(not_now, &world));
        }
    };
    let entry = json!({
        "product": caller.product.to_string(),
        "key": caller.key.to_string(),
        "account": held.line.id.to_string(),
        "basis": promise.basis.word(),
        "attested_by": session_at.map(|_| "product"),
        "session_at": session_at,
    });
    evidence_log::record(&app, &mut tx, &world, held.consent, "data.refresh_asked", &entry).await?;
    let answer = serde_json::to_value(shown(&held, &promise)).map_err(anyhow::Error::new)?;
    repeatable.keep(&app, &mut tx, &world, &answer).await?;
    // Before the work can be seen, so that whoever takes it up here knows of the person.
    let noted =
        person.filter(|_| !promise.is_under_way).map(|(psu, since)| app.note_present_since(held.consent, psu, since));
    tx.commit().await?;
    if let Some(noted) = noted {
        noted.keep();
    }
    app.work.notify_waiters();
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

fn shown(held: &store::lines::Held, promise: &Promise) -> RefreshBody {
    let count = |number: i32| u32::try_from(number).unwrap_or_default();
    let allowance = promise.allowance;
    RefreshBody {
        account_id: held.line.id.to_string(),
        consent_id: held.consent.to_string(),
        state: if promise.is_under_way { "under_way" } else { "queued" }.to_owned(),
        basis: promise.basis.word().to_owned(),
        due_at: promise.at,
        unattended: AllowanceBody {
            limit: count(allowance.limit),
            remaining: count(allowance.limit - allowance.used),
            resets_at: allowance.resets_at,
        },
    }
}

fn refusal(not_now: NotNow, world: &World<'_>) -> ApiError {
    let seconds =
        |until: Timestamp| u64::try_from(until.duration_since(world.now).as_secs()).unwrap_or_default().max(1);
    match not_now {
        NotNow::Person => ApiError::PersonNeeded,
        NotNow::State => ApiError::ConsentState,
        NotNow::UsedUp { until } => ApiError::BudgetExhausted { seconds: seconds(until) },
        NotNow::Resting { until } => ApiError::BankResting { seconds: seconds(until) },
    }
}

/// The person and since when they are there, if that can be true: somebody who asked just now, from an address that a person
/// can have.
fn there(psu: PersonThere, world: &World<'_>) -> Result<(PsuPresent, Timestamp), ApiError> {
    let invalid = |field, why: &str| ApiError::Invalid { field, why: why.to_owned() };
    let ip: IpAddr = psu.ip.parse().map_err(|_| invalid("psu.ip", "is no address"))?;
    let ip = ip.to_canonical();
    if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() {
        return Err(invalid("psu.ip", "is no address of a person"));
    }
    let since = super::attested(psu.session_at, PRESENT_SECONDS, world.now)?;
    let sendable = |agent: &String| {
        (1..=peer::USER_AGENT_BYTES_MAX).contains(&agent.len())
            && HeaderValue::from_str(agent).is_ok_and(|value| value.to_str().is_ok())
    };
    if psu.user_agent.as_ref().is_some_and(|agent| !sendable(agent)) {
        return Err(invalid("psu.user_agent", "is no User-Agent that can be passed on"));
    }
    Ok((PsuPresent { ip, user_agent: psu.user_agent }, since))
}
