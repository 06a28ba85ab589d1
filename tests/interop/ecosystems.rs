//! The same probe at simulated banks of the UK, of Australia and of Brazil: each adds claims, consents, arrangements, headers
//! or encryption, and each may say something untrue.

use std::sync::Arc;

use fapi::profile::{Alg, KeyEncryption};
use sandbox::{CONSUMER_DATA_RIGHT, Ecosystem, OPEN_BANKING_UK, OPEN_FINANCE_BRASIL, RequestWay, Running, Said};
use serde_json::{Value, json};
use tests::world::TestClock;

use crate::certificates::{ENCRYPTION_KEY, ENCRYPTION_KID, file, public_keys, signing_key};
use crate::combination::{CLIENT_ID, REDIRECT_URI};
use crate::probe::{self, Outcome};
use crate::sandbox::start;

/// What a bank says that is not so: where, which member, and its value; `null` takes it away.
type Lie = (Said, &'static str, Value, &'static str);

/// A bank at home somewhere.
struct Home {
    name: &'static str,
    ecosystem: Ecosystem,
    request: RequestWay,
    scopes: &'static str,
    /// Of the profile.
    security: &'static str,
    /// Path, scope, body and pointer of consents.
    consents: Option<[&'static str; 4]>,
    accounts: &'static str,
    arguments: &'static [&'static str],
    lies: Vec<Lie>,
}

const UK_ACR: &str = "acr_values = [\"urn:openbanking:psd2:sca\", \"urn:openbanking:psd2:ca\"]\n";

fn uk() -> Home {
    Home {
        name: "UK Open Banking",
        ecosystem: OPEN_BANKING_UK,
        request: RequestWay::Browser,
        scopes: "\"openid\", \"accounts\"",
        security: "intent_claim = \"openbanking_intent_id\"\n",
        consents: Some([
            "/open-banking/v3.1/aisp/account-access-consents",
            "accounts",
            r#"{"Data":{"Permissions":["ReadAccountsDetail"]},"Risk":{}}"#,
            "/Data/ConsentId",
        ]),
        accounts: "/open-banking/v3.1/aisp/accounts",
        arguments: &[],
        lies: vec![
            (
                Said::IdToken,
                "openbanking_intent_id",
                "aac-of-another".into(),
                "id_token.openbanking_intent_id.mismatch",
            ),
            (Said::IdToken, "openbanking_intent_id", Value::Null, "id_token.openbanking_intent_id.missing"),
            (Said::IdToken, "acr", "urn:openbanking:psd2:none".into(), "id_token.acr.mismatch"),
            (Said::IdToken, "acr", Value::Null, "id_token.acr.missing"),
            (Said::TokenResponse, "scope", "openid accounts payments".into(), "token.scope.mismatch"),
        ],
    }
}

fn australia() -> Home {
    Home {
        name: "Consumer Data Right",
        ecosystem: CONSUMER_DATA_RIGHT,
        request: RequestWay::Pushed,
        scopes: "\"openid\", \"bank:accounts.basic:read\"",
        security: "request = \"signed\"\nresponse = \"jarm\"\nacr_values = [\"urn:cds.au:cdr:2\"]\n\
                   arrangement_claim = \"cdr_arrangement_id\"\nduration_claim = \"sharing_duration\"\n",
        consents: None,
        accounts: "/cds-au/v1/banking/accounts",
        arguments: &["--sharing", "31536000", "--header", "x-v=1"],
        lies: vec![
            (Said::TokenResponse, "cdr_arrangement_id", Value::Null, "token.cdr_arrangement_id.missing"),
            (Said::SignedResponse, "iss", "https://other.example".into(), "jarm.iss.mismatch"),
            (Said::IdToken, "acr", "urn:cds.au:cdr:1".into(), "id_token.acr.mismatch"),
        ],
    }
}

fn brazil() -> Home {
    Home {
        name: "Open Finance Brasil",
        ecosystem: OPEN_FINANCE_BRASIL,
        request: RequestWay::Pushed,
        scopes: "\"openid\", \"accounts\"",
        security: "request = \"signed\"\nacr_required = true\nid_token_encryption = \"required\"\n\
                   consent_scope = \"consent:{consent_id}\"\n",
        consents: Some([
            "/open-banking/consents/v3/consents",
            "consents",
            r#"{"data":{"permissions":["ACCOUNTS_READ","RESOURCES_READ"]}}"#,
            "/data/consentId",
        ]),
        accounts: "/open-banking/accounts/v2/accounts",
        arguments: &[],
        lies: vec![
            (Said::IdToken, "acr", Value::Null, "id_token.acr.missing"),
            (Said::IdToken, "s_hash", Value::Null, "id_token.s_hash.missing"),
        ],
    }
}

