//! Clients that others' generators make of our OpenAPI document, in Python (PyPI `openapi-python-client`) and in TypeScript (npm
//! `openapi-typescript` with `openapi-fetch`, checked by the compiler), run the examples of the guide: from a consent to a receipt.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use domain::ids::ConsentId;
use secrecy::ExposeSecret as _;
use tests::site::Caller;
use tests::world::{BANK, CUSTOMER, NEIGHBOUR, World};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::clients::PACKAGES;
use crate::provider;

/// The examples of the guide.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/server/api/examples");

/// Runs a program in a folder to its end, which has to be a good one.
async fn run(program: &str, arguments: &[&str], folder: &Path) {
    let command =
        Command::new(program).args(arguments).current_dir(folder).env("PYTHONPATH", PACKAGES.as_path()).output();
    let ended = command.await.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(ended.status.success(), "{program} {arguments:?}: {said}");
}

/// Starts an example, plays the person who follows the link, and gives what it said.
async fn example(world: &World, base: &str, program: &str, script: &str, customer: (&str, &str)) -> Vec<String> {
    let product = Caller::new(world, base, Some(&world.api_key));
    let mut example = Command::new(program)
        .arg(script)
        .current_dir(world.dir.path())
        .env("PYTHONPATH", PACKAGES.as_path())
        .env("TRIBUTARY_URL", base)
        .env("TRIBUTARY_KEY", world.api_key.expose_secret())
        .env("TRIBUTARY_PURPOSE", "budgeting")
        .env("TRIBUTARY_BANK", BANK)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut lines = BufReader::new(example.stdout.take().expect("its output")).lines();
    let link = lines.next_line().await.expect("text").expect("a link; what it says stands above");
    assert!(link.starts_with("link http") && link.contains("/link/"), "{link}");
    let asked = product.get("/v1/consents").await.json();
    let waits = asked["data"].as_array().expect("consents").iter().find(|consent| consent["state"] == "initiated");
    let consent: ConsentId = waits.and_then(|consent| consent["id"].as_str()).expect("an id").parse().expect("an id");
    world.authorise(consent, customer).await;
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await.expect("text") {
        said.push(line);
    }
    assert!(example.wait().await.expect("an end").success(), "{said:#?}");
    said
}

/// The receipt that an example kept holds, and says what is over.
fn check(folder: &Path, said: &[String]) {
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect(name);
    let keys = evidence::VerifierKey::read_all(&read("keys.txt")).expect("keys");
    let report = evidence::verify(&read("receipt.json"), &keys, None).expect("a receipt that holds");
    assert!(!report.lines.is_empty());
    for begins in ["account ", "transaction ", "stopped ", "proof "] {
        assert!(said.iter().any(|line| line.starts_with(begins)), "{begins}: {said:#?}");
    }
    for name in ["keys.txt", "receipt.json"] {
        fs::remove_file(folder.join(name)).expect(name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_clients_go_from_a_consent_to_a_receipt() {
    let world = World::start().await;
    let running = server::start(world.app.clone()).await.expect("a server");
    let base = format!("http://{}", running.address);
    let folder = world.dir.path();
    let document = Caller::new(&world, &base, None).get("/openapi.json").await;
    fs::write(folder.join("openapi.json"), document.text()).expect("the document");
    let examples = Path::new(EXAMPLES);
    let copy = |name: &str| fs::copy(examples.join(name), folder.join(name)).expect(name);

    let generate = ["-m", "openapi_python_client", "generate", "--path", "openapi.json", "--meta", "none"];
    run("python3", &[&generate[..], &["--output-path", "tributary_client"]].concat(), folder).await;
    copy("first_product.py");
    let said = example(&world, &base, "python3", "first_product.py", CUSTOMER).await;
    check(folder, &said);

    let modules = provider::modules().join("node_modules");
    std::os::unix::fs::symlink(&modules, folder.join("node_modules")).expect("a link");
    let program = |path: &str| modules.join(path).to_str().map(str::to_owned).expect("a path in Unicode");
    let types = ["openapi.json", "--output", "tributary.d.ts"];
    run("node", &[&[program("openapi-typescript/bin/cli.js").as_str()], &types[..]].concat(), folder).await;
    copy("first_product.mts");
    let compile = ["--strict", "--module", "nodenext", "first_product.mts"];
    run("node", &[&[program("typescript/bin/tsc").as_str()], &compile[..]].concat(), folder).await;
    let said = example(&world, &base, "node", "first_product.mjs", NEIGHBOUR).await;
    check(folder, &said);
    running.shutdown().await;
    world.end().await;
}
