//! What codes and statuses mean, standard by standard, as data.

use super::{BankProblem, Means};
use crate::profile::Standard;

/// RFC 6750 §3.1, which holds for every standard.
const OF_TOKENS: &[(&str, Means)] = &[
    ("INSUFFICIENT_SCOPE", Means::AskStatus),
    ("INVALID_TOKEN", Means::RenewToken),
    ("UNAUTHORIZED", Means::RenewToken),
];

/// Codes of NextGenPSD2 1.3.x §14.11 and of common bank-side products. A code means the same under
/// every status: the files list several for one code and banks add more.
const BERLIN_GROUP: &[(&str, Means)] = &[
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
];

/// UK Open Banking 3.1, OBErrorResponseError1, and the numbers that 4.0 has in their place.
const OPEN_BANKING_UK: &[(&str, Means)] = &[
    ("U011", Means::Skip),
    ("U028", Means::AskUser),
    ("U029", Means::AskStatus),
    ("UK.OBIE.Reauthenticate", Means::AskUser),
    ("UK.OBIE.Resource.ConsentMismatch", Means::AskStatus),
    ("UK.OBIE.Resource.InvalidConsentStatus", Means::AskStatus),
    ("UK.OBIE.Resource.InvalidFormat", Means::Refused),
    ("UK.OBIE.Resource.NotFound", Means::Skip),
    ("UK.OBIE.Signature.Invalid", Means::Operator),
    ("UK.OBIE.Signature.InvalidClaim", Means::Operator),
    ("UK.OBIE.Signature.Malformed", Means::Operator),
    ("UK.OBIE.Signature.Missing", Means::Operator),
    ("UK.OBIE.Signature.MissingClaim", Means::Operator),
    ("UK.OBIE.Signature.Unexpected", Means::Operator),
    ("UK.OBIE.UnexpectedError", Means::Wait),
];

/// Consumer Data Standards 1, error codes: what stands behind `urn:au-cds:error:…:`.
const CONSUMER_DATA_RIGHT: &[(&str, Means)] = &[
    ("Authorisation/AdrStatusNotActive", Means::Operator),
    ("Authorisation/InvalidArrangement", Means::AskStatus),
    ("Authorisation/InvalidBankingAccount", Means::Skip),
    ("Authorisation/InvalidConsent", Means::AskStatus),
    ("Authorisation/RevokedConsent", Means::AskStatus),
    ("Authorisation/UnavailableBankingAccount", Means::Skip),
    ("Field/InvalidDateTime", Means::Refused),
    ("GeneralError/Expected", Means::Refused),
    ("GeneralError/Unexpected", Means::Wait),
    ("Header/UnsupportedVersion", Means::Skip),
    ("Resource/Invalid", Means::Skip),
    ("Resource/NotFound", Means::Skip),
    ("Resource/NotImplemented", Means::Skip),
    ("Resource/Unavailable", Means::Skip),
    ("Service/Unavailable", Means::Wait),
];

/// Open Finance Brasil: what 403 says of an account that its holders have not all released, or that is away for a time.
const OPEN_FINANCE_BRASIL: &[(&str, Means)] =
    &[("status_RESOURCE_PENDING_AUTHORISATION", Means::Skip), ("status_RESOURCE_TEMPORARILY_UNAVAILABLE", Means::Skip)];

/// FDX, error entity.
const FINANCIAL_DATA_EXCHANGE: &[(&str, Means)] = &[
    ("500", Means::Wait),
    ("501", Means::Wait),
    ("503", Means::Wait),
    ("601", Means::AskStatus),
    ("602", Means::AskStatus),
    ("701", Means::Skip),
    ("702", Means::Narrow),
    ("703", Means::Narrow),
    ("704", Means::Skip),
    ("705", Means::Skip),
];

