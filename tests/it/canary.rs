//! Whoever leaves is gone: from every table, every file, every log, and, after a known moment, from every old dump; and a
//! receipt says so that cannot be altered.
//!
//! Canaries are words that nothing else contains, planted in the bank's books of one customer; a neighbour has his own.

mod planted;
mod removed;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::consent::{DataState, RevokedBy, State};
use domain::ids::{ConsentId, LineId};
use domain::world::Clock as _;
use evidence::{Bundle, Check, Content, Origin, Receipt, Refusal, Scope, VerifierKey};
use jiff::SignedDuration;
use planted::{JONAS, MARA, iban};
use sandbox::BankData;
use secrecy::SecretString;
use serde_json::Value;
use server::services::{consents as moves, deletion, fetch, revocation};
use server::{evidence_log, reconcile};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use store::data_map::{self, Subject};
use store::deletions::Deletion;
use store::transactions::{Query, Transaction};
use store::{Store, StoreConfig, StoreError, balances, capsules, consents, deletions, lines, transactions};
use tests::node::{Fault, Node};
use tests::receiver::Receiver;
use tests::search::Search;
use tests::site::Caller;
use tests::world::{CUSTOMER, NEIGHBOUR, World};
use tracing_subscriber::util::SubscriberInitExt as _;
use vault::{FileProvider, KeyError, KeyProvider as _, SystemEntropy, Wrapped};

const NODE: &str = env!("CARGO_BIN_EXE_node");
/// After an erasure nothing of it is in memory any more: a connection that nobody uses is closed after half of this.
const MEMORY_BOUND: Duration = Duration::from_secs(60);
/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(500);

