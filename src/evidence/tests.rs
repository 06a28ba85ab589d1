//! A whole log, its bundles, and every way to cheat with them that the design promises to detect.

mod agreement;
mod stamped;
mod witness;

use std::collections::{BTreeMap, HashMap};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use domain::ids::{ConsentId, DeletionId, EntryId, LineId, ProductId, TenantId};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use uuid::Uuid;

use crate::log::{Sequenced, Sequencer, commitment};
use crate::tree::{Frontier, Node, consistency_proof, inclusion_proof};
use crate::*;

const NOON: &str = "2026-11-21T12:00:00Z";

fn tenant(n: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(n))
}

fn consent(n: u128) -> ConsentId {
    ConsentId::from_uuid(Uuid::from_u128(n))
}

fn deletion(n: u128) -> DeletionId {
    DeletionId::from_uuid(Uuid::from_u128(n))
}

fn minute(n: i64) -> Timestamp {
    NOON.parse::<Timestamp>().unwrap() + SignedDuration::from_mins(n)
}

struct Entry {
    subject: Subject,
    text: String,
    salt: Hash,
    signature: String,
    place: Sequenced,
}

/// A log as the server and the store keep one, in memory.
struct Log {
    tenant: TenantId,
    origin: Origin,
    key: Ed25519KeyPair,
    sequencer: Sequencer,
    nodes: HashMap<Node, Hash>,
    frontiers: Vec<Frontier>,
    entries: Vec<Entry>,
}

impl Log {
    fn of(owner: TenantId, seed: u8) -> Self {
        Self {
            tenant: owner,
            origin: Origin::new("evidence.example.com", owner).unwrap(),
            key: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap(),
            sequencer: Sequencer::default(),
            nodes: HashMap::new(),
            frontiers: vec![Frontier::default()],
            entries: Vec::new(),
        }
    }

    fn signer(&self) -> Signer<'_> {
        let public = self.key.public_key().as_ref().try_into().unwrap();
        Signer::new(&self.origin, public, |message| self.key.sign(message).as_ref().try_into().unwrap())
    }

    fn keys(&self) -> Vec<VerifierKey> {
        vec![self.signer().verifier_key().clone()]
    }

    fn record(&mut self, statement: &Statement) {
        let text = statement.to_canonical().unwrap();
        let signature = if statement.is_signed() { statement.sign(&self.signer()).unwrap() } else { String::new() };
        self.record_raw(statement.subject, text, signature);
    }

    /// What an operator without scruples could do: log any text with any signature.
    fn record_raw(&mut self, subject: Subject, text: String, signature: String) {
        let salt = Hash([self.entries.len() as u8 + 1; 32]);
        let place = self.sequencer.append(subject, &commitment(&salt, &text));
        self.nodes.extend(place.nodes.iter().copied());
        self.frontiers.push(self.sequencer.frontier().clone());
        self.entries.push(Entry { subject, text, salt, signature, place });
    }

    /// A statement of the next id about a consent.
    fn about(&self, subject: Subject, kind: &str, at: Timestamp) -> Statement {
        let id = EntryId::from_uuid(Uuid::from_u128(self.entries.len() as u128));
        Statement::new(id, self.tenant, subject, kind, at, &json!({"seq": self.entries.len()})).unwrap()
    }

    fn body<B: Body>(&self, subject: Subject, at: Timestamp, body: &B) -> Statement {
        let id = EntryId::from_uuid(Uuid::from_u128(self.entries.len() as u128));
        Statement::with_body(id, self.tenant, subject, at, body).unwrap()
    }

    fn checkpoint(&self, size: usize) -> String {
        Checkpoint::of(self.origin.clone(), &self.frontiers[size]).sign(&self.signer())
    }

    fn item(&self, entry: &Entry) -> Item {
        let index = entry.place.index;
        let proof = inclusion_proof(index, self.entries.len() as u64, &self.nodes).unwrap();
        let content =
            Content::Shown { statement: entry.text.clone(), salt: entry.salt, signature: entry.signature.clone() };
        Item { index, prev: entry.place.prev, content, proof }
    }

    fn earlier(&self, size: usize) -> Earlier {
        let proof = consistency_proof(size as u64, self.entries.len() as u64, &self.nodes).unwrap();
        Earlier { checkpoint: self.checkpoint(size), proof, timestamp: None }
    }

    fn bundle(&self, about: ConsentId) -> Bundle {
        let mut bundle = Bundle::new(self.tenant, about, self.checkpoint(self.entries.len()));
        let items = |subject| self.entries.iter().filter(move |e| e.subject == subject).map(|e| self.item(e));
        bundle.entries = items(Subject::Consent(about)).collect();
        bundle.epochs = items(Subject::Tenant(self.tenant)).collect();
        bundle.earlier = [3, 6].map(|size| self.earlier(size)).into();
        bundle
    }
}

