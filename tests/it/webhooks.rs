//! Events on their way to a product: receivers that misbehave in every manner lose nothing and disturb no order; nobody
//! is led inside; a node that dies sends again under the same id.
//!
//! Time is moved to the moment that the next attempt is due at; nobody sleeps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::event::EventType;
use domain::ids::EndpointId;
use domain::world::Clock as _;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use server::config::Config;
use server::services::delivery::{self, Receivers};
use server::services::{events, fetch::Verdict};
use server::{App, setup};
use tests::node::{Fault, Node};
use tests::receiver::{Manner, Received, Receiver};
use tests::site::{Caller, Site};
use tests::world::World;

const NODE: &str = env!("CARGO_BIN_EXE_node");
/// SIGABRT: what a node dies of at its point.
const ABORTED: i32 = 6;
const DAY: i64 = 24 * 60 * 60;

/// A world with its API and a receiver.
struct Stage {
    world: World,
    app: Arc<App>,
    site: Site,
    product: Caller,
    receiver: Receiver,
}

impl Stage {
    async fn new() -> Self {
        Self::with(true).await
    }

    /// `here`: whether receivers may be on this machine. How long one may take is cut down, so that a test with one that
    /// stalls comes to its end.
    async fn with(here: bool) -> Self {
        let world = World::start().await;
        let config = Config::load(Some(&world.config_file())).unwrap();
        let roots = net::Roots::from_pem(world.pki.ca_pem.as_bytes()).unwrap();
        let limits = net::Limits { total: Duration::from_millis(400), ..net::Limits::NOTIFY };
        let store = world.app.store.clone();
        let mut app = App::new(config, store, world.clock.clone(), world.app.tenant.clone()).unwrap();
        app.receivers = Receivers::new(roots, here, limits, world.clock.clone()).unwrap();
        let app = Arc::new(app);
        let site = Site::start(app.clone()).await;
        let product = site.caller(&world, Some(&world.api_key));
        Self { world, app, site, product, receiver: Receiver::start().await }
    }

    async fn end(self) {
        self.site.end().await;
        self.receiver.end().await;
        self.world.end().await;
    }

    /// Makes an endpoint and gives what was answered.
    async fn endpoint(&self, path: &str, types: &[&str]) -> Value {
        let body = json!({ "url": self.receiver.url(path), "types": types });
        let answer = self.product.post("/v1/webhook-endpoints", &body).await;
        assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
        answer.json()
    }

    /// Something happens so many times.
    async fn happen(&self, kind: EventType, many: usize) {
        let tenant = self.app.tenant.id;
        for n in 0..many {
            let world = self.world.moment();
            let mut tx = self.app.store.tenant_tx(tenant).await.unwrap();
            events::emit(&mut tx, &world, self.world.product, kind, None, json!({ "n": n })).await.unwrap();
            tx.commit().await.unwrap();
        }
        self.number().await;
    }

    async fn number(&self) {
        events::number(&self.app, self.app.tenant.id).await.unwrap();
    }

    /// Delivers until nothing is left to do or `until` has come; moves the time to each next attempt.
    async fn deliver(&self, endpoint: EndpointId, until: Option<Timestamp>) -> Vec<SignedDuration> {
        let mut pauses = Vec::new();
        for _ in 0..400 {
            match delivery::run(&self.app, self.app.tenant.id, endpoint).await.unwrap() {
                Verdict::Again(at) if until.is_none_or(|until| at < until) => {
                    let pause = at.duration_since(self.world.clock.now());
                    if pause.is_positive() {
                        pauses.push(pause);
                        self.world.clock.advance(pause.saturating_add(SignedDuration::from_secs(1)));
                    }
                }
                Verdict::Done | Verdict::Again(_) => return pauses,
                Verdict::Next(at) => panic!("a delivery is not due anew at {at}"),
            }
        }
        panic!("the stream does not end")
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.product.get(path).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
        answer.json()
    }

    async fn post(&self, path: &str, body: Value, status: u16) -> Value {
        let answer = self.product.post(path, &body).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
        answer.json()
    }

    /// Types of everything in the product's stream.
    async fn told(&self) -> Vec<String> {
        self.number().await;
        let page = self.get("/v1/events?limit=500").await;
        let rows = page["data"].as_array().unwrap();
        assert_eq!(numbers(rows.iter().map(|row| row["seq"].as_i64().unwrap())), page["last_seq"].as_i64().unwrap());
        rows.iter().map(|row| row["type"].as_str().unwrap().to_owned()).collect()
    }
}

