//! A profile: everything that is a fact about one bank, as one TOML file with its sources.
//!
//! Unknown keys are refused. The text that explains a key to the author of a file ([`explain`]) is the text that
//! documents the field here.

mod values;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use domain::ids::InstitutionId;
use domain::rules::{Rules, SignRule};
use fapi::profile::{
    Alg, Audience, ClientAuth, GrantedScope, IdTokenEncryption, IssuerParameter, RegistrationForm, RequestForm,
    ResponseForm, Security, TokenBinding, TokenDelivery,
};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use self::values::{
    algs, audience, binding, client_auth, date, granted_scope, id_token_encryption, institution_id, issuer_parameter,
    registration, request, response, rules, security, token_delivery,
};
use crate::ask::{Authorization, BankConsentId, BookingStatus};
use crate::endpoints::{self, Endpoints, Environment};
use crate::error::{BankProblem, Means};
use crate::institutions::Institution;
use crate::quirks::Quirk;
use crate::settings::{Explained, Findings, Source, tables};

tables! {
    /// A bank.
    "" => Profile {
        /// Who the bank is.
        bank: Bank,
        /// Where its API and its authorisation server are, per environment (`sandbox`, `production`). Optional at the level
        /// `docs`: a registration then says where.
        #[serde(default)]
        endpoints: BTreeMap<Environment, Endpoints>,
        /// How it authorises.
        security: SecuritySection,
        /// How every request is signed by our seal (QSealC), beside mutual TLS. Optional.
        signature: Option<SignatureSection>,
        /// Who stands between us and the bank, where somebody does. Optional.
        intermediary: Option<Intermediary>,
        /// How its consents behave.
        consent: ConsentSection,
        /// How accounts are listed. Optional.
        #[serde(default)]
        accounts: AccountsSection,
        /// How transactions are listed.
        transactions: TransactionsSection,
        /// What the bank counts.
        limits: LimitsSection,
        /// What its errors mean where they deviate from the standard. Optional.
        #[serde(default)]
        errors: Vec<ErrorRule>,
        /// Behaviours that are written in Rust, by name. Optional.
        #[serde(default)]
        quirks: BTreeSet<Quirk>,
        /// How its rows are read.
        #[serde(deserialize_with = "rules")]
        rules: Rules,
        /// Where all this is known from.
        evidence: Evidence,
    }

    /// Who the bank is.
    "bank" => Bank {
        /// Id in the directory, `[a-z0-9_]`, begins with the country: `de_musterbank`. The file has the same name.
        #[serde(deserialize_with = "institution_id")]
        id: InstitutionId,
        /// Name as users know it.
        name: String,
        /// ISO 3166-1 alpha-2 code, upper case.
        country: String,
        /// Standard of the API: `berlin-group`, `uk-open-banking`, `cdr`, `open-finance-brasil`, `stet`, `fdx`, `polish-api` or
        /// `enable-banking`.
        standard: Standard,
        /// Version of the standard as the bank states it.
        version: String,
        /// How sure we are: `docs` (read about it), `sandbox` (ran against its sandbox), `production` (runs).
        level: Level,
        /// BICs of the bank, 8 or 11 characters. Optional.
        #[serde(default)]
        bics: Vec<String>,
        /// Banks that are spoken to in the same way because they are on one platform. Optional.
        #[serde(default)]
        members: Vec<Members>,
    }

    /// Banks of one platform: those of a country to which all that is said here applies.
    "bank.members" => Members {
        /// ISO 3166-1 alpha-2 code, upper case.
        country: String,
        /// What their BICs begin with, at least four characters. Optional.
        bic: Option<String>,
        /// A word of their names, in any case. Optional.
        name: Option<String>,
    }

    /// How the bank authorises. The security profile sets every field; the others override it.
    "security" => SecuritySection {
        /// `fapi2-security`, `fapi2-message-signing`, `fapi1-advanced` or `oauth-pkce`.
        #[serde(deserialize_with = "security")]
        profile: Security,
        /// Client authentication: `private_key_jwt`, `tls_client_auth` or `self_signed_tls_client_auth`. Absent: the profile's.
        #[serde(default, deserialize_with = "client_auth")]
        client_auth: Option<ClientAuth>,
        /// What binds access tokens to us: `mtls`, `dpop` or `none`. Absent: the profile's.
        #[serde(default, deserialize_with = "binding")]
        binding: Option<TokenBinding>,
        /// Form of the request: `parameters` or `signed` (pushed), `signed_by_value` or `url` (by the browser). Absent: the profile's.
        #[serde(default, deserialize_with = "request")]
        request: Option<RequestForm>,
        /// Form of the authorisation response: `query`, `form_post`, `jarm`, `hybrid` or `hybrid_form_post`. Absent: the profile's.
        #[serde(default, deserialize_with = "response")]
        response: Option<ResponseForm>,
        /// Signature algorithms that are accepted: `PS256`, `ES256`, `EdDSA`. Absent: the profile's.
        #[serde(default, deserialize_with = "algs")]
        algs: Option<Vec<Alg>>,
        /// `aud` of client assertions: `issuer` or `token_endpoint`. Absent: the profile's.
        #[serde(default, deserialize_with = "audience")]
        audience: Option<Audience>,
        /// Whether the response must name its issuer: `required` or `if_announced`. Absent: the profile's.
        #[serde(default, deserialize_with = "issuer_parameter")]
        issuer_parameter: Option<IssuerParameter>,
        /// How strongly the PSU must sign in: `acr` values that are asked for and compared. Optional.
        acr_values: Option<Vec<String>>,
        /// Ask for `acr` without naming values, and want one. Absent: the profile's.
        acr_required: Option<bool>,
        /// Claim of the ID token that names the consent, compared on return (`openbanking_intent_id`). Optional.
        intent_claim: Option<String>,
        /// Claim that names the arrangement which authorisations belong to (`cdr_arrangement_id`). Optional.
        arrangement_claim: Option<String>,
        /// Claim that says for how long data are shared (`sharing_duration`). Optional.
        duration_claim: Option<String>,
        /// What is thought of a scope that nobody asked for: `asked` (refused) or `any`. Absent: the profile's.
        #[serde(default, deserialize_with = "granted_scope")]
        granted_scope: Option<GrantedScope>,
        /// Whether ID tokens must be encrypted: `accepted` or `required`. Absent: the profile's.
        #[serde(default, deserialize_with = "id_token_encryption")]
        id_token_encryption: Option<IdTokenEncryption>,
        /// How a decoupled login ends: `poll` or `ping`. Absent: the profile's.
        #[serde(default, deserialize_with = "token_delivery")]
        token_delivery: Option<TokenDelivery>,
        /// Form of a dynamic registration: `json`, `jose` or `jwt`. Absent: the profile's.
        #[serde(default, deserialize_with = "registration")]
        registration: Option<RegistrationForm>,
        /// Longest life of a pushed request's reference that is believed, in seconds. Absent: the profile's.
        request_uri_seconds_max: Option<NonZeroU32>,
        /// Scopes asked at every authorisation, beside the consent's. Optional.
        #[serde(default)]
        scopes: Vec<String>,
        /// Scope that ties the token to the consent; `{consent_id}` stands for the bank's id. Optional.
        consent_scope: Option<String>,
        /// `authorization_details` (RFC 9396) as a JSON array, with `{consent_id}`. Optional.
        authorization_details: Option<String>,
        /// Scope of the client credentials token that creates, reads and ends consents. Absent: those calls go without.
        client_scope: Option<String>,
    }

    /// How every request to the account interface is signed.
    "signature" => SignatureSection {
        /// `http` (NextGenPSD2: `Digest`, `Signature`, `TPP-Signature-Certificate`), `http_target` (the same over method, path
        /// and date, named by the client id), `stet`, or `jws` (detached, over the body).
        form: SignatureForm,
    }

    /// Who stands between us and the bank: what it keeps of the data that pass through it, nobody here can prove.
    "intermediary" => Intermediary {
        /// Its name, as a person is told it.
        name: String,
        /// What it calls the bank.
        aspsp: String,
    }

    /// How consents behave.
    "consent" => ConsentSection {
        /// How an authorisation completes: `token` (a code comes back that is redeemed for tokens), `code` (a code comes back
        /// that is redeemed for the consent itself), `status_poll` (nothing trustworthy comes back: status and granted access
        /// are read) or `decoupled` (the PSU confirms elsewhere while we poll).
        completion: Completion,
        /// How all accounts are asked of a Berlin Group bank: `all_psd2`, or `bank_offered` (empty lists; the PSU chooses
        /// at the bank). Default: bank_offered.
        #[serde(default)]
        all_accounts: AllAccounts,
        /// Ask for the owner's name with the accounts, where the bank gives it on request. Default: false.
        #[serde(default)]
        owner_name: bool,
        /// Longest life of a consent in days, today counted. The bank clips a longer one.
        max_days: u16,
        /// Days after which the bank wants strong authentication again, if it differs from the law. Optional.
        sca_days: Option<u16>,
        /// What a new consent does to the old: `same_id`, `overlap` or `replaces_on_authorise`.
        renewal: Renewal,
        /// Whether the bank tells us unasked that a consent has changed, at an address that is named when the consent is
        /// created (NextGenPSD2 Resource Status Notification Service). Default: false.
        #[serde(default)]
        status_push: bool,
    }

    /// How accounts are listed.
    #[derive(Default)]
    "accounts" => AccountsSection {
        /// Ask for balances within the list (`withBalance=true`). Default: false.
        #[serde(default)]
        with_balance: bool,
    }

    /// How transactions are listed.
    "transactions" => TransactionsSection {
        /// Values of `bookingStatus` that together give all rows, one call each, in order: `["both"]`, or
        /// `["booked", "pending"]`, or `["booked"]`.
        booking_status: Vec<BookingStatus>,
        /// The form that lists are asked in: `json`, or statements in `camt` or `mt940` where the bank gives nothing else.
        /// Default: json.
        #[serde(default)]
        form: ListForm,
        /// Days of history that are to be had at any time, today counted.
        history_days: u16,
        /// Days of history that are to be had right after strong authentication. Absent: no more than at any time.
        history_days_after_sca: Option<u16>,
        /// Minutes after strong authentication in which the long history is to be had. Absent: no hurry.
        history_minutes_after_sca: Option<u16>,
    }

    /// What the bank counts.
    "limits" => LimitsSection {
        /// Reads per day, consent and resource without the PSU.
        unattended_per_day: u8,
        /// Calls per second and TPP. Absent: no limit is known.
        calls_per_second: Option<u16>,
    }

    /// What an error of this bank means. The first line that matches decides, before the standard's tables.
    "errors" => ErrorRule {
        /// HTTP status that it is about. Absent: any.
        status: Option<u16>,
        /// Code that it is about, in any case. Absent: any, and none.
        code: Option<String>,
        /// `ask_user`, `ask_status`, `renew_token`, `wait`, `wait_for_tomorrow`, `narrow`, `skip`, `operator`, `refused`.
        means: Means,
    }

    /// How rows are read.
    "rules" => RulesSection {
        /// How the sign is told: `signed`, `indicator`, `inverted` or `either`. Default, and for `either`: as the standard
        /// has it.
        sign: Option<SignName>,
        /// `dot` or `comma`. Default: dot.
        decimal_mark: Option<MarkName>,
        /// IANA zone of the bank's calendar: `Europe/Berlin`.
        zone: String,
        /// Date layouts beside ISO 8601, as in strptime: `%d.%m.%Y`. Optional.
        #[serde(default)]
        date_layouts: Vec<String>,
        /// Named grammars for the remittance text, tried in order. Optional.
        #[serde(default)]
        grammars: Vec<String>,
        /// Names that the bank uses for itself; never a counterparty. Optional.
        #[serde(default)]
        own_names: Vec<String>,
    }

    /// Where all this is known from.
    "evidence" => Evidence {
        /// At least one: `{ about = "…", source = "https://… or a file", checked = 2026-11-21 }`.
        sources: Vec<Reference>,
    }

    /// One source.
    "evidence.sources" => Reference {
        /// The tables or keys that it proves.
        about: String,
        /// Address of the document, or path of a file in this project.
        source: String,
        /// Day on which somebody last compared it with this file.
        #[serde(deserialize_with = "date")]
        checked: Date,
    }
}

