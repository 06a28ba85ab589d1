//! From the pushed request to the callback: a pending login carries everything that the callback must match.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use domain::world::World;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::client::Client;
use crate::dpop::DpopKey;
use crate::id_token::{self, About, Context, Identity};
use crate::jarm;
use crate::keys::KeySet;
use crate::metadata::Metadata;
use crate::profile::{Alg, IdTokenEncryption, IssuerParameter, ResponseForm, Security, TokenBinding};
use crate::random;
use crate::refusal::{self, Refusal};
use crate::request::{self, AuthorizationRequest};
use crate::sealed::{self, Unreadable};

/// Longest authorization response that is read, in bytes: room for a signed one.
pub const CALLBACK_BYTES_MAX: usize = 32 * 1024;

/// A login between the pushed request and the callback. Finishing consumes it, so that no callback counts twice.
///
/// It does not know the browser: whoever keeps it must hand it out only to the browser that began (RFC 9700 §4.7.1).
#[derive(Serialize, Deserialize)]
pub struct PendingLogin {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    redirect_uri: String,
    asked: Box<Asked>,
    #[serde(serialize_with = "sealed::secret")]
    state: SecretString,
    #[serde(serialize_with = "sealed::secret")]
    verifier: SecretString,
    response: ResponseForm,
    issuer_parameter_required: bool,
    pub(crate) jarm_algs: Vec<Alg>,
    expires_at: Timestamp,
}

/// What was asked for, which the tokens and ID tokens must answer.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) scope: String,
    pub(crate) authorization_details: Option<Value>,
    /// There where an ID token will come.
    #[serde(serialize_with = "sealed::optional")]
    pub(crate) nonce: Option<SecretString>,
    pub(crate) acr_values: Vec<String>,
    /// Claim and value.
    pub(crate) intent: Option<(String, String)>,
    /// Whether `acr` must come where no values are named.
    #[serde(default)]
    pub(crate) acr_required: bool,
    /// What the token response names the arrangement by, and the one that is changed, if one is.
    #[serde(default)]
    pub(crate) arrangement: Option<(String, Option<String>)>,
    /// Claim and seconds.
    #[serde(default)]
    duration: Option<(String, u32)>,
    /// Whether the ID token must be encrypted.
    #[serde(default)]
    pub(crate) encrypted: bool,
    /// There where tokens are bound to a key.
    pub(crate) dpop: Option<DpopKey>,
    pub(crate) id_token_algs: Vec<Alg>,
    pub(crate) id_token_age_seconds_max: i64,
}

impl Asked {
    pub(crate) fn new(
        client: &Client,
        metadata: &Metadata,
        request: &AuthorizationRequest,
        nonce: Option<SecretString>,
        world: &World<'_>,
    ) -> Result<Self, Refusal> {
        let security = &client.security;
        let intent = intent_to_name(security, request)?;
        sharing_can_be_told(security, request)?;
        Ok(Self {
            acr_required: security.acr_required,
            arrangement: security.arrangement_claim.clone().map(|claim| (claim, request.arrangement.clone())),
            duration: security.duration_claim.clone().zip(request.sharing_seconds),
            encrypted: security.id_token_encryption == IdTokenEncryption::Required,
            scope: request.scope.clone(),
            authorization_details: request.authorization_details.clone(),
            nonce,
            acr_values: security.acr_values.to_vec(),
            intent,
            dpop: (security.binding == TokenBinding::Dpop).then(|| DpopKey::generate(world)),
            id_token_algs: metadata.id_token_algs().to_vec(),
            id_token_age_seconds_max: security.id_token_age_seconds_max,
        })
    }

