//! `/v1/accounts`: what products read. Every read is logged with its purpose and number of rows, in its own transaction.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::alert::Kind;
use domain::consent::State as ConsentState;
use domain::ids::{ConsentId, LineId, TenantId};
use domain::world::World;
use serde::Deserialize;
use serde_json::json;
use store::lines::{Filter as LineFilter, Held};
use store::transactions::{Cursor, Query as RowQuery};
use store::{TenantTx, balances, lines};
use utoipa::IntoParams;
use vault::DataKey;

use super::auth::{Caller, Presumed, Scope};
use super::body::{AccountBody, BalanceBody, BalanceList, FreshnessBody, Page, TransactionBody, TransactionPage};
use super::cursor::{self, Position};
use super::filters::{self, Filter, TransactionQuery};
use super::query::Query;
use super::reconciliation;
use crate::app::App;
use crate::keys::TenantKeys;
use crate::problem::{ApiError, Problem};
use crate::{evidence_log, watch};

/// Which accounts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AccountQuery {
    /// Under this consent.
    pub consent_id: Option<String>,
}

/// List the accounts that the product may read now.
#[utoipa::path(
    get, path = "/v1/accounts", tag = "accounts", params(AccountQuery),
    responses((status = 200, body = Page<AccountBody>), (status = 401, body = Problem), (status = 422, body = Problem))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<AccountQuery>,
) -> Result<Json<Page<AccountBody>>, ApiError> {
    caller.may(Scope::Data)?;
    let consent = query.consent_id.as_deref().map(str::parse::<ConsentId>).transpose();
    let consent = consent.map_err(|_| ApiError::Invalid { field: "consent_id", why: "is not a consent".to_owned() })?;
    let world = app.world();
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let held = lines::held(&mut tx, caller.product, LineFilter { consent, ..LineFilter::default() }).await?;
    let mut data = Vec::with_capacity(held.len());
    for held in &held {
        if !is_for(&caller, held) {
            refuse(&app, &mut tx, &world, &caller, held, "account").await?;
            continue;
        }
        let key = app.vault.open_key(caller.tenant, &held.line.key)?;
        data.push(account(caller.tenant, held, &key)?);
        disclose(&app, &mut tx, &world, &caller, held, "account", 1).await?;
    }
    tx.commit().await?;
    Ok(Json(Page { data, next_cursor: None }))
}

pub(super) fn account(tenant: TenantId, held: &Held, key: &DataKey) -> Result<AccountBody, ApiError> {
    let details = held.line.details(tenant, key)?;
    Ok(AccountBody {
        id: held.line.id.to_string(),
        institution_id: held.line.institution.to_string(),
        iban: details.iban,
        currency: details.currency,
        name: details.name,
        product: details.product,
        cash_account_type: details.cash_account_type,
        owner_name: details.owner_name,
        freshness: freshness(held),
        reconciliation: reconciliation::of_account(tenant, held, key)?,
    })
}

/// How fresh, and, when it could be fresher, why it is not.
pub(crate) fn freshness(held: &Held) -> FreshnessBody {
    let stored = held.line.freshness;
    let because = match held.state {
        ConsentState::ReauthPending(reason) => Some(format!("reauth_pending: {}", reason.word())),
        ConsentState::Authorized
        | ConsentState::Active
        | ConsentState::Initiated
        | ConsentState::Expired(_)
        | ConsentState::Revoked(_)
        | ConsentState::Failed(_) => {
            held.last_error.clone().or_else(|| held.is_to_be_read.then(|| "first_fetch_running".to_owned()))
        }
    };
    FreshnessBody {
        as_of: stored.transactions_as_of.or(stored.balances_as_of),
        complete_from: stored.complete_from,
        complete_until: stored.complete_until,
        consent_state: held.state.word().to_owned(),
        stale_because: because,
    }
}

