//! What products have beside consents: filters, sums and exports of transactions, balances over time, events as they come;
//! keys, signed tokens and limits.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::ids::ConsentId;
use fapi::keys::{PemSigner, Signer, generate, public_jwks};
use fapi::profile::Alg;
use http::Method;
use jiff::SignedDuration;
use rust_decimal::Decimal;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use server::services::fetch;
use tests::site::{Answer, Caller, Site};
use tests::world::{BANK, CUSTOMER, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn good(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    if answer.body.is_empty() { Value::Null } else { answer.json() }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// A consent of a customer with the first data, and its first account.
async fn connected(world: &World, product: &Caller) -> (ConsentId, String) {
    let ask = json!({ "psu_ref": "user-1", "institution_id": BANK, "purposes": ["budgeting"] });
    let consent = text(&good(&product.post("/v1/consents", &ask).await, 201), "id").parse().unwrap();
    world.authorise(consent, CUSTOMER).await;
    fetch::run(&world.app, world.about(consent)).await.unwrap();
    let accounts = good(&product.get("/v1/accounts").await, 200);
    (consent, text(&accounts["data"][0], "id").to_owned())
}

/// Every row of a query, page by page.
async fn all(product: &Caller, path: &str, limit: usize) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = good(&product.get(&format!("{path}limit={limit}{cursor}")).await, 200);
        rows.extend(page["data"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

fn amount(row: &Value) -> Decimal {
    text(&row["amount"], "amount").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_narrowed_summed_and_exported() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let (consent, account) = connected(&world, &product).await;
    let path = format!("/v1/accounts/{account}/transactions?");
    let whole = all(&product, &path, 500).await;
    assert!(whole.len() > 100);
    let some = whole.iter().find(|row| row["category"].is_string() && row["counterparty"].is_string()).unwrap();
    let (category, name) = (text(some, "category").to_owned(), text(some, "counterparty").to_owned());
    let word = name.split(' ').next().unwrap().to_lowercase();
    let has = |row: &Value, word: &str| {
        ["description", "counterparty", "merchant"]
            .iter()
            .any(|field| row[*field].as_str().is_some_and(|text| text.to_lowercase().contains(word)))
    };
    let hundred = Decimal::from(100);
    type Test<'a> = Box<dyn Fn(&Value) -> bool + 'a>;
    let of_merchant = whole.iter().find(|row| row["merchant"].is_string()).unwrap();
    let merchant = text(of_merchant, "merchant").to_owned();
    let encoded: String = url::form_urlencoded::byte_serialize(merchant.as_bytes()).collect();
    let day = text(whole.iter().filter(|row| row["booking_date"].is_string()).nth(40).unwrap(), "booking_date");
    let cases: [(String, Test<'_>); 8] = [
        (format!("merchant={encoded}"), Box::new(|row| row["merchant"] == merchant.as_str())),
        (
            format!("date_from={day}&date_to={day}&status=booked"),
            Box::new(|row| row["status"] == "booked" && row["booking_date"] == day),
        ),
        ("direction=out".to_owned(), Box::new(|row| amount(row) < Decimal::ZERO)),
        ("amount_min=-100&amount_max=0".to_owned(), Box::new(|row| (-hundred..=Decimal::ZERO).contains(&amount(row)))),
        ("status=pending".to_owned(), Box::new(|row| row["status"] == "pending")),
        (format!("category={category}"), Box::new(|row| row["category"] == category)),
        (format!("text={word}"), Box::new(|row| has(row, &word))),
        (
            "direction=in&status=booked".to_owned(),
            Box::new(|row| amount(row) >= Decimal::ZERO && row["status"] == "booked"),
        ),
    ];
    for (query, test) in &cases {
        let expected: Vec<Value> = whole.iter().filter(|row| test(row)).cloned().collect();
        assert!(expected.len() < whole.len(), "{query} narrows");
        for limit in [3, 500] {
            assert_eq!(all(&product, &format!("{path}{query}&"), limit).await, expected, "{query} by {limit}");
        }
    }
    for wrong in ["direction=up", "status=BOOK", "amount_min=1&amount_max=0"] {
        good(&product.get(&format!("{path}{wrong}")).await, 422);
    }
    good(&product.get(&format!("{path}amount_min=many")).await, 400);
    sums(&product, &account, &whole).await;
    exports(&product, &account, &whole).await;

    good(&product.delete(&format!("/v1/consents/{consent}")).await, 202);
    for what in ["transactions/export", "cash-flow"] {
        good(&product.get(&format!("/v1/accounts/{account}/{what}")).await, 404);
    }
    site.end().await;
    world.end().await;
}

async fn sums(product: &Caller, account: &str, rows: &[Value]) {
    let booked: Vec<&Value> = rows.iter().filter(|row| row["status"] == "booked").collect();
    let total: Decimal = booked.iter().map(|row| amount(row)).sum();
    for period in ["day", "week", "month", "year"] {
        let flow = good(&product.get(&format!("/v1/accounts/{account}/cash-flow?period={period}")).await, 200);
        assert_eq!(
            (flow["complete"].as_bool(), flow["transactions_read"].as_u64()),
            (Some(true), Some(rows.len() as u64))
        );
        let decimal = |value: &Value| text(value, "amount").parse::<Decimal>().unwrap();
        let (mut net, mut count) = (Decimal::ZERO, 0);
        for part in flow["data"].as_array().unwrap() {
            let of_categories: Decimal = part["categories"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| decimal(&one["money_in"]) + decimal(&one["money_out"]))
                .sum();
            assert_eq!(decimal(&part["net"]), of_categories);
            assert!(text(part, "from") <= text(part, "until"));
            net += of_categories;
            count += part["transactions"].as_u64().unwrap();
        }
        assert_eq!((net, count), (total, booked.len() as u64), "{period}");
    }
    good(&product.get(&format!("/v1/accounts/{account}/cash-flow?period=epoch")).await, 422);
}

async fn exports(product: &Caller, account: &str, rows: &[Value]) {
    let path = format!("/v1/accounts/{account}/transactions/export");
    let lines = product.get(&path).await;
    assert_eq!(lines.headers["content-type"], "application/x-ndjson");
    let read: Vec<Value> = lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, rows);
    let table =
        product.send(Method::GET, &format!("{path}?direction=out"), &[("accept", "text/csv")], Bytes::new()).await;
    assert_eq!(table.headers["content-type"], "text/csv; charset=utf-8");
    let table = table.text();
    let ids: Vec<&str> = table.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    let expected: Vec<&str> =
        rows.iter().filter(|row| amount(row) < Decimal::ZERO).map(|row| text(row, "id")).collect();
    assert_eq!(ids, expected);
    good(&product.get(&format!("{path}?limit=5")).await, 422);
}

/// A JWT that a product signs for a token.
fn assertion(signer: &dyn Signer, kid: &str, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "alg": signer.alg().as_str(), "kid": kid });
    let message = format!("{}.{}", encode(&header), encode(claims));
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signer.sign(message.as_bytes()).unwrap()))
}

