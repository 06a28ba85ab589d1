use domain::limits::ROWS_PER_BANK_PAGE_MAX;
use domain::records::{List, Parsed, Text};
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

const CAMT: &str = include_str!("../../../fixtures/de_sparkasse/rows/01-rows.http");
const MT940: &str = include_str!("../../../fixtures/de_bank_verlag/rows/01-rows.http");

/// The body of a recorded exchange.
fn body(exchange: &str) -> &str {
    exchange.split_once("\nHTTP/1.1 ").unwrap().1.split_once("\n\n").unwrap().1
}

fn document(entries: &str) -> String {
    format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08\"><BkToCstmrStmt><Stmt>{entries}</Stmt></BkToCstmrStmt></Document>"
    )
}

fn entry(amount: &str, side: &str, more: &str) -> String {
    format!(
        "<Ntry><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>\
         <BookgDt><DtTm>2026-03-01T10:00:00</DtTm></BookgDt>{more}</Ntry>"
    )
}

fn message(fields: &str) -> String {
    format!(
        ":20:S\n:25:50010517/1\n:28C:1\n:60F:C260101EUR10,00\n{fields}\n:62F:C260131EUR10,00\n:64:C260131EUR9,00\n:65:C260201EUR9,00\n-"
    )
}

fn statement(text: &str) -> Statement {
    read(text).expect("a statement").expect("one that can be read")
}

fn refused(text: &str) -> String {
    read(text).expect("a statement").err().expect("a refusal").to_string()
}

fn value(text: Option<&Text>) -> Option<&str> {
    text.map(|text| text.value.as_str())
}

/// One entry of MT940 by its fields 61 and 86.
fn one(fields: &str) -> Parsed {
    let rows = statement(&message(fields)).rows;
    assert_eq!(rows.len(), 1, "{fields}");
    (*rows[0].parsed).clone()
}

#[test]
fn what_is_no_statement_is_not_taken_for_one() {
    for body in ["", "{}", "<html></html>", "<Document xmlns=\"urn:x:pain.001\"/>", "Guten Tag", ":86:x", "{\"a\":1}"] {
        assert!(read(body).is_none(), "{body}");
    }
}

#[test]
fn xml_that_no_honest_statement_is_made_of_is_refused() {
    let name = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.02";
    let laughs = format!(
        "<!DOCTYPE d [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><Document xmlns=\"{name}\"><X>&b;</X></Document>"
    );
    let file = format!("<!DOCTYPE d [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><Document xmlns=\"{name}\"/>");
    for text in [laughs, file, document(&entry("1", "CRDT", "<AddtlNtryInf>&unknown;</AddtlNtryInf>"))] {
        assert!(
            refused(&text).starts_with("the JSON is damaged") || refused(&text).starts_with("the answer is damaged"),
            "{text}"
        );
    }
    let deep = document(&entry("1", "CRDT", &format!("{}{}", "<a>".repeat(40), "</a>".repeat(40))));
    assert_eq!(refused(&deep), "`Ntry` is longer than the limit");
    let wide = document(&entry("1", "CRDT", &"<a/>".repeat(100_001)));
    assert_eq!(refused(&wide), "`Ntry` is longer than the limit");
    let several = |iban: &str| format!("<Stmt><Acct><Id><IBAN>{iban}</IBAN></Id></Acct></Stmt>");
    let two = format!(
        "<Document xmlns=\"{name}\"><BkToCstmrStmt>{}{}</BkToCstmrStmt></Document>",
        several("DE1"),
        several("DE2")
    );
    assert_eq!(refused(&two), "`Acct` is missing or unusable");
    let same = format!(
        "<Document xmlns=\"{name}\"><BkToCstmrStmt>{}{}</BkToCstmrStmt></Document>",
        several("DE1"),
        several("D E1")
    );
    assert!(statement(&same).rows.is_empty());
}

#[test]
fn a_statement_that_ends_early_is_refused_wherever_it_ends() {
    for text in [body(CAMT).trim_end(), body(MT940).trim_end().trim_end_matches("\n-")] {
        for (end, _) in text.char_indices().skip(400).step_by(7) {
            if text.len() - end > 20 {
                let cut = read(&text[..end]).expect("still a statement");
                // Between two messages of MT940 nothing tells that there are more; in the last figure, the sum does.
                let is_whole = text[..end].contains(":62M:C260102EUR2195,1");
                let is_known = cut.as_ref().map_or(true, |cut| is_whole || !cut.issues.is_empty());
                assert!(is_known, "{}", &text[..end]);
            }
        }
    }
}

