//! Tokens: short, bound to the certificate or the key they were issued to; refresh tokens; revocation.

use jiff::tz::TimeZone;
use net::serve::PeerCertificate;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bank::{Client, Inner, Said};
use crate::books::{AccessToken, Books, Code, ConsentStatus, RefreshToken};
use crate::config::Binding;
use crate::ecosystem::NamedBy;
use crate::fault::Fault;
use crate::jose::{base64url, sha256_base64url};
use crate::oauth::{Form, client};
use crate::resources;

/// Life of an ID token, in seconds.
const ID_TOKEN_SECONDS: i64 = 300;

/// The token endpoint.
pub(super) fn grant(bank: &Inner, peer: &PeerCertificate, form: &Form) -> Result<Value, Fault> {
    let client = client::authenticate(bank, peer, form)?;
    match form.require("grant_type")? {
        "authorization_code" => by_code(bank, client, peer, form),
        "refresh_token" => by_refresh_token(bank, client, peer, form),
        "client_credentials" => by_credentials(bank, client, peer, form),
        _ => Err(Fault::new("unsupported_grant_type", "request.grant_type.invalid", "this grant type is not offered")),
    }
}

/// RFC 6749 §4.1.3 with PKCE (RFC 7636 §4.6).
fn by_code(bank: &Inner, client: &Client, peer: &PeerCertificate, form: &Form) -> Result<Value, Fault> {
    let (code, verifier) = (form.require("code")?, form.require("code_verifier")?);
    let redirect_uri = form.require("redirect_uri")?;
    let now = bank.now();
    let mut books = bank.books();
    let found = books.codes.get_mut(code).ok_or_else(|| Fault::grant("code.unknown", "there is no such code"))?;
    if found.request.client_id != client.registered.client_id {
        return Err(Fault::grant("code.client.mismatch", "the code was given to another client"));
    }
    if let Some(family) = found.family {
        // RFC 6749 §4.1.2: a code that is used twice has leaked; so may have its tokens.
        books.revoke_family(family);
        return Err(Fault::grant("code.replayed", "the code was used before; its tokens are revoked"));
    }
    // From here on the code is spent, whatever else is wrong with the request.
    let family = bank.world().uuid();
    found.family = Some(family);
    if found.expires <= now {
        return Err(Fault::grant("code.expired", "the code has expired"));
    }
    if found.request.redirect_uri != redirect_uri {
        return Err(Fault::grant("code.redirect_uri.mismatch", "redirect_uri is not that of the request"));
    }
    if sha256_base64url(verifier) != found.request.code_challenge {
        return Err(Fault::grant("code.code_verifier.mismatch", "code_verifier does not match the challenge"));
    }
    if found.request.key.as_ref().is_some_and(|key| *key != peer.thumbprint) {
        return Err(Fault::grant("code.dpop_jkt.mismatch", "the proof is of another key than that of the request"));
    }
    let (request, psu, authenticated_at) = (found.request.clone(), found.psu, found.authenticated_at);
    let recurring = usable_consent(bank, &mut books, &request.consent_id)?;

    let access = issue_access(bank, &mut books, client, peer, Some(request.consent_id.clone()), family);
    let mut answer = token_response(bank, &access, &request.scope, Some(&request.consent_id));
    if recurring {
        let refresh = bank.secret();
        let bound = RefreshToken {
            client_id: client.registered.client_id.clone(),
            consent_id: request.consent_id.clone(),
            scope: request.scope.clone(),
            family,
            replaced_until: None,
        };
        books.refresh.insert(refresh.clone(), bound);
        answer["refresh_token"] = json!(refresh);
    }
    drop(books);
    if request.openid {
        let code = Code { request, psu, authenticated_at, expires: now, family: Some(family) };
        answer["id_token"] = json!(id_token(bank, &code, &[("at_hash", &access)])?);
    }
    bank.note("token", "token.issued", "a code was exchanged for a bound token");
    Ok(answer)
}

