//! The identity provider at which staff sign in (OpenID Connect Core 1.0, code flow with PKCE, RFC 7636).
//!
//! State, nonce and code verifier are derived from a secret that only the browser has which began, so nothing waits in the
//! database and no other browser can finish. Who somebody is says their ID token; what they may be, a claim of it.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::limits;
use domain::staff::Role;
use domain::world::Clock;
use jiff::Timestamp;
use net::{ClientConfig, Egress, Limits, Roots};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod, CoreErrorResponseType,
    CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata,
    CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AsyncHttpClient, AuthType, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IdTokenFields,
    IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, StandardErrorResponse,
    StandardTokenResponse, TokenResponse as _,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use url::{Url, form_urlencoded};

use crate::config::{Config, Console};
use crate::tokens;

/// Where the provider sends people back.
pub(super) const CALLBACK: &str = "/console/callback";
/// Longest name that is shown of anybody, in characters.
const NAME_CHARS_MAX: usize = 80;

/// Everything that an ID token says beyond the standard's claims.
#[derive(Debug, Serialize, Deserialize)]
struct Extra {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl AdditionalClaims for Extra {}

type Fields = IdTokenFields<
    Extra,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// The library's client, as discovery leaves it.
type RelyingParty = Client<
    Extra,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Algorithms of ID tokens: signatures alone, since a shared secret proves nothing about who signed.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 8] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
];

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The provider does not answer as it should.
    #[error("the identity provider cannot be used: {0}")]
    Provider(String),
    /// The answer is not one that this browser waits for, or its ID token does not hold.
    #[error("the identity provider's answer was not accepted: {0}")]
    Answer(String),
    /// As many wait for the provider as may.
    #[error("too many logins wait for the identity provider")]
    Busy,
    /// The provider says no.
    #[error("the identity provider declined")]
    Declined,
    /// They have none of the roles.
    #[error("no role is mapped to what the identity provider says of them")]
    NoRole,
}

/// Whom the provider names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// `iss`.
    pub(super) issuer: String,
    /// `sub`.
    pub(super) subject: String,
    /// What they are called.
    pub(super) name: String,
    /// What they may be; never empty.
    pub(super) roles: Vec<Role>,
}

/// Moves the library's requests.
impl<'c> AsyncHttpClient<'c> for Provider {
    type Error = net::TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Self::Error>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let answer = self.http.send(request.map(Bytes::from)).await?;
            Ok(answer.map(|body| body.to_vec()))
        })
    }
}

/// The identity provider of the settings.
pub struct Provider {
    issuer: IssuerUrl,
    client: ClientId,
    secret: Option<ClientSecret>,
    back: RedirectUrl,
    settings: Console,
    http: net::Client,
    places: Semaphore,
}

