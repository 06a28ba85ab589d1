//! `/v1/accounts/{id}/balances/history`: every balance that the bank gave, newest first, by pages.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use store::balances::{self, Window};
use utoipa::{IntoParams, ToSchema};

use super::accounts::{consented, disclose, foreign_cursor, freshness, readable};
use super::auth::{Caller, Scope};
use super::body::{BalanceBody, FreshnessBody};
use super::cursor;
use super::query::Query;
use crate::app::App;
use crate::keys::TenantKeys;
use crate::problem::{ApiError, Problem};

/// Which balances.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// First day on which it was read, inclusive, UTC.
    #[param(value_type = Option<String>, format = Date)]
    pub date_from: Option<Date>,
    /// Last such day, inclusive.
    #[param(value_type = Option<String>, format = Date)]
    pub date_to: Option<Date>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// At most so many, 1 to 500; 100 by default.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
}

/// Balances as they were read.
#[derive(Clone, Serialize, ToSchema)]
pub struct BalanceHistory {
    /// Newest first; those of one fetch beside each other.
    pub data: Vec<BalanceBody>,
    /// Gives the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// How fresh.
    pub freshness: FreshnessBody,
}

/// Read the balances of an account as they were over time, newest first, by pages that new ones never disturb.
#[utoipa::path(
    operation_id = "balance_history", get, path = "/v1/accounts/{id}/balances/history", tag = "accounts", params(("id" = String, Path), HistoryQuery),
    responses(
        (status = 200, body = BalanceHistory), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)
    )
)]
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<BalanceHistory>, ApiError> {
    caller.may(Scope::Data)?;
    let limit = super::limit(query.limit)?;
    let (from, until) = (query.date_from.and_then(midnight), query.date_to.and_then(next_day).and_then(midnight));
    let world = app.world();
    let tx = app.store.tenant_tx(caller.tenant).await?;
    let (mut tx, held) = readable(&app, tx, &world, &caller, &id).await?;
    consented(&held, "balances")?;
    let keys = TenantKeys::lookup(&app, &mut tx, &world).await?;
    let scope = cursor::scope(caller.product, held.line.id);
    let mac = |bytes: &[u8]| keys.mac("cursor", bytes);
    let after = match &query.cursor {
        None => None,
        Some(text) => Some(cursor::decode_balance(text, &scope, mac).ok_or_else(foreign_cursor)?),
    };
    let window = Window { from, until, after, limit };
    let (rows, next) = balances::history(&mut tx, held.consent, held.line.id, window).await?;
    let key = app.vault.open_key(caller.tenant, &held.line.key)?;
    let mut data = Vec::with_capacity(rows.len());
    for row in &rows {
        data.push(BalanceBody::new(&row.open(caller.tenant, &key)?, row.fetched_at));
    }
    let next_cursor = next.map(|next| cursor::encode_balance(&next, &scope, mac));
    disclose(&app, &mut tx, &world, &caller, &held, "balance_history", data.len()).await?;
    tx.commit().await?;
    Ok(Json(BalanceHistory { data, next_cursor, freshness: freshness(&held) }))
}

/// The day after; none after the last that there is, which bounds nothing.
fn next_day(day: Date) -> Option<Date> {
    day.checked_add(Span::new().days(1)).ok()
}

/// The first moment of a day; none for days at the ends of the calendar, which bound nothing.
fn midnight(day: Date) -> Option<Timestamp> {
    day.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_where_the_next_begins() {
        let day: Date = "2026-02-28".parse().unwrap();
        assert_eq!(next_day(day).and_then(midnight), Some("2026-03-01T00:00:00Z".parse().unwrap()));
        assert_eq!(next_day(Date::MAX), None);
    }
}
