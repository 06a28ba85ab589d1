//! A witness that nobody here shares a line with sees the log grow, and refuses one that was made anew.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use server::services::witness;
use server::{App, evidence_log};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use store::cosignatures;
use tests::world::{CUSTOMER, World};

const WITNESS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/verifier/witness.py");

struct Witness {
    process: Child,
    url: String,
    key: String,
}

impl Witness {
    fn start() -> Self {
        let process = Command::new("python3").arg(WITNESS).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = process.expect("python3 is needed: .ci/setup --tests");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut line = || lines.next().expect("the witness says where it is").unwrap();
        Self { url: line(), key: line(), process }
    }

    fn watch(&mut self, log: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{log}").unwrap();
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The same application, with settings that name the witness.
fn with_witness(world: &World, witness: &Witness) -> App {
    let mut config = world.app.config.clone();
    (config.evidence.witness_url, config.evidence.witness_key) = (witness.url.clone(), witness.key.clone());
    App::new(config, world.app.store.clone(), world.clock.clone(), world.app.tenant.clone()).unwrap()
}

async fn place(app: &App) {
    while evidence_log::sequence(app, app.tenant.id).await.unwrap() > 0 {}
}

async fn newest(app: &App) -> cosignatures::Kept {
    let mut tx = app.store.tenant_tx(app.tenant.id).await.unwrap();
    cosignatures::checkpoints(&mut tx, None, true, 1).await.unwrap().pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_signs_what_continues_and_nothing_else() {
    let world = World::start().await;
    let mut witness = Witness::start();
    let app = with_witness(&world, &witness);
    let tenant = app.tenant.id;
    witness.watch(&server::verifier_key(&app).unwrap());
    assert!(!witness::ask(&app, tenant).await.unwrap(), "nothing to see yet");
    let consent = world.connect(CUSTOMER).await;
    place(&app).await;
    assert!(witness::ask(&app, tenant).await.unwrap());
    assert!(!witness::ask(&app, tenant).await.unwrap(), "it has seen that");
    let first = newest(&app).await;

    // The log grows; an answer of the witness's was lost, so that it stands further than we remember.
    world.connect(CUSTOMER).await;
    place(&app).await;
    assert!(witness::ask(&app, tenant).await.unwrap());
    let second = newest(&app).await;
    assert!(second.size > first.size);
    let mut owner = PgConnection::connect_with(&world.private.connect_options()).await.unwrap();
    sqlx::query("delete from cosignature where size > $1").bind(first.size).execute(&mut owner).await.unwrap();
    assert!(witness::ask(&app, tenant).await.unwrap());
    let again = newest(&app).await;
    assert_eq!(again.size, second.size);

    // What it signed is worth more than the operator's word on time.
    let about = world.about(consent);
    let since = u64::try_from(first.size).unwrap();
    let bundle = evidence_log::bundle(&app, about, Some(since)).await.unwrap().unwrap();
    let keys = format!("{}\n{}\n", server::verifier_key(&app).unwrap(), witness.key);
    let keys = evidence::VerifierKey::read_all(&keys).unwrap();
    let report = evidence::verify(&bundle, &keys, Some(&first.note)).unwrap();
    assert_eq!(report.seen.len(), 1, "{report}");
    assert!(report.to_string().contains("The witness witness.example/tests saw the outside checkpoint"), "{report}");

    // The log is set back behind what the witness saw: it is not shown a shorter one, and somebody is told.
    for forget in ["delete from cosignature where size > $1", "delete from checkpoint where size > $1"] {
        sqlx::query(forget).bind(first.size).execute(&mut owner).await.unwrap();
    }
    sqlx::query("delete from cosignature").execute(&mut owner).await.unwrap();
    let refused = witness::ask(&app, tenant).await.unwrap_err().to_string();
    assert!(refused.starts_with(&format!("the witness has seen {} entries", second.size)), "{refused}");
    owner.close().await.unwrap();
    drop(app);
    world.end().await;
}
