//! The files of a world: settings, registrations at its banks, and the profile of a bank that is not as its profile says.

use std::path::Path;

use sandbox::{ListForm, Running};

use crate::world::{DATA_HOLDER, Options};

pub(crate) fn write_registration(
    dir: &Path,
    bank: &Running,
    (registration, institution): (&str, &str),
    redirect: &str,
    options: Options,
) {
    let folder = dir.join("registrations");
    let (issuer, (key, alg)) = (&bank.issuer, options.signing());
    let api = format!("{}{}", bank.api_base, options.place.map_or("", |place| place.base));
    let encryption = match options.encrypts() {
        true => "[encryption]\nkey = \"obseal.key\"\nkid = \"it-enc\"\nalg = \"RSA-OAEP\"\n",
        false => "",
    };
    let seal = match options.sealed() {
        Some(_) => {
            "[seal]\ncertificate = \"qsealc.pem\"\nkey = \"qsealc.key\"\nurl = \"https://tpp.example/qsealc.pem\"\n"
        }
        None => "",
    };
    let alg = alg.as_str();
    // A bank without tokens has no authorisation server, and nothing is signed for one.
    let (issuer, signing) = match options.completion.is_some() || options.intermediary() {
        true => (String::new(), String::new()),
        false => {
            (format!("issuer = \"{issuer}\"\n"), format!("[signing]\nkey = \"{key}\"\nkid = \"it\"\nalg = \"{alg}\"\n"))
        }
    };
    let text = format!(
        "bank = \"{institution}\"\nenvironment = \"sandbox\"\nclient_id = \"PSDDE-BAFIN-000001\"\nredirect_uri = \"{redirect}\"\n\
         {issuer}data_holder = \"{DATA_HOLDER}\"\n[endpoints]\napi = \"{api}\"\n\
         [transport]\ncertificate = \"qwac.pem\"\nkey = \"qwac.key\"\nca = \"ca.pem\"\n\
         {signing}{encryption}{seal}"
    );
    std::fs::write(folder.join(format!("{registration}.toml")), text).expect("a registration");
}

pub(crate) fn write_settings(dir: &Path, options: Options, has_profiles: bool) {
    let path = |name: &str| dir.join(name).display().to_string();
    let profiles = if has_profiles { path("profiles") } else { String::new() };
    let text = format!(
        "[listen]\naddress = \"127.0.0.1:{}\"\npublic_url = {:?}\n\
         [database]\ndata_dir = {:?}\n[keys]\ndir = {:?}\n\
         [banks]\nregistrations_dir = {:?}\nprofiles_dir = {profiles:?}\nallow_loopback = true\n\
         [webhooks]\nreceivers_on_loopback = true\n[tenant]\nname = \"Test TPP\"\n[evidence]\ncopy_dir = {:?}\n",
        options.port.unwrap_or(0),
        options.public_url(),
        path("postgres"),
        path("keys"),
        path("registrations"),
        path("evidence"),
    );
    std::fs::write(dir.join("config.toml"), text).expect("settings");
}

/// The bank's profile in the version that it has there.
pub(crate) fn profile(options: Options) -> String {
    let bank = options.bank();
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../bank_adapters/profiles/{}/{bank}.toml", &bank[..2]));
    let plain = std::fs::read_to_string(source).expect("the bank's profile");
    let Some(version) = options.place.and_then(|place| place.version) else { return plain };
    let usual = plain.lines().find(|line| line.starts_with("version = ")).map(str::to_owned);
    plain.replacen(&usual.expect("a version"), &format!("version = \"{version}\""), 1)
}

/// The bank's profile, but for what it says about its version, its security profile, the form of authorisation responses
/// and renewals.
pub(crate) fn write_profile(folder: &Path, options: Options) {
    let bank = options.bank();
    let mut changed = profile(options);
    if !options.security.is_empty() {
        changed = changed.replacen("profile = \"fapi2-message-signing\"", options.security, 1);
        let usual = changed.lines().find(|line| line.starts_with("response = \"query\"")).map(str::to_owned);
        changed = changed.replacen(&usual.expect("the profile says how responses come"), "", 1);
    }
    if !options.renewal.is_empty() {
        let usual = "renewal = \"replaces_on_authorise\"";
        assert!(changed.contains(usual), "the profile says what a renewal does");
        changed = changed.replacen(usual, &format!("renewal = \"{}\"", options.renewal), 1);
    }
    if let Some((completion, _)) = options.completion {
        assert!(changed.contains("completion = \"token\""), "the profile says how an authorisation completes");
        let word = format!("completion = {:?}", completion.as_str());
        changed = changed.replacen("completion = \"token\"", &word, 1);
        let issuer = changed.lines().find(|line| line.starts_with("issuer = ")).map(str::to_owned);
        changed = changed.replacen(&issuer.expect("the profile names the authorisation server"), "", 1);
    }
    if options.nameless {
        assert!(changed.contains("scopes = [\"openid\"]"), "the profile says what is asked for");
        changed = changed.replacen("scopes = [\"openid\"]", "scopes = []", 1);
    }
    if let Some(days) = options.sca_days {
        changed = changed.replacen("max_days = 180", &format!("max_days = 180\nsca_days = {days}"), 1);
        assert!(changed.contains("sca_days = "), "the profile says how long a consent may be");
    }
    if let Some(form) = options.form {
        // MT940 knows nothing of what is pending.
        let (word, status) = if form == ListForm::Camt { ("camt", "both") } else { ("mt940", "booked") };
        let lists = format!("booking_status = [\"{status}\"]\nform = \"{word}\"");
        changed = changed.replacen("booking_status = [\"both\"]", &lists, 1);
        changed = changed.replacen("sign = \"signed\"", "sign = \"either\"", 1);
        assert!(changed.contains("form = "), "the profile says which lists there are");
    }
    if let Some((form, _)) = options.seal {
        changed =
            changed.replacen("[consent]\n", &format!("[signature]\nform = \"{}\"\n\n[consent]\n", form.as_str()), 1);
        assert!(changed.contains("[signature]"), "the profile says how its consents behave");
    }
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join(format!("{bank}.toml")), changed).expect("a profile");
}
