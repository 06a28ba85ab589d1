//! Ending a grant at the bank: what the revoker needs moves into a capsule in the transaction that stops everything else,
//! and the capsule is destroyed when the bank has confirmed or after 72 hours.
//!
//! A bank that refuses without proof, or is silent for a day, is put down as unconfirmed, aloud and signed; it is tried
//! more and more slowly all the same, and what it says later is added.

use anyhow::Context as _;
use bank_adapters::Consents;
use bank_adapters::answer::{ConsentState, Ended};
use bank_adapters::ask::BankConsentId;
use bank_adapters::profile::Completion;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::event::EventType;
use domain::grant::{self, Event as GrantEvent, State as GrantState};
use domain::ids::{ConsentId, GrantId, JobId, TenantId};
use domain::limits;
use domain::world::World;
use evidence::{BankAnswer, BankOutcome, Subject};
use fapi::metadata::Metadata;
use fapi::token::{TokenHint, Tokens};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::capsules::Capsule;
use store::consents::Consent;
use store::deletions::{Addendum, Bank};
use store::grants::{Grant, IntentKind};
use store::sealed::Place;
use store::{TenantTx, capsules, consents, deletions, grants, jobs};
use uuid::Uuid;
use vault::Wrapped;

use crate::app::App;
use crate::bank_calls::{self, Basis, CallError, Occasion};
use crate::evidence_log::{self, About};
use crate::fault;
use crate::services::consents::Work;
use crate::services::events::emit;
use crate::services::fetch::Verdict;
use crate::services::{ServiceError, issuer, logins};

/// Between two tries to tell the bank, in seconds: at first, and at last. Between them it is a quarter of the time since
/// the end, so that a bank that is down for days is asked some forty times and not thousands of times.
const PAUSE_SECONDS: (i64, i64) = (60, 6 * 60 * 60);
/// For so long a bank may be silent before its silence is put down as unconfirmed, in seconds.
const SILENCE_SECONDS: i64 = 24 * 60 * 60;
/// How long the bank hears nothing of a login that brought no tokens: a check of ours may have refused its answer, and after
/// a refusal nothing is sent for a while (client modules of the OpenID conformance suite).
const QUIET_SECONDS: i64 = 5;

/// What is sealed in a capsule.
#[derive(Serialize, Deserialize)]
struct Content {
    bank_consent: String,
    tokens: Option<Vec<u8>>,
}

/// What a capsule has of a grant: its parts as they were sealed there, in base64. Nothing of it had to be opened, so that a
/// withdrawal waits for no key provider.
#[derive(Serialize, Deserialize)]
struct Moved {
    bank_consent: String,
    tokens: Option<String>,
}

/// Moves a grant's secrets into a capsule, unless another consent still stands on the grant. Nobody but the revoker can
/// use them afterwards. The key provider is not asked.
///
/// # Errors
/// The database's.
pub async fn prepare(app: &App, tx: &mut TenantTx, world: &World<'_>, consent: &Consent) -> Result<(), ServiceError> {
    let Some(id) = consent.grant else { return Ok(()) };
    // Whoever ends another consent on it at the same moment waits here, and then sees that this one is over.
    grants::lock(tx, id).await?;
    let others = consents::standing_on(tx, id).await?;
    if others.iter().any(|other| other.id != consent.id) {
        return Ok(());
    }
    end_grant(app, tx, world, consent.id, id).await
}