impl Home {
    fn profile(&self, bank: &Running) -> String {
        let acr = if self.ecosystem.acr == OPEN_BANKING_UK.acr { UK_ACR } else { "" };
        let consents = self.consents.map(|[path, scope, body, id]| {
            let url = format!("{}{path}", bank.api_base);
            format!(
                "[security.consent_resource]\nurl = \"{url}\"\nscope = \"{scope}\"\nbody = '{body}'\nid = \"{id}\"\n"
            )
        });
        let security = self.security;
        format!("[security]\nprofile = \"fapi1-advanced\"\n{security}{acr}{}", consents.unwrap_or_default())
    }

    fn registration(&self, bank: &Running) -> String {
        let path = |name: &str| file(name).display().to_string();
        format!(
            "client_id = \"{CLIENT_ID}\"\nredirect_uri = \"{REDIRECT_URI}\"\nissuer = \"{}\"\nenvironment = \"sandbox\"\n\
             scopes = [{}]\n[transport]\ncertificate = \"{}\"\nkey = \"{}\"\nca = \"{}\"\n\
             [signing]\nkey = \"{}\"\nkid = \"ours\"\nalg = \"PS256\"\n\
             [encryption]\nkey = \"{}\"\nkid = \"{ENCRYPTION_KID}\"\nalg = \"RSA-OAEP\"\n",
            bank.issuer,
            self.scopes,
            path("qwac.pem"),
            path("qwac.key"),
            path("ca.pem"),
            path(signing_key(Alg::Ps256)),
            path(ENCRYPTION_KEY),
        )
    }

    async fn open(&self) -> Running {
        let keys = json!({ "keys": public_keys(Alg::Ps256, Some(KeyEncryption::RsaOaep)) });
        let change = |config: &mut sandbox::Config| {
            config.ecosystem = self.ecosystem;
            config.policy.request = self.request;
            config.clients[0].jwks = keys;
        };
        start(&Arc::<TestClock>::default(), change).await
    }

    fn attempt(&self, bank: &Running, more: &[&str]) -> Outcome {
        let resource = format!("{}{}", bank.api_base, self.accounts);
        let mut arguments = vec!["--form", "username=mara", "--form", "password=sandbox-mara", "--resource", &resource];
        arguments.extend(self.arguments);
        arguments.extend(more);
        let (profile, registration) = (self.profile(bank), self.registration(bank));
        tokio::task::block_in_place(|| probe::run_files(&profile, &registration, &arguments))
    }

    /// One login as it should be, then one for each lie, with nothing at the bank after it.
    async fn visit(&self) -> (Vec<String>, Vec<String>) {
        let bank = self.open().await;
        let mut failures = Vec::new();
        let honest = self.attempt(&bank, &[]);
        let mut lines = vec![format!("{:<24} {}", self.name, honest.summary())];
        let refused: Vec<_> = bank.log().into_iter().filter(|line| line.refused).collect();
        let whole = honest.step("refresh").is_some_and(|step| step.detail == "refreshed twice")
            && honest.step("consent").is_some() == self.consents.is_some()
            && honest.step("arrangement").is_some() == self.consents.is_none();
        if !honest.ok || !refused.is_empty() || !whole {
            failures.push(format!("{}: {honest:#?}\n{refused:#?}", self.name));
        }
        for (said, name, value, reason) in &self.lies {
            bank.misstate(*said, name, value.clone());
            let outcome = self.attempt(&bank, &[]);
            lines.push(format!("{:<24} {name}: {}", self.name, outcome.summary()));
            let read = bank.requests().last().is_some_and(|last| last.ends_with(self.accounts));
            if outcome.reason.as_deref() != Some(*reason) || read {
                failures.push(format!("{}: {name} was not {reason}: {outcome:#?}\n{:#?}", self.name, bank.log()));
            }
            bank.be_honest();
        }
        bank.shutdown().await;
        (lines, failures)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_probe_completes_in_every_ecosystem_and_believes_no_lie() {
    let mut failures = Vec::new();
    for home in [uk(), australia(), brazil()] {
        let (lines, found) = home.visit().await;
        println!("{}", lines.join("\n"));
        failures.extend(found);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// R-IDT-19 in Brazil: an ID token that is not encrypted tells a bank's customer to whoever sees the browser's address.
#[tokio::test(flavor = "multi_thread")]
async fn what_must_be_encrypted_is_refused_in_the_open() {
    let mut home = brazil();
    home.ecosystem.encrypted_id_tokens = false;
    let bank = home.open().await;
    let outcome = home.attempt(&bank, &[]);
    assert_eq!(outcome.reason.as_deref(), Some("id_token.encryption.missing"), "{outcome:#?}");
    bank.shutdown().await;
}
