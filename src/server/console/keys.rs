//! When certificates and keys end.

use std::sync::Arc;

use axum::extract::State;
use jiff::{SignedDuration, Timestamp};

use super::KEYS;
use super::access::Member;
use super::banks::moment;
use super::page::{Answer, fail, page};
use super::view::{Block, Cell, Section, Tone};
use crate::app::App;
use crate::services::{ServiceError, products};

/// Within so many days somebody should act.
pub(super) const SOON_DAYS: i64 = 30;

/// Certificates at banks, keys of products, epochs of wrapping keys.
pub(super) async fn show(State(app): State<Arc<App>>, member: Member) -> Answer {
    let now = app.clock.now();
    let mut certificates: Vec<_> = app.connections.all();
    certificates.sort_by_key(|connection| connection.certificate_until);
    let rows = certificates.iter().map(|one| {
        vec![
            Cell::text(&one.institution),
            Cell::code(&one.id),
            Cell::code(one.certificate.chars().take(16).collect::<String>()),
            Cell::text(one.certificates.len()),
            ends(one.certificate_until, now),
        ]
    });
    let certificates = Block::Table {
        caption: "Certificates".to_owned(),
        head: vec!["Bank", "Registration", "Thumbprint", "In the registration", "Ends"],
        rows: rows.collect(),
        none: "We are registered at no bank.",
    };
    let keys = keys(&app, now).await.map_err(fail(&member))?;
    let epochs = epochs(&app).await.map_err(fail(&member))?;
    let sections = vec![
        Section::new("Certificates at banks", vec![certificates]),
        Section::new("Keys of products", vec![keys]),
        Section::new("Wrapping keys", vec![epochs]),
    ];
    Ok(page(&member, KEYS, "Certificates and keys", "What ends first comes first.", sections))
}

fn ends(until: Option<Timestamp>, now: Timestamp) -> Cell {
    let Some(until) = until else { return Cell::none() };
    let left = until.duration_since(now);
    let tone = match left {
        left if left <= SignedDuration::ZERO => Tone::Bad,
        left if left.as_hours() / 24 < SOON_DAYS => Tone::Wait,
        _ => Tone::Good,
    };
    Cell::badge(tone, moment(until))
}

async fn keys(app: &App, now: Timestamp) -> Result<Block, ServiceError> {
    let mut rows = Vec::new();
    for listed in products::list(app).await? {
        for key in &listed.keys {
            let state = match key.revoked_at {
                Some(_) => Cell::badge(Tone::Quiet, "withdrawn"),
                None => match key.expires_at {
                    Some(until) => ends(Some(until), now),
                    None => Cell::badge(Tone::Quiet, "no end"),
                },
            };
            rows.push(vec![Cell::text(&listed.product.name), Cell::code(key.id), state]);
        }
    }
    Ok(Block::Table {
        caption: "Keys of products".to_owned(),
        head: vec!["Product", "Key", "Ends"],
        rows,
        none: "No product has a key.",
    })
}

async fn epochs(app: &App) -> Result<Block, ServiceError> {
    let mut tx = app.store.tenant_tx(app.tenant.id).await?;
    let mut found = store::keys::epochs(&mut tx).await?;
    tx.commit().await?;
    found.sort_by_key(|(epoch, _)| std::cmp::Reverse(*epoch));
    let rows = found.into_iter().take(30).map(|(epoch, destroyed)| {
        let state = match destroyed {
            None => Cell::badge(Tone::Good, "in use or openable"),
            Some(at) => Cell::badge(Tone::Quiet, format!("destroyed {}", moment(at))),
        };
        vec![Cell::text(epoch), state]
    });
    Ok(Block::Table {
        caption: "Wrapping keys".to_owned(),
        head: vec!["Epoch", "Key"],
        rows: rows.collect(),
        none: "There is none yet.",
    })
}