/// Moves the secrets of a grant that nobody stands on any more into a capsule, with the key that seals them.
///
/// # Errors
/// The database's.
pub async fn end_grant(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: ConsentId,
    id: GrantId,
) -> Result<(), ServiceError> {
    let before = grants::lock(tx, id).await?;
    if matches!(before.state, GrantState::Ending | GrantState::Ended(_) | GrantState::Unconfirmed) {
        // The bank was quicker, or is being told: nothing is left to tell, and nothing to keep.
        grants::forget(tx, id).await?;
        return Ok(());
    }
    let mut state = grant::step(before.state, GrantEvent::End)?;
    let nameless = is_nameless(app, &before)?;
    match moved(&before).filter(|_| !nameless) {
        Some((key, parts)) => {
            let parts = serde_json::to_vec(&parts).context("a capsule cannot be written")?;
            fill(tx, world, consent, &before, (world.uuid(), key, parts, true)).await?;
        }
        // The call that should have created it, or brought its tokens, never came back: nothing can be named at the bank.
        None => {
            state = grant::step(state, GrantEvent::EndGivenUp)?;
            let body =
                json!({ "grant": before.id.to_string(), "intent": before.intent.map(|intent| intent.kind.word()) });
            evidence_log::record(app, tx, world, consent, "bank.outcome_unknown", &body).await?;
        }
    }
    grants::save(tx, &before, &Grant { state, intent: None, ended_at: Some(world.now), ..before.clone() }).await?;
    grants::forget(tx, id).await?;
    Ok(())
}

/// Whether what never arrived is all that an authorisation could be named by: the bank keeps no consents, or names them in
/// exchange for a code alone, and the answer to that was lost.
fn is_nameless(app: &App, grant: &Grant) -> Result<bool, ServiceError> {
    let redeeming = grant.intent.is_some_and(|intent| intent.kind == IntentKind::Redeem);
    if !redeeming || grant.sealed_tokens.is_some() {
        return Ok(false);
    }
    let bank = &logins::connection(app, &grant.registration)?.bank;
    Ok(bank.consents().is_none() || bank.profile().consent.completion == Completion::Code)
}

/// Fills a capsule for a consent that the bank created and nobody waits for any more.
///
/// # Errors
/// The database's or the key provider's.
pub async fn stray(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    grant: &Grant,
    bank_consent: &BankConsentId,
) -> Result<(), ServiceError> {
    let content = Content { bank_consent: bank_consent.expose().to_owned(), tokens: None };
    let (key, wrapped) = app.vault.new_key(tx.tenant(), world)?;
    let id = world.uuid();
    let plain = zeroize::Zeroizing::new(serde_json::to_vec(&content).context("a capsule cannot be written")?);
    let sealed = Place::capsule(tx.tenant(), id).seal(&key, &plain, world.entropy);
    fill(tx, world, consent.id, grant, (id, wrapped, sealed, false)).await
}

/// The grant's key and its sealed parts, as they are; `None` where nothing can be named at the bank.
fn moved(grant: &Grant) -> Option<(Wrapped, Moved)> {
    let key = grant.key.clone()?;
    let bank_consent = STANDARD.encode(grant.sealed_bank_consent.as_ref()?);
    Some((key, Moved { bank_consent, tokens: grant.sealed_tokens.as_ref().map(|sealed| STANDARD.encode(sealed)) }))
}

/// Opens a capsule.
fn content(app: &App, tenant: TenantId, capsule: &Capsule) -> Result<Content, ServiceError> {
    let key = app.vault.open_key(tenant, &capsule.key)?;
    if !capsule.of_grant {
        let plain = Place::capsule(tenant, capsule.id).open(&key, &capsule.sealed)?;
        return Ok(serde_json::from_slice(&plain).context("a capsule cannot be read")?);
    }
    let parts: Moved = serde_json::from_slice(&capsule.sealed).context("a capsule cannot be read")?;
    let open = |place: Place, sealed: &str| -> Result<Vec<u8>, ServiceError> {
        let sealed = STANDARD.decode(sealed).context("a capsule cannot be read")?;
        Ok(place.open(&key, &sealed)?.to_vec())
    };
    let bank_consent = open(Place::bank_consent(tenant, capsule.grant), &parts.bank_consent)?;
    let tokens = parts.tokens.map(|sealed| open(Place::tokens(tenant, capsule.grant), &sealed)).transpose()?;
    Ok(Content { bank_consent: String::from_utf8(bank_consent).context("a capsule cannot be read")?, tokens })
}

