//! What people who work for the operator may see and do.
//!
//! A role is a duty, and nobody's duty is everything: who keeps the machine running has no business with people's records,
//! and who audits changes nothing. [`may`] is the whole table.

/// A duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Keeps the installation running.
    Operator,
    /// Answers for what is done with people's data.
    Compliance,
    /// Helps people and products.
    Support,
    /// Looks at what the others did, and changes nothing.
    Auditor,
}

impl Role {
    /// Every role, in the order of the columns of the table.
    pub const ALL: [Self; 4] = [Self::Operator, Self::Compliance, Self::Support, Self::Auditor];

    /// The word in settings, in sessions and on the record.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Compliance => "compliance",
            Self::Support => "support",
            Self::Auditor => "auditor",
        }
    }

    /// The role of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// What is seen or done at the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// See what needs somebody now: figures, no id of anybody.
    SeeOverview,
    /// See how banks behave: health, breakers, budgets, incidents.
    SeeBanks,
    /// See consents, how they stand and how they came there. No bank data.
    SeeConsents,
    /// Find the consents of a person by a product's own reference.
    FindPerson,
    /// Read the evidence of a consent.
    ReadEvidence,
    /// See accounts and rows of a person, for a reason that is put on record first.
    ShowBankData,
    /// See erasures and their receipts.
    SeeDeletions,
    /// See what became of webhooks.
    SeeDeliveries,
    /// Have a part of an endpoint's stream sent again.
    ReplayDeliveries,
    /// See the work that waits.
    SeeJobs,
    /// Have work tried again that was put aside.
    RetryJob,
    /// See when certificates and keys end.
    SeeKeys,
    /// Search the evidence log.
    SearchLog,
    /// See legal holds.
    SeeHolds,
    /// Ask for a legal hold or its end, confirm what somebody else asked for, take it back.
    MoveHolds,
    /// See alerts about logins, guesses and unusual reads.
    SeeAlerts,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 16] = [
        Self::SeeOverview,
        Self::SeeBanks,
        Self::SeeConsents,
        Self::FindPerson,
        Self::ReadEvidence,
        Self::ShowBankData,
        Self::SeeDeletions,
        Self::SeeDeliveries,
        Self::ReplayDeliveries,
        Self::SeeJobs,
        Self::RetryJob,
        Self::SeeKeys,
        Self::SearchLog,
        Self::SeeHolds,
        Self::MoveHolds,
        Self::SeeAlerts,
    ];
}

/// Whether a role may do something. One row for each action, one column for each role of [`Role::ALL`].
pub const fn may(role: Role, action: Action) -> bool {
    let [operator, compliance, support, auditor] = match action {
        Action::SeeOverview => [true, true, true, true],
        Action::SeeBanks => [true, true, true, true],
        Action::SeeConsents => [true, true, true, true],
        Action::FindPerson => [false, true, true, true],
        Action::ReadEvidence => [false, true, false, true],
        Action::ShowBankData => [false, true, true, false],
        Action::SeeDeletions => [true, true, true, true],
        Action::SeeDeliveries => [true, false, true, true],
        Action::ReplayDeliveries => [true, false, true, false],
        Action::SeeJobs => [true, false, false, true],
        Action::RetryJob => [true, false, false, false],
        Action::SeeKeys => [true, true, false, true],
        Action::SearchLog => [false, true, false, true],
        Action::SeeHolds => [false, true, false, true],
        Action::MoveHolds => [false, true, false, false],
        Action::SeeAlerts => [true, true, false, true],
    };
    match role {
        Role::Operator => operator,
        Role::Compliance => compliance,
        Role::Support => support,
        Role::Auditor => auditor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who may do what, as the guide says it: the letters of the roles that may.
    const TABLE: [(Action, &str); 16] = [
        (Action::SeeOverview, "ocsa"),
        (Action::SeeBanks, "ocsa"),
        (Action::SeeConsents, "ocsa"),
        (Action::FindPerson, "csa"),
        (Action::ReadEvidence, "ca"),
        (Action::ShowBankData, "cs"),
        (Action::SeeDeletions, "ocsa"),
        (Action::SeeDeliveries, "osa"),
        (Action::ReplayDeliveries, "os"),
        (Action::SeeJobs, "oa"),
        (Action::RetryJob, "o"),
        (Action::SeeKeys, "oca"),
        (Action::SearchLog, "ca"),
        (Action::SeeHolds, "ca"),
        (Action::MoveHolds, "c"),
        (Action::SeeAlerts, "oca"),
    ];

    #[test]
    fn every_role_and_action_is_decided_as_the_guide_says() {
        for ((action, letters), listed) in TABLE.into_iter().zip(Action::ALL) {
            assert_eq!(action, listed);
            for role in Role::ALL {
                let letter = &role.word()[..1];
                assert_eq!(may(role, action), letters.contains(letter), "{role:?} {action:?}");
                assert_eq!(Role::parse(role.word()), Some(role));
            }
        }
        assert_eq!(Role::parse("root"), None);
    }

    #[test]
    fn an_auditor_changes_nothing_and_an_operator_sees_nobodys_data() {
        for action in [Action::ReplayDeliveries, Action::RetryJob, Action::MoveHolds, Action::ShowBankData] {
            assert!(!may(Role::Auditor, action));
        }
        for action in [Action::FindPerson, Action::ReadEvidence, Action::ShowBankData, Action::SearchLog] {
            assert!(!may(Role::Operator, action));
        }
    }
}
