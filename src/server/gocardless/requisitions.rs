//! Requisitions: a consent is asked for, followed and withdrawn.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use bank_adapters::profile::Profile;
use domain::consent::{self, FailureReason, ReauthReason, RevokedBy, State as ConsentState};
use domain::ids::ConsentId;
use domain::limits;
use jiff::{SignedDuration, Span};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use store::consents::Consent;
use store::products::Product;
use store::requisitions::{Agreement, Requisition};
use store::sealed::Place;
use store::{StoreError, TenantTx, consents, deletions, lines, products, requisitions};
use url::Url;
use uuid::Uuid;

use super::body::{Fields, Window};
use super::refusal::Refusal;
use super::{Client, agreements, instant, institutions, returns};
use crate::api::auth::{Caller, Scope};
use crate::api::consents::person;
use crate::app::App;
use crate::keys::TenantKeys;
use crate::services::{ServiceError, consents as service};
use crate::tokens;

/// Our extension: the product's own stable reference of the person. Two requisitions of one person are two consents of
/// one person then, and accounts keep their ids.
const PSU_REFERENCE: &str = "psu-reference";
/// Our extension: where the receipt of the deletion will be.
const DELETION_RECEIPT: HeaderName = HeaderName::from_static("deletion-receipt");
/// Longest reference, in characters.
const REFERENCE_CHARS_MAX: usize = 256;
/// Longest address to go back to, in characters.
const REDIRECT_CHARS_MAX: usize = 1024;

/// What a requisition is made of, checked.
struct Wish {
    bank: Arc<Profile>,
    redirect: String,
    reference: Option<String>,
    user_language: Option<String>,
    redirect_immediate: bool,
}

/// `POST requisitions/`.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Client(caller): Client,
    headers: HeaderMap,
    fields: Fields,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    caller.may(Scope::Consents)?;
    let fields = fields.only(&[
        "redirect",
        "institution_id",
        "agreement",
        "reference",
        "user_language",
        "ssn",
        "account_selection",
        "redirect_immediate",
    ])?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let product = products::get(&mut tx, caller.product).await?;
    let wish = checked(&app, &product, &fields)?;
    let agreement = agreed(&app, &mut tx, &caller, &wish.bank, fields.text("agreement")?).await?;
    let shown = ask(&app, &mut tx, &caller, &product, wish, &agreement, headers.get(PSU_REFERENCE)).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(shown)))
}

fn checked(app: &App, product: &Product, fields: &Fields) -> Result<Wish, Refusal> {
    fields.require(&["redirect", "institution_id"])?;
    let bank = agreements::institution(app, fields.text("institution_id")?.unwrap_or_default())?;
    let name = institutions::public_id(&bank);
    if fields.text("ssn")?.is_some_and(|ssn| !ssn.is_empty()) {
        let detail = format!("SSN verification not supported for {name}");
        return Err(Refusal::field_list("ssn", "SSN verification not supported", detail));
    }
    if fields.flag("account_selection")? {
        let detail = format!("Account selection not supported for {name}");
        return Err(Refusal::field("account_selection", "Account selection not supported", detail));
    }
    let reference = fields.text("reference")?.filter(|reference| !reference.is_empty()).map(str::to_owned);
    if reference.as_ref().is_some_and(|reference| reference.chars().count() > REFERENCE_CHARS_MAX) {
        return Err(Refusal::fields(&[("reference", "Ensure this field has no more than 256 characters.")]));
    }
    let user_language = fields.text("user_language")?.filter(|code| !code.is_empty()).map(str::to_owned);
    let is_code = |code: &String| {
        code.len() <= 5 && code.get(..2).is_some_and(|two| two.bytes().all(|b| b.is_ascii_alphabetic()))
    };
    if let Some(wrong) = user_language.as_ref().filter(|code| !is_code(code)) {
        let detail = format!("'{wrong}' is an invalid or unsupported language");
        return Err(Refusal::field("user_language", "Provided user_language is invalid or not supported", detail));
    }
    Ok(Wish {
        bank,
        redirect: redirect(product, fields.text("redirect")?.unwrap_or_default())?,
        reference,
        user_language,
        redirect_immediate: fields.flag("redirect_immediate")?,
    })
}

