//! A security profile, resolved once to plain data.
//!
//! The rest of the crate asks for the field it needs and never for the profile's name. A bank's own habit is another
//! value of [`Security`], not a branch.

use std::borrow::Cow;
use std::num::NonZeroU32;

use domain::limits;
use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word for it in configuration and on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The value of a word; words are case-sensitive.
            pub fn named(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }
    };
}

words! {
    /// A signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1). FAPI 2.0 Security Profile §5.4.1 allows these and no other.
    Alg {
        /// RSASSA-PSS with SHA-256, keys of 2048 bits or more.
        Ps256 => "PS256",
        /// ECDSA on P-256 with SHA-256.
        Es256 => "ES256",
        /// Ed25519; never Ed448.
        EdDsa => "EdDSA",
    }
}

words! {
    /// How the key of an encrypted object is wrapped (RFC 7518 §4.3). Never RSA1_5 (FAPI 1.0 Advanced §8.6.1).
    KeyEncryption {
        /// RSAES-OAEP with SHA-1.
        RsaOaep => "RSA-OAEP",
        /// RSAES-OAEP with SHA-256.
        RsaOaep256 => "RSA-OAEP-256",
    }
}

impl Alg {
    /// The algorithm of a JWS header or of a metadata list: also reads `Ed25519`, the fully specified name of
    /// RFC 9864 §2.2.
    pub fn from_header(name: &str) -> Option<Self> {
        if name == "Ed25519" { Some(Self::EdDsa) } else { Self::named(name) }
    }
}

words! {
    /// In what form the authorization request reaches the server.
    RequestForm {
        /// Pushed, as plain form parameters (RFC 9126 §2.1).
        Parameters => "parameters",
        /// Pushed, as one signed request object that holds every parameter (RFC 9101, RFC 9126 §3).
        SignedJar => "signed",
        /// Through the browser, as one signed request object (RFC 9101 §5.1, FAPI 1.0 Advanced §5.2.3).
        SignedByValue => "signed_by_value",
        /// Through the browser, as plain parameters (RFC 6749 §4.1.1). Not FAPI.
        Url => "url",
    }
}

impl RequestForm {
    /// Whether the request goes to the server directly (RFC 9126), and only a reference through the browser.
    pub const fn is_pushed(self) -> bool {
        matches!(self, Self::Parameters | Self::SignedJar)
    }

    /// Whether every parameter is inside a signed request object (RFC 9101).
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::SignedJar | Self::SignedByValue)
    }
}

words! {
    /// What comes back, and in what form.
    ResponseForm {
        /// A code in the query (RFC 6749 §4.1.2).
        Query => "query",
        /// A code in a form that the browser posts (OAuth 2.0 Form Post Response Mode).
        FormPost => "form_post",
        /// A code in one signed JWT in the query (JARM §2.3, `response_mode=jwt`).
        Jarm => "jarm",
        /// A code and an ID token that vouches for it, in the fragment (OIDC Core §3.3, FAPI 1.0 Advanced §5.2.3.1).
        Hybrid => "hybrid",
        /// The same in a form that the browser posts.
        HybridFormPost => "hybrid_form_post",
    }
}

impl ResponseForm {
    /// The `response_type` that asks for it (RFC 6749 §3.1.1, OAuth 2.0 Multiple Response Types §5).
    pub const fn response_type(self) -> &'static str {
        match self {
            Self::Query | Self::FormPost | Self::Jarm => "code",
            Self::Hybrid | Self::HybridFormPost => "code id_token",
        }
    }

    /// The `response_mode` that asks for it, where it is not the one that the response type has by itself.
    pub const fn response_mode(self) -> Option<&'static str> {
        match self {
            Self::Query | Self::Hybrid => None,
            Self::FormPost | Self::HybridFormPost => Some("form_post"),
            Self::Jarm => Some("jwt"),
        }
    }

    /// Whether an ID token comes with the code (OIDC Core §3.3.2).
    pub const fn is_hybrid(self) -> bool {
        matches!(self, Self::Hybrid | Self::HybridFormPost)
    }

    /// Whether the server signs the response, so that its keys are needed before the code can be believed.
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::Jarm) || self.is_hybrid()
    }
}

words! {
    /// How we prove who we are at the PAR, token and revocation endpoints (FAPI 2.0 Security Profile §5.3.3.1).
    ClientAuth {
        /// A signed assertion (RFC 7523 §2.2, OIDC Core §9).
        PrivateKeyJwt => "private_key_jwt",
        /// The client certificate of the TLS connection, from an authority that the server trusts (RFC 8705 §2.1).
        TlsClientAuth => "tls_client_auth",
        /// The client certificate of the TLS connection, registered as a key and signed by itself (RFC 8705 §2.2).
        SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
    }
}

