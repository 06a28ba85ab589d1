//! Consents: our legal record, moved by compare-and-swap, every move in the history.

use domain::consent::{Consent as Machine, DataState, State};
use domain::ids::{ConsentId, GrantId, InstitutionId, ProductId, PsuId, RegistrationId};
use domain::policy::Clocks;
use domain::retention::{AtEnd, Retention};
use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::query;
use uuid::Uuid;

use crate::time::{at, day, maybe_at, read};
use crate::{StoreError, TenantTx};

/// A consent as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Its id.
    pub id: ConsentId,
    /// Who asked for it.
    pub product: ProductId,
    /// Whose data.
    pub psu: PsuId,
    /// At which bank, and who we are there; `None` until the user has chosen one.
    pub bank: Option<(InstitutionId, RegistrationId)>,
    /// For what.
    pub purposes: Vec<String>,
    /// Which data.
    pub clusters: Vec<String>,
    /// Language of the pages, BCP 47.
    pub language: String,
    /// Where the user goes back to.
    pub return_url: String,
    /// The text that was accepted.
    pub text_hash: Option<[u8; 32]>,
    /// State, data state and clocks.
    pub machine: Machine,
    /// What becomes of its data when it ends, as its text says.
    pub retention: Retention,
    /// Counts the moves; compared by [`save`].
    pub seq: i64,
    /// The grant it stands on.
    pub grant: Option<GrantId>,
    /// Last day that the user was asked for, inclusive, in the bank's calendar.
    pub asked_until: Date,
    /// When the product asked.
    pub created_at: Timestamp,
    /// When the user accepted the text.
    pub accepted_at: Option<Timestamp>,
    /// When the bank first authorised.
    pub authorized_at: Option<Timestamp>,
    /// When the user last authenticated at the bank for it.
    pub sca_at: Option<Timestamp>,
    /// When the user last confirmed to us.
    pub confirmed_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What moved a consent, for its history.
#[derive(Debug, Clone, Copy)]
pub struct Cause<'a> {
    /// The event's word.
    pub event: &'a str,
    /// Who: `psu`, `product`, `bank`, `timer`, `operator` …
    pub actor: &'a str,
    /// When.
    pub at: Timestamp,
}

/// One move of a consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The consent's `seq` after it; 0 for its creation.
    pub seq: i64,
    /// The event's word.
    pub event: String,
    /// Who.
    pub actor: String,
    /// From where; `None` for the creation.
    pub from: Option<State>,
    /// To where.
    pub to: State,
    /// When.
    pub at: Timestamp,
}

struct Row {
    consent_id: Uuid,
    product_id: Uuid,
    psu_id: Uuid,
    institution_id: Option<String>,
    registration_id: Option<String>,
    purposes: Vec<String>,
    clusters: Vec<String>,
    language: String,
    return_url: String,
    at_end: String,
    retention_days: i32,
    text_hash: Option<Vec<u8>>,
    state: String,
    state_reason: Option<String>,
    data_state: String,
    seq: i64,
    grant_id: Option<Uuid>,
    asked_until: jiff_sqlx::Date,
    created_at: jiff_sqlx::Timestamp,
    authorise_by: jiff_sqlx::Timestamp,
    accepted_at: Option<jiff_sqlx::Timestamp>,
    authorized_at: Option<jiff_sqlx::Timestamp>,
    sca_at: Option<jiff_sqlx::Timestamp>,
    confirmed_at: Option<jiff_sqlx::Timestamp>,
    sca_due_at: Option<jiff_sqlx::Timestamp>,
    reconfirm_due_at: Option<jiff_sqlx::Timestamp>,
    notice_due_at: Option<jiff_sqlx::Timestamp>,
    valid_until: Option<jiff_sqlx::Timestamp>,
    warned_at: Option<jiff_sqlx::Timestamp>,
    ended_at: Option<jiff_sqlx::Timestamp>,
}

/// A select of whole consents; the tail says which.
macro_rules! select {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            "select consent_id, product_id, psu_id, institution_id, registration_id, purposes, clusters, language, \
             return_url, at_end, retention_days, text_hash, state, state_reason, data_state, seq, grant_id, asked_until, created_at, authorise_by, \
             accepted_at, authorized_at, sca_at, confirmed_at, sca_due_at, reconfirm_due_at, \
             notice_due_at, valid_until, warned_at, ended_at \
             from consent " + $tail
            $(, $arg)*
        )
    };
}

const fn corrupt(column: &'static str) -> StoreError {
    StoreError::Corrupt { table: "consent", column }
}

