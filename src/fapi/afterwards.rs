//! What can go wrong after a login: renewing its tokens, asking about them, giving them back.

use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::ecosystems::cdr;
use crate::keys::KeySet;
use crate::metadata::{Environment, Metadata};
use crate::profile::{Alg, FAPI2_SECURITY};
use crate::refused::Row;
use crate::testing::{
    ACCESS_TOKEN, CLIENT_ID, Play, REDIRECT_URI, Reply, empty_reply, metadata_document, play, start, token_reply,
};
use crate::token::{TokenHint, Tokens};

fn plain() -> Play {
    play(FAPI2_SECURITY)
}

/// Every refusal after a login.
pub(crate) fn rows() -> Vec<Row> {
    [later_rows(), introspection_rows(), mix_up_rows()].concat()
}

fn later_rows() -> Vec<Row> {
    let play = plain();
    let (metadata, tokens) = play.run_with_metadata().unwrap();
    let refresh = |reply| play.refresh(&metadata, &tokens, reply);
    let revoke = |reply| {
        let call = play.client().revoke(&metadata, &tokens, TokenHint::AccessToken, &play.world());
        play.answer(call.unwrap(), reply).unwrap_err()
    };
    let mut burnt = empty_reply(0);
    burnt.error(400, "invalid_grant");
    let mut unsupported = empty_reply(0);
    unsupported.error(400, "unsupported_token_type");
    let wider = |scope: &str| {
        let mut reply = token_reply();
        reply.body["scope"] = json!(scope);
        reply
    };
    let again = |name: &'static str, value: Value| {
        let before = play.id_token_claims(&Map::new());
        let mut jwt = play.jwt(before);
        jwt.claims[name] = value;
        let mut reply = token_reply();
        reply.body["id_token"] = jwt.compact().into();
        refresh(reply).unwrap_err()
    };
    let readable = |jwt: &str| {
        let mut reply = token_reply();
        reply.body["id_token"] = json!(jwt);
        refresh(reply).unwrap_err()
    };
    let headed = |name: &str, value: Value| {
        let mut jwt = play.jwt(play.id_token_claims(&Map::new()));
        jwt.header[name] = value;
        readable(&jwt.compact())
    };
    let details = |details: Value| {
        let mut reply = token_reply();
        reply.body["authorization_details"] = details;
        refresh(reply).unwrap_err()
    };
    let mut dpop = token_reply();
    dpop.body["token_type"] = json!("dpop");
    let without_refresh = Tokens { refresh_token: None, ..tokens.clone() };
    let nothing_to_refresh = play.client().refresh(&metadata, &without_refresh, &play.world()).unwrap_err();
    let nothing_to_revoke = play.client().revoke(&metadata, &without_refresh, TokenHint::RefreshToken, &play.world());

    let closed = plain().metadata(|reply| {
        reply.without("revocation_endpoint");
        reply.without("mtls_endpoint_aliases");
    });
    let (closed_metadata, _) = closed.run_with_metadata().unwrap();
    let nowhere = closed.client().revoke(&closed_metadata, &tokens, TokenHint::AccessToken, &closed.world());

    vec![
        ("token.grant.refused", refresh(burnt).unwrap_err()),
        ("token.status.invalid", refresh(empty_reply(500)).unwrap_err()),
        ("token.token_type.mismatch", refresh(dpop).unwrap_err()),
        ("token.scope.mismatch", refresh(wider("openid accounts payments")).unwrap_err()),
        ("id_token.sub.mismatch", again("sub", json!("somebody else"))),
        ("id_token.auth_time.mismatch", again("auth_time", json!(start().as_second() + 101))),
        ("id_token.nonce.mismatch", again("nonce", json!("of another login"))),
        ("id_token.iss.mismatch", again("iss", json!("https://other.example/"))),
        ("id_token.aud.mismatch", again("aud", json!("tpp-2"))),
        ("id_token.azp.mismatch", again("azp", json!("tpp-2"))),
        ("id_token.aud.untrusted", again("aud", json!([CLIENT_ID, "tpp-2"]))),
        ("id_token.exp.expired", again("exp", json!(1))),
        ("id_token.claims.invalid", again("exp", json!("tomorrow"))),
        ("id_token.iat.missing", again("iat", Value::Null)),
        ("id_token.nbf.invalid", again("nbf", json!(start().as_second() + 61))),
        ("id_token.format.invalid", headed("crit", json!(["exp"]))),
        ("id_token.format.invalid", headed("typ", json!("at+jwt"))),
        ("id_token.alg.mismatch", headed("alg", json!("none"))),
        ("id_token.alg.mismatch", headed("alg", json!("RS256"))),
        ("id_token.format.invalid", readable("not a token")),
        ("token.authorization_details.mismatch", details(json!([{ "type": "payment_initiation" }]))),
        ("token.authorization_details.invalid", details(json!("x"))),
        ("token.refresh_token.missing", nothing_to_refresh),
        ("token.refresh_token.missing", nothing_to_revoke.unwrap_err()),
        ("metadata.revocation_endpoint.missing", nowhere.map(drop).unwrap_err()),
        ("revocation.status.invalid", revoke(empty_reply(503))),
        ("revocation.token.refused", revoke(unsupported)),
    ]
}

