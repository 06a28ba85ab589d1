//! A node is killed, or held, at every named point of a fetch and of a deletion: what comes after ends as if nothing had
//! happened.
//!
//! People log in here; a node in a process of its own does the work. "Undisturbed" is a life that nobody killed, of the
//! same customer at the same bank: the product sees us through another reference, so every life has lines of its own.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use domain::consent::{DataState, RevokedBy, State};
use domain::ids::{ConsentId, LineId};
use domain::money::Money;
use domain::records::{Normalized, Status};
use jiff::SignedDuration;
use sandbox::{BankData, Row};
use server::evidence_log;
use server::services::{consents as moves, deletion, fetch};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use store::data_map::{self, Subject};
use store::sealed::Place;
use store::transactions::{Cursor, Query};
use store::{balances, consents, deletions, grants, lines, transactions};
use tests::node::{Ended, Fault, Node};
use tests::world::{CUSTOMER, NEIGHBOUR, World, day};

pub(super) const NODE: &str = env!("CARGO_BIN_EXE_node");
/// How long a fact in the database may take to come.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks.
const POLL: Duration = Duration::from_millis(25);
/// SIGABRT: what a node dies of at its point.
const ABORTED: i32 = 6;

/// Where a node dies: a point, and when it passes it for the n-th time.
type Death = (&'static str, u32);

/// Points with one of these beginnings, in order, and then further passes of those that are passed more than once.
fn deaths(beginnings: &[&str], further: &[Death]) -> Vec<Death> {
    let named = server::fault::POINTS.iter().filter(|point| beginnings.iter().any(|begin| point.starts_with(begin)));
    named.map(|point| (*point, 1)).chain(further.iter().copied()).collect()
}

/// The last months of the books: more than one page of one account, and no more than a test needs.
pub(super) fn recent(data: &mut BankData) {
    let from = day(-100);
    for account in data.psus.iter_mut().flat_map(|psu| &mut psu.accounts) {
        account.rows.retain(|row| row.entered >= from);
    }
}

/// What somebody sees who looks at one consent and what hangs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct View {
    consent: (State, DataState),
    grant: (&'static str, bool),
    /// By account number.
    accounts: BTreeMap<String, Account>,
    /// Rows of every table that holds bank data or work of this consent.
    rows: BTreeMap<&'static str, i64>,
    /// What the fetches say about themselves: state, pages, rows seen, rows new.
    progress: Vec<(String, i64, i64, i64)>,
    /// The history of the consent, in order.
    moves: Vec<String>,
    /// What products were told, in order, and then what the bank answered.
    events: Vec<String>,
    /// Kinds of evidence but calls to the bank, which a second try may repeat.
    evidence: Vec<String>,
}

/// An account as a product sees it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) transactions: Vec<Normalized>,
    balances: Vec<Money>,
    complete: String,
}

/// The rows are many: where two differ, their numbers tell enough.
impl Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pending = self.transactions.iter().filter(|row| row.status == Status::Pending).count();
        let rows = self.transactions.len();
        write!(f, "{rows} rows, {pending} of them pending, {:?}, {}", self.balances, self.complete)
    }
}

/// A world with a way to look at it that the application does not have: the owner of the database.
pub(super) struct Stage {
    pub(super) world: World,
    owner: PgConnection,
}

impl Stage {
    pub(super) async fn new(plant: impl FnOnce(&mut BankData)) -> Self {
        Self::of(World::with(plant).await).await
    }

    pub(super) async fn of(world: World) -> Self {
        let owner = PgConnection::connect_with(&world.private.connect_options()).await.unwrap();
        Self { world, owner }
    }

    pub(super) async fn end(self) {
        self.owner.close().await.unwrap();
        self.world.end().await;
    }

    /// A consent of the customer whom the product knows by this reference. A fetch waits for a node.
    pub(super) async fn connect(&self, reference: &str, customer: (&str, &str)) -> ConsentId {
        let consent = self.world.ask(reference).await;
        self.world.authorise(consent, customer).await;
        consent
    }