/// An address that the product has registered. Its query may differ: clients keep their own state in it.
fn redirect(product: &Product, asked: &str) -> Result<String, Refusal> {
    let invalid = |detail| Err(Refusal::field_list("redirect", "Invalid redirect URI", detail));
    let Ok(url) = Url::parse(asked) else { return invalid("Redirect URI must have a valid URI structure") };
    if asked.chars().count() > REDIRECT_CHARS_MAX || url.fragment().is_some() {
        return invalid("Redirect URI must have a valid URI structure");
    }
    let place = |url: &Url| {
        let mut place = url.clone();
        place.set_query(None);
        place
    };
    let registered = product.return_urls.iter().filter_map(|text| Url::parse(text).ok());
    if registered.into_iter().any(|known| place(&known) == place(&url)) {
        Ok(asked.to_owned())
    } else {
        invalid("Redirect URI must be one of the return addresses that are registered for you")
    }
}

/// The agreement that is named, free and of the same bank; or the usual one.
async fn agreed(
    app: &App,
    tx: &mut TenantTx,
    caller: &Caller,
    bank: &Profile,
    id: Option<&str>,
) -> Result<Agreement, Refusal> {
    let Some(text) = id.filter(|id| !id.is_empty()) else {
        let agreement = agreements::usual(app, caller, bank)?;
        requisitions::add_agreement(tx, &agreement).await?;
        return Ok(agreement);
    };
    let id = Uuid::try_parse(text).map_err(|_| {
        let detail = format!(
            "{text} is not a valid EndUserAgreement UUID.  Please specify valid agreement from /api/agreements/enduser/ \
             or create a new one"
        );
        Refusal::field_list("agreement", "Invalid EndUserAgreement ID", detail)
    })?;
    let agreement = match requisitions::agreement(tx, caller.product, id).await {
        Err(StoreError::NotFound(_)) => {
            let complaint = json!({
                "summary": format!("ID {id} not found"),
                "detail": "Please check whether you specified a valid ID",
            });
            return Err(Refusal::field_as(StatusCode::NOT_FOUND, "agreement", complaint));
        }
        found => found?,
    };
    if let Some(consent) = agreement.consent {
        let detail = format!(
            "The agreement is already associated with requisition {}. Please provide a valid agreement or use a different \
             requisition.",
            consent.uuid()
        );
        return Err(Refusal::field_list("agreement", format!("Agreement {id} is already associated"), detail));
    }
    if agreement.institution != bank.bank.id {
        let (asked, has) = (institutions::public_id(bank), agreements::bank_id(app, &agreement.institution));
        let detail = format!(
            "Provided Institution ID: '{asked}' for requisition does not match EUA institution ID '{has}'. Please provide \
             correct institution ID: '{has}'"
        );
        return Err(Refusal::field("agreement", format!("Incorrect Institution ID {asked}"), detail));
    }
    Ok(agreement)
}

/// Writes the consent with its link.
async fn ask(
    app: &App,
    tx: &mut TenantTx,
    caller: &Caller,
    product: &Product,
    wish: Wish,
    agreement: &Agreement,
    person_reference: Option<&axum::http::HeaderValue>,
) -> Result<Value, Refusal> {
    let world = app.world();
    let keys = TenantKeys::lookup(app, tx, &world).await?;
    let id = ConsentId::new(&world);
    let reference = wish.reference.unwrap_or_else(|| id.uuid().to_string());
    let tag = keys.mac("requisition.reference", reference.as_bytes());
    let repeated = || {
        let detail = format!("Client reference: {reference} already exists");
        Refusal::field("reference", "Client reference must be unique", detail)
    };
    if requisitions::knows(tx, caller.product, &tag).await? {
        return Err(repeated());
    }
    let consent =
        drafted(app, tx, caller, product, (id, &wish.redirect), agreement, (&reference, person_reference)).await?;
    service::record(app, tx, &world, &consent).await?;
    service::link_with(tx, &world, id, &link(&keys, id).1).await?;
    let requisition = Requisition {
        consent: id,
        product: caller.product,
        agreement: agreement.id,
        sealed_reference: Some(Place::requisition(tx.tenant(), id).seal(
            keys.key(),
            reference.as_bytes(),
            world.entropy,
        )),
        user_language: wish.user_language,
        redirect_immediate: wish.redirect_immediate,
        created_at: world.now,
        begun: false,
    };
    match requisitions::add(tx, &requisition, &tag).await {
        Err(StoreError::Exists { .. }) => return Err(repeated()),
        added => added?,
    }
    show(app, tx, &keys, &requisition).await
}

