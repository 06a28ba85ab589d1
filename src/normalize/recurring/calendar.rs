//! Periods and their slots: which days a payment that comes again is due.

use jiff::ToSpan as _;
use jiff::civil::Date;

/// How often a payment comes, shortest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Period {
    /// Each 7 days.
    Weekly,
    /// Each 14 days.
    Fortnightly,
    /// Each 28 days.
    FourWeekly,
    /// On a day of each month.
    Monthly,
    /// Each second month.
    TwoMonthly,
    /// Each third month.
    Quarterly,
    /// Each sixth month.
    HalfYearly,
    /// On a day of the year.
    Yearly,
}

/// The length of a period.
enum Length {
    Days(i32),
    Months(i32),
}

impl Period {
    /// Every period.
    pub const ALL: [Self; 8] = [
        Self::Weekly,
        Self::Fortnightly,
        Self::FourWeekly,
        Self::Monthly,
        Self::TwoMonthly,
        Self::Quarterly,
        Self::HalfYearly,
        Self::Yearly,
    ];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Weekly => "weekly",
            Self::Fortnightly => "fortnightly",
            Self::FourWeekly => "four_weekly",
            Self::Monthly => "monthly",
            Self::TwoMonthly => "two_monthly",
            Self::Quarterly => "quarterly",
            Self::HalfYearly => "half_yearly",
            Self::Yearly => "yearly",
        }
    }

    const fn length(self) -> Length {
        match self {
            Self::Weekly => Length::Days(7),
            Self::Fortnightly => Length::Days(14),
            Self::FourWeekly => Length::Days(28),
            Self::Monthly => Length::Months(1),
            Self::TwoMonthly => Length::Months(2),
            Self::Quarterly => Length::Months(3),
            Self::HalfYearly => Length::Months(6),
            Self::Yearly => Length::Months(12),
        }
    }

    /// How many days a payment may be off: weekends and holidays move short periods a little, bills long ones more.
    pub(super) const fn tolerance_days(self) -> u32 {
        match self {
            Self::Weekly => 2,
            Self::Fortnightly | Self::FourWeekly => 3,
            Self::Monthly => 5,
            Self::TwoMonthly => 7,
            Self::Quarterly => 9,
            Self::HalfYearly | Self::Yearly => 14,
        }
    }

    /// Fewest payments that make a series.
    pub(super) const fn least_payments(self) -> u32 {
        match self {
            Self::Weekly => 5,
            Self::Fortnightly => 4,
            Self::FourWeekly | Self::Monthly | Self::TwoMonthly | Self::Quarterly => 3,
            Self::HalfYearly | Self::Yearly => 2,
        }
    }

    /// The day of a slot, counted from the one at the anchor. A day that a month does not have is its last.
    fn slot(self, anchor: Date, number: i32) -> Option<Date> {
        match self.length() {
            Length::Days(days) => anchor.checked_add(days.checked_mul(number)?.days()).ok(),
            Length::Months(months) => anchor.checked_add(months.checked_mul(number)?.months()).ok(),
        }
    }

    /// The slot nearest to a day.
    fn nearest(self, anchor: Date, day: Date) -> Option<(i32, u32)> {
        let guess = match self.length() {
            Length::Days(days) => days_between(anchor, day) / days,
            Length::Months(months) => {
                let months_apart = (i32::from(day.year()) - i32::from(anchor.year())) * 12 + i32::from(day.month())
                    - i32::from(anchor.month());
                months_apart / months
            }
        };
        (guess - 1..=guess + 1)
            .filter_map(|number| Some((number, days_between(self.slot(anchor, number)?, day).unsigned_abs())))
            .min_by_key(|(number, off)| (*off, *number))
    }
}

fn days_between(from: Date, to: Date) -> i32 {
    // Dates of the civil calendar are fewer days apart than an i32 counts.
    i32::try_from(to.duration_since(from).as_hours() / 24).unwrap_or(i32::MAX)
}

/// A payment in its slot.
pub(super) struct Hit {
    /// Which of the given days.
    pub(super) index: usize,
    slot: i32,
    off: u32,
}

/// Days laid into the slots of a period.
pub(super) struct Slots {
    pub(super) period: Period,
    anchor: Date,
    /// One payment a slot, in order.
    pub(super) hits: Vec<Hit>,
}

impl Slots {
    /// The slots that begin at one of the first days, or of the last, and hold the most days, most exactly.
    pub(super) fn best(period: Period, days: &[Date]) -> Option<Self> {
        let anchors = days.iter().take(4).chain(days.iter().rev().take(2));
        let laid = anchors.map(|anchor| Self::laid(period, *anchor, days));
        laid.max_by_key(|slots| (slots.hits.len(), u32::MAX - slots.off()))
    }

    fn laid(period: Period, anchor: Date, days: &[Date]) -> Self {
        let mut hits: Vec<Hit> = Vec::with_capacity(days.len());
        for (index, day) in days.iter().enumerate() {
            let Some((slot, off)) = period.nearest(anchor, *day).filter(|(_, off)| *off <= period.tolerance_days())
            else {
                continue;
            };
            match hits.last_mut().filter(|last| last.slot == slot) {
                Some(last) if off < last.off => *last = Hit { index, slot, off },
                Some(_) => {}
                None => hits.push(Hit { index, slot, off }),
            }
        }
        Self { period, anchor, hits }
    }

    fn off(&self) -> u32 {
        self.hits.iter().map(|hit| hit.off).sum()
    }

    /// Slots from the first payment to the last.
    pub(super) fn spanned(&self) -> u32 {
        match (self.hits.first(), self.hits.last()) {
            (Some(first), Some(last)) => (last.slot - first.slot).unsigned_abs() + 1,
            _ => 0,
        }
    }

    /// Days between slots and payments in the mean, in tenths.
    pub(super) fn mean_deviation_tenths(&self) -> u32 {
        let hits = u32::try_from(self.hits.len()).unwrap_or(u32::MAX).max(1);
        self.off() * 10 / hits
    }

    /// The slot behind the last payment, unless it has passed so long ago that the series has ended.
    pub(super) fn next(&self, today: Date) -> Option<Date> {
        let due = self.period.slot(self.anchor, self.hits.last()?.slot + 1)?;
        let late = due.checked_add((2 * i64::from(self.period.tolerance_days())).days()).ok()?;
        (today <= late).then_some(due)
    }
}
