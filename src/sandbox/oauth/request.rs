//! Authorisation requests: signed request objects (RFC 9101), pushed (RFC 9126) or brought by the browser.

use jiff::{Timestamp, ToSpan};
use net::serve::PeerCertificate;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bank::{Client, Inner};
use crate::books::{AnswerWay, Consent, ConsentStatus, Pushed};
use crate::config::{Binding, RequestWay};
use crate::ecosystem::NamedBy;
use crate::fault::Fault;
use crate::jose::{Claims, Kind};
use crate::oauth::{Form, client};
use crate::resources;

/// Everything else belongs inside the request object.
const OUTSIDE: [&str; 4] = ["client_id", "client_assertion", "client_assertion_type", "request"];
/// FAPI 2.0 Message Signing §5.3.1: `exp` at most 60 minutes after `nbf`, `nbf` at most 60 minutes ago.
const LIFE_SECONDS_MAX: i64 = 60 * 60;
/// A day, in seconds.
const DAY_SECONDS: i64 = 24 * 60 * 60;
/// The longest sharing, in seconds (CDR Security Profile).
const YEAR_SECONDS: i64 = 365 * DAY_SECONDS;
/// `oauth-authz-req+jwt`, RFC 9101 §10.8.
const TYP: &str = "oauth-authz-req+jwt";

/// Takes in a pushed request and answers with its `request_uri`.
pub(super) fn push(bank: &Inner, peer: &PeerCertificate, form: &Form) -> Result<Value, Fault> {
    let client = client::authenticate(bank, peer, form)?;
    if bank.policy.request != RequestWay::Pushed {
        return Err(Fault::request("request.way.invalid", "requests come through the browser"));
    }
    if form.get("request_uri").is_some() {
        return Err(Fault::request("request.request_uri.unexpected", "a pushed request may not refer to another"));
    }
    if let Some(stray) = form.names().find(|name| !OUTSIDE.contains(name)) {
        let known = stray.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let shown = if known { stray } else { "a parameter" };
        return Err(Fault::request("request.parameter.outside", format!("{shown} stands outside the request object")));
    }
    let object = form.get("request").ok_or_else(|| {
        Fault::new("invalid_request", "request_object.missing", "this bank accepts signed request objects alone")
    })?;
    let pushed = read_object(bank, client, object)?;

    let request_uri = format!("urn:ietf:params:oauth:request_uri:{}", bank.secret());
    let mut books = bank.books();
    books.sweep(bank.now());
    books.pushed.insert(request_uri.clone(), pushed);
    drop(books);
    bank.note("par", "request.pushed", "an authorisation request was accepted");
    Ok(json!({ "request_uri": request_uri, "expires_in": bank.policy.request_uri_seconds }))
}

/// A request that the browser brings (FAPI 1.0 Advanced §5.2.2): what stands outside the object repeats what is inside.
pub(crate) fn brought(bank: &Inner, parameters: &[(String, String)]) -> Result<Pushed, Fault> {
    if bank.policy.request != RequestWay::Browser {
        return Err(Fault::request("request.way.invalid", "requests are pushed"));
    }
    let get = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let client = get("client_id").and_then(|id| bank.client(id));
    let client =
        client.ok_or_else(|| Fault::client("client.unknown", "no client is registered under this client_id"))?;
    let object =
        get("request").ok_or_else(|| Fault::request("request_object.missing", "there is no request object"))?;
    let (_, claims) = client.keys.verify(Kind::RequestObject, object)?;
    let repeats = |(name, value): &(String, String)| match name.as_str() {
        "request" => Ok(true),
        "client_id" | "response_type" | "scope" => Ok(claims.text(name)? == value),
        _ => Ok(false),
    };
    for parameter in parameters {
        if !repeats(parameter)? {
            return Err(Fault::request("request.parameter.outside", "a parameter is not that of the request object"));
        }
    }
    read_object(bank, client, object)
}

/// A request object after every check.
fn read_object(bank: &Inner, client: &Client, object: &str) -> Result<Pushed, Fault> {
    let (header, claims) = client.keys.verify(Kind::RequestObject, object)?;
    match header.token_type() {
        Some(typ) if typ.eq_ignore_ascii_case(TYP) => {}
        Some(_) => return Err(claims.fault("typ", "mismatch", "is of another typ than oauth-authz-req+jwt")),
        None => return Err(claims.fault("typ", "missing", "has no typ in its header")),
    }
    check_envelope(bank, client, &claims)?;
    read_request(bank, client, &claims)
}

