//! Tenants: each one regulated TPP.

use domain::ids::TenantId;
use domain::policy::Regime;
use jiff::Timestamp;
use sqlx::{query, query_as};
use uuid::Uuid;

use crate::time::at;
use crate::{StoreError, SystemTx, TenantTx};

/// One regulated TPP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name, as users read it in the consent text.
    pub name: String,
    /// The law that its licence puts consents under.
    pub regime: Regime,
    /// When it was set up.
    pub created_at: Timestamp,
}

struct Row {
    tenant_id: Uuid,
    name: String,
    regime: String,
    created_at: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for Tenant {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let regime = Regime::parse(&row.regime).ok_or(StoreError::Corrupt { table: "tenant", column: "regime" })?;
        let id = TenantId::from_uuid(row.tenant_id);
        Ok(Self { id, name: row.name, regime, created_at: row.created_at.to_jiff() })
    }
}

/// Adds a tenant; [`StoreError::Exists`] for an id that there is.
pub async fn create(tx: &mut SystemTx, tenant: &Tenant) -> Result<(), StoreError> {
    query!(
        "insert into tenant (tenant_id, name, regime, created_at) values ($1, $2, $3, $4)",
        tenant.id.uuid(),
        tenant.name,
        tenant.regime.as_str(),
        at(tenant.created_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Every tenant, oldest first.
pub async fn all(tx: &mut SystemTx) -> Result<Vec<Tenant>, StoreError> {
    let rows = query_as!(Row, "select tenant_id, name, regime, created_at from tenant order by tenant_id")
        .fetch_all(tx.db())
        .await?;
    rows.into_iter().map(Tenant::try_from).collect()
}

/// The tenant of the transaction.
pub async fn get(tx: &mut TenantTx) -> Result<Tenant, StoreError> {
    let id = tx.id();
    query_as!(Row, "select tenant_id, name, regime, created_at from tenant where tenant_id = $1", id)
        .fetch_optional(tx.db())
        .await?
        .ok_or(StoreError::NotFound("tenant"))?
        .try_into()
}
