//! Those who do not answer: a bank that is down for days or refuses without proof, a product that never says that its copies
//! are gone. What the person was promised is kept all the same, and the evidence says how it stands.

use domain::consent::{DataState, RevokedBy, State};
use domain::ids::{ConsentId, DeletionId};
use evidence::{BankOutcome, Report, VerifierKey};
use jiff::{SignedDuration, Timestamp};
use sandbox::{BankData, Outage};
use serde_json::{Value, json};
use server::services::fetch::{self, Verdict};
use server::services::{consents as moves, deletion, events, revocation};
use server::{evidence_log, reconcile};
use sqlx::types::Uuid;
use store::deletions::{self, Bank, Deletion};
use store::{capsules, consents, grants};
use tests::site::{Caller, Site};
use tests::world::{CUSTOMER, Options, World};

use tests::places::POLAND;

/// The latest rows of every account, no more than is needed to see them go.
fn few(data: &mut BankData) {
    for account in data.psus.iter_mut().flat_map(|psu| &mut psu.accounts) {
        account.rows.drain(..account.rows.len().saturating_sub(20));
    }
}

/// A person who has withdrawn, and what has to be brought to an end.
struct Scene {
    world: World,
    site: Site,
    product: Caller,
    consent: ConsentId,
    deletion: DeletionId,
    capsule: Uuid,
    stopped_at: Timestamp,
}

impl Scene {
    /// Somebody connects, and withdraws while the bank does not do what it should.
    async fn withdrawn(outage: Option<Outage>) -> Self {
        Self::withdrawn_at(Options::default(), outage).await
    }

    /// The same at a bank of another kind.
    async fn withdrawn_at(options: Options, outage: Option<Outage>) -> Self {
        let world = World::made(options, few).await;
        let consent = world.connect(CUSTOMER).await;
        let tenant = world.app.tenant.id;
        assert!(matches!(fetch::run(&world.app, world.about(consent)).await.unwrap(), Verdict::Next(_)));
        world.bank.fail(outage);
        moves::revoke(&world.app, tenant, consent, RevokedBy::Psu, "psu").await.unwrap();
        let mut tx = world.app.store.tenant_tx(tenant).await.unwrap();
        let deletion = deletions::of_consent(&mut tx, consent).await.unwrap().pop().unwrap();
        let (capsule, _) = capsules::open(&mut tx, 1).await.unwrap().pop().unwrap();
        drop(tx);
        let site = Site::start(world.app.clone()).await;
        let product = site.caller(&world, Some(&world.api_key));
        let (deletion, stopped_at) = (deletion.id, deletion.stopped_at);
        Self { world, site, product, consent, deletion, capsule, stopped_at }
    }

    async fn end(self) {
        self.site.end().await;
        self.world.end().await;
    }

    /// Erases what is ours. No bank is needed for it.
    async fn erase(&self) {
        assert_eq!(
            deletion::run(&self.world.app, self.world.app.tenant.id, self.deletion).await.unwrap(),
            Verdict::Done
        );
        let mut tx = self.world.app.store.tenant_tx(self.world.app.tenant.id).await.unwrap();
        let machine = consents::get(&mut tx, self.consent).await.unwrap().machine;
        assert_eq!((machine.state, machine.data), (State::Revoked(RevokedBy::Psu), DataState::Erased));
    }

    /// Tells the bank whenever it is time to, until a moment after the stop or until nothing is left to tell. Gives after
    /// how many hours each try was made.
    async fn tell_until(&self, hours: i64) -> Vec<i64> {
        let since_stop = |at: Timestamp| at.duration_since(self.stopped_at);
        let mut tries = Vec::new();
        loop {
            tries.push(since_stop(self.world.moment().now).as_hours());
            match revocation::run(&self.world.app, self.world.app.tenant.id, self.capsule).await.unwrap() {
                Verdict::Again(at) if since_stop(at) <= SignedDuration::from_hours(hours) => {
                    let wait = at.duration_since(self.world.moment().now);
                    self.world.clock.advance(wait + SignedDuration::from_secs(1));
                }
                Verdict::Again(_) | Verdict::Done => return tries,
                Verdict::Next(at) => panic!("a word to a bank is no schedule: {at:?}"),
            }
        }
    }

    async fn deletion(&self) -> Deletion {
        let mut tx = self.world.app.store.tenant_tx(self.world.app.tenant.id).await.unwrap();
        deletions::get(&mut tx, self.deletion).await.unwrap()
    }

