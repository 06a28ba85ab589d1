//! The copy of the evidence log outside the database: what a restored database is measured against and brought up to date
//! from.
//!
//! One file a tenant, one JSON object a line: entries in the order of the log, and after each batch of them the checkpoint
//! that covers it. An entry is copied as it is sealed in the database, beside its evidence key as that was wrapped then;
//! keys in the copy are never wrapped anew, so the copy opens for as long as a backup of the same day does, and no longer.

use std::fs::{File, TryLockError};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::ids::TenantId;
use evidence::{Checkpoint, Hash};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::TenantTx;
use store::evidence_log::{self as rows, Copied, Entry};
use uuid::Uuid;
use vault::Wrapped;

use crate::app::App;
use crate::services::ServiceError;

/// Entries that are read from the database at a time.
const BATCH: i64 = 1000;
/// Where the last line is looked for; a checkpoint is much shorter.
const TAIL_BYTES: u64 = 8192;

/// One line of the copy.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Entry(Box<EntryLine>),
    Checkpoint { checkpoint: String },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryLine {
    index: i64,
    id: String,
    subject: Uuid,
    kind: String,
    recorded_at: Timestamp,
    commitment: Hash,
    previous: Hash,
    leaf: Hash,
    sealed: Option<String>,
    key_epoch: Option<i64>,
    wrapped_key: Option<String>,
}

impl EntryLine {
    fn of(copied: &Copied) -> Self {
        let Copied { entry, leaf, key } = copied;
        Self {
            index: entry.index,
            id: entry.id.to_string(),
            subject: entry.subject,
            kind: entry.kind.clone(),
            recorded_at: entry.recorded_at,
            commitment: Hash(entry.commitment),
            previous: Hash(entry.previous),
            leaf: Hash(*leaf),
            sealed: entry.sealed.as_ref().map(|sealed| STANDARD.encode(sealed)),
            key_epoch: key.as_ref().map(|key| key.epoch),
            wrapped_key: key.as_ref().map(|key| STANDARD.encode(&key.bytes)),
        }
    }

    fn read(self) -> anyhow::Result<Copied> {
        let bytes = |text: Option<String>| text.map(|text| STANDARD.decode(text)).transpose();
        let key = self.key_epoch.zip(bytes(self.wrapped_key)?).map(|(epoch, bytes)| Wrapped { epoch, bytes });
        let entry = Entry {
            id: self.id.parse()?,
            subject: self.subject,
            kind: self.kind,
            recorded_at: self.recorded_at,
            commitment: self.commitment.0,
            index: self.index,
            previous: self.previous.0,
            sealed: bytes(self.sealed)?,
        };
        Ok(Copied { entry, leaf: self.leaf.0, key })
    }
}

/// Where the copy ends.
struct End {
    /// Bytes up to the end of the last checkpoint line.
    bytes: u64,
    /// That checkpoint; `None` in an empty copy.
    note: Option<String>,
}

impl End {
    fn checkpoint(&self) -> anyhow::Result<Option<Checkpoint>> {
        self.note.as_deref().map(checkpoint_of).transpose()
    }
}

/// The checkpoint in a signed note, whoever signed it.
pub(crate) fn checkpoint_of(note: &str) -> anyhow::Result<Checkpoint> {
    let text = note.split_once("\n\n").map(|(text, _)| format!("{text}\n"));
    text.and_then(|text| text.parse().ok()).ok_or_else(|| anyhow!("not a checkpoint"))
}

fn file_of(app: &App, tenant: TenantId) -> Option<PathBuf> {
    let folder = &app.config.evidence.copy_dir;
    (!folder.as_os_str().is_empty()).then(|| folder.join(format!("{tenant}.jsonl")))
}

/// Brings the copy up to date with what is placed in the database. Another node that does so at the moment is let do it.
///
/// # Errors
/// The database's, or the file's.
pub(crate) async fn export(app: &App, tenant: TenantId) -> Result<(), ServiceError> {
    let Some(path) = file_of(app, tenant) else { return Ok(()) };
    let failed = || format!("evidence.copy_dir: {}", path.display());
    std::fs::create_dir_all(&app.config.evidence.copy_dir).with_context(failed)?;
    let file = File::options().create(true).truncate(false).read(true).write(true).open(&path).with_context(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(anyhow!(error).context(failed()).into()),
    }
    let end = end(&file).with_context(failed)?;
    let copied = end.checkpoint().with_context(failed)?.map_or(0, |checkpoint| checkpoint.size);
    let mut tx = app.store.tenant_tx(tenant).await?;
    let Some(newest) = rows::checkpoint(&mut tx, None).await? else { return Ok(()) };
    let mut next = i64::try_from(copied).unwrap_or(i64::MAX);
    if newest.size <= next {
        return Ok(());
    }
    file.set_len(end.bytes).with_context(failed)?;
    (&file).seek(SeekFrom::End(0)).with_context(failed)?;
    while next < newest.size {
        let text = lines(&mut tx, next, newest.size).await?;
        (&file).write_all(text.0.as_bytes()).with_context(failed)?;
        next = text.1;
    }
    let line = serde_json::to_string(&Line::Checkpoint { checkpoint: newest.note }).context("a checkpoint")?;
    (&file).write_all(format!("{line}\n").as_bytes()).with_context(failed)?;
    file.sync_data().with_context(failed)?;
    Ok(())
}

