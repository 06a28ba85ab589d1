//! The interface for products over HTTP: what it answers, to whom, and what it looks like when it says no.

use std::collections::BTreeSet;

use bytes::Bytes;
use domain::consent::Event;
use domain::ids::{ApiKeyId, ConsentId, DeletionId, LineId};
use domain::policy::Regime;
use domain::world::Clock as _;
use http::{Method, StatusCode};
use jiff::SignedDuration;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sandbox::BankData;
use secrecy::SecretString;
use serde_json::{Value, json};
use server::api::auth::Scope;
use server::config::Config;
use server::services::{consents as service, deletion, fetch, revocation};
use server::{App, setup, tokens};
use store::api_keys::{self, ApiKey};
use store::{capsules, consents};
use tests::site::{Answer, Caller, Site};
use tests::world::{BANK, CUSTOMER, NEIGHBOUR, World};

/// Whoever can mend a problem.
const OWNERS: [&str; 5] = ["user", "product", "operator", "bank", "nobody"];

/// Checks that an answer is a problem (RFC 9457) with this status and code; gives its sentence.
#[track_caller]
fn problem(answer: &Answer, status: u16, code: &str) -> String {
    let text = answer.text();
    assert_eq!((answer.status.as_u16(), answer.headers["content-type"].to_str().unwrap()), (status, PROBLEM), "{text}");
    let body = answer.json();
    assert_eq!((body["status"].as_u64(), body["code"].as_str()), (Some(status.into()), Some(code)), "{text}");
    assert_eq!(body["type"].as_str(), Some(format!("/problems/{code}").as_str()));
    assert!(OWNERS.contains(&body["who_can_fix"].as_str().unwrap()), "{text}");
    assert!(!body["title"].as_str().unwrap().is_empty());
    let after = answer.headers.get("retry-after").map(|after| after.to_str().unwrap().to_owned());
    assert_eq!(body.get("retry_after").map(Value::to_string), after, "{text}");
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.ends_with('.') && detail.len() > 1, "{detail}");
    detail.to_owned()
}

const PROBLEM: &str = "application/problem+json";

/// Checks the status of a good answer; gives its body.
#[track_caller]
fn good(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert_eq!(answer.headers["content-type"], "application/json");
    for (name, value) in [("cache-control", "no-store"), ("x-content-type-options", "nosniff")] {
        assert_eq!(answer.headers[name], value);
    }
    answer.json()
}

fn ask() -> Value {
    json!({ "psu_ref": "user-1", "institution_id": BANK, "purposes": ["budgeting"] })
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}"))
}

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().unwrap().iter().map(|row| text(row, "id").to_owned()).collect()
}

