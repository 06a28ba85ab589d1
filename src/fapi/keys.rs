//! Keys: ours to sign and decrypt with, theirs to verify with.
//!
//! josekit does the cryptography and stays behind small traits, [`Signer`], [`Decrypter`] and [`Verifier`], so that a hardware token
//! or another library can take its place. Looking a key up is our own: josekit and openidconnect look at `kid` alone,
//! while servers publish several keys under one `kid` (FAPI 1.0 Advanced §8.9). Keys come from the configured key set
//! only, never from a token header (`jwk`, `jku`, `x5u`).

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwe::{JweDecrypter, RSA_OAEP, RSA_OAEP_256};
use josekit::jwk::alg::ed::EdCurve;
use josekit::jwk::alg::rsa::RsaKeyPair;
use josekit::jwk::{Jwk, KeyPair};
use josekit::jws::{ES256, EdDSA, JwsSigner, JwsVerifier, PS256};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use crate::profile::{Alg, KeyEncryption};
use crate::refusal::{self, Refusal};
use crate::wire;

/// Most keys that are read from one key set.
pub const KEYS_MAX: usize = 64;
/// Size of a new RSA key.
const RSA_BITS: u32 = 3072;
/// Bytes of one P-256 coordinate and of an Ed25519 public key.
const COORDINATE_BYTES: usize = 32;

/// Signs with one of our private keys.
pub trait Signer: Send + Sync {
    /// The algorithm of every signature.
    fn alg(&self) -> Alg;
    /// The key id that goes into the header and into our published key set.
    fn kid(&self) -> &str;
    /// The raw JWS signature of the octets (RFC 7515 §5.1 step 5).
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
    /// The public key as a JWK (RFC 7517 §4) with `kid`, `alg` and `use`; never a private member.
    fn public_jwk(&self) -> Map<String, Value>;
}

/// A key that could not sign. The cause stays with the key's owner: it may describe the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signing key did not sign")]
pub struct SignError;

/// A private key that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a PEM private key of the kind that the algorithm needs.
    #[error("not a PEM private key for {}: an RSA key of 2048 bits or more for PS256, P-256 for ES256, Ed25519 for EdDSA", .0.as_str())]
    Unusable(Alg),
    /// Not a PEM private key that can decrypt.
    #[error("not a PEM private key to decrypt with: an RSA key of 2048 bits or more")]
    NotRsa,
    /// A key id is needed so that the server can tell our keys apart.
    #[error("the key id is empty")]
    NoKeyId,
}

/// A [`Signer`] over a PEM private key in memory.
pub struct PemSigner {
    alg: Alg,
    kid: String,
    signer: Box<dyn JwsSigner>,
    public: Map<String, Value>,
}

impl PemSigner {
    /// Reads a private key: PKCS#8 for every algorithm, also PKCS#1 for PS256 and SEC 1 for ES256.
    pub fn from_pem(alg: Alg, kid: &str, pem: &[u8]) -> Result<Self, KeyError> {
        if kid.is_empty() {
            return Err(KeyError::NoKeyId);
        }
        let (signer, jwk) = josekit_signer(alg, pem).ok_or(KeyError::Unusable(alg))?;
        let public = public_members(&jwk, kid, alg.as_str(), "sig");
        Ok(Self { alg, kid: kid.to_owned(), signer, public })
    }
}

/// A new private key for an algorithm, as PKCS#8 PEM; RSA keys have 3072 bits. Made by the cryptographic library with its
/// own source of chance.
pub fn generate(alg: Alg) -> Result<SecretString, KeyError> {
    let unusable = |_| KeyError::Unusable(alg);
    let pem = match alg {
        Alg::Ps256 => PS256.generate_key_pair(RSA_BITS).map_err(unusable)?.to_pem_private_key(),
        Alg::Es256 => ES256.generate_key_pair().map_err(unusable)?.to_pem_private_key(),
        Alg::EdDsa => EdDSA.generate_key_pair(EdCurve::Ed25519).map_err(unusable)?.to_pem_private_key(),
    };
    let text = String::from_utf8(pem).map_err(|_| KeyError::Unusable(alg))?;
    Ok(SecretString::from(text))
}

/// josekit's signer for a PEM key with the public half of the key.
fn josekit_signer(alg: Alg, pem: &[u8]) -> Option<(Box<dyn JwsSigner>, Jwk)> {
    match alg {
        // An RSA key usually comes marked for any RSA use. josekit takes such a key for PSS from DER only.
        Alg::Ps256 => {
            let pair = match PS256.key_pair_from_pem(pem) {
                Ok(pair) => pair,
                Err(_) => PS256.key_pair_from_der(RsaKeyPair::from_pem(pem).ok()?.to_der_private_key()).ok()?,
            };
            Some((Box::new(PS256.signer_from_der(pair.to_der_private_key()).ok()?), pair.to_jwk_public_key()))
        }
        Alg::Es256 => {
            let pair = ES256.key_pair_from_pem(pem).ok()?;
            Some((Box::new(ES256.signer_from_der(pair.to_der_private_key()).ok()?), pair.to_jwk_public_key()))
        }
        Alg::EdDsa => {
            let pair = EdDSA.key_pair_from_pem(pem).ok()?;
            let jwk = pair.to_jwk_public_key();
            // The fully specified curve: Ed448 is outside FAPI.
            (jwk.curve() == Some("Ed25519")).then_some(())?;
            Some((Box::new(EdDSA.signer_from_der(pair.to_der_private_key()).ok()?), jwk))
        }
    }
}

