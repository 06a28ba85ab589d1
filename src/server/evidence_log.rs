//! The evidence log at work: entries in business transactions, one sequencer a tenant, checkpoints, bundles.

use std::collections::HashMap;
use std::io::Write as _;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::ids::{ConsentId, EntryId, TenantId};
use domain::world::World;
use evidence::log::{Sequenced, Sequencer, commitment};
use evidence::tree::{Frontier, Node, consistency_nodes, consistency_proof, inclusion_nodes, inclusion_proof};
use evidence::{Body, Bundle, Checkpoint, Content, Earlier, Hash, Item, Origin, Receipt, Signer, Statement, Subject};
use serde::Serialize;
use store::TenantTx;
use store::evidence_log::{self as rows, Entry, NewEntry, Payload, Placed};
use store::timestamps;
use vault::{KeyError, SigningKey, Wrapped};

use crate::app::App;
use crate::services::ServiceError;
use crate::{evidence_copy, keys};

/// Entries that one run of the sequencer places in one transaction.
const BATCH: i64 = 1000;
/// Entries of one consent that a bundle may hold; more is an error, never a silent cut.
const BUNDLE_ENTRIES_MAX: i64 = 100_000;
/// Generation of the log's signing key. A rotation raises it.
const SIGNING_GENERATION: u32 = 1;

/// Whose life an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// The tenant.
    pub tenant: TenantId,
    /// The consent.
    pub consent: ConsentId,
}

/// Writes what happened to a consent, in the transaction in which it happened.
///
/// # Errors
/// The database's or the key provider's.
pub async fn record(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    consent: ConsentId,
    kind: &str,
    body: &impl Serialize,
) -> Result<(), ServiceError> {
    record_of(app, tx, world, Subject::Consent(consent), kind, body).await
}

/// The same with the evidence key of the consent, where a statement has brought it already.
///
/// # Errors
/// The database's or the key provider's.
pub async fn record_under(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    (consent, key): (ConsentId, Option<&Wrapped>),
    kind: &str,
    body: &impl Serialize,
) -> Result<(), ServiceError> {
    let statement = Statement::new(EntryId::new(world), tx.tenant(), Subject::Consent(consent), kind, world.now, body);
    append(app, tx, world, &statement.context("evidence without a canonical form")?, key).await?;
    Ok(())
}

/// The same of any subject.
///
/// # Errors
/// The database's or the key provider's.
pub async fn record_of(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    subject: Subject,
    kind: &str,
    body: &impl Serialize,
) -> Result<(), ServiceError> {
    let id = EntryId::new(world);
    let statement = Statement::new(id, tx.tenant(), subject, kind, world.now, body);
    append(app, tx, world, &statement.context("evidence without a canonical form")?, None).await?;
    Ok(())
}

/// Writes a statement whose body has a shape of its own: receipts and addenda, which are signed. Gives the signed note,
/// as it travels alone.
///
/// # Errors
/// The database's or the key provider's.
pub async fn state<B: Body>(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    subject: Subject,
    body: &B,
) -> Result<String, ServiceError> {
    let statement = Statement::with_body(EntryId::new(world), tx.tenant(), subject, world.now, body);
    let payload = append(app, tx, world, &statement.context("evidence without a canonical form")?, None).await?;
    Ok(evidence::signed_note(&payload.statement, &payload.signature))
}

async fn append(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    statement: &Statement,
    key: Option<&Wrapped>,
) -> Result<Payload, ServiceError> {
    let text = statement.to_canonical().context("evidence without a canonical form")?;
    let signature = if statement.is_signed() {
        let (origin, key) = signing(app, tx.tenant(), world)?;
        statement.sign(&signer(&origin, &key)).context("evidence without a canonical form")?
    } else {
        String::new()
    };
    let subject = match statement.subject {
        Subject::Consent(id) => id.uuid(),
        Subject::Tenant(id) => id.uuid(),
    };
    let salt = Hash(world.bytes());
    let commitment = *commitment(&salt, &text).as_bytes();
    let payload = Payload { statement: text, salt: salt.0, signature };
    let entry = NewEntry {
        id: statement.id,
        subject,
        kind: &statement.kind,
        recorded_at: world.now,
        commitment,
        payload: &payload,
    };
    match keys::of_evidence(app, tx, world, subject, key).await {
        Ok(key) => rows::append(tx, entry, &key, world.entropy).await?,
        // Whoever withdraws is heard all the same. The sequencer seals it, which needs the provider anyway.
        Err(ServiceError::Key(KeyError::Unavailable { .. } | KeyError::Refused { .. })) => {
            rows::append_pending(tx, entry).await?;
        }
        Err(error) => return Err(error),
    }
    Ok(payload)
}

