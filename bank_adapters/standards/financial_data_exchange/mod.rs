//! FDX 6 of the Financial Data Exchange, as banks of North America offer it; rows of 4 and 5 are read, too.
//!
//! Consent is part of the authorisation. Amounts are JSON numbers without a sign, beside a memo that says which way.

pub mod rows;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::rest::{Paging, Rest, fapi};
use crate::answer::{Accounts, Balances, Transactions};
use crate::ask::{BankConsentId, CallContext, NextLink, PageAsk, ResourceId};
use crate::endpoints::HttpsUrl;
use crate::error::BankError;
use crate::profile::Profile;
use crate::{Bank, Call, Consents};

/// A link where there is one; `nextPageKey` of 6, else `nextOffset` of the versions before it.
const NEXT: Paging =
    Paging::LinkOrKey("page.links.next", &[("page.nextPageKey", "pageKey"), ("page.nextOffset", "offset")]);

/// A bank that speaks FDX.
pub struct FinancialDataExchange {
    rest: Rest,
}

/// Who asks: a person, or work of the night.
fn headers(context: &CallContext, headers: &mut HeaderMap) {
    fapi(context, headers);
    let actor = if context.psu.is_some() { "USER" } else { "BATCH" };
    headers.insert(HeaderName::from_static("fdx-api-actor-type"), HeaderValue::from_static(actor));
}

impl FinancialDataExchange {
    /// The bank of a profile, its API at `api`; `/accounts` follows it, since banks put versions of their own before.
    pub fn new(profile: Arc<Profile>, api: &HttpsUrl) -> Self {
        Self { rest: Rest::new(profile, api, headers) }
    }

    fn uri(&self, path: &[&str], query: &[(&str, &str)]) -> Uri {
        let mut segments = vec!["accounts"];
        segments.extend(path);
        self.rest.base.resource(&segments, query)
    }
}

impl Bank for FinancialDataExchange {
    fn profile(&self) -> &Arc<Profile> {
        &self.rest.profile
    }

    fn consents(&self) -> Option<&dyn Consents> {
        None
    }

    fn accounts(&self, _: &BankConsentId, next: Option<&NextLink>, context: &CallContext) -> Call<Accounts, BankError> {
        let uri = next.map_or_else(|| self.uri(&[], &[]), |link| link.0.clone());
        self.rest.accounts(self.rest.get(uri, context), ("accounts", NEXT), rows::account)
    }

    /// The account itself tells its balances.
    fn balances(&self, _: &BankConsentId, account: &ResourceId, context: &CallContext) -> Call<Balances, BankError> {
        let uri = self.uri(&[account.as_str()], &[]);
        self.rest.balances(self.rest.get(uri, context), "", rows::balances)
    }

    fn transactions(
        &self,
        _: &BankConsentId,
        account: &ResourceId,
        page: PageAsk<'_>,
        context: &CallContext,
    ) -> Call<Transactions, BankError> {
        let uri = match page {
            PageAsk::Next(link) => link.0.clone(),
            PageAsk::First(window) => {
                let (from, to) = (window.from.to_string(), window.to.map(|to| to.to_string()));
                let mut query = vec![("startTime", from.as_str())];
                query.extend(to.as_deref().map(|to| ("endTime", to)));
                self.uri(&[account.as_str(), "transactions"], &query)
            }
        };
        self.rest.transactions(self.rest.get(uri, context), ("transactions", NEXT), rows::transaction)
    }
}
