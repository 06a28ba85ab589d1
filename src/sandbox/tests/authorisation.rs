//! What the authorisation server refuses, one wrong thing at a time.

use std::sync::Arc;

use serde_json::{Value, json};

use super::harness::{
    CLIENT, OTHER_CLIENT, REDIRECT, Street, VERIFIER, consent_body, headers, json_of, obwac_subject, qwac_subject,
};
use crate::{ClientAuthentication, Decision};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// `Null` takes the claim away.
fn changed(mut claims: Value, name: &str, value: Value) -> Value {
    match (value, claims.as_object_mut()) {
        (Value::Null, Some(map)) => {
            map.remove(name);
        }
        (value, Some(map)) => {
            map.insert(name.to_owned(), value);
        }
        (_, None) => {}
    }
    claims
}

#[tokio::test]
async fn a_request_object_with_one_wrong_claim_is_refused_by_its_name() {
    let street = Street::open().await;
    let tpp = &street.tpp;
    let consent = tpp.open_consent(consent_body()).await;
    let foreign = street.other.open_consent(consent_body()).await;
    let now = tpp.now();
    let cases = [
        ("iss", json!("someone"), "iss.mismatch"),
        ("iss", Value::Null, "iss.missing"),
        ("aud", json!("https://elsewhere.example"), "aud.mismatch"),
        ("aud", json!(["https://elsewhere.example"]), "aud.mismatch"),
        ("aud", Value::Null, "aud.missing"),
        ("client_id", json!(OTHER_CLIENT), "client_id.mismatch"),
        ("client_id", Value::Null, "client_id.missing"),
        ("sub", json!(CLIENT), "sub.unexpected"),
        ("exp", json!(now), "exp.expired"),
        ("exp", json!(now + 3_600), "exp.invalid"),
        ("exp", json!("soon"), "exp.invalid"),
        ("exp", Value::Null, "exp.missing"),
        ("nbf", json!(now - 3_601), "nbf.expired"),
        ("nbf", json!(now + 11), "nbf.invalid"),
        ("nbf", Value::Null, "nbf.missing"),
        ("iat", json!(now + 11), "iat.invalid"),
        ("jti", Value::Null, "jti.missing"),
        ("jti", json!(7), "jti.invalid"),
        ("request", json!("x"), "request.unexpected"),
        ("request_uri", json!("x"), "request_uri.unexpected"),
        ("response_type", json!("code id_token"), "response_type.mismatch"),
        ("redirect_uri", json!(format!("{REDIRECT}/")), "redirect_uri.mismatch"),
        ("redirect_uri", Value::Null, "redirect_uri.missing"),
        ("response_mode", json!("fragment"), "response_mode.invalid"),
        ("code_challenge_method", json!("plain"), "code_challenge_method.mismatch"),
        ("code_challenge_method", Value::Null, "code_challenge_method.missing"),
        ("code_challenge", json!("short"), "code_challenge.invalid"),
        ("code_challenge", Value::Null, "code_challenge.missing"),
        ("nonce", Value::Null, "nonce.missing"),
        ("scope", json!("openid"), "scope.missing"),
        ("scope", json!("openid payments AIS:x"), "scope.invalid"),
        ("scope", json!("AIS:unknown"), "scope.mismatch"),
        ("scope", json!(format!("AIS:{foreign}")), "scope.mismatch"),
    ];
    for (claim, value, why) in cases {
        let answer = tpp.push(&changed(tpp.request(&consent), claim, value)).await;
        assert_eq!((answer.status().as_u16(), street.why()), (400, format!("request_object.{why}")), "{claim}");
    }
    assert_eq!(tpp.push(&tpp.request(&consent)).await.status(), 201);
    let listed = changed(tpp.request(&consent), "aud", json!([street.bank.issuer]));
    assert_eq!(tpp.push(&listed).await.status(), 201);
}

