//! Epoch keys in a key management service that nobody here wrote: PyPI `moto`, which checks our signatures with AWS's own
//! `botocore` and keeps policies, ciphertexts with their context, and keys that wait for their deletion.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use domain::consent::{DataState, RevokedBy, State};
use domain::ids::DeletionId;
use http::{Request, StatusCode};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use server::config::KeyHolder;
use server::services::consents::revoke;
use server::services::fetch::Verdict;
use server::services::{deletion, fetch};
use server::{App, evidence_log, reconcile};
use tests::site::{Site, connected};
use tests::world::{NEIGHBOUR, World, free_port, stands};
use vault::{EpochState, FileProvider, KeyError};

use crate::clients::PACKAGES;

const REGION: &str = "eu-central-1";
const DAY: i64 = 24 * 60 * 60;
/// What we need, and no more: the guide to operations names the same.
const ACTIONS: [&str; 5] = ["CreateKey", "DescribeKey", "Encrypt", "Decrypt", "ScheduleKeyDeletion"];

/// The service at work. It is ended with the test.
struct Service {
    child: Child,
    url: String,
    credentials: PathBuf,
}

impl Service {
    fn start(world: &World) -> Self {
        let folder = world.dir.path();
        let (certificate, key) = (folder.join("kms.pem"), folder.join("kms.key"));
        fs::write(&certificate, &world.pki.server.certificate_pem).expect("a file");
        fs::write(&key, world.pki.server.key_pem.expose_secret()).expect("a file");
        fs::write(folder.join("kms-ca.pem"), &world.pki.ca_pem).expect("a file");
        let port = free_port().to_string();
        let mut python = Command::new("python3");
        python.args(["-m", "moto.server", "-p", &port, "-c"]).arg(certificate).arg("-k").arg(key);
        python.env("PYTHONPATH", &*PACKAGES).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = python.spawn().expect("Python starts");
        let mut said = BufReader::new(child.stderr.take().expect("its words"));
        let mut line = String::new();
        while !line.contains("Running on") {
            line.clear();
            assert!(said.read_line(&mut line).expect("text") > 0, "the service ended before it served");
        }
        // A pipe that nobody reads would stop it.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self { child, url: format!("https://localhost:{port}/"), credentials: folder.join("credentials") }
    }

    async fn post(&self, world: &World, path: &str, scope: &str, body: String) -> String {
        // The numbers of the stand-in's own interface are no form.
        let form = if path.is_empty() { "application/x-www-form-urlencoded" } else { "text/plain" };
        let who =
            format!("AWS4-HMAC-SHA256 Credential=root/20261122/{scope}/aws4_request, SignedHeaders=host, Signature=0");
        let request =
            Request::post(format!("{}{path}", self.url)).header("content-type", form).header("authorization", who);
        let answer = world.sender(None).send(request.body(body.into()).expect("a request")).await.expect("an answer");
        let text = String::from_utf8(answer.body().to_vec()).expect("text");
        assert_eq!(answer.status(), StatusCode::OK, "{text}");
        text
    }

    /// How many further requests are let in without a signature: 0 to check everything from now on.
    async fn unchecked(&self, world: &World, requests: &str) {
        self.post(world, "moto-api/reset-auth", "us-east-1/iam", requests.to_owned()).await;
    }

    async fn iam(&self, world: &World, form: &str) -> String {
        self.post(world, "", "us-east-1/iam", format!("Version=2010-05-08&UserName=tributary&{form}")).await
    }

    /// What our user may do from now on.
    async fn allow(&self, world: &World, actions: &[&str]) {
        self.unchecked(world, "1").await;
        let actions: Vec<String> = actions.iter().map(|action| format!("kms:{action}")).collect();
        let statement = serde_json::json!([{ "Effect": "Allow", "Action": actions, "Resource": "*" }]);
        let policy = serde_json::json!({ "Version": "2012-10-17", "Statement": statement }).to_string();
        let policy: String = url::form_urlencoded::byte_serialize(policy.as_bytes()).collect();
        self.iam(world, &format!("Action=PutUserPolicy&PolicyName=keys&PolicyDocument={policy}")).await;
    }

    /// Makes our user and puts their key where our settings look for it.
    async fn register(&self, world: &World) {
        self.unchecked(world, "2").await;
        self.iam(world, "Action=CreateUser").await;
        let made = self.iam(world, "Action=CreateAccessKey").await;
        let part = |name: &str| {
            let rest = made.split_once(&format!("<{name}>")).expect("a key").1;
            rest.split_once('<').expect("a key").0.to_owned()
        };
        self.write(&part("AccessKeyId"), &part("SecretAccessKey"));
        self.allow(world, &ACTIONS).await;
    }

