//! The official clients of GoCardless Bank Account Data go their whole way against our server: PyPI `nordigen` and npm
//! `nordigen-node`, unchanged but for the address. A person follows the link in a browser of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;

use domain::world::Clock as _;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use server::setup;
use tests::browser::Browser;
use tests::world::{CUSTOMER, Options, World, free_port};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::provider;

/// The folder with the installed packages of Python.
pub(crate) static PACKAGES: LazyLock<PathBuf> = LazyLock::new(|| {
    let pinned = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/requirements.txt");
    let there = crate::probe::target_folder().join("interop/python");
    let (noted, wanted) = (there.join("requirements.txt"), fs::read(&pinned).expect("the pinned versions"));
    if fs::read(&noted).ok().as_ref() != Some(&wanted) {
        let mut pip = std::process::Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target"]);
        let pip = pip.arg(&there).arg("--requirement").arg(&pinned).output();
        let pip = pip.expect("this test needs Python 3.9 or later with pip on the path");
        let complaint = String::from_utf8_lossy(&pip.stderr);
        assert!(pip.status.success(), "pip could not install the packages; is a registry in reach?\n{complaint}");
        fs::write(noted, wanted).expect("a note of what is installed");
    }
    there
});

/// A client at work. It is ended with the test.
struct Client {
    name: &'static str,
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Client {
    fn start(name: &'static str, setup: &Value) -> Self {
        let script = |file: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(file);
        let (program, script, modules) = match name {
            "python" => ("python3", script("nordigen.py"), PACKAGES.as_path()),
            _ => ("node", script("nordigen.mjs"), provider::modules()),
        };
        let mut setup = setup.clone();
        setup["modules"] = json!(modules);
        let mut command = Command::new(program);
        command.arg(script).arg(setup.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        let said = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self { name, child, said }
    }

    /// The next thing it says.
    async fn hear(&mut self, what: &str) -> Value {
        let line = self.said.next_line().await.expect("text");
        let line = line.unwrap_or_else(|| panic!("{} ended without {what}; what it says stands above", self.name));
        serde_json::from_str::<Value>(&line).expect("JSON")[what].take()
    }

    /// Lets it go on.
    async fn go_on(&mut self) {
        self.child.stdin.as_mut().expect("its input").write_all(b"\n").await.expect("it listens");
    }
}

/// From the link to the bank and back to the client's address, as a browser goes.
async fn person(link: &str, back: &str) -> String {
    let browser = Browser::start().await;
    browser.open(link).await;
    browser.press("button.primary").await;
    browser.see_heading("What you share from Musterbank").await;
    browser.press("input[name=acknowledged]").await;
    browser.press(".decide button").await;
    browser.see_heading("Sign in").await;
    browser.fill("#username", CUSTOMER.0).await;
    browser.fill("#password", CUSTOMER.1).await;
    browser.press("button[value=sign_in]").await;
    browser.see_heading("Test TPP asks to see your accounts").await;
    browser.press("button[value=approve]").await;
    browser.see("pre").await;
    let address = browser.page().current_url().await.expect("an address").to_string();
    assert!(address.starts_with(back), "{address}");
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_clients_go_their_whole_way_unchanged() {
    let port = free_port();
    let world = World::made(Options { port: Some(port), ..Options::default() }, |_| {}).await;
    let base = format!("http://localhost:{port}");
    let back = format!("{base}/healthz");
    let (product, key) =
        setup::add_product(&world.app, "Pennywise", &["budgeting"], &[&back]).await.expect("a product");
    let running = server::start(world.app.clone()).await.expect("a server");
    let today = world.clock.now().to_zoned(TimeZone::UTC).date();
    let days = [30, 10].map(|days| today.saturating_sub(Span::new().days(days)).to_string());
    for name in ["python", "node"] {
        let setup = json!({
            "base_url": format!("{base}/api/v2"),
            "secret_id": product.uuid(),
            "secret_key": SecretString::expose_secret(&key),
            "redirect": back,
            "from": days[0],
            "until": days[1],
        });
        let mut client = Client::start(name, &setup);
        let link = client.hear("link").await;
        let came = person(link.as_str().expect("a link"), &back).await;
        assert_eq!(came, format!("{back}?ref={name}-1"));
        client.go_on().await;
        let found = client.hear("found").await;
        check_tokens(&found, world.clock.now());
        check_directory(&found);
        check_requisition(&found, &format!("{name}-1"));
        check_accounts(&found, &days);
        check_end(&found);
    }
    running.shutdown().await;
    world.end().await;
}

fn check_tokens(found: &Value, now: Timestamp) {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    assert_eq!(found["no_token"]["status"], 401);
    assert_eq!(found["no_token"]["body"]["summary"], "Authentication failed");
    let token = &found["token"];
    assert_eq!((&token["access_expires"], &token["refresh_expires"]), (&json!(86_400), &json!(2_592_000)));
    for (token, kind, seconds) in [
        (&token["access"], "access", 86_400),
        (&token["refresh"], "refresh", 2_592_000),
        (&found["access"]["access"], "access", 86_400),
    ] {
        let parts: Vec<&str> = token.as_str().expect("text").split('.').collect();
        assert_eq!(parts.len(), 3);
        let claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).expect("base64url")).expect("JSON");
        assert_eq!(claims["token_type"], kind);
        let left = claims["exp"].as_i64().expect("a number") - now.as_second();
        assert!((seconds - 300..=seconds).contains(&left), "{left}");
    }
}

fn check_directory(found: &Value) {
    let bank = &found["institution"];
    for (field, value) in
        [("id", "MUSTERBANK_MUSTDEFF"), ("transaction_total_days", "730"), ("max_access_valid_for_days", "180")]
    {
        assert_eq!(bank[field], value);
    }
    for list in ["everywhere", "institutions"] {
        let banks = found[list].as_array().expect("a bare array");
        assert!(banks.iter().any(|one| one["id"] == bank["id"]) && banks.iter().all(|one| one["logo"].is_string()));
    }
    assert_eq!(found["spare"]["access_scope"], json!(["balances"]));
    assert_eq!((&found["spare"]["max_historical_days"], &found["spare"]["accepted"]), (&json!(30), &Value::Null));
    assert_eq!(found["accept"]["status"], 403);
    assert_eq!(found["accept"]["body"]["summary"], "Insufficient permissions");
    assert_eq!(found["spare_deleted"]["summary"], "End User Agreement deleted");
}

fn check_requisition(found: &Value, reference: &str) {
    let (created, linked) = (&found["created"], &found["linked"]);
    assert_eq!((&created["status"], &created["accounts"]), (&json!("CR"), &json!([])));
    assert_eq!((&linked["status"], &linked["reference"]), (&json!("LN"), &json!(reference)));
    assert_eq!((&created["id"], &created["link"]), (&linked["id"], &linked["link"]));
    assert_eq!(linked["accounts"].as_array().map(Vec::len), Some(3));
    assert_eq!(found["repeated"]["status"], 400);
    assert_eq!(
        found["repeated"]["body"]["reference"]["detail"],
        format!("Client reference: {reference} already exists")
    );
    assert_eq!(
        (&found["requisitions"]["count"], &found["requisitions"]["results"][0]["id"]),
        (&json!(1), &linked["id"])
    );
    assert_eq!(found["agreements"]["count"], 1);
    assert_eq!(found["agreements"]["results"][0]["id"], linked["agreement"]);
    assert!(found["agreements"]["results"][0]["accepted"].is_string());
}

fn check_accounts(found: &Value, days: &[String; 2]) {
    let mut booked = 0;
    for account in found["accounts"].as_array().expect("accounts") {
        let (metadata, details) = (&account["metadata"], &account["details"]["account"]);
        assert_eq!(
            (&metadata["status"], &metadata["institution_id"]),
            (&json!("READY"), &json!("MUSTERBANK_MUSTDEFF"))
        );
        assert_eq!(metadata["iban"], details["iban"]);
        let balances = account["balances"]["balances"].as_array().expect("balances");
        assert!(!balances.is_empty() && balances.iter().all(|one| one["balanceAmount"]["amount"].is_string()));
        let all = &account["transactions"]["transactions"];
        assert!(all["pending"].is_array() && account["transactions"]["last_updated"].is_string());
        let rows = all["booked"].as_array().expect("booked rows");
        booked += rows.len();
        let ids = |rows: &[Value]| rows.iter().map(|row| row["internalTransactionId"].clone()).collect::<Vec<_>>();
        for row in rows.iter().chain(all["pending"].as_array().expect("pending rows")) {
            assert_eq!(row["internalTransactionId"].as_str().map(str::len), Some(32));
            let out = row["transactionAmount"]["amount"].as_str().expect("text").starts_with('-');
            assert!(
                row.get(if out { "debtorName" } else { "creditorName" }).is_none(),
                "the holder is not the other side"
            );
        }
        let within = |row: &&Value| {
            ["bookingDate", "valueDate"]
                .iter()
                .filter_map(|name| row[*name].as_str())
                .any(|day| days[0].as_str() <= day && day <= days[1].as_str())
        };
        let expected: Vec<Value> = rows.iter().filter(within).cloned().collect();
        let window = account["window"]["transactions"]["booked"].as_array().expect("booked rows");
        assert_eq!(ids(window), ids(&expected));
        assert!(account["premium"]["transactions"]["booked"].is_array());
    }
    assert!(booked > 100, "{booked}");
}

fn check_end(found: &Value) {
    let invalid = json!({
        "summary": "Invalid Account ID", "detail": "abcdefg is not a valid Account UUID. ", "status_code": 400,
    });
    assert_eq!(found["nowhere"], json!({ "status": 400, "body": invalid }));
    assert_eq!(found["deleted"]["summary"], "Requisition deleted");
    assert_eq!(found["gone"]["status"], 404);
    let closed = found["closed"]["status"].as_u64().expect("a status");
    assert!([401, 404].contains(&closed), "withdrawn, or erased already: {}", found["closed"]);
}
