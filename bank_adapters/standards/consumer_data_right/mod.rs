//! The Australian Consumer Data Right: banking accounts, balances and transactions of the Consumer Data Standards 1.
//!
//! There is no consent resource: an authorisation makes an arrangement, which ends by the arrangement's own endpoint. Every
//! end point has a version of its own, told in headers; the highest that the bank has up to ours is taken.

pub mod rows;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};

use super::rest::{Paging, Rest, end_of_day, fapi, secret};
use crate::answer::{Accounts, Balances, Transactions};
use crate::ask::{BankConsentId, CallContext, NextLink, PageAsk, ResourceId};
use crate::endpoints::HttpsUrl;
use crate::error::BankError;
use crate::profile::Profile;
use crate::{Bank, Call, Consents};

const X_V: HeaderName = HeaderName::from_static("x-v");
const X_MIN_V: HeaderName = HeaderName::from_static("x-min-v");
const X_CDS_CLIENT_HEADERS: HeaderName = HeaderName::from_static("x-cds-client-headers");

const NEXT: Paging = Paging::Link("links.next");

/// Rows of a page: the standard's most.
const PAGE_SIZE: &str = "1000";

/// A data holder of the Consumer Data Right.
pub struct ConsumerDataRight {
    rest: Rest,
}

/// What every call carries. A call for a present customer carries the headers of the customer's own request, too.
fn headers(context: &CallContext, headers: &mut HeaderMap) {
    fapi(context, headers);
    if let Some(psu) = &context.psu {
        let agent = psu.user_agent.as_deref().unwrap_or_default();
        headers.insert(X_CDS_CLIENT_HEADERS, secret(&STANDARD.encode(format!("User-Agent: {agent}\r\n"))));
    }
}

impl ConsumerDataRight {
    /// The bank of a profile, its API at `api`; the standard's `/cds-au/v1` follows it.
    pub fn new(profile: Arc<Profile>, api: &HttpsUrl) -> Self {
        Self { rest: Rest::new(profile, api, headers) }
    }

    fn uri(&self, path: &[&str], query: &[(&str, &str)]) -> Uri {
        let mut segments = vec!["cds-au", "v1", "banking", "accounts"];
        segments.extend(path);
        self.rest.base.resource(&segments, query)
    }

    /// A read of at most version `most` of its end point.
    fn get(&self, uri: Uri, most: &'static str, context: &CallContext) -> Request<Bytes> {
        let mut request = self.rest.get(uri, context);
        let headers = request.headers_mut();
        headers.insert(X_V, HeaderValue::from_static(most));
        headers.insert(X_MIN_V, HeaderValue::from_static("1"));
        request
    }
}

impl Bank for ConsumerDataRight {
    fn profile(&self) -> &Arc<Profile> {
        &self.rest.profile
    }

    fn consents(&self) -> Option<&dyn Consents> {
        None
    }

    fn accounts(&self, _: &BankConsentId, next: Option<&NextLink>, context: &CallContext) -> Call<Accounts, BankError> {
        let uri = next.map_or_else(|| self.uri(&[], &[("page-size", PAGE_SIZE)]), |link| link.0.clone());
        self.rest.accounts(self.get(uri, "3", context), ("data.accounts", NEXT), rows::account)
    }

    fn balances(&self, _: &BankConsentId, account: &ResourceId, context: &CallContext) -> Call<Balances, BankError> {
        let uri = self.uri(&[account.as_str(), "balance"], &[]);
        self.rest.balances(self.get(uri, "1", context), "data", rows::balances)
    }

    /// Days become instants of the bank's zone.
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
                let zone = self.rest.profile.zone();
                let oldest = window.from.to_zoned(zone).map(|start| start.timestamp().to_string()).unwrap_or_default();
                let newest = window.to.and_then(|to| end_of_day(&self.rest.profile, to)).map(|end| end.to_string());
                let mut query = vec![("oldest-time", oldest.as_str())];
                query.extend(newest.as_deref().map(|newest| ("newest-time", newest)));
                query.push(("page-size", PAGE_SIZE));
                self.uri(&[account.as_str(), "transactions"], &query)
            }
        };
        self.rest.transactions(self.get(uri, "2", context), ("data.transactions", NEXT), rows::transaction)
    }
}
