//! Logins that do not go as they should, against a bank that listens: which named check refuses, what is still sent, and
//! what becomes of the consent that lies at the bank.

use bank_adapters::ask::BankConsentId;
use domain::consent::{Event, FailureReason, RevokedBy, State};
use domain::grant;
use domain::ids::{ConsentId, GrantId, RegistrationId};
use fapi::keys::KeySet;
use fapi::login::{Callback, PendingLogin};
use fapi::token::{Redeemed, Tokens};
use http::{Method, Request, StatusCode};
use jiff::SignedDuration;
use sandbox::{Decision, Policy, Said};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use server::evidence_log;
use server::services::logins::{self, Arrival};
use server::services::{consents as service, fetch, revocation};
use store::grants::Grant;
use store::sealed::Place;
use store::{capsules, consents, grants, jobs};
use tests::world::{CUSTOMER, NEIGHBOUR, Options, REGISTRATION, World, person};
use url::{Url, form_urlencoded};
use vault::DataKey;

use super::crash::Stage;

/// What the sweep of a stray consent sends, with the consent's id at the end.
const SWEEP: [&str; 3] = ["GET /.well-known/openid-configuration", "POST /token", "DELETE /v1/consents/"];

/// A bank that signs its answers to logins (JARM).
const SIGNED: &str = "profile = \"fapi2-message-signing\"";

/// Somebody whom the bank has just sent back to us.
struct Returning {
    consent: ConsentId,
    /// The consent's id at the bank.
    at_bank: String,
    browser: SecretString,
    callback: Url,
}

/// The parameters of a return.
type Pairs = Vec<(String, String)>;

impl Returning {
    async fn from_bank(world: &World, (name, password): (&str, &str), decision: Decision) -> Self {
        let consent = world.ask(name).await;
        let departure = world.depart(consent).await;
        let (grant, key) = grant(world, consent).await;
        let sealed = grant.sealed_bank_consent.unwrap();
        let opened = Place::bank_consent(world.app.tenant.id, grant.id).open(&key, &sealed).unwrap();
        let at_bank = std::str::from_utf8(&opened).unwrap().to_owned();
        let callback = world.bank.visit(departure.redirect.as_str(), name, password, &decision).await.unwrap();
        Self { consent, at_bank, browser: departure.browser, callback }
    }

    fn query(&self) -> &str {
        self.callback.query().unwrap()
    }

    /// The return with something changed on the way.
    fn altered(&self, change: impl FnOnce(&mut Pairs)) -> String {
        let mut pairs: Pairs = self.callback.query_pairs().into_owned().collect();
        change(&mut pairs);
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }

    fn parameter(&self, name: &str) -> String {
        self.callback.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned()
    }

    async fn arrives(&self, world: &World) -> Arrival {
        arrive(world, self.query(), Some(&self.browser)).await
    }
}

async fn arrive(world: &World, query: &str, browser: Option<&SecretString>) -> Arrival {
    let registration = RegistrationId::new(REGISTRATION).unwrap();
    logins::arrive(&world.app, &registration, query, browser, &person()).await.unwrap()
}

fn set(pairs: &mut Pairs, name: &str, value: &str) {
    pairs.iter_mut().find(|(known, _)| known == name).unwrap().1 = value.to_owned();
}

fn take(pairs: &mut Pairs, name: &str) {
    pairs.retain(|(known, _)| known != name);
}

fn add(pairs: &mut Pairs, name: &str, value: &str) {
    pairs.push((name.to_owned(), value.to_owned()));
}

/// The grant under a consent, with its key.
async fn grant(world: &World, consent: ConsentId) -> (Grant, DataKey) {
    let tenant = world.app.tenant.id;
    let mut tx = world.app.store.tenant_tx(tenant).await.unwrap();
    let id = consents::get(&mut tx, consent).await.unwrap().grant.unwrap();
    let grant = grants::get(&mut tx, id).await.unwrap();
    let key = world.app.vault.open_key(tenant, grant.key.as_ref().unwrap()).unwrap();
    (grant, key)
}

async fn state(world: &World, consent: ConsentId) -> State {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    consents::get(&mut tx, consent).await.unwrap().machine.state
}

