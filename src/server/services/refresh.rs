//! The tokens of a grant: opened, and renewed when they are about to end or are bound to a certificate that was left.
//!
//! A refresh token may work once only, so one node renews at a time, by an intent on the grant's row that is stored before
//! the call. The old tokens stay until the new ones are stored. Where the answer was lost, the old refresh token is shown
//! again: a server that keeps it, as FAPI 2.0 wants, or that has a grace for this case (FAPI 2.0 Security Profile
//! §5.3.2.1), answers as if nothing had been; any other has taken the grant away already, and says so.

use domain::ids::GrantId;
use domain::limits;
use fapi::metadata::Metadata;
use fapi::token::Tokens;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use store::grants::{self, Grant, Intent, IntentKind};
use store::sealed::Place;
use store::{StoreError, TenantTx};
use uuid::Uuid;
use vault::DataKey;

use crate::app::App;
use crate::bank_calls::{self, CallError, Occasion};
use crate::evidence_log;
use crate::fault;
use crate::services::{ServiceError, insist, issuer};

/// A token is renewed so many seconds before it ends, so that it does not end on the way.
const MARGIN_SECONDS: i64 = 30;
/// How long an intent of somebody else is waited for: discovery and two tries, each with the time that a call may take.
const INTENT_SECONDS: i64 = 4 * (limits::BANK_CALL_SECONDS_MAX as i64);
/// Until the next look at somebody else's renewal.
const PAUSE_SECONDS: i64 = 2;
/// Until the next try after a lost answer: soon, since a bank's grace for the old refresh token is short.
const LOST_PAUSE_SECONDS: i64 = 30;

/// What came of asking for live tokens.
pub(crate) enum Live {
    /// Tokens that can be used now, over the occasion's connection.
    Tokens(Box<Tokens>),
    /// None are needed: the consent alone opens the account interface.
    NotNeeded,
    /// Not now: another node renews them, or the bank's answer was lost. Worth asking again at that moment.
    Later(Timestamp),
}

/// A renewal that is ours alone.
struct Claim {
    id: Uuid,
    tokens: Tokens,
    /// Whether an earlier call may have used the refresh token without our knowing.
    in_doubt: bool,
}

/// The grant's tokens, renewed if need be. `worker` names the piece of work that asks: one that comes back after its node
/// died goes on with its own intent, everybody else waits for it.
///
/// # Errors
/// The bank's refusal, after which the tokens are known to be lost or untouched; or our own trouble.
pub(crate) async fn live(
    app: &App,
    occasion: &Occasion<'_>,
    grant: &Grant,
    key: &DataKey,
    worker: Option<Uuid>,
) -> Result<Live, ServiceError> {
    if !occasion.connection.gives_tokens() {
        return Ok(Live::NotNeeded);
    }
    let kept = open(occasion, grant, key)?;
    if usable(app, occasion, grant, &kept) {
        return Ok(Live::Tokens(Box::new(kept)));
    }
    let worker = worker.unwrap_or_else(|| app.world().uuid());
    let claim = match claim(app, occasion, grant.id, key, worker).await? {
        Ok(claim) => claim,
        Err(otherwise) => return Ok(otherwise),
    };
    fault::point("fetch.refresh_intended");
    let (answer, in_doubt) = ask(app, occasion, &claim).await;
    fault::point("fetch.refreshed");
    match answer {
        Ok(fresh) => {
            let fresh = occasion.connection.bind(fresh);
            // The old refresh token may be used up: the new one is not lost to a tie.
            insist(|| keep(app, occasion, grant.id, key, &claim, &fresh)).await
        }
        Err(failed) if is_lost(&failed.error) => {
            let code = failed.error.code();
            tracing::warn!(bank.id = %occasion.connection.institution, code, "a refresh had no answer");
            Ok(Live::Later(later(app, LOST_PAUSE_SECONDS)))
        }
        Err(failed) => {
            settle(app, occasion, grant.id, key, &Claim { in_doubt, ..claim }, &failed).await?;
            Err(failed.error.into())
        }
    }
}

