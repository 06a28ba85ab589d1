//! What banks tell us unasked: a hint makes us ask and changes nothing by itself; what a standard calls a withdrawal is one,
//! if it is signed.

use std::time::Duration;

use domain::consent::{DataState, ReauthReason, RevokedBy, State};
use domain::grant;
use domain::ids::ConsentId;
use domain::policy::Regime;
use domain::world::Clock as _;
use http::Method;
use jiff::SignedDuration;
use sandbox::{CONSUMER_DATA_RIGHT, Decision, OPEN_BANKING_UK, OPEN_BANKING_UK_4};
use serde_json::{Value, json};
use server::reconcile;
use server::services::logins::Arrival;
use server::services::{deletion, fetch, revocation, status};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _, Row as _};
use store::{capsules, consents, deletions, events, grants};
use tests::site::{Caller, Site};
use tests::world::{CUSTOMER, DATA_HOLDER, Options, Place, REGISTRATION, World};

const UK: Place = Place {
    bank: "gb_musterbank",
    ecosystem: OPEN_BANKING_UK,
    version: None,
    base: "",
    currency: "GBP",
    zone: "Europe/London",
};

const AUSTRALIA: Place = Place {
    bank: "au_musterbank",
    ecosystem: CONSUMER_DATA_RIGHT,
    version: None,
    base: "",
    currency: "AUD",
    zone: "Australia/Sydney",
};

/// A connected customer at a bank, and the name that the bank has for what connects them.
struct Stage {
    world: World,
    site: Site,
    bank: Caller,
    id: ConsentId,
    name: String,
}

impl Stage {
    async fn at(place: Option<Place>) -> Self {
        Self::under(Options { place, ..Options::default() }).await
    }

    async fn under(options: Options) -> Self {
        let world = World::made(options, |_| {}).await;
        let id = world.connect(CUSTOMER).await;
        assert!(matches!(fetch::run(&world.app, world.about(id)).await, Ok(fetch::Verdict::Next(_))));
        let name = world.bank.steal_token().unwrap().consent_id;
        let site = Site::start(world.app.clone()).await;
        let bank = site.caller(&world, None);
        Self { world, site, bank, id, name }
    }

    async fn state(&self) -> (State, DataState) {
        let mut tx = self.world.app.store.tenant_tx(self.world.app.tenant.id).await.unwrap();
        let machine = consents::get(&mut tx, self.id).await.unwrap().machine;
        (machine.state, machine.data)
    }

    async fn grant(&self) -> grant::State {
        let mut tx = self.world.app.store.tenant_tx(self.world.app.tenant.id).await.unwrap();
        let consent = consents::get(&mut tx, self.id).await.unwrap();
        grants::get(&mut tx, consent.grant.unwrap()).await.unwrap().state
    }

    /// How many questions about a status wait.
    async fn questions(&self) -> i64 {
        let mut owner = PgConnection::connect_with(&self.world.private.connect_options()).await.unwrap();
        let row = owner.fetch_one("select count(*) from job where kind = 'ask_status'").await.unwrap();
        owner.close().await.unwrap();
        row.get(0)
    }

    /// Asks the bank, as the waiting question does.
    async fn ask(&self) -> fetch::Verdict {
        status::run(&self.world.app, self.world.app.tenant.id, self.id).await.unwrap()
    }

    async fn told(&self, kind: &str) -> usize {
        let mut tx = self.world.app.store.tenant_tx(self.world.app.tenant.id).await.unwrap();
        events::number(&mut tx).await.unwrap();
        let all = events::after(&mut tx, self.world.product, 0, 100).await.unwrap();
        tx.commit().await.unwrap();
        all.iter().filter(|(_, event)| event.kind == kind).count()
    }

