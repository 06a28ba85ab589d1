//! The one way to a bank: a call goes out, its answer is read, and a line of evidence says that it happened.

use bank_adapters::ask::{AccessToken, CallContext, PsuPresent};
use bank_adapters::error::BankError;
use domain::consent::{DataState, State};
use domain::world::World;
use fapi::Refusal;
use fapi::call::Call;
use net::TransportError;
use secrecy::SecretString;
use serde_json::json;
use store::{TenantTx, consents};

use crate::app::App;
use crate::connections::Connection;
use crate::evidence_log::{self, About};

/// Why a call gave nothing, whichever protocol it belonged to.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The answer was not one that the account interface may give, or it was an error.
    #[error(transparent)]
    Bank(#[from] BankError),
    /// A check of the FAPI client refused.
    #[error("{} ({})", .0.code, .0.reference)]
    Refused(#[from] Refusal),
    /// No answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The consent is over, and this call would not have ended it at the bank: it was not made.
    #[error("the consent is over")]
    Stopped,
    /// The database, a key, a stored value: our own trouble.
    #[error(transparent)]
    Ours(#[from] anyhow::Error),
}

impl From<store::StoreError> for CallError {
    fn from(error: store::StoreError) -> Self {
        Self::Ours(error.into())
    }
}

impl CallError {
    /// Stable code for logs, evidence and products.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bank(error) => error.code(),
            Self::Refused(refusal) => refusal.code,
            Self::Transport(error) => error.code(),
            Self::Stopped => "consent_closed",
            Self::Ours(_) => "internal",
        }
    }
}

/// On what ground a call is made: a person is there, or nobody is and the bank counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The PSU began this very request.
    PsuPresent,
    /// Our schedule.
    Unattended,
    /// Ending access, which needs no one.
    Revocation,
}

impl Basis {
    /// The word in evidence.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PsuPresent => "psu_present",
            Self::Unattended => "unattended",
            Self::Revocation => "revocation",
        }
    }
}

/// Whose call it is and why: what the line of evidence says.
#[derive(Clone, Copy)]
pub struct Occasion<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// Tenant and consent.
    pub about: About,
    /// Ground.
    pub basis: Basis,
}

impl Occasion<'_> {
    /// What accompanies a call on this occasion.
    ///
    /// # Errors
    /// The token cannot stand in a header.
    pub fn context(
        &self,
        token: Option<&SecretString>,
        psu: Option<&PsuPresent>,
        world: &World<'_>,
    ) -> Result<CallContext, CallError> {
        let token = token.map(|token| AccessToken::new(token.clone())).transpose();
        Ok(CallContext {
            token: token.map_err(|error| CallError::Ours(error.into()))?,
            psu: psu.filter(|_| self.basis == Basis::PsuPresent).cloned(),
            request_id: world.uuid(),
        })
    }
}

/// Moves a call to the account interface.
///
/// # Errors
/// No answer, or one that is not what was asked.
pub async fn to_bank<T>(
    app: &App,
    occasion: &Occasion<'_>,
    operation: &'static str,
    context: &CallContext,
    call: Call<T, BankError>,
) -> Result<T, CallError> {
    gate(app, occasion).await?;
    let outcome = send(app, &occasion.connection.api, call).await;
    note(app, occasion, operation, Some(context), &outcome).await?;
    outcome
}

/// Moves a call to the authorisation server.
///
/// # Errors
/// No answer, or one that a check refused.
pub async fn to_issuer<T>(
    app: &App,
    occasion: &Occasion<'_>,
    operation: &'static str,
    call: Result<Call<T, Refusal>, Refusal>,
) -> Result<T, CallError> {
    let call = call?;
    gate(app, occasion).await?;
    let outcome = send(app, &occasion.connection.auth, call).await;
    note(app, occasion, operation, None, &outcome).await?;
    outcome
}

/// Lets a call pass while the consent is not over, and always one that ends it. Looked at before each call and not only
/// before each write, since a stop is a promise about calls too: after it none begins. One that had passed here at the
/// moment of the stop may still be on its way; its answer is dropped.
async fn gate(app: &App, occasion: &Occasion<'_>) -> Result<(), CallError> {
    if occasion.basis == Basis::Revocation {
        return Ok(());
    }
    let mut tx = app.store.tenant_tx(occasion.about.tenant).await?;
    let machine = consents::get(&mut tx, occasion.about.consent).await?.machine;
    tx.commit().await?;
    let begins = machine.state == State::Initiated && machine.data == DataState::Present;
    if begins || machine.may_read() { Ok(()) } else { Err(CallError::Stopped) }
}

async fn send<T, E>(app: &App, client: &net::Client, call: Call<T, E>) -> Result<T, CallError>
where
    CallError: From<E>,
{
    let (request, read) = call.split();
    let response = client.send(request).await?;
    Ok(read(response, app.clock.now())?)
}

async fn note<T>(
    app: &App,
    occasion: &Occasion<'_>,
    operation: &'static str,
    context: Option<&CallContext>,
    outcome: &Result<T, CallError>,
) -> Result<(), CallError> {
    let world = app.world();
    let body = json!({
        "registration": occasion.connection.id.as_str(),
        "institution": occasion.connection.institution.as_str(),
        "operation": operation,
        "request_id": context.map(|context| context.request_id.to_string()),
        "basis": occasion.basis.word(),
        "outcome": outcome.as_ref().map_or_else(CallError::code, |_| "ok"),
    });
    let mut tx: TenantTx = app.store.tenant_tx(occasion.about.tenant).await?;
    let noted = evidence_log::record(app, &mut tx, &world, occasion.about.consent, "bank.call", &body).await;
    noted.map_err(|error| CallError::Ours(error.into()))?;
    tx.commit().await?;
    Ok(())
}
