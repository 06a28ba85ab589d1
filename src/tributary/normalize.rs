//! `tributary normalize`: bank rows in, finished transactions out, one JSON object a line.

use std::borrow::Cow;
use std::io::{BufRead, BufWriter, Write};

use bank_adapters::profile::Standard;
use bank_adapters::standards::{enable_banking, gocardless, native};
use bank_adapters::unprofiled::{self, Origin};
use domain::ids::InstitutionId;
use domain::records::{Holder, Issue, List, Normalized, Operation, Parsed};
use domain::rules::{Rules, SignRule};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Longest line that is read, in bytes. A row is a few kilobytes.
const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Reads one JSON object a line from standard input: `{"id", "bank"?, "bic"?, "country"?, "institution_id"?, "format",
/// "context"?, "account"?, "raw"}`. Writes one answer a line, in the same order. A row that cannot be read is answered
/// with its issues and stops nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct NormalizeArgs {
    /// Use the rules of this bank of the directory (`banks list`) for every row
    #[arg(long, value_name = "ID")]
    bank: Option<String>,
    /// Format of rows that name none: a standard of `banks list` (berlin-group, obie, cdr, …), gocardless, enablebanking
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Name of the account holder, for rows that do not tell it
    #[arg(long, value_name = "NAME")]
    own_name: Option<String>,
}

/// Runs over standard input and output.
pub(crate) fn run(args: NormalizeArgs) -> anyhow::Result<()> {
    let profile_rules = args.bank.as_deref().map(rules_of).transpose()?;
    over(std::io::stdin().lock(), std::io::stdout().lock(), &args, profile_rules.as_ref())
}

fn rules_of(bank: &str) -> anyhow::Result<Rules> {
    let id = InstitutionId::new(bank).ok_or_else(|| anyhow::anyhow!("`{bank}` is not the id of a bank"))?;
    let directory = bank_adapters::directory::Directory::embedded()?;
    let profile = directory
        .get(&id)
        .ok_or_else(|| anyhow::anyhow!("no profile has the id `{bank}`; see `tributary banks list`"))?;
    Ok(profile.rules.clone())
}

fn over(
    mut input: impl BufRead,
    output: impl Write,
    args: &NormalizeArgs,
    profile_rules: Option<&Rules>,
) -> anyhow::Result<()> {
    let mut output = BufWriter::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        if std::io::Read::take(&mut input, LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.last() != Some(&b'\n') && line.len() as u64 == LINE_BYTES_MAX {
            skip_rest(&mut input)?;
            write(&mut output, &refused(None, "row.too_long", "the line is longer than is read"))?;
        } else if !line.trim_ascii().is_empty() {
            write(&mut output, &answer(&line, args, profile_rules))?;
        }
    }
    Ok(output.flush()?)
}

fn write(output: &mut impl Write, answer: &Answer<'_>) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *output, answer)?;
    Ok(output.write_all(b"\n")?)
}

/// Passes over the rest of a line without keeping it.
fn skip_rest(input: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (used, done) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if done {
            return Ok(());
        }
    }
}

/// One line of input. Everything that describes the row may be absent or odd; only `raw` is needed.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    bank: Option<&'a RawValue>,
    #[serde(borrow, default)]
    bic: Option<&'a RawValue>,
    #[serde(borrow, default)]
    country: Option<&'a RawValue>,
    #[serde(borrow, default)]
    institution_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    format: Option<&'a RawValue>,
    #[serde(default)]
    context: Value,
    #[serde(default)]
    account: Value,
    #[serde(borrow)]
    raw: &'a RawValue,
}

/// A member that is a string; any other type counts as absent.
fn text(member: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(member?.get()).ok()
}

/// The first of some members of an object that is a string and not blank.
fn first_text(object: &Value, members: &[&str]) -> Option<String> {
    let texts = members.iter().filter_map(|member| object.get(member)?.as_str());
    texts.map(str::trim).find(|text| !text.is_empty()).map(str::to_owned)
}

/// The id alone, for a line whose other parts cannot be read.
#[derive(Deserialize)]
struct IdOnly<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

