//! The copy of who may call: a hash beside the partitions' keys, which no step needs.
//!
//! Where one server has everything, it is beside the first partition. In a cluster it is beside each, so that it is there while any server
//! is; the newest copy that is found counts, and is written where an older one is.

use futures_util::future::join_all;
use redis::RedisError;

use super::RedisEngine;
use super::keys::PartitionKeys;
use super::reply_failure::{ReplyFailure, of_read};
use crate::{CopiedCallers, LedgerError};

/// Two processes may copy at the same time, the older state last.
const COPY: &str = "local version = tonumber(redis.call('HGET', KEYS[1], 'version')) \
                    if version and version >= tonumber(ARGV[1]) then return 0 end \
                    redis.call('HSET', KEYS[1], 'version', ARGV[1], 'content', ARGV[2]) \
                    return 1";

impl RedisEngine {
    /// See [`crate::Engine::callers`].
    pub(super) async fn read_callers(&self, known: Option<i64>) -> Result<Option<CopiedCallers>, LedgerError> {
        let places = self.places_of_callers();
        let versions = join_all(places.iter().map(|keys| self.version_at(keys))).await;
        if versions.iter().all(Result::is_err) {
            return versions.into_iter().next().map_or(Ok(None), |first| first.map(|_| None));
        }
        let mut found = Vec::with_capacity(places.len());
        for (keys, version) in places.iter().zip(versions) {
            if let Ok(version) = version {
                found.push((version, keys));
            }
        }
        let Some((Some(version), newest)) = found.iter().copied().max_by_key(|(version, _)| *version) else { return Ok(None) };
        found.retain(|(found, _)| *found != Some(version));
        if Some(version) == known && found.is_empty() {
            return Ok(None);
        }
        let command = redis::cmd("HMGET").arg(newest.callers()).arg("version").arg("content").clone();
        let (version, content): (Option<i64>, Option<String>) = self.read(newest, &command).await?;
        let Some(copy) = version.zip(content).map(|(version, content)| CopiedCallers { version, content }) else { return Ok(None) };
        // One that cannot be written now is, at the next look.
        join_all(found.iter().map(|(_, keys)| self.write_to(keys, &copy))).await;
        Ok(Some(copy).filter(|copy| Some(copy.version) != known))
    }

    /// See [`crate::Engine::copy_callers`].
    pub(super) async fn write_callers(&self, copy: CopiedCallers) -> Result<(), LedgerError> {
        let written = join_all(self.places_of_callers().iter().map(|keys| self.write_to(keys, &copy))).await;
        match written.iter().any(Result::is_ok) {
            true => Ok(()),
            false => written.into_iter().collect(),
        }
    }

    fn places_of_callers(&self) -> &[PartitionKeys] {
        match self.routes.topology().is_cluster() {
            true => &self.partitions,
            false => self.partitions.get(..1).unwrap_or_default(),
        }
    }

    async fn version_at(&self, keys: &PartitionKeys) -> Result<Option<i64>, LedgerError> {
        self.read(keys, redis::cmd("HGET").arg(keys.callers()).arg("version")).await
    }

    async fn write_to(&self, keys: &PartitionKeys, CopiedCallers { version, content }: &CopiedCallers) -> Result<(), LedgerError> {
        let mut command = redis::cmd("EVAL");
        command.arg(COPY).arg(1).arg(keys.callers()).arg(version).arg(content);
        // Where a slot is on its way to, a key that is made is in the way of the one that is yet to come.
        let where_it_is = |error: &RedisError| match of_read(error) {
            ReplyFailure::Asked(_) => ReplyFailure::Final(LedgerError::not_done(error)),
            reply_failure => reply_failure,
        };
        self.read_by::<i64>(keys, &command, where_it_is).await.map(drop)
    }
}
