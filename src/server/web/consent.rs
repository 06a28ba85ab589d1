//! The text a person consents to: shown, accepted exactly as shown, or declined.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use bank_adapters::ask::{LoginName, PsuPresent};
use bank_adapters::profile::{Completion, Profile};
use domain::consent::{Event, State as ConsentState};
use domain::limits;
use domain::policy::{self, Policy};
use jiff::Span;
use jiff::civil::Date;
use store::consent_texts::ConsentText;
use store::consents;
use store::consents::Consent;
use url::form_urlencoded;

use super::form::{Fields, Person, Signed};
use super::scene::Scene;
use super::session::Cookie;
use super::{HERE, reply};
use crate::app::App;
use crate::connections::Connection;
use crate::evidence_log::{About, hex};
use crate::pages::view::{Cluster, Collision, ConsentTextView, Elsewhere, LoginNameField, Term};
use crate::pages::{self, Statement};
use crate::services::logins::{self, Acceptance};
use crate::services::status::Awaited;
use crate::services::{ServiceError, asking, consents as moves, renewals, rivals};
use crate::tokens;

/// The page, with the text that its form accepts.
pub(super) struct Shown {
    view: ConsentTextView,
    text: ConsentText,
    /// What stands beside it about another product's permission.
    beside: Option<ConsentText>,
}

/// For which step a text is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A consent that waits for its person.
    First,
    /// A living one that is renewed.
    Renewal,
}

impl Shown {
    /// The hashes of what is shown, as the form's address carries them.
    fn query(&self) -> String {
        let text = format!("text={}", hex(&self.text.hash));
        self.beside.as_ref().map_or_else(|| text.clone(), |beside| format!("{text}&beside={}", hex(&beside.hash)))
    }

    pub(super) fn page(&self, app: &App, status: StatusCode) -> Response {
        reply::page_to_bank(app, status, pages::consent_text(&self.view))
    }
}

/// Builds the page. The form names the text by its hash: what is accepted is what was shown, even when midnight or a
/// change of the bank's profile lies between.
pub(super) async fn build(
    app: &App,
    scene: &Scene,
    consent: &Consent,
    connection: &Connection,
    step: Step,
) -> Result<Shown, ServiceError> {
    let profile = connection.bank.profile();
    let now = app.clock.now();
    let today = now.to_zoned(connection.zone.clone()).date();
    let renewal = format!("/my/renew/{}", consent.id);
    let (asked_until, accept, decline) = match step {
        Step::First => (consent.asked_until, "/link/consent", "/link/decline"),
        Step::Renewal => (renewals::renewed_until(consent, &connection.zone, now), renewal.as_str(), "/my/back"),
    };
    let view = ConsentTextView {
        brand: reply::brand(app, Some(&scene.product)),
        bank: profile.bank.name.clone(),
        purposes: consent.purposes.clone(),
        clusters: clusters(&consent.clusters, profile),
        term: term(asked_until, profile, app.tenant.regime.policy(), app.config.tenant.sca_days(), today),
        retention: consent.retention,
        instead_of: collision(app, consent, step).await?,
        elsewhere: elsewhere(app, scene, consent).await?,
        accept: scene.form(accept),
        decline: scene.form(decline),
        acknowledgement_missing: false,
        intermediary: profile.intermediary.as_ref().map(|between| between.name.clone()),
        login_name: (profile.consent.completion == Completion::Decoupled).then_some(LoginNameField::Asked),
    };
    let language = view.brand.language.code();
    let kept = |body: String| ConsentText { hash: tokens::hash(body.as_bytes()), language: language.to_owned(), body };
    let (text, beside) = (kept(Statement::of(&view).plain()), view.elsewhere().map(kept));
    let mut shown = Shown { view, text, beside };
    shown.view.accept = scene.form(&format!("{accept}?{}", shown.query()));
    Ok(shown)
}

/// What the bank does to another product's permission, if it is the same person's.
async fn elsewhere(app: &App, scene: &Scene, consent: &Consent) -> Result<Option<Elsewhere>, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let others = rivals::of(app, &mut tx, consent, scene.browser_hash().as_ref()).await?;
    let goes_on = rivals::go_on(app, &mut tx, consent, &others).await?;
    tx.commit().await?;
    let becomes = if goes_on { Elsewhere::Shared } else { Elsewhere::Ends };
    Ok((!others.is_empty()).then_some(becomes))
}

