//! What is asked of a bank for a consent: which data, for how long, and where it sends the browser.

use bank_adapters::ask::{Access, Clusters, ConsentAsk, Sharing};
use bank_adapters::profile::Profile;
use domain::policy::{self, Policy};
use jiff::civil::Date;
use jiff::{SignedDuration, Span, Timestamp};
use serde_json::Value;
use store::consents::Consent;
use store::grants::Grant;
use url::Url;

use crate::app::App;
use crate::connections::Connection;
use crate::services::ServiceError;

/// For how long data are to be shared, for banks that are told so with the authorisation.
pub(crate) fn sharing_seconds(connection: &Connection, consent: &Consent, now: Timestamp) -> Option<u32> {
    connection.oauth.security().duration_claim.as_ref()?;
    let longest = SignedDuration::from_hours(24 * i64::from(connection.bank.profile().consent.max_days)).as_secs();
    let end = policy::end_of_day(consent.asked_until, &connection.zone);
    u32::try_from(end.duration_since(now).as_secs().min(longest)).ok()
}

/// Says in what evidence keeps of an acceptance who stands between us and the bank, where somebody does.
pub(crate) fn say_intermediary(app: &App, grant: &Grant, body: &mut Value) {
    let profile = app.directory.get(&grant.institution);
    if let Some(between) = profile.and_then(|profile| profile.intermediary.as_ref()) {
        body["intermediary"] = between.name.as_str().into();
    }
}

/// The last day that can be asked for: what the product asked, inside what bank and law allow, today counted.
pub(crate) fn last_day(asked_until: Date, profile: &Profile, policy: &Policy, today: Date) -> Date {
    let last = |days: i64| today.saturating_add(Span::new().days(days - 1));
    asked_until.min(last(i64::from(profile.consent.max_days))).min(policy.term_most.map_or(Date::MAX, last))
}

/// What a consent shares.
fn clusters(consent: &Consent) -> Clusters {
    let has = |cluster: &str| consent.clusters.iter().any(|given| given == cluster);
    Clusters { balances: has("balances"), transactions: has("transactions") }
}

/// The last day of a consent that is asked of a bank now.
fn last_day_of(app: &App, connection: &Connection, consent: &Consent, now: Timestamp) -> Date {
    let today = now.to_zoned(connection.zone.clone()).date();
    last_day(consent.asked_until, connection.bank.profile(), app.tenant.regime.policy(), today)
}

/// What is shared, for banks that are told so with the authorisation.
pub(crate) fn sharing(app: &App, connection: &Connection, consent: &Consent, now: Timestamp) -> Sharing {
    let until = policy::end_of_day(last_day_of(app, connection, consent, now), &connection.zone);
    Sharing { clusters: clusters(consent), until }
}

/// The consent that is to be created at a bank.
///
/// # Errors
/// Our own redirect URI, where it is none.
pub(crate) fn consent_ask(
    app: &App,
    connection: &Connection,
    consent: &Consent,
    now: Timestamp,
) -> Result<ConsentAsk, ServiceError> {
    let redirect_uri = Url::parse(connection.oauth.redirect_uri()).map_err(|error| ServiceError::Ours(error.into()))?;
    Ok(ConsentAsk {
        access: Access::AllAccounts,
        clusters: clusters(consent),
        valid_until: last_day_of(app, connection, consent, now),
        recurring: true,
        frequency_per_day: app
            .tenant
            .regime
            .policy()
            .unattended_reads(connection.bank.profile().limits.unattended_per_day),
        user_document: None,
        login_name: None,
        state: None,
        redirect_uri,
        nok_redirect_uri: None,
        notification_uri: app.config.listen.public_url.join(&format!("banks/{}/notifications", connection.id)).ok(),
    })
}
