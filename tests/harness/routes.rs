//! The addresses that a part of the server answers beside its OpenAPI document, read from the source of its router: a test that
//! goes over all of them meets a new one by itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use http::Method;

/// Every route of a folder below `src/server`, as its `mod.rs` adds them: parameters in braces.
///
/// # Panics
/// When the router is written in another way than this reads.
pub fn of(folder: &str) -> Vec<(Method, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/server").join(folder);
    let source = read(&folder.join("mod.rs"));
    let words = words(&folder);
    let mut found = Vec::new();
    for piece in source.split(".route(").skip(1).map(enclosed) {
        let (address, methods) = piece.split_once(',').expect("an address and what answers");
        // The address may hold a comma of its own: `below(PLACE, "rest")`.
        let (address, methods) = match address.contains("below(") {
            true => piece.split_at(piece.find("),").expect("an end") + 1),
            false => (address, methods),
        };
        found.extend(asked(methods).map(|method| (method, path(address, &words))));
    }
    // A table of addresses below one place.
    for line in source.lines().filter_map(|line| line.trim().strip_prefix("(\"")) {
        let (rest, methods) = line.split_once("\",").expect("an address and what answers");
        found.extend(asked(methods).map(|method| (method, format!("{}/{rest}", words["BASE"]))));
    }
    assert!(!found.is_empty(), "{} has routes", folder.display());
    found
}

/// A route with one text in the place of each parameter.
pub fn filled(path: &str, with: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { with } else { part }).collect::<Vec<_>>().join("/")
}

fn read(file: &PathBuf) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The text constants of a folder.
fn words(folder: &Path) -> BTreeMap<String, String> {
    let mut words = BTreeMap::new();
    for file in fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()) {
        if file.extension().is_some_and(|ending| ending == "rs") {
            for line in read(&file).lines() {
                let named = line.split_once("const ").and_then(|(_, rest)| rest.split_once(": &str = \""));
                words.extend(named.map(|(name, text)| (name.to_owned(), text.trim_end_matches("\";").to_owned())));
            }
        }
    }
    words
}

/// Up to the parenthesis that closes what was opened before.
fn enclosed(text: &str) -> &str {
    let mut depth = 1;
    for (at, sign) in text.char_indices() {
        match sign {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    panic!("nothing closes {text}")
}

fn asked(methods: &str) -> impl Iterator<Item = Method> {
    let all = [Method::GET, Method::POST, Method::PUT, Method::DELETE];
    all.into_iter().filter(move |method| {
        let name = format!("{}(", method.as_str().to_lowercase());
        let alone = |at: usize| !methods[..at].ends_with(|sign: char| sign.is_alphanumeric() || sign == '_');
        methods.match_indices(&name).any(|(at, _)| alone(at))
    })
}

/// The address that an expression stands for.
fn path(expression: &str, words: &BTreeMap<String, String>) -> String {
    let word = |name: &str| {
        let name = name.trim().rsplit("::").next().unwrap_or_default();
        words.get(name).unwrap_or_else(|| panic!("{name} of {expression} is no constant here")).clone()
    };
    let quoted = expression.split('"').nth(1);
    let expression = expression.trim().trim_start_matches('&');
    match (expression.strip_prefix("below("), quoted) {
        (Some(rest), Some(text)) => format!("{}/{text}", word(rest.split(',').next().unwrap_or_default())),
        (_, None) => word(expression),
        (None, Some(text)) if expression.starts_with("format!(") => {
            let (begin, rest) = text.strip_prefix('{').and_then(|text| text.split_once('}')).expect("a constant first");
            format!("{}{}", word(begin), rest.replace("{{", "{").replace("}}", "}"))
        }
        (None, Some(text)) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_as_they_are_written() {
        let has = |folder: &str, method: Method, path: &str| of(folder).contains(&(method, path.to_owned()));
        assert!(has("web", Method::POST, "/my/renew/{consent}") && has("web", Method::GET, "/link/returned/{end}"));
        assert!(has("console", Method::POST, "/console/holds") && has("console", Method::GET, "/console/holds"));
        assert!(has("console", Method::POST, "/console/consents/{consent}/data"));
        assert!(has("gocardless", Method::DELETE, "/api/v2/requisitions/{id}"));
        assert!(!has("gocardless", Method::GET, "/api/v2/token/new"));
        assert_eq!(filled("/a/{b}/c", "d"), "/a/d/c");
    }
}
