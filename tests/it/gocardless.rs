//! The surface of GoCardless Bank Account Data where it says no: bodies, statuses and headers that clients tell apart, and
//! what belongs to somebody else. The whole way of the official clients is in `tests/interop/clients.rs`.

use bytes::Bytes;
use domain::consent::RevokedBy;
use domain::ids::{ApiKeyId, ConsentId, ProductId};
use http::{Method, StatusCode};
use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use server::services::{consents as service, fetch};
use server::{setup, tokens};
use store::api_keys::{self, ApiKey};
use tests::browser::Browser;
use tests::routes;
use tests::site::{Answer, Caller, Site};
use tests::world::{CUSTOMER, NEIGHBOUR, Options, World, free_port};

use super::pages::to_the_bank;

const BACK: &str = "https://pennywise.example/back";
/// An id that nothing has.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// A product that calls with a token of its own.
struct Client {
    product: ProductId,
    key: SecretString,
    caller: Caller,
}

async fn client(world: &World, site: &Site) -> Client {
    let (product, key) = setup::add_product(&world.app, "Pennywise", &["budgeting"], &[BACK]).await.unwrap();
    let nobody = site.caller(world, None);
    let pair = json!({ "secret_id": product.to_string(), "secret_key": key.expose_secret() });
    let token = good(&nobody.post("/api/v2/token/new/", &pair).await, 200)["access"].as_str().unwrap().to_owned();
    Client { product, key, caller: site.caller(world, Some(&SecretString::from(token))) }
}

fn good(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert_eq!(answer.headers["content-type"], "application/json");
    answer.json()
}

/// A refusal of the usual form, with its summary.
fn refused(answer: &Answer, status: u16) -> String {
    let body = good(answer, status);
    assert_eq!(body["status_code"], status);
    body["summary"].as_str().unwrap_or_default().to_owned()
}

fn wish(reference: &str) -> Value {
    json!({ "redirect": BACK, "institution_id": "MUSTERBANK_MUSTDEFF", "reference": reference })
}

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

/// A requisition whose person has approved everything, with the first data.
async fn linked(world: &World, client: &Client, wish: &Value, headers: &[(&str, &str)]) -> Value {
    let body: Bytes = wish.to_string().into();
    let created = good(&client.caller.send(Method::POST, "/api/v2/requisitions/", headers, body).await, 201);
    let consent = ConsentId::from_uuid(id(&created).parse().unwrap());
    world.authorise(consent, CUSTOMER).await;
    let path = format!("/api/v2/requisitions/{}/", id(&created));
    assert_eq!(good(&client.caller.get(&path).await, 200)["status"], "GA");
    fetch::run(&world.app, world.about(consent)).await.unwrap();
    good(&client.caller.get(&path).await, 200)
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_stand_for_a_key_and_end_with_it() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let Client { product, key, caller } = client(&world, &site).await;
    let nobody = site.caller(&world, None);
    let secret = key.expose_secret();
    let other = setup::add_product(&world.app, "Another", &["budgeting"], &[]).await.unwrap().0;
    for (body, status, says) in [
        (json!({ "secret_id": other.uuid(), "secret_key": secret }), 401, "Authentication failed"),
        (json!({ "secret_id": product.uuid(), "secret_key": "trb_key_x" }), 401, "Authentication failed"),
        (json!({ "secret_id": "x", "secret_key": secret }), 401, "Authentication failed"),
        (json!({ "secret_id": product.uuid(), "secret_key": secret, "x": 1 }), 400, "Unknown fields"),
    ] {
        assert_eq!(refused(&nobody.post("/api/v2/token/new/", &body).await, status), says);
    }
    let missing = good(&nobody.post("/api/v2/token/new", &json!({ "secret_id": "" })).await, 400);
    let expected = json!({
        "secret_id": ["This field may not be blank."], "secret_key": ["This field is required."], "status_code": 400,
    });
    assert_eq!(missing, expected);

    let form = format!("secret_id={}&secret_key={secret}", product.uuid());
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let pair = good(&nobody.send(Method::POST, "/api/v2/token/new", &headers, form.into()).await, 200);
    let text = |name: &str| SecretString::from(pair[name].as_str().unwrap());
    let path = "/api/v2/institutions/";
    let with = |token: SecretString| site.caller(&world, Some(&token));
    assert_eq!(refused(&with(text("refresh")).get(path).await, 401), "Invalid token", "a refresh token reads nothing");
    let access = text("access");
    let swapped = nobody.post("/api/v2/token/refresh/", &json!({ "refresh": access.expose_secret() })).await;
    assert_eq!(refused(&swapped, 401), "Invalid token");
    let mut bent = access.expose_secret().to_owned();
    let last = if bent.pop() == Some('A') { 'Q' } else { 'A' };
    bent.push(last);
    let (head, rest) = access.expose_secret().split_once('.').unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", rest.split_once('.').unwrap().0);
    for wrong in [bent, unsigned, head.to_owned(), "..".to_owned(), "a.b.c".to_owned()] {
        assert_eq!(refused(&with(SecretString::from(wrong)).get(path).await, 401), "Invalid token");
    }
    assert_eq!(refused(&nobody.get(path).await, 401), "Invalid token");
    let answer = caller.get(path).await;
    good(&answer, 200);
    let number = |name: &str| answer.headers[name].to_str().unwrap().parse::<u32>().unwrap();
    assert!(number("http_x_ratelimit_limit") > number("http_x_ratelimit_remaining"));
    assert!(number("http_x_ratelimit_reset") < 60 && !answer.headers.contains_key("ratelimit"));
    let own = with(access.clone()).get("/v1/consents").await;
    assert!(own.status == StatusCode::OK && own.headers.contains_key("ratelimit"), "a token is good on both surfaces");

    world.clock.advance(SignedDuration::from_secs(86_401));
    assert_eq!(refused(&with(access).get(path).await, 401), "Invalid token");
    let refresh = json!({ "refresh": text("refresh").expose_secret() });
    let fresh =
        good(&nobody.post("/api/v2/token/refresh/", &refresh).await, 200)["access"].as_str().unwrap().to_owned();
    let fresh = with(SecretString::from(fresh));
    good(&fresh.get(path).await, 200);
    withdraw(&world, &key).await;
    assert_eq!(refused(&fresh.get(path).await, 401), "Invalid token", "no token outlives its key");
    assert_eq!(refused(&nobody.post("/api/v2/token/refresh/", &refresh).await, 401), "Invalid token");
    site.end().await;
    world.end().await;
}

