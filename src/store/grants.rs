//! Grants: the bank-side authorisation and its secrets, sealed under a key of its own.

use domain::grant::State;
use domain::ids::{GrantId, InstitutionId, PsuId, RegistrationId};
use jiff::Timestamp;
use sqlx::query;
use uuid::Uuid;
use vault::Wrapped;

use crate::data_map::{self, Subject};
use crate::time::{at, maybe_at, read};
use crate::{StoreError, TenantTx};

/// A call that creates or changes something at the bank, stored before it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent {
    /// Which call.
    pub kind: IntentKind,
    /// Its idempotency key or request id, so that it can be asked after.
    pub id: Uuid,
    /// When it was about to be made.
    pub at: Timestamp,
}

/// Calls whose unknown outcome must be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentKind {
    /// Creates the bank's consent object.
    CreateConsent,
    /// Redeems an authorisation code, which works once.
    Redeem,
    /// Refreshes tokens, which may turn the old one invalid.
    Refresh,
    /// Ends the grant.
    End,
}

impl IntentKind {
    const ALL: [Self; 4] = [Self::CreateConsent, Self::Redeem, Self::Refresh, Self::End];

    /// The word in the database and in evidence.
    pub const fn word(self) -> &'static str {
        match self {
            Self::CreateConsent => "create_consent",
            Self::Redeem => "redeem",
            Self::Refresh => "refresh",
            Self::End => "end",
        }
    }
}

/// A grant as it is stored. Its sealed parts open under `key` ([`Place`](crate::sealed::Place)).
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// Who we are at the bank.
    pub registration: RegistrationId,
    /// The bank.
    pub institution: InstitutionId,
    /// Who authorised.
    pub psu: PsuId,
    /// Where it stands.
    pub state: State,
    /// Counts the writes; compared by [`save`].
    pub seq: i64,
    /// The call that may be under way.
    pub intent: Option<Intent>,
    /// The wrapped data key; gone once the secrets were forgotten.
    pub key: Option<Wrapped>,
    /// The bank's id of the consent, sealed.
    pub sealed_bank_consent: Option<Vec<u8>>,
    /// Access and refresh token, sealed.
    pub sealed_tokens: Option<Vec<u8>>,
    /// MAC of the bank's own name of the grant under the tenant's lookup key, so that the grant is found by it.
    pub bank_tag: Option<[u8; 32]>,
    /// MAC of the bank's own name of the person under the tenant's lookup key, where its ID token says one.
    pub subject_tag: Option<[u8; 32]>,
    /// When the access token ends.
    pub token_expires_at: Option<Timestamp>,
    /// When the user last authenticated at the bank for it.
    pub sca_at: Option<Timestamp>,
    /// When the bank says it ends.
    pub valid_until: Option<Timestamp>,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl Grant {
    /// A grant that is about to be asked for, with the intent to create a consent at the bank.
    pub fn requested(
        id: GrantId,
        registration: RegistrationId,
        institution: InstitutionId,
        psu: PsuId,
        intent: Intent,
        key: Wrapped,
    ) -> Self {
        Self {
            id,
            registration,
            institution,
            psu,
            state: State::Requested,
            seq: 0,
            created_at: intent.at,
            intent: Some(intent),
            key: Some(key),
            sealed_bank_consent: None,
            sealed_tokens: None,
            bank_tag: None,
            subject_tag: None,
            token_expires_at: None,
            sca_at: None,
            valid_until: None,
            ended_at: None,
        }
    }
}

struct Row {
    grant_id: Uuid,
    registration_id: String,
    institution_id: String,
    psu_id: Uuid,
    state: String,
    seq: i64,
    intent: Option<String>,
    intent_id: Option<Uuid>,
    intent_at: Option<jiff_sqlx::Timestamp>,
    key_epoch: Option<i64>,
    wrapped_key: Option<Vec<u8>>,
    sealed_bank_consent: Option<Vec<u8>>,
    sealed_tokens: Option<Vec<u8>>,
    bank_tag: Option<Vec<u8>>,
    subject_tag: Option<Vec<u8>>,
    token_expires_at: Option<jiff_sqlx::Timestamp>,
    sca_at: Option<jiff_sqlx::Timestamp>,
    valid_until: Option<jiff_sqlx::Timestamp>,
    created_at: jiff_sqlx::Timestamp,
    ended_at: Option<jiff_sqlx::Timestamp>,
}

