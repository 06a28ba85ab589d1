//! Two thieves: one takes the disks, the other a token. Both go away with nothing.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{Request, StatusCode};
use sandbox::{Psu, StolenToken};
use uuid::Uuid;

use super::disk;
use super::journey::Harvest;
use super::screen::many;
use super::world::World;

/// Texts of hers that a thief looks for, and from how many characters on a text is hers alone.
const WORDS_MAX: usize = 12;
const WORD_LONG: usize = 16;

/// Words that only her data have, looked for in everything that the database has written, and in our log.
pub(super) async fn search(world: &World, psu: &Psu, harvest: &Harvest) -> anyhow::Result<((), String)> {
    let long = |text: &&str| text.chars().count() >= WORD_LONG;
    let names = harvest.transactions().filter_map(|row| row.counterparty.as_deref());
    let texts = harvest.transactions().filter_map(|row| row.description.as_deref());
    let told: BTreeSet<&str> = names.chain(texts).filter(long).collect();
    let mut words: Vec<String> = told.into_iter().take(WORDS_MAX).map(str::to_owned).collect();
    words.extend(psu.accounts.iter().map(|account| account.iban.clone()));
    words.push(psu.name.clone());
    let count = words.len();
    let places = vec![world.app.config.database.data_dir.clone(), world.folder.join("server.log")];
    let searched = disk::search(places, words).await?;
    ensure!(searched.files > 100, "there were {} files to search", searched.files);
    if let Some(file) = searched.found_in {
        anyhow::bail!("her data lie in clear in {}", file.display());
    }
    let facts = format!(
        "{} and {} MB, write-ahead log and our own log included: none of {count} names, numbers and texts is in them",
        many(searched.files, "file"),
        searched.bytes / 1_000_000
    );
    Ok(((), facts))
}

/// Shows a stolen token to the bank, with our own certificate and with another one.
pub(super) async fn attempt(world: &World) -> anyhow::Result<(StolenToken, String)> {
    let loot = world.bank.steal_token().context("no token to steal")?;
    let ours = present(world, &loot, &world.with_our_certificate()?).await?;
    ensure!(ours == StatusCode::OK, "our own certificate and token are answered with {ours}");
    let theirs = present(world, &loot, &world.with_another_certificate()?).await?;
    let why = refusal(world);
    ensure!(theirs == StatusCode::UNAUTHORIZED && why == "token.binding.mismatch", "the thief got {theirs} ({why})");
    Ok((loot, format!("401 from the bank, which notes {why}; with our certificate the same call is answered with 200")))
}

/// Shows a token to the account interface.
pub(super) async fn present(world: &World, token: &StolenToken, http: &net::Client) -> anyhow::Result<StatusCode> {
    let request = Request::get(format!("{}/v1/accounts", world.bank.api_base))
        .header("authorization", format!("Bearer {}", token.access_token))
        .header("consent-id", &token.consent_id)
        .header("psu-ip-address", "192.0.2.7")
        .header("x-request-id", Uuid::from_u128(1).to_string());
    Ok(http.send(request.body(Bytes::new())?).await?.status())
}

/// Why the bank said no the last time.
pub(super) fn refusal(world: &World) -> String {
    world.bank.log().into_iter().rfind(|line| line.refused).map(|line| line.code).unwrap_or_default()
}
