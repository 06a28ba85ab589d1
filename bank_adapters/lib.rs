//! Banks: what they are asked, what their answers mean, and the profiles that say how they differ.
//!
//! A bank is a [`profile::Profile`] (facts about it, TOML) spoken through the module of its standard
//! ([`standards`]); Rust enters only for behaviour ([`quirks`]). Each question is a [`Call`]: one request as a value, with
//! the only reader of its answer.
//!
//! This crate must never know a database, a tenant, `normalize`, a clock or a socket. It reads rows without interpreting
//! them, keeps nothing that a bank wrote in an error but its code, and never takes an error for a revocation.

pub mod answer;
pub mod ask;
pub mod directory;
pub mod endpoints;
pub mod error;
mod links;
pub mod profile;
pub mod quirks;
pub mod registration;
pub mod settings;
pub mod standards;
pub mod unprofiled;
mod wire;

use std::sync::Arc;

use domain::records::{List, Parsed};
pub use fapi::call::Call;
use serde_json::value::RawValue;

use crate::answer::{Accounts, Balances, ConsentState, Ended, Granted, Opened, Transactions};
use crate::ask::{Authorization, BankConsentId, CallContext, ConsentAsk, PageAsk, ResourceId};
use crate::endpoints::Endpoints;
use crate::error::BankError;
use crate::profile::{Profile, Standard};

/// One bank in one environment. Nothing here sends: each method gives a call for somebody else to move.
///
/// PSU headers go out only when [`CallContext::psu`] is there, and always then.
pub trait Bank: Send + Sync {
    /// The facts about it.
    fn profile(&self) -> &Arc<Profile>;

    /// Creates a consent. An unknown outcome (a lost answer, a server error) may have created one at the bank.
    fn open_consent(&self, ask: &ConsentAsk, context: &CallContext) -> Call<Opened, BankError>;

    /// Asks for the state of a consent.
    fn consent_status(&self, consent: &BankConsentId, context: &CallContext) -> Call<ConsentState, BankError>;

    /// Asks what was granted, which may be less than was asked.
    fn read_consent(&self, consent: &BankConsentId, context: &CallContext) -> Call<Granted, BankError>;

    /// Ends a consent at the bank.
    fn end_consent(&self, consent: &BankConsentId, context: &CallContext) -> Call<Ended, BankError>;

    /// Lists the accounts under a consent.
    fn accounts(&self, consent: &BankConsentId, context: &CallContext) -> Call<Accounts, BankError>;

    /// Reads the balances of an account.
    fn balances(
        &self,
        consent: &BankConsentId,
        account: &ResourceId,
        context: &CallContext,
    ) -> Call<Balances, BankError>;

    /// Reads one page of the transactions of an account.
    fn transactions(
        &self,
        consent: &BankConsentId,
        account: &ResourceId,
        page: PageAsk<'_>,
        context: &CallContext,
    ) -> Call<Transactions, BankError>;

    /// What the authorisation request must say so that the token belongs to the consent.
    fn authorization(&self, consent: &BankConsentId) -> Authorization {
        self.profile().authorization(consent)
    }
}

/// Reads a transaction row of a standard again that was kept as it came: what [`Bank::transactions`] gave for it.
pub fn reread(standard: Standard, row: &RawValue, list: List) -> Parsed {
    match standard {
        Standard::BerlinGroup => standards::berlin_group::rows::transaction(row, list),
    }
}

/// Why a bank cannot be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Neither profile nor registration says where the API is.
    #[error("no `api` endpoint is known for this environment")]
    NoApi,
}

/// The adapter for a bank whose servers are at `endpoints` (see [`registration::Registration::endpoints`]).
pub fn open(profile: Arc<Profile>, endpoints: &Endpoints) -> Result<Arc<dyn Bank>, OpenError> {
    let api = endpoints.api.as_ref().ok_or(OpenError::NoApi)?;
    Ok(match profile.bank.standard {
        Standard::BerlinGroup => Arc::new(standards::berlin_group::BerlinGroup::new(profile, api)),
    })
}
