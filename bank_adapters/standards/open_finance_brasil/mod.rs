//! Open Finance Brasil: consents 3, accounts 2.
//!
//! A consent is a person's, named by the CPF; rows are dated by an instant and say whether they took effect. There is no
//! running balance, and what can be spent is told without the overdraft.

pub mod rows;

use std::sync::Arc;

use http::Uri;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::intents::Form;
use super::rest::{Paging, Rest, end_of_day, fapi_with_agent};
use crate::answer::{Accounts, Balances, ConsentState, Ended, Granted, Opened, Transactions};
use crate::ask::{BankConsentId, CallContext, Clusters, ConsentAsk, NextLink, PageAsk, ResourceId};
use crate::endpoints::HttpsUrl;
use crate::error::BankError;
use crate::profile::Profile;
use crate::{Bank, Call, Consents};

const CONSENT: Form = Form {
    id: "data.consentId",
    status: "data.status",
    expires: "data.expirationDateTime",
    // One word stands for every end; the reason tells which it was, and whose doing.
    particulars: &["data.rejection.reason.code", "data.rejection.rejectedBy"],
    unknown: &["NOT_FOUND", "CONSENTIMENTO_NAO_ENCONTRADO"],
};

const NEXT: Paging = Paging::Link("links.next");

/// A bank that speaks Open Finance Brasil.
pub struct OpenFinanceBrasil {
    rest: Rest,
}

impl OpenFinanceBrasil {
    /// The bank of a profile, its API at `api`; the standard's `/open-banking/accounts/v2` follows it.
    pub fn new(profile: Arc<Profile>, api: &HttpsUrl) -> Self {
        Self { rest: Rest::new(profile, api, fapi_with_agent) }
    }

    fn accounts_uri(&self, path: &[&str], query: &[(&str, &str)]) -> Uri {
        let mut segments = vec!["open-banking", "accounts", "v2", "accounts"];
        segments.extend(path);
        self.rest.base.resource(&segments, query)
    }

    fn consent_uri(&self, path: &[&str]) -> Uri {
        let mut segments = vec!["open-banking", "consents", "v3", "consents"];
        segments.extend(path);
        self.rest.base.resource(&segments, &[])
    }

    fn body(&self, ask: &ConsentAsk) -> Value {
        let Clusters { balances, transactions } = ask.clusters;
        let mut permissions = vec!["ACCOUNTS_READ"];
        permissions.extend(balances.then_some("ACCOUNTS_BALANCES_READ"));
        permissions.extend(transactions.then_some("ACCOUNTS_TRANSACTIONS_READ"));
        permissions.push("RESOURCES_READ");
        let mut data = json!({ "permissions": permissions });
        if let Some(document) = &ask.user_document {
            data["loggedUser"] = json!({ "document": { "identification": document.expose_secret(), "rel": "CPF" } });
        }
        if let Some(end) = end_of_day(&self.rest.profile, ask.valid_until) {
            data["expirationDateTime"] = end.to_string().into();
        }
        json!({ "data": data })
    }
}

impl Bank for OpenFinanceBrasil {
    fn profile(&self) -> &Arc<Profile> {
        &self.rest.profile
    }

    fn consents(&self) -> Option<&dyn Consents> {
        Some(self)
    }

    fn accounts(&self, _: &BankConsentId, next: Option<&NextLink>, context: &CallContext) -> Call<Accounts, BankError> {
        let uri = next.map_or_else(|| self.accounts_uri(&[], &[]), |link| link.0.clone());
        self.rest.accounts(self.rest.get(uri, context), ("data", NEXT), rows::account)
    }

    fn balances(&self, _: &BankConsentId, account: &ResourceId, context: &CallContext) -> Call<Balances, BankError> {
        let uri = self.accounts_uri(&[account.as_str(), "balances"], &[]);
        self.rest.balances(self.rest.get(uri, context), "data", |raw| vec![rows::balance(raw)])
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
                let mut query = vec![("fromBookingDate", from.as_str())];
                query.extend(to.as_deref().map(|to| ("toBookingDate", to)));
                self.accounts_uri(&[account.as_str(), "transactions"], &query)
            }
        };
        self.rest.transactions(self.rest.get(uri, context), ("data", NEXT), rows::transaction)
    }
}

impl Consents for OpenFinanceBrasil {
    fn open(&self, ask: &ConsentAsk, context: &CallContext) -> Call<Opened, BankError> {
        CONSENT.open(&self.rest, self.consent_uri(&[]), &self.body(ask), context)
    }

    fn status(&self, consent: &BankConsentId, context: &CallContext) -> Call<ConsentState, BankError> {
        CONSENT.status(&self.rest, self.consent_uri(&[consent.expose()]), context)
    }

    fn read(&self, consent: &BankConsentId, context: &CallContext) -> Call<Granted, BankError> {
        CONSENT.read(&self.rest, self.consent_uri(&[consent.expose()]), context)
    }

    fn end(&self, consent: &BankConsentId, context: &CallContext) -> Call<Ended, BankError> {
        Form::end(&self.rest, self.consent_uri(&[consent.expose()]), context)
    }
}
