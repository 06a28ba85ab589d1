//! One login at a bank: from the accepted text to the redirect, and from the callback to stored tokens.
//!
//! An intent is stored before every call that creates or uses up something at the bank, so a crash leaves something to
//! sweep and never a second try with the same code.

mod vouch;

use std::sync::Arc;

use bank_adapters::Call;
use bank_adapters::answer::{ConsentState, Granted, Opened};
use bank_adapters::ask::{BankConsentId, LoginName, PsuPresent};
use bank_adapters::error::BankError;
use domain::consent::{Event, State};
use domain::grant::{self, Event as GrantEvent};
use domain::ids::{ConsentId, GrantId, LoginId, RegistrationId};
use domain::limits;
use domain::policy::Clocks;
use domain::world::World;
use fapi::keys::KeySet;
use fapi::login::{Callback, PendingLogin, RedeemableCode};
use fapi::metadata::Metadata;
use fapi::request::{AuthorizationRequest, Begun};
use fapi::token::Tokens;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use store::consent_texts::ConsentText;
use store::consents::{Cause, Consent};
use store::grants::{Grant, Intent, IntentKind};
use store::logins::Login;
use store::sealed::Place;
use store::{StoreError, TenantTx, browsers, consent_texts, consents, grants, logins, page_sessions};
use url::Url;
use uuid::Uuid;
use vault::DataKey;
use zeroize::Zeroizing;

use self::vouch::{check, vouched};
use crate::app::App;
use crate::bank_calls::{self, Basis, CallError, Context, Occasion};
use crate::connections::Connection;
use crate::evidence_log::{self, About};
use crate::fault;
use crate::services::asking::{consent_ask, say_intermediary, sharing, sharing_seconds};
use crate::services::issuer::{client_tokens, discover};
use crate::services::{
    ServiceError, confirmation, consents as moves, hints, insist, renewals, revocation, rivals, status,
};
use crate::tokens;

/// A user on the way to the bank.
pub struct Departure {
    /// The bank's page. Send the browser there at once.
    pub redirect: Url,
    /// The secret of the browser's binding cookie.
    pub browser: SecretString,
}

/// What a person accepted, and who they are to the bank.
pub struct Acceptance {
    /// The session that accepted.
    pub session: Uuid,
    /// The consent.
    pub consent: ConsentId,
    /// The text as it was shown.
    pub text: ConsentText,
    /// What was shown beside it about other products' consents at the bank.
    pub beside: Option<ConsentText>,
    /// The name by which they sign in there, where the bank has to know whom to ask.
    pub login_name: Option<LoginName>,
    /// Hash of the cookie by which the browser is known again, where it is needed.
    pub browser: Option<[u8; 32]>,
    /// The person at the other end of this request.
    pub psu: PsuPresent,
}

/// How a return from a bank ended.
#[derive(Debug)]
pub enum Arrival {
    /// The bank authorised, tokens are stored, data are on their way.
    Connected(ConsentId),
    /// The person has authorised, and others have to as well: nothing may be read yet.
    AwaitsSigners(ConsentId),
    /// The person has to confirm at the bank, and the bank does not say yet that they have.
    AwaitsPsu(ConsentId),
    /// The person said no at the bank.
    Denied(ConsentId),
    /// The bank or its server answered with an error, or not at all.
    BankError(ConsentId),
    /// A check of ours refused the return.
    NotTrusted(ConsentId),
    /// The login's time is over.
    TimedOut(ConsentId),
    /// The same return came before; the first one counts.
    CameTwice(ConsentId),
    /// The consent has moved on since: its time ran out, it was withdrawn, or the person began anew. Its state tells.
    Overtaken(ConsentId),
    /// Another browser than the one that began.
    OtherBrowser(ConsentId),
    /// No login waits for this.
    Unknown,
}

