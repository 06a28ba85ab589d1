//! The erasure of very many rows, from the withdrawal to the signed receipt.

use anyhow::{Context as _, ensure};
use domain::consent::RevokedBy;
use domain::ids::{ConsentId, LineId};
use server::App;
use server::services::fetch::Verdict;
use server::services::{consents as moves, deletion};
use store::deletions::{self, State as Step};

use super::site::{self, Site};
use super::{Figure, Goal, Pair, runtime, waited};

/// Rows of the account.
const MANY: u32 = 1_000_000;
/// A round fills a million rows twice: fewer rounds tell enough.
const ROUNDS_MAX: usize = 3;

/// A consent is withdrawn and erased, with keys, scan and receipt; against a bare `DELETE` of as many rows.
pub(super) fn measure(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let pair = runtime()?.block_on(measured(rounds.min(ROUNDS_MAX), MANY))?;
    Ok(vec![Figure {
        name: "erase",
        what: "1,000,000 transactions of a withdrawn consent gone, shredded and proven, against their bare DELETE",
        value: pair.ratio(),
        unit: "×",
        goal: Goal::AtMost(1.3),
        beside: pair.beside(),
    }])
}

async fn measured(rounds: usize, rows: u32) -> anyhow::Result<Pair> {
    Site::during(async |site| in_turn(&site.app, rounds, rows).await).await
}

async fn in_turn(app: &App, rounds: usize, rows: u32) -> anyhow::Result<Pair> {
    let (product, _) = server::setup::add_product(app, "Bench", &["budgeting"], &[]).await?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Whoever comes second finds a table that is larger: each comes second in its turn.
        for ours_now in [round % 2 == 0, round % 2 == 1] {
            let account = site::connected(app, product).await?;
            filled(app, account.line, rows).await?;
            if ours_now {
                ours.push(waited(erase(app, account.consent, rows)).await?);
            } else {
                bare.push(waited(async { Ok(app.store.delete_bare(account.line).await?) }).await?);
            }
        }
    }
    Ok(Pair::of(ours, bare))
}

async fn filled(app: &App, line: LineId, rows: u32) -> anyhow::Result<()> {
    app.store.fill(line, rows.into()).await?;
    Ok(app.store.settle().await?)
}

/// Withdraws, and erases until there is a receipt for all of it.
async fn erase(app: &App, consent: ConsentId, rows: u32) -> anyhow::Result<()> {
    let tenant = app.tenant.id;
    moves::revoke(app, tenant, consent, RevokedBy::Psu, "psu").await?;
    let mut tx = app.store.tenant_tx(tenant).await?;
    let begun = deletions::of_consent(&mut tx, consent).await?.pop().context("no deletion")?;
    tx.commit().await?;
    ensure!(deletion::run(app, tenant, begun.id).await? == Verdict::Done, "the erasure did not end");
    let mut tx = app.store.tenant_tx(tenant).await?;
    let done = deletions::get(&mut tx, begun.id).await?;
    let lines = deletions::lines(&mut tx, begun.id).await?;
    tx.commit().await?;
    let gone: i64 = lines.iter().filter_map(|line| line.counts.get("transaction")).sum();
    ensure!(done.state == Step::Receipted && gone == i64::from(rows), "{gone} rows erased");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_measured_is_an_erasure_to_its_receipt() {
        let pair = measured(1, 25_000).await.unwrap();
        assert!(pair.ratio() > 0.0);
    }
}
