//! The operator's console: who gets in, what each role sees and does, and what is on record afterwards.

use std::collections::BTreeMap;

use domain::ids::ConsentId;
use domain::limits;
use domain::staff::{Action, Role, may};
use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde_json::json;
use server::services::compliance::{self, Found, Search};
use server::services::{deletion, staff};
use server::setup;
use tests::routes;
use tests::site::{Caller, Site, connected};
use tests::staff::{Desk, Lie, Provider};
use tests::world::World;
use tokio::net::TcpListener;

use super::owasp::{HOSTILE, harmless};

/// A world with a console, and what stands in it.
struct Ground {
    world: World,
    provider: Provider,
    site: Site,
    consent: ConsentId,
    /// In the place of a path's parameter.
    places: BTreeMap<&'static str, String>,
}

impl Ground {
    async fn start() -> Self {
        let mut world = World::start().await;
        let provider = Provider::join(&mut world).await;
        let site = Site::start(world.app.clone()).await;
        let product = site.caller(&world, Some(&world.api_key));
        let consent = connected(&world, &product).await;
        let hook = product.post("/v1/webhook-endpoints", &json!({ "url": "http://127.0.0.1:9/s3cret" })).await.json();
        let ended = world.connect(tests::world::NEIGHBOUR).await;
        let ended = product.delete(&format!("/v1/consents/{ended}")).await.json();
        let erasure = ended["erasure"].as_str().unwrap().parse().unwrap();
        deletion::run(&world.app, world.app.tenant.id, erasure).await.unwrap();
        let places = BTreeMap::from([
            ("{registration}", tests::world::REGISTRATION.to_owned()),
            ("{consent}", consent.to_string()),
            ("{deletion}", erasure.to_string()),
            ("{endpoint}", hook["id"].as_str().unwrap().to_owned()),
            ("{job}", "job_00000000-0000-0000-0000-000000000001".to_owned()),
            ("{hold}", "hld_00000000-0000-0000-0000-000000000001".to_owned()),
        ]);
        Self { world, provider, site, consent, places }
    }

    fn desk(&self) -> Desk<'_> {
        Desk::new(&self.world, self.site.caller(&self.world, None))
    }

    async fn at(&self, name: &str) -> Desk<'_> {
        let desk = self.desk();
        let answer = desk.sign_in(name).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{name}: {}", answer.text());
        desk
    }

    fn fill(&self, path: &str) -> String {
        self.places.iter().fold(path.to_owned(), |path, (name, id)| path.replace(name, id))
    }

    async fn recorded(&self, kind: &str) -> Vec<Found> {
        let search = Search { kind: Some(kind.to_owned()), ..Search::default() };
        compliance::search(&self.world.app, &search).await.unwrap()
    }

    async fn end(self) {
        self.site.end().await;
        self.provider.end().await;
        self.world.end().await;
    }
}

/// Every address of the console with what it is.
const DOORS: [(Method, &str, Action); 22] = [
    (Method::GET, "/console", Action::SeeOverview),
    (Method::GET, "/console/alerts", Action::SeeAlerts),
    (Method::GET, "/console/banks", Action::SeeBanks),
    (Method::GET, "/console/banks/{registration}", Action::SeeBanks),
    (Method::GET, "/console/consents", Action::SeeConsents),
    (Method::GET, "/console/consents?state=lapsing", Action::SeeConsents),
    (Method::POST, "/console/consents/find", Action::FindPerson),
    (Method::GET, "/console/consents/{consent}", Action::SeeConsents),
    (Method::POST, "/console/consents/{consent}/data", Action::ShowBankData),
    (Method::GET, "/console/deletions", Action::SeeDeletions),
    (Method::GET, "/console/deletions/{deletion}/receipt", Action::ReadEvidence),
    (Method::GET, "/console/webhooks", Action::SeeDeliveries),
    (Method::GET, "/console/webhooks/{endpoint}", Action::SeeDeliveries),
    (Method::POST, "/console/webhooks/{endpoint}/replay", Action::ReplayDeliveries),
    (Method::GET, "/console/jobs", Action::SeeJobs),
    (Method::POST, "/console/jobs/{job}/retry", Action::RetryJob),
    (Method::GET, "/console/keys", Action::SeeKeys),
    (Method::GET, "/console/evidence", Action::SearchLog),
    (Method::POST, "/console/evidence", Action::SearchLog),
    (Method::GET, "/console/holds", Action::SeeHolds),
    (Method::POST, "/console/holds", Action::MoveHolds),
    (Method::POST, "/console/holds/{hold}", Action::MoveHolds),
];