fn receipt(about: ConsentId, deletion: DeletionId) -> Receipt {
    Receipt {
        deletion,
        consent: about,
        scope: Scope::Consent,
        trigger: Trigger::Psu,
        stopped_at: minute(4),
        blocked_until: None,
        retention: None,
        intermediary: None,
        erased_at: minute(5),
        key_deleted_at: minute(5),
        unreadable_everywhere_after: minute(8 * 24 * 60),
        erased_rows: BTreeMap::from([("transaction".to_owned(), 1200), ("balance".to_owned(), 4)]),
        accounts: vec![ErasedAccount {
            account: LineId::from_uuid(Uuid::from_u128(77)),
            key_epoch: 20_778,
            visible_in_backups: Visible {
                rows: 1200,
                first_booking: Some("2026-01-02".parse().unwrap()),
                last_booking: Some("2026-11-20".parse().unwrap()),
            },
        }],
        kept_accounts: vec![LineId::from_uuid(Uuid::from_u128(78))],
        sealing: "AES-256-GCM-SIV".to_owned(),
        wrapping: "AES-256-KW".to_owned(),
    }
}

/// The statements of the log that all tests share: two consents of one tenant, and the end of an epoch.
fn story(log: &Log, step: usize) -> Statement {
    let [one, two] = [1, 2].map(|n| Subject::Consent(consent(n)));
    let at = minute(step as i64);
    match step {
        0 => log.about(one, "consent.text_accepted", at),
        1 => log.about(two, "consent.text_accepted", at),
        2 => log.about(one, "consent.authorized", at),
        3 => log.about(one, "bank.call", at),
        4 => log.about(two, "consent.authorized", at),
        5 => log.about(one, "consent.revoked", at),
        6 => log.body(one, at, &receipt(consent(1), deletion(1))),
        7 => log.body(two, at, &receipt(consent(2), deletion(2))),
        8 => {
            let (outcome, basis) = (BankOutcome::Confirmed, "http_204".to_owned());
            log.body(one, at, &BankAnswer { deletion: deletion(1), outcome, basis, answered_at: at })
        }
        9 => {
            let product = ProductId::from_uuid(Uuid::from_u128(9));
            log.body(one, at, &ProductAcknowledgement { deletion: deletion(1), product, acknowledged_at: at })
        }
        _ => {
            let at = minute(8 * 24 * 60 + 1);
            let gone = EpochDestroyed { epoch: 20_778, destroyed_at: at, provider: "file".to_owned() };
            log.body(Subject::Tenant(log.tenant), at, &gone)
        }
    }
}

const STEPS: usize = 11;

fn honest() -> Log {
    let mut log = Log::of(tenant(1), 1);
    for step in 0..STEPS {
        log.record(&story(&log, step));
    }
    log
}

fn code(bundle: &Bundle, log: &Log) -> String {
    verify(&bundle.to_canonical().unwrap(), &log.keys(), None)
        .map_or_else(|refusal| refusal.code(), |_| "accepted".into())
}

#[test]
fn an_honest_bundle_verifies_and_says_what_it_shows() {
    let log = honest();
    let text = log.bundle(consent(1)).to_canonical().unwrap();
    let report = verify(&text, &log.keys(), None).unwrap();
    assert_eq!(report.lines.iter().map(|line| line.index).collect::<Vec<_>>(), [0, 2, 3, 5, 6, 8, 9]);
    assert_eq!(report.receipts(), [receipt(consent(1), deletion(1))]);
    assert!(report.is_unreadable_everywhere(&report.receipts()[0]));
    let page = report.to_string();
    for said in [
        "Time asserted by the operator",
        "because the person withdrew the consent",
        "1204 rows, none left",
        "-00000000004d, booked 2026-01-02 to 2026-11-20; what is in them is sealed",
        "epoch 20778    2026-11-29T12:01:00Z (file), entry 10",
        "confirmed the end of the consent, 2026-11-21T12:08:00Z (http_204)",
        "prd_00000000-0000-0000-0000-000000000009 has confirmed",
        "another consent stands on it",
        "The chain of entries about this consent is unbroken up to 9.",
    ] {
        assert!(page.contains(said), "{said:?} is not in\n{page}");
    }
}

