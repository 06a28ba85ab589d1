//! Signatures of webhooks after the specification Standard Webhooks 1.0: HMAC-SHA-256 (`v1`) and Ed25519 (`v1a`).
//!
//! Every secret of an endpoint signs both ways: a receiver that cannot keep a secret takes the public key.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::ids::{EndpointId, TenantId};
use domain::world::World;
use secrecy::SecretString;
use store::sealed::Place;
use store::webhooks::Secret;
use store::{StoreError, TenantTx};
use zeroize::Zeroizing;

use crate::app::App;
use crate::keys;
use crate::services::ServiceError;

/// Bytes of the HMAC key, and of the Ed25519 seed (RFC 8032 §5.1.5).
const KEY_BYTES: usize = 32;

/// What signs for an endpoint.
pub struct SigningSecret {
    hmac: Zeroizing<[u8; KEY_BYTES]>,
    ed25519: Ed25519KeyPair,
}

impl SigningSecret {
    /// Makes a secret and seals it.
    ///
    /// # Errors
    /// The database's or the key provider's.
    pub async fn create(
        app: &App,
        tx: &mut TenantTx,
        world: &World<'_>,
        endpoint: EndpointId,
    ) -> Result<(Self, Secret), ServiceError> {
        let mut bytes = Zeroizing::new([0; 2 * KEY_BYTES]);
        world.entropy.fill(bytes.as_mut_slice());
        let key = keys::of_purpose(app, tx, world, "webhook").await?;
        let id = world.uuid();
        let sealed = Place::webhook_secret(tx.tenant(), endpoint, id).seal(&key, bytes.as_slice(), world.entropy);
        let stored = Secret { id, endpoint, sealed, created_at: world.now, expires_at: None };
        Ok((Self::read(bytes.as_slice()).ok_or(CORRUPT)?, stored))
    }

    /// Opens the secrets that sign at this moment, newest first.
    ///
    /// # Errors
    /// The database's or the key provider's.
    pub async fn all(
        app: &App,
        tx: &mut TenantTx,
        world: &World<'_>,
        endpoint: EndpointId,
    ) -> Result<Vec<Self>, ServiceError> {
        let stored = store::webhooks::secrets(tx, endpoint, world.now).await?;
        let key = keys::of_purpose(app, tx, world, "webhook").await?;
        let tenant: TenantId = tx.tenant();
        let open = |secret: &Secret| -> Result<Self, ServiceError> {
            let bytes = Place::webhook_secret(tenant, endpoint, secret.id).open(&key, &secret.sealed)?;
            Ok(Self::read(&bytes).ok_or(CORRUPT)?)
        };
        stored.iter().map(open).collect()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (hmac, seed) = bytes.split_at_checked(KEY_BYTES)?;
        let hmac = Zeroizing::new(<[u8; KEY_BYTES]>::try_from(hmac).ok()?);
        Some(Self { hmac, ed25519: Ed25519KeyPair::from_seed_unchecked(seed).ok()? })
    }

    /// The shared secret as receivers' libraries take it: `whsec_…`.
    pub fn shared(&self) -> SecretString {
        SecretString::from(format!("whsec_{}", STANDARD.encode(self.hmac.as_slice())))
    }

    /// The public key: `whpk_…`.
    pub fn public(&self) -> String {
        format!("whpk_{}", STANDARD.encode(self.ed25519.public_key()))
    }

    /// Both signatures over id, moment (seconds of Unix time) and body.
    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let message = [id.as_bytes(), b".", timestamp.to_string().as_bytes(), b".", body].concat();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.hmac.as_slice()), &message);
        let signature = self.ed25519.sign(&message);
        format!("v1,{} v1a,{}", STANDARD.encode(tag.as_ref()), STANDARD.encode(signature.as_ref()))
    }
}

const CORRUPT: StoreError = StoreError::Corrupt { table: "webhook_secret", column: "sealed" };

/// The value of `webhook-signature`: one pair of signatures for every secret that signs, the newest first.
pub fn header(secrets: &[SigningSecret], id: &str, timestamp: i64, body: &[u8]) -> String {
    secrets.iter().map(|secret| secret.sign(id, timestamp, body)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    use secrecy::ExposeSecret as _;

    use super::*;

    /// Known answers: RFC 8032 §7.1 gives the key pair of its first test; the HMAC was computed with another program.
    #[test]
    fn both_signatures_verify_with_what_a_receiver_holds() {
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
            0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        let secret = SigningSecret::read(&[[7; 32], seed].concat()).unwrap();
        assert_eq!(secret.shared().expose_secret(), "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
        assert_eq!(secret.public(), "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
        let header = header(&[secret], "evt_1", 1_790_000_000, br#"{"a":1}"#);
        let (v1, v1a) = header.split_once(' ').unwrap();
        assert_eq!(v1, "v1,GzJZkRLzgU2oOMM3ec+VP7y2WElQeJAiPG0BeFH5EH8=");
        let signature = STANDARD.decode(v1a.strip_prefix("v1a,").unwrap()).unwrap();
        let public = STANDARD.decode("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=").unwrap();
        UnparsedPublicKey::new(&ED25519, public).verify(br#"evt_1.1790000000.{"a":1}"#, &signature).unwrap();
    }

    #[test]
    fn a_secret_of_another_length_is_none() {
        for length in [0, 32, 63, 65] {
            assert!(SigningSecret::read(&vec![1; length]).is_none(), "{length}");
        }
    }
}
