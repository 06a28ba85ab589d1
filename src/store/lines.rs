//! Lines: each one account of one PSU for its whole life, and the one way to write bank data.
//!
//! A [`Writer`] is opened on a consent and holds it until the transaction ends: a revocation waits for every writer that
//! was faster, and every writer that was slower finds the consent closed. So after a revocation has committed no
//! bank-data row is written.

use domain::consent::State;
use domain::ids::{ApiKeyId, ConsentId, GrantId, InstitutionId, LineId, ProductId, PsuId, TenantId};
use domain::world::World;
use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::query;
use uuid::Uuid;
use vault::{DataKey, Wrapped};

use crate::data_map::{self, Subject};
use crate::reconciliations::Judged;
use crate::sealed::{DetailsWire, Opened, Place, SCHEMA_VERSION, encode};
use crate::time::{at, maybe_day, read, read_day};
use crate::{StoreError, TenantTx};

/// What a bank says about an account: all of it bank data.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// IBAN.
    pub iban: Option<String>,
    /// BBAN.
    pub bban: Option<String>,
    /// Masked card number.
    pub masked_pan: Option<String>,
    /// Any other identification.
    pub other: Option<String>,
    /// ISO 4217 code; `XXX` for several currencies.
    pub currency: Option<String>,
    /// Name given by the bank or the user.
    pub name: Option<String>,
    /// The bank's product name.
    pub product: Option<String>,
    /// ISO `ExternalCashAccountType1` code.
    pub cash_account_type: Option<String>,
    /// Owner.
    pub owner_name: Option<String>,
    /// BIC of the account's bank.
    pub bic: Option<String>,
}

/// Bank data never reaches a log through `Debug`.
impl std::fmt::Debug for Details {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Details(..)")
    }
}

/// How fresh the data of a line are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freshness {
    /// When balances were last fetched.
    pub balances_as_of: Option<Timestamp>,
    /// When transactions were last fetched to the end.
    pub transactions_as_of: Option<Timestamp>,
    /// From this day on the history is complete.
    pub complete_from: Option<Date>,
    /// Up to this day.
    pub complete_until: Option<Date>,
}

/// A line as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    /// Its id; products see it as the account id.
    pub id: LineId,
    /// Whose account.
    pub psu: PsuId,
    /// At which bank.
    pub institution: InstitutionId,
    /// The wrapped data key of everything sealed about it.
    pub key: Wrapped,
    /// How fresh its data are.
    pub freshness: Freshness,
    /// When it was first granted.
    pub created_at: Timestamp,
    sealed: Vec<u8>,
}

impl Line {
    /// Opens what the bank says about the account.
    pub fn details(&self, tenant: TenantId, key: &DataKey) -> Result<Details, StoreError> {
        Place::line(tenant, self.id).open_record(key, &self.sealed).map(DetailsWire::read)
    }
}

/// A line that a product may read now, and on what ground.
#[derive(Clone, PartialEq, Eq)]
pub struct Held {
    /// The line.
    pub line: Line,
    /// The consent that allows it.
    pub consent: ConsentId,
    /// Its state.
    pub state: State,
    /// What the person agreed to it for.
    pub purposes: Vec<String>,
    /// Kinds of data that they agreed to.
    pub clusters: Vec<String>,
    /// What went wrong in the consent's latest fetch, if anything did.
    pub last_error: Option<String>,
    /// Whether the consent's first fetch is still to read it.
    pub is_to_be_read: bool,
    /// The verdict on the account, if there is one.
    pub judged: Option<Judged>,
    /// The tenant's key of the purpose `lookup`, which signs cursors; none before it was first needed.
    pub lookup: Option<Wrapped>,
    /// The evidence key of the consent; none before its first entry.
    pub evidence: Option<Wrapped>,
}

/// Which lines of a product are asked for; every part that is there narrows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Of this consent.
    pub consent: Option<ConsentId>,
    /// Of this person.
    pub psu: Option<PsuId>,
    /// This one.
    pub line: Option<LineId>,
    /// To somebody with this key, which the product has and which nobody has withdrawn.
    pub key: Option<ApiKeyId>,
}

/// A line under a consent, with the bank's id for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Resource {
    /// The line.
    pub line: Line,
    consent: ConsentId,
    sealed_resource_id: Vec<u8>,
}

impl Resource {
    /// Opens the bank's id of the account, constant within the consent.
    pub fn resource_id(&self, tenant: TenantId, key: &DataKey) -> Result<Opened, StoreError> {
        Place::resource_id(tenant, self.line.id, self.consent).open(key, &self.sealed_resource_id)
    }
}

