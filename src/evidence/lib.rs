//! Evidence: an append-only log of what matters, receipts for deletions, and the offline verifier of both.
//!
//! Everything that is logged is a [`Statement`] in canonical JSON. The log holds a salted commitment to it ([`log`]) in an
//! RFC 9162 Merkle tree ([`tree`]) under signed checkpoints ([`Checkpoint`], [`note`]). A [`Bundle`] carries what somebody
//! needs who trusts neither us nor this program; [`verify`] checks it, and `FORMAT.md` beside this file describes it well
//! enough to write another verifier.
//!
//! This crate is pure: no clock, no chance, no file, no socket. It must never know the database or HTTP, never hold a
//! private key (signing is a function of the caller's, see [`Signer`]), and never carry bank data: statements say what
//! was done to data, not what was in them.

mod bundle;
mod canonical;
mod checkpoint;
mod hash;
pub mod log;
pub mod note;
mod page;
mod quick;
mod receipt;
mod report;
mod statement;
#[cfg(test)]
mod tests;
mod time;
pub mod timestamp;
pub mod tree;
mod verify;

pub use bundle::{Bundle, Content, Earlier, Item};
pub use canonical::NotCanonical;
pub use checkpoint::{Checkpoint, Origin};
pub use hash::Hash;
pub use note::{Signer, VerifierKey};
pub use receipt::{
    BankAnswer, BankOutcome, EpochDestroyed, ErasedAccount, Kept, ProductAcknowledgement, Receipt, Scope, Trigger,
    Visible,
};
pub use report::{Line, ReceiptReport, Report};
pub use statement::{Body, Statement, Subject, signed_note};
pub use verify::{Beside, Check, Place, Refusal, verify, verify_receipt, verify_with};
