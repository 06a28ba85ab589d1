//! PyPI `schemathesis` asks everything that the OpenAPI document promises, with a real key in a world with data: nothing
//! fails on our side, and no answer is other than the document says, in status, media type, headers and shape.

use std::fs;

use std::process::Stdio;

use domain::ids::ConsentId;
use secrecy::ExposeSecret as _;
use serde_json::json;
use server::services::fetch;
use tests::site::{Caller, Site};
use tests::world::{BANK, CUSTOMER, NEIGHBOUR, World};
use tokio::process::Command;

use crate::clients::PACKAGES;

/// Requests of each operation that come out of chance.
const EXAMPLES: u32 = 10;
/// What is asked of every answer. What only says whether a value should have been refused stays out: a search text that
/// finds nothing is no error.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,ignored_auth";

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_the_document_says() {
    let world = World::start().await;
    // First without the background work, which would fetch as well.
    let site = Site::start(world.app.clone()).await;
    let known = seeded(&world, &site.caller(&world, Some(&world.api_key))).await;
    site.end().await;
    let running = server::start(world.app.clone()).await.expect("a server");
    let base = format!("http://{}", running.address);
    let settings = world.dir.path().join("schemathesis.toml");
    fs::write(&settings, config(&known)).expect("settings");
    let report = Command::new("python3")
        .args(["-m", "schemathesis.cli", "--no-color", "--config-file"])
        .arg(&settings)
        .args(["run", "--phases", "examples,coverage,fuzzing", "--generation-deterministic"])
        .args(["--continue-on-failure", "--checks", CHECKS])
        // A machine may be busy; nothing is measured here.
        .args(["--request-timeout", "120", "--suppress-health-check", "all"])
        .args(["--max-examples", &EXAMPLES.to_string(), &format!("{base}/openapi.json")])
        .env("PYTHONPATH", PACKAGES.as_path())
        .env("TRIBUTARY_KEY", world.api_key.expose_secret())
        .current_dir(world.dir.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("Python");
    let said = String::from_utf8_lossy(&report.stdout);
    assert!(report.status.success(), "{said}\n{}", String::from_utf8_lossy(&report.stderr));
    // It looked at the whole of the document, and found what was planted.
    println!("{said}");
    running.shutdown().await;
    world.end().await;
}

/// Things that are there: where their ids stand (method, begin of the path, parameter), and the ids.
type Known = Vec<([&'static str; 3], Vec<String>)>;

/// Puts something of every kind into the world.
async fn seeded(world: &World, product: &Caller) -> Known {
    let made = |answer: &tests::site::Answer| {
        assert!(answer.status.is_success(), "{}", answer.text());
        answer.json()["id"].as_str().expect("an id").to_owned()
    };
    let mut consents = Vec::new();
    for (person, customer) in [("user-1", CUSTOMER), ("user-2", NEIGHBOUR)] {
        let ask = json!({ "psu_ref": person, "institution_id": BANK, "purposes": ["budgeting"] });
        let consent: ConsentId = made(&product.post("/v1/consents", &ask).await).parse().expect("an id");
        world.authorise(consent, customer).await;
        fetch::run(&world.app, world.about(consent)).await.expect("a fetch");
        consents.push(consent.to_string());
    }
    let accounts = product.get("/v1/accounts").await.json();
    let accounts = accounts["data"].as_array().expect("accounts").iter().filter_map(|one| one["id"].as_str());
    let accounts: Vec<String> = accounts.map(str::to_owned).collect();
    // What is only there to be ended.
    let ask = json!({ "psu_ref": "user-3", "institution_id": BANK, "purposes": ["budgeting"] });
    let spare = made(&product.post("/v1/consents", &ask).await);
    // Nobody listens there, and that is an answer as well.
    let hook = json!({ "url": "http://127.0.0.1:9/", "types": ["consent.*"] });
    let hooks = [(); 2].map(|()| product.post("/v1/webhook-endpoints", &hook));
    let [hook, spare_hook] = hooks;
    let (hook, spare_hook) = (made(&hook.await), made(&spare_hook.await));
    let key = made(&product.post("/v1/keys", &json!({ "scopes": ["data"] })).await);
    let all = "GET|POST|PUT|PATCH";
    vec![
        ([all, "consents", "id"], consents.clone()),
        ([all, "evidence/consents", "id"], consents),
        ([all, "accounts", "id"], accounts),
        ([all, "webhook-endpoints", "id"], vec![hook]),
        ([all, "institutions", "id"], vec![BANK.to_owned()]),
        ([all, "psus", "ref"], vec!["user-2".to_owned()]),
        (["DELETE", "consents", "id"], vec![spare]),
        (["DELETE", "keys", "id"], vec![key]),
        (["DELETE", "webhook-endpoints", "id"], vec![spare_hook]),
        (["DELETE", "psus", "ref"], vec!["user-3".to_owned()]),
    ]
}

/// The key, and in half of the requests something that is there.
fn config(known: &Known) -> String {
    // A stream has no end that a tester could wait for.
    let endless = "[[operations]]\ninclude-path = \"/v1/events/stream\"\nenabled = false\n";
    let mut text = format!("[auth.openapi.key]\nbearer = \"${{TRIBUTARY_KEY}}\"\n{endless}");
    for (number, (_, ids)) in known.iter().enumerate() {
        text.push_str(&format!("[dictionaries.known{number}]\nvalues = {}\n", json!(ids)));
    }
    for (number, ([methods, path, parameter], _)) in known.iter().enumerate() {
        text.push_str(&format!(
            "[[operations]]\ninclude-path-regex = \"^/v1/{path}/\"\ninclude-method-regex = \"{methods}\"\n\
             parameters = {{ \"path.{parameter}\" = {{ dictionary = \"known{number}\", probability = 0.5 }} }}\n"
        ));
    }
    text
}
