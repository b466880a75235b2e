//! Reads from a partition, where it is, and while it is on its way to another server.

use redis::{Arg, Cmd, FromRedisValue, Pipeline, RedisError, Value, cmd};

use super::RedisEngine;
use super::keys::PartitionKeys;
use super::last_check::ensure;
use super::reply_failure::{self, ReplyFailure};
use crate::codec::journal::decode_block;
use crate::{Block, LedgerError};

/// What a stream holds: an id, and fields. Those of the journal are the parts of a block, in their order.
type StreamEntry = (String, Vec<(String, Vec<u8>)>);

impl RedisEngine {
    /// Reads from a partition. The store is looked at in the same round trip: in one that was lost, what is not found proves nothing.
    pub(super) async fn read<T: FromRedisValue>(&self, keys: &PartitionKeys, command: &Cmd) -> Result<T, LedgerError> {
        self.read_by(keys, command, reply_failure::of_read).await
    }

    /// The same, of which the last says what a failure comes to.
    pub(super) async fn read_by<T: FromRedisValue>(
        &self,
        keys: &PartitionKeys,
        command: &Cmd,
        reply_failure: impl Fn(&RedisError) -> ReplyFailure,
    ) -> Result<T, LedgerError> {
        ensure(&self.checks.stores, keys.number)?;
        let mut commands = Pipeline::with_capacity(2);
        commands.add_command(command.clone()).cmd("GET").arg(&keys.settings);
        let mut attempts = self.routes.reads(keys.number);
        let (found, copy) = loop {
            let (connection, on_its_way) = attempts.connection().await?;
            let is_asking = on_its_way.is_some();
            let answers = match is_asking {
                true => connection.send_all(&asking(command, &keys.settings)).await,
                false => connection.send_all(&commands).await,
            };
            let answers = answers.and_then(|answers| {
                let answers = answers.into_iter().enumerate().filter(|(place, _)| !is_asking || place % 2 == 1);
                let answers = answers.map(|(_, answer)| answer.extract_error()).collect::<Result<Vec<_>, _>>()?;
                // The first says only that all of it is there.
                Ok(answers.into_iter().skip(usize::from(is_asking)).collect::<Vec<_>>())
            });
            match answers {
                Ok(answers) => match <[Value; 2]>::try_from(answers) {
                    Ok([found, copy]) => break (found, copy),
                    Err(_) => return Err(LedgerError::corrupt("Redis left a command without an answer")),
                },
                Err(failure) => attempts.again(&connection, failure, &reply_failure).await?,
            }
        };
        let copy: Option<String> = FromRedisValue::from_redis_value(copy).map_err(LedgerError::corrupt)?;
        self.expected.check_copy(&keys.settings, copy.as_deref()).map_err(LedgerError::not_done)?;
        T::from_redis_value(found).map_err(LedgerError::corrupt)
    }

    /// The blocks that a command of streams finds.
    pub(super) async fn blocks(&self, keys: &PartitionKeys, command: &Cmd) -> Result<Vec<Block>, LedgerError> {
        let found: Vec<StreamEntry> = self.read(keys, command).await?;
        let blocks = found.into_iter().map(|(_, parts)| parts.into_iter().flat_map(|(_, part)| part).collect::<Vec<_>>());
        blocks.map(|stored| decode_block(&stored).map_err(LedgerError::corrupt)).collect()
    }
}

/// A read, and the settings, of a server that a slot is on its way to. Asked for one key, it says of one that is yet to come that there is
/// none; asked for two, it says to try again.
fn asking(command: &Cmd, settings: &str) -> Pipeline {
    let mut exist = cmd("EXISTS");
    if let Some(Arg::Simple(key)) = command.args_iter().nth(1) {
        exist.arg(key);
    }
    exist.arg(settings);
    let mut commands = Pipeline::with_capacity(6);
    commands.cmd("ASKING").add_command(exist).cmd("ASKING").add_command(command.clone()).cmd("ASKING").cmd("GET").arg(settings);
    commands
}
