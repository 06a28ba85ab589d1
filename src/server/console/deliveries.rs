//! Webhooks: how endpoints fare, what was tried, and a part of a stream again.

use std::sync::Arc;

use axum::extract::State;
use domain::ids::EndpointId;
use domain::staff::Action;
use evidence::Subject;
use serde_json::json;
use store::deliveries::{self as rows, Attempt, Range};
use store::desk::{self, Endpoint};
use store::webhooks;
use url::Url;

use super::DELIVERIES;
use super::access::{Member, Order};
use super::banks::moment;
use super::page::{Answer, fail, form, missing, page, unfit};
use super::view::{Block, Cell, Field, Section, Tone};
use crate::app::App;
use crate::evidence_log;
use crate::services::{ServiceError, events};
use crate::web::headers::Segment;
use crate::web::reply::see_other;

/// Attempts that one page shows.
const SHOWN: u32 = 100;

/// Every endpoint.
pub(super) async fn list(State(app): State<Arc<App>>, member: Member) -> Answer {
    let found = endpoints(&app).await.map_err(fail(&member))?;
    let rows = found.iter().map(|one| {
        vec![
            Cell::code(one.id).to(format!("{DELIVERIES}/{}", one.id)),
            Cell::text(&one.product),
            Cell::text(host(&one.url)),
            state(&one.state),
            Cell::text(one.waiting),
            Cell::text(one.failures),
            Cell::maybe(one.attempted_at.map(moment)),
        ]
    });
    let table = Block::Table {
        caption: "Endpoints".to_owned(),
        head: vec!["Endpoint", "Product", "Host", "State", "Waiting", "Failures in a row", "Last attempt"],
        rows: rows.collect(),
        none: "No product has an endpoint.",
    };
    Ok(page(
        &member,
        DELIVERIES,
        "Webhooks",
        "Those that take nothing come first.",
        vec![Section::new("", vec![table])],
    ))
}

async fn endpoints(app: &App) -> Result<Vec<Endpoint>, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let found = desk::endpoints(&mut tx).await?;
    tx.commit().await?;
    Ok(found)
}

/// Of an address the host alone: the rest may hold a secret of its product.
fn host(url: &str) -> String {
    Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

fn state(word: &str) -> Cell {
    let tone = match word {
        "active" => Tone::Good,
        "paused" => Tone::Quiet,
        _ => Tone::Bad,
    };
    Cell::badge(tone, word)
}

/// One endpoint and what was tried.
pub(super) async fn show(State(app): State<Arc<App>>, Segment(id): Segment, member: Member) -> Answer {
    let Ok(id) = id.parse::<EndpointId>() else { return Err(missing(&member)) };
    let all = endpoints(&app).await.map_err(fail(&member))?;
    let Some(one) = all.into_iter().find(|one| one.id == id) else { return Err(missing(&member)) };
    let tried = tried(&app, id).await.map_err(fail(&member))?;
    let facts = Block::Facts(vec![
        ("Product".to_owned(), Cell::text(&one.product)),
        ("Host".to_owned(), Cell::text(host(&one.url))),
        ("State".to_owned(), state(&one.state)),
        ("Waiting".to_owned(), Cell::text(one.waiting)),
        ("Newest number".to_owned(), Cell::text(one.next_seq - 1)),
    ]);
    let mut sections = vec![Section::new("", vec![facts])];
    if member.may(Action::ReplayDeliveries) {
        let number = |name, label| Field::text(name, label, 0).of("number");
        let fields = vec![number("from", "From number"), number("to", "To number")];
        let again = form(&member, "replay", format!("{DELIVERIES}/{id}/replay"), "Send again", fields);
        sections.push(Section::new("Send a part of the stream again", vec![Block::Form(again)]));
    }
    sections.push(Section::new("Attempts", vec![attempts(&tried)]));
    Ok(page(&member, DELIVERIES, "Endpoint", &id.to_string(), sections))
}

async fn tried(app: &App, id: EndpointId) -> Result<Vec<Attempt>, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let found = rows::attempts(&mut tx, id, None, SHOWN).await?;
    tx.commit().await?;
    Ok(found)
}

fn attempts(tried: &[Attempt]) -> Block {
    let rows = tried.iter().map(|one| {
        let tone = if one.outcome == "delivered" { Tone::Good } else { Tone::Bad };
        vec![
            Cell::text(one.seq),
            Cell::text(&one.kind),
            Cell::badge(tone, &one.outcome),
            Cell::maybe(one.status),
            Cell::text(format!("{} ms", one.latency_ms)),
            Cell::text(moment(one.at)),
            Cell::maybe(one.retry_at.map(moment)),
        ]
    });
    Block::Table {
        caption: "Attempts".to_owned(),
        head: vec!["Number", "Event", "Outcome", "Status", "Took", "When", "Again"],
        rows: rows.collect(),
        none: "Nothing was tried in the last 90 days.",
    }
}

/// Has a part of the stream sent again, in its old order, under the old ids.
pub(super) async fn replay(State(app): State<Arc<App>>, Segment(id): Segment, order: Order) -> Answer {
    let member = &order.member;
    let Ok(id) = id.parse::<EndpointId>() else { return Err(missing(member)) };
    let number = |name: &str| order.fields.get(name).trim().parse::<i64>().ok().filter(|number| *number > 0);
    let range = number("from").zip(number("to")).filter(|(from, to)| from <= to);
    let Some(range) = range else {
        return Err(unfit(member, "Give two numbers of the stream, the smaller one first."));
    };
    again(&app, member, id, range).await.map_err(fail(member))?;
    app.work.notify_waiters();
    Ok(see_other(&format!("{DELIVERIES}/{id}")))
}

async fn again(app: &App, member: &Member, id: EndpointId, (from, to): (i64, i64)) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let endpoint = webhooks::get(&mut tx, id).await?;
    let queued = rows::replay(&mut tx, id, Range { from, to, types: &[] }).await?;
    events::request_delivery(&mut tx, &world, endpoint.product, id, world.now).await?;
    let body = json!({
        "staff": member.staff.id.to_string(), "endpoint": id.to_string(), "from": from, "to": to, "queued": queued,
    });
    let tenant = Subject::Tenant(app.tenant.id);
    evidence_log::record_of(app, &mut tx, &world, tenant, "webhooks.replayed", &body).await?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_the_host_alone_is_shown() {
        assert_eq!(host("https://hooks.example/in/s3cret?token=1"), "hooks.example");
        assert_eq!(host("nonsense"), "");
    }
}