    /// The `claims` parameter of OIDC Core §5.5: essential claims with the values that are good, and beside the ID token's
    /// what an ecosystem wants to be told of the sharing (CDR Security Profile, request object).
    pub(crate) fn claims(&self) -> Option<Value> {
        let mut wanted = Map::new();
        if let Some((claim, value)) = &self.intent {
            wanted.insert(claim.clone(), json!({ "essential": true, "value": value }));
        }
        if !self.acr_values.is_empty() {
            wanted.insert("acr".to_owned(), json!({ "essential": true, "values": self.acr_values }));
        } else if self.acr_required {
            wanted.insert("acr".to_owned(), json!({ "essential": true }));
        }
        let mut claims = Map::new();
        if let Some((claim, seconds)) = &self.duration {
            claims.insert(claim.clone(), (*seconds).into());
        }
        if let Some((claim, Some(arrangement))) = &self.arrangement {
            claims.insert(claim.clone(), arrangement.as_str().into());
        }
        if !wanted.is_empty() {
            claims.insert("id_token".to_owned(), wanted.into());
        }
        (!claims.is_empty()).then_some(claims.into())
    }

    /// RFC 9449 §10: ties the code to the key from the start.
    pub(crate) fn dpop_thumbprint(&self) -> Result<Option<String>, Refusal> {
        self.dpop.as_ref().map(DpopKey::thumbprint).transpose()
    }
}

impl PendingLogin {
    /// A login with a fresh state and verifier, a nonce where an ID token will come (RFC 9700 §2.1.1, OIDC Core §3.1.2.1),
    /// and a key where the tokens will be bound to one.
    pub(crate) fn begin(
        client: &Client,
        metadata: &Metadata,
        request: &AuthorizationRequest,
        world: &World<'_>,
    ) -> Result<Self, Refusal> {
        let lifetime = SignedDuration::from_secs(client.security.login_seconds);
        let required = client.security.issuer_parameter == IssuerParameter::Required;
        let named = required || metadata.issuer_parameter_announced();
        // RFC 9207 §2: an ID token beside the code names the issuer already, and servers then leave the parameter out.
        let issuer_parameter_required = named && !client.security.response.is_hybrid();
        let openid = asks_for_id_token(&request.scope) || client.security.response.is_hybrid();
        let nonce = openid.then(|| random::text::<32>(world).into());
        Ok(Self {
            issuer: metadata.issuer().to_owned(),
            client_id: client.client_id.clone(),
            redirect_uri: client.redirect_uri.clone(),
            asked: Box::new(Asked::new(client, metadata, request, nonce, world)?),
            state: random::text::<32>(world).into(),
            verifier: request::verifier(world),
            response: client.security.response,
            issuer_parameter_required,
            jarm_algs: metadata.jarm_algs().to_vec(),
            expires_at: world.now.saturating_add(lifetime).unwrap_or(world.now),
        })
    }

    /// The issuer that must answer.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// When the login is over, answered or not.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// SHA-256 of the state: what to file the login under, so that its callback finds it ([`Callback::state_tag`]).
    pub fn state_tag(&self) -> [u8; 32] {
        tag(self.state.expose_secret())
    }

    pub(crate) fn state(&self) -> &str {
        self.state.expose_secret()
    }

    pub(crate) fn nonce(&self) -> Option<&str> {
        self.asked.nonce.as_ref().map(ExposeSecret::expose_secret)
    }

    pub(crate) fn asked(&self) -> &Asked {
        &self.asked
    }

    pub(crate) fn challenge(&self) -> String {
        request::challenge(self.verifier.expose_secret())
    }

