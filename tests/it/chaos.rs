//! Banks of all standards that misbehave in every way at once, half of them counting otherwise than their profiles say: every
//! account ends complete or with a reason that is true, no bank is asked again that has asked to be left alone, nobody is
//! said to be there who is not, and nothing is left behind.
//!
//! The usual run is small; `.ci/long chaos` is the large one (`BANKS`, `CUSTOMERS`, `MINUTES` of virtual time).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{ConsentId, JobId, RegistrationId};
use domain::world::Clock as _;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use sandbox::{Account, Counting, Misbehaviour, Outage, Per, Policy, Unrest};
use serde_json::Value;
use server::{App, reconcile};
use store::bank_health::{self, Incident};
use store::{fetches, jobs};
use tests::fleet::{Fleet, Member, Size};
use tests::site::{Caller, Site};
use tests::world::{begins, person};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Of a thousand answers so many are spoilt.
const SPOILT_PER_MILLE: u32 = 60;
/// Minutes of the hour in which every third bank answers nothing.
const OUTAGE: std::ops::Range<u32> = 0..12;
/// The minute in which a person comes back to every fifth bank.
const VISIT: u32 = 5;
/// For how long a person who came is taken to be there.
const PRESENT: SignedDuration = SignedDuration::from_mins(10);
/// Jobs of one bank at a time, over all nodes: so many may be on their way when a bank first says that we are too fast.
const ON_THEIR_WAY: usize = 4;
/// Days of rows in the books.
const DAYS: i32 = 25;
/// Between two looks at what is still to be done.
const POLL: Duration = Duration::from_millis(10);

/// How a bank counts beside the reads of a day, and how many of those it allows. Its profile says four a day, and nothing else.
fn habit(nth: usize, customers: usize) -> (Option<Counting>, u32) {
    let all = u32::try_from(customers).unwrap() * 5;
    match nth % 8 {
        1 => (Some(Counting { per: Per::Client, calls: all, seconds: 600, tells: true }), 4),
        3 => (Some(Counting { per: Per::Consent, calls: 6, seconds: 3600, tells: false }), 4),
        5 => (Some(Counting { per: Per::Resource, calls: 1, seconds: 3600, tells: true }), 2),
        7 => (Some(Counting { per: Per::Client, calls: all, seconds: 3600, tells: false }), 1),
        _ => (None, 4),
    }
}

