//! Bytes from outside never cause a panic, and nothing passes by luck: every parser of foreign bytes, with documents that
//! were right before something happened to them, with members that belong there and hold anything, and with noise.
//!
//! Each property runs [`CASES`] cases, and as long as `FUZZ_SECONDS` says where that is set.

use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{TestCaseError, TestRunner};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::arrangement::Withdrawal;
use crate::ciba::{BackchannelRequest, Hint, PendingAuthentication, Ping, Polled};
use crate::id_token::SIGNED;
use crate::jws;
use crate::keys::{KeySet, Signer};
use crate::login::{Callback, PendingLogin};
use crate::metadata::{Environment, Metadata};
use crate::profile::{Alg, FAPI1_ADVANCED, FAPI2_MESSAGE_SIGNING, FAPI2_SECURITY, KeyEncryption};
use crate::refusal::Refusal;
use crate::registration::{Description, Registered, Registrar};
use crate::request::AuthorizationRequest;
use crate::testing::{
    CLIENT_ID, CODE, ISSUER, Play, REDIRECT_URI, Reply, decrypter, empty_reply, play, signer, start, token_reply,
};
use crate::token::{TokenHint, Tokens};

/// Cases of a property in an ordinary run.
const CASES: u32 = 48;

/// Runs a property over its cases, again and again until the time is over that `FUZZ_SECONDS` gives it.
#[expect(clippy::disallowed_methods, reason = "a budget of time is about the clock of this machine")]
fn holds<S: Strategy>(inputs: &S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    let (begun, budget) = (std::time::Instant::now(), Duration::from_secs(seconds));
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new(config);
    loop {
        if let Err(failure) = runner.run(inputs, &property) {
            panic!("{failure}");
        }
        if begun.elapsed() >= budget {
            break;
        }
    }
}

/// What may happen to a document on its way.
#[derive(Debug, Clone)]
enum Damage {
    Flip(Index, u8),
    Cut(Index, usize),
    Repeat(Index, usize),
    Insert(Index, Vec<u8>),
}

