//! Signed notes (C2SP signed-note v1) with Ed25519 signatures, and their verifier keys.
//!
//! A note is a text that ends in a newline, a blank line, and one or more lines `— <key name> <base64>`, where the base64
//! holds the key id (4 bytes) and the signature (64 bytes) of the text. A witness signs the text and a time with it (C2SP
//! tlog-cosignature v1): its base64 holds the key id, the time (8 bytes) and the signature.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::{Hash, Origin};

/// What a key signs; the number is the signature type in key ids and verifier keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The text: the key of a log.
    Text = 1,
    /// The text and the time at which it was seen: the key of a witness.
    Seen = 4,
}

/// Signature lines of one note; C2SP demands that at least 16 be accepted.
const SIGNATURES_MAX: usize = 64;
const LINE_START: &str = "\u{2014} ";

/// A public key that somebody has decided to trust: `<name>+<key id, 8 hex digits>+<base64(type || key)>`, the type being
/// 1 for the key of a log and 4 for that of a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: Kind,
    id: [u8; 4],
    public_key: [u8; 32],
}

/// A line that is not an Ed25519 verifier key, or whose key id is not that of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 verifier key (name+id+key)")]
pub struct VerifierKeyError;

impl VerifierKey {
    /// The verifier key of a log's own signing key (32 bytes, RFC 8032 §5.1.2), named after the log.
    pub fn new(origin: &Origin, public_key: [u8; 32]) -> Self {
        Self::named(origin.as_str(), Kind::Text, public_key)
    }

    fn named(name: &str, kind: Kind, public_key: [u8; 32]) -> Self {
        let Hash([a, b, c, d, ..]) = Hash::of(&[name.as_bytes(), b"\n", &[kind as u8], &public_key]);
        Self { name: name.to_owned(), kind, id: [a, b, c, d], public_key }
    }

    /// The key name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is the key of a witness.
    pub fn is_witness(&self) -> bool {
        self.kind == Kind::Seen
    }

    /// Reads a file of keys, one a line; blank lines are passed over.
    pub fn read_all(text: &str) -> Result<Vec<Self>, VerifierKeyError> {
        text.lines().filter(|line| !line.trim().is_empty()).map(|line| line.trim().parse()).collect()
    }

    fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public_key).verify(text.as_bytes(), signature).is_ok()
    }

    /// The time at which a witness saw the text, if the signature says so.
    fn saw(&self, text: &str, signature: &[u8]) -> Option<Timestamp> {
        let (seconds, signature) = signature.split_first_chunk::<8>()?;
        let seconds = u64::from_be_bytes(*seconds);
        let at = Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
        self.verifies(&format!("cosignature/v1\ntime {seconds}\n{text}"), signature).then_some(at)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode([&[self.kind as u8], &self.public_key[..]].concat());
        write!(f, "{}+{:08x}+{key}", self.name, u32::from_be_bytes(self.id))
    }
}

impl FromStr for VerifierKey {
    type Err = VerifierKeyError;

    fn from_str(text: &str) -> Result<Self, VerifierKeyError> {
        // Base64 may contain a plus, a name may not.
        let mut parts = text.splitn(3, '+');
        let name = parts.next().filter(|name| is_key_name(name)).ok_or(VerifierKeyError)?;
        let (_id, key) = (parts.next(), parts.next().ok_or(VerifierKeyError)?);
        let bytes = STANDARD.decode(key).map_err(|_| VerifierKeyError)?;
        let (kind, key) = match bytes.split_first().ok_or(VerifierKeyError)? {
            (1, key) => (Kind::Text, key),
            (4, key) => (Kind::Seen, key),
            _ => return Err(VerifierKeyError),
        };
        let key = Self::named(name, kind, key.try_into().map_err(|_| VerifierKeyError)?);
        if key.to_string() == text { Ok(key) } else { Err(VerifierKeyError) }
    }
}

/// Key names are not empty and have neither blanks nor a plus.
pub(crate) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

type SignFn<'a> = dyn Fn(&[u8]) -> [u8; 64] + Send + Sync + 'a;

/// Signs for a log, by a function that holds the private key.
pub struct Signer<'a> {
    key: VerifierKey,
    sign: Box<SignFn<'a>>,
}

impl<'a> Signer<'a> {
    /// `sign` must make the Ed25519 signature (RFC 8032 §5.1.6) that belongs to `public_key`.
    pub fn new(origin: &Origin, public_key: [u8; 32], sign: impl Fn(&[u8]) -> [u8; 64] + Send + Sync + 'a) -> Self {
        Self { key: VerifierKey::new(origin, public_key), sign: Box::new(sign) }
    }

    /// The key that verifies what this signs; what operators hand out.
    pub const fn verifier_key(&self) -> &VerifierKey {
        &self.key
    }

