//! Logins that a user makes elsewhere: what is sent, how long is waited, and what is refused.

use std::borrow::Cow;
use std::num::NonZeroU32;

use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use crate::ciba::{BackchannelRequest, Hint, PendingAuthentication, Ping, Polled};
use crate::client::Client;
use crate::id_token::half_hash;
use crate::metadata::Metadata;
use crate::profile::{Alg, ClientAuth, FAPI1_ADVANCED, FAPI2_SECURITY, Security, TokenBinding, TokenDelivery};
use crate::refusal::Refusal;
use crate::refused::Row;
use crate::request::AuthorizationRequest;
use crate::testing::{
    ACCESS_TOKEN, CLIENT_ID, INTENT, ISSUER, Jwt, Play, REDIRECT_URI, Reply, SUBJECT, empty_reply, form, opened, play,
    start, token_reply,
};
use crate::token::Tokens;

const AUTH_REQ_ID: &str = "1c266114-a1be-4252.8ad1_x";
const AUTH_REQ_ID_CLAIM: &str = "urn:openid:params:jwt:claim:auth_req_id";
const RT_HASH_CLAIM: &str = "urn:openid:params:jwt:claim:rt_hash";

fn ping_delivery() -> Play {
    play(Security { token_delivery: TokenDelivery::Ping, ..FAPI2_SECURITY })
}

fn asked() -> BackchannelRequest {
    BackchannelRequest::new(AuthorizationRequest::scope("openid accounts"), Hint::Login("ada".into()))
}

fn accepted() -> Reply {
    Reply::new(200, json!({ "auth_req_id": AUTH_REQ_ID, "expires_in": 120, "interval": 7 }))
}

/// Asks, and keeps the login through its stored form.
fn begin(
    play: &Play,
    request: &BackchannelRequest,
    reply: Reply,
) -> Result<(Metadata, PendingAuthentication), Refusal> {
    let metadata = play.discover()?;
    let call = play.client().authenticate_elsewhere(&metadata, request, &play.world())?;
    let pending = play.answer(call, reply)?;
    Ok((metadata, PendingAuthentication::from_bytes(&pending.to_bytes()).unwrap()))
}

/// Polls so many seconds after the beginning.
fn poll(
    play: &Play,
    metadata: &Metadata,
    pending: PendingAuthentication,
    after: i64,
    reply: Reply,
) -> Result<Polled, Refusal> {
    let now = start() + SignedDuration::from_secs(after);
    let call = play.client().poll(metadata, pending, &play.world_at(now))?;
    play.answer_at(call, reply, now)
}

fn still_pending(polled: Polled) -> PendingAuthentication {
    match polled {
        Polled::Pending(pending) => PendingAuthentication::from_bytes(&pending.to_bytes()).unwrap(),
        Polled::Redeemed(_) => panic!("the user is not done"),
    }
}

fn oauth_error(error: &str) -> Reply {
    let mut reply = empty_reply(400);
    reply.error(400, error);
    reply
}

/// The token response of a user who agreed, with an ID token that a test may spoil.
fn agreed(play: &Play, change: impl Fn(&mut Jwt)) -> Reply {
    let mut claims = play.id_token_claims(&Map::new());
    claims["at_hash"] = half_hash(ACCESS_TOKEN, play.alg).into();
    claims[AUTH_REQ_ID_CLAIM] = AUTH_REQ_ID.into();
    claims[RT_HASH_CLAIM] = half_hash("refresh-1", play.alg).into();
    claims.as_object_mut().unwrap().remove("nonce");
    let mut jwt = play.jwt(claims);
    change(&mut jwt);
    let mut reply = token_reply();
    if play.security.binding == TokenBinding::Dpop {
        reply.body["token_type"] = "DPoP".into();
    }
    reply.body["id_token"] = jwt.compact().into();
    reply
}

/// A whole decoupled login.
fn run(play: &Play, change: impl Fn(&mut Jwt)) -> Result<Tokens, Refusal> {
    let (metadata, pending) = begin(play, &asked(), accepted())?;
    let keys = play.keys(&metadata)?;
    match poll(play, &metadata, pending, 119, agreed(play, change))? {
        Polled::Redeemed(redeemed) => redeemed.check(&keys, start() + play.check_after),
        Polled::Pending(_) => panic!("the user is done"),
    }
}

