//! Folders of profiles, and registrations with the files that they name.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::fs;
use std::path::{Path, PathBuf};

use bank_adapters::directory::{Directory, DirectoryError, Filter};
use bank_adapters::endpoints::Environment;
use bank_adapters::profile::Standard;
use bank_adapters::registration::{Registration, RegistrationError};
use domain::ids::InstitutionId;
use secrecy::ExposeSecret;

const PROFILE: &str = include_str!("../profiles/de/de_musterbank.toml");

const REGISTRATION: &str = r#"
bank = "de_musterbank"
environment = "sandbox"
client_id = "PSDDE-BAFIN-000001"
redirect_uri = "https://tributary.example/callback/musterbank"
issuer = "https://localhost:8443"
scopes = ["offline_access"]
software_statement = "statement.jwt"

[endpoints]
api = "https://localhost:8444/base"

[transport]
certificate = "pki/qwac.pem"
key = "pki/qwac.key"
ca = "pki/ca.pem"

[signing]
key = "pki/signing.key"
kid = "2026-01"
alg = "PS256"

[seal]
certificate = "pki/qsealc.pem"
key = "pki/qsealc.key"
url = "https://tpp.example/qsealc.pem"
"#;

/// A key that takes the place of another under its id.
const SAME_KEY_ID: &str = r#"alg = "PS256"
[signing.next]
key = "pki/signing.key"
kid = "2026-01"
alg = "PS256"
"#;

/// An empty folder of one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bank_adapters").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("pki")).unwrap();
    folder
}

fn id(text: &str) -> InstitutionId {
    InstitutionId::new(text).unwrap()
}

#[test]
fn the_directory_is_filtered_by_country_standard_and_words() {
    let directory = Directory::embedded().unwrap();
    let count = |country: &str, standard, search: &str| {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        directory.list(&Filter { country: some(country), standard, search: some(search) }).count()
    };
    assert!(count("", None, "") >= 1);
    assert_eq!(count("de", Some(Standard::BerlinGroup), "MUSTER bank"), 1);
    assert_eq!(count("", None, "mustdeff"), 1, "by BIC");
    assert_eq!(count("", None, "ustdeff"), 0, "a BIC is known by its beginning");
    assert_eq!(count("", None, "muster nowhere"), 0);
    assert_eq!(count("ZZ", None, ""), 0);
}

#[test]
fn a_folder_adds_and_replaces_banks() {
    let folder = folder("overlay");
    fs::create_dir(folder.join("xx")).unwrap();
    fs::write(folder.join("de_musterbank.toml"), PROFILE.replace("\"Musterbank\"\n", "\"Neue Musterbank\"\n")).unwrap();
    let other = PROFILE.replace("de_musterbank\"", "xx_other\"").replace("\"DE\"", "\"XX\"");
    fs::write(folder.join("xx/xx_other.toml"), other).unwrap();
    fs::write(folder.join("README.md"), "not a profile").unwrap();
    let directory = Directory::embedded().unwrap().overlay(&folder).unwrap();
    assert_eq!(directory.get(&id("de_musterbank")).unwrap().bank.name, "Neue Musterbank");
    assert!(directory.get(&id("xx_other")).is_some());

    fs::write(folder.join("xx/xx_bad.toml"), "[bank]\n").unwrap();
    let refused = Directory::default().overlay(&folder).unwrap_err();
    assert!(refused.to_string().contains("xx_bad.toml:1: missing field"), "{refused}");
    let missing = Directory::default().overlay(&folder.join("nowhere")).unwrap_err();
    assert!(matches!(missing, DirectoryError::Read { .. }));
}

fn write_registration(folder: &Path, text: &str) -> PathBuf {
    for (name, content) in [
        ("pki/qwac.pem", "certificate"),
        ("pki/qwac.key", "transport-key-4711"),
        ("pki/ca.pem", "roots"),
        ("pki/signing.key", "signing-key-4711"),
        ("pki/qsealc.pem", "seal"),
        ("pki/qsealc.key", "seal-key-4711"),
        ("statement.jwt", "statement-4711"),
    ] {
        fs::write(folder.join(name), content).unwrap();
    }
    let path = folder.join("musterbank-sandbox.toml");
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_registration_brings_its_files_and_wins_over_the_profile() {
    let folder = folder("registration");
    let registration = Registration::read(&write_registration(&folder, REGISTRATION)).unwrap();
    assert_eq!(registration.id.as_str(), "musterbank-sandbox");
    assert_eq!(registration.bank, Some(id("de_musterbank")));
    let transport = registration.transport.as_ref().unwrap();
    assert_eq!((transport.certificate.as_str(), transport.ca.as_deref()), ("certificate", Some("roots")));
    assert_eq!(transport.key.expose_secret(), "transport-key-4711");
    assert_eq!(registration.signing.as_ref().unwrap().key.expose_secret(), "signing-key-4711");
    let seal = registration.seal.as_ref().unwrap();
    assert_eq!((seal.certificate.as_str(), seal.key.expose_secret()), ("seal", "seal-key-4711"));
    assert_eq!(registration.software_statement.as_ref().unwrap().expose_secret(), "statement-4711");
    assert!(!format!("{registration:?}").contains("4711"));

    let directory = Directory::embedded().unwrap();
    let profile = directory.get(&id("de_musterbank")).unwrap();
    let endpoints = registration.endpoints(profile).unwrap();
    assert_eq!(endpoints.issuer.as_deref(), Some("https://localhost:8443"));
    assert_eq!(endpoints.api.as_ref().unwrap().url().as_str(), "https://localhost:8444/base");

    let production = REGISTRATION.replace("\"sandbox\"", "\"production\"").replace("[endpoints]\napi", "# api");
    let registration = Registration::read(&write_registration(&folder, &production)).unwrap();
    assert_eq!(registration.environment, Environment::Production);
    assert!(matches!(registration.endpoints(profile), Err(RegistrationError::Environment { .. })));
}

#[test]
fn a_registration_with_a_mistake_is_refused_with_its_line() {
    let folder = folder("mistakes");
    for (piece, by, says) in [
        ("\"de_musterbank\"", "\"DE\"", ":2: `bank`"),
        ("environment = \"sandbox\"", "environment = \"test\"", ":3: unknown variant"),
        ("PSDDE-BAFIN-000001", " ", ":4: `client_id`"),
        ("https://tributary.example", "http://tributary.example", ":5: `redirect_uri`"),
        ("musterbank\"\nissuer", "musterbank#x\"\nissuer", ":5: `redirect_uri`"),
        ("issuer = \"https", "issuer = \"http", ":6: `issuer`"),
        ("PS256", "RS256", ":21: `signing.alg`"),
        ("scopes", "scope", ":7: unknown field"),
        ("url = \"https", "url = \"http", ":26: `seal.url`"),
        ("alg = \"PS256\"", SAME_KEY_ID, "`signing.next.kid`"),
        ("environment =", "id = \"../x\"\nenvironment =", ":3: `id`"),
        ("pki/qwac.key", "pki/none.key", "none.key: "),
    ] {
        assert_eq!(REGISTRATION.matches(piece).count(), 1, "{piece}");
        let path = write_registration(&folder, &REGISTRATION.replace(piece, by));
        let refused = Registration::read(&path).unwrap_err().to_string();
        assert!(refused.contains(says), "{by}: {refused}");
    }
    let unplaced = REGISTRATION.replace("bank = \"de_musterbank\"\n", "").replace("issuer = ", "# ");
    let refused = Registration::read(&write_registration(&folder, &unplaced)).unwrap_err().to_string();
    assert!(refused.contains("`issuer`"), "{refused}");
}