async fn grant_state(world: &World, id: GrantId) -> grant::State {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    grants::get(&mut tx, id).await.unwrap().state
}

/// The checks that refused logins of a consent, as its evidence names them.
async fn refusals(world: &World, consent: ConsentId) -> Vec<String> {
    while evidence_log::sequence(&world.app, world.app.tenant.id).await.unwrap() > 0 {}
    let bundle = evidence_log::bundle(&world.app, world.about(consent), None).await.unwrap().unwrap();
    let keys = evidence::VerifierKey::read_all(&server::verifier_key(&world.app).unwrap()).unwrap();
    let report = evidence::verify(&bundle, &keys, None).unwrap();
    let statements = report.lines.iter().filter_map(evidence::Line::statement);
    let refused = statements.filter(|statement| statement.kind == "login.refused");
    refused.map(|statement| statement.body["code"].as_str().unwrap().to_owned()).collect()
}

/// What came to the bank since it had received `before` requests.
fn sent_since(world: &World, before: usize) -> Vec<String> {
    world.bank.requests().split_off(before)
}

/// What the bank wrote down since its log had `before` lines: refusals by their code alone, the rest with its sentence.
fn log_since(world: &World, before: usize) -> Vec<String> {
    let lines = world.bank.log().split_off(before);
    lines
        .into_iter()
        .map(|line| if line.refused { line.code } else { format!("{}: {}", line.code, line.detail) })
        .collect()
}

/// A worker that looks for work in the first five seconds after a login does not find it to sweep, and later does. It is
/// looked for in vain: nothing of this is committed.
async fn the_bank_has_silence_first(world: &World, waiting: &capsules::Capsule) {
    let kinds = [service::Work::EndAtBank.word().to_owned()];
    let mut tx = world.app.store.system_tx().await.unwrap();
    for (after, due) in [(4999, false), (5000, true)] {
        let (now, claim) = (waiting.created_at + SignedDuration::from_millis(after), world.moment().uuid());
        let offer = jobs::Offer { kinds: &kinds, limit: 100, lane_cap: 100, lease_seconds: 1, now, claim };
        let found = jobs::claim(&mut tx, offer).await.unwrap();
        assert_eq!(found.iter().any(|job| job.subject == waiting.id), due, "after {after} ms");
    }
}

