//! Consents as the UK and Brazil keep them: a resource with permissions, a status and an instant at which it ends.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Uri};
use serde_json::Value;

use super::rest::{Missing, Rest, Whole, day_of};
use crate::Call;
use crate::answer::{ConsentState, Ended, Granted, GrantedAccess, Links, Opened, ScaApproach};
use crate::ask::{BankConsentId, CallContext};
use crate::error::{BankCode, BankError, Breach};
use crate::statuses;
use crate::wire::Reply;

/// Where a standard keeps what about a consent, and what it says there.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// Path of the id.
    pub(super) id: &'static str,
    /// Path of the status.
    pub(super) status: &'static str,
    /// Path of the instant at which it ends.
    pub(super) expires: &'static str,
    /// Paths of what tells more where one word stands for several things.
    pub(super) particulars: &'static [&'static str],
    /// Codes, as `BankCode` keeps them, that say that there is no such consent.
    pub(super) unknown: &'static [&'static str],
}

impl Form {
    pub(super) fn open(self, rest: &Rest, uri: Uri, body: &Value, context: &CallContext) -> Call<Opened, BankError> {
        let profile = Arc::clone(&rest.profile);
        rest.call(rest.post(uri, context, body), move |reply| {
            let whole: Whole<'_> = reply.read()?;
            let consent = whole.text(self.id).and_then(|id| BankConsentId::new(&id).ok());
            Ok(Opened {
                consent: consent.ok_or_else(|| reply.broken(Breach::Field(self.id)))?,
                state: self.state(reply, &whole)?,
                valid_until: whole.text(self.expires).and_then(|at| day_of(&profile, &at)),
                approach: Some(ScaApproach::Redirect),
                links: Links::default(),
            })
        })
    }

    /// That the bank does not know the consent is an answer too, if the bank says so itself.
    pub(super) fn status(self, rest: &Rest, uri: Uri, context: &CallContext) -> Call<ConsentState, BankError> {
        let profile = Arc::clone(&rest.profile);
        Call::new(rest.get(uri, context), move |response, now| match Reply::open(profile, response, now) {
            Ok(reply) => self.state(&reply, &reply.read()?),
            Err(BankError::Skip(problem) | BankError::AskStatus(problem))
                if problem.code.as_ref().is_some_and(|code| self.unknown.contains(&code.last_part())) =>
            {
                Ok(ConsentState::NotFound)
            }
            Err(error) => Err(error),
        })
    }

    /// What was granted. Which accounts they are is seen in the list of accounts alone.
    pub(super) fn read(self, rest: &Rest, uri: Uri, context: &CallContext) -> Call<Granted, BankError> {
        let profile = Arc::clone(&rest.profile);
        rest.call(rest.get(uri, context), move |reply| {
            let whole: Whole<'_> = reply.read()?;
            Ok(Granted {
                state: self.state(reply, &whole)?,
                access: GrantedAccess::All,
                valid_until: whole.text(self.expires).and_then(|at| day_of(&profile, &at)),
                frequency_per_day: None,
                recurring: None,
                last_action: None,
            })
        })
    }

    pub(super) fn end(rest: &Rest, uri: Uri, context: &CallContext) -> Call<Ended, BankError> {
        let request: Request<Bytes> = rest.request(Method::DELETE, uri, context);
        rest.ended(request, Missing::Consent)
    }

    fn state(self, reply: &Reply, whole: &Whole<'_>) -> Result<ConsentState, BankError> {
        let missing = || reply.broken(Breach::Field(self.status));
        let word = whole.text(self.status).ok_or_else(missing)?;
        let mut said = vec![word.clone()];
        for more in self.particulars.iter().map_while(|path| whole.text(path)) {
            said.push(format!("{} {more}", said.last().unwrap_or(&word)));
        }
        // What is said most exactly counts, as far as the standard lists it.
        match said.iter().rev().find_map(|said| statuses::meaning(reply.standard(), said)) {
            Some(state) => Ok(state),
            None => BankCode::new(&word).map(ConsentState::Unrecognised).ok_or_else(missing),
        }
    }
}
