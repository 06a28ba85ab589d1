//! Fresher data, as a product asks for them: for a person who is there, or without one and counted; and a word with an owner
//! and a moment where it cannot be.

use domain::breaker::FAILURES_MAX;
use domain::ids::{ConsentId, RegistrationId};
use domain::limits;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use sandbox::{Counting, Misbehaviour, Per};
use serde_json::{Value, json};
use server::reconcile;
use server::services::consents::Work;
use server::services::fetch::{self, Verdict};
use server::setup;
use sqlx::{Connection as _, PgConnection};
use store::bank_health::{self, Service};
use store::jobs::{self, Job, Offer};
use store::{bank_limits, consents};
use tests::site::{Answer, Caller, Site, connected};
use tests::world::{Options, REGISTRATION, World};

const IP: &str = "203.0.113.7";

/// A world with a connected customer, two hours after they were there and before the next fetch is due, and one of their
/// accounts.
async fn two_hours_after(options: Options) -> (World, Site, Caller, ConsentId, String) {
    let world = World::made(options, |_| {}).await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product).await;
    let account = product.get("/v1/accounts").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    assert!(matches!(worker(&world).await, Some(Verdict::Next(_))));
    world.clock.advance(SignedDuration::from_hours(2));
    assert_eq!(worker(&world).await, None, "nothing is due unless somebody asks");
    (world, site, product, consent, format!("/v1/accounts/{account}/refresh"))
}

/// The fetch that is due, claimed as by a worker.
async fn claimed(world: &World) -> Option<Job> {
    let kinds = [Work::Fetch.word().to_owned()];
    let (now, claim) = (world.moment().now, world.moment().uuid());
    let lease_seconds = limits::JOB_LEASE_SECONDS;
    let mut tx = world.app.store.system_tx().await.unwrap();
    let offer = Offer { kinds: &kinds, limit: 9, lane_cap: 9, lease_seconds, now, claim };
    let mut jobs = jobs::claim(&mut tx, offer).await.unwrap();
    tx.commit().await.unwrap();
    assert!(jobs.len() < 2, "{jobs:?}");
    jobs.pop()
}

/// What a worker does that comes by now: the fetch that is due, and a word in the queue how it ended.
async fn worker(world: &World) -> Option<Verdict> {
    let job = claimed(world).await?;
    Some(work(world, &job).await)
}

async fn work(world: &World, job: &Job) -> Verdict {
    let verdict = fetch::run_job(&world.app, job).await.unwrap();
    let mut tx = world.app.store.tenant_tx(job.tenant).await.unwrap();
    match verdict {
        Verdict::Done => jobs::finish(&mut tx, job).await.unwrap(),
        Verdict::Again(at) => jobs::wait(&mut tx, job, at).await.unwrap(),
        Verdict::Next(_) => {}
    }
    tx.commit().await.unwrap();
    verdict
}

/// The problem of an answer that says, in seconds, until when to wait.
async fn waits(
    world: &World,
    (product, refresh): (&Caller, &str),
    wish: &Value,
    until: Timestamp,
) -> (u16, String, String) {
    let seconds = || u64::try_from(until.duration_since(world.moment().now).as_secs()).unwrap();
    let before = seconds();
    let (status, code, who, again) = problem(&product.post(refresh, wish).await);
    assert!((seconds()..=before).contains(&again.unwrap()), "{again:?} of {before}");
    (status, code, who)
}

fn somebody(world: &World) -> Value {
    json!({ "psu": { "ip": IP, "user_agent": "Mozilla/5.0", "session_at": world.moment().now } })
}

/// Status, code, who can fix it, and when to try again.
fn problem(answer: &Answer) -> (u16, String, String, Option<u64>) {
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{}", answer.text());
    let told = answer.json();
    let word = |name: &str| told[name].as_str().unwrap().to_owned();
    (answer.status.as_u16(), word("code"), word("who_can_fix"), told["retry_after"].as_u64())
}

