//! Steps and sweeps sent to a partition, and what their answers say.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use redis::{FromRedisValue, Value};

use super::keys::PartitionKeys;
use super::reply::{self, AnnouncementOutcome};
use super::script::Script;
use super::sending::{Proof, ScriptOptions, ScriptReply, Wait};
use super::{MAX_CLOCK_DIFFERENCE, RedisEngine, batch, ensure, notifications, reply_failure, script};
use crate::model::{BatchTime, REFUND_SLICE, REFUND_WINDOWS};
use crate::{Answers, BatchAnswer, Block, LedgerError, PreparedCommand, Trimmer};
use domain::command::Action;
use domain::time::Millis;
use platform::telemetry::metrics;

impl RedisEngine {
    /// Executes a batch. Where Redis has no memory left, nothing of it was run: what needs none is then answered by a script that cannot
    /// write. Nothing else is: every look takes off what is due, on every engine, or a clock that goes back would show it again.
    pub(super) async fn decide(&self, partition: u16, commands: Arc<[PreparedCommand]>) -> Result<BatchAnswer, LedgerError> {
        let keys = self.keys(partition)?;
        ensure(&self.checks.clocks, partition)?;
        // Who only asks is told what is there; nothing is acknowledged.
        let wait = self.proof.filter(|_| commands.iter().any(|prepared| !matches!(prepared.command.action, Action::Observe { .. })));
        let answer = match self.decided(&script::BATCH, keys, &commands, wait).await {
            // Without a write, nothing that was decided before can be proved.
            Err(LedgerError::Full) if wait.is_none() => self.decided(&script::READ, keys, &commands, None).await,
            answer => answer,
        };
        let answer = answer.and_then(|answer| {
            match reply::announced(&answer) {
                AnnouncementOutcome::Nothing => {}
                AnnouncementOutcome::Refused => self.note_silence(),
                AnnouncementOutcome::To(receivers) => self.watchers.heard_by(partition, receivers),
            }
            reply::decode(answer, Arc::clone(&commands)).map_err(LedgerError::after_step)
        });
        let BatchAnswer { answers, has_deferred } = answer.inspect_err(|error| notifications::failed(error, &commands, &self.watchers))?;
        let watchers = self.watchers.clone();
        let answers = Answers::new(move || {
            let answers = answers.read()?;
            notifications::changed(&commands, &answers, &watchers);
            Ok(answers)
        });
        Ok(BatchAnswer { answers, has_deferred })
    }

    /// Executes a batch by a script. Each attempt is encoded anew: it has a time and a block of its own.
    async fn decided(&self, script: &Script, keys: &PartitionKeys, commands: &[PreparedCommand], wait: Wait) -> Result<Value, LedgerError> {
        ensure(&self.checks.stores, keys.number)?;
        let channel = if self.watchers.may_be_heard(keys.number) { keys.channel.as_bytes() } else { b"" };
        let mut attempts = self.routes.attempts(keys.number);
        loop {
            let (connection, asking) = attempts.connection().await?;
            let time = BatchTime::of(&self.clock, self.window);
            let has_legacy = time.now < self.expected.legacy_until();
            let block_id: [u8; 16] = rand::random();
            let packed = batch::encode(commands, &time, self.max_ahead(), (block_id, self.mark()), has_legacy);
            let proved: &[u8] = if wait.is_some() { b"1" } else { b"" };
            let arguments: [&[u8]; 6] = [&packed.commands, &packed.ids, &packed.metadata, channel, &packed.legacy_fingerprints, proved];
            match connection.run(script, &keys.all, &arguments, ScriptOptions { asking, wait }).await {
                Ok(ran) => {
                    let answer = self.proved(ran, wait)?;
                    if let Some(written) = reply::written(&answer) {
                        self.acknowledged.note(keys.number, block_id, &packed, commands.len(), &written);
                    }
                    return Ok(answer);
                }
                Err(failure) => attempts.again(&connection, failure, |error| reply_failure::of_script(error, script)).await?,
            }
        }
    }

    /// The answer of a script, once as many replicas have what it wrote as must.
    fn proved(&self, ScriptReply { answer, replicas }: ScriptReply, wait: Wait) -> Result<Value, LedgerError> {
        match (wait, replicas.unwrap_or(0)) {
            (Some(Proof { replicas: needed, is_on_disk, .. }), found) if found < u64::from(needed) => {
                metrics().redis.count_short();
                self.routes.suspect();
                let place = if is_on_disk { " on disk" } else { "" };
                Err(LedgerError::NotDurable(format!("{found} of {needed} replicas have it{place}").into()))
            }
            _ => Ok(answer),
        }
    }