/// Accepts the text and prepares the login: consent at the bank, pushed request, binding to this browser.
///
/// # Errors
/// The consent does not wait for acceptance, the bank refuses or does not answer.
pub async fn begin(app: &App, about: About, acceptance: &Acceptance) -> Result<Departure, ServiceError> {
    let (consent, grant, key) = store_intent(app, about, acceptance).await?;
    fault::point("login.intent_stored");
    let connection = connection(app, &grant.registration)?;
    let occasion = Occasion { connection: &connection, about, basis: Basis::PsuPresent };
    if !connection.gives_tokens() {
        return confirmation::begin(app, &occasion, acceptance, (&consent, &grant, &key)).await;
    }
    let metadata = discover(app, &occasion).await?;
    let tokens = client_tokens(app, &occasion, Some(&metadata)).await?;
    let context = occasion.context(tokens.as_ref(), Some(&acceptance.psu), &app.world());
    let bank_consent = match grant.state {
        grant::State::Requested => match connection.bank.consents() {
            Some(consents) => {
                let call = consents.open(&consent_ask(app, &connection, &consent, app.clock.now())?, &context);
                open_at_bank(app, &occasion, (&context, call), (&consent, &grant, &key)).await?.consent
            }
            None => begin_without_consent(app, about, &grant, &key).await?,
        },
        // Renewed under its own id.
        _ => bank_consent(&grant, about.tenant, &key)?,
    };
    fault::point("login.bank_consent_stored");
    let sharing = sharing(app, &connection, &consent, app.clock.now());
    let authorization = connection.bank.authorization(&bank_consent, &sharing);
    let request = AuthorizationRequest {
        scope: authorization.scope,
        authorization_details: authorization
            .authorization_details
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| ServiceError::Ours(anyhow::Error::new(error).context("authorization_details")))?,
        scope_details: authorization.scope_details,
        intent: Some(bank_consent.expose().to_owned()),
        sharing_seconds: sharing_seconds(&connection, &consent, app.clock.now()),
        ..AuthorizationRequest::default()
    };
    let begun = connection.oauth.begin(&metadata, &request, &app.world()).map_err(CallError::from)?;
    let ready = match begun {
        Begun::Push(call) => bank_calls::to_issuer(app, &occasion, "push", Ok(call)).await?,
        Begun::Ready(departure) => departure,
    };
    let waiting = Waiting {
        state_tag: ready.login.state_tag(),
        expires_at: ready.login.expires_at(),
        pending: ready.login.to_bytes(),
    };
    let browser = bind(app, about, acceptance, (&grant, &key), &waiting).await?;
    Ok(Departure { redirect: ready.redirect, browser })
}

async fn store_intent(
    app: &App,
    about: About,
    acceptance: &Acceptance,
) -> Result<(Consent, Grant, DataKey), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    let before = consents::lock(&mut tx, acceptance.consent).await?;
    if before.machine.may_renew() {
        let begun = renewals::begin(app, &mut tx, &world, &before, acceptance).await?;
        tx.commit().await?;
        app.work.notify_waiters();
        return Ok(begun);
    }
    if before.machine.state != State::Initiated {
        return Err(StoreError::NotAllowed.into());
    }
    let (institution, registration) = before.bank.clone().ok_or(StoreError::NotAllowed)?;
    if let Some(grant) = before.grant {
        if grants::get(&mut tx, grant).await?.state == grant::State::Partial {
            return Err(StoreError::NotAllowed.into());
        }
        // A login that was begun before and not finished: whatever it left at the bank is swept.
        revocation::prepare(app, &mut tx, &world, &before).await?;
    }
    consent_texts::keep(&mut tx, &acceptance.text, world.now).await?;
    let (key, wrapped) = app.vault.new_key(about.tenant, &world)?;
    let intent = Intent { kind: IntentKind::CreateConsent, id: world.uuid(), at: world.now };
    let grant = Grant::requested(GrantId::new(&world), registration, institution, before.psu, intent, wrapped);
    grants::insert(&mut tx, &grant).await?;
    let mut after = before.clone();
    after.grant = Some(grant.id);
    after.text_hash = Some(acceptance.text.hash);
    after.accepted_at = Some(world.now);
    after.machine.authorise_by = later(world.now, limits::LOGIN_SECONDS);
    let cause = Cause { event: "text_accepted", actor: "psu", at: world.now };
    let saved = consents::save(&mut tx, &before, &after, cause).await?;
    let mut body = json!({
        "text_hash": evidence_log::hex(&acceptance.text.hash),
        "language": acceptance.text.language,
        "registration": grant.registration.as_str(),
    });
    say_intermediary(app, &grant, &mut body);
    evidence_log::record(app, &mut tx, &world, saved.id, "consent.accepted", &body).await?;
    let mut beside = renewals::replaced_by(app, &mut tx, &saved).await?;
    beside.extend(rivals::announce(app, &mut tx, &world, &saved, acceptance).await?);
    tx.commit().await?;
    let asked = Consent { clusters: renewals::clusters(&saved, &beside), ..saved };
    Ok((asked, grant, key))
}

