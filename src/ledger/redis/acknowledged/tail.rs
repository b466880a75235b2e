//! The last acknowledged blocks of a partition: of the latest with their contents, of others only which they were.

use std::collections::VecDeque;

use crate::codec::records::BlockHeader;
use crate::redis::losses::field;

/// How much a thread keeps of the contents of the blocks of all partitions, in bytes.
const CONTENTS: usize = 32 << 20;

/// How many acknowledged blocks of all partitions a thread remembers, also where it has no room for their contents.
const BLOCKS: usize = 131_072;

/// How much is kept of a partition, so that all of them stay within bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct TailLimits {
    bytes: usize,
    blocks: usize,
}

impl TailLimits {
    /// The share of one partition, given their number. A power of two, because that is what a queue allocates.
    pub(super) fn of_each(partitions: usize) -> Self {
        let partitions = partitions.max(1);
        Self { bytes: CONTENTS / partitions, blocks: 1 << (BLOCKS / partitions).max(1).ilog2() }
    }
}

/// The last blocks of a partition, oldest first.
#[derive(Default)]
pub(super) struct Tail {
    pub(super) blocks: VecDeque<AcknowledgedBlock>,
    /// How many of the oldest have no content any more.
    emptied: usize,
    bytes: usize,
    /// How many of the latest were told to be lost, and could not be kept aside yet.
    pub(super) waiting: usize,
    /// Whether the log was told that they could not.
    pub(super) is_refusal_told: bool,
}

/// A block that was acknowledged.
pub(super) struct AcknowledgedBlock {
    pub(super) header: BlockHeader,
    /// The ids of the accounts, the metadata, and the entries; empty once there is no room.
    pub(super) content: Box<[u8]>,
}

impl AcknowledgedBlock {
    fn bytes(&self) -> usize {
        self.content.len()
    }

    fn end(&self) -> u64 {
        self.header.first_sequence + u64::from(self.header.count)
    }
}

/// Blocks that were acknowledged, and are not in the store.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// The first entry and the last.
    pub(super) range: (u64, u64),
    /// How many entries this thread had acknowledged of them, in how many blocks.
    pub(super) entries: u64,
    pub(super) count: usize,
    /// What can be kept aside. A block without entries stands for all that have no content any more.
    pub(super) blocks: Aside,
}

/// A field for each block that is kept aside, and its bytes.
pub(super) type Aside = Vec<(String, Vec<u8>)>;

impl Tail {
    /// Adds a block, and drops of the oldest what there is no room for.
    pub(super) fn keep(&mut self, kept: AcknowledgedBlock, room: TailLimits) {
        if self.blocks.len() >= room.blocks
            && let Some(oldest) = self.blocks.pop_front()
        {
            self.bytes -= oldest.bytes();
            self.emptied = self.emptied.saturating_sub(1);
        }
        self.bytes += kept.bytes();
        self.blocks.push_back(kept);
        while self.bytes > room.bytes
            && let Some(oldest) = self.blocks.get_mut(self.emptied)
        {
            self.bytes -= oldest.bytes();
            oldest.content = Box::default();
            self.emptied += 1;
        }
    }

    fn place(&self, id: [u8; 16]) -> usize {
        self.blocks.iter().rposition(|kept| kept.header.id == id).unwrap_or(self.blocks.len())
    }

    /// Returns what is lost, if the block of this id and all behind it are, and the store goes up to that entry.
    pub(super) fn from(&self, id: [u8; 16], sequence: u64) -> Lost {
        let place = self.place(id);
        let mut lost = Lost::default();
        for kept in self.blocks.iter().skip(place) {
            if lost.entries == 0 {
                // Of what came before the oldest that is known, nobody knows better than the store.
                let first = if place == 0 { kept.header.first_sequence.min(sequence + 1) } else { kept.header.first_sequence };
                lost.range.0 = first;
            }
            lost.range.1 = kept.end() - 1;
            lost.entries += u64::from(kept.header.count);
            lost.count += 1;
            if kept.bytes() == 0 && lost.blocks.is_empty() {
                let mut bytes = Vec::with_capacity(BlockHeader::BYTES);
                BlockHeader { count: 0, accounts: 0, metadata: 0, ..kept.header }.put(&mut bytes);
                lost.blocks.push((field(kept.header.first_sequence, kept.header.id), bytes));
            } else if kept.bytes() > 0 {
                let mut bytes = Vec::with_capacity(BlockHeader::BYTES + kept.bytes());
                kept.header.put(&mut bytes);
                bytes.extend_from_slice(&kept.content);
                lost.blocks.push((field(kept.header.first_sequence, kept.header.id), bytes));
            }
        }
        lost
    }

    /// Forgets the block of this id and all behind it.
    pub(super) fn forget_from(&mut self, id: [u8; 16]) {
        let place = self.place(id);
        let forgotten: usize = self.blocks.iter().skip(place).map(AcknowledgedBlock::bytes).sum();
        self.blocks.truncate(place);
        self.bytes -= forgotten;
        self.emptied = self.emptied.min(place);
        (self.waiting, self.is_refusal_told) = (0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::UnixMillis;

    fn kept(first_sequence: u64, count: u32, bytes: usize) -> AcknowledgedBlock {
        let id = u128::from(first_sequence).to_be_bytes();
        let header = BlockHeader { first_sequence, count, time: UnixMillis::NONE, id, previous: [0; 16], accounts: 1, metadata: 1 };
        AcknowledgedBlock { header, content: vec![0; bytes].into() }
    }

    fn id(first_sequence: u64) -> [u8; 16] {
        u128::from(first_sequence).to_be_bytes()
    }

    #[test]
    fn what_has_no_room_is_still_counted() {
        let mut tail = Tail::default();
        for number in 0..10 {
            tail.keep(kept(1 + 2 * number, 2, 100), TailLimits { bytes: 350, blocks: 16 });
        }
        assert_eq!((tail.emptied, tail.bytes), (7, 300));
        let lost = tail.from(id(3), 2);
        // One stands for what has no content any more.
        assert_eq!((lost.range, lost.entries, lost.blocks.len(), lost.count), ((3, 20), 18, 4, 9));
        // The store goes less far back than what is known.
        assert_eq!(tail.from(id(1), 0).range, (1, 20));
        tail.forget_from(id(17));
        assert_eq!((tail.blocks.len(), tail.emptied, tail.bytes), (8, 7, 100));
        tail.forget_from(id(3));
        assert_eq!((tail.blocks.len(), tail.emptied, tail.bytes), (1, 1, 0));
    }

    #[test]
    fn what_a_thread_keeps_of_all_partitions_together_is_bounded() {
        for partitions in [1, 4, 8, 48, 1_024] {
            let (mut tail, room) = (Tail::default(), TailLimits::of_each(partitions));
            (0..2 * room.blocks as u64 + 5).for_each(|number| tail.keep(kept(1 + number, 1, 1), TailLimits { bytes: 3, ..room }));
            assert_eq!((tail.blocks.len(), tail.emptied, tail.bytes), (room.blocks, room.blocks - 3, 3));
            assert!(partitions * tail.blocks.capacity() * size_of::<AcknowledgedBlock>() <= 10 << 20, "{partitions}");
            assert!(partitions * room.bytes <= CONTENTS && room.blocks >= 100, "{partitions}");
        }
    }
}