    /// The bank's own id of a consent.
    pub(super) async fn at_bank(&self, consent: ConsentId) -> String {
        let (app, tenant) = (&self.world.app, self.world.app.tenant.id);
        let mut tx = app.store.tenant_tx(tenant).await.unwrap();
        let grant = consents::get(&mut tx, consent).await.unwrap().grant.unwrap();
        let grant = grants::get(&mut tx, grant).await.unwrap();
        let key = app.vault.open_key(tenant, grant.key.as_ref().unwrap()).unwrap();
        let sealed = grant.sealed_bank_consent.as_deref().unwrap();
        let open = Place::bank_consent(tenant, grant.id).open(&key, sealed).unwrap();
        String::from_utf8(open.to_vec()).unwrap()
    }

    /// Changes the database as its owner.
    pub(super) async fn change(&mut self, sql: &'static str) {
        self.owner.execute(sql).await.unwrap();
    }

    /// The same, so long ago that its access token has ended.
    async fn connect_before(&self, reference: &str, customer: (&str, &str)) -> ConsentId {
        let ago = SignedDuration::from_mins(6);
        self.world.clock.advance(-ago);
        let consent = self.connect(reference, customer).await;
        self.world.clock.advance(ago);
        consent
    }

    /// Numbers of a consent, by a query with its id as the only parameter.
    pub(super) async fn count(&mut self, sql: &str, consent: ConsentId) -> i64 {
        let query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql.to_owned())).bind(consent.uuid());
        query.fetch_one(&mut self.owner).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    async fn words(&mut self, sql: &'static str, consent: ConsentId) -> Vec<String> {
        sqlx::query_scalar(sql).bind(consent.uuid()).fetch_all(&mut self.owner).await.unwrap()
    }

    /// A node that died keeps its leases until the database's clock has passed their end, a minute later. This is what the
    /// minute would do.
    pub(super) async fn let_leases_run_out(&mut self) {
        let sql = "update job set lease_until = clock_timestamp() - interval '1 second' where leased_by is not null";
        self.owner.execute(sql).await.unwrap();
    }

    /// Waits until a query about the consent gives zero.
    pub(super) async fn wait_for_none(&mut self, what: &str, sql: &str, consent: ConsentId, node: &Node) {
        let looks = PATIENCE.as_millis() / POLL.as_millis();
        for _ in 0..looks {
            if self.count(sql, consent).await == 0 {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
        panic!("{what} in vain; the node said:\n{}", node.log());
    }

    /// Waits until nothing is left to do for the consent now: no fetch that runs or is due, no erasure without a receipt,
    /// no bank that was not told, no evidence without a place, no event without a number.
    pub(super) async fn wait_for_rest(&mut self, consent: ConsentId, node: &Node) {
        let sql = "select (select count(*) from consent where consent_id = $1 and state = 'authorized')
            + (select count(*) from fetch_run where consent_id = $1 and state = 'running')
            + (select count(*) from deletion where consent_id = $1 and (state <> 'receipted' or bank = 'pending'))
            + (select count(*) from revocation_capsule where consent_id = $1 and destroyed_at is null)
            + (select count(*) from evidence_entry where subject = $1 and leaf_index is null)
            + (select count(*) from event where consent_id = $1 and seq is null)
            + (select count(*) from job where (leased_by is not null or due_at <= clock_timestamp())
                and (subject = $1
                    or subject in (select deletion_id from deletion where consent_id = $1)
                    or subject in (select capsule_id from revocation_capsule where consent_id = $1)))";
        self.wait_for_none("waited for rest", sql, consent, node).await;
    }

    /// Lets a node work until nothing is left to do for the consent, and ends it.
    pub(super) async fn work(&mut self, consent: ConsentId) {
        let node = Node::start(NODE, &self.world, Fault::None);
        self.wait_for_rest(consent, &node).await;
        stopped(node.stop().await);
    }

    /// A node that dies at its point while it fetches.
    async fn die_fetching(&mut self, death: Death) {
        died(Node::start(NODE, &self.world, Fault::Dies(death.0, death.1)).ended().await, death);
        self.let_leases_run_out().await;
    }

    /// A node that dies at its point after a product has withdrawn the consent there. The product may have had an answer.
    pub(super) async fn die_deleting(&mut self, consent: ConsentId, death: Death) {
        let mut node = Node::start(NODE, &self.world, Fault::Dies(death.0, death.1));
        let answer = node.request("DELETE", &format!("/v1/consents/{consent}"), &self.world.api_key).await;
        let status = answer.map(|(status, _)| status);
        assert!(matches!(status, None | Some(202)), "{status:?}");
        died(node.ended().await, death);
        self.let_leases_run_out().await;
    }

    /// A product withdraws the consent at a node that is well, which then does what there is to do.
    pub(super) async fn withdraw(&mut self, consent: ConsentId) {
        let mut node = Node::start(NODE, &self.world, Fault::None);
        let answer = node.request("DELETE", &format!("/v1/consents/{consent}"), &self.world.api_key).await;
        let status = answer.map(|(status, _)| status);
        assert_eq!(status, Some(202));
        self.wait_for_rest(consent, &node).await;
        stopped(node.stop().await);
    }

    pub(super) async fn lines(&mut self, consent: ConsentId) -> Vec<LineId> {
        let sql = "select line_id from consent_line where consent_id = $1 order by line_id";
        let found: Vec<sqlx::types::Uuid> =
            sqlx::query_scalar(sql).bind(consent.uuid()).fetch_all(&mut self.owner).await.unwrap();
        found.into_iter().map(LineId::from_uuid).collect()
    }

    async fn view(&mut self, consent: ConsentId) -> View {
        let mut rows = BTreeMap::new();
        let held = "line_id in (select line_id from consent_line where consent_id = $1)";
        for (table, condition) in [
            ("consent_line", "consent_id = $1"),
            ("line", held),
            ("transaction", held),
            ("balance", held),
            ("raw_page", held),
            ("fetch_run", "consent_id = $1"),
            ("fetch_line", "consent_id = $1"),
            ("deletion", "consent_id = $1"),
            ("revocation_capsule", "consent_id = $1"),
            ("job", "subject = $1"),
        ] {
            rows.insert(table, self.count(&format!("select count(*) from {table} where {condition}"), consent).await);
        }
        let progress = "select r.state, coalesce(sum(l.pages), 0)::bigint, coalesce(sum(l.rows_seen), 0)::bigint,
                coalesce(sum(l.rows_new), 0)::bigint
            from fetch_run r left join fetch_line l on l.fetch_id = r.fetch_id where r.consent_id = $1 group by r.fetch_id, r.state";
        let progress = sqlx::query_as(progress).bind(consent.uuid()).fetch_all(&mut self.owner).await.unwrap();
        let moves = "select event from consent_history where consent_id = $1 order by seq";
        // The bank is told beside the erasure: its answer comes before the end of that or after it.
        let events = "select kind from event where consent_id = $1 order by kind like 'consent.revocation.%', seq";
        let evidence = "select kind from evidence_entry where subject = $1 and kind <> 'bank.call' order by kind";
        let (moves, events) = (self.words(moves, consent).await, self.words(events, consent).await);
        let evidence = self.words(evidence, consent).await;
        let mut tx = self.world.app.store.tenant_tx(self.world.app.tenant.id).await.unwrap();
        let stored = consents::get(&mut tx, consent).await.unwrap();
        let grant = grants::get(&mut tx, stored.grant.unwrap()).await.unwrap();
        tx.commit().await.unwrap();
        View {
            consent: (stored.machine.state, stored.machine.data),
            grant: (grant.state.word(), grant.intent.is_some()),
            accounts: self.accounts(consent).await,
            rows,
            progress,
            moves,
            events,
            evidence,
        }
    }

    /// What a product reads, opened.
    pub(super) async fn accounts(&self, consent: ConsentId) -> BTreeMap<String, Account> {
        let (app, tenant) = (&self.world.app, self.world.app.tenant.id);
        let mut tx = app.store.tenant_tx(tenant).await.unwrap();
        let filter = lines::Filter { consent: Some(consent), ..lines::Filter::default() };
        let mut accounts = BTreeMap::new();
        for held in lines::held(&mut tx, self.world.product, filter).await.unwrap() {
            let key = app.vault.open_key(tenant, &held.line.key).unwrap();
            let details = held.line.details(tenant, &key).unwrap();
            let mut transactions = Vec::new();
            let mut after: Option<Cursor> = None;
            loop {
                let line = Some(held.line.id);
                let query = Query { consent, line, from: None, until: None, after, limit: 500 };
                let page = transactions::page(&mut tx, query).await.unwrap();
                transactions.extend(page.rows.iter().map(|row| row.open(tenant, &key).unwrap()));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            // Rows of one day are listed by when they came: the order of two accounts of one day says nothing.
            transactions.sort_by_cached_key(|row| {
                let reference = row.bank_reference.clone().or_else(|| row.description.clone());
                (row.booking_date, row.value_date, reference, row.money.amount())
            });
            let latest = balances::latest(&mut tx, consent, held.line.id).await.unwrap();
            let mut balances: Vec<_> = latest.iter().map(|row| row.open(tenant, &key).unwrap().money).collect();
            balances.sort_by_key(Money::amount);
            let fresh = held.line.freshness;
            let complete = format!("complete from {:?} until {:?}", fresh.complete_from, fresh.complete_until);
            accounts.insert(details.iban.unwrap_or_default(), Account { transactions, balances, complete });
        }
        accounts
    }

    /// Rows that are left of a consent and its lines, by the data map.
    pub(super) async fn left(&mut self, consent: ConsentId, lines: &[LineId]) -> BTreeMap<String, i64> {
        let mut tx = self.world.app.store.tenant_tx(self.world.app.tenant.id).await.unwrap();
        let grant = consents::get(&mut tx, consent).await.unwrap().grant.unwrap();
        drop(tx);
        let mut left = BTreeMap::new();
        let subjects = lines.iter().map(|line| Subject::Line(*line));
        for subject in subjects.chain([Subject::Consent(consent), Subject::Grant(grant)]) {
            left.extend(self.left_of(subject).await);
        }
        left
    }

    async fn left_of(&self, subject: Subject) -> BTreeMap<String, i64> {
        let mut tx = self.world.app.store.tenant_tx(self.world.app.tenant.id).await.unwrap();
        let scanned = data_map::scan(&mut tx, subject).await.unwrap();
        scanned.into_iter().filter(|(_, rows)| *rows > 0).collect()
    }

    /// The counts of the one deletion of a consent: what it says it erased.
    pub(super) async fn counts(&mut self, consent: ConsentId) -> BTreeMap<String, i64> {
        let mut tx = self.world.app.store.tenant_tx(self.world.app.tenant.id).await.unwrap();
        let all = deletions::of_consent(&mut tx, consent).await.unwrap();
        let [deletion] = all.as_slice() else { panic!("{} deletions of one consent", all.len()) };
        let mut counts = deletion.counts.clone();
        for line in deletions::lines(&mut tx, deletion.id).await.unwrap() {
            for (table, rows) in line.counts {
                *counts.entry(table).or_default() += rows;
            }
        }
        counts
    }

    /// The bundle of the consent verifies and holds one receipt that the bank has answered.
    async fn check_evidence(&self, consent: ConsentId) {
        let app = &self.world.app;
        let bundle = evidence_log::bundle(app, self.world.about(consent), None).await.unwrap().unwrap();
        let keys = evidence::VerifierKey::read_all(&server::verifier_key(app).unwrap()).unwrap();
        let report = evidence::verify(&bundle, &keys, None).unwrap();
        assert_eq!(report.receipts().len(), 1, "{report}");
        assert_eq!(report.receipts()[0].consent, consent);
        assert!(report.to_string().contains("confirmed the end of the consent"), "{report}");
    }
}

#[track_caller]
pub(super) fn died(ended: Ended, (point, times): Death) {
    let at = format!("{point}:{times}");
    assert_eq!(ended.status.signal(), Some(ABORTED), "the node did not die at {at}; it said:\n{}", ended.log);
}

#[track_caller]
pub(super) fn stopped(ended: Ended) {
    assert!(ended.status.success(), "{}; the node said:\n{}", ended.status, ended.log);
}

/// Compares part by part, so that a difference is readable.
#[track_caller]
fn assert_same(view: &View, undisturbed: &View, death: Death) {
    assert_eq!(view.consent, undisturbed.consent, "{death:?}");
    assert_eq!(view.grant, undisturbed.grant, "{death:?}");
    assert_eq!(view.rows, undisturbed.rows, "{death:?}");
    assert_eq!(view.progress, undisturbed.progress, "{death:?}");
    assert_eq!(view.moves, undisturbed.moves, "{death:?}");
    assert_eq!(view.events, undisturbed.events, "{death:?}");
    assert_eq!(view.evidence, undisturbed.evidence, "{death:?}");
    assert_eq!(view.accounts, undisturbed.accounts, "{death:?}");
    assert_eq!(view, undisturbed, "{death:?}");
}

/// What may come to the bank after a stop: what ends the grant, and what that needs.
pub(super) fn ends_a_grant(request: &str) -> bool {
    let (method, path) = request.split_once(' ').unwrap_or_default();
    match method {
        "GET" => path.starts_with("/.well-known/") || (path.starts_with("/v1/consents/") && path.ends_with("/status")),
        "POST" => ["/token", "/revoke"].contains(&path),
        "DELETE" => path.starts_with("/v1/consents/"),
        _ => false,
    }
}

/// How often the bank was told with one code, since a line of its log.
fn noted(world: &World, code: &str, since: usize) -> usize {
    world.bank.log().iter().skip(since).filter(|line| line.code == code).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_point_the_next_start_finishes_and_nothing_is_doubled() {
    let mut stage = Stage::new(recent).await;
    let neighbour = stage.connect("neighbour", NEIGHBOUR).await;
    stage.work(neighbour).await;
    let beside = stage.view(neighbour).await;
    assert_eq!(beside.consent, (State::Active, DataState::Present));
    let calm = stage.connect("calm", CUSTOMER).await;
    stage.work(calm).await;
    let fetched = stage.view(calm).await;
    assert_eq!(fetched.consent, (State::Active, DataState::Present));
    assert_eq!((fetched.accounts.len(), fetched.rows["line"], fetched.rows["fetch_run"]), (3, 3, 1));
    assert!(fetched.accounts.values().any(|account| account.transactions.len() > 100), "{:?}", fetched.accounts);
    stage.withdraw(calm).await;
    let (deleted, counts) = (stage.view(calm).await, stage.counts(calm).await);
    assert_eq!(deleted.consent, (State::Revoked(RevokedBy::Product), DataState::Erased));
    stage.check_evidence(calm).await;

    let fetch_deaths = deaths(&["fetch."], &[("fetch.page_committed", 2), ("fetch.line_done", 3)]);
    let deletion_deaths = deaths(&["revoke.", "revocation.", "deletion."], &[("deletion.batch_committed", 3)]);
    let lives = fetch_deaths.len().max(deletion_deaths.len());
    for life in 0..lives {
        let reference = format!("life {life}");
        let refreshes = fetch_deaths.get(life).is_some_and(|(point, _)| point.starts_with("fetch.refresh"));
        let since = stage.world.bank.log().len();
        let consent = if refreshes {
            stage.connect_before(&reference, CUSTOMER).await
        } else {
            stage.connect(&reference, CUSTOMER).await
        };
        if let Some(death) = fetch_deaths.get(life) {
            stage.die_fetching(*death).await;
            stage.work(consent).await;
            assert_same(&stage.view(consent).await, &fetched, *death);
            // An answer that died with its node has to be asked for again; FAPI 2.0 refresh tokens stay as they are.
            let expected = usize::from(refreshes) + usize::from(death.0 == "fetch.refreshed");
            assert_eq!(noted(&stage.world, "token.refreshed", since), expected, "{death:?}");
        } else {
            stage.work(consent).await;
        }
        if let Some(death) = deletion_deaths.get(life) {
            delete_and_die(&mut stage, consent, *death, (&deleted, &counts)).await;
        }
    }
    assert_eq!(stage.view(neighbour).await, beside, "the neighbour is as before");
    let refused: Vec<_> = stage.world.bank.log().into_iter().filter(|line| line.refused).collect();
    assert!(refused.is_empty(), "the bank refused, a code used twice among others: {refused:?}");
    stage.end().await;
}

/// Withdraws a consent at a node that dies, lets another finish, and compares.
async fn delete_and_die(
    stage: &mut Stage,
    consent: ConsentId,
    death: Death,
    (deleted, counts): (&View, &BTreeMap<String, i64>),
) {
    let (told, since) = (stage.world.bank.requests().len(), stage.world.bank.log().len());
    let lines = stage.lines(consent).await;
    assert_eq!(lines.len(), 3);
    stage.die_deleting(consent, death).await;
    let ends = |world: &World| -> Vec<String> {
        world.bank.requests().split_off(told).into_iter().filter(|request| request.starts_with("DELETE ")).collect()
    };
    let settled = "select count(*) from revocation_capsule where consent_id = $1 and destroyed_at is not null";
    let (ended, settled) = (ends(&stage.world).len(), stage.count(settled, consent).await == 1);
    let state = stage.view(consent).await.consent.0;
    if death.0 == "revoke.before_commit" {
        assert_eq!(state, State::Active, "nothing has happened");
        stage.withdraw(consent).await;
    } else {
        assert_eq!(state, State::Revoked(RevokedBy::Product), "{death:?}");
        stage.work(consent).await;
    }
    assert_same(&stage.view(consent).await, deleted, death);
    assert_eq!(&stage.counts(consent).await, counts, "{death:?}");
    assert_eq!(stage.left(consent, &lines).await, BTreeMap::new(), "{death:?}");
    stage.check_evidence(consent).await;
    let requests: Vec<_> = stage.world.bank.requests().split_off(told);
    assert!(requests.iter().all(|request| ends_a_grant(request)), "{death:?}: {requests:?}");
    assert_eq!(noted(&stage.world, "token.refreshed", since), 0, "{death:?}");
    // The bank is told once; again only where no answer of it was written down when the node died, and always about the
    // same consent.
    let ends = ends(&stage.world);
    assert_eq!(ends.len(), if settled { 1 } else { ended + 1 }, "{death:?}: {requests:?}");
    assert!(ended <= 1 && ends.iter().all(|end| *end == ends[0]), "{ends:?}");
    // A product that asks again gets the same answer, and nothing happens again.
    stage.withdraw(consent).await;
    assert_same(&stage.view(consent).await, deleted, death);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_epochs_end_the_next_start_puts_each_end_down_once() {
    let mut stage = Stage::new(recent).await;
    let neighbour = stage.connect("neighbour", NEIGHBOUR).await;
    stage.work(neighbour).await;
    let beside = stage.accounts(neighbour).await;
    for (life, death) in deaths(&["epochs."], &[]).into_iter().enumerate() {
        let consent = stage.connect(&format!("life {life}"), CUSTOMER).await;
        stage.work(consent).await;
        stage.withdraw(consent).await;
        stage.world.clock.advance(SignedDuration::from_hours(24 * 9));
        died(Node::start(NODE, &stage.world, Fault::Dies(death.0, death.1)).ended().await, death);
        stage.let_leases_run_out().await;
        let node = Node::start(NODE, &stage.world, Fault::None);
        let open = "select count(*) + (select count(*) from evidence_entry where leaf_index is null)
            from deletion_line l join deletion d using (tenant_id, deletion_id)
            where d.consent_id = $1 and not exists (select 1 from deletion_addendum a
                where a.deletion_id = d.deletion_id and a.kind = 'epoch.destroyed')";
        stage.wait_for_none("waited for the end of the epochs", open, consent, &node).await;
        stopped(node.stop().await);
        let told = "select count(*) - count(distinct body) from deletion_addendum a
            join deletion d using (tenant_id, deletion_id) where d.consent_id = $1 and a.kind = 'epoch.destroyed'";
        assert_eq!(stage.count(told, consent).await, 0, "{death:?}");
        let app = &stage.world.app;
        let bundle = evidence_log::bundle(app, stage.world.about(consent), None).await.unwrap().unwrap();
        let keys = evidence::VerifierKey::read_all(&server::verifier_key(app).unwrap()).unwrap();
        // An end that were put down twice would be refused.
        let report = evidence::verify(&bundle, &keys, None).unwrap();
        assert!(report.is_unreadable_everywhere(&report.receipts()[0]), "{death:?}: {report}");
        assert_eq!(stage.accounts(neighbour).await.keys().collect::<Vec<_>>(), beside.keys().collect::<Vec<_>>());
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_was_held_writes_and_asks_nothing_after_the_consent_is_withdrawn() {
    let mut stage = Stage::new(recent).await;
    // Between these points and the next step no transaction is open: nothing keeps the withdrawal waiting.
    let held = deaths(&["fetch."], &[]).into_iter().map(|(point, _)| point).filter(|point| {
        let waits = point.ends_with("before_commit") || *point == "fetch.finished";
        !waits
    });
    for (life, point) in held.enumerate() {
        let consent = stage.connect_before(&format!("held {life}"), CUSTOMER).await;
        let mut node = Node::start(NODE, &stage.world, Fault::Holds(point));
        node.said("held").await;
        let lines = stage.lines(consent).await;
        let tenant = stage.world.app.tenant.id;
        moves::revoke(&stage.world.app, tenant, consent, RevokedBy::Psu, "psu").await.unwrap();
        let (told, since) = (stage.world.bank.requests().len(), stage.world.bank.log().len());
        let sql = "select count(*) from deletion where consent_id = $1 and (state <> 'receipted' or bank = 'pending')";
        stage.wait_for_none("waited for the receipt", sql, consent, &node).await;
        node.release();
        stage.wait_for_rest(consent, &node).await;
        stage
            .wait_for_none("waited for the fetch", "select count(*) from job where subject = $1", consent, &node)
            .await;
        stopped(node.stop().await);
        assert_eq!(stage.left(consent, &lines).await, BTreeMap::new(), "{point}");
        let requests = stage.world.bank.requests().split_off(told);
        assert!(requests.iter().all(|request| ends_a_grant(request)), "{point}: {requests:?}");
        assert_eq!(noted(&stage.world, "token.refreshed", since), 0, "{point}");
        let view = stage.view(consent).await;
        assert_eq!(view.consent, (State::Revoked(RevokedBy::Psu), DataState::Erased), "{point}");
        assert_eq!(view.grant, ("ended_by_us", false), "{point}");
        stage.check_evidence(consent).await;
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_taken_out_while_it_is_read_does_not_cost_the_others() {
    let mut stage = Stage::new(recent).await;
    let (app, tenant) = (stage.world.app.clone(), stage.world.app.tenant.id);
    for (life, point) in ["fetch.accounts_stored", "fetch.balances_stored", "fetch.page_committed"].iter().enumerate() {
        let consent = stage.connect(&format!("taken out {life}"), CUSTOMER).await;
        let mut node = Node::start(NODE, &stage.world, Fault::Holds(point));
        node.said("held").await;
        let lines = stage.lines(consent).await;
        let gone = deletion::remove_account(&app, tenant, consent, lines[0], "psu").await.unwrap();
        let sql = "select count(*) from deletion where consent_id = $1 and state <> 'receipted'";
        stage.wait_for_none("waited for the receipt", sql, consent, &node).await;
        node.release();
        stage.wait_for_rest(consent, &node).await;
        stopped(node.stop().await);
        let view = stage.view(consent).await;
        assert_eq!(view.consent, (State::Active, DataState::Present), "{point}");
        let runs: Vec<_> = view.progress.iter().map(|(state, ..)| state.as_str()).collect();
        assert_eq!((view.accounts.len(), runs), (2, vec!["done"]), "{point}");
        assert!(view.accounts.values().all(|account| !account.transactions.is_empty()), "{point}: {:?}", view.accounts);
        assert_eq!(stage.left_of(Subject::Line(gone.line.unwrap())).await, BTreeMap::new(), "{point}");
    }
    stage.end().await;
}

/// A payment that the bank books in three days.
fn announced(data: &mut BankData) {
    recent(data);
    let account = &mut data.psus[0].accounts[0];
    let mut row: Row = account.rows[0].clone();
    row.transaction_id = "ANNOUNCED-1".to_owned();
    (row.entered, row.booked) = (day(-1), day(3));
    row.counterparty = Some("Announced Ltd".to_owned());
    account.rows.push(row);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_goes_on_days_later_shows_no_payment_twice() {
    let mut stage = Stage::new(announced).await;
    let consent = stage.connect("late", CUSTOMER).await;
    stage.die_fetching(("fetch.page_committed", 1)).await;
    stage.world.clock.advance(SignedDuration::from_hours(5 * 24));
    let verdict = fetch::run(&stage.world.app, stage.world.about(consent)).await.unwrap();
    assert!(matches!(verdict, fetch::Verdict::Next(_)), "{verdict:?}");
    let accounts = stage.accounts(consent).await;
    let rows = accounts.values().flat_map(|account| &account.transactions);
    let seen: Vec<_> = rows.filter(|row| row.counterparty.name.as_deref() == Some("Announced Ltd")).collect();
    assert_eq!(seen.iter().map(|row| row.status).collect::<Vec<_>>(), [Status::Booked]);
    stage.end().await;
}
