//! Enable Banking: one interface over many banks. An intermediary signs in at the bank for us; what we hold is a session of its
//! own, named by the code that a return brings, and every request shows a token that our application's key has signed.
//!
//! Ids of accounts change with every session; what an account is known by is its number, or the hash that stands for it.

pub mod rows;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use url::Url;

use super::intents::Form;
use super::rest::{Paging, Rest, Whole, day_of, end_of_day, secret};
use crate::answer::{
    Accounts, Balances, ConsentState, Continuation, Ended, Granted, Links, Opened, ScaApproach, Transactions,
};
use crate::ask::{BankConsentId, BookingStatus, CallContext, ConsentAsk, NextLink, PageAsk, ResourceId};
use crate::endpoints::HttpsUrl;
use crate::error::{BankError, Breach};
use crate::links::browsable;
use crate::profile::Profile;
use crate::seal::{SealError, Sender, application_token};
use crate::{Bank, Call, Consents};

/// What the token names: its issuer, and whom it is for.
const ISSUER: &str = "enablebanking.com";
const AUDIENCE: &str = "api.enablebanking.com";
/// Whose further pages a list's own key leads to.
const NEXT: Paging = Paging::Key(&[("continuation_key", "continuation_key")]);
/// The accounts that are still to be asked for, behind the one that is. It goes no further than our own links.
const FOLLOWING: &str = "following";

/// A session, as it is read.
const SESSION: Form = Form {
    id: "session_id",
    status: "status",
    expires: "access.valid_until",
    particulars: &[],
    unknown: &["SESSION_DOES_NOT_EXIST", "WRONG_SESSION_ID"],
};

/// A bank behind Enable Banking.
pub struct EnableBanking {
    rest: Rest,
}

/// Who is there; on their word a bank does not count.
fn headers(context: &CallContext, headers: &mut HeaderMap) {
    if let Some(psu) = &context.psu {
        headers.insert(HeaderName::from_static("psu-ip-address"), secret(&psu.ip.to_canonical().to_string()));
        let agent = psu.user_agent.as_deref().and_then(|agent| HeaderValue::from_str(agent).ok());
        headers.extend(agent.map(|agent| (HeaderName::from_static("psu-user-agent"), agent)));
    }
}

impl EnableBanking {
    /// The bank of a profile, the intermediary's API at `api`.
    pub fn new(profile: Arc<Profile>, api: &HttpsUrl) -> Self {
        Self { rest: Rest::new(profile, api, headers) }
    }

    fn uri(&self, path: &[&str], query: &[(&str, &str)]) -> Uri {
        self.rest.base.resource(path, query)
    }

    fn session(&self, consent: &BankConsentId) -> Uri {
        self.uri(&["sessions", consent.expose()], &[])
    }

    /// Where the accounts of a list are asked for one by one, from the first on.
    fn details_of(&self, accounts: &[String]) -> Continuation {
        let Some((first, others)) = accounts.split_first() else { return Continuation::End };
        Continuation::Next(NextLink(self.uri(&["accounts", first, "details"], &[(FOLLOWING, &others.join(","))])))
    }

    /// The list of a session holds nothing but ids.
    fn listed(&self, consent: &BankConsentId, context: &CallContext) -> Call<Accounts, BankError> {
        let own = Self { rest: self.rest.clone() };
        self.rest.call(self.rest.get(self.session(consent), context), move |reply| {
            let whole: Whole<'_> = reply.read()?;
            let ids = whole.texts("accounts").ok_or_else(|| reply.broken(Breach::Field("accounts")))?;
            // An id with a comma in it could not be told from two.
            let known: Vec<_> = ids.into_iter().filter(|id| ResourceId::new(id).is_ok() && !id.contains(',')).collect();
            Ok(Accounts { rows: Vec::new(), next: own.details_of(&known), issues: reply.issues() })
        })
    }
}

impl Bank for EnableBanking {
    fn profile(&self) -> &Arc<Profile> {
        &self.rest.profile
    }

    fn consents(&self) -> Option<&dyn Consents> {
        Some(self)
    }

