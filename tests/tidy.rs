//! What no compiler checks: the arrows between crates, where a bank may be named, that promises are written down.
//!
//! Reads the tree and `cargo metadata`, nothing else. Each test says in its message what to do.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Who may use whom. The same table as in `src/README.md`; a new arrow is a decision that changes both.
const ARROWS: [(&str, &[&str]); 12] = [
    ("domain", &[]),
    ("net", &["domain"]),
    ("fapi", &["domain"]),
    ("normalize", &["domain"]),
    ("vault", &["domain"]),
    ("evidence", &["domain"]),
    ("bank_adapters", &["domain", "fapi"]),
    ("store", &["domain", "vault"]),
    ("sandbox", &["domain", "net"]),
    ("server", &["bank_adapters", "domain", "evidence", "fapi", "net", "normalize", "store", "vault"]),
    (
        "tributary",
        &["bank_adapters", "domain", "evidence", "fapi", "net", "normalize", "sandbox", "server", "store", "vault"],
    ),
    (
        "tests",
        &[
            "bank_adapters",
            "domain",
            "evidence",
            "fapi",
            "net",
            "normalize",
            "sandbox",
            "server",
            "store",
            "tributary",
            "vault",
        ],
    ),
];

/// Crates that tests inside a crate may add to its arrows: what lies beside it, never what lies above it.
const BESIDE: [&str; 7] = ["domain", "evidence", "fapi", "net", "normalize", "store", "vault"];

/// Third-party crates that open a door, and who may hold the key.
const DOORS: [(&str, &[&str]); 10] = [
    ("reqwest", &["net"]),
    ("hyper", &["net"]),
    ("rustls", &["net", "sandbox"]),
    ("sqlx", &["store"]),
    ("josekit", &["fapi", "sandbox"]),
    ("openidconnect", &["fapi", "server"]),
    ("askama", &["evidence", "sandbox", "server"]),
    ("cryptoki", &["vault"]),
    ("chrono", &[]),
    ("openssl", &[]),
];

/// Crates whose every step is a value: no task, no socket, no row.
const PURE: [&str; 6] = ["bank_adapters", "domain", "evidence", "fapi", "normalize", "vault"];

/// What a pure crate must not use at run time.
const EFFECTS: [&str; 6] = ["axum", "hyper", "reqwest", "rustls", "sqlx", "tokio"];

/// Lines of Rust that a file may have.
const LINES_MAX: usize = 700;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the tree").to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files below a folder whose names end so, sorted; what builds and runs leave behind is left out.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a folder can be listed").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && ![".git", "target", "node_modules", "data"].contains(&name) {
                folders.push(path);
            } else if path.is_file() && name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Path relative to the tree, for messages.
fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

struct Package {
    name: String,
    lib: Option<PathBuf>,
    /// Name and kind: `normal`, `dev` or `build`.
    uses: Vec<(String, String)>,
}

fn packages() -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let answer = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let metadata: Value = serde_json::from_slice(&answer.stdout).expect("cargo metadata is JSON");
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list(&metadata["packages"])
        .iter()
        .map(|package| Package {
            name: text(&package["name"]),
            lib: list(&package["targets"])
                .iter()
                .find(|target| target["kind"][0] == "lib")
                .map(|target| text(&target["src_path"]).into()),
            uses: list(&package["dependencies"])
                .iter()
                .map(|used| (text(&used["name"]), used["kind"].as_str().unwrap_or("normal").to_owned()))
                .collect(),
        })
        .collect()
}

/// The code of a file without comments, without its tests, without examples for the API document.
fn code(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|name| name == "tests.rs") || parts.iter().any(|part| part == "tests") {
        return String::new();
    }
    let whole = read(path);
    let product = whole.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let kept = product.lines().filter(|line| {
        let line = line.trim_start();
        !line.starts_with("//") && !line.starts_with("#[schema(")
    });
    kept.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_arrows_between_crates_are_those_of_the_table() {
    let packages = packages();
    let ours: BTreeSet<_> = packages.iter().map(|package| package.name.as_str()).collect();
    let table: BTreeSet<_> = ARROWS.iter().map(|(name, _)| *name).collect();
    assert_eq!(ours, table, "every crate has a line in the table of arrows, and no other");
    for package in &packages {
        let (_, allowed) = ARROWS.iter().find(|(name, _)| *name == package.name).expect("compared above");
        for (used, kind) in package.uses.iter().filter(|(used, _)| ours.contains(used.as_str())) {
            let may = match kind.as_str() {
                "dev" => used == &package.name || allowed.contains(&used.as_str()) || BESIDE.contains(&used.as_str()),
                _ => allowed.contains(&used.as_str()),
            };
            assert!(may, "{} must not know {used} ({kind}); see the arrows in src/README.md", package.name);
        }
    }
}

