//! Keys in a PKCS#11 token as the FAPI client and TLS want them: the vault's key behind the traits of both.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fapi::keys::{SignError, Signer};
use fapi::profile::Alg;
use fapi::seal::SealKey;
use net::{RemoteKey, RemoteKind, TransportIdentity};
use serde_json::{Map, Value};
use vault::{TokenKey, TokenPublicKey};

/// A key in a token that signs requests and assertions.
pub(crate) struct TokenSigner {
    alg: Alg,
    kid: String,
    key: TokenKey,
}

impl TokenSigner {
    /// A key that makes signatures of this algorithm.
    ///
    /// # Errors
    /// The token's, or a key of another kind.
    pub(crate) fn open(alg: Alg, kid: &str, uri: &str) -> anyhow::Result<Self> {
        let key = TokenKey::open(uri)?;
        let fits = matches!(
            (alg, key.public_key()),
            (Alg::Ps256, TokenPublicKey::Rsa { .. }) | (Alg::Es256, TokenPublicKey::P256 { .. })
        );
        anyhow::ensure!(fits, "the key in the token does not make {} signatures", alg.as_str());
        Ok(Self { alg, kid: kid.to_owned(), key })
    }
}

impl Signer for TokenSigner {
    fn alg(&self) -> Alg {
        self.alg
    }

    fn kid(&self) -> &str {
        &self.kid
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.key.sign(message).map_err(|error| {
            tracing::error!(%error, kid = self.kid, "a key in a token did not sign");
            SignError
        })
    }

    fn public_jwk(&self) -> Map<String, Value> {
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let members = match self.key.public_key() {
            TokenPublicKey::Rsa { n, e } => vec![("kty", "RSA".to_owned()), ("n", encoded(n)), ("e", encoded(e))],
            TokenPublicKey::P256 { x, y } => {
                let curve = [("kty", "EC".to_owned()), ("crv", "P-256".to_owned())];
                curve.into_iter().chain([("x", encoded(x)), ("y", encoded(y))]).collect()
            }
        };
        let about = [("kid", self.kid.clone()), ("alg", self.alg.as_str().to_owned()), ("use", "sig".to_owned())];
        members.into_iter().chain(about).map(|(name, value)| (name.to_owned(), value.into())).collect()
    }
}

/// A key in a token that seals single requests.
pub(crate) struct TokenSeal(TokenKey);

impl TokenSeal {
    /// The key of a URI, which the certificate must be about.
    ///
    /// # Errors
    /// The token's, or a key that is another one or cannot seal.
    pub(crate) fn open(uri: &str, identity: &TransportIdentity) -> anyhow::Result<Self> {
        let key = TokenKey::open(uri)?;
        let TokenPublicKey::Rsa { n, e } = key.public_key() else {
            anyhow::bail!("the key in the token is no RSA key, and cannot seal");
        };
        anyhow::ensure!(identity.is_of_rsa(n, e), "certificate and key in the token do not belong together");
        Ok(Self(key))
    }
}

impl SealKey for TokenSeal {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.0.seal(message).map_err(|error| {
            tracing::error!(%error, "a key in a token did not seal");
            SignError
        })
    }
}

/// A key in a token that shakes hands.
struct TokenHandshake(TokenKey);

/// The key of a URI for handshakes.
///
/// # Errors
/// The token's.
pub(crate) fn handshake_key(uri: &str) -> anyhow::Result<Arc<dyn RemoteKey>> {
    Ok(Arc::new(TokenHandshake(TokenKey::open(uri)?)))
}

impl RemoteKey for TokenHandshake {
    fn kind(&self) -> RemoteKind {
        match self.0.public_key() {
            TokenPublicKey::Rsa { .. } => RemoteKind::RsaPss,
            TokenPublicKey::P256 { .. } => RemoteKind::P256,
        }
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signature = self.0.sign(message);
        signature.inspect_err(|error| tracing::error!(%error, "a key in a token did not shake hands")).ok()
    }
}