struct Row {
    line_id: Uuid,
    psu_id: Uuid,
    institution_id: String,
    key_epoch: i64,
    wrapped_key: Vec<u8>,
    sealed: Vec<u8>,
    balances_as_of: Option<jiff_sqlx::Timestamp>,
    transactions_as_of: Option<jiff_sqlx::Timestamp>,
    complete_from: Option<jiff_sqlx::Date>,
    complete_until: Option<jiff_sqlx::Date>,
    created_at: jiff_sqlx::Timestamp,
    consent_id: Uuid,
    state: String,
    state_reason: Option<String>,
    purposes: Vec<String>,
    clusters: Vec<String>,
    last_error: Option<String>,
    is_to_be_read: bool,
    sealed_resource_id: Vec<u8>,
    judged_at: Option<jiff_sqlx::Timestamp>,
    verdict: Option<Vec<u8>>,
    lookup_epoch: Option<i64>,
    lookup_key: Option<Vec<u8>>,
    evidence_epoch: Option<i64>,
    evidence_key: Option<Vec<u8>>,
}

/// A select of lines under a consent, with all that a logged read needs beside the rows; the tail says which. Of consents
/// that live (`living`), the first fetch of one that was only just authorised is not looked at; of all that may be read
/// (`any`), it is. The first is a small part of the other's work, and mostly enough.
macro_rules! select {
    (any, $($tail:tt)*) => {
        select!(
            "(c.state = 'authorized' and not exists (select from fetch_run f join fetch_line fl \
             on fl.tenant_id = f.tenant_id and fl.fetch_id = f.fetch_id and fl.line_id = l.line_id and fl.state = 'done' \
             where f.tenant_id = c.tenant_id and f.consent_id = c.consent_id))",
            "(c.data_state = 'present' and c.state in ('authorized', 'active', 'reauth_pending') \
             or c.data_state = 'readable' and c.state = 'expired' and exists (select from ground g \
             where g.tenant_id = c.tenant_id and g.consent_id = c.consent_id and g.line_id = l.line_id))",
            $($tail)*
        )
    };
    (living, $($tail:tt)*) => {
        select!(
            "false",
            "c.data_state = 'present' and c.state in ('authorized', 'active', 'reauth_pending')",
            $($tail)*
        )
    };
    ($to_be_read:tt, $readable:tt, $first:tt $(+ $tail:tt)* $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            "select l.line_id, l.psu_id, l.institution_id, l.key_epoch, l.wrapped_key, l.sealed, l.balances_as_of, \
             l.transactions_as_of, l.complete_from, l.complete_until, l.created_at, c.consent_id, c.state, \
             c.state_reason, c.purposes, c.clusters, cl.sealed_resource_id, \
             (select case when fl.state = 'done' and f.state = 'running' then null else coalesce(fl.error_code, f.error_code) end \
              from fetch_run f left join fetch_line fl on fl.tenant_id = f.tenant_id and fl.fetch_id = f.fetch_id \
              and fl.line_id = l.line_id where f.tenant_id = c.tenant_id and f.consent_id = c.consent_id \
              order by f.started_at desc, f.fetch_id desc limit 1) as \"last_error?\", \
             " + $to_be_read + " as \"is_to_be_read!\", \
             r.judged_at as \"judged_at?\", r.sealed as \"verdict?\", \
             s.key_epoch as \"lookup_epoch?\", s.wrapped_key as \"lookup_key?\", \
             e.key_epoch as \"evidence_epoch?\", e.wrapped_key as \"evidence_key?\" \
             from consent c \
             join consent_line cl on cl.tenant_id = c.tenant_id and cl.consent_id = c.consent_id \
             join line l on l.tenant_id = cl.tenant_id and l.line_id = cl.line_id \
             left join reconciliation r on r.tenant_id = cl.tenant_id and r.line_id = cl.line_id \
             left join secret_key s on s.tenant_id = c.tenant_id and s.purpose = 'lookup' \
             left join evidence_key e on e.tenant_id = c.tenant_id and e.subject = c.consent_id \
             where cl.state = 'granted' and " + $readable + " and " + $first $(+ $tail)*
            $(, $arg)*
        )
    };
}