/// The files that `FORMAT.md` offers to whoever writes another verifier. If this fails the format has changed: that is a
/// new version, not a new set of files.
#[test]
fn the_published_vectors_are_what_this_code_makes_and_accepts() {
    let log = honest();
    let bundle = log.bundle(consent(1));
    let keys = format!("{}\n", log.signer().verifier_key());
    let made = [
        ("bundle.json", include_str!("vectors/bundle.json"), bundle.to_canonical().unwrap()),
        ("receipt.note", include_str!("vectors/receipt.note"), bundle.signed_note(6).unwrap()),
        ("checkpoint.note", include_str!("vectors/checkpoint.note"), log.checkpoint(6)),
        ("keys.txt", include_str!("vectors/keys.txt"), keys),
    ];
    for (name, published, made) in &made {
        assert_eq!(published, made, "{name}");
    }
    let keys = VerifierKey::read_all(&made[3].2).unwrap();
    let report = verify(made[0].1, &keys, Some(made[2].1)).unwrap();
    assert_eq!(report.to_string(), include_str!("vectors/report.txt"));
    verify_receipt(made[1].1, &keys).unwrap();
}

#[test]
fn an_outside_checkpoint_covers_what_stood_in_the_log_then() {
    let log = honest();
    let text = log.bundle(consent(1)).to_canonical().unwrap();
    for (size, covered) in [(3, 3), (6, 6), (STEPS, STEPS)] {
        let report = verify(&text, &log.keys(), Some(&log.checkpoint(size))).unwrap();
        assert_eq!(report.outside, Some(covered as u64));
        assert!(!report.to_string().contains("could have"));
    }
    // A witness has countersigned the outside copy: its signature is passed over.
    let by_a_stranger = format!("{}\u{2014} witness.example AAAAAAAA\n", log.checkpoint(6));
    assert!(verify(&text, &log.keys(), Some(&by_a_stranger)).is_ok());

    let refused = |note: &str| verify(&text, &log.keys(), Some(note)).unwrap_err().code();
    assert_eq!(refused(&log.checkpoint(5)), "outside.unlinked");
    assert_eq!(refused("no note"), "outside.form");
    assert_eq!(refused(&log.checkpoint(6).replacen('6', "3", 1)), "outside.signature");
    let mut longer = honest();
    longer.record(&story(&longer, 3));
    assert_eq!(refused(&longer.checkpoint(STEPS + 1)), "outside.unlinked");
    assert_eq!(refused(&Log::of(tenant(2), 1).checkpoint(0)), "outside.key");
}

/// The promise of the format: no byte without meaning.
#[test]
fn no_single_changed_missing_or_added_byte_is_accepted() {
    let log = honest();
    let mut bundle = log.bundle(consent(2));
    bundle.earlier.truncate(1);
    let (text, keys) = (bundle.to_canonical().unwrap(), log.keys());
    let accepted = |bytes: Vec<u8>| String::from_utf8(bytes).is_ok_and(|text| verify(&text, &keys, None).is_ok());
    assert!(accepted(text.clone().into_bytes()));
    for at in 0..text.len() {
        let original = text.as_bytes()[at];
        // A neighbour; and, by turns, the other case, another digit, a blank.
        let turn = [original ^ 0x20, b'0' + (original.wrapping_add(1) % 10), b' '][at % 3];
        for other in [original ^ 1, turn] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = other;
            assert!(other == original || !accepted(bytes), "byte {at} as {:?}", other as char);
        }
        let mut fewer = text.clone().into_bytes();
        fewer.remove(at);
        assert!(!accepted(fewer), "without byte {at}");
    }
    for added in ["\n", " ", "{}"] {
        assert!(!accepted(format!("{text}{added}").into_bytes()));
    }
}

