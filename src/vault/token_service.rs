//! Epoch keys behind a PKCS#11 token: each file of the folder is sealed by a key that the token made and never gives away.
//!
//! What a token has destroyed nobody brings back, unless somebody keeps a copy of the token itself: its operators answer for
//! that, and the guide to operations says so.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::key_service::{KeyService, KeyServiceError};
use crate::token::{Access, Login, TokenError};

/// Bytes of the name by which the token knows a key (`CKA_ID`).
const NAME_BYTES: u32 = 16;
/// Bytes of an AES-256 key.
const KEY_BYTES: u64 = 32;
/// Bytes of a nonce and bits of a tag of AES-GCM (NIST SP 800-38D §5.2.1).
const NONCE_BYTES: usize = 12;
const TAG_BITS: u64 = 128;

/// A token that makes keys of AES-256 and seals with AES-GCM.
pub struct TokenKeys {
    login: Login,
    /// A session is used by one thread at a time. One that broke is opened anew.
    session: Mutex<Option<Session>>,
}

impl TokenKeys {
    /// The token that an RFC 7512 URI names, with its module and where its PIN is. The token itself is not asked yet.
    ///
    /// # Errors
    /// The URI, or an object in it: keys are the token's to name.
    pub fn open(uri: &str) -> Result<Self, TokenError> {
        let (login, object) = Login::parse(uri)?;
        if object.is_some() {
            return Err(TokenError::Uri("it names no `object`: the keys are made in the token"));
        }
        Ok(Self { login, session: Mutex::new(None) })
    }

    /// Does something in a session, and once more in a new one where the session was the trouble: the token was taken out, or
    /// its module restarted.
    fn within<T>(&self, work: impl Fn(&Session) -> Result<T, Trouble>) -> Result<T, KeyServiceError> {
        let mut held = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = held.as_ref() {
            match work(session) {
                Err(Trouble::Token(_)) => *held = None,
                Err(Trouble::Service(error)) => return Err(error),
                Ok(done) => return Ok(done),
            }
        }
        let session = self.login.session(Access::Writing).map_err(unreachable)?;
        match work(&session) {
            Ok(done) => {
                *held = Some(session);
                Ok(done)
            }
            Err(Trouble::Service(error)) => Err(error),
            Err(Trouble::Token(error)) => Err(meaning(&error)),
        }
    }
}

/// Names the token alone.
impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKeys").field("token", &self.login.token).finish_non_exhaustive()
    }
}

impl KeyService for TokenKeys {
    fn kind(&self) -> &'static str {
        "pkcs11"
    }

    fn create(&self, place: &str) -> Result<String, KeyServiceError> {
        self.within(|session| {
            let name = session.generate_random_vec(NAME_BYTES)?;
            let made = [
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::ValueLen(KEY_BYTES.into()),
                Attribute::Encrypt(true),
                Attribute::Decrypt(true),
                Attribute::Label(format!("tributary {place}").into_bytes()),
                Attribute::Id(name.clone()),
            ];
            session.generate_key(&Mechanism::AesKeyGen, &made)?;
            Ok(hexadecimal(&name))
        })
    }

    fn seal(&self, key: &str, place: &str, secret: &[u8; 32]) -> Result<Vec<u8>, KeyServiceError> {
        self.within(|session| sealed(session, find(session, key)?, place, secret))
    }

    fn open(&self, key: &str, place: &str, sealed: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyServiceError> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_BYTES).ok_or(KeyServiceError::Altered)?;
        self.within(|session| {
            let key = find(session, key)?;
            let mut nonce = nonce.to_vec();
            let way = Mechanism::AesGcm(GcmParams::new(&mut nonce, place.as_bytes(), TAG_BITS.into())?);
            let plain = session.decrypt(&way, key, rest).map_err(|error| not_genuine(session, key, error))?;
            let plain = Zeroizing::new(plain);
            let secret: &[u8; 32] = plain.as_slice().try_into().map_err(|_| KeyServiceError::Altered)?;
            Ok(Zeroizing::new(*secret))
        })
    }

    fn destroy(&self, key: &str) -> Result<Option<Timestamp>, KeyServiceError> {
        self.within(|session| {
            session.destroy_object(find(session, key)?)?;
            Ok(None)
        })
    }
}

/// What went wrong in a session: with the token, so that a new session may help, or with what was asked.
enum Trouble {
    Token(CryptokiError),
    Service(KeyServiceError),
}

impl From<CryptokiError> for Trouble {
    fn from(error: CryptokiError) -> Self {
        Self::Token(error)
    }
}

impl From<KeyServiceError> for Trouble {
    fn from(error: KeyServiceError) -> Self {
        Self::Service(error)
    }
}

/// The one key of a name.
fn find(session: &Session, name: &str) -> Result<ObjectHandle, Trouble> {
    let id = bytes(name).ok_or(KeyServiceError::Unknown)?;
    let wanted = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::KeyType(KeyType::AES), Attribute::Id(id)];
    match session.find_objects(&wanted)?[..] {
        [key] => Ok(key),
        _ => Err(KeyServiceError::Unknown.into()),
    }
}

/// Nonce || ciphertext || tag. The nonce is the token's own random.
fn sealed(session: &Session, key: ObjectHandle, place: &str, secret: &[u8; 32]) -> Result<Vec<u8>, Trouble> {
    let mut sealed = vec![0; NONCE_BYTES];
    session.generate_random_slice(&mut sealed)?;
    let mut nonce = sealed.clone();
    let way = Mechanism::AesGcm(GcmParams::new(&mut nonce, place.as_bytes(), TAG_BITS.into())?);
    sealed.extend(session.encrypt(&way, key, secret)?);
    Ok(sealed)
}

/// Tokens say that a tag does not fit in words of their own, some with the word for any trouble. Where the same key goes on
/// sealing, the token is well, and what it was given is not.
fn not_genuine(session: &Session, key: ObjectHandle, error: CryptokiError) -> Trouble {
    let CryptokiError::Pkcs11(word, _) = &error else { return error.into() };
    let altered = match word {
        RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange => true,
        RvError::GeneralError | RvError::FunctionFailed => sealed(session, key, "", &[0; 32]).is_ok(),
        _ => false,
    };
    if altered { KeyServiceError::Altered.into() } else { error.into() }
}

/// What the token's answer means, also in a new session.
fn meaning(error: &CryptokiError) -> KeyServiceError {
    match error {
        CryptokiError::Pkcs11(RvError::MechanismInvalid | RvError::MechanismParamInvalid, _) => {
            KeyServiceError::Refused("the token has no AES-GCM")
        }
        CryptokiError::Pkcs11(RvError::TokenWriteProtected | RvError::SessionReadOnly, _) => {
            KeyServiceError::Refused("the token is write-protected")
        }
        CryptokiError::Pkcs11(RvError::ActionProhibited | RvError::KeyFunctionNotPermitted, _) => {
            KeyServiceError::Refused("the token does not allow it")
        }
        other => KeyServiceError::Unavailable(io::Error::other(other.to_string())),
    }
}

/// Why there is no session.
fn unreachable(error: TokenError) -> KeyServiceError {
    match error {
        TokenError::Pin => KeyServiceError::Refused("the PIN of the token cannot be read"),
        TokenError::Missing(_) | TokenError::Token(_) | TokenError::Uri(_) | TokenError::Kind => {
            KeyServiceError::Unavailable(io::Error::other(error))
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    (digits.len() == 2 * NAME_BYTES as usize).then(|| digits.chunks(2).map(pair).collect())?
}
