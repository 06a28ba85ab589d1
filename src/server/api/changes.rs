//! What happened to transactions since a product last asked: of one account, or of all that it may read.
//!
//! The numbers of changes belong to accounts, so the cursor of all accounts carries one number of each: it needs nothing
//! stored, and an account that comes later is told from its beginning.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use domain::ids::{ConsentId, LineId};
use serde::Deserialize;
use store::lines::{Filter as LineFilter, Held};
use store::transactions::{self, Change};
use store::{TenantTx, lines, psus};
use utoipa::IntoParams;
use vault::DataKey;

use super::accounts::{consented, disclose, foreign_cursor, freshness, is_for, readable};
use super::auth::{Caller, Scope};
use super::body::{AllChangePage, ChangeBody, ChangePage, StandingBody, TransactionBody};
use super::cursor;
use super::query::Query;
use super::reconciliation;
use crate::app::App;
use crate::keys::TenantKeys;
use crate::problem::{ApiError, Problem};

/// Accounts that one cursor covers: it carries 32 characters of each, and addresses have an end.
const ACCOUNTS_MAX: usize = 200;

/// Since when, and how many.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ChangeQuery {
    /// The `next_cursor` of the answer before; left out, everything is told from the beginning.
    pub cursor: Option<String>,
    /// At most so many, 1 to 500; 100 by default.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
}

/// Read what was added, modified and removed in an account since the last time, by a cursor that never ends.
#[utoipa::path(
    get, path = "/v1/accounts/{id}/transactions/changes", tag = "accounts", params(("id" = String, Path), ChangeQuery),
    responses(
        (status = 200, body = ChangePage), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem)
    )
)]
pub async fn read_changes(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ChangeQuery>,
) -> Result<Json<ChangePage>, ApiError> {
    caller.may(Scope::Data)?;
    let limit = super::limit(query.limit)?;
    let world = app.world();
    let tx = app.store.tenant_tx(caller.tenant).await?;
    let (mut tx, held) = readable(&app, tx, &world, &caller, &id).await?;
    consented(&held, "transactions")?;
    let keys = TenantKeys::lookup(&app, &mut tx, &world).await?;
    let scope = cursor::scope(caller.product, held.line.id);
    let mac = |bytes: &[u8]| keys.mac("cursor", bytes);
    let after = match &query.cursor {
        None => 0,
        Some(text) => cursor::decode_change(text, &scope, mac).ok_or_else(foreign_cursor)?,
    };
    let changes = transactions::changes(&mut tx, (held.consent, held.line.id), after, limit).await?;
    let key = app.vault.open_key(caller.tenant, &held.line.key)?;
    let data = bodies(&caller, &held, &key, &changes.changes)?;
    let freshness = freshness(&held);
    let reconciliation = reconciliation::of_account(caller.tenant, &held, &key)?;
    disclose(&app, &mut tx, &world, &caller, &held, "transactions", data.len()).await?;
    tx.commit().await?;
    let next_cursor = cursor::encode_change(changes.until, &scope, mac);
    Ok(Json(ChangePage { data, next_cursor, has_more: changes.more, freshness, reconciliation }))
}

/// Since when, how many and of which accounts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AllChangeQuery {
    /// The `next_cursor` of the answer before; left out, everything is told from the beginning.
    pub cursor: Option<String>,
    /// At most so many, 1 to 500; 100 by default.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    /// Of the accounts under this consent.
    pub consent_id: Option<String>,
    /// Of the accounts of this person.
    pub psu_ref: Option<String>,
}

