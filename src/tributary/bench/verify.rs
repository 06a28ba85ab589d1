//! The offline check of a bundle with very many entries.

use std::collections::HashMap;

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use domain::ids::{ConsentId, EntryId, TenantId};
use evidence::log::{Sequencer, commitment};
use evidence::tree::{Node, inclusion_proof};
use evidence::{Bundle, Checkpoint, Content, Hash, Item, Origin, Signer, Statement, Subject, VerifierKey, verify};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::{Figure, Goal, against};

/// Entries of the bundle.
const MANY: u64 = 100_000;
/// One round takes a second: fewer of them tell enough.
const ROUNDS_MAX: usize = 7;
/// When the first entry was written, in seconds since 1970.
const BEGIN: i64 = 1_800_000_000;

/// A bundle with its calls to a bank, checked; against the SHA-256 of the file.
pub(super) fn measure(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let (file, key) = bundle(MANY)?;
    let keys = [key];
    verify(&file, &keys, None)?;
    let pair = against(
        rounds.min(ROUNDS_MAX),
        || verify(&file, &keys, None).is_ok_and(|report| report.lines.len() as u64 == MANY),
        || digest(&SHA256, file.as_bytes()),
    );
    Ok(vec![Figure {
        name: "verify",
        what: "a bundle of 100,000 entries checked, against the SHA-256 of its bytes",
        value: pair.ratio(),
        unit: "×",
        goal: Goal::AtMost(2.0),
        beside: pair.beside(),
    }])
}

/// A bundle of so many entries, every one of the log.
fn bundle(many: u64) -> anyhow::Result<(String, VerifierKey)> {
    let (tenant, consent) = (TenantId::from_uuid(Uuid::from_u128(1)), ConsentId::from_uuid(Uuid::from_u128(2)));
    let origin = Origin::new("bench.example", tenant)?;
    let pair = Ed25519KeyPair::generate().context("a key pair")?;
    let public = pair.public_key().as_ref().try_into()?;
    let signer =
        Signer::new(&origin, public, |message| pair.sign(message).as_ref().first_chunk().copied().unwrap_or([0; 64]));
    let subject = Subject::Consent(consent);
    let (mut sequencer, mut nodes) = (Sequencer::default(), HashMap::<Node, Hash>::new());
    let mut entries = Vec::new();
    for n in 0..many {
        let id = Uuid::from_u128(u128::from(n));
        let body = json!({
            "registration": "bank", "institution": "xx_bank", "operation": "transactions",
            "request_id": id.to_string(), "basis": "unattended", "outcome": "answered",
        });
        let at = Timestamp::from_second(BEGIN.saturating_add_unsigned(n))?;
        let statement =
            Statement::new(EntryId::from_uuid(id), tenant, subject, "bank.call", at, &body)?.to_canonical()?;
        let mut salt = Hash::ZERO;
        salt.0[..8].copy_from_slice(&n.to_be_bytes());
        let place = sequencer.append(subject, &commitment(&salt, &statement));
        nodes.extend(place.nodes.iter().copied());
        entries.push((place, Content::Shown { salt, signature: String::new(), statement }));
    }
    let mut bundle = Bundle::new(tenant, consent, Checkpoint::of(origin.clone(), sequencer.frontier()).sign(&signer));
    for (place, content) in entries {
        let proof = inclusion_proof(place.index, many, &nodes).context("a proof")?;
        bundle.entries.push(Item { content, index: place.index, prev: place.prev, proof });
    }
    Ok((bundle.to_canonical()?, signer.verifier_key().clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundle_that_is_measured_is_a_good_one() {
        let (file, key) = bundle(33).unwrap();
        assert_eq!(verify(&file, &[key], None).unwrap().lines.len(), 33);
    }
}
