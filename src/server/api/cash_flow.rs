//! `/v1/accounts/{id}/cash-flow`: what came in and went out, by period and category.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use domain::limits;
use domain::money::Money;
use domain::records::{Normalized, Status};
use jiff::Span;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use store::transactions::{self, Query as RowQuery};
use utoipa::{IntoParams, ToSchema};

use super::accounts::{consented, disclose, freshness, readable};
use super::auth::{Caller, Scope};
use super::body::{FreshnessBody, MoneyBody};
use super::query::Query;
use super::reconciliation::{self, ReconciliationBody};
use crate::app::App;
use crate::problem::{ApiError, Problem};

/// Name of what has no category.
const UNCATEGORISED: &str = "uncategorised";

/// Of which days, and by which period.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct CashFlowQuery {
    /// First day, inclusive.
    #[param(value_type = Option<String>, format = Date)]
    pub date_from: Option<Date>,
    /// Last day, inclusive.
    #[param(value_type = Option<String>, format = Date)]
    pub date_to: Option<Date>,
    /// `day`, `week` (from Monday), `month` or `year`; `month` by default.
    pub period: Option<String>,
}

/// What moved in one category.
#[derive(Clone, Serialize, ToSchema)]
pub struct CategoryFlow {
    /// `primary.detailed`, or `uncategorised`.
    pub category: String,
    /// Sum of money in.
    pub money_in: MoneyBody,
    /// Sum of money out, negative.
    pub money_out: MoneyBody,
    /// How many transactions.
    pub transactions: usize,
}

/// What moved in one period.
#[derive(Clone, Serialize, ToSchema)]
pub struct PeriodFlow {
    /// Its first day.
    #[schema(value_type = String, format = Date)]
    pub from: Date,
    /// Its last day.
    #[schema(value_type = String, format = Date)]
    pub until: Date,
    /// Sum of money in.
    pub money_in: MoneyBody,
    /// Sum of money out, negative.
    pub money_out: MoneyBody,
    /// Both together.
    pub net: MoneyBody,
    /// How many transactions.
    pub transactions: usize,
    /// By category, in the order of their names.
    pub categories: Vec<CategoryFlow>,
}

/// Periods, the oldest first; one for each currency, should an account have several.
#[derive(Clone, Serialize, ToSchema)]
pub struct CashFlow {
    /// The periods in which something moved.
    pub data: Vec<PeriodFlow>,
    /// Transactions that were looked at: the newest, up to a limit.
    pub transactions_read: usize,
    /// Whether all transactions of these days were looked at.
    pub complete: bool,
    /// How fresh.
    pub freshness: FreshnessBody,
    /// Whether the account adds up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciliation: Option<ReconciliationBody>,
}

#[derive(Clone, Copy)]
enum Period {
    Day,
    Week,
    Month,
    Year,
}

impl Period {
    fn parse(word: Option<&str>) -> Result<Self, ApiError> {
        match word {
            Some("day") => Ok(Self::Day),
            Some("week") => Ok(Self::Week),
            None | Some("month") => Ok(Self::Month),
            Some("year") => Ok(Self::Year),
            Some(_) => Err(ApiError::Invalid { field: "period", why: "must be day, week, month or year".to_owned() }),
        }
    }

    /// First and last day of the period around a day.
    fn around(self, day: Date) -> (Date, Date) {
        match self {
            Self::Day => (day, day),
            Self::Week => {
                let monday = day.saturating_sub(Span::new().days(day.weekday().to_monday_zero_offset()));
                (monday, monday.saturating_add(Span::new().days(6)))
            }
            Self::Month => (day.first_of_month(), day.last_of_month()),
            Self::Year => (day.first_of_year(), day.last_of_year()),
        }
    }
}

/// Sums of some transactions of one currency.
#[derive(Clone, Copy, Default)]
struct Sums {
    money_in: Decimal,
    money_out: Decimal,
    transactions: usize,
}

impl Sums {
    fn add(&mut self, amount: Decimal) {
        let side = if amount.is_sign_negative() { &mut self.money_out } else { &mut self.money_in };
        *side = side.saturating_add(amount);
        self.transactions += 1;
    }
}

