//! Legal holds: data that the law wants kept. One member of staff asks, another confirms, and so it ends.
//!
//! While a hold stands nobody reads the data, nothing erases them and their keys live on. Whoever withdraws is heard: the
//! bank is told at once, and the erasure is noted as blocked and runs in the moment in which the last hold is lifted.

use domain::consent::{DataState, Event as ConsentEvent, State as Ended, step as consent_step};
use domain::hold::{Event, Hold as Machine, Refused, State, step};
use domain::ids::{ConsentId, HoldId, ProductId, PsuId, StaffId, TenantId};
use domain::retention::AtEnd;
use domain::world::World;
use evidence::Statement;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use store::consents::Consent;
use store::holds::{self, Hold};
use store::staff::Staff;
use store::{TenantTx, consents};
use uuid::Uuid;

use super::ServiceError;
use crate::app::App;
use crate::evidence_log;
use crate::services::consents::advance;
use crate::services::erasure;

/// The matter of a hold that a policy of retention has placed.
const POLICY: &str = "retention";
/// Who asked for it: no member of staff.
const NOBODY: StaffId = StaffId::from_uuid(Uuid::nil());
/// Longest reference of a matter.
const MATTER_CHARS_MAX: usize = 120;

/// Whose data are to be held.
#[derive(Debug, Clone)]
pub enum Whom {
    /// Those under one consent.
    Consent(ConsentId),
    /// Those under every consent that a person has given a product until the confirmation, by the product's reference.
    Person(ProductId, String),
}

/// Asks for a hold. It holds nothing until somebody else confirms it.
///
/// # Errors
/// There are no such data, or they are going already; the reference cannot be read; or the database's.
pub async fn ask(app: &App, by: &Staff, whom: &Whom, matter: &str) -> Result<Hold, ServiceError> {
    let matter = matter.trim();
    let readable =
        !matter.is_empty() && matter.chars().count() <= MATTER_CHARS_MAX && !matter.chars().any(char::is_control);
    if !readable {
        return Err(anyhow::anyhow!("name the matter in 1 to {MATTER_CHARS_MAX} characters").into());
    }
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let (person, meant) = of(app, &mut tx, &world, whom).await?;
    let consents = with_data(&mut tx, &world, meant).await?;
    if consents.is_empty() {
        return Err(anyhow::anyhow!("there are no data to hold: none were given, or their erasure has begun").into());
    }
    let hold = Hold {
        id: HoldId::new(&world),
        matter: matter.to_owned(),
        machine: Machine { state: State::Asked, asked_by: by.id },
        asked_at: world.now,
        placed_at: None,
        lifted_at: None,
        ends_at: None,
        person,
        consents,
    };
    holds::put(&mut tx, &hold).await?;
    note(app, &mut tx, &world, &hold, by.id, "hold.asked").await?;
    tx.commit().await?;
    Ok(hold)
}

/// The person, if one is meant, and the consents that are, the newest first.
async fn of(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    whom: &Whom,
) -> Result<(Option<PsuId>, Vec<ConsentId>), ServiceError> {
    match whom {
        Whom::Consent(id) => Ok((None, vec![*id])),
        Whom::Person(product, reference) => {
            let psu = erasure::person(app, tx, world, *product, reference).await?;
            Ok((Some(psu), erasure::all(tx, *product, psu).await?))
        }
    }
}

/// Those of some consents whose data are held, or can be.
async fn with_data(
    tx: &mut TenantTx,
    world: &World<'_>,
    consents: Vec<ConsentId>,
) -> Result<Vec<ConsentId>, ServiceError> {
    let mut found = Vec::new();
    for consent in consents {
        let machine = consents::get(tx, consent).await?.machine;
        let can_be = machine.data.is_held() || consent_step(&machine, ConsentEvent::HoldPlaced, world.now).is_ok();
        found.extend(can_be.then_some(consent));
    }
    Ok(found)
}

