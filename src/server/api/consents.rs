//! `/v1/consents`: asking for consent, following it, withdrawing it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use domain::consent::{self, RevokedBy};
use domain::ids::{ConsentId, InstitutionId, LineId, ProductId, PsuId, TenantId};
use domain::limits;
use jiff::{SignedDuration, Span, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use store::consents::Consent;
use store::psus::Psu;
use store::sealed::Place;
use store::{TenantTx, consents, deletions, lines, products, psus};
use utoipa::IntoParams;

use super::auth::{Caller, Scope};
use super::body::{ConsentBody, CreateConsent, LinkBody, Page, Reconfirm, RevocationBody};
use super::idempotency::Idempotent;
use super::query::Query;
use crate::app::App;
use crate::evidence_log;
use crate::keys::TenantKeys;
use crate::problem::{ApiError, Problem};
use crate::services::{consents as service, deletion, renewals};

/// Kinds of data that can be asked for.
const CLUSTERS: [&str; 3] = ["accounts", "balances", "transactions"];
/// Term of a consent where the product names none, in days.
const TERM_DAYS: i64 = 365;
/// For how long what a person confirmed in the product may be passed on, in seconds.
const CONFIRMED_SECONDS: i64 = 60 * 60;
/// Longest reference of a person, in characters.
const PSU_REF_CHARS_MAX: usize = 128;

/// Ask for consent. The answer holds a one-time link for the person.
#[utoipa::path(
    post, path = "/v1/consents", tag = "consents",
    request_body = CreateConsent,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition give the first answer")),
    responses((status = 201, body = ConsentBody), (status = 401, body = Problem), (status = 422, body = Problem))
)]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Json<serde_json::Value>), ApiError> {
    caller.may(Scope::Consents)?;
    let ask: CreateConsent = super::json(&body)?;
    let world = app.world();
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let (repeatable, first) =
        Idempotent::begin(&app, &mut tx, &world, &caller, &headers, "POST /v1/consents", &body).await?;
    if let Some(answer) = first {
        return Ok((StatusCode::CREATED, Json(answer)));
    }
    let consent = checked(&app, &mut tx, &caller, ask).await?;
    let created = service::create(&app, &mut tx, &world, consent).await?;
    let link = link_body(&app, &created.link, created.link_expires_at);
    let shown = ConsentBody { link: Some(link), ..show(&created.consent, Vec::new()) };
    let answer = serde_json::to_value(&shown).map_err(anyhow::Error::new)?;
    repeatable.keep(&app, &mut tx, &world, &answer).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

fn link_body(app: &App, token: &SecretString, expires_at: Timestamp) -> LinkBody {
    LinkBody { url: format!("{}link/{}", app.config.listen.public_url, token.expose_secret()), expires_at }
}

/// Ask for a link with which the person renews a consent: they read the text again and authenticate at the bank. Ids,
/// accounts and history stay as they are, and whoever backs out loses nothing.
#[utoipa::path(
    post, path = "/v1/consents/{id}/reauthorise", tag = "consents",
    params(
        ("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition give the first answer")
    ),
    responses((status = 201, body = LinkBody), (status = 404, body = Problem), (status = 409, body = Problem))
)]
pub async fn reauthorise(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<serde_json::Value>), ApiError> {
    caller.may(Scope::Consents)?;
    let world = app.world();
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let operation = format!("POST /v1/consents/{id}/reauthorise");
    let (repeatable, first) = Idempotent::begin(&app, &mut tx, &world, &caller, &headers, &operation, b"").await?;
    if let Some(answer) = first {
        return Ok((StatusCode::CREATED, Json(answer)));
    }
    let consent = own(&mut tx, &caller, &id).await?;
    if !consent.machine.may_renew() {
        return Err(ApiError::ConsentState);
    }
    let (token, expires_at) = service::link(&mut tx, &world, consent.id).await?;
    let answer = serde_json::to_value(link_body(&app, &token, expires_at)).map_err(anyhow::Error::new)?;
    repeatable.keep(&app, &mut tx, &world, &answer).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Pass on that the person has just confirmed, in the product, that sharing goes on (UK): the 90 days begin anew, and
/// collection with them if it had stopped. The bank is not asked.
#[utoipa::path(
    post, path = "/v1/consents/{id}/reconfirm", tag = "consents",
    params(
        ("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition give the first answer")
    ),
    request_body = Reconfirm,
    responses((status = 200, body = ConsentBody), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem))
)]
pub async fn reconfirm(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<Json<serde_json::Value>, ApiError> {
    caller.may(Scope::Consents)?;
    let Reconfirm { psu } = super::json(&body)?;
    super::attested(psu.session_at, CONFIRMED_SECONDS, app.clock.now())?;
    let world = app.world();
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let operation = format!("POST /v1/consents/{id}/reconfirm");
    let (repeatable, first) = Idempotent::begin(&app, &mut tx, &world, &caller, &headers, &operation, &body).await?;
    if let Some(answer) = first {
        return Ok(Json(answer));
    }
    let consent = own(&mut tx, &caller, &id).await?;
    let attested = serde_json::json!({ "attested_by": "product", "session_at": psu.session_at.to_string() });
    evidence_log::record(&app, &mut tx, &world, consent.id, "consent.confirmation", &attested).await?;
    let consent = renewals::reconfirm(&app, &mut tx, &world, consent.id, "product").await?;
    let accounts = accounts_of(&mut tx, caller.product, consent.id).await?;
    let answer = serde_json::to_value(show(&consent, accounts)).map_err(anyhow::Error::new)?;
    repeatable.keep(&app, &mut tx, &world, &answer).await?;
    tx.commit().await?;
    app.work.notify_waiters();
    Ok(Json(answer))
}

/// Turns the request into a consent, or says what is wrong with it.
async fn checked(app: &App, tx: &mut TenantTx, caller: &Caller, ask: CreateConsent) -> Result<Consent, ApiError> {
    let invalid = |field, why: &str| Err(ApiError::Invalid { field, why: why.to_owned() });
    let product = products::get(tx, caller.product).await?;
    if !(1..=PSU_REF_CHARS_MAX).contains(&ask.psu_ref.chars().count()) || ask.psu_ref.chars().any(char::is_control) {
        return invalid("psu_ref", "must be 1 to 128 characters");
    }
    if ask.purposes.is_empty() || ask.purposes.iter().any(|purpose| !product.purposes.contains(purpose)) {
        return invalid("purposes", "must be purposes of the product, at least one");
    }
    let clusters = ask.data_clusters.unwrap_or_else(|| CLUSTERS.map(str::to_owned).to_vec());
    if clusters.is_empty() || clusters.iter().any(|cluster| !CLUSTERS.contains(&cluster.as_str())) {
        return invalid("data_clusters", "must be of accounts, balances, transactions");
    }
    let return_url = ask.return_url.unwrap_or_default();
    if !return_url.is_empty() && !product.return_urls.contains(&return_url) {
        return invalid("return_url", "must be one of the product's return addresses");
    }
    let institution = match ask.institution_id.as_deref().map(InstitutionId::new) {
        None => None,
        Some(Some(id)) if app.connections.to(&id).is_some() => Some(id),
        Some(_) => return Err(ApiError::InstitutionUnavailable),
    };
    let world = app.world();
    let today = world.now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let asked_until = ask.valid_until.unwrap_or_else(|| today.saturating_add(Span::new().days(TERM_DAYS)));
    if asked_until < today {
        return invalid("valid_until", "must not be in the past");
    }
    let psu = person(app, tx, caller.product, &ask.psu_ref).await?;
    let registration = institution.as_ref().and_then(|id| app.connections.to(id)).map(|to| to.id.clone());
    let authorise_by = world.now.saturating_add(SignedDuration::from_secs(limits::LINK_SECONDS));
    let retention = app.config.retention.of(app.tenant.regime, &ask.purposes);
    Ok(Consent {
        id: ConsentId::new(&world),
        product: caller.product,
        psu,
        bank: institution.zip(registration),
        purposes: ask.purposes,
        clusters,
        language: "en".to_owned(),
        return_url,
        retention,
        text_hash: None,
        machine: consent::Consent::new(authorise_by.unwrap_or(world.now)),
        seq: 0,
        grant: None,
        asked_until,
        created_at: world.now,
        accepted_at: None,
        authorized_at: None,
        sca_at: None,
        confirmed_at: None,
        ended_at: None,
    })
}

/// The person behind a product's reference. The reference is stored sealed, and found by a MAC.
pub(crate) async fn person(
    app: &App,
    tx: &mut TenantTx,
    product: ProductId,
    reference: &str,
) -> Result<PsuId, ApiError> {
    let world = app.world();
    let keys = TenantKeys::lookup(app, tx, &world).await?;
    let id = PsuId::new(&world);
    let psu = Psu {
        id,
        product,
        ref_tag: keys.mac("psu.ref", reference.as_bytes()),
        sealed_ref: Place::psu_ref(tx.tenant(), id).seal(keys.key(), reference.as_bytes(), world.entropy),
        created_at: world.now,
    };
    Ok(psus::find_or_create(tx, &psu).await?)
}

/// A consent on the wire.
pub(super) fn show(consent: &Consent, accounts: Vec<String>) -> ConsentBody {
    let clocks = consent.machine.clocks;
    ConsentBody {
        id: consent.id.to_string(),
        state: consent.machine.state.word().to_owned(),
        reason: consent.machine.state.reason().map(str::to_owned),
        data_state: consent.machine.data.word().to_owned(),
        institution_id: consent.bank.as_ref().map(|(institution, _)| institution.to_string()),
        purposes: consent.purposes.clone(),
        data_clusters: consent.clusters.clone(),
        created_at: consent.created_at,
        authorized_at: consent.authorized_at,
        sca_due_at: clocks.and_then(|clocks| clocks.sca_due),
        reconfirm_due_at: clocks.and_then(|clocks| clocks.reconfirm_due),
        term_ends_at: clocks.map(|clocks| clocks.term_ends),
        who_can_fix: match consent.machine.state {
            consent::State::ReauthPending(reason) => Some(service::who_can_fix(reason).to_owned()),
            _ => None,
        },
        accounts,
        link: None,
    }
}

/// A consent of this product, whatever its state; anybody else's does not exist.
pub(super) async fn own(tx: &mut TenantTx, caller: &Caller, id: &str) -> Result<Consent, ApiError> {
    let id: ConsentId = id.parse().map_err(|_| ApiError::NotFound("consent"))?;
    let consent = consents::get(tx, id).await?;
    if consent.product == caller.product { Ok(consent) } else { Err(ApiError::NotFound("consent")) }
}

async fn accounts_of(tx: &mut TenantTx, product: ProductId, consent: ConsentId) -> Result<Vec<String>, ApiError> {
    let filter = lines::Filter { consent: Some(consent), ..lines::Filter::default() };
    Ok(lines::held(tx, product, filter).await?.iter().map(|held| held.line.id.to_string()).collect())
}

/// Read one consent.
#[utoipa::path(
    get, path = "/v1/consents/{id}", tag = "consents", params(("id" = String, Path)),
    responses((status = 200, body = ConsentBody), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ConsentBody>, ApiError> {
    caller.may(Scope::Consents)?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let consent = own(&mut tx, &caller, &id).await?;
    let accounts = accounts_of(&mut tx, caller.product, consent.id).await?;
    tx.commit().await?;
    Ok(Json(show(&consent, accounts)))
}

/// Which consents.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Of one person, by the product's reference.
    pub psu_ref: Option<String>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// At most so many, 1 to 500; 100 by default.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
}

/// List consents, newest first.
#[utoipa::path(
    get, path = "/v1/consents", tag = "consents", params(ListQuery),
    responses((status = 200, body = Page<ConsentBody>), (status = 401, body = Problem), (status = 422, body = Problem))
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<ConsentBody>>, ApiError> {
    caller.may(Scope::Consents)?;
    let limit = super::limit(query.limit)?;
    let before = query.cursor.as_deref().map(str::parse::<ConsentId>).transpose();
    let before = before.map_err(|_| ApiError::Invalid { field: "cursor", why: "is not one of ours".to_owned() })?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let psu = match &query.psu_ref {
        None => None,
        Some(reference) => {
            let tag = TenantKeys::lookup(&app, &mut tx, &app.world()).await?.mac("psu.ref", reference.as_bytes());
            match psus::find(&mut tx, caller.product, &tag).await? {
                Some(psu) => Some(psu),
                None => return Ok(Json(Page { data: Vec::new(), next_cursor: None })),
            }
        }
    };
    // One more than is shown tells whether there is another page.
    let mut found = consents::of_product(&mut tx, caller.product, psu, before, limit + 1).await?;
    let shown = limit as usize;
    let more = found.len() > shown;
    found.truncate(shown);
    let mut data = Vec::with_capacity(found.len());
    for consent in &found {
        let accounts = accounts_of(&mut tx, caller.product, consent.id).await?;
        data.push(show(consent, accounts));
    }
    tx.commit().await?;
    Ok(Json(Page { data, next_cursor: found.last().filter(|_| more).map(|last| last.id.to_string()) }))
}

/// Withdraw a consent: reads and fetches stop at once, the bank is told, the data are erased.
#[utoipa::path(
    delete, path = "/v1/consents/{id}", tag = "consents", params(("id" = String, Path)),
    responses((status = 202, body = RevocationBody), (status = 404, body = Problem), (status = 409, body = Problem))
)]
pub async fn revoke(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<RevocationBody>), ApiError> {
    caller.may(Scope::Consents)?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let consent = own(&mut tx, &caller, &id).await?;
    tx.commit().await?;
    service::revoke(&app, caller.tenant, consent.id, RevokedBy::Product, "product").await?;
    Ok((StatusCode::ACCEPTED, Json(revocation(&app, caller.tenant, consent.id).await?)))
}