impl ClientAuth {
    /// Whether the certificate of the connection proves who we are.
    pub const fn is_by_certificate(self) -> bool {
        matches!(self, Self::TlsClientAuth | Self::SelfSignedTlsClientAuth)
    }
}

words! {
    /// What a client assertion names as its audience.
    Audience {
        /// The issuer identifier as a single string (FAPI 2.0 Security Profile §5.3.3.1).
        Issuer => "issuer",
        /// The URL of the token endpoint, at every endpoint; older servers ask for it (OIDC Core §9).
        TokenEndpoint => "token_endpoint",
    }
}

words! {
    /// What ties an access token to its holder.
    TokenBinding {
        /// The client certificate (RFC 8705 §3): the token is used over TLS with the certificate it was fetched with.
        /// The token is opaque to a client, so its `cnf` is the resource server's to check.
        Mtls => "mtls",
        /// A key of the grant's own that signs a proof for each request (RFC 9449).
        Dpop => "dpop",
        /// Nothing. Not FAPI.
        Unbound => "none",
    }
}

impl TokenBinding {
    /// The `token_type` of such a token, compared without regard to case (RFC 8705 §3 keeps `Bearer`; RFC 9449 §5). It is
    /// also the scheme of its `Authorization` header (RFC 6750 §2.1, RFC 9449 §7.1).
    pub const fn token_type(self) -> &'static str {
        match self {
            Self::Mtls | Self::Unbound => "Bearer",
            Self::Dpop => "DPoP",
        }
    }
}

words! {
    /// Whether an authorization response in the query must say who issued it (RFC 9207 §2.4).
    IssuerParameter {
        /// Always, announced or not (FAPI 2.0 Security Profile §5.3.2.2, §5.3.3.2).
        Required => "required",
        /// Where the metadata announce it.
        IfAnnounced => "if_announced",
    }
}

words! {
    /// How we learn that a user who signs in elsewhere is done (OIDC CIBA Core §5). Never push (FAPI-CIBA §5.2.2).
    TokenDelivery {
        /// By asking the token endpoint from time to time.
        Poll => "poll",
        /// The server tells us when to ask. What it says is a hint: a lost one is made up for by asking.
        Ping => "ping",
    }
}

words! {
    /// What is thought of a scope that was granted and not asked for (RFC 6749 §3.3).
    GrantedScope {
        /// It is refused: a token must not stand for more than the user was told.
        Asked => "asked",
        /// It is told to the caller and no more.
        Any => "any",
    }
}

words! {
    /// Whether an ID token must be encrypted to us (OIDC Registration §2).
    IdTokenEncryption {
        /// It may be: servers that know no key of ours do not encrypt.
        Accepted => "accepted",
        /// It must be, as in Brazil, where it carries personal data.
        Required => "required",
    }
}

words! {
    /// In what form we register with a server (RFC 7591).
    RegistrationForm {
        /// A JSON object (RFC 7591 §3.1), with a software statement inside where a directory vouches for us.
        Json => "json",
        /// A JWT of ours as `application/jose`, as UK Open Banking registers.
        Jose => "jose",
        /// A JWT of ours as `application/jwt`, as the Australian CDR registers.
        Jwt => "jwt",
    }
}

impl RegistrationForm {
    /// The media type of the request.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Jose => "application/jose",
            Self::Jwt => "application/jwt",
        }
    }
}