async fn drafted(
    app: &App,
    tx: &mut TenantTx,
    caller: &Caller,
    product: &Product,
    (id, redirect): (ConsentId, &str),
    agreement: &Agreement,
    (reference, person_reference): (&str, Option<&axum::http::HeaderValue>),
) -> Result<Consent, Refusal> {
    let world = app.world();
    let connection = app.connections.to(&agreement.institution).ok_or_else(Refusal::not_found)?;
    let own_reference = format!("requisition:{reference}");
    let psu_ref = person_reference.and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
    let psu = person(app, tx, caller.product, psu_ref.unwrap_or(&own_reference)).await?;
    let cluster = |scope: &String| if scope == "details" { "accounts".to_owned() } else { scope.clone() };
    let mut clusters: Vec<String> = agreement.access_scope.iter().map(cluster).collect();
    clusters.sort();
    clusters.dedup();
    let today = world.now.to_zoned(connection.zone.clone()).date();
    let days = Span::new().days(i64::from(agreement.access_valid_for_days) - 1);
    let authorise_by = world.now.saturating_add(SignedDuration::from_secs(limits::LINK_SECONDS)).unwrap_or(world.now);
    let purposes: Vec<String> = caller.purposes_of(&product.purposes).into_iter().map(str::to_owned).collect();
    Ok(Consent {
        id,
        product: caller.product,
        psu,
        bank: Some((connection.institution.clone(), connection.id.clone())),
        retention: app.config.retention.of(app.tenant.regime, &purposes),
        purposes,
        clusters,
        language: "en".to_owned(),
        return_url: redirect.to_owned(),
        text_hash: None,
        machine: consent::Consent::new(authorise_by),
        seq: 0,
        grant: None,
        asked_until: today.saturating_add(days),
        created_at: world.now,
        accepted_at: None,
        authorized_at: None,
        sca_at: None,
        confirmed_at: None,
        ended_at: None,
    })
}

/// The one-time link of a requisition. It is shown again and again, so it is made anew each time and stored nowhere.
fn link(keys: &TenantKeys, id: ConsentId) -> (secrecy::SecretString, [u8; 32]) {
    tokens::of(tokens::Kind::Link, &keys.mac("requisition.link", id.uuid().as_bytes()))
}

/// `GET requisitions/`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Client(caller): Client,
    uri: Uri,
) -> Result<Json<Value>, Refusal> {
    caller.may(Scope::Consents)?;
    let window = Window::of(&uri)?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let keys = TenantKeys::lookup(&app, &mut tx, &app.world()).await?;
    let (count, found) = requisitions::page(&mut tx, caller.product, window.limit, window.offset).await?;
    let mut results = Vec::with_capacity(found.len());
    for requisition in &found {
        results.push(show(&app, &mut tx, &keys, requisition).await?);
    }
    tx.commit().await?;
    Ok(Json(window.page(&app, "requisitions", count, results)))
}

/// `GET requisitions/{id}/`.
pub(super) async fn read(
    State(app): State<Arc<App>>,
    Client(caller): Client,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let (mut tx, requisition) = own(&app, &caller, &id).await?;
    let keys = TenantKeys::lookup(&app, &mut tx, &app.world()).await?;
    let shown = show(&app, &mut tx, &keys, &requisition).await?;
    tx.commit().await?;
    Ok(Json(shown))
}

