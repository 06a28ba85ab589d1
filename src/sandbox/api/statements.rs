//! Lists of transactions as account statements: camt.052.001.02 and MT940, with opening and closing balance.

use std::fmt::Write as _;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use domain::money::Money;
use jiff::civil::Date;

use crate::config::ListForm;
use crate::data::{Account, Row};

/// Characters of a subfield of field 86, and its numbers for remittance, in order.
const SUBFIELD_CHARS: usize = 27;
const REMITTANCE: [&str; 14] = ["20", "21", "22", "23", "24", "25", "26", "27", "28", "29", "60", "61", "62", "63"];
/// Characters of a line of field 86.
const LINE_CHARS: usize = 65;

/// The statement of the days `span`, which reaches to `today`.
pub(super) fn of(form: ListForm, account: &Account, today: Date, span: (Date, Date), with_pending: bool) -> Response {
    let mut booked = account.booked(today, span.0, span.1);
    booked.reverse();
    let closing = account.balances(today).booked;
    let opening = booked.iter().fold(closing, |sum, row| sum.plus(&negated(&row.money)).unwrap_or(sum));
    let pending = if with_pending { account.pending(today) } else { Vec::new() };
    let body = match form {
        ListForm::Mt940 => latin_1(&mt940(account, &booked, (opening, span.0), (closing, today))),
        ListForm::Json | ListForm::Camt => camt(account, &booked, &pending, opening, closing).into_bytes(),
    };
    ([(header::CONTENT_TYPE, form.media_type())], body).into_response()
}

fn negated(money: &Money) -> Money {
    Money::new(-money.amount(), money.currency())
}

fn is_debit(money: &Money) -> bool {
    money.amount().is_sign_negative()
}

fn unsigned(money: &Money) -> String {
    money.to_plain_string().trim_start_matches('-').to_owned()
}

fn latin_1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'.')).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn camt(account: &Account, booked: &[&Row], pending: &[&Row], opening: Money, closing: Money) -> String {
    let balance = |code: &str, money: &Money| {
        format!("<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>{}</Bal>", amount(money))
    };
    // Newest first, as banks list them.
    let rows = pending.iter().map(|row| entry(row, "PDNG")).chain(booked.iter().rev().map(|row| entry(row, "BOOK")));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.052.001.02\"><BkToCstmrAcctRpt><GrpHdr><MsgId>1</MsgId>\
         <MsgPgntn><PgNb>1</PgNb><LastPgInd>true</LastPgInd></MsgPgntn></GrpHdr><Rpt><Id>1</Id>\
         <Acct><Id><IBAN>{}</IBAN></Id></Acct>{}{}\n{}</Rpt></BkToCstmrAcctRpt></Document>\n",
        account.iban,
        balance("OPBD", &opening),
        balance("CLBD", &closing),
        rows.collect::<String>(),
    )
}

fn amount(money: &Money) -> String {
    let side = if is_debit(money) { "DBIT" } else { "CRDT" };
    format!("<Amt Ccy=\"{}\">{}</Amt><CdtDbtInd>{side}</CdtDbtInd>", money.currency().code(), unsigned(money))
}

