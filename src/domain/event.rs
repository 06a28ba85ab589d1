//! The catalogue of events: what products can be told, by the names that they see.
//!
//! An event says that something happened and where to look. It never carries bank data: no amount, no name, no text, no
//! account number; counts and states at most.

macro_rules! catalogue {
    ($($(#[doc = $doc:literal])* $name:ident => $word:literal,)*) => {
        /// A type of event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventType {
            $($(#[doc = $doc])* $name,)*
        }

        impl EventType {
            /// Every type, in the order of a consent's life.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }

            /// When it is sent, in one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),*).trim_ascii()),* }
            }

            /// The type of a name.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$name),)* _ => None }
            }
        }
    };
}

catalogue! {
    /// A product asked for a consent.
    ConsentCreated => "consent.created",
    /// The person left for the bank.
    AuthorisationStarted => "consent.authorisation.started",
    /// The bank authorised; the first fetch runs.
    ConsentGranted => "consent.granted",
    /// A further person must authorise at the bank.
    ConsentPartiallyAuthorised => "consent.partially_authorised",
    /// Data are there and kept fresh.
    ConnectionHealthy => "connection.healthy",
    /// A clock of the consent runs out in 30, 14, 7 or 1 days.
    ConsentExpiring => "consent.expiring",
    /// The person is needed at the bank; data stay readable meanwhile.
    ActionRequired => "connection.action_required",
    /// The person came back, or a new consent took over.
    ConsentRenewed => "consent.renewed",
    /// The person confirmed to us that the consent goes on.
    ConsentReconfirmed => "consent.reconfirmed",
    /// An account or a kind of data was taken out of the consent, or added.
    ScopesChanged => "consent.scopes_changed",
    /// The bank suspended access, or a confirmation was missed.
    ConsentSuspended => "consent.suspended",
    /// The suspension is over.
    ConsentResumed => "consent.resumed",
    /// The consent was withdrawn and stopped here; the bank is being told.
    ConsentRevoked => "consent.revoked",
    /// The bank has confirmed that it ended the consent.
    RevocationConfirmed => "consent.revocation.confirmed",
    /// The bank has not confirmed in time that it ended the consent.
    RevocationUnconfirmed => "consent.revocation.unconfirmed",
    /// The consent is over by time, by the bank or by a newer one.
    ConsentExpired => "consent.expired",
    /// The consent was refused or broke on the way: it never came to life.
    ConsentRejected => "consent.rejected",
    /// Nobody came back from the bank: the consent never came to life.
    ConsentAbandoned => "consent.abandoned",
    /// A fetch brought everything.
    SyncCompleted => "sync.completed",
    /// A fetch failed for some accounts and not for others.
    SyncPartial => "sync.partial",
    /// A fetch brought nothing.
    SyncFailed => "sync.failed",
    /// A fetch must wait: the bank's reads of the day are used up.
    SyncDeferred => "sync.deferred",
    /// New rows of an account; at most one event for each account and fetch.
    TransactionAdded => "transaction.added",
    /// Pending rows of an account are booked now, under the ids that they had.
    TransactionBooked => "transaction.booked",
    /// Rows of an account changed.
    TransactionModified => "transaction.modified",
    /// Rows of an account were withdrawn by the bank.
    TransactionRemoved => "transaction.removed",
    /// New rows of an account may be known payments: both stay, and name each other.
    TransactionReviewRequired => "transaction.review_required",
    /// An account's balances and rows do not explain each other.
    ReconciliationFailed => "balance.reconciliation.failed",
    /// They do again.
    ReconciliationRecovered => "balance.reconciliation.recovered",
    /// Rules changed and stored rows were read anew.
    NormalisationReplayed => "normalisation.replayed",
    /// An erasure has begun: nothing is served any more.
    DeletionRequested => "deletion.requested",
    /// An erasure is owed and does not run: a legal hold wants the data kept. Nobody reads them.
    DeletionBlocked => "deletion.blocked",
    /// The erasure is complete.
    DeletionCompleted => "deletion.completed",
    /// The signed receipt of an erasure is there; the product acknowledges that it erased its copies too.
    DeletionReceiptIssued => "deletion.receipt.issued",
    /// The product has not acknowledged an erasure yet.
    DeletionAcknowledgementDue => "deletion.acknowledgement.due",
    /// A notice in writing is owed to the person; the product hands it over.
    NoticeRequested => "notice.requested",
    /// An endpoint is not sent to as usual any more: it failed for days, gave 410 Gone, or was given up.
    WebhookDisabled => "webhook.disabled",
    /// An endpoint that had failed takes events again.
    WebhookRecovered => "webhook.recovered",
    /// A test that a product asked for.
    TestPing => "test.ping",
}

impl std::fmt::Display for EventType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether an endpoint may ask for this: a type of the catalogue, or a whole group of it, `consent.*`.
pub fn is_subscribable(pattern: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(group) => EventType::ALL.iter().any(|kind| kind.as_str().split('.').next() == Some(group)),
        None => EventType::parse(pattern).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::consent::{Consent, Effect};

    #[test]
    fn names_are_dotted_lower_case_and_read_back() {
        for kind in EventType::ALL {
            let name = kind.as_str();
            assert!(
                name.contains('.') && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'_'),
                "{name}"
            );
            assert_eq!(EventType::parse(name), Some(*kind));
            assert!(kind.meaning().ends_with('.'), "{name}: {}", kind.meaning());
        }
        let names: BTreeSet<_> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), EventType::ALL.len());
    }

    /// Whatever the machine wants told has a name that products can subscribe to.
    #[test]
    fn every_notice_of_the_machine_is_in_the_catalogue() {
        let waiting = Consent::new(jiff::Timestamp::UNIX_EPOCH);
        let (_, effects) =
            crate::consent::step(&waiting, crate::consent::Event::Tick, jiff::Timestamp::UNIX_EPOCH).unwrap();
        let told = effects.into_iter().filter_map(|effect| match effect {
            Effect::Tell(notice) => Some(notice.event_type().as_str()),
            _ => None,
        });
        let told: Vec<_> = told.collect();
        assert_eq!(told, ["consent.abandoned"]);
        assert!(told.into_iter().all(is_subscribable));
    }

    #[test]
    fn a_subscription_names_a_type_or_a_group_of_the_catalogue() {
        for good in ["connection.healthy", "consent.*", "transaction.added", "test.ping", "balance.*"] {
            assert!(is_subscribable(good), "{good}");
        }
        for bad in ["", "*", ".*", "consent", "consent.actif", "consent.revocation.*", "CONSENT.*", "money.*"] {
            assert!(!is_subscribable(bad), "{bad}");
        }
    }
}
