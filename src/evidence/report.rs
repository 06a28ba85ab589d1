//! What a verified bundle says, for programs and in plain words.

use std::fmt;

use domain::ids::ConsentId;
use jiff::Timestamp;

use crate::checkpoint::Checkpoint;
use crate::note::Seen;
use crate::receipt::{BankAnswer, BankOutcome, EpochDestroyed, ProductAcknowledgement, Receipt, Scope};
use crate::statement::Statement;
use crate::timestamp::Stamp;

/// Kind of the statement that a product has not confirmed and is not reminded any more; its body has the deletion's id as
/// `deletion_id`.
const UNACKNOWLEDGED: &str = "deletion.unacknowledged";

/// One entry of the log extract. Of very many, few are ever read: what was checked is kept as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Leaf index.
    pub index: u64,
    /// The statement, canonical; `None` when its retention has ended.
    text: Option<String>,
}

impl Line {
    /// An entry whose statement was checked.
    pub(crate) fn shown(index: u64, statement: &str) -> Self {
        Self { index, text: Some(statement.to_owned()) }
    }

    /// An entry whose statement is gone.
    pub(crate) const fn expired(index: u64) -> Self {
        Self { index, text: None }
    }

    /// The statement; `None` when its retention has ended.
    pub fn statement(&self) -> Option<Statement> {
        Statement::read(self.text.as_deref()?).ok()
    }

    /// What kind it is of, without reading all of it.
    pub fn kind(&self) -> Option<&str> {
        Statement::kind_in(self.text.as_deref()?)
    }
}

/// What a bundle proves. Made by [`verify`](crate::verify) alone; `Display` is the readable page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The consent it is about.
    pub consent: ConsentId,
    /// The checkpoint that everything was checked against.
    pub checkpoint: Checkpoint,
    /// Size of the outside checkpoint, if there was one: entries below it stood in the log when it was taken.
    pub outside: Option<u64>,
    /// Trusted witnesses that signed the outside checkpoint, and when.
    pub seen: Vec<Seen>,
    /// What trusted time-stamp authorities signed: of how many first entries, and when.
    pub stamped: Vec<(u64, Stamp)>,
    /// All entries about the consent up to the last one shown.
    pub lines: Vec<Line>,
    /// Epoch keys that are proven to be destroyed, with the leaf index of the statement.
    pub epochs: Vec<(u64, EpochDestroyed)>,
}

impl Report {
    /// The receipts, in log order.
    pub fn receipts(&self) -> Vec<Receipt> {
        self.bodies().collect()
    }

    pub(crate) fn bodies<B: crate::Body>(&self) -> impl Iterator<Item = B> {
        let lines = self.lines.iter().filter(|line| line.kind() == Some(B::KIND));
        lines.filter_map(|line| line.statement()?.body()?.ok())
    }

    /// Whether every epoch key that could open a copy of what this receipt is about is proven to be destroyed.
    pub fn is_unreadable_everywhere(&self, receipt: &Receipt) -> bool {
        receipt.accounts.iter().all(|erased| self.epochs.iter().any(|(_, gone)| gone.epoch == erased.key_epoch))
    }

    /// The product's word that its own copies are gone.
    pub(crate) fn acknowledgement(&self, receipt: &Receipt) -> Option<ProductAcknowledgement> {
        self.bodies::<ProductAcknowledgement>().find(|done| done.deletion == receipt.deletion)
    }

    /// When the product was reminded in vain for the last time.
    pub(crate) fn unacknowledged(&self, receipt: &Receipt) -> Option<Timestamp> {
        let id = receipt.deletion.to_string();
        let given_up = self.lines.iter().filter(|line| line.kind() == Some(UNACKNOWLEDGED));
        let mut given_up = given_up.filter_map(Line::statement);
        given_up.find(|statement| statement.body.get("deletion_id") == Some(&id.as_str().into())).map(|found| found.at)
    }

    fn write_time(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outside {
            None if !self.stamped.is_empty() => {
                writeln!(f, "For entries after the last time-stamp below the time is asserted by the operator.")
            }
            None => writeln!(
                f,
                "Time asserted by the operator: no outside checkpoint was given. Whoever holds the signing key could have\n\
                 made this log up later. Keep a checkpoint from each visit and give it with the next bundle."
            ),
            Some(size) => writeln!(
                f,
                "The outside checkpoint holds the first {size} entries of the log (0 to {}). Nothing in them was changed,\n\
                 dropped, reordered or inserted since it was taken. For later entries the time is asserted by the operator.",
                size.saturating_sub(1)
            ),
        }?;
        for Seen { witness, at } in &self.seen {
            writeln!(f, "The witness {witness} saw the outside checkpoint at {at}: what it holds is no younger.")?;
        }
        for (size, Stamp { authority, at }) in &self.stamped {
            writeln!(
                f,
                "The time-stamp authority {} signed at {at} what the first {size} entries of the log were:\n\
                 they are no younger, and nothing in them was changed since.",
                authority.escape_debug()
            )?;
        }
        Ok(())
    }