impl Row {
    fn line(self) -> Result<(Line, ConsentId, State, Vec<u8>), StoreError> {
        let institution = InstitutionId::new(&self.institution_id)
            .ok_or(StoreError::Corrupt { table: "line", column: "institution_id" })?;
        let state = State::parse(&self.state, self.state_reason.as_deref())
            .ok_or(StoreError::Corrupt { table: "consent", column: "state" })?;
        let line = Line {
            id: LineId::from_uuid(self.line_id),
            psu: PsuId::from_uuid(self.psu_id),
            institution,
            key: Wrapped { epoch: self.key_epoch, bytes: self.wrapped_key },
            freshness: Freshness {
                balances_as_of: read(self.balances_as_of),
                transactions_as_of: read(self.transactions_as_of),
                complete_from: read_day(self.complete_from),
                complete_until: read_day(self.complete_until),
            },
            created_at: self.created_at.to_jiff(),
            sealed: self.sealed,
        };
        Ok((line, ConsentId::from_uuid(self.consent_id), state, self.sealed_resource_id))
    }
}

/// A select of what a product holds. What comes first narrows to one index; the rest filters.
macro_rules! holdings {
    ($which:tt, $narrow:tt, $tx:expr, $product:expr, $filter:expr) => {
        select!(
            $which,
            "c.tenant_id = $1 and c.product_id = $2 and "
                + $narrow
                + " \
             and ($3::uuid is null or c.consent_id = $3) and ($4::uuid is null or c.psu_id = $4) \
             and ($5::uuid is null or cl.line_id = $5) \
             and ($6::uuid is null or exists (select from api_key k where k.tenant_id = $1 and k.api_key_id = $6 \
             and k.product_id = $2 and k.revoked_at is null)) \
             order by l.line_id, (c.data_state = 'readable'), c.consent_id desc",
            $tx.id(),
            $product.uuid(),
            $filter.consent.map(ConsentId::uuid),
            $filter.psu.map(PsuId::uuid),
            $filter.line.map(LineId::uuid),
            $filter.key.map(ApiKeyId::uuid)
        )
        .fetch_all($tx.db())
        .await?
    };
}

/// Lines that a product may read now, by id. Where several of its consents hold a line, the newest that lives counts.
pub async fn held(tx: &mut TenantTx, product: ProductId, filter: Filter) -> Result<Vec<Held>, StoreError> {
    let rows = match filter {
        Filter { line: Some(_), .. } => match holdings!(living, "cl.line_id = $5", tx, product, filter) {
            living if living.first().is_some_and(|row| row.state != "authorized") => living,
            _ => holdings!(any, "cl.line_id = $5", tx, product, filter),
        },
        Filter { consent: Some(_), .. } => holdings!(any, "c.consent_id = $3", tx, product, filter),
        Filter { psu: Some(_), .. } => holdings!(any, "c.psu_id = $4", tx, product, filter),
        Filter { .. } => holdings!(any, "true", tx, product, filter),
    };
    let mut held: Vec<Held> = Vec::with_capacity(rows.len());
    for mut row in rows {
        let (purposes, clusters) = (std::mem::take(&mut row.purposes), std::mem::take(&mut row.clusters));
        let (last_error, is_to_be_read) = (row.last_error.take(), row.is_to_be_read);
        let judged = row.judged_at.take().zip(row.verdict.take());
        let (lookup, evidence) =
            (wrapped(row.lookup_epoch, row.lookup_key.take()), wrapped(row.evidence_epoch, row.evidence_key.take()));
        let (line, consent, state, _) = row.line()?;
        if held.last().is_none_or(|last| last.line.id != line.id) {
            let judged = judged.map(|(at, sealed)| Judged::new(at.to_jiff(), line.id, sealed));
            held.push(Held {
                line,
                consent,
                state,
                purposes,
                clusters,
                last_error,
                is_to_be_read,
                judged,
                lookup,
                evidence,
            });
        }
    }
    Ok(held)
}

fn wrapped(epoch: Option<i64>, bytes: Option<Vec<u8>>) -> Option<Wrapped> {
    Some(Wrapped { epoch: epoch?, bytes: bytes? })
}

/// The newest consent of a product that ever held a line, whatever has become of it; `None` for a line that is not the
/// product's or is erased.
pub async fn last_consent(
    tx: &mut TenantTx,
    product: ProductId,
    line: LineId,
) -> Result<Option<ConsentId>, StoreError> {
    let row = query!(
        "select c.consent_id from consent_line cl
         join consent c on c.tenant_id = cl.tenant_id and c.consent_id = cl.consent_id
         where cl.tenant_id = $1 and cl.line_id = $2 and c.product_id = $3
         order by c.consent_id desc limit 1",
        tx.id(),
        line.uuid(),
        product.uuid()
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.map(|row| ConsentId::from_uuid(row.consent_id)))
}

