//! Renewing a consent in place: the person agrees and authenticates again, ids and history stay as they are.
//!
//! The consent stands on its old grant until the new one is proven, so whoever backs out loses nothing. What the bank
//! does to the old authorisation is a fact of its profile: it is the same one (`same_id`), both live (`overlap`), or the
//! old one dies when the new one is authorised (`replaces_on_authorise`). There the old one's death proves nothing while
//! a login is under way or has broken: it is read as superseded, never as the end of the consent.

use bank_adapters::answer::Granted;
use bank_adapters::profile::Renewal as Mode;
use domain::consent::Event;
use domain::grant::{self, Event as GrantEvent};
use domain::ids::{ConsentId, GrantId, LineId, TenantId};
use domain::limits;
use domain::policy;
use domain::world::World;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use store::consents::Consent;
use store::grants::{Grant, Intent, IntentKind};
use store::renewals::{Renewal, State};
use store::{StoreError, TenantTx, consent_texts, consents, grants, lines, renewals};
use vault::DataKey;

use crate::app::App;
use crate::connections::Connection;
use crate::evidence_log;
use crate::services::consents::{Work, advance, enqueue};
use crate::services::logins::{self, Acceptance};
use crate::services::{ServiceError, asking, consents as moves, notices, revocation, rivals, status};

/// The last day that a renewal asks for: as long again as the person agreed to the last time, and never less than they
/// have agreed to already.
pub fn renewed_until(consent: &Consent, zone: &TimeZone, now: Timestamp) -> Date {
    let agreed_on = consent.accepted_at.unwrap_or(consent.created_at).to_zoned(zone.clone()).date();
    let length = agreed_on.until(consent.asked_until).unwrap_or_default();
    now.to_zoned(zone.clone()).date().saturating_add(length).max(consent.asked_until)
}