    /// How the bank's side stands: of the deletion, of the grant, and whether we could still say anything to it.
    async fn stands(&self) -> (Bank, &'static str, bool) {
        let bank = self.deletion().await.bank;
        let mut tx = self.world.app.store.tenant_tx(self.world.app.tenant.id).await.unwrap();
        let grant = consents::get(&mut tx, self.consent).await.unwrap().grant.unwrap();
        let grant = grants::get(&mut tx, grant).await.unwrap().state.word();
        (bank, grant, capsules::get(&mut tx, self.capsule).await.unwrap().is_some())
    }

    /// What somebody outside sees: the evidence, checked.
    async fn report(&self) -> Report {
        let app = &self.world.app;
        while evidence_log::sequence(app, app.tenant.id).await.unwrap() > 0 {}
        let bundle = evidence_log::bundle(app, self.world.about(self.consent), None).await.unwrap().unwrap();
        let keys = VerifierKey::read_all(&server::verifier_key(app).unwrap()).unwrap();
        let report = evidence::verify(&bundle, &keys, None).unwrap();
        assert_eq!(report.receipts().len(), 1, "one receipt, whoever does not answer");
        report
    }

    /// Everything of a type that the product was told.
    async fn told(&self, kind: &str) -> Vec<Value> {
        events::number(&self.world.app, self.world.app.tenant.id).await.unwrap();
        let page = self.product.get("/v1/events?limit=500").await.json();
        let all = page["data"].as_array().unwrap().iter();
        all.filter(|event| event["type"] == kind).map(|event| event["data"].clone()).collect()
    }
}

/// What the bank's addenda say, in order.
fn answers(report: &Report) -> Vec<(BankOutcome, String)> {
    let statements = report.lines.iter().filter_map(evidence::Line::statement);
    let answers = statements.filter_map(|statement| statement.body::<evidence::BankAnswer>());
    answers.map(|answer| answer.map(|answer| (answer.outcome, answer.basis)).unwrap()).collect()
}

