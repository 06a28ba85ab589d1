//! Instants and dates on the wire: years of four digits, from 1 on, so that every language reads the same ones.
//!
//! `jiff` also knows years before, with a sign and six digits; nothing here ever happened then.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

fn in_range<E: de::Error>(date: Date) -> Result<Date, E> {
    if date.year() >= 1 { Ok(date) } else { Err(E::custom("a year before 1")) }
}

/// Serde of an instant.
pub(crate) mod instant {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(instant: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        instant.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let instant = Timestamp::deserialize(deserializer)?;
        in_range(instant.to_zoned(jiff::tz::TimeZone::UTC).date())?;
        Ok(instant)
    }
}

/// Serde of an instant that may be absent, and is never `null`.
pub(crate) mod maybe_instant {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(instant: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        instant.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        instant::deserialize(deserializer).map(Some)
    }
}

/// Serde of a date or `null`.
pub(crate) mod day {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(day: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
        day.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
        Option::<Date>::deserialize(deserializer)?.map(in_range).transpose()
    }
}