#[test]
fn only_the_keys_of_this_log_count() {
    let log = honest();
    let text = log.bundle(consent(1)).to_canonical().unwrap();
    let refused = |keys: &[VerifierKey]| verify(&text, keys, None).unwrap_err().code();
    assert_eq!(refused(&[]), "checkpoint.key");
    assert_eq!(refused(&Log::of(tenant(1), 2).keys()), "checkpoint.key");
    // The same key under the name of another tenant's log is another key.
    assert_eq!(refused(&Log::of(tenant(2), 1).keys()), "checkpoint.key");
    // A key that is trusted for another tenant's log signs neither this one's checkpoints nor its receipts.
    let other = Log::of(tenant(2), 5);
    let trusting_both = [log.keys(), other.keys()].concat();
    let code = |bundle: &Bundle| verify(&bundle.to_canonical().unwrap(), &trusting_both, None).unwrap_err().code();
    let mut bundle = log.bundle(consent(1));
    let statement = Statement::read(&log.entries[6].text).unwrap();
    sign_with(&mut bundle.entries[4], statement.sign(&other.signer()).unwrap());
    assert_eq!(code(&bundle), "entries[4].key");
    let ours = Checkpoint::of(log.origin.clone(), &log.frontiers[STEPS]);
    bundle.checkpoint = ours.sign(&other.signer());
    assert_eq!(code(&bundle), "checkpoint.tenant");
    bundle.checkpoint = log.checkpoint(STEPS);
    bundle.earlier[0].checkpoint = Checkpoint::of(log.origin.clone(), &log.frontiers[3]).sign(&other.signer());
    assert_eq!(code(&bundle), "earlier[0].key");
    bundle.earlier[0].checkpoint = Checkpoint::of(other.origin.clone(), &log.frontiers[3]).sign(&log.signer());
    assert_eq!(code(&bundle), "earlier[0].tenant");

    let both = [Log::of(tenant(1), 2).keys(), log.keys()].concat();
    assert!(verify(&text, &both, None).is_ok(), "a former key beside the present one does no harm");
}

#[test]
fn a_bundle_spans_a_rotation_of_the_signing_key() {
    let mut log = Log::of(tenant(1), 1);
    for step in 0..7 {
        log.record(&story(&log, step));
    }
    let (old_keys, outside) = (log.keys(), log.checkpoint(6));
    log.key = Ed25519KeyPair::from_seed_unchecked(&[2; 32]).unwrap();
    for step in 7..STEPS {
        log.record(&story(&log, step));
    }
    let mut bundle = log.bundle(consent(1));
    bundle.earlier[1].checkpoint.clone_from(&outside);
    let text = bundle.to_canonical().unwrap();
    assert!(verify(&text, &[old_keys.clone(), log.keys()].concat(), Some(&outside)).is_ok());
    assert_eq!(verify(&text, &log.keys(), None).unwrap_err().code(), "earlier[1].key");
    assert_eq!(verify(&text, &old_keys, None).unwrap_err().code(), "checkpoint.key");
}

type Tamper = fn(&Log, &mut Bundle);

