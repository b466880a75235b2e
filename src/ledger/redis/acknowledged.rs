//! The blocks that callers were told of last, and the search for them on each new connection.
//!
//! A failover to a replica that was behind, or a server that returns with an older file, silently loses the end of a journal. So each
//! thread keeps the last acknowledged blocks of each partition, and looks for them on each new connection, and when a partition moves to an
//! existing one. Missing blocks are logged, counted, and kept aside beside the partition ([`Losses`]), until an operator applies them
//! again or gives them up. From then on the partition goes on: what a caller repeats
//! is done once, whether the operator or the caller is first.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, FromRedisValue, RedisError, Value};

use super::batch::PackedBatch;
use super::connection::{Proof, ScriptOptions, ScriptReply, Wait, send_so};
use super::keys::PartitionKeys;
use super::losses::{Losses, field};
use super::reply::Written;
use super::reply_failure::{ReplyFailure, of_read};
use crate::codec::records::{BlockHeader, StepState};

/// How much a thread keeps of the contents of the blocks of all partitions, in bytes.
const CONTENTS: usize = 32 << 20;

/// How many acknowledged blocks of all partitions a thread remembers, also where it has no room for their contents.
const BLOCKS: usize = 131_072;

/// How many blocks are kept aside by one command.
const AT_ONCE: usize = 64;

/// Why it is not known what a partition has lost, or that is not kept aside.
#[derive(Debug, thiserror::Error)]
enum Unfinished {
    /// Of the server, or of the way to it.
    #[error(transparent)]
    Failed(#[from] RedisError),
    /// Fewer replicas have it than must have what is acknowledged.
    #[error("{found} of {needed} replicas have it")]
    Short { found: u64, needed: u32 },
}

/// The blocks that one thread has acknowledged.
pub(super) struct Acknowledged {
    /// One per partition, owned by one thread: nothing waits for their locks.
    partitions: Box<[Mutex<Tail>]>,
    room: TailLimits,
    /// What replicas must have before something counts as kept aside: as much as of what is acknowledged.
    proof: Wait,
}

/// How much is kept of a partition, so that all of them stay within bounds.
#[derive(Clone, Copy, Debug)]
struct TailLimits {
    bytes: usize,
    blocks: usize,
}

impl TailLimits {
    /// The share of one partition, given their number. A power of two, because that is what a queue allocates.
    fn of_each(partitions: usize) -> Self {
        let partitions = partitions.max(1);
        Self { bytes: CONTENTS / partitions, blocks: 1 << (BLOCKS / partitions).max(1).ilog2() }
    }
}

/// The last blocks of a partition, oldest first.
#[derive(Default)]
struct Tail {
    blocks: VecDeque<AcknowledgedBlock>,
    /// How many of the oldest have no content any more.
    emptied: usize,
    bytes: usize,
    /// How many of the latest were told to be lost, and could not be kept aside yet.
    waiting: usize,
    /// Whether the log was told that they could not.
    is_refusal_told: bool,
}

/// A block that was acknowledged.
struct AcknowledgedBlock {
    header: BlockHeader,
    /// The ids of the accounts, the metadata, and the entries; empty once there is no room.
    content: Box<[u8]>,
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
struct Lost {
    /// The first entry and the last.
    range: (u64, u64),
    /// How many entries this thread had acknowledged of them, in how many blocks.
    entries: u64,
    count: usize,
    /// What can be kept aside: a field for each block, and its bytes. One without entries stands for all that have no content any more.
    blocks: Vec<(String, Vec<u8>)>,
}

impl Acknowledged {
    /// Starts with nothing acknowledged in any of `partitions`.
    pub(super) fn new(partitions: usize, proof: Wait) -> Self {
        Self { partitions: (0..partitions).map(|_| Mutex::default()).collect(), room: TailLimits::of_each(partitions), proof }
    }

