//! People who work for the operator, each with a key of their own: so that two of them are two.
//!
//! Whoever may run commands on the machine may add people. That somebody was added, and when, is on record before they can
//! confirm anything.

use anyhow::Context as _;
use domain::ids::StaffId;
use evidence::Subject;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use store::staff::{self, Staff};

use super::ServiceError;
use crate::app::App;
use crate::{evidence_log, tokens};

/// Longest name.
const NAME_CHARS_MAX: usize = 80;

/// Adds a member of staff. The key is shown here and never again.
///
/// # Errors
/// The name cannot be read, or the database's.
pub async fn add(app: &App, name: &str) -> Result<(StaffId, SecretString), ServiceError> {
    let name = name.trim();
    let readable = !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX && !name.chars().any(char::is_control);
    if !readable {
        return Err(anyhow::anyhow!("the name must be 1 to {NAME_CHARS_MAX} characters that people can read").into());
    }
    let world = app.world();
    let (key, hash) = tokens::issue(tokens::Kind::Staff, &world);
    let member = Staff { id: StaffId::new(&world), name: name.to_owned(), created_at: world.now, withdrawn_at: None };
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    staff::add(&mut tx, &member, &hash).await?;
    let body = json!({ "staff": member.id.to_string(), "name": member.name });
    evidence_log::record_of(app, &mut tx, &world, Subject::Tenant(app.tenant.id), "staff.added", &body).await?;
    tx.commit().await?;
    Ok((member.id, key))
}

/// Withdraws the key of a member of staff. Repeating it changes nothing.
///
/// # Errors
/// There is no such person, or the database's.
pub async fn withdraw(app: &App, id: StaffId) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    staff::withdraw(&mut tx, id, world.now).await?;
    let body = json!({ "staff": id.to_string() });
    evidence_log::record_of(app, &mut tx, &world, Subject::Tenant(app.tenant.id), "staff.withdrawn", &body).await?;
    tx.commit().await?;
    Ok(())
}

/// Everybody, those who left included.
///
/// # Errors
/// The database's.
pub async fn list(app: &App) -> Result<Vec<Staff>, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let all = staff::all(&mut tx).await?;
    tx.commit().await?;
    Ok(all)
}

/// Who shows this key.
///
/// # Errors
/// It is nobody's, or nobody's any more; or the database's.
pub async fn known(app: &App, key: &SecretString) -> Result<Staff, ServiceError> {
    let nobody = || anyhow::anyhow!("that is the key of nobody who works here");
    let hash = tokens::read(tokens::Kind::Staff, key.expose_secret().trim()).with_context(nobody)?;
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let member = staff::of_key(&mut tx, &hash).await?;
    tx.commit().await?;
    Ok(member.with_context(nobody)?)
}
