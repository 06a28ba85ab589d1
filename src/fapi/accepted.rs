//! What must go through, and what we send while it does.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use josekit::jws::ES256;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::keys::{KEYS_MAX, KeySet, Signer};
use crate::login::{Callback, PendingLogin};
use crate::metadata::{self, Document, Environment};
use crate::profile::{
    Alg, Audience, ClientAuth, FAPI1_ADVANCED, FAPI2_MESSAGE_SIGNING, FAPI2_SECURITY, IssuerParameter, KeyEncryption,
    OAUTH_PKCE, RequestForm, ResponseForm, Security, TokenBinding,
};
use crate::testing::{
    ACCESS_TOKEN, CLIENT_ID, ISSUER, REDIRECT_URI, SUBJECT, drop_parameter, empty_reply, form, opened, play, signer,
    start, token_reply,
};
use crate::token::{TokenHint, Tokens};

#[test]
fn a_login_goes_through_with_every_profile_algorithm_and_way_to_authenticate() {
    let fapi1_jarm = Security { response: ResponseForm::Jarm, ..FAPI1_ADVANCED };
    let dpop = Security { binding: TokenBinding::Dpop, ..FAPI2_SECURITY };
    for profile in [FAPI2_SECURITY, FAPI2_MESSAGE_SIGNING, FAPI1_ADVANCED, fapi1_jarm, dpop, OAUTH_PKCE] {
        for alg in profile.algs.iter() {
            for client_auth in ClientAuth::ALL {
                let mut play = play(Security { client_auth: *client_auth, ..profile.clone() });
                play.alg = *alg;
                play.signer = Arc::new(signer(*alg, "ours"));
                let tokens = play.run().unwrap();
                let identity = tokens.identity.unwrap();
                assert_eq!(tokens.access_token.expose_secret(), ACCESS_TOKEN);
                assert_eq!(tokens.expires_at, Some(start() + SignedDuration::from_secs(300)));
                assert_eq!(
                    (identity.subject.as_str(), identity.acr.as_deref()),
                    (SUBJECT, Some("urn:openbanking:psd2:sca"))
                );
                assert_eq!(identity.authenticated_at, Some(start() + SignedDuration::from_secs(100)));
            }
        }
    }
}