#[test]
fn doors_to_the_outside_have_one_keeper() {
    for package in packages().into_iter().filter(|package| package.name != "tests") {
        for (used, kind) in package.uses.iter().filter(|(_, kind)| kind != "dev") {
            if let Some((_, keepers)) = DOORS.iter().find(|(door, _)| door == used) {
                assert!(keepers.contains(&package.name.as_str()), "{} uses {used}; only {keepers:?} may", package.name);
            }
            let pure = PURE.contains(&package.name.as_str());
            assert!(!(pure && kind == "normal" && EFFECTS.contains(&used.as_str())), "{}: {used}", package.name);
        }
    }
}

#[test]
fn a_crate_says_what_it_must_never_do() {
    for package in packages().into_iter().filter(|package| package.name != "tests") {
        let Some(lib) = package.lib else { continue };
        let source = read(&lib);
        let opening: Vec<_> = source.lines().take_while(|line| line.starts_with("//!")).collect();
        let text = opening.join(" ").replace("//!", "");
        let said = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        assert!(
            said.contains("must never"),
            "{}: begin with what the crate does and what it must never do",
            short(&lib)
        );
    }
}

#[test]
fn no_file_of_rust_is_longer_than_one_idea() {
    for path in files(&root(), ".rs") {
        let lines = read(&path).lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines, {LINES_MAX} are the most; split it", short(&path));
    }
}

/// Profile files with their parsed content.
fn profiles() -> Vec<(PathBuf, toml::Table)> {
    let found: Vec<_> = files(&root().join("bank_adapters/profiles"), ".toml")
        .into_iter()
        .map(|path| {
            let table = read(&path).parse().unwrap_or_else(|error| panic!("{}: {error}", short(&path)));
            (path, table)
        })
        .collect();
    assert!(!found.is_empty(), "there are profiles");
    found
}

fn bank_id(profile: &toml::Table) -> &str {
    profile.get("bank").and_then(|bank| bank.get("id")).and_then(toml::Value::as_str).unwrap_or_default()
}

#[test]
fn a_profile_lies_where_its_id_says() {
    for (path, profile) in profiles() {
        let id = bank_id(&profile);
        let country = profile["bank"].get("country").and_then(toml::Value::as_str).unwrap_or_default().to_lowercase();
        let expected = format!("bank_adapters/profiles/{country}/{id}.toml");
        assert_eq!(short(&path), expected);
        assert!(id.starts_with(&format!("{country}_")), "{id} begins with its country");
    }
}

#[test]
fn a_profile_has_evidence_with_dates_and_fixtures_with_expectations() {
    for (path, profile) in profiles() {
        let sources = profile
            .get("evidence")
            .and_then(|evidence| evidence.get("sources"))
            .and_then(toml::Value::as_array)
            .cloned()
            .unwrap_or_default();
        assert!(!sources.is_empty(), "{}: [evidence] names no source", short(&path));
        for source in &sources {
            let dated = source.get("checked").is_some_and(toml::Value::is_datetime);
            let named = source.get("source").and_then(toml::Value::as_str).is_some_and(|text| !text.is_empty());
            assert!(dated && named, "{}: each source has a name and the date it was checked", short(&path));
            let own = source.get("source").and_then(toml::Value::as_str).filter(|text| text.starts_with("fixtures/"));
            assert!(own.is_none_or(|file| root().join(file).is_file()), "{}: {own:?} is not there", short(&path));
        }
        let folder = root().join("fixtures").join(bank_id(&profile));
        let cases =
            fs::read_dir(&folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>());
        let cases: Vec<_> = cases.unwrap_or_default().into_iter().filter(|path| path.is_dir()).collect();
        assert!(!cases.is_empty(), "{}: no fixtures in {}", short(&path), short(&folder));
        for case in cases {
            assert!(!files(&case, ".http").is_empty(), "{} shows no answer of the bank", short(&case));
            assert!(case.join("expected.json").is_file(), "{} says not what to expect", short(&case));
        }
    }
}

