//! A time-stamp authority outside (RFC 3161): it signs, with its own time, the hash of a checkpoint's text and learns nothing
//! else. What it signed cannot be dated back by whoever holds our key.

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use domain::ids::TenantId;
use evidence::timestamp::{self, Authorities};
use http::{Request, StatusCode, header};
use store::timestamps::{self as rows, Stamped};
use url::Url;

use crate::app::App;
use crate::config::EvidenceLog;
use crate::services::ServiceError;
use crate::services::delivery::Receivers;

/// The time-stamp authority of the settings.
pub struct Authority {
    url: Url,
    trusted: Authorities,
    way: Arc<Receivers>,
}

impl Authority {
    /// Reads the settings; `None` if they name none.
    ///
    /// # Errors
    /// Says which setting cannot be used.
    pub fn of(settings: &EvidenceLog, way: Receivers) -> anyhow::Result<Option<Self>> {
        if settings.timestamp_url.is_empty() {
            return Ok(None);
        }
        let url = Url::parse(&settings.timestamp_url).context("evidence.timestamp_url")?;
        Ok(Some(Self { url, trusted: trusted(settings)?, way: Arc::new(way) }))
    }

    async fn post(&self, body: Vec<u8>) -> Result<Bytes, ServiceError> {
        let client = self.way.to(&self.url).context("evidence.timestamp_url may not be reached from here")?;
        let request = Request::post(self.url.as_str()).header(header::CONTENT_TYPE, "application/timestamp-query");
        let answer = client.send(request.body(Bytes::from(body)).context("a request")?).await;
        let answer = answer.context("the time-stamp authority cannot be reached")?;
        if answer.status() != StatusCode::OK {
            return Err(anyhow::anyhow!("the time-stamp authority answered {}", answer.status()).into());
        }
        Ok(answer.body().clone())
    }
}

/// The authorities whose time-stamps are trusted.
///
/// # Errors
/// The file of the settings cannot be used.
pub(crate) fn trusted(settings: &EvidenceLog) -> anyhow::Result<Authorities> {
    let file = &settings.timestamp_ca_file;
    let pem = std::fs::read(file).with_context(|| format!("evidence.timestamp_ca_file: {}", file.display()))?;
    Authorities::from_pem(&pem).context("evidence.timestamp_ca_file")
}

/// Has the newest checkpoint stamped, unless it is already; gives whether it was stamped now.
///
/// # Errors
/// The authority cannot be reached, refuses, or answers something else than was asked; or the database's.
pub async fn ask(app: &App, tenant: TenantId) -> Result<bool, ServiceError> {
    let Some(authority) = &app.time_authority else { return Ok(false) };
    let mut tx = app.store.tenant_tx(tenant).await?;
    let newest = store::evidence_log::checkpoint(&mut tx, None).await?;
    let last = rows::newest(&mut tx, i64::MAX).await?.map_or(0, |stamped| stamped.size);
    tx.commit().await?;
    let Some(newest) = newest.filter(|newest| newest.size > last) else { return Ok(false) };
    let (text, _) = newest.note.split_once("\n\n").context("a checkpoint without a text")?;
    let (text, nonce) = (format!("{text}\n"), app.world().bytes());
    let answer = authority.post(timestamp::request(&text, nonce).context("a request for a time-stamp")?).await?;
    let (token, stamp) = timestamp::read_answer(&answer, &text, nonce, &authority.trusted)
        .context("the time-stamp authority's answer")?;
    let mut tx = app.store.tenant_tx(tenant).await?;
    let kept = Stamped { size: newest.size, authority: stamp.authority, token, stamped_at: stamp.at };
    rows::put(&mut tx, &kept).await?;
    tx.commit().await?;
    Ok(true)
}