/// Creates the consent at the bank and stores its id. What the bank refuses outright does not exist there; any other
/// failure leaves the intent for the sweep.
pub(crate) async fn open_at_bank(
    app: &App,
    occasion: &Occasion<'_>,
    (context, call): (&Context, Call<Opened, BankError>),
    (consent, grant, key): (&Consent, &Grant, &DataKey),
) -> Result<Opened, ServiceError> {
    let opened = bank_calls::to_bank(app, occasion, "open_consent", context, call).await;
    fault::point("login.bank_consent_created");
    match opened {
        Ok(opened) => {
            insist(|| store_opened(app, occasion, consent, grant.id, key, &opened.consent)).await?;
            Ok(opened)
        }
        Err(error) => {
            if is_definite(&error) {
                let mut tx = app.store.tenant_tx(occasion.about.tenant).await?;
                let before = grants::lock(&mut tx, grant.id).await?;
                let state = grant::step(before.state, GrantEvent::CreationRefused)?;
                let ended_at = Some(app.clock.now());
                grants::save(&mut tx, &before, &Grant { state, intent: None, ended_at, ..before.clone() }).await?;
                tx.commit().await?;
            }
            Err(error.into())
        }
    }
}

/// Stores the bank's id of a consent that it has just created.
async fn store_opened(
    app: &App,
    occasion: &Occasion<'_>,
    consent: &Consent,
    grant: GrantId,
    key: &DataKey,
    opened: &BankConsentId,
) -> Result<(), ServiceError> {
    let mut tx = app.store.tenant_tx(occasion.about.tenant).await?;
    let before = grants::lock(&mut tx, grant).await?;
    let place = Place::bank_consent(tx.tenant(), grant);
    let sealed = place.seal(key, opened.expose().as_bytes(), app.entropy.as_ref());
    let Ok(state) = grant::step(before.state, GrantEvent::Created) else {
        // Somebody moved on meanwhile, by another acceptance or a withdrawal: what was created is ended again.
        revocation::stray(app, &mut tx, &app.world(), consent, &before, opened).await?;
        tx.commit().await?;
        return Err(StoreError::NotAllowed.into());
    };
    let bank_tag = Some(hints::tag(app, &mut tx, &app.world(), opened.expose()).await?);
    let after = Grant { state, intent: None, sealed_bank_consent: Some(sealed), bank_tag, ..before.clone() };
    grants::save(&mut tx, &before, &after).await?;
    Ok(tx.commit().await?)
}

/// Begins an authorisation at a bank where it is all that there is. The name that the grant needs is our own and is never
/// sent.
async fn begin_without_consent(
    app: &App,
    about: About,
    grant: &Grant,
    key: &DataKey,
) -> Result<BankConsentId, ServiceError> {
    let own = BankConsentId::new(&app.world().uuid().to_string()).map_err(|error| ServiceError::Ours(error.into()))?;
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    let before = grants::lock(&mut tx, grant.id).await?;
    let state = grant::step(before.state, GrantEvent::Created)?;
    let place = Place::bank_consent(tx.tenant(), grant.id);
    let sealed = place.seal(key, own.expose().as_bytes(), app.entropy.as_ref());
    let after = Grant { state, intent: None, sealed_bank_consent: Some(sealed), ..before.clone() };
    grants::save(&mut tx, &before, &after).await?;
    tx.commit().await?;
    Ok(own)
}

/// Whether the bank's answer proves that nothing was created.
fn is_definite(error: &CallError) -> bool {
    match error {
        CallError::Bank(error) => !matches!(error, BankError::Contract(_) | BankError::Wait { .. }),
        CallError::Transport(error) => error.is_safe_to_repeat(),
        CallError::Stopped | CallError::Resting { .. } => true,
        CallError::Refused(_) | CallError::Ours(_) => false,
    }
}