/// RFC 6749 §6. The refresh token stays as it is, since FAPI 2.0 Security Profile §5.3.2.1 forbids rotation, unless the
/// policy rotates: then the old one works for a while, and its use after that ends the whole grant (RFC 9700 §4.14.2).
fn by_refresh_token(bank: &Inner, client: &Client, peer: &PeerCertificate, form: &Form) -> Result<Value, Fault> {
    let token = form.require("refresh_token")?;
    let mut books = bank.books();
    let found = books.refresh.get(token).cloned();
    let found = found.ok_or_else(|| Fault::grant("refresh_token.unknown", "there is no such refresh token"))?;
    if found.client_id != client.registered.client_id {
        return Err(Fault::grant("refresh_token.client.mismatch", "the refresh token was given to another client"));
    }
    if form.get("scope").is_some_and(|scope| scope != found.scope) {
        return Err(Fault::new("invalid_scope", "request.scope.mismatch", "scope differs from what was granted"));
    }
    if found.replaced_until.is_some_and(|until| until <= bank.now()) {
        books.revoke_family(found.family);
        return Err(Fault::grant("refresh_token.replayed", "the refresh token was replaced; its tokens are revoked"));
    }
    usable_consent(bank, &mut books, &found.consent_id)?;
    let access = issue_access(bank, &mut books, client, peer, Some(found.consent_id.clone()), found.family);
    let fresh = bank.policy.refresh_rotation.map(|grace| (bank.secret(), bank.after(grace)));
    if let Some((fresh, until)) = &fresh {
        books.refresh.insert(fresh.clone(), RefreshToken { replaced_until: None, ..found.clone() });
        if let Some(old) = books.refresh.get_mut(token) {
            old.replaced_until.get_or_insert(*until);
        }
    }
    drop(books);
    bank.note("token", "token.refreshed", "a refresh token gave a new bound token");
    let mut answer = token_response(bank, &access, &found.scope, Some(&found.consent_id));
    if let Some((fresh, _)) = fresh {
        answer["refresh_token"] = json!(fresh);
    }
    Ok(answer)
}

/// RFC 6749 §4.4: the client's own token, for the consent resource.
fn by_credentials(bank: &Inner, client: &Client, peer: &PeerCertificate, form: &Form) -> Result<Value, Fault> {
    let scope = form.require("scope")?;
    if !scope.split(' ').all(|one| bank.ecosystem.own_scopes.contains(&one)) {
        return Err(Fault::new("invalid_scope", "request.scope.invalid", "a client has no token of its own for this"));
    }
    let family = bank.world().uuid();
    let access = issue_access(bank, &mut bank.books(), client, peer, None, family);
    bank.note("token", "token.issued", "the client got a token of its own");
    Ok(token_response(bank, &access, scope, None))
}

/// Whether tokens of a consent may be given, and whether it is recurring.
fn usable_consent(bank: &Inner, books: &mut Books, consent_id: &str) -> Result<bool, Fault> {
    match books.consent(consent_id, bank.now(), bank.today()) {
        Some(consent) if consent.has_tokens() => Ok(consent.recurring),
        _ => Err(Fault::grant("consent.expired", "the consent behind this grant is over")),
    }
}

fn issue_access(
    bank: &Inner,
    books: &mut Books,
    client: &Client,
    peer: &PeerCertificate,
    consent_id: Option<String>,
    family: Uuid,
) -> String {
    let token = bank.secret();
    let bound = AccessToken {
        client_id: client.registered.client_id.clone(),
        thumbprint: peer.thumbprint.clone(),
        consent_id,
        family,
        expires: bank.after(bank.policy.access_token_seconds),
    };
    books.access.insert(token.clone(), bound);
    token
}

fn token_response(bank: &Inner, access: &str, scope: &str, consent_id: Option<&str>) -> Value {
    let kind = if bank.policy.binding == Binding::Certificate { "Bearer" } else { "DPoP" };
    let mut answer = json!({
        "access_token": access,
        "token_type": kind,
        "expires_in": bank.policy.access_token_seconds,
        "scope": scope,
    });
    if let (NamedBy::Arrangement, Some(id)) = (bank.ecosystem.named_by, consent_id) {
        answer["cdr_arrangement_id"] = json!(id);
    }
    answer
}