/// Everything the protocol steps need to know about how safe they must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    /// Form of the request.
    pub request: RequestForm,
    /// Form of the authorization response.
    pub response: ResponseForm,
    /// Whether the response must name its issuer.
    pub issuer_parameter: IssuerParameter,
    /// Client authentication.
    pub client_auth: ClientAuth,
    /// Audience of client assertions.
    pub client_assertion_audience: Audience,
    /// Sender constraint of access tokens.
    pub binding: TokenBinding,
    /// Algorithms that the server's signatures may have; what the server announces narrows them further.
    pub algs: Cow<'static, [Alg]>,
    /// How strongly the user must have signed in: one of these `acr` values, asked for as an essential claim and compared
    /// on return (OIDC Core §5.5.1.1). Empty: it is not asked.
    pub acr_values: Cow<'static, [String]>,
    /// Whether the server must say how strongly the user signed in where no values are named: `acr` is asked for as an
    /// essential claim without values.
    pub acr_required: bool,
    /// The ID token claim that names what is authorised, asked for as an essential claim and compared on return
    /// (`openbanking_intent_id` in the UK). Absent: the server ties the token to it in another way.
    pub intent_claim: Option<String>,
    /// The claim of the request, and the member of the token response, that names the arrangement which successive
    /// authorisations belong to (`cdr_arrangement_id` in Australia). Absent: there are no arrangements.
    pub arrangement_claim: Option<String>,
    /// The claim of the request that says for how many seconds data are shared (`sharing_duration` in Australia).
    pub duration_claim: Option<String>,
    /// What is thought of a scope that nobody asked for.
    pub granted_scope: GrantedScope,
    /// Whether ID tokens must be encrypted.
    pub id_token_encryption: IdTokenEncryption,
    /// How a decoupled login ends.
    pub token_delivery: TokenDelivery,
    /// How we register.
    pub registration: RegistrationForm,
    /// Lifetime of a client assertion, in seconds.
    pub client_assertion_seconds: i64,
    /// Lifetime of a request object, in seconds; at most 60 minutes (FAPI 2.0 Message Signing §5.3.1).
    pub request_object_seconds: i64,
    /// How far `nbf` is set back, in seconds, so that a server whose clock is late accepts what we sign.
    pub not_before_seconds: i64,
    /// Longest accepted lifetime of a `request_uri`, in seconds. FAPI 2.0 has less than 600 (Security Profile §5.3.2.2);
    /// before it there was no limit (RFC 9126 §2.2), and the login has one of its own.
    pub request_uri_seconds_max: i64,
    /// Greatest accepted age of an ID token, in seconds.
    pub id_token_age_seconds_max: i64,
    /// Time for the whole login, from pushing the request to the callback, in seconds.
    pub login_seconds: i64,
}

impl Security {
    /// The profile of a name in configuration: `fapi2-security`, `fapi2-message-signing`, `fapi1-advanced` or `oauth-pkce`.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "fapi2-security" => FAPI2_SECURITY,
            "fapi2-message-signing" => FAPI2_MESSAGE_SIGNING,
            "fapi1-advanced" => FAPI1_ADVANCED,
            "oauth-pkce" => OAUTH_PKCE,
            _ => return None,
        })
    }

    /// Whether calls to the server go to its mutual-TLS endpoints (RFC 8705 §5).
    pub fn uses_mtls(&self) -> bool {
        self.client_auth.is_by_certificate() || self.binding == TokenBinding::Mtls
    }
}

/// The `[security]` table of a profile file: the name of a profile, and each field in which a server deviates from it.
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// A name that [`Security::named`] knows.
    pub profile: String,
    /// [`Security::request`].
    pub request: Option<RequestForm>,
    /// [`Security::response`].
    pub response: Option<ResponseForm>,
    /// [`Security::issuer_parameter`].
    pub issuer_parameter: Option<IssuerParameter>,
    /// [`Security::client_auth`].
    pub client_auth: Option<ClientAuth>,
    /// [`Security::client_assertion_audience`].
    pub audience: Option<Audience>,
    /// [`Security::binding`].
    pub binding: Option<TokenBinding>,
    /// [`Security::algs`].
    pub algs: Option<Vec<Alg>>,
    /// [`Security::acr_values`].
    pub acr_values: Option<Vec<String>>,
    /// [`Security::intent_claim`].
    pub intent_claim: Option<String>,
    /// [`Security::acr_required`].
    pub acr_required: Option<bool>,
    /// [`Security::arrangement_claim`].
    pub arrangement_claim: Option<String>,
    /// [`Security::duration_claim`].
    pub duration_claim: Option<String>,
    /// [`Security::granted_scope`].
    pub granted_scope: Option<GrantedScope>,
    /// [`Security::id_token_encryption`].
    pub id_token_encryption: Option<IdTokenEncryption>,
    /// [`Security::token_delivery`].
    pub token_delivery: Option<TokenDelivery>,
    /// [`Security::registration`].
    pub registration: Option<RegistrationForm>,
    /// [`Security::request_uri_seconds_max`].
    pub request_uri_seconds_max: Option<NonZeroU32>,
}