/// What waits for a return.
pub(crate) struct Waiting {
    /// SHA-256 of the state that comes back.
    pub(crate) state_tag: [u8; 32],
    /// When it gives up.
    pub(crate) expires_at: Timestamp,
    /// What the return must match.
    pub(crate) pending: Zeroizing<Vec<u8>>,
}

/// Stores a login and binds it to the browser. Gives the secret of the browser's cookie.
pub(crate) async fn bind(
    app: &App,
    about: About,
    acceptance: &Acceptance,
    (grant, key): (&Grant, &DataKey),
    waiting: &Waiting,
) -> Result<SecretString, ServiceError> {
    let world = app.world();
    let (browser, browser_hash) = tokens::issue(tokens::Kind::Session, &world);
    let id = LoginId::new(&world);
    let place = Place::login(about.tenant, grant.id, id);
    let login = Login {
        id,
        consent: acceptance.consent,
        grant: grant.id,
        registration: grant.registration.clone(),
        state_tag: waiting.state_tag,
        browser_hash,
        sealed_pending: place.seal(key, &waiting.pending, world.entropy),
        created_at: world.now,
        expires_at: waiting.expires_at,
        finished: None,
    };
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    logins::insert(&mut tx, &login).await?;
    page_sessions::begin_login(&mut tx, acceptance.session, id).await?;
    if let Some(known) = &acceptance.browser {
        browsers::note(&mut tx, known, grant.id, acceptance.beside.as_ref().map(|text| &text.hash)).await?;
    }
    tx.commit().await?;
    Ok(browser)
}

/// A callback that was matched to its login and can be redeemed once.
struct Claimed {
    login: Login,
    pending: Zeroizing<Vec<u8>>,
    key: DataKey,
}

/// Takes a return from a bank: `query` as it came, `browser` the value of the binding cookie.
///
/// # Errors
/// Our own trouble only; whatever the bank or the browser does wrong is an [`Arrival`].
pub async fn arrive(
    app: &App,
    registration: &RegistrationId,
    query: &str,
    browser: Option<&SecretString>,
    psu: &PsuPresent,
) -> Result<Arrival, ServiceError> {
    let Some(connection) = app.connections.get(registration) else { return Ok(Arrival::Unknown) };
    let Ok(callback) = Callback::parse(query) else { return Ok(Arrival::Unknown) };
    let Some(tag) = callback.state_tag(&connection.oauth) else { return Ok(Arrival::Unknown) };
    let claimed = match insist(|| claim(app, registration, &tag, browser)).await? {
        Ok(claimed) => claimed,
        Err(arrival) => return Ok(arrival),
    };
    fault::point("login.code_claimed");
    let about = About { tenant: app.tenant.id, consent: claimed.login.consent };
    let occasion = Occasion { connection: &connection, about, basis: Basis::PsuPresent };
    let grant = claimed.login.grant;
    let Claimed { login, pending, key } = claimed;
    if !connection.gives_tokens() {
        let arrived = confirmation::arrive(app, &occasion, (&login, &key), query).await;
        return settled(app, about, grant, psu, arrived).await;
    }
    let done = match receive(app, &occasion, &pending, query).await {
        Ok((code, metadata)) => {
            let redeemed = exchange(app, &occasion, (&login, &key), code, &metadata, psu).await;
            redeemed.map_err(|error| (error, true))
        }
        Err(error) => Err((error, false)),
    };
    settled(app, about, grant, psu, done).await
}

/// How a claimed return ended; with a failure, whether the code may have been used up.
async fn settled(
    app: &App,
    about: About,
    grant: GrantId,
    psu: &PsuPresent,
    done: Result<Arrival, (ServiceError, bool)>,
) -> Result<Arrival, ServiceError> {
    let consent = about.consent;
    match done {
        Ok(arrival) => {
            app.note_present(consent, psu.clone());
            app.work.notify_waiters();
            Ok(arrival)
        }
        Err((ServiceError::Call(error), spent)) if !matches!(error, CallError::Ours(_)) => {
            tracing::warn!(consent.id = %consent, code = error.code(), "a login did not complete");
            let (event, arrival) = verdict(&error, consent);
            // A token endpoint that says no has issued nothing.
            let said_no = matches!(&error, CallError::Refused(refusal) if refusal.error.is_some());
            fail(app, about, grant, event, Failed { code: error.code(), in_doubt: spent && !said_no }).await?;
            Ok(arrival)
        }
        Err((
            ServiceError::Store(StoreError::NotAllowed | StoreError::Raced)
            | ServiceError::Refused(_)
            | ServiceError::GrantRefused(_),
            _,
        )) => Ok(Arrival::Overtaken(consent)),
        Err((error, _)) => Err(error),
    }
}