#[test]
fn variations_that_the_standards_allow_are_accepted() {
    let plain = || play(FAPI2_SECURITY);
    let mut loopback =
        plain().metadata(|reply| reply.body["authorization_endpoint"] = json!("http://localhost:8080/a"));
    loopback.environment = Environment::Development;
    let mut in_the_last_second = plain();
    in_the_last_second.callback_after = SignedDuration::from_secs(in_the_last_second.security.login_seconds - 1);
    let ed = |header: &'static str| {
        let mut play = plain().id_token(move |jwt| jwt.header["alg"] = json!(header));
        play.alg = Alg::EdDsa;
        play
    };
    let silent = Security { issuer_parameter: IssuerParameter::IfAnnounced, ..FAPI2_SECURITY };
    let signed = || play(FAPI2_MESSAGE_SIGNING);
    // When the browser is back; tokens are checked a second later.
    let called = || start().as_second() + 120;
    let cases = [
        ("one audience in a list", plain().id_token(|jwt| jwt.claims["aud"] = json!([CLIENT_ID]))),
        ("no at_hash", plain().id_token(|jwt| jwt.without("at_hash"))),
        ("azp is us", plain().id_token(|jwt| jwt.claims["azp"] = json!(CLIENT_ID))),
        ("oldest iat", plain().id_token(|jwt| jwt.claims["iat"] = json!(start().as_second() + 121 - 600))),
        ("newest iat", plain().id_token(|jwt| jwt.claims["iat"] = json!(start().as_second() + 121 + 60))),
        ("exp in a second", plain().id_token(|jwt| jwt.claims["exp"] = json!(start().as_second() + 122))),
        ("no kid", plain().id_token(|jwt| jwt.header = json!({ "alg": "ES256" }))),
        ("a typ", plain().id_token(|jwt| jwt.header["typ"] = json!("JWT"))),
        ("EdDSA", ed("EdDSA")),
        ("Ed25519", ed("Ed25519")),
        ("JARM for a list", play(FAPI2_MESSAGE_SIGNING).jarm(|jwt| jwt.claims["aud"] = json!(["tpp-2", CLIENT_ID]))),
        (
            "JARM with a fraction",
            play(FAPI2_MESSAGE_SIGNING).jarm(|jwt| jwt.claims["exp"] = json!(start().as_second() as f64 + 600.5)),
        ),
        (
            "JARM of eleven minutes, by another clock",
            signed().jarm(move |jwt| jwt.claims["exp"] = json!(called() + 660)),
        ),
        ("JARM with members of nothing", signed().jarm(|jwt| jwt.claims["error"] = Value::Null)),
        ("JARM by another clock", signed().jarm(move |jwt| jwt.claims["nbf"] = json!(called() + 60))),
        ("ID token by another clock", plain().id_token(move |jwt| jwt.claims["nbf"] = json!(called() + 61))),
        ("nbf of nothing", plain().id_token(|jwt| jwt.claims["nbf"] = Value::Null)),
        ("longest subject", plain().id_token(|jwt| jwt.claims["sub"] = json!("x y".repeat(85)))),
        ("a float of seconds", plain().token(|reply| reply.body["expires_in"] = json!(300.0))),
        ("a float of seconds for the request", plain().par(|reply| reply.body["expires_in"] = json!(60.0))),
        ("odd case", plain().token(|reply| reply.body["token_type"] = json!("bEARER"))),
        ("request_uri for ten minutes", plain().par(|reply| reply.body["expires_in"] = json!(600))),
        (
            "few metadata",
            plain().metadata(|reply| {
                reply.body.as_object_mut().unwrap().retain(|name, _| !name.ends_with("_supported"));
            }),
        ),
        (
            "metadata of nothing",
            play(OAUTH_PKCE).metadata(|reply| {
                reply.body["mtls_endpoint_aliases"] = Value::Null;
                reply.body["authorization_response_iss_parameter_supported"] = Value::Null;
            }),
        ),
        (
            "unknown algorithms beside ours",
            plain().metadata(|reply| {
                reply.body["id_token_signing_alg_values_supported"] = json!(["RS256", "ML-DSA-44", "ES256"]);
            }),
        ),
        ("unknown parameters", plain().callback(|query| query.push(("session_state".to_owned(), "x".to_owned())))),
        (
            "iss neither announced nor there",
            play(silent)
                .metadata(|reply| reply.without("authorization_response_iss_parameter_supported"))
                .callback(|query| drop_parameter(query, "iss")),
        ),
        (
            "no iss, as before there was one",
            play(Security { response: ResponseForm::Query, ..FAPI1_ADVANCED })
                .metadata(|reply| reply.without("authorization_response_iss_parameter_supported"))
                .callback(|query| drop_parameter(query, "iss")),
        ),
        ("an ID token in place of iss", play(FAPI1_ADVANCED).callback(|query| drop_parameter(query, "iss"))),
        ("http on loopback for the browser", loopback),
        ("last second", in_the_last_second),
    ];
    for (name, play) in cases {
        assert!(play.run().is_ok(), "{name}: {:?}", play.run());
    }
}

#[test]
fn silence_about_scope_and_expiry_is_understood() {
    let mut play = play(FAPI2_SECURITY).token(|reply| {
        reply.without("scope");
        reply.without("expires_in");
        reply.body["refresh_token"] = Value::Null;
        reply.body["authorization_details"] = json!([{ "type": "account_information" }]);
    });
    play.details = Some(json!([{ "type": "account_information" }]));
    let tokens = play.run().unwrap();
    assert_eq!((tokens.scope.as_str(), tokens.expires_at), ("openid accounts", None));
    assert!(tokens.refresh_token.is_none());
    assert_eq!(tokens.authorization_details, Some(json!([{ "type": "account_information" }])));
}

/// RFC 6749 §6: a refresh may ask for less than the grant has, and later for all of it again.
#[test]
fn a_narrower_token_does_not_make_the_grant_narrower() {
    let play = play(FAPI2_SECURITY);
    let (metadata, mut tokens) = play.run_with_metadata().unwrap();
    for scope in ["openid", "openid accounts", "accounts"] {
        let mut reply = token_reply();
        reply.body["scope"] = json!(scope);
        let stored = Tokens::from_bytes(&tokens.to_bytes()).unwrap();
        tokens = play.refresh(&metadata, &stored, reply).unwrap();
        assert_eq!(tokens.scope, scope);
    }
}

