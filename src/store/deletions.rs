//! Deletions: erasures with their progress, counts, receipt and addenda. Killed at any point, one goes on where it stood.

use std::collections::BTreeMap;

use domain::ids::{ConsentId, DeletionId, LineId};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use sqlx::{Executor as _, query};
use uuid::Uuid;

use crate::data_map::{self, Subject};
use crate::time::{at, day, read, read_day};
use crate::transactions::Extent;
use crate::{StoreError, TenantTx};

/// The step of a deletion that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Nothing is written, read or fetched any more, and a legal hold keeps the rest from happening.
    Blocked,
    /// Nothing is written, read or fetched any more.
    Stopped,
    /// Rows are gone.
    Erased,
    /// Keys are gone.
    Shredded,
    /// The receipt is written.
    Receipted,
}

impl State {
    const ALL: [Self; 5] = [Self::Blocked, Self::Stopped, Self::Erased, Self::Shredded, Self::Receipted];

    /// The word in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Stopped => "stopped",
            Self::Erased => "erased",
            Self::Shredded => "shredded",
            Self::Receipted => "receipted",
        }
    }
}

/// What the bank was told and said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bank {
    /// The grant goes on, or there was none.
    NotNeeded,
    /// We are telling it.
    Pending,
    /// It proved that the grant is over.
    Confirmed,
    /// It did not.
    Unconfirmed,
}

impl Bank {
    const ALL: [Self; 4] = [Self::NotNeeded, Self::Pending, Self::Confirmed, Self::Unconfirmed];

    /// The word in the database and on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotNeeded => "not_needed",
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

/// Rows erased, by table.
pub type Counts = BTreeMap<String, i64>;

/// A deletion as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Its id.
    pub id: DeletionId,
    /// The consent.
    pub consent: ConsentId,
    /// The account, for an erasure of one account.
    pub line: Option<LineId>,
    /// Who or what caused it.
    pub trigger: String,
    /// The step that is done.
    pub state: State,
    /// The bank's side.
    pub bank: Bank,
    /// Rows erased beside those of its lines.
    pub counts: Counts,
    /// Accounts of the consent that stay, because another consent stands on them.
    pub kept: Vec<LineId>,
    /// When everything stopped.
    pub stopped_at: Timestamp,
    /// When the legal hold that had blocked it was lifted.
    pub unblocked_at: Option<Timestamp>,
    /// When the last row was gone.
    pub erased_at: Option<Timestamp>,
    /// When the last key was gone.
    pub key_deleted_at: Option<Timestamp>,
    /// When the last epoch that could open an old copy falls due for destruction.
    pub unreadable_after: Option<Timestamp>,
    /// When the bank's side was settled.
    pub bank_at: Option<Timestamp>,
    /// When the receipt was written.
    pub receipted_at: Option<Timestamp>,
    /// The signed receipt.
    pub receipt: Option<Vec<u8>>,
}

/// One line of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletionLine {
    /// The line, gone or going.
    pub line: LineId,
    /// Rows erased.
    pub counts: Counts,
    /// What stays visible in old backups: of the rows that have gone so far.
    pub visible: Extent,
    /// No more transactions than that were ever written, for a line that is still there.
    pub written: i64,
    /// The epoch that its key was wrapped under last.
    pub key_epoch: Option<i64>,
    /// When its last row was gone.
    pub erased_at: Option<Timestamp>,
    /// When its key was gone.
    pub key_deleted_at: Option<Timestamp>,
}

/// A deletion that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDeletion<'a> {
    /// Its id.
    pub id: DeletionId,
    /// The consent.
    pub consent: ConsentId,
    /// The account, for an erasure of one account.
    pub line: Option<LineId>,
    /// Who or what caused it.
    pub trigger: &'a str,
    /// Whether the bank must be told.
    pub bank: Bank,
    /// Whether a legal hold keeps it from running; then it takes no lines yet.
    pub blocked: bool,
    /// When everything stopped.
    pub stopped_at: Timestamp,
    /// The lines that it erases: those whose last ground ended.
    pub lines: &'a [LineId],
    /// Accounts of the consent that stay, because another consent stands on them.
    pub kept: &'a [LineId],
}

