//! Who can mend an error. Every problem that leaves the system carries one of these.

/// The party that can act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WhoCanFix {
    /// The person whose account it is: sign in again, choose another account.
    User,
    /// The product that called us: mend the request.
    Product,
    /// Whoever runs this installation: certificates, registrations, configuration.
    Operator,
    /// The bank.
    Bank,
    /// Nobody: the thing is over.
    Nobody,
}

impl WhoCanFix {
    /// The word on the wire (`who_can_fix`).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Product => "product",
            Self::Operator => "operator",
            Self::Bank => "bank",
            Self::Nobody => "nobody",
        }
    }
}
