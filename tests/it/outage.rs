//! The key provider is out. Whoever withdraws is heard all the same, nothing is served, and what needed a key comes later and
//! says the right times.

use std::path::PathBuf;

use domain::consent::{DataState, RevokedBy, State};
use domain::ids::{ConsentId, DeletionId};
use server::services::consents::revoke;
use server::services::fetch::{self, Verdict};
use server::services::{ServiceError, deletion, events, revocation};
use server::{App, evidence_log};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use store::deletions::{Bank, State as Progress};
use store::{capsules, deletions};
use tests::site::{Site, connected};
use tests::world::{NEIGHBOUR, World, stands};
use vault::KeyError;

/// The folder of the tenant's keys, away: in its place stands what cannot be entered.
struct Outage {
    place: PathBuf,
    away: PathBuf,
}

impl Outage {
    fn begin(world: &World) -> Self {
        let place = world.dir.path().join("keys").join(world.app.tenant.id.to_string());
        let away = world.dir.path().join("away");
        std::fs::rename(&place, &away).unwrap();
        std::fs::write(&place, "").unwrap();
        Self { place, away }
    }

    fn end(self) {
        std::fs::remove_file(&self.place).unwrap();
        std::fs::rename(&self.away, &self.place).unwrap();
    }
}

async fn deletion_of(app: &App, consent: ConsentId) -> deletions::Deletion {
    let mut tx = app.store.tenant_tx(app.tenant.id).await.unwrap();
    deletions::of_consent(&mut tx, consent).await.unwrap().pop().unwrap()
}

/// Entries of the log that lie unsealed.
async fn unsealed(owner: &mut PgConnection) -> i64 {
    sqlx::query_scalar("select count(*) from evidence_entry where pending is not null").fetch_one(owner).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_withdraws_is_heard_while_no_key_can_be_had() {
    let world = World::start().await;
    let app = &world.app;
    let tenant = app.tenant.id;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    let consent = connected(&world, &product).await;
    let other = world.connect(NEIGHBOUR).await;
    fetch::run(app, world.about(other)).await.unwrap();
    while evidence_log::sequence(app, tenant).await.unwrap() > 0 {}
    let mut owner = PgConnection::connect_with(&world.private.connect_options()).await.unwrap();
    let account = product.get("/v1/accounts").await.json()["data"][0]["id"].as_str().unwrap().to_owned();

    let outage = Outage::begin(&world);
    let stopped = app.clock.now();
    let refused = product.get(&format!("/v1/accounts/{account}/transactions")).await;
    assert_eq!(refused.status.as_u16(), 503, "nothing can be opened: {}", refused.text());
    let answer = product.delete(&format!("/v1/consents/{consent}")).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text());
    let id: DeletionId = answer.json()["erasure"].as_str().unwrap().parse().unwrap();
    revoke(app, tenant, other, RevokedBy::Psu, "psu").await.unwrap();
    assert_eq!(stands(app, consent).await, (State::Revoked(RevokedBy::Product), DataState::Erasing));
    assert_eq!(stands(app, other).await, (State::Revoked(RevokedBy::Psu), DataState::Erasing));
    events::number(app, tenant).await.unwrap();
    assert!(product.get("/v1/events?limit=500").await.text().contains("consent.revoked"), "the product hears of it");

    // Everything goes but the signature; nothing is placed in the log that says nothing.
    assert!(matches!(deletion::run(app, tenant, id).await, Err(ServiceError::Key(KeyError::Unavailable { .. }))));
    assert_eq!(deletion_of(app, consent).await.state, Progress::Shredded, "rows and keys are gone");
    assert!(evidence_log::sequence(app, tenant).await.is_err());
    assert!(unsealed(&mut owner).await > 0);
    let mut tx = app.store.tenant_tx(tenant).await.unwrap();
    let told = capsules::open(&mut tx, 10).await.unwrap();
    drop(tx);
    assert_eq!(told.len(), 2);
    assert!(matches!(revocation::run(app, tenant, told[0].0).await, Err(ServiceError::Key(_))), "it is told later");
    outage.end();

    for (capsule, _) in told {
        assert_eq!(revocation::run(app, tenant, capsule).await.unwrap(), Verdict::Done);
    }
    for consent in [consent, other] {
        let id = deletion_of(app, consent).await.id;
        assert_eq!(deletion::run(app, tenant, id).await.unwrap(), Verdict::Done);
        assert_eq!(
            deletion_of(app, consent).await.bank,
            Bank::Confirmed,
            "the bank was told with what lay in the capsule"
        );
    }
    while evidence_log::sequence(app, tenant).await.unwrap() > 0 {}
    assert_eq!(unsealed(&mut owner).await, 0);
    let bundle = product.get(&format!("/v1/evidence/consents/{consent}")).await.text();
    let keys = evidence::VerifierKey::read_all(&server::verifier_key(app).unwrap()).unwrap();
    let report = evidence::verify(&bundle, &keys, None).unwrap();
    let [receipt] = <[_; 1]>::try_from(report.receipts()).unwrap();
    assert!(receipt.deletion == id && receipt.stopped_at >= stopped && receipt.key_deleted_at >= receipt.stopped_at);
    let moved = report.lines.iter().find_map(|line| line.statement().filter(|said| said.body["to"] == "revoked"));
    assert_eq!(moved.unwrap().at, receipt.stopped_at, "what could not be sealed then says when it was");
    site.end().await;
    world.end().await;
}
