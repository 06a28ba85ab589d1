//! Several products at a bank that allows one authorisation at a time.
//!
//! Each product knows its people by names of its own, and none is believed about another's. A browser hints, before anybody
//! goes to the bank, that a new authorisation may end another product's. Whether it is the same person the bank tells
//! afterwards: where its ID token names them, both consents stand on the new grant if it reaches as far; elsewhere it is asked
//! how the old one stands, and what it has ended waits for its person. Nothing ends silently, and no two persons become one.
//! Until the bank has named them, nobody is asked to share what another product needs, and no record but their own says that
//! they were here.

use bank_adapters::answer::Granted;
use bank_adapters::profile::Renewal as Mode;
use domain::consent::{Event, State};
use domain::grant::Observed;
use domain::ids::{GrantId, RegistrationId};
use domain::world::World;
use fapi::token::Tokens;
use jiff::Timestamp;
use serde_json::json;
use store::consents::Consent;
use store::grants::Grant;
use store::{TenantTx, browsers, consent_texts, consents, grants, products};

use crate::app::App;
use crate::connections::Connection;
use crate::evidence_log;
use crate::keys::TenantKeys;
use crate::services::logins::{self, Acceptance};
use crate::services::{ServiceError, consents as moves, renewals, status};

/// Whether the bank's ID tokens name the person, so that one of several products can be told from one of several people.
fn names_persons(connection: &Connection) -> bool {
    connection.bank.profile().security.scopes.iter().any(|scope| scope == "openid")
}

fn replaces(connection: &Connection) -> bool {
    connection.bank.profile().consent.renewal == Mode::ReplacesOnAuthorise
}

/// Whether a browser has to be known again, so that its person can be told what they are about to end: where the bank ends one
/// authorisation for the next, and there is another product whose it could be. Nowhere else a cookie is kept for it.
///
/// # Errors
/// The database's.
pub(crate) async fn needs_browser(tx: &mut TenantTx, connection: &Connection) -> Result<bool, ServiceError> {
    Ok(replaces(connection) && products::all(tx).await?.len() > 1)
}

/// The tag of the person as the bank names them, where it does.
pub(crate) async fn subject_tag(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    registration: &RegistrationId,
    tokens: &Tokens,
) -> Result<Option<[u8; 32]>, ServiceError> {
    let Some(identity) = &tokens.identity else { return Ok(None) };
    let name = [registration.as_str(), identity.subject.as_str()].join("\u{0}");
    Ok(Some(TenantKeys::lookup(app, tx, world).await?.mac("grant.subject", name.as_bytes())))
}

/// Living consents of other products that the authorisation of this one may touch: given in the same browser, or standing on
/// the same grant already.
///
/// # Errors
/// The database's, or there is no such registration any more.
pub(crate) async fn of(
    app: &App,
    tx: &mut TenantTx,
    consent: &Consent,
    browser: Option<&[u8; 32]>,
) -> Result<Vec<Consent>, ServiceError> {
    let Some((_, registration)) = &consent.bank else { return Ok(Vec::new()) };
    if !replaces(logins::connection(app, registration)?.as_ref()) {
        return Ok(Vec::new());
    }
    let mut ids = match browser {
        Some(browser) => browsers::grants(tx, browser).await?,
        None => Vec::new(),
    };
    ids.extend(consent.grant.filter(|own| !ids.contains(own)));
    living(tx, &ids, consent, registration).await
}

/// Living consents of other products on these grants, as far as they belong to a registration.
async fn living(
    tx: &mut TenantTx,
    ids: &[GrantId],
    consent: &Consent,
    registration: &RegistrationId,
) -> Result<Vec<Consent>, ServiceError> {
    let mut found = Vec::new();
    for id in ids {
        if grants::get(tx, *id).await?.registration == *registration {
            let standing = consents::standing_on(tx, *id).await?;
            found.extend(standing.into_iter().filter(|other| other.psu != consent.psu && other.machine.may_renew()));
        }
    }
    Ok(found)
}

/// Before the person goes to the bank: keeps what they read about other products' consents, and gives those whose person they
/// are by the bank's own word, so that it is asked for what these need as well.
pub(crate) async fn announce(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    acceptance: &Acceptance,
) -> Result<Vec<Consent>, ServiceError> {
    let others = of(app, tx, consent, acceptance.browser.as_ref()).await?;
    if let Some(text) = &acceptance.beside {
        consent_texts::keep(tx, text, world.now).await?;
    }
    proven(tx, consent, others, None).await
}

/// Those of other products' consents that stand on a grant whose person the bank has called by the same name as this one's,
/// when this one's was authorised before. `new`: a grant that has only just been authorised, and says nothing of before.
async fn proven(
    tx: &mut TenantTx,
    consent: &Consent,
    others: Vec<Consent>,
    new: Option<GrantId>,
) -> Result<Vec<Consent>, ServiceError> {
    let Some((_, registration)) = &consent.bank else { return Ok(Vec::new()) };
    let mut before = grants::of_psu(tx, consent.psu, registration).await?;
    if let Some(own) = consent.grant {
        // It may be one that the person authorised for another product.
        before.push(grants::get(tx, own).await?);
    }
    let before = before.into_iter().filter(|grant| Some(grant.id) != new);
    let names: Vec<[u8; 32]> = before.filter_map(|grant| grant.subject_tag).collect();
    let mut found = Vec::new();
    for other in others {
        let Some(grant) = other.grant else { continue };
        if grants::get(tx, grant).await?.subject_tag.is_some_and(|name| names.contains(&name)) {
            found.push(other);
        }
    }
    Ok(found)
}