/// Enable Banking, ErrorCode. Of what it says with 401, `EXPIRED_SESSION` and its like alone are about the session.
const ENABLE_BANKING: &[(&str, Means)] = &[
    ("ACCESS_DENIED", Means::AskUser),
    ("ACCOUNT_DOES_NOT_EXIST", Means::Skip),
    ("ASPSP_ACCOUNT_NOT_ACCESSIBLE", Means::Skip),
    ("ASPSP_ERROR", Means::Wait),
    ("ASPSP_PSU_ACTION_REQUIRED", Means::AskUser),
    ("ASPSP_RATE_LIMIT_EXCEEDED", Means::WaitForTomorrow),
    ("ASPSP_TIMEOUT", Means::Wait),
    ("ASPSP_UNAUTHORIZED_ACCESS", Means::AskStatus),
    ("CLOSED_SESSION", Means::AskStatus),
    ("DATE_FROM_IN_FUTURE", Means::Refused),
    ("EXPIRED_SESSION", Means::AskStatus),
    ("PSU_HEADER_INVALID", Means::Refused),
    ("PSU_HEADER_NOT_PROVIDED", Means::Refused),
    ("REDIRECT_URI_NOT_ALLOWED", Means::Operator),
    ("REVOKED_SESSION", Means::AskStatus),
    ("SESSION_DOES_NOT_EXIST", Means::AskStatus),
    ("TRANSACTION_DOES_NOT_EXIST", Means::Skip),
    ("UNAUTHORIZED_ACCESS", Means::Operator),
    ("WRONG_CONTINUATION_KEY", Means::Refused),
    ("WRONG_DATE_INTERVAL", Means::Narrow),
    ("WRONG_TRANSACTIONS_PERIOD", Means::Narrow),
];

/// Codes of a standard.
const fn codes(standard: Standard) -> &'static [(&'static str, Means)] {
    match standard {
        Standard::BerlinGroup => BERLIN_GROUP,
        Standard::OpenBankingUk => OPEN_BANKING_UK,
        Standard::ConsumerDataRight => CONSUMER_DATA_RIGHT,
        Standard::OpenFinanceBrasil => OPEN_FINANCE_BRASIL,
        Standard::FinancialDataExchange => FINANCIAL_DATA_EXCHANGE,
        Standard::EnableBanking => ENABLE_BANKING,
        Standard::Stet | Standard::PolishApi => &[],
    }
}

/// What a status means where no code is known. 423 is the month's allowance in Brazil.
const fn of_status(status: u16) -> Means {
    match status {
        401 => Means::RenewToken,
        403 | 409 => Means::AskStatus,
        404..=406 | 410 | 415 => Means::Skip,
        408 | 425 | 429 | 500..=599 => Means::Wait,
        423 => Means::WaitForTomorrow,
        _ => Means::Refused,
    }
}

/// What a problem means by the standard's tables. A server error is the bank's trouble whatever code it carries.
pub(crate) fn meaning(standard: Standard, problem: &BankProblem) -> Means {
    let of_status = of_status(problem.status);
    if problem.status >= 500 {
        return of_status;
    }
    let Some(code) = &problem.code else { return of_status };
    let mut known = codes(standard).iter().chain(OF_TOKENS);
    let hit = known.find(|(known, _)| known.eq_ignore_ascii_case(code.last_part()));
    hit.map_or(of_status, |(_, means)| *means)
}

#[cfg(test)]
mod tests {
    use super::super::{BankCode, Shape};
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
            assert_eq!(meaning(Standard::BerlinGroup, &problem(status, code)), means, "{status} {code}");
        }
    }

    #[test]
    fn every_standard_has_words_of_its_own() {
        for (standard, status, code, means) in [
            (Standard::OpenBankingUk, 403, "UK.OBIE.Reauthenticate", Means::AskUser),
            (Standard::OpenBankingUk, 400, "U011", Means::Skip),
            (Standard::OpenBankingUk, 403, "", Means::AskStatus),
            (
                Standard::ConsumerDataRight,
                404,
                "urn:au-cds:error:cds-banking:Authorisation/InvalidBankingAccount",
                Means::Skip,
            ),
            (
                Standard::ConsumerDataRight,
                403,
                "urn:au-cds:error:cds-all:Authorisation/AdrStatusNotActive",
                Means::Operator,
            ),
            (Standard::OpenFinanceBrasil, 403, "status_RESOURCE_PENDING_AUTHORISATION", Means::Skip),
            (Standard::OpenFinanceBrasil, 423, "", Means::WaitForTomorrow),
            (Standard::OpenFinanceBrasil, 529, "", Means::Wait),
            (Standard::FinancialDataExchange, 400, "703", Means::Narrow),
            (Standard::EnableBanking, 401, "EXPIRED_SESSION", Means::AskStatus),
            (Standard::EnableBanking, 401, "SOMETHING_ELSE", Means::RenewToken),
            (Standard::EnableBanking, 422, "WRONG_TRANSACTIONS_PERIOD", Means::Narrow),
            (Standard::EnableBanking, 429, "ASPSP_RATE_LIMIT_EXCEEDED", Means::WaitForTomorrow),
            (Standard::Stet, 401, "invalid_token", Means::RenewToken),
            (Standard::Stet, 400, "PERIOD_INVALID", Means::Refused),
        ] {
            assert_eq!(meaning(standard, &problem(status, code)), means, "{standard:?} {status} {code}");
        }
    }
}