    /// Runs a script on a partition.
    pub(super) async fn run(&self, script: &Script, keys: &PartitionKeys, arguments: &[&[u8]]) -> Result<Value, LedgerError> {
        self.run_proved(script, keys, arguments, None).await
    }

    async fn run_proved(&self, script: &Script, keys: &PartitionKeys, arguments: &[&[u8]], wait: Wait) -> Result<Value, LedgerError> {
        ensure(&self.checks.stores, keys.number)?;
        let mut attempts = self.routes.attempts(keys.number);
        loop {
            let (connection, asking) = attempts.connection().await?;
            match connection.run(script, &keys.all, arguments, ScriptOptions { asking, wait }).await {
                Ok(ran) => return self.proved(ran, wait),
                Err(failure) => attempts.again(&connection, failure, |error| reply_failure::of_script(error, script)).await?,
            }
        }
    }

    /// The blocks that a command of streams finds, once they are as durable as what is acknowledged: a reader that took in more would have
    /// what a failover undoes.
    pub(super) async fn proved_blocks(&self, keys: &PartitionKeys, command: &redis::Cmd) -> Result<Vec<Block>, LedgerError> {
        let asked = self.routes.of(keys.number)?;
        let blocks = self.blocks(keys, command).await?;
        if self.proof.is_some() && !blocks.is_empty() {
            self.run_proved(&script::TOUCH, keys, &[&self.mark()], self.proof).await.map_err(LedgerError::of_read)?;
            if !Arc::ptr_eq(&asked, &self.routes.of(keys.number)?) {
                return Err(LedgerError::not_done("the partition has moved to another server meanwhile"));
            }
        }
        Ok(blocks)
    }

    /// Processes some of the due events.
    pub(super) async fn sweep_slice(&self, partition: u16) -> Result<bool, LedgerError> {
        let keys = self.keys(partition)?;
        ensure(&self.checks.clocks, partition)?;
        let times = [self.clock.now().get(), self.max_ahead(), self.window].map(i64::to_le_bytes).concat();
        let times = [times, self.mark().to_vec()].concat();
        let answer = self.run(&script::SWEEP, keys, &[&times, keys.channel.as_bytes()]).await?;
        let (is_more, is_unannounced, expired) = FromRedisValue::from_redis_value(answer).map_err(LedgerError::corrupt)?;
        metrics().ledger.count_expired(partition, expired);
        if is_unannounced {
            self.note_silence();
        }
        Ok(is_more)
    }

    /// Drops what is to be kept no longer of the journal, and of a slice of the sums that were given back.
    pub(super) async fn trim_slice(&self, partition: u16, below: u64, by: Trimmer) -> Result<bool, LedgerError> {
        let keys = self.keys(partition)?;
        let Some(cursor) = self.refund_cursors.get(usize::from(partition)) else { return Ok(false) };
        let has_read = u8::from(by == Trimmer::Reader).to_string();
        let [below, kept_for] = [below.to_string(), (REFUND_WINDOWS * self.window).to_string()];
        let [begin, count] = [cursor.load(Ordering::Relaxed).to_string(), REFUND_SLICE.to_string()];
        let arguments = [has_read, below, kept_for, begin, count];
        let mark = self.mark();
        let arguments: Vec<&[u8]> = std::iter::once(&mark[..]).chain(arguments.iter().map(String::as_bytes)).collect();
        let answer = self.run(&script::TRIM, keys, &arguments).await.map_err(LedgerError::of_read)?;
        let next: u64 = FromRedisValue::from_redis_value(answer).map_err(LedgerError::corrupt)?;
        cursor.store(next, Ordering::Relaxed);
        Ok(next != 0)
    }

    /// Notes whether somebody reads the journal.
    pub(super) async fn set_reader(&self, partition: u16, is_read: bool) -> Result<(), LedgerError> {
        let is_read: &[u8] = if is_read { b"1" } else { b"0" };
        self.run(&script::READERS, self.keys(partition)?, &[&self.mark(), is_read]).await.map(|_| ())
    }

    /// The ledger, as its partitions are marked.
    pub(super) fn mark(&self) -> [u8; 8] {
        self.expected.identity().id.mark()
    }

    fn max_ahead(&self) -> Millis {
        if self.clock.is_manual() { -1 } else { MAX_CLOCK_DIFFERENCE }
    }

    /// Logs once that changes cannot be announced: watchers in other processes then learn of them only when they read again.
    fn note_silence(&self) {
        if !self.is_silent.swap(true, Ordering::Relaxed) {
            tracing::error!("Redis's user may not publish: watchers in other processes learn of changes only when they look by themselves");
        }
    }
}
