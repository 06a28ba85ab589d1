//! Three nodes, one of them cut off from the database while somebody withdraws: what it had read before it is handed out in
//! the next seconds or never.

use std::time::Duration;

use domain::ids::ConsentId;
use serde_json::Value;
use server::services::fetch;
use tests::node::{Fault, Node};
use tests::wire::{Proxy, Wire};
use tests::world::{CUSTOMER, World};

const NODE: &str = env!("CARGO_BIN_EXE_node");
/// What the statement carries with which a node writes down that it hands out rows: it has read and opened them by then.
const DISCLOSURE: &[u8] = b"data.disclosed";
/// The longest that a node may hand out what it had read, and a margin for a busy machine.
const BOUND: Duration = Duration::from_secs(5 + 3);

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
    let proxy = Proxy::start(&world, DISCLOSURE);
    let mut near = Node::start(NODE, &world, Fault::None);
    let mut other = Node::start(NODE, &world, Fault::None);
    let mut far = Node::behind(NODE, &world, proxy.url());
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
