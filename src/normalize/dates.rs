//! Dates and instants of banks to calendar days. A day that a bank wrote is never moved; an instant becomes the day that
//! it was where the bank keeps its books.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// Years before which and after which a date is a filler (`0001-01-01`, `1970-01-01`, `2099-12-31`) and not a date.
const FIRST_YEAR: i16 = 1980;
const LAST_YEAR: i16 = 2079;
/// A date without its year lies at most so many days before the booking, and so many after it: what lies further away is
/// another day, or belongs to another year.
const DAYS_BEFORE: i32 = 120;
const DAYS_AFTER: i32 = 5;

/// Why a text is no day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoDay {
    /// It cannot be read.
    Malformed,
    /// It is a filler, decades away.
    Filler,
}

/// The calendar day of a bank's date or instant, and the name of the rule that read it.
pub(crate) fn day(text: &str, zone: &TimeZone, layouts: &[String]) -> Result<(Date, &'static str), NoDay> {
    let (date, rule) = read(text.trim(), zone, layouts).ok_or(NoDay::Malformed)?;
    if (FIRST_YEAR..=LAST_YEAR).contains(&date.year()) { Ok((date, rule)) } else { Err(NoDay::Filler) }
}

fn read(text: &str, zone: &TimeZone, layouts: &[String]) -> Option<(Date, &'static str)> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits(text, zone);
    }
    if text.len() == 10
        && let Ok(date) = text.parse::<Date>()
    {
        return Some((date, "date.day"));
    }
    // An XML day may carry its zone; the day is the one that stands there.
    if let (Some(Ok(date)), Some(zone)) = (text.get(..10).map(str::parse::<Date>), text.get(10..))
        && (zone.eq_ignore_ascii_case("z") || zone.len() == 6 && zone.starts_with(['+', '-']))
    {
        return Some((date, "date.day"));
    }
    if let Some(date) = layouts.iter().find_map(|layout| Date::strptime(layout, text).ok()) {
        return Some((date, "date.layout"));
    }
    if text.len() > 10
        && let Some(found) = date_time(text, zone)
    {
        return Some(found);
    }
    let fixed = [("%Y/%m/%d", "date.year_first"), ("%d.%m.%Y", "date.day_first")];
    fixed.into_iter().find_map(|(layout, rule)| Some((Date::strptime(layout, text).ok()?, rule)))
}

/// `20310605`, seconds or milliseconds since 1970. An instant at the very midnight of UTC is a day that was written so.
fn digits(text: &str, zone: &TimeZone) -> Option<(Date, &'static str)> {
    let instant = match text.len() {
        8 => return Date::strptime("%Y%m%d", text).ok().map(|date| (date, "date.compact")),
        9 | 10 => Timestamp::from_second(text.parse().ok()?).ok()?,
        12 | 13 => Timestamp::from_millisecond(text.parse().ok()?).ok()?,
        _ => return None,
    };
    let is_day = instant.as_second() % (24 * 60 * 60) == 0;
    let zone = if is_day { TimeZone::UTC } else { zone.clone() };
    Some((instant.to_zoned(zone).date(), "date.epoch"))
}

/// A date with a time. Midnight is what a bank writes for "no time": the day then stays as written.
fn date_time(text: &str, zone: &TimeZone) -> Option<(Date, &'static str)> {
    let offset = text.get(11..)?.find(['Z', 'z', '+', '-']).map_or(text.len(), |at| at + 11);
    let local: DateTime = text[..offset].parse().ok()?;
    if local.time() == Time::midnight() {
        return Some((local.date(), "date.day_with_midnight"));
    }
    Some(match text.parse::<Timestamp>() {
        Ok(instant) => (instant.to_zoned(zone.clone()).date(), "date.instant_in_zone"),
        Err(_) => (local.date(), "date.local_time"),
    })
}

