//! Callbacks, code exchanges, choices of accounts, timers, fetches, reads and withdrawals of several consents at once, on
//! several nodes of which one dies, while the clock moves: once a withdrawal was answered, nothing of its consent is written,
//! read or fetched.
//!
//! What is answered for is looked up where it cannot be embellished: in the tables, by their owner, and in the bank's list
//! of what came in. `ROUNDS=50 cargo test -p tests --test it interleavings -- --nocapture` is the long run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::consent::{DataState, FailureReason, RevokedBy, State};
use domain::ids::ConsentId;
use jiff::SignedDuration;
use sandbox::{Decision, Policy};
use secrecy::{ExposeSecret, SecretString};
use server::fault::POINTS;
use server::reconcile;
use server::services::{ServiceError, consents as moves, fetch, logins};
use store::consents;
use tests::node::{self, Fault, Node};
use tests::site::{Caller, Site};
use tests::world::{CUSTOMER, Options, World, person};
use url::Url;

use super::crash::{NODE, Stage, ends_a_grant, recent, stopped};

/// Rounds of the usual run.
const ROUNDS: u64 = 3;
/// Rounds beyond them until a node has died.
const MORE_ROUNDS: u64 = 10;
/// What a node dies of that gets any work at all.
const SOON: Fault = Fault::Dies("fetch.begun", 1);
/// Consents of a round; the last one is never withdrawn.
const CONSENTS: usize = 5;
/// Fetches of one consent that are tried beside those of the nodes.
const FETCHES: usize = 3;
/// Who may have had a call on its way when a withdrawal was answered: a login, a fetch here, a fetch of a node.
const WORKERS: usize = 3;
/// How far the clock moves at a time: a token of the bank ends on the way, what is signed for one call does not.
const STEP: SignedDuration = SignedDuration::from_secs(20);
/// How often it moves in a round, at most: past the hour at which a login gives up.
const STEPS: usize = 60;
/// After how many of these steps a person may come back.
const LATE: usize = 50;
/// How often a withdrawal is tried where the machine is too busy to let it through.
const TRIES: usize = 20;
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

/// The nodes of a round: one that may die, and one that is well.
#[derive(Clone, Copy)]
struct Doors {
    mortal: SocketAddr,
    well: SocketAddr,
}

/// What chance has in store for a consent that is withdrawn.
#[derive(Clone, Copy)]
struct Fate {
    /// After how many calls at the bank: from "before the first" to "after the last page".
    calls: usize,
    /// Where its person comes back; none: here.
    comes_to: Option<SocketAddr>,
    /// After how many steps of the clock.
    late: usize,
    /// Where its product withdraws it, at the same moment as its person does here.
    withdrawn_at: SocketAddr,
    /// Whether the person takes an account out as soon as there is one.
    chooses: bool,
}

impl Fate {
    fn by(chance: &mut Chance, doors: Doors) -> Self {
        let doors = [doors.mortal, doors.well];
        Self {
            calls: chance.below(16),
            comes_to: [None, Some(doors[0]), Some(doors[1])][chance.below(3)],
            // Most come at once.
            late: if chance.below(3) == 0 { chance.below(LATE) } else { 0 },
            withdrawn_at: doors[chance.below(2)],
            chooses: chance.below(2) == 0,
        }
    }
}

/// How far the clock of a round has moved, and when it may begin to.
#[derive(Default)]
struct Course {
    begun: AtomicBool,
    steps: std::sync::atomic::AtomicUsize,
}

impl Course {
    /// Moves the clock on, as soon as whoever stays has come back.
    async fn runs(&self, world: &World, steps: usize) {
        while !self.begun.load(Ordering::SeqCst) {
            tokio::time::sleep(POLL).await;
        }
        for _ in 0..steps {
            world.clock.advance(STEP);
            self.steps.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(POLL).await;
        }
        // Nobody waits for a step that does not come.
        self.steps.fetch_add(LATE, Ordering::SeqCst);
    }