/// Somebody of each role.
const PEOPLE: [(&str, Role); 4] =
    [("olga", Role::Operator), ("carl", Role::Compliance), ("sam", Role::Support), ("ada", Role::Auditor)];

#[test]
fn every_route_of_the_console_is_a_door_that_is_tried() {
    let tried = |method: &Method, path: &str| {
        DOORS.iter().any(|(one, door, _)| one == method && door.split('?').next() == Some(path))
    };
    for (method, path) in routes::of("console") {
        let for_everybody = ["/console/login", "/console/callback", "/console/logout"].contains(&path.as_str());
        // A form's address that is opened leads back, behind the same gate.
        let leads_back = method == Method::GET && tried(&Method::POST, &path);
        assert!(for_everybody || leads_back || tried(&method, &path), "{method} {path} is tried by nobody");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_input_at_every_door_is_refused_in_words() {
    let ground = Ground::start().await;
    let long = "a".repeat(4_000);
    for (name, role) in PEOPLE {
        let desk = ground.at(name).await;
        let csrf = desk.csrf().await;
        for (method, path, action) in &DOORS {
            // Each door once, by the first who may.
            if PEOPLE.iter().find(|(_, role)| may(*role, *action)).is_none_or(|(_, first)| *first != role) {
                continue;
            }
            for input in HOSTILE.into_iter().chain([long.as_str()]) {
                // A door that refuses without reading closes the connection, and of a body that is still on its way the
                // sender would see a reset in place of the answer: it is short enough to have arrived.
                let said = url::form_urlencoded::parse(input.as_bytes()).map(|(said, _)| said.into_owned());
                let said: String = said.collect::<String>().chars().take(200).collect();
                let names = ["consent", "product", "reference", "person", "matter", "deed", "seen", "reason", "kind"];
                let more = ["from", "until", "institution", "to", "first", "last"];
                let form = [("csrf", csrf.as_str())].into_iter();
                let fields: Vec<_> =
                    form.chain(names.into_iter().chain(more).map(|name| (name, said.as_str()))).collect();
                let address = routes::filled(path.split('?').next().unwrap_or_default(), input);
                let address = format!("{address}?state={input}&after={input}&page={input}");
                let answer = desk.send(method.clone(), &address, &fields).await;
                harmless(&answer, &format!("{method} {path} with {input:.40}"));
            }
        }
    }
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_passes_the_doors_of_its_table_and_no_other() {
    let ground = Ground::start().await;
    let nobody = ground.desk();
    for (method, path, _) in &DOORS {
        let answer = nobody.send(method.clone(), &ground.fill(path), &[]).await;
        let expected = if *method == Method::GET { StatusCode::SEE_OTHER } else { StatusCode::FORBIDDEN };
        assert_eq!(answer.status, expected, "{method} {path}");
    }
    for (name, role) in PEOPLE {
        let desk = ground.at(name).await;
        let csrf = desk.csrf().await;
        for (method, path, action) in &DOORS {
            let full = ground.fill(path);
            let answer = desk.send(method.clone(), &full, &[("csrf", &csrf)]).await;
            let refused = answer.status == StatusCode::FORBIDDEN;
            assert_eq!(refused, !may(role, *action), "{role:?} {method} {path}: {}", answer.text());
            assert!(!answer.status.is_server_error(), "{method} {path}: {}", answer.text());
            if *method == Method::GET && !refused {
                assert_eq!(answer.status, StatusCode::OK, "{role:?} {path}: {}", answer.text());
            }
            if *method == Method::POST {
                for forged in [&[][..], &[("csrf", "")], &[("csrf", "guessed")]] {
                    let answer = desk.send(method.clone(), &full, forged).await;
                    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path} {forged:?}");
                }
            }
        }
        // What the navigation shows is what opens.
        let home = desk.get("/console").await.text();
        for (_, path, action) in DOORS.iter().filter(|(method, ..)| *method == Method::GET) {
            assert!(may(role, *action) || !home.contains(&format!("href=\"{path}\"")), "{role:?} {path}");
        }
    }
    assert_eq!(ground.recorded("staff.signed_in").await.len(), 4);
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_with_an_answer_that_does_not_hold() {
    let ground = Ground::start().await;
    for lie in [
        Lie::Claim("nonce", "another"),
        Lie::Claim("aud", "another"),
        Lie::Claim("iss", "https://another.example"),
        Lie::Old(301),
        Lie::Old(-3600),
        Lie::Shared,
        Lie::Unsigned,
        Lie::OtherKey,
        Lie::Symmetric,
        Lie::Missing,
    ] {
        ground.provider.lie(Some(lie));
        let desk = ground.desk();
        let answer = desk.sign_in("olga").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{lie:?}: {}", answer.text());
        assert_eq!(desk.cookies(), "", "{lie:?}");
    }
    ground.provider.lie(None);
    // Another browser, another state, no state, twice the state.
    let (mine, other) = (ground.desk(), ground.desk());
    let path = mine.return_path("olga").await;
    other.return_path("olga").await;
    assert_eq!(other.get(&path).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(ground.desk().get(&path).await.headers["location"], "/console/login");
    for changed in [path.replace("state=", "state=x"), path.replace("state=", "s="), format!("{path}&state=x")] {
        let desk = ground.desk();
        desk.steal(&mine.cookies());
        assert_eq!(desk.get(&changed).await.status, StatusCode::BAD_REQUEST, "{changed}");
    }
    // What counts, counts once.
    let replayed = ground.desk();
    replayed.steal(&mine.cookies());
    assert_eq!(mine.get(&path).await.headers["location"], "/console");
    assert_eq!(replayed.get(&path).await.status, StatusCode::BAD_GATEWAY, "the provider knows the code no more");
    assert_eq!(mine.get(&path).await.headers["location"], "/console/login", "nothing is under way any more");
    // Who has no role, and whom the provider does not let in.
    assert_eq!(ground.desk().sign_in("nina").await.status, StatusCode::FORBIDDEN);
    let declined = ground.desk();
    let path = declined.return_path("olga").await.replace("code=", "error=access_denied&c=");
    assert_eq!(declined.get(&path).await.status, StatusCode::FORBIDDEN);
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_time_by_hand_and_with_its_person() {
    let ground = Ground::start().await;
    let desk = ground.at("olga").await;
    let cookie = desk.cookies();
    assert!(cookie.starts_with("__Host-tributary-console=trb_desk_"), "{cookie}");
    assert_eq!(desk.order("/console/logout", &[]).await.headers["location"], "/console/login");
    assert_eq!(desk.cookies(), "");
    desk.steal(&cookie);
    assert_eq!(desk.get("/console").await.status, StatusCode::SEE_OTHER, "a cookie that was kept opens nothing");

    let desk = ground.at("olga").await;
    ground.world.clock.advance(SignedDuration::from_mins(29));
    assert_eq!(desk.get("/console").await.status, StatusCode::OK);
    ground.world.clock.advance(SignedDuration::from_mins(1));
    assert_eq!(desk.get("/console").await.status, StatusCode::SEE_OTHER);

    let desk = ground.at("olga").await;
    let olga = staff::list(&ground.world.app).await.unwrap().remove(0);
    assert_eq!(olga.name, "Olga Operator");
    staff::withdraw(&ground.world.app, olga.id).await.unwrap();
    assert_eq!(desk.get("/console").await.status, StatusCode::SEE_OTHER, "at once");
    assert_eq!(ground.desk().sign_in("olga").await.status, StatusCode::FORBIDDEN, "and for good");
    assert_eq!(ground.recorded("staff.added").await.len(), 1, "one person, however often they come");
    assert_eq!(ground.recorded("staff.signed_out").await.len(), 1);
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bank_data_are_shown_without_a_reason_that_is_on_record() {
    let ground = Ground::start().await;
    let sam = ground.at("sam").await;
    let page = format!("/console/consents/{}", ground.consent);
    let product = ground.site.caller(&ground.world, Some(&ground.world.api_key));
    let accounts = product.get("/v1/accounts").await.json();
    let iban = accounts["data"][0]["iban"].as_str().unwrap().to_owned();
    for (_, path, _) in DOORS.iter().filter(|(method, ..)| *method == Method::GET) {
        let text = sam.get(&ground.fill(path)).await.text();
        assert!(!text.contains(&iban) && !text.contains("s3cret"), "{path} shows what it must not");
    }
    for reason in ["", "because", "        because        "] {
        let answer = sam.order(&format!("{page}/data"), &[("reason", reason)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(!answer.text().contains(&iban));
    }
    assert_eq!(ground.recorded("data.shown_to_staff").await.len(), 0);
    let reason = "The person called about a missing <b>booking</b>";
    let answer = sam.order(&format!("{page}/data"), &[("reason", reason)]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text().contains(&iban) && !answer.text().contains("<b>"));
    let record = ground.recorded("data.shown_to_staff").await.remove(0);
    let body = record.body.unwrap();
    assert_eq!((record.subject, body["reason"].as_str()), (ground.consent.to_string(), Some(reason)));
    assert!(body["rows"].as_u64().unwrap() > 0 && body["staff"].as_str().unwrap().starts_with("stf_"));
    // After a withdrawal there is nothing to show, whatever the reason.
    product.delete(&format!("/v1/consents/{}", ground.consent)).await;
    let answer = sam.order(&format!("{page}/data"), &[("reason", reason)]).await;
    assert!(!answer.text().contains(&iban), "{}", answer.status);
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_undone_takes_four_eyes() {
    let ground = Ground::start().await;
    let (carl, cora) = (ground.at("carl").await, ground.at("cora").await);
    let consent = ground.consent.to_string();
    let asked = carl.order("/console/holds", &[("consent", &consent), ("matter", "AZ 7/26")]).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.text());
    let hold = ground.recorded("hold.asked").await.remove(0).body.unwrap()["hold"].as_str().unwrap().to_owned();
    let path = format!("/console/holds/{hold}");
    let own = carl.order(&path, &[("deed", "confirm"), ("seen", "asked")]).await;
    assert_eq!(own.status, StatusCode::CONFLICT, "{}", own.text());
    assert!(!carl.get("/console/holds").await.text().contains(">Confirm<"), "nor is it offered");
    assert!(cora.get("/console/holds").await.text().contains(">Confirm<"));
    // The button of a page that showed another state confirms nothing.
    let late = cora.order(&path, &[("deed", "confirm"), ("seen", "lift_asked")]).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text());
    assert_eq!(cora.order(&path, &[("deed", "confirm"), ("seen", "asked")]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(ground.recorded("hold.placed").await.len(), 1);
    assert_eq!(
        carl.order(&path, &[("deed", "nonsense"), ("seen", "placed")]).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_found_by_a_products_reference_and_hostile_names_do_no_harm() {
    let ground = Ground::start().await;
    let hostile = "\"><script>alert(1)</script>";
    let long = "w".repeat(128);
    let (product, key) = setup::add_product(&ground.world.app, hostile, &["budgeting"], &[]).await.unwrap();
    let caller = ground.site.caller(&ground.world, Some(&key));
    for person in [hostile, &long] {
        let ask = json!({ "psu_ref": person, "institution_id": tests::world::BANK, "purposes": ["budgeting"] });
        let made = caller.post("/v1/consents", &ask).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    }
    let sam = ground.at("sam").await;
    let product = product.to_string();
    for (person, found) in [(hostile, 1), (&long, 1), ("nobody", 0), ("", 0)] {
        let answer = sam.order("/console/consents/find", &[("product", &product), ("reference", person)]).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.text().matches("href=\"/console/consents/cns_").count(), found, "{person}");
        assert!(!answer.text().contains("<script"), "{person}");
    }
    let looked_up = ground.recorded("staff.looked_up").await;
    assert_eq!(looked_up.len(), 4, "whether somebody was found or not");
    let told = looked_up.iter().map(|one| one.body.as_ref().unwrap().to_string()).collect::<String>();
    assert!(told.contains("stf_") && told.contains("cns_") && !told.contains("script") && !told.contains(&long));
    let eve = ground.at("eve").await;
    for path in ["/console", "/console/consents", "/console/keys", "/console/consents?state=%3Cscript%3E"] {
        let answer = eve.get(path).await;
        assert!(!answer.text().contains("<script"), "{path}");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("script-src"), "{policy}");
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_provider_holds_few_logins_and_none_for_long() {
    let mut world = World::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tests::staff::configure(&mut world, &format!("https://localhost:{}", silent.local_addr().unwrap().port()));
    let site = Site::start(world.app.clone()).await;
    let login = async |caller: Caller| {
        let answer = Desk::new(&world, caller).send(Method::POST, "/console/login", &[]).await;
        (answer.status, answer.text())
    };
    let waiting = (0..limits::STAFF_LOGINS_AT_A_TIME).map(|_| login(site.caller(&world, None)));
    let further = async {
        let mut open = Vec::new();
        for _ in 0..limits::STAFF_LOGINS_AT_A_TIME {
            open.push(silent.accept().await.unwrap());
        }
        let turned_away = login(site.caller(&world, None)).await;
        (turned_away, open.len())
    };
    let (ended, (turned_away, open)) = tokio::join!(futures_util::future::join_all(waiting), further);
    assert_eq!(open, limits::STAFF_LOGINS_AT_A_TIME);
    assert_eq!(turned_away.0, StatusCode::SERVICE_UNAVAILABLE, "{}", turned_away.1);
    for (status, page) in ended {
        assert_eq!(status, StatusCode::BAD_GATEWAY, "{page}");
    }
    site.end().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_things_are_nobodys_at_the_console() {
    let ground = Ground::start().await;
    let config = server::config::Config::load(Some(&ground.world.config_file())).unwrap();
    let store = ground.world.app.store.clone();
    let regime = domain::policy::Regime::Eu;
    let other = setup::ensure_tenant(&store, &ground.world.moment(), "Another TPP", regime).await.unwrap();
    let app = server::App::new(config, store, ground.world.clock.clone(), other).unwrap();
    let site = Site::start(std::sync::Arc::new(app)).await;
    for name in ["olga", "carl", "sam"] {
        let desk = Desk::new(&ground.world, site.caller(&ground.world, None));
        assert_eq!(desk.sign_in(name).await.status, StatusCode::SEE_OTHER);
        let csrf = desk.csrf().await;
        let fields = [
            ("csrf", csrf.as_str()),
            ("reason", "a reason that is long enough"),
            ("from", "1"),
            ("to", "1"),
            ("deed", "confirm"),
        ];
        for (method, path, _) in
            DOORS.iter().filter(|(_, path, _)| path.contains('{') && !path.contains("registration"))
        {
            let theirs = ground.fill(path);
            let nobodys =
                ground.places.values().fold(theirs.clone(), |path, id| path.replace(id.as_str(), &other_id(id)));
            let [one, two] =
                [desk.send(method.clone(), &theirs, &fields).await, desk.send(method.clone(), &nobodys, &fields).await];
            assert_eq!(one.status, two.status, "{name} {method} {path}");
            assert_eq!(one.text(), two.text(), "{name} {method} {path}");
            assert!(one.status != StatusCode::OK, "{name} {method} {path}");
        }
        // A session of one tenant is none of the other's.
        let stolen = ground.desk();
        stolen.steal(&desk.cookies());
        assert_eq!(stolen.get("/console").await.status, StatusCode::SEE_OTHER);
        let text = desk.get("/console/consents").await.text();
        assert!(!text.contains(&ground.consent.to_string()));
    }
    site.end().await;
    ground.end().await;
}

/// The same, but for its last sign: of the same form and nobody's.
fn other_id(id: &str) -> String {
    let mut id = id.to_owned();
    let last = id.pop().unwrap();
    id.push(if last == '0' { '1' } else { '0' });
    id
}