    /// The signature line of a text, newline included. `text` is the whole note text and ends in a newline.
    pub(crate) fn line(&self, text: &str) -> String {
        let signature = (self.sign)(text.as_bytes());
        let bytes = [&self.key.id[..], &signature[..]].concat();
        format!("{LINE_START}{} {}\n", self.key.name, STANDARD.encode(bytes))
    }

    /// The whole note over a text that ends in a newline.
    pub(crate) fn note(&self, text: &str) -> String {
        format!("{text}\n{}", self.line(text))
    }
}

impl fmt::Debug for Signer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Why a note is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a signed note.
    #[error("not a signed note")]
    Malformed,
    /// No signature by a known key or, under [`Strangers::Refuse`], one by an unknown key.
    #[error("signed by a key that is not among the trusted ones")]
    UnknownKey,
    /// A signature that names a known key and is not by it.
    #[error("the signature is not by the key it names")]
    BadSignature,
}

/// What to do about signatures by unknown keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strangers {
    /// Pass over them, as C2SP says: witnesses may have added theirs.
    Ignore,
    /// Refuse the note: in a bundle, where no byte may be without meaning.
    Refuse,
}

/// The text of a note, newline included, and the names of the keys that signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened<'a> {
    /// The text that was signed.
    pub text: &'a str,
    /// Known keys that signed it, at least one.
    pub signers: Vec<&'a str>,
    /// Known witnesses that signed to have seen it, and when.
    pub seen: Vec<Seen>,
}

/// That a witness saw a note at a time, by its own clock and signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The witness's name.
    pub witness: String,
    /// When, to the second.
    pub at: Timestamp,
}

/// Opens a note with the keys somebody trusts.
pub fn open<'a>(note: &'a str, keys: &[VerifierKey], strangers: Strangers) -> Result<Opened<'a>, NoteError> {
    // The text ends before the last blank line; it keeps its own newline.
    let gap = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
    let (text, lines) = (&note[..=gap], &note[gap + 2..]);
    if note.chars().any(|c| c < ' ' && c != '\n') || !lines.ends_with('\n') || lines.lines().count() > SIGNATURES_MAX {
        return Err(NoteError::Malformed);
    }
    let (mut signers, mut seen, mut read) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines.lines() {
        let (name, id, signature) = signature_line(line).ok_or(NoteError::Malformed)?;
        if read.contains(&(name, id)) {
            return Err(NoteError::Malformed);
        }
        read.push((name, id));
        match keys.iter().find(|key| key.name == name && key.id == id) {
            Some(key) if key.is_witness() => {
                let at = key.saw(text, &signature).ok_or(NoteError::BadSignature)?;
                seen.push(Seen { witness: name.to_owned(), at });
            }
            Some(key) if key.verifies(text, &signature) => signers.push(name),
            Some(_) => return Err(NoteError::BadSignature),
            None if strangers == Strangers::Refuse => return Err(NoteError::UnknownKey),
            None => {}
        }
    }
    if signers.is_empty() { Err(NoteError::UnknownKey) } else { Ok(Opened { text, signers, seen }) }
}

/// What a witness is asked (C2SP tlog-witness, `add-checkpoint`): to sign a checkpoint, given the proof that it continues the
/// one of `old` leaves, which the witness signed last; 0 and no proof for the first.
pub fn add_checkpoint(old: u64, proof: &[Hash], note: &str) -> String {
    let proof: String = proof.iter().map(|hash| format!("{hash}\n")).collect();
    format!("old {old}\n{proof}\n{note}")
}

/// The lines of a witness's answer that belong under `note`, which must be signed by a key among `keys` as well: those by
/// witnesses among them, their signatures being good. [`NoteError::UnknownKey`] if there is none.
pub fn cosignatures(note: &str, answer: &str, keys: &[VerifierKey]) -> Result<(String, Vec<Seen>), NoteError> {
    let whole = format!("{note}{answer}");
    let seen = open(&whole, keys, Strangers::Ignore)?.seen;
    let known = |line: &&str| {
        let line = signature_line(line).map(|(name, id, _)| (name.to_owned(), id));
        line.is_some_and(|(name, id)| keys.iter().any(|key| key.is_witness() && key.name == name && key.id == id))
    };
    let lines: String = answer.lines().filter(known).map(|line| format!("{line}\n")).collect();
    if seen.is_empty() { Err(NoteError::UnknownKey) } else { Ok((lines, seen)) }
}

