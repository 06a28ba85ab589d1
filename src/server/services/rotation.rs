//! Keys and certificates of registrations change while we run: on time, because an operator asks, or because a file brings
//! a new one. Any node may do it; what is in force is a row that all of them follow.
//!
//! A signing key is published before it signs and after it has signed. A certificate is tried with a call of its own
//! before any other call moves; if the bank does not take it, everything stays as it was.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};

use anyhow::Context as _;
use domain::ids::RegistrationId;
use domain::rotation::{self, Credential, Due, Event, Schedule, State, Use};
use evidence::Subject;
use fapi::Refusal;
use fapi::call::Call;
use fapi::profile::Alg;
use jiff::SignedDuration;
use secrecy::ExposeSecret as _;
use serde_json::json;
use store::credentials::{self, Kept};
use store::{StoreError, TenantTx};
use vault::TokenKey;

use crate::app::App;
use crate::bank_calls::CallError;
use crate::connections::{self, Connection};
use crate::evidence_log;
use crate::fault;
use crate::services::ServiceError;

/// One look at every registration: what is new is taken in, what is due is done, and connections follow.
///
/// # Errors
/// The database's; trouble with one registration never stops the others.
pub async fn look(app: &App) -> Result<(), ServiceError> {
    let mut rows = load(app).await?;
    let mut moved = false;
    for connection in app.connections.all() {
        moved |= take_in(app, &connection, &rows).await?;
    }
    if moved {
        rows = load(app).await?;
    }
    for connection in app.connections.all() {
        for usage in Use::ALL {
            match proceed(app, &connection, usage, &rows).await {
                Ok(did) => moved |= did,
                // Another node was faster.
                Err(ServiceError::Store(StoreError::Raced)) => moved = true,
                Err(error) => {
                    let registration = connection.id.as_str();
                    tracing::error!(registration, error = format!("{error:#}"), "a {} credential stays", usage.word());
                }
            }
        }
    }
    if moved {
        rows = load(app).await?;
    }
    app.connections.adopt(&app.directory, &rows);
    Ok(())
}

async fn load(app: &App) -> Result<Vec<Kept>, StoreError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let rows = credentials::all(&mut tx).await?;
    tx.commit().await?;
    Ok(rows)
}

/// Puts what a registration's file holds on record: the first of each use is in force, every other one is next. Gives
/// whether anything was new.
async fn take_in(app: &App, connection: &Connection, rows: &[Kept]) -> Result<bool, ServiceError> {
    let registration = &connection.registration;
    let keys = registration.signing.iter().chain(&registration.signing_next).map(|key| key.kid.clone());
    let keys = keys.map(|kid| (Use::Signing, kid));
    let certificates = connection.certificates.iter().map(|certificate| (Use::Transport, certificate.clone()));
    let known = |usage, name: &str| of(rows, &connection.id, usage).iter().any(|kept| kept.credential.name == name);
    let fresh: Vec<_> = keys.chain(certificates).filter(|(usage, name)| !known(*usage, name)).collect();
    if fresh.is_empty() {
        return Ok(false);
    }
    let now = app.world().now;
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    for (usage, name) in fresh {
        let as_state = |state| Kept {
            registration: connection.id.clone(),
            usage,
            credential: Credential { name: name.clone(), state, since: now },
        };
        let first = as_state(State::Current);
        if !credentials::add(&mut tx, &first).await? && credentials::add(&mut tx, &as_state(State::Next)).await? {
            note(app, &mut tx, &as_state(State::Next), None, None).await?;
        }
    }
    tx.commit().await?;
    Ok(true)
}

