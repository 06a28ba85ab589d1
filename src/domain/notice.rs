//! Notices in writing: which of them a person is owed under which law.

use crate::policy::Regime;

/// A kind of notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What was agreed to, word for word, when it begins: the CDR receipt (CDR rule 8.11(1)(fa)), the signed copy of the
    /// authorisation disclosure (12 CFR 1033.421(g)).
    Receipt,
    /// That it still runs, every 90 days (CDR rule 8.11(1)(fb)).
    Ongoing,
    /// That it is over by itself.
    Expired,
    /// That it was withdrawn.
    Revoked,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Receipt, Self::Ongoing, Self::Expired, Self::Revoked];

    /// The word in the database, in templates and on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Ongoing => "ongoing",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// The kind of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether a person is told in writing. The first two only where the law asks for it; the end of a consent everywhere,
    /// since somebody may have ended it whom the person does not know of.
    pub const fn is_owed(self, regime: Regime) -> bool {
        match (self, regime) {
            (Self::Receipt, Regime::Cdr | Regime::Us) | (Self::Ongoing, Regime::Cdr) => true,
            (Self::Receipt, Regime::Eu | Regime::Uk | Regime::Br)
            | (Self::Ongoing, Regime::Eu | Regime::Uk | Regime::Us | Regime::Br) => false,
            (Self::Expired | Self::Revoked, Regime::Eu | Regime::Uk | Regime::Cdr | Regime::Us | Regime::Br) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_is_what_the_regimes_ask_for() {
        let owed = |kind: Kind| Regime::ALL.into_iter().filter(|regime| kind.is_owed(*regime)).collect::<Vec<_>>();
        assert_eq!(owed(Kind::Receipt), [Regime::Cdr, Regime::Us]);
        assert_eq!(owed(Kind::Ongoing), [Regime::Cdr]);
        assert_eq!(owed(Kind::Expired), Regime::ALL);
        assert_eq!(owed(Kind::Revoked), Regime::ALL);
    }

    #[test]
    fn words_read_back() {
        assert!(Kind::ALL.into_iter().all(|kind| Kind::parse(kind.word()) == Some(kind)));
        assert_eq!(Kind::parse("greeting"), None);
    }
}
