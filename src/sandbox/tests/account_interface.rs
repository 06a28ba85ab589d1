//! NextGenPSD2 as this bank speaks it: headers, the order of checks, allowances, dates, pages.

use serde_json::{Value, json};

use super::harness::{Connected, Street, consent_body, headers, json_of};

type Headers = Vec<(&'static str, String)>;

fn without(headers: &Headers, name: &str) -> Headers {
    headers.iter().filter(|(known, _)| *known != name).cloned().collect()
}

fn with(headers: &Headers, name: &'static str, value: &str) -> Headers {
    let mut all = without(headers, name);
    all.push((name, value.to_owned()));
    all
}

/// Status, `tppMessages` code and the reason in the log.
async fn refused(street: &Street, path: &str, headers: &Headers) -> (u16, String, String) {
    let answer = street.tpp.get(path, headers).await;
    let body = json_of(&answer);
    let code = body["tppMessages"][0]["code"].as_str().unwrap_or_default().to_owned();
    assert_eq!(body["tppMessages"][0]["category"], "ERROR", "{body}");
    (answer.status().as_u16(), code, street.why())
}

fn told(status: u16, code: &str, why: &str) -> (u16, String, String) {
    (status, code.to_owned(), why.to_owned())
}

async fn account_path(street: &Street, connected: &Connected) -> String {
    let call = attended(connected);
    let accounts = json_of(&street.tpp.get("/v1/accounts", &call).await);
    format!("/v1/accounts/{}", accounts["accounts"][0]["resourceId"].as_str().unwrap())
}

fn attended(connected: &Connected) -> Headers {
    with(&headers(connected.access(), &connected.consent), "psu-ip-address", "192.0.2.7")
}

#[tokio::test]
async fn every_call_needs_its_headers() {
    let street = Street::open().await;
    let connected = street.connect().await;
    let good = headers(connected.access(), &connected.consent);
    let foreign = street.connect_with(&street.other, consent_body()).await;
    let own = street.tpp.own_token().await;
    for (headers, expected) in [
        (without(&good, "x-request-id"), told(400, "FORMAT_ERROR", "request.x_request_id.missing")),
        (with(&good, "x-request-id", "1"), told(400, "FORMAT_ERROR", "request.x_request_id.invalid")),
        (with(&good, "accept", "application/xml"), told(406, "REQUESTED_FORMATS_INVALID", "request.accept.invalid")),
        (without(&good, "authorization"), told(401, "TOKEN_UNKNOWN", "token.missing")),
        (with(&good, "authorization", "Bearer x"), told(401, "TOKEN_UNKNOWN", "token.unknown")),
        (with(&good, "psu-ip-address", "home"), told(400, "FORMAT_ERROR", "request.psu_ip_address.invalid")),
        (without(&good, "consent-id"), told(400, "FORMAT_ERROR", "request.consent_id.missing")),
        (with(&good, "consent-id", "x"), told(403, "CONSENT_UNKNOWN", "consent.unknown")),
        (with(&good, "consent-id", &foreign.consent), told(400, "CONSENT_UNKNOWN", "consent.client.mismatch")),
        (with(&good, "authorization", &format!("Bearer {own}")), told(401, "CONSENT_INVALID", "token.scope.mismatch")),
    ] {
        assert_eq!(refused(&street, "/v1/accounts", &headers).await, expected);
    }
    let accepted = with(&with(&good, "accept", "text/html, application/json;q=0.9"), "psu-ip-address", "2001:db8::7");
    assert_eq!(street.tpp.get("/v1/accounts", &accepted).await.status(), 200);
    assert_eq!(refused(&street, "/v1/payments", &good).await, told(404, "RESOURCE_UNKNOWN", "request.path.unknown"));
    assert_eq!(refused(&street, "/v1/accounts/x", &good).await, told(404, "RESOURCE_UNKNOWN", "account.unknown"));
    let answer = street.tpp.call("PUT", "/v1/accounts", &good, "").await;
    assert_eq!((answer.status().as_u16(), street.why().as_str()), (405, "request.method.invalid"));
    street.clock.forward(300);
    assert_eq!(refused(&street, "/v1/accounts", &good).await, told(401, "TOKEN_EXPIRED", "token.expired"));
}

#[tokio::test]
async fn a_consent_request_is_read_strictly() {
    let street = Street::open().await;
    let token = street.tpp.own_token().await;
    let changed = |name: &str, value: Value| {
        let mut body = consent_body();
        body[name] = value;
        body.to_string()
    };
    for (body, code, why) in [
        ("{".to_owned(), "FORMAT_ERROR", "consent.body.invalid"),
        (changed("frequencyPerDay", json!("4")), "FORMAT_ERROR", "consent.body.invalid"),
        (changed("frequencyPerDay", json!(0)), "FORMAT_ERROR", "consent.frequency.invalid"),
        (changed("recurringIndicator", json!(false)), "FORMAT_ERROR", "consent.frequency.invalid"),
        (changed("validUntil", json!("2026-11-20")), "FORMAT_ERROR", "consent.valid_until.invalid"),
        (changed("validUntil", json!("21.11.2026")), "FORMAT_ERROR", "consent.valid_until.invalid"),
        (
            changed("combinedServiceIndicator", json!(true)),
            "SESSIONS_NOT_SUPPORTED",
            "consent.combined_service.unsupported",
        ),
        (changed("access", json!({})), "FORMAT_ERROR", "consent.access.invalid"),
        (changed("access", json!({ "allPsd2": "everything" })), "FORMAT_ERROR", "consent.access.invalid"),
        (changed("access", json!({ "accounts": [{ "bban": "1" }] })), "FORMAT_ERROR", "consent.access.invalid"),
        (
            changed("access", json!({ "accounts": [], "allPsd2": "allAccounts" })),
            "FORMAT_ERROR",
            "consent.access.invalid",
        ),
    ] {
        let answer = street.tpp.post_consent(&token, &body).await;
        assert_eq!((answer.status().as_u16(), street.why().as_str()), (400, why));
        assert_eq!(json_of(&answer)["tppMessages"][0]["code"], code);
    }
    let call = vec![
        ("authorization", format!("Bearer {token}")),
        ("x-request-id", "00000000-0000-0000-0000-000000000001".to_owned()),
    ];
    let body = consent_body().to_string();
    assert_eq!(street.tpp.call("POST", "/v1/consents", &call, &body).await.status(), 400);
    assert_eq!(street.why(), "request.psu_ip_address.missing");
    let call = with(&call, "psu-ip-address", "192.0.2.7");
    assert_eq!(street.tpp.call("POST", "/v1/consents", &call, &body).await.status(), 415);
}

#[tokio::test]
async fn unattended_reads_are_counted_per_day_and_address() {
    let street = Street::open_with(|config| config.policy.access_token_seconds = 3 * 86_400).await;
    let connected = street.connect().await;
    let unattended = headers(connected.access(), &connected.consent);
    let exceeded = told(429, "ACCESS_EXCEEDED", "consent.frequency.exceeded");
    for _ in 0..4 {
        assert_eq!(street.tpp.get("/v1/accounts", &unattended).await.status(), 200);
    }
    assert_eq!(refused(&street, "/v1/accounts", &unattended).await, exceeded);
    let base = account_path(&street, &connected).await;
    let booked = format!("{base}/transactions?bookingStatus=booked&dateFrom=2026-11-01");
    for _ in 0..4 {
        assert_eq!(street.tpp.get(&booked, &unattended).await.status(), 200);
    }
    assert_eq!(refused(&street, &booked, &unattended).await, exceeded);
    let pending = format!("{base}/transactions?bookingStatus=pending&dateFrom=2026-11-01");
    assert_eq!(street.tpp.get(&pending, &unattended).await.status(), 200);
    assert_eq!(street.tpp.get("/v1/accounts", &attended(&connected)).await.status(), 200);
    street.clock.days(1);
    assert_eq!(street.tpp.get("/v1/accounts", &unattended).await.status(), 200);
}

#[tokio::test]
async fn a_one_off_consent_is_counted_always_and_gone_the_next_day() {
    let street = Street::open_with(|config| config.policy.access_token_seconds = 3 * 86_400).await;
    let mut body = consent_body();
    body["recurringIndicator"] = json!(false);
    body["frequencyPerDay"] = json!(1);
    let connected = street.connect_with(&street.tpp, body).await;
    assert!(connected.tokens.get("refresh_token").is_none());
    let call = attended(&connected);
    assert_eq!(street.tpp.get("/v1/accounts", &call).await.status(), 200);
    assert_eq!(
        refused(&street, "/v1/accounts", &call).await,
        told(429, "ACCESS_EXCEEDED", "consent.frequency.exceeded")
    );
    street.clock.days(1);
    assert_eq!(refused(&street, "/v1/accounts", &call).await, told(401, "CONSENT_EXPIRED", "consent.expired"));
}

#[tokio::test]
async fn time_ends_consents() {
    let street = Street::open_with(|config| config.policy.access_token_seconds = 400 * 86_400).await;
    let mut body = consent_body();
    body["validUntil"] = json!("2026-11-30");
    let connected = street.connect_with(&street.tpp, body).await;
    let waiting = street.tpp.open_consent(consent_body()).await;
    let call = headers(connected.access(), &connected.consent);
    street.clock.days(1);
    assert_eq!(street.tpp.push(&street.tpp.request(&waiting)).await.status(), 400);
    assert_eq!(street.why(), "request_object.scope.expired");
    street.clock.days(8);
    assert_eq!(street.tpp.get("/v1/accounts", &call).await.status(), 200);
    street.clock.days(1);
    assert_eq!(refused(&street, "/v1/accounts", &call).await, told(401, "CONSENT_EXPIRED", "consent.expired"));
    assert_eq!(street.tpp.refresh(connected.refresh()).await.status(), 400);
    assert_eq!(street.why(), "consent.expired");
}

#[tokio::test]
async fn a_person_can_end_it_at_the_bank() {
    let street = Street::open().await;
    let connected = street.connect().await;
    let call = headers(connected.access(), &connected.consent);
    assert!(!street.bank.revoke_at_bank("unknown"));
    assert!(street.bank.revoke_at_bank(&connected.consent));
    assert!(!street.bank.revoke_at_bank(&connected.consent));
    assert_eq!(refused(&street, "/v1/accounts", &call).await, told(401, "CONSENT_INVALID", "consent.status.invalid"));
    assert_eq!(street.tpp.refresh(connected.refresh()).await.status(), 400);
    let status = json_of(&street.tpp.get(&format!("/v1/consents/{}/status", connected.consent), &call).await);
    assert_eq!(status["consentStatus"], "revokedByPsu");
    // The TPP may still say that it is done; that changes nothing.
    let path = format!("/v1/consents/{}", connected.consent);
    assert_eq!(street.tpp.call("DELETE", &path, &call, "").await.status(), 204);
    let own = headers(&street.tpp.own_token().await, &connected.consent);
    assert_eq!(json_of(&street.tpp.get(&path, &own).await)["consentStatus"], "revokedByPsu");
}

#[tokio::test]
async fn a_new_recurring_consent_ends_the_one_before() {
    for (replaces, expected) in [(true, 401), (false, 200)] {
        let street = Street::open_with(|config| config.policy.one_recurring_consent = replaces).await;
        let first = street.connect().await;
        let second = street.connect().await;
        let other_tpp = street.connect_with(&street.other, consent_body()).await;
        let get =
            async |connected: &Connected| street.tpp.get("/v1/accounts", &attended(connected)).await.status().as_u16();
        assert_eq!((get(&first).await, get(&second).await), (expected, 200));
        let call = attended(&other_tpp);
        assert_eq!(street.other.get("/v1/accounts", &call).await.status(), 200);
    }
}

#[tokio::test]
async fn another_tpps_consent_cannot_be_touched() {
    let street = Street::open().await;
    let connected = street.connect().await;
    let theirs = headers(&street.other.own_token().await, &connected.consent);
    for method in ["GET", "DELETE"] {
        let answer = street.other.call(method, &format!("/v1/consents/{}", connected.consent), &theirs, "").await;
        assert_eq!((answer.status().as_u16(), street.why().as_str()), (400, "consent.client.mismatch"));
    }
    assert_eq!(street.tpp.get("/v1/accounts", &attended(&connected)).await.status(), 200);
}

#[tokio::test]
async fn transaction_queries_are_read_strictly() {
    let street = Street::open().await;
    let connected = street.connect().await;
    let call = attended(&connected);
    let base = account_path(&street, &connected).await;
    for (query, code, why) in [
        ("dateFrom=2026-11-01", "FORMAT_ERROR", "request.booking_status.missing"),
        ("bookingStatus=information", "PARAMETER_NOT_SUPPORTED", "request.booking_status.unsupported"),
        ("bookingStatus=booked", "FORMAT_ERROR", "request.date.missing"),
        ("bookingStatus=booked&deltaList=true", "PARAMETER_NOT_SUPPORTED", "request.delta.unsupported"),
        ("bookingStatus=booked&dateFrom=01.11.2026", "FORMAT_ERROR", "request.date.invalid"),
        ("bookingStatus=booked&dateFrom=2026-11-02&dateTo=2026-11-01", "PERIOD_INVALID", "request.period.invalid"),
        ("bookingStatus=booked&dateFrom=2026-11-01&pageIndex=-1", "FORMAT_ERROR", "request.page.invalid"),
        ("bookingStatus=booked&dateFrom=2026-11-01&itemsPerPage=100000", "FORMAT_ERROR", "request.page.invalid"),
    ] {
        assert_eq!(refused(&street, &format!("{base}/transactions?{query}"), &call).await, told(400, code, why));
    }
}

#[tokio::test]
async fn old_rows_need_the_person_or_a_fresh_sign_in() {
    let street = Street::open_with(|config| config.policy.access_token_seconds = 86_400).await;
    let connected = street.connect().await;
    let unattended = headers(connected.access(), &connected.consent);
    let path =
        format!("{}/transactions?bookingStatus=booked&dateFrom=2025-06-01", account_path(&street, &connected).await);
    assert_eq!(street.tpp.get(&path, &unattended).await.status(), 200);
    street.clock.forward(60 * 60 + 1);
    assert_eq!(refused(&street, &path, &unattended).await, told(400, "PERIOD_INVALID", "request.period.too_long"));
    assert_eq!(street.tpp.get(&path, &attended(&connected)).await.status(), 200);
    let recent = path.replace("2025-06-01", "2026-08-23");
    assert_eq!(street.tpp.get(&recent, &unattended).await.status(), 200);
}

#[tokio::test]
async fn rows_have_the_shape_of_the_standard() {
    let street = Street::open_with(|config| config.policy.page_rows = 500).await;
    let connected = street.connect().await;
    let base = account_path(&street, &connected).await;
    let path = format!("{base}/transactions?bookingStatus=both&dateFrom=2026-06-01&withBalance=true");
    let report = json_of(&street.tpp.get(&path, &attended(&connected)).await);
    let booked = report["transactions"]["booked"].as_array().unwrap();
    let find = |test: &dyn Fn(&Value) -> bool| booked.iter().find(|row| test(row)).unwrap();
    let rent = find(&|row| row["creditorName"] == "Hausverwaltung Lindenhof");
    assert_eq!(rent["transactionAmount"], json!({ "currency": "EUR", "amount": "-890.00" }));
    assert!(rent.get("debtorName").is_none() && rent["creditorAccount"]["iban"].is_string());
    let salary = find(&|row| row["purposeCode"] == "SALA");
    assert_eq!(salary["debtorName"], "Nordwerk Maschinenbau GmbH");
    assert!(salary["transactionAmount"]["amount"].as_str().unwrap().starts_with("2845"));
    let abroad = find(&|row| row.get("currencyExchange").is_some());
    assert_eq!(abroad["currencyExchange"][0]["targetCurrency"], "EUR");
    let pending = report["transactions"]["pending"].as_array().unwrap();
    assert!(pending.iter().all(|row| row.get("bookingDate").is_none() && row.get("transactionId").is_none()));
    assert!(!pending.is_empty() && report["balances"].as_array().unwrap().len() == 2);
    let days: Vec<&str> = booked.iter().map(|row| row["bookingDate"].as_str().unwrap()).collect();
    assert!(days.is_sorted_by(|a, b| a >= b));
    assert!(days.first().unwrap() <= &"2026-11-21");
}