impl TryFrom<Row> for Consent {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let clocks = row.valid_until.map(|end| Clocks {
            sca_due: read(row.sca_due_at),
            reconfirm_due: read(row.reconfirm_due_at),
            notice_due: read(row.notice_due_at),
            term_ends: end.to_jiff(),
        });
        let machine = Machine {
            state: State::parse(&row.state, row.state_reason.as_deref()).ok_or(corrupt("state"))?,
            data: DataState::parse(&row.data_state).ok_or(corrupt("data_state"))?,
            authorise_by: row.authorise_by.to_jiff(),
            clocks,
            warned: read(row.warned_at).unwrap_or(Timestamp::MIN),
        };
        let text_hash = row.text_hash.map(<[u8; 32]>::try_from).transpose().map_err(|_| corrupt("text_hash"))?;
        Ok(Self {
            id: ConsentId::from_uuid(row.consent_id),
            product: ProductId::from_uuid(row.product_id),
            psu: PsuId::from_uuid(row.psu_id),
            bank: match row.institution_id.zip(row.registration_id) {
                Some((institution, registration)) => Some((
                    InstitutionId::new(&institution).ok_or(corrupt("institution_id"))?,
                    RegistrationId::new(&registration).ok_or(corrupt("registration_id"))?,
                )),
                None => None,
            },
            purposes: row.purposes,
            clusters: row.clusters,
            language: row.language,
            return_url: row.return_url,
            retention: Retention {
                at_end: AtEnd::parse(&row.at_end).ok_or(corrupt("at_end"))?,
                days: u16::try_from(row.retention_days).map_err(|_| corrupt("retention_days"))?,
            },
            text_hash,
            machine,
            seq: row.seq,
            grant: row.grant_id.map(GrantId::from_uuid),
            asked_until: row.asked_until.to_jiff(),
            created_at: row.created_at.to_jiff(),
            accepted_at: read(row.accepted_at),
            authorized_at: read(row.authorized_at),
            sca_at: read(row.sca_at),
            confirmed_at: read(row.confirmed_at),
            ended_at: read(row.ended_at),
        })
    }
}

/// Adds a consent with `seq` 0 and the first row of its history.
pub async fn insert(tx: &mut TenantTx, consent: &Consent, cause: Cause<'_>) -> Result<(), StoreError> {
    query!(
        "insert into consent (tenant_id, consent_id, product_id, psu_id, institution_id, registration_id, purposes,
            clusters, language, return_url, state, state_reason, data_state, seq, asked_until, created_at,
            authorise_by, at_end, retention_days)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, $14, $15, $16, $17, $18)",
        tx.id(),
        consent.id.uuid(),
        consent.product.uuid(),
        consent.psu.uuid(),
        consent.bank.as_ref().map(|(institution, _)| institution.as_str()),
        consent.bank.as_ref().map(|(_, registration)| registration.as_str()),
        &consent.purposes,
        &consent.clusters,
        consent.language,
        consent.return_url,
        consent.machine.state.word(),
        consent.machine.state.reason(),
        consent.machine.data.word(),
        day(consent.asked_until),
        at(consent.created_at),
        at(consent.machine.authorise_by),
        consent.retention.at_end.word(),
        i32::from(consent.retention.days)
    )
    .execute(tx.db())
    .await?;
    record(tx, consent.id, 0, None, consent.machine.state, cause).await
}

/// Notes the bank that the user chose, while the consent waits for it; else [`StoreError::NotAllowed`].
pub async fn choose_bank(
    tx: &mut TenantTx,
    id: ConsentId,
    institution: &InstitutionId,
    registration: &RegistrationId,
) -> Result<(), StoreError> {
    let done = query!(
        "update consent set institution_id = $3, registration_id = $4
         where tenant_id = $1 and consent_id = $2 and state = 'initiated' and accepted_at is null",
        tx.id(),
        id.uuid(),
        institution.as_str(),
        registration.as_str()
    )
    .execute(tx.db())
    .await?;
    if done.rows_affected() == 0 { Err(StoreError::NotAllowed) } else { Ok(()) }
}

/// One consent.
pub async fn get(tx: &mut TenantTx, id: ConsentId) -> Result<Consent, StoreError> {
    select!("where tenant_id = $1 and consent_id = $2", tx.id(), id.uuid())
        .fetch_optional(tx.db())
        .await?
        .ok_or(StoreError::NotFound("consent"))?
        .try_into()
}

