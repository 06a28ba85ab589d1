//! Two verifiers of one mind: ours and `tests/verifier/verify.py`, which was written in another language from `FORMAT.md`
//! and from nothing else. Whatever they are shown, they give the same verdict by the same check.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::{Rng as _, RngExt as _};
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::witness::witnessed;
use super::*;
use crate::canonical;
use crate::receipt::Kept;
use crate::timestamp::{Authorities, Stamp};

const SECOND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/verifier/verify.py");

/// What both are shown.
struct Case {
    file: Vec<u8>,
    keys: String,
    outside: Option<Vec<u8>>,
    /// Certificates of time-stamp authorities, PEM.
    authority: Option<Vec<u8>>,
}

impl Case {
    fn new(bundle: &Bundle, log: &Log, outside: Option<String>) -> Self {
        let file = bundle.to_canonical().unwrap().into_bytes();
        Self { file, keys: key_file(log), outside: outside.map(String::into_bytes), authority: None }
    }

    /// Our verdict, in the second verifier's words.
    fn ours(&self) -> String {
        let Ok(file) = str::from_utf8(&self.file) else { return "refused: file.form".to_owned() };
        let Ok(outside) = self.outside.as_deref().map(str::from_utf8).transpose() else {
            return "refused: outside.form".to_owned();
        };
        let keys = VerifierKey::read_all(&self.keys).unwrap();
        if file.contains("\n\n") {
            return verify_receipt(file, &keys)
                .map_or_else(refused, |_| "accepted: signed; that it was logged is not shown".to_owned());
        }
        let trusted = self.authority.as_deref().map(|pem| Authorities::from_pem(pem).unwrap());
        let beside = Beside { checkpoint: outside, authorities: trusted.as_ref() };
        verify_with(file, &keys, beside).map_or_else(refused, |report| {
            let seen = report.seen.iter().map(|seen| format!("; {} saw it at {}", seen.witness, seen.at.as_second()));
            let stamped = |(size, stamp): &(u64, Stamp)| {
                format!("the first {size} entries were stamped at {}", stamp.at.as_second())
            };
            let stamped: Vec<String> = report.stamped.iter().map(stamped).collect();
            match report.outside {
                None if !stamped.is_empty() => format!("accepted: {}", stamped.join("; ")),
                None => "accepted: time asserted by the operator".to_owned(),
                Some(size) => {
                    let held = "entries stood in the log when the outside checkpoint was taken";
                    format!("accepted: the first {size} {held}{}", seen.collect::<String>())
                }
            }
        })
    }

    fn line(&self) -> String {
        let base64 = |bytes: &Vec<u8>| STANDARD.encode(bytes);
        let [outside, authority] = [&self.outside, &self.authority].map(|bytes| bytes.as_ref().map(base64));
        json!({"file": base64(&self.file), "keys": self.keys, "checkpoint": outside, "authority": authority})
            .to_string()
    }
}

fn refused(refusal: Refusal) -> String {
    format!("refused: {}", refusal.code())
}

fn key_file(log: &Log) -> String {
    log.keys().iter().map(|key| format!("{key}\n")).collect()
}