/// Of the reads of accounts since, whether the bank was told of a person.
fn told_of_somebody(world: &World, since: usize) -> Vec<bool> {
    let reads = world.bank.calls().into_iter().skip(since);
    reads.filter(|call| call.request.contains("/accounts")).map(|call| call.attended).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_person_it_is_counted_and_with_one_it_is_not() {
    let (world, site, product, consent, refresh) = two_hours_after(Options::default()).await;

    let since = world.bank.requests().len();
    let first = product.send(Method::POST, &refresh, &[], "".into()).await;
    assert_eq!(first.status, 202, "{}", first.text());
    let promise = first.json();
    assert_eq!((promise["state"].as_str(), promise["basis"].as_str()), (Some("queued"), Some("unattended")));
    assert_eq!(promise["unattended"]["remaining"], promise["unattended"]["limit"], "nothing is taken by asking");
    assert!(matches!(worker(&world).await, Some(Verdict::Next(_))), "it is due");
    assert_eq!(worker(&world).await, None, "once");
    assert!(!told_of_somebody(&world, since).contains(&true), "nobody is made up");

    let limit = promise["unattended"]["limit"].as_u64().unwrap();
    for left in (1..limit).rev() {
        let promise = product.post(&refresh, &json!({})).await.json();
        assert_eq!(promise["unattended"]["remaining"], left, "{promise}");
        assert!(matches!(worker(&world).await, Some(Verdict::Next(_))));
    }
    let (status, code, who, again) = problem(&product.post(&refresh, &json!({})).await);
    assert_eq!((status, code.as_str(), who.as_str()), (429, "budget_exhausted", "user"));
    let again = i64::try_from(again.unwrap()).unwrap();
    assert!((1..=24 * 60 * 60).contains(&again), "{again}");
    assert_eq!(worker(&world).await, None);

    let (since, began) = (world.bank.requests().len(), world.moment().now);
    let attended = product.post(&refresh, &somebody(&world)).await;
    assert_eq!((attended.status.as_u16(), attended.json()["basis"].as_str()), (202, Some("psu_present")));
    assert!(
        matches!(worker(&world).await, Some(Verdict::Next(_))),
        "the person is there: the day's count is no matter"
    );
    let told = told_of_somebody(&world, since);
    assert!(!told.is_empty() && !told.contains(&false), "{told:?}");
    assert_eq!(world.app.present(consent).map(|psu| psu.ip.to_string()).as_deref(), Some(IP));

    // Once more at once, and the bank has its minute.
    let distance = SignedDuration::from_secs(limits::ATTENDED_DISTANCE_SECONDS);
    let soonest = began + distance..=world.moment().now + distance;
    let promise = product.post(&refresh, &somebody(&world)).await.json();
    assert!(soonest.contains(&promise["due_at"].as_str().unwrap().parse().unwrap()), "{promise}");
    assert_eq!(worker(&world).await, None);
    world.clock.advance(distance);
    let since = world.bank.requests().len();
    assert!(matches!(worker(&world).await, Some(Verdict::Next(_))));
    assert!(!told_of_somebody(&world, since).contains(&false));

    world.clock.advance(SignedDuration::from_secs(again));
    let tomorrow = product.post(&refresh, &json!({})).await.json();
    assert_eq!(tomorrow["basis"], "unattended", "as the problem has said");
    assert_eq!(tomorrow["unattended"]["remaining"], tomorrow["unattended"]["limit"]);
    site.end().await;
    world.end().await;
}

/// Both ways of asking get the same word, and what waits is not brought forward.
async fn rests_until(world: &World, product: &Caller, refresh: &str, until: Timestamp) {
    for wish in [json!({}), somebody(world)] {
        let (status, code, who) = waits(world, (product, refresh), &wish, until).await;
        assert_eq!((status, code.as_str(), who.as_str()), (503, "bank_resting", "bank"), "{wish}");
    }
    assert_eq!(worker(world).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_wants_to_be_left_alone_is_by_whoever_is_there_as_well() {
    let (world, site, product, consent, refresh) = two_hours_after(Options::default()).await;
    let registration = RegistrationId::new(REGISTRATION).unwrap();
    let tenant = world.app.tenant.id;
    let (now, pass) = (world.moment().now, |until: Timestamp| {
        world.clock.advance(until.duration_since(world.moment().now) + SignedDuration::from_secs(1));
    });

    let until = now + SignedDuration::from_mins(20);
    let mut tx = world.app.store.tenant_tx(tenant).await.unwrap();
    bank_limits::pause(&mut tx, &registration, until, now).await.unwrap();
    tx.commit().await.unwrap();
    rests_until(&world, &product, &refresh, until).await;
    assert!(world.app.present(consent).is_none(), "nobody is remembered for what is not done");
    pass(until);

    let service = Service { registration, capability: "transactions" };
    let mut tx = world.app.store.tenant_tx(tenant).await.unwrap();
    let mut open = None;
    for _ in 0..FAILURES_MAX {
        let now = world.moment().now;
        let asked = Some(now + SignedDuration::from_mins(20));
        open = bank_health::failed(&mut tx, &service, now, 0, asked, "bank.unavailable").await.unwrap().open_until;
    }
    tx.commit().await.unwrap();
    rests_until(&world, &product, &refresh, open.unwrap()).await;
    pass(open.unwrap());

    // One that says it itself, to the fetch of this consent.
    world.bank.misbehave(Misbehaviour::Broken, "/v1/accounts", 1);
    assert_eq!(product.post(&refresh, &json!({})).await.status, 202);
    let Some(Verdict::Again(until)) = worker(&world).await else { panic!("the bank works") };
    rests_until(&world, &product, &refresh, until).await;
    pass(until);
    let verdict = worker(&world).await;
    assert!(matches!(verdict, Some(Verdict::Next(_))), "{verdict:?} at {}, put off until {until}", world.moment().now);
    world.bank.count(Some(Counting { per: Per::Client, calls: 1, seconds: 3600, tells: true }));
    assert_eq!(product.post(&refresh, &json!({})).await.status, 202);
    let Some(Verdict::Again(until)) = worker(&world).await else { panic!("the bank has not counted") };
    rests_until(&world, &product, &refresh, until).await;
    world.bank.count(None);
    pass(until);
    assert!(matches!(worker(&world).await, Some(Verdict::Next(_))));
    assert_eq!(product.post(&refresh, &json!({})).await.status, 202);
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_allows_fewer_reads_without_the_person_reads_for_one_who_is_there() {
    let options = Options { habits: Some(|policy| policy.reads_per_day = 1), ..Options::default() };
    let (world, site, product, _, refresh) = two_hours_after(options).await;
    assert_eq!(product.post(&refresh, &json!({})).await.status, 202);
    assert!(matches!(worker(&world).await, Some(Verdict::Next(_))));
    assert_eq!(product.post(&refresh, &json!({})).await.status, 202, "nobody knows yet");
    let Some(Verdict::Again(until)) = worker(&world).await else { panic!("a second read of the day") };
    let (status, code, _) = waits(&world, (&product, &refresh), &json!({}), until).await;
    assert_eq!((status, code.as_str()), (429, "budget_exhausted"));
    assert_eq!(worker(&world).await, None);
    assert_eq!(product.post(&refresh, &somebody(&world)).await.status, 202);
    assert!(matches!(worker(&world).await, Some(Verdict::Next(_))));
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_goes_on_as_it_began_and_what_is_withdrawn_meanwhile_is_not_promised() {
    let (world, site, product, consent, refresh) = two_hours_after(Options::default()).await;
    assert_eq!(product.post(&refresh, &json!({})).await.status, 202);
    let job = claimed(&world).await.unwrap();
    let answer = product.post(&refresh, &somebody(&world)).await;
    assert_eq!((answer.status.as_u16(), answer.json()["state"].as_str()), (202, Some("under_way")));
    assert!(world.app.present(consent).is_none(), "the bank is not told of who came later");
    assert!(matches!(work(&world, &job).await, Verdict::Next(_)));
    assert_eq!(worker(&world).await, None, "nothing more was asked for");

    // The withdrawal waits for the consent, and the wish behind it.
    let mut owner = PgConnection::connect_with(&world.private.connect_options()).await.unwrap();
    let mut wait_for = async |waiting: i64| {
        let waits = "select count(*) from pg_locks where not granted";
        while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut owner).await.unwrap() < waiting {
            tokio::task::yield_now().await;
        }
    };
    let mut held = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    consents::lock(&mut held, consent).await.unwrap();
    let (path, wish) = (format!("/v1/consents/{consent}"), somebody(&world));
    let (first, then) = tokio::join!(product.delete(&path), async {
        wait_for(1).await;
        let (answer, ()) = tokio::join!(product.post(&refresh, &wish), async {
            wait_for(2).await;
            drop(held);
        });
        answer
    });
    let (status, code, _, _) = problem(&then);
    assert_eq!((first.status.as_u16(), status, code.as_str()), (202, 409, "consent_state"));
    assert!(world.app.present(consent).is_none() && worker(&world).await.is_none());
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_cannot_be_there_is_not_passed_on() {
    let (world, site, product, consent, refresh) = two_hours_after(Options::default()).await;
    let now = world.moment().now;
    let hours = |hours: i64| now + SignedDuration::from_hours(hours);
    for (field, psu) in [
        ("psu.session_at", json!({ "ip": IP, "session_at": hours(-1) })),
        ("psu.session_at", json!({ "ip": IP, "session_at": hours(1) })),
        ("psu.session_at", json!({ "ip": IP, "session_at": now + SignedDuration::from_mins(2) })),
        ("psu.ip", json!({ "ip": "127.0.0.1", "session_at": now })),
        ("psu.ip", json!({ "ip": "::", "session_at": now })),
        ("psu.ip", json!({ "ip": "somewhere", "session_at": now })),
        ("psu.user_agent", json!({ "ip": IP, "session_at": now, "user_agent": "a\r\nX-Evil: b" })),
        ("psu.user_agent", json!({ "ip": IP, "session_at": now, "user_agent": "" })),
    ] {
        let answer = product.post(&refresh, &json!({ "psu": psu })).await;
        assert_eq!((answer.status.as_u16(), problem(&answer).1.as_str()), (422, "invalid_request"), "{psu}");
        assert!(answer.json()["detail"].as_str().unwrap().starts_with(field), "{}", answer.text());
    }
    assert_eq!(product.post(&refresh, &json!({ "psu": { "ip": IP } })).await.status, 400);
    assert!(world.app.present(consent).is_none());

    // A repetition is one wish, and gets the first answer; another wish under its key is refused.
    let headers = [("idempotency-key", "pull-1")];
    let body = somebody(&world).to_string();
    let send = async |body: String| product.send(Method::POST, &refresh, &headers, body.into()).await;
    let first = send(body.clone()).await;
    world.clock.advance(SignedDuration::from_mins(11));
    let again = send(body).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16(), first.text()), (202, 202, again.text()));
    assert_eq!(problem(&send("{}".to_owned()).await).1, "idempotency_mismatch");
    let page = product.get(&format!("/v1/evidence/consents/{consent}/page")).await.text();
    assert_eq!(page.matches("asked for fresher data (psu present)").count(), 1, "{page}");

    // They are there for as long as they say, and not from when we heard of it; a clock may be a little fast.
    for (age, ahead, still) in [(500, 10, true), (500, 100, false), (-30, 540, true), (-30, 600, false)] {
        let session_at = world.moment().now - SignedDuration::from_secs(age);
        let answer = product.post(&refresh, &json!({ "psu": { "ip": IP, "session_at": session_at } })).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        world.clock.advance(SignedDuration::from_secs(ahead));
        assert_eq!(world.app.present(consent).is_some(), still, "{age} s ago, {ahead} s later");
        world.clock.advance(SignedDuration::from_mins(11));
    }
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_to_be_read_is_not_fetched_either() {
    let (world, site, product, consent, refresh) = two_hours_after(Options::default()).await;
    let ask = async |caller: &Caller| caller.post(&refresh, &json!({})).await;
    let (_, key) = setup::add_product(&world.app, "Another product", &["budgeting"], &[]).await.unwrap();
    assert_eq!(ask(&site.caller(&world, Some(&key))).await.status, 404, "another product's account is nobody's");
    assert_eq!(ask(&site.caller(&world, None)).await.status, 401);

    product.send(Method::PUT, "/v1/psus/user-1/restriction", &[], "".into()).await;
    assert_eq!(ask(&product).await.status, 404, "restricted data are neither read nor fetched");
    product.delete("/v1/psus/user-1/restriction").await;
    assert_eq!(ask(&product).await.status, 202);

    world.clock.advance(SignedDuration::from_hours(24 * 100));
    let calls = world.bank.requests().len();
    assert_eq!(problem(&ask(&product).await).1, "person_needed", "before anybody has looked at the clock");
    reconcile::look(&world.app).await.unwrap();
    for wish in [json!({}), somebody(&world)] {
        let (status, code, who, _) = problem(&product.post(&refresh, &wish).await);
        assert_eq!((status, code.as_str(), who.as_str()), (409, "person_needed", "user"));
    }
    product.delete(&format!("/v1/consents/{consent}")).await;
    assert_eq!(ask(&product).await.status, 404);
    assert_eq!(world.bank.requests().len(), calls, "the bank has heard of none of it");
    site.end().await;
    world.end().await;
}