fn said(words: &[(BankOutcome, &str)]) -> Vec<(BankOutcome, String)> {
    words.iter().map(|(outcome, basis)| (*outcome, (*basis).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_is_down_for_three_days_keeps_nobody_waiting_and_is_not_believed_to_have_ended_anything() {
    let scene = Scene::withdrawn(Some(Outage::Everything)).await;
    scene.erase().await;
    assert_eq!(scene.stands().await, (Bank::Pending, "ending", true), "erased on our side before the bank says a word");
    assert!(scene.report().await.to_string().contains("no answer on record in this bundle"));

    let tries = scene.tell_until(23).await;
    assert!(tries.len() > 15, "{tries:?}");
    assert_eq!(scene.stands().await, (Bank::Pending, "ending", true), "a day of silence is not long");
    let tries = [tries, scene.tell_until(71).await].concat();
    assert_eq!(scene.stands().await, (Bank::Unconfirmed, "unconfirmed", true));
    assert_eq!(answers(&scene.report().await), said(&[(BankOutcome::Unconfirmed, "silent")]), "said once");
    let pauses: Vec<i64> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(tries.len() < 60 && pauses.iter().all(|hours| *hours <= 7), "more and more slowly: {tries:?}");

    // The capsule's time ends while the bank is still down: nobody could say anything to it any more.
    scene.tell_until(100).await;
    assert_eq!(scene.stands().await, (Bank::Unconfirmed, "unconfirmed", false));
    let report = scene.report().await;
    let expected = said(&[(BankOutcome::Unconfirmed, "silent"), (BankOutcome::Unconfirmed, "given_up")]);
    assert_eq!(answers(&report), expected);
    assert!(report.to_string().contains("has not confirmed the end of the consent"), "{report}");
    let told = scene.told("consent.revocation.unconfirmed").await;
    let bases = told.iter().map(|told| (told["basis"].as_str().unwrap(), told["tried_until"].is_string()));
    assert_eq!(bases.collect::<Vec<_>>(), [("silent", true), ("given_up", false)]);

    // The bank is back, and hears nothing of a consent whose secrets are gone.
    scene.world.bank.fail(None);
    let heard = scene.world.bank.requests().len();
    assert_eq!(scene.tell_until(1000).await.len(), 1);
    assert_eq!(scene.world.bank.requests().len(), heard);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_comes_back_on_the_third_day_ends_what_it_held_and_the_receipt_says_when() {
    let scene = Scene::withdrawn(Some(Outage::Everything)).await;
    scene.tell_until(50).await;
    // The addendum came before the receipt that it belongs to: the erasure waited for a node, the bank for nobody.
    assert_eq!(scene.stands().await, (Bank::Unconfirmed, "unconfirmed", true));
    scene.erase().await;
    scene.world.bank.fail(None);
    let heard = scene.world.bank.requests().len();
    scene.tell_until(71).await;
    assert_eq!(scene.stands().await, (Bank::Confirmed, "ended_by_us", false));
    let ends = scene.world.bank.requests().split_off(heard);
    assert_eq!(ends.iter().filter(|request| request.starts_with("DELETE ")).count(), 1, "{ends:?}");
    let report = scene.report().await;
    let expected = said(&[(BankOutcome::Unconfirmed, "silent"), (BankOutcome::Confirmed, "gone")]);
    assert_eq!(answers(&report), expected);
    assert!(report.to_string().contains("confirmed the end of the consent"), "{report}");
    assert_eq!(scene.told("consent.revocation.confirmed").await.len(), 1);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_proves_nothing_is_said_at_once_and_is_tried_again() {
    let scene = Scene::withdrawn(Some(Outage::Consents)).await;
    scene.erase().await;
    let tries = scene.tell_until(1).await;
    assert!(tries.len() > 5, "{tries:?}");
    assert_eq!(scene.stands().await, (Bank::Unconfirmed, "unconfirmed", true));
    assert_eq!(answers(&scene.report().await), said(&[(BankOutcome::Unconfirmed, "refused")]), "once");
    let path = format!("/v1/consents/{}", scene.consent);
    assert_eq!(scene.product.delete(&path).await.json()["bank"], "unconfirmed");
    scene.world.bank.fail(None);
    scene.tell_until(71).await;
    assert_eq!(scene.stands().await, (Bank::Confirmed, "ended_by_us", false));
    assert_eq!(scene.product.delete(&path).await.json()["bank"], "confirmed");
    let expected = said(&[(BankOutcome::Unconfirmed, "refused"), (BankOutcome::Confirmed, "gone")]);
    assert_eq!(answers(&scene.report().await), expected);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_were_given_back_prove_no_end_where_the_bank_ends_consents_by_their_id() {
    let place = Options { place: Some(POLAND), ..Options::default() };
    for options in [Options::default(), place] {
        let scene = Scene::withdrawn_at(options, Some(Outage::Consents)).await;
        scene.erase().await;
        scene.tell_until(1).await;
        let log = scene.world.bank.log();
        assert!(log.iter().any(|line| line.code == "token.revoked"), "at the first word: {log:#?}");
        assert_eq!(scene.stands().await, (Bank::Unconfirmed, "unconfirmed", true));
        assert_eq!(answers(&scene.report().await), said(&[(BankOutcome::Unconfirmed, "refused")]));
        scene.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_never_says_a_word_is_reminded_four_times_and_then_the_receipt_says_so() {
    let scene = Scene::withdrawn(None).await;
    scene.erase().await;
    scene.tell_until(1).await;
    assert!(scene.report().await.to_string().contains("no word on record that it deleted its copies"));
    let mut reminded = Vec::new();
    for day in 1..=60 {
        scene.world.clock.advance(SignedDuration::from_hours(24));
        reconcile::look(&scene.world.app).await.unwrap();
        let told = scene.told("deletion.acknowledgement.due").await;
        reminded.extend((reminded.len()..told.len()).map(|nth| (day, told[nth]["last"].as_bool().unwrap())));
    }
    assert_eq!(reminded, [(1, false), (7, false), (14, false), (30, true)]);
    let report = scene.report().await;
    assert!(
        report.to_string().contains("the product             has not confirmed, reminded for the last"),
        "{report}"
    );
    assert!(report.to_html().unwrap().contains("has not confirmed that it deleted its copies"));
    let kinds = || report.lines.iter().filter_map(evidence::Line::kind);
    assert_eq!(kinds().filter(|kind| *kind == "deletion.unacknowledged").count(), 1, "on record once");
    assert!(report.is_unreadable_everywhere(&report.receipts()[0]), "our side does not wait for a product");

    // Late is late, and is written down as what it is.
    let path = format!("/v1/deletions/{}/acknowledge", scene.deletion);
    assert_eq!(scene.product.post(&path, &json!({})).await.status.as_u16(), 200);
    let report = scene.report().await;
    assert!(report.to_string().contains("has confirmed that it deleted its copies"), "{report}");
    let again = scene.told("deletion.acknowledgement.due").await.len();
    assert_eq!(again, reminded.len());
    scene.end().await;
}