impl Settings {
    /// The profile with its deviations. `None` for a profile of an unknown name.
    pub fn resolve(self) -> Option<Security> {
        let base = Security::named(&self.profile)?;
        Some(Security {
            request: self.request.unwrap_or(base.request),
            response: self.response.unwrap_or(base.response),
            issuer_parameter: self.issuer_parameter.unwrap_or(base.issuer_parameter),
            client_auth: self.client_auth.unwrap_or(base.client_auth),
            client_assertion_audience: self.audience.unwrap_or(base.client_assertion_audience),
            binding: self.binding.unwrap_or(base.binding),
            algs: self.algs.map_or(base.algs, Cow::Owned),
            acr_values: self.acr_values.map_or(base.acr_values, Cow::Owned),
            intent_claim: self.intent_claim.or(base.intent_claim),
            acr_required: self.acr_required.unwrap_or(base.acr_required),
            arrangement_claim: self.arrangement_claim.or(base.arrangement_claim),
            duration_claim: self.duration_claim.or(base.duration_claim),
            granted_scope: self.granted_scope.unwrap_or(base.granted_scope),
            id_token_encryption: self.id_token_encryption.unwrap_or(base.id_token_encryption),
            token_delivery: self.token_delivery.unwrap_or(base.token_delivery),
            registration: self.registration.unwrap_or(base.registration),
            request_uri_seconds_max: self
                .request_uri_seconds_max
                .map_or(base.request_uri_seconds_max, |seconds| seconds.get().into()),
            ..base
        })
    }
}

/// FAPI 2.0 Security Profile (Final, 2025-02-22) with `private_key_jwt` and certificate-bound tokens.
pub const FAPI2_SECURITY: Security = Security {
    request: RequestForm::Parameters,
    response: ResponseForm::Query,
    issuer_parameter: IssuerParameter::Required,
    client_auth: ClientAuth::PrivateKeyJwt,
    client_assertion_audience: Audience::Issuer,
    binding: TokenBinding::Mtls,
    algs: Cow::Borrowed(Alg::ALL),
    acr_values: Cow::Borrowed(&[]),
    acr_required: false,
    intent_claim: None,
    arrangement_claim: None,
    duration_claim: None,
    granted_scope: GrantedScope::Asked,
    id_token_encryption: IdTokenEncryption::Accepted,
    token_delivery: TokenDelivery::Poll,
    registration: RegistrationForm::Json,
    client_assertion_seconds: 60,
    request_object_seconds: 300,
    not_before_seconds: 10,
    request_uri_seconds_max: 600,
    id_token_age_seconds_max: 600,
    login_seconds: limits::LOGIN_SECONDS,
};

/// FAPI 2.0 Message Signing: the Security Profile with signed request objects and signed authorization responses. A
/// server that signs only the requests is this with `response: ResponseForm::Query`.
pub const FAPI2_MESSAGE_SIGNING: Security =
    Security { request: RequestForm::SignedJar, response: ResponseForm::Jarm, ..FAPI2_SECURITY };

/// FAPI 1.0 Advanced (Final, 2021-03-12): a signed request object through the browser, and an ID token that vouches for
/// the code. With `response: ResponseForm::Jarm` it is the profile's other way (§5.2.3.2), with
/// `request: RequestForm::SignedJar` the pushed one.
pub const FAPI1_ADVANCED: Security = Security {
    request: RequestForm::SignedByValue,
    response: ResponseForm::Hybrid,
    issuer_parameter: IssuerParameter::IfAnnounced,
    algs: Cow::Borrowed(&[Alg::Ps256, Alg::Es256]),
    request_uri_seconds_max: 3600,
    ..FAPI2_SECURITY
};

