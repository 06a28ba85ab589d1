//! Signatures of requests against what programs of others made of the same requests with the same key: npm
//! `http-signature` 1.4 for the forms of draft-cavage-http-signatures, npm `jose` 6 for the detached JWS. RSASSA-PKCS1-v1_5
//! leaves no choice, so the signatures are equal letter by letter.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::sync::Arc;

use bank_adapters::Bank;
use bank_adapters::endpoints::Endpoints;
use bank_adapters::profile::Profile;
use bank_adapters::seal::{Seal, SealError, Sender};
use bytes::Bytes;
use fapi::seal::PemSealKey;
use http::Request;

const KEY: &[u8] = include_bytes!("signatures/key.pem");
const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const NOW: &str = "2026-11-21T09:30:00Z";

const HTTP: &str = "f7wgDSdcFWnpHO8Mp2kU5Ey+f19oZLos31Yxy4OlB3PC3j5+XnWM1lwa/ylHFss+KMKC7EkxTJihstTQPka2m5ee6QmUBzZR\
     MXLKvQNT18IqOM9sYS0A+Pvll8RjEVoSpdJd4anitwSKxTbgWt8oxPM/jU8tLkqtDRj0hflXoAgj/A6NZO/rP1yG7iXNykWJ\
     F1q4zUzXRAeCKvo+lTWVvhOvXxypTrFdS4+iLBFqzkeXoWl624X/YZ3gbCZqDF9qeoDJXAaSp2Mds5V01ei6UFa5/fE/H4ZP\
     evEgb2FELA7bvZccgWnLCeBUjVjF/to6uHj3tExMST+zltYUuULXyw==";
const TARGET: &str = "Wcnfp69mSUB0odKj1wdONO+68ZIQKdlr120/S1AeVw7588ORThxp3aI/ay2NnwgSqqcotMbIquKsOuGFclKa5txETWvZMdZR\
     fq88PbVH8F9PpCYIxjC2bdMSjSf/wrp6er5bC56smCHama77y/EyZsKGADGE49Ij6z3l/RjqFOXOyrkLKpRaE6w1LXj5HNo4\
     Dm0TgoIG5fLtrVxFzh/j5FJ8kWwv6LnR/kNmluG0LuXxh7Hpi/E3dU5hunrREMD59/wnP5wVwfI3VdHsM6lHbj6A8EfiieJd\
     eeuWafrEedl9VOotzhEH2+bgeGbjmOWh9wpklD9cqMR8MwHzKfqM8Q==";
const STET: &str = "V2OpdlqCq9/3Ab0MhkzSzMf3gxGv4HiiBt/G0AYOXC71IG1lfOMeGWqXkLU3+vxbxheD8azgP5iO/OwiuAmgfMmAXWFDAcYC\
     2bP80t+JMlKacwnURHukyIgqJWMTXM+hj1vNRKWYHVFtYmEoXILzpw6xjqD2nvfArpHZXfL3OOFqmQq0O7mNha71XALfDiTk\
     3tQ09u6nqEEgwAJxD8HAHxHOSQxhyDoOR6VMKTdj2WtnP4jrYD6C23NWE2VW2e+mLwV7aSFkU1GzY09TY+Rya3C6Mcl2zhUc\
     homLmwUWVfUh3JUUOOlEfZQ0Jfry1FNs7A9z04/5XaGXEUCJJSxPWg==";
const JWS: &str = "eyJhbGciOiJSUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il0sIng1YyI6WyJZMlZ5ZEdsbWFXTmhkR1U9Il0sIng1\
     dCNTMjU2IjoiQTladDBJZzF3Y29fRW96T3JOSHpHc2xCWXdscklQUkZyb1FvVzhDRExYSSJ9..fputOvGEeXl1ptsEzJ2Ad1\
     A3AHsJR2o1f3Q-Szb6EPKeWqKh41EwGmxH3vvoxTF50fxUoj2sGeV1qxQjaiFbTiY_f8gzlx9QQtNt_d5-oR9nTcPwVxarJW\
     C988ThLANb6BWSuAelhaFSHJXgkvXoAA3K6GpUpmykIc80yf7euQDwudbGksMq6lD6axV9ESOImsjXbMu23be82Ve7kyiznp\
     VBrcVeKL8jYg_Es7KxX2BE2itLns3dq718xS2kSJmzevx2hRVPXG7SKuOOAjQhf_QIXH1Wp8IXVFosbcwTKdgM_-9J2GAmSa\
     fqgzcivxX1hWUqENt_RNk8vFIgPpn8CQ";

