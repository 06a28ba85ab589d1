//! Bank data of one person, for a reason that is put on record before anything is shown.

use std::sync::Arc;

use axum::extract::State;
use domain::alert::Kind;
use domain::ids::ConsentId;
use domain::money::Money;
use domain::world::World;
use serde_json::json;
use store::lines::{Details, Filter};
use store::transactions::{self, Query};
use store::{TenantTx, consents, lines};

use super::CONSENTS;
use super::access::{Member, Order};
use super::page::{Answer, fail, form, missing, page, unfit};
use super::view::{Block, Cell, Field, Section};
use crate::app::App;
use crate::services::ServiceError;
use crate::web::headers::Segment;
use crate::{evidence_log, watch};

/// A reason is a sentence: between so many characters.
const REASON_CHARS: std::ops::RangeInclusive<usize> = 10..=300;
/// Rows that are shown, the newest.
const SHOWN: u32 = 100;

/// The form that asks for the reason.
pub(super) fn ask(member: &Member, id: ConsentId) -> Block {
    let label = "Why you need to see it. The person can read this.";
    let fields = vec![Field::text("reason", label, *REASON_CHARS.end())];
    Block::Form(form(member, "reason", format!("{CONSENTS}/{id}/data"), "Show, and put it on record", fields))
}

/// Shows them. The record is written in the transaction that reads, and committed before anybody sees a row.
pub(super) async fn show(State(app): State<Arc<App>>, Segment(id): Segment, order: Order) -> Answer {
    let member = &order.member;
    let Ok(id) = id.parse::<ConsentId>() else { return Err(missing(member)) };
    let reason = order.fields.get("reason").trim();
    if !REASON_CHARS.contains(&reason.chars().count()) || reason.chars().any(char::is_control) {
        let (least, most) = (REASON_CHARS.start(), REASON_CHARS.end());
        return Err(unfit(member, &format!("Give a reason of {least} to {most} characters. Nothing was shown.")));
    }
    let sections = read(&app, member, id, reason).await.map_err(fail(member))?;
    let lead = format!("Of {id}, shown to you now because: {reason}");
    Ok(page(member, CONSENTS, "Bank data", &lead, sections))
}

async fn read(app: &App, member: &Member, id: ConsentId, reason: &str) -> Result<Vec<Section>, ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let consent = consents::get(&mut tx, id).await?;
    let mut sections = Vec::new();
    let mut rows = 0;
    for held in lines::held(&mut tx, consent.product, Filter { consent: Some(id), ..Filter::default() }).await? {
        let key = app.vault.open_key(tx.tenant(), &held.line.key)?;
        let details = held.line.details(tx.tenant(), &key)?;
        let wanted =
            Query { consent: id, line: Some(held.line.id), from: None, until: None, after: None, limit: SHOWN };
        let mut shown = Vec::new();
        // Under this consent nothing is seen that it is not about, though another one may have brought it.
        let agreed = held.clusters.iter().any(|given| given == "transactions");
        let found = if agreed { transactions::page(&mut tx, wanted).await?.rows } else { Vec::new() };
        for row in found {
            let one = row.open(tx.tenant(), &key)?;
            let other = one.merchant.or(one.counterparty.name);
            let cells = [Cell::text(row.booking_date), Cell::text(money(&one.money)), Cell::maybe(other)];
            shown.push(cells.into_iter().chain([Cell::maybe(one.description)]).collect());
        }
        rows += shown.len();
        let table = Block::Table {
            caption: "Transactions".to_owned(),
            head: vec!["Day", "Amount", "Other side", "Text"],
            rows: shown,
            none: "No rows.",
        };
        sections.push(Section::new(held.line.id, vec![facts(&details), table]));
    }
    note(app, &mut tx, &world, member, (id, reason), (sections.len(), rows)).await?;
    tx.commit().await?;
    if sections.is_empty() {
        sections.push(Section::new("", vec![Block::Plain("There is nothing that may be read.".to_owned())]));
    }
    Ok(sections)
}

async fn note(
    app: &App,
    tx: &mut TenantTx,
    world: &World<'_>,
    member: &Member,
    (id, reason): (ConsentId, &str),
    (accounts, rows): (usize, usize),
) -> Result<(), ServiceError> {
    let body = json!({
        "staff": member.staff.id.to_string(), "reason": reason, "accounts": accounts, "rows": rows,
    });
    evidence_log::record(app, tx, world, id, "data.shown_to_staff", &body).await?;
    watch::count_in(app, tx, world, (Kind::StaffReads, &member.staff.id.to_string()), 1).await
}

fn facts(details: &Details) -> Block {
    let number = [&details.iban, &details.bban, &details.masked_pan, &details.other].into_iter().flatten().next();
    Block::Facts(vec![
        ("Number".to_owned(), Cell::maybe(number)),
        ("Name".to_owned(), Cell::maybe(details.name.as_ref().or(details.product.as_ref()))),
        ("Holder".to_owned(), Cell::maybe(details.owner_name.as_ref())),
        ("Currency".to_owned(), Cell::maybe(details.currency.as_ref())),
    ])
}

fn money(money: &Money) -> String {
    format!("{} {}", money.amount(), money.currency())
}
