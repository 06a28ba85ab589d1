//! What a compliance officer asks for: entries of the log by what is known of them, and a period in figures. No bank data
//! are read here.

use domain::ids::{ConsentId, DeletionId, InstitutionId, PsuId};
use jiff::Timestamp;
use sqlx::{query, query_as};
use uuid::Uuid;

use crate::evidence_log::{Entry, hash};
use crate::time::{at, maybe_at, read};
use crate::{StoreError, TenantTx};

/// Which entries of the log; every part that is there narrows.
#[derive(Debug, Clone, Default)]
pub struct Wanted<'a> {
    /// About one of these.
    pub subjects: Option<&'a [Uuid]>,
    /// Of this kind, or of a kind below it: `hold` means `hold.placed` too.
    pub kind: Option<&'a str>,
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// From this leaf on.
    pub leaf: i64,
    /// At most so many.
    pub limit: i64,
}

struct Row {
    entry_id: Uuid,
    subject: Uuid,
    kind: String,
    recorded_at: jiff_sqlx::Timestamp,
    commitment: Vec<u8>,
    leaf_index: i64,
    previous: Vec<u8>,
    sealed: Option<Vec<u8>>,
}

impl TryFrom<Row> for Entry {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: domain::ids::EntryId::from_uuid(row.entry_id),
            subject: row.subject,
            kind: row.kind,
            recorded_at: row.recorded_at.to_jiff(),
            commitment: hash(row.commitment, "evidence_entry", "commitment")?,
            index: row.leaf_index,
            previous: hash(row.previous, "evidence_entry", "previous")?,
            sealed: row.sealed,
        })
    }
}

/// A select of placed entries in an order.
macro_rules! select {
    ($order:tt, $tx:expr, $wanted:expr) => {
        query_as!(
            Row,
            "select entry_id, subject, kind, recorded_at, commitment, leaf_index as \"leaf_index!\", \
             previous as \"previous!\", sealed \
             from evidence_entry \
             where tenant_id = $1 and leaf_index >= $2 and ($3::uuid[] is null or subject = any($3)) \
             and ($4::text is null or kind = $4 or starts_with(kind, $4 || '.')) \
             and ($5::timestamptz is null or recorded_at >= $5) and ($6::timestamptz is null or recorded_at < $6) \
             order by leaf_index "
                + $order
                + " limit $7",
            $tx.id(),
            $wanted.leaf,
            $wanted.subjects,
            $wanted.kind,
            maybe_at($wanted.from) as _,
            maybe_at($wanted.until) as _,
            $wanted.limit
        )
        .fetch_all($tx.db())
        .await?
        .into_iter()
        .map(Entry::try_from)
        .collect()
    };
}

/// Placed entries, in the order of the log.
pub async fn entries(tx: &mut TenantTx, wanted: &Wanted<'_>) -> Result<Vec<Entry>, StoreError> {
    select!("asc", tx, wanted)
}

/// The newest of them, the newest first.
pub async fn newest(tx: &mut TenantTx, wanted: &Wanted<'_>) -> Result<Vec<Entry>, StoreError> {
    select!("desc", tx, wanted)
}

/// The consents of a person, or at a bank, or both.
pub async fn consents(
    tx: &mut TenantTx,
    psu: Option<PsuId>,
    institution: Option<&InstitutionId>,
) -> Result<Vec<ConsentId>, StoreError> {
    let rows = query!(
        "select consent_id from consent where tenant_id = $1 and ($2::uuid is null or psu_id = $2)
           and ($3::text is null or institution_id = $3) order by consent_id",
        tx.id(),
        psu.map(PsuId::uuid),
        institution.map(InstitutionId::as_str)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| ConsentId::from_uuid(row.consent_id)).collect())
}

/// So many moves of consents to one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moves {
    /// The state's word.
    pub state: String,
    /// Why, where the state has a reason.
    pub reason: Option<String>,
    /// So many.
    pub number: i64,
}

/// Moves of consents to another state between two moments, the first one's creation included.
pub async fn moves(tx: &mut TenantTx, from: Timestamp, until: Timestamp) -> Result<Vec<Moves>, StoreError> {
    let rows = query!(
        r#"select to_state, to_reason, count(*) as "number!" from consent_history
         where tenant_id = $1 and at >= $2 and at < $3 and (from_state is distinct from to_state or from_reason is distinct
            from to_reason)
         group by to_state, to_reason order by to_state, to_reason"#,
        tx.id(),
        at(from),
        at(until)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| Moves { state: row.to_state, reason: row.to_reason, number: row.number }).collect())
}

