//! A private key that lies elsewhere, in a token or behind a service, in the handshakes of TLS.

use std::fmt;
use std::sync::Arc;

use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

/// Bytes of one half of an ECDSA signature on P-256.
const HALF_BYTES: usize = 32;
/// DER tags (X.690 §8.3, §8.9).
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;

/// The kind of a remote key, with the one signature that it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteKind {
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes.
    RsaPss,
    /// ECDSA on P-256 with SHA-256, as 64 bytes.
    P256,
}

/// Signs without showing its key. Signing takes as long as the token takes, on the thread of the handshake.
pub trait RemoteKey: Send + Sync {
    /// Of which kind it is.
    fn kind(&self) -> RemoteKind;

    /// The signature of a message, digest included; `None` when the key's owner did not sign.
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>>;
}

/// A remote key as rustls uses keys.
#[derive(Clone)]
pub(crate) struct Remote(pub(crate) Arc<dyn RemoteKey>);

impl Remote {
    fn own_scheme(&self) -> SignatureScheme {
        match self.0.kind() {
            RemoteKind::RsaPss => SignatureScheme::RSA_PSS_SHA256,
            RemoteKind::P256 => SignatureScheme::ECDSA_NISTP256_SHA256,
        }
    }
}

impl SigningKey for Remote {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.own_scheme()).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.kind() {
            RemoteKind::RsaPss => SignatureAlgorithm::RSA,
            RemoteKind::P256 => SignatureAlgorithm::ECDSA,
        }
    }
}

impl Signer for Remote {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = || Error::General("the key's owner did not sign".to_owned());
        let signature = self.0.sign(message).ok_or_else(failed)?;
        match self.0.kind() {
            RemoteKind::RsaPss => Ok(signature),
            RemoteKind::P256 => ecdsa_value(&signature).ok_or_else(failed),
        }
    }

    fn scheme(&self) -> SignatureScheme {
        self.own_scheme()
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote(..)")
    }
}

/// The two halves of a signature as TLS sends them: `ECDSA-Sig-Value` (RFC 3279 §2.2.3) in DER.
fn ecdsa_value(signature: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = signature.split_at_checked(HALF_BYTES).filter(|(_, s)| s.len() == HALF_BYTES)?;
    let content: Vec<u8> = [r, s].into_iter().flat_map(integer).collect();
    let mut value = vec![SEQUENCE, u8::try_from(content.len()).ok()?];
    value.extend(content);
    Some(value)
}

/// A positive number without leading zeros, but for the one that keeps it positive (X.690 §8.3).
fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count().min(bytes.len() - 1);
    let digits = &bytes[zeros..];
    let sign = digits.first().is_some_and(|first| *first >= 0x80);
    // At most 33 bytes.
    let mut value = vec![INTEGER, u8::try_from(digits.len() + usize::from(sign)).unwrap_or(u8::MAX)];
    value.extend(sign.then_some(0));
    value.extend(digits);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_becomes_two_positive_numbers() {
        let mut signature = [0_u8; 64];
        signature[31] = 1;
        signature[32] = 0x80;
        let value = ecdsa_value(&signature).unwrap();
        assert_eq!(value[..7], [0x30, 38, 2, 1, 1, 2, 33]);
        assert_eq!(value[7..9], [0, 0x80]);
        assert_eq!(ecdsa_value(&[0; 64]).unwrap(), [0x30, 6, 2, 1, 0, 2, 1, 0]);
        assert_eq!(ecdsa_value(&[0; 63]), None);
        assert_eq!(ecdsa_value(&[]), None);
    }
}
