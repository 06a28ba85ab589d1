//! `/v1/psus/{ref}/export`: everything that we hold about a person for a product, as a stream (Articles 15 and 20 GDPR).
//!
//! One JSON object a line. Each part is read in a transaction of its own that looks at the consent and logs the disclosure:
//! a consent that is withdrawn while the stream runs gives no further row. The last line says whether that happened; a
//! stream without one broke off.

use std::collections::VecDeque;
use std::io::Error as IoError;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use domain::consent::DataState;
use domain::ids::{LineId, PsuId};
use domain::limits;
use serde::Serialize;
use serde_json::{Value, json};
use store::lines::{Filter, Held};
use store::transactions::{Cursor, Query as RowQuery};
use store::{TenantTx, balances, consents, lines, psus, transactions};

use super::accounts::{account, consented, disclose, is_for, refuse};
use super::auth::{Caller, Scope};
use super::body::{BalanceBody, TransactionBody};
use super::consents::show;
use crate::app::App;
use crate::keys::TenantKeys;
use crate::problem::{ApiError, Problem};

/// Consents of a person that an export names, the newest.
const CONSENTS_MAX: u32 = 500;

/// Everything about a person, one JSON object a line: `person`, `consent`, `account`, `balance`, `transaction`, `end`.
#[utoipa::path(
    operation_id = "export", get, path = "/v1/psus/{ref}/export", tag = "psus",
    params(("ref" = String, Path, description = "The product's own reference of the person")),
    responses(
        (status = 200, description = "JSON Lines", content_type = "application/x-ndjson"),
        (status = 401, body = Problem), (status = 404, body = Problem)
    )
)]
pub async fn person(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Response, ApiError> {
    caller.may(Scope::Data)?;
    let world = app.world();
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let tag = TenantKeys::lookup(&app, &mut tx, &world).await?.mac("psu.ref", reference.as_bytes());
    let psu = psus::find(&mut tx, caller.product, &tag).await?.ok_or(ApiError::NotFound("person"))?;
    let mut first = Lines::default();
    first.add("person", &json!({ "psu_ref": reference, "generated_at": world.now }))?;
    let mut missing = None;
    for consent in consents::of_product(&mut tx, caller.product, Some(psu), None, CONSENTS_MAX).await? {
        missing = match consent.machine.data {
            DataState::Restricted => Some("restricted"),
            DataState::Held | DataState::HeldRestricted | DataState::Blocked => Some("legal_hold"),
            DataState::Present | DataState::Readable | DataState::Erasing | DataState::Erased => missing,
        };
        first.add("consent", &show(&consent, Vec::new()))?;
    }
    let filter = Filter { psu: Some(psu), ..Filter::default() };
    let held = lines::held(&mut tx, caller.product, filter).await?;
    tx.commit().await?;
    let export = Export {
        app: app.clone(),
        caller,
        psu,
        first: Some(first),
        waiting: held.into_iter().map(|held| (held.line.id, None)).collect(),
        missing,
        rows: 0,
        ended: false,
    };
    let parts = futures_util::stream::try_unfold(export, |mut export| async move {
        let part = super::part_in_time(export.next()).await.map_err(|error| {
            tracing::error!(error = format!("{error:#}"), "an export broke off");
            IoError::other("the export broke off")
        })?;
        Ok::<_, IoError>(part.map(|part| (part, export)))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(parts)).into_response())
}

/// Lines of JSON.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn add(&mut self, kind: &str, record: &impl Serialize) -> Result<(), ApiError> {
        let mut value = serde_json::to_value(record).map_err(anyhow::Error::new)?;
        if let Value::Object(fields) = &mut value {
            fields.insert("record".to_owned(), kind.into());
        }
        serde_json::to_writer(&mut self.0, &value).map_err(anyhow::Error::new)?;
        self.0.push(b'\n');
        Ok(())
    }
}

/// An export under way.
struct Export {
    app: Arc<App>,
    caller: Caller,
    psu: PsuId,
    first: Option<Lines>,
    /// Accounts to come, each with the place in its transactions where the next part begins.
    waiting: VecDeque<(LineId, Option<Cursor>)>,
    /// Why something is not in it.
    missing: Option<&'static str>,
    rows: usize,
    ended: bool,
}

impl Export {
    /// The next part; `None` after the end.
    async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first.0.into()));
        }
        while let Some((line, from)) = self.waiting.pop_front() {
            match self.part(line, from).await {
                Ok(part) => return Ok(Some(part)),
                // Withdrawn, or taken out of the consent, since the export began.
                Err(ApiError::NotFound(_) | ApiError::ConsentState) => self.missing = Some("consent_state"),
                // The key is not for it, as the log says.
                Err(ApiError::Purpose) => {}
                Err(error) => return Err(error),
            }
        }
        if std::mem::replace(&mut self.ended, true) {
            return Ok(None);
        }
        let mut last = Lines::default();
        let complete = self.missing.is_none();
        last.add("end", &json!({ "complete": complete, "because": self.missing, "transactions": self.rows }))?;
        Ok(Some(last.0.into()))
    }

    /// An account with its balances, if it begins here, and a page of its transactions.
    async fn part(&mut self, line: LineId, from: Option<Cursor>) -> Result<Bytes, ApiError> {
        let world = self.app.world();
        let mut tx = self.app.store.tenant_tx(self.caller.tenant).await?;
        let filter = Filter { line: Some(line), psu: Some(self.psu), ..Filter::default() };
        let held = lines::held(&mut tx, self.caller.product, filter).await?;
        let held = held.into_iter().next().ok_or(ApiError::NotFound("account"))?;
        if !is_for(&self.caller, &held) {
            refuse(&self.app, &mut tx, &world, &self.caller, &held, "export").await?;
            tx.commit().await?;
            return Err(ApiError::Purpose);
        }
        let key = self.app.vault.open_key(self.caller.tenant, &held.line.key)?;
        let covers = |cluster: &'static str| consented(&held, cluster).is_ok();
        let mut part = Lines::default();
        if from.is_none() {
            part.add("account", &account(self.caller.tenant, &held, &key)?)?;
            if covers("balances") {
                self.balances(&mut tx, &held, &key, &mut part).await?;
            }
        }
        let mut rows = 0;
        if covers("transactions") {
            let wanted = RowQuery {
                consent: held.consent,
                line: Some(line),
                from: None,
                until: None,
                after: from,
                limit: limits::ROWS_PER_QUERY_MAX,
            };
            let page = transactions::page(&mut tx, wanted).await?;
            for row in &page.rows {
                part.add("transaction", &TransactionBody::new(row, row.open_shared(self.caller.tenant, &key)?))?;
            }
            rows = page.rows.len();
            if page.next.is_some() {
                self.waiting.push_front((line, page.next));
            }
        }
        disclose(&self.app, &mut tx, &world, &self.caller, &held, "export", rows).await?;
        tx.commit().await?;
        self.rows += rows;
        Ok(part.0.into())
    }

    async fn balances(
        &self,
        tx: &mut TenantTx,
        held: &Held,
        key: &vault::DataKey,
        part: &mut Lines,
    ) -> Result<(), ApiError> {
        for row in balances::latest(tx, held.consent, held.line.id).await? {
            let balance = BalanceBody::new(&row.open(self.caller.tenant, key)?, row.fetched_at);
            let mut value = serde_json::to_value(&balance).map_err(anyhow::Error::new)?;
            value["account_id"] = held.line.id.to_string().into();
            part.add("balance", &value)?;
        }
        Ok(())
    }
}