/// A world with canaries, and what it takes to look for them.
struct Scene {
    world: World,
    owner: PgConnection,
    mara: Vec<String>,
    jonas: Vec<String>,
    /// Programs of the database's own version.
    programs: PathBuf,
    /// What is taken out of the world: dumps.
    outside: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let (mut mara, mut jonas) = (Vec::new(), Vec::new());
        let plant = |data: &mut BankData| {
            mara = MARA.plant(&mut data.psus[0]);
            jonas = JONAS.plant(&mut data.psus[1]);
        };
        let world = World::with(plant).await;
        let mut owner = PgConnection::connect_with(&world.private.connect_options()).await.unwrap();
        let programs = "select setting from pg_config where name = 'BINDIR'";
        let programs: String = sqlx::query_scalar(programs).fetch_one(&mut owner).await.unwrap();
        Self { world, owner, mara, jonas, programs: programs.into(), outside: tempfile::tempdir().unwrap() }
    }

    async fn end(self) {
        self.owner.close().await.unwrap();
        self.world.end().await;
    }

    fn program(&self, name: &str, database: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.arg("-h").arg(self.world.private.socket_dir()).args(["-U", "tributary", "-d", database]);
        command
    }

    /// A plain dump of the whole database, as a backup of tonight.
    fn dump(&self, name: &str) -> PathBuf {
        let file = self.outside.path().join(name);
        run(self.program("pg_dump", "tributary").arg("-f").arg(&file));
        file
    }

    /// A copy of the database's files while it runs, as PostgreSQL's own `pg_basebackup` makes it.
    async fn base_backup(&mut self, name: &str) -> PathBuf {
        let folder = self.outside.path().join(name);
        self.owner.execute("select pg_backup_start('canary', true)").await.unwrap();
        run(Command::new("cp").arg("-r").arg(self.world.dir.path().join("postgres").join("cluster")).arg(&folder));
        self.owner.execute("select pg_backup_stop(false)").await.unwrap();
        folder
    }

    /// Restores a dump into a database of its own, and opens it.
    async fn restore(&mut self, dump: &Path, name: &str) -> Store {
        self.owner.execute(AssertSqlSafe(format!("create database {name}"))).await.unwrap();
        run(self.program("psql", name).args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(dump));
        let options = self.world.private.connect_options().database(name);
        Store::open(options, StoreConfig { connections: 2, ..StoreConfig::default() }).await.unwrap()
    }

    /// Everybody's words.
    fn words(&self) -> Vec<String> {
        self.mara.iter().chain(&self.jonas).cloned().collect()
    }

    /// No canary lies in any file of the world (tables, indexes, write-ahead log, server log, keys, settings) or in a dump.
    async fn assert_sealed(&mut self, when: &str) {
        self.owner.execute("checkpoint").await.unwrap();
        let search = Search::new(&self.words());
        let searched = search.below(self.world.dir.path());
        assert_eq!(searched.found, [], "{when}");
        assert!(searched.files > 1000 && searched.bytes > 20_000_000, "{} files", searched.files);
        let dump = std::fs::read(self.dump("search.sql")).unwrap();
        assert_eq!(search.first_in(&dump), None, "{when}, in a dump");
        let backup = self.base_backup("base").await;
        let searched = search.below(&backup);
        assert_eq!(searched.found, [], "{when}, in a base backup");
        let logged = search.below(&backup.join("pg_wal"));
        assert!(searched.bytes > 20_000_000 && logged.bytes >= 16 << 20, "{searched:?}, {logged:?}");
        std::fs::remove_dir_all(backup).unwrap();
        // What is not sealed is found: the thief can read.
        let control = Search::new(&["Test product"]);
        assert!(
            control
                .below(self.world.dir.path())
                .found
                .iter()
                .any(|(file, _)| file.to_string_lossy().contains("/base/"))
        );
        assert!(control.first_in(&dump).is_some());
    }

    /// Everything that a product could read of a consent in a database, opened with the keys that are held now.
    async fn opened(&self, store: &Store, consent: ConsentId) -> Result<String, KeyError> {
        let (app, tenant) = (&self.world.app, self.world.app.tenant.id);
        let mut text = String::new();
        let mut tx = store.tenant_tx(tenant).await.unwrap();
        let filter = lines::Filter { consent: Some(consent), ..lines::Filter::default() };
        for held in lines::held(&mut tx, self.world.product, filter).await.unwrap() {
            let key = app.vault.open_key(tenant, &held.line.key)?;
            let details = held.line.details(tenant, &key).unwrap();
            for part in [details.owner_name, details.iban, details.name] {
                text.extend([part.unwrap_or_default(), "\n".to_owned()]);
            }
            for balance in balances::latest(&mut tx, consent, held.line.id).await.unwrap() {
                text.extend([balance.open(tenant, &key).unwrap().money.amount().to_string(), "\n".to_owned()]);
            }
            for row in page(&mut tx, consent, held.line.id).await {
                let row = row.open(tenant, &key).unwrap();
                let parts = [row.counterparty.name, row.counterparty.account, row.description, row.bank_reference];
                for part in parts.into_iter().chain([row.end_to_end_id]).flatten() {
                    text.extend([part, "\n".to_owned()]);
                }
                text.extend([row.money.amount().to_string(), "\n".to_owned()]);
            }
        }
        Ok(text)
    }

    async fn lines(&mut self, consent: ConsentId) -> Vec<LineId> {
        let sql = "select line_id from consent_line where consent_id = $1 order by line_id";
        let found: Vec<sqlx::types::Uuid> =
            sqlx::query_scalar(sql).bind(consent.uuid()).fetch_all(&mut self.owner).await.unwrap();
        found.into_iter().map(LineId::from_uuid).collect()
    }

    /// Rows that are left of lines and of what else goes with a subject, by the data map; and, without asking the map, in
    /// every table that knows lines at all.
    async fn left(&mut self, lines: &[LineId], subjects: &[Subject]) -> BTreeMap<String, i64> {
        let mut left = BTreeMap::new();
        let mut tx = self.world.app.store.tenant_tx(self.world.app.tenant.id).await.unwrap();
        for subject in lines.iter().map(|line| Subject::Line(*line)).chain(subjects.iter().copied()) {
            left.extend(data_map::scan(&mut tx, subject).await.unwrap());
        }
        drop(tx);
        assert!(left.len() >= 6, "the map names the tables with bank data: {left:?}");
        let tables = "select table_name::text from information_schema.columns
            join information_schema.tables using (table_schema, table_name)
            where table_schema = 'public' and table_type = 'BASE TABLE' and column_name = 'line_id'";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut self.owner).await.unwrap();
        let ids: Vec<_> = lines.iter().map(|line| line.uuid()).collect();
        // The record of the deletion itself names its lines.
        for table in tables.iter().filter(|table| !table.starts_with("deletion")) {
            let sql = format!("select count(*) from {table} where line_id = any($1)");
            let rows: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).bind(&ids).fetch_one(&mut self.owner).await.unwrap();
            *left.entry(table.clone()).or_default() += rows;
        }
        left.retain(|_, rows| *rows > 0);
        left
    }

    async fn deletion(&self, consent: ConsentId) -> Deletion {
        let mut tx = self.world.app.store.tenant_tx(self.world.app.tenant.id).await.unwrap();
        deletions::of_consent(&mut tx, consent).await.unwrap().pop().unwrap()
    }

    /// Waits until no erasure and no word to the bank is under way, and no fetch is due.
    async fn wait_for_rest(&mut self, node: &Node) {
        // What is due is due by the clock of the world, which is ahead of the database's.
        let sql = "select (select count(*) from job
                where leased_by is not null or due_at <= timestamptz 'epoch' + $1 * interval '1 second')
            + (select count(*) from fetch_run where state = 'running')
            + (select count(*) from evidence_entry where leaf_index is null)";
        for _ in 0..2400 {
            let now = self.world.clock.now().as_second() + 1;
            let left: i64 = sqlx::query_scalar(sql).bind(now).fetch_one(&mut self.owner).await.unwrap();
            if left == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!("waited in vain; the node said:\n{}", node.log());
    }

    /// The evidence of a consent as its file, once everything has its place.
    async fn bundle(&self, consent: ConsentId) -> String {
        let app = &self.world.app;
        while evidence_log::sequence(app, app.tenant.id).await.unwrap() > 0 {}
        evidence_log::bundle(app, self.world.about(consent), None).await.unwrap().unwrap()
    }

    fn keys(&self) -> Vec<VerifierKey> {
        VerifierKey::read_all(&server::verifier_key(&self.world.app).unwrap()).unwrap()
    }

    /// A key of another installation that calls itself the same.
    fn foreign_key(&self) -> VerifierKey {
        let tenant = self.world.app.tenant.id;
        let provider = FileProvider::open(self.outside.path().join("foreign")).unwrap();
        let key = provider.signing_key(tenant, 1, &SystemEntropy).unwrap();
        let origin: Origin = self.keys()[0].name().parse().unwrap();
        VerifierKey::new(&origin, key.public_key())
    }
}

