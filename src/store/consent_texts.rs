//! The words that were shown to people, kept once per wording.

use jiff::Timestamp;
use sqlx::query;

use crate::time::at;
use crate::{StoreError, TenantTx};

/// A text as it was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentText {
    /// SHA-256 of the body.
    pub hash: [u8; 32],
    /// Language, BCP 47.
    pub language: String,
    /// The whole text.
    pub body: String,
}

/// Keeps a text; one that is kept already stays as it is.
pub async fn keep(tx: &mut TenantTx, text: &ConsentText, now: Timestamp) -> Result<(), StoreError> {
    query!(
        "insert into consent_text (tenant_id, text_hash, language, body, first_shown_at) values ($1, $2, $3, $4, $5)
         on conflict do nothing",
        tx.id(),
        text.hash.as_slice(),
        text.language,
        text.body,
        at(now)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// The text of a hash.
pub async fn get(tx: &mut TenantTx, hash: &[u8; 32]) -> Result<ConsentText, StoreError> {
    let row = query!(
        "select language, body from consent_text where tenant_id = $1 and text_hash = $2",
        tx.id(),
        hash.as_slice()
    )
    .fetch_optional(tx.db())
    .await?
    .ok_or(StoreError::NotFound("consent text"))?;
    Ok(ConsentText { hash: *hash, language: row.language, body: row.body })
}