/// Does what is due for one use of a registration. Gives whether anything changed.
async fn proceed(app: &App, connection: &Connection, usage: Use, rows: &[Kept]) -> Result<bool, ServiceError> {
    let own = of(rows, &connection.id, usage);
    let all: Vec<Credential> = own.iter().map(|kept| kept.credential.clone()).collect();
    let find = |name: &str| own.iter().find(|kept| kept.credential.name == name).copied();
    match rotation::due(&all, schedule(app, connection, usage), app.world().now) {
        None => return Ok(false),
        Some(Due::Make) => make(app, connection).await?,
        Some(Due::Withdraw(name)) => {
            let Some(old) = find(&name) else { return Ok(false) };
            advance(app, &[(old, Event::Lapsed)], None).await?;
        }
        Some(Due::Promote(name)) => {
            let Some(next) = find(&name) else { return Ok(false) };
            let current = own.iter().find(|kept| kept.credential.state == State::Current);
            let mut steps: Vec<_> = current.map(|current| (*current, Event::Replaced)).into_iter().collect();
            steps.push((next, Event::Promoted));
            let tried = if usage == Use::Transport { try_out(app, connection, &name).await? } else { Tried::Passed };
            match tried {
                Tried::Passed => advance(app, &steps, None).await?,
                Tried::Failed(code) => advance(app, &[(next, Event::Rejected)], Some(code)).await?,
                Tried::NotHere => return Ok(false),
            }
        }
    }
    Ok(true)
}

fn of<'a>(rows: &'a [Kept], id: &RegistrationId, usage: Use) -> Vec<&'a Kept> {
    rows.iter().filter(|kept| kept.registration == *id && kept.usage == usage).collect()
}

fn schedule(app: &App, connection: &Connection, usage: Use) -> Schedule {
    let seconds = SignedDuration::from_secs;
    let keys = &app.config.rotation;
    match usage {
        Use::Signing => Schedule {
            life: connection.registration.signing_days.map(|days| SignedDuration::from_hours(24 * i64::from(days))),
            announce: seconds(keys.announce_seconds),
            overlap: seconds(keys.overlap_seconds),
        },
        // A certificate comes from an authority, never by itself; nobody but the bank has to hear of it before.
        Use::Transport => {
            Schedule { life: None, announce: SignedDuration::ZERO, overlap: seconds(keys.certificate_overlap_seconds) }
        }
    }
}

/// Moves credentials, all in one transaction, with a line of evidence for each.
async fn advance(app: &App, steps: &[(&Kept, Event)], reason: Option<&str>) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    for (kept, event) in steps {
        let state = rotation::step(kept.credential.state, *event).context("a credential cannot move")?;
        credentials::set(&mut tx, kept, state, world.now, reason).await?;
        let mut after = (*kept).clone();
        after.credential.state = state;
        note(app, &mut tx, &after, Some(kept.credential.state), reason).await?;
        tracing::info!(
            registration = kept.registration.as_str(),
            credential = kept.credential.name,
            state = state.word(),
            "a {} credential moved",
            kept.usage.word()
        );
    }
    fault::point("rotation.before_commit");
    tx.commit().await?;
    Ok(())
}

async fn note(
    app: &App,
    tx: &mut TenantTx,
    after: &Kept,
    before: Option<State>,
    reason: Option<&str>,
) -> Result<(), ServiceError> {
    let body = json!({
        "registration": after.registration.as_str(),
        "use": after.usage.word(),
        "name": after.credential.name,
        "from": before.map(State::word),
        "to": after.credential.state.word(),
        "reason": reason,
    });
    let subject = Subject::Tenant(tx.tenant());
    evidence_log::record_of(app, tx, &app.world(), subject, "credential.moved", &body).await
}