/// A bank that wants requests signed in a form; none: it does not.
fn bank(form: Option<&str>) -> Arc<dyn Bank> {
    let text = include_str!("../profiles/de/de_musterbank.toml");
    let wanted = form.map(|form| format!("[signature]\nform = \"{form}\"\n\n[consent]")).unwrap_or("[consent]".into());
    let profile = Profile::parse("de_musterbank.toml", &text.replace("[consent]", &wanted)).unwrap();
    let api = "https://bank.example".to_owned().try_into().ok();
    bank_adapters::open(Arc::new(profile), &Endpoints { api, ..Endpoints::default() }).unwrap()
}

fn seal() -> Seal {
    Seal {
        key: Arc::new(PemSealKey::from_pem(KEY).unwrap()),
        certificate: b"certificate".to_vec(),
        name: "SN=1F,CA=CN=Test".to_owned(),
        address: "https://tpp.example/qsealc.pem".parse().ok(),
    }
}

fn sender(seal: Option<&Seal>) -> Sender<'_> {
    Sender { client_id: "client-1", token: None, now: NOW.parse().unwrap(), seal }
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &'static str) -> Request<Bytes> {
    let start = Request::builder().method(method).uri(format!("https://bank.example{path}")).header("x-request-id", ID);
    let request = headers.iter().fold(start, |request, (name, value)| request.header(*name, *value));
    request.body(Bytes::from(body)).unwrap()
}

fn signed(form: &str, request: Request<Bytes>, header: &str) -> String {
    let seal = seal();
    let sent = bank(Some(form)).finish(request, &sender(Some(&seal))).unwrap();
    sent.headers()[header].to_str().unwrap().to_owned()
}

fn signature(value: &str) -> (&str, &str) {
    value.rsplit_once(",signature=").unwrap()
}

#[test]
fn every_form_is_signed_as_programs_of_others_sign_it() {
    let of_psu = [("psu-id", "heike"), ("tpp-redirect-uri", "https://tpp.example/back")];
    let consent = request("POST", "/v1/consents", &of_psu, r#"{"access":{"allPsd2":"allAccounts"}}"#);
    let value = signed("http", consent, "signature");
    let names =
        "keyId=\"SN=1F,CA=CN=Test\",algorithm=\"rsa-sha256\",headers=\"digest x-request-id psu-id tpp-redirect-uri\"";
    assert_eq!(signature(&value), (names, &*format!("\"{HTTP}\"")));

    let value = signed("http_target", request("GET", "/v3/accounts?currency=EUR", &[], ""), "signature");
    let names = "keyId=\"client-1\",algorithm=\"rsa-sha256\",headers=\"(request-target) date digest x-request-id\"";
    assert_eq!(signature(&value), (names, &*format!("\"{TARGET}\"")));

    let of_psu = [("psu-ip-address", "192.0.2.47")];
    let value = signed("stet", request("GET", "/accounts", &of_psu, ""), "signature");
    let names = "keyId=\"https://tpp.example/qsealc.pem\",algorithm=\"rsa-sha256\",\
                 headers=\"(request-target) date digest x-request-id psu-ip-address\"";
    assert_eq!(signature(&value), (names, &*format!("\"{STET}\"")));

    let body = r#"{"accountNumber":"1","requestHeader":{"isDirectPsu":false,"requestId":"x"}}"#;
    assert_eq!(signed("jws", request("POST", "/x", &[], body), "x-jws-signature"), JWS);
}

#[test]
fn a_request_that_cannot_be_signed_is_not_sent_and_one_that_need_not_be_is_left_alone() {
    let plain = || request("GET", "/v1/accounts", &[], "");
    let refused = |form, seal: Option<&Seal>| bank(Some(form)).finish(plain(), &sender(seal)).unwrap_err();
    for form in ["http", "http_target", "stet", "jws"] {
        assert_eq!(refused(form, None), SealError::Missing, "{form}");
    }
    let nowhere = Seal { address: None, ..seal() };
    assert_eq!(refused("stet", Some(&nowhere)), SealError::Address);
    let unsigned = bank(None).finish(plain(), &sender(Some(&seal()))).unwrap();
    assert_eq!(unsigned.headers(), plain().headers());
}
