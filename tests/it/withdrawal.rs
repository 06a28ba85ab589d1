//! Consents that an operator or a public register ends: at once, with the reason on their record, and as often as it is said.

use domain::consent::{DataState, RevokedBy, State};
use domain::ids::{ConsentId, InstitutionId};
use serde_json::{Value, json};
use server::services::withdrawal::{self, Authority};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use store::{capsules, events};
use tests::site::Site;
use tests::world::{BANK, CUSTOMER, NEIGHBOUR, World, stands};

/// What the product was told of the end of a consent.
async fn told(world: &World, id: ConsentId) -> Vec<Value> {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    events::number(&mut tx).await.unwrap();
    let all = events::after(&mut tx, world.product, 0, 1000).await.unwrap();
    tx.commit().await.unwrap();
    let ended = all.into_iter().filter(|(_, event)| event.consent == Some(id) && event.kind == "consent.revoked");
    ended.map(|(_, event)| event.payload).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_order_ends_a_consent_once_and_says_why() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let (id, other) = (world.connect(CUSTOMER).await, world.connect(NEIGHBOUR).await);
    let order = |why: &'static str| withdrawal::of_consent(&world.app, id, Authority::Operator, why);
    assert!(order("complaint 4711").await.unwrap());
    assert!(!order("complaint 4712").await.unwrap(), "it is over");
    assert_eq!(stands(&world.app, id).await, (State::Revoked(RevokedBy::Operator), DataState::Erasing));
    assert!(matches!(stands(&world.app, other).await, (State::Authorized, DataState::Present)));

    let told = told(&world, id).await;
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["origin"], &told[0]["bank_confirmed"]), (&json!("operator"), &json!(false)));
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    assert_eq!(capsules::open(&mut tx, 10).await.unwrap().len(), 1, "the bank is told");
    drop(tx);
    let bundle = product.get(&format!("/v1/evidence/consents/{id}")).await.text();
    assert!(bundle.contains("complaint 4711") && !bundle.contains("complaint 4712"));
    assert!(
        withdrawal::of_consent(&world.app, ConsentId::new(&world.moment()), Authority::Operator, "").await.is_err()
    );
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registers_word_ends_what_rests_on_the_authorisation_and_nothing_else() {
    let world = World::start().await;
    let ids = [world.connect(CUSTOMER).await, world.connect(NEIGHBOUR).await, world.ask("somebody").await];
    let bank = InstitutionId::new(BANK).unwrap();
    let elsewhere = InstitutionId::new("de_other").unwrap();
    let ended = |bank| withdrawal::of_register(&world.app, bank, "register of the authority, entry 17");
    assert_eq!(ended(Some(&elsewhere)).await.unwrap(), 0);
    assert_eq!(ended(Some(&bank)).await.unwrap(), 3);
    for id in ids {
        assert_eq!(stands(&world.app, id).await.0, State::Revoked(RevokedBy::Register));
        assert_eq!(told(&world, id).await[0]["origin"], json!("register"));
    }
    // Our own: everything that is not over, at every bank.
    let last = world.connect(CUSTOMER).await;
    assert_eq!(ended(None).await.unwrap(), 1);
    assert_eq!(stands(&world.app, last).await.0, State::Revoked(RevokedBy::Register));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_that_cannot_be_withdrawn_keeps_none_of_the_others() {
    let world = World::start().await;
    let ids = [world.ask("one").await, world.connect(CUSTOMER).await, world.connect(NEIGHBOUR).await];
    let mut owner = PgConnection::connect_with(&world.private.connect_options()).await.unwrap();
    let spoilt = format!(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'spoilt'; end $$;
         create trigger refuse before update on consent for each row when (old.consent_id = '{}') execute function refuse()",
        ids[1].uuid()
    );
    owner.execute(AssertSqlSafe(spoilt)).await.unwrap();
    assert!(withdrawal::of_register(&world.app, None, "entry 18").await.is_err(), "it is said");
    let revoked = State::Revoked(RevokedBy::Register);
    for (id, ended) in ids.into_iter().zip([true, false, true]) {
        assert_eq!(stands(&world.app, id).await.0 == revoked, ended, "{id}");
    }
    // Said again once the trouble is over, it ends what is left.
    owner.execute("drop trigger refuse on consent").await.unwrap();
    assert_eq!(withdrawal::of_register(&world.app, None, "entry 18").await.unwrap(), 1);
    assert_eq!(stands(&world.app, ids[1]).await.0, revoked);
    world.end().await;
}
