//! The end of the show: the board, and what to do next.

use std::path::Path;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;

use super::journey::{Harvest, Story, first_name, words};
use super::product::Transaction;
use super::proof::Proof;
use super::screen::{Board, Screen, Style, columns, cut, many, number};
use super::world::{BANK, PRODUCT, PURPOSE, World};

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
    let named = all().filter(|row| row.counterparty.is_some()).count();
    let doubtful = all().filter(|row| !row.issues.is_empty()).count();
    let doubts =
        if doubtful == 0 { "no doubts".to_owned() } else { format!("{} with a doubt noted", number(doubtful as u64)) };
    let text =
        format!("all of them, every field with its origin; {} name the other side; {doubts}", number(named as u64));
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
        let after = answer.answered_at.duration_since(receipt.stopped_at);
        format!("the bank confirmed {:.1} s later", after.as_secs_f64().max(0.0))
    });
    board.entry("revoked", &format!("{moment}, by Mara; nothing was read, stored or served after it; {bank}"));
    let (rows, _) = first.erased();
    let tables: Vec<_> = receipt.erased_rows.iter().filter(|(_, rows)| **rows > 0).collect();
    let tables: Vec<_> = tables.iter().map(|(table, rows)| format!("{} {table}", number(**rows))).collect();
    board.entry("erased", &format!("{} rows: {}", number(rows), tables.join(" · ")));
    let gone =
        second.report.epochs.last().map(|(_, gone)| words(gone.destroyed_at.to_zoned(jiff::tz::TimeZone::UTC).date()));
    let gone = gone.unwrap_or_default();
    let keys = many(receipt.accounts.len(), "data key");
    board.entry("keys", &format!("{keys} deleted; the epoch key behind them destroyed on {gone}: no backup opens"));
    board.entry(
        "proof",
        "receipt verified offline by a separate command; one digit changed: refused; another key: refused",
    );
    board.entry("bank calls", &calls(second));
    let rows = many(story.jonas.transactions().count(), "row");
    board.entry("untouched", &format!("Jonas's {rows}; he is asked back to his bank since {}", words(story.due)));
}

/// Calls by the ground on which they were made.
fn calls(proof: &Proof) -> String {
    let calls = proof.calls();
    let on = |basis: &str| number(calls.get(basis).copied().unwrap_or(0) as u64);
    format!(
        "for Mara: {} while she was there, {} without her, {} to end it; each is in the log",
        on("psu_present"),
        on("unattended"),
        on("revocation")
    )
}

/// How to check the receipt by hand.
pub(super) fn verification(screen: Screen, proof: &Proof, kept: bool) -> anyhow::Result<String> {
    let here = std::env::current_dir()?;
    let near = |path: &Path| path.strip_prefix(&here).unwrap_or(path).display().to_string();
    let program = near(&std::env::current_exe().context("this program's own file")?);
    let command = format!("{program} evidence verify {} --key {}", near(&proof.file), near(&proof.keys));
    let title = if kept {
        "Check the receipt yourself:"
    } else {
        "How the receipt was checked (keep the files with --data DIR):"
    };
    Ok(format!("\n  {}\n    {command}", screen.paint(Style::Dim, title)))
}

/// What a person can open and try while the demo stays up.
///
/// # Errors
/// The server no longer gives a link.
pub(super) async fn invitation(screen: Screen, world: &World) -> anyhow::Result<String> {
    let (_, link) = world.product.ask("user-of-yours", BANK, PURPOSE, &world.return_url()).await?;
    let (base, key) = (&world.base, world.product.key().expose_secret());
    let heading = |text: &str| format!("\n  {}\n", screen.paint(Style::Bold, text));
    let mut text = heading("Now you");
    let entry = |label: &str, what: &str| format!("    {}{what}\n", screen.paint(Style::Dim, &format!("{label:14}")));
    text += &entry("be a person", screen.paint(Style::River, link.as_str()).as_str());
    for psu in &world.books.psus {
        text += &entry("", &format!("sign in as {} with {} ({})", psu.username, psu.password, first_name(psu)));
    }
    text += &entry("what you share", &format!("{base}my, in the same browser, afterwards"));
    text += &entry("the API", &format!("{base}docs/"));
    text += &entry("its health", &format!("{base}healthz and {base}metrics"));
    text += &entry("its log", &world.folder.join("server.log").display().to_string());
    text += &heading(&format!("Or be {PRODUCT}"));
    text += &format!("    KEY={key}\n");
    for path in ["v1/institutions", "v1/consents", "v1/accounts"] {
        text += &format!("    curl -sH \"Authorization: Bearer $KEY\" {base}{path}\n");
    }
    text += &format!("    curl -sH \"Authorization: Bearer $KEY\" {base}v1/accounts/ACCOUNT/transactions?limit=3\n");
    let today = words(world.today()?);
    text += &format!("\n  The demo's calendar stands at {today}. Everything is in {}.\n", world.folder.display());
    text += &format!("  {}", screen.paint(Style::Dim, "Ctrl-C ends it."));
    Ok(text)
}