    fn tail(&self, partition: u16) -> Option<MutexGuard<'_, Tail>> {
        Some(self.partitions.get(usize::from(partition))?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes what a step wrote that is acknowledged now.
    pub(super) fn note(&self, partition: u16, id: [u8; 16], packed: &PackedBatch, commands: usize, written: &Written<'_>) {
        let header = BlockHeader {
            first_sequence: written.first_sequence,
            count: written.count,
            time: written.time,
            id,
            // Others may have written the one before.
            previous: [0; 16],
            accounts: packed.accounts,
            metadata: u16::try_from(commands).unwrap_or(u16::MAX),
        };
        if let Some(mut tail) = self.tail(partition) {
            let content = [packed.ids.as_slice(), &packed.metadata, written.entries].concat().into();
            tail.keep(AcknowledgedBlock { header, content }, self.room);
        }
    }

    /// Looks for the last acknowledged blocks of partitions at a server. Returns the partitions that are to be looked for again before
    /// anything is sent to them: the server cannot tell of them now, or does not keep aside what it has lost. Nothing is forgotten until then.
    pub(super) async fn look_for(
        &self,
        connection: &mut MultiplexedConnection,
        keys: &[PartitionKeys],
        partitions: &[u16],
        losses: &Losses,
    ) -> Result<Vec<u16>, RedisError> {
        let asked: Vec<_> = partitions.iter().filter_map(|number| keys.get(usize::from(*number))).collect();
        let mut commands = redis::Pipeline::with_capacity(2 * asked.len());
        for keys in &asked {
            commands.cmd("HGET").arg(keys.accounts()).arg("").cmd("HLEN").arg(keys.lost());
        }
        let answers = match commands.is_empty() {
            true => Vec::new(),
            false => connection.send_packed_commands(&commands, 0, commands.len()).await?,
        };
        let mut left = Vec::new();
        for (keys, answers) in asked.into_iter().zip(answers.chunks(2)) {
            let [state, aside] = answers else { continue };
            // Another connection may just be keeping something aside: that there is nothing yet does not say that nothing is lost.
            match u64::from_redis_value_ref(aside) {
                Ok(aside @ 1..) => losses.found_aside(keys.number, aside),
                _ => losses.show(keys.number),
            }
            let looked = match state.clone().extract_error() {
                Ok(Value::BulkString(state)) => match StepState::get(&mut state.as_slice()) {
                    Some(state) => self.look_for_tail(connection, keys, state, losses).await,
                    None => Ok(()),
                },
                Ok(_) => Ok(()),
                Err(error) => Err(error.into()),
            };
            match looked {
                Ok(()) => {}
                Err(Unfinished::Short { .. }) => left.push(keys.number),
                Err(Unfinished::Failed(error)) if !matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) => {
                    return Err(error);
                }
                Err(Unfinished::Failed(error)) => match of_read(&error) {
                    // It is elsewhere, or on its way there.
                    ReplyFailure::Moved(_) | ReplyFailure::Asked(_) => {}
                    _ if self.is_any_known(keys.number) => left.push(keys.number),
                    _ => {}
                },
            }
        }
        Ok(left)
    }

    fn is_any_known(&self, partition: u16) -> bool {
        self.tail(partition).is_some_and(|tail| !tail.blocks.is_empty())
    }

    async fn look_for_tail(
        &self,
        connection: &mut MultiplexedConnection,
        keys: &PartitionKeys,
        state: StepState,
        losses: &Losses,
    ) -> Result<(), Unfinished> {
        let known: Vec<BlockHeader> = match self.tail(keys.number) {
            Some(tail) => tail.blocks.iter().map(|kept| kept.header).collect(),
            None => return Ok(()),
        };
        let Some(last) = known.last() else { return Ok(()) };
        let sequence = state.sequence;
        if last.id == state.last_block || is_there(connection, keys, sequence, last).await? {
            return Ok(());
        }
        // Whatever comes before a block that is there is there, too.
        let (mut there, mut end) = (0, known.len() - 1);
        while there < end {
            let middle = usize::midpoint(there, end);
            let is_found = match known.get(middle) {
                Some(block) => is_there(connection, keys, sequence, block).await?,
                None => false,
            };
            if is_found {
                there = middle + 1;
            } else {
                end = middle;
            }
        }
        let lost = match (self.tail(keys.number), known.get(there)) {
            (Some(tail), Some(first)) => tail.from(first.id, sequence),
            _ => return Ok(()),
        };
        if lost.count == 0 {
            return Ok(());
        }
        // An alarm first, which stays on though nothing can be kept aside.
        if let Some(mut tail) = self.tail(keys.number)
            && tail.waiting == 0
        {
            tail.waiting = lost.count;
            losses.found(keys.number, lost.range, lost.entries);
        }
        self.keep_aside(connection, keys, &lost.blocks).await.inspect_err(|error| self.tell_refusal(keys.number, error))?;
        if let (Some(mut tail), Some(first)) = (self.tail(keys.number), known.get(there)) {
            if tail.waiting > 0 {
                losses.kept_aside(keys.number);
            }
            tail.forget_from(first.id);
        }
        Ok(())
    }

