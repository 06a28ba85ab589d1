//! Bytes of a secret value, for a store that seals them.
//!
//! The form is our own and private: JSON in memory that is wiped. It must never be stored or sent unsealed.

use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

/// Bytes that this crate did not write, or that an older version wrote in another form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the bytes of this kind of value")]
pub struct Unreadable;

/// The bytes of a value. Serialising plain strings and numbers cannot fail; nothing else is given here.
pub(crate) fn write(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(serde_json::to_vec(value).unwrap_or_default())
}

/// The value of bytes.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(bytes).map_err(|_| Unreadable)
}

/// Lets a secret into the bytes; for `serde(serialize_with)`.
pub(crate) fn secret<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// Lets an optional secret into the bytes.
pub(crate) fn optional<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(ExposeSecret::expose_secret).serialize(serializer)
}
