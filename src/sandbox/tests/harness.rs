//! A TPP made of a TLS client, a key, and hand-built JWTs; a clock that can be moved; a bank.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use axum::body::Bytes;
use axum::http::{Request, Response};
use domain::world::{Clock, Entropy};
use jiff::{SignedDuration, Timestamp};
use josekit::jwk::Jwk;
use josekit::jwk::alg::ec::{EcCurve, EcKeyPair};
use josekit::jws::{ES256, JwsHeader, serialize_compact};
use net::pki::{Issued, Pki, PkiRequest, generate};
use net::{ClientConfig, Egress, Limits, Psd2Role};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use crate::jose::sha256_base64url;
use crate::{Bank, BankData, ClientAuthentication, Config, Decision, Front, RegisteredClient, Running};

pub(super) const START: &str = "2026-11-21T12:00:00Z";
pub(super) const CLIENT: &str = "PSDDE-BAFIN-999999";
pub(super) const OTHER_CLIENT: &str = "PSDDE-BAFIN-000002";
pub(super) const REDIRECT: &str = "https://tpp.example/callback/musterbank";
pub(super) const VERIFIER: &str = "a-verifier-with-at-least-forty-three-characters-0123";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Keys take time to make; certificates are the same for all tests.
static PKI: LazyLock<Pki> = LazyLock::new(|| {
    generate(&PkiRequest {
        server_names: ["localhost", "127.0.0.1"].map(str::to_owned).to_vec(),
        organization: "Example AISP".to_owned(),
        organization_identifier: CLIENT.to_owned(),
        country: "DE".to_owned(),
        domain: "tpp.example".to_owned(),
        nca_name: "BaFin".to_owned(),
        nca_id: "DE-BAFIN".to_owned(),
        roles: vec![Psd2Role::PspAi],
        now: START.parse().unwrap(),
    })
    .unwrap()
});

/// A clock that moves when told to.
pub(super) struct HandClock(Mutex<Timestamp>);

impl HandClock {
    pub(super) fn forward(&self, seconds: i64) {
        *self.0.lock().unwrap() += SignedDuration::from_secs(seconds);
    }

    pub(super) fn days(&self, days: i64) {
        self.forward(days * 86_400);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// Chance that repeats itself from run to run: SHA-256 of a counter.
struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let count = self.0.fetch_add(1, Ordering::SeqCst);
            let block = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &count.to_be_bytes());
            chunk.copy_from_slice(&block.as_ref()[..chunk.len()]);
        }
    }
}

/// A bank with two registered TPPs; the second one has another key and another certificate.
pub(super) struct Street {
    pub(super) bank: Running,
    pub(super) clock: Arc<HandClock>,
    pub(super) tpp: Tpp,
    pub(super) other: Tpp,
}

/// A TPP at this bank.
pub(super) struct Tpp {
    http: net::Client,
    pub(super) key: Jwk,
    pub(super) client_id: &'static str,
    pub(super) issuer: String,
    pub(super) base: String,
    pub(super) clock: Arc<HandClock>,
    count: AtomicU64,
    certificate_alone: bool,
}

impl Street {
    pub(super) async fn open() -> Self {
        Self::open_with(|_| ()).await
    }

