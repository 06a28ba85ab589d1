//! One planted fault for each negative case of the conformance suite's client modules that our profiles meet, and for each
//! way in which a network lies: the reason is right, and the proxy sees silence afterwards.

use serde_json::{Value, json};

use crate::certificates;
use crate::combination::{Combination, fapi1, fapi2, message_signing};
use crate::probe;
use crate::provider::{self, Front};
use crate::proxy::{Fault, Hand, Jwt, Proxy, Query, RSA_KID};

/// Requirement of the suite (or what else it is about), the fault, the reason.
type Row = (&'static str, Fault, &'static str);

fn set(query: &mut Query, name: &str, value: &str) {
    without(query, name);
    query.push((name.to_owned(), value.to_owned()));
}

fn without(query: &mut Query, name: &str) {
    query.retain(|(known, _)| known != name);
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

/// FAPI 2.0: metadata, keys, the pushed request, a plain response, tokens.
const PLAIN: &[Row] = &[
    (
        "R-DISC-01 issuer",
        Fault::Metadata(|b| b["issuer"] = format!("{}INVALID", text(&b["issuer"])).into()),
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
    ("metadata, endless", Fault::Answer(METADATA, |r| r.body = vec![b' '; 8 * 1024 * 1024]), "answer.too_large"),
    (
        "metadata, broken off",
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
    (
        "iss doubled",
        Fault::Callback(|q| q.push(("iss".to_owned(), "https://other.example/".to_owned()))),
        "callback.parameter.invalid",
    ),
    ("R-AR-04 state wrong", Fault::Callback(|q| set(q, "state", "of-another-login")), "callback.state.mismatch"),
    ("R-AR-05 state missing", Fault::Callback(|q| without(q, "state")), "callback.state.missing"),
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
    (
        "R-ERR-03 token error",
        Fault::Answer("/token", |r| {
            (r.status, r.body) = (400, br#"{"error":"invalid_grant"}"#.to_vec());
        }),
        "token.grant.refused",
    ),
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
    ("unknown key", Fault::IdToken(|j| j.header["kid"] = "stale".into()), "id_token.kid.untrusted"),
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
const SIGNED: &[Row] = &[
    ("R-JARM-01 iss missing", Fault::Jarm(|j| j.without("iss")), "jarm.iss.missing"),
    ("R-JARM-02 iss wrong", Fault::Jarm(|j| j.claims["iss"] = "https://other.example/".into()), "jarm.iss.mismatch"),
    ("R-JARM-03 aud missing", Fault::Jarm(|j| j.without("aud")), "jarm.aud.missing"),
    ("R-JARM-04 aud wrong", Fault::Jarm(|j| j.claims["aud"] = "tpp-2".into()), "jarm.aud.mismatch"),
    ("R-JARM-05 exp missing", Fault::Jarm(|j| j.without("exp")), "jarm.exp.missing"),
    ("R-JARM-06 exp past", Fault::Jarm(|j| j.shift("exp", -16 * 60)), "jarm.exp.expired"),
    ("R-JARM-07 signature", Fault::Jarm(|j| j.hand = Hand::Stranger), "jarm.signature.invalid"),
    ("R-JARM-08 alg none", Fault::Jarm(unsigned), "jarm.alg.mismatch"),
    ("R-JARM-08 alg RS256", Fault::Jarm(by_rs256), "jarm.alg.mismatch"),
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
const HYBRID: &[Row] = &[
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
    ("no ID token", Fault::Callback(|q| without(q, "id_token")), "callback.id_token.missing"),
    ("another user later", Fault::IdToken(|j| j.claims["sub"] = "bob".into()), "id_token.sub.mismatch"),
    ("state wrong", Fault::Callback(|q| set(q, "state", "x")), "callback.state.mismatch"),
];

/// The UK's claim.
const INTENT: &[Row] = &[
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
const DETAILS: &[Row] = &[
    ("D10 nothing granted", Fault::Token(|b| take(b, "authorization_details")), "token.authorization_details.missing"),
    (
        "D10 something else granted",
        Fault::Token(|b| b["authorization_details"] = json!([{ "type": "payment" }])),
        "token.authorization_details.mismatch",
    ),
];

const METADATA: &str = "/.well-known/openid-configuration";

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn named(all: Vec<Combination>, name: &str) -> Combination {
    all.into_iter().find(|combination| combination.name.contains(name)).expect("a combination of this name")
}

/// Show 2: the table of planted faults.
#[test]
fn every_planted_fault_is_refused_for_the_right_reason_and_nothing_follows() {
    let tables = [
        (named(fapi2(), "ES256, rotation"), PLAIN),
        (named(message_signing(), "private_key_jwt, ES256"), SIGNED),
        (named(fapi1(), "fragment, ES256"), HYBRID),
        (named(fapi1(), "UK intent"), INTENT),
        (named(fapi2(), "RAR"), DETAILS),
    ];
    let mut failures = Vec::new();
    for (combination, rows) in tables {
        let proxy = Proxy::start("localhost", &certificates::text("server.pem"), &certificates::text("server.key"));
        let front = Front { issuer: &proxy.front, aliased: &proxy.aliased };
        let provider = provider::start(&combination, Some(&front));
        proxy.stand_before(provider.port);
        let resource = provider.resource(&combination);
        proxy.plant(Fault::Nothing);
        let twin = probe::run(&combination, &proxy.front, resource.as_deref());
        assert!(twin.ok, "{} without a fault: {twin:#?}\n{}", combination.name, provider.said());
        println!("\n{}: without a fault, {}", combination.name, twin.summary());
        for (requirement, fault, reason) in rows {
            proxy.plant(*fault);
            let outcome = probe::run(&combination, &proxy.front, resource.as_deref());
            let (planted, afterwards) = proxy.afterwards();
            println!("{requirement:<36} {}", outcome.summary());
            if outcome.reason.as_deref() != Some(*reason) || !planted || !afterwards.is_empty() {
                failures
                    .push(format!("{requirement}: not {reason}; planted {planted}, then {afterwards:?}\n{outcome:#?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// TLS before anything else: a server of another authority, and one under another name.
#[test]
fn a_server_that_cannot_prove_its_name_is_not_spoken_to() {
    let other = tempfile::tempdir().expect("a folder");
    certificates::make(other.path());
    let theirs = |name: &str| std::fs::read_to_string(other.path().join("certs").join(name)).expect("a file");
    let combination = named(fapi2(), "ES256, rotation");
    for (host, certificate, key, reason) in [
        ("localhost", theirs("server.pem"), theirs("server.key"), "tls.certificate.untrusted"),
        ("127.0.0.2", certificates::text("server.pem"), certificates::text("server.key"), "tls.certificate.mismatch"),
    ] {
        let proxy = Proxy::start(host, &certificate, &key);
        let outcome = probe::run(&combination, &proxy.front, None);
        assert_eq!(outcome.reason.as_deref(), Some(reason), "{outcome:#?}");
        assert_eq!(outcome.stage, "discovery");
    }
}