/// The lines of a consent with the bank's ids for them, for a fetch.
pub async fn resources(tx: &mut TenantTx, consent: ConsentId) -> Result<Vec<Resource>, StoreError> {
    let rows = select!(any, "c.tenant_id = $1 and c.consent_id = $2 order by l.line_id", tx.id(), consent.uuid())
        .fetch_all(tx.db())
        .await?;
    rows.into_iter()
        .map(|row| {
            let (line, consent, _, sealed_resource_id) = row.line()?;
            Ok(Resource { line, consent, sealed_resource_id })
        })
        .collect()
}

/// The lines that a consent holds, each with the moment since when.
pub async fn granted(tx: &mut TenantTx, consent: ConsentId) -> Result<Vec<(LineId, Timestamp)>, StoreError> {
    let rows = query!(
        "select line_id, granted_at from consent_line
         where tenant_id = $1 and consent_id = $2 and state = 'granted' order by line_id",
        tx.id(),
        consent.uuid()
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| (LineId::from_uuid(row.line_id), row.granted_at.to_jiff())).collect())
}

/// Takes one account out of a consent: from the commit on nothing of it is written or read under this consent, and a
/// fetch drops it although the bank still lists it. If another ground holds the line, what tied it to this consent goes
/// at once; else it goes with the line. [`StoreError::NotFound`] if the consent does not hold it.
pub async fn remove(tx: &mut TenantTx, consent: ConsentId, line: LineId, now: Timestamp) -> Result<(), StoreError> {
    let removed = query!(
        "with removed as (
            update consent_line set state = 'removed', removed_at = $4
            where tenant_id = $1 and consent_id = $2 and line_id = $3 and state = 'granted' returning line_id)
         insert into removed_account (tenant_id, consent_id, account_tag, removed_at)
         select $1, $2, l.account_tag, $4 from line l join removed r on r.line_id = l.line_id where l.tenant_id = $1
         on conflict (tenant_id, consent_id, account_tag) do update set removed_at = excluded.removed_at",
        tx.id(),
        consent.uuid(),
        line.uuid(),
        at(now)
    )
    .execute(tx.db())
    .await?;
    if removed.rows_affected() == 0 {
        return Err(StoreError::NotFound("account under this consent"));
    }
    lock_all(tx, consent).await?;
    let held =
        query!("select 1 as one from ground where tenant_id = $1 and line_id = $2 limit 1", tx.id(), line.uuid())
            .fetch_optional(tx.db())
            .await?;
    if held.is_some() {
        data_map::erase(tx, Subject::Share(consent, line)).await?;
    }
    Ok(())
}

/// Locks the lines of a consent. When the last two grounds of a line end at the same time, the second waits here until
/// the first has committed, and then finds that it is the last. Without it each would leave the line to the other.
async fn lock_all(tx: &mut TenantTx, consent: ConsentId) -> Result<(), StoreError> {
    query!(
        "select 1 as one from line l
         where l.tenant_id = $1 and l.line_id in (
            select cl.line_id from consent_line cl where cl.tenant_id = $1 and cl.consent_id = $2)
         order by l.line_id for no key update",
        tx.id(),
        consent.uuid()
    )
    .fetch_all(tx.db())
    .await?;
    Ok(())
}

/// Whether any consent still holds a line.
pub async fn has_ground(tx: &mut TenantTx, line: LineId) -> Result<bool, StoreError> {
    let row = query!(
        r#"select exists (select from ground where tenant_id = $1 and line_id = $2) as "held!""#,
        tx.id(),
        line.uuid()
    )
    .fetch_one(tx.db())
    .await?;
    Ok(row.held)
}

/// Lines of a consent that no ground holds any more (the view `ground`) and that no other deletion is erasing already:
/// an erasure of the consent erases these. To be called after the state has changed, in the same transaction.
pub async fn without_ground(tx: &mut TenantTx, consent: ConsentId) -> Result<Vec<LineId>, StoreError> {
    lock_all(tx, consent).await?;
    let rows = query!(
        "select cl.line_id from consent_line cl
         where cl.tenant_id = $1 and cl.consent_id = $2
           and not exists (select from ground g where g.tenant_id = cl.tenant_id and g.line_id = cl.line_id)
           and not exists (select from deletion_line dl where dl.tenant_id = cl.tenant_id and dl.line_id = cl.line_id)
         order by cl.line_id",
        tx.id(),
        consent.uuid()
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| LineId::from_uuid(row.line_id)).collect())
}

