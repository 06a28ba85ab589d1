//! Identifiers: a UUID behind one type per kind, printed with the prefix of its kind.
//!
//! `cns_01890a5d-ac96-774b-bcce-b302099a8057` says what it names in a log, in a URL and in a support ticket, and a
//! consent id cannot be passed where an account id is wanted.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::world::World;

/// A string that is not an identifier of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an id that begins with `{prefix}_` followed by a UUID")]
pub struct IdError {
    /// The prefix that was expected, without the underscore.
    pub prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident => $prefix:literal,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix of the printed form, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id: UUIDv7, so that ids made later sort later.
            pub fn new(world: &World<'_>) -> Self {
                Self(world.uuid())
            }

            /// Wraps a UUID that came from the database or from a surface that shows bare UUIDs.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(|rest| Uuid::try_parse(rest).ok())
                    .map(Self)
                    .ok_or(IdError { prefix: $prefix })
            }
        }
    )*};
}

ids! {
    /// One regulated TPP: licence, regimes, certificates, registrations.
    TenantId => "ten",
    /// An API client of a tenant, with purposes.
    ProductId => "prd",
    /// A product's API key.
    ApiKeyId => "key",
    /// A person, scoped to a tenant.
    PsuId => "psu",
    /// Our legal record: one PSU, one product, one bank, purposes, data clusters, term.
    ConsentId => "cns",
    /// The bank-side authorisation: bank consent id, tokens, SCA time.
    GrantId => "grt",
    /// One attempt of a user to authorise a consent at a bank.
    LoginId => "log",
    /// A one-time link that was handed to a user.
    LinkId => "lnk",
    /// One account of one PSU under one tenant for its whole life; products see it as the account id.
    LineId => "acc",
    /// One transaction for its whole life.
    TransactionId => "txn",
    /// One published balance.
    BalanceId => "bal",
    /// One kept raw answer of a bank, split per account.
    RawPageId => "raw",
    /// One piece of durable work.
    JobId => "job",
    /// One event for a product.
    EventId => "evt",
    /// One address of a product that events are sent to.
    EndpointId => "whe",
    /// One attempt to send an event to an endpoint.
    AttemptId => "wha",
    /// One notice in writing that a person was owed.
    NoticeId => "ntc",
    /// One erasure, of a consent or of an account.
    DeletionId => "del",
    /// One person who works for the operator.
    StaffId => "stf",
    /// One legal hold.
    HoldId => "hld",
    /// One entry of the evidence log.
    EntryId => "evi",
}

/// The id of a bank in the directory, as in its profile (`[a-z0-9_]+`, two-letter country first).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstitutionId(String);

impl InstitutionId {
    /// Accepts lower-case letters, digits and underscores, 3 to 64 characters.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (3..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        fits.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstitutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a registration: who we are at one bank. Appears in callback URLs (`/callback/{registration}`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationId(String);

impl RegistrationId {
    /// Accepts lower-case letters, digits, `-` and `_`, 3 to 64 characters.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (3..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        fits.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RegistrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_one_kind_is_not_an_id_of_another() {
        let id = ConsentId::from_uuid(Uuid::from_u128(7));
        assert_eq!(id.to_string(), "cns_00000000-0000-0000-0000-000000000007");
        assert_eq!(id.to_string().parse::<ConsentId>(), Ok(id));
        assert_eq!(id.to_string().parse::<LineId>(), Err(IdError { prefix: "acc" }));
        assert!("cns_".parse::<ConsentId>().is_err());
        assert!("7".parse::<ConsentId>().is_err());
    }

    #[test]
    fn names_that_travel_in_urls_are_plain() {
        assert!(InstitutionId::new("de_musterbank").is_some());
        for bad in ["", "DE_X", "a b", "../x", "ä_bank"] {
            assert!(InstitutionId::new(bad).is_none(), "{bad}");
            assert!(RegistrationId::new(bad).is_none(), "{bad}");
        }
    }
}
