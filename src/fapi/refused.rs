//! Every refusal, each provoked by a server that gets exactly one thing wrong. A check that is taken out turns its row
//! red; a code without a row turns the table red.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use crate::keys::{SignError, Signer};
use crate::metadata::{self, Document, Environment};
use crate::profile::{
    Alg, FAPI1_ADVANCED, FAPI2_MESSAGE_SIGNING, FAPI2_SECURITY, KeyEncryption, Security, TokenBinding,
};
use crate::refusal::{Refusal, reasons};
use crate::request::AuthorizationRequest;
use crate::testing::{Hand, INTENT, Jwt, Play, Query, Reply, drop_parameter, play, set, start};
use crate::token::Tokens;

pub(crate) type Row = (&'static str, Refusal);

/// The refusal of a whole login.
pub(crate) fn refused(code: &'static str, play: Play) -> Row {
    match play.run() {
        Ok(_) => panic!("{code}: the login went through"),
        Err(refusal) => (code, refusal),
    }
}

fn plain() -> Play {
    play(FAPI2_SECURITY)
}

fn signed() -> Play {
    play(FAPI2_MESSAGE_SIGNING)
}

fn hybrid() -> Play {
    play(FAPI1_ADVANCED)
}

/// As in the UK: the intent is named and compared, and so is the strength of the login.
fn uk() -> Play {
    let mut play = play(Security {
        intent_claim: Some("openbanking_intent_id".to_owned()),
        acr_values: Cow::Owned(vec!["urn:openbanking:psd2:sca".to_owned()]),
        ..FAPI1_ADVANCED
    });
    play.intent = Some(INTENT.to_owned());
    play
}

/// With what the server signs also encrypted.
pub(crate) fn encrypted(security: Security) -> Play {
    let mut play = play(security);
    play.encryption = Some(KeyEncryption::RsaOaep);
    play
}

/// With tokens that are bound to a key.
fn bound() -> Play {
    play(Security { binding: TokenBinding::Dpop, ..FAPI2_SECURITY })
}

fn front(code: &'static str, change: impl Fn(&mut Jwt) + 'static) -> Row {
    refused(code, hybrid().front(change))
}

fn front_claim(code: &'static str, name: &'static str, value: Value) -> Row {
    front(code, move |jwt| jwt.claims[name] = value.clone())
}

fn metadata(code: &'static str, change: impl Fn(&mut Reply) + 'static) -> Row {
    refused(code, plain().metadata(change))
}

fn metadata_member(code: &'static str, name: &'static str, value: Value) -> Row {
    metadata(code, move |reply| reply.body[name] = value.clone())
}

fn par(code: &'static str, change: impl Fn(&mut Reply) + 'static) -> Row {
    refused(code, plain().par(change))
}

fn callback(code: &'static str, change: impl Fn(&mut Query) + 'static) -> Row {
    refused(code, plain().callback(change))
}

fn jarm(code: &'static str, change: impl Fn(&mut Jwt) + 'static) -> Row {
    refused(code, signed().jarm(change))
}

fn jarm_claim(code: &'static str, name: &'static str, value: Value) -> Row {
    jarm(code, move |jwt| jwt.claims[name] = value.clone())
}

fn token(code: &'static str, change: impl Fn(&mut Reply) + 'static) -> Row {
    refused(code, plain().token(change))
}

fn token_member(code: &'static str, name: &'static str, value: Value) -> Row {
    token(code, move |reply| reply.body[name] = value.clone())
}

fn id_token(code: &'static str, change: impl Fn(&mut Jwt) + 'static) -> Row {
    refused(code, plain().id_token(change))
}

fn claim(code: &'static str, name: &'static str, value: Value) -> Row {
    id_token(code, move |jwt| jwt.claims[name] = value.clone())
}

fn without_claim(code: &'static str, name: &'static str) -> Row {
    id_token(code, move |jwt| jwt.without(name))
}

/// A signer whose key is gone.
pub(crate) struct Broken;

impl Signer for Broken {
    fn alg(&self) -> Alg {
        Alg::Es256
    }
    fn kid(&self) -> &str {
        "gone"
    }
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
        Err(SignError)
    }
    fn public_jwk(&self) -> Map<String, Value> {
        Map::new()
    }
}

