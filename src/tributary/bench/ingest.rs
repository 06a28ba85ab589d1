//! Normalised rows sealed and stored by the statements of a fetch, against the owner's `COPY` of the same rows and bytes into
//! the same indexed table. What a fetch does beside it (raw pages, alignment, reconciliation) is not in it.

use anyhow::ensure;
use domain::records::Normalized;
use server::App;

use super::normalize::finished;
use super::page::page;
use super::parse::Reader;
use super::site::{self, Site};
use super::{Figure, Goal, Pair, runtime, waited};

/// Rows of a page, which are stored in one transaction.
const PAGE: usize = 500;
/// Pages of a round.
const PAGES: usize = 20;
/// Rounds of a figure.
const ROUNDS_MAX: usize = 9;

/// The rate at which rows are stored, as a part of that of a bare `COPY`.
pub(super) fn measure(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let pair = runtime()?.block_on(measured(rounds.min(ROUNDS_MAX), PAGES))?;
    Ok(vec![Figure {
        name: "ingest",
        what: "rows sealed and stored page by page, as a part of the rate of a bare COPY of what was stored",
        value: 1.0 / pair.ratio(),
        unit: "×",
        goal: Goal::AtLeast(0.4),
        beside: pair.rates(PAGE * PAGES),
    }])
}

async fn measured(rounds: usize, pages: usize) -> anyhow::Result<Pair> {
    Site::during(async |site| in_turn(&site.app, rounds, pages).await).await
}

async fn in_turn(app: &App, rounds: usize, pages: usize) -> anyhow::Result<Pair> {
    let (product, _) = server::setup::add_product(app, "Bench", &["budgeting"], &[]).await?;
    let records = finished(&Reader::new()?, &page(PAGE * pages));
    ensure!(records.len() == PAGE * pages, "rows of the page were refused");
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let account = site::connected(app, product).await?;
        let time = waited(stored(app, &account, &records)).await?;
        let bytes = app.store.copied(account.line).await?;
        let gone = app.store.delete_bare(account.line).await?;
        ensure!(gone == records.len() as u64, "{gone} rows stored");
        app.store.settle().await?;
        let limit = waited(async { Ok(app.store.copy_bare(&bytes).await?) }).await?;
        app.store.delete_bare(account.line).await?;
        app.store.settle().await?;
        // The first round warms.
        if round > 0 {
            ours.push(time);
            bare.push(limit);
        }
    }
    Ok(Pair::of(ours, bare))
}

async fn stored(app: &App, account: &site::Account, records: &[Normalized]) -> anyhow::Result<()> {
    for page in records.chunks(PAGE) {
        account.put(app, page).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_measured_are_rows_that_are_stored() {
        assert!(measured(1, 1).await.unwrap().ratio() > 0.0);
    }
}
