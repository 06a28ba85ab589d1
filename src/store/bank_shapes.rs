//! Of which members a bank's rows consist. All nodes share it.

use jiff::Timestamp;
use sqlx::query;

use crate::bank_health::Service;
use crate::time::{at, read};
use crate::{StoreError, TenantTx};

/// Members of rows that were never seen before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// Their paths.
    pub paths: Vec<String>,
    /// Since when members of this bank's rows are known; absent where these are the first.
    pub known_since: Option<Timestamp>,
}

/// Takes note of members, and gives those that are new.
pub async fn seen(tx: &mut TenantTx, service: &Service, paths: &[String], now: Timestamp) -> Result<News, StoreError> {
    let (registration, capability) = (service.registration.as_str(), service.capability);
    let known = query!(
        r#"select path as "path!" from unnest($3::text[]) as p(path)
           where not exists (select from bank_shape s
             where s.registration_id = $1 and s.capability = $2 and s.path = p.path)"#,
        registration,
        capability,
        paths
    )
    .fetch_all(tx.db())
    .await?;
    let paths: Vec<String> = known.into_iter().map(|row| row.path).collect();
    if paths.is_empty() {
        return Ok(News::default());
    }
    let first = query!(
        r#"select min(first_seen) as "first: jiff_sqlx::Timestamp" from bank_shape
           where registration_id = $1 and capability = $2"#,
        registration,
        capability
    )
    .fetch_one(tx.db())
    .await?;
    query!(
        "insert into bank_shape (registration_id, capability, path, first_seen)
         select $1, $2, path, $4 from unnest($3::text[]) as p(path) on conflict do nothing",
        registration,
        capability,
        &paths,
        at(now) as _
    )
    .execute(tx.db())
    .await?;
    Ok(News { paths, known_since: read(first.first) })
}