    /// The session's list first, then the particulars of one account after the other.
    fn accounts(
        &self,
        consent: &BankConsentId,
        next: Option<&NextLink>,
        context: &CallContext,
    ) -> Call<Accounts, BankError> {
        let Some(link) = next else { return self.listed(consent, context) };
        let query = link.0.query().unwrap_or_default();
        let following = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == FOLLOWING);
        let following = following.map(|(_, ids)| ids.into_owned()).unwrap_or_default();
        let following: Vec<_> = following.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect();
        let own = Self { rest: self.rest.clone() };
        let request = self.rest.get(self.rest.base.bare(&link.0), context);
        let call = self.rest.accounts(request, ("", Paging::Key(&[])), rows::account);
        call.map(move |mut page| {
            page.next = own.details_of(&following);
            page
        })
    }

    fn balances(&self, _: &BankConsentId, account: &ResourceId, context: &CallContext) -> Call<Balances, BankError> {
        let uri = self.uri(&["accounts", account.as_str(), "balances"], &[]);
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
                let (from, to) = (window.from.to_string(), window.to.map(|to| to.to_string()));
                let mut query = vec![("date_from", from.as_str())];
                query.extend(to.as_deref().map(|to| ("date_to", to)));
                query.extend(match window.status {
                    BookingStatus::Booked => Some(("transaction_status", "BOOK")),
                    BookingStatus::Pending => Some(("transaction_status", "PDNG")),
                    BookingStatus::Both => None,
                });
                self.uri(&["accounts", account.as_str(), "transactions"], &query)
            }
        };
        self.rest.transactions(self.rest.get(uri, context), ("transactions", NEXT), rows::transaction)
    }

    /// Every request shows who we are, by a token that lives for minutes.
    fn finish(&self, request: Request<Bytes>, sender: &Sender<'_>) -> Result<Request<Bytes>, SealError> {
        application_token(request, sender, (ISSUER, AUDIENCE))
    }
}

impl Consents for EnableBanking {
    /// Nothing exists at the bank yet, and nothing that could be ended: the session begins with the code.
    fn open(&self, ask: &ConsentAsk, context: &CallContext) -> Call<Opened, BankError> {
        let profile = &self.rest.profile;
        let until = end_of_day(profile, ask.valid_until).map(|until| until.to_string());
        let known_as = profile.intermediary.as_ref().map(|intermediary| intermediary.aspsp.as_str());
        let body = json!({
            "access": {
                "valid_until": until,
                "balances": ask.clusters.balances,
                "transactions": ask.clusters.transactions,
            },
            "aspsp": { "name": known_as, "country": profile.bank.country },
            "state": ask.state,
            "redirect_url": ask.redirect_uri.as_str(),
            "psu_type": "personal",
        });
        self.rest.call(self.rest.post(self.uri(&["auth"], &[]), context, &body), |reply| {
            let whole: Whole<'_> = reply.read()?;
            let text = |name: &'static str| whole.text(name).ok_or_else(|| reply.broken(Breach::Field(name)));
            let page = Url::parse(&text("url")?).ok().filter(browsable);
            let begun = BankConsentId::new(&text("authorization_id")?).ok();
            Ok(Opened {
                consent: begun.ok_or_else(|| reply.broken(Breach::Field("authorization_id")))?,
                state: ConsentState::Received,
                valid_until: None,
                approach: Some(ScaApproach::Redirect),
                links: Links {
                    sca_redirect: Some(page.ok_or_else(|| reply.broken(Breach::Field("url")))?),
                    sca_oauth: None,
                },
            })
        })
    }

    fn redeem(&self, code: &SecretString, context: &CallContext) -> Option<Call<Opened, BankError>> {
        let body = json!({ "code": code.expose_secret() });
        let profile = Arc::clone(&self.rest.profile);
        Some(self.rest.call(self.rest.post(self.uri(&["sessions"], &[]), context, &body), move |reply| {
            let whole: Whole<'_> = reply.read()?;
            let session = whole.text("session_id").and_then(|id| BankConsentId::new(&id).ok());
            Ok(Opened {
                consent: session.ok_or_else(|| reply.broken(Breach::Field("session_id")))?,
                state: ConsentState::Valid,
                valid_until: whole.text("access.valid_until").and_then(|at| day_of(&profile, &at)),
                approach: None,
                links: Links::default(),
            })
        }))
    }

    fn status(&self, consent: &BankConsentId, context: &CallContext) -> Call<ConsentState, BankError> {
        SESSION.status(&self.rest, self.session(consent), context)
    }

    fn read(&self, consent: &BankConsentId, context: &CallContext) -> Call<Granted, BankError> {
        SESSION.read(&self.rest, self.session(consent), context)
    }

    fn end(&self, consent: &BankConsentId, context: &CallContext) -> Call<Ended, BankError> {
        Form::end(&self.rest, self.session(consent), context)
    }
}
