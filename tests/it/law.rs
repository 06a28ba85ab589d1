//! What a supervisor would read in a bank's log: when we called, whether somebody was there, and how far back we asked.
//!
//! Time is moved in steps; at each of them every clock is looked at and a fetch is tried, as if no schedule held it back.
//! What stops it is the consent alone. Nothing is read from our side: the judge is the bank's own list of what came in.

use domain::consent::{ExpiryReason, ReauthReason, State};
use domain::ids::ConsentId;
use domain::policy::Regime;
use domain::world::Clock as _;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use sandbox::{BankData, Call, Misbehaviour};
use server::reconcile;
use server::services::{ServiceError, fetch, renewals, status};
use store::{budgets, consents, grants};
use tests::world::{NEIGHBOUR, Options, World};

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// What the bank's profile says of the window after an authentication.
const WINDOW: SignedDuration = SignedDuration::from_mins(60);
/// Days of history that the bank gives at any time.
const USUAL_DAYS: i32 = 90;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Few rows: this is about calls.
fn few_rows(data: &mut BankData) {
    for account in data.psus.iter_mut().flat_map(|psu| &mut psu.accounts) {
        let from = account.rows.len().saturating_sub(5);
        account.rows.drain(..from);
    }
}

/// A person who connects at a moment, under a law, at a bank with a period of its own.
struct Person {
    world: World,
    id: ConsentId,
    /// When the text was accepted, at the earliest.
    given: Timestamp,
    /// Authentications at the bank, each at the latest.
    authenticated: Vec<Timestamp>,
}

impl Person {
    async fn connects(begins: Timestamp, regime: Regime, sca_days: Option<u16>, until: Date) -> Self {
        let options = Options { begins: Some(begins), regime: Some(regime), sca_days, ..Options::default() };
        let world = World::made(options, few_rows).await;
        let id = world.ask_until("somebody", until).await;
        let given = world.clock.now();
        let mut person = Self { world, id, given, authenticated: Vec::new() };
        person.authenticates().await;
        person
    }

    async fn authenticates(&mut self) {
        self.world.authorise(self.id, NEIGHBOUR).await;
        self.authenticated.push(self.world.clock.now());
    }

    async fn state(&self) -> State {
        let mut tx = self.world.app.store.tenant_tx(self.world.app.tenant.id).await.unwrap();
        consents::get(&mut tx, self.id).await.unwrap().machine.state
    }

    /// Lets time pass up to a moment, in steps. At each everything that could call the bank is tried.
    async fn lives_until(&self, end: Timestamp, step: SignedDuration) {
        loop {
            // A fetch that comes too early for the day's allowance is put off; that is no end.
            let tried = fetch::run(&self.world.app, self.world.about(self.id)).await;
            assert!(matches!(tried, Ok(_) | Err(ServiceError::Store(_))), "{tried:?}");
            reconcile::look(&self.world.app).await.unwrap();
            let left = end.duration_since(self.world.clock.now());
            if left.is_negative() || left.is_zero() {
                return;
            }
            self.world.clock.advance(step.min(left + SignedDuration::from_secs(1)));
        }
    }

