//! Registrations: who we are at which bank. The secrets of a registration are files, not rows.

use domain::ids::{InstitutionId, RegistrationId, TenantId};
use jiff::Timestamp;
use sqlx::query;

use crate::time::at;
use crate::{StoreError, SystemTx, TenantTx};

/// How sure we are that a registration works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// From documentation alone.
    Docs,
    /// Proven against the bank's sandbox.
    Sandbox,
    /// Live.
    Production,
}

impl Level {
    const ALL: [Self; 3] = [Self::Docs, Self::Sandbox, Self::Production];

    /// The word in the database and in profiles.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Docs => "docs",
            Self::Sandbox => "sandbox",
            Self::Production => "production",
        }
    }

    /// The level of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.word() == word)
    }
}

/// A registration as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its name.
    pub id: RegistrationId,
    /// Whose.
    pub tenant: TenantId,
    /// At which bank.
    pub institution: InstitutionId,
    /// In which of the bank's environments.
    pub environment: String,
    /// How sure we are.
    pub level: Level,
    /// Whether the bank is offered to users.
    pub enabled: bool,
    /// When this was last written.
    pub updated_at: Timestamp,
}

/// Writes a registration, as configuration says it is.
pub async fn put(tx: &mut SystemTx, registration: &Registration) -> Result<(), StoreError> {
    query!(
        "insert into registration (registration_id, tenant_id, institution_id, environment, level, enabled, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (registration_id) do update set institution_id = excluded.institution_id,
            environment = excluded.environment, level = excluded.level, enabled = excluded.enabled,
            updated_at = excluded.updated_at
            where registration.tenant_id = excluded.tenant_id",
        registration.id.as_str(),
        registration.tenant.uuid(),
        registration.institution.as_str(),
        registration.environment,
        registration.level.word(),
        registration.enabled,
        at(registration.updated_at)
    )
    .execute(tx.db())
    .await
    .map_err(StoreError::from)
    .and_then(|done| match done.rows_affected() {
        // The name is another tenant's.
        0 => Err(StoreError::Exists { constraint: "registration_pkey".to_owned() }),
        _ => Ok(()),
    })
}

/// The registrations of the tenant, by bank.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<Registration>, StoreError> {
    let rows = query!(
        "select registration_id, institution_id, environment, level, enabled, updated_at from registration
         where tenant_id = $1 order by institution_id, registration_id",
        tx.id()
    )
    .fetch_all(tx.db())
    .await?;
    let tenant = tx.tenant();
    let corrupt = |column| StoreError::Corrupt { table: "registration", column };
    rows.into_iter()
        .map(|row| {
            Ok(Registration {
                id: RegistrationId::new(&row.registration_id).ok_or(corrupt("registration_id"))?,
                tenant,
                institution: InstitutionId::new(&row.institution_id).ok_or(corrupt("institution_id"))?,
                environment: row.environment,
                level: Level::parse(&row.level).ok_or(corrupt("level"))?,
                enabled: row.enabled,
                updated_at: row.updated_at.to_jiff(),
            })
        })
        .collect()
}
