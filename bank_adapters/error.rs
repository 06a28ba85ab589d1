//! Why a call did not give what was asked, typed by what the caller can do about it.
//!
//! Classification is data: a table of codes, a table of statuses, and the profile's own lines before both. Nothing that a
//! bank wrote is kept but its code, and that only when it looks like one.

mod meanings;

use std::fmt;

use domain::error::WhoCanFix;
use jiff::Timestamp;
use serde::Deserialize;

pub(crate) use self::meanings::meaning;

/// An answer that is not a success, by what can be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BankError {
    /// Only the person can mend this: sign in again, or settle a block with the bank.
    #[error("the bank needs the user: {0}")]
    AskUser(BankProblem),
    /// The consent may be over. One such answer proves nothing: ask for the consent's status.
    #[error("the bank doubts the consent: {0}")]
    AskStatus(BankProblem),
    /// The access token is not accepted: get a new one and repeat once.
    #[error("the bank does not accept the token: {0}")]
    RenewToken(BankProblem),
    /// Not now.
    #[error("the bank cannot answer now: {problem}")]
    Wait {
        /// Not before this moment; absent where the bank does not say.
        until: Option<Timestamp>,
        /// What the bank said.
        problem: BankProblem,
    },
    /// The period reaches too far back or is too long: ask for less, going strictly forward.
    #[error("the bank refuses the period: {0}")]
    Narrow(BankProblem),
    /// This resource, list or parameter is not to be had; others may be. Says nothing about the consent.
    #[error("the bank does not offer this: {0}")]
    Skip(BankProblem),
    /// Whoever runs this installation must act: certificate, role, signature, registration.
    #[error("the bank does not accept us: {0}")]
    Operator(BankProblem),
    /// A plain no; to repeat it changes nothing.
    #[error("the bank refuses: {0}")]
    Refused(BankProblem),
    /// The answer is not what the standard promises.
    #[error("the bank breaks its contract: {0}")]
    Contract(Breach),
}

impl BankError {
    /// Stable code for our own problem details.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AskUser(_) => "bank.user_needed",
            Self::AskStatus(_) => "bank.consent_in_doubt",
            Self::RenewToken(_) => "bank.token_refused",
            Self::Wait { .. } => "bank.unavailable",
            Self::Narrow(_) => "bank.period_refused",
            Self::Skip(_) => "bank.not_offered",
            Self::Operator(_) => "bank.tpp_refused",
            Self::Refused(_) => "bank.refused",
            Self::Contract(_) => "bank.contract_broken",
        }
    }

    /// Whether it is a limit that was reached.
    pub fn limit(&self) -> Option<Reached> {
        let Self::Wait { problem, .. } = self else { return None };
        let code = problem.code.as_ref().map_or("", BankCode::last_part);
        if code.eq_ignore_ascii_case("ACCESS_EXCEEDED") {
            return Some(Reached::Consent);
        }
        (problem.status == 429).then_some(Reached::Unnamed)
    }

    /// Who can mend it.
    pub const fn who_can_fix(&self) -> WhoCanFix {
        match self {
            Self::AskUser(_) | Self::AskStatus(_) => WhoCanFix::User,
            Self::Operator(_) | Self::RenewToken(_) | Self::Narrow(_) => WhoCanFix::Operator,
            Self::Wait { .. } | Self::Skip(_) | Self::Refused(_) | Self::Contract(_) => WhoCanFix::Bank,
        }
    }
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The reads of a day that a consent allows without the person (`ACCESS_EXCEEDED`, NextGenPSD2 §14.11.2).
    Consent,
    /// One that the bank does not name: it may be ours at this bank, for all consents together (RFC 6585 §4).
    Unnamed,
}

/// A code that a bank wrote: up to 64 letters, `_`, `.`, `-` and at most four digits, so that no account number passes; or
/// a URN of them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BankCode(String);

impl BankCode {
    /// The code, if it looks like one.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let urn = text.starts_with("urn:");
        let mark = |b: u8| matches!(b, b'_' | b'.' | b'-') || (urn && matches!(b, b':' | b'/'));
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || mark(b));
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let longest = if urn { 128 } else { 64 };
        ((1..=longest).contains(&text.len()) && plain && digits <= 4).then(|| Self(text.to_owned()))
    }

    /// The code as the bank wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of a URN what stands behind its last colon; else the code.
    pub(crate) fn last_part(&self) -> &str {
        self.0.rsplit(':').next().unwrap_or(&self.0)
    }
}

impl fmt::Debug for BankCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of body an error came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `tppMessages` (NextGenPSD2 §4.13).
    TppMessages,
    /// Problem details with a `code` (RFC 7807).
    Problem,
    /// A list of errors (UK Open Banking, Consumer Data Right, Open Finance Brasil).
    Errors,
    /// JSON of another kind.
    Json,
    /// A page for humans, as gateways send it.
    Html,
    /// Nothing.
    Empty,
    /// Anything else.
    Other,
}

