//! The journal as its readers see it: blocks, how far they reach, and which accounts a new month has not touched.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::entry::Entry;
use domain::ids::AccountId;
use domain::time::UnixMillis;

/// A block of journal entries: what one step wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The partition's sequence of its first entry; the others follow without a gap.
    pub first_sequence: u64,
    /// Its random id.
    pub id: [u8; 16],
    /// The id of the block before it.
    pub previous: [u8; 16],
    /// When it was written.
    pub time: UnixMillis,
    pub entries: Vec<Entry>,
}

impl Block {
    /// The sequence after its last entry.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first_sequence + self.entries.len() as u64
    }
}

/// Which part of its journal a partition still has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSpan {
    /// The sequence of the first entry that is kept; of an empty journal: the next one.
    pub first: u64,
    /// The sequence that the next entry will have.
    pub next: u64,
    /// The partition's time: that of its latest step that changed something.
    pub now: UnixMillis,
    /// Whether a billing store reads it, as far as the store knows.
    pub is_read: bool,
    /// From when on a sweep has something to do; 0 where that is not known beforehand.
    pub due_from: UnixMillis,
    /// Whether the step of the next entry was torn: its block is in the journal, and not all else that it had to write is there.
    pub is_torn: bool,
}

impl JournalSpan {
    /// The entry at which a step was torn, if one was.
    #[must_use]
    pub fn torn(&self) -> Option<u64> {
        self.is_torn.then_some(self.next)
    }
}

/// The process that trims a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trimmer {
    /// Its reader, who has committed what is dropped.
    Reader,
    /// Somebody who knows of no reader: what is dropped was never read.
    Stranger,
}

/// A page of accounts whose billing period is over, and whose close is not written yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DuePage {
    /// Their ids.
    pub accounts: Vec<AccountId>,
    /// Where to go on; `None` if there are no more. Only the engine that made it can read it.
    pub next: Option<String>,
}

/// While it is held, no entry is dropped from the journal.
#[derive(Debug)]
pub struct JournalHold(Arc<AtomicBool>);

impl JournalHold {
    /// `None` if another one is held.
    pub(crate) fn take(held: &Arc<AtomicBool>) -> Option<Self> {
        (!held.swap(true, Ordering::SeqCst)).then(|| Self(Arc::clone(held)))
    }
}

impl Drop for JournalHold {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}