/// The consents of a hold at its confirmation: those that it was asked for, and what its person has given since.
async fn by_now(tx: &mut TenantTx, world: &World<'_>, hold: &Hold) -> Result<Vec<ConsentId>, ServiceError> {
    let (Some(psu), Some(first)) = (hold.person, hold.consents.first()) else { return Ok(hold.consents.clone()) };
    let product = consents::get(tx, *first).await?.product;
    let mut all = erasure::all(tx, product, psu).await?;
    all.retain(|consent| !hold.consents.contains(consent));
    let mut all = with_data(tx, world, all).await?;
    all.extend(&hold.consents);
    all.sort_unstable_by(|one, other| other.cmp(one));
    Ok(all)
}

/// Does with a hold what a member of staff wants. With the confirmation of somebody else it begins to hold, or is lifted
/// and every erasure that it alone had blocked runs. `seen` is the state in which they saw it, where they looked before.
///
/// # Errors
/// The state, which may be another than they saw, or the four eyes do not allow it; nothing is left to be held; or the database's.
pub async fn act(app: &App, by: &Staff, id: HoldId, event: Event, seen: Option<State>) -> Result<Hold, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let before = holds::lock(&mut tx, id).await?;
    if seen.is_some_and(|seen| seen != before.machine.state) {
        return Err(Refused::State(before.machine.state).into());
    }
    let machine = step(before.machine, event, by.id)?;
    let mut after = Hold { machine, ..before.clone() };
    let kind = match (machine.state, event) {
        (State::Placed, Event::Confirm) => {
            after.placed_at = Some(world.now);
            after.consents = by_now(&mut tx, &world, &before).await?;
            "hold.placed"
        }
        (State::Lifted, _) => {
            after.lifted_at = Some(world.now);
            "hold.lifted"
        }
        (State::LiftAsked, _) => {
            after.asked_at = world.now;
            "hold.lift_asked"
        }
        (State::Placed | State::TakenBack | State::Asked, _) => "hold.taken_back",
    };
    holds::put(&mut tx, &after).await?;
    match kind {
        "hold.placed" => place(app, &mut tx, &world, &after).await?,
        "hold.lifted" => lift(app, &mut tx, &world, &after, "operator").await?,
        _ => {}
    }
    note(app, &mut tx, &world, &after, by.id, kind).await?;
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(after)
}

/// Places the hold that the policy of its retention wants for a consent that ends, in the transaction that ends it. It ends by
/// itself with the retention, or before that as any other.
///
/// # Errors
/// The database's.
pub(crate) async fn by_policy(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: &Consent,
) -> Result<(), ServiceError> {
    let time = SignedDuration::from_hours(24 * i64::from(consent.retention.days));
    let hold = Hold {
        id: HoldId::new(world),
        matter: POLICY.to_owned(),
        machine: Machine { state: State::Placed, asked_by: NOBODY },
        asked_at: world.now,
        placed_at: Some(world.now),
        lifted_at: None,
        ends_at: Some(world.now.saturating_add(time).unwrap_or(Timestamp::MAX)),
        person: None,
        consents: vec![consent.id],
    };
    holds::put(tx, &hold).await?;
    note(app, tx, world, &hold, NOBODY, "hold.placed").await
}

/// Lifts the holds whose time is over, each in a transaction of its own: one that cannot be lifted keeps no other.
///
/// # Errors
/// The database's.
pub(crate) async fn lift_past(app: &App, tenant: TenantId, limit: u32) -> Result<(), ServiceError> {
    let mut tx = app.store.tenant_tx(tenant).await?;
    let past = holds::past(&mut tx, app.clock.now(), limit).await?;
    tx.commit().await?;
    for id in past {
        if let Err(error) = lift_one(app, tenant, id).await {
            tracing::error!(hold = %id, error = format!("{error:#}"), "a hold whose time is over could not be lifted");
        }
    }
    Ok(())
}

async fn lift_one(app: &App, tenant: TenantId, id: HoldId) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(tenant).await?;
    let before = holds::lock(&mut tx, id).await?;
    if !before.machine.state.holds() {
        return Ok(());
    }
    let machine = Machine { state: State::Lifted, asked_by: NOBODY };
    let after = Hold { machine, lifted_at: Some(world.now), ..before };
    holds::put(&mut tx, &after).await?;
    lift(app, &mut tx, &world, &after, "timer").await?;
    note(app, &mut tx, &world, &after, NOBODY, "hold.lifted").await?;
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(())
}