/// Which end of the consent a failure means, and what the person is told.
fn verdict(error: &CallError, consent: ConsentId) -> (Event, Arrival) {
    match error {
        CallError::Refused(refusal) if refusal.error.as_deref() == Some("access_denied") => {
            (Event::Declined, Arrival::Denied(consent))
        }
        // Nobody's failure: the clock that the person ran out of ends the consent, as it does when nobody comes back.
        CallError::Refused(refusal) if refusal.code == "callback.login.expired" => {
            (Event::Tick, Arrival::TimedOut(consent))
        }
        CallError::Refused(refusal) if refusal.error.is_some() => (Event::LoginFailed, Arrival::BankError(consent)),
        CallError::Refused(_) => (Event::LoginFailed, Arrival::NotTrusted(consent)),
        CallError::Bank(_)
        | CallError::Transport(_)
        | CallError::Stopped
        | CallError::Resting { .. }
        | CallError::Ours(_) => (Event::LoginFailed, Arrival::BankError(consent)),
    }
}

/// How a login failed.
pub(crate) struct Failed<'a> {
    /// Stable code, for evidence.
    pub(crate) code: &'a str,
    /// Whether the bank may have issued tokens, or a consent, that never arrived.
    pub(crate) in_doubt: bool,
}

/// Ends a login that came to nothing.
///
/// # Errors
/// The database's.
pub(crate) async fn fail(
    app: &App,
    about: About,
    grant: GrantId,
    event: Event,
    Failed { code, in_doubt }: Failed<'_>,
) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    let before = consents::lock(&mut tx, about.consent).await?;
    evidence_log::record(app, &mut tx, &world, about.consent, "login.refused", &json!({ "code": code })).await?;
    if !in_doubt {
        let claimed = grants::lock(&mut tx, grant).await?;
        grants::save(&mut tx, &claimed, &Grant { intent: None, ..claimed.clone() }).await?;
    }
    // Whatever moved it meanwhile knows better.
    if before.machine.state == State::Initiated {
        moves::advance(app, &mut tx, &world, &before, event, "bank", |_| {}).await?;
    } else {
        renewals::fail(app, &mut tx, &world, &before, grant, event == Event::Declined).await?;
    }
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(())
}

/// Finds the login of a state and takes it, once, for the browser that began it.
async fn claim(
    app: &App,
    registration: &RegistrationId,
    state_tag: &[u8; 32],
    browser: Option<&SecretString>,
) -> Result<Result<Claimed, Arrival>, ServiceError> {
    let world = app.world();
    let tenant = app.tenant.id;
    let mut tx = app.store.tenant_tx(tenant).await?;
    let Some(login) = logins::find(&mut tx, state_tag).await? else { return Ok(Err(Arrival::Unknown)) };
    if login.registration != *registration {
        return Ok(Err(Arrival::Unknown));
    }
    let presented = browser.and_then(|value| tokens::read(tokens::Kind::Session, value.expose_secret()));
    let same_browser = presented
        .is_some_and(|hash| aws_lc_rs::constant_time::verify_slices_are_equal(&hash, &login.browser_hash).is_ok());
    let outcome = if same_browser { "claimed" } else { "other_browser" };
    // The one place that decides that a return counts once, for whoever comes second and for whoever comes later.
    match logins::finish(&mut tx, login.id, outcome, world.now).await {
        Err(StoreError::Raced) => return Ok(Err(Arrival::CameTwice(login.consent))),
        other => other?,
    }
    if !same_browser {
        let consent = consents::lock(&mut tx, login.consent).await?;
        if consent.machine.state == State::Initiated && consent.grant == Some(login.grant) {
            revocation::prepare(app, &mut tx, &world, &consent).await?;
        } else {
            renewals::fail(app, &mut tx, &world, &consent, login.grant, false).await?;
        }
        let body = json!({ "code": "login.browser.mismatch" });
        evidence_log::record(app, &mut tx, &world, login.consent, "login.refused", &body).await?;
        tx.commit().await?;
        return Ok(Err(Arrival::OtherBrowser(login.consent)));
    }
    let before = grants::lock(&mut tx, login.grant).await?;
    let Some(wrapped) = &before.key else { return Ok(Err(Arrival::Overtaken(login.consent))) };
    let key = app.vault.open_key(tenant, wrapped)?;
    let pending = Place::login(tenant, login.grant, login.id).open(&key, &login.sealed_pending)?;
    let intent = Some(Intent { kind: IntentKind::Redeem, id: login.id.uuid(), at: world.now });
    grants::save(&mut tx, &before, &Grant { intent, ..before.clone() }).await?;
    tx.commit().await?;
    Ok(Ok(Claimed { login, pending, key }))
}

