//! Agreements and requisitions: how clients of GoCardless Bank Account Data ask for a consent.

use domain::ids::{ConsentId, InstitutionId, ProductId};
use jiff::Timestamp;
use sqlx::{query, query_as};
use uuid::Uuid;

use crate::time::{at, read};
use crate::{StoreError, TenantTx};

/// What a product intends to ask of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// Its id.
    pub id: Uuid,
    /// Who asks.
    pub product: ProductId,
    /// At which bank.
    pub institution: InstitutionId,
    /// Days of history that are shown.
    pub max_historical_days: i32,
    /// Days that the consent shall last.
    pub access_valid_for_days: i32,
    /// `balances`, `details`, `transactions`.
    pub access_scope: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the person accepted the consent that was asked for with it.
    pub accepted_at: Option<Timestamp>,
    /// That consent.
    pub consent: Option<ConsentId>,
}

/// A consent that was asked for with an agreement. Its id on the wire is the consent's.
#[derive(Clone, PartialEq, Eq)]
pub struct Requisition {
    /// The consent.
    pub consent: ConsentId,
    /// Who asks.
    pub product: ProductId,
    /// With which agreement.
    pub agreement: Uuid,
    /// The product's own reference ([`Place::requisition`](crate::sealed::Place::requisition)); gone with the data.
    pub sealed_reference: Option<Vec<u8>>,
    /// Language that the product wished for its pages.
    pub user_language: Option<String>,
    /// Whether the person goes back before the first data are there.
    pub redirect_immediate: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether the person has opened its link.
    pub begun: bool,
}

struct AgreementRow {
    agreement_id: Uuid,
    product_id: Uuid,
    institution_id: String,
    max_historical_days: i32,
    access_valid_for_days: i32,
    access_scope: Vec<String>,
    created_at: jiff_sqlx::Timestamp,
    accepted_at: Option<jiff_sqlx::Timestamp>,
    consent_id: Option<Uuid>,
}

impl TryFrom<AgreementRow> for Agreement {
    type Error = StoreError;

    fn try_from(row: AgreementRow) -> Result<Self, StoreError> {
        let institution = InstitutionId::new(&row.institution_id)
            .ok_or(StoreError::Corrupt { table: "agreement", column: "institution_id" })?;
        Ok(Self {
            id: row.agreement_id,
            product: ProductId::from_uuid(row.product_id),
            institution,
            max_historical_days: row.max_historical_days,
            access_valid_for_days: row.access_valid_for_days,
            access_scope: row.access_scope,
            created_at: row.created_at.to_jiff(),
            accepted_at: read(row.accepted_at),
            consent: row.consent_id.map(ConsentId::from_uuid),
        })
    }
}

/// A select of agreements with what became of them; the tail says which.
macro_rules! agreements {
    ($tail:tt $(, $arg:expr)*) => {
        query_as!(
            AgreementRow,
            "select a.agreement_id, a.product_id, a.institution_id, a.max_historical_days, a.access_valid_for_days, \
             a.access_scope, a.created_at, c.accepted_at as \"accepted_at?\", r.consent_id as \"consent_id?\" \
             from agreement a \
             left join requisition r on r.tenant_id = a.tenant_id and r.agreement_id = a.agreement_id \
             left join consent c on c.tenant_id = r.tenant_id and c.consent_id = r.consent_id " + $tail
            $(, $arg)*
        )
    };
}