#[test]
fn a_batch_is_taken_apart_only_where_its_payments_come_to_it() {
    let payment = |amount: &str, currency: &str, side: &str| {
        format!("<TxDtls><Amt Ccy=\"{currency}\">{amount}</Amt>{side}<RmtInf><Ustrd>{amount}</Ustrd></RmtInf></TxDtls>")
    };
    let batch = |payments: &[String]| {
        let details = format!("<NtryDtls>{}</NtryDtls>", payments.concat());
        statement(&document(&entry("30.00", "DBIT", &details))).rows
    };
    let credit = "<CdtDbtInd>CRDT</CdtDbtInd>";
    for (payments, rows) in [
        (vec![payment("10", "EUR", ""), payment("20.00", "EUR", "")], vec!["10", "20.00"]),
        (vec![payment("40", "EUR", ""), payment("10", "EUR", credit)], vec!["40", "10"]),
        (vec![payment("10", "EUR", ""), payment("19", "EUR", "")], vec!["30.00"]),
        (vec![payment("10", "EUR", ""), payment("20", "USD", "")], vec!["30.00"]),
        (vec![payment("10", "EUR", ""), payment("x", "EUR", "")], vec!["30.00"]),
        (vec![payment("99", "USD", "")], vec!["30.00"]),
    ] {
        let read = batch(&payments);
        let amounts: Vec<_> = read.iter().filter_map(|row| value(row.parsed.amount.as_ref())).collect();
        assert_eq!(amounts, rows);
        let doubted =
            read.iter().any(|row| row.parsed.issues.iter().any(|issue| issue.code == "entry.batch_kept_whole"));
        assert_eq!(doubted, payments.len() > 1 && rows.len() == 1);
    }
    let cut = ["<Btch><NbOfTxs>3</NbOfTxs></Btch>".to_owned(), payment("10", "EUR", "")];
    for listed in [&cut[..], &cut[..1]] {
        let read = batch(listed);
        assert_eq!(read.len(), 1);
        assert_eq!(value(read[0].parsed.amount.as_ref()), Some("30.00"), "of three payments one is listed, or none");
        assert!(read[0].parsed.issues.iter().any(|issue| issue.code == "entry.batch_kept_whole"));
        assert!(read[0].parsed.remittance.is_empty(), "nobody's text stands for all");
    }
}

#[test]
fn figures_that_do_not_add_up_are_told_and_unknown_ones_are_not() {
    let balance = |kind: &str, amount: &str| {
        format!(
            "<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>"
        )
    };
    for (opening, closing, doubts) in [
        (balance("OPBD", "10"), balance("CLBD", "7.50"), 0),
        (balance("OPBD", "10"), balance("CLBD", "8"), 1),
        (balance("ITBD", "10"), balance("CLBD", "8"), 0),
        (balance("OPBD", "10"), String::new(), 0),
    ] {
        let text = document(&format!("{opening}{closing}{}", entry("2.50", "DBIT", "")));
        assert_eq!(statement(&text).issues.len(), doubts, "{text}");
    }
    assert_eq!(statement(&message(":61:260105D2,5NMSCNONREF")).issues.len(), 1);
    assert_eq!(statement(&message(":61:260105D2,5NMSCNONREF\n:61:260105RD2,50NMSCNONREF")).issues.len(), 0);
}

#[test]
fn a_page_that_is_not_the_last_says_so() {
    let paged = |last: &str| document(&format!("<StmtPgntn><PgNb>1</PgNb><LastPgInd>{last}</LastPgInd></StmtPgntn>"));
    assert!(statement(&paged("false")).more);
    assert!(!statement(&paged("true")).more);
}