async fn fill(
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: ConsentId,
    grant: &Grant,
    (id, key, sealed, of_grant): (Uuid, Wrapped, Vec<u8>, bool),
) -> Result<(), ServiceError> {
    let expires_at = world.now.saturating_add(SignedDuration::from_secs(limits::CAPSULE_SECONDS)).unwrap_or(world.now);
    let capsule = Capsule {
        id,
        deletion: None,
        consent,
        grant: grant.id,
        registration: grant.registration.clone(),
        key,
        sealed,
        of_grant,
        created_at: world.now,
        expires_at,
    };
    capsules::insert(tx, &capsule).await?;
    let quiet = SignedDuration::from_secs(if grant.sealed_tokens.is_none() { QUIET_SECONDS } else { 0 });
    let due_at = world.now.saturating_add(quiet).unwrap_or(world.now);
    // A lane of its own: the end of a consent waits behind no fetch, however few of them a bank allows at once.
    let lane = format!("ends {}", grant.registration.as_str());
    Ok(jobs::request(tx, JobId::new(world), Work::EndAtBank.word(), id, &lane, due_at).await?)
}

/// Tells the bank. The consent first, then the tokens.
///
/// # Errors
/// Our own trouble; what the bank does is part of the verdict.
pub async fn run(app: &App, tenant: TenantId, capsule: Uuid) -> Result<Verdict, ServiceError> {
    let mut tx = app.store.tenant_tx(tenant).await?;
    let Some(capsule) = capsules::get(&mut tx, capsule).await? else { return Ok(Verdict::Done) };
    tx.commit().await?;
    let now = app.clock.now();
    if now >= capsule.expires_at {
        settle(app, tenant, &capsule, Answer { outcome: BankOutcome::Unconfirmed, basis: "given_up", last: true })
            .await?;
        return Ok(Verdict::Done);
    }
    let refused = match tell(app, tenant, &capsule).await {
        Ok(Said::Proof(basis)) => {
            fault::point("revocation.bank_told");
            settle(app, tenant, &capsule, Answer { outcome: BankOutcome::Confirmed, basis, last: true }).await?;
            return Ok(Verdict::Done);
        }
        Ok(Said::NotYet) => false,
        Ok(Said::Refusal) => true,
        Err(ServiceError::Call(error)) if !matches!(error, CallError::Ours(_)) => {
            tracing::warn!(bank.registration = %capsule.registration, code = error.code(), "the bank could not be told");
            false
        }
        Err(error) => return Err(error),
    };
    let waited = now.duration_since(capsule.created_at).as_secs();
    if refused || waited >= SILENCE_SECONDS {
        let basis = if refused { "refused" } else { "silent" };
        settle(app, tenant, &capsule, Answer { outcome: BankOutcome::Unconfirmed, basis, last: false }).await?;
    }
    let pause = SignedDuration::from_secs((waited / 4).clamp(PAUSE_SECONDS.0, PAUSE_SECONDS.1));
    Ok(Verdict::Again(now.saturating_add(pause).unwrap_or(now).min(capsule.expires_at)))
}

/// What a bank said when it was told.
enum Said {
    /// That it is over, and on what that rests.
    Proof(&'static str),
    /// That it has taken the request.
    NotYet,
    /// Something that proves nothing, and its status says that the consent lives.
    Refusal,
}

/// What is put down of the bank's side.
#[derive(Clone, Copy)]
struct Answer<'a> {
    outcome: BankOutcome,
    basis: &'a str,
    /// Whether the bank is left alone from then on and the capsule destroyed.
    last: bool,
}

/// Ends consent and tokens.
async fn tell(app: &App, tenant: TenantId, capsule: &Capsule) -> Result<Said, ServiceError> {
    let connection = logins::connection(app, &capsule.registration)?;
    let about = About { tenant, consent: capsule.consent };
    let occasion = Occasion { connection: &connection, about, basis: Basis::Revocation };
    let content = content(app, tenant, capsule)?;
    let consent = BankConsentId::new(&content.bank_consent).context("a capsule cannot be read")?;
    let metadata = issuer::metadata(app, &occasion).await?;
    let Some(consents) = connection.bank.consents() else {
        let metadata = metadata.context("the bank has no authorisation server")?;
        return end_without_consent(app, &occasion, &metadata, &content, &consent).await;
    };
    let said = end_consent(app, &occasion, metadata.as_ref(), consents, &consent).await;
    if let Some(metadata) = &metadata {
        revoke_tokens(app, &occasion, metadata, &content).await?;
    }
    said
}