/// A login is looked up by its state before anything is believed, in whatever form the state comes.
#[test]
fn the_state_is_found_in_every_form_of_answer() {
    let jarm = Security { response: ResponseForm::Jarm, ..FAPI2_SECURITY };
    for (security, encryption) in
        [(FAPI2_SECURITY, None), (jarm.clone(), None), (jarm, Some(KeyEncryption::RsaOaep256))]
    {
        let mut play = play(security);
        play.encryption = encryption;
        let metadata = play.discover().unwrap();
        let login = play.push(&metadata).unwrap().login;
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(play.right_answer()).finish();
        let callback = Callback::parse(&query).unwrap();
        assert_eq!(callback.state_tag(&play.client()), Some(login.state_tag()), "{encryption:?}");
    }
}

#[test]
fn a_member_that_is_null_is_not_there() {
    let tokens = play(FAPI2_SECURITY).token(|reply| reply.body["expires_in"] = Value::Null).run().unwrap();
    assert_eq!(tokens.expires_at, None);
}

#[test]
fn without_openid_neither_keys_nor_an_id_token_are_needed() {
    let mut play = play(FAPI2_SECURITY).metadata(|reply| reply.without("jwks_uri")).token(|reply| {
        reply.body["id_token"] = json!("whatever");
    });
    play.scope = "accounts".to_owned();
    let metadata = play.discover().unwrap();
    let login = play.push(&metadata).unwrap().login;
    assert!(!play.pushed_parameters().contains_key("nonce"));
    let code = play.come_back(login, &KeySet::empty()).unwrap();
    let tokens = play.redeem(&metadata, code).unwrap().check(&KeySet::empty(), start()).unwrap();
    assert!(tokens.identity.is_none());
}

#[test]
fn a_new_key_is_found_by_fetching_the_keys_once_more() {
    let play = play(FAPI2_SECURITY);
    let metadata = play.discover().unwrap();
    let keys = play.keys(&metadata).unwrap();
    let login = play.push(&metadata).unwrap().login;
    let code = play.come_back(login, &keys).unwrap();
    let redeemed = play.redeem(&metadata, code).unwrap();
    assert_eq!(redeemed.check(&KeySet::empty(), start()).unwrap_err().code, "id_token.kid.untrusted");
    assert!(redeemed.check(&keys, start() + SignedDuration::from_secs(121)).is_ok());
}

#[test]
fn the_browser_carries_the_client_id_and_the_request_uri_and_nothing_else() {
    let play = play(FAPI2_MESSAGE_SIGNING)
        .metadata(|reply| reply.body["authorization_endpoint"] = json!("https://as.example/authorize?brand=a%20b"));
    let pushed = play.push(&play.discover().unwrap()).unwrap();
    let query: Vec<(String, String)> = pushed.redirect.query_pairs().into_owned().collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        query,
        [
            pair("brand", "a b"),
            pair("client_id", CLIENT_ID),
            pair("request_uri", "urn:ietf:params:oauth:request_uri:abc+/="),
        ]
    );
    assert_eq!(pushed.redirect_until, start() + SignedDuration::from_secs(60));
    assert_eq!(pushed.login.issuer(), ISSUER);
}

#[test]
fn a_plain_request_is_pushed_as_form_parameters() {
    let mut play = play(FAPI2_SECURITY);
    play.details = Some(json!([{ "type": "account_information" }]));
    play.push(&play.discover().unwrap()).unwrap();
    let sent = play.sent().pop().unwrap();
    assert_eq!(sent.uri(), "https://mtls.as.example/par");
    assert_eq!(sent.method(), http::Method::POST);
    assert_eq!(sent.headers()["content-type"], "application/x-www-form-urlencoded");
    let mut form = form(&sent);
    for (name, length) in [("state", 43), ("nonce", 43), ("code_challenge", 43)] {
        assert_eq!(form.remove(name).map(|value| value.len()), Some(length), "{name}");
    }
    form.remove("client_assertion").unwrap();
    let rest: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        rest,
        [
            ("authorization_details", r#"[{"type":"account_information"}]"#),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_id", CLIENT_ID),
            ("code_challenge_method", "S256"),
            ("redirect_uri", REDIRECT_URI),
            ("response_type", "code"),
            ("scope", "openid accounts"),
        ]
    );
}