fn entry(row: &Row, status: &str) -> String {
    let text = |name: &str, text: Option<&str>| {
        text.map(|text| format!("<{name}>{}</{name}>", escaped(text))).unwrap_or_default()
    };
    let day = |name: &str, day: Date| format!("<{name}><Dt>{day}</Dt></{name}>");
    let booking = if status == "BOOK" { day("BookgDt", row.booked) } else { String::new() };
    let own = if status == "BOOK" {
        format!("<Prtry><Tp>FI-UMSATZ-ID</Tp><Ref>{}</Ref></Prtry>", row.transaction_id)
    } else {
        String::new()
    };
    let side = if is_debit(&row.money) { "Cdtr" } else { "Dbtr" };
    let creditor = row.creditor_id.as_deref().filter(|_| side == "Cdtr");
    let creditor = creditor.map(|id| format!("<Id><PrvtId><Othr><Id>{id}</Id></Othr></PrvtId></Id>"));
    let party = row
        .counterparty
        .as_deref()
        .map(|name| format!("<{side}><Nm>{}</Nm>{}</{side}>", escaped(name), creditor.unwrap_or_default()));
    let iban = row.counterparty_iban.as_deref();
    let number = iban.map(|iban| format!("<{side}Acct><Id><IBAN>{iban}</IBAN></Id></{side}Acct>"));
    format!(
        "<Ntry>{}<Sts>{status}</Sts>{booking}{}<AcctSvcrRef>NONREF</AcctSvcrRef><BkTxCd><Prtry><Cd>{}</Cd></Prtry></BkTxCd>\
         <NtryDtls><TxDtls><Refs>{}{}{own}</Refs><RltdPties>{}{}</RltdPties><RmtInf>{}</RmtInf>{}</TxDtls></NtryDtls></Ntry>\n",
        amount(&row.money),
        day("ValDt", row.booked),
        row.proprietary_code,
        text("EndToEndId", row.end_to_end_id.as_deref()),
        text("MndtId", row.mandate_id.as_deref()),
        party.unwrap_or_default(),
        number.unwrap_or_default(),
        text("Ustrd", Some(&row.remittance)),
        row.purpose_code.map(|code| format!("<Purp><Cd>{code}</Cd></Purp>")).unwrap_or_default(),
    )
}

fn mt940(account: &Account, booked: &[&Row], opening: (Money, Date), closing: (Money, Date)) -> String {
    let balance = |(money, day): (Money, Date)| {
        let mark = if is_debit(&money) { 'D' } else { 'C' };
        format!("{mark}{}{}{}", six(day), money.currency().code(), number(&money))
    };
    let mut text = format!("\r\n:20:STARTUMS\r\n:25:{}\r\n:28C:1/1\r\n:60F:{}\r\n", account.iban, balance(opening));
    for row in booked {
        let mark = if is_debit(&row.money) { 'D' } else { 'C' };
        let kind = row.proprietary_code.split('+').next().unwrap_or("NMSC");
        let day = six(row.booked);
        // Writing to a String cannot fail.
        let _ =
            write!(text, ":61:{day}{}{mark}R{}{kind}NONREF//{}\r\n", &day[2..], number(&row.money), row.transaction_id);
        let information: Vec<char> = format!(":86:{}", information(row)).chars().collect();
        for line in information.chunks(LINE_CHARS) {
            text.extend(line.iter());
            text.push_str("\r\n");
        }
    }
    let _ = write!(text, ":62F:{}\r\n-\r\n", balance(closing));
    text
}

/// A day as `YYMMDD`.
fn six(day: Date) -> String {
    day.strftime("%y%m%d").to_string()
}

/// A number with the comma that must be there.
fn number(money: &Money) -> String {
    let plain = unsigned(money);
    if plain.contains('.') { plain.replace('.', ",") } else { format!("{plain},") }
}

/// The structured field 86.
fn information(row: &Row) -> String {
    let cut = |text: &str| {
        let chars: Vec<char> = text.replace('?', ".").chars().collect();
        chars.chunks(SUBFIELD_CHARS).map(String::from_iter).collect::<Vec<_>>()
    };
    let tagged = |word: &str, text: Option<&str>| text.map_or_else(Vec::new, |text| cut(&format!("{word}+{text}")));
    let lines = [
        tagged("EREF", row.end_to_end_id.as_deref()),
        tagged("MREF", row.mandate_id.as_deref()),
        tagged("CRED", row.creditor_id.as_deref()),
        tagged("SVWZ", Some(&row.remittance)),
    ];
    let code = row.proprietary_code.split('+').nth(1).unwrap_or("999");
    let mut text = format!("{code}?00UMSATZ");
    for (subfield, line) in REMITTANCE.iter().zip(lines.concat()) {
        let _ = write!(text, "?{subfield}{line}");
    }
    if let Some(iban) = &row.counterparty_iban {
        let _ = write!(text, "?31{iban}");
    }
    for (subfield, line) in ["32", "33"].iter().zip(row.counterparty.as_deref().map(cut).unwrap_or_default()) {
        let _ = write!(text, "?{subfield}{line}");
    }
    text
}
