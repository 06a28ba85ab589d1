//! The key of a seal (QSealC, ETSI TS 119 495): what signs single requests, beside the keys that sign assertions.

use josekit::jws::{JwsSigner, RS256};

use crate::keys::SignError;

/// Signs with the key of a seal: RSASSA-PKCS1-v1_5 with SHA-256, which is `RS256` of RFC 7518 §3.3 and `rsa-sha256` of
/// signed HTTP messages (draft-cavage-http-signatures-10 §E.2).
pub trait SealKey: Send + Sync {
    /// The signature of the octets.
    ///
    /// # Errors
    /// The key did not sign.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// Not a PEM private key that can seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a PEM private key to seal with: an RSA key of 2048 bits or more")]
pub struct NoSealKey;

/// A [`SealKey`] over a PEM private key in memory.
pub struct PemSealKey(Box<dyn JwsSigner>);

impl PemSealKey {
    /// Reads an RSA private key, PKCS#8 or PKCS#1.
    ///
    /// # Errors
    /// Another kind of key, or a short one.
    pub fn from_pem(pem: &[u8]) -> Result<Self, NoSealKey> {
        Ok(Self(Box::new(RS256.signer_from_pem(pem).map_err(|_| NoSealKey)?)))
    }
}

impl SealKey for PemSealKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.0.sign(message).map_err(|_| SignError)
    }
}

/// Holds a private key: `Debug` shows that there is one.
impl std::fmt::Debug for PemSealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PemSealKey").finish_non_exhaustive()
    }
}