/// Plain OAuth with PKCE (RFC 6749, RFC 7636, RFC 9700), for banks that know no FAPI and tell TPPs by their certificates.
pub const OAUTH_PKCE: Security = Security {
    request: RequestForm::Url,
    issuer_parameter: IssuerParameter::IfAnnounced,
    client_auth: ClientAuth::TlsClientAuth,
    binding: TokenBinding::Unbound,
    granted_scope: GrantedScope::Any,
    request_uri_seconds_max: 3600,
    ..FAPI2_SECURITY
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_stay_inside_the_standard() {
        for profile in [FAPI2_SECURITY, FAPI2_MESSAGE_SIGNING, FAPI1_ADVANCED, OAUTH_PKCE] {
            assert!((1..=300).contains(&profile.client_assertion_seconds));
            assert!(profile.request_object_seconds + profile.not_before_seconds <= 3600);
            assert!((1..=60).contains(&profile.not_before_seconds));
        }
        let request_uris =
            [FAPI2_SECURITY, FAPI2_MESSAGE_SIGNING, FAPI1_ADVANCED, OAUTH_PKCE].map(|p| p.request_uri_seconds_max);
        assert_eq!(request_uris, [600, 600, 3600, 3600]);
    }

    #[test]
    fn the_profiles_differ_where_their_standards_do() {
        let forms = |profile: Security| (profile.request, profile.response, profile.issuer_parameter);
        let trust = |profile: Security| (profile.client_auth, profile.binding, profile.granted_scope);
        let (named, announced) = (IssuerParameter::Required, IssuerParameter::IfAnnounced);
        assert_eq!(forms(FAPI2_SECURITY), (RequestForm::Parameters, ResponseForm::Query, named));
        assert_eq!(forms(FAPI2_MESSAGE_SIGNING), (RequestForm::SignedJar, ResponseForm::Jarm, named));
        assert_eq!(forms(FAPI1_ADVANCED), (RequestForm::SignedByValue, ResponseForm::Hybrid, announced));
        assert_eq!(forms(OAUTH_PKCE), (RequestForm::Url, ResponseForm::Query, announced));
        for fapi in [FAPI2_SECURITY, FAPI2_MESSAGE_SIGNING, FAPI1_ADVANCED] {
            assert_eq!(trust(fapi), (ClientAuth::PrivateKeyJwt, TokenBinding::Mtls, GrantedScope::Asked));
        }
        assert_eq!(trust(OAUTH_PKCE), (ClientAuth::TlsClientAuth, TokenBinding::Unbound, GrantedScope::Any));
        assert_eq!(&*FAPI2_SECURITY.algs, [Alg::Ps256, Alg::Es256, Alg::EdDsa]);
        assert_eq!(&*FAPI1_ADVANCED.algs, [Alg::Ps256, Alg::Es256], "EdDSA came with FAPI 2.0");
    }

    #[test]
    fn words_and_values_belong_together() {
        for alg in Alg::ALL {
            assert_eq!(Alg::named(alg.as_str()), Some(*alg));
        }
        assert_eq!(Alg::from_header("Ed25519"), Some(Alg::EdDsa));
        for never in ["none", "None", "RS256", "HS256", "ES256K", "PS512", ""] {
            assert_eq!(Alg::from_header(never), None, "{never}");
        }
        assert_eq!(Security::named("fapi2-security"), Some(FAPI2_SECURITY));
        assert_eq!(Security::named("FAPI2"), None);
    }

    #[test]
    fn settings_deviate_from_their_profile_and_from_nothing_else() {
        let settings = |text: &str| serde_json::from_str::<Settings>(text).ok().and_then(Settings::resolve);
        let by_name = |name: &str| settings(&format!(r#"{{ "profile": "{name}" }}"#));
        for name in ["fapi2-security", "fapi2-message-signing", "fapi1-advanced", "oauth-pkce"] {
            assert!(by_name(name).is_some() && by_name(name) == Security::named(name), "{name}");
        }
        let own = settings(
            r#"{ "profile": "fapi1-advanced", "request": "signed", "response": "jarm", "client_auth": "tls_client_auth",
                 "binding": "dpop", "audience": "token_endpoint", "algs": ["PS256"], "acr_values": ["a"],
                 "issuer_parameter": "required", "intent_claim": "openbanking_intent_id",
                 "token_delivery": "ping", "registration": "jose", "acr_required": true, "duration_claim": "d",
                 "arrangement_claim": "a", "granted_scope": "any", "id_token_encryption": "required",
                 "request_uri_seconds_max": 90 }"#,
        );
        let expected = Security {
            request: RequestForm::SignedJar,
            response: ResponseForm::Jarm,
            issuer_parameter: IssuerParameter::Required,
            client_auth: ClientAuth::TlsClientAuth,
            client_assertion_audience: Audience::TokenEndpoint,
            binding: TokenBinding::Dpop,
            algs: Cow::Owned(vec![Alg::Ps256]),
            acr_values: Cow::Owned(vec!["a".to_owned()]),
            intent_claim: Some("openbanking_intent_id".to_owned()),
            acr_required: true,
            duration_claim: Some("d".to_owned()),
            arrangement_claim: Some("a".to_owned()),
            granted_scope: GrantedScope::Any,
            id_token_encryption: IdTokenEncryption::Required,
            token_delivery: TokenDelivery::Ping,
            registration: RegistrationForm::Jose,
            request_uri_seconds_max: 90,
            ..FAPI1_ADVANCED
        };
        assert_eq!(own, Some(expected));
        assert_eq!(settings(r#"{ "profile": "fapi2-security", "algs": ["RS256"] }"#), None);
    }
}
