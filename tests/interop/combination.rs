//! What is combined: profiles, client authentication, algorithms, bindings, forms.

use fapi::profile::{Alg, ClientAuth, KeyEncryption, ResponseForm, Security, TokenBinding, TokenDelivery};
use fapi::profile::{FAPI1_ADVANCED, FAPI2_MESSAGE_SIGNING, FAPI2_SECURITY, OAUTH_PKCE};
use serde_json::{Value, json};
use tests::world::free_port;

use crate::certificates;

/// Our id at the server.
pub(crate) const CLIENT_ID: &str = "tpp-1";
/// Where it sends the browser; nobody listens there.
pub(crate) const REDIRECT_URI: &str = "https://tpp.example/callback";

/// Where a server notifies us, as it is registered; what stands there hands on to a port of this machine.
pub(crate) const NOTIFICATION_ENDPOINT: &str = "https://tpp.example/ping";
/// OIDC CIBA Core §4.
const CIBA: &str = "urn:openid:params:grant-type:ciba";

/// One way of logging in.
#[derive(Clone)]
pub(crate) struct Combination {
    pub(crate) name: &'static str,
    /// The name of its profile.
    pub(crate) profile: &'static str,
    /// What both sides do.
    pub(crate) security: Security,
    pub(crate) alg: Alg,
    pub(crate) scope: &'static str,
    pub(crate) encryption: Option<KeyEncryption>,
    /// Whether a rich request is made (RFC 9396).
    pub(crate) details: bool,
    /// Whether the user is asked elsewhere (CIBA), and then where the server's notifications come in.
    pub(crate) elsewhere: Option<Option<u16>>,
    /// Whether we become a client first (RFC 7591).
    pub(crate) registers: bool,
    /// What the server is told beside what follows from the profile.
    pub(crate) server: Value,
}

impl Combination {
    fn new(name: &'static str, profile: &'static str, security: Security) -> Self {
        let server = json!({ "rotate": true });
        let scope = "openid accounts";
        let (alg, elsewhere) = (Alg::Es256, None);
        Self {
            name,
            profile,
            security,
            alg,
            scope,
            encryption: None,
            details: false,
            elsewhere,
            registers: false,
            server,
        }
    }

    fn server(mut self, name: &str, value: Value) -> Self {
        self.server[name] = value;
        self
    }

    /// The server tells us that the user is done, through a port of this machine.
    fn pinged(self) -> Self {
        let port = free_port();
        Self { elsewhere: Some(Some(port)), ..self }.server("ping", port.into())
    }

    pub(crate) fn openid(&self) -> bool {
        self.scope.contains("openid")
    }

    /// The profile file.
    pub(crate) fn profile(&self) -> String {
        let security = &self.security;
        let intent = security.intent_claim.as_ref().map(|claim| format!("intent_claim = \"{claim}\"\n"));
        let details = "authorization_details = '[{ \"type\": \"account_information\" }]'\n";
        format!(
            "[security]\nprofile = \"{}\"\nclient_auth = \"{}\"\nbinding = \"{}\"\nrequest = \"{}\"\nresponse = \"{}\"\n\
             token_delivery = \"{}\"\nalgs = [\"{}\"]\n{}{}",
            self.profile,
            security.client_auth.as_str(),
            security.binding.as_str(),
            security.request.as_str(),
            security.response.as_str(),
            security.token_delivery.as_str(),
            self.alg.as_str(),
            intent.unwrap_or_default(),
            if self.details { details } else { "" },
        )
    }