struct Row {
    deletion_id: Uuid,
    consent_id: Uuid,
    line_id: Option<Uuid>,
    trigger: String,
    state: String,
    bank: String,
    counts: Value,
    kept: Vec<Uuid>,
    stopped_at: jiff_sqlx::Timestamp,
    unblocked_at: Option<jiff_sqlx::Timestamp>,
    erased_at: Option<jiff_sqlx::Timestamp>,
    key_deleted_at: Option<jiff_sqlx::Timestamp>,
    unreadable_after: Option<jiff_sqlx::Timestamp>,
    bank_at: Option<jiff_sqlx::Timestamp>,
    receipted_at: Option<jiff_sqlx::Timestamp>,
    receipt: Option<Vec<u8>>,
}

/// A select of whole deletions; the tail says which.
macro_rules! select {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            "select deletion_id, consent_id, line_id, trigger, state, bank, counts, kept, stopped_at, unblocked_at, \
             erased_at, key_deleted_at, unreadable_after, bank_at, receipted_at, receipt from deletion " + $tail
            $(, $arg)*
        )
    };
}

fn counts(value: Value, table: &'static str) -> Result<Counts, StoreError> {
    serde_json::from_value(value).map_err(|_| StoreError::Corrupt { table, column: "counts" })
}

impl TryFrom<Row> for Deletion {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: "deletion", column };
        let state = State::ALL.into_iter().find(|state| state.word() == row.state);
        let bank = Bank::ALL.into_iter().find(|bank| bank.word() == row.bank);
        Ok(Self {
            id: DeletionId::from_uuid(row.deletion_id),
            consent: ConsentId::from_uuid(row.consent_id),
            line: row.line_id.map(LineId::from_uuid),
            trigger: row.trigger,
            state: state.ok_or(corrupt("state"))?,
            bank: bank.ok_or(corrupt("bank"))?,
            counts: counts(row.counts, "deletion")?,
            kept: row.kept.into_iter().map(LineId::from_uuid).collect(),
            stopped_at: row.stopped_at.to_jiff(),
            unblocked_at: read(row.unblocked_at),
            erased_at: read(row.erased_at),
            key_deleted_at: read(row.key_deleted_at),
            unreadable_after: read(row.unreadable_after),
            bank_at: read(row.bank_at),
            receipted_at: read(row.receipted_at),
            receipt: row.receipt,
        })
    }
}

/// Begins a deletion in the transaction that stops everything, and notes what will stay visible of each line.
pub async fn begin(tx: &mut TenantTx, new: &NewDeletion<'_>) -> Result<(), StoreError> {
    let kept: Vec<Uuid> = new.kept.iter().map(|line| line.uuid()).collect();
    query!(
        "insert into deletion (tenant_id, deletion_id, consent_id, line_id, scope, trigger, state, bank, kept, stopped_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        tx.id(),
        new.id.uuid(),
        new.consent.uuid(),
        new.line.map(LineId::uuid),
        if new.line.is_some() { "account" } else { "consent" },
        new.trigger,
        if new.blocked { State::Blocked } else { State::Stopped }.word(),
        new.bank.word(),
        &kept,
        at(new.stopped_at)
    )
    .execute(tx.db())
    .await?;
    take(tx, new.id, new.lines).await
}

/// Lets a deletion run that a hold or a policy had blocked: it takes the lines whose last ground ended meanwhile.
pub async fn unblock(
    tx: &mut TenantTx,
    id: DeletionId,
    (lines, kept): (&[LineId], &[LineId]),
    now: Timestamp,
) -> Result<(), StoreError> {
    let kept: Vec<Uuid> = kept.iter().map(|line| line.uuid()).collect();
    let done = query!(
        "update deletion set state = 'stopped', kept = $3, unblocked_at = $4
         where tenant_id = $1 and deletion_id = $2 and state = 'blocked'",
        tx.id(),
        id.uuid(),
        &kept,
        at(now)
    )
    .execute(tx.db())
    .await?;
    moved(done.rows_affected())?;
    take(tx, id, lines).await
}