#[test]
fn a_signed_request_is_one_object_with_everything_inside() {
    let mut play = play(FAPI2_MESSAGE_SIGNING);
    play.details = Some(json!([{ "type": "account_information" }]));
    play.push(&play.discover().unwrap()).unwrap();
    let form = form(&play.sent().pop().unwrap());
    assert_eq!(form.keys().collect::<Vec<_>>(), ["client_assertion", "client_assertion_type", "request"]);
    let (header, mut claims) = opened(&form["request"], Alg::Es256);
    assert_eq!(header, json!({ "alg": "ES256", "kid": "ours", "typ": "oauth-authz-req+jwt" }));
    for name in ["state", "nonce", "code_challenge", "jti"] {
        assert!(claims.remove(name).and_then(|value| value.as_str().map(str::len)).unwrap() >= 22, "{name}");
    }
    let now = start().as_second();
    assert_eq!(
        Value::Object(claims),
        json!({
            "iss": CLIENT_ID,
            "aud": ISSUER,
            "iat": now,
            "nbf": now - 10,
            "exp": now + 300,
            "client_id": CLIENT_ID,
            "response_type": "code",
            "response_mode": "jwt",
            "redirect_uri": REDIRECT_URI,
            "scope": "openid accounts",
            "code_challenge_method": "S256",
            "authorization_details": [{ "type": "account_information" }],
        })
    );
}

#[test]
fn signed_requests_and_plain_responses_go_together() {
    let play = play(Security { response: ResponseForm::Query, ..FAPI2_MESSAGE_SIGNING });
    play.run().unwrap();
    assert!(!play.pushed_parameters().contains_key("response_mode"));
}

#[test]
fn an_assertion_names_the_issuer_and_is_never_repeated() {
    let play = play(FAPI2_SECURITY);
    let (metadata, tokens) = play.run_with_metadata().unwrap();
    for _ in 0..2 {
        play.refresh(&metadata, &tokens, token_reply()).unwrap();
    }
    let call = play.client().revoke(&metadata, &tokens, TokenHint::AccessToken, &play.world());
    play.answer(call.unwrap(), empty_reply(200)).unwrap();
    let posts: Vec<_> = play.sent().into_iter().filter(|request| request.method() == http::Method::POST).collect();
    let mut seen = BTreeSet::new();
    for post in &posts {
        let (header, mut claims) = opened(&form(post)["client_assertion"], Alg::Es256);
        assert_eq!(header, json!({ "alg": "ES256", "kid": "ours" }));
        assert!(seen.insert(claims.remove("jti").unwrap().to_string()));
        let now = start().as_second();
        assert_eq!(
            Value::Object(claims),
            json!({
                "iss": CLIENT_ID, "sub": CLIENT_ID, "aud": ISSUER, "iat": now, "nbf": now - 10, "exp": now + 60,
            })
        );
    }
    assert_eq!(seen.len(), 5);
}

#[test]
fn an_older_server_may_want_its_token_endpoint_as_audience() {
    let play = play(Security { client_assertion_audience: Audience::TokenEndpoint, ..FAPI2_SECURITY });
    play.push(&play.discover().unwrap()).unwrap();
    let assertion = form(&play.sent().pop().unwrap())["client_assertion"].clone();
    assert_eq!(opened(&assertion, Alg::Es256).1["aud"], "https://as.example/token");
}

#[test]
fn with_a_certificate_the_client_id_is_in_the_body_and_no_assertion() {
    let ways = [ClientAuth::TlsClientAuth, ClientAuth::SelfSignedTlsClientAuth];
    for (client_auth, request) in ways.iter().flat_map(|way| RequestForm::ALL.iter().map(move |form| (way, form))) {
        let play = play(Security { client_auth: *client_auth, request: *request, ..FAPI2_SECURITY });
        play.run().unwrap();
        for post in play.sent().iter().filter(|request| request.method() == http::Method::POST) {
            let form = form(post);
            assert_eq!(form["client_id"], CLIENT_ID);
            assert!(!form.contains_key("client_assertion") && !form.contains_key("client_assertion_type"));
        }
    }
}