    async fn reaches(&self, steps: usize) {
        while self.steps.load(Ordering::SeqCst) < steps {
            tokio::time::sleep(POLL).await;
        }
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

/// How a withdrawn consent ended: how often the bank had been called for it when the withdrawal was answered.
struct End {
    calls: usize,
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

    /// The person comes back to a node, and to the one that is well where that one died of it.
    async fn comes_to(&self, door: SocketAddr, well: SocketAddr) {
        let path = &self.callback[url::Position::BeforePath..];
        let cookie = format!("Cookie: __Host-tributary-login={}", self.browser.expose_secret());
        for door in [door, well] {
            // Whatever the page says: it is an answer.
            if node::visit(door, path, &cookie).await.is_some() {
                return;
            }
        }
        panic!("the node that is well did not answer");
    }

    /// The person comes back.
    async fn arrives(&self, world: &World) {
        let registration = domain::ids::RegistrationId::new(tests::world::REGISTRATION).unwrap();
        let query = self.callback.query().unwrap_or_default();
        // Overtaken, connected, or failed by what happened meanwhile: whatever it is, it is an answer.
        let arrived = logins::arrive(&world.app, &registration, query, Some(&self.browser), &person()).await;
        let busy = matches!(&arrived, Err(ServiceError::Store(error)) if error.is_transient());
        assert!(arrived.is_ok() || busy, "{}: {arrived:?}", self.id);
    }

    /// The person takes the first account out that the product may see.
    async fn takes_one_out(&self, product: &Caller, gone: &AtomicBool) {
        while !gone.load(Ordering::SeqCst) {
            let accounts = product.get(&format!("/v1/accounts?consent_id={}", self.id)).await;
            if let Some(account) = accounts.status.is_success().then(|| accounts.json()["data"][0]["id"].clone())
                && let Some(account) = account.as_str()
            {
                let removed = product.delete(&format!("/v1/consents/{}/accounts/{account}", self.id)).await;
                let busy = removed.status.as_u16() == 503;
                assert!(removed.status.is_success() || removed.status.is_client_error() || busy, "{}", removed.text());
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Withdraws as soon as the bank has had so many calls.
    async fn is_withdrawn(&self, world: &World, fate: Fate, gone: &AtomicBool) -> End {
        for _ in 0..LOOKS {
            if self.calls(world).len() >= fate.calls {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        // Two at once, as a product and a person may.
        let path = format!("/v1/consents/{}", self.id);
        // Who is told that the database is too busy tries again.
        let here = async {
            for _ in 0..TRIES {
                let tried = moves::revoke(&world.app, world.app.tenant.id, self.id, RevokedBy::Psu, "psu").await;
                if !matches!(&tried, Err(ServiceError::Store(error)) if error.is_transient()) {
                    return tried;
                }
            }
            panic!("{}: the database is too busy for ever", self.id)
        };
        let there = async {
            for _ in 0..TRIES {
                let tried = withdraw_at(fate.withdrawn_at, &path, &world.api_key).await;
                if tried != Some(503) {
                    return tried;
                }
            }
            panic!("{}: a node is too busy for ever", self.id)
        };
        let (here, there) = tokio::join!(here, there);
        match here {
            Ok(consent) => assert!(matches!(consent.machine.state, State::Revoked(_)), "{:?}", consent.machine),
            // Its person came too late, or the login broke: there is nothing to withdraw.
            Err(ServiceError::Refused(refused)) => assert!(matches!(refused.from, State::Failed(_)), "{refused}"),
            Err(error) => panic!("{}: {error:#}", self.id),
        }
        assert!(matches!(there, None | Some(202 | 409)), "{there:?}");
        gone.store(true, Ordering::SeqCst);
        End { calls: self.calls(world).len() }
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

/// A product withdraws at a node, which may be dead or die of it.
async fn withdraw_at(door: SocketAddr, path: &str, key: &SecretString) -> Option<u16> {
    tokio::net::TcpStream::connect(door).await.ok()?;
    node::request(door, "DELETE", path, key).await.map(|(status, _)| status)
}

/// Everything that happens to one consent, at once. Gives how its withdrawal was answered.
async fn lives(
    world: &World,
    (product, course, well): (&Caller, &Course, SocketAddr),
    life: &Life,
    fate: Option<Fate>,
) -> Option<End> {
    let gone = AtomicBool::new(false);
    let Some(fate) = fate else {
        life.arrives(world).await;
        course.begun.store(true, Ordering::SeqCst);
        fetches(world, life.id).await;
        return None;
    };
    let timers = async {
        for _ in 0..FETCHES {
            reconcile::look(&world.app).await.unwrap();
        }
    };
    let comes = async {
        course.reaches(fate.late).await;
        match fate.comes_to {
            Some(door) => life.comes_to(door, well).await,
            None => life.arrives(world).await,
        }
        fetches(world, life.id).await;
    };
    let chooses = async {
        if fate.chooses {
            life.takes_one_out(product, &gone).await;
        }
    };
    let (_, _, end, (), ()) =
        tokio::join!(comes, timers, life.is_withdrawn(world, fate, &gone), life.is_read(product, &gone), chooses);
    Some(end)
}

/// Waits until nothing is left to do for a consent. What was put off for minutes comes sooner: the clock goes on.
async fn rests(stage: &mut Stage, id: ConsentId, node: &Node) {
    let clock = Arc::clone(&stage.world.clock);
    let goes_on = async {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            clock.advance(STEP);
        }
    };
    tokio::select! {
        () = stage.wait_for_rest(id, node) => {}
        () = goes_on => {}
    }
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

/// Plays one round. Gives whether a node died in it. `soon`: it dies with the first work that it gets.
async fn round(stage: &mut Stage, site: &Site, seed: u64, soon: bool) -> (bool, String) {
    let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..8 {
        chance.below(2);
    }
    let mut all = Vec::new();
    for number in 0..CONSENTS {
        all.push(Life::begins(stage, &format!("round {seed}, {number}")).await);
    }
    // What a node passes; people set out from here.
    let work = ["login.code_", "login.tokens_", "fetch.", "revoke.", "revocation.", "deletion."];
    let on_a_node = |point: &&&str| work.iter().any(|begin| point.starts_with(begin));
    let points: Vec<_> = POINTS.iter().filter(on_a_node).collect();
    let death = Fault::Dies(points[chance.below(points.len())], u32::try_from(1 + chance.below(2)).unwrap());
    let death = if soon { SOON } else { death };
    let (mut mortal, mut well) = (Node::start(NODE, &stage.world, death), Node::start(NODE, &stage.world, Fault::None));
    let doors = Doors { mortal: mortal.address().await, well: well.address().await };
    let product = site.caller(&stage.world, Some(&stage.world.api_key));
    let mut ends = Vec::new();
    {
        let (world, course) = (&stage.world, Course::default());
        let happen: Vec<_> = all
            .iter()
            .enumerate()
            .map(|(number, life)| {
                let fate = (number + 1 < CONSENTS).then(|| Fate::by(&mut chance, doors));
                lives(world, (&product, &course, doors.well), life, fate)
            })
            .collect();
        let (ended, ()) = tokio::join!(futures_util::future::join_all(happen), course.runs(world, chance.below(STEPS)));
        ends.extend(ended);
    }
    // What the dead node held is free a minute later.
    stage.let_leases_run_out().await;
    for life in &all {
        rests(stage, life.id, &well).await;
    }
    let died = !mortal.stop().await.status.success();
    stopped(well.stop().await);
    let (mut late, mut failed) = (0, 0);
    for (life, end) in all.iter().zip(&ends) {
        let mut tx = stage.world.app.store.tenant_tx(stage.world.app.tenant.id).await.unwrap();
        let machine = consents::get(&mut tx, life.id).await.unwrap().machine;
        drop(tx);
        let Some(end) = end else {
            assert_eq!((machine.state, machine.data), (State::Active, DataState::Present), "seed {seed}");
            continue;
        };
        match machine.state {
            State::Revoked(RevokedBy::Psu | RevokedBy::Product) => assert_eq!(machine.data, DataState::Erased),
            State::Failed(FailureReason::TimedOut | FailureReason::Error) => failed += 1,
            other => panic!("seed {seed}: {other:?}"),
        }
        let after = life.calls(&stage.world).split_off(end.calls);
        assert!(after.len() <= WORKERS, "seed {seed}: calls begun after the end of {}: {after:?}", life.id);
        late += after.len();
    }
    let survivor = all.last().unwrap().id;
    assert_eq!(strays(stage, survivor).await, [], "seed {seed}");
    // The next round begins without it.
    let tenant = stage.world.app.tenant.id;
    moves::revoke(&stage.world.app, tenant, survivor, RevokedBy::Psu, "psu").await.unwrap();
    let node = Node::start(NODE, &stage.world, Fault::None);
    rests(stage, survivor, &node).await;
    stopped(node.stop().await);
    assert_eq!(strays(stage, survivor).await, [], "seed {seed}");
    let story = if died { format!("{death:?}") } else { "nobody died".to_owned() };
    let calls = format!("{late} calls were on their way when a withdrawal was answered");
    (died, format!("round {seed}: {story}; {calls}; {failed} logins came too late"))
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
    // The nodes go with the clock of the test.
    stage.world.clock.share(stage.world.dir.path().join("seconds_ahead"));
    let site = Site::start(Arc::clone(&stage.world.app)).await;
    let (mut seed, mut deaths) = (0, 0);
    // Which node gets the work is chance as well: at least one must have died.
    while seed < rounds || (deaths == 0 && seed < rounds + MORE_ROUNDS) {
        seed += 1;
        let (died, story) = round(&mut stage, &site, seed, seed > rounds).await;
        deaths += u64::from(died);
        println!("{story}");
    }
    assert!(deaths > 0, "no node died");
    site.end().await;
    stage.end().await;
}