/// Notes which lines a deletion takes. What will stay visible of each is counted as it goes: whoever withdraws does not wait for a
/// count.
async fn take(tx: &mut TenantTx, id: DeletionId, lines: &[LineId]) -> Result<(), StoreError> {
    let lines: Vec<Uuid> = lines.iter().map(|line| line.uuid()).collect();
    query!(
        "insert into deletion_line (tenant_id, deletion_id, line_id, visible_rows)
         select $1, $2, line_id, 0 from unnest($3::uuid[]) as line_id",
        tx.id(),
        id.uuid(),
        &lines
    )
    .execute(tx.db())
    .await?;
    // Whoever connects the same account from now on gets a line of its own, with a key of its own. The hash of the line's
    // random id is a tag that no account has.
    query!(
        "update line set account_tag = sha256(uuid_send(line_id))
         where tenant_id = $1 and line_id = any($2)",
        tx.id(),
        &lines
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// One deletion.
pub async fn get(tx: &mut TenantTx, id: DeletionId) -> Result<Deletion, StoreError> {
    select!("where tenant_id = $1 and deletion_id = $2", tx.id(), id.uuid())
        .fetch_optional(tx.db())
        .await?
        .ok_or(StoreError::NotFound("deletion"))?
        .try_into()
}

/// The deletions of a consent, oldest first.
pub async fn of_consent(tx: &mut TenantTx, consent: ConsentId) -> Result<Vec<Deletion>, StoreError> {
    let rows = select!("where tenant_id = $1 and consent_id = $2 order by deletion_id", tx.id(), consent.uuid())
        .fetch_all(tx.db())
        .await?;
    rows.into_iter().map(Deletion::try_from).collect()
}

/// Deletions, newest first, before `before`.
pub async fn list(tx: &mut TenantTx, before: Option<DeletionId>, limit: u32) -> Result<Vec<Deletion>, StoreError> {
    let rows = select!(
        "where tenant_id = $1 and deletion_id < $2 order by deletion_id desc limit $3",
        tx.id(),
        before.map_or(Uuid::max(), DeletionId::uuid),
        i64::from(limit)
    )
    .fetch_all(tx.db())
    .await?;
    rows.into_iter().map(Deletion::try_from).collect()
}

/// Deletions on which something is owed, newest first: without a receipt, or with a bank that has not confirmed the end.
pub async fn owed(tx: &mut TenantTx, limit: u32) -> Result<Vec<Deletion>, StoreError> {
    let rows = select!(
        "where tenant_id = $1 and (state <> 'receipted' or bank in ('pending', 'unconfirmed'))
         order by deletion_id desc limit $2",
        tx.id(),
        i64::from(limit)
    )
    .fetch_all(tx.db())
    .await?;
    rows.into_iter().map(Deletion::try_from).collect()
}

/// Blocked deletions of single accounts that a policy has kept for as long as it wants, of consents that nothing else holds;
/// the oldest first.
pub async fn kept_long_enough(tx: &mut TenantTx, now: Timestamp, limit: u32) -> Result<Vec<DeletionId>, StoreError> {
    let rows = query!(
        "select d.deletion_id from deletion d
         join consent c on c.tenant_id = d.tenant_id and c.consent_id = d.consent_id
         where d.tenant_id = $1 and d.state = 'blocked' and d.line_id is not null
            and c.data_state not in ('held', 'held_restricted', 'blocked')
            and d.stopped_at + c.retention_days * interval '1 day' <= $2
         order by d.deletion_id limit $3",
        tx.id(),
        at(now),
        i64::from(limit)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| DeletionId::from_uuid(row.deletion_id)).collect())
}

/// Deletions without a receipt that no legal hold blocks, oldest first.
pub async fn unfinished(tx: &mut TenantTx) -> Result<Vec<DeletionId>, StoreError> {
    let rows = query!(
        "select deletion_id from deletion where tenant_id = $1 and state not in ('blocked', 'receipted')
         order by deletion_id",
        tx.id()
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| DeletionId::from_uuid(row.deletion_id)).collect())
}

