//! A witness's signature under a checkpoint that is held outside, and the page that says so.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// A witness's key, and the checkpoint with its signature under it (C2SP tlog-cosignature v1).
pub(super) fn witnessed(checkpoint: &str, seconds: u64) -> (VerifierKey, String) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
    let typed = [&[4], pair.public_key().as_ref()].concat();
    let Hash([a, b, c, d, ..]) = Hash::of(&[b"witness.example\n", &typed]);
    let key = format!("witness.example+{:08x}+{}", u32::from_be_bytes([a, b, c, d]), STANDARD.encode(&typed));
    let (text, _) = checkpoint.split_once("\n\n").unwrap();
    let signature = pair.sign(format!("cosignature/v1\ntime {seconds}\n{text}\n").as_bytes());
    let line = STANDARD.encode([&[a, b, c, d], &seconds.to_be_bytes()[..], signature.as_ref()].concat());
    (key.parse().unwrap(), format!("{checkpoint}\u{2014} witness.example {line}\n"))
}

#[test]
fn a_witness_says_since_when_the_log_stood_and_so_does_the_page() {
    let log = honest();
    let text = log.bundle(consent(1)).to_canonical().unwrap();
    let (witness, cosigned) = witnessed(&log.checkpoint(6), minute(7).as_second().unsigned_abs());
    let keys = [log.keys(), vec![witness.clone()]].concat();
    let report = verify(&text, &keys, Some(&cosigned)).unwrap();
    assert_eq!(report.seen, [note::Seen { witness: "witness.example".to_owned(), at: minute(7) }]);
    assert!(
        report.to_string().contains("The witness witness.example saw the outside checkpoint at 2026-11-21T12:07:00Z")
    );
    let page = report.to_html().unwrap();
    for said in
        ["saw that checkpoint at 2026-11-21T12:07:00Z", "because the person withdrew the consent", "holds the first 6"]
    {
        assert!(page.contains(said), "{said:?} is not in\n{page}");
    }
    assert!(verify(&text, &log.keys(), Some(&cosigned)).unwrap().seen.is_empty(), "a witness that is not trusted");
    let forged = cosigned.replacen("witness.example ", "witness.example A", 1).replacen("=\n", "\n", 1);
    assert!(verify(&text, &keys, Some(&forged)).is_err());
    assert_eq!(verify(&text, &[witness], Some(&cosigned)).unwrap_err().code(), "checkpoint.key", "no log's key");
    let unaware = verify(&text, &log.keys(), None).unwrap().to_html().unwrap();
    assert!(unaware.contains("Time asserted by the operator"), "{unaware}");
}

#[test]
fn a_page_shows_words_and_runs_none() {
    let mut log = honest();
    let mut loud = log.about(Subject::Consent(consent(1)), "data.refused", minute(11));
    loud.body = json!({"because": "<script>alert(1)</script>"});
    log.record(&loud);
    let report = verify(&log.bundle(consent(1)).to_canonical().unwrap(), &log.keys(), None).unwrap();
    let page = report.to_html().unwrap();
    assert!(page.contains("A read was refused: &#60;script&#62;alert(1)"), "{page}");
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"));
}