/// A select of whole grants; the tail says which.
macro_rules! select {
    ($tail:tt $(, $arg:expr)*) => {
        sqlx::query_as!(
            Row,
            "select grant_id, registration_id, institution_id, psu_id, state, seq, intent, intent_id, intent_at, \
             key_epoch, wrapped_key, sealed_bank_consent, sealed_tokens, bank_tag, subject_tag, token_expires_at, sca_at, \
             valid_until, created_at, ended_at from bank_grant " + $tail
            $(, $arg)*
        )
    };
}

const fn corrupt(column: &'static str) -> StoreError {
    StoreError::Corrupt { table: "bank_grant", column }
}

impl TryFrom<Row> for Grant {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let intent = match (row.intent, row.intent_id, row.intent_at) {
            (Some(word), Some(id), Some(at)) => {
                let kind = IntentKind::ALL.into_iter().find(|kind| kind.word() == word);
                Some(Intent { kind: kind.ok_or(corrupt("intent"))?, id, at: at.to_jiff() })
            }
            (None, None, None) => None,
            _ => return Err(corrupt("intent")),
        };
        let key = row.key_epoch.zip(row.wrapped_key).map(|(epoch, bytes)| Wrapped { epoch, bytes });
        Ok(Self {
            id: GrantId::from_uuid(row.grant_id),
            registration: RegistrationId::new(&row.registration_id).ok_or(corrupt("registration_id"))?,
            institution: InstitutionId::new(&row.institution_id).ok_or(corrupt("institution_id"))?,
            psu: PsuId::from_uuid(row.psu_id),
            state: State::parse(&row.state).ok_or(corrupt("state"))?,
            seq: row.seq,
            intent,
            key,
            sealed_bank_consent: row.sealed_bank_consent,
            sealed_tokens: row.sealed_tokens,
            bank_tag: row.bank_tag.map(<[u8; 32]>::try_from).transpose().map_err(|_| corrupt("bank_tag"))?,
            subject_tag: row.subject_tag.map(<[u8; 32]>::try_from).transpose().map_err(|_| corrupt("subject_tag"))?,
            token_expires_at: read(row.token_expires_at),
            sca_at: read(row.sca_at),
            valid_until: read(row.valid_until),
            created_at: row.created_at.to_jiff(),
            ended_at: read(row.ended_at),
        })
    }
}

