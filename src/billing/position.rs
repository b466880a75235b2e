//! How far the billing store has read the journal of each partition.

use sqlx::AnyConnection;

use super::BillingError;
use super::record::narrow;
use domain::time::UnixMillis;

/// Up to where a partition's journal was committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The sequence that the next entry must have.
    pub next_sequence: u64,
    /// The id of the block before it.
    pub last_block: [u8; 16],
    /// When that was written.
    pub last_time: UnixMillis,
}

impl Position {
    /// The beginning of a journal.
    pub const BEGINNING: Position = Position { next_sequence: 1, last_block: [0; 16], last_time: UnixMillis::NONE };
}

/// The journal position that a result reflects: the last entry of each partition that was aggregated.
pub type JournalPosition = Vec<(u16, u64)>;

/// Up to which entry of each partition the journal was taken in.
pub(crate) async fn position(connection: &mut AnyConnection) -> Result<JournalPosition, BillingError> {
    let rows = sqlx::query("SELECT partition, next_sequence FROM partitions ORDER BY partition").fetch_all(connection).await?;
    rows.iter().map(|row| Ok((narrow(row, "partition")?, narrow::<u64>(row, "next_sequence")?.saturating_sub(1)))).collect()
}

/// A block's id, as text.
#[must_use]
pub fn hex(id: &[u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The inverse of [`hex`].
#[must_use]
pub fn unhex(text: &str) -> Option<[u8; 16]> {
    let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
    Some(number.to_be_bytes())
}
