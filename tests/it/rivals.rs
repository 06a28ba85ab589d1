//! Two products at a bank that allows one authorisation at a time: nothing ends silently, nobody's accounts become another's,
//! and no product's word makes two persons one.

use domain::consent::{DataState, ReauthReason, RevokedBy, State};
use domain::grant;
use domain::ids::{ConsentId, LineId, ProductId};
use http::Method;
use jiff::SignedDuration;
use sandbox::{Decision, Policy};
use serde_json::json;
use server::services::logins::Arrival;
use server::services::{consents as consents_service, deletion, fetch, revocation, status};
use server::{reconcile, setup};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use store::consents::Consent;
use store::{capsules, consents, deletions, events, grants, lines};
use tests::site::{Caller, Site};
use tests::world::{BANK, CUSTOMER, NEIGHBOUR, Options, World};

const ALL: [&str; 3] = ["accounts", "balances", "transactions"];
/// The browser of one household.
const BROWSER: Option<[u8; 32]> = Some([7; 32]);
/// Another one.
const ELSEWHERE: Option<[u8; 32]> = Some([8; 32]);

/// A world with two products that know one person by different names.
struct Street {
    world: World,
    site: Site,
    first: (ProductId, Caller),
    second: (ProductId, Caller),
}

impl Street {
    async fn open(options: Options) -> Self {
        let world = World::made(options, |_| {}).await;
        let site = Site::start(world.app.clone()).await;
        let first = (world.product, site.caller(&world, Some(&world.api_key)));
        let (id, key) = setup::add_product(&world.app, "Second", &["budgeting"], &[]).await.unwrap();
        let second = (id, site.caller(&world, Some(&key)));
        Self { world, site, first, second }
    }

    async fn ask(&self, (_, product): &(ProductId, Caller), clusters: &[&str]) -> ConsentId {
        let body = json!({ "psu_ref": "the same word", "institution_id": BANK, "purposes": ["budgeting"],
            "data_clusters": clusters });
        product.post("/v1/consents", &body).await.json()["id"].as_str().unwrap().parse().unwrap()
    }

    async fn authorise(&self, id: ConsentId, browser: Option<[u8; 32]>, who: (&str, &str), decision: &Decision) {
        let departure = self.world.depart_in(id, browser).await;
        let visit = self.world.bank.visit(departure.redirect.as_str(), who.0, who.1, decision);
        let arrival = self.world.arrive(&visit.await.unwrap(), &departure.browser).await;
        assert!(matches!(arrival, Arrival::Connected(_)), "{arrival:?}");
    }

    /// The first product connects one of its person's accounts and has read it.
    async fn connected(&self, account: &Decision) -> ConsentId {
        let id = self.ask(&self.first, &ALL).await;
        self.authorise(id, BROWSER, CUSTOMER, account).await;
        assert!(matches!(self.fetched(id).await, fetch::Verdict::Next(_)));
        self.world.clock.advance(SignedDuration::from_hours(24));
        id
    }

    async fn consent(&self, id: ConsentId) -> Consent {
        let mut tx = self.world.app.store.tenant_tx(self.world.app.tenant.id).await.unwrap();
        consents::get(&mut tx, id).await.unwrap()
    }

    async fn lines(&self, id: ConsentId) -> Vec<LineId> {
        let mut tx = self.world.app.store.tenant_tx(self.world.app.tenant.id).await.unwrap();
        lines::granted(&mut tx, id).await.unwrap().into_iter().map(|(line, _)| line).collect()
    }

    async fn fetched(&self, id: ConsentId) -> fetch::Verdict {
        fetch::run(&self.world.app, self.world.about(id)).await.unwrap()
    }

    /// That nothing of a consent is left, once its erasure has run.
    async fn erased(&self, id: ConsentId) {
        let (app, tenant) = (&self.world.app, self.world.app.tenant.id);
        let mut tx = app.store.tenant_tx(tenant).await.unwrap();
        let begun = deletions::of_consent(&mut tx, id).await.unwrap();
        tx.commit().await.unwrap();
        for deletion in begun {
            deletion::run(app, tenant, deletion.id).await.unwrap();
        }
        let consent = self.consent(id).await;
        assert_eq!(consent.machine.data, DataState::Erased);
        let mut tx = app.store.tenant_tx(tenant).await.unwrap();
        let held = lines::held(&mut tx, consent.product, lines::Filter::default()).await.unwrap();
        assert!(held.is_empty(), "lines of {id} are left");
    }

