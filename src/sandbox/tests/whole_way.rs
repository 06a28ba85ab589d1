//! One consent from birth to death.

use josekit::jwk::Jwk;
use josekit::jws::{ES256, deserialize_compact};
use serde_json::{Value, json};

use super::harness::{CLIENT, START, Street, consent_body, headers, json_of, tls_front};
use crate::{BankData, Decision};

#[tokio::test]
async fn a_consent_lives_and_ends() {
    let street = Street::open().await;
    let metadata = json_of(&street.tpp.get("/.well-known/openid-configuration", &[]).await);
    assert_eq!(metadata["issuer"], street.bank.issuer);
    assert!(metadata["authorization_endpoint"].as_str().unwrap().starts_with("http://localhost:"));
    assert_eq!(metadata, json_of(&street.tpp.get("/.well-known/oauth-authorization-server", &[]).await));

    let consent = street.tpp.open_consent(consent_body()).await;
    let callback = street.sign_in(&street.tpp, &consent, &Decision::Approve(vec![0, 2])).await;
    assert_eq!((callback["state"].as_str(), &callback["iss"]), ("state-1", &street.bank.issuer));
    let tokens = json_of(&street.tpp.redeem(&callback["code"]).await);
    assert_eq!((tokens["token_type"].as_str(), tokens["expires_in"].as_i64()), (Some("Bearer"), Some(300)));
    check_id_token(&street, &tokens).await;

    let access = tokens["access_token"].as_str().unwrap();
    let call = headers(access, &consent);
    let answer = street.tpp.get("/v1/accounts", &call).await;
    assert_eq!(answer.headers()["x-request-id"], call[2].1.as_str());
    let accounts = json_of(&answer)["accounts"].as_array().unwrap().clone();
    let currencies: Vec<&str> = accounts.iter().map(|account| account["currency"].as_str().unwrap()).collect();
    assert_eq!(currencies, ["EUR", "USD"]);
    let base = format!("/v1/accounts/{}", accounts[0]["resourceId"].as_str().unwrap());
    let balances = json_of(&street.tpp.get(&format!("{base}/balances"), &call).await);
    assert_eq!(balances["balances"][0]["balanceType"], "closingBooked");
    let rows = all_rows(&street, &format!("{base}/transactions?bookingStatus=both&dateFrom=2025-01-01"), &call).await;
    let expected = BankData::generate(jiff::civil::date(2026, 11, 21), 7);
    let today = jiff::civil::date(2026, 11, 21);
    let account = &expected.psus[0].accounts[0];
    let booked = account.booked(today, jiff::civil::Date::MIN, today);
    assert_eq!(rows.len(), booked.len() + account.pending(today).len());

    let refreshed = json_of(&street.tpp.refresh(tokens["refresh_token"].as_str().unwrap()).await);
    assert!(refreshed.get("refresh_token").is_none(), "refresh tokens are not rotated");
    let call = headers(refreshed["access_token"].as_str().unwrap(), &consent);
    assert_eq!(street.tpp.get("/v1/accounts", &call).await.status(), 200);

    let path = format!("/v1/consents/{consent}");
    let granted = json_of(&street.tpp.get(&path, &call).await);
    assert_eq!(
        (granted["consentStatus"].as_str(), granted["validUntil"].as_str()),
        (Some("valid"), Some("2027-05-19"))
    );
    assert_eq!(granted["access"]["transactions"].as_array().unwrap().len(), 2);
    assert_eq!(street.tpp.call("DELETE", &path, &call, "").await.status(), 204);
    assert_eq!(street.tpp.get("/v1/accounts", &call).await.status(), 401);
    assert_eq!(street.why(), "token.unknown");
    assert_eq!(street.tpp.refresh(tokens["refresh_token"].as_str().unwrap()).await.status(), 400);
    let own = headers(&street.tpp.own_token().await, &consent);
    let status = json_of(&street.tpp.get(&format!("{path}/status"), &own).await);
    assert_eq!(status, json!({ "consentStatus": "terminatedByTpp" }));
    street.bank.shutdown().await;
}