/// Who wrote the object, for whom, and when.
fn check_envelope(bank: &Inner, client: &Client, claims: &Claims) -> Result<(), Fault> {
    let now = bank.now();
    let client_id = &client.registered.client_id;
    claims.equals("iss", client_id)?;
    claims.audience_includes(&bank.issuer)?;
    claims.equals("client_id", client_id)?;
    if claims.optional_text("sub")? == Some(client_id) {
        return Err(claims.fault("sub", "unexpected", "could be mistaken for a client assertion"));
    }
    let exp = claims.unexpired(now)?;
    let nbf = claims.past("nbf", now)?;
    if now.as_second() - nbf > LIFE_SECONDS_MAX {
        return Err(claims.fault("nbf", "expired", "has an nbf of more than an hour ago"));
    }
    if exp - nbf > LIFE_SECONDS_MAX {
        return Err(claims.fault("exp", "invalid", "lives longer than an hour"));
    }
    if claims.has("iat") {
        claims.past("iat", now)?;
    }
    for name in ["request", "request_uri"] {
        if claims.has(name) {
            return Err(claims.fault(name, "unexpected", "contains another request"));
        }
    }
    let jti = claims.text("jti")?;
    let until = Timestamp::from_second(exp).unwrap_or(Timestamp::MAX);
    if !bank.books().first_sight(client_id, jti, until, now) {
        return Err(claims.fault("jti", "replayed", "was used before"));
    }
    Ok(())
}

/// The authorisation request itself.
fn read_request(bank: &Inner, client: &Client, claims: &Claims) -> Result<Pushed, Fault> {
    let answer = answer_way(bank, claims)?;
    let redirect_uri = claims.text("redirect_uri")?;
    if !client.registered.redirect_uris.iter().any(|known| known == redirect_uri) {
        return Err(Fault::request(
            "request_object.redirect_uri.mismatch",
            "redirect_uri is not, letter by letter, a registered one",
        ));
    }
    if claims.text("code_challenge_method")? != "S256" {
        return Err(Fault::request("request_object.code_challenge_method.mismatch", "PKCE must use S256"));
    }
    let challenge = claims.text("code_challenge")?;
    if challenge.len() != 43 || !challenge.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(Fault::request("request_object.code_challenge.invalid", "code_challenge is not a SHA-256"));
    }
    let scope = claims.text("scope")?;
    acr_is_asked(bank, claims)?;
    let key = claims.optional_text("dpop_jkt")?.map(str::to_owned);
    if matches!(bank.policy.binding, Binding::Key { .. }) && key.is_none() {
        return Err(Fault::request("request_object.dpop_jkt.missing", "tokens are bound to a key from the start"));
    }
    let openid = matches!(answer, AnswerWay::HybridForm | AnswerWay::HybridFragment)
        || scope.split(' ').any(|one| one == "openid");
    let nonce = claims.optional_text("nonce")?;
    if openid && nonce.is_none() {
        return Err(Fault::request("request_object.nonce.missing", "openid needs a nonce"));
    }
    // The last step, since it may make a consent.
    let (consent_id, changes) = consent_of(bank, client, scope, claims)?;
    Ok(Pushed {
        client_id: client.registered.client_id.clone(),
        redirect_uri: redirect_uri.to_owned(),
        scope: scope.to_owned(),
        openid,
        consent_id,
        state: claims.optional_text("state")?.map(str::to_owned),
        nonce: nonce.map(str::to_owned),
        code_challenge: challenge.to_owned(),
        answer,
        changes,
        key,
        expires: bank.after(bank.policy.request_uri_seconds),
    })
}

