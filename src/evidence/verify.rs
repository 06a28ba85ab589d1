//! The verifier: offline, and of one mind about every byte.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::ids::DeletionId;
use jiff::{SignedDuration, Timestamp};

use crate::bundle::{Bundle, Content, Item};
use crate::canonical;
use crate::checkpoint::{Checkpoint, OpenError};
use crate::note::{self, NoteError, Seen, Strangers, VerifierKey};
use crate::receipt::{BankAnswer, EpochDestroyed, ProductAcknowledgement, Receipt};
use crate::report::{Line, ReceiptReport, Report};
use crate::statement::{Statement, Subject, signed_note};
use crate::timestamp::{self, Authorities, Stamp};
use crate::tree::Inclusions;
use crate::{Hash, log, quick, tree};

/// Where in a bundle a check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    File,
    /// The bundle's own checkpoint.
    Checkpoint,
    /// An earlier checkpoint, by position from 0.
    Earlier(usize),
    /// An entry about the consent, by position from 0.
    Entry(usize),
    /// An entry about an epoch, by position from 0.
    Epoch(usize),
    /// The checkpoint that was given beside the bundle.
    Outside,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Earlier(i) => write!(f, "earlier[{i}]"),
            Self::Entry(i) => write!(f, "entries[{i}]"),
            Self::Epoch(i) => write!(f, "epochs[{i}]"),
            Self::Outside => f.write_str("outside"),
        }
    }
}

/// Which check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Check {
    /// The bytes are not the one canonical form of the expected shape, or of a version that is not known here.
    #[error("the bytes are not the canonical form")]
    Form,
    /// No trusted key has signed it, or a key that is not trusted has.
    #[error("it is not signed by a trusted key of this log")]
    Key,
    /// A signature is not by the key it names.
    #[error("the signature is not genuine")]
    Signature,
    /// It belongs to the log of somebody else.
    #[error("it belongs to another log or tenant")]
    Tenant,
    /// It is about another consent, deletion or epoch.
    #[error("it is about another consent, deletion or epoch")]
    Subject,
    /// The entry is not in the log at the place it claims.
    #[error("the log does not hold this entry at this place")]
    Inclusion,
    /// The log did not grow from the earlier checkpoint: entries were edited, dropped, reordered or inserted since.
    #[error("the log is not a continuation of this checkpoint")]
    Consistency,
    /// An entry about the consent is missing before this one, or the entries are not in order.
    #[error("an entry about the same consent is missing before this one")]
    Chain,
    /// The entry claims to be much older than one before it.
    #[error("the entry claims an earlier time than the log allows")]
    Time,
    /// A receipt or an addendum contradicts itself.
    #[error("the statement contradicts itself")]
    Content,
    /// The time-stamp of an earlier checkpoint is not by a trusted authority, or is of something else.
    #[error("no trusted authority has stamped this checkpoint so")]
    Timestamp,
    /// The bundle has no proof that leads to the checkpoint that was given.
    #[error("the bundle has no proof for a log of this size; ask for one that has")]
    Unlinked,
}

impl Check {
    const fn word(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Tenant => "tenant",
            Self::Subject => "subject",
            Self::Inclusion => "inclusion",
            Self::Consistency => "consistency",
            Self::Chain => "chain",
            Self::Time => "time",
            Self::Content => "content",
            Self::Timestamp => "timestamp",
            Self::Unlinked => "unlinked",
        }
    }
}

/// The evidence is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{place}.{}: {check}", .check.word())]
pub struct Refusal {
    /// Where.
    pub place: Place,
    /// What.
    pub check: Check,
}

impl Refusal {
    const fn at(place: Place, check: Check) -> Self {
        Self { place, check }
    }

    /// The stable code, `entries[3].inclusion`.
    pub fn code(&self) -> String {
        format!("{}.{}", self.place, self.check.word())
    }

    fn of_note(place: Place, error: NoteError) -> Self {
        let check = match error {
            NoteError::Malformed => Check::Form,
            NoteError::UnknownKey => Check::Key,
            NoteError::BadSignature => Check::Signature,
        };
        Self { place, check }
    }

    fn of_checkpoint(place: Place, error: OpenError) -> Self {
        match error {
            OpenError::Note(error) => Self::of_note(place, error),
            OpenError::Text => Self::at(place, Check::Form),
            OpenError::Origin => Self::at(place, Check::Tenant),
        }
    }
}

