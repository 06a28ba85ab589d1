//! Where the signing keys and certificates of registrations stand. What they are made of is not here.

use domain::ids::RegistrationId;
use domain::rotation::{Credential, State, Use};
use jiff::Timestamp;
use sqlx::query;

use crate::time::at;
use crate::{StoreError, TenantTx};

/// A credential with what it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Of which registration.
    pub registration: RegistrationId,
    /// For what.
    pub usage: Use,
    /// Name, state, since when.
    pub credential: Credential,
}

/// Every credential of the tenant, withdrawn ones included, in the order in which they came to where they stand.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<Kept>, StoreError> {
    let rows = query!(
        "select registration_id, use, name, state, since from credential
         where tenant_id = $1 order by registration_id, use, since, name",
        tx.id()
    )
    .fetch_all(tx.db())
    .await?;
    let corrupt = |column| StoreError::Corrupt { table: "credential", column };
    rows.into_iter()
        .map(|row| {
            let credential = Credential {
                name: row.name,
                state: State::parse(&row.state).ok_or(corrupt("state"))?,
                since: row.since.to_jiff(),
            };
            Ok(Kept {
                registration: RegistrationId::new(&row.registration_id).ok_or(corrupt("registration_id"))?,
                usage: Use::parse(&row.r#use).ok_or(corrupt("use"))?,
                credential,
            })
        })
        .collect()
}

/// Adds a credential; gives whether it was new. One of a name that is known, even a withdrawn one, stays as it is, and
/// so does a registration that has a current one where another is to be current.
pub async fn add(tx: &mut TenantTx, kept: &Kept) -> Result<bool, StoreError> {
    let done = query!(
        "insert into credential (tenant_id, registration_id, use, name, state, since) values ($1, $2, $3, $4, $5, $6)
         on conflict do nothing",
        tx.id(),
        kept.registration.as_str(),
        kept.usage.word(),
        kept.credential.name,
        kept.credential.state.word(),
        at(kept.credential.since)
    )
    .execute(tx.db())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Moves a credential from the state in which it was seen; [`StoreError::Raced`] where another node was faster.
pub async fn set(
    tx: &mut TenantTx,
    kept: &Kept,
    state: State,
    now: Timestamp,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let done = query!(
        "update credential set state = $6, since = $7, reason = $8
         where tenant_id = $1 and registration_id = $2 and use = $3 and name = $4 and state = $5",
        tx.id(),
        kept.registration.as_str(),
        kept.usage.word(),
        kept.credential.name,
        kept.credential.state.word(),
        state.word(),
        at(now),
        reason
    )
    .execute(tx.db())
    .await?;
    if done.rows_affected() == 0 { Err(StoreError::Raced) } else { Ok(()) }
}