#[tokio::test]
async fn a_request_object_must_be_typed_signed_new_and_alone() {
    let street = Street::open().await;
    let tpp = &street.tpp;
    let consent = tpp.open_consent(consent_body()).await;
    let good = || tpp.request(&consent);
    let typed = Some("oauth-authz-req+jwt");

    let repeated = tpp.sign(typed, &good());
    assert_eq!(tpp.form("/par", &[("request", &repeated)]).await.status(), 201);
    let mut forged = tpp.sign(typed, &good());
    forged.truncate(forged.len() - 8);
    forged.push_str("AAAAAAAA");
    let unsigned = {
        let jws = tpp.sign(typed, &good());
        let payload = jws.split('.').nth(1).unwrap();
        // {"alg":"none","kid":"one"}
        format!("eyJhbGciOiJub25lIiwia2lkIjoib25lIn0.{payload}.")
    };
    let by_another = street.other.sign(typed, &good());
    let cases: [(Vec<(&str, &str)>, &str); 9] = [
        (vec![("request", &repeated)], "request_object.jti.replayed"),
        (vec![("request", &forged)], "request_object.signature.invalid"),
        (vec![("request", &unsigned)], "request_object.alg.mismatch"),
        (vec![("request", &by_another)], "request_object.kid.mismatch"),
        (vec![("request", "not.a.jws")], "request_object.invalid"),
        (vec![], "request_object.missing"),
        (vec![("request", "x"), ("state", "outside")], "request.parameter.outside"),
        (vec![("request", "x"), ("request_uri", "urn:x")], "request.request_uri.unexpected"),
        (vec![("request", "x"), ("request", "y")], "request.parameter.duplicate"),
    ];
    for (form, why) in cases {
        let answer = tpp.form("/par", &form).await;
        assert_eq!((answer.status().as_u16(), street.why().as_str()), (400, why));
    }
    for (typ, why) in [(None, "request_object.typ.missing"), (Some("JWT"), "request_object.typ.mismatch")] {
        let answer = tpp.form("/par", &[("request", &tpp.sign(typ, &good()))]).await;
        assert_eq!((answer.status().as_u16(), street.why().as_str()), (400, why));
    }
}

#[tokio::test]
async fn a_client_assertion_with_one_wrong_claim_is_refused_by_its_name() {
    let street = Street::open().await;
    let tpp = &street.tpp;
    let now = tpp.now();
    let try_with = async |assertion: &str, kind: &str| {
        let grant = [("grant_type", "client_credentials"), ("scope", "ais")];
        let mut form = grant.to_vec();
        form.extend([("client_id", CLIENT), ("client_assertion_type", kind), ("client_assertion", assertion)]);
        tpp.bare_form("/token", &form).await.status().as_u16()
    };
    let cases = [
        ("iss", json!(OTHER_CLIENT), "iss.mismatch"),
        ("sub", json!(OTHER_CLIENT), "sub.mismatch"),
        ("sub", Value::Null, "sub.missing"),
        ("aud", json!(format!("{}/token", street.bank.issuer)), "aud.mismatch"),
        ("aud", json!([street.bank.issuer]), "aud.invalid"),
        ("aud", Value::Null, "aud.missing"),
        ("exp", json!(now), "exp.expired"),
        ("exp", json!(now + 301), "exp.invalid"),
        ("exp", Value::Null, "exp.missing"),
        ("iat", json!(now + 11), "iat.invalid"),
        ("iat", Value::Null, "iat.missing"),
        ("nbf", json!(now + 11), "nbf.invalid"),
        ("jti", Value::Null, "jti.missing"),
    ];
    for (claim, value, why) in cases {
        let assertion = tpp.sign(None, &changed(tpp.assertion_claims(), claim, value));
        assert_eq!(try_with(&assertion, ASSERTION_TYPE).await, 401, "{claim}");
        assert_eq!(street.why(), format!("client_assertion.{why}"));
    }
    let once = tpp.sign(None, &tpp.assertion_claims());
    assert_eq!(try_with(&once, "jwt").await, 401);
    assert_eq!(street.why(), "client_assertion_type.mismatch");
    assert_eq!(try_with(&once, ASSERTION_TYPE).await, 200);
    assert_eq!(try_with(&once, ASSERTION_TYPE).await, 401);
    assert_eq!(street.why(), "client_assertion.jti.replayed");

    let bare = [("grant_type", "client_credentials"), ("scope", "ais")];
    for (extra, why) in [
        (None, "client.missing"),
        (Some(("client_id", "nobody")), "client.unknown"),
        (Some(("client_id", CLIENT)), "client_assertion.missing"),
    ] {
        let form: Vec<_> = bare.into_iter().chain(extra).collect();
        assert_eq!(tpp.bare_form("/token", &form).await.status(), 401);
        assert_eq!(street.why(), why);
    }
}

#[tokio::test]
async fn a_client_may_be_known_by_its_certificate() {
    let street = Street::open_with(|config| {
        config.clients[0].authentication = ClientAuthentication::TlsClientAuth { subject_dn: qwac_subject() };
        // This one is registered with the certificate of the first, and shows its own.
        config.clients[1].authentication = ClientAuthentication::TlsClientAuth { subject_dn: qwac_subject() };
    })
    .await;
    assert_ne!(obwac_subject(), qwac_subject());
    let connected = street.connect().await;
    assert_eq!(street.tpp.get("/v1/accounts", &headers(connected.access(), &connected.consent)).await.status(), 200);

    let grant = [("grant_type", "client_credentials"), ("scope", "ais")];
    for (extra, why) in [
        (vec![("client_id", OTHER_CLIENT)], "client.certificate.mismatch"),
        (vec![("client_id", OTHER_CLIENT), ("client_assertion", "x.y.z")], "client_assertion.unexpected"),
    ] {
        let form: Vec<_> = grant.into_iter().chain(extra).collect();
        assert_eq!(street.other.bare_form("/token", &form).await.status(), 401);
        assert_eq!(street.why(), why);
    }
}