/// Kind of the statement that a deletion has begun; its body has the deletion's id as `deletion`.
const DELETION_BEGUN: &str = "deletion.begun";

/// How far an entry's time may lie before that of an entry that stands earlier in the log. Entries are sequenced within
/// about a second of being written; the rest is for transactions that took long and for clocks of several nodes.
pub(crate) const TIME_BEFORE_MAX: SignedDuration = SignedDuration::from_hours(1);

/// What somebody brings along beside the bundle and the keys.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside<'a> {
    /// A signed checkpoint that was kept outside the operator's reach.
    pub checkpoint: Option<&'a str>,
    /// Time-stamp authorities that are trusted. Without any, time-stamps in the bundle are passed over.
    pub authorities: Option<&'a Authorities>,
}

impl<'a> Beside<'a> {
    /// A checkpoint, or nothing.
    pub const fn checkpoint(checkpoint: Option<&'a str>) -> Self {
        Self { checkpoint, authorities: None }
    }
}

/// Checks a bundle with the keys somebody trusts and, if they have one, a signed checkpoint that was kept outside the
/// operator's reach. Without one, nothing shows that the log was not made up later: the report then says that its times
/// are asserted by the operator.
pub fn verify(file: &str, keys: &[VerifierKey], outside: Option<&str>) -> Result<Report, Refusal> {
    verify_with(file, keys, Beside::checkpoint(outside))
}

/// The same, with all that somebody may bring along.
pub fn verify_with(file: &str, keys: &[VerifierKey], beside: Beside<'_>) -> Result<Report, Refusal> {
    let quick = quick::apart(file).and_then(|(frame, entries)| {
        // Any refusal, by whatever name: the careful way finds the right one.
        judge(&frame, keys, beside, |verifier| {
            quick::lines(verifier, entries).ok_or(Refusal::at(Place::File, Check::Form))
        })
        .ok()
    });
    if let Some(report) = quick {
        return Ok(report);
    }
    let bundle = Bundle::read(file).map_err(|_| Refusal::at(Place::File, Check::Form))?;
    judge(&bundle, keys, beside, |verifier| verifier.entries())
}

/// Of how many first entries an authority said something, and what.
type Stamped = Vec<(u64, Stamp)>;

/// Every check in its order, the entries being checked one way or the other.
pub(crate) fn judge(
    bundle: &Bundle,
    keys: &[VerifierKey],
    beside: Beside<'_>,
    entries: impl FnOnce(&Verifier<'_>) -> Result<Vec<Line>, Refusal>,
) -> Result<Report, Refusal> {
    let verifier = Verifier::open(bundle, keys)?;
    let (earlier, stamped) = verifier.earlier(beside.authorities)?;
    let outside = beside.checkpoint.map(|note| verifier.outside(note, &earlier)).transpose()?;
    let lines = entries(&verifier)?;
    not_after_stamps(&lines, &stamped)?;
    let epochs = verifier.epochs()?;
    let report = Report {
        consent: bundle.consent,
        checkpoint: verifier.checkpoint,
        outside: outside.as_ref().map(|(checkpoint, _)| checkpoint.size),
        seen: outside.map_or_else(Vec::new, |(_, seen)| seen),
        stamped,
        lines,
        epochs,
    };
    report.receipts_hold_together()?;
    Ok(report)
}

/// What an authority has stamped was there: no entry of it claims a time well after the stamp's.
pub(crate) fn not_after_stamps(lines: &[Line], stamped: &[(u64, Stamp)]) -> Result<(), Refusal> {
    for (i, line) in lines.iter().enumerate() {
        let first = stamped.iter().filter(|(size, _)| line.index < *size).map(|(_, stamp)| stamp.at).min();
        let Some(first) = first else { continue };
        if line.statement().is_some_and(|said| said.at.duration_since(first) > TIME_BEFORE_MAX) {
            return Err(Refusal::at(Place::Entry(i), Check::Time));
        }
    }
    Ok(())
}

/// Checks a receipt or an addendum that travels alone, as a signed note. It shows who signed it and that no byte was
/// changed; that it is in the log takes the bundle.
pub fn verify_receipt(note: &str, keys: &[VerifierKey]) -> Result<ReceiptReport, Refusal> {
    let refuse = |check| Refusal::at(Place::File, check);
    let opened = note::open(note, keys, Strangers::Refuse).map_err(|error| Refusal::of_note(Place::File, error))?;
    let text = opened.text.strip_suffix('\n').ok_or(refuse(Check::Form))?;
    let statement = Statement::read(text).map_err(|_| refuse(Check::Form))?;
    if !statement.is_signed() {
        return Err(refuse(Check::Content));
    }
    for name in &opened.signers {
        let own = name.parse().ok().and_then(|origin: crate::Origin| origin.tenant()) == Some(statement.tenant);
        own.then_some(()).ok_or(refuse(Check::Tenant))?;
    }
    signed_body(&statement).map_err(refuse)?;
    Ok(ReceiptReport { signer: opened.signers.join(", "), statement })
}

pub(crate) struct Verifier<'a> {
    pub(crate) bundle: &'a Bundle,
    checkpoint: Checkpoint,
    keys: Vec<VerifierKey>,
    witnesses: Vec<VerifierKey>,
}