/// Adds a grant with `seq` 0, usually with the intent to create a consent at the bank.
pub async fn insert(tx: &mut TenantTx, grant: &Grant) -> Result<(), StoreError> {
    query!(
        "insert into bank_grant (tenant_id, grant_id, registration_id, institution_id, psu_id, state, seq, intent,
            intent_id, intent_at, key_epoch, wrapped_key, created_at)
         values ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9, $10, $11, $12)",
        tx.id(),
        grant.id.uuid(),
        grant.registration.as_str(),
        grant.institution.as_str(),
        grant.psu.uuid(),
        grant.state.word(),
        grant.intent.map(|intent| intent.kind.word()),
        grant.intent.map(|intent| intent.id),
        maybe_at(grant.intent.map(|intent| intent.at)) as _,
        grant.key.as_ref().map(|key| key.epoch),
        grant.key.as_ref().map(|key| key.bytes.as_slice()),
        at(grant.created_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// One grant.
pub async fn get(tx: &mut TenantTx, id: GrantId) -> Result<Grant, StoreError> {
    select!("where tenant_id = $1 and grant_id = $2", tx.id(), id.uuid())
        .fetch_optional(tx.db())
        .await?
        .ok_or(StoreError::NotFound("grant"))?
        .try_into()
}

/// One grant, locked until the transaction ends.
pub async fn lock(tx: &mut TenantTx, id: GrantId) -> Result<Grant, StoreError> {
    query!("select 1 as one from bank_grant where tenant_id = $1 and grant_id = $2 for update", tx.id(), id.uuid())
        .fetch_optional(tx.db())
        .await?
        .ok_or(StoreError::NotFound("grant"))?;
    get(tx, id).await
}

/// Writes what has changed from `before` to `after`, if nobody has written it since `before` was read; else
/// [`StoreError::Raced`]. The wrapped key stays as it is in the database, where it may have been wrapped anew
/// meanwhile. Gives the grant back with its new `seq`.
pub async fn save(tx: &mut TenantTx, before: &Grant, after: &Grant) -> Result<Grant, StoreError> {
    let done = query!(
        "update bank_grant set state = $4, seq = seq + 1, intent = $5, intent_id = $6, intent_at = $7,
            sealed_bank_consent = $8, sealed_tokens = $9, token_expires_at = $10, sca_at = $11, valid_until = $12,
            ended_at = $13, bank_tag = $14, subject_tag = $15
         where tenant_id = $1 and grant_id = $2 and seq = $3",
        tx.id(),
        before.id.uuid(),
        before.seq,
        after.state.word(),
        after.intent.map(|intent| intent.kind.word()),
        after.intent.map(|intent| intent.id),
        maybe_at(after.intent.map(|intent| intent.at)) as _,
        after.sealed_bank_consent,
        after.sealed_tokens,
        maybe_at(after.token_expires_at) as _,
        maybe_at(after.sca_at) as _,
        maybe_at(after.valid_until) as _,
        maybe_at(after.ended_at) as _,
        after.bank_tag.as_ref().map(<[u8; 32]>::as_slice),
        after.subject_tag.as_ref().map(<[u8; 32]>::as_slice)
    )
    .execute(tx.db())
    .await?;
    if done.rows_affected() == 0 { Err(StoreError::Raced) } else { Ok(Grant { seq: before.seq + 1, ..after.clone() }) }
}

/// Empties the secrets of a grant and takes its wrapped key away: they live on in a revocation capsule, or nowhere.
pub async fn forget(tx: &mut TenantTx, id: GrantId) -> Result<(), StoreError> {
    data_map::erase(tx, Subject::Grant(id)).await?;
    Ok(())
}

/// Grants whose intent is older than `before`: the call may or may not have arrived. Refreshes are left out: whoever
/// needs the tokens next takes such an intent over, and knows by it that the refresh token may have been used.
pub async fn open_intents(tx: &mut TenantTx, before: Timestamp, limit: u32) -> Result<Vec<Grant>, StoreError> {
    let rows = select!(
        "where tenant_id = $1 and intent <> 'refresh' and intent_at < $2 order by intent_at limit $3",
        tx.id(),
        at(before),
        i64::from(limit)
    )
    .fetch_all(tx.db())
    .await?;
    rows.into_iter().map(Grant::try_from).collect()
}

/// The grants of a registration that the bank calls by the name of this tag, the newest first. Several have one name where
/// it outlives their tokens.
pub async fn named(
    tx: &mut TenantTx,
    registration: &RegistrationId,
    bank_tag: &[u8; 32],
) -> Result<Vec<Grant>, StoreError> {
    let rows = select!(
        "where tenant_id = $1 and registration_id = $2 and bank_tag = $3 order by grant_id desc",
        tx.id(),
        registration.as_str(),
        bank_tag.as_slice()
    )
    .fetch_all(tx.db())
    .await?;
    rows.into_iter().map(Grant::try_from).collect()
}

/// Grants of a person at a registration that are not over, newest first.
pub async fn of_psu(tx: &mut TenantTx, psu: PsuId, registration: &RegistrationId) -> Result<Vec<Grant>, StoreError> {
    let rows = select!(
        "where tenant_id = $1 and psu_id = $2 and registration_id = $3 and ended_at is null order by grant_id desc",
        tx.id(),
        psu.uuid(),
        registration.as_str()
    )
    .fetch_all(tx.db())
    .await?;
    rows.into_iter().map(Grant::try_from).collect()
}

/// Grants at a registration whose person the bank calls by the name of this tag, as far as they are not over, newest first.
pub async fn of_subject(
    tx: &mut TenantTx,
    registration: &RegistrationId,
    subject_tag: &[u8; 32],
) -> Result<Vec<Grant>, StoreError> {
    let rows = select!(
        "where tenant_id = $1 and registration_id = $2 and subject_tag = $3 and ended_at is null order by grant_id desc",
        tx.id(),
        registration.as_str(),
        subject_tag.as_slice()
    )
    .fetch_all(tx.db())
    .await?;
    rows.into_iter().map(Grant::try_from).collect()
}