/// Lines of a consent that a ground holds: an erasure of the consent keeps these. To be called after the state has
/// changed, in the same transaction as [`without_ground`].
pub async fn with_ground(tx: &mut TenantTx, consent: ConsentId) -> Result<Vec<LineId>, StoreError> {
    let rows = query!(
        "select cl.line_id from consent_line cl
         where cl.tenant_id = $1 and cl.consent_id = $2 and cl.state = 'granted'
           and exists (select from ground g where g.tenant_id = cl.tenant_id and g.line_id = cl.line_id)
         order by cl.line_id",
        tx.id(),
        consent.uuid()
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| LineId::from_uuid(row.line_id)).collect())
}

/// What is known of an account that a bank lists.
#[derive(Clone, PartialEq, Eq)]
pub enum Known {
    /// Its holder took it out of this consent: drop it.
    Removed,
    /// A line of this person: its id and wrapped key.
    Line(LineId, Wrapped),
    /// Never seen.
    New,
}

/// A line that is about to be made.
pub struct NewLine<'a> {
    /// Its id.
    pub id: LineId,
    /// MAC of the account's canonical identity under the tenant's lookup key.
    pub account_tag: [u8; 32],
    /// Its data key.
    pub key: &'a DataKey,
    /// The same, wrapped.
    pub wrapped: &'a Wrapped,
    /// What the bank says about it.
    pub details: &'a Details,
}

/// The right to write bank data under one consent, until the transaction ends.
#[derive(Debug)]
pub struct Writer<'t> {
    tx: &'t mut TenantTx,
    consent: ConsentId,
    psu: Uuid,
    institution: String,
}

impl<'t> Writer<'t> {
    /// Holds a consent open. [`StoreError::NotAllowed`] unless it is authorised, active or waiting for its user, its data
    /// are present and it stands on this grant.
    pub async fn open(tx: &'t mut TenantTx, consent: ConsentId, grant: GrantId) -> Result<Self, StoreError> {
        // Behind whoever waits to lock it, see `consents::lock`.
        query!(
            "select pg_advisory_xact_lock_shared(hashtextextended('consent ' || $1::text, 0))",
            consent.uuid().to_string()
        )
        .execute(tx.db())
        .await?;
        let row = query!(
            "select psu_id, institution_id from consent
             where tenant_id = $1 and consent_id = $2 and grant_id = $3 and data_state = 'present'
               and state in ('authorized', 'active', 'reauth_pending')
             for share",
            tx.id(),
            consent.uuid(),
            grant.uuid()
        )
        .fetch_optional(tx.db())
        .await?
        .ok_or(StoreError::NotAllowed)?;
        let institution = row.institution_id.ok_or(StoreError::NotAllowed)?;
        Ok(Self { tx, consent, psu: row.psu_id, institution })
    }

    /// What is known of the account with this tag. A line that is found is held until the transaction ends, so that no
    /// deletion takes it meanwhile; one that a deletion has taken has lost its tag and is not found.
    ///
    /// It is the lock of [`Writer::line`]: with a weaker one here, two fetches of one line would wait for each other there.
    pub async fn look_up(&mut self, account_tag: &[u8; 32]) -> Result<Known, StoreError> {
        let removed = query!(
            "select 1 as one from removed_account where tenant_id = $1 and consent_id = $2 and account_tag = $3",
            self.tx.id(),
            self.consent.uuid(),
            account_tag.as_slice()
        )
        .fetch_optional(self.tx.db())
        .await?;
        if removed.is_some() {
            return Ok(Known::Removed);
        }
        let row = query!(
            "select line_id, key_epoch, wrapped_key from line
             where tenant_id = $1 and psu_id = $2 and institution_id = $3 and account_tag = $4
             for no key update",
            self.tx.id(),
            self.psu,
            self.institution,
            account_tag.as_slice()
        )
        .fetch_optional(self.tx.db())
        .await?;
        Ok(row.map_or(Known::New, |row| {
            let wrapped = Wrapped { epoch: row.key_epoch, bytes: row.wrapped_key };
            Known::Line(LineId::from_uuid(row.line_id), wrapped)
        }))
    }

