//! Our programs against others' that nobody here wrote: `tributary fapi probe` logs in at npm `oidc-provider`, and npm
//! `standardwebhooks` verifies what we send, the clients of GoCardless Bank Account Data read what we serve, and so do clients
//! that others' generators make of our document, and the reader that Apache maintains opens our exports.
//!
//! Needs Node 20 or later with npm, Python 3.9 or later with pip, and registries of packages the first time; the packages
//! are pinned in this folder and installed below the target folder.

mod certificates;
mod clients;
mod combination;
mod document;
mod ecosystems;
mod faults;
mod generated;
mod kms;
mod parquet;
mod planted;
mod probe;
mod provider;
mod proxy;
mod sandbox;
mod staff;
mod webhooks;

use combination::{Combination, combinations};
use probe::Outcome;

/// Show 1: every combination completes, and every step of it passes.
#[test]
fn the_probe_completes_with_every_combination() {
    let mut failures = Vec::new();
    for combination in combinations() {
        let (outcome, said) = attempt(&combination);
        println!("{:<48} {}", combination.name, outcome.summary());
        if let Some(complaint) = complaint(&combination, &outcome, &said) {
            failures.push(format!("{}: {complaint}\n{outcome:#?}\nthe server said:\n{said}", combination.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// How the server's notifications were answered: the first was not its own (R-CIBA-07).
const PINGED: [&str; 2] = [r#"{"ping":401}"#, r#"{"ping":204}"#];

fn attempt(combination: &Combination) -> (Outcome, String) {
    let provider = provider::start(combination, None);
    let outcome = probe::run(combination, &provider.issuer, provider.resource(combination).as_deref());
    (outcome, provider.said())
}

fn complaint(combination: &Combination, outcome: &Outcome, said: &str) -> Option<String> {
    let refreshed = outcome.step("refresh").is_some_and(|step| step.detail == "refreshed twice");
    let identified = outcome.step("id_token").is_some_and(|step| step.detail.starts_with("issued at"));
    let pinged = combination.elsewhere.flatten().is_some();
    let complaints = [
        (!outcome.ok, "the login did not complete"),
        (outcome.step("resource").is_none() && !combination.details, "no resource was read"),
        (!refreshed, "nothing was refreshed"),
        (combination.registers && outcome.step("management").is_none(), "the registration was not given up"),
        (!PINGED.iter().all(|line| said.contains(line)) && pinged, "pings were not told from those of others"),
        (combination.openid() && !identified, "no ID token was checked"),
    ];
    complaints.iter().find(|(holds, _)| *holds).map(|(_, says)| (*says).to_owned())
}
