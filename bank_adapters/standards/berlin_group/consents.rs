//! The consent resource (Implementation Guidelines §6.3, §6.4).

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::href;
use crate::answer::{ConsentState, Ended, Granted, GrantedAccess, Links, Opened, ScaApproach};
use crate::ask::{Access, AccountReference, BankConsentId, ConsentAsk};
use crate::error::{BankCode, BankError, Breach, Shape};
use crate::links::{Base, browsable};
use crate::profile::{AllAccounts, ConsentSection, Profile, Standard};
use crate::statuses;
use crate::wire::{Answer, Reply, problem};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireAsk {
    access: WireAskedAccess,
    recurring_indicator: bool,
    valid_until: String,
    frequency_per_day: u8,
    combined_service_indicator: bool,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct WireAskedAccess {
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<Vec<WireReference>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balances: Option<Vec<WireReference>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transactions: Option<Vec<WireReference>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    all_psd2: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_information: Option<WireAdditional>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireAdditional {
    owner_name: Vec<WireReference>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireReference {
    #[serde(skip_serializing_if = "Option::is_none")]
    iban: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bban: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    masked_pan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    msisdn: Option<String>,
    /// `other` since 1.3.11, with the identification inside.
    #[serde(skip_serializing)]
    other: Option<WireOther>,
    /// `otherAccountIdentification` in 1.3.9.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_account_identification: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
}

#[derive(Clone, Deserialize)]
struct WireOther {
    identification: Option<String>,
}

impl From<&AccountReference> for WireReference {
    fn from(reference: &AccountReference) -> Self {
        let AccountReference { iban, bban, masked_pan, msisdn, other, currency } = reference.clone();
        Self { iban, bban, masked_pan, msisdn, other: None, other_account_identification: other, currency }
    }
}

impl From<WireReference> for AccountReference {
    fn from(wire: WireReference) -> Self {
        let WireReference { iban, bban, masked_pan, msisdn, other, other_account_identification, currency } = wire;
        let other = other.and_then(|other| other.identification).or(other_account_identification);
        Self { iban, bban, masked_pan, msisdn, other, currency }
    }
}

/// The body of `POST /v1/consents`.
pub(super) fn body(ask: &ConsentAsk, habits: &ConsentSection) -> Bytes {
    let listed = |references: &[AccountReference]| {
        let references: Vec<_> = references.iter().map(WireReference::from).collect();
        WireAskedAccess {
            balances: ask.clusters.balances.then(|| references.clone()),
            transactions: ask.clusters.transactions.then(|| references.clone()),
            additional_information: habits.owner_name.then(|| WireAdditional { owner_name: references.clone() }),
            accounts: Some(references),
            all_psd2: None,
        }
    };
    let all = if habits.owner_name { "allAccountsWithOwnerName" } else { "allAccounts" };
    let access = match (&ask.access, habits.all_accounts) {
        (Access::Accounts(references), _) => listed(references),
        (Access::AllAccounts, AllAccounts::BankOffered) => listed(&[]),
        (Access::AllAccounts, AllAccounts::AllPsd2) => {
            WireAskedAccess { all_psd2: Some(all), ..WireAskedAccess::default() }
        }
    };
    let ask = WireAsk {
        access,
        recurring_indicator: ask.recurring,
        valid_until: ask.valid_until.to_string(),
        frequency_per_day: ask.frequency_per_day.max(1),
        combined_service_indicator: false,
    };
    serde_json::to_vec(&ask).expect("text, numbers and flags are JSON").into()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireOpened<'a> {
    consent_id: Option<String>,
    consent_status: Option<String>,
    valid_until: Option<String>,
    #[serde(borrow, rename = "_links")]
    links: Option<&'a RawValue>,
    #[serde(borrow)]
    tpp_messages: Option<&'a RawValue>,
}

impl Answer for WireOpened<'_> {
    fn messages(&self) -> Option<&RawValue> {
        self.tpp_messages
    }
}

/// The answer to `POST /v1/consents`.
pub(super) fn opened(reply: &Reply, base: &Base) -> Result<Opened, BankError> {
    let wire: WireOpened<'_> = reply.read()?;
    let consent = wire.consent_id.as_deref().and_then(|id| BankConsentId::new(id).ok());
    let consent = consent.ok_or_else(|| reply.broken(Breach::Field("consentId")))?;
    let link = |name: &'static str| {
        let url = href(wire.links, name).map(|text| base.resolve(&text?).filter(browsable).ok_or(Breach::Field(name)));
        url.transpose().map_err(|breach| reply.broken(breach))
    };
    let approach = reply.header("aspsp-sca-approach").and_then(|word| match word.to_ascii_uppercase().as_str() {
        "REDIRECT" => Some(ScaApproach::Redirect),
        "DECOUPLED" => Some(ScaApproach::Decoupled),
        "EMBEDDED" => Some(ScaApproach::Embedded),
        _ => None,
    });
    Ok(Opened {
        consent,
        state: state(reply, wire.consent_status.as_deref())?,
        valid_until: day(reply, wire.valid_until.as_deref(), "validUntil")?,
        approach,
        links: Links { sca_redirect: link("scaRedirect")?, sca_oauth: link("scaOAuth")? },
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStatus<'a> {
    consent_status: Option<String>,
    #[serde(borrow)]
    tpp_messages: Option<&'a RawValue>,
}

impl Answer for WireStatus<'_> {
    fn messages(&self) -> Option<&RawValue> {
        self.tpp_messages
    }
}

/// The answer to `GET /v1/consents/{id}/status`. That the bank does not know the consent is an answer too, if the bank
/// says so itself; a bare 404 may come from a gateway and says nothing.
pub(super) fn status(reply: Result<Reply, BankError>) -> Result<ConsentState, BankError> {
    match reply {
        Ok(reply) => state(&reply, reply.read::<WireStatus<'_>>()?.consent_status.as_deref()),
        Err(BankError::AskStatus(problem) | BankError::Skip(problem))
            if matches!(problem.status, 403 | 404)
                && problem
                    .code
                    .as_ref()
                    .is_some_and(|code| matches!(code.as_str(), "CONSENT_UNKNOWN" | "RESOURCE_UNKNOWN")) =>
        {
            Ok(ConsentState::NotFound)
        }
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireGranted<'a> {
    access: Option<WireGrantedAccess>,
    recurring_indicator: Option<bool>,
    valid_until: Option<String>,
    frequency_per_day: Option<u32>,
    last_action_date: Option<String>,
    consent_status: Option<String>,
    #[serde(borrow)]
    tpp_messages: Option<&'a RawValue>,
}

impl Answer for WireGranted<'_> {
    fn messages(&self) -> Option<&RawValue> {
        self.tpp_messages
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireGrantedAccess {
    accounts: Option<Vec<WireReference>>,
    balances: Option<Vec<WireReference>>,
    transactions: Option<Vec<WireReference>>,
    all_psd2: Option<String>,
    available_accounts: Option<String>,
    #[serde(alias = "availableAccountsWithBalances")]
    available_accounts_with_balance: Option<String>,
}

/// The answer to `GET /v1/consents/{id}`.
pub(super) fn granted(reply: &Reply) -> Result<Granted, BankError> {
    let wire: WireGranted<'_> = reply.read()?;
    let access = wire.access.ok_or_else(|| reply.broken(Breach::Field("access")))?;
    let references = |wires: Option<Vec<WireReference>>| -> Vec<AccountReference> {
        wires.unwrap_or_default().into_iter().map(AccountReference::from).collect()
    };
    let list_only = access.available_accounts.is_some() || access.available_accounts_with_balance.is_some();
    let listed = GrantedAccess::Listed {
        accounts: references(access.accounts),
        balances: references(access.balances),
        transactions: references(access.transactions),
    };
    Ok(Granted {
        state: state(reply, wire.consent_status.as_deref())?,
        access: match access.all_psd2 {
            Some(_) => GrantedAccess::All,
            None if list_only => GrantedAccess::ListOnly,
            None => listed,
        },
        valid_until: day(reply, wire.valid_until.as_deref(), "validUntil")?,
        frequency_per_day: wire.frequency_per_day,
        recurring: wire.recurring_indicator,
        last_action: day(reply, wire.last_action_date.as_deref(), "lastActionDate")?,
    })
}

/// The answer to `DELETE /v1/consents/{id}`: 204 by the standard, 202 or 200 with a body at some banks.
pub(super) fn ended(profile: Arc<Profile>, response: Response<Bytes>, now: Timestamp) -> Result<Ended, BankError> {
    let problem = problem(response.status(), response.body());
    match response.status() {
        StatusCode::NO_CONTENT => return Ok(Ended::Gone),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(Ended::Unproven(problem)),
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            let by_the_api = matches!(problem.shape, Shape::TppMessages | Shape::Problem | Shape::Empty);
            return Ok(if by_the_api { Ended::Gone } else { Ended::Unproven(problem) });
        }
        status if status.is_success() && problem.shape == Shape::Empty => return Ok(Ended::Accepted),
        _ => {}
    }
    let reply = Reply::open(profile, response, now)?;
    let wire: WireStatus<'_> = reply.read()?;
    let over = match wire.consent_status {
        Some(word) => state(&reply, Some(&word))?.is_terminal(),
        None => false,
    };
    Ok(if over { Ended::Gone } else { Ended::Accepted })
}

/// The state of a word.
fn state(reply: &Reply, word: Option<&str>) -> Result<ConsentState, BankError> {
    let missing = || reply.broken(Breach::Field("consentStatus"));
    let word = word.ok_or_else(missing)?;
    match statuses::meaning(Standard::BerlinGroup, word) {
        Some(state) => Ok(state),
        None => BankCode::new(word).map(ConsentState::Unrecognised).ok_or_else(missing),
    }
}

/// A calendar day, or nothing where there is nothing.
fn day(reply: &Reply, text: Option<&str>, name: &'static str) -> Result<Option<Date>, BankError> {
    text.map(|text| text.parse().map_err(|_| reply.broken(Breach::Field(name)))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::Clusters;

    const PROFILE: &str = include_str!("../../profiles/de/de_musterbank.toml");

    #[test]
    fn all_accounts_are_asked_as_the_bank_has_it() {
        let ask = ConsentAsk {
            access: Access::AllAccounts,
            clusters: Clusters { balances: true, transactions: false },
            valid_until: jiff::civil::date(9999, 12, 31),
            recurring: true,
            frequency_per_day: 0,
            user_document: None,
            login_name: None,
            state: None,
            redirect_uri: "https://tributary.example/callback".parse().unwrap(),
            nok_redirect_uri: None,
            notification_uri: None,
        };
        for (all, owner, access) in [
            ("bank_offered", "true", r#"{"accounts":[],"balances":[],"additionalInformation":{"ownerName":[]}}"#),
            ("bank_offered", "false", r#"{"accounts":[],"balances":[]}"#),
            ("all_psd2", "true", r#"{"allPsd2":"allAccountsWithOwnerName"}"#),
            ("all_psd2", "false", r#"{"allPsd2":"allAccounts"}"#),
        ] {
            let text =
                PROFILE.replace("bank_offered", all).replace("owner_name = true", &format!("owner_name = {owner}"));
            let profile = Profile::parse("de_musterbank.toml", &text).unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body(&ask, &profile.consent)).unwrap();
            assert_eq!(body["access"], serde_json::from_str::<serde_json::Value>(access).unwrap());
            assert_eq!((body["validUntil"].as_str(), body["frequencyPerDay"].as_u64()), (Some("9999-12-31"), Some(1)));
        }
    }
}