pub(crate) fn signing(app: &App, tenant: TenantId, world: &World<'_>) -> Result<(Origin, SigningKey), ServiceError> {
    let origin = Origin::new(&app.config.evidence.origin, tenant).context("evidence.origin")?;
    Ok((origin, app.vault.signing_key(tenant, SIGNING_GENERATION, world)?))
}

pub(crate) fn signer<'a>(origin: &Origin, key: &'a SigningKey) -> Signer<'a> {
    Signer::new(origin, key.public_key(), |message| key.sign(message))
}

/// The line that a verifier needs to check this tenant's log: `name+hash+key` (C2SP signed-note).
///
/// # Errors
/// The key provider's.
pub fn verifier_key(app: &App, tenant: TenantId) -> Result<String, ServiceError> {
    let (origin, key) = signing(app, tenant, &app.world())?;
    Ok(signer(&origin, &key).verifier_key().to_string())
}

/// Refuses to go on with a log that is behind its copy outside, that the key at hand did not sign, or at a time whose epochs are destroyed already: a lost
/// key folder must not become a second log, nor a wrong clock a system in which nothing can be withdrawn.
///
/// # Errors
/// Says which of them, and what to do.
pub async fn check_continuity(app: &App, tenant: TenantId) -> Result<(), ServiceError> {
    let mut tx = app.store.tenant_tx(tenant).await?;
    let newest = rows::checkpoint(&mut tx, None).await?;
    evidence_copy::refuse_behind(app, &mut tx, newest.as_ref().map_or(0, |newest| newest.size)).await?;
    let epochs = store::keys::epochs(&mut tx).await?;
    tx.commit().await?;
    let destroyed = epochs.iter().filter(|(_, at)| at.is_some()).map(|(epoch, _)| *epoch).max();
    if destroyed.is_some_and(|epoch| epoch >= app.vault.policy().epoch_at(app.clock.now())) {
        return Err(ServiceError::Ours(anyhow::anyhow!(
            "the clock stands in a time whose keys are destroyed already: set it right before serving"
        )));
    }
    let Some(newest) = newest else { return Ok(()) };
    let (origin, key) = signing(app, tenant, &app.world())?;
    let keys = [signer(&origin, &key).verifier_key().clone()];
    match evidence::note::open(&newest.note, &keys, evidence::note::Strangers::Ignore) {
        Ok(_) => Ok(()),
        Err(_) => Err(ServiceError::Ours(anyhow::anyhow!(
            "keys.dir does not hold the key that signed this log: bring the folder back before serving"
        ))),
    }
}

/// Gives waiting entries their places and signs a checkpoint. Gives how many it placed.
///
/// # Errors
/// The database's, the key provider's, or the checkpoint file's.
pub async fn sequence(app: &App, tenant: TenantId) -> Result<usize, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(tenant).await?;
    let size = rows::lock(&mut tx).await?;
    evidence_copy::refuse_behind(app, &mut tx, size).await?;
    let waiting = rows::unplaced(&mut tx, BATCH).await?;
    if waiting.is_empty() {
        drop(tx);
        // A node that died before it wrote the copy left that to the next look.
        evidence_copy::export(app, tenant).await?;
        return Ok(0);
    }
    let frontier = frontier(&mut tx, size.unsigned_abs()).await?;
    let subject = |id| subject(tenant, id);
    let mut subjects: Vec<_> = waiting.iter().map(|entry| entry.subject).collect();
    subjects.sort_unstable();
    subjects.dedup();
    let heads = rows::heads(&mut tx, &subjects).await?;
    let heads: HashMap<_, _> = heads.into_iter().map(|(id, leaf)| (subject(id), Hash(leaf))).collect();
    let mut sequencer = Sequencer::new(frontier, heads);
    let (mut placed, mut nodes) = (Vec::with_capacity(waiting.len()), Vec::new());
    for entry in &waiting {
        if entry.pending.is_some() {
            let key = keys::of_evidence(app, &mut tx, &world, entry.subject, None).await?;
            rows::seal(&mut tx, entry, &key, world.entropy).await?;
        }
        let step = sequencer.append(subject(entry.subject), &Hash(entry.commitment));
        placed.push(Placed { id: entry.id, index: signed(step.index), previous: step.prev.0, leaf: step.leaf.0 });
        nodes.extend(stored_nodes(&step));
    }
    rows::place(&mut tx, &placed, &nodes).await?;
    let (origin, key) = signing(app, tenant, &world)?;
    let checkpoint = Checkpoint::of(origin.clone(), sequencer.frontier());
    let note = checkpoint.sign(&signer(&origin, &key));
    let kept = rows::Checkpoint {
        size: signed(checkpoint.size),
        root: checkpoint.root.0,
        note: note.clone(),
        signed_at: world.now,
    };
    rows::put_checkpoint(&mut tx, &kept).await?;
    tx.commit().await?;
    export(app, &note)?;
    evidence_copy::export(app, tenant).await?;
    Ok(placed.len())
}

