//! What an ecosystem adds to the authorisation server and in what shape it keeps consents and accounts, as data. Nothing
//! else in this crate asks for a country.

use serde_json::{Value, json};

use crate::books::{Consent, ConsentStatus};
use crate::data::Account;

/// What in an authorisation request names the consent that is to be authorised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy {
    /// A scope with this beginning.
    Scope(&'static str),
    /// An essential claim of the ID token with this name (OIDC Core §5.5.1); the ID token repeats it.
    Claim(&'static str),
    /// Nothing: the request itself makes an arrangement, or names the one that it changes (`cdr_arrangement_id`), and says
    /// for how many seconds data are shared (`sharing_duration`).
    Arrangement,
}

/// A header that resource calls must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Any value.
    Any(&'static str),
    /// A UUID (RFC 9562), also checked where it is not needed.
    Uuid(&'static str),
    /// A date of HTTP (RFC 9110 §5.6.7).
    Date(&'static str),
}

/// How the bank keeps consents and lists accounts. Pointers are those of RFC 6901.
#[derive(Clone, Copy)]
pub struct Resources {
    /// Path of the consents; absent where requests make them.
    pub consents: Option<&'static str>,
    /// What an id of a consent begins with.
    pub consent_prefix: &'static str,
    /// Where a request for a consent lists permissions: one or more texts.
    pub permissions: &'static str,
    /// Where it says when the consent shall end, if it does.
    pub expires: &'static str,
    /// The answer about a consent.
    pub consent: fn(&Shown<'_>) -> Value,
    /// Path of the list of accounts.
    pub accounts: &'static str,
    /// One account in that list, by its id.
    pub account: fn(&Account, &str) -> Value,
    /// The list.
    pub list: fn(Vec<Value>) -> Value,
    /// An error: a code of the bank's and a sentence.
    pub error: fn(&str, &str) -> Value,
    /// Headers of every call.
    pub headers: &'static [Header],
}

/// Holds functions: `Debug` shows the paths.
impl std::fmt::Debug for Resources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Resources");
        shown.field("consents", &self.consents).field("accounts", &self.accounts).finish_non_exhaustive()
    }
}

/// A consent as an answer shows it.
#[derive(Debug)]
pub struct Shown<'a> {
    id: &'a str,
    status: ConsentStatus,
    asked: &'a Value,
    created: String,
}

impl<'a> Shown<'a> {
    pub(crate) fn of(id: &'a str, consent: &'a Consent) -> Self {
        Self { id, status: consent.status, asked: &consent.asked_json, created: consent.created.to_string() }
    }

    /// The word for its status: waiting, given, refused, over.
    fn status(&self, words: [&'static str; 4]) -> &'static str {
        let [waiting, given, refused, over] = words;
        match self.status {
            ConsentStatus::Received | ConsentStatus::PartiallyAuthorised => waiting,
            ConsentStatus::Valid => given,
            ConsentStatus::Rejected => refused,
            ConsentStatus::RevokedByPsu | ConsentStatus::Expired | ConsentStatus::TerminatedByTpp => over,
        }
    }
}

/// An ecosystem.
#[derive(Debug, Clone, Copy)]
pub struct Ecosystem {
    /// What names a consent in a request.
    pub named_by: NamedBy,
    /// Scopes that a request may hold beside that.
    pub scopes: &'static [&'static str],
    /// Scopes of tokens that clients get for themselves (RFC 6749 §4.4).
    pub own_scopes: &'static [&'static str],
    /// How strongly its customers sign in: `acr` must be asked for as essential, and the ID token says it.
    pub acr: Option<&'static str>,
    /// Whether the request must name the value; else it must name none.
    pub acr_is_named: bool,
    /// Signature algorithms of everybody; the bank signs with the first.
    pub algorithms: &'static [&'static str],
    /// Whether an ID token comes beside the code, pushed or not (`code id_token`).
    pub hybrid: bool,
    /// Whether a response with a code alone must be signed (JARM).
    pub signed_responses: bool,
    /// Whether ID tokens are encrypted to the client (RSA-OAEP, A256GCM).
    pub encrypted_id_tokens: bool,
    /// Consents and accounts; absent: those of the Berlin Group.
    pub resources: Option<Resources>,
}

/// NextGenPSD2 with FAPI 2.0 Message Signing's signed requests.
pub const BERLIN_GROUP: Ecosystem = Ecosystem {
    named_by: NamedBy::Scope("AIS:"),
    scopes: &["openid", "offline_access"],
    own_scopes: &["ais"],
    acr: None,
    acr_is_named: false,
    algorithms: &["ES256", "PS256", "EdDSA"],
    hybrid: false,
    signed_responses: false,
    encrypted_id_tokens: false,
    resources: None,
};

