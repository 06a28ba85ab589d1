//! Verdicts on accounts: one sealed row a line, written in the transaction that makes the rows visible which it is about.

use domain::ids::{LineId, TenantId, TransactionId};
use domain::money::Money;
use domain::reconciliation::{Anchor, Found, Mark, Reconciliation};
use domain::records::{Normalized, NormalizedBalance};
use domain::world::World;
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::query;
use uuid::Uuid;
use vault::DataKey;

use crate::StoreError;
use crate::lines::LineWriter;
use crate::sealed::{BalanceWire, Place, SCHEMA_VERSION, balance_kind, encode, status};
use crate::time::{at, maybe_day};

/// A verdict as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Judged {
    /// When it was made.
    pub judged_at: Timestamp,
    line: LineId,
    sealed: Vec<u8>,
}

impl Judged {
    pub(crate) const fn new(judged_at: Timestamp, line: LineId, sealed: Vec<u8>) -> Self {
        Self { judged_at, line, sealed }
    }

    /// Opens it with the key of its line.
    pub fn open(&self, tenant: TenantId, key: &DataKey) -> Result<Reconciliation, StoreError> {
        open(tenant, self.line, key, &self.sealed)
    }
}

fn open(tenant: TenantId, line: LineId, key: &DataKey, sealed: &[u8]) -> Result<Reconciliation, StoreError> {
    let place = Place::reconciliation(tenant, line);
    let wire: Wire = place.open_record(key, sealed)?;
    wire.read().ok_or(place.corrupt())
}

/// A row that a verdict weighs.
#[derive(Clone, PartialEq, Eq)]
pub struct Weighed {
    /// Its id.
    pub id: TransactionId,
    /// Its number in the line.
    pub seq: i64,
    /// The day that it is listed under.
    pub day: Date,
    /// What it says.
    pub record: Normalized,
}

/// Which rows a verdict weighs: those that the first of its balances did not know.
#[derive(Debug, Clone, Copy)]
pub struct Since<'a> {
    /// With a higher number than this.
    pub seq: i64,
    /// Or one of these.
    pub pending: &'a [TransactionId],
    /// Or of a later day than this.
    pub day: Option<Date>,
}

impl LineWriter<'_> {
    /// The last verdict, if there is one.
    pub async fn reconciliation(&mut self, key: &DataKey) -> Result<Option<Reconciliation>, StoreError> {
        let row = query!(
            "select sealed from reconciliation where tenant_id = $1 and line_id = $2",
            self.tx.id(),
            self.line.uuid()
        )
        .fetch_optional(self.tx.db())
        .await?;
        row.map(|row| open(self.tx.tenant(), self.line, key, &row.sealed)).transpose()
    }

    /// Stores a verdict in the place of the one before.
    pub async fn put_reconciliation(
        &mut self,
        key: &DataKey,
        record: &Reconciliation,
        world: &World<'_>,
    ) -> Result<(), StoreError> {
        let place = Place::reconciliation(self.tx.tenant(), self.line);
        query!(
            "insert into reconciliation (tenant_id, line_id, judged_at, schema_version, sealed)
             values ($1, $2, $3, $4, $5)
             on conflict (tenant_id, line_id) do update
                set judged_at = excluded.judged_at, schema_version = excluded.schema_version, sealed = excluded.sealed",
            self.tx.id(),
            self.line.uuid(),
            at(world.now),
            SCHEMA_VERSION,
            place.seal(key, &encode(&Wire::from(record)), world.entropy)
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }

    /// The balances that a run brought.
    pub async fn balances_of(&mut self, fetch: Uuid, key: &DataKey) -> Result<Vec<NormalizedBalance>, StoreError> {
        let rows = query!(
            "select balance_id, sealed from balance where tenant_id = $1 and line_id = $2 and fetch_id = $3
             order by balance_id",
            self.tx.id(),
            self.line.uuid(),
            fetch
        )
        .fetch_all(self.tx.db())
        .await?;
        let (tenant, line) = (self.tx.tenant(), self.line);
        rows.into_iter()
            .map(|row| {
                let place = Place::balance(tenant, line, domain::ids::BalanceId::from_uuid(row.balance_id));
                let wire: BalanceWire<'_> = place.open_record(key, &row.sealed)?;
                wire.read().ok_or(place.corrupt())
            })
            .collect()
    }

    /// Number of the line's last row.
    pub async fn last_seq(&mut self) -> Result<i64, StoreError> {
        let row = query!(
            "select next_seq - 1 as \"last!\" from line where tenant_id = $1 and line_id = $2",
            self.tx.id(),
            self.line.uuid()
        )
        .fetch_one(self.tx.db())
        .await?;
        Ok(row.last)
    }

    /// The rows that a verdict weighs, and every pending one; at most `limit`, the latest first.
    pub async fn weighed(&mut self, key: &DataKey, since: Since<'_>, limit: u32) -> Result<Vec<Weighed>, StoreError> {
        let pending: Vec<Uuid> = since.pending.iter().map(|id| id.uuid()).collect();
        let rows = query!(
            r#"select transaction_id, seq, booking_date, status, sealed as "sealed!" from transaction
             where tenant_id = $1 and line_id = $2 and removed_at is null
               and (seq > $3 or status = 'pending' or transaction_id = any($4) or booking_date > $5)
             order by booking_date desc, seq desc limit $6"#,
            self.tx.id(),
            self.line.uuid(),
            since.seq,
            &pending,
            maybe_day(since.day) as _,
            i64::from(limit)
        )
        .fetch_all(self.tx.db())
        .await?;
        let (tenant, line) = (self.tx.tenant(), self.line);
        rows.into_iter()
            .map(|row| {
                let id = TransactionId::from_uuid(row.transaction_id);
                let place = Place::transaction(tenant, line, id);
                let record = place.open_transaction(key, &row.sealed)?;
                let status = status(&row.status).ok_or(place.corrupt())?;
                let record = Normalized { status, ..record };
                Ok(Weighed { id, seq: row.seq, day: row.booking_date.to_jiff(), record })
            })
            .collect()
    }
}