/// The subject whose uuid stands in the database.
pub(crate) fn subject(tenant: TenantId, id: uuid::Uuid) -> Subject {
    if id == tenant.uuid() { Subject::Tenant(tenant) } else { Subject::Consent(ConsentId::from_uuid(id)) }
}

/// The nodes that a step completed, as they are stored.
pub(crate) fn stored_nodes(step: &Sequenced) -> impl Iterator<Item = rows::Node> {
    let node = |(node, hash): &(Node, Hash)| rows::Node {
        level: i16::from(node.level),
        index: signed(node.index),
        hash: hash.0,
    };
    step.nodes.iter().map(node)
}

/// Hands a checkpoint to the outside, where the database's owner cannot take it back.
fn export(app: &App, note: &str) -> Result<(), ServiceError> {
    let path = &app.config.evidence.checkpoint_file;
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    let append = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(format!("{note}\n").as_bytes())?;
        file.sync_data()
    };
    Ok(append().with_context(|| format!("evidence.checkpoint_file: {}", path.display()))?)
}

pub(crate) async fn frontier(tx: &mut TenantTx, size: u64) -> Result<Frontier, ServiceError> {
    let peaks = Frontier::nodes(size);
    let nodes = stored(tx, &peaks).await?;
    let hashes: Option<Vec<Hash>> = peaks.iter().map(|peak| nodes.get(peak).copied()).collect();
    let frontier = hashes.and_then(|hashes| Frontier::from_parts(size, hashes));
    Ok(frontier.ok_or(store::StoreError::Corrupt { table: "evidence_node", column: "hash" })?)
}

async fn stored(tx: &mut TenantTx, wanted: &[Node]) -> Result<HashMap<Node, Hash>, ServiceError> {
    let wanted: Vec<(i16, i64)> = wanted.iter().map(|node| (i16::from(node.level), signed(node.index))).collect();
    let found = rows::nodes(tx, &wanted).await?;
    let node =
        |row: &rows::Node| Some(Node { level: u8::try_from(row.level).ok()?, index: u64::try_from(row.index).ok()? });
    Ok(found.iter().filter_map(|row| Some((node(row)?, Hash(row.hash)))).collect())
}