impl Shape {
    /// A few words for a person.
    const fn describe(self) -> &'static str {
        match self {
            Self::TppMessages => "with messages of the standard",
            Self::Problem => "with problem details",
            Self::Errors => "with a list of errors",
            Self::Json => "with JSON of no known form",
            Self::Html => "with a web page",
            Self::Empty => "without a body",
            Self::Other => "with an unreadable body",
        }
    }
}

/// What is kept of a bank's error: status, code, kind of body. Never its text, which may name accounts and people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankProblem {
    /// HTTP status; 2xx when the error came inside a success.
    pub status: u16,
    /// The bank's code.
    pub code: Option<BankCode>,
    /// Kind of body.
    pub shape: Shape,
}

impl fmt::Display for BankProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "HTTP {} {}", self.status, code.as_str()),
            None => write!(f, "HTTP {} {}", self.status, self.shape.describe()),
        }
    }
}

/// How an answer fails to be what the standard promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// A success whose body is not JSON.
    #[error("HTTP {status} {}", shape.describe())]
    NotJson {
        /// HTTP status.
        status: u16,
        /// Kind of body.
        shape: Shape,
    },
    /// JSON, XML or a message that ends early or is none after all.
    #[error("the answer is damaged at line {line}, column {column}")]
    Damaged {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// JSON of the wrong form.
    #[error("the JSON has another form than expected at line {line}, column {column}")]
    Form {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A field that must be there is not, or holds what it cannot.
    #[error("`{0}` is missing or unusable")]
    Field(&'static str),
    /// A redirect, which an API never sends.
    #[error("HTTP {0} redirects")]
    Redirect(u16),
    /// A link that leaves the bank's own origin.
    #[error("`{0}` leads away from the bank's API")]
    ForeignLink(&'static str),
    /// A page that points to itself.
    #[error("`{0}` leads to the page that it stands on")]
    LoopingLink(&'static str),
    /// More rows than any honest page holds.
    #[error("`{0}` is longer than the limit")]
    TooLong(&'static str),
}

/// What a profile may say that an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// [`BankError::AskUser`].
    AskUser,
    /// [`BankError::AskStatus`].
    AskStatus,
    /// [`BankError::RenewToken`].
    RenewToken,
    /// [`BankError::Wait`] until the bank says, else as long as the caller likes.
    Wait,
    /// [`BankError::Wait`] until the bank says, else until the bank's next calendar day.
    WaitForTomorrow,
    /// [`BankError::Narrow`].
    Narrow,
    /// [`BankError::Skip`].
    Skip,
    /// [`BankError::Operator`].
    Operator,
    /// [`BankError::Refused`].
    Refused,
}

/// The error that a meaning stands for; `until` is when the bank, or its calendar, allows another try.
pub(crate) fn error(means: Means, problem: BankProblem, until: Option<Timestamp>) -> BankError {
    match means {
        Means::AskUser => BankError::AskUser(problem),
        Means::AskStatus => BankError::AskStatus(problem),
        Means::RenewToken => BankError::RenewToken(problem),
        Means::Wait | Means::WaitForTomorrow => BankError::Wait { until, problem },
        Means::Narrow => BankError::Narrow(problem),
        Means::Skip => BankError::Skip(problem),
        Means::Operator => BankError::Operator(problem),
        Means::Refused => BankError::Refused(problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_consents_only_where_the_bank_says_so() {
        let wait = |status, code: &str| {
            let problem = BankProblem { status, code: BankCode::new(code), shape: Shape::Json };
            BankError::Wait { until: None, problem }.limit()
        };
        assert_eq!(wait(429, "ACCESS_EXCEEDED"), Some(Reached::Consent));
        assert_eq!(wait(429, "TOO_MANY_REQUESTS"), Some(Reached::Unnamed));
        assert_eq!(wait(429, ""), Some(Reached::Unnamed));
        assert_eq!(wait(503, ""), None);
    }

    #[test]
    fn only_what_looks_like_a_code_is_kept() {
        let urn = "urn:au-cds:error:cds-banking:Authorisation/UnavailableBankingAccount";
        for good in ["CONSENT_EXPIRED", "UK.OBIE.Reauthenticate", "U028", "701", "invalid_token", urn] {
            assert_eq!(BankCode::new(good).map(|code| code.as_str().to_owned()).as_deref(), Some(good));
        }
        for bad in [
            "https://x.example/a",
            "urn:iban:DE02120300000000202051",
            "",
            "DE02120300000000202051",
            "Erika Mustermann",
            "a\nb",
            "<b>",
            &"X".repeat(65),
        ] {
            assert_eq!(BankCode::new(bad), None, "{bad}");
        }
    }
}