/// The second verifier's verdicts.
fn theirs(cases: &[Case]) -> Vec<String> {
    let second = Command::new("python3").args([SECOND, "--batch"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut second = second.expect("python3 is needed: .ci/setup --tests");
    let mut stdin = second.stdin.take().unwrap();
    let said = std::thread::scope(|scope| {
        scope.spawn(move || cases.iter().try_for_each(|case| writeln!(stdin, "{}", case.line())));
        second.wait_with_output().unwrap()
    });
    assert!(said.status.success(), "the second verifier failed; does `python3` have `cryptography`? .ci/setup --tests");
    String::from_utf8(said.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Asks both and gives the verdicts, which are the same.
#[track_caller]
fn both(cases: &[Case]) -> Vec<String> {
    let theirs = theirs(cases);
    assert_eq!(theirs.len(), cases.len());
    for (case, theirs) in cases.iter().zip(&theirs) {
        let shown = String::from_utf8_lossy(&case.file);
        assert_eq!(
            case.ours(),
            *theirs,
            "about {shown}\nwith {:?}",
            case.outside.as_deref().map(String::from_utf8_lossy)
        );
    }
    theirs
}

#[test]
fn an_honest_bundle_goes_the_quick_way_and_both_ways_say_the_same() {
    let log = honest();
    for text in [1, 2].map(|n| log.bundle(consent(n)).to_canonical().unwrap()) {
        let (frame, entries) = crate::quick::apart(&text).unwrap();
        let whole: Bundle = serde_json::from_str(&text).unwrap();
        assert!(frame.entries.is_empty() && entries.len() > 1000);
        let of = |bundle: &Bundle, quick: bool| {
            crate::verify::judge(bundle, &log.keys(), Beside::checkpoint(Some(&log.checkpoint(6))), |verifier| {
                if quick { Ok(crate::quick::lines(verifier, entries).unwrap()) } else { verifier.entries() }
            })
        };
        assert_eq!(of(&frame, true), of(&whole, false));
        assert!(of(&frame, true).is_ok());
    }
}

#[test]
fn both_refuse_every_attack_by_the_same_check() {
    let log = honest();
    let (mut cases, mut expected) = (Vec::new(), Vec::new());
    for (_, check, tamper) in TAMPERINGS {
        let mut bundle = log.bundle(consent(1));
        tamper(&log, &mut bundle);
        cases.push(Case::new(&bundle, &log, None));
        expected.push(format!("refused: {check}"));
    }
    for (_, check, forge) in FORGERIES {
        let mut log = honest();
        log.record(&forge(&log, Subject::Consent(consent(1))));
        cases.push(Case::new(&log.bundle(consent(1)), &log, None));
        expected.push(format!("refused: {check}"));
    }
    for (what, steps) in FORKS {
        let fork = fork(what, steps);
        cases.push(Case::new(&fork.bundle(consent(1)), &fork, Some(log.checkpoint(6))));
        expected.push("refused: outside.consistency".to_owned());
        // Nobody who holds nothing can see a fork, and neither verifier pretends to.
        cases.push(Case::new(&fork.bundle(consent(1)), &fork, None));
        expected.push("accepted: time asserted by the operator".to_owned());
    }
    assert_eq!(both(&cases), expected);
}

#[test]
fn both_read_a_receipt_with_and_without_what_is_not_in_each() {
    let kept = [None, Some(Kept::ReadableUntilRetention), Some(Kept::Blocked), Some(Kept::RestrictedHold)];
    let (mut cases, mut expected) = (Vec::new(), Vec::new());
    let mut told = |receipt: &Receipt, change: fn(&str) -> String, verdict: &str| {
        let mut log = honest();
        let subject = Subject::Consent(consent(3));
        let text = change(&log.body(subject, minute(30), receipt).to_canonical().unwrap());
        let signature = log.signer().line(&crate::statement::note_text(&text));
        log.record_raw(subject, text, signature);
        cases.push(Case::new(&log.bundle(consent(3)), &log, None));
        expected.push(verdict.to_owned());
    };
    let well = "accepted: time asserted by the operator";
    for retention in kept {
        for intermediary in [None, Some("Between Ltd".to_owned())] {
            let blocked_until = retention.map(|_| minute(4));
            let all = Receipt { retention, intermediary, blocked_until, ..receipt(consent(3), deletion(3)) };
            told(&all, str::to_owned, well);
            if retention == Some(Kept::Blocked) && all.intermediary.is_some() {
                told(
                    &all,
                    |text| text.replace("\"retention\":\"blocked\"", "\"retention\":\"forgotten\""),
                    "refused: entries[0].form",
                );
                told(&all, |text| text.replace("\"Between Ltd\"", "7"), "refused: entries[0].form");
            }
        }
    }
    assert_eq!(both(&cases), expected);
}

/// A time-stamp authority of `openssl`, and what it stamps.
struct Tsa(TempDir);

impl Tsa {
    fn new() -> Self {
        let tsa = Self(TempDir::new().unwrap());
        let settings = "[req]\ndistinguished_name = none\nx509_extensions = time\n[none]\n[time]\n\
            extendedKeyUsage = critical,timeStamping\n[one]\ndefault_policy = 1.2.3.4\nserial = serial\n\
            digests = sha256\nsigner_digest = sha256\ness_cert_id_alg = sha256\n";
        std::fs::write(tsa.0.path().join("settings"), settings).unwrap();
        std::fs::write(tsa.0.path().join("serial"), "01\n").unwrap();
        let new = ["req", "-x509", "-config", "settings", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        let names = ["-nodes", "-subj", "/CN=Time", "-days", "2", "-keyout", "key", "-out", "certificate"];
        tsa.openssl(&[&new[..], &names].concat());
        tsa
    }

    fn openssl(&self, arguments: &[&str]) {
        let done = Command::new("openssl").args(arguments).current_dir(self.0.path()).output();
        let done = done.expect("openssl is needed: .ci/setup --tests");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// The token for a checkpoint, as a bundle carries it.
    fn stamp(&self, checkpoint: &str) -> String {
        let text = format!("{}\n", checkpoint.split_once("\n\n").unwrap().0);
        std::fs::write(self.0.path().join("text"), text).unwrap();
        self.openssl(&["ts", "-query", "-data", "text", "-sha256", "-cert", "-out", "query"]);
        let by = ["-signer", "certificate", "-inkey", "key", "-token_out", "-out", "token"];
        let reply = ["ts", "-reply", "-config", "settings", "-section", "one", "-queryfile", "query"];
        self.openssl(&[&reply[..], &by].concat());
        STANDARD.encode(std::fs::read(self.0.path().join("token")).unwrap())
    }

    fn certificate(&self) -> Vec<u8> {
        std::fs::read(self.0.path().join("certificate")).unwrap()
    }
}

#[test]
fn both_read_time_stamps_alike() {
    let (tsa, stranger) = (Tsa::new(), Tsa::new());
    let shown = |log: &Log, token: String, trusted: &Tsa| {
        let mut bundle = log.bundle(consent(1));
        bundle.earlier[1].timestamp = Some(token);
        Case { authority: Some(trusted.certificate()), ..Case::new(&bundle, log, None) }
    };
    let log = honest();
    // The same, told a century late: what is stamped today was not there yet.
    let mut late = Log::of(tenant(1), 1);
    for step in 0..STEPS {
        let mut statement = story(&late, step);
        statement.at += SignedDuration::from_hours(24 * 36_525);
        late.record(&statement);
    }
    let good = tsa.stamp(&log.checkpoint(6));
    let verdicts = both(&[
        shown(&log, good.clone(), &tsa),
        shown(&log, good, &stranger),
        shown(&log, tsa.stamp(&log.checkpoint(3)), &tsa),
        shown(&late, tsa.stamp(&late.checkpoint(6)), &tsa),
    ]);
    assert!(verdicts[0].starts_with("accepted: the first 6 entries were stamped at "), "{}", verdicts[0]);
    assert_eq!(verdicts[1..3], ["refused: earlier[1].timestamp"; 2]);
    assert_eq!(verdicts[3], "refused: entries[0].time");
}

#[test]
fn both_agree_on_ten_thousand_mutated_files() {
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let log = honest();
    let files = [
        log.bundle(consent(1)).to_canonical().unwrap(),
        log.bundle(consent(2)).to_canonical().unwrap(),
        log.bundle(consent(1)).signed_note(6).unwrap(),
    ];
    let mut pool = Vec::new();
    files[..2].iter().for_each(|file| collect(&serde_json::from_str(file).unwrap(), &mut pool));
    let cases: Vec<Case> = (0..10_000)
        .map(|n| match n % 4 {
            0 => Case {
                file: scratched(&files[n / 4 % 3], &mut rng),
                keys: key_file(&log),
                outside: None,
                authority: None,
            },
            1 => Case {
                file: rearranged(&files[n / 4 % 2], &pool, &mut rng).into_bytes(),
                keys: key_file(&log),
                outside: rng.random_bool(0.5).then(|| log.checkpoint(6).into_bytes()),
                authority: None,
            },
            _ => retold(&pool, &mut rng),
        })
        .collect();
    let verdicts = both(&cases);
    // The mutations reach every part of the verifiers, not the front door alone.
    let accepted = verdicts.iter().filter(|verdict| verdict.starts_with("accepted")).count();
    assert!((500..5000).contains(&accepted), "{accepted} were accepted");
    let word = |verdict: &str| verdict.strip_prefix("refused: ")?.rsplit_once('.').map(|(_, check)| check.to_owned());
    let checks: BTreeSet<String> = verdicts.iter().filter_map(|verdict| word(verdict)).collect();
    let all = [
        "chain",
        "consistency",
        "content",
        "form",
        "inclusion",
        "key",
        "signature",
        "subject",
        "tenant",
        "time",
        "unlinked",
    ];
    assert_eq!(checks, all.map(str::to_owned).into());
}

/// One to three bytes changed, dropped, doubled or put in.
fn scratched(file: &str, rng: &mut TestRng) -> Vec<u8> {
    let mut bytes = file.as_bytes().to_vec();
    for _ in 0..rng.random_range(1..=3) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.random_range(0..bytes.len());
        match rng.random_range(0..5) {
            0 => bytes[at] = rng.next_u32() as u8,
            1 => bytes[at] ^= 1 << rng.random_range(0..7),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, bytes[at]),
            _ => bytes.insert(at, b" \n\t0A\"{\\,"[rng.random_range(0..9)]),
        }
    }
    bytes
}

/// A canonical file of another content: some values changed, or put where others belong.
fn rearranged(file: &str, pool: &[Value], rng: &mut TestRng) -> String {
    let mut value: Value = serde_json::from_str(file).unwrap();
    (0..rng.random_range(1..=2)).for_each(|_| disturb(&mut value, pool, rng));
    canonical::to_text(&value).unwrap_or_else(|_| value.to_string())
}

/// Every value in a value.
fn collect(value: &Value, pool: &mut Vec<Value>) {
    pool.push(value.clone());
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, pool)),
        Value::Object(members) => members.values().for_each(|value| collect(value, pool)),
        Value::String(text) => {
            if let Ok(inner @ Value::Object(_)) = serde_json::from_str(text) {
                collect(&inner, pool);
            }
        }
        _ => {}
    }
}

fn pick(pool: &[Value], rng: &mut TestRng) -> Value {
    pool[rng.random_range(0..pool.len())].clone()
}

/// Changes something somewhere in a value.
fn disturb(value: &mut Value, pool: &[Value], rng: &mut TestRng) {
    if rng.random_bool(0.05) {
        *value = pick(pool, rng);
        return;
    }
    match value {
        Value::Array(values) if !values.is_empty() => {
            let (at, other) = (rng.random_range(0..values.len()), rng.random_range(0..values.len()));
            match rng.random_range(0..10) {
                0 => drop(values.remove(at)),
                1 => values.insert(at, values[other].clone()),
                2 => values.swap(at, other),
                _ => disturb(&mut values[at], pool, rng),
            }
        }
        Value::Object(members) if !members.is_empty() => {
            let name = members.keys().nth(rng.random_range(0..members.len())).unwrap().clone();
            match rng.random_range(0..20) {
                0 => drop(members.remove(&name)),
                1 => drop(members.insert("remark".to_owned(), pick(pool, rng))),
                _ => disturb(&mut members[&name], pool, rng),
            }
        }
        Value::String(text) => disturb_text(text, pool, rng),
        Value::Number(number) => {
            let n = number.as_i64().unwrap_or_default();
            *value =
                [json!(n + 1), json!(n - 1), json!(-n), json!(1_u64 << 53), json!(0.5)][rng.random_range(0..5)].clone();
        }
        _ => *value = pick(pool, rng),
    }
}

fn disturb_text(text: &mut String, pool: &[Value], rng: &mut TestRng) {
    if serde_json::from_str::<Value>(text).is_ok_and(|inner| inner.is_object()) && rng.random_bool(0.8) {
        *text = rearranged(text, pool, rng);
        return;
    }
    let texts: Vec<&str> = pool.iter().filter_map(Value::as_str).filter(|text| !text.starts_with('{')).collect();
    let alike: Vec<&&str> = texts.iter().filter(|other| other.get(..4) == text.get(..4)).collect();
    match rng.random_range(0..4) {
        0 if !alike.is_empty() => *text = (*alike[rng.random_range(0..alike.len())]).to_string(),
        0 | 1 => *text = texts[rng.random_range(0..texts.len())].to_owned(),
        _ => *text = String::from_utf8_lossy(&scratched(&format!("{text} "), rng)).trim_end().to_owned(),
    }
}

/// What an operator with the signing key and without scruples could show: a log of steps in any order, statements of any
/// content, entries expired at will, and a checkpoint of this or of another log beside it.
fn retold(pool: &[Value], rng: &mut TestRng) -> Case {
    let mut steps: Vec<usize> = (0..STEPS).collect();
    for _ in 0..rng.random_range(0..3) {
        let (at, other) = (rng.random_range(0..steps.len()), rng.random_range(0..steps.len()));
        match rng.random_range(0..3) {
            0 => drop(steps.remove(at)),
            1 => steps.insert(at, steps[other]),
            _ => steps.swap(at, other),
        }
    }
    let mut log = Log::of(tenant(1), 1);
    let mut keys = key_file(&log);
    for step in steps {
        if rng.random_bool(0.01) {
            log.key = Ed25519KeyPair::from_seed_unchecked(&[2; 32]).unwrap();
            keys += &key_file(&log);
        }
        tell(&mut log, step, pool, rng);
    }
    let mut bundle = log.bundle(consent(if rng.random_bool(0.8) { 1 } else { 2 }));
    bundle.earlier.truncate(rng.random_range(0..=2));
    for item in bundle.entries.iter_mut().chain(&mut bundle.epochs) {
        if let Content::Shown { statement, salt, .. } = &item.content
            && rng.random_bool(0.04)
        {
            item.content = Content::Expired { commitment: commitment(salt, statement) };
        }
    }
    let outside = match rng.random_range(0..8) {
        0 => Some(log.checkpoint(rng.random_range(0..log.frontiers.len())).into_bytes()),
        1 => Some(log.checkpoint(log.entries.len()).into_bytes()),
        2 => Some(format!("{}\u{2014} witness.example AAAAAAAA\n", log.checkpoint(6)).into_bytes()),
        3 => Some(honest().checkpoint(6).into_bytes()),
        5 => {
            let (witness, cosigned) = witnessed(&log.checkpoint(6), [1_800_000_000, u64::MAX][rng.random_range(0..2)]);
            keys += &format!("{witness}\n");
            Some(if rng.random_bool(0.5) { cosigned.into_bytes() } else { scratched(&cosigned, rng) })
        }
        4 => Some(scratched(&log.checkpoint(3), rng)),
        _ => None,
    };
    Case { file: bundle.to_canonical().unwrap().into_bytes(), keys, outside, authority: None }
}

/// Logs a step, or something like it.
fn tell(log: &mut Log, step: usize, pool: &[Value], rng: &mut TestRng) {
    let statement = story(log, step);
    let (subject, signs) = (statement.subject, statement.is_signed() != rng.random_bool(0.01));
    let mut text = statement.to_canonical().unwrap();
    if rng.random_bool(0.1) {
        text = rearranged(&text, pool, rng);
    }
    if rng.random_bool(0.1) {
        let body = json!({"deletion": deletion(rng.random_range(1..=2)).to_string()});
        let id = EntryId::from_uuid(Uuid::from_u128(rng.next_u64().into()));
        let begun = Statement::new(id, log.tenant, subject, "deletion.begun", statement.at, &body).unwrap();
        log.record(&begun);
    }
    let signature = if signs { log.signer().line(&format!("{text}\n")) } else { String::new() };
    log.record_raw(subject, text, signature);
}
