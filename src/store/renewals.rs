//! Renewals: one login at a time that renews a consent in place, beside the grant that it still stands on.

use domain::ids::{ConsentId, GrantId};
use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::query;
use uuid::Uuid;

use crate::time::{at, day};
use crate::{StoreError, TenantTx};

/// How far a renewal has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The person is at the bank.
    Begun,
    /// The new authorisation is proven; the first fetch has yet to tell what became of the accounts.
    Done,
    /// It failed where the bank may have ended the old authorisation already.
    Broken,
}

impl State {
    const ALL: [Self; 3] = [Self::Begun, Self::Done, Self::Broken];

    /// The word in the database and in evidence.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Broken => "broken",
        }
    }
}

/// A renewal as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// What is renewed.
    pub consent: ConsentId,
    /// The grant that is being authorised: a new one, or the consent's own where the bank renews under the same id.
    pub grant: GrantId,
    /// How far it has come.
    pub state: State,
    /// The text that was accepted.
    pub text_hash: [u8; 32],
    /// Last day of the consent from then on, inclusive, in the bank's calendar.
    pub asked_until: Date,
    /// When the text was accepted.
    pub accepted_at: Timestamp,
    /// When an unanswered login gives up.
    pub authorise_by: Timestamp,
}

struct Row {
    consent_id: Uuid,
    grant_id: Uuid,
    state: String,
    text_hash: Vec<u8>,
    asked_until: jiff_sqlx::Date,
    accepted_at: jiff_sqlx::Timestamp,
    authorise_by: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for Renewal {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: "renewal", column };
        let state = State::ALL.into_iter().find(|state| state.word() == row.state);
        Ok(Self {
            consent: ConsentId::from_uuid(row.consent_id),
            grant: GrantId::from_uuid(row.grant_id),
            state: state.ok_or(corrupt("state"))?,
            text_hash: row.text_hash.try_into().map_err(|_| corrupt("text_hash"))?,
            asked_until: row.asked_until.to_jiff(),
            accepted_at: row.accepted_at.to_jiff(),
            authorise_by: row.authorise_by.to_jiff(),
        })
    }
}

/// Begins a renewal in the place of whatever the consent had before.
pub async fn put(tx: &mut TenantTx, renewal: &Renewal) -> Result<(), StoreError> {
    query!(
        "insert into renewal (tenant_id, consent_id, grant_id, state, text_hash, asked_until, accepted_at, authorise_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (tenant_id, consent_id) do update set grant_id = excluded.grant_id, state = excluded.state,
            text_hash = excluded.text_hash, asked_until = excluded.asked_until, accepted_at = excluded.accepted_at,
            authorise_by = excluded.authorise_by",
        tx.id(),
        renewal.consent.uuid(),
        renewal.grant.uuid(),
        renewal.state.word(),
        renewal.text_hash.as_slice(),
        day(renewal.asked_until),
        at(renewal.accepted_at),
        at(renewal.authorise_by)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// The renewal of a consent. Whoever decides by it holds the consent's lock, which every writer of it takes first.
pub async fn of_consent(tx: &mut TenantTx, consent: ConsentId) -> Result<Option<Renewal>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "select consent_id, grant_id, state, text_hash, asked_until, accepted_at, authorise_by from renewal
         where tenant_id = $1 and consent_id = $2",
        tx.id(),
        consent.uuid()
    )
    .fetch_optional(tx.db())
    .await?;
    row.map(Renewal::try_from).transpose()
}

/// Notes how far a renewal has come.
pub async fn set_state(tx: &mut TenantTx, consent: ConsentId, state: State) -> Result<(), StoreError> {
    query!(
        "update renewal set state = $3 where tenant_id = $1 and consent_id = $2",
        tx.id(),
        consent.uuid(),
        state.word()
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Forgets the renewal of a consent.
pub async fn end(tx: &mut TenantTx, consent: ConsentId) -> Result<(), StoreError> {
    query!("delete from renewal where tenant_id = $1 and consent_id = $2", tx.id(), consent.uuid())
        .execute(tx.db())
        .await?;
    Ok(())
}

/// Consents whose renewal nobody came back from, the longest waiting first.
pub async fn overdue(tx: &mut TenantTx, now: Timestamp, limit: u32) -> Result<Vec<ConsentId>, StoreError> {
    let rows = query!(
        "select consent_id from renewal where tenant_id = $1 and state = 'begun' and authorise_by <= $2
         order by authorise_by limit $3",
        tx.id(),
        at(now),
        i64::from(limit)
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| ConsentId::from_uuid(row.consent_id)).collect())
}