/// UK Open Banking 3.1: account-access consents, named by a claim.
pub const OPEN_BANKING_UK: Ecosystem = Ecosystem {
    named_by: NamedBy::Claim("openbanking_intent_id"),
    scopes: &["openid", "accounts"],
    own_scopes: &["accounts"],
    acr: Some("urn:openbanking:psd2:sca"),
    acr_is_named: true,
    algorithms: &["PS256", "ES256"],
    hybrid: true,
    resources: Some(Resources {
        consents: Some("/open-banking/v3.1/aisp/account-access-consents"),
        consent_prefix: "aac-",
        permissions: "/Data/Permissions",
        expires: "/Data/ExpirationDateTime",
        consent: |shown| {
            let status = shown.status(["AwaitingAuthorisation", "Authorised", "Rejected", "Revoked"]);
            let mut answer = shown.asked.clone();
            answer["Data"]["ConsentId"] = shown.id.into();
            answer["Data"]["Status"] = status.into();
            answer["Data"]["CreationDateTime"] = shown.created.as_str().into();
            answer["Data"]["StatusUpdateDateTime"] = shown.created.as_str().into();
            answer
        },
        accounts: "/open-banking/v3.1/aisp/accounts",
        account: |account, id| {
            json!({
                "AccountId": id,
                "Currency": account.opening.currency().code(),
                "AccountType": "Personal",
                "AccountSubType": if account.cash_account_type == "SVGS" { "Savings" } else { "CurrentAccount" },
                "Nickname": account.name,
                "Account": [{
                    "SchemeName": "UK.OBIE.IBAN", "Identification": account.iban, "Name": account.owner_name,
                }],
            })
        },
        list: |accounts| json!({ "Data": { "Account": accounts }, "Links": {}, "Meta": { "TotalPages": 1 } }),
        error: |code, text| json!({ "Code": code, "Errors": [{ "ErrorCode": code, "Message": text }] }),
        headers: &[],
    }),
    ..BERLIN_GROUP
};

/// The Australian Consumer Data Right: arrangements, signed responses, versions in headers.
pub const CONSUMER_DATA_RIGHT: Ecosystem = Ecosystem {
    named_by: NamedBy::Arrangement,
    scopes: &["openid", "profile", "bank:accounts.basic:read", "bank:transactions:read"],
    own_scopes: &["cdr:registration"],
    acr: Some("urn:cds.au:cdr:2"),
    acr_is_named: true,
    algorithms: &["PS256", "ES256"],
    signed_responses: true,
    resources: Some(Resources {
        consents: None,
        consent_prefix: "",
        permissions: "",
        expires: "",
        consent: |_| Value::Null,
        accounts: "/cds-au/v1/banking/accounts",
        account: |account, id| {
            json!({
                "accountId": id,
                "displayName": account.name,
                "maskedNumber": account.iban.get(account.iban.len().saturating_sub(4)..).unwrap_or_default(),
                "productCategory": "TRANS_AND_SAVINGS_ACCOUNTS",
                "productName": account.product,
            })
        },
        list: |accounts| {
            let total = accounts.len();
            json!({ "data": { "accounts": accounts }, "links": {}, "meta": { "totalRecords": total, "totalPages": 1 } })
        },
        error: |code, text| json!({ "errors": [{ "code": code, "title": code, "detail": text }] }),
        headers: &[Header::Any("x-v"), Header::Uuid("x-fapi-interaction-id"), Header::Date("x-fapi-auth-date")],
    }),
    ..BERLIN_GROUP
};

/// Open Finance Brasil: consents named by a scope, encrypted ID tokens, PS256 alone.
pub const OPEN_FINANCE_BRASIL: Ecosystem = Ecosystem {
    named_by: NamedBy::Scope("consent:"),
    scopes: &["openid", "accounts", "customers"],
    own_scopes: &["consents"],
    acr: Some("urn:brasil:openbanking:loa2"),
    acr_is_named: false,
    algorithms: &["PS256"],
    hybrid: true,
    encrypted_id_tokens: true,
    resources: Some(Resources {
        consents: Some("/open-banking/consents/v3/consents"),
        consent_prefix: "urn:musterbanco:",
        permissions: "/data/permissions",
        expires: "/data/expirationDateTime",
        consent: |shown| {
            let status = shown.status(["AWAITING_AUTHORISATION", "AUTHORISED", "REJECTED", "REJECTED"]);
            json!({
                "data": {
                    "consentId": shown.id,
                    "status": status,
                    "permissions": shown.asked.pointer("/data/permissions"),
                    "creationDateTime": shown.created,
                    "statusUpdateDateTime": shown.created,
                },
                "links": {},
                "meta": { "requestDateTime": shown.created },
            })
        },
        accounts: "/open-banking/accounts/v2/accounts",
        account: |account, id| {
            json!({
                "accountId": id,
                "brandName": account.product,
                "type": if account.cash_account_type == "SVGS" { "CONTA_POUPANCA" } else { "CONTA_DEPOSITO_A_VISTA" },
                "number": account.iban,
            })
        },
        list: |accounts| {
            let total = accounts.len();
            json!({ "data": accounts, "links": {}, "meta": { "totalRecords": total, "totalPages": 1 } })
        },
        error: |code, text| json!({ "errors": [{ "code": code, "title": code, "detail": text }] }),
        headers: &[Header::Uuid("x-fapi-interaction-id")],
    }),
    ..BERLIN_GROUP
};