/// Whether all of these go on under a new authorisation of this consent, if they are the same person's: the bank names persons,
/// and is asked for as much as each of them needs.
///
/// # Errors
/// The database's, or there is no such registration any more.
pub(crate) async fn go_on(
    app: &App,
    tx: &mut TenantTx,
    consent: &Consent,
    others: &[Consent],
) -> Result<bool, ServiceError> {
    let Some((_, registration)) = &consent.bank else { return Ok(false) };
    if !names_persons(logins::connection(app, registration)?.as_ref()) {
        return Ok(false);
    }
    let mut beside = renewals::replaced_by(app, tx, consent).await?;
    beside.extend(proven(tx, consent, others.to_vec(), None).await?);
    let asked = renewals::clusters(consent, &beside);
    Ok(others.iter().flat_map(|other| &other.clusters).all(|cluster| asked.contains(cluster)))
}

/// After a bank has authorised a grant: what becomes of other products' consents that the same person gave there.
pub(crate) async fn take_over(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    grant: GrantId,
    granted: &Granted,
) -> Result<(), ServiceError> {
    let Some((_, registration)) = &consent.bank else { return Ok(()) };
    if !replaces(logins::connection(app, registration)?.as_ref()) {
        return Ok(());
    }
    let hinted = browsers::beside(tx, grant).await?;
    let beside = living(tx, &hinted, consent, registration).await?;
    let Some(subject) = grants::get(tx, grant).await?.subject_tag else {
        for other in beside {
            status::ask_at(tx, world, other.id, registration.as_str(), world.now).await?;
        }
        return Ok(());
    };
    let mut beside = proven(tx, consent, beside, Some(grant)).await?;
    beside.extend(renewals::replaced_by(app, tx, consent).await?);
    let asked = renewals::clusters(consent, &beside);
    let shown = match browsers::shown(tx, grant).await? {
        Some(hash) => Some(consent_texts::get(tx, &hash).await?),
        None => None,
    };
    let others = grants::of_subject(tx, registration, &subject).await?;
    // What waits for further signers lives on: a bank ends what was authorised.
    for old in others.iter().filter(|old| old.id != grant && old.state.may_be_renewed()) {
        for other in living(tx, &[old.id], consent, registration).await? {
            if let Some(text) = &shown {
                let body = json!({ "text_hash": evidence_log::hex(&text.hash), "language": text.language });
                evidence_log::record(app, tx, world, other.id, "consent.collision_shown", &body).await?;
            }
            // What has read nothing yet has no accounts with which to go on.
            let has_begun = other.machine.state != State::Authorized;
            if has_begun && other.clusters.iter().all(|cluster| asked.contains(cluster)) {
                renewals::move_over(app, tx, world, &other, grant, granted).await?;
            } else {
                displace(app, tx, world, &other).await?;
            }
        }
        renewals::supersede(app, tx, world, old.id).await?;
    }
    Ok(())
}

/// A consent whose authorisation the bank has ended for another product's waits for its person. One that waits already is
/// not told again.
pub(crate) async fn displace(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    other: &Consent,
) -> Result<(), ServiceError> {
    let other = consents::lock(tx, other.id).await?;
    if domain::consent::step(&other.machine, Event::Displaced, world.now).is_ok() {
        moves::advance(app, tx, world, &other, Event::Displaced, "bank", |_| {}).await?;
    }
    Ok(())
}

/// Whether a newer authorisation, which was given in the same browser for another product, explains that this one is over.
///
/// # Errors
/// The database's.
pub(crate) async fn explain(tx: &mut TenantTx, connection: &Connection, old: &Grant) -> Result<bool, ServiceError> {
    if !replaces(connection) {
        return Ok(false);
    }
    for id in browsers::beside(tx, old.id).await? {
        let new = grants::get(tx, id).await?;
        if new.registration == old.registration && new.psu != old.psu && new.sca_at > old.sca_at {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether an authorisation that is over now was to last longer, at a bank that ends one for the next. Of a login in another
/// browser, or of one that did not come back to us, nothing else tells.
pub(crate) fn is_early(connection: &Connection, old: &Grant, now: Timestamp) -> bool {
    replaces(connection) && old.valid_until.is_some_and(|until| now < until)
}

/// Whether a bank says so of an authorisation that it has ended for a newer one of the same person.
pub(crate) const fn is_said_of_the_replaced(seen: Observed) -> bool {
    match seen {
        Observed::Expired | Observed::TerminatedByTpp | Observed::TerminatedByAspsp => true,
        Observed::Waiting
        | Observed::Partial
        | Observed::Valid
        | Observed::Suspended
        | Observed::RevokedAtBank
        | Observed::Rejected
        | Observed::Unknown => false,
    }
}
