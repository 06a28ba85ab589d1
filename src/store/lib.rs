//! All SQL of Tributary: one file per aggregate, every query checked against the schema when it is compiled.
//!
//! A caller opens a transaction for one tenant ([`Store::tenant_tx`]), calls the functions of the aggregates with it and
//! commits; nothing here commits by itself. Tenants are fenced twice: every statement on a tenant table carries the
//! tenant of its transaction, and row-level security under a role that owns nothing refuses the rest. What must cross
//! tenants (whose token is this, which work is due) runs in [`Store::system_tx`] under a role that has no right on any
//! table with bank data.
//!
//! Bank data are written through a [`lines::LineWriter`] alone, which holds the consent against a revocation until the
//! transaction ends, and they are read by statements that look at the consent's state in the same snapshot.
//!
//! This crate must never know HTTP, a bank or a rule of business: states come in as values of `domain`, moments and ids
//! as arguments. It never puts the content of a row into an error or a log line.

pub mod alerts;
pub mod aligned;
pub mod api_keys;
pub mod backup;
pub mod balances;
pub mod bank_health;
pub mod bank_limits;
pub mod bank_shapes;
mod bench;
pub mod browsers;
pub mod budgets;
pub mod capsules;
pub mod compliance;
pub mod consent_texts;
pub mod consents;
pub mod cosignatures;
pub mod credentials;
pub mod data_map;
pub mod deletions;
pub mod deliveries;
pub mod desk;
mod error;
pub mod events;
pub mod evidence_log;
pub mod fetches;
pub mod grants;
pub mod holds;
pub mod idempotency;
pub mod jobs;
pub mod keys;
pub mod lines;
pub mod links;
pub mod logins;
pub mod notices;
pub mod origins;
pub mod overview;
pub mod page_sessions;
pub mod private;
pub mod products;
pub mod psus;
pub mod raw_pages;
pub mod reconciliations;
pub mod registrations;
pub mod renewals;
pub mod replay;
pub mod requisitions;
pub mod sealed;
pub mod staff;
pub mod staff_sessions;
pub mod tenants;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod themes;
mod time;
pub mod timestamps;
pub mod transactions;
mod tx;
pub mod webhooks;

use std::sync::LazyLock;
use std::time::Duration;

use domain::ids::TenantId;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor};

pub use error::StoreError;
pub use tx::{SystemTx, TenantTx};

/// Every migration, in order; embedded, so that the binary needs no files.
///
/// What a newer version has applied is none of ours and no reason to refuse: nodes of both run beside each other during an
/// upgrade, and one of the older that is started again meanwhile must come up.
static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!("../../migrations");
    migrations.set_ignore_missing(true);
    migrations
});

/// How many connections, and how long they may wait and work.
#[derive(Debug, Clone, Copy)]
pub struct StoreConfig {
    /// Most connections of this process.
    pub connections: u32,
    /// Longest wait for a free connection; then [`StoreError::Unavailable`].
    pub acquire: Duration,
    /// Longest time of one statement.
    pub statement: Duration,
    /// Longest wait for a row lock.
    pub lock: Duration,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            connections: 24,
            acquire: Duration::from_secs(5),
            statement: Duration::from_secs(30),
            lock: Duration::from_secs(10),
        }
    }
}

/// What [`Store::condition`] sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The server's version, as it says it.
    pub version: String,
    /// The server's clock.
    pub now: jiff::Timestamp,
    /// Whether our role may act as those of the schema, as far as they exist.
    pub may_act: bool,
    /// Migrations of this build that the database has not seen.
    pub missing: usize,
    /// Migrations of the database that this build has not seen: a newer build has been here.
    pub unknown: usize,
}

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
}

impl Store {
    /// Connects to the database of a URL (`postgres://…`).
    pub async fn connect(url: &str, config: StoreConfig) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url.parse().map_err(|_| StoreError::Url)?;
        Self::open(options, config).await
    }

    /// Connects with options, such as those of [`private::Private::connect_options`]. The role must own the schema, or
    /// be allowed to make it, and must be a member of `tributary_app` and `tributary_system`; it may not act as itself
    /// on a tenant's rows.
    pub async fn open(options: PgConnectOptions, config: StoreConfig) -> Result<Self, StoreError> {
        let millis = |time: Duration| time.as_millis().to_string();
        let options = options.application_name("tributary").options([
            ("statement_timeout", millis(config.statement)),
            ("lock_timeout", millis(config.lock)),
            ("idle_in_transaction_session_timeout", millis(config.statement)),
            ("timezone", "UTC".to_owned()),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(config.connections)
            .acquire_timeout(config.acquire)
            .connect_with(options)
            .await?;
        Ok(Self { pool })
    }

    /// Brings the schema up to this build's version. Several nodes may call it at the same time.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?.detach();
        connection.execute("set statement_timeout = 0; set lock_timeout = 0").await?;
        MIGRATIONS.run(&mut connection).await.map_err(StoreError::from_migration)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.pool.execute("select 1").await?;
        Ok(())
    }

    /// What a look at the server shows, without changing anything; for those who look before they serve.
    pub async fn condition(&self) -> Result<Condition, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let (version, now): (String, jiff_sqlx::Timestamp) =
            sqlx::query_as("select current_setting('server_version'), clock_timestamp()")
                .fetch_one(&mut *connection)
                .await?;
        let (may_act,): (bool,) = sqlx::query_as(
            "select coalesce(bool_and(pg_has_role(oid, 'member')), true) from pg_roles
             where rolname in ('tributary_app', 'tributary_system')",
        )
        .fetch_one(&mut *connection)
        .await?;
        let (known,): (bool,) =
            sqlx::query_as("select to_regclass('_sqlx_migrations') is not null").fetch_one(&mut *connection).await?;
        let applied: Vec<(i64,)> = if known {
            sqlx::query_as("select version from _sqlx_migrations where success").fetch_all(&mut *connection).await?
        } else {
            Vec::new()
        };
        let ours: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
        let there = |version: &i64| applied.iter().any(|(applied,)| applied == version);
        Ok(Condition {
            version,
            now: now.to_jiff(),
            may_act,
            missing: ours.iter().filter(|version| !there(version)).count(),
            unknown: applied.iter().filter(|(applied,)| !ours.contains(applied)).count(),
        })
    }

    /// A transaction that sees one tenant and acts as `tributary_app`. Dropping it rolls back.
    pub async fn tenant_tx(&self, tenant: TenantId) -> Result<TenantTx, StoreError> {
        // One round trip. The tenant is a UUID and prints as hexadecimal digits and hyphens: nothing to escape.
        let begin = format!("begin; set local role tributary_app; set local tributary.tenant = '{}'", tenant.uuid());
        Ok(TenantTx::new(self.pool.begin_with(AssertSqlSafe(begin)).await?, tenant))
    }

    /// A transaction across tenants that acts as `tributary_system`: no right on bank data. Dropping it rolls back.
    pub async fn system_tx(&self) -> Result<SystemTx, StoreError> {
        Ok(SystemTx::new(self.pool.begin_with("begin; set local role tributary_system").await?))
    }

    /// Closes every connection, after the transactions that are under way.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