fn inside(play: &Play) -> (Value, Map<String, Value>) {
    opened(&form(&play.sent().pop().unwrap())["request"], Alg::Es256)
}

#[test]
fn a_user_is_asked_elsewhere_by_one_signed_request() {
    let play = play(Security {
        acr_values: Cow::Owned(vec!["urn:a".to_owned(), "urn:b".to_owned()]),
        intent_claim: Some("openbanking_intent_id".to_owned()),
        ..FAPI1_ADVANCED
    });
    let mut request = asked();
    request.what.intent = Some(INTENT.to_owned());
    request.what.authorization_details = Some(json!([{ "type": "ais" }]));
    request.binding_message = Some("W4SCT".to_owned());
    request.user_code = Some("1234".into());
    request.requested_expiry = NonZeroU32::new(90);
    let (_, pending) = begin(&play, &request, accepted()).unwrap();
    assert_eq!((pending.issuer(), pending.expires_at()), (ISSUER, start() + SignedDuration::from_secs(120)));

    let sent = play.sent().pop().unwrap();
    assert_eq!(sent.uri(), "https://mtls.as.example/bc-authorize");
    assert_eq!(form(&sent).keys().collect::<Vec<_>>(), ["client_assertion", "client_assertion_type", "request"]);
    let (header, mut claims) = inside(&play);
    assert_eq!(header, json!({ "alg": "ES256", "kid": "ours" }));
    assert!(claims.remove("jti").is_some_and(|jti| jti.as_str().is_some_and(|jti| jti.len() == 22)));
    let now = start().as_second();
    assert_eq!(
        Value::Object(claims),
        json!({
            "iss": CLIENT_ID,
            "aud": ISSUER,
            "iat": now,
            "nbf": now - 10,
            "exp": now + 300,
            "scope": "openid accounts",
            "login_hint": "ada",
            "binding_message": "W4SCT",
            "user_code": "1234",
            "requested_expiry": 90,
            "acr_values": "urn:a urn:b",
            "authorization_details": [{ "type": "ais" }],
            "claims": { "id_token": {
                "openbanking_intent_id": { "essential": true, "value": INTENT },
                "acr": { "essential": true, "values": ["urn:a", "urn:b"] },
            } },
        })
    );
}

/// The standard has no parameter for an essential `acr` of the server's choice but the claims.
#[test]
fn an_acr_of_the_servers_choice_is_asked_for_elsewhere_too() {
    let play = play(Security { acr_required: true, ..FAPI1_ADVANCED });
    begin(&play, &asked(), accepted()).unwrap();
    let claims = inside(&play).1;
    assert_eq!(claims["claims"], json!({ "id_token": { "acr": { "essential": true } } }));
    assert!(!claims.contains_key("acr_values"));
    let values = Cow::Owned(vec!["urn:a".to_owned()]);
    let valued = crate::testing::play(Security { acr_required: true, acr_values: values, ..FAPI1_ADVANCED });
    begin(&valued, &asked(), accepted()).unwrap();
    let claims = inside(&valued).1;
    assert_eq!((claims.get("claims"), &claims["acr_values"]), (None, &json!("urn:a")), "values have a parameter");
    assert_eq!(run(&play, |jwt| jwt.without("acr")).unwrap_err().code, "id_token.acr.missing");
}

#[test]
fn the_user_is_named_in_exactly_one_way() {
    let names = ["login_hint", "login_hint_token", "id_token_hint"];
    let hints = [Hint::Login("x".into()), Hint::LoginToken("x".into()), Hint::IdToken("x".into())];
    for (name, hint) in names.into_iter().zip(hints) {
        let play = play(Security { client_auth: ClientAuth::TlsClientAuth, ..FAPI2_SECURITY });
        begin(&play, &BackchannelRequest { hint, ..asked() }, accepted()).unwrap();
        let claims = inside(&play).1;
        assert_eq!(names.into_iter().filter(|name| claims.contains_key(*name)).collect::<Vec<_>>(), [name]);
        assert!(!claims.contains_key("client_notification_token"));
        assert_eq!(form(&play.sent().pop().unwrap())["client_id"], CLIENT_ID);
    }
}

