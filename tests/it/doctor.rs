//! What the doctor finds: each thing that operators get wrong, planted in a sound installation.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::RegistrationId;
use domain::world::Clock;
use jiff::SignedDuration;
use secrecy::SecretString;
use server::App;
use server::config::{Config, ListenTls};
use server::doctor::{Finding, Health, examine};
use tests::world::{self, CUSTOMER, REGISTRATION, TestClock, World};

async fn look(config: &Config, clock: &Arc<TestClock>) -> Vec<Finding> {
    let clock: Arc<dyn Clock> = clock.clone();
    examine(config, &clock).await
}

/// What does not work, or will not for long, by what it is about.
fn wrong(findings: &[Finding]) -> Vec<(&str, Health)> {
    let wrong = findings.iter().filter(|finding| finding.health != Health::Good);
    // Nobody keeps a copy of the checkpoints of a test.
    let wrong = wrong.filter(|finding| finding.about != "evidence.checkpoint_file");
    wrong.map(|finding| (finding.about.as_str(), finding.health)).collect()
}

/// Changes a file, looks, and puts the file back.
async fn with_file(world: &World, path: &Path, text: &[u8]) -> Vec<Finding> {
    let before = std::fs::read(path).unwrap();
    std::fs::write(path, text).unwrap();
    let found = look(&world.app.config, &world.clock).await;
    std::fs::write(path, before).unwrap();
    found
}