/// What somebody without the signing key can do to a bundle.
const TAMPERINGS: &[(&str, &str, Tamper)] = &[
    ("an entry dropped", "entries[2].chain", |_, b| drop(b.entries.remove(2))),
    ("the first entry dropped", "entries[0].chain", |_, b| drop(b.entries.remove(0))),
    ("two entries exchanged", "entries[1].chain", |_, b| b.entries.swap(1, 2)),
    ("an entry repeated", "entries[2].chain", |_, b| b.entries.insert(1, b.entries[1].clone())),
    ("an entry claimed elsewhere", "entries[1].inclusion", |_, b| b.entries[1].index = 1),
    ("an entry edited", "entries[1].inclusion", |_, b| {
        edit(&mut b.entries[1], |text| text.replace("consent.authorized", "consent.revoked"));
    }),
    ("a receipt edited", "entries[4].inclusion", |_, b| edit(&mut b.entries[4], |text| text.replace("1200", "1201"))),
    ("an entry expired that is not", "entries[3].inclusion", |_, b| {
        b.entries[3].content = Content::Expired { commitment: Hash::ZERO };
    }),
    ("a receipt without its signature", "entries[4].key", |_, b| sign_with(&mut b.entries[4], String::new())),
    ("an entry with a signature that it should not have", "entries[0].form", |log, b| {
        let line = log.entries[6].signature.clone();
        sign_with(&mut b.entries[0], line);
    }),
    ("a receipt with the signature of another", "entries[4].signature", |log, b| {
        let line = log.entries[7].signature.clone();
        sign_with(&mut b.entries[4], line);
    }),
    ("a receipt signed by a stranger too", "entries[4].key", |log, b| {
        let line = format!("{}\u{2014} stranger.example AAAAAAAA\n", log.entries[6].signature);
        sign_with(&mut b.entries[4], line);
    }),
    ("a blank line in front of a signature", "entries[4].signature", |log, b| {
        let line = format!("\n\n{}", log.entries[6].signature);
        sign_with(&mut b.entries[4], line);
    }),
    ("a forged receipt, signed by somebody who calls himself the same", "entries[4].key", |log, b| {
        let forger = Log::of(log.tenant, 66);
        let statement = Statement::read(&log.entries[6].text).unwrap();
        sign_with(&mut b.entries[4], statement.sign(&forger.signer()).unwrap());
    }),
    ("another consent's proof", "entries[4].inclusion", |log, b| {
        b.entries[4].proof = log.item(&log.entries[7]).proof;
    }),
    ("another consent's receipt in the place of ours", "entries[4].chain", |log, b| {
        b.entries[4] = log.item(&log.entries[7]);
    }),
    ("another consent's receipt", "entries[5].chain", |log, b| b.entries.insert(5, log.item(&log.entries[7]))),
    ("another consent's entries", "entries[0].subject", |log, b| {
        b.entries = log.bundle(consent(2)).entries;
    }),
    ("the name of another consent", "entries[0].subject", |_, b| b.consent = consent(2)),
    ("the name of another tenant", "checkpoint.tenant", |_, b| b.tenant = tenant(2)),
    ("a statement of another consent as an epoch's", "epochs[0].subject", |log, b| {
        b.epochs = vec![log.item(&log.entries[1])];
    }),
    ("an epoch twice", "epochs[1].chain", |_, b| b.epochs.push(b.epochs[0].clone())),
    ("an epoch for which there is no receipt", "epochs[0].subject", |_, b| b.entries.truncate(4)),
    ("earlier checkpoints exchanged", "earlier[1].form", |_, b| b.earlier.swap(0, 1)),
    ("an earlier checkpoint that is not earlier", "earlier[1].form", |_, b| {
        b.earlier[1] = Earlier { checkpoint: b.checkpoint.clone(), proof: vec![], timestamp: None };
    }),
    ("a consistency proof of another size", "earlier[0].consistency", |log, b| {
        b.earlier[0].proof = log.earlier(4).proof
    }),
    ("an older checkpoint of the same log", "entries[0].inclusion", |log, b| {
        b.earlier.clear();
        b.checkpoint = log.checkpoint(STEPS - 1);
    }),
    ("the checkpoint of another tenant's log", "checkpoint.key", |_, b| {
        b.checkpoint = Log::of(tenant(2), 1).checkpoint(0);
    }),
    ("an epoch whose statement is not shown", "epochs[0].content", |_, b| {
        let Content::Shown { statement, salt, .. } = &b.epochs[0].content else { panic!("it was shown") };
        b.epochs[0].content = Content::Expired { commitment: commitment(salt, statement) };
    }),
    ("another format", "file.form", |_, b| b.format = "tributary.bundle/2".to_owned()),
];

fn edit(item: &mut Item, change: impl Fn(&str) -> String) {
    if let Content::Shown { statement, .. } = &mut item.content {
        let changed = change(statement);
        assert_ne!(*statement, changed);
        *statement = changed;
    }
}

fn sign_with(item: &mut Item, line: String) {
    if let Content::Shown { signature, .. } = &mut item.content {
        *signature = line;
    }
}

#[test]
fn every_tampering_is_refused_by_the_check_that_is_meant_for_it() {
    let log = honest();
    assert_eq!(code(&log.bundle(consent(1)), &log), "accepted");
    for (what, refused, tamper) in TAMPERINGS {
        let mut bundle = log.bundle(consent(1));
        tamper(&log, &mut bundle);
        assert_eq!(code(&bundle, &log), *refused, "{what}");
    }
}

type Retell = fn(usize) -> Vec<usize>;

