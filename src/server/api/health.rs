//! How a bank behaves, as products are told.

use std::collections::BTreeMap;

use domain::ids::InstitutionId;
use jiff::Timestamp;
use serde::Serialize;
use store::bank_health::{Count, Incident};
use utoipa::ToSchema;

/// Successes in a thousand calls below which a capability is called degraded.
const DEGRADED_PER_MILLE: i64 = 950;

/// How a bank behaves.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HealthBody {
    /// Id of the institution.
    pub institution_id: String,
    /// The worst of its capabilities: `up`, `degraded`, `down`; `unknown` where nothing was asked of it for a day.
    pub status: String,
    /// By capability: `accounts`, `authorisation`, `balances`, `consents`, `transactions`.
    pub capabilities: Vec<CapabilityBody>,
    /// Times in which it did not do one thing, the latest first.
    pub incidents: Vec<IncidentBody>,
}

/// How a bank does one thing.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CapabilityBody {
    /// Which.
    pub capability: String,
    /// `up`, `degraded`, `down`.
    pub status: String,
    /// Calls in the last 24 hours.
    pub calls: i64,
    /// Of a thousand calls so many were answered as asked.
    pub ok_per_mille: i64,
    /// Mean time of a call, in milliseconds.
    pub mean_millis: i64,
    /// Calls that failed, by class of error.
    pub errors: BTreeMap<String, i64>,
}

/// A time in which a bank did not do one thing.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct IncidentBody {
    /// Which; `rows` where the bank answers in a form that cannot be read.
    pub capability: String,
    /// From when.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// Until when; absent while it lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closed_at: Option<Timestamp>,
    /// Class of the error that it began with.
    pub cause: String,
}

impl HealthBody {
    /// Of a bank that we do not speak to.
    pub fn unknown(id: &InstitutionId) -> Self {
        Self::of(id, &[], Vec::new())
    }

    /// What counts and incidents say.
    pub fn of(id: &InstitutionId, counts: &[Count], incidents: Vec<Incident>) -> Self {
        let mut by_capability: BTreeMap<&str, Vec<&Count>> = BTreeMap::new();
        for count in counts {
            by_capability.entry(&count.capability).or_default().push(count);
        }
        let down = |capability: &str| {
            incidents.iter().any(|incident| incident.capability == capability && incident.closed_at.is_none())
        };
        let capabilities: Vec<_> = by_capability
            .into_iter()
            .map(|(capability, counts)| CapabilityBody::of(capability, &counts, down(capability)))
            .collect();
        let worst =
            ["down", "degraded", "up"].into_iter().find(|word| capabilities.iter().any(|one| one.status == *word));
        let incidents = incidents.into_iter().map(|incident| IncidentBody {
            capability: incident.capability,
            opened_at: incident.opened_at,
            closed_at: incident.closed_at,
            cause: incident.cause,
        });
        Self {
            institution_id: id.to_string(),
            status: worst.unwrap_or("unknown").to_owned(),
            capabilities,
            incidents: incidents.collect(),
        }
    }
}

impl CapabilityBody {
    fn of(capability: &str, counts: &[&Count], down: bool) -> Self {
        let calls: i64 = counts.iter().map(|count| count.calls).sum();
        let ok: i64 = counts.iter().filter(|count| count.outcome == "ok").map(|count| count.calls).sum();
        let millis: i64 = counts.iter().map(|count| count.millis).sum();
        let mut errors = BTreeMap::new();
        for count in counts.iter().filter(|count| count.outcome != "ok") {
            *errors.entry(count.outcome.clone()).or_default() += count.calls;
        }
        let ok_per_mille = (ok * 1000).checked_div(calls).unwrap_or_default();
        let status = match (down, ok_per_mille >= DEGRADED_PER_MILLE) {
            (true, _) => "down",
            (false, true) => "up",
            (false, false) => "degraded",
        };
        Self {
            capability: capability.to_owned(),
            status: status.to_owned(),
            calls,
            ok_per_mille,
            mean_millis: millis.checked_div(calls).unwrap_or_default(),
            errors,
        }
    }
}
