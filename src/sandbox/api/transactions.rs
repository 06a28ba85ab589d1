//! `/v1/accounts/{id}/transactions`.

use axum::Json;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use jiff::ToSpan;
use jiff::civil::Date;
use net::serve::PeerCertificate;
use serde_json::{Value, json};

use super::accounts::{amount, balances_of, reference};
use super::problem::{self, Problem};
use super::{open, statements};
use crate::bank::{Inner, Shared};
use crate::config::ListForm;
use crate::data::{Account, Row};

/// Most rows that a TPP may ask for on one page.
const PAGE_ROWS_MAX: usize = 500;

/// What was asked for, after the checks that need no consent.
struct Wanted {
    booking_status: String,
    from: Option<Date>,
    to: Option<Date>,
    page: usize,
    rows: usize,
    with_balance: bool,
}

pub(super) async fn list(
    State(bank): State<Shared>,
    Extension(peer): Extension<PeerCertificate>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = read_query(&bank, query.as_deref().unwrap_or_default())?;
    let counted = format!("/accounts/{id}/transactions?{}&{}", wanted.booking_status, wanted.page);
    let opened = open(&bank, &peer, &headers, &counted)?;
    let (resource, account) = opened.find(&bank, &id)?;
    if !resource.transactions {
        return Err(problem::ACCOUNT_ACCESS_MISMATCH);
    }
    let oldest = bank.today().saturating_sub(bank.policy.history_days.days());
    if !opened.fresh && wanted.from.is_some_and(|from| from < oldest) {
        return Err(problem::REQUEST_PERIOD_TOO_LONG);
    }
    let listed = bank.listed(account);
    if bank.policy.list_form != ListForm::Json {
        let (from, to) = (wanted.from.unwrap_or(Date::MIN), wanted.to.unwrap_or(bank.today()));
        let with_pending = wanted.booking_status != "booked";
        return Ok(statements::of(bank.policy.list_form, &listed, bank.today(), (from, to), with_pending));
    }
    let rows = rows(&bank, &listed, &id, &wanted);
    let mut report = json!({ "account": reference(account), "transactions": rows });
    if wanted.with_balance && resource.balances {
        report["balances"] = json!(balances_of(&bank, account));
    }
    Ok(Json(report).into_response())
}

fn read_query(bank: &Inner, query: &str) -> Result<Wanted, Problem> {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let get = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let date = |name: &str| match get(name).map(str::parse::<Date>) {
        None => Ok(None),
        Some(Ok(day)) => Ok(Some(day)),
        Some(Err(_)) => Err(problem::REQUEST_DATE_INVALID),
    };
    let number = |name: &str, most: usize, otherwise: usize| match get(name).map(str::parse::<usize>) {
        None => Ok(otherwise),
        Some(Ok(number)) if number <= most => Ok(number),
        Some(_) => Err(problem::REQUEST_PAGE_INVALID),
    };
    let booking_status = match get("bookingStatus") {
        Some(word @ ("booked" | "pending" | "both")) => word.to_owned(),
        Some(_) => return Err(problem::REQUEST_BOOKING_STATUS_UNSUPPORTED),
        None => return Err(problem::REQUEST_BOOKING_STATUS_MISSING),
    };
    let (from, to) = (date("dateFrom")?, date("dateTo")?);
    if from.is_none() {
        // With dates a delta is silently answered by a full list; without, there is nothing to go by.
        if get("deltaList").is_some() || get("entryReferenceFrom").is_some() {
            return Err(problem::REQUEST_DELTA_UNSUPPORTED);
        }
        return Err(problem::REQUEST_DATE_MISSING);
    }
    if from > to && to.is_some() {
        return Err(problem::REQUEST_PERIOD_INVALID);
    }
    Ok(Wanted {
        booking_status,
        from,
        to,
        page: number("pageIndex", usize::from(u16::MAX), 0)?,
        rows: number("itemsPerPage", PAGE_ROWS_MAX, bank.policy.page_rows)?.max(1),
        with_balance: get("withBalance") == Some("true"),
    })
}

/// The report's lists. Pending rows come with the first page; booked ones are paged, newest first.
fn rows(bank: &Inner, account: &Account, id: &str, wanted: &Wanted) -> Value {
    let today = bank.today();
    let base = format!("/v1/accounts/{id}");
    let mut report = json!({ "_links": { "account": { "href": base } } });
    if wanted.booking_status != "pending" {
        let found = account.booked(today, wanted.from.unwrap_or(Date::MIN), wanted.to.unwrap_or(today));
        let page = found.iter().skip(wanted.page * wanted.rows).take(wanted.rows);
        report["booked"] = page.map(|row| booked(row)).collect();
        let more = found.len() > (wanted.page + 1) * wanted.rows;
        let link = |page: usize| json!({ "href": page_link(&base, wanted, page) });
        report["_links"]["first"] = link(0);
        if more {
            report["_links"]["next"] = link(wanted.page + 1);
        }
    }
    if wanted.booking_status != "booked" && wanted.page == 0 {
        report["pending"] = account.pending(today).into_iter().map(pending).collect();
    }
    report
}

fn page_link(base: &str, wanted: &Wanted, page: usize) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("bookingStatus", &wanted.booking_status);
    for (name, day) in [("dateFrom", wanted.from), ("dateTo", wanted.to)] {
        if let Some(day) = day {
            query.append_pair(name, &day.to_string());
        }
    }
    query.append_pair("pageIndex", &page.to_string()).append_pair("itemsPerPage", &wanted.rows.to_string());
    format!("{base}/transactions?{}", query.finish())
}

fn booked(row: &Row) -> Value {
    let mut shown = common(row);
    shown["transactionId"] = json!(row.transaction_id);
    shown["entryReference"] = json!(row.transaction_id);
    shown["bookingDate"] = json!(row.booked.to_string());
    shown["bankTransactionCode"] = json!(row.bank_transaction_code);
    shown["proprietaryBankTransactionCode"] = json!(row.proprietary_code);
    shown
}

/// A pending row has neither an id nor a booking day yet; its value date is the expected one.
fn pending(row: &Row) -> Value {
    common(row)
}

fn common(row: &Row) -> Value {
    let mut shown = json!({
        "transactionAmount": amount(&row.money),
        "valueDate": row.booked.to_string(),
        "remittanceInformationUnstructured": row.remittance,
    });
    let side = if row.money.amount().is_sign_negative() { "creditor" } else { "debtor" };
    let texts = [
        (format!("{side}Name"), row.counterparty.as_deref()),
        ("endToEndId".to_owned(), row.end_to_end_id.as_deref()),
        ("mandateId".to_owned(), row.mandate_id.as_deref()),
        ("creditorId".to_owned(), row.creditor_id.as_deref()),
        ("purposeCode".to_owned(), row.purpose_code),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            shown[name] = json!(text);
        }
    }
    if let Some(iban) = &row.counterparty_iban {
        shown[format!("{side}Account")] = json!({ "iban": iban });
    }
    if let Some(exchange) = &row.exchange {
        let (foreign, own) = (exchange.instructed.currency().code().to_owned(), row.money.currency().code().to_owned());
        shown["currencyExchange"] = json!([{
            "sourceCurrency": foreign,
            "targetCurrency": own,
            "unitCurrency": foreign,
            "exchangeRate": exchange.rate,
            "quotationDate": row.entered.to_string(),
            "instructedAmount": amount(&exchange.instructed),
        }]);
    }
    shown
}