/// What the operator, who holds the signing key, could do: make the log anew, from other steps of the story.
const FORKS: [(&str, Retell); 4] = [
    ("edited", |step| vec![step]),
    ("dropped", |step| if step == 3 { vec![] } else { vec![step] }),
    ("reordered", |step| vec![[0, 1, 2, 4, 3, 5].get(step).copied().unwrap_or(step)]),
    ("back-dated, in between", |step| if step == 3 { vec![3, 3] } else { vec![step] }),
];

fn fork(what: &str, steps: Retell) -> Log {
    let mut fork = Log::of(tenant(1), 1);
    for step in (0..STEPS).flat_map(steps) {
        let mut statement = story(&fork, step);
        if what == "edited" && step == 3 {
            statement.kind = "bank.call_attended".to_owned();
        }
        fork.record(&statement);
    }
    fork
}

/// Without an outside checkpoint a log made anew cannot be seen, and the report says so; with one it is refused.
#[test]
fn a_log_made_anew_is_a_fork_of_every_checkpoint_held_outside() {
    let outside = honest().checkpoint(6);
    for (what, steps) in FORKS {
        let fork = fork(what, steps);
        let text = fork.bundle(consent(1)).to_canonical().unwrap();
        let unaware = verify(&text, &fork.keys(), None).unwrap();
        assert!(unaware.to_string().contains("Time asserted by the operator"), "{what}");
        assert_eq!(verify(&text, &fork.keys(), Some(&outside)).unwrap_err().code(), "outside.consistency", "{what}");

        // Nor can the fork borrow the true checkpoint and pretend to continue it.
        let mut borrowed = fork.bundle(consent(1));
        borrowed.earlier[1].checkpoint.clone_from(&outside);
        assert_eq!(code(&borrowed, &fork), "earlier[1].consistency", "{what}");
    }
}

type Forge = fn(&Log, Subject) -> Statement;

/// What the operator could log without making anything anew.
const FORGERIES: [(&str, &str, Forge); 12] = [
    ("rows erased before access stopped", "entries[7].content", |log, one| {
        log.body(one, minute(11), &Receipt { erased_at: minute(3), ..receipt(consent(1), deletion(3)) })
    }),
    ("blocked by a hold until before access stopped", "entries[7].content", |log, one| {
        log.body(one, minute(11), &Receipt { blocked_until: Some(minute(3)), ..receipt(consent(1), deletion(3)) })
    }),
    ("blocked by a hold until after the erasure", "entries[7].content", |log, one| {
        log.body(one, minute(11), &Receipt { blocked_until: Some(minute(6)), ..receipt(consent(1), deletion(3)) })
    }),
    ("unreadable before the key was deleted", "entries[7].content", |log, one| {
        let wrong = Receipt { unreadable_everywhere_after: minute(4), ..receipt(consent(1), deletion(3)) };
        log.body(one, minute(11), &wrong)
    }),
    ("an epoch destroyed twice", "epochs[1].subject", |log, _| story(log, STEPS)),
    ("back-dated, at the end", "entries[7].time", |log, one| log.about(one, "notice.sent", minute(9 - 61))),
    ("back-dated to before the calendar", "entries[7].form", |log, one| {
        log.about(one, "notice.sent", "-000001-01-01T00:00:00Z".parse().unwrap())
    }),
    ("a second receipt of one deletion", "entries[7].content", |log, one| {
        log.body(one, minute(11), &receipt(consent(1), deletion(1)))
    }),
    ("a receipt about another consent", "entries[7].subject", |log, one| {
        log.body(one, minute(11), &receipt(consent(2), deletion(3)))
    }),
    ("a key deleted before access stopped", "entries[7].content", |log, one| {
        let wrong = Receipt { key_deleted_at: minute(3), ..receipt(consent(1), deletion(3)) };
        log.body(one, minute(11), &wrong)
    }),
    ("an account both erased and kept", "entries[7].content", |log, one| {
        let mut wrong = receipt(consent(1), deletion(3));
        wrong.kept_accounts.push(wrong.accounts[0].account);
        log.body(one, minute(11), &wrong)
    }),
    ("an addendum to no receipt", "entries[7].subject", |log, one| {
        let (outcome, basis) = (BankOutcome::Confirmed, "http_204".to_owned());
        let at = minute(11);
        log.body(one, at, &BankAnswer { deletion: deletion(3), outcome, basis, answered_at: at })
    }),
];

