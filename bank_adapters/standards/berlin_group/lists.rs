//! Accounts, balances and transactions (Implementation Guidelines §6.5).

use domain::limits::{ACCOUNTS_PER_CONSENT_MAX, ROWS_PER_BANK_PAGE_MAX};
use domain::records::{List, Parsed};
use http::Uri;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{href, rows};
use crate::answer::{AccountRow, Accounts, Balances, Continuation, Offers, Row, Transactions};
use crate::ask::ResourceId;
use crate::error::{BankError, Breach};
use crate::links::Base;
use crate::wire::{Answer, Reply, bounded};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAccounts<'a> {
    #[serde(borrow)]
    accounts: Option<Vec<&'a RawValue>>,
    #[serde(borrow, rename = "_links")]
    links: Option<&'a RawValue>,
    #[serde(borrow)]
    tpp_messages: Option<&'a RawValue>,
}

impl Answer for WireAccounts<'_> {
    fn messages(&self) -> Option<&RawValue> {
        self.tpp_messages
    }
}

/// The links of an account; a wrong form of them must not lose the account.
#[derive(Deserialize)]
struct WireLinks<'a> {
    #[serde(borrow, rename = "_links")]
    links: Option<&'a RawValue>,
}

/// The answer to `GET /v1/accounts`, the page at `here`. The standard knows no pages of accounts; banks do.
pub(super) fn accounts(reply: &Reply, base: &Base, here: &Uri) -> Result<Accounts, BankError> {
    if reply.is_nothing() {
        return Ok(Accounts { rows: Vec::new(), next: Continuation::End, issues: reply.issues() });
    }
    let wire: WireAccounts<'_> = reply.read()?;
    let next = page(wire.links, "next", base, here).unwrap_or(Continuation::End);
    let raws = wire.accounts.ok_or_else(|| reply.broken(Breach::Field("accounts")))?;
    let raws = bounded(raws, ACCOUNTS_PER_CONSENT_MAX, "accounts")?;
    let rows = raws.into_iter().map(|raw| {
        let parsed = rows::account(raw);
        let links = serde_json::from_str::<WireLinks<'_>>(raw.get()).ok().and_then(|wire| wire.links);
        AccountRow {
            resource: parsed.resource_id.as_ref().and_then(|id| ResourceId::new(&id.value).ok()),
            offers: links.map(|links| Offers {
                balances: href(Some(links), "balances").is_some(),
                transactions: href(Some(links), "transactions").is_some(),
            }),
            row: Row { parsed: Box::new(parsed), raw: reply.raw(raw.get()) },
        }
    });
    Ok(Accounts { rows: rows.collect(), next, issues: reply.issues() })
}

/// The page that a link leads to; nothing where there is no link.
fn page(links: Option<&RawValue>, name: &'static str, base: &Base, here: &Uri) -> Option<Continuation> {
    Some(match href(links, name)? {
        Ok(link) => base.next(&link, here, name),
        Err(breach) => Continuation::Broken(breach),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBalances<'a> {
    #[serde(borrow)]
    balances: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    tpp_messages: Option<&'a RawValue>,
}

impl Answer for WireBalances<'_> {
    fn messages(&self) -> Option<&RawValue> {
        self.tpp_messages
    }
}

/// The answer to `GET /v1/accounts/{id}/balances`.
pub(super) fn balances(reply: &Reply) -> Result<Balances, BankError> {
    if reply.is_nothing() {
        return Ok(Balances { rows: Vec::new(), issues: reply.issues() });
    }
    let wire: WireBalances<'_> = reply.read()?;
    let raws = wire.balances.ok_or_else(|| reply.broken(Breach::Field("balances")))?;
    let raws = bounded(raws, ROWS_PER_BANK_PAGE_MAX, "balances")?;
    let rows = raws.into_iter().map(|raw| Row { parsed: Box::new(rows::balance(raw)), raw: reply.raw(raw.get()) });
    Ok(Balances { rows: rows.collect(), issues: reply.issues() })
}

/// A transaction report, with lists of one kind or another.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "L: Deserialize<'de>"))]
struct WireReport<'a, L> {
    transactions: Option<WireTransactions<'a, L>>,
    #[serde(borrow, rename = "_links")]
    links: Option<&'a RawValue>,
    #[serde(borrow)]
    tpp_messages: Option<&'a RawValue>,
}

impl<L> Answer for WireReport<'_, L> {
    fn messages(&self) -> Option<&RawValue> {
        self.tpp_messages
    }
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "L: Deserialize<'de>"))]
struct WireTransactions<'a, L> {
    booked: Option<L>,
    pending: Option<L>,
    information: Option<L>,
    #[serde(borrow, rename = "_links")]
    links: Option<&'a RawValue>,
}

/// The answer to `GET /v1/accounts/{id}/transactions`, the page at `here`. A report without a list but with a download is
/// an empty page that the download follows. A statement has no links: where it says that it is not the last page, what came
/// is incomplete.
pub(super) fn transactions(reply: &Reply, base: &Base, here: &Uri) -> Result<Transactions, BankError> {
    if reply.is_nothing() {
        return Ok(Transactions { rows: Vec::new(), next: Continuation::End, issues: reply.issues() });
    }
    if let Some(statement) = reply.statement()? {
        let next = if statement.more { Continuation::Broken(Breach::Field("next")) } else { Continuation::End };
        let issues = reply.issues().into_iter().chain(statement.issues).collect();
        return Ok(Transactions { rows: statement.rows, next, issues });
    }
    if let Ok(wire) = reply.read::<WireReport<'_, rows::Rows<'_>>>() {
        let answer = reply.text();
        let missing = || reply.broken(Breach::Field("transactions"));
        return report(wire, reply, base, here, |list, rows| rows.of(list, reply, answer).ok_or_else(missing));
    }
    report(reply.read()?, reply, base, here, |list, raws: Vec<&RawValue>| {
        let raws = bounded(raws, ROWS_PER_BANK_PAGE_MAX, "transactions")?;
        let row = |raw: &RawValue| Row { parsed: Box::new(rows::transaction(raw, list)), raw: reply.raw(raw.get()) };
        Ok(raws.into_iter().map(row).collect())
    })
}

/// What a report says, whose lists somebody can read.
fn report<L>(
    wire: WireReport<'_, L>,
    reply: &Reply,
    base: &Base,
    here: &Uri,
    read: impl Fn(List, L) -> Result<Vec<Row<Parsed>>, BankError>,
) -> Result<Transactions, BankError> {
    let page = |links, name| page(links, name, base, here);
    let Some(lists) = wire.transactions else {
        let next = page(wire.links, "download").ok_or_else(|| reply.broken(Breach::Field("transactions")))?;
        return Ok(Transactions { rows: Vec::new(), next, issues: reply.issues() });
    };
    let next = page(lists.links, "next").or_else(|| page(wire.links, "next")).unwrap_or(Continuation::End);
    let lists = [(List::Booked, lists.booked), (List::Pending, lists.pending), (List::Information, lists.information)];
    let mut rows = Vec::new();
    for (list, found) in lists {
        let Some(found) = found else { continue };
        let mut read = read(list, found)?;
        if rows.is_empty() { rows = read } else { rows.append(&mut read) }
    }
    let rows = bounded(rows, ROWS_PER_BANK_PAGE_MAX, "transactions")?;
    Ok(Transactions { rows, next, issues: reply.issues() })
}
