//! An account's transactions as a file of Apache Parquet: decimals are decimals and days are days, so nobody has to guess.
//!
//! Each part of an export is a row group. What makes the file readable is its footer, which is written last: a file that
//! breaks off opens nowhere.

use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::civil::Date;
use parquet::data_type::{ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use rust_decimal::Decimal;

use super::body::TransactionBody;

/// The columns: those of the CSV form, and when we first saw the row, as an instant (UTC). A decimal has 38 digits because that is the most that readers understand.
const SCHEMA: &str = "message transactions {
    required binary id (STRING);
    required binary account_id (STRING);
    required binary status (STRING);
    optional int32 booking_date (DATE);
    optional int32 value_date (DATE);
    optional int32 transaction_date (DATE);
    required fixed_len_byte_array(16) amount (DECIMAL(38,9));
    required binary currency (STRING);
    optional binary counterparty (STRING);
    optional binary counterparty_account (STRING);
    optional binary merchant (STRING);
    optional binary category (STRING);
    optional binary description (STRING);
    optional binary bank_reference (STRING);
    optional binary end_to_end_id (STRING);
    required int64 first_seen_at (TIMESTAMP(MICROS,true));
}";
/// Digits behind the point; no currency has more than four, and any amount that we hold fits beside them.
const SCALE: u32 = 9;
/// The day that days are counted from.
const EPOCH: Date = Date::constant(1970, 1, 1);

/// A file as it comes into being.
pub(super) struct Writer(SerializedFileWriter<Vec<u8>>);

/// The values of one column, row by row.
enum Column<'r> {
    Text(Vec<Option<&'r str>>),
    Day(Vec<Option<Date>>),
    Amount(Vec<&'r str>),
    Instant(Vec<Timestamp>),
}

impl Writer {
    /// Begins a file.
    ///
    /// # Errors
    /// None that a caller could do something about.
    pub(super) fn new() -> anyhow::Result<Self> {
        let schema = parse_message_type(SCHEMA)?;
        let properties = WriterProperties::builder().set_created_by("tributary".to_owned()).build();
        Ok(Self(SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?))
    }

    /// Adds a group of rows; gives the bytes that are ready.
    ///
    /// # Errors
    /// An amount has more digits behind the point than the format holds: nothing is rounded.
    pub(super) fn rows(&mut self, rows: &[TransactionBody]) -> anyhow::Result<Vec<u8>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut group = self.0.next_row_group()?;
        for column in columns(rows) {
            let mut writer = group.next_column()?.context("more columns than the schema has")?;
            match column {
                Column::Text(cells) => {
                    let texts: Vec<_> = cells.iter().flatten().map(|text| ByteArray::from(*text)).collect();
                    writer.typed::<ByteArrayType>().write_batch(&texts, Some(&levels(&cells)), None)?;
                }
                Column::Day(cells) => {
                    let days: Vec<_> = cells.iter().flatten().map(|day| days(*day)).collect::<Result<_, _>>()?;
                    writer.typed::<Int32Type>().write_batch(&days, Some(&levels(&cells)), None)?;
                }
                Column::Amount(cells) => {
                    let amounts: Vec<_> = cells.into_iter().map(unscaled).collect::<Result<_, _>>()?;
                    writer.typed::<FixedLenByteArrayType>().write_batch(&amounts, None, None)?;
                }
                Column::Instant(cells) => {
                    let instants: Vec<_> = cells.into_iter().map(Timestamp::as_microsecond).collect();
                    writer.typed::<Int64Type>().write_batch(&instants, None, None)?;
                }
            }
            writer.close()?;
        }
        group.close()?;
        self.ready()
    }

    /// Ends the file; gives the bytes that are left.
    ///
    /// # Errors
    /// As [`Writer::new`].
    pub(super) fn end(&mut self) -> anyhow::Result<Vec<u8>> {
        self.0.finish()?;
        self.ready()
    }

    fn ready(&mut self) -> anyhow::Result<Vec<u8>> {
        self.0.flush()?;
        Ok(std::mem::take(self.0.inner_mut()))
    }
}

/// What stands in each column, in the order of the schema.
fn columns(rows: &[TransactionBody]) -> [Column<'_>; 16] {
    fn texts<'r>(rows: &'r [TransactionBody], of: fn(&'r TransactionBody) -> Option<&'r str>) -> Column<'r> {
        Column::Text(rows.iter().map(of).collect())
    }
    fn days(rows: &[TransactionBody], of: fn(&TransactionBody) -> Option<Date>) -> Column<'_> {
        Column::Day(rows.iter().map(of).collect())
    }
    [
        texts(rows, |row| Some(&row.id)),
        texts(rows, |row| Some(&row.account_id)),
        texts(rows, |row| Some(&row.status)),
        days(rows, |row| row.booking_date),
        days(rows, |row| row.value_date),
        days(rows, |row| row.transaction_date),
        Column::Amount(rows.iter().map(|row| row.amount.amount.as_str()).collect()),
        texts(rows, |row| Some(&row.amount.currency)),
        texts(rows, |row| row.counterparty.as_deref()),
        texts(rows, |row| row.counterparty_account.as_deref()),
        texts(rows, |row| row.merchant.as_deref()),
        texts(rows, |row| row.category.as_deref()),
        texts(rows, |row| row.description.as_deref()),
        texts(rows, |row| row.bank_reference.as_deref()),
        texts(rows, |row| row.end_to_end_id.as_deref()),
        Column::Instant(rows.iter().map(|row| row.first_seen_at).collect()),
    ]
}

/// Which cells of a column are filled.
fn levels<T>(cells: &[Option<T>]) -> Vec<i16> {
    cells.iter().map(|cell| i16::from(cell.is_some())).collect()
}

/// Days since the epoch.
fn days(day: Date) -> anyhow::Result<i32> {
    Ok(EPOCH.until(day)?.get_days())
}

/// An amount as sixteen bytes, the most significant first, in units of the ninth digit behind the point.
fn unscaled(amount: &str) -> anyhow::Result<FixedLenByteArray> {
    let amount: Decimal = amount.parse()?;
    let more = SCALE.checked_sub(amount.scale()).context("an amount of more digits than the format holds")?;
    let units = amount.mantissa().checked_mul(10_i128.pow(more)).context("an amount out of bounds")?;
    Ok(FixedLenByteArray::from(units.to_be_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_kept_to_the_last_digit_or_refused() {
        for (text, units) in [
            ("-12.34", -12_340_000_000),
            ("0", 0),
            ("1.000000001", 1_000_000_001),
            ("79228162514264337593543950335", 79_228_162_514_264_337_593_543_950_335_000_000_000),
        ] {
            assert_eq!(unscaled(text).unwrap().data(), i128::to_be_bytes(units), "{text}");
        }
        assert!(unscaled("0.0000000001").is_err());
    }

    #[test]
    fn days_are_counted_from_the_epoch() {
        for (day, number) in [(EPOCH, 0), (Date::constant(2024, 2, 29), 19_782), (Date::constant(1969, 12, 31), -1)] {
            assert_eq!(days(day).unwrap(), number);
        }
    }

    #[test]
    fn a_file_is_one_from_its_footer_on() {
        let mut writer = Writer::new().unwrap();
        assert!(writer.rows(&[]).unwrap().is_empty());
        let file = writer.end().unwrap();
        assert!(file.starts_with(b"PAR1") && file.ends_with(b"PAR1"));
    }
}