#[test]
fn the_code_is_redeemed_with_the_verifier_of_its_challenge() {
    let play = play(FAPI2_SECURITY);
    play.run().unwrap();
    let sent = play.sent().pop().unwrap();
    assert_eq!(sent.uri(), "https://mtls.as.example/token");
    let form = form(&sent);
    assert_eq!((form["grant_type"].as_str(), form["code"].as_str()), ("authorization_code", "code-1"));
    assert_eq!(form["redirect_uri"], REDIRECT_URI);
    assert_eq!(form["code_verifier"].len(), 64);
    assert_eq!(crate::request::challenge(&form["code_verifier"]), play.pushed_parameters()["code_challenge"]);
}

/// RFC 7636 appendix B.
#[test]
fn the_challenge_is_that_of_the_standard() {
    let challenge = crate::request::challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

#[test]
fn two_logins_share_nothing() {
    let play = play(FAPI2_SECURITY);
    let metadata = play.discover().unwrap();
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        play.push(&metadata).unwrap();
        for name in ["state", "nonce", "code_challenge"] {
            assert!(seen.insert(play.pushed_parameters()[name].to_string()), "{name} repeated");
        }
    }
}

#[test]
fn endpoints_for_certificates_are_used_when_there_is_a_certificate() {
    let unbound = Security { binding: TokenBinding::Unbound, ..FAPI2_SECURITY };
    let by_certificate = Security { client_auth: ClientAuth::TlsClientAuth, ..unbound.clone() };
    for (security, host) in
        [(FAPI2_SECURITY, "mtls.as.example"), (by_certificate, "mtls.as.example"), (unbound, "as.example")]
    {
        let metadata = play(security).discover().unwrap();
        let revocation = metadata.revocation_endpoint().unwrap();
        let (par, introspection) =
            (metadata.pushed_authorization_request_endpoint(), metadata.introspection_endpoint());
        for url in [metadata.token_endpoint(), par.unwrap(), introspection.unwrap(), revocation] {
            assert_eq!(url.host_str(), Some(host));
        }
        assert_eq!(metadata.jwks_uri().and_then(Url::host_str), Some("as.example"));
    }
}

#[test]
fn metadata_are_looked_for_where_the_standards_put_them() {
    let oidc = "/.well-known/openid-configuration";
    let oauth = "/.well-known/oauth-authorization-server";
    for (issuer, document, address) in [
        ("https://as.example", Document::OpenId, format!("https://as.example{oidc}")),
        ("https://as.example/", Document::OpenId, format!("https://as.example{oidc}")),
        ("https://as.example:8443/test/a/x/", Document::OpenId, format!("https://as.example:8443/test/a/x{oidc}")),
        ("https://as.example", Document::OAuth, format!("https://as.example{oauth}")),
        ("https://as.example/test/a/x/", Document::OAuth, format!("https://as.example{oauth}/test/a/x")),
    ] {
        let call = metadata::discover(issuer, document, Environment::Production, &FAPI2_SECURITY).unwrap();
        assert_eq!(call.request.uri().to_string(), address);
        assert_eq!(call.request.method(), http::Method::GET);
    }
}

#[test]
fn refresh_tokens_rotate_when_the_server_wants_and_stay_when_it_does_not() {
    let odd = r#"aB3 &+%=#"~!"#;
    let mut play = play(FAPI2_SECURITY).token(move |reply| reply.body["refresh_token"] = json!(odd));
    play.details = Some(json!([{ "type": "account_information" }]));
    let (metadata, first) = play.run_with_metadata().unwrap();
    let refresh = |tokens: &_, change: fn(&mut crate::testing::Reply)| {
        let mut reply = token_reply();
        change(&mut reply);
        play.refresh(&metadata, tokens, reply).unwrap()
    };
    let second = refresh(&first, |reply| reply.body["refresh_token"] = json!("rotated"));
    let sent = form(&play.sent().pop().unwrap());
    assert_eq!((sent["grant_type"].as_str(), sent["refresh_token"].as_str()), ("refresh_token", odd));
    assert!(!sent.contains_key("scope"));
    let third = refresh(&second, |reply| {
        reply.without("refresh_token");
        reply.without("scope");
    });
    assert_eq!(form(&play.sent().pop().unwrap())["refresh_token"], "rotated");
    assert_eq!(third.refresh_token.as_ref().map(|token| token.expose_secret().to_owned()), Some("rotated".to_owned()));
    assert_eq!(third.scope, "openid accounts");
    assert_eq!(third.identity, first.identity);
    assert!(third.authorization_details.is_some() && third.authorization_details == first.authorization_details);
}

