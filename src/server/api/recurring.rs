//! `/v1/accounts/{id}/recurring`: payments that come again, and income streams, worked out from the transactions that the
//! product may read anyway. Nothing of it is stored.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use domain::limits;
use domain::records::Normalized;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use normalize::recurring::{Payment, Series, series};
use serde::Serialize;
use store::transactions;
use utoipa::ToSchema;

use super::accounts::{consented, disclose, freshness, readable};
use super::auth::{Caller, Scope};
use super::body::{FreshnessBody, MoneyBody};
use crate::app::App;
use crate::problem::{ApiError, Problem};

/// Payments of one party that come again.
#[derive(Clone, Serialize, ToSchema)]
pub struct SeriesBody {
    /// Merchant, else counterparty, as the latest transaction names it.
    pub party: String,
    /// Wikidata id of the merchant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merchant_id: Option<String>,
    /// `primary.detailed` of the latest transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What it is to the holder: `salary`, `pension`, `benefit`, `income`, `own_money`, `payment`.
    pub stream: String,
    /// `weekly`, `fortnightly`, `four_weekly`, `monthly`, `two_monthly`, `quarterly`, `half_yearly`, `yearly`.
    pub period: String,
    /// The amount in the middle; money out is negative.
    pub typical_amount: MoneyBody,
    /// The amount nearest to nothing.
    pub least_amount: MoneyBody,
    /// The amount farthest from nothing.
    pub most_amount: MoneyBody,
    /// Day of the first transaction.
    #[schema(value_type = String, format = Date)]
    pub first_date: Date,
    /// Day of the last transaction.
    #[schema(value_type = String, format = Date)]
    pub last_date: Date,
    /// The day of the next one; absent when the series has ended.
    #[schema(value_type = Option<String>, format = Date)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_expected_date: Option<Date>,
    /// Days between expected and real days, in the mean, as a decimal string.
    pub mean_deviation_days: String,
    /// How sure it is that these transactions are a series, in percent.
    pub confidence: u8,
    /// `txn_…`, by day.
    pub transaction_ids: Vec<String>,
}

/// Series with the freshness of their account.
#[derive(Clone, Serialize, ToSchema)]
pub struct SeriesList {
    /// In the order of their first transaction.
    pub data: Vec<SeriesBody>,
    /// Transactions that were looked at: the newest, up to a limit.
    pub transactions_read: usize,
    /// How fresh.
    pub freshness: FreshnessBody,
}

/// A stored transaction with its id.
struct Row {
    id: String,
    record: Normalized,
}

/// Find payments that come again and income streams among an account's booked transactions.
#[utoipa::path(
    operation_id = "recurring", get, path = "/v1/accounts/{id}/recurring", tag = "accounts", params(("id" = String, Path)),
    responses((status = 200, body = SeriesList), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<SeriesList>, ApiError> {
    caller.may(Scope::Data)?;
    let world = app.world();
    let tx = app.store.tenant_tx(caller.tenant).await?;
    let (mut tx, held) = readable(&app, tx, &world, &caller, &id).await?;
    consented(&held, "transactions")?;
    let key = app.vault.open_key(caller.tenant, &held.line.key)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut after = None;
    while rows.len() < limits::ROWS_PER_RECURRING_MAX {
        let wanted = transactions::Query {
            consent: held.consent,
            line: Some(held.line.id),
            from: None,
            until: None,
            after,
            limit: limits::ROWS_PER_QUERY_MAX,
        };
        let page = transactions::page(&mut tx, wanted).await?;
        for row in &page.rows {
            rows.push(Row { id: row.id.to_string(), record: row.open(caller.tenant, &key)? });
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let data = found(&rows, world.now.to_zoned(TimeZone::UTC).date());
    let freshness = freshness(&held);
    disclose(&app, &mut tx, &world, &caller, &held, "recurring", rows.len()).await?;
    tx.commit().await?;
    Ok(Json(SeriesList { data, transactions_read: rows.len(), freshness }))
}

/// The series among rows.
fn found(rows: &[Row], today: Date) -> Vec<SeriesBody> {
    let (payments, of): (Vec<Payment<'_>>, Vec<&Row>) =
        rows.iter().filter_map(|row| Some((Payment::of(&row.record)?, row))).unzip();
    series(&payments, today).iter().filter_map(|series| SeriesBody::new(series, &of)).collect()
}

impl SeriesBody {
    /// A series on the wire; `rows` are those that its members count.
    fn new(series: &Series, rows: &[&Row]) -> Option<Self> {
        let latest = &rows.get(*series.members.last()?)?.record;
        let tenths = series.mean_deviation_tenths;
        Some(Self {
            party: latest.merchant.clone().or_else(|| latest.counterparty.name.clone())?,
            merchant_id: latest.merchant_id.clone(),
            category: latest.category.clone(),
            stream: series.stream.as_str().to_owned(),
            period: series.period.as_str().to_owned(),
            typical_amount: (&series.typical).into(),
            least_amount: (&series.least).into(),
            most_amount: (&series.most).into(),
            first_date: series.first,
            last_date: series.last,
            next_expected_date: series.next_expected,
            mean_deviation_days: format!("{}.{}", tenths / 10, tenths % 10),
            confidence: series.confidence,
            transaction_ids: series.members.iter().filter_map(|at| Some(rows.get(*at)?.id.clone())).collect(),
        })
    }
}