/// The day with this month and day of month that is nearest to the booking, within reason.
pub(crate) fn with_year_near(booking: Date, month: i8, day: i8) -> Option<Date> {
    (-1..=1)
        .filter_map(|years| Date::new(booking.year() + years, month, day).ok())
        .filter(|date| {
            let earliest = booking.saturating_sub(DAYS_BEFORE.days());
            let latest = booking.saturating_add(DAYS_AFTER.days());
            (earliest..=latest).contains(date)
        })
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use proptest::prelude::*;

    fn read_in(text: &str, zone: &str) -> Option<String> {
        let layouts = ["%d-%m-%Y".to_owned()];
        day(text, &TimeZone::get(zone).unwrap(), &layouts).ok().map(|(date, _)| date.to_string())
    }

    #[test]
    fn days_stay_and_instants_go_to_the_zone() {
        for (text, zone, expected) in [
            ("2031-06-05", "America/New_York", Some("2031-06-05")),
            ("2031-06-05T00:00:00+00:00", "America/New_York", Some("2031-06-05")),
            ("2031-06-05T00:00:00Z", "Europe/London", Some("2031-06-05")),
            ("2031-06-05T22:30:00Z", "Europe/Berlin", Some("2031-06-06")),
            ("2031-06-05T22:30:00.1234567Z", "Europe/London", Some("2031-06-05")),
            ("2031-06-05T01:00:00+01:00", "Europe/London", Some("2031-06-05")),
            ("2031-06-05T23:30:00.950", "Europe/Amsterdam", Some("2031-06-05")),
            ("2031-06-05 23:30:00", "Asia/Tokyo", Some("2031-06-05")),
            ("2031-06-05T22:30:00+0000", "Europe/Berlin", Some("2031-06-06")),
            ("1938464100", "Europe/Berlin", Some("2031-06-06")),
            ("1938464100000", "UTC", Some("2031-06-05")),
            ("1938384000", "America/New_York", Some("2031-06-05")),
            ("1938384000000", "Asia/Tokyo", Some("2031-06-05")),
            ("2031-06-05Z", "America/New_York", Some("2031-06-05")),
            ("2031-06-05+02:00", "Europe/Berlin", Some("2031-06-05")),
            ("2031/06/05", "UTC", Some("2031-06-05")),
            ("20310605", "UTC", Some("2031-06-05")),
            ("05.06.2031", "UTC", Some("2031-06-05")),
            ("05-06-2031", "UTC", Some("2031-06-05")),
            ("06/05/2031", "UTC", None),
            ("2031-02-30", "UTC", None),
            ("tomorrow", "UTC", None),
            ("", "UTC", None),
        ] {
            assert_eq!(read_in(text, zone).as_deref(), expected, "{text} in {zone}");
        }
    }

    #[test]
    fn fillers_are_no_dates() {
        for text in ["0001-01-01", "1970-01-01", "2099-12-31", "9999-12-31"] {
            assert_eq!(day(text, &TimeZone::UTC, &[]), Err(NoDay::Filler), "{text}");
        }
    }

    #[test]
    fn a_year_is_found_near_the_booking() {
        for (booking, month, of_month, expected) in [
            (date(2031, 1, 2), 12, 30, Some(date(2030, 12, 30))),
            (date(2030, 12, 30), 1, 2, Some(date(2031, 1, 2))),
            (date(2031, 6, 7), 6, 5, Some(date(2031, 6, 5))),
            (date(2031, 6, 7), 6, 20, None),
            (date(2031, 6, 7), 3, 1, Some(date(2031, 3, 1))),
            (date(2031, 6, 7), 1, 5, None),
            (date(2031, 3, 1), 2, 29, None),
            (date(2031, 3, 1), 13, 1, None),
        ] {
            assert_eq!(with_year_near(booking, month, of_month), expected, "{booking} {month}-{of_month}");
        }
    }

    proptest! {
        #[test]
        fn a_written_day_is_that_day_in_every_zone(days in 4000_i32..40_000, east in any::<bool>()) {
            let written = date(1970, 1, 1) + days.days();
            let zone = TimeZone::get(if east { "Pacific/Auckland" } else { "Pacific/Honolulu" }).unwrap();
            prop_assert_eq!(day(&written.to_string(), &zone, &[]).map(|(date, _)| date), Ok(written));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = day(&text, &TimeZone::UTC, &["%d/%m/%Y".to_owned()]);
        }
    }
}