/// Why a renewal gave no tokens that can be used.
struct Failed {
    error: CallError,
    /// The old tokens with a new refresh token, where the answer that was refused had one: the old one counts for used.
    kept: Option<Tokens>,
}

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        Self { error, kept: None }
    }
}

fn open(occasion: &Occasion<'_>, grant: &Grant, key: &DataKey) -> Result<Tokens, ServiceError> {
    let sealed = grant.sealed_tokens.as_deref().ok_or(StoreError::NotAllowed)?;
    let bytes = Place::tokens(occasion.about.tenant, grant.id).open(key, sealed)?;
    Tokens::from_bytes(&bytes).map_err(|error| ServiceError::Ours(error.into()))
}

/// Whether tokens last long enough for what is about to be asked, are bound to what this connection shows, and are not
/// doubted: the row says no more when a token ends that a bank has refused.
fn usable(app: &App, occasion: &Occasion<'_>, grant: &Grant, tokens: &Tokens) -> bool {
    let soon = app.clock.now().saturating_add(SignedDuration::from_secs(MARGIN_SECONDS));
    let lasts = tokens.expires_at.is_some_and(|at| soon.is_ok_and(|soon| at > soon));
    lasts && grant.token_expires_at.is_some() && occasion.connection.holds(tokens)
}

fn later(app: &App, seconds: i64) -> Timestamp {
    let now = app.clock.now();
    now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now)
}

/// Stores the intent, unless somebody else has renewed or is renewing.
async fn claim(
    app: &App,
    occasion: &Occasion<'_>,
    id: GrantId,
    key: &DataKey,
    worker: Uuid,
) -> Result<Result<Claim, Live>, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(occasion.about.tenant).await?;
    let before = grants::lock(&mut tx, id).await?;
    if !before.state.may_refresh() {
        return Err(StoreError::NotAllowed.into());
    }
    let tokens = open(occasion, &before, key)?;
    if usable(app, occasion, &before, &tokens) {
        return Ok(Err(Live::Tokens(Box::new(tokens))));
    }
    let begun = before.intent.filter(|intent| intent.kind == IntentKind::Refresh);
    let patience = SignedDuration::from_secs(INTENT_SECONDS);
    if begun.is_some_and(|intent| intent.id != worker && world.now.duration_since(intent.at) < patience) {
        return Ok(Err(Live::Later(later(app, PAUSE_SECONDS))));
    }
    let intent = Some(Intent { kind: IntentKind::Refresh, id: worker, at: world.now });
    grants::save(&mut tx, &before, &Grant { intent, ..before.clone() }).await?;
    tx.commit().await?;
    Ok(Ok(Claim { id: worker, tokens, in_doubt: begun.is_some() }))
}

/// Whether a failure leaves open what the bank did: an answer that did not come, or one of a server that failed halfway.
fn is_lost(error: &CallError) -> bool {
    match error {
        CallError::Transport(error) => !error.is_safe_to_repeat(),
        CallError::Refused(refusal) => {
            let halfway = ["server_error", "temporarily_unavailable"];
            refusal.code == "token.status.invalid"
                || refusal.error.as_deref().is_some_and(|error| halfway.contains(&error))
        }
        CallError::Bank(_) | CallError::Stopped | CallError::Resting { .. } | CallError::Ours(_) => false,
    }
}

/// Shows the refresh token, and once more when the answer was lost. Also gives whether an answer may have been lost on
/// the way, now or before.
async fn ask(app: &App, occasion: &Occasion<'_>, claim: &Claim) -> (Result<Tokens, Failed>, bool) {
    let metadata = match issuer::discover(app, occasion).await {
        Ok(metadata) => metadata,
        // Nothing was shown yet. A later try is as good, and as prompt, as one after a lost answer.
        Err(error) => return (Err(error.into()), claim.in_doubt),
    };
    let answer = refresh(app, occasion, &metadata, &claim.tokens).await;
    if !answer.as_ref().is_err_and(|failed| is_lost(&failed.error)) {
        return (answer, claim.in_doubt);
    }
    (refresh(app, occasion, &metadata, &claim.tokens).await, true)
}