/// OpenID Connect Core §2 with hashes of what comes beside it (§3.1.3.6, §3.3.2.11). The subject is pairwise (§8.1).
pub(crate) fn id_token(bank: &Inner, code: &Code, beside: &[(&str, &str)]) -> Result<String, Fault> {
    let client_id = &code.request.client_id;
    let username = bank.data.psus.get(code.psu).map_or("", |psu| psu.username.as_str());
    let now = bank.now().as_second();
    let mut claims = json!({
        "iss": bank.issuer,
        "sub": sha256_base64url(&format!("{}\n{client_id}\n{username}", bank.issuer)),
        "aud": client_id,
        "iat": now,
        "exp": now + ID_TOKEN_SECONDS,
        "auth_time": code.authenticated_at.as_second(),
    });
    for (name, value) in beside {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, value.as_bytes());
        claims[*name] = json!(hash.as_ref().get(..16).map(base64url).unwrap_or_default());
    }
    if let Some(nonce) = &code.request.nonce {
        claims["nonce"] = json!(nonce);
    }
    if let Some(acr) = bank.ecosystem.acr {
        claims["acr"] = json!(acr);
    }
    if let NamedBy::Claim(name) = bank.ecosystem.named_by {
        claims[name] = json!(code.request.consent_id);
    }
    let failed = |detail: &str| Fault::new("server_error", "id_token.failed", detail);
    let signed =
        bank.key.sign(&bank.says(Said::IdToken, claims)).map_err(|_| failed("the ID token could not be signed"))?;
    if !bank.ecosystem.encrypted_id_tokens {
        return Ok(signed);
    }
    let closed = bank.client(client_id).and_then(|client| client.keys.encrypt(&signed));
    closed.ok_or_else(|| failed("the client has registered no key to encrypt to"))
}

/// RFC 7009. An unknown token is no error; another client's is.
pub(super) fn revoke(bank: &Inner, peer: &PeerCertificate, form: &Form) -> Result<(), Fault> {
    let client = client::authenticate(bank, peer, form)?;
    let token = form.require("token")?;
    let mut books = bank.books();
    let refresh = books.refresh.get(token).map(|found| (found.client_id.clone(), Some(found.family)));
    let access = || books.access.get(token).map(|found| (found.client_id.clone(), None));
    let Some((owner, family)) = refresh.or_else(access) else {
        return Ok(());
    };
    if owner != client.registered.client_id {
        return Err(Fault::new(
            "unauthorized_client",
            "token.client.mismatch",
            "the token was given to another client",
        ));
    }
    match family {
        // §2.1: with a refresh token go the access tokens of the same grant.
        Some(family) => books.revoke_family(family),
        None => {
            books.access.remove(token);
        }
    }
    drop(books);
    bank.note("revoke", "token.revoked", "a token was revoked");
    Ok(())
}

/// CDR Arrangement Revocation End Point: a form with the arrangement, from the client that it is of.
pub(super) fn revoke_arrangement(bank: &Inner, peer: &PeerCertificate, form: &Form) -> Result<bool, Fault> {
    let client = client::authenticate(bank, peer, form)?;
    let id = form.require("cdr_arrangement_id")?;
    Ok(resources::terminate(bank, id, &client.registered.client_id))
}

/// RFC 7662 for refresh tokens: when the sharing ends, and of which arrangement (CDR Security Profile).
pub(super) fn introspect(bank: &Inner, peer: &PeerCertificate, form: &Form) -> Result<Value, Fault> {
    let client = client::authenticate(bank, peer, form)?;
    let token = form.require("token")?;
    let (now, today) = (bank.now(), bank.today());
    let mut books = bank.books();
    let found = books.refresh.get(token).filter(|found| found.client_id == client.registered.client_id).cloned();
    let Some(found) = found else { return Ok(json!({ "active": false })) };
    let Some(consent) = books.consent(&found.consent_id, now, today) else { return Ok(json!({ "active": false })) };
    if consent.status != ConsentStatus::Valid {
        return Ok(json!({ "active": false }));
    }
    let end = consent.valid_until.to_zoned(TimeZone::UTC).map_or(now, |end| end.timestamp());
    let mut answer = json!({ "active": true, "scope": found.scope, "exp": end.as_second() });
    if bank.ecosystem.named_by == NamedBy::Arrangement {
        answer["cdr_arrangement_id"] = json!(found.consent_id);
    }
    Ok(answer)
}