#[test]
fn the_server_is_asked_as_often_as_it_allows_until_the_user_is_done() {
    let play = play(FAPI2_SECURITY);
    let due = |pending: &PendingAuthentication| pending.next_poll_at().duration_since(start()).as_secs();
    let (metadata, pending) = begin(&play, &asked(), accepted()).unwrap();
    assert_eq!(due(&pending), 7);
    let pending = still_pending(poll(&play, &metadata, pending, 7, oauth_error("authorization_pending")).unwrap());
    assert_eq!(due(&pending), 14);
    let pending = still_pending(poll(&play, &metadata, pending, 20, oauth_error("slow_down")).unwrap());
    assert_eq!(due(&pending), 32);
    let pending = still_pending(poll(&play, &metadata, pending, 32, oauth_error("authorization_pending")).unwrap());
    assert_eq!(due(&pending), 44, "what was slowed down stays slow");
    let pending = pending.delayed(start() + SignedDuration::from_secs(44));
    assert_eq!(due(&pending), 61, "a lost answer slows down too");
    let keys = play.keys(&metadata).unwrap();
    let Polled::Redeemed(redeemed) = poll(&play, &metadata, pending, 61, agreed(&play, |_| {})).unwrap() else {
        panic!("the user is done");
    };
    let tokens = redeemed.check(&keys, start() + play.check_after).unwrap();
    assert_eq!(tokens.identity.unwrap().subject, SUBJECT);

    let sent = play.sent().pop().unwrap();
    assert_eq!(sent.uri(), "https://mtls.as.example/token");
    let mut form = form(&sent);
    assert!(form.remove("client_assertion").is_some() && form.remove("client_assertion_type").is_some());
    let grant = ("grant_type".to_owned(), "urn:openid:params:grant-type:ciba".to_owned());
    assert_eq!(form.into_iter().collect::<Vec<_>>(), [("auth_req_id".to_owned(), AUTH_REQ_ID.to_owned()), grant]);
}

#[test]
fn a_server_that_names_no_interval_is_asked_every_five_seconds() {
    for reply in [
        json!({ "auth_req_id": "a", "expires_in": 9 }),
        json!({ "auth_req_id": "a", "expires_in": 9, "interval": null }),
    ] {
        let (_, pending) = begin(&play(FAPI2_SECURITY), &asked(), Reply::new(200, reply)).unwrap();
        assert_eq!(pending.next_poll_at(), start() + SignedDuration::from_secs(5));
    }
}

#[test]
fn a_ping_is_believed_by_its_token_and_makes_the_next_poll_possible() {
    let play = ping_delivery();
    let (metadata, pending) = begin(&play, &asked(), accepted()).unwrap();
    let token = inside(&play).1["client_notification_token"].as_str().unwrap().to_owned();
    assert_eq!(token.len(), 43, "256 bits");
    let body = json!({ "auth_req_id": AUTH_REQ_ID, "access_token": "pushed", "id_token": "pushed" }).to_string();
    let ping = Ping::parse(Some(&format!("bEARER {token}")), body.as_bytes()).unwrap();
    assert_eq!(ping.tag(), pending.tag());
    assert!(!format!("{ping:?} {pending:?}").contains(&token));
    let soon = start() + SignedDuration::from_secs(1);
    let pending = pending.pinged(&ping, soon).unwrap();
    assert_eq!(pending.next_poll_at(), soon);
    let polled = poll(&play, &metadata, pending, 1, agreed(&play, |_| {})).unwrap();
    assert!(matches!(polled, Polled::Redeemed(_)), "tokens come from the token endpoint alone");
}

#[test]
fn decoupled_tokens_are_bound_to_a_key_of_their_own() {
    let play = play(Security { binding: TokenBinding::Dpop, ..FAPI2_SECURITY });
    let tokens = run(&play, |_| {}).unwrap();
    assert!(play.sent().pop().unwrap().headers().contains_key("dpop"));
    let request = http::Request::get("https://rs.example/accounts").body(bytes::Bytes::new()).unwrap();
    assert!(play.client().resource(request, &tokens, &play.world()).is_ok());
}

#[test]
fn claims_about_request_and_refresh_token_may_be_absent() {
    let silent =
        |jwt: &mut Jwt| [AUTH_REQ_ID_CLAIM, RT_HASH_CLAIM, "at_hash"].iter().for_each(|claim| jwt.without(claim));
    assert!(run(&play(FAPI2_SECURITY), silent).is_ok());
}