/// `DELETE requisitions/{id}/`: the consent is withdrawn, the bank is told, the data are erased.
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Client(caller): Client,
    Path(id): Path<String>,
) -> Result<(HeaderMap, Json<Value>), Refusal> {
    let (tx, requisition) = own(&app, &caller, &id).await?;
    tx.commit().await?;
    match service::revoke(&app, caller.tenant, requisition.consent, RevokedBy::Product, "product").await {
        // It failed or is erased already: there is nothing to withdraw.
        Ok(_) | Err(ServiceError::Refused(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    requisitions::delete(&mut tx, &requisition, app.world().now).await?;
    let erasure =
        deletions::of_consent(&mut tx, requisition.consent).await?.into_iter().rfind(|run| run.line.is_none());
    tx.commit().await?;
    let mut headers = HeaderMap::new();
    if let Some(value) = erasure.and_then(|run| run.id.to_string().parse().ok()) {
        headers.insert(DELETION_RECEIPT, value);
    }
    let detail = format!("Requisition {} deleted with all its End User Agreements", requisition.consent.uuid());
    Ok((headers, Json(json!({ "summary": "Requisition deleted", "detail": detail }))))
}

async fn own(app: &App, caller: &Caller, id: &str) -> Result<(TenantTx, Requisition), Refusal> {
    caller.may(Scope::Consents)?;
    let consent = Uuid::try_parse(id).map(ConsentId::from_uuid).map_err(|_| Refusal::id(id))?;
    let mut tx = app.store.tenant_tx(caller.tenant).await?;
    let found = requisitions::get(&mut tx, caller.product, consent).await?;
    Ok((tx, found))
}

async fn show(app: &App, tx: &mut TenantTx, keys: &TenantKeys, requisition: &Requisition) -> Result<Value, Refusal> {
    let consent = consents::get(tx, requisition.consent).await?;
    let status = status(&consent, requisition.begun);
    let (link, _) = link(keys, consent.id);
    let early = requisition.redirect_immediate && status == "GA";
    let accounts: Vec<Uuid> = match status {
        "LN" | "EX" | "SU" => lines::granted(tx, consent.id).await?.into_iter().map(|(line, _)| line.uuid()).collect(),
        _ if early => lines::granted(tx, consent.id).await?.into_iter().map(|(line, _)| line.uuid()).collect(),
        _ => Vec::new(),
    };
    Ok(json!({
        "id": consent.id.uuid(),
        "created": instant(requisition.created_at),
        "redirect": consent.return_url,
        "status": status,
        "institution_id": consent.bank.as_ref().map(|(institution, _)| agreements::bank_id(app, institution)),
        "agreement": requisition.agreement,
        "reference": returns::reference(tx, requisition, keys)?,
        "accounts": accounts,
        "user_language": requisition.user_language,
        "link": format!("{}link/{}", app.config.listen.public_url, link.expose_secret()),
        "ssn": null,
        "account_selection": false,
        "redirect_immediate": requisition.redirect_immediate,
    }))
}

/// The state of a consent in this surface's letters. What cannot be read is not `LN`.
pub(super) fn status(consent: &Consent, begun: bool) -> &'static str {
    match consent.machine.state {
        ConsentState::Initiated if consent.accepted_at.is_some() => "UA",
        ConsentState::Initiated if begun => "GC",
        ConsentState::Initiated => "CR",
        ConsentState::Authorized => "GA",
        ConsentState::Active => "LN",
        ConsentState::ReauthPending(ReauthReason::SuspendedByBank) => "SU",
        ConsentState::ReauthPending(
            ReauthReason::ScaExpired
            | ReauthReason::ReconfirmMissed
            | ReauthReason::TokenLost
            | ReauthReason::Displaced,
        )
        | ConsentState::Expired(_)
        | ConsentState::Revoked(_)
        | ConsentState::Failed(FailureReason::TimedOut) => "EX",
        ConsentState::Failed(FailureReason::Declined | FailureReason::RejectedByBank) => "RJ",
        ConsentState::Failed(FailureReason::Error) => "ER",
    }
}
