//! UK Open Banking, Read/Write API 3.1 and 4.0: account-access consents and account information.
//!
//! Both versions have the same resources under another path; 4.0 writes ISO 20022 codes where 3.1 wrote words, and rows are
//! read in either. One list holds booked and pending rows, each with its status.

pub mod rows;

use std::sync::Arc;

use http::Uri;
use serde_json::{Value, json};

use super::intents::Form;
use super::rest::{Paging, Rest, end_of_day, fapi_with_agent};
use crate::answer::{Accounts, Balances, ConsentState, Ended, Granted, Opened, Transactions};
use crate::ask::{BankConsentId, CallContext, Clusters, ConsentAsk, NextLink, PageAsk, ResourceId};
use crate::endpoints::HttpsUrl;
use crate::error::BankError;
use crate::profile::Profile;
use crate::{Bank, Call, Consents};

/// OBReadConsentResponse1.
const CONSENT: Form = Form {
    id: "Data.ConsentId",
    status: "Data.Status",
    expires: "Data.ExpirationDateTime",
    particulars: &[],
    unknown: &["UK.OBIE.Resource.NotFound", "U011"],
};

const NEXT: Paging = Paging::Link("Links.Next");

/// A bank that speaks UK Open Banking.
pub struct OpenBankingUk {
    rest: Rest,
    version: &'static str,
}

impl OpenBankingUk {
    /// The bank of a profile, its API at `api`; the standard's `/open-banking/v3.1/aisp` follows it.
    pub fn new(profile: Arc<Profile>, api: &HttpsUrl) -> Self {
        let version = if profile.bank.version.starts_with('4') { "v4.0" } else { "v3.1" };
        Self { rest: Rest::new(profile, api, fapi_with_agent), version }
    }

    fn uri(&self, path: &[&str], query: &[(&str, &str)]) -> Uri {
        let mut segments = vec!["open-banking", self.version, "aisp"];
        segments.extend(path);
        self.rest.base.resource(&segments, query)
    }

    fn consent(&self, consent: &BankConsentId) -> Uri {
        self.uri(&["account-access-consents", consent.expose()], &[])
    }

    /// OBReadConsent1. What is not asked for is not permitted.
    fn body(&self, ask: &ConsentAsk) -> Value {
        let Clusters { balances, transactions } = ask.clusters;
        let mut permissions = vec!["ReadAccountsDetail"];
        permissions.extend(balances.then_some("ReadBalances"));
        if transactions {
            permissions.extend(["ReadTransactionsCredits", "ReadTransactionsDebits", "ReadTransactionsDetail"]);
        }
        let mut data = json!({ "Permissions": permissions });
        if let Some(end) = end_of_day(&self.rest.profile, ask.valid_until) {
            data["ExpirationDateTime"] = end.to_string().into();
        }
        json!({ "Data": data, "Risk": {} })
    }
}

impl Bank for OpenBankingUk {
    fn profile(&self) -> &Arc<Profile> {
        &self.rest.profile
    }

    fn consents(&self) -> Option<&dyn Consents> {
        Some(self)
    }

    fn accounts(&self, _: &BankConsentId, next: Option<&NextLink>, context: &CallContext) -> Call<Accounts, BankError> {
        let uri = next.map_or_else(|| self.uri(&["accounts"], &[]), |link| link.0.clone());
        self.rest.accounts(self.rest.get(uri, context), ("Data.Account", NEXT), rows::account)
    }

    fn balances(&self, _: &BankConsentId, account: &ResourceId, context: &CallContext) -> Call<Balances, BankError> {
        let uri = self.uri(&["accounts", account.as_str(), "balances"], &[]);
        self.rest.balances(self.rest.get(uri, context), "Data.Balance", |raw| vec![rows::balance(raw)])
    }

    /// Times in the query are without a zone; one that is sent is ignored.
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
                let from = format!("{}T00:00:00", window.from);
                let to = window.to.map(|to| format!("{to}T23:59:59"));
                let mut query = vec![("fromBookingDateTime", from.as_str())];
                query.extend(to.as_deref().map(|to| ("toBookingDateTime", to)));
                self.uri(&["accounts", account.as_str(), "transactions"], &query)
            }
        };
        self.rest.transactions(self.rest.get(uri, context), ("Data.Transaction", NEXT), rows::transaction)
    }
}

impl Consents for OpenBankingUk {
    fn open(&self, ask: &ConsentAsk, context: &CallContext) -> Call<Opened, BankError> {
        CONSENT.open(&self.rest, self.uri(&["account-access-consents"], &[]), &self.body(ask), context)
    }

    fn status(&self, consent: &BankConsentId, context: &CallContext) -> Call<ConsentState, BankError> {
        CONSENT.status(&self.rest, self.consent(consent), context)
    }

    fn read(&self, consent: &BankConsentId, context: &CallContext) -> Call<Granted, BankError> {
        CONSENT.read(&self.rest, self.consent(consent), context)
    }

    fn end(&self, consent: &BankConsentId, context: &CallContext) -> Call<Ended, BankError> {
        Form::end(&self.rest, self.consent(consent), context)
    }
}