#[test]
fn statements_that_contradict_the_log_or_themselves_are_refused() {
    let one = Subject::Consent(consent(1));
    for (what, refused, forge) in FORGERIES {
        let mut log = honest();
        log.record(&forge(&log, one));
        assert_eq!(code(&log.bundle(consent(1)), &log), refused, "{what}");
    }
    let mut log = honest();
    log.record(&log.about(one, "notice.sent", minute(9 - 60)));
    assert_eq!(code(&log.bundle(consent(1)), &log), "accepted", "transactions may overlap a little");
}

/// The bank is told while rows are still being erased, and may be the faster one.
#[test]
fn a_bank_may_answer_before_the_receipt_is_made() {
    let one = Subject::Consent(consent(1));
    let begun = |log: &Log, kind: &str, n| {
        let body = json!({ "deletion": deletion(n).to_string() });
        Statement::new(EntryId::from_uuid(Uuid::from_u128(99)), log.tenant, one, kind, minute(11), &body).unwrap()
    };
    for (kind, n, verdict) in [
        ("deletion.begun", 3, "accepted"),
        ("deletion.begun", 4, "entries[8].subject"),
        ("note", 3, "entries[8].subject"),
    ] {
        let mut log = honest();
        log.record(&begun(&log, kind, n));
        let (outcome, basis) = (BankOutcome::Confirmed, "http_204".to_owned());
        let answer = BankAnswer { deletion: deletion(3), outcome, basis, answered_at: minute(11) };
        log.record(&log.body(one, minute(11), &answer));
        assert_eq!(code(&log.bundle(consent(1)), &log), verdict, "{kind} {n}");
        log.record(&log.body(one, minute(12), &receipt(consent(1), deletion(3))));
        let bundle = log.bundle(consent(1)).to_canonical().unwrap();
        let report = verify(&bundle, &log.keys(), None);
        assert_eq!(report.is_ok(), verdict == "accepted");
        if let Ok(report) = report {
            assert_eq!(report.to_string().matches("confirmed the end of the consent").count(), 2, "{report}");
        }
    }
}

/// An operator that writes two entries at once can choose where each goes.
#[test]
fn a_chain_that_runs_backwards_through_the_log_is_refused() {
    let one = Subject::Consent(consent(1));
    let mut log = Log::of(tenant(1), 1);
    let texts = [1, 0].map(|step| Statement { subject: one, ..story(&log, step) }.to_canonical().unwrap());
    // The second of the chain stands first: its link is computed before the leaf it names is in the log.
    let first_leaf = crate::log::leaf(&Hash::ZERO, &commitment(&Hash([2; 32]), &texts[1]));
    log.sequencer = Sequencer::new(Frontier::default(), HashMap::from([(one, first_leaf)]));
    log.record_raw(one, texts[0].clone(), String::new());
    log.sequencer = Sequencer::new(log.sequencer.frontier().clone(), HashMap::new());
    log.record_raw(one, texts[1].clone(), String::new());

    let mut bundle = Bundle::new(log.tenant, consent(1), log.checkpoint(2));
    bundle.entries = [1, 0].map(|i| log.item(&log.entries[i])).into();
    assert_eq!(code(&bundle, &log), "entries[1].chain");
}

#[test]
fn the_end_of_an_epoch_is_the_tenants_and_no_consents() {
    let mut log = honest();
    let elsewhere = Statement { subject: Subject::Consent(consent(2)), ..story(&log, STEPS) };
    log.record(&elsewhere);
    let mut bundle = log.bundle(consent(1));
    bundle.epochs = vec![log.item(&log.entries[STEPS])];
    assert_eq!(code(&bundle, &log), "epochs[0].subject");
}

#[test]
fn a_logged_text_that_is_not_canonical_or_of_another_tenant_is_refused() {
    let one = Subject::Consent(consent(1));
    let mut log = honest();
    let text = story(&log, 3).to_canonical().unwrap();
    log.record_raw(one, format!("{text} "), String::new());
    assert_eq!(code(&log.bundle(consent(1)), &log), "entries[7].form");

    let mut log = honest();
    let foreign = story(&Log::of(tenant(2), 1), 3).to_canonical().unwrap();
    log.record_raw(one, foreign, String::new());
    assert_eq!(code(&log.bundle(consent(1)), &log), "entries[7].tenant");

    // Signed together with a second text that the log does not hold.
    let mut log = honest();
    let text = &log.entries[6].text;
    log.entries[6].signature = format!("more\n\n{}", log.signer().line(&format!("{text}\n\nmore\n")));
    assert_eq!(code(&log.bundle(consent(1)), &log), "entries[4].form");

    // A receipt with a member that no receipt has.
    let mut log = honest();
    let mut more = story(&log, 6);
    more.body["remark"] = json!("all is well");
    log.record(&more);
    assert_eq!(code(&log.bundle(consent(1)), &log), "entries[7].form");
}

