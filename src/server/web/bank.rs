//! The choice of a bank, among those that we can reach.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{Html, IntoResponse as _, Response};
use bank_adapters::directory::Filter;
use domain::consent::State as ConsentState;
use domain::ids::InstitutionId;
use domain::limits::BANKS_PER_PAGE_MAX;
use store::consents;
use url::form_urlencoded;

use super::form::Signed;
use super::scene::Scene;
use super::{HERE, reply};
use crate::app::App;
use crate::pages;
use crate::pages::view::{BankChoice, BankPickerView};
use crate::services::ServiceError;
use crate::services::status::Awaited;

/// Longest search, in characters; the field on the page takes as many.
const SEARCH_CHARS_MAX: usize = 100;

/// The picker, with the search in the address.
pub(super) async fn picker(State(app): State<Arc<App>>, scene: Scene, RawQuery(query): RawQuery) -> Response {
    if scene.consent.machine.state != ConsentState::Initiated || scene.awaits == Some(Awaited::Signers) {
        return reply::see_other(HERE);
    }
    let query = search(query.as_deref().unwrap_or_default());
    let mut banks = reachable(&app, &query);
    let left_off = trim(&mut banks, &query);
    let view = BankPickerView {
        brand: reply::brand(&app, Some(&scene.product)),
        query,
        search: reply::own("/link/bank"),
        banks,
        left_off,
        choose: scene.form("/link/bank"),
    };
    Html(pages::bank_picker(&view)).into_response()
}

/// The search of an address: its field `q`.
fn search(query: &str) -> String {
    let found = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "q");
    found.map_or_else(String::new, |(_, text)| text.trim().chars().take(SEARCH_CHARS_MAX).collect())
}

fn reachable(app: &App, query: &str) -> Vec<BankChoice> {
    let filter = Filter { search: Some(query.to_owned()), ..Filter::default() };
    let choice = |profile: &Arc<bank_adapters::profile::Profile>| {
        let connection = app.connections.to(&profile.bank.id)?;
        Some(BankChoice {
            id: profile.bank.id.to_string(),
            name: profile.bank.name.clone(),
            country: profile.bank.country.clone(),
            sandbox: connection.environment_word == "sandbox",
        })
    };
    app.directory.list(&filter).filter_map(choice).collect()
}

/// Names that begin with the search come first, then the rest by name; gives how many are left off.
fn trim(banks: &mut Vec<BankChoice>, query: &str) -> usize {
    let wanted = query.to_lowercase();
    banks.sort_by_cached_key(|bank| {
        let name = bank.name.to_lowercase();
        (Reverse(name.starts_with(&wanted)), name)
    });
    let left_off = banks.len().saturating_sub(BANKS_PER_PAGE_MAX);
    banks.truncate(BANKS_PER_PAGE_MAX);
    left_off
}

/// Takes the choice.
pub(super) async fn choose(State(app): State<Arc<App>>, Signed { scene, fields }: Signed) -> Response {
    let result = chosen(&app, &scene, fields.get("institution")).await;
    reply::changed(&app, &scene, result)
}

async fn chosen(app: &App, scene: &Scene, institution: &str) -> Result<Response, ServiceError> {
    let chosen = InstitutionId::new(institution);
    let Some(connection) = chosen.and_then(|id| app.connections.to(&id)) else {
        return Ok(reply::see_other("/link/bank"));
    };
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    consents::choose_bank(&mut tx, scene.consent.id, &connection.institution, &connection.id).await?;
    tx.commit().await?;
    Ok(reply::see_other("/link/consent"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banks(names: &[&str]) -> Vec<BankChoice> {
        let choice = |name: &&str| BankChoice {
            id: "de_bank".to_owned(),
            name: (*name).to_owned(),
            country: "DE".to_owned(),
            sandbox: false,
        };
        names.iter().map(choice).collect()
    }

    #[test]
    fn the_search_is_the_field_q_of_a_bounded_length() {
        assert_eq!(search("q=+Muster%C3%A4+&x=1"), "Musterä");
        assert_eq!(search("x=1"), "");
        assert_eq!(search(&format!("q={}", "a".repeat(500))).len(), SEARCH_CHARS_MAX);
    }

    #[test]
    fn names_that_begin_with_the_search_come_first() {
        let mut found = banks(&["Volksbank Donau", "Donaubank Linz", "Alte Donaubank", "donau direkt"]);
        assert_eq!(trim(&mut found, "Donau"), 0);
        let names: Vec<_> = found.iter().map(|bank| bank.name.as_str()).collect();
        assert_eq!(names, ["donau direkt", "Donaubank Linz", "Alte Donaubank", "Volksbank Donau"]);
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let mut found = banks(&["Bank"; BANKS_PER_PAGE_MAX + 7]);
        assert_eq!((trim(&mut found, ""), found.len()), (7, BANKS_PER_PAGE_MAX));
    }
}
