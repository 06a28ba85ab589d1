//! What a browser meets.

use josekit::jwk::Jwk;
use josekit::jws::{ES256, deserialize_compact};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::harness::{CLIENT, OTHER_CLIENT, REDIRECT, Street, consent_body, headers, json_of};
use crate::{Decision, VisitError};

const STOPPED: VisitError = VisitError::Stopped(axum::http::StatusCode::BAD_REQUEST);

#[tokio::test]
async fn a_request_uri_works_once_for_its_client_and_not_for_long() {
    let street = Street::open().await;
    let tpp = &street.tpp;
    let visit = async |url: &str| street.bank.visit(url, "mara", "sandbox-mara", &Decision::ApproveAll).await;
    let fresh = async || {
        let consent = tpp.open_consent(consent_body()).await;
        street.authorization_url(tpp, &consent).await
    };
    let used = fresh().await;
    assert!(visit(&used).await.is_ok());
    let late = fresh().await;
    street.clock.forward(90);
    let cases = [
        (used, "request_uri.unknown"),
        (late, "request_uri.expired"),
        (fresh().await.replace(CLIENT, OTHER_CLIENT), "request_uri.client.mismatch"),
        (format!("{}&state=x", fresh().await), "request.parameter.invalid"),
        (format!("{0}&client_id={CLIENT}", fresh().await), "request.parameter.invalid"),
        (street.authorize_url(CLIENT, "urn:ietf:params:oauth:request_uri:x"), "request_uri.unknown"),
    ];
    for (url, why) in cases {
        assert_eq!((visit(&url).await, street.why().as_str()), (Err(STOPPED), why));
    }
    assert_eq!(visit("https://elsewhere.example/authorize").await, Err(VisitError::Elsewhere));
}

#[tokio::test]
async fn a_refusal_goes_back_with_state_and_issuer() {
    let street = Street::open().await;
    let consent = street.tpp.open_consent(consent_body()).await;
    let back = street.sign_in(&street.tpp, &consent, &Decision::Deny).await;
    assert_eq!((back["error"].as_str(), back["state"].as_str()), ("access_denied", "state-1"));
    assert_eq!(back["iss"], street.bank.issuer);
    assert!(!back.contains_key("code"));
    let own = headers(&street.tpp.own_token().await, &consent);
    let status = json_of(&street.tpp.get(&format!("/v1/consents/{consent}/status"), &own).await);
    assert_eq!(status["consentStatus"], "rejected");
    let again = street.tpp.push(&street.tpp.request(&consent)).await;
    assert_eq!((again.status().as_u16(), street.why().as_str()), (400, "request_object.scope.expired"));
}