#[test]
fn proofs_stay_valid_when_statements_expire() {
    let log = honest();
    let mut bundle = log.bundle(consent(1));
    for i in [0, 2, 4] {
        let Content::Shown { statement, salt, .. } = &bundle.entries[i].content else { panic!("it was shown") };
        bundle.entries[i].content = Content::Expired { commitment: commitment(salt, statement) };
    }
    let report = verify(&bundle.to_canonical().unwrap(), &log.keys(), Some(&log.checkpoint(6))).unwrap();
    assert_eq!(report.lines.iter().filter(|line| line.statement().is_none()).count(), 3);
    assert_eq!(report.receipts(), [], "an expired receipt is not guessed");
    assert!(report.to_string().contains("payload expired"));
    bundle.entries.remove(2);
    assert_eq!(code(&bundle, &log), "entries[2].chain", "an expired entry keeps its place in the chain");
}

#[test]
fn a_receipt_travels_alone() {
    let log = honest();
    let bundle = log.bundle(consent(1));
    let note = bundle.signed_note(6).unwrap();
    let report = verify_receipt(&note, &log.keys()).unwrap();
    assert_eq!(report.statement.body::<Receipt>(), Some(Ok(receipt(consent(1), deletion(1)))));
    assert!(report.to_string().contains("because the person withdrew the consent"));
    assert_eq!((bundle.signed_note(0), bundle.signed_note(7)), (None, None), "not signed; not in this bundle");

    let refused = |note: &str, keys: &[VerifierKey]| verify_receipt(note, keys).unwrap_err().code();
    assert_eq!(refused(&note, &Log::of(tenant(1), 2).keys()), "file.key");
    assert_eq!(refused(&note.replacen("1200", "1201", 1), &log.keys()), "file.signature");
    assert_eq!(refused(&log.checkpoint(6), &log.keys()), "file.form", "a checkpoint is no receipt");

    let signed =
        |by: &Log, text: &str| format!("{text}\n\n{}", Statement::read(text).unwrap().sign(&by.signer()).unwrap());
    let other = Log::of(tenant(2), 3);
    let foreign = signed(&other, &log.entries[6].text);
    assert_eq!(refused(&foreign, &other.keys()), "file.tenant", "a genuine key, but somebody else's");
    let call = signed(&log, &log.entries[3].text);
    assert_eq!(refused(&call, &log.keys()), "file.content", "a kind that is never handed out alone");

    for at in 0..note.len() {
        let mut bytes = note.clone().into_bytes();
        bytes[at] ^= 1;
        let refused = String::from_utf8(bytes).map_or(true, |text| verify_receipt(&text, &log.keys()).is_err());
        assert!(refused, "byte {at}");
    }
}

#[test]
fn statements_have_plain_kinds_and_whole_numbers() {
    let log = honest();
    let id = EntryId::from_uuid(Uuid::from_u128(1));
    let new = |kind: &str, body| Statement::new(id, tenant(1), Subject::Tenant(log.tenant), kind, minute(0), &body);
    assert!(new("operator.login", json!({"count": 1})).is_ok());
    for kind in ["", "Operator", "operator login", "operator\u{1b}[2J"] {
        assert_eq!(new(kind, json!({})), Err(NotCanonical::Form), "{kind:?}");
    }
    assert_eq!(new("operator.login", json!({"share": 0.5})), Err(NotCanonical::Number));
    let good = new("operator.login", json!({})).unwrap().to_canonical().unwrap();
    assert!(Statement::read(&good).is_ok());
    for bad in
        [good.replace("statement/1", "statement/2"), good.replace("ten_0", "TEN_0"), good.replace(":00Z", ":00.0Z")]
    {
        assert_ne!(bad, good);
        assert!(Statement::read(&bad).is_err(), "{bad}");
    }
}
