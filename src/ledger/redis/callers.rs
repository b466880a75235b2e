//! The copy of who may call: a hash beside the first partition's keys, which no step needs.

use super::RedisEngine;
use crate::{CopiedCallers, LedgerError};

impl RedisEngine {
    /// See [`crate::Engine::callers`].
    pub(super) async fn read_callers(&self, known: Option<i64>) -> Result<Option<CopiedCallers>, LedgerError> {
        let keys = self.keys(0)?;
        let key = keys.callers();
        let version: Option<i64> = self.read(keys, redis::cmd("HGET").arg(&key).arg("version")).await?;
        if version.is_none() || version == known {
            return Ok(None);
        }
        let (version, content): (Option<i64>, Option<String>) =
            self.read(keys, redis::cmd("HMGET").arg(&key).arg("version").arg("content")).await?;
        Ok(version.zip(content).map(|(version, content)| CopiedCallers { version, content }))
    }

    /// See [`crate::Engine::copy_callers`].
    pub(super) async fn write_callers(&self, CopiedCallers { version, content }: CopiedCallers) -> Result<(), LedgerError> {
        let keys = self.keys(0)?;
        let mut command = redis::cmd("HSET");
        command.arg(keys.callers()).arg("version").arg(version).arg("content").arg(content);
        self.read::<i64>(keys, &command).await.map(drop)
    }
}