/// Adds an agreement.
pub async fn add_agreement(tx: &mut TenantTx, agreement: &Agreement) -> Result<(), StoreError> {
    query!(
        "insert into agreement (tenant_id, agreement_id, product_id, institution_id, max_historical_days,
            access_valid_for_days, access_scope, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        tx.id(),
        agreement.id,
        agreement.product.uuid(),
        agreement.institution.as_str(),
        agreement.max_historical_days,
        agreement.access_valid_for_days,
        &agreement.access_scope,
        at(agreement.created_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// An agreement of a product that was not deleted.
pub async fn agreement(tx: &mut TenantTx, product: ProductId, id: Uuid) -> Result<Agreement, StoreError> {
    agreements!(
        "where a.tenant_id = $1 and a.product_id = $2 and a.agreement_id = $3 and a.deleted_at is null",
        tx.id(),
        product.uuid(),
        id
    )
    .fetch_optional(tx.db())
    .await?
    .ok_or(StoreError::NotFound("agreement"))?
    .try_into()
}

/// The agreements of a product, newest first: `limit` of them behind the first `offset`, and how many there are in all.
pub async fn agreements(
    tx: &mut TenantTx,
    product: ProductId,
    limit: i64,
    offset: i64,
) -> Result<(i64, Vec<Agreement>), StoreError> {
    let rows = agreements!(
        "where a.tenant_id = $1 and a.product_id = $2 and a.deleted_at is null \
         order by a.agreement_id desc limit $3 offset $4",
        tx.id(),
        product.uuid(),
        limit,
        offset
    )
    .fetch_all(tx.db())
    .await?;
    let count = query!(
        r#"select count(*) as "count!" from agreement
         where tenant_id = $1 and product_id = $2 and deleted_at is null"#,
        tx.id(),
        product.uuid()
    )
    .fetch_one(tx.db())
    .await?
    .count;
    Ok((count, rows.into_iter().map(Agreement::try_from).collect::<Result<_, _>>()?))
}

/// Takes an agreement out of the product's sight.
pub async fn delete_agreement(tx: &mut TenantTx, id: Uuid, now: Timestamp) -> Result<(), StoreError> {
    query!(
        "update agreement set deleted_at = coalesce(deleted_at, $3) where tenant_id = $1 and agreement_id = $2",
        tx.id(),
        id,
        at(now)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

struct RequisitionRow {
    consent_id: Uuid,
    product_id: Uuid,
    agreement_id: Uuid,
    sealed_reference: Option<Vec<u8>>,
    user_language: Option<String>,
    redirect_immediate: bool,
    created_at: jiff_sqlx::Timestamp,
    begun: bool,
}

impl From<RequisitionRow> for Requisition {
    fn from(row: RequisitionRow) -> Self {
        Self {
            consent: ConsentId::from_uuid(row.consent_id),
            product: ProductId::from_uuid(row.product_id),
            agreement: row.agreement_id,
            sealed_reference: row.sealed_reference,
            user_language: row.user_language,
            redirect_immediate: row.redirect_immediate,
            created_at: row.created_at.to_jiff(),
            begun: row.begun,
        }
    }
}

/// A select of requisitions; the tail says which.
macro_rules! requisitions {
    ($tail:tt $(, $arg:expr)*) => {
        query_as!(
            RequisitionRow,
            "select r.consent_id, r.product_id, r.agreement_id, r.sealed_reference, r.user_language, \
             r.redirect_immediate, r.created_at, \
             exists (select from link l where l.tenant_id = r.tenant_id and l.consent_id = r.consent_id \
                and l.used_at is not null) as \"begun!\" \
             from requisition r " + $tail
            $(, $arg)*
        )
    };
}

/// Adds a requisition. `reference_tag` is the MAC of its reference under the tenant's lookup key; one that the product
/// has used before, or an agreement that it has, is [`StoreError::Exists`].
pub async fn add(tx: &mut TenantTx, requisition: &Requisition, reference_tag: &[u8; 32]) -> Result<(), StoreError> {
    query!(
        "insert into requisition (tenant_id, consent_id, product_id, agreement_id, reference_tag, sealed_reference,
            user_language, redirect_immediate, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        tx.id(),
        requisition.consent.uuid(),
        requisition.product.uuid(),
        requisition.agreement,
        reference_tag.as_slice(),
        requisition.sealed_reference.as_deref(),
        requisition.user_language.as_deref(),
        requisition.redirect_immediate,
        at(requisition.created_at)
    )
    .execute(tx.db())
    .await?;
    Ok(())
}

/// Whether a product has used a reference before.
pub async fn knows(tx: &mut TenantTx, product: ProductId, reference_tag: &[u8; 32]) -> Result<bool, StoreError> {
    let row = query!(
        "select 1 as one from requisition where tenant_id = $1 and product_id = $2 and reference_tag = $3",
        tx.id(),
        product.uuid(),
        reference_tag.as_slice()
    )
    .fetch_optional(tx.db())
    .await?;
    Ok(row.is_some())
}

/// The requisition of a consent, deleted or not; `None` for a consent that was asked for otherwise.
pub async fn of_consent(tx: &mut TenantTx, consent: ConsentId) -> Result<Option<Requisition>, StoreError> {
    let row = requisitions!("where r.tenant_id = $1 and r.consent_id = $2", tx.id(), consent.uuid())
        .fetch_optional(tx.db())
        .await?;
    Ok(row.map(Requisition::from))
}

/// A requisition of a product that was not deleted.
pub async fn get(tx: &mut TenantTx, product: ProductId, consent: ConsentId) -> Result<Requisition, StoreError> {
    let row = requisitions!(
        "where r.tenant_id = $1 and r.product_id = $2 and r.consent_id = $3 and r.deleted_at is null",
        tx.id(),
        product.uuid(),
        consent.uuid()
    )
    .fetch_optional(tx.db())
    .await?;
    row.map(Requisition::from).ok_or(StoreError::NotFound("requisition"))
}

/// The requisitions of a product, newest first: `limit` of them behind the first `offset`, and how many there are in all.
pub async fn page(
    tx: &mut TenantTx,
    product: ProductId,
    limit: i64,
    offset: i64,
) -> Result<(i64, Vec<Requisition>), StoreError> {
    let rows = requisitions!(
        "where r.tenant_id = $1 and r.product_id = $2 and r.deleted_at is null \
         order by r.consent_id desc limit $3 offset $4",
        tx.id(),
        product.uuid(),
        limit,
        offset
    )
    .fetch_all(tx.db())
    .await?;
    let count = query!(
        r#"select count(*) as "count!" from requisition
         where tenant_id = $1 and product_id = $2 and deleted_at is null"#,
        tx.id(),
        product.uuid()
    )
    .fetch_one(tx.db())
    .await?
    .count;
    Ok((count, rows.into_iter().map(Requisition::from).collect()))
}

/// Takes a requisition and its agreement out of the product's sight.
pub async fn delete(tx: &mut TenantTx, requisition: &Requisition, now: Timestamp) -> Result<(), StoreError> {
    query!(
        "update requisition set deleted_at = coalesce(deleted_at, $3) where tenant_id = $1 and consent_id = $2",
        tx.id(),
        requisition.consent.uuid(),
        at(now)
    )
    .execute(tx.db())
    .await?;
    delete_agreement(tx, requisition.agreement, now).await
}
