//! Ecosystems as what they are here: values of a profile. Each is written as in a profile file, and none is named by the
//! code that it drives.

use serde_json::{Map, Value, json};

use crate::arrangement::{Withdrawal, Withdrawn};
use crate::login::PendingLogin;
use crate::profile::{Alg, FAPI2_SECURITY, IdTokenEncryption, KeyEncryption, RegistrationForm, Security, Settings};
use crate::refusal::Refusal;
use crate::refused::{Row, encrypted, refused};
use crate::testing::{
    ARRANGEMENT, CLIENT_ID, Hand, INTENT, ISSUER, Jwt, Play, Reply, SUBJECT, empty_reply, form, play, start,
    token_reply,
};
use crate::token::{TokenHint, Tokens};

fn profile(text: Value) -> Security {
    serde_json::from_value::<Settings>(text).unwrap().resolve().unwrap()
}

/// UK Open Banking: FAPI 1.0 Advanced, hybrid, with the consent and the strength of the login in claims.
fn uk() -> Play {
    let mut play = play(profile(json!({
        "profile": "fapi1-advanced",
        "request": "signed_by_value",
        "intent_claim": "openbanking_intent_id",
        "acr_values": ["urn:openbanking:psd2:sca", "urn:openbanking:psd2:ca"],
        "registration": "jose",
    })));
    play.intent = Some(INTENT.to_owned());
    play
}

/// Consumer Data Right: FAPI 1.0 Advanced, pushed, with JARM.
pub(crate) fn cdr() -> Play {
    let mut play = play(profile(json!({
        "profile": "fapi1-advanced",
        "request": "signed",
        "response": "jarm",
        "acr_values": ["urn:openbanking:psd2:sca", "urn:cds.au:cdr:2", "urn:cds.au:cdr:3"],
        "duration_claim": "sharing_duration",
        "arrangement_claim": "cdr_arrangement_id",
        "registration": "jwt",
    })));
    play.sharing_seconds = Some(7_776_000);
    play
}

/// Open Finance Brasil: FAPI 1.0 Advanced, pushed, with encrypted ID tokens and one algorithm.
fn brazil() -> Play {
    let mut play = play(profile(json!({
        "profile": "fapi1-advanced",
        "request": "signed",
        "algs": ["PS256"],
        "acr_required": true,
        "id_token_encryption": "required",
    })));
    play.alg = Alg::Ps256;
    play.signer = std::sync::Arc::new(crate::testing::signer(Alg::Ps256, "ours"));
    play.encryption = Some(KeyEncryption::RsaOaep);
    play.scope = "openid consent:urn:bank:C1 accounts".to_owned();
    play
}

#[test]
fn in_the_uk_a_consent_is_named_in_claims_and_compared_on_return() {
    let play = uk();
    let identity = play.run().unwrap().identity.unwrap();
    assert_eq!(identity.acr.as_deref(), Some("urn:openbanking:psd2:sca"));
    assert_eq!(
        play.pushed_parameters()["claims"]["id_token"]["openbanking_intent_id"],
        json!({ "essential": true, "value": INTENT })
    );
    assert_eq!(play.security.registration, RegistrationForm::Jose);
}