impl Provider {
    /// Reads the settings; `None` if they name none.
    ///
    /// # Errors
    /// Says which setting cannot be used.
    pub fn of(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Option<Self>> {
        let settings = config.console.clone();
        if settings.issuer.is_empty() {
            return Ok(None);
        }
        let read = |file: &std::path::Path| std::fs::read(file).with_context(|| file.display().to_string());
        let roots = match settings.ca_file.as_os_str().is_empty() {
            true => Roots::system(),
            false => {
                Roots::from_pem(&read(&settings.ca_file).context("console.ca_file")?).context("console.ca_file")?
            }
        };
        let secret = match settings.client_secret_file.as_os_str().is_empty() {
            true => None,
            false => {
                let text = read(&settings.client_secret_file).context("console.client_secret_file")?;
                let text = String::from_utf8(text).context("console.client_secret_file")?;
                Some(ClientSecret::new(text.trim().to_owned()))
            }
        };
        let back = config.listen.public_url.join(CALLBACK).context("listen.public_url")?;
        let http = net::Client::new(ClientConfig {
            identity: None,
            roots,
            egress: Egress::inside(),
            limits: Limits::AUTH,
            post_quantum: true,
            resumption: true,
            clock,
        })?;
        Ok(Some(Self {
            issuer: IssuerUrl::new(settings.issuer.clone()).context("console.issuer")?,
            client: ClientId::new(settings.client_id.clone()),
            secret,
            back: RedirectUrl::from_url(back),
            settings,
            http,
            places: Semaphore::new(limits::STAFF_LOGINS_AT_A_TIME),
        }))
    }

    /// A step of a login, which anybody may begin: so few wait at a time, and none for long.
    async fn step<T>(&self, step: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        let Ok(_place) = self.places.try_acquire() else { return Err(Refusal::Busy) };
        let most = Duration::from_secs(limits::STAFF_PROVIDER_SECONDS);
        let late = |_| Err(Refusal::Provider("it does not answer in time".to_owned()));
        tokio::time::timeout(most, step).await.unwrap_or_else(late)
    }

    /// The provider as it describes itself now (OpenID Connect Discovery 1.0 §4), with its keys of today.
    async fn discover(&self) -> Result<RelyingParty, Refusal> {
        let found = CoreProviderMetadata::discover_async(self.issuer.clone(), self).await;
        let found = found.map_err(|error| Refusal::Provider(error.to_string()))?;
        let by_basic = found
            .token_endpoint_auth_methods_supported()
            .is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let party = RelyingParty::from_provider_metadata(found, self.client.clone(), self.secret.clone());
        let shown = if by_basic { AuthType::BasicAuth } else { AuthType::RequestBody };
        Ok(party.set_redirect_uri(self.back.clone()).set_auth_type(shown))
    }

    /// Where a browser goes to sign in.
    pub(super) async fn begin(&self, browser: &SecretString) -> Result<Url, Refusal> {
        let party = self.step(self.discover()).await?;
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier(browser));
        let (state, nonce) = (CsrfToken::new(derived("state", browser)), Nonce::new(derived("nonce", browser)));
        let ask = party.authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || state, move || nonce);
        let scopes = self.settings.scopes.iter().map(|scope| Scope::new(scope.clone()));
        Ok(ask.add_scopes(scopes).set_pkce_challenge(challenge).url().0)
    }

    /// Who came back.
    pub(super) async fn finish(
        &self,
        query: &str,
        browser: &SecretString,
        now: Timestamp,
    ) -> Result<Identity, Refusal> {
        let code = self.code(query, browser)?;
        let (party, answer) = self
            .step(async {
                let party = self.discover().await?;
                let ask = party.exchange_code(code).map_err(|error| Refusal::Provider(error.to_string()))?;
                let answer = ask.set_pkce_verifier(verifier(browser)).request_async(self).await;
                Ok((party, answer.map_err(|error| Refusal::Provider(error.to_string()))?))
            })
            .await?;
        let token = answer.id_token().ok_or_else(|| Refusal::Answer("there is no ID token".to_owned()))?;
        let check = party
            .id_token_verifier()
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || SystemTime::from(now).into())
            .set_issue_time_verifier_fn(move |issued| fresh(issued.timestamp(), now));
        let claims = token.claims(&check, &Nonce::new(derived("nonce", browser)));
        let claims = claims.map_err(|error| Refusal::Answer(error.to_string()))?;
        let roles = self.settings.roles(&claims.additional_claims().all);
        if roles.is_empty() {
            return Err(Refusal::NoRole);
        }
        let name = claims.name().and_then(|name| name.get(None)).map(|name| name.as_str());
        let name = name.or(claims.email().map(|email| email.as_str())).unwrap_or(claims.subject().as_str());
        Ok(Identity {
            issuer: claims.issuer().to_string(),
            subject: claims.subject().to_string(),
            name: shown(name),
            roles,
        })
    }

    /// The code of an answer that this browser waits for.
    fn code(&self, query: &str, browser: &SecretString) -> Result<AuthorizationCode, Refusal> {
        let fields: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        let one = |wanted: &str| {
            let mut found = fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_ref());
            found.next().filter(|_| found.next().is_none())
        };
        let refuse = |why: &str| Err(Refusal::Answer(why.to_owned()));
        let ours = derived("state", browser);
        let same =
            |state: &str| aws_lc_rs::constant_time::verify_slices_are_equal(state.as_bytes(), ours.as_bytes()).is_ok();
        if !one("state").is_some_and(same) {
            return refuse("its state is not that of this browser");
        }
        // RFC 9207: a provider that names itself names the one that was asked.
        if one("iss").is_some_and(|issuer| issuer != self.issuer.as_str()) {
            return refuse("it comes from another provider");
        }
        if one("error").is_some() {
            return Err(Refusal::Declined);
        }
        one("code").map_or_else(|| refuse("there is no code"), |code| Ok(AuthorizationCode::new(code.to_owned())))
    }
}

