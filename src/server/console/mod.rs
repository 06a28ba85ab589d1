//! The operator's console: server-rendered pages for the staff, who sign in at an identity provider.
//!
//! What a role may see and do is the table of [`domain::staff`]; each route names its action and nobody passes without it.
//! This module must never show bank data but for a reason that was put on record first, and never change anything on a GET.
//! Its `GUIDE.md` says how to set it up.

mod access;
mod alerts;
mod audit;
mod banks;
mod consents;
mod data;
mod deletions;
mod deliveries;
mod holds;
mod home;
mod keys;
mod login;
mod page;
pub(crate) mod provider;
mod view;
mod work;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::map_response;
use axum::routing::{get, post};
use domain::limits;
use domain::staff::Action;

use crate::app::App;
use crate::web::headers;
use access::gate;

/// The first page.
const HOME: &str = "/console";
/// Where people sign in.
const LOGIN: &str = "/console/login";
/// Alerts.
const ALERTS: &str = "/console/alerts";
/// Banks.
const BANKS: &str = "/console/banks";
/// Consents.
const CONSENTS: &str = "/console/consents";
/// Erasures.
const DELETIONS: &str = "/console/deletions";
/// Webhooks.
const DELIVERIES: &str = "/console/webhooks";
/// Jobs.
const WORK: &str = "/console/jobs";
/// Certificates and keys.
const KEYS: &str = "/console/keys";
/// The evidence log.
const AUDIT: &str = "/console/evidence";
/// Legal holds.
const HOLDS: &str = "/console/holds";

/// The navigation: where, what it is called, and who sees it.
const PLACES: [(&str, &str, Action); 10] = [
    (HOME, "Now", Action::SeeOverview),
    (ALERTS, "Alerts", Action::SeeAlerts),
    (BANKS, "Banks", Action::SeeBanks),
    (CONSENTS, "Consents", Action::SeeConsents),
    (DELETIONS, "Erasures", Action::SeeDeletions),
    (HOLDS, "Legal holds", Action::SeeHolds),
    (DELIVERIES, "Webhooks", Action::SeeDeliveries),
    (WORK, "Jobs", Action::SeeJobs),
    (KEYS, "Certificates", Action::SeeKeys),
    (AUDIT, "Evidence log", Action::SearchLog),
];

/// The page on which something is seen; none where it is seen on another's page.
fn place_of(action: Action) -> Option<String> {
    PLACES.iter().find(|(_, _, seen)| *seen == action).map(|(href, _, _)| (*href).to_owned())
}

/// Every route of the console.
pub(crate) fn router() -> Router<Arc<App>> {
    let below = |place: &str, rest: &str| format!("{place}/{rest}");
    Router::new()
        .route(LOGIN, get(login::landing).post(login::begin))
        .route(provider::CALLBACK, get(login::callback))
        .route("/console/logout", gate(Action::SeeOverview, post(login::leave)))
        .route(HOME, gate(Action::SeeOverview, get(home::show)))
        .route(ALERTS, gate(Action::SeeAlerts, get(alerts::list)))
        .route(BANKS, gate(Action::SeeBanks, get(banks::list)))
        .route(&below(BANKS, "{registration}"), gate(Action::SeeBanks, get(banks::show)))
        .route(CONSENTS, gate(Action::SeeConsents, get(consents::list)))
        .route(&below(CONSENTS, "find"), gate(Action::FindPerson, post(consents::find).get(consents::back)))
        .route(&below(CONSENTS, "{consent}"), gate(Action::SeeConsents, get(consents::show)))
        .route(&below(CONSENTS, "{consent}/data"), gate(Action::ShowBankData, post(data::show).get(consents::back)))
        .route(DELETIONS, gate(Action::SeeDeletions, get(deletions::list)))
        .route(&below(DELETIONS, "{deletion}/receipt"), gate(Action::ReadEvidence, get(deletions::receipt)))
        .route(DELIVERIES, gate(Action::SeeDeliveries, get(deliveries::list)))
        .route(&below(DELIVERIES, "{endpoint}"), gate(Action::SeeDeliveries, get(deliveries::show)))
        .route(&below(DELIVERIES, "{endpoint}/replay"), gate(Action::ReplayDeliveries, post(deliveries::replay)))
        .route(WORK, gate(Action::SeeJobs, get(work::list)))
        .route(&below(WORK, "{job}/retry"), gate(Action::RetryJob, post(work::retry)))
        .route(KEYS, gate(Action::SeeKeys, get(keys::show)))
        .route(AUDIT, gate(Action::SearchLog, get(audit::ask).post(audit::find)))
        .route(HOLDS, gate(Action::SeeHolds, get(holds::list)).merge(gate(Action::MoveHolds, post(holds::ask))))
        .route(&below(HOLDS, "{hold}"), gate(Action::MoveHolds, post(holds::act)))
        .method_not_allowed_fallback(page::not_allowed)
        .layer(DefaultBodyLimit::max(limits::FORM_BYTES_MAX))
        .layer(map_response(headers::guard))
}
