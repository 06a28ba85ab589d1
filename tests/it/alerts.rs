//! Alerts: each kind is raised by what it is about, once, where those who watch see it; and by nothing else.

use domain::alert::Kind;
use http::StatusCode;
use jiff::SignedDuration;
use secrecy::SecretString;
use server::services::compliance::{self, Search};
use store::alerts::{self, Alert};
use tests::site::{Caller, Site, connected};
use tests::staff::{Desk, Provider};
use tests::world::World;

struct Ground {
    world: World,
    provider: Provider,
    site: Site,
}

impl Ground {
    async fn start() -> Self {
        let mut world = World::start().await;
        let provider = Provider::join(&mut world).await;
        let site = Site::start(world.app.clone()).await;
        Self { world, provider, site }
    }

    /// Every alert on record: its kind and whom it names.
    async fn raised(&self) -> Vec<(String, Option<String>)> {
        let search = Search { kind: Some("alert.raised".to_owned()), ..Search::default() };
        let found = compliance::search(&self.world.app, &search).await.unwrap();
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        found
            .iter()
            .filter_map(|one| Some((text(&one.body.as_ref()?["kind"])?, text(&one.body.as_ref()?["subject"]))))
            .collect()
    }

    async fn is_seen(&self, kind: Kind) -> bool {
        let desk = Desk::new(&self.world, self.site.caller(&self.world, None));
        desk.sign_in("olga").await;
        desk.get("/console/alerts").await.text().contains(&kind.word().replace('_', " "))
    }

    async fn sees(&self, kind: Kind) {
        assert!(self.is_seen(kind).await, "{kind:?}");
        let desk = Desk::new(&self.world, self.site.caller(&self.world, None));
        desk.sign_in("olga").await;
        assert!(desk.get("/console").await.text().contains("alerts in the last 24 hours"));
        let metrics = self.site.caller(&self.world, None).get("/metrics").await.text();
        assert!(metrics.contains(&format!("tributary_alerts_total{{kind=\"{}\"}}", kind.word())), "{kind:?}");
    }

    async fn end(self) {
        self.site.end().await;
        self.provider.end().await;
        self.world.end().await;
    }
}

async fn asks(caller: &Caller, path: &str, times: u64, expected: StatusCode) {
    for _ in 0..times {
        assert_eq!(caller.get(path).await.status, expected, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_failed_logins_is_an_alert() {
    let ground = Ground::start().await;
    let guessed = SecretString::from("trb_key_guessed");
    let stranger = ground.site.caller(&ground.world, Some(&guessed));
    asks(&stranger, "/v1/accounts", Kind::FailedLogins.floor() - 1, StatusCode::UNAUTHORIZED).await;
    assert!(!ground.is_seen(Kind::FailedLogins).await, "somebody may mistype");
    asks(&stranger, "/v1/accounts", 10, StatusCode::UNAUTHORIZED).await;
    assert_eq!(ground.raised().await, [], "strangers write nothing that stays");
    ground.sees(Kind::FailedLogins).await;
    let nobody = ground.site.caller(&ground.world, None);
    asks(&nobody, "/console/callback?state=x", 5, StatusCode::SEE_OTHER).await;
    for _ in 0..Kind::FailedStaffLogins.floor() {
        let desk = Desk::new(&ground.world, ground.site.caller(&ground.world, None));
        assert_eq!(desk.sign_in("nina").await.status, StatusCode::FORBIDDEN);
    }
    ground.sees(Kind::FailedStaffLogins).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_an_alert_that_names_the_key() {
    let ground = Ground::start().await;
    let product = ground.site.caller(&ground.world, Some(&ground.world.api_key));
    let key = product.get("/v1/keys").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    for guess in 0..Kind::Enumeration.floor() {
        let path = format!("/v1/accounts/acc_00000000-0000-0000-0000-{guess:012}");
        assert_eq!(product.get(&path).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(ground.raised().await, [("enumeration".to_owned(), Some(key))]);
    ground.sees(Kind::Enumeration).await;
    let nobody = ground.site.caller(&ground.world, None);
    for guess in 0..Kind::GuessedLinks.floor() {
        let status = nobody.get(&format!("/link/trb_link_{guess}")).await.status;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
    ground.sees(Kind::GuessedLinks).await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_reads_are_an_alert_by_products_and_by_staff() {
    let ground = Ground::start().await;
    let product = ground.site.caller(&ground.world, Some(&ground.world.api_key));
    let consent = connected(&ground.world, &product).await;
    let key = product.get("/v1/keys").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    let account = product.get("/v1/accounts").await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    let mut rows = 0;
    // A page brings what the bank has; the products of the world are small, so many pages are read.
    while rows < Kind::UnusualReads.floor() {
        assert_eq!(ground.raised().await, [], "{rows} rows are no alert");
        for _ in 0..40 {
            let page = product.get(&format!("/v1/accounts/{account}/transactions?limit=500")).await.json();
            rows += u64::try_from(page["data"].as_array().unwrap().len()).unwrap();
        }
    }
    assert_eq!(ground.raised().await, [("unusual_reads".to_owned(), Some(key))]);
    ground.sees(Kind::UnusualReads).await;
    let sam = Desk::new(&ground.world, ground.site.caller(&ground.world, None));
    sam.sign_in("sam").await;
    let fields = [("reason", "The person asked about a booking")];
    for _ in 0..Kind::StaffReads.floor() {
        let shown = sam.order(&format!("/console/consents/{consent}/data"), &fields).await;
        assert_eq!(shown.status, StatusCode::OK);
    }
    let (kind, who) = ground.raised().await.pop().unwrap();
    assert_eq!(kind, "staff_reads");
    assert!(who.unwrap().starts_with("stf_"));
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_with_many_addresses_pushes_no_other_alert_off_the_page() {
    let ground = Ground::start().await;
    let app = &ground.world.app;
    let moment = ground.world.moment();
    let alert = |kind: Kind, subject: String, n: i64| Alert {
        id: moment.uuid(),
        kind: kind.word().to_owned(),
        subject,
        number: 20,
        raised_at: moment.now - SignedDuration::from_hours(1) + SignedDuration::from_secs(n),
    };
    let mut tx = app.store.tenant_tx(app.tenant.id).await.unwrap();
    alerts::insert(&mut tx, &alert(Kind::UnusualReads, "key_that_leaks".to_owned(), 0)).await.unwrap();
    for n in 1..=250 {
        let kind = [Kind::FailedLogins, Kind::FailedStaffLogins, Kind::GuessedLinks][usize::try_from(n).unwrap() % 3];
        alerts::insert(&mut tx, &alert(kind, format!("198.51.100.{n}"), n)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let desk = Desk::new(&ground.world, ground.site.caller(&ground.world, None));
    desk.sign_in("olga").await;
    let page = desk.get("/console/alerts").await.text();
    assert!(page.contains("key_that_leaks"), "{page}");
    assert_eq!(page.matches("198.51.100.").count(), 200, "a page has an end");
    assert!(page.contains("198.51.100.250<") && !page.contains("198.51.100.50<"), "the newest");
    assert!(desk.get("/console").await.text().contains("251"), "all are counted");
    ground.end().await;
}