    /// What the bank is asked because somebody else was there.
    async fn looked(&self, id: ConsentId) {
        status::run(&self.world.app, self.world.app.tenant.id, id).await.unwrap();
    }

    /// What a product was told of a consent: the kinds, and what the last of one kind says.
    async fn told(&self, (product, _): &(ProductId, Caller), id: ConsentId) -> Vec<(String, serde_json::Value)> {
        let mut tx = self.world.app.store.tenant_tx(self.world.app.tenant.id).await.unwrap();
        events::number(&mut tx).await.unwrap();
        let all = events::after(&mut tx, *product, 0, 1000).await.unwrap();
        tx.commit().await.unwrap();
        let of = |event: &events::Event| event.consent == Some(id);
        all.into_iter().filter(|(_, event)| of(event)).map(|(_, event)| (event.kind, event.payload)).collect()
    }

    async fn end(self) {
        self.site.end().await;
        self.world.end().await;
    }
}

fn one_account() -> Decision {
    Decision::Approve(vec![0])
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_bank_names_the_person_both_stand_on_the_new_authorisation() {
    let street = Street::open(Options::default()).await;
    let first = street.connected(&one_account()).await;
    let held = street.lines(first).await;
    assert_eq!(held.len(), 1);

    let second = street.ask(&street.second, &ALL).await;
    street.authorise(second, BROWSER, CUSTOMER, &Decision::ApproveAll).await;
    let (one, other) = (street.consent(first).await, street.consent(second).await);
    assert_eq!((one.machine.state, one.grant), (State::Active, other.grant));
    assert_ne!(one.psu, other.psu, "two products' persons stay two");
    for id in [first, second] {
        assert!(matches!(street.fetched(id).await, fetch::Verdict::Next(_)));
    }
    assert_eq!(street.lines(first).await, held, "what the person lets the second read is not for the first");
    assert!(street.lines(second).await.len() > held.len());
    let told: Vec<_> = street.told(&street.first, first).await.into_iter().map(|(kind, _)| kind).collect();
    assert!(told.contains(&"consent.renewed".to_owned()) && !told.contains(&"consent.expired".to_owned()), "{told:?}");

    // The first is renewed: the second goes on with it. One ends: the other keeps the bank's authorisation.
    street.authorise(first, ELSEWHERE, CUSTOMER, &Decision::ApproveAll).await;
    let grant = street.consent(first).await.grant.unwrap();
    assert_eq!(street.consent(second).await.grant, Some(grant));
    let (app, tenant) = (&street.world.app, street.world.app.tenant.id);
    consents_service::revoke(app, tenant, first, RevokedBy::Psu, "psu").await.unwrap();
    assert!(matches!(street.fetched(second).await, fetch::Verdict::Next(_)));
    consents_service::revoke(app, tenant, second, RevokedBy::Psu, "psu").await.unwrap();
    let mut tx = app.store.tenant_tx(tenant).await.unwrap();
    assert_eq!(grants::get(&mut tx, grant).await.unwrap().state, grant::State::Ending);
    drop(tx);
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_shared_waits_for_its_person_and_its_product_is_told_why() {
    let street = Street::open(Options::default()).await;
    let first = street.connected(&Decision::ApproveAll).await;
    // In another browser nobody could know before: the bank was asked for less than the first has.
    let second = street.ask(&street.second, &["accounts"]).await;
    street.authorise(second, ELSEWHERE, CUSTOMER, &Decision::ApproveAll).await;
    displaced(&street, first, &street.first).await;
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_shares_for_another_product_before_the_bank_has_named_them() {
    let street = Street::open(Options::default()).await;
    let first = street.connected(&Decision::ApproveAll).await;
    // The browser hints at the same person, and proves nothing: the bank is asked for what this product needs alone.
    let second = street.ask(&street.second, &["accounts"]).await;
    street.authorise(second, BROWSER, CUSTOMER, &Decision::ApproveAll).await;
    displaced(&street, first, &street.first).await;
    assert!(matches!(street.fetched(second).await, fetch::Verdict::Next(_)));
    street.authorise(first, BROWSER, CUSTOMER, &Decision::ApproveAll).await;
    assert_eq!(street.consent(second).await.grant, street.consent(first).await.grant, "it reaches as far as both need");

    // By now the bank has called both by one name: the second is renewed, and the bank is asked for what the first needs, too.
    street.world.clock.advance(SignedDuration::from_hours(24));
    street.authorise(second, BROWSER, CUSTOMER, &Decision::ApproveAll).await;
    let (one, other) = (street.consent(first).await, street.consent(second).await);
    assert_eq!((one.machine.state, one.grant), (State::Active, other.grant));
    assert!(matches!(street.fetched(first).await, fetch::Verdict::Next(_)));
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lets_another_product_read_less_is_told_what_became_of_the_first() {
    let street = Street::open(Options::default()).await;
    let first = street.connected(&Decision::ApproveAll).await;
    let held = street.lines(first).await;
    let second = street.ask(&street.second, &ALL).await;
    street.authorise(second, BROWSER, CUSTOMER, &one_account()).await;
    assert_eq!(street.consent(first).await.grant, street.consent(second).await.grant);
    assert!(matches!(street.fetched(first).await, fetch::Verdict::Next(_)));
    assert_eq!(street.lines(first).await, held, "what was read stays");
    let told = street.told(&street.first, first).await;
    let (_, payload) = told.iter().rfind(|(kind, _)| kind == "consent.scopes_changed").expect("a report");
    let many = ["accounts_kept", "accounts_new", "accounts_lost"]
        .map(|name| payload["continuity"][name].as_array().unwrap().len());
    assert_eq!(many, [1, 0, held.len() - 1], "{payload}");
    street.end().await;
}

/// That a consent waits for its person, with all that was read, and that its product knows why and what to do.
async fn displaced(street: &Street, id: ConsentId, product: &(ProductId, Caller)) {
    let consent = street.consent(id).await;
    assert_eq!(consent.machine.state, State::ReauthPending(ReauthReason::Displaced));
    assert!(consent.machine.may_read(), "what was read stays readable");
    let told = street.told(product, id).await;
    assert!(told.iter().all(|(kind, _)| kind != "consent.expired" && !kind.starts_with("deletion")), "{told:?}");
    let (_, payload) = told.iter().rfind(|(kind, _)| kind == "connection.action_required").expect("an event");
    assert_eq!((&payload["reason"], &payload["who_can_fix"]), (&json!("superseded"), &json!("user")));
    let way = payload["action_url"].as_str().unwrap();
    assert!(way.ends_with(&format!("/v1/consents/{id}/reauthorise")), "{way}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_bank_names_nobody_it_is_asked_what_it_has_ended() {
    let street = Street::open(Options { nameless: true, ..Options::default() }).await;
    let first = street.connected(&Decision::ApproveAll).await;
    let held = street.lines(first).await;

    // Somebody else of the household, in the same browser: the bank says that the first lives.
    let neighbours = street.ask(&street.second, &ALL).await;
    street.authorise(neighbours, BROWSER, NEIGHBOUR, &Decision::ApproveAll).await;
    street.looked(first).await;
    assert_eq!(street.consent(first).await.machine.state, State::Active);
    assert!(matches!(street.fetched(first).await, fetch::Verdict::Next(_)));
    assert_eq!(street.lines(first).await, held);

    // The same person: what the bank has ended waits.
    let body = json!({ "psu_ref": "another word", "institution_id": BANK, "purposes": ["budgeting"] });
    let answer = street.second.1.post("/v1/consents", &body).await;
    let second: ConsentId = answer.json()["id"].as_str().unwrap().parse().unwrap();
    street.authorise(second, BROWSER, CUSTOMER, &Decision::ApproveAll).await;
    street.looked(first).await;
    displaced(&street, first, &street.first).await;

    // Whoever renews the first displaces the second, and that one is told in its turn.
    assert!(matches!(street.fetched(second).await, fetch::Verdict::Next(_)));
    street.world.clock.advance(SignedDuration::from_hours(1));
    street.authorise(first, BROWSER, CUSTOMER, &Decision::ApproveAll).await;
    assert_eq!(street.consent(first).await.machine.state, State::Active);
    assert!(matches!(street.fetched(first).await, fetch::Verdict::Next(_)));
    assert_eq!(street.lines(first).await, held);
    street.looked(second).await;
    displaced(&street, second, &street.second).await;
    street.end().await;
}

/// Two consents on one grant, fetched, looked at by timers and withdrawn at once while time goes on: what one has lost the
/// other keeps, and the bank is told when the second of them ends and not before.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_on_one_grant_each_ends_alone_in_every_order() {
    let habits: fn(&mut Policy) = |policy| policy.reads_per_day = 100;
    let street = Street::open(Options { habits: Some(habits), ..Options::default() }).await;
    let (app, tenant) = (&street.world.app, street.world.app.tenant.id);
    let told_the_bank = || {
        let all = street.world.bank.calls().into_iter();
        all.filter(|call| call.request.starts_with("DELETE ")).count()
    };
    for round in 0..6_u32 {
        let first = street.connected(&Decision::ApproveAll).await;
        let second = street.ask(&street.second, &ALL).await;
        street.authorise(second, BROWSER, CUSTOMER, &Decision::ApproveAll).await;
        assert!(matches!(street.fetched(second).await, fetch::Verdict::Next(_)));
        let grant = street.consent(second).await.grant.unwrap();
        assert_eq!(street.consent(first).await.grant, Some(grant));
        // Either of the two; what happens at once begins in another order each time.
        let (ends, stays) = if round % 2 == 0 { (first, second) } else { (second, first) };
        let held = street.lines(stays).await;
        let before = told_the_bank();

        let withdraw = async {
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            consents_service::revoke(app, tenant, ends, RevokedBy::Psu, "psu").await.unwrap();
        };
        let fetches = async |id| {
            for _ in 0..3 {
                let tried = fetch::run(app, street.world.about(id)).await;
                assert!(!matches!(&tried, Err(error) if error.code() == "internal"), "{tried:?}");
            }
        };
        let timers = async {
            for _ in 0..3 {
                street.world.clock.advance(SignedDuration::from_mins(7));
                reconcile::look(app).await.unwrap();
            }
        };
        tokio::join!(withdraw, fetches(ends), fetches(stays), timers);

        assert_eq!(street.consent(ends).await.machine.state, State::Revoked(RevokedBy::Psu), "round {round}");
        let stayed = street.consent(stays).await;
        assert_eq!((stayed.machine.state, stayed.grant), (State::Active, Some(grant)), "round {round}");
        street.erased(ends).await;
        assert_eq!(told_the_bank(), before, "round {round}: the bank was told while somebody stood on the grant");
        assert_eq!(street.lines(stays).await, held, "round {round}");
        // The day's reads may be used up.
        street.world.clock.advance(SignedDuration::from_hours(24));
        assert!(matches!(street.fetched(stays).await, fetch::Verdict::Next(_)), "round {round}");

        let last = consents_service::revoke(app, tenant, stays, RevokedBy::Psu, "psu");
        let (ended, ()) = tokio::join!(last, fetches(stays));
        ended.unwrap();
        street.erased(stays).await;
        let mut tx = app.store.tenant_tx(tenant).await.unwrap();
        assert_eq!(grants::get(&mut tx, grant).await.unwrap().state, grant::State::Ending, "round {round}");
        let (capsule, _) = capsules::open(&mut tx, 10).await.unwrap().pop().expect("what ends it at the bank");
        tx.commit().await.unwrap();
        revocation::run(app, tenant, capsule).await.unwrap();
        assert_eq!(told_the_bank(), before + 1, "round {round}");
    }
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_restricted_is_not_forgotten_when_another_product_replaces_it() {
    let street = Street::open(Options::default()).await;
    let first = street.connected(&Decision::ApproveAll).await;
    let restriction = "/v1/psus/the%20same%20word/restriction";
    let answer = street.first.1.send(Method::PUT, restriction, &[], "".into()).await;
    assert_eq!(answer.json(), json!({ "restricted": [first.to_string()] }));
    let second = street.ask(&street.second, &ALL).await;
    street.authorise(second, ELSEWHERE, CUSTOMER, &Decision::ApproveAll).await;
    assert_eq!(street.consent(first).await.machine.data, DataState::Restricted);
    street.first.1.delete(restriction).await;
    displaced(&street, first, &street.first).await;
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_restricted_has_lost_its_tokens_as_well() {
    // The bank takes a refresh token that is shown twice for stolen.
    let habits: fn(&mut Policy) = |policy| policy.refresh_rotation = Some(0);
    let street = Street::open(Options { habits: Some(habits), ..Options::default() }).await;
    let first = street.connected(&Decision::ApproveAll).await;
    let second = street.ask(&street.second, &ALL).await;
    street.authorise(second, BROWSER, CUSTOMER, &Decision::ApproveAll).await;
    assert_eq!(street.consent(first).await.grant, street.consent(second).await.grant);
    let restriction = "/v1/psus/the%20same%20word/restriction";
    let answer = street.first.1.send(Method::PUT, restriction, &[], "".into()).await;
    assert_eq!(answer.json(), json!({ "restricted": [first.to_string()] }));

    street.world.clock.advance(SignedDuration::from_hours(24));
    street.world.bank.lose_answer("/token");
    assert_eq!(street.fetched(second).await, fetch::Verdict::Done);
    let lost = State::ReauthPending(ReauthReason::TokenLost);
    for id in [first, second] {
        assert_eq!(street.consent(id).await.machine.state, lost, "{id}");
    }
    street.first.1.delete(restriction).await;
    let machine = street.consent(first).await.machine;
    assert_eq!((machine.state, machine.data), (lost, DataState::Present));
    let told = street.told(&street.first, first).await;
    assert!(told.iter().any(|(kind, _)| kind == "connection.action_required"), "{told:?}");
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_early_waits_for_its_person_though_nothing_tells_why() {
    let street = Street::open(Options { nameless: true, ..Options::default() }).await;
    let first = street.connected(&Decision::ApproveAll).await;
    let held = street.lines(first).await;
    let second = street.ask(&street.second, &ALL).await;
    street.authorise(second, ELSEWHERE, CUSTOMER, &Decision::ApproveAll).await;
    street.looked(first).await;
    let machine = street.consent(first).await.machine;
    assert_eq!((machine.state, machine.data), (State::ReauthPending(ReauthReason::TokenLost), DataState::Present));
    assert_eq!(street.lines(first).await, held);
    street.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_further_signers_is_not_replaced_by_what_they_have_signed() {
    // The bank itself ends neither: what our side does is looked at.
    let habits: fn(&mut Policy) = |policy| (policy.several_signers, policy.one_recurring_consent) = (true, false);
    let street = Street::open(Options { habits: Some(habits), ..Options::default() }).await;
    let mut ids = Vec::new();
    for product in [&street.first, &street.second] {
        let id = street.ask(product, &ALL).await;
        let departure = street.world.depart_in(id, ELSEWHERE).await;
        let visit = street.world.bank.visit(departure.redirect.as_str(), CUSTOMER.0, CUSTOMER.1, &Decision::ApproveAll);
        let arrival = street.world.arrive(&visit.await.unwrap(), &departure.browser).await;
        assert!(matches!(arrival, Arrival::AwaitsSigners(_)), "{arrival:?}");
        ids.push(id);
    }
    street.world.bank.sign_the_rest();
    street.looked(ids[1]).await;
    assert_eq!(street.consent(ids[1]).await.machine.state, State::Authorized);
    let waits = street.consent(ids[0]).await;
    let mut tx = street.world.app.store.tenant_tx(street.world.app.tenant.id).await.unwrap();
    let grant = grants::get(&mut tx, waits.grant.unwrap()).await.unwrap().state;
    drop(tx);
    assert_eq!((waits.machine.state, grant), (State::Initiated, grant::State::Partial));
    street.end().await;
}

/// What a bank says of a grant is not for a consent that was put on another one while it said so.
#[tokio::test(flavor = "multi_thread")]
async fn who_moves_while_the_bank_answers_is_not_ended_with_the_old_authorisation() {
    let street = Street::open(Options::default()).await;
    let first = street.ask(&street.first, &ALL).await;
    street.authorise(first, BROWSER, CUSTOMER, &Decision::ApproveAll).await;
    assert!(matches!(street.fetched(first).await, fetch::Verdict::Next(_)));
    let name = street.world.bank.steal_token().unwrap().consent_id;
    let second = street.ask(&street.second, &ALL).await;
    street.authorise(second, ELSEWHERE, NEIGHBOUR, &Decision::ApproveAll).await;
    let grant = street.consent(second).await.grant.unwrap();
    assert!(street.world.bank.revoke_at_bank(&name));

    let options = street.world.private.connect_options();
    let mut owner = PgConnection::connect_with(&options).await.unwrap();
    let mut watcher = PgConnection::connect_with(&options).await.unwrap();
    let mut moving = owner.begin().await.unwrap();
    let moved = "update consent set grant_id = $1 where consent_id = $2";
    sqlx::query(moved).bind(grant.uuid()).bind(first.uuid()).execute(&mut *moving).await.unwrap();
    let moves = async {
        let waits = "select exists (select from pg_locks where not granted)";
        while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut watcher).await.unwrap() {
            tokio::task::yield_now().await;
        }
        moving.commit().await.unwrap();
    };
    let both = async { tokio::join!(street.looked(first), moves) };
    tokio::time::timeout(std::time::Duration::from_secs(60), both).await.expect("nobody waits for the consent");
    let consent = street.consent(first).await;
    assert_eq!((consent.machine.state, consent.grant), (State::Active, Some(grant)));
    street.end().await;
}