/// NextGenPSD2 1.3 §6.3: a recurring consent that is authorised ends the earlier one. No other standard says so; a bank that
/// keeps several (`ASPSP-Multiple-Consent-Support`) needs a source for it.
#[test]
fn a_profile_replaces_where_its_standard_says_so() {
    for (path, profile) in profiles() {
        let word = |table: &str, key: &str| profile[table].get(key).and_then(toml::Value::as_str).unwrap_or_default();
        let replaces = word("consent", "renewal") == "replaces_on_authorise";
        let sourced = read(&path).contains("Multiple-Consent-Support");
        let by_standard = word("bank", "standard") == "berlin-group";
        assert!(replaces == by_standard || sourced, "{}: renewal is not its standard's", short(&path));
    }
}

#[test]
fn no_bank_is_named_in_rust() {
    let ids: Vec<_> = profiles().iter().map(|(_, profile)| bank_id(profile).to_owned()).collect();
    assert!(ids.iter().all(|id| id.len() >= 3), "every profile has an id");
    for path in files(&root(), ".rs") {
        // The simulated banks play the fictional ones, and tests need somebody to talk to.
        if path.starts_with(root().join("src/sandbox")) || path.starts_with(root().join("tests")) {
            continue;
        }
        let source = code(&path);
        for id in &ids {
            assert!(!source.contains(&format!("\"{id}\"")), "{} names {id}: a bank is a profile", short(&path));
        }
    }
}

#[test]
fn every_setting_is_documented() {
    let server = root().join("src/server");
    let documented = read(&server.join("default.toml"));
    let mut explained = false;
    for line in documented.lines() {
        if line.trim().is_empty() || line.starts_with('[') || line.starts_with("# [") {
            explained = false;
        } else if line.starts_with('#') && !line.contains(" = ") {
            explained = true;
        } else {
            assert!(explained, "default.toml: `{line}` has no comment above it in its paragraph");
            // One comment may explain neighbours; a new one belongs before each unlike key.
        }
    }
    let settings = read(&server.join("config.rs"));
    let fields =
        settings.lines().filter_map(|line| line.strip_prefix("    pub ")?.split_once(':')).map(|(name, _)| name);
    let mut checked = 0;
    for name in fields.filter(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')) {
        let key = documented.lines().map(|line| line.trim_start_matches(['#', ' '])).any(|line| {
            let section = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
            line.starts_with(&format!("{name} = ")) || section.is_some_and(|path| path.rsplit('.').next() == Some(name))
        });
        assert!(key, "config.rs knows `{name}`, default.toml does not");
        checked += 1;
    }
    assert!(checked >= 10, "config.rs was read: {checked} settings");
}

#[test]
fn every_route_of_the_api_is_in_its_document() {
    let folder = root().join("src/server/api");
    let mut documented = 0;
    for path in files(&folder, ".rs") {
        let source = read(&path);
        documented += source.matches("#[utoipa::path(").count();
        for route in source.split(".route(").skip(1).filter_map(|rest| rest.split('"').nth(1)) {
            // The document and its reader are not part of themselves.
            let reader = route == "/openapi.json" || route.starts_with("/docs");
            assert!(reader, "{}: {route} is added behind the document's back; use `routes!`", short(&path));
        }
    }
    assert!(documented > 0, "{} documents its routes", short(&folder));
}

#[test]
fn the_guide_knows_every_crate() {
    let guide = read(&root().join("src/README.md"));
    for (name, _) in ARROWS {
        assert!(guide.contains(&format!("`{name}`")), "src/README.md does not mention `{name}`");
    }
}

#[test]
fn nothing_depends_on_one_machine() {
    let needles = ["root", "work"].map(|folder| format!("/{folder}/"));
    for path in files(&root(), "") {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for needle in &needles {
            let at = text.lines().position(|line| {
                line.match_indices(needle.as_str())
                    .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '.'))
            });
            let line = at.unwrap_or_default() + 1;
            assert!(at.is_none(), "{}:{line} names a path of one machine ({needle})", short(&path));
        }
    }
}
