//! Three nodes, one of them cut off from the database while somebody withdraws: what it had read before it is handed out in
//! the next seconds or never.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::ids::ConsentId;
use serde_json::Value;
use server::services::fetch;
use tests::node::{Fault, Node};
use tests::world::{CUSTOMER, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

const NODE: &str = env!("CARGO_BIN_EXE_node");
/// What the statement carries with which a node writes down that it hands out rows: it has read and opened them by then.
const DISCLOSURE: &[u8] = b"data.disclosed";
/// The longest that a node may hand out what it had read, and a margin for a busy machine.
const BOUND: Duration = Duration::from_secs(5 + 3);

/// How the wire between a node and the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    /// Everything passes.
    Whole,
    /// It breaks at the next disclosure that a node writes.
    Worn,
    /// Nothing passes, and nobody is told: what is sent waits.
    Cut,
}

/// A wire to the database that a test cuts.
struct Proxy {
    url: String,
    wire: Arc<watch::Sender<Wire>>,
    _folder: tempfile::TempDir,
}

impl Proxy {
    fn start(world: &World) -> Self {
        let folder = tempfile::Builder::new().prefix("wire").tempdir().unwrap();
        let name = ".s.PGSQL.5432";
        let listener = UnixListener::bind(folder.path().join(name)).unwrap();
        let wire = Arc::new(watch::channel(Wire::Whole).0);
        let (database, shared) = (world.private.socket_dir().join(name), wire.clone());
        tokio::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                tokio::spawn(carry(node, database.clone(), shared.clone()));
            }
        });
        let host: String = url::form_urlencoded::byte_serialize(path(folder.path()).as_bytes()).collect();
        Self { url: format!("postgres://tributary@localhost/tributary?host={host}"), wire, _folder: folder }
    }

    fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }

    async fn is_cut(&self) {
        self.wire.subscribe().wait_for(|wire| *wire == Wire::Cut).await.unwrap();
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn carry(node: UnixStream, database: PathBuf, wire: Arc<watch::Sender<Wire>>) {
    let Ok(database) = UnixStream::connect(database).await else { return };
    let (from_node, to_node) = node.into_split();
    let (from_database, to_database) = database.into_split();
    let there = tokio::spawn(one_way(from_node, to_database, wire.clone()));
    one_way(from_database, to_node, wire).await;
    there.abort();
}

/// Carries bytes one way. Those that come while the wire is cut are carried once it is whole again.
async fn one_way(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    wire: Arc<watch::Sender<Wire>>,
) {
    let mut look = wire.subscribe();
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(many @ 1..) = from.read(&mut bytes).await {
        let bytes = &bytes[..many];
        if bytes.windows(DISCLOSURE.len()).any(|window| window == DISCLOSURE) {
            wire.send_if_modified(|wire| {
                let breaks = *wire == Wire::Worn;
                *wire = if breaks { Wire::Cut } else { *wire };
                breaks
            });
        }
        if look.wait_for(|wire| *wire != Wire::Cut).await.is_err() || to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

/// Whether an answer hands out anything of an account.
fn discloses(answer: Option<&(u16, String)>) -> bool {
    answer.is_some_and(|(status, body)| *status == 200 && (body.contains("amount") || body.contains("iban")))
}

async fn read(node: &mut Node, world: &World, path: &str) -> Option<(u16, String)> {
    node.request("GET", path, &world.api_key).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_serves_nothing_after_a_withdrawal_elsewhere() {
    let world = World::with(super::crash::recent).await;
    let consent: ConsentId = world.connect(CUSTOMER).await;
    assert!(matches!(fetch::run(&world.app, world.about(consent)).await.unwrap(), fetch::Verdict::Next(_)));
    let proxy = Proxy::start(&world);
    let mut near = Node::start(NODE, &world, Fault::None);
    let mut other = Node::start(NODE, &world, Fault::None);
    let mut far = Node::behind(NODE, &world, &proxy.url);
    let listed = read(&mut near, &world, "/v1/accounts").await.unwrap();
    let accounts: Value = serde_json::from_str(&listed.1).unwrap();
    let mut account = String::new();
    for listed in accounts["data"].as_array().unwrap() {
        listed["id"].as_str().unwrap().clone_into(&mut account);
        if discloses(read(&mut near, &world, &format!("/v1/accounts/{account}/transactions")).await.as_ref()) {
            break;
        }
    }
    let rows = format!("/v1/accounts/{account}/transactions?limit=500");
    let paths = [
        rows.clone(),
        format!("/v1/accounts/{account}/transactions/export"),
        format!("/v1/accounts/{account}/balances"),
        "/v1/psus/nobody/export".to_owned(),
        "/v1/accounts".to_owned(),
    ];
    for node in [&mut near, &mut other, &mut far] {
        let answer = read(node, &world, &rows).await;
        assert!(discloses(answer.as_ref()), "{answer:?}; the node said:\n{}", node.log());
    }

    // The far node has read and opened the rows and is about to write down that it hands them out.
    proxy.set(Wire::Worn);
    let address = far.address().await;
    let (key, in_flight) = (world.api_key.clone(), rows.clone());
    let reader = tokio::spawn(async move { tests::node::request(address, "GET", &in_flight, &key).await });
    proxy.is_cut().await;
    // What the far node had begun may hold a lock until the database ends it, and a product asks again on 503.
    let mut withdrawn = None;
    for _ in 0..8 {
        let answer = near.request("DELETE", &format!("/v1/consents/{consent}"), &world.api_key).await;
        withdrawn = answer.map(|(status, _)| status);
        if withdrawn != Some(503) {
            break;
        }
    }
    assert_eq!(withdrawn, Some(202));
    assert!(!discloses(read(&mut near, &world, &rows).await.as_ref()));
    assert!(!discloses(read(&mut other, &world, &rows).await.as_ref()), "at once where nothing is cut");

    let in_flight = tokio::time::timeout(BOUND, reader).await.expect("an end in time, whatever the wire does").unwrap();
    assert!(!discloses(in_flight.as_ref()), "{in_flight:?}");
    for path in &paths {
        let answer = tokio::time::timeout(BOUND, read(&mut far, &world, path)).await.expect("an end in time");
        assert!(answer.as_ref().is_some_and(|(status, _)| *status >= 500), "{path}: {answer:?}");
    }
    // What waited on the wire arrives late, and opens nothing.
    proxy.set(Wire::Whole);
    let late = tokio::time::timeout(BOUND, read(&mut far, &world, &rows)).await.expect("it is back").unwrap();
    assert_eq!(late.0, 404, "{late:?}");
    for node in [near, other, far] {
        super::crash::stopped(node.stop().await);
    }
    world.end().await;
}
