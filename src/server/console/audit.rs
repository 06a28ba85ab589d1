//! Search in the evidence log.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use domain::ids::{ConsentId, InstitutionId};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::access::{Member, Order};
use super::banks::moment;
use super::page::{Answer, fail, form, page, unfit};
use super::view::{Block, Cell, Field, Form, Section};
use super::{AUDIT, CONSENTS};
use crate::app::App;
use crate::services::compliance::{self, Found, Search};

/// Entries that one page shows; a search that means more says so.
const SHOWN: usize = 500;
/// One more than that.
const READ: i64 = 501;

/// The form.
pub(super) async fn ask(member: Member) -> Answer {
    let lead = "Every part that you fill in narrows the search.";
    Ok(page(&member, AUDIT, "Evidence log", lead, vec![Section::new("", vec![Block::Form(asking(&member))])]))
}

/// A search may name what says something about a person, so it is posted and stands in no address.
fn asking(member: &Member) -> Form {
    let fields = vec![
        Field::text("consent", "Consent", 64).optional(),
        Field::text("institution", "Bank's id", 64).optional(),
        Field::text("kind", "Kind, or what it begins with", 64).optional(),
        Field::text("from", "From day", 0).of("date").optional(),
        Field::text("until", "Until day", 0).of("date").optional(),
    ];
    form(member, "search", AUDIT, "Search", fields)
}

/// What is found.
pub(super) async fn find(State(app): State<Arc<App>>, order: Order) -> Answer {
    let member = &order.member;
    let search = search(&order).map_err(|why| unfit(member, why))?;
    let found = compliance::newest(&app, &search, READ).await.map_err(fail(member))?;
    let lead = match found.len() {
        many if many > SHOWN => format!("The newest {SHOWN} entries. Narrow the search for the others."),
        many => format!("{many} entries."),
    };
    let sections =
        vec![Section::new("", vec![Block::Form(asking(member))]), Section::new("Found", vec![table(&found, true)])];
    Ok(page(member, AUDIT, "Evidence log", &lead, sections))
}

fn search(order: &Order) -> Result<Search, &'static str> {
    let part = |name: &str| Some(order.fields.get(name).trim().to_owned()).filter(|text| !text.is_empty());
    let consent = part("consent").map(|text| text.parse::<ConsentId>()).transpose();
    let institution = part("institution").map(|text| InstitutionId::new(&text).ok_or(())).transpose();
    Ok(Search {
        consent: consent.map_err(|_| "That is no id of a consent: they begin with cns_.")?,
        person: None,
        institution: institution.map_err(|()| "That is no id of a bank.")?,
        kind: part("kind"),
        from: part("from").map(|text| day(&text)).transpose()?,
        until: part("until").map(|text| day(&text)).transpose()?.map(end),
    })
}

fn day(text: &str) -> Result<Timestamp, &'static str> {
    let begin = text.parse::<Date>().ok().and_then(|day| day.to_zoned(TimeZone::UTC).ok());
    begin.map(|begin| begin.timestamp()).ok_or("That is no day: write 2026-11-21.")
}

/// The end of the day that begins so.
fn end(begin: Timestamp) -> Timestamp {
    begin.saturating_add(SignedDuration::from_hours(24)).unwrap_or(begin)
}

/// The evidence of one consent.
pub(super) async fn of_consent(app: &App, member: &Member, id: ConsentId) -> Result<Block, Response> {
    let search = Search { consent: Some(id), ..Search::default() };
    let found = compliance::newest(app, &search, READ).await.map_err(fail(member))?;
    Ok(table(&found, false))
}

/// Entries, the newest first, each with whom it is about unless that is known.
fn table(found: &[Found], with_subject: bool) -> Block {
    let rows = found.iter().take(SHOWN).map(|one| {
        let subject = match one.subject.starts_with("cns_") {
            true => Cell::code(&one.subject).to(format!("{CONSENTS}/{}", one.subject)),
            false => Cell::code(&one.subject),
        };
        let body = one.body.as_ref().map_or_else(|| Cell::text("its retention has ended"), Cell::code);
        let about = with_subject.then_some(subject);
        let cells = [Cell::text(one.index), Cell::text(moment(one.at)), Cell::text(&one.kind)];
        cells.into_iter().chain(about).chain([body]).collect()
    });
    let about = with_subject.then_some("About");
    Block::Table {
        caption: "Evidence".to_owned(),
        head: ["Place", "When", "What"].into_iter().chain(about).chain(["What it says"]).collect(),
        rows: rows.collect(),
        none: "Nothing was found.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_whole_and_anything_else_is_refused() {
        let begin = day("2026-11-21").unwrap();
        assert_eq!(begin.to_string(), "2026-11-21T00:00:00Z");
        assert_eq!(end(begin).to_string(), "2026-11-22T00:00:00Z");
        for strange in ["", "yesterday", "2026-13-01", "-9999-01-01T", "<script>"] {
            assert!(day(strange).is_err(), "{strange}");
        }
    }
}
