//! The story: two people connect their bank, one of them stops, days pass. Every sentence on the screen is checked before it
//! is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use domain::world::Clock as _;
use evidence::Receipt;
use http::StatusCode;
use jiff::civil::Date;
use sandbox::{Psu, StolenToken};
use store::data_map::{self, Subject};
use tokio::time::{Instant, sleep};

use super::product::{Account, Balance, Consent, Revocation, Transaction};
use super::proof::{self, Proof};
use super::screen::{Screen, many, number};
use super::thieves;
use super::world::{PRODUCT, PURPOSE, World};
use crate::browser::Browser;
use crate::browser::page::Page;

/// Longest wait for work in the background.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(40);
/// Days until an epoch key is destroyed: one epoch of a day is under way, seven are kept.
const DAYS_TO_DESTRUCTION: u32 = 8;

/// Somebody who has connected their bank.
pub(super) struct Connected {
    browser: Browser,
    /// The page after the bank.
    done: Page,
    /// Id of the consent.
    consent: String,
}

/// What the product got to see.
pub(super) struct Harvest {
    /// The accounts with what is on them.
    pub(super) accounts: Vec<Shown>,
}

/// One account as the product sees it.
pub(super) struct Shown {
    /// The account.
    pub(super) account: Account,
    /// Its balances.
    pub(super) balances: Vec<Balance>,
    /// Its transactions, newest first.
    pub(super) transactions: Vec<Transaction>,
}

impl Harvest {
    /// Every transaction.
    pub(super) fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.accounts.iter().flat_map(|shown| &shown.transactions)
    }
}

/// How it all went, for the closing board.
pub(super) struct Story {
    /// What Mara's accounts showed.
    pub(super) mara: Harvest,
    /// What Jonas's accounts showed.
    pub(super) jonas: Harvest,
    /// The receipt, first and after eight days.
    pub(super) proofs: [Proof; 2],
    /// The day on which Jonas's sign-in fell due.
    pub(super) due: Date,
    /// Calls to the bank for both of them, by the ground on which they were made.
    pub(super) calls: BTreeMap<String, usize>,
}

/// Plays it all.
///
/// # Errors
/// Whatever was not as told.
pub(super) async fn play(screen: Screen, world: &World) -> anyhow::Result<Story> {
    let [mara, jonas] = world.books.psus.as_slice() else { anyhow::bail!("the bank has other customers than told") };
    ensure!([mara, jonas].map(first_name) == ["Mara", "Jonas"], "the bank's customers have other names than told");
    screen.chapter("A product asks, a person decides");
    let mut connected = connect(screen, world, mara).await?;
    screen.chapter("The data arrive");
    let harvest = gather(screen, world, mara, &connected).await?;
    screen
        .step("A thief of disks searches the database's files for her data", thieves::search(world, mara, &harvest))
        .await?;
    let title = "A thief of tokens tries hers with another certificate";
    let loot = screen.step(title, thieves::attempt(world)).await?;
    let (his, his_harvest) = screen.step("Jonas connects his accounts the same way", whole_visit(world, jonas)).await?;
    screen.chapter("The person stops");
    let revocation = stop(screen, world, &mut connected, &harvest, &loot).await?;
    let first = prove(screen, world, &revocation, &harvest).await?;
    screen.chapter("Time passes, on the demo's own calendar");
    let title = "Eight days later no backup opens her data any more";
    let second = screen.step(title, after_eight_days(world, &revocation)).await?;
    let title = "Meanwhile Jonas's bank was asked again without him";
    let grown = screen.step(title, without_him(world, jonas, &his, &his_harvest)).await?;
    let title = "Later his sign-in is too old: the consent waits for him, his data stay readable";
    let due = screen.step(title, after_ninety_days(world, &his, &grown)).await?;
    let mut calls = second.calls();
    for (basis, count) in proof::calls_of(world, &his.consent).await? {
        *calls.entry(basis).or_default() += count;
    }
    Ok(Story { mara: harvest, jonas: grown, proofs: [first, second], due, calls })
}