/// Everything about one consent in one canonical file. `None` while nothing is placed yet. `since` is the size of a
/// checkpoint that somebody holds outside; the bundle then proves that the log only grew from there.
///
/// # Errors
/// The database's or the key provider's.
pub async fn bundle(app: &App, about: About, since: Option<u64>) -> Result<Option<String>, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(about.tenant).await?;
    let Some(newest) = rows::checkpoint(&mut tx, None).await? else { return Ok(None) };
    let size = newest.size.unsigned_abs();
    let mut bundle = Bundle::new(about.tenant, about.consent, newest.note);
    let entries = rows::of_subject(&mut tx, about.consent.uuid(), 0, BUNDLE_ENTRIES_MAX).await?;
    if entries.len() >= usize::try_from(BUNDLE_ENTRIES_MAX).unwrap_or(usize::MAX) {
        return Err(ServiceError::Ours(anyhow::anyhow!("the consent has more entries than one bundle holds")));
    }
    let key = keys::of_evidence(app, &mut tx, &world, about.consent.uuid(), None).await?;
    let mut epochs = Vec::new();
    for entry in entries.iter().filter(|entry| entry.index < newest.size) {
        let payload = entry.payload(about.tenant, &key)?;
        epochs.extend(payload.iter().flat_map(epochs_of_receipt));
        bundle.entries.push(item(&mut tx, entry, payload, size).await?);
    }
    if !epochs.is_empty() {
        let tenant_key = keys::of_evidence(app, &mut tx, &world, about.tenant.uuid(), None).await?;
        let entries = rows::of_subject(&mut tx, about.tenant.uuid(), 0, BUNDLE_ENTRIES_MAX).await?;
        for entry in entries.iter().filter(|entry| entry.index < newest.size) {
            let payload = entry.payload(about.tenant, &tenant_key)?;
            if payload.as_ref().and_then(destroyed_epoch).is_some_and(|epoch| epochs.contains(&epoch)) {
                bundle.epochs.push(item(&mut tx, entry, payload, size).await?);
            }
        }
    }
    bundle.earlier = earlier(&mut tx, since, size).await?;
    tx.commit().await?;
    Ok(Some(bundle.to_canonical().context("a bundle without a canonical form")?))
}

/// The checkpoint that is held outside, linked to the newest; without one named, the one before the newest. Beside it the
/// newest that a time-stamp authority stamped.
async fn earlier(tx: &mut TenantTx, since: Option<u64>, size: u64) -> Result<Vec<Earlier>, ServiceError> {
    let wanted = signed(since.unwrap_or(size - 1).min(size - 1));
    let stamped = timestamps::newest(tx, signed(size)).await?;
    let mut sizes = vec![wanted];
    sizes.extend(stamped.as_ref().map(|stamped| stamped.size));
    sizes.sort_unstable();
    let mut all: Vec<Earlier> = Vec::new();
    let mut last = 0;
    for wanted in sizes {
        let Some(before) = rows::checkpoint(tx, Some(wanted)).await?.filter(|before| before.size > last) else {
            continue;
        };
        last = before.size;
        let token = stamped.as_ref().filter(|stamped| stamped.size == before.size);
        all.push(Earlier {
            checkpoint: before.note,
            proof: consistency(tx, before.size.unsigned_abs(), size).await?,
            timestamp: token.map(|stamped| STANDARD.encode(&stamped.token)),
        });
    }
    Ok(all)
}

/// The proof that the log of `size` leaves begins with that of `first`, which is not 0.
pub(crate) async fn consistency(tx: &mut TenantTx, first: u64, size: u64) -> Result<Vec<Hash>, ServiceError> {
    let nodes = stored(tx, &consistency_nodes(first, size)).await?;
    let proof = consistency_proof(first, size, &nodes);
    Ok(proof.ok_or(store::StoreError::Corrupt { table: "evidence_node", column: "hash" })?)
}

async fn item(tx: &mut TenantTx, entry: &Entry, payload: Option<Payload>, size: u64) -> Result<Item, ServiceError> {
    let index = entry.index.unsigned_abs();
    let nodes = stored(tx, &inclusion_nodes(index, size)).await?;
    let proof = inclusion_proof(index, size, &nodes);
    let proof = proof.ok_or(store::StoreError::Corrupt { table: "evidence_node", column: "hash" })?;
    let content = match payload {
        Some(payload) => {
            Content::Shown { statement: payload.statement, salt: Hash(payload.salt), signature: payload.signature }
        }
        None => Content::Expired { commitment: Hash(entry.commitment) },
    };
    Ok(Item { index, prev: Hash(entry.previous), content, proof })
}

fn epochs_of_receipt(payload: &Payload) -> Vec<i64> {
    let receipt = Statement::read(&payload.statement).ok().and_then(|statement| statement.body::<Receipt>()?.ok());
    receipt.map_or_else(Vec::new, |receipt| receipt.accounts.iter().map(|account| account.key_epoch).collect())
}

fn destroyed_epoch(payload: &Payload) -> Option<i64> {
    let statement = Statement::read(&payload.statement).ok()?;
    Some(statement.body::<evidence::EpochDestroyed>()?.ok()?.epoch)
}

/// Leaf indexes are counted by the database in signed 64 bits; no log comes near the end of them.
fn signed(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

/// Bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
