//! Keys in a token in place of files: SoftHSM stands for the hardware. The same way as with files, and no key on disk.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bank_adapters::profile::SignatureForm;
use jiff::SignedDuration;
use sandbox::SealForm;
use server::config::KeyHolder;
use server::services::{fetch, rotation};
use server::{App, reconcile};
use tests::world::{CUSTOMER, NEIGHBOUR, Options, REGISTRATION, World};
use vault::{EpochState, FileProvider, KeyError, KeyProvider, KeyService as _, KeyServiceError, TokenKeys};

/// A PIN for a token that lives as long as a test.
const PIN: &str = "246810";
/// Where SoftHSM reads its settings: of a process, so the test runs in a process of its own.
const SETTINGS: &str = "SOFTHSM2_CONF";
/// Our client id at the bank.
const CLIENT: &str = "PSDDE-BAFIN-000001";

/// Where packages put the module.
const MODULES: [&str; 6] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_a_token_do_what_keys_in_files_do() {
    match own_process() {
        Some(folder) => walk(&folder).await,
        None => in_a_process_of_its_own("hardware::keys_in_a_token_do_what_keys_in_files_do"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_sealed_opens_with_it_alone_and_ends_with_its_key() {
    match own_process() {
        Some(folder) => epochs(&folder).await,
        None => in_a_process_of_its_own("hardware::what_a_token_sealed_opens_with_it_alone_and_ends_with_its_key"),
    }
}

/// The folder of the token, in the process that was started for it.
fn own_process() -> Option<PathBuf> {
    let settings = std::env::var_os(SETTINGS).map(PathBuf::from).filter(|path| path.ends_with("tributary.conf"));
    settings.and_then(|path| path.parent().map(Path::to_owned))
}

fn in_a_process_of_its_own(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tokens")).unwrap();
    let settings = folder.path().join("tributary.conf");
    let tokens = folder.path().join("tokens");
    std::fs::write(&settings, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let program = std::env::current_exe().unwrap();
    let done = Command::new(program).args(["--exact", test]).env(SETTINGS, &settings).output().unwrap();
    let (out, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && out.contains("1 passed"), "{out}\n{errors}");
}

fn softhsm(arguments: &[&str]) {
    let done = Command::new("softhsm2-util").args(arguments).output().expect("SoftHSM; run .ci/setup --tests");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Moves a key file of the registrations' folder into the token, and gives the URI that is left of it.
fn moved(registrations: &Path, folder: &Path, id: &str, name: &str) -> String {
    let key = registrations.join(format!("{name}.key"));
    let path = key.display().to_string();
    softhsm(&["--import", &path, "--token", "tributary", "--label", name, "--id", id, "--pin", PIN]);
    std::fs::remove_file(&key).unwrap();
    format!("\"pkcs11:token=tributary;object={name};type=private?{}\"", module_and_pin(folder))
}

/// The part of a URI that says how to reach the token.
fn module_and_pin(folder: &Path) -> String {
    let module = MODULES.into_iter().map(Path::new).find(|path| path.exists()).expect("the module of SoftHSM");
    format!("module-path={}&pin-source=file:{}", module.display(), folder.join("pin").display())
}

/// Makes the token, with its PIN in a file.
fn new_token(folder: &Path) {
    softhsm(&["--init-token", "--free", "--label", "tributary", "--pin", PIN, "--so-pin", PIN]);
    std::fs::write(folder.join("pin"), format!("{PIN}\n")).unwrap();
}

/// Changes the world's registration.
fn rewrite(world: &World, change: impl FnOnce(&Path, String) -> String) {
    let registrations = world.dir.path().join("registrations");
    let file = registrations.join(format!("{REGISTRATION}.toml"));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, change(&registrations, text)).unwrap();
}

async fn walk(folder: &Path) {
    let seal = Some((SignatureForm::Http, SealForm::Http));
    let world = World::made(Options { seal, ..Options::default() }, |_| {}).await;
    let id = domain::ids::RegistrationId::new(REGISTRATION).unwrap();
    let before = world.app.connections.get(&id).unwrap();
    new_token(folder);
    let mut rsa = String::new();
    rewrite(&world, |registrations, text| {
        rsa = moved(registrations, folder, "03", "qsealc");
        let text = text.replace("\"qwac.key\"", &moved(registrations, folder, "01", "qwac"));
        let text = text.replace("\"signing.key\"", &moved(registrations, folder, "02", "signing"));
        text.replace("\"qsealc.key\"", &rsa)
    });
    rotation::look(&world.app).await.unwrap();
    let after = world.app.connections.get(&id).unwrap();
    assert!(!std::sync::Arc::ptr_eq(&before, &after), "the token's keys are in use");
    assert_eq!(before.public_jwks(), after.public_jwks(), "they are the same keys");
    drop(before);

    // Handshakes, assertions, request objects and seals of single requests: a login, a fetch, a renewed token.
    let consent = world.connect(CUSTOMER).await;
    for minutes in [0, 6] {
        world.clock.advance(SignedDuration::from_mins(minutes));
        let fetched = fetch::run(&world.app, world.about(consent)).await.unwrap();
        assert!(matches!(fetched, fetch::Verdict::Next(_)), "{fetched:?}");
    }

    // An RSA key of the token follows the one on P-256, by the operator's choice.
    rewrite(&world, |_, text| format!("{text}[signing.next]\nkey = {rsa}\nkid = \"rsa\"\nalg = \"PS256\"\n"));
    for hours in [0, 0, 24] {
        world.clock.advance(SignedDuration::from_hours(hours));
        rotation::look(&world.app).await.unwrap();
        let published = world.app.connections.get(&id).unwrap().public_jwks();
        assert!(world.bank.register_keys(CLIENT, &published));
    }
    world.connect(NEIGHBOUR).await;
    assert_eq!(world.bank.last_key_id(CLIENT).as_deref(), Some("rsa"));
    let refused: Vec<_> = world.bank.log().into_iter().filter(|line| line.refused).collect();
    assert!(refused.is_empty(), "{refused:?}");
    world.end().await;
}

/// A node of this world whose folder of keys is sealed by the token.
fn node(world: &World, folder: &Path) -> Arc<App> {
    let mut config = world.app.config.clone();
    config.keys.provider = KeyHolder::Pkcs11;
    config.keys.pkcs11.uri = format!("pkcs11:token=tributary?{}", module_and_pin(folder));
    let app = App::new(config, world.app.store.clone(), world.clock.clone(), world.app.tenant.clone());
    Arc::new(app.unwrap())
}

/// Keys of epochs behind the token: from a folder of files into it, a fetch, every way to be refused, a destruction.
async fn epochs(folder: &Path) {
    let mut world = World::start().await;
    new_token(folder);
    let early = world.connect(NEIGHBOUR).await;
    world.clock.advance(SignedDuration::from_hours(24));
    world.app = node(&world, folder);
    reconcile::look(&world.app).await.unwrap();
    fetch::run(&world.app, world.about(early)).await.expect("what was sealed before is read");
    world.connect(CUSTOMER).await;

    let (tenant, epoch) = (world.app.tenant.id, world.app.vault.policy().epoch_at(world.app.clock.now()));
    let wrapped = world.app.vault.new_key(tenant, &world.app.world()).unwrap().1;
    assert!(node(&world, folder).vault.open_key(tenant, &wrapped).is_ok(), "one node opens what another wrapped");
    let alone = FileProvider::open(world.dir.path().join("keys")).unwrap();
    let opened = KeyProvider::unwrap(&alone, tenant, epoch, &wrapped.bytes);
    assert!(matches!(opened, Err(KeyError::Refused { .. })), "the folder alone opens nothing");
    let file = |epoch| world.dir.path().join(format!("keys/{tenant}/epoch_{epoch}.key"));
    let good = std::fs::read(file(epoch)).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    std::fs::write(file(epoch), bad).unwrap();
    let altered = node(&world, folder).vault.open_key(tenant, &wrapped);
    assert!(matches!(altered, Err(KeyError::Altered { .. })), "{altered:?}");
    std::fs::write(file(epoch), good).unwrap();
    std::fs::rename(folder.join("pin"), folder.join("away")).unwrap();
    let shut = TokenKeys::open(&world.app.config.keys.pkcs11.uri).unwrap().create("a place");
    assert!(matches!(shut, Err(KeyServiceError::Refused(_))), "{shut:?}");
    std::fs::rename(folder.join("away"), folder.join("pin")).unwrap();
    let nowhere = TokenKeys::open("pkcs11:token=another?module-path=/nowhere.so").unwrap().create("a place");
    assert!(matches!(nowhere, Err(KeyServiceError::Unavailable(_))), "{nowhere:?}");

    let kept = world.app.vault.policy().kept;
    world.clock.advance(SignedDuration::from_hours(24 * (kept + 1)));
    reconcile::look(&world.app).await.unwrap();
    let state = world.app.vault.epochs(tenant).unwrap().into_iter().find(|state| state.epoch() == epoch);
    assert!(matches!(state, Some(EpochState::Destroyed(_))), "{state:?}");
    assert!(matches!(world.app.vault.open_key(tenant, &wrapped), Err(KeyError::Destroyed { .. })));
    world.end().await;
}