async fn connect(screen: Screen, world: &World, psu: &Psu) -> anyhow::Result<Connected> {
    let first = first_name(psu);
    let title = format!("The product {PRODUCT} asks for a consent and gets a link for {first}");
    let (consent, link) = screen.step(&title, ask(world, psu)).await?;
    let mut browser = Browser::new(world.visitor()?);
    let title = format!("{first} opens the link and reads what would be shared, for what and until when");
    let text = screen.step(&title, read_text(world, &mut browser, &link, &consent)).await?;
    let title = "She agrees and is sent to her bank";
    let login = screen.step(title, agree(world, &mut browser, &text)).await?;
    let title = "She signs in there, chooses her accounts, and comes back";
    let done = screen.step(title, decide(world, &mut browser, &login, psu)).await?;
    Ok(Connected { browser, done, consent: consent.id })
}

async fn ask(world: &World, psu: &Psu) -> anyhow::Result<((Consent, url::Url), String)> {
    let bank = &world.books.institution;
    let (consent, link) = world.product.ask(&reference(psu), bank, PURPOSE, &world.return_url()).await?;
    ensure!(consent.state == "initiated", "a consent that nobody has seen yet is {}", consent.state);
    let facts = format!("{} is initiated; the link works once and ends in 24 hours", consent.id);
    Ok(((consent, link), facts))
}

async fn read_text(
    world: &World,
    browser: &mut Browser,
    link: &url::Url,
    consent: &Consent,
) -> anyhow::Result<(Page, String)> {
    let landing = browser.open(link).await?;
    ensure!(landing.status == StatusCode::OK, "the link leads to “{}”", landing.heading());
    let untouched = world.product.consent(&consent.id).await?.state;
    ensure!(untouched == "initiated", "looking at a link has made the consent {untouched}");
    let text = browser.submit(&landing, &landing.form(&[])?, &[]).await?;
    text.form(&["acknowledged"])?;
    let facts =
        format!("“{}”, then “{}” in {}", landing.heading(), text.heading(), many(text.count("section"), "clause"));
    Ok((text, facts))
}

async fn agree(world: &World, browser: &mut Browser, text: &Page) -> anyhow::Result<(Page, String)> {
    let login = browser.submit(text, &text.form(&["acknowledged"])?, &[("acknowledged", "yes")]).await?;
    let at_bank = login.url.as_str().starts_with(&world.bank.front_base);
    ensure!(at_bank, "the way to the bank ended at “{}”", login.heading());
    let authorize = login.through.first().context("no redirect to the bank")?;
    let mut names: Vec<_> = authorize.query_pairs().map(|(name, _)| name.into_owned()).collect();
    names.sort_unstable();
    ensure!(names == ["client_id", "request_uri"], "the browser carried {names:?}");
    ensure!(said(world, "request.pushed"), "the bank does not know of a pushed request");
    let facts = format!(
        "The signed request went ahead over mutual TLS (PAR, JAR, PKCE); her browser carries a one-time reference to it to {}",
        world.bank.front_base
    );
    Ok((login, facts))
}

async fn decide(world: &World, browser: &mut Browser, login: &Page, psu: &Psu) -> anyhow::Result<(Page, String)> {
    let form = login.form(&["username", "password"])?;
    let answers = [("username", psu.username.as_str()), ("password", &psu.password), ("decision", "sign_in")];
    let choice = browser.submit(login, &form, &answers).await?;
    let form = choice.form(&["account", "decision"])?;
    let accounts = form.controls.iter().filter(|control| control.name == "account").count();
    let done = browser.submit(&choice, &form, &[("decision", "approve")]).await?;
    let home = done.url.origin() == world.base.origin() && done.status == StatusCode::OK;
    ensure!(home && done.link("/my").is_ok(), "the way back from the bank ended at “{}”", done.heading());
    for event in ["authorize.approved", "token.issued"] {
        ensure!(said(world, event), "the bank's log does not say {event}");
    }
    let facts = format!(
        "{}; state, issuer and browser matched, and the code became a token that is bound to our certificate",
        many(accounts, "account")
    );
    Ok((done, facts))
}

async fn gather(screen: Screen, world: &World, psu: &Psu, person: &Connected) -> anyhow::Result<Harvest> {
    let title = "Accounts, balances and transactions are fetched, normalised, sealed and stored";
    screen.step(title, fetched(world, &person.consent)).await?;
    screen.step(&format!("{PRODUCT} reads them in one schema"), read_all(world, psu, &person.consent)).await
}

