//! Opaque bearer tokens of our own: API keys, one-time links, page sessions.
//!
//! A token is 256 random bits behind the name of its kind. The database holds SHA-256 of them alone: with that much
//! entropy no slow hash is needed.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::world::World;
use secrecy::SecretString;

/// Kinds of token: the prefix makes a leaked one recognisable and keeps one kind from passing for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A product's API key.
    ApiKey,
    /// A one-time link.
    Link,
    /// A page session in a cookie.
    Session,
    /// The key of a member of the operator's staff.
    Staff,
    /// A browser that has been at a bank, in a cookie.
    Browser,
    /// A session of the console, in a cookie.
    StaffSession,
    /// A browser on its way to the staff's identity provider, in a cookie.
    StaffLogin,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::ApiKey => "trb_key_",
            Self::Link => "trb_link_",
            Self::Session => "trb_ses_",
            Self::Staff => "trb_staff_",
            Self::Browser => "trb_brw_",
            Self::StaffSession => "trb_desk_",
            Self::StaffLogin => "trb_dlog_",
        }
    }
}

/// Makes a token: the text to hand out, once, and the hash to store.
pub fn issue(kind: Kind, world: &World<'_>) -> (SecretString, [u8; 32]) {
    of(kind, &world.bytes())
}

/// A token of 256 bits that nobody can guess: its text and the hash to store.
pub fn of(kind: Kind, secret: &[u8; 32]) -> (SecretString, [u8; 32]) {
    let text = format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(secret));
    (SecretString::from(text), hash(secret))
}

/// The stored hash of a token. `None` for anything that was never ours.
pub fn read(kind: Kind, text: &str) -> Option<[u8; 32]> {
    let random: [u8; 32] = URL_SAFE_NO_PAD.decode(text.strip_prefix(kind.prefix())?).ok()?.try_into().ok()?;
    Some(hash(&random))
}

/// SHA-256.
pub fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    struct Counting;
    impl domain::world::Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            for (n, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::try_from(n * 37 % 251).unwrap();
            }
        }
    }

    #[test]
    fn a_token_reads_back_as_its_own_kind_only() {
        let world = World { now: jiff::Timestamp::UNIX_EPOCH, entropy: &Counting };
        let (text, stored) = issue(Kind::Link, &world);
        assert_eq!(read(Kind::Link, text.expose_secret()), Some(stored));
        assert_eq!(read(Kind::Session, text.expose_secret()), None);
        let mut other = text.expose_secret().to_owned();
        other.pop();
        assert_eq!(read(Kind::Link, &other), None);
        for hostile in ["", "trb_link_", "trb_link_ä", "trb_link_AAAA"] {
            assert_eq!(read(Kind::Link, hostile), None, "{hostile}");
        }
    }
}