#[test]
fn in_australia_the_sharing_is_told_and_the_arrangement_comes_back() {
    let new = cdr();
    let (metadata, tokens) = new.run_with_metadata().unwrap();
    assert_eq!(tokens.arrangement.as_deref(), Some(ARRANGEMENT));
    let parameters = new.pushed_parameters();
    assert_eq!((&parameters["response_type"], &parameters["response_mode"]), (&json!("code"), &json!("jwt")));
    assert_eq!(
        parameters["claims"],
        json!({
            "sharing_duration": 7_776_000,
            "id_token": { "acr": {
                "essential": true, "values": ["urn:openbanking:psd2:sca", "urn:cds.au:cdr:2", "urn:cds.au:cdr:3"],
            } },
        })
    );
    let mut changed = cdr();
    changed.arrangement = Some("arrangement-7".to_owned());
    assert_eq!(changed.run().unwrap().arrangement.as_deref(), Some("arrangement-7"));
    assert_eq!(changed.pushed_parameters()["claims"]["cdr_arrangement_id"], "arrangement-7");

    // What is renewed stays in its arrangement, named or not.
    for named in [Value::Null, json!(ARRANGEMENT)] {
        let mut reply = token_reply();
        reply.body["cdr_arrangement_id"] = named;
        assert_eq!(new.refresh(&metadata, &tokens, reply).unwrap().arrangement.as_deref(), Some(ARRANGEMENT));
    }
    // Not even a profile that knows no arrangements any more loses it.
    let mut forgetful = cdr();
    forgetful.security.arrangement_claim = None;
    let kept = forgetful.refresh(&metadata, &tokens, token_reply()).unwrap();
    assert_eq!(kept.arrangement.as_deref(), Some(ARRANGEMENT));
    let call = new.client().introspect(&metadata, &tokens, TokenHint::RefreshToken, &new.world());
    let reply = Reply::new(200, json!({ "active": true, "cdr_arrangement_id": ARRANGEMENT }));
    assert_eq!(new.answer(call.unwrap(), reply).unwrap().arrangement.as_deref(), Some(ARRANGEMENT));
}

#[test]
fn an_arrangement_is_ended_by_its_name() {
    let play = cdr();
    let (metadata, tokens) = play.run_with_metadata().unwrap();
    let call = play.client().revoke_arrangement(&metadata, &tokens, &play.world()).unwrap();
    play.answer(call, empty_reply(204)).unwrap();
    let sent = play.sent().pop().unwrap();
    assert_eq!(sent.uri(), "https://mtls.as.example/arrangements/revoke");
    let form = form(&sent);
    assert_eq!(form["cdr_arrangement_id"], ARRANGEMENT);
    assert!(form.contains_key("client_assertion"));
}

#[test]
fn in_brazil_the_request_is_pushed_and_the_id_token_comes_encrypted() {
    let play = brazil();
    let tokens = play.run().unwrap();
    assert_eq!(tokens.scope, "openid consent:urn:bank:C1 accounts");
    let par = play.sent().into_iter().find(|request| request.uri().path() == "/par").unwrap();
    assert_eq!(par.uri(), "https://mtls.as.example/par");
    assert_eq!(play.pushed_parameters()["claims"], json!({ "id_token": { "acr": { "essential": true } } }));
}

#[test]
fn less_than_was_asked_for_is_told_and_more_is_taken_only_without_fapi() {
    let narrow = play(FAPI2_SECURITY).token(|reply| reply.body["scope"] = json!("openid"));
    let (metadata, tokens) = narrow.run_with_metadata().unwrap();
    assert_eq!((tokens.scope.as_str(), tokens.not_granted.as_slice()), ("openid", &["accounts".to_owned()][..]));
    let mut reply = token_reply();
    reply.without("scope");
    let refreshed = narrow.refresh(&metadata, &tokens, reply).unwrap();
    assert_eq!((refreshed.scope.as_str(), refreshed.not_granted), ("openid", tokens.not_granted));

    let wide =
        play(crate::profile::OAUTH_PKCE).token(|reply| reply.body["scope"] = json!(" openid  accounts payments"));
    let tokens = wide.run().unwrap();
    assert_eq!((tokens.scope.as_str(), tokens.not_granted.len()), (" openid  accounts payments", 0));
}

#[test]
fn a_refreshed_id_token_of_the_same_user_is_fine_encrypted_or_not() {
    for encryption in [None, Some(KeyEncryption::RsaOaep256)] {
        let mut play = play(FAPI2_SECURITY);
        play.encryption = encryption;
        let (metadata, tokens) = play.run_with_metadata().unwrap();
        let refresh = |claim: &str, value: Value| {
            let mut jwt = play.jwt(play.id_token_claims(&Map::new()));
            jwt.claims[claim] = value;
            let mut reply = token_reply();
            reply.body["id_token"] = jwt.compact().into();
            play.refresh(&metadata, &tokens, reply)
        };
        assert!(refresh("sub", json!(SUBJECT)).is_ok());
        assert_eq!(refresh("sub", json!("somebody else")).unwrap_err().code, "id_token.sub.mismatch");
        // A server may leave these away; what it repeats is of the login that began the grant.
        let login = tokens.identity.as_ref().unwrap();
        assert!(refresh("auth_time", Value::Null).is_ok());
        assert!(refresh("nonce", json!(login.nonce)).is_ok());
    }
}

