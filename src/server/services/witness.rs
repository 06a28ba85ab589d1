//! A witness outside: it sees that each checkpoint continues the one before, and signs that with its own time (C2SP
//! tlog-witness). What it signed cannot be dated back by whoever holds our key.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use domain::ids::TenantId;
use evidence::VerifierKey;
use evidence::note::{add_checkpoint, cosignatures};
use http::{Request, StatusCode, header};
use store::cosignatures::{self as rows, Cosignature};
use url::Url;

use crate::app::App;
use crate::config::EvidenceLog;
use crate::evidence_log;
use crate::services::ServiceError;
use crate::services::delivery::Receivers;

/// The witness of the settings.
pub struct Witness {
    url: Url,
    key: VerifierKey,
    way: Arc<Receivers>,
}

impl Witness {
    /// Reads the settings; `None` if they name none.
    ///
    /// # Errors
    /// Says which setting cannot be used.
    pub fn of(settings: &EvidenceLog, way: Receivers) -> anyhow::Result<Option<Self>> {
        if settings.witness_url.is_empty() {
            return Ok(None);
        }
        let url = Url::parse(&format!("{}/add-checkpoint", settings.witness_url.trim_end_matches('/')));
        let key: VerifierKey = settings.witness_key.parse().context("evidence.witness_key")?;
        if !key.is_witness() {
            return Err(anyhow!("evidence.witness_key is not the key of a witness (type 4)"));
        }
        Ok(Some(Self { url: url.context("evidence.witness_url")?, key, way: Arc::new(way) }))
    }

    async fn post(&self, body: String) -> Result<(StatusCode, String), ServiceError> {
        let client = self.way.to(&self.url).context("evidence.witness_url may not be reached from here")?;
        let request = Request::post(self.url.as_str()).header(header::CONTENT_TYPE, "text/plain; charset=utf-8");
        let answer = client.send(request.body(Bytes::from(body)).context("a request")?).await;
        let answer = answer.context("the witness cannot be reached")?;
        let text = std::str::from_utf8(answer.body()).context("the witness did not answer in text")?;
        Ok((answer.status(), text.to_owned()))
    }
}

/// Shows the newest checkpoint to the witness, unless it has signed that already; gives whether it signed one.
///
/// # Errors
/// It cannot be reached or refuses; it has seen a longer log than ours; or the database's.
pub async fn ask(app: &App, tenant: TenantId) -> Result<bool, ServiceError> {
    let Some(witness) = &app.witness else { return Ok(false) };
    let mut tx = app.store.tenant_tx(tenant).await?;
    let newest = store::evidence_log::checkpoint(&mut tx, None).await?;
    let last = rows::last(&mut tx, witness.key.name()).await?;
    tx.commit().await?;
    let Some(newest) = newest.filter(|newest| newest.size > last) else { return Ok(false) };
    let mut answer = show(app, tenant, witness, last, &newest).await?;
    // It stands elsewhere than we remember: our database was restored, or an answer of its was lost.
    if answer.0 == StatusCode::CONFLICT {
        let stands: i64 = answer.1.trim().parse().context("the witness did not say where it stands")?;
        if stands > newest.size {
            return Err(anyhow!("the witness has seen {stands} entries of this log, which has {}", newest.size).into());
        }
        answer = show(app, tenant, witness, stands, &newest).await?;
    }
    if answer.0 != StatusCode::OK {
        return Err(anyhow!("the witness answered {}", answer.0).into());
    }
    let world = app.world();
    let (origin, key) = evidence_log::signing(app, tenant, &world)?;
    let keys = [evidence_log::signer(&origin, &key).verifier_key().clone(), witness.key.clone()];
    let (line, seen) = cosignatures(&newest.note, &answer.1, &keys).context("the witness's signature")?;
    let seen = seen.into_iter().next().context("the witness's signature")?;
    let mut tx = app.store.tenant_tx(tenant).await?;
    let kept = Cosignature { size: newest.size, witness: seen.witness, line, seen_at: seen.at };
    rows::put(&mut tx, &kept).await?;
    tx.commit().await?;
    Ok(true)
}

async fn show(
    app: &App,
    tenant: TenantId,
    witness: &Witness,
    old: i64,
    newest: &store::evidence_log::Checkpoint,
) -> Result<(StatusCode, String), ServiceError> {
    let mut tx = app.store.tenant_tx(tenant).await?;
    let (old, size) = (old.unsigned_abs(), newest.size.unsigned_abs());
    let proof = if old == 0 { Vec::new() } else { evidence_log::consistency(&mut tx, old, size).await? };
    tx.commit().await?;
    witness.post(add_checkpoint(old, &proof, &newest.note)).await
}