/// Follows `next_cursor` from a page on; gives the rows and the number of pages.
async fn rest(caller: &Caller, path: &str, first: Value) -> (Vec<Value>, usize) {
    let (mut rows, mut pages, mut page) = (Vec::new(), 1, first);
    loop {
        rows.extend(page["data"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { return (rows, pages) };
        page = good(&caller.get(&format!("{path}&cursor={cursor}")).await, 200);
        assert!(!page["data"].as_array().unwrap().is_empty(), "a next page has rows");
        pages += 1;
    }
}

/// Asks for a consent over HTTP and takes its customer through the bank.
async fn connected(world: &World, caller: &Caller, ask: &Value, customer: (&str, &str)) -> ConsentId {
    let created = good(&caller.post("/v1/consents", ask).await, 201);
    let consent = text(&created, "id").parse().unwrap();
    world.authorise(consent, customer).await;
    fetched(world, consent).await;
    consent
}

async fn fetched(world: &World, consent: ConsentId) {
    let verdict = fetch::run(&world.app, world.about(consent)).await.unwrap();
    assert!(matches!(verdict, fetch::Verdict::Next(_)), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn consents_are_asked_for_once_listed_by_pages_and_read() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));

    let created = good(&product.post("/v1/consents", &ask()).await, 201);
    assert_eq!((text(&created, "state"), text(&created, "data_state")), ("initiated", "present"));
    assert_eq!(created["data_clusters"], json!(["accounts", "balances", "transactions"]));
    assert!(text(&created["link"], "url").starts_with("http://localhost:8080/link/trb_link_"));
    let read = good(&product.get(&format!("/v1/consents/{}", text(&created, "id"))).await, 200);
    assert!(read.get("link").is_none(), "the link is told once");
    assert_eq!((&read["id"], &read["created_at"]), (&created["id"], &created["created_at"]));

    check_repetitions(&product).await;
    let all = good(&product.get("/v1/consents").await, 200);
    assert_eq!((ids(&all).len(), all.get("next_cursor")), (4, None));
    for limit in 1..=4 {
        let path = format!("/v1/consents?limit={limit}");
        let (rows, pages) = rest(&product, &path, good(&product.get(&path).await, 200)).await;
        assert_eq!((Value::from(rows), pages), (all["data"].clone(), 4_usize.div_ceil(limit)), "{limit}");
    }
    let made: Vec<_> = all["data"].as_array().unwrap().iter().map(|row| text(row, "created_at")).collect();
    assert!(made.is_sorted_by(|newer, older| newer >= older), "newest first: {made:?}");
    let of_one = good(&product.get("/v1/consents?psu_ref=user-2").await, 200);
    assert_eq!(ids(&of_one).len(), 1);
    assert_eq!(good(&product.get("/v1/consents?psu_ref=nobody").await, 200)["data"], json!([]));
    site.end().await;
    world.end().await;
}

/// Two consents come of this: one under the key `one`, one under the key `two`; and one more of another person.
async fn check_repetitions(product: &Caller) {
    let send = async |key: &str, body: &Value| {
        product.send(Method::POST, "/v1/consents", &[("idempotency-key", key)], body.to_string().into()).await
    };
    let unusable = json!({ "psu_ref": "user-1", "purposes": ["astrology"] });
    problem(&send("one", &unusable).await, 422, "invalid_request");
    let first = good(&send("one", &ask()).await, 201);
    assert_eq!(good(&send("one", &ask()).await, 201), first, "the first answer, link included");
    let other = json!({ "psu_ref": "user-2", "institution_id": BANK, "purposes": ["budgeting"] });
    problem(&send("one", &other).await, 422, "idempotency_mismatch");
    let same = ask();
    let (one, two) = tokio::join!(send("two", &same), send("two", &same));
    assert_eq!(good(&one, 201), good(&two, 201), "at the same time as well");
    assert_ne!(good(&one, 201)["id"], first["id"]);
    good(&product.post("/v1/consents", &other).await, 201);
    for key in ["", &"k".repeat(256)] {
        assert!(problem(&send(key, &ask()).await, 422, "invalid_request").contains("Idempotency-Key"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_cannot_be_used_is_a_problem_that_says_what_is_wrong() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let with = |member: &str, value: Value| {
        let mut body = ask();
        body[member] = value;
        body.to_string()
    };
    for (body, status, code, says) in [
        (String::new(), 400, "malformed", "line 1"),
        ("{".to_owned(), 400, "malformed", "not JSON"),
        ("[]".to_owned(), 400, "malformed", "missing, unknown or of the wrong type"),
        ("{}".to_owned(), 400, "malformed", "missing, unknown or of the wrong type"),
        (with("surprise", json!(1)), 400, "malformed", "missing, unknown or of the wrong type"),
        (with("valid_until", json!("31.12.2026")), 400, "malformed", "wrong type"),
        (with("psu_ref", json!("")), 422, "invalid_request", "psu_ref"),
        (with("psu_ref", json!("ä".repeat(129))), 422, "invalid_request", "psu_ref"),
        (with("psu_ref", json!("a\nb")), 422, "invalid_request", "psu_ref"),
        (with("purposes", json!([])), 422, "invalid_request", "purposes"),
        (with("purposes", json!(["budgeting", "astrology"])), 422, "invalid_request", "purposes"),
        (with("data_clusters", json!([])), 422, "invalid_request", "data_clusters"),
        (with("data_clusters", json!(["payments"])), 422, "invalid_request", "data_clusters"),
        (with("return_url", json!("https://elsewhere.example/")), 422, "invalid_request", "return_url"),
        (with("valid_until", json!("2026-01-01")), 422, "invalid_request", "valid_until"),
        (with("institution_id", json!("de_nowhere")), 422, "institution_unavailable", "institution"),
        (with("institution_id", json!("../etc")), 422, "institution_unavailable", "institution"),
        (with("psu_ref", json!("x".repeat(256 * 1024))), 413, "too_large", "262144 bytes"),
    ] {
        let answer = product.send(Method::POST, "/v1/consents", &[], Bytes::from(body)).await;
        let said = problem(&answer, status, code);
        assert!(said.contains(says), "{said} says nothing of {says}");
        assert!(!said.contains("astrology") && !said.contains("elsewhere"), "{said} repeats what came");
    }
    good(&product.send(Method::POST, "/v1/consents", &[], with("psu_ref", json!("ä".repeat(128))).into()).await, 201);
    for (path, status, code, says) in [
        ("/v1/consents?limit=0", 422, "invalid_request", "limit: must be 1 to 500"),
        ("/v1/consents?limit=501", 422, "invalid_request", "limit: must be 1 to 500"),
        ("/v1/consents?limit=many", 400, "malformed", "known: psu_ref, cursor, limit"),
        ("/v1/consents?limit=1&limit=2", 400, "malformed", "repeated"),
        ("/v1/consents?page=2", 400, "malformed", "unknown"),
        ("/v1/consents?cursor=cns_", 422, "invalid_request", "cursor"),
        ("/v1/accounts?consent_id=acc_1", 422, "invalid_request", "consent_id"),
        ("/v1/institutions?size=1", 400, "malformed", "country"),
        ("/v1/institutions?limit=0", 422, "invalid_request", "1 to 500"),
        ("/v1/institutions?iban=DE02120300000000202051", 422, "invalid_request", "the bank's part"),
        ("/v1/institutions/de_nowhere", 404, "not_found", "no such institution"),
        ("/v1/consents/x", 404, "not_found", "no such consent"),
        ("/v1/consents/%ff", 400, "malformed", "broken"),
        ("/v1/nothing", 404, "not_found", "no such resource"),
        ("/v1/", 404, "not_found", "no such resource"),
    ] {
        let said = problem(&product.get(path).await, status, code);
        assert!(said.contains(says), "{path}: {said}");
    }
    let refused = product.send(Method::PUT, "/v1/consents", &[], Bytes::new()).await;
    problem(&refused, 405, "method_not_allowed");
    let allowed: BTreeSet<_> = refused.headers["allow"].to_str().unwrap().split(',').collect();
    assert_eq!(allowed, BTreeSet::from(["GET", "HEAD", "POST"]));
    site.end().await;
    world.end().await;
}

/// What the bank has about an account, as amounts: booked rows since a day, and pending ones.
fn amounts_at_bank(data: &BankData, iban: &str, since: Date, today: Date) -> Vec<String> {
    let account = data.psus[0].accounts.iter().find(|account| account.iban == iban).unwrap();
    let rows = account.booked(today, since, today).into_iter().chain(account.pending(today));
    let mut amounts: Vec<_> = rows.map(|row| row.money.to_plain_string()).collect();
    amounts.sort();
    amounts
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_come_by_pages_that_new_rows_never_disturb() {
    let mut books = None;
    let world = World::with(|data| books = Some(data.clone())).await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product, &ask(), CUSTOMER).await;

    let accounts = good(&product.get(&format!("/v1/accounts?consent_id={consent}")).await, 200);
    let accounts = accounts["data"].as_array().unwrap();
    assert_eq!(accounts.len(), 3);
    let today = world.moment().now.to_zoned(TimeZone::get("Europe/Berlin").unwrap()).date();
    let (mut monthly, mut income) = (0, 0);
    for account in accounts {
        let path = format!("/v1/accounts/{}/transactions?limit=500", text(account, "id"));
        let (rows, _) = rest(&product, &path, good(&product.get(&path).await, 200)).await;
        let since = text(&account["freshness"], "complete_from").parse().unwrap();
        let mut amounts: Vec<_> = rows.iter().map(|row| text(&row["amount"], "amount").to_owned()).collect();
        amounts.sort();
        assert_eq!(amounts, amounts_at_bank(books.as_ref().unwrap(), text(account, "iban"), since, today));
        check_account(&product, account).await;
        let found = check_recurring(&product, text(account, "id"), &rows).await;
        (monthly, income) = (monthly + found.0, income + found.1);
    }
    assert!(income > 0, "somebody pays a salary");
    assert!(monthly > 0, "salary, rent or savings come each month");
    check_pages(&world, &product, consent, text(&accounts[0], "id")).await;
    check_cursors(&product, text(&accounts[0], "id"), text(&accounts[1], "id")).await;
    check_days(&product, text(&accounts[0], "id")).await;
    site.end().await;
    world.end().await;
}

/// One account, read alone, and its balances.
async fn check_account(product: &Caller, account: &Value) {
    let id = text(account, "id");
    assert_eq!(&good(&product.get(&format!("/v1/accounts/{id}")).await, 200), account);
    assert_eq!(text(&account["freshness"], "consent_state"), "active");
    assert!(account["freshness"].get("stale_because").is_none(), "{account}");
    let balances = good(&product.get(&format!("/v1/accounts/{id}/balances")).await, 200);
    let rows = balances["data"].as_array().unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        assert_eq!(row["balance"]["currency"], account["currency"]);
        assert!(!text(row, "type").is_empty() && !text(row, "observed_at").is_empty());
    }
}

/// Series are made of the account's own transactions, none in two. Tells how many are monthly, and how many a salary.
async fn check_recurring(product: &Caller, account: &str, rows: &[Value]) -> (usize, usize) {
    let read = good(&product.get(&format!("/v1/accounts/{account}/recurring")).await, 200);
    assert_eq!(read["transactions_read"], json!(rows.len()));
    assert_eq!(read["freshness"]["consent_state"], "active");
    let mut ids: Vec<&str> = rows.iter().map(|row| text(row, "id")).collect();
    let series = read["data"].as_array().unwrap();
    for member in series.iter().flat_map(|series| series["transaction_ids"].as_array().unwrap()) {
        let at = ids.iter().position(|id| Some(*id) == member.as_str()).expect("a transaction of this account, once");
        ids.swap_remove(at);
    }
    let are = |name: &str, word: &str| series.iter().filter(|series| series[name] == word).count();
    (are("period", "monthly"), are("stream", "salary"))
}

async fn check_pages(world: &World, product: &Caller, consent: ConsentId, account: &str) {
    let path = |limit: usize| format!("/v1/accounts/{account}/transactions?limit={limit}");
    let whole = rest(product, &path(500), good(&product.get(&path(500)).await, 200)).await.0;
    assert!(whole.len() > 100, "{}", whole.len());
    let unique: BTreeSet<_> = whole.iter().map(|row| text(row, "id")).collect();
    assert_eq!(unique.len(), whole.len());
    for origins in whole.iter().map(|row| row["provenance"].as_object().unwrap()) {
        assert!(origins.contains_key("amount"), "{origins:?}");
        assert!(
            origins.values().all(|from| !text(from, "path").is_empty() || from["rule"] == "category.nothing_tells")
        );
        assert!(origins.values().all(|from| !text(from, "rule").is_empty()));
    }
    let days: Vec<_> = whole.iter().filter_map(|row| row["booking_date"].as_str()).collect();
    assert!(days.is_sorted_by(|newer, older| newer >= older), "newest first");
    for limit in [1_usize, 37, whole.len() - 1, whole.len()].into_iter().filter(|limit| *limit <= 500) {
        let first = good(&product.get(&path(limit)).await, 200);
        if limit == 1 {
            assert_eq!(first["data"], json!([whole[0]]));
            continue;
        }
        let (rows, pages) = rest(product, &path(limit), first).await;
        assert_eq!((rows == whole, pages), (true, whole.len().div_ceil(limit)), "{limit} at a time");
    }
    let bare = format!("/v1/accounts/{account}/transactions");
    let default = good(&product.get(&bare).await, 200);
    assert_eq!(default["data"], Value::from(whole[..100].to_vec()));

    // Between two pages days pass, and new rows come.
    let first = good(&product.get(&path(50)).await, 200);
    let iban = good(&product.get(&format!("/v1/accounts/{account}")).await, 200)["iban"].as_str().unwrap().to_owned();
    let tomorrow = world.clock.now().to_zoned(TimeZone::UTC).date().tomorrow().unwrap();
    let buy = |rows: &mut Vec<sandbox::Row>| {
        let row = rows[0].clone();
        rows.push(sandbox::Row { transaction_id: "TOMORROW".to_owned(), entered: tomorrow, booked: tomorrow, ..row });
    };
    assert!(world.bank.amend(&iban, buy));
    world.clock.advance(SignedDuration::from_hours(72));
    fetched(world, consent).await;
    let now = rest(product, &path(500), good(&product.get(&path(500)).await, 200)).await.0;
    let known: BTreeSet<_> = whole.iter().map(|row| text(row, "id")).collect();
    let new = now.iter().filter(|row| !known.contains(text(row, "id"))).count();
    assert_eq!((new, now.len()), (1, whole.len() + 1), "what was pending is booked under its id");
    let cursor = text(&first, "next_cursor");
    let second = good(&product.get(&format!("{}&cursor={cursor}", path(50))).await, 200);
    let (later, _) = rest(product, &path(50), second).await;
    assert_eq!(later, whole[50..], "the pages behind the first are what they were");
}

async fn check_cursors(product: &Caller, one: &str, other: &str) {
    let path = |account: &str| format!("/v1/accounts/{account}/transactions?limit=5");
    let cursor = text(&good(&product.get(&path(one)).await, 200), "next_cursor").to_owned();
    let mut turned = cursor.clone().into_bytes();
    turned[3] = if turned[3] == b'A' { b'B' } else { b'A' };
    let turned = String::from_utf8(turned).unwrap();
    for (account, cursor) in [(other, cursor.as_str()), (one, &turned), (one, &cursor[1..]), (one, ""), (one, "%00")] {
        let answer = product.get(&format!("{}&cursor={cursor}", path(account))).await;
        assert!(problem(&answer, 422, "invalid_request").contains("cursor"), "{cursor}");
    }
    for limit in ["0", "501", "4294967295"] {
        let answer = product.get(&format!("/v1/accounts/{one}/transactions?limit={limit}")).await;
        assert!(problem(&answer, 422, "invalid_request").contains("limit"));
    }
    let known =
        "known: date_from, date_to, amount_min, amount_max, direction, category, merchant, text, status, cursor, limit";
    for query in ["limit=-1", "date_from=yesterday", "date_to=2026-02-30", "page=1"] {
        let answer = product.get(&format!("/v1/accounts/{one}/transactions?{query}")).await;
        assert!(problem(&answer, 400, "malformed").contains(known), "{query}");
    }
}

async fn check_days(product: &Caller, account: &str) {
    let path = |days: &str| format!("/v1/accounts/{account}/transactions?limit=7{days}");
    let all = rest(product, &path(""), good(&product.get(&path("")).await, 200)).await.0;
    let booked: Vec<_> = all.iter().filter(|row| text(row, "status") == "booked").collect();
    let day = |at: usize| text(booked[at], "booking_date");
    let (until, from) = (day(booked.len() / 3), day(booked.len() / 2));
    let query = path(&format!("&date_from={from}&date_to={until}"));
    let (some, pages) = rest(product, &query, good(&product.get(&query).await, 200)).await;
    let wanted: Vec<_> = booked.into_iter().filter(|row| (from..=until).contains(&text(row, "booking_date"))).collect();
    assert!(pages > 1);
    assert_eq!(some.iter().collect::<Vec<_>>(), wanted, "both days are inside");
    let backwards = path(&format!("&date_from={until}&date_to={from}"));
    if until != from {
        assert_eq!(good(&product.get(&backwards).await, 200)["data"], json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_ends_every_read_and_its_receipt_can_be_verified() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product, &ask(), CUSTOMER).await;
    let path = format!("/v1/consents/{consent}");
    let before = good(&product.get(&path).await, 200);
    assert_eq!((text(&before, "state"), before["accounts"].as_array().unwrap().len()), ("active", 3));
    let accounts: Vec<_> = before["accounts"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();

    // One account of three.
    let removed = good(&product.delete(&format!("{path}/accounts/{}", accounts[0])).await, 202);
    assert_eq!(text(&removed, "bank"), "not_needed");
    assert_nothing_of(&product, &accounts[..1]).await;
    good(&product.get(&format!("/v1/accounts/{}", accounts[1])).await, 200);
    assert_eq!(ids(&good(&product.get("/v1/accounts").await, 200)).len(), 2);
    problem(&product.delete(&format!("{path}/accounts/{}", accounts[0])).await, 404, "not_found");
    let account_receipt = check_receipt(&world, &product, text(&removed, "erasure")).await;
    assert_eq!(account_receipt.accounts.len(), 1);

    // The rest.
    let stopped = good(&product.delete(&path).await, 202);
    assert_eq!(text(&stopped, "bank"), "pending");
    assert!(text(&stopped, "local_stop_at") > text(&before, "created_at"));
    assert_nothing_of(&product, &accounts).await;
    let after = good(&product.get(&path).await, 200);
    assert_eq!((text(&after, "state"), text(&after, "reason")), ("revoked", "product"));
    assert_eq!((text(&after, "data_state"), &after["accounts"]), ("erasing", &json!([])));
    assert_eq!(good(&product.get("/v1/accounts").await, 200)["data"], json!([]));
    let receipt = check_receipt(&world, &product, text(&stopped, "erasure")).await;
    assert_eq!(receipt.accounts.len(), 2);
    end_at_bank(&world).await;

    let again = good(&product.delete(&path).await, 202);
    assert_eq!((text(&again, "erasure"), text(&again, "bank")), (text(&stopped, "erasure"), "confirmed"));
    assert_eq!(text(&good(&product.get(&path).await, 200), "data_state"), "erased");
    check_other_withdrawals(&world, &product).await;
    site.end().await;
    world.end().await;
}

async fn assert_nothing_of(product: &Caller, accounts: &[&str]) {
    for account in accounts {
        for path in ["", "/balances", "/transactions", "/recurring"] {
            problem(&product.get(&format!("/v1/accounts/{account}{path}")).await, 404, "not_found");
        }
    }
}

async fn end_at_bank(world: &World) {
    let tenant = world.app.tenant.id;
    let mut tx = world.app.store.tenant_tx(tenant).await.unwrap();
    let open = capsules::open(&mut tx, 10).await.unwrap();
    tx.commit().await.unwrap();
    for (capsule, _) in open {
        assert_eq!(revocation::run(&world.app, tenant, capsule).await.unwrap(), fetch::Verdict::Done);
    }
}

/// Before the erasure there is no receipt; after it there is one that verifies with the keys that the API gives, and
/// not after any change.
async fn check_receipt(world: &World, product: &Caller, erasure: &str) -> evidence::Receipt {
    let path = format!("/v1/evidence/deletions/{erasure}/receipt");
    problem(&product.get(&path).await, 404, "not_ready");
    let id: DeletionId = erasure.parse().unwrap();
    assert_eq!(deletion::run(&world.app, world.app.tenant.id, id).await.unwrap(), fetch::Verdict::Done);
    let answer = product.get(&path).await;
    good(&answer, 200);
    let lines = good(&product.get("/v1/evidence/keys").await, 200)["keys"].clone();
    let lines: Vec<_> = lines.as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let keys = evidence::VerifierKey::read_all(&lines.join("\n")).unwrap();
    let report = evidence::verify(&answer.text(), &keys, None).unwrap();
    let tampered = answer.text().replacen("\"erased_at", "\"erased-at", 1);
    assert!(evidence::verify(&tampered.replacen("erased_at", "erased-at", 1), &keys, None).is_err());
    let told = report.lines.iter().filter_map(evidence::Line::statement);
    let rows: u64 = told.filter(|one| one.kind == "data.disclosed").map(|one| one.body["rows"].as_u64().unwrap()).sum();
    assert!(rows >= 2, "every read is on record: {rows}");
    report.receipts().into_iter().find(|receipt| receipt.deletion == id).unwrap()
}

async fn check_other_withdrawals(world: &World, product: &Caller) {
    // Never authorised: there is something to withdraw, and nothing to erase.
    let created = good(&product.post("/v1/consents", &ask()).await, 201);
    let stopped = good(&product.delete(&format!("/v1/consents/{}", text(&created, "id"))).await, 202);
    assert_eq!(text(&stopped, "bank"), "not_needed");
    // Failed: there is nothing to withdraw.
    let created = good(&product.post("/v1/consents", &ask()).await, 201);
    let id: ConsentId = text(&created, "id").parse().unwrap();
    let moment = world.moment();
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let before = consents::lock(&mut tx, id).await.unwrap();
    service::advance(&world.app, &mut tx, &moment, &before, Event::Declined, "psu", |_| {}).await.unwrap();
    tx.commit().await.unwrap();
    problem(&product.delete(&format!("/v1/consents/{id}")).await, 409, "consent_state");
}

/// A key of a product with some scopes only.
async fn key_with(world: &World, scopes: &[Scope]) -> (ApiKeyId, SecretString) {
    let moment = world.moment();
    let (text, hash) = tokens::issue(tokens::Kind::ApiKey, &moment);
    let key = ApiKey {
        id: ApiKeyId::new(&moment),
        tenant: world.app.tenant.id,
        product: world.product,
        prefix: "trb_key".to_owned(),
        scopes: scopes.iter().map(|scope| scope.word().to_owned()).collect(),
        purposes: Vec::new(),
        networks: Vec::new(),
        jwk: None,
        created_at: moment.now,
        expires_at: Some(moment.now.saturating_add(SignedDuration::from_hours(1)).unwrap()),
        revoked_at: None,
    };
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    api_keys::create(&mut tx, &key, Some(&hash)).await.unwrap();
    tx.commit().await.unwrap();
    (key.id, text)
}

/// A product of another tenant in the same database.
async fn stranger(world: &World) -> SecretString {
    let config = Config::load(Some(&world.config_file())).unwrap();
    let tenant = setup::ensure_tenant(&world.app.store, &world.moment(), "Another TPP", Regime::Eu).await.unwrap();
    let app = App::new(config, world.app.store.clone(), world.clock.clone(), tenant).unwrap();
    setup::add_product(&app, "Another TPP's product", &["budgeting"], &[]).await.unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_somebody_elses_does_not_exist() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product, &ask(), CUSTOMER).await;
    let read = good(&product.get(&format!("/v1/consents/{consent}")).await, 200);
    let account = read["accounts"][0].as_str().unwrap().to_owned();
    let ended = text(&good(&product.post("/v1/consents", &ask()).await, 201), "id").to_owned();
    let erasure = text(&good(&product.delete(&format!("/v1/consents/{ended}")).await, 202), "erasure").to_owned();

    let (_, neighbour) = setup::add_product(&world.app, "Another product", &["budgeting"], &[]).await.unwrap();
    for key in [neighbour, stranger(&world).await] {
        let other = site.caller(&world, Some(&key));
        assert_eq!(good(&other.get("/v1/consents").await, 200)["data"], json!([]));
        assert_eq!(good(&other.get("/v1/consents?psu_ref=user-1").await, 200)["data"], json!([]));
        assert_eq!(good(&other.get("/v1/accounts").await, 200)["data"], json!([]));
        assert_eq!(good(&other.get(&format!("/v1/accounts?consent_id={consent}")).await, 200)["data"], json!([]));
        assert_eq!(good(&other.get(&format!("/v1/consents?cursor={consent}")).await, 200)["data"], json!([]));
        let moment = world.moment();
        let (no_consent, no_account) = (ConsentId::new(&moment).to_string(), LineId::new(&moment).to_string());
        let no_deletion = DeletionId::new(&moment).to_string();
        let own = text(&good(&other.post("/v1/consents", &ask()).await, 201), "id").to_owned();
        for (method, path, theirs, nobodys) in [
            (Method::GET, "/v1/consents/{}", consent.to_string(), &no_consent),
            (Method::DELETE, "/v1/consents/{}", consent.to_string(), &no_consent),
            (Method::GET, "/v1/evidence/consents/{}", consent.to_string(), &no_consent),
            (Method::GET, "/v1/accounts/{}", account.clone(), &no_account),
            (Method::GET, "/v1/accounts/{}/balances", account.clone(), &no_account),
            (Method::GET, "/v1/accounts/{}/transactions", account.clone(), &no_account),
            (Method::DELETE, &format!("/v1/consents/{consent}/accounts/{{}}"), account.clone(), &no_account),
            (Method::DELETE, &format!("/v1/consents/{own}/accounts/{{}}"), account.clone(), &no_account),
            (Method::GET, "/v1/evidence/deletions/{}/receipt", erasure.clone(), &no_deletion),
        ] {
            let mut answers = Vec::new();
            for id in [&theirs, nobodys, "7"] {
                let answer = other.send(method.clone(), &path.replace("{}", id), &[], Bytes::new()).await;
                problem(&answer, 404, "not_found");
                answers.push(answer.text());
            }
            answers.dedup();
            assert_eq!(answers.len(), 1, "{method} {path}: {answers:?}");
        }
    }
    good(&product.get(&format!("/v1/accounts/{account}")).await, 200);
    assert_eq!(text(&good(&product.get(&format!("/v1/consents/{consent}")).await, 200), "state"), "active");

    // Of one's own, only what the person was asked about.
    let narrow = json!({
        "psu_ref": "user-2", "institution_id": BANK, "purposes": ["budgeting"], "data_clusters": ["accounts", "balances"],
    });
    let narrow = connected(&world, &product, &narrow, NEIGHBOUR).await;
    let accounts = ids(&good(&product.get(&format!("/v1/accounts?consent_id={narrow}")).await, 200));
    assert_eq!(accounts.len(), 2);
    good(&product.get(&format!("/v1/accounts/{}/balances", accounts[0])).await, 200);
    let refused = product.get(&format!("/v1/accounts/{}/transactions", accounts[0])).await;
    assert!(problem(&refused, 403, "cluster_not_consented").contains("transactions"));
    site.end().await;
    world.end().await;
}

/// Every method and path of the document, with something in place of each id.
fn operations(document: &Value) -> Vec<(Method, String)> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, operations)| {
        let filled: Vec<_> =
            path.split('/').map(|part| if part.starts_with('{') { "something" } else { part }).collect();
        let filled = filled.join("/");
        let methods = operations.as_object().unwrap().keys();
        methods.map(move |method| (Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), filled.clone()))
    });
    // What gives tokens asks for a signature in place of a key, and banks come with proofs of their own.
    let by_key = |path: &str| !["/oauth/", "/banks/", "/arrangements/"].iter().any(|other| path.starts_with(other));
    all.filter(|(_, path)| by_key(path)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_true_and_every_operation_asks_for_a_key() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let (nobody, product) = (site.caller(&world, None), site.caller(&world, Some(&world.api_key)));
    let document = nobody.get("/openapi.json").await.json();
    assert_eq!(document, serde_json::to_value(server::api::openapi()).unwrap());
    let operations = operations(&document);
    assert!(operations.len() >= 13, "{operations:?}");
    let (revoked, revoked_key) = key_with(&world, &Scope::ALL).await;
    let (_, late_key) = key_with(&world, &Scope::ALL).await;
    let (_, powerless_key) = key_with(&world, &[]).await;
    for (method, path) in &operations {
        let powerless = site.caller(&world, Some(&powerless_key)).send(method.clone(), path, &[], Bytes::new()).await;
        if path.starts_with("/v1/institutions") {
            assert_ne!(powerless.status, StatusCode::FORBIDDEN, "the directory needs no scope");
        } else {
            problem(&powerless, 403, "scope_missing");
        }
    }
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    api_keys::revoke(&mut tx, revoked, world.moment().now).await.unwrap();
    tx.commit().await.unwrap();
    world.clock.advance(SignedDuration::from_hours(1));
    let unknown = tokens::issue(tokens::Kind::ApiKey, &world.moment()).0;
    for (method, path) in &operations {
        // A stream would have no end; this one is refused for where it should begin.
        let answer = product.send(method.clone(), path, &[("last-event-id", "nowhere")], Bytes::new()).await;
        let is_there = answer.status != StatusCode::METHOD_NOT_ALLOWED && !answer.text().contains("no such resource");
        assert!(is_there, "{method} {path} is documented: {}", answer.text());
        let mut refused = BTreeSet::new();
        for key in [None, Some(&unknown), Some(&revoked_key), Some(&late_key), Some(&SecretString::from("trb_key_"))] {
            let answer = site.caller(&world, key).send(method.clone(), path, &[], Bytes::new()).await;
            problem(&answer, 401, "unauthorised");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
            refused.insert(answer.text());
        }
        assert_eq!(refused.len(), 1, "nobody learns what is wrong with a key");
    }
    let basic = nobody.send(Method::GET, "/v1/consents", &[("authorization", "Basic dTpw")], Bytes::new()).await;
    problem(&basic, 401, "unauthorised");

    assert_eq!(good(&nobody.get("/healthz").await, 200), json!({ "status": "ok" }));
    let metrics = nobody.get("/metrics").await;
    assert_eq!(
        (metrics.status, &metrics.headers["content-type"].to_str().unwrap()[..10]),
        (StatusCode::OK, "text/plain")
    );
    let reader = nobody.get("/docs").await;
    assert_eq!(reader.headers["location"], "/docs/");
    assert!(nobody.get("/docs/").await.text().contains("swagger"));
    let banks = good(&product.get("/v1/institutions?search=mustdeff").await, 200);
    assert_eq!((ids(&banks), &banks["data"][0]["available"]), (vec![BANK.to_owned()], &json!(true)));
    institutions_are_found(&product).await;
    site.end().await;
    world.end().await;
}

/// Who holds accounts is found by whatever is known of them, page by page, whether they can be spoken to or not.
async fn institutions_are_found(product: &Caller) {
    for query in
        ["bic=INGDDEFFXXX", "bank_code=50010517&country=DE", "iban=DE00 5001 0517", "search=ing-diba&country=de"]
    {
        let found = good(&product.get(&format!("/v1/institutions?{}", query.replace(' ', "%20"))).await, 200);
        let named = found["data"].as_array().unwrap().iter().any(|one| one["bics"] == json!(["INGDDEFF"]));
        assert!(named, "{query}: {found}");
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = good(&product.get(&format!("/v1/institutions?country=PL&limit=200{cursor}")).await, 200);
        seen.extend(ids(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(seen.len() > 400 && seen.is_sorted(), "{}", seen.len());
    let one = good(&product.get(&format!("/v1/institutions/{}", seen[0])).await, 200);
    assert!(one["bank_codes"].is_array() && one["available"] == json!(false), "{one}");
    let spoken = good(&product.get("/v1/institutions?supported=true&search=musterbank").await, 200);
    assert!(ids(&spoken).iter().any(|id| id == BANK), "{spoken}");
}