/// Take one account out of a consent; its data are erased unless another consent stands on it.
#[utoipa::path(
    delete, path = "/v1/consents/{id}/accounts/{account}", tag = "consents",
    params(("id" = String, Path), ("account" = String, Path)),
    responses((status = 202, body = RevocationBody), (status = 404, body = Problem), (status = 409, body = Problem))
)]
pub async fn remove_account(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, account)): Path<(String, String)>,
) -> Result<(StatusCode, Json<RevocationBody>), ApiError> {
    caller.may(Scope::Consents)?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let consent = own(&mut tx, &caller, &id).await?;
    tx.commit().await?;
    let line: LineId = account.parse().map_err(|_| ApiError::NotFound("account under this consent"))?;
    let erasure = deletion::remove_account(&app, caller.tenant, consent.id, line, "product").await?;
    let local_stop_at = erasure.stopped_at;
    let body = RevocationBody { local_stop_at, bank: "not_needed".to_owned(), erasure: erasure.id.to_string() };
    Ok((StatusCode::ACCEPTED, Json(body)))
}

async fn revocation(app: &App, tenant: TenantId, consent: ConsentId) -> Result<RevocationBody, ApiError> {
    let mut tx = app.store.tenant_tx(tenant).await?;
    let all = deletions::of_consent(&mut tx, consent).await?;
    let deletion = all.into_iter().rfind(|deletion| deletion.line.is_none()).ok_or(ApiError::NotFound("deletion"))?;
    tx.commit().await?;
    Ok(RevocationBody {
        local_stop_at: deletion.stopped_at,
        bank: deletion.bank.word().to_owned(),
        erasure: deletion.id.to_string(),
    })
}
