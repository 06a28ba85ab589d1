//! Data keys: sealing, opening and keyed tags.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::hmac;
use domain::world::Entropy;
use zeroize::Zeroizing;

/// Values that may be sealed under one data key before it has to be replaced by a new one.
///
/// Nonces are random and 96 bits long. NIST SP 800-38D §8.3 allows 2^32 of them under one key, which keeps the chance of
/// any repetition below 2^-32. AES-GCM-SIV (RFC 8452) would survive a repetition: all it shows is whether two plain
/// texts of one binding are equal. The bound is kept nevertheless, since no account comes near it.
pub const SEALS_PER_KEY_MAX: u64 = 1 << 32;

/// How values are sealed, as receipts name it.
pub const SEALING: &str = "AES-256-GCM-SIV";

/// Bytes that sealing adds to the plain text: version, nonce and tag.
pub const SEALED_OVERHEAD: usize = 1 + NONCE_LEN + TAG_LEN;

pub(crate) const KEY_LEN: usize = 32;
const TAG_LEN: usize = 16;
/// First byte of everything sealed in the form that [`DataKey::seal`] describes.
const VERSION: u8 = 1;
const SALT: &[u8] = b"tributary data key 1";
const SEAL_INFO: &[u8] = b"seal";
const MAC_INFO: &[u8] = b"mac:";

/// Sealed bytes that do not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Shorter than any sealed value, or of a version that this build does not know.
    #[error("these bytes are not a sealed value of a known version")]
    Unrecognised,
    /// Another key, another binding, or altered bytes. Which of them cannot be told.
    #[error("the sealed value does not open under this key and binding")]
    Refused,
}

/// A 256-bit key of one line, grant or other subject. Wiped from memory when dropped.
///
/// The key itself is used for nothing: sealing and every purpose of [`DataKey::mac`] have keys of their own, derived by
/// HKDF-SHA-256 (RFC 5869).
pub struct DataKey {
    secret: Zeroizing<[u8; KEY_LEN]>,
    derived: Prk,
    sealing: LessSafeKey,
}

/// Length of the keys that HKDF derives here.
struct Derived;

impl KeyType for Derived {
    fn len(&self) -> usize {
        KEY_LEN
    }
}

impl DataKey {
    /// A fresh key.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut secret = Zeroizing::new([0; KEY_LEN]);
        entropy.fill(secret.as_mut_slice());
        Self::from_secret(secret)
    }

    pub(crate) fn from_secret(secret: Zeroizing<[u8; KEY_LEN]>) -> Self {
        let derived = Salt::new(HKDF_SHA256, SALT).extract(secret.as_slice());
        let sealing = derive(&derived, &[SEAL_INFO]);
        #[allow(clippy::expect_used, reason = "the length is a constant of the algorithm")]
        let sealing = UnboundKey::new(&AES_256_GCM_SIV, sealing.as_slice()).expect("a key of 32 bytes");
        Self { secret, derived, sealing: LessSafeKey::new(sealing) }
    }

    /// The key material, for wrapping and nothing else.
    pub(crate) fn secret(&self) -> &[u8; KEY_LEN] {
        &self.secret
    }

    /// Seals `plain` for the place that `binding` names ([`Binding::to_bytes`](crate::Binding::to_bytes)).
    ///
    /// The result is version (1 byte) || nonce (12) || AES-256-GCM-SIV cipher text || tag (16), with version and binding
    /// as associated data. The bound on uses of one key is [`SEALS_PER_KEY_MAX`].
    pub fn seal(&self, binding: &[u8], plain: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut sealed = Vec::with_capacity(plain.len() + SEALED_OVERHEAD);
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        // Encrypted where it will stay, so that no second copy of the plain text is left behind in memory.
        #[allow(clippy::expect_used, reason = "AES-GCM-SIV fails only beyond 2^36 bytes, more than one value can hold")]
        let tag = self
            .sealing
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                associated(binding),
                &mut sealed[1 + NONCE_LEN..],
            )
            .expect("a value below 64 GiB");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens what [`DataKey::seal`] made for the same binding. The plain text is wiped when dropped.
    pub fn open(&self, binding: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (&version, rest) = sealed.split_first().ok_or(OpenError::Unrecognised)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(OpenError::Unrecognised)?;
        if version != VERSION || rest.len() < TAG_LEN {
            return Err(OpenError::Unrecognised);
        }
        let mut plain = Zeroizing::new(rest.to_vec());
        let length = self
            .sealing
            .open_in_place(Nonce::assume_unique_for_key(*nonce), associated(binding), &mut plain)
            .map_err(|_| OpenError::Refused)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }

    /// HMAC-SHA-256 of `data` under a key that is derived for `purpose` alone: equality can be looked up in the database
    /// by whoever holds the key and by nobody else.
    pub fn mac(&self, purpose: &'static str, data: &[u8]) -> [u8; 32] {
        let key = derive(&self.derived, &[MAC_INFO, purpose.as_bytes()]);
        hmac_sha256(key.as_slice(), data)
    }
}

