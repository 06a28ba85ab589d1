//! The OWASP API Security Top 10 (2023), a test for each risk by its name, and hostile input at every address that there is.
//! Object level authorisation is tried operation by operation in `isolation`; here is the risk in one sentence each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::limits;
use http::{Method, StatusCode};
use jiff::SignedDuration;
use net::serve::{ServeConfig, Transport, serve};
use sandbox::Misbehaviour;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use server::services::fetch;
use server::setup;
use tests::routes;
use tests::site::{Answer, Caller, Site};
use tests::world::{BANK, CUSTOMER, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// A world with an application that is called, and its product.
struct Ground {
    world: World,
    site: Site,
    product: Caller,
}

impl Ground {
    async fn start() -> Self {
        let world = World::start().await;
        let site = Site::start(world.app.clone()).await;
        let product = site.caller(&world, Some(&world.api_key));
        Self { world, site, product }
    }

    fn caller(&self, key: &str) -> Caller {
        self.site.caller(&self.world, Some(&SecretString::from(key)))
    }

    /// A connected account of the product's.
    async fn account(&self) -> String {
        let consent = self.product.post("/v1/consents", &ask()).await.json();
        let consent = consent["id"].as_str().unwrap().parse().unwrap();
        self.world.authorise(consent, CUSTOMER).await;
        fetch::run(&self.world.app, self.world.about(consent)).await.unwrap();
        self.product.get("/v1/accounts").await.json()["data"][0]["id"].as_str().unwrap().to_owned()
    }

    /// A key of the product with what is wished for.
    async fn key(&self, wish: Value) -> Caller {
        let made = self.product.post("/v1/keys", &wish).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
        self.caller(made.json()["key"].as_str().unwrap())
    }

    async fn end(self) {
        self.site.end().await;
        self.world.end().await;
    }
}

fn ask() -> Value {
    json!({ "psu_ref": "user-1", "institution_id": BANK, "purposes": ["budgeting"] })
}

fn is(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (status, Some(code)), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn api1_broken_object_level_authorization() {
    let ground = Ground::start().await;
    let account = ground.account().await;
    let (_, other) = setup::add_product(&ground.world.app, "Another product", &["budgeting"], &[]).await.unwrap();
    let other = ground.site.caller(&ground.world, Some(&other));
    for path in
        ["", "/balances", "/balances/history", "/transactions", "/transactions/export", "/cash-flow", "/recurring"]
    {
        is(&other.get(&format!("/v1/accounts/{account}{path}")).await, 404, "not_found");
        assert!(ground.product.get(&format!("/v1/accounts/{account}{path}")).await.status.is_success(), "{path}");
    }
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api2_broken_authentication() {
    let ground = Ground::start().await;
    let unsigned = |algorithm: &str, claims: &Value| {
        let header = json!({ "alg": algorithm, "typ": "JWT" });
        let [header, claims] = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        format!("{header}.{claims}.")
    };
    let keys = ground.product.get("/v1/keys").await.json();
    let now = ground.world.moment().now.as_second();
    let claims = json!({
        "token_type": "access", "iss": "http://localhost:8080/", "client_id": ground.world.product.to_string(),
        "sub": keys["data"][0]["id"], "iat": now, "exp": now + 600, "jti": "1",
    });
    let key = ground.world.api_key.expose_secret().to_owned();
    let mut faces = Vec::new();
    for shown in [
        unsigned("none", &claims),
        unsigned("HS256", &claims),
        format!("{}AA", unsigned("HS256", &claims)),
        key[..key.len() - 1].to_owned(),
        format!("{key}A"),
        key.to_uppercase(),
        "trb_key_".to_owned(),
        "..".to_owned(),
        "'or'1'='1".to_owned(),
    ] {
        let answer = ground.caller(&shown).get("/v1/consents").await;
        is(&answer, 401, "unauthorised");
        faces.push(answer.text());
    }
    // No key in an address counts, and no other scheme.
    let nobody = ground.site.caller(&ground.world, None);
    for path in [format!("/v1/consents?key={key}"), format!("/v1/consents?access_token={key}")] {
        faces.push(nobody.get(&path).await.text());
    }
    let basic = format!("Basic {key}");
    faces.push(nobody.send(Method::GET, "/v1/consents", &[("authorization", &basic)], Bytes::new()).await.text());
    faces.dedup();
    assert_eq!(faces.len(), 1, "nobody learns what is wrong: {faces:?}");
    // What ends, ends.
    let soon =
        json!({ "scopes": ["consents"], "expires_at": ground.world.moment().now + SignedDuration::from_mins(1) });
    let soon = ground.key(soon).await;
    assert_eq!(soon.get("/v1/consents").await.status, StatusCode::OK);
    ground.world.clock.advance(SignedDuration::from_mins(1));
    is(&soon.get("/v1/consents").await, 401, "unauthorised");
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api3_broken_object_property_level_authorization() {
    let ground = Ground::start().await;
    let with = |mut body: Value, member: &str, value: Value| {
        body[member] = value;
        body
    };
    // Nothing can be set that is not offered: whatever is unknown is refused and not passed over.
    for (member, value) in [("state", json!("active")), ("product", json!("prd_x")), ("grant_id", json!("grt_x"))] {
        is(&ground.product.post("/v1/consents", &with(ask(), member, value)).await, 400, "malformed");
    }
    let hook = json!({ "url": "http://127.0.0.1:9/" });
    for (member, value) in [("secret", json!("whsec_x")), ("state", json!("active")), ("id", json!("whe_x"))] {
        is(&ground.product.post("/v1/webhook-endpoints", &with(hook.clone(), member, value)).await, 400, "malformed");
    }
    for (member, value) in [("product", json!("prd_x")), ("hash", json!("00")), ("key", json!("trb_key_x"))] {
        is(&ground.product.post("/v1/keys", &with(json!({}), member, value)).await, 400, "malformed");
    }
    // Nothing is shown that is a secret, but once, to whoever made it.
    let made = ground.product.post("/v1/keys", &json!({})).await.json();
    let hook = ground.product.post("/v1/webhook-endpoints", &hook).await.json();
    for path in [
        "/v1/keys".to_owned(),
        "/v1/webhook-endpoints".to_owned(),
        format!("/v1/webhook-endpoints/{}", text(&hook, "id")),
    ] {
        let shown = ground.product.get(&path).await.text();
        for secret in [text(&made, "key"), "whsec_", "hash", "sealed"] {
            assert!(!shown.contains(secret), "{path} shows {secret}");
        }
    }
    ground.end().await;
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn api4_unrestricted_resource_consumption() {
    let ground = Ground::start().await;
    let account = ground.account().await;
    // Size.
    let large = Bytes::from(vec![b' '; limits::REQUEST_BODY_BYTES_MAX + 1]);
    is(&ground.product.send(Method::POST, "/v1/consents", &[], large.clone()).await, 413, "too_large");
    let page = ground.site.caller(&ground.world, None).send(Method::POST, "/link/consent", &[], large).await;
    assert!(page.status.is_client_error(), "{}", page.status);
    let deep = Bytes::from(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)));
    is(&ground.product.send(Method::POST, "/v1/consents", &[], deep).await, 400, "malformed");
    // Number.
    for limit in ["0", "501", "4294967296", "-1"] {
        let answer = ground.product.get(&format!("/v1/accounts/{account}/transactions?limit={limit}")).await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{limit}: {}", answer.text());
    }
    // Rate: whoever floods is told so, and others are served. The flood takes every place as it comes free.
    let made = ground.product.post("/v1/keys", &json!({ "scopes": ["events"] })).await.json();
    let (flooder, id) = (ground.caller(text(&made, "key")), text(&made, "id").parse().unwrap());
    let over = Arc::new(AtomicBool::new(false));
    let flood = std::thread::spawn({
        let (app, over) = (ground.world.app.clone(), over.clone());
        move || {
            while !over.load(Ordering::Relaxed) {
                let _ = app.rates.count(id, app.tenant.id);
            }
        }
    });
    let refused = loop {
        let answer = flooder.get("/v1/event-types").await;
        if answer.status != StatusCode::OK {
            break answer;
        }
    };
    over.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    is(&refused, 429, "rate_limited");
    assert!(refused.headers.contains_key("retry-after") && refused.headers.contains_key("ratelimit"));
    assert_eq!(ground.product.get("/v1/consents").await.status, StatusCode::OK);
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api4_a_slow_loris_holds_no_connection() {
    let world = World::start().await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let stop = CancellationToken::new();
    let config = ServeConfig { header_timeout: Duration::from_secs(2), ..ServeConfig::new(Transport::Plain) };
    let serving = serve(listener, config, server::router(world.app.clone()), stop.clone()).unwrap();
    let mut open = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(serving.address).await.unwrap();
        stream.write_all(b"GET /v1/consents HTTP/1.1\r\nhost: localhost\r\nx-a: ").await.unwrap();
        open.push(stream);
    }
    // Each is let go by the server, and whoever speaks is heard meanwhile.
    let caller = Caller::new(&world, &format!("http://{}", serving.address), Some(&world.api_key));
    assert_eq!(caller.get("/v1/consents").await.status, StatusCode::OK);
    for mut stream in open {
        let mut said = Vec::new();
        // An end with a word or without: what counts is that it comes.
        let _ = stream.read_to_end(&mut said).await;
        assert!(!said.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&said));
    }
    stop.cancel();
    serving.finished().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api4_a_body_that_drips_holds_no_connection() {
    let ground = Ground::start().await;
    let key = ground.world.api_key.expose_secret();
    let mut open = Vec::new();
    for path in ["/v1/consents", "/v1/webhook-endpoints", "/oauth/token", "/api/v2/token/new/", "/link/consent"] {
        for _ in 0..8 {
            let (mut answer, mut body) = TcpStream::connect(ground.site.address()).await.unwrap().into_split();
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\
                 content-type: application/json\r\ncontent-length: 9000\r\n\r\n"
            );
            body.write_all(head.as_bytes()).await.unwrap();
            open.push(tokio::spawn(async move {
                let mut said = Vec::new();
                let drip = async {
                    let mut every = tokio::time::interval(Duration::from_millis(200));
                    while body.write_all(b" ").await.is_ok() {
                        every.tick().await;
                    }
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    _ = answer.read_to_end(&mut said) => {}
                    () = drip => {}
                }
                (path, String::from_utf8_lossy(&said).into_owned())
            }));
        }
    }
    // Whoever speaks is heard meanwhile.
    assert_eq!(ground.product.get("/v1/consents").await.status, StatusCode::OK);
    for one in open {
        let (path, said) = one.await.unwrap();
        assert!(said.starts_with("HTTP/1.1 4"), "{path}: {said}");
    }
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api5_broken_function_level_authorization() {
    let ground = Ground::start().await;
    let reader = ground.key(json!({ "scopes": ["data"] })).await;
    for (method, path) in [
        (Method::POST, "/v1/consents"),
        (Method::GET, "/v1/consents"),
        (Method::POST, "/v1/keys"),
        (Method::GET, "/v1/keys"),
        (Method::DELETE, "/v1/psus/user-1"),
        (Method::GET, "/v1/events"),
        (Method::GET, "/v1/events/stream"),
        (Method::POST, "/v1/webhook-endpoints"),
        (Method::GET, "/v1/evidence/checkpoints"),
    ] {
        is(&reader.send(method, path, &[], Bytes::new()).await, 403, "scope_missing");
    }
    // Nobody gives away more than they have.
    let keeper = ground.key(json!({ "scopes": ["keys"] })).await;
    is(&keeper.post("/v1/keys", &json!({ "scopes": ["keys", "data"] })).await, 422, "invalid_request");
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api6_unrestricted_access_to_sensitive_business_flows() {
    let ground = Ground::start().await;
    // A link that was used leads nowhere; what it led to belongs to one browser.
    let link = ground.product.post("/v1/consents", &ask()).await.json()["link"]["url"].as_str().unwrap().to_owned();
    let path = link.strip_prefix("http://localhost:8080").unwrap();
    let nobody = ground.site.caller(&ground.world, None);
    let form = [("content-type", "application/x-www-form-urlencoded"), ("origin", "http://localhost:8080")];
    let first = nobody.send(Method::POST, path, &form, Bytes::new()).await;
    assert_eq!(first.status, StatusCode::SEE_OTHER, "{}", first.text());
    let again = nobody.send(Method::POST, path, &form, Bytes::new()).await;
    assert!(again.status.is_client_error(), "{}", again.status);
    assert!(nobody.get("/link/consent").await.status.is_client_error(), "without that browser's cookie");
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api7_server_side_request_forgery() {
    let ground = Ground::start().await;
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://[fd00::1]/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_",
        "https://user:pass@product.example/",
        "//product.example/",
        "",
    ] {
        let answer = ground.product.post("/v1/webhook-endpoints", &json!({ "url": url })).await;
        is(&answer, 422, "invalid_request");
    }
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api8_security_misconfiguration() {
    let ground = Ground::start().await;
    let origin = [("origin", "https://elsewhere.example"), ("access-control-request-method", "GET")];
    for path in ["/v1/consents", "/healthz", "/docs/", "/nowhere", "/my"] {
        for method in [Method::GET, Method::OPTIONS, Method::TRACE] {
            let answer = ground.product.send(method.clone(), path, &origin, Bytes::new()).await;
            assert!(!answer.status.is_server_error(), "{method} {path}");
            assert!(method != Method::TRACE || answer.status.is_client_error(), "{path} repeats what came");
            assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{method} {path}");
            assert_eq!(answer.headers["referrer-policy"], "no-referrer", "{method} {path}");
            for header in ["access-control-allow-origin", "server", "x-powered-by"] {
                assert!(!answer.headers.contains_key(header), "{method} {path} has {header}");
            }
        }
    }
    let answer = ground.product.get("/v1/consents").await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api9_improper_inventory_management() {
    let ground = Ground::start().await;
    // Nothing answers beside what the document names, and what people and operators have.
    for path in [
        "/v0/consents",
        "/v2/consents",
        "/api/v1/consents",
        "/v1",
        "/v1/",
        "/v1/admin",
        "/v1/debug",
        "/debug/pprof/",
        "/actuator",
        "/.env",
        "/.git/config",
        "/graphql",
        "/swagger.json",
        "/console",
    ] {
        assert_eq!(ground.product.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let document = ground.product.get("/openapi.json").await.json();
    assert_eq!(document, serde_json::to_value(server::api::openapi()).unwrap());
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(operation["description"].is_string() || operation["summary"].is_string(), "{method} {path}");
            assert!(operation["responses"].as_object().unwrap().len() > 3, "{method} {path} says how it fails");
        }
    }
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api10_unsafe_consumption_of_apis() {
    let ground = Ground::start().await;
    let consent = ground.world.connect(CUSTOMER).await;
    for how in [Misbehaviour::WebPage, Misbehaviour::Damaged, Misbehaviour::ForeignLink, Misbehaviour::EndlessPages] {
        ground.world.bank.misbehave(how, "/transactions", 50);
        ground.world.app.note_present(consent, tests::world::person());
        fetch::run(&ground.world.app, ground.world.about(consent)).await.unwrap();
    }
    // Whatever the bank did, readers get rows in the shape that the document says, or none, and no page of the bank's.
    let accounts = ground.site.caller(&ground.world, Some(&ground.world.api_key)).get("/v1/accounts").await.json();
    for account in accounts["data"].as_array().unwrap() {
        let rows = ground.product.get(&format!("/v1/accounts/{}/transactions", text(account, "id"))).await;
        assert_eq!(rows.status, StatusCode::OK, "{}", rows.text());
        assert!(!rows.text().contains("<html"), "{}", rows.text());
    }
    ground.end().await;
}

/// What no address may stumble over, and no answer may repeat as it came.
pub(crate) const HOSTILE: [&str; 14] = [
    "%00",
    "%ff%fe",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    "%22%27%3B--%20drop%20table%20consent",
    "%24%7Bjndi%3Aldap%3A%2F%2F127.0.0.1%2Fa%7D",
    "%7B%7B7*7%7D%7D",
    "%0d%0aset-cookie%3A%20a%3Db",
    "999999999999999999999999999999",
    "-1",
    "1e400",
    "%F0%9F%92%A9",
    "%E2%80%AE",
    "cns_00000000-0000-0000-0000-000000000000",
];

#[tokio::test(flavor = "multi_thread")]
async fn hostile_input_at_every_address_is_refused_in_words() {
    let ground = Ground::start().await;
    let nobody = ground.site.caller(&ground.world, None);
    let document = nobody.get("/openapi.json").await.json();
    let long = "a".repeat(4_000);
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            for input in HOSTILE.into_iter().chain([long.as_str()]) {
                let mut address = routes::filled(path, input);
                let query = operation["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == "query");
                let query: Vec<_> = query.map(|one| format!("{}={input}", text(one, "name"))).collect();
                if !query.is_empty() {
                    address = format!("{address}?{}", query.join("&"));
                }
                let body = if method == Method::GET { Bytes::new() } else { Bytes::from(input.to_owned()) };
                let answer = ground.product.send(method.clone(), &address, &[("last-event-id", "x")], body).await;
                harmless(&answer, &format!("{method} {path} with {input:.40}"));
                asked += 1;
            }
        }
    }
    assert!(asked > 600, "{asked}");
    for (folder, caller) in [("web", &nobody), ("gocardless", &ground.product)] {
        for (method, path) in routes::of(folder) {
            for input in HOSTILE.into_iter().chain([long.as_str()]) {
                let query = format!("state={input}&code={input}&lang={input}&limit={input}&date_from={input}");
                let address = format!("{}?{query}", routes::filled(&path, input));
                let form = [("content-type", "application/x-www-form-urlencoded")];
                let body = if method == Method::GET { Bytes::new() } else { Bytes::from(query) };
                let answer = caller.send(method.clone(), &address, &form, body).await;
                harmless(&answer, &format!("{method} {path} with {input:.40}"));
            }
        }
    }
    ground.end().await;
}

pub(crate) fn harmless(answer: &Answer, what: &str) {
    assert!(!answer.status.is_server_error(), "{what}: {} {}", answer.status, answer.text());
    assert!(
        !answer.headers.contains_key("set-cookie") || !answer.headers["set-cookie"].as_bytes().starts_with(b"a=b"),
        "{what}"
    );
    let kind = answer.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let text = answer.text();
    assert!(!kind.starts_with("text/html") || !text.contains("<script>alert"), "{what} is repeated");
    for inside in ["panicked", "sqlx", "PostgreSQL", "RUST_BACKTRACE", "src/"] {
        assert!(
            !text.contains(inside) || kind == "application/json" && what.contains("openapi"),
            "{what} shows {inside}"
        );
    }
}
