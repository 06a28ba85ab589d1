//! Notices in writing that persons were owed, and what became of them.

use domain::ids::{ConsentId, NoticeId};
use domain::notice::Kind;
use jiff::Timestamp;
use sqlx::query;

use crate::time::{at, read};
use crate::{StoreError, TenantTx};

/// A notice as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its id.
    pub id: NoticeId,
    /// What it is about.
    pub consent: ConsentId,
    /// Its kind.
    pub kind: Kind,
    /// The language that it was written in.
    pub language: String,
    /// Template and version that it was made from.
    pub template: String,
    /// SHA-256 of its words.
    pub text_hash: [u8; 32],
    /// Whether it reached the person; `None`: nobody has said yet.
    pub delivered: Option<bool>,
    /// How it was handed over.
    pub channel: Option<String>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When its outcome was told.
    pub settled_at: Option<Timestamp>,
}

/// Adds a notice that is to be handed over.
pub async fn insert(tx: &mut TenantTx, notice: &Notice) -> Result<(), StoreError> {
    query!(
        "insert into notice (tenant_id, notice_id, consent_id, kind, language, template, text_hash, state, requested_at)
         values ($1, $2, $3, $4, $5, $6, $7, 'requested', $8)",
        tx.id(),
        notice.id.uuid(),
        notice.consent.uuid(),
        notice.kind.word(),
        notice.language,
        notice.template,
        notice.text_hash.as_slice(),
        at(notice.requested_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Notices about a consent, newest first; of one id, if it is given.
pub async fn of_consent(
    tx: &mut TenantTx,
    consent: ConsentId,
    id: Option<NoticeId>,
) -> Result<Vec<Notice>, StoreError> {
    let rows = query!(
        "select notice_id, kind, language, template, text_hash, state, channel, requested_at, settled_at from notice
         where tenant_id = $1 and consent_id = $2 and ($3::uuid is null or notice_id = $3)
         order by requested_at desc, notice_id desc",
        tx.id(),
        consent.uuid(),
        id.map(NoticeId::uuid)
    )
    .fetch_all(tx.db())
    .await?;
    let corrupt = |column| StoreError::Corrupt { table: "notice", column };
    rows.into_iter()
        .map(|row| {
            Ok(Notice {
                id: NoticeId::from_uuid(row.notice_id),
                consent,
                kind: Kind::parse(&row.kind).ok_or(corrupt("kind"))?,
                language: row.language,
                template: row.template,
                text_hash: row.text_hash.try_into().map_err(|_| corrupt("text_hash"))?,
                delivered: (row.state != "requested").then(|| row.state == "delivered"),
                channel: row.channel,
                requested_at: row.requested_at.to_jiff(),
                settled_at: read(row.settled_at),
            })
        })
        .collect()
}

/// Notes what became of a notice. The first word stands; gives whether it was this one.
pub async fn settle(
    tx: &mut TenantTx,
    id: NoticeId,
    delivered: bool,
    channel: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = query!(
        "update notice set state = $3, channel = $4, settled_at = $5
         where tenant_id = $1 and notice_id = $2 and state = 'requested'",
        tx.id(),
        id.uuid(),
        if delivered { "delivered" } else { "failed" },
        channel,
        at(now)
    )
    .execute(tx.db())
    .await?;
    Ok(done.rows_affected() == 1)
}