    /// The bytes to seal and store until the browser is back. They hold the PKCE verifier.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        sealed::write(self)
    }

    /// The login of such bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        sealed::read(bytes)
    }

    /// Matches the callback against the login: in time, ours, from the issuer that was asked, and with a code that an ID
    /// token vouches for where one comes with it. An error response is checked like any other before it is believed.
    /// `keys` are those of the issuer, for signed responses ([`ResponseForm::is_signed`]); fetch them when the browser is
    /// back, since `jarm.kid.untrusted` and `id_token.kid.untrusted` are final here like any other refusal.
    pub fn finish(self, callback: Callback, keys: &KeySet, now: Timestamp) -> Result<RedeemableCode, Refusal> {
        login_is_in_time(self.expires_at, now)?;
        let answer = match self.response {
            ResponseForm::Jarm => jarm::read(callback.signed()?, &self, keys, now)?,
            ResponseForm::Query | ResponseForm::FormPost | ResponseForm::Hybrid | ResponseForm::HybridFormPost => {
                let answer = callback.plain();
                issuer_matches(answer.iss.as_deref(), &self.issuer, self.issuer_parameter_required)?;
                answer
            }
        };
        state_matches(answer.state.as_deref(), &self.state)?;
        answer_is_consistent(&answer)?;
        let granted = granted(answer)?;
        let voucher =
            if self.response.is_hybrid() { Some(self.vouched(&granted, keys, now)?.subject.into()) } else { None };
        Ok(RedeemableCode {
            code: granted.code,
            voucher,
            issuer: self.issuer,
            client_id: self.client_id,
            redirect_uri: self.redirect_uri,
            asked: self.asked,
            verifier: self.verifier,
        })
    }

    /// FAPI 1.0 Advanced §5.2.3.1: the ID token beside the code is checked, and that it vouches for code and state, before
    /// the code is used.
    fn vouched(&self, granted: &Granted, keys: &KeySet, now: Timestamp) -> Result<Identity, Refusal> {
        let jwt = granted.id_token.as_ref().ok_or_else(|| refusal::CALLBACK_ID_TOKEN_MISSING.refuse())?;
        let context = Context { issuer: &self.issuer, client_id: &self.client_id, asked: &self.asked };
        let about = About::Code { code: granted.code.expose_secret(), state: self.state.expose_secret() };
        id_token::verify(jwt.expose_secret(), &context, &about, keys, now)
    }
}

/// Names who answers and until when; nothing that a login is made of.
impl fmt::Debug for PendingLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingLogin")
            .field("issuer", &self.issuer)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// What came back through the browser: untrusted until a [`PendingLogin`] has matched it.
pub struct Callback {
    parameters: BTreeMap<String, String>,
}

impl Callback {
    /// Reads the query or the fragment of the redirect, or the form that was posted to it, without a leading `?` or `#`.
    /// A parameter that is given twice is refused (RFC 6749 §3.1); unknown ones are ignored.
    pub fn parse(query: &str) -> Result<Self, Refusal> {
        refusal::CALLBACK_PARAMETER_INVALID.require(query.len() <= CALLBACK_BYTES_MAX)?;
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let before = parameters.insert(name.into_owned(), value.into_owned());
            refusal::CALLBACK_PARAMETER_INVALID.require(before.is_none())?;
        }
        Ok(Self { parameters })
    }

    /// SHA-256 of the state that the callback claims, to look its login up. A claim and no more: only
    /// [`PendingLogin::finish`] matches it. In a signed response the claim stands inside the JWT, read without its
    /// signature; an encrypted one is opened with the client's key.
    pub fn state_tag(&self, client: &Client) -> Option<[u8; 32]> {
        if let Some(state) = self.parameters.get("state") {
            return Some(tag(state));
        }
        jarm::claimed_state(self.parameters.get("response")?, client.decrypter.as_deref()).map(|state| tag(&state))
    }

    fn plain(mut self) -> Answer {
        let mut take = |name: &str| self.parameters.remove(name);
        let (code, state, iss, error) = (take("code"), take("state"), take("iss"), take("error"));
        Answer { code, state, iss, error, id_token: take("id_token") }
    }

    /// JARM §2.3.1: the response comes in one parameter. Plain parameters beside it count for nothing.
    fn signed(mut self) -> Result<String, Refusal> {
        self.parameters.remove("response").ok_or_else(|| refusal::CALLBACK_RESPONSE_MISSING.refuse())
    }
}

/// A callback holds a code.
impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback(..)")
    }
}

/// The members of an authorization response, whichever form carried them (RFC 6749 §4.1.2, RFC 9207 §2).
pub(crate) struct Answer {
    pub(crate) code: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) iss: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) id_token: Option<String>,
}

/// What a good answer gives.
struct Granted {
    code: SecretString,
    id_token: Option<SecretString>,
}