/// The line of this id, if the product may read it now; anything else does not exist. A key whose purposes the person did
/// not agree to is refused, and that it tried is logged.
pub(crate) async fn readable(
    app: &App,
    mut tx: TenantTx,
    world: &World<'_>,
    caller: &Caller,
    id: &str,
) -> Result<(TenantTx, Held), ApiError> {
    let line: LineId = id.parse().map_err(|_| ApiError::NotFound("account"))?;
    let filter = LineFilter { line: Some(line), ..LineFilter::default() };
    let held = lines::held(&mut tx, caller.product, filter).await?.pop().ok_or(ApiError::NotFound("account"))?;
    if is_for(caller, &held) {
        return Ok((tx, held));
    }
    Err(refused(app, tx, world, caller, &held).await?)
}

/// The same for somebody with a key of a scope for data that this node has met before. The statement that finds the line
/// finds that the key was not withdrawn; where it finds nothing, the key is looked up anew before anything else is said.
async fn readable_to(
    app: &App,
    world: &World<'_>,
    presumed: Presumed,
    id: &str,
) -> Result<(TenantTx, Caller, Held), ApiError> {
    let mut tx = app.store.tenant_tx(presumed.tenant()).await?;
    let held = match id.parse() {
        Ok(line) => {
            let filter = LineFilter { line: Some(line), key: Some(presumed.key()), ..LineFilter::default() };
            lines::held(&mut tx, presumed.product(), filter).await?.pop()
        }
        Err(_) => None,
    };
    let Some(held) = held else {
        drop(tx);
        presumed.looked_up(app).await?.may(Scope::Data)?;
        return Err(ApiError::NotFound("account"));
    };
    let caller = presumed.confirmed();
    caller.may(Scope::Data)?;
    if is_for(&caller, &held) {
        return Ok((tx, caller, held));
    }
    Err(refused(app, tx, world, &caller, &held).await?)
}

/// Logs that an account was refused for its purpose; what the caller hears.
async fn refused(
    app: &App,
    mut tx: TenantTx,
    world: &World<'_>,
    caller: &Caller,
    held: &Held,
) -> Result<ApiError, ApiError> {
    refuse(app, &mut tx, world, caller, held, "account").await?;
    tx.commit().await?;
    Ok(ApiError::Purpose)
}

/// Whether the person agreed to any purpose that the key is for.
pub(crate) fn is_for(caller: &Caller, held: &Held) -> bool {
    !caller.purposes_of(&held.purposes).is_empty()
}

/// Logs a read that was refused for its purpose.
pub(crate) async fn refuse(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    caller: &Caller,
    held: &Held,
    what: &'static str,
) -> Result<(), ApiError> {
    let body = json!({
        "product": caller.product.to_string(),
        "key": caller.key.to_string(),
        "account": held.line.id.to_string(),
        "what": what,
        "because": "purpose_not_consented",
    });
    evidence_log::record(app, tx, world, held.consent, "data.refused", &body).await?;
    Ok(())
}

/// Refuses a kind of data that the person was not asked about.
pub(crate) fn consented(held: &Held, cluster: &'static str) -> Result<(), ApiError> {
    if held.clusters.iter().any(|given| given == cluster) { Ok(()) } else { Err(ApiError::Cluster(cluster)) }
}

/// Logs what was read, for which of the purposes that the person agreed to.
pub(crate) async fn disclose(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    caller: &Caller,
    held: &Held,
    what: &'static str,
    rows: usize,
) -> Result<(), ApiError> {
    let body = json!({
        "product": caller.product.to_string(),
        "purposes": caller.purposes_of(&held.purposes),
        "key": caller.key.to_string(),
        "account": held.line.id.to_string(),
        "what": what,
        "rows": rows,
    });
    evidence_log::record_under(app, tx, world, (held.consent, held.evidence.as_ref()), "data.disclosed", &body).await?;
    watch::count_in(app, tx, world, (Kind::UnusualReads, &caller.key.to_string()), rows).await?;
    Ok(())
}