/// Ends a consent that the bank keeps.
async fn end_consent(
    app: &App,
    occasion: &Occasion<'_>,
    metadata: Option<&Metadata>,
    consents: &dyn Consents,
    consent: &BankConsentId,
) -> Result<Said, ServiceError> {
    let tokens = issuer::client_tokens(app, occasion, metadata).await?;
    let context = occasion.context(tokens.as_ref(), None, &app.world());
    let call = consents.end(consent, &context);
    let ended = bank_calls::to_bank(app, occasion, "end_consent", &context, call).await?;
    let refused = matches!(ended, Ended::Unproven(_));
    match ended {
        Ended::Gone => Ok(Said::Proof("gone")),
        // A 401 or 403 proves nothing, a 202 not yet: the status tells.
        Ended::Accepted | Ended::Unproven(_) => {
            let context = occasion.context(tokens.as_ref(), None, &app.world());
            let call = consents.status(consent, &context);
            match bank_calls::to_bank::<ConsentState>(app, occasion, "consent_status", &context, call).await {
                Ok(state) if state.is_terminal() => Ok(Said::Proof("status_terminal")),
                Ok(_) if refused => Ok(Said::Refusal),
                Ok(_) => Ok(Said::NotYet),
                // Whoever refuses both says nothing about the consent.
                Err(CallError::Bank(_)) if refused => Ok(Said::Refusal),
                Err(error) => Err(error.into()),
            }
        }
    }
}

/// Ends what a bank holds that keeps no consents: by the id that we gave it where the bank ends it so, else by its tokens.
/// Where it can be ended by its id, tokens that were given back prove nothing: an authorisation server says 200 to any.
async fn end_without_consent(
    app: &App,
    occasion: &Occasion<'_>,
    metadata: &Metadata,
    content: &Content,
    consent: &BankConsentId,
) -> Result<Said, ServiceError> {
    let context = occasion.context(None, None, &app.world());
    let call = occasion.connection.bank.end(consent, &context).filter(|_| content.tokens.is_some());
    let Some(call) = call else {
        return end_authorisation(app, occasion, metadata, content).await.map(Said::Proof);
    };
    let ended = bank_calls::to_bank(app, occasion, "end_consent", &context, call).await;
    revoke_tokens(app, occasion, metadata, content).await?;
    Ok(match ended? {
        Ended::Gone => Said::Proof("gone"),
        Ended::Accepted => Said::NotYet,
        Ended::Unproven(_) => Said::Refusal,
    })
}

/// Ends an authorisation at a bank that keeps no consents: its arrangement, where it has one, else every token of it, the
/// refresh token first. The server's word is the proof (RFC 7009 §2.2).
async fn end_authorisation(
    app: &App,
    occasion: &Occasion<'_>,
    metadata: &Metadata,
    content: &Content,
) -> Result<&'static str, ServiceError> {
    // Without tokens nothing was ever authorised.
    let Some(bytes) = &content.tokens else { return Ok("never_authorised") };
    let tokens = Tokens::from_bytes(bytes).context("a capsule cannot be read")?;
    let oauth = &occasion.connection.oauth;
    if tokens.arrangement.is_some() {
        let call = oauth.revoke_arrangement(metadata, &tokens, &app.world());
        bank_calls::to_issuer(app, occasion, "revoke_arrangement", call).await?;
        return Ok("arrangement_ended");
    }
    for hint in held(&tokens) {
        let call = oauth.revoke(metadata, &tokens, hint, &app.world());
        bank_calls::to_issuer(app, occasion, "revoke", call).await?;
    }
    Ok("tokens_revoked")
}

/// Both tokens, the longer-lived first.
fn held(tokens: &Tokens) -> impl Iterator<Item = TokenHint> + use<> {
    let refresh = tokens.refresh_token.as_ref().map(|_| TokenHint::RefreshToken);
    refresh.into_iter().chain([TokenHint::AccessToken])
}