#[tokio::test]
async fn a_signed_response_holds_everything_in_one_parameter() {
    let street = Street::open().await;
    let consent = street.tpp.open_consent(consent_body()).await;
    let mut claims = street.tpp.request(&consent);
    claims["response_mode"] = json!("jwt");
    let pushed = json_of(&street.tpp.push(&claims).await);
    let url = street.authorize_url(CLIENT, pushed["request_uri"].as_str().unwrap());
    let back = street.bank.visit(&url, "mara", "sandbox-mara", &Decision::ApproveAll).await.unwrap();
    let pairs: Vec<(String, String)> = back.query_pairs().into_owned().collect();
    let [(name, response)] = pairs.as_slice() else { panic!("{back}") };
    assert_eq!(name, "response");
    let jwks = json_of(&street.tpp.get("/jwks", &[]).await);
    let key = Jwk::from_map(jwks["keys"][0].as_object().unwrap().clone()).unwrap();
    let (payload, _) = deserialize_compact(response, &ES256.verifier_from_jwk(&key).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!((claims["aud"].as_str(), claims["state"].as_str()), (Some(CLIENT), Some("state-1")));
    assert_eq!(claims["iss"], street.bank.issuer);
    assert_eq!(street.tpp.redeem(claims["code"].as_str().unwrap()).await.status(), 200);
}

#[tokio::test]
async fn a_person_must_know_the_password_and_choose_something() {
    let street = Street::open().await;
    let tpp = &street.tpp;
    let consent = tpp.open_consent(consent_body()).await;
    let url = street.authorization_url(tpp, &consent).await;
    let wrong = street.bank.visit(&url, "mara", "guess", &Decision::ApproveAll).await;
    assert_eq!(wrong, Err(VisitError::SignIn));
    let url = street.authorization_url(tpp, &consent).await;
    let nothing = street.bank.visit(&url, "mara", "sandbox-mara", &Decision::Approve(vec![])).await;
    assert_eq!(nothing, Err(VisitError::Page));
}

#[tokio::test]
async fn only_the_named_accounts_of_the_person_are_offered() {
    let street = Street::open_with(|config| config.data.psus[0].accounts[1].iban = "DE00SAVINGS".to_owned()).await;
    let tpp = &street.tpp;
    let mut body = consent_body();
    body["access"] = json!({ "accounts": [{ "iban": "DE00SAVINGS" }, { "iban": "DE00NOBODY" }], "balances": [] });
    let consent = tpp.open_consent(body).await;
    let back = street.sign_in(tpp, &consent, &Decision::ApproveAll).await;
    let tokens = json_of(&tpp.redeem(&back["code"]).await);
    let call = headers(tokens["access_token"].as_str().unwrap(), &consent);
    let accounts = json_of(&tpp.get("/v1/accounts", &call).await)["accounts"].clone();
    assert_eq!(accounts.as_array().unwrap().len(), 1);
    assert_eq!((accounts[0]["iban"].as_str(), &accounts[0]["_links"]), (Some("DE00SAVINGS"), &json!({})));
    let path = format!("/v1/accounts/{}/balances", accounts[0]["resourceId"].as_str().unwrap());
    assert_eq!(tpp.get(&path, &call).await.status(), 401);
    assert_eq!(street.why(), "account.access.mismatch");
}

/// Sends one request to the pages as a browser would, with a cookie and perhaps a form.
async fn browse(
    street: &Street,
    path: &str,
    cookie: &str,
    form: Option<&str>,
) -> axum::http::Response<axum::body::Body> {
    let builder = axum::http::Request::builder().uri(path).header("cookie", cookie);
    let request = match form {
        Some(form) => builder.method("POST").body(axum::body::Body::from(form.to_owned())),
        None => builder.body(axum::body::Body::empty()),
    };
    street.bank.front_router.clone().oneshot(request.unwrap()).await.unwrap()
}

#[tokio::test]
async fn pages_are_locked_down_and_sessions_are_not_guessable() {
    let street = Street::open().await;
    let consent = street.tpp.open_consent(consent_body()).await;
    let url = street.authorization_url(&street.tpp, &consent).await;
    let path = url.strip_prefix(&street.bank.front_base).unwrap();
    let begun = browse(&street, path, "", None).await;
    assert_eq!(begun.status(), 303);
    assert_eq!(begun.headers()["location"], "/login");
    let cookie = begun.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();

    let login = browse(&street, "/login", cookie, None).await;
    let policy = login.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let origin = REDIRECT.strip_suffix("/callback/musterbank").unwrap();
    assert!(policy.contains(&format!("form-action 'self' {origin}")), "{policy}");
    assert_eq!(login.headers()["referrer-policy"], "no-referrer");

    for (path, cookie, form) in [
        ("/login", "", None),
        ("/login", "bank_session_1=x", None),
        ("/consent", "", Some("decision=approve")),
        ("/login", cookie, Some("username=mara&password=sandbox-mara&decision=sign_in")),
        ("/login", cookie, Some("csrf=guess&username=mara&password=sandbox-mara&decision=sign_in")),
    ] {
        assert_eq!(browse(&street, path, cookie, form).await.status(), 400, "{path} {form:?}");
        assert_eq!(street.why(), "session.missing");
    }
    street.clock.forward(600);
    assert_eq!(browse(&street, "/login", cookie, None).await.status(), 400);
}

#[tokio::test]
async fn a_foreign_name_cannot_write_into_a_page() {
    let street = Street::open_with(|config| config.clients[0].name = "<script>alert(1)</script>".to_owned()).await;
    let consent = street.tpp.open_consent(consent_body()).await;
    let url = street.authorization_url(&street.tpp, &consent).await;
    let begun = browse(&street, url.strip_prefix(&street.bank.front_base).unwrap(), "", None).await;
    let cookie = begun.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let login = browse(&street, "/login", &cookie, None).await;
    let page = axum::body::to_bytes(login.into_body(), 1 << 20).await.unwrap();
    let page = std::str::from_utf8(&page).unwrap();
    assert!(!page.contains("<script") && page.contains("alert(1)"), "{page}");
}

#[tokio::test]
async fn a_late_answer_cannot_change_a_decision() {
    let street = Street::open().await;
    let tpp = &street.tpp;
    let consent = tpp.open_consent(consent_body()).await;
    let mut urls = Vec::new();
    for _ in 0..3 {
        urls.push(street.authorization_url(tpp, &consent).await);
    }
    let visit = async |url: &str, decision| street.bank.visit(url, "mara", "sandbox-mara", &decision).await.unwrap();
    assert!(visit(&urls[0], Decision::ApproveAll).await.query().unwrap().contains("code="));
    for (url, decision) in [(&urls[1], Decision::Deny), (&urls[2], Decision::ApproveAll)] {
        assert!(visit(url, decision).await.query().unwrap().contains("error=access_denied"));
    }
    let own = headers(&tpp.own_token().await, &consent);
    let status = json_of(&tpp.get(&format!("/v1/consents/{consent}/status"), &own).await);
    assert_eq!((status["consentStatus"].as_str(), street.why().as_str()), (Some("valid"), "consent.expired"));
}

#[tokio::test]
async fn guessing_ends_after_five_passwords() {
    let street = Street::open().await;
    let consent = street.tpp.open_consent(consent_body()).await;
    let url = street.authorization_url(&street.tpp, &consent).await;
    let begun = browse(&street, url.strip_prefix(&street.bank.front_base).unwrap(), "", None).await;
    let cookie = begun.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let login = browse(&street, "/login", &cookie, None).await;
    let page = axum::body::to_bytes(login.into_body(), 1 << 20).await.unwrap();
    let page = std::str::from_utf8(&page).unwrap();
    let csrf = page.split_once("name=\"csrf\" value=\"").unwrap().1.split('"').next().unwrap();
    let guess = format!("csrf={csrf}&username=mara&password=guess&decision=sign_in");
    for _ in 0..4 {
        assert_eq!(browse(&street, "/login", &cookie, Some(&guess)).await.status(), 200);
    }
    let last = browse(&street, "/login", &cookie, Some(&guess)).await;
    let back = last.headers()["location"].to_str().unwrap();
    assert!(back.starts_with(REDIRECT) && back.contains("error=access_denied"), "{back}");
    assert_eq!(browse(&street, "/login", &cookie, None).await.status(), 400);
}