/// Every hold, the newest first.
///
/// # Errors
/// The database's.
pub async fn list(app: &App) -> Result<Vec<Hold>, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let all = holds::all(&mut tx).await?;
    tx.commit().await?;
    Ok(all)
}

/// Stops reads and keeps erasures from beginning. What is going already is gone: half of an account holds nothing.
async fn place(app: &App, tx: &mut TenantTx, world: &World<'_>, hold: &Hold) -> Result<(), ServiceError> {
    let mut held = 0;
    // The oldest first, as whoever else locks several does.
    for id in hold.consents.iter().rev() {
        let consent = consents::lock(tx, *id).await?;
        if consent.machine.data.is_held() {
            held += 1;
            continue;
        }
        match advance(app, tx, world, &consent, ConsentEvent::HoldPlaced, "operator", |_| {}).await {
            Ok(_) => held += 1,
            Err(ServiceError::Refused(_)) => {
                tracing::warn!(hold = %hold.id, consent = %id, "a legal hold came too late for a consent");
            }
            Err(error) => return Err(error),
        }
    }
    if held == 0 {
        return Err(anyhow::anyhow!("nothing is left to hold: every erasure has begun").into());
    }
    Ok(())
}

/// Gives back what no other hold keeps. A law's duty was all that kept the data of a consent that ended under it: without one
/// they go.
async fn lift(app: &App, tx: &mut TenantTx, world: &World<'_>, hold: &Hold, actor: &str) -> Result<(), ServiceError> {
    // The oldest first, as whoever else locks several does.
    for id in hold.consents.iter().rev() {
        let consent = consents::lock(tx, *id).await?;
        if consent.machine.data.is_held() && holds::holding(tx, *id).await? == 0 {
            let lifted = advance(app, tx, world, &consent, ConsentEvent::HoldLifted, actor, |_| {}).await?;
            let by_law = lifted.retention.at_end == AtEnd::RestrictedHold;
            if by_law && lifted.machine.data == DataState::Present && matches!(lifted.machine.state, Ended::Expired(_))
            {
                advance(app, tx, world, &lifted, ConsentEvent::EraseRequested, actor, |_| {}).await?;
            }
        }
    }
    Ok(())
}

/// Writes a step into the record of every consent that the hold is about. People are named by their id alone: the record
/// goes to the product and to the person.
async fn note(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    hold: &Hold,
    by: StaffId,
    kind: &str,
) -> Result<(), ServiceError> {
    let body = json!({
        "hold": hold.id.to_string(),
        "matter": hold.matter,
        "by": by.to_string(),
        "state": hold.machine.state.word(),
        "asked_by": hold.machine.asked_by.to_string(),
        "asked_at": hold.asked_at.to_string(),
        "placed_at": hold.placed_at.map(|at| at.to_string()),
        "lifted_at": hold.lifted_at.map(|at| at.to_string()),
        "ends_at": hold.ends_at.map(|at| at.to_string()),
        "psu": hold.person.map(|psu| psu.to_string()),
    });
    for consent in &hold.consents {
        evidence_log::record(app, tx, world, *consent, kind, &body).await?;
    }
    Ok(())
}

/// A hold as [`note`] wrote it down, without its consents.
pub(crate) fn read(statement: &Statement) -> Option<Hold> {
    let word = |name: &str| statement.body.get(name).and_then(Value::as_str);
    let at = |name: &str| word(name).and_then(|at| at.parse().ok());
    Some(Hold {
        id: word("hold")?.parse().ok()?,
        matter: word("matter")?.to_owned(),
        machine: Machine { state: State::parse(word("state")?)?, asked_by: word("asked_by")?.parse().ok()? },
        asked_at: at("asked_at")?,
        placed_at: at("placed_at"),
        lifted_at: at("lifted_at"),
        ends_at: at("ends_at"),
        person: word("psu").and_then(|psu| psu.parse().ok()),
        consents: Vec::new(),
    })
}
