//! Becoming a client: what is asked for in each form, and every way in which a server gives something else.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::keys::public_jwks;
use crate::metadata::Metadata;
use crate::profile::{
    Alg, ClientAuth, FAPI1_ADVANCED, FAPI2_MESSAGE_SIGNING, FAPI2_SECURITY, KeyEncryption, RegistrationForm, Security,
    TokenBinding, TokenDelivery,
};
use crate::refusal::Refusal;
use crate::refused::Row;
use crate::registration::{Answered, CertificateName, Description, PublishedKeys, Registered, Registrar};
use crate::testing::{CLIENT_ID, ISSUER, Play, REDIRECT_URI, Reply, empty_reply, opened, play, start};

fn registrar(play: &Play) -> Registrar {
    Registrar::new(play.security.clone(), play.signer.clone())
}

/// A statement of a directory; only the server looks at its signature.
fn statement() -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(json!({ "alg": "PS256" })), part(json!({ "software_id": "software-9" })))
}

fn description() -> Description {
    Description {
        redirect_uris: vec![REDIRECT_URI.to_owned(), "https://tpp.example/callback/second".to_owned()],
        scope: Some("openid accounts".to_owned()),
        ..Description::default()
    }
}

/// What a good server answers: everything that it was asked for.
fn echo(asked: &Map<String, Value>) -> Value {
    let mut body = Value::Object(asked.clone());
    body["client_id"] = CLIENT_ID.into();
    body["client_id_issued_at"] = start().as_second().into();
    body["client_secret"] = "unwanted".into();
    body["registration_client_uri"] = "https://as.example/register/tpp-1".into();
    body["registration_access_token"] = "reg-1".into();
    body
}

/// The members of the last registration that was sent as JSON.
fn members(play: &Play) -> Map<String, Value> {
    serde_json::from_slice(play.sent().last().unwrap().body()).unwrap()
}

/// Registers; the answer is an echo that a test may spoil.
fn register(play: &Play, description: &Description, change: impl Fn(&mut Reply)) -> Result<Answered, Refusal> {
    let metadata = play.discover()?;
    let call = registrar(play).register(&metadata, description, None, &play.world())?;
    let asked = match play.security.registration {
        RegistrationForm::Json => serde_json::from_slice(call.request.body()).unwrap(),
        RegistrationForm::Jose | RegistrationForm::Jwt => signed_claims(&call.request).1,
    };
    let mut reply = Reply::new(201, echo(&asked));
    change(&mut reply);
    play.answer(call, reply)
}

fn signed_claims(request: &http::Request<Bytes>) -> (Value, Map<String, Value>) {
    opened(std::str::from_utf8(request.body()).unwrap(), Alg::Es256)
}

fn done(play: &Play, description: &Description) -> (Metadata, Registered) {
    let registered = register(play, description, |_| {}).unwrap().granted().unwrap();
    (play.discover().unwrap(), Registered::from_bytes(&registered.to_bytes()).unwrap())
}

