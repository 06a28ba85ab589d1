//! Products as an operator sets them up: the first key, another one that may do less, and the end of one.

use jiff::SignedDuration;
use secrecy::SecretString;
use server::services::products::{self, NewKey, NewProduct};
use tests::site::{Site, connected};
use tests::world::World;

fn product(name: &str, purpose: &str, back: &str) -> NewProduct {
    NewProduct { name: name.to_owned(), purposes: vec![purpose.to_owned()], return_urls: vec![back.to_owned()] }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_does_what_it_was_made_for_until_it_is_withdrawn() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let status = async |key: &SecretString, path: &str| site.caller(&world, Some(key)).get(path).await.status.as_u16();

    let (id, first) = products::add(&world.app, product("Pennywise", "budgeting", "https://p.example/")).await.unwrap();
    assert_eq!((status(&first, "/v1/accounts").await, status(&first, "/v1/keys").await), (200, 200));

    // One that reads alone, from one network alone, for a day.
    let tomorrow = world.app.world().now + SignedDuration::from_hours(24);
    let narrow = |network: &str| NewKey {
        scopes: vec!["data".to_owned()],
        networks: vec![network.to_owned()],
        expires_at: Some(tomorrow),
    };
    let reads = products::add_key(&world.app, id, narrow("127.0.0.0/8")).await.unwrap();
    assert_eq!((status(&reads, "/v1/accounts").await, status(&reads, "/v1/keys").await), (200, 403));
    let elsewhere = products::add_key(&world.app, id, narrow("192.0.2.0/24")).await.unwrap();
    assert_eq!(status(&elsewhere, "/v1/accounts").await, 403);
    world.clock.advance(SignedDuration::from_hours(25));
    assert_eq!(status(&reads, "/v1/accounts").await, 401);

    // Keys are listed by what cannot be used, and a withdrawal ends one at once.
    let listed = products::list(&world.app).await.unwrap();
    let own = listed.iter().find(|listed| listed.product.id == id).unwrap();
    assert_eq!(own.keys.len(), 3);
    assert!(!format!("{listed:?}").contains(secrecy::ExposeSecret::expose_secret(&first)));
    products::withdraw_key(&world.app, own.keys[0].id).await.unwrap();
    products::withdraw_key(&world.app, own.keys[0].id).await.unwrap();
    assert_eq!(status(&first, "/v1/accounts").await, 401);
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_met_before_ends_with_its_withdrawal_by_any_node() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let owner = site.caller(&world, Some(&world.api_key));
    connected(&world, &owner).await;
    let account = owner.get("/v1/accounts").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    let rows = format!("/v1/accounts/{account}/transactions");
    let nobodys = "/v1/accounts/acc_00000000-0000-7000-8000-000000000000/transactions";
    let status = async |key: &SecretString, path: &str| site.caller(&world, Some(key)).get(path).await.status.as_u16();
    let all = || NewKey { scopes: vec!["data".to_owned()], ..NewKey::default() };
    for path in [&rows, nobodys, "/v1/accounts/x/transactions"] {
        let key = products::add_key(&world.app, world.product, all()).await.unwrap();
        let without = NewKey { scopes: vec!["keys".to_owned()], ..NewKey::default() };
        let without = products::add_key(&world.app, world.product, without).await.unwrap();
        let here = if path == rows { 200 } else { 404 };
        for _ in 0..2 {
            assert_eq!((status(&key, path).await, status(&without, path).await), (here, 403), "{path}");
        }
        let listed = products::list(&world.app).await.unwrap();
        let keys = &listed.iter().find(|listed| listed.product.id == world.product).unwrap().keys;
        // As another node or the command line does it, of which this node hears nothing.
        for withdrawn in keys.iter().filter(|key| key.scopes.len() == 1) {
            products::withdraw_key(&world.app, withdrawn.id).await.unwrap();
        }
        assert_eq!((status(&key, path).await, status(&without, path).await), (401, 401), "{path}");
    }
    // A key opens nothing of another product, met before or not.
    let made = products::add(&world.app, product("Pennywise", "budgeting", "https://p.example/")).await.unwrap();
    for _ in 0..2 {
        assert_eq!(status(&made.1, &rows).await, 404);
    }
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_users_could_not_read_or_return_to_is_refused() {
    let world = World::start().await;
    let back = "https://p.example/";
    let refused = [
        product("", "budgeting", back),
        product("Penny\u{7}wise", "budgeting", back),
        product("Pennywise", " ", back),
        product(&"long ".repeat(40), "budgeting", back),
        product("Pennywise", "budgeting", "javascript:alert(1)"),
        NewProduct { purposes: Vec::new(), ..product("Pennywise", "", back) },
    ];
    let before = products::list(&world.app).await.unwrap().len();
    for new in refused {
        let told = products::add(&world.app, new.clone()).await.unwrap_err().to_string();
        assert!(!told.is_empty(), "{new:?}");
    }
    assert_eq!(products::list(&world.app).await.unwrap().len(), before);
    let scope = NewKey { scopes: vec!["everything".to_owned()], ..NewKey::default() };
    let told = products::add_key(&world.app, world.product, scope).await.unwrap_err().to_string();
    assert!(told.contains("consents, data, events, evidence, keys"), "{told}");
    let network = NewKey { networks: vec!["somewhere".to_owned()], ..NewKey::default() };
    assert!(products::add_key(&world.app, world.product, network).await.is_err());
    let nobody = domain::ids::ProductId::new(&world.app.world());
    assert!(products::add_key(&world.app, nobody, NewKey::default()).await.is_err());
    world.end().await;
}