impl Signer for PemSigner {
    fn alg(&self) -> Alg {
        self.alg
    }

    fn kid(&self) -> &str {
        &self.kid
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.signer.sign(message).map_err(|_| SignError)
    }

    fn public_jwk(&self) -> Map<String, Value> {
        self.public.clone()
    }
}

/// The key itself never reaches a log.
impl fmt::Debug for PemSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PemSigner").field("alg", &self.alg).field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// Opens what a server encrypted to one of our keys.
pub trait Decrypter: Send + Sync {
    /// The one way of wrapping content keys that we registered.
    fn alg(&self) -> KeyEncryption;
    /// The plain text of a compact JWE (RFC 7516 §7.1). Its header was checked.
    fn decrypt(&self, compact: &str) -> Result<Vec<u8>, DecryptError>;
    /// The public key as a JWK (RFC 7517 §4) with `kid`, `alg` and `use`; never a private member.
    fn public_jwk(&self) -> Map<String, Value>;
}

/// What could not be opened: another key, a broken text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text could not be decrypted")]
pub struct DecryptError;

/// A [`Decrypter`] over a PEM private key in memory.
pub struct PemDecrypter {
    alg: KeyEncryption,
    decrypter: Box<dyn JweDecrypter>,
    public: Map<String, Value>,
}

impl PemDecrypter {
    /// Reads an RSA private key of 2048 bits or more, PKCS#8 or PKCS#1.
    pub fn from_pem(alg: KeyEncryption, kid: &str, pem: &[u8]) -> Result<Self, KeyError> {
        if kid.is_empty() {
            return Err(KeyError::NoKeyId);
        }
        let algorithm = match alg {
            KeyEncryption::RsaOaep => RSA_OAEP,
            KeyEncryption::RsaOaep256 => RSA_OAEP_256,
        };
        let unusable = |_| KeyError::NotRsa;
        let decrypter = Box::new(algorithm.decrypter_from_pem(pem).map_err(unusable)?);
        let jwk = algorithm.key_pair_from_pem(pem).map_err(unusable)?.to_jwk_public_key();
        let public = public_members(&jwk, kid, alg.as_str(), "enc");
        Ok(Self { alg, decrypter, public })
    }
}

impl Decrypter for PemDecrypter {
    fn alg(&self) -> KeyEncryption {
        self.alg
    }

    fn decrypt(&self, compact: &str) -> Result<Vec<u8>, DecryptError> {
        let opened = josekit::jwe::deserialize_compact(compact, self.decrypter.as_ref());
        opened.map(|(plain, _)| plain).map_err(|_| DecryptError)
    }

    fn public_jwk(&self) -> Map<String, Value> {
        self.public.clone()
    }
}

/// The key itself never reaches a log.
impl fmt::Debug for PemDecrypter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PemDecrypter").field("alg", &self.alg).finish_non_exhaustive()
    }
}

/// The public half of a key pair as we publish it.
fn public_members(jwk: &Jwk, kid: &str, alg: &str, purpose: &str) -> Map<String, Value> {
    let mut public: Map<String, Value> = ["crv", "x", "y", "n", "e"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), jwk.parameter(name)?.clone())))
        .collect();
    // josekit keeps the key type apart from the other parameters.
    for (name, value) in [("kty", jwk.key_type()), ("kid", kid), ("alg", alg), ("use", purpose)] {
        public.insert(name.to_owned(), value.into());
    }
    public
}

/// Our public key set (RFC 7517 §5), the document behind our `jwks_uri`. The caller keeps the key ids distinct.
pub fn public_jwks<'a>(signers: impl IntoIterator<Item = &'a dyn Signer>) -> Value {
    let keys: Vec<Value> = signers.into_iter().map(|signer| Value::Object(signer.public_jwk())).collect();
    json!({ "keys": keys })
}

/// Checks signatures of one public key by one algorithm.
pub trait Verifier: Send + Sync {
    /// Whether the raw JWS signature fits the octets.
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool;
}

/// A josekit verifier behind our trait.
struct Josekit(Box<dyn JwsVerifier>);

impl Verifier for Josekit {
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify(message, signature).is_ok()
    }
}