fn about(what: &str) -> String {
    format!("registration {REGISTRATION}: {what}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_installation_has_nothing_wrong() {
    let world = World::of_this_moment().await;
    world.connect(CUSTOMER).await;
    let found = look(&world.app.config, &world.clock).await;
    assert_eq!(wrong(&found), [], "{found:#?}");
    for looked_at in ["listen.address", "database", "clock: database", "keys.dir"] {
        assert!(found.iter().any(|finding| finding.about == looked_at), "{looked_at}: {found:#?}");
    }
    for looked_at in ["redirect_uri", "certificate", "bank"] {
        assert!(found.iter().any(|finding| finding.about == about(looked_at)), "{looked_at}: {found:#?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_are_found() {
    let world = World::of_this_moment().await;
    world.connect(CUSTOMER).await;
    let sound = &world.app.config;
    let check = async |changed: Config, expected: &[(&str, Health)]| {
        let found = look(&changed, &world.clock).await;
        assert_eq!(wrong(&found), expected, "{found:#?}");
        assert!(found.iter().all(|finding| finding.health == Health::Good || finding.cure.is_some()), "{found:#?}");
    };

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = sound.clone();
    config.listen.address = taken.local_addr().unwrap();
    check(config, &[("listen.address", Health::Warning)]).await;

    let mut config = sound.clone();
    config.listen.tls = Some(ListenTls {
        certificate: world.dir.path().join("registrations/server.pem"),
        key: world.dir.path().join("registrations/qwac.key"),
    });
    check(config, &[("listen.tls", Health::Bad)]).await;

    let mut config = sound.clone();
    config.listen.public_url = "https://elsewhere.example/".parse().unwrap();
    check(config, &[(&about("redirect_uri"), Health::Bad)]).await;

    let mut config = sound.clone();
    config.database.url = SecretString::from(format!("postgres://nobody@127.0.0.1:{}/none", world::free_port()));
    check(config, &[("database.url", Health::Bad)]).await;

    let mut config = sound.clone();
    config.keys.dir = world.dir.path().join("lost");
    check(config.clone(), &[("keys.dir", Health::Bad)]).await;
    std::fs::create_dir(&config.keys.dir).unwrap();
    std::fs::set_permissions(&config.keys.dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    check(config.clone(), &[("keys.dir", Health::Bad)]).await;
    std::fs::set_permissions(&config.keys.dir, std::fs::Permissions::from_mode(0o700)).unwrap();
    check(config, &[("keys.dir", Health::Bad)]).await;

    let mut config = sound.clone();
    config.webhooks.ca_file = world.config_file();
    check(config, &[("webhooks.ca_file", Health::Bad)]).await;

    let mut config = sound.clone();
    config.banks.registrations_dir = world.dir.path().join("none");
    check(config, &[("banks.registrations_dir", Health::Warning)]).await;

    let mut config = sound.clone();
    config.banks.allow_loopback = false;
    check(config, &[(&about("bank"), Health::Bad)]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_files_are_found() {
    let world = World::of_this_moment().await;
    let folder = world.dir.path().join("registrations");
    let file = folder.join(format!("{REGISTRATION}.toml"));
    let text = std::fs::read_to_string(&file).unwrap();
    let stranger = world::pki(world.clock.now());

    let found = with_file(&world, &folder.join("ca.pem"), stranger.ca_pem.as_bytes()).await;
    assert_eq!(wrong(&found), [(about("bank").as_str(), Health::Bad)], "{found:#?}");
    assert!(found.iter().any(|finding| finding.cure.as_ref().is_some_and(|cure| cure.contains("transport.ca"))));

    let closed = format!("https://localhost:{}", world::free_port());
    let found = with_file(&world, &file, text.replace(&world.bank.issuer, &closed).as_bytes()).await;
    assert_eq!(wrong(&found), [(about("bank").as_str(), Health::Bad)], "{found:#?}");

    let whole = format!("registration {REGISTRATION}");
    for (right, planted) in [
        ("bank = \"", "bank = \"xx_"),
        ("client_id", "client_name"),
        ("qwac.pem", "qwac.pen"),
        ("qwac.key", "qsealc.key"),
        ("[transport]", "[transport"),
    ] {
        let found = with_file(&world, &file, text.replacen(right, planted, 1).as_bytes()).await;
        assert_eq!(wrong(&found), [(whole.as_str(), Health::Bad)], "{planted}: {found:#?}");
    }

    let key = folder.join("signing.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let found = look(&world.app.config, &world.clock).await;
    assert_eq!(wrong(&found), [(about("private key").as_str(), Health::Bad)], "{found:#?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_clocks_and_old_certificates_are_found() {
    let world = World::of_this_moment().await;
    for (minutes, is_wrong) in [(0, false), (5, true), (-5, true)] {
        let clock = Arc::new(TestClock::default());
        clock.advance(SignedDuration::from_mins(minutes));
        let found = look(&world.app.config, &clock).await;
        assert_eq!(wrong(&found).contains(&("clock: database", Health::Bad)), is_wrong, "{found:#?}");
    }
    let folder = world.dir.path().join("registrations");
    let own = about("certificate");
    // Certificates of a throw-away authority are valid for a year and a month.
    for (age_days, expected) in [
        (200, None),
        (330, Some(Health::Warning)),
        (393, Some(Health::Bad)),
        (430, Some(Health::Bad)),
        (-9, Some(Health::Bad)),
    ] {
        let issued = world::pki(world.clock.now() - SignedDuration::from_hours(24 * age_days)).qwac;
        std::fs::write(folder.join("qwac.pem"), &issued.certificate_pem).unwrap();
        std::fs::write(folder.join("qwac.key"), secrecy::ExposeSecret::expose_secret(&issued.key_pem)).unwrap();
        let found = look(&world.app.config, &world.clock).await;
        let health = wrong(&found).into_iter().find(|(what, _)| *what == own).map(|(_, health)| health);
        assert_eq!(health, expected, "{age_days}: {found:#?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_cannot_be_used_costs_its_own_bank_and_no_other() {
    let world = World::start().await;
    let sound = world.dir.path().join("registrations").join(format!("{REGISTRATION}.toml"));
    let text = std::fs::read_to_string(&sound).unwrap();
    let other = sound.with_file_name("another.toml");
    let (app, config) = (&world.app, world.app.config.clone());
    let another = RegistrationId::new("another").unwrap();
    let (head, rest) = text.split_once("[transport]").unwrap();
    let without = format!("{head}{}", &rest[rest.find("[signing]").unwrap()..]);
    std::fs::write(&other, without).unwrap();
    let started = App::new(config, app.store.clone(), world.clock.clone(), app.tenant.clone()).unwrap();
    let known = |app: &App| -> Vec<String> { app.connections.all().iter().map(|one| one.id.to_string()).collect() };
    assert_eq!(known(&started), [REGISTRATION]);
    // As good as new once its file is: no restart.
    started.connections.adopt(&started.directory, &[]);
    assert_eq!(known(&started), [REGISTRATION]);
    std::fs::write(&other, text).unwrap();
    let file = std::fs::File::open(&other).unwrap();
    file.set_modified(file.metadata().unwrap().modified().unwrap() + Duration::from_secs(1)).unwrap();
    started.connections.adopt(&started.directory, &[]);
    assert!(started.connections.get(&another).is_some(), "{:?}", known(&started));
    assert_eq!(known(&started).len(), 2);
    world.end().await;
}