/// What a bank that allows one permission at a time does to those that are there, said before anybody goes there.
async fn collision(app: &App, consent: &Consent, step: Step) -> Result<Option<Collision>, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let others = renewals::replaced_by(app, &mut tx, consent).await?;
    tx.commit().await?;
    Ok(match others.as_slice() {
        [] => None,
        others if step == Step::First && others.iter().all(|old| renewals::covers(consent, old)) => {
            Some(Collision::Replaces)
        }
        _ => Some(Collision::RenewsBoth),
    })
}

/// What a product can read under these clusters. The list of accounts, with the holder's name where the bank gives it,
/// comes with every one of them.
fn clusters(asked: &[String], profile: &Profile) -> Vec<Cluster> {
    let reach = &profile.transactions;
    let longest = reach.history_days_after_sca.unwrap_or(reach.history_days).max(reach.history_days);
    let has = |cluster: &str| asked.iter().any(|given| given == cluster);
    let mut shared = vec![Cluster::Accounts, Cluster::Holder];
    shared.extend(has("balances").then_some(Cluster::Balances));
    shared.extend(has("transactions").then_some(Cluster::Transactions { history_days: Some(longest) }));
    shared
}

/// For how long, at most: what the product asked, cut to what the bank grants and the law of the regime allows.
fn term(asked_until: Date, profile: &Profile, policy: &Policy, tenant_days: Option<i64>, today: Date) -> Term {
    let until = asking::last_day(asked_until, profile, policy, today);
    let confirm = policy::sca_days(policy, profile.consent.sca_days.map(i64::from), tenant_days);
    // A permission that is over before the bank wants to see the person again says nothing about it.
    let confirm = confirm.filter(|days| today.saturating_add(Span::new().days(*days)) <= until);
    Term::Recurring {
        until,
        confirm_every_days: confirm.and_then(|days| u16::try_from(days).ok()),
        unattended_reads_per_day: Some(policy.unattended_reads(profile.limits.unattended_per_day)),
    }
}

/// The bank to go to, as long as the consent waits for its person; else the page on which the journey goes on.
fn waiting(app: &App, scene: &Scene) -> Result<Arc<Connection>, &'static str> {
    let connection = scene.consent.bank.as_ref().and_then(|(_, registration)| app.connections.get(registration));
    match (scene.consent.machine.state, connection) {
        _ if scene.awaits == Some(Awaited::Signers) => Err(HERE),
        (ConsentState::Initiated, Some(connection)) => Ok(connection),
        (ConsentState::Initiated, None) => Err("/link/bank"),
        _ => Err(HERE),
    }
}

/// The text.
pub(super) async fn text(State(app): State<Arc<App>>, scene: Scene) -> Response {
    match waiting(&app, &scene) {
        Ok(connection) => {
            let shown = build(&app, &scene, &scene.consent, &connection, Step::First).await;
            reply::shown(&app, Some(&scene), shown.map(|shown| shown.page(&app, StatusCode::OK)))
        }
        Err(elsewhere) => reply::see_other(elsewhere),
    }
}

/// Accepts the text and sends the browser to the bank.
pub(super) async fn accept(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    Person(psu): Person,
    Signed { scene, fields }: Signed,
) -> Response {
    let connection = match waiting(&app, &scene) {
        Ok(connection) => connection,
        Err(elsewhere) => return reply::see_other(elsewhere),
    };
    let answer = Answer { query: query.as_deref().unwrap_or_default(), fields: &fields, psu };
    reply::changed(&app, &scene, depart(&app, &scene, &scene.consent, &connection, Step::First, answer).await)
}

/// What a person's form says to a text.
pub(super) struct Answer<'a> {
    /// Names the text.
    pub(super) query: &'a str,
    /// The fields.
    pub(super) fields: &'a Fields,
    /// Who sent it.
    pub(super) psu: PsuPresent,
}