#[test]
fn the_day_of_an_entry_has_the_year_that_is_near() {
    for (days, booked, of_value) in [
        ("2601021231", Some("2025-12-31"), "2026-01-02"),
        ("2512310102", Some("2026-01-02"), "2025-12-31"),
        ("2606300701", Some("2026-07-01"), "2026-06-30"),
        ("260630", None, "2026-06-30"),
        ("9912310101", Some("2000-01-01"), "1999-12-31"),
        // Interest is counted from a day that no calendar has.
        ("2602300302", Some("2026-03-02"), "2026-02-30"),
    ] {
        let row = one(&format!(":61:{days}D1,00NMSCNONREF"));
        assert_eq!(value(row.booking_date.as_ref()), booked, "{days}");
        assert_eq!(value(row.value_date.as_ref()), Some(of_value), "{days}");
    }
}

#[test]
fn field_61_is_cut_as_swift_has_it() {
    for (line, mark, amount, code, reference) in [
        ("260105C12,34NTRFNONREF", "C", "12.34", "NTRF", None),
        ("260105CR12,NTRFNONREF//X 1", "C", "12", "NTRF", Some("X 1")),
        ("260105DR0,5FMSCRG//NONREF", "D", "0.5", "FMSC", None),
        ("260105RCR12,34S051A//B", "RC", "12.34", "S051", Some("B")),
        ("260105RD12,34NCHGA", "RD", "12.34", "NCHG", None),
        // A number that is none of SWIFT's stays what it was, and is refused further on.
        ("260105C1,2,3NTRFA", "C", "1,2,3", "NTRF", None),
        ("260105C12NTRFA", "C", "12", "NTRF", None),
    ] {
        let row = one(&format!(":61:{line}"));
        assert_eq!(value(row.indicator.as_ref()), Some(mark), "{line}");
        assert_eq!(value(row.amount.as_ref()), Some(amount), "{line}");
        assert_eq!(value(row.proprietary_code.as_ref()), Some(code), "{line}");
        assert_eq!(value(row.references.entry_reference.as_ref()), reference, "{line}");
        assert_eq!((row.list, value(row.currency.as_ref())), (List::Booked, Some("EUR")), "{line}");
    }
    assert_eq!(one(":61:260105EC12,00NTRFA").list, List::Pending);
    for broken in ["", "26010", "260105X1,00NTRF", "260105C", "260105C1,0", "ä60105C1,00NTRFx"] {
        let row = one(&format!(":61:{broken}\n:86:text"));
        assert!(row.amount.is_none() && row.issues[0].code == "row.malformed", "{broken}");
    }
}

#[test]
fn field_86_is_read_with_and_without_structure() {
    let row = one(
        ":61:260105D1,00NDDTNONREF\n/OCMT/EUR1,00/\n:86:105?00LASTSCHRIFT?10931?20EREF+E-1?21MREF+M 2?22CRED+DE98?23SVWZ+Was bleibt?24\
         noch?25ABWE+Dritte?30BANKDEFF?31DE02?32Erste?33 Hilfe",
    );
    let lines: Vec<_> = row.remittance.iter().map(|line| (line.value.as_str(), line.path.to_string())).collect();
    assert_eq!(lines, [("Was bleibt noch", "86.?20.SVWZ".to_owned())]);
    assert_eq!(value(row.proprietary_code.as_ref()), Some("NDDT+105+931"));
    assert_eq!(value(row.references.end_to_end_id.as_ref()), Some("E-1"));
    assert_eq!(value(row.references.mandate_id.as_ref()), Some("M 2"));
    assert_eq!(value(row.references.creditor_id.as_ref()), Some("DE98"));
    assert_eq!(value(row.creditor.ultimate_name.as_ref()), Some("Dritte"));
    assert_eq!(value(row.counterparty.name.as_ref()), Some("Erste Hilfe"));
    assert_eq!(value(row.counterparty.account.as_ref()), Some("DE02"));
    let additional: Vec<_> = row.additional.iter().map(|text| text.value.as_str()).collect();
    assert_eq!(additional, ["LASTSCHRIFT", "/OCMT/EUR1,00/"]);
    for (text, lines) in [
        ("105?20What? Ever?21SVWZ", vec!["What? Ever", "SVWZ"]),
        ("Freier Text\nzweite Zeile", vec!["Freier Text", "zweite Zeile"]),
        ("105 Blumen", vec!["105 Blumen"]),
        ("105?", vec!["105?"]),
        ("", vec![]),
    ] {
        let row = one(&format!(":61:260105D1,00NMSCNONREF\n:86:{text}"));
        let read: Vec<_> = row.remittance.iter().map(|line| line.value.as_str()).collect();
        assert_eq!(read, lines, "{text}");
    }
}