impl<'a> Verifier<'a> {
    /// Opens the bundle's checkpoint and keeps the keys of its log alone.
    fn open(bundle: &'a Bundle, keys: &[VerifierKey]) -> Result<Self, Refusal> {
        let (checkpoint, _) = Checkpoint::open(&bundle.checkpoint, keys, Strangers::Refuse)
            .map_err(|error| Refusal::of_checkpoint(Place::Checkpoint, error))?;
        if checkpoint.origin.tenant() != Some(bundle.tenant) {
            return Err(Refusal::at(Place::Checkpoint, Check::Tenant));
        }
        let witnesses = keys.iter().filter(|key| key.is_witness()).cloned().collect();
        let keys = keys.iter().filter(|key| key.name() == checkpoint.origin.as_str()).cloned().collect();
        Ok(Self { bundle, checkpoint, keys, witnesses })
    }

    /// The earlier checkpoints, and what trusted authorities stamped: how many entries, and when.
    fn earlier(&self, trusted: Option<&Authorities>) -> Result<(Vec<Checkpoint>, Stamped), Refusal> {
        let mut before = 0;
        let (mut checkpoints, mut stamped) = (Vec::with_capacity(self.bundle.earlier.len()), Vec::new());
        for (i, earlier) in self.bundle.earlier.iter().enumerate() {
            let place = Place::Earlier(i);
            // It must be signed by a key of its own name, and only this log's are left.
            let (old, _) = Checkpoint::open(&earlier.checkpoint, &self.keys, Strangers::Refuse)
                .map_err(|error| Refusal::of_checkpoint(place, error))?;
            let new = &self.checkpoint;
            if old.size <= before || old.size >= new.size {
                return Err(Refusal::at(place, Check::Form));
            }
            if !tree::verify_consistency(old.size, new.size, old.root, new.root, &earlier.proof) {
                return Err(Refusal::at(place, Check::Consistency));
            }
            before = old.size;
            let token = earlier.timestamp.as_deref().map(from_base64).transpose();
            let token = token.map_err(|check| Refusal::at(place, check))?;
            if let (Some(token), Some(trusted)) = (token, trusted) {
                let stamp = timestamp::check(&token, &old.to_string(), trusted);
                stamped.push((old.size, stamp.map_err(|_| Refusal::at(place, Check::Timestamp))?));
            }
            checkpoints.push(old);
        }
        Ok((checkpoints, stamped))
    }

    /// The outside checkpoint must be one of those that the bundle is proven to continue, or its own. Witnesses may have seen
    /// it.
    fn outside(&self, note: &str, earlier: &[Checkpoint]) -> Result<(Checkpoint, Vec<Seen>), Refusal> {
        let keys = [&self.keys[..], &self.witnesses].concat();
        let (outside, seen) = Checkpoint::open(note, &keys, Strangers::Ignore)
            .map_err(|error| Refusal::of_checkpoint(Place::Outside, error))?;
        let known = earlier.iter().chain([&self.checkpoint]).find(|known| known.size == outside.size);
        match known {
            Some(known) if known.root == outside.root => Ok((outside, seen)),
            Some(_) => Err(Refusal::at(Place::Outside, Check::Consistency)),
            None => Err(Refusal::at(Place::Outside, Check::Unlinked)),
        }
    }

