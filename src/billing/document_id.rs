//! Ids and names of documents that have no number yet: those of the entries that cut them.

use super::record::{Record, number};

/// The id of the document that an entry cuts.
#[must_use]
pub fn document_id(record: &Record) -> i64 {
    (number(record.sequence) << 16) | i64::from(record.partition)
}

/// The name of a document that has no number yet: of the entry that cut it, as in the journal.
#[must_use]
pub fn name_of(id: i64) -> String {
    format!("{}-{}", id & 0xffff, id >> 16)
}

/// The document of a name.
#[must_use]
pub fn id_of(name: &str) -> Option<i64> {
    let (partition, sequence) = name.split_once('-')?;
    let (partition, sequence) = (partition.parse::<u16>().ok()?, sequence.parse::<u64>().ok().filter(|sequence| *sequence < 1 << 47)?);
    let id = i64::try_from(sequence << 16 | u64::from(partition)).ok()?;
    (name_of(id) == name).then_some(id)
}