#[test]
fn a_client_is_what_its_profile_says_and_the_server_knows_it_before() {
    let play = play(FAPI2_SECURITY);
    let (_, registered) = done(&play, &description());
    assert_eq!((registered.client_id.as_str(), registered.issued_at), (CLIENT_ID, Some(start())));
    assert!(!format!("{registered:?}").contains("reg-1"));
    let sent = play.sent().remove(1);
    assert_eq!(
        (sent.method(), sent.uri().to_string().as_str()),
        (&http::Method::POST, "https://mtls.as.example/register")
    );
    assert_eq!(sent.headers()["content-type"], "application/json");
    assert!(!sent.headers().contains_key("authorization"));
    let asked: Value = serde_json::from_slice(sent.body()).unwrap();
    assert_eq!(
        asked,
        json!({
            "redirect_uris": [REDIRECT_URI, "https://tpp.example/callback/second"],
            "scope": "openid accounts",
            "response_types": ["code"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256",
            "id_token_signed_response_alg": "ES256",
            "require_pushed_authorization_requests": true,
            "tls_client_certificate_bound_access_tokens": true,
        })
    );
}

#[test]
fn every_choice_of_the_profile_is_registered() {
    let mut play = play(Security {
        client_auth: ClientAuth::TlsClientAuth,
        binding: TokenBinding::Dpop,
        token_delivery: TokenDelivery::Ping,
        ..FAPI2_MESSAGE_SIGNING
    });
    play.alg = Alg::Ps256;
    let notified: url::Url = "https://tpp.example/ciba".parse().unwrap();
    let jwks = public_jwks([play.signer.as_ref()]);
    let everything = Description {
        keys: Some(PublishedKeys::Inline(jwks.clone())),
        certificate: Some(CertificateName::SubjectDn("CN=tpp,C=DE".to_owned())),
        own_tokens: true,
        decoupled: true,
        notification_endpoint: Some(notified.clone()),
        more: Map::from_iter([("scope".to_owned(), Value::Null), ("client_name".to_owned(), json!("Ada"))]),
        ..description()
    };
    let metadata = play.discover().unwrap();
    let registrar = registrar(&play).encrypted(KeyEncryption::RsaOaep);
    let call = registrar.register(&metadata, &everything, Some(&"first".into()), &play.world()).unwrap();
    assert_eq!(call.request.headers()["authorization"], "Bearer first");
    let asked: Value = serde_json::from_slice(call.request.body()).unwrap();
    let grants = ["authorization_code", "refresh_token", "client_credentials", "urn:openid:params:grant-type:ciba"];
    assert_eq!(
        asked,
        json!({
            "redirect_uris": everything.redirect_uris,
            "response_types": ["code"],
            "grant_types": grants,
            "client_name": "Ada",
            "token_endpoint_auth_method": "tls_client_auth",
            "tls_client_auth_subject_dn": "CN=tpp,C=DE",
            "request_object_signing_alg": "ES256",
            "require_signed_request_object": true,
            "require_pushed_authorization_requests": true,
            "id_token_signed_response_alg": "PS256",
            "authorization_signed_response_alg": "PS256",
            "id_token_encrypted_response_alg": "RSA-OAEP",
            "id_token_encrypted_response_enc": "A256GCM",
            "authorization_encrypted_response_alg": "RSA-OAEP",
            "authorization_encrypted_response_enc": "A256GCM",
            "dpop_bound_access_tokens": true,
            "jwks": jwks,
            "backchannel_token_delivery_mode": "ping",
            "backchannel_authentication_request_signing_alg": "ES256",
            "backchannel_client_notification_endpoint": notified,
        })
    );
    let mut answer = Reply::new(201, echo(asked.as_object().unwrap()));
    answer.body["redirect_uris"].as_array_mut().unwrap().reverse();
    answer.body["grant_types"].as_array_mut().unwrap().push(json!("implicit"));
    assert!(play.answer(call, answer).unwrap().granted().is_ok(), "order does not matter, nor what is not used");
}

#[test]
fn names_of_certificates_and_addresses_of_keys_have_members_of_their_own() {
    for (name, member) in [
        (CertificateName::SanDns("tpp.example".to_owned()), "tls_client_auth_san_dns"),
        (CertificateName::SanUri("tpp.example".to_owned()), "tls_client_auth_san_uri"),
    ] {
        let play = play(FAPI1_ADVANCED);
        let keys = Some(PublishedKeys::Uri("https://tpp.example/jwks".parse().unwrap()));
        let described = Description { certificate: Some(name), keys, decoupled: true, ..description() };
        register(&play, &described, |_| {}).unwrap().granted().unwrap();
        let asked = members(&play);
        assert_eq!((&asked[member], &asked["jwks_uri"]), (&json!("tpp.example"), &json!("https://tpp.example/jwks")));
        assert_eq!(asked["response_types"], json!(["code id_token"]));
        assert!(asked["grant_types"].as_array().unwrap().contains(&json!("implicit")));
        assert_eq!(asked["backchannel_token_delivery_mode"], "poll");
    }
}

#[test]
fn where_a_directory_vouches_the_whole_registration_may_be_signed() {
    for (registration, media_type) in
        [(RegistrationForm::Jose, "application/jose"), (RegistrationForm::Jwt, "application/jwt")]
    {
        let play = play(Security { registration, ..FAPI1_ADVANCED });
        let described = Description { software_statement: Some(statement()), ..description() };
        let (metadata, registered) = done(&play, &described);
        let first = play.sent().remove(1);
        let call = registrar(&play).update(&metadata, &described, &registered, None, &play.world()).unwrap();
        for (request, client_id) in [(&first, None), (&call.request, Some(CLIENT_ID))] {
            assert_eq!(request.headers()["content-type"], media_type);
            let (header, mut claims) = signed_claims(request);
            assert_eq!(header, json!({ "alg": "ES256", "kid": "ours" }));
            assert_eq!(claims.remove("jti").and_then(|jti| jti.as_str().map(str::len)), Some(22));
            assert_eq!(claims.remove("client_id"), client_id.map(Value::from));
            let (now, expected) = (start().as_second(), ["iss", "aud", "iat", "exp", "software_statement", "scope"]);
            let told = expected.map(|name| claims.remove(name).unwrap());
            let asked = [
                json!("software-9"),
                json!(ISSUER),
                json!(now),
                json!(now + 300),
                json!(statement()),
                json!("openid accounts"),
            ];
            assert_eq!(told, asked);
        }
    }
}

#[test]
fn a_registration_is_read_changed_and_ended_with_its_own_token() {
    let play = play(FAPI2_SECURITY);
    let (metadata, registered) = done(&play, &description());
    let registrar = registrar(&play);
    let asked = serde_json::from_slice::<Map<String, Value>>(play.sent()[1].body()).unwrap();
    let mut body = echo(&asked);
    body["registration_access_token"] = "reg-2".into();
    body.as_object_mut().unwrap().remove("registration_client_uri");
    let call = registrar.read(&metadata, &description(), &registered, None).unwrap();
    assert_eq!((call.request.method(), call.request.uri().path()), (&http::Method::GET, "/register/tpp-1"));
    let read = play.answer(call, Reply::new(200, body.clone())).unwrap().granted().unwrap();
    assert_eq!(read.registration_client_uri, registered.registration_client_uri);

    body.as_object_mut().unwrap().remove("registration_access_token");
    let call = registrar.update(&metadata, &description(), &read, None, &play.world()).unwrap();
    assert_eq!(
        (call.request.method(), &call.request.headers()["authorization"]),
        (&http::Method::PUT, &"Bearer reg-2".parse().unwrap())
    );
    let updated = play.answer(call, Reply::new(200, body)).unwrap().granted().unwrap();
    assert_eq!(members(&play)["client_id"], CLIENT_ID);
    assert_eq!(updated.registration_access_token.as_ref().map(ExposeSecret::expose_secret), Some("reg-2"));

    let call = registrar.delete(&metadata, &updated, None).unwrap();
    assert_eq!(call.request.method(), http::Method::DELETE);
    play.answer(call, empty_reply(204)).unwrap();
}

#[test]
fn a_server_without_tokens_for_it_is_managed_below_its_endpoint_with_one_of_ours() {
    let play = play(FAPI2_SECURITY);
    let silent = |reply: &mut Reply| {
        reply.body["registration_client_uri"] = Value::Null;
        reply.body["registration_access_token"] = Value::Null;
        reply.body["client_id"] = json!("a b/c");
    };
    let registered = register(&play, &description(), silent).unwrap().granted().unwrap();
    let metadata = play.discover().unwrap();
    let token = SecretString::from("ours");
    let call = registrar(&play).delete(&metadata, &registered, Some(&token)).unwrap();
    assert_eq!(call.request.uri(), "https://mtls.as.example/register/a%20b%2Fc");
    assert_eq!(call.request.headers()["authorization"], "Bearer ours");
    assert!(call.request.headers()["authorization"].is_sensitive());
}

#[test]
fn a_client_that_is_not_what_was_asked_for_is_handed_over_to_be_ended() {
    let play = play(FAPI2_SECURITY);
    let answered = register(&play, &description(), |reply| reply.without("token_endpoint_auth_method")).unwrap();
    let ungranted = answered.granted().unwrap_err();
    assert_eq!(ungranted.refusal.code, "registration.token_endpoint_auth_method.mismatch");
    let call = registrar(&play).delete(&play.discover().unwrap(), &ungranted.registered, None).unwrap();
    assert_eq!(call.request.uri(), "https://as.example/register/tpp-1");
}

/// Every refusal of a registration.
pub(crate) fn rows() -> Vec<Row> {
    [before_rows(), answer_rows(), granted_rows()].concat()
}

fn before_rows() -> Vec<Row> {
    let none = play(FAPI2_SECURITY).metadata(|reply| {
        reply.without("registration_endpoint");
        reply.without("mtls_endpoint_aliases");
    });
    let signed = || play(Security { registration: RegistrationForm::Jose, ..FAPI1_ADVANCED });
    let stranger = Description { software_statement: Some("no.statement.x".to_owned()), ..description() };
    let http = play(FAPI2_SECURITY)
        .metadata(|reply| reply.body["mtls_endpoint_aliases"]["registration_endpoint"] = json!("http://as.example/x"));
    let without_token = || {
        let play = play(FAPI2_SECURITY);
        let (metadata, registered) = done(&play, &description());
        let registered = Registered { registration_access_token: None, ..registered };
        registrar(&play).read(&metadata, &description(), &registered, None).map(drop).unwrap_err()
    };
    let refused = |code, result: Result<Answered, Refusal>| (code, result.map(drop).expect_err(code));
    let mut broken = play(Security { registration: RegistrationForm::Jwt, ..FAPI2_SECURITY });
    broken.signer = Arc::new(crate::refused::Broken);
    let stated = Description { software_statement: Some(statement()), ..description() };
    vec![
        refused("metadata.registration_endpoint.missing", register(&none, &description(), |_| {})),
        refused("metadata.endpoint.invalid", register(&http, &description(), |_| {})),
        refused("client.software_statement.missing", register(&signed(), &description(), |_| {})),
        refused("client.software_statement.missing", register(&signed(), &stranger, |_| {})),
        refused("client.signing_key.invalid", register(&broken, &stated, |_| {})),
        ("client.registration_access_token.missing", without_token()),
    ]
}

fn answer_rows() -> Vec<Row> {
    let answer = |code, change: fn(&mut Reply)| {
        (code, register(&play(FAPI2_SECURITY), &description(), change).map(drop).expect_err(code))
    };
    let another = || {
        let play = play(FAPI2_SECURITY);
        let (metadata, registered) = done(&play, &description());
        let call = registrar(&play).read(&metadata, &description(), &registered, None).unwrap();
        let mut body = echo(&Map::new());
        body["client_id"] = json!("tpp-2");
        play.answer(call, Reply::new(200, body)).map(drop).unwrap_err()
    };
    vec![
        answer("registration.status.invalid", |reply| reply.status = 200),
        answer("registration.request.refused", |reply| reply.error(400, "unapproved_software_statement")),
        answer("registration.response.invalid", |reply| reply.body = json!([])),
        answer("registration.response.invalid", |reply| reply.body["client_id_issued_at"] = json!("today")),
        answer("registration.client_id.missing", |reply| reply.without("client_id")),
        answer("registration.client_id.invalid", |reply| reply.body["client_id"] = json!("")),
        answer("registration.client_id.invalid", |reply| reply.body["client_id"] = json!("a\nb")),
        answer("registration.client_id.invalid", |reply| reply.body["client_id"] = json!(7)),
        answer("registration.client_id.invalid", |reply| reply.body["client_id"] = json!("x".repeat(2049))),
        ("registration.client_id.mismatch", another()),
        answer("registration.registration_client_uri.invalid", |reply| {
            reply.body["registration_client_uri"] = json!("http://as.example/register/tpp-1");
        }),
        answer("registration.registration_client_uri.invalid", |reply| {
            reply.body["registration_client_uri"] = json!("/register/tpp-1");
        }),
        answer("registration.registration_access_token.invalid", |reply| {
            reply.body["registration_access_token"] = json!("a b");
        }),
        answer("registration.registration_access_token.invalid", |reply| {
            reply.body["registration_access_token"] = json!("");
        }),
    ]
}

fn granted_rows() -> Vec<Row> {
    let play_of = |security: &Security| play(security.clone());
    let ungranted = |code: &'static str, security: &Security, name: &'static str, value: Value| {
        let play = play_of(security);
        let encrypted = registrar(&play).encrypted(KeyEncryption::RsaOaep);
        let metadata = play.discover().unwrap();
        let call = encrypted.register(&metadata, &description(), None, &play.world()).unwrap();
        let mut reply = Reply::new(201, echo(&serde_json::from_slice(call.request.body()).unwrap()));
        reply.body[name] = value;
        (code, play.answer(call, reply).unwrap().granted().expect_err(code).refusal)
    };
    let dpop = Security { binding: TokenBinding::Dpop, ..FAPI2_SECURITY };
    let redirects =
        |uris: Value| ungranted("registration.redirect_uris.mismatch", &FAPI2_SECURITY, "redirect_uris", uris);
    let second = "https://tpp.example/callback/second";
    let mut rows = vec![
        ungranted(
            "registration.token_endpoint_auth_method.mismatch",
            &FAPI2_SECURITY,
            "token_endpoint_auth_method",
            json!("client_secret_basic"),
        ),
        redirects(json!([REDIRECT_URI])),
        redirects(json!([REDIRECT_URI, second, "https://other.example/"])),
        redirects(json!([REDIRECT_URI, "https://tpp.example/callback/other"])),
        redirects(Value::Null),
        ungranted("registration.grant_types.mismatch", &FAPI2_SECURITY, "grant_types", json!(["authorization_code"])),
        ungranted("registration.grant_types.mismatch", &FAPI2_SECURITY, "response_types", json!(["token"])),
    ];
    for (code, security, name) in [
        ("registration.signing_algs.mismatch", &FAPI2_SECURITY, "token_endpoint_auth_signing_alg"),
        ("registration.signing_algs.mismatch", &FAPI2_SECURITY, "id_token_signed_response_alg"),
        ("registration.signing_algs.mismatch", &FAPI2_MESSAGE_SIGNING, "request_object_signing_alg"),
        ("registration.signing_algs.mismatch", &FAPI2_MESSAGE_SIGNING, "authorization_signed_response_alg"),
        ("registration.encryption_algs.mismatch", &FAPI1_ADVANCED, "id_token_encrypted_response_alg"),
        ("registration.encryption_algs.mismatch", &FAPI1_ADVANCED, "id_token_encrypted_response_enc"),
        ("registration.encryption_algs.mismatch", &FAPI2_MESSAGE_SIGNING, "authorization_encrypted_response_alg"),
        ("registration.encryption_algs.mismatch", &FAPI2_MESSAGE_SIGNING, "authorization_encrypted_response_enc"),
        ("registration.token_binding.mismatch", &FAPI2_SECURITY, "tls_client_certificate_bound_access_tokens"),
        ("registration.token_binding.mismatch", &dpop, "dpop_bound_access_tokens"),
    ] {
        rows.push(ungranted(code, security, name, Value::Null));
        rows.push(ungranted(code, security, name, json!("RS256")));
    }
    rows
}
