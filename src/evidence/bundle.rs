//! The bundle: everything a verifier needs about one consent, in one canonical file.

use domain::ids::{ConsentId, TenantId};
use serde::{Deserialize, Serialize};

use crate::Hash;
use crate::canonical::{self, INTEGER_MAX, NotCanonical};
use crate::hash::as_text;

const FORMAT: &str = "tributary.bundle/1";

/// What is left of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, try_from = "ContentMembers")]
pub enum Content {
    /// All of it.
    Shown {
        /// The salt of its commitment.
        salt: Hash,
        /// The statement's own signature lines, for kinds that are signed; else empty.
        signature: String,
        /// The statement in canonical form.
        statement: String,
    },
    /// Statement, salt and key went when their retention ended; the log remembers that there was something.
    Expired {
        /// The commitment.
        commitment: Hash,
    },
}

/// The members that either form may have. Read this way, and not form by form, each text is read once.
#[derive(Deserialize)]
struct ContentMembers {
    salt: Option<Hash>,
    signature: Option<String>,
    statement: Option<String>,
    commitment: Option<Hash>,
}

impl TryFrom<ContentMembers> for Content {
    type Error = &'static str;

    fn try_from(members: ContentMembers) -> Result<Self, Self::Error> {
        match members {
            ContentMembers { salt: Some(salt), signature: Some(signature), statement: Some(statement), .. } => {
                Ok(Self::Shown { salt, signature, statement })
            }
            ContentMembers { commitment: Some(commitment), .. } => Ok(Self::Expired { commitment }),
            ContentMembers { .. } => Err("neither a statement with salt and signature nor a commitment"),
        }
    }
}

/// One entry with the proof of its place in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The statement, or its commitment.
    pub content: Content,
    /// Leaf index.
    pub index: u64,
    /// Leaf hash of the previous entry of the same subject; zeros for the first.
    pub prev: Hash,
    /// Inclusion proof for the bundle's checkpoint (RFC 9162 §2.1.3.1).
    pub proof: Vec<Hash>,
}

/// An earlier checkpoint that may be held outside, and the proof that the log only grew since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// The earlier signed checkpoint.
    pub checkpoint: String,
    /// Consistency proof from it to the bundle's checkpoint (RFC 9162 §2.1.4.1).
    pub proof: Vec<Hash>,
    /// What a time-stamp authority signed over the checkpoint's text: an RFC 3161 token in base64, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
}

/// The evidence about one consent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The signed checkpoint that all proofs lead to.
    pub checkpoint: String,
    /// The consent.
    #[serde(with = "as_text")]
    pub consent: ConsentId,
    /// Earlier checkpoints, by size, each larger than the one before.
    pub earlier: Vec<Earlier>,
    /// Every entry about the consent, from its first, by index.
    pub entries: Vec<Item>,
    /// Entries about the tenant's epochs that the receipts above rest on, by index.
    pub epochs: Vec<Item>,
    pub(crate) format: String,
    /// Whose log it is from.
    #[serde(with = "as_text")]
    pub tenant: TenantId,
}

impl Bundle {
    /// A bundle without entries, to be filled.
    pub fn new(tenant: TenantId, consent: ConsentId, checkpoint: String) -> Self {
        let format = FORMAT.to_owned();
        Self { format, tenant, consent, checkpoint, earlier: Vec::new(), entries: Vec::new(), epochs: Vec::new() }
    }

    /// Reads the canonical file, and refuses every other form and format.
    pub(crate) fn read(file: &str) -> Result<Self, NotCanonical> {
        let in_range =
            |bundle: &Self| bundle.entries.iter().chain(&bundle.epochs).all(|item| item.index <= INTEGER_MAX);
        let bundle = canonical::read_in_order(file, in_range)?;
        if bundle.format == FORMAT { Ok(bundle) } else { Err(NotCanonical::Form) }
    }

    /// The canonical file.
    pub fn to_canonical(&self) -> Result<String, NotCanonical> {
        canonical::to_text(self)
    }

    /// The signed note of the entry at a leaf index, for handing out a receipt or an addendum alone. `None` if the bundle
    /// does not show that entry or it is not signed.
    pub fn signed_note(&self, index: u64) -> Option<String> {
        let item = self.entries.iter().chain(&self.epochs).find(|item| item.index == index)?;
        match &item.content {
            Content::Shown { statement, signature, .. } if !signature.is_empty() => {
                Some(crate::statement::signed_note(statement, signature))
            }
            Content::Shown { .. } | Content::Expired { .. } => None,
        }
    }
}
