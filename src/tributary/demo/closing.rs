//! The end of the show: the board, and what to do next.

use std::path::Path;

use anyhow::Context as _;
use jiff::tz::TimeZone;
use secrecy::ExposeSecret as _;

use super::journey::{Harvest, Story, first_name, words};
use super::product::Transaction;
use super::proof::Proof;
use super::screen::{Board, Screen, Style, columns, cut, many, number};
use super::world::{PRODUCT, PURPOSE, World};

/// Transactions on the board.
const NEWEST: usize = 6;
/// Columns of the other side's name, and of an amount.
const NAME: usize = 30;
const AMOUNT: usize = 14;

/// The board.
pub(super) fn board(screen: Screen, world: &World, story: &Story) -> String {
    let mut board = Board::default();
    let (left, right) = ("Many streams, one river", "everybody and every number here is invented");
    let gap = " ".repeat(Board::INSIDE.saturating_sub(columns(left) + columns(right)));
    board.line([(Style::Bold, left.to_owned()), (Style::Dim, format!("{gap}{right}"))]);
    board.blank();
    data(&mut board, world, story);
    board.blank();
    board.line([(Style::Dim, format!("The newest of Mara's household account, as {PRODUCT} saw them"))]);
    for row in newest(&story.mara) {
        transaction(&mut board, row);
    }
    board.blank();
    end(&mut board, story);
    board.drawn(screen)
}

fn data(board: &mut Board, world: &World, story: &Story) {
    let people: Vec<_> = world.books.psus.iter().map(|psu| psu.name.as_str()).collect();
    let accounts = story.mara.accounts.len() + story.jonas.accounts.len();
    let text = format!("{} with {} at {}", people.join(" and "), many(accounts, "account"), world.books.name);
    board.entry("connected", &text);
    let all = || story.mara.transactions().chain(story.jonas.transactions());
    let rows = all().count();
    board.entry("fetched", &format!("{}: every row of the bank's books, each once", many(rows, "transaction")));
    let noted = all().filter(|row| !row.issues.is_empty()).count();
    let text = format!("into one schema; every field says where it came from; {} carry a note", many(noted, "row"));
    board.entry("normalised", &text);
}

/// The latest booked rows of the first account.
fn newest(harvest: &Harvest) -> impl Iterator<Item = &Transaction> {
    let rows = harvest.accounts.iter().max_by_key(|shown| shown.transactions.len());
    rows.into_iter().flat_map(|shown| &shown.transactions).filter(|row| row.status == "booked").take(NEWEST)
}

fn transaction(board: &mut Board, row: &Transaction) {
    let day = row.booking_date.map(|day| day.to_string()).unwrap_or_default();
    let name = cut(row.counterparty.as_deref().unwrap_or("(nobody named)"), NAME);
    let amount = format!("{} {}", row.amount.amount, row.amount.currency);
    let room = Board::INSIDE - 12 - NAME - 2 - AMOUNT - 2;
    let text = cut(row.description.as_deref().unwrap_or(""), room);
    let style = if row.amount.amount.starts_with('-') { Style::Plain } else { Style::Good };
    board.line([
        (Style::Dim, format!("{day:12}")),
        (Style::Plain, format!("{name:NAME$}  ")),
        (Style::Dim, format!("{text:room$}  ")),
        (style, format!("{amount:>AMOUNT$}")),
    ]);
}