/// Read what was added, modified and removed in all accounts that the product may read, by a cursor that never ends. It
/// covers 200 accounts; a product with more asks by person or by consent. An account that the product may no longer read
/// is told no more; one that it may read again is told from the beginning.
#[utoipa::path(
    get, path = "/v1/transactions/changes", tag = "accounts", params(AllChangeQuery),
    responses((status = 200, body = AllChangePage), (status = 401, body = Problem), (status = 422, body = Problem))
)]
pub async fn read_all_changes(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<AllChangeQuery>,
) -> Result<Json<AllChangePage>, ApiError> {
    caller.may(Scope::Data)?;
    let limit = super::limit(query.limit)?;
    let world = app.world();
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let keys = TenantKeys::lookup(&app, &mut tx, &world).await?;
    let asked = [query.consent_id.as_deref(), query.psu_ref.as_deref()].map(Option::unwrap_or_default).join("|");
    let scope = [caller.product.uuid().as_bytes().as_slice(), asked.as_bytes()].concat();
    let mac = |bytes: &[u8]| keys.mac("cursor", bytes);
    let known: HashMap<LineId, i64> = match &query.cursor {
        None => HashMap::new(),
        Some(text) => cursor::decode_positions(text, &scope, mac).ok_or_else(foreign_cursor)?.into_iter().collect(),
    };
    let accounts = accounts(&mut tx, &caller, &query, &keys).await?;
    let (mut data, mut positions, mut standing, mut more) = (Vec::new(), Vec::new(), BTreeMap::new(), false);
    for held in &accounts {
        let after = known.get(&held.line.id).copied().unwrap_or(0);
        let room = limit.saturating_sub(u32::try_from(data.len()).unwrap_or(u32::MAX));
        if room == 0 {
            more = true;
            positions.push((held.line.id, after));
            continue;
        }
        let changes = transactions::changes(&mut tx, (held.consent, held.line.id), after, room).await?;
        let key = app.vault.open_key(caller.tenant, &held.line.key)?;
        if !changes.changes.is_empty() {
            data.extend(bodies(&caller, held, &key, &changes.changes)?);
            disclose(&app, &mut tx, &world, &caller, held, "transactions", changes.changes.len()).await?;
        }
        more |= changes.more;
        positions.push((held.line.id, changes.until));
        let freshness = freshness(held);
        let reconciliation = reconciliation::of_account(caller.tenant, held, &key)?;
        standing.insert(held.line.id.to_string(), StandingBody { freshness, reconciliation });
    }
    tx.commit().await?;
    let next_cursor = cursor::encode_positions(&positions, &scope, mac);
    Ok(Json(AllChangePage { data, next_cursor, has_more: more, accounts: standing }))
}

/// The accounts whose transactions the caller may read for its purposes.
async fn accounts(
    tx: &mut TenantTx,
    caller: &Caller,
    query: &AllChangeQuery,
    keys: &TenantKeys,
) -> Result<Vec<Held>, ApiError> {
    let consent = query.consent_id.as_deref().map(str::parse::<ConsentId>).transpose();
    let consent = consent.map_err(|_| ApiError::Invalid { field: "consent_id", why: "is not a consent".to_owned() })?;
    let psu = match &query.psu_ref {
        None => None,
        Some(reference) => match psus::find(tx, caller.product, &keys.mac("psu.ref", reference.as_bytes())).await? {
            None => return Ok(Vec::new()),
            found => found,
        },
    };
    let mut accounts = Vec::new();
    for held in lines::held(tx, caller.product, LineFilter { consent, psu, ..LineFilter::default() }).await? {
        if consented(&held, "transactions").is_ok() && is_for(caller, &held) {
            accounts.push(held);
        }
    }
    if accounts.len() > ACCOUNTS_MAX {
        let why = format!("is missing: more than {} accounts have no cursor in common", ACCOUNTS_MAX);
        return Err(ApiError::Invalid { field: "psu_ref", why });
    }
    Ok(accounts)
}

fn bodies(caller: &Caller, held: &Held, key: &DataKey, changes: &[Change]) -> Result<Vec<ChangeBody>, ApiError> {
    let body = |change: &Change| {
        let (kind, id, row) = match change {
            Change::Added(row) => ("added", row.id, Some(row)),
            Change::Modified(row) => ("modified", row.id, Some(row)),
            Change::Removed(id) => ("removed", *id, None),
        };
        let transaction = match row {
            Some(row) => Some(TransactionBody::new(row, row.open_shared(caller.tenant, key)?)),
            None => None,
        };
        Ok(ChangeBody { kind, id: id.to_string(), account_id: held.line.id.to_string(), transaction })
    };
    changes.iter().map(body).collect()
}