#[tokio::test]
async fn a_code_is_good_once_for_its_client_its_request_and_a_minute() {
    let street = Street::open().await;
    let tpp = &street.tpp;
    let code = async || {
        let consent = tpp.open_consent(consent_body()).await;
        street.sign_in(tpp, &consent, &Decision::ApproveAll).await["code"].clone()
    };
    assert_eq!(street.other.redeem(&code().await).await.status(), 400);
    assert_eq!(street.why(), "code.client.mismatch");
    assert_eq!(tpp.redeem_with(&code().await, "https://tpp.example/", VERIFIER).await.status(), 400);
    assert_eq!(street.why(), "code.redirect_uri.mismatch");
    let spent = code().await;
    assert_eq!(tpp.redeem_with(&spent, REDIRECT, &VERIFIER.replace('a', "b")).await.status(), 400);
    assert_eq!(street.why(), "code.code_verifier.mismatch");
    assert_eq!(tpp.redeem(&spent).await.status(), 400);
    assert_eq!(street.why(), "code.replayed");
    assert_eq!(tpp.redeem("unknown").await.status(), 400);
    assert_eq!(street.why(), "code.unknown");
    let late = code().await;
    street.clock.forward(60);
    assert_eq!(tpp.redeem(&late).await.status(), 400);
    assert_eq!(street.why(), "code.expired");
}

#[tokio::test]
async fn a_second_use_of_a_code_takes_its_tokens_back() {
    let street = Street::open().await;
    let tpp = &street.tpp;
    let consent = tpp.open_consent(consent_body()).await;
    let code = street.sign_in(tpp, &consent, &Decision::ApproveAll).await["code"].clone();
    let tokens = json_of(&tpp.redeem(&code).await);
    let call = headers(tokens["access_token"].as_str().unwrap(), &consent);
    assert_eq!(tpp.get("/v1/accounts", &call).await.status(), 200);
    assert_eq!(tpp.redeem(&code).await.status(), 400);
    assert_eq!(tpp.get("/v1/accounts", &call).await.status(), 401);
    assert_eq!(tpp.refresh(tokens["refresh_token"].as_str().unwrap()).await.status(), 400);
    assert_eq!(street.why(), "refresh_token.unknown");
}

#[tokio::test]
async fn revoked_tokens_open_nothing() {
    let street = Street::open().await;
    let tpp = &street.tpp;
    let connected = street.connect().await;
    let call = headers(connected.access(), &connected.consent);
    assert_eq!(street.other.form("/revoke", &[("token", connected.refresh())]).await.status(), 400);
    assert_eq!(street.why(), "token.client.mismatch");
    assert_eq!(tpp.form("/revoke", &[("token", "unknown")]).await.status(), 200);
    assert_eq!(tpp.get("/v1/accounts", &call).await.status(), 200);
    assert_eq!(tpp.form("/revoke", &[("token", connected.access())]).await.status(), 200);
    assert_eq!(tpp.get("/v1/accounts", &call).await.status(), 401);
    let again = json_of(&tpp.refresh(connected.refresh()).await);
    let call = headers(again["access_token"].as_str().unwrap(), &connected.consent);
    assert_eq!(tpp.form("/revoke", &[("token", connected.refresh())]).await.status(), 200);
    assert_eq!(tpp.get("/v1/accounts", &call).await.status(), 401);
    assert_eq!(tpp.refresh(connected.refresh()).await.status(), 400);
}

#[tokio::test]
async fn grants_are_what_they_are() {
    let street = Street::open().await;
    let tpp = &street.tpp;
    for (form, error) in [
        (vec![("grant_type", "password")], "unsupported_grant_type"),
        (vec![("scope", "ais")], "invalid_request"),
        (vec![("grant_type", "client_credentials"), ("scope", "pis")], "invalid_scope"),
        (vec![("grant_type", "refresh_token")], "invalid_request"),
    ] {
        let answer = tpp.form("/token", &form).await;
        assert_eq!((answer.status().as_u16(), json_of(&answer)["error"].as_str()), (400, Some(error)));
        assert_eq!(answer.headers()["cache-control"], "no-store");
    }
}

#[tokio::test]
async fn a_certificate_is_needed_to_be_heard_at_all() {
    let street = Street::open().await;
    let anonymous = super::harness::http_client(None, Arc::clone(&street.clock));
    let request = axum::http::Request::get(format!("{}/jwks", street.bank.api_base)).body(Default::default()).unwrap();
    assert!(anonymous.send(request).await.is_err());
}
