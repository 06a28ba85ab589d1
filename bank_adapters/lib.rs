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
pub mod hint;
pub mod institutions;
mod links;
pub mod profile;
pub mod quirks;
pub mod registration;
pub mod seal;
pub mod settings;
pub mod standards;
pub mod statuses;
pub mod unprofiled;
mod wire;

use std::sync::Arc;

use bytes::Bytes;
use domain::records::{List, Parsed};
pub use fapi::call::Call;
use http::Request;
use secrecy::SecretString;
use serde_json::value::RawValue;

use crate::answer::{Accounts, Balances, ConsentState, Ended, Granted, Opened, Transactions};
use crate::ask::{Authorization, BankConsentId, CallContext, ConsentAsk, NextLink, PageAsk, ResourceId, Sharing};
use crate::endpoints::Endpoints;
use crate::error::BankError;
use crate::profile::{Profile, Standard};
use crate::seal::{SealError, Sender};

/// One bank in one environment. Nothing here sends: each method gives a call for somebody else to move.
///
/// PSU headers go out only when [`CallContext::psu`] is there, and always then.
pub trait Bank: Send + Sync {
    /// The facts about it.
    fn profile(&self) -> &Arc<Profile>;

    /// Its consents, where they are things of their own that are made before the PSU authorises. `None`: the authorisation
    /// itself is all that there is, and ends with its tokens or its arrangement.
    fn consents(&self) -> Option<&dyn Consents>;

    /// Lists the accounts under a consent: the first page, or the one that the last page pointed to.
    fn accounts(
        &self,
        consent: &BankConsentId,
        next: Option<&NextLink>,
        context: &CallContext,
    ) -> Call<Accounts, BankError>;

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
    fn authorization(&self, consent: &BankConsentId, _: &Sharing) -> Authorization {
        self.profile().authorization(consent)
    }

    /// A request as it goes out: with what only its sender knows, and with the signature of our seal where the bank wants one.
    ///
    /// # Errors
    /// There is no seal, or it did not sign. Nothing may be sent then.
    fn finish(&self, request: Request<Bytes>, sender: &Sender<'_>) -> Result<Request<Bytes>, SealError> {
        seal::signed(self.profile().signature.as_ref().map(|signature| signature.form), request, sender)
    }

    /// Ends at the bank what was authorised under an id of ours, where the bank keeps no consents and can be told all the
    /// same.
    fn end(&self, _: &BankConsentId, _: &CallContext) -> Option<Call<Ended, BankError>> {
        None
    }
}

/// The consents of a bank that keeps them as resources.
pub trait Consents: Send + Sync {
    /// Creates a consent. An unknown outcome (a lost answer, a server error) may have created one at the bank.
    fn open(&self, ask: &ConsentAsk, context: &CallContext) -> Call<Opened, BankError>;

    /// Redeems the code that a return brought for the consent that is used from then on. `None` where no such code comes back.
    fn redeem(&self, _code: &SecretString, _: &CallContext) -> Option<Call<Opened, BankError>> {
        None
    }

    /// Asks for the state of a consent.
    fn status(&self, consent: &BankConsentId, context: &CallContext) -> Call<ConsentState, BankError>;

    /// Asks what was granted, which may be less than was asked.
    fn read(&self, consent: &BankConsentId, context: &CallContext) -> Call<Granted, BankError>;

    /// Ends a consent at the bank.
    fn end(&self, consent: &BankConsentId, context: &CallContext) -> Call<Ended, BankError>;
}

/// Reads a transaction row of a standard again that was kept as it came: what [`Bank::transactions`] gave for it.
pub fn reread(standard: Standard, row: &RawValue, list: List) -> Parsed {
    match standard {
        Standard::BerlinGroup => standards::berlin_group::rows::transaction(row, list),
        Standard::OpenBankingUk => standards::open_banking_uk::rows::transaction(row, list),
        Standard::ConsumerDataRight => standards::consumer_data_right::rows::transaction(row, list),
        Standard::OpenFinanceBrasil => standards::open_finance_brasil::rows::transaction(row, list),
        Standard::Stet => standards::stet::rows::transaction(row, list),
        Standard::PolishApi => standards::polish_api::rows::transaction(row, list),
        Standard::FinancialDataExchange => standards::financial_data_exchange::rows::transaction(row, list),
        Standard::EnableBanking => standards::enable_banking::rows::transaction(row, list),
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
        Standard::OpenBankingUk => Arc::new(standards::open_banking_uk::OpenBankingUk::new(profile, api)),
        Standard::ConsumerDataRight => Arc::new(standards::consumer_data_right::ConsumerDataRight::new(profile, api)),
        Standard::OpenFinanceBrasil => Arc::new(standards::open_finance_brasil::OpenFinanceBrasil::new(profile, api)),
        Standard::Stet => Arc::new(standards::stet::Stet::new(profile, api)),
        Standard::PolishApi => Arc::new(standards::polish_api::PolishApi::new(profile, api)),
        Standard::FinancialDataExchange => {
            Arc::new(standards::financial_data_exchange::FinancialDataExchange::new(profile, api))
        }
        Standard::EnableBanking => Arc::new(standards::enable_banking::EnableBanking::new(profile, api)),
    })
}