/// One public key of a server, with the one algorithm it can be used for.
#[derive(Clone)]
struct PublicKey {
    kid: Option<String>,
    alg: Alg,
    verifier: Arc<dyn Verifier>,
}

/// The public keys of a server that are usable here, and our key for what the server encrypts to us.
#[derive(Clone, Default)]
pub struct KeySet {
    keys: Vec<PublicKey>,
    decrypter: Option<Arc<dyn Decrypter>>,
}

impl KeySet {
    /// No keys, for a server that signs nothing we read (plain OAuth without `openid`).
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads a JWK set (RFC 7517 §5). Keys of another type, use or algorithm, and keys that are malformed, are left out
    /// and never make the others unusable; so are keys beyond [`KEYS_MAX`].
    pub fn parse(document: &[u8]) -> Result<Self, Refusal> {
        let invalid = || refusal::JWKS_BODY_INVALID.refuse();
        let document = wire::json_object(document).ok_or_else(invalid)?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or_else(invalid)?;
        Ok(Self { keys: keys.iter().take(KEYS_MAX).filter_map(public_key).collect(), decrypter: None })
    }

    /// The same keys with ours beside them, for servers that encrypt.
    pub fn opened_by(self, decrypter: Option<Arc<dyn Decrypter>>) -> Self {
        Self { decrypter, ..self }
    }

    pub(crate) fn decrypter(&self) -> Option<&dyn Decrypter> {
        self.decrypter.as_deref()
    }

    /// How many keys are usable.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is usable.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that fit a header: of the algorithm, and of the key id if there is one (RFC 7515 §4.1.4). A server may
    /// leave the id out (OIDC Core §10.1 forbids it only for more than one key): then every key of the algorithm fits.
    pub(crate) fn fitting(&self, kid: Option<&str>, alg: Alg) -> Vec<&dyn Verifier> {
        let fits = |key: &&PublicKey| key.alg == alg && (kid.is_none() || key.kid.as_deref() == kid);
        self.keys.iter().filter(fits).map(|key| key.verifier.as_ref()).collect()
    }
}

/// Key ids are foreign text: `Debug` shows the algorithms alone.
impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| key.alg)).finish()
    }
}

/// A usable key of a JWK, or none.
fn public_key(jwk: &Value) -> Option<PublicKey> {
    let jwk = jwk.as_object()?;
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let kid = text("kid").map(str::to_owned);
    may_verify(jwk).then_some(())?;
    let mut plain = Jwk::new(text("kty")?);
    let mut member = |name: &str, value: String| plain.set_parameter(name, Some(Value::String(value))).ok();
    let alg = match (text("kty")?, text("crv")) {
        ("RSA", _) => {
            member("n", text("n")?.to_owned())?;
            member("e", text("e")?.to_owned())?;
            Alg::Ps256
        }
        ("EC", Some("P-256")) => {
            member("crv", "P-256".to_owned())?;
            member("x", coordinate(text("x")?)?)?;
            member("y", coordinate(text("y")?)?)?;
            Alg::Es256
        }
        ("OKP", Some("Ed25519")) => {
            member("crv", "Ed25519".to_owned())?;
            member("x", text("x")?.to_owned())?;
            Alg::EdDsa
        }
        _ => return None,
    };
    // A key that names its algorithm is used for that one only (RFC 7517 §4.4).
    (jwk.get("alg").is_none() || text("alg").and_then(Alg::from_header) == Some(alg)).then_some(())?;
    let verifier: Box<dyn JwsVerifier> = match alg {
        Alg::Ps256 => Box::new(PS256.verifier_from_jwk(&plain).ok()?),
        Alg::Es256 => Box::new(ES256.verifier_from_jwk(&plain).ok()?),
        Alg::EdDsa => Box::new(EdDSA.verifier_from_jwk(&plain).ok()?),
    };
    Some(PublicKey { kid, alg, verifier: Arc::new(Josekit(verifier)) })
}

/// RFC 7517 §4.2 and §4.3: a key for encryption, or one whose operations leave verifying out, verifies nothing.
fn may_verify(jwk: &Map<String, Value>) -> bool {
    let for_signatures = jwk.get("use").is_none_or(|value| value == "sig");
    let operations = jwk.get("key_ops").map(|value| value.as_array().map(Vec::as_slice).unwrap_or_default());
    for_signatures && operations.is_none_or(|operations| operations.iter().any(|operation| operation == "verify"))
}

/// RFC 7518 §6.2.1.2: a coordinate has the full size of the field. Some issuers strip leading zeros, which spoils one
/// key in 128; they are put back here, since josekit refuses such keys.
fn coordinate(text: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let missing = COORDINATE_BYTES.checked_sub(bytes.len())?;
    let mut full = vec![0; missing];
    full.extend_from_slice(&bytes);
    Some(URL_SAFE_NO_PAD.encode(full))
}