async fn fetched(world: &World, consent: &str) -> anyhow::Result<((), String)> {
    let active = eventually("the first fetch", async || {
        let consent = world.product.consent(consent).await?;
        ensure!(matches!(consent.state.as_str(), "authorized" | "active"), "the consent is {}", consent.state);
        Ok((consent.state == "active").then_some(consent))
    });
    let due = active.await?.sca_due_at.context("an active consent does not say when the person must come back")?;
    Ok(((), format!("The consent is active until its person must sign in again: {}", day_of(due)?)))
}

/// Everything under a consent, held against the bank's books.
async fn read_all(world: &World, psu: &Psu, consent: &str) -> anyhow::Result<(Harvest, String)> {
    let (mut accounts, mut pages) = (Vec::new(), 0);
    for account in world.product.accounts(consent).await? {
        let balances = world.product.balances(&account.id).await?;
        let (transactions, read) = world.product.transactions(&account.id).await?;
        pages += read;
        let shown = Shown { account, balances, transactions };
        compare(&shown, psu, world.today()?)?;
        accounts.push(shown);
    }
    ensure!(accounts.len() == psu.accounts.len(), "{} of {} accounts", accounts.len(), psu.accounts.len());
    let harvest = Harvest { accounts };
    let balances: usize = harvest.accounts.iter().map(|shown| shown.balances.len()).sum();
    let facts = format!(
        "{}, {}, {} in {}: every row that the bank has in its books, each once",
        many(harvest.accounts.len(), "account"),
        many(balances, "balance"),
        many(harvest.transactions().count(), "transaction"),
        many(pages, "page"),
    );
    Ok((harvest, facts))
}

/// Row by row: day of booking and amount of everything booked, amount of everything pending, and the closing balance.
fn compare(shown: &Shown, psu: &Psu, today: Date) -> anyhow::Result<()> {
    let iban = shown.account.iban.as_deref().context("an account without number")?;
    let account = psu.accounts.iter().find(|account| account.iban == iban).context("an account of somebody else")?;
    let booked = account.booked(today, Date::MIN, today).into_iter().map(|row| (Some(row.booked), row));
    let pending = account.pending(today).into_iter().map(|row| (None, row));
    let mut wanted: Vec<_> = booked.chain(pending).map(|(day, row)| (day, row.money.to_plain_string())).collect();
    let day = |row: &Transaction| row.booking_date.filter(|_| row.status == "booked");
    let mut found: Vec<_> = shown.transactions.iter().map(|row| (day(row), row.amount.amount.clone())).collect();
    wanted.sort_unstable();
    found.sort_unstable();
    ensure!(found == wanted, "{} rows are not the {} of the bank's books", found.len(), wanted.len());
    let closing = account.balances(today).booked.to_plain_string();
    let told =
        shown.balances.iter().any(|balance| balance.kind == "closingBooked" && balance.balance.amount == closing);
    ensure!(told, "the closing balance is not the bank's");
    ensure!(shown.transactions.iter().all(|row| !row.provenance.is_empty()), "a row does not say where it came from");
    Ok(())
}

/// Everything that the first visit took, in one go.
async fn whole_visit(world: &World, psu: &Psu) -> anyhow::Result<((Connected, Harvest), String)> {
    let ((consent, link), _) = ask(world, psu).await?;
    let mut browser = Browser::new(world.visitor()?);
    let (text, _) = read_text(world, &mut browser, &link, &consent).await?;
    let (login, _) = agree(world, &mut browser, &text).await?;
    let (done, _) = decide(world, &mut browser, &login, psu).await?;
    fetched(world, &consent.id).await?;
    let (harvest, facts) = read_all(world, psu, &consent.id).await?;
    Ok(((Connected { browser, done, consent: consent.id }, harvest), facts))
}

async fn stop(
    screen: Screen,
    world: &World,
    person: &mut Connected,
    harvest: &Harvest,
    token: &StolenToken,
) -> anyhow::Result<Revocation> {
    let title = format!("On her own page Mara ends what she shares; {PRODUCT} sees nothing from then on");
    screen.step(&title, withdraw(world, person, harvest)).await?;
    screen.step("The bank is told and confirms", tell_bank(world, &person.consent, token)).await
}