#[test]
fn messages_come_with_the_network_around_them_and_what_is_about_a_statement_is_about_no_row() {
    let written = one(":61:260105C1,00NMSCNONREF\n:86:Rechnung\n-\n{7}\nDanke");
    assert!(written.remittance.iter().any(|line| line.value.contains("Danke")), "a payer writes what he likes");
    let inner = message(":61:260105C1,00NMSCNONREF").replace("\n-", "\n:86:Ihr Kontostand\n-}").replace('\n', "\r\n");
    let framed = format!("{{1:F01BANKDEFFAXXX}}{{2:O940}}{{4:\r\n{inner}");
    assert_eq!(statement(&framed).rows.len(), 1);
    assert!(statement(&framed).rows[0].parsed.remittance.is_empty());
    for broken in [
        ":20:S\n:61:260105C1,00NMSCNONREF\n:62F:C260131EUR1,00",
        ":20:S\n:60F:C260101EUR0,\n:61:260105C1,00NMSCNONREF",
        ":20:S\n:20:S",
        ":20:S\n:25:1\n:60F:C260101EUR0,\n:62F:C260101EUR0,\n:20:T\n:25:2\n:60F:C260101EUR0,\n:62F:C260101EUR0,",
    ] {
        refused(broken);
    }
    assert_eq!(
        refused(&message(&format!(":61:260105C1,00NMSCNONREF\n:86:{}", "x\n".repeat(20_000)))),
        "`86` is longer than the limit"
    );
}

#[test]
fn what_is_kept_has_an_end() {
    let rows = ":61:260105C1,00NMSCNONREF\n".repeat(ROWS_PER_BANK_PAGE_MAX);
    assert_eq!(statement(&message(rows.trim_end())).rows.len(), ROWS_PER_BANK_PAGE_MAX);
    let more = format!("{rows}:61:260105C1,00NMSCNONREF");
    assert_eq!(refused(&message(&more)), "`transactions` is longer than the limit");
    // Every payment of a batch repeats what its entry says: here a megabyte.
    let payments = "<TxDtls><Amt Ccy=\"EUR\">1</Amt></TxDtls>".repeat(100);
    let said = format!("<AddtlNtryInf>{}</AddtlNtryInf><NtryDtls>{payments}</NtryDtls>", "x".repeat(1 << 20));
    assert_eq!(refused(&document(&entry("100", "DBIT", &said))), "`transactions` is longer than the limit");
}

/// A recorded statement with some of it replaced by something else.
fn spoilt() -> impl Strategy<Value = String> {
    let pieces = [
        "", "<", ">", "&", "&lt;", "&#0;", "<Ntry>", "</Ntry>", "<!--", "]]>", ":61:", ":86:", "\n", "?20", "?", ",",
        "ä", "\u{0}", "105?",
    ];
    let from = proptest::sample::select(vec![body(CAMT).to_owned(), body(MT940).to_owned()]);
    let changes = proptest::collection::vec(
        (any::<prop::sample::Index>(), 0_usize..12, proptest::sample::select(pieces.to_vec())),
        0..6,
    );
    (from, changes).prop_map(|(mut text, changes)| {
        for (at, length, piece) in changes {
            let start = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.ceil_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end, piece);
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// Whatever a statement becomes, it is read or refused, and what was kept reads as it did.
    #[test]
    fn a_spoilt_statement_is_read_or_refused(text in spoilt()) {
        if let Some(Ok(read)) = read(&text) {
            for row in read.rows {
                let kept: &RawValue = serde_json::from_slice(row.raw.as_bytes()).unwrap();
                prop_assert!(transaction(kept, row.parsed.list) == Some(*row.parsed));
            }
        }
    }

    #[test]
    fn no_text_behind_a_true_beginning_makes_a_reader_panic(text in "\\PC{0,200}") {
        let _ = read(&format!(":20:{text}\n:60F:{text}\n:61:{text}\n:86:{text}\n:62F:{text}"));
        let _ = read(&document(&text));
        let _ = read(&document(&format!("<Ntry>{text}</Ntry>")));
    }
}