/// One consent, locked until the transaction ends: waits for every writer of its bank data, and they for us.
///
/// A row that is locked by several stays locked as long as one more comes before the last has gone, so that a withdrawal could
/// wait for ever behind fetches that overlap. Therefore both queue for another lock first: there, whoever comes while
/// somebody waits stands behind.
pub async fn lock(tx: &mut TenantTx, id: ConsentId) -> Result<Consent, StoreError> {
    query!("select pg_advisory_xact_lock(hashtextextended('consent ' || $1::text, 0))", id.uuid().to_string())
        .execute(tx.db())
        .await?;
    query!("select 1 as one from consent where tenant_id = $1 and consent_id = $2 for update", tx.id(), id.uuid())
        .fetch_optional(tx.db())
        .await?
        .ok_or(StoreError::NotFound("consent"))?;
    get(tx, id).await
}

/// One consent, if its data may be read now; else [`StoreError::NotAllowed`].
pub async fn readable(tx: &mut TenantTx, id: ConsentId) -> Result<Consent, StoreError> {
    let consent = get(tx, id).await?;
    if consent.machine.may_read() { Ok(consent) } else { Err(StoreError::NotAllowed) }
}

/// Whether a consent with these words may be read, by the machine's own judgement; else [`StoreError::NotAllowed`].
pub(crate) fn check_readable(state: &str, reason: Option<&str>, data: &str) -> Result<(), StoreError> {
    let machine = Machine {
        state: State::parse(state, reason).ok_or(corrupt("state"))?,
        data: DataState::parse(data).ok_or(corrupt("data_state"))?,
        authorise_by: Timestamp::UNIX_EPOCH,
        clocks: None,
        warned: Timestamp::MIN,
    };
    if machine.may_read() { Ok(()) } else { Err(StoreError::NotAllowed) }
}

/// Writes what has changed from `before` to `after`, and the move into the history, if nobody has moved it since
/// `before` was read; else [`StoreError::Raced`]. Gives the consent back with its new `seq`.
pub async fn save(
    tx: &mut TenantTx,
    before: &Consent,
    after: &Consent,
    cause: Cause<'_>,
) -> Result<Consent, StoreError> {
    let clocks = after.machine.clocks;
    let done = query!(
        "update consent set state = $4, state_reason = $5, data_state = $6, seq = seq + 1, grant_id = $7,
            text_hash = $8, accepted_at = $9, authorized_at = $10, sca_at = $11, confirmed_at = $12, sca_due_at = $13,
            reconfirm_due_at = $14, valid_until = $15, ended_at = $16, authorise_by = $17, asked_until = $18,
            notice_due_at = $19, warned_at = $20, wake_at = $21
         where tenant_id = $1 and consent_id = $2 and seq = $3",
        tx.id(),
        before.id.uuid(),
        before.seq,
        after.machine.state.word(),
        after.machine.state.reason(),
        after.machine.data.word(),
        after.grant.map(GrantId::uuid),
        after.text_hash.as_ref().map(<[u8; 32]>::as_slice),
        maybe_at(after.accepted_at) as _,
        maybe_at(after.authorized_at) as _,
        maybe_at(after.sca_at) as _,
        maybe_at(after.confirmed_at) as _,
        maybe_at(clocks.and_then(|clocks| clocks.sca_due)) as _,
        maybe_at(clocks.and_then(|clocks| clocks.reconfirm_due)) as _,
        maybe_at(clocks.map(|clocks| clocks.term_ends)) as _,
        maybe_at(after.ended_at) as _,
        at(after.machine.authorise_by),
        day(after.asked_until),
        maybe_at(clocks.and_then(|clocks| clocks.notice_due)) as _,
        maybe_at(Some(after.machine.warned).filter(|at| *at > Timestamp::MIN)) as _,
        maybe_at(after.machine.wakes_at()) as _
    )
    .execute(tx.db())
    .await?;
    if done.rows_affected() == 0 {
        return Err(StoreError::Raced);
    }
    let seq = before.seq + 1;
    record(tx, before.id, seq, Some(before.machine.state), after.machine.state, cause).await?;
    Ok(Consent { seq, ..after.clone() })
}

