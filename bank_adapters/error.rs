//! Why a call did not give what was asked, typed by what the caller can do about it.
//!
//! Classification is data: a table of codes, a table of statuses, and the profile's own lines before both. Nothing that a
//! bank wrote is kept but its code, and that only when it looks like one.

use std::fmt;

use domain::error::WhoCanFix;
use jiff::Timestamp;
use serde::Deserialize;

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

    /// Who can mend it.
    pub const fn who_can_fix(&self) -> WhoCanFix {
        match self {
            Self::AskUser(_) | Self::AskStatus(_) => WhoCanFix::User,
            Self::Operator(_) | Self::RenewToken(_) | Self::Narrow(_) => WhoCanFix::Operator,
            Self::Wait { .. } | Self::Skip(_) | Self::Refused(_) | Self::Contract(_) => WhoCanFix::Bank,
        }
    }
}

/// A code that a bank wrote: up to 64 letters, `_`, `.`, `-` and at most four digits, so that no account number passes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BankCode(String);

impl BankCode {
    /// The code, if it looks like one.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        ((1..=64).contains(&text.len()) && plain && digits <= 4).then(|| Self(text.to_owned()))
    }

    /// The code as the bank wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
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
    /// JSON that ends early or is no JSON after all.
    #[error("the JSON is damaged at line {line}, column {column}")]
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

/// Codes of NextGenPSD2 1.3.x §14.11, of RFC 6750 §3.1 and of common bank-side products. A code means the same under
/// every status: the files list several for one code and banks add more.
const CODES: &[(&str, Means)] = &[
    ("ACCESS_EXCEEDED", Means::WaitForTomorrow),
    ("CERTIFICATE_BLOCKED", Means::Operator),
    ("CERTIFICATE_EXPIRED", Means::Operator),
    ("CERTIFICATE_INVALID", Means::Operator),
    ("CERTIFICATE_MISSING", Means::Operator),
    ("CERTIFICATE_REVOKE", Means::Operator),
    ("CERTIFICATE_REVOKED", Means::Operator),
    ("CONSENT_EXPIRED", Means::AskStatus),
    ("CONSENT_INVALID", Means::AskStatus),
    ("CONSENT_UNKNOWN", Means::AskStatus),
    ("CORPORATE_ID_INVALID", Means::AskUser),
    ("FORMAT_ERROR", Means::Refused),
    ("INSUFFICIENT_SCOPE", Means::AskStatus),
    ("INVALID_TOKEN", Means::RenewToken),
    ("PARAMETER_NOT_CONSISTENT", Means::Refused),
    ("PARAMETER_NOT_SUPPORTED", Means::Skip),
    ("PERIOD_INVALID", Means::Narrow),
    ("PSU_CREDENTIALS_INVALID", Means::AskUser),
    ("REQUESTED_FORMATS_INVALID", Means::Skip),
    ("RESOURCE_BLOCKED", Means::AskUser),
    ("RESOURCE_EXPIRED", Means::Skip),
    ("RESOURCE_UNKNOWN", Means::Skip),
    ("ROLE_INVALID", Means::Operator),
    ("SCA_INVALID", Means::AskUser),
    ("SCA_METHOD_UNKNOWN", Means::AskUser),
    ("SERVICE_BLOCKED", Means::AskUser),
    ("SERVICE_INVALID", Means::Skip),
    ("SERVICE_UNAVAILABLE", Means::Wait),
    ("SESSIONS_NOT_SUPPORTED", Means::Skip),
    ("SIGNATURE_INVALID", Means::Operator),
    ("SIGNATURE_MISSING", Means::Operator),
    ("STATUS_INVALID", Means::AskStatus),
    ("TIMESTAMP_INVALID", Means::Refused),
    ("TOKEN_EXPIRED", Means::RenewToken),
    ("TOKEN_INVALID", Means::RenewToken),
    ("TOKEN_UNKNOWN", Means::RenewToken),
    ("UNAUTHORIZED", Means::RenewToken),
];

/// What a problem means by the standard's tables. A server error is the bank's trouble whatever code it carries.
pub(crate) fn meaning(problem: &BankProblem) -> Means {
    let of_status = match problem.status {
        401 => Means::RenewToken,
        403 | 409 => Means::AskStatus,
        404..=406 | 410 | 415 => Means::Skip,
        408 | 425 | 429 | 500..=599 => Means::Wait,
        _ => Means::Refused,
    };
    if problem.status >= 500 {
        return of_status;
    }
    let known = problem
        .code
        .as_ref()
        .and_then(|code| CODES.iter().find(|(known, _)| known.eq_ignore_ascii_case(code.as_str())));
    known.map_or(of_status, |(_, means)| *means)
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

    fn problem(status: u16, code: &str) -> BankProblem {
        BankProblem { status, code: BankCode::new(code), shape: Shape::TppMessages }
    }

    #[test]
    fn a_code_means_the_same_under_every_status_but_a_server_error_is_the_banks_trouble() {
        for (status, code, means) in [
            (400, "CONSENT_UNKNOWN", Means::AskStatus),
            (403, "CONSENT_UNKNOWN", Means::AskStatus),
            (401, "CONSENT_EXPIRED", Means::AskStatus),
            (401, "CONSENT_INVALID", Means::AskStatus),
            (401, "TOKEN_EXPIRED", Means::RenewToken),
            (401, "invalid_token", Means::RenewToken),
            (401, "CERTIFICATE_REVOKE", Means::Operator),
            (401, "NEVER_HEARD_OF", Means::RenewToken),
            (401, "", Means::RenewToken),
            (403, "", Means::AskStatus),
            (404, "RESOURCE_UNKNOWN", Means::Skip),
            (429, "ACCESS_EXCEEDED", Means::WaitForTomorrow),
            (429, "", Means::Wait),
            (400, "PERIOD_INVALID", Means::Narrow),
            (400, "FORMAT_ERROR", Means::Refused),
            (500, "CONSENT_INVALID", Means::Wait),
            (503, "", Means::Wait),
            (418, "", Means::Refused),
        ] {
            assert_eq!(meaning(&problem(status, code)), means, "{status} {code}");
        }
    }

    #[test]
    fn only_what_looks_like_a_code_is_kept() {
        for good in ["CONSENT_EXPIRED", "UK.OBIE.Reauthenticate", "U028", "invalid_token"] {
            assert_eq!(BankCode::new(good).map(|code| code.as_str().to_owned()).as_deref(), Some(good));
        }
        for bad in ["", "DE02120300000000202051", "Erika Mustermann", "a\nb", "<b>", &"X".repeat(65)] {
            assert_eq!(BankCode::new(bad), None, "{bad}");
        }
    }
}
