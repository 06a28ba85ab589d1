//! Our webhooks as a stranger's library sees them: npm `standardwebhooks`, and Node's own Ed25519.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use domain::event::EventType;
use domain::ids::EndpointId;
use serde_json::{Value, json};
use server::services::{delivery, events};
use tests::receiver::{Received, Receiver};
use tests::site::{Caller, Site};
use tests::world::World;

use crate::provider;

/// What the other side makes of deliveries.
fn verified(cases: &[Value]) -> Vec<(String, bool)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/verify.mjs");
    let mut node = Command::new("node");
    let node = node.arg(script).arg(provider::modules()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = node.spawn().expect("node starts");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(Value::from(cases.to_vec()).to_string().as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).expect("its verdicts");
    let verdict = |answer: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&answer["shared"]), answer["asymmetric"] == true)
    };
    answers.iter().map(verdict).collect()
}

/// A delivery as a receiver holds it against a secret and a public key.
fn case(sent: &Received, secret: &Value, public_key: &Value) -> Value {
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: serde_json::Map<_, _> =
        names.into_iter().map(|name| (name.to_owned(), sent.header(name).into())).collect();
    let body = String::from_utf8(sent.body.to_vec()).expect("JSON is text");
    json!({ "secret": secret, "publicKey": public_key, "headers": headers, "body": body })
}

async fn deliver(world: &World, endpoint: EndpointId) {
    let (app, tenant) = (&world.app, world.app.tenant.id);
    let mut tx = app.store.tenant_tx(tenant).await.expect("a transaction");
    let data = json!({ "words": "Grüße, \u{1F30A}" });
    let moment = world.moment();
    events::emit(&mut tx, &moment, world.product, EventType::SyncCompleted, None, data).await.expect("an event");
    tx.commit().await.expect("a commit");
    events::number(app, tenant).await.expect("a number");
    delivery::run(app, tenant, endpoint).await.expect("a delivery");
}

async fn post(product: &Caller, path: &str, body: Value) -> Value {
    let answer = product.post(path, &body).await;
    assert!(answer.status.is_success(), "{}", answer.text());
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_library_verifies_every_delivery_through_a_rotation_and_nothing_that_was_changed() {
    // The library looks at the machine's clock.
    let world = World::of_this_moment().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let receiver = Receiver::start().await;
    let made = post(&product, "/v1/webhook-endpoints", json!({ "url": receiver.url("hook") })).await;
    let id = made["id"].as_str().expect("an id").to_owned();
    deliver(&world, id.parse().expect("an id")).await;
    let fresh = post(&product, &format!("/v1/webhook-endpoints/{id}/rotate-secret"), json!({})).await;
    deliver(&world, id.parse().expect("an id")).await;

    let (old, old_key) = (&made["secret"], &made["public_keys"][0]);
    let (new, new_key) = (&fresh["secret"], &fresh["public_key"]);
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    let (first, second) = (&received[0], &received[1]);
    let mut cases = vec![case(first, old, old_key), case(second, old, old_key), case(second, new, new_key)];
    let good = cases.len();
    cases.push(case(first, new, new_key));
    for (name, change) in [("webhook-id", "evt_other"), ("webhook-timestamp", "1")] {
        let mut changed = case(second, new, new_key);
        changed["headers"][name] = change.into();
        cases.push(changed);
    }
    let mut changed = case(second, new, new_key);
    changed["body"] = changed["body"].as_str().expect("text").replace("sync.completed", "sync.failed").into();
    cases.push(changed);

    let verdicts = verified(&cases);
    let ids = [first, second, second].map(|sent| sent.header("webhook-id").to_owned());
    assert_eq!(verdicts[..good], ids.map(|id| (id, true)));
    for verdict in &verdicts[good..] {
        assert_eq!(*verdict, ("WebhookVerificationError".to_owned(), false));
    }
    assert_eq!(verdicts.len(), 7);
    receiver.end().await;
    site.end().await;
    world.end().await;
}
