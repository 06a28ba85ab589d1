//! `/v1/consents/{id}/notices`: what a person was owed in writing, and the product's word on what became of it.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::notices::{self, Notice};
use utoipa::ToSchema;

use super::auth::{Caller, Scope};
use super::body::Page;
use super::consents::own;
use crate::app::App;
use crate::problem::{ApiError, Problem};
use crate::services::notices as service;

/// A notice.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NoticeBody {
    /// `ntc_…`
    pub id: String,
    /// `receipt`, `ongoing`, `expired`, `revoked`.
    pub kind: String,
    /// Language that it was written in.
    pub language: String,
    /// Template and version.
    #[schema(example = "receipt/en-2")]
    pub template: String,
    /// `requested`, `delivered`, `failed`.
    pub state: String,
    /// How it was handed over.
    pub channel: Option<String>,
    /// When the product was asked to hand it over, by `notice.requested`.
    #[schema(value_type = String, format = DateTime)]
    pub requested_at: Timestamp,
    /// When the product said what became of it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub settled_at: Option<Timestamp>,
}

impl From<Notice> for NoticeBody {
    fn from(notice: Notice) -> Self {
        let state = match notice.delivered {
            None => "requested",
            Some(true) => "delivered",
            Some(false) => "failed",
        };
        Self {
            id: notice.id.to_string(),
            kind: notice.kind.word().to_owned(),
            language: notice.language,
            template: notice.template,
            state: state.to_owned(),
            channel: notice.channel,
            requested_at: notice.requested_at,
            settled_at: notice.settled_at,
        }
    }
}

/// What became of a notice.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoticeOutcome {
    /// Whether it was handed over.
    pub delivered: bool,
    /// How.
    pub channel: Channel,
}

/// A way to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Electronic mail.
    Email,
    /// A letter.
    Letter,
    /// A text message.
    Sms,
    /// A message in the product itself.
    App,
}

impl Channel {
    const fn word(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Letter => "letter",
            Self::Sms => "sms",
            Self::App => "app",
        }
    }
}

/// List the notices about a consent, newest first.
#[utoipa::path(
    operation_id = "list_notices", get, path = "/v1/consents/{id}/notices", tag = "consents", params(("id" = String, Path)),
    responses((status = 200, body = Page<NoticeBody>), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Page<NoticeBody>>, ApiError> {
    caller.may(Scope::Consents)?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let consent = own(&mut tx, &caller, &id).await?;
    let found = notices::of_consent(&mut tx, consent.id, None).await?;
    tx.commit().await?;
    Ok(Json(Page { data: found.into_iter().map(NoticeBody::from).collect(), next_cursor: None }))
}

/// Say what became of a notice that you were asked to hand over. The first word stands and is on record.
#[utoipa::path(
    post, path = "/v1/consents/{id}/notices/{notice}/outcome", tag = "consents",
    params(("id" = String, Path), ("notice" = String, Path)), request_body = NoticeOutcome,
    responses((status = 200, body = NoticeBody), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub async fn settle(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, notice)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<NoticeBody>, ApiError> {
    caller.may(Scope::Consents)?;
    let said: NoticeOutcome = super::json(&body)?;
    let missing = || ApiError::NotFound("notice");
    let notice = notice.parse().map_err(|_| missing())?;
    let world = app.world();
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let consent = own(&mut tx, &caller, &id).await?;
    let found = notices::of_consent(&mut tx, consent.id, Some(notice)).await?.pop().ok_or_else(missing)?;
    service::settle(&app, &mut tx, &world, &found, said.delivered, said.channel.word()).await?;
    let settled = notices::of_consent(&mut tx, consent.id, Some(notice)).await?.pop().ok_or_else(missing)?;
    tx.commit().await?;
    Ok(Json(settled.into()))
}