async fn withdraw(world: &World, key: &SecretString) {
    let hash = tokens::read(tokens::Kind::ApiKey, key.expose_secret()).unwrap();
    let mut tx = world.app.store.system_tx().await.unwrap();
    let found = api_keys::find(&mut tx, &hash).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    api_keys::revoke(&mut tx, found.id, world.moment().now).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_refused_in_the_words_that_clients_know() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let client = client(&world, &site).await;
    let agreement = |member: &str, value: Value| {
        let mut body = json!({ "institution_id": "MUSTERBANK_MUSTDEFF" });
        body[member] = value;
        body
    };
    for (body, field, summary) in [
        (agreement("institution_id", json!("X")), "institution_id", "Unknown Institution ID X"),
        (agreement("max_historical_days", json!(731)), "max_historical_days", "Incorrect max_historical_days"),
        (agreement("max_historical_days", json!(0)), "max_historical_days", "Incorrect max_historical_days"),
        (agreement("access_valid_for_days", json!("181")), "access_valid_for_days", "Incorrect access_valid_for_days"),
        (agreement("access_scope", json!([])), "access_scope", "Field 'access_scope' may not be an empty list."),
        (agreement("access_scope", json!(["all"])), "access_scope", "Unknown value 'all' in access_scope"),
        (agreement("reconfirmation", json!(true)), "reconfirmation", "Reconfirmation not supported"),
    ] {
        let said = good(&client.caller.post("/api/v2/agreements/enduser/", &body).await, 400);
        let complaint = if said[field].is_array() { &said[field][0] } else { &said[field] };
        assert_eq!((complaint["summary"].as_str(), &said["status_code"]), (Some(summary), &json!(400)), "{said}");
    }
    let made = agreement("access_scope", json!(["balances"]));
    let made = good(&client.caller.post("/api/v2/agreements/enduser", &made).await, 201);
    let with = |member: &str, value: Value| {
        let mut body = wish("one");
        body[member] = value;
        body
    };
    for (body, status, field, summary) in [
        (with("redirect", json!("https://evil.example/back")), 400, "redirect", "Invalid redirect URI"),
        (with("redirect", json!("https://pennywise.example/back/../evil")), 400, "redirect", "Invalid redirect URI"),
        (
            with("redirect", json!("https://pennywise.example@evil.example/back")),
            400,
            "redirect",
            "Invalid redirect URI",
        ),
        (with("redirect", json!("https://pennywise.example/back#x")), 400, "redirect", "Invalid redirect URI"),
        (with("redirect", json!("javascript:alert(1)")), 400, "redirect", "Invalid redirect URI"),
        (with("institution_id", json!("N26_NTSBDEB1")), 400, "institution_id", "Unknown Institution ID N26_NTSBDEB1"),
        (with("agreement", json!("x")), 400, "agreement", "Invalid EndUserAgreement ID"),
        (with("agreement", json!(NOBODY)), 404, "agreement", &format!("ID {NOBODY} not found")),
        (with("ssn", json!("123")), 400, "ssn", "SSN verification not supported"),
        (with("account_selection", json!(true)), 400, "account_selection", "Account selection not supported"),
        (with("user_language", json!("1")), 400, "user_language", "Provided user_language is invalid or not supported"),
    ] {
        let said = good(&client.caller.post("/api/v2/requisitions/", &body).await, status);
        let complaint = if said[field].is_array() { &said[field][0] } else { &said[field] };
        assert_eq!((complaint["summary"].as_str(), &said["status_code"]), (Some(summary), &json!(status)), "{said}");
    }
    let required = good(&client.caller.post("/api/v2/requisitions/", &json!({})).await, 400);
    let field = json!(["This field is required."]);
    assert_eq!(required, json!({ "redirect": field, "institution_id": field, "status_code": 400 }));

    let first = good(&client.caller.post("/api/v2/requisitions/", &with("agreement", made["id"].clone())).await, 201);
    assert_eq!(first["agreement"], made["id"]);
    let twice = good(&client.caller.post("/api/v2/requisitions/", &with("agreement", made["id"].clone())).await, 400);
    assert!(twice["agreement"][0]["summary"].as_str().unwrap().ends_with("is already associated"), "{twice}");
    let again = good(&client.caller.post("/api/v2/requisitions/", &wish("one")).await, 400);
    assert_eq!(again["reference"]["detail"], "Client reference: one already exists");
    let state = with("redirect", json!(format!("{BACK}?state=7")));
    let mut state = state;
    state["reference"] = Value::Null;
    let second = good(&client.caller.post("/api/v2/requisitions/", &state).await, 201);
    assert_eq!(second["reference"], second["id"], "a product without a reference gets the id");

    let page = good(&client.caller.get("/api/v2/requisitions/?limit=1&offset=1").await, 200);
    assert_eq!((&page["count"], id(&page["results"][0])), (&json!(2), id(&first)));
    assert_eq!((&page["next"], page["previous"].is_string()), (&Value::Null, true));
    let nowhere = client.caller.get("/api/v2/institutions/?country=GBA").await;
    assert_eq!(good(&nowhere, 400)["detail"], "GBA is not a valid choice.");
    for (method, path, status, summary) in [
        (Method::GET, "/api/v2/requisitions/x/", 400, "Invalid ID"),
        (Method::GET, "/api/v2/agreements/enduser/x", 400, "Invalid ID"),
        (Method::GET, "/api/v2/accounts/x/details", 400, "Invalid Account ID"),
        (Method::GET, "/api/v2/institutions/?page=1", 400, "Unknown fields"),
        (Method::GET, "/api/v2/institutions/nowhere/", 404, "Not found."),
        (Method::GET, "/api/v2/nothing/", 404, "Not found."),
        (Method::PUT, "/api/v2/requisitions/", 405, "The resource does not do this"),
    ] {
        assert_eq!(refused(&client.caller.send(method, path, &[], Bytes::new()).await, status), summary, "{path}");
    }
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_keep_their_ids_say_what_is_wrong_and_are_nobody_elses() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let client = client(&world, &site).await;
    let same_person = [("psu-reference", "user-1")];
    let first = linked(&world, &client, &wish("one"), &same_person).await;
    let accounts = first["accounts"].as_array().unwrap().clone();
    assert_eq!((&first["status"], accounts.len()), (&json!("LN"), 3));
    let account = accounts[0].as_str().unwrap();
    let path = |what: &str| format!("/api/v2/accounts/{account}/{what}");

    let read = client.caller.get(&path("transactions/")).await;
    let before = good(&read, 200);
    let number = |name: &str| read.headers[name].to_str().unwrap().parse::<i64>().unwrap();
    let (limit, remaining) =
        (number("http_x_ratelimit_account_success_limit"), number("http_x_ratelimit_account_success_remaining"));
    assert_eq!((limit, number("http_x_ratelimit_account_success_reset") > 0), (4, true));
    for _ in 0..6 {
        good(&client.caller.get(&path("balances")).await, 200);
    }
    let after = client.caller.get(&path("transactions")).await;
    let left = after.headers["http_x_ratelimit_account_success_remaining"].to_str().unwrap().parse::<i64>().unwrap();
    assert_eq!((good(&after, 200), left), (before, remaining), "reading costs nothing of the bank's budget");
    assert!(!client.caller.get(&path("")).await.headers.contains_key("http_x_ratelimit_account_success_limit"));
    let wrong = client.caller.get(&path("transactions/?date_from=2026-01-02&date_to=2026-01-01")).await;
    assert_eq!(refused(&wrong, 400), "Incorrect date range");
    let future = good(&client.caller.get(&path("transactions/?date_to=2999-01-01")).await, 400);
    assert_eq!(future["date_to"]["summary"], "Date can't be in future");

    // Another product, and a consent that does not cover everything.
    let other = self::client(&world, &site).await;
    for list in ["requisitions", "agreements/enduser"] {
        assert_eq!(good(&other.caller.get(&format!("/api/v2/{list}/")).await, 200)["count"], 0);
    }
    others(&other, [account, id(&first), first["agreement"].as_str().unwrap()]).await;
    powerless(&world, &site, &client, account).await;

    // The same person connects again: the same accounts. What was agreed less is shown less.
    let narrow = json!({ "institution_id": "MUSTERBANK_MUSTDEFF", "access_scope": ["balances"] });
    let narrow = good(&client.caller.post("/api/v2/agreements/enduser/", &narrow).await, 201);
    let mut again = wish("two");
    again["agreement"] = narrow["id"].clone();
    let second = linked(&world, &client, &again, &same_person).await;
    let mut ids = [accounts.clone(), second["accounts"].as_array().unwrap().clone()];
    ids.iter_mut().for_each(|ids| ids.sort_by_key(ToString::to_string));
    assert_eq!(ids[0], ids[1], "accounts keep their ids");
    let scope = client.caller.get(&path("transactions/")).await;
    assert_eq!(refused(&scope, 403), "End User Agreement (EUA) access scope error");
    good(&client.caller.get(&path("balances/")).await, 200);

    let deleted = client.caller.delete(&format!("/api/v2/requisitions/{}/", id(&second))).await;
    good(&deleted, 200);
    assert!(deleted.headers["deletion-receipt"].to_str().unwrap().starts_with("del_"));
    assert_eq!(refused(&client.caller.get(&format!("/api/v2/requisitions/{}/", id(&second))).await, 404), "Not found.");
    let consent = ConsentId::from_uuid(id(&first).parse().unwrap());
    let revoked = service::revoke(&world.app, world.app.tenant.id, consent, RevokedBy::Psu, "psu").await;
    let read = good(&client.caller.get(&format!("/api/v2/requisitions/{}/", id(&first))).await, 200);
    assert!(read["status"] == "EX", "{read} {:?}", revoked.is_ok());
    let closed = client.caller.get(&path("balances/")).await;
    let body = good(&closed, 401);
    assert!(
        body["type"] == "AccessExpiredError" || body["summary"].as_str().unwrap().contains("has expired"),
        "{body}"
    );
    assert_eq!(good(&client.caller.get(&path("")).await, 200)["status"], "EXPIRED");
    site.end().await;
    world.end().await;
}