/// Read what came in and went out of an account, by period and category. Only booked transactions count.
#[utoipa::path(
    operation_id = "cash_flow", get, path = "/v1/accounts/{id}/cash-flow", tag = "accounts", params(("id" = String, Path), CashFlowQuery),
    responses(
        (status = 200, body = CashFlow), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)
    )
)]
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<CashFlowQuery>,
) -> Result<Json<CashFlow>, ApiError> {
    caller.may(Scope::Data)?;
    let period = Period::parse(query.period.as_deref())?;
    let world = app.world();
    let tx = app.store.tenant_tx(caller.tenant).await?;
    let (mut tx, held) = readable(&app, tx, &world, &caller, &id).await?;
    consented(&held, "transactions")?;
    let key = app.vault.open_key(caller.tenant, &held.line.key)?;
    let mut wanted = RowQuery {
        consent: held.consent,
        line: Some(held.line.id),
        from: query.date_from,
        until: query.date_to,
        after: None,
        limit: limits::ROWS_PER_QUERY_MAX,
    };
    let mut rows: Vec<(Date, Normalized)> = Vec::new();
    let complete = loop {
        let page = transactions::page(&mut tx, wanted).await?;
        for row in &page.rows {
            rows.push((row.booking_date, row.open(caller.tenant, &key)?));
        }
        wanted.after = page.next;
        if wanted.after.is_none() || rows.len() >= limits::ROWS_PER_RECURRING_MAX {
            break wanted.after.is_none();
        }
    };
    let data = flow(&rows, period);
    let freshness = freshness(&held);
    let reconciliation = reconciliation::of_account(caller.tenant, &held, &key)?;
    disclose(&app, &mut tx, &world, &caller, &held, "cash_flow", rows.len()).await?;
    tx.commit().await?;
    Ok(Json(CashFlow { data, transactions_read: rows.len(), complete, freshness, reconciliation }))
}

/// The sums by period, currency and category.
fn flow(rows: &[(Date, Normalized)], period: Period) -> Vec<PeriodFlow> {
    let mut sums: BTreeMap<(Date, Date, String), BTreeMap<&str, Sums>> = BTreeMap::new();
    let mut currencies = BTreeMap::new();
    for (day, row) in rows.iter().filter(|(_, row)| row.status == Status::Booked) {
        let (from, until) = period.around(*day);
        let currency = row.money.currency();
        currencies.insert(currency.to_string(), currency);
        let of_period = sums.entry((from, until, currency.to_string())).or_default();
        of_period.entry(row.category.as_deref().unwrap_or(UNCATEGORISED)).or_default().add(row.money.amount());
    }
    let money = |amount: Decimal, currency: &str| {
        currencies.get(currency).map(|currency| MoneyBody::from(&Money::new(amount, *currency)))
    };
    let shown = |((from, until, currency), of_category): ((Date, Date, String), BTreeMap<&str, Sums>)| {
        let mut all = Sums::default();
        let mut categories = Vec::with_capacity(of_category.len());
        for (category, sums) in of_category {
            all.money_in = all.money_in.saturating_add(sums.money_in);
            all.money_out = all.money_out.saturating_add(sums.money_out);
            all.transactions += sums.transactions;
            categories.push(CategoryFlow {
                category: category.to_owned(),
                money_in: money(sums.money_in, &currency)?,
                money_out: money(sums.money_out, &currency)?,
                transactions: sums.transactions,
            });
        }
        Some(PeriodFlow {
            from,
            until,
            money_in: money(all.money_in, &currency)?,
            money_out: money(all.money_out, &currency)?,
            net: money(all.money_in.saturating_add(all.money_out), &currency)?,
            transactions: all.transactions,
            categories,
        })
    };
    sums.into_iter().filter_map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_whole() {
        let day: Date = "2024-02-29".parse().unwrap();
        for (period, from, until) in [
            (Period::Day, "2024-02-29", "2024-02-29"),
            (Period::Week, "2024-02-26", "2024-03-03"),
            (Period::Month, "2024-02-01", "2024-02-29"),
            (Period::Year, "2024-01-01", "2024-12-31"),
        ] {
            assert_eq!(period.around(day), (from.parse().unwrap(), until.parse().unwrap()));
        }
    }
}