/// Living consents of the same person whose authorisation the bank ends when it authorises this one.
///
/// # Errors
/// The database's, or there is no such registration any more.
pub async fn replaced_by(app: &App, tx: &mut TenantTx, consent: &Consent) -> Result<Vec<Consent>, ServiceError> {
    let Some((_, registration)) = &consent.bank else { return Ok(Vec::new()) };
    if mode(logins::connection(app, registration)?.as_ref()) != Mode::ReplacesOnAuthorise {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let mut ids: Vec<GrantId> =
        grants::of_psu(tx, consent.psu, registration).await?.into_iter().map(|grant| grant.id).collect();
    // Its own may be one that the person authorised for another product.
    ids.extend(consent.grant.filter(|own| !ids.contains(own)));
    for id in ids {
        let standing = consents::standing_on(tx, id).await?;
        let replaced = |other: &Consent| other.id != consent.id && other.psu == consent.psu;
        found.extend(standing.into_iter().filter(|other| replaced(other) && other.machine.may_renew()));
    }
    Ok(found)
}

/// Whether a new consent asks for everything that an older one was given for, so that it takes its place.
pub fn covers(new: &Consent, old: &Consent) -> bool {
    let all = |old: &[String], new: &[String]| old.iter().all(|word| new.contains(word));
    new.product == old.product && all(&old.purposes, &new.purposes) && all(&old.clusters, &new.clusters)
}

/// The clusters that the bank is asked for: the consent's own, and those of consents that will stand on the same grant.
pub(crate) fn clusters(consent: &Consent, beside: &[Consent]) -> Vec<String> {
    let mut all = consent.clusters.clone();
    for cluster in beside.iter().flat_map(|other| &other.clusters) {
        if !all.contains(cluster) {
            all.push(cluster.clone());
        }
    }
    all
}

fn mode(connection: &Connection) -> Mode {
    connection.bank.profile().consent.renewal
}

/// Stores the intent to renew a living consent. Gives the consent as it is to be asked for, and the grant to authorise.
pub(crate) async fn begin(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    before: &Consent,
    acceptance: &Acceptance,
) -> Result<(Consent, Grant, DataKey), ServiceError> {
    let (institution, registration) = before.bank.clone().ok_or(StoreError::NotAllowed)?;
    let connection = logins::connection(app, &registration)?;
    if let Some(open) = renewals::of_consent(tx, before.id).await?.filter(|renewal| renewal.state == State::Begun) {
        abandon(app, tx, world, before, &open, false).await?;
    }
    consent_texts::keep(tx, &acceptance.text, world.now).await?;
    let own = grants::lock(tx, before.grant.ok_or(StoreError::NotAllowed)?).await?;
    let (grant, key) =
        match own.key.as_ref().filter(|_| mode(&connection) == Mode::SameId && own.state.may_be_renewed()) {
            Some(wrapped) => (own.clone(), app.vault.open_key(tx.tenant(), wrapped)?),
            None => {
                let (key, wrapped) = app.vault.new_key(tx.tenant(), world)?;
                let intent = Intent { kind: IntentKind::CreateConsent, id: world.uuid(), at: world.now };
                let fresh =
                    Grant::requested(GrantId::new(world), registration, institution, before.psu, intent, wrapped);
                grants::insert(tx, &fresh).await?;
                (fresh, key)
            }
        };
    let renewal = Renewal {
        consent: before.id,
        grant: grant.id,
        state: State::Begun,
        text_hash: acceptance.text.hash,
        asked_until: renewed_until(before, &connection.zone, world.now),
        accepted_at: world.now,
        authorise_by: world.now.saturating_add(SignedDuration::from_secs(limits::LOGIN_SECONDS)).unwrap_or(world.now),
    };
    renewals::put(tx, &renewal).await?;
    let mut body = json!({
        "text_hash": evidence_log::hex(&acceptance.text.hash),
        "language": acceptance.text.language,
        "asked_until": renewal.asked_until.to_string(),
        "registration": grant.registration.as_str(),
    });
    asking::say_intermediary(app, &grant, &mut body);
    evidence_log::record(app, tx, world, before.id, "consent.renewal_accepted", &body).await?;
    if before.machine.may_fetch(world.now) && own.state.may_fetch() {
        // The last chance to read with the old authorisation, and the person is here.
        app.note_present(before.id, acceptance.psu.clone());
        enqueue(tx, world, Work::Fetch, before.id.uuid(), grant.registration.as_str()).await?;
    }
    let mut beside = replaced_by(app, tx, before).await?;
    beside.extend(rivals::announce(app, tx, world, before, acceptance).await?);
    let asked = Consent { asked_until: renewal.asked_until, clusters: clusters(before, &beside), ..before.clone() };
    Ok((asked, grant, key))
}

/// The renewal that a login belongs to; `None` for the first login of a consent.
pub(crate) async fn of_login(
    tx: &mut TenantTx,
    consent: &Consent,
    grant: GrantId,
) -> Result<Option<Renewal>, ServiceError> {
    let renewal = renewals::of_consent(tx, consent.id).await?;
    Ok(renewal.filter(|renewal| renewal.state == State::Begun && renewal.grant == grant))
}

/// The grant of a renewal that its person has signed, and that waits for the others.
///
/// # Errors
/// The database's.
pub(crate) async fn signing(tx: &mut TenantTx, consent: &Consent) -> Result<Option<Grant>, ServiceError> {
    Ok(under_way(tx, consent).await?.filter(|grant| grant.state == grant::State::Partial))
}

/// The grant of a renewal that has begun, where it is not the consent's own.
///
/// # Errors
/// The database's.
pub(crate) async fn under_way(tx: &mut TenantTx, consent: &Consent) -> Result<Option<Grant>, ServiceError> {
    let open = renewals::of_consent(tx, consent.id).await?.filter(|renewal| renewal.state == State::Begun);
    let Some(renewal) = open.filter(|renewal| consent.grant != Some(renewal.grant)) else { return Ok(None) };
    Ok(Some(grants::get(tx, renewal.grant).await?))
}

/// The first signer has authorised a renewal: the consent stands on its old grant until the others have.
pub(crate) async fn await_signers(
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    renewal: &Renewal,
    until: Timestamp,
) -> Result<(), ServiceError> {
    renewals::put(tx, &Renewal { authorise_by: until, ..renewal.clone() }).await?;
    moves::tell_partly_renewed(tx, world, consent).await
}

/// Puts a consent on its new grant, whose tokens are stored in this transaction, with everybody who shared the old one.
/// `sca_at`: when its person authenticated for it.
pub(crate) async fn complete(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    (renewal, sca_at): (&Renewal, Timestamp),
    granted: &Granted,
) -> Result<(), ServiceError> {
    let (_, registration) = consent.bank.as_ref().ok_or(StoreError::NotAllowed)?;
    let connection = logins::connection(app, registration)?;
    let old = consent.grant.ok_or(StoreError::NotAllowed)?;
    let agreed =
        Consent { asked_until: renewal.asked_until, accepted_at: Some(renewal.accepted_at), ..consent.clone() };
    let clocks = moves::clocks(app, &connection, &agreed, granted, sca_at);
    let renewed = advance(app, tx, world, consent, Event::Reauthenticated(clocks), "psu", |consent| {
        consent.grant = Some(renewal.grant);
        consent.asked_until = renewal.asked_until;
        consent.text_hash = Some(renewal.text_hash);
        consent.accepted_at = Some(renewal.accepted_at);
        consent.confirmed_at = Some(renewal.accepted_at);
        consent.sca_at = Some(sca_at);
    })
    .await?;
    notices::of_new_text(app, tx, world, &renewed).await?;
    renewals::set_state(tx, consent.id, State::Done).await?;
    let body = json!({ "from_grant": old.to_string(), "to_grant": renewal.grant.to_string() });
    evidence_log::record(app, tx, world, consent.id, "consent.renewed", &body).await?;
    if old != renewal.grant {
        for other in consents::standing_on(tx, old).await? {
            move_over(app, tx, world, &other, renewal.grant, granted).await?;
        }
    }
    take_over(app, tx, world, consent, renewal.grant, granted).await?;
    // Last: whom the bank called its person is forgotten with it.
    match mode(&connection) {
        _ if old == renewal.grant => Ok(()),
        Mode::ReplacesOnAuthorise => supersede(app, tx, world, old).await,
        Mode::Overlap | Mode::SameId => revocation::end_grant(app, tx, world, consent.id, old).await,
    }
}

/// What the bank has ended by authorising `grant`: older consents of the same person that the new one covers are
/// superseded by it, the others stand on the new grant from now on.
pub(crate) async fn take_over(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    grant: GrantId,
    granted: &Granted,
) -> Result<(), ServiceError> {
    let first = consent.authorized_at.is_none();
    let mut ended = Vec::new();
    for other in replaced_by(app, tx, consent).await? {
        let Some(old) = other.grant.filter(|old| *old != grant) else { continue };
        if first && covers(consent, &other) {
            let other = consents::lock(tx, other.id).await?;
            advance(app, tx, world, &other, Event::Superseded, "bank", |_| {}).await?;
            moves::tell_renewed(tx, world, consent, other.id).await?;
        } else {
            move_over(app, tx, world, &other, grant, granted).await?;
        }
        ended.push(old);
    }
    // Other products' consents may stand on the same old grants: they are moved before these end.
    rivals::take_over(app, tx, world, consent, grant, granted).await?;
    for old in ended {
        supersede(app, tx, world, old).await?;
    }
    Ok(())
}

/// Another consent of the same person goes on under the new grant: the SCA counts for it too, its text and its term are
/// what they were.
pub(crate) async fn move_over(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    other: &Consent,
    grant: GrantId,
    granted: &Granted,
) -> Result<(), ServiceError> {
    let other = consents::lock(tx, other.id).await?;
    let Some((_, registration)) = other.bank.as_ref().filter(|_| other.machine.may_renew()) else { return Ok(()) };
    let clocks = moves::clocks(app, logins::connection(app, registration)?.as_ref(), &other, granted, world.now);
    advance(app, tx, world, &other, Event::Reauthenticated(clocks), "bank", |other| {
        other.grant = Some(grant);
        other.sca_at = Some(world.now);
    })
    .await?;
    let own = renewals::of_consent(tx, other.id).await?.is_some_and(|renewal| renewal.state == State::Begun);
    if let Some(text_hash) = other.text_hash.filter(|_| !own) {
        // Its person may have chosen fewer accounts this time: the first fetch tells, as after a renewal of its own.
        let moved = Renewal {
            consent: other.id,
            grant,
            state: State::Done,
            text_hash,
            asked_until: other.asked_until,
            accepted_at: world.now,
            authorise_by: world.now,
        };
        renewals::put(tx, &moved).await?;
    }
    Ok(())
}

/// The bank has ended a grant in favour of a newer one; its secrets open nothing any more. Whoever still stands on it could
/// not be moved, as what is restricted or held: they wait for their person.
pub(crate) async fn supersede(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    id: GrantId,
) -> Result<(), ServiceError> {
    for left in status::standing(tx, id).await? {
        rivals::displace(app, tx, world, &left).await?;
    }
    let before = grants::lock(tx, id).await?;
    if let Ok(state) = grant::step(before.state, GrantEvent::Superseded) {
        let after = Grant { state, intent: None, ended_at: Some(world.now), ..before.clone() };
        grants::save(tx, &before, &after).await?;
        grants::forget(tx, id).await?;
    }
    Ok(())
}

/// A login that should have renewed a consent came to nothing. `backed_out`: the person said no, so the bank has
/// authorised nothing and the old authorisation is as it was.
pub(crate) async fn fail(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    grant: GrantId,
    backed_out: bool,
) -> Result<(), ServiceError> {
    match of_login(tx, consent, grant).await? {
        Some(renewal) => abandon(app, tx, world, consent, &renewal, backed_out).await,
        None => Ok(()),
    }
}

/// Ends what an unfinished renewal left at the bank. The consent goes on as far as the old authorisation carries it; the
/// next fetch finds out how far that is.
async fn abandon(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    renewal: &Renewal,
    backed_out: bool,
) -> Result<(), ServiceError> {
    let Some((_, registration)) = &consent.bank else { return Ok(()) };
    if consent.grant != Some(renewal.grant) {
        revocation::end_grant(app, tx, world, consent.id, renewal.grant).await?;
    }
    let may_be_dead = !backed_out && mode(logins::connection(app, registration)?.as_ref()) == Mode::ReplacesOnAuthorise;
    if may_be_dead {
        renewals::set_state(tx, consent.id, State::Broken).await?;
    } else {
        renewals::end(tx, consent.id).await?;
    }
    let body = json!({ "grant": renewal.grant.to_string(), "backed_out": backed_out });
    evidence_log::record(app, tx, world, consent.id, "consent.renewal_abandoned", &body).await?;
    if may_be_dead && consent.machine.may_fetch(world.now) {
        enqueue(tx, world, Work::Fetch, consent.id.uuid(), registration.as_str()).await?;
    }
    Ok(())
}

/// Ends a renewal under way because its consent ends.
pub(crate) async fn stop(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
) -> Result<(), ServiceError> {
    match renewals::of_consent(tx, consent.id).await? {
        Some(renewal) if renewal.state == State::Begun => abandon(app, tx, world, consent, &renewal, true).await,
        Some(_) => Ok(renewals::end(tx, consent.id).await?),
        None => Ok(()),
    }
}

/// Nobody came back from the bank in time. Whether the bank has authorised is not known.
///
/// # Errors
/// The database's.
pub async fn give_up(app: &App, tenant: TenantId, id: ConsentId) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(tenant).await?;
    let consent = consents::lock(&mut tx, id).await?;
    let open = renewals::of_consent(&mut tx, id).await?;
    let late = |renewal: &Renewal| renewal.state == State::Begun && renewal.authorise_by <= world.now;
    if let Some(renewal) = open.filter(late) {
        abandon(app, &mut tx, &world, &consent, &renewal, false).await?;
    }
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(())
}

