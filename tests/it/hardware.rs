//! Keys in a token in place of files: SoftHSM stands for the hardware. The same way as with files, and no key on disk.

use std::path::{Path, PathBuf};
use std::process::Command;

use bank_adapters::profile::SignatureForm;
use jiff::SignedDuration;
use sandbox::SealForm;
use server::services::{fetch, rotation};
use tests::world::{CUSTOMER, NEIGHBOUR, Options, REGISTRATION, World};

/// A PIN for a token that lives as long as a test.
const PIN: &str = "246810";
/// Where SoftHSM reads its settings: of a process, so the test runs in a process of its own.
const SETTINGS: &str = "SOFTHSM2_CONF";
/// Our client id at the bank.
const CLIENT: &str = "PSDDE-BAFIN-000001";
const TEST: &str = "hardware::keys_in_a_token_do_what_keys_in_files_do";

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
    let own = std::env::var_os(SETTINGS).map(PathBuf::from).filter(|path| path.ends_with("tributary.conf"));
    match own {
        Some(settings) => walk(settings.parent().unwrap()).await,
        None => in_a_process_of_its_own(),
    }
}

fn in_a_process_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tokens")).unwrap();
    let settings = folder.path().join("tributary.conf");
    let tokens = folder.path().join("tokens");
    std::fs::write(&settings, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let program = std::env::current_exe().unwrap();
    let done = Command::new(program).args(["--exact", TEST]).env(SETTINGS, &settings).output().unwrap();
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
    let module = MODULES.into_iter().map(Path::new).find(|path| path.exists()).expect("the module of SoftHSM");
    let (module, pin) = (module.display(), folder.join("pin").display().to_string());
    format!("\"pkcs11:token=tributary;object={name};type=private?module-path={module}&pin-source=file:{pin}\"")
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
    softhsm(&["--init-token", "--free", "--label", "tributary", "--pin", PIN, "--so-pin", PIN]);
    std::fs::write(folder.join("pin"), format!("{PIN}\n")).unwrap();
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
