//! What is another's does not exist: every operation of the OpenAPI document, every parameter that names something, every
//! cursor, stream, idempotency key and page is tried with what belongs to another product and to another tenant, and answers
//! as it does for what belongs to nobody.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use bytes::Bytes;
use domain::ids::{ConsentId, DeletionId};
use domain::policy::Regime;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use server::services::{deletion, events, fetch};
use server::{App, setup};
use tests::routes;
use tests::site::{Answer, Caller, Site};
use tests::world::{BANK, CUSTOMER, NEIGHBOUR, World};
use tower::ServiceExt as _;

/// What one product has.
struct Belongings {
    caller: Caller,
    /// In the place of a path's parameter: (begin of the path, parameter) to an id.
    places: BTreeMap<(&'static str, &'static str), String>,
}

impl Belongings {
    /// A path of the document with what this product has.
    fn fill(&self, path: &str) -> String {
        let part = |part: &str| match part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            None => part.to_owned(),
            Some(name) => self.place(path, name).unwrap_or_else(|| panic!("nothing stands for {name} in {path}")),
        };
        path.split('/').map(part).collect::<Vec<_>>().join("/")
    }

    /// The longest begin counts.
    fn place(&self, path: &str, name: &str) -> Option<String> {
        let fits = self.places.iter().filter(|((begin, of), _)| *of == name && path.starts_with(begin));
        fits.max_by_key(|((begin, _), _)| begin.len()).map(|(_, id)| id.clone())
    }

    /// Everything that nobody else may see.
    fn secrets(&self) -> impl Iterator<Item = &String> {
        self.places.iter().filter(|((begin, _), _)| *begin != "/v1/psus").map(|(_, id)| id)
    }
}

