//! What we know of an incident, for whoever has to tell an authority: clocks, banks, consents, time line. People classify
//! and write; this gives them facts that they would otherwise collect by hand.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::InstitutionId;
use domain::incident::{Facts, clocks};
use jiff::Timestamp;
use serde_json::{Value, json};
use store::{bank_health, consents};

use super::{Found, Search, search};
use crate::app::App;
use crate::services::ServiceError;

/// Kinds of entry that are too many to be told one by one.
const COUNTED: [&str; 4] = ["bank.call", "data.disclosed", "data.fetched", "data.refused"];

/// What the incident is about.
#[derive(Debug, Clone)]
pub struct About {
    /// When it began.
    pub from: Timestamp,
    /// When it ended, or the present.
    pub until: Timestamp,
    /// One bank alone.
    pub institution: Option<InstitutionId>,
    /// For the clocks.
    pub facts: Facts,
}

/// Collects what is known.
///
/// # Errors
/// The database's or the key provider's.
pub async fn export(app: &App, about: &About) -> Result<Value, ServiceError> {
    let wanted = Search {
        institution: about.institution.clone(),
        from: Some(about.from),
        until: Some(about.until),
        ..Search::default()
    };
    let found = search(app, &wanted).await?;
    let due = clocks(&about.facts);
    let subjects: BTreeSet<&str> =
        found.iter().map(|entry| entry.subject.as_str()).filter(|subject| subject.starts_with("cns_")).collect();
    let failed: BTreeSet<&str> =
        found.iter().filter(|entry| failed(entry)).map(|entry| entry.subject.as_str()).collect();
    let counted = |entry: &&Found| COUNTED.contains(&entry.kind.as_str());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in found.iter().filter(counted) {
        *counts.entry(entry.kind.as_str()).or_default() += 1;
    }
    let line: Vec<Value> = found
        .iter()
        .filter(|entry| !counted(entry))
        .map(|entry| json!({ "at": entry.at, "kind": entry.kind, "subject": entry.subject, "entry": entry.id }))
        .collect();
    Ok(json!({
        "format": "tributary.incident/1",
        "tenant": app.tenant.name,
        "from": about.from,
        "until": about.until,
        "clocks": {
            "aware_at": about.facts.aware_at,
            "classified_as_major_at": about.facts.classified_at,
            "dora_initial_notification_sent_at": about.facts.initial_sent_at,
            "dora_intermediate_report_sent_at": about.facts.intermediate_sent_at,
            "dora_initial_notification_due": due.initial,
            "dora_intermediate_report_due": due.intermediate,
            "dora_final_report_due": due.last,
            "gdpr_breach_notification_due": due.breach,
        },
        "affected": {
            "persons": persons(app, &subjects).await?,
            "consents": subjects.len(),
            "consents_with_failed_calls": failed,
            "disclosures": counts.get("data.disclosed").copied().unwrap_or(0),
        },
        "banks": banks(app, about).await?,
        "counts": counts,
        "time_line": line,
        "limits": "Facts of this installation alone. Clocks that begin with a report are computed from its last moment. \
            Classification, cause and cure are for people to write.",
    }))
}

/// Whether an entry is a call that failed.
fn failed(entry: &Found) -> bool {
    let outcome = entry.body.as_ref().and_then(|body| body.get("outcome")?.as_str());
    entry.kind == "bank.call" && outcome.is_some_and(|outcome| outcome != "ok" && outcome != "nonce_wanted")
}

/// How many people the consents belong to.
async fn persons(app: &App, subjects: &BTreeSet<&str>) -> Result<usize, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let mut persons = BTreeSet::new();
    for subject in subjects {
        if let Ok(id) = subject.parse() {
            persons.insert(consents::get(&mut tx, id).await?.psu);
        }
    }
    tx.commit().await?;
    Ok(persons.len())
}

/// What was measured of each bank in the time.
async fn banks(app: &App, about: &About) -> Result<Vec<Value>, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let mut told = Vec::new();
    for connection in app.connections.all() {
        if about.institution.as_ref().is_some_and(|wanted| *wanted != connection.institution) {
            continue;
        }
        let incidents = bank_health::incidents(&mut tx, &connection.id, about.from).await?;
        let in_time = incidents.into_iter().filter(|incident| incident.opened_at < about.until);
        let incidents: Vec<Value> = in_time
            .map(|incident| {
                json!({ "capability": incident.capability, "opened_at": incident.opened_at,
                    "closed_at": incident.closed_at, "cause": incident.cause })
            })
            .collect();
        told.push(json!({ "institution": connection.institution.as_str(), "registration": connection.id.as_str(),
            "incidents": incidents }));
    }
    tx.commit().await?;
    Ok(told)
}