/// The lines of the next entries, and the index after them.
async fn lines(tx: &mut TenantTx, from: i64, until: i64) -> Result<(String, i64), ServiceError> {
    let entries = rows::placed(tx, from, BATCH.min(until - from)).await?;
    let Some(last) = entries.last() else {
        return Err(store::StoreError::Corrupt { table: "evidence_entry", column: "leaf_index" }.into());
    };
    let next = last.entry.index + 1;
    let mut text = String::new();
    for entry in &entries {
        text += &serde_json::to_string(&EntryLine::of(entry)).context("an entry of the log")?;
        text.push('\n');
    }
    Ok((text, next))
}

/// Finds the last checkpoint. What stands behind it was cut off by a crash.
fn end(mut file: &File) -> std::io::Result<End> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let last = tail.strip_suffix(b"\n").and_then(|lines| lines.rsplit(|byte| *byte == b'\n').next());
    if let Some(Ok(Line::Checkpoint { checkpoint })) = last.map(serde_json::from_slice::<Line>) {
        return Ok(End { bytes: length, note: Some(checkpoint) });
    }
    file.seek(SeekFrom::Start(0))?;
    let (mut found, mut at) = (End { bytes: 0, note: None }, 0);
    let (mut reader, mut line) = (BufReader::new(file), Vec::new());
    while reader.read_until(b'\n', &mut line)? > 0 {
        at += line.len() as u64;
        if let (true, Ok(Line::Checkpoint { checkpoint })) = (line.ends_with(b"\n"), serde_json::from_slice(&line)) {
            found = End { bytes: at, note: Some(checkpoint) };
        }
        line.clear();
    }
    Ok(found)
}

fn open(path: &Path) -> anyhow::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(anyhow!(error).context(format!("evidence.copy_dir: {}", path.display()))),
    }
}

/// The checkpoint that was last seen outside; `None` without a copy.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn newest(app: &App, tenant: TenantId) -> anyhow::Result<Option<Checkpoint>> {
    let Some(path) = file_of(app, tenant) else { return Ok(None) };
    let Some(file) = open(&path)? else { return Ok(None) };
    let failed = || format!("evidence.copy_dir: {}", path.display());
    end(&file).with_context(failed)?.checkpoint().with_context(failed)
}

/// Refuses a log that is shorter than its copy, or another one: what was restored from a backup neither serves nor writes
/// before it is brought up to date.
///
/// # Errors
/// Says which of the two, and what to do.
pub(crate) async fn refuse_behind(app: &App, tx: &mut TenantTx, size: i64) -> Result<(), ServiceError> {
    let Some(outside) = newest(app, tx.tenant())? else { return Ok(()) };
    let copied = i64::try_from(outside.size).unwrap_or(i64::MAX);
    if size < copied {
        return Err(ServiceError::Ours(anyhow!(
            "the log in the database has {size} entries and its copy outside {copied}: the database was restored from a \
             backup. Bring it up to date with `tributary restore --catch-up` before serving"
        )));
    }
    let same = rows::checkpoint(tx, Some(copied)).await?;
    if same.is_some_and(|same| same.size == copied && same.root == outside.root.0) {
        return Ok(());
    }
    Err(ServiceError::Ours(anyhow!(
        "the log in the database is not the one that its copy outside was made of: evidence.copy_dir, or the database, \
         belongs to another installation"
    )))
}

/// What the copy has from a leaf index on.
pub(crate) struct Ahead {
    /// The entries, in order.
    pub(crate) entries: Vec<Copied>,
    /// The signed checkpoint that covers them.
    pub(crate) note: String,
}

/// Reads what the copy has from a leaf index on; `None` if there is no copy or it has nothing more.
///
/// # Errors
/// The file cannot be read, or a line in it.
pub(crate) fn since(app: &App, tenant: TenantId, from: i64) -> anyhow::Result<Option<Ahead>> {
    let Some(path) = file_of(app, tenant) else {
        bail!("evidence.copy_dir is not set: there is nothing to catch up from")
    };
    let failed = || format!("evidence.copy_dir: {}", path.display());
    let Some(file) = open(&path)? else { bail!("{} is missing: there is nothing to catch up from", path.display()) };
    let End { bytes, note: Some(note) } = end(&file).with_context(failed)? else { return Ok(None) };
    (&file).seek(SeekFrom::Start(0)).with_context(failed)?;
    let mut entries = Vec::new();
    for (n, line) in BufReader::new((&file).take(bytes)).lines().enumerate() {
        let place = || format!("{}, line {}", path.display(), n + 1);
        let line: Line = serde_json::from_str(&line.with_context(place)?).with_context(place)?;
        if let Line::Entry(entry) = line
            && entry.index >= from
        {
            entries.push(entry.read().with_context(place)?);
        }
    }
    Ok((!entries.is_empty()).then_some(Ahead { entries, note }))
}
