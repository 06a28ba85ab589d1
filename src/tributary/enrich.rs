//! `tributary enrich`: descriptors in, merchant and category out, one JSON object a line.

use std::io::{BufRead, BufWriter, Write};

use normalize::merchant::{Descriptor, enrich};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// Longest line that is read, in bytes.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads one JSON object a line from standard input: `{"id", "descriptor", "country"?, "mcc"?, "amount_sign"?, "btc"?}`.
/// Writes one answer a line, in the same order. A line that cannot be read is answered with its issues.
#[derive(Debug, clap::Args)]
pub(crate) struct EnrichArgs {}

/// Runs over standard input and output.
pub(crate) fn run(_: EnrichArgs) -> anyhow::Result<()> {
    over(std::io::stdin().lock(), std::io::stdout().lock())
}

fn over(mut input: impl BufRead, output: impl Write) -> anyhow::Result<()> {
    let mut output = BufWriter::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        if std::io::Read::take(&mut input, LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(output.flush()?);
        }
        if line.last() != Some(&b'\n') && line.len() as u64 == LINE_BYTES_MAX {
            input.skip_until(b'\n')?;
            refuse(&mut output, None, "row.too_long: the line is longer than is read")?;
        } else if !line.trim_ascii().is_empty() {
            answer(&line, &mut output)?;
        }
    }
}

/// One line of input. All but the descriptor may be absent or odd.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    descriptor: Value,
    #[serde(default)]
    country: Value,
    #[serde(default)]
    mcc: Value,
    #[serde(default)]
    amount_sign: Value,
    #[serde(default)]
    btc: Value,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: Option<&'a RawValue>,
    merchant: Option<std::borrow::Cow<'static, str>>,
    wikidata: Option<&'static str>,
    catalog: bool,
    category: &'static str,
    confidence: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<String>,
}

#[derive(Serialize)]
struct Refused<'a> {
    id: Option<&'a RawValue>,
    issues: [&'a str; 1],
}

fn answer(line: &[u8], output: &mut impl Write) -> anyhow::Result<()> {
    let Ok(row) = serde_json::from_slice::<Line<'_>>(line) else {
        return refuse(output, None, "row.malformed: the line is not an object");
    };
    let Some(text) = row.descriptor.as_str() else {
        return refuse(output, row.id, "descriptor.missing: the line has no text `descriptor`");
    };
    let mcc = row.mcc.as_str().map(str::to_owned).or_else(|| row.mcc.as_u64().map(|code| format!("{code:04}")));
    let incoming = match row.amount_sign.as_str() {
        Some("+") => Some(true),
        Some("-") => Some(false),
        _ => None,
    };
    let found = enrich(&Descriptor {
        text,
        country: row.country.as_str(),
        mcc: mcc.as_deref(),
        incoming,
        btc: row.btc.as_str(),
        ..Descriptor::default()
    });
    let answer = Answer {
        id: row.id,
        merchant: found.merchant,
        wikidata: found.wikidata,
        catalog: found.catalog,
        category: found.category,
        confidence: (f64::from(found.confidence) * 100.0).round() / 100.0,
        via: found.via,
    };
    write(output, &answer)
}

fn refuse(output: &mut impl Write, id: Option<&RawValue>, issue: &str) -> anyhow::Result<()> {
    write(output, &Refused { id, issues: [issue] })
}

fn write(output: &mut impl Write, answer: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *output, answer)?;
    Ok(output.write_all(b"\n")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_answered_and_none_stops_the_others() {
        let input =
            "{\"id\":1,\"descriptor\":\"NETFLIX.COM\",\"mcc\":4899}\nnot json\n\n{\"id\":\"b\",\"descriptor\":7}\n";
        let mut output = Vec::new();
        over(input.as_bytes(), &mut output).unwrap();
        let answers: Vec<Value> = output
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect();
        assert_eq!(answers.len(), 3);
        assert_eq!((&answers[0]["id"], &answers[0]["merchant"]), (&Value::from(1), &Value::from("Netflix")));
        assert!(answers[1]["issues"][0].as_str().unwrap().starts_with("row.malformed"));
        assert_eq!(answers[2]["id"], "b");
        assert!(answers[2]["issues"][0].as_str().unwrap().starts_with("descriptor.missing"));
    }
}