/// What chance does to answers: everything but what is counted.
fn kinds() -> Vec<Misbehaviour> {
    Misbehaviour::ALL.into_iter().filter(|how| !matches!(how, Misbehaviour::SlowDown(_))).collect()
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// The background work of every node.
struct Work {
    stop: CancellationToken,
    running: Vec<JoinHandle<()>>,
}

impl Work {
    fn begins(nodes: &[Arc<App>]) -> Self {
        let stop = CancellationToken::new();
        let running = nodes.iter().map(|node| tokio::spawn(reconcile::run(node.clone(), stop.clone()))).collect();
        Self { stop, running }
    }

    async fn ends(self) {
        self.stop.cancel();
        for node in self.running {
            node.await.unwrap();
        }
    }
}

/// Waits until nothing is due at this moment.
async fn settled(fleet: &Fleet) {
    loop {
        let node = &fleet.nodes[0];
        let mut tx = node.store.system_tx().await.unwrap();
        let backlog = jobs::backlog(&mut tx, fleet.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        if backlog.iter().all(|kind| kind.due + kind.leased == 0) {
            return;
        }
        fleet.nodes.iter().for_each(|node| node.work.notify_waiters());
        tokio::time::sleep(POLL).await;
    }
}

/// Everybody connects while the banks spoil answers; what is fetched at once is fetched for people who are there.
async fn connected(fleet: &Fleet, customers: usize) -> Vec<Vec<ConsentId>> {
    let mut all = Vec::new();
    for (nth, member) in fleet.members.iter().enumerate() {
        let seed = u64::try_from(nth).unwrap() + 1;
        member.bank.unsettle(Some(Unrest { seed, per_mille: SPOILT_PER_MILLE, kinds: kinds() }));
        let mut consents = Vec::new();
        for customer in 0..customers {
            consents.push(fleet.connect(nth, customer).await);
        }
        all.push(consents);
    }
    all
}

/// A person who is there wants the newest. Gives when they came.
async fn visits(fleet: &Fleet, member: &Member, consent: ConsentId) -> Timestamp {
    let world = fleet.nodes[0].world();
    for node in &fleet.nodes {
        node.note_present(consent, person());
    }
    let mut tx = fleet.nodes[0].store.tenant_tx(fleet.nodes[0].tenant.id).await.unwrap();
    jobs::request(&mut tx, JobId::new(&world), "fetch", consent.uuid(), &member.registration, world.now).await.unwrap();
    tx.commit().await.unwrap();
    world.now
}

/// An hour almost without people, in which everything goes wrong at once. Gives who came to which bank, and when.
async fn hour(fleet: &Fleet, consents: &[Vec<ConsentId>], minutes: std::ops::Range<u32>) -> BTreeMap<usize, Timestamp> {
    let mut came = BTreeMap::new();
    for minute in minutes {
        for (nth, member) in fleet.members.iter().enumerate() {
            let outage = (nth % 3 == 2 && OUTAGE.contains(&minute)).then_some(Outage::Everything);
            member.bank.fail(outage);
            if nth % 4 == 1 && minute == 0 {
                member.bank.lose_answer("/token");
                member.bank.lose_answer("/token");
            }
            if nth % 5 == 0 && minute == VISIT {
                came.insert(nth, visits(fleet, member, consents[nth][0]).await);
            }
        }
        settled(fleet).await;
        fleet.clock.advance(SignedDuration::from_mins(1));
    }
    settled(fleet).await;
    came
}

/// How one bank came out of it.
#[derive(Default)]
struct Outcome {
    accounts: usize,
    complete: usize,
    reasons: BTreeMap<String, usize>,
    untrue: Vec<String>,
    calls: usize,
    spoilt: usize,
    /// Refusals of the bank's own count: most in the first window that had any, and most in any later one.
    hasty: [usize; 2],
    used_up: usize,
    incidents: Vec<Incident>,
}

/// What of a bank's doings explains a reason.
fn explains(reason: &str, how: Misbehaviour) -> bool {
    use Misbehaviour as M;
    match reason {
        "bank.unavailable" => matches!(how, M::Unavailable(_) | M::Broken | M::ErrorInside),
        "bank.contract_broken" => {
            matches!(how, M::WebPage | M::Empty | M::Damaged | M::ErrorInside)
                || matches!(how, M::SamePage | M::EndlessPages | M::ForeignLink)
        }
        "bank.rows_unreadable" => matches!(how, M::OtherNames),
        "bank.refused" | "bank.not_offered" | "bank.period_refused" => {
            matches!(how, M::PeriodRefused | M::NotOffered | M::ErrorInside)
        }
        "bank.token_refused" | "bank.consent_in_doubt" => matches!(how, M::Unauthorised),
        _ => false,
    }
}

/// What reasons begin with that say that there was no answer.
const TRANSPORT: [&str; 3] = ["connection.", "answer.", "tls."];

/// Whether a reason is what the bank has done since then, or was seen to do.
fn is_true(reason: &str, member: &Member, outcome: &Outcome, nth: usize) -> bool {
    let refused = outcome.hasty[0] + outcome.used_up > 0;
    let silent = nth % 3 == 2;
    match reason {
        "bank.unavailable" if refused => true,
        "reads_of_the_day_used_up" => reads_of_one(member) >= habit(nth, 0).1,
        "bank.resting" => refused || !outcome.incidents.is_empty(),
        _ if TRANSPORT.iter().any(|begin| reason.starts_with(begin)) => silent || nth % 4 == 1,
        _ => member.bank.spoilt().iter().any(|spoilt| explains(reason, spoilt.how)),
    }
}

/// How often the accounts of one consent were listed without its person, of the one that was most.
fn reads_of_one(member: &Member) -> u32 {
    let is_list = |call: &sandbox::Call| !call.attended && call.request.to_lowercase().ends_with("accounts");
    let mut reads: BTreeMap<_, u32> = BTreeMap::new();
    for call in member.bank.calls().into_iter().filter(is_list) {
        *reads.entry(call.consent).or_default() += 1;
    }
    reads.into_values().max().unwrap_or_default()
}

/// How many rows an account has in the books on a day.
fn rows_of(account: &Account, day: Date) -> usize {
    account.booked(day, Date::MIN, day).len() + account.pending(day).len()
}

/// Looks at every account of a bank as its product does.
async fn looked(fleet: &Fleet, product: &Caller, nth: usize, consents: &[ConsentId], begun: Timestamp) -> Outcome {
    let member = &fleet.members[nth];
    let mut outcome =
        Outcome { calls: member.bank.calls().len(), spoilt: member.bank.spoilt().len(), ..Outcome::default() };
    count_refusals(member, &mut outcome);
    let mut tx = fleet.nodes[0].store.tenant_tx(fleet.nodes[0].tenant.id).await.unwrap();
    let registration = RegistrationId::new(&member.registration).unwrap();
    outcome.incidents = bank_health::incidents(&mut tx, &registration, begun).await.unwrap();
    for (customer, consent) in consents.iter().enumerate() {
        let books = &member.books.psus[customer].accounts;
        let listed = product.get(&format!("/v1/accounts?consent_id={consent}")).await.json();
        let accounts = listed["data"].as_array().unwrap();
        outcome.accounts += books.len();
        if accounts.is_empty() {
            // The bank has not even listed them.
            let latest = fetches::latest(&mut tx, *consent).await.unwrap();
            let reason = latest.and_then(|run| run.error_code).unwrap_or_else(|| "none".to_owned());
            outcome.ends(&reason, books.len(), member, nth);
            continue;
        }
        assert_eq!(accounts.len(), books.len(), "{}: {listed}", member.institution);
        for shown in accounts {
            let reason = judged(product, member, books, shown, begun).await;
            match reason {
                None => outcome.complete += 1,
                Some(reason) => outcome.ends(&reason, 1, member, nth),
            }
        }
    }
    tx.commit().await.unwrap();
    outcome
}

impl Outcome {
    /// So many accounts ended with a reason.
    fn ends(&mut self, reason: &str, accounts: usize, member: &Member, nth: usize) {
        if !is_true(reason, member, self, nth) {
            self.untrue.push(format!("{}: {reason}", member.institution));
        }
        *self.reasons.entry(reason.to_owned()).or_default() += accounts;
    }
}

/// Why an account is not complete; `None` where it is, which its rows prove.
async fn judged(
    product: &Caller,
    member: &Member,
    books: &[Account],
    shown: &Value,
    begun: Timestamp,
) -> Option<String> {
    let freshness = &shown["freshness"];
    if let Some(reason) = freshness["stale_because"].as_str() {
        return Some(reason.to_owned());
    }
    let as_of = freshness["as_of"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    let as_of = as_of.filter(|at| *at >= begun);
    let Some(as_of) = as_of else { return Some(format!("old without a reason: {freshness}")) };
    let named = |account: &&Account| shown["name"] == account.name || shown["name"] == account.product;
    let account = books.iter().find(named).unwrap_or_else(|| panic!("no account is {shown}"));
    let id = shown["id"].as_str().unwrap();
    let rows = product.get(&format!("/v1/accounts/{id}/transactions?limit=500")).await.json();
    let rows = rows["data"].as_array().map_or(0, Vec::len);
    let wanted = rows_of(account, as_of.to_zoned(member.zone()).date());
    (rows != wanted).then(|| format!("{rows} rows of {wanted} without a reason"))
}

fn count_refusals(member: &Member, outcome: &mut Outcome) {
    let mut windows: BTreeMap<_, usize> = BTreeMap::new();
    for refusal in member.bank.refusals() {
        *windows.entry(refusal).or_default() += 1;
    }
    let first = windows.keys().map(|refusal| refusal.window).min();
    for (refusal, count) in windows {
        let place = usize::from(Some(refusal.window) != first);
        outcome.hasty[place] = outcome.hasty[place].max(count);
    }
    outcome.used_up = member.bank.log().iter().filter(|line| line.code == "consent.frequency.exceeded").count();
}

/// Nobody is said to be there but who came, while they were.
fn nobody_is_made_up(fleet: &Fleet, begun: Timestamp, came: &BTreeMap<usize, Timestamp>) {
    for (nth, member) in fleet.members.iter().enumerate() {
        let calls: Vec<_> = member.bank.calls().into_iter().filter(|call| call.at >= begun && call.attended).collect();
        let about: BTreeSet<_> = calls.iter().map(|call| call.consent.clone()).collect();
        let while_there = |at: Timestamp| {
            came.get(&nth).is_some_and(|came| (*came..=came.saturating_add(PRESENT).unwrap()).contains(&at))
        };
        assert!(
            about.len() <= 1 && calls.iter().all(|call| while_there(call.at)),
            "{}: {calls:#?}",
            member.institution
        );
    }
    let seen = |nth: &usize| fleet.members[*nth].bank.calls().iter().any(|call| call.attended && call.at >= begun);
    assert!(came.keys().any(seen), "the banks see that a person is there");
}

/// Resident memory of this process in MiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
}

#[expect(clippy::print_stdout, reason = "`.ci/long chaos` prints how every bank came out of it")]
fn print(fleet: &Fleet, outcomes: &[Outcome], memory: [u64; 2], connections: [i64; 2]) {
    println!(
        "| bank | accounts | complete | with a reason | calls | spoilt | 429 first, later | used up | incidents, open |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (member, one) in fleet.members.iter().zip(outcomes) {
        let open = one.incidents.iter().filter(|incident| incident.closed_at.is_none()).count();
        println!(
            "| {} | {} | {} | {:?} | {} | {} | {:?} | {} | {}, {open} |",
            member.institution,
            one.accounts,
            one.complete,
            one.reasons,
            one.calls,
            one.spoilt,
            one.hasty,
            one.used_up,
            one.incidents.len()
        );
    }
    println!("after a quarter and at the end: {memory:?} MiB, {connections:?} connections to the database");
}

/// What must hold whatever the banks do.
fn judge(fleet: &Fleet, outcomes: &[Outcome]) {
    for (member, one) in fleet.members.iter().zip(outcomes) {
        let bank = &member.institution;
        assert_eq!(one.untrue, Vec::<String>::new());
        assert_eq!(one.complete + one.reasons.values().sum::<usize>(), one.accounts, "{bank}");
        assert!(one.hasty[0] <= ON_THEIR_WAY && one.hasty[1] <= 1, "{bank}: {:?} refusals a window", one.hasty);
        assert!(one.used_up <= ON_THEIR_WAY, "{bank}: {} reads too many of a day", one.used_up);
    }
    let incidents = || outcomes.iter().flat_map(|one| &one.incidents);
    assert!(incidents().any(|incident| incident.closed_at.is_some()), "no breaker has closed");
    let complete: usize = outcomes.iter().map(|one| one.complete).sum();
    let accounts: usize = outcomes.iter().map(|one| one.accounts).sum();
    assert!(complete * 2 > accounts, "{complete} of {accounts} accounts are complete");
    let refused: usize = outcomes.iter().map(|one| one.hasty[0]).sum();
    assert!(refused > 0, "no bank has counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_account_ends_complete_or_with_a_true_reason_while_everything_misbehaves_at_once() {
    let size = Size { banks: number("BANKS", 8), customers: number("CUSTOMERS", 2), days: DAYS, nodes: 2 };
    let minutes = u32::try_from(number("MINUTES", 40)).unwrap();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let reads = |nth| Policy { reads_per_day: habit(nth, size.customers).1, ..Policy::default() };
    let mut fleet = Fleet::open(size, begins(), reads).await;
    let work = Work::begins(&fleet.nodes);
    let consents = connected(&fleet, size.customers).await;
    settled(&fleet).await;
    // A quarter of a day later everything is due again, and nobody is there.
    fleet.clock.advance(SignedDuration::from_hours(6));
    let begun = fleet.clock.now();
    for (nth, member) in fleet.members.iter().enumerate() {
        member.bank.count(habit(nth, size.customers).0);
    }
    let mut came = hour(&fleet, &consents, 0..minutes / 4).await;
    let (early, connections) = (memory(), fleet.connections().await);
    came.append(&mut hour(&fleet, &consents, minutes / 4..minutes).await);
    let site = Site::start(fleet.nodes[0].clone()).await;
    let product = site.caller_at(&fleet.clock, &fleet.pki, Some(&fleet.api_key));
    let mut outcomes = Vec::new();
    for (nth, consents) in consents.iter().enumerate() {
        outcomes.push(looked(&fleet, &product, nth, consents, begun).await);
    }
    let (late, still) = (memory(), fleet.connections().await);
    print(&fleet, &outcomes, [early, late], [connections, still]);
    judge(&fleet, &outcomes);
    nobody_is_made_up(&fleet, begun, &came);
    // Other tests share this process in the usual run.
    let alone = std::env::var_os("BANKS").is_some();
    assert!(!alone || late <= early + early / 4 + 64, "memory grows: {early}, {late} MiB");
    drop(product);
    site.end().await;
    work.ends().await;
    fleet.stop().await;
    // A server process that is told to go is listed until it has gone.
    for _ in 0..3000 {
        if fleet.connections().await == 0 {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(fleet.connections().await, 0, "connections to the database are left behind");
    fleet.end().await;
    for _ in 0..3000 {
        if tasks() <= before {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(tasks(), before, "tasks are left behind");
}