/// Asks for a signed answer about a token; a test may spoil it.
fn introspected(change: impl Fn(&mut Jwt)) -> Result<crate::introspection::Introspection, Refusal> {
    let play = play(FAPI2_SECURITY);
    let (metadata, tokens) = play.run_with_metadata()?;
    let keys = play.keys(&metadata)?;
    let told = json!({ "active": true, "scope": "accounts" });
    let mut jwt = play.jwt(json!({
        "iss": ISSUER, "aud": CLIENT_ID, "iat": start().as_second(), "token_introspection": told,
    }));
    jwt.header["typ"] = json!("token-introspection+jwt");
    change(&mut jwt);
    let call = play.client().introspect_signed(&metadata, &tokens, TokenHint::AccessToken, keys, &play.world())?;
    assert_eq!(call.request.headers()["accept"], "application/token-introspection+jwt");
    let mut reply = empty_reply(200);
    reply.raw = Some(jwt.compact().into_bytes());
    play.answer(call, reply)
}

#[test]
fn a_server_signs_what_it_knows_of_a_token() {
    let known = introspected(|_| {}).unwrap();
    assert_eq!((known.active, known.scope.as_deref()), (true, Some("accounts")));
    assert!(introspected(|jwt| jwt.claims["aud"] = json!(["x", CLIENT_ID])).is_ok());
    for skew in [-60, 60] {
        assert!(introspected(|jwt| jwt.claims["iat"] = json!(start().as_second() + skew)).is_ok());
    }
}

const HOLDER: &str = "brand-7";
const OUR_END_POINT: &str = "https://tpp.example/arrangements/revoke";

/// The call of a bank that an arrangement has ended; a test may spoil the assertion, the notice or the form.
fn withdrawn(
    assertion: impl Fn(&mut Jwt),
    notice: impl Fn(&mut Jwt),
    form: impl Fn(&mut Vec<(&str, String)>),
) -> Result<Withdrawn, Refusal> {
    let play = play(FAPI2_SECURITY);
    let keys = play.keys(&play.discover()?)?;
    let exp = start().as_second() + 60;
    let claims = json!({ "iss": HOLDER, "sub": HOLDER, "aud": OUR_END_POINT, "jti": "call-1", "exp": exp });
    let (mut caller, mut told) = (play.jwt(claims), play.jwt(json!({ "cdr_arrangement_id": ARRANGEMENT })));
    assertion(&mut caller);
    notice(&mut told);
    let mut fields = vec![("cdr_arrangement_jwt", told.compact())];
    form(&mut fields);
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let withdrawal = Withdrawal::parse(Some(&format!("Bearer {}", caller.compact())), body.as_bytes())?;
    assert_eq!(format!("{withdrawal:?}"), "Withdrawal(..)");
    withdrawal.verify(HOLDER, OUR_END_POINT, &keys, &[Alg::Es256], start())
}

