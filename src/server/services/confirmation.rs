//! Logins that bring no tokens: the person confirms on a page of the bank's that a link leads to, or on a device of their own,
//! and the bank's word about the consent says what came of it (NextGenPSD2 Implementation Guidelines §5.1.1, §5.1.3). Where the
//! return brings a code, as from an intermediary, the code names what the consent is from then on.

use bank_adapters::answer::Opened;
use bank_adapters::ask::{BankConsentId, ConsentAsk};
use bank_adapters::error::{BankError, Breach};
use bank_adapters::profile::Completion;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::consent::Event;
use domain::grant::State as GrantState;
use domain::ids::GrantId;
use domain::limits;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use store::consents::Consent;
use store::grants::{self, Grant};
use store::logins::Login;
use store::sealed::Place;
use store::{StoreError, consents};
use url::form_urlencoded;
use vault::DataKey;
use zeroize::Zeroizing;

use crate::app::App;
use crate::bank_calls::{self, CallError, Occasion};
use crate::evidence_log::About;
use crate::fault;
use crate::services::asking::consent_ask;
use crate::services::logins::{self, Acceptance, Arrival, Departure, Failed, Waiting};
use crate::services::{ServiceError, hints, insist, issuer, status};
use crate::tokens;

/// Between two looks at a consent that its person is about to confirm, in seconds: right after they were asked, and later. With the
/// time of a login no bank is asked more than some eighty times.
const PAUSE_SECONDS: (i64, i64) = (5, 15);
/// For how long they have just been asked, in seconds.
const EAGER_SECONDS: i64 = 120;
/// The page that says how things stand.
const HERE: &str = "link/done";

/// When a consent is looked at again that its person was asked to confirm at `since`.
pub(crate) fn next_look(since: Timestamp, now: Timestamp) -> Timestamp {
    let eager = now.duration_since(since).as_secs() < EAGER_SECONDS;
    let pause = if eager { PAUSE_SECONDS.0 } else { PAUSE_SECONDS.1 };
    now.saturating_add(SignedDuration::from_secs(pause)).unwrap_or(now)
}

/// Creates the consent at the bank, and sends the person where they confirm it.
///
/// # Errors
/// The bank refuses, does not answer, or does not say where to go.
pub(crate) async fn begin(
    app: &App,
    occasion: &Occasion<'_>,
    acceptance: &Acceptance,
    (consent, grant, key): (&Consent, &Grant, &DataKey),
) -> Result<Departure, ServiceError> {
    let (connection, world) = (occasion.connection, app.world());
    let at_bank = connection.bank.consents().ok_or(StoreError::NotAllowed)?;
    let state = Zeroizing::new(URL_SAFE_NO_PAD.encode(world.bytes::<32>()));
    let metadata = issuer::metadata(app, occasion).await?;
    let own = issuer::client_tokens(app, occasion, metadata.as_ref()).await?;
    let context = occasion.context(own.as_ref(), Some(&acceptance.psu), &world);
    let ask = ConsentAsk {
        state: Some(state.as_str().to_owned()),
        login_name: acceptance.login_name.clone(),
        ..consent_ask(app, connection, consent, world.now)?
    };
    let call = at_bank.open(&ask, &context);
    let opened = logins::open_at_bank(app, occasion, (&context, call), (consent, grant, key)).await?;
    fault::point("login.bank_consent_stored");
    let completion = connection.bank.profile().consent.completion;
    let redirect = match opened.links.sca_redirect {
        Some(page) => page,
        None if completion == Completion::Decoupled => {
            app.config.listen.public_url.join(HERE).map_err(|error| ServiceError::Ours(error.into()))?
        }
        None => return Err(CallError::Bank(BankError::Contract(Breach::Field("scaRedirect"))).into()),
    };
    if completion != Completion::Code {
        // Whoever confirms may never come back.
        watch(app, occasion).await?;
    }
    let lifetime = SignedDuration::from_secs(limits::LOGIN_SECONDS);
    let waiting = Waiting {
        state_tag: tokens::hash(state.as_bytes()),
        expires_at: world.now.saturating_add(lifetime).unwrap_or(world.now),
        pending: Zeroizing::new(Vec::new()),
    };
    let browser = logins::bind(app, occasion.about, acceptance, (grant, key), &waiting).await?;
    Ok(Departure { redirect, browser })
}

/// Sees to it that the consent is looked at soon.
async fn watch(app: &App, occasion: &Occasion<'_>) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(occasion.about.tenant).await?;
    let (lane, at) = (occasion.connection.id.as_str(), next_look(world.now, world.now));
    status::ask_at(&mut tx, &world, occasion.about.consent, lane, at).await?;
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(())
}

/// What a return says, as far as it counts.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(known, _)| known == name);
    values.next().map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
}

/// Takes the return of a login that was claimed.
///
/// # Errors
/// What the bank or our own side did, and whether what the bank has made may have been lost on the way.
pub(crate) async fn arrive(
    app: &App,
    occasion: &Occasion<'_>,
    (login, key): (&Login, &DataKey),
    query: &str,
) -> Result<Arrival, (ServiceError, bool)> {
    if occasion.connection.bank.profile().consent.completion == Completion::Code {
        let code = match (parameter(query, "error"), parameter(query, "code")) {
            (None, Some(code)) => SecretString::from(code),
            (error, _) => return refused(app, login, error.as_deref()).await.map_err(|error| (error, false)),
        };
        redeem(app, occasion, (login, key), &code).await.map_err(|error| (error, true))?;
    } else {
        release(app, occasion.about, login.grant).await.map_err(|error| (error, false))?;
    }
    look(app, occasion, login, key).await.map_err(|error| (error, false))
}