/// The code of a claimed callback, with the server's metadata. Nothing is used up.
async fn receive(
    app: &App,
    occasion: &Occasion<'_>,
    pending: &[u8],
    query: &str,
) -> Result<(RedeemableCode, Metadata), ServiceError> {
    let pending = PendingLogin::from_bytes(pending).map_err(|error| ServiceError::Ours(error.into()))?;
    let connection = occasion.connection;
    // Signed responses need the server's keys before they can be read; plain ones are judged before anything is sent.
    if connection.oauth.security().response.is_signed() {
        let metadata = discover(app, occasion).await?;
        Ok((vouched(app, occasion, &metadata, pending, query).await?, metadata))
    } else {
        let callback = Callback::parse(query).map_err(CallError::from)?;
        let code = pending.finish(callback, &KeySet::empty(), app.clock.now()).map_err(CallError::from)?;
        Ok((code, discover(app, occasion).await?))
    }
}

/// From a code to stored tokens.
async fn exchange(
    app: &App,
    occasion: &Occasion<'_>,
    (login, key): (&Login, &DataKey),
    code: RedeemableCode,
    metadata: &Metadata,
    psu: &PsuPresent,
) -> Result<Arrival, ServiceError> {
    let call = occasion.connection.oauth.redeem(metadata, code, &app.world());
    let redeemed = bank_calls::to_issuer(app, occasion, "redeem", call).await?;
    fault::point("login.code_redeemed");
    let tokens = check(app, occasion, metadata, &redeemed).await?;
    let granted = read_grant(app, occasion, login, key, &tokens, psu).await?;
    // The code is used up: what it brought is not lost to a tie.
    insist(|| store_tokens(app, occasion, login, key, &tokens, &granted)).await
}

async fn read_grant(
    app: &App,
    occasion: &Occasion<'_>,
    login: &Login,
    key: &DataKey,
    tokens: &Tokens,
    psu: &PsuPresent,
) -> Result<Granted, ServiceError> {
    let mut tx = app.store.tenant_tx(occasion.about.tenant).await?;
    let grant = grants::get(&mut tx, login.grant).await?;
    tx.commit().await?;
    let Some(consents) = occasion.connection.bank.consents() else { return Ok(Granted::by_authorisation()) };
    let bank_consent = bank_consent(&grant, occasion.about.tenant, key)?;
    let profile = occasion.connection.bank.profile();
    let own = if profile.bank.standard.consents_want_our_token() {
        let metadata = discover(app, occasion).await?;
        client_tokens(app, occasion, Some(&metadata)).await?
    } else {
        None
    };
    let context = occasion.context(own.as_ref().or(Some(tokens)), Some(psu), &app.world());
    let call = consents.read(&bank_consent, &context);
    Ok(bank_calls::to_bank(app, occasion, "read_consent", &context, call).await?)
}

