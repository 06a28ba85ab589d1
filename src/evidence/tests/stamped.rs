//! A time-stamp in the bundle, made by `openssl ts` over the checkpoint of `vectors/`, and every way in which it is not one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::timestamp::{self, Authorities, Stamp, StampError};
use crate::verify::not_after_stamps;

const TOKEN: &str = include_str!("../vectors/timestamp.txt");
const AUTHORITY: &[u8] = include_bytes!("../vectors/authority.pem");
const CHECKPOINT: &str = include_str!("../vectors/checkpoint.note");

fn text() -> String {
    format!("{}\n", CHECKPOINT.split_once("\n\n").unwrap().0)
}

fn token() -> Vec<u8> {
    STANDARD.decode(TOKEN).unwrap()
}

#[test]
fn an_authority_says_since_when_the_log_stood() {
    let (log, trusted) = (honest(), Authorities::from_pem(AUTHORITY).unwrap());
    let mut bundle = log.bundle(consent(1));
    bundle.earlier[1].timestamp = Some(TOKEN.to_owned());
    let file = bundle.to_canonical().unwrap();
    let beside = Beside { checkpoint: None, authorities: Some(&trusted) };
    let report = verify_with(&file, &log.keys(), beside).unwrap();
    let [(6, stamp)] = report.stamped.as_slice() else { panic!("{report}") };
    assert_eq!(stamp.authority, "CN=Time,O=Time Ltd");
    assert!(stamp.at > "2026-11-21T00:00:00Z".parse().unwrap() && stamp.at < "2026-11-22T00:00:00Z".parse().unwrap());
    for text in [report.to_string(), report.to_html().unwrap()] {
        assert!(text.contains("The time-stamp authority CN=Time,O=Time Ltd signed at 2026-11-21T"), "{text}");
        assert!(!text.contains("no outside checkpoint was given"), "{text}");
    }
    let unaware = verify(&file, &log.keys(), None).unwrap();
    assert!(unaware.stamped.is_empty() && unaware.to_string().contains("Time asserted by the operator"));

    let refused = |token: &str, at: usize| {
        let mut bundle = log.bundle(consent(1));
        bundle.earlier[at].timestamp = Some(token.to_owned());
        verify_with(&bundle.to_canonical().unwrap(), &log.keys(), beside).unwrap_err().code()
    };
    assert_eq!(refused(TOKEN, 0), "earlier[0].timestamp", "the stamp of another checkpoint");
    assert_eq!(refused("AAAA", 1), "earlier[1].timestamp");
    assert_eq!(refused("AAA", 1), "earlier[1].form");
}

#[test]
fn what_was_stamped_claims_no_time_after_the_stamp() {
    let log = honest();
    let report = verify(&log.bundle(consent(1)).to_canonical().unwrap(), &log.keys(), None).unwrap();
    // Entries of the consent: at minutes 0, 2, 3 and 5 the first four, which a checkpoint of six covers.
    let judged = |at: Timestamp| {
        let stamp = Stamp { authority: "CN=Time".to_owned(), at };
        not_after_stamps(&report.lines, &[(6, stamp)]).map_err(|refusal| refusal.code())
    };
    assert_eq!(judged(minute(5)), Ok(()));
    assert_eq!(judged(minute(5 - 60)), Ok(()), "an hour is for clocks");
    assert_eq!(judged(minute(4 - 60)), Err("entries[3].time".to_owned()));
    assert_eq!(judged(minute(-61)), Err("entries[0].time".to_owned()));
    let none = |at| not_after_stamps(&report.lines, &[(0, Stamp { authority: String::new(), at })]);
    assert!(none(minute(-1000)).is_ok(), "it covers none of them");
}

#[test]
fn a_token_says_one_thing_in_one_form() {
    let trusted = Authorities::from_pem(AUTHORITY).unwrap();
    let stamp = timestamp::check(&token(), &text(), &trusted).unwrap();
    assert_eq!(timestamp::check(&token(), "something else\n", &trusted), Err(StampError::Imprint));
    for at in 0..token().len() {
        let mut altered = token();
        altered[at] ^= 1;
        // Some bytes of the envelope (RFC 5652: versions, the list of digests) are not signed, and say nothing.
        if let Ok(altered) = timestamp::check(&altered, &text(), &trusted) {
            assert_eq!(altered, stamp, "byte {at}");
        }
    }
    let mut longer = token();
    longer.push(0);
    assert_eq!(timestamp::check(&longer, &text(), &trusted), Err(StampError::Malformed));
    for bad in [&b""[..], b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(Authorities::from_pem(bad).is_err());
    }
}
