//! Checkpoints (C2SP tlog-checkpoint): what the log was at one size, signed.

use std::fmt;
use std::str::FromStr;

use domain::ids::TenantId;

use crate::Hash;
use crate::note::{self, Seen, Signer, is_key_name};
use crate::tree::Frontier;

/// The name of one tenant's log and of the keys that sign for it: `<authority>/<tenant id>`.
///
/// The tenant is in the name so that a proof of one tenant's log says nothing in another's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin(String);

/// Text that cannot name a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a log is named <authority>/<tenant id>, without blanks and plus signs")]
pub struct OriginError;

impl Origin {
    /// The log of a tenant at an authority, a schema-less URL such as `evidence.example.com`.
    pub fn new(authority: &str, tenant: TenantId) -> Result<Self, OriginError> {
        format!("{authority}/{tenant}").parse()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whose log it is.
    pub fn tenant(&self) -> Option<TenantId> {
        let (authority, tenant) = self.0.rsplit_once('/')?;
        let id: TenantId = tenant.parse().ok()?;
        (!authority.is_empty() && id.to_string() == tenant).then_some(id)
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let origin = Self(text.to_owned());
        if is_key_name(text) && origin.tenant().is_some() { Ok(origin) } else { Err(OriginError) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The size and root of a log.
///
/// There are no extension lines, which C2SP advises against: a time in them would be the operator's word. The same log
/// therefore always has the same checkpoint, byte for byte, however often it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: Origin,
    /// Number of leaves.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

/// Text that is not a checkpoint of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint: origin, size and root hash, one a line")]
pub struct CheckpointError;

impl Checkpoint {
    /// The checkpoint of a log as it now is.
    pub fn of(origin: Origin, frontier: &Frontier) -> Self {
        Self { origin, size: frontier.size(), root: frontier.root() }
    }

    /// The signed note.
    pub fn sign(&self, signer: &Signer<'_>) -> String {
        signer.note(&self.to_string())
    }

    /// Opens a signed checkpoint; every signature that counts must be by a key with the log's name.
    /// Also gives the known witnesses that saw it.
    pub(crate) fn open(
        note: &str,
        keys: &[note::VerifierKey],
        strangers: note::Strangers,
    ) -> Result<(Self, Vec<Seen>), OpenError> {
        let opened = note::open(note, keys, strangers).map_err(OpenError::Note)?;
        let checkpoint: Self = opened.text.parse().map_err(|CheckpointError| OpenError::Text)?;
        let own = opened.signers.iter().any(|name| *name == checkpoint.origin.as_str());
        if own { Ok((checkpoint, opened.seen)) } else { Err(OpenError::Origin) }
    }
}

/// Why a signed checkpoint does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenError {
    Note(note::NoteError),
    Text,
    Origin,
}

impl fmt::Display for Checkpoint {
    /// The note text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.lines();
        let mut next = || lines.next().ok_or(CheckpointError);
        let origin = next()?.parse().map_err(|_| CheckpointError)?;
        let size = next()?.parse().map_err(|_| CheckpointError)?;
        let root = next()?.parse().map_err(|_| CheckpointError)?;
        let checkpoint = Self { origin, size, root };
        if checkpoint.to_string() == text { Ok(checkpoint) } else { Err(CheckpointError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "ten_00000000-0000-0000-0000-000000000001";

    #[test]
    fn a_checkpoint_has_one_text() {
        let text = format!("evidence.example.com/{TENANT}\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n");
        let checkpoint: Checkpoint = text.parse().unwrap();
        assert_eq!((checkpoint.size, checkpoint.to_string()), (20_852_163, text.clone()));
        for bad in [
            text.replace("20852163", "020852163"),
            text.replace("20852163", "+20852163"),
            text.replace("20852163", "-1"),
            text.replace('I', "J"),
            text.replace('=', ""),
            text.replace('\n', "\r\n"),
            format!("{text}extension\n"),
            format!("{text}\n"),
            text.trim_end().to_owned(),
            text.replace(TENANT, "ten_1"),
            text.replace(TENANT, &TENANT.replace("ten_", "TEN_")),
            text.replace("evidence.example.com", ""),
            text.replace("evidence", "evi dence"),
        ] {
            assert_eq!(bad.parse::<Checkpoint>(), Err(CheckpointError), "{bad}");
        }
    }

    #[test]
    fn a_log_is_named_after_its_tenant() {
        let tenant = TENANT.parse().unwrap();
        let origin = Origin::new("evidence.example.com", tenant).unwrap();
        assert_eq!(origin.tenant(), Some(tenant));
        for bad in ["", "a b", "a+b", "a\nb"] {
            assert_eq!(Origin::new(bad, tenant), Err(OriginError), "{bad:?}");
        }
    }
}
