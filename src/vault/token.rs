//! Private keys that never leave a PKCS#11 token: a hardware module, or SoftHSM on a developer's machine.
//!
//! A key is named by an RFC 7512 URI. The module is the operator's (`module-path`), and so is the PIN, which comes from a
//! file (`pin-source=file:…`) or from the environment (`TRIBUTARY_PKCS11_PIN`) and never stands in the URI:
//!
//! ```text
//! pkcs11:token=tributary;object=signing-2026?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/secrets/pin
//! ```
//!
//! A token makes the two kinds of signature that FAPI and TLS have in common: RSASSA-PSS with SHA-256 and a salt of 32
//! bytes, and ECDSA on P-256 with SHA-256. The digest is made here, since not every token has the combined mechanisms.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use percent_encoding::percent_decode_str;

/// The environment's name for the PIN.
const PIN_VARIABLE: &str = "TRIBUTARY_PKCS11_PIN";
/// How such a URI begins.
const SCHEME: &str = "pkcs11:";
/// First byte of an uncompressed point (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;
/// Bytes of a P-256 coordinate.
const COORDINATE_BYTES: usize = 32;

/// Why a key in a token cannot be used. Never shows a PIN or anything of a key.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The URI is none, or leaves out what is needed.
    #[error("the PKCS#11 URI cannot be used: {0}")]
    Uri(&'static str),
    /// The PIN is not where it should be.
    #[error("the PIN of the token cannot be read: name a file by pin-source, or set {PIN_VARIABLE}")]
    Pin,
    /// There is no such token, or no such key in it, or more than one.
    #[error("the token has not exactly one {0} of that name")]
    Missing(&'static str),
    /// A key of a kind that FAPI does not use.
    #[error("the key is neither RSA nor on the curve P-256")]
    Kind,
    /// The module or the token said no.
    #[error("the token refused: {0}")]
    Token(String),
}

impl From<CryptokiError> for TokenError {
    fn from(error: CryptokiError) -> Self {
        Self::Token(error.to_string())
    }
}

/// The public half of a key in a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenPublicKey {
    /// RSA: modulus and public exponent, big-endian.
    Rsa {
        /// Modulus.
        n: Vec<u8>,
        /// Public exponent.
        e: Vec<u8>,
    },
    /// A point on P-256: two coordinates of 32 bytes.
    P256 {
        /// First coordinate.
        x: Vec<u8>,
        /// Second coordinate.
        y: Vec<u8>,
    },
}

/// A private key in a token.
pub struct TokenKey {
    uri: Uri,
    public: TokenPublicKey,
    /// A session is used by one thread at a time. One that broke is opened anew.
    session: Mutex<Option<(Session, ObjectHandle)>>,
}

impl TokenKey {
    /// Whether a text in the place of a key file names a key in a token.
    pub fn is_named_by(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// Finds a key and logs in to its token.
    ///
    /// # Errors
    /// The URI, the PIN, the module or the token.
    pub fn open(uri: &str) -> Result<Self, TokenError> {
        let uri = Uri::parse(uri)?;
        let (session, key) = uri.session()?;
        let public = public_key(&session, &uri)?;
        Ok(Self { uri, public, session: Mutex::new(Some((session, key))) })
    }

    /// The public half.
    pub const fn public_key(&self) -> &TokenPublicKey {
        &self.public
    }

    /// The signature of a message: RSASSA-PSS or ECDSA as RFC 7518 §3.4, §3.5 have them (`PS256`, `ES256`).
    ///
    /// # Errors
    /// The token's, also after a new session.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let mechanism = match self.public {
            TokenPublicKey::P256 { .. } => Mechanism::Ecdsa,
            TokenPublicKey::Rsa { .. } => Mechanism::RsaPkcsPss(PkcsPssParams {
                hash_alg: MechanismType::SHA256,
                mgf: PkcsMgfType::MGF1_SHA256,
                s_len: 32.into(),
            }),
        };
        self.apply(&mechanism, digest(&SHA256, message).as_ref())
    }

    /// The signature of a message as seals make it: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 §8.2, `RS256`).
    ///
    /// # Errors
    /// The token's, also after a new session; a key on P-256 cannot.
    pub fn seal(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        self.apply(&Mechanism::Sha256RsaPkcs, message)
    }

    fn apply(&self, mechanism: &Mechanism<'_>, data: &[u8]) -> Result<Vec<u8>, TokenError> {
        let mut held = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((session, key)) = held.as_ref()
            && let Ok(signature) = session.sign(mechanism, *key, data)
        {
            return Ok(signature);
        }
        // The token was taken out, or its module restarted: once more in a session of its own.
        *held = None;
        let (session, key) = self.uri.session()?;
        let signature = session.sign(mechanism, key, data)?;
        *held = Some((session, key));
        Ok(signature)
    }
}

