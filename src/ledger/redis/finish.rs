//! A step that was torn is finished from its block.
//!
//! A step writes its block first, and accounts and state last, together (see `lua/write.lua`). So a torn one has left accounts and state as
//! they were, and of what stands between, what is remembered first, each write either done or not. The block's entries, folded onto that
//! by [`Rebuild`], produce the same result whichever were done. What entries do not tell is lost if not even what is remembered was
//! written: declines, whose ids are free again, whether a grant was the final unit, and why a report's new reservation was refused.

mod stored_state;
mod writes;

use redis::{FromRedisValue, Value};

use super::RedisEngine;
use super::script::{FINISH, TORN};
use crate::codec::journal::decode_block;
use crate::rebuild::Rebuild;
use crate::{Block, LedgerError};
use writes::Writes;

/// The most arguments of one command.
const AT_ONCE: usize = 1_000;

/// A step that was torn.
pub(super) struct Torn {
    /// What it wrote first.
    pub(super) block: Block,
    /// The last entry, and its block, before it.
    sequence: u64,
    last_block: [u8; 16],
    /// Which of the keys of requests has the younger ones: its parity.
    generation: u64,
}

/// The arguments that finish a step.
pub struct Finish {
    /// The step's block.
    pub block: Block,
    /// The arguments of the script that does it.
    pub arguments: Vec<Vec<u8>>,
}

impl RedisEngine {
    /// The step that was torn, if one was.
    pub(super) async fn find_torn(&self, partition: u16) -> Result<Option<Torn>, LedgerError> {
        let keys = self.keys(partition)?;
        let found = self.run(&TORN, keys, &[&self.mark()]).await.map_err(LedgerError::of_read)?;
        if found == Value::Nil {
            return Ok(None);
        }
        let (sequence, last_block, generation, count, parts): (u64, Vec<u8>, u64, usize, Vec<Vec<u8>>) =
            FromRedisValue::from_redis_value(found).map_err(LedgerError::corrupt)?;
        let block: Vec<u8> = parts.into_iter().skip(1).step_by(2).flatten().collect();
        let block = decode_block(&block).map_err(LedgerError::corrupt)?;
        match last_block.try_into() {
            Ok(last_block) if count == 1 && block.first_sequence == sequence + 1 && block.previous == last_block => {
                Ok(Some(Torn { block, sequence, last_block, generation }))
            }
            _ => Err(only_restore(format!(
                "the journal goes on with entry {} behind {sequence}, and not as a step does",
                block.first_sequence
            ))),
        }
    }

    /// Finishes a torn step, if there is one.
    pub async fn finishing(&self, partition: u16) -> Result<Option<Finish>, LedgerError> {
        let Some(torn) = self.find_torn(partition).await? else { return Ok(None) };
        let stored = self.stored_of(self.keys(partition)?, &torn).await?;
        let mut rebuild = Rebuild::of_step(stored.partition_state(&torn), torn.block.time, self.clock.clone(), self.window);
        for (sequence, entry) in (torn.block.first_sequence..).zip(&torn.block.entries) {
            if let Some(contradiction) = rebuild.replay(sequence, entry).first() {
                return Err(only_restore(format!("a torn step does not follow on what is stored: {contradiction}")));
            }
        }
        let arguments = Writes::new(&torn, &stored, rebuild.into_partition_state()).into_arguments(&self.mark())?;
        Ok(Some(Finish { block: torn.block, arguments }))
    }

    pub(super) async fn finish(&self, partition: u16) -> Result<Option<Block>, LedgerError> {
        let Some(finish) = self.finishing(partition).await? else { return Ok(None) };
        let arguments: Vec<&[u8]> = finish.arguments.iter().map(Vec::as_slice).collect();
        match self.run(&FINISH, self.keys(partition)?, &arguments).await? {
            Value::Int(1) => Ok(Some(finish.block)),
            _ => Err(LedgerError::not_done("the torn step has changed meanwhile: look again")),
        }
    }
}

fn only_restore(reason: impl std::fmt::Display) -> LedgerError {
    LedgerError::corrupt(format!("{reason}; the way on is an empty store and tollgate restore"))
}