fn client_rows() -> Vec<Row> {
    let mut play = plain();
    play.signer = Arc::new(Broken);
    let mut no_intent = uk();
    no_intent.intent = None;
    vec![refused("client.signing_key.invalid", play), refused("client.intent.missing", no_intent)]
}

fn hybrid_rows() -> Vec<Row> {
    let past = start().as_second() + 120;
    vec![
        refused("callback.id_token.missing", hybrid().callback(|query| drop_parameter(query, "id_token"))),
        front("id_token.c_hash.missing", |jwt| jwt.without("c_hash")),
        front_claim("id_token.c_hash.mismatch", "c_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        refused("id_token.c_hash.mismatch", hybrid().callback(|query| set(query, "code", "code-of-another"))),
        front("id_token.s_hash.missing", |jwt| jwt.without("s_hash")),
        front_claim("id_token.s_hash.mismatch", "s_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        front_claim("id_token.iss.mismatch", "iss", json!("https://other.example/")),
        refused("callback.iss.mismatch", hybrid().callback(|query| set(query, "iss", "https://other.example/"))),
        front_claim("id_token.aud.mismatch", "aud", json!("tpp-2")),
        front_claim("id_token.exp.expired", "exp", json!(past)),
        front_claim("id_token.iat.expired", "iat", json!(past - 7 * 86_400)),
        front_claim("id_token.nonce.mismatch", "nonce", json!("of-another-login")),
        front("id_token.signature.invalid", |jwt| jwt.hand = Hand::Nobody),
        front("id_token.alg.mismatch", |jwt| (jwt.header["alg"], jwt.hand) = (json!("none"), Hand::Nobody)),
        front("id_token.alg.mismatch", |jwt| {
            (jwt.header, jwt.hand) = (json!({ "alg": "RS256", "kid": "rsa-any" }), Hand::Rs256);
        }),
        refused("id_token.sub.mismatch", hybrid().id_token(|jwt| jwt.claims["sub"] = json!("somebody else"))),
        refused("id_token.nonce.mismatch", hybrid().id_token(|jwt| jwt.claims["nonce"] = json!("x"))),
        refused("id_token.openbanking_intent_id.missing", uk().front(|jwt| jwt.without("openbanking_intent_id"))),
        refused(
            "id_token.openbanking_intent_id.mismatch",
            uk().front(|jwt| {
                jwt.claims["openbanking_intent_id"] = json!("consent-43");
            }),
        ),
        // Each of the two ID tokens is held to everything.
        refused(
            "id_token.openbanking_intent_id.mismatch",
            uk().id_token(|jwt| {
                jwt.claims["openbanking_intent_id"] = json!("consent-43");
            }),
        ),
        refused("id_token.acr.mismatch", uk().front(|jwt| jwt.claims["acr"] = json!("urn:openbanking:psd2:ca"))),
        refused("id_token.acr.missing", uk().id_token(|jwt| jwt.without("acr"))),
        refused("id_token.acr.mismatch", uk().id_token(|jwt| jwt.claims["acr"] = json!("urn:openbanking:psd2:ca"))),
    ]
}

/// A server that wraps the key in another way, or encrypts to another key.
#[expect(deprecated, reason = "RSA1_5 is what a client must refuse")]
fn encryption_rows() -> Vec<Row> {
    let rsa1_5 = |jwt: &mut Jwt| jwt.envelope.as_mut().unwrap().alg = josekit::jwe::RSA1_5;
    let sha_256 = |jwt: &mut Jwt| jwt.envelope.as_mut().unwrap().alg = josekit::jwe::RSA_OAEP_256;
    let content = |jwt: &mut Jwt| jwt.envelope.as_mut().unwrap().header.set_content_encryption("A192GCM");
    let zipped = |jwt: &mut Jwt| jwt.envelope.as_mut().unwrap().header.set_compression("DEF");
    let critical = |jwt: &mut Jwt| {
        let header = &mut jwt.envelope.as_mut().unwrap().header;
        header.set_claim("crit", Some(json!(["exp"]))).unwrap();
    };
    let stranger = |jwt: &mut Jwt| {
        let other = josekit::jwk::Jwk::generate_rsa_key(2048).unwrap();
        jwt.envelope.as_mut().unwrap().key = other.to_public_key().unwrap().into();
    };
    let signed = || encrypted(FAPI2_MESSAGE_SIGNING);
    let front = || encrypted(FAPI1_ADVANCED);
    vec![
        refused("id_token.enc.mismatch", front().front(rsa1_5)),
        refused("id_token.enc.mismatch", front().id_token(rsa1_5)),
        refused("id_token.enc.mismatch", front().front(sha_256)),
        refused("id_token.enc.mismatch", front().front(content)),
        refused("id_token.format.invalid", front().front(zipped)),
        refused("id_token.format.invalid", front().front(critical)),
        refused("jarm.format.invalid", signed().jarm(critical)),
        refused("id_token.encryption.invalid", front().front(stranger)),
        refused("id_token.signature.invalid", front().front(|jwt| jwt.hand = Hand::Nobody)),
        refused("jarm.enc.mismatch", signed().jarm(rsa1_5)),
        refused("jarm.encryption.invalid", signed().jarm(stranger)),
    ]
}

fn bound_rows() -> Vec<Row> {
    let play = bound();
    let (metadata, tokens) = play.run_with_metadata().unwrap();
    let unbound = Tokens { dpop: None, ..tokens.clone() };
    let refresh = play.client().refresh(&metadata, &unbound, &play.world()).map(drop);
    let request = |uri: &str| http::Request::get(uri).body(bytes::Bytes::new()).unwrap();
    let resource = |request, tokens| play.client().resource(request, tokens, &play.world()).map(drop).unwrap_err();
    vec![
        ("client.dpop_key.missing", refresh.unwrap_err()),
        ("client.dpop_key.missing", resource(request("https://rs.example/accounts"), &unbound)),
        ("resource.request.invalid", resource(request("http://rs.example/accounts"), &tokens)),
        ("resource.request.invalid", resource(request("/accounts"), &tokens)),
        refused("token.token_type.mismatch", bound().token(|reply| reply.body["token_type"] = json!("Bearer"))),
        refused(
            "metadata.dpop_signing_alg_values_supported.mismatch",
            bound().metadata(|reply| reply.body["dpop_signing_alg_values_supported"] = json!(["PS256"])),
        ),
    ]
}

fn details_rows() -> Vec<Row> {
    let asked = || {
        let mut play = plain();
        play.details = Some(json!([{ "type": "account_information" }]));
        play
    };
    let granted = |code, details: Value| {
        refused(code, asked().token(move |reply| reply.body["authorization_details"] = details.clone()))
    };
    vec![
        refused("token.authorization_details.missing", asked().token(|reply| reply.without("authorization_details"))),
        refused(
            "token.authorization_details.mismatch",
            plain().token(|reply| reply.body["authorization_details"] = json!([{ "type": "payment_initiation" }])),
        ),
        granted("token.authorization_details.invalid", json!({ "type": "account_information" })),
        granted("token.authorization_details.invalid", json!(["account_information"])),
        granted("token.authorization_details.invalid", json!([{ "type": 7 }])),
        granted("token.authorization_details.mismatch", json!([{ "type": "payment_initiation" }])),
        granted(
            "token.authorization_details.mismatch",
            json!([{ "type": "account_information" }, { "type": "payment_initiation" }]),
        ),
    ]
}

fn configured_issuer_rows() -> Vec<Row> {
    ["http://as.example", "https://as.example?a=b", "https://as.example#f", "as.example", "https://u:p@as.example"]
        .map(|issuer| {
            let call = metadata::discover(issuer, Document::OpenId, Environment::Production, &FAPI2_SECURITY);
            ("metadata.configured_issuer.invalid", call.map(drop).expect_err(issuer))
        })
        .to_vec()
}

fn metadata_rows() -> Vec<Row> {
    vec![
        metadata("metadata.status.invalid", |reply| reply.status = 404),
        metadata("metadata.status.invalid", |reply| reply.status = 302),
        metadata("metadata.body.invalid", |reply| reply.body = json!([])),
        metadata("metadata.body.invalid", |reply| reply.raw = Some(b"<html>".to_vec())),
        metadata("metadata.body.invalid", |reply| {
            let size = domain::limits::AUTH_BODY_BYTES_MAX;
            reply.body["service_documentation"] = "x".repeat(size).into();
        }),
        metadata_member("metadata.body.invalid", "token_endpoint", json!(7)),
        metadata_member("metadata.issuer.mismatch", "issuer", json!("https://as.example/tenant/INVALID")),
        metadata_member("metadata.issuer.mismatch", "issuer", json!("https://as.example:8443INVALID")),
        metadata_member("metadata.issuer.mismatch", "issuer", json!(7)),
        metadata_member("metadata.issuer.mismatch", "issuer", json!("https://as.example/tenant")),
        metadata_member("metadata.issuer.mismatch", "issuer", json!("https://AS.example/tenant/")),
        metadata("metadata.issuer.mismatch", |reply| reply.without("issuer")),
        metadata("metadata.authorization_endpoint.missing", |reply| reply.without("authorization_endpoint")),
        metadata("metadata.token_endpoint.missing", |reply| {
            reply.without("token_endpoint");
            reply.without("mtls_endpoint_aliases");
        }),
        metadata("metadata.jwks_uri.missing", |reply| reply.without("jwks_uri")),
        metadata_member(
            "metadata.token_endpoint_auth_methods_supported.mismatch",
            "token_endpoint_auth_methods_supported",
            json!(["client_secret_basic", "tls_client_auth"]),
        ),
        metadata_member(
            "metadata.code_challenge_methods_supported.mismatch",
            "code_challenge_methods_supported",
            json!(["plain"]),
        ),
        metadata_member(
            "metadata.token_endpoint_auth_signing_alg_values_supported.mismatch",
            "token_endpoint_auth_signing_alg_values_supported",
            json!(["PS256"]),
        ),
        refused(
            "metadata.request_object_signing_alg_values_supported.mismatch",
            signed().metadata(|reply| reply.body["request_object_signing_alg_values_supported"] = json!(["PS256"])),
        ),
    ]
}

/// Who must push learns at discovery that the server takes nothing; who pushes of their own will, when they do.
fn pushing_rows() -> Vec<Row> {
    let nowhere = |security| {
        play(security).metadata(|reply| {
            reply.without("pushed_authorization_request_endpoint");
            reply.without("mtls_endpoint_aliases");
        })
    };
    let willing = nowhere(FAPI1_ADVANCED);
    let metadata = willing.discover().unwrap();
    let pushed = willing.client().push(&metadata, &AuthorizationRequest::scope("accounts"), &willing.world());
    let code = "metadata.pushed_authorization_request_endpoint.missing";
    vec![(code, nowhere(FAPI2_SECURITY).discover().map(drop).unwrap_err()), (code, pushed.map(drop).unwrap_err())]
}

fn endpoint_rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for endpoint in ["authorization_endpoint", "jwks_uri"] {
        for address in [
            "http://as.example/x",
            "https://as.example/x#f",
            "https://u@as.example/x",
            "https://:p@as.example/x",
            "https://as{.example/x",
            "data:x",
        ] {
            rows.push(metadata_member("metadata.endpoint.invalid", endpoint, json!(address)));
        }
    }
    for endpoint in ["token_endpoint", "pushed_authorization_request_endpoint", "revocation_endpoint"] {
        rows.push(metadata("metadata.endpoint.invalid", move |reply| {
            reply.body["mtls_endpoint_aliases"][endpoint] = json!("http://mtls.as.example/x");
        }));
    }
    rows.push(metadata_member(
        "metadata.endpoint.invalid",
        "authorization_endpoint",
        json!(format!("https://as.example/{}", "x".repeat(4096))),
    ));
    rows.push(metadata_member("metadata.endpoint.invalid", "authorization_endpoint", json!("http://127.0.0.1/x")));
    for (endpoint, address) in [("authorization_endpoint", "http://as.example/x"), ("jwks_uri", "http://127.0.0.1/x")] {
        let mut play = plain().metadata(move |reply| reply.body[endpoint] = json!(address));
        play.environment = Environment::Development;
        rows.push(refused("metadata.endpoint.invalid", play));
    }
    rows
}

fn jwks_rows() -> Vec<Row> {
    let jwks = |code, change: fn(&mut Reply)| refused(code, plain().jwks(change));
    vec![
        jwks("jwks.status.invalid", |reply| reply.status = 500),
        jwks("jwks.body.invalid", |reply| reply.raw = Some(Vec::new())),
        jwks("jwks.body.invalid", |reply| reply.body = json!({ "keys": {} })),
        jwks("jwks.body.invalid", |reply| {
            reply.body["padding"] = "x".repeat(domain::limits::AUTH_BODY_BYTES_MAX).into();
        }),
    ]
}

fn par_rows() -> Vec<Row> {
    vec![
        par("par.status.invalid", |reply| reply.status = 200),
        par("par.status.invalid", |reply| (reply.status, reply.raw) = (502, Some(b"Bad gateway".to_vec()))),
        par("par.request.refused", |reply| reply.error(400, "invalid_request")),
        par("par.response.invalid", |reply| reply.raw = Some(b"[]".to_vec())),
        par("par.response.invalid", |reply| reply.body["request_uri"] = json!(7)),
        par("par.request_uri.missing", |reply| reply.without("request_uri")),
        par("par.request_uri.invalid", |reply| reply.body["request_uri"] = json!("")),
        par("par.request_uri.invalid", |reply| reply.body["request_uri"] = json!(format!("urn:{}", "x".repeat(2048)))),
        par("par.expires_in.missing", |reply| reply.without("expires_in")),
        par("par.expires_in.invalid", |reply| reply.body["expires_in"] = json!(0)),
        par("par.expires_in.invalid", |reply| reply.body["expires_in"] = json!(601)),
        par("par.expires_in.invalid", |reply| reply.body["expires_in"] = json!("60")),
    ]
}

fn callback_rows() -> Vec<Row> {
    let mut late = plain();
    late.callback_after = SignedDuration::from_secs(late.security.login_seconds);
    let optional = Security { issuer_parameter: crate::profile::IssuerParameter::IfAnnounced, ..FAPI2_SECURITY };
    vec![
        callback("callback.parameter.invalid", |query| query.push(("code".to_owned(), "code-1".to_owned()))),
        callback("callback.parameter.invalid", |query| query.push(("state".to_owned(), "x".to_owned()))),
        callback("callback.parameter.invalid", |query| set(query, "error", "access_denied")),
        callback("callback.parameter.invalid", |query| set(query, "padding", &"x".repeat(32 * 1024))),
        refused("callback.login.expired", late),
        callback("callback.state.missing", |query| drop_parameter(query, "state")),
        callback("callback.state.mismatch", |query| set(query, "state", "of-another-login")),
        callback("callback.state.mismatch", |query| set(query, "state", "")),
        callback("callback.iss.missing", |query| drop_parameter(query, "iss")),
        refused("callback.iss.missing", play(optional.clone()).callback(|query| drop_parameter(query, "iss"))),
        callback("callback.iss.mismatch", |query| set(query, "iss", "https://as.example/tenant")),
        refused(
            "callback.iss.mismatch",
            play(optional)
                .metadata(|reply| reply.without("authorization_response_iss_parameter_supported"))
                .callback(|query| set(query, "iss", "https://other.example/")),
        ),
        callback("callback.authorization.refused", |query| {
            drop_parameter(query, "code");
            set(query, "error", "access_denied");
        }),
        // An error is believed only from the right server for the right login.
        callback("callback.state.mismatch", |query| {
            drop_parameter(query, "code");
            set(query, "error", "access_denied");
            set(query, "state", "of-another-login");
        }),
        callback("callback.iss.missing", |query| {
            drop_parameter(query, "code");
            set(query, "error", "access_denied");
            drop_parameter(query, "iss");
        }),
        callback("callback.code.missing", |query| drop_parameter(query, "code")),
        callback("callback.code.missing", |query| set(query, "code", "")),
        refused(
            "callback.response.missing",
            signed().callback(|query| {
                drop_parameter(query, "response");
                set(query, "code", "code-1");
            }),
        ),
    ]
}

fn jarm_rows() -> Vec<Row> {
    let past = start().as_second() + 120;
    vec![
        jarm("jarm.format.invalid", |jwt| jwt.header["crit"] = json!(["exp"])),
        refused("jarm.format.invalid", signed().callback(|query| set(query, "response", "a.b.c.d.e"))),
        jarm("jarm.alg.mismatch", |jwt| (jwt.header["alg"], jwt.hand) = (json!("none"), Hand::Nobody)),
        jarm("jarm.alg.mismatch", |jwt| (jwt.header["alg"], jwt.hand) = (json!("RS256"), Hand::Rs256)),
        jarm("jarm.alg.mismatch", |jwt| (jwt.header["alg"], jwt.hand) = (json!("PS256"), Hand::Server(Alg::Ps256))),
        jarm("jarm.kid.untrusted", |jwt| jwt.header["kid"] = json!("unknown")),
        jarm("jarm.signature.invalid", |jwt| jwt.hand = Hand::Server(Alg::EdDsa)),
        jarm("jarm.iss.missing", |jwt| jwt.without("iss")),
        jarm_claim("jarm.iss.mismatch", "iss", json!("https://other.example/")),
        jarm("jarm.aud.missing", |jwt| jwt.without("aud")),
        jarm_claim("jarm.aud.mismatch", "aud", json!("tpp-2")),
        jarm_claim("jarm.aud.mismatch", "aud", json!(["tpp-2"])),
        jarm_claim("jarm.aud.mismatch", "aud", json!([])),
        jarm("jarm.exp.missing", |jwt| jwt.without("exp")),
        jarm_claim("jarm.exp.expired", "exp", json!(past)),
        jarm_claim("jarm.exp.expired", "exp", json!("soon")),
        jarm_claim("jarm.exp.invalid", "exp", json!(past + 661)),
        jarm_claim("jarm.nbf.invalid", "nbf", json!(past + 61)),
        jarm_claim("jarm.nbf.invalid", "nbf", json!("soon")),
        jarm_claim("jarm.claims.invalid", "error", json!(7)),
        jarm_claim("jarm.claims.invalid", "state", json!(["x"])),
        jarm_claim("jarm.claims.invalid", "code", json!({})),
        jarm("jarm.format.invalid", |jwt| jwt.header["typ"] = json!("oauth-authz-req+jwt")),
        jarm_claim("callback.state.mismatch", "state", json!("of-another-login")),
        jarm("callback.state.missing", |jwt| jwt.without("state")),
        jarm_claim("callback.parameter.invalid", "error", json!("access_denied")),
        jarm("callback.authorization.refused", |jwt| {
            jwt.without("code");
            jwt.claims["error"] = json!("access_denied");
        }),
    ]
}

fn token_rows() -> Vec<Row> {
    vec![
        token("token.status.invalid", |reply| reply.status = 201),
        token("token.status.invalid", |reply| (reply.status, reply.raw) = (504, Some(Vec::new()))),
        token("token.grant.refused", |reply| reply.error(400, "invalid_grant")),
        token("token.grant.refused", |reply| reply.error(401, "invalid_client")),
        token("token.response.invalid", |reply| reply.raw = Some(b"\"text\"".to_vec())),
        token_member("token.response.invalid", "scope", json!(["accounts"])),
        token_member("token.scope.mismatch", "scope", json!("openid accounts payments")),
        token_member("token.response.invalid", "padding", json!("x".repeat(domain::limits::AUTH_BODY_BYTES_MAX))),
        token("token.access_token.missing", |reply| reply.without("access_token")),
        token_member("token.access_token.invalid", "access_token", json!("")),
        token_member("token.access_token.invalid", "access_token", json!("a\r\nX-Injected: 1")),
        token("token.token_type.missing", |reply| reply.without("token_type")),
        token_member("token.token_type.mismatch", "token_type", json!("DPoP")),
        token_member("token.expires_in.invalid", "expires_in", json!(-1)),
        token_member("token.expires_in.invalid", "expires_in", json!(i64::MAX)),
        token_member("token.expires_in.invalid", "expires_in", json!("300")),
        token_member("token.expires_in.invalid", "expires_in", json!(300.5)),
        token_member("token.refresh_token.invalid", "refresh_token", json!("")),
        token_member("token.refresh_token.invalid", "refresh_token", json!("a\nb")),
        token("token.id_token.missing", |reply| reply.without("id_token")),
    ]
}

fn id_token_rows() -> Vec<Row> {
    let now = start().as_second() + 121;
    vec![
        id_token("id_token.format.invalid", |jwt| jwt.header["crit"] = json!(["b64"])),
        id_token("id_token.format.invalid", |jwt| jwt.header["kid"] = json!(7)),
        id_token("id_token.format.invalid", |jwt| jwt.header["typ"] = json!("at+jwt")),
        id_token("id_token.format.invalid", |jwt| jwt.header["typ"] = json!("application/DPoP+JWT")),
        id_token("id_token.format.invalid", |jwt| jwt.header["typ"] = json!("logout+jwt")),
        refused(
            "id_token.kid.untrusted",
            plain().jwks(|reply| {
                for key in reply.body["keys"].as_array_mut().unwrap() {
                    key.as_object_mut().unwrap().remove("kid");
                }
            }),
        ),
        id_token("id_token.format.invalid", |jwt| jwt.claims = json!("claims")),
        token_member("id_token.format.invalid", "id_token", json!("not.a-jws")),
        token_member("id_token.format.invalid", "id_token", json!("e.n.c.r.ypted")),
        id_token("id_token.alg.mismatch", |jwt| (jwt.header["alg"], jwt.hand) = (json!("none"), Hand::Nobody)),
        id_token("id_token.alg.mismatch", |jwt| {
            (jwt.header, jwt.hand) = (json!({ "alg": "RS256", "kid": "rsa-any" }), Hand::Rs256);
        }),
        id_token("id_token.alg.mismatch", |jwt| {
            (jwt.header["alg"], jwt.hand) = (json!("PS256"), Hand::Server(Alg::Ps256));
        }),
        id_token("id_token.alg.mismatch", |jwt| jwt.header = json!({})),
        id_token("id_token.kid.untrusted", |jwt| jwt.header["kid"] = json!("unknown")),
        id_token("id_token.signature.invalid", |jwt| jwt.hand = Hand::Nobody),
        id_token("id_token.signature.invalid", |jwt| jwt.hand = Hand::Server(Alg::EdDsa)),
        without_claim("id_token.iss.missing", "iss"),
        claim("id_token.iss.missing", "iss", Value::Null),
        without_claim("id_token.sub.missing", "sub"),
        without_claim("id_token.aud.missing", "aud"),
        without_claim("id_token.exp.missing", "exp"),
        without_claim("id_token.iat.missing", "iat"),
        without_claim("id_token.nonce.missing", "nonce"),
        claim("id_token.claims.invalid", "exp", json!("tomorrow")),
        claim("id_token.claims.invalid", "aud", json!({})),
        claim("id_token.iss.mismatch", "iss", json!("https://as.example/tenant")),
        claim("id_token.aud.mismatch", "aud", json!("tpp-2")),
        claim("id_token.aud.mismatch", "aud", json!([])),
        claim("id_token.aud.untrusted", "aud", json!(["tpp-1", "tpp-2"])),
        claim("id_token.azp.mismatch", "azp", json!("tpp-2")),
        claim("id_token.exp.expired", "exp", json!(now)),
        claim("id_token.iat.expired", "iat", json!(now - 601)),
        claim("id_token.iat.invalid", "iat", json!(now + 61)),
        claim("id_token.nbf.invalid", "nbf", json!(now + 61)),
        claim("id_token.nbf.invalid", "nbf", json!("soon")),
        claim("id_token.sub.invalid", "sub", json!("x".repeat(256))),
        claim("id_token.sub.invalid", "sub", json!("")),
        claim("id_token.sub.invalid", "sub", json!("a\u{7}b")),
        claim("id_token.sub.invalid", "sub", json!("Zoë")),
        claim("id_token.nonce.mismatch", "nonce", json!("of-another-login")),
        claim("id_token.at_hash.mismatch", "at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
    ]
}

#[test]
fn every_check_refuses_what_it_is_for() {
    let rows = [
        client_rows(),
        hybrid_rows(),
        encryption_rows(),
        bound_rows(),
        details_rows(),
        configured_issuer_rows(),
        metadata_rows(),
        pushing_rows(),
        endpoint_rows(),
        jwks_rows(),
        par_rows(),
        callback_rows(),
        jarm_rows(),
        token_rows(),
        id_token_rows(),
        crate::afterwards::rows(),
        crate::decoupled::rows(),
        crate::registered::rows(),
        crate::ecosystems::rows(),
    ]
    .concat();
    for (index, (code, refusal)) in rows.iter().enumerate() {
        assert_eq!(refusal.code, *code, "row {index}: {refusal}");
        assert!(!refusal.to_string().contains("words of the bank"), "{refusal}");
    }
    for reason in reasons() {
        assert!(rows.iter().any(|(code, _)| *code == reason.code), "{} has no row", reason.code);
    }
}

#[test]
fn an_error_of_the_server_is_told_by_its_code() {
    let denied = plain().callback(|query| {
        drop_parameter(query, "code");
        set(query, "error", "access_denied");
    });
    let refusal = denied.run().unwrap_err();
    assert_eq!(refusal.error.as_deref(), Some("access_denied"));
    assert_eq!(refusal.who_can_fix, domain::error::WhoCanFix::User);
    let status = plain().token(|reply| reply.status = 418).run().unwrap_err();
    assert!(status.detail.ends_with("(status 418)"), "{status}");
}

#[test]
fn nothing_is_sent_after_a_refusal() {
    for (play, calls) in [
        (plain().metadata(|reply| reply.without("issuer")), 1),
        (plain().par(|reply| reply.without("request_uri")), 3),
        (plain().callback(|query| drop_parameter(query, "iss")), 3),
        (plain().id_token(|jwt| jwt.without("nonce")), 4),
    ] {
        play.run().unwrap_err();
        assert_eq!(play.sent().len(), calls);
    }
}