/// Every refusal of a decoupled login.
pub(crate) fn rows() -> Vec<Row> {
    [request_rows(), answer_rows(), poll_rows(), id_token_rows(), ping_rows()].concat()
}

fn refused<T>(code: &'static str, result: Result<T, Refusal>) -> Row {
    (code, result.map(drop).expect_err(code))
}

fn request_rows() -> Vec<Row> {
    let metadata =
        |code, change: fn(&mut Reply)| refused(code, begin(&ping_delivery().metadata(change), &asked(), accepted()));
    let message = |text: &str| {
        let request = BackchannelRequest { binding_message: Some(text.to_owned()), ..asked() };
        refused("client.binding_message.invalid", begin(&play(FAPI2_SECURITY), &request, accepted()))
    };
    let mut no_openid = asked();
    no_openid.what.scope = "accounts".to_owned();
    vec![
        metadata("metadata.backchannel_authentication_endpoint.missing", |reply| {
            reply.without("backchannel_authentication_endpoint");
            reply.without("mtls_endpoint_aliases");
        }),
        metadata("metadata.endpoint.invalid", |reply| {
            reply.body["mtls_endpoint_aliases"]["backchannel_authentication_endpoint"] = json!("http://as.example/x");
        }),
        metadata("metadata.backchannel_authentication_request_signing_alg_values_supported.mismatch", |reply| {
            reply.body["backchannel_authentication_request_signing_alg_values_supported"] = json!(["PS256"]);
        }),
        metadata("metadata.backchannel_token_delivery_modes_supported.mismatch", |reply| {
            reply.body["backchannel_token_delivery_modes_supported"] = json!(["poll", "push"]);
        }),
        refused("client.scope.invalid", begin(&play(FAPI2_SECURITY), &no_openid, accepted())),
        message(""),
        message("zwei\nZeilen"),
        message("Überweisung"),
        message(&"x".repeat(65)),
    ]
}

fn answer_rows() -> Vec<Row> {
    let answer = |code, reply: Reply| refused(code, begin(&play(FAPI2_SECURITY), &asked(), reply));
    let member = |code, name: &str, value: Value| {
        let mut reply = accepted();
        reply.body[name] = value;
        answer(code, reply)
    };
    let without = |code, name| {
        let mut reply = accepted();
        reply.without(name);
        answer(code, reply)
    };
    vec![
        answer("ciba.status.invalid", empty_reply(201)),
        answer("ciba.request.refused", oauth_error("unknown_user_id")),
        answer("ciba.response.invalid", Reply::new(200, json!([]))),
        without("ciba.auth_req_id.missing", "auth_req_id"),
        member("ciba.auth_req_id.invalid", "auth_req_id", json!(7)),
        member("ciba.auth_req_id.invalid", "auth_req_id", json!("")),
        member("ciba.auth_req_id.invalid", "auth_req_id", json!("a&b")),
        member("ciba.auth_req_id.invalid", "auth_req_id", json!("x".repeat(1025))),
        without("ciba.expires_in.missing", "expires_in"),
        member("ciba.expires_in.invalid", "expires_in", json!(0)),
        member("ciba.expires_in.invalid", "expires_in", json!("120")),
        member("ciba.expires_in.invalid", "expires_in", json!(86_401)),
        member("ciba.interval.invalid", "interval", json!(0)),
        member("ciba.interval.invalid", "interval", json!(601)),
    ]
}

