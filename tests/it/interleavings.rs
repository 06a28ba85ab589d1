//! Callbacks, timers, fetches, reads and withdrawals of several consents at once, on several nodes of which one dies: once
//! a withdrawal was answered, nothing of its consent is written, read or fetched.
//!
//! What is answered for is looked up where it cannot be embellished: in the tables, by their owner, and in the bank's list
//! of what came in. `ROUNDS=50 cargo test -p tests --test it interleavings -- --nocapture` is the long run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::consent::{DataState, RevokedBy, State};
use domain::ids::ConsentId;
use domain::world::Clock as _;
use jiff::{SignedDuration, Timestamp};
use sandbox::{Decision, Policy};
use secrecy::SecretString;
use server::fault::POINTS;
use server::reconcile;
use server::services::{consents as moves, fetch, logins};
use store::consents;
use tests::node::{Fault, Node};
use tests::site::{Caller, Site};
use tests::world::{CUSTOMER, Options, World, person};
use url::Url;

use super::crash::{NODE, Stage, ends_a_grant, recent, stopped};

/// Rounds of the usual run.
const ROUNDS: u64 = 3;
/// Rounds beyond them until a node has died.
const MORE_ROUNDS: u64 = 10;
/// Consents of a round; the last one is never withdrawn.
const CONSENTS: usize = 5;
/// Fetches of one consent that are tried beside those of the nodes.
const FETCHES: usize = 3;
/// Who may have had a call on its way when a withdrawal was answered: a login, a fetch here, a fetch of a node.
const WORKERS: usize = 3;
/// For how long such a call may still be on its way.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_secs(5);
/// Between two looks at the bank's list.
const POLL: Duration = Duration::from_millis(2);
/// How often the bank's list is looked at for a call that may never come.
const LOOKS: usize = 1500;

/// Chance that comes back with its seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }
}

/// A consent whose person stands at the bank's door, about to come back.
struct Life {
    id: ConsentId,
    /// The bank's id of it.
    at_bank: String,
    callback: Url,
    browser: SecretString,
}

impl Life {
    async fn begins(stage: &Stage, reference: &str) -> Self {
        let world = &stage.world;
        let id = world.ask(reference).await;
        let departure = world.depart(id).await;
        let visit = world.bank.visit(departure.redirect.as_str(), CUSTOMER.0, CUSTOMER.1, &Decision::ApproveAll);
        let callback = visit.await.unwrap();
        let at_bank = stage.at_bank(id).await;
        Self { id, at_bank, callback, browser: departure.browser }
    }

    /// What came to the bank about this consent and does not end it.
    fn calls(&self, world: &World) -> Vec<sandbox::Call> {
        let about =
            |call: &sandbox::Call| call.consent.as_deref() == Some(&self.at_bank) && !ends_a_grant(&call.request);
        world.bank.calls().into_iter().filter(about).collect()
    }

    /// The person comes back.
    async fn arrives(&self, world: &World) {
        let registration = domain::ids::RegistrationId::new(tests::world::REGISTRATION).unwrap();
        let query = self.callback.query().unwrap_or_default();
        // Overtaken, connected, or failed by what happened meanwhile: whatever it is, it is an answer.
        let arrived = logins::arrive(&world.app, &registration, query, Some(&self.browser), &person()).await;
        arrived.unwrap_or_else(|error| panic!("{}: {error:#}", self.id));
    }