/// Makes the next signing key beside the registration's file. It is on disk before it is on record, so that a key on
/// record is never missing; one that a node left behind when it died is never used.
async fn make(app: &App, connection: &Connection) -> Result<(), ServiceError> {
    let first = connection.registration.signing.as_ref().context("[signing] is needed")?;
    if TokenKey::is_named_by(first.key.expose_secret()) {
        return Err(anyhow::anyhow!("a key in a token is made there: name the new one under [signing.next]").into());
    }
    let alg = Alg::named(&first.alg).context("signing.alg is not known")?;
    let world = app.world();
    let kid = world.uuid().simple().to_string();
    let key = fapi::keys::generate(alg).context("a key could not be made")?;
    let folder = connections::key_folder(&app.config.banks.registrations_dir, &connection.id);
    let written = || -> std::io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let path = folder.join(format!("{kid}.pem"));
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(key.expose_secret().as_bytes())?;
        file.sync_all()
    };
    written().with_context(|| format!("{} cannot be written", folder.display()))?;
    let credential = Credential { name: kid, state: State::Next, since: world.now };
    let next = Kept { registration: connection.id.clone(), usage: Use::Signing, credential };
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    credentials::add(&mut tx, &next).await?;
    note(app, &mut tx, &next, None, None).await?;
    tx.commit().await?;
    Ok(())
}

/// What a trial of a certificate showed.
enum Tried {
    Passed,
    /// The stable code of what went wrong.
    Failed(&'static str),
    /// This node has not got the certificate; another one tries it.
    NotHere,
}

/// The bank's metadata and, where the bank gives us tokens of our own, one of these, over connections that show the new
/// certificate. Nothing else moves to it before.
async fn try_out(app: &App, connection: &Connection, certificate: &str) -> Result<Tried, ServiceError> {
    let Some(trial) = app.connections.trial(&app.directory, connection, certificate)? else {
        return Ok(Tried::NotHere);
    };
    Ok(match call_once(app, &trial).await {
        Ok(()) => Tried::Passed,
        Err(error) => {
            let registration = connection.id.as_str();
            tracing::error!(registration, code = error.code(), "the next certificate did not pass its trial");
            Tried::Failed(error.code())
        }
    })
}

async fn call_once(app: &App, trial: &Connection) -> Result<(), CallError> {
    // Without an authorisation server there is nobody to try a certificate on but the bank's customers.
    let Some(found) = trial.discovery() else { return Ok(()) };
    let metadata = send(app, trial, found?).await?;
    if let Some(scope) = &trial.bank.profile().security.client_scope {
        let call = trial.oauth.client_credentials(&metadata, scope, &app.world())?;
        send(app, trial, call).await?;
    }
    Ok(())
}

async fn send<T>(app: &App, trial: &Connection, mut call: Call<T, Refusal>) -> Result<T, CallError> {
    let mut answer = trial.auth.send(call.request.clone()).await?;
    if let Some(again) = call.challenged(&answer, &app.world()) {
        answer = trial.auth.send(again?).await?;
    }
    Ok(call.read(answer, app.clock.now())?)
}

/// An operator asks for the next signing key now: it is made and published, and signs when banks have had time to see it.
/// A key that is waiting already is the next one.
///
/// # Errors
/// There is no such registration on this node, or the key cannot be written.
pub async fn rotate(app: &App, id: &RegistrationId) -> Result<(), ServiceError> {
    let connection = super::logins::connection(app, id)?;
    take_in(app, &connection, &load(app).await?).await?;
    let rows = load(app).await?;
    if of(&rows, id, Use::Signing).iter().all(|kept| kept.credential.state != State::Next) {
        make(app, &connection).await?;
    }
    look(app).await
}

/// An operator wants the credential before the current one back: the current one is rejected. Tokens that are bound to the
/// certificate that goes are renewed before their next use.
///
/// # Errors
/// Nothing is there to go back to.
pub async fn restore(app: &App, id: &RegistrationId, usage: Use) -> Result<(), ServiceError> {
    let rows = load(app).await?;
    let own = of(&rows, id, usage);
    let in_state = |state| own.iter().rfind(|kept| kept.credential.state == state).copied();
    let current = in_state(State::Current).context("no credential is in force")?;
    let before = in_state(State::Retired).context("there is no credential to go back to")?;
    advance(app, &[(current, Event::Rejected), (before, Event::Restored)], Some("restored")).await?;
    look(app).await
}
