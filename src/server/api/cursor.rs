//! Page cursors: opaque, authenticated, bound to the question they continue.
//!
//! A cursor carries the position of the last row served. Its MAC covers tenant, product and account, so that a cursor of
//! one question is worthless in another, and positions cannot be guessed. New rows never invalidate it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::civil::Date;

/// Position of a row in an account's transactions: the day it is listed under, then `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Day that it is listed under.
    pub day: Date,
    /// Our number of the row.
    pub seq: i64,
}

const TAG_BYTES: usize = 16;

/// Makes a page cursor; `mac` authenticates under the tenant's key.
pub fn encode(position: &Position, scope: &[u8], mac: impl Fn(&[u8]) -> [u8; 32]) -> String {
    sign(&format!("1|{}|{}", position.day, position.seq), scope, mac)
}

/// Reads a page cursor; `None` when it is not one of ours for this question.
pub fn decode(text: &str, scope: &[u8], mac: impl Fn(&[u8]) -> [u8; 32]) -> Option<Position> {
    let body = check(text, scope, mac)?;
    let mut parts = body.split('|');
    let (version, day, seq) = (parts.next()?, parts.next()?, parts.next()?);
    let position = Position { day: day.parse().ok()?, seq: seq.parse().ok()? };
    (version == "1" && parts.next().is_none()).then_some(position)
}

/// Makes a cursor of changes: the number of the last one that was told.
pub fn encode_change(number: i64, scope: &[u8], mac: impl Fn(&[u8]) -> [u8; 32]) -> String {
    sign(&format!("changes|{number}"), scope, mac)
}

/// Reads a cursor of changes; `None` when it is not one of ours for this question.
pub fn decode_change(text: &str, scope: &[u8], mac: impl Fn(&[u8]) -> [u8; 32]) -> Option<i64> {
    check(text, scope, mac)?.strip_prefix("changes|")?.parse().ok()
}

fn sign(body: &str, scope: &[u8], mac: impl Fn(&[u8]) -> [u8; 32]) -> String {
    let mut bytes = body.as_bytes().to_vec();
    bytes.extend_from_slice(&tag(body.as_bytes(), scope, mac));
    URL_SAFE_NO_PAD.encode(bytes)
}

fn check(text: &str, scope: &[u8], mac: impl Fn(&[u8]) -> [u8; 32]) -> Option<String> {
    let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let given = bytes.split_off(bytes.len().checked_sub(TAG_BYTES)?);
    aws_lc_rs::constant_time::verify_slices_are_equal(&tag(&bytes, scope, mac), &given).ok()?;
    String::from_utf8(bytes).ok()
}

fn tag(body: &[u8], scope: &[u8], mac: impl Fn(&[u8]) -> [u8; 32]) -> [u8; TAG_BYTES] {
    let mut message = Vec::with_capacity(body.len() + scope.len() + 1);
    message.extend_from_slice(scope);
    message.push(0);
    message.extend_from_slice(body);
    let full = mac(&message);
    let mut tag = [0; TAG_BYTES];
    tag.copy_from_slice(&full[..TAG_BYTES]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(bytes: &[u8]) -> [u8; 32] {
        crate::tokens::hash(&[b"key", bytes].concat())
    }

    #[test]
    fn a_cursor_continues_its_own_question_and_no_other() {
        let position = Position { day: "2026-02-28".parse().unwrap(), seq: 42 };
        let cursor = encode(&position, b"account-a", mac);
        assert_eq!(decode(&cursor, b"account-a", mac), Some(position));
        assert_eq!(decode(&cursor, b"account-b", mac), None);
        for at in 0..cursor.len() {
            let mut bytes = cursor.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(decode(std::str::from_utf8(&bytes).unwrap(), b"account-a", mac), None, "byte {at}");
        }
        let changes = encode_change(42, b"account-a", mac);
        assert_eq!(decode_change(&changes, b"account-a", mac), Some(42));
        assert_eq!(decode_change(&changes, b"account-b", mac), None);
        assert_eq!((decode(&changes, b"account-a", mac), decode_change(&cursor, b"account-a", mac)), (None, None));
        assert_eq!(decode("", b"", mac), None);
        assert_eq!(decode("####", b"", mac), None);
    }
}