    fn write(&self, id: &str, secret: &str) {
        let text = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        fs::write(&self.credentials, text).expect("a file");
    }

    /// A node of this world that keeps its keys there.
    fn node(&self, world: &World, endpoint: &str) -> Arc<App> {
        let mut config = world.app.config.clone();
        config.keys.provider = KeyHolder::Kms;
        config.keys.kms.region = REGION.to_owned();
        config.keys.kms.endpoint = endpoint.to_owned();
        config.keys.kms.credentials_file = self.credentials.clone();
        config.keys.kms.ca_file = world.dir.path().join("kms-ca.pem");
        let app = App::new(config, world.app.store.clone(), world.clock.clone(), world.app.tenant.clone());
        Arc::new(app.expect("a node"))
    }

    /// What the service says of a key, asked without a signature.
    async fn describe(&self, world: &World, key: &str) -> Value {
        self.unchecked(world, "1").await;
        let who = format!(
            "AWS4-HMAC-SHA256 Credential=root/20261122/{REGION}/kms/aws4_request, SignedHeaders=host, Signature=0"
        );
        let request =
            Request::post(&self.url).header("authorization", who).header("x-amz-target", "TrentService.DescribeKey");
        let body = Bytes::from(serde_json::json!({ "KeyId": key }).to_string());
        let request = request.header("content-type", "application/x-amz-json-1.1").body(body).expect("a request");
        let answer = world.sender(None).send(request).await.expect("an answer");
        let answer: Value = serde_json::from_slice(answer.body()).expect("JSON");
        answer["KeyMetadata"].clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The name under which the service holds the key of an epoch: the file says it.
fn name_of(world: &World, epoch: i64) -> String {
    let file = world.dir.path().join(format!("keys/{}/epoch_{epoch}.key", world.app.tenant.id));
    let content = fs::read(file).expect("the file of the epoch");
    let length = usize::from(u16::from_be_bytes([content[1], content[2]]));
    String::from_utf8(content[3..3 + length].to_vec()).expect("a name")
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_a_strangers_service_open_what_they_should_and_are_destroyed_when_it_says_so() {
    let mut world = World::start().await;
    let service = Service::start(&world);
    service.register(&world).await;
    // From a folder of files to the service: the next epoch is made there, and everything that lives is wrapped under it.
    let early = world.connect(NEIGHBOUR).await;
    world.clock.advance(SignedDuration::from_hours(24));
    world.app = service.node(&world, &service.url);
    reconcile::look(&world.app).await.expect("a look");
    fetch::run(&world.app, world.about(early)).await.expect("what was sealed before is read");

    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product).await;
    let account = product.get("/v1/accounts").await.json()["data"][0]["id"].as_str().expect("an id").to_owned();
    let rows = format!("/v1/accounts/{account}/transactions");
    assert_eq!(product.get(&rows).await.status, StatusCode::OK);
    let (tenant, epoch) = (world.app.tenant.id, world.app.vault.policy().epoch_at(world.app.clock.now()));
    let key = name_of(&world, epoch);
    assert!(key.starts_with(&format!("arn:aws:kms:{REGION}:")), "{key}");
    let place = format!("Tributary: {tenant}/epoch_{epoch}.key");
    assert_eq!(service.describe(&world, &key).await["Description"], place.as_str());
    let again = service.node(&world, &service.url);
    let wrapped = again.vault.new_key(tenant, &again.world()).expect("a key").1;
    assert!(world.app.vault.open_key(tenant, &wrapped).is_ok(), "one node opens what another wrapped");
    let alone = FileProvider::open(world.dir.path().join("keys")).expect("the folder");
    let opened = vault::KeyProvider::unwrap(&alone, tenant, epoch, &wrapped.bytes);
    assert!(matches!(opened, Err(KeyError::Refused { .. })), "the folder alone opens nothing");

    refusals(&world, &service, &wrapped).await;

    // A withdrawal; the key of its time waits for its deletion, and the receipt counts the time.
    revoke(&world.app, tenant, consent, RevokedBy::Psu, "psu").await.expect("an end");
    let mut tx = world.app.store.tenant_tx(tenant).await.expect("a transaction");
    let id: DeletionId = store::deletions::of_consent(&mut tx, consent).await.expect("rows").pop().expect("one").id;
    drop(tx);
    assert_eq!(deletion::run(&world.app, tenant, id).await.expect("an erasure"), Verdict::Done);
    assert_eq!(stands(&world.app, consent).await, (State::Revoked(RevokedBy::Psu), DataState::Erased));
    while evidence_log::sequence(&world.app, tenant).await.expect("the log") > 0 {}
    let bundle = product.get(&format!("/v1/evidence/consents/{consent}")).await.text();
    let keys = evidence::VerifierKey::read_all(&server::verifier_key(&world.app).expect("a key")).expect("keys");
    let report = evidence::verify(&bundle, &keys, None).expect("a bundle that holds");
    let [receipt] = <[_; 1]>::try_from(report.receipts()).expect("one receipt");
    let kept = world.app.vault.policy().kept;
    let promised = Timestamp::from_second((epoch + kept + 1) * DAY + 7 * DAY).expect("a moment");
    assert_eq!(receipt.unreadable_everywhere_after, promised, "with the week in which it could be brought back");

    world.clock.advance(SignedDuration::from_hours(24 * (kept + 1)));
    reconcile::look(&world.app).await.expect("a look");
    assert_eq!(service.describe(&world, &key).await["KeyState"], "PendingDeletion");
    let state = |app: &App| app.vault.epochs(tenant).expect("epochs").into_iter().find(|state| state.epoch() == epoch);
    assert_eq!(state(&world.app), Some(EpochState::Destroying { epoch }), "not told before it is true");
    assert!(matches!(world.app.vault.open_key(tenant, &wrapped), Err(KeyError::Destroyed { .. })));
    assert_eq!(destroyed(&world, &product, consent).await, 0);

    // The week is over and the service has forgotten the key, with everything else that it knew.
    world.clock.advance(SignedDuration::from_hours(1));
    service.post(&world, "moto-api/reset", "us-east-1/iam", String::new()).await;
    service.register(&world).await;
    reconcile::look(&world.app).await.expect("a look");
    assert!(matches!(state(&world.app), Some(EpochState::Destroyed(_))));
    site.end().await;
    world.end().await;
}

/// Addenda that say that an epoch is destroyed.
async fn destroyed(world: &World, product: &tests::site::Caller, consent: domain::ids::ConsentId) -> usize {
    while evidence_log::sequence(&world.app, world.app.tenant.id).await.expect("the log") > 0 {}
    product.get(&format!("/v1/evidence/consents/{consent}")).await.text().matches("epoch.destroyed").count()
}

/// Every way in which the service can say no, or nothing.
async fn refusals(world: &World, service: &Service, wrapped: &vault::Wrapped) {
    let tenant = world.app.tenant.id;
    let refused = |app: &App, reason: &str| match app.vault.open_key(tenant, wrapped) {
        Err(KeyError::Refused { reason: said }) => assert!(said.contains(reason), "{said}"),
        other => panic!("{reason}: {other:?}"),
    };
    // Each with a node of its own, which has nothing left from before.
    service.allow(world, &["CreateKey", "DescribeKey", "Encrypt"]).await;
    refused(&service.node(world, &service.url), "does not let us in");
    service.allow(world, &ACTIONS).await;
    let good = fs::read_to_string(&service.credentials).expect("the credentials");
    let id = good.lines().find_map(|line| line.strip_prefix("aws_access_key_id = ")).expect("an id");
    let node = service.node(world, &service.url);
    service.write(id, "the secret of somebody else");
    refused(&node, "does not let us in");
    service.write("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    refused(&node, "does not let us in");
    fs::remove_file(&service.credentials).expect("the credentials go");
    refused(&node, "no access key can be read");
    fs::write(&service.credentials, good).expect("the credentials come back");
    assert!(node.vault.open_key(tenant, wrapped).is_ok(), "they are read anew: the same node goes on");

    let nowhere = service.node(world, &format!("https://localhost:{}/", free_port()));
    assert!(matches!(nowhere.vault.open_key(tenant, wrapped), Err(KeyError::Unavailable { .. })), "nobody listens");
    // A service that stands still: whoever waits for it keeps no other task of this runtime from its work.
    let stopped = nix::unistd::Pid::from_raw(i32::try_from(service.child.id()).expect("a number"));
    nix::sys::signal::kill(stopped, nix::sys::signal::Signal::SIGSTOP).expect("a signal");
    let node = service.node(world, &service.url);
    let waiting: Vec<_> = (0..16)
        .map(|_| {
            let (node, wrapped) = (node.clone(), wrapped.clone());
            tokio::spawn(async move { node.vault.open_key(tenant, &wrapped) })
        })
        .collect();
    let other = tokio::spawn(async { "not held up" });
    assert_eq!(other.await.expect("a task"), "not held up");
    assert!(waiting.iter().all(|task| !task.is_finished()), "they wait");
    for task in waiting {
        assert!(matches!(task.await.expect("a task"), Err(KeyError::Unavailable { .. })), "given up in time");
    }
    nix::sys::signal::kill(stopped, nix::sys::signal::Signal::SIGCONT).expect("a signal");
    assert!(node.vault.open_key(tenant, wrapped).is_ok(), "it is back");
}