async fn withdraw(world: &World, person: &mut Connected, harvest: &Harvest) -> anyhow::Result<((), String)> {
    let mine = person.browser.open(&person.done.link("/my")?).await?;
    let form = mine.form_to(&format!("/my/stop/{}", person.consent))?;
    let stopped = person.browser.submit(&mine, &form, &[]).await?;
    let consent = world.product.consent(&person.consent).await?;
    let (state, reason) = (consent.state, consent.reason.unwrap_or_default());
    ensure!(state == "revoked" && reason == "psu", "after “{}” the consent is {state} ({reason})", stopped.heading());
    ensure!(world.product.accounts(&person.consent).await?.is_empty(), "accounts are still listed");
    for shown in &harvest.accounts {
        for what in ["", "/balances", "/transactions"] {
            let status = world.product.get(&format!("/v1/accounts/{}{what}", shown.account.id)).await?.status;
            ensure!(status == StatusCode::NOT_FOUND, "a read after the end was answered with {status}");
        }
    }
    let facts = format!("“{}”; {} are answered with 404", stopped.heading(), many(3 * harvest.accounts.len(), "read"));
    Ok(((), facts))
}

async fn tell_bank(world: &World, consent: &str, token: &StolenToken) -> anyhow::Result<(Revocation, String)> {
    let confirmed = eventually("the bank's confirmation", async || {
        let revocation = world.product.withdraw(consent).await?;
        Ok((revocation.bank == "confirmed").then_some(revocation))
    });
    let revocation = confirmed.await?;
    ensure!(said(world, "consent.terminated"), "the bank's log knows of no end");
    let status = thieves::present(world, token, &world.with_our_certificate()?).await?;
    ensure!(status == StatusCode::UNAUTHORIZED, "the bank still answers with {status}");
    let facts = format!("Her old token, with our own certificate: 401, {}", thieves::refusal(world));
    Ok((revocation, facts))
}

async fn prove(screen: Screen, world: &World, revocation: &Revocation, harvest: &Harvest) -> anyhow::Result<Proof> {
    let title = "Her rows are erased, their keys deleted, a receipt is signed and logged";
    let proof = screen.step(title, erased(world, revocation, harvest)).await?;
    screen.step("A separate command verifies the receipt, offline", proof::check(&proof)).await?;
    Ok(proof)
}

async fn erased(world: &World, revocation: &Revocation, harvest: &Harvest) -> anyhow::Result<(Proof, String)> {
    let answered = |proof: &Proof| proof.bank_answer().is_some();
    let proof =
        eventually("the receipt", async || Ok(proof::fetch(world, revocation, "receipt").await?.filter(answered)));
    let proof = proof.await?;
    let (rows, tables) = proof.erased();
    let receipt = &proof.receipt;
    let counted = receipt.erased_rows.get("transaction").copied().unwrap_or(0);
    let wanted = harvest.transactions().count() as u64;
    ensure!(counted == wanted, "{counted} transactions were erased of {wanted}");
    ensure!(receipt.accounts.len() == harvest.accounts.len(), "{} data keys were deleted", receipt.accounts.len());
    let unfit = proof.after_the_end();
    ensure!(unfit.is_empty(), "after the end the log has {}", unfit.join(", "));
    let left = left_behind(world, receipt).await?;
    ensure!(left == 0, "{left} rows were left behind");
    let facts = format!(
        "{} rows of {}, then a scan that finds none left; {}",
        number(rows),
        many(tables, "table"),
        many(receipt.accounts.len(), "data key")
    );
    Ok((proof, facts))
}

/// Rows of the consent and its accounts in every table of the data map.
async fn left_behind(world: &World, receipt: &Receipt) -> anyhow::Result<i64> {
    let mut tx = world.app.store.tenant_tx(world.app.tenant.id).await?;
    let accounts = receipt.accounts.iter().map(|erased| Subject::Line(erased.account));
    let mut left = 0;
    for subject in accounts.chain([Subject::Consent(receipt.consent)]) {
        left += data_map::scan(&mut tx, subject).await?.values().sum::<i64>();
    }
    Ok(left)
}

async fn after_eight_days(world: &World, revocation: &Revocation) -> anyhow::Result<(Proof, String)> {
    pass(world, DAYS_TO_DESTRUCTION);
    let gone = |proof: &Proof| proof.report.is_unreadable_everywhere(&proof.receipt);
    let proof = eventually("the destruction of the epoch key", async || {
        Ok(proof::fetch(world, revocation, "receipt-day-8").await?.filter(gone))
    });
    let proof = proof.await?;
    proof::check(&proof).await?;
    let epochs = proof.report.epochs.iter().map(|(_, gone)| gone.epoch.to_string()).collect::<Vec<_>>();
    let facts = format!(
        "It is {}. The key of epoch {}, which could still open old copies, is destroyed; the bundle proves it",
        day_of(world.clock.now())?,
        epochs.join(", ")
    );
    Ok((proof, facts))
}

