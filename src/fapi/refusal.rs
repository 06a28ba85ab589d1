//! Why a step was refused: one stable code for each check, with the paragraph that asks for it.
//!
//! A [`Refusal`] may be logged and shown. It never carries a secret, and of the other side's words only the OAuth error
//! code, cut to [`ERROR_CODE_CHARS_MAX`] plain characters.

use std::borrow::Cow;
use std::fmt;

use domain::error::WhoCanFix;

/// Longest error code of the other side that is kept, in characters.
pub const ERROR_CODE_CHARS_MAX: usize = 64;

/// One check that can refuse: an entry of [`reasons`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    /// `<object>.<claim or field>.<missing|mismatch|expired|invalid|untrusted>`, or `….refused` where the other side
    /// said no. Never changes once published.
    pub code: &'static str,
    /// The paragraph that asks for the check.
    pub reference: &'static str,
    /// Who can usually mend it.
    pub who_can_fix: WhoCanFix,
    /// What is wrong, in one plain sentence.
    pub says: &'static str,
}

impl Reason {
    /// Passes if the condition holds.
    pub(crate) fn require(&self, holds: bool) -> Result<(), Refusal> {
        if holds { Ok(()) } else { Err(self.refuse()) }
    }

    /// The refusal for this reason.
    pub(crate) fn refuse(&self) -> Refusal {
        Refusal {
            code: self.code,
            reference: self.reference,
            detail: Cow::Borrowed(self.says),
            who_can_fix: self.who_can_fix,
            error: None,
        }
    }

    /// The refusal with the HTTP status that was not expected.
    pub(crate) fn with_status(&self, status: http::StatusCode) -> Refusal {
        Refusal { detail: Cow::Owned(format!("{} (status {})", self.says, status.as_u16())), ..self.refuse() }
    }

    /// The refusal with the OAuth error code that the other side gave.
    pub(crate) fn with_error(&self, error: &str) -> Refusal {
        let error = sanitised(error);
        Refusal {
            detail: Cow::Owned(format!("{}: {error}", self.says)),
            who_can_fix: who_can_fix(&error).unwrap_or(self.who_can_fix),
            error: Some(error),
            ..self.refuse()
        }
    }
}

/// A step that did not pass one of its checks. Nothing more may be sent for the login or token it belongs to, unless
/// the caller begins anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code of the check ([`Reason::code`]).
    pub code: &'static str,
    /// The paragraph that asks for the check.
    pub reference: &'static str,
    /// One plain sentence, free of secrets and of foreign text other than [`Refusal::error`].
    pub detail: Cow<'static, str>,
    /// Who can mend it.
    pub who_can_fix: WhoCanFix,
    /// The OAuth error code of the other side (`access_denied`), for codes that end in `.refused`: at most
    /// [`ERROR_CODE_CHARS_MAX`] characters of `A-Z a-z 0-9 _ - . :`.
    pub error: Option<String>,
}

impl Refusal {
    /// Whether a header named a key that is not among the server's: fetch the keys once more and ask again, before the
    /// verdict. Keys may change at any time.
    pub fn is_unknown_key(&self) -> bool {
        [
            JARM_KID_UNTRUSTED.code,
            ID_TOKEN_KID_UNTRUSTED.code,
            INTROSPECTION_KID_UNTRUSTED.code,
            WITHDRAWAL_KID_UNTRUSTED.code,
        ]
        .contains(&self.code)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.code, self.detail, self.reference)
    }
}

impl std::error::Error for Refusal {}

/// An error code without anything that could break a log line or smuggle text.
fn sanitised(error: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    let kept: String = error.chars().filter(plain).take(ERROR_CODE_CHARS_MAX).collect();
    if kept.is_empty() { "unreadable".to_owned() } else { kept }
}

/// Who can mend an OAuth error: RFC 6749 §4.1.2.1 and §5.2, OIDC Core §3.1.2.6, RFC 9101 §7, RFC 9396 §5,
/// OIDC CIBA Core §11 and §13, RFC 7591 §3.2.2.
fn who_can_fix(error: &str) -> Option<WhoCanFix> {
    Some(match error {
        "access_denied"
        | "invalid_grant"
        | "login_required"
        | "interaction_required"
        | "consent_required"
        | "account_selection_required"
        | "expired_token"
        | "unknown_user_id"
        | "expired_login_hint_token"
        | "missing_user_code"
        | "invalid_user_code" => WhoCanFix::User,
        "invalid_client"
        | "unauthorized_client"
        | "invalid_scope"
        | "invalid_request"
        | "invalid_request_object"
        | "invalid_redirect_uri"
        | "invalid_authorization_details"
        | "unsupported_response_type"
        | "unsupported_grant_type"
        | "unsupported_token_type"
        | "invalid_binding_message"
        | "invalid_client_metadata"
        | "invalid_software_statement"
        | "unapproved_software_statement" => WhoCanFix::Operator,
        "server_error" | "temporarily_unavailable" => WhoCanFix::Bank,
        _ => return None,
    })
}

