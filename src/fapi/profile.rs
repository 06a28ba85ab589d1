//! A security profile, resolved once to plain data.
//!
//! The rest of the crate asks for the field it needs and never for the profile's name. A bank's own habit is another
//! value of [`Security`], not a branch.

use std::borrow::Cow;

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

impl Alg {
    /// The algorithm of a JWS header or of a metadata list: also reads `Ed25519`, the fully specified name of
    /// RFC 9864 §2.2.
    pub fn from_header(name: &str) -> Option<Self> {
        if name == "Ed25519" { Some(Self::EdDsa) } else { Self::named(name) }
    }
}

words! {
    /// In what form the authorization request is pushed.
    RequestForm {
        /// Plain form parameters (RFC 9126 §2.1).
        Parameters => "parameters",
        /// One signed request object that holds every parameter (RFC 9101, RFC 9126 §3).
        SignedJar => "signed",
    }
}

words! {
    /// In what form the authorization response comes back.
    ResponseForm {
        /// Query parameters (RFC 6749 §4.1.2).
        Query => "query",
        /// One signed JWT in the query (JARM §2.3, `response_mode=jwt`).
        Jarm => "jarm",
    }
}

words! {
    /// How we prove who we are at the PAR, token and revocation endpoints (FAPI 2.0 Security Profile §5.3.3.1).
    ClientAuth {
        /// A signed assertion (RFC 7523 §2.2, OIDC Core §9).
        PrivateKeyJwt => "private_key_jwt",
        /// The client certificate of the TLS connection (RFC 8705 §2.1).
        TlsClientAuth => "tls_client_auth",
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
        /// Nothing. Not FAPI.
        Unbound => "none",
    }
}

impl TokenBinding {
    /// The `token_type` of such a token, compared without regard to case (RFC 8705 §3 keeps `Bearer`).
    pub const fn token_type(self) -> &'static str {
        match self {
            Self::Mtls | Self::Unbound => "Bearer",
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

/// Everything the protocol steps need to know about how safe they must be. Requests are always pushed (RFC 9126).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    /// Form of the pushed request.
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
    /// Lifetime of a client assertion, in seconds.
    pub client_assertion_seconds: i64,
    /// Lifetime of a request object, in seconds; at most 60 minutes (FAPI 2.0 Message Signing §5.3.1).
    pub request_object_seconds: i64,
    /// How far `nbf` is set back, in seconds, so that a server whose clock is late accepts what we sign.
    pub not_before_seconds: i64,
    /// Longest accepted lifetime of a `request_uri`, in seconds.
    pub request_uri_seconds_max: i64,
    /// Greatest accepted age of an ID token, in seconds.
    pub id_token_age_seconds_max: i64,
    /// Time for the whole login, from pushing the request to the callback, in seconds.
    pub login_seconds: i64,
}

impl Security {
    /// The profile of a name in configuration: `fapi2-security` or `fapi2-message-signing`.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "fapi2-security" => FAPI2_SECURITY,
            "fapi2-message-signing" => FAPI2_MESSAGE_SIGNING,
            _ => return None,
        })
    }

    /// Whether calls to the server go to its mutual-TLS endpoints (RFC 8705 §5).
    pub fn uses_mtls(&self) -> bool {
        self.client_auth == ClientAuth::TlsClientAuth || self.binding == TokenBinding::Mtls
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_stay_inside_the_standard() {
        for profile in [FAPI2_SECURITY, FAPI2_MESSAGE_SIGNING] {
            assert!((1..=300).contains(&profile.client_assertion_seconds));
            assert!(profile.request_object_seconds + profile.not_before_seconds <= 3600);
            assert!((1..=60).contains(&profile.not_before_seconds));
            assert!(profile.request_uri_seconds_max <= 600);
        }
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
}
