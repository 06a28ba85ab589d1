//! The words of a consent: in the database, in evidence and on the wire.

use super::{DataState, Event, ExpiryReason, FailureReason, ReauthReason, RevokedBy, State};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident => $word:literal),* $(,)? }) => {
        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            $(#[$doc])*
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The value of that word.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// The word in the database, in evidence and on the wire.
    ReauthReason { ScaExpired => "sca_expired", ReconfirmMissed => "reconfirm_missed", TokenLost => "token_lost",
                   SuspendedByBank => "suspended_by_bank", Displaced => "superseded" }
}
words! {
    /// The word in the database, in evidence and on the wire.
    ExpiryReason { Term => "term", Bank => "bank", Superseded => "superseded" }
}
words! {
    /// The word in the database, in evidence and on the wire.
    RevokedBy { Psu => "psu", PsuAtBank => "psu_at_bank", Product => "product", Bank => "bank", Operator => "operator",
                Register => "register" }
}
words! {
    /// The word in the database, in evidence and on the wire.
    FailureReason { Declined => "declined", TimedOut => "timed_out", RejectedByBank => "rejected_by_bank",
                    Error => "error" }
}
words! {
    /// The word in the database, in evidence and on the wire.
    DataState { Present => "present", Readable => "readable", Restricted => "restricted", Held => "held",
                HeldRestricted => "held_restricted", Blocked => "blocked", Erasing => "erasing", Erased => "erased" }
}

impl State {
    /// The word in the database, in evidence and on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Initiated => "initiated",
            Self::Authorized => "authorized",
            Self::Active => "active",
            Self::ReauthPending(_) => "reauth_pending",
            Self::Expired(_) => "expired",
            Self::Revoked(_) => "revoked",
            Self::Failed(_) => "failed",
        }
    }

    /// The reason beside the word, where the state has one.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Initiated | Self::Authorized | Self::Active => None,
            Self::ReauthPending(reason) => Some(reason.word()),
            Self::Expired(reason) => Some(reason.word()),
            Self::Revoked(by) => Some(by.word()),
            Self::Failed(reason) => Some(reason.word()),
        }
    }

    /// The state of a word and its reason; `None` for a pair that no state has.
    pub fn parse(word: &str, reason: Option<&str>) -> Option<Self> {
        match (word, reason) {
            ("initiated", None) => Some(Self::Initiated),
            ("authorized", None) => Some(Self::Authorized),
            ("active", None) => Some(Self::Active),
            ("reauth_pending", Some(reason)) => ReauthReason::parse(reason).map(Self::ReauthPending),
            ("expired", Some(reason)) => ExpiryReason::parse(reason).map(Self::Expired),
            ("revoked", Some(by)) => RevokedBy::parse(by).map(Self::Revoked),
            ("failed", Some(reason)) => FailureReason::parse(reason).map(Self::Failed),
            _ => None,
        }
    }
}

impl Event {
    /// The word in the history and in evidence.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Authorised(_) => "authorised",
            Self::PartlyAuthorised(_) => "partly_authorised",
            Self::Declined => "declined",
            Self::Rejected => "rejected",
            Self::LoginFailed => "login_failed",
            Self::FirstFetchDone => "first_fetch_done",
            Self::Tick => "tick",
            Self::TokenLost => "token_lost",
            Self::Suspended => "suspended",
            Self::Displaced => "displaced",
            Self::Reinstated => "reinstated",
            Self::Reauthenticated(_) => "reauthenticated",
            Self::Reconfirmed(_) => "reconfirmed",
            Self::EndedByBank => "ended_by_bank",
            Self::Superseded => "superseded",
            Self::Revoke(_) => "revoke",
            Self::Restricted => "restricted",
            Self::Released => "released",
            Self::HoldPlaced => "hold_placed",
            Self::HoldLifted => "hold_lifted",
            Self::EraseRequested => "erase_requested",
            Self::Erased => "erased",
        }
    }
}
