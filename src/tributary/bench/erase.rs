//! The erasure of very many rows, from the withdrawal to the signed receipt.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use domain::consent::{Consent as Machine, RevokedBy, State};
use domain::grant;
use domain::ids::{ConsentId, GrantId, InstitutionId, LineId, ProductId, PsuId, RegistrationId};
use domain::world::World;
use server::App;
use server::config::Config;
use server::services::fetch::Verdict;
use server::services::{consents as moves, deletion};
use store::consents::{Cause, Consent};
use store::deletions::{self, State as Step};
use store::grants::Grant;
use store::lines::{Details, NewLine, Writer};
use store::psus::Psu;
use store::{consents, grants, psus};

use super::{Figure, Goal, Pair, waited};
use crate::clock::SystemClock;

/// Rows of the account.
const MANY: u32 = 1_000_000;
/// A round fills a million rows twice: fewer rounds tell enough.
const ROUNDS_MAX: usize = 3;

/// A consent is withdrawn and erased, with keys, scan and receipt; against a bare `DELETE` of as many rows.
pub(super) fn measure(rounds: usize) -> anyhow::Result<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let pair = runtime.block_on(measured(rounds.min(ROUNDS_MAX), MANY))?;
    Ok(vec![Figure {
        name: "erase",
        what: "1,000,000 transactions of a withdrawn consent gone, shredded and proven, against their bare DELETE",
        value: pair.ratio(),
        unit: "×",
        goal: Goal::AtMost(1.3),
        beside: pair.beside(),
    }])
}

/// On a private PostgreSQL of its own, with the settings that it would have in production.
async fn measured(rounds: usize, rows: u32) -> anyhow::Result<Pair> {
    let folder = Folder::new()?;
    let (database, app) = server::open(settings(folder.path())?, Arc::new(SystemClock)).await?;
    let outcome = in_turn(&app, rounds, rows).await;
    drop(app);
    database.close().await?;
    outcome
}

async fn in_turn(app: &App, rounds: usize, rows: u32) -> anyhow::Result<Pair> {
    let (product, _) = server::setup::add_product(app, "Bench", &["budgeting"], &[]).await?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (consent, line) = connected(app, product).await?;
        app.store.fill(line, rows.into()).await?;
        ours.push(waited(erase(app, consent, rows)).await?);
        let (_, line) = connected(app, product).await?;
        app.store.fill(line, rows.into()).await?;
        bare.push(waited(async { Ok(app.store.delete_bare(line).await?) }).await?);
    }
    Ok(Pair::of(ours, bare))
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

/// Somebody with an account and no rows yet.
async fn connected(app: &App, product: ProductId) -> anyhow::Result<(ConsentId, LineId)> {
    let (world, tenant) = (app.world(), app.tenant.id);
    let institution = InstitutionId::new("xx_bench").context("an id")?;
    let registration = RegistrationId::new("bench").context("an id")?;
    let (grant, consent, line) = (GrantId::new(&world), ConsentId::new(&world), LineId::new(&world));
    let mut tx = app.store.tenant_tx(tenant).await?;
    let psu =
        Psu { id: PsuId::new(&world), product, ref_tag: world.bytes(), sealed_ref: Vec::new(), created_at: world.now };
    let psu = psus::find_or_create(&mut tx, &psu).await?;
    let granted = Grant {
        id: grant,
        registration: registration.clone(),
        institution: institution.clone(),
        psu,
        state: grant::State::Granted,
        seq: 0,
        intent: None,
        key: None,
        bank_tag: None,
        sealed_bank_consent: None,
        sealed_tokens: None,
        token_expires_at: None,
        sca_at: None,
        valid_until: None,
        created_at: world.now,
        ended_at: None,
    };
    grants::insert(&mut tx, &granted).await?;
    let asked = asked(&world, consent, product, psu, (institution, registration));
    let cause = Cause { event: "bench", actor: "bench", at: world.now };
    consents::insert(&mut tx, &asked, cause).await?;
    let machine = Machine { state: State::Active, ..asked.machine };
    let active = Consent { grant: Some(grant), machine, ..asked.clone() };
    consents::save(&mut tx, &asked, &active, cause).await?;
    let (key, wrapped) = app.vault.new_key(tenant, &world)?;
    let mut writer = Writer::open(&mut tx, consent, grant).await?;
    let details = Details::default();
    let new = NewLine { id: line, account_tag: world.bytes(), key: &key, wrapped: &wrapped, details: &details };
    writer.create(&new, &world).await?;
    writer.grant(line, &key, b"bench", &world).await?;
    tx.commit().await?;
    Ok((consent, line))
}

fn asked(
    world: &World<'_>,
    id: ConsentId,
    product: ProductId,
    psu: PsuId,
    bank: (InstitutionId, RegistrationId),
) -> Consent {
    let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect();
    Consent {
        id,
        product,
        psu,
        bank: Some(bank),
        purposes: words(&["budgeting"]),
        clusters: words(&["accounts", "transactions"]),
        language: "en".to_owned(),
        return_url: String::new(),
        text_hash: None,
        machine: Machine::new(world.now),
        seq: 0,
        grant: None,
        asked_until: world.now.to_zoned(jiff::tz::TimeZone::UTC).date(),
        created_at: world.now,
        accepted_at: None,
        authorized_at: None,
        sca_at: None,
        confirmed_at: None,
        ended_at: None,
    }
}

fn settings(folder: &Path) -> anyhow::Result<Config> {
    let path = |name: &str| folder.join(name).display().to_string();
    fs::create_dir(folder.join("registrations"))?;
    let text = format!(
        "[database]\ndata_dir = {:?}\n[keys]\ndir = {:?}\n[banks]\nregistrations_dir = {:?}\n[tenant]\nname = \"Bench\"\n",
        path("postgres"),
        path("keys"),
        path("registrations"),
    );
    let file = folder.join("config.toml");
    fs::write(&file, text)?;
    Config::load(Some(&file)).context("the settings cannot be used")
}

/// A folder that goes when it was used.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("tributary-bench-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        // As root PostgreSQL runs as another user, who passes through.
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
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
