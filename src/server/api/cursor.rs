//! Page cursors: opaque, authenticated, bound to the question they continue.
//!
//! A cursor carries the position of the last row served. Its MAC covers tenant, product and account, so that a cursor of
//! one question is worthless in another, and positions cannot be guessed. New rows never invalidate it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::ids::{BalanceId, LineId, ProductId};
use jiff::Timestamp;
use jiff::civil::Date;
use store::balances::Cursor as Balance;
use uuid::Uuid;

/// Position of a row in an account's transactions: the day it is listed under, then `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Day that it is listed under.
    pub day: Date,
    /// Our number of the row.
    pub seq: i64,
}

const TAG_BYTES: usize = 16;
/// What a cursor of several accounts begins with.
const POSITIONS: &[u8] = b"accounts|";

/// Whose a cursor of one account is: it is good for that product and that line alone.
pub fn scope(product: ProductId, line: LineId) -> Vec<u8> {
    [product.uuid().as_bytes().as_slice(), line.uuid().as_bytes()].concat()
}

/// Makes a page cursor; `mac` authenticates under the tenant's key.
pub fn encode(position: &Position, scope: &[u8], mac: impl Fn(&[u8]) -> [u8; 32]) -> String {
    sign(format!("1|{}|{}", position.day, position.seq).as_bytes(), scope, mac)
}

/// Reads a page cursor; `None` when it is not one of ours for this question.
pub fn decode(text: &str, scope: &[u8], mac: impl Fn(&[u8]) -> [u8; 32]) -> Option<Position> {
    let body = String::from_utf8(check(text, scope, mac)?).ok()?;
    let mut parts = body.split('|');
    let (version, day, seq) = (parts.next()?, parts.next()?, parts.next()?);
    let position = Position { day: day.parse().ok()?, seq: seq.parse().ok()? };
    (version == "1" && parts.next().is_none()).then_some(position)
}

/// Makes a cursor of changes: the number of the last one that was told.
pub fn encode_change(number: i64, scope: &[u8], mac: impl Fn(&[u8]) -> [u8; 32]) -> String {
    sign(format!("changes|{number}").as_bytes(), scope, mac)
}

/// Reads a cursor of changes; `None` when it is not one of ours for this question.
pub fn decode_change(text: &str, scope: &[u8], mac: impl Fn(&[u8]) -> [u8; 32]) -> Option<i64> {
    String::from_utf8(check(text, scope, mac)?).ok()?.strip_prefix("changes|")?.parse().ok()
}

/// Makes a cursor of changes of several accounts: of each the number of the last one that was told.
pub fn encode_positions(positions: &[(LineId, i64)], scope: &[u8], mac: impl Fn(&[u8]) -> [u8; 32]) -> String {
    let mut body = POSITIONS.to_vec();
    for (line, number) in positions {
        body.extend_from_slice(line.uuid().as_bytes());
        body.extend_from_slice(&number.to_be_bytes());
    }
    sign(&body, scope, mac)
}

/// Reads a cursor of changes of several accounts; `None` when it is not one of ours for this question.
pub fn decode_positions(text: &str, scope: &[u8], mac: impl Fn(&[u8]) -> [u8; 32]) -> Option<Vec<(LineId, i64)>> {
    let body = check(text, scope, mac)?;
    let (positions, rest) = body.strip_prefix(POSITIONS)?.as_chunks::<24>();
    let read = |position: &[u8; 24]| {
        let (line, number) = position.split_at(16);
        Some((LineId::from_uuid(Uuid::from_slice(line).ok()?), i64::from_be_bytes(number.try_into().ok()?)))
    };
    rest.is_empty().then(|| positions.iter().map(read).collect())?
}

/// Makes a cursor of a history of balances.
pub fn encode_balance(last: &Balance, scope: &[u8], mac: impl Fn(&[u8]) -> [u8; 32]) -> String {
    sign(format!("balance|{}|{}", last.fetched_at.as_microsecond(), last.id.uuid()).as_bytes(), scope, mac)
}

/// Reads a cursor of a history of balances; `None` when it is not one of ours for this question.
pub fn decode_balance(text: &str, scope: &[u8], mac: impl Fn(&[u8]) -> [u8; 32]) -> Option<Balance> {
    let body = String::from_utf8(check(text, scope, mac)?).ok()?;
    let (micros, id) = body.strip_prefix("balance|")?.split_once('|')?;
    let fetched_at = Timestamp::from_microsecond(micros.parse().ok()?).ok()?;
    Some(Balance { fetched_at, id: BalanceId::from_uuid(id.parse().ok()?) })
}

fn sign(body: &[u8], scope: &[u8], mac: impl Fn(&[u8]) -> [u8; 32]) -> String {
    let mut bytes = body.to_vec();
    bytes.extend_from_slice(&tag(body, scope, mac));
    URL_SAFE_NO_PAD.encode(bytes)
}

fn check(text: &str, scope: &[u8], mac: impl Fn(&[u8]) -> [u8; 32]) -> Option<Vec<u8>> {
    let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let given = bytes.split_off(bytes.len().checked_sub(TAG_BYTES)?);
    aws_lc_rs::constant_time::verify_slices_are_equal(&tag(&bytes, scope, mac), &given).ok()?;
    Some(bytes)
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
        let lines = [1, i64::MAX].map(|n| (LineId::from_uuid(Uuid::from_u128(n.unsigned_abs().into())), n));
        for several in [&lines[..], &[]] {
            let cursor = encode_positions(several, b"product", mac);
            assert_eq!(decode_positions(&cursor, b"product", mac).as_deref(), Some(several));
            assert_eq!(
                (decode_positions(&cursor, b"else", mac), decode_change(&cursor, b"product", mac)),
                (None, None)
            );
        }
        assert_eq!(decode_positions(&changes, b"account-a", mac), None);
        assert_eq!((decode(&changes, b"account-a", mac), decode_change(&cursor, b"account-a", mac)), (None, None));
        let last = Balance { fetched_at: Timestamp::UNIX_EPOCH, id: BalanceId::from_uuid(Uuid::from_u128(7)) };
        let history = encode_balance(&last, b"account-a", mac);
        assert_eq!(decode_balance(&history, b"account-a", mac), Some(last));
        assert_eq!(
            (decode_balance(&history, b"account-b", mac), decode_balance(&cursor, b"account-a", mac)),
            (None, None)
        );
        assert_eq!((decode(&history, b"account-a", mac), decode_change(&history, b"account-a", mac)), (None, None));
        assert_eq!(decode("", b"", mac), None);
        assert_eq!(decode("####", b"", mac), None);
    }
}