/// How long something took, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durations {
    /// So often.
    pub number: i64,
    /// The one in the middle; none where it never happened.
    pub median: Option<i64>,
    /// Nineteen of twenty took no longer.
    pub p95: Option<i64>,
    /// The longest.
    pub longest: Option<i64>,
}

/// Deletions that began between two moments: how many, and how long each part of them took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletions {
    /// So many began.
    pub begun: i64,
    /// So many of them a legal hold blocked, or blocks.
    pub blocked: i64,
    /// From the stop, or the end of a hold, to the receipt.
    pub to_receipt: Durations,
    /// From the stop to the bank's word that the consent is over.
    pub to_bank: Durations,
    /// From the receipt to the product's word that its copies are gone.
    pub to_product: Durations,
}

/// Deletions that began between two moments.
pub async fn deletions(tx: &mut TenantTx, from: Timestamp, until: Timestamp) -> Result<Deletions, StoreError> {
    let row = query!(
        r#"with took as (
            select unblocked_at is not null or state = 'blocked' as held,
                extract(epoch from receipted_at - coalesce(unblocked_at, stopped_at))::bigint as receipt,
                case when bank = 'confirmed' then extract(epoch from bank_at - stopped_at)::bigint end as bank,
                extract(epoch from acknowledged_at - receipted_at)::bigint as product
            from deletion where tenant_id = $1 and stopped_at >= $2 and stopped_at < $3)
         select count(*) as "begun!", count(*) filter (where held) as "blocked!",
            count(receipt) as "receipts!", percentile_disc(0.5) within group (order by receipt) as receipt_median,
            percentile_disc(0.95) within group (order by receipt) as receipt_p95, max(receipt) as receipt_longest,
            count(bank) as "banks!", percentile_disc(0.5) within group (order by bank) as bank_median,
            percentile_disc(0.95) within group (order by bank) as bank_p95, max(bank) as bank_longest,
            count(product) as "products!", percentile_disc(0.5) within group (order by product) as product_median,
            percentile_disc(0.95) within group (order by product) as product_p95, max(product) as product_longest
         from took"#,
        tx.id(),
        at(from),
        at(until)
    )
    .fetch_one(tx.db())
    .await?;
    let durations = |number, median, p95, longest| Durations { number, median, p95, longest };
    Ok(Deletions {
        begun: row.begun,
        blocked: row.blocked,
        to_receipt: durations(row.receipts, row.receipt_median, row.receipt_p95, row.receipt_longest),
        to_bank: durations(row.banks, row.bank_median, row.bank_p95, row.bank_longest),
        to_product: durations(row.products, row.product_median, row.product_p95, row.product_longest),
    })
}

/// A deletion on which something is still owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The deletion.
    pub deletion: DeletionId,
    /// The consent.
    pub consent: ConsentId,
    /// The bank, where one was chosen.
    pub institution: Option<String>,
    /// The step that is done, as [`State::word`](crate::deletions::State::word) has it.
    pub state: String,
    /// The bank's side, as [`Bank::word`](crate::deletions::Bank::word) has it.
    pub bank: String,
    /// Since when everything has stopped.
    pub stopped_at: Timestamp,
    /// When the receipt was written.
    pub receipted_at: Option<Timestamp>,
    /// When the product said that its copies are gone.
    pub acknowledged_at: Option<Timestamp>,
}

/// Deletions without a receipt, without the bank's word or without the product's, the oldest first.
pub async fn open(tx: &mut TenantTx, limit: i64) -> Result<Vec<Open>, StoreError> {
    let rows = query!(
        "select d.deletion_id, d.consent_id, c.institution_id, d.state, d.bank, d.stopped_at, d.receipted_at,
            d.acknowledged_at
         from deletion d join consent c on c.tenant_id = d.tenant_id and c.consent_id = d.consent_id
         where d.tenant_id = $1 and (d.state <> 'receipted' or d.bank in ('pending', 'unconfirmed')
            or d.acknowledged_at is null)
         order by d.stopped_at, d.deletion_id limit $2",
        tx.id(),
        limit
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Open {
            deletion: DeletionId::from_uuid(row.deletion_id),
            consent: ConsentId::from_uuid(row.consent_id),
            institution: row.institution_id,
            state: row.state,
            bank: row.bank,
            stopped_at: row.stopped_at.to_jiff(),
            receipted_at: read(row.receipted_at),
            acknowledged_at: read(row.acknowledged_at),
        })
        .collect())
}