    async fn confirms(&self) {
        let app = &self.world.app;
        let mut tx = app.store.tenant_tx(app.tenant.id).await.unwrap();
        renewals::reconfirm(app, &mut tx, &self.world.moment(), self.id, "psu").await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Calls for data, as the bank has them.
    fn calls(&self) -> Vec<Call> {
        let all = self.world.bank.calls().into_iter();
        all.filter(|call| call.request.starts_with("GET /v1/accounts")).collect()
    }

    /// Older history was asked for inside the window after an authentication, and nowhere else; and only there was
    /// somebody said to be there.
    fn asked_far_back_in_the_window_alone(&self) {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let mut far = 0;
        for call in self.calls() {
            let fresh = |at: &Timestamp| call.at <= *at + WINDOW && call.at >= *at - WINDOW;
            let fresh = self.authenticated.iter().any(fresh);
            assert!(fresh || !call.attended, "nobody was there, and somebody was said to be at {}", call.at);
            let Some(from) = call.from else { continue };
            let today = call.at.to_zoned(zone.clone()).date();
            if from < today.saturating_sub(USUAL_DAYS.days()) {
                assert!(fresh, "{from} was asked for at {}", call.at);
                far += 1;
            }
        }
        assert!(far > 0, "the window was not used");
    }

    /// The last call for data came before `end`, and not long before: it is the clock that stopped them.
    fn last_call(&self, end: Timestamp, near: SignedDuration) {
        let last = self.calls().last().expect("calls").at;
        assert!(last < end, "called at {last}, after {end}");
        assert!(last > end - near, "called at {last} for the last time, long before {end}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_eu_bank_is_read_without_the_person_after_the_period_of_authentication() {
    // A leap day and a change to summer time lie in the period. Where nobody says otherwise it is 90 days less one.
    let begins = at("2028-01-10T08:00:00Z");
    let mut person = Person::connects(begins, Regime::Eu, None, date(2029, 1, 9)).await;
    let due = begins + 89 * DAY;
    person.lives_until(due - DAY, 2 * DAY).await;
    person.lives_until(due + 3 * DAY, SignedDuration::from_hours(3)).await;
    assert_eq!(person.state().await, State::ReauthPending(ReauthReason::ScaExpired));
    // The call itself takes a moment, and the clock of the world runs on.
    person.last_call(due + SignedDuration::from_mins(1), DAY);

    let stopped = person.calls().len();
    person.authenticates().await;
    let renewed = person.world.clock.now();
    person.lives_until(renewed + 2 * DAY, SignedDuration::from_hours(12)).await;
    assert!(person.calls().len() > stopped, "a new authentication sets it going again");
    person.asked_far_back_in_the_window_alone();
    person.world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_longer_period_of_the_bank_ends_with_its_own_last_day_at_the_latest() {
    // 180 days by the bank and by the law; the bank's last day, in its own calendar, comes first: 16 June, summer time.
    let begins = at("2027-12-20T23:30:00Z");
    let person = Person::connects(begins, Regime::Eu, Some(180), date(2029, 1, 9)).await;
    let end = at("2028-06-17T22:00:00Z") - DAY;
    person.lives_until(end - DAY, 9 * DAY).await;
    person.lives_until(end + DAY / 2, SignedDuration::from_hours(2)).await;
    person.last_call(end, DAY);
    assert_eq!(person.state().await, State::ReauthPending(ReauthReason::ScaExpired));
    person.asked_far_back_in_the_window_alone();
    person.world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_uk_bank_is_called_after_ninety_days_without_the_persons_word() {
    let begins = at("2028-01-10T08:00:00Z");
    let person = Person::connects(begins, Regime::Uk, None, date(2028, 7, 7)).await;
    let due = person.given + 90 * DAY;
    person.lives_until(due - DAY, 3 * DAY).await;
    person.lives_until(due + 5 * DAY, SignedDuration::from_hours(3)).await;
    assert_eq!(person.state().await, State::ReauthPending(ReauthReason::ReconfirmMissed));
    // Ninety days on the clock on the wall: summer time has begun meanwhile.
    person.last_call(due, DAY);
    let all = person.world.bank.calls();
    assert!(all.iter().all(|call| call.at < due), "not even a token is asked for");
    // Somebody hints that something has changed: nobody asks.
    let looked = status::run(&person.world.app, person.world.app.tenant.id, person.id).await.unwrap();
    assert_eq!((looked, person.world.bank.calls().len()), (fetch::Verdict::Done, all.len()));

    person.confirms().await;
    let confirmed = person.world.clock.now();
    person.lives_until(confirmed + 2 * DAY, SignedDuration::from_hours(12)).await;
    let later: Vec<_> = person.world.bank.calls().split_off(all.len());
    assert!(later.iter().any(|call| call.request.starts_with("GET /v1/accounts")), "collection goes on");
    let visits = ["POST /par", "POST /v1/consents"];
    assert!(later.iter().all(|call| !visits.contains(&call.request.as_str())), "and nobody went to the bank");
    assert_eq!(person.state().await, State::Active);
    person.world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_day_ends_at_midnight_at_the_bank_whatever_the_clocks_do() {
    // No clock but the term: 26 March 2028 has 23 hours in Berlin and ends at 22:00 UTC.
    let last_day = date(2028, 3, 26);
    let person = Person::connects(at("2028-02-25T10:00:00Z"), Regime::Br, None, last_day).await;
    let end = at("2028-03-26T22:00:00Z");
    person.lives_until(end - SignedDuration::from_hours(2), 4 * DAY).await;
    person.lives_until(end + SignedDuration::from_hours(3), SignedDuration::from_mins(25)).await;
    person.last_call(end, SignedDuration::from_hours(6));
    assert_eq!(person.state().await, State::Expired(ExpiryReason::Term));
    person.world.end().await;
}

/// Reads of a day that are counted here.
async fn counted(world: &World, id: ConsentId) -> i32 {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let grant = consents::get(&mut tx, id).await.unwrap().grant.unwrap();
    let grant = grants::get(&mut tx, grant).await.unwrap();
    let day = world.clock.now().to_zoned(TimeZone::get("Europe/Berlin").unwrap()).date();
    let (registration, subject) = (&grant.registration, grant.id.uuid());
    budgets::used(&mut tx, budgets::Budget { registration, subject, operation: "fetch", day }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_breaks_counts_unless_the_bank_has_answered_nothing() {
    let options = Options { begins: Some(at("2027-03-01T08:00:00Z")), ..Options::default() };
    let world = World::made(options, few_rows).await;
    let id = world.connect(NEIGHBOUR).await;
    assert!(matches!(fetch::run(&world.app, world.about(id)).await.unwrap(), fetch::Verdict::Next(_)));
    for (ending, counts) in [("/v1/accounts", 0), ("/balances", 1), ("/transactions", 1)] {
        world.clock.advance(DAY);
        world.bank.misbehave(Misbehaviour::Unavailable(120), ending, 1);
        let tried = fetch::run(&world.app, world.about(id)).await.unwrap();
        assert!(matches!(tried, fetch::Verdict::Again(_)), "{ending}: {tried:?}");
        assert_eq!(counted(&world, id).await, counts, "{ending}");
        world.bank.behave();
    }
    world.end().await;
}