#[test]
fn a_bank_ends_an_arrangement_by_two_signed_words() {
    let expected = Withdrawn {
        arrangement: ARRANGEMENT.to_owned(),
        jti: "call-1".to_owned(),
        expires_at: start() + jiff::SignedDuration::from_secs(60),
    };
    assert_eq!(withdrawn(|_| {}, |_| {}, |_| {}), Ok(expected.clone()));
    let full = |jwt: &mut Jwt| {
        (jwt.claims["iss"], jwt.claims["sub"]) = (json!(HOLDER), json!(HOLDER));
        (jwt.claims["aud"], jwt.claims["exp"]) = (json!([OUR_END_POINT]), json!(start().as_second() + 1));
    };
    let doubled = withdrawn(|_| {}, full, |form| form.push(("cdr_arrangement_id", ARRANGEMENT.to_owned())));
    assert_eq!(doubled, Ok(expected));
    let brief = withdrawn(|_| {}, |jwt| jwt.claims["iss"] = json!(HOLDER), |_| {});
    assert_eq!(brief.unwrap().arrangement, ARRANGEMENT, "what the notice says is right, and it need not say all");
    let typed = |jwt: &mut Jwt| jwt.header["typ"] = json!("client-authentication+jwt");
    assert!(withdrawn(typed, typed, |_| {}).is_ok());
    let claimed =
        |assertion: &str| Withdrawal::parse(Some(assertion), b"cdr_arrangement_jwt=x").unwrap().claimed_holder();
    assert_eq!(claimed("Bearer e30.eyJpc3MiOiJicmFuZC03In0.x").as_deref(), Some(HOLDER));
    assert_eq!(claimed("Bearer x"), None);
    let named = |notice: &str| {
        let body = format!("cdr_arrangement_jwt={notice}");
        Withdrawal::parse(Some("Bearer x"), body.as_bytes()).unwrap().claimed_arrangement()
    };
    assert_eq!(named("e30.eyJjZHJfYXJyYW5nZW1lbnRfaWQiOiJhcnItMSJ9.x").as_deref(), Some("arr-1"));
    assert_eq!(named("e30.e30.x"), None);
}

fn withdrawal_rows() -> Vec<Row> {
    let spoiled = |code, result: Result<Withdrawn, Refusal>| (code, result.map(drop).expect_err(code));
    let caller = |code, change: fn(&mut Jwt)| spoiled(code, withdrawn(change, |_| {}, |_| {}));
    let notice = |code, change: fn(&mut Jwt)| spoiled(code, withdrawn(|_| {}, change, |_| {}));
    let form = |code, change: fn(&mut Vec<(&str, String)>)| spoiled(code, withdrawn(|_| {}, |_| {}, change));
    let parsed =
        |code, authorization| (code, Withdrawal::parse(authorization, b"cdr_arrangement_jwt=x").expect_err(code));
    vec![
        parsed("withdrawal.authorization.missing", None),
        parsed("withdrawal.authorization.missing", Some("Basic x")),
        form("withdrawal.format.invalid", |form| form.retain(|_| false)),
        form("withdrawal.format.invalid", |form| form.push(("cdr_arrangement_jwt", "x".to_owned()))),
        form("withdrawal.format.invalid", |form| form.push(("padding", "x".repeat(16 * 1024)))),
        form("withdrawal.format.invalid", |form| {
            form.extend([("cdr_arrangement_id", ARRANGEMENT.to_owned()), ("cdr_arrangement_id", "other".to_owned())]);
        }),
        form("withdrawal.cdr_arrangement_id.mismatch", |form| form.push(("cdr_arrangement_id", "other".to_owned()))),
        caller("withdrawal.format.invalid", |jwt| jwt.claims = json!("claims")),
        caller("withdrawal.alg.mismatch", |jwt| (jwt.header["alg"], jwt.hand) = (json!("none"), Hand::Nobody)),
        caller("withdrawal.kid.untrusted", |jwt| jwt.header["kid"] = json!("unknown")),
        caller("withdrawal.signature.invalid", |jwt| jwt.hand = Hand::Nobody),
        caller("withdrawal.iss.mismatch", |jwt| jwt.claims["iss"] = json!("brand-8")),
        caller("withdrawal.iss.mismatch", |jwt| jwt.without("sub")),
        caller("withdrawal.aud.mismatch", |jwt| jwt.claims["aud"] = json!("https://other.example/")),
        caller("withdrawal.aud.mismatch", |jwt| jwt.without("aud")),
        caller("withdrawal.exp.expired", |jwt| jwt.claims["exp"] = json!(start().as_second())),
        caller("withdrawal.exp.expired", |jwt| jwt.without("exp")),
        caller("withdrawal.nbf.invalid", |jwt| jwt.claims["nbf"] = json!(start().as_second() + 61)),
        caller("withdrawal.format.invalid", |jwt| jwt.header["typ"] = json!("at+jwt")),
        caller("withdrawal.jti.missing", |jwt| jwt.without("jti")),
        caller("withdrawal.jti.missing", |jwt| jwt.claims["jti"] = json!("")),
        notice("withdrawal.signature.invalid", |jwt| jwt.hand = Hand::Nobody),
        notice("withdrawal.iss.mismatch", |jwt| jwt.claims["iss"] = json!("brand-8")),
        notice("withdrawal.nbf.invalid", |jwt| jwt.claims["nbf"] = json!("soon")),
        notice("withdrawal.iss.mismatch", |jwt| jwt.claims["sub"] = json!("brand-8")),
        notice("withdrawal.aud.mismatch", |jwt| jwt.claims["aud"] = json!("https://other.example/")),
        notice("withdrawal.exp.expired", |jwt| jwt.claims["exp"] = json!(start().as_second())),
        notice("withdrawal.cdr_arrangement_id.missing", |jwt| jwt.without("cdr_arrangement_id")),
        notice("withdrawal.cdr_arrangement_id.missing", |jwt| jwt.claims["cdr_arrangement_id"] = json!("")),
    ]
}

