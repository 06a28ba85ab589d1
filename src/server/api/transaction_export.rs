//! `/v1/accounts/{id}/transactions/export`: an account's transactions as a stream, as lines of JSON, as CSV
//! or as a file of Parquet.
//!
//! Each part is read in a transaction of its own that looks at the consent and logs the disclosure: after a withdrawal no
//! further row comes, and the stream breaks off, so that nobody takes it for whole.

use std::io::Error as IoError;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use domain::limits;
use store::transactions::{Cursor, Query as RowQuery};

use super::accounts::{consented, disclose, readable};
use super::auth::{Caller, Scope};
use super::body::TransactionBody;
use super::filters::{self, Filter, TransactionQuery};
use super::parquet;
use super::query::Query;
use crate::app::App;
use crate::problem::{ApiError, Problem};

/// The media type of Parquet, as it is registered with IANA.
const PARQUET: &str = "application/vnd.apache.parquet";
/// The columns of the CSV form.
const COLUMNS: &str = "id,account_id,status,booking_date,value_date,transaction_date,amount,currency,counterparty,\
    counterparty_account,merchant,category,description,bank_reference,end_to_end_id\r\n";

/// Read an account's transactions as a stream: `Accept: text/csv` for CSV, `application/vnd.apache.parquet` for Parquet,
/// JSON Lines otherwise. A stream that breaks off is not whole; of Parquet it opens nowhere. In CSV, a text that a
/// spreadsheet would take for a formula begins with an apostrophe.
#[utoipa::path(
    operation_id = "export_transactions", get, path = "/v1/accounts/{id}/transactions/export", tag = "accounts", params(("id" = String, Path), TransactionQuery),
    responses(
        (status = 200, description = "JSON Lines, CSV or Parquet", content_type = "application/x-ndjson"),
        (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)
    )
)]
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Query(query): Query<TransactionQuery>,
) -> Result<Response, ApiError> {
    caller.may(Scope::Data)?;
    for (field, given) in [("cursor", query.cursor.is_some()), ("limit", query.limit.is_some())] {
        if given {
            return Err(ApiError::Invalid { field, why: "an export has no pages".to_owned() });
        }
    }
    let form = Form::of(headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default())?;
    let (kind, head) = (form.kind(), form.head());
    let filter = Filter::of(&query)?;
    let mut export = Export { app, caller, id, query, filter, form, after: None, ended: false };
    // What is wrong with the request is said before the stream begins.
    let first = export.part().await?;
    let begun = [head, &first].concat();
    let rest = futures_util::stream::try_unfold(export, |mut export| async move {
        if export.ended {
            return Ok(None);
        }
        match super::part_in_time(export.part()).await {
            Ok(part) => Ok(Some((Bytes::from(part), export))),
            Err(error) => {
                tracing::info!(code = error.problem().code, "an export broke off");
                Err(IoError::other("the export broke off"))
            }
        }
    });
    let first = futures_util::stream::once(async move { Ok::<_, IoError>(Bytes::from(begun)) });
    let body = Body::from_stream(futures_util::StreamExt::chain(first, rest));
    Ok(([(CONTENT_TYPE, kind)], body).into_response())
}

/// How rows are written.
enum Form {
    Lines,
    Csv,
    Parquet(Box<parquet::Writer>),
}

impl Form {
    /// The form that is accepted.
    fn of(accept: &str) -> Result<Self, ApiError> {
        let accepts = |kind: &str| accept.split(',').any(|accepted| accepted.trim().starts_with(kind));
        Ok(if accepts(PARQUET) {
            Self::Parquet(Box::new(parquet::Writer::new()?))
        } else if accepts("text/csv") {
            Self::Csv
        } else {
            Self::Lines
        })
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Parquet(_) => PARQUET,
        }
    }

    /// What stands before the rows.
    const fn head(&self) -> &'static [u8] {
        match self {
            Self::Lines | Self::Parquet(_) => b"",
            Self::Csv => COLUMNS.as_bytes(),
        }
    }

    fn rows(&mut self, rows: &[TransactionBody]) -> Result<Vec<u8>, ApiError> {
        let mut part = Vec::new();
        match self {
            Self::Lines => {
                for row in rows {
                    serde_json::to_writer(&mut part, row).map_err(anyhow::Error::new)?;
                    part.push(b'\n');
                }
            }
            Self::Csv => rows.iter().for_each(|row| part.extend_from_slice(line(row).as_bytes())),
            Self::Parquet(writer) => part = writer.rows(rows)?,
        }
        Ok(part)
    }

    /// What stands behind the rows, once all of them are written.
    fn foot(&mut self) -> Result<Vec<u8>, ApiError> {
        match self {
            Self::Lines | Self::Csv => Ok(Vec::new()),
            Self::Parquet(writer) => Ok(writer.end()?),
        }
    }
}

/// An export under way.
struct Export {
    app: Arc<App>,
    caller: Caller,
    id: String,
    query: TransactionQuery,
    filter: Filter,
    form: Form,
    after: Option<Cursor>,
    ended: bool,
}

impl Export {
    async fn part(&mut self) -> Result<Vec<u8>, ApiError> {
        let app = &self.app;
        let world = app.world();
        let tx = app.store.tenant_tx(self.caller.tenant).await?;
        let (mut tx, held) = readable(app, tx, &world, &self.caller, &self.id).await?;
        consented(&held, "transactions")?;
        let key = app.vault.open_key(self.caller.tenant, &held.line.key)?;
        let wanted = RowQuery {
            consent: held.consent,
            line: Some(held.line.id),
            from: self.query.date_from,
            until: self.query.date_to,
            after: self.after,
            limit: limits::ROWS_PER_QUERY_MAX,
        };
        let page = filters::page(&mut tx, wanted, &self.filter, &key).await?;
        let rows: Vec<_> =
            page.rows.into_iter().map(|(stored, opened)| TransactionBody::new(&stored, opened)).collect();
        let mut part = self.form.rows(&rows)?;
        disclose(app, &mut tx, &world, &self.caller, &held, "export", rows.len()).await?;
        tx.commit().await?;
        self.after = page.next;
        self.ended = page.next.is_none();
        if self.ended {
            part.extend(self.form.foot()?);
        }
        Ok(part)
    }
}

/// A line of CSV (RFC 4180).
fn line(row: &TransactionBody) -> String {
    let day = |day: Option<jiff::civil::Date>| day.map(|day| day.to_string()).unwrap_or_default();
    let text = |text: &Option<String>| cell(text.as_deref().unwrap_or_default());
    let cells = [
        row.id.clone(),
        row.account_id.clone(),
        row.status.clone(),
        day(row.booking_date),
        day(row.value_date),
        day(row.transaction_date),
        row.amount.amount.clone(),
        row.amount.currency.clone(),
        text(&row.counterparty),
        text(&row.counterparty_account),
        text(&row.merchant),
        text(&row.category),
        text(&row.description),
        text(&row.bank_reference),
        text(&row.end_to_end_id),
    ];
    format!("{}\r\n", cells.join(","))
}

/// A text as a cell: quoted where it must be, and never a formula.
fn cell(text: &str) -> String {
    let guarded = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    if guarded.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", guarded.replace('"', "\"\"")) } else { guarded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_and_no_formula() {
        for (text, expected) in [
            ("Bäckerei", "Bäckerei"),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("@cmd,x", "\"'@cmd,x\""),
            ("", ""),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
