//! camt.052 (report) and camt.053 (statement), every version from 001.02: what moved between versions is looked for in both
//! places.
//!
//! An entry is kept as `{"Ntry": …}` without its details, and `"TxDtls"` beside it where there is one payment. A batch
//! whose payments come to its amount is kept as one row for each of them, headed by `"Batch"`; any other batch stays whole.

use domain::records::{Issue, List, Parsed};
use rust_decimal::Decimal;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::xml::{Document, Piece};
use super::{OneAccount, Statement};
use crate::error::Breach;
use crate::standards::rest::member;
use crate::standards::row::{self, ExchangeLayout, Layout, PartyLayout, paths};

/// What a kept entry begins with.
pub(super) const MARK: &str = r#"{"Ntry":"#;
/// What a kept payment of a batch begins with.
pub(super) const MARK_OF_A_PART: &str = r#"{"Batch":"#;

const LAYOUT: Layout = Layout {
    status: paths!["Ntry.Sts.Cd", "Ntry.Sts.Prtry", "Ntry.Sts"],
    amount: paths!["Ntry.Amt.#text", "Ntry.Amt"],
    currency: paths!["Ntry.Amt.@Ccy"],
    indicator: paths!["Ntry.CdtDbtInd"],
    booking_date: paths!["Ntry.BookgDt.Dt", "Ntry.BookgDt.DtTm"],
    value_date: paths!["Ntry.ValDt.Dt", "Ntry.ValDt.DtTm"],
    transaction_date: paths!["TxDtls.RltdDts.TxDtTm", "TxDtls.RltdDts.AccptncDtTm"],
    creditor: PartyLayout {
        name: paths!["TxDtls.RltdPties.Cdtr.Pty.Nm", "TxDtls.RltdPties.Cdtr.Nm"],
        ultimate_name: paths!["TxDtls.RltdPties.UltmtCdtr.Pty.Nm", "TxDtls.RltdPties.UltmtCdtr.Nm"],
        account: paths!["TxDtls.RltdPties.CdtrAcct.Id.IBAN", "TxDtls.RltdPties.CdtrAcct.Id.Othr.Id"],
        agent: paths!["TxDtls.RltdAgts.CdtrAgt.FinInstnId.BICFI", "TxDtls.RltdAgts.CdtrAgt.FinInstnId.BIC"],
    },
    debtor: PartyLayout {
        name: paths!["TxDtls.RltdPties.Dbtr.Pty.Nm", "TxDtls.RltdPties.Dbtr.Nm"],
        ultimate_name: paths!["TxDtls.RltdPties.UltmtDbtr.Pty.Nm", "TxDtls.RltdPties.UltmtDbtr.Nm"],
        account: paths!["TxDtls.RltdPties.DbtrAcct.Id.IBAN", "TxDtls.RltdPties.DbtrAcct.Id.Othr.Id"],
        agent: paths!["TxDtls.RltdAgts.DbtrAgt.FinInstnId.BICFI", "TxDtls.RltdAgts.DbtrAgt.FinInstnId.BIC"],
    },
    remittance_lines: paths!["TxDtls.RmtInf.Ustrd"],
    remittance_structured: paths!["TxDtls.RmtInf.Strd.CdtrRefInf.Ref"],
    additional: paths!["Ntry.AddtlNtryInf", "TxDtls.AddtlTxInf"],
    transaction_id: paths!["TxDtls.Refs.Prtry[Tp=FI-UMSATZ-ID].Ref"],
    entry_reference: paths!["Ntry.NtryRef", "Ntry.AcctSvcrRef", "TxDtls.Refs.AcctSvcrRef"],
    end_to_end_id: paths!["TxDtls.Refs.EndToEndId"],
    mandate_id: paths!["TxDtls.Refs.MndtId"],
    creditor_id: paths![
        "TxDtls.RltdPties.Cdtr.Pty.Id.PrvtId.Othr.Id",
        "TxDtls.RltdPties.Cdtr.Id.PrvtId.Othr.Id",
        "TxDtls.RltdPties.Cdtr.Id.OrgId.Othr.Id",
    ],
    check_id: paths!["TxDtls.Refs.ChqNb"],
    code_parts: paths!["TxDtls.BkTxCd.Domn.Cd", "TxDtls.BkTxCd.Domn.Fmly.Cd", "TxDtls.BkTxCd.Domn.Fmly.SubFmlyCd"],
    proprietary_code: paths!["TxDtls.BkTxCd.Prtry.Cd", "Ntry.BkTxCd.Prtry.Cd"],
    purpose_code: paths!["TxDtls.Purp.Cd"],
    exchange: paths!["TxDtls.AmtDtls.InstdAmt", "Ntry.AmtDtls.InstdAmt"],
    exchange_fields: ExchangeLayout {
        source_currency: paths!["CcyXchg.SrcCcy"],
        target_currency: paths!["CcyXchg.TrgtCcy"],
        unit_currency: paths!["CcyXchg.UnitCcy"],
        rate: paths!["CcyXchg.XchgRate"],
        instructed_amount: paths!["Amt.#text"],
        instructed_currency: paths!["Amt.@Ccy"],
    },
    ..Layout::NONE
};

