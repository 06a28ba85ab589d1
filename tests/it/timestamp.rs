//! A time-stamp authority that nobody here wrote, `openssl ts` behind a socket, dates the log; and every answer of its that is not
//! one to what was asked is refused.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use evidence::timestamp::{self, Authorities, StampError};
use evidence::{Beside, VerifierKey, verify_with};
use server::services::timestamp as stamps;
use server::{App, evidence_log};
use tempfile::TempDir;
use tests::world::{CUSTOMER, World};
use wiremock::matchers::{header, method};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const SETTINGS: &str = "[req]\ndistinguished_name = name\n[name]\n[ca]\nbasicConstraints = critical,CA:TRUE\n\
    keyUsage = critical,keyCertSign\n[tsa]\nbasicConstraints = critical,CA:FALSE\nkeyUsage = critical,digitalSignature\n\
    extendedKeyUsage = critical,timeStamping\n[one]\nserial = serial\nsigner_digest = sha256\ndefault_policy = 1.2.3.4.1\n\
    digests = sha256\ness_cert_id_alg = sha256\n[none]\nserial = serial\nsigner_digest = sha256\ndefault_policy = 1.2.3.4.1\n\
    digests = sha512\ness_cert_id_alg = sha256\n";

/// An authority in a folder: its own certificate, and the one that issued it.
struct Tsa(TempDir);