/// What comes back and how: a code in the address or in a JWT, and where the ecosystem has it or requests come through the
/// browser also a code with an ID token, in the fragment or in a form.
fn answer_way(bank: &Inner, claims: &Claims) -> Result<AnswerWay, Fault> {
    let (kind, mode) = (claims.text("response_type")?, claims.optional_text("response_mode")?);
    let (ecosystem, browser) = (&bank.ecosystem, bank.policy.request == RequestWay::Browser);
    let hybrid = ecosystem.hybrid || browser;
    match (kind, mode) {
        ("code", Some("jwt" | "query.jwt")) => Ok(AnswerWay::Jarm),
        ("code", None | Some("query")) if !hybrid && !ecosystem.signed_responses => Ok(AnswerWay::Query),
        ("code id_token", Some("form_post")) if hybrid => Ok(AnswerWay::HybridForm),
        ("code id_token", None | Some("fragment")) if hybrid => Ok(AnswerWay::HybridFragment),
        ("code", _) => Err(Fault::request("request_object.response_mode.invalid", "response_mode is not offered")),
        _ => Err(Fault::new(
            "unsupported_response_type",
            "request_object.response_type.mismatch",
            "response_type must be code",
        )),
    }
}

/// A claim that is asked of the ID token (OIDC Core §5.5).
fn asked<'c>(claims: &'c Claims, name: &str) -> Option<&'c Value> {
    claims.get("claims")?.get("id_token")?.get(name)
}

/// OIDC Core §5.5.1.1: `acr` is asked for as essential, by its value or, where the ecosystem wants it so, by none.
fn acr_is_asked(bank: &Inner, claims: &Claims) -> Result<(), Fault> {
    let Some(acr) = bank.ecosystem.acr else { return Ok(()) };
    let missing = || Fault::request("request_object.acr.missing", "acr is not asked for as an essential claim");
    let wanted = asked(claims, "acr").filter(|wanted| wanted["essential"] == true).ok_or_else(missing)?;
    let (value, values) = (wanted.get("value"), wanted.get("values").and_then(Value::as_array));
    let named =
        value.is_some_and(|value| value == acr) || values.is_some_and(|values| values.iter().any(|one| one == acr));
    match (bank.ecosystem.acr_is_named, value.is_some() || values.is_some()) {
        (true, _) if named => Ok(()),
        (false, false) => Ok(()),
        (true, _) => Err(Fault::request("request_object.acr.mismatch", "acr is not asked for by a value of this bank")),
        (false, true) => Err(Fault::request("request_object.acr.unexpected", "acr is asked for with values")),
    }
}

/// The consent that is to be authorised, and the one that it takes the place of.
fn consent_of(bank: &Inner, client: &Client, scope: &str, claims: &Claims) -> Result<(String, Option<String>), Fault> {
    let in_scope = scope_names(bank, scope)?;
    match bank.ecosystem.named_by {
        NamedBy::Scope(_) => {
            let id = in_scope
                .ok_or_else(|| Fault::new("invalid_scope", "request_object.scope.missing", "scope names no consent"))?;
            waits(bank, client, id, "invalid_scope", "scope").map(|()| (id.to_owned(), None))
        }
        NamedBy::Claim(name) => {
            let wanted = asked(claims, name).filter(|wanted| wanted["essential"] == true);
            let id = wanted.and_then(|wanted| wanted["value"].as_str()).ok_or_else(|| {
                Fault::request("request_object.intent.missing", "claims name no consent as essential")
            })?;
            waits(bank, client, id, "invalid_request", "intent").map(|()| (id.to_owned(), None))
        }
        NamedBy::Arrangement => arrange(bank, client, claims),
        NamedBy::Request => {
            Ok((begin(bank, resources::waiting(bank, client.registered.client_id.clone(), Value::Null)), None))
        }
        NamedBy::ScopeDetails => detailed(bank, client, claims).map(|id| (id, None)),
    }
}

/// The consent that a scope names (`AIS:<consentId>`), among scopes that the bank knows.
fn scope_names<'s>(bank: &Inner, scope: &'s str) -> Result<Option<&'s str>, Fault> {
    let mut consent_id = None;
    for one in scope.split(' ') {
        let named = match bank.ecosystem.named_by {
            NamedBy::Scope(prefix) => one.strip_prefix(prefix),
            NamedBy::Claim(_) | NamedBy::Arrangement | NamedBy::Request | NamedBy::ScopeDetails => None,
        };
        match named {
            None if bank.ecosystem.scopes.contains(&one) => {}
            Some(id) if consent_id.is_none() => consent_id = Some(id),
            _ => {
                let says = "scope holds a value that this bank does not know";
                return Err(Fault::new("invalid_scope", "request_object.scope.invalid", says));
            }
        }
    }
    Ok(consent_id)
}