/// His data after days on which only the schedule asked: again what the bank has in its books.
async fn without_him(
    world: &World,
    psu: &Psu,
    person: &Connected,
    before: &Harvest,
) -> anyhow::Result<(Harvest, String)> {
    let today = world.today()?;
    eventually("the scheduled fetch", async || {
        let accounts = world.product.accounts(&person.consent).await?;
        let fresh = |account: &Account| account.freshness.complete_until.is_some_and(|until| until >= today);
        Ok(accounts.iter().all(fresh).then_some(()))
    })
    .await?;
    let (harvest, _) = read_all(world, psu, &person.consent).await?;
    let (old, new) = (before.transactions().count(), harvest.transactions().count());
    ensure!(new > old, "after eight days there are {new} rows, and {old} before");
    let facts = format!(
        "{} more, {} now: again every row of the bank's books, each once, read under keys that were wrapped anew",
        many(new - old, "row"),
        number(new as u64)
    );
    Ok((harvest, facts))
}

async fn after_ninety_days(world: &World, person: &Connected, harvest: &Harvest) -> anyhow::Result<(Date, String)> {
    let due = world.product.consent(&person.consent).await?.sca_due_at.context("no day to sign in again")?;
    let days = due.duration_since(world.clock.now()).as_hours() / 24 + 1;
    pass(world, u32::try_from(days).context("a sign-in that was due long ago")?);
    eventually("the consent's clock", async || {
        Ok((world.product.consent(&person.consent).await?.state == "reauth_pending").then_some(()))
    })
    .await?;
    // Ninety days at once: the keys of the old days are exchanged just now, and whoever reads meanwhile is told to ask again.
    let again = async || Ok(still_there(world, &person.consent, harvest).await.ok());
    let accounts = eventually("the data of the person", again).await?;
    let told = accounts.iter().all(|account| {
        let freshness = &account.freshness;
        freshness.consent_state == "reauth_pending" && freshness.stale_because.is_some()
    });
    ensure!(told, "the accounts do not say why they are not fresher");
    let due = date_of(due)?;
    let facts = format!(
        "It is {}. The sign-in fell due, the consent is reauth_pending, and every account says so beside its data",
        words(due)
    );
    Ok((due, facts))
}

/// A person's data read again: as many as before.
async fn still_there(world: &World, consent: &str, before: &Harvest) -> anyhow::Result<Vec<Account>> {
    let accounts = world.product.accounts(consent).await?;
    let mut rows = 0;
    for account in &accounts {
        rows += world.product.transactions(&account.id).await?.0.len();
    }
    let wanted = before.transactions().count();
    ensure!(rows == wanted, "{rows} of {wanted} rows can be read");
    Ok(accounts)
}

/// Lets days pass and rings for those who wait for them.
fn pass(world: &World, days: u32) {
    world.clock.pass_days(days);
    world.app.work.notify_waiters();
}

/// Looks until there is something to see.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        ensure!(begun.elapsed() < PATIENCE, "{what} did not come within {} s", PATIENCE.as_secs());
        sleep(PAUSE).await;
    }
}

/// Whether the bank has noted something.
fn said(world: &World, code: &str) -> bool {
    world.bank.log().iter().any(|line| !line.refused && line.code == code)
}

/// The product's own name for a person.
fn reference(psu: &Psu) -> String {
    format!("user-of-{}", psu.username)
}

/// The name that friends use.
pub(super) fn first_name(psu: &Psu) -> &str {
    psu.name.split(' ').next().unwrap_or_default()
}

fn date_of(at: jiff::Timestamp) -> anyhow::Result<Date> {
    Ok(at.to_zoned(jiff::tz::TimeZone::get("Europe/Berlin")?).date())
}

fn day_of(at: jiff::Timestamp) -> anyhow::Result<String> {
    Ok(words(date_of(at)?))
}

/// A day as people write it.
pub(super) fn words(day: Date) -> String {
    day.strftime("%-d %B %Y").to_string()
}