/// What a renewal means for whoever uses the old authorisation now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    /// There is none: what the bank says counts.
    Nothing,
    /// A login is under way until that moment: the bank may end the old authorisation at any time.
    UnderWay(Timestamp),
    /// Its person has signed, and others have to: the old authorisation lives until the last of them has.
    Signing,
    /// The consent stands on another grant by now.
    Renewed,
    /// A login broke: the end of the old authorisation is that login's doing.
    Broken,
}

impl Meanwhile {
    /// When to try again what the renewal under way, or just completed, explains.
    pub(crate) const fn again(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Renewed => Some(now),
            Self::UnderWay(until) => Some(until),
            Self::Broken | Self::Signing | Self::Nothing => None,
        }
    }
}

/// Looks whether a renewal explains what the bank says about the grant of a fetch.
pub(crate) async fn meanwhile(
    app: &App,
    tenant: TenantId,
    id: ConsentId,
    grant: Option<GrantId>,
) -> Result<Meanwhile, ServiceError> {
    let mut tx = app.store.tenant_tx(tenant).await?;
    let consent = consents::get(&mut tx, id).await?;
    let renewal = renewals::of_consent(&mut tx, id).await?;
    let signing = signing(&mut tx, &consent).await?.is_some();
    tx.commit().await?;
    if consent.grant != grant {
        return Ok(Meanwhile::Renewed);
    }
    if signing {
        return Ok(Meanwhile::Signing);
    }
    Ok(match renewal {
        Some(Renewal { state: State::Begun, authorise_by, .. }) => Meanwhile::UnderWay(authorise_by),
        Some(Renewal { state: State::Broken, .. }) => Meanwhile::Broken,
        Some(Renewal { state: State::Done, .. }) | None => Meanwhile::Nothing,
    })
}