    pub(super) async fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = Arc::new(HandClock(Mutex::new(START.parse().unwrap())));
        let mut config = Config::new(
            clock.clone(),
            Arc::new(Counter(AtomicU64::new(1))),
            PKI.server.identity().unwrap(),
            PKI.roots().unwrap(),
            BankData::generate(jiff::civil::date(2026, 11, 21), 7),
        );
        let keys = [key("one"), key("two")];
        config.clients = vec![registered(CLIENT, &keys[0]), registered(OTHER_CLIENT, &keys[1])];
        change(&mut config);
        let certificate_alone = matches!(config.clients[0].authentication, ClientAuthentication::TlsClientAuth { .. });
        let bank = Bank::start(config).await.unwrap();
        let [first, second] = keys;
        let tpp = |client_id, key, certificate: &Issued, certificate_alone| Tpp {
            http: http_client(Some(certificate), clock.clone()),
            key,
            client_id,
            issuer: bank.issuer.clone(),
            base: bank.api_base.clone(),
            clock: clock.clone(),
            count: AtomicU64::new(0),
            certificate_alone,
        };
        Self {
            tpp: tpp(CLIENT, first, &PKI.qwac, certificate_alone),
            other: tpp(OTHER_CLIENT, second, &PKI.obwac, false),
            bank,
            clock,
        }
    }

    /// The code of the latest refusal in the bank's log.
    pub(super) fn why(&self) -> String {
        self.bank.log().into_iter().rfind(|line| line.refused).map(|line| line.code).unwrap_or_default()
    }

    /// From a new consent to its tokens, with Mara approving everything.
    pub(super) async fn connect(&self) -> Connected {
        self.connect_with(&self.tpp, consent_body()).await
    }

    pub(super) async fn connect_with(&self, tpp: &Tpp, body: Value) -> Connected {
        let consent = tpp.open_consent(body).await;
        let callback = self.sign_in(tpp, &consent, &Decision::ApproveAll).await;
        let answer = tpp.redeem(&callback["code"]).await;
        assert_eq!(answer.status(), 200, "{}", self.why());
        Connected { consent, tokens: json_of(&answer) }
    }

    /// Pushes a request for a consent and lets Mara decide; returns the parameters of the way back.
    pub(super) async fn sign_in(&self, tpp: &Tpp, consent: &str, decision: &Decision) -> HashMap<String, String> {
        let url = self.authorization_url(tpp, consent).await;
        let back = self.bank.visit(&url, "mara", "sandbox-mara", decision).await.unwrap();
        assert!(back.as_str().starts_with(REDIRECT));
        back.query_pairs().into_owned().collect()
    }

    pub(super) async fn authorization_url(&self, tpp: &Tpp, consent: &str) -> String {
        let answer = tpp.push(&tpp.request(consent)).await;
        assert_eq!(answer.status(), 201, "{}", self.why());
        self.authorize_url(tpp.client_id, json_of(&answer)["request_uri"].as_str().unwrap())
    }

    pub(super) fn authorize_url(&self, client_id: &str, request_uri: &str) -> String {
        let mut url = Url::parse(&format!("{}/authorize", self.bank.front_base)).unwrap();
        url.query_pairs_mut().append_pair("client_id", client_id).append_pair("request_uri", request_uri);
        url.to_string()
    }
}

/// A consent with its tokens.
pub(super) struct Connected {
    pub(super) consent: String,
    pub(super) tokens: Value,
}

impl Connected {
    pub(super) fn access(&self) -> &str {
        self.tokens["access_token"].as_str().unwrap()
    }

    pub(super) fn refresh(&self) -> &str {
        self.tokens["refresh_token"].as_str().unwrap()
    }
}

pub(super) fn obwac_subject() -> String {
    PKI.obwac.as_peer().unwrap().subject
}

pub(super) fn qwac_subject() -> String {
    PKI.qwac.as_peer().unwrap().subject
}

pub(super) fn key(kid: &str) -> Jwk {
    let mut pair = EcKeyPair::generate(EcCurve::P256).unwrap();
    pair.set_key_id(Some(kid));
    pair.to_jwk_key_pair()
}

pub(super) fn registered(client_id: &str, key: &Jwk) -> RegisteredClient {
    let mut public: Value = serde_json::from_str(&key.to_public_key().unwrap().to_string()).unwrap();
    public["kid"] = json!(key.key_id());
    RegisteredClient {
        client_id: client_id.to_owned(),
        name: "Example AISP".to_owned(),
        jwks: json!({ "keys": [public] }),
        authentication: ClientAuthentication::PrivateKeyJwt,
        redirect_uris: vec![REDIRECT.to_owned()],
    }
}

pub(super) fn http_client(certificate: Option<&Issued>, clock: Arc<HandClock>) -> net::Client {
    net::Client::new(ClientConfig {
        identity: certificate.map(|issued| issued.identity().unwrap()),
        roots: PKI.roots().unwrap(),
        egress: Egress::loopback_allowed(),
        limits: Limits::BANK,
        post_quantum: false,
        resumption: true,
        clock,
    })
    .unwrap()
}

pub(super) fn json_of(answer: &Response<Bytes>) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

pub(super) fn consent_body() -> Value {
    json!({
        "access": { "allPsd2": "allAccounts" },
        "recurringIndicator": true,
        "validUntil": "9999-12-31",
        "frequencyPerDay": 4,
        "combinedServiceIndicator": false,
    })
}

/// A header set for account calls.
pub(super) fn headers(access: &str, consent: &str) -> Vec<(&'static str, String)> {
    vec![
        ("authorization", format!("Bearer {access}")),
        ("consent-id", consent.to_owned()),
        ("x-request-id", Uuid::from_u128(9).to_string()),
    ]
}