/// Shows which key, by its name alone.
impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").field("object", &self.uri.object).finish_non_exhaustive()
    }
}

/// A key as an RFC 7512 URI names it.
struct Uri {
    login: Login,
    object: String,
}

impl Uri {
    fn parse(text: &str) -> Result<Self, TokenError> {
        let (login, object) = Login::parse(text)?;
        Ok(Self { login, object: object.ok_or(TokenError::Uri("it names an `object`"))? })
    }

    /// A session in which the private key can be used.
    fn session(&self) -> Result<(Session, ObjectHandle), TokenError> {
        let session = self.login.session(Access::Reading)?;
        let key = self.object(&session, ObjectClass::PRIVATE_KEY, "private key")?;
        Ok((session, key))
    }

    fn object(&self, session: &Session, class: ObjectClass, what: &'static str) -> Result<ObjectHandle, TokenError> {
        let label = Attribute::Label(self.object.as_bytes().to_vec());
        let found = session.find_objects(&[Attribute::Class(class), label])?;
        if let [object] = found[..] { Ok(object) } else { Err(TokenError::Missing(what)) }
    }
}

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Using keys.
    Reading,
    /// Making and destroying them as well.
    Writing,
}

/// A token and how to log in to it: the parts of an RFC 7512 URI beside the object.
pub(crate) struct Login {
    pub(crate) token: String,
    module: PathBuf,
    pin_file: Option<PathBuf>,
}