async fn page(tx: &mut store::TenantTx, consent: ConsentId, line: LineId) -> Vec<Transaction> {
    let query = Query { consent, line: Some(line), from: None, until: None, after: None, limit: 10_000 };
    transactions::page(tx, query).await.unwrap().rows
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn assert_holds(text: &str, words: &[String]) {
    let missing: Vec<_> = words.iter().filter(|word| !text.contains(word.as_str())).collect();
    assert!(missing.is_empty(), "not opened: {missing:?}");
}

fn assert_holds_none(text: &str, words: &[String]) {
    assert_eq!(Search::new(words).first_in(text.as_bytes()), None);
}

/// What this thread says from now on, at the finest level.
#[derive(Clone, Default)]
pub(super) struct Said(Arc<Mutex<Vec<u8>>>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Said {
    pub(super) fn listen(&self) -> impl Drop + use<> {
        let said = self.clone();
        let finest = tracing_subscriber::filter::LevelFilter::TRACE;
        tracing_subscriber::fmt().with_max_level(finest).with_writer(move || said.clone()).set_default()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a product is told at a node.
async fn get(node: &mut Node, path: &str, key: &SecretString) -> String {
    let (status, body) = node.request("GET", path, key).await.unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    body
}

/// One runtime thread, so that everything that this process says while people log in is heard.
#[tokio::test]
async fn whoever_leaves_is_found_nowhere_and_an_old_dump_opens_until_its_epochs_have_passed() {
    let mut scene = Scene::new().await;
    let said = Said::default();
    let listening = said.listen();
    let mara = scene.world.connect(CUSTOMER).await;
    let jonas = scene.world.connect(NEIGHBOUR).await;
    drop(listening);

    let mut node = Node::logging(NODE, &scene.world, Fault::None, "trace");
    let receiver = Receiver::start().await;
    let product = Caller::new(&scene.world, &format!("http://{}", node.address().await), Some(&scene.world.api_key));
    let endpoint = serde_json::json!({ "url": receiver.url("canary"), "types": [] });
    assert_eq!(product.post("/v1/webhook-endpoints", &endpoint).await.status.as_u16(), 201);
    scene.wait_for_rest(&node).await;
    let exports = read_as_a_product(&scene, &mut node, mara).await;
    let live = &scene.world.app.store;
    assert_holds(&scene.opened(live, mara).await.unwrap(), &scene.mara);
    assert_holds(&scene.opened(live, jonas).await.unwrap(), &scene.jonas);
    assert_holds_none(&scene.opened(live, jonas).await.unwrap(), &scene.mara);
    scene.assert_sealed("while the data are there").await;
    let (dump, lines) = (scene.dump("before.sql"), scene.lines(mara).await);
    assert_eq!(lines.len(), 3);
    let secret = scene.world.bank.steal_token().unwrap();

    let (status, _) = node.request("DELETE", &format!("/v1/consents/{mara}"), &scene.world.api_key).await.unwrap();
    assert_eq!(status, 202);
    scene.wait_for_rest(&node).await;
    for export in exports {
        assert_eq!(product.get(&export).await.status.as_u16(), 404, "{export}");
    }
    heard(&scene, &receiver).await;
    forgotten(&scene, &node).await;
    drop(product);
    receiver.end().await;
    let ended = node.stop().await;
    assert!(ended.status.success() && ended.log.contains("TRACE") && ended.log.contains("serving address="));
    for (whose, log) in [("the node", ended.log.as_bytes()), ("this process", &said.bytes())] {
        assert!(log.len() > 100_000, "{whose} said {} bytes", log.len());
        assert_eq!(Search::new(&scene.words()).first_in(log), None, "{whose} said it");
    }
    let secrets = [secret.access_token.as_str(), &secret.consent_id];
    assert_eq!(Search::new(&secrets).first_in(ended.log.as_bytes()), None, "the node said a secret");
    assert_eq!(Search::new(&secrets).below(scene.world.dir.path()).found, []);

    gone(&mut scene, mara, &lines).await;
    let mut restored = scene.restore(&dump, "restored").await;
    assert_holds(&scene.opened(&restored, mara).await.unwrap(), &scene.mara);
    assert_holds(&scene.opened(&restored, jonas).await.unwrap(), &scene.jonas);
    let wrapped = epochs_pass(&mut scene, &mut restored, mara, jonas).await;
    nobody_opens(&mut scene, &restored, mara, &wrapped).await;
    restored.close().await;
    let earlier = scene.bundle(mara).await;
    let theirs = leave(&scene, jonas).await;
    receipts_cannot_be_altered(&scene, mara, &[earlier, theirs]).await;
    scene.end().await;
}

/// The control of everything that follows: what is planted arrives. Gives the addresses of the exports.
async fn read_as_a_product(scene: &Scene, node: &mut Node, consent: ConsentId) -> Vec<String> {
    let key = &scene.world.api_key;
    let accounts = get(node, &format!("/v1/accounts?consent_id={consent}"), key).await;
    let listed: Value = serde_json::from_str(&accounts).unwrap();
    let (mut text, mut exported, mut exports) = (accounts.clone(), String::new(), Vec::new());
    for account in listed["data"].as_array().unwrap() {
        let id = account["id"].as_str().unwrap();
        text += &get(node, &format!("/v1/accounts/{id}/transactions?limit=500"), key).await;
        text += &get(node, &format!("/v1/accounts/{id}/balances"), key).await;
        exports.push(format!("/v1/accounts/{id}/transactions/export"));
        exported += &get(node, exports.last().unwrap(), key).await;
    }
    let shown = scene.mara.iter().filter(|word| !text.contains(word.as_str())).collect::<Vec<_>>();
    // A product sees no bank's reference and no owner's name; all else is for it.
    assert!(
        shown.iter().all(|word| [MARA.owner, MARA.transaction, MARA.reference].contains(&word.as_str())),
        "{shown:?}"
    );
    assert!(exported.contains(MARA.remittance) && exported.contains(MARA.amount), "an export has what there is");
    exports
}

/// What the product was sent of its own accord names no more than ids.
async fn heard(scene: &Scene, receiver: &Receiver) {
    let last =
        |all: &[tests::receiver::Received]| all.iter().any(|sent| sent.json()["type"] == "deletion.receipt.issued");
    let mut many = 1;
    while !last(&receiver.received()) {
        receiver.until(many).await;
        many = receiver.received().len() + 1;
    }
    let search = Search::new(&scene.words());
    for sent in receiver.received() {
        assert_eq!(search.first_in(&sent.body), None, "{}", String::from_utf8_lossy(&sent.body));
    }
}

/// The node that fetched, served and erased has nothing of it in its memory, freed memory included: when the connections are
/// closed that it keeps for a while, and what its threads had in hand is overwritten.
async fn forgotten(scene: &Scene, node: &Node) {
    let search = Search::new(&scene.mara);
    let remembered = async {
        while !search.memory(node.process()).found.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(MEMORY_BOUND, remembered).await.is_err() {
        panic!("{:?}", search.memory(node.process()));
    }
    let control = Search::new(&["Test TPP"]).memory(node.process());
    assert!(control.bytes > 1_000_000 && !control.found.is_empty(), "what it does remember is found: {control:?}");
}

/// Zero rows in every table, and no canary in any file.
async fn gone(scene: &mut Scene, consent: ConsentId, erased: &[LineId]) {
    let mut tx = scene.world.app.store.tenant_tx(scene.world.app.tenant.id).await.unwrap();
    let stored = consents::get(&mut tx, consent).await.unwrap();
    let filter = lines::Filter { consent: Some(consent), ..lines::Filter::default() };
    assert!(lines::held(&mut tx, scene.world.product, filter).await.unwrap().is_empty());
    drop(tx);
    let state = (stored.machine.state, stored.machine.data);
    assert_eq!(state, (State::Revoked(RevokedBy::Product), DataState::Erased));
    let subjects = [Subject::Consent(consent), Subject::Grant(stored.grant.unwrap())];
    assert_eq!(scene.left(erased, &subjects).await, BTreeMap::new());
    scene.assert_sealed("after the deletion").await;
}

/// Time passes, and the epochs with it: one second before the moment on the receipt the dump still opens, at the moment it
/// does not. The neighbour's rows open with the newest key table. Gives the keys that the dump has for the erased lines.
async fn epochs_pass(scene: &mut Scene, restored: &mut Store, mara: ConsentId, jonas: ConsentId) -> Vec<Wrapped> {
    let app = scene.world.app.clone();
    let due = scene.deletion(mara).await.unreadable_after.unwrap();
    let report = evidence::verify(&scene.bundle(mara).await, &scene.keys(), None).unwrap();
    assert!(!report.is_unreadable_everywhere(&report.receipts()[0]), "{report}");
    assert!(report.to_string().contains("not proven yet"), "{report}");

    let wait = due.duration_since(scene.world.clock.now()) - SignedDuration::from_secs(60);
    assert!(wait > SignedDuration::from_hours(24 * 6), "a week or more");
    scene.world.clock.advance(wait);
    reconcile::look(&app).await.unwrap();
    assert_holds(&scene.opened(restored, mara).await.unwrap(), &scene.mara);
    scene.world.clock.advance(SignedDuration::from_secs(61));
    reconcile::look(&app).await.unwrap();

    assert!(matches!(scene.opened(restored, mara).await, Err(KeyError::Destroyed { .. })));
    assert!(matches!(scene.opened(restored, jonas).await, Err(KeyError::Destroyed { .. })), "with its old key table");
    assert_holds(&scene.opened(&app.store, jonas).await.unwrap(), &scene.jonas);
    let mut copy =
        PgConnection::connect_with(&scene.world.private.connect_options().database("restored")).await.unwrap();
    let newest = "select line_id, key_epoch, wrapped_key from line";
    let newest: Vec<(sqlx::types::Uuid, i64, Vec<u8>)> =
        sqlx::query_as(newest).fetch_all(&mut scene.owner).await.unwrap();
    assert_eq!(newest.len(), 2, "the neighbour's two accounts");
    for (line, epoch, key) in newest {
        let sql = "update line set key_epoch = $2, wrapped_key = $3 where line_id = $1";
        sqlx::query(sql).bind(line).bind(epoch).bind(key).execute(&mut copy).await.unwrap();
    }
    assert_holds(&scene.opened(restored, jonas).await.unwrap(), &scene.jonas);
    let old = "select key_epoch, wrapped_key from line where line_id in
        (select line_id from consent_line where consent_id = $1)";
    let old: Vec<(i64, Vec<u8>)> = sqlx::query_as(old).bind(mara.uuid()).fetch_all(&mut copy).await.unwrap();
    copy.close().await.unwrap();
    old.into_iter().map(|(epoch, bytes)| Wrapped { epoch, bytes }).collect()
}

/// No key that is still held opens a row of the erased lines, nor the wrapped key of one, whatever epoch it is tried with.
async fn nobody_opens(scene: &mut Scene, restored: &Store, mara: ConsentId, wrapped: &[Wrapped]) {
    let (app, tenant) = (scene.world.app.clone(), scene.world.app.tenant.id);
    let mut tx = restored.tenant_tx(tenant).await.unwrap();
    let filter = lines::Filter { consent: Some(mara), ..lines::Filter::default() };
    let mut rows = Vec::new();
    for held in lines::held(&mut tx, scene.world.product, filter).await.unwrap() {
        rows.extend(page(&mut tx, mara, held.line.id).await.into_iter().take(20));
    }
    drop(tx);
    assert!(rows.len() > 20, "{}", rows.len());
    let held = "select key_epoch, wrapped_key from line union all select key_epoch, wrapped_key from bank_grant
        union all select key_epoch, wrapped_key from revocation_capsule union all select key_epoch, wrapped_key
        from evidence_key union all select key_epoch, wrapped_key from secret_key";
    let held: Vec<(Option<i64>, Option<Vec<u8>>)> = sqlx::query_as(held).fetch_all(&mut scene.owner).await.unwrap();
    let held = held.into_iter().filter_map(|(epoch, bytes)| Some(Wrapped { epoch: epoch?, bytes: bytes? }));
    let mut tried = 0;
    for key in held {
        let key = app.vault.open_key(tenant, &key).unwrap();
        assert!(rows.iter().all(|row| matches!(row.open(tenant, &key), Err(StoreError::Corrupt { .. }))));
        tried += 1;
    }
    assert!(tried >= 6, "keys of two lines, a grant, evidence and the tenant: {tried}");
    assert_eq!(wrapped.len(), 3);
    for state in app.vault.epochs(tenant).unwrap() {
        for key in wrapped {
            let under = Wrapped { epoch: state.epoch(), bytes: key.bytes.clone() };
            assert!(app.vault.open_key(tenant, &under).is_err(), "{state:?}");
        }
    }
}

/// The neighbour leaves too, without a node. Gives his evidence.
async fn leave(scene: &Scene, consent: ConsentId) -> String {
    let (app, tenant) = (&scene.world.app, scene.world.app.tenant.id);
    moves::revoke(app, tenant, consent, RevokedBy::Psu, "psu").await.unwrap();
    let mut tx = app.store.tenant_tx(tenant).await.unwrap();
    let (capsule, _) = capsules::open(&mut tx, 1).await.unwrap().pop().unwrap();
    drop(tx);
    assert_eq!(revocation::run(app, tenant, capsule).await.unwrap(), fetch::Verdict::Done);
    deletion::run(app, tenant, scene.deletion(consent).await.id).await.unwrap();
    scene.bundle(consent).await
}

async fn receipts_cannot_be_altered(scene: &Scene, mara: ConsentId, others: &[String; 2]) {
    let (bundle, keys) = (scene.bundle(mara).await, scene.keys());
    let report = evidence::verify(&bundle, &keys, None).unwrap();
    let [receipt] = report.receipts().try_into().unwrap();
    assert_eq!((receipt.consent, receipt.scope, receipt.accounts.len()), (mara, Scope::Consent, 3));
    assert!(report.is_unreadable_everywhere(&receipt), "{report}");
    let page = report.to_string();
    assert!(page.contains("the keys that could open old copies are destroyed"), "{page}");
    assert!(page.contains("confirmed the end of the consent"), "{page}");

    let alone = String::from_utf8(scene.deletion(mara).await.receipt.unwrap()).unwrap();
    let opened = evidence::verify_receipt(&alone, &keys).unwrap();
    assert_eq!(opened.statement.body::<Receipt>().unwrap().unwrap(), receipt);

    let foreign = [scene.foreign_key()];
    assert_eq!(evidence::verify(&bundle, &foreign, None).unwrap_err().check, Check::Key);
    assert_eq!(evidence::verify_receipt(&alone, &foreign).unwrap_err().check, Check::Key);
    assert!(evidence::verify(&bundle, &[], None).is_err() && evidence::verify_receipt(&alone, &[]).is_err());

    let altered = changes(&alone, 1).iter().filter(|text| evidence::verify_receipt(text, &keys).is_ok()).count();
    assert_eq!(altered, 0, "of the receipt");
    let altered = changes(&bundle, 199).iter().filter(|text| evidence::verify(text, &keys, None).is_ok()).count();
    assert_eq!(altered, 0, "of the bundle");
    splices_are_refused(&bundle, others, &keys);
}

/// A text with one byte changed, dropped or doubled, at every `step`-th place.
fn changes(text: &str, step: usize) -> Vec<String> {
    let mut changed = Vec::new();
    for at in (0..text.len()).step_by(step) {
        let (before, after) = (&text.as_bytes()[..at], &text.as_bytes()[at..]);
        for bytes in [
            [before, &[after[0] ^ 1], &after[1..]].concat(),
            [before, &after[1..]].concat(),
            [before, &after[..1], after].concat(),
        ] {
            // Bytes that are no text cannot be a file of ours in the first place.
            changed.extend(String::from_utf8(bytes));
        }
    }
    assert!(changed.len() > 500, "{} changes", changed.len());
    changed
}

/// Parts of another consent's evidence, and of an earlier file of the same.
fn splices_are_refused(ours: &str, [earlier, theirs]: &[String; 2], keys: &[VerifierKey]) {
    let read = |text: &str| serde_json::from_str::<Bundle>(text).unwrap();
    let (ours, earlier, theirs) = (read(ours), read(earlier), read(theirs));
    let verdict = |bundle: &Bundle| evidence::verify(&bundle.to_canonical().unwrap(), keys, None);
    assert!(verdict(&ours).is_ok() && verdict(&earlier).is_ok() && verdict(&theirs).is_ok());
    let receipt = |bundle: &Bundle| {
        let shown = |content: &Content| matches!(content, Content::Shown { statement, .. } if statement.contains("\"deletion.receipt\""));
        bundle.entries.iter().position(|item| shown(&item.content)).unwrap()
    };
    let (here, there) = (receipt(&ours), receipt(&theirs));
    let refused = |what: &str, change: &dyn Fn(&mut Bundle)| {
        let mut bundle = ours.clone();
        change(&mut bundle);
        let Err(Refusal { place, check }) = verdict(&bundle) else { panic!("{what} was accepted") };
        assert_ne!(check, Check::Form, "{what}: refused at {place} for its form, which says nothing");
    };
    refused("another consent's receipt", &|bundle| bundle.entries[here] = theirs.entries[there].clone());
    refused("its content", &|bundle| bundle.entries[here].content = theirs.entries[there].content.clone());
    refused("its proof", &|bundle| bundle.entries[here].proof = theirs.entries[there].proof.clone());
    refused("another entry's proof", &|bundle| bundle.entries[here].proof = ours.entries[0].proof.clone());
    refused("another consent's name", &|bundle| bundle.consent = theirs.consent);
    refused("another consent's life", &|bundle| bundle.entries.clone_from(&theirs.entries));
    refused("no receipt", &|bundle| drop(bundle.entries.remove(here)));
    refused("another checkpoint", &|bundle| {
        bundle.checkpoint.clone_from(&earlier.checkpoint);
        bundle.earlier.clear();
    });
    refused("an earlier proof", &|bundle| bundle.entries[here].proof = earlier.entries[here].proof.clone());
    refused("a receipt for an epoch", &|bundle| bundle.epochs = vec![theirs.entries[there].clone()]);
}

#[tokio::test]
async fn one_account_goes_and_the_others_stay() {
    let mut scene = Scene::new().await;
    let (app, tenant) = (scene.world.app.clone(), scene.world.app.tenant.id);
    let consent = scene.world.connect(CUSTOMER).await;
    let about = scene.world.about(consent);
    fetch::run(&app, about).await.unwrap();
    assert_holds(&scene.opened(&app.store, consent).await.unwrap(), &scene.mara);
    let all = scene.lines(consent).await;
    let going = planted(&scene, consent).await;
    let staying =
        rows(&scene, consent).await.into_iter().filter(|(line, _)| *line != going).collect::<BTreeMap<_, _>>();
    assert_eq!((all.len(), staying.len()), (3, 2));

    let told = scene.world.bank.requests().len();
    let deletion = deletion::remove_account(&app, tenant, consent, going, "psu").await.unwrap();
    let read = scene.opened(&app.store, consent).await.unwrap();
    assert!(!read.contains(MARA.remittance), "nothing is read from the moment of the removal on");
    deletion::run(&app, tenant, deletion.id).await.unwrap();
    assert_eq!(scene.left(&[going], &[]).await, BTreeMap::new());
    assert_eq!(rows(&scene, consent).await, staying, "the other accounts are as they were");
    let requests = scene.world.bank.requests().split_off(told);
    assert!(requests.is_empty(), "the grant goes on, the bank is not told: {requests:?}");

    let report = evidence::verify(&scene.bundle(consent).await, &scene.keys(), None).unwrap();
    let [receipt] = report.receipts().try_into().unwrap();
    assert_eq!((receipt.scope, receipt.kept_accounts.len()), (Scope::Account, 0));
    assert_eq!(receipt.accounts.iter().map(|erased| erased.account).collect::<Vec<_>>(), [going]);
    assert!(report.to_string().contains("one account of the consent"), "{report}");

    scene.world.clock.advance(SignedDuration::from_hours(24));
    let verdict = fetch::run(&app, about).await.unwrap();
    assert!(matches!(verdict, fetch::Verdict::Next(_)), "{verdict:?}");
    let after = rows(&scene, consent).await;
    assert_eq!(after.keys().collect::<Vec<_>>(), staying.keys().collect::<Vec<_>>(), "it does not come back");
    let read = scene.opened(&app.store, consent).await.unwrap();
    assert!(!read.contains(MARA.remittance) && read.contains(MARA.owner));

    moves::revoke(&app, tenant, consent, RevokedBy::Psu, "psu").await.unwrap();
    deletion::run(&app, tenant, scene.deletion(consent).await.id).await.unwrap();
    assert_eq!(scene.left(&all, &[Subject::Consent(consent)]).await, BTreeMap::new());
    let report = evidence::verify(&scene.bundle(consent).await, &scene.keys(), None).unwrap();
    let scopes: Vec<_> = report.receipts().iter().map(|receipt| (receipt.scope, receipt.accounts.len())).collect();
    assert_eq!(scopes, [(Scope::Account, 1), (Scope::Consent, 2)]);
    scene.end().await;
}

/// The line with the canaries.
async fn planted(scene: &Scene, consent: ConsentId) -> LineId {
    let (app, tenant) = (&scene.world.app, scene.world.app.tenant.id);
    let mut tx = app.store.tenant_tx(tenant).await.unwrap();
    let filter = lines::Filter { consent: Some(consent), ..lines::Filter::default() };
    let held = lines::held(&mut tx, scene.world.product, filter).await.unwrap();
    let is_planted = |held: &&lines::Held| {
        let key = app.vault.open_key(tenant, &held.line.key).unwrap();
        held.line.details(tenant, &key).unwrap().iban == Some(iban(MARA.numbers[0]))
    };
    held.iter().find(is_planted).unwrap().line.id
}

/// How many rows each line of a consent has for a reader.
async fn rows(scene: &Scene, consent: ConsentId) -> BTreeMap<LineId, usize> {
    let mut tx = scene.world.app.store.tenant_tx(scene.world.app.tenant.id).await.unwrap();
    let filter = lines::Filter { consent: Some(consent), ..lines::Filter::default() };
    let mut rows = BTreeMap::new();
    for held in lines::held(&mut tx, scene.world.product, filter).await.unwrap() {
        rows.insert(held.line.id, page(&mut tx, consent, held.line.id).await.len());
    }
    rows
}