fn answer<'a>(line: &'a [u8], args: &NormalizeArgs, profile_rules: Option<&Rules>) -> Answer<'a> {
    let row: Line<'a> = match serde_json::from_slice(line) {
        Ok(row) => row,
        Err(_) => {
            let id = serde_json::from_slice::<IdOnly<'a>>(line).ok().and_then(|only| only.id);
            return refused(id, "row.malformed", "the line is not an object with the member `raw`");
        }
    };
    let list = match row.context.get("list").and_then(Value::as_str) {
        Some("booked") => List::Booked,
        Some("pending") => List::Pending,
        Some("information") => List::Information,
        _ => List::Unstated,
    };
    let format = text(row.format).or_else(|| args.format.clone()).unwrap_or_default();
    let Some(parsed) = parse(&format, row.raw, list) else {
        return refused(row.id, "format.unknown", "the format is none that is known");
    };
    let (bic, country, institution_id, name) =
        (text(row.bic), text(row.country), text(row.institution_id), text(row.bank));
    let origin = Origin {
        bic: bic.as_deref(),
        country: country.as_deref(),
        institution_id: institution_id.as_deref(),
        name: name.as_deref(),
    };
    let mut rules = profile_rules.map_or_else(|| Cow::Owned(unprofiled::rules(&origin)), Cow::Borrowed);
    if rules.sign == SignRule::Either {
        rules.to_mut().sign = sign(&format);
    }
    let outcome = normalize::transaction(&parsed, &holder(&row.account, args), &rules);
    Answer { id: row.id, outcome }
}

/// Reads a row by the module of its format.
fn parse(format: &str, raw: &RawValue, list: List) -> Option<Parsed> {
    match format {
        "gocardless" => Some(gocardless::rows::transaction(raw, list)),
        "enablebanking" => Some(enable_banking::rows::transaction(raw, list)),
        format if parsed_natively(format) => Some(native::rows::transaction(raw, list)),
        // The name by which the UK's standard is known from its first years.
        "obie" => Some(bank_adapters::reread(Standard::OpenBankingUk, raw, list)),
        format => Standard::named(format).map(|standard| bank_adapters::reread(standard, raw, list)),
    }
}

/// Whether the format is a bank's own, for which there is only the reader of common names.
fn parsed_natively(format: &str) -> bool {
    format.starts_with("native:")
}

/// How the sign is told in a format, where nothing is known of the bank. A bank's own format may tell it by a name that
/// nobody has listed: without a word the doubt must be said.
fn sign(format: &str) -> SignRule {
    match format {
        "enablebanking" => SignRule::Indicator,
        "obie" => Standard::OpenBankingUk.sign(),
        format if parsed_natively(format) => SignRule::Indicator,
        format => Standard::named(format).map_or(SignRule::Either, Standard::sign),
    }
}

fn holder(account: &Value, args: &NormalizeArgs) -> Holder {
    Holder {
        name: first_text(account, &["owner_name", "ownerName", "holder"]).or_else(|| args.own_name.clone()),
        account: first_text(account, &["iban", "bban"]),
        currency: first_text(account, &["currency"]).and_then(|code| code.parse().ok()),
        other_accounts: account
            .get("other_accounts")
            .and_then(Value::as_array)
            .map(|numbers| numbers.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default(),
    }
}

fn refused<'a>(id: Option<&'a RawValue>, code: &'static str, text: &str) -> Answer<'a> {
    Answer { id, outcome: Err(vec![Issue::new(code, text)]) }
}

/// One line of output.
struct Answer<'a> {
    id: Option<&'a RawValue>,
    outcome: Result<Normalized, Vec<Issue>>,
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let texts = |issues: &[Issue]| -> Vec<String> {
            issues.iter().map(|issue| format!("{}: {}", issue.code, issue.text)).collect()
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        match &self.outcome {
            Err(issues) => map.serialize_entry("issues", &texts(issues))?,
            Ok(row) => {
                map.serialize_entry("amount", &row.money.to_plain_string())?;
                // ISO 4217 `XXX` is "no currency": here, the bank named none.
                let currency = row.money.currency();
                map.serialize_entry("currency", &Some(currency.code()).filter(|code| *code != "XXX"))?;
                map.serialize_entry("status", row.status.as_str())?;
                map.serialize_entry("booking_date", &row.booking_date)?;
                map.serialize_entry("value_date", &row.value_date)?;
                map.serialize_entry("transaction_date", &row.transaction_date)?;
                map.serialize_entry("counterparty", &row.counterparty.name)?;
                map.serialize_entry("operation", &row.operation.map(Operation::as_str))?;
                map.serialize_entry("merchant", &row.merchant)?;
                map.serialize_entry("merchant_id", &row.merchant_id)?;
                map.serialize_entry("intermediary", &row.intermediary)?;
                map.serialize_entry("category", &row.category)?;
                if let Some(instructed) = &row.instructed {
                    map.serialize_entry("instructed_amount", &instructed.to_plain_string())?;
                    map.serialize_entry("instructed_currency", instructed.currency().code())?;
                }
                if let Some(rate) = &row.exchange_rate {
                    map.serialize_entry("exchange_rate", &rate.to_string())?;
                }
                map.serialize_entry("provenance", &Origins(row))?;
                map.serialize_entry("issues", &texts(&row.issues))?;
            }
        }
        map.end()
    }
}