#[test]
fn our_own_token_is_asked_for_by_scope() {
    let play = play(FAPI2_SECURITY);
    let metadata = play.discover().unwrap();
    let mut reply = token_reply();
    reply.without("refresh_token");
    reply.without("scope");
    let call = play.client().client_credentials(&metadata, "accounts", &play.world()).unwrap();
    let tokens = play.answer(call, reply).unwrap();
    let form = form(&play.sent().pop().unwrap());
    assert_eq!((form["grant_type"].as_str(), form["scope"].as_str()), ("client_credentials", "accounts"));
    assert_eq!((tokens.scope.as_str(), tokens.refresh_token.is_none()), ("accounts", true));
}

#[test]
fn a_token_is_given_back_by_kind() {
    let play = play(FAPI2_SECURITY);
    let (metadata, tokens) = play.run_with_metadata().unwrap();
    let call = play.client().revoke(&metadata, &tokens, TokenHint::RefreshToken, &play.world()).unwrap();
    play.answer(call, empty_reply(200)).unwrap();
    let sent = play.sent().pop().unwrap();
    assert_eq!(sent.uri(), "https://mtls.as.example/revoke");
    let form = form(&sent);
    assert_eq!((form["token"].as_str(), form["token_type_hint"].as_str()), ("refresh-1", "refresh_token"));
}

#[test]
fn a_key_whose_coordinate_lost_its_leading_zero_still_verifies() {
    let (pair, x) = std::iter::repeat_with(|| ES256.generate_key_pair().unwrap())
        .find_map(|pair| {
            let x = pair.to_jwk_public_key().parameter("x")?.as_str()?.to_owned();
            x.starts_with("AA").then_some((pair, x))
        })
        .unwrap();
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use josekit::jwk::KeyPair;
    let mut jwk = pair.to_jwk_public_key();
    let stripped = URL_SAFE_NO_PAD.encode(&URL_SAFE_NO_PAD.decode(x).unwrap()[1..]);
    jwk.set_parameter("x", Some(stripped.into())).unwrap();
    let keys = KeySet::parse(json!({ "keys": [jwk.as_ref()] }).to_string().as_bytes()).unwrap();
    let signature = ES256.signer_from_der(pair.to_der_private_key()).unwrap().sign(b"message").unwrap();
    assert!(keys.fitting(None, Alg::Es256).iter().any(|key| key.verifies(b"message", &signature)));
}

#[test]
fn keys_that_are_not_for_us_are_left_out() {
    let good = |alg: Alg| Value::Object(signer(alg, "k").public_jwk());
    let with = |alg: Alg, name: &str, value: Value| {
        let mut jwk = good(alg);
        jwk[name] = value;
        jwk
    };
    for (name, jwk) in [
        ("encryption", with(Alg::Es256, "use", json!("enc"))),
        ("operations", with(Alg::Es256, "key_ops", json!(["wrapKey"]))),
        ("other algorithm", with(Alg::Ps256, "alg", json!("RS256"))),
        ("algorithm of another kind", with(Alg::Es256, "alg", json!("PS256"))),
        ("curve", with(Alg::Es256, "crv", json!("P-384"))),
        ("not on the curve", with(Alg::Es256, "y", json!("AAAA"))),
        ("too long", with(Alg::Es256, "x", json!("A".repeat(44)))),
        ("short modulus", with(Alg::Ps256, "n", json!("AQAB"))),
        ("symmetric", json!({ "kty": "oct", "k": "c2VjcmV0" })),
        ("Ed448", with(Alg::EdDsa, "crv", json!("Ed448"))),
        ("nothing", json!(null)),
    ] {
        let keys = KeySet::parse(json!({ "keys": [jwk, good(Alg::EdDsa)] }).to_string().as_bytes()).unwrap();
        assert_eq!(keys.len(), 1, "{name}");
    }
    let many = vec![good(Alg::EdDsa); KEYS_MAX + 1];
    assert_eq!(KeySet::parse(json!({ "keys": many }).to_string().as_bytes()).unwrap().len(), KEYS_MAX);
    let verifying = with(Alg::Es256, "key_ops", json!(["verify"]));
    assert_eq!(KeySet::parse(json!({ "keys": [verifying] }).to_string().as_bytes()).unwrap().len(), 1);
}

