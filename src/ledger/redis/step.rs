//! Steps and sweeps sent to a partition, and what their answers say.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use redis::FromRedisValue;

use super::{MAX_CLOCK_DIFFERENCE, RedisEngine, announce, batch, script};
use crate::domain::account::Millis;
use crate::domain::command::Action;
use crate::ledger::model::StepTime;
use crate::ledger::{Answers, BatchAnswer, LedgerError, Order};

impl RedisEngine {
    /// Has a batch decided. One that only reads goes by a script that cannot write; and where Redis has no memory left, nothing of a batch
    /// was run, so that what needs none is answered the same way.
    pub(super) async fn decide(&self, partition: u16, orders: Arc<[Order]>) -> Result<BatchAnswer, LedgerError> {
        let keys = self.keys(partition)?;
        self.clocks.ensure()?;
        let time = StepTime::of(&self.clock, self.window);
        let has_legacy = time.now < self.expected.legacy_until();
        let packed = batch::encode(&orders, &time, self.max_ahead(), rand::random(), has_legacy);
        let channel = keys.channel.as_bytes();
        let arguments: [&[u8]; 5] = [&packed.commands, &packed.ids, &packed.endings, channel, &packed.legacy_fingerprints];
        let only_reads = orders.iter().all(|order| order.command.action == Action::Observe { watch: false });
        let answer = match self.run(if only_reads { &script::READ } else { &script::BATCH }, keys, &arguments).await {
            Err(LedgerError::Full) => self.run(&script::READ, keys, &arguments).await,
            answer => answer,
        };
        let answer = answer.and_then(|answer| {
            self.note_silence(batch::is_unannounced(&answer));
            batch::decode(answer, Arc::clone(&orders)).map_err(LedgerError::after_step)
        });
        let answer = answer.inspect_err(|error| announce::failed(error, &orders, &self.watchers))?;
        let watchers = self.watchers.clone();
        let answers = Answers::new(move || {
            let answers = answer.answers.read()?;
            announce::changed(&orders, &answers, &watchers);
            Ok(answers)
        });
        Ok(BatchAnswer { answers })
    }

    /// Has a slice of what is due by itself happen.
    pub(super) async fn sweep_slice(&self, partition: u16) -> Result<bool, LedgerError> {
        let keys = self.keys(partition)?;
        self.clocks.ensure()?;
        let times = [self.clock.now(), self.max_ahead(), self.window].map(i64::to_le_bytes).concat();
        let answer = self.run(&script::SWEEP, keys, &[&times, keys.channel.as_bytes()]).await?;
        let (is_more, is_unannounced) = FromRedisValue::from_redis_value(answer).map_err(LedgerError::corrupt)?;
        self.note_silence(is_unannounced);
        Ok(is_more)
    }

    fn max_ahead(&self) -> Millis {
        if self.clock.is_test_clock() { -1 } else { MAX_CLOCK_DIFFERENCE }
    }

    /// Says once that changes cannot be announced: watchers in other processes then learn of them when they look by themselves.
    fn note_silence(&self, is_unannounced: bool) {
        if is_unannounced && !self.is_silent.swap(true, Ordering::Relaxed) {
            tracing::error!("Redis's user may not publish: watchers in other processes learn of changes only when they look by themselves");
        }
    }
}