    fn write_entries(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nWhat happened")?;
        for line in &self.lines {
            let mark = if self.outside.is_some_and(|size| line.index < size) { '*' } else { ' ' };
            match line.statement() {
                Some(statement) => {
                    writeln!(f, " {mark}{:>7}  {}  {}", line.index, statement.at, statement.kind)?;
                }
                None => writeln!(f, " {mark}{:>7}  payload expired: its retention has ended", line.index)?,
            }
        }
        match (self.lines.last(), self.outside) {
            (Some(last), Some(_)) => writeln!(
                f,
                "The chain of entries about this consent is unbroken up to {}. The outside checkpoint holds those with *.",
                last.index
            ),
            (Some(last), None) => {
                writeln!(f, "The chain of entries about this consent is unbroken up to {}.", last.index)
            }
            (None, _) => writeln!(f, "  The bundle shows no entry."),
        }
    }

    fn write_deletion(&self, receipt: &Receipt, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_receipt(receipt, f)?;
        if receipt.accounts.is_empty() {
            writeln!(f, "  no account              had data under this consent")?;
        } else if self.is_unreadable_everywhere(receipt) {
            writeln!(f, "  proven                  the keys that could open old copies are destroyed:")?;
            for (index, gone) in &self.epochs {
                if receipt.accounts.iter().any(|erased| erased.key_epoch == gone.epoch) {
                    let provider = gone.provider.escape_debug();
                    writeln!(f, "    epoch {:<8} {} ({provider}), entry {index}", gone.epoch, gone.destroyed_at)?;
                }
            }
        } else {
            writeln!(f, "  not proven yet          that the keys that could open old copies are destroyed")?;
        }
        let mut answered = false;
        for answer in self.bodies::<BankAnswer>().filter(|answer| answer.deletion == receipt.deletion) {
            let outcome = match answer.outcome {
                BankOutcome::Confirmed => "confirmed the end of the consent",
                BankOutcome::Unconfirmed => "has not confirmed the end of the consent",
            };
            writeln!(
                f,
                "  the bank                {outcome}, {} ({})",
                answer.answered_at,
                answer.basis.escape_debug()
            )?;
            answered = true;
        }
        if !answered {
            writeln!(f, "  the bank                no answer on record in this bundle")?;
        }
        if let Some(done) = self.acknowledgement(receipt) {
            return writeln!(
                f,
                "  {} has confirmed that it deleted its copies, {}",
                done.product, done.acknowledged_at
            );
        }
        match self.unacknowledged(receipt) {
            Some(at) => writeln!(f, "  the product             has not confirmed, reminded for the last time {at}"),
            None => writeln!(f, "  the product             no word on record that it deleted its copies"),
        }
    }
}

fn write_receipt(receipt: &Receipt, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let scope = match receipt.scope {
        Scope::Consent => "the whole consent",
        Scope::Account => "one account of the consent",
    };
    let rows: u64 = receipt.erased_rows.values().fold(0, |sum, rows| sum.saturating_add(*rows));
    writeln!(f, "\nDeletion {}: {scope}, because {}", receipt.deletion, receipt.trigger.in_words())?;
    writeln!(f, "  access stopped          {}", receipt.stopped_at)?;
    if let Some(until) = receipt.blocked_until {
        writeln!(f, "  kept by a legal hold    until {until}")?;
    }
    if let Some(kept) = receipt.retention {
        writeln!(f, "  until the erasure       {}", kept.in_words())?;
    }
    if let Some(name) = &receipt.intermediary {
        writeln!(f, "  not proven              what {} keeps, through which the data came", name.escape_debug())?;
    }
    writeln!(f, "  erased                  {}, {rows} rows, none left", receipt.erased_at)?;
    for (table, rows) in &receipt.erased_rows {
        writeln!(f, "    {:<21} {rows}", table.escape_debug().to_string())?;
    }
    writeln!(f, "  data keys deleted       {}", receipt.key_deleted_at)?;
    writeln!(f, "  unreadable everywhere   after {}", receipt.unreadable_everywhere_after)?;
    for erased in &receipt.accounts {
        let visible = &erased.visible_in_backups;
        write!(f, "  old backups still show  {} transaction rows of {}", visible.rows, erased.account)?;
        if let (Some(first), Some(last)) = (visible.first_booking, visible.last_booking) {
            write!(f, ", booked {first} to {last}")?;
        }
        writeln!(f, "; what is in them is sealed")?;
    }
    for kept in &receipt.kept_accounts {
        writeln!(f, "  kept                    {kept}: another consent stands on it")?;
    }
    Ok(())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Verified: evidence about consent {}", self.consent)?;
        writeln!(f, "  log   {}", self.checkpoint.origin)?;
        writeln!(f, "  size  {} entries, root {}", self.checkpoint.size, self.checkpoint.root)?;
        self.write_time(f)?;
        self.write_entries(f)?;
        self.receipts().iter().try_for_each(|receipt| self.write_deletion(receipt, f))
    }
}

/// What a receipt or an addendum that travels alone says. Made by [`verify_receipt`](crate::verify_receipt) alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptReport {
    /// Names of the keys that signed it.
    pub signer: String,
    /// The statement.
    pub statement: Statement,
}

impl fmt::Display for ReceiptReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Verified: {} about {}", self.statement.kind, self.statement.subject)?;
        writeln!(f, "  signed by  {}", self.signer)?;
        writeln!(f, "  dated      {} (time asserted by the operator)", self.statement.at)?;
        writeln!(f, "That it stands in the log is not shown by this file; ask for the bundle of the consent.")?;
        match self.statement.body::<Receipt>() {
            Some(Ok(receipt)) => write_receipt(&receipt, f),
            Some(Err(_)) | None => Ok(()),
        }
    }
}