/// A return without a code: the person or the bank said no.
async fn refused(app: &App, login: &Login, error: Option<&str>) -> Result<Arrival, ServiceError> {
    let about = About { tenant: app.tenant.id, consent: login.consent };
    let (event, code, arrival) = match error {
        Some("access_denied") => (Event::Declined, "callback.error.denied", Arrival::Denied(login.consent)),
        Some(_) => (Event::LoginFailed, "callback.error", Arrival::BankError(login.consent)),
        None => (Event::LoginFailed, "callback.code.missing", Arrival::NotTrusted(login.consent)),
    };
    logins::fail(app, about, login.grant, event, Failed { code, in_doubt: false }).await?;
    Ok(arrival)
}

/// Lets a grant wait on: a return without a code uses nothing up.
async fn release(app: &App, about: About, grant: GrantId) -> Result<(), ServiceError> {
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    let before = grants::lock(&mut tx, grant).await?;
    grants::save(&mut tx, &before, &Grant { intent: None, ..before.clone() }).await?;
    Ok(tx.commit().await?)
}

/// Shows the code, once, and stores what it stands for in the place of what was begun.
async fn redeem(
    app: &App,
    occasion: &Occasion<'_>,
    (login, key): (&Login, &DataKey),
    code: &SecretString,
) -> Result<(), ServiceError> {
    let context = occasion.context(None, None, &app.world());
    let at_bank = occasion.connection.bank.consents();
    let call = at_bank.and_then(|consents| consents.redeem(code, &context)).ok_or(StoreError::NotAllowed)?;
    let Opened { consent, .. } = bank_calls::to_bank(app, occasion, "redeem", &context, call).await?;
    fault::point("login.code_redeemed");
    // The code is used up: what it brought is not lost to a tie.
    insist(|| keep(app, occasion.about, login.grant, key, &consent)).await
}

async fn keep(
    app: &App,
    about: About,
    grant: GrantId,
    key: &DataKey,
    consent: &BankConsentId,
) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    let before = grants::lock(&mut tx, grant).await?;
    if before.state != GrantState::Pending {
        // Somebody moved on meanwhile: what was authorised is ended again.
        let owner = consents::get(&mut tx, about.consent).await?;
        crate::services::revocation::stray(app, &mut tx, &world, &owner, &before, consent).await?;
        tx.commit().await?;
        return Err(StoreError::NotAllowed.into());
    }
    let sealed = Place::bank_consent(tx.tenant(), grant).seal(key, consent.expose().as_bytes(), world.entropy);
    let bank_tag = Some(hints::tag(app, &mut tx, &world, consent.expose()).await?);
    let after = Grant { intent: None, sealed_bank_consent: Some(sealed), bank_tag, ..before.clone() };
    grants::save(&mut tx, &before, &after).await?;
    Ok(tx.commit().await?)
}

/// Asks the bank what came of it. Where it cannot say yet, it is asked again.
async fn look(app: &App, occasion: &Occasion<'_>, login: &Login, key: &DataKey) -> Result<Arrival, ServiceError> {
    let mut tx = app.store.tenant_tx(occasion.about.tenant).await?;
    let consent = consents::get(&mut tx, login.consent).await?;
    let grant = grants::get(&mut tx, login.grant).await?;
    tx.commit().await?;
    match status::decide(app, occasion, &consent, &grant, key).await {
        Ok(true) => {}
        Ok(false) => watch(app, occasion).await?,
        Err(ServiceError::Call(error)) if !matches!(error, CallError::Ours(_)) => {
            tracing::warn!(bank.id = %occasion.connection.institution, code = error.code(), "a status could not be read");
            watch(app, occasion).await?;
        }
        Err(error) => return Err(error),
    }
    let mut tx = app.store.tenant_tx(occasion.about.tenant).await?;
    let state = grants::get(&mut tx, login.grant).await?.state;
    Ok(match state {
        GrantState::Granted => Arrival::Connected(login.consent),
        GrantState::Partial => Arrival::AwaitsSigners(login.consent),
        GrantState::Pending => Arrival::AwaitsPsu(login.consent),
        GrantState::Ended(_) => Arrival::Denied(login.consent),
        GrantState::Requested | GrantState::Suspended | GrantState::Ending | GrantState::Unconfirmed => {
            Arrival::Overtaken(login.consent)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bank_is_asked_often_at_first_and_never_without_bound() {
        let begun = Timestamp::UNIX_EPOCH;
        let (mut now, mut looks) = (begun, 0);
        while now.duration_since(begun).as_secs() < limits::LOGIN_SECONDS {
            now = next_look(begun, now);
            looks += 1;
        }
        assert_eq!((looks, next_look(begun, begun).as_second()), (76, 5));
    }

    #[test]
    fn an_empty_code_is_none() {
        assert_eq!(parameter("code=a%20b&state=s", "code").as_deref(), Some("a b"));
        assert_eq!(parameter("code=&state=s", "code"), None);
        assert_eq!(parameter("state=s", "code"), None);
    }
}