    /// Puts blocks beside the partition, and has that proved as what is acknowledged.
    async fn keep_aside(
        &self,
        connection: &mut MultiplexedConnection,
        keys: &PartitionKeys,
        blocks: &[(String, Vec<u8>)],
    ) -> Result<(), Unfinished> {
        let mut chunks = blocks.chunks(AT_ONCE).peekable();
        while let Some(blocks) = chunks.next() {
            let mut command = redis::cmd("HSET");
            command.arg(keys.lost());
            blocks.iter().for_each(|(field, block)| {
                command.arg(field).arg(block.as_slice());
            });
            // Replicas that have the last have all of it.
            let wait = self.proof.filter(|_| chunks.peek().is_none());
            let ScriptReply { replicas, .. } = send_so(connection, command, ScriptOptions { is_asking: false, wait }).await?;
            if let (Some(Proof { replicas: needed, .. }), found) = (wait, replicas.unwrap_or(0))
                && found < u64::from(needed)
            {
                return Err(Unfinished::Short { found, needed });
            }
        }
        Ok(())
    }

    /// Logs once that what a server has lost is not kept aside.
    fn tell_refusal(&self, partition: u16, error: &Unfinished) {
        if self.tail(partition).is_some_and(|mut tail| !std::mem::replace(&mut tail.is_refusal_told, true)) {
            tracing::warn!(partition, %error, "what was lost cannot be kept aside yet");
        }
    }
}

impl Tail {
    fn keep(&mut self, kept: AcknowledgedBlock, room: TailLimits) {
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

    /// What is lost, if the block of this id and all behind it are, and the store goes up to that entry.
    fn from(&self, id: [u8; 16], sequence: u64) -> Lost {
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

    fn forget_from(&mut self, id: [u8; 16]) {
        let place = self.place(id);
        let forgotten: usize = self.blocks.iter().skip(place).map(AcknowledgedBlock::bytes).sum();
        self.blocks.truncate(place);
        self.bytes -= forgotten;
        self.emptied = self.emptied.min(place);
        (self.waiting, self.is_refusal_told) = (0, false);
    }
}

/// Whether a block is in a partition's journal, which goes up to that entry, or was: a reader has had dropped what it took in.
async fn is_there(
    connection: &mut MultiplexedConnection,
    keys: &PartitionKeys,
    sequence: u64,
    block: &BlockHeader,
) -> Result<bool, RedisError> {
    type Found = Vec<(String, Vec<(String, Vec<u8>)>)>;
    let place = format!("{}-0", block.first_sequence);
    let found: Found = redis::cmd("XRANGE").arg(keys.journal()).arg(&place).arg(&place).query_async(connection).await?;
    if let Some((_, parts)) = found.first() {
        let header = parts.first().and_then(|(_, header)| BlockHeader::get(&mut header.as_slice()));
        return Ok(header.is_some_and(|header| header.id == block.id));
    }
    if sequence + 1 < block.first_sequence + u64::from(block.count) {
        return Ok(false);
    }
    let oldest: Found = redis::cmd("XRANGE").arg(keys.journal()).arg("1-0").arg("+").arg("COUNT").arg(1).query_async(connection).await?;
    let first = oldest.first().and_then(|(id, _)| id.split_once('-')?.0.parse::<u64>().ok());
    Ok(first.is_none_or(|first| first > block.first_sequence))
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
