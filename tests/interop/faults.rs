//! One planted fault for each negative case of the conformance suite's client modules that our profiles meet, and for each
//! way in which a network lies: the reason is right, and the proxy sees silence afterwards.

use std::fmt::Write as _;
use std::thread;

use fapi::profile::KeyEncryption;

use crate::certificates::{self, Pair};
use crate::combination::{Combination, bound_to_keys, elsewhere, fapi1, fapi2, message_signing, registering};
use crate::planted::{self, Good, Row};
use crate::probe;
use crate::provider::{self, Front};
use crate::proxy::{Fault, Proxy};

/// What is tried with one way of logging in.
struct Table {
    /// What the server is set up for.
    server: Combination,
    /// What the probe is set up for, where that is more.
    ours: Combination,
    bad: &'static [Row],
    good: &'static [Good],
    /// For the probe.
    arguments: &'static [&'static str],
}

impl Table {
    fn new(combination: Combination, bad: &'static [Row], good: &'static [Good]) -> Self {
        Self { server: combination.clone(), ours: combination, bad, good, arguments: &[] }
    }
}

fn tables() -> Vec<Table> {
    let plain = || named(fapi2(), "ES256, rotation");
    let hybrid = || named(fapi1(), "fragment, ES256");
    let proved = named(bound_to_keys(), "private_key_jwt, DPoP with nonces");
    let wrapped = Combination { encryption: Some(KeyEncryption::RsaOaep), ..hybrid() };
    vec![
        Table { arguments: &["--timeout", "5"], ..Table::new(plain(), planted::SLOW, &[]) },
        Table::new(plain(), planted::PLAIN, planted::ODD),
        Table::new(hybrid(), planted::HYBRID, &[]),
        Table::new(plain(), planted::NETWORK, &[]),
        Table::new(named(elsewhere(), "poll, private_key_jwt"), planted::ELSEWHERE, planted::ODD_ELSEWHERE),
        Table::new(named(registering(), "FAPI 2"), planted::REGISTERING, &[]),
        Table::new(named(message_signing(), "private_key_jwt, ES256"), planted::SIGNED, &[]),
        Table { ours: wrapped, ..Table::new(hybrid(), planted::WRAPPED, planted::ODD_WRAPPED) },
        Table::new(named(fapi1(), "UK intent"), planted::INTENT, &[]),
        Table::new(named(fapi2(), "RAR"), planted::DETAILS, &[]),
        Table::new(proved, planted::PROVED, planted::ODD_PROVED),
    ]
}

fn named(all: Vec<Combination>, name: &str) -> Combination {
    all.into_iter().find(|combination| combination.name.contains(name)).expect("a combination of this name")
}

/// What came of a table.
#[derive(Default)]
struct Found {
    printed: String,
    failures: Vec<String>,
    rows: usize,
}

impl Found {
    fn line(&mut self, requirement: &str, says: &str) {
        self.rows += 1;
        writeln!(self.printed, "{requirement:<38} {says}").expect("a text grows");
    }
}

/// Show 2: the table of planted faults. Each table has a server and a proxy of its own, and a thread.
#[test]
fn every_planted_fault_is_refused_for_the_right_reason_and_nothing_follows() {
    let tables = tables();
    let found: Vec<Found> = thread::scope(|scope| {
        let running: Vec<_> = tables.iter().map(|table| scope.spawn(|| attempt(table))).collect();
        running.into_iter().map(|table| table.join().expect("a table")).collect()
    });
    let (rows, mut failures) = (found.iter().map(|found| found.rows).sum::<usize>(), Vec::new());
    for found in found {
        println!("{}", found.printed);
        failures.extend(found.failures);
    }
    println!("{rows} rows, {} wrong", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn attempt(table: &Table) -> Found {
    let proxy = Proxy::start("localhost", &certificates::ours());
    let front = Front { issuer: &proxy.front, aliased: &proxy.aliased };
    let provider = provider::start(&table.server, Some(&front));
    proxy.stand_before(provider.port);
    let resource = provider.resource(&table.server);
    let probe = |fault| {
        proxy.plant(fault);
        probe::run_with(&table.ours, &proxy.front, resource.as_deref(), table.arguments)
    };
    let mut found = Found::default();
    let twin = probe(Fault::Nothing);
    assert!(twin.ok, "{} without a fault: {twin:#?}\n{}", table.server.name, provider.said());
    found.line(table.server.name, &format!("without a fault: {}", twin.summary()));
    for (requirement, fault, reason) in table.bad {
        let outcome = probe(*fault);
        let (planted, afterwards) = proxy.afterwards();
        found.line(requirement, &outcome.summary());
        if outcome.reason.as_deref() != Some(*reason) || !planted || !afterwards.is_empty() {
            let what = format!("{requirement}: not {reason}; planted {planted}, then {afterwards:?}\n{outcome:#?}");
            found.failures.push(what);
        }
    }
    for (requirement, fault) in table.good {
        let outcome = probe(*fault);
        found.line(requirement, &outcome.summary());
        if !outcome.ok || proxy.afterwards().0 == matches!(fault, Fault::Nothing) {
            found.failures.push(format!("{requirement}: not accepted, or not planted\n{outcome:#?}"));
        }
    }
    found
}

/// TLS before anything else: a server of another authority, one under another name, and one whose time is over.
#[test]
fn a_server_that_cannot_prove_its_name_is_not_spoken_to() {
    let other = tempfile::tempdir().expect("a folder");
    certificates::make(other.path());
    let combination = named(fapi2(), "ES256, rotation");
    let expired = certificates::expired();
    for (host, pair, ca, reason) in [
        ("localhost", Pair::read(&other.path().join("certs")), None, "tls.certificate.untrusted"),
        ("127.0.0.2", certificates::ours(), None, "tls.certificate.mismatch"),
        ("localhost", expired.pair, Some(expired.ca.as_str()), "tls.certificate.expired"),
    ] {
        let proxy = Proxy::start(host, &pair);
        let outcome = probe::run_trusting(&combination, &proxy.front, ca);
        assert_eq!(outcome.reason.as_deref(), Some(reason), "{outcome:#?}");
        assert_eq!(outcome.stage, "discovery");
    }
}