async fn store_tokens(
    app: &App,
    occasion: &Occasion<'_>,
    login: &Login,
    key: &DataKey,
    tokens: &Tokens,
    granted: &Granted,
) -> Result<Arrival, ServiceError> {
    let world = app.world();
    let tenant = occasion.about.tenant;
    let mut tx = app.store.tenant_tx(tenant).await?;
    let consent = consents::lock(&mut tx, login.consent).await?;
    let before = grants::lock(&mut tx, login.grant).await?;
    let renewal = renewals::of_login(&mut tx, &consent, login.grant).await?;
    let tokens = occasion.connection.bind(tokens.clone());
    // Under its own id a consent has only the tokens that it had.
    let anew = renewal.is_none() || consent.grant != Some(login.grant);
    if granted.state == ConsentState::PartiallyAuthorised && anew {
        let brought = Some((key, &tokens));
        status::await_signers(app, &mut tx, &world, (&consent, renewal.as_ref()), &before, brought).await?;
        tx.commit().await?;
        fault::point("login.tokens_stored");
        return Ok(Arrival::AwaitsSigners(login.consent));
    }
    if !granted.state.is_usable() && renewal.is_none() {
        // A code came back and yet the bank does not call the consent valid.
        moves::advance(app, &mut tx, &world, &consent, Event::Rejected, "bank", |_| {}).await?;
        tx.commit().await?;
        return Err(CallError::Bank(BankError::Contract(bank_adapters::error::Breach::Field("consentStatus"))).into());
    }
    if !granted.state.is_usable() {
        return Err(CallError::Bank(BankError::Contract(bank_adapters::error::Breach::Field("consentStatus"))).into());
    }
    let clocks = moves::clocks(app, occasion.connection, &consent, granted, world.now);
    let after = Grant {
        state: grant::step(before.state, GrantEvent::TokensStored)?,
        intent: None,
        sealed_tokens: Some(Place::tokens(tenant, before.id).seal(key, &tokens.to_bytes(), world.entropy)),
        bank_tag: hints::tag_of(app, &mut tx, &world, &tokens, before.bank_tag).await?,
        subject_tag: rivals::subject_tag(app, &mut tx, &world, &before.registration, &tokens).await?,
        token_expires_at: tokens.expires_at,
        sca_at: Some(world.now),
        valid_until: Some(clocks.term_ends),
        ..before.clone()
    };
    grants::save(&mut tx, &before, &after).await?;
    if let Some(renewal) = renewal {
        renewals::complete(app, &mut tx, &world, &consent, (&renewal, world.now), granted).await?;
    } else {
        begin_life(app, &mut tx, &world, &consent, (login.grant, world.now), clocks, granted).await?;
    }
    tx.commit().await?;
    fault::point("login.tokens_stored");
    Ok(Arrival::Connected(login.consent))
}

/// A consent that its bank has authorised for the first time, on a grant whose person authenticated at that moment.
pub(crate) async fn begin_life(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    (grant, sca_at): (GrantId, Timestamp),
    clocks: Clocks,
    granted: &Granted,
) -> Result<(), ServiceError> {
    moves::advance(app, tx, world, consent, Event::Authorised(clocks), "bank", |consent| {
        consent.authorized_at = Some(world.now);
        consent.sca_at = Some(sca_at);
        consent.confirmed_at = consent.accepted_at;
    })
    .await?;
    renewals::take_over(app, tx, world, consent, grant, granted).await
}

/// The connection of a registration; without one the operator has taken away what a consent stands on.
///
/// # Errors
/// Names the registration.
pub(crate) fn connection(app: &App, registration: &RegistrationId) -> Result<Arc<Connection>, ServiceError> {
    app.connections
        .get(registration)
        .ok_or_else(|| ServiceError::Ours(anyhow::anyhow!("there is no registration {registration}")))
}

/// The bank's id of the consent, opened.
pub(crate) fn bank_consent(
    grant: &Grant,
    tenant: domain::ids::TenantId,
    key: &DataKey,
) -> Result<BankConsentId, ServiceError> {
    let sealed = grant.sealed_bank_consent.as_deref().ok_or(StoreError::NotAllowed)?;
    let opened = Place::bank_consent(tenant, grant.id).open(key, sealed)?;
    let text = std::str::from_utf8(&opened).map_err(|error| ServiceError::Ours(error.into()))?;
    BankConsentId::new(text).map_err(|error| ServiceError::Ours(error.into()))
}

fn later(now: Timestamp, seconds: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(now)
}
