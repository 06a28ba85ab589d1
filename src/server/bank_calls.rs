//! The one way to a bank: a call goes out, its answer is read, and a line of evidence says that it happened.

use std::ops::Deref;

use bank_adapters::ask::{CallContext, PsuPresent};
use bank_adapters::error::{BankError, Reached};
use bank_adapters::seal::Sender;
use bytes::Bytes;
use domain::breaker::Permit;
use domain::consent::{Consent, DataState, State};
use domain::ids::{GrantId, LineId};
use domain::world::World;
use fapi::Refusal;
use fapi::call::Call;
use fapi::token::Tokens;
use http::{Request, Response};
use jiff::{SignedDuration, Timestamp};
use net::TransportError;
use serde_json::json;
use store::bank_health::{self, Service};
use store::{TenantTx, bank_limits, consents};
use uuid::Uuid;

use crate::app::App;
use crate::connections::Connection;
use crate::evidence_log::{self, About};
use crate::operations;

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
    /// The bank has failed again and again and is left alone until then: the call was not made.
    #[error("the bank is left alone for a while")]
    Resting {
        /// Until when.
        until: Timestamp,
    },
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
            Self::Resting { .. } => "bank.resting",
            Self::Ours(_) => "internal",
        }
    }

    /// Whether the bank has read nothing for us with this call, so that it cannot have counted it: it was not reached, or said that it
    /// cannot now.
    pub const fn is_no_read(&self) -> bool {
        match self {
            Self::Transport(error) => error.is_safe_to_repeat(),
            Self::Bank(BankError::Wait { .. }) | Self::Stopped | Self::Resting { .. } => true,
            Self::Bank(_) | Self::Refused(_) | Self::Ours(_) => false,
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
    pub fn context(&self, tokens: Option<&Tokens>, psu: Option<&PsuPresent>, world: &World<'_>) -> Context {
        let psu = psu.filter(|_| self.basis == Basis::PsuPresent).cloned();
        // The adapter shows no token: how one is shown, and with which proof, is for the FAPI client to know.
        let call = CallContext { token: None, psu, authenticated_at: None, request_id: world.uuid() };
        Context { call, tokens: tokens.cloned(), part: Part::default() }
    }
}

/// Which reading a call is part of: what is counted against the number of readings without the person.
#[derive(Debug, Clone, Copy, Default)]
pub struct Part {
    /// The fetch.
    pub run: Option<Uuid>,
    /// The authorisation that is used.
    pub grant: Option<GrantId>,
    /// The account; none where all of them are listed.
    pub account: Option<LineId>,
}

/// What accompanies one call to the account interface, and the tokens that it shows.
pub struct Context {
    call: CallContext,
    tokens: Option<Tokens>,
    part: Part,
}

impl Context {
    /// The same, with the moment at which the person last signed in.
    pub fn since(mut self, authenticated_at: Option<jiff::Timestamp>) -> Self {
        self.call.authenticated_at = authenticated_at;
        self
    }

    /// The same, as part of a reading.
    pub const fn part_of(mut self, part: Part) -> Self {
        self.part = part;
        self
    }
}

impl Deref for Context {
    type Target = CallContext;

    fn deref(&self) -> &CallContext {
        &self.call
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
    context: &Context,
    call: Call<T, BankError>,
) -> Result<T, CallError> {
    let (request_id, part) = (Some(context.request_id), context.part);
    let step = Step { app, occasion, operation, began: app.clock.now(), request_id, part };
    let outcome = step.shown(context, call).await;
    step.conclude(outcome).await
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
    let step = Step { app, occasion, operation, began: app.clock.now(), request_id: None, part: Part::default() };
    let outcome = step.answered(&occasion.connection.auth, call).await;
    step.conclude(outcome).await
}

/// What an authorisation server does for us, which counts apart from the account interface.
const AUTHORISATION: &str = "authorisation";
/// For how long a bank is left alone that says that we are too fast and not for how long, in seconds. The longest window
/// that banks are known to count without a word is an hour; nobody waits for what is read without them.
pub(crate) const SLOW_SECONDS: i64 = 60 * 60;
/// Length of the windows that calls are counted by, in seconds.
const WINDOW_SECONDS: i64 = 10 * 60;

/// What a call says about how the bank is.
#[derive(Debug, Clone, Copy)]
enum Health {
    /// It works, whatever it thinks of us.
    Well,
    /// Nothing but that we were too fast for it; it may say until when.
    Hasty(Option<Timestamp>),
    /// Nothing: the reads of one consent are used up.
    Unknown,
    /// It does not work; it may say until when.
    Ill(Option<Timestamp>),
}

/// What a failure says about how the bank is; `None` for what never came to it.
fn health(error: &CallError) -> Option<Health> {
    match error {
        CallError::Transport(_) | CallError::Bank(BankError::Contract(_)) => Some(Health::Ill(None)),
        CallError::Bank(BankError::Wait { until, problem }) if problem.status == 408 || problem.status >= 500 => {
            Some(Health::Ill(*until))
        }
        CallError::Bank(error @ BankError::Wait { until, .. }) if error.limit() == Some(Reached::Unnamed) => {
            Some(Health::Hasty(*until))
        }
        CallError::Bank(BankError::Wait { .. }) => Some(Health::Unknown),
        CallError::Bank(_) | CallError::Refused(_) => Some(Health::Well),
        CallError::Stopped | CallError::Resting { .. } | CallError::Ours(_) => None,
    }
}

/// One call on its way, with what its evidence needs.
struct Step<'a> {
    app: &'a App,
    occasion: &'a Occasion<'a>,
    operation: &'static str,
    began: Timestamp,
    request_id: Option<Uuid>,
    part: Part,
}

impl Step<'_> {
    /// A call to the account interface with its tokens, bound as the profile binds them.
    async fn shown<T>(&self, context: &Context, call: Call<T, BankError>) -> Result<T, CallError> {
        let connection = self.occasion.connection;
        let (request, read) = call.split();
        let sender = Sender {
            client_id: &connection.registration.client_id,
            token: context.tokens.as_ref().map(|tokens| &tokens.access_token),
            now: self.app.clock.now(),
            seal: connection.seal.as_ref(),
        };
        let request = connection.bank.finish(request, &sender).map_err(anyhow::Error::new)?;
        let answer = match &context.tokens {
            None => self.moved(&connection.api, request).await?,
            Some(tokens) => {
                let call = connection.oauth.resource(request, tokens, &self.app.world())?;
                self.answered(&connection.api, call).await?
            }
        };
        Ok(read(answer, self.app.clock.now())?)
    }

    /// A call whose first answer may be a challenge: then it goes out once more, made afresh (RFC 9449 §8, §9).
    async fn answered<T>(&self, client: &net::Client, mut call: Call<T, Refusal>) -> Result<T, CallError> {
        let mut answer = self.moved(client, call.request.clone()).await?;
        if let Some(again) = call.challenged(&answer, &self.app.world()) {
            self.note("nonce_wanted", None).await?;
            answer = self.moved(client, again?).await?;
        }
        Ok(call.read(answer, self.app.clock.now())?)
    }

    async fn moved(&self, client: &net::Client, request: Request<Bytes>) -> Result<Response<Bytes>, CallError> {
        self.gate().await?;
        Ok(client.send(request).await?)
    }

    /// Lets a call pass while the consent is not over and the bank is not left alone, and always one that ends it. Who is
    /// there themselves is never kept waiting: their calls tell how the bank is. Looked at before each call and not
    /// only before each write, since a stop is a promise about calls too: after it none begins. One that had passed here
    /// at the moment of the stop may still be on its way; its answer is dropped.
    async fn gate(&self) -> Result<(), CallError> {
        let Occasion { about, basis, .. } = self.occasion;
        if *basis == Basis::Revocation {
            return Ok(());
        }
        let mut tx = self.app.store.tenant_tx(about.tenant).await?;
        let machine = consents::get(&mut tx, about.consent).await?.machine;
        let begins = machine.state == State::Initiated && machine.data == DataState::Present;
        let open = match basis {
            Basis::Unattended => may_call(&machine, self.app.world().now),
            Basis::PsuPresent | Basis::Revocation => machine.may_renew(),
        };
        if !begins && !open {
            return Err(CallError::Stopped);
        }
        let permit = match basis {
            Basis::Unattended => self.permit(&mut tx).await?,
            Basis::PsuPresent | Basis::Revocation => Permit::Pass,
        };
        tx.commit().await?;
        match permit {
            Permit::Pass | Permit::Probe => Ok(()),
            Permit::Rest(until) => Err(CallError::Resting { until }),
        }
    }

    /// Whether the bank may be called without the person: it has not told us to slow down, and it works.
    async fn permit(&self, tx: &mut TenantTx) -> Result<Permit, CallError> {
        let (now, service) = (self.app.world().now, self.service());
        if service.capability != AUTHORISATION
            && let Some(until) = bank_limits::paused(tx, &service.registration).await?.filter(|until| now < *until)
        {
            return Ok(Permit::Rest(until));
        }
        Ok(bank_health::permit(tx, &service, now).await?)
    }

    fn service(&self) -> Service {
        let capability = match self.operation {
            "accounts" => "accounts",
            "balances" => "balances",
            "transactions" => "transactions",
            "open_consent" | "read_consent" | "consent_status" | "end_consent" => "consents",
            _ => AUTHORISATION,
        };
        Service { registration: self.occasion.connection.id.clone(), capability }
    }

    /// Counts how the call ended, and tells the breaker.
    async fn measure(&self, tx: &mut TenantTx, outcome: &str, health: Health) -> Result<(), CallError> {
        let (world, service) = (self.app.world(), self.service());
        match health {
            Health::Well => bank_health::succeeded(tx, &service, world.now).await?,
            Health::Unknown => {}
            Health::Hasty(asked) => {
                let silent = world.now.saturating_add(SignedDuration::from_secs(SLOW_SECONDS)).unwrap_or(world.now);
                // It may be the limit of one consent: nobody else waits longer for it than for a word that is not there.
                let until = asked.map_or(silent, |asked| asked.min(silent));
                bank_limits::pause(tx, &service.registration, until, world.now).await?;
            }
            Health::Ill(asked) => {
                let [jitter] = world.bytes();
                let after = bank_health::failed(tx, &service, world.now, jitter, asked, outcome).await?;
                if after.open_until.is_some() {
                    let (bank, capability) = (&self.occasion.connection.institution, service.capability);
                    tracing::warn!(bank.id = %bank, capability, cause = outcome, "a bank is left alone for a while");
                }
            }
        }
        let took = i64::try_from(world.now.duration_since(self.began).as_millis()).unwrap_or(i64::MAX).max(0);
        let window = world.now.as_second() - world.now.as_second().rem_euclid(WINDOW_SECONDS);
        let window = Timestamp::from_second(window).unwrap_or(world.now);
        bank_health::count(tx, &service, window, outcome, 1, took).await?;
        Ok(())
    }

    /// Writes down how the call ended. One that was stopped was not made.
    async fn conclude<T>(&self, outcome: Result<T, CallError>) -> Result<T, CallError> {
        match &outcome {
            Ok(_) => self.note("ok", Some(Health::Well)).await?,
            Err(CallError::Stopped | CallError::Resting { .. }) => {}
            Err(error) => self.note(error.code(), health(error)).await?,
        }
        outcome
    }

    /// Writes down that a request went out, and what came of it.
    async fn note(&self, outcome: &'static str, health: Option<Health>) -> Result<(), CallError> {
        let world = self.app.world();
        let Occasion { connection, about, basis } = self.occasion;
        let body = json!({
            "registration": connection.id.as_str(),
            "institution": connection.institution.as_str(),
            "operation": self.operation,
            "request_id": self.request_id.map(|id| id.to_string()),
            "basis": basis.word(),
            "outcome": outcome,
            "run": self.part.run.map(|run| run.to_string()),
            "grant": self.part.grant.map(|grant| grant.to_string()),
            "account": self.part.account.map(|account| account.to_string()),
        });
        let mut tx: TenantTx = self.app.store.tenant_tx(about.tenant).await?;
        let noted = evidence_log::record(self.app, &mut tx, &world, about.consent, "bank.call", &body).await;
        noted.map_err(|error| CallError::Ours(error.into()))?;
        if let Some(health) = health {
            // The last step: every call to this bank wants these rows.
            self.measure(&mut tx, outcome, health).await?;
        }
        tx.commit().await?;
        operations::bank_called(&operations::BankCall {
            institution: &connection.institution,
            operation: self.operation,
            basis: basis.word(),
            outcome,
            took: world.now.duration_since(self.began),
        });
        Ok(())
    }
}
/// Whether the bank may be called at all while the person is not there: what they must confirm to us is confirmed (UK).
pub(crate) fn may_call(consent: &Consent, now: Timestamp) -> bool {
    let confirm_by = consent.clocks.and_then(|clocks| clocks.reconfirm_due);
    consent.may_renew() && confirm_by.is_none_or(|at| now < at)
}
