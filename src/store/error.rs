//! What can go wrong with the database, by what the caller can do about it.

use sqlx::migrate::MigrateError;

/// A failure of the store. It never carries the content of a row: of a database's error only its code and the name of
/// the constraint survive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is shutting down or is too busy. Try again.
    #[error("the database is not available: {what}")]
    Unavailable {
        /// What failed, in general words.
        what: &'static str,
    },
    /// Somebody else was faster: a sequence number or a lease is not what it was, or the database broke a tie. Load
    /// again and decide again.
    #[error("the row has changed since it was read")]
    Raced,
    /// There is no such row for this tenant.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// There is one already.
    #[error("the row exists already ({constraint})")]
    Exists {
        /// The constraint that says so.
        constraint: String,
    },
    /// The consent, or its hold on this account, does not allow it now. Nothing was written or read.
    #[error("the consent does not allow this now")]
    NotAllowed,
    /// A stored value does not mean anything to this build, or does not open under its key. Nobody mends that by trying
    /// again.
    #[error("a stored value cannot be read: {table}.{column}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// The URL of the database is not one.
    #[error("the database URL cannot be read; it should look like postgres://user@host/database")]
    Url,
    /// A migration could not be applied.
    #[error("the schema cannot be brought up to date: {0}")]
    Migration(String),
    /// Anything else that the database refuses: a defect of ours.
    #[error("the database refuses a statement (SQLSTATE {code}, {constraint})")]
    Refused {
        /// SQLSTATE.
        code: String,
        /// The constraint, or `-`.
        constraint: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed in a moment.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Raced)
    }

    pub(crate) fn from_migration(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(inner) => Self::from(inner),
            MigrateError::ExecuteMigration(inner, version) => {
                Self::Migration(format!("migration {version}: {}", Self::from(inner)))
            }
            other => Self::Migration(other.to_string()),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind;
        match error {
            sqlx::Error::Database(refusal) => {
                let code = refusal.code().map_or_else(|| "?".to_owned(), |code| code.into_owned());
                let constraint = refusal.constraint().unwrap_or("-").to_owned();
                match (refusal.kind(), code.get(..2), code.as_str()) {
                    (ErrorKind::UniqueViolation, ..) => Self::Exists { constraint },
                    // Serialisation failure and deadlock.
                    (_, _, "40001" | "40P01") => Self::Raced,
                    (_, _, "55P03") => Self::Unavailable { what: "a row stays locked" },
                    (_, _, "57014") => Self::Unavailable { what: "a statement took too long" },
                    // Connection exceptions, lack of resources, operator intervention.
                    (_, Some("08" | "53" | "57" | "58"), _) => Self::Unavailable { what: "the server refuses to work" },
                    _ => Self::Refused { code, constraint },
                }
            }
            sqlx::Error::PoolTimedOut => Self::Unavailable { what: "no connection is free" },
            sqlx::Error::PoolClosed => Self::Unavailable { what: "we are shutting down" },
            sqlx::Error::RowNotFound => Self::NotFound("row"),
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::BeginFailed | sqlx::Error::WorkerCrashed => {
                Self::Unavailable { what: "the connection failed" }
            }
            _ => Self::Refused { code: "client".to_owned(), constraint: "-".to_owned() },
        }
    }
}