/// Sends the browser to the bank, if the text that is in force was accepted; else shows it.
pub(super) async fn depart(
    app: &App,
    scene: &Scene,
    consent: &Consent,
    connection: &Connection,
    step: Step,
    answer: Answer<'_>,
) -> Result<Response, ServiceError> {
    let mut shown = build(app, scene, consent, connection, step).await?;
    if named(answer.query) != shown.query() {
        return Ok(shown.page(app, StatusCode::CONFLICT));
    }
    if answer.fields.get("acknowledged") != "yes" {
        shown.view.acknowledgement_missing = true;
        return Ok(shown.page(app, StatusCode::UNPROCESSABLE_ENTITY));
    }
    let given = answer.fields.get("login_name").trim();
    let login_name = match shown.view.login_name.map(|_| LoginName::new(given)).transpose() {
        Ok(login_name) => login_name,
        Err(_) => {
            shown.view.login_name = Some(LoginNameField::Missing);
            return Ok(shown.page(app, StatusCode::UNPROCESSABLE_ENTITY));
        }
    };
    let about = About { tenant: app.tenant.id, consent: consent.id };
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let needed = rivals::needs_browser(&mut tx, connection).await?;
    tx.commit().await?;
    let known = needed.then(|| scene.known_browser(app));
    let acceptance = Acceptance {
        session: scene.session.id,
        consent: consent.id,
        text: shown.text,
        beside: shown.beside,
        login_name,
        browser: known.as_ref().map(|(_, hash)| *hash),
        psu: answer.psu,
    };
    let departure = logins::begin(app, about, &acceptance).await?;
    let mut response = reply::to(departure.redirect.as_str());
    Cookie::Login.set(&mut response, &departure.browser, limits::LOGIN_SECONDS);
    if let Some((known, _)) = &known {
        Cookie::Browser.set(&mut response, known, limits::BROWSER_SECONDS);
    }
    Ok(response)
}

/// What a form's address names of what was shown.
fn named(query: &str) -> String {
    let of = |wanted: &str| form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == wanted);
    let named = [of("text"), of("beside")].into_iter().flatten().map(|(name, hash)| format!("{name}={hash}"));
    named.collect::<Vec<_>>().join("&")
}

/// Says no. The bank is not asked for anything; what an earlier try left there is swept.
pub(super) async fn decline(State(app): State<Arc<App>>, Signed { scene, .. }: Signed) -> Response {
    reply::changed(&app, &scene, declined(&app, &scene).await)
}

async fn declined(app: &App, scene: &Scene) -> Result<Response, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let before = consents::lock(&mut tx, scene.consent.id).await?;
    moves::advance(app, &mut tx, &world, &before, Event::Declined, "psu", |_| {}).await?;
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(reply::see_other(HERE))
}

#[cfg(test)]
mod tests {
    use bank_adapters::directory::Directory;
    use domain::ids::InstitutionId;
    use domain::policy::Regime;
    use jiff::civil::date;

    use super::*;

    fn profile() -> Profile {
        let known = Directory::embedded().unwrap();
        let some = known.list(&bank_adapters::directory::Filter::default()).next().unwrap().as_ref().clone();
        assert!(InstitutionId::new(some.bank.id.as_str()).is_some());
        some
    }

    fn recurring(term: Term) -> (Date, Option<u16>, Option<u8>) {
        match term {
            Term::Recurring { until, confirm_every_days, unattended_reads_per_day } => {
                (until, confirm_every_days, unattended_reads_per_day)
            }
            Term::Once => panic!("a recurring consent was asked"),
        }
    }

    #[test]
    fn the_term_is_what_all_three_allow() {
        let today = date(2026, 11, 21);
        let mut bank = profile();
        bank.consent.max_days = 180;
        bank.consent.sca_days = None;
        bank.limits.unattended_per_day = 4;
        let eu = Regime::Eu.policy();
        let asked = |until| recurring(term(until, &bank, eu, None, today));
        assert_eq!(asked(date(2027, 11, 20)), (date(2027, 5, 19), Some(90), Some(4)), "the bank cuts it");
        assert_eq!(asked(date(2026, 12, 20)), (date(2026, 12, 20), None, Some(4)), "over before the bank asks again");
        bank.consent.max_days = 730;
        let us = recurring(term(date(2030, 1, 1), &bank, Regime::Us.policy(), None, today));
        assert_eq!(us.0, date(2027, 11, 20), "365 days, today counted");
        bank.consent.sca_days = Some(400);
        assert_eq!(recurring(term(date(2028, 1, 1), &bank, eu, None, today)).1, Some(180), "never beyond the law");
    }

    #[test]
    fn accounts_and_holder_are_named_whatever_else_is_asked() {
        let mut bank = profile();
        bank.transactions.history_days = 90;
        bank.transactions.history_days_after_sca = Some(730);
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let only = clusters(&words(&["balances"]), &bank);
        assert!(only == [Cluster::Accounts, Cluster::Holder, Cluster::Balances]);
        let all = clusters(&words(&["accounts", "transactions"]), &bank);
        assert!(all == [Cluster::Accounts, Cluster::Holder, Cluster::Transactions { history_days: Some(730) }]);
    }

    #[test]
    fn a_form_names_the_text_that_was_shown() {
        assert_eq!(named("text=00ff"), "text=00ff");
        assert_eq!(named("x=1&beside=01&text=00ff"), "text=00ff&beside=01");
        assert_eq!(named(""), "");
    }
}