/// Every refusal that only some ecosystems know.
pub(crate) fn rows() -> Vec<Row> {
    [introspection_rows(), arrangement_rows(), withdrawal_rows(), encryption_rows()].concat()
}

fn introspection_rows() -> Vec<Row> {
    let row = |code, change: fn(&mut Jwt)| (code, introspected(change).map(drop).expect_err(code));
    vec![
        row("introspection.format.invalid", |jwt| jwt.header["typ"] = json!("JWT")),
        row("introspection.format.invalid", |jwt| {
            jwt.claims["padding"] = "x".repeat(domain::limits::AUTH_BODY_BYTES_MAX).into();
        }),
        row("introspection.nbf.invalid", |jwt| jwt.claims["nbf"] = json!(start().as_second() + 61)),
        row("introspection.format.invalid", |jwt| jwt.header.as_object_mut().unwrap().retain(|name, _| name != "typ")),
        row("introspection.alg.mismatch", |jwt| (jwt.header["alg"], jwt.hand) = (json!("none"), Hand::Nobody)),
        row("introspection.kid.untrusted", |jwt| jwt.header["kid"] = json!("unknown")),
        row("introspection.signature.invalid", |jwt| jwt.hand = Hand::Nobody),
        row("introspection.iss.mismatch", |jwt| jwt.claims["iss"] = json!("https://other.example/")),
        row("introspection.iss.mismatch", |jwt| jwt.without("iss")),
        row("introspection.aud.mismatch", |jwt| jwt.claims["aud"] = json!(["tpp-2"])),
        row("introspection.aud.mismatch", |jwt| jwt.without("aud")),
        row("introspection.iat.expired", |jwt| jwt.claims["iat"] = json!(start().as_second() - 61)),
        row("introspection.iat.expired", |jwt| jwt.claims["iat"] = json!(start().as_second() + 61)),
        row("introspection.iat.expired", |jwt| jwt.without("iat")),
        row("introspection.response.invalid", |jwt| jwt.without("token_introspection")),
        row("introspection.response.invalid", |jwt| jwt.claims["token_introspection"] = json!({ "scope": "a" })),
    ]
}

