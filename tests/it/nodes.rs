//! Three nodes on one database share the work at a bank, while one is killed, one is cut off from the database, and one is
//! started again beside a schema that is newer than itself: nothing is lost, doubled or over a budget, as the bank counts.

use std::collections::BTreeMap;

use domain::ids::ConsentId;
use sandbox::Policy;
use tests::node::{Fault, Node};
use tests::wire::{Proxy, Wire};
use tests::world::{CUSTOMER, Options, World};

use super::crash::{NODE, Stage, died, recent, stopped};

/// Consents, each with three accounts.
const CONSENTS: usize = 8;
/// Reads of a resource that the bank allows in a day without the PSU.
const READS_PER_DAY: usize = 4;
/// What the bank says when they are used up.
const USED_UP: &str = "consent.frequency.exceeded";
/// Where the first node dies.
const DEATH: (&str, u32) = ("fetch.page_committed", 2);
/// A node has begun to ask the bank.
const ASKED: &str = "request method=GET";

/// How often the bank was asked for its accounts under each consent: what it counts, since every fetch begins with it.
fn fetches_at_the_bank(world: &World) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for call in world.bank.calls() {
        let (Some(consent), false) = (call.consent, call.attended) else { continue };
        if call.request == "GET /v1/accounts" {
            *counted.entry(consent).or_default() += 1;
        }
    }
    counted
}

fn refusals(world: &World) -> usize {
    world.bank.log().iter().filter(|line| line.code == USED_UP).count()
}

/// Every consent has what an undisturbed one has: nothing lost, nothing twice.
async fn all_have(stage: &Stage, consents: &[ConsentId], calm: ConsentId) {
    let undisturbed = stage.accounts(calm).await;
    assert!(undisturbed.values().any(|account| account.transactions.len() > 100), "{undisturbed:?}");
    for consent in consents {
        assert_eq!(stage.accounts(*consent).await, undisturbed, "{consent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_share_work_and_budget_whatever_becomes_of_two_of_them() {
    let habits: fn(&mut Policy) = |policy| policy.one_recurring_consent = false;
    let options = Options { renewal: "overlap", habits: Some(habits), ..Options::default() };
    let mut stage = Stage::of(World::made(options, recent).await).await;
    let calm = stage.connect("calm", CUSTOMER).await;
    stage.work(calm).await;
    let mut consents = Vec::new();
    for number in 0..CONSENTS {
        consents.push(stage.connect(&format!("person {number}"), CUSTOMER).await);
    }
    let proxy = Proxy::start(&stage.world, b"nothing breaks it");

    // One is cut off in the middle of its work, another dies.
    let mut far = Node::behind(NODE, &stage.world, proxy.url());
    far.said(ASKED).await;
    proxy.set(Wire::Cut);
    died(Node::start(NODE, &stage.world, Fault::Dies(DEATH.0, DEATH.1)).ended().await, DEATH);
    // A newer version has widened the schema, and has not come to this node.
    stage.change("alter table consent add column of_a_newer_version text").await;
    stage
        .change(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (9999, 'of a newer version', true, '\\x00', 1)",
        )
        .await;
    let near = Node::start(NODE, &stage.world, Fault::None);
    stage.let_leases_run_out().await;
    for consent in &consents {
        stage.wait_for_rest(*consent, &near).await;
    }
    all_have(&stage, &consents, calm).await;

    // More fetches are due than the bank allows in a day; one node hands over to the next, and the one that was cut off is
    // back with whatever it still had to say.
    let mut next = Node::start(NODE, &stage.world, Fault::None);
    proxy.set(Wire::Whole);
    stopped(near.stop().await);
    for _ in 0..READS_PER_DAY {
        stage.change("update job set due_at = clock_timestamp() where kind = 'fetch' and leased_by is null").await;
        for consent in &consents {
            stage.wait_for_rest(*consent, &next).await;
        }
    }
    assert_eq!(refusals(&stage.world), 0, "the bank had to refuse: {:?}", fetches_at_the_bank(&stage.world));
    let counted = fetches_at_the_bank(&stage.world);
    for consent in &consents {
        let many = counted[&stage.at_bank(*consent).await];
        // One is lost with a node that ends between counting a read and asking for it.
        assert!(
            (READS_PER_DAY - 1..=READS_PER_DAY).contains(&many),
            "{many}: whoever asks, the bank counts them together"
        );
    }
    all_have(&stage, &consents, calm).await;
    for node in [&mut next, &mut far] {
        node.said(ASKED).await;
    }
    for node in [next, far] {
        stopped(node.stop().await);
    }
    stage.end().await;
}