async fn token(site: &Site, world: &World, assertion: &str, more: &str) -> Answer {
    let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    let form = format!("grant_type=client_credentials&client_assertion_type={kind}&client_assertion={assertion}{more}");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    site.caller(world, None).send(Method::POST, "/oauth/token", &headers, form.into()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_signs_for_short_tokens() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let pem = generate(Alg::Es256).unwrap();
    let signer = PemSigner::from_pem(Alg::Es256, "x", pem.expose_secret().as_bytes()).unwrap();
    let jwk = public_jwks([&signer as &dyn Signer])["keys"][0].clone();
    let made = good(&product.post("/v1/keys", &json!({ "jwk": jwk, "scopes": ["data", "consents"] })).await, 201);
    assert_eq!((made.get("key"), text(&made, "kind")), (None, "private_key_jwt"));
    let kid = text(&made, "id");
    let now = world.moment().now.as_second();
    let claims = |jti: &str| {
        let id = world.product.to_string();
        json!({ "iss": id, "sub": id, "aud": "http://localhost:8080/oauth/token", "exp": now + 60, "jti": jti })
    };
    let answer = good(&token(&site, &world, &assertion(&signer, kid, &claims("one")), "&scope=consents").await, 200);
    assert_eq!((text(&answer, "scope"), answer["expires_in"].as_i64()), ("consents", Some(600)));
    let short = site.caller(&world, Some(&SecretString::from(text(&answer, "access_token"))));
    good(&short.get("/v1/consents").await, 200);
    assert_eq!(good(&short.get("/v1/accounts").await, 403)["code"], "scope_missing", "it was narrowed");

    let again = token(&site, &world, &assertion(&signer, kid, &claims("one")), "").await;
    assert_eq!(good(&again, 401)["error"], "invalid_client", "an assertion counts once");
    let other = generate(Alg::Es256).unwrap();
    let other = PemSigner::from_pem(Alg::Es256, "x", other.expose_secret().as_bytes()).unwrap();
    let with = |member: &str, value: Value| {
        let mut claims = claims(member);
        claims[member] = value;
        assertion(&signer, kid, &claims)
    };
    for wrong in [
        assertion(&other, kid, &claims("two")),
        assertion(&signer, "key_00000000-0000-7000-8000-000000000000", &claims("two")),
        with("iss", json!("prd_x")),
        with("sub", json!("prd_x")),
        with("aud", json!("https://elsewhere.example")),
        with("aud", json!(["http://localhost:8080", "https://elsewhere.example"])),
        with("exp", json!(now - 1)),
        with("exp", json!(now + 7200)),
        with("nbf", json!(now + 7200)),
        with("jti", json!("")),
        "a.b.c".to_owned(),
    ] {
        assert_eq!(good(&token(&site, &world, &wrong, "").await, 401)["error"], "invalid_client", "{wrong}");
    }
    let wide = token(&site, &world, &assertion(&signer, kid, &claims("three")), "&scope=evidence").await;
    assert_eq!(good(&wide, 400)["error"], "invalid_scope");
    let twice = token(&site, &world, &assertion(&signer, kid, &claims("four")), "&grant_type=client_credentials").await;
    assert_eq!(good(&twice, 400)["error"], "invalid_request");

    good(&product.delete(&format!("/v1/keys/{kid}")).await, 204);
    good(&short.get("/v1/consents").await, 401);
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_without_a_gap_and_never_grow() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let made = good(&product.post("/v1/keys", &json!({ "networks": ["127.0.0.0/8"] })).await, 201);
    let fresh_key = SecretString::from(text(&made, "key"));
    let fresh = site.caller(&world, Some(&fresh_key));
    let listed = good(&fresh.get("/v1/keys").await, 200);
    let ids: Vec<&str> = listed["data"].as_array().unwrap().iter().map(|key| text(key, "id")).collect();
    assert_eq!((ids.len(), ids[1]), (2, text(&made, "id")));
    assert!(!listed.to_string().contains(text(&made, "key")), "a key is shown once");
    good(&fresh.delete(&format!("/v1/keys/{}", ids[0])).await, 204);
    good(&product.get("/v1/consents").await, 401);
    good(&fresh.get("/v1/consents").await, 200);

    let narrow = json!({ "scopes": ["keys"], "expires_at": world.moment().now + SignedDuration::from_hours(1) });
    let narrow = good(&fresh.post("/v1/keys", &narrow).await, 201);
    let narrow = site.caller(&world, Some(&SecretString::from(text(&narrow, "key"))));
    for (wish, field) in [
        (json!({ "scopes": ["data"] }), "scopes"),
        (json!({ "networks": [] }), "networks"),
        (json!({ "networks": ["0.0.0.0/0"] }), "networks"),
        (json!({ "networks": ["x"] }), "networks"),
        (json!({ "purposes": ["astrology"] }), "purposes"),
        (json!({ "expires_at": "2099-01-01T00:00:00Z" }), "expires_at"),
        (json!({ "expires_at": "2020-01-01T00:00:00Z" }), "expires_at"),
        (json!({ "jwk": { "kty": "RSA" } }), "jwk"),
    ] {
        let refused = good(&narrow.post("/v1/keys", &wish).await, 422);
        assert!(text(&refused, "detail").starts_with(field), "{refused}");
    }
    let abroad = good(&fresh.post("/v1/keys", &json!({ "networks": ["127.9.0.0/16"] })).await, 201);
    let abroad = site.caller(&world, Some(&SecretString::from(text(&abroad, "key"))));
    assert_eq!(good(&abroad.get("/v1/consents").await, 403)["code"], "network_refused");

    let answer = fresh.get("/v1/consents").await;
    for header in ["ratelimit", "ratelimit-policy", "trace-id"] {
        assert!(answer.headers.contains_key(header), "{header}");
    }
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn balances_are_kept_as_they_were_and_read_by_pages() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let (consent, account) = connected(&world, &product).await;
    let path = format!("/v1/accounts/{account}/balances");
    let latest = |answer: &Value| answer["data"].as_array().unwrap().clone();
    let mut sets = vec![latest(&good(&product.get(&path).await, 200))];
    for _ in 0..2 {
        world.clock.advance(SignedDuration::from_hours(24));
        world.app.note_present(consent, tests::world::person());
        fetch::run(&world.app, world.about(consent)).await.unwrap();
        sets.insert(0, latest(&good(&product.get(&path).await, 200)));
    }
    let moments: BTreeSet<String> = sets.iter().map(|set| text(&set[0], "observed_at").to_owned()).collect();
    assert_eq!(moments.len(), 3, "each fetch brought its own");
    let key = |row: &Value| (text(row, "observed_at").to_owned(), text(row, "type").to_owned());
    let sorted = |rows: &[Value]| rows.iter().map(key).collect::<BTreeSet<_>>();
    let expected: Vec<Value> = sets.concat();
    for limit in [1, 2, 500] {
        let rows = all(&product, &format!("{path}/history?"), limit).await;
        assert_eq!((rows.len(), sorted(&rows)), (expected.len(), sorted(&expected)), "by {limit}");
        assert!(rows.is_sorted_by(|newer, older| key(newer).0 >= key(older).0), "newest first");
    }
    let day = |moment: &String| moment[..10].to_owned();
    let middle = moments.iter().nth(1).map(day).unwrap();
    let rows = all(&product, &format!("{path}/history?date_from={middle}&date_to={middle}&"), 1).await;
    assert_eq!(sorted(&rows), sorted(&sets[1]));
    for wrong in ["limit=0", "cursor=AAAA", "cursor="] {
        good(&product.get(&format!("{path}/history?{wrong}")).await, 422);
    }
    good(&product.delete(&format!("/v1/consents/{consent}")).await, 202);
    good(&product.get(&format!("{path}/history")).await, 404);
    site.end().await;
    world.end().await;
}

/// What a repetition changes nothing about, with a key or without.
const SAME_BY_NATURE: [&str; 3] = [
    "/v1/consents/{id}/notices/{notice}/outcome",
    "/v1/deletions/{id}/acknowledge",
    "/v1/webhook-endpoints/{id}/resume",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_with_its_key_gives_the_first_answer_and_does_nothing() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let document = good(&product.get("/openapi.json").await, 200);
    for (path, operations) in document["paths"].as_object().unwrap() {
        let Some(post) = operations.get("post").filter(|_| path.starts_with("/v1/")) else { continue };
        let knows = post["parameters"].as_array().into_iter().flatten().any(|one| one["name"] == "Idempotency-Key");
        assert_ne!(knows, SAME_BY_NATURE.contains(&path.as_str()), "{path}");
    }
    let hook = json!({ "url": "http://127.0.0.1:9/", "types": ["consent.*"] });
    let hook = text(&good(&product.post("/v1/webhook-endpoints", &hook).await, 201), "id").to_owned();
    let ask = json!({ "psu_ref": "user-1", "institution_id": BANK, "purposes": ["budgeting"] });
    good(&product.post("/v1/consents", &ask).await, 201);
    server::services::events::number(&world.app, world.app.tenant.id).await.unwrap();
    for (what, body) in [("test", json!({})), ("replay", json!({ "from_seq": 1, "to_seq": 1 }))] {
        let send = async |key: &str, body: &Value| {
            let path = format!("/v1/webhook-endpoints/{hook}/{what}");
            product.send(Method::POST, &path, &[("idempotency-key", key)], body.to_string().into()).await
        };
        let first = good(&send(&format!("{what}-1"), &body).await, 202);
        assert_eq!(good(&send(&format!("{what}-1"), &body).await, 202), first, "{what}");
        let other = good(&send(&format!("{what}-2"), &body).await, 202);
        assert_eq!(
            other["event_id"] == first["event_id"],
            what == "replay",
            "a test under another key is another event"
        );
    }
    let path = format!("/v1/webhook-endpoints/{hook}/replay");
    let further = json!({ "from_seq": 1, "to_seq": 2 }).to_string();
    let further = product.send(Method::POST, &path, &[("idempotency-key", "replay-1")], further.into()).await;
    assert_eq!(good(&further, 422)["code"], "idempotency_mismatch");
    site.end().await;
    world.end().await;
}

/// A reader of a stream of events.
struct Reader {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Reader {
    async fn open(site: &Site, key: &SecretString, more: &str) -> Self {
        let mut stream = TcpStream::connect(site.address()).await.unwrap();
        let request = format!(
            "GET /v1/events/stream HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n{more}\r\n",
            key.expose_secret()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Reads on until so many events are there; gives their numbers.
    async fn until(&mut self, many: usize) -> Vec<i64> {
        loop {
            let said = String::from_utf8_lossy(&self.read);
            let whole = said.rfind("\n\n").map_or("", |end| &said[..end]);
            let ids: Vec<i64> =
                whole.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().unwrap()).collect();
            if ids.len() >= many {
                return ids;
            }
            assert!(self.stream.read_buf(&mut self.read).await.unwrap() > 0, "it ended after {ids:?}");
        }
    }

    /// Reads to the end of the stream.
    async fn end(mut self) -> String {
        // The server ends the answer and keeps the connection: the last chunk is empty.
        while !self.read.ends_with(b"0\r\n\r\n") {
            assert!(self.stream.read_buf(&mut self.read).await.unwrap() > 0, "it broke off");
        }
        String::from_utf8(self.read).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_as_they_happen_and_end_with_the_key() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let made = good(&product.post("/v1/keys", &json!({ "scopes": ["events"] })).await, 201);
    let key = SecretString::from(text(&made, "key"));
    let numbered = async || server::services::events::number(&world.app, world.app.tenant.id).await.unwrap();
    let ask = json!({ "psu_ref": "user-1", "institution_id": BANK, "purposes": ["budgeting"] });
    good(&product.post("/v1/consents", &ask).await, 201);
    numbered().await;
    let listed = async || {
        let page = good(&product.get("/v1/events?limit=500").await, 200);
        page["data"].as_array().unwrap().clone()
    };
    let mut reader = Reader::open(&site, &key, "").await;
    let before = listed().await.len();
    assert_eq!(reader.until(before).await, (1..=before as i64).collect::<Vec<_>>());
    // What happens while it is open comes.
    good(&product.post("/v1/consents", &ask).await, 201);
    numbered().await;
    let events = listed().await;
    assert!(events.len() > before);
    assert_eq!(reader.until(events.len()).await.len(), events.len());
    // The whole of an event stands on one line, as the list has it.
    let said = String::from_utf8(reader.read.clone()).unwrap();
    assert!(said.starts_with("HTTP/1.1 200") && said.contains("content-type: text/event-stream"), "{said}");
    let told: Vec<Value> = said
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(told, events);
    assert!(said.contains("event: consent.created"));
    // Whoever was cut off goes on where they were.
    let mut again = Reader::open(&site, &key, "last-event-id: 1\r\n").await;
    assert_eq!(again.until(events.len() - 1).await, (2..=events.len() as i64).collect::<Vec<_>>());
    for wrong in ["last-event-id: x\r\n", "last-event-id: -1\r\n"] {
        let mut refused = Reader::open(&site, &key, wrong).await;
        while !refused.read.ends_with(b"}") {
            assert!(refused.stream.read_buf(&mut refused.read).await.unwrap() > 0);
        }
        assert!(refused.read.starts_with(b"HTTP/1.1 422"));
    }
    // The key goes, and with it both streams; what happens afterwards does not reach them.
    good(&product.delete(&format!("/v1/keys/{}", text(&made, "id"))).await, 204);
    good(&product.post("/v1/consents", &ask).await, 201);
    numbered().await;
    for reader in [reader, again] {
        let said = reader.end().await;
        assert!(!said.contains(&format!("id: {}\n", events.len() + 1)), "{said}");
    }
    site.end().await;
    world.end().await;
}