async fn record(
    tx: &mut TenantTx,
    id: ConsentId,
    seq: i64,
    from: Option<State>,
    to: State,
    cause: Cause<'_>,
) -> Result<(), StoreError> {
    query!(
        "insert into consent_history (tenant_id, consent_id, seq, event, actor, from_state, from_reason, to_state,
            to_reason, at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        tx.id(),
        id.uuid(),
        seq,
        cause.event,
        cause.actor,
        from.map(State::word),
        from.and_then(State::reason),
        to.word(),
        to.reason(),
        at(cause.at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Every move of a consent, oldest first.
pub async fn history(tx: &mut TenantTx, id: ConsentId) -> Result<Vec<Move>, StoreError> {
    let rows = query!(
        "select seq, event, actor, from_state, from_reason, to_state, to_reason, at from consent_history
         where tenant_id = $1 and consent_id = $2 order by seq",
        tx.id(),
        id.uuid()
    )
    .fetch_all(tx.db())
    .await?;
    let corrupt = |column| StoreError::Corrupt { table: "consent_history", column };
    rows.into_iter()
        .map(|row| {
            let from = match row.from_state {
                Some(word) => Some(State::parse(&word, row.from_reason.as_deref()).ok_or(corrupt("from_state"))?),
                None => None,
            };
            let to = State::parse(&row.to_state, row.to_reason.as_deref()).ok_or(corrupt("to_state"))?;
            Ok(Move { seq: row.seq, event: row.event, actor: row.actor, from, to, at: row.at.to_jiff() })
        })
        .collect()
}

/// Consents of a product, newest first, of one person or of all: those before `before`, at most `limit`.
pub async fn of_product(
    tx: &mut TenantTx,
    product: ProductId,
    psu: Option<PsuId>,
    before: Option<ConsentId>,
    limit: u32,
) -> Result<Vec<Consent>, StoreError> {
    // Ids are UUIDv7: their order is the order of creation.
    let before = before.map_or(Uuid::max(), ConsentId::uuid);
    let (product, limit) = (product.uuid(), i64::from(limit));
    // Two statements, so that each is a range of an index of its own.
    let rows = match psu {
        Some(psu) => {
            select!(
                "where tenant_id = $1 and psu_id = $2 and product_id = $3 and consent_id < $4 \
                 order by consent_id desc limit $5",
                tx.id(),
                psu.uuid(),
                product,
                before,
                limit
            )
            .fetch_all(tx.db())
            .await?
        }
        None => {
            select!(
                "where tenant_id = $1 and product_id = $2 and consent_id < $3 order by consent_id desc limit $4",
                tx.id(),
                product,
                before,
                limit
            )
            .fetch_all(tx.db())
            .await?
        }
    };
    rows.into_iter().map(Consent::try_from).collect()
}

/// Consents that stand on a grant and are not over.
pub async fn standing_on(tx: &mut TenantTx, grant: GrantId) -> Result<Vec<Consent>, StoreError> {
    let rows = select!(
        "where tenant_id = $1 and grant_id = $2 and state in ('initiated', 'authorized', 'active', 'reauth_pending') \
         order by consent_id",
        tx.id(),
        grant.uuid()
    )
    .fetch_all(tx.db())
    .await?;
    rows.into_iter().map(Consent::try_from).collect()
}

/// Consents that are not over, at one bank or at all of them, in the order of their ids: those behind `after`.
pub async fn not_over(
    tx: &mut TenantTx,
    institution: Option<&InstitutionId>,
    after: Option<ConsentId>,
    limit: u32,
) -> Result<Vec<ConsentId>, StoreError> {
    let rows = query!(
        "select consent_id from consent where tenant_id = $1 and ($2::text is null or institution_id = $2)
            and state in ('initiated', 'authorized', 'active', 'reauth_pending') and consent_id > $3
         order by consent_id limit $4",
        tx.id(),
        institution.map(InstitutionId::as_str),
        after.map_or(Uuid::nil(), ConsentId::uuid),
        i64::from(limit)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| ConsentId::from_uuid(row.consent_id)).collect())
}

/// Consents that a timer must look at, the most overdue first.
pub async fn due(tx: &mut TenantTx, now: Timestamp, limit: u32) -> Result<Vec<ConsentId>, StoreError> {
    let rows = query!(
        "select consent_id from consent where tenant_id = $1 and least(due_at, wake_at) <= $2
         order by least(due_at, wake_at) limit $3",
        tx.id(),
        at(now),
        i64::from(limit)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| ConsentId::from_uuid(row.consent_id)).collect())
}

/// Consents that ended by themselves, whose data are still there and have had the time of their retention, the oldest first. One
/// that another has replaced waits for a while whatever its time: that one takes the accounts over with its first fetch.
pub async fn past_retention(tx: &mut TenantTx, now: Timestamp, limit: u32) -> Result<Vec<ConsentId>, StoreError> {
    // Days of 24 hours, whatever calendar the session has.
    let rows = query!(
        "select consent_id from consent
         where tenant_id = $1 and state in ('expired', 'failed') and data_state in ('present', 'readable')
            and ended_at <= $2 and ended_at + make_interval(hours => 24 * case state_reason when 'superseded'
                then greatest(retention_days, $4) else retention_days end) <= $2
         order by ended_at limit $3",
        tx.id(),
        at(now),
        i64::from(limit),
        i32::from(Retention::USUAL.days)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| ConsentId::from_uuid(row.consent_id)).collect())
}