/// Whatever names a thing of another product's answers as for a thing that is nobody's.
async fn others(other: &Client, [account, requisition, agreement]: [&str; 3]) {
    let accept = json!({ "user_agent": "Browser", "ip_address": "127.0.0.1" }).to_string();
    let mut tried = 0;
    for (method, path) in routes::of("gocardless").into_iter().filter(|(_, path)| path.contains("{id}")) {
        let theirs = match path.split('/').nth(3) {
            Some("accounts") => account,
            Some("requisitions") => requisition,
            Some("agreements") => agreement,
            Some("institutions") => continue,
            _ => panic!("nothing stands for what {path} names"),
        };
        let nobodys = format!("{}{}", &theirs[..35], if theirs.ends_with('0') { '1' } else { '0' });
        let mut faces = Vec::new();
        for id in [theirs, &nobodys] {
            let body = if method == Method::PUT { accept.clone().into() } else { Bytes::new() };
            let answer = other.caller.send(method.clone(), &format!("{}/", routes::filled(&path, id)), &[], body).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}: {}", answer.text());
            faces.push(answer.text().replace(id, "_"));
        }
        assert_eq!(faces[0], faces[1], "{method} {path}");
        tried += 1;
    }
    assert!(tried >= 14, "{tried}");
}

/// A key without scopes, and one that is for another network.
async fn powerless(world: &World, site: &Site, client: &Client, account: &str) {
    for (scopes, networks, status, summary) in [
        (vec![], vec![], 403, "The key lacks a scope"),
        (vec!["data".to_owned()], vec!["192.0.2.0/24".to_owned()], 403, "IP address access denied"),
    ] {
        let moment = world.moment();
        let (text, hash) = tokens::issue(tokens::Kind::ApiKey, &moment);
        let key = ApiKey {
            id: ApiKeyId::new(&moment),
            tenant: world.app.tenant.id,
            product: client.product,
            prefix: "trb_key".to_owned(),
            scopes,
            purposes: Vec::new(),
            networks,
            jwk: None,
            created_at: moment.now,
            expires_at: None,
            revoked_at: None,
        };
        let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
        api_keys::create(&mut tx, &key, Some(&hash)).await.unwrap();
        tx.commit().await.unwrap();
        let caller = site.caller(world, Some(&text));
        assert_eq!(refused(&caller.get(&format!("/api/v2/accounts/{account}/balances/")).await, status), summary);
    }
    let own = site.caller(world, Some(&client.key)).get(&format!("/api/v2/accounts/{account}/balances/")).await;
    good(&own, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_of_another_reference_is_another_person() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let client = client(&world, &site).await;
    let first = linked(&world, &client, &wish("one"), &[]).await;
    let created = good(&client.caller.post("/api/v2/requisitions/", &wish("two")).await, 201);
    let consent = ConsentId::from_uuid(id(&created).parse().unwrap());
    world.authorise(consent, NEIGHBOUR).await;
    fetch::run(&world.app, world.about(consent)).await.unwrap();
    let second = good(&client.caller.get(&format!("/api/v2/requisitions/{}/", id(&created))).await, 200);
    for account in second["accounts"].as_array().unwrap() {
        assert!(!first["accounts"].as_array().unwrap().contains(account));
    }
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_no_is_sent_back_with_the_code_that_clients_know() {
    let port = free_port();
    let world = World::made(Options { port: Some(port), ..Options::default() }, |_| {}).await;
    let back = format!("http://localhost:{port}/healthz");
    let (_, key) = setup::add_product(&world.app, "Pennywise", &["budgeting"], &[&back]).await.unwrap();
    let running = server::start(world.app.clone()).await.unwrap();
    let product = Caller::new(&world, &format!("http://127.0.0.1:{port}"), Some(&key));
    let asked = async |reference: &str| {
        let wish = json!({ "institution_id": "MUSTERBANK_MUSTDEFF", "redirect": back, "reference": reference });
        good(&product.post("/api/v2/requisitions/", &wish).await, 201)
    };
    let browser = Browser::start().await;
    let came = async || {
        browser.see("pre").await;
        browser.page().current_url().await.unwrap().to_string()
    };

    let ours = asked("ours").await;
    browser.open(ours["link"].as_str().unwrap()).await;
    browser.press("button.primary").await;
    browser.press("form[action='/link/decline'] button").await;
    let details = "error=UserCancelledSession&details=The+user+cancelled+the+session";
    assert_eq!(came().await, format!("{back}?ref=ours&{details}"));

    let banks = asked("banks").await;
    to_the_bank(&browser, banks["link"].as_str().unwrap()).await;
    browser.press("button[value=deny]").await;
    let details = "error=UserSessionRejected&details=The+user+or+the+institution+rejected+the+session";
    assert_eq!(came().await, format!("{back}?ref=banks&{details}"));
    for requisition in [&ours, &banks] {
        let read = good(&product.get(&format!("/api/v2/requisitions/{}/", id(requisition))).await, 200);
        assert_eq!((&read["status"], &read["accounts"]), (&json!("RJ"), &json!([])), "{read}");
    }
    running.shutdown().await;
    world.end().await;
}