/// Whether a consent is the client's and waits for its PSU.
fn waits(bank: &Inner, client: &Client, id: &str, error: &'static str, place: &str) -> Result<(), Fault> {
    let invalid = |what: &str, detail: &str| Err(Fault::new(error, format!("request_object.{place}.{what}"), detail));
    let mut books = bank.books();
    match books.consent(id, bank.now(), bank.today()) {
        Some(consent) if consent.client_id != client.registered.client_id => {
            invalid("mismatch", "the request names a consent of another client")
        }
        Some(consent) if consent.may_be_authorised(bank.policy.reauthorises) => Ok(()),
        Some(_) => invalid("expired", "the consent cannot be authorised any more"),
        None => invalid("mismatch", "the request names a consent that does not exist"),
    }
}

/// Polish API: the request says what is shared and until when, under an id that was never used before.
fn detailed(bank: &Inner, client: &Client, claims: &Claims) -> Result<String, Fault> {
    let fault = |what: &str, text: &str| Fault::request(format!("request_object.scope_details.{what}"), text);
    let details = claims.get("scope_details").ok_or_else(|| fault("missing", "scope_details says nothing"))?;
    let privileges = details["privilegeList"].as_array().filter(|list| !list.is_empty());
    let named = |privilege: &Value| privilege.get("ais:getTransactionsDone").is_some();
    if details["scopeGroupType"] != "ais" || !privileges.is_some_and(|list| list.iter().all(named)) {
        return Err(fault("invalid", "scope_details lists no privileges of the group ais"));
    }
    let until = details["scopeTimeLimit"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    let until = until.filter(|at| *at > bank.now()).ok_or_else(|| fault("expired", "scopeTimeLimit is over"))?;
    let id = details["consentId"].as_str().unwrap_or_default();
    let mut consent = resources::waiting(bank, client.registered.client_id.clone(), details.clone());
    consent.valid_until = bank.zone().to_datetime(until).date().min(consent.valid_until);
    let mut books = bank.books();
    if id.is_empty() || books.consents.contains_key(id) {
        return Err(fault("mismatch", "consentId is missing or was used before"));
    }
    books.consents.insert(id.to_owned(), consent);
    Ok(id.to_owned())
}

/// CDR Security Profile: the request makes an arrangement for `sharing_duration` seconds, at most a year; without it data
/// are shared once. With `cdr_arrangement_id` it changes one that is in force.
fn arrange(bank: &Inner, client: &Client, claims: &Claims) -> Result<(String, Option<String>), Fault> {
    let wanted = claims.get("claims");
    let member = |name: &str| wanted.and_then(|wanted| wanted.get(name)).filter(|value| !value.is_null());
    let seconds = match member("sharing_duration") {
        None => 0,
        Some(value) => value.as_i64().filter(|seconds| *seconds >= 0).ok_or_else(|| {
            Fault::request("request_object.sharing_duration.invalid", "sharing_duration is not a number of seconds")
        })?,
    };
    let client_id = &client.registered.client_id;
    let old = match member("cdr_arrangement_id") {
        None => None,
        Some(id) => {
            let mut books = bank.books();
            let known = id.as_str().filter(|id| {
                let found = books.consent(id, bank.now(), bank.today());
                found.is_some_and(|found| found.client_id == *client_id && found.status == ConsentStatus::Valid)
            });
            Some(known.map(str::to_owned).ok_or_else(|| {
                Fault::request("request_object.cdr_arrangement_id.mismatch", "there is no such arrangement in force")
            })?)
        }
    };
    let mut consent = resources::waiting(bank, client_id.clone(), Value::Null);
    let days = i32::try_from(seconds.min(YEAR_SECONDS) / DAY_SECONDS).unwrap_or_default();
    consent.recurring = seconds > 0;
    consent.valid_until = bank.today().saturating_add(days.days());
    Ok((begin(bank, consent), old))
}

/// Keeps a consent that an authorisation request has made, under a name of its own.
fn begin(bank: &Inner, consent: Consent) -> String {
    let id = Uuid::from_bytes(bank.world().bytes::<16>()).to_string();
    bank.books().consents.insert(id.clone(), consent);
    id
}
