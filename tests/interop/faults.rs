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
    let signed = || named(message_signing(), "private_key_jwt, ES256");
    let wrapped = |base| Combination { encryption: Some(KeyEncryption::RsaOaep), ..base };
    let without_id_token = Combination { scope: "accounts", ..plain() };
    vec![
        Table { arguments: &["--timeout", "5"], ..Table::new(plain(), planted::SLOW, &[]) },
        Table::new(plain(), planted::PLAIN, planted::ODD),
        Table::new(hybrid(), planted::HYBRID, planted::ODD_HYBRID),
        Table::new(without_id_token, &[], planted::ODD_WITHOUT_ID_TOKEN),
        Table::new(plain(), planted::NETWORK, &[]),
        Table::new(named(elsewhere(), "poll, private_key_jwt"), planted::ELSEWHERE, planted::ODD_ELSEWHERE),
        Table::new(named(registering(), "FAPI 2"), planted::REGISTERING, &[]),
        Table::new(signed(), planted::SIGNED, planted::ODD_SIGNED),
        Table {
            ours: wrapped(signed()),
            ..Table::new(signed(), planted::WRAPPED_RESPONSE, planted::ODD_WRAPPED_RESPONSE)
        },
        Table { ours: wrapped(hybrid()), ..Table::new(hybrid(), planted::WRAPPED, planted::ODD_WRAPPED) },
        Table::new(named(fapi1(), "UK intent"), planted::INTENT, &[]),
        Table::new(named(fapi2(), "RAR"), planted::DETAILS, &[]),
        Table::new(proved, planted::PROVED, planted::ODD_PROVED),
    ]
}

fn named(all: Vec<Combination>, name: &str) -> Combination {
    all.into_iter().find(|combination| combination.name.contains(name)).expect("a combination of this name")
}

/// The negative cases of the suite's client modules that our profiles meet: by prefix.
const NEGATIVE: [(&str, &[u8]); 9] = [
    ("R-DISC", &[1, 4]),
    ("R-AR", &[2, 3, 4, 5, 7]),
    ("R-JARM", &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ("R-TRS", &[5]),
    ("R-IDT", &[1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 20, 21, 22]),
    ("R-ALG", &[1]),
    ("R-ERR", &[1, 3]),
    ("R-PAR", &[11]),
    ("R-CIBA", &[10, 11, 12]),
];

/// No case is without a row.
fn every_case_is_met(tables: &[Table]) {
    let rows: Vec<&str> = tables.iter().flat_map(|table| table.bad).map(|(requirement, ..)| *requirement).collect();
    for (prefix, numbers) in NEGATIVE {
        for number in numbers {
            let case = format!("{prefix}-{number:02} ");
            assert!(rows.iter().any(|row| row.starts_with(&case)), "{case}has no row");
        }
    }
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
    every_case_is_met(&tables);
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

/// What a verdict still needs after the fault: the keys, where something is signed and they were not there yet, and again
/// where none of them fits. After the verdict there is nothing, not even metadata or keys.
fn before_the_verdict(table: &Table, fault: &Fault, reason: &str) -> Vec<&'static str> {
    let signed = table.ours.security.response.is_signed() && table.ours.elsewhere.is_none();
    let fetched = match fault {
        Fault::IdToken(_) => !signed,
        Fault::Callback(_) | Fault::Jarm(_) | Fault::Front(_) | Fault::Wrap(_) => signed,
        Fault::Nothing | Fault::Metadata(_) | Fault::Jwks(_) | Fault::StaleKeys | Fault::Par(_) | Fault::Token(_) => {
            false
        }
        Fault::OddRefreshToken | Fault::Once(..) | Fault::Answer(..) => false,
    };
    vec!["GET /jwks"; usize::from(fetched) + usize::from(reason.ends_with(".kid.untrusted"))]
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
    // Without the fault the same login passes: at first, and again after each fault, which left nothing behind.
    let twin = || {
        let twin = probe(Fault::Nothing);
        assert!(twin.ok, "{} without a fault: {twin:#?}\n{}", table.server.name, provider.said());
        twin.summary()
    };
    found.line(table.server.name, &format!("without a fault: {}", twin()));
    for (requirement, fault, reason) in table.bad {
        let outcome = probe(*fault);
        let (planted, afterwards) = proxy.afterwards();
        if outcome.reason.as_deref() != Some(*reason)
            || !planted
            || afterwards != before_the_verdict(table, fault, reason)
        {
            let what = format!("{requirement}: not {reason}; planted {planted}, then {afterwards:?}\n{outcome:#?}");
            found.failures.push(what);
        }
        found.line(requirement, &format!("{:<72} twin {}", outcome.summary(), twin()));
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

/// A run of the suite ends with the resource call, and whatever comes later fails it: `--stop-at-resource` leaves it at
/// that, where a probe would go on.
#[test]
fn nothing_is_asked_for_once_the_resource_was_read() {
    let combination = named(fapi2(), "ES256, rotation");
    let proxy = Proxy::start("localhost", &certificates::ours());
    let provider = provider::start(&combination, Some(&Front { issuer: &proxy.front, aliased: &proxy.aliased }));
    proxy.stand_before(provider.port);
    let resource = provider.resource(&combination);
    for (arguments, last, then) in
        [(&["--stop-at-resource"][..], "resource", &[][..]), (&[], "refresh", &["POST /token", "POST /token"])]
    {
        proxy.plant(Fault::Answer("/me", |_| {}));
        let outcome = probe::run_with(&combination, &proxy.front, resource.as_deref(), arguments);
        assert!(outcome.ok && outcome.stage == last, "{outcome:#?}");
        let (read, afterwards) = proxy.afterwards();
        assert!(read && afterwards == then, "{afterwards:?}");
    }
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