fn id_of(answer: &Answer) -> String {
    assert!(answer.status.is_success(), "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// A product with something of every kind.
async fn furnished(world: &World, caller: Caller, person: &str, customer: (&str, &str)) -> Belongings {
    let tenant = world.app.tenant.id;
    let ask = |person: &str| json!({ "psu_ref": person, "institution_id": BANK, "purposes": ["budgeting"] });
    let connected = async |person: &str| {
        let consent: ConsentId = id_of(&caller.post("/v1/consents", &ask(person)).await).parse().unwrap();
        world.authorise(consent, customer).await;
        fetch::run(&world.app, world.about(consent)).await.unwrap();
        consent.to_string()
    };
    let (consent, ended) = (connected(person).await, connected(&format!("{person}-gone")).await);
    let erasure = caller.delete(&format!("/v1/consents/{ended}")).await.json()["erasure"].as_str().unwrap().to_owned();
    deletion::run(&world.app, tenant, erasure.parse::<DeletionId>().unwrap()).await.unwrap();
    let notices = caller.get(&format!("/v1/consents/{ended}/notices")).await.json();
    let accounts = caller.get(&format!("/v1/accounts?consent_id={consent}")).await.json();
    let hook = json!({ "url": "http://127.0.0.1:9/", "types": ["consent.*"] });
    let hook = id_of(&caller.post("/v1/webhook-endpoints", &hook).await);
    let key = id_of(&caller.post("/v1/keys", &json!({ "scopes": ["data"] })).await);
    events::number(&world.app, tenant).await.unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let places = BTreeMap::from([
        (("/v1/consents", "id"), consent.clone()),
        (("/v1/consents/{id}/notices/", "id"), ended),
        (("/v1/consents", "account"), text(&accounts["data"][0]["id"])),
        (("/v1/consents", "notice"), text(&notices["data"][0]["id"])),
        (("/v1/accounts", "id"), text(&accounts["data"][0]["id"])),
        (("/v1/keys", "id"), key),
        (("/v1/psus", "ref"), person.to_owned()),
        (("/v1/webhook-endpoints", "id"), hook),
        (("/v1/deletions", "id"), erasure.clone()),
        (("/v1/evidence/consents", "id"), consent),
        (("/v1/evidence/deletions", "id"), erasure),
    ]);
    Belongings { caller, places }
}

/// The same, but for its last sign: of the same form and nobody's.
fn nobodys(id: &str) -> String {
    let mut id = id.to_owned();
    let last = id.pop().unwrap();
    id.push(if last == '0' { '1' } else { '0' });
    id
}

/// A body that the operation takes.
fn body(world: &World, method: &Method, path: &str) -> Bytes {
    let body = match (method.as_str(), path.rsplit('/').next().unwrap_or_default()) {
        ("POST", "outcome") => json!({ "delivered": true, "channel": "email" }),
        ("POST", "reconfirm") => json!({ "psu": { "session_at": world.moment().now } }),
        ("POST", "replay") => json!({ "from_seq": 1, "to_seq": 1 }),
        ("POST" | "PATCH" | "PUT", _) => json!({}),
        _ => return Bytes::new(),
    };
    body.to_string().into()
}

/// What two answers must have in common.
fn face(answer: &Answer) -> (StatusCode, String, BTreeSet<String>) {
    (answer.status, answer.text(), answer.headers.keys().map(ToString::to_string).collect())
}

/// A product of another tenant of the same installation.
async fn stranger(world: &World) -> SecretString {
    let config = server::config::Config::load(Some(&world.config_file())).unwrap();
    let tenant = setup::ensure_tenant(&world.app.store, &world.moment(), "Another TPP", Regime::Eu).await.unwrap();
    let app = App::new(config, world.app.store.clone(), world.clock.clone(), tenant).unwrap();
    setup::add_product(&app, "Another TPP's product", &["budgeting"], &[]).await.unwrap().1
}

/// The operations of the document that ask for a key, with their paths and the names of their query's parameters.
fn operations(document: &Value) -> Vec<(Method, String, Vec<String>)> {
    let mut all = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        // A directory of banks is everybody's, and what banks and signers come with is not a key.
        if path.starts_with("/v1/institutions") || !path.starts_with("/v1/") {
            continue;
        }
        for (method, operation) in operations.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let queries = parameters.iter().filter(|one| one["in"] == "query");
            let queries = queries.map(|one| one["name"].as_str().unwrap().to_owned()).collect();
            all.push((method, path.clone(), queries));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_anothers_as_nobodys() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let theirs = furnished(&world, site.caller(&world, Some(&world.api_key)), "user-1", CUSTOMER).await;
    let (_, neighbour) = setup::add_product(&world.app, "Another product", &["budgeting"], &[]).await.unwrap();
    let own = furnished(&world, site.caller(&world, Some(&neighbour)), "user-9", NEIGHBOUR).await;
    let abroad = site.caller(&world, Some(&stranger(&world).await));
    let operations = operations(&site.caller(&world, None).get("/openapi.json").await.json());
    let named: Vec<_> = operations.iter().filter(|(_, path, _)| path.contains('{')).collect();
    assert!(named.len() >= 30, "{named:?}");
    for (method, path, _) in named {
        let (full, body) = (theirs.fill(path), body(&world, method, path));
        for other in [&own.caller, &abroad] {
            let answer = other.send(method.clone(), &full, &[], body.clone()).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}: {}", answer.text());
            for part in path.split('/').filter(|part| part.starts_with('{')) {
                let theirs = theirs.place(path, part.trim_matches(['{', '}'])).unwrap();
                let none = full.replace(&theirs, &nobodys(&theirs));
                let none = other.send(method.clone(), &none, &[], body.clone()).await;
                assert_eq!(face(&answer), face(&none), "{method} {path}");
            }
        }
        // Behind one's own consent, what hangs on another's.
        for name in ["account", "notice"] {
            if let Some(theirs) = path.contains(&format!("{{{name}}}")).then(|| theirs.place(path, name).unwrap()) {
                let here = own.fill(path);
                let mine = own.place(path, name).unwrap();
                let mut answers = Vec::new();
                for id in [&theirs, &nobodys(&theirs)] {
                    answers.push(own.caller.send(method.clone(), &here.replace(&mine, id), &[], body.clone()).await);
                }
                assert_eq!(answers[0].status, StatusCode::NOT_FOUND, "{method} {path}");
                assert_eq!(face(&answers[0]), face(&answers[1]), "{method} {path}");
            }
        }
    }
    // Nothing of all that has moved anything.
    let consent = theirs.caller.get(&theirs.fill("/v1/consents/{id}")).await.json();
    assert_eq!(consent["state"], "active");
    questions(&theirs, &[&own.caller, &abroad], &own, &operations).await;
    repetitions(&theirs, &own).await;
    stream(&world, &neighbour, &theirs, &own).await;
    pages(&site.caller(&world, None), &theirs, &own).await;
    let consent = theirs.caller.get(&theirs.fill("/v1/consents/{id}")).await.json();
    assert_eq!(consent["state"], "active", "no page has moved anything");
    site.end().await;
    world.end().await;
}

/// Parameters of a query that name something of a product's.
const NAMING: [&str; 3] = ["consent_id", "cursor", "psu_ref"];
/// Parameters of a query that name nothing.
const PLAIN: [&str; 16] = [
    "after",
    "amount_max",
    "amount_min",
    "before",
    "category",
    "date_from",
    "date_to",
    "direction",
    "freshness",
    "limit",
    "merchant",
    "period",
    "since",
    "status",
    "text",
    "witnessed",
];

/// Parameters that name something, lists, and cursors that continue another's question.
async fn questions(
    theirs: &Belongings,
    others: &[&Caller],
    own: &Belongings,
    operations: &[(Method, String, Vec<String>)],
) {
    let mut tried = BTreeSet::new();
    let names: BTreeSet<_> = operations.iter().flat_map(|(_, _, queries)| queries).map(String::as_str).collect();
    let unknown: Vec<_> = names.iter().filter(|name| !PLAIN.contains(name) && !NAMING.contains(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}: what they name of somebody else's is not tried");
    // A stream has no end; it is the same question as the list of events.
    let reads = operations.iter().filter(|(method, path, _)| *method == Method::GET && path != "/v1/events/stream");
    for (_, path, queries) in reads {
        if !path.contains('{') {
            for other in others {
                let answer = other.get(path).await;
                assert!(answer.status.is_success(), "{path}: {}", answer.text());
                for secret in theirs.secrets() {
                    assert!(!answer.text().contains(secret), "{path} tells of {secret}");
                }
            }
        }
        for name in queries.iter().filter(|name| NAMING.contains(&name.as_str()) && *name != "cursor") {
            let begin = if name == "psu_ref" { ("/v1/psus", "ref") } else { ("/v1/consents", "id") };
            let value = &theirs.places[&begin];
            for other in others {
                let mut faces = Vec::new();
                for value in [value, &nobodys(value)] {
                    faces.push(face(&other.get(&format!("{path}?{name}={value}")).await));
                }
                assert_eq!(without_cursor(&faces[0]), without_cursor(&faces[1]), "{path}?{name}");
            }
            tried.insert(format!("{path}?{name}"));
        }
        if queries.iter().any(|name| name == "cursor") && queries.iter().any(|name| name == "limit") {
            let first = theirs.caller.get(&format!("{}?limit=1", theirs.fill(path))).await.json();
            let Some(cursor) = first["next_cursor"].as_str() else { continue };
            let mut faces = Vec::new();
            for cursor in [cursor, &nobodys(cursor)] {
                faces.push(face(&own.caller.get(&format!("{}?limit=1&cursor={cursor}", own.fill(path))).await));
            }
            assert_eq!(faces[0], faces[1], "{path}: a cursor");
            assert!(theirs.secrets().all(|secret| !faces[0].1.contains(secret)), "{path}: a cursor");
            tried.insert(format!("{path}?cursor"));
        }
    }
    for expected in [
        "/v1/accounts?consent_id",
        "/v1/consents?psu_ref",
        "/v1/consents?cursor",
        "/v1/accounts/{id}/transactions?cursor",
        "/v1/accounts/{id}/balances/history?cursor",
        "/v1/accounts/{id}/transactions/changes?cursor",
        "/v1/transactions/changes?consent_id",
        "/v1/transactions/changes?psu_ref",
        "/v1/transactions/changes?cursor",
    ] {
        assert!(tried.contains(expected), "{expected} was not tried: {tried:?}");
    }
}

/// An answer but for a cursor of its own, which is sealed anew for every question.
fn without_cursor(
    (status, text, headers): &(StatusCode, String, BTreeSet<String>),
) -> (StatusCode, Value, BTreeSet<String>) {
    let mut body: Value = serde_json::from_str(text).unwrap();
    if let Some(body) = body.as_object_mut() {
        body.remove("next_cursor");
    }
    (*status, body, headers.clone())
}

/// An idempotency key is the product's own: with another's it neither gets that answer nor learns that it was used.
async fn repetitions(theirs: &Belongings, own: &Belongings) {
    let ask =
        |person: &str| json!({ "psu_ref": person, "institution_id": BANK, "purposes": ["budgeting"] }).to_string();
    let headers = [("idempotency-key", "order-17")];
    let send =
        async |caller: &Caller, body: String| caller.send(Method::POST, "/v1/consents", &headers, body.into()).await;
    let first = id_of(&send(&theirs.caller, ask("user-1")).await);
    assert_eq!(id_of(&send(&theirs.caller, ask("user-1")).await), first);
    let other = id_of(&send(&own.caller, ask("user-2")).await);
    assert_ne!(other, first);
    assert_eq!(id_of(&send(&own.caller, ask("user-2")).await), other);
}

/// A stream of events tells a product of what is its own, wherever it begins.
async fn stream(world: &World, key: &SecretString, theirs: &Belongings, own: &Belongings) {
    let events = own.caller.get("/v1/events?limit=500").await.json()["data"].as_array().unwrap().len();
    let request = Request::get("/v1/events/stream").header("last-event-id", "0");
    let request = request.header("authorization", format!("Bearer {}", key.expose_secret())).body(Body::empty());
    let answer = server::router(world.app.clone()).oneshot(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let (mut body, mut said) = (answer.into_body(), String::new());
    while said.matches("\nid: ").count() + usize::from(said.starts_with("id: ")) < events || !said.ends_with("\n\n") {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        said += std::str::from_utf8(&frame).unwrap();
    }
    assert!(events > 3 && said.contains(&own.places[&("/v1/consents", "id")]), "{said}");
    assert!(theirs.secrets().all(|secret| !said.contains(secret)), "{said}");
}

/// The cookie and the anti-forgery token of a person of another product, who is at their own pages.
async fn session(nobody: &Caller, own: &Belongings) -> (String, String) {
    let ask = json!({ "psu_ref": own.places[&("/v1/psus", "ref")], "purposes": ["budgeting"] });
    let made = own.caller.post("/v1/consents", &ask).await.json();
    let link = made["link"]["url"].as_str().unwrap().strip_prefix("http://localhost:8080").unwrap().to_owned();
    let taken = nobody.send(Method::POST, &link, &[], Bytes::new()).await;
    let cookie = taken.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let page = nobody.send(Method::GET, "/my", &[("cookie", &cookie)], Bytes::new()).await;
    assert!(page.text().contains(&own.places[&("/v1/consents", "id")]), "they see their own: {}", page.text());
    let csrf = page.text().split_once("name=\"csrf\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    (cookie, csrf)
}

/// Pages of a person: whoever guesses an id learns nothing, without a session or with one of their own.
async fn pages(nobody: &Caller, theirs: &Belongings, own: &Belongings) {
    let consent = &theirs.places[&("/v1/consents", "id")];
    let pages: Vec<_> = routes::of("web").into_iter().filter(|(_, path)| path.contains("{consent}")).collect();
    assert!(pages.len() >= 9, "{pages:?}");
    for (cookie, csrf) in [(String::new(), String::new()), session(nobody, own).await] {
        let headers = [("cookie", cookie.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        for (method, page) in &pages {
            let form = if *method == Method::POST { format!("csrf={csrf}") } else { String::new() };
            let mut faces = Vec::new();
            for id in [consent, &nobodys(consent)] {
                let page = routes::filled(page, id);
                faces.push(face(&nobody.send(method.clone(), &page, &headers, form.clone().into()).await));
            }
            assert_eq!(faces[0], faces[1], "{method} {page}");
            assert!(!faces[0].0.is_success(), "{method} {page}");
        }
    }
}
