//! How far the journal is read, and what becomes of one that nobody reads.

use crate::domain::account::Millis;
use crate::ledger::{Ledger, LedgerError};

/// A partition's journal without a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnreadJournal {
    /// The partition.
    pub partition: u16,
    /// The first entry that is kept.
    pub first: u64,
    /// How many are kept.
    pub entries: u64,
    /// What becomes of them, for people.
    pub fate: &'static str,
    /// How far the partition's time is ahead of the clock.
    pub ahead: Millis,
}

/// The journals of a ledger without a billing store.
pub async fn unread_journals(ledger: &Ledger) -> Result<Vec<UnreadJournal>, LedgerError> {
    let fate = match ledger.journal_bounds().unread_tail {
        Some(_) => "there is no billing store: usage records are deleted unread, but for the journal's tail",
        None => "there is no billing store: usage records are kept in the journal, and not read",
    };
    let mut journals = Vec::new();
    for partition in 0..ledger.partitions() {
        let span = ledger.engine().journal_span(partition).await?;
        let (entries, ahead) = (span.next.saturating_sub(span.first), span.now - ledger.clock().now());
        journals.push(UnreadJournal { partition, first: span.first, entries, fate, ahead });
    }
    Ok(journals)
}