/// The lines of a deletion.
pub async fn lines(tx: &mut TenantTx, id: DeletionId) -> Result<Vec<DeletionLine>, StoreError> {
    let rows = query!(
        r#"select d.line_id, d.counts, d.visible_rows, d.first_booking, d.last_booking, d.key_epoch, d.erased_at,
            d.key_deleted_at, coalesce(l.next_seq - 1, 0) as "written!"
         from deletion_line d left join line l on l.tenant_id = d.tenant_id and l.line_id = d.line_id
         where d.tenant_id = $1 and d.deletion_id = $2 order by d.line_id"#,
        tx.id(),
        id.uuid()
    )
    .fetch_all(tx.db())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(DeletionLine {
                line: LineId::from_uuid(row.line_id),
                counts: counts(row.counts, "deletion_line")?,
                visible: Extent {
                    rows: row.visible_rows,
                    first: read_day(row.first_booking),
                    last: read_day(row.last_booking),
                },
                written: row.written,
                key_epoch: row.key_epoch,
                erased_at: read(row.erased_at),
                key_deleted_at: read(row.key_deleted_at),
            })
        })
        .collect()
}

/// Deletions with a line whose key was wrapped under an epoch last: those that its destruction completes.
pub async fn resting_on(tx: &mut TenantTx, epoch: i64) -> Result<Vec<DeletionId>, StoreError> {
    let rows = query!(
        "select distinct deletion_id from deletion_line where tenant_id = $1 and key_epoch = $2 order by deletion_id",
        tx.id(),
        epoch
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| DeletionId::from_uuid(row.deletion_id)).collect())
}

/// Erases a subject's rows, all steps of the data map but the keys, and counts them: in one pass, or at most `limit` of them.
/// Gives how many rows went: fewer than `limit` means that none are left. Commit, then go on.
pub async fn erase_rows(
    tx: &mut TenantTx,
    id: DeletionId,
    subject: Subject,
    limit: Option<i64>,
) -> Result<i64, StoreError> {
    // Nobody waits for it, and a statement that is cut off begins anew: it takes the time that it takes.
    tx.db().execute("set local statement_timeout = 0").await?;
    let mut gone = 0;
    for step in data_map::steps(tx, subject).await?.into_iter().filter(|step| !step.shreds) {
        let more = limit.map(|limit| limit - gone);
        if more.is_some_and(|more| more <= 0) {
            break;
        }
        let taken = step.erase(tx, more).await?;
        let rows = i64::try_from(taken.rows).unwrap_or(i64::MAX);
        if rows > 0 {
            count(tx, id, subject, &step.table, rows).await?;
        }
        if let (Subject::Line(line), Some(days)) = (subject, taken.days) {
            seen(tx, id, line, (&step.table, days)).await?;
        }
        gone += rows;
    }
    Ok(gone)
}

/// Adds to the counts: of the line, or of the deletion for what belongs to no line.
async fn count(tx: &mut TenantTx, id: DeletionId, subject: Subject, table: &str, rows: i64) -> Result<(), StoreError> {
    let done = match subject {
        Subject::Line(line) => {
            query!(
                "update deletion_line set counts = counts || jsonb_build_object($4::text,
                    coalesce((counts ->> $4)::bigint, 0) + $5::bigint)
                 where tenant_id = $1 and deletion_id = $2 and line_id = $3",
                tx.id(),
                id.uuid(),
                line.uuid(),
                table,
                rows
            )
            .execute(tx.db())
            .await?
        }
        Subject::Consent(_) | Subject::Share(..) | Subject::Grant(_) => {
            query!(
                "update deletion set counts = counts || jsonb_build_object($3::text,
                    coalesce((counts ->> $3)::bigint, 0) + $4::bigint)
                 where tenant_id = $1 and deletion_id = $2",
                tx.id(),
                id.uuid(),
                table,
                rows
            )
            .execute(tx.db())
            .await?
        }
    };
    if done.rows_affected() == 0 { Err(StoreError::NotFound("deletion")) } else { Ok(()) }
}

