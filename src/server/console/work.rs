//! Work that waits, and what was put aside.

use std::sync::Arc;

use axum::extract::State;
use domain::ids::JobId;
use domain::staff::Action;
use evidence::Subject;
use serde_json::json;
use store::desk::{self, Work};

use super::WORK;
use super::access::{Member, Order};
use super::banks::moment;
use super::page::{Answer, fail, form, missing, page};
use super::view::{Block, Cell, Section, Tone};
use crate::app::App;
use crate::evidence_log;
use crate::services::ServiceError;
use crate::web::headers::Segment;
use crate::web::reply::see_other;

/// Jobs that one page shows.
const SHOWN: i64 = 200;

/// What waits.
pub(super) async fn list(State(app): State<Arc<App>>, member: Member) -> Answer {
    let found = read(&app).await.map_err(fail(&member))?;
    let now = app.clock.now();
    let row = |one: &Work| {
        let state = match one.parked_at {
            Some(_) => Cell::badge(Tone::Bad, "put aside"),
            None if one.due_at <= now => Cell::badge(Tone::Wait, "due"),
            None => Cell::badge(Tone::Quiet, "later"),
        };
        let again = one.parked_at.filter(|_| member.may(Action::RetryJob)).map_or_else(Cell::default, |_| {
            Cell::form(form(&member, one.id, format!("{WORK}/{}/retry", one.id), "Try again", Vec::new()))
        });
        vec![
            Cell::text(&one.kind),
            state,
            Cell::text(one.attempts),
            Cell::maybe(one.last_error.as_ref()),
            Cell::text(moment(one.due_at)),
            again,
        ]
    };
    let table = Block::Table {
        caption: "Jobs".to_owned(),
        head: vec!["Kind", "State", "Attempts", "Last error", "Due", ""],
        rows: found.iter().map(row).collect(),
        none: "Nothing waits.",
    };
    Ok(page(&member, WORK, "Jobs", "What was put aside comes first.", vec![Section::new("", vec![table])]))
}

async fn read(app: &App) -> Result<Vec<Work>, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let found = desk::work(&mut tx, SHOWN).await?;
    tx.commit().await?;
    Ok(found)
}

/// Brings one back.
pub(super) async fn retry(State(app): State<Arc<App>>, Segment(id): Segment, order: Order) -> Answer {
    let member = &order.member;
    let Ok(id) = id.parse::<JobId>() else { return Err(missing(member)) };
    again(&app, member, id).await.map_err(fail(member))?;
    app.work.notify_waiters();
    Ok(see_other(WORK))
}

async fn again(app: &App, member: &Member, id: JobId) -> Result<(), ServiceError> {
    let world = app.world();
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    // Who is late finds it done, and nothing to put on record.
    if let Some(kind) = desk::try_again(&mut tx, id, world.now).await? {
        let body = json!({ "staff": member.staff.id.to_string(), "job": id.to_string(), "kind": kind });
        let tenant = Subject::Tenant(app.tenant.id);
        evidence_log::record_of(app, &mut tx, &world, tenant, "job.retried", &body).await?;
    }
    tx.commit().await?;
    Ok(())
}
