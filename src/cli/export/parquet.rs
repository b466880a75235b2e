//! Usage records as a Parquet file: written column by column, a group of rows at a time.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use rust_decimal::Decimal;

use super::record::Row;
use crate::grpc::v1::UsageRecord;

/// How many records a group of rows has: they are held in memory until it is written.
const GROUP: usize = 50_000;

/// Digits behind the point of an amount: the most that any account has.
const SCALE: u32 = 6;

/// The columns of the CSV, with types. What is absent is null.
const SCHEMA: &str = "message usage {
    required binary record_id (STRING);
    required binary account_id (STRING);
    required binary type (STRING);
    required binary request_id (STRING);
    required int64 accepted_at (TIMESTAMP(MILLIS, true));
    required binary mode (STRING);
    required int32 bill_number;
    required fixed_len_byte_array(16) amount (DECIMAL(38, 6));
    required binary currency_code (STRING);
    optional binary refers_to (STRING);
    optional binary category (STRING);
    optional binary item (STRING);
    optional binary description (STRING);
    optional binary quantity (STRING);
    optional binary unit (STRING);
    optional int64 occurred_at (TIMESTAMP(MILLIS, true));
    optional binary attributes (JSON);
    required binary kind (STRING);
    optional fixed_len_byte_array(16) credited (DECIMAL(38, 6));
}";

/// A file that is being written.
pub struct ParquetFile<W: Write + Send> {
    file: SerializedFileWriter<W>,
    /// The records of the next group.
    waiting: Vec<UsageRecord>,
}

impl<W: Write + Send> ParquetFile<W> {
    /// Begins a file.
    pub fn begin(output: W) -> Result<Self> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = SerializedFileWriter::new(output, Arc::new(parse_message_type(SCHEMA)?), Arc::new(properties))?;
        Ok(Self { file, waiting: Vec::new() })
    }

    /// Folds records.
    pub fn write(&mut self, records: &[UsageRecord]) -> Result<()> {
        self.waiting.extend_from_slice(records);
        if self.waiting.len() >= GROUP { self.write_group() } else { Ok(()) }
    }

    /// Ends the file: with what it says at its end, it can be read.
    pub fn finish(mut self) -> Result<()> {
        if !self.waiting.is_empty() {
            self.write_group()?;
        }
        self.file.close().map(drop)
    }

    fn write_group(&mut self) -> Result<()> {
        let rows: Vec<_> = self.waiting.iter().map(Row::of).collect();
        let amounts = rows.iter().map(|row| decimal(row.amount)).collect::<Result<Vec<_>>>()?;
        let credited = rows.iter().map(|row| row.credited.map(decimal).transpose()).collect::<Result<Vec<_>>>()?;
        let mut group = self.file.next_row_group()?;
        texts(&mut group, rows.iter().map(|row| row.record_id))?;
        texts(&mut group, rows.iter().map(|row| row.account_id))?;
        texts(&mut group, rows.iter().map(|row| row.kind_of_change))?;
        texts(&mut group, rows.iter().map(|row| row.request_id))?;
        column::<Int64Type>(&mut group, &rows.iter().map(|row| millis(row.accepted_at).unwrap_or_default()).collect::<Vec<_>>(), None)?;
        texts(&mut group, rows.iter().map(|row| row.mode))?;
        column::<Int32Type>(&mut group, &rows.iter().map(|row| row.bill_number).collect::<Vec<_>>(), None)?;
        column::<FixedLenByteArrayType>(&mut group, &amounts, None)?;
        texts(&mut group, rows.iter().map(|row| row.currency_code))?;
        optional_texts(&mut group, rows.iter().map(|row| row.refers_to))?;
        optional_texts(&mut group, rows.iter().map(|row| row.category))?;
        optional_texts(&mut group, rows.iter().map(|row| row.item))?;
        optional_texts(&mut group, rows.iter().map(|row| row.description))?;
        optional_texts(&mut group, rows.iter().map(|row| row.quantity))?;
        optional_texts(&mut group, rows.iter().map(|row| row.unit))?;
        optional::<Int64Type>(&mut group, rows.iter().map(|row| millis(row.occurred_at)))?;
        optional::<ByteArrayType>(&mut group, rows.iter().map(|row| text(&row.attributes_json())))?;
        texts(&mut group, rows.iter().map(|row| row.kind))?;
        optional::<FixedLenByteArrayType>(&mut group, credited.into_iter())?;
        group.close()?;
        self.waiting.clear();
        Ok(())
    }
}

/// Writes the next column.
fn column<T: DataType>(group: &mut SerializedRowGroupWriter<'_, impl Write + Send>, values: &[T::T], levels: Option<&[i16]>) -> Result<()> {
    let next = group.next_column()?;
    let mut writer = next.ok_or_else(|| ParquetError::General("there are more columns than the schema has".into()))?;
    writer.typed::<T>().write_batch(values, levels, None)?;
    writer.close()
}

fn optional<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: impl Iterator<Item = Option<T::T>> + Clone,
) -> Result<()> {
    let levels: Vec<i16> = values.clone().map(|value| i16::from(value.is_some())).collect();
    column::<T>(group, &values.flatten().collect::<Vec<_>>(), Some(&levels))
}

fn texts<'a>(group: &mut SerializedRowGroupWriter<'_, impl Write + Send>, values: impl Iterator<Item = &'a str>) -> Result<()> {
    column::<ByteArrayType>(group, &values.map(ByteArray::from).collect::<Vec<_>>(), None)
}

fn optional_texts<'a>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: impl Iterator<Item = &'a str> + Clone,
) -> Result<()> {
    optional::<ByteArrayType>(group, values.map(text))
}

fn text(text: &str) -> Option<ByteArray> {
    (!text.is_empty()).then(|| ByteArray::from(text))
}

fn millis(at: Option<jiff::Timestamp>) -> Option<i64> {
    at.map(jiff::Timestamp::as_millisecond)
}

/// An amount, exactly.
fn decimal(amount: &str) -> Result<FixedLenByteArray> {
    let invalid = || ParquetError::General(format!("the amount {amount:?} has more than {SCALE} decimals"));
    let parsed: Decimal = amount.parse().map_err(|_| invalid())?;
    let parsed = parsed.normalize();
    let missing = SCALE.checked_sub(parsed.scale()).ok_or_else(invalid)?;
    let units = parsed.mantissa().checked_mul(10_i128.pow(missing)).ok_or_else(invalid)?;
    Ok(ByteArray::from(units.to_be_bytes().to_vec()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        let units = |amount: &str| i128::from_be_bytes(decimal(amount).unwrap().data().try_into().unwrap());
        assert_eq!(units("1.50"), 1_500_000);
        assert_eq!(units("-0.000001"), -1);
        assert_eq!(units("2251799813685248"), 2_251_799_813_685_248_000_000);
        assert!(decimal("0.0000001").is_err());
        assert!(decimal("").is_err());
    }
}
