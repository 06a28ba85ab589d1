//! Institutions: the banks that people can connect now.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use bank_adapters::ask::BookingStatus;
use bank_adapters::directory::Filter;
use bank_adapters::profile::Profile;
use serde_json::{Value, json};

use super::Client;
use super::body::{parameter, parameters};
use super::refusal::Refusal;
use crate::app::App;

/// What a list can be narrowed by, beside the country: each with `_supported` behind it.
const FEATURES: [&str; 11] = [
    "access_scopes",
    "account_selection",
    "business_accounts",
    "card_accounts",
    "corporate_accounts",
    "pending_transactions",
    "private_accounts",
    "read_debtor_account",
    "read_refund_account",
    "separate_continuous_history_consent",
    "ssn_verification",
];

/// `GET institutions/`: a bare array.
pub(super) async fn list(State(app): State<Arc<App>>, _: Client, uri: Uri) -> Result<Json<Value>, Refusal> {
    let filters = FEATURES.map(|feature| format!("{feature}_supported"));
    let known: Vec<&str> = filters.iter().map(String::as_str).chain(["country", "payments_enabled"]).collect();
    let given = parameters(&uri, &known)?;
    let country = parameter(&given, "country").filter(|country| !country.is_empty());
    if let Some(wrong) = country.filter(|code| code.len() != 2 || !code.bytes().all(|b| b.is_ascii_alphabetic())) {
        let detail = format!("{wrong} is not a valid choice.");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "Invalid country choice.", detail));
    }
    let filter = Filter { country: country.map(str::to_owned), ..Filter::default() };
    let wanted = |profile: &Profile| {
        let features = features(profile);
        given.iter().all(|(name, text)| match name.strip_suffix("_supported") {
            Some(feature) => features.contains(&feature) == (text == "true"),
            // Nobody is asked to pay here.
            None => name != "payments_enabled" || text != "true",
        })
    };
    let reachable = app.directory.list(&filter).filter(|profile| app.connections.to(&profile.bank.id).is_some());
    Ok(Json(reachable.filter(|profile| wanted(profile)).map(|profile| show(&app, profile)).collect()))
}

/// `GET institutions/{id}/`.
pub(super) async fn read(
    State(app): State<Arc<App>>,
    _: Client,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let profile = find(&app, &id).ok_or_else(Refusal::not_found)?;
    let mut shown = show(&app, &profile);
    shown["supported_payments"] = json!({});
    Ok(Json(shown))
}

/// The bank of an id that people can connect now: this surface's id, or our own.
pub(super) fn find(app: &App, id: &str) -> Option<Arc<Profile>> {
    let filter = Filter::default();
    let found = app.directory.list(&filter).find(|profile| public_id(profile) == id || profile.bank.id.as_str() == id);
    found.filter(|profile| app.connections.to(&profile.bank.id).is_some()).cloned()
}

/// The id of a bank as this surface makes them: name and BIC, `MUSTERBANK_MUSTDEFF`.
pub(super) fn public_id(profile: &Profile) -> String {
    let name: String = profile.bank.name.chars().filter(char::is_ascii_alphanumeric).collect();
    match profile.bank.bics.first() {
        Some(bic) if !name.is_empty() => format!("{}_{bic}", name.to_uppercase()),
        _ => profile.bank.id.as_str().to_uppercase(),
    }
}

/// Days of history that are to be had at most.
pub(super) fn history_days(profile: &Profile) -> u16 {
    let reach = &profile.transactions;
    reach.history_days_after_sca.unwrap_or(reach.history_days).max(reach.history_days)
}

fn features(profile: &Profile) -> Vec<&'static str> {
    let pending = profile.transactions.booking_status.iter().any(|status| *status != BookingStatus::Booked);
    let mut features = vec!["access_scopes"];
    features.extend(pending.then_some("pending_transactions"));
    features.push("private_accounts");
    features
}

fn show(app: &App, profile: &Profile) -> Value {
    json!({
        "id": public_id(profile),
        "name": profile.bank.name,
        "bic": profile.bank.bics.first().map(String::as_str).unwrap_or_default(),
        "transaction_total_days": history_days(profile).to_string(),
        "max_access_valid_for_days": profile.consent.max_days.to_string(),
        "countries": [profile.bank.country],
        "logo": format!("{}favicon.ico", app.config.listen.public_url),
        "supported_features": features(profile),
        "identification_codes": [],
    })
}