impl Login {
    /// Reads a URI; gives the object that it names beside the token, if it names one.
    pub(crate) fn parse(text: &str) -> Result<(Self, Option<String>), TokenError> {
        let rest = text.strip_prefix(SCHEME).ok_or(TokenError::Uri("it begins with `pkcs11:`"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let find = |part: &str, separator: char, name: &str| -> Result<Option<String>, TokenError> {
            let pairs = part.split(separator).filter_map(|pair| pair.split_once('='));
            let mut values = pairs.filter(|(known, _)| *known == name).map(|(_, value)| value);
            let Some(value) = values.next() else { return Ok(None) };
            if values.next().is_some() {
                return Err(TokenError::Uri("no attribute stands twice"));
            }
            let decoded = percent_decode_str(value).decode_utf8().map_err(|_| TokenError::Uri("it is UTF-8"))?;
            Ok(Some(decoded.into_owned()))
        };
        if find(query, '&', "pin-value")?.is_some() {
            return Err(TokenError::Uri("a PIN does not stand in it"));
        }
        let pin_file = find(query, '&', "pin-source")?
            .map(|source| {
                let path = source.strip_prefix("file:").map(PathBuf::from);
                path.ok_or(TokenError::Uri("pin-source is `file:` with a path"))
            })
            .transpose()?;
        let needed = |value: Option<String>, what| value.ok_or(TokenError::Uri(what));
        let login = Self {
            token: needed(find(path, ';', "token")?, "it names a `token`")?,
            module: needed(find(query, '&', "module-path")?, "it names a `module-path`")?.into(),
            pin_file,
        };
        Ok((login, find(path, ';', "object")?))
    }

    fn pin(&self) -> Result<AuthPin, TokenError> {
        let text = match &self.pin_file {
            Some(path) => std::fs::read_to_string(path).map_err(|_| TokenError::Pin)?,
            None => std::env::var(PIN_VARIABLE).map_err(|_| TokenError::Pin)?,
        };
        Ok(AuthPin::from(text.trim_end_matches(['\r', '\n'])))
    }

    /// A session that is logged in.
    pub(crate) fn session(&self, access: Access) -> Result<Session, TokenError> {
        let module = module(&self.module)?;
        let mut slots = Vec::new();
        for slot in module.get_slots_with_initialized_token()? {
            if module.get_token_info(slot)?.label().trim_end() == self.token {
                slots.push(slot);
            }
        }
        let [slot] = slots[..] else { return Err(TokenError::Missing("token")) };
        let session = match access {
            Access::Reading => module.open_ro_session(slot)?,
            Access::Writing => module.open_rw_session(slot)?,
        };
        match session.login(UserType::User, Some(&self.pin()?)) {
            // A token is logged in to once for all sessions of a process.
            Ok(()) | Err(CryptokiError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(session)
    }
}

/// The public key object beside the private one. Tokens keep it under the same name.
fn public_key(session: &Session, uri: &Uri) -> Result<TokenPublicKey, TokenError> {
    let object = uri.object(session, ObjectClass::PUBLIC_KEY, "public key")?;
    let kind = session.get_attributes(object, &[AttributeType::KeyType])?;
    match kind.first() {
        Some(Attribute::KeyType(KeyType::RSA)) => {
            let parts = session.get_attributes(object, &[AttributeType::Modulus, AttributeType::PublicExponent])?;
            match &parts[..] {
                [Attribute::Modulus(n), Attribute::PublicExponent(e)] => {
                    Ok(TokenPublicKey::Rsa { n: n.clone(), e: e.clone() })
                }
                _ => Err(TokenError::Kind),
            }
        }
        Some(Attribute::KeyType(KeyType::EC)) => {
            let parts = session.get_attributes(object, &[AttributeType::EcPoint])?;
            let Some(Attribute::EcPoint(wrapped)) = parts.first() else { return Err(TokenError::Kind) };
            point(wrapped).ok_or(TokenError::Kind)
        }
        _ => Err(TokenError::Kind),
    }
}

/// PKCS#11 v2.40 §2.3.3: the point stands in a DER OCTET STRING; some tokens leave the wrapping out.
fn point(wrapped: &[u8]) -> Option<TokenPublicKey> {
    const OCTET_STRING: [u8; 2] = [4, 65];
    let bare = wrapped.strip_prefix(&OCTET_STRING).filter(|rest| rest.len() == 65).unwrap_or(wrapped);
    let (x, y) = bare.strip_prefix(&[UNCOMPRESSED])?.split_at_checked(COORDINATE_BYTES)?;
    (y.len() == COORDINATE_BYTES).then(|| TokenPublicKey::P256 { x: x.to_vec(), y: y.to_vec() })
}

/// The module at a path, started once for the whole process.
fn module(path: &Path) -> Result<Pkcs11, TokenError> {
    static MODULES: OnceLock<Mutex<HashMap<PathBuf, Pkcs11>>> = OnceLock::new();
    let mut modules = MODULES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = modules.get(path) {
        return Ok(known.clone());
    }
    let module = Pkcs11::new(path)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(CryptokiError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(error.into()),
    }
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_a_token_an_object_and_a_module_and_no_pin() {
        let good = "pkcs11:token=My%20token;object=a;type=private?module-path=/m.so&pin-source=file:/p";
        let uri = Uri::parse(good).unwrap();
        assert_eq!((uri.login.token.as_str(), uri.object.as_str()), ("My token", "a"));
        assert_eq!((uri.login.module, uri.login.pin_file), (PathBuf::from("/m.so"), Some(PathBuf::from("/p"))));
        for bad in [
            "file:/key.pem",
            "pkcs11:object=a?module-path=/m",
            "pkcs11:token=t?module-path=/m",
            "pkcs11:token=t;object=a",
            "pkcs11:token=t;object=a;object=b?module-path=/m",
            "pkcs11:token=t;object=a?module-path=/m&pin-value=1234",
            "pkcs11:token=t;object=a?module-path=/m&pin-source=https://x",
            "pkcs11:token=%ff;object=a?module-path=/m",
        ] {
            assert!(matches!(Uri::parse(bad), Err(TokenError::Uri(_))), "{bad}");
        }
    }

    #[test]
    fn a_point_is_read_with_and_without_its_wrapping() {
        let bare: Vec<u8> = std::iter::once(4).chain(0..64).collect();
        let wrapped: Vec<u8> = [4, 65].into_iter().chain(bare.clone()).collect();
        assert!(point(&bare).is_some());
        assert_eq!(point(&bare), point(&wrapped));
        for bad in [&bare[..64], &wrapped[..66], &[2; 65], &[]] {
            assert_eq!(point(bad), None);
        }
    }
}