impl Console {
    /// The roles that claims give: the values of the claim that the settings name, each as the settings map it.
    fn roles(&self, claims: &Map<String, Value>) -> Vec<Role> {
        let found = claims.get(&self.roles_claim).or_else(|| {
            let mut parts = self.roles_claim.split('.');
            let first = claims.get(parts.next()?)?;
            parts.try_fold(first, |value, part| value.get(part))
        });
        let values: BTreeSet<&str> = match found {
            Some(Value::String(one)) => BTreeSet::from([one.as_str()]),
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            _ => BTreeSet::new(),
        };
        let named = |role: Role| match role {
            Role::Operator => &self.operator,
            Role::Compliance => &self.compliance,
            Role::Support => &self.support,
            Role::Auditor => &self.auditor,
        };
        let has = |role: &Role| named(*role).iter().any(|value| values.contains(value.as_str()));
        Role::ALL.into_iter().filter(has).collect()
    }
}

/// A value for one purpose that says nothing about the secret.
fn derived(purpose: &str, browser: &SecretString) -> String {
    let bound = [purpose, browser.expose_secret()].join("\u{0}");
    URL_SAFE_NO_PAD.encode(tokens::hash(bound.as_bytes()))
}

fn verifier(browser: &SecretString) -> PkceCodeVerifier {
    PkceCodeVerifier::new(derived("verifier", browser))
}

/// An ID token is made for the answer that brings it.
fn fresh(issued: i64, now: Timestamp) -> Result<(), String> {
    let age = now.as_second().saturating_sub(issued);
    let fits = (-limits::CLOCK_SKEW_SECONDS..=limits::STAFF_LOGIN_SECONDS).contains(&age);
    if fits { Ok(()) } else { Err("it was issued at another time".to_owned()) }
}

/// A name without what a page or a record cannot show.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect()
}

/// Names nothing of what it holds.
impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Provider(..)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(claim: &str) -> Console {
        let mut console = Config::load(None).unwrap().console;
        console.roles_claim = claim.to_owned();
        console.operator = vec!["ops".to_owned(), "sre".to_owned()];
        console.auditor = vec!["audit".to_owned()];
        console
    }

    #[test]
    fn a_claim_gives_the_roles_that_the_settings_map_and_no_other() {
        for (claim, claims, expected) in [
            ("groups", json!({ "groups": ["sre", "audit", "lunch"] }), &[Role::Operator, Role::Auditor][..]),
            ("groups", json!({ "groups": "ops" }), &[Role::Operator]),
            ("groups", json!({ "groups": ["operator", "OPS", "compliance"] }), &[]),
            ("groups", json!({ "groups": { "ops": true } }), &[]),
            ("groups", json!({}), &[]),
            ("realm_access.roles", json!({ "realm_access": { "roles": ["audit"] } }), &[Role::Auditor]),
            ("https://tpp.example/roles", json!({ "https://tpp.example/roles": ["ops"] }), &[Role::Operator]),
            ("", json!({ "groups": ["ops"] }), &[]),
        ] {
            assert_eq!(settings(claim).roles(claims.as_object().unwrap()), expected, "{claim} {claims}");
        }
    }

    #[test]
    fn what_one_browser_began_no_other_finishes_and_the_parts_say_nothing_of_each_other() {
        let (mine, other) = (SecretString::from("mine"), SecretString::from("other"));
        assert_ne!(derived("state", &mine), derived("state", &other));
        assert_ne!(derived("state", &mine), derived("nonce", &mine));
        assert!((43..=128).contains(&verifier(&mine).secret().len()), "RFC 7636 §4.1");
    }

    #[test]
    fn an_id_token_of_another_time_is_refused() {
        let now = Timestamp::constant(1_795_252_000, 0);
        for (age, holds) in [(0, true), (limits::STAFF_LOGIN_SECONDS, true), (-30, true), (-600, false), (7200, false)]
        {
            assert_eq!(fresh(now.as_second() - age, now).is_ok(), holds, "{age}");
        }
    }

    #[test]
    fn a_name_is_cut_to_what_can_be_shown() {
        assert_eq!(shown("Ada\n\u{0}Lovelace"), "AdaLovelace");
        assert_eq!(shown(&"a".repeat(500)).len(), NAME_CHARS_MAX);
    }
}