fn poll_rows() -> Vec<Row> {
    let after = |code, after, reply| {
        let play = play(FAPI2_SECURITY);
        let (metadata, pending) = begin(&play, &asked(), accepted()).unwrap();
        refused(code, poll(&play, &metadata, pending, after, reply))
    };
    let other = || {
        let play = play(FAPI2_SECURITY);
        let (_, pending) = begin(&play, &asked(), accepted()).unwrap();
        let elsewhere = json!({
            "issuer": "https://other.example",
            "authorization_endpoint": "https://other.example/authorize",
            "token_endpoint": "https://other.example/token",
            "pushed_authorization_request_endpoint": "https://other.example/par",
        });
        let metadata = Metadata::parse(
            elsewhere.to_string().as_bytes(),
            "https://other.example",
            crate::metadata::Environment::Production,
            &FAPI2_SECURITY,
        );
        poll(&play, &metadata.unwrap(), pending, 60, empty_reply(200))
    };
    let somebody_else = || {
        let play = play(FAPI2_SECURITY);
        let (metadata, pending) = begin(&play, &asked(), accepted()).unwrap();
        let client = Client::new(FAPI2_SECURITY, "tpp-2", REDIRECT_URI, play.signer.clone());
        let now = start() + SignedDuration::from_secs(60);
        client.poll(&metadata, pending, &play.world_at(now)).map(drop)
    };
    let mut no_id_token = token_reply();
    no_id_token.without("id_token");
    let mut broken = oauth_error("authorization_pending");
    broken.status = 500;
    vec![
        after("ciba.poll.invalid", 6, empty_reply(200)),
        after("ciba.auth_req_id.expired", 120, empty_reply(200)),
        after("ciba.auth_req_id.expired", 60, oauth_error("expired_token")),
        after("ciba.authorization.refused", 60, oauth_error("access_denied")),
        after("token.grant.refused", 60, oauth_error("invalid_grant")),
        after("token.grant.refused", 60, oauth_error("invalid_request")),
        after("token.grant.refused", 60, broken),
        after("token.status.invalid", 60, empty_reply(503)),
        after("token.id_token.missing", 60, no_id_token),
        refused("metadata.issuer.mismatch", other()),
        refused("client.client_id.mismatch", somebody_else()),
    ]
}

fn id_token_rows() -> Vec<Row> {
    let claim = |code, name: &'static str, value: Value| {
        refused(code, run(&play(FAPI2_SECURITY), move |jwt| jwt.claims[name] = value.clone()))
    };
    let past = start().as_second() + 121 - 7 * 86_400;
    vec![
        claim("id_token.auth_req_id.mismatch", AUTH_REQ_ID_CLAIM, json!("of-another-login")),
        claim("id_token.auth_req_id.mismatch", AUTH_REQ_ID_CLAIM, json!(null)),
        claim("id_token.rt_hash.mismatch", RT_HASH_CLAIM, json!("AAAAAAAAAAAAAAAAAAAAAA")),
        claim("id_token.at_hash.mismatch", "at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        claim("id_token.iat.expired", "iat", json!(past)),
        claim("id_token.aud.mismatch", "aud", json!("tpp-2")),
        refused(
            "id_token.signature.invalid",
            run(&play(FAPI2_SECURITY), |jwt| jwt.hand = crate::testing::Hand::Nobody),
        ),
    ]
}

fn ping_rows() -> Vec<Row> {
    let named = json!({ "auth_req_id": AUTH_REQ_ID }).to_string();
    let parse =
        |code, authorization: Option<&str>, body: &str| refused(code, Ping::parse(authorization, body.as_bytes()));
    let pinged = |code, play: Play, change: fn(String) -> String, id: &str| {
        let (_, pending) = begin(&play, &asked(), accepted()).unwrap();
        let token = inside(&play).1.get("client_notification_token").and_then(Value::as_str).unwrap_or("t").to_owned();
        let body = json!({ "auth_req_id": id }).to_string();
        let ping = Ping::parse(Some(&format!("Bearer {}", change(token))), body.as_bytes()).unwrap();
        refused(code, pending.pinged(&ping, start()))
    };
    let token_mismatch = "ping.notification_token.mismatch";
    vec![
        parse("ping.notification_token.missing", None, &named),
        parse("ping.notification_token.missing", Some("Basic abc"), &named),
        parse("ping.notification_token.missing", Some("Bearer  "), &named),
        parse("ping.body.invalid", Some("Bearer t"), "auth_req_id=1"),
        parse("ping.body.invalid", Some("Bearer t"), "{}"),
        pinged(token_mismatch, ping_delivery(), |token| token + "x", AUTH_REQ_ID),
        pinged(token_mismatch, ping_delivery(), |token| token[1..].to_owned(), AUTH_REQ_ID),
        pinged(token_mismatch, play(FAPI2_SECURITY), |token| token, AUTH_REQ_ID),
        pinged("ping.auth_req_id.mismatch", ping_delivery(), |token| token, "of-another-login"),
    ]
}
