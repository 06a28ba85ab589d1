//! The same probe at our own simulated bank, which is stricter than most.

use std::sync::Arc;

use bytes::Bytes;
use domain::world::{Clock as _, World};
use fapi::call::Call;
use fapi::keys::Signer;
use fapi::metadata::{self, Document, Environment};
use fapi::profile::{Alg, FAPI2_MESSAGE_SIGNING};
use fapi::{Refusal, client::Client};
use jiff::tz::TimeZone;
use net::{ClientConfig, Egress, Limits, Roots, TransportIdentity};
use sandbox::{Bank, BankData, ClientAuthentication, Config, RegisteredClient, Running};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tests::world::TestClock;
use vault::SystemEntropy;

use crate::certificates::{file, public_keys, signer, text};
use crate::combination::{CLIENT_ID, REDIRECT_URI};
use crate::probe::{self, Outcome};

const PROFILE: &str = "[security]\nprofile = \"fapi2-message-signing\"\nconsent_scope = \"AIS:{consent_id}\"\n";

/// A login at the bank, with a resource call that it does not take: the call lacks headers of the standard.
#[tokio::test(flavor = "multi_thread")]
async fn the_probe_completes_at_the_simulated_bank_and_stops_where_the_bank_says_no() {
    let clock = Arc::new(TestClock::default());
    let bank = open(&clock).await;
    let outcome = attempt(&bank, &open_consent(&bank, &clock).await, &["--form", "password=sandbox-mara"]);
    assert!(outcome.ok, "{outcome:#?}\n{:#?}", bank.log());
    assert!(outcome.step("refresh").is_some_and(|step| step.detail == "refreshed twice"), "{outcome:#?}");

    let resource = format!("{}/v1/accounts", bank.api_base);
    let arguments = ["--form", "password=sandbox-mara", "--resource", &resource];
    let outcome = attempt(&bank, &open_consent(&bank, &clock).await, &arguments);
    assert_eq!(outcome.reason.as_deref(), Some("resource.request.refused"), "{outcome:#?}");
    assert!(bank.requests().last().is_some_and(|last| last.contains("/v1/accounts")), "{:?}", bank.requests());

    let outcome = attempt(&bank, &open_consent(&bank, &clock).await, &["--form", "password=wrong"]);
    assert_eq!(outcome.reason.as_deref(), Some("page.form.refused"), "{outcome:#?}");
    let arguments = ["--form", "password=sandbox-mara", "--form", "decision=deny"];
    let outcome = attempt(&bank, &open_consent(&bank, &clock).await, &arguments);
    assert_eq!(outcome.reason.as_deref(), Some("callback.authorization.refused"), "{outcome:#?}");
    bank.shutdown().await;
}

fn attempt(bank: &Running, consent: &str, more: &[&str]) -> Outcome {
    let path = |name: &str| file(name).display().to_string();
    let registration = format!(
        "client_id = \"{CLIENT_ID}\"\nredirect_uri = \"{REDIRECT_URI}\"\nissuer = \"{}\"\nenvironment = \"sandbox\"\n\
         scopes = [\"openid\"]\n[transport]\ncertificate = \"{}\"\nkey = \"{}\"\nca = \"{}\"\n\
         [signing]\nkey = \"{}\"\nkid = \"ours\"\nalg = \"ES256\"\n",
        bank.issuer,
        path("qwac.pem"),
        path("qwac.key"),
        path("ca.pem"),
        path("signing.key"),
    );
    let mut arguments = vec!["--intent", consent, "--form", "username=mara"];
    arguments.extend(more);
    tokio::task::block_in_place(|| probe::run_files(PROFILE, &registration, &arguments))
}

async fn open(clock: &Arc<TestClock>) -> Running {
    start(clock, |_| {}).await
}

/// A bank that knows us, after a change of what it is started with.
pub(crate) async fn start(clock: &Arc<TestClock>, change: impl FnOnce(&mut Config)) -> Running {
    let identity = TransportIdentity::from_pem(text("server.pem").as_bytes(), text("server.key").as_bytes());
    let roots = Roots::from_pem(text("ca.pem").as_bytes()).expect("roots");
    let today = clock.now().to_zoned(TimeZone::UTC).date();
    let books = BankData::generate(today, 7);
    let mut config = Config::new(clock.clone(), Arc::new(SystemEntropy), identity.expect("an identity"), roots, books);
    config.clients = vec![RegisteredClient {
        client_id: CLIENT_ID.to_owned(),
        name: "Test TPP".to_owned(),
        jwks: json!({ "keys": public_keys(Alg::Es256, None) }),
        authentication: ClientAuthentication::PrivateKeyJwt,
        redirect_uris: vec![REDIRECT_URI.to_owned()],
    }];
    change(&mut config);
    Bank::start(config).await.expect("a bank")
}

/// A consent that waits for its PSU.
async fn open_consent(bank: &Running, clock: &Arc<TestClock>) -> String {
    let http = net::Client::new(ClientConfig {
        identity: TransportIdentity::from_pem(text("qwac.pem").as_bytes(), text("qwac.key").as_bytes()).ok(),
        roots: Roots::from_pem(text("ca.pem").as_bytes()).expect("roots"),
        egress: Egress::loopback_allowed(),
        limits: Limits::BANK,
        post_quantum: false,
        resumption: false,
        clock: clock.clone(),
    })
    .expect("a client");
    let ours: Arc<dyn Signer> = Arc::new(signer(Alg::Es256));
    let client = Client::new(FAPI2_MESSAGE_SIGNING, CLIENT_ID, REDIRECT_URI, ours);
    let world = World { now: clock.now(), entropy: &SystemEntropy };
    let call = metadata::discover(&bank.issuer, Document::OpenId, Environment::Development, client.security());
    let metadata = send(&http, clock, call).await;
    let tokens = send(&http, clock, client.client_credentials(&metadata, "ais", &world)).await;
    let ask = json!({
        "access": { "allPsd2": "allAccounts" }, "recurringIndicator": true, "validUntil": "9999-12-31",
        "frequencyPerDay": 4, "combinedServiceIndicator": false,
    });
    let request = http::Request::post(format!("{}/v1/consents", bank.api_base))
        .header("authorization", format!("Bearer {}", tokens.access_token.expose_secret()))
        .header("x-request-id", world.uuid().to_string())
        .header("psu-ip-address", "192.0.2.7")
        .header("content-type", "application/json")
        .body(Bytes::from(ask.to_string()))
        .expect("a request");
    let answer = http.send(request).await.expect("an answer");
    let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
    body["consentId"].as_str().unwrap_or_else(|| panic!("no consent: {body}")).to_owned()
}

async fn send<T>(http: &net::Client, clock: &Arc<TestClock>, call: Result<Call<T, Refusal>, Refusal>) -> T {
    let (request, read) = call.expect("a call").split();
    read(http.send(request).await.expect("an answer"), clock.now()).expect("what was asked for")
}