    /// The consent's own entries: complete from the first, in order, and none of another consent.
    pub(crate) fn entries(&self) -> Result<Vec<Line>, Refusal> {
        let mut lines: Vec<Line> = Vec::with_capacity(self.bundle.entries.len());
        let mut head = Hash::ZERO;
        let mut latest: Option<Timestamp> = None;
        let mut tree = self.tree();
        for (i, item) in self.bundle.entries.iter().enumerate() {
            let place = Place::Entry(i);
            if item.prev != head || lines.last().is_some_and(|before| before.index >= item.index) {
                return Err(Refusal::at(place, Check::Chain));
            }
            let (leaf, line, statement) = self.item(item, place, &mut tree)?;
            if let Some(statement) = statement {
                if statement.subject != Subject::Consent(self.bundle.consent) {
                    return Err(Refusal::at(place, Check::Subject));
                }
                if latest.is_some_and(|latest| latest.duration_since(statement.at) > TIME_BEFORE_MAX) {
                    return Err(Refusal::at(place, Check::Time));
                }
                latest = latest.max(Some(statement.at));
            }
            head = leaf;
            lines.push(line);
        }
        Ok(lines)
    }

    /// Entries about the tenant's epochs, shown because receipts of this bundle name these epochs.
    fn epochs(&self) -> Result<Vec<(u64, EpochDestroyed)>, Refusal> {
        let mut epochs: Vec<(u64, EpochDestroyed)> = Vec::with_capacity(self.bundle.epochs.len());
        let mut tree = self.tree();
        for (i, item) in self.bundle.epochs.iter().enumerate() {
            let place = Place::Epoch(i);
            if epochs.last().is_some_and(|(before, _)| *before >= item.index) {
                return Err(Refusal::at(place, Check::Chain));
            }
            let (_, _, statement) = self.item(item, place, &mut tree)?;
            let statement = statement.ok_or(Refusal::at(place, Check::Content))?;
            if statement.subject != Subject::Tenant(self.bundle.tenant) {
                return Err(Refusal::at(place, Check::Subject));
            }
            let destroyed = statement.body::<EpochDestroyed>().ok_or(Refusal::at(place, Check::Subject))?;
            epochs.push((item.index, destroyed.map_err(|_| Refusal::at(place, Check::Form))?));
        }
        Ok(epochs)
    }

    /// The tree that all entries must be in.
    pub(crate) fn tree(&self) -> Inclusions {
        Inclusions::of(self.checkpoint.size, self.checkpoint.root)
    }

    /// One entry: its commitment, its place in the log, its form, its tenant and its own signature.
    fn item(
        &self,
        item: &Item,
        place: Place,
        tree: &mut Inclusions,
    ) -> Result<(Hash, Line, Option<Statement>), Refusal> {
        let commitment = match &item.content {
            Content::Shown { statement, salt, .. } => log::commitment(salt, statement),
            Content::Expired { commitment } => *commitment,
        };
        let leaf = log::leaf(&item.prev, &commitment);
        if !tree.holds(item.index, leaf, &item.proof) {
            return Err(Refusal::at(place, Check::Inclusion));
        }
        match &item.content {
            Content::Expired { .. } => Ok((leaf, Line::expired(item.index), None)),
            Content::Shown { statement: text, signature, .. } => {
                let statement = self.statement(text, signature, place)?;
                Ok((leaf, Line::shown(item.index, text), Some(statement)))
            }
        }
    }

    /// A statement that is shown: its form, its tenant and its own signature.
    pub(crate) fn statement(&self, text: &str, signature: &str, place: Place) -> Result<Statement, Refusal> {
        let refuse = |check| Refusal::at(place, check);
        let statement = Statement::read(text).map_err(|_| refuse(Check::Form))?;
        if statement.tenant != self.bundle.tenant {
            return Err(refuse(Check::Tenant));
        }
        self.signature(&statement, text, signature, place)?;
        signed_body(&statement).map_err(refuse)?;
        Ok(statement)
    }