fn introspection_rows() -> Vec<Row> {
    let play = plain();
    let (metadata, tokens) = play.run_with_metadata().unwrap();
    let ask = |status: u16, body: Value| {
        let call = play.client().introspect(&metadata, &tokens, TokenHint::AccessToken, &play.world());
        play.answer(call.unwrap(), Reply::new(status, body)).unwrap_err()
    };
    let none = plain().metadata(|reply| {
        reply.without("introspection_endpoint");
        reply.without("mtls_endpoint_aliases");
    });
    let metadata = none.discover().unwrap();
    let nowhere = none.client().introspect(&metadata, &tokens, TokenHint::AccessToken, &none.world());
    vec![
        ("metadata.introspection_endpoint.missing", nowhere.map(drop).unwrap_err()),
        ("introspection.status.invalid", ask(500, json!({}))),
        ("introspection.token.refused", ask(401, json!({ "error": "invalid_client" }))),
        ("introspection.response.invalid", ask(200, json!({}))),
        ("introspection.response.invalid", ask(200, json!({ "active": "true" }))),
        ("introspection.response.invalid", ask(200, json!({ "active": true, "exp": "tomorrow" }))),
    ]
}

/// What a server issued to a client is shown to no other server, and by no other client.
fn mix_up_rows() -> Vec<Row> {
    let play = cdr();
    let (metadata, tokens) = play.run_with_metadata().unwrap();
    let mut other = metadata_document(Alg::Es256);
    other["issuer"] = json!("https://other.example");
    let other = other.to_string();
    let other = Metadata::parse(other.as_bytes(), "https://other.example", Environment::Production, &play.security);
    let (elsewhere, us) = (other.unwrap(), play.client());
    let somebody = Client::new(play.security.clone(), "tpp-2", REDIRECT_URI, play.signer.clone());
    let code = || {
        let keys = play.keys(&metadata).unwrap();
        play.come_back(play.push(&metadata).unwrap().login, &keys).unwrap()
    };
    let mut rows = Vec::new();
    for (row, client, server) in
        [("metadata.issuer.mismatch", &us, &elsewhere), ("client.client_id.mismatch", &somebody, &metadata)]
    {
        let (hint, world) = (TokenHint::AccessToken, play.world());
        let keys = KeySet::empty();
        rows.extend(
            [
                client.redeem(server, code(), &world).map(drop),
                client.refresh(server, &tokens, &world).map(drop),
                client.revoke(server, &tokens, hint, &world).map(drop),
                client.revoke_arrangement(server, &tokens, &world).map(drop),
                client.introspect(server, &tokens, hint, &world).map(drop),
                client.introspect_signed(server, &tokens, hint, keys, &world).map(drop),
            ]
            .map(|shown| (row, shown.unwrap_err())),
        );
    }
    let request = http::Request::get("https://rs.example/accounts").body(bytes::Bytes::new()).unwrap();
    let shown = somebody.resource(request, &tokens, &play.world()).map(drop);
    rows.push(("client.client_id.mismatch", shown.unwrap_err()));
    rows
}

/// RFC 6749 §6: a server that gives a new refresh token takes the old one for used, whatever else it answers.
#[test]
fn a_refresh_token_that_came_with_a_refused_answer_is_kept() {
    let play = plain();
    let (metadata, tokens) = play.run_with_metadata().unwrap();
    for (rotated, next) in [(json!("rotated"), "rotated"), (Value::Null, "refresh-1"), (json!("a\nb"), "refresh-1")] {
        let mut reply = token_reply();
        reply.body["scope"] = json!("openid accounts payments");
        reply.body["access_token"] = json!("of-another");
        reply.body["refresh_token"] = rotated;
        let call = play.client().refresh(&metadata, &tokens, &play.world()).unwrap();
        let unusable = play.answer(call, reply).unwrap().granted().unwrap_err();
        assert_eq!(unusable.refusal.code, "token.scope.mismatch");
        assert_eq!(unusable.kept.refresh_token.as_ref().unwrap().expose_secret(), next);
        assert_eq!(unusable.kept.access_token.expose_secret(), ACCESS_TOKEN);
        assert!(!format!("{unusable:?}").contains(next));
        assert!(play.refresh(&metadata, &unusable.kept, token_reply()).is_ok());
    }
}
