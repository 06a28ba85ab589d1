//! Bytes from outside never cause a panic, and nothing passes by luck.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::jws::{self, Signed};
use crate::keys::{KeySet, Signer};
use crate::login::{Callback, PendingLogin};
use crate::metadata::{Environment, Metadata};
use crate::profile::{Alg, FAPI2_MESSAGE_SIGNING, FAPI2_SECURITY};
use crate::refusal;
use crate::testing::{ISSUER, play, signer, start};
use crate::token::Tokens;

const SIGNED: Signed = Signed {
    format: refusal::ID_TOKEN_FORMAT_INVALID,
    alg: refusal::ID_TOKEN_ALG_MISMATCH,
    kid: refusal::ID_TOKEN_KID_UNTRUSTED,
    signature: refusal::ID_TOKEN_SIGNATURE_INVALID,
    encryption_alg: refusal::ID_TOKEN_ENC_MISMATCH,
    encryption: refusal::ID_TOKEN_ENCRYPTION_INVALID,
};

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_are_not_trusted(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Metadata::parse(&bytes, ISSUER, Environment::Development, &FAPI2_SECURITY);
        let _ = KeySet::parse(&bytes);
        prop_assert!(PendingLogin::from_bytes(&bytes).is_err());
        prop_assert!(Tokens::from_bytes(&bytes).is_err());
    }

    #[test]
    fn metadata_lead_nowhere_but_to_https(members in object(METADATA)) {
        let mut document = members;
        document["issuer"] = ISSUER.into();
        document["authorization_endpoint"] = "https://as.example/a".into();
        if let Ok(metadata) =
            Metadata::parse(document.to_string().as_bytes(), ISSUER, Environment::Production, &FAPI2_SECURITY)
        {
            prop_assert_eq!(metadata.token_endpoint().scheme(), "https");
            let play = play(FAPI2_MESSAGE_SIGNING);
            if let Ok(call) = play.client().client_credentials(&metadata, "a", &play.world()) {
                prop_assert_eq!(call.request.uri().to_string(), metadata.token_endpoint().to_string());
            }
        }
    }

    #[test]
    fn keys_are_read_or_left_out(keys in vec(object(JWK), 0..6)) {
        let many = keys.len();
        let keys = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
        prop_assert!(keys.len() <= many);
        for alg in Alg::ALL {
            for key in keys.fitting(None, *alg) {
                prop_assert!(!key.verifies(b"message", &[0; 64]));
            }
        }
    }

    #[test]
    fn a_signature_is_not_found_by_chance(header in object(HEADER), claims in any_json(), signature in vec(any::<u8>(), 0..80), text in "[A-Za-z0-9_.-]{0,80}") {
        let keys = json!({ "keys": [signer(Alg::Es256, "server").public_jwk(), signer(Alg::EdDsa, "server").public_jwk()] });
        let keys = KeySet::parse(keys.to_string().as_bytes()).unwrap();
        prop_assert!(jws::verify(&text, &keys, Alg::ALL, &SIGNED).is_err());
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let parts = [header.to_string().into_bytes(), claims.to_string().into_bytes(), signature];
        let compact = parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        prop_assert!(jws::verify(&compact, &keys, Alg::ALL, &SIGNED).is_err());
    }

    #[test]
    fn signed_claims_are_checked_whatever_they_are(claims in object(CLAIMS)) {
        let play = play(FAPI2_SECURITY).id_token(move |jwt| jwt.claims = claims.clone());
        prop_assert!(play.run().is_err());
    }

    #[test]
    fn token_responses_are_read_or_refused(members in object(TOKEN), status in 200_u16..600) {
        let mut play = play(FAPI2_SECURITY).token(move |reply| (reply.status, reply.body) = (status, members.clone()));
        play.scope = "accounts".to_owned();
        if let Ok(tokens) = play.run() {
            prop_assert_eq!(status, 200);
            prop_assert!(tokens.expires_at.is_none_or(|at| at >= start()));
        }
    }

    #[test]
    fn no_callback_but_ours_yields_a_code(query in "[a-z=&%0-9+?]{0,60}|(code|state|iss|error|response)=.{0,20}(&(code|state|iss|error)=.{0,20}){0,3}") {
        let play = play(FAPI2_SECURITY);
        let metadata = play.discover().unwrap();
        let login = play.push(&metadata).unwrap().login;
        if let Ok(callback) = Callback::parse(&query) {
            prop_assert!(login.finish(callback, &KeySet::empty(), start()).is_err());
        }
    }
}
