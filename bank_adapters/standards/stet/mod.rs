//! STET PSD2 1.6 and 2: account information, as French banks offer it.
//!
//! A token of the scope `aisp` opens all accounts that the PSU shares; there is no consent before it. Lists are empty by
//! 204, and `dateTo` is exclusive.

pub mod rows;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use jiff::ToSpan;

use super::rest::{Paging, Rest, secret, visible};
use crate::answer::{Accounts, Balances, Transactions};
use crate::ask::{BankConsentId, CallContext, NextLink, PageAsk, ResourceId};
use crate::endpoints::HttpsUrl;
use crate::error::BankError;
use crate::profile::Profile;
use crate::{Bank, Call, Consents};

const NEXT: Paging = Paging::Link("_links.next");

/// A bank that speaks STET.
pub struct Stet {
    rest: Rest,
}

/// `PSU-*` say that the PSU is there, and only then.
fn headers(context: &CallContext, headers: &mut HeaderMap) {
    let id = context.request_id.hyphenated().to_string();
    headers.insert(HeaderName::from_static("x-request-id"), visible(&id));
    if let Some(psu) = &context.psu {
        headers.insert(HeaderName::from_static("psu-ip-address"), secret(&psu.ip.to_canonical().to_string()));
        let agent = psu.user_agent.as_deref().and_then(|agent| HeaderValue::from_str(agent).ok());
        headers.extend(agent.map(|agent| (HeaderName::from_static("psu-user-agent"), agent)));
    }
}

impl Stet {
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

impl Bank for Stet {
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

    fn balances(&self, _: &BankConsentId, account: &ResourceId, context: &CallContext) -> Call<Balances, BankError> {
        let uri = self.uri(&[account.as_str(), "balances"], &[]);
        self.rest.balances(self.rest.get(uri, context), "balances", |raw| vec![rows::balance(raw)])
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
                let from = window.from.to_string();
                let behind = window.to.map(|to| to.saturating_add(1.day()).to_string());
                let mut query = vec![("dateFrom", from.as_str())];
                query.extend(behind.as_deref().map(|behind| ("dateTo", behind)));
                self.uri(&[account.as_str(), "transactions"], &query)
            }
        };
        self.rest.transactions(self.rest.get(uri, context), ("transactions", NEXT), rows::transaction)
    }
}
