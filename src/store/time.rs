//! Between jiff's types and the wrappers that speak to PostgreSQL.
//!
//! PostgreSQL counts microseconds: an instant with nanoseconds comes back without its last three digits.

use jiff_sqlx::ToSqlx;

pub(crate) fn at(instant: jiff::Timestamp) -> jiff_sqlx::Timestamp {
    instant.to_sqlx()
}

pub(crate) fn maybe_at(instant: Option<jiff::Timestamp>) -> Option<jiff_sqlx::Timestamp> {
    instant.map(ToSqlx::to_sqlx)
}

pub(crate) fn day(date: jiff::civil::Date) -> jiff_sqlx::Date {
    date.to_sqlx()
}

pub(crate) fn maybe_day(date: Option<jiff::civil::Date>) -> Option<jiff_sqlx::Date> {
    date.map(ToSqlx::to_sqlx)
}

/// Reads an optional instant.
pub(crate) fn read(instant: Option<jiff_sqlx::Timestamp>) -> Option<jiff::Timestamp> {
    instant.map(jiff_sqlx::Timestamp::to_jiff)
}

/// Reads an optional day.
pub(crate) fn read_day(date: Option<jiff_sqlx::Date>) -> Option<jiff::civil::Date> {
    date.map(jiff_sqlx::Date::to_jiff)
}
