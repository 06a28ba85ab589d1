//! Erasures: what is under way, what is owed, and the receipts.

use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse as _;
use domain::ids::DeletionId;
use domain::staff::Action;
use store::deletions::{self, Bank, Deletion, State as Progress};

use super::access::Member;
use super::banks::moment;
use super::page::{Answer, fail, missing, page};
use super::view::{Block, Cell, Section, Tone};
use super::{CONSENTS, DELETIONS};
use crate::app::App;
use crate::evidence_log::{self, About};
use crate::services::ServiceError;
use crate::web::headers::Segment;

/// Erasures that one page shows.
const SHOWN: usize = 200;
/// One more than that.
const READ: u32 = 201;

/// The queue, and what is done.
pub(super) async fn list(State(app): State<Arc<App>>, member: Member) -> Answer {
    let (mut open, mut done) = read(&app).await.map_err(fail(&member))?;
    done.retain(|one| !is_owed(one));
    let mut owed = Vec::new();
    if open.len() > SHOWN {
        open.truncate(SHOWN);
        owed.push(Block::Note(Tone::Wait, format!("More are owed; the newest {SHOWN} are shown.")));
    }
    owed.push(table(&member, "Erasures on which something is owed", &open, "Nothing is owed."));
    let sections = vec![
        Section::new("Something is owed", owed),
        Section::new("Done", vec![table(&member, "Erasures that are done", &done, "None yet.")]),
    ];
    Ok(page(
        &member,
        DELETIONS,
        "Erasures",
        "The newest first. A receipt comes with its proof and can be checked offline.",
        sections,
    ))
}

/// What is owed, however old, and the newest.
async fn read(app: &App) -> Result<(Vec<Deletion>, Vec<Deletion>), ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let found = (deletions::owed(&mut tx, READ).await?, deletions::list(&mut tx, None, READ).await?);
    tx.commit().await?;
    Ok(found)
}

fn is_owed(one: &Deletion) -> bool {
    one.state != Progress::Receipted || matches!(one.bank, Bank::Pending | Bank::Unconfirmed)
}

/// Erasures as a table, with the receipt for those who may read evidence.
pub(super) fn table(member: &Member, caption: &str, found: &[Deletion], none: &'static str) -> Block {
    let rows = found.iter().map(|one| {
        let receipt = match one.state {
            Progress::Receipted if member.may(Action::ReadEvidence) => {
                Cell::text("receipt").to(format!("{DELETIONS}/{}/receipt", one.id))
            }
            Progress::Receipted | Progress::Blocked | Progress::Stopped | Progress::Erased | Progress::Shredded => {
                Cell::none()
            }
        };
        vec![
            Cell::code(one.id),
            Cell::code(one.consent).to(format!("{CONSENTS}/{}", one.consent)),
            Cell::text(&one.trigger),
            progress(one.state),
            bank(one.bank),
            Cell::text(moment(one.stopped_at)),
            receipt,
        ]
    });
    Block::Table {
        caption: caption.to_owned(),
        head: vec!["Erasure", "Consent", "Caused by", "Step done", "At the bank", "Stopped", "Receipt"],
        rows: rows.collect(),
        none,
    }
}

fn progress(state: Progress) -> Cell {
    let tone = match state {
        Progress::Receipted => Tone::Good,
        Progress::Blocked => Tone::Quiet,
        Progress::Stopped | Progress::Erased | Progress::Shredded => Tone::Wait,
    };
    Cell::badge(tone, state.word())
}

fn bank(bank: Bank) -> Cell {
    let tone = match bank {
        Bank::NotNeeded | Bank::Confirmed => Tone::Good,
        Bank::Pending => Tone::Wait,
        Bank::Unconfirmed => Tone::Bad,
    };
    Cell::badge(tone, bank.word())
}

/// A receipt with its proof, as a file.
pub(super) async fn receipt(State(app): State<Arc<App>>, Segment(id): Segment, member: Member) -> Answer {
    let Ok(id) = id.parse::<DeletionId>() else { return Err(missing(&member)) };
    let Some((name, bundle)) = file(&app, id).await.map_err(fail(&member))? else { return Err(missing(&member)) };
    Ok(([(CONTENT_TYPE, "application/json".to_owned()), (CONTENT_DISPOSITION, name)], bundle).into_response())
}

async fn file(app: &App, id: DeletionId) -> Result<Option<(String, String)>, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let found = deletions::get(&mut tx, id).await?;
    tx.commit().await?;
    if found.state != Progress::Receipted {
        return Ok(None);
    }
    // The receipt may be waiting for its place in the log; without one it proves nothing.
    evidence_log::sequence(app, app.tenant.id).await?;
    let about = About { tenant: app.tenant.id, consent: found.consent };
    let bundle = evidence_log::bundle(app, about, None).await?.context("a log with a receipt has a checkpoint")?;
    Ok(Some((format!("attachment; filename=\"receipt-{}.json\"", found.consent), bundle)))
}
