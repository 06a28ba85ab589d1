//! Browsers: in which of them a grant was authorised. Only the SHA-256 of a cookie is stored.
//!
//! People share browsers, so this hints at who a person is and proves nothing.

use domain::ids::GrantId;
use sqlx::query;

use crate::{StoreError, TenantTx};

/// Notes that a grant is being authorised in a browser, and the hash of the text that was shown there about others.
pub async fn note(
    tx: &mut TenantTx,
    browser: &[u8; 32],
    grant: GrantId,
    shown: Option<&[u8; 32]>,
) -> Result<(), StoreError> {
    query!(
        "insert into browser_grant (tenant_id, browser_hash, grant_id, shown_hash) values ($1, $2, $3, $4)
         on conflict (tenant_id, browser_hash, grant_id) do update set shown_hash = excluded.shown_hash",
        tx.id(),
        browser.as_slice(),
        grant.uuid(),
        shown.map(|hash| hash.as_slice())
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// The hash of the text that was shown about others before a grant was authorised; `None` where there was nothing to show.
pub async fn shown(tx: &mut TenantTx, grant: GrantId) -> Result<Option<[u8; 32]>, StoreError> {
    let row = query!(
        r#"select shown_hash as "shown_hash!" from browser_grant
           where tenant_id = $1 and grant_id = $2 and shown_hash is not null limit 1"#,
        tx.id(),
        grant.uuid()
    )
    .fetch_optional(tx.db())
    .await?;
    let corrupt = StoreError::Corrupt { table: "browser_grant", column: "shown_hash" };
    row.map(|row| row.shown_hash.try_into().map_err(|_| corrupt)).transpose()
}

/// The grants of a browser that are not over, newest first.
pub async fn grants(tx: &mut TenantTx, browser: &[u8; 32]) -> Result<Vec<GrantId>, StoreError> {
    let rows = query!(
        "select b.grant_id from browser_grant b
         join bank_grant g on g.tenant_id = b.tenant_id and g.grant_id = b.grant_id
         where b.tenant_id = $1 and b.browser_hash = $2 and g.ended_at is null order by b.grant_id desc",
        tx.id(),
        browser.as_slice()
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| GrantId::from_uuid(row.grant_id)).collect())
}

/// The other grants of the browsers in which a grant was authorised, as far as they are not over, newest first.
pub async fn beside(tx: &mut TenantTx, grant: GrantId) -> Result<Vec<GrantId>, StoreError> {
    let rows = query!(
        "select distinct b.grant_id from browser_grant own
         join browser_grant b on b.tenant_id = own.tenant_id and b.browser_hash = own.browser_hash
         join bank_grant g on g.tenant_id = b.tenant_id and g.grant_id = b.grant_id
         where own.tenant_id = $1 and own.grant_id = $2 and b.grant_id <> $2 and g.ended_at is null
         order by b.grant_id desc",
        tx.id(),
        grant.uuid()
    )
    .fetch_all(tx.db())
    .await?;
    Ok(rows.into_iter().map(|row| GrantId::from_uuid(row.grant_id)).collect())
}