    async fn end(self) {
        self.site.end().await;
        self.world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_status_is_asked_after_and_never_believed() {
    let stage = Stage::at(None).await;
    let (uri, _) = stage.world.bank.status_push(&stage.name).expect("we name an address");
    let path = url::Url::parse(&uri).unwrap().path().to_owned();
    assert_eq!(path, format!("/banks/{REGISTRATION}/notifications"));

    // Somebody lies: the consent is asked after once, and stands.
    let lie = json!({ "consentId": stage.name, "consentStatus": "revokedByPsu" });
    for _ in 0..3 {
        assert_eq!(stage.bank.post(&path, &lie).await.status.as_u16(), 204);
    }
    assert_eq!((stage.questions().await, stage.state().await.0), (1, State::Active));
    assert_eq!(stage.ask().await, fetch::Verdict::Done);
    assert_eq!(stage.state().await.0, State::Active);

    // Whoever guesses learns nothing, and makes nobody work.
    let before = stage.world.bank.requests().len();
    for body in [json!({ "consentId": "somebody-elses" }), json!({}), json!("x")] {
        assert_eq!(stage.bank.post(&path, &body).await.status.as_u16(), 204);
    }
    assert_eq!(stage.bank.post("/banks/elsewhere/notifications", &lie).await.status.as_u16(), 404);
    assert_eq!((stage.questions().await, stage.world.bank.requests().len()), (1, before));

    assert!(stage.world.bank.revoke_at_bank(&stage.name));
    let (_, truth) = stage.world.bank.status_push(&stage.name).unwrap();
    assert_eq!(stage.bank.post(&path, &truth).await.status.as_u16(), 204);
    assert_eq!(stage.state().await.0, State::Active, "the push itself decides nothing");
    assert_eq!(stage.ask().await, fetch::Verdict::Done);
    assert_eq!(stage.state().await, (State::Revoked(RevokedBy::PsuAtBank), DataState::Erasing));
    assert_eq!(stage.grant().await, grant::State::Ended(grant::Ended::AtBank));
    stage.end().await;
}

/// An event of UK Open Banking about a consent.
fn event(stage: &Stage) -> String {
    let subject = json!({
        "subject_type": "http://openbanking.org.uk/rid_http://openbanking.org.uk/rty",
        "http://openbanking.org.uk/rid": stage.name,
        "http://openbanking.org.uk/rty": "account-access-consents",
    });
    let events = json!({ "urn:uk:org:openbanking:events:consent-authorization-revoked": { "subject": subject } });
    stage.world.bank.sign(&json!({ "iss": "https://bank.example/", "jti": "1", "events": events })).unwrap()
}

async fn notify(stage: &Stage, version: &str) {
    let path = format!("/banks/{REGISTRATION}/open-banking/{version}/event-notifications");
    let headers =
        [("content-type", "application/jwt"), ("x-fapi-interaction-id", "db54268f-2cc7-47e3-bf3c-4b5a7d08a614")];
    let answer = stage.bank.send(Method::POST, &path, &headers, event(stage).into()).await;
    assert_eq!(answer.status.as_u16(), 202);
    assert_eq!(answer.headers["x-fapi-interaction-id"], headers[1].1);
    assert_eq!((stage.questions().await, stage.state().await.0), (1, State::Active));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_british_bank_is_asked_after() {
    let stage = Stage::at(Some(UK)).await;
    notify(&stage, "v3.1").await;
    assert_eq!(stage.ask().await, fetch::Verdict::Done);
    assert_eq!(stage.state().await.0, State::Active, "nothing had happened");
    assert!(stage.world.bank.revoke_at_bank(&stage.name));
    notify(&stage, "v3.1").await;
    assert_eq!(stage.ask().await, fetch::Verdict::Done);
    assert_eq!(stage.state().await.0, State::Revoked(RevokedBy::PsuAtBank));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_british_consent_waits_and_lives_again_when_its_bank_says_so() {
    let place = Place { ecosystem: OPEN_BANKING_UK_4, version: Some("4.0.1"), ..UK };
    let stage = Stage::at(Some(place)).await;
    assert!(stage.world.bank.revoke_at_bank(&stage.name));
    notify(&stage, "v4.0").await;
    for times in 1..=2 {
        assert!(matches!(stage.ask().await, fetch::Verdict::Again(_)), "it is looked at again");
        let suspended = State::ReauthPending(ReauthReason::SuspendedByBank);
        assert_eq!(stage.state().await, (suspended, DataState::Present), "look {times}");
    }
    assert_eq!((stage.grant().await, stage.told("consent.suspended").await), (grant::State::Suspended, 1));
    let (calls, now) = (stage.world.bank.requests().len(), stage.world.clock.now());
    assert_eq!(fetch::run(&stage.world.app, stage.world.about(stage.id)).await.unwrap(), fetch::Verdict::Done);
    assert_eq!(stage.world.bank.requests().len(), calls, "no data are asked for meanwhile");

    assert!(stage.world.bank.reinstate(&stage.name));
    assert_eq!(stage.ask().await, fetch::Verdict::Done);
    assert_eq!((stage.state().await.0, stage.told("consent.resumed").await), (State::Active, 1));
    stage.world.clock.advance(SignedDuration::from_hours(25));
    assert!(stage.world.clock.now() > now + Duration::from_secs(3600));
    assert!(matches!(fetch::run(&stage.world.app, stage.world.about(stage.id)).await, Ok(fetch::Verdict::Next(_))));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_bank_holds_it_back_the_persons_word_counts_and_the_bank_is_asked_again_after_it() {
    let place = Place { ecosystem: OPEN_BANKING_UK_4, version: Some("4.0.1"), ..UK };
    let stage = Stage::under(Options { place: Some(place), regime: Some(Regime::Uk), ..Options::default() }).await;
    assert!(stage.world.bank.revoke_at_bank(&stage.name));
    notify(&stage, "v4.0").await;
    assert!(matches!(stage.ask().await, fetch::Verdict::Again(_)));
    let suspended = State::ReauthPending(ReauthReason::SuspendedByBank);
    assert_eq!(stage.state().await.0, suspended);

    stage.world.clock.advance(SignedDuration::from_hours(24 * 91));
    reconcile::look(&stage.world.app).await.unwrap();
    let calls = stage.world.bank.requests().len();
    assert!(matches!(stage.ask().await, fetch::Verdict::Again(_)), "the question is not forgotten");
    assert_eq!(stage.world.bank.requests().len(), calls, "and nobody asks without the person's word");

    let product = stage.site.caller(&stage.world, Some(&stage.world.api_key));
    let word = json!({ "psu": { "session_at": stage.world.clock.now() } });
    let answer = product.post(&format!("/v1/consents/{}/reconfirm", stage.id), &word).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    assert_eq!((stage.state().await.0, stage.told("consent.reconfirmed").await), (suspended, 1));
    assert!(stage.world.bank.reinstate(&stage.name));
    assert_eq!(stage.ask().await, fetch::Verdict::Done);
    assert_eq!((stage.state().await.0, stage.told("consent.resumed").await), (State::Active, 1));
    assert!(stage.world.bank.requests().len() > calls);
    stage.end().await;
}

/// A change of the two signed words of a data holder: who calls, and what it says.
type Spoil = fn(&mut Value, &mut Value);

/// A data holder's call, with claims to change.
async fn withdraw(stage: &Stage, change: impl Fn(&mut Value, &mut Value)) -> u16 {
    let exp = stage.world.clock.now().as_second() + 60;
    let audience = format!("{}arrangements/revoke", stage.world.app.config.listen.public_url);
    let mut caller =
        json!({ "iss": DATA_HOLDER, "sub": DATA_HOLDER, "aud": audience, "jti": exp.to_string(), "exp": exp });
    let mut notice = json!({ "cdr_arrangement_id": stage.name });
    change(&mut caller, &mut notice);
    let sign = |claims: &Value| stage.world.bank.sign(claims).unwrap();
    let (bearer, body) = (format!("Bearer {}", sign(&caller)), format!("cdr_arrangement_jwt={}", sign(&notice)));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    stage.bank.send(Method::POST, "/arrangements/revoke", &headers, body.into()).await.status.as_u16()
}

/// Where tokens are all that a bank could be told by, and the answer with them is lost, nobody says that it is over.
#[tokio::test(flavor = "multi_thread")]
async fn an_arrangement_whose_tokens_never_arrived_is_not_called_ended() {
    for lost in [true, false] {
        let world = World::made(Options { place: Some(AUSTRALIA), ..Options::default() }, |_| {}).await;
        let (id, tenant) = (world.ask(CUSTOMER.0).await, world.app.tenant.id);
        let departure = world.depart(id).await;
        let decision = if lost { Decision::ApproveAll } else { Decision::Deny };
        let visit = world.bank.visit(departure.redirect.as_str(), CUSTOMER.0, CUSTOMER.1, &decision);
        let callback = visit.await.unwrap();
        if lost {
            world.bank.lose_answer_to("/token", "grant_type=authorization_code");
        }
        let arrival = world.arrive(&callback, &departure.browser).await;
        assert!(!matches!(arrival, Arrival::Connected(_)), "{arrival:?}");
        let mut tx = world.app.store.tenant_tx(tenant).await.unwrap();
        let grant = consents::get(&mut tx, id).await.unwrap().grant.unwrap();
        let open = capsules::open(&mut tx, 10).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(open.len(), usize::from(!lost));
        for (capsule, _) in open {
            revocation::run(&world.app, tenant, capsule).await.unwrap();
        }
        let mut tx = world.app.store.tenant_tx(tenant).await.unwrap();
        let expected = if lost { grant::State::Unconfirmed } else { grant::State::Ended(grant::Ended::ByUs) };
        assert_eq!(grants::get(&mut tx, grant).await.unwrap().state, expected);
        drop(tx);
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_holder_ends_an_arrangement_by_its_signed_word_alone() {
    let stage = Stage::at(Some(AUSTRALIA)).await;
    let spoilt: [(u16, Spoil); 5] = [
        (401, |caller, _| caller["iss"] = json!("another brand")),
        (401, |caller, _| caller["sub"] = json!("another brand")),
        (401, |caller, _| caller["aud"] = json!("https://another.example/arrangements/revoke")),
        (401, |caller, _| caller["exp"] = json!(1)),
        (422, |_, notice| notice["cdr_arrangement_id"] = json!("another arrangement")),
    ];
    for (status, change) in spoilt {
        assert_eq!(withdraw(&stage, change).await, status);
    }
    let mut unsigned = stage.bank.send(Method::POST, "/arrangements/revoke", &[], "cdr_arrangement_jwt=x".into()).await;
    assert_eq!((unsigned.status.as_u16(), unsigned.json()["error"].as_str()), (401, Some("invalid_client")));
    let bare = [("authorization", "Bearer x.y.z")];
    unsigned = stage.bank.send(Method::POST, "/arrangements/revoke", &bare, "nothing=x".into()).await;
    assert_eq!(unsigned.status.as_u16(), 400);
    assert_eq!(stage.state().await, (State::Active, DataState::Present));

    assert!(stage.world.bank.revoke_at_bank(&stage.name));
    assert_eq!(withdraw(&stage, |_, _| {}).await, 204);
    assert_eq!(stage.state().await, (State::Revoked(RevokedBy::PsuAtBank), DataState::Erasing));
    assert_eq!(stage.grant().await, grant::State::Ended(grant::Ended::AtBank));
    let tenant = stage.world.app.tenant.id;
    let mut tx = stage.world.app.store.tenant_tx(tenant).await.unwrap();
    assert!(capsules::open(&mut tx, 10).await.unwrap().is_empty(), "the bank is not told what it said itself");
    let erasure = deletions::of_consent(&mut tx, stage.id).await.unwrap().remove(0);
    tx.commit().await.unwrap();
    deletion::run(&stage.world.app, tenant, erasure.id).await.unwrap();
    assert_eq!(stage.state().await.1, DataState::Erased);
    assert_eq!(withdraw(&stage, |_, _| {}).await, 422, "it has ended once");
    stage.end().await;
}
