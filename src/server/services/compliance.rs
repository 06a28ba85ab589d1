//! What a compliance officer asks of the log and of the register of consents. Nothing here reads bank data: the log has
//! none, and rows of accounts are not looked at.

pub mod calls;
pub mod incident;
pub mod report;

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use domain::ids::{ConsentId, InstitutionId, ProductId};
use evidence::Statement;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use store::TenantTx;
use store::compliance::{self as rows, Wanted};
use store::evidence_log::Entry;
use uuid::Uuid;
use vault::DataKey;

use crate::app::App;
use crate::services::{ServiceError, erasure};
use crate::{evidence_log, keys};

/// Entries that one statement reads.
const PAGE: i64 = 1000;
/// Entries that one search gives; more is an error, never a silent cut.
const FOUND_MAX: usize = 200_000;

/// Which entries; every part that is there narrows.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// About this consent.
    pub consent: Option<ConsentId>,
    /// About consents of a person, by a product's own reference.
    pub person: Option<(ProductId, String)>,
    /// About consents at this bank.
    pub institution: Option<InstitutionId>,
    /// Of this kind, or of one below it: `hold` means `hold.placed` too.
    pub kind: Option<String>,
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
}

/// An entry that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Its place in the log.
    pub index: i64,
    /// Its id.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Whose record it is part of: `cns_…`, or `ten_…`.
    pub subject: String,
    /// What happened.
    pub kind: String,
    /// What it says; none once its retention has ended.
    pub body: Option<Value>,
}

/// Searches the log. What was written a moment ago gets its place first.
///
/// # Errors
/// More than 200,000 entries are meant; the person is not known; the database's or the key provider's.
pub async fn search(app: &App, search: &Search) -> Result<Vec<Found>, ServiceError> {
    while evidence_log::sequence(app, app.tenant.id).await? > 0 {}
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let subjects = subjects(app, &mut tx, search).await?;
    let (mut found, mut opened, mut leaf) = (Vec::new(), HashMap::new(), 0);
    loop {
        let page = rows::entries(&mut tx, &search.wanted(subjects.as_deref(), leaf, PAGE)).await?;
        let Some(last) = page.last() else { break };
        leaf = last.index + 1;
        for entry in &page {
            found.push(open(app, &mut tx, &mut opened, entry).await?);
        }
        if found.len() > FOUND_MAX {
            return Err(anyhow::anyhow!("more than {FOUND_MAX} entries are meant: narrow the search").into());
        }
    }
    tx.commit().await?;
    Ok(found)
}

/// The newest entries that are meant, the newest first, at most so many: for those who look at a page, so nothing is opened
/// that it does not show.
///
/// # Errors
/// The person is not known; the database's or the key provider's.
pub async fn newest(app: &App, search: &Search, many: i64) -> Result<Vec<Found>, ServiceError> {
    while evidence_log::sequence(app, app.tenant.id).await? > 0 {}
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let subjects = subjects(app, &mut tx, search).await?;
    let (mut found, mut opened) = (Vec::new(), HashMap::new());
    for entry in rows::newest(&mut tx, &search.wanted(subjects.as_deref(), 0, many)).await? {
        found.push(open(app, &mut tx, &mut opened, &entry).await?);
    }
    tx.commit().await?;
    Ok(found)
}

impl Search {
    fn wanted<'a>(&'a self, subjects: Option<&'a [Uuid]>, leaf: i64, limit: i64) -> Wanted<'a> {
        Wanted { subjects, kind: self.kind.as_deref(), from: self.from, until: self.until, leaf, limit }
    }
}

/// The subjects that are meant; `None`: every one.
async fn subjects(app: &App, tx: &mut TenantTx, search: &Search) -> Result<Option<Vec<Uuid>>, ServiceError> {
    if search.person.is_none() && search.institution.is_none() {
        return Ok(search.consent.map(|consent| vec![consent.uuid()]));
    }
    let psu = match &search.person {
        Some((product, reference)) => Some(erasure::person(app, tx, &app.world(), *product, reference).await?),
        None => None,
    };
    let consents = rows::consents(tx, psu, search.institution.as_ref()).await?;
    let meant = consents.into_iter().filter(|consent| search.consent.is_none_or(|wanted| wanted == *consent));
    Ok(Some(meant.map(ConsentId::uuid).collect()))
}

async fn open(
    app: &App,
    tx: &mut TenantTx,
    opened: &mut HashMap<Uuid, DataKey>,
    entry: &Entry,
) -> Result<Found, ServiceError> {
    let body = if entry.sealed.is_none() {
        None
    } else {
        let key = match opened.entry(entry.subject) {
            Slot::Occupied(known) => known.into_mut(),
            Slot::Vacant(free) => free.insert(keys::of_evidence(app, tx, &app.world(), entry.subject, None).await?),
        };
        let payload = entry.payload(app.tenant.id, key)?;
        let statement = payload.map(|payload| Statement::read(&payload.statement)).transpose();
        statement.map_err(anyhow::Error::new)?.map(|statement| statement.body)
    };
    Ok(Found {
        index: entry.index,
        id: entry.id.to_string(),
        at: entry.recorded_at,
        subject: match evidence_log::subject(app.tenant.id, entry.subject) {
            evidence::Subject::Consent(id) => id.to_string(),
            evidence::Subject::Tenant(id) => id.to_string(),
        },
        kind: entry.kind.clone(),
        body,
    })
}