fn end(board: &mut Board, story: &Story) {
    let [first, second] = &story.proofs;
    let receipt = &first.receipt;
    let moment = receipt.stopped_at.strftime("%-d %B %Y, %H:%M:%S UTC");
    let bank = first.bank_answer().map_or("the bank's answer is open".to_owned(), |answer| {
        format!("the bank confirmed {:.1} s later", answer.answered_at.duration_since(receipt.stopped_at).as_secs_f64())
    });
    board.entry("revoked", &format!("{moment}, by Mara; {bank}"));
    let (rows, _) = first.erased();
    let tables: Vec<_> = receipt.erased_rows.iter().filter(|(_, rows)| **rows > 0).collect();
    let tables: Vec<_> = tables.iter().map(|(table, rows)| format!("{} {table}", number(**rows))).collect();
    board.entry("erased", &format!("{} rows: {}", number(rows), tables.join(" · ")));
    let gone = second.report.epochs.last().map(|(_, gone)| gone.destroyed_at.to_zoned(TimeZone::UTC).date());
    let gone = gone.map(words).unwrap_or_default();
    let keys = many(receipt.accounts.len(), "data key");
    board.entry("keys", &format!("{keys} deleted; the epoch key behind them destroyed on {gone}"));
    board.entry("proof", "verified offline by a separate command; a changed digit or key: refused");
    board.entry("bank calls", &calls(story));
    let rows = many(story.jonas.transactions().count(), "row");
    let due = words(story.due);
    board.entry("still there", &format!("Jonas's {rows}; he must sign in at his bank again since {due}"));
}

/// Calls by the ground on which they were made.
fn calls(story: &Story) -> String {
    let on = |basis: &str| number(story.calls.get(basis).copied().unwrap_or(0) as u64);
    format!(
        "{} while a person was there, {} without, {} to end a consent; all are logged",
        on("psu_present"),
        on("unattended"),
        on("revocation")
    )
}

/// How to check the receipt by hand, or, where the files go, how it was checked.
///
/// # Errors
/// The system does not say where we are.
pub(super) fn verification(screen: Screen, proof: &Proof, kept: bool) -> anyhow::Result<String> {
    let here = std::env::current_dir()?;
    let near = |path: &Path| path.strip_prefix(&here).unwrap_or(path).display().to_string();
    let program = near(&std::env::current_exe().context("this program's own file")?);
    let title =
        if kept { "Check the receipt yourself:" } else { "How it was checked (keep the files with --data DIR):" };
    let title = screen.paint(Style::Dim, title);
    let (file, keys) = (near(&proof.file), near(&proof.keys));
    Ok(format!("\n  {title}\n    {program} evidence verify \\\n      {file} \\\n      --key {keys}"))
}

/// What a person can open and try while the demo stays up.
///
/// # Errors
/// The server no longer gives a link.
pub(super) async fn invitation(screen: Screen, world: &World) -> anyhow::Result<String> {
    let (_, link) = world.product.ask("user-of-yours", &world.books.institution, PURPOSE, &world.return_url()).await?;
    let (base, key) = (&world.base, world.product.key().expose_secret());
    let heading = |text: &str| format!("\n  {}\n\n", screen.paint(Style::Bold, text));
    let entry = |label: &str, what: &str| format!("    {}{what}\n", screen.paint(Style::Dim, &format!("{label:16}")));
    let mut text = heading("Now you");
    text += &entry("be a person", &screen.paint(Style::River, link.as_str()));
    for psu in &world.books.psus {
        text += &entry("", &format!("at the bank you are {}: {}, {}", first_name(psu), psu.username, psu.password));
    }
    text += &entry("what you share", &format!("{base}my, afterwards, in the same browser"));
    text += &entry("the API", &format!("{base}docs/"));
    text +=
        &entry("how it is", &format!("{base}healthz, {base}metrics, {}", world.folder.join("server.log").display()));
    text += &heading(&format!("Or be {PRODUCT}"));
    let bearer = r#"-H "Authorization: Bearer $KEY""#;
    text += &format!("    KEY={key}\n");
    text += &format!("    curl -s {bearer} {base}v1/accounts\n");
    text += &format!("    curl -s {bearer} '{base}v1/accounts/ACCOUNT/transactions?limit=3'\n");
    text += &format!("    curl -s {bearer} {base}v1/consents \\\n");
    text += &format!("      -d '{{\"psu_ref\": \"somebody\", \"purposes\": [\"{PURPOSE}\"]}}'\n");
    let today = words(world.today()?);
    text += &format!("\n  Here it is {today}. Everything is in {}. Ctrl-C ends it.", world.folder.display());
    Ok(text)
}
