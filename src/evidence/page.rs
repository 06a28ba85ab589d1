//! The readable page: what a verified bundle shows, for somebody who opens files and no terminals. One file without script
//! and without anything from elsewhere.

use std::fmt;

use askama::Template;
use serde_json::Value;

use crate::receipt::{BankAnswer, BankOutcome, Receipt, Scope};
use crate::report::{Line, Report};
use crate::statement::Statement;

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    report: &'a Report,
    entries: Vec<Row>,
    deletions: Vec<Deletion>,
}

/// One entry of the log.
struct Row {
    index: u64,
    at: String,
    what: String,
    held: bool,
}

/// One erasure, in words.
struct Deletion {
    id: String,
    title: String,
    facts: Vec<(&'static str, String)>,
    tables: Vec<(String, u64)>,
    proven: bool,
}

impl Report {
    /// The page, as HTML that is complete in itself.
    ///
    /// # Errors
    /// Never, but that formatting may say so.
    pub fn to_html(&self) -> Result<String, fmt::Error> {
        let entries = self.lines.iter().map(|line| self.row(line)).collect();
        let deletions = self.receipts().iter().map(|receipt| self.deletion(receipt)).collect();
        Page { report: self, entries, deletions }.render().map_err(|_| fmt::Error)
    }

    fn row(&self, line: &Line) -> Row {
        let held = self.outside.is_some_and(|size| line.index < size);
        let (at, what) = match line.statement() {
            Some(statement) => (statement.at.to_string(), in_words(&statement)),
            None => (String::new(), "What it said is gone: its retention has ended. Its place is proven.".to_owned()),
        };
        Row { index: line.index, at, what, held }
    }

    fn deletion(&self, receipt: &Receipt) -> Deletion {
        let scope = match receipt.scope {
            Scope::Consent => "The whole consent was erased",
            Scope::Account => "One account of the consent was erased",
        };
        let mut facts = vec![
            ("Nothing served since", receipt.stopped_at.to_string()),
            ("Last row erased", receipt.erased_at.to_string()),
            ("Data keys deleted", receipt.key_deleted_at.to_string()),
            ("Unreadable everywhere after", receipt.unreadable_everywhere_after.to_string()),
        ];
        facts.extend(receipt.blocked_until.map(|until| ("Kept by a legal hold until", until.to_string())));
        facts.extend(receipt.retention.map(|kept| ("Until the erasure", kept.in_words().to_owned())));
        facts.extend(receipt.intermediary.as_ref().map(|name| {
            (
                "Not proven",
                format!("what {name} keeps, through which the data came: only it can say that they are gone"),
            )
        }));
        for erased in &receipt.accounts {
            let visible = &erased.visible_in_backups;
            facts.push(("Old backups still show", format!("{} sealed rows of {}", visible.rows, erased.account)));
        }
        for kept in &receipt.kept_accounts {
            facts.push(("Kept", format!("{kept}, because another consent stands on it")));
        }
        for answer in self.bodies::<BankAnswer>().filter(|answer| answer.deletion == receipt.deletion) {
            let said = match answer.outcome {
                BankOutcome::Confirmed => "confirmed that the consent has ended",
                BankOutcome::Unconfirmed => "has not confirmed that the consent has ended",
            };
            facts.push(("The bank", format!("{said}, {} ({})", answer.answered_at, answer.basis)));
        }
        let product = match (self.acknowledgement(receipt), self.unacknowledged(receipt)) {
            (Some(done), _) => format!("deleted its copies, it says: {}", done.acknowledged_at),
            (None, Some(at)) => {
                format!("has not confirmed that it deleted its copies; reminded for the last time {at}")
            }
            (None, None) => "has not said yet that it deleted its copies".to_owned(),
        };
        facts.push(("The product", product));
        Deletion {
            id: receipt.deletion.to_string(),
            title: format!("{scope}, because {}", receipt.trigger.in_words()),
            facts,
            tables: receipt.erased_rows.iter().map(|(table, rows)| (table.clone(), *rows)).collect(),
            proven: self.is_unreadable_everywhere(receipt),
        }
    }
}

/// An entry as a sentence; of a kind that is not known here, the kind.
fn in_words(statement: &Statement) -> String {
    let word = |name: &str| statement.body.get(name).and_then(Value::as_str).unwrap_or("—").replace('_', " ");
    let number = |name: &str| statement.body.get(name).and_then(Value::as_i64).unwrap_or_default();
    match statement.kind.as_str() {
        "consent.created" => "A product asked for the consent.".to_owned(),
        "consent.accepted" => "The person read the text and agreed.".to_owned(),
        "consent.moved" => format!("The consent went from {} to {} ({}).", word("from"), word("to"), word("event")),
        "consent.renewed" => "The consent was renewed.".to_owned(),
        "data.shown_to_staff" => {
            format!("Somebody who works for the operator saw {} rows, because: {}", number("rows"), word("reason"))
        }
        "account.removed" => format!("The account {} was taken out.", word("account")),
        "bank.call" => format!("The bank was called: {}, {}: {}.", word("operation"), word("basis"), word("outcome")),
        "bank.outcome_unknown" => "A call to the bank had no answer; what it did is not known.".to_owned(),
        "fetch.begun" => format!("A reading of the accounts began ({}).", word("basis")),
        "data.fetched" => {
            format!("Data came from the bank: {} accounts, {} new rows.", number("accounts"), number("rows_new"))
        }
        "data.disclosed" => {
            format!("Data were read: {}, {} rows of {}.", word("what"), number("rows"), word("account"))
        }
        "data.refresh_asked" => format!("The product asked for fresher data ({}).", word("basis")),
        "data.refused" => format!("A read was refused: {}.", word("because")),
        "notice.requested" => format!("The person was owed a notice in writing ({}).", word("notice_kind")),
        "person.erasure_requested" => "The person asked to be erased.".to_owned(),
        "person.restriction_requested" => "The person asked that their data be kept and not used.".to_owned(),
        "person.restriction_lifted" => "The person lets their data be used again.".to_owned(),
        "hold.asked" => "Somebody asked for a legal hold on the data.".to_owned(),
        "hold.placed" => "A second person confirmed: the law wants the data kept. Nobody reads them.".to_owned(),
        "hold.lift_asked" => "Somebody asked for the end of the legal hold.".to_owned(),
        "hold.lifted" => "A second person confirmed: the legal hold is over.".to_owned(),
        "hold.taken_back" => "What was asked about the legal hold was taken back.".to_owned(),
        "bank.status_unknown" => format!("The bank gave the consent a status that is not known: {}.", word("status")),
        "deletion.blocked" => "An erasure is owed; a legal hold keeps it from running.".to_owned(),
        "deletion.unblocked" => "The legal hold is over: the erasure runs.".to_owned(),
        "deletion.begun" => format!("An erasure began ({}).", word("trigger")),
        "deletion.receipt" => "The receipt of an erasure was signed.".to_owned(),
        "deletion.bank_answer" => format!("The bank was told of the end: {}.", word("outcome")),
        "deletion.acknowledged" => "The product confirmed that its own copies are gone.".to_owned(),
        "deletion.unacknowledged" => "The product has not confirmed, and was reminded for the last time.".to_owned(),
        kind => kind.to_owned(),
    }
}
