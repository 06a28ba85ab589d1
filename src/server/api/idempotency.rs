//! `Idempotency-Key`: a repetition of the same request gets the first answer, from the same transaction that made it.

use axum::http::HeaderMap;
use domain::world::World;
use jiff::SignedDuration;
use store::TenantTx;
use store::idempotency::{self, Request, Seen};

use super::auth::Caller;
use crate::app::App;
use crate::problem::ApiError;
use crate::{keys, tokens};

/// How long an answer is kept, in hours.
const KEPT_HOURS: i64 = 24;

/// A request that may be a repetition.
pub(super) struct Idempotent {
    request: Option<Request>,
}

impl Idempotent {
    /// Reads the header; without one nothing is kept. Gives the first answer where there is one.
    pub(super) async fn begin(
        app: &App,
        tx: &mut TenantTx,
        world: &World<'_>,
        caller: &Caller,
        headers: &HeaderMap,
        operation: &str,
        body: &[u8],
    ) -> Result<(Self, Option<serde_json::Value>), ApiError> {
        let Some(key) = headers.get("idempotency-key") else { return Ok((Self { request: None }, None)) };
        if key.is_empty() || key.len() > 255 {
            return Err(ApiError::Invalid { field: "Idempotency-Key", why: "must be 1 to 255 bytes".to_owned() });
        }
        let request = Request {
            product: caller.product,
            key_hash: tokens::hash(key.as_bytes()),
            request_hash: tokens::hash(&[operation.as_bytes(), b"\n", body].concat()),
        };
        let expires_at = world.now.saturating_add(SignedDuration::from_hours(KEPT_HOURS)).unwrap_or(world.now);
        let answer = match idempotency::begin(tx, &request, world.now, expires_at).await? {
            Seen::New => None,
            Seen::Misused => return Err(ApiError::IdempotencyMismatch),
            Seen::Answered(sealed) => {
                let key = keys::of_purpose(app, tx, world, "idempotency").await?;
                let plain = request.place(tx).open(&key, &sealed)?;
                Some(serde_json::from_slice(&plain).map_err(anyhow::Error::new)?)
            }
        };
        Ok((Self { request: Some(request) }, answer))
    }

    /// Keeps the answer, sealed: it may hold a one-time link.
    pub(super) async fn keep(
        &self,
        app: &App,
        tx: &mut TenantTx,
        world: &World<'_>,
        answer: &serde_json::Value,
    ) -> Result<(), ApiError> {
        let Some(request) = &self.request else { return Ok(()) };
        let key = keys::of_purpose(app, tx, world, "idempotency").await?;
        let sealed = request.place(tx).seal(&key, answer.to_string().as_bytes(), world.entropy);
        Ok(idempotency::answer(tx, request, &sealed).await?)
    }
}