/// Gives the tokens back (RFC 7009), whatever the bank said of the consent: if it stands, they shall open it no more. It
/// proves nothing, and a failure here is noted and no more.
async fn revoke_tokens(
    app: &App,
    occasion: &Occasion<'_>,
    metadata: &Metadata,
    content: &Content,
) -> Result<(), ServiceError> {
    let Some(bytes) = &content.tokens else { return Ok(()) };
    let tokens = Tokens::from_bytes(bytes).context("a capsule cannot be read")?;
    let oauth = &occasion.connection.oauth;
    for hint in held(&tokens) {
        let call = oauth.revoke(metadata, &tokens, hint, &app.world());
        if let Err(error) = bank_calls::to_issuer(app, occasion, "revoke", call).await {
            tracing::warn!(code = error.code(), "a token could not be given back");
        }
    }
    Ok(())
}

/// Writes down where the bank's side stands, and destroys the capsule with the last word. That it has not confirmed yet is
/// said once.
async fn settle(app: &App, tenant: TenantId, capsule: &Capsule, said: Answer<'_>) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(tenant).await?;
    let before = grants::lock(&mut tx, capsule.grant).await?;
    // The sweep of an abandoned renewal says nothing about the grant that the consent stood on.
    let stood_on = consents::get(&mut tx, capsule.consent).await?.grant == Some(capsule.grant);
    let told: Vec<_> = if stood_on { deletions::of_consent(&mut tx, capsule.consent).await? } else { Vec::new() };
    let open = |bank: Bank| bank == Bank::Pending || said.last && bank == Bank::Unconfirmed;
    let told: Vec<_> = told.iter().filter(|deletion| open(deletion.bank)).collect();
    if told.is_empty() && !said.last {
        return Ok(());
    }
    let event = match said.outcome {
        BankOutcome::Confirmed => GrantEvent::EndProven,
        BankOutcome::Unconfirmed => GrantEvent::EndGivenUp,
    };
    // A grant that had been given up, or that ended otherwise, stays what it was.
    let state = grant::step(before.state, event).unwrap_or(before.state);
    grants::save(&mut tx, &before, &Grant { state, ..before.clone() }).await?;
    for deletion in told {
        answer(app, &mut tx, &world, capsule, deletion.id, said).await?;
    }
    if said.last {
        capsules::destroy(&mut tx, capsule.id, world.now).await?;
    }
    fault::point("revocation.before_commit");
    tx.commit().await?;
    fault::point("revocation.settled");
    Ok(())
}

async fn answer(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    capsule: &Capsule,
    deletion: domain::ids::DeletionId,
    said: Answer<'_>,
) -> Result<(), ServiceError> {
    let Answer { outcome, basis, last } = said;
    let body = BankAnswer { deletion, outcome, basis: basis.to_owned(), answered_at: world.now };
    let note = evidence_log::state(app, tx, world, Subject::Consent(capsule.consent), &body).await?;
    let product = consents::get(tx, capsule.consent).await?.product;
    let mut told = json!({ "deletion_id": deletion.to_string(), "basis": basis });
    let (bank, kind) = match outcome {
        BankOutcome::Confirmed => (Bank::Confirmed, EventType::RevocationConfirmed),
        BankOutcome::Unconfirmed => {
            if !last {
                told["tried_until"] = capsule.expires_at.to_string().into();
            }
            // Nobody else will look: the person is gone, and the product cannot reach the bank.
            tracing::error!(bank.registration = %capsule.registration, %deletion, basis, last,
                "a bank has not confirmed the end of a consent");
            (Bank::Unconfirmed, EventType::RevocationUnconfirmed)
        }
    };
    emit(tx, world, product, kind, Some(capsule.consent), told).await?;
    deletions::bank_settled(tx, deletion, bank, world.now).await?;
    add(tx, deletion, "deletion.bank_answer", note, world.now).await
}

/// Keeps a signed addendum beside its deletion.
pub(crate) async fn add(
    tx: &mut TenantTx,
    deletion: domain::ids::DeletionId,
    kind: &str,
    note: String,
    at: Timestamp,
) -> Result<(), ServiceError> {
    let addendum = Addendum { kind: kind.to_owned(), body: note.into_bytes(), recorded_at: at };
    Ok(deletions::add(tx, deletion, &addendum).await?)
}
