//! What the words of the standards say about a consent, as one table.
//!
//! Banks write the words in other cases and with other marks between the parts than their standard does, so neither counts
//! when a word is looked up. A word that is not listed is [`ConsentState::Unrecognised`] to its reader: it changes nothing
//! and is reported. The Consumer Data Right, STET, Polish API and FDX as banks offer it keep no consent that could be asked about; what
//! their authorisation server says of the refresh token is all that there is (CDR Security Profile, RFC 6749 §5.2).

use Standard::{BerlinGroup as Bg, EnableBanking as Eb, OpenBankingUk as Uk, OpenFinanceBrasil as Br};

use crate::answer::ConsentState::{self, self as C};
use crate::profile::Standard;

/// One word of a standard.
#[derive(Debug)]
pub struct Status {
    /// Whose.
    pub standard: Standard,
    /// The status; where one word stands for several ends, with the reason, and then with whoever gave it, behind a blank.
    pub word: &'static str,
    /// What it means.
    pub state: ConsentState,
}

const fn status(standard: Standard, word: &'static str, state: ConsentState) -> Status {
    Status { standard, word, state }
}

/// Every word that a standard lists, and those of banks that add one and say what it means.
pub static STATUSES: [Status; 39] = [
    // NextGenPSD2 1.3.x, consentStatus.
    status(Bg, "received", C::Received),
    status(Bg, "partiallyAuthorised", C::PartiallyAuthorised),
    status(Bg, "partiallyAuthorized", C::PartiallyAuthorised),
    status(Bg, "valid", C::Valid),
    status(Bg, "rejected", C::Rejected),
    status(Bg, "expired", C::Expired),
    status(Bg, "revokedByPsu", C::RevokedByPsu),
    status(Bg, "terminatedByTpp", C::TerminatedByTpp),
    status(Bg, "terminatedByAspsp", C::TerminatedByAspsp),
    // UK Open Banking 3.1. `Revoked` is a word of resources that were made before 3.1.4.
    status(Uk, "AwaitingAuthorisation", C::Received),
    status(Uk, "Authorised", C::Valid),
    status(Uk, "Rejected", C::Rejected),
    status(Uk, "Revoked", C::RevokedByPsu),
    status(Uk, "Expired", C::Expired),
    // UK Open Banking 4.0. `CANC` is no end: the person may authenticate again for the same consent.
    status(Uk, "AWAU", C::Received),
    status(Uk, "AUTH", C::Valid),
    status(Uk, "RJCT", C::Rejected),
    status(Uk, "CANC", C::Suspended),
    status(Uk, "EXPD", C::Expired),
    // Open Finance Brasil 3: one word for every end.
    status(Br, "AWAITING_AUTHORISATION", C::Received),
    status(Br, "AUTHORISED", C::Valid),
    status(Br, "CONSUMED", C::Expired),
    status(Br, "REJECTED", C::Rejected),
    status(Br, "REJECTED CONSENT_EXPIRED", C::Expired),
    status(Br, "REJECTED CUSTOMER_MANUALLY_REJECTED", C::Rejected),
    status(Br, "REJECTED CONSENT_MAX_DATE_REACHED", C::Expired),
    status(Br, "REJECTED CUSTOMER_MANUALLY_REVOKED", C::RevokedByPsu),
    status(Br, "REJECTED CUSTOMER_MANUALLY_REVOKED TPP", C::TerminatedByTpp),
    status(Br, "REJECTED INTERNAL_SECURITY_REASON", C::TerminatedByAspsp),
    status(Br, "REJECTED CONSENT_TECHNICAL_ISSUE", C::Rejected),
    // Enable Banking, SessionStatus. A session is closed by us.
    status(Eb, "PENDING_AUTHORIZATION", C::Received),
    status(Eb, "RETURNED_FROM_BANK", C::Received),
    status(Eb, "AUTHORIZED", C::Valid),
    status(Eb, "REJECTED", C::Rejected),
    status(Eb, "CANCELLED", C::Rejected),
    status(Eb, "INVALID", C::Rejected),
    status(Eb, "EXPIRED", C::Expired),
    status(Eb, "REVOKED", C::RevokedByPsu),
    status(Eb, "CLOSED", C::TerminatedByTpp),
];

/// What a word of a standard means; `None` for one that is not listed.
pub(crate) fn meaning(standard: Standard, word: &str) -> Option<ConsentState> {
    let found = STATUSES.iter().find(|listed| listed.standard == standard && plain(listed.word).eq(plain(word)));
    found.map(|listed| listed.state.clone())
}

/// The letters of a word and the blanks between its parts.
fn plain(word: &str) -> impl Iterator<Item = char> {
    word.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_however_it_is_written_and_under_its_own_standard_alone() {
        for listed in &STATUSES {
            for written in [listed.word.to_owned(), listed.word.to_uppercase(), listed.word.to_lowercase()] {
                assert_eq!(meaning(listed.standard, &written).as_ref(), Some(&listed.state), "{written}");
            }
        }
        assert_eq!(meaning(Bg, "REVOKED_BY_PSU"), Some(C::RevokedByPsu));
        assert_eq!(meaning(Uk, "valid"), None);
        assert_eq!(meaning(Bg, "pausedByPsu"), None);
        for standard in Standard::ALL {
            let listed = STATUSES.iter().any(|listed| listed.standard == *standard);
            assert_eq!(listed, standard.has_consents(), "{standard:?}: words for those that keep consents alone");
        }
    }

    #[test]
    fn no_word_is_listed_twice() {
        for (nth, listed) in STATUSES.iter().enumerate() {
            let same = |other: &&Status| other.standard == listed.standard && plain(other.word).eq(plain(listed.word));
            assert_eq!(STATUSES.iter().filter(same).count(), 1, "{nth}: {}", listed.word);
        }
    }
}