/// Every code that this crate can give, with its paragraph, in the order of a login.
pub fn reasons() -> &'static [Reason] {
    ALL
}

macro_rules! reasons {
    ($($name:ident = $code:literal, $reference:literal, $who:ident, $says:literal;)*) => {
        $(pub(crate) const $name: Reason =
            Reason { code: $code, reference: $reference, who_can_fix: WhoCanFix::$who, says: $says };)*
        const ALL: &[Reason] = &[$($name),*];
    };
}

reasons! {
    CLIENT_SIGNING_KEY_INVALID = "client.signing_key.invalid", "RFC 7515 §5.1", Operator,
        "our signing key did not sign";
    CLIENT_DPOP_KEY_MISSING = "client.dpop_key.missing", "RFC 9449 §5, §7.1", Operator,
        "the tokens are bound to a key that was not stored with them";
    CLIENT_INTENT_MISSING = "client.intent.missing", "OIDC Core §5.5; UK Open Banking Security Profile", Operator,
        "the server wants to be told what is authorised, and the request does not say";
    CLIENT_SCOPE_INVALID = "client.scope.invalid", "OIDC CIBA Core §7.1", Operator,
        "a decoupled login asks for openid among its scopes";
    CLIENT_BINDING_MESSAGE_INVALID = "client.binding_message.invalid", "OIDC CIBA Core §7.1", Operator,
        "the message that both screens show is not short plain text";
    CLIENT_ARRANGEMENT_INVALID = "client.arrangement.invalid", "CDR Security Profile, request object", Operator,
        "the request names an arrangement or a time of sharing, and the profile knows no claim for it";
    CLIENT_SOFTWARE_STATEMENT_MISSING = "client.software_statement.missing", "UK Open Banking DCR; CDR Register",
        Operator, "a signed registration is made in the name that a software statement gives us";
    CLIENT_REGISTRATION_ACCESS_TOKEN_MISSING = "client.registration_access_token.missing", "RFC 7592 §2", Operator,
        "the server gave no token to manage the registration with, and none of our own is shown";

    CLIENT_CLIENT_ID_MISMATCH = "client.client_id.mismatch", "RFC 6749 §4.1.3, §6; RFC 7009 §2.1", Operator,
        "the code, the tokens or the login were issued to another client of ours";

    METADATA_CONFIGURED_ISSUER_INVALID = "metadata.configured_issuer.invalid", "OIDC Discovery §3; RFC 8414 §2", Operator,
        "the configured issuer is not an https URL without query and fragment";
    METADATA_STATUS_INVALID = "metadata.status.invalid", "OIDC Discovery §4.2; RFC 8414 §3.2", Bank,
        "the metadata were not answered with status 200";
    METADATA_BODY_INVALID = "metadata.body.invalid", "OIDC Discovery §3; RFC 8414 §2", Bank,
        "the metadata are not a JSON object with members of the expected types";
    METADATA_ISSUER_MISMATCH = "metadata.issuer.mismatch", "OIDC Discovery §4.3; RFC 8414 §3.3", Bank,
        "the issuer in the metadata is not identical to the configured one";
    METADATA_AUTHORIZATION_ENDPOINT_MISSING = "metadata.authorization_endpoint.missing", "RFC 8414 §2", Bank,
        "the metadata name no authorization endpoint";
    METADATA_TOKEN_ENDPOINT_MISSING = "metadata.token_endpoint.missing", "RFC 8414 §2", Bank,
        "the metadata name no token endpoint";
    METADATA_PAR_ENDPOINT_MISSING = "metadata.pushed_authorization_request_endpoint.missing",
        "FAPI 2.0 Security Profile §5.3.2.2; RFC 9126 §5", Bank,
        "the metadata name no endpoint for pushed authorization requests";
    METADATA_REVOCATION_ENDPOINT_MISSING = "metadata.revocation_endpoint.missing", "RFC 8414 §2; RFC 7009 §2", Bank,
        "the metadata name no revocation endpoint";
    METADATA_INTROSPECTION_ENDPOINT_MISSING = "metadata.introspection_endpoint.missing", "RFC 8414 §2; RFC 7662 §2", Bank,
        "the metadata name no introspection endpoint";
    METADATA_DPOP_ALGS_MISMATCH = "metadata.dpop_signing_alg_values_supported.mismatch", "RFC 9449 §5.1", Operator,
        "the server does not accept proofs of possession signed with ES256";
    METADATA_JWKS_URI_MISSING = "metadata.jwks_uri.missing", "OIDC Discovery §3; RFC 8414 §2", Bank,
        "the metadata do not say where the keys are";
    METADATA_ENDPOINT_INVALID = "metadata.endpoint.invalid", "FAPI 2.0 Security Profile §5.2.1; RFC 6749 §3.1", Bank,
        "an endpoint in the metadata is not an https URL without user information and fragment";
    METADATA_AUTH_METHODS_MISMATCH = "metadata.token_endpoint_auth_methods_supported.mismatch", "RFC 8414 §2", Operator,
        "the server does not offer our way of client authentication";
    METADATA_AUTH_ALGS_MISMATCH = "metadata.token_endpoint_auth_signing_alg_values_supported.mismatch", "RFC 8414 §2",
        Operator, "the server does not accept the algorithm of our signing key for client authentication";
    METADATA_REQUEST_ALGS_MISMATCH = "metadata.request_object_signing_alg_values_supported.mismatch",
        "OIDC Discovery §3; RFC 9101 §10.5", Operator,
        "the server does not accept the algorithm of our signing key for request objects";
    METADATA_CHALLENGE_METHODS_MISMATCH = "metadata.code_challenge_methods_supported.mismatch",
        "FAPI 2.0 Security Profile §5.3.2.2; RFC 8414 §2", Bank,
        "the server offers challenge methods, but not S256";
    METADATA_REGISTRATION_ENDPOINT_MISSING = "metadata.registration_endpoint.missing", "RFC 8414 §2; RFC 7591 §3", Bank,
        "the server does not say where clients register";
    METADATA_ARRANGEMENT_ENDPOINT_MISSING = "metadata.cdr_arrangement_revocation_endpoint.missing",
        "CDR OpenID Provider Configuration", Bank, "the server does not say where arrangements end";
    METADATA_BACKCHANNEL_ENDPOINT_MISSING = "metadata.backchannel_authentication_endpoint.missing",
        "OIDC CIBA Core §4", Bank, "the server does not say where decoupled logins are asked for";
    METADATA_BACKCHANNEL_ALGS_MISMATCH =
        "metadata.backchannel_authentication_request_signing_alg_values_supported.mismatch", "OIDC CIBA Core §4",
        Operator, "the server does not accept the algorithm of our signing key for decoupled logins";
    METADATA_TOKEN_DELIVERY_MISMATCH = "metadata.backchannel_token_delivery_modes_supported.mismatch",
        "OIDC CIBA Core §4, §5", Operator, "the server does not end decoupled logins in our way";

    JWKS_STATUS_INVALID = "jwks.status.invalid", "RFC 7517 §5", Bank,
        "the key set was not answered with status 200";
    JWKS_BODY_INVALID = "jwks.body.invalid", "RFC 7517 §5", Bank,
        "the key set is not a JSON object with a list of keys";

    REGISTRATION_STATUS_INVALID = "registration.status.invalid", "RFC 7591 §3.2.1; RFC 7592 §2", Bank,
        "the registration was not answered with the status that the step has";
    REGISTRATION_REQUEST_REFUSED = "registration.request.refused", "RFC 7591 §3.2.2", Operator,
        "the server refused the registration";
    REGISTRATION_RESPONSE_INVALID = "registration.response.invalid", "RFC 7591 §3.2.1", Bank,
        "the answer to the registration is not the expected JSON";
    REGISTRATION_CLIENT_ID_MISSING = "registration.client_id.missing", "RFC 7591 §3.2.1", Bank,
        "the answer to the registration does not say who we are";
    REGISTRATION_CLIENT_ID_INVALID = "registration.client_id.invalid", "RFC 6749 §A.1", Bank,
        "the client id is empty, too long or has characters that are not printable";
    REGISTRATION_CLIENT_ID_MISMATCH = "registration.client_id.mismatch", "RFC 7592 §3", Bank,
        "the answer is about another client";
    REGISTRATION_CLIENT_URI_INVALID = "registration.registration_client_uri.invalid", "RFC 7592 §3", Bank,
        "the address of the registration is not an https URL without user information and fragment";
    REGISTRATION_ACCESS_TOKEN_INVALID = "registration.registration_access_token.invalid", "RFC 7592 §3; RFC 6750 §2.1",
        Bank, "the token of the registration has characters that no header may carry";
    REGISTRATION_AUTH_METHOD_MISMATCH = "registration.token_endpoint_auth_method.mismatch", "RFC 7591 §2", Bank,
        "we were registered with another way of client authentication";
    REGISTRATION_REDIRECT_URIS_MISMATCH = "registration.redirect_uris.mismatch", "RFC 7591 §2; RFC 9700 §2.1", Bank,
        "we were registered with other redirect URIs";
    REGISTRATION_GRANT_TYPES_MISMATCH = "registration.grant_types.mismatch", "RFC 7591 §2", Bank,
        "a grant type or response type that we use was not registered";
    REGISTRATION_SIGNING_ALGS_MISMATCH = "registration.signing_algs.mismatch", "OIDC Registration §2; RFC 7591 §2",
        Bank, "a signature algorithm was registered in another way than we asked for";
    REGISTRATION_ENCRYPTION_ALGS_MISMATCH = "registration.encryption_algs.mismatch", "OIDC Registration §2", Bank,
        "encryption was registered in another way than we asked for";
    REGISTRATION_BINDING_MISMATCH = "registration.token_binding.mismatch", "RFC 8705 §3.4; RFC 9449 §5.2", Bank,
        "our access tokens would not be bound to us";

    PAR_STATUS_INVALID = "par.status.invalid", "RFC 9126 §2.2", Bank,
        "the pushed authorization request was not answered with status 201";
    PAR_REQUEST_REFUSED = "par.request.refused", "RFC 9126 §2.3", Operator,
        "the server refused the pushed authorization request";
    PAR_RESPONSE_INVALID = "par.response.invalid", "RFC 9126 §2.2", Bank,
        "the answer to the pushed authorization request is not the expected JSON";
    PAR_REQUEST_URI_MISSING = "par.request_uri.missing", "RFC 9126 §2.2", Bank,
        "the answer to the pushed authorization request has no request_uri";
    PAR_REQUEST_URI_INVALID = "par.request_uri.invalid", "RFC 9126 §2.2; RFC 9101 §5.2", Bank,
        "the request_uri is not an absolute URI of bounded length";
    PAR_EXPIRES_IN_MISSING = "par.expires_in.missing", "RFC 9126 §2.2", Bank,
        "the answer to the pushed authorization request does not say how long it lives";
    PAR_EXPIRES_IN_INVALID = "par.expires_in.invalid", "FAPI 2.0 Security Profile §5.3.2.2; RFC 9126 §2.2", Bank,
        "the lifetime of the request_uri is not positive or longer than the profile allows";

    CALLBACK_PARAMETER_INVALID = "callback.parameter.invalid", "RFC 6749 §3.1, §4.1.2", Bank,
        "a parameter of the authorization response is repeated, contradicts another or is too long";
    CALLBACK_LOGIN_EXPIRED = "callback.login.expired", "RFC 9700 §2.1", User,
        "the login took too long and must begin anew";
    CALLBACK_RESPONSE_MISSING = "callback.response.missing", "JARM §2.3.1", Bank,
        "the authorization response is not the signed one that was asked for";
    CALLBACK_STATE_MISSING = "callback.state.missing", "RFC 6749 §4.1.2, §10.12", Nobody,
        "the authorization response carries no state";
    CALLBACK_STATE_MISMATCH = "callback.state.mismatch", "RFC 6749 §4.1.2, §10.12", Nobody,
        "the authorization response belongs to another login";
    CALLBACK_ISS_MISSING = "callback.iss.missing", "RFC 9207 §2.4; FAPI 2.0 Security Profile §5.3.3.2", Bank,
        "the authorization response does not say who issued it";
    CALLBACK_ISS_MISMATCH = "callback.iss.mismatch", "RFC 9207 §2.4; FAPI 2.0 Security Profile §5.3.3.2", Nobody,
        "the authorization response was issued by another server";
    CALLBACK_AUTHORIZATION_REFUSED = "callback.authorization.refused", "RFC 6749 §4.1.2.1", User,
        "the authorization was refused";
    CALLBACK_ID_TOKEN_MISSING = "callback.id_token.missing", "OIDC Core §3.3.2.5; FAPI 1.0 Advanced §5.2.3.1", Bank,
        "the authorization response has no ID token to vouch for the code";
    CALLBACK_CODE_MISSING = "callback.code.missing", "RFC 6749 §4.1.2", Bank,
        "the authorization response carries neither a code nor an error";

    JARM_FORMAT_INVALID = "jarm.format.invalid", "JARM §2.4; RFC 7515 §7.1", Bank,
        "the signed authorization response is not a compact JWS with JSON claims";
    JARM_ALG_MISMATCH = "jarm.alg.mismatch", "JARM §2.4; FAPI 2.0 Security Profile §5.4.1", Bank,
        "the authorization response is not signed with an algorithm that is announced and allowed";
    JARM_KID_UNTRUSTED = "jarm.kid.untrusted", "JARM §2.4; RFC 7515 §4.1.4", Bank,
        "no key of the server fits the header of the authorization response";
    JARM_SIGNATURE_INVALID = "jarm.signature.invalid", "JARM §2.4; RFC 7515 §5.2", Bank,
        "the signature of the authorization response does not verify";
    JARM_ENC_MISMATCH = "jarm.enc.mismatch", "JARM §2.2; FAPI 1.0 Advanced §8.6.1", Bank,
        "the authorization response is not encrypted in the way that we registered";
    JARM_ENCRYPTION_INVALID = "jarm.encryption.invalid", "JARM §2.4 (1); RFC 7516 §5.2", Bank,
        "the authorization response cannot be decrypted";
    JARM_ISS_MISSING = "jarm.iss.missing", "JARM §2.1, §2.4", Bank,
        "the signed authorization response has no issuer";
    JARM_ISS_MISMATCH = "jarm.iss.mismatch", "JARM §2.4", Nobody,
        "the signed authorization response was issued by another server";
    JARM_AUD_MISSING = "jarm.aud.missing", "JARM §2.1, §2.4", Bank,
        "the signed authorization response has no audience";
    JARM_AUD_MISMATCH = "jarm.aud.mismatch", "JARM §2.4", Nobody,
        "the signed authorization response is meant for another client";
    JARM_EXP_MISSING = "jarm.exp.missing", "JARM §2.1, §2.4", Bank,
        "the signed authorization response has no expiry";
    JARM_EXP_EXPIRED = "jarm.exp.expired", "JARM §2.4", Nobody,
        "the signed authorization response has expired";
    JARM_EXP_INVALID = "jarm.exp.invalid", "JARM §2.1", Bank,
        "the signed authorization response lives longer than ten minutes";
    JARM_NBF_INVALID = "jarm.nbf.invalid", "RFC 7519 §4.1.5", Bank,
        "the time of the signed authorization response has not come";
    JARM_CLAIMS_INVALID = "jarm.claims.invalid", "JARM §2.1; RFC 6749 §4.1.2", Bank,
        "a parameter of the signed authorization response is not text";

    CIBA_STATUS_INVALID = "ciba.status.invalid", "OIDC CIBA Core §7.3", Bank,
        "the authentication request was not answered with status 200";
    CIBA_REQUEST_REFUSED = "ciba.request.refused", "OIDC CIBA Core §13", Operator,
        "the server refused the authentication request";
    CIBA_RESPONSE_INVALID = "ciba.response.invalid", "OIDC CIBA Core §7.3", Bank,
        "the answer to the authentication request is not the expected JSON";
    CIBA_AUTH_REQ_ID_MISSING = "ciba.auth_req_id.missing", "OIDC CIBA Core §7.3", Bank,
        "the answer to the authentication request does not name it";
    CIBA_AUTH_REQ_ID_INVALID = "ciba.auth_req_id.invalid", "OIDC CIBA Core §7.3", Bank,
        "the name of the authentication request is too long or has characters that are not allowed";
    CIBA_AUTH_REQ_ID_EXPIRED = "ciba.auth_req_id.expired", "OIDC CIBA Core §11", User,
        "the user did not sign in in time";
    CIBA_EXPIRES_IN_MISSING = "ciba.expires_in.missing", "OIDC CIBA Core §7.3", Bank,
        "the answer to the authentication request does not say how long it lives";
    CIBA_EXPIRES_IN_INVALID = "ciba.expires_in.invalid", "OIDC CIBA Core §7.3", Bank,
        "the lifetime of the authentication request is not a sensible number of seconds";
    CIBA_INTERVAL_INVALID = "ciba.interval.invalid", "OIDC CIBA Core §7.3", Bank,
        "the time between two polls is not a sensible number of seconds";
    CIBA_POLL_INVALID = "ciba.poll.invalid", "OIDC CIBA Core §7.3, §10.1", Operator,
        "the server would be asked sooner than it allows";
    CIBA_AUTHORIZATION_REFUSED = "ciba.authorization.refused", "OIDC CIBA Core §11", User,
        "the user refused";

    PING_BODY_INVALID = "ping.body.invalid", "OIDC CIBA Core §10.2", Nobody,
        "the notification does not name an authentication request";
    PING_NOTIFICATION_TOKEN_MISSING = "ping.notification_token.missing", "OIDC CIBA Core §10.2", Nobody,
        "the notification shows no bearer token";
    PING_NOTIFICATION_TOKEN_MISMATCH = "ping.notification_token.mismatch", "OIDC CIBA Core §10.2", Nobody,
        "the notification shows another token than we gave the server";
    PING_AUTH_REQ_ID_MISMATCH = "ping.auth_req_id.mismatch", "OIDC CIBA Core §10.2", Nobody,
        "the notification is about another authentication request";

    TOKEN_STATUS_INVALID = "token.status.invalid", "RFC 6749 §5.1", Bank,
        "the token endpoint did not answer with status 200";
    TOKEN_GRANT_REFUSED = "token.grant.refused", "RFC 6749 §5.2", Operator,
        "the token endpoint refused the grant";
    TOKEN_RESPONSE_INVALID = "token.response.invalid", "RFC 6749 §5.1", Bank,
        "the token response is not the expected JSON";
    TOKEN_ACCESS_TOKEN_MISSING = "token.access_token.missing", "RFC 6749 §5.1", Bank,
        "the token response has no access token";
    TOKEN_ACCESS_TOKEN_INVALID = "token.access_token.invalid", "RFC 6750 §2.1; RFC 6749 §A.12", Bank,
        "the access token has characters that no header may carry";
    TOKEN_TOKEN_TYPE_MISSING = "token.token_type.missing", "RFC 6749 §5.1, §7.1", Bank,
        "the token response does not say how the token is used";
    TOKEN_TOKEN_TYPE_MISMATCH = "token.token_type.mismatch", "RFC 6749 §7.1; RFC 8705 §3", Bank,
        "the token is not of the type that the profile uses";
    TOKEN_EXPIRES_IN_INVALID = "token.expires_in.invalid", "RFC 6749 §5.1, §A.14", Bank,
        "the lifetime of the access token is not a sensible number of seconds";
    TOKEN_REFRESH_TOKEN_INVALID = "token.refresh_token.invalid", "RFC 6749 §A.17", Bank,
        "the refresh token is empty or has characters that are not printable";
    TOKEN_REFRESH_TOKEN_MISSING = "token.refresh_token.missing", "RFC 6749 §6", User,
        "there is no refresh token to use";
    TOKEN_AUTHORIZATION_DETAILS_MISSING = "token.authorization_details.missing", "RFC 9396 §7", Bank,
        "the token response does not say which of the details were granted";
    TOKEN_AUTHORIZATION_DETAILS_INVALID = "token.authorization_details.invalid", "RFC 9396 §2, §7", Bank,
        "the granted details are not a list of objects with a type";
    TOKEN_AUTHORIZATION_DETAILS_MISMATCH = "token.authorization_details.mismatch", "RFC 9396 §7", Bank,
        "details of a type were granted that nobody asked for";
    TOKEN_SCOPE_MISMATCH = "token.scope.mismatch", "RFC 6749 §3.3, §5.1, §6", Bank,
        "a scope was granted that nobody asked for";
    TOKEN_ARRANGEMENT_MISSING = "token.cdr_arrangement_id.missing", "CDR Security Profile, token end point", Bank,
        "the token response does not name the arrangement";
    TOKEN_ARRANGEMENT_MISMATCH = "token.cdr_arrangement_id.mismatch", "CDR Security Profile, token end point", Bank,
        "the token response names another arrangement";
    TOKEN_ID_TOKEN_MISSING = "token.id_token.missing", "OIDC Core §3.1.3.3", Bank,
        "openid was asked for and no ID token came";

    ID_TOKEN_FORMAT_INVALID = "id_token.format.invalid", "OIDC Core §2; RFC 7515 §7.1", Bank,
        "the ID token is not a compact JWS with JSON claims";
    ID_TOKEN_ALG_MISMATCH = "id_token.alg.mismatch", "OIDC Core §3.1.3.7 (7); FAPI 2.0 Security Profile §5.4.1", Bank,
        "the ID token is not signed with an algorithm that is announced and allowed";
    ID_TOKEN_KID_UNTRUSTED = "id_token.kid.untrusted", "OIDC Core §10.1; RFC 7515 §4.1.4", Bank,
        "no key of the server fits the header of the ID token";
    ID_TOKEN_SIGNATURE_INVALID = "id_token.signature.invalid", "OIDC Core §3.1.3.7 (6); RFC 7515 §5.2", Bank,
        "the signature of the ID token does not verify";
    ID_TOKEN_ENC_MISMATCH = "id_token.enc.mismatch", "FAPI 1.0 Advanced §8.6.1; OIDC Core §3.1.3.7 (1)", Bank,
        "the ID token is not encrypted in the way that we registered";
    ID_TOKEN_ENCRYPTION_MISSING = "id_token.encryption.missing", "Open Finance Brasil Security Profile §5.2.2", Bank,
        "the ID token is not encrypted, and the profile wants it to be";
    ID_TOKEN_ENCRYPTION_INVALID = "id_token.encryption.invalid", "OIDC Core §3.1.3.7 (1); RFC 7516 §5.2", Bank,
        "the ID token cannot be decrypted";
    ID_TOKEN_ISS_MISSING = "id_token.iss.missing", "OIDC Core §2", Bank, "the ID token has no issuer";
    ID_TOKEN_SUB_MISSING = "id_token.sub.missing", "OIDC Core §2", Bank, "the ID token has no subject";
    ID_TOKEN_AUD_MISSING = "id_token.aud.missing", "OIDC Core §2", Bank, "the ID token has no audience";
    ID_TOKEN_EXP_MISSING = "id_token.exp.missing", "OIDC Core §2", Bank, "the ID token has no expiry";
    ID_TOKEN_IAT_MISSING = "id_token.iat.missing", "OIDC Core §2", Bank, "the ID token does not say when it was issued";
    ID_TOKEN_NONCE_MISSING = "id_token.nonce.missing", "OIDC Core §3.1.3.7 (11)", Bank, "the ID token has no nonce";
    ID_TOKEN_CLAIMS_INVALID = "id_token.claims.invalid", "OIDC Core §2", Bank,
        "a claim of the ID token is not of the type it must have";
    ID_TOKEN_ISS_MISMATCH = "id_token.iss.mismatch", "OIDC Core §3.1.3.7 (2)", Nobody,
        "the ID token was issued by another server";
    ID_TOKEN_AUD_MISMATCH = "id_token.aud.mismatch", "OIDC Core §3.1.3.7 (3)", Nobody,
        "the ID token is meant for another client";
    ID_TOKEN_AUD_UNTRUSTED = "id_token.aud.untrusted", "OIDC Core §3.1.3.7 (3)", Bank,
        "the ID token is also meant for somebody we do not trust";
    ID_TOKEN_AZP_MISMATCH = "id_token.azp.mismatch", "OIDC Core §3.1.3.7 (5)", Nobody,
        "the ID token was issued to another party";
    ID_TOKEN_EXP_EXPIRED = "id_token.exp.expired", "OIDC Core §3.1.3.7 (9)", Bank, "the ID token has expired";
    ID_TOKEN_IAT_EXPIRED = "id_token.iat.expired", "OIDC Core §3.1.3.7 (10)", Bank, "the ID token was issued too long ago";
    ID_TOKEN_IAT_INVALID = "id_token.iat.invalid", "OIDC Core §3.1.3.7 (10)", Bank,
        "the ID token was issued in the future";
    ID_TOKEN_NBF_INVALID = "id_token.nbf.invalid", "RFC 7519 §4.1.5", Bank, "the time of the ID token has not come";
    ID_TOKEN_SUB_INVALID = "id_token.sub.invalid", "OIDC Core §2", Bank,
        "the subject is longer than 255 characters or is not plain ASCII";
    ID_TOKEN_NONCE_MISMATCH = "id_token.nonce.mismatch", "OIDC Core §3.1.3.7 (11)", Nobody,
        "the ID token belongs to another login";
    ID_TOKEN_AT_HASH_MISMATCH = "id_token.at_hash.mismatch", "OIDC Core §3.1.3.8", Bank,
        "the ID token belongs to another access token";
    ID_TOKEN_AUTH_REQ_ID_MISMATCH = "id_token.auth_req_id.mismatch", "OIDC CIBA Core §10.3.1", Nobody,
        "the ID token answers another authentication request";
    ID_TOKEN_RT_HASH_MISMATCH = "id_token.rt_hash.mismatch", "OIDC CIBA Core §10.3.1", Bank,
        "the ID token belongs to another refresh token";
    ID_TOKEN_C_HASH_MISSING = "id_token.c_hash.missing", "OIDC Core §3.3.2.11", Bank,
        "the ID token does not vouch for the code that it came with";
    ID_TOKEN_C_HASH_MISMATCH = "id_token.c_hash.mismatch", "OIDC Core §3.3.2.10", Nobody,
        "the ID token belongs to another code";
    ID_TOKEN_S_HASH_MISSING = "id_token.s_hash.missing", "FAPI 1.0 Advanced §5.2.3.1", Bank,
        "the ID token does not vouch for the state that it came with";
    ID_TOKEN_S_HASH_MISMATCH = "id_token.s_hash.mismatch", "FAPI 1.0 Advanced §5.2.3.1", Nobody,
        "the ID token belongs to another state";
    ID_TOKEN_SUB_MISMATCH = "id_token.sub.mismatch", "OIDC Core §3.3.3.6", Bank,
        "the ID token names another user than the one that came with the code";
    ID_TOKEN_AUTH_TIME_MISMATCH = "id_token.auth_time.mismatch", "OIDC Core §12.2", Bank,
        "the ID token of a refresh says that the user signed in at another time";
    ID_TOKEN_ACR_MISSING = "id_token.acr.missing", "OIDC Core §5.5.1.1", Bank,
        "the ID token does not say how strongly the user signed in";
    ID_TOKEN_ACR_MISMATCH = "id_token.acr.mismatch", "OIDC Core §5.5.1.1", Bank,
        "the user did not sign in as strongly as was asked for";
    ID_TOKEN_INTENT_MISSING = "id_token.openbanking_intent_id.missing", "UK Open Banking Security Profile", Bank,
        "the ID token does not say what was authorised";
    ID_TOKEN_INTENT_MISMATCH = "id_token.openbanking_intent_id.mismatch", "UK Open Banking Security Profile", Nobody,
        "something else was authorised than what was asked for";

    RESOURCE_REQUEST_INVALID = "resource.request.invalid", "RFC 9449 §4.2", Operator,
        "the resource is not asked for at an absolute https URL";

    REVOCATION_STATUS_INVALID = "revocation.status.invalid", "RFC 7009 §2.2", Bank,
        "the revocation was not answered with status 200";
    REVOCATION_TOKEN_REFUSED = "revocation.token.refused", "RFC 7009 §2.2.1", Operator,
        "the server refused the revocation";

    ARRANGEMENT_STATUS_INVALID = "arrangement.status.invalid", "CDR Arrangement Revocation End Point", Bank,
        "the end of an arrangement was not answered with status 204";
    ARRANGEMENT_REVOCATION_REFUSED = "arrangement.revocation.refused", "CDR Arrangement Revocation End Point", Operator,
        "the server refused to end an arrangement";
    WITHDRAWAL_AUTHORIZATION_MISSING = "withdrawal.authorization.missing", "CDR Arrangement Revocation End Point", Nobody,
        "the call shows no bearer token";
    WITHDRAWAL_FORMAT_INVALID = "withdrawal.format.invalid", "CDR Arrangement Revocation End Point; RFC 7515 §7.1", Nobody,
        "the call does not hold the two signed JWTs that it is made of";
    WITHDRAWAL_ALG_MISMATCH = "withdrawal.alg.mismatch", "CDR Client Authentication; RFC 8725 §3.1", Nobody,
        "the call is not signed with an algorithm that is allowed";
    WITHDRAWAL_KID_UNTRUSTED = "withdrawal.kid.untrusted", "CDR Client Authentication; RFC 7515 §4.1.4", Nobody,
        "no registered key of the bank fits the header";
    WITHDRAWAL_SIGNATURE_INVALID = "withdrawal.signature.invalid", "CDR Client Authentication; RFC 7515 §5.2", Nobody,
        "the signature of the call does not verify";
    WITHDRAWAL_ISS_MISMATCH = "withdrawal.iss.mismatch", "RFC 7523 §3 (1, 2)", Nobody,
        "the call is not from the bank that holds the data";
    WITHDRAWAL_AUD_MISMATCH = "withdrawal.aud.mismatch", "RFC 7523 §3 (3)", Nobody, "the call is meant for somebody else";
    WITHDRAWAL_EXP_EXPIRED = "withdrawal.exp.expired", "RFC 7523 §3 (4)", Nobody, "the call has no expiry or has expired";
    WITHDRAWAL_NBF_INVALID = "withdrawal.nbf.invalid", "RFC 7523 §3 (5)", Nobody, "the time of the call has not come";
    WITHDRAWAL_JTI_MISSING = "withdrawal.jti.missing", "CDR Client Authentication; RFC 7523 §3 (7)", Nobody,
        "the call has no name by which it could be told from its repetition";
    WITHDRAWAL_ARRANGEMENT_MISSING = "withdrawal.cdr_arrangement_id.missing", "CDR Arrangement Revocation End Point",
        Nobody, "the call does not name an arrangement";
    WITHDRAWAL_ARRANGEMENT_MISMATCH = "withdrawal.cdr_arrangement_id.mismatch", "CDR Arrangement Revocation End Point",
        Nobody, "the call names two arrangements";

    INTROSPECTION_STATUS_INVALID = "introspection.status.invalid", "RFC 7662 §2.2", Bank,
        "the introspection was not answered with status 200";
    INTROSPECTION_TOKEN_REFUSED = "introspection.token.refused", "RFC 7662 §2.3", Operator,
        "the server refused the introspection";
    INTROSPECTION_FORMAT_INVALID = "introspection.format.invalid", "RFC 9701 §5, §8.1", Bank,
        "the answer is not a signed introspection response";
    INTROSPECTION_ALG_MISMATCH = "introspection.alg.mismatch", "RFC 9701 §7; FAPI 2.0 Security Profile §5.4.1", Bank,
        "the introspection response is not signed with an algorithm that is announced and allowed";
    INTROSPECTION_KID_UNTRUSTED = "introspection.kid.untrusted", "RFC 9701 §5; RFC 7515 §4.1.4", Bank,
        "no key of the server fits the header of the introspection response";
    INTROSPECTION_SIGNATURE_INVALID = "introspection.signature.invalid", "RFC 9701 §5; RFC 7515 §5.2", Bank,
        "the signature of the introspection response does not verify";
    INTROSPECTION_ISS_MISMATCH = "introspection.iss.mismatch", "RFC 9701 §5", Nobody,
        "the introspection response was issued by another server";
    INTROSPECTION_AUD_MISMATCH = "introspection.aud.mismatch", "RFC 9701 §5", Nobody,
        "the introspection response is meant for another client";
    INTROSPECTION_IAT_EXPIRED = "introspection.iat.expired", "RFC 9701 §5", Nobody,
        "the introspection response was not made now";
    INTROSPECTION_NBF_INVALID = "introspection.nbf.invalid", "RFC 7519 §4.1.5", Nobody,
        "the time of the introspection response has not come";
    INTROSPECTION_RESPONSE_INVALID = "introspection.response.invalid", "RFC 7662 §2.2", Bank,
        "the answer does not say whether the token is active, or a member is not of the type it must have";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_follow_the_grammar() {
        let mut seen = std::collections::BTreeSet::new();
        for reason in reasons() {
            assert!(seen.insert(reason.code), "{} twice", reason.code);
            let parts: Vec<_> = reason.code.split('.').collect();
            assert_eq!(parts.len(), 3, "{}", reason.code);
            let endings = ["missing", "mismatch", "expired", "invalid", "untrusted", "refused"];
            assert!(endings.contains(&parts[2]), "{}", reason.code);
            assert!(!reason.reference.is_empty() && !reason.says.is_empty());
        }
    }

    #[test]
    fn words_of_the_other_side_are_cut_to_plain_codes() {
        let refusal = PAR_REQUEST_REFUSED.with_error("bad\r\nSet-Cookie: <b>IBAN DE00</b>");
        assert_eq!(refusal.error.as_deref(), Some("badSet-Cookie:bIBANDE00b"));
        assert_eq!(PAR_REQUEST_REFUSED.with_error("é").error.as_deref(), Some("unreadable"));
        assert_eq!(PAR_REQUEST_REFUSED.with_error(&"x".repeat(900)).error.map(|e| e.len()), Some(ERROR_CODE_CHARS_MAX));
    }

    #[test]
    fn an_error_says_who_can_mend_it() {
        for (error, who) in [
            ("access_denied", WhoCanFix::User),
            ("invalid_grant", WhoCanFix::User),
            ("invalid_client", WhoCanFix::Operator),
            ("temporarily_unavailable", WhoCanFix::Bank),
            ("a_word_of_their_own", TOKEN_GRANT_REFUSED.who_can_fix),
        ] {
            assert_eq!(TOKEN_GRANT_REFUSED.with_error(error).who_can_fix, who, "{error}");
        }
    }
}