/// The first fetch after a renewal tells what became of the accounts; one after a broken login proves that the old
/// authorisation lives.
pub(crate) async fn report(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
    listed: &[LineId],
) -> Result<(), ServiceError> {
    let Some(renewal) = renewals::of_consent(tx, consent.id).await? else { return Ok(()) };
    match renewal.state {
        State::Begun => return Ok(()),
        State::Broken => return Ok(renewals::end(tx, consent.id).await?),
        State::Done => {}
    }
    let held = lines::granted(tx, consent.id).await?;
    let ids = |pick: &dyn Fn(LineId, Timestamp) -> bool| -> Vec<String> {
        held.iter().filter(|(line, since)| pick(*line, *since)).map(|(line, _)| line.to_string()).collect()
    };
    let kept = ids(&|line, since| listed.contains(&line) && since < renewal.accepted_at);
    let new = ids(&|line, since| listed.contains(&line) && since >= renewal.accepted_at);
    let lost = ids(&|line, _| !listed.contains(&line));
    let changed = !new.is_empty() || !lost.is_empty();
    let continuity = json!({ "accounts_kept": kept, "accounts_new": new, "accounts_lost": lost });
    evidence_log::record(app, tx, world, consent.id, "consent.continuity", &continuity).await?;
    if changed {
        moves::tell_continuity(tx, world, consent, &continuity).await?;
    }
    Ok(renewals::end(tx, consent.id).await?)
}

/// The person confirms to us that sharing goes on (UK): that clock begins anew, and collection with it.
///
/// # Errors
/// The regime has no such clock, or the consent's state does not allow it; or the database's.
pub async fn reconfirm(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    id: ConsentId,
    actor: &str,
) -> Result<Consent, ServiceError> {
    let before = consents::lock(tx, id).await?;
    let (Some(clocks), Some((_, registration))) = (before.machine.clocks, &before.bank) else {
        return Err(StoreError::NotAllowed.into());
    };
    if !before.machine.may_reconfirm() {
        return Err(StoreError::NotAllowed.into());
    }
    let zone = &logins::connection(app, registration)?.zone;
    let clocks = policy::reconfirmed(app.tenant.regime.policy(), clocks, world.now, zone);
    if before.machine.state == status::SUSPENDED {
        // From now on the bank may be asked again whether it still holds it back.
        status::ask_at(tx, world, id, registration.as_str(), world.now).await?;
    }
    advance(app, tx, world, &before, Event::Reconfirmed(clocks), actor, |consent| {
        consent.confirmed_at = Some(world.now);
    })
    .await
}