impl Damage {
    fn strike(&self, bytes: &mut Vec<u8>) {
        let place = |at: &Index, bytes: &[u8]| at.index(bytes.len() + 1);
        match self {
            Self::Flip(at, bit) => {
                let at = place(at, bytes);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Cut(at, length) => {
                let at = place(at, bytes);
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Self::Repeat(at, length) => {
                let at = place(at, bytes);
                let again = bytes[at..(at + length).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
            Self::Insert(at, noise) => {
                let at = place(at, bytes);
                bytes.splice(at..at, noise.clone());
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        (at(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (at(), 1..40_usize).prop_map(|(at, length)| Damage::Cut(at, length)),
        (at(), 1..40_usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
        (at(), vec(any::<u8>(), 1..12)).prop_map(|(at, noise)| Damage::Insert(at, noise)),
        (at(), "[\"{}:,.=&%0-9a-zA-Z_-]{1,6}").prop_map(|(at, text)| Damage::Insert(at, text.into_bytes())),
    ]
}

/// A right document after up to three strokes, or noise.
fn damaged(right: &[u8]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let right = right.to_vec();
    let struck = vec(damage(), 1..4).prop_map(move |strokes| {
        let mut bytes = right.clone();
        strokes.iter().for_each(|stroke| stroke.strike(&mut bytes));
        bytes
    });
    prop_oneof![8 => struck, 1 => vec(any::<u8>(), 0..300)]
}

fn with_body(status: u16, body: Vec<u8>) -> Reply {
    Reply { raw: Some(body), ..empty_reply(status) }
}

/// Words that matter to the readers, so that chance reaches deep.
fn word() -> impl Strategy<Value = String> {
    let known = [
        "",
        "RSA",
        "EC",
        "OKP",
        "P-256",
        "Ed25519",
        "sig",
        "verify",
        "ES256",
        "PS256",
        "AQAB",
        "Bearer",
        "openid",
        "https://as.example/x",
        "urn:x",
        "http://localhost/",
        "https://[::1]:99999/",
        "server",
        ISSUER,
    ];
    prop_oneof![proptest::sample::select(known.to_vec()).prop_map(str::to_owned), ".{0,20}", "[A-Za-z0-9_-]{0,60}"]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(word(), inner, 0..4).prop_map(|map| json!(map))
        ]
    })
}

/// An object of some of the named members with any values.
fn object(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    btree_map(proptest::sample::select(names), any_json(), 0..names.len()).prop_map(|map| json!(map))
}

const METADATA: &[&str] = &[
    "authorization_endpoint",
    "token_endpoint",
    "pushed_authorization_request_endpoint",
    "revocation_endpoint",
    "jwks_uri",
    "mtls_endpoint_aliases",
    "id_token_signing_alg_values_supported",
    "code_challenge_methods_supported",
    "authorization_response_iss_parameter_supported",
];
const JWK: &[&str] = &["kty", "crv", "x", "y", "n", "e", "alg", "use", "kid", "key_ops"];
const HEADER: &[&str] = &["alg", "kid", "typ", "crit"];
const TOKEN: &[&str] =
    &["access_token", "token_type", "expires_in", "refresh_token", "scope", "id_token", "authorization_details"];
const CLAIMS: &[&str] = &["iss", "sub", "aud", "exp", "iat", "nonce", "azp", "at_hash", "acr", "auth_time"];

#[test]
fn noise_is_nothing_of_ours() {
    holds(&vec(any::<u8>(), 0..200), |bytes| {
        let _ = Metadata::parse(&bytes, ISSUER, Environment::Development, &FAPI2_SECURITY);
        let _ = KeySet::parse(&bytes);
        let _ = Ping::parse(Some("Bearer x"), &bytes);
        let _ = Withdrawal::parse(Some("Bearer x"), &bytes)
            .map(|withdrawal| (withdrawal.claimed_holder(), withdrawal.claimed_arrangement()));
        prop_assert!(PendingLogin::from_bytes(&bytes).is_err());
        prop_assert!(PendingAuthentication::from_bytes(&bytes).is_err());
        prop_assert!(Registered::from_bytes(&bytes).is_err());
        prop_assert!(Tokens::from_bytes(&bytes).is_err());
        Ok(())
    });
}

#[test]
fn metadata_lead_nowhere_but_to_https() {
    let right = crate::testing::metadata_document(Alg::Es256).to_string();
    let members = object(METADATA).prop_map(|mut document| {
        document["issuer"] = ISSUER.into();
        document["authorization_endpoint"] = "https://as.example/a".into();
        document.to_string().into_bytes()
    });
    holds(&prop_oneof![damaged(right.as_bytes()), members], |document| {
        let read = Metadata::parse(&document, ISSUER, Environment::Production, &FAPI2_SECURITY);
        let Ok(metadata) = read else { return Ok(()) };
        prop_assert_eq!(metadata.issuer(), ISSUER);
        let called = [metadata.token_endpoint(), metadata.authorization_endpoint()];
        let offered = [
            metadata.pushed_authorization_request_endpoint(),
            metadata.revocation_endpoint(),
            metadata.introspection_endpoint(),
            metadata.backchannel_authentication_endpoint(),
            metadata.registration_endpoint(),
            metadata.cdr_arrangement_revocation_endpoint(),
            metadata.jwks_uri(),
        ];
        for url in called.into_iter().chain(offered.into_iter().flatten()) {
            prop_assert_eq!(url.scheme(), "https");
        }
        let play = play(FAPI2_MESSAGE_SIGNING);
        if let Ok(call) = play.client().client_credentials(&metadata, "a", &play.world()) {
            prop_assert_eq!(call.request.uri().to_string(), metadata.token_endpoint().to_string());
        }
        Ok(())
    });
}

#[test]
fn keys_are_read_or_left_out() {
    let right = json!({ "keys": Alg::ALL.iter().map(|alg| signer(*alg, "k").public_jwk()).collect::<Vec<_>>() });
    let members = vec(object(JWK), 0..6).prop_map(|keys| json!({ "keys": keys }).to_string().into_bytes());
    holds(&prop_oneof![damaged(right.to_string().as_bytes()), members], |document| {
        let Ok(keys) = KeySet::parse(&document) else { return Ok(()) };
        prop_assert!(keys.len() <= crate::keys::KEYS_MAX);
        for alg in Alg::ALL {
            for key in keys.fitting(None, *alg) {
                prop_assert!(!key.verifies(b"message", &[0; 64]));
            }
        }
        Ok(())
    });
}

/// Keys of the server, and ours to open what it encrypts.
fn keys() -> KeySet {
    let keys: Vec<_> = Alg::ALL.iter().map(|alg| signer(*alg, "server").public_jwk()).collect();
    let keys = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    keys.opened_by(Some(std::sync::Arc::new(decrypter(KeyEncryption::RsaOaep))))
}

/// A JWT that the server signed by this algorithm.
fn signed_by(alg: Alg) -> String {
    let mut play = play(FAPI2_SECURITY);
    play.alg = alg;
    play.jwt(json!({ "iss": ISSUER, "aud": CLIENT_ID })).compact()
}

#[test]
fn nothing_signed_survives_a_stroke() {
    let keys = keys();
    let rights = [Alg::Ps256, Alg::Es256, Alg::EdDsa].map(signed_by);
    assert!(rights.iter().all(|right| jws::verify(right, &keys, Alg::ALL, &SIGNED, start()).is_ok()));
    let [rsa, ec, okp] = rights.each_ref().map(|right| damaged(right.as_bytes()));
    holds(&prop_oneof![rsa, ec, okp], |bytes| {
        let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(()) };
        let untouched = rights.iter().any(|right| right == text);
        prop_assert!(untouched || jws::verify(text, &keys, Alg::ALL, &SIGNED, start()).is_err(), "{}", text);
        let _ = jws::unverified(text, keys.decrypter(), &SIGNED);
        Ok(())
    });
}

#[test]
fn nothing_encrypted_survives_a_stroke() {
    let keys = keys();
    let mut play = play(FAPI1_ADVANCED);
    play.encryption = Some(KeyEncryption::RsaOaep);
    let right = play.jwt(json!({ "iss": ISSUER, "aud": CLIENT_ID })).compact();
    assert!(jws::verify(&right, &keys, Alg::ALL, &SIGNED, start()).is_ok_and(|verified| verified.encrypted));
    holds(&damaged(right.as_bytes()), |bytes| {
        let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(()) };
        prop_assert!(text == right || jws::verify(text, &keys, Alg::ALL, &SIGNED, start()).is_err(), "{}", text);
        let _ = jws::unverified(text, keys.decrypter(), &SIGNED);
        Ok(())
    });
}

#[test]
fn a_signature_is_not_found_by_chance() {
    let keys = keys();
    let parts = (object(HEADER), any_json(), vec(any::<u8>(), 0..80));
    holds(&(parts, "[A-Za-z0-9_.-]{0,80}"), |((header, claims, signature), text)| {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        prop_assert!(jws::verify(&text, &keys, Alg::ALL, &SIGNED, start()).is_err());
        let parts = [header.to_string().into_bytes(), claims.to_string().into_bytes(), signature];
        let compact = parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        prop_assert!(jws::verify(&compact, &keys, Alg::ALL, &SIGNED, start()).is_err());
        Ok(())
    });
}

#[test]
fn signed_claims_are_checked_whatever_they_are() {
    holds(&object(CLAIMS), |claims| {
        let play = play(FAPI2_SECURITY).id_token(move |jwt| jwt.claims = claims.clone());
        prop_assert!(play.run().is_err());
        Ok(())
    });
}

/// A login whose browser is about to come back, with the server's right answer.
fn departed(play: &Play) -> (PendingLogin, KeySet, String) {
    let metadata = play.discover().unwrap();
    let keys = play.keys(&metadata).unwrap();
    let login = play.push(&metadata).unwrap().login;
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(play.right_answer()).finish();
    (login, keys, query)
}

#[test]
fn no_callback_but_ours_yields_a_code() {
    let play = play(FAPI2_SECURITY);
    let (login, keys, right) = departed(&play);
    let (stored, state, client) = (login.to_bytes(), login.state().to_owned(), play.client());
    let words = "[a-z=&%0-9+?]{0,60}|(code|state|iss|error|response)=.{0,20}(&(code|state|iss|error)=.{0,20}){0,3}";
    holds(&prop_oneof![damaged(right.as_bytes()), words.prop_map(String::into_bytes)], |query| {
        let Ok(query) = std::str::from_utf8(&query) else { return Ok(()) };
        let Ok(callback) = Callback::parse(query) else { return Ok(()) };
        let _ = callback.state_tag(&client);
        if PendingLogin::from_bytes(&stored).unwrap().finish(callback, &keys, start()).is_ok() {
            let given =
                |name: &str| form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name).unwrap().1;
            prop_assert!(given("state") == state.as_str() && given("iss") == ISSUER && !given("code").is_empty());
        }
        Ok(())
    });
}

#[test]
fn a_signed_response_yields_its_own_code_or_none() {
    let plays = [play(FAPI2_MESSAGE_SIGNING), play(FAPI1_ADVANCED)];
    let departures = plays.each_ref().map(|play| {
        let (login, keys, right) = departed(play);
        (login.to_bytes(), keys, right, start() + play.callback_after)
    });
    let client = plays[0].client();
    let finish = |which: usize, query: &str| {
        let (stored, keys, _, now) = &departures[which];
        let callback = Callback::parse(query)?;
        let _ = callback.state_tag(&client);
        PendingLogin::from_bytes(stored).unwrap().finish(callback, keys, *now)
    };
    assert!([0, 1].into_iter().all(|which| finish(which, &departures[which].2).is_ok()));
    let [jarm, hybrid] = departures.each_ref().map(|(_, _, right, _)| damaged(right.as_bytes()));
    holds(&prop_oneof![(Just(0), jarm), (Just(1), hybrid)], |(which, query)| {
        let Ok(query) = std::str::from_utf8(&query) else { return Ok(()) };
        if let Ok(code) = finish(which, query) {
            prop_assert_eq!(code.code.expose_secret(), CODE);
        }
        Ok(())
    });
}

#[test]
fn a_pushed_request_is_answered_by_one_that_can_be_used() {
    let play = play(FAPI2_SECURITY);
    let metadata = play.discover().unwrap();
    let right = json!({ "request_uri": "urn:ietf:params:oauth:request_uri:a", "expires_in": 60 }).to_string();
    holds(&(damaged(right.as_bytes()), 200_u16..600), |(body, status)| {
        let request = AuthorizationRequest::scope("accounts");
        let call = play.client().push(&metadata, &request, &play.world()).unwrap();
        if let Ok(departure) = play.answer(call, with_body(status, body)) {
            prop_assert_eq!(status, 201);
            prop_assert!(departure.redirect.as_str().starts_with("https://as.example/authorize?"));
            prop_assert!(departure.redirect_until > start());
        }
        Ok(())
    });
}

#[test]
fn token_responses_are_read_or_refused() {
    let play = play(FAPI2_SECURITY);
    let metadata = play.discover().unwrap();
    let right = token_reply().body.to_string();
    let members = object(TOKEN).prop_map(|members| members.to_string().into_bytes());
    holds(&(prop_oneof![damaged(right.as_bytes()), members], 200_u16..600), |(body, status)| {
        let call = play.client().client_credentials(&metadata, "openid accounts", &play.world()).unwrap();
        if let Ok(tokens) = play.answer(call, with_body(status, body)) {
            prop_assert_eq!(status, 200);
            prop_assert!(tokens.expires_at.is_none_or(|at| at >= start()));
            prop_assert!(tokens.access_token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(tokens.scope.split(' ').all(|word| ["", "openid", "accounts"].contains(&word)));
        }
        Ok(())
    });
}

#[test]
fn introspections_are_read_or_refused() {
    let play = play(FAPI2_SECURITY);
    let (metadata, tokens) = play.run_with_metadata().unwrap();
    let keys = play.keys(&metadata).unwrap();
    let plain = json!({ "active": true, "scope": "accounts", "exp": start().as_second() }).to_string();
    let told = json!({ "active": true });
    let mut jwt = play.jwt(json!({
        "iss": ISSUER, "aud": CLIENT_ID, "iat": start().as_second(), "token_introspection": told,
    }));
    jwt.header["typ"] = json!("token-introspection+jwt");
    let right = jwt.compact();
    holds(&(damaged(plain.as_bytes()), damaged(right.as_bytes())), |(plain, signed)| {
        let (client, world, hint) = (play.client(), play.world(), TokenHint::AccessToken);
        let call = client.introspect(&metadata, &tokens, hint, &world).unwrap();
        let _ = play.answer(call, with_body(200, plain));
        let call = client.introspect_signed(&metadata, &tokens, hint, keys.clone(), &world).unwrap();
        let untouched = signed.trim_ascii() == right.as_bytes();
        prop_assert_eq!(play.answer(call, with_body(200, signed)).is_ok(), untouched);
        Ok(())
    });
}

#[test]
fn registrations_are_read_or_refused() {
    let play = play(FAPI2_SECURITY);
    let metadata = play.discover().unwrap();
    let registrar = Registrar::new(play.security.clone(), play.signer.clone());
    let description = Description { redirect_uris: vec![REDIRECT_URI.to_owned()], ..Description::default() };
    let call = registrar.register(&metadata, &description, None, &play.world()).unwrap();
    let mut right: Value = serde_json::from_slice(call.request.body()).unwrap();
    right["client_id"] = CLIENT_ID.into();
    right["registration_client_uri"] = "https://as.example/register/tpp-1".into();
    right["registration_access_token"] = "reg-1".into();
    holds(&(damaged(right.to_string().as_bytes()), 200_u16..300), |(body, status)| {
        let call = registrar.register(&metadata, &description, None, &play.world()).unwrap();
        let granted = play.answer(call, with_body(status, body)).map(|answered| answered.granted());
        if let Ok(Ok(registered)) = granted {
            prop_assert_eq!(status, 201);
            prop_assert!(!registered.client_id.is_empty());
            prop_assert!(registered.registration_client_uri.is_none_or(|uri| uri.scheme() == "https"));
        }
        Ok(())
    });
}

#[test]
fn decoupled_answers_are_read_or_refused() {
    let play = play(FAPI2_SECURITY);
    let metadata = play.discover().unwrap();
    let asked = BackchannelRequest::new(AuthorizationRequest::scope("openid"), Hint::Login("ada".into()));
    let begin = |body: Vec<u8>| -> Result<PendingAuthentication, Refusal> {
        let call = play.client().authenticate_elsewhere(&metadata, &asked, &play.world())?;
        play.answer(call, with_body(200, body))
    };
    let right = json!({ "auth_req_id": "a-1", "expires_in": 120, "interval": 5 }).to_string();
    let stored = begin(right.clone().into_bytes()).unwrap().to_bytes();
    let error = json!({ "error": "authorization_pending" }).to_string();
    holds(&(damaged(right.as_bytes()), damaged(error.as_bytes())), |(answer, polled)| {
        if let Ok(pending) = begin(answer) {
            prop_assert!(start() < pending.next_poll_at() && start() < pending.expires_at());
        }
        let later = start() + jiff::SignedDuration::from_secs(60);
        let pending = PendingAuthentication::from_bytes(&stored).unwrap();
        let call = play.client().poll(&metadata, pending, &play.world_at(later)).unwrap();
        if let Ok(polled) = play.answer_at(call, with_body(400, polled), later) {
            let Polled::Pending(pending) = polled else { return Err(TestCaseError::fail("tokens from nowhere")) };
            prop_assert!(pending.next_poll_at() > later);
        }
        Ok(())
    });
}