fn signature_line(line: &str) -> Option<(&str, [u8; 4], Vec<u8>)> {
    let (name, signature) = line.strip_prefix(LINE_START)?.split_once(' ')?;
    let bytes = STANDARD.decode(signature).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    (is_key_name(name) && !signature.is_empty()).then(|| (name, *id, signature.to_vec()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The key and the note that Go's note package documents: made by a program that nobody here wrote.
    const PEOPLE: (&str, &str) = (
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
         \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
    );

    #[test]
    fn a_note_of_another_implementation_opens() {
        let key: VerifierKey = PEOPLE.0.parse().unwrap();
        assert_eq!(key.name(), "PeterNeumann");
        assert_eq!(key.to_string(), PEOPLE.0);
        let opened = open(PEOPLE.1, &[key], Strangers::Refuse).unwrap();
        assert!(opened.text.ends_with("problem is.\n"));
    }

    #[test]
    fn keys_that_are_not_what_they_say_are_refused() {
        for bad in [
            "",
            "PeterNeumann",
            "PeterNeumann+c74f20a3",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "Somebody+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
        ] {
            assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
        }
        assert_eq!(VerifierKey::read_all(&format!("\n{}\r\n\n", PEOPLE.0)).unwrap().len(), 1);
        assert!(VerifierKey::read_all(&format!("{}\nnonsense", PEOPLE.0)).is_err());
    }

    #[test]
    fn strangers_are_passed_over_or_refused_as_asked() {
        let key: VerifierKey = PEOPLE.0.parse().unwrap();
        let stranger = format!("{}\u{2014} somebody AAAAAAAA\n", PEOPLE.1);
        assert!(open(&stranger, std::slice::from_ref(&key), Strangers::Ignore).is_ok());
        assert_eq!(open(&stranger, std::slice::from_ref(&key), Strangers::Refuse), Err(NoteError::UnknownKey));
        assert_eq!(open(PEOPLE.1, &[], Strangers::Ignore), Err(NoteError::UnknownKey));

        let twice = format!("{}{}", PEOPLE.1, PEOPLE.1.lines().last().unwrap());
        assert_eq!(open(&format!("{twice}\n"), &[key], Strangers::Ignore), Err(NoteError::Malformed));
    }

    /// A witness that nobody here wrote signs by these words of C2SP tlog-cosignature; the key pair is ours.
    #[test]
    fn a_witness_says_when_it_saw_a_checkpoint() {
        use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let public = pair.public_key().as_ref().try_into().unwrap();
        let key = VerifierKey::named("witness.example/w1", Kind::Seen, public);
        assert_eq!(key.to_string().parse::<VerifierKey>().unwrap(), key);
        assert!(key.to_string().contains("+B"), "type 4 in base64 begins with B: {key}");
        let people: VerifierKey = PEOPLE.0.parse().unwrap();
        let (text, _) = PEOPLE.1.rsplit_once("\n\n").unwrap();
        let line = |time: u64, signed: u64| {
            let signature = pair.sign(format!("cosignature/v1\ntime {signed}\n{text}\n").as_bytes());
            let bytes = [&key.id[..], &time.to_be_bytes(), signature.as_ref()].concat();
            format!("{LINE_START}{} {}\n", key.name, STANDARD.encode(bytes))
        };
        let keys = [people.clone(), key.clone()];
        let good = line(1_679_315_147, 1_679_315_147);
        let stranger = "\u{2014} stranger.example/w2 AAAAAAAA\n";
        let (lines, seen) = cosignatures(PEOPLE.1, &format!("{stranger}{good}"), &keys).unwrap();
        assert_eq!(lines, good, "strangers' lines are left out");
        let at = "2023-03-20T12:25:47Z".parse().unwrap();
        assert_eq!(seen, [Seen { witness: "witness.example/w1".to_owned(), at }]);
        let refused = |answer: &str, keys: &[VerifierKey]| cosignatures(PEOPLE.1, answer, keys).unwrap_err();
        assert_eq!(refused(&line(1_679_315_148, 1_679_315_147), &keys), NoteError::BadSignature, "another time");
        assert_eq!(refused(&line(u64::MAX, u64::MAX), &keys), NoteError::BadSignature, "beyond the calendar");
        assert_eq!(refused(&good, &[people]), NoteError::UnknownKey);
        assert_eq!(refused(&good, &[key]), NoteError::UnknownKey, "a witness does not speak for the log");
        assert_eq!(refused("Not found\n", &keys), NoteError::Malformed);
        assert_eq!(add_checkpoint(3, &[Hash::ZERO], "note"), format!("old 3\n{}\n\nnote", Hash::ZERO));
    }

    proptest! {
        #[test]
        fn a_note_with_one_changed_bit_does_not_open(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let key: VerifierKey = PEOPLE.0.parse().unwrap();
            let mut bytes = PEOPLE.1.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(text) = String::from_utf8(bytes) {
                prop_assert!(open(&text, &[key], Strangers::Ignore).is_err());
            }
        }

        #[test]
        fn no_text_panics(text in "[\n\u{2014} a-z+/=]{0,60}") {
            let key: VerifierKey = PEOPLE.0.parse().unwrap();
            prop_assert!(open(&text, &[key], Strangers::Ignore).is_err());
            prop_assert!(text.parse::<VerifierKey>().is_err());
        }
    }
}