/// A payment of a batch: what the entry says of all of them is not about it.
const PART: Layout = Layout {
    amount: paths!["TxDtls.Amt.#text", "TxDtls.AmtDtls.TxAmt.Amt.#text"],
    currency: paths!["TxDtls.Amt.@Ccy", "TxDtls.AmtDtls.TxAmt.Amt.@Ccy"],
    indicator: paths!["TxDtls.CdtDbtInd", "Ntry.CdtDbtInd"],
    additional: paths!["TxDtls.AddtlTxInf"],
    entry_reference: &[],
    exchange: paths!["TxDtls.AmtDtls.InstdAmt"],
    ..LAYOUT
};

const ENTRY_CODE: Layout = Layout {
    code_parts: paths!["Ntry.BkTxCd.Domn.Cd", "Ntry.BkTxCd.Domn.Fmly.Cd", "Ntry.BkTxCd.Domn.Fmly.SubFmlyCd"],
    ..Layout::NONE
};

/// One kept entry, or payment of a batch. Never fails: what could not be read stands in `issues`.
pub(super) fn transaction(kept: &RawValue, list: List) -> Parsed {
    let layout = if kept.get().starts_with(MARK_OF_A_PART) { &PART } else { &LAYOUT };
    let mut parsed = row::transaction(kept, list, layout);
    if parsed.bank_transaction_code.is_none() {
        parsed.bank_transaction_code = row::transaction(kept, list, &ENTRY_CODE).bank_transaction_code;
    }
    if member(kept, "Ntry.NtryDtls").is_some() {
        let why = "an entry of several payments whose amounts do not come to its own was kept as one";
        parsed.issues.push(Issue::new("entry.batch_kept_whole", why));
    }
    parsed
}

/// Whether a document is one of these, by its namespace.
pub(super) fn is_one(text: &str) -> bool {
    let head = &text[..text.floor_char_boundary(2_048)];
    ["xsd:camt.052.", "xsd:camt.053."].iter().any(|name| head.contains(name))
}

/// Reads a document.
pub(super) fn read(text: &str) -> Result<Statement, Breach> {
    let mut document = Document::new(text);
    let mut statement = Statement::default();
    let mut account = OneAccount::default();
    let (mut above, mut figures, mut ended) = (Vec::new(), Figures::default(), false);
    loop {
        let name = match document.next()? {
            Piece::Eof if ended => return Ok(statement),
            Piece::Eof => return Err(Breach::Field("Document")),
            Piece::End => {
                if above.pop().is_some_and(|name: String| matches!(name.as_str(), "Stmt" | "Rpt")) {
                    std::mem::take(&mut figures).judge(&mut statement);
                }
                ended |= above.is_empty();
                continue;
            }
            Piece::Start(name) => name,
        };
        match (above.len(), name.as_str()) {
            (0, "Document") if !ended => above.push(name),
            (1, "BkToCstmrStmt" | "BkToCstmrAcctRpt") | (2, "Stmt" | "Rpt") => above.push(name),
            (2, "GrpHdr") => statement.more |= has_more(document.element()?.get("MsgPgntn")),
            (3, "Acct") => account.is(&identification(&document.element()?), "Acct")?,
            (3, "Bal") => figures.balance(&document.element()?),
            (3, "RptPgntn" | "StmtPgntn") => statement.more |= has_more(Some(&document.element()?)),
            (3, "Ntry") => {
                let entry = document.element()?;
                figures.entry(&entry);
                keep(&mut statement, entry)?;
            }
            (2 | 3, _) => {
                document.element()?;
            }
            _ => return Err(Breach::Field("Document")),
        }
    }
}