/// Read one account.
#[utoipa::path(
    get, path = "/v1/accounts/{id}", tag = "accounts", params(("id" = String, Path)),
    responses((status = 200, body = AccountBody), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<AccountBody>, ApiError> {
    caller.may(Scope::Data)?;
    let world = app.world();
    let tx = app.store.tenant_tx(caller.tenant).await?;
    let (mut tx, held) = readable(&app, tx, &world, &caller, &id).await?;
    let key = app.vault.open_key(caller.tenant, &held.line.key)?;
    let body = account(caller.tenant, &held, &key)?;
    disclose(&app, &mut tx, &world, &caller, &held, "account", 1).await?;
    tx.commit().await?;
    Ok(Json(body))
}

/// Read the latest balances of an account.
#[utoipa::path(
    get, path = "/v1/accounts/{id}/balances", tag = "accounts", params(("id" = String, Path)),
    responses((status = 200, body = BalanceList), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub async fn read_balances(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<BalanceList>, ApiError> {
    caller.may(Scope::Data)?;
    let world = app.world();
    let tx = app.store.tenant_tx(caller.tenant).await?;
    let (mut tx, held) = readable(&app, tx, &world, &caller, &id).await?;
    consented(&held, "balances")?;
    let key = app.vault.open_key(caller.tenant, &held.line.key)?;
    let mut data = Vec::new();
    for row in balances::latest(&mut tx, held.consent, held.line.id).await? {
        data.push(BalanceBody::new(&row.open(caller.tenant, &key)?, row.fetched_at));
    }
    let freshness = freshness(&held);
    disclose(&app, &mut tx, &world, &caller, &held, "balances", data.len()).await?;
    tx.commit().await?;
    Ok(Json(BalanceList { data, freshness }))
}

/// Read transactions of an account, newest first, by pages that new rows never disturb.
#[utoipa::path(
    get, path = "/v1/accounts/{id}/transactions", tag = "accounts", params(("id" = String, Path), TransactionQuery),
    responses(
        (status = 200, body = TransactionPage), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)
    )
)]
pub async fn read_transactions(
    State(app): State<Arc<App>>,
    presumed: Presumed,
    Path(id): Path<String>,
    Query(query): Query<TransactionQuery>,
) -> Result<Response, ApiError> {
    let world = app.world();
    let (mut tx, caller, held) = readable_to(&app, &world, presumed, &id).await?;
    let limit = super::limit(query.limit)?;
    let filter = Filter::of(&query)?;
    consented(&held, "transactions")?;
    let keys = TenantKeys::found(&app, &mut tx, &world, held.lookup.as_ref()).await?;
    let scope = cursor::scope(caller.product, held.line.id);
    let mac = |bytes: &[u8]| keys.mac("cursor", bytes);
    let after = match &query.cursor {
        None => None,
        Some(text) => Some(cursor::decode(text, &scope, mac).ok_or_else(foreign_cursor)?),
    };
    let wanted = RowQuery {
        consent: held.consent,
        line: Some(held.line.id),
        from: query.date_from,
        until: query.date_to,
        after: after.map(|at| Cursor { booking_date: at.day, line: held.line.id, seq: at.seq }),
        limit,
    };
    let key = app.vault.open_key(caller.tenant, &held.line.key)?;
    let page = filters::page(&mut tx, wanted, &filter, &key).await?;
    let data: Vec<_> = page.rows.into_iter().map(|(row, opened)| TransactionBody::new(&row, opened)).collect();
    let next_cursor =
        page.next.map(|next| cursor::encode(&Position { day: next.booking_date, seq: next.seq }, &scope, mac));
    let freshness = freshness(&held);
    let reconciliation = reconciliation::of_account(caller.tenant, &held, &key)?;
    disclose(&app, &mut tx, &world, &caller, &held, "transactions", data.len()).await?;
    tx.commit().await?;
    let rows = data.len();
    super::written(&TransactionPage { data, next_cursor, freshness, reconciliation }, rows)
}

/// A cursor that continues another question, or none.
pub(super) fn foreign_cursor() -> ApiError {
    ApiError::Invalid { field: "cursor", why: "is not one of ours for this question".to_owned() }
}
