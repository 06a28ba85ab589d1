//! What the proxy gets wrong, row by row: the requirement of the conformance suite (or what else it is about), the fault, and
//! the reason for which our client must refuse it.

use josekit::jwe::alg::rsaes::RsaesJweAlgorithm;
use serde_json::{Value, json};

use crate::proxy::{ERROR_PAGE, Fault, Hand, Jwt, KID, Query, RSA_KID, Way};

/// Requirement, fault, reason.
pub(crate) type Row = (&'static str, Fault, &'static str);

/// Requirement, and what a client must put up with.
pub(crate) type Good = (&'static str, Fault);

fn set(query: &mut Query, name: &str, value: &str) {
    without(query, name);
    query.push((name.to_owned(), value.to_owned()));
}

fn without(query: &mut Query, name: &str) {
    query.retain(|(known, _)| known != name);
}

fn again(query: &mut Query, name: &str, value: &str) {
    query.push((name.to_owned(), value.to_owned()));
}

fn take(body: &mut Value, name: &str) {
    body.as_object_mut().expect("an object").remove(name);
}

fn unsigned(jwt: &mut Jwt) {
    jwt.header["alg"] = "none".into();
    jwt.hand = Hand::Nobody;
}

fn by_rs256(jwt: &mut Jwt) {
    jwt.header = json!({ "alg": "RS256", "kid": RSA_KID });
    jwt.hand = Hand::Rs256;
}

fn by_hs256(jwt: &mut Jwt) {
    jwt.header["alg"] = "HS256".into();
    jwt.hand = Hand::Hs256;
}

/// Signed by somebody whose key the header says where to find.
fn by_its_own_key(jwt: &mut Jwt) {
    jwt.header = json!({ "alg": "ES256", "kid": "theirs", "jku": "https://other.example/jwks" });
    jwt.hand = Hand::Stranger;
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

const METADATA: &str = "/.well-known/openid-configuration";

/// FAPI 2.0: metadata, keys, the pushed request, a plain response, tokens.
pub(crate) const PLAIN: &[Row] = &[
    (
        "R-DISC-01 issuer",
        Fault::Metadata(|b| b["issuer"] = format!("{}INVALID", text(&b["issuer"])).into()),
        "metadata.issuer.mismatch",
    ),
    (
        "R-DISC-04 issuer, this once",
        Fault::Once(METADATA, |r| r.json(|b| b["issuer"] = "https://other.example".into())),
        "metadata.issuer.mismatch",
    ),
    ("metadata without issuer", Fault::Metadata(|b| take(b, "issuer")), "metadata.issuer.mismatch"),
    (
        "metadata, http endpoint",
        Fault::Metadata(|b| b["authorization_endpoint"] = "http://as.example/a".into()),
        "metadata.endpoint.invalid",
    ),
    (
        "metadata, no PAR",
        Fault::Metadata(|b| {
            take(b, "pushed_authorization_request_endpoint");
            take(b, "mtls_endpoint_aliases");
        }),
        "metadata.pushed_authorization_request_endpoint.missing",
    ),
    (
        "metadata, redirect to another host",
        Fault::Answer(METADATA, |r| r.redirect(302, "https://other.example/")),
        "metadata.status.invalid",
    ),
    (
        "metadata, redirect to http",
        Fault::Answer(METADATA, |r| r.redirect(301, "http://127.0.0.1/")),
        "metadata.status.invalid",
    ),
    ("metadata, no JSON", Fault::Answer(METADATA, |r| r.body = b"<html>".to_vec()), "metadata.body.invalid"),
    (
        "metadata, broken gzip",
        Fault::Answer(METADATA, |r| {
            r.headers.insert("content-encoding", "gzip".parse().expect("a header"));
            r.body = b"\x1f\x8b\x08".to_vec();
        }),
        "answer.invalid",
    ),
    ("R-PAR-11 status", Fault::Answer("/request", |r| r.status = 200), "par.status.invalid"),
    (
        "R-ERR-03 PAR error",
        Fault::Answer("/request", |r| {
            (r.status, r.body) = (400, br#"{"error":"invalid_request"}"#.to_vec());
        }),
        "par.request.refused",
    ),
    ("R-PAR-11 request_uri", Fault::Par(|b| take(b, "request_uri")), "par.request_uri.missing"),
    ("R-PAR-11 expires_in", Fault::Par(|b| b["expires_in"] = 601.into()), "par.expires_in.invalid"),
    ("R-AR-02 iss missing", Fault::Callback(|q| without(q, "iss")), "callback.iss.missing"),
    ("R-AR-03 iss wrong", Fault::Callback(|q| set(q, "iss", "https://other.example/")), "callback.iss.mismatch"),
    ("iss doubled", Fault::Callback(|q| again(q, "iss", "https://other.example/")), "callback.parameter.invalid"),
    ("state doubled", Fault::Callback(|q| again(q, "state", "x")), "callback.parameter.invalid"),
    ("code doubled", Fault::Callback(|q| again(q, "code", "of-another")), "callback.parameter.invalid"),
    ("code and error", Fault::Callback(|q| again(q, "error", "server_error")), "callback.parameter.invalid"),
    ("R-AR-04 state wrong", Fault::Callback(|q| set(q, "state", "of-another-login")), "callback.state.mismatch"),
    ("R-AR-05 state missing", Fault::Callback(|q| without(q, "state")), "callback.state.missing"),
    (
        "R-AR-07 nothing right",
        Fault::Callback(|q| {
            set(q, "iss", "https://other.example/");
            set(q, "state", "of-another-login");
            set(q, "code", "of-another-login");
        }),
        "callback.iss.mismatch",
    ),
    ("code missing", Fault::Callback(|q| without(q, "code")), "callback.code.missing"),
    (
        "access denied",
        Fault::Callback(|q| {
            without(q, "code");
            set(q, "error", "access_denied");
        }),
        "callback.authorization.refused",
    ),
    (
        "token, redirect",
        Fault::Answer("/token", |r| r.redirect(307, "https://other.example/token")),
        "token.status.invalid",
    ),
    ("R-ERR-03 authorization error", Fault::Answer("/auth", |r| r.redirect(302, ERROR_PAGE)), "page.answer.refused"),
    (
        "R-ERR-03 token error",
        Fault::Answer("/token", |r| {
            (r.status, r.body) = (400, br#"{"error":"invalid_grant"}"#.to_vec());
        }),
        "token.grant.refused",
    ),
    (
        "R-ERR-01 token error, for now",
        Fault::Answer("/token", |r| r.refuse(503, "temporarily_unavailable")),
        "token.grant.refused",
    ),
    ("R-TRS-05 good token, no subject", Fault::IdToken(|j| j.without("sub")), "id_token.sub.missing"),
    ("token of the wrong type", Fault::Token(|b| b["token_type"] = "DPoP".into()), "token.token_type.mismatch"),
    ("token with a line break", Fault::Token(|b| b["access_token"] = "a\r\nb".into()), "token.access_token.invalid"),
    ("no ID token", Fault::Token(|b| take(b, "id_token")), "token.id_token.missing"),
    (
        "R-IDT-01 iss wrong",
        Fault::IdToken(|j| j.claims["iss"] = "https://other.example/".into()),
        "id_token.iss.mismatch",
    ),
    ("R-IDT-02 iss missing", Fault::IdToken(|j| j.without("iss")), "id_token.iss.missing"),
    ("R-IDT-03 aud wrong", Fault::IdToken(|j| j.claims["aud"] = "tpp-2".into()), "id_token.aud.mismatch"),
    ("R-IDT-04 aud missing", Fault::IdToken(|j| j.without("aud")), "id_token.aud.missing"),
    ("R-IDT-05 aud extra", Fault::IdToken(|j| j.claims["aud"] = json!(["tpp-1", "tpp-2"])), "id_token.aud.untrusted"),
    ("R-IDT-07 exp past", Fault::IdToken(|j| j.shift("exp", -2 * 60 * 60)), "id_token.exp.expired"),
    ("R-IDT-08 exp missing", Fault::IdToken(|j| j.without("exp")), "id_token.exp.missing"),
    ("R-IDT-09 iat old", Fault::IdToken(|j| j.shift("iat", -7 * 24 * 60 * 60)), "id_token.iat.expired"),
    ("R-IDT-10 nonce wrong", Fault::IdToken(|j| j.claims["nonce"] = "x".into()), "id_token.nonce.mismatch"),
    ("R-IDT-11 nonce missing", Fault::IdToken(|j| j.without("nonce")), "id_token.nonce.missing"),
    ("R-IDT-12 signature", Fault::IdToken(|j| j.hand = Hand::Stranger), "id_token.signature.invalid"),
    ("R-IDT-13 alg none", Fault::IdToken(unsigned), "id_token.alg.mismatch"),
    ("R-IDT-14 alg RS256", Fault::IdToken(by_rs256), "id_token.alg.mismatch"),
    ("R-ALG-01 alg HS256, public key", Fault::IdToken(by_hs256), "id_token.alg.mismatch"),
    ("key named by the token itself", Fault::IdToken(by_its_own_key), "id_token.kid.untrusted"),
    ("unknown key", Fault::IdToken(|j| j.header["kid"] = "stale".into()), "id_token.kid.untrusted"),
    ("ID token of tomorrow", Fault::IdToken(|j| j.tomorrow()), "id_token.nbf.invalid"),
    ("access token for an ID token", Fault::IdToken(|j| j.header["typ"] = "at+jwt".into()), "id_token.format.invalid"),
    ("subject without end", Fault::IdToken(|j| j.claims["sub"] = "x".repeat(256).into()), "id_token.sub.invalid"),
    ("azp of another", Fault::IdToken(|j| j.claims["azp"] = "tpp-2".into()), "id_token.azp.mismatch"),
    (
        "at_hash of another",
        Fault::IdToken(|j| j.claims["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA".into()),
        "id_token.at_hash.mismatch",
    ),
    ("keys, status", Fault::Answer("/jwks", |r| r.status = 500), "jwks.status.invalid"),
    ("keys, no list", Fault::Jwks(|b| b["keys"] = json!({})), "jwks.body.invalid"),
    ("keys, none fits", Fault::Jwks(|b| b["keys"] = json!([])), "id_token.kid.untrusted"),
    ("resource, refused", Fault::Answer("/me", |r| r.status = 403), "resource.request.refused"),
];

/// Message Signing: a signed response.
pub(crate) const SIGNED: &[Row] = &[
    ("R-JARM-01 iss missing", Fault::Jarm(|j| j.without("iss")), "jarm.iss.missing"),
    ("R-JARM-02 iss wrong", Fault::Jarm(|j| j.claims["iss"] = "https://other.example/".into()), "jarm.iss.mismatch"),
    ("R-JARM-03 aud missing", Fault::Jarm(|j| j.without("aud")), "jarm.aud.missing"),
    ("R-JARM-04 aud wrong", Fault::Jarm(|j| j.claims["aud"] = "tpp-2".into()), "jarm.aud.mismatch"),
    ("R-JARM-05 exp missing", Fault::Jarm(|j| j.without("exp")), "jarm.exp.missing"),
    ("response that lives for an hour", Fault::Jarm(|j| j.shift("exp", 60 * 60)), "jarm.exp.invalid"),
    ("response of tomorrow", Fault::Jarm(|j| j.tomorrow()), "jarm.nbf.invalid"),
    ("error that is no text", Fault::Jarm(|j| j.claims["error"] = 7.into()), "jarm.claims.invalid"),
    ("logout token for a response", Fault::Jarm(|j| j.header["typ"] = "logout+jwt".into()), "jarm.format.invalid"),
    ("R-JARM-06 exp past", Fault::Jarm(|j| j.shift("exp", -16 * 60)), "jarm.exp.expired"),
    ("R-JARM-07 signature", Fault::Jarm(|j| j.hand = Hand::Stranger), "jarm.signature.invalid"),
    ("R-JARM-08 alg none", Fault::Jarm(unsigned), "jarm.alg.mismatch"),
    ("R-JARM-08 alg RS256", Fault::Jarm(by_rs256), "jarm.alg.mismatch"),
    ("R-JARM-08 alg HS256, public key", Fault::Jarm(by_hs256), "jarm.alg.mismatch"),
    ("key named by the response itself", Fault::Jarm(by_its_own_key), "jarm.kid.untrusted"),
    ("response doubled", Fault::Callback(|q| again(q, "response", "x")), "callback.parameter.invalid"),
    (
        "error in a signed response",
        Fault::Jarm(|j| {
            j.without("code");
            j.claims["error"] = "access_denied".into();
        }),
        "callback.authorization.refused",
    ),
    ("R-JARM-09 state wrong", Fault::Jarm(|j| j.claims["state"] = "x".into()), "callback.state.mismatch"),
    ("R-JARM-09 state missing", Fault::Jarm(|j| j.without("state")), "callback.state.missing"),
    ("unknown key", Fault::Jarm(|j| j.header["kid"] = "stale".into()), "jarm.kid.untrusted"),
    (
        "plain in place of signed",
        Fault::Callback(|q| {
            without(q, "response");
            set(q, "code", "c");
        }),
        "callback.response.missing",
    ),
];

/// FAPI 1.0: an ID token beside the code.
pub(crate) const HYBRID: &[Row] = &[
    (
        "R-IDT-15 c_hash wrong",
        Fault::Front(|j| j.claims["c_hash"] = "AAAAAAAAAAAAAAAAAAAAAA".into()),
        "id_token.c_hash.mismatch",
    ),
    ("R-IDT-15 c_hash missing", Fault::Front(|j| j.without("c_hash")), "id_token.c_hash.missing"),
    ("another code", Fault::Callback(|q| set(q, "code", "of-another")), "id_token.c_hash.mismatch"),
    (
        "R-IDT-16 s_hash wrong",
        Fault::Front(|j| j.claims["s_hash"] = "AAAAAAAAAAAAAAAAAAAAAA".into()),
        "id_token.s_hash.mismatch",
    ),
    ("R-IDT-17 s_hash missing", Fault::Front(|j| j.without("s_hash")), "id_token.s_hash.missing"),
    (
        "R-IDT-22 iss wrong",
        Fault::Front(|j| j.claims["iss"] = "https://other.example/".into()),
        "id_token.iss.mismatch",
    ),
    ("R-IDT-22 aud wrong", Fault::Front(|j| j.claims["aud"] = "tpp-2".into()), "id_token.aud.mismatch"),
    ("R-IDT-22 exp past", Fault::Front(|j| j.shift("exp", -2 * 60 * 60)), "id_token.exp.expired"),
    ("R-IDT-09 iat old", Fault::Front(|j| j.shift("iat", -7 * 24 * 60 * 60)), "id_token.iat.expired"),
    ("R-IDT-22 nonce wrong", Fault::Front(|j| j.claims["nonce"] = "x".into()), "id_token.nonce.mismatch"),
    ("R-IDT-12 signature", Fault::Front(|j| j.hand = Hand::Stranger), "id_token.signature.invalid"),
    ("R-IDT-13 alg none", Fault::Front(unsigned), "id_token.alg.mismatch"),
    ("R-IDT-14 alg RS256", Fault::Front(by_rs256), "id_token.alg.mismatch"),
    ("R-ALG-01 alg HS256, public key", Fault::Front(by_hs256), "id_token.alg.mismatch"),
    ("R-IDT-02 iss missing", Fault::Front(|j| j.without("iss")), "id_token.iss.missing"),
    ("R-IDT-04 aud missing", Fault::Front(|j| j.without("aud")), "id_token.aud.missing"),
    ("R-IDT-05 aud extra", Fault::Front(|j| j.claims["aud"] = json!(["tpp-1", "tpp-2"])), "id_token.aud.untrusted"),
    ("R-IDT-08 exp missing", Fault::Front(|j| j.without("exp")), "id_token.exp.missing"),
    ("R-IDT-11 nonce missing", Fault::Front(|j| j.without("nonce")), "id_token.nonce.missing"),
    ("no ID token", Fault::Callback(|q| without(q, "id_token")), "callback.id_token.missing"),
    ("another user later", Fault::IdToken(|j| j.claims["sub"] = "bob".into()), "id_token.sub.mismatch"),
    ("state wrong", Fault::Callback(|q| set(q, "state", "x")), "callback.state.mismatch"),
];

/// The UK's claim.
pub(crate) const INTENT: &[Row] = &[
    (
        "R-IDT-21 intent wrong",
        Fault::Front(|j| j.claims["openbanking_intent_id"] = "consent-43".into()),
        "id_token.openbanking_intent_id.mismatch",
    ),
    (
        "R-IDT-21 intent missing",
        Fault::Front(|j| j.without("openbanking_intent_id")),
        "id_token.openbanking_intent_id.missing",
    ),
];

/// Rich requests.
pub(crate) const DETAILS: &[Row] = &[
    ("D10 nothing granted", Fault::Token(|b| take(b, "authorization_details")), "token.authorization_details.missing"),
    (
        "D10 something else granted",
        Fault::Token(|b| b["authorization_details"] = json!([{ "type": "payment" }])),
        "token.authorization_details.mismatch",
    ),
];

/// ID tokens that are encrypted to us.
#[expect(deprecated, reason = "RSA1_5 is what a client must refuse")]
pub(crate) const WRAPPED: &[Row] = &[
    ("R-IDT-20 RSA1_5", Fault::Wrap(RsaesJweAlgorithm::Rsa1_5), "id_token.enc.mismatch"),
    ("wrapped in a way we did not register", Fault::Wrap(RsaesJweAlgorithm::RsaOaep256), "id_token.enc.mismatch"),
];

/// Signed responses that are encrypted to us.
#[expect(deprecated, reason = "RSA1_5 is what a client must refuse")]
pub(crate) const WRAPPED_RESPONSE: &[Row] =
    &[("R-ALG-01 RSA1_5", Fault::Wrap(RsaesJweAlgorithm::Rsa1_5), "jarm.enc.mismatch")];

/// Tokens bound to a key.
pub(crate) const PROVED: &[Row] = &[
    ("unbound token", Fault::Token(|b| b["token_type"] = "Bearer".into()), "token.token_type.mismatch"),
    (
        "nonce wanted and not told",
        Fault::Answer("/token", |r| {
            r.refuse(400, "use_dpop_nonce");
            r.headers.remove("dpop-nonce");
        }),
        "token.grant.refused",
    ),
    (
        "proofs signed in no way of ours",
        Fault::Metadata(|b| b["dpop_signing_alg_values_supported"] = json!(["RS256"])),
        "metadata.dpop_signing_alg_values_supported.mismatch",
    ),
];

/// Users who are asked elsewhere.
pub(crate) const ELSEWHERE: &[Row] = &[
    (
        "metadata, no endpoint for it",
        Fault::Metadata(|b| {
            take(b, "backchannel_authentication_endpoint");
            take(&mut b["mtls_endpoint_aliases"], "backchannel_authentication_endpoint");
        }),
        "metadata.backchannel_authentication_endpoint.missing",
    ),
    (
        "metadata, push alone",
        Fault::Metadata(|b| b["backchannel_token_delivery_modes_supported"] = json!(["push"])),
        "metadata.backchannel_token_delivery_modes_supported.mismatch",
    ),
    (
        "R-CIBA-10 auth_req_id missing",
        Fault::Answer(BACKCHANNEL, |r| r.json(|b| take(b, "auth_req_id"))),
        "ciba.auth_req_id.missing",
    ),
    (
        "R-CIBA-10 expires_in missing",
        Fault::Answer(BACKCHANNEL, |r| r.json(|b| take(b, "expires_in"))),
        "ciba.expires_in.missing",
    ),
    (
        "interval of nothing",
        Fault::Answer(BACKCHANNEL, |r| r.json(|b| b["interval"] = 0.into())),
        "ciba.interval.invalid",
    ),
    ("backchannel, truncated", Fault::Answer(BACKCHANNEL, |r| r.body.truncate(20)), "ciba.response.invalid"),
    (
        "R-CIBA-11 unknown_user_id",
        Fault::Answer(BACKCHANNEL, |r| r.refuse(400, "unknown_user_id")),
        "ciba.request.refused",
    ),
    (
        "R-CIBA-11 expired_login_hint_token",
        Fault::Answer(BACKCHANNEL, |r| r.refuse(400, "expired_login_hint_token")),
        "ciba.request.refused",
    ),
    ("R-CIBA-12 invalid_request", Fault::Answer("/token", |r| r.refuse(400, "invalid_request")), "token.grant.refused"),
    (
        "R-CIBA-12 access_denied",
        Fault::Answer("/token", |r| r.refuse(400, "access_denied")),
        "ciba.authorization.refused",
    ),
    (
        "R-CIBA-12 expired_token",
        Fault::Answer("/token", |r| r.refuse(400, "expired_token")),
        "ciba.auth_req_id.expired",
    ),
    (
        "R-IDT-01 iss wrong",
        Fault::IdToken(|j| j.claims["iss"] = "https://other.example/".into()),
        "id_token.iss.mismatch",
    ),
    ("R-IDT-03 aud wrong", Fault::IdToken(|j| j.claims["aud"] = "tpp-2".into()), "id_token.aud.mismatch"),
    ("R-IDT-07 exp past", Fault::IdToken(|j| j.shift("exp", -2 * 60 * 60)), "id_token.exp.expired"),
    ("R-IDT-09 iat old", Fault::IdToken(|j| j.shift("iat", -7 * 24 * 60 * 60)), "id_token.iat.expired"),
    ("R-IDT-12 signature", Fault::IdToken(|j| j.hand = Hand::Stranger), "id_token.signature.invalid"),
    ("R-IDT-13 alg none", Fault::IdToken(unsigned), "id_token.alg.mismatch"),
    ("R-IDT-14 alg RS256", Fault::IdToken(by_rs256), "id_token.alg.mismatch"),
    (
        "K3 auth_req_id of another",
        Fault::IdToken(|j| j.claims["urn:openid:params:jwt:claim:auth_req_id"] = "of-another".into()),
        "id_token.auth_req_id.mismatch",
    ),
    (
        "rt_hash of another",
        Fault::IdToken(|j| j.claims["urn:openid:params:jwt:claim:rt_hash"] = "AAAAAAAAAAAAAAAAAAAAAA".into()),
        "id_token.rt_hash.mismatch",
    ),
    ("no ID token", Fault::Token(|b| take(b, "id_token")), "token.id_token.missing"),
];

const BACKCHANNEL: &str = "/backchannel";

/// Becoming a client.
pub(crate) const REGISTERING: &[Row] = &[
    (
        "metadata, no endpoint for it",
        Fault::Metadata(|b| take(b, "registration_endpoint")),
        "metadata.registration_endpoint.missing",
    ),
    ("registration, status", Fault::Answer("/reg", |r| r.status = 200), "registration.status.invalid"),
    (
        "registration, refused",
        Fault::Answer("/reg", |r| r.refuse(400, "invalid_software_statement")),
        "registration.request.refused",
    ),
    ("registration, truncated", Fault::Answer("/reg", |r| r.body.truncate(60)), "registration.response.invalid"),
    (
        "registration, no client id",
        Fault::Answer("/reg", |r| r.json(|b| take(b, "client_id"))),
        "registration.client_id.missing",
    ),
    (
        "registration, shared secret",
        Fault::Answer("/reg", |r| r.json(|b| b["token_endpoint_auth_method"] = "client_secret_basic".into())),
        "registration.token_endpoint_auth_method.mismatch",
    ),
    (
        "registration, another redirect URI",
        Fault::Answer("/reg", |r| {
            r.json(|b| b["redirect_uris"].as_array_mut().expect("a list").push("https://other.example/".into()));
        }),
        "registration.redirect_uris.mismatch",
    ),
    (
        "registration, tokens for anybody",
        Fault::Answer("/reg", |r| r.json(|b| b["tls_client_certificate_bound_access_tokens"] = false.into())),
        "registration.token_binding.mismatch",
    ),
    (
        "registration, RS256",
        Fault::Answer("/reg", |r| r.json(|b| b["id_token_signed_response_alg"] = "RS256".into())),
        "registration.signing_algs.mismatch",
    ),
    (
        "registration, managed over http",
        Fault::Answer("/reg", |r| r.json(|b| b["registration_client_uri"] = "http://as.example/reg/1".into())),
        "registration.registration_client_uri.invalid",
    ),
    (
        "management, another client",
        Fault::Answer("/reg/", |r| r.json(|b| b["client_id"] = "of-another".into())),
        "registration.client_id.mismatch",
    ),
    (
        "management, token refused",
        Fault::Answer("/reg/", |r| r.refuse(401, "invalid_token")),
        "registration.request.refused",
    ),
];

/// What a network does. After each of these it is unknown what the server did, so nothing is tried again.
pub(crate) const NETWORK: &[Row] = &[
    ("metadata, endless", Fault::Answer(METADATA, |r| r.way = Way::Endless), "answer.too_large"),
    ("metadata, gzip bomb", Fault::Answer(METADATA, |r| r.bomb()), "answer.too_large"),
    ("metadata, broken off", Fault::Answer(METADATA, |r| r.way = Way::BrokenOff), "answer.invalid"),
    ("metadata, dropped", Fault::Answer(METADATA, |r| r.way = Way::Dropped), "tls.client_certificate.suspected"),
    ("PAR, gzip bomb", Fault::Answer("/request", |r| r.bomb()), "answer.too_large"),
    ("PAR, broken off", Fault::Answer("/request", |r| r.way = Way::BrokenOff), "answer.invalid"),
    (
        "PAR, redirect to http",
        Fault::Answer("/request", |r| r.redirect(307, "http://127.0.0.1/")),
        "par.status.invalid",
    ),
    (
        "authorization, redirect away",
        Fault::Answer("/auth", |r| r.redirect(302, "https://198.51.100.7/")),
        "egress.refused",
    ),
    ("token, endless", Fault::Answer("/token", |r| r.way = Way::Endless), "answer.too_large"),
    ("token, gzip bomb", Fault::Answer("/token", |r| r.bomb()), "answer.too_large"),
    ("token, truncated", Fault::Answer("/token", |r| r.body.truncate(40)), "token.response.invalid"),
    ("token, broken off", Fault::Answer("/token", |r| r.way = Way::BrokenOff), "answer.invalid"),
    ("token, dropped", Fault::Answer("/token", |r| r.way = Way::Dropped), "connection.lost"),
    ("keys, endless", Fault::Answer("/jwks", |r| r.way = Way::Endless), "answer.too_large"),
    ("keys, truncated", Fault::Answer("/jwks", |r| r.body.truncate(40)), "jwks.body.invalid"),
    (
        "keys, redirect to another host",
        Fault::Answer("/jwks", |r| r.redirect(302, "https://other.example/")),
        "jwks.status.invalid",
    ),
    ("resource, broken off", Fault::Answer("/me", |r| r.way = Way::BrokenOff), "answer.invalid"),
];

/// What a network does when it is slow.
pub(crate) const SLOW: &[Row] = &[
    ("metadata, silent", Fault::Answer(METADATA, |r| r.way = Way::Silent), "answer.timeout"),
    ("token, stalled", Fault::Answer("/token", |r| r.way = Way::Stalled), "answer.timeout"),
];

/// What looks odd and is allowed: the suite's cases that a client must accept.
pub(crate) const ODD: &[Good] = &[
    (
        "R-DISC-05 metadata, few",
        Fault::Metadata(|b| {
            b.as_object_mut().expect("an object").retain(|name, _| FEW.contains(&name.as_str()));
        }),
    ),
    (
        "R-DISC-07 metadata, much",
        Fault::Metadata(|b| {
            b["code_challenge_methods_supported"] = json!(["plain", "S256"]);
            b["require_pushed_authorization_requests"] = true.into();
            b["tls_client_certificate_bound_access_tokens"] = true.into();
            b["a_word_of_their_own"] = json!({ "id_token_signing_alg_values_supported": ["none"] });
        }),
    ),
    (
        "R-KEY-05 decoy of the same kid",
        Fault::Jwks(|b| {
            let mut decoy = b["keys"][0].clone();
            decoy["kid"] = KID.into();
            decoy["alg"] = "PS256".into();
            b["keys"].as_array_mut().expect("keys").insert(0, decoy);
        }),
    ),
    ("R-KEY-06 key set that is stale once", Fault::StaleKeys),
    ("R-PAR-11 longest expires_in", Fault::Par(|b| b["expires_in"] = 600.into())),
    ("R-TRS-01 token_type in odd case", Fault::Token(|b| b["token_type"] = "bEARER".into())),
    ("expires_in with a fraction", Fault::Token(|b| b["expires_in"] = 300.0.into())),
    ("R-TRS-02 no expires_in", Fault::Token(|b| take(b, "expires_in"))),
    ("R-TRS-03 no scope", Fault::Token(|b| take(b, "scope"))),
    ("R-TRS-04 refresh token of any sign", Fault::OddRefreshToken),
    ("R-IDT-06 aud in a list", Fault::IdToken(|j| j.claims["aud"] = json!(["tpp-1"]))),
    ("R-IDT-18 no at_hash", Fault::IdToken(|j| j.without("at_hash"))),
    ("unknown parameter", Fault::Callback(|q| again(q, "session_state", "x"))),
];

/// The same for a login that asks for no ID token.
pub(crate) const ODD_WITHOUT_ID_TOKEN: &[Good] = &[("R-DISC-06 no keys", Fault::Metadata(|b| take(b, "jwks_uri")))];

/// The same for an ID token beside the code, which names the issuer.
pub(crate) const ODD_HYBRID: &[Good] = &[("R-AR-06 no iss", Fault::Callback(|q| without(q, "iss")))];

/// The same for signed responses.
pub(crate) const ODD_SIGNED: &[Good] = &[("R-JARM-10 neither iat nor typ", Fault::Jarm(|j| j.without("iat")))];

/// The same for those that are encrypted, too.
pub(crate) const ODD_WRAPPED_RESPONSE: &[Good] = &[
    ("R-JARM-11 encrypted response", Fault::Wrap(RsaesJweAlgorithm::RsaOaep)),
    ("R-JARM-11 open response", Fault::Nothing),
];

/// The same for users who are asked elsewhere.
pub(crate) const ODD_ELSEWHERE: &[Good] =
    &[("R-CIBA-09 slow_down", Fault::Once("/token", |r| r.refuse(400, "slow_down")))];

/// The same for tokens that are bound to a key.
pub(crate) const ODD_PROVED: &[Good] =
    &[("R-TRS-01 token_type in odd case", Fault::Token(|b| b["token_type"] = "dpOp".into()))];

/// The same for encrypted ID tokens.
pub(crate) const ODD_WRAPPED: &[Good] = &[
    ("R-IDT-19 encrypted ID token", Fault::Wrap(RsaesJweAlgorithm::RsaOaep)),
    ("R-IDT-19 open ID token", Fault::Nothing),
];

/// The metadata that the suite's servers have, with what our profile needs.
const FEW: [&str; 9] = [
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "mtls_endpoint_aliases",
    "pushed_authorization_request_endpoint",
    "response_types_supported",
    "id_token_signing_alg_values_supported",
    "authorization_response_iss_parameter_supported",
];