/// Adds the rows of one entry.
fn keep(statement: &mut Statement, entry: Value) -> Result<(), Breach> {
    let Value::Object(mut entry) = entry else { return Err(Breach::Field("Ntry")) };
    let list = list_of(&entry);
    let details = entry.remove("NtryDtls");
    let payments: Vec<Value> = several(details.as_ref())
        .flat_map(|details| several(details.get("TxDtls")).cloned().map(as_listed).collect::<Vec<_>>())
        .collect();
    // A batch says how many payments it has, though it may not list them all.
    let said = several(details.as_ref())
        .filter_map(|details| details.pointer("/Btch/NbOfTxs")?.as_str()?.parse::<usize>().ok());
    let is_cut = said.sum::<usize>() > payments.len();
    let whole = Value::Object(entry);
    match payments.as_slice() {
        [] if details.is_none() => statement.push(&json!({ "Ntry": whole }), list),
        [payment] if !is_cut => statement.push(&json!({ "Ntry": whole, "TxDtls": payment }), list),
        several if come_to(several, &whole) => several.iter().try_for_each(|payment| {
            statement.push(&json!({ "Batch": several.len(), "Ntry": whole, "TxDtls": payment }), list)
        }),
        _ => {
            let mut whole = whole;
            whole["NtryDtls"] = details.unwrap_or_default();
            statement.push(&json!({ "Ntry": whole }), list)
        }
    }
}

/// A payment with the references of its bank as a list, which they are by the newer versions.
fn as_listed(mut payment: Value) -> Value {
    if let Some(one) = payment.pointer_mut("/Refs/Prtry").filter(|one| one.is_object()) {
        *one = Value::Array(vec![one.take()]);
    }
    payment
}

/// The list that an entry belongs to by its status. Without one it is booked, as all of camt.053 is.
fn list_of(entry: &Map<String, Value>) -> List {
    let status = entry.get("Sts").map(|status| status.get("Cd").unwrap_or(status));
    match status.and_then(Value::as_str) {
        Some("PDNG") => List::Pending,
        Some("INFO" | "FUTR") => List::Information,
        Some("BOOK") | None => List::Booked,
        Some(_) => List::Unstated,
    }
}

/// Whether several payments have amounts of the entry's currency that together are its own.
fn come_to(payments: &[Value], entry: &Value) -> bool {
    let amount = |payment: &Value| {
        let inner = payment.get("Amt").or_else(|| payment.pointer("/AmtDtls/TxAmt/Amt"))?;
        let side = payment.get("CdtDbtInd").or_else(|| entry.get("CdtDbtInd"));
        (inner.get("@Ccy") == entry.pointer("/Amt/@Ccy")).then(|| signed(Some(inner), side))?
    };
    let sum = payments.iter().try_fold(Decimal::ZERO, |sum, payment| sum.checked_add(amount(payment)?));
    sum.is_some() && sum == signed(entry.get("Amt"), entry.get("CdtDbtInd"))
}

/// An amount with the sign that its indicator gives it.
fn signed(amount: Option<&Value>, indicator: Option<&Value>) -> Option<Decimal> {
    let amount = Decimal::from_str_exact(amount?.get("#text")?.as_str()?).ok()?;
    match indicator?.as_str()? {
        "CRDT" => Some(amount),
        "DBIT" => Some(-amount),
        _ => None,
    }
}

/// Opening, entries and closing of one statement, as far as they are known.
struct Figures {
    opening: Option<Decimal>,
    closing: Option<Decimal>,
    entries: Option<Decimal>,
}

impl Default for Figures {
    fn default() -> Self {
        Self { opening: None, closing: None, entries: Some(Decimal::ZERO) }
    }
}

impl Figures {
    fn balance(&mut self, balance: &Value) {
        let figure = signed(balance.get("Amt"), balance.get("CdtDbtInd"));
        match balance.pointer("/Tp/CdOrPrtry/Cd").and_then(Value::as_str) {
            Some("OPBD") => self.opening = figure,
            Some("CLBD") => self.closing = figure,
            _ => {}
        }
    }

    fn entry(&mut self, entry: &Value) {
        if entry.as_object().is_some_and(|entry| list_of(entry) == List::Booked) {
            let amount = signed(entry.get("Amt"), entry.get("CdtDbtInd"));
            self.entries = self.entries.zip(amount).and_then(|(sum, amount)| sum.checked_add(amount));
        }
    }

    fn judge(self, statement: &mut Statement) {
        statement.must_add_up(self.opening, self.entries, self.closing);
    }
}

/// What an account is called: its IBAN, or its number elsewhere.
fn identification(account: &Value) -> String {
    let id = account.pointer("/Id/IBAN").or_else(|| account.pointer("/Id/Othr/Id"));
    id.and_then(Value::as_str).unwrap_or_default().split_whitespace().collect()
}

/// Whether a page says that it is not the last.
fn has_more(page: Option<&Value>) -> bool {
    page.and_then(|page| page.get("LastPgInd")?.as_str()).is_some_and(|last| matches!(last, "false" | "0"))
}

/// Nothing, one, or the elements of a list.
fn several(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    match value {
        Some(Value::Array(several)) => several.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    }
    .iter()
}