    /// Withdraws as soon as the bank has had so many calls; gives when that was answered.
    async fn is_withdrawn_after(&self, world: &World, calls: usize, gone: &AtomicBool) -> Timestamp {
        for _ in 0..LOOKS {
            if self.calls(world).len() >= calls {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        // Two at once, as a product and a person may.
        let (app, tenant) = (&world.app, world.app.tenant.id);
        let (one, two) = tokio::join!(
            moves::revoke(app, tenant, self.id, RevokedBy::Psu, "psu"),
            moves::revoke(app, tenant, self.id, RevokedBy::Psu, "psu"),
        );
        for revoked in [one, two] {
            assert!(matches!(revoked.unwrap().machine.state, State::Revoked(RevokedBy::Psu)));
        }
        gone.store(true, Ordering::SeqCst);
        world.clock.now()
    }

    /// A product reads until the consent is withdrawn, and once more.
    async fn is_read(&self, product: &Caller, gone: &AtomicBool) {
        loop {
            let last = gone.load(Ordering::SeqCst);
            let accounts = product.get(&format!("/v1/accounts?consent_id={}", self.id)).await;
            let rows = product.get(&format!("/v1/transactions?consent_id={}", self.id)).await;
            if last {
                for answer in [accounts, rows] {
                    let served = answer.status.is_success() && answer.json()["data"] != serde_json::json!([]);
                    assert!(!served, "{} was read after its end: {}", self.id, answer.text());
                }
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

async fn fetches(world: &World, id: ConsentId) {
    for _ in 0..FETCHES {
        let tried = fetch::run(&world.app, world.about(id)).await;
        assert!(!matches!(&tried, Err(error) if error.code() == "internal"), "{tried:?}");
        tokio::task::yield_now().await;
    }
}

/// Everything that happens to one consent, at once. Gives when its withdrawal was answered.
async fn lives(world: &World, product: &Caller, life: &Life, calls: Option<usize>) -> Option<Timestamp> {
    let gone = AtomicBool::new(false);
    let Some(calls) = calls else {
        life.arrives(world).await;
        fetches(world, life.id).await;
        return None;
    };
    let timers = async {
        for _ in 0..FETCHES {
            reconcile::look(&world.app).await.unwrap();
        }
    };
    let comes = async {
        life.arrives(world).await;
        fetches(world, life.id).await;
    };
    let (_, _, at, ()) =
        tokio::join!(comes, timers, life.is_withdrawn_after(world, calls, &gone), life.is_read(product, &gone));
    Some(at)
}

/// Rows of bank data that belong to nobody who shares them.
async fn strays(stage: &mut Stage, survivor: ConsentId) -> Vec<(&'static str, i64)> {
    let mut found = Vec::new();
    for table in ["line", "transaction", "balance", "raw_page"] {
        let sql = format!(
            "select count(*) from {table} where line_id not in (select line_id from consent_line where consent_id = $1)"
        );
        found.push((table, stage.count(&sql, survivor).await));
    }
    found.retain(|(_, rows)| *rows > 0);
    found
}

/// Plays one round. Gives whether a node died in it.
async fn round(stage: &mut Stage, site: &Site, seed: u64) -> (bool, String) {
    let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..8 {
        chance.below(2);
    }
    let mut all = Vec::new();
    for number in 0..CONSENTS {
        all.push(Life::begins(stage, &format!("round {seed}, {number}")).await);
    }
    // What a node passes: logins and withdrawals happen here.
    let work = ["fetch.", "revocation.", "deletion."];
    let on_a_node = |point: &&&str| work.iter().any(|begin| point.starts_with(begin)) && !point.contains("refresh");
    let points: Vec<_> = POINTS.iter().filter(on_a_node).collect();
    let death = Fault::Dies(points[chance.below(points.len())], u32::try_from(1 + chance.below(3)).unwrap());
    let (mortal, well) = (Node::start(NODE, &stage.world, death), Node::start(NODE, &stage.world, Fault::None));
    let product = site.caller(&stage.world, Some(&stage.world.api_key));
    // From "before the first call for data" to "after the last page".
    let mut ends = Vec::new();
    {
        let world = &stage.world;
        let happen = all.iter().enumerate().map(|(number, life)| {
            let calls = (number + 1 < CONSENTS).then(|| chance.below(16));
            lives(world, &product, life, calls)
        });
        ends.extend(futures_util::future::join_all(happen.collect::<Vec<_>>()).await);
    }
    // What the dead node held is free a minute later.
    stage.let_leases_run_out().await;
    for life in &all {
        stage.wait_for_rest(life.id, &well).await;
    }
    let died = !mortal.stop().await.status.success();
    stopped(well.stop().await);
    let mut late = 0;
    for (life, end) in all.iter().zip(&ends) {
        let mut tx = stage.world.app.store.tenant_tx(stage.world.app.tenant.id).await.unwrap();
        let machine = consents::get(&mut tx, life.id).await.unwrap().machine;
        drop(tx);
        let Some(end) = end else {
            assert_eq!((machine.state, machine.data), (State::Active, DataState::Present), "seed {seed}");
            continue;
        };
        assert_eq!((machine.state, machine.data), (State::Revoked(RevokedBy::Psu), DataState::Erased), "seed {seed}");
        let after: Vec<_> = life.calls(&stage.world).into_iter().filter(|call| call.at > *end).collect();
        assert!(after.len() <= WORKERS, "seed {seed}: calls begun after the end of {}: {after:?}", life.id);
        assert!(after.iter().all(|call| call.at <= *end + ON_ITS_WAY), "seed {seed}: {after:?}");
        late += after.len();
    }
    let survivor = all.last().unwrap().id;
    assert_eq!(strays(stage, survivor).await, [], "seed {seed}");
    // The next round begins without it.
    let tenant = stage.world.app.tenant.id;
    moves::revoke(&stage.world.app, tenant, survivor, RevokedBy::Psu, "psu").await.unwrap();
    let node = Node::start(NODE, &stage.world, Fault::None);
    stage.wait_for_rest(survivor, &node).await;
    stopped(node.stop().await);
    assert_eq!(strays(stage, survivor).await, [], "seed {seed}");
    let story = if died { format!("{death:?}") } else { "nobody died".to_owned() };
    (died, format!("round {seed}: {story}; {late} calls were on their way when a withdrawal was answered"))
}

#[tokio::test(flavor = "multi_thread")]
async fn in_every_order_nothing_is_written_read_or_fetched_after_a_withdrawal() {
    let rounds = std::env::var("ROUNDS").map_or(ROUNDS, |text| text.parse().expect("a number"));
    let habits: fn(&mut Policy) = |policy| {
        policy.one_recurring_consent = false;
        policy.reads_per_day = 100;
    };
    let options = Options { renewal: "overlap", habits: Some(habits), ..Options::default() };
    let mut stage = Stage::of(World::made(options, recent).await).await;
    let site = Site::start(Arc::clone(&stage.world.app)).await;
    let (mut seed, mut deaths) = (0, 0);
    // Which node gets the work is chance as well: at least one must have died.
    while seed < rounds || (deaths == 0 && seed < rounds + MORE_ROUNDS) {
        seed += 1;
        let (died, story) = round(&mut stage, &site, seed).await;
        deaths += u64::from(died);
        println!("{story}");
    }
    assert!(deaths > 0, "no node died");
    site.end().await;
    stage.end().await;
}
