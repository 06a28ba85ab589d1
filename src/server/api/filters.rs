//! What a product narrows an account's transactions by. The database cannot read the rows, so the opened rows of one
//! account are looked at, newest first; a page ends where it is full or where enough was looked at.

use std::sync::Arc;

use domain::limits;
use domain::records::{Normalized, Status};
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;
use store::TenantTx;
use store::origins::Origins;
use store::transactions::{self, Cursor, Query as RowQuery, Transaction};
use utoipa::IntoParams;
use vault::DataKey;

use crate::problem::ApiError;

/// Rows that one request looks at, at most.
const ROWS_LOOKED_AT_MAX: usize = 5_000;

/// Which transactions.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct TransactionQuery {
    /// First day, inclusive.
    #[param(value_type = Option<String>, format = Date)]
    pub date_from: Option<Date>,
    /// Last day, inclusive.
    #[param(value_type = Option<String>, format = Date)]
    pub date_to: Option<Date>,
    /// Least signed amount, `-100.00`.
    #[param(value_type = Option<String>)]
    pub amount_min: Option<Decimal>,
    /// Greatest signed amount.
    #[param(value_type = Option<String>)]
    pub amount_max: Option<Decimal>,
    /// `in` or `out`.
    pub direction: Option<String>,
    /// A category, `food_and_drink.groceries`, or its first part.
    pub category: Option<String>,
    /// Canonical name of a merchant, in any case, or its Wikidata id.
    pub merchant: Option<String>,
    /// Words that stand in the description or in the name of the other side, in any case.
    pub text: Option<String>,
    /// `booked` or `pending`.
    pub status: Option<String>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// At most so many, 1 to 500; 100 by default.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
}

/// A filter that can be held against rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    amount_min: Option<Decimal>,
    amount_max: Option<Decimal>,
    out: Option<bool>,
    category: Option<String>,
    merchant: Option<String>,
    text: Option<String>,
    status: Option<Status>,
}

impl Filter {
    /// Reads the words of a query.
    ///
    /// # Errors
    /// 422 for a word that is none of those known.
    pub(super) fn of(query: &TransactionQuery) -> Result<Self, ApiError> {
        let invalid = |field, why: &str| ApiError::Invalid { field, why: why.to_owned() };
        let out = match query.direction.as_deref() {
            None => None,
            Some("in") => Some(false),
            Some("out") => Some(true),
            Some(_) => return Err(invalid("direction", "must be in or out")),
        };
        let status = match query.status.as_deref() {
            None => None,
            Some("booked") => Some(Status::Booked),
            Some("pending") => Some(Status::Pending),
            Some(_) => return Err(invalid("status", "must be booked or pending")),
        };
        if query.amount_min.zip(query.amount_max).is_some_and(|(least, most)| least > most) {
            return Err(invalid("amount_min", "must not be greater than amount_max"));
        }
        Ok(Self {
            amount_min: query.amount_min,
            amount_max: query.amount_max,
            out,
            category: query.category.clone(),
            merchant: query.merchant.as_ref().map(|name| name.to_lowercase()),
            text: query.text.as_ref().map(|text| text.to_lowercase()),
            status,
        })
    }

    fn passes(&self, row: &Normalized) -> bool {
        let amount = row.money.amount();
        let is = |text: &Option<String>, wanted: &str| text.as_ref().is_some_and(|text| text.to_lowercase() == wanted);
        let has = |text: &Option<String>, wanted: &str| {
            text.as_ref().is_some_and(|text| text.to_lowercase().contains(wanted))
        };
        let of_category = |category: &String, wanted: &str| {
            category.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.amount_min.is_none_or(|least| amount >= least)
            && self.amount_max.is_none_or(|most| amount <= most)
            && self.out.is_none_or(|out| amount.is_sign_negative() == out)
            && self.status.is_none_or(|status| row.status == status)
            && self
                .category
                .as_ref()
                .is_none_or(|wanted| row.category.as_ref().is_some_and(|category| of_category(category, wanted)))
            && self.merchant.as_ref().is_none_or(|wanted| is(&row.merchant, wanted) || is(&row.merchant_id, wanted))
            && self.text.as_ref().is_none_or(|wanted| {
                has(&row.description, wanted) || has(&row.counterparty.name, wanted) || has(&row.merchant, wanted)
            })
    }
}

/// Rows that pass, opened, with the origins of their fields, and where the next page begins; it may be empty, if nothing more
/// passes.
pub(super) struct Found {
    pub(super) rows: Vec<(Transaction, (Normalized, Arc<Origins>))>,
    pub(super) next: Option<Cursor>,
}

/// The next rows that pass.
///
/// # Errors
/// The consent is over, or the database's.
pub(super) async fn page(
    tx: &mut TenantTx,
    mut wanted: RowQuery,
    filter: &Filter,
    key: &DataKey,
) -> Result<Found, ApiError> {
    let limit = wanted.limit as usize;
    if *filter != Filter::default() {
        wanted.limit = limits::ROWS_PER_QUERY_MAX;
    }
    let (tenant, mut looked_at, mut rows) = (tx.tenant(), 0, Vec::new());
    loop {
        let page = transactions::page(tx, wanted).await?;
        let on_page = page.rows.len();
        for (nth, row) in page.rows.into_iter().enumerate() {
            let opened = row.open_shared(tenant, key)?;
            let place = Cursor { booking_date: row.booking_date, line: row.line, seq: row.seq };
            if filter.passes(&opened.0) {
                rows.push((row, opened));
            }
            if rows.len() == limit {
                let more = page.next.is_some() || nth + 1 < on_page;
                return Ok(Found { rows, next: more.then_some(place) });
            }
        }
        looked_at += on_page;
        match page.next {
            Some(next) if looked_at < ROWS_LOOKED_AT_MAX => wanted.after = Some(next),
            next => return Ok(Found { rows, next }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_none_are_refused() {
        let query = |change: fn(&mut TransactionQuery)| {
            let mut query = TransactionQuery::default();
            change(&mut query);
            Filter::of(&query).is_ok()
        };
        assert!(query(|query| query.direction = Some("in".to_owned())));
        assert!(!query(|query| query.direction = Some("up".to_owned())));
        assert!(query(|query| query.status = Some("pending".to_owned())));
        assert!(!query(|query| query.status = Some("BOOK".to_owned())));
        assert!(!query(|query| {
            query.amount_min = Some(Decimal::ONE);
            query.amount_max = Some(Decimal::ZERO);
        }));
    }
}