    fn signature(&self, statement: &Statement, text: &str, signature: &str, place: Place) -> Result<(), Refusal> {
        match (statement.is_signed(), signature.is_empty()) {
            (false, true) => Ok(()),
            (false, false) => Err(Refusal::at(place, Check::Form)),
            (true, true) => Err(Refusal::at(place, Check::Key)),
            (true, false) => {
                let note = signed_note(text, signature);
                let opened =
                    note::open(&note, &self.keys, Strangers::Refuse).map_err(|error| Refusal::of_note(place, error))?;
                // Lines before the last blank line would belong to the text.
                let whole = opened.text.strip_suffix('\n') == Some(text);
                whole.then_some(()).ok_or(Refusal::at(place, Check::Form))
            }
        }
    }
}

/// Bytes from their one spelling in base64.
fn from_base64(text: &str) -> Result<Vec<u8>, Check> {
    STANDARD.decode(text).map_err(|_| Check::Form)
}

/// Reads the body of a signed statement in its own shape and looks for contradictions.
fn signed_body(statement: &Statement) -> Result<(), Check> {
    if let Some(receipt) = statement.body::<Receipt>() {
        let receipt = receipt.map_err(|_| Check::Form)?;
        if statement.subject != Subject::Consent(receipt.consent) {
            return Err(Check::Subject);
        }
        return if receipt.is_coherent() { Ok(()) } else { Err(Check::Content) };
    }
    let read = |body: Option<Result<(), canonical::NotCanonical>>| body.transpose().map_err(|_| Check::Form);
    read(statement.body::<BankAnswer>().map(|body| body.map(drop)))?;
    read(statement.body::<ProductAcknowledgement>().map(|body| body.map(drop)))?;
    read(statement.body::<EpochDestroyed>().map(|body| body.map(drop)))?;
    Ok(())
}

impl Report {
    /// Every addendum is about a deletion whose begin or receipt stands before it: the bank may answer before the last row
    /// is gone. Every epoch shown is one that a receipt names, once. Once a statement has expired, a begin or a receipt may
    /// be among those that nobody can read any more.
    fn receipts_hold_together(&self) -> Result<(), Refusal> {
        let (mut begun, mut receipts): (Vec<String>, Vec<Receipt>) = (Vec::new(), Vec::new());
        let mut all_shown = true;
        for (i, line) in self.lines.iter().enumerate() {
            let refuse = |check| Refusal::at(Place::Entry(i), check);
            let Some(kind) = line.kind() else {
                all_shown = false;
                continue;
            };
            // Nothing else is about a deletion; most are about none.
            if kind != DELETION_BEGUN && !Statement::is_signed_kind(kind) {
                continue;
            }
            let Some(statement) = &line.statement() else { return Err(refuse(Check::Form)) };
            let known = |deletion| receipts.iter().any(|receipt| receipt.deletion == deletion);
            let under_way = |deletion: DeletionId| begun.contains(&deletion.to_string()) || known(deletion);
            if let Some(Ok(receipt)) = statement.body::<Receipt>() {
                if known(receipt.deletion) {
                    return Err(refuse(Check::Content));
                }
                receipts.push(receipt);
            } else if all_shown && completes(statement).is_some_and(|deletion| !under_way(deletion)) {
                return Err(refuse(Check::Subject));
            }
            begun.extend(begins(statement).map(str::to_owned));
        }
        for (i, (_, destroyed)) in self.epochs.iter().enumerate() {
            let mut named = receipts.iter().flat_map(|receipt| &receipt.accounts);
            let again = self.epochs[..i].iter().any(|(_, before)| before.epoch == destroyed.epoch);
            if again || all_shown && named.all(|account| account.key_epoch != destroyed.epoch) {
                return Err(Refusal::at(Place::Epoch(i), Check::Subject));
            }
        }
        Ok(())
    }
}

/// The deletion that a statement says has begun.
fn begins(statement: &Statement) -> Option<&str> {
    let told = statement.body.get("deletion").filter(|_| statement.kind == DELETION_BEGUN)?;
    told.as_str()
}

/// The deletion that an addendum completes.
fn completes(statement: &Statement) -> Option<DeletionId> {
    match (statement.body::<BankAnswer>(), statement.body::<ProductAcknowledgement>()) {
        (Some(Ok(answer)), _) => Some(answer.deletion),
        (_, Some(Ok(acknowledgement))) => Some(acknowledgement.deletion),
        _ => None,
    }
}
