//! What looks like an attack or a leak, and from what number on.
//!
//! Numbers count within a window; a subject raises one alert of a kind in each. They are chosen so that a person who
//! mistypes and a product with a stale list raise none.

/// A kind of alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// One address shows keys, tokens or secrets that do not hold, again and again.
    FailedLogins,
    /// One address asks the console for entry and is refused, again and again.
    FailedStaffLogins,
    /// One key asks for things that do not exist, again and again: somebody guesses ids.
    Enumeration,
    /// One address tries links or pages of people that do not exist, again and again.
    GuessedLinks,
    /// One key reads far more rows than it usually does.
    UnusualReads,
    /// One member of staff looks at many people's bank data.
    StaffReads,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::FailedLogins,
        Self::FailedStaffLogins,
        Self::Enumeration,
        Self::GuessedLinks,
        Self::UnusualReads,
        Self::StaffReads,
    ];

    /// The word in the database, on the record and in metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::FailedLogins => "failed_logins",
            Self::FailedStaffLogins => "failed_staff_logins",
            Self::Enumeration => "enumeration",
            Self::GuessedLinks => "guessed_links",
            Self::UnusualReads => "unusual_reads",
            Self::StaffReads => "staff_reads",
        }
    }

    /// Whether its subject is a network address, of which strangers have as many as they like; otherwise it is a key or a member
    /// of staff, of whom there are few.
    pub const fn is_of_addresses(self) -> bool {
        match self {
            Self::FailedLogins | Self::FailedStaffLogins | Self::GuessedLinks => true,
            Self::Enumeration | Self::UnusualReads | Self::StaffReads => false,
        }
    }

    /// Length of the window, in seconds.
    pub const fn window_seconds(self) -> i64 {
        match self {
            Self::FailedLogins | Self::FailedStaffLogins | Self::Enumeration | Self::GuessedLinks => 5 * 60,
            Self::UnusualReads | Self::StaffReads => 60 * 60,
        }
    }

    /// From this number on it is an alert, whatever is usual.
    pub const fn floor(self) -> u64 {
        match self {
            Self::FailedLogins => 20,
            Self::FailedStaffLogins => 10,
            Self::Enumeration | Self::GuessedLinks => 40,
            Self::UnusualReads => 20_000,
            Self::StaffReads => 20,
        }
    }

    /// So many times what is usual it must be besides; 0 where nothing is usual.
    pub const fn times_usual(self) -> u64 {
        match self {
            Self::FailedLogins
            | Self::FailedStaffLogins
            | Self::Enumeration
            | Self::GuessedLinks
            | Self::StaffReads => 0,
            Self::UnusualReads => 10,
        }
    }
}

/// Whether a number of one window is an alert. `usual` is the mean of the windows before; 0 where there was none.
pub const fn is_alert(kind: Kind, number: u64, usual: u64) -> bool {
    number >= kind.floor() && number >= usual.saturating_mul(kind.times_usual())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_an_alert_from_the_floor_on_and_far_above_what_is_usual() {
        for kind in Kind::ALL {
            assert!(!is_alert(kind, kind.floor() - 1, 0), "{kind:?}");
            assert!(is_alert(kind, kind.floor(), 0), "{kind:?}");
        }
        assert!(!is_alert(Kind::UnusualReads, 40_000, 5_000), "a busy product is busy");
        assert!(is_alert(Kind::UnusualReads, 50_000, 5_000));
        assert!(is_alert(Kind::FailedLogins, 20, 1_000), "failures are never usual");
    }
}