    /// Makes a line for an account that [`Writer::look_up`] did not know. [`StoreError::Exists`] if another fetch was
    /// faster: roll back and look again.
    pub async fn create(&mut self, line: &NewLine<'_>, world: &World<'_>) -> Result<(), StoreError> {
        let place = Place::line(self.tx.tenant(), line.id);
        let sealed = place.seal(line.key, &encode(&DetailsWire::from(line.details)), world.entropy);
        query!(
            "insert into line (tenant_id, line_id, psu_id, institution_id, account_tag, key_epoch, wrapped_key,
                schema_version, sealed, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            self.tx.id(),
            line.id.uuid(),
            self.psu,
            self.institution,
            line.account_tag.as_slice(),
            line.wrapped.epoch,
            line.wrapped.bytes,
            SCHEMA_VERSION,
            sealed,
            at(world.now)
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }

    /// Puts a line under the consent with the bank's id for it, or notes that the id has changed.
    pub async fn grant(
        &mut self,
        line: LineId,
        key: &DataKey,
        resource_id: &[u8],
        world: &World<'_>,
    ) -> Result<(), StoreError> {
        let place = Place::resource_id(self.tx.tenant(), line, self.consent);
        let done = query!(
            "insert into consent_line (tenant_id, consent_id, line_id, state, sealed_resource_id, granted_at)
             values ($1, $2, $3, 'granted', $4, $5)
             on conflict (tenant_id, consent_id, line_id)
                do update set sealed_resource_id = excluded.sealed_resource_id where consent_line.state = 'granted'",
            self.tx.id(),
            self.consent.uuid(),
            line.uuid(),
            place.seal(key, resource_id, world.entropy),
            at(world.now)
        )
        .execute(self.tx.db())
        .await?;
        if done.rows_affected() == 0 { Err(StoreError::NotAllowed) } else { Ok(()) }
    }

    /// Holds one line of the consent, and the numbering of its rows. [`StoreError::NotFound`] if it is not, or no
    /// longer, under the consent: others may be.
    pub async fn line(&mut self, line: LineId) -> Result<LineWriter<'_>, StoreError> {
        query!(
            "select 1 as one from consent_line
             where tenant_id = $1 and consent_id = $2 and line_id = $3 and state = 'granted' for share",
            self.tx.id(),
            self.consent.uuid(),
            line.uuid()
        )
        .fetch_optional(self.tx.db())
        .await?
        .ok_or(StoreError::NotFound("account under this consent"))?;
        query!(
            "select 1 as one from line where tenant_id = $1 and line_id = $2 for no key update",
            self.tx.id(),
            line.uuid()
        )
        .fetch_optional(self.tx.db())
        .await?
        .ok_or(StoreError::NotFound("account under this consent"))?;
        Ok(LineWriter { tx: self.tx, line })
    }
}

/// The right to write rows of one line, until the transaction ends. Its methods stand with the tables they write:
/// [`transactions`](crate::transactions), [`balances`](crate::balances), [`raw_pages`](crate::raw_pages).
#[derive(Debug)]
pub struct LineWriter<'t> {
    pub(crate) tx: &'t mut TenantTx,
    pub(crate) line: LineId,
}

impl LineWriter<'_> {
    /// The line.
    pub const fn id(&self) -> LineId {
        self.line
    }

    /// Writes what the bank says about the account now.
    pub async fn set_details(&mut self, key: &DataKey, details: &Details, world: &World<'_>) -> Result<(), StoreError> {
        let place = Place::line(self.tx.tenant(), self.line);
        query!(
            "update line set sealed = $3, schema_version = $4 where tenant_id = $1 and line_id = $2",
            self.tx.id(),
            self.line.uuid(),
            place.seal(key, &encode(&DetailsWire::from(details)), world.entropy),
            SCHEMA_VERSION
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }

    /// Notes that transactions were fetched to the end, and for which days. Days that were complete stay so where no gap lies
    /// between.
    pub async fn transactions_complete(
        &mut self,
        as_of: Timestamp,
        from: Option<Date>,
        until: Option<Date>,
    ) -> Result<(), StoreError> {
        query!(
            "update line set transactions_as_of = $3, 
                complete_from = case when $4::date is null then complete_from
                    when complete_until >= $4::date - 1 then least(complete_from, $4) else $4 end,
                complete_until = greatest(complete_until, $5)
             where tenant_id = $1 and line_id = $2",
            self.tx.id(),
            self.line.uuid(),
            at(as_of),
            maybe_day(from) as _,
            maybe_day(until) as _
        )
        .execute(self.tx.db())
        .await?;
        Ok(())
    }
}