    /// Who we are, as the server knows us (RFC 7591 §2).
    pub(crate) fn client(&self) -> Value {
        let (security, alg) = (&self.security, self.alg.as_str());
        let hybrid = security.response.is_hybrid();
        let mut client = json!({
            "client_id": CLIENT_ID,
            "redirect_uris": [REDIRECT_URI],
            "response_types": [security.response.response_type()],
            "grant_types": ["authorization_code", "refresh_token"],
            "scope": "openid accounts",
            "token_endpoint_auth_method": security.client_auth.as_str(),
            "id_token_signed_response_alg": alg,
            "authorization_signed_response_alg": alg,
            "jwks": { "keys": certificates::public_keys(self.alg, self.encryption) },
            "tls_client_certificate_bound_access_tokens": security.binding == TokenBinding::Mtls,
            "dpop_bound_access_tokens": security.binding == TokenBinding::Dpop,
        });
        if hybrid {
            client["grant_types"] = json!(["authorization_code", "refresh_token", "implicit"]);
        }
        if security.request.is_signed() {
            client["request_object_signing_alg"] = alg.into();
        }
        match security.client_auth {
            ClientAuth::PrivateKeyJwt => client["token_endpoint_auth_signing_alg"] = alg.into(),
            ClientAuth::TlsClientAuth => client["tls_client_auth_subject_dn"] = "CN=localhost".into(),
            ClientAuth::SelfSignedTlsClientAuth => {}
        }
        if self.elsewhere.is_some() {
            client["grant_types"] = json!([CIBA, "refresh_token"]);
            client["response_types"] = json!([]);
            client["backchannel_token_delivery_mode"] = security.token_delivery.as_str().into();
            client["backchannel_authentication_request_signing_alg"] = alg.into();
        }
        if security.token_delivery == TokenDelivery::Ping {
            client["backchannel_client_notification_endpoint"] = NOTIFICATION_ENDPOINT.into();
        }
        if self.details {
            client["authorization_details_types"] = json!(["account_information"]);
        }
        if let Some(wrap) = self.encryption {
            client["id_token_encrypted_response_alg"] = wrap.as_str().into();
            client["id_token_encrypted_response_enc"] = "A256GCM".into();
            if security.response == ResponseForm::Jarm {
                client["authorization_encrypted_response_alg"] = wrap.as_str().into();
                client["authorization_encrypted_response_enc"] = "A256GCM".into();
            }
        }
        client
    }
}

/// All of them.
pub(crate) fn combinations() -> Vec<Combination> {
    [fapi2(), message_signing(), bound_to_keys(), fapi1(), elsewhere(), registering(), others()].concat()
}

/// FAPI 2.0 with certificates.
pub(crate) fn fapi2() -> Vec<Combination> {
    let base = |name| {
        Combination::new(name, "fapi2-security", FAPI2_SECURITY)
            .server("fapi", json!("2.0"))
            .server("pushed", true.into())
    };
    let by = |name, client_auth| Combination { security: Security { client_auth, ..FAPI2_SECURITY }, ..base(name) };
    vec![
        base("FAPI 2, private_key_jwt, mTLS, ES256, rotation"),
        Combination { alg: Alg::Ps256, ..base("FAPI 2, private_key_jwt, mTLS, PS256") }.server("rotate", false.into()),
        by("FAPI 2, tls_client_auth, mTLS", ClientAuth::TlsClientAuth),
        by("FAPI 2, self_signed_tls_client_auth, mTLS", ClientAuth::SelfSignedTlsClientAuth),
        Combination { details: true, ..base("FAPI 2, RAR") }.server("details", true.into()),
        Combination { alg: Alg::EdDsa, ..base("FAPI 2, private_key_jwt, mTLS, EdDSA") },
    ]
}

/// FAPI 2.0 Message Signing with JARM.
pub(crate) fn message_signing() -> Vec<Combination> {
    let base = |name| {
        Combination::new(name, "fapi2-message-signing", FAPI2_MESSAGE_SIGNING)
            .server("fapi", json!("2.0"))
            .server("pushed", true.into())
            .server("signed", true.into())
    };
    let encrypted = |name, wrap| Combination { encryption: Some(wrap), ..base(name) };
    vec![
        base("Message Signing, JARM, private_key_jwt, ES256"),
        Combination { alg: Alg::Ps256, ..base("Message Signing, JARM, private_key_jwt, PS256") },
        Combination {
            security: Security { client_auth: ClientAuth::TlsClientAuth, ..FAPI2_MESSAGE_SIGNING },
            alg: Alg::Ps256,
            ..base("Message Signing, JARM, tls_client_auth, PS256")
        },
        Combination { alg: Alg::EdDsa, ..base("Message Signing, JARM, private_key_jwt, EdDSA") },
        encrypted("Message Signing, JARM in RSA-OAEP", KeyEncryption::RsaOaep),
        encrypted("Message Signing, JARM in RSA-OAEP-256", KeyEncryption::RsaOaep256),
    ]
}