/// [`Money`], schema version 1.
#[derive(Serialize, Deserialize)]
struct MoneyWire(Decimal, String);

impl From<Money> for MoneyWire {
    fn from(money: Money) -> Self {
        Self(money.amount(), money.currency().code().to_owned())
    }
}

impl MoneyWire {
    fn read(self) -> Option<Money> {
        Some(Money::new(self.0, self.1.parse().ok()?))
    }
}

/// Reads an optional part; `None` outside means that it cannot be read.
fn maybe<W, T>(wire: Option<W>, read: impl Fn(W) -> Option<T>) -> Option<Option<T>> {
    match wire {
        None => Some(None),
        Some(wire) => read(wire).map(Some),
    }
}

/// [`Anchor`], schema version 1.
#[derive(Serialize, Deserialize)]
struct AnchorWire {
    money: MoneyWire,
    kind: String,
    credit_limit_included: Option<bool>,
    day: Option<Date>,
    at: Timestamp,
}

impl From<&Anchor> for AnchorWire {
    fn from(anchor: &Anchor) -> Self {
        Self {
            money: anchor.money.into(),
            kind: anchor.kind.as_str().to_owned(),
            credit_limit_included: anchor.credit_limit_included,
            day: anchor.day,
            at: anchor.at,
        }
    }
}

impl AnchorWire {
    fn read(self) -> Option<Anchor> {
        Some(Anchor {
            money: self.money.read()?,
            kind: balance_kind(&self.kind)?,
            credit_limit_included: self.credit_limit_included,
            day: self.day,
            at: self.at,
        })
    }
}

/// [`Mark`], schema version 1.
#[derive(Serialize, Deserialize)]
struct MarkWire {
    anchor: AnchorWire,
    last_seq: i64,
    pending: Vec<Uuid>,
    pending_sum: Decimal,
    complete_from: Option<Date>,
}

impl From<&Mark> for MarkWire {
    fn from(mark: &Mark) -> Self {
        Self {
            anchor: (&mark.anchor).into(),
            last_seq: mark.last_seq,
            pending: mark.pending.iter().map(|id| id.uuid()).collect(),
            pending_sum: mark.pending_sum,
            complete_from: mark.complete_from,
        }
    }
}

impl MarkWire {
    fn read(self) -> Option<Mark> {
        Some(Mark {
            anchor: self.anchor.read()?,
            last_seq: self.last_seq,
            pending: self.pending.into_iter().map(TransactionId::from_uuid).collect(),
            pending_sum: self.pending_sum,
            complete_from: self.complete_from,
        })
    }
}

/// [`Found`], schema version 1.
#[derive(Serialize, Deserialize)]
struct FoundWire {
    hypothesis: String,
    transaction: Option<Uuid>,
    amount: Option<MoneyWire>,
    day: Option<Date>,
    after: Timestamp,
}

impl From<&Found> for FoundWire {
    fn from(found: &Found) -> Self {
        Self {
            hypothesis: found.hypothesis.as_str().to_owned(),
            transaction: found.transaction.map(TransactionId::uuid),
            amount: found.amount.map(MoneyWire::from),
            day: found.day,
            after: found.after,
        }
    }
}

impl FoundWire {
    fn read(self) -> Option<Found> {
        Some(Found {
            hypothesis: domain::reconciliation::Hypothesis::parse(&self.hypothesis)?,
            transaction: self.transaction.map(TransactionId::from_uuid),
            amount: maybe(self.amount, MoneyWire::read)?,
            day: self.day,
            after: self.after,
        })
    }
}

/// [`Reconciliation`], schema version 1.
#[derive(Serialize, Deserialize)]
struct Wire {
    verdict: String,
    undecided: Option<String>,
    found: Vec<FoundWire>,
    residual: Option<MoneyWire>,
    opening: Option<AnchorWire>,
    closing: Option<AnchorWire>,
    rows: u32,
    moved: Option<MoneyWire>,
    marks: Vec<MarkWire>,
}

impl From<&Reconciliation> for Wire {
    fn from(record: &Reconciliation) -> Self {
        Self {
            verdict: record.verdict.as_str().to_owned(),
            undecided: record.undecided.map(|why| why.as_str().to_owned()),
            found: record.found.iter().map(FoundWire::from).collect(),
            residual: record.residual.map(MoneyWire::from),
            opening: record.opening.as_ref().map(AnchorWire::from),
            closing: record.closing.as_ref().map(AnchorWire::from),
            rows: record.rows,
            moved: record.moved.map(MoneyWire::from),
            marks: record.marks.iter().map(MarkWire::from).collect(),
        }
    }
}

impl Wire {
    fn read(self) -> Option<Reconciliation> {
        use domain::reconciliation::{Undecided, Verdict};
        Some(Reconciliation {
            verdict: Verdict::parse(&self.verdict)?,
            undecided: maybe(self.undecided, |word| Undecided::parse(&word))?,
            found: self.found.into_iter().map(FoundWire::read).collect::<Option<_>>()?,
            residual: maybe(self.residual, MoneyWire::read)?,
            opening: maybe(self.opening, AnchorWire::read)?,
            closing: maybe(self.closing, AnchorWire::read)?,
            rows: self.rows,
            moved: maybe(self.moved, MoneyWire::read)?,
            marks: self.marks.into_iter().map(MarkWire::read).collect::<Option<_>>()?,
        })
    }
}