/// Says that there is a key and nothing about it.
impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

fn associated(binding: &[u8]) -> Aad<Vec<u8>> {
    let mut bytes = Vec::with_capacity(1 + binding.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(binding);
    Aad::from(bytes)
}

fn derive(from: &Prk, info: &[&[u8]]) -> Zeroizing<[u8; KEY_LEN]> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    #[allow(clippy::expect_used, reason = "HKDF fails only for outputs longer than 255 hashes")]
    from.expand(info, Derived).and_then(|okm| okm.fill(key.as_mut_slice())).expect("an output of one hash");
    key
}

pub(crate) fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::SeededEntropy;

    fn key(seed: u64) -> DataKey {
        DataKey::generate(&SeededEntropy::new(seed))
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(plain in proptest::collection::vec(any::<u8>(), 0..300), binding in any::<Vec<u8>>()) {
            let entropy = SeededEntropy::new(1);
            let sealed = key(7).seal(&binding, &plain, &entropy);
            prop_assert_eq!(sealed.len(), plain.len() + SEALED_OVERHEAD);
            prop_assert_eq!(&**key(7).open(&binding, &sealed).unwrap(), &plain);
        }

        #[test]
        fn one_changed_bit_anywhere_refuses(
            plain in proptest::collection::vec(any::<u8>(), 0..40), at in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let mut sealed = key(7).seal(b"here", &plain, &SeededEntropy::new(1));
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(key(7).open(b"here", &sealed).is_err());
        }

        #[test]
        fn no_input_panics(bytes in any::<Vec<u8>>()) {
            prop_assert!(key(7).open(b"here", &bytes).is_err());
        }
    }

    #[test]
    fn another_key_or_place_refuses() {
        let sealed = key(7).seal(b"here", b"plain", &SeededEntropy::new(1));
        assert_eq!(key(8).open(b"here", &sealed), Err(OpenError::Refused));
        assert_eq!(key(7).open(b"there", &sealed), Err(OpenError::Refused));
        assert_eq!(key(7).open(b"here", &sealed[..sealed.len() - 1]), Err(OpenError::Refused));
        assert_eq!(key(7).open(b"here", &sealed[..SEALED_OVERHEAD - 1]), Err(OpenError::Unrecognised));
    }

    #[test]
    fn equal_values_do_not_look_equal() {
        let entropy = SeededEntropy::new(1);
        assert_ne!(key(7).seal(b"here", b"plain", &entropy), key(7).seal(b"here", b"plain", &entropy));
    }

    #[test]
    fn a_tag_depends_on_key_purpose_and_data_and_on_nothing_else() {
        let tag = key(7).mac("dedup", b"data");
        assert_eq!(tag, key(7).mac("dedup", b"data"));
        assert_ne!(tag, key(8).mac("dedup", b"data"));
        assert_ne!(tag, key(7).mac("lookup", b"data"));
        assert_ne!(tag, key(7).mac("dedup", b"date"));
        assert_ne!(tag, hmac_sha256(key(7).secret(), b"data"), "the data key itself never keys a tag");
    }

    /// RFC 5869 and RFC 2104 by an independent reading: extract and expand written out with HMAC alone.
    #[test]
    fn keys_are_derived_as_documented() {
        let key = key(7);
        let prk = hmac_sha256(SALT, key.secret());
        let mac_key = hmac_sha256(&prk, b"mac:dedup\x01");
        assert_eq!(key.mac("dedup", b"data"), hmac_sha256(&mac_key, b"data"));
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", key(7)), "DataKey(..)");
    }
}