fn arrangement_rows() -> Vec<Row> {
    let changing = || {
        let mut play = cdr();
        play.arrangement = Some("arrangement-7".to_owned());
        play
    };
    let renamed = |reply: &mut Reply| reply.body["cdr_arrangement_id"] = json!("arrangement-8");
    let mut unknown_claim = play(FAPI2_SECURITY);
    unknown_claim.arrangement = Some(ARRANGEMENT.to_owned());
    let mut unknown_duration = play(FAPI2_SECURITY);
    unknown_duration.sharing_seconds = Some(1);
    let renewed = || {
        let play = cdr();
        let (metadata, tokens) = play.run_with_metadata().unwrap();
        let mut reply = token_reply();
        renamed(&mut reply);
        play.refresh(&metadata, &tokens, reply).unwrap_err()
    };
    let end = |play: Play, reply: Reply| {
        let (metadata, tokens) = play.run_with_metadata().unwrap();
        let call = play.client().revoke_arrangement(&metadata, &tokens, &play.world());
        call.and_then(|call| play.answer(call, reply)).unwrap_err()
    };
    let nowhere = cdr().metadata(|reply| {
        reply.without("cdr_arrangement_revocation_endpoint");
        reply.without("mtls_endpoint_aliases");
    });
    let urn = "urn:au-cds:error:cds-all:Authorisation/InvalidArrangement";
    let unknown = Reply::new(422, json!({ "errors": [{ "code": urn, "title": "words of the bank" }] }));
    let nothing = || {
        let play = cdr();
        let (metadata, tokens) = play.run_with_metadata().unwrap();
        let tokens = Tokens { arrangement: None, ..tokens };
        play.client().revoke_arrangement(&metadata, &tokens, &play.world()).map(drop).unwrap_err()
    };
    vec![
        ("token.cdr_arrangement_id.missing", nothing()),
        refused("client.arrangement.invalid", unknown_claim),
        refused("client.arrangement.invalid", unknown_duration),
        refused("token.cdr_arrangement_id.missing", cdr().token(|reply| reply.without("cdr_arrangement_id"))),
        refused("token.cdr_arrangement_id.missing", cdr().token(|reply| reply.body["cdr_arrangement_id"] = json!(""))),
        refused("token.cdr_arrangement_id.mismatch", changing().token(renamed)),
        ("token.cdr_arrangement_id.mismatch", renewed()),
        ("client.arrangement.invalid", end(play(FAPI2_SECURITY), empty_reply(204))),
        ("metadata.cdr_arrangement_revocation_endpoint.missing", end(nowhere, empty_reply(204))),
        ("arrangement.status.invalid", end(cdr(), empty_reply(200))),
        ("arrangement.revocation.refused", end(cdr(), unknown)),
        ("arrangement.revocation.refused", {
            let mut reply = empty_reply(0);
            reply.error(401, "invalid_client");
            end(cdr(), reply)
        }),
    ]
}

fn encryption_rows() -> Vec<Row> {
    let required = Security { id_token_encryption: IdTokenEncryption::Required, ..FAPI2_SECURITY };
    let renewed = {
        let play = encrypted(required.clone());
        let (metadata, tokens) = play.run_with_metadata().unwrap();
        let mut jwt = play.jwt(play.id_token_claims(&Map::new()));
        jwt.envelope = None;
        let mut reply = token_reply();
        reply.body["id_token"] = jwt.compact().into();
        play.refresh(&metadata, &tokens, reply).unwrap_err()
    };
    vec![
        ("id_token.encryption.missing", renewed),
        refused("id_token.encryption.missing", play(required.clone())),
        refused("id_token.encryption.missing", encrypted(required).id_token(|jwt| jwt.envelope = None)),
        refused("id_token.encryption.missing", brazil().front(|jwt| jwt.envelope = None)),
        refused("id_token.acr.missing", brazil().id_token(|jwt| jwt.without("acr"))),
    ]
}

#[test]
fn a_login_and_tokens_stored_before_there_were_ecosystems_are_still_read() {
    let play = play(FAPI2_SECURITY);
    let metadata = play.discover().unwrap();
    let aged = |bytes: &[u8], added: &[&str]| {
        let mut value: Value = serde_json::from_slice(bytes).unwrap();
        for object in ["/asked", ""] {
            if let Some(Value::Object(members)) = value.pointer_mut(object) {
                members.retain(|name, _| !added.contains(&name.as_str()));
            }
        }
        value.to_string().into_bytes()
    };
    let login = play.push(&metadata).unwrap().login.to_bytes();
    assert!(PendingLogin::from_bytes(&aged(&login, &["acr_required", "arrangement", "duration", "encrypted"])).is_ok());
    let tokens = play.run().unwrap().to_bytes();
    let tokens =
        Tokens::from_bytes(&aged(&tokens, &["not_granted", "arrangement", "issuer", "client_id", "grant_scope"]));
    let tokens = tokens.unwrap();
    assert!(tokens.not_granted.is_empty());
    assert!(play.refresh(&metadata, &tokens, token_reply()).is_ok(), "they are believed to be ours");
}