/// Checks that numbers run from 1 without a gap; gives the last.
#[track_caller]
fn numbers(seqs: impl Iterator<Item = i64>) -> i64 {
    let seqs: Vec<_> = seqs.collect();
    assert_eq!(seqs, (1..).take(seqs.len()).collect::<Vec<i64>>());
    seqs.last().copied().unwrap_or(0)
}

fn id(endpoint: &Value) -> EndpointId {
    endpoint["id"].as_str().unwrap().parse().unwrap()
}

fn path(endpoint: &Value, rest: &str) -> String {
    format!("/v1/webhook-endpoints/{}{rest}", endpoint["id"].as_str().unwrap())
}

/// Every attempt at one event has the same id and number.
#[track_caller]
fn one_id_each(received: &[Received]) {
    let mut ids: BTreeMap<i64, &str> = BTreeMap::new();
    for sent in received {
        let id = sent.header("webhook-id");
        assert_eq!(sent.json()["id"], id);
        assert_eq!(*ids.entry(sent.seq()).or_insert(id), id);
    }
    let different: std::collections::BTreeSet<_> = ids.values().collect();
    assert_eq!(different.len(), ids.len());
}

/// Deterministic chance (PCG's multiplier; nothing here is a secret).
fn manners(seed: u64, many: usize) -> Vec<Manner> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match state >> 60 {
            0..5 => Manner::Status(200),
            5 => Manner::Status(500),
            6 => Manner::Status(503),
            7 => Manner::Later(429, "7200".to_owned()),
            8 => Manner::Later(503, "soon".to_owned()),
            9 => Manner::Status(302),
            10 => Manner::Status(404),
            11 => Manner::Break,
            12 => Manner::Gigabyte,
            13 => Manner::Status(204),
            _ => Manner::Status(202),
        }
    };
    (0..many).map(next).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_misbehaves_in_every_manner_loses_nothing_and_keeps_the_order() {
    let stage = Stage::new().await;
    let endpoint = stage.endpoint("hook", &["sync.*"]).await;
    let script = manners(11, 60);
    let failures =
        script.iter().filter(|manner| !matches!(manner, Manner::Status(200..=299) | Manner::Gigabyte)).count();
    stage.receiver.answers([Manner::Stall]);
    stage.receiver.answers(script);
    stage.happen(EventType::SyncCompleted, 25).await;
    let pauses = stage.deliver(id(&endpoint), None).await;
    // More happens while it is behind, and while nothing is due.
    stage.happen(EventType::SyncFailed, 15).await;
    stage.deliver(id(&endpoint), None).await;

    let taken = stage.receiver.taken();
    assert_eq!(numbers(taken.iter().map(Received::seq)), 40, "each once, in order, without a gap");
    let received = stage.receiver.received();
    one_id_each(&received);
    assert!(received.iter().map(Received::seq).is_sorted(), "nothing overtakes what waits");
    assert!(received.len() > 40 + failures / 2, "it was tried again: {}", received.len());
    assert!(pauses.iter().any(|pause| *pause >= SignedDuration::from_secs(7199)), "429 is respected: {pauses:?}");
    assert!(stage.receiver.poured() < 64 << 20, "{} bytes of gigabytes were taken", stage.receiver.poured());

    let log = stage.get(&path(&endpoint, "/attempts?limit=500")).await;
    let log = log["data"].as_array().unwrap();
    assert_eq!(log.len(), received.len());
    let outcomes: std::collections::BTreeSet<_> = log.iter().map(|row| row["outcome"].as_str().unwrap()).collect();
    assert!(outcomes.is_superset(&["answer.timeout", "delivered", "refused"].into()), "{outcomes:?}");
    assert!(outcomes.iter().any(|outcome| outcome.starts_with("connection.") || outcome.starts_with("tls.")));
    let healthy = stage.get(&path(&endpoint, "")).await;
    assert_eq!((healthy["state"].as_str(), healthy["waiting"].as_i64()), (Some("active"), Some(0)));
    assert_eq!(healthy["last_seq"], 40);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_for_days_is_slowed_down_given_up_and_loses_nothing() {
    let stage = Stage::new().await;
    let endpoint = stage.endpoint("hook", &["consent.*", "sync.*"]).await;
    let began = stage.world.clock.now();
    let after = |days: i64| Some(began.saturating_add(SignedDuration::from_secs(days * DAY)).unwrap());
    let state = async || stage.get(&path(&endpoint, "")).await["state"].as_str().unwrap().to_owned();

    stage.happen(EventType::ConsentRenewed, 3).await;
    stage.receiver.answers(vec![Manner::Status(500); 1000]);
    stage.deliver(id(&endpoint), after(2)).await;
    assert_eq!(state().await, "active");
    stage.deliver(id(&endpoint), after(5)).await;
    assert_eq!(state().await, "failing");
    stage.happen(EventType::SyncCompleted, 2).await;
    stage.deliver(id(&endpoint), None).await;
    assert_eq!(state().await, "disabled");
    let tried = stage.receiver.received();
    assert!(tried.len() < 30 && tried.iter().all(|sent| sent.seq() == 1), "the head was tried {} times", tried.len());
    let told = stage.told().await;
    assert_eq!(told.iter().filter(|kind| *kind == "webhook.disabled").count(), 2, "slowed down, given up: {told:?}");

    // Its product has mended it: everything comes, in order, and what happened meanwhile too.
    stage.receiver.forgets();
    stage.happen(EventType::ConsentExpired, 1).await;
    stage.post(&path(&endpoint, "/resume"), json!({}), 200).await;
    stage.deliver(id(&endpoint), None).await;
    assert_eq!(numbers(stage.receiver.taken().iter().map(Received::seq)), 6);
    one_id_each(&stage.receiver.received());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_comes_back_by_itself_is_found() {
    let stage = Stage::new().await;
    let endpoint = stage.endpoint("hook", &["consent.*"]).await;
    let began = stage.world.clock.now();
    stage.happen(EventType::ConsentRenewed, 3).await;
    stage.receiver.answers(vec![Manner::Status(500); 1000]);
    let late = began.saturating_add(SignedDuration::from_secs(4 * DAY)).unwrap();
    stage.deliver(id(&endpoint), Some(late)).await;
    assert_eq!(stage.get(&path(&endpoint, "")).await["state"], "failing");
    stage.receiver.forgets();
    stage.deliver(id(&endpoint), None).await;
    assert_eq!(numbers(stage.receiver.taken().iter().map(Received::seq)), 3);
    assert_eq!(stage.get(&path(&endpoint, "")).await["state"], "active");
    let told = stage.told().await;
    assert_eq!(told[3..], ["webhook.disabled", "webhook.recovered"]);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_gone_is_left_alone_until_it_is_resumed() {
    let stage = Stage::new().await;
    let endpoint = stage.endpoint("hook", &["consent.*"]).await;
    stage.receiver.answers([Manner::Status(200), Manner::Status(410)]);
    stage.happen(EventType::ConsentRenewed, 4).await;
    assert!(stage.deliver(id(&endpoint), None).await.is_empty());
    assert_eq!(stage.get(&path(&endpoint, "")).await["state"], "gone");
    stage.world.clock.advance(SignedDuration::from_secs(30 * DAY));
    stage.happen(EventType::ConsentExpired, 1).await;
    stage.deliver(id(&endpoint), None).await;
    assert_eq!(stage.receiver.received().len(), 2, "nothing more was sent");
    assert_eq!(stage.told().await.last().map(String::as_str), Some("consent.expired"));
    assert!(stage.told().await.contains(&"webhook.disabled".to_owned()));

    let resumed = stage.post(&path(&endpoint, "/resume"), json!({}), 200).await;
    assert_eq!((resumed["state"].as_str(), resumed["waiting"].as_i64()), (Some("active"), Some(4)));
    stage.deliver(id(&endpoint), None).await;
    assert_eq!(numbers(stage.receiver.taken().iter().map(Received::seq)), 5);
    one_id_each(&stage.receiver.received());

    // What it can never take is passed over by its product's word, and by nobody else's.
    stage.receiver.answers([Manner::Status(410)]);
    stage.happen(EventType::ConsentRenewed, 2).await;
    stage.deliver(id(&endpoint), None).await;
    stage.post(&path(&endpoint, "/resume"), json!({ "skip_to_seq": 7 }), 200).await;
    stage.deliver(id(&endpoint), None).await;
    assert_eq!(stage.receiver.taken().last().map(Received::seq), Some(7));
    assert_eq!(stage.receiver.taken().len(), 6);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_endpoint_has_a_stream_of_its_own_and_may_have_it_again() {
    let stage = Stage::new().await;
    let (all, some) =
        (stage.endpoint("all", &[]).await, stage.endpoint("some", &["transaction.added", "deletion.*"]).await);
    stage.happen(EventType::SyncCompleted, 2).await;
    stage.happen(EventType::TransactionAdded, 3).await;
    let ping = stage.post(&path(&some, "/test"), json!({}), 202).await;
    stage.number().await;
    stage.happen(EventType::DeletionCompleted, 1).await;
    stage.deliver(id(&all), None).await;
    let first = stage.receiver.taken();
    assert_eq!(numbers(first.iter().map(Received::seq)), 6, "a test for another endpoint is not for this one");
    stage.deliver(id(&some), None).await;
    let second = stage.receiver.taken().split_off(first.len());
    assert_eq!(numbers(second.iter().map(Received::seq)), 5);
    let pinged = second.iter().find(|sent| sent.json()["type"] == "test.ping").unwrap();
    assert_eq!(pinged.header("webhook-id"), ping["event_id"]);
    assert_eq!(stage.told().await.len(), 7);
    let shared = |sent: &Received| sent.json()["type"] == "transaction.added";
    assert_eq!(
        first.iter().filter(|sent| shared(sent)).map(|sent| sent.header("webhook-id").to_owned()).collect::<Vec<_>>(),
        second.iter().filter(|sent| shared(sent)).map(|sent| sent.header("webhook-id").to_owned()).collect::<Vec<_>>(),
        "an event has one id, whoever gets it"
    );

    let queued = stage.post(&path(&all, "/replay"), json!({ "from_seq": 2, "to_seq": 4 }), 202).await;
    assert_eq!(queued["queued"], 3);
    stage.happen(EventType::SyncCompleted, 1).await;
    let before = stage.receiver.taken().len();
    stage.deliver(id(&all), None).await;
    let again = stage.receiver.taken().split_off(before);
    assert_eq!(again.iter().map(Received::seq).collect::<Vec<_>>(), [2, 3, 4, 7], "before anything newer");
    one_id_each(&[first, again].concat());
    let ask = json!({ "from_seq": 1, "to_seq": 100, "types": ["deletion.*"] });
    assert_eq!(stage.post(&path(&all, "/replay"), ask, 202).await["queued"], 1);
    for bad in [json!({ "from_seq": 0, "to_seq": 4 }), json!({ "from_seq": 5, "to_seq": 4 }), json!({ "from_seq": 5 })]
    {
        let answer = stage.product.post(&path(&all, "/replay"), &bad).await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{bad}: {}", answer.text());
    }
    let page = stage.get("/v1/events?after=5&limit=1").await;
    assert_eq!((page["data"].as_array().unwrap().len(), page["last_seq"].as_i64()), (1, Some(6)));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_told_its_secret_once_and_belongs_to_one_product() {
    let stage = Stage::new().await;
    let body = json!({ "url": stage.receiver.url("hook"), "description": "ours" }).to_string();
    let send = async |key: &str| {
        let headers = [("idempotency-key", key)];
        stage.product.send(Method::POST, "/v1/webhook-endpoints", &headers, body.clone().into()).await.json()
    };
    let made = send("one").await;
    assert_eq!(send("one").await, made, "a repetition gives the first answer");
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_") && made["public_keys"][0].as_str().unwrap().starts_with("whpk_"));
    let read = stage.get(&path(&made, "")).await;
    assert!(read.get("secret").is_none());
    assert_eq!(stage.get("/v1/webhook-endpoints").await["data"], json!([read]));
    let types = stage.get("/v1/event-types").await;
    assert_eq!(types["data"].as_array().unwrap().len(), EventType::ALL.len());

    // While a rotation runs, both sign.
    let rotated = stage.post(&path(&made, "/rotate-secret"), json!({ "overlap_hours": 2 }), 200).await;
    assert_ne!(rotated["secret"].as_str(), Some(secret.as_str()));
    let signatures = async || {
        stage.happen(EventType::ConsentRenewed, 1).await;
        stage.deliver(id(&made), None).await;
        stage.receiver.taken().last().unwrap().header("webhook-signature").split(' ').count()
    };
    assert_eq!(signatures().await, 4, "v1 and v1a of both");
    assert_eq!(stage.get(&path(&made, "")).await["public_keys"].as_array().unwrap().len(), 2);
    stage.world.clock.advance(SignedDuration::from_hours(2));
    assert_eq!(signatures().await, 2);

    let (_, key) = setup::add_product(&stage.app, "Another product", &["budgeting"], &[]).await.unwrap();
    let stranger = stage.site.caller(&stage.world, Some(&key));
    assert_eq!(stranger.get("/v1/webhook-endpoints").await.json()["data"], json!([]));
    assert_eq!(stranger.get("/v1/events").await.json()["data"], json!([]));
    for rest in ["", "/attempts"] {
        assert_eq!(stranger.get(&path(&made, rest)).await.status.as_u16(), 404);
    }
    for rest in ["/resume", "/test", "/rotate-secret"] {
        assert_eq!(stranger.post(&path(&made, rest), &json!({})).await.status.as_u16(), 404, "{rest}");
    }
    assert_eq!(stranger.delete(&path(&made, "")).await.status.as_u16(), 404);

    let patch = async |body: Value| {
        stage.product.send(Method::PATCH, &path(&made, ""), &[], body.to_string().into()).await.json()
    };
    assert_eq!(patch(json!({ "types": ["consent.*"], "paused": true })).await["state"], "paused");
    stage.happen(EventType::ConsentRenewed, 1).await;
    stage.deliver(id(&made), None).await;
    assert_eq!(stage.get(&path(&made, "")).await["waiting"], 1, "it waits");
    assert_eq!(stage.product.delete(&path(&made, "")).await.status.as_u16(), 204);
    assert_eq!(stage.product.get(&path(&made, "")).await.status.as_u16(), 404);
    assert!(stage.deliver(id(&made), None).await.is_empty(), "a job that was left finds nothing to do");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_led_inside() {
    let stage = Stage::with(false).await;
    let port = stage.receiver.url("").rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
    let unusable = [
        "http://product.example/hook",
        "https://10.0.0.1/",
        "https://192.168.1.1/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[fd12::1]/",
        "https://0x7f.1/",
        "https://user:password@product.example/",
        "https://product.example/#part",
        "ftp://product.example/",
        "not an address",
    ];
    let loopback = stage.receiver.url("hook");
    for url in unusable.into_iter().chain([loopback.as_str()]) {
        let answer = stage.product.post("/v1/webhook-endpoints", &json!({ "url": url })).await;
        assert_eq!(answer.status.as_u16(), 422, "{url}");
    }
    let long = format!("https://product.example/{}", "x".repeat(2048));
    assert_eq!(stage.product.post("/v1/webhook-endpoints", &json!({ "url": long })).await.status.as_u16(), 422);
    for types in [json!(["*"]), json!(["consent"]), json!(["consent.*", "money.*"])] {
        let body = json!({ "url": "https://product.example/", "types": types });
        assert_eq!(stage.product.post("/v1/webhook-endpoints", &body).await.status.as_u16(), 422, "{types}");
    }
    // A name is looked at when it is dialled: this one leads to this machine.
    let body = json!({ "url": format!("https://localhost:{port}/hook") });
    let endpoint = stage.post("/v1/webhook-endpoints", body, 201).await;
    stage.happen(EventType::ConsentRenewed, 1).await;
    let soon = stage.world.clock.now().saturating_add(SignedDuration::from_secs(60)).unwrap();
    stage.deliver(id(&endpoint), Some(soon)).await;
    let log = stage.get(&path(&endpoint, "/attempts")).await;
    assert!(log["data"].as_array().unwrap().iter().all(|row| row["outcome"] == "egress.refused"), "{log}");
    assert!(stage.receiver.received().is_empty());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_sends_again_under_the_same_id() {
    for (point, again) in [("delivery.sent", true), ("delivery.settled", false)] {
        let stage = Stage::new().await;
        stage.endpoint("hook", &["sync.*"]).await;
        stage.happen(EventType::SyncCompleted, 4).await;
        let dying = Node::start(NODE, &stage.world, Fault::Dies(point, 2)).ended().await;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&dying.status), Some(ABORTED), "{}", dying.log);
        assert_eq!(stage.receiver.received().len(), 2, "{point}");
        // Its lease is over when the database says so; the test need not wait for that.
        release(&stage).await;
        let node = Node::start(NODE, &stage.world, Fault::None);
        let expected = if again { 5 } else { 4 };
        stage.receiver.until(expected).await;
        node.stop().await;
        let received = stage.receiver.received();
        let seqs: Vec<i64> = received.iter().map(Received::seq).collect();
        assert_eq!(seqs, if again { vec![1, 2, 2, 3, 4] } else { vec![1, 2, 3, 4] }, "{point}");
        one_id_each(&received);
        stage.end().await;
    }
}

/// Ends the leases of whoever died, as a minute of the database's clock would.
async fn release(stage: &Stage) {
    use sqlx::{Connection as _, Executor as _};
    let options = stage.world.private.connect_options();
    let mut owner = sqlx::postgres::PgConnection::connect_with(&options).await.unwrap();
    owner.execute("update job set lease_until = clock_timestamp() where lease_until is not null").await.unwrap();
    owner.close().await.unwrap();
}
