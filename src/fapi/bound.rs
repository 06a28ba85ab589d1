//! What we send beyond a plain login: proofs of possession, requests through the browser, claims, encrypted answers.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use josekit::jws::ES256;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::profile::{
    Alg, FAPI1_ADVANCED, FAPI2_MESSAGE_SIGNING, FAPI2_SECURITY, KeyEncryption, OAUTH_PKCE, ResponseForm, Security,
    TokenBinding,
};
use crate::refusal::Refusal;
use crate::testing::{
    ACCESS_TOKEN, CLIENT_ID, INTENT, Play, REDIRECT_URI, Reply, SUBJECT, form, opened, play, start, token_reply,
};
use crate::token::{TokenHint, Tokens};

fn bound() -> Play {
    play(Security { binding: TokenBinding::Dpop, ..FAPI2_SECURITY })
}

/// Header and claims of the proof with a request, checked by the key that it shows.
fn proof(request: &http::Request<Bytes>) -> (Value, Map<String, Value>) {
    let proof = request.headers()["dpop"].to_str().unwrap();
    let header = URL_SAFE_NO_PAD.decode(proof.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    let jwk = josekit::jwk::Jwk::from_map(header["jwk"].as_object().unwrap().clone()).unwrap();
    let verifier = ES256.verifier_from_jwk(&jwk).unwrap();
    let (payload, _) = josekit::jws::deserialize_compact(proof, &verifier).unwrap();
    (header, serde_json::from_slice(&payload).unwrap())
}

/// RFC 7638 §3.
fn thumbprint(jwk: &Value) -> String {
    let text = |name: &str| jwk[name].as_str().unwrap();
    let canonical =
        format!(r#"{{"crv":"{}","kty":"{}","x":"{}","y":"{}"}}"#, text("crv"), text("kty"), text("x"), text("y"));
    URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
}

fn resource(play: &Play, tokens: &Tokens) -> Call<http::Response<Bytes>, Refusal> {
    let request = http::Request::get("https://rs.example:8443/Accounts/1?from=2026#x").body(Bytes::new()).unwrap();
    play.client().resource(request, tokens, &play.world()).unwrap()
}

#[test]
fn every_use_of_a_bound_grant_is_proved_with_its_key_and_no_other() {
    let play = bound();
    let (metadata, tokens) = play.run_with_metadata().unwrap();
    let mut refreshed = token_reply();
    refreshed.body["token_type"] = json!("dpOp");
    let tokens = play.refresh(&metadata, &tokens, refreshed).unwrap();
    let call = resource(&play, &tokens);
    assert_eq!(call.request.headers()["authorization"], format!("DPoP {ACCESS_TOKEN}").as_str());
    play.answer(call, Reply::new(200, json!({}))).unwrap();

    let jkt = play.pushed_parameters()["dpop_jkt"].as_str().unwrap().to_owned();
    let sent = play.sent();
    let proved: Vec<_> = sent.iter().filter(|request| request.headers().contains_key("dpop")).collect();
    assert_eq!(proved.len(), 3, "redemption, refresh, resource");
    let mut seen = BTreeSet::new();
    for request in proved {
        let (header, mut claims) = proof(request);
        assert_eq!((&header["typ"], &header["alg"]), (&json!("dpop+jwt"), &json!("ES256")));
        assert_eq!(header["jwk"].as_object().unwrap().keys().collect::<Vec<_>>(), ["crv", "kty", "x", "y"]);
        assert_eq!(thumbprint(&header["jwk"]), jkt);
        assert!(seen.insert(claims.remove("jti").unwrap().to_string()));
        assert_eq!(claims.remove("iat"), Some(json!(start().as_second())));
        let expected = match request.uri().path() {
            "/token" => json!({ "htm": "POST", "htu": "https://as.example/token" }),
            _ => json!({
                "htm": "GET",
                "htu": "https://rs.example:8443/Accounts/1",
                "ath": URL_SAFE_NO_PAD.encode(digest(&SHA256, ACCESS_TOKEN.as_bytes())),
            }),
        };
        assert_eq!(Value::Object(claims), expected);
    }
}

#[test]
fn two_grants_have_two_keys() {
    let play = bound();
    let metadata = play.discover().unwrap();
    let mut keys = BTreeSet::new();
    for _ in 0..3 {
        play.push(&metadata).unwrap();
        assert!(keys.insert(play.pushed_parameters()["dpop_jkt"].to_string()));
    }
}

/// NQCHAR of RFC 6749 appendix A, as far as it is punctuation.
const ODD_NONCE: &str = "!#$%&'()*+,-./:;<=>?@[]^_`{|}~";

fn challenge(role: &str) -> Reply {
    let mut reply = match role {
        "as" => Reply::new(400, json!({ "error": "use_dpop_nonce" })),
        _ => Reply::new(401, json!({})),
    };
    reply.headers.push(("dpop-nonce", format!("{role}{ODD_NONCE}")));
    if role == "rs" {
        reply.headers.push(("www-authenticate", r#"dPoP error="use_dpop_nonce", algs="ES256""#.to_owned()));
    }
    reply
}

#[test]
fn a_server_that_wants_a_nonce_gets_the_call_afresh_and_once() {
    let play = bound();
    let (metadata, tokens) = play.run_with_metadata().unwrap();
    let client = play.client();
    let mut call = client.refresh(&metadata, &tokens, &play.world()).unwrap();
    let first = call.request.clone();
    let again = call.challenged(&challenge("as").into_response(), &play.world()).unwrap().unwrap();
    let nonce = |request: &http::Request<Bytes>| proof(request).1.get("nonce").cloned();
    assert_eq!((nonce(&first), nonce(&again)), (None, Some(json!(format!("as{ODD_NONCE}")))));
    assert_ne!(proof(&first).1["jti"], proof(&again).1["jti"]);
    let assertion = |request| opened(&form(request)["client_assertion"], Alg::Es256).1["jti"].clone();
    assert_ne!(assertion(&first), assertion(&again), "an assertion is used once");
    assert!(call.challenged(&challenge("as").into_response(), &play.world()).is_none(), "the second answer counts");
    let mut reply = token_reply();
    reply.body["token_type"] = json!("DPoP");
    let tokens = call.read(reply.into_response(), start()).unwrap().granted().unwrap();

    // The nonce is kept for that server in that role.
    let next = client.refresh(&metadata, &tokens, &play.world()).unwrap();
    assert_eq!(nonce(&next.request), Some(json!(format!("as{ODD_NONCE}"))));
    let request = || http::Request::get("https://as.example/accounts").body(Bytes::new()).unwrap();
    let mut call = client.resource(request(), &tokens, &play.world()).unwrap();
    assert_eq!(nonce(&call.request), None);
    let again = call.challenged(&challenge("rs").into_response(), &play.world()).unwrap().unwrap();
    assert_eq!(nonce(&again), Some(json!(format!("rs{ODD_NONCE}"))));
    // Any answer may bring the next one.
    let mut answer = Reply::new(200, json!({}));
    answer.headers.push(("dpop-nonce", "next".to_owned()));
    call.read(answer.into_response(), start()).unwrap();
    let next = client.resource(request(), &tokens, &play.world()).unwrap();
    assert_eq!(nonce(&next.request), Some(json!("next")));
}

#[test]
fn an_answer_that_is_no_challenge_is_not_taken_for_one() {
    let play = bound();
    let (metadata, tokens) = play.run_with_metadata().unwrap();
    let refused = |change: fn(&mut Reply)| {
        let mut reply = challenge("as");
        change(&mut reply);
        let mut call = play.client().refresh(&metadata, &tokens, &play.world()).unwrap();
        call.challenged(&reply.into_response(), &play.world()).is_none()
    };
    assert!(refused(|reply| reply.headers.clear()));
    assert!(refused(|reply| reply.status = 401));
    assert!(refused(|reply| reply.body = json!({ "error": "invalid_grant" })));
    for line in [
        r#"Bearer error="invalid_token""#,
        r#"Bearer error="use_dpop_nonce""#,
        r#"DPoP algs="ES256", Bearer error="use_dpop_nonce""#,
        r#"Bearer realm="a, DPoP error=use_dpop_nonce""#,
        r#"Bearer realm="a\", DPoP error=use_dpop_nonce""#,
        r#"DPoP error_description="use_dpop_nonce""#,
        "DPoP",
        "",
    ] {
        assert!(!is_challenge(&play, &tokens, line), "{line}");
    }
    // Without a bound token nobody answers challenges.
    let plain = crate::testing::play(FAPI2_SECURITY);
    let (metadata, tokens) = plain.run_with_metadata().unwrap();
    let mut call = plain.client().refresh(&metadata, &tokens, &plain.world()).unwrap();
    assert!(call.challenged(&challenge("as").into_response(), &plain.world()).is_none());
    assert!(!call.request.headers().contains_key("dpop"));
}

/// Whether a resource server with this line asks for a nonce.
fn is_challenge(play: &Play, tokens: &Tokens, line: &str) -> bool {
    let mut reply = challenge("rs");
    reply.headers[1].1 = line.to_owned();
    resource(play, tokens).challenged(&reply.into_response(), &play.world()).is_some()
}

/// RFC 9110 §11.6.1: one line may hold the challenges of several schemes.
#[test]
fn a_challenge_is_found_among_those_of_other_schemes() {
    let play = bound();
    let tokens = play.run().unwrap();
    for line in [
        r#"DPoP error="use_dpop_nonce""#,
        r#"dpop error=use_dpop_nonce"#,
        r#"Bearer error="invalid_token", DPoP error="use_dpop_nonce""#,
        r#"Bearer realm="a, b", error="x" , DPoP  algs="ES256 PS256", ERROR = "use_dpop_nonce""#,
        r#"Negotiate, Basic YQ==, DPoP error="use_dpop_nonce", Bearer"#,
        r#"Bearer realm="\"", DPoP error="use_dpop_nonce""#,
    ] {
        assert!(is_challenge(&play, &tokens, line), "{line}");
    }
}

#[test]
fn a_nonce_of_any_sensible_length_is_kept_and_no_other() {
    for (length, kept) in [(512, true), (513, false)] {
        let play = bound();
        let (_, tokens) = play.run_with_metadata().unwrap();
        let client = play.client();
        let request = || http::Request::get("https://rs.example/accounts").body(Bytes::new()).unwrap();
        let mut answer = Reply::new(200, json!({}));
        answer.headers.push(("dpop-nonce", "n".repeat(length)));
        let call = client.resource(request(), &tokens, &play.world()).unwrap();
        call.read(answer.into_response(), start()).unwrap();
        let next = client.resource(request(), &tokens, &play.world()).unwrap();
        assert_eq!(proof(&next.request).1.contains_key("nonce"), kept, "{length}");
    }
}

#[test]
fn a_token_of_our_own_has_a_key_of_its_own() {
    let play = bound();
    let metadata = play.discover().unwrap();
    let call = play.client().client_credentials(&metadata, "accounts", &play.world()).unwrap();
    let key = proof(&call.request).0["jwk"].clone();
    let mut reply = token_reply();
    reply.body["token_type"] = json!("DPoP");
    reply.body["scope"] = json!("accounts");
    let tokens = Tokens::from_bytes(&play.answer(call, reply).unwrap().to_bytes()).unwrap();
    assert_eq!(proof(&resource(&play, &tokens).request).0["jwk"], key);
}

#[test]
fn without_a_key_the_token_is_shown_as_bearer() {
    let play = play(FAPI2_SECURITY);
    let tokens = play.run().unwrap();
    let call = resource(&play, &tokens);
    assert_eq!(call.request.headers()["authorization"], format!("Bearer {ACCESS_TOKEN}").as_str());
    assert!(!format!("{:?}", call.request.headers()).contains(ACCESS_TOKEN), "the header is marked as a secret");
    assert_eq!(play.answer(call, Reply::new(404, json!({}))).unwrap().status(), 404);
}

fn query(play: &Play) -> BTreeMap<String, String> {
    play.redirect().query_pairs().into_owned().collect()
}

#[test]
fn a_request_by_value_is_signed_and_repeats_only_what_oauth_wants_outside() {
    let play = play(FAPI1_ADVANCED);
    play.run().unwrap();
    let outside = query(&play);
    assert_eq!(outside.keys().collect::<Vec<_>>(), ["client_id", "request", "response_type", "scope"]);
    let inside = play.pushed_parameters();
    for name in ["client_id", "response_type", "scope"] {
        assert_eq!(inside[name], outside[name].as_str(), "{name}");
    }
    assert_eq!(inside["response_type"], "code id_token");
    assert!(inside["nonce"].as_str().is_some_and(|nonce| nonce.len() == 43));
    assert!(!inside.contains_key("response_mode"));
    for name in ["iss", "aud", "exp", "nbf", "iat", "jti", "state", "redirect_uri", "code_challenge"] {
        assert!(inside.contains_key(name), "{name}");
    }
}

#[test]
fn without_fapi_the_parameters_stand_in_the_address() {
    let play = play(OAUTH_PKCE);
    play.run().unwrap();
    let outside = query(&play);
    assert_eq!(outside["client_id"], CLIENT_ID);
    assert_eq!(outside["redirect_uri"], REDIRECT_URI);
    assert_eq!((outside["response_type"].as_str(), outside["code_challenge_method"].as_str()), ("code", "S256"));
    assert!(!outside.contains_key("request"));
}

#[test]
fn each_form_of_response_is_asked_for_by_its_mode() {
    for (response, mode) in [
        (ResponseForm::Query, None),
        (ResponseForm::FormPost, Some("form_post")),
        (ResponseForm::Jarm, Some("jwt")),
        (ResponseForm::Hybrid, None),
        (ResponseForm::HybridFormPost, Some("form_post")),
    ] {
        let play = play(Security { response, ..FAPI2_MESSAGE_SIGNING });
        play.run().unwrap();
        assert_eq!(play.pushed_parameters().get("response_mode").and_then(Value::as_str), mode);
    }
}

#[test]
fn what_is_to_be_authorised_and_how_strongly_is_asked_for_in_claims() {
    let mut play = play(Security {
        intent_claim: Some("openbanking_intent_id".to_owned()),
        acr_values: Cow::Owned(vec!["urn:openbanking:psd2:sca".to_owned(), "urn:openbanking:psd2:ca".to_owned()]),
        ..FAPI1_ADVANCED
    });
    play.intent = Some(INTENT.to_owned());
    let tokens = play.run().unwrap();
    assert_eq!(tokens.identity.unwrap().acr.as_deref(), Some("urn:openbanking:psd2:sca"));
    assert_eq!(
        play.pushed_parameters()["claims"],
        json!({ "id_token": {
            "openbanking_intent_id": { "essential": true, "value": INTENT },
            "acr": { "essential": true, "values": ["urn:openbanking:psd2:sca", "urn:openbanking:psd2:ca"] },
        } })
    );
}

#[test]
fn what_the_server_encrypts_is_opened_and_what_it_does_not_is_taken_too() {
    for alg in KeyEncryption::ALL {
        for security in [FAPI1_ADVANCED, FAPI2_MESSAGE_SIGNING] {
            let mut closed = play(security.clone());
            closed.encryption = Some(*alg);
            assert_eq!(closed.run().unwrap().identity.unwrap().subject, SUBJECT);
            let mut open = play(security).front(|jwt| jwt.envelope = None).id_token(|jwt| jwt.envelope = None);
            open.encryption = Some(*alg);
            open.run().unwrap();
        }
    }
    let mut other_content =
        play(FAPI1_ADVANCED).front(|jwt| jwt.envelope.as_mut().unwrap().header.set_content_encryption("A128CBC-HS256"));
    other_content.encryption = Some(KeyEncryption::RsaOaep256);
    other_content.run().unwrap();
}

#[test]
fn a_key_to_decrypt_with_is_published_for_that_alone() {
    use crate::keys::{Decrypter, KeyError, PemDecrypter};
    let jwk = crate::testing::decrypter(KeyEncryption::RsaOaep256).public_jwk();
    let members: BTreeSet<_> = jwk.keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["alg", "e", "kid", "kty", "n", "use"]));
    assert_eq!((&jwk["use"], &jwk["alg"], &jwk["kid"]), (&json!("enc"), &json!("RSA-OAEP-256"), &json!("ours-enc")));
    let ec = crate::testing::pem(Alg::Es256);
    let refused = PemDecrypter::from_pem(KeyEncryption::RsaOaep, "k", ec).err();
    assert_eq!(refused, Some(KeyError::NotRsa));
    let rsa = crate::testing::pem(Alg::Ps256);
    assert_eq!(PemDecrypter::from_pem(KeyEncryption::RsaOaep, "", rsa).err(), Some(KeyError::NoKeyId));
}

#[test]
fn granted_details_may_be_less_and_fuller_than_what_was_asked_for() {
    for granted in [json!([]), json!([{ "type": "ais", "accounts": ["1"] }, { "type": "ais" }])] {
        let expected = Some(granted.clone());
        let mut play = play(FAPI2_SECURITY).token(move |reply| reply.body["authorization_details"] = granted.clone());
        play.details = Some(json!([{ "type": "ais" }, { "type": "other" }]));
        assert_eq!(play.run().unwrap().authorization_details, expected);
    }
}

#[test]
fn a_server_is_asked_what_it_knows_of_a_token() {
    let play = play(FAPI2_SECURITY);
    let (metadata, tokens) = play.run_with_metadata().unwrap();
    let ask = |body: Value| {
        let call = play.client().introspect(&metadata, &tokens, TokenHint::AccessToken, &play.world());
        play.answer(call.unwrap(), Reply::new(200, body)).unwrap()
    };
    let known = ask(json!({ "active": true, "scope": "accounts", "exp": start().as_second() + 60, "iss": 7 }));
    assert_eq!((known.active, known.scope.as_deref()), (true, Some("accounts")));
    assert_eq!(known.expires_at, Some(start() + jiff::SignedDuration::from_secs(60)));
    let sent = play.sent().pop().unwrap();
    assert_eq!(sent.uri(), "https://mtls.as.example/introspect");
    let form = form(&sent);
    assert_eq!((form["token"].as_str(), form["token_type_hint"].as_str()), (ACCESS_TOKEN, "access_token"));
    assert!(form.contains_key("client_assertion"));
    assert!(!ask(json!({ "active": false, "scope": null })).active);
}