#[test]
fn what_is_published_of_our_keys_is_public() {
    let signers = [signer(Alg::Ps256, "a"), signer(Alg::Es256, "b"), signer(Alg::EdDsa, "c")];
    let document = crate::keys::public_jwks(signers.iter().map(|signer| signer as &dyn crate::keys::Signer));
    let members: Vec<Vec<&str>> = document["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|jwk| jwk.as_object().unwrap().keys().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect())
        .collect();
    assert_eq!(
        members,
        [
            vec!["alg", "e", "kid", "kty", "n", "use"],
            vec!["alg", "crv", "kid", "kty", "use", "x", "y"],
            vec!["alg", "crv", "kid", "kty", "use", "x"],
        ]
    );
    assert_eq!(KeySet::parse(document.to_string().as_bytes()).unwrap().len(), 3);
}

#[test]
fn a_key_of_another_kind_or_size_is_not_taken_to_sign() {
    use crate::keys::{KeyError, PemSigner};
    use crate::testing::pem;
    use josekit::jwk::KeyPair;
    for (alg, other) in [(Alg::Ps256, Alg::Es256), (Alg::Es256, Alg::EdDsa), (Alg::EdDsa, Alg::Ps256)] {
        assert_eq!(PemSigner::from_pem(alg, "k", pem(other)).err(), Some(KeyError::Unusable(alg)));
    }
    let short = josekit::jwk::alg::rsa::RsaKeyPair::generate(1024).unwrap().to_pem_private_key();
    assert_eq!(PemSigner::from_pem(Alg::Ps256, "k", &short).err(), Some(KeyError::Unusable(Alg::Ps256)));
    let ed448 = josekit::jwk::alg::ed::EdKeyPair::generate(josekit::jwk::alg::ed::EdCurve::Ed448).unwrap();
    let ed448 = PemSigner::from_pem(Alg::EdDsa, "k", &ed448.to_pem_private_key());
    assert_eq!(ed448.err(), Some(KeyError::Unusable(Alg::EdDsa)));
    assert_eq!(PemSigner::from_pem(Alg::EdDsa, "", pem(Alg::EdDsa)).err(), Some(KeyError::NoKeyId));
}

#[test]
fn secrets_stay_out_of_debug() {
    let play = play(FAPI2_SECURITY);
    let metadata = play.discover().unwrap();
    let keys = play.keys(&metadata).unwrap();
    let pushed = play.push(&metadata).unwrap();
    let login = format!("{pushed:?}");
    let stored = String::from_utf8(pushed.login.to_bytes().to_vec()).unwrap();
    let stored: Value = serde_json::from_str(&stored).unwrap();
    let code = play.come_back(pushed.login, &keys).unwrap();
    let code_shown = format!("{code:?}");
    let redeemed = play.redeem(&metadata, code).unwrap();
    let tokens = redeemed.check(&keys, start() + play.check_after).unwrap();
    let shown = format!("{login} {code_shown} {redeemed:?} {tokens:?} {:?} {:?}", play.client(), play.signer.kid());
    for secret in [ACCESS_TOKEN, "refresh-1", "code-1", SUBJECT, "PRIVATE"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    for secret in [&stored["state"], &stored["asked"]["nonce"], &stored["verifier"]] {
        assert!(!shown.contains(secret.as_str().unwrap()), "{secret} in {shown}");
    }
    assert!(PendingLogin::from_bytes(b"{}").is_err());
}
