//! SHA-256 values.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// 32 bytes: a SHA-256 value or a salt. Written in base64 with padding (RFC 4648 §4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

/// Text that is not 32 bytes in base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 32 bytes in base64")]
pub struct HashError;

impl Hash {
    /// 32 zero bytes: where a chain begins.
    pub const ZERO: Self = Self([0; 32]);

    /// SHA-256 of the parts one after the other.
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        // Most of what is hashed here is short, and to hash it in one piece is twice as fast as in several.
        let mut short = [0; SHORT_BYTES];
        let mut end = 0;
        for part in parts {
            match short.get_mut(end..end + part.len()) {
                Some(room) => room.copy_from_slice(part),
                None => return Self::of_long(parts),
            }
            end += part.len();
        }
        Self::from_digest(&digest(&SHA256, &short[..end]))
    }

    fn of_long(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        parts.iter().for_each(|part| context.update(part));
        Self::from_digest(&context.finish())
    }

    fn from_digest(digest: &Digest) -> Self {
        // The digest of SHA-256 has 32 bytes.
        Self(digest.as_ref().first_chunk().copied().unwrap_or_default())
    }

    /// Reads the base64 of 32 bytes.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        // The decoder wants room for what the length of the text may hold at most.
        let mut bytes = [0; 33];
        match STANDARD.decode_slice(text, &mut bytes) {
            Ok(32) => bytes.first_chunk().copied().map(Self),
            Ok(_) | Err(_) => None,
        }
    }

    /// The bytes, for a database.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Up to so many bytes are put together before they are hashed.
const SHORT_BYTES: usize = 1024;
/// Length of a hash in base64.
const TEXT_BYTES: usize = 44;

impl Hash {
    /// The base64, without an allocation: a bundle has a million of them.
    fn with_text<T>(&self, then: impl FnOnce(&str) -> T) -> T {
        let mut text = [0; TEXT_BYTES];
        // 32 bytes are always 44 characters, all of them ASCII.
        let written = STANDARD.encode_slice(self.0, &mut text).unwrap_or_default();
        then(str::from_utf8(&text[..written]).unwrap_or_default())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        Self::read(text.as_bytes()).ok_or(HashError)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        as_text::deserialize(deserializer)
    }
}

/// Serde of whatever has a text form of its own: ids of `domain` have no serde, since each edge owns its shapes.
pub(crate) mod as_text {
    use std::fmt::{self, Display};
    use std::marker::PhantomData;
    use std::str::FromStr;

    use serde::{Deserializer, Serializer, de};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        deserializer.deserialize_str(Parsed(PhantomData))
    }

    /// Reads the text where it stands.
    struct Parsed<T>(PhantomData<T>);

    impl<T: FromStr<Err: Display>> de::Visitor<'_> for Parsed<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text of its own form")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
}
