//! Keys and certificates that change while the server works: nothing is refused, nothing is restarted.

use domain::ids::RegistrationId;
use domain::rotation::Use;
use jiff::SignedDuration;
use net::pki::Pki;
use sandbox::BankData;
use secrecy::ExposeSecret as _;
use server::services::{fetch, rotation};
use store::credentials;
use tests::site::Site;
use tests::world::{CUSTOMER, NEIGHBOUR, Options, REGISTRATION, World};

/// Our client id at the bank.
const CLIENT: &str = "PSDDE-BAFIN-000001";

fn registration() -> RegistrationId {
    RegistrationId::new(REGISTRATION).unwrap()
}

async fn look(world: &World) {
    rotation::look(&world.app).await.unwrap();
}

/// States of a use as the database has them, in the order of their words.
async fn states(world: &World, usage: Use) -> Vec<&'static str> {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await.unwrap();
    let mut all = credentials::all(&mut tx).await.unwrap();
    all.retain(|kept| kept.usage == usage);
    let mut states: Vec<_> = all.into_iter().map(|kept| kept.credential.state.word()).collect();
    states.sort_unstable();
    states
}

/// The key ids that anybody reads at our address.
async fn published(world: &World, site: &Site) -> Vec<String> {
    let answer = site.caller(world, None).get(&format!("/.well-known/jwks/{REGISTRATION}")).await.json();
    let keys = answer["keys"].as_array().unwrap();
    assert!(keys.iter().all(|key| key.get("d").is_none()), "public halves alone");
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// The bank fetches our key set, as banks with a `jwks_uri` do.
async fn bank_reads_keys(world: &World, site: &Site) {
    let answer = site.caller(world, None).get(&format!("/.well-known/jwks/{REGISTRATION}")).await.json();
    assert!(world.bank.register_keys(CLIENT, &answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_key_is_followed_by_another_without_a_refusal() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    look(&world).await;
    assert_eq!(published(&world, &site).await, ["it"]);

    rotation::rotate(&world.app, &registration()).await.unwrap();
    rotation::rotate(&world.app, &registration()).await.unwrap();
    let both = published(&world, &site).await;
    assert_eq!((both.len(), both[0].as_str()), (2, "it"), "one is next, however often it is asked for");
    // The bank knows nothing of it yet, and need not: the first key still signs.
    world.connect(CUSTOMER).await;
    bank_reads_keys(&world, &site).await;

    world.clock.advance(SignedDuration::from_hours(24));
    look(&world).await;
    assert_eq!(states(&world, Use::Signing).await, ["current", "retired"]);
    assert_eq!(published(&world, &site).await.len(), 2, "the old one stays for what it signed");
    world.connect(NEIGHBOUR).await;
    assert!(world.bank.last_key_id(CLIENT).is_some_and(|kid| kid == both[1]), "the new one signs");

    world.clock.advance(SignedDuration::from_hours(24));
    look(&world).await;
    assert_eq!(published(&world, &site).await, [both[1].clone()]);
    bank_reads_keys(&world, &site).await;
    world.connect(CUSTOMER).await;
    assert_eq!(refused(&world), Vec::<String>::new());
    site.end().await;
    world.end().await;
}

fn refused(world: &World) -> Vec<String> {
    world.bank.log().into_iter().filter(|line| line.refused).map(|line| line.code).collect()
}

/// Another certificate of ours, from the same authority as the first or from a stranger.
fn another(world: &World, pki: &Pki) {
    let folder = world.dir.path().join("registrations");
    std::fs::write(folder.join("next.pem"), &pki.obwac.certificate_pem).unwrap();
    std::fs::write(folder.join("next.key"), pki.obwac.key_pem.expose_secret()).unwrap();
    let file = folder.join(format!("{REGISTRATION}.toml"));
    let text = std::fs::read_to_string(&file).unwrap();
    let next = "[transport.next]\ncertificate = \"next.pem\"\nkey = \"next.key\"\n";
    std::fs::write(&file, format!("{text}{next}")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_tried_and_then_carries_everything() {
    let world = World::made(Options::default(), recent).await;
    look(&world).await;
    let consent = world.connect(CUSTOMER).await;
    assert!(matches!(fetch::run(&world.app, world.about(consent)).await.unwrap(), fetch::Verdict::Next(_)));
    let before = world.app.connections.get(&registration()).unwrap();

    another(&world, &world.pki);
    look(&world).await;
    assert_eq!(states(&world, Use::Transport).await, ["current"], "the file was read, the row comes next");
    look(&world).await;
    assert_eq!(states(&world, Use::Transport).await, ["current", "retired"]);
    let after = world.app.connections.get(&registration()).unwrap();
    assert!(!std::sync::Arc::ptr_eq(&before, &after), "no call goes out over the old pool");

    // The token is good for minutes, and bound to the certificate that was left: it is renewed first.
    let renewed = |world: &World| world.bank.log().iter().filter(|line| line.code == "token.refreshed").count();
    assert_eq!(renewed(&world), 0);
    assert!(matches!(fetch::run(&world.app, world.about(consent)).await.unwrap(), fetch::Verdict::Next(_)));
    assert_eq!(renewed(&world), 1);
    assert_eq!(refused(&world), Vec::<String>::new());

    // And back, by the hand of an operator.
    rotation::restore(&world.app, &registration(), Use::Transport).await.unwrap();
    assert!(matches!(fetch::run(&world.app, world.about(consent)).await.unwrap(), fetch::Verdict::Next(_)));
    assert_eq!(renewed(&world), 2);
    assert_eq!(refused(&world), Vec::<String>::new());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_the_bank_does_not_take_changes_nothing() {
    let world = World::made(Options::default(), recent).await;
    look(&world).await;
    let consent = world.connect(CUSTOMER).await;
    let stranger = tests::world::pki(world.moment().now);
    another(&world, &stranger);
    for _ in 0..3 {
        look(&world).await;
    }
    assert_eq!(states(&world, Use::Transport).await, ["current", "rejected"]);
    assert!(matches!(fetch::run(&world.app, world.about(consent)).await.unwrap(), fetch::Verdict::Next(_)));
    assert_eq!(refused(&world), Vec::<String>::new());
    world.end().await;
}

/// A bank with books of a few days.
fn recent(data: &mut BankData) {
    for account in data.psus.iter_mut().flat_map(|psu| &mut psu.accounts) {
        let keep = account.rows.len().saturating_sub(20);
        account.rows.drain(..keep);
    }
}