/// One try, with an assertion of its own.
async fn refresh(app: &App, occasion: &Occasion<'_>, metadata: &Metadata, tokens: &Tokens) -> Result<Tokens, Failed> {
    let call = occasion.connection.oauth.refresh(metadata, tokens, &app.world());
    let refreshed = bank_calls::to_issuer(app, occasion, "refresh", call).await?;
    refreshed.granted().map_err(|unusable| Failed { error: unusable.refusal.into(), kept: Some(unusable.kept) })
}

/// The row as it is now, if the renewal is still ours.
async fn ours(tx: &mut TenantTx, id: GrantId, claim: &Claim) -> Result<Option<Grant>, ServiceError> {
    let row = grants::lock(tx, id).await?;
    let same = row.intent.is_some_and(|intent| intent.kind == IntentKind::Refresh && intent.id == claim.id);
    Ok(same.then_some(row))
}

/// Puts the new tokens in the place of the old ones, whatever else of the grant has changed meanwhile.
async fn keep(
    app: &App,
    occasion: &Occasion<'_>,
    id: GrantId,
    key: &DataKey,
    claim: &Claim,
    fresh: &Tokens,
) -> Result<Live, ServiceError> {
    let tenant = occasion.about.tenant;
    let mut tx = app.store.tenant_tx(tenant).await?;
    let Some(before) = ours(&mut tx, id, claim).await? else {
        return Ok(Live::Later(later(app, PAUSE_SECONDS)));
    };
    if !before.state.may_refresh() {
        return Err(StoreError::NotAllowed.into());
    }
    let sealed = Place::tokens(tenant, id).seal(key, &fresh.to_bytes(), app.entropy.as_ref());
    let expires = fresh.expires_at;
    let after = Grant { intent: None, sealed_tokens: Some(sealed), token_expires_at: expires, ..before.clone() };
    grants::save(&mut tx, &before, &after).await?;
    tx.commit().await?;
    fault::point("fetch.refresh_stored");
    Ok(Live::Tokens(Box::new(fresh.clone())))
}

/// After a definite failure. A grant that the bank refused goes on record, with whether an answer of the bank's was lost
/// before, and so does an answer that we refused; what it means for grant and consent is for the caller. An answer settles
/// every doubt. Any other failure leaves the refresh token as it was, and a doubt from before as well.
async fn settle(
    app: &App,
    occasion: &Occasion<'_>,
    id: GrantId,
    key: &DataKey,
    claim: &Claim,
    failed: &Failed,
) -> Result<(), ServiceError> {
    let refused = match (&failed.error, &failed.kept) {
        (CallError::Refused(refusal), _) if refusal.error.as_deref() == Some("invalid_grant") => Some("invalid_grant"),
        (error, kept) => kept.as_ref().map(|_| error.code()),
    };
    let world = app.world();
    let tenant = occasion.about.tenant;
    let mut tx = app.store.tenant_tx(tenant).await?;
    let Some(before) = ours(&mut tx, id, claim).await? else { return Ok(()) };
    if let Some(error) = refused {
        let body = json!({ "grant": id.to_string(), "error": error, "after_lost_answer": claim.in_doubt });
        evidence_log::record(app, &mut tx, &world, occasion.about.consent, "grant.refresh_refused", &body).await?;
    }
    if refused.is_some() || !claim.in_doubt {
        let kept = failed.kept.as_ref().filter(|_| before.state.may_refresh());
        let kept = kept.map(|tokens| Place::tokens(tenant, id).seal(key, &tokens.to_bytes(), world.entropy));
        let sealed_tokens = kept.or_else(|| before.sealed_tokens.clone());
        grants::save(&mut tx, &before, &Grant { intent: None, sealed_tokens, ..before.clone() }).await?;
    }
    tx.commit().await?;
    Ok(())
}
