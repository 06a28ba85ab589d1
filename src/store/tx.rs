//! Transactions that know whom they act for.

use domain::ids::TenantId;
use sqlx::postgres::PgConnection;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use crate::StoreError;

/// A transaction of one tenant. Every function on a tenant table takes one, and with it the tenant.
#[derive(Debug)]
pub struct TenantTx {
    inner: Transaction<'static, Postgres>,
    tenant: TenantId,
}

impl TenantTx {
    pub(crate) fn new(inner: Transaction<'static, Postgres>, tenant: TenantId) -> Self {
        Self { inner, tenant }
    }

    /// Whose rows it sees.
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Makes everything in it last.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.inner.commit().await?)
    }

    /// Undoes everything in it. Dropping does the same, a moment later.
    pub async fn rollback(self) -> Result<(), StoreError> {
        Ok(self.inner.rollback().await?)
    }

    /// The tenant as the first parameter of a statement.
    pub(crate) const fn id(&self) -> Uuid {
        self.tenant.uuid()
    }

    pub(crate) fn db(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

/// A transaction across tenants, without any right on bank data.
#[derive(Debug)]
pub struct SystemTx {
    inner: Transaction<'static, Postgres>,
}

impl SystemTx {
    pub(crate) fn new(inner: Transaction<'static, Postgres>) -> Self {
        Self { inner }
    }

    /// Makes everything in it last.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.inner.commit().await?)
    }

    pub(crate) fn db(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}