/// Field to path and rule.
struct Origins<'a>(&'a Normalized);

#[derive(Serialize)]
struct RowOrigin<'a> {
    path: Cow<'a, str>,
    rule: &'a str,
}

impl Serialize for Origins<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let origins = &self.0.provenance;
        serializer
            .collect_map(origins.iter().map(|from| (from.field, RowOrigin { path: from.path.text(), rule: from.rule })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &str) -> Vec<serde_json::Value> {
        let args = NormalizeArgs { bank: None, format: Some("gocardless".into()), own_name: Some("Jane Doe".into()) };
        let mut output = Vec::new();
        over(input.as_bytes(), &mut output, &args, None).unwrap();
        output
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    #[test]
    fn every_line_is_answered_and_none_stops_the_others() {
        let answers = lines(concat!(
            r#"{"id":"a","bank":7,"account":"odd","context":null,"raw":{"transactionAmount":{"amount":"-3.5","currency":"EUR"},"bookingDate":"2031-06-05","creditorName":"Shop"}}"#,
            "\n{\"id\":\"b\"}\nnot json\n\n",
            r#"{"id":7,"format":"papyrus","raw":{}}"#,
            "\n",
            r#"{"id":"d","raw":{"transactionAmount":{"amount":"x","currency":"EUR"}}}"#,
            "\n",
            r#"{"id":"e","format":"enablebanking","raw":{"transaction_amount":{"amount":"2","currency":""},"credit_debit_indicator":"DBIT","status":"PDNG"}}"#,
        ));
        assert_eq!(answers.len(), 6);
        assert_eq!(answers[0]["amount"], "-3.50");
        assert_eq!(answers[0]["counterparty"], "Shop");
        assert_eq!(answers[0]["provenance"]["counterparty"]["path"], "creditorName");
        for (at, id, code) in [
            (1, serde_json::json!("b"), "row.malformed"),
            (2, serde_json::Value::Null, "row.malformed"),
            (3, serde_json::json!(7), "format.unknown"),
            (4, serde_json::json!("d"), "amount.malformed"),
        ] {
            assert_eq!(answers[at]["id"], id);
            let issues = answers[at]["issues"].as_array().unwrap();
            assert!(issues.iter().any(|issue| issue.as_str().unwrap().starts_with(code)), "{at}");
            assert!(answers[at].get("amount").is_none());
        }
        assert_eq!(
            (&answers[5]["amount"], &answers[5]["currency"]),
            (&serde_json::json!("-2.00"), &serde_json::Value::Null)
        );
        assert_eq!(answers[5]["status"], "pending");
    }

    #[test]
    fn rows_of_the_british_standard_go_by_either_of_its_names() {
        let row = r#"{"format":"FORMAT","raw":{"CreditDebitIndicator":"Debit","Status":"Booked","BookingDateTime":"2031-06-05T00:00:00+00:00","Amount":{"Amount":"7.50","Currency":"GBP"},"TransactionInformation":"CARD PAYMENT TO BOOKSHOP ON 04-06-2031"}}"#;
        for format in ["obie", "uk-open-banking"] {
            let answer = lines(&row.replace("FORMAT", format)).remove(0);
            assert_eq!((&answer["amount"], &answer["counterparty"]), (&"-7.50".into(), &"BOOKSHOP".into()), "{answer}");
            assert_eq!(answer["transaction_date"], "2031-06-04");
        }
    }

    #[test]
    fn a_line_without_end_is_refused_and_passed_over() {
        let long = " ".repeat(usize::try_from(LINE_BYTES_MAX).unwrap() + 10);
        let answers = lines(&format!("{long}\n{{\"id\":\"a\"}}\n"));
        assert_eq!(answers.len(), 2);
        assert!(answers[0]["issues"][0].as_str().unwrap().starts_with("row.too_long"));
        assert_eq!(answers[1]["id"], "a");
    }

    #[test]
    fn every_grammar_that_a_bank_switches_on_exists() {
        for grammar in unprofiled::grammars() {
            assert!(normalize::is_grammar(grammar), "{grammar}");
        }
    }
}
