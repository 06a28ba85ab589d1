//! An export as Parquet is opened by the reader that Apache maintains (PyPI `pyarrow`), and says what the API says.

use std::path::Path;

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tests::site::{Site, connected};
use tests::world::World;
use tokio::process::Command;

use crate::clients::PACKAGES;

async fn read(file: &Path) -> Result<Value, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/parquet.py");
    let done = Command::new("python3").arg(script).arg(PACKAGES.as_path()).arg(file).output().await;
    let done = done.expect("this test needs Python");
    match done.status.success() {
        true => Ok(serde_json::from_slice(&done.stdout).expect("a line of JSON")),
        false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_opens_in_apaches_reader_with_decimals_and_days_and_not_before_its_end() {
    let world = World::start().await;
    let site = Site::start(world.app.clone()).await;
    let product = site.caller(&world, Some(&world.api_key));
    connected(&world, &product).await;
    let account = product.get("/v1/accounts").await.json()["data"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/accounts/{account}/transactions/export");
    let lines = product.get(&path).await.text();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let accept = [("accept", "application/vnd.apache.parquet")];
    let whole = product.send(Method::GET, &path, &accept, Bytes::new()).await;
    assert_eq!(whole.headers["content-type"], accept[0].1);

    let file = world.dir.path().join("export.parquet");
    std::fs::write(&file, &whole.body).expect("a file");
    let found = read(&file).await.expect("a file of Parquet");
    assert_eq!(found["types"]["amount"], "decimal128(38, 9)");
    assert_eq!(found["types"]["booking_date"], "date32[day]");
    assert_eq!(found["types"]["id"], "string");
    assert_eq!(found["types"]["first_seen_at"], "timestamp[us, tz=UTC]");
    let rows = found["rows"].as_array().expect("rows");
    assert!(rows.len() > 100 && rows.len() == lines.len());
    for (row, line) in rows.iter().zip(&lines) {
        let decimal = |value: &Value| value.as_str().expect("an amount").parse::<Decimal>().expect("a decimal");
        assert_eq!(decimal(&row["amount"]), decimal(&line["amount"]["amount"]));
        assert_eq!(row["currency"], line["amount"]["currency"]);
        let instant = |value: &Value| value.as_str().expect("an instant").parse::<Timestamp>().expect("an instant");
        assert_eq!(instant(&row["first_seen_at"]), instant(&line["first_seen_at"]));
        for name in
            ["id", "account_id", "status", "booking_date", "value_date", "counterparty", "category", "description"]
        {
            assert_eq!(row[name], line[name], "{name} of {line}");
        }
    }

    // Of nothing there is a file too; of a part there is none.
    let none = product.send(Method::GET, &format!("{path}?text=nothing-says-this"), &accept, Bytes::new()).await;
    std::fs::write(&file, &none.body).expect("a file");
    assert_eq!(read(&file).await.expect("a file of Parquet")["rows"], json!([]));
    std::fs::write(&file, &whole.body[..whole.body.len() - 1]).expect("a file");
    assert!(read(&file).await.is_err(), "it broke off");
    site.end().await;
    world.end().await;
}
