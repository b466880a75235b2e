//! The blocks that callers were told of last, and the search for them on each new connection.
//!
//! A failover to a replica that was behind, or a server that returns with an older file, silently loses the end of a journal. So each
//! thread keeps the last acknowledged blocks of each partition, and looks for them on each new connection, and when a partition moves to an
//! existing one. Missing blocks are logged, counted, and kept aside beside the partition ([`Losses`]), until an operator applies them
//! again or gives them up. From then on the partition goes on: what a caller repeats
//! is done once, whether the operator or the caller is first.

mod tail;

use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, Value};

use super::batch::PackedBatch;
use super::keys::PartitionKeys;
use super::losses::Losses;
use super::reply::Written;
use super::reply_failure::{ReplyFailure, of_read};
use super::sending::{Asking, Proof, ScriptOptions, ScriptReply, Wait, send_so};
use crate::codec::records::{BlockHeader, StepState};
use tail::{AcknowledgedBlock, Aside, Tail, TailLimits};

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

/// A server that is asked for blocks.
struct Server {
    connection: MultiplexedConnection,
    /// Whether the slot is on its way there.
    is_asking: bool,
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
                Ok(state) => match state_of(&state) {
                    Some(state) => self.look_for_tail(connection, keys, state, losses).await,
                    None => Ok(()),
                },
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

    /// Looks for the last acknowledged blocks of a partition at a server that its slot is on its way to. False: nothing may be sent to it
    /// there, because it has not arrived, or has lost something. That is kept aside once the slot has arrived: until then, what is aside
    /// may be on its way, too.
    pub(super) async fn is_all_on_its_way(
        &self,
        connection: MultiplexedConnection,
        keys: &PartitionKeys,
        losses: &Losses,
    ) -> Result<bool, RedisError> {
        if !self.is_any_known(keys.number) {
            return Ok(true);
        }
        let mut server = Server { connection, is_asking: true };
        let state = match server.query(redis::cmd("HGET").arg(keys.accounts()).arg("")).await {
            // What is sent there gets the same answer.
            Err(error) if matches!(of_read(&error), ReplyFailure::Moved(_) | ReplyFailure::Asked(_)) => return Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) => return Ok(false),
            answer => answer?,
        };
        let Some(state) = state_of(&state) else { return Ok(false) };
        let lost = self.find_lost(&mut server, keys, state, losses).await?;
        Ok(lost.is_none())
    }

    /// Keeps aside what is lost of a partition.
    async fn look_for_tail(
        &self,
        connection: &mut MultiplexedConnection,
        keys: &PartitionKeys,
        state: StepState,
        losses: &Losses,
    ) -> Result<(), Unfinished> {
        let mut server = Server { connection: connection.clone(), is_asking: false };
        let Some((first, blocks)) = self.find_lost(&mut server, keys, state, losses).await? else { return Ok(()) };
        self.keep_aside(connection, keys, &blocks).await.inspect_err(|error| self.tell_refusal(keys.number, error))?;
        if let Some(mut tail) = self.tail(keys.number) {
            if tail.waiting > 0 {
                losses.kept_aside(keys.number);
            }
            tail.forget_from(first);
        }
        Ok(())
    }

    /// Tells of what is lost of a partition. Returns the id of the first block, and what can be kept aside; `None` if nothing is lost.
    async fn find_lost(
        &self,
        server: &mut Server,
        keys: &PartitionKeys,
        state: StepState,
        losses: &Losses,
    ) -> Result<Option<([u8; 16], Aside)>, RedisError> {
        let known: Vec<BlockHeader> = match self.tail(keys.number) {
            Some(tail) => tail.blocks.iter().map(|kept| kept.header).collect(),
            None => return Ok(None),
        };
        let Some(last) = known.last() else { return Ok(None) };
        let sequence = state.sequence;
        if last.id == state.last_block || server.has(keys, sequence, last).await? {
            return Ok(None);
        }
        // Whatever comes before a block that is there is there, too.
        let (mut there, mut end) = (0, known.len() - 1);
        while there < end {
            let middle = usize::midpoint(there, end);
            let is_found = match known.get(middle) {
                Some(block) => server.has(keys, sequence, block).await?,
                None => false,
            };
            if is_found {
                there = middle + 1;
            } else {
                end = middle;
            }
        }
        let (Some(mut tail), Some(first)) = (self.tail(keys.number), known.get(there)) else { return Ok(None) };
        let lost = tail.from(first.id, sequence);
        if lost.count == 0 {
            return Ok(None);
        }
        // An alarm first, which stays on though nothing can be kept aside.
        if tail.waiting == 0 {
            tail.waiting = lost.count;
            losses.found(keys.number, lost.range, lost.entries);
        }
        Ok(Some((first.id, lost.blocks)))
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
            let ScriptReply { replicas, .. } = send_so(connection, command, ScriptOptions { asking: None, wait }).await?;
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

impl Server {
    async fn query(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        let manner = ScriptOptions { asking: self.is_asking.then_some(Asking(0)), wait: None };
        Ok(send_so(&mut self.connection, command.clone(), manner).await?.answer)
    }

    /// Whether a block is in a partition's journal, which goes up to that entry, or was: a reader has had dropped what it took in.
    async fn has(&mut self, keys: &PartitionKeys, sequence: u64, block: &BlockHeader) -> Result<bool, RedisError> {
        type Found = Vec<(String, Vec<(String, Vec<u8>)>)>;
        let place = format!("{}-0", block.first_sequence);
        let found = self.query(redis::cmd("XRANGE").arg(keys.journal()).arg(&place).arg(&place)).await?;
        if let Some((_, parts)) = Found::from_redis_value(found)?.first() {
            let header = parts.first().and_then(|(_, header)| BlockHeader::get(&mut header.as_slice()));
            return Ok(header.is_some_and(|header| header.id == block.id));
        }
        if sequence + 1 < block.first_sequence + u64::from(block.count) {
            return Ok(false);
        }
        let oldest = self.query(redis::cmd("XRANGE").arg(keys.journal()).arg("1-0").arg("+").arg("COUNT").arg(1)).await?;
        let oldest = Found::from_redis_value(oldest)?;
        let first = oldest.first().and_then(|(id, _)| id.split_once('-')?.0.parse::<u64>().ok());
        Ok(first.is_none_or(|first| first > block.first_sequence))
    }
}

/// The state of a partition, as its server returns it.
fn state_of(value: &Value) -> Option<StepState> {
    if let Value::BulkString(state) = value { StepState::get(&mut state.as_slice()) } else { None }
}