/// DPoP, with and without nonces.
pub(crate) fn bound_to_keys() -> Vec<Combination> {
    let dpop = Security { binding: TokenBinding::Dpop, ..FAPI2_SECURITY };
    let base = |name| {
        Combination::new(name, "fapi2-security", dpop.clone())
            .server("fapi", json!("2.0"))
            .server("pushed", true.into())
    };
    vec![
        base("FAPI 2, private_key_jwt, DPoP"),
        base("FAPI 2, private_key_jwt, DPoP with nonces").server("nonces", true.into()),
        Combination {
            security: Security { client_auth: ClientAuth::TlsClientAuth, ..dpop.clone() },
            ..base("FAPI 2, tls_client_auth, DPoP with nonces")
        }
        .server("nonces", true.into()),
    ]
}

/// FAPI 1.0 Advanced.
pub(crate) fn fapi1() -> Vec<Combination> {
    let base = |name, response| {
        let security = Security { response, ..FAPI1_ADVANCED };
        Combination::new(name, "fapi1-advanced", security)
            .server("fapi", json!("1.0 Final"))
            .server("signed", true.into())
    };
    let intent = Security { intent_claim: Some("openbanking_intent_id".to_owned()), ..FAPI1_ADVANCED };
    let encrypted = |name, wrap| Combination { encryption: Some(wrap), ..base(name, ResponseForm::Hybrid) };
    vec![
        base("FAPI 1, hybrid, fragment, ES256", ResponseForm::Hybrid),
        Combination { alg: Alg::Ps256, ..base("FAPI 1, hybrid, fragment, PS256", ResponseForm::Hybrid) },
        base("FAPI 1, hybrid, form_post", ResponseForm::HybridFormPost),
        base("FAPI 1, JARM", ResponseForm::Jarm),
        Combination { security: intent, ..base("FAPI 1, hybrid, UK intent", ResponseForm::Hybrid) },
        encrypted("FAPI 1, hybrid, ID token RSA-OAEP", KeyEncryption::RsaOaep),
        encrypted("FAPI 1, hybrid, ID token RSA-OAEP-256", KeyEncryption::RsaOaep256),
    ]
}

/// The user is asked elsewhere, and the server is asked or tells.
pub(crate) fn elsewhere() -> Vec<Combination> {
    let base = |name, token_delivery| {
        let security = Security { token_delivery, ..FAPI1_ADVANCED };
        Combination { elsewhere: Some(None), ..Combination::new(name, "fapi1-advanced", security) }
            .server("fapi", json!("1.0 Final"))
            .server("signed", true.into())
            .server("elsewhere", true.into())
    };
    let by_certificate = |base: Combination| {
        let security = Security { client_auth: ClientAuth::TlsClientAuth, ..base.security.clone() };
        Combination { security, ..base }
    };
    vec![
        base("CIBA, poll, private_key_jwt, ES256", TokenDelivery::Poll),
        Combination {
            alg: Alg::Ps256,
            ..by_certificate(base("CIBA, poll, tls_client_auth, PS256", TokenDelivery::Poll))
        },
        base("CIBA, ping, private_key_jwt, ES256", TokenDelivery::Ping).pinged(),
    ]
}

/// A client that nobody set up before.
pub(crate) fn registering() -> Vec<Combination> {
    let new = |combination: &Combination, name| {
        Combination { name, registers: true, ..combination.clone() }.server("registers", true.into())
    };
    let (fapi2, signing, fapi1, elsewhere) = (fapi2(), message_signing(), fapi1(), elsewhere());
    vec![
        new(&fapi2[0], "registered, FAPI 2, private_key_jwt, mTLS"),
        new(&signing[1], "registered, Message Signing, JARM, PS256"),
        new(&signing[5], "registered, Message Signing, JARM in RSA-OAEP-256"),
        new(&fapi1[6], "registered, FAPI 1, hybrid, RSA-OAEP-256"),
        new(&elsewhere[2], "registered, CIBA, ping").pinged(),
    ]
}

/// Without FAPI.
fn others() -> Vec<Combination> {
    let base = |name| Combination::new(name, "oauth-pkce", OAUTH_PKCE);
    vec![
        base("OAuth with PKCE, tls_client_auth, openid"),
        Combination {
            security: Security { response: ResponseForm::FormPost, ..OAUTH_PKCE },
            ..base("OAuth with PKCE, form_post")
        },
    ]
}