/// Runs the waiting revocations and checks that the stray consent, and nothing else, is ended at the bank.
async fn sweep(world: &World, at_bank: &str) {
    let tenant = world.app.tenant.id;
    let mut tx = world.app.store.tenant_tx(tenant).await.unwrap();
    let open = capsules::open(&mut tx, 10).await.unwrap();
    let [(capsule, _)] = open[..] else { panic!("{} consents wait for their sweep", open.len()) };
    let waiting = capsules::get(&mut tx, capsule).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    the_bank_has_silence_first(world, &waiting).await;
    let (requests, lines) = (world.bank.requests().len(), world.bank.log().len());
    assert_eq!(revocation::run(&world.app, tenant, capsule).await.unwrap(), fetch::Verdict::Done);
    let [discover, token, end] = SWEEP;
    assert_eq!(sent_since(world, requests), [discover.to_owned(), token.to_owned(), format!("{end}{at_bank}")]);
    assert!(log_since(world, lines).pop().unwrap().starts_with("consent.terminated"));
    assert_eq!(grant_state(world, waiting.grant).await, grant::State::Ended(grant::Ended::ByUs));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_a_check_refuses_is_the_last_of_its_login() {
    type Row = (fn(&mut Pairs), fn(ConsentId) -> Arrival, &'static str);
    let world = World::start().await;
    let rows: [Row; 6] = [
        (|pairs| set(pairs, "iss", "https://other.example"), Arrival::NotTrusted, "callback.iss.mismatch"),
        (|pairs| take(pairs, "iss"), Arrival::NotTrusted, "callback.iss.missing"),
        (|pairs| add(pairs, "error", "access_denied"), Arrival::NotTrusted, "callback.parameter.invalid"),
        (|pairs| take(pairs, "code"), Arrival::NotTrusted, "callback.code.missing"),
        (|pairs| set(pairs, "code", ""), Arrival::NotTrusted, "callback.code.missing"),
        (
            |pairs| {
                take(pairs, "code");
                add(pairs, "error", "server_error");
            },
            Arrival::BankError,
            "callback.authorization.refused",
        ),
    ];
    for (change, arrival, check) in rows {
        let returning = Returning::from_bank(&world, CUSTOMER, Decision::ApproveAll).await;
        let requests = world.bank.requests().len();
        let arrived = arrive(&world, &returning.altered(change), Some(&returning.browser)).await;
        assert_eq!(format!("{arrived:?}"), format!("{:?}", arrival(returning.consent)), "{check}");
        assert_eq!(refusals(&world, returning.consent).await, [check]);
        assert_eq!(state(&world, returning.consent).await, State::Failed(FailureReason::Error), "{check}");
        assert_eq!(sent_since(&world, requests), Vec::<String>::new(), "{check}: nothing is sent after a refusal");
        sweep(&world, &returning.at_bank).await;

        let late = returning.arrives(&world).await;
        assert!(matches!(late, Arrival::CameTwice(_)), "{check}: the answer as it was comes too late: {late:?}");
        assert_eq!(sent_since(&world, requests).len(), SWEEP.len(), "{check}");
    }
    world.end().await;
}

/// What a server says of itself may change between two logins, under the same issuer.
#[tokio::test(flavor = "multi_thread")]
async fn every_login_asks_the_server_anew_what_it_is() {
    let world = World::start().await;
    for person in [CUSTOMER, NEIGHBOUR] {
        let requests = world.bank.requests().len();
        let returning = Returning::from_bank(&world, person, Decision::ApproveAll).await;
        let begun = world.bank.requests().len();
        assert!(matches!(returning.arrives(&world).await, Arrival::Connected(_)));
        let sent = sent_since(&world, requests);
        let (before, after) = sent.split_at(begun - requests);
        assert_eq!((before[0].as_str(), after[0].as_str()), (SWEEP[0], SWEEP[0]), "{sent:?}");
        assert_eq!(after.iter().filter(|line| line.as_str() == "GET /jwks").count(), 1, "{sent:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_no_login_changes_nothing() {
    let world = World::start().await;
    let returning = Returning::from_bank(&world, CUSTOMER, Decision::ApproveAll).await;
    let (requests, code, state_of) =
        (world.bank.requests().len(), returning.parameter("code"), returning.parameter("state"));
    let padding = "x".repeat(fapi::login::CALLBACK_BYTES_MAX);
    for stray in [
        String::new(),
        returning.altered(|pairs| add(pairs, "code", &code)),
        returning.altered(|pairs| add(pairs, "state", &state_of)),
        returning.altered(|pairs| add(pairs, "padding", &padding)),
        returning.altered(|pairs| take(pairs, "state")),
        returning.altered(|pairs| set(pairs, "state", &state_of[1..])),
        returning.altered(|pairs| set(pairs, "state", &"A".repeat(43))),
    ] {
        let arrived = arrive(&world, &stray, Some(&returning.browser)).await;
        assert!(matches!(arrived, Arrival::Unknown), "{arrived:?}");
    }
    let elsewhere = RegistrationId::new("another").unwrap();
    let arrived = logins::arrive(&world.app, &elsewhere, returning.query(), Some(&returning.browser), &person()).await;
    assert!(matches!(arrived.unwrap(), Arrival::Unknown));
    assert_eq!(sent_since(&world, requests), Vec::<String>::new());
    assert_eq!(state(&world, returning.consent).await, State::Initiated, "it still waits");
    assert!(matches!(returning.arrives(&world).await, Arrival::Connected(_)), "for the one answer that is its own");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_browser_ends_the_login_and_the_person_may_begin_again() {
    let world = World::start().await;
    for foreign in [None, Some("another login's"), Some("nobody's")] {
        let returning = Returning::from_bank(&world, CUSTOMER, Decision::ApproveAll).await;
        let foreign = match foreign {
            None => None,
            Some("nobody's") => Some(SecretString::from("trb_ses_guessed")),
            Some(_) => Some(world.depart(world.ask(NEIGHBOUR.0).await).await.browser),
        };
        let requests = world.bank.requests().len();
        let arrived = arrive(&world, returning.query(), foreign.as_ref()).await;
        assert!(matches!(arrived, Arrival::OtherBrowser(id) if id == returning.consent), "{arrived:?}");
        assert_eq!(refusals(&world, returning.consent).await, ["login.browser.mismatch"]);
        assert_eq!(sent_since(&world, requests), Vec::<String>::new());
        sweep(&world, &returning.at_bank).await;
        let late = returning.arrives(&world).await;
        assert!(matches!(late, Arrival::CameTwice(_)), "not even in the right browser any more: {late:?}");
        assert_eq!(state(&world, returning.consent).await, State::Initiated, "nothing was agreed or refused");
        world.authorise(returning.consent, CUSTOMER).await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_or_a_code_of_another_login_leads_nowhere() {
    let world = World::start().await;
    // Mara's answer under Jonas's state, in Mara's browser: it names a login that another browser began.
    let mara = Returning::from_bank(&world, CUSTOMER, Decision::ApproveAll).await;
    let jonas = Returning::from_bank(&world, NEIGHBOUR, Decision::ApproveAll).await;
    let (requests, foreign) = (world.bank.requests().len(), jonas.parameter("state"));
    let crossed = mara.altered(|pairs| set(pairs, "state", &foreign));
    let arrived = arrive(&world, &crossed, Some(&mara.browser)).await;
    assert!(matches!(arrived, Arrival::OtherBrowser(id) if id == jonas.consent), "{arrived:?}");
    assert_eq!(sent_since(&world, requests), Vec::<String>::new());
    sweep(&world, &jonas.at_bank).await;
    assert!(matches!(mara.arrives(&world).await, Arrival::Connected(_)), "Mara's own answer was not used up");

    // A thief's code under Mara's state, in Mara's browser: it fits everything but the verifier of Mara's login.
    let mara = Returning::from_bank(&world, CUSTOMER, Decision::ApproveAll).await;
    let thief = Returning::from_bank(&world, NEIGHBOUR, Decision::ApproveAll).await;
    let lines = world.bank.log().len();
    let injected = mara.altered(|pairs| set(pairs, "code", &thief.parameter("code")));
    let arrived = arrive(&world, &injected, Some(&mara.browser)).await;
    assert!(matches!(arrived, Arrival::BankError(id) if id == mara.consent), "{arrived:?}");
    assert_eq!(log_since(&world, lines), ["code.code_verifier.mismatch"]);
    assert_eq!(refusals(&world, mara.consent).await, ["token.grant.refused"]);
    sweep(&world, &mara.at_bank).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_has_its_time_and_its_end() {
    let world = World::start().await;
    let tenant = world.app.tenant.id;

    let slow = Returning::from_bank(&world, CUSTOMER, Decision::ApproveAll).await;
    world.clock.advance(SignedDuration::from_mins(16));
    let requests = world.bank.requests().len();
    assert!(matches!(slow.arrives(&world).await, Arrival::TimedOut(_)));
    assert_eq!(refusals(&world, slow.consent).await, ["callback.login.expired"]);
    assert_eq!(state(&world, slow.consent).await, State::Failed(FailureReason::TimedOut));
    assert_eq!(sent_since(&world, requests), Vec::<String>::new());
    sweep(&world, &slow.at_bank).await;

    let slower = Returning::from_bank(&world, CUSTOMER, Decision::ApproveAll).await;
    world.clock.advance(SignedDuration::from_mins(16));
    advance(&world, slower.consent, Event::Tick).await;
    let requests = world.bank.requests().len();
    let arrived = slower.arrives(&world).await;
    assert!(matches!(arrived, Arrival::Overtaken(_)), "the timer was there first: {arrived:?}");
    assert_eq!(state(&world, slower.consent).await, State::Failed(FailureReason::TimedOut));
    assert_eq!(sent_since(&world, requests), Vec::<String>::new());
    sweep(&world, &slower.at_bank).await;

    let withdrawn = Returning::from_bank(&world, CUSTOMER, Decision::ApproveAll).await;
    service::revoke(&world.app, tenant, withdrawn.consent, RevokedBy::Product, "product").await.unwrap();
    let requests = world.bank.requests().len();
    let arrived = withdrawn.arrives(&world).await;
    assert!(matches!(arrived, Arrival::Overtaken(_)), "{arrived:?}");
    assert_eq!(state(&world, withdrawn.consent).await, State::Revoked(RevokedBy::Product));
    assert_eq!(sent_since(&world, requests), Vec::<String>::new());
    sweep(&world, &withdrawn.at_bank).await;

    let restarted = Returning::from_bank(&world, CUSTOMER, Decision::ApproveAll).await;
    let again = world.depart(restarted.consent).await;
    let requests = world.bank.requests().len();
    let arrived = restarted.arrives(&world).await;
    assert!(matches!(arrived, Arrival::Overtaken(_)), "the person began anew: {arrived:?}");
    assert_eq!(sent_since(&world, requests), Vec::<String>::new());
    sweep(&world, &restarted.at_bank).await;
    let callback = world.bank.visit(again.redirect.as_str(), CUSTOMER.0, CUSTOMER.1, &Decision::ApproveAll).await;
    assert!(matches!(world.arrive(&callback.unwrap(), &again.browser).await, Arrival::Connected(_)));
    world.end().await;
}

async fn advance(world: &World, consent: ConsentId, event: Event) {
    let moment = world.moment();
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let before = consents::lock(&mut tx, consent).await.unwrap();
    service::advance(&world.app, &mut tx, &moment, &before, event, "timer", |_| {}).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bank_refuses_ends_the_login() {
    let world = World::start().await;

    let declined = Returning::from_bank(&world, CUSTOMER, Decision::Deny).await;
    let requests = world.bank.requests().len();
    assert!(matches!(declined.arrives(&world).await, Arrival::Denied(_)));
    assert_eq!(refusals(&world, declined.consent).await, ["callback.authorization.refused"]);
    assert_eq!(state(&world, declined.consent).await, State::Failed(FailureReason::Declined));
    assert_eq!(sent_since(&world, requests), Vec::<String>::new());
    sweep(&world, &declined.at_bank).await;

    let stale = Returning::from_bank(&world, CUSTOMER, Decision::ApproveAll).await;
    world.clock.advance(SignedDuration::from_mins(2));
    refused_at_token_endpoint(&world, &stale, "code.expired").await;

    let ended = Returning::from_bank(&world, CUSTOMER, Decision::ApproveAll).await;
    assert!(world.bank.revoke_at_bank(&ended.at_bank));
    refused_at_token_endpoint(&world, &ended, "consent.expired").await;
    world.end().await;
}

async fn refused_at_token_endpoint(world: &World, returning: &Returning, code: &str) {
    let (requests, lines) = (world.bank.requests().len(), world.bank.log().len());
    assert!(matches!(returning.arrives(world).await, Arrival::BankError(_)), "{code}");
    assert_eq!(log_since(world, lines), [code]);
    assert_eq!(sent_since(world, requests), SWEEP[..2], "discovery and the code, then nothing");
    assert_eq!(refusals(world, returning.consent).await, ["token.grant.refused"]);
    assert_eq!(state(world, returning.consent).await, State::Failed(FailureReason::Error));
    sweep(world, &returning.at_bank).await;
}

/// The pending login as it lies in the database, for whoever has the keys.
async fn pending(world: &World, returning: &Returning) -> PendingLogin {
    let (grant, key) = grant(world, returning.consent).await;
    let connection = world.app.connections.get(&grant.registration).unwrap();
    let tag = Callback::parse(returning.query()).unwrap().state_tag(&connection.oauth).unwrap();
    let tenant = world.app.tenant.id;
    let mut tx = world.app.store.tenant_tx(tenant).await.unwrap();
    let login = store::logins::find(&mut tx, &tag).await.unwrap().unwrap();
    let bytes = Place::login(tenant, grant.id, login.id).open(&key, &login.sealed_pending).unwrap();
    PendingLogin::from_bytes(&bytes).unwrap()
}

/// Redeems a code with everything that we have, past all checks of ours.
async fn redeem_directly(world: &World, pending: PendingLogin, query: &str) -> Result<Redeemed, fapi::Refusal> {
    let connection = world.app.connections.get(&RegistrationId::new(REGISTRATION).unwrap()).unwrap();
    let now = world.moment().now;
    let security = connection.oauth.security();
    let found = fapi::metadata::discover(&world.bank.issuer, connection.document, connection.environment, security);
    let (request, read) = found.unwrap().split();
    let metadata = read(connection.auth.send(request).await.unwrap(), now).unwrap();
    let code = pending.finish(Callback::parse(query).unwrap(), &KeySet::empty(), now).unwrap();
    let (request, read) = connection.oauth.redeem(&metadata, code, &world.moment()).unwrap().split();
    read(connection.auth.send(request).await.unwrap(), now)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_counts_once() {
    let world = World::start().await;
    let returning = Returning::from_bank(&world, CUSTOMER, Decision::ApproveAll).await;
    let pending = pending(&world, &returning).await;

    // The same return from two tabs at the same time.
    let lines = world.bank.log().len();
    let (one, two) = tokio::join!(returning.arrives(&world), returning.arrives(&world));
    let connected = [&one, &two].into_iter().filter(|arrival| matches!(arrival, Arrival::Connected(_))).count();
    let twice = [&one, &two].into_iter().filter(|arrival| matches!(arrival, Arrival::CameTwice(_))).count();
    assert_eq!((connected, twice), (1, 1), "{one:?} {two:?}");
    let exchanged = "token.issued: a code was exchanged for a bound token";
    assert_eq!(log_since(&world, lines), [exchanged], "one redemption, and nothing refused");

    let requests = world.bank.requests().len();
    let again = returning.arrives(&world).await;
    assert!(matches!(again, Arrival::CameTwice(id) if id == returning.consent), "{again:?}");
    assert_eq!(sent_since(&world, requests), Vec::<String>::new());
    assert_eq!(state(&world, returning.consent).await, State::Authorized, "the first one counts");
    let fetched = fetch::run(&world.app, world.about(returning.consent)).await.unwrap();
    assert!(matches!(fetched, fetch::Verdict::Next(_)), "{fetched:?}");

    // Past our own check, with our certificate, our key and the right verifier, the bank's check is left.
    let stolen = world.bank.steal_token().unwrap();
    let lines = world.bank.log().len();
    let replayed = redeem_directly(&world, pending, returning.query()).await.map(|_| ()).unwrap_err();
    assert_eq!((replayed.code, replayed.error.as_deref()), ("token.grant.refused", Some("invalid_grant")));
    assert_eq!(log_since(&world, lines), ["code.replayed"]);
    let (status, why) = accounts(&world, Some(&world.pki.qwac), &stolen.access_token, &stolen.consent_id).await;
    assert_eq!((status, why.as_str()), (StatusCode::UNAUTHORIZED, "token.unknown"), "its tokens are revoked");
    assert!(world.bank.steal_token().is_none());
    world.end().await;
}

/// The database breaks two ties against whoever stores a consent's id, and two more against whoever stores tokens, as it does
/// in a deadlock. A sequence keeps its value when a transaction is undone.
const TIES: &str = "create sequence ties maxvalue 1000;
    grant usage on sequence ties to public;
    create function break_tie() returns trigger language plpgsql as $$
    begin
        if nextval('ties') in (1, 2, 4, 5) then raise exception 'a tie' using errcode = '40P01'; end if;
        return new;
    end $$;
    create trigger break_tie before update on bank_grant for each row
        when (new.sealed_tokens is distinct from old.sealed_tokens
            or new.sealed_bank_consent is distinct from old.sealed_bank_consent) execute function break_tie()";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bank_has_given_is_not_lost_to_a_tie() {
    let mut stage = Stage::of(World::start().await).await;
    stage.change(TIES).await;
    let lines = stage.world.bank.log().len();
    let id = stage.connect("a tie", CUSTOMER).await;
    let issued = "token.issued: a code was exchanged for a bound token";
    let given =
        |stage: &Stage, words: &str| log_since(&stage.world, lines).iter().filter(|line| *line == words).count();
    assert_eq!((state(&stage.world, id).await, given(&stage, issued)), (State::Authorized, 1));
    let created = stage.world.bank.requests().into_iter().filter(|request| request == "POST /v1/consents").count();
    assert_eq!(created, 1);

    stage.change("alter sequence ties restart").await;
    stage.world.clock.advance(SignedDuration::from_mins(6));
    let fetched = fetch::run(&stage.world.app, stage.world.about(id)).await.unwrap();
    assert!(matches!(fetched, fetch::Verdict::Next(_)), "{fetched:?}");
    let refreshed = "token.refreshed: a refresh token gave a new bound token";
    assert_eq!((state(&stage.world, id).await, given(&stage, refreshed)), (State::Active, 1));
    stage.end().await;
}

/// Reads accounts at the bank with a token and a certificate: the status, and what the bank wrote down.
async fn accounts(
    world: &World,
    certificate: Option<&net::pki::Issued>,
    token: &str,
    consent: &str,
) -> (StatusCode, String) {
    let request = Request::builder()
        .method(Method::GET)
        .uri(format!("{}/v1/accounts", world.bank.api_base))
        .header("authorization", format!("Bearer {token}"))
        .header("consent-id", consent)
        .header("x-request-id", world.moment().uuid().to_string())
        .body(bytes::Bytes::new())
        .unwrap();
    let lines = world.bank.log().len();
    let answer = world.sender(certificate).send(request).await.unwrap();
    (answer.status(), log_since(world, lines).join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_token_opens_nothing_without_our_certificate() {
    let world = World::start().await;
    let consent = world.connect(CUSTOMER).await;
    let (grant, key) = grant(&world, consent).await;
    let tenant = world.app.tenant.id;
    let bytes = Place::tokens(tenant, grant.id).open(&key, &grant.sealed_tokens.unwrap()).unwrap();
    let tokens = Tokens::from_bytes(&bytes).unwrap();
    let stolen = world.bank.steal_token().unwrap();
    assert_eq!(
        stolen.access_token,
        tokens.access_token.expose_secret(),
        "what we keep sealed is what opens the accounts"
    );
    let at_bank = BankConsentId::new(&stolen.consent_id).unwrap();

    let refused = accounts(&world, Some(&world.pki.obwac), &stolen.access_token, at_bank.expose()).await;
    assert_eq!(refused, (StatusCode::UNAUTHORIZED, "token.binding.mismatch".to_owned()));
    let ours = accounts(&world, Some(&world.pki.qwac), &stolen.access_token, at_bank.expose()).await;
    assert_eq!(ours, (StatusCode::OK, String::new()), "the same request with our certificate");

    let requests = world.bank.requests().len();
    let bare = Request::get(format!("{}/v1/accounts", world.bank.api_base)).body(bytes::Bytes::new()).unwrap();
    assert!(world.sender(None).send(bare).await.is_err(), "without any certificate there is no connection");
    assert_eq!(sent_since(&world, requests), Vec::<String>::new());

    // The refresh token is bound to our key, which no certificate replaces.
    let refresh = tokens.refresh_token.unwrap();
    for certificate in [&world.pki.obwac, &world.pki.qwac] {
        let lines = world.bank.log().len();
        let answer = refresh_without_key(&world, certificate, refresh.expose_secret()).await;
        assert_eq!(answer, (StatusCode::UNAUTHORIZED, Some("invalid_client".to_owned())));
        assert_eq!(log_since(&world, lines), ["client_assertion.missing"]);
    }
    let fetched = fetch::run(&world.app, world.about(consent)).await.unwrap();
    assert!(matches!(fetched, fetch::Verdict::Next(_)), "and we ourselves go on: {fetched:?}");
    world.end().await;
}

async fn refresh_without_key(
    world: &World,
    certificate: &net::pki::Issued,
    token: &str,
) -> (StatusCode, Option<String>) {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "PSDDE-BAFIN-000001")];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = Request::post(format!("{}/token", world.bank.issuer))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.into())
        .unwrap();
    let answer = world.sender(Some(certificate)).send(request).await.unwrap();
    let error =
        serde_json::from_slice::<Value>(answer.body()).ok().and_then(|body| Some(body["error"].as_str()?.to_owned()));
    (answer.status(), error)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_answer_is_believed_for_its_signature_alone() {
    let world = World::made(Options { security: SIGNED, ..Options::default() }, |_| {}).await;
    world.connect(NEIGHBOUR).await;
    let other = Returning::from_bank(&world, NEIGHBOUR, Decision::ApproveAll).await;
    for check in ["callback.response.missing", "callback.state.mismatch", "jarm.signature.invalid", "jarm.exp.expired"]
    {
        let returning = Returning::from_bank(&world, CUSTOMER, Decision::ApproveAll).await;
        let signed = returning.parameter("response");
        assert_eq!(returning.callback.query_pairs().count(), 1, "everything stands in the signed response");
        let own_state = claim(&signed, "state");
        let altered = returning.altered(|pairs| match check {
            "callback.response.missing" => {
                take(pairs, "response");
                add(pairs, "code", "a-code");
                add(pairs, "iss", &world.bank.issuer);
                add(pairs, "state", &own_state);
            }
            // The bank's own signed answer to another login, pointed at this one from outside.
            "callback.state.mismatch" => {
                set(pairs, "response", &other.parameter("response"));
                add(pairs, "state", &own_state);
            }
            "jarm.signature.invalid" => set(pairs, "response", &broken(&signed)),
            _ => world.clock.advance(SignedDuration::from_mins(6)),
        });
        refused_by_signed_answer(&world, &returning, &altered, check).await;
    }
    world.end().await;
}

/// The answer is refused by that check, for the bank's keys were asked for and no code was sent.
async fn refused_by_signed_answer(world: &World, returning: &Returning, query: &str, check: &str) {
    let requests = world.bank.requests().len();
    let arrived = arrive(world, query, Some(&returning.browser)).await;
    assert!(matches!(arrived, Arrival::NotTrusted(id) if id == returning.consent), "{check}: {arrived:?}");
    assert_eq!(refusals(world, returning.consent).await, [check]);
    let keys = ["GET /.well-known/openid-configuration", "GET /jwks"];
    assert_eq!(sent_since(world, requests), keys, "{check}: the bank's keys, and no code");
    sweep(world, &returning.at_bank).await;
}

/// A signed answer in an envelope: its state is inside, and so is everything that is checked.
#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_answer_finds_its_login_and_is_checked_like_any_other() {
    let habits: fn(&mut Policy) = |policy| policy.encrypted_responses = true;
    let world = World::made(Options { security: SIGNED, habits: Some(habits), ..Options::default() }, |_| {}).await;
    let returning = Returning::from_bank(&world, CUSTOMER, Decision::ApproveAll).await;
    assert_eq!(returning.parameter("response").split('.').count(), 5, "a JWE");
    assert!(matches!(returning.arrives(&world).await, Arrival::Connected(id) if id == returning.consent));

    let requests = world.bank.requests().len();
    let returning = Returning::from_bank(&world, NEIGHBOUR, Decision::ApproveAll).await;
    let begun = world.bank.requests().len();
    let spoiled = returning.altered(|pairs| {
        let envelope = broken(&returning.parameter("response"));
        set(pairs, "response", &envelope);
    });
    let arrived = arrive(&world, &spoiled, Some(&returning.browser)).await;
    assert!(matches!(arrived, Arrival::Unknown), "nobody can say whose it is: {arrived:?}");
    assert_eq!(world.bank.requests().len(), begun, "and nothing is sent: {:?}", sent_since(&world, requests));

    for (name, value, check) in [
        ("iss", Value::from("https://other.example"), "jarm.iss.mismatch"),
        ("aud", "another".into(), "jarm.aud.mismatch"),
        ("exp", Value::Null, "jarm.exp.missing"),
        ("exp", (world.moment().now.as_second() + 3600).into(), "jarm.exp.invalid"),
        ("nbf", (world.moment().now.as_second() + 3600).into(), "jarm.nbf.invalid"),
        ("error", 7.into(), "jarm.claims.invalid"),
    ] {
        world.bank.misstate(Said::SignedResponse, name, value);
        let returning = Returning::from_bank(&world, CUSTOMER, Decision::ApproveAll).await;
        refused_by_signed_answer(&world, &returning, returning.query(), check).await;
        world.bank.be_honest();
    }
    world.end().await;
}

/// A claim of a JWT, unverified.
fn claim(jwt: &str, name: &str) -> String {
    use base64::Engine as _;
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice::<Value>(&payload).unwrap()[name].as_str().unwrap().to_owned()
}

/// The JWT with one bit of its signature turned.
fn broken(jwt: &str) -> String {
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let turned = if signature.starts_with('A') { "B" } else { "A" };
    format!("{signed}.{turned}{}", &signature[1..])
}