impl Tpp {
    pub(super) fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    fn fresh(&self) -> String {
        format!("jti-{}", self.count.fetch_add(1, Ordering::SeqCst))
    }

    /// A JWS over claims with this TPP's key.
    pub(super) fn sign(&self, typ: Option<&str>, claims: &Value) -> String {
        let mut header = JwsHeader::new();
        header.set_key_id(self.key.key_id().unwrap());
        if let Some(typ) = typ {
            header.set_token_type(typ);
        }
        let signer = ES256.signer_from_jwk(&self.key).unwrap();
        serialize_compact(claims.to_string().as_bytes(), &header, &signer).unwrap()
    }

    pub(super) fn assertion_claims(&self) -> Value {
        let now = self.now();
        json!({
            "iss": self.client_id, "sub": self.client_id, "aud": self.issuer,
            "iat": now, "nbf": now - 5, "exp": now + 60, "jti": self.fresh(),
        })
    }

    /// The claims of a good authorisation request.
    pub(super) fn request(&self, consent: &str) -> Value {
        let now = self.now();
        json!({
            "iss": self.client_id, "aud": self.issuer, "client_id": self.client_id,
            "nbf": now - 5, "iat": now, "exp": now + 300, "jti": self.fresh(),
            "response_type": "code", "redirect_uri": REDIRECT, "state": "state-1", "nonce": "nonce-1",
            "scope": format!("openid AIS:{consent}"),
            "code_challenge": sha256_base64url(VERIFIER), "code_challenge_method": "S256",
        })
    }

    /// Posts a form with good client authentication.
    pub(super) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Response<Bytes> {
        let assertion = self.sign(None, &self.assertion_claims());
        let mut all = fields.to_vec();
        if self.certificate_alone {
            all.push(("client_id", self.client_id));
        } else {
            all.extend([("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion.as_str())]);
        }
        self.bare_form(path, &all).await
    }

    /// Posts a form as it is.
    pub(super) async fn bare_form(&self, path: &str, fields: &[(&str, &str)]) -> Response<Bytes> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(format!("{}{path}", self.base))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(body))
            .unwrap();
        self.http.send(request).await.unwrap()
    }

    /// Pushes a request object made of claims.
    pub(super) async fn push(&self, claims: &Value) -> Response<Bytes> {
        self.form("/par", &[("request", &self.sign(Some("oauth-authz-req+jwt"), claims))]).await
    }

    pub(super) async fn own_token(&self) -> String {
        let answer = self.form("/token", &[("grant_type", "client_credentials"), ("scope", "ais")]).await;
        json_of(&answer)["access_token"].as_str().unwrap().to_owned()
    }

    pub(super) async fn redeem(&self, code: &str) -> Response<Bytes> {
        self.redeem_with(code, REDIRECT, VERIFIER).await
    }

    pub(super) async fn redeem_with(&self, code: &str, redirect_uri: &str, verifier: &str) -> Response<Bytes> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        self.form("/token", &fields).await
    }

    pub(super) async fn refresh(&self, token: &str) -> Response<Bytes> {
        self.form("/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// Creates a consent and returns its id.
    pub(super) async fn open_consent(&self, body: Value) -> String {
        let answer = self.post_consent(&self.own_token().await, &body.to_string()).await;
        assert_eq!(answer.status(), 201, "{:?}", answer.body());
        json_of(&answer)["consentId"].as_str().unwrap().to_owned()
    }

    pub(super) async fn post_consent(&self, token: &str, body: &str) -> Response<Bytes> {
        let headers = [
            ("authorization", format!("Bearer {token}")),
            ("x-request-id", Uuid::from_u128(7).to_string()),
            ("psu-ip-address", "192.0.2.7".to_owned()),
            ("content-type", "application/json".to_owned()),
        ];
        self.call("POST", "/v1/consents", &headers, body).await
    }

    pub(super) async fn get(&self, path: &str, headers: &[(&'static str, String)]) -> Response<Bytes> {
        self.call("GET", path, headers, "").await
    }

    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&'static str, String)],
        body: &str,
    ) -> Response<Bytes> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        self.http.send(request.body(Bytes::from(body.to_owned())).unwrap()).await.unwrap()
    }
}

/// The front over TLS, where one is asked for.
pub(super) fn tls_front(config: &mut Config) {
    config.front = Front::Tls;
}