/// Notes what stays visible in old backups of a line's rows that have gone, all that were counted so far.
async fn seen(
    tx: &mut TenantTx,
    id: DeletionId,
    line: LineId,
    (table, (first, last)): (&str, (Date, Date)),
) -> Result<(), StoreError> {
    query!(
        "update deletion_line set visible_rows = (counts ->> $4)::bigint, first_booking = least(first_booking, $5),
            last_booking = greatest(last_booking, $6)
         where tenant_id = $1 and deletion_id = $2 and line_id = $3",
        tx.id(),
        id.uuid(),
        line.uuid(),
        table,
        day(first),
        day(last)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Deletes a line and its wrapped key, and notes which epoch could still open an old copy. Rows that are left make the
/// database refuse. Repeating it changes nothing.
pub async fn shred_line(tx: &mut TenantTx, id: DeletionId, line: LineId, now: Timestamp) -> Result<(), StoreError> {
    let gone =
        query!("delete from line where tenant_id = $1 and line_id = $2 returning key_epoch", tx.id(), line.uuid())
            .fetch_optional(tx.db())
            .await?;
    let Some(gone) = gone else { return Ok(()) };
    count(tx, id, Subject::Line(line), "line", 1).await?;
    query!(
        "update deletion_line set key_epoch = $4, erased_at = $5, key_deleted_at = $5
         where tenant_id = $1 and deletion_id = $2 and line_id = $3",
        tx.id(),
        id.uuid(),
        line.uuid(),
        gone.key_epoch,
        at(now)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Notes that every row is gone.
pub async fn erased(tx: &mut TenantTx, id: DeletionId, now: Timestamp) -> Result<(), StoreError> {
    let done = query!(
        "update deletion set state = 'erased', erased_at = $3
         where tenant_id = $1 and deletion_id = $2 and state = 'stopped'",
        tx.id(),
        id.uuid(),
        at(now)
    )
    .execute(tx.db())
    .await?;
    moved(done.rows_affected())
}

/// Notes that every key is gone, and when the last epoch that could open an old copy falls due.
pub async fn shredded(
    tx: &mut TenantTx,
    id: DeletionId,
    now: Timestamp,
    unreadable_after: Timestamp,
) -> Result<(), StoreError> {
    let done = query!(
        "update deletion set state = 'shredded', key_deleted_at = $3, unreadable_after = $4
         where tenant_id = $1 and deletion_id = $2 and state = 'erased'",
        tx.id(),
        id.uuid(),
        at(now),
        at(unreadable_after)
    )
    .execute(tx.db())
    .await?;
    moved(done.rows_affected())
}

/// Keeps the signed receipt. There is one, and it stays as it is.
pub async fn receipted(tx: &mut TenantTx, id: DeletionId, receipt: &[u8], now: Timestamp) -> Result<(), StoreError> {
    let done = query!(
        "update deletion set state = 'receipted', receipt = $3, receipted_at = $4
         where tenant_id = $1 and deletion_id = $2 and state = 'shredded'",
        tx.id(),
        id.uuid(),
        receipt,
        at(now)
    )
    .execute(tx.db())
    .await?;
    moved(done.rows_affected())
}

/// Notes how the bank's side was settled. What is confirmed stays so.
pub async fn bank_settled(tx: &mut TenantTx, id: DeletionId, bank: Bank, now: Timestamp) -> Result<(), StoreError> {
    let done = query!(
        "update deletion set bank = $3, bank_at = $4
         where tenant_id = $1 and deletion_id = $2 and bank in ('pending', 'unconfirmed')",
        tx.id(),
        id.uuid(),
        bank.word(),
        at(now)
    )
    .execute(tx.db())
    .await?;
    moved(done.rows_affected())
}

/// Has the product reminded of a receipt that it has not acknowledged, from `at` on; `None`: not any more.
pub async fn remind_at(tx: &mut TenantTx, id: DeletionId, when: Option<Timestamp>) -> Result<(), StoreError> {
    query!(
        "update deletion set remind_at = $3 where tenant_id = $1 and deletion_id = $2 and acknowledged_at is null",
        tx.id(),
        id.uuid(),
        crate::time::maybe_at(when) as _
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Notes that the product has erased its copies too. The first moment stands; gives it, and whether it is this one.
pub async fn acknowledge(tx: &mut TenantTx, id: DeletionId, now: Timestamp) -> Result<(Timestamp, bool), StoreError> {
    let done = query!(
        "update deletion set acknowledged_at = $3, remind_at = null
         where tenant_id = $1 and deletion_id = $2 and acknowledged_at is null",
        tx.id(),
        id.uuid(),
        at(now)
    )
    .execute(tx.db())
    .await?;
    let row =
        query!("select acknowledged_at from deletion where tenant_id = $1 and deletion_id = $2", tx.id(), id.uuid())
            .fetch_optional(tx.db())
            .await?
            .ok_or(StoreError::NotFound("deletion"))?;
    Ok((read(row.acknowledged_at).unwrap_or(now), done.rows_affected() == 1))
}

/// A receipt whose product must be reminded now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reminder {
    /// The deletion.
    pub deletion: DeletionId,
    /// Its consent.
    pub consent: ConsentId,
    /// How often the product was reminded, this time included.
    pub nth: u32,
}

/// Takes receipts that are due for a reminder, at most `limit`; the caller sets when the next is due.
pub async fn take_reminders(tx: &mut TenantTx, now: Timestamp, limit: u32) -> Result<Vec<Reminder>, StoreError> {
    let rows = query!(
        "update deletion set reminders = reminders + 1, remind_at = null
         where tenant_id = $1 and deletion_id in (
            select deletion_id from deletion where tenant_id = $1 and remind_at <= $2
            order by remind_at limit $3 for update skip locked)
         returning deletion_id, consent_id, reminders",
        tx.id(),
        at(now),
        i64::from(limit)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Reminder {
            deletion: DeletionId::from_uuid(row.deletion_id),
            consent: ConsentId::from_uuid(row.consent_id),
            nth: row.reminders.unsigned_abs(),
        })
        .collect())
}

const fn moved(rows: u64) -> Result<(), StoreError> {
    if rows == 0 { Err(StoreError::Raced) } else { Ok(()) }
}

/// Something that was added to a receipt later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addendum {
    /// The statement's kind.
    pub kind: String,
    /// The signed statement.
    pub body: Vec<u8>,
    /// When.
    pub recorded_at: Timestamp,
}

/// Adds an addendum.
pub async fn add(tx: &mut TenantTx, id: DeletionId, addendum: &Addendum) -> Result<(), StoreError> {
    // Numbered under the lock of the deletion, so that two at the same time get two numbers.
    query!(
        "select 1 as one from deletion where tenant_id = $1 and deletion_id = $2 for no key update",
        tx.id(),
        id.uuid()
    )
    .fetch_optional(tx.db())
    .await?
    .ok_or(StoreError::NotFound("deletion"))?;
    query!(
        "insert into deletion_addendum (tenant_id, deletion_id, seq, kind, body, recorded_at)
         select $1, $2, coalesce(max(seq), 0) + 1, $3, $4, $5 from deletion_addendum
         where tenant_id = $1 and deletion_id = $2",
        tx.id(),
        id.uuid(),
        addendum.kind,
        addendum.body,
        at(addendum.recorded_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// The addenda of a deletion, oldest first.
pub async fn addenda(tx: &mut TenantTx, id: DeletionId) -> Result<Vec<Addendum>, StoreError> {
    let rows = query!(
        "select kind, body, recorded_at from deletion_addendum where tenant_id = $1 and deletion_id = $2 order by seq",
        tx.id(),
        id.uuid()
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Addendum { kind: row.kind, body: row.body, recorded_at: row.recorded_at.to_jiff() })
        .collect())
}