macro_rules! words {
    ($(
        $(#[doc = $about:literal])+
        $name:ident { $( $(#[doc = $text:literal])+ $word:literal = $variant:ident, )* }
    )+) => {$(
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        pub enum $name { $( $(#[doc = $text])+ #[serde(rename = $word)] $variant, )* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$( Self::$variant ),*];

            /// The value of a word.
            pub fn named(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }

            /// The word in the file.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )* }
            }
        }
    )+};
}

words! {
    /// Standards that an adapter speaks.
    Standard {
        /// NextGenPSD2 1.3.x of the Berlin Group.
        "berlin-group" = BerlinGroup,
        /// UK Open Banking 3.1 and 4.0.
        "uk-open-banking" = OpenBankingUk,
        /// Australian Consumer Data Right, Consumer Data Standards 1.
        "cdr" = ConsumerDataRight,
        /// Open Finance Brasil, consents 3 and accounts 2.
        "open-finance-brasil" = OpenFinanceBrasil,
        /// STET 1.4 to 2, France.
        "stet" = Stet,
        /// FDX 4 to 6, North America.
        "fdx" = FinancialDataExchange,
        /// Polish API 2.1 and 3.0.
        "polish-api" = PolishApi,
        /// Enable Banking: banks behind an intermediary.
        "enable-banking" = EnableBanking,
    }

    /// How sure we are of a profile.
    Level {
        /// From documents alone.
        "docs" = Docs,
        /// It ran against the bank's sandbox.
        "sandbox" = Sandbox,
        /// It runs in production.
        "production" = Production,
    }

    /// How requests are signed.
    SignatureForm {
        /// draft-cavage-http-signatures-10 as NextGenPSD2 1.3.x §12 has it.
        "http" = Http,
        /// The same over method, path and date, named by the client id.
        "http_target" = HttpTarget,
        /// The same as STET has it: with all that says something of the PSU, named by the address of the certificate.
        "stet" = Stet,
        /// A detached JWS over the body (RFC 7797).
        "jws" = Jws,
    }

    /// How an authorisation completes.
    Completion {
        /// A code comes back and is redeemed.
        "token" = Token,
        /// A code comes back and is redeemed for the consent; there are no tokens.
        "code" = Code,
        /// The status and the granted access are read after the browser returned.
        "status_poll" = StatusPoll,
        /// The PSU confirms on another device while the status is polled.
        "decoupled" = Decoupled,
    }

    /// How all accounts are asked.
    AllAccounts {
        /// `allPsd2: allAccounts`.
        "all_psd2" = AllPsd2,
        /// Empty lists: the PSU chooses at the bank.
        "bank_offered" = BankOffered,
    }

    /// What a new consent does to the old one of the same PSU.
    Renewal {
        /// The consent is authorised again under its id.
        "same_id" = SameId,
        /// Both live.
        "overlap" = Overlap,
        /// The old one ends at the moment the new one is authorised.
        "replaces_on_authorise" = ReplacesOnAuthorise,
    }

    /// The form of a list of transactions.
    ListForm {
        /// JSON, as the standard has it.
        "json" = Json,
        /// Reports and statements of ISO 20022: camt.052, camt.053.
        "camt" = Camt,
        /// Statements of SWIFT.
        "mt940" = Mt940,
    }

    /// How the sign of an amount is told, see [`SignRule`].
    SignName {
        /// By the amount.
        "signed" = Signed,
        /// By an indicator.
        "indicator" = Indicator,
        /// By the amount, the wrong way round.
        "inverted" = Inverted,
        /// By either.
        "either" = Either,
    }

    /// The decimal mark, see [`domain::rules::DecimalMark`].
    MarkName {
        /// A dot.
        "dot" = Dot,
        /// A comma.
        "comma" = Comma,
    }
}

impl Members {
    /// Whether an institution is one of them.
    pub fn include(&self, one: &Institution) -> bool {
        let word = |name: &String| one.name.to_lowercase().contains(&name.to_lowercase());
        one.country == self.country
            && self.bic.as_ref().is_none_or(|start| one.bics().any(|bic| bic.starts_with(start.as_str())))
            && self.name.as_ref().is_none_or(word)
    }
}

impl Standard {
    /// Whether consents are resources of their own. Where they are not, the authorisation is all that there is.
    pub const fn has_consents(self) -> bool {
        match self {
            Self::BerlinGroup | Self::OpenBankingUk | Self::OpenFinanceBrasil | Self::EnableBanking => true,
            Self::ConsumerDataRight | Self::Stet | Self::FinancialDataExchange | Self::PolishApi => false,
        }
    }

    /// How the sign of an amount is told where the bank's profile says nothing. Without its indicator the direction of an
    /// unsigned amount is not known: the doubt must be said.
    pub const fn sign(self) -> SignRule {
        match self {
            Self::OpenBankingUk
            | Self::FinancialDataExchange
            | Self::Stet
            | Self::OpenFinanceBrasil
            | Self::PolishApi
            | Self::EnableBanking => SignRule::Indicator,
            Self::BerlinGroup | Self::ConsumerDataRight => SignRule::Either,
        }
    }

    /// Whether consents are read with a token of our own at all times. Elsewhere the PSU's opens them, too.
    pub const fn consents_want_our_token(self) -> bool {
        match self {
            Self::OpenBankingUk | Self::OpenFinanceBrasil => true,
            Self::BerlinGroup
            | Self::ConsumerDataRight
            | Self::Stet
            | Self::FinancialDataExchange
            | Self::PolishApi
            | Self::EnableBanking => false,
        }
    }

    /// What a version of it begins with.
    const fn versions(self) -> &'static [&'static str] {
        match self {
            Self::BerlinGroup => &["1.3"],
            Self::OpenBankingUk => &["3.1", "4.0"],
            Self::ConsumerDataRight => &["1."],
            Self::OpenFinanceBrasil => &["2.", "3."],
            Self::Stet => &["1.4", "1.5", "1.6", "2."],
            Self::FinancialDataExchange => &["4.", "5.", "6."],
            Self::PolishApi => &["2.1.", "3.0."],
            Self::EnableBanking => &["1"],
        }
    }
}

/// What every bank of every standard gives, but for a few.
impl Default for ListForm {
    fn default() -> Self {
        Self::Json
    }
}

impl ListForm {
    /// What is asked for in `Accept` (NextGenPSD2 1.3.x, §6.5.3).
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Camt => "application/xml",
            Self::Mt940 => "text/plain",
        }
    }
}

/// Empty lists are what every bank can answer.
impl Default for AllAccounts {
    fn default() -> Self {
        Self::BankOffered
    }
}

/// Every key that a profile can have, with what it says and the values that `text` gives it, line by line.
pub fn explain(text: &str) -> Vec<Explained> {
    Explained::of(text, TABLES.iter().chain(endpoints::TABLES))
}

impl Profile {
    /// Reads a profile from its text; `file` is how complaints call it.
    pub fn parse(file: &str, text: &str) -> Result<Self, Findings> {
        let mut source = Source::new(file, text);
        let mut profile: Self = source.parse()?;
        profile.rules.country = Some(profile.bank.country.clone());
        if profile.rules.sign == SignRule::Either {
            profile.rules.sign = profile.bank.standard.sign();
        }
        profile.rules.own_names.push(profile.bank.name.clone());
        profile.check_bank(&mut source, file);
        profile.check_endpoints(&mut source);
        profile.check_consent(&mut source);
        profile.check_data(&mut source);
        profile.check_evidence(&mut source);
        source.accept(Some(profile))
    }

    fn check_bank(&self, source: &mut Source<'_>, file: &str) {
        let bank = &self.bank;
        let stem = file.rsplit(['/', '\\']).next().unwrap_or(file).trim_end_matches(".toml");
        source.require(stem == bank.id.as_str(), "bank.id", "must be the name of the file");
        let country = bank.country.len() == 2 && bank.country.bytes().all(|b| b.is_ascii_uppercase());
        source.require(country, "bank.country", "must be two upper-case letters");
        let prefix = format!("{}_", bank.country.to_ascii_lowercase());
        source.require(bank.id.as_str().starts_with(&prefix), "bank.id", "must begin with the country");
        source.require(!bank.name.trim().is_empty(), "bank.name", "must not be empty");
        let spoken = bank.standard.versions().iter().any(|known| bank.version.starts_with(known));
        source.require(spoken, "bank.version", "must be a version of the standard that is spoken here");
        let letter = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        let bic = |bic: &String| matches!(bic.len(), 8 | 11) && bic.bytes().all(letter);
        let named = |members: &Members| {
            let start = members.bic.as_ref().is_none_or(|bic| bic.len() >= 4 && bic.bytes().all(letter));
            start && (members.bic.is_some() || members.name.as_ref().is_some_and(|name| name.trim().len() > 2))
        };
        let members = bank.members.iter().all(named);
        source.require(members, "bank.members", "must each have the beginning of a BIC or a word of a name");
        source.require(bank.bics.iter().all(bic), "bank.bics", "must be BICs of 8 or 11 characters");
    }

    fn check_endpoints(&self, source: &mut Source<'_>) {
        let read_of = self.bank.level == Level::Docs;
        source.require(read_of || !self.endpoints.is_empty(), "endpoints", "must name at least one environment");
        for (environment, endpoints) in &self.endpoints {
            let key = format!("endpoints.{}", environment.as_str());
            endpoints.check(source, &key);
            source.require(endpoints.api.is_some(), &key, "must name `api`");
            let found = !self.gives_tokens() || endpoints.name_a_server();
            source.require(found, &key, "must name `issuer`, or the endpoints one by one");
        }
        let needed = match self.bank.level {
            Level::Docs => None,
            Level::Sandbox => Some(Environment::Sandbox),
            Level::Production => Some(Environment::Production),
        };
        let there = needed.is_none_or(|environment| self.endpoints.contains_key(&environment));
        source.require(there, "bank.level", "needs the endpoints of that environment");
    }

    fn check_consent(&self, source: &mut Source<'_>) {
        let security = &self.security;
        let templates = [
            ("security.consent_scope", &security.consent_scope),
            ("security.authorization_details", &security.authorization_details),
        ];
        for (key, template) in templates {
            let names_it = template.as_ref().is_none_or(|text| text.contains(CONSENT_ID));
            source.require(names_it, key, "must contain `{consent_id}`");
        }
        let details = security.authorization_details.as_deref().unwrap_or("[]");
        let array = serde_json::from_str::<Vec<serde_json::Map<String, serde_json::Value>>>(details).is_ok();
        source.require(array, "security.authorization_details", "must be a JSON array of objects");
        let tied = security.consent_scope.is_some()
            || security.authorization_details.is_some()
            || security.intent_claim.is_some();
        let needs_tie = self.consent.completion == Completion::Token && self.bank.standard.has_consents();
        source.require(tied || !needs_tie, "consent.completion", "needs `security.consent_scope` or the like");
        let between = self.intermediary.is_some() == (self.bank.standard == Standard::EnableBanking);
        source.require(between, "intermediary", "must be named with a standard of intermediaries, and with no other");
        let codes = (self.consent.completion == Completion::Code) == (self.bank.standard == Standard::EnableBanking);
        source.require(
            codes,
            "consent.completion",
            "is `code` where an intermediary names its sessions so, and only there",
        );
        let algs = security.algs.as_ref().is_none_or(|algs| !algs.is_empty());
        source.require(algs, "security.algs", "must name at least one algorithm");
        let renewed = self.gives_tokens() || self.consent.renewal != Renewal::SameId;
        source.require(renewed, "consent.renewal", "must not be `same_id`: no authorisation request can name the id");
        source.require(self.consent.max_days > 0, "consent.max_days", "must be at least 1");
        source.require(self.consent.sca_days != Some(0), "consent.sca_days", "must be at least 1");
    }

    fn check_data(&self, source: &mut Source<'_>) {
        let statuses = &self.transactions.booking_status;
        let spoken = self.transactions.form == ListForm::Json || self.bank.standard == Standard::BerlinGroup;
        source.require(spoken, "transactions.form", "must be `json`: the standard has no statements");
        source.require(!statuses.is_empty(), "transactions.booking_status", "must name at least one value");
        source.require(self.transactions.history_days > 0, "transactions.history_days", "must be at least 1");
        source.require(self.limits.unattended_per_day > 0, "limits.unattended_per_day", "must be at least 1");
        source.require(self.limits.calls_per_second != Some(0), "limits.calls_per_second", "must be at least 1");
        source.require(TimeZone::get(&self.rules.zone).is_ok(), "rules.zone", "must be an IANA time zone");
        let narrow = self.errors.iter().all(|rule| rule.status.is_some() || rule.code.is_some());
        source.require(narrow, "errors", "must each have a status or a code");
    }

    fn check_evidence(&self, source: &mut Source<'_>) {
        let sources = &self.evidence.sources;
        source.require(!sources.is_empty(), "evidence.sources", "must name at least one source");
        let said = sources.iter().all(|s| !s.about.trim().is_empty() && !s.source.trim().is_empty());
        source.require(said, "evidence.sources", "must say what each source proves and where it is");
    }

    /// Whether requests are signed, or show what is signed, by our seal.
    pub fn needs_seal(&self) -> bool {
        self.signature.is_some() || self.bank.standard == Standard::EnableBanking
    }

    /// Whether an authorisation brings tokens. Else the bank's own word about the consent tells what came of it.
    pub fn gives_tokens(&self) -> bool {
        self.consent.completion == Completion::Token
    }

    /// What the authorisation request must say so that the token belongs to `consent`.
    pub fn authorization(&self, consent: &BankConsentId) -> Authorization {
        let filled = |template: &String| template.replace(CONSENT_ID, consent.expose());
        let mut scopes = self.security.scopes.clone();
        scopes.extend(self.security.consent_scope.as_ref().map(filled));
        Authorization {
            scope: scopes.join(" "),
            authorization_details: self.security.authorization_details.as_ref().map(filled),
            scope_details: None,
        }
    }

    /// The security profile with the bank's own habits, for `fapi`.
    pub fn security(&self) -> Security {
        let own = &self.security;
        let base = own.profile.clone();
        Security {
            client_auth: own.client_auth.unwrap_or(base.client_auth),
            binding: own.binding.unwrap_or(base.binding),
            request: own.request.unwrap_or(base.request),
            response: own.response.unwrap_or(base.response),
            client_assertion_audience: own.audience.unwrap_or(base.client_assertion_audience),
            algs: own.algs.clone().map_or(base.algs, Cow::Owned),
            issuer_parameter: own.issuer_parameter.unwrap_or(base.issuer_parameter),
            acr_values: own.acr_values.clone().map_or(base.acr_values, Cow::Owned),
            acr_required: own.acr_required.unwrap_or(base.acr_required),
            intent_claim: own.intent_claim.clone().or(base.intent_claim),
            arrangement_claim: own.arrangement_claim.clone().or(base.arrangement_claim),
            duration_claim: own.duration_claim.clone().or(base.duration_claim),
            granted_scope: own.granted_scope.unwrap_or(base.granted_scope),
            id_token_encryption: own.id_token_encryption.unwrap_or(base.id_token_encryption),
            token_delivery: own.token_delivery.unwrap_or(base.token_delivery),
            registration: own.registration.unwrap_or(base.registration),
            request_uri_seconds_max: own
                .request_uri_seconds_max
                .map_or(base.request_uri_seconds_max, |seconds| seconds.get().into()),
            ..base
        }
    }

    /// The bank's calendar.
    pub(crate) fn zone(&self) -> TimeZone {
        TimeZone::get(&self.rules.zone).unwrap_or(TimeZone::UTC)
    }

    /// What the profile says a problem means, if it says anything.
    pub(crate) fn meaning(&self, problem: &BankProblem) -> Option<Means> {
        let code = problem.code.as_ref().map(crate::error::BankCode::as_str);
        let hit = |rule: &&ErrorRule| {
            rule.status.is_none_or(|status| status == problem.status)
                && rule.code.as_ref().is_none_or(|known| code.is_some_and(|code| code.eq_ignore_ascii_case(known)))
        };
        self.errors.iter().find(hit).map(|rule| rule.means)
    }
}

/// Stands for the bank's consent id in templates. The id has no character that JSON would escape.
const CONSENT_ID: &str = "{consent_id}";

#[cfg(test)]
mod tests;