impl Tsa {
    fn new(kind: &str) -> Self {
        let tsa = Self(tempfile::tempdir().unwrap());
        std::fs::write(tsa.file("openssl.cnf"), SETTINGS).unwrap();
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"];
        let new: &[&str] = if kind == "ec" { &curve } else { &["-newkey", "rsa:2048"] };
        let files = ["-nodes", "-config", "openssl.cnf", "-days", "2"];
        tsa.openssl(
            &[
                &["req", "-x509", "-subj", "/CN=CA", "-keyout", "ca.key", "-out", "ca.pem", "-extensions", "ca"],
                new,
                &files,
            ]
            .concat(),
        );
        tsa.openssl(
            &[&["req", "-subj", "/CN=Time", "-keyout", "tsa.key", "-out", "tsa.csr"], new, &files[..3]].concat(),
        );
        let by =
            ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "openssl.cnf", "-extensions", "tsa"];
        tsa.openssl(&[&["x509", "-req", "-in", "tsa.csr", "-out", "tsa.pem", "-days", "2"], &by[..]].concat());
        tsa
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn openssl(&self, arguments: &[&str]) {
        let done = Command::new("openssl").args(arguments).current_dir(self.0.path()).output();
        let done = done.expect("openssl is needed: .ci/setup --tests");
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// The answer to a request, by one of the two ways of `SETTINGS`: `one` grants, `none` knows no hash that we use.
    fn answer(&self, request: &[u8], way: &str) -> Vec<u8> {
        std::fs::write(self.file("query"), request).unwrap();
        let key = ["-signer", "tsa.pem", "-inkey", "tsa.key", "-chain", "ca.pem", "-out", "answer"];
        self.openssl(
            &[&["ts", "-reply", "-config", "openssl.cnf", "-section", way, "-queryfile", "query"], &key[..]].concat(),
        );
        std::fs::read(self.file("answer")).unwrap()
    }

    fn trusted(&self, name: &str) -> Authorities {
        Authorities::from_pem(&std::fs::read(self.file(name)).unwrap()).unwrap()
    }
}

const NONCE: [u8; 16] = [7; 16];

#[test]
fn an_answer_to_something_else_is_refused() {
    for kind in ["ec", "rsa"] {
        let (tsa, other) = (Tsa::new(kind), Tsa::new(kind));
        let trusted = tsa.trusted("ca.pem");
        let request = timestamp::request("text\n", NONCE).unwrap();
        let answer = tsa.answer(&request, "one");
        let by_itself = tsa.trusted("tsa.pem");
        let read = |answer: &[u8], trusted: &Authorities| {
            timestamp::read_answer(answer, "text\n", NONCE, trusted).map(|(_, stamp)| stamp)
        };
        let stamp = read(&answer, &trusted).unwrap();
        assert_eq!(stamp.authority, "CN=Time");
        assert_eq!(read(&answer, &by_itself).unwrap(), stamp, "trusted by its own certificate");

        let again = |text, nonce| timestamp::read_answer(&answer, text, nonce, &trusted).map(|(_, stamp)| stamp);
        assert_eq!(again("other\n", NONCE), Err(StampError::Imprint), "the stamp of something else");
        assert_eq!(again("text\n", [8; 16]), Err(StampError::Nonce), "the answer to another request");
        assert_eq!(
            read(&other.answer(&request, "one"), &trusted),
            Err(StampError::Signer),
            "a stranger of the same name"
        );
        assert_eq!(read(&tsa.answer(&request, "none"), &trusted), Err(StampError::NotGranted(2)));
        // The status is not signed: PKIStatus stands behind the headers of two sequences.
        let at = answer.windows(5).position(|window| window == [0x30, 3, 2, 1, 0]).unwrap() + 4;
        for status in 1..=5 {
            let mut changed = answer.clone();
            changed[at] = status;
            assert_eq!(read(&changed, &trusted), Err(StampError::NotGranted(status)), "{status}");
        }
        let mut forged = answer.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert!(matches!(read(&forged, &trusted), Err(StampError::Signature | StampError::Malformed)));
        assert_eq!(read(&answer[..answer.len() - 1], &trusted), Err(StampError::Malformed));
        assert_eq!(read(b"", &trusted), Err(StampError::Malformed));
    }
}

/// The same application, with settings that name the authority.
fn with_authority(world: &World, url: &str, trusted: &Path) -> App {
    let mut config = world.app.config.clone();
    (config.evidence.timestamp_url, config.evidence.timestamp_ca_file) = (url.to_owned(), trusted.to_owned());
    App::new(config, world.app.store.clone(), world.clock.clone(), world.app.tenant.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_dates_the_log_and_a_verifier_who_trusts_it_says_so() {
    // The authority looks at the machine's clock.
    let world = World::of_this_moment().await;
    let tsa = Arc::new(Tsa::new("rsa"));
    let (server, replayed) = (MockServer::start().await, Arc::new(Mutex::new(None::<Vec<u8>>)));
    let (answers, old) = (tsa.clone(), replayed.clone());
    let answer = move |request: &Request| {
        let mut old = old.lock().unwrap();
        let answer = old.take().unwrap_or_else(|| answers.answer(&request.body, "one"));
        ResponseTemplate::new(200).set_body_raw(answer, "application/timestamp-reply")
    };
    let asked = Mock::given(method("POST")).and(header("content-type", "application/timestamp-query"));
    asked.respond_with(answer).mount(&server).await;
    let app = with_authority(&world, &server.uri(), &tsa.file("ca.pem"));
    let tenant = app.tenant.id;
    assert!(!stamps::ask(&app, tenant).await.unwrap(), "nothing to stamp yet");

    let consent = world.connect(CUSTOMER).await;
    while evidence_log::sequence(&app, tenant).await.unwrap() > 0 {}
    assert!(stamps::ask(&app, tenant).await.unwrap());
    assert!(!stamps::ask(&app, tenant).await.unwrap(), "that is stamped already");
    let first = std::fs::read(tsa.file("answer")).unwrap();
    world.connect(tests::world::NEIGHBOUR).await;
    while evidence_log::sequence(&app, tenant).await.unwrap() > 0 {}
    // An old answer is not one to a new request, and nothing is kept of it.
    *replayed.lock().unwrap() = Some(first);
    let refused = format!("{:?}", stamps::ask(&app, tenant).await.unwrap_err());
    assert!(refused.contains("stamps something else"), "{refused}");

    let bundle = evidence_log::bundle(&app, world.about(consent), Some(1)).await.unwrap().unwrap();
    let keys = VerifierKey::read_all(&server::verifier_key(&app).unwrap()).unwrap();
    let verified =
        |authorities: Option<&Authorities>| verify_with(&bundle, &keys, Beside { checkpoint: None, authorities });
    let report = verified(Some(&tsa.trusted("ca.pem"))).unwrap();
    let [(size, stamp)] = report.stamped.as_slice() else { panic!("{report}") };
    assert_eq!(stamp.authority, "CN=Time");
    assert!(report.lines.iter().all(|line| line.index < *size), "{report}");
    assert!(verified(None).unwrap().stamped.is_empty(), "nobody trusts anybody");
    let stranger = Tsa::new("ec");
    let refused = verified(Some(&stranger.trusted("ca.pem"))).unwrap_err().code();
    assert!(refused.starts_with("earlier[") && refused.ends_with(".timestamp"), "{refused}");
    drop(app);
    world.end().await;
}
