//! Whether an account adds up, as it is stored and published: the verdict with what it rests on.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::ids::TransactionId;
use crate::money::Money;
use crate::records::BalanceKind;

/// What is said of an account as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Balances and rows agree, or differ by something harmless that is named.
    Reconciled,
    /// Something is wrong with the rows or with the balance.
    Contradicted,
    /// It cannot be decided.
    Unknown,
}

/// What explains the difference between balances and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hypothesis {
    /// There is none.
    Consistent,
    /// Every row has the wrong sign: the bank counts the other way round.
    SignsInverted,
    /// One row has the wrong sign.
    SignInverted,
    /// A row is missing.
    MissingRow,
    /// A row stands twice.
    DoubledRow,
    /// A balance that the bank calls booked holds pending rows or a credit line.
    WrongBalanceType,
    /// The balance is older than the rows. Harmless.
    Stale,
    /// The balance holds pending rows, as its type allows. Harmless.
    PendingIncluded,
    /// The balance holds a credit line, as its type allows. Harmless.
    CreditLineIncluded,
    /// Nothing explains it, or several things do.
    Unexplained,
}

/// Why nothing can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Undecided {
    /// The bank gave no balance in the account's currency.
    NoBalance,
    /// There is only one balance so far, and the rows tell none.
    FirstBalance,
    /// Days between two balances were not fetched.
    Gap,
    /// More rows than are weighed.
    TooMany,
    /// There is a difference that nothing explains, or that several things do.
    Unexplained,
}

/// A closed set of words, on the wire and in sealed records.
macro_rules! words {
    ($($name:ident { $($variant:ident => $word:literal),* $(,)? })*) => {$(
        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),*
                }
            }

            /// The value of a word.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }
    )*};
}

words! {
    Verdict { Reconciled => "reconciled", Contradicted => "contradicted", Unknown => "unknown" }
    Hypothesis {
        Consistent => "consistent",
        SignsInverted => "signs_inverted",
        SignInverted => "sign_inverted",
        MissingRow => "missing_row",
        DoubledRow => "doubled_row",
        WrongBalanceType => "wrong_balance_type",
        Stale => "stale",
        PendingIncluded => "pending_included",
        CreditLineIncluded => "credit_line_included",
        Unexplained => "unexplained",
    }
    Undecided {
        NoBalance => "no_balance",
        FirstBalance => "first_balance",
        Gap => "gap",
        TooMany => "too_many_rows",
        Unexplained => "unexplained",
    }
}

impl Hypothesis {
    /// Whether it contradicts the data, so that whoever reads them must be warned.
    pub const fn is_fault(self) -> bool {
        match self {
            Self::SignsInverted | Self::SignInverted | Self::MissingRow | Self::DoubledRow | Self::WrongBalanceType => {
                true
            }
            Self::Consistent | Self::Stale | Self::PendingIncluded | Self::CreditLineIncluded | Self::Unexplained => {
                false
            }
        }
    }
}

/// A balance that the verdict rests on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The figure; owed money is negative.
    pub money: Money,
    /// What the bank calls it. One that was worked out from the balance after the first row is an opening one.
    pub kind: BalanceKind,
    /// Whether the bank says that a credit line is in it.
    pub credit_limit_included: Option<bool>,
    /// Day that the bank says it is about.
    pub day: Option<Date>,
    /// When the bank gave it.
    pub at: Timestamp,
}

/// What was known when a fetch was complete: the next verdict begins here.
#[derive(Clone, PartialEq, Eq)]
pub struct Mark {
    /// The balance.
    pub anchor: Anchor,
    /// Number of the last row that was known.
    pub last_seq: i64,
    /// Rows that were pending.
    pub pending: Vec<TransactionId>,
    /// Their sum, in the currency of the balance.
    pub pending_sum: Decimal,
    /// From this day on every row was known.
    pub complete_from: Option<Date>,
}

/// One thing that was found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// What.
    pub hypothesis: Hypothesis,
    /// The row that it is about, where it is one.
    pub transaction: Option<TransactionId>,
    /// The amount that is missing, or of the credit line.
    pub amount: Option<Money>,
    /// The day up to which a late balance goes.
    pub day: Option<Date>,
    /// The balance after which it shows.
    pub after: Timestamp,
}

/// The verdict on an account, with what it rests on.
#[derive(Clone, PartialEq, Eq)]
pub struct Reconciliation {
    /// The verdict.
    pub verdict: Verdict,
    /// Why nothing can be said, where nothing can.
    pub undecided: Option<Undecided>,
    /// What was found, faults first.
    pub found: Vec<Found>,
    /// What closing less opening less rows leaves over the statements that do not come out even.
    pub residual: Option<Money>,
    /// The balance that it begins at.
    pub opening: Option<Anchor>,
    /// The balance that it ends at.
    pub closing: Option<Anchor>,
    /// Booked rows between the two.
    pub rows: u32,
    /// Their sum.
    pub moved: Option<Money>,
    /// The balances that the next verdict begins at, oldest first.
    pub marks: Vec<Mark>,
}

impl Reconciliation {
    /// Nothing can be said, and why.
    pub const fn undecided(why: Undecided, marks: Vec<Mark>) -> Self {
        Self {
            verdict: Verdict::Unknown,
            undecided: Some(why),
            found: Vec::new(),
            residual: None,
            opening: None,
            closing: None,
            rows: 0,
            moved: None,
            marks,
        }
    }

    /// Each hypothesis once, in order.
    pub fn hypotheses(&self) -> Vec<Hypothesis> {
        let mut words: Vec<Hypothesis> = self.found.iter().map(|found| found.hypothesis).collect();
        words.sort_unstable();
        words.dedup();
        words
    }
}

macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        /// Bank data never reaches a log through `Debug`.
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}
opaque_debug!(Anchor, Mark, Found, Reconciliation);
