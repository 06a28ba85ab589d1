//! Of which members a bank's rows consist. All nodes share it.

use jiff::Timestamp;
use sqlx::query;

use crate::bank_health::Service;
use crate::time::{at, read};
use crate::{StoreError, TenantTx};

/// Members of one bank's rows that are told apart. A bank has some sixty; more is no schema, and nothing that is worth noting.
const MEMBERS_MAX: i64 = 500;

/// Members of rows that were never seen before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct News {
    /// How many.
    pub members: usize,
    /// Since when members of this bank's rows are known; absent where these are the first.
    pub known_since: Option<Timestamp>,
}

/// Takes note of members by their digests, and says what is new.
pub async fn seen(
    tx: &mut TenantTx,
    service: &Service,
    members: &[Vec<u8>],
    now: Timestamp,
) -> Result<News, StoreError> {
    let (registration, capability) = (service.registration.as_str(), service.capability);
    let unknown = query!(
        r#"select member as "member!" from unnest($3::bytea[]) as m(member)
           where not exists (select from bank_shape s
             where s.registration_id = $1 and s.capability = $2 and s.member = m.member)"#,
        registration,
        capability,
        members
    )
    .fetch_all(tx.db())
    .await?;
    if unknown.is_empty() {
        return Ok(News::default());
    }
    let known = query!(
        r#"select count(*) as "members!", min(first_seen) as "first: jiff_sqlx::Timestamp" from bank_shape
           where registration_id = $1 and capability = $2"#,
        registration,
        capability
    )
    .fetch_one(tx.db())
    .await?;
    if known.members >= MEMBERS_MAX {
        return Ok(News::default());
    }
    let mut unknown: Vec<Vec<u8>> = unknown.into_iter().map(|row| row.member).collect();
    // In one order, so that two readings do not wait for each other.
    unknown.sort_unstable();
    query!(
        "insert into bank_shape (registration_id, capability, member, first_seen)
         select $1, $2, member, $4 from unnest($3::bytea[]) as m(member) on conflict do nothing",
        registration,
        capability,
        &unknown,
        at(now) as _
    )
    .execute(tx.db())
    .await?;
    Ok(News { members: unknown.len(), known_since: read(known.first) })
}