/// Follows `next` to the end.
async fn all_rows(street: &Street, first: &str, call: &[(&'static str, String)]) -> Vec<Value> {
    let (mut path, mut rows, mut pages) = (first.to_owned(), Vec::new(), 0);
    loop {
        let answer = street.tpp.get(&path, call).await;
        assert_eq!(answer.status(), 200, "{}", street.why());
        let report = json_of(&answer)["transactions"].clone();
        pages += 1;
        for list in ["booked", "pending"] {
            rows.extend(report[list].as_array().into_iter().flatten().cloned());
        }
        match report["_links"]["next"]["href"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert!(pages > 1);
    rows
}

async fn check_id_token(street: &Street, tokens: &Value) {
    let jwks = json_of(&street.tpp.get("/jwks", &[]).await);
    let key = Jwk::from_map(jwks["keys"][0].as_object().unwrap().clone()).unwrap();
    let verifier = ES256.verifier_from_jwk(&key).unwrap();
    let (payload, _) = deserialize_compact(tokens["id_token"].as_str().unwrap(), &verifier).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(claims["iss"], street.bank.issuer);
    assert_eq!((claims["aud"].as_str(), claims["nonce"].as_str()), (Some(CLIENT), Some("nonce-1")));
    assert_eq!(claims["exp"].as_i64().unwrap() - street.tpp.now(), 300);
    assert_eq!(claims["at_hash"].as_str().unwrap().len(), 22);
    assert!(!payload.windows(4).any(|part| part == b"mara"));
}

#[tokio::test]
async fn another_certificate_cannot_use_a_token() {
    let street = Street::open().await;
    assert!(street.bank.steal_token().is_none());
    let connected = street.connect().await;
    let loot = street.bank.steal_token().unwrap();
    assert_eq!((loot.access_token.as_str(), &loot.consent_id), (connected.access(), &connected.consent));
    let stolen = headers(&loot.access_token, &loot.consent_id);
    let answer = street.other.get("/v1/accounts", &stolen).await;
    assert_eq!(
        (answer.status().as_u16(), json_of(&answer)["tppMessages"][0]["code"].as_str()),
        (401, Some("TOKEN_INVALID"))
    );
    assert_eq!(street.why(), "token.binding.mismatch");
    assert_eq!(street.bank.requests().pop().as_deref(), Some("GET /v1/accounts"), "what was refused came in too");
    assert_eq!(street.tpp.get("/v1/accounts", &stolen).await.status(), 200);
    assert_eq!(street.other.refresh(connected.refresh()).await.status(), 400);
    assert_eq!(street.why(), "refresh_token.client.mismatch");
    street.clock.forward(300);
    assert!(street.bank.steal_token().is_none(), "a token that has run out is not worth stealing");
}

#[tokio::test]
async fn what_is_planted_in_the_books_reaches_the_customer_and_no_log() {
    let street = Street::open_with(|config| {
        let psu = &mut config.data.psus[0];
        psu.name = "CANARY-NAME".to_owned();
        let account = &mut psu.accounts[0];
        account.iban = "CANARY-IBAN".to_owned();
        account.owner_name = "CANARY-OWNER".to_owned();
        let row = account.rows.iter_mut().rfind(|row| row.booked < jiff::civil::date(2026, 11, 21)).unwrap();
        row.remittance = "CANARY-REMITTANCE".to_owned();
        row.money = domain::money::Money::new("-4711.47".parse().unwrap(), domain::money::Currency::EUR);
    })
    .await;
    let connected = street.connect().await;
    let call = headers(connected.access(), &connected.consent);
    let answer = street.tpp.get("/v1/accounts", &call).await;
    let id = json_of(&answer)["accounts"][0]["resourceId"].as_str().unwrap().to_owned();
    let path = format!("/v1/accounts/{id}/transactions?bookingStatus=booked&dateFrom=2026-11-01");
    let report = String::from_utf8(street.tpp.get(&path, &call).await.body().to_vec()).unwrap();
    assert!(report.contains("CANARY-REMITTANCE") && report.contains("-4711.47") && report.contains("CANARY-IBAN"));
    let log = format!("{:?}", street.bank.log());
    assert!(!log.contains("CANARY") && !log.contains("4711") && !log.contains(connected.access()), "{log}");
}

#[tokio::test]
async fn with_a_tls_front_the_aliases_matter() {
    let street = Street::open_with(tls_front).await;
    let metadata = json_of(&street.tpp.get("/.well-known/oauth-authorization-server", &[]).await);
    let (issuer, interface) = (&street.bank.issuer, &street.bank.api_base);
    assert_eq!((issuer, issuer == interface), (&street.bank.front_base, false));
    assert_eq!(metadata["token_endpoint"], format!("{issuer}/token"));
    assert_eq!(metadata["mtls_endpoint_aliases"]["token_endpoint"], format!("{interface}/token"));
    street.connect().await;

    // The same form at the front: no certificate is asked for there, so no token can be bound.
    let mut at_front = street.tpp;
    at_front.base = street.bank.front_base.clone();
    let answer = at_front.form("/token", &[("grant_type", "client_credentials"), ("scope", "ais")]).await;
    assert_eq!(answer.status(), 401);
    let why = street.bank.log().into_iter().rfind(|line| line.refused).unwrap();
    assert_eq!((why.code.as_str(), why.at), ("client.certificate.missing", START.parse().unwrap()));
}