/// A code from the right server for the right login, with what its redemption must show. Redeeming consumes it: a code
/// is used once (RFC 6749 §4.1.2).
pub struct RedeemableCode {
    pub(crate) code: SecretString,
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) asked: Box<Asked>,
    /// The subject of the ID token that came with the code.
    pub(crate) voucher: Option<SecretString>,
    pub(crate) verifier: SecretString,
}

impl RedeemableCode {
    /// The issuer whose metadata the redemption needs.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

/// A code is a secret.
impl fmt::Debug for RedeemableCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedeemableCode").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// SHA-256 of a secret, to file things under.
pub(crate) fn tag(secret: &str) -> [u8; 32] {
    let mut tag = [0; 32];
    tag.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    tag
}

/// OIDC Core §3.1.2.1: `openid` among the scopes makes it an OpenID request.
pub(crate) fn asks_for_id_token(scope: &str) -> bool {
    scope.split(' ').any(|word| word == "openid")
}

/// OIDC Core §5.5, UK Open Banking Security Profile: where the profile names what is authorised, the request knows it.
fn intent_to_name(security: &Security, request: &AuthorizationRequest) -> Result<Option<(String, String)>, Refusal> {
    let Some(claim) = &security.intent_claim else { return Ok(None) };
    let intent = request.intent.clone().ok_or_else(|| refusal::CLIENT_INTENT_MISSING.refuse())?;
    Ok(Some((claim.clone(), intent)))
}

/// CDR Security Profile, request object: what the request says of the sharing has a claim to stand in.
fn sharing_can_be_told(security: &Security, request: &AuthorizationRequest) -> Result<(), Refusal> {
    let arrangement = request.arrangement.is_none() || security.arrangement_claim.is_some();
    let duration = request.sharing_seconds.is_none() || security.duration_claim.is_some();
    refusal::CLIENT_ARRANGEMENT_INVALID.require(arrangement && duration)
}

/// RFC 9700 §2.1: a login that was left lying is not picked up again.
fn login_is_in_time(expires_at: Timestamp, now: Timestamp) -> Result<(), Refusal> {
    refusal::CALLBACK_LOGIN_EXPIRED.require(now < expires_at)
}

/// RFC 6749 §4.1.2 and §10.12: the state we sent, compared in constant time.
fn state_matches(state: Option<&str>, sent: &SecretString) -> Result<(), Refusal> {
    let state = state.ok_or_else(|| refusal::CALLBACK_STATE_MISSING.refuse())?;
    let equal = verify_slices_are_equal(state.as_bytes(), sent.expose_secret().as_bytes()).is_ok();
    refusal::CALLBACK_STATE_MISMATCH.require(equal)
}

/// RFC 9207 §2.4: the response names its issuer, and it is the one that was asked. A wrong name counts even where none
/// was needed.
fn issuer_matches(iss: Option<&str>, asked: &str, required: bool) -> Result<(), Refusal> {
    refusal::CALLBACK_ISS_MISSING.require(iss.is_some() || !required)?;
    refusal::CALLBACK_ISS_MISMATCH.require(iss.is_none_or(|iss| iss == asked))
}

/// RFC 6749 §4.1.2, §4.1.2.1: a response is a code or an error, not both.
fn answer_is_consistent(answer: &Answer) -> Result<(), Refusal> {
    refusal::CALLBACK_PARAMETER_INVALID.require(answer.code.is_none() || answer.error.is_none())
}

/// RFC 6749 §4.1.2, §4.1.2.1: the code, or the error that came in its place.
fn granted(answer: Answer) -> Result<Granted, Refusal> {
    if let Some(error) = answer.error {
        return Err(refusal::CALLBACK_AUTHORIZATION_REFUSED.with_error(&error));
    }
    let code = answer.code.filter(|code| !code.is_empty());
    let code = code.ok_or_else(|| refusal::CALLBACK_CODE_MISSING.refuse())?;
    Ok(Granted { code: code.into(), id_token: answer.id_token.map(SecretString::from) })
}
